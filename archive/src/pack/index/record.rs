//! An index as bytes. The table is in docs/formats/pack.md.

use super::super::{ArchiveId, GroupId, KeyId, PackId, VaultId};
use super::{Codec, Entry, Frame, Index, Place, Protection, Run};
use engine::catalog::record::{Record, RecordReader, RecordWriter};
use engine::clock::Timestamp;
use engine::{Error, Result};

const OWN: u8 = 0;
const GROUPED: u8 = 1;
const CHUNKED: u8 = 2;
const OUTSIDE: u8 = 3;

/// The bit of an entry's kind that says that it is the last part.
const LAST: u8 = 0x80;

/// No group: nothing is deduplicated.
const NO_GROUP: [u8; 16] = [0; 16];

/// The bytes that a record of these parts can take at the most, so that a writer knows when its index is full. Numbers within a pack have
/// at most 21 bits, so three bytes; what is sealed costs a tag more for each 64 KiB, so a byte more where there may be many.
pub(in crate::pack) mod room {
    /// What every index has, with what is around it, and an empty register.
    pub(in crate::pack) const FIXED: usize = 37 + 1 + 16 + 8 + 16 + 8 * 5 + (3 + 3 + 16 + 16 + 1 + 3 + 3);
    /// A key, or another pack.
    pub(in crate::pack) const ID: usize = 16;
    /// A frame.
    pub(in crate::pack) const FRAME: usize = 3 + 1 + 3 + 16;
    /// A chunk.
    pub(in crate::pack) const CHUNK: usize = 32 + 3 + 3 + 1;
    /// Bytes of an older pack that are moved here.
    pub(in crate::pack) const MOVED: usize = 6 * 3 + 1;
    /// An archive, what its owner and its vault wrote and runs apart: what is said in the clear, and sealed.
    pub(in crate::pack) const ENTRY: usize =
        (16 + 1 + 5 + 3 + 3 + 2 * 3) + (16 + 16) + (1 + 1 + 8 + 8 + 32 + 32 + 2 * 2 + 3 + 3);
    /// A run.
    pub(in crate::pack) const RUN: usize = 4 * 3 + 1;
    /// A blob of ciphertext.
    pub(in crate::pack) const OUTER: usize = 16 + 6 + 6 + 1;
    /// An archive that is no more.
    pub(in crate::pack) const DROPPED: usize = 16 + 8;
}

impl Record for Index {
    const NAME: &'static str = "index of a pack";
    const VERSION: u8 = 1;

    fn encode(&self, out: &mut RecordWriter) {
        out.fixed(self.vault.as_bytes()).i64(self.sealed_at.as_millis());
        out.fixed(&self.group.map_or(NO_GROUP, |group| *group.as_bytes()));
        out.count(self.keys.len());
        for key in &self.keys {
            out.fixed(key.as_bytes());
        }
        for packs in [&self.packs, &self.replaces] {
            out.count(packs.len());
            for pack in packs {
                out.fixed(pack.as_bytes());
            }
        }
        out.count(self.frames.len());
        for frame in &self.frames {
            number(out, frame.stored);
            out.u8(frame.codec as u8);
            match frame.protection {
                Protection::Outside => number(out, 0),
                Protection::Key(key) => {
                    number(out, key + 1);
                    out.fixed(&frame.salt);
                }
            }
        }
        match &self.register {
            None => number(out, 0),
            Some((key, sealed)) => {
                number(out, key + 1);
                out.bytes(sealed);
            }
        }
        out.count(self.archives.len());
        for entry in &self.archives {
            entry.encode(out);
        }
        out.count(self.dropped.len());
        for (archive, at) in &self.dropped {
            out.fixed(archive.as_bytes()).i64(at.as_millis());
        }
        // Sections, of which there are none yet.
        out.count(0);
    }

    fn decode(_: u8, fields: &mut RecordReader<'_>) -> Result<Self> {
        let vault = VaultId::from_bytes(fields.fixed()?);
        let sealed_at = Timestamp::from_millis(fields.i64()?);
        let group = Some(fields.fixed()?).filter(|group| *group != NO_GROUP).map(GroupId::from_bytes);
        let keys = list(fields, |fields| fields.fixed().map(KeyId::from_bytes))?;
        let packs = list(fields, |fields| fields.fixed().map(PackId::from_bytes))?;
        let replaces = list(fields, |fields| fields.fixed().map(PackId::from_bytes))?;
        let mut offset = 0_u32;
        let frames = list(fields, |fields| {
            let frame = frame(fields, offset)?;
            let end = offset.checked_add(frame.stored);
            offset = end.ok_or_else(|| fields.corrupt("frames beyond the end of any pack"))?;
            Ok(frame)
        })?;
        let register = match read_number(fields)? {
            0 => None,
            key => Some((key - 1, fields.bytes()?.to_vec())),
        };
        let archives = list(fields, entry)?;
        let dropped = list(fields, |fields| {
            Ok((ArchiveId::from_bytes(fields.fixed()?), Timestamp::from_millis(fields.i64()?)))
        })?;
        list(fields, section)?;
        Ok(Self { vault, sealed_at, group, keys, packs, replaces, frames, register, archives, dropped })
    }
}

impl Entry {
    fn encode(&self, out: &mut RecordWriter) {
        let (kind, last) = (self.place.kind(), if self.last { LAST } else { 0 });
        out.fixed(self.archive.as_bytes()).u8(kind | last);
        number(out, self.part);
        number(out, self.key);
        out.bytes(&self.private);
        match self.place {
            Place::Own { first, count } | Place::Outside { first, count } => {
                number(out, first);
                number(out, count);
            }
            Place::Grouped { frame } => number(out, frame),
            Place::Chunked => {}
        }
    }
}

impl Place {
    const fn kind(self) -> u8 {
        match self {
            Self::Own { .. } => OWN,
            Self::Grouped { .. } => GROUPED,
            Self::Chunked => CHUNKED,
            Self::Outside { .. } => OUTSIDE,
        }
    }
}

pub(super) fn number(out: &mut RecordWriter, value: u32) {
    out.count(value as usize);
}

pub(super) fn read_number(fields: &mut RecordReader<'_>) -> Result<u32> {
    let value = fields.count()?;
    u32::try_from(value).map_err(|_| fields.corrupt("a number out of form"))
}

/// A number of 64 bits: what is above 32 bits, then what is below.
pub(super) fn wide(out: &mut RecordWriter, value: u64) {
    let [low, high] = [value, value >> 32].map(|half| u32::try_from(half & u64::from(u32::MAX)).unwrap_or(0));
    number(out, high);
    number(out, low);
}

pub(super) fn read_wide(fields: &mut RecordReader<'_>) -> Result<u64> {
    let (high, low) = (read_number(fields)?, read_number(fields)?);
    Ok(u64::from(high) << 32 | u64::from(low))
}

/// As many as the bytes have: nothing is allocated for a count alone.
pub(super) fn list<T>(
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
    let stored = read_number(fields)?;
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
    Ok(Frame { offset, stored, codec, protection, salt })
}

fn entry(fields: &mut RecordReader<'_>) -> Result<Entry> {
    let archive = ArchiveId::from_bytes(fields.fixed()?);
    let kind = fields.u8()?;
    let (part, key) = (read_number(fields)?, read_number(fields)?);
    let (last, private) = (kind & LAST != 0, fields.bytes()?.to_vec());
    let place = match kind & !LAST {
        OWN => Place::Own { first: read_number(fields)?, count: read_number(fields)? },
        GROUPED => Place::Grouped { frame: read_number(fields)? },
        CHUNKED => Place::Chunked,
        OUTSIDE => Place::Outside { first: read_number(fields)?, count: read_number(fields)? },
        other => return Err(fields.corrupt(format!("an archive of kind {other}"))),
    };
    Ok(Entry { archive, part, last, key, private, place })
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

pub(super) fn run(fields: &mut RecordReader<'_>) -> Result<Run> {
    let (pack, frame) = (read_number(fields)?, read_number(fields)?);
    Ok(Run { pack, frame, at: read_number(fields)?, length: read_number(fields)? })
}
