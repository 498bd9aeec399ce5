//! Data keys at rest: sealed by the key table, bound to the row that names them.

use crate::envelope::Material;
use crate::{Error, Result};
use bytes::Bytes;
use engine::codec::DataKey;
use security::AccountId;
use security::keys::{KeyScope, KeyTable};
use std::sync::Arc;
use zeroize::Zeroizing;

/// The object store's view of the key table.
pub(crate) struct Keyring {
    table: Arc<KeyTable>,
}

/// An error of what is kept by the layer below.
pub(crate) fn refused(error: security::Error) -> Error {
    Error::Engine(match error {
        security::Error::Engine(error) => error,
        security::Error::Exhausted(_) => engine::Error::Fenced { reason: error.to_string() },
        security::Error::Newer { what, found, supported } => {
            engine::Error::Newer { what: what.into(), found, supported }
        }
        other => engine::Error::Corrupt { what: "sealed data key".into(), detail: other.to_string() },
    })
}

impl Keyring {
    /// Makes sure that there is a key to seal with, for this account and for every other that has one already. On a full disk no use of
    /// theirs is reserved: what is there is read and deleted all the same, and whoever seals first when there is room has some reserved.
    pub(crate) async fn open(table: Arc<KeyTable>, account: AccountId) -> Result<Self> {
        let known = table.scopes();
        for scope in std::iter::once(KeyScope::s3(account)).chain(known.iter().copied()) {
            match table.prepare(scope).await {
                Err(security::Error::Engine(error @ engine::Error::Full { .. }))
                    if known.contains(&scope) =>
                {
                    tracing::warn!(%error, %scope, "failed to reserve uses of a key: nothing can be sealed with it yet");
                }
                outcome => outcome.map_err(refused)?,
            }
        }
        Ok(Self { table })
    }

    /// Makes sure that there is a key to seal an account's data keys with. Before the first bucket of the account.
    pub(crate) async fn prepare(&self, account: AccountId) -> Result<()> {
        self.table.prepare(KeyScope::s3(account)).await.map_err(refused)
    }

    /// Seals a data key of an account's bucket, or nothing for the tag alone, with `aad`.
    pub(crate) fn seal(&self, account: AccountId, key: Option<&DataKey>, aad: &[u8]) -> Result<Bytes> {
        let plain: &[u8] = key.map_or(&[], |key| key.as_bytes());
        self.table.seal(KeyScope::s3(account), plain, aad).map(Bytes::from).map_err(refused)
    }

    /// The same of what a version's row holds.
    pub(crate) fn seal_material(
        &self,
        account: AccountId,
        material: Option<&Material>,
        aad: &[u8],
    ) -> Result<Bytes> {
        let Some(material) = material else { return self.seal(account, None, aad) };
        let sealed = material.with_bytes(|plain| self.table.seal(KeyScope::s3(account), plain, aad));
        sealed.map(Bytes::from).map_err(refused)
    }

    /// Opens what [`seal_material`](Self::seal_material) made: what that is, the row's envelope says.
    pub(crate) fn unseal_bytes(&self, sealed: &[u8], aad: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        self.table.unseal(sealed, aad).map_err(refused)
    }

    /// Opens what [`seal`](Self::seal) made: corrupt when the row is not as it was.
    pub(crate) fn unseal(&self, sealed: &[u8], aad: &[u8]) -> Result<Option<DataKey>> {
        let plain = self.unseal_bytes(sealed, aad)?;
        if plain.is_empty() {
            return Ok(None);
        }
        let key: [u8; DataKey::LEN] = plain.as_slice().try_into().map_err(|_| {
            Error::Engine(engine::Error::Corrupt {
                what: "sealed data key".into(),
                detail: format!("{} bytes", plain.len()),
            })
        })?;
        Ok(Some(DataKey::from_bytes(key)))
    }
}
