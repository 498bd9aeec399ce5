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

use crate::record::{BucketRow, BucketState};
use crate::store::View;
use crate::{BucketName, Error, ObjectLock, ObjectStore, Result, tables};
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
                if BucketRow::from_bytes(row)?.state != BucketState::Creating {
                    let name = BucketName::parse(&tables::text(raw.to_vec())?)?;
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
