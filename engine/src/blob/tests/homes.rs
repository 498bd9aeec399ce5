//! Partitions that had blobs: known as long as they may have some, and no longer.

use super::super::row::{BLOBS, GARBAGE, HOMES, REPAIR};
use super::super::{Collector, Repairer, Scrubber};
use super::outcomes::run_on;
use super::workers::Tardy;
use super::{HOME, World, owned, run};
use crate::ErrorKind;
use crate::blob::release;
use crate::catalog::{Scan, Write};
use crate::id::PartitionId;
use crate::unit::ByteCount;
use crate::worker::Worker;
use bytes::Bytes;
use futures_util::FutureExt;
use std::sync::Arc;

impl World {
    /// The homes that a restart would find.
    async fn home_rows(&self) -> usize {
        let root = self.catalog.snapshot(PartitionId::ROOT).await.unwrap();
        root.scan(Scan::prefix(HOMES, b"", 10_000)).await.unwrap().rows.len()
    }

    async fn put_in(&self, home: PartitionId, len: usize) -> crate::id::BlobId {
        let sealed = self.seal_in(home, &self.bytes(len)).await.unwrap();
        self.commit_in(home, sealed.writes(&owned("owner"))).await.unwrap();
        sealed.id
    }
}

const fn nth(n: u64) -> PartitionId {
    PartitionId::from_bytes(n.to_be_bytes())
}

#[tokio::test]
async fn a_partition_that_was_emptied_is_forgotten() {
    let mut world = World::new(420).await;
    let (kept, key) = world.put(b"kept", "owner").await.unwrap();
    for n in 1..=200 {
        let blob = world.put_in(nth(n), 20_000).await;
        world.commit_in(nth(n), release(blob, &owned("owner"))).await.unwrap();
    }
    assert_eq!(world.store.homes().len(), 201);
    // Its counters go with the segments, and the last of these is written to until it is full.
    for _ in 0..30 {
        world.put(&world.bytes(100_000), "later").await.unwrap();
    }
    world.settle().await;
    assert_eq!((world.store.homes(), world.home_rows().await), (vec![HOME], 1));
    world.reopen().await.unwrap();
    assert_eq!(world.store.homes(), [HOME]);
    assert_eq!(world.read(kept, &key, 0..4).await.unwrap(), b"kept");
    // One that takes blobs again is known again.
    let blob = world.put_in(nth(7), 20_000).await;
    world.reopen().await.unwrap();
    world.settle().await;
    assert_eq!(world.store.homes(), [nth(7), HOME]);
    assert!(world.store.row(nth(7), blob).await.is_ok());
}

#[tokio::test]
async fn a_sealed_blob_keeps_its_partition_known_until_its_commit() {
    // An empty body, too, which holds no segment.
    for len in [20_000, 0] {
        let mut world = World::new(421).await;
        let sealed = world.seal_in(nth(1), &world.bytes(len)).await.unwrap();
        world.settle().await;
        assert_eq!(world.store.homes(), [nth(1)]);
        world.commit_in(nth(1), sealed.writes(&owned("late"))).await.unwrap();
        let blob = sealed.id;
        drop(sealed);
        world.settle().await;
        world.reopen().await.unwrap();
        assert_eq!(world.store.homes(), [nth(1)]);
        world.settle().await;
        assert!(world.store.row(nth(1), blob).await.is_ok());
        assert_eq!(world.store.usage().live > ByteCount::ZERO, len > 0, "its bytes are counted");
    }
}

#[tokio::test]
async fn a_commit_whose_caller_went_away_keeps_its_partition_known() {
    let mut world = World::new(422).await;
    world.catalog = Arc::new(Tardy::default());
    world.reopen().await.unwrap();
    let blob = {
        let sealed = world.seal_in(nth(1), b"").await.unwrap();
        let commit = world.commit_in(nth(1), sealed.writes(&owned("late")));
        assert!(commit.now_or_never().is_none(), "it is on its way when its caller goes");
        sealed.id
    };
    for _ in 0..3 {
        run(&mut Collector::new(Arc::clone(&world.store))).await;
    }
    world.reopen().await.unwrap();
    assert_eq!(world.store.homes(), [nth(1)]);
    assert!(world.store.row(nth(1), blob).await.is_ok());
}

#[tokio::test]
async fn what_is_damaged_in_one_partition_keeps_no_other_from_being_collected() {
    let world = World::new(423).await;
    let first = nth(1);
    world.put_in(first, 20_000).await;
    world.commit_in(first, vec![Write::Put(GARBAGE.key(vec![7; 3]), Bytes::new())]).await.unwrap();
    let (blob, _) = world.put(&world.bytes(20_000), "owner").await.unwrap();
    world.drop_reference(blob, "owner").await;
    // It is told once, and again after a rest.
    let mut collector = Collector::new(Arc::clone(&world.store));
    for _ in 0..2 {
        let errors = run_on(&mut collector).await;
        assert!(matches!(&errors[..], [error] if error.kind() == ErrorKind::Corrupt), "{errors:?}");
    }
    assert_eq!(world.store.usage().collected_blobs, 1);
    assert_eq!(world.store.homes()[0], first);
    // Nor what is behind it in its own.
    let behind = world.put_in(first, 20_000).await;
    world.commit_in(first, release(behind, &owned("owner"))).await.unwrap();
    assert_eq!(run_on(&mut collector).await.len(), 1);
    assert_eq!(world.store.usage().collected_blobs, 2);
}

#[tokio::test]
async fn what_is_damaged_in_one_partition_keeps_nothing_from_being_scrubbed() {
    let world = World::new(424).await;
    let first = nth(1);
    world.commit_in(first, vec![Write::Put(BLOBS.key(vec![0; 3]), Bytes::new())]).await.unwrap();
    world.put_in(first, 20_000).await;
    let (blob, _) = world.put(&world.bytes(30_000), "owner").await.unwrap();
    let place = world.store.locate(HOME, blob).await.unwrap().remove(0);
    world.flip(&place, 1000);
    let mut scrubber = Scrubber::new(Arc::clone(&world.store));
    let errors = run_on(&mut scrubber).await;
    assert!(matches!(&errors[..], [error] if error.kind() == ErrorKind::Corrupt), "{errors:?}");
    assert!(scrubber.trouble().is_some_and(|text| text.contains("blob row")));
    let usage = world.store.usage();
    assert_eq!(usage.damaged_records, 1, "in another one");
    assert!((20_000..30_000).contains(&usage.scrubbed_bytes.get()), "{usage:?}: nor behind it in its own");
}

#[tokio::test]
async fn what_is_damaged_in_one_partition_keeps_nothing_from_being_repaired() {
    let world = World::with_zones(425, 2).await;
    let first = nth(1);
    world.put_in(first, 20_000).await;
    for table in [REPAIR, BLOBS] {
        world.commit_in(first, vec![Write::Put(table.key(vec![0; 3]), Bytes::new())]).await.unwrap();
    }
    let (blob, _) = world.put(&world.bytes(30_000), "owner").await.unwrap();
    let place = world.store.locate(HOME, blob).await.unwrap().remove(0);
    world.flip(&place, 1000);
    world.store.queue_damaged(HOME, &[blob]).await.unwrap();
    let mut repairer = Repairer::new(Arc::clone(&world.store));
    // Of the queue, and of the walk, which is over then.
    for told in [2, 1] {
        let errors = run_on(&mut repairer).await;
        let are_corrupt = errors.iter().all(|error| error.kind() == ErrorKind::Corrupt);
        assert!(errors.len() == told && are_corrupt, "{errors:?}");
    }
    let repair = world.store.repair();
    assert_eq!((repair.mended_blobs, repair.queued_blobs), (1, 1));
    assert_eq!((repair.walking, repair.lost_blobs), (false, 1));
}

#[tokio::test]
async fn a_partition_that_one_collector_saw_full_and_empty_is_forgotten_by_it() {
    let world = World::new(426).await;
    // An empty body: what it leaves waits for no segment to go.
    let blob = world.put_in(nth(1), 0).await;
    let mut collector = Collector::new(Arc::clone(&world.store));
    run(&mut collector).await;
    assert_eq!(world.store.homes(), [nth(1)]);
    world.commit_in(nth(1), release(blob, &owned("owner"))).await.unwrap();
    run(&mut collector).await;
    assert!(world.store.homes().is_empty() && world.home_rows().await == 0);
}
