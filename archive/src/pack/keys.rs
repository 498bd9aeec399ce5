//! Keys come from outside: packs name subkeys by their ids and hold none, wrapped or not.
//!
//! ```text
//!   subkey of an archive, group or pack ── with the pack's id and a salt ──► key of one frame
//!   the same subkey ── with the pack's id, the archive's and a salt ──► key of what the index says of one archive
//!   index key of the vault ── with the pack's id, a salt and its length ──► key of one index
//! ```
//! The index key must live for as long as any pack that can't be written anew: on a shelf, on tape, elsewhere. It is not the key that subkeys
//! are wrapped with, and renewing that one leaves it as it is. So what an owner wrote, and what is made of content, is not under
//! the index key but under a subkey, which erasure ends.

use super::{ArchiveId, KeyId, PackId};
use engine::codec::DataKey;
use engine::codec::chunk::ChunkCipher;
use engine::id::BlobId;
use engine::{Error, Result};

/// What a subkey is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyFor {
    /// The frames of this archive in one pack, and what is said of it. May be one for all packs that the archive has parts in.
    Archive(ArchiveId),
    /// A frame that small archives share.
    Group,
    /// The chunks that are first met in a pack.
    Pack,
}

/// The vault's table of subkeys.
pub trait Subkeys {
    /// A new random subkey. It must be durable before the pack's index is what an archive is found by.
    fn fresh(&self, purpose: KeyFor) -> Result<(KeyId, DataKey)>;

    /// The subkey with this id; `None` once it was erased.
    fn find(&self, id: KeyId) -> Result<Option<DataKey>>;
}

/// The subkey, or an error that says what its absence means.
pub(super) fn found(keys: &dyn Subkeys, id: KeyId) -> Result<DataKey> {
    keys.find(id)?
        .ok_or_else(|| Error::NotFound { what: "subkey", id: format!("{id}: what it sealed was erased") })
}

/// Random bytes that a key is derived with.
pub(super) type Salt = [u8; 16];

/// The cipher of one frame. The salt is drawn when the frame is sealed, so that a machine that is resumed twice from one snapshot seals
/// under two keys.
pub(super) fn frame(pack: PackId, subkey: &DataKey, salt: &Salt) -> ChunkCipher {
    cipher(pack, subkey, b"firn pack 1 frame.", &[salt])
}

/// The cipher of what an entry says of its archive; the salt is drawn for it.
pub(super) fn entry(pack: PackId, subkey: &DataKey, archive: ArchiveId, salt: &Salt) -> ChunkCipher {
    cipher(pack, subkey, b"firn pack 1 entry.", &[archive.as_bytes(), salt])
}

/// The cipher of a pack's index; `sealed` is how many bytes it has with its salt, so that one that was cut off is none.
pub(super) fn index(pack: PackId, vault: &DataKey, salt: &Salt, sealed: u32) -> ChunkCipher {
    cipher(pack, vault, b"firn pack 1 index.", &[salt, &sealed.to_le_bytes()])
}

/// The chunk's index below one key of a pack: frame and chunk, which additional data and nonce are made of.
pub(super) const fn chunk_index(frame: u32, chunk: u32) -> u64 {
    (frame as u64) << 32 | chunk as u64
}

fn cipher(pack: PackId, key: &DataKey, purpose: &[u8; 18], more: &[&[u8]]) -> ChunkCipher {
    let mut derive = blake3::Hasher::new_keyed(key.as_bytes());
    derive.update(purpose).update(pack.as_bytes());
    for part in more {
        derive.update(part);
    }
    let derived = DataKey::from_bytes(*derive.finalize().as_bytes());
    ChunkCipher::new(BlobId::from_bytes(*pack.as_bytes()), &derived)
}
