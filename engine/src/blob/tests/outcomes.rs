//! A catalog that does not say how a commit ended, or that was too busy meanwhile to judge it.

use super::super::row::LIVE;
use super::super::{Collector, Compactor};
use super::workers::sparse;
use super::{World, run};
use crate::catalog::{Catalog, Commit, Limits, Snapshot, Write};
use crate::id::PartitionId;
use crate::unit::ByteCount;
use crate::worker::{Progress, Worker};
use crate::{BoxFuture, Error, Result};
use parking_lot::Mutex;
use std::sync::Arc;

/// What becomes of the next commit that changes counters of live bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    /// It is parked: nobody knows how it ends before the next one comes.
    Unknown,
    /// Its snapshot is older than the conflict window.
    TooOld,
}

pub(crate) struct Moody {
    rows: Arc<dyn Catalog>,
    mood: Mutex<Option<Mood>>,
    parked: Mutex<Vec<Commit>>,
}

impl Moody {
    pub(crate) fn before(rows: Arc<dyn Catalog>) -> Arc<Self> {
        Arc::new(Self { rows, mood: Mutex::new(None), parked: Mutex::default() })
    }

    pub(crate) fn arm(&self, mood: Mood) {
        *self.mood.lock() = Some(mood);
    }

    /// The mood is over.
    pub(crate) fn is_spent(&self) -> bool {
        self.mood.lock().is_none()
    }
}

impl Catalog for Moody {
    fn limits(&self) -> Limits {
        self.rows.limits()
    }
    fn snapshot(&self, partition: PartitionId) -> BoxFuture<'_, Result<Arc<dyn Snapshot>>> {
        self.rows.snapshot(partition)
    }
    fn commit(&self, commit: Commit) -> BoxFuture<'_, Result<u64>> {
        Box::pin(async move {
            let parked = std::mem::take(&mut *self.parked.lock());
            for earlier in parked {
                self.rows.commit(earlier).await.unwrap();
            }
            let counts = |write: &Write| matches!(write, Write::Add(key, _) if key.table == LIVE);
            let mood = if commit.writes.iter().any(counts) { self.mood.lock().take() } else { None };
            match mood {
                None => self.rows.commit(commit).await,
                Some(Mood::TooOld) => Err(Error::TooOld { read: commit.read_version }),
                Some(Mood::Unknown) => {
                    self.parked.lock().push(commit);
                    Err(Error::Unknown { reason: "it is parked".to_owned() })
                }
            }
        })
    }
}

async fn moody(seed: u64) -> (World, Arc<Moody>) {
    let mut world = World::new(seed).await;
    let moody = Moody::before(world.catalog.clone());
    world.catalog = moody.clone();
    world.reopen().await.unwrap();
    (world, moody)
}

/// Ticks until there is nothing to do; the errors on the way.
pub(crate) async fn run_on(worker: &mut dyn Worker) -> Vec<Error> {
    let mut errors = Vec::new();
    for _ in 0..10_000 {
        match worker.tick().await {
            Ok(Progress::Idle { .. }) => return errors,
            Ok(_) => {}
            Err(error) => errors.push(error),
        }
        assert!(errors.len() < 100, "{} never rests: {errors:?}", worker.name());
    }
    panic!("{} never rests", worker.name());
}

#[tokio::test]
async fn what_a_collection_freed_whose_outcome_was_unknown_is_counted_as_free() {
    let (world, moody) = moody(410).await;
    let mut blobs = Vec::new();
    for _ in 0..30 {
        blobs.push(world.put(&world.bytes(100_000), "owner").await.unwrap().0);
    }
    world.settle().await;
    for blob in blobs {
        world.drop_reference(blob, "owner").await;
    }
    moody.arm(Mood::Unknown);
    let errors = run_on(&mut Collector::new(Arc::clone(&world.store))).await;
    assert!(matches!(&errors[..], [Error::Unknown { .. }]) && moody.is_spent(), "{errors:?}");
    world.settle().await;
    let usage = world.store.usage();
    assert_eq!(usage.live, ByteCount::ZERO, "{usage:?}");
    assert!(usage.segments <= 1, "the one that is written to is left: {usage:?}");
}

#[tokio::test]
async fn what_was_moved_is_named_though_the_catalog_has_forgotten_what_it_was_compared_with() {
    for mood in [Mood::TooOld, Mood::Unknown] {
        let (world, moody) = moody(411).await;
        let kept = sparse(&world, 4).await;
        run(&mut Collector::new(Arc::clone(&world.store))).await;
        let before = world.store.usage();
        moody.arm(mood);
        let errors = run_on(&mut Compactor::new(Arc::clone(&world.store))).await;
        assert!(moody.is_spent());
        let usage = world.store.usage();
        if mood == Mood::TooOld {
            assert!(errors.is_empty(), "it is as good as a conflict: {errors:?}");
            let copied = usage.record_bytes.get() - before.record_bytes.get();
            assert_eq!(copied, usage.moved_bytes.get(), "no copy was thrown away");
        }
        world.settle().await;
        assert!(world.store.usage().segments <= before.segments / 2, "{mood:?}: {:?}", world.store.usage());
        for (blob, key, body) in &kept {
            assert!(world.read(*blob, key, 0..100_000).await.unwrap() == *body);
        }
    }
}
