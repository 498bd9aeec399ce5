//! Whose turn it is: what one account, bucket or report can't do to others.

use super::{Made, paced, wanted, worker};
use crate::inventory::{Pace, Whose};
use crate::world::{World, bucket};
use crate::{Inventory, InventoryVersions, NewBucket, QuotaLimits, Versioning, tables};
use bytes::Bytes;
use engine::catalog::{Catalog as _, Commit, Write};
use engine::id::PartitionId;
use engine::unit::ByteCount;
use engine::worker::Progress;
use security::AccountId;
use std::time::Duration;

#[tokio::test]
async fn one_accounts_huge_bucket_holds_up_no_others_report() {
    let mut made = Made::new(334, Versioning::Off).await;
    // So that there are turns to take.
    made.worker = paced(&made.world, Pace { turn: 2, ..Pace::default() });
    for at in 0..7_000 {
        made.world.put(&made.source, &format!("{at:05}"), Bytes::new()).await;
    }
    let set = wanted(&made.target, InventoryVersions::Current, &[]);
    made.world.store.set_inventory(&made.source, &set).await.unwrap();
    // Its report is under way when another account asks for one.
    for _ in 0..4 {
        assert!(matches!(made.worker.tick().await.unwrap(), Progress::More { .. }));
    }
    let other: AccountId = "444455556666".parse().unwrap();
    let (theirs, into) = (bucket("their-src"), bucket("their-target"));
    for name in [&theirs, &into] {
        made.world.store.create_bucket(name, &NewBucket::of(other)).await.unwrap();
    }
    made.world.put(&theirs, "k", "x").await;
    made.world.store.set_inventory(&theirs, &wanted(&into, InventoryVersions::Current, &[])).await.unwrap();
    let mut ticks = 0;
    while made.world.keys(&into).await.len() < 3 {
        ticks += 1;
        assert!(ticks <= 20 && matches!(made.worker.tick().await.unwrap(), Progress::More { .. }));
    }
    assert!(made.manifests().await.is_empty(), "the large one was done before");
    made.work().await;
    // Its turns ended its files, and the report is what it would have been.
    let manifest = made.json(&made.manifests().await[0]).await;
    let files = manifest["files"].as_array().unwrap().len();
    assert!((2..=4).contains(&files), "{files}");
    assert_eq!(made.lines(&manifest).await.len(), 7_000);
    assert_eq!(made.versions().await.len(), files + 2);
}

#[tokio::test]
async fn a_bucket_whose_configurations_can_not_be_read_holds_up_no_other() {
    let mut made = Made::new(335, Versioning::Off).await;
    let set = wanted(&made.target, InventoryVersions::Current, &[]);
    let damaged = made.world.create("aaa", Versioning::Off).await;
    for name in [&damaged, &made.source] {
        made.world.store.set_inventory(name, &set).await.unwrap();
    }
    let partition = made.world.partition(&damaged).await;
    let row = tables::setting(crate::SettingKind::Inventory, &set.id);
    let version = made.world.catalog.snapshot(partition).await.unwrap().read_version();
    let writes = vec![Write::Put(row, Bytes::from_static(b"\x01damaged"))];
    let commit = Commit { writes, ..Commit::new(partition, version) };
    made.world.catalog.commit(commit).await.unwrap();
    made.work().await;
    assert_eq!(made.manifests().await.len(), 1);
    let failing = made.world.store.failing_inventories();
    let told: Vec<_> = failing.iter().map(|failure| (failure.bucket.as_str(), &failure.whose)).collect();
    assert_eq!(told, [("aaa", &Whose::Unreadable)]);
    assert_eq!(failing[0].id(), None);
}

#[tokio::test]
async fn a_damaged_configuration_is_told_and_can_be_replaced_and_deleted() {
    let mut made = Made::new(342, Versioning::Off).await;
    let set = wanted(&made.target, InventoryVersions::Current, &[]);
    let other = Inventory { id: "other".to_owned(), ..set.clone() };
    let partition = made.world.partition(&made.source).await;
    let run = format!("{}\0", set.id);
    // The configuration, and what stands of its last run beside it.
    for row in [&set.id, &run] {
        let damage = async |world: &World| {
            let version = world.catalog.snapshot(partition).await.unwrap().read_version();
            let row = tables::setting(crate::SettingKind::Inventory, row);
            let writes = vec![Write::Put(row, Bytes::from_static(b"\x01damaged"))];
            world.catalog.commit(Commit { writes, ..Commit::new(partition, version) }).await.unwrap();
        };
        made.world.store.set_inventory(&made.source, &set).await.unwrap();
        damage(&made.world).await;
        made.work().await;
        let failing = made.world.store.failing_inventories();
        assert_eq!(failing.len(), 1, "{failing:?}");
        assert!(failing[0].error.contains(&format!("of id {}", set.id)), "which one: {failing:?}");
        made.world.store.set_inventory(&made.source, &other).await.unwrap();
        made.world.store.set_inventory(&made.source, &set).await.unwrap();
        assert_eq!(made.world.store.inventory(&made.source, &set.id).await.unwrap(), set);
        made.work().await;
        assert_eq!(made.world.store.failing_inventories(), []);
        damage(&made.world).await;
        made.world.store.remove_inventory(&made.source, &set.id).await.unwrap();
        let (left, _) = made.world.store.list_inventories(&made.source, None, 10).await.unwrap();
        assert_eq!(left, std::slice::from_ref(&other));
        made.work().await;
        assert_eq!(made.world.store.failing_inventories(), []);
        made.world.store.remove_inventory(&made.source, &other.id).await.unwrap();
    }
}

#[tokio::test]
async fn a_bucket_that_can_not_be_read_at_all_holds_up_no_other() {
    let mut made = Made::new(340, Versioning::Off).await;
    let set = wanted(&made.target, InventoryVersions::Current, &[]);
    let (first, second) =
        (made.world.create("aaa", Versioning::Off).await, made.world.create("bbb", Versioning::Off).await);
    for name in [&first, &second, &made.source] {
        made.world.store.set_inventory(name, &set).await.unwrap();
    }
    let damage = async |world: &World, partition, row| {
        let version = world.catalog.snapshot(partition).await.unwrap().read_version();
        let writes = vec![Write::Put(row, Bytes::from_static(b"\x01damaged"))];
        let commit = Commit { writes, ..Commit::new(partition, version) };
        world.catalog.commit(commit).await.unwrap();
    };
    let partition = made.world.partition(&first).await;
    damage(&made.world, partition, tables::only(tables::CONFIG)).await;
    made.world.reopen().await;
    // A start reads all of root.
    damage(&made.world, PartitionId::ROOT, tables::bucket(tables::BUCKETS, &second)).await;
    made.worker = worker(&made.world);
    let rest = made.work().await;
    assert_eq!(made.manifests().await.len(), 1);
    let told = |world: &World| -> Vec<_> {
        let failing = world.store.failing_inventories().into_iter();
        failing.map(|failure| format!("{} {:?}", failure.bucket, failure.whose)).collect()
    };
    assert_eq!(told(&made.world), ["aaa Unreadable", "bbb Unreadable"]);
    // They are asked for again, and nobody is told twice.
    made.world.clock.advance(rest);
    made.work().await;
    assert_eq!(told(&made.world), ["aaa Unreadable", "bbb Unreadable"]);
}

#[tokio::test]
async fn reports_that_fail_in_great_number_wait_together() {
    let mut made = Made::new(341, Versioning::Off).await;
    made.worker = paced(&made.world, Pace { waits: 3, ..Pace::default() });
    let none = QuotaLimits { bytes: Some(ByteCount::new(1)), objects: None, warn_percent: 80 };
    made.world.store.set_quota(&made.target, "", none).await.unwrap();
    let set = wanted(&made.target, InventoryVersions::Current, &[]);
    for n in 0..10 {
        let set = Inventory { id: format!("i{n}"), ..set.clone() };
        made.world.store.set_inventory(&made.source, &set).await.unwrap();
    }
    made.work().await;
    let failing = made.world.store.failing_inventories();
    let whose: Vec<_> = failing.into_iter().map(|failure| failure.whose).collect();
    let one = |id: &str| Whose::One(id.to_owned());
    assert_eq!(whose, [Whose::Together, one("i0"), one("i1"), one("i2")]);
    // A look at the bucket before their time tries none of them.
    made.world.store.remove_inventory(&made.source, "i9").await.unwrap();
    let mut ticks = 0;
    while let Progress::More { .. } = made.worker.tick().await.unwrap() {
        ticks += 1;
    }
    assert!(ticks <= 2, "{ticks}");
    // Nor does one that comes after the first wait, when they had another one of twice its time.
    made.world.clock.advance(Duration::from_secs(30));
    let rest = made.work().await;
    assert_eq!((rest, made.world.store.failing_inventories().len()), (Duration::from_mins(1), 4));
    // And when there is room, all are made.
    made.world.store.remove_quota(&made.target, "").await.unwrap();
    made.world.clock.advance(rest);
    made.work().await;
    assert_eq!(made.manifests().await.len(), 9);
    assert!(made.world.store.failing_inventories().is_empty());
}

#[tokio::test]
async fn a_destination_that_takes_nothing_is_told_and_tried_again() {
    let mut made = Made::new(327, Versioning::Off).await;
    let source = made.source.clone();
    let none = QuotaLimits { bytes: Some(ByteCount::new(1)), objects: None, warn_percent: 80 };
    made.world.store.set_quota(&made.target, "", none).await.unwrap();
    let set = wanted(&made.target, InventoryVersions::Current, &[]);
    made.world.store.set_inventory(&source, &set).await.unwrap();
    let rest = made.work().await;
    let failing = made.world.store.failing_inventories();
    assert_eq!((failing.len(), failing[0].id()), (1, Some("all.of-it_1")));
    assert!(failing[0].error.contains("quota"), "{failing:?}");
    // Another one is made meanwhile.
    let other = made.world.create("other", Versioning::Off).await;
    let second = Inventory { id: "second".to_owned(), destination: other.clone(), ..set.clone() };
    made.world.store.set_inventory(&source, &second).await.unwrap();
    made.work().await;
    assert_eq!(made.world.keys(&other).await.len(), 2);
    made.world.store.remove_quota(&made.target, "").await.unwrap();
    made.world.clock.advance(rest);
    made.work().await;
    assert_eq!(made.manifests().await.len(), 1);
    assert!(made.world.store.failing_inventories().is_empty());
}
