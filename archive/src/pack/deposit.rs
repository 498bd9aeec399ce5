//! One archive on its way into a pack.
//!
//! ```text
//!   bytes ──► of a vault that deduplicates: cut ──► known: a reference; new: into the shared frame
//!        ├──► less than 64 KiB in all: into the shared frame
//!        ├──► more: frames of its own under a subkey of its own
//!        └──► ciphertext: frames of its own, as they are
//! ```
//! A deposit that is dropped leaves no archive behind. Its frames stay, dead, as its chunks do, which others may refer to.

use super::index::{Entry, Outer, Place, Run, room};
use super::keys::KeyFor;
use super::squeeze::{Habit, LENGTH_MAX};
use super::writer::{Dedup, Open, Pack, Sealer};
use super::{ArchiveId, DESCRIPTION_MAX, FRAME_BYTES, OWN_FRAMES_FROM};
use crate::chunk::{CHUNK_MAX, CHUNK_MIN};
use engine::clock::Timestamp;
use engine::{Error, Result};
use std::sync::Arc;

/// Index bytes that a chunk can cost: its name, a run, another pack.
const CHUNK_COST: usize = room::CHUNK + room::RUN + room::ID;

/// What is known of an archive before its bytes come.
#[derive(Clone, Debug)]
pub struct Head {
    /// Which one.
    pub archive: ArchiveId,
    /// When it was made.
    pub created: Timestamp,
    /// At most 1 KiB that come back as they are.
    pub description: Vec<u8>,
    /// Where these bytes begin in it: 0, or where the part before them ended.
    pub offset: u64,
    /// They are sealed chunks of blobs, which are kept as they are.
    pub outside: bool,
}

/// An archive, or a part of one, that is being deposited.
#[derive(Debug)]
pub struct Deposit<'p> {
    pack: &'p mut Pack<Open>,
    head: Head,
    length: u64,
    buffer: Vec<u8>,
    way: Way,
}

enum Way {
    /// Frames of its own; the sealer comes with the first one.
    Own {
        frames: Frames,
        sealer: Option<Sealer>,
        habit: Habit,
    },
    Chunked {
        dedup: Dedup,
        runs: Vec<Run>,
    },
    Outside {
        frames: Frames,
    },
}

impl std::fmt::Debug for Way {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Own { .. } => "own",
            Self::Chunked { .. } => "chunked",
            Self::Outside { .. } => "outside",
        })
    }
}

/// Frames that lie behind one another.
#[derive(Clone, Copy, Debug, Default)]
struct Frames {
    first: u32,
    count: u32,
}

impl Frames {
    const fn push(&mut self, frame: u32) {
        if self.count == 0 {
            self.first = frame;
        }
        self.count += 1;
    }
}

impl<'p> Deposit<'p> {
    pub(super) fn begin(pack: &'p mut Pack<Open>, head: Head) -> Result<Self> {
        if head.description.len() > DESCRIPTION_MAX {
            return Err(Error::TooLarge {
                what: "a description",
                size: head.description.len() as u64,
                limit: DESCRIPTION_MAX as u64,
            });
        }
        free(pack, &head, 0)?;
        let way = match &pack.state.options.dedup {
            _ if head.outside => Way::Outside { frames: Frames::default() },
            Some(dedup) => Way::Chunked { dedup: dedup.clone(), runs: Vec::new() },
            None => Way::Own { frames: Frames::default(), sealer: None, habit: Habit::of_one() },
        };
        pack.state.take_index(room::ENTRY + head.description.len());
        Ok(Self { pack, head, length: 0, buffer: Vec::new(), way })
    }

    /// Takes bytes, and says how many: fewer than there are when the pack is full ([`suspend`](Self::suspend) it then).
    /// After an error the pack is good for nothing but to be discarded.
    pub fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        self.pack.check()?;
        let mut taken = 0;
        loop {
            // There is more room again where what was taken became less.
            let room = usize::try_from(self.room()).unwrap_or(usize::MAX).min(bytes.len() - taken);
            if room == 0 {
                return Ok(taken);
            }
            let mut now = &bytes[taken..taken + room];
            while !now.is_empty() {
                now = self.feed(now)?;
            }

            taken += room;
            self.length += room as u64;
        }
    }

    /// Bytes that certainly find room, those that wait left out.
    fn room(&self) -> u64 {
        let state = &self.pack.state;
        let by_index = match &self.way {
            Way::Chunked { .. } => (state.index_room() / CHUNK_COST) as u64 * CHUNK_MIN as u64,
            Way::Own { .. } | Way::Outside { .. } => {
                (state.index_room() / room::FRAME) as u64 * FRAME_BYTES as u64
            }
        };
        state.room().min(by_index).saturating_sub(self.buffer.len() as u64)
    }

    /// Takes some of the bytes, and gives back the rest.
    fn feed<'b>(&mut self, bytes: &'b [u8]) -> Result<&'b [u8]> {
        // How much is gathered, and how much of that is enough for the next frame or chunk.
        let (gathered, enough) = match self.way {
            Way::Own { .. } => (FRAME_BYTES, FRAME_BYTES),
            Way::Outside { .. } => (LENGTH_MAX, LENGTH_MAX),
            Way::Chunked { .. } => (FRAME_BYTES, CHUNK_MAX),
        };
        // What needs no waiting is not copied.
        if self.buffer.is_empty() && bytes.len() >= enough {
            let used = self.unit(&bytes[..enough])?;
            return Ok(&bytes[used..]);
        }
        let (now, later) = bytes.split_at(bytes.len().min(gathered - self.buffer.len()));
        self.buffer.extend_from_slice(now);
        if self.buffer.len() == gathered {
            let mut buffer = std::mem::take(&mut self.buffer);
            let mut used = 0;
            while buffer.len() - used >= enough {
                used += self.unit(&buffer[used..used + enough])?;
            }
            buffer.drain(..used);
            self.buffer = buffer;
        }
        Ok(later)
    }

    /// Makes a frame or a chunk of the start of `bytes`: how many it took.
    fn unit(&mut self, bytes: &[u8]) -> Result<usize> {
        let (id, archive, way) = (self.pack.id, self.head.archive, &mut self.way);
        self.pack.step(|state| match way {
            Way::Own { frames, sealer, habit } => {
                let sealer = match sealer {
                    Some(sealer) => sealer,
                    None => sealer.insert(state.fresh(KeyFor::Archive(archive))?),
                };
                frames.push(state.seal_frame(id, sealer, bytes, habit)?);
                Ok(bytes.len())
            }
            Way::Outside { frames } => {
                frames.push(state.keep_frame(bytes)?);
                Ok(bytes.len())
            }
            Way::Chunked { dedup, runs } => {
                let length = dedup.cutter.cut(bytes);
                let run = state.chunk(id, dedup, &bytes[..length])?;
                match runs.last_mut() {
                    Some(last) if follows(*last, run) => last.length += run.length,
                    _ => {
                        runs.push(run);
                        state.take_index(room::RUN);
                    }
                }
                Ok(length)
            }
        })
    }

    /// Ends the archive. `tree_hash` is that of all of it.
    pub fn finish(self, tree_hash: [u8; 32]) -> Result<()> {
        self.finish_outside(tree_hash, Vec::new())
    }

    /// Ends an archive of ciphertext: `blobs` says whose chunks these are, of the whole archive.
    pub fn finish_outside(self, tree_hash: [u8; 32], blobs: Vec<Outer>) -> Result<()> {
        self.pack.check()?;
        free(self.pack, &self.head, self.length)?;
        let whole = self.head.offset.saturating_add(self.length);
        let sealed = blobs.iter().try_fold(0, |sum: u64, blob| sum.checked_add(blob.sealed()?));
        if self.head.outside && sealed != Some(whole) {
            let archive = self.head.archive;
            return Err(Error::Invalid(format!(
                "deposit {archive}: the sealed chunks of its blobs are not the {whole} bytes that came"
            )));
        }
        let small = self.head.offset == 0 && self.length < OWN_FRAMES_FROM as u64;
        if small && self.length > 0 && matches!(self.way, Way::Own { .. }) {
            let (id, buffer) = (self.pack.id, &self.buffer);
            let (run, key) = self.pack.step(|state| Ok((state.share(id, buffer)?, state.shared_key()?)))?;
            self.enter(Place::Grouped { frame: run.frame, at: run.at }, Some(tree_hash), &key);
            return Ok(());
        }
        self.end(Some(tree_hash), blobs)
    }

    /// Ends this part of the archive; the next one begins at the offset that this answers.
    pub fn suspend(self) -> Result<u64> {
        self.pack.check()?;
        free(self.pack, &self.head, self.length)?;
        let next = self.head.offset + self.length;
        if self.length > 0 {
            self.end(None, Vec::new())?;
        }
        Ok(next)
    }

    fn end(mut self, tree_hash: Option<[u8; 32]>, blobs: Vec<Outer>) -> Result<()> {
        let cost = blobs.len().saturating_mul(room::OUTER);
        // What waits is one frame more.
        let limit = self.pack.state.index_room().saturating_sub(room::FRAME);
        if cost > 0 && cost > limit {
            return Err(Error::TooLarge { what: "a list of blobs", size: cost as u64, limit: limit as u64 });
        }
        self.pack.state.take_index(cost);
        let buffer = std::mem::take(&mut self.buffer);
        let mut rest = &buffer[..];
        while !rest.is_empty() {
            rest = &rest[self.unit(rest)?..];
        }
        let (archive, way) = (self.head.archive, &mut self.way);
        let (place, sealer) = self.pack.step(|state| finish_way(state, way, archive, blobs))?;
        self.enter(place, tree_hash, &sealer);
        Ok(())
    }

    fn enter(self, place: Place, tree_hash: Option<[u8; 32]>, sealer: &Sealer) {
        let Self { pack, head, length, .. } = self;
        let (key, private) =
            pack.state.seal_about(pack.id, sealer, head.archive, tree_hash, &head.description);
        let end = head.offset.saturating_add(length);
        pack.state.parts.entry(head.archive).or_default().push(head.offset..end);
        pack.state.index.archives.push(Entry {
            archive: head.archive,
            created: head.created,
            offset: head.offset,
            length,
            last: tree_hash.is_some(),
            key,
            private,
            place,
        });
    }
}

/// Refuses a part of which the pack has bytes already.
fn free(pack: &Pack<Open>, head: &Head, length: u64) -> Result<()> {
    let (start, end) = (head.offset, head.offset.saturating_add(length));
    let parts = pack.state.parts.get(&head.archive).map(Vec::as_slice).unwrap_or_default();
    if parts
        .iter()
        .any(|part| part.start == start || (part.start.max(start) < part.end.min(end.max(start + 1))))
    {
        return Err(Error::Invalid(format!(
            "deposit {} from byte {start} on: pack {} has it, or part of it",
            head.archive, pack.id
        )));
    }
    Ok(())
}

/// Where the bytes went that came one way, and the key of what is said of them: that of the bytes, if they have one of the vault's.
fn finish_way(
    state: &mut Open,
    way: &mut Way,
    archive: ArchiveId,
    blobs: Vec<Outer>,
) -> Result<(Place, Arc<Sealer>)> {
    Ok(match way {
        Way::Own { frames, sealer, .. } => {
            let sealer = match sealer.take() {
                Some(sealer) => sealer,
                None => state.fresh(KeyFor::Archive(archive))?,
            };
            (Place::Own { first: frames.first, count: frames.count }, Arc::new(sealer))
        }
        Way::Chunked { runs, .. } => (Place::Chunked(std::mem::take(runs)), state.shared_key()?),
        Way::Outside { frames } => {
            let sealer = state.fresh(KeyFor::Archive(archive))?;
            (Place::Outside { first: frames.first, count: frames.count, blobs }, Arc::new(sealer))
        }
    })
}

/// Whether `next` continues `last` within its frame.
fn follows(last: Run, next: Run) -> bool {
    (last.pack, last.frame) == (next.pack, next.frame) && last.at + last.length == next.at
}
