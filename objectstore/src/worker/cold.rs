//! Looks after archived versions: restores whose time has come, and bytes that are to go to a vault.
//!
//! A partition is in the set as long as it has rows of either kind: those of restores are read by time, so what is not due costs nothing.

use super::{BATCH, REST, is_empty, reported};
use crate::cold::{Gathering, Watched};
use crate::{ObjectStore, tables};
use bytes::Bytes;
use engine::BoxFuture;
use engine::catalog::Scan;
use engine::id::PartitionId;
use engine::worker::{Progress, Stop, Tour, Visitor, Worker};
use std::ops::Bound;
use std::sync::Arc;
use tokio::sync::Notify;

pub(super) struct Cold {
    work: Archived,
    tour: Tour<(Queue, Bytes)>,
}

/// Partitions with archived versions to look after, each in its turn.
struct Archived {
    store: Arc<ObjectStore>,
    /// The one whose bytes are being hashed, and in which partition.
    gathering: Option<(PartitionId, Box<Gathering>)>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Queue {
    #[default]
    Restores,
    Deposits,
}

impl Cold {
    pub(super) fn new(store: Arc<ObjectStore>) -> Self {
        Self { work: Archived { store, gathering: None }, tour: Tour::default() }
    }
}

impl Visitor for Archived {
    type Cursor = (Queue, Bytes);

    fn next(&self, from: Bound<PartitionId>) -> Option<PartitionId> {
        self.store.cold.dirty.lock().range((from, Bound::Unbounded)).next().copied()
    }

    async fn visit(&mut self, stop: &mut Stop<(Queue, Bytes)>) -> engine::Result<()> {
        let partition = stop.partition();
        let (queue, start) = stop.cursor();
        if queue == Queue::Restores {
            return self.restores(stop, start).await;
        }
        // Whoever marks it from here on has it looked at again.
        self.store.cold.dirty.lock().remove(&partition);
        let outcome = Box::pin(self.deposits(stop, start)).await;
        if outcome.as_ref().map_or(true, |left| *left) || stop.has_failed() {
            self.store.cold.dirty.lock().insert(partition);
        }
        outcome.map(drop)
    }
}

impl Archived {
    /// A page of restores whose time has come.
    async fn restores(&self, stop: &mut Stop<(Queue, Bytes)>, start: Bytes) -> engine::Result<()> {
        let partition = stop.partition();
        let snapshot = self.store.catalog.snapshot(partition).await?;
        let mut scan = tables::cold_by(self.store.clock.now(), BATCH);
        scan.start = scan.start.max(start);
        let page = snapshot.scan(scan.clone()).await?;
        match scan.behind(&page) {
            Some(behind) => stop.go_on_at((Queue::Restores, behind.start)),
            None => stop.go_on_at((Queue::Deposits, Bytes::new())),
        }
        for (raw, name) in &page.rows {
            match self.store.watch_restore(partition, (raw, name)).await {
                Ok(Watched::Done) => stop.did(1),
                Ok(Watched::Waits) => {}
                Err(error) => stop.set_aside(reported(error)),
            }
        }
        Ok(())
    }

    /// Goes on with the one that is being hashed, or looks for the next. Whether the partition is to be looked at again.
    async fn deposits(&mut self, stop: &mut Stop<(Queue, Bytes)>, start: Bytes) -> engine::Result<bool> {
        let partition = stop.partition();
        // Until there is a vault they wait where they are.
        if self.store.vaults.is_none() {
            let snapshot = self.store.catalog.snapshot(partition).await?;
            return Ok(!is_empty(&*snapshot, tables::COLD).await?);
        }
        if let Some((_, mut gathering)) = self.gathering.take_if(|(of, _)| *of == partition) {
            stop.go_on_at((Queue::Deposits, start));
            match self.store.deposit_step(&mut gathering).await {
                Ok(true) => stop.did(1),
                Ok(false) => {
                    stop.did(1);
                    self.gathering = Some((partition, gathering));
                }
                Err(error) => stop.set_aside(reported(error)),
            }
            return Ok(true);
        }
        let snapshot = self.store.catalog.snapshot(partition).await?;
        let scan = Scan { start, ..Scan::prefix(tables::DEPOSITS, b"", BATCH) };
        let page = snapshot.scan(scan.clone()).await?;
        for (raw, name) in &page.rows {
            match self.store.begin_deposit(partition, (raw, name)).await {
                Ok((Some(gathering), _)) => {
                    self.gathering = Some((partition, gathering));
                    stop.did(1);
                    stop.go_on_at((Queue::Deposits, engine::catalog::key_after(raw)));
                    return Ok(true);
                }
                Ok((None, Watched::Done)) => stop.did(1),
                Ok((None, Watched::Waits)) => {}
                Err(error) => stop.set_aside(reported(error)),
            }
        }
        if let Some(behind) = scan.behind(&page) {
            stop.go_on_at((Queue::Deposits, behind.start));
            return Ok(true);
        }
        let snapshot = self.store.catalog.snapshot(partition).await?;
        Ok(!is_empty(&*snapshot, tables::DEPOSITS).await? || !is_empty(&*snapshot, tables::COLD).await?)
    }
}

impl Worker for Cold {
    fn name(&self) -> &'static str {
        "archived"
    }

    fn bell(&self) -> Arc<Notify> {
        Arc::clone(&self.work.store.cold.bell)
    }

    fn trouble(&self) -> Option<String> {
        self.tour.trouble()
    }

    fn tick(&mut self) -> BoxFuture<'_, engine::Result<Progress>> {
        Box::pin(self.tour.tick(&mut self.work, REST))
    }
}
