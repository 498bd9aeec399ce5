//! Background work: what operations leave behind is released in bounded batches.
//!
//! | worker | does |
//! |---|---|
//! | `upload-cleanup` | parts of ended uploads, manifests nobody refers to, references in other partitions, old completions; ingests that nobody carries on |
//! | `bucket-finisher` | creations and deletions that a crash left half done; what deleted buckets leave behind |
//! | `copy-intents` | copies to other partitions that never said how they ended |
//! | `quotas` | counts what quotas were set on; looks how full they are |
//! | `access-logs` | writes server access logs |
//! | `inventory` | makes inventory reports |
//! | `lifecycle` | does what lifecycle rules ask for when its time has come |
//! | `archived` | restores of archived versions, and their way into vaults |
//! | `restore-jobs` | asks for all that is archived below a prefix |
//!
//! Each queue row goes in the same commit as the last of its work, so a crash leaves work to be done again, never half of it.
//! Partitions with work are known in memory; opening the store, and every hour after that, marks all of them.

mod access_logs;
mod cleanup;
mod cold;
mod finisher;
mod intents;
pub(crate) mod inventory;
mod lifecycle;
mod quotas;
mod restore_jobs;

use crate::inventory::Pace;
use crate::record::BucketRow;
use crate::store::BucketCounts;
use crate::{ErrorKind, ObjectStore, Result, tables};
use bytes::Bytes;
use engine::catalog::key::KeyReader;
use engine::catalog::record::Record;
use engine::catalog::{Page, Scan, Snapshot, Table};
use engine::clock::Timestamp;
use engine::id::PartitionId;
use engine::worker::{Stop, Worker};
use std::sync::Arc;
use std::time::Duration;

/// How long a worker with nothing to do rests.
const REST: Duration = Duration::from_secs(5);
/// How often every partition is looked at.
const SWEEP: Duration = Duration::from_hours(1);
/// Rows of one queue looked at in one tick.
const BATCH: usize = 256;

impl ObjectStore {
    /// The background work: hand each to the registry once.
    pub fn workers(self: &Arc<Self>) -> Vec<Box<dyn Worker>> {
        vec![
            Box::new(cleanup::Cleanup::new(Arc::clone(self))),
            Box::new(finisher::Finisher::new(Arc::clone(self))),
            Box::new(intents::Intents::new(Arc::clone(self))),
            Box::new(quotas::Quotas::new(Arc::clone(self))),
            Box::new(access_logs::AccessLogs::new(Arc::clone(self))),
            Box::new(inventory::Inventory::new(Arc::clone(self), Pace::default())),
            Box::new(lifecycle::Lifecycle::new(Arc::clone(self))),
            Box::new(cold::Cold::new(Arc::clone(self))),
            Box::new(restore_jobs::RestoreJobs::new(Arc::clone(self))),
        ]
    }

    /// Marks every partition of a bucket, deleted ones included. Answers how many buckets each account has.
    pub(crate) async fn find_work(&self) -> Result<BucketCounts> {
        let (partitions, counts) = self.partitions().await?;
        for partition in partitions {
            self.mark_dirty(partition);
            self.restore_jobs.mark(partition);
        }
        Ok(counts)
    }

    /// Has the outbox learn what waits in every partition of a bucket.
    pub(crate) async fn find_events(&self) -> Result<()> {
        for partition in self.partitions().await?.0 {
            self.outbox.find(partition).await?;
        }
        Ok(())
    }

    /// Every partition of a bucket, deleted ones included, and how many buckets that are there each account has. Buckets whose row is
    /// damaged are none of them: nobody knows where they are.
    pub(crate) async fn partitions(&self) -> Result<(Vec<PartitionId>, BucketCounts)> {
        let (mut found, mut counts) = (Vec::new(), BucketCounts::new());
        let mut next = Some(Buckets::default());
        while let Some(at) = next {
            let (page, behind) = self.partitions_page(at).await?;
            for row in page {
                let (partition, account) = match row {
                    Err(error) if error.kind() == ErrorKind::Corrupt => continue,
                    row => row?,
                };
                found.push(partition);
                if let Some(account) = account {
                    *counts.entry(account).or_default() += 1;
                }
            }
            next = behind;
        }
        Ok((found, counts))
    }

    /// Some of them, of buckets that are there with their account, and where the others are.
    async fn partitions_page(&self, at: Buckets) -> Result<(Vec<Result<Located>>, Option<Buckets>)> {
        let root = self.catalog.snapshot(PartitionId::ROOT).await?;
        let table = if at.deleted { tables::DELETED } else { tables::BUCKETS };
        let scan = Scan { start: at.start, ..Scan::prefix(table, b"", 1_000) };
        let page = root.scan(scan.clone()).await?;
        let read = |(key, value): &(Bytes, Bytes)| -> Result<Located> {
            if at.deleted {
                return Ok((read_partition(key)?, None));
            }
            let row = BucketRow::from_bytes(value)?;
            Ok((row.partition, Some(row.account)))
        };
        let behind = match scan.behind(&page) {
            Some(scan) => Some(Buckets { deleted: at.deleted, start: scan.start }),
            None => (!at.deleted).then(|| Buckets { deleted: true, start: Bytes::new() }),
        };
        Ok((page.rows.iter().map(read).collect(), behind))
    }
}

/// A partition, and whose bucket it is of.
type Located = (PartitionId, Option<[u8; 8]>);

/// A place among all buckets, behind which are the deleted ones.
#[derive(Clone, Debug, Default)]
struct Buckets {
    deleted: bool,
    start: Bytes,
}

fn read_partition(raw: &[u8]) -> engine::Result<PartitionId> {
    let mut reader = KeyReader::new(raw);
    let id = PartitionId::from_bytes(reader.fixed()?);
    reader.end()?;
    Ok(id)
}

async fn is_empty(snapshot: &dyn Snapshot, table: Table) -> engine::Result<bool> {
    let scan = Scan { keys_only: true, ..Scan::prefix(table, b"", 1) };
    Ok(snapshot.scan(scan).await?.rows.is_empty())
}

/// Whether `duration` has passed since `then`.
fn older(then: Timestamp, now: Timestamp, duration: Duration) -> bool {
    now.since(then) >= duration
}

/// Where a visit looks at a queue. What is left at its head, because it is damaged or waits for something, hides nothing behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    From(Bytes),
    /// It was gone through.
    Over,
}

impl Default for Place {
    fn default() -> Self {
        Self::From(Bytes::new())
    }
}

impl Place {
    /// A page of a queue from here on, and where the visit after that goes on if nothing is done of it.
    async fn page(&self, snapshot: &dyn Snapshot, queue: Table) -> engine::Result<(Page, Self)> {
        let Self::From(start) = self else { return Ok((Page::default(), Self::Over)) };
        let scan = Scan { start: start.clone(), ..Scan::prefix(queue, b"", BATCH) };
        let page = snapshot.scan(scan.clone()).await?;
        let behind = scan.behind(&page).map_or(Self::Over, |scan| Self::From(scan.start));
        Ok((page, behind))
    }

    const fn is_over(&self) -> bool {
        matches!(self, Self::Over)
    }
}

/// Where a visit goes on in so many queues of a partition, and what the visits before it found there.
#[derive(Clone, Debug)]
struct Places<const N: usize> {
    queues: [Place; N],
    /// Something is left for another round.
    is_left: bool,
}

impl<const N: usize> Default for Places<N> {
    fn default() -> Self {
        Self { queues: std::array::from_fn(|_| Place::default()), is_left: false }
    }
}

impl<const N: usize> Places<N> {
    /// Ends a visit: another one follows at once where a page was gone through of which nothing was to be done. `true`: the partition's turn
    /// comes again, be it then or in the next round.
    fn leave(mut self, is_left: bool, stop: &mut Stop<Self>) -> bool {
        self.is_left |= is_left;
        let before = stop.cursor().queues;
        let goes_on = self.queues.iter().zip(&before).any(|(now, before)| now != before && !now.is_over());
        let again = goes_on || self.is_left;
        if goes_on {
            stop.go_on_at(self);
        }
        again
    }
}

/// Counts what became of each of a partition's queues in a visit. `true`: unless nothing was left to do, its turn comes again.
fn count<C: Clone, const N: usize>(outcomes: [Result<u64>; N], stop: &mut Stop<C>) -> bool {
    let mut is_left = false;
    for outcome in outcomes {
        match outcome {
            Ok(done) => {
                is_left |= done > 0;
                stop.did(done);
            }
            Err(error) => stop.set_aside(reported(error)),
        }
    }
    is_left || stop.has_failed()
}

/// The store's error as a worker reports it.
fn reported(error: crate::Error) -> engine::Error {
    match error {
        crate::Error::Engine(error) => error,
        other => engine::Error::Invalid(other.to_string()),
    }
}
