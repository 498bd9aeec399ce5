//! After a recovery from a backup: what was done to locks in the span that was lost is not known, and is held.
//!
//! ```text
//!   recovered catalog ─► each bucket with object lock: its newest version's order number ─► ObjectLock::unknown_through
//!                     ─► root: this recovery is dealt with          before the doors open, once a recovery
//! ```
//! A lost commit may have put a legal hold on a version, or a later date. So every version that a recovery brought back, of a
//! bucket with object lock, is held as if by a legal hold, until somebody with the right to says of it that it is not. Dates
//! that were known hold besides: what was shortened or removed in the lost span is as long as it was. A bucket that got object
//! lock in that span has none.
//!
//! # Limits
//! One scan over the keys of each bucket with object lock; its result is one number a bucket, so nothing is rewritten.
//!
//! # What a crash leaves
//! The recovery not dealt with: the next start does it again, before anything was written.

use crate::bucket::read_named;
use crate::change::Change;
use crate::record::{BucketState, ObjectRow};
use crate::store::View;
use crate::{BucketName, Error, ErrorKind, ObjectLock, ObjectStore, Result, tables};
use bytes::Bytes;
use engine::catalog::record::Record;
use engine::catalog::{Commit, Scan, Write};
use engine::id::PartitionId;

/// Rows looked at in one read.
const BATCH: usize = 1_000;

impl ObjectStore {
    /// Holds what a recovery left unknown; `recovery` names it, and each is dealt with once. Answers the number of buckets.
    /// Nothing may be written before it has returned.
    pub async fn hold_unknown_locks(&self, recovery: &str) -> Result<usize> {
        let mark = tables::only(tables::RECOVERY);
        let root = self.catalog.snapshot(PartitionId::ROOT).await?;
        if root.get(mark.clone()).await?.is_some_and(|known| &*known == recovery.as_bytes()) {
            return Ok(0);
        }
        let mut held = 0;
        let mut next = Some(Scan::prefix(tables::BUCKETS, b"", BATCH));
        while let Some(scan) = next {
            let page = root.scan(scan.clone()).await?;
            for (raw, row) in &page.rows {
                let (name, row, _) = match read_named(raw, row) {
                    // Nobody can use it, so that nobody can remove what is locked.
                    Err(error) if error.kind() == ErrorKind::Corrupt => continue,
                    read => read?,
                };
                if row.state != BucketState::Creating {
                    held += usize::from(self.hold_unknown(&name).await?);
                }
            }
            next = scan.behind(&page);
        }
        let writes = vec![Write::Put(mark, Bytes::copy_from_slice(recovery.as_bytes()))];
        self.catalog.commit(Commit { writes, ..Commit::new(PartitionId::ROOT, root.read_version()) }).await?;
        Ok(held)
    }

    /// Whether the bucket has object lock, and is marked by now.
    async fn hold_unknown(&self, name: &BucketName) -> Result<bool> {
        // A deletion that a crash cut short may have left a name without a bucket.
        let view = match self.view(name).await {
            Err(Error::NoSuchBucket) => return Ok(false),
            view => view?,
        };
        let Some(lock) = self.setting_at::<ObjectLock>(&view).await? else { return Ok(false) };
        let unknown_through = newest_order(&view).await?.max(lock.unknown_through);
        let marked = ObjectLock { unknown_through, ..(*lock).clone() };
        self.set(name, Some(&marked)).await?;
        Ok(true)
    }
}

/// A bucket's versions that are held because a recovery left open what was done to their locks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldLocks {
    /// The bucket.
    pub bucket: BucketName,
    /// How many were counted; those of which somebody has said since whether they are held are none of them.
    pub versions: u64,
    /// The count stopped at its limit: there may be more.
    pub more: bool,
}

impl ObjectStore {
    /// The buckets that have such versions. No more than `rows_max` rows of versions are looked at, in all of them together.
    pub async fn held_locks(&self, rows_max: usize) -> Result<Vec<HeldLocks>> {
        let mut all = Vec::new();
        let mut left = rows_max;
        let root = self.catalog.snapshot(PartitionId::ROOT).await?;
        let mut next = Some(Scan::prefix(tables::BUCKETS, b"", BATCH));
        while let Some(scan) = next {
            let page = root.scan(scan.clone()).await?;
            for (raw, row) in &page.rows {
                let name = match read_named(raw, row) {
                    Err(error) if error.kind() == ErrorKind::Corrupt => continue,
                    read => read?.0,
                };
                let (held, seen) = match self.count_held(&name, left).await {
                    // It is being made, or was deleted meanwhile.
                    Err(Error::NoSuchBucket) => continue,
                    counted => counted?,
                };
                left = left.saturating_sub(seen);
                if held.versions > 0 || held.more {
                    all.push(held);
                }
            }
            next = scan.behind(&page);
        }
        Ok(all)
    }

    /// Those of one bucket.
    pub async fn held_in(&self, name: &BucketName, rows_max: usize) -> Result<HeldLocks> {
        Ok(self.count_held(name, rows_max).await?.0)
    }

    /// Says of every version of a bucket that a recovery brought back that it is not held, unless it is by a legal hold or a
    /// date of its own: one commit. Nothing that is written later is changed by it.
    pub async fn release_held(&self, name: &BucketName) -> Result<()> {
        self.transact(|| async {
            let view = self.view(name).await?;
            let known =
                |lock: Option<ObjectLock>| Ok(lock.map(|lock| ObjectLock { unknown_through: 0, ..lock }));
            // Rules may act on them now.
            let beside = Change::writes(self.walk_anew(&view).await?);
            self.try_change(&view, beside, known).await
        })
        .await
    }

    /// Those of one bucket, and how many rows were looked at.
    async fn count_held(&self, name: &BucketName, rows_max: usize) -> Result<(HeldLocks, usize)> {
        let mut held = HeldLocks { bucket: name.clone(), versions: 0, more: false };
        let view = self.view(name).await?;
        let lock = self.setting_at::<ObjectLock>(&view).await?;
        let Some(lock) = lock.filter(|lock| lock.unknown_through > 0) else { return Ok((held, 0)) };
        let mut seen = 0;
        let mut next = Some(Scan::prefix(tables::VERSIONS, b"", BATCH));
        while let Some(scan) = next {
            if seen >= rows_max {
                held.more = true;
                break;
            }
            let page = view.snapshot.scan(scan.clone()).await?;
            for (_, row) in &page.rows {
                held.versions += u64::from(lock.leaves_unknown(&ObjectRow::from_bytes(row)?));
            }
            seen += page.rows.len();
            next = scan.behind(&page);
        }
        Ok((held, seen))
    }
}

/// The highest order number of a bucket's versions.
async fn newest_order(view: &View) -> Result<u64> {
    let mut newest = 0;
    let mut next = Some(Scan { keys_only: true, ..Scan::prefix(tables::VERSIONS, b"", BATCH) });
    while let Some(scan) = next {
        let page = view.snapshot.scan(scan.clone()).await?;
        for (key, _) in &page.rows {
            newest = newest.max(tables::read_version(key)?.1.order);
        }
        next = scan.behind(&page);
    }
    Ok(newest)
}
