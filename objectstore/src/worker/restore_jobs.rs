//! Goes on with jobs that restore all below a prefix, and forgets those that ended long ago.

use super::{REST, reported};
use crate::change::Change;
use crate::restore_job::{JobRow, Memo, Stepped, outlived};
use crate::{ObjectStore, RestoreJobId, tables};
use engine::BoxFuture;
use engine::catalog::record::Record as _;
use engine::catalog::{Scan, Write};
use engine::id::PartitionId;
use engine::worker::{Progress, Stop, Tour, Visitor, Worker};
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use tokio::sync::Notify;

/// Rows of one bucket that are looked at.
const ROWS: usize = 1_000;

pub(super) struct RestoreJobs {
    jobs: Jobs,
    tour: Tour<()>,
}

struct Jobs {
    store: Arc<ObjectStore>,
    /// What is kept of jobs that are under way.
    memos: BTreeMap<(PartitionId, RestoreJobId), Memo>,
}

impl RestoreJobs {
    pub(super) fn new(store: Arc<ObjectStore>) -> Self {
        Self { jobs: Jobs { store, memos: BTreeMap::new() }, tour: Tour::default() }
    }
}

impl Visitor for Jobs {
    type Cursor = ();

    fn next(&self, from: Bound<PartitionId>) -> Option<PartitionId> {
        self.store.restore_jobs.dirty.lock().range((from, Bound::Unbounded)).next().copied()
    }

    /// A step of each job of a bucket.
    async fn visit(&mut self, stop: &mut Stop<()>) -> engine::Result<()> {
        let partition = stop.partition();
        // Whoever begins one from here on has it looked at again.
        self.store.restore_jobs.dirty.lock().remove(&partition);
        let outcome = Box::pin(self.steps(stop)).await;
        if outcome.as_ref().map_or(true, |left| *left) || stop.has_failed() {
            self.store.restore_jobs.dirty.lock().insert(partition);
        }
        outcome.map(drop)
    }
}

impl Jobs {
    /// Whether the bucket is to be looked at again.
    async fn steps(&mut self, stop: &mut Stop<()>) -> engine::Result<bool> {
        let partition = stop.partition();
        let snapshot = self.store.catalog.snapshot(partition).await?;
        let page = snapshot.scan(Scan::prefix(tables::RESTORE_JOBS, b"", ROWS)).await?;
        let (mut is_left, mut rows) = (page.more, Vec::new());
        for (_, raw) in &page.rows {
            match JobRow::from_bytes(raw) {
                Ok(row) => rows.push(row),
                Err(error) => stop.set_aside(error),
            }
        }
        let gone = outlived(&rows, self.store.clock.now());
        if !gone.is_empty() {
            let writes = gone.iter().map(|id| Write::Delete(tables::restore_job(*id)));
            let change = Change::writes(writes).freeing();
            self.store.try_commit(change.at(partition, &*snapshot)).await.map_err(reported)?;
            stop.did(gone.len() as u64);
        }
        for row in rows {
            let id = (partition, row.job.id);
            let mut memo = self.memos.remove(&id).unwrap_or_default();
            match self.store.restore_job_step(partition, row, &mut memo).await {
                Ok(Stepped::Over) => continue,
                Ok(Stepped::Did) => stop.did(1),
                Ok(Stepped::Rests) => {}
                Err(error) => stop.set_aside(reported(error)),
            }
            is_left = true;
            self.memos.insert(id, memo);
        }
        Ok(is_left)
    }
}

impl Worker for RestoreJobs {
    fn name(&self) -> &'static str {
        "restore-jobs"
    }

    fn bell(&self) -> Arc<Notify> {
        Arc::clone(&self.jobs.store.restore_jobs.bell)
    }

    fn trouble(&self) -> Option<String> {
        self.tour.trouble()
    }

    fn tick(&mut self) -> BoxFuture<'_, engine::Result<Progress>> {
        Box::pin(async { self.tour.tick(&mut self.jobs, REST / 5).await })
    }
}
