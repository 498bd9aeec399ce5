//! Where a body's bytes are: nowhere (empty), in a body row, in one blob, or behind a manifest of extents.

use crate::id::{ManifestId, OwnerId};
use engine::Result;
use engine::catalog::record::{RecordReader, RecordWriter};
use engine::id::{BlobId, PartitionId};

/// What holds the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// No bytes at all.
    Empty,
    /// Ciphertext in the `BODY` row of the owner, sealed as this blob.
    Inline {
        /// What the ciphertext is bound to.
        blob: BlobId,
    },
    /// A blob.
    Blob {
        /// The partition that holds its row and its references.
        home: PartitionId,
        /// Its id.
        blob: BlobId,
    },
    /// A paged list of extents.
    Manifest {
        /// The partition that holds its pages and its references.
        home: PartitionId,
        /// Its id.
        manifest: ManifestId,
        /// 1 when its extents are blobs and rows, one more than the deepest manifest among them else.
        depth: u8,
    },
}

impl Content {
    /// The partition that holds references, where there are any.
    pub(crate) const fn home(&self) -> Option<PartitionId> {
        match self {
            Self::Empty | Self::Inline { .. } => None,
            Self::Blob { home, .. } | Self::Manifest { home, .. } => Some(*home),
        }
    }

    /// How many manifests lie between a reader and the bytes.
    pub(crate) const fn depth(&self) -> u8 {
        match self {
            Self::Manifest { depth, .. } => *depth,
            _ => 0,
        }
    }

    pub(super) fn encode(&self, out: &mut RecordWriter) {
        match self {
            Self::Empty => out.u8(0),
            Self::Inline { blob } => out.u8(1).fixed(blob.as_bytes()),
            Self::Blob { home, blob } => out.u8(2).fixed(home.as_bytes()).fixed(blob.as_bytes()),
            Self::Manifest { home, manifest, depth } => {
                out.u8(3).fixed(home.as_bytes()).fixed(manifest.as_bytes()).u8(*depth)
            }
        };
    }

    pub(super) fn decode(fields: &mut RecordReader<'_>) -> Result<Self> {
        match fields.u8()? {
            0 => Ok(Self::Empty),
            1 => Ok(Self::Inline { blob: BlobId::from_bytes(fields.fixed()?) }),
            2 => Ok(Self::Blob {
                home: PartitionId::from_bytes(fields.fixed()?),
                blob: BlobId::from_bytes(fields.fixed()?),
            }),
            3 => Ok(Self::Manifest {
                home: PartitionId::from_bytes(fields.fixed()?),
                manifest: ManifestId::from_bytes(fields.fixed()?),
                depth: fields.u8()?,
            }),
            other => Err(fields.corrupt(format!("content of kind {other}"))),
        }
    }
}

/// A stretch of a content's bytes, and who keeps it alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    /// Who holds the reference, and the key of an inline body's row.
    pub(crate) owner: OwnerId,
    /// What holds the bytes.
    pub(crate) content: Content,
    /// First byte within it.
    pub(crate) offset: u64,
    /// How many.
    pub(crate) length: u64,
}

impl Extent {
    pub(super) fn encode(&self, out: &mut RecordWriter) {
        out.fixed(self.owner.as_bytes());
        self.content.encode(out);
        out.u64(self.offset).u64(self.length);
    }

    pub(super) fn decode(fields: &mut RecordReader<'_>) -> Result<Self> {
        let owner = OwnerId::from_bytes(fields.fixed()?);
        let content = Content::decode(fields)?;
        Ok(Self { owner, content, offset: fields.u64()?, length: fields.u64()? })
    }
}
