//! How full the store is and what it has done, for `status`, metrics and tests.

use super::{BlobStore, Collector, Compactor, Recycler, Scrubber, Zeroer};
use crate::unit::ByteCount;
use crate::worker::Worker;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A moment's figures. Counts are since the store was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Usage {
    /// Bytes of records that rows name, frames and tags included, as last read from the catalog.
    pub live: ByteCount,
    /// Segment files that hold records, freed ones that are kept for a backup included.
    pub segments: u64,
    /// Their size.
    pub segment_bytes: ByteCount,
    /// Freed segments that wait for a hold or a reader.
    pub freed_segments: u64,
    /// Files ready to be written to.
    pub free_segments: u64,
    /// Bytes the file system has left for this process.
    pub disk_available: ByteCount,
    /// New bodies are refused until space returns.
    pub full: bool,
    /// The newest write or sync of a segment file failed.
    pub failing: bool,
    /// Groups of writes that ended with a sync.
    pub groups: u64,
    /// Syncs of segment files by lanes.
    pub syncs: u64,
    /// Records appended, those of the compactor included.
    pub records: u64,
    /// Their bytes.
    pub record_bytes: ByteCount,
    /// Bytes that compaction moved.
    pub moved_bytes: ByteCount,
    /// Bytes written with zeros ahead of use.
    pub zeroed_bytes: ByteCount,
    /// Blobs collected.
    pub collected_blobs: u64,
    /// Bytes that scrubbing read.
    pub scrubbed_bytes: ByteCount,
    /// Records found damaged by scrubbing and compaction.
    pub damaged_records: u64,
}

impl BlobStore {
    /// The figures now.
    pub fn usage(&self) -> Usage {
        let allocator = &self.pool.allocator;
        let (segments, segment_bytes) = allocator.segments();
        let count = |n: &AtomicU64| n.load(Ordering::Relaxed);
        let bytes = |n: &AtomicU64| ByteCount::new(n.load(Ordering::Relaxed));
        let counts = &allocator.counts;
        Usage {
            live: ByteCount::new(self.live.total()),
            segments,
            segment_bytes: ByteCount::new(segment_bytes),
            freed_segments: self.freed.lock().len() as u64,
            free_segments: allocator.free_count() as u64,
            disk_available: ByteCount::new(allocator.available().unwrap_or(0)),
            full: allocator.is_full(),
            failing: allocator.is_failing(),
            groups: count(&counts.groups),
            syncs: count(&counts.syncs),
            records: count(&counts.records),
            record_bytes: bytes(&counts.record_bytes),
            moved_bytes: bytes(&self.moved_bytes),
            zeroed_bytes: bytes(&counts.zeroed_bytes),
            collected_blobs: count(&self.collected),
            scrubbed_bytes: bytes(&self.scrubbed_bytes),
            damaged_records: count(&self.damaged_records),
        }
    }

    /// Every background worker of the store, for the registry.
    pub fn workers(self: &Arc<Self>) -> Vec<Box<dyn Worker>> {
        vec![
            Box::new(Collector::new(Arc::clone(self))),
            Box::new(Compactor::new(Arc::clone(self))),
            Box::new(Recycler::new(Arc::clone(self))),
            Box::new(Scrubber::new(Arc::clone(self))),
            Box::new(Zeroer::new(Arc::clone(self))),
        ]
    }
}
