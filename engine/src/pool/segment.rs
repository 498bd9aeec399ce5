//! One segment file in memory: its descriptor, its state, and who keeps it from being recycled.
//!
//! # Invariants
//! - While a [`ReadPin`] or a [`Hold`] exists, the file keeps this segment's bytes: the table removes a segment only when
//!   it has neither.
//! - A failed sync marks the segment failed for ever: the kernel may have dropped the pages, so nothing that was unsynced
//!   then is acknowledged later.

use crate::fault::{Faults, Point};
use crate::id::{PartitionId, SegmentId};
use crate::{Error, Result};
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// A segment file that has an id, open or closed to appends.
pub(crate) struct Segment {
    pub(crate) id: SegmentId,
    /// Bytes of the file.
    pub(crate) capacity: u64,
    pub(crate) path: PathBuf,
    pub(crate) file: File,
    pub(crate) faults: Arc<Faults>,
    /// A lane still appends to it.
    open: AtomicBool,
    failed: AtomicBool,
    readers: AtomicUsize,
    holds: AtomicUsize,
    /// Partitions that may have committed rows naming this segment since the pool was opened.
    expected: Mutex<BTreeSet<PartitionId>>,
}

/// What a segment is made from.
pub(crate) struct Parts {
    pub(crate) id: SegmentId,
    pub(crate) capacity: u64,
    pub(crate) path: PathBuf,
    pub(crate) file: File,
    pub(crate) open: bool,
}

impl Segment {
    pub(crate) fn new(parts: Parts, faults: Arc<Faults>) -> Arc<Self> {
        let Parts { id, capacity, path, file, open } = parts;
        Arc::new(Self {
            id,
            capacity,
            path,
            file,
            faults,
            open: AtomicBool::new(open),
            failed: AtomicBool::new(false),
            readers: AtomicUsize::new(0),
            holds: AtomicUsize::new(0),
            expected: Mutex::new(BTreeSet::new()),
        })
    }

    pub(crate) fn write(&self, bytes: &[u8], offset: u64) -> Result<()> {
        self.faults
            .check(Point::SegmentWrite)
            .and_then(|()| self.file.write_all_at(bytes, offset))
            .map_err(|source| Error::io("write segment", &self.path, source))
    }

    /// Asks the kernel to begin writing these bytes out, so that the sync at the end has less to do. Best effort: it
    /// changes nothing that anybody may rely on.
    pub(crate) fn start_writeback(&self, offset: u64, len: u64) {
        let advice = rustix::fs::Advice::DontNeed;
        let asked = rustix::fs::fadvise(&self.file, offset, std::num::NonZeroU64::new(len), advice);
        if let Err(error) = asked {
            tracing::debug!(segment = %self.id, %error, "no early writeback");
        }
    }

    /// Makes what was written durable, or fails the segment.
    pub(crate) fn sync(&self) -> Result<()> {
        if self.has_failed() {
            let source = std::io::Error::other("an earlier sync of this segment failed");
            return Err(Error::io("sync segment", &self.path, source));
        }
        self.faults
            .check(Point::SegmentSync)
            .and_then(|()| rustix::fs::fdatasync(&self.file).map_err(Into::into))
            .map_err(|source| {
                self.failed.store(true, Ordering::Release);
                tracing::error!(segment = %self.id, error = %source, "sync failed: the segment is retired");
                Error::Io { op: "sync segment", path: self.path.clone(), source }
            })
    }

    /// A sync failed: what was unsynced then is lost, what was acknowledged before is not.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    pub(crate) fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    /// No more appends.
    pub(crate) fn close(&self) {
        self.open.store(false, Ordering::Release);
    }

    pub(crate) fn is_pinned(&self) -> bool {
        self.readers.load(Ordering::Acquire) > 0 || self.is_held()
    }

    /// A record in it waits for its row to be committed.
    pub(crate) fn is_held(&self) -> bool {
        self.holds.load(Ordering::Acquire) > 0
    }

    /// Rows of `home` may come to name this segment.
    pub(crate) fn expect_rows_of(&self, home: PartitionId) {
        self.expected.lock().insert(home);
    }

    /// Of which partitions that was said.
    pub(crate) fn expects_rows_of(&self) -> Vec<PartitionId> {
        self.expected.lock().iter().copied().collect()
    }
}

/// Keeps a segment's bytes for a reader.
pub(crate) struct ReadPin(Arc<Segment>);

impl ReadPin {
    /// Only the table makes pins, under its lock.
    pub(super) fn new(segment: &Arc<Segment>) -> Self {
        segment.readers.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(segment))
    }
}

impl std::ops::Deref for ReadPin {
    type Target = Segment;
    fn deref(&self) -> &Segment {
        &self.0
    }
}

impl Clone for ReadPin {
    fn clone(&self) -> Self {
        Self::new(&self.0)
    }
}

impl Drop for ReadPin {
    fn drop(&mut self) {
        self.0.readers.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Keeps a segment from compaction and recycling while a record in it waits for its row to be committed.
pub(crate) struct Hold(Arc<Segment>);

impl Hold {
    pub(super) fn new(segment: &Arc<Segment>) -> Self {
        segment.holds.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(segment))
    }

    pub(crate) fn segment(&self) -> &Arc<Segment> {
        &self.0
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.holds.fetch_sub(1, Ordering::AcqRel);
    }
}
