//! Settles copies to other partitions that never said how they ended: confirmed if the destination's commit is there, else
//! fenced off there first and only then undone here.

use super::{BATCH, REST, older, reported};
use crate::id::OwnerId;
use crate::record::IntentRow;
use crate::stack::release_content;
use crate::store::won;
use crate::{ObjectStore, Result, tables};
use bytes::Bytes;
use engine::BoxFuture;
use engine::catalog::record::Record;
use engine::catalog::{Check, Commit, Scan, Write};
use engine::clock::Timestamp;
use engine::id::PartitionId;
use engine::worker::{Progress, Worker};
use std::sync::Arc;
use std::time::Duration;

/// How long a fence stands: far beyond the life of any commit that it could have to stop.
const FENCE_KEPT: Duration = Duration::from_hours(1);

pub(super) struct Intents {
    store: Arc<ObjectStore>,
}

impl Intents {
    pub(super) fn new(store: Arc<ObjectStore>) -> Self {
        Self { store }
    }

    async fn run(&self) -> Result<Progress> {
        let next = self.store.dirty_intents.lock().pop_first();
        let Some(partition) = next else { return Ok(Progress::Idle { rest: REST }) };
        let done = async { Ok(self.intents(partition).await? + self.fences(partition).await?) }.await;
        if !matches!(done, Ok(0)) {
            self.store.dirty_intents.lock().insert(partition);
        }
        done.map(|done| Progress::More { done })
    }

    async fn intents(&self, home: PartitionId) -> Result<u64> {
        let snapshot = self.store.catalog.snapshot(home).await?;
        let page = snapshot.scan(Scan::prefix(tables::INTENTS, b"", BATCH)).await?;
        let mut done = 0;
        for (raw_owner, raw) in &page.rows {
            let id = tables::read_id(raw_owner)?;
            if self.store.is_active(id) {
                continue;
            }
            self.settle(home, OwnerId::from_bytes(id), IntentRow::from_bytes(raw)?).await?;
            done += 1;
        }
        Ok(done)
    }

    async fn settle(&self, home: PartitionId, owner: OwnerId, intent: IntentRow) -> Result<()> {
        let there = self.store.catalog.snapshot(intent.destination).await?;
        let foreign = tables::of_owner(tables::FOREIGN, owner);
        let mut writes = vec![Write::Delete(tables::of_owner(tables::INTENTS, owner))];
        if there.get(foreign.clone()).await?.is_none() {
            let now = self.store.clock.now().as_millis().to_be_bytes();
            let fence = Write::Put(tables::of_owner(tables::FENCES, owner), Bytes::copy_from_slice(&now));
            let checks = vec![Check::Unchanged(foreign)];
            let read_version = there.read_version();
            let commit = Commit {
                checks,
                writes: vec![fence],
                ..Commit::new(intent.destination, read_version).from_reserve()
            };
            if !won(self.store.commit(commit, Vec::new()).await)? {
                // The commit that we were about to fence off: it is there now.
                return Ok(());
            }
            self.store.dirty_intents.lock().insert(intent.destination);
            writes.extend(release_content(home, owner, &intent.content)?.0);
        }
        let read_version = self.store.catalog.snapshot(home).await?.read_version();
        let commit = Commit { writes, ..Commit::new(home, read_version).from_reserve() };
        self.store.commit(commit, Vec::new()).await?;
        self.store.dirty.lock().insert(home);
        Ok(())
    }

    async fn fences(&self, partition: PartitionId) -> Result<u64> {
        let snapshot = self.store.catalog.snapshot(partition).await?;
        let page = snapshot.scan(Scan::prefix(tables::FENCES, b"", BATCH)).await?;
        let now = self.store.clock.now();
        let mut writes = Vec::new();
        for (key, raw) in &page.rows {
            if older(set_at(raw)?, now, FENCE_KEPT) {
                writes.push(Write::Delete(tables::FENCES.key(key.clone())));
            }
        }
        let done = writes.len() as u64;
        if done > 0 {
            let commit = Commit { writes, ..Commit::new(partition, snapshot.read_version()).from_reserve() };
            self.store.commit(commit, Vec::new()).await?;
        }
        Ok(done)
    }
}

/// When a fence was set.
fn set_at(raw: &Bytes) -> engine::Result<Timestamp> {
    let millis = raw.as_ref().try_into().map(i64::from_be_bytes);
    millis.map(Timestamp::from_millis).map_err(|_| engine::Error::Corrupt {
        what: "catalog".into(),
        detail: "a fence has the wrong length".into(),
    })
}

impl Worker for Intents {
    fn name(&self) -> &'static str {
        "copy-intents"
    }

    fn tick(&mut self) -> BoxFuture<'_, engine::Result<Progress>> {
        Box::pin(async { self.run().await.map_err(reported) })
    }
}
