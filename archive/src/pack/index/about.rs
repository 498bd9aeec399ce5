//! What an entry says of its archive to whoever has its subkey: what ends with it.

use super::{Entry, Index, Place, Run};
use crate::pack::{FRAME_BYTES, NOTE_MAX, PART_BYTES};
use engine::Result;
use engine::catalog::record::{Record, RecordReader, RecordWriter};
use engine::clock::Timestamp;
use engine::codec::chunk::{SEALED_CHUNK_BYTES, sealed_len};
use engine::id::BlobId;

use super::record::{list, number, read_number, read_wide, run, wide};

const OWN: u8 = 0;
const GROUPED: u8 = 1;
const CHUNKED: u8 = 2;
const OUTSIDE: u8 = 3;

/// The bit of the kind that says that the hash of the whole archive follows.
const WHOLE: u8 = 0x80;
/// The bit that says that it is that of the part.
const SAME: u8 = 0x40;

/// What ends with an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// When it was made.
    pub created: Timestamp,
    /// Bytes of this part.
    pub length: u64,
    /// The SHA-256 tree hash of this part.
    pub part_hash: [u8; 32],
    /// That of the whole, where this is the last part.
    pub tree_hash: Option<[u8; 32]>,
    /// What its owner wrote.
    pub description: Vec<u8>,
    /// What the vault keeps beside that.
    pub note: Vec<u8>,
    /// Where its bytes are, as far as the entry does not tell.
    pub detail: Detail,
}

/// Where within frames the bytes of a part are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Detail {
    /// From the start of its own frames on.
    Own,
    /// In its frame from here on.
    Grouped {
        /// Where it begins there.
        at: u32,
    },
    /// In these runs, one behind the other.
    Chunked(Vec<Run>),
    /// From the start of its own frames on.
    Outside {
        /// Bytes at the start that belong to a chunk which began in the part before.
        lead: u32,
        /// The blobs whose sealed chunks begin here, one behind the other. The last chunk may end in the next part.
        blobs: Vec<Outer>,
    },
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

impl Outer {
    /// Bytes of its sealed chunks.
    pub fn sealed(&self) -> Option<u64> {
        let tags = self.plain.div_ceil(engine::codec::chunk::CHUNK_BYTES as u64);
        self.plain.checked_add(tags.checked_mul(engine::codec::chunk::TAG_BYTES as u64)?)
    }

    /// Where the run is cut by the end of a part that has `sealed` more of its bytes: the chunks that begin before that, how many bytes of
    /// the last one of them the next part begins with, and the chunks that begin there.
    pub fn cut(&self, sealed: u64) -> (Option<Self>, u32, Option<Self>) {
        let chunk = SEALED_CHUNK_BYTES as u64;
        let all = self.sealed().unwrap_or(u64::MAX);
        if sealed >= all {
            return (Some(*self), 0, None);
        }
        let chunks = sealed.div_ceil(chunk);
        let plain = chunks.saturating_mul(engine::codec::chunk::CHUNK_BYTES as u64).min(self.plain);
        let lead = sealed_len(plain) - sealed;
        let before = Self { plain, ..*self };
        let after =
            Self { first_chunk: self.first_chunk + chunks, plain: self.plain - plain, blob: self.blob };
        let some = |run: Self| (run.plain > 0).then_some(run);
        (some(before), u32::try_from(lead).unwrap_or(u32::MAX), some(after))
    }

    /// Whether `next` goes on where this one ends, so that both are one.
    pub(in crate::pack) fn goes_on(&self, next: &Self) -> bool {
        let chunk = engine::codec::chunk::CHUNK_BYTES as u64;
        self.blob == next.blob
            && self.plain.is_multiple_of(chunk)
            && self.first_chunk.checked_add(self.plain / chunk) == Some(next.first_chunk)
            && self.plain.checked_add(next.plain).is_some()
    }
}

impl About {
    /// What is wrong with it, as what this entry of this index says.
    pub(in crate::pack) fn fault(&self, index: &Index, entry: &Entry) -> Option<&'static str> {
        let alike = matches!(
            (&entry.place, &self.detail),
            (Place::Own { .. }, Detail::Own)
                | (Place::Grouped { .. }, Detail::Grouped { .. })
                | (Place::Chunked, Detail::Chunked(_))
                | (Place::Outside { .. }, Detail::Outside { .. })
        );
        let whole = entry.last || self.length.is_multiple_of(PART_BYTES);
        if !alike || entry.last != self.tree_hash.is_some() || !whole {
            return Some("it is of another entry");
        }
        let filled = |count: u32| self.length.div_ceil(FRAME_BYTES as u64) == u64::from(count);
        let there = match (&entry.place, &self.detail) {
            (Place::Own { count, .. }, _) => filled(*count),
            (Place::Grouped { frame }, Detail::Grouped { at }) => {
                index.holds(*frame, u64::from(*at), self.length)
            }
            (_, Detail::Chunked(runs)) => {
                let known = |run: &Run| match run.pack {
                    0 => index.holds(run.frame, run.at.into(), run.length.into()),
                    other => (other as usize) <= index.packs.len(),
                };
                let length = runs.iter().map(|run| u64::from(run.length)).sum::<u64>();
                runs.iter().all(known) && length == self.length
            }
            (Place::Outside { count, .. }, Detail::Outside { lead, blobs }) => {
                filled(*count) && covers(*lead, blobs, self.length, entry.last)
            }
            _ => false,
        };
        if there { None } else { Some("its bytes are not where it says") }
    }
}

/// Whether these chunks are what a part of ciphertext holds.
pub(in crate::pack) fn covers(lead: u32, blobs: &[Outer], length: u64, last: bool) -> bool {
    let sum = |sum: u64, blob: &Outer| sum.checked_add(blob.sealed()?);
    let Some(sealed) = blobs.iter().try_fold(u64::from(lead), sum) else { return false };
    let over = sealed.checked_sub(length);
    lead < SEALED_CHUNK_U32
        && if last { over == Some(0) } else { over.is_some_and(|over| over < SEALED_CHUNK_BYTES as u64) }
}

#[expect(clippy::cast_possible_truncation, reason = "64 KiB and a tag")]
const SEALED_CHUNK_U32: u32 = SEALED_CHUNK_BYTES as u32;

impl Record for About {
    const NAME: &'static str = "entry of a pack";
    const VERSION: u8 = 1;

    fn encode(&self, out: &mut RecordWriter) {
        let kind = match &self.detail {
            Detail::Own => OWN,
            Detail::Grouped { .. } => GROUPED,
            Detail::Chunked(_) => CHUNKED,
            Detail::Outside { .. } => OUTSIDE,
        };
        let whole = self.tree_hash.filter(|hash| *hash != self.part_hash);
        let said = match (whole, self.tree_hash) {
            (Some(_), _) => WHOLE,
            (None, Some(_)) => SAME,
            (None, None) => 0,
        };
        out.u8(kind | said).i64(self.created.as_millis()).u64(self.length).fixed(&self.part_hash);
        if let Some(hash) = &whole {
            out.fixed(hash);
        }
        out.bytes(&self.description).bytes(&self.note);
        match &self.detail {
            Detail::Own => {}
            Detail::Grouped { at } => number(out, *at),
            Detail::Chunked(runs) => {
                out.count(runs.len());
                for run in runs {
                    for field in [run.pack, run.frame, run.at, run.length] {
                        number(out, field);
                    }
                }
            }
            Detail::Outside { lead, blobs } => {
                number(out, *lead);
                out.count(blobs.len());
                for blob in blobs {
                    out.fixed(blob.blob.as_bytes());
                    wide(out, blob.first_chunk);
                    wide(out, blob.plain);
                }
            }
        }
    }

    fn decode(_: u8, fields: &mut RecordReader<'_>) -> Result<Self> {
        let kind = fields.u8()?;
        let (created, length) = (Timestamp::from_millis(fields.i64()?), fields.u64()?);
        let part_hash = fields.fixed()?;
        let tree_hash = match kind & (WHOLE | SAME) {
            0 => None,
            SAME => Some(part_hash),
            WHOLE => Some(fields.fixed()?),
            _ => return Err(fields.corrupt("two hashes of the whole")),
        };
        let (description, note) = (fields.bytes()?.to_vec(), fields.bytes()?.to_vec());
        if description.len() > NOTE_MAX || note.len() > NOTE_MAX {
            return Err(fields.corrupt("a description or note beyond the limit"));
        }
        let detail = match kind & !(WHOLE | SAME) {
            OWN => Detail::Own,
            GROUPED => Detail::Grouped { at: read_number(fields)? },
            CHUNKED => Detail::Chunked(list(fields, run)?),
            OUTSIDE => Detail::Outside {
                lead: read_number(fields)?,
                blobs: list(fields, |fields| {
                    let blob = BlobId::from_bytes(fields.fixed()?);
                    Ok(Outer { blob, first_chunk: read_wide(fields)?, plain: read_wide(fields)? })
                })?,
            },
            other => return Err(fields.corrupt(format!("an archive of kind {other}"))),
        };
        Ok(Self { created, length, part_hash, tree_hash, description, note, detail })
    }
}
