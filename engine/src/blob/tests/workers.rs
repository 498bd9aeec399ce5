//! Collection, compaction, recycling, scrubbing.

use super::super::{Collector, Compactor, Recycler, Scrubber, share};
use super::{HOME, World, owned, run};
use crate::catalog::{Catalog, Commit, Limits, MemoryCatalog, Snapshot};
use crate::fault::{Fault, Point};
use crate::id::PartitionId;
use crate::unit::ByteCount;
use crate::worker::{Progress, Worker};
use crate::{BoxFuture, Error, ErrorKind, Result};
use futures_util::future::join_all;
use futures_util::{FutureExt, StreamExt};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;

#[tokio::test]
async fn the_last_reference_keeps_a_blob_and_its_release_frees_it() {
    let world = World::new(10).await;
    let body = world.bytes(10_000);
    let (blob, key) = world.put(&body, "one").await.unwrap();
    world.commit(share(blob, &owned("two"))).await.unwrap();
    world.drop_reference(blob, "one").await;
    world.settle().await;
    assert!(world.read(blob, &key, 0..10_000).await.unwrap() == body);
    assert!(world.store.usage().live.get() > 10_000);
    world.drop_reference(blob, "two").await;
    world.settle().await;
    assert_eq!(world.read(blob, &key, 0..1).await.unwrap_err().kind(), ErrorKind::NotFound);
    let usage = world.store.usage();
    assert_eq!((usage.live, usage.collected_blobs), (ByteCount::ZERO, 1));
}

/// Writes blobs of 100 KB until several segments are closed, and drops all but every `keep`th: all 60 when that is more.
pub(super) async fn sparse(
    world: &World,
    keep: usize,
) -> Vec<(crate::id::BlobId, crate::codec::DataKey, Vec<u8>)> {
    let mut kept = Vec::new();
    for n in 0..60 {
        let body = world.bytes(100_000);
        let (blob, key) = world.put(&body, "owner").await.unwrap();
        if n % keep == keep - 1 {
            kept.push((blob, key, body));
        } else {
            world.drop_reference(blob, "owner").await;
        }
    }
    kept
}

#[tokio::test]
async fn compaction_moves_what_lives_and_recycles_the_rest() {
    let world = World::new(11).await;
    let kept = sparse(&world, 4).await;
    let before = world.segment_files().len();
    world.settle().await;
    let after = world.segment_files().len();
    assert!(after < before, "{before} segment files became {after}");
    let usage = world.store.usage();
    assert!(usage.moved_bytes.get() > 0 && usage.free_segments > 1, "{usage:?}");
    for (blob, key, body) in &kept {
        assert!(world.read(*blob, key, 0..100_000).await.unwrap() == *body);
    }
    let (blob, key) = world.put(b"in a recycled file", "owner").await.unwrap();
    assert_eq!(world.read(blob, &key, 0..18).await.unwrap(), b"in a recycled file");
}

#[tokio::test]
async fn a_reader_finishes_what_it_began_though_its_segments_are_emptied() {
    let world = World::new(12).await;
    // More than is read ahead, in segments that are all closed but the last.
    let body = world.bytes(3_000_000);
    let (blob, key) = world.put(&body, "owner").await.unwrap();
    let mut reader = world.store.read(HOME, blob, &key, 0..3_000_000);
    let mut got = reader.next().await.unwrap().unwrap().to_vec();
    world.drop_reference(blob, "owner").await;
    world.settle().await;
    // What was recycled is written to again.
    sparse(&world, 1000).await;
    while let Some(piece) = reader.next().await {
        got.extend_from_slice(&piece.unwrap());
    }
    assert!(got == body);
    assert_eq!(world.read(blob, &key, 0..1).await.unwrap_err().kind(), ErrorKind::NotFound);
    let before = world.segment_files().len();
    drop(reader);
    world.settle().await;
    assert!(world.segment_files().len() < before, "and then they go");
}

#[tokio::test]
async fn a_sealed_blob_is_left_alone_until_its_commit() {
    let mut world = World::new(13).await;
    let body = world.bytes(100_000);
    let sealed = world.seal(&body).await.unwrap();
    sparse(&world, 1000).await;
    world.settle().await;
    world.commit(sealed.writes(&owned("late"))).await.unwrap();
    let (blob, key) = (sealed.id, sealed.key.clone());
    drop(sealed);
    world.settle().await;
    assert!(world.read(blob, &key, 0..100_000).await.unwrap() == body);
    world.reopen().await.unwrap();
    world.settle().await;
    assert!(world.read(blob, &key, 0..100_000).await.unwrap() == body);
}

/// Keeps commits whose callers went away until the next one comes, and decides them before it: as late as a catalog may.
#[derive(Default)]
pub(super) struct Tardy {
    inner: MemoryCatalog,
    waiting: parking_lot::Mutex<Vec<Commit>>,
}

impl Catalog for Tardy {
    fn limits(&self) -> Limits {
        self.inner.limits()
    }
    fn snapshot(&self, partition: PartitionId) -> BoxFuture<'_, Result<Arc<dyn Snapshot>>> {
        self.inner.snapshot(partition)
    }
    fn commit(&self, commit: Commit) -> BoxFuture<'_, Result<u64>> {
        Box::pin(async move {
            for earlier in std::mem::take(&mut *self.waiting.lock()) {
                drop(self.inner.commit(earlier).now_or_never());
            }
            self.waiting.lock().push(commit);
            tokio::task::yield_now().await;
            let own = self.waiting.lock().pop();
            self.inner.commit(own.ok_or(Error::Closed)?).await
        })
    }
}

#[tokio::test]
async fn a_commit_whose_caller_went_away_keeps_its_segment() {
    let mut world = World::new(14).await;
    world.catalog = Arc::new(Tardy::default());
    world.reopen().await.unwrap();
    let body = world.bytes(100_000);
    let (blob, key) = {
        let sealed = world.seal(&body).await.unwrap();
        // Everything else in its segment dies, and the segment is closed.
        for (other, _, _) in sparse(&world, 1000).await {
            world.drop_reference(other, "owner").await;
        }
        run(&mut Collector::new(Arc::clone(&world.store))).await;
        let commit = world.commit(sealed.writes(&owned("late")));
        assert!(commit.now_or_never().is_none(), "it is on its way when its caller goes");
        (sealed.id, sealed.key.clone())
    };
    // No time passes. The recycler's own commit comes after the one that is on its way.
    for _ in 0..3 {
        run(&mut Compactor::new(Arc::clone(&world.store))).await;
        run(&mut Recycler::new(Arc::clone(&world.store))).await;
    }
    assert!(world.read(blob, &key, 0..100_000).await.unwrap() == body);
    assert!(world.store.usage().live.get() >= 100_000, "its bytes are counted");
}

#[tokio::test]
async fn a_full_pool_is_emptied_without_waiting() {
    let world = World::new(18).await;
    world.faults.arm(Point::SegmentAllocate, Fault::NoSpace, 12, u64::MAX);
    let body = world.bytes(200_000);
    let mut blobs = Vec::new();
    while let Ok((blob, _)) = world.put(&body, "owner").await {
        blobs.push(blob);
        assert!(blobs.len() < 2000, "never full");
    }
    let mut workers: [Box<dyn Worker>; 3] = [
        Box::new(Collector::new(Arc::clone(&world.store))),
        Box::new(Compactor::new(Arc::clone(&world.store))),
        Box::new(Recycler::new(Arc::clone(&world.store))),
    ];
    let rung = |worker: &dyn Worker| worker.bell().notified().now_or_never().is_some();
    for worker in &workers {
        assert!(rung(&**worker), "the {} is called when a writer finds no room", worker.name());
    }
    for blob in blobs {
        world.drop_reference(blob, "owner").await;
    }
    // In this order each has rung for the next, and no time passes.
    for (n, worker) in workers.iter_mut().enumerate() {
        assert!(n == 0 || rung(&**worker), "the {} is called", worker.name());
        run(&mut **worker).await;
    }
    world.put(&body, "again").await.unwrap();
    assert!(!world.store.usage().full);
}

#[tokio::test]
async fn while_the_pool_is_full_its_workers_look_twice_a_second() {
    let world = World::new(19).await;
    world.faults.arm(Point::SegmentAllocate, Fault::NoSpace, 4, u64::MAX);
    let body = world.bytes(200_000);
    let mut collector = Collector::new(Arc::clone(&world.store));
    let rest = |progress| if let Progress::Idle { rest } = progress { rest } else { Duration::ZERO };
    assert_eq!(rest(collector.tick().await.unwrap()), Duration::from_secs(5));
    for n in 0..2000 {
        if world.put(&body, "owner").await.is_err() {
            break;
        }
        assert!(n < 1999, "never full");
    }
    assert_eq!(rest(collector.tick().await.unwrap()), Duration::from_millis(500));
}

#[tokio::test]
async fn freed_segments_wait_until_the_hold_passes_their_commit() {
    let mut world = World::new(15).await;
    world.store.set_hold(Some(0));
    sparse(&world, 1000).await;
    let before = world.segment_files();
    world.settle().await;
    let usage = world.store.usage();
    assert!(usage.freed_segments > 0);
    let all_there = |now: &[String]| before.iter().all(|id| now.contains(id));
    assert!(all_there(&world.segment_files()), "nothing that a backup may name is recycled");
    world.reopen().await.unwrap();
    world.store.set_hold(Some(0));
    world.settle().await;
    assert!(all_there(&world.segment_files()), "nor after a restart");
    let newest = world.commit_in(crate::id::PartitionId::ROOT, vec![]).await.unwrap();
    world.store.set_hold(Some(newest.max(world.commit(vec![]).await.unwrap())));
    world.settle().await;
    assert!(!all_there(&world.segment_files()));
}

#[tokio::test]
async fn groups_share_syncs() {
    let world = World::new(16).await;
    let body = world.bytes(5_000);
    let before = world.store.usage();
    let sealed = join_all((0..64).map(|_| world.seal(&body))).await;
    assert!(sealed.iter().all(Result::is_ok));
    let after = world.store.usage();
    assert_eq!(after.records - before.records, 64);
    assert_eq!(after.syncs - before.syncs, after.groups - before.groups, "one sync a group");
    assert!(after.groups - before.groups <= 64);
}

#[tokio::test]
async fn a_record_behind_a_broken_one_is_still_found_and_the_broken_one_is_kept() {
    let mut world = World::new(17).await;
    let kept = sparse(&world, 5).await;
    let place = world.store.locate(HOME, kept[2].0).await.unwrap().remove(0);
    let path = world.pool_dir.join(format!("{}.seg", place.segment));
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(&[0xFF; 4], place.offset.get()).unwrap();
    world.reopen().await.unwrap();
    world.settle().await;
    assert!(path.exists(), "the segment with the broken frame stays");
    for (n, (blob, key, body)) in kept.iter().enumerate() {
        assert!(world.read(*blob, key, 0..100_000).await.unwrap() == *body, "blob {n}: its chunks are whole");
    }
}

#[tokio::test]
async fn scrubbing_finds_damage_without_a_key() {
    let world = World::new(18).await;
    let body = world.bytes(300_000);
    let (blob, _) = world.put(&body, "owner").await.unwrap();
    world.put(b"untouched", "owner").await.unwrap();
    let mut scrubber = Scrubber::new(Arc::clone(&world.store));
    scrubber.tick().await.unwrap();
    let clean = world.store.usage();
    assert_eq!(clean.damaged_records, 0);
    assert!(clean.scrubbed_bytes.get() > 300_000);
    let place = world.store.locate(HOME, blob).await.unwrap().remove(0);
    let path = world.pool_dir.join(format!("{}.seg", place.segment));
    let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    file.write_all_at(b"flip", place.offset.get() + 1000).unwrap();
    Scrubber::new(Arc::clone(&world.store)).tick().await.unwrap();
    assert_eq!(world.store.usage().damaged_records, 1);
}

#[tokio::test]
async fn zeros_are_written_ahead_and_counted_apart() {
    let world = World::new(19).await;
    run(&mut super::super::Zeroer::new(Arc::clone(&world.store))).await;
    let usage = world.store.usage();
    assert_eq!((usage.zeroed_bytes, usage.free_segments), (ByteCount::mib(1), 2));
    assert_eq!(usage.record_bytes, ByteCount::ZERO);
    world.put(b"takes the file", "owner").await.unwrap();
    assert_eq!(world.store.usage().free_segments, 1, "the last one is the compactor's");
}

#[tokio::test]
async fn what_is_released_calls_the_collector_of_a_store_that_is_full() {
    let world = World::new(73).await;
    let bell = Collector::new(Arc::clone(&world.store)).bell();
    let is_called = || bell.notified().now_or_never().is_some();
    world.store.freed_something();
    assert!(!is_called(), "there is room");
    world.faults.arm(Point::SegmentAllocate, Fault::NoSpace, 0, u64::MAX);
    while world.put(&world.bytes(200_000), "owner").await.is_ok() {}
    // A lane that finds no room calls as well: that call is taken.
    is_called();
    assert!(!is_called());
    world.store.freed_something();
    assert!(is_called());
}

#[tokio::test]
async fn scrubbing_goes_on_after_a_restart_where_it_paused_and_begins_anew_after_a_round() {
    let mut world = World::new(56).await;
    for _ in 0..20 {
        world.put(&world.bytes(1_000_000), "owner").await.unwrap();
    }
    // Live bytes are counted.
    world.settle().await;
    let mut scrubber = Scrubber::new(Arc::clone(&world.store));
    let paused = loop {
        match scrubber.tick().await.unwrap() {
            Progress::Idle { rest } => break rest,
            Progress::More { .. } => {}
        }
    };
    assert_eq!(paused, Duration::from_secs(1), "there is more to read");
    let (before, live) = (world.store.usage().scrubbed_bytes.get(), world.store.usage().live.get());
    assert!(before < live);
    drop(scrubber);
    world.reopen().await.unwrap();
    world.scrub().await;
    assert_eq!(before + world.store.usage().scrubbed_bytes.get(), live, "each once");
    world.reopen().await.unwrap();
    world.scrub().await;
    assert_eq!(world.store.usage().scrubbed_bytes.get(), live);
}
