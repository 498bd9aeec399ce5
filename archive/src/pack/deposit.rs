//! One archive on its way into a pack.
//!
//! ```text
//!   bytes ──► of a vault that deduplicates: cut ──► known: a reference; new: into the shared frame
//!        ├──► less than 64 KiB in all: into the shared frame
//!        ├──► more: frames of its own under a subkey of its own
//!        └──► ciphertext: frames of its own, as they are
//! ```
//! A deposit that is dropped leaves no archive behind. Its frames stay, dead, as its chunks do, which others may refer to.

use super::index::{About, Detail, Outer, Place, Run, room};
use super::keys::KeyFor;
use super::squeeze::Habit;
use super::writer::{Dedup, Open, Pack, Pending, Sealer};
use super::{ArchiveId, FRAME_BYTES, NOTE_MAX, OWN_FRAMES_FROM, PART_BYTES};
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
    /// What its owner wrote, at most [`NOTE_MAX`] bytes that come back as they are.
    pub description: Vec<u8>,
    /// What the vault keeps beside that, at most as much.
    pub note: Vec<u8>,
    /// Where these bytes begin in it: 0, or where the part before them ended.
    pub offset: u64,
    /// They are sealed chunks of blobs, which are kept as they are.
    pub outside: bool,
    /// Of those, bytes at the start that belong to the last chunk that was [announced](Deposit::announce) in the part before.
    pub lead: u32,
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
    Own { frames: Frames, sealer: Option<Sealer>, habit: Habit },
    Chunked {
        dedup: Dedup,
        runs: Vec<Run>,
        /// Bytes of them.
        length: u64,
    },
    Outside {
        frames: Frames,
        blobs: Vec<Outer>,
        /// Bytes that these have, and those that the part begins with.
        announced: u64,
        /// There was no room for another one.
        full: bool,
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

/// The hashes that a part ends with.
#[derive(Clone, Copy)]
struct Hashes {
    part: [u8; 32],
    whole: Option<[u8; 32]>,
}

impl<'p> Deposit<'p> {
    pub(super) fn begin(pack: &'p mut Pack<Open>, head: Head) -> Result<Self> {
        free(pack, &head, 0)?;
        let way = match &pack.state.options.dedup {
            _ if head.outside => Way::Outside {
                frames: Frames::default(),
                blobs: Vec::new(),
                announced: head.lead.into(),
                full: false,
            },
            Some(dedup) => Way::Chunked { dedup: dedup.clone(), runs: Vec::new(), length: 0 },
            None => Way::Own { frames: Frames::default(), sealer: None, habit: Habit::of_one() },
        };
        pack.state.take_index(room::ENTRY + head.description.len() + head.note.len());
        Ok(Self { pack, head, length: 0, buffer: Vec::new(), way })
    }

    /// Of an archive of ciphertext: says whose chunks the bytes are that come next. `false` when the index has no room for it:
    /// [`suspend`](Self::suspend) it then.
    pub fn announce(&mut self, run: Outer) -> Result<bool> {
        self.pack.check()?;
        let wrong = |detail| Error::Invalid(format!("announce chunks of {:?}: {detail}", run.blob));
        let room = self.pack.state.index_room().saturating_sub(room::FRAME);
        let Way::Outside { blobs, announced, full, .. } = &mut self.way else {
            return Err(wrong("the archive is none of ciphertext"));
        };
        let sealed = run.sealed().and_then(|sealed| announced.checked_add(sealed));
        let sealed = sealed.ok_or_else(|| wrong("they are longer than anything"))?;
        if let Some(last) = blobs.last_mut().filter(|last| last.goes_on(&run)) {
            last.plain += run.plain;
        } else if room < room::OUTER {
            *full = true;
            return Ok(false);
        } else {
            blobs.push(run);
            self.pack.state.take_index(room::OUTER);
        }
        *announced = sealed;
        Ok(true)
    }

    /// Takes bytes, and says how many: fewer than there are when the pack is full ([`suspend`](Self::suspend) it then).
    /// After an error the pack is good for nothing but to be discarded.
    pub fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        self.pack.check()?;
        if let Way::Outside { announced, .. } = self.way
            && self.length.saturating_add(bytes.len() as u64) > announced
        {
            return Err(Error::Invalid(format!(
                "deposit {}: {} bytes of sealed chunks, of which {announced} were announced",
                self.head.archive,
                self.length + bytes.len() as u64
            )));
        }
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
            Way::Own { .. } | Way::Outside { .. } => (FRAME_BYTES, FRAME_BYTES),
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
                    None => sealer.insert(state.fresh(id, KeyFor::Archive(archive))?),
                };
                frames.push(state.seal_frame(id, sealer, bytes, habit)?);
                Ok(bytes.len())
            }
            Way::Outside { frames, .. } => {
                frames.push(state.keep_frame(bytes)?);
                Ok(bytes.len())
            }
            Way::Chunked { dedup, runs, length } => {
                let cut = dedup.cutter.cut(bytes);
                let run = state.chunk(id, dedup, &bytes[..cut])?;
                match runs.last_mut() {
                    Some(last) if follows(*last, run) => last.length += run.length,
                    _ => {
                        runs.push(run);
                        state.take_index(room::RUN);
                    }
                }
                *length += u64::from(run.length);
                Ok(cut)
            }
        })
    }

    /// Ends an archive that is in this pack as a whole. `tree_hash` is its SHA-256 tree hash.
    pub fn finish(self, tree_hash: [u8; 32]) -> Result<()> {
        if self.head.offset > 0 {
            return Err(Error::Invalid(format!(
                "end {} by the hash of the whole alone: what is here begins at byte {}",
                self.head.archive, self.head.offset
            )));
        }
        self.finish_part(tree_hash, tree_hash)
    }

    /// Ends the last part of an archive: the tree hash of these bytes, and that of all of it.
    pub fn finish_part(mut self, part_hash: [u8; 32], tree_hash: [u8; 32]) -> Result<()> {
        self.pack.check()?;
        free(self.pack, &self.head, self.length)?;
        if let Way::Outside { announced, .. } = self.way
            && announced != self.length
        {
            let (archive, length) = (self.head.archive, self.length);
            return Err(Error::Invalid(format!(
                "deposit {archive}: the sealed chunks of its blobs are {announced} bytes, and {length} came"
            )));
        }
        let hashes = Hashes { part: part_hash, whole: Some(tree_hash) };
        let small = self.head.offset == 0 && self.length < OWN_FRAMES_FROM as u64;
        if small && self.length > 0 && matches!(self.way, Way::Own { .. }) {
            let (id, buffer) = (self.pack.id, &self.buffer);
            let (run, key) = self.pack.step(|state| Ok((state.share(id, buffer)?, state.shared_key(id)?)))?;
            self.enter(Place::Grouped { frame: run.frame }, Detail::Grouped { at: run.at }, hashes, &key);
            return Ok(());
        }
        self.flush()?;
        self.end(hashes)
    }

    /// Where this part would end if it were [suspended](Self::suspend) now: parts end at multiples of [`PART_BYTES`].
    pub const fn cut(&self) -> u64 {
        self.head.offset + self.kept()
    }

    const fn kept(&self) -> u64 {
        self.length - self.length % PART_BYTES
    }

    /// Ends this part of the archive at its [`cut`](Self::cut), and answers where that is: the next part begins there, so what was taken from
    /// there on, less than [`PART_BYTES`], is to be given again. `part_hash` is the SHA-256 tree hash of this part, and of no account where
    /// nothing of the archive is kept here. [`Error::TooLarge`] where nothing more would ever be: a list of blobs that fills the
    /// index of an empty pack.
    pub fn suspend(mut self, part_hash: [u8; 32]) -> Result<u64> {
        self.pack.check()?;
        let (kept, next) = (self.kept(), self.cut());
        free(self.pack, &self.head, kept)?;
        if kept == 0 {
            let full = matches!(self.way, Way::Outside { full: true, .. });
            let never = full || (self.length > 0 && self.length + self.room() < PART_BYTES);
            if never && self.pack.archives() == 0 {
                let limit = self.pack.state.index_max as u64;
                return Err(Error::TooLarge { what: "a list of blobs", size: limit, limit });
            }
            return Ok(next);
        }
        let excess = self.length - kept;
        self.length = kept;
        match &mut self.way {
            // What is beyond the last full frame waits, and is no more.
            Way::Own { .. } | Way::Outside { .. } => {}
            Way::Chunked { length, .. } => {
                let cut = *length;
                let waits = usize::try_from(kept.saturating_sub(cut)).unwrap_or(usize::MAX);
                debug_assert!(self.buffer.len() as u64 + cut == kept + excess);
                self.buffer.truncate(waits);
                self.flush()?;
            }
        }
        self.buffer.clear();
        self.way.cut(kept);
        self.end(Hashes { part: part_hash, whole: None })?;
        Ok(next)
    }

    /// Makes frames or chunks of what waits.
    fn flush(&mut self) -> Result<()> {
        let buffer = std::mem::take(&mut self.buffer);
        let mut rest = &buffer[..];
        while !rest.is_empty() {
            rest = &rest[self.unit(rest)?..];
        }
        Ok(())
    }

    fn end(mut self, hashes: Hashes) -> Result<()> {
        let (id, archive, lead, way) = (self.pack.id, self.head.archive, self.head.lead, &mut self.way);
        let (place, detail, sealer) = self.pack.step(|state| way.end(state, id, archive, lead))?;
        self.enter(place, detail, hashes, &sealer);
        Ok(())
    }

    fn enter(self, place: Place, detail: Detail, hashes: Hashes, sealer: &Arc<Sealer>) {
        let Self { pack, head, length, .. } = self;
        let end = head.offset.saturating_add(length);
        pack.state.parts.entry(head.archive).or_default().push(head.offset..end);
        pack.state.entries.push(Pending {
            archive: head.archive,
            part: u32::try_from(head.offset / PART_BYTES).unwrap_or(u32::MAX),
            place,
            sealer: Arc::clone(sealer),
            about: About {
                created: head.created,
                length,
                part_hash: hashes.part,
                tree_hash: hashes.whole,
                description: head.description,
                note: head.note,
                detail,
            },
        });
    }
}

impl Head {
    /// Refuses what no part has.
    pub(super) fn check(&self) -> Result<()> {
        for (what, bytes) in [("a description", &self.description), ("a note", &self.note)] {
            if bytes.len() > NOTE_MAX {
                let (size, limit) = (bytes.len() as u64, NOTE_MAX as u64);
                return Err(Error::TooLarge { what, size, limit });
            }
        }
        let part = self.offset.is_multiple_of(PART_BYTES) && u32::try_from(self.offset / PART_BYTES).is_ok();
        let lead = self.lead == 0 || (self.outside && self.offset > 0);
        if part && lead {
            return Ok(());
        }
        Err(Error::Invalid(format!(
            "deposit {} from byte {} on: parts begin at multiples of 1 MiB, where the one before was cut",
            self.archive, self.offset
        )))
    }
}

impl Way {
    /// Leaves out what is beyond the end of the part.
    fn cut(&mut self, kept: u64) {
        match self {
            Self::Own { .. } => {}
            Self::Chunked { runs, length, .. } => {
                while *length > kept {
                    let Some(last) = runs.last_mut() else { return };
                    let excess = u32::try_from(*length - kept).unwrap_or(u32::MAX).min(last.length);
                    last.length -= excess;
                    *length -= u64::from(excess);
                    if last.length == 0 {
                        runs.pop();
                    }
                }
            }
            Self::Outside { blobs, announced, .. } => {
                while let Some(last) = blobs.last_mut() {
                    let begins = announced.saturating_sub(last.sealed().unwrap_or(0));
                    let (before, _, _) = last.cut(kept.saturating_sub(begins));
                    if let Some(before) = before.filter(|_| begins < kept) {
                        *announced = begins + before.sealed().unwrap_or(0);
                        *last = before;
                        return;
                    }
                    *announced = begins;
                    blobs.pop();
                }
            }
        }
    }

    /// Where the bytes went that came this way, and the key of what is said of them: that of the bytes, if they have one of the vault's.
    fn end(
        &mut self,
        state: &mut Open,
        pack: super::PackId,
        archive: ArchiveId,
        lead: u32,
    ) -> Result<(Place, Detail, Arc<Sealer>)> {
        Ok(match self {
            Self::Own { frames, sealer, .. } => {
                let sealer = match sealer.take() {
                    Some(sealer) => sealer,
                    None => state.fresh(pack, KeyFor::Archive(archive))?,
                };
                let Frames { first, count } = *frames;
                (Place::Own { first, count }, Detail::Own, Arc::new(sealer))
            }
            Self::Chunked { runs, .. } => {
                (Place::Chunked, Detail::Chunked(std::mem::take(runs)), state.shared_key(pack)?)
            }
            Self::Outside { frames, blobs, .. } => {
                let sealer = state.fresh(pack, KeyFor::Archive(archive))?;
                let Frames { first, count } = *frames;
                let detail = Detail::Outside { lead, blobs: std::mem::take(blobs) };
                (Place::Outside { first, count }, detail, Arc::new(sealer))
            }
        })
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

/// Whether `next` continues `last` within its frame.
fn follows(last: Run, next: Run) -> bool {
    (last.pack, last.frame) == (next.pack, next.frame) && last.at + last.length == next.at
}
