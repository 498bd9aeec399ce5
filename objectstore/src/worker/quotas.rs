//! Counts quotas that were set on what was there already, and looks how full all of them are.

use super::{SWEEP, reported};
use crate::{BucketName, ObjectStore, Result};
use engine::BoxFuture;
use engine::worker::{Progress, Worker};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// How often quotas are looked at.
const LOOK: Duration = Duration::from_mins(1);

pub(super) struct Quotas {
    store: Arc<ObjectStore>,
    /// When all buckets were last searched through.
    searched: Option<Duration>,
    /// Where a search that is under way goes on.
    after: Option<BucketName>,
    looked: Option<Duration>,
    /// The bucket that was counted last.
    counted: Option<BucketName>,
}

impl Quotas {
    pub(super) fn new(store: Arc<ObjectStore>) -> Self {
        Self { store, searched: None, after: None, looked: None, counted: None }
    }

    async fn run(&mut self) -> Result<Progress> {
        // Boot time: who sets the clock back puts nothing off.
        let now = self.store.clock.boottime();
        let due = |last: Option<Duration>, every| last.is_none_or(|last| now.saturating_sub(last) >= every);
        if self.after.is_some() || due(self.searched, SWEEP) {
            self.after = self.store.find_quotas(self.after.clone()).await?;
            self.searched = Some(now);
        }
        // The first look is at what a whole search has found.
        if due(self.looked, LOOK) && (self.looked.is_some() || self.after.is_none()) {
            self.store.look_at_quotas().await?;
            self.looked = Some(now);
        }
        if let Some(bucket) = self.store.watch.next_to_count(self.counted.as_ref()) {
            self.count(bucket).await;
            return Ok(Progress::More { done: 1 });
        }
        Ok(if self.after.is_some() { Progress::More { done: 0 } } else { Progress::Idle { rest: LOOK } })
    }

    /// A step, in turns: one bucket that can't be counted holds up no other one, and is tried again after the next look.
    async fn count(&mut self, bucket: BucketName) {
        self.counted = Some(bucket.clone());
        match self.store.count_step(&bucket).await {
            Ok(true) => self.store.watch.count_on(bucket),
            Ok(false) => {}
            Err(error) => tracing::warn!(
                %bucket,
                %error,
                "count what a quota limits: it is not enforced until that succeeds, and is tried again within a minute; \
                 if it lasts, recover from the backup what is damaged"
            ),
        }
    }
}

impl Worker for Quotas {
    fn name(&self) -> &'static str {
        "quotas"
    }

    fn bell(&self) -> Arc<Notify> {
        Arc::clone(&self.store.watch.bell)
    }

    fn tick(&mut self) -> BoxFuture<'_, engine::Result<Progress>> {
        Box::pin(async { self.run().await.map_err(reported) })
    }
}
