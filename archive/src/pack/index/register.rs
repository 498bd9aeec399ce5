//! The chunks of a pack by name, and where those went that older packs had: sealed under the pack's subkey, which they end with.

use super::Index;
use super::record::{list, number, read_number};
use crate::chunk::ChunkId;
use crate::pack::FRAME_BYTES;
use engine::Result;
use engine::catalog::record::{Record, RecordReader, RecordWriter};
use std::ops::Range;

/// The chunks that were first met in a pack, or moved into it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Register {
    /// By their places.
    pub chunks: Vec<NamedChunk>,
    /// What is here of the packs that this one replaces; by their places there, and none twice.
    pub moved: Vec<Moved>,
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

/// Bytes of an older pack that are here now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moved {
    /// Which one, by its place in [`Index::replaces`].
    pub pack: u32,
    /// The frame that they were in.
    pub frame: u32,
    /// Where they began there.
    pub at: u32,
    /// How many.
    pub length: u32,
    /// The frame that they are in now.
    pub new_frame: u32,
    /// Where they begin there.
    pub new_at: u32,
}

impl Moved {
    /// What orders them.
    pub(in crate::pack) const fn place(&self) -> (u32, u32, u32) {
        (self.pack, self.frame, self.at)
    }
}

impl Register {
    /// Where these bytes of a frame of an older pack are now, piece by piece; `None` where any of them is not here.
    pub fn find(&self, pack: u32, frame: u32, bytes: Range<u32>) -> Option<Vec<(u32, Range<u32>)>> {
        let mut found = Vec::new();
        let mut next = bytes.start;
        let first = self.moved.partition_point(|moved| moved.place() <= (pack, frame, bytes.start));
        for moved in &self.moved[first.saturating_sub(1)..] {
            if next >= bytes.end {
                break;
            }
            let end = moved.at.checked_add(moved.length)?;
            if (moved.pack, moved.frame) != (pack, frame) || moved.at > next || end <= next {
                return None;
            }
            let (skipped, until) = (next - moved.at, end.min(bytes.end));
            let from = moved.new_at + skipped;
            found.push((moved.new_frame, from..from + (until - next)));
            next = until;
        }
        (next >= bytes.end).then_some(found)
    }

    /// What is wrong with it, as the register of this index.
    pub(in crate::pack) fn fault(&self, index: &Index) -> Option<&'static str> {
        let here = |frame: u32, at: u32, length: u32| index.holds(frame, at.into(), length.into());
        if !self.chunks.iter().all(|chunk| here(chunk.frame, chunk.at, chunk.length)) {
            return Some("a chunk is not in its frame");
        }
        let moved = |moved: &Moved| {
            (moved.pack as usize) < index.replaces.len()
                && moved.length > 0
                && u64::from(moved.at) + u64::from(moved.length) <= FRAME_BYTES as u64
                && here(moved.new_frame, moved.new_at, moved.length)
        };
        if !self.moved.iter().all(moved) {
            return Some("what was moved is not in its frame");
        }
        let apart = |pair: &[Moved]| {
            let (pack, frame, at) = pair[0].place();
            (pack, frame, at.saturating_add(pair[0].length)) <= pair[1].place()
        };
        if self.moved.windows(2).all(apart) { None } else { Some("what was moved is out of order") }
    }
}

impl Record for Register {
    const NAME: &'static str = "register of a pack";
    const VERSION: u8 = 1;

    /// Chunks of one frame lie one behind the other: their places follow from their lengths.
    fn encode(&self, out: &mut RecordWriter) {
        out.count(self.chunks.len());
        let mut frame = 0;
        for chunk in &self.chunks {
            number(out, chunk.frame - frame);
            frame = chunk.frame;
            number(out, chunk.length);
            out.fixed(chunk.id.as_bytes());
        }
        out.count(self.moved.len());
        for moved in &self.moved {
            let Moved { pack, frame, at, length, new_frame, new_at } = *moved;
            for field in [pack, frame, at, length, new_frame, new_at] {
                number(out, field);
            }
        }
    }

    fn decode(_: u8, fields: &mut RecordReader<'_>) -> Result<Self> {
        let (mut frame, mut at) = (0_u32, 0_u32);
        let chunks = list(fields, |fields| {
            let ahead = read_number(fields)?;
            if ahead > 0 {
                at = 0;
            }
            let impossible = || fields.corrupt("a chunk beyond the end of any frame");
            frame = frame.checked_add(ahead).ok_or_else(impossible)?;
            let length = read_number(fields)?;
            let chunk = NamedChunk { id: ChunkId::from_bytes(fields.fixed()?), frame, at, length };
            at = at
                .checked_add(length)
                .ok_or_else(|| fields.corrupt("a chunk beyond the end of any frame"))?;
            Ok(chunk)
        })?;
        let moved = list(fields, |fields| {
            let (pack, frame, at) = (read_number(fields)?, read_number(fields)?, read_number(fields)?);
            let (length, new_frame, new_at) =
                (read_number(fields)?, read_number(fields)?, read_number(fields)?);
            Ok(Moved { pack, frame, at, length, new_frame, new_at })
        })?;
        Ok(Self { chunks, moved })
    }
}
