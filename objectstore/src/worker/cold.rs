//! Looks after archived versions: restores whose time has come, and bytes that are to go to a vault.
//!
//! A partition is in the set as long as it has rows of either kind: those of restores are read by time, so what is not due costs nothing.
//! Each kind has a tour of its own, so that restores do not wait for a terabyte that is on its way to a vault.

use super::{BATCH, REST, is_empty, reported};
use crate::cold::{Gathering, Watched};
use crate::{ObjectStore, tables};
use archive::retrieval::JobId;
use bytes::Bytes;
use engine::catalog::Scan;
use engine::id::PartitionId;
use engine::worker::{Progress, Stop, Tour, Visitor, Worker};
use engine::{BoxFuture, ErrorKind};
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// How long what waits for a job is passed by, unless that ends before.
const WAIT: Duration = Duration::from_mins(1);
/// Looks that are so passed by, at the most; others are looked at in each round.
const WAITS_MAX: usize = 100_000;

pub(super) struct Cold {
    restores: Restores,
    to_restores: Tour<Bytes>,
    deposits: Deposits,
    to_deposits: Tour<Bytes>,
}

/// Restores of each partition, in its turn.
struct Restores {
    store: Arc<ObjectStore>,
    /// Looks that wait for a job, and until when, by boot time, they are passed by unless it ends: who is read anew all the time keeps others
    /// from being read.
    waits: BTreeMap<(PartitionId, Bytes), (JobId, Duration)>,
}

impl Restores {
    /// What waited for a job that has ended is looked at.
    fn wake(&mut self) {
        let ended = std::mem::take(&mut *self.store.cold.ended.lock());
        let now = self.store.clock.boottime();
        if !ended.is_empty() || self.waits.len() >= WAITS_MAX {
            self.waits.retain(|_, (job, until)| *until > now && !ended.contains(job));
        }
    }
}

/// What is to go to the vault of each partition, in its turn.
struct Deposits {
    store: Arc<ObjectStore>,
    /// The one whose bytes are being hashed, and in which partition.
    gathering: Option<(PartitionId, Box<Gathering>)>,
}

impl Cold {
    pub(super) fn new(store: Arc<ObjectStore>) -> Self {
        Self {
            restores: Restores { store: Arc::clone(&store), waits: BTreeMap::new() },
            to_restores: Tour::default(),
            deposits: Deposits { store, gathering: None },
            to_deposits: Tour::default(),
        }
    }
}

fn next_dirty(store: &ObjectStore, from: Bound<PartitionId>) -> Option<PartitionId> {
    store.cold.dirty.lock().range((from, Bound::Unbounded)).next().copied()
}

impl Visitor for Restores {
    type Cursor = Bytes;

    fn next(&self, from: Bound<PartitionId>) -> Option<PartitionId> {
        next_dirty(&self.store, from)
    }

    /// A page of restores whose time has come.
    async fn visit(&mut self, stop: &mut Stop<Bytes>) -> engine::Result<()> {
        let (partition, start) = (stop.partition(), stop.cursor());
        let snapshot = self.store.catalog.snapshot(partition).await?;
        let mut scan = tables::cold_by(self.store.clock.now(), BATCH);
        scan.start = scan.start.max(start);
        let page = snapshot.scan(scan.clone()).await?;
        if let Some(behind) = scan.behind(&page) {
            stop.go_on_at(behind.start);
        }
        let now = self.store.clock.boottime();
        for (raw, name) in &page.rows {
            let at = (partition, raw.clone());
            if self.waits.get(&at).is_some_and(|(_, until)| *until > now) {
                continue;
            }
            match self.store.watch_restore(partition, (raw, name)).await {
                Ok(Watched::Done) => {
                    self.waits.remove(&at);
                    stop.did(1);
                }
                Ok(Watched::Waits(job)) => {
                    if self.waits.len() < WAITS_MAX {
                        self.waits.insert(at, (job, now + WAIT));
                    }
                }
                Err(error) => stop.set_aside(reported(error)),
            }
        }
        Ok(())
    }
}

impl Visitor for Deposits {
    type Cursor = Bytes;

    fn next(&self, from: Bound<PartitionId>) -> Option<PartitionId> {
        next_dirty(&self.store, from)
    }

    async fn visit(&mut self, stop: &mut Stop<Bytes>) -> engine::Result<()> {
        let partition = stop.partition();
        // Whoever marks it from here on has it looked at again.
        self.store.cold.dirty.lock().remove(&partition);
        let start = stop.cursor();
        let outcome = Box::pin(self.deposits(stop, start)).await;
        if outcome.as_ref().map_or(true, |left| *left) || stop.has_failed() {
            self.store.cold.dirty.lock().insert(partition);
        }
        outcome.map(drop)
    }
}

impl Deposits {
    /// Goes on with the one that is being hashed, or looks for the next. Whether the partition is to be looked at again. Only what leaves the
    /// queue is done: behind a round in which nothing did, the worker rests.
    async fn deposits(&mut self, stop: &mut Stop<Bytes>, start: Bytes) -> engine::Result<bool> {
        let partition = stop.partition();
        // Until there is a vault they wait where they are.
        if self.store.vaults.is_none() {
            let snapshot = self.store.catalog.snapshot(partition).await?;
            return Ok(!is_empty(&*snapshot, tables::COLD).await?);
        }
        if let Some((_, mut gathering)) = self.gathering.take_if(|(of, _)| *of == partition) {
            stop.go_on_at(start);
            match self.store.deposit_step(&mut gathering).await {
                Ok(Some(done)) => stop.did(u64::from(done)),
                Ok(None) => self.gathering = Some((partition, gathering)),
                Err(error) => {
                    let error = reported(error);
                    if matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Invalid) {
                        self.store.leave_in_pool(&gathering, &error).await.map_err(reported)?;
                        stop.did(1);
                    } else {
                        stop.set_aside(error);
                    }
                }
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
                    stop.go_on_at(engine::catalog::key_after(raw));
                    return Ok(true);
                }
                Ok((None, Watched::Done)) => stop.did(1),
                Ok((None, Watched::Waits(_))) => {}
                Err(error) => stop.set_aside(reported(error)),
            }
        }
        if let Some(behind) = scan.behind(&page) {
            stop.go_on_at(behind.start);
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
        Arc::clone(&self.restores.store.cold.bell)
    }

    fn trouble(&self) -> Option<String> {
        self.to_restores.trouble().or_else(|| self.to_deposits.trouble())
    }

    /// Between two steps of deposits, each of which may read for a while, restores have theirs.
    fn tick(&mut self) -> BoxFuture<'_, engine::Result<Progress>> {
        Box::pin(async {
            self.restores.wake();
            let restores = self.to_restores.tick(&mut self.restores, REST).await;
            let deposits = self.to_deposits.tick(&mut self.deposits, REST).await;
            Ok(match (restores?, deposits?) {
                (Progress::More { done }, Progress::More { done: more }) => {
                    Progress::More { done: done + more }
                }
                (Progress::Idle { .. }, progress) | (progress, Progress::Idle { .. }) => progress,
            })
        })
    }
}
