//! A remote pool behind a store: what moves there, what is read from there, and what crashes and a bad store leave.

mod hostile;

use super::{CacheOptions, RemoteOptions, Remover, Uploader, object_name, parse_name};
use crate::blob::Repairer;
use crate::blob::tests::outcomes::{Mood, Moody, run_on};
use crate::blob::tests::{HOME, World, owned, run, text};
use crate::catalog::Catalog;
use crate::clock::Clock;
use crate::codec::DataKey;
use crate::id::BlobId;
use crate::remote::memory::{Flaw, MemoryRemote};
use crate::remote::{Schedule, Window};
use crate::testing::Gate;
use crate::unit::ByteCount;
use crate::worker::{Progress, Worker};
use crate::{Error, ErrorKind};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

/// One record, several records, several parts.
const LENGTHS: [usize; 3] = [5_000, 1_000_000, 20_000_000];

struct Far {
    world: World,
    store: Arc<MemoryRemote>,
    put: Vec<(BlobId, DataKey, Vec<u8>)>,
}

impl Far {
    async fn new(seed: u64) -> Self {
        let mut world = World::new(seed).await;
        let store = Arc::new(MemoryRemote::new(world.clock.clone()));
        world.remote = Some(options(&world, &store));
        world.reopen().await.unwrap();
        Self { world, store, put: Vec::new() }
    }

    /// The same with local copies beside it.
    async fn beside(seed: u64) -> Self {
        let mut far = Self::new(seed).await;
        far.change(|options| options.keeps_local = true).await;
        far
    }

    async fn change(&mut self, change: impl Fn(&mut RemoteOptions)) {
        self.world.remote.iter_mut().for_each(change);
        self.world.reopen().await.unwrap();
    }

    async fn put(&mut self, len: usize) -> BlobId {
        let body = self.world.bytes(len);
        let (blob, key) = self.world.put(&body, "owner").await.unwrap();
        self.put.push((blob, key, body));
        blob
    }

    fn uploader(&self) -> Uploader {
        Uploader::new(Arc::clone(&self.world.store), self.world.store.remote.clone().unwrap())
    }

    fn remover(&self) -> Remover {
        Remover::new(Arc::clone(&self.world.store), self.world.store.remote.clone().unwrap())
    }

    async fn upload(&self) {
        run(&mut self.uploader()).await;
    }

    async fn mend(&self) {
        run(&mut Repairer::new(Arc::clone(&self.world.store))).await;
    }

    async fn name(&self, blob: BlobId) -> String {
        let row = self.world.store.row(HOME, blob).await.unwrap();
        object_name(HOME, blob, row.remote.unwrap().id)
    }

    /// Everything reads as it was written, in whole and in part.
    async fn check(&self) {
        for (blob, key, body) in &self.put {
            let len = body.len() as u64;
            assert!(self.world.read(*blob, key, 0..len).await.unwrap() == *body, "{} bytes", body.len());
            for (from, to) in [(0, 1), (len / 3, len / 3 + 70_000), (len - 100, len)] {
                let range = from..to.min(len);
                let part = &body[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()];
                assert!(self.world.read(*blob, key, range).await.unwrap() == part);
            }
        }
    }

    async fn local_copies(&self, blob: BlobId) -> usize {
        self.world.store.row(HOME, blob).await.unwrap().copies.len()
    }

    async fn usage(&self) -> super::RemoteUsage {
        self.world.store.remote_usage().await.unwrap().unwrap()
    }
}

fn options(world: &World, store: &Arc<MemoryRemote>) -> RemoteOptions {
    RemoteOptions {
        name: "cloud".to_owned(),
        place: "memory".to_owned(),
        store: store.clone(),
        keeps_local: false,
        scrubbed: true,
        cache: Some(CacheOptions { dir: world.dir.path().join("cache"), bytes: ByteCount::mib(64) }),
        schedule: Schedule::default(),
    }
}

#[tokio::test]
async fn bodies_move_to_the_remote_pool_and_local_space_is_won_back() {
    let mut far = Far::new(200).await;
    for len in LENGTHS {
        far.put(len).await;
    }
    let (empty, _) = far.world.put(b"", "empty").await.unwrap();
    assert_eq!(far.usage().await.waiting_blobs, 3);
    far.upload().await;
    assert_eq!(far.store.names().len(), 3);
    far.check().await;
    far.world.settle().await;
    let (usage, local) = (far.usage().await, far.world.store.usage());
    // Those that lanes still write to are all that is left.
    assert!(local.live.get() == 0 && local.segments <= 4, "{local:?}");
    assert_eq!((usage.waiting_blobs, usage.waiting.get(), usage.waiting_since_ms), (0, 0, None));
    assert_eq!((usage.uploaded_blobs, usage.live), (3, usage.uploaded));
    let sealed: usize = LENGTHS.iter().sum();
    assert!(usage.live.get() > sealed as u64 && usage.live.get() < sealed as u64 * 101 / 100);
    far.world.reopen().await.unwrap();
    far.check().await;
    assert_eq!(far.local_copies(empty).await, 1, "an empty body is nowhere");
    let places = far.world.store.locate(HOME, far.put[1].0).await.unwrap();
    assert!(places.len() > 1 && places.iter().all(|at| at.pool == "s3" && at.zone == "cloud" && !at.missing));
    assert_eq!(places[0].segment, far.name(far.put[1].0).await);
}

#[tokio::test]
async fn what_is_read_again_comes_from_the_cache_and_a_piece_that_went_bad_from_the_store() {
    let mut far = Far::new(201).await;
    let blob = far.put(3_000_000).await;
    far.upload().await;
    far.check().await;
    let cached = async || {
        let before = far.store.gets();
        // What was read is put into the cache behind the reader's back.
        while far.usage().await.cache.get() < 3_000_000 {
            tokio::task::yield_now().await;
        }
        far.check().await;
        far.store.gets() - before
    };
    assert_eq!(cached().await, 0);
    far.store.set(Some(Flaw::Down));
    assert_eq!(cached().await, 0, "an outage is not noticed");
    far.store.set(None);
    for file in std::fs::read_dir(far.world.dir.path().join("cache")).unwrap() {
        let path = file.unwrap().path();
        let mut bytes = std::fs::read(&path).unwrap();
        bytes.iter_mut().step_by(50_000).for_each(|byte| *byte ^= 1);
        std::fs::write(&path, bytes).unwrap();
    }
    let before = far.store.gets();
    far.check().await;
    assert!(far.store.gets() > before);
    far.world.reopen().await.unwrap();
    assert_eq!(far.usage().await.cache.get(), 0, "it begins empty");
    far.store.tamper(&far.name(blob).await, |bytes| bytes[70_000] ^= 1);
    let (_, key, body) = &far.put[0];
    far.world.read(blob, key, 0..body.len() as u64).await.unwrap_err();
}

#[tokio::test]
async fn an_outage_is_survived_by_what_is_local_and_told_since_when_and_why() {
    let mut far = Far::new(202).await;
    let early = far.put(5_000).await;
    far.upload().await;
    far.store.set(Some(Flaw::Down));
    let down_at = far.world.clock.now();
    for _ in 0..5 {
        far.put(100_000).await;
        far.world.clock.advance(Duration::from_hours(1));
        let error = far.uploader().tick().await.unwrap_err();
        assert!(matches!(error, Error::Remote { .. }), "{error}");
    }
    let usage = far.usage().await;
    assert_eq!((usage.waiting_blobs, usage.waiting_since_ms), (5, Some(down_at)));
    let trouble = usage.trouble.unwrap();
    let down_at_first = trouble.since_ms;
    assert!(trouble.why.contains("no answer") && trouble.since_ms.since(down_at) <= Duration::from_hours(1));
    for (blob, key, body) in &far.put {
        let read = far.world.read(*blob, key, 0..body.len() as u64).await;
        if *blob == early {
            let error = read.unwrap_err();
            assert!(error.kind() == ErrorKind::Unavailable && text(&error).contains("memory"), "{error}");
        } else {
            assert!(read.unwrap() == *body, "what is local is read");
        }
    }
    // Reads alone are no sign that it goes on.
    far.store.set(Some(Flaw::WritesFail));
    far.check().await;
    assert!(far.usage().await.trouble.is_some_and(|trouble| trouble.since_ms == down_at_first));
    far.world.reopen().await.unwrap();
    far.store.set(None);
    far.upload().await;
    let usage = far.usage().await;
    assert!(usage.waiting_blobs == 0 && usage.trouble.is_none() && far.store.names().len() == 6);
    far.check().await;
}

#[tokio::test]
async fn a_damaged_or_missing_object_is_an_error_that_names_it_and_never_other_bytes() {
    for (seed, damage) in [(203, 0), (204, 1), (205, 2)] {
        let mut far = Far::new(seed).await;
        let blob = far.put(1_000_000).await;
        far.upload().await;
        let name = far.name(blob).await;
        match damage {
            0 => far.store.tamper(&name, |bytes| bytes[500_000] ^= 0x10),
            1 => far.store.tamper(&name, |bytes| bytes.truncate(600_000)),
            _ => far.store.delete_behind(&name),
        }
        let (_, key, body) = &far.put[0];
        let error = far.world.read(blob, key, 0..body.len() as u64).await.unwrap_err();
        assert!(error.kind() == ErrorKind::Corrupt && text(&error).contains(&name), "{error}");
        if damage < 2 {
            assert!(
                far.world.read(blob, key, 0..100_000).await.unwrap() == body[..100_000],
                "what is whole is read"
            );
        }
    }
}

#[tokio::test]
async fn beside_local_copies_each_is_made_good_from_the_other() {
    let mut far = Far::beside(206).await;
    for len in [5_000, 1_000_000] {
        far.put(len).await;
    }
    far.upload().await;
    far.world.settle().await;
    let (blob, key, body) = far.put[1].clone();
    assert_eq!(far.local_copies(blob).await, 1);
    // A damaged object is found by the scrubber and uploaded again; the old one goes.
    let name = far.name(blob).await;
    far.store.tamper(&name, |bytes| bytes[500_000] ^= 1);
    far.world.scrub().await;
    far.upload().await;
    assert!(far.name(blob).await != name);
    run(&mut far.remover()).await;
    assert!(!far.store.names().contains(&name) && far.store.names().len() == 2);
    // Lost local segments are read from the objects, and made again.
    for segment in far.world.segment_files() {
        std::fs::remove_file(far.world.dir.path().join(format!("{segment}.seg"))).unwrap();
    }
    far.world.reopen().await.unwrap();
    far.check().await;
    far.mend().await;
    far.store.set(Some(Flaw::Down));
    assert!(
        far.world.read(blob, &key, 0..body.len() as u64).await.unwrap() == body,
        "from local copies again"
    );
}

#[tokio::test]
async fn a_deleted_bodys_object_goes_once_the_backup_lets_it_and_nobody_reads_it() {
    let mut far = Far::new(207).await;
    let (kept, dropped) = (far.put(5_000).await, far.put(5_000_000).await);
    far.upload().await;
    let (kept, name) = (far.name(kept).await, far.name(dropped).await);
    far.world.store.set_hold(Some(0));
    let (_, key, body) = far.put.pop().unwrap();
    let mut reader = far.world.store.read(HOME, dropped, &key, 0..body.len() as u64);
    let first = futures_util::StreamExt::next(&mut reader).await.unwrap().unwrap();
    far.world.drop_reference(dropped, "owner").await;
    far.world.settle().await;
    assert_eq!(far.usage().await.doomed_objects, 1);
    let mut remover = far.remover();
    run(&mut remover).await;
    assert!(far.store.names().contains(&name), "the newest backup names it");
    let shipped = far.world.commit(vec![]).await.unwrap();
    far.world.store.set_hold(Some(shipped));
    run(&mut remover).await;
    assert!(far.store.names().contains(&name), "somebody reads it");
    let mut got = first.to_vec();
    while let Some(piece) = futures_util::StreamExt::next(&mut reader).await {
        got.extend_from_slice(&piece.unwrap());
    }
    assert!(got == body);
    drop(reader);
    run(&mut remover).await;
    assert_eq!(far.store.names(), [kept]);
    let usage = far.usage().await;
    assert_eq!((usage.doomed_objects, usage.deleted_objects, usage.orphans), (0, 1, 0));
    far.check().await;
}

#[tokio::test]
async fn a_kill_between_any_two_steps_of_an_upload_loses_nothing_and_leaves_nothing_for_long() {
    for len in LENGTHS {
        let mut far = Far::new(208).await;
        let rows = Arc::clone(&far.world.catalog);
        for gap in 0..40 {
            let gate = Gate::before(Arc::clone(&rows));
            far.world.catalog = gate.clone() as Arc<dyn Catalog>;
            far.world.reopen().await.unwrap();
            far.put(len).await;
            gate.arm(gap, std::future::pending());
            let (mut uploader, mut reached) = (far.uploader(), false);
            'ticks: for _ in 0..100 {
                let mut tick = uploader.tick();
                loop {
                    match futures_util::poll!(&mut tick) {
                        Poll::Ready(Ok(Progress::Idle { .. })) => break 'ticks,
                        Poll::Ready(outcome) => {
                            outcome.unwrap();
                            break;
                        }
                        // Reads of segments are on other threads; only the gate stays shut.
                        Poll::Pending if gate.is_armed() => tokio::task::yield_now().await,
                        Poll::Pending => {
                            reached = true;
                            break 'ticks;
                        }
                    }
                }
            }
            drop(uploader);
            far.world.catalog = Arc::clone(&rows);
            far.world.reopen().await.unwrap();
            far.check().await;
            far.upload().await;
            far.check().await;
            far.put.truncate(3);
            if !reached {
                assert!(gate.disarm());
                break;
            }
            assert!(gap < 39, "an upload of more than 40 steps");
        }
        far.world.clock.advance(Duration::from_hours(25));
        run(&mut far.remover()).await;
        let mut named = Vec::new();
        for name in far.store.names() {
            let (_, blob, copy) = parse_name(&name).unwrap();
            let row = far.world.store.row(HOME, blob).await.unwrap();
            assert_eq!(row.remote.unwrap().id, copy, "{name}");
            named.push(blob);
        }
        named.dedup();
        assert!(named.len() == far.store.names().len() && named.len() > 3);
        assert_eq!(far.store.parts_left(), 0);
    }
}

#[tokio::test]
async fn what_no_row_names_goes_after_a_day_and_names_of_others_stay() {
    let mut far = Far::new(209).await;
    let blob = far.put(5_000).await;
    far.upload().await;
    let named = far.name(blob).await;
    let orphan = named.replace(&named[named.len() - 16..], "0123456789abcdef");
    let elsewhere = orphan.replace(&HOME.to_string(), "0000000000000009");
    for name in [&orphan, &elsewhere, "blobs/notes.txt", "owner.json"] {
        far.store.plant(name);
    }
    far.world.clock.advance(Duration::from_hours(23));
    let mut remover = far.remover();
    run(&mut remover).await;
    assert_eq!(far.store.names().len(), 5);
    far.world.clock.advance(Duration::from_hours(25));
    run(&mut remover).await;
    let mut left = vec![named, "blobs/notes.txt".to_owned(), "owner.json".to_owned()];
    left.sort();
    assert_eq!(far.store.names(), left);
    assert_eq!(far.usage().await.orphans, 2);
    far.check().await;
}

#[tokio::test]
async fn what_was_there_before_the_pool_is_uploaded_and_comes_back_when_local_copies_are_wanted() {
    let mut far = Far::new(210).await;
    let remote = far.world.remote.take();
    far.world.reopen().await.unwrap();
    for len in [5_000, 1_000_000] {
        far.put(len).await;
    }
    far.world.remote = remote;
    far.world.reopen().await.unwrap();
    far.mend().await;
    far.upload().await;
    assert_eq!((far.local_copies(far.put[1].0).await, far.store.names().len()), (0, 2));
    far.change(|options| options.keeps_local = true).await;
    far.mend().await;
    assert_eq!(far.local_copies(far.put[1].0).await, 1);
    far.store.set(Some(Flaw::Down));
    far.check().await;
    far.store.set(None);
    far.change(|options| options.keeps_local = false).await;
    far.mend().await;
    far.upload().await;
    assert_eq!(
        (far.local_copies(far.put[1].0).await, far.store.names().len()),
        (0, 2),
        "nothing is uploaded twice"
    );
    // Without its zone it is missed, by name.
    far.world.remote = None;
    far.world.reopen().await.unwrap();
    let (blob, key, _) = &far.put[1];
    let error = far.world.read(*blob, key, 0..1).await.unwrap_err();
    assert!(text(&error).contains("cloud") && error.kind() == ErrorKind::Unavailable, "{error}");
    assert!(far.world.store.unreachable_remote_bytes().await.unwrap().get() > 1_000_000);
}

#[tokio::test]
async fn a_body_that_changes_its_place_or_goes_while_it_is_uploaded_is_noticed() {
    let mut far = Far::new(211).await;
    let blob = far.put(1_000_000).await;
    let gate = Gate::before(Arc::clone(&far.world.catalog));
    let rows = Arc::clone(&far.world.catalog);
    far.world.catalog = gate.clone() as Arc<dyn Catalog>;
    far.world.reopen().await.unwrap();
    // The snapshot that finds the queue, the one that reads the row, then the one that names the object.
    let write = crate::blob::release(blob, &owned("owner"));
    let (catalog, world) = (Arc::clone(&rows), Arc::clone(&far.world.store));
    gate.arm(2, async move {
        let read_version = catalog.snapshot(HOME).await.unwrap().read_version();
        let commit =
            crate::catalog::Commit { writes: write, ..crate::catalog::Commit::new(HOME, read_version) };
        catalog.commit(commit).await.unwrap();
        run(&mut crate::blob::Collector::new(world)).await;
    });
    far.upload().await;
    assert!(!gate.disarm() && far.store.names().is_empty(), "{:?}", far.store.names());
    assert_eq!(far.usage().await.waiting_blobs, 0);
}

#[tokio::test]
async fn what_an_upload_let_go_whose_outcome_was_unknown_is_counted_as_free() {
    let mut far = Far::new(213).await;
    let moody = Moody::before(Arc::clone(&far.world.catalog));
    far.world.catalog = moody.clone();
    far.world.reopen().await.unwrap();
    // Alone in most of its segments: no other upload has their counters read again.
    far.put(4_500_000).await;
    far.world.settle().await;
    moody.arm(Mood::Unknown);
    let errors = run_on(&mut far.uploader()).await;
    assert!(matches!(&errors[..], [Error::Unknown { .. }]) && moody.is_spent(), "{errors:?}");
    far.world.settle().await;
    assert_eq!(far.world.store.usage().live, ByteCount::ZERO);
    far.check().await;
}

#[tokio::test]
async fn uploads_keep_to_the_schedule_and_stop_when_they_are_told_to() {
    let mut far = Far::new(212).await;
    far.change(|options| {
        let bytes_per_second = ByteCount::kib(100);
        options.schedule = Schedule(vec![Window { from_hour: 0, to_hour: 24, bytes_per_second }]);
    })
    .await;
    for _ in 0..3 {
        far.put(1_000_000).await;
    }
    assert_eq!(far.usage().await.limit, Some(ByteCount::kib(100)));
    let mut uploader = far.uploader();
    let mut tick = uploader.tick();
    let wait_for = async |tick: &mut crate::BoxFuture<'_, crate::Result<Progress>>, names: usize| {
        for _ in 0..100_000 {
            assert!(futures_util::poll!(&mut *tick).is_pending());
            if far.store.names().len() == names {
                return;
            }
            tokio::task::yield_now().await;
        }
        panic!("{names} objects never came");
    };
    wait_for(&mut tick, 1).await;
    far.world.clock.advance(Duration::from_secs(9));
    assert!(futures_util::poll!(&mut tick).is_pending() && far.store.names().len() == 1);
    far.world.clock.advance(Duration::from_secs(1));
    wait_for(&mut tick, 2).await;
    far.world.store.stop_remote();
    assert!(matches!(tick.await, Ok(Progress::Idle { .. })));
    drop(uploader);
    assert_eq!(far.store.names().len(), 2, "the third was left off");
    far.world.reopen().await.unwrap();
    far.check().await;
}
