//! Object lock: what it keeps, for how long, and that no clock, copy, upload or kind of delete gets around it.

use crate::lock::DAY;
use crate::record::ConfigRow;
use crate::world::{World, bucket, copy_request, key};
use crate::{
    AmendRequest, BucketName, BucketTags, CreateUpload, DefaultRetention, DeleteConditions, DeleteOutcome,
    DeleteRequest, Error, GetRequest, LockMode, ObjectLock, Period, PutRequest, Result, Retention, Setting,
    Subresources, Tags, VersionSelector, Versioning, tables,
};
use engine::catalog::record::Record;
use engine::catalog::{Catalog, Commit, Write};
use engine::clock::{Clock, Timestamp};
use std::time::Duration;

const GOVERNANCE: LockMode = LockMode::Governance;
const COMPLIANCE: LockMode = LockMode::Compliance;

/// A bucket that has object lock.
async fn lockable(world: &World, name: &str, default: Option<DefaultRetention>) -> BucketName {
    let name = world.create(name, Versioning::Enabled).await;
    world.store.set(&name, Some(&ObjectLock::new(default).unwrap())).await.unwrap();
    name
}

fn days(mode: LockMode, days: u32) -> DefaultRetention {
    DefaultRetention { mode, period: Period::Days(days) }
}

pub(super) fn of(name: &BucketName, at: &str, version: VersionSelector) -> AmendRequest {
    AmendRequest { bucket: name.clone(), key: key(at), version, origin: crate::Origin::default() }
}

/// So many days of the wall clock from now.
pub(super) fn in_days(world: &World, mode: LockMode, days: u32) -> Retention {
    Retention { mode, until: world.clock.now().plus(DAY * days) }
}

fn with_lock(name: &BucketName, at: &str, retention: Option<Retention>, hold: Option<bool>) -> PutRequest {
    let subresources = Subresources { retention, legal_hold: hold, ..Subresources::default() };
    PutRequest { subresources, ..PutRequest::new(name.clone(), key(at)) }
}

async fn remove(
    world: &World,
    name: &BucketName,
    at: &str,
    version: VersionSelector,
    bypass_governance: bool,
) -> Result<DeleteOutcome> {
    let conditions = DeleteConditions::default();
    let request = DeleteRequest {
        bucket: name.clone(),
        key: key(at),
        version,
        conditions,
        bypass_governance,
        origin: crate::Origin::default(),
        asks: None,
    };
    world.store.delete(request).await
}

async fn shown(world: &World, name: &BucketName, at: &str, version: VersionSelector) -> Subresources {
    let request = GetRequest { version, ..GetRequest::new(name.clone(), key(at)) };
    world.store.head(request).await.unwrap().info.subresources
}

fn locked<T: std::fmt::Debug>(outcome: Result<T>) {
    match outcome {
        Err(Error::ObjectLocked) => {}
        other => panic!("it is locked: {other:?}"),
    }
}

/// Lets the appliance run for so many days; its clock worker is what keeps the compliance clock going.
async fn run_for(world: &World, days: u32) {
    world.clock.advance(DAY * days);
    world.store.compliance.settle().await.unwrap();
}

#[tokio::test]
async fn object_lock_needs_versions_and_is_never_turned_off() {
    let world = World::new(80).await;
    let name = world.create("lock", Versioning::Off).await;
    let lock = ObjectLock::new(Some(days(GOVERNANCE, 1))).unwrap();
    for versioning in [None, Some(Versioning::Suspended)] {
        if let Some(versioning) = versioning {
            world.store.set_versioning(&name, versioning).await.unwrap();
        }
        let refused = world.store.set(&name, Some(&lock)).await;
        assert!(matches!(refused, Err(Error::InvalidBucketState { .. })), "{refused:?}");
    }
    world.store.set_versioning(&name, Versioning::Enabled).await.unwrap();
    world.store.set(&name, Some(&lock)).await.unwrap();
    let suspended = world.store.set_versioning(&name, Versioning::Suspended).await;
    assert!(matches!(suspended, Err(Error::InvalidBucketState { .. })));
    let off = world.store.set::<ObjectLock>(&name, None).await;
    assert!(matches!(off, Err(Error::InvalidBucketState { .. })));
    world.store.set(&name, Some(&ObjectLock::default())).await.unwrap();
    assert_eq!(*world.store.setting::<ObjectLock>(&name).await.unwrap().unwrap(), ObjectLock::default());
    assert_eq!(world.store.versioning(&name).await.unwrap(), Versioning::Enabled);
    assert!(matches!(ObjectLock::new(Some(days(GOVERNANCE, 0))), Err(Error::InvalidRetentionPeriod)));
}

#[tokio::test]
async fn a_bucket_without_object_lock_takes_no_lock_of_any_kind() {
    let world = World::new(81).await;
    let name = world.create("plain", Versioning::Enabled).await;
    world.put(&name, "k", "v").await;
    let retention = in_days(&world, GOVERNANCE, 1);
    let refused =
        |outcome: Result<()>| assert!(matches!(outcome, Err(Error::InvalidRequest { .. })), "{outcome:?}");
    let request = of(&name, "k", VersionSelector::Latest);
    refused(world.store.set_retention(&request, None, (Some(retention), true)).await.map(drop));
    refused(world.store.set_legal_hold(&request, None, true).await.map(drop));
    for (retention, hold) in [(Some(retention), None), (None, Some(true)), (None, Some(false))] {
        refused(world.put_with(with_lock(&name, "n", retention, hold), "v").await.map(drop));
        let subresources = with_lock(&name, "n", retention, hold).subresources;
        let copy = crate::CopyRequest {
            subresources: subresources.clone(),
            ..copy_request((&name, "k"), (&name, "n"))
        };
        refused(world.store.copy(copy).await.map(drop));
        refused(world.store.create_upload(upload(&name, "n", subresources)).await.map(drop));
    }
    assert_eq!(world.keys(&name).await, ["k"]);
}

/// Takes the setting away as no request can.
async fn strip_object_lock(world: &World, name: &BucketName) {
    let partition = world.partition(name).await;
    let snapshot = world.catalog.snapshot(partition).await.unwrap();
    let config = tables::only(tables::CONFIG);
    let row = ConfigRow::from_bytes(&snapshot.get(config.clone()).await.unwrap().unwrap()).unwrap();
    let row = ConfigRow { revision: row.revision + 1, ..row };
    let setting = tables::setting(ObjectLock::KIND, "");
    let writes = vec![Write::Put(config, row.to_bytes()), Write::Delete(setting)];
    let commit = Commit { writes, ..Commit::new(partition, snapshot.read_version()) };
    world.catalog.commit(commit).await.unwrap();
}

fn upload(name: &BucketName, at: &str, subresources: Subresources) -> CreateUpload {
    CreateUpload { subresources, ..CreateUpload::new(name.clone(), key(at)) }
}

#[tokio::test]
async fn a_locked_version_is_removed_by_no_delete_and_a_plain_one_hides_it() {
    let world = World::new(82).await;
    let name = lockable(&world, "lock", None).await;
    for (mode, bypassed) in [(GOVERNANCE, true), (COMPLIANCE, false)] {
        let at = mode.as_str();
        let retention = in_days(&world, mode, 1);
        let put = world.put_with(with_lock(&name, at, Some(retention), None), "v").await.unwrap();
        let version: VersionSelector = put.version.unwrap().into();
        assert_eq!(shown(&world, &name, at, version).await.retention, Some(retention));
        locked(remove(&world, &name, at, version, false).await);
        // As one of many: the others go.
        let other = world.put(&name, "other", "v").await.version.unwrap();
        let request = |at: &str, version| DeleteRequest {
            bucket: name.clone(),
            key: key(at),
            version,
            conditions: DeleteConditions::default(),
            bypass_governance: false,
            origin: crate::Origin::default(),
            asks: None,
        };
        let mut many =
            world.store.delete_many(vec![request(at, version), request("other", other.into())]).await;
        many.pop().unwrap().unwrap();
        locked(many.pop().unwrap());
        // A marker hides it and goes again, however locked it is.
        let marker = remove(&world, &name, at, VersionSelector::Latest, false).await.unwrap();
        assert!(marker.marker);
        locked(remove(&world, &name, at, version, false).await);
        remove(&world, &name, at, marker.version.unwrap().into(), false).await.unwrap();
        assert_eq!(world.get(&name, at).await.unwrap(), "v");
        // Newer versions leave it where it is.
        world.put(&name, at, "newer").await;
        locked(remove(&world, &name, at, version, false).await);
        let outcome = remove(&world, &name, at, version, true).await;
        assert_eq!(outcome.is_ok(), bypassed, "{mode:?}: {outcome:?}");
    }
    assert!(matches!(world.store.delete_bucket(&name).await, Err(Error::BucketNotEmpty)));
}

#[tokio::test]
async fn a_legal_hold_stands_beside_a_retention_and_nobody_bypasses_it() {
    let world = World::new(83).await;
    let name = lockable(&world, "lock", None).await;
    let put = world.put_with(with_lock(&name, "k", None, Some(true)), "v").await.unwrap();
    let version: VersionSelector = put.version.unwrap().into();
    locked(remove(&world, &name, "k", version, true).await);
    let request = of(&name, "k", version);
    world.store.set_retention(&request, None, (Some(in_days(&world, GOVERNANCE, 1)), false)).await.unwrap();
    run_for(&world, 2).await;
    locked(remove(&world, &name, "k", version, true).await);
    world.store.set_legal_hold(&request, None, false).await.unwrap();
    assert_eq!(shown(&world, &name, "k", version).await.legal_hold, Some(false));
    remove(&world, &name, "k", version, false).await.unwrap();
}

#[tokio::test]
async fn a_retention_is_extended_by_anybody_and_weakened_by_nobody_but_a_bypass_of_governance() {
    let world = World::new(84).await;
    let name = lockable(&world, "lock", None).await;
    for mode in [GOVERNANCE, COMPLIANCE] {
        let at = mode.as_str();
        world.put(&name, at, "v").await;
        let request = of(&name, at, VersionSelector::Latest);
        let to = |retention, bypass| world.store.set_retention(&request, None, (retention, bypass));
        to(Some(in_days(&world, mode, 10)), false).await.unwrap();
        to(Some(in_days(&world, mode, 11)), false).await.unwrap();
        let other = if mode == GOVERNANCE { COMPLIANCE } else { GOVERNANCE };
        for weaker in [None, Some(in_days(&world, mode, 10)), Some(in_days(&world, other, 12))] {
            locked(to(weaker, false).await);
            if mode == COMPLIANCE {
                locked(to(weaker, true).await);
            }
        }
        let now = shown(&world, &name, at, VersionSelector::Latest).await.retention;
        assert_eq!(now, Some(in_days(&world, mode, 11)));
    }
    let request = of(&name, GOVERNANCE.as_str(), VersionSelector::Latest);
    world.store.set_retention(&request, None, (Some(in_days(&world, GOVERNANCE, 1)), true)).await.unwrap();
    world.store.set_retention(&request, None, (None, true)).await.unwrap();
    assert_eq!(
        shown(&world, &name, GOVERNANCE.as_str(), VersionSelector::Latest).await,
        Subresources::default()
    );
    // Once its time is over a compliance retention binds nobody.
    let request = of(&name, COMPLIANCE.as_str(), VersionSelector::Latest);
    run_for(&world, 11).await;
    world.store.set_retention(&request, None, (Some(in_days(&world, GOVERNANCE, 1)), false)).await.unwrap();
}

#[tokio::test]
async fn the_null_version_of_before_is_locked_like_any_other() {
    let world = World::new(85).await;
    let name = world.create("before", Versioning::Off).await;
    world.put(&name, "k", "null").await;
    world.store.set_versioning(&name, Versioning::Enabled).await.unwrap();
    world.store.set(&name, Some(&ObjectLock::default())).await.unwrap();
    let request = of(&name, "k", VersionSelector::Null);
    world.store.set_retention(&request, None, (Some(in_days(&world, COMPLIANCE, 1)), false)).await.unwrap();
    locked(remove(&world, &name, "k", VersionSelector::Null, true).await);
    // Below others too, and below a marker.
    world.put(&name, "k", "newer").await;
    remove(&world, &name, "k", VersionSelector::Latest, true).await.unwrap();
    locked(remove(&world, &name, "k", VersionSelector::Null, true).await);
    assert_eq!(world.get_version(&name, "k", VersionSelector::Null).await.unwrap(), "null");
    run_for(&world, 1).await;
    remove(&world, &name, "k", VersionSelector::Null, false).await.unwrap();
}

#[tokio::test]
async fn a_lock_holds_where_versions_are_replaced_too() {
    // No public way leads there: the setting is taken away behind the store's back.
    let world = World::new(86).await;
    let name = world.create("forced", Versioning::Off).await;
    world.put(&name, "k", "null").await;
    world.store.set_versioning(&name, Versioning::Enabled).await.unwrap();
    world.store.set(&name, Some(&ObjectLock::default())).await.unwrap();
    let request = of(&name, "k", VersionSelector::Null);
    world.store.set_legal_hold(&request, None, true).await.unwrap();
    strip_object_lock(&world, &name).await;
    world.store.set_versioning(&name, Versioning::Suspended).await.unwrap();
    locked(world.put_with(PutRequest::new(name.clone(), key("k")), "other").await);
    locked(remove(&world, &name, "k", VersionSelector::Latest, true).await);
    assert_eq!(world.get(&name, "k").await.unwrap(), "null");
}

#[tokio::test]
async fn a_new_version_gets_the_buckets_default_unless_it_brings_its_own() {
    let world = World::new(87).await;
    let name = lockable(&world, "lock", Some(days(COMPLIANCE, 3))).await;
    let expected = Some(in_days(&world, COMPLIANCE, 3));
    let put = world.put(&name, "put", "v").await.version.unwrap();
    assert_eq!(shown(&world, &name, "put", put.into()).await.retention, expected);
    locked(remove(&world, &name, "put", put.into(), true).await);
    // Its own retention goes before the default, a hold alone does not.
    let own = in_days(&world, GOVERNANCE, 1);
    world.put_with(with_lock(&name, "own", Some(own), None), "v").await.unwrap();
    assert_eq!(shown(&world, &name, "own", VersionSelector::Latest).await.retention, Some(own));
    world.put_with(with_lock(&name, "held", None, Some(true)), "v").await.unwrap();
    assert_eq!(shown(&world, &name, "held", VersionSelector::Latest).await.retention, expected);
    // A copy has what its request or its bucket says, and nothing of its source.
    world.store.copy(copy_request((&name, "own"), (&name, "copy"))).await.unwrap();
    assert_eq!(shown(&world, &name, "copy", VersionSelector::Latest).await.retention, expected);
    world.store.copy(copy_request((&name, "held"), (&name, "copy"))).await.unwrap();
    assert_eq!(shown(&world, &name, "copy", VersionSelector::Latest).await.legal_hold, None);
    let plain = world.create("elsewhere", Versioning::Enabled).await;
    world.store.copy(copy_request((&name, "own"), (&plain, "copy"))).await.unwrap();
    assert_eq!(shown(&world, &plain, "copy", VersionSelector::Latest).await, Subresources::default());
    // A marker has none.
    let marker = remove(&world, &name, "put", VersionSelector::Latest, false).await.unwrap();
    remove(&world, &name, "put", marker.version.unwrap().into(), false).await.unwrap();
}

#[tokio::test]
async fn an_uploads_lock_is_its_requests_or_the_default_at_its_completion() {
    let world = World::new(88).await;
    let name = lockable(&world, "lock", None).await;
    let own = in_days(&world, COMPLIANCE, 9);
    let beside = Subresources { retention: Some(own), legal_hold: Some(true), ..Subresources::default() };
    let mut uploads = Vec::new();
    for (at, beside) in [("own", beside), ("default", Subresources::default())] {
        let upload = world.store.create_upload(upload(&name, at, beside)).await.unwrap().upload;
        let part = world.part(&name, at, upload, 1, "part").await.unwrap();
        uploads.push((at, upload, part));
    }
    world.store.set(&name, Some(&ObjectLock::new(Some(days(GOVERNANCE, 2))).unwrap())).await.unwrap();
    run_for(&world, 1).await;
    let expected = [Some(own), Some(in_days(&world, GOVERNANCE, 2))];
    for ((at, upload, part), expected) in uploads.into_iter().zip(expected) {
        let version = world.complete(&name, at, upload, vec![part]).await.unwrap().version.unwrap();
        assert_eq!(shown(&world, &name, at, version.into()).await.retention, expected);
        locked(remove(&world, &name, at, version.into(), false).await);
    }
    assert_eq!(shown(&world, &name, "own", VersionSelector::Latest).await.legal_hold, Some(true));
}

#[tokio::test]
async fn a_body_that_is_to_be_locked_must_be_proven() {
    let world = World::new(89).await;
    let name = lockable(&world, "lock", None).await;
    let unproven = |request: PutRequest| PutRequest { proven: false, ..request };
    let retention = Some(in_days(&world, GOVERNANCE, 1));
    let put = async |request| world.put_with(unproven(request), "v").await.map(drop);
    put(PutRequest::new(name.clone(), key("k"))).await.unwrap();
    for request in [with_lock(&name, "k", retention, None), with_lock(&name, "k", None, Some(true))] {
        assert!(matches!(put(request).await, Err(Error::InvalidRequest { .. })));
    }
    world.store.set(&name, Some(&ObjectLock::new(Some(days(GOVERNANCE, 1))).unwrap())).await.unwrap();
    let refused = put(PutRequest::new(name.clone(), key("k"))).await;
    assert!(matches!(refused, Err(Error::InvalidRequest { .. })));
}

#[tokio::test]
async fn a_date_that_is_over_makes_no_lock() {
    let world = World::new(90).await;
    let name = lockable(&world, "lock", None).await;
    world.put(&name, "k", "v").await;
    let now = world.clock.now();
    for until in [now, Timestamp::from_millis(0), Timestamp::from_millis(i64::MIN)] {
        let retention = Some(Retention { mode: COMPLIANCE, until });
        let request = of(&name, "k", VersionSelector::Latest);
        let set = world.store.set_retention(&request, None, (retention, true)).await.map(drop);
        let put = world.put_with(with_lock(&name, "k", retention, None), "v").await.map(drop);
        let beside = with_lock(&name, "k", retention, None).subresources;
        let begun = world.store.create_upload(upload(&name, "k", beside.clone())).await.map(drop);
        let copy = crate::CopyRequest { subresources: beside, ..copy_request((&name, "k"), (&name, "copy")) };
        let copied = world.store.copy(copy).await.map(drop);
        for outcome in [set, put, begun, copied] {
            assert!(matches!(outcome, Err(Error::InvalidArgument { .. })), "{until:?}: {outcome:?}");
        }
    }
    assert_eq!(shown(&world, &name, "k", VersionSelector::Latest).await.retention, None);
    // Over by the wall clock, which was set forward, and by no means on the compliance clock.
    world.clock.set_wall(now.plus(DAY * 2));
    let over = Some(Retention { mode: COMPLIANCE, until: now.plus(DAY) });
    let set = world.store.set_retention(&of(&name, "k", VersionSelector::Latest), None, (over, true)).await;
    assert!(matches!(set, Err(Error::InvalidArgument { .. })), "{set:?}");
    let put = world.put_with(with_lock(&name, "k", over, None), "v").await.map(drop);
    assert!(matches!(put, Err(Error::InvalidArgument { .. })), "{put:?}");
}

#[tokio::test]
async fn a_wall_clock_set_forward_opens_no_lock_and_one_set_back_makes_none_that_is_over() {
    let world = World::new(91).await;
    let name = lockable(&world, "lock", Some(days(COMPLIANCE, 10))).await;
    let version = world.put(&name, "k", "v").await.version.unwrap();
    // A year ahead: nothing has gone by on the compliance clock.
    let real = world.clock.now();
    world.clock.set_wall(real.plus(DAY * 365));
    world.store.compliance.settle().await.unwrap();
    locked(remove(&world, &name, "k", version.into(), true).await);
    let longer = Retention { mode: COMPLIANCE, until: real.plus(DAY * 366) };
    world.store.set_retention(&of(&name, "k", version.into()), None, (Some(longer), false)).await.unwrap();
    // A year back: what is made then lasts as long as it says, by either clock.
    world.clock.set_wall(Timestamp::from_millis(real.as_millis() - 365 * 86_400_000));
    let back = world.put(&name, "back", "v").await.version.unwrap();
    locked(remove(&world, &name, "back", back.into(), true).await);
    let retention = shown(&world, &name, "back", back.into()).await.retention.unwrap();
    assert!(retention.until >= real.plus(DAY * 10), "{retention:?}");
    let over = Retention { mode: GOVERNANCE, until: world.clock.now().plus(DAY) };
    let refused = world.store.set_retention(&of(&name, "back", back.into()), None, (Some(over), true)).await;
    assert!(
        matches!(refused, Err(Error::InvalidArgument { .. })),
        "over on the compliance clock: {refused:?}"
    );
}

#[tokio::test]
async fn downtime_counts_for_no_retention() {
    let mut world = World::new(92).await;
    let name = lockable(&world, "lock", Some(days(COMPLIANCE, 10))).await;
    let version = world.put(&name, "k", "v").await.version.unwrap();
    world.down_for(DAY * 30).await;
    locked(remove(&world, &name, "k", version.into(), true).await);
    run_for(&world, 9).await;
    locked(remove(&world, &name, "k", version.into(), true).await);
    // Nine days of uptime caught up nine hours; the tenth day does the rest.
    run_for(&world, 1).await;
    remove(&world, &name, "k", version.into(), false).await.unwrap();
}

#[tokio::test]
async fn a_lock_ends_when_its_time_has_come_and_not_a_minute_later() {
    let world = World::new(93).await;
    let name = lockable(&world, "lock", None).await;
    let until = world.clock.now().plus(Duration::from_secs(30));
    let retention = Some(Retention { mode: COMPLIANCE, until });
    let put = world.put_with(with_lock(&name, "k", retention, None), "v").await.unwrap();
    let version = put.version.unwrap();
    world.clock.advance(Duration::from_secs(29));
    locked(remove(&world, &name, "k", version.into(), true).await);
    world.clock.advance(Duration::from_secs(1));
    remove(&world, &name, "k", version.into(), false).await.unwrap();
}

#[tokio::test]
async fn in_a_rehearsal_days_are_short_and_dates_are_real() {
    let world = World::rehearsing(94, Duration::from_secs(10)).await;
    let name = lockable(&world, "lock", Some(days(COMPLIANCE, 3))).await;
    let version = world.put(&name, "k", "v").await.version.unwrap();
    let until = world.clock.now().plus(Duration::from_secs(30));
    assert_eq!(shown(&world, &name, "k", version.into()).await.retention.unwrap().until, until);
    world.clock.advance(Duration::from_secs(29));
    locked(remove(&world, &name, "k", version.into(), true).await);
    world.clock.advance(Duration::from_secs(1));
    remove(&world, &name, "k", version.into(), false).await.unwrap();
}

#[tokio::test]
async fn tags_change_beside_a_lock_and_a_restart_forgets_none() {
    let mut world = World::new(95).await;
    let name = lockable(&world, "lock", Some(days(COMPLIANCE, 1))).await;
    let version = world.put(&name, "k", "v").await.version.unwrap();
    let before = shown(&world, &name, "k", version.into()).await.retention;
    let tags = Tags::of_object([("a".to_owned(), "1".to_owned())]).unwrap();
    let request = of(&name, "k", version.into());
    world.store.set_tags(&request, None, &tags).await.unwrap();
    world.store.set(&name, Some(&BucketTags(tags))).await.unwrap();
    world.reopen().await;
    assert_eq!(shown(&world, &name, "k", version.into()).await.retention, before);
    locked(remove(&world, &name, "k", version.into(), true).await);
    assert!(world.store.setting::<ObjectLock>(&bucket("lock")).await.unwrap().is_some());
}

/// A crash right after it must not put the clock behind what the change was judged by.
#[tokio::test]
async fn a_hold_is_changed_at_a_time_that_is_written_down() {
    use engine::clock::compliance::ComplianceClock;
    let world = World::new(96).await;
    let name = lockable(&world, "lock", None).await;
    let version = world.put(&name, "k", "v").await.version.unwrap();
    let mut written = world.store.compliance.settle().await.unwrap();
    for on in [true, false] {
        world.clock.advance(Duration::from_secs(30));
        world.store.set_legal_hold(&of(&name, "k", version.into()), None, on).await.unwrap();
        let after_a_crash = ComplianceClock::open(world.catalog.clone(), world.clock.clone()).await.unwrap();
        assert!(after_a_crash.now().since(written) >= Duration::from_secs(30), "{on}");
        written = after_a_crash.now();
    }
}
