//! What deduplication keeps: where a chunk lies, and the key of the pack that it lies in.

use super::content::Extent;
use bytes::Bytes;
use engine::Result;
use engine::catalog::record::{Record, RecordReader, RecordWriter};
use engine::id::BlobId;

/// Bytes of the tag of a chunk's row.
pub(crate) const CHUNK_TAG_LEN: usize = 16;

/// Where a chunk lies. The pack's id stands first: `engine::blob::Companion::Naming` reads it there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChunkRow {
    pub(crate) pack: BlobId,
    /// First byte within the pack.
    pub(crate) offset: u32,
    pub(crate) length: u32,
    /// Over the chunk's name and the other fields, by a key of the bucket's.
    pub(crate) tag: [u8; CHUNK_TAG_LEN],
}

impl Record for ChunkRow {
    const NAME: &'static str = "chunk row";
    const VERSION: u8 = 1;

    fn encode(&self, out: &mut RecordWriter) {
        out.fixed(self.pack.as_bytes()).u32(self.offset).u32(self.length).fixed(&self.tag);
    }

    fn decode(_version: u8, fields: &mut RecordReader<'_>) -> Result<Self> {
        let pack = BlobId::from_bytes(fields.fixed()?);
        Ok(Self { pack, offset: fields.u32()?, length: fields.u32()?, tag: fields.fixed()? })
    }
}

/// The key of a pack, sealed by the key table with the partition and the pack's id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PackRow {
    pub(crate) sealed: Bytes,
}

impl Record for PackRow {
    const NAME: &'static str = "pack row";
    const VERSION: u8 = 1;

    fn encode(&self, out: &mut RecordWriter) {
        out.bytes(&self.sealed);
    }

    fn decode(_version: u8, fields: &mut RecordReader<'_>) -> Result<Self> {
        Ok(Self { sealed: Bytes::copy_from_slice(fields.bytes()?) })
    }
}

impl Extent {
    /// Takes `next` in, if it goes on where this one ends.
    pub(crate) fn extend(&mut self, next: &Self) -> bool {
        let goes_on = next.owner == self.owner
            && next.content == self.content
            && next.offset == self.offset + self.length;
        if goes_on {
            self.length += next.length;
        }
        goes_on
    }
}
