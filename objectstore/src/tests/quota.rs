//! Quotas: kept exactly among parallel writers, counted while others write, and never in the way of what adds nothing.

use super::dice::seeds;
use super::tally::Tally;
use crate::quota::BATCH;
use crate::setting::SettingKind;
use crate::world::{World, bytes, copy_request, copy_source, key};
use crate::{
    BucketName, Error, PutRequest, QuotaInfo, QuotaLevel, QuotaLimits, QuotaUnit, VersionSelector,
    Versioning, VersionsRequest, tables,
};
use bytes::Bytes;
use engine::BoxFuture;
use engine::catalog::{Catalog, Check, Commit, Key, Limits, MemoryCatalog, Scan, Snapshot, Version, Write};
use engine::entropy::{Entropy, SeededEntropy};
use engine::id::PartitionId;
use engine::testing::{Gate, in_every_gap};
use engine::unit::ByteCount;
use engine::worker::{Progress, Worker};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::oneshot;

fn limits(bytes: Option<u64>, objects: Option<u64>) -> QuotaLimits {
    QuotaLimits { bytes: bytes.map(ByteCount::new), objects, warn_percent: QuotaLimits::WARN_PERCENT }
}

async fn put(world: &World, name: &BucketName, at: &str, length: usize) -> Result<(), Error> {
    let request = PutRequest { length: Some(length.into()), ..PutRequest::new(name.clone(), key(at)) };
    world.put_with(request, bytes(1, length)).await.map(|_| ())
}

#[track_caller]
fn refused(outcome: Result<(), Error>, prefix: &str, unit: QuotaUnit) {
    match outcome {
        Err(Error::QuotaExceeded { prefix: found, unit: of, .. }) => {
            assert_eq!((found.as_str(), of), (prefix, unit));
        }
        other => panic!("{other:?}"),
    }
}

/// Bytes and number of all versions that have a body below a prefix, as a listing adds them up.
async fn listed(world: &World, name: &BucketName, prefix: &str) -> (u64, u64) {
    let mut request = VersionsRequest::new(name.clone());
    prefix.clone_into(&mut request.prefix);
    let mut sums = (0, 0);
    loop {
        let page = world.store.list_versions(request.clone()).await.unwrap();
        for object in page.entries.iter().filter_map(|entry| entry.object.as_ref()) {
            sums = (sums.0 + object.size.get(), sums.1 + 1);
        }
        if page.next_key.is_none() {
            return sums;
        }
        (request.key_marker, request.version_marker) = (page.next_key, page.next_version);
    }
}

async fn quota(world: &World, name: &BucketName, prefix: &str) -> QuotaInfo {
    let quotas = world.store.bucket_quotas(name).await.unwrap();
    quotas.into_iter().find(|quota| quota.prefix == prefix).unwrap()
}

/// What counts against a quota, once it is counted.
async fn counted(world: &World, name: &BucketName, prefix: &str) -> (u64, u64) {
    let usage = quota(world, name, prefix).await.usage.unwrap();
    (usage.bytes.get(), usage.versions)
}

async fn count_all(world: &World, name: &BucketName) {
    while world.store.count_step(name).await.unwrap() {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn parallel_writers_take_what_is_left_and_not_a_byte_more() {
    let world = Arc::new(World::new(300).await);
    for (round, (prefix, quota, fit)) in [
        ("", limits(Some(1_050), None), 10),
        ("p/", limits(Some(1_000), None), 10),
        ("p/", limits(None, Some(7)), 7),
        ("", limits(Some(2_000), Some(9)), 9),
    ]
    .into_iter()
    .enumerate()
    {
        let name = world.create(&format!("race-{round}"), Versioning::Enabled).await;
        world.store.set_quota(&name, prefix, quota).await.unwrap();
        let writers = (0..64).map(|writer| {
            let (world, name) = (Arc::clone(&world), name.clone());
            // Some of them write the same key.
            tokio::spawn(async move { put(&world, &name, &format!("p/{}", writer % 40), 100).await })
        });
        let mut won = 0;
        for writer in writers.collect::<Vec<_>>() {
            match writer.await.unwrap() {
                Ok(()) => won += 1,
                Err(Error::QuotaExceeded { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!(won, fit, "round {round}");
        assert_eq!(listed(&world, &name, prefix).await, (won * 100, won));
        assert_eq!(counted(&world, &name, prefix).await, (won * 100, won));
    }
}

#[tokio::test]
async fn what_adds_nothing_is_never_refused() {
    let mut world = World::new(301).await;
    let name = world.create("full", Versioning::Off).await;
    put(&world, &name, "a", 100).await.unwrap();
    put(&world, &name, "b", 50).await.unwrap();
    // Set below what is there.
    world.store.set_quota(&name, "", limits(Some(120), Some(2))).await.unwrap();
    refused(put(&world, &name, "c", 1).await, "", QuotaUnit::Bytes);
    refused(put(&world, &name, "c", 0).await, "", QuotaUnit::Objects);
    refused(put(&world, &name, "a", 101).await, "", QuotaUnit::Bytes);
    put(&world, &name, "a", 100).await.unwrap();
    put(&world, &name, "a", 60).await.unwrap();
    world.store.set_versioning(&name, Versioning::Enabled).await.unwrap();
    refused(put(&world, &name, "a", 10).await, "", QuotaUnit::Objects);
    // A marker is neither bytes nor an object, and a deletion is how one gets room.
    world.delete(&name, "a").await;
    assert_eq!(counted(&world, &name, "").await, (110, 2));
    world.delete_version(&name, "a", VersionSelector::Null).await;
    assert_eq!(counted(&world, &name, "").await, (50, 1));
    put(&world, &name, "c", 70).await.unwrap();
    refused(put(&world, &name, "c", 1).await, "", QuotaUnit::Bytes);
    world.reopen().await;
    refused(put(&world, &name, "c", 1).await, "", QuotaUnit::Bytes);
    world.store.remove_quota(&name, "").await.unwrap();
    put(&world, &name, "c", 1).await.unwrap();
    assert!(matches!(world.store.remove_quota(&name, "").await, Err(Error::NoSuchQuota)));
    assert_eq!(world.store.usage(&name).await.unwrap().versions, 3, "the bucket's own counters stay");
}

#[tokio::test]
async fn every_quota_over_a_key_holds() {
    let world = World::new(302).await;
    let name = world.create("nested", Versioning::Off).await;
    for (prefix, bytes) in [("", 1_000), ("a/", 300), ("a/b/", 100)] {
        world.store.set_quota(&name, prefix, limits(Some(bytes), None)).await.unwrap();
    }
    put(&world, &name, "a/b/1", 100).await.unwrap();
    refused(put(&world, &name, "a/b/2", 1).await, "a/b/", QuotaUnit::Bytes);
    put(&world, &name, "a/2", 200).await.unwrap();
    refused(put(&world, &name, "a/3", 1).await, "a/", QuotaUnit::Bytes);
    put(&world, &name, "b", 700).await.unwrap();
    refused(put(&world, &name, "c", 1).await, "", QuotaUnit::Bytes);
    world.delete(&name, "a/b/1").await;
    for (prefix, used) in [("", 900), ("a/", 200), ("a/b/", 0)] {
        assert_eq!(counted(&world, &name, prefix).await.0, used, "{prefix}");
    }
}

#[tokio::test]
async fn copies_and_completed_uploads_count_and_parts_do_not() {
    let world = World::new(303).await;
    let name = world.create("parts", Versioning::Off).await;
    put(&world, &name, "from", 600).await.unwrap();
    world.store.set_quota(&name, "", limits(Some(1_500), None)).await.unwrap();
    let upload = world.begin(&name, "up").await;
    let part = world.part(&name, "up", upload, 1, bytes(2, 700)).await.unwrap();
    assert_eq!(counted(&world, &name, "").await.0, 600, "a part is not counted");
    world.store.copy(copy_request((&name, "from"), (&name, "to"))).await.unwrap();
    let full = world.complete(&name, "up", upload, vec![part]).await.map(|_| ());
    refused(full, "", QuotaUnit::Bytes);
    let copied = world.store.copy(copy_request((&name, "from"), (&name, "third"))).await.map(|_| ());
    refused(copied, "", QuotaUnit::Bytes);
    // The upload is still there, and is completed once there is room.
    world.delete(&name, "to").await;
    world.complete(&name, "up", upload, vec![part]).await.unwrap();
    assert_eq!(counted(&world, &name, "").await, (1_300, 2));
}

#[tokio::test]
async fn a_large_body_that_can_not_fit_is_refused_before_it_is_sent() {
    const MIB: u64 = 1 << 20;
    let world = World::new(304).await;
    let name = world.create("early", Versioning::Off).await;
    world.store.set_quota(&name, "", limits(Some(3 * MIB), None)).await.unwrap();
    let announce = |at: &str, length: u64| PutRequest {
        length: Some(ByteCount::new(length)),
        ..PutRequest::new(name.clone(), key(at))
    };
    let begun = |request| {
        let store = Arc::clone(&world.store);
        async move { store.put(request).await.map(|_| ()) }
    };
    refused(begun(announce("a", 3 * MIB + 1)).await, "", QuotaUnit::Bytes);
    begun(announce("a", 3 * MIB)).await.unwrap();
    world.put(&name, "a", bytes(3, 2 << 20)).await;
    refused(begun(announce("b", 2 * MIB)).await, "", QuotaUnit::Bytes);
    // What it replaces makes room.
    begun(announce("a", 3 * MIB)).await.unwrap();
    let upload = world.begin(&name, "up").await;
    let part = |length| crate::PartRequest {
        bucket: name.clone(),
        key: key("up"),
        upload,
        part: crate::PartNumber::new(1).unwrap(),
        length: Some(ByteCount::new(length)),
        checksum: None,
        proven: true,
        writer: None,
        customer_key: None,
        asks: None,
    };
    refused(world.store.upload_part(part(2 * MIB)).await.map(|_| ()), "", QuotaUnit::Bytes);
    world.store.upload_part(part(MIB)).await.unwrap();
    // Of parts the small ones, too: all of them would lie there behind a completion that is refused.
    world.put(&name, "b", bytes(4, (1 << 20) - 100)).await;
    refused(world.store.upload_part(part(MIB)).await.map(|_| ()), "", QuotaUnit::Bytes);
    refused(world.store.upload_part(part(101)).await.map(|_| ()), "", QuotaUnit::Bytes);
    world.store.upload_part(part(100)).await.unwrap();
    // Where not a byte fits, none is begun; over what is there one may be.
    put(&world, &name, "c", 100).await.unwrap();
    let create = |at: &str| world.store.create_upload(crate::CreateUpload::new(name.clone(), key(at)));
    refused(create("hopeless").await.map(|_| ()), "", QuotaUnit::Bytes);
    create("a").await.unwrap();
}

#[tokio::test]
async fn a_part_that_does_not_fit_beside_the_others_of_its_upload_is_refused() {
    let world = World::new(318).await;
    let name = world.create("sums", Versioning::Off).await;
    put(&world, &name, "small", 101).await.unwrap();
    put(&world, &name, "large", 40_001).await.unwrap();
    world.store.set_quota(&name, "up/", limits(Some(100_000), None)).await.unwrap();
    let part = |upload, number, length: Option<u64>| crate::PartRequest {
        bucket: name.clone(),
        key: key("up/a"),
        upload,
        part: crate::PartNumber::new(number).unwrap(),
        length: length.map(ByteCount::new),
        checksum: None,
        proven: true,
        writer: None,
        customer_key: None,
        asks: None,
    };
    let begun = async |request| world.store.upload_part(request).await.map(|_| ());
    let copied = async |upload, number, from, range| {
        let request = crate::CopyPartRequest {
            source: copy_source((&name, from)),
            range,
            bucket: name.clone(),
            key: key("up/a"),
            upload,
            part: crate::PartNumber::new(number).unwrap(),
            writer: None,
            customer_key: None,
        };
        Box::pin(world.store.copy_part(request)).await.map(|_| ())
    };
    let first = |last| Some(crate::RangeSpec::From { first: 0, last: Some(last) });
    let upload = world.begin(&name, "up/a").await;
    world.part(&name, "up/a", upload, 1, bytes(1, 60_000)).await.unwrap();
    refused(begun(part(upload, 2, Some(40_001))).await, "up/", QuotaUnit::Bytes);
    begun(part(upload, 2, Some(40_000))).await.unwrap();
    // A part that is sent again takes the place of its first sending; parts of other uploads count for nobody.
    begun(part(upload, 1, Some(100_000))).await.unwrap();
    let other = world.begin(&name, "up/a").await;
    begun(part(other, 1, Some(100_000))).await.unwrap();
    // Made from an object's bytes, many and few.
    refused(copied(upload, 2, "large", None).await, "up/", QuotaUnit::Bytes);
    copied(upload, 2, "large", first(39_899)).await.unwrap();
    refused(copied(upload, 3, "small", None).await, "up/", QuotaUnit::Bytes);
    copied(upload, 3, "small", first(99)).await.unwrap();
    refused(begun(part(upload, 4, Some(1))).await, "up/", QuotaUnit::Bytes);
    // What else came meanwhile is in the way of what adds to an upload, and of nothing that does not.
    put(&world, &name, "up/b", 50_000).await.unwrap();
    for (length, fits) in [(60_000, true), (59_999, true), (60_001, false)] {
        let again = begun(part(upload, 1, Some(length))).await;
        if fits { again.unwrap() } else { refused(again, "up/", QuotaUnit::Bytes) }
    }
    world.part(&name, "up/a", upload, 1, bytes(2, 60_000)).await.unwrap();
    refused(copied(upload, 3, "small", None).await, "up/", QuotaUnit::Bytes);
    copied(upload, 3, "small", first(99)).await.unwrap();
}

#[tokio::test]
async fn the_parts_of_an_upload_are_read_once_for_a_part_and_again_only_when_one_came() {
    let world = World::new(320).await;
    let tally = Tally::of(world.catalog.clone());
    let world = world.beside(tally.clone()).await;
    let name = world.create("reads", Versioning::Off).await;
    let request = |upload, number| crate::PartRequest {
        bucket: name.clone(),
        key: key("k"),
        upload,
        part: crate::PartNumber::new(number).unwrap(),
        length: None,
        checksum: None,
        proven: true,
        writer: None,
        customer_key: None,
        asks: None,
    };
    let upload = world.begin(&name, "k").await;
    world.store.set_quota(&name, "", limits(Some(1_000), None)).await.unwrap();
    world.part(&name, "k", upload, 9, bytes(1, 700)).await.unwrap();
    let scans = async |number, between: Option<u32>| {
        tally.reset();
        let mut part = world.store.upload_part(request(upload, number)).await.unwrap();
        part.write(bytes(1, 100)).await.unwrap();
        let mut of_others = 0;
        if let Some(number) = between {
            let before = tally.counts().scanned(tables::PARTS);
            world.part(&name, "k", upload, number, bytes(1, 200)).await.unwrap();
            of_others = tally.counts().scanned(tables::PARTS) - before;
        }
        let landed = part.finish(crate::Expect::default()).await.map(|_| ());
        (landed, tally.counts().scanned(tables::PARTS) - of_others)
    };
    let (landed, read) = scans(1, None).await;
    assert_eq!((landed.unwrap(), read), ((), 1), "none came");
    // 900 bytes with the one that came between: 100 more are too many once 1 has 100 of them.
    let (landed, read) = scans(2, Some(3)).await;
    assert_eq!(read, 2, "one came");
    refused(landed, "", QuotaUnit::Bytes);
    let (landed, read) = scans(1, None).await;
    assert_eq!((landed.unwrap(), read), ((), 0), "it adds nothing");
}

#[tokio::test]
async fn a_part_of_unsaid_length_that_does_not_fit_beside_the_others_is_refused_once_it_is_known() {
    let world = World::new(319).await;
    let name = world.create("unsaid", Versioning::Off).await;
    world.store.set_quota(&name, "", limits(Some(1_000), None)).await.unwrap();
    let upload = world.begin(&name, "k").await;
    world.part(&name, "k", upload, 1, bytes(1, 600)).await.unwrap();
    for (length, fits) in [(401, false), (400, true)] {
        let request = crate::PartRequest {
            bucket: name.clone(),
            key: key("k"),
            upload,
            part: crate::PartNumber::new(2).unwrap(),
            length: None,
            checksum: None,
            proven: true,
            writer: None,
            customer_key: None,
            asks: None,
        };
        let mut unsaid = world.store.upload_part(request).await.unwrap();
        unsaid.write(bytes(2, length)).await.unwrap();
        let landed = unsaid.finish(crate::Expect::default()).await.map(|_| ());
        if fits { landed.unwrap() } else { refused(landed, "", QuotaUnit::Bytes) }
    }
}

#[tokio::test]
async fn what_was_there_is_counted_in_batches_across_restarts() {
    let mut world = World::new(305).await;
    let name = world.create("before", Versioning::Enabled).await;
    // One key has more versions than a batch, and neighbours of the prefix are not counted.
    for n in 0..3 * BATCH {
        put(&world, &name, &format!("p/{}", n % 7), 10 + n).await.unwrap();
        put(&world, &name, "p/same", 3).await.unwrap();
    }
    for at in ["o", "p", "p0", "q", "p.x"] {
        put(&world, &name, at, 1_000).await.unwrap();
    }
    world.delete(&name, "p/1").await;
    let changed = world.store.bucket_quotas(&name).await.unwrap();
    assert!(changed.is_empty());
    let quotas = crate::setting::Quotas::default().with("p/", limits(Some(1), None)).unwrap();
    world.store.set(&name, Some(&quotas)).await.unwrap();
    let mut steps = 0;
    loop {
        let before = quota(&world, &name, "p/").await;
        if before.usage.is_some() {
            break;
        }
        // It is not enforced before all is counted; new writes are counted wherever they fall.
        put(&world, &name, &format!("p/{}", steps % 9), 5).await.unwrap();
        assert!(world.store.count_step(&name).await.unwrap());
        put(&world, &name, "p/same", 4)
            .await
            .unwrap_or_else(|error| assert!(matches!(error, Error::QuotaExceeded { .. })));
        world.reopen().await;
        steps += 1;
    }
    assert!(steps > 6, "{steps} steps");
    assert_eq!(counted(&world, &name, "p/").await, listed(&world, &name, "p/").await);
    refused(put(&world, &name, "p/0", 1).await, "p/", QuotaUnit::Bytes);
    assert!(!world.store.count_step(&name).await.unwrap());
    let partition = world.partition(&name).await;
    assert_eq!(world.rows(partition, tables::QUOTA_COUNT).await, 2, "nothing stands aside any more");
    world.store.remove_quota(&name, "p/").await.unwrap();
    assert_eq!(world.rows(partition, tables::QUOTA_COUNT).await, 0);
    put(&world, &name, "p/0", 1).await.unwrap();
    assert_eq!(world.rows(partition, tables::QUOTA_COUNT).await, 0, "a bucket without quotas counts none");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn counting_is_exact_while_others_write_and_delete() {
    let world = Arc::new(World::new(306).await);
    for seed in seeds(6) {
        let name = world.create(&format!("busy-{seed}"), Versioning::Enabled).await;
        for n in 0..40 {
            put(&world, &name, &format!("p/{:02}", n % 30), 10).await.unwrap();
        }
        // From here on puts and deletes replace null versions beside the others.
        world.store.set_versioning(&name, Versioning::Suspended).await.unwrap();
        let done = Arc::new(AtomicBool::new(false));
        let writers = (0..6_u64).map(|writer| {
            let (world, name, done) = (Arc::clone(&world), name.clone(), Arc::clone(&done));
            tokio::spawn(async move {
                let dice = SeededEntropy::new(seed.wrapping_mul(100).wrapping_add(writer));
                let roll = |sides: u8| {
                    let mut out = [0];
                    dice.fill(&mut out);
                    out[0] % sides
                };
                let mut rounds = 0;
                while rounds < 30 || (!done.load(Ordering::Relaxed) && rounds < 500) {
                    rounds += 1;
                    let at = format!("p/{:02}", roll(35));
                    match roll(4) {
                        0 => drop(world.delete(&name, &at).await),
                        1 => drop(world.delete_version(&name, &at, VersionSelector::Null).await),
                        _ => put(&world, &name, &at, usize::from(roll(200))).await.unwrap(),
                    }
                    tokio::task::yield_now().await;
                }
            })
        });
        let writers = writers.collect::<Vec<_>>();
        for prefix in ["p/", "p/1", ""] {
            world.store.set_quota(&name, prefix, limits(Some(u64::MAX), None)).await.unwrap();
            count_all(&world, &name).await;
        }
        done.store(true, Ordering::Relaxed);
        for writer in writers {
            writer.await.unwrap();
        }
        for prefix in ["p/", "p/1", ""] {
            assert_eq!(
                counted(&world, &name, prefix).await,
                listed(&world, &name, prefix).await,
                "{seed} {prefix}"
            );
        }
    }
}

#[tokio::test]
async fn a_worker_counts_on_after_a_restart_and_tells_what_gets_full() {
    let mut world = World::new(307).await;
    let name = world.create("told", Versioning::Off).await;
    for n in 0..6 * BATCH {
        put(&world, &name, &format!("p/{n}"), 1).await.unwrap();
    }
    let all = 6 * BATCH as u64;
    // More than setting it counts at once.
    let set = world.store.set_quota(&name, "p/", limits(None, Some(2 * all))).await.unwrap();
    assert_eq!((set.usage, set.level()), (None, QuotaLevel::Counting));
    world.reopen().await;
    world.settle().await;
    assert_eq!(counted(&world, &name, "p/").await.1, all);
    world.clock.advance(Duration::from_mins(1));
    world.settle().await;
    assert_eq!(world.store.told_level(&name, "p/"), Some(QuotaLevel::Fine));
    assert_eq!(world.store.quota_counts().set, 1);
    world.store.set_quota(&name, "p/", limits(None, Some(all + 1))).await.unwrap();
    world.clock.advance(Duration::from_mins(1));
    world.settle().await;
    let near = &world.store.known_quotas().await.unwrap().quotas[0];
    assert_eq!((near.level(), near.percent()), (QuotaLevel::Near, Some(96)));
    put(&world, &name, "p/last", 1).await.unwrap();
    world.clock.advance(Duration::from_mins(1));
    world.settle().await;
    let counts = world.store.quota_counts();
    assert_eq!((counts.set, counts.counting, counts.near, counts.full), (1, 0, 1, 1));
    assert_eq!(world.store.told_level(&name, "p/"), Some(QuotaLevel::Full));
    world.store.set_quota(&name, "p/", limits(None, Some(10 * all))).await.unwrap();
    world.store.look_at_quotas().await.unwrap();
    assert_eq!(
        world.store.told_level(&name, "p/"),
        Some(QuotaLevel::Fine),
        "it is told again when it fills again"
    );
    world.store.remove_quota(&name, "p/").await.unwrap();
    assert!(world.store.all_quotas().await.unwrap().quotas.is_empty());
}

/// The worker alone, as it is at the start.
fn worker(world: &World) -> Box<dyn Worker> {
    world.store.workers().into_iter().find(|worker| worker.name() == "quotas").unwrap()
}

async fn until_it_rests(worker: &mut Box<dyn Worker>) {
    for _ in 0..1_000 {
        if let Progress::Idle { .. } = worker.tick().await.unwrap() {
            return;
        }
    }
    panic!("it never rests");
}

/// Puts this in the place of a row; answers what was there.
async fn replace(world: &World, name: &BucketName, row: Key, raw: Bytes) -> Bytes {
    let partition = world.partition(name).await;
    let snapshot = world.catalog.snapshot(partition).await.unwrap();
    let before = snapshot.get(row.clone()).await.unwrap().unwrap();
    let writes = vec![Write::Put(row, raw)];
    let commit = Commit { writes, ..Commit::new(partition, snapshot.read_version()) };
    world.catalog.commit(commit).await.unwrap();
    before
}

#[tokio::test]
async fn what_can_not_be_read_or_counted_hides_no_other_quota() {
    let mut world = World::new(311).await;
    let [unread, uncounted, long] = ["a-unread", "b-uncounted", "c-long"];
    let unread = world.create(unread, Versioning::Off).await;
    let uncounted = world.create(uncounted, Versioning::Off).await;
    let long = world.create(long, Versioning::Off).await;
    put(&world, &unread, "p/1", 10).await.unwrap();
    put(&world, &uncounted, "p/1", 10).await.unwrap();
    for n in 0..6 * BATCH {
        put(&world, &long, &format!("p/{n}"), 1).await.unwrap();
    }
    world.store.set_quota(&unread, "p/", limits(Some(100), None)).await.unwrap();
    let junk = || Bytes::from_static(b"junk");
    let setting = tables::setting(SettingKind::Quotas, "");
    let setting_before = replace(&world, &unread, setting.clone(), junk()).await;
    let partition = world.partition(&uncounted).await;
    let snapshot = world.catalog.snapshot(partition).await.unwrap();
    let found = snapshot.scan(Scan::prefix(tables::VERSIONS, b"", 1)).await.unwrap();
    let version = tables::VERSIONS.key(found.rows[0].0.clone());
    let version_before = replace(&world, &uncounted, version.clone(), junk()).await;
    world.store.set_quota(&uncounted, "p/", limits(Some(100), None)).await.unwrap_err();
    let all = 6 * BATCH as u64;
    world.store.set_quota(&long, "", limits(None, Some(all))).await.unwrap();
    assert_eq!(world.store.set_quota(&long, "p/", limits(Some(all), None)).await.unwrap().usage, None);
    world.reopen().await;

    let mut worker = worker(&world);
    worker.tick().await.unwrap();
    assert_eq!(world.store.told_level(&long, ""), Some(QuotaLevel::Full), "before all is counted");
    assert_eq!(world.store.told_level(&long, "p/"), Some(QuotaLevel::Counting));
    world.delete(&long, "p/0").await;
    world.clock.advance(Duration::from_mins(1));
    worker.tick().await.unwrap();
    assert_eq!(world.store.told_level(&long, ""), Some(QuotaLevel::Near), "while others are counted");
    assert_eq!(world.store.quota_counts().counting, 2);
    until_it_rests(&mut worker).await;
    assert_eq!(counted(&world, &long, "p/").await, (all - 1, all - 1));
    for known in [world.store.known_quotas().await.unwrap(), world.store.all_quotas().await.unwrap()] {
        let states: Vec<_> = known.quotas.iter().map(|quota| (&quota.bucket, quota.level())).collect();
        let expected =
            [(&uncounted, QuotaLevel::Counting), (&long, QuotaLevel::Near), (&long, QuotaLevel::Near)];
        assert_eq!(states, expected);
        assert_eq!(known.unread.iter().map(|(name, _)| name).collect::<Vec<_>>(), [&unread]);
    }

    // Once they can be read, they are looked at and counted with the others.
    replace(&world, &unread, setting, setting_before).await;
    replace(&world, &uncounted, version, version_before).await;
    world.clock.advance(Duration::from_mins(1));
    until_it_rests(&mut worker).await;
    assert!(world.store.known_quotas().await.unwrap().unread.is_empty());
    assert_eq!(world.store.told_level(&unread, "p/"), Some(QuotaLevel::Fine));
    assert_eq!(counted(&world, &uncounted, "p/").await, (10, 1));
}

#[tokio::test]
async fn a_quota_whose_setting_is_cut_off_is_counted_by_the_worker() {
    let world = World::new(312).await;
    let gate = Gate::before(world.catalog.clone());
    let world = world.beside(gate.clone()).await;
    let mut worker = worker(&world);
    let mut set = 0;
    in_every_gap(40, async |gap| {
        let name = world.create(&format!("cut-{gap}"), Versioning::Off).await;
        put(&world, &name, "p/1", 10).await.unwrap();
        // All was searched and looked at, so that only the setting itself can tell the worker.
        until_it_rests(&mut worker).await;
        let (there, reached) = oneshot::channel();
        gate.arm(gap, async move {
            there.send(()).unwrap();
            std::future::pending::<()>().await;
        });
        tokio::select! {
            set = world.store.set_quota(&name, "p/", limits(Some(100), None)) => drop(set.unwrap()),
            _ = reached => {}
        }
        let cut = !gate.disarm();
        until_it_rests(&mut worker).await;
        for quota in world.store.bucket_quotas(&name).await.unwrap() {
            assert_eq!(quota.usage.map(|usage| usage.versions), Some(1), "cut off in gap {gap}");
            set += usize::from(cut);
        }
        cut
    })
    .await;
    assert!(set > 3, "{set} were set and cut off");
}

#[tokio::test]
async fn a_deleted_bucket_leaves_no_counters() {
    let world = World::new(308).await;
    let name = world.create("gone", Versioning::Off).await;
    world.store.set_quota(&name, "p/", limits(Some(10), None)).await.unwrap();
    put(&world, &name, "p/1", 10).await.unwrap();
    world.delete(&name, "p/1").await;
    let partition = world.partition(&name).await;
    assert_eq!(world.rows(partition, tables::QUOTA_COUNT).await, 2);
    world.store.delete_bucket(&name).await.unwrap();
    world.settle().await;
    assert_eq!(world.rows(partition, tables::QUOTA_COUNT).await, 0);
    assert!(world.store.known_quotas().await.unwrap().quotas.is_empty());
    let name = world.create("gone", Versioning::Off).await;
    assert!(world.store.bucket_quotas(&name).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_owners_of_the_rows_keep_one_limit() {
    let world = World::new(309).await;
    let other = world.beside(world.catalog.clone()).await;
    let worlds = [Arc::new(world), Arc::new(other)];
    let name = worlds[0].create("shared", Versioning::Off).await;
    worlds[0].store.set_quota(&name, "p/", limits(Some(1_000), None)).await.unwrap();
    let writers = (0..64_usize).map(|writer| {
        let (world, name) = (Arc::clone(&worlds[writer % 2]), name.clone());
        tokio::spawn(async move { put(&world, &name, &format!("p/{writer}"), 100).await })
    });
    let mut won = 0;
    for writer in writers.collect::<Vec<_>>() {
        match writer.await.unwrap() {
            Ok(()) => won += 1,
            Err(error) => assert!(matches!(error, Error::QuotaExceeded { .. }), "{error}"),
        }
    }
    assert_eq!((won, counted(&worlds[1], &name, "p/").await), (10, (1_000, 10)));
    worlds[1].store.remove_quota(&name, "p/").await.unwrap();
    put(&worlds[0], &name, "p/more", 100).await.unwrap();
}

/// Keeps what is committed.
struct Spy {
    rows: Arc<MemoryCatalog>,
    seen: Mutex<Vec<Commit>>,
}

impl Catalog for Spy {
    fn limits(&self) -> Limits {
        self.rows.limits()
    }

    fn snapshot(&self, partition: PartitionId) -> BoxFuture<'_, engine::Result<Arc<dyn Snapshot>>> {
        self.rows.snapshot(partition)
    }

    fn commit(&self, commit: Commit) -> BoxFuture<'_, engine::Result<Version>> {
        self.seen.lock().push(commit.clone());
        self.rows.commit(commit)
    }
}

#[tokio::test]
async fn only_a_key_below_a_quota_pays_for_it() {
    let world = World::new(310).await;
    let spy = Arc::new(Spy { rows: world.catalog.clone(), seen: Mutex::default() });
    let world = world.beside(spy.clone()).await;
    let name = world.create("costs", Versioning::Off).await;
    // Checks, those of limits, and writes to counters of quotas, of one PUT.
    let cost = |at: &'static str| {
        let (world, spy, name) = (&world, &spy, &name);
        async move {
            spy.seen.lock().clear();
            put(world, name, at, 10).await.unwrap();
            let seen = std::mem::take(&mut *spy.seen.lock());
            assert_eq!(seen.len(), 1);
            let limited = seen[0].checks.iter().filter(|check| matches!(check, Check::AtMost(..))).count();
            let counted =
                seen[0].writes.iter().filter(|write| write.key().table == tables::QUOTA_COUNT).count();
            (seen[0].checks.len() - limited, limited, counted)
        }
    };
    assert_eq!(cost("a/1").await, (2, 0, 0), "no quota");
    world.store.set_quota(&name, "p/", limits(Some(1_000), Some(10))).await.unwrap();
    assert_eq!(cost("a/2").await, (2, 0, 0), "one of another prefix");
    assert_eq!(cost("p/1").await, (2, 2, 2), "below it");
    assert_eq!(cost("p/1").await, (2, 0, 0), "it adds nothing");
    world.store.set_quota(&name, "", limits(Some(1_000), None)).await.unwrap();
    assert_eq!(cost("a/3").await, (2, 1, 0), "the bucket's own counters are there anyway");
}

#[test]
fn a_quota_is_as_full_as_the_fuller_of_its_limits() {
    let info = |used: (u64, u64), limits| QuotaInfo {
        bucket: crate::world::bucket("bkt"),
        prefix: String::new(),
        limits,
        usage: Some(crate::BucketUsage { bytes: ByteCount::new(used.0), versions: used.1 }),
    };
    for (used, limits, percent, level) in [
        ((79, 0), limits(Some(100), None), 79, QuotaLevel::Fine),
        ((80, 0), limits(Some(100), None), 80, QuotaLevel::Near),
        ((1, 99), limits(Some(100), Some(100)), 99, QuotaLevel::Near),
        ((100, 0), limits(Some(100), Some(1)), 100, QuotaLevel::Full),
        ((300, 0), limits(Some(100), None), 300, QuotaLevel::Full),
        ((0, 0), limits(Some(0), None), 100, QuotaLevel::Full),
        ((50, 0), QuotaLimits { warn_percent: 50, ..limits(Some(100), None) }, 50, QuotaLevel::Near),
        ((u64::MAX, 0), limits(Some(u64::MAX), None), 100, QuotaLevel::Full),
    ] {
        let quota = info(used, limits);
        assert_eq!((quota.percent(), quota.level()), (Some(percent), level), "{quota:?}");
    }
}
