//! Settles copies to other partitions that never said how they ended: confirmed if the destination's commit is there, else
//! fenced off there first and only then undone here.

use super::{Place, Places, REST, count, older, reported};
use crate::change::Change;
use crate::id::OwnerId;
use crate::record::IntentRow;
use crate::stack::release_content;
use crate::{ObjectStore, Result, tables};
use bytes::Bytes;
use engine::BoxFuture;
use engine::catalog::record::Record;
use engine::clock::Timestamp;
use engine::id::PartitionId;
use engine::worker::{Progress, Stop, Tour, Visitor, Worker};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

/// How long a fence stands: far beyond the life of any commit that it could have to stop.
const FENCE_KEPT: Duration = Duration::from_hours(1);

/// Intents, fences.
const QUEUES: usize = 2;

pub(super) struct Intents {
    work: Dirty,
    tour: Tour<Places<QUEUES>>,
}

/// Partitions that may have intents or fences, each in its turn.
struct Dirty {
    store: Arc<ObjectStore>,
}

impl Intents {
    pub(super) fn new(store: Arc<ObjectStore>) -> Self {
        Self { work: Dirty { store }, tour: Tour::default() }
    }

    async fn run(&mut self) -> engine::Result<Progress> {
        self.tour.tick(&mut self.work, REST).await
    }
}

impl Visitor for Dirty {
    type Cursor = Places<QUEUES>;

    fn next(&self, from: Bound<PartitionId>) -> Option<PartitionId> {
        self.store.dirty_intents.lock().range((from, Bound::Unbounded)).next().copied()
    }

    /// Fences go whatever becomes of the intents.
    async fn visit(&mut self, stop: &mut Stop<Places<QUEUES>>) -> engine::Result<()> {
        let partition = stop.partition();
        self.store.dirty_intents.lock().remove(&partition);
        let mut places = stop.cursor();
        let [intents, fences] = &mut places.queues;
        let outcomes = [self.intents(stop, intents).await, self.fences(partition, fences).await];
        let is_left = count(outcomes, stop);
        if places.leave(is_left, stop) {
            self.store.dirty_intents.lock().insert(partition);
        }
        Ok(())
    }
}

impl Dirty {
    async fn intents(&self, stop: &mut Stop<Places<QUEUES>>, at: &mut Place) -> Result<u64> {
        let home = stop.partition();
        let snapshot = self.store.catalog.snapshot(home).await?;
        let (page, behind) = at.page(&*snapshot, tables::INTENTS).await?;
        let mut done = 0;
        for (raw_owner, raw) in &page.rows {
            let one = async {
                let id = tables::read_id(raw_owner)?;
                if self.store.is_active(id) {
                    return Ok(0);
                }
                self.settle(home, OwnerId::from_bytes(id), IntentRow::from_bytes(raw)?).await?;
                Ok::<u64, crate::Error>(1)
            };
            // One that can't be read or settled holds up none behind it.
            match one.await {
                Ok(settled) => done += settled,
                Err(error) => stop.set_aside(reported(error)),
            }
        }
        if done == 0 {
            *at = behind;
        }
        Ok(done)
    }

    async fn settle(&self, home: PartitionId, owner: OwnerId, intent: IntentRow) -> Result<()> {
        let there = self.store.catalog.snapshot(intent.destination).await?;
        let foreign = tables::of_owner(tables::FOREIGN, owner);
        let mut change = Change::default().delete(tables::of_owner(tables::INTENTS, owner)).freeing();
        if there.get(foreign.clone()).await?.is_none() {
            let now = self.store.clock.now().as_millis().to_be_bytes();
            let fence = tables::of_owner(tables::FENCES, owner);
            let fence = Change::default().unchanged(foreign).put(fence, Bytes::copy_from_slice(&now));
            if !self.store.try_commit(fence.freeing().at(intent.destination, &*there)).await? {
                // The commit that we were about to fence off: it is there now.
                return Ok(());
            }
            self.store.dirty_intents.lock().insert(intent.destination);
            change.writes.extend(release_content(home, owner, &intent.content)?.0);
        }
        let snapshot = self.store.catalog.snapshot(home).await?;
        self.store.commit(change.at(home, &*snapshot)).await?;
        self.store.dirty.lock().insert(home);
        Ok(())
    }

    async fn fences(&self, partition: PartitionId, at: &mut Place) -> Result<u64> {
        let snapshot = self.store.catalog.snapshot(partition).await?;
        let (page, behind) = at.page(&*snapshot, tables::FENCES).await?;
        let now = self.store.clock.now();
        let mut change = Change::default().freeing();
        for (key, raw) in &page.rows {
            let fence = tables::FENCES.key(key.clone());
            match set_at(raw) {
                Some(at) if older(at, now, FENCE_KEPT) => change = change.delete(fence),
                Some(_) => {}
                None => {
                    tracing::warn!(%partition, "the time of a copy's fence is damaged; it stands for an hour from now");
                    let now = Bytes::copy_from_slice(&now.as_millis().to_be_bytes());
                    change = change.unchanged(fence.clone()).put(fence, now);
                }
            }
        }
        let done = change.writes.len() as u64;
        if done > 0 {
            // Somebody was faster: they are looked at again.
            self.store.try_commit(change.at(partition, &*snapshot)).await?;
        } else {
            *at = behind;
        }
        Ok(done)
    }
}

/// When a fence was set; `None` when that can't be read. That it is there is all that stops a commit.
fn set_at(raw: &Bytes) -> Option<Timestamp> {
    raw.as_ref().try_into().ok().map(i64::from_be_bytes).map(Timestamp::from_millis)
}

impl Worker for Intents {
    fn name(&self) -> &'static str {
        "copy-intents"
    }

    fn trouble(&self) -> Option<String> {
        self.tour.trouble()
    }

    fn tick(&mut self) -> BoxFuture<'_, engine::Result<Progress>> {
        Box::pin(self.run())
    }
}

#[cfg(test)]
mod tests {
    use super::Intents;
    use crate::change::Change;
    use crate::record::{Content, IntentRow};
    use crate::world::World;
    use crate::{Versioning, tables};
    use engine::catalog::record::Record;
    use engine::catalog::{Catalog, Write};
    use engine::clock::Clock;
    use engine::worker::{Progress, Worker};
    use std::sync::Arc;

    #[tokio::test]
    async fn copies_that_can_not_be_read_keep_none_behind_them_from_being_settled() {
        let world = World::new(312).await;
        let home = world.partition(&world.create("home", Versioning::Off).await).await;
        let destination = world.partition(&world.create("destination", Versioning::Off).await).await;
        let intent = |n: u16| tables::INTENTS.key([&[1; 14][..], &n.to_be_bytes()].concat());
        let mut writes: Vec<Write> = (0..600).map(|n| Write::Put(intent(n), "x".into())).collect();
        let begun = IntentRow { content: Content::Empty, destination, created: world.clock.now() };
        writes.push(Write::Put(intent(600), begun.to_bytes()));
        let snapshot = world.catalog.snapshot(home).await.unwrap();
        world.store.commit(Change::writes(writes).at(home, &*snapshot)).await.unwrap();
        world.store.find_work().await.unwrap();
        let mut worker = Intents::new(Arc::clone(&world.store));
        let mut told = 0;
        for _ in 0..100 {
            match worker.tick().await {
                Ok(Progress::More { .. }) => {}
                Ok(Progress::Idle { .. }) => break,
                Err(_) => told += 1,
            }
        }
        assert_eq!(told, 1);
        assert_eq!(world.rows(home, tables::INTENTS).await, 600, "what is damaged stays");
        assert_eq!(world.rows(destination, tables::FENCES).await, 1, "its commit may not come any more");
    }
}
