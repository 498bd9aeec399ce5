//! The parts of a multipart upload: their sizes, and the tree over their roots.
//!
//! Parts may arrive in any order; [`Parts`] is given them in the order of their bytes when the upload is completed, and finds gaps,
//! overlaps and wrong sizes.

use super::{ByteRange, LEAF_BYTES, Tree, TreeHash};

/// Most parts of an upload.
pub const MAX_PARTS: u64 = 10_000;
const LARGEST_PART_BYTES: u64 = 4 << 30;

/// The size of all parts but the last: 1 MiB times a power of two, up to 4 GiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartSize(u64);

/// What is wrong with parts. Each is Glacier's `InvalidParameterValueException`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PartsError {
    /// No size that parts can have.
    #[error("a part size is 1048576 times a power of two, at most 4294967296, not {0}")]
    Size(u64),
    /// A part that does not begin where parts do, or has another length.
    #[error("part {range} is not a part of {part_bytes} bytes, nor the archive's last one")]
    Misplaced {
        /// The part.
        range: ByteRange,
        /// What parts of this upload have.
        part_bytes: u64,
    },
    /// Bytes that no part has.
    #[error("the part that begins at {at} is missing; upload it, then complete the upload again")]
    Gap {
        /// The first byte that is missing.
        at: u64,
    },
    /// Bytes that two parts have.
    #[error("two parts have byte {at}")]
    Overlap {
        /// The first such byte.
        at: u64,
    },
    /// More than there may be.
    #[error("an upload has at most {MAX_PARTS} parts; begin one with larger parts")]
    TooMany,
    /// The archive's length is not what the parts come to.
    #[error("the parts come to {found} bytes, the archive is to have {wanted}")]
    Length {
        /// What the parts have.
        found: u64,
        /// What was said.
        wanted: u64,
    },
}

impl PartSize {
    /// Checked.
    pub const fn new(bytes: u64) -> Result<Self, PartsError> {
        if bytes.is_power_of_two() && bytes >= LEAF_BYTES && bytes <= LARGEST_PART_BYTES {
            Ok(Self(bytes))
        } else {
            Err(PartsError::Size(bytes))
        }
    }

    /// As a plain number.
    pub const fn bytes(self) -> u64 {
        self.0
    }

    /// Whether a part may be there: it begins at a multiple of the size and has no more than it. Whether a shorter one is the last, only
    /// the whole upload shows.
    pub const fn check(self, part: ByteRange) -> Result<(), PartsError> {
        if !part.first().is_multiple_of(self.0) || part.byte_count() > self.0 {
            return Err(PartsError::Misplaced { range: part, part_bytes: self.0 });
        }
        if part.first() / self.0 < MAX_PARTS { Ok(()) } else { Err(PartsError::TooMany) }
    }
}

/// Takes all parts of an upload, in the order of their bytes.
#[derive(Clone, Debug)]
pub struct Parts {
    size: PartSize,
    tree: Tree,
    end: u64,
}

impl Parts {
    /// Of an upload with parts of this size.
    pub fn new(size: PartSize) -> Self {
        Self { size, tree: Tree::new(), end: 0 }
    }

    /// The next part and the root over its bytes.
    pub fn push(&mut self, part: ByteRange, root: TreeHash) -> Result<(), PartsError> {
        self.size.check(part)?;
        if part.first() < self.end {
            return Err(PartsError::Overlap { at: part.first() });
        }
        // Also behind a short part: the next one would begin at a multiple of the size.
        if part.first() > self.end {
            return Err(PartsError::Gap { at: self.end });
        }
        self.end = part.last() + 1;
        self.tree.push(root);
        Ok(())
    }

    /// The root over an archive that is to have so many bytes.
    pub fn finish(self, archive_bytes: u64) -> Result<TreeHash, PartsError> {
        if self.end == archive_bytes {
            Ok(self.tree.root())
        } else {
            Err(PartsError::Length { found: self.end, wanted: archive_bytes })
        }
    }
}
