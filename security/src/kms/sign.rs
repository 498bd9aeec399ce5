//! What keys do that encrypt nothing: signatures, MACs, secrets that two share.

use super::allow::Wants;
use super::error::{Code, KmsError, Result};
use super::find::Found;
use super::model::{Asks, MessageKind, Sign};
use super::spec::{GrantOperation, KeyUsage, MacAlgorithm, Origin};
use super::{Kms, asymmetric, limit};
use aws_lc_rs::hmac;
use zeroize::Zeroizing;

fn check_message(message: &[u8]) -> Result<()> {
    if message.is_empty() || message.len() > limit::PLAINTEXT {
        return Err(KmsError::invalid(format!("A message has 1 to {} bytes.", limit::PLAINTEXT)));
    }
    Ok(())
}

fn hash_of(algorithm: MacAlgorithm) -> hmac::Algorithm {
    match algorithm {
        MacAlgorithm::Sha224 => hmac::HMAC_SHA224,
        MacAlgorithm::Sha256 => hmac::HMAC_SHA256,
        MacAlgorithm::Sha384 => hmac::HMAC_SHA384,
        MacAlgorithm::Sha512 => hmac::HMAC_SHA512,
    }
}

impl Kms {
    async fn fit(
        &self,
        asks: &Asks<'_>,
        (key, usage): (&str, KeyUsage),
        (action, operation): (&'static str, GrantOperation),
        said: Vec<(&'static str, String)>,
    ) -> Result<Found> {
        let found = self.find(asks, key, true).await?;
        let wants = Wants { operation: Some(operation), said, crosses: true, ..Wants::control(action) };
        self.allow(asks, &found, &wants).await?;
        found.is_for(usage, action.strip_prefix("kms:").unwrap_or(action))?;
        found.usable()?;
        Ok(found)
    }

    async fn signing(
        &self,
        asks: &Asks<'_>,
        wanted: &Sign<'_>,
        what: (&'static str, GrantOperation),
    ) -> Result<Found> {
        check_message(wanted.message)?;
        let kind = if wanted.kind == MessageKind::Digest { "DIGEST" } else { "RAW" };
        let said = vec![
            ("kms:signingalgorithm", wanted.algorithm.as_str().to_owned()),
            ("kms:messagetype", kind.to_owned()),
        ];
        let found = self.fit(asks, (wanted.key, KeyUsage::Sign), what, said).await?;
        if !found.row.spec.signing_algorithms().contains(&wanted.algorithm) {
            return Err(found.no_algorithm(wanted.algorithm.as_str()));
        }
        Ok(found)
    }

    /// Signs a message or its digest. The signature, and the key's ARN.
    pub async fn sign(&self, asks: &Asks<'_>, wanted: Sign<'_>) -> Result<(Vec<u8>, String)> {
        let found = self.signing(asks, &wanted, ("kms:Sign", GrantOperation::Sign)).await?;
        let (spec, algorithm) = (found.row.spec, wanted.algorithm);
        let digest = asymmetric::digest_of(algorithm, wanted.message, wanted.kind == MessageKind::Digest)?;
        asks.go_on()?;
        let material = self.material(&found, found.row.current).await?.bytes;
        let signature =
            self.aside(found.account, move || asymmetric::sign(spec, &material, algorithm, &digest)).await?;
        Ok((signature, found.arn))
    }

    /// Whether a signature is of this message; [`Code::InvalidSignature`] where it is not. The key's ARN.
    pub async fn verify(&self, asks: &Asks<'_>, wanted: Sign<'_>, signature: &[u8]) -> Result<String> {
        let found = self.signing(asks, &wanted, ("kms:Verify", GrantOperation::Verify)).await?;
        let (spec, algorithm) = (found.row.spec, wanted.algorithm);
        let digest = asymmetric::digest_of(algorithm, wanted.message, wanted.kind == MessageKind::Digest)?;
        asks.go_on()?;
        let (material, signature) =
            (self.material(&found, found.row.current).await?.bytes, signature.to_vec());
        self.aside(found.account, move || {
            asymmetric::verify(spec, &material, algorithm, (&digest, &signature))
        })
        .await?;
        Ok(found.arn)
    }

    async fn mac_key(
        &self,
        asks: &Asks<'_>,
        (key, message, algorithm): (&str, &[u8], MacAlgorithm),
        what: (&'static str, GrantOperation),
    ) -> Result<(Found, hmac::Key)> {
        check_message(message)?;
        let said = vec![("kms:macalgorithm", algorithm.as_str().to_owned())];
        let found = self.fit(asks, (key, KeyUsage::Mac), what, said).await?;
        if !found.row.spec.mac_algorithms().contains(&algorithm) {
            return Err(found.no_algorithm(algorithm.as_str()));
        }
        asks.go_on()?;
        let material = self.material(&found, found.row.current).await?;
        Ok((found, hmac::Key::new(hash_of(algorithm), &material.bytes)))
    }

    /// A message's MAC, and the key's ARN.
    pub async fn generate_mac(
        &self,
        asks: &Asks<'_>,
        wanted: (&str, &[u8], MacAlgorithm),
    ) -> Result<(Vec<u8>, String)> {
        let what = ("kms:GenerateMac", GrantOperation::GenerateMac);
        let (found, key) = self.mac_key(asks, wanted, what).await?;
        Ok((hmac::sign(&key, wanted.1).as_ref().to_vec(), found.arn))
    }

    /// Whether a MAC is this message's; [`Code::InvalidMac`] where it is not. The key's ARN.
    pub async fn verify_mac(
        &self,
        asks: &Asks<'_>,
        wanted: (&str, &[u8], MacAlgorithm),
        mac: &[u8],
    ) -> Result<String> {
        let what = ("kms:VerifyMac", GrantOperation::VerifyMac);
        let (found, key) = self.mac_key(asks, wanted, what).await?;
        hmac::verify(&key, wanted.1, mac).map_err(|_| KmsError::new(Code::InvalidMac, ""))?;
        Ok(found.arn)
    }

    /// The secret that a key shares with a public one, the key's ARN, and where its material is from.
    pub async fn derive_shared_secret(
        &self,
        asks: &Asks<'_>,
        key: &str,
        public: &[u8],
    ) -> Result<(Zeroizing<Vec<u8>>, String, Origin)> {
        let what = ("kms:DeriveSharedSecret", GrantOperation::DeriveSharedSecret);
        let said = vec![("kms:keyagreementalgorithm", "ECDH".to_owned())];
        let found = self.fit(asks, (key, KeyUsage::Agreement), what, said).await?;
        asks.go_on()?;
        let material = self.material(&found, found.row.current).await?;
        let secret = asymmetric::agree(found.row.spec, &material.bytes, public)?;
        Ok((secret, found.arn, found.row.origin))
    }

    /// The public half of a key, and the key as it is shown.
    pub async fn public_key(&self, asks: &Asks<'_>, key: &str) -> Result<(Vec<u8>, super::Key)> {
        let found = self.find(asks, key, true).await?;
        let operation = Some(GrantOperation::GetPublicKey);
        let wants = Wants { operation, crosses: true, ..Wants::control("kms:GetPublicKey") };
        self.allow(asks, &found, &wants).await?;
        if !found.row.spec.is_asymmetric() {
            let message = format!("{} is no asymmetric key: it has no public half.", found.arn);
            return Err(KmsError::unsupported(message));
        }
        found.usable()?;
        let material = self.material(&found, found.row.current).await?;
        Ok((asymmetric::public(found.row.spec, &material.bytes)?, self.shown(&found).await?))
    }
}

impl Found {
    fn no_algorithm(&self, algorithm: &str) -> KmsError {
        let spec = self.row.spec.as_str();
        KmsError::new(
            Code::InvalidKeyUsage,
            format!("Algorithm {algorithm} and key spec {spec} are incompatible."),
        )
    }
}
