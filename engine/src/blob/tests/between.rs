//! What happens between any two steps of a worker is noticed by its commit.

use super::super::row::{BlobRow, blob_key};
use super::super::writer::live_adds;
use super::super::{Collector, Compactor, Recycler, Scrubber, share};
use super::{HOME, World, owned, run};
use crate::ErrorKind;
use crate::catalog::{Commit, Write};
use crate::fault::{Fault, Point};
use crate::testing::{Gate, Step, in_every_gap};
use crate::unit::ByteCount;
use crate::worker::Worker;
use parking_lot::Mutex;
use std::sync::Arc;

/// More steps than any tick here has.
const STEPS_MAX: usize = 400;

/// A world whose store reads and commits through a gate.
async fn gated(seed: u64) -> (World, Arc<Gate>) {
    let mut world = World::new(seed).await;
    let gate = Gate::before(world.catalog.clone());
    world.catalog = gate.clone();
    world.reopen().await.unwrap();
    (world, gate)
}

/// What a caller's commit would do, past the gate.
fn commit(gate: &Gate, writes: Vec<Write>) -> Step {
    let rows = gate.rows().clone();
    Box::pin(async move {
        let read_version = rows.snapshot(HOME).await.unwrap().read_version();
        rows.commit(Commit { writes, ..Commit::new(HOME, read_version) }).await.unwrap();
    })
}

/// Fills segments with blobs that are dropped again, so that those before them are closed.
async fn churn(world: &World) {
    for _ in 0..30 {
        let (blob, _) = world.put(&world.bytes(100_000), "dropped").await.unwrap();
        world.drop_reference(blob, "dropped").await;
    }
}

#[tokio::test]
async fn a_release_that_comes_between_is_collected_in_the_next_round() {
    in_every_gap(STEPS_MAX, async |n| {
        let (world, gate) = gated(60).await;
        let (blob, key) = world.put(&world.bytes(10_000), "one").await.unwrap();
        world.commit(share(blob, &owned("two"))).await.unwrap();
        world.drop_reference(blob, "one").await;
        let step = commit(&gate, super::super::release(blob, &owned("two")));
        gate.arm(n, step);
        Collector::new(world.store.clone()).tick().await.unwrap();
        if gate.disarm() {
            return false;
        }
        world.settle().await;
        assert_eq!(world.read(blob, &key, 0..1).await.unwrap_err().kind(), ErrorKind::NotFound, "gap {n}");
        assert_eq!(world.store.usage().live, ByteCount::ZERO, "gap {n}");
        true
    })
    .await;
}

#[tokio::test]
async fn a_compaction_that_comes_between_leaves_the_collector_right() {
    in_every_gap(STEPS_MAX, async |n| {
        let (mut world, gate) = gated(61).await;
        let (blob, _) = world.put(&world.bytes(100_000), "owner").await.unwrap();
        churn(&world).await;
        run(&mut Collector::new(world.store.clone())).await;
        world.clock.advance(std::time::Duration::from_mins(1));
        world.drop_reference(blob, "owner").await;
        let store = world.store.clone();
        let step = Box::pin(async move { run(&mut Compactor::new(store)).await });
        gate.arm(n, step);
        Collector::new(world.store.clone()).tick().await.unwrap();
        if gate.disarm() {
            return false;
        }
        world.settle().await;
        world.reopen().await.unwrap();
        assert_eq!(world.store.usage().live, ByteCount::ZERO, "gap {n}: bytes counted where they are not");
        assert!(world.store.usage().moved_bytes == ByteCount::ZERO);
        true
    })
    .await;
}

#[tokio::test]
async fn a_collection_that_comes_between_is_not_undone_by_compaction() {
    in_every_gap(STEPS_MAX, async |n| {
        let (world, gate) = gated(62).await;
        let (blob, key) = world.put(&world.bytes(100_000), "owner").await.unwrap();
        churn(&world).await;
        run(&mut Collector::new(world.store.clone())).await;
        world.clock.advance(std::time::Duration::from_mins(1));
        let (store, release) = (world.store.clone(), super::super::release(blob, &owned("owner")));
        let (rows, gone) = (gate.rows().clone(), commit(&gate, release));
        let step = Box::pin(async move {
            gone.await;
            run(&mut Collector::new(store)).await;
            assert!(rows.snapshot(HOME).await.unwrap().get(blob_key(blob)).await.unwrap().is_none());
        });
        gate.arm(n, step);
        run(&mut Compactor::new(world.store.clone())).await;
        if gate.disarm() {
            assert!(world.store.usage().moved_bytes > ByteCount::ZERO, "it moves what stays");
            return false;
        }
        world.settle().await;
        assert_eq!(world.read(blob, &key, 0..1).await.unwrap_err().kind(), ErrorKind::NotFound, "gap {n}");
        assert_eq!(world.store.usage().live, ByteCount::ZERO, "gap {n}");
        true
    })
    .await;
}

#[tokio::test]
async fn a_segment_whose_rows_change_under_the_walk_is_emptied_all_the_same() {
    in_every_gap(STEPS_MAX, async |n| {
        let (world, gate) = gated(68).await;
        let body = world.bytes(100_000);
        let (blob, key) = world.put(&body, "owner").await.unwrap();
        let before = world.store.locate(HOME, blob).await.unwrap();
        churn(&world).await;
        run(&mut Collector::new(world.store.clone())).await;
        world.clock.advance(std::time::Duration::from_mins(1));
        // As a repair does, it writes the row anew, whatever it says then.
        let rows = gate.rows().clone();
        let step = Box::pin(async move {
            let snapshot = rows.snapshot(HOME).await.unwrap();
            let row = snapshot.get(blob_key(blob)).await.unwrap().unwrap();
            let writes = vec![Write::Put(blob_key(blob), row)];
            rows.commit(Commit { writes, ..Commit::new(HOME, snapshot.read_version()) }).await.unwrap();
        });
        gate.arm(n, step);
        run(&mut Compactor::new(world.store.clone())).await;
        if gate.disarm() {
            return false;
        }
        assert_ne!(world.store.locate(HOME, blob).await.unwrap(), before, "gap {n}: it was left alone");
        assert!(world.read(blob, &key, 0..100_000).await.unwrap() == body, "gap {n}");
        true
    })
    .await;
}

/// A commit's rows are there before whoever made it hears of it.
#[tokio::test]
async fn what_has_landed_and_is_not_answered_yet_leaves_no_segment_alone() {
    in_every_gap(STEPS_MAX, async |n| {
        let (world, gate) = gated(69).await;
        let (blob, _) = world.put(&world.bytes(100_000), "owner").await.unwrap();
        churn(&world).await;
        run(&mut Collector::new(world.store.clone())).await;
        world.clock.advance(std::time::Duration::from_mins(1));
        let (rows, store) = (gate.rows().clone(), world.store.clone());
        let step = Box::pin(async move {
            let snapshot = rows.snapshot(HOME).await.unwrap();
            let row = snapshot.get(blob_key(blob)).await.unwrap().unwrap();
            let row = BlobRow::decode(blob, &row).unwrap();
            let segments: Vec<_> = row.places().map(|place| place.segment).collect();
            let mut writes = live_adds(row.places(), -1);
            writes.push(Write::Delete(blob_key(blob)));
            store.live.begin(HOME, &segments);
            rows.commit(Commit { writes, ..Commit::new(HOME, snapshot.read_version()) }).await.unwrap();
        });
        gate.arm(n, step);
        run(&mut Compactor::new(world.store.clone())).await;
        if gate.disarm() {
            return false;
        }
        assert_eq!(world.store.usage().left_alone_segments, 0, "gap {n}");
        true
    })
    .await;
}

/// A row that a walk did not see yet, and one that was gone when it came there.
#[tokio::test]
async fn a_walk_that_meets_nothing_for_what_changes_meanwhile_is_made_again() {
    let (world, gate) = gated(70).await;
    let sealed = world.seal(&world.bytes(100_000)).await.unwrap();
    let (late, key, writes) = (sealed.id, sealed.key.clone(), sealed.writes(&owned("late")));
    drop(sealed);
    let (gone, _) = world.put(&world.bytes(100_000), "owner").await.unwrap();
    churn(&world).await;
    run(&mut Collector::new(world.store.clone())).await;
    world.clock.advance(std::time::Duration::from_mins(1));
    let snapshot = world.catalog.snapshot(HOME).await.unwrap();
    let row = BlobRow::decode(gone, &snapshot.get(blob_key(gone)).await.unwrap().unwrap()).unwrap();
    let mut compactor = Compactor::new(world.store.clone());
    // It chooses the segment, meets what is in it, and comes to its end.
    compactor.tick().await.unwrap();
    let mut lost = live_adds(row.places(), -1);
    lost.push(Write::Delete(blob_key(gone)));
    commit(&gate, lost).await;
    compactor.tick().await.unwrap();
    let moved = world.store.usage().moved_bytes;
    commit(&gate, writes).await;
    run(&mut compactor).await;
    assert!(world.store.usage().moved_bytes > moved, "it is moved");
    assert_eq!(world.store.usage().left_alone_segments, 0);
    assert!(world.read(late, &key, 0..100_000).await.unwrap().len() == 100_000);
}

#[tokio::test]
async fn a_commit_that_comes_between_keeps_its_segment() {
    in_every_gap(STEPS_MAX, async |n| {
        let (world, gate) = gated(63).await;
        let body = world.bytes(100_000);
        let sealed = world.seal(&body).await.unwrap();
        let (blob, key, writes) = (sealed.id, sealed.key.clone(), sealed.writes(&owned("late")));
        drop(sealed);
        churn(&world).await;
        run(&mut Collector::new(world.store.clone())).await;
        world.clock.advance(std::time::Duration::from_mins(1));
        let freed_before = Arc::new(Mutex::new(true));
        let (store, told, late) = (world.store.clone(), freed_before.clone(), commit(&gate, writes));
        let step = Box::pin(async move {
            *told.lock() = store.usage().freed_segments > 0;
            late.await;
        });
        gate.arm(n, step);
        run(&mut Compactor::new(world.store.clone())).await;
        if gate.disarm() || *freed_before.lock() {
            // It came after the fence, which a catalog lets no commit do that was on its way before.
            assert!(n > 2);
            return false;
        }
        world.settle().await;
        assert!(world.read(blob, &key, 0..100_000).await.unwrap() == body, "gap {n}");
        true
    })
    .await;
}

#[tokio::test]
async fn compaction_names_nothing_that_is_not_synced() {
    let mut world = World::new(64).await;
    let body = world.bytes(100_000);
    let (blob, key) = world.put(&body, "owner").await.unwrap();
    let before = world.store.locate(HOME, blob).await.unwrap();
    churn(&world).await;
    run(&mut Collector::new(world.store.clone())).await;
    world.clock.advance(std::time::Duration::from_mins(1));
    world.faults.arm(Point::SegmentSync, Fault::Io, 0, u64::MAX);
    let mut compactor = Compactor::new(world.store.clone());
    let mut outcome = Ok(());
    for _ in 0..10 {
        outcome = outcome.and(compactor.tick().await.map(drop));
    }
    assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(world.store.locate(HOME, blob).await.unwrap(), before, "the row names what is durable");
    world.faults.clear();
    world.reopen().await.unwrap();
    world.settle().await;
    assert!(world.read(blob, &key, 0..100_000).await.unwrap() == body);
    assert_ne!(world.store.locate(HOME, blob).await.unwrap(), before, "later it is moved");
}

#[tokio::test]
async fn a_row_that_names_anothers_record_is_damage() {
    let world = World::new(65).await;
    let (one, _) = world.put(&world.bytes(10_000), "one").await.unwrap();
    let (two, key) = world.put(&world.bytes(10_000), "two").await.unwrap();
    let snapshot = world.catalog.snapshot(HOME).await.unwrap();
    let row = snapshot.get(blob_key(one)).await.unwrap().unwrap();
    let row = BlobRow::decode(one, &row).unwrap();
    world.commit(vec![Write::Put(blob_key(two), row.encode().into())]).await.unwrap();
    Scrubber::new(world.store.clone()).tick().await.unwrap();
    assert_eq!(world.store.usage().damaged_records, 1);
    assert_eq!(world.read(two, &key, 0..10_000).await.unwrap_err().kind(), ErrorKind::Corrupt);
}

#[tokio::test]
async fn a_group_ends_on_a_page_of_its_own() {
    let world = World::new(66).await;
    for length in [10, 5_000, 100_000, 300_001, 300_001, 300_001, 300_001] {
        let (blob, _) = world.put(&world.bytes(length), "owner").await.unwrap();
        let place = world.store.locate(HOME, blob).await.unwrap().remove(0);
        assert_eq!(place.offset.get() % 4096, 0, "a torn page holds records of one group only");
    }
}

#[tokio::test]
async fn the_file_of_a_failed_segment_is_never_used_again() {
    let world = World::new(67).await;
    let (blob, _) = world.put(&world.bytes(10_000), "owner").await.unwrap();
    let place = world.store.locate(HOME, blob).await.unwrap().remove(0);
    world.faults.arm(Point::SegmentSync, Fault::Io, 0, 1);
    assert!(world.seal(&world.bytes(10_000)).await.is_err());
    world.faults.clear();
    world.drop_reference(blob, "owner").await;
    world.settle().await;
    run(&mut Recycler::new(world.store.clone())).await;
    assert!(!world.pool_dir.join(format!("{}.seg", place.segment)).exists(), "it was freed");
    assert!(!world.pool_dir.join(format!("{}.free", place.segment)).exists(), "and is not to be taken");
}
