//! An index as bytes. The table is in docs/formats/pack.md.

use super::super::{ArchiveId, DESCRIPTION_MAX, KeyId, PackId, VaultId};
use super::{Codec, Entry, Frame, Index, NamedChunk, Outer, Place, Protection, Run};
use crate::chunk::ChunkId;
use engine::catalog::record::{Record, RecordReader, RecordWriter};
use engine::clock::Timestamp;
use engine::codec::chunk::TAG_BYTES;
use engine::id::BlobId;
use engine::{Error, Result};

const OWN: u8 = 0;
const GROUPED: u8 = 1;
const CHUNKED: u8 = 2;
const OUTSIDE: u8 = 3;

/// The bit of an entry's kind that says that it is the last part.
const LAST: u8 = 0x80;

/// The bytes that a record of these parts can take at the most, so that a writer knows when its index is full. Numbers within a pack have
/// at most 21 bits, so three bytes.
pub(in crate::pack) mod room {
    /// What every index has.
    pub(in crate::pack) const FIXED: usize = 1 + 16 + 32 + 8 + 6 * 5;
    /// A key, or another pack.
    pub(in crate::pack) const ID: usize = 16;
    /// A frame.
    pub(in crate::pack) const FRAME: usize = 3 + 3 + 1 + 3 + 16;
    /// A chunk.
    pub(in crate::pack) const CHUNK: usize = 32 + 3 + 3;
    /// An archive, description and runs apart.
    pub(in crate::pack) const ENTRY: usize = 16 + 1 + 8 + 8 + 8 + 3 + 2 + 16 + 32 + 16 + 3 * 3;
    /// A run.
    pub(in crate::pack) const RUN: usize = 4 * 3;
    /// A blob of ciphertext.
    pub(in crate::pack) const OUTER: usize = 16 + 8 + 8;
}

impl Record for Index {
    const NAME: &'static str = "index of a pack";
    const VERSION: u8 = 1;

    fn encode(&self, out: &mut RecordWriter) {
        out.fixed(self.vault.as_bytes()).fixed(&self.tables).i64(self.sealed_at.as_millis());
        out.count(self.keys.len());
        for key in &self.keys {
            out.fixed(key.as_bytes());
        }
        out.count(self.packs.len());
        for pack in &self.packs {
            out.fixed(pack.as_bytes());
        }
        out.count(self.frames.len());
        for frame in &self.frames {
            number(out, frame.stored);
            number(out, frame.plain);
            out.u8(frame.codec as u8);
            match frame.protection {
                Protection::Outside => number(out, 0),
                Protection::Key(key) => {
                    number(out, key + 1);
                    out.fixed(&frame.salt);
                }
            }
        }
        self.encode_chunks(out);
        out.count(self.archives.len());
        for entry in &self.archives {
            entry.encode(out);
        }
        // Sections, of which there are none yet.
        out.count(0);
    }

    fn decode(_: u8, fields: &mut RecordReader<'_>) -> Result<Self> {
        let vault = VaultId::from_bytes(fields.fixed()?);
        let tables = fields.fixed()?;
        let sealed_at = Timestamp::from_millis(fields.i64()?);
        let keys = list(fields, |fields| fields.fixed().map(KeyId::from_bytes))?;
        let packs = list(fields, |fields| fields.fixed().map(PackId::from_bytes))?;
        let mut offset = 0_u32;
        let frames = list(fields, |fields| {
            let frame = frame(fields, offset)?;
            let end = offset.checked_add(frame.stored);
            offset = end.ok_or_else(|| fields.corrupt("frames beyond the end of any pack"))?;
            Ok(frame)
        })?;
        let chunks = chunks(fields)?;
        let archives = list(fields, entry)?;
        list(fields, section)?;
        Ok(Self { vault, tables, sealed_at, keys, packs, frames, chunks, archives })
    }
}

impl Index {
    /// Chunks of one frame lie one behind the other: their places follow from their lengths.
    fn encode_chunks(&self, out: &mut RecordWriter) {
        out.count(self.chunks.len());
        let mut frame = 0;
        for chunk in &self.chunks {
            number(out, chunk.frame - frame);
            frame = chunk.frame;
            number(out, chunk.length);
            out.fixed(chunk.id.as_bytes());
        }
    }
}

impl Entry {
    fn encode(&self, out: &mut RecordWriter) {
        let (kind, last) = (self.place.kind(), if self.last { LAST } else { 0 });
        out.fixed(self.archive.as_bytes()).u8(kind | last);
        out.i64(self.created.as_millis()).u64(self.offset).u64(self.length);
        number(out, self.key);
        out.bytes(&self.private);
        match &self.place {
            Place::Own { first, count } => numbers(out, [*first, *count]),
            Place::Grouped { frame, at } => numbers(out, [*frame, *at]),
            Place::Chunked(runs) => {
                out.count(runs.len());
                for run in runs {
                    numbers(out, [run.pack, run.frame, run.at, run.length]);
                }
            }
            Place::Outside { first, count, blobs } => {
                numbers(out, [*first, *count]);
                out.count(blobs.len());
                for blob in blobs {
                    out.fixed(blob.blob.as_bytes()).u64(blob.first_chunk).u64(blob.plain);
                }
            }
        }
    }
}

impl Place {
    const fn kind(&self) -> u8 {
        match self {
            Self::Own { .. } => OWN,
            Self::Grouped { .. } => GROUPED,
            Self::Chunked(_) => CHUNKED,
            Self::Outside { .. } => OUTSIDE,
        }
    }
}

fn number(out: &mut RecordWriter, value: u32) {
    out.count(value as usize);
}

fn numbers<const N: usize>(out: &mut RecordWriter, values: [u32; N]) {
    for value in values {
        number(out, value);
    }
}

fn read_number(fields: &mut RecordReader<'_>) -> Result<u32> {
    let value = fields.count()?;
    u32::try_from(value).map_err(|_| fields.corrupt("a number out of form"))
}

/// As many as the bytes have: nothing is allocated for a count alone.
fn list<T>(
    fields: &mut RecordReader<'_>,
    mut one: impl FnMut(&mut RecordReader<'_>) -> Result<T>,
) -> Result<Vec<T>> {
    let count = fields.count()?;
    let mut found = Vec::new();
    for _ in 0..count {
        found.push(one(fields)?);
    }
    Ok(found)
}

fn frame(fields: &mut RecordReader<'_>, offset: u32) -> Result<Frame> {
    let (stored, plain) = (read_number(fields)?, read_number(fields)?);
    let codec = match fields.u8()? {
        0 => Codec::Raw,
        1 => Codec::Zstd,
        2 => Codec::ZstdPlanes2,
        3 => Codec::ZstdPlanes4,
        other => return Err(fields.corrupt(format!("codec {other}"))),
    };
    let (protection, salt) = match read_number(fields)? {
        0 => (Protection::Outside, [0; 16]),
        key => (Protection::Key(key - 1), fields.fixed()?),
    };
    Ok(Frame { offset, stored, plain, codec, protection, salt })
}

fn chunks(fields: &mut RecordReader<'_>) -> Result<Vec<NamedChunk>> {
    let (mut frame, mut at) = (0_u32, 0_u32);
    list(fields, |fields| {
        let ahead = read_number(fields)?;
        if ahead > 0 {
            at = 0;
        }
        let impossible = || fields.corrupt("a chunk beyond the end of any frame");
        frame = frame.checked_add(ahead).ok_or_else(impossible)?;
        let length = read_number(fields)?;
        let chunk = NamedChunk { id: ChunkId::from_bytes(fields.fixed()?), frame, at, length };
        at = at.checked_add(length).ok_or_else(|| fields.corrupt("a chunk beyond the end of any frame"))?;
        Ok(chunk)
    })
}

fn entry(fields: &mut RecordReader<'_>) -> Result<Entry> {
    let archive = ArchiveId::from_bytes(fields.fixed()?);
    let kind = fields.u8()?;
    let created = Timestamp::from_millis(fields.i64()?);
    let (offset, length) = (fields.u64()?, fields.u64()?);
    let last = kind & LAST != 0;
    let (key, private) = (read_number(fields)?, fields.bytes()?.to_vec());
    let shortest = 16 + TAG_BYTES + if last { 32 } else { 0 };
    if !(shortest..=shortest + DESCRIPTION_MAX).contains(&private.len()) {
        return Err(fields.corrupt("a description of impossible length"));
    }
    let place = match kind & !LAST {
        OWN => Place::Own { first: read_number(fields)?, count: read_number(fields)? },
        GROUPED => Place::Grouped { frame: read_number(fields)?, at: read_number(fields)? },
        CHUNKED => Place::Chunked(list(fields, run)?),
        OUTSIDE => Place::Outside {
            first: read_number(fields)?,
            count: read_number(fields)?,
            blobs: list(fields, |fields| {
                let blob = BlobId::from_bytes(fields.fixed()?);
                Ok(Outer { blob, first_chunk: fields.u64()?, plain: fields.u64()? })
            })?,
        },
        other => return Err(fields.corrupt(format!("an archive of kind {other}"))),
    };
    Ok(Entry { archive, created, offset, length, last, key, private, place })
}

/// What is not known is passed over where its kind is even, and refused where it is odd.
fn section(fields: &mut RecordReader<'_>) -> Result<()> {
    let kind = read_number(fields)?;
    fields.bytes()?;
    if kind % 2 == 0 {
        Ok(())
    } else {
        Err(Error::Newer { what: "index of a pack".into(), found: kind, supported: 0 })
    }
}

fn run(fields: &mut RecordReader<'_>) -> Result<Run> {
    let (pack, frame) = (read_number(fields)?, read_number(fields)?);
    Ok(Run { pack, frame, at: read_number(fields)?, length: read_number(fields)? })
}
