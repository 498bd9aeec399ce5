//! Locks decided in the commit: what another owner of the partition does between any two steps of an operation never lets a
//! locked version go.

use super::between::{Pair, in_every_gap};
use super::lock::{in_days, of};
use crate::world::{World, key};
use crate::{
    BucketName, DefaultRetention, DeleteConditions, DeleteRequest, Error, GetRequest, LockMode, ObjectLock,
    Period, PutRequest, Retention, VersionSelector, Versioning,
};

async fn lockable(pair: &Pair, name: &str) -> BucketName {
    let name = pair.fast.create(name, Versioning::Enabled).await;
    pair.fast.store.set(&name, Some(&ObjectLock::default())).await.unwrap();
    name
}

async fn shown(world: &World, name: &BucketName, at: &str, version: VersionSelector) -> Option<Retention> {
    let request = GetRequest { version, ..GetRequest::new(name.clone(), key(at)) };
    world.store.head(request).await.unwrap().info.subresources.retention
}

#[tokio::test]
async fn a_delete_notices_a_lock_that_comes_between() {
    let pair = Pair::new(100).await;
    let name = lockable(&pair, "locked").await;
    for (hold, on_top) in [(false, true), (false, false), (true, true), (true, false)] {
        in_every_gap(async |n| {
            let at = format!("k{hold}{on_top}{n}");
            let version: VersionSelector = pair.fast.put(&name, &at, "v").await.version.unwrap().into();
            if !on_top {
                pair.fast.delete(&name, &at).await;
            }
            let (fast, amend) = (pair.fast.clone(), of(&name, &at, version));
            let step = async move {
                // What is gone by then can't be locked any more.
                let outcome = if hold {
                    fast.store.set_legal_hold(&amend, None, true).await
                } else {
                    let retention = in_days(&fast, LockMode::Compliance, 1);
                    fast.store.set_retention(&amend, None, (Some(retention), false)).await
                };
                outcome.unwrap();
            };
            let request = DeleteRequest {
                bucket: name.clone(),
                key: key(&at),
                version,
                conditions: DeleteConditions::default(),
                bypass_governance: true,
                origin: crate::Origin::default(),
                asks: None,
            };
            let Some(outcome) = pair.with_step_at(n, step, pair.slow.store.delete(request)).await else {
                return false;
            };
            assert!(matches!(outcome, Err(Error::ObjectLocked)), "gap {n}: {outcome:?}");
            assert_eq!(pair.fast.get_version(&name, &at, version).await.unwrap(), "v", "gap {n}");
            true
        })
        .await;
    }
}

#[tokio::test]
async fn a_shortening_notices_that_the_mode_became_compliance() {
    let pair = Pair::new(101).await;
    let name = lockable(&pair, "weakened").await;
    in_every_gap(async |n| {
        let at = format!("k{n}");
        let version: VersionSelector = pair.fast.put(&name, &at, "v").await.version.unwrap().into();
        let amend = of(&name, &at, version);
        let governance = in_days(&pair.fast, LockMode::Governance, 5);
        pair.fast.store.set_retention(&amend, None, (Some(governance), false)).await.unwrap();
        let compliance = in_days(&pair.fast, LockMode::Compliance, 5);
        let (fast, theirs) = (pair.fast.clone(), amend.clone());
        let step = async move {
            fast.store.set_retention(&theirs, None, (Some(compliance), true)).await.unwrap();
        };
        let removed = pair.slow.store.set_retention(&amend, None, (None, true));
        let Some(outcome) = pair.with_step_at(n, step, removed).await else { return false };
        assert!(matches!(outcome, Err(Error::ObjectLocked)), "gap {n}: {outcome:?}");
        assert_eq!(shown(&pair.fast, &name, &at, version).await, Some(compliance), "gap {n}");
        true
    })
    .await;
}

#[tokio::test]
async fn a_write_gets_the_default_that_holds_when_it_commits() {
    let pair = Pair::new(102).await;
    in_every_gap(async |n| {
        let name = lockable(&pair, &format!("default-{n}")).await;
        let (fast, theirs) = (pair.fast.clone(), name.clone());
        let step = async move {
            let default = DefaultRetention { mode: LockMode::Compliance, period: Period::Days(1) };
            fast.store.set(&theirs, Some(&ObjectLock::new(Some(default)).unwrap())).await.unwrap();
        };
        let put = pair.slow.put_with(PutRequest::new(name.clone(), key("k")), "v");
        let Some(outcome) = pair.with_step_at(n, step, put).await else { return false };
        let version = outcome.unwrap().version.unwrap();
        let expected = Some(in_days(&pair.fast, LockMode::Compliance, 1));
        assert_eq!(shown(&pair.fast, &name, "k", version.into()).await, expected, "gap {n}");
        true
    })
    .await;
}

#[tokio::test]
async fn versions_and_object_lock_are_never_turned_off_and_on_at_once() {
    let pair = Pair::new(103).await;
    for locks in [true, false] {
        in_every_gap(async |n| {
            let name = pair.fast.create(&format!("either-{locks}-{n}"), Versioning::Enabled).await;
            let (fast, theirs) = (pair.fast.clone(), name.clone());
            let step = async move {
                if locks {
                    fast.store.set_versioning(&theirs, Versioning::Suspended).await.unwrap();
                } else {
                    fast.store.set(&theirs, Some(&ObjectLock::default())).await.unwrap();
                }
            };
            let ours = async {
                if locks {
                    pair.slow.store.set(&name, Some(&ObjectLock::default())).await
                } else {
                    pair.slow.store.set_versioning(&name, Versioning::Suspended).await
                }
            };
            let Some(outcome) = pair.with_step_at(n, step, ours).await else { return false };
            assert!(matches!(outcome, Err(Error::InvalidBucketState { .. })), "gap {n}: {outcome:?}");
            true
        })
        .await;
    }
}

#[tokio::test]
async fn an_amendment_and_a_new_version_lose_nothing_of_one_another() {
    let pair = Pair::new(104).await;
    let name = lockable(&pair, "both").await;
    in_every_gap(async |n| {
        let at = format!("k{n}");
        let version: VersionSelector = pair.fast.put(&name, &at, "old").await.version.unwrap().into();
        let retention = in_days(&pair.fast, LockMode::Compliance, 1);
        let (fast, amend) = (pair.fast.clone(), of(&name, &at, version));
        let step = async move {
            fast.store.set_retention(&amend, None, (Some(retention), false)).await.unwrap();
        };
        let put = pair.slow.put_with(PutRequest::new(name.clone(), key(&at)), "new");
        let Some(outcome) = pair.with_step_at(n, step, put).await else { return false };
        outcome.unwrap();
        assert_eq!(shown(&pair.fast, &name, &at, version).await, Some(retention), "gap {n}");
        assert_eq!(pair.fast.get(&name, &at).await.unwrap(), "new", "gap {n}");
        true
    })
    .await;
}
