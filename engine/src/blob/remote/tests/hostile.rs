//! What a store does wrong, on purpose or not, and what a full disk, a lost segment and a catalog that takes nothing do meanwhile.

use super::{Far, HOME, LENGTHS, Repairer, object_name};
use crate::blob::remote::cache::PUTS_MAX;
use crate::blob::remote::rows::{DoomedRow, PartsRow, UploadRow};
use crate::blob::row::{doomed_key, parts_key, upload_key};
use crate::blob::tests::run;
use crate::catalog::record::Record;
use crate::catalog::{Catalog, Commit, Limits, Snapshot, Version, Write};
use crate::clock::Clock;
use crate::fault::{Fault, Point};
use crate::id::{BlobId, CopyId, PartitionId};
use crate::pool::ZoneId;
use crate::remote::memory::Flaw;
use crate::remote::{Schedule, Window};
use crate::testing::Gate;
use crate::unit::ByteCount;
use crate::worker::{Progress, Worker};
use crate::{BoxFuture, Error, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Rows whose commits fail when they are told to, and that count who looks at them.
struct Watched {
    rows: Arc<dyn Catalog>,
    is_full: AtomicBool,
    /// Snapshots that fail from now on.
    mute: AtomicU64,
    looks: AtomicU64,
}

impl Catalog for Watched {
    fn limits(&self) -> Limits {
        self.rows.limits()
    }

    fn snapshot(&self, partition: PartitionId) -> BoxFuture<'_, Result<Arc<dyn Snapshot>>> {
        self.looks.fetch_add(1, Ordering::Relaxed);
        let is_mute =
            self.mute.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        if is_mute.is_ok() {
            return Box::pin(async { Err(Error::Unknown { reason: "not now".to_owned() }) });
        }
        self.rows.snapshot(partition)
    }

    fn commit(&self, commit: Commit) -> BoxFuture<'_, Result<Version>> {
        if self.is_full.load(Ordering::Relaxed) {
            return Box::pin(async { Err(Error::Full { place: "the catalog".to_owned(), wanted: 1 }) });
        }
        self.rows.commit(commit)
    }
}

impl Far {
    async fn watched(seed: u64) -> (Self, Arc<Watched>) {
        let mut far = Self::new(seed).await;
        let rows = Arc::clone(&far.world.catalog);
        let watched = Arc::new(Watched {
            rows,
            is_full: AtomicBool::new(false),
            mute: AtomicU64::new(0),
            looks: AtomicU64::new(0),
        });
        far.world.catalog = watched.clone();
        far.world.reopen().await.unwrap();
        (far, watched)
    }

    /// Puts, uploads, and drops the reference again.
    async fn put_and_drop(&mut self, len: usize) -> String {
        let blob = self.put(len).await;
        self.upload().await;
        let name = self.name(blob).await;
        self.put.pop();
        self.world.drop_reference(blob, "owner").await;
        self.world.settle().await;
        name
    }
}

/// Ticks until there is nothing to do, through all failures; how many there were.
async fn run_through(worker: &mut dyn Worker) -> usize {
    let mut failures = 0;
    for _ in 0..1000 {
        match worker.tick().await {
            Ok(Progress::Idle { .. }) => return failures,
            Ok(Progress::More { .. }) => {}
            Err(_) => failures += 1,
        }
    }
    panic!("{} never rests", worker.name());
}

#[tokio::test]
async fn a_body_that_can_be_read_nowhere_holds_up_no_other_and_is_tried_again_after_a_rest() {
    let mut far = Far::new(220).await;
    for _ in 0..6 {
        far.put(1_000_000).await;
    }
    let (lost, _, _) = far.put[2];
    let segment = far.world.store.locate(HOME, lost).await.unwrap().remove(0).segment;
    let path = far.world.dir.path().join(format!("{segment}.seg"));
    let aside = far.world.dir.path().join("aside");
    std::fs::rename(&path, &aside).unwrap();
    far.world.reopen().await.unwrap();
    let mut uploader = far.uploader();
    run(&mut uploader).await;
    let usage = far.usage().await;
    let in_segment = usage.waiting_blobs;
    assert!((1..=4).contains(&in_segment) && usage.unreadable_blobs == in_segment, "{usage:?}");
    assert!(matches!(uploader.tick().await.unwrap(), Progress::More { .. }), "another round");
    assert_eq!(uploader.tick().await.unwrap(), Progress::Idle { rest: Duration::from_mins(1) });
    drop(uploader);
    std::fs::rename(&aside, &path).unwrap();
    far.world.reopen().await.unwrap();
    // A disk that does not answer is no worse than one that is gone.
    far.world.faults.arm(Point::SegmentRead, Fault::Io, 0, in_segment);
    let mut uploader = far.uploader();
    run(&mut uploader).await;
    assert_eq!(far.usage().await.unreadable_blobs, in_segment);
    run(&mut uploader).await;
    assert_eq!((far.usage().await.waiting_blobs, far.usage().await.unreadable_blobs), (0, 0));
    far.check().await;
}

#[tokio::test]
async fn objects_that_the_store_never_takes_hold_up_no_other() {
    let mut far = Far::new(221).await;
    for n in 0..14 {
        far.put(if n < 6 { 3_000_000 } else { 100_000 }).await;
    }
    far.store.set(Some(Flaw::RefusesLarge));
    let mut uploader = far.uploader();
    assert!(run_through(&mut uploader).await > 0);
    let usage = far.usage().await;
    assert_eq!((usage.waiting_blobs, far.store.names().len()), (6, 8), "{usage:?}");
    assert_eq!(uploader.tick().await.map(|_| ()).unwrap_err().to_string(), "reach memory: too large");
    assert!(far.usage().await.trouble.is_some_and(|trouble| trouble.why.contains("too large")));
    far.store.set(None);
    run_through(&mut uploader).await;
    assert_eq!(far.usage().await.waiting_blobs, 0);
    far.check().await;
}

#[tokio::test]
async fn an_answer_that_is_lost_costs_nothing_and_a_store_that_only_says_so_is_in_trouble() {
    let mut far = Far::new(222).await;
    far.store.set(Some(Flaw::LosesAnswers));
    for len in LENGTHS {
        far.put(len).await;
    }
    far.upload().await;
    assert_eq!((far.store.names().len(), far.usage().await.waiting_blobs), (3, 0));
    assert!(far.usage().await.trouble.is_none());
    far.store.set(Some(Flaw::TakesNothing));
    far.put(5_000).await;
    let error = far.uploader().tick().await.unwrap_err();
    assert!(matches!(error, Error::Remote { .. }), "{error}");
    assert!(far.usage().await.trouble.is_some_and(|trouble| trouble.why.contains("drawn just now")));
    far.store.set(None);
    far.upload().await;
    far.check().await;
}

#[tokio::test]
async fn what_was_uploaded_is_not_uploaded_again_because_the_catalog_is_full() {
    let (mut far, rows) = Far::watched(223).await;
    for _ in 0..3 {
        far.put(5_000).await;
    }
    rows.is_full.store(true, Ordering::Relaxed);
    let mut uploader = far.uploader();
    for _ in 0..20 {
        assert!(matches!(uploader.tick().await, Err(Error::Full { .. })));
    }
    assert_eq!(far.store.puts(), 3);
    let mut remover = far.remover();
    far.world.clock.advance(Duration::from_hours(25));
    run(&mut remover).await;
    assert_eq!(far.store.names().len(), 3, "they may come to be named");
    rows.is_full.store(false, Ordering::Relaxed);
    run(&mut uploader).await;
    assert_eq!((far.store.puts(), far.usage().await.waiting_blobs), (3, 0));
    far.check().await;
}

#[tokio::test]
async fn trouble_ends_with_the_outage_when_nothing_is_left_to_upload() {
    let mut far = Far::new(224).await;
    let blob = far.put(5_000).await;
    far.store.set(Some(Flaw::Down));
    let mut uploader = far.uploader();
    uploader.tick().await.unwrap_err();
    far.world.drop_reference(blob, "owner").await;
    far.world.settle().await;
    while far.usage().await.waiting_blobs > 0 {
        drop(uploader.tick().await);
    }
    drop(uploader.tick().await);
    for _ in 0..3 {
        uploader.tick().await.unwrap_err();
        assert!(far.usage().await.trouble.is_some(), "it is down still");
    }
    far.store.set(None);
    run(&mut uploader).await;
    assert!(far.usage().await.trouble.is_none() && far.store.names().is_empty());
}

#[tokio::test]
async fn deletes_that_are_refused_are_told_though_uploads_go_on_and_hold_up_none_behind_them() {
    let mut far = Far::new(225).await;
    let first = far.put_and_drop(5_000).await;
    far.store.set(Some(Flaw::DeletesFail));
    let mut remover = far.remover();
    remover.tick().await.unwrap_err();
    far.put(5_000).await;
    far.upload().await;
    let usage = far.usage().await;
    assert!(usage.trouble.is_some_and(|trouble| trouble.why.contains("no right to delete")));
    far.store.set(None);
    let mut names = vec![first];
    for _ in 0..4 {
        names.push(far.put_and_drop(5_000).await);
    }
    names.sort();
    far.store.keep(&names[1]);
    let failures = run_through(&mut remover).await + run_through(&mut remover).await;
    assert!((1..=2).contains(&failures), "{failures}");
    let left = far.store.names();
    assert!(left.len() == 2 && left.contains(&names[1]), "{left:?}");
    assert_eq!(far.usage().await.doomed_objects, 1);
}

#[tokio::test]
async fn a_list_that_has_no_end_is_refused() {
    let far = Far::new(226).await;
    for n in 0..1000 {
        far.store.plant(&format!("blobs/{n:04}"));
    }
    far.store.set(Some(Flaw::ListsForEver));
    let mut remover = far.remover();
    let mut outcome = Ok(Progress::More { done: 0 });
    for _ in 0..5 {
        outcome = remover.tick().await;
        if !matches!(outcome, Ok(Progress::More { .. })) {
            break;
        }
    }
    let error = outcome.unwrap_err().to_string();
    assert!(error.contains("out of order"), "{error}");
    assert!(far.usage().await.trouble.is_some());
}

#[tokio::test]
async fn what_more_is_held_than_is_remembered_waits_its_turn() {
    let mut far = Far::new(227).await;
    far.world.store.set_hold(Some(0));
    for _ in 0..5 {
        far.put_and_drop(5_000).await;
        far.world.store.set_hold(Some(0));
    }
    let mut remover = far.remover();
    remover.work.seen_max = 2;
    for left in [3, 1, 0] {
        run(&mut remover).await;
        assert!(remover.work.seen.len() <= 2);
        let shipped = far.world.commit(vec![]).await.unwrap();
        far.world.store.set_hold(Some(shipped));
        // What is seen from now on is newer.
        far.world.commit(vec![]).await.unwrap();
        run(&mut remover).await;
        assert_eq!(far.store.names().len(), left);
    }
    assert!(remover.work.seen.is_empty());
}

#[tokio::test]
async fn the_remover_looks_where_something_was_doomed_and_once_an_hour_everywhere() {
    let (mut far, rows) = Far::watched(228).await;
    for n in 1..=200_u64 {
        let sealed =
            far.world.seal_in(PartitionId::from_bytes(n.to_be_bytes()), b"some bytes").await.unwrap();
        drop(sealed);
    }
    let mut remover = far.remover();
    run(&mut remover).await;
    let name = far.put_and_drop(5_000).await;
    let looks = |from: u64| rows.looks.load(Ordering::Relaxed) - from;
    let before = looks(0);
    run(&mut remover).await;
    assert!(!far.store.names().contains(&name));
    assert!(looks(before) < 10, "{}", looks(before));
    let before = looks(0);
    run(&mut remover).await;
    assert_eq!(looks(before), 0);
    // What could not be read is looked at again.
    let name = far.put_and_drop(5_000).await;
    rows.mute.store(1, Ordering::Relaxed);
    assert_eq!(run_through(&mut remover).await, 1);
    run(&mut remover).await;
    assert!(!far.store.names().contains(&name));
    // A commit whose answer nobody waited for.
    let (blob, copy) = (BlobId::from_bytes([1; 16]), CopyId::from_bytes([2; 8]));
    let row = DoomedRow { zone: far.world.store.remote.as_ref().unwrap().zone, bytes: 1 };
    far.world.commit(vec![Write::Put(doomed_key(blob, copy), row.to_bytes())]).await.unwrap();
    run(&mut remover).await;
    assert_eq!(far.usage().await.doomed_objects, 1);
    far.world.clock.advance(Duration::from_hours(1));
    run(&mut remover).await;
    assert_eq!(far.usage().await.doomed_objects, 0);
}

#[tokio::test]
async fn local_copies_go_only_where_the_object_is_whole() {
    for (seed, damage) in [(229, 0), (230, 1), (231, 2)] {
        let mut far = Far::beside(seed).await;
        let (blob, sound) = (far.put(1_000_000).await, far.put(1_000_000).await);
        far.upload().await;
        let name = far.name(blob).await;
        match damage {
            0 => far.store.delete_behind(&name),
            1 => far.store.tamper(&name, |bytes| bytes.truncate(900_000)),
            // As after somebody copied objects over one another.
            _ => {
                let other = far.store.body(&far.name(sound).await);
                far.store.tamper(&name, |bytes| *bytes = other.to_vec());
            }
        }
        let puts = far.store.puts();
        far.change(|options| options.keeps_local = false).await;
        far.mend().await;
        far.upload().await;
        assert_eq!((far.local_copies(blob).await, far.local_copies(sound).await), (0, 0));
        assert_eq!(far.store.puts(), puts + 1, "what is whole is not uploaded again");
        far.check().await;
    }
}

#[tokio::test]
async fn local_room_ends_an_outage_with_a_full_disk_and_the_store_brings_it_back() {
    let mut far = Far::new(232).await;
    far.world.faults.arm(Point::SegmentAllocate, Fault::NoSpace, 12, u64::MAX);
    far.store.set(Some(Flaw::Down));
    let body = far.world.bytes(200_000);
    let error = loop {
        assert!(far.put.len() < 2000, "never full");
        match far.world.put(&body, "owner").await {
            Ok((blob, key)) => far.put.push((blob, key, body.clone())),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::Full { .. }), "{error}");
    let mut uploader = far.uploader();
    uploader.tick().await.unwrap_err();
    far.check().await;
    assert!(far.usage().await.trouble.is_some() && far.world.store.usage().full);
    far.world.reopen().await.unwrap();
    far.check().await;
    far.store.set(None);
    far.upload().await;
    far.world.settle().await;
    assert!(!far.world.store.usage().full, "{:?}", far.world.store.usage());
    for _ in 0..20 {
        far.put(200_000).await;
    }
    far.upload().await;
    far.check().await;
}

#[tokio::test]
async fn a_queue_that_is_long_is_not_counted_at_each_status() {
    let far = Far::new(233).await;
    let queue = async |from: u32, rows: u32| {
        let row = UploadRow { queued: far.world.clock.now(), bytes: 10, again: false };
        let key = |n: u32| {
            let mut id = [0; 16];
            id[..4].copy_from_slice(&n.to_be_bytes());
            upload_key(BlobId::from_bytes(id))
        };
        let writes = (from..from + rows).map(|n| Write::Put(key(n), row.to_bytes())).collect();
        far.world.commit(writes).await.unwrap();
    };
    let sealed = far.world.seal(b"some bytes").await.unwrap();
    drop(sealed);
    queue(0, 9_000).await;
    assert_eq!(far.usage().await.waiting_blobs, 9_000);
    queue(9_000, 1_000).await;
    assert_eq!(far.usage().await.waiting_blobs, 10_000, "a short one is counted each time");
    queue(10_000, 1).await;
    assert_eq!(far.usage().await.waiting_blobs, 10_000);
    far.world.clock.advance(Duration::from_millis(200));
    let usage = far.usage().await;
    assert_eq!((usage.waiting_blobs, usage.waiting.get()), (10_001, 100_010));
}

#[tokio::test]
async fn rows_that_can_not_be_read_hide_nothing_else_of_how_the_pool_stands() {
    let mut far = Far::new(244).await;
    far.put(3_000_000).await;
    far.upload().await;
    far.put(2_000_000).await;
    let before = far.usage().await;
    assert!(
        before.waiting_blobs == 1 && before.live.get() > 3_000_000 && before.damaged_rows == 0,
        "{before:?}"
    );
    let cut_short = Write::Put(upload_key(BlobId::from_bytes([7; 16])), "x".into());
    far.world.commit(vec![cut_short]).await.unwrap();
    let usage = far.usage().await;
    assert_eq!((usage.waiting_blobs, usage.waiting, usage.damaged_rows), (2, before.waiting, 1));
    assert_eq!((usage.waiting_since_ms, usage.live), (before.waiting_since_ms, before.live));
}

#[tokio::test]
async fn a_cache_whose_disk_is_behind_is_passed_over() {
    let mut far = Far::new(234).await;
    far.put(3_000_000).await;
    far.upload().await;
    let pool = far.world.store.remote.clone().unwrap();
    let busy: Vec<_> = std::iter::from_fn(|| pool.cache.as_ref().unwrap().may_put()).collect();
    assert_eq!(busy.len(), PUTS_MAX);
    far.check().await;
    let before = far.store.gets();
    far.check().await;
    assert!(far.store.gets() > before && far.usage().await.cache.get() == 0);
    drop(busy);
    far.check().await;
    while far.usage().await.cache.get() < 3_000_000 {
        tokio::task::yield_now().await;
        far.check().await;
    }
}

#[tokio::test]
async fn a_frame_that_claims_to_be_newer_is_damage_and_stops_no_worker() {
    let mut far = Far::beside(235).await;
    let blob = far.put(5_000).await;
    far.upload().await;
    let name = far.name(blob).await;
    far.store.tamper(&name, |bytes| {
        bytes[4] = 99;
        let sum = crc_fast::crc32_iscsi(&bytes[..124]).to_le_bytes();
        bytes[124..128].copy_from_slice(&sum);
    });
    far.world.scrub().await;
    far.upload().await;
    assert!(far.name(blob).await != name, "it is made again");
    far.check().await;
}

#[tokio::test]
async fn a_body_that_is_compacted_between_two_parts_of_its_upload_is_read_where_it_is_now() {
    let mut far = Far::new(236).await;
    for _ in 0..40 {
        far.put(100_000).await;
    }
    let uploader = far.uploader();
    let mut stale = Vec::new();
    for (blob, _, _) in far.put.iter().step_by(4) {
        stale.push((*blob, far.world.store.row(HOME, *blob).await.unwrap()));
    }
    for (n, (blob, _, _)) in far.put.iter().enumerate() {
        if n % 4 != 0 {
            far.world.drop_reference(*blob, "owner").await;
        }
    }
    far.world.settle().await;
    let mut moved = 0;
    for (blob, row) in stale {
        moved += usize::from(far.world.store.row(HOME, blob).await.unwrap() != row);
        uploader.work.record(HOME, blob, &row, (0, CopyId::from_bytes([3; 8]))).await.unwrap().unwrap();
    }
    assert!(moved > 0, "nothing was compacted");
}

#[tokio::test]
async fn what_a_store_could_not_give_is_copied_once_it_answers() {
    let mut far = Far::new(236).await;
    let blob = far.put(1_000_000).await;
    far.upload().await;
    far.change(|options| options.keeps_local = true).await;
    far.store.set(Some(Flaw::Down));
    let mut repairer = Repairer::new(Arc::clone(&far.world.store));
    run(&mut repairer).await;
    let repair = far.world.store.repair();
    assert_eq!((far.local_copies(blob).await, repair.short_blobs, repair.lost_blobs), (0, 1, 0));
    far.store.set(None);
    // Nobody tells it so.
    run(&mut repairer).await;
    assert_eq!((far.local_copies(blob).await, far.world.store.repair().short_blobs), (1, 0));
}

#[tokio::test]
async fn an_upload_that_is_under_way_is_not_taken_for_one_that_was_left() {
    let mut far = Far::new(237).await;
    far.change(|options| {
        let bytes_per_second = ByteCount::kib(100);
        options.schedule = Schedule(vec![Window { from_hour: 0, to_hour: 24, bytes_per_second }]);
    })
    .await;
    far.put(20_000_000).await;
    let mut uploader = far.uploader();
    let mut tick = uploader.tick();
    while far.store.parts_left() == 0 {
        assert!(futures_util::poll!(&mut tick).is_pending());
        tokio::task::yield_now().await;
    }
    let mut remover = far.remover();
    run(&mut remover).await;
    assert!(far.store.parts_left() > 0, "it goes on");
    while futures_util::poll!(&mut tick).is_pending() {
        far.world.clock.advance(Duration::from_secs(10));
        tokio::task::yield_now().await;
    }
    drop(tick);
    run(&mut remover).await;
    assert_eq!((far.store.names().len(), far.store.parts_left()), (1, 0));
    far.check().await;
}

#[tokio::test]
async fn what_lies_at_another_store_is_not_forgotten_by_this_ones_remover() {
    let far = Far::new(238).await;
    let (blob, copy) = (BlobId::from_bytes([1; 16]), CopyId::from_bytes([2; 8]));
    let zone = ZoneId::from_bytes([0xFE, 0xFE]);
    let doomed = Write::Put(doomed_key(blob, copy), DoomedRow { zone, bytes: 1 }.to_bytes());
    let begun = PartsRow { zone, upload: "theirs".to_owned() };
    let parts = Write::Put(parts_key(blob, copy), begun.to_bytes());
    drop(far.world.seal(b"some bytes").await.unwrap());
    far.world.commit(vec![doomed, parts]).await.unwrap();
    run(&mut far.remover()).await;
    let snapshot = far.world.catalog.snapshot(HOME).await.unwrap();
    for key in [doomed_key(blob, copy), parts_key(blob, copy)] {
        assert!(snapshot.get(key).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn an_orphan_that_is_not_deleted_holds_up_none_behind_it() {
    let far = Far::new(239).await;
    let names: Vec<String> = (1..=3_u8)
        .map(|n| object_name(HOME, BlobId::from_bytes([n; 16]), CopyId::from_bytes([n; 8])))
        .collect();
    for name in &names {
        far.store.plant(name);
    }
    far.store.keep(&names[0]);
    far.world.clock.advance(Duration::from_hours(25));
    assert_eq!(run_through(&mut far.remover()).await, 1);
    assert_eq!(far.store.names(), names[..1]);
}

#[tokio::test]
async fn a_doomed_object_that_a_backup_holds_is_no_orphan() {
    let mut far = Far::new(240).await;
    far.world.store.set_hold(Some(0));
    let name = far.put_and_drop(5_000).await;
    far.world.store.set_hold(Some(0));
    far.world.clock.advance(Duration::from_hours(50));
    run(&mut far.remover()).await;
    assert_eq!(far.store.names(), [name], "the newest backup names it, however old it is");
}

#[tokio::test]
async fn damage_that_is_queued_while_a_blob_leaves_the_queue_is_not_forgotten() {
    for gap in 0..40 {
        let mut far = Far::beside(241).await;
        let blob = far.put(5_000).await;
        far.upload().await;
        let gate = Gate::before(Arc::clone(&far.world.catalog));
        far.world.catalog = gate.clone();
        far.world.reopen().await.unwrap();
        let queued = far.world.clock.now();
        let row = move |again| Write::Put(upload_key(blob), UploadRow { queued, bytes: 1, again }.to_bytes());
        far.world.commit(vec![row(false)]).await.unwrap();
        let rows = Arc::clone(gate.rows());
        gate.arm(gap, async move {
            let read_version = rows.snapshot(HOME).await.unwrap().read_version();
            let commit = Commit { writes: vec![row(true)], ..Commit::new(HOME, read_version) };
            rows.commit(commit).await.unwrap();
        });
        let puts = far.store.puts();
        far.upload().await;
        if gate.disarm() {
            assert!(gap > 3);
            return;
        }
        assert_eq!(far.store.puts(), puts + 1, "gap {gap}");
    }
    panic!("it never leaves the queue");
}
