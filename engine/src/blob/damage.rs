//! What was found damaged, as far as it is known in memory. A crash forgets it, and whoever reads or scrubs finds it again.
//!
//! # Limits
//! [`DAMAGE_MAX`] blobs of each kind; what is found beyond that is found again once there is room.

use super::BlobStore;
use crate::id::{BlobId, PartitionId};
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};

/// Blobs of each kind that are remembered.
const DAMAGE_MAX: usize = 4096;

/// Damage that was found.
#[derive(Default)]
pub(super) struct Damage {
    /// Records found so since the store was opened.
    records: AtomicU64,
    /// Blobs with such a record that was neither mended nor dropped since.
    blobs: Found,
    /// Blobs whose row was found broken, and not sound or gone since.
    broken_rows: Found,
    /// Blobs of which a reader found a copy damaged; the repairer queues them.
    to_queue: Found,
}

/// Some blobs, by their partitions.
#[derive(Default)]
struct Found(Mutex<BTreeSet<(PartitionId, BlobId)>>);

impl Found {
    /// `false`: there is no room.
    fn insert(&self, one: (PartitionId, BlobId)) -> bool {
        let mut all = self.0.lock();
        let fits = all.len() < DAMAGE_MAX;
        if fits {
            all.insert(one);
        }
        fits
    }

    fn remove(&self, one: (PartitionId, BlobId)) {
        self.0.lock().remove(&one);
    }

    fn len(&self) -> u64 {
        self.0.lock().len() as u64
    }
}

impl Damage {
    /// A record of this blob was found damaged, by whoever looks at all of them.
    pub(super) fn found(&self, home: PartitionId, blob: BlobId) {
        self.found_far();
        self.blobs.insert((home, blob));
    }

    /// The same of a remote copy, which is uploaded again.
    pub(super) fn found_far(&self) {
        self.records.fetch_add(1, Ordering::Relaxed);
    }

    /// The blob was mended, or is gone.
    pub(super) fn forget(&self, home: PartitionId, blob: BlobId) {
        self.blobs.remove((home, blob));
        self.row_sound(home, blob);
    }

    /// Whoever came by found the blob's row broken: its bytes are nowhere for anybody, and what it names stays where it is.
    pub(super) fn row_broken(&self, home: PartitionId, blob: BlobId) {
        self.broken_rows.insert((home, blob));
    }

    /// Whoever came by could read it.
    pub(super) fn row_sound(&self, home: PartitionId, blob: BlobId) {
        self.broken_rows.remove((home, blob));
    }

    /// What waits to be queued.
    pub(super) fn noted(&self) -> Vec<(PartitionId, BlobId)> {
        self.to_queue.0.lock().iter().copied().collect()
    }

    /// That is queued.
    pub(super) fn is_queued(&self, noted: &[(PartitionId, BlobId)]) {
        let mut waiting = self.to_queue.0.lock();
        for one in noted {
            waiting.remove(one);
        }
    }

    /// How many records were found damaged since the store was opened.
    pub(super) fn records(&self) -> u64 {
        self.records.load(Ordering::Relaxed)
    }

    /// How many blobs have one.
    pub(super) fn blobs(&self) -> u64 {
        self.blobs.len()
    }

    /// How many blobs' rows are broken.
    pub(super) fn broken_rows(&self) -> u64 {
        self.broken_rows.len()
    }
}

impl BlobStore {
    /// A copy of this blob is damaged, and another one is not: the repairer will see to it.
    pub(super) fn note_damage(&self, home: PartitionId, blob: BlobId) {
        if !self.can_mend() {
            return;
        }
        self.damage.blobs.insert((home, blob));
        if self.damage.to_queue.insert((home, blob)) {
            self.bells.repairer.notify_one();
        }
    }
}
