//! Versions, null versions and delete markers.

use crate::record::ObjectRow;
use crate::world::{World, key};
use crate::{
    DeleteConditions, DeleteRequest, Error, GetRequest, VersionName, VersionSelector, Versioning,
    VersionsRequest,
};
use engine::catalog::record::Record;
use engine::catalog::{Catalog, Scan};
use engine::clock::{Clock, Timestamp};
use engine::unit::ByteCount;
use std::time::Duration;

async fn listed(world: &World, name: &crate::BucketName) -> Vec<String> {
    let page = world.store.list_versions(VersionsRequest::new(name.clone())).await.unwrap();
    page.entries
        .iter()
        .map(|entry| {
            format!(
                "{}{}{}{}",
                entry.key,
                if entry.version == VersionName::Null { " null" } else { "" },
                if entry.object.is_none() { " marker" } else { "" },
                if entry.latest { " latest" } else { "" }
            )
        })
        .collect()
}

#[tokio::test]
async fn enabled_keeps_versions_and_markers_hide_them() {
    let world = World::new(10).await;
    let name = world.create("vers", Versioning::Enabled).await;
    let one = world.put(&name, "k", "1").await.version.unwrap();
    let two = world.put(&name, "k", "2").await.version.unwrap();
    assert_eq!(&world.get(&name, "k").await.unwrap()[..], b"2");
    assert_eq!(&world.get_version(&name, "k", one.into()).await.unwrap()[..], b"1");
    let marker = world.delete(&name, "k").await;
    assert!(marker.marker);
    assert!(matches!(world.get(&name, "k").await, Err(Error::NoSuchKey { marker: Some(_) })));
    let hidden = world.get_version(&name, "k", marker.version.unwrap().into()).await;
    assert!(matches!(hidden, Err(Error::IsDeleteMarker { .. })));
    assert_eq!(listed(&world, &name).await, ["k marker latest", "k", "k"]);
    assert!(world.keys(&name).await.is_empty());
    let kept = world.store.delete_bucket(&name).await;
    assert!(matches!(kept, Err(Error::BucketNotEmpty)), "what is hidden is there: {kept:?}");
    // The marker goes: what it hid is back.
    let gone = world.delete_version(&name, "k", marker.version.unwrap().into()).await;
    assert!(gone.marker);
    assert_eq!(&world.get(&name, "k").await.unwrap()[..], b"2");
    world.delete_version(&name, "k", two.into()).await;
    assert_eq!(&world.get(&name, "k").await.unwrap()[..], b"1");
    world.delete_version(&name, "k", one.into()).await;
    assert!(matches!(world.get(&name, "k").await, Err(Error::NoSuchKey { marker: None })));
    let missing = world.get_version(&name, "k", one.into()).await;
    assert!(matches!(missing, Err(Error::NoSuchVersion)));
    assert_eq!(world.store.usage(&name).await.unwrap(), crate::BucketUsage::default());
}

#[tokio::test]
async fn null_versions_are_replaced_while_suspended_and_kept_while_enabled() {
    let world = World::new(11).await;
    let name = world.create("null", Versioning::Off).await;
    assert_eq!(world.put(&name, "k", "off").await.version, None);
    world.store.set_versioning(&name, Versioning::Enabled).await.unwrap();
    let one = world.put(&name, "k", "1").await.version.unwrap();
    assert_eq!(listed(&world, &name).await, ["k latest", "k null"]);
    assert_eq!(&world.get_version(&name, "k", VersionSelector::Null).await.unwrap()[..], b"off");
    world.store.set_versioning(&name, Versioning::Suspended).await.unwrap();
    assert_eq!(world.put(&name, "k", "s1").await.version, Some(VersionName::Null));
    assert_eq!(listed(&world, &name).await, ["k null latest", "k"]);
    world.put(&name, "k", "s2").await;
    assert_eq!(listed(&world, &name).await, ["k null latest", "k"]);
    assert_eq!(&world.get_version(&name, "k", VersionSelector::Null).await.unwrap()[..], b"s2");
    // A marker while suspended is the null version.
    assert_eq!(world.delete(&name, "k").await.version, Some(VersionName::Null));
    assert_eq!(listed(&world, &name).await, ["k null marker latest", "k"]);
    world.store.set_versioning(&name, Versioning::Enabled).await.unwrap();
    let two = world.put(&name, "k", "2").await.version.unwrap();
    assert_eq!(listed(&world, &name).await, ["k latest", "k null marker", "k"]);
    world.store.set_versioning(&name, Versioning::Suspended).await.unwrap();
    world.put(&name, "k", "s3").await;
    assert_eq!(listed(&world, &name).await, ["k null latest", "k", "k"]);
    world.delete_version(&name, "k", VersionSelector::Null).await;
    assert_eq!(&world.get(&name, "k").await.unwrap()[..], b"2");
    world.delete_version(&name, "k", two.into()).await;
    world.delete_version(&name, "k", one.into()).await;
    assert!(listed(&world, &name).await.is_empty());
}

#[tokio::test]
async fn deletes_are_repeatable_and_conditional() {
    let world = World::new(12).await;
    let name = world.create("del", Versioning::Off).await;
    assert_eq!(world.delete(&name, "k").await, crate::DeleteOutcome::default());
    let put = world.put(&name, "k", "v").await;
    let delete = |etag| DeleteRequest {
        bucket: name.clone(),
        key: key("k"),
        version: VersionSelector::Latest,
        conditions: DeleteConditions {
            if_match: Some(crate::ETagMatch::OneOf(vec![etag])),
            ..DeleteConditions::default()
        },
        bypass_governance: false,
        origin: crate::Origin::default(),
        asks: None,
    };
    let other = crate::ETag::of_body([9; 16]);
    let results = world.store.delete_many(vec![delete(other), delete(put.etag), delete(put.etag)]).await;
    assert!(matches!(results[0], Err(Error::PreconditionFailed { .. })));
    assert!(results[1].is_ok() != results[2].is_ok(), "one of two deletes finds the tag");
    assert!(results[1..].iter().any(|result| matches!(result, Err(Error::NoSuchKey { marker: None }))));
    assert!(matches!(
        world.store.head(GetRequest::new(name.clone(), key("k"))).await,
        Err(Error::NoSuchKey { .. })
    ));
}

#[tokio::test]
async fn deletes_compare_time_and_size_of_what_is_there() {
    for versioning in [Versioning::Off, Versioning::Enabled] {
        let world = World::new(14).await;
        let name = world.create("del-if", versioning).await;
        let delete = |if_modified_at, if_size: Option<u64>, version| {
            let conditions =
                DeleteConditions { if_match: None, if_modified_at, if_size: if_size.map(ByteCount::new) };
            let request = DeleteRequest {
                bucket: name.clone(),
                key: key("k"),
                version,
                conditions,
                bypass_governance: false,
                origin: crate::Origin::default(),
                asks: None,
            };
            world.store.delete(request)
        };
        let latest = VersionSelector::Latest;
        let never = Some(Timestamp::from_millis(1));
        if versioning == Versioning::Off {
            delete(never, Some(7), latest).await.unwrap();
        }
        let put = world.put(&name, "k", "four").await;
        let info = world.store.head(GetRequest::new(name.clone(), key("k"))).await.unwrap().info;
        // HTTP dates have whole seconds.
        let seen = Some(Timestamp::from_millis(info.modified.as_secs() * 1000));
        let version = put.version.map_or(latest, VersionSelector::from);
        for (time, size) in [(never, None), (None, Some(3)), (seen, Some(3)), (never, Some(4))] {
            for of in [latest, version] {
                let refused = delete(time, size, of).await;
                assert!(matches!(refused, Err(Error::PreconditionFailed { .. })), "{time:?} {size:?}");
            }
        }
        let outcome = delete(seen, Some(4), latest).await.unwrap();
        assert_eq!(outcome.marker, versioning == Versioning::Enabled);
        if versioning == Versioning::Enabled {
            // A marker has neither.
            assert!(matches!(delete(None, Some(0), latest).await, Err(Error::PreconditionFailed { .. })));
            delete(seen, Some(4), version).await.unwrap();
        }
        // What is gone needs neither.
        delete(never, Some(7), version).await.unwrap();
    }
}

#[tokio::test]
async fn versioning_is_never_off_again() {
    let world = World::new(13).await;
    let name = world.create("ver-off", Versioning::Off).await;
    assert_eq!(world.store.versioning(&name).await.unwrap(), Versioning::Off);
    world.store.set_versioning(&name, Versioning::Enabled).await.unwrap();
    world.store.set_versioning(&name, Versioning::Off).await.unwrap_err();
    assert_eq!(world.store.versioning(&name).await.unwrap(), Versioning::Enabled);
}

#[tokio::test]
async fn the_null_version_has_no_other_name() {
    let world = World::new(14).await;
    let name = world.create("hidden", Versioning::Off).await;
    world.put(&name, "k", "null").await;
    world.store.set_versioning(&name, Versioning::Enabled).await.unwrap();
    let partition = world.partition(&name).await;
    let snapshot = world.catalog.snapshot(partition).await.unwrap();
    let page = snapshot.scan(Scan::prefix(crate::tables::VERSIONS, b"", 1)).await.unwrap();
    let (_, place) = crate::tables::read_version(&page.rows[0].0).unwrap();
    let by_place = world.get_version(&name, "k", VersionSelector::Id(place)).await;
    assert!(matches!(by_place, Err(Error::NoSuchVersion)), "{by_place:?}");
    world.delete_version(&name, "k", VersionSelector::Id(place)).await;
    assert_eq!(world.get(&name, "k").await.unwrap(), "null");
}

#[tokio::test]
async fn a_page_holds_a_thousand_whatever_is_asked_for() {
    let world = World::new(15).await;
    let name = world.create("pages", Versioning::Enabled).await;
    for number in 0..=1_000 {
        world.put(&name, &format!("{number:04}"), "").await;
    }
    let request = crate::ListRequest { max_keys: 5_000, ..crate::ListRequest::new(name.clone()) };
    let page = world.store.list_objects(request).await.unwrap();
    assert_eq!((page.entries.len(), page.next.is_some()), (1_000, true));
    let request = VersionsRequest { max_keys: 5_000, ..VersionsRequest::new(name) };
    let page = world.store.list_versions(request).await.unwrap();
    assert_eq!((page.entries.len(), page.next_key.as_deref()), (1_000, Some("0999")));
}

#[tokio::test]
async fn a_page_of_versions_leaves_out_nothing_below_a_null_version_that_went_meanwhile() {
    let world = World::new(16).await;
    let name = world.create("meanwhile", Versioning::Enabled).await;
    let oldest = world.put(&name, "a", "oldest").await.version.unwrap();
    world.store.set_versioning(&name, Versioning::Suspended).await.unwrap();
    world.put(&name, "a", "null").await;
    world.store.set_versioning(&name, Versioning::Enabled).await.unwrap();
    let newest = world.put(&name, "a", "newest").await.version.unwrap();
    let other = world.put(&name, "b", "other").await.version.unwrap();
    let first = VersionsRequest { max_keys: 2, ..VersionsRequest::new(name.clone()) };
    let page = world.store.list_versions(first.clone()).await.unwrap();
    assert_eq!((page.next_key.as_deref(), page.next_version), (Some("a"), Some(VersionName::Null)));
    world.delete_version(&name, "a", VersionSelector::Null).await;
    let next = VersionsRequest {
        key_marker: page.next_key,
        version_marker: page.next_version,
        max_keys: 1_000,
        ..first.clone()
    };
    // Where it lay nobody knows any more: what was above it is shown once more.
    let page = world.store.list_versions(next).await.unwrap();
    let seen: Vec<_> =
        page.entries.iter().map(|entry| (entry.key.as_str(), entry.version, entry.latest)).collect();
    assert_eq!(seen, [("a", newest, true), ("a", oldest, false), ("b", other, true)]);
    assert_eq!(page.next_key, None);
}

#[tokio::test]
async fn who_deletes_versions_page_by_page_deletes_all_of_them() {
    let world = World::new(440).await;
    for at_once in 1..=4 {
        let name = world.create(&format!("by-{at_once}"), Versioning::Enabled).await;
        for at in ["a", "b"] {
            world.put(&name, at, "oldest").await;
            world.store.set_versioning(&name, Versioning::Suspended).await.unwrap();
            world.put(&name, at, "null").await;
            world.store.set_versioning(&name, Versioning::Enabled).await.unwrap();
            world.put(&name, at, "newest").await;
        }
        let mut request = VersionsRequest { max_keys: at_once, ..VersionsRequest::new(name.clone()) };
        for _ in 0..10 {
            let page = world.store.list_versions(request.clone()).await.unwrap();
            for entry in &page.entries {
                world.delete_version(&name, entry.key.as_str(), entry.version.into()).await;
            }
            let Some(key) = page.next_key else { break };
            request = VersionsRequest { key_marker: Some(key), version_marker: page.next_version, ..request };
        }
        world.store.delete_bucket(&name).await.unwrap();
    }
}

#[tokio::test]
async fn a_marker_before_its_prefix_lets_nothing_else_in() {
    let world = World::new(17).await;
    let name = world.create("before", Versioning::Enabled).await;
    for at in ["a", "b", "c/1", "c/2", "d"] {
        world.put(&name, at, "v").await;
    }
    let request = crate::ListRequest {
        prefix: "c/".into(),
        after: crate::ListAfter::Key("a".into()),
        ..crate::ListRequest::new(name.clone())
    };
    let page = world.store.list_objects(request).await.unwrap();
    let keys: Vec<_> = page.entries.iter().map(|entry| entry.key.as_str()).collect();
    assert_eq!(keys, ["c/1", "c/2"]);
    let request = VersionsRequest {
        prefix: "c/".into(),
        key_marker: Some("a".into()),
        ..VersionsRequest::new(name.clone())
    };
    let page = world.store.list_versions(request).await.unwrap();
    let keys: Vec<_> = page.entries.iter().map(|entry| entry.key.as_str()).collect();
    assert_eq!(keys, ["c/1", "c/2"]);
}

/// Of each version of the one key, newest first: since when it is not the newest, in milliseconds. The row that listings of objects
/// read is the newest version's own.
async fn noncurrent(world: &World, name: &crate::BucketName) -> Vec<Option<i64>> {
    let snapshot = world.catalog.snapshot(world.partition(name).await).await.unwrap();
    let rows = snapshot.scan(Scan::prefix(crate::tables::VERSIONS, b"", 100)).await.unwrap().rows;
    let current = snapshot.get(crate::tables::current(&key("k"))).await.unwrap();
    if let Some(current) = current {
        assert_eq!(current, rows[0].1);
    }
    let rows = rows.iter().map(|(_, raw)| ObjectRow::from_bytes(raw).unwrap());
    rows.map(|row| row.noncurrent_since.map(Timestamp::as_millis)).collect()
}

#[tokio::test]
async fn a_version_says_since_when_it_is_not_the_newest_as_long_as_it_is_not() {
    let world = World::new(18).await;
    let name = world.create("since", Versioning::Enabled).await;
    let pass = || {
        world.clock.advance(Duration::from_hours(1));
        world.clock.now().as_millis()
    };
    world.put(&name, "k", "1").await;
    let at_two = pass();
    let two = world.put(&name, "k", "2").await.version.unwrap();
    let at_three = pass();
    world.put(&name, "k", "3").await;
    assert_eq!(noncurrent(&world, &name).await, [None, Some(at_three), Some(at_two)]);
    let at_marker = pass();
    let marker = world.delete(&name, "k").await.version.unwrap();
    assert_eq!(noncurrent(&world, &name).await, [None, Some(at_marker), Some(at_three), Some(at_two)]);
    // What the marker hid is the newest again; what goes from the middle changes nothing of the others.
    pass();
    world.delete_version(&name, "k", marker.into()).await;
    assert_eq!(noncurrent(&world, &name).await, [None, Some(at_three), Some(at_two)]);
    world.delete_version(&name, "k", two.into()).await;
    assert_eq!(noncurrent(&world, &name).await, [None, Some(at_two)]);
}

#[tokio::test]
async fn a_clock_that_is_set_back_puts_no_new_version_below_an_old_one() {
    let world = World::new(19).await;
    for versioning in [Versioning::Enabled, Versioning::Suspended] {
        let name = world.create(&format!("back-{versioning:?}").to_lowercase(), Versioning::Enabled).await;
        let before = world.put(&name, "k", "before").await.version.unwrap();
        if versioning == Versioning::Suspended {
            world.store.set_versioning(&name, versioning).await.unwrap();
        }
        let day_before = world.clock.now().as_millis() - 86_400_000;
        world.clock.set_wall(Timestamp::from_millis(day_before));
        world.put(&name, "k", "behind").await;
        assert_eq!(world.get(&name, "k").await.unwrap(), "behind");
        assert_eq!(world.get_version(&name, "k", before.into()).await.unwrap(), "before");
        let page = world.store.list_versions(VersionsRequest::new(name.clone())).await.unwrap();
        let latest: Vec<bool> = page.entries.iter().map(|entry| entry.latest).collect();
        assert_eq!(latest, [true, false]);
        assert_eq!(page.entries[1].version, before);
        let marker = world.delete(&name, "k").await;
        assert!(marker.marker && world.get(&name, "k").await.is_err(), "the marker is on top");
        assert!(world.keys(&name).await.is_empty());
    }
}
