//! What is in a pack: subkeys by name, other packs, frames, archives.
//!
//! ```text
//!   Index    under a key of the vault: which archives there are, which frames and subkeys each has, what the pack replaces
//!     └ Entry ── private, under the archive's subkey ──► About    lengths, hashes, dates, what its owner wrote, places within frames
//!     └ register ── under the pack's subkey ──► Register         names and lengths of chunks, and where those of older packs went
//! ```
//! It is a record (`engine::catalog::record`), sealed under a key of the vault, so that a vault's whole index can be made again from its
//! packs and its subkeys. What is made of content is sealed once more within it, by the key of that content: it ends with it. Whoever decodes one
//! has it checked: every number leads to something, and every sum is right.

mod about;
mod outer;
mod record;
mod register;

pub use about::{About, Detail, Outer};
pub(super) use outer::Wrapped;
pub(super) use record::room;
pub use register::{Moved, NamedChunk, Register};

use super::squeeze::{LENGTH_MAX, PADDED_TO};
use super::{ArchiveId, FRAME_BYTES, GroupId, KeyId, PART_BYTES, PackId, VaultId};
use engine::clock::Timestamp;
use engine::codec::chunk::{SEALED_CHUNK_BYTES, TAG_BYTES};
use std::collections::HashSet;

/// What a pack holds, as far as it is told to whoever has a key of the vault's indexes and no subkey.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    /// Whose archives they are.
    pub vault: VaultId,
    /// When the pack was sealed.
    pub sealed_at: Timestamp,
    /// Whose names its chunks have, if they are deduplicated.
    pub group: Option<GroupId>,
    /// The subkeys that frames are under.
    pub keys: Vec<KeyId>,
    /// Other packs, that chunks of these archives lie in.
    pub packs: Vec<PackId>,
    /// Packs that this one was written in the place of: whoever looks for a chunk in one of them finds it here, by the register.
    pub replaces: Vec<PackId>,
    /// All frames, in their order.
    pub frames: Vec<Frame>,
    /// The chunks, sealed: by its place in [`Index::keys`], the subkey that they are under, and a [`Register`].
    pub register: Option<(u32, Vec<u8>)>,
    /// Archives, or parts of them.
    pub archives: Vec<Entry>,
    /// Archives that are no more, and when they ended, whatever older packs say.
    pub dropped: Vec<(ArchiveId, Timestamp)>,
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
    /// Bytes in the pack, tags and what it is padded with included.
    pub stored: u32,
    /// How they are kept.
    pub codec: Codec,
    /// Under which key.
    pub protection: Protection,
    /// What its key is derived with: random, drawn when it was sealed; zeros for ciphertext from outside.
    pub salt: [u8; 16],
}

/// An archive, or as much of it as is in this pack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Which one.
    pub archive: ArchiveId,
    /// Where this part begins in it, in MiB; 0 in most.
    pub part: u32,
    /// This is its last part.
    pub last: bool,
    /// The subkey that `private` is under, by its place in [`Index::keys`]: where its content is under one, the same.
    pub key: u32,
    /// [`About`] it, sealed: gone with its subkey.
    pub private: Vec<u8>,
    /// Which frames its bytes are in.
    pub place: Place,
}

/// Which frames the bytes of an entry are in. Where in them is a matter of [`Detail`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In frames that are its own, one behind the other: all but the last hold [`FRAME_BYTES`].
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
    },
    /// In chunks, here and in other packs.
    Chunked,
    /// In frames that are its own and hold ciphertext: all but the last hold [`FRAME_BYTES`].
    Outside {
        /// The first one.
        first: u32,
        /// How many.
        count: u32,
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

impl Entry {
    /// Where this part begins in its archive.
    pub const fn offset(&self) -> u64 {
        self.part as u64 * PART_BYTES
    }
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
        if self.register.as_ref().is_some_and(|(key, _)| *key as usize >= self.keys.len()) {
            return Some("the key of its register is not there".into());
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

    /// An archive of which the same part is there twice.
    fn twice(&self) -> Option<ArchiveId> {
        let mut parts: Vec<_> = self.archives.iter().map(|entry| (entry.archive, entry.part)).collect();
        parts.sort_unstable();
        let mut pairs = parts.windows(2);
        pairs.find(|pair| pair[0] == pair[1]).map(|pair| pair[0].0)
    }

    fn fault_of(&self, entry: &Entry) -> Option<&'static str> {
        if entry.key as usize >= self.keys.len() {
            return Some("its key is not there");
        }
        let own = |first: u32, count: u32, outside: bool| {
            let range = first as usize..first.checked_add(count)? as usize;
            let frames = self.frames.get(range)?;
            let alike = frames.iter().all(|frame| (frame.protection == Protection::Outside) == outside);
            alike.then_some(())
        };
        let there = match entry.place {
            Place::Own { first, count } => own(first, count, false),
            Place::Grouped { frame } => self.holds(frame, 0, 0).then_some(()),
            Place::Chunked => Some(()),
            Place::Outside { first, count } => own(first, count, true),
        };
        if there.is_some() { None } else { Some("its bytes are not where it says") }
    }

    /// Whether a frame that the pack sealed may have these bytes: it says how many only once it is open.
    pub(super) fn holds(&self, frame: u32, at: u64, length: u64) -> bool {
        self.frames.get(frame as usize).is_some_and(|frame| {
            frame.protection != Protection::Outside && at.saturating_add(length) <= FRAME_BYTES as u64
        })
    }

    /// The entry of an archive; where several parts of it are here, the first one of them that is listed.
    pub fn entry(&self, archive: ArchiveId) -> Option<&Entry> {
        self.archives.iter().find(|entry| entry.archive == archive)
    }

    /// The archives that have frames of their own, or a share of one, among these. Those in chunks are told by [`Detail::Chunked`].
    pub fn archives_in(&self, frames: &HashSet<u32>) -> Vec<ArchiveId> {
        let touches = |place: &Place| match place {
            Place::Own { first, count } | Place::Outside { first, count } => {
                (*first..first.saturating_add(*count)).any(|frame| frames.contains(&frame))
            }
            Place::Grouped { frame } => frames.contains(frame),
            Place::Chunked => false,
        };
        let found = self.archives.iter().filter(|entry| touches(&entry.place));
        let mut seen = HashSet::new();
        found.map(|entry| entry.archive).filter(|archive| seen.insert(*archive)).collect()
    }
}

impl Frame {
    /// Bytes of what was sealed, tags apart; `None` for a length that nothing has.
    pub(super) const fn content(&self) -> Option<u32> {
        let stored = self.stored as usize;
        if stored == 0 || stored > LENGTH_MAX {
            return None;
        }
        if matches!(self.protection, Protection::Outside) {
            return if stored > FRAME_BYTES { None } else { Some(self.stored) };
        }
        let (whole, rest) = (stored / SEALED_CHUNK_BYTES, stored % SEALED_CHUNK_BYTES);
        if rest > 0 && rest <= TAG_BYTES {
            return None;
        }
        let tags = whole + if rest > 0 { 1 } else { 0 };
        #[expect(clippy::cast_possible_truncation, reason = "below a pack's length")]
        Some((stored - tags * TAG_BYTES) as u32)
    }

    fn fault(&self, keys: usize) -> Option<&'static str> {
        let Some(content) = self.content() else {
            return Some("its length is impossible");
        };
        match self.protection {
            Protection::Key(key) if key as usize >= keys => Some("its key is not there"),
            Protection::Outside if self.codec != Codec::Raw => Some("ciphertext is not compressed"),
            _ if content as usize > FRAME_BYTES || !(content as usize).is_multiple_of(PADDED_TO) => {
                Some("its length is impossible")
            }
            _ => None,
        }
    }
}
