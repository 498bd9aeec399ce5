//! Deletes the rows of blobs that nobody refers to any more.
//!
//! ```text
//!   garbage/<blob> ─► has references ─► forget the queue row
//!                  └► has none ───────► delete blob row and queue row, subtract live bytes; the name of its remote
//!                                      object, if it has one, is doomed; its companions go    (one commit)
//! ```
//!
//! "No references" is stable (see `reference`), and every commit checks that queue row and blob row are unchanged, so a
//! release or a compaction that comes between is a conflict and the blob waits for the next round. A crash leaves queue
//! rows, which are looked at again.
//!
//! A partition that has nothing of blobs any more, counters and queues included, is forgotten (see `homes`): the rounds of
//! all workers are as long as there are partitions with blobs, not as there ever were.

use super::companion::{Farewell, farewell};
use super::homes::is_empty;
use super::reference::{has_blobs, holder};
use super::remote::doom;
use super::row::{BlobRow, GARBAGE, blob_key, companions_key, garbage_key};
use super::writer::live_adds;
use super::{BlobStore, fixed};
use crate::catalog::{Check, Commit, Scan, Snapshot, Write};
use crate::id::{BlobId, PartitionId};
use crate::worker::{Leg, Progress, Stop, Tour, Visitor, Worker};
use crate::{BoxFuture, Error, ErrorKind, Result};
use bytes::Bytes;
use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::Notify;

/// Queue rows looked at together.
const BATCH: usize = 128;
/// Rows that one commit checks and writes on account of companions, but for those of its last blob.
const COMPANIONS_PER_COMMIT: usize = 2_000;

/// Worker `collector`; its unit is blobs.
pub struct Collector {
    work: Collection,
    tour: Tour<Bytes>,
}

/// What it does in a partition; a tour's cursor is a key of its queue.
struct Collection {
    store: Arc<BlobStore>,
    /// Homes that had blobs when that was last looked for, and no garbage since.
    inhabited: BTreeSet<PartitionId>,
}

/// What the collector means to do about one queue row.
struct Verdict {
    blob: BlobId,
    /// The row to delete, if nobody refers to the blob and it still has one.
    dead: Option<BlobRow>,
    companions: Farewell,
}

impl Verdict {
    fn companion_rows(&self) -> usize {
        self.companions.checks.len() + self.companions.writes.len()
    }
}

impl Collector {
    /// A collector of this store.
    pub fn new(store: Arc<BlobStore>) -> Self {
        Self { work: Collection { store, inhabited: BTreeSet::new() }, tour: Tour::default() }
    }

    async fn step(&mut self) -> Result<Progress> {
        Ok(match self.tour.go(&mut self.work).await? {
            Leg::On { done } => Progress::More { done },
            Leg::Over { done: 0 } => self.tour.rest(self.work.store.rest()),
            // What let something go may have come to nothing meanwhile: another round at once.
            Leg::Over { .. } => {
                self.work.store.bells.compactor.notify_one();
                Progress::More { done: 0 }
            }
        })
    }
}

impl Visitor for Collection {
    type Cursor = Bytes;

    fn next(&self, from: Bound<PartitionId>) -> Option<PartitionId> {
        self.store.next_home(from)
    }

    /// One batch of the queue, or its end: then it is asked whether the partition has blobs at all.
    async fn visit(&mut self, stop: &mut Stop<Bytes>) -> Result<()> {
        let home = stop.partition();
        if !self.collect(stop).await? && !self.inhabited.contains(&home) {
            self.look_for_blobs(home).await?;
        }
        Ok(())
    }
}

impl Collection {
    /// A home whose queue is empty, and that may be so as a whole: then it is none any more.
    async fn look_for_blobs(&mut self, home: PartitionId) -> Result<()> {
        let snapshot = self.store.catalog.snapshot(home).await?;
        if has_blobs(&*snapshot).await? {
            self.inhabited.insert(home);
        } else if is_empty(&*snapshot).await? {
            self.store.forget_home(home).await?;
        }
        Ok(())
    }

    /// One batch of a partition's queue; whether there may be more.
    async fn collect(&mut self, stop: &mut Stop<Bytes>) -> Result<bool> {
        let home = stop.partition();
        let snapshot = self.store.catalog.snapshot(home).await?;
        let scan = Scan { start: stop.cursor(), keys_only: true, ..Scan::prefix(GARBAGE, &[], BATCH) };
        let page = snapshot.scan(scan.clone()).await?;
        let behind = scan.behind(&page);
        let is_more = behind.is_some();
        if let Some(behind) = behind {
            stop.go_on_at(behind.start);
        }
        if !page.rows.is_empty() {
            self.inhabited.remove(&home);
        }
        let mut verdicts = Vec::with_capacity(page.rows.len());
        for (key, _) in &page.rows {
            let blob = match fixed(key, "garbage row") {
                Ok(id) => BlobId::from_bytes(id),
                Err(error) => {
                    stop.set_aside(error);
                    continue;
                }
            };
            match self.judge(&*snapshot, home, blob).await {
                Ok(verdict) => verdicts.push(verdict),
                // A broken row stays, with its queue row, for whoever repairs it; the others are not kept waiting.
                Err(error) if error.kind() == ErrorKind::Corrupt => {
                    tracing::error!(%home, %error, "garbage is left alone");
                }
                Err(error) => return Err(error),
            }
        }
        stop.did(self.apply(home, snapshot.read_version(), verdicts).await?);
        Ok(is_more)
    }

    /// In as few commits as their companions leave room for.
    async fn apply(&self, home: PartitionId, read_version: u64, verdicts: Vec<Verdict>) -> Result<u64> {
        let mut done = 0;
        let (mut group, mut rows) = (Vec::new(), 0);
        for verdict in verdicts {
            rows += verdict.companion_rows();
            group.push(verdict);
            if rows >= COMPANIONS_PER_COMMIT {
                done += self.apply_group(home, read_version, std::mem::take(&mut group)).await?;
                rows = 0;
            }
        }
        Ok(done + self.apply_group(home, read_version, group).await?)
    }

    /// All in one commit; one by one if somebody came between.
    async fn apply_group(&self, home: PartitionId, read_version: u64, verdicts: Vec<Verdict>) -> Result<u64> {
        match self.commit(home, read_version, &verdicts).await {
            Err(Error::Conflict { .. } | Error::TooOld { .. }) => {}
            outcome => return outcome,
        }
        let mut done = 0;
        for verdict in verdicts {
            match self.commit(home, read_version, &[verdict]).await {
                Err(Error::Conflict { .. } | Error::TooOld { .. }) => {}
                outcome => done += outcome?,
            }
        }
        Ok(done)
    }

    async fn commit(&self, home: PartitionId, read_version: u64, verdicts: &[Verdict]) -> Result<u64> {
        if verdicts.is_empty() {
            return Ok(0);
        }
        let mut checks = Vec::new();
        let mut writes = Vec::new();
        let mut dead = Vec::new();
        let mut gone = 0;
        let mut has_remote = false;
        for verdict in verdicts {
            checks.push(Check::Unchanged(garbage_key(verdict.blob)));
            writes.push(Write::Delete(garbage_key(verdict.blob)));
            if let Some(row) = &verdict.dead {
                checks.push(Check::Unchanged(blob_key(verdict.blob)));
                writes.push(Write::Delete(blob_key(verdict.blob)));
                dead.extend(row.places().copied());
                gone += 1;
                // Nobody refers to it any more, whatever becomes of this commit.
                self.store.damage.forget(home, verdict.blob);
                has_remote |= row.remote.is_some();
                writes.extend(row.remote.iter().flat_map(|copy| doom(verdict.blob, copy)));
                checks.extend_from_slice(&verdict.companions.checks);
                writes.extend_from_slice(&verdict.companions.writes);
            }
        }
        writes.extend(live_adds(&dead, -1));
        let commit = Commit { checks, writes, ..Commit::new(home, read_version).from_reserve() };
        let outcome = self.store.commit_counting(commit).await;
        if let Some(pool) = self.store.remote.as_ref().filter(|_| has_remote) {
            pool.doomed_in(home);
        }
        outcome?;
        self.store.collected.fetch_add(gone, Ordering::Relaxed);
        Ok(gone)
    }
}

impl Collection {
    async fn judge(&self, snapshot: &dyn Snapshot, home: PartitionId, blob: BlobId) -> Result<Verdict> {
        if holder(snapshot, blob).await?.is_some() {
            return Ok(Verdict { blob, dead: None, companions: Farewell::default() });
        }
        let mut rows = snapshot.multi_get(vec![blob_key(blob), companions_key(blob)]).await?.into_iter();
        let (row, companions) = (rows.next().flatten(), rows.next().flatten());
        let dead = row.map(|bytes| BlobRow::decode(blob, &bytes)).transpose();
        // Of another row that is broken nobody says that it is the blob's.
        match &dead {
            Ok(_) => self.store.damage.row_sound(home, blob),
            Err(error) if error.kind() == ErrorKind::Corrupt => self.store.damage.row_broken(home, blob),
            Err(_) => {}
        }
        let dead = dead?;
        let companions = if dead.is_some() { companions } else { None };
        Ok(Verdict { blob, dead, companions: farewell(snapshot, blob, companions).await? })
    }
}

impl Worker for Collector {
    fn name(&self) -> &'static str {
        "collector"
    }

    fn bell(&self) -> Arc<Notify> {
        Arc::clone(&self.work.store.bells.collector)
    }

    fn trouble(&self) -> Option<String> {
        self.tour.trouble()
    }

    fn tick(&mut self) -> BoxFuture<'_, Result<Progress>> {
        Box::pin(self.step())
    }
}
