//! Archived classes: refused until they are restored, and again when that is over; from the pool and from vaults, across crashes.

use super::lifecycle::Dies;
use crate::world::{World, bytes, collect, copy_request, key};
use crate::{
    AttributesRequest, BucketName, CreateUpload, DAY, Error, GetRequest, MetadataDirective, Origin,
    PartNumber, PutRequest, Range, RangeSpec, ReadConditions, RestoreOutcome, RestoreRequest, RestoreState,
    RestoreTier, Result, StorageClass, VersionSelector, Versioning, tables,
};
use bytes::Bytes;
use engine::catalog::{Family, Table};
use engine::clock::{Clock, Timestamp};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

pub(super) const ARCHIVES: Table = Table { family: Family::Record, tag: 0x55 };
pub(super) const PIECES: Table = Table { family: Family::Record, tag: 0x56 };
pub(super) const PLACES: Table = Table { family: Family::Record, tag: 0x57 };
pub(super) const PACKS: Table = Table { family: Family::Record, tag: 0x58 };
pub(super) const JOBS: Table = Table { family: Family::Record, tag: 0x5D };
pub(super) const OUTPUTS: Table = Table { family: Family::Record, tag: 0x5F };

pub(super) fn request(name: &BucketName, at: &str, days: u32, tier: RestoreTier) -> RestoreRequest {
    RestoreRequest {
        bucket: name.clone(),
        key: key(at),
        version: VersionSelector::Latest,
        days,
        tier,
        origin: Origin::default(),
    }
}

pub(super) async fn restore(world: &World, name: &BucketName, at: &str, days: u32) -> Result<RestoreOutcome> {
    world.store.restore(&request(name, at, days, RestoreTier::Standard), None).await
}

pub(super) async fn state(world: &World, name: &BucketName, at: &str) -> Option<RestoreState> {
    world.store.head(GetRequest::new(name.clone(), key(at))).await.unwrap().info.restore
}

pub(super) async fn archive(world: &World, name: &BucketName, at: &str, class: StorageClass, body: &Bytes) {
    let request = PutRequest { class, ..PutRequest::new(name.clone(), key(at)) };
    world.put_with(request, body.clone()).await.unwrap();
}

pub(super) fn is_refused<T>(outcome: &Result<T>, under_way: bool) -> bool {
    matches!(outcome, Err(Error::InvalidObjectState { what }) if what.under_way == under_way && what.class.is_archived())
}

/// Lets workers go on, and time pass, until it can be read.
pub(super) async fn wait(world: &World, name: &BucketName, at: &str) -> Timestamp {
    for _ in 0..40 {
        world.settle().await;
        match state(world, name, at).await {
            Some(RestoreState::Until(until)) => return until,
            Some(RestoreState::UnderWay) => world.clock.advance(Duration::from_mins(20)),
            None => panic!("the restore of {at} came to nothing"),
        }
    }
    panic!("it never comes");
}

fn midnight(at: Timestamp, days: i64) -> Timestamp {
    let day = 86_400_000;
    Timestamp::from_millis((at.as_millis() / day + days + 1) * day)
}

#[tokio::test]
async fn what_is_archived_is_read_while_it_is_restored_and_at_no_other_time() {
    let world = World::new(500).await;
    let name = world.create("bkt", Versioning::Off).await;
    let body = bytes(1, 300_000);
    archive(&world, &name, "k", StorageClass::Glacier, &body).await;
    world.settle().await;
    assert!(is_refused(&world.get(&name, "k").await, false));
    let head = world.store.head(GetRequest::new(name.clone(), key("k"))).await.unwrap();
    assert_eq!((head.info.class, head.info.restore), (StorageClass::Glacier, None));
    assert!(is_refused(&world.store.copy(copy_request((&name, "k"), (&name, "copy"))).await, false));
    assert_eq!(restore(&world, &name, "k", 3).await.unwrap(), RestoreOutcome::Begun);
    assert_eq!(state(&world, &name, "k").await, Some(RestoreState::UnderWay));
    assert!(is_refused(&world.get(&name, "k").await, true));
    assert!(matches!(restore(&world, &name, "k", 3).await, Err(Error::RestoreInProgress)));
    let faster = request(&name, "k", 3, RestoreTier::Expedited);
    assert_eq!(world.store.restore(&faster, None).await.unwrap(), RestoreOutcome::Begun);
    assert!(matches!(world.store.restore(&faster, None).await, Err(Error::RestoreInProgress)));
    world.settle().await;
    let now = world.clock.now();
    assert_eq!(state(&world, &name, "k").await, Some(RestoreState::Until(midnight(now, 3))));
    assert_eq!(world.get(&name, "k").await.unwrap(), body);
    let range = RangeSpec::From { first: 70_000, last: Some(70_009) };
    let part = world.read(GetRequest { range: Some(range), ..GetRequest::new(name.clone(), key("k")) }).await;
    assert_eq!(part.unwrap(), body.slice(70_000..70_010));
    world.store.copy(copy_request((&name, "k"), (&name, "copy"))).await.unwrap();
    assert_eq!(world.get(&name, "copy").await.unwrap(), body, "a copy is of the default class");
    // Again: from now on, shorter too.
    let there = restore(&world, &name, "k", 1).await.unwrap();
    assert_eq!(there, RestoreOutcome::There(midnight(now, 1)));
    world.clock.advance(DAY);
    world.settle().await;
    assert_eq!(world.get(&name, "k").await.unwrap(), body);
    world.clock.advance(DAY);
    assert!(is_refused(&world.get(&name, "k").await, false), "by the clock, whoever looks after it");
    world.settle().await;
    assert_eq!(state(&world, &name, "k").await, None);
    assert_eq!(world.get(&name, "copy").await.unwrap(), body);
    let partition = world.partition(&name).await;
    assert_eq!(world.rows(partition, tables::COLD).await, 0);
    // What is not archived needs none.
    for (at, class) in [("copy", StorageClass::Standard), ("ir", StorageClass::GlacierIr)] {
        if class == StorageClass::GlacierIr {
            archive(&world, &name, at, class, &body).await;
            assert_eq!(world.get(&name, at).await.unwrap(), body);
        }
        let refused = restore(&world, &name, at, 1).await;
        assert!(matches!(refused, Err(Error::InvalidObjectState { what }) if what.class == class));
    }
    assert!(matches!(restore(&world, &name, "k", 0).await, Err(Error::InvalidArgument { .. })));
    archive(&world, &name, "deep", StorageClass::DeepArchive, &body).await;
    let fast = request(&name, "deep", 1, RestoreTier::Expedited);
    assert!(matches!(
        world.store.restore(&fast, None).await,
        Err(Error::InvalidArgument { name: "Tier", .. })
    ));
}

#[tokio::test]
async fn a_copy_onto_itself_changes_the_class_there_and_back() {
    let world = World::new(501).await;
    let name = world.create("bkt", Versioning::Enabled).await;
    let body = bytes(2, 20_000);
    let first = world.put(&name, "k", body.clone()).await.version.unwrap();
    let mut itself = copy_request((&name, "k"), (&name, "k"));
    itself.class = Some(StorageClass::Glacier);
    world.store.copy(itself.clone()).await.unwrap();
    assert!(is_refused(&world.get(&name, "k").await, false));
    assert_eq!(
        world.get_version(&name, "k", first.into()).await.unwrap(),
        body,
        "the old version is not archived"
    );
    restore(&world, &name, "k", 1).await.unwrap();
    world.settle().await;
    itself.class = Some(StorageClass::StandardIa);
    itself.metadata = MetadataDirective::Copy;
    world.store.copy(itself).await.unwrap();
    assert_eq!(world.get(&name, "k").await.unwrap(), body);
    assert_eq!(state(&world, &name, "k").await, None);
}

/// One of each kind of body: in one piece, in parts, and so small that it rides in its row.
async fn three(world: &World, name: &BucketName) -> Vec<(&'static str, Bytes)> {
    let whole = bytes(3, 700_000);
    archive(world, name, "whole", StorageClass::Glacier, &whole).await;
    let small = bytes(4, 100);
    archive(world, name, "small", StorageClass::DeepArchive, &small).await;
    let begun =
        CreateUpload { class: StorageClass::Glacier, ..CreateUpload::new(name.clone(), key("parts")) };
    let upload = world.store.create_upload(begun).await.unwrap().upload;
    let (first, last) = (bytes(5, 5 << 20), bytes(6, 200_000));
    let parts = vec![
        world.part(name, "parts", upload, 1, first.clone()).await.unwrap(),
        world.part(name, "parts", upload, 3, last.clone()).await.unwrap(),
    ];
    world.complete(name, "parts", upload, parts).await.unwrap();
    vec![("whole", whole), ("small", small), ("parts", [first, last].concat().into())]
}

#[tokio::test]
async fn archived_bytes_go_to_a_vault_and_come_back_from_it_bit_by_bit() {
    let world = World::with_vaults(502).await;
    let name = world.create("bkt", Versioning::Off).await;
    let partition = world.partition(&name).await;
    let bodies = three(&world, &name).await;
    world.settle().await;
    let vaults = [ARCHIVES, PIECES, PLACES].map(|table| world.rows(partition, table));
    let vaults = futures_util::future::join_all(vaults).await;
    assert!(vaults[0] == 2 && vaults[1] == 0 && vaults[2] >= 2, "all is packed: {vaults:?}");
    assert_eq!(world.references(partition).await, 1, "of parts what they were is kept, and no bytes");
    let places = world.store.where_is(&name, &key("whole"), VersionSelector::Latest).await.unwrap();
    assert!(places.iter().all(|place| place.pool == "vault" && place.zone == "disk"), "{places:?}");
    for (at, _) in &bodies {
        assert!(is_refused(&world.get(&name, at).await, false), "{at}");
        assert_eq!(restore(&world, &name, at, 2).await.unwrap(), RestoreOutcome::Begun);
    }
    let faster = request(&name, "whole", 2, RestoreTier::Expedited);
    world.store.restore(&faster, None).await.unwrap();
    for (at, body) in &bodies {
        wait(&world, &name, at).await;
        assert!(world.get(&name, at).await.unwrap() == body, "{at}");
        let range = RangeSpec::From { first: 40, last: Some(80) };
        let part =
            world.read(GetRequest { range: Some(range), ..GetRequest::new(name.clone(), key(at)) }).await;
        assert_eq!(part.unwrap(), body.slice(40..81), "{at}");
        world.store.copy(copy_request((&name, at), (&name, "copy"))).await.unwrap();
        assert!(world.get(&name, "copy").await.unwrap() == body, "{at}");
    }
    // A part of it is what it was, and so are its attributes.
    let part = PartNumber::new(3).unwrap();
    let found =
        world.store.get(GetRequest { part: Some(part), ..GetRequest::new(name.clone(), key("parts")) }).await;
    let found = found.unwrap();
    assert_eq!(found.range, Some(Range { first: 5 << 20, last: (5 << 20) + 199_999 }));
    assert!(found.part_checksum.is_some());
    assert_eq!(collect(found).await.unwrap(), bytes(6, 200_000));
    let attributes = world.store.attributes(AttributesRequest {
        bucket: name.clone(),
        key: key("parts"),
        version: VersionSelector::Latest,
        after: None,
        max_parts: 10,
        conditions: ReadConditions::default(),
        asks: None,
        reads: None,
        customer_key: None,
    });
    assert_eq!(attributes.await.unwrap().parts.len(), 2);
    // Longer, then it is over: the copy goes, the archive stays.
    let RestoreOutcome::There(until) = restore(&world, &name, "whole", 9).await.unwrap() else {
        panic!("it is there")
    };
    world.clock.advance(DAY * 8);
    world.settle().await;
    assert!(world.get(&name, "whole").await.unwrap() == bodies[0].1);
    assert!(is_refused(&world.get(&name, "parts").await, false));
    world.clock.advance(until.since(world.clock.now()));
    world.settle().await;
    assert!(is_refused(&world.get(&name, "whole").await, false));
    // Who reads it just then may go on for an hour.
    assert_eq!(world.rows(partition, JOBS).await, 1);
    world.clock.advance(Duration::from_hours(1));
    world.settle().await;
    assert_eq!((world.rows(partition, JOBS).await, world.rows(partition, OUTPUTS).await), (0, 0));
    assert_eq!(world.rows(partition, ARCHIVES).await, 2);
    // Deleted it is gone, packs too; and with the bucket the vault.
    for at in ["whole", "small", "parts", "copy"] {
        world.delete(&name, at).await;
    }
    world.settle().await;
    for table in [ARCHIVES, PIECES, PLACES, PACKS, tables::DEPOSITS, tables::COLD, tables::MANIFESTS] {
        assert_eq!(world.rows(partition, table).await, 0, "{table:?}");
    }
    assert_eq!(world.references(partition).await, 0);
    world.store.delete_bucket(&name).await.unwrap();
    world.next_day();
    world.settle().await;
    for tag in (0x50..0x60).chain([0x61]) {
        assert_eq!(world.rows(partition, Table { family: Family::Record, tag }).await, 0, "{tag:x}");
    }
    assert_eq!(
        world.rows(engine::id::PartitionId::ROOT, Table { family: Family::Record, tag: 0x60 }).await,
        0
    );
}

#[tokio::test]
async fn a_restore_waits_for_no_bucket_whose_bytes_go_to_a_vault() {
    let world = World::with_vaults(509).await;
    let mut names = Vec::new();
    for name in ["one", "other"] {
        let name = world.create(name, Versioning::Off).await;
        names.push((world.partition(&name).await, name));
    }
    // The worker comes by the lesser partition first.
    names.sort_unstable_by_key(|(partition, _)| *partition);
    let [(home, busy), (_, calm)] = &names[..] else { panic!("two") };
    for n in 0..40 {
        archive(&world, busy, &format!("k{n}"), StorageClass::Glacier, &bytes(n, 20_000)).await;
    }
    archive(&world, calm, "k", StorageClass::Glacier, &bytes(99, 100)).await;
    restore(&world, calm, "k", 1).await.unwrap();
    let mut worker = world.store.workers().into_iter().find(|worker| worker.name() == "archived").unwrap();
    for _ in 0..4 {
        worker.tick().await.unwrap();
    }
    assert!(matches!(state(&world, calm, "k").await, Some(RestoreState::Until(_))));
    assert!(world.rows(*home, tables::DEPOSITS).await > 30, "they are on their way still");
}

#[tokio::test]
async fn what_was_archived_before_there_were_vaults_goes_there_when_there_are() {
    let mut world = World::new(503).await;
    let name = world.create("bkt", Versioning::Off).await;
    let partition = world.partition(&name).await;
    let body = bytes(7, 50_000);
    archive(&world, &name, "k", StorageClass::Glacier, &body).await;
    archive(&world, &name, "restored", StorageClass::Glacier, &body).await;
    archive(&world, &name, "gone", StorageClass::Glacier, &body).await;
    world.delete(&name, "gone").await;
    restore(&world, &name, "restored", 2).await.unwrap();
    world.settle().await;
    assert_eq!(world.rows(partition, tables::DEPOSITS).await, 2);
    world.open_vaults().await;
    world.settle().await;
    assert_eq!(world.rows(partition, ARCHIVES).await, 1, "what is restored waits");
    assert_eq!(world.rows(partition, tables::DEPOSITS).await, 0, "and is not looked at until that is over");
    assert_eq!(world.get(&name, "restored").await.unwrap(), body);
    world.clock.advance(DAY * 3);
    world.settle().await;
    assert_eq!(
        (world.rows(partition, ARCHIVES).await, world.rows(partition, tables::DEPOSITS).await),
        (2, 0)
    );
    for at in ["k", "restored"] {
        restore(&world, &name, at, 1).await.unwrap();
        wait(&world, &name, at).await;
        assert_eq!(world.get(&name, at).await.unwrap(), body, "{at}");
    }
    // A copy of a restored one elsewhere is its own.
    let other = world.create("other", Versioning::Off).await;
    world.store.copy(copy_request((&name, "k"), (&other, "k"))).await.unwrap();
    world.delete(&name, "k").await;
    world.settle().await;
    assert_eq!(world.get(&other, "k").await.unwrap(), body);
}

#[tokio::test]
async fn a_crash_at_any_step_on_the_way_to_the_vault_and_back_loses_and_doubles_nothing() {
    let mut commits = 0;
    loop {
        let mut world = World::with_vaults(504).await;
        let name = world.create("bkt", Versioning::Enabled).await;
        let partition = world.partition(&name).await;
        let bodies = [("a", bytes(8, 90_000)), ("b", bytes(9, 60_000))];
        for (at, body) in &bodies {
            archive(&world, &name, at, StorageClass::Glacier, body).await;
        }
        let dies = Arc::new(Dies { rows: world.catalog.clone(), left: AtomicUsize::new(usize::MAX) });
        let dying = world.beside_with_vaults(dies.clone()).await;
        dies.left.store(commits, Ordering::Relaxed);
        let life = async {
            dying.try_settle().await?;
            let restored = restore(&dying, &name, "a", 1).await;
            restored.map_err(|error| engine::Error::Invalid(error.to_string()))?;
            for _ in 0..6 {
                dying.try_settle().await?;
                dying.clock.advance(Duration::from_mins(30));
            }
            dying.clock.advance(DAY * 2);
            dying.try_settle().await
        };
        // Workers go on with what is not theirs to give up: whether it lived to the end, the count says.
        let outcome = Box::pin(life).await;
        let whole = dies.left.load(Ordering::Relaxed) > 0;
        assert!(outcome.is_ok() || !whole, "{commits} commits: {outcome:?}");
        drop(dying);
        world.reopen().await;
        world.settle().await;
        for (at, body) in &bodies {
            if world.get(&name, at).await.is_err() {
                match restore(&world, &name, at, 1).await {
                    Ok(_) | Err(Error::RestoreInProgress) => {}
                    Err(error) => panic!("{commits} commits: {at}: {error}"),
                }
                wait(&world, &name, at).await;
            }
            assert!(world.get(&name, at).await.unwrap() == body, "{commits} commits: {at}");
        }
        world.clock.advance(DAY * 10);
        world.settle().await;
        world.clock.advance(Duration::from_hours(1));
        world.settle().await;
        assert_eq!(world.rows(partition, ARCHIVES).await, 2, "{commits} commits");
        assert_eq!((world.rows(partition, PIECES).await, world.rows(partition, OUTPUTS).await), (0, 0));
        assert_eq!(world.references(partition).await, 0, "{commits} commits");
        for (at, _) in &bodies {
            world.delete_version(&name, at, VersionSelector::Latest).await;
        }
        if whole {
            break;
        }
        commits += 1;
    }
    assert!(commits > 15, "{commits}");
}
