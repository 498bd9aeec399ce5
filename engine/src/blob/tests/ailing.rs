//! Sectors that can't be read, rows that are broken and copies whose zone is away: each costs what it holds, and nothing else.

use super::super::row::{blob_key, companions_key};
use super::super::{Collector, Compactor, Place, Repairer};
use super::workers::sparse;
use super::{HOME, World, run};
use crate::catalog::Write;
use crate::codec::DataKey;
use crate::fault::{Fault, Point};
use crate::id::BlobId;
use crate::{Error, ErrorKind};
use std::collections::BTreeSet;
use std::sync::Arc;

type Kept = (BlobId, DataKey, Vec<u8>);

impl World {
    /// Has a sector of a record fail, so many bytes from where its frame begins.
    fn spoil(&self, place: &Place, at: u64) {
        let name = format!("{}.seg", place.segment);
        let dirs =
            self.options().zones.into_iter().map(|zone| (zone.directories[0].join(&name), zone.faults));
        let (path, faults) = dirs.into_iter().find(|(path, _)| path.exists()).unwrap();
        let start = (place.offset.get() + at) / 4096 * 4096;
        faults.spoil(path, start..start + 4096);
    }

    async fn place(&self, blob: BlobId) -> Place {
        self.store.locate(HOME, blob).await.unwrap().remove(0)
    }

    /// Segments that hold these, in the order of their blobs.
    async fn segments_of(&self, kept: &[Kept]) -> Vec<String> {
        let mut segments = Vec::new();
        for (blob, ..) in kept {
            segments.push(self.place(*blob).await.segment);
        }
        segments
    }

    /// All but those in `lost` read as they were written, and none lies where it lay, unless it shares a segment with those.
    async fn all_moved_but(&self, kept: &[Kept], before: &[String], lost: &[usize]) {
        let ailing: BTreeSet<&String> = lost.iter().map(|n| &before[*n]).collect();
        let now = self.segments_of(kept).await;
        let mut moved = 0;
        for (n, (blob, key, body)) in kept.iter().enumerate() {
            if lost.contains(&n) {
                assert_eq!(now[n], before[n], "blob {n} is left where it is");
                continue;
            }
            assert!(self.read(*blob, key, 0..100_000).await.unwrap() == *body, "blob {n}");
            moved += usize::from(now[n] != before[n]);
            // The last segment is still written to.
            assert!(
                now[n] != before[n] || before[n] == before[kept.len() - 1],
                "blob {n} stayed: {ailing:?}"
            );
        }
        assert!(moved > 0);
    }
}

#[tokio::test]
async fn a_bad_sector_keeps_its_record_and_no_other_from_being_moved() {
    // In the middle of the body, and where the frame is, by which a walk finds it.
    for at in [50_000, 0] {
        let world = World::new(400).await;
        let kept = sparse(&world, 4).await;
        let before = world.segments_of(&kept).await;
        // One in each of two segments: whichever is the first, there is another behind it.
        let second = before.iter().position(|segment| *segment != before[0]).unwrap();
        for n in [0, second] {
            world.spoil(&world.place(kept[n].0).await, at);
        }
        world.settle().await;
        world.all_moved_but(&kept, &before, &[0, second]).await;
        assert_eq!(world.store.usage().left_alone_segments, 2);
        let (blob, key, _) = &kept[0];
        let error = world.read(*blob, key, 0..100_000).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        world.faults.clear();
        assert!(world.read(*blob, key, 0..100_000).await.unwrap() == kept[0].2, "it was not touched");
        // It was a cable.
        world.settle().await;
        assert_eq!(world.store.usage().left_alone_segments, 2);
        world.scrub().await;
        world.settle().await;
        assert_eq!(world.store.usage().left_alone_segments, 0);
        let now = world.segments_of(&kept).await;
        assert!(now[0] != before[0] && now[second] != before[second], "they are moved");
    }
}

#[tokio::test]
async fn a_disk_that_reads_nothing_of_a_segment_is_not_asked_for_all_of_it() {
    let world = World::new(401).await;
    let kept = sparse(&world, 4).await;
    let before = world.segments_of(&kept).await;
    let dead: Vec<usize> = (0..kept.len()).filter(|n| before[*n] == before[0]).collect();
    world.faults.spoil(world.pool_dir.join(format!("{}.seg", before[0])), 0..1 << 20);
    world.settle().await;
    world.all_moved_but(&kept, &before, &dead).await;
}

#[tokio::test]
async fn a_broken_row_keeps_no_other_record_from_being_moved() {
    let world = World::new(402).await;
    let kept = sparse(&world, 4).await;
    let before = world.segments_of(&kept).await;
    let good = world.catalog.snapshot(HOME).await.unwrap().get(blob_key(kept[0].0)).await.unwrap().unwrap();
    world.commit(vec![Write::Put(blob_key(kept[0].0), good.slice(..good.len() - 1))]).await.unwrap();
    run(&mut Collector::new(Arc::clone(&world.store))).await;
    run(&mut Compactor::new(Arc::clone(&world.store))).await;
    assert_eq!(world.store.usage().broken_rows, 1, "it is told");
    world.commit(vec![Write::Put(blob_key(kept[0].0), good)]).await.unwrap();
    world.all_moved_but(&kept, &before, &[0]).await;
    let (blob, key, body) = &kept[0];
    assert!(world.read(*blob, key, 0..100_000).await.unwrap() == *body, "what it named was kept");
    world.scrub().await;
    assert_eq!(world.store.usage().broken_rows, 0);
}

#[tokio::test]
async fn a_broken_row_is_told_by_whoever_comes_by_until_it_is_sound_or_gone() {
    let world = World::with_zones(406, 2).await;
    let (blob, _) = world.put(&world.bytes(20_000), "owner").await.unwrap();
    let good = world.catalog.snapshot(HOME).await.unwrap().get(blob_key(blob)).await.unwrap().unwrap();
    let broken = || Write::Put(blob_key(blob), good.slice(..good.len() - 1));
    let told = || world.store.usage().broken_rows;
    world.commit(vec![broken()]).await.unwrap();
    run(&mut Repairer::new(Arc::clone(&world.store))).await;
    assert_eq!(told(), 1, "by the repairer's walk");
    world.commit(vec![Write::Put(blob_key(blob), good.clone())]).await.unwrap();
    world.scrub().await;
    assert_eq!(told(), 0);
    world.commit(vec![broken()]).await.unwrap();
    world.scrub().await;
    // Repair can't make it anew: it is no damaged copy.
    assert_eq!((told(), world.store.usage().damaged_blobs), (1, 0), "by the scrubber");
    world.store.damage.forget(HOME, blob);
    world.drop_reference(blob, "owner").await;
    run(&mut Collector::new(Arc::clone(&world.store))).await;
    assert_eq!(told(), 1, "by the collector");
    world.commit(vec![Write::Put(blob_key(blob), good.clone())]).await.unwrap();
    run(&mut Collector::new(Arc::clone(&world.store))).await;
    assert_eq!((told(), world.store.usage().collected_blobs), (0, 1));
}

#[tokio::test]
async fn another_broken_row_is_none_of_the_blobs_and_whoever_reads_a_row_says_that_it_is_sound() {
    let world = World::with_zones(407, 2).await;
    let (blob, _) = world.put(&world.bytes(20_000), "owner").await.unwrap();
    let good = world.catalog.snapshot(HOME).await.unwrap().get(blob_key(blob)).await.unwrap().unwrap();
    let told = || world.store.usage().broken_rows;
    let broken = good.slice(..good.len() - 1);
    world.commit(vec![Write::Put(blob_key(blob), broken)]).await.unwrap();
    run(&mut Repairer::new(Arc::clone(&world.store))).await;
    assert_eq!(told(), 1);
    world.commit(vec![Write::Put(blob_key(blob), good)]).await.unwrap();
    world.store.queue_damaged(HOME, &[blob]).await.unwrap();
    run(&mut Repairer::new(Arc::clone(&world.store))).await;
    assert_eq!(told(), 0, "by the repairer's queue");
    world
        .commit(vec![Write::Put(companions_key(blob), bytes::Bytes::from_static(&[1, 0xff, 0xff]))])
        .await
        .unwrap();
    world.drop_reference(blob, "owner").await;
    run(&mut Collector::new(Arc::clone(&world.store))).await;
    assert_eq!((told(), world.store.usage().collected_blobs), (0, 0), "the blob's own row is sound");
}

#[tokio::test]
async fn scrubbing_goes_on_behind_a_sector_that_can_not_be_read_and_counts_it() {
    let mut world = World::new(403).await;
    world.name_zones(1);
    world.reopen().await.unwrap();
    let mut blobs = Vec::new();
    for _ in 0..6 {
        blobs.push(world.put(&world.bytes(300_000), "owner").await.unwrap().0);
    }
    // In the order of the walk.
    blobs.sort();
    world.spoil(&world.place(blobs[0]).await, 1000);
    world.flip(&world.place(blobs[5]).await, 1000);
    world.scrub().await;
    let usage = world.store.usage();
    assert_eq!((usage.damaged_records, usage.damaged_blobs), (2, 2));
    assert!(usage.scrubbed_bytes.get() > 4 * 300_000, "{usage:?}");
    world.zones[0].faults.clear();
    world.scrub().await;
    assert_eq!(world.store.usage().damaged_blobs, 1, "one that is read again is no damage");
}

#[tokio::test]
async fn a_sector_that_can_not_be_read_is_damage_beside_another_copy_too_and_is_mended() {
    let mut world = World::with_zones(404, 2).await;
    let body = world.bytes(300_000);
    let (blob, key) = world.put(&body, "owner").await.unwrap();
    let place = world.place(blob).await;
    world.spoil(&place, 1000);
    world.scrub().await;
    assert_eq!((world.store.usage().damaged_records, world.store.usage().damaged_blobs), (1, 1));
    run(&mut Repairer::new(Arc::clone(&world.store))).await;
    let mended = world.place(blob).await;
    assert!((mended.segment, mended.offset) != (place.segment, place.offset) && mended.zone == place.zone);
    assert_eq!(world.store.usage().damaged_blobs, 0);
    for zone in 0..2 {
        world.zones[zone].faults.arm(Point::SegmentRead, Fault::Io, 0, u64::MAX);
        world.scrub().await;
        assert!(world.read(blob, &key, 0..300_000).await.unwrap() == body);
        world.zones[zone].faults.clear();
    }
    world.reopen().await.unwrap();
}

#[tokio::test]
async fn a_damaged_copy_is_mended_when_the_zone_of_its_only_sound_twin_is_back() {
    let mut world = World::with_zones(405, 2).await;
    let body = world.bytes(300_000);
    let (blob, key) = world.put(&body, "owner").await.unwrap();
    let places = world.store.locate(HOME, blob).await.unwrap();
    let in_a = places.into_iter().find(|place| place.zone == "a").unwrap();
    world.flip(&in_a, 1000);
    let pull = async |world: &mut World, zone: usize, away: bool| {
        world.zones[zone].away = away.then(|| "it was pulled".to_owned());
        world.reopen().await.unwrap();
    };
    pull(&mut world, 1, true).await;
    let error = world.read(blob, &key, 0..300_000).await.unwrap_err();
    assert!(matches!(&error, Error::ZoneAway { zone } if zone == "b"), "it is not lost: {error}");
    world.scrub().await;
    let mut repairer = Repairer::new(Arc::clone(&world.store));
    run(&mut repairer).await;
    assert_eq!(world.store.repair().queued_blobs, 1, "it waits");
    drop(repairer);
    pull(&mut world, 1, false).await;
    run(&mut Repairer::new(Arc::clone(&world.store))).await;
    assert_eq!(world.store.repair().queued_blobs, 0);
    pull(&mut world, 1, true).await;
    assert!(world.read(blob, &key, 0..300_000).await.unwrap() == body, "zone a has it again");
}
