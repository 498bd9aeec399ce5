//! What is left of reports that come to nothing, and of what goes while they are made.

use super::{Made, begin, by_hand, wanted};
use crate::inventory::{Begun, FILE_BYTES, Run, Step};
use crate::tests::between::{Pair, in_every_gap};
use crate::world::World;
use crate::{
    AmendRequest, BucketName, Inventory, InventoryVersions, ListRequest, NewBucket, ObjectLock, Origin,
    QuotaLimits, VersionSelector, Versioning, tables,
};
use bytes::Bytes;
use engine::catalog::record::Record as _;
use engine::catalog::{Catalog as _, Commit, Write};
use engine::unit::ByteCount;
use engine::worker::Progress;
use md5::Digest as _;
use security::AccountId;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

#[tokio::test]
async fn what_fails_at_any_step_leaves_nothing_or_a_whole_report() {
    let pair = Pair::new(330).await;
    let source = pair.fast.create("src", Versioning::Off).await;
    for at in 0..3 {
        pair.fast.put(&source, &format!("{at}"), "x").await;
    }
    let mut outcomes = BTreeSet::new();
    in_every_gap(async |n| {
        let target = pair.fast.create(&format!("target{n}"), Versioning::Off).await;
        let set = Inventory { id: format!("i{n}"), ..wanted(&target, InventoryVersions::Current, &[]) };
        pair.slow.store.set_inventory(&source, &set).await.unwrap();
        let (store, name) = (Arc::clone(&pair.fast.store), target.clone());
        // From here on the destination takes nothing more.
        let full = async move {
            let none = QuotaLimits { bytes: Some(ByteCount::new(1)), objects: None, warn_percent: 80 };
            store.set_quota(&name, "", none).await.unwrap();
        };
        let slow = &pair.slow.store;
        let made = async {
            let mut job = begin(&pair.slow, &source, &set.id, FILE_BYTES).await.unwrap();
            loop {
                match job.step(slow).await {
                    Ok(Step::More(_)) => {}
                    Ok(Step::Done) => break true,
                    Ok(Step::Gone) | Err(_) => break false,
                }
            }
        };
        let Some(done) = pair.with_step_at(n, full, made).await else { return false };
        let keys = pair.fast.keys(&target).await;
        assert!(keys.len() == if done { 3 } else { 0 }, "gap {n}, {done}: {keys:?}");
        outcomes.insert(done);
        true
    })
    .await;
    assert_eq!(outcomes.len(), 2);
}

#[tokio::test]
async fn a_report_that_is_whole_but_for_its_record_stays_and_is_made_no_second_time() {
    let made = Made::new(331, Versioning::Off).await;
    made.world.put(&made.source, "k", "x").await;
    let set = wanted(&made.target, InventoryVersions::Current, &[]);
    made.world.store.set_inventory(&made.source, &set).await.unwrap();
    let row = tables::setting(crate::SettingKind::Inventory, &format!("{}\0", set.id));
    let partition = made.world.partition(&made.source).await;
    let mut job = begin(&made.world, &made.source, &set.id, 1).await.unwrap();
    let mut before: Option<Bytes> = None;
    loop {
        let step = job.step(&made.world.store).await.unwrap();
        let snapshot = made.world.catalog.snapshot(partition).await.unwrap();
        if step == Step::Done {
            // As a crash right before the last commit would leave it.
            let mut run = Run::from_bytes(&before.unwrap()).unwrap();
            let manifest = made.world.get(&made.target, &made.manifests().await[0]).await.unwrap();
            run.wrote.as_mut().unwrap().manifest = Some(md5::Md5::digest(&manifest).into());
            let writes = vec![Write::Put(row.clone(), run.to_bytes())];
            let commit = Commit { writes, ..Commit::new(partition, snapshot.read_version()) };
            made.world.catalog.commit(commit).await.unwrap();
            break;
        }
        before = snapshot.get(row.clone()).await.unwrap();
    }
    let keys = made.world.keys(&made.target).await;
    assert!(begin(&made.world, &made.source, &set.id, 1).await.is_none());
    assert_eq!((keys.len(), made.world.keys(&made.target).await), (3, keys));
}

#[tokio::test]
async fn what_is_left_of_a_report_goes_with_its_configuration_and_leaves_what_is_not_its_own() {
    let mut made = Made::new(332, Versioning::Enabled).await;
    made.world.store.set_versioning(&made.target, Versioning::Enabled).await.unwrap();
    made.world.put(&made.source, "k", "x").await;
    let set = wanted(&made.target, InventoryVersions::Current, &[]);
    // Somebody's own object under the name of the manifest that is to come.
    let theirs = "reports/src/all.of-it_1/2023-11-14T22-13Z/manifest.json";
    made.world.put(&made.target, theirs, "theirs").await;
    made.world.store.set_inventory(&made.source, &set).await.unwrap();
    assert!(!by_hand(&made, 1, Some(1)).await);
    assert_eq!(made.versions().await.len(), 2);
    made.world.store.remove_inventory(&made.source, &set.id).await.unwrap();
    made.work().await;
    assert_eq!(made.versions().await, [theirs]);
    made.world.clock.advance(Duration::from_hours(24));
    made.work().await;
    assert!(made.world.store.marked(crate::SettingKind::Inventory).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_configuration_that_goes_while_its_report_ends_leaves_no_run_to_one_of_the_same_id() {
    let pair = Pair::new(337).await;
    let source = pair.fast.create("src", Versioning::Off).await;
    let partition = pair.fast.partition(&source).await;
    pair.fast.put(&source, "k", "x").await;
    in_every_gap(async |n| {
        let target = pair.fast.create(&format!("target{n}"), Versioning::Off).await;
        let set = Inventory { id: format!("i{n}"), ..wanted(&target, InventoryVersions::Current, &[]) };
        pair.slow.store.set_inventory(&source, &set).await.unwrap();
        let (store, of, id) = (Arc::clone(&pair.fast.store), source.clone(), set.id.clone());
        let step = async move { store.remove_inventory(&of, &id).await.unwrap() };
        let slow = &pair.slow.store;
        let made = async {
            let Some(mut job) = begin(&pair.slow, &source, &set.id, FILE_BYTES).await else { return };
            while let Ok(Step::More(_)) = job.step(slow).await {}
        };
        if pair.with_step_at(n, step, made).await.is_none() {
            return false;
        }
        let row = tables::setting(crate::SettingKind::Inventory, &format!("{}\0", set.id));
        let left = pair.fast.catalog.snapshot(partition).await.unwrap().get(row).await.unwrap();
        assert_eq!(left, None, "gap {n}");
        // The same id has its first report the same day.
        slow.set_inventory(&source, &set).await.unwrap();
        assert!(begin(&pair.slow, &source, &set.id, FILE_BYTES).await.is_some(), "gap {n}");
        true
    })
    .await;
}

#[tokio::test]
async fn what_is_left_of_a_large_report_is_removed_in_steps() {
    let mut made = Made::new(338, Versioning::Off).await;
    for at in 0..1_500 {
        made.world.put(&made.source, &format!("{at:05}"), Bytes::new()).await;
    }
    let set = wanted(&made.target, InventoryVersions::Current, &[]);
    made.world.store.set_inventory(&made.source, &set).await.unwrap();
    assert!(!by_hand(&made, 1, Some(2)).await);
    assert_eq!(made.versions().await.len(), 2);
    // As if it had been a report of very many files.
    let row = tables::setting(crate::SettingKind::Inventory, &format!("{}\0", set.id));
    let partition = made.world.partition(&made.source).await;
    let snapshot = made.world.catalog.snapshot(partition).await.unwrap();
    let mut run = Run::from_bytes(&snapshot.get(row.clone()).await.unwrap().unwrap()).unwrap();
    run.wrote.as_mut().unwrap().files = 50;
    let writes = vec![Write::Put(row.clone(), run.to_bytes())];
    let commit = Commit { writes, ..Commit::new(partition, snapshot.read_version()) };
    made.world.catalog.commit(commit).await.unwrap();
    made.world.store.remove_inventory(&made.source, &set.id).await.unwrap();
    let mut seen = Vec::new();
    while let Progress::More { .. } = made.worker.tick().await.unwrap() {
        let snapshot = made.world.catalog.snapshot(partition).await.unwrap();
        let raw = snapshot.get(row.clone()).await.unwrap();
        seen.push(raw.map_or(0, |raw| Run::from_bytes(&raw).unwrap().wrote.unwrap().files));
    }
    seen.dedup();
    assert_eq!(seen, [50, 34, 18, 2, 0]);
    assert!(made.versions().await.is_empty());
}

#[tokio::test]
async fn what_retention_locks_of_a_report_that_came_to_nothing_stays() {
    let mut made = Made::new(339, Versioning::Off).await;
    made.world.store.set_versioning(&made.target, Versioning::Enabled).await.unwrap();
    made.world.store.set(&made.target, Some(&ObjectLock::default())).await.unwrap();
    for at in 0..1_500 {
        made.world.put(&made.source, &format!("{at:05}"), Bytes::new()).await;
    }
    let set = wanted(&made.target, InventoryVersions::Current, &[]);
    made.world.store.set_inventory(&made.source, &set).await.unwrap();
    assert!(!by_hand(&made, 1, Some(2)).await);
    let files = made.versions().await;
    let request = AmendRequest {
        bucket: made.target.clone(),
        key: crate::world::key(&files[0]),
        version: VersionSelector::Latest,
        origin: Origin::default(),
    };
    made.world.store.set_legal_hold(&request, None, true).await.unwrap();
    made.work().await;
    let left = made.versions().await;
    assert!(left.contains(&files[0]) && !left.contains(&files[1]), "{left:?}");
    // The next report is made all the same.
    assert_eq!((made.manifests().await.len(), left.len()), (1, 4));
}

#[tokio::test]
async fn a_destination_that_is_made_anew_at_any_step_gets_nothing_of_another_accounts_report() {
    let pair = Pair::new(333).await;
    let other: AccountId = "444455556666".parse().unwrap();
    let source = pair.fast.create("src", Versioning::Off).await;
    pair.fast.put(&source, "secret", "x").await;
    in_every_gap(async |n| {
        let target = pair.fast.create(&format!("target{n}"), Versioning::Off).await;
        let set = Inventory { id: format!("i{n}"), ..wanted(&target, InventoryVersions::Current, &[]) };
        pair.slow.store.set_inventory(&source, &set).await.unwrap();
        let (fast, name) = (Arc::clone(&pair.fast), target.clone());
        let step = async move {
            for key in fast.keys(&name).await {
                fast.delete(&name, &key).await;
            }
            fast.store.delete_bucket(&name).await.unwrap();
            fast.store.create_bucket(&name, &NewBucket::of(other)).await.unwrap();
        };
        let slow = &pair.slow.store;
        let made = async {
            let begun = slow.begin_inventory(&source, &set.id, FILE_BYTES).await;
            let Ok(Begun::Job(mut job)) = begun else { return };
            while let Ok(Step::More(_)) = job.step(slow).await {}
        };
        if pair.with_step_at(n, step, made).await.is_none() {
            return false;
        }
        let listed = pair.fast.store.list_objects(ListRequest::new(target)).await.unwrap();
        assert!(listed.entries.is_empty(), "gap {n}: {listed:?}");
        true
    })
    .await;
}

#[tokio::test]
async fn a_configuration_that_is_set_while_the_last_one_goes_has_its_reports() {
    let pair = Pair::new(336).await;
    let target = pair.fast.create("target", Versioning::Off).await;
    let is_marked = async |world: &World, name: &BucketName| {
        world.store.marked(crate::SettingKind::Inventory).await.unwrap().contains(name)
    };
    // Of two owners, the one whose worker is rung sets the mark again; within one, a lock keeps it.
    for other in [true, false] {
        in_every_gap(async |n| {
            let source = pair.fast.create(&format!("src-{other}-{n}"), Versioning::Off).await;
            let old = wanted(&target, InventoryVersions::Current, &[]);
            let set = Inventory { id: "new".to_owned(), ..old.clone() };
            pair.slow.store.set_inventory(&source, &old).await.unwrap();
            let store = if other { &pair.fast.store } else { &pair.slow.store };
            let (store, name) = (Arc::clone(store), source.clone());
            let goes = async move {
                store.remove_inventory(&name, &old.id).await.unwrap();
                store.unmark_inventories(&name).await.unwrap();
            };
            let going = Arc::new(parking_lot::Mutex::new(None));
            let told = Arc::clone(&going);
            let step = async move {
                if other {
                    return goes.await;
                }
                *told.lock() = Some(tokio::spawn(goes));
                for _ in 0..100 {
                    tokio::task::yield_now().await;
                }
            };
            let outcome = pair.with_step_at(n, step, pair.slow.store.set_inventory(&source, &set)).await;
            let Some(outcome) = outcome else { return false };
            outcome.unwrap();
            if other {
                let account = pair.slow.parts().account;
                assert_eq!(pair.slow.store.due_in(&source, account).await.unwrap(), ["new"], "gap {n}");
            }
            let task = going.lock().take();
            if let Some(task) = task {
                task.await.unwrap();
            }
            assert!(is_marked(&pair.fast, &source).await, "other {other}, gap {n}");
            true
        })
        .await;
    }
}
