//! Disks that fail, fill up, or come back with less than they had.

use super::super::{Collector, Compactor, Recycler};
use super::{HOME, World, run, text};
use crate::blob::BlobStore;
use crate::fault::{Fault, Point};
use crate::small_disk::SmallDisk;
use crate::worker::Worker;
use crate::{Error, ErrorKind};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

#[tokio::test]
async fn a_failed_sync_fails_its_writes_and_loses_nothing_acknowledged() {
    for len in [10_000_u64, 600_000] {
        let mut world = World::new(20).await;
        let body = world.bytes(usize::try_from(len).unwrap());
        let (blob, key) = world.put(&body, "before").await.unwrap();
        let place = world.store.locate(HOME, blob).await.unwrap().remove(0);
        world.faults.arm(Point::SegmentSync, Fault::Io, 0, 2);
        // Both large lanes are hit: a fresh blob goes to either.
        for _ in 0..2 {
            let error = world.seal(&body).await.err().unwrap();
            assert!(matches!(error, Error::Io { .. }), "{error}");
        }
        world.faults.clear();
        let (after, after_key) = world.put(&body, "after").await.unwrap();
        let new_place = world.store.locate(HOME, after).await.unwrap().remove(0);
        assert_ne!(place.segment, new_place.segment, "the segment is retired");
        for reopened in [false, true] {
            assert!(world.read(blob, &key, 0..len).await.unwrap() == body, "reopened: {reopened}");
            assert!(world.read(after, &after_key, 0..len).await.unwrap() == body);
            world.reopen().await.unwrap();
        }
        world.settle().await;
        assert!(world.read(blob, &key, 0..len).await.unwrap() == body);
    }
}

#[tokio::test]
async fn a_blob_fails_by_any_of_its_segments() {
    let mut world = World::new(27).await;
    // Segments of 1 MiB: three are filled, each by a sync beside the appends to the next.
    let body = world.bytes(3_500_000);
    for nth in 0..4 {
        world.faults.arm(Point::SegmentSync, Fault::Io, nth, 1);
        let error = world.seal(&body).await.err().unwrap_or_else(|| panic!("accepted without sync {nth}"));
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        world.faults.clear();
    }
    let (blob, key) = world.put(&body, "after").await.unwrap();
    world.reopen().await.unwrap();
    assert!(world.read(blob, &key, 0..3_500_000).await.unwrap() == body);
}

#[tokio::test]
async fn a_failed_write_fails_alone() {
    for len in [10_000_u64, 600_000] {
        let world = World::new(21).await;
        let body = world.bytes(usize::try_from(len).unwrap());
        world.faults.arm(Point::SegmentWrite, Fault::Io, 0, 1);
        assert_eq!(world.seal(&body).await.err().unwrap().kind(), ErrorKind::Unavailable);
        let (blob, key) = world.put(&body, "after").await.unwrap();
        assert!(world.read(blob, &key, 0..len).await.unwrap() == body);
    }
}

#[tokio::test]
async fn a_failing_disk_is_said_and_tried_again() {
    let world = World::new(26).await;
    let mut recycler = Recycler::new(Arc::clone(&world.store));
    world.faults.arm(Point::SegmentSync, Fault::Io, 0, 2);
    assert!(!world.store.usage().failing);
    world.put(b"some bytes", "owner").await.unwrap_err();
    assert!(world.store.usage().failing, "a sync failed");
    recycler.tick().await.unwrap();
    assert!(world.store.usage().failing, "the recycler's own sync failed, too");
    recycler.tick().await.unwrap();
    assert!(!world.store.usage().failing, "nobody had to write for that");
    assert!(!world.pool_dir.join("probe").exists());
}

#[tokio::test]
async fn freed_segments_whose_files_can_not_be_renamed_go_when_they_can_be() {
    // Before the name changes, and before the change is durable.
    for skip in 0..2 {
        let world = World::new(28).await;
        for _ in 0..30 {
            let (blob, _) = world.put(&world.bytes(100_000), "owner").await.unwrap();
            world.drop_reference(blob, "owner").await;
        }
        run(&mut Collector::new(Arc::clone(&world.store))).await;
        run(&mut Compactor::new(Arc::clone(&world.store))).await;
        let freed = world.store.usage().freed_segments;
        assert!(freed > 1);
        world.faults.arm(Point::SegmentName, Fault::Io, skip, 1);
        let mut recycler = Recycler::new(Arc::clone(&world.store));
        recycler.tick().await.unwrap_err();
        for _ in 0..3 {
            recycler.tick().await.unwrap();
        }
        let usage = world.store.usage();
        assert_eq!((usage.freed_segments, usage.failing), (0, false), "{skip}: {usage:?}");
        assert_eq!(
            world.segment_files().len(),
            usize::try_from(usage.segments).unwrap(),
            "{skip}: all are known"
        );
    }
}

#[tokio::test]
async fn a_read_error_is_not_corruption() {
    let world = World::new(22).await;
    let (blob, key) = world.put(b"some bytes", "owner").await.unwrap();
    world.faults.arm(Point::SegmentRead, Fault::Io, 0, 1);
    assert_eq!(world.read(blob, &key, 0..10).await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(world.read(blob, &key, 0..10).await.unwrap(), b"some bytes");
}

/// Fills the store until it says so; what it took, and the error.
async fn fill(world: &World) -> (Vec<(crate::id::BlobId, crate::codec::DataKey)>, Error) {
    let body = world.bytes(200_000);
    let mut blobs = Vec::new();
    for _ in 0..2000 {
        match world.put(&body, "owner").await {
            Ok(blob) => blobs.push(blob),
            Err(error) => return (blobs, error),
        }
    }
    panic!("never full");
}

async fn full_disk_drill(world: &mut World) {
    let (blobs, error) = fill(world).await;
    assert!(matches!(error, Error::Full { .. }) && error.kind() == ErrorKind::Unavailable, "{error}");
    assert!(text(&error).contains("the disk is full"), "{error}");
    assert!(world.store.usage().full);
    for (blob, key) in &blobs {
        world.read(*blob, key, 0..200_000).await.unwrap();
    }
    // Two of three go, spread over all segments: only compaction, with its reserve, can win whole files back.
    for (n, (blob, _)) in blobs.iter().enumerate() {
        if n % 3 != 0 {
            world.drop_reference(*blob, "owner").await;
        }
    }
    world.settle().await;
    let usage = world.store.usage();
    assert!(usage.moved_bytes.get() > 0 && !usage.full, "{usage:?}");
    let mut again = 0;
    while again < blobs.len() / 3 {
        world.put(&world.bytes(200_000), "again").await.unwrap();
        again += 1;
    }
    for (blob, key) in blobs.iter().step_by(3) {
        world.read(*blob, key, 0..200_000).await.unwrap();
    }
    world.reopen().await.unwrap();
    world.read(blobs[0].0, &blobs[0].1, 0..200_000).await.unwrap();
}

#[tokio::test]
async fn a_full_disk_refuses_writes_serves_reads_and_recovers_by_deletes() {
    let mut world = World::new(23).await;
    world.faults.arm(Point::SegmentAllocate, Fault::NoSpace, 12, u64::MAX);
    full_disk_drill(&mut world).await;
}

#[tokio::test]
async fn a_really_full_disk_does_the_same() {
    let Some(disk) = SmallDisk::mount("14m", "a_really_full_disk_does_the_same") else { return };
    let mut world = World::new(24).await;
    world.pool_dir = disk.path().join("pool");
    world.reopen().await.unwrap();
    full_disk_drill(&mut world).await;
    world.store.check_room().unwrap();
    std::fs::write(disk.path().join("somebody else's"), vec![0; 32 << 20]).unwrap_err();
    assert!(matches!(world.store.check_room().unwrap_err(), Error::Full { .. }));
}

#[tokio::test]
async fn a_truncated_last_segment_costs_only_what_was_cut() {
    let mut world = World::new(25).await;
    let body = world.bytes(100_000);
    let mut blobs = Vec::new();
    for _ in 0..4 {
        blobs.push(world.put(&body, "owner").await.unwrap());
    }
    let place = world.store.locate(HOME, blobs[3].0).await.unwrap().remove(0);
    let path = world.pool_dir.join(format!("{}.seg", place.segment));
    std::fs::OpenOptions::new().write(true).open(path).unwrap().set_len(place.offset.get() + 70_000).unwrap();
    world.reopen().await.unwrap();
    for (blob, key) in &blobs[..3] {
        assert!(world.read(*blob, key, 0..100_000).await.unwrap() == body);
    }
    let error = world.read(blobs[3].0, &blobs[3].1, 0..100_000).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert!(
        world.read(blobs[3].0, &blobs[3].1, 0..60_000).await.unwrap() == body[..60_000],
        "its whole chunk"
    );
    world.put(&body, "more").await.unwrap();
}

#[tokio::test]
async fn a_newer_segment_refuses_to_open_and_a_broken_header_does_not_matter() {
    let mut world = World::new(26).await;
    let (blob, key) = world.put(b"some bytes", "owner").await.unwrap();
    let place = world.store.locate(HOME, blob).await.unwrap().remove(0);
    let path = world.pool_dir.join(format!("{}.seg", place.segment));
    let good = std::fs::read(&path).unwrap();
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();

    let mut newer = good[..4092].to_vec();
    newer[8] = 7;
    newer.extend_from_slice(&crc_fast::crc32_iscsi(&newer).to_le_bytes());
    file.write_all_at(&newer, 0).unwrap();
    let error = BlobStore::open(world.options()).await.err().unwrap();
    assert!(matches!(error, Error::Newer { found: 7, .. }), "{error}");

    file.write_all_at(&[0; 4096], 0).unwrap();
    world.reopen().await.unwrap();
    assert_eq!(world.read(blob, &key, 0..10).await.unwrap(), b"some bytes");
}
