//! Locks after a recovery: what the lost span may have changed is held, and what comes after it is not.

use crate::lock::DAY;
use crate::record::ObjectRow;
use crate::world::{World, key};
use crate::{
    AmendRequest, BucketName, DeleteConditions, DeleteOutcome, DeleteRequest, Error, GetRequest, LockMode,
    ObjectLock, Result, Retention, Subresources, VersionSelector, Versioning, tables,
};
use engine::catalog::record::Record;
use engine::catalog::{Catalog, Scan};
use engine::clock::{Clock, Timestamp};

async fn lockable(world: &World, name: &str) -> BucketName {
    let name = world.create(name, Versioning::Enabled).await;
    world.store.set(&name, Some(&ObjectLock::default())).await.unwrap();
    name
}

async fn remove(
    world: &World,
    name: &BucketName,
    at: &str,
    version: VersionSelector,
) -> Result<DeleteOutcome> {
    let request = DeleteRequest {
        bucket: name.clone(),
        key: key(at),
        version,
        conditions: DeleteConditions::default(),
        bypass_governance: true,
        origin: crate::Origin::default(),
        asks: None,
    };
    world.store.delete(request).await
}

async fn hold(world: &World, name: &BucketName, at: &str) -> Option<bool> {
    let found = world.store.head(GetRequest::new(name.clone(), key(at))).await.unwrap();
    found.info.subresources.legal_hold
}

#[tokio::test]
async fn what_a_recovery_brought_back_is_held_until_somebody_says_otherwise_of_it() {
    let mut world = World::new(110).await;
    let name = lockable(&world, "locked").await;
    let plain = world.create("plain", Versioning::Enabled).await;
    let of_plain = world.put(&plain, "k", "v").await.version.unwrap();
    world.put(&name, "k", "old").await;
    world.put(&name, "gone", "v").await;
    let marker = world.delete(&name, "gone").await.version.unwrap();
    let version: VersionSelector = world.put(&name, "k", "v").await.version.unwrap().into();
    assert_eq!(world.store.hold_unknown_locks("first").await.unwrap(), 1);
    world.reopen().await;
    assert!(matches!(remove(&world, &name, "k", version).await, Err(Error::ObjectLocked)));
    assert_eq!(hold(&world, &name, "k").await, Some(true), "shown as the hold that it is");
    // Neither markers, nor other buckets, nor what is written from now on.
    remove(&world, &name, "gone", marker.into()).await.unwrap();
    assert!(remove(&world, &name, "gone", VersionSelector::Latest).await.unwrap().marker);
    remove(&world, &plain, "k", of_plain.into()).await.unwrap();
    let later = world.put(&name, "k", "later").await.version.unwrap();
    assert_eq!(hold(&world, &name, "k").await, None);
    remove(&world, &name, "k", later.into()).await.unwrap();
    // A retention is no word on the hold; a hold that is turned off is.
    let request =
        AmendRequest { bucket: name.clone(), key: key("k"), version, origin: crate::Origin::default() };
    let until = world.clock.now().plus(DAY);
    let retention = Some(Retention { mode: LockMode::Governance, until });
    world.store.set_retention(&request, None, (retention, false)).await.unwrap();
    world.store.set_retention(&request, None, (None, true)).await.unwrap();
    assert!(matches!(remove(&world, &name, "k", version).await, Err(Error::ObjectLocked)));
    world.store.set_legal_hold(&request, None, false).await.unwrap();
    remove(&world, &name, "k", version).await.unwrap();
    // A new default forgets nothing of it.
    world.store.set(&name, Some(&ObjectLock::default())).await.unwrap();
    assert_eq!(hold(&world, &name, "k").await, Some(true), "the older version, on top by now");
}

#[tokio::test]
async fn each_recovery_is_dealt_with_once() {
    let world = World::new(111).await;
    let name = lockable(&world, "locked").await;
    assert_eq!(world.store.hold_unknown_locks("first").await.unwrap(), 1);
    let version: VersionSelector = world.put(&name, "k", "v").await.version.unwrap().into();
    assert_eq!(world.store.hold_unknown_locks("first").await.unwrap(), 0);
    remove(&world, &name, "k", version).await.unwrap();
    world.put(&name, "k", "v").await;
    assert_eq!(world.store.hold_unknown_locks("second").await.unwrap(), 1);
    assert_eq!(hold(&world, &name, "k").await, Some(true));
}

#[tokio::test]
async fn a_clock_that_is_behind_after_a_recovery_makes_no_new_version_an_unknown_one() {
    let world = World::new(112).await;
    let name = lockable(&world, "locked").await;
    world.put(&name, "k", "v").await;
    world.store.hold_unknown_locks("first").await.unwrap();
    world.clock.set_wall(Timestamp::from_millis(world.clock.now().as_millis() - 86_400_000));
    let version = world.put(&name, "other", "v").await.version.unwrap();
    assert_eq!(hold(&world, &name, "other").await, None);
    remove(&world, &name, "other", version.into()).await.unwrap();
}

#[tokio::test]
async fn held_locks_are_counted_and_those_of_a_bucket_released_at_once_but_for_its_own_holds() {
    let mut world = World::new(113).await;
    let (name, other) = (lockable(&world, "locked").await, lockable(&world, "other").await);
    world.create("plain", Versioning::Enabled).await;
    let mut versions = Vec::new();
    for n in 0..5 {
        versions.push(world.put(&name, "k", n.to_string()).await.version.unwrap());
    }
    world.delete(&name, "k").await;
    world.put(&other, "k", "v").await;
    assert!(world.store.held_locks(100).await.unwrap().is_empty());
    world.store.hold_unknown_locks("first").await.unwrap();
    world.put(&name, "k", "later").await;
    let request = |n: usize| AmendRequest {
        bucket: name.clone(),
        key: key("k"),
        version: versions[n].into(),
        origin: crate::Origin::default(),
    };
    world.store.set_legal_hold(&request(0), None, true).await.unwrap();
    world.store.set_legal_hold(&request(1), None, false).await.unwrap();
    let until = world.clock.now().plus(DAY);
    let retention = Some(Retention { mode: LockMode::Compliance, until });
    world.store.set_retention(&request(2), None, (retention, false)).await.unwrap();
    let counts = async |world: &World, rows_max| -> Vec<(String, u64, bool)> {
        let held = world.store.held_locks(rows_max).await.unwrap();
        held.into_iter().map(|held| (held.bucket.to_string(), held.versions, held.more)).collect()
    };
    let all = [("locked".to_owned(), 3, false), ("other".to_owned(), 1, false)];
    assert_eq!(
        counts(&world, 100).await,
        all,
        "neither what somebody spoke of, nor markers, nor what is new"
    );
    assert_eq!(counts(&world, 0).await, [("locked".to_owned(), 0, true), ("other".to_owned(), 0, true)]);

    world.store.release_held(&name).await.unwrap();
    world.reopen().await;
    assert_eq!(counts(&world, 100).await, all[1..], "the other bucket's are held as before");
    assert_eq!(world.store.hold_unknown_locks("first").await.unwrap(), 0, "and it stays so");
    for (n, stays) in [(0, true), (1, false), (2, true), (3, false), (4, false)] {
        let removed = remove(&world, &name, "k", versions[n].into()).await;
        assert_eq!(matches!(removed, Err(Error::ObjectLocked)), stays, "version {n}: {removed:?}");
    }
}

#[tokio::test]
async fn what_is_unknown_has_a_body_nobodys_word_and_was_there_at_the_recovery() {
    let world = World::new(114).await;
    let name = lockable(&world, "locked").await;
    world.put(&name, "k", "v").await;
    let snapshot = world.catalog.snapshot(world.partition(&name).await).await.unwrap();
    let rows = snapshot.scan(Scan::prefix(tables::VERSIONS, b"", 10)).await.unwrap().rows;
    let object = ObjectRow::from_bytes(&rows[0].1).unwrap();
    let order = object.version.order;
    for stored in [object.stored.clone(), None] {
        for legal_hold in [None, Some(true), Some(false)] {
            for unknown_through in [0, order - 1, order, order + 1] {
                let subresources = Subresources { legal_hold, ..object.subresources.clone() };
                let row = ObjectRow { stored: stored.clone(), subresources, ..object.clone() };
                let lock = ObjectLock { unknown_through, ..ObjectLock::default() };
                let unknown = stored.is_some() && legal_hold.is_none() && unknown_through >= order;
                assert_eq!(lock.leaves_unknown(&row), unknown, "{row:?} {lock:?}");
            }
        }
    }
}
