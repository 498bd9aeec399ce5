//! What is in a pack: subkeys by name, other packs, frames, chunks, archives.
//!
//! It is a record (`engine::catalog::record`), sealed under a key of the vault, so that a vault's whole index can be made again from its
//! packs. Whoever decodes one has it checked: every number leads to something, and every sum is right.

mod record;

pub(super) use record::room;

use super::squeeze::LENGTH_MAX;
use super::{ArchiveId, KeyId, PackId, VaultId};
use crate::chunk::ChunkId;
use engine::clock::Timestamp;
use engine::id::BlobId;
use std::collections::HashSet;

/// What a pack holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    /// Whose archives they are.
    pub vault: VaultId,
    /// What the tables of hashes and checksums in head and foot are for: with it, they are as authentic as this index is.
    pub tables: [u8; 32],
    /// When the pack was sealed.
    pub sealed_at: Timestamp,
    /// The subkeys that frames are under.
    pub keys: Vec<KeyId>,
    /// Other packs, that chunks of these archives lie in.
    pub packs: Vec<PackId>,
    /// All frames, in their order.
    pub frames: Vec<Frame>,
    /// The chunks that were first met here.
    pub chunks: Vec<NamedChunk>,
    /// Archives, or parts of them.
    pub archives: Vec<Entry>,
}

/// How a frame's plaintext became what was sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// As it is.
    Raw,
    /// One zstd frame.
    Zstd,
    /// One zstd frame of the first bytes of all words of two bytes, then the second ones: 16-bit floats.
    ZstdPlanes2,
    /// The same of words of four bytes: 32-bit floats.
    ZstdPlanes4,
}

/// What protects a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// A subkey, by its place in [`Index::keys`].
    Key(u32),
    /// It came as ciphertext.
    Outside,
}

/// A run of bytes that are read as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Where it begins, from the start of the data.
    pub offset: u32,
    /// Bytes in the pack, tags included.
    pub stored: u32,
    /// Bytes of what it holds.
    pub plain: u32,
    /// How they are kept.
    pub codec: Codec,
    /// Under which key.
    pub protection: Protection,
    /// What its key is derived with: random, drawn when it was sealed; zeros for ciphertext from outside.
    pub salt: [u8; 16],
}

/// A chunk that others may refer to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NamedChunk {
    /// Its name in the deduplication group.
    pub id: ChunkId,
    /// The frame that it is in.
    pub frame: u32,
    /// Where it begins there.
    pub at: u32,
    /// Its length.
    pub length: u32,
}

/// An archive, or as much of it as is in this pack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Which one.
    pub archive: ArchiveId,
    /// When it was made.
    pub created: Timestamp,
    /// Where this part begins in it; 0 in most.
    pub offset: u64,
    /// Bytes of this part.
    pub length: u64,
    /// This is its last part.
    pub last: bool,
    /// The subkey that `private` is under, by its place in [`Index::keys`]: where its content is under one, the same.
    pub key: u32,
    /// [`About`] it, sealed: gone with its subkey.
    pub private: Vec<u8>,
    /// Where its bytes are.
    pub place: Place,
}

/// What ends with an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// The SHA-256 tree hash of the whole, where this is the last part.
    pub tree_hash: Option<[u8; 32]>,
    /// What its owner wrote, or whatever the vault keeps there.
    pub description: Vec<u8>,
}

/// Where the bytes of an entry are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In frames that are its own, one behind the other.
    Own {
        /// The first one.
        first: u32,
        /// How many.
        count: u32,
    },
    /// In a frame that it shares.
    Grouped {
        /// Which one.
        frame: u32,
        /// Where it begins there.
        at: u32,
    },
    /// In chunks, here and in other packs.
    Chunked(Vec<Run>),
    /// In frames that are its own and hold ciphertext.
    Outside {
        /// The first one.
        first: u32,
        /// How many.
        count: u32,
        /// The blobs whose sealed chunks these are, one behind the other, of the whole archive; with its last part.
        blobs: Vec<Outer>,
    },
}

/// Bytes of one frame, of this pack or of another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// 0 for this pack, else one more than the place in [`Index::packs`].
    pub pack: u32,
    /// The frame.
    pub frame: u32,
    /// Where they begin there.
    pub at: u32,
    /// How many.
    pub length: u32,
}

/// A run of sealed chunks of one blob (`engine::codec::chunk`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outer {
    /// Whose they are: the additional data that they were sealed with.
    pub blob: BlobId,
    /// The first one's index in the blob.
    pub first_chunk: u64,
    /// Bytes of plaintext in them.
    pub plain: u64,
}

impl Index {
    /// What is wrong with it; sums and references only, for `data_bytes` of data.
    pub(super) fn fault(&self, data_bytes: u64) -> Option<String> {
        let mut offset = 0_u64;
        for (number, frame) in self.frames.iter().enumerate() {
            if u64::from(frame.offset) != offset {
                return Some(format!("frame {number} does not begin where the one before ends"));
            }
            if let Some(fault) = frame.fault(self.keys.len()) {
                return Some(format!("frame {number}: {fault}"));
            }
            offset += u64::from(frame.stored);
        }
        if offset > data_bytes {
            return Some(format!("its frames have {offset} bytes, its data {data_bytes}"));
        }
        for chunk in &self.chunks {
            if !self.holds(chunk.frame, chunk.at.into(), chunk.length.into()) {
                return Some(format!("{:?} is not in frame {}", chunk.id, chunk.frame));
            }
        }
        let mut taken = 0;
        for entry in &self.archives {
            if let Place::Own { count, .. } | Place::Outside { count, .. } = entry.place {
                taken += count as usize;
            }
            if taken > self.frames.len() {
                return Some(format!("{:?}: more frames are taken than there are", entry.archive));
            }
            if let Some(fault) = self.fault_of(entry) {
                return Some(format!("{:?}: {fault}", entry.archive));
            }
        }
        self.twice().map(|archive| format!("{archive:?} is there twice, or a part of it"))
    }

    /// An archive of which the same bytes are there twice.
    fn twice(&self) -> Option<ArchiveId> {
        let part = |entry: &Entry| (entry.archive, entry.offset, entry.offset.saturating_add(entry.length));
        let mut parts: Vec<_> = self.archives.iter().map(part).collect();
        parts.sort_unstable();
        let mut pairs = parts.windows(2);
        let found =
            pairs.find(|pair| pair[0].0 == pair[1].0 && (pair[0].1 == pair[1].1 || pair[1].1 < pair[0].2));
        found.map(|pair| pair[0].0)
    }

    fn fault_of(&self, entry: &Entry) -> Option<&'static str> {
        let Some(end) = entry.offset.checked_add(entry.length) else {
            return Some("its length is impossible");
        };
        if entry.key as usize >= self.keys.len() {
            return Some("its key is not there");
        }
        let own = |first: u32, count: u32, outside: bool| {
            let range = first as usize..first.checked_add(count)? as usize;
            let frames = self.frames.get(range)?;
            let alike = frames.iter().all(|frame| (frame.protection == Protection::Outside) == outside);
            let length = frames.iter().map(|frame| u64::from(frame.plain)).sum::<u64>();
            (alike && length == entry.length).then_some(())
        };
        let there = match &entry.place {
            Place::Own { first, count } => own(*first, *count, false),
            Place::Grouped { frame, at } => self.holds(*frame, (*at).into(), entry.length).then_some(()),
            Place::Chunked(runs) => {
                let known = |run: &Run| match run.pack {
                    0 => self.holds(run.frame, run.at.into(), run.length.into()),
                    other => (other as usize) <= self.packs.len(),
                };
                let length = runs.iter().map(|run| u64::from(run.length)).sum::<u64>();
                (runs.iter().all(known) && length == entry.length).then_some(())
            }
            Place::Outside { first, count, blobs } => own(*first, *count, true).filter(|()| {
                let sealed = blobs.iter().try_fold(0, |sum: u64, blob| sum.checked_add(blob.sealed()?));
                if entry.last { sealed == Some(end) } else { blobs.is_empty() }
            }),
        };
        if there.is_some() { None } else { Some("its bytes are not where it says") }
    }

    /// Whether a frame that the pack sealed has these bytes.
    fn holds(&self, frame: u32, at: u64, length: u64) -> bool {
        self.frames.get(frame as usize).is_some_and(|frame| {
            frame.protection != Protection::Outside && at.saturating_add(length) <= u64::from(frame.plain)
        })
    }

    /// The entry of an archive; where several parts of it are here, the first one of them that is listed.
    pub fn entry(&self, archive: ArchiveId) -> Option<&Entry> {
        self.archives.iter().find(|entry| entry.archive == archive)
    }

    /// The archives that have bytes in any of these frames.
    pub fn archives_in(&self, frames: &HashSet<u32>) -> Vec<ArchiveId> {
        let touches = |place: &Place| match place {
            Place::Own { first, count } | Place::Outside { first, count, .. } => {
                (*first..first.saturating_add(*count)).any(|frame| frames.contains(&frame))
            }
            Place::Grouped { frame, .. } => frames.contains(frame),
            Place::Chunked(runs) => runs.iter().any(|run| run.pack == 0 && frames.contains(&run.frame)),
        };
        let found = self.archives.iter().filter(|entry| entry.length > 0 && touches(&entry.place));
        let mut seen = HashSet::new();
        found.map(|entry| entry.archive).filter(|archive| seen.insert(*archive)).collect()
    }
}

impl Frame {
    fn fault(&self, keys: usize) -> Option<&'static str> {
        if self.plain == 0 || self.plain as usize > LENGTH_MAX || self.stored as usize > LENGTH_MAX {
            return Some("its length is impossible");
        }
        let (tags, known) = match self.protection {
            Protection::Outside => (false, true),
            Protection::Key(key) => (true, (key as usize) < keys),
        };
        if !known {
            return Some("its key is not there");
        }
        let whole =
            if tags { engine::codec::chunk::sealed_len(self.plain.into()) } else { self.plain.into() };
        match self.codec {
            Codec::Raw if u64::from(self.stored) == whole => None,
            Codec::Raw => Some("it is not as long as what it holds"),
            _ if !tags => Some("ciphertext is not compressed"),
            _ if u64::from(self.stored) > whole => Some("it is longer than what it holds"),
            _ => None,
        }
    }
}

impl Outer {
    /// Bytes of its sealed chunks.
    pub fn sealed(&self) -> Option<u64> {
        let tags = self.plain.div_ceil(engine::codec::chunk::CHUNK_BYTES as u64);
        self.plain.checked_add(tags.checked_mul(engine::codec::chunk::TAG_BYTES as u64)?)
    }
}
