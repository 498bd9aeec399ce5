//! Rows that count how they are used.

use engine::BoxFuture;
use engine::catalog::{Catalog, Commit, Durability, Key, Limits, Page, Scan, Snapshot, Table, Version};
use engine::id::PartitionId;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What was done since the last reset.
#[derive(Clone, Debug, Default)]
pub(super) struct Counts {
    /// Commits, refused ones included.
    pub(super) commits: usize,
    /// Those that need not be durable.
    pub(super) relaxed: usize,
    /// Rows that they wrote or deleted.
    pub(super) writes: usize,
    /// Rows read by key.
    pub(super) reads: usize,
    /// Scans of all tables.
    pub(super) scans: usize,
    by_table: BTreeMap<Table, usize>,
}

impl Counts {
    /// Scans of a table.
    pub(super) fn scanned(&self, table: Table) -> usize {
        self.by_table.get(&table).copied().unwrap_or_default()
    }
}

/// Counts what goes through it.
pub(super) struct Tally {
    rows: Arc<dyn Catalog>,
    counts: Arc<Mutex<Counts>>,
}

impl Tally {
    pub(super) fn of(rows: Arc<dyn Catalog>) -> Arc<Self> {
        Arc::new(Self { rows, counts: Arc::default() })
    }

    pub(super) fn reset(&self) {
        *self.counts.lock() = Counts::default();
    }

    pub(super) fn counts(&self) -> Counts {
        self.counts.lock().clone()
    }
}

struct View {
    rows: Arc<dyn Snapshot>,
    counts: Arc<Mutex<Counts>>,
}

impl Snapshot for View {
    fn read_version(&self) -> Version {
        self.rows.read_version()
    }

    fn get(&self, key: Key) -> BoxFuture<'_, engine::Result<Option<bytes::Bytes>>> {
        self.counts.lock().reads += 1;
        self.rows.get(key)
    }

    fn multi_get(&self, keys: Vec<Key>) -> BoxFuture<'_, engine::Result<Vec<Option<bytes::Bytes>>>> {
        self.counts.lock().reads += keys.len();
        self.rows.multi_get(keys)
    }

    fn scan(&self, scan: Scan) -> BoxFuture<'_, engine::Result<Page>> {
        let mut counts = self.counts.lock();
        counts.scans += 1;
        *counts.by_table.entry(scan.table).or_default() += 1;
        drop(counts);
        self.rows.scan(scan)
    }
}

impl Catalog for Tally {
    fn limits(&self) -> Limits {
        self.rows.limits()
    }

    fn snapshot(&self, partition: PartitionId) -> BoxFuture<'_, engine::Result<Arc<dyn Snapshot>>> {
        Box::pin(async move {
            let rows = self.rows.snapshot(partition).await?;
            Ok(Arc::new(View { rows, counts: Arc::clone(&self.counts) }) as Arc<dyn Snapshot>)
        })
    }

    fn commit(&self, commit: Commit) -> BoxFuture<'_, engine::Result<Version>> {
        let mut counts = self.counts.lock();
        counts.commits += 1;
        counts.relaxed += usize::from(commit.durability == Durability::Relaxed);
        counts.writes += commit.writes.len();
        drop(counts);
        self.rows.commit(commit)
    }
}
