//! Rules move versions to other classes, down the waterfall, when their time has come, and locked ones too.

use super::lifecycle::{days, midnights, moves, noncurrent, run, set};
use super::lock::{in_days, of};
use crate::price::Prices;
use crate::world::{World, bytes, key};
use crate::{
    BucketName, CompleteRequest, CompletedPart, CreateUpload, Error, Expect, GetRequest, Lifecycle,
    LifecycleAct, LifecycleFilter, LifecycleRule, LifecycleWhyNot, LockMode, NoncurrentTransition,
    ObjectLock, PartNumber, PartRequest, PutRequest, StorageClass, Transition, TransitionMinimum,
    TransitionWhen, VersionSelector, Versioning, WriteConditions, tables,
};
use engine::clock::Clock;

async fn class(world: &World, name: &BucketName, at: &str) -> StorageClass {
    world.store.head(GetRequest::new(name.clone(), key(at))).await.unwrap().info.class
}

#[tokio::test]
async fn objects_go_down_the_waterfall_midnight_by_midnight() {
    use StorageClass::{DeepArchive, Glacier, GlacierIr, Standard};
    let world = World::new(520).await;
    let name = world.create("bkt", Versioning::Off).await;
    let rule = moves("a/", &[(1, GlacierIr), (3, Glacier), (5, DeepArchive)], 0);
    set(&world, &name, vec![rule, days("", 8)]).await;
    let put = world.put(&name, "a/k", bytes(1, 9_000)).await;
    assert!(put.expires.is_some(), "it is told when it expires, not when it moves");
    world.put(&name, "b/k", bytes(2, 9_000)).await;
    let begun = PutRequest { class: Glacier, ..PutRequest::new(name.clone(), key("a/deep")) };
    world.put_with(begun, bytes(3, 9_000)).await.unwrap();
    let expected = [Standard, GlacierIr, GlacierIr, Glacier, Glacier, DeepArchive, DeepArchive];
    for (night, expected) in expected.into_iter().enumerate() {
        midnights(&world, 1);
        run(&world, &name).await;
        assert_eq!(class(&world, &name, "a/k").await, expected, "night {night}");
        assert_eq!(class(&world, &name, "b/k").await, Standard, "night {night}");
        assert_eq!(
            class(&world, &name, "a/deep").await,
            expected.max(Glacier),
            "night {night}: never upwards"
        );
    }
    assert!(matches!(world.get(&name, "a/k").await, Err(Error::InvalidObjectState { .. })));
    midnights(&world, 2);
    let done = run(&world, &name).await;
    assert_eq!((done.expired, done.transitions), (3, 0));
}

#[tokio::test]
async fn what_is_overdue_is_moved_step_by_step_and_hidden_when_it_is_to_expire() {
    let world = World::new(521).await;
    let name = world.create("bkt", Versioning::Enabled).await;
    world.put(&name, "k", bytes(1, 9_000)).await;
    midnights(&world, 30);
    let rule = moves("", &[(2, StorageClass::GlacierIr), (4, StorageClass::Glacier)], 0);
    set(&world, &name, vec![rule, days("", 9)]).await;
    let done = run(&world, &name).await;
    assert_eq!((done.transitions, done.moved_bytes, done.expired), (2, 18_000, 1));
    assert!(matches!(world.get(&name, "k").await, Err(Error::NoSuchKey { marker: Some(_) })));
}

#[tokio::test]
async fn noncurrent_versions_move_by_their_number_and_what_is_locked_moves_too() {
    use StorageClass::{Glacier, Standard};
    let world = World::new(522).await;
    let name = world.create("bkt", Versioning::Enabled).await;
    world.store.set(&name, Some(&ObjectLock::default())).await.unwrap();
    let transition = NoncurrentTransition { days: 1, newer: Some(2), class: Glacier };
    let rule = LifecycleRule { noncurrent_transitions: vec![transition], ..moves("", &[], 1) };
    set(&world, &name, vec![rule, noncurrent("", 1, Some(2))]).await;
    let mut versions: Vec<VersionSelector> = Vec::new();
    for n in 0..6 {
        versions.push(world.put(&name, "k", bytes(n, 1_000)).await.version.unwrap().into());
    }
    let retention = in_days(&world, LockMode::Compliance, 10);
    world.store.set_retention(&of(&name, "k", versions[0]), None, (Some(retention), false)).await.unwrap();
    midnights(&world, 3);
    run(&world, &name).await;
    let mut classes = Vec::new();
    for version in &versions {
        let request = GetRequest { version: *version, ..GetRequest::new(name.clone(), key("k")) };
        classes.push(world.store.head(request).await.ok().map(|head| head.info.class));
    }
    // The locked one is moved, for it can't be removed; the others that are too many are gone.
    assert_eq!(classes, [Some(Glacier), None, None, Some(Standard), Some(Standard), Some(Standard)]);
}

#[tokio::test]
async fn small_objects_stay_where_they_are_unless_the_rule_or_the_bucket_says_otherwise() {
    let world = World::new(523).await;
    let name = world.create("bkt", Versioning::Off).await;
    let plain = |to| LifecycleRule {
        filter: LifecycleFilter::default(),
        id: format!("{to}"),
        ..moves("", &[(0, to)], 0)
    };
    for (at, size) in [("small", (128 << 10) - 1), ("large", 128 << 10)] {
        world.put(&name, at, bytes(1, size)).await;
    }
    set(&world, &name, vec![plain(StorageClass::Glacier)]).await;
    midnights(&world, 1);
    assert_eq!(run(&world, &name).await.transitions, 1);
    assert_eq!(class(&world, &name, "small").await, StorageClass::Standard);
    let explained = world.store.explain_lifecycle(&name, &key("small"), &Prices::default()).await.unwrap();
    assert_eq!(explained.versions[0].rules[0].says, Err(LifecycleWhyNot::TooSmall));
    let explained = world.store.explain_lifecycle(&name, &key("large"), &Prices::default()).await.unwrap();
    assert_eq!(explained.versions[0].rules[0].says, Err(LifecycleWhyNot::InClass));
    // By the bucket, of what is archived alone.
    for (to, moved) in [(StorageClass::GlacierIr, 0), (StorageClass::Glacier, 1)] {
        let mut rules = Lifecycle::new(vec![plain(to)]).unwrap();
        rules.minimum = TransitionMinimum::Varies;
        world.store.set_lifecycle(&name, Some(&rules)).await.unwrap();
        let until = world.clock.now().plus(crate::DAY);
        let page = world
            .store
            .preview_lifecycle(&name, (None, &Prices::default()), (world.clock.now(), until), None)
            .await
            .unwrap();
        assert_eq!(page.rows.iter().map(|row| row.count).sum::<u64>(), moved, "{to}");
        assert!(page.rows.iter().all(|row| row.act == LifecycleAct::Transition(to) && row.freed_bytes == 0));
        assert_eq!(run(&world, &name).await.transitions, moved, "{to}");
    }
}

#[tokio::test]
async fn a_date_moves_what_was_there_and_edits_and_new_versions_make_the_deed_judge_anew() {
    let world = World::new(524).await;
    let name = world.create("bkt", Versioning::Off).await;
    let now = world.clock.now().as_millis();
    let at = engine::clock::Timestamp::from_millis(now - now.rem_euclid(86_400_000) + 86_400_000);
    let transition = Transition { when: TransitionWhen::Date(at), class: StorageClass::Glacier };
    let rule = LifecycleRule { transitions: vec![transition], ..moves("", &[], 0) };
    set(&world, &name, vec![rule.clone()]).await;
    world.put(&name, "k", bytes(1, 100)).await;
    run(&world, &name).await;
    assert_eq!(class(&world, &name, "k").await, StorageClass::Standard, "not before");
    set(&world, &name, vec![LifecycleRule { enabled: false, ..rule.clone() }]).await;
    midnights(&world, 1);
    assert_eq!(run(&world, &name).await.transitions, 0, "switched off");
    set(&world, &name, vec![rule]).await;
    assert_eq!(run(&world, &name).await.transitions, 1);
    // Written anew it begins anew.
    world.put(&name, "k", bytes(2, 100)).await;
    assert_eq!(run(&world, &name).await.transitions, 0);
    world.delete(&name, "k").await;
    let partition = world.partition(&name).await;
    assert_eq!(world.rows(partition, tables::DUE).await, 0, "what is deleted takes its look along");
}

#[tokio::test]
async fn what_is_gone_for_good_at_a_midnight_is_not_moved_before_and_the_preview_says_so() {
    for (versioning, moved) in [(Versioning::Off, 0), (Versioning::Suspended, 0), (Versioning::Enabled, 1)] {
        let world = World::new(525).await;
        let name = world.create("bkt", versioning).await;
        set(&world, &name, vec![moves("", &[(2, StorageClass::Glacier)], 0), days("", 2)]).await;
        world.put(&name, "k", bytes(1, 9_000)).await;
        let (now, until) = (world.clock.now(), world.clock.now().plus(crate::DAY * 4));
        let page = world
            .store
            .preview_lifecycle(&name, (None, &Prices::default()), (now, until), None)
            .await
            .unwrap();
        let said = page.rows.iter().filter(|row| row.act.class().is_some()).map(|row| row.count).sum::<u64>();
        midnights(&world, 3);
        let done = run(&world, &name).await;
        assert_eq!((done.transitions, said, done.expired), (moved, moved, 1), "{versioning:?}");
    }
}

fn customer() -> security::envelope::CustomerKey {
    security::envelope::CustomerKey::new([7; 32])
}

/// An upload in two parts under a customer's key, kept in one zone.
async fn enclosed_parts(world: &World, name: &BucketName, at: &str) {
    let create = CreateUpload {
        class: StorageClass::OneZoneIa,
        customer_key: Some(customer()),
        ..CreateUpload::new(name.clone(), key(at))
    };
    let upload = world.store.create_upload(create).await.unwrap().upload;
    let mut parts = Vec::new();
    for (number, length) in [(1, 5 << 20), (2, 50_000)] {
        let part = PartNumber::new(number).unwrap();
        let request = PartRequest {
            bucket: name.clone(),
            key: key(at),
            upload,
            part,
            length: None,
            checksum: None,
            proven: true,
            writer: None,
            customer_key: Some(customer()),
            asks: None,
        };
        let mut sink = world.store.upload_part(request).await.unwrap();
        sink.write(bytes(number.into(), length)).await.unwrap();
        let uploaded = sink.finish(Expect::default()).await.unwrap();
        let checksum = uploaded.checksum.map(|sum| sum.value);
        parts.push(CompletedPart { number: part, etag: uploaded.etag, checksum });
    }
    let request = CompleteRequest {
        bucket: name.clone(),
        key: key(at),
        upload,
        parts,
        checksum: None,
        checksum_parts: None,
        checksum_type: None,
        size: None,
        conditions: WriteConditions::default(),
        origin: crate::Origin::default(),
        asks: None,
        customer_key: Some(customer()),
    };
    world.store.complete_upload(request).await.unwrap();
}

#[tokio::test]
async fn what_a_customers_key_closes_gets_the_copies_of_its_new_class_without_that_key() {
    let world = World::with_zones(526).await;
    let name = world.create("bkt", Versioning::Off).await;
    enclosed_parts(&world, &name, "k").await;
    set(&world, &name, vec![moves("", &[(1, StorageClass::Glacier)], 0)]).await;
    midnights(&world, 2);
    assert_eq!(run(&world, &name).await.transitions, 1);
    let found = world.store.peek(&GetRequest::new(name.clone(), key("k"))).await.unwrap();
    assert_eq!(found.class, StorageClass::Glacier);
    let places = world.store.where_is(&name, &key("k"), VersionSelector::Latest).await.unwrap();
    let zones: std::collections::BTreeSet<_> = places.iter().map(|place| place.zone.clone()).collect();
    assert_eq!(zones.len(), 2, "{places:?}");
}

#[tokio::test]
async fn a_version_that_can_not_be_moved_keeps_no_other_from_what_is_due_nor_itself_from_its_end() {
    let world = World::with_zones(527).await;
    let name = world.create("bkt", Versioning::Enabled).await;
    let one_zone =
        || PutRequest { class: StorageClass::OneZoneIa, ..PutRequest::new(name.clone(), key("k")) };
    world.put(&name, "k", bytes(1, 300_000)).await;
    for n in 2..4 {
        world.put_with(one_zone(), bytes(n, 300_000)).await.unwrap();
    }
    for zone in ["pool", "other"] {
        world.damage_zone(zone);
    }
    let transition = NoncurrentTransition { days: 1, newer: None, class: StorageClass::Glacier };
    let rule = LifecycleRule {
        noncurrent_transitions: vec![transition],
        ..moves("", &[(1, StorageClass::Glacier)], 1)
    };
    set(&world, &name, vec![rule, noncurrent("", 5, None)]).await;
    midnights(&world, 3);
    // What was in all zones needs no copies.
    assert_eq!(run(&world, &name).await.transitions, 1);
    midnights(&world, 8);
    assert_eq!(run(&world, &name).await.noncurrent, 2);
    assert_eq!(class(&world, &name, "k").await, StorageClass::OneZoneIa);
}
