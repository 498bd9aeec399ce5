//! Where a record lies in a pool.

use super::frame::record_len;
use crate::id::{BlobId, SegmentId};

/// Where one record lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct RecordAt {
    /// The segment.
    pub(crate) segment: SegmentId,
    /// Of the frame, from the start of the file.
    pub(crate) offset: u32,
    /// Bytes of sealed chunks behind the frame.
    pub(crate) payload_len: u32,
}

impl RecordAt {
    /// Bytes the record takes in its segment: what the live counters count.
    pub(crate) fn stored_len(&self) -> u64 {
        record_len(self.payload_len as usize) as u64
    }
}

/// Names a record in errors.
pub(crate) fn describe(blob: BlobId, segment: SegmentId, offset: u64) -> String {
    format!("blob {blob} in segment {segment} at offset {offset}")
}
