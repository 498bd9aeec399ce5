//! Locks after a recovery: what the lost span may have changed is held, and what comes after it is not.

use crate::lock::DAY;
use crate::world::{World, key};
use crate::{
    AmendRequest, BucketName, DeleteConditions, DeleteOutcome, DeleteRequest, Error, GetRequest, LockMode,
    ObjectLock, Result, Retention, VersionSelector, Versioning,
};
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
    let request = AmendRequest { bucket: name.clone(), key: key("k"), version };
    let until = world.clock.now().plus(DAY);
    let retention = Some(Retention { mode: LockMode::Governance, until });
    world.store.set_retention(&request, retention, false).await.unwrap();
    world.store.set_retention(&request, None, true).await.unwrap();
    assert!(matches!(remove(&world, &name, "k", version).await, Err(Error::ObjectLocked)));
    world.store.set_legal_hold(&request, false).await.unwrap();
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
