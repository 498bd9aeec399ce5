//! Snapshots: one RocksDB snapshot per group of commits, shared by all readers of that moment.
//!
//! A read first looks where no disk is touched (memtables and the block cache) on the calling thread; only what is not
//! there goes to the blocking pool.

use super::hot::Hot;
use super::rows::{ROW_PREFIX, Rows, row_key};
use crate::catalog::memory::PAGE_BYTES_MAX;
use crate::catalog::{Family, Key, Page, Scan, Snapshot, Version, key_after, prefix_end};
use crate::id::PartitionId;
use crate::{BoxFuture, Error, Result};
use bytes::Bytes;
use rocksdb::{DB, ReadOptions, ReadTier, SnapshotWithThreadMode};
use self_cell::self_cell;
use std::sync::Arc;

const FAMILIES: [Family; 5] = [Family::Record, Family::Index, Family::Body, Family::Queue, Family::Counter];

type Pin<'a> = SnapshotWithThreadMode<'a, DB>;

self_cell! {
    struct Inner {
        owner: Arc<Rows>,
        #[covariant]
        dependent: Pin,
    }
}

/// The rows at one version, for all partitions.
pub(super) struct Moment {
    /// How most reads are made; kept, because making options costs as much as a small read.
    in_memory: ReadOptions,
    hot: Arc<Hot>,
    inner: Inner,
    version: Version,
}

/// Where a read looks.
#[derive(Clone, Copy, Debug)]
enum Tier {
    /// Memtables and the block cache.
    Memory,
    /// Those, then the disk.
    Disk,
}

/// Why a read did not answer.
enum Missed {
    /// It would have touched the disk.
    Disk,
    /// It failed.
    Failed(Error),
}

fn options(inner: &Inner, tier: Tier) -> ReadOptions {
    let mut options = ReadOptions::default();
    options.set_snapshot(inner.borrow_dependent());
    options.set_read_tier(match tier {
        Tier::Memory => ReadTier::BlockCache,
        Tier::Disk => ReadTier::All,
    });
    options
}

impl Moment {
    /// The rows as they are now, which is at `version`.
    pub(super) fn now(rows: &Arc<Rows>, hot: &Arc<Hot>, version: Version) -> Self {
        let inner = Inner::new(Arc::clone(rows), |rows| rows.db().snapshot());
        Self { in_memory: options(&inner, Tier::Memory), hot: Arc::clone(hot), inner, version }
    }

    /// Which moment.
    pub(super) const fn version(&self) -> Version {
        self.version
    }

    fn missed(&self, error: rocksdb::Error) -> Missed {
        if error.kind() == rocksdb::ErrorKind::Incomplete {
            return Missed::Disk;
        }
        Missed::Failed(self.inner.borrow_owner().failed(error))
    }

    /// Partitions that have rows: one seek for each, in each family.
    pub(super) fn partitions(&self) -> Result<Vec<PartitionId>> {
        let rows = self.inner.borrow_owner();
        let mut found = std::collections::BTreeSet::new();
        for family in FAMILIES {
            let mut cursor =
                rows.db().raw_iterator_cf_opt(rows.handle(family), options(&self.inner, Tier::Disk));
            cursor.seek_to_first();
            while let Some(id) = cursor.key().and_then(|key| key.first_chunk().copied()) {
                found.insert(PartitionId::from_bytes(id));
                let next = prefix_end(&id);
                if next.is_empty() {
                    break;
                }
                cursor.seek(next);
            }
            cursor.status().map_err(|e| rows.failed(e))?;
        }
        Ok(found.into_iter().collect())
    }

    /// Reads the first row at or behind the beginning of a partition, wherever it is but in front of RocksDB, and keeps nothing of it: a row
    /// of those that are read by key, and one of an index.
    pub(super) fn probe(&self, at: PartitionId) -> Result<()> {
        let rows = self.inner.borrow_owner();
        for family in [Family::Record, Family::Index] {
            let mut options = options(&self.inner, Tier::Disk);
            options.fill_cache(false);
            let mut cursor = rows.db().raw_iterator_cf_opt(rows.handle(family), options);
            cursor.seek(at.as_bytes());
            cursor.status().map_err(|e| rows.failed(e))?;
        }
        Ok(())
    }

    fn get(&self, row: &(PartitionId, Key), tier: Tier) -> Result<Option<Bytes>, Missed> {
        if let Some(value) = self.hot.get(row, self.version) {
            return Ok(Some(value));
        }
        let rows = self.inner.borrow_owner();
        let (partition, key) = row;
        let bytes = row_key(*partition, key.table, &key.bytes);
        let handle = rows.handle(key.table.family);
        let found = match tier {
            Tier::Memory => rows.db().get_pinned_cf_opt(handle, bytes, &self.in_memory),
            Tier::Disk => rows.db().get_pinned_cf_opt(handle, bytes, &options(&self.inner, tier)),
        };
        let found = found.map_err(|e| self.missed(e))?.map(|value| Bytes::copy_from_slice(&value));
        if let Some(value) = &found {
            self.hot.keep(row.clone(), self.version, value);
        }
        Ok(found)
    }

    /// Reads on into a page: behind its last row, until it is full or there is no more. When it fails, the page holds what came
    /// before.
    fn scan(&self, partition: PartitionId, scan: &Scan, page: &mut Page, tier: Tier) -> Result<(), Missed> {
        let scan = &behind(scan, page);
        if scan.limit == 0 || (!scan.end.is_empty() && scan.start >= scan.end) {
            return Ok(());
        }
        let rows = self.inner.borrow_owner();
        let mut options = options(&self.inner, tier);
        options.set_iterate_lower_bound(row_key(partition, scan.table, &scan.start));
        let end = if scan.end.is_empty() {
            prefix_end(&row_key(partition, scan.table, &[])).to_vec()
        } else {
            row_key(partition, scan.table, &scan.end)
        };
        if !end.is_empty() {
            options.set_iterate_upper_bound(end);
        }
        let mut cursor = rows.db().raw_iterator_cf_opt(rows.handle(scan.table.family), options);
        if scan.reverse {
            cursor.seek_to_last();
        } else {
            cursor.seek_to_first();
        }
        let mut bytes: usize = page.rows.iter().map(|(key, value)| key.len() + value.len()).sum();
        while let Some((key, value)) = cursor.item() {
            if page.rows.len() == scan.limit || bytes >= PAGE_BYTES_MAX {
                page.more = true;
                break;
            }
            let key = Bytes::copy_from_slice(&key[ROW_PREFIX..]);
            let value = if scan.keys_only { Bytes::new() } else { Bytes::copy_from_slice(value) };
            bytes += key.len() + value.len();
            page.rows.push((key, value));
            if scan.reverse {
                cursor.prev();
            } else {
                cursor.next();
            }
        }
        cursor.status().map_err(|e| self.missed(e))
    }
}

/// What is left of a scan behind the rows that a page has.
fn behind(scan: &Scan, page: &Page) -> Scan {
    match page.rows.last() {
        None => scan.clone(),
        Some((last, _)) if scan.reverse => Scan { end: last.clone(), ..scan.clone() },
        Some((last, _)) => Scan { start: key_after(last), ..scan.clone() },
    }
}

/// A moment of one partition.
pub(super) struct View {
    /// When.
    pub(super) moment: Arc<Moment>,
    /// Where.
    pub(super) partition: PartitionId,
}

/// Reads from memory at once, or from disk on the blocking pool.
async fn read<T: Send + 'static>(
    moment: &Arc<Moment>,
    read: impl Fn(&Moment, Tier) -> Result<T, Missed> + Send + 'static,
) -> Result<T> {
    match read(moment, Tier::Memory) {
        Ok(found) => return Ok(found),
        Err(Missed::Failed(error)) => return Err(error),
        Err(Missed::Disk) => {}
    }
    let moment = Arc::clone(moment);
    from_disk(move || read(&moment, Tier::Disk)).await
}

/// A page that begins in memory and ends on disk: what memory had is not walked again, dead rows between included.
async fn read_page(moment: &Arc<Moment>, partition: PartitionId, scan: Scan) -> Result<Page> {
    let mut page = Page::default();
    match moment.scan(partition, &scan, &mut page, Tier::Memory) {
        Ok(()) => return Ok(page),
        Err(Missed::Failed(error)) => return Err(error),
        Err(Missed::Disk) => {}
    }
    let moment = Arc::clone(moment);
    from_disk(move || moment.scan(partition, &scan, &mut page, Tier::Disk).map(|()| page)).await
}

/// Reads where it may take a while.
async fn from_disk<T: Send + 'static>(
    read: impl FnOnce() -> Result<T, Missed> + Send + 'static,
) -> Result<T> {
    let all = move || match read() {
        Ok(found) => Ok(found),
        Err(Missed::Failed(error)) => Err(error),
        Err(Missed::Disk) => Err(Error::Invalid("read from the disk: RocksDB would not".into())),
    };
    match tokio::runtime::Handle::try_current() {
        Ok(runtime) => runtime.spawn_blocking(all).await.map_err(|_| Error::Closed)?,
        Err(_) => all(),
    }
}

impl Snapshot for View {
    fn read_version(&self) -> Version {
        self.moment.version()
    }

    fn get(&self, key: Key) -> BoxFuture<'_, Result<Option<Bytes>>> {
        let row = (self.partition, key);
        Box::pin(read(&self.moment, move |moment, tier| moment.get(&row, tier)))
    }

    fn multi_get(&self, keys: Vec<Key>) -> BoxFuture<'_, Result<Vec<Option<Bytes>>>> {
        let rows: Vec<_> = keys.into_iter().map(|key| (self.partition, key)).collect();
        Box::pin(read(&self.moment, move |moment, tier| {
            rows.iter().map(|row| moment.get(row, tier)).collect()
        }))
    }

    fn scan(&self, scan: Scan) -> BoxFuture<'_, Result<Page>> {
        Box::pin(read_page(&self.moment, self.partition, scan))
    }
}
