//! A vault's keys, and what is sealed by them.
//!
//! ```text
//!   key table ── seals ──► wrapping key ── with what it is for ──► subkeys of packs · keys of staged blobs
//!                     ├──► index key     (of all packs' indexes)
//!                     └──► group key     (names and cuts of deduplicated chunks)
//! ```
//! # Invariants
//! - A key that is sealed opens at its own place alone: what derives the sealing key has the vault, the table, whose bytes and from where
//!   on, and the id of what the key is for. A row that is put elsewhere opens nothing.
//! - Each sealing key seals once: subkeys and blobs have random ids, and no id is sealed for twice at one place.

use super::error::of_keys;
use super::{Result, rows};
use crate::pack::{GroupId, IndexKey, IndexKeyId, KeyId, VaultId};
use bytes::Bytes;
use engine::codec::DataKey;
use engine::codec::chunk::ChunkCipher;
use engine::entropy::Entropy;
use engine::id::{BlobId, PartitionId};
use security::AccountId;
use security::keys::{KeyScope, KeyTable};
use zeroize::Zeroizing;

/// A vault's keys, open.
#[derive(Clone, Debug)]
pub(super) struct Secrets {
    vault: VaultId,
    wrapping: DataKey,
    /// What the indexes of its packs are sealed under.
    pub(super) index: IndexKey,
    /// Its deduplication group.
    pub(super) group: GroupId,
    /// Of that group.
    pub(super) group_key: DataKey,
}

/// Whose a blob's bytes are, and from where on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spot {
    /// The archive's id, or the job's.
    pub(super) of: [u8; 16],
    pub(super) offset: u64,
}

impl Secrets {
    pub(super) fn random(vault: VaultId, entropy: &dyn Entropy) -> Self {
        let key = || DataKey::random(entropy);
        let index = IndexKey { id: IndexKeyId::random(entropy), key: key() };
        Self { vault, wrapping: key(), index, group: GroupId::random(entropy), group_key: key() }
    }

    /// The row's value.
    pub(super) fn seal(&self, table: &KeyTable, account: AccountId, home: PartitionId) -> Result<Bytes> {
        let mut plain = Zeroizing::new(Vec::with_capacity(128));
        for key in [&self.wrapping, &self.index.key, &self.group_key] {
            plain.extend_from_slice(key.as_bytes());
        }
        plain.extend_from_slice(self.index.id.as_bytes());
        plain.extend_from_slice(self.group.as_bytes());
        let sealed = table.seal(KeyScope::vaults(account), &plain, &bound(self.vault, home));
        sealed.map(Bytes::from).map_err(of_keys)
    }

    pub(super) fn open(table: &KeyTable, vault: VaultId, home: PartitionId, row: &[u8]) -> Result<Self> {
        let plain = table.unseal(row, &bound(vault, home)).map_err(of_keys)?;
        let corrupt =
            || engine::Error::Corrupt { what: "keys of a vault".into(), detail: "not three of them".into() };
        let (keys, ids) = plain.split_at_checked(96).ok_or_else(corrupt)?;
        let ([wrapping, index, group_key], []) = keys.as_chunks::<32>() else { return Err(corrupt().into()) };
        let ([index_id, group], []) = ids.as_chunks::<16>() else { return Err(corrupt().into()) };
        let key = |bytes: &[u8; 32]| DataKey::from_bytes(*bytes);
        let index = IndexKey { id: IndexKeyId::from_bytes(*index_id), key: key(index) };
        let group = GroupId::from_bytes(*group);
        Ok(Self { vault, wrapping: key(wrapping), index, group, group_key: key(group_key) })
    }

    fn cipher(&self, purpose: &[u8; 18], id: [u8; 16], place: &[&[u8]]) -> ChunkCipher {
        let mut derive = blake3::Hasher::new_keyed(self.wrapping.as_bytes());
        derive.update(purpose).update(self.vault.as_bytes()).update(&id);
        for part in place {
            derive.update(part);
        }
        ChunkCipher::new(BlobId::from_bytes(id), &DataKey::from_bytes(*derive.finalize().as_bytes()))
    }

    /// A subkey for its row.
    pub(super) fn seal_subkey(&self, id: KeyId, key: &DataKey) -> Bytes {
        let mut out = vec![rows::SEALED_VERSION];
        self.cipher(b"firn vault subkeys", *id.as_bytes(), &[]).seal_into(0, key.as_bytes(), &mut out);
        out.into()
    }

    pub(super) fn open_subkey(&self, id: KeyId, row: &[u8]) -> engine::Result<DataKey> {
        open(&self.cipher(b"firn vault subkeys", *id.as_bytes(), &[]), row, "subkey row")
    }

    /// A blob's key for the row of its bytes.
    pub(super) fn seal_blob(&self, table: u8, at: Spot, blob: BlobId, key: &DataKey) -> Vec<u8> {
        let mut out = vec![rows::SEALED_VERSION];
        self.blob_cipher(table, at, blob).seal_into(0, key.as_bytes(), &mut out);
        out
    }

    pub(super) fn open_blob(&self, table: u8, at: Spot, blob: BlobId, row: &[u8]) -> engine::Result<DataKey> {
        open(&self.blob_cipher(table, at, blob), row, "key of a piece")
    }

    fn blob_cipher(&self, table: u8, at: Spot, blob: BlobId) -> ChunkCipher {
        let place: [&[u8]; 3] = [&[table], &at.of, &at.offset.to_be_bytes()];
        self.cipher(b"firn vault pieces.", *blob.as_bytes(), &place)
    }
}

/// What the key table authenticates with a vault's keys.
fn bound(vault: VaultId, home: PartitionId) -> Vec<u8> {
    [b"firn vault keys", &vault.as_bytes()[..], home.as_bytes()].concat()
}

fn open(cipher: &ChunkCipher, row: &[u8], what: &'static str) -> engine::Result<DataKey> {
    let wrong = |detail: &str| engine::Error::Corrupt { what: what.into(), detail: detail.into() };
    let sealed = match row.split_first() {
        Some((&rows::SEALED_VERSION, sealed)) => sealed,
        Some((&found, _)) if found > rows::SEALED_VERSION => {
            let (what, supported) = (what.to_owned(), rows::SEALED_VERSION.into());
            return Err(engine::Error::Newer { what, found: found.into(), supported });
        }
        _ => return Err(wrong("it has no version")),
    };
    let mut plain = Zeroizing::new(sealed.to_vec());
    if plain.len() < engine::codec::chunk::TAG_BYTES {
        return Err(wrong("it ends too early"));
    }
    let length = cipher.open_in_place(0, &mut plain).map_err(|_| wrong("its tag does not match"))?;
    let key: [u8; 32] = plain[..length].try_into().map_err(|_| wrong("it is no key"))?;
    Ok(DataKey::from_bytes(key))
}
