//! What is stored costs by what it is and class, a page at a time; and what rules do costs what is foretold.

use super::cold::{archive, restore, wait};
use super::lifecycle::{moves, set};
use crate::lifecycle::Versions;
use crate::price::{Money, Prices};
use crate::world::{World, bytes, key};
use crate::{
    BucketName, CostAfter, CostOf, CostPage, CostRow, CreateUpload, DAY, LifecycleAct, LifecycleRule,
    PutRequest, StorageClass, Versioning, tables,
};
use bytes::Bytes;
use engine::catalog::{Catalog, Commit, Scan, Write};
use engine::clock::Clock;
use std::collections::BTreeMap;

type Rows = BTreeMap<(CostOf, StorageClass), CostRow>;

/// All pages, added up.
async fn walked(world: &World, name: &BucketName, prefix: &str) -> (Rows, CostPage) {
    let (mut rows, mut all, mut after) = (Rows::new(), CostPage::default(), None);
    loop {
        let page = world.store.cost(name, prefix, &Prices::default(), after.as_ref()).await.unwrap();
        // A page of five, and an upload's parts or a restored copy beside.
        assert!(page.seen <= 9, "{page:?}");
        for row in page.rows {
            match rows.get_mut(&(row.of, row.class)) {
                None => drop(rows.insert((row.of, row.class), row)),
                Some(known) => {
                    known.count += row.count;
                    known.bytes += row.bytes;
                    known.billed_bytes += row.billed_bytes;
                    known.monthly += row.monthly;
                    known.monthly_in_standard += row.monthly_in_standard;
                }
            }
        }
        (all.seen, all.markers) = (all.seen + page.seen, all.markers + page.markers);
        all.damaged.extend(page.damaged);
        match page.next {
            // As clients carry it.
            Some(next) => after = Some(CostAfter::parse(&next.to_text()).unwrap()),
            None => return (rows, all),
        }
    }
}

/// What a bucket costs a month.
pub(super) async fn monthly(world: &World, name: &BucketName) -> Money {
    walked(world, name, "").await.0.values().map(|row| row.monthly).sum()
}

async fn put(world: &World, name: &BucketName, at: &str, (class, size): (StorageClass, usize)) {
    let request = PutRequest { class, ..PutRequest::new(name.clone(), key(at)) };
    world.put_with(request, bytes(1, size)).await.unwrap();
}

#[tokio::test]
async fn what_is_stored_is_counted_by_what_it_is_and_class() {
    use StorageClass::{Glacier, Standard, StandardIa};
    let world = World::new(560).await;
    let name = world.create("bkt", Versioning::Enabled).await;
    // One key with more versions than a page has, one behind a marker, and a neighbour that only begins like the prefix.
    for _ in 0..13 {
        put(&world, &name, "a/many", (Standard, 1_000)).await;
    }
    put(&world, &name, "a/hidden", (StandardIa, 10)).await;
    world.delete(&name, "a/hidden").await;
    for n in 0..7 {
        put(&world, &name, &format!("a/rare{n}"), (StandardIa, 200_000)).await;
    }
    put(&world, &name, "a0", (Standard, 5)).await;
    archive(&world, &name, "a/cold", Glacier, &bytes(2, 50_000)).await;
    for class in [Standard, Glacier] {
        let request = CreateUpload { class, ..CreateUpload::new(name.clone(), key("a/parts")) };
        let upload = world.store.create_upload(request).await.unwrap().upload;
        for number in 1..=3 {
            world.part(&name, "a/parts", upload, number, bytes(3, 7_000)).await.unwrap();
        }
    }
    let (rows, page) = walked(&world, &name, "a/").await;
    let said: Vec<_> =
        rows.values().map(|row| (row.of.name(), row.class, row.count, row.bytes, row.billed_bytes)).collect();
    assert_eq!(
        said,
        [
            ("current", Standard, 1, 1_000, 1_000),
            ("current", StandardIa, 7, 1_400_000, 1_400_000),
            ("current", Glacier, 1, 50_000, 50_000 + (40 << 10)),
            ("noncurrent", Standard, 12, 12_000, 12_000),
            ("noncurrent", StandardIa, 1, 10, 128 << 10),
            ("upload", Standard, 3, 21_000, 21_000),
            ("upload", Glacier, 3, 21_000, 21_000),
        ]
    );
    assert_eq!((page.markers, page.seen, page.damaged.len()), (1, 13 + 2 + 7 + 1 + 2 + 6, 0));
    let prices = Prices::default();
    let of = |of, class| rows[&(of, class)];
    assert_eq!(of(CostOf::Noncurrent, StandardIa).monthly, prices.bytes_month(StandardIa, 128 << 10));
    assert_eq!(of(CostOf::Noncurrent, StandardIa).monthly_in_standard, prices.bytes_month(Standard, 10));
    assert_eq!(of(CostOf::Current, Glacier).monthly, prices.month(Glacier, 50_000));
    let upload = of(CostOf::Upload, Glacier);
    assert_eq!(
        (upload.monthly, upload.monthly_in_standard),
        (prices.bytes_month(Standard, 21_000), upload.monthly)
    );
    // All of it, and one key of it.
    assert_eq!(walked(&world, &name, "").await.0[&(CostOf::Current, Standard)].count, 2);
    assert_eq!(walked(&world, &name, "a/rare3").await.0.len(), 1);
    assert!(walked(&world, &name, "b").await.0.is_empty());
    // A copy that a restore has made, as long as it is there.
    restore(&world, &name, "a/cold", 2).await.unwrap();
    assert!(!walked(&world, &name, "a/cold").await.0.contains_key(&(CostOf::Restored, Glacier)), "under way");
    wait(&world, &name, "a/cold").await;
    let restored = walked(&world, &name, "a/").await.0[&(CostOf::Restored, Glacier)];
    assert_eq!((restored.count, restored.bytes), (1, 50_000));
    assert_eq!(restored.monthly, prices.bytes_month(Standard, 50_000));
    assert_eq!(restored.monthly_in_standard, Money::ZERO);
    world.clock.advance(DAY * 3);
    assert!(!walked(&world, &name, "a/").await.0.contains_key(&(CostOf::Restored, Glacier)), "over");
}

#[tokio::test]
async fn a_row_that_can_not_be_read_is_named_and_what_is_above_it_stays_current() {
    let world = World::new(561).await;
    let name = world.create("bkt", Versioning::Enabled).await;
    for at in ["a", "a", "b", "b"] {
        put(&world, &name, at, (StorageClass::Standard, 10)).await;
    }
    let partition = world.partition(&name).await;
    let snapshot = world.catalog.snapshot(partition).await.unwrap();
    let mut rows = Versions::new(&*snapshot, Scan::prefix(tables::VERSIONS, b"", 10));
    let mut writes = Vec::new();
    // The old version of one key, the new one of the other.
    for n in 0..4 {
        let version = rows.next().await.unwrap().unwrap();
        if n == 1 || n == 2 {
            writes.push(Write::Put(
                tables::version(&key(&version.key), version.id),
                Bytes::from_static(b"\x01"),
            ));
        }
    }
    let commit = Commit { writes, ..Commit::new(partition, snapshot.read_version()) };
    world.catalog.commit(commit).await.unwrap();
    let (rows, page) = walked(&world, &name, "").await;
    assert_eq!((page.damaged, page.seen), (vec!["a".to_owned(), "b".to_owned()], 4));
    let counts: Vec<_> = rows.values().map(|row| (row.of, row.count)).collect();
    assert_eq!(counts, [(CostOf::Current, 1), (CostOf::Noncurrent, 1)]);
}

#[tokio::test]
async fn a_preview_says_what_moving_costs_once_and_saves_a_month() {
    use StorageClass::{DeepArchive, Glacier, GlacierIr, Standard};
    let world = World::new(562).await;
    let name = world.create("bkt", Versioning::Off).await;
    let prices = Prices::default();
    let rule = moves("", &[(1, GlacierIr), (11, Glacier)], 0);
    set(&world, &name, vec![LifecycleRule { expiration: None, ..rule }]).await;
    put(&world, &name, "k", (Standard, 200_000)).await;
    put(&world, &name, "l", (Standard, 200_000)).await;
    put(&world, &name, "deep", (DeepArchive, 200_000)).await;
    let span = (world.clock.now(), world.clock.now().plus(DAY * 100));
    let page = world.store.preview_lifecycle(&name, (None, &prices), span, None).await.unwrap();
    let [first, second] = &page.rows[..] else { panic!("{page:?}") };
    assert_eq!((first.act, first.count), (LifecycleAct::Transition(GlacierIr), 2));
    // Two times 0.02 / 1000.
    assert_eq!(first.cost.transition_requests.to_string(), "0.00004");
    assert_eq!(first.cost.early_deletion, Money::ZERO, "STANDARD has no least time");
    assert_eq!(first.cost.monthly_before, prices.bytes_month(Standard, 400_000));
    assert_eq!(first.cost.monthly_after, prices.bytes_month(GlacierIr, 400_000));
    assert_eq!((second.act, second.count), (LifecycleAct::Transition(Glacier), 2));
    // It was in its class for ten days by then, of ninety, whenever it was written.
    let early = prices.early_deletion(GlacierIr, 200_000, 10);
    assert!(early > Money::ZERO);
    assert_eq!(second.cost.early_deletion, early + early);
    assert_eq!(second.cost.monthly_before, first.cost.monthly_after);
    assert_eq!(second.cost.transition_requests.to_string(), "0.00006");
    // The explanation says the same of one of them; what is in the deepest class has nothing to be said of.
    let explained = world.store.explain_lifecycle(&name, &key("k"), &prices).await.unwrap();
    let cost = explained.versions[0].cost.unwrap();
    assert_eq!(cost.monthly_saving() + cost.monthly_saving(), first.cost.monthly_saving());
    assert_eq!(cost.once().to_string(), "0.00002");
    let explained = world.store.explain_lifecycle(&name, &key("deep"), &prices).await.unwrap();
    assert_eq!(explained.versions[0].cost, None);
}

#[tokio::test]
async fn what_goes_before_its_time_is_charged_and_what_is_hidden_is_not() {
    use StorageClass::StandardIa;
    let prices = Prices::default();
    for (versioning, gone) in [(Versioning::Off, true), (Versioning::Enabled, false)] {
        let world = World::new(563).await;
        let name = world.create("bkt", versioning).await;
        set(&world, &name, vec![super::lifecycle::days("", 9)]).await;
        put(&world, &name, "k", (StandardIa, 300_000)).await;
        let span = (world.clock.now(), world.clock.now().plus(DAY * 30));
        let page = world.store.preview_lifecycle(&name, (None, &prices), span, None).await.unwrap();
        let cost = page.rows[0].cost;
        // Nine whole days, and the rest of a day until midnight.
        let early = prices.early_deletion(StandardIa, 300_000, 9);
        assert_eq!(cost.early_deletion, if gone { early } else { Money::ZERO }, "{versioning:?}");
        let after = if gone { Money::ZERO } else { cost.monthly_before };
        assert_eq!((cost.monthly_after, cost.transition_requests), (after, Money::ZERO));
        let explained = world.store.explain_lifecycle(&name, &key("k"), &prices).await.unwrap();
        assert_eq!(explained.versions[0].cost, Some(cost), "{versioning:?}");
    }
}
