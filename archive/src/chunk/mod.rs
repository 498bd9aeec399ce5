//! Where content is cut, so that what is alike is kept once, and what a chunk is called.
//!
//! ```text
//!   content ──► [`Cutter`]  a rolling hash ends a chunk where enough of its bits are zero  ──► 16 to 256 KiB, some 64 on average
//!   chunk   ──► [`ChunkId`] BLAKE3 under a key of the deduplication group
//! ```
//!
//! # Invariants
//! - Cuts and ids are part of the format: others would find nothing that is stored. Golden tests keep them.
//! - Both are made from the group's key: lengths and ids tell nothing about content to who lacks it, and different groups have
//!   nothing in common.
//! - A cut depends on the bytes since the cut before it alone, so that an insertion moves the cuts beside it and no others.
//!
//! # Limits
//! [`CHUNK_MIN`] to [`CHUNK_MAX`] bytes, the last chunk of an archive, or of a part of one, from one byte on.

use engine::codec::DataKey;
use std::fmt;

/// No chunk is shorter, but for the last one of an archive or a part.
pub const CHUNK_MIN: usize = 16 << 10;
/// From this length on a chunk ends more easily.
pub const CHUNK_NORMAL: usize = 64 << 10;
/// No chunk is longer.
pub const CHUNK_MAX: usize = 256 << 10;

/// Bits that must be zero before [`CHUNK_NORMAL`]: 17 of them, far apart.
const STRICT: u64 = 0x0000_d907_0353_7000;
/// Bits that must be zero after it: 15.
const LOOSE: u64 = 0x0000_d90f_0353_0000;

/// What names are derived for: the table that cuts are made by.
const CUTS: &[u8] = b"firn dedup group: cuts";
/// The key that chunks are named under.
const NAMES: &[u8] = b"firn dedup group: names";

/// What a chunk is called within its deduplication group: keyed BLAKE3 of its bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChunkId([u8; 32]);

impl ChunkId {
    /// From its binary form.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its binary form.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for ChunkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "chunk {:02x}{:02x}{:02x}{:02x}…", self.0[0], self.0[1], self.0[2], self.0[3])
    }
}

/// Cuts and names the content of one deduplication group.
#[derive(Clone)]
pub struct Cutter {
    gear: Box<[u64; 256]>,
    /// The same, shifted by one bit: for the first of two bytes.
    doubled: Box<[u64; 256]>,
    names: DataKey,
}

impl fmt::Debug for Cutter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cutter")
    }
}

impl Cutter {
    /// For the group with this key.
    pub fn new(group: &DataKey) -> Self {
        let mut bytes = [0; 256 * 8];
        blake3::Hasher::new_keyed(group.as_bytes()).update(CUTS).finalize_xof().fill(&mut bytes);
        let (words, _) = bytes.as_chunks::<8>();
        let mut gear = Box::new([0; 256]);
        for (entry, word) in gear.iter_mut().zip(words) {
            *entry = u64::from_le_bytes(*word);
        }
        let doubled = Box::new(gear.map(|entry| entry << 1));
        let names = DataKey::from_bytes(*blake3::keyed_hash(group.as_bytes(), NAMES).as_bytes());
        Self { gear, doubled, names }
    }

    /// Length of the chunk that `data` begins with. It is the same whatever follows, if `data` has [`CHUNK_MAX`] bytes or ends
    /// the archive. Zero for nothing.
    pub fn cut(&self, data: &[u8]) -> usize {
        let (_, length) = fastcdc::v2020::cut_gear(
            data,
            CHUNK_MIN,
            CHUNK_NORMAL,
            CHUNK_MAX,
            STRICT,
            LOOSE,
            STRICT << 1,
            LOOSE << 1,
            self.gear.as_slice(),
            self.doubled.as_slice(),
        );
        // Never nothing of something: whoever cuts on would stand still.
        length.clamp(data.len().min(1), data.len())
    }

    /// What a chunk is called.
    pub fn name(&self, chunk: &[u8]) -> ChunkId {
        ChunkId(*blake3::keyed_hash(self.names.as_bytes(), chunk).as_bytes())
    }
}

#[cfg(test)]
mod tests;
