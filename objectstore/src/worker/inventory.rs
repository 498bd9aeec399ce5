//! Makes inventory reports: looks which are due, then one after the other, a page at a tick.

use super::reported;
use crate::inventory::{FILE_BYTES, InventoryFailure, Job, Step};
use crate::{BucketName, ObjectStore, Result};
use engine::BoxFuture;
use engine::worker::{Progress, Worker};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// How long it rests at the most.
const REST: Duration = Duration::from_mins(1);
/// How long a report that failed waits, at first and at the most.
const BACK_OFF: (Duration, Duration) = (Duration::from_secs(30), Duration::from_hours(1));

type Name = (BucketName, String);

pub(super) struct Inventory {
    store: Arc<ObjectStore>,
    /// The day on which it was looked last.
    looked: Option<i64>,
    due: VecDeque<Name>,
    job: Option<Job>,
    /// Reports that failed: when, in boot time, they are tried again, and how long they waited for it.
    waits: BTreeMap<Name, (Duration, Duration)>,
}

impl Inventory {
    pub(super) fn new(store: Arc<ObjectStore>) -> Self {
        Self { store, looked: None, due: VecDeque::new(), job: None, waits: BTreeMap::new() }
    }

    async fn run(&mut self) -> Result<Progress> {
        if let Some(mut job) = self.job.take() {
            let name = job.name();
            return Ok(match job.step(&self.store).await {
                Ok(Step::More(done)) => {
                    self.job = Some(job);
                    Progress::More { done }
                }
                Ok(Step::Done | Step::Gone) => {
                    self.well(&name);
                    Progress::More { done: 0 }
                }
                Err(error) => {
                    self.failed(name, error.to_string());
                    Progress::More { done: 0 }
                }
            });
        }
        if let Some(name) = self.due.pop_front() {
            match self.store.begin_inventory(&name.0, &name.1, FILE_BYTES).await {
                Ok(job) => self.job = job,
                Err(error) => self.failed(name, error.to_string()),
            }
            return Ok(Progress::More { done: 0 });
        }
        let (today, now) = (self.store.today(), self.store.clock.boottime());
        let again = self.waits.values().any(|(at, _)| *at <= now);
        if self.store.inventories.take_changed() || again || self.looked != Some(today) {
            self.look(now).await?;
            self.looked = Some(today);
            if !self.due.is_empty() {
                return Ok(Progress::More { done: 0 });
            }
        }
        let next = self.waits.values().map(|(at, _)| at.saturating_sub(now)).min();
        let rest = REST.min(self.store.until_tomorrow()).min(next.unwrap_or(REST));
        Ok(Progress::Idle { rest: rest.max(Duration::from_millis(10)) })
    }

    async fn look(&mut self, now: Duration) -> Result<()> {
        let due = self.store.due_inventories().await?;
        // What failed is forgotten with its configuration.
        self.waits.retain(|name, _| due.contains(name));
        self.store.inventories.failing.lock().retain(|name, _| due.contains(name));
        let waits = |name: &Name| self.waits.get(name).is_some_and(|(at, _)| *at > now);
        self.due = due.into_iter().filter(|name| !waits(name)).collect();
        Ok(())
    }

    fn well(&mut self, name: &Name) {
        self.waits.remove(name);
        self.store.inventories.failing.lock().remove(name);
    }

    fn failed(&mut self, name: Name, error: String) {
        let now = self.store.clock.boottime();
        let waited = self.waits.get(&name).map_or(Duration::ZERO, |(_, waited)| *waited);
        let wait = (waited * 2).clamp(BACK_OFF.0, BACK_OFF.1);
        self.waits.insert(name.clone(), (now.saturating_add(wait), wait));
        let mut failing = self.store.inventories.failing.lock();
        if let Some(known) = failing.get_mut(&name) {
            known.error = error;
            return;
        }
        let (bucket, id) = name.clone();
        tracing::warn!(%bucket, id, error, "failed to make an inventory report: it is tried again within the hour");
        failing.insert(name, InventoryFailure { bucket, id, since: self.store.clock.now(), error });
    }
}

impl Worker for Inventory {
    fn name(&self) -> &'static str {
        "inventory"
    }

    fn bell(&self) -> Arc<Notify> {
        Arc::clone(&self.store.inventories.bell)
    }

    fn tick(&mut self) -> BoxFuture<'_, engine::Result<Progress>> {
        Box::pin(async { self.run().await.map_err(reported) })
    }
}
