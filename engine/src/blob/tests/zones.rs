//! Copies in several zones: written, read, lost, repaired.

use super::super::{Collector, Compactor, Copies, Place, Recycler, Repairer, Short, ZoneUsage};
use super::{HOME, World, owned, read_all, run};
use crate::codec::DataKey;
use crate::fault::{Fault, Point};
use crate::id::BlobId;
use crate::unit::ByteCount;
use crate::worker::Worker;
use crate::{Error, ErrorKind, Result};
use futures_util::FutureExt;
use std::collections::BTreeSet;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// Sizes of the small lane, of the large ones, and of several records.
const SIZES: [usize; 4] = [1, 100_000, 300_000, 2_500_000];

pub(super) struct Kept {
    pub(super) blob: BlobId,
    key: DataKey,
    body: Vec<u8>,
}

impl World {
    /// Flips a byte of a record.
    pub(crate) fn flip(&self, place: &Place, at: u64) {
        let name = format!("{}.seg", place.segment);
        let dirs = self.options().zones.into_iter().flat_map(|zone| zone.directories);
        let path = dirs.map(|dir| dir.join(&name)).find(|path| path.exists()).unwrap();
        let file = std::fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
        let mut byte = [0];
        file.read_exact_at(&mut byte, place.offset.get() + at).unwrap();
        file.write_all_at(&[byte[0] ^ 1], place.offset.get() + at).unwrap();
    }

    pub(super) async fn keep(&self, sizes: &[usize]) -> Vec<Kept> {
        let mut kept = Vec::new();
        for &size in sizes {
            let body = self.bytes(size);
            let (blob, key) = self.put(&body, "owner").await.unwrap();
            kept.push(Kept { blob, key, body });
        }
        kept
    }

    async fn check(&self, kept: &[Kept]) -> Result<()> {
        for Kept { blob, key, body } in kept {
            let got = read_all(&self.store, *blob, key, 0..body.len() as u64).await?;
            assert!(got == *body, "{blob}");
        }
        Ok(())
    }

    /// The zones of a blob's copies; every copy lies in one of them.
    pub(super) async fn zones_of(&self, blob: BlobId) -> Vec<String> {
        let places = self.store.locate(HOME, blob).await.unwrap();
        let copies: BTreeSet<_> = places.iter().map(|place| (place.copy, place.zone.clone())).collect();
        let mut zones: Vec<String> = copies.into_iter().map(|(_, zone)| zone).collect();
        zones.sort();
        zones
    }

    async fn place_in(&self, blob: BlobId, zone: &str) -> Place {
        let places = self.store.locate(HOME, blob).await.unwrap();
        places.into_iter().find(|place| place.zone == zone).unwrap()
    }

    /// Pulls a zone, or puts it back.
    async fn pull(&mut self, zone: usize, away: bool) {
        self.zones[zone].away = away.then(|| "it was pulled".to_owned());
        self.reopen().await.unwrap();
    }

    /// The disk of a zone is another one, and empty.
    pub(crate) async fn replace(&mut self, zone: usize) {
        self.store.close().await;
        // Another zone's directory may lie in this one.
        for entry in std::fs::read_dir(&self.zones[zone].directories[0]).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                std::fs::remove_file(path).unwrap();
            }
        }
        self.reopen().await.unwrap();
    }

    /// The same, accepted by whoever put it there.
    pub(super) async fn replace_marked(&mut self, zone: usize) {
        self.replace(zone).await;
        self.store.close().await;
        crate::pool::mark_replaced(&self.zones[zone].directories[0]).unwrap();
        self.reopen().await.unwrap();
    }

    async fn repair(&self) {
        run(&mut Repairer::new(Arc::clone(&self.store))).await;
    }

    /// Each zone alone serves what is there.
    pub(super) async fn each_zone_has(&mut self, kept: &[Kept]) {
        for away in 0..2 {
            self.pull(away, true).await;
            self.check(kept).await.unwrap();
            self.pull(away, false).await;
        }
    }

    pub(super) fn zone(&self, name: &str) -> ZoneUsage {
        self.store.zones().into_iter().find(|zone| zone.name == name).unwrap()
    }
}

#[tokio::test]
async fn every_body_lies_in_two_zones_and_either_is_enough() {
    let mut world = World::with_zones(80, 2).await;
    let kept = world.keep(&SIZES).await;
    for Kept { blob, .. } in &kept {
        assert_eq!(world.zones_of(*blob).await, ["a", "b"]);
    }
    world.each_zone_has(&kept).await;
    let (a, b) = (world.zone("a").live, world.zone("b").live);
    assert_eq!(a, b);
    assert_eq!(world.store.usage().live.get(), a.get() + b.get());
}

#[tokio::test]
async fn a_zone_may_span_disks() {
    let mut world = World::with_zones(81, 2).await;
    let second = world.dir.path().join("second disk");
    world.zones[1].directories.push(second.clone());
    world.reopen().await.unwrap();
    let kept = world.keep(&[100_000; 12]).await;
    let on_second = std::fs::read_dir(&second).unwrap().filter(|entry| {
        entry.as_ref().unwrap().path().extension().is_some_and(|extension| extension == "seg")
    });
    assert!(on_second.count() > 0, "both disks of the zone take bodies");
    world.each_zone_has(&kept).await;
}

#[tokio::test]
async fn a_zone_that_fails_during_a_write_is_replaced_by_another() {
    for point in [Point::SegmentWrite, Point::SegmentSync, Point::SegmentAllocate] {
        for size in SIZES {
            let mut world = World::with_zones(82, 3).await;
            for failing in 0..3 {
                world.zones[failing].faults.arm(point, Fault::Io, 0, u64::MAX);
                let kept = world.keep(&[size]).await;
                let zones = world.zones_of(kept[0].blob).await;
                let name = world.zones[failing].name.clone();
                assert!(zones.len() == 2 && !zones.contains(&name), "{point:?}, {size} bytes: {zones:?}");
                world.zones[failing].faults.clear();
                world.pull(failing, true).await;
                world.check(&kept).await.unwrap();
                world.pull(failing, false).await;
            }
        }
    }
}

#[tokio::test]
async fn with_one_zone_left_writes_are_refused_and_reads_go_on() {
    for size in SIZES {
        let mut world = World::with_zones(83, 2).await;
        let kept = world.keep(&SIZES).await;
        world.zones[1].faults.arm(Point::SegmentSync, Fault::Io, 0, u64::MAX);
        let error = world.put(&world.bytes(size), "refused").await.unwrap_err();
        assert!(matches!(error, Error::Io { .. }), "{error}");
        assert!(world.store.usage().failing, "which readiness tells");
        world.check(&kept).await.unwrap();
        world.zones[1].faults.clear();
        world.pull(1, true).await;
        let error = world.put(&world.bytes(size), "refused").await.unwrap_err();
        assert!(matches!(error, Error::TooFewZones { wanted: 2, there: 1 }), "{error}");
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert_eq!(world.store.check_room().unwrap_err().kind(), ErrorKind::Unavailable);
        world.check(&kept).await.unwrap();
        world.pull(1, false).await;
        world.keep(&[size]).await;
    }
}

#[tokio::test]
async fn fewer_copies_are_accepted_when_told_so_and_made_up_for_later() {
    for size in SIZES {
        let mut world = World::with_zones(84, 2).await;
        world.short = Short::Accept;
        world.reopen().await.unwrap();
        world.zones[0].faults.arm(Point::SegmentWrite, Fault::Io, 0, u64::MAX);
        let body = world.bytes(size);
        let sealed = world.seal(&body).await.unwrap();
        assert!(sealed.is_at_risk());
        world.commit(sealed.writes(&owned("owner"))).await.unwrap();
        let kept = vec![Kept { blob: sealed.id, key: sealed.key.clone(), body }];
        drop(sealed);
        assert_eq!(world.zones_of(kept[0].blob).await, ["b"]);
        world.repair().await;
        assert_eq!(world.store.repair().queued_blobs, 1, "it waits, and is known to");
        // Writes and reads go on, and no longer wait for the zone that fails.
        world.check(&kept).await.unwrap();
        world.check(&world.keep(&SIZES).await).await.unwrap();
        world.zones[0].faults.clear();
        run(&mut Recycler::new(Arc::clone(&world.store))).await;
        world.repair().await;
        assert_eq!(world.store.repair().queued_blobs, 0);
        assert_eq!(world.zones_of(kept[0].blob).await, ["a", "b"]);
        world.each_zone_has(&kept).await;
    }
}

#[derive(Clone, Copy, Debug)]
enum Damage {
    Flipped,
    Gone,
    Unreadable,
}

#[tokio::test]
async fn reads_fall_back_to_the_other_copy_and_the_damage_is_repaired() {
    for damage in [Damage::Flipped, Damage::Gone, Damage::Unreadable] {
        for size in SIZES {
            for (n, name) in ["a", "b"].into_iter().enumerate() {
                let mut world = World::with_zones(85, 2).await;
                let kept = world.keep(&[size]).await;
                let place = world.place_in(kept[0].blob, name).await;
                match damage {
                    Damage::Flipped => world.flip(&place, 128),
                    Damage::Gone => {
                        world.store.close().await;
                        let segment = format!("{}.seg", place.segment);
                        std::fs::remove_file(world.zones[n].directories[0].join(segment)).unwrap();
                        world.reopen().await.unwrap();
                    }
                    Damage::Unreadable => {
                        world.zones[n].faults.arm(Point::SegmentRead, Fault::Io, 0, u64::MAX);
                    }
                }
                world.check(&kept).await.unwrap();
                // Whichever copy was read first: what is damaged is found by a scrub at the latest.
                world.scrub().await;
                world.repair().await;
                let mended = world.place_in(kept[0].blob, name).await;
                assert_ne!((mended.segment, mended.offset), (place.segment, place.offset), "{damage:?}");
                assert_eq!(world.store.repair().mended_blobs, 1, "{damage:?}, {size} bytes in {name}");
                world.zones[n].faults.clear();
                world.each_zone_has(&kept).await;
            }
        }
    }
}

#[tokio::test]
async fn a_damaged_copy_that_is_read_is_queued_without_any_scrub() {
    let world = World::with_zones(86, 2).await;
    let kept = world.keep(&[200_000]).await;
    let places = world.store.locate(HOME, kept[0].blob).await.unwrap();
    world.flip(places.iter().find(|place| place.copy == 0).unwrap(), 128 + 70_000);
    world.check(&kept).await.unwrap();
    let mut repairer = Repairer::new(Arc::clone(&world.store));
    assert!(repairer.bell().notified().now_or_never().is_some(), "the repairer is called");
    run(&mut repairer).await;
    let repair = world.store.repair();
    assert_eq!(repair.mended_blobs, 1);
    assert!(repair.copied.get() >= 190_000, "the damaged record of two: {repair:?}");
    world.scrub().await;
    assert_eq!(world.store.usage().damaged_records, 0, "nothing is left to be found");
}

#[tokio::test]
async fn scrubbing_repairs_a_flipped_byte_from_the_other_zone() {
    let mut world = World::with_zones(87, 2).await;
    let kept = world.keep(&SIZES).await;
    let place = world.place_in(kept[3].blob, "b").await;
    world.flip(&place, 1000);
    world.scrub().await;
    assert_eq!(world.store.usage().damaged_records, 1);
    world.repair().await;
    assert_eq!(world.store.repair().mended_blobs, 1);
    world.scrub().await;
    assert_eq!(world.store.usage().damaged_records, 1, "and no more");
    world.each_zone_has(&kept).await;
}

#[tokio::test]
async fn two_damaged_copies_make_a_whole_one_unless_they_share_a_record() {
    let mut world = World::with_zones(88, 2).await;
    let kept = world.keep(&[2_500_000, 100_000]).await;
    let records = |places: Vec<Place>, zone: &str| -> Vec<Place> {
        places.into_iter().filter(|place| place.zone == zone).collect()
    };
    let places = world.store.locate(HOME, kept[0].blob).await.unwrap();
    world.flip(&records(places.clone(), "a")[1], 500);
    world.flip(&records(places, "b")[0], 500);
    for zone in ["a", "b"] {
        world.flip(&world.place_in(kept[1].blob, zone).await, 500);
    }
    world.scrub().await;
    world.repair().await;
    world.each_zone_has(&kept[..1]).await;
    let before = world.store.locate(HOME, kept[1].blob).await.unwrap();
    assert_eq!(world.check(&kept[1..]).await.unwrap_err().kind(), ErrorKind::Corrupt);
    world.repair().await;
    assert_eq!(world.store.locate(HOME, kept[1].blob).await.unwrap(), before, "what can't be read is left");
}

#[tokio::test]
async fn space_is_won_back_in_each_zone_and_copies_stay_where_they_are() {
    let mut world = World::with_zones(89, 2).await;
    let mut kept = Vec::new();
    for n in 0..60 {
        let one = world.keep(&[100_000]).await.remove(0);
        if n % 4 == 3 {
            kept.push(one);
        } else {
            world.drop_reference(one.blob, "owner").await;
        }
    }
    let before = (world.zone("a").segment_bytes, world.zone("b").segment_bytes);
    world.settle().await;
    let (a, b) = (world.zone("a"), world.zone("b"));
    assert!(a.segment_bytes < before.0 && b.segment_bytes < before.1, "{a:?} {b:?}");
    assert_eq!(a.live, b.live);
    assert!(world.store.usage().moved_bytes > ByteCount::ZERO);
    for one in &kept {
        assert_eq!(world.zones_of(one.blob).await, ["a", "b"]);
    }
    world.each_zone_has(&kept).await;
    for one in kept {
        world.drop_reference(one.blob, "owner").await;
    }
    world.settle().await;
    assert_eq!(world.store.usage().live, ByteCount::ZERO);
}

#[tokio::test]
async fn a_zone_that_is_added_gets_its_copies() {
    let mut world = World::new(90).await;
    let kept = world.keep(&SIZES).await;
    world.name_zones(2);
    world.reopen().await.unwrap();
    world.check(&kept).await.unwrap();
    world.repair().await;
    let repair = world.store.repair();
    assert!(!repair.walking && repair.short_blobs == 0 && repair.mended_blobs == 4, "{repair:?}");
    assert_eq!(repair.done, repair.total, "{repair:?}");
    for Kept { blob, .. } in &kept {
        assert_eq!(world.zones_of(*blob).await, ["a", "b"]);
    }
    world.each_zone_has(&kept).await;
    world.repair().await;
    assert_eq!(world.store.repair().mended_blobs, 0, "once is enough");
}

#[tokio::test]
async fn a_zone_whose_disk_was_replaced_gets_its_copies_back() {
    for replaced in 0..2 {
        let mut world = World::with_zones(91, 2).await;
        let kept = world.keep(&SIZES).await;
        world.replace(replaced).await;
        world.check(&kept).await.unwrap();
        world.repair().await;
        assert_eq!((world.store.repair().short_blobs, world.store.repair().mended_blobs), (0, 4));
        world.settle().await;
        assert!(world.store.missing_segments().is_empty());
        world.each_zone_has(&kept).await;
    }
}

#[tokio::test]
async fn what_is_missing_because_a_disk_was_replaced_is_no_damage_until_repair_is_through() {
    for replaced in 0..2 {
        let mut world = World::with_zones(99, 2).await;
        let kept = world.keep(&SIZES).await;
        let name = ["a", "b"][replaced];
        world.replace_marked(replaced).await;
        assert!(world.zone(name).refilling && !world.zone(["b", "a"][replaced]).refilling);
        world.scrub().await;
        world.check(&kept).await.unwrap();
        let usage = world.store.usage();
        assert_eq!((usage.damaged_records, usage.damaged_blobs), (0, 0), "it is known");
        // A restart in the middle forgets nothing.
        let mut repairer = Repairer::new(Arc::clone(&world.store));
        while world.store.repair().mended_blobs == 0 {
            repairer.tick().await.unwrap();
        }
        drop(repairer);
        world.reopen().await.unwrap();
        assert!(world.zone(name).refilling);
        world.repair().await;
        assert!(!world.zone(name).refilling, "without a restart");
        world.settle().await;
        world.each_zone_has(&kept).await;
        // What goes missing now is damage.
        let lost = world.place_in(kept[1].blob, name).await.segment;
        world.store.close().await;
        std::fs::remove_file(world.zones[replaced].directories[0].join(format!("{lost}.seg"))).unwrap();
        world.reopen().await.unwrap();
        assert!(!world.zone(name).refilling, "nor with one");
        world.scrub().await;
        assert!(world.store.usage().damaged_records > 0);
    }
}

#[tokio::test]
async fn a_damaged_copy_beside_a_replaced_disk_is_damage_and_is_over_when_it_is_mended_or_gone() {
    let mut world = World::with_zones(100, 3).await;
    let kept = world.keep(&[300_000; 9]).await;
    let mut spared = Vec::new();
    for Kept { blob, .. } in &kept {
        if !world.zones_of(*blob).await.contains(&"c".to_owned()) {
            spared.push(*blob);
        }
    }
    let (mended, gone) = (spared[0], spared[1]);
    world.replace_marked(2).await;
    for blob in [mended, gone] {
        let place = world.place_in(blob, "a").await;
        world.flip(&place, 1000);
    }
    world.scrub().await;
    assert_eq!(world.store.usage().damaged_blobs, 2, "a new disk elsewhere excuses nothing");
    world.drop_reference(gone, "owner").await;
    world.settle().await;
    assert_eq!(world.store.usage().damaged_blobs, 1, "it is gone");
    world.repair().await;
    assert_eq!(world.store.usage().damaged_blobs, 0, "it is mended");
}

#[tokio::test]
async fn a_walk_that_began_before_the_disk_was_replaced_is_followed_by_a_whole_one() {
    let mut world = World::with_zones(101, 2).await;
    let kept = world.keep(&[300_000; 8]).await;
    world.replace(1).await;
    let mut repairer = Repairer::new(Arc::clone(&world.store));
    while world.store.repair().mended_blobs < 4 {
        repairer.tick().await.unwrap();
    }
    drop(repairer);
    world.replace_marked(1).await;
    world.repair().await;
    assert!(!world.zone("b").refilling);
    world.each_zone_has(&kept).await;
}

#[tokio::test]
async fn a_disk_that_was_replaced_has_its_copies_back_only_when_those_in_the_queue_are_made_too() {
    let mut world = World::with_zones(102, 2).await;
    let kept = world.keep(&[300_000]).await;
    for other in world.keep(&[300_000; 9]).await {
        world.drop_reference(other.blob, "owner").await;
    }
    run(&mut Collector::new(Arc::clone(&world.store))).await;
    world.replace_marked(1).await;
    let mut repairer = Repairer::new(Arc::clone(&world.store));
    while !repairer.is_busy() {
        repairer.tick().await.unwrap();
    }
    // The copy that is read is moved meanwhile.
    run(&mut Compactor::new(Arc::clone(&world.store))).await;
    assert!(world.store.usage().moved_bytes > ByteCount::ZERO);
    run(&mut repairer).await;
    assert!(world.zone("b").refilling, "it waits in the queue");
    assert!(repairer.bell().notified().now_or_never().is_some(), "for no longer than it takes to look");
    run(&mut repairer).await;
    assert!(!world.zone("b").refilling);
    world.each_zone_has(&kept).await;
}

#[tokio::test]
async fn what_a_lost_zone_leaves_at_risk_is_told_and_made_up_for_in_a_third() {
    let mut world = World::with_zones(92, 2).await;
    let kept = world.keep(&SIZES).await;
    world.pull(1, true).await;
    world.repair().await;
    let repair = world.store.repair();
    assert_eq!((repair.short_blobs, repair.lost_blobs, repair.walking), (4, 0, false));
    assert!(repair.short.get() > 2 * 2_900_000, "{repair:?}");
    assert_eq!(world.zone("b").state, "away");
    let away = world.zones.remove(1);
    world.name_zones(3);
    world.zones[1].away = away.away;
    world.reopen().await.unwrap();
    world.repair().await;
    assert_eq!(world.store.repair().short_blobs, 0);
    for Kept { blob, .. } in &kept {
        assert_eq!(world.zones_of(*blob).await, ["a", "c"]);
    }
    // The one that was lost comes back with what nobody needs any more.
    world.pull(1, false).await;
    world.settle().await;
    assert_eq!(world.zone("b").live, ByteCount::ZERO);
    world.pull(1, true).await;
    world.pull(0, true).await;
    world.check(&kept).await.unwrap();
}

#[tokio::test]
async fn a_walk_goes_on_after_a_restart() {
    let mut world = World::new(93).await;
    let kept = world.keep(&[400_000; 8]).await;
    world.name_zones(2);
    world.reopen().await.unwrap();
    let mut repairer = Repairer::new(Arc::clone(&world.store));
    while world.store.repair().mended_blobs < 3 {
        repairer.tick().await.unwrap();
    }
    let before = world.store.repair();
    assert!(before.walking && before.done < before.total, "{before:?}");
    drop(repairer);
    world.reopen().await.unwrap();
    let mut repairer = Repairer::new(Arc::clone(&world.store));
    while world.store.repair().total == ByteCount::ZERO {
        repairer.tick().await.unwrap();
    }
    assert!(world.store.repair().done >= before.done, "{:?}", world.store.repair());
    world.clock.advance(std::time::Duration::from_secs(10));
    while world.store.repair().mended_blobs < 2 {
        repairer.tick().await.unwrap();
    }
    assert!(world.store.repair().eta_s.is_some());
    run(&mut repairer).await;
    assert_eq!(world.store.repair().mended_blobs, 5, "the first three were not done again");
    world.each_zone_has(&kept).await;
}

#[tokio::test]
async fn a_zone_is_drained_and_may_then_be_taken_away() {
    let mut world = World::with_zones(94, 3).await;
    let kept = world.keep(&[100_000; 9]).await;
    world.store.drain_zone("a", true).await.unwrap();
    let error = world.store.drain_zone("b", true).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "two copies want two zones: {error}");
    assert_eq!(world.store.drain_zone("z", true).await.unwrap_err().kind(), ErrorKind::NotFound);
    world.reopen().await.unwrap();
    assert_eq!(world.zone("a").state, "draining", "a restart does not forget it");
    let later = world.keep(&[100_000, 700_000]).await;
    world.repair().await;
    for Kept { blob, .. } in kept.iter().chain(&later) {
        assert_eq!(world.zones_of(*blob).await, ["b", "c"]);
    }
    world.settle().await;
    assert_eq!(world.zone("a").live, ByteCount::ZERO);
    world.zones.remove(0);
    world.reopen().await.unwrap();
    world.check(&kept).await.unwrap();
    world.repair().await;
    assert_eq!(world.store.repair().short_blobs, 0);
    world.keep(&SIZES).await;
    let names = |world: &World| world.store.zones().into_iter().map(|zone| zone.name).collect::<Vec<_>>();
    assert_eq!(names(&world), ["b", "c"], "nobody misses it");
    assert_eq!(world.store.drain_zone("a", true).await.unwrap_err().kind(), ErrorKind::NotFound);
    // One that leaves without having been drained is missed until its copies are elsewhere.
    let c = world.zones.pop().unwrap();
    world.reopen().await.unwrap();
    assert_eq!(world.zone("c").state, "removed");
    world.check(&kept).await.unwrap();
    world.zones.push(c);
    world.reopen().await.unwrap();
    assert_eq!(world.zone("c").state, "in use");
    world.each_zone_has(&kept).await;
}

#[tokio::test]
async fn what_was_being_written_when_a_drain_began_is_moved_too() {
    let world = World::with_zones(99, 3).await;
    let mut writers = Vec::new();
    // By turns: each zone takes a copy of two of them.
    for _ in 0..3 {
        let mut writer = world.store.writer(HOME, None);
        writer.push(world.bytes(700_000).into()).await.unwrap();
        writers.push(writer);
    }
    world.store.drain_zone("a", true).await.unwrap();
    let mut repairer = Repairer::new(Arc::clone(&world.store));
    run(&mut repairer).await;
    let mut blobs = Vec::new();
    for writer in writers {
        let sealed = writer.seal().await.unwrap();
        world.commit(sealed.writes(&owned("owner"))).await.unwrap();
        blobs.push(sealed.id);
    }
    world.settle().await;
    assert!(world.zone("a").live > ByteCount::ZERO, "it came after the walk");
    run(&mut repairer).await;
    for blob in blobs {
        assert_eq!(world.zones_of(blob).await, ["b", "c"]);
    }
    world.settle().await;
    assert_eq!(world.zone("a").live, ByteCount::ZERO);
}

#[tokio::test]
async fn one_copy_is_kept_where_one_is_asked_for() {
    let mut world = World::with_zones(95, 2).await;
    let mut kept = Vec::new();
    for n in 0..6 {
        let body = world.bytes(SIZES[n % 4]);
        let mut writer = world.store.writer(HOME, None).with_copies(Copies::One);
        writer.push(body.clone().into()).await.unwrap();
        let sealed = writer.seal().await.unwrap();
        assert!(!sealed.is_at_risk());
        world.commit(sealed.writes(&owned("owner"))).await.unwrap();
        kept.push(Kept { blob: sealed.id, key: sealed.key.clone(), body });
    }
    world.repair().await;
    let mut zones = BTreeSet::new();
    for one in &kept {
        let of = world.zones_of(one.blob).await;
        assert_eq!(of.len(), 1);
        zones.extend(of);
    }
    assert_eq!(zones.len(), 2, "they take turns");
    world.pull(1, true).await;
    world.repair().await;
    assert!(world.store.repair().lost_blobs > 0, "it is told");
    let error = world.check(&kept).await.unwrap_err();
    assert!(matches!(&error, Error::ZoneAway { zone } if zone == "b"), "{error}");
    world.pull(1, false).await;
    world.check(&kept).await.unwrap();
}

#[tokio::test]
async fn one_copy_becomes_as_many_as_are_kept_when_somebody_needs_them() {
    let mut world = World::with_zones(98, 2).await;
    for size in SIZES {
        let body = world.bytes(size);
        let mut writer = world.store.writer(HOME, None).with_copies(Copies::One);
        writer.push(body.clone().into()).await.unwrap();
        let sealed = writer.seal().await.unwrap();
        world.commit(sealed.writes(&owned("owner"))).await.unwrap();
        let kept = [Kept { blob: sealed.id, key: sealed.key.clone(), body }];
        drop(sealed);
        assert_eq!(world.zones_of(kept[0].blob).await.len(), 1);
        world.pull(1, true).await;
        // Either its one zone is away, or there is none to take the second copy.
        world.store.keep_configured(HOME, kept[0].blob).await.unwrap_err();
        world.pull(1, false).await;
        world.store.keep_configured(HOME, kept[0].blob).await.unwrap();
        assert_eq!(world.zones_of(kept[0].blob).await, ["a", "b"]);
        world.store.keep_configured(HOME, kept[0].blob).await.unwrap();
        world.each_zone_has(&kept).await;
        world.repair().await;
        assert_eq!(world.zones_of(kept[0].blob).await, ["a", "b"], "repair leaves it so");
    }
    world.store.keep_configured(HOME, BlobId::from_bytes([9; 16])).await.unwrap();
}

#[tokio::test]
async fn a_zone_whose_disk_does_not_answer_is_away_and_the_last_one_is_an_error() {
    let mut world = World::with_zones(96, 2).await;
    let kept = world.keep(&SIZES).await;
    world.store.close().await;
    let directories = world.zones.iter().map(|zone| zone.directories[0].clone()).collect::<Vec<_>>();
    let file = world.dir.path().join("file");
    std::fs::write(&file, b"no directory").unwrap();
    world.zones[1].directories = vec![file.join("pool")];
    world.reopen().await.unwrap();
    assert_eq!(world.zone("b").state, "away");
    assert!(world.zone("b").why_away.is_some());
    world.check(&kept).await.unwrap();
    world.zones[0].directories = vec![file.join("pool")];
    assert!(matches!(world.reopen().await.unwrap_err(), Error::ZoneAway { .. }));
    for (zone, directory) in world.zones.iter_mut().zip(directories) {
        zone.directories = vec![directory];
    }
    world.reopen().await.unwrap();
    world.each_zone_has(&kept).await;
}

#[tokio::test]
async fn what_happens_while_a_blob_is_repaired_is_noticed() {
    // The blob is collected, or compacted, after its copies were made and before the row names them.
    for gone in [true, false] {
        let mut world = World::new(97).await;
        let kept = world.keep(&[300_000]).await;
        for other in world.keep(&[300_000; 9]).await {
            world.drop_reference(other.blob, "owner").await;
        }
        world.name_zones(2);
        world.reopen().await.unwrap();
        let mut repairer = Repairer::new(Arc::clone(&world.store));
        let planned = |repairer: &Repairer| repairer.is_busy();
        while !planned(&repairer) {
            repairer.tick().await.unwrap();
        }
        if gone {
            world.drop_reference(kept[0].blob, "owner").await;
        }
        run(&mut Collector::new(Arc::clone(&world.store))).await;
        run(&mut Compactor::new(Arc::clone(&world.store))).await;
        run(&mut repairer).await;
        drop(repairer);
        world.settle().await;
        if gone {
            assert_eq!(world.store.usage().live, ByteCount::ZERO);
        } else {
            assert!(world.store.usage().moved_bytes > ByteCount::ZERO);
            world.repair().await;
            world.each_zone_has(&kept).await;
        }
    }
}

#[tokio::test]
async fn repair_names_nothing_that_is_not_synced() {
    // One of several segments, of which the others' syncs say nothing, or the only one.
    for (seed, size, times) in [(103, 2_500_000, 1), (104, 300_000, u64::MAX)] {
        let mut world = World::new(seed).await;
        let kept = world.keep(&[size]).await;
        world.name_zones(2);
        world.reopen().await.unwrap();
        let faults = Arc::clone(&world.zones[1].faults);
        faults.arm(Point::SegmentSync, Fault::Io, 0, times);
        let mut repairer = Repairer::new(Arc::clone(&world.store));
        while world.store.repair().walking || world.store.repair().total == ByteCount::ZERO {
            drop(repairer.tick().await);
        }
        assert_eq!(world.zones_of(kept[0].blob).await, ["a"]);
        assert_eq!(world.store.repair().short_blobs, 1, "another walk has to see to it");
        faults.clear();
        world.reopen().await.unwrap();
        // It walks again once it has rested.
        let mut repairer = Repairer::new(Arc::clone(&world.store));
        for _ in 0..2 {
            run(&mut repairer).await;
        }
        assert_eq!(world.zones_of(kept[0].blob).await, ["a", "b"]);
        world.each_zone_has(&kept).await;
    }
}
