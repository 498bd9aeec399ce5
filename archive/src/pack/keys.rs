//! Keys come from outside: packs name subkeys by their ids and hold none, wrapped or not.
//!
//! ```text
//!   subkey of an archive, group or pack ── with the pack's id and a salt ──► key of one frame
//!   the same subkey ── with the pack's id, the archive's, its part's place and a salt ──► key of what the index says of one archive
//!   subkey of a pack ── with the pack's id, a salt and a length ──► key of the register of its chunks
//!   index key of the vault ── with the pack's id, a salt and its length ──► key of one index
//! ```
//! The index key must live for as long as any pack that can't be written anew: on a shelf, on tape, elsewhere. It is not the key that subkeys
//! are wrapped with, and renewing that one leaves it as it is. So what an owner wrote, and what is made of content, is not under
//! the index key but under a subkey, which erasure ends.

use super::{ArchiveId, IndexKeyId, KeyId, PackId};
use engine::codec::DataKey;
use engine::codec::chunk::{CHUNK_BYTES, ChunkCipher, SEALED_CHUNK_BYTES, TAG_BYTES, sealed_len};
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
pub trait Subkeys: Send + Sync {
    /// A new random subkey, for an open pack. It must be durable before the pack's index is what an archive is found by; the row
    /// remembers the pack until that is so.
    fn fresh(&self, pack: PackId, purpose: KeyFor) -> Result<(KeyId, DataKey)>;

    /// The subkey with this id; `None` once it was erased.
    fn find(&self, id: KeyId) -> Result<Option<DataKey>>;

    /// That pack was given up, or was never sealed, and never will be: the subkeys that were made for it alone go. Of a pack that has none,
    /// or is not known, there is nothing to do.
    fn abandon(&self, pack: PackId) -> Result<()>;
}

/// What a vault's indexes are sealed under. A vault may have had several; each pack says in the clear by which id it is to be found.
#[derive(Clone, Debug)]
pub struct IndexKey {
    /// Its id.
    pub id: IndexKeyId,
    /// The key.
    pub key: DataKey,
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

/// The cipher of what an entry says of its archive; the salt is drawn for it. `part` is where the part begins.
pub(super) fn entry(
    pack: PackId,
    subkey: &DataKey,
    archive: ArchiveId,
    part: u32,
    salt: &Salt,
    sealed: u32,
) -> ChunkCipher {
    let (part, sealed) = (part.to_le_bytes(), sealed.to_le_bytes());
    cipher(pack, subkey, b"firn pack 1 entry.", &[archive.as_bytes(), &part, salt, &sealed])
}

/// The cipher of a pack's register.
pub(super) fn register(pack: PackId, subkey: &DataKey, salt: &Salt, sealed: u32) -> ChunkCipher {
    cipher(pack, subkey, b"firn pack 1 chunks", &[salt, &sealed.to_le_bytes()])
}

/// The cipher of a pack's index; `sealed` is how many bytes it has with its salt, so that one that was cut off is none.
pub(super) fn index(pack: PackId, vault: &DataKey, salt: &Salt, sealed: u32) -> ChunkCipher {
    cipher(pack, vault, b"firn pack 1 index.", &[salt, &sealed.to_le_bytes()])
}

/// Salt and sealed bytes, in chunks of 64 KiB, by the cipher that `make` makes for both.
pub(super) fn seal(plain: &[u8], salt: &Salt, make: impl FnOnce(u32) -> ChunkCipher) -> Option<Vec<u8>> {
    let length = salt.len() as u64 + sealed_len(plain.len() as u64);
    let cipher = make(u32::try_from(length).ok()?);
    let mut out = Vec::with_capacity(usize::try_from(length).ok()?);
    out.extend_from_slice(salt);
    for (number, chunk) in (0..).zip(plain.chunks(CHUNK_BYTES)) {
        cipher.seal_into(number, chunk, &mut out);
    }
    Some(out)
}

/// What [`seal`] sealed; `None` where anything of it is not what it was.
pub(super) fn open(sealed: &[u8], make: impl FnOnce(&Salt, u32) -> ChunkCipher) -> Option<Vec<u8>> {
    let (salt, chunks) = sealed.split_first_chunk()?;
    let cipher = make(salt, u32::try_from(sealed.len()).ok()?);
    let mut out = Vec::with_capacity(chunks.len());
    for (number, chunk) in (0..).zip(chunks.chunks(SEALED_CHUNK_BYTES)) {
        let start = out.len();
        out.extend_from_slice(chunk);
        if chunk.len() < TAG_BYTES {
            return None;
        }
        let length = cipher.open_in_place(number, &mut out[start..]).ok()?;
        out.truncate(start + length);
    }
    Some(out)
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
