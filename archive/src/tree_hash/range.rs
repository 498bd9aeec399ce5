//! Ranges of archives, both ends included, as `RetrievalByteRange` has them: `1048576-2097151`.

use super::LEAF_BYTES;
use std::fmt;
use std::str::FromStr;

/// Bytes `first` to `last` of an archive, both included, so never none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ByteRange {
    first: u64,
    last: u64,
}

/// Why a range is none, or cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RangeError {
    /// Not `first-last`.
    #[error("a byte range is written first-last, both included, the first not above the last")]
    Form,
    /// Behind the archive's end.
    #[error("the byte range ends at {last}, the archive at {archive_last}")]
    Outside {
        /// The range's last byte.
        last: u64,
        /// The archive's.
        archive_last: u64,
    },
    /// A range that is not aligned to megabytes.
    #[error("the byte range must begin at a multiple of 1048576 and end before one, or with the archive")]
    Unaligned,
}

impl ByteRange {
    /// From `first` to `last`, both included.
    pub const fn new(first: u64, last: u64) -> Result<Self, RangeError> {
        if first > last || last == u64::MAX { Err(RangeError::Form) } else { Ok(Self { first, last }) }
    }

    /// All of an archive; none of an empty one.
    pub const fn whole(archive_bytes: u64) -> Option<Self> {
        match archive_bytes.checked_sub(1) {
            Some(last) => Some(Self { first: 0, last }),
            None => None,
        }
    }

    /// The first byte.
    pub const fn first(self) -> u64 {
        self.first
    }

    /// The last byte.
    pub const fn last(self) -> u64 {
        self.last
    }

    /// How many bytes.
    pub const fn byte_count(self) -> u64 {
        self.last - self.first + 1
    }

    /// What a job may ask for of an archive of so many bytes: inside it, and aligned to megabytes.
    pub const fn check(self, archive_bytes: u64) -> Result<Self, RangeError> {
        if self.last >= archive_bytes {
            return Err(RangeError::Outside {
                last: self.last,
                archive_last: archive_bytes.saturating_sub(1),
            });
        }
        if self.is_megabyte_aligned(archive_bytes) { Ok(self) } else { Err(RangeError::Unaligned) }
    }

    /// Whether it begins at a multiple of 1 MiB and ends before one or with the archive.
    pub const fn is_megabyte_aligned(self, archive_bytes: u64) -> bool {
        let end = self.last + 1;
        self.first.is_multiple_of(LEAF_BYTES) && (end.is_multiple_of(LEAF_BYTES) || end == archive_bytes)
    }

    /// Whether the root of a tree over this range is a node of the archive's tree: only then does a range have a checksum that can be
    /// compared with anything.
    ///
    /// A node of height k covers the leaves from a multiple of 2^k on, 2^k of them, or fewer where the archive ends. Of all heights that
    /// could fit, the smallest is the one with the weakest demand on where the range begins.
    pub const fn is_tree_hash_aligned(self, archive_bytes: u64) -> bool {
        if self.last >= archive_bytes || !self.is_megabyte_aligned(archive_bytes) {
            return false;
        }
        let first_leaf = self.first / LEAF_BYTES;
        let leaves = self.byte_count().div_ceil(LEAF_BYTES);
        let node = leaves.next_power_of_two();
        first_leaf.is_multiple_of(node) && (leaves == node || self.last + 1 == archive_bytes)
    }
}

/// `first-last`
impl fmt::Display for ByteRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

impl FromStr for ByteRange {
    type Err = RangeError;

    fn from_str(text: &str) -> Result<Self, RangeError> {
        let (first, last) = text.split_once('-').ok_or(RangeError::Form)?;
        let number = |digits: &str| {
            let plain = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
            digits.parse().ok().filter(|_| plain).ok_or(RangeError::Form)
        };
        Self::new(number(first)?, number(last)?)
    }
}
