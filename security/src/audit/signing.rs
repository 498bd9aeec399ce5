//! What signs digests: a pair of RSA keys for each account, made with its first digest. The private half is sealed by the key table, and opened for
//! one digest an hour.

use super::Audit;
use super::error::Result;
use super::row::{self, SignerRow};
use crate::AccountId;
use crate::keys::KeyScope;
use aws_lc_rs::digest;
use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use engine::catalog::record::Record as _;
use engine::catalog::{Layout, Write};
use engine::clock::Timestamp;
use std::time::Duration;
use zeroize::Zeroizing;

/// How long a key signs, as it is told: it is not replaced yet.
const SIGNS_FOR: Duration = Duration::from_hours(24 * 3_650);

/// The public half of what signs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    /// `RSAPublicKey` of PKCS #1, in DER.
    pub der: Vec<u8>,
    /// What digests name it by.
    pub fingerprint: String,
    /// From when on it signs.
    pub from: Timestamp,
    /// Until when.
    pub until: Timestamp,
}

impl PublicKey {
    fn of(row: &SignerRow) -> Self {
        let hash = digest::digest(&digest::SHA256, &row.public);
        let fingerprint = hex::encode(hash.as_ref().get(..16).unwrap_or_default());
        Self { der: row.public.clone(), fingerprint, from: row.made, until: row.made.plus(SIGNS_FOR) }
    }
}

fn aad(account: AccountId) -> Vec<u8> {
    [b"signer of digests ", &account.to_bytes()[..]].concat()
}

fn failed(what: &str) -> crate::Error {
    crate::Error::Engine(engine::Error::Invalid(what.to_owned()))
}

/// A pair: public half, and private.
fn generate() -> crate::Result<(Vec<u8>, Zeroizing<Vec<u8>>)> {
    let unmade = |_| failed("a pair of keys could not be made");
    let pair = KeyPair::generate(KeySize::Rsa2048).map_err(unmade)?;
    let der: Pkcs8V1Der<'_> = pair.as_der().map_err(unmade)?;
    Ok((pair.public_key().as_ref().to_vec(), Zeroizing::new(der.as_ref().to_vec())))
}

fn sign(pkcs8: &[u8], text: &[u8]) -> crate::Result<Vec<u8>> {
    let pair = KeyPair::from_pkcs8(pkcs8).map_err(|_| failed("a pair of keys could not be read"))?;
    let mut signature = vec![0; pair.public_modulus_len()];
    let signed = pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text, &mut signature);
    signed.map_err(|_| failed("a digest could not be signed"))?;
    Ok(signature)
}

impl Audit {
    async fn signer_row(&self, account: AccountId) -> crate::Result<Option<SignerRow>> {
        let value = self.snapshot().await?.get(row::signer(account)).await?;
        Ok(value.map(|value| SignerRow::from_bytes(&value)).transpose()?)
    }

    /// What signs for an account; made if there is none. A trail is there by then, and with it the layout that keeps an older firn away from a key
    /// that it does not know.
    async fn signer(&self, account: AccountId) -> crate::Result<SignerRow> {
        let scope = KeyScope::trails(account);
        self.parts.keys.prepare(scope).await?;
        if let Some(row) = self.signer_row(account).await? {
            return Ok(row);
        }
        let made = tokio::task::spawn_blocking(generate).await;
        let (public, private) = made.map_err(|_| crate::Error::from(engine::Error::Closed))??;
        let sealed = self.parts.keys.seal(scope, &private, &aad(account))?;
        let row = SignerRow { made: self.now(), public, sealed };
        self.commit(Layout::TRAILS, vec![Write::Put(row::signer(account), row.to_bytes())]).await?;
        Ok(row)
    }

    /// The public half of what signs an account's digests from now on.
    pub(super) async fn public_key(&self, account: AccountId) -> crate::Result<PublicKey> {
        Ok(PublicKey::of(&self.signer(account).await?))
    }

    /// Signs for an account.
    pub(super) async fn signature(&self, account: AccountId, text: &str) -> crate::Result<String> {
        let row = self.signer(account).await?;
        let private = self.parts.keys.unseal(&row.sealed, &aad(account))?;
        let text = text.to_owned();
        let signed = tokio::task::spawn_blocking(move || sign(&private, text.as_bytes())).await;
        Ok(hex::encode(signed.map_err(|_| crate::Error::from(engine::Error::Closed))??))
    }

    /// Public halves of what signed in a span of time.
    pub async fn public_keys(
        &self,
        account: AccountId,
        start: Timestamp,
        end: Timestamp,
    ) -> Result<Vec<PublicKey>> {
        let found = self.signer_row(account).await?.map(|row| PublicKey::of(&row));
        Ok(found.into_iter().filter(|key| key.from <= end && key.until >= start).collect())
    }
}
