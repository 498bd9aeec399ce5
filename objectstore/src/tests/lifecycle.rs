//! Rules act on what they match, when its time has come, and on nothing else: index, walk, deeds and preview over a whole store.

use super::cost::monthly;
use super::dice::{Dice, seeds};
use super::lock::{in_days, of};
use crate::lifecycle::{Phase, Walk};
use crate::price::{Money, Prices};
use crate::record::ObjectRow;
use crate::world::{World, bytes, key};
use crate::{
    BucketName, BucketTags, DAY, Error, GetRequest, Lifecycle, LifecycleAct, LifecycleExpiration,
    LifecycleFilter, LifecyclePlace, LifecycleRule, LifecycleRun, LifecycleWhyNot, LockMode,
    NoncurrentExpiration, NoncurrentTransition, ObjectLock, PutRequest, StorageClass, Subresources, Tags,
    Transition, TransitionWhen, VersionSelector, Versioning, tables,
};
use engine::BoxFuture;
use engine::catalog::record::Record;
use engine::catalog::{Catalog, Commit, Limits, MemoryCatalog, Scan, Snapshot, Version, Write};
use engine::clock::{Clock, Timestamp};
use engine::id::PartitionId;
use engine::worker::{Progress, Worker};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

pub(super) fn days(prefix: &str, days: u32) -> LifecycleRule {
    LifecycleRule {
        id: format!("{prefix} {days}"),
        enabled: true,
        filter: LifecycleFilter { prefix: Some(prefix.to_owned()), ..LifecycleFilter::default() },
        expiration: Some(LifecycleExpiration::Days(days)),
        ..LifecycleRule::default()
    }
}

pub(super) fn noncurrent(prefix: &str, days: u32, newer: Option<u32>) -> LifecycleRule {
    LifecycleRule {
        id: format!("{prefix} noncurrent {days}"),
        expiration: None,
        noncurrent: Some(NoncurrentExpiration { days, newer }),
        ..self::days(prefix, days)
    }
}

fn markers(prefix: &str) -> LifecycleRule {
    LifecycleRule {
        id: format!("{prefix} markers"),
        expiration: Some(LifecycleExpiration::Marker(true)),
        ..days(prefix, 1)
    }
}

/// Moves objects of more than so many bytes: where a size is named, there is no other minimum.
pub(super) fn moves(prefix: &str, to: &[(u32, StorageClass)], larger: u64) -> LifecycleRule {
    let transition =
        |(days, class): &(u32, StorageClass)| Transition { when: TransitionWhen::Days(*days), class: *class };
    let filter = LifecycleFilter {
        prefix: Some(prefix.to_owned()),
        larger: Some(larger),
        ..LifecycleFilter::default()
    };
    LifecycleRule {
        id: format!("{prefix} moves {larger}"),
        filter,
        expiration: None,
        transitions: to.iter().map(transition).collect(),
        ..days(prefix, 1)
    }
}

fn aborts(prefix: &str, after: u32) -> LifecycleRule {
    LifecycleRule {
        id: format!("{prefix} uploads"),
        expiration: None,
        abort_days: Some(after),
        ..days(prefix, 1)
    }
}

pub(super) async fn set(world: &World, name: &BucketName, rules: Vec<LifecycleRule>) {
    world.store.set_lifecycle(name, Some(&Lifecycle::new(rules).unwrap())).await.unwrap();
}

fn worker(world: &World) -> Box<dyn Worker> {
    world.store.workers().into_iter().find(|worker| worker.name() == "lifecycle").unwrap()
}

/// Lets the worker do what there is to do.
async fn work(world: &World) {
    let mut worker = worker(world);
    for _ in 0..100_000 {
        if let Progress::Idle { .. } = worker.tick().await.unwrap() {
            return;
        }
    }
    panic!("it never ends");
}

/// The same as one who asks for it, counted.
pub(super) async fn run(world: &World, name: &BucketName) -> LifecycleRun {
    let mut all = LifecycleRun::default();
    for _ in 0..100_000 {
        let (done, more) = world.store.run_lifecycle(name).await.unwrap();
        all = all.and(done);
        if !more {
            return all;
        }
    }
    panic!("it never ends");
}

async fn looks(world: &World, name: &BucketName) -> usize {
    world.rows(world.partition(name).await, tables::DUE).await
}

/// Goes on to the next midnight, and so many more, and a minute.
pub(super) fn midnights(world: &World, count: u64) {
    let now = world.clock.now().as_millis();
    let left = 86_400_000 - now.rem_euclid(86_400_000);
    world.clock.advance(
        Duration::from_millis(u64::try_from(left).unwrap()) + DAY * (u32::try_from(count).unwrap() - 1),
    );
    world.clock.advance(Duration::from_mins(1));
}

#[tokio::test]
async fn an_object_expires_at_the_midnight_after_its_days_and_not_before() {
    let world = World::new(400).await;
    let name = world.create("bkt", Versioning::Off).await;
    set(&world, &name, vec![days("old/", 3)]).await;
    let put = world.put(&name, "old/a", bytes(1, 10_000)).await;
    world.put(&name, "new/a", "stays").await;
    let expires = put.expires.unwrap();
    assert_eq!(&*expires.rule, "old/ 3");
    let shown = world.store.head(GetRequest::new(name.clone(), key("old/a"))).await.unwrap().info.expires;
    assert_eq!(shown, Some(expires.clone()));
    work(&world).await;
    midnights(&world, 3);
    assert!(world.clock.now() < expires.at);
    work(&world).await;
    assert_eq!(world.keys(&name).await, ["new/a", "old/a"]);
    midnights(&world, 1);
    assert!(world.clock.now() >= expires.at);
    work(&world).await;
    assert_eq!(world.keys(&name).await, ["new/a"]);
    assert_eq!(looks(&world, &name).await, 0);
    let usage = world.store.usage(&name).await.unwrap();
    assert_eq!(usage.versions, 1);
}

#[tokio::test]
async fn a_bucket_without_rules_pays_nothing() {
    let world = World::new(401).await;
    let name = world.create("bkt", Versioning::Enabled).await;
    world.store.set(&name, Some(&BucketTags(Tags::default()))).await.unwrap();
    for _ in 0..2 {
        assert_eq!(world.put(&name, "k", "v").await.expires, None);
    }
    world.delete(&name, "k").await;
    world.begin(&name, "up").await;
    assert_eq!(looks(&world, &name).await, 0);
    // Nor does one for what no rule is about.
    set(&world, &name, vec![days("a/", 1)]).await;
    work(&world).await;
    world.put(&name, "k", "v").await;
    world.delete(&name, "k").await;
    assert_eq!(looks(&world, &name).await, 0);
}

#[tokio::test]
async fn what_was_there_before_the_rules_is_walked_into_the_index_across_a_restart() {
    let mut world = World::new(402).await;
    let name = world.create("bkt", Versioning::Off).await;
    for n in 0..2_100 {
        world.put(&name, &format!("k{n:04}"), "v").await;
    }
    let upload = world.begin(&name, "up").await;
    midnights(&world, 5);
    set(&world, &name, vec![days("k", 3), aborts("", 3)]).await;
    let (first, more) = world.store.run_lifecycle(&name).await.unwrap();
    assert_eq!((first.deeds(), more), (0, true), "the first step only walks");
    let state = world.store.lifecycle_state(&name).await.unwrap();
    assert!(state.walking_since.is_some() && state.walked == 1_000, "{state:?}");
    world.reopen().await;
    let done = run(&world, &name).await;
    assert_eq!((done.expired, done.uploads, done.bytes), (2_100, 1, 2_100));
    let state = world.store.lifecycle_state(&name).await.unwrap();
    assert_eq!((state.walking_since, state.walked), (None, 2_101));
    assert!(world.keys(&name).await.is_empty());
    assert!(world.part(&name, "up", upload, 1, "late").await.is_err());
    assert_eq!(looks(&world, &name).await, 0);
}

#[tokio::test]
async fn versions_are_hidden_removed_and_at_last_their_marker_too() {
    let world = World::new(403).await;
    let name = world.create("bkt", Versioning::Enabled).await;
    set(&world, &name, vec![days("", 2), noncurrent("", 1, None), markers("")]).await;
    world.put(&name, "k", "one").await;
    world.put(&name, "k", bytes(1, 9_000)).await;
    midnights(&world, 2);
    assert_eq!(run(&world, &name).await.deeds(), 1, "the older one");
    midnights(&world, 1);
    let done = run(&world, &name).await;
    assert_eq!((done.expired, done.bytes), (1, 0), "hidden, not gone");
    assert!(matches!(world.get(&name, "k").await, Err(Error::NoSuchKey { marker: Some(_) })));
    midnights(&world, 2);
    let done = run(&world, &name).await;
    assert_eq!((done.noncurrent, done.markers, done.bytes), (1, 1, 9_000));
    let partition = world.partition(&name).await;
    assert_eq!(world.rows(partition, tables::VERSIONS).await, 0);
    assert_eq!(looks(&world, &name).await, 0);
}

#[tokio::test]
async fn more_versions_than_one_commit_removes_go_and_the_newest_are_kept() {
    let world = World::new(404).await;
    let name = world.create("bkt", Versioning::Enabled).await;
    let mut versions = Vec::new();
    for n in 0..12 {
        versions.push(world.put(&name, "k", bytes(n, 100)).await.version.unwrap());
    }
    set(&world, &name, vec![noncurrent("", 1, Some(2))]).await;
    midnights(&world, 3);
    assert_eq!(run(&world, &name).await.noncurrent, 9);
    for (n, version) in versions.into_iter().enumerate() {
        let there = world.get_version(&name, "k", version.into()).await.is_ok();
        assert_eq!(there, n >= 9, "{n}");
    }
    // Another one on top pushes one out, though nothing else is due by then.
    world.put(&name, "k", "top").await;
    midnights(&world, 1);
    assert_eq!(run(&world, &name).await.noncurrent, 1);
}

#[tokio::test]
async fn what_rules_no_longer_match_is_left_alone() {
    let world = World::new(405).await;
    let name = world.create("bkt", Versioning::Off).await;
    let tagged = |value: &str| {
        let tags = Tags::of_object([("keep".to_owned(), value.to_owned())]).unwrap();
        LifecycleRule { filter: LifecycleFilter { tags, ..LifecycleFilter::default() }, ..days("", 1) }
    };
    set(&world, &name, vec![days("", 1)]).await;
    world.put(&name, "k", "v").await;
    set(&world, &name, vec![days("other", 1)]).await;
    midnights(&world, 3);
    work(&world).await;
    assert_eq!(world.keys(&name).await, ["k"]);
    // Switched off, on again, and about a tag that comes late.
    set(&world, &name, vec![LifecycleRule { enabled: false, ..days("", 1) }]).await;
    work(&world).await;
    assert_eq!(world.keys(&name).await, ["k"]);
    set(&world, &name, vec![tagged("no")]).await;
    work(&world).await;
    assert_eq!(world.keys(&name).await, ["k"]);
    let tags = Tags::of_object([("keep".to_owned(), "no".to_owned())]).unwrap();
    world.store.set_tags(&of(&name, "k", VersionSelector::Latest), None, &tags).await.unwrap();
    work(&world).await;
    assert_eq!(world.keys(&name).await, ["k"], "not before midnight");
    midnights(&world, 1);
    work(&world).await;
    assert!(world.keys(&name).await.is_empty());
}

#[tokio::test]
async fn rules_that_go_leave_no_index_and_no_mark() {
    let world = World::new(406).await;
    let name = world.create("bkt", Versioning::Off).await;
    set(&world, &name, vec![days("", 1)]).await;
    for n in 0..10 {
        world.put(&name, &format!("k{n}"), "v").await;
    }
    assert!(looks(&world, &name).await >= 10);
    let marks = async || world.store.marked(crate::SettingKind::Lifecycle).await.unwrap();
    assert_eq!(marks().await, std::slice::from_ref(&name));
    world.store.set_lifecycle(&name, None).await.unwrap();
    work(&world).await;
    assert_eq!((looks(&world, &name).await, marks().await.len()), (0, 0));
    midnights(&world, 5);
    work(&world).await;
    assert_eq!(world.keys(&name).await.len(), 10);
}

#[tokio::test]
async fn a_locked_version_is_never_removed_and_its_marker_comes_all_the_same() {
    let mut world = World::new(407).await;
    let name = world.create("bkt", Versioning::Enabled).await;
    world.store.set(&name, Some(&ObjectLock::default())).await.unwrap();
    set(&world, &name, vec![days("", 1), noncurrent("", 1, None)]).await;
    let version: VersionSelector = world.put(&name, "k", "v").await.version.unwrap().into();
    let amend = of(&name, "k", version);
    let retention = in_days(&world, LockMode::Compliance, 10);
    world.store.set_retention(&amend, None, (Some(retention), false)).await.unwrap();
    for _ in 0..9 {
        midnights(&world, 1);
        world.store.compliance.settle().await.unwrap();
        work(&world).await;
    }
    assert!(matches!(world.get(&name, "k").await, Err(Error::NoSuchKey { marker: Some(_) })), "it is hidden");
    assert_eq!(world.get_version(&name, "k", version).await.unwrap(), "v");
    // The wall clock is a month ahead of the one that retentions are judged by.
    world.down_for(DAY * 30).await;
    work(&world).await;
    assert_eq!(world.get_version(&name, "k", version).await.unwrap(), "v", "not by the wall clock");
    // A legal hold, for ever; and when it ends, the next midnight.
    world.store.set_legal_hold(&amend, None, true).await.unwrap();
    for _ in 0..40 {
        world.clock.advance(DAY);
        world.store.compliance.settle().await.unwrap();
    }
    work(&world).await;
    assert_eq!(world.get_version(&name, "k", version).await.unwrap(), "v");
    world.store.set_legal_hold(&amend, None, false).await.unwrap();
    midnights(&world, 1);
    world.store.compliance.settle().await.unwrap();
    work(&world).await;
    assert!(matches!(world.get_version(&name, "k", version).await, Err(Error::NoSuchVersion)));
}

#[tokio::test]
async fn what_the_compliance_clock_still_holds_keeps_nothing_else_of_its_key() {
    let mut world = World::new(414).await;
    let name = world.create("bkt", Versioning::Enabled).await;
    world.store.set(&name, Some(&ObjectLock::default())).await.unwrap();
    set(&world, &name, vec![days("", 8), noncurrent("", 1, None)]).await;
    let held: VersionSelector = world.put(&name, "k", "held").await.version.unwrap().into();
    let retention = in_days(&world, LockMode::Compliance, 3);
    world.store.set_retention(&of(&name, "k", held), None, (Some(retention), false)).await.unwrap();
    let free: VersionSelector = world.put(&name, "k", "free").await.version.unwrap().into();
    world.put(&name, "k", "current").await;
    world.down_for(DAY * 20).await;
    work(&world).await;
    assert!(matches!(world.get(&name, "k").await, Err(Error::NoSuchKey { marker: Some(_) })), "it is hidden");
    assert!(matches!(world.get_version(&name, "k", free).await, Err(Error::NoSuchVersion)));
    assert_eq!(world.get_version(&name, "k", held).await.unwrap(), "held");
}

#[tokio::test]
async fn rules_that_can_not_be_read_hide_no_object_and_can_be_replaced() {
    let mut world = World::new(415).await;
    let name = world.create("bkt", Versioning::Off).await;
    set(&world, &name, vec![days("", 1)]).await;
    world.put(&name, "k", "v").await;
    let partition = world.partition(&name).await;
    let row = tables::setting(crate::SettingKind::Lifecycle, "");
    let read_version = world.catalog.snapshot(partition).await.unwrap().read_version();
    let writes = vec![Write::Put(row, bytes::Bytes::from_static(b"\x01\x07"))];
    world.catalog.commit(Commit { writes, ..Commit::new(partition, read_version) }).await.unwrap();
    world.reopen().await;
    assert_eq!(world.get(&name, "k").await.unwrap(), "v");
    set(&world, &name, vec![days("", 1)]).await;
    midnights(&world, 2);
    work(&world).await;
    assert!(world.keys(&name).await.is_empty());
}

/// Puts bytes in the place of a bucket's rules; answers what was there.
async fn overwrite(world: &World, name: &BucketName, raw: bytes::Bytes) -> bytes::Bytes {
    let partition = world.partition(name).await;
    let row = tables::setting(crate::SettingKind::Lifecycle, "");
    let snapshot = world.catalog.snapshot(partition).await.unwrap();
    let before = snapshot.get(row.clone()).await.unwrap().unwrap();
    let writes = vec![Write::Put(row, raw)];
    world.catalog.commit(Commit { writes, ..Commit::new(partition, snapshot.read_version()) }).await.unwrap();
    before
}

#[tokio::test]
async fn writes_go_on_while_rules_can_not_be_read_and_people_are_told() {
    let mut world = World::new(421).await;
    let (name, other) =
        (world.create("bkt", Versioning::Enabled).await, world.create("other", Versioning::Off).await);
    for name in [&name, &other] {
        set(&world, name, vec![days("", 1)]).await;
        world.put(name, "before", "v").await;
    }
    work(&world).await;
    let good = overwrite(&world, &name, bytes::Bytes::from_static(b"\x01\x07")).await;
    world.reopen().await;
    // All kinds of writes; none is told when it expires.
    assert_eq!(world.put(&name, "k", "v").await.expires, None);
    world.put(&name, "gone", "v").await;
    world.delete(&name, "gone").await;
    let request = world.begin(&name, "up").await;
    world.store.abort_upload(&name, &key("up"), request).await.unwrap();
    world.store.run_lifecycle(&name).await.unwrap_err();
    midnights(&world, 2);
    work(&world).await;
    assert_eq!(world.keys(&name).await, ["before", "k"], "nothing is judged");
    assert!(world.keys(&other).await.is_empty(), "the others' turns come");
    let told = world.store.damaged_lifecycles();
    assert!(told.len() == 1 && told[0].bucket == name && told[0].error.contains("lifecycle"), "{told:?}");
    // Readable again, whoever mended them: what came meanwhile is found.
    overwrite(&world, &name, good).await;
    world.reopen().await;
    work(&world).await;
    assert!(world.store.damaged_lifecycles().is_empty());
    midnights(&world, 2);
    work(&world).await;
    assert!(world.keys(&name).await.is_empty());
    // The same where they are set again.
    overwrite(&world, &name, bytes::Bytes::from_static(b"\x01\x07")).await;
    world.reopen().await;
    world.put(&name, "late", "v").await;
    work(&world).await;
    assert_eq!(world.store.damaged_lifecycles().len(), 1);
    set(&world, &name, vec![days("", 1)]).await;
    assert!(world.store.damaged_lifecycles().is_empty());
    midnights(&world, 2);
    work(&world).await;
    assert!(world.keys(&name).await.is_empty());
}

#[tokio::test]
async fn a_bucket_made_anew_keeps_its_mark_when_the_former_ones_goes() {
    let world = World::new(416).await;
    let name = world.create("bkt", Versioning::Off).await;
    let former = name.bound_to(world.store.view(&name).await.unwrap().bucket);
    world.store.delete_bucket(&name).await.unwrap();
    world.create("bkt", Versioning::Off).await;
    set(&world, &name, vec![days("", 1)]).await;
    world.store.unmark_lifecycle(&former).await.unwrap();
    let marked = world.store.marked(crate::SettingKind::Lifecycle).await.unwrap();
    assert_eq!(marked, std::slice::from_ref(&name));
}

#[tokio::test]
async fn a_date_is_a_real_one_and_days_are_as_long_as_they_are_said_to_be() {
    let world = World::rehearsing(408, Duration::from_secs(10)).await;
    let name = world.create("bkt", Versioning::Off).await;
    let now = world.clock.now().as_millis();
    let midnight = Timestamp::from_millis(now - now.rem_euclid(86_400_000) + 86_400_000);
    let date = LifecycleRule { expiration: Some(LifecycleExpiration::Date(midnight)), ..days("date/", 1) };
    set(&world, &name, vec![days("days/", 2), date]).await;
    world.put(&name, "days/k", "v").await;
    world.put(&name, "date/k", "v").await;
    world.clock.advance(Duration::from_secs(30));
    work(&world).await;
    assert_eq!(world.keys(&name).await, ["date/k"]);
    world.clock.advance(midnight.since(world.clock.now()).saturating_sub(Duration::from_millis(1)));
    work(&world).await;
    assert_eq!(world.keys(&name).await, ["date/k"]);
    world.clock.advance(Duration::from_millis(1));
    work(&world).await;
    assert!(world.keys(&name).await.is_empty());
}

#[tokio::test]
async fn a_damaged_version_holds_up_no_other_and_a_moved_one_is_not_removed() {
    let world = World::new(409).await;
    let name = world.create("bkt", Versioning::Enabled).await;
    set(&world, &name, vec![noncurrent("", 1, None)]).await;
    for at in ["a", "b", "c"] {
        world.put(&name, at, "old").await;
        world.put(&name, at, "new").await;
    }
    let partition = world.partition(&name).await;
    let snapshot = world.catalog.snapshot(partition).await.unwrap();
    let rows = |at: &str| Scan::prefix(tables::VERSIONS, &tables::versions_of(&key(at)), 10);
    let a = snapshot.scan(rows("a")).await.unwrap().rows;
    let b = snapshot.scan(rows("b")).await.unwrap().rows;
    // Of `a` a row can't be read; the newer version of `b` says that it was made long ago.
    let mut newer = ObjectRow::from_bytes(&b[0].1).unwrap();
    newer.modified = Timestamp::from_millis(newer.modified.as_millis() - 86_400_000 * 300);
    let writes = vec![
        Write::Put(tables::VERSIONS.key(a[1].0.clone()), bytes::Bytes::from_static(b"\x01")),
        Write::Put(tables::VERSIONS.key(b[0].0.clone()), newer.to_bytes()),
    ];
    let commit = Commit { writes, ..Commit::new(partition, snapshot.read_version()) };
    world.catalog.commit(commit).await.unwrap();
    midnights(&world, 4);
    let now = world.clock.now();
    let page =
        world.store.preview_lifecycle(&name, (None, &Prices::default()), (now, now), None).await.unwrap();
    assert_eq!((page.left_out, page.damaged), (vec!["a".to_owned()], vec!["a".to_owned()]));
    assert_eq!(run(&world, &name).await.noncurrent, 1);
    assert_eq!(world.rows(partition, tables::VERSIONS).await, 5);
    assert_eq!(looks(&world, &name).await, 2, "both are looked at again");
}

/// What the deeds of one midnight come to.
type Sums = BTreeMap<Timestamp, LifecycleRun>;

async fn previewed(world: &World, name: &BucketName, until: Timestamp) -> (Sums, Money) {
    let (mut sums, mut saving, mut after) = (Sums::new(), Money::ZERO, None);
    let from = world.clock.now();
    loop {
        let page = world
            .store
            .preview_lifecycle(name, (None, &Prices::default()), (from, until), after.as_ref())
            .await
            .unwrap();
        assert!(page.left_out.is_empty());
        for row in page.rows {
            let sum = sums.entry(row.at).or_default();
            match row.act {
                LifecycleAct::Expire => sum.expired += row.count,
                LifecycleAct::RemoveNoncurrent => sum.noncurrent += row.count,
                LifecycleAct::RemoveMarker => sum.markers += row.count,
                LifecycleAct::AbortUpload => sum.uploads += row.count,
                LifecycleAct::Transition(_) => {
                    sum.transitions += row.count;
                    sum.moved_bytes += row.bytes;
                }
            }
            sum.bytes += row.freed_bytes;
            saving += row.cost.monthly_saving();
        }
        match page.next {
            Some(next) => after = Some(next),
            None => return (sums, saving),
        }
    }
}

fn mixed_rules() -> Vec<LifecycleRule> {
    let tags = Tags::of_object([("tier".to_owned(), "tmp".to_owned())]).unwrap();
    let tagged = LifecycleFilter { tags, ..LifecycleFilter::default() };
    let sized = LifecycleFilter { larger: Some(50), smaller: Some(5_000), ..LifecycleFilter::default() };
    vec![
        days("a/", 7),
        LifecycleRule { id: "tagged".to_owned(), filter: tagged.clone(), ..days("", 3) },
        LifecycleRule { id: "sized".to_owned(), filter: sized, ..noncurrent("", 4, None) },
        LifecycleRule { id: "tagged noncurrent".to_owned(), filter: tagged, ..noncurrent("", 2, None) },
        noncurrent("b/", 6, Some(2)),
        noncurrent("a/", 9, None),
        markers("b/"),
        aborts("", 5),
        LifecycleRule { enabled: false, ..days("c/", 1) },
        moves("a/", &[(2, StorageClass::GlacierIr), (5, StorageClass::Glacier)], 40),
        moves("c/", &[(0, StorageClass::Glacier), (6, StorageClass::DeepArchive)], 0),
        LifecycleRule {
            noncurrent_transitions: vec![
                NoncurrentTransition { days: 1, newer: Some(1), class: StorageClass::Glacier },
                NoncurrentTransition { days: 3, newer: None, class: StorageClass::DeepArchive },
            ],
            ..moves("b/", &[], 1)
        },
    ]
}

async fn mixed(world: &World, name: &BucketName, dice: &Dice, operations: usize) {
    for n in 0..operations {
        let at = format!("{}{}", dice.pick(&["a/", "b/", "c/"]), dice.below(operations / 6 + 1));
        match dice.below(12) {
            0 => {
                world.delete(name, &at).await;
            }
            1 => {
                world.begin(name, &at).await;
            }
            2 => world.clock.advance(Duration::from_mins(u64::try_from(dice.below(600)).unwrap())),
            3 => {
                let tags = Tags::of_object([("tier".to_owned(), "tmp".to_owned())]).unwrap();
                let request = of(name, &at, VersionSelector::Latest);
                // Where there is something.
                let _maybe = world.store.set_tags(&request, None, &tags).await;
            }
            _ => {
                let value = *dice.pick(&["tmp", "", "other"]);
                let tags = (!value.is_empty()).then(|| ("tier".to_owned(), value.to_owned()));
                let subresources =
                    Subresources { tags: Tags::of_object(tags).unwrap(), ..Subresources::default() };
                let request = PutRequest { subresources, ..PutRequest::new(name.clone(), key(&at)) };
                world.put_with(request, bytes(n as u64, *dice.pick(&[0, 10, 60, 6_000]))).await.unwrap();
            }
        }
    }
}

/// The preview of as many days, and what then happens midnight by midnight, are the same: no difference.
async fn compare(seed: u64, versioning: Versioning, operations: usize) {
    let world = World::new(seed).await;
    let name = world.create("bkt", versioning).await;
    let dice = Dice::new(seed);
    // Some before the rules, some by them; some of them overdue by now.
    mixed(&world, &name, &dice, operations / 2).await;
    set(&world, &name, mixed_rules()).await;
    mixed(&world, &name, &dice, operations / 2).await;
    let until = world.clock.now().plus(DAY * 40);
    let (foretold, saving) = previewed(&world, &name, until).await;
    let before = monthly(&world, &name).await;
    let mut happened = Sums::new();
    let mut note = |at: Timestamp, run: LifecycleRun| {
        if run.deeds() > 0 {
            happened.insert(at, LifecycleRun { keys: 0, ..run });
        }
    };
    note(world.clock.now(), run(&world, &name).await);
    loop {
        let now = world.clock.now().as_millis();
        let midnight = Timestamp::from_millis(now - now.rem_euclid(86_400_000) + 86_400_000);
        if midnight > until {
            break;
        }
        // Some minutes late, as a worker may be.
        let late = Duration::from_mins(u64::try_from(dice.below(60)).unwrap());
        world.clock.advance(midnight.since(world.clock.now()) + late);
        note(midnight, run(&world, &name).await);
    }
    assert_eq!(happened, foretold, "seed {seed}, {versioning:?}");
    assert!(foretold.len() > 5, "seed {seed}: {foretold:?}");
    assert_eq!(
        before - saving,
        monthly(&world, &name).await,
        "seed {seed}, {versioning:?}: to the last grain"
    );
    assert!(saving != Money::ZERO, "seed {seed}");
    let (left, _) = previewed(&world, &name, until).await;
    assert!(left.is_empty(), "seed {seed}: {left:?}");
}

#[tokio::test]
async fn the_preview_of_a_day_is_what_happens_until_then() {
    let operations = std::env::var("FIRN_LIFECYCLE_OPERATIONS").ok().and_then(|text| text.parse().ok());
    for seed in seeds(2) {
        for versioning in [Versioning::Off, Versioning::Enabled, Versioning::Suspended] {
            Box::pin(compare(seed, versioning, operations.unwrap_or(600))).await;
        }
    }
}

/// Takes so many commits, and no more: what comes then is lost, as in a crash.
pub(super) struct Dies {
    pub(super) rows: Arc<MemoryCatalog>,
    pub(super) left: AtomicUsize,
}

impl Catalog for Dies {
    fn limits(&self) -> Limits {
        self.rows.limits()
    }

    fn snapshot(&self, partition: PartitionId) -> BoxFuture<'_, engine::Result<Arc<dyn Snapshot>>> {
        self.rows.snapshot(partition)
    }

    fn commit(&self, commit: Commit) -> BoxFuture<'_, engine::Result<Version>> {
        let lives =
            self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok();
        if lives {
            self.rows.commit(commit)
        } else {
            Box::pin(std::future::ready(Err(engine::Error::Closed)))
        }
    }
}

/// As long as it lives; whether that is to the end.
async fn run_until_it_dies(world: &World, name: &BucketName) -> bool {
    loop {
        match world.store.run_lifecycle(name).await {
            Ok((_, true)) => {}
            outcome => return outcome.is_ok(),
        }
    }
}

#[tokio::test]
async fn a_crash_at_any_step_leaves_what_is_due_to_be_done_and_does_nothing_twice() {
    let mut commits = 0;
    loop {
        let mut world = World::new(412).await;
        let name = world.create("bkt", Versioning::Enabled).await;
        for at in ["a", "b"] {
            for n in 0..5 {
                world.put(&name, at, bytes(n, 6_000)).await;
            }
        }
        world.begin(&name, "up").await;
        set(&world, &name, vec![days("", 2), noncurrent("", 1, Some(1)), aborts("", 1)]).await;
        midnights(&world, 4);
        let dies = Arc::new(Dies { rows: world.catalog.clone(), left: AtomicUsize::new(usize::MAX) });
        let dying = world.beside(dies.clone()).await;
        dies.left.store(commits, Ordering::Relaxed);
        let whole = run_until_it_dies(&dying, &name).await;
        drop(dying);
        world.reopen().await;
        run(&world, &name).await;
        // Each hidden by one marker; the newest is kept below it, and the one that the marker pushed out until midnight.
        let partition = world.partition(&name).await;
        assert_eq!(world.rows(partition, tables::VERSIONS).await, 6, "{commits} commits");
        assert_eq!(world.rows(partition, tables::CURRENT).await, 0, "{commits} commits");
        assert_eq!(world.rows(partition, tables::UPLOADS).await, 0, "{commits} commits");
        let usage = world.store.usage(&name).await.unwrap();
        assert_eq!((usage.versions, usage.bytes.get()), (4, 24_000), "{commits} commits");
        world.settle().await;
        assert_eq!(world.references(partition).await, 4, "{commits} commits");
        if whole {
            break;
        }
        commits += 1;
    }
    assert!(commits > 5, "{commits}");
}

#[tokio::test]
async fn what_rules_do_is_in_the_buckets_access_log() {
    let world = World::new(413).await;
    let name = world.create("bkt", Versioning::Enabled).await;
    let target = world.create("logs", Versioning::Off).await;
    let log = crate::BucketLogging::new(&target, "l/".to_owned(), None, None).unwrap();
    world.store.set_logging(&name, Some(&log)).await.unwrap();
    set(&world, &name, vec![days("", 1), noncurrent("", 1, None), markers(""), aborts("", 1)]).await;
    world.put(&name, "k", "v").await;
    world.begin(&name, "up").await;
    for _ in 0..4 {
        midnights(&world, 1);
        run(&world, &name).await;
    }
    world.clock.advance(Duration::from_hours(1));
    world.settle().await;
    let mut lines = String::new();
    for at in world.keys(&target).await {
        lines += std::str::from_utf8(&world.get(&target, &at).await.unwrap()).unwrap();
    }
    for (operation, count) in
        [("S3.CREATE.DELETEMARKER k", 1), ("S3.EXPIRE.OBJECT k", 2), ("S3.DELETE.UPLOAD up", 1)]
    {
        assert_eq!(lines.matches(operation).count(), count, "{operation}: {lines}");
    }
    assert!(lines.contains(" AmazonS3 "), "{lines}");
}

#[tokio::test]
async fn an_explanation_says_which_rule_acts_when_and_why_not_the_others() {
    let world = World::new(410).await;
    let name = world.create("bkt", Versioning::Enabled).await;
    let missing = world.store.explain_lifecycle(&name, &key("k"), &Prices::default()).await;
    assert!(matches!(missing, Err(Error::NoSuchConfiguration)));
    set(
        &world,
        &name,
        vec![days("", 9), days("k", 3), noncurrent("", 4, Some(1)), days("x", 1), aborts("", 2)],
    )
    .await;
    world.put(&name, "k", "old").await;
    world.put(&name, "k", "new").await;
    world.begin(&name, "k").await;
    let explained = world.store.explain_lifecycle(&name, &key("k"), &Prices::default()).await.unwrap();
    assert_eq!(explained.versions.len(), 3);
    let current = &explained.versions[0];
    assert_eq!((current.place, current.first), (LifecyclePlace::Current, Some(1)));
    let says: Vec<_> = current.rules.iter().map(|rule| rule.says).collect();
    assert!(
        matches!(says[0], Ok((_, LifecycleAct::Expire))) && matches!(says[1], Ok((_, LifecycleAct::Expire)))
    );
    assert!(says[1].unwrap().0 < says[0].unwrap().0);
    assert_eq!(says[2..4], [Err(LifecycleWhyNot::NoAction), Err(LifecycleWhyNot::OtherPrefix)]);
    let old = &explained.versions[1];
    assert!(matches!(old.place, LifecyclePlace::Noncurrent(_)) && old.first.is_none());
    assert_eq!(old.rules[2].says, Err(LifecycleWhyNot::Kept));
    let upload = &explained.versions[2];
    assert_eq!((upload.place, upload.first), (LifecyclePlace::Upload, Some(4)));
    assert!(explained.walking_since.is_some());
    work(&world).await;
    assert_eq!(
        world.store.explain_lifecycle(&name, &key("k"), &Prices::default()).await.unwrap().walking_since,
        None
    );
    assert!(matches!(
        world.store.explain_lifecycle(&name, &key("none"), &Prices::default()).await,
        Err(Error::NoSuchKey { .. })
    ));
}

#[tokio::test]
async fn a_deleted_bucket_leaves_no_index_and_its_names_next_owner_inherits_no_rules() {
    let world = World::new(411).await;
    let name = world.create("bkt", Versioning::Off).await;
    let partition = world.partition(&name).await;
    set(&world, &name, vec![days("", 1)]).await;
    world.put(&name, "k", "v").await;
    world.delete(&name, "k").await;
    assert_eq!(looks(&world, &name).await, 0, "what is deleted takes its look along");
    world.put(&name, "k", "v").await;
    world.next_day();
    world.put(&name, "k", "v").await;
    world.delete(&name, "k").await;
    assert_eq!(looks(&world, &name).await, 1);
    world.store.delete_bucket(&name).await.unwrap();
    world.create("bkt", Versioning::Off).await;
    world.put(&name, "k", "v").await;
    midnights(&world, 3);
    world.settle().await;
    assert_eq!(world.rows(partition, tables::DUE).await, 0);
    assert_eq!(world.keys(&name).await, ["k"]);
    let snapshot = world.catalog.snapshot(partition).await.unwrap();
    assert!(snapshot.get(Walk::row()).await.unwrap().is_none());
    assert_eq!(Phase::Done, Phase::Done);
}
