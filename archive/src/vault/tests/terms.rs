//! Data retrieval policies and provisioned capacity: durable, followed, and ended by the clock.

use super::{Cut, World, account, medium, name, noise};
use crate::inventory::Description;
use crate::retrieval::{MediumKind, Refused, RetrievalPolicy, Subject, Tier, UnitId};
use crate::vault::terms::{PolicyRow, UnitRow};
use crate::vault::{Error, JobInfo, VaultName, Vaults, Wanted, tables};
use engine::catalog::record::Record;
use engine::catalog::{Catalog, Commit, Write};
use engine::id::PartitionId;
use engine::unit::ByteCount;
use security::AccountId;
use std::slice::from_ref;
use std::sync::Arc;
use std::time::Duration;

const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

fn other() -> AccountId {
    "444455556666".parse().unwrap()
}

async fn ask(
    vaults: &Arc<Vaults>,
    (account, vault): (AccountId, &VaultName),
    archive: crate::pack::ArchiveId,
    tier: Tier,
) -> Result<JobInfo, Error> {
    let subject = Subject::Archive { archive: archive.to_string(), range: None };
    let wanted = Wanted { subject, tier, description: Description::default(), topic: String::new() };
    vaults.initiate(account, vault, wanted).await
}

fn is_enforced<T: std::fmt::Debug>(outcome: Result<T, Error>, left: u64) {
    match outcome {
        Err(Error::Refused(Refused::PolicyEnforced { left_bytes })) => assert_eq!(left_bytes, left),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_policy_outlives_a_crash_and_refuses_what_would_be_more_than_its_bytes_in_an_hour() {
    let mut world = World::new(91).await;
    let vault = world.create("v").await;
    let id = world.put(&vault, &noise(1, 1_000)).await;
    assert_eq!(world.vaults.retrieval_policy(account()), RetrievalPolicy::Unlimited);
    // What was retrieved before counts.
    ask(&world.vaults, (account(), &vault), id, Tier::Standard).await.unwrap();
    let policy = RetrievalPolicy::BytesPerHour(ByteCount::new(2_500));
    world.vaults.set_retrieval_policy(account(), policy).await.unwrap();
    ask(&world.vaults, (account(), &vault), id, Tier::Standard).await.unwrap();
    is_enforced(ask(&world.vaults, (account(), &vault), id, Tier::Standard).await, 500);
    world.reopen().await;
    assert_eq!(world.vaults.retrieval_policy(account()), policy);
    is_enforced(ask(&world.vaults, (account(), &vault), id, Tier::Standard).await, 500);
    // It bounds Standard retrievals alone, and no inventory.
    for tier in [Tier::Bulk, Tier::Expedited] {
        ask(&world.vaults, (account(), &vault), id, tier).await.unwrap();
    }
    world.inventory(&vault).await;
    // Nobody else's.
    world.vaults.create(other(), &name("w"), crate::vault::NewVault::default()).await.unwrap();
    assert_eq!(world.vaults.retrieval_policy(other()), RetrievalPolicy::Unlimited);
    world.clock.advance(HOUR + Duration::from_mins(2));
    ask(&world.vaults, (account(), &vault), id, Tier::Standard).await.unwrap();
    // None takes it away, for good.
    world.vaults.set_retrieval_policy(account(), RetrievalPolicy::Unlimited).await.unwrap();
    world.reopen().await;
    assert_eq!(world.vaults.retrieval_policy(account()), RetrievalPolicy::Unlimited);
    for _ in 0..4 {
        ask(&world.vaults, (account(), &vault), id, Tier::Standard).await.unwrap();
    }
}

#[tokio::test]
async fn the_free_tier_is_a_days_worth_of_what_the_configuration_says() {
    let mut world = World::with(92, |parts| parts.free_per_day = ByteCount::new(1_500)).await;
    let vault = world.create("v").await;
    let id = world.put(&vault, &noise(1, 1_000)).await;
    let policy = RetrievalPolicy::FreeTier { per_day: ByteCount::new(1_500) };
    world.vaults.set_retrieval_policy(account(), policy).await.unwrap();
    ask(&world.vaults, (account(), &vault), id, Tier::Standard).await.unwrap();
    is_enforced(ask(&world.vaults, (account(), &vault), id, Tier::Standard).await, 500);
    // How much is free is not in the row.
    world.parts.free_per_day = ByteCount::new(2_000);
    world.reopen().await;
    ask(&world.vaults, (account(), &vault), id, Tier::Standard).await.unwrap();
    is_enforced(ask(&world.vaults, (account(), &vault), id, Tier::Standard).await, 0);
    world.clock.advance(DAY);
    ask(&world.vaults, (account(), &vault), id, Tier::Standard).await.unwrap();
}

/// A world whose one drive does eight expedited retrievals in five minutes: a removable disk.
async fn slow(seed: u64) -> World {
    World::with(seed, |parts| {
        let path = parts.media[0].path.clone();
        parts.media = vec![medium("shelf", MediumKind::Shelf, path)];
    })
    .await
}

#[tokio::test]
async fn expedited_retrievals_beyond_the_drives_are_refused_but_to_whom_a_unit_keeps_its_share() {
    let mut world = slow(93).await;
    let vault = world.create("v").await;
    let id = world.put(&vault, &noise(1, 1_000)).await;
    let unit = world.vaults.purchase_capacity(account()).await.unwrap();
    assert_eq!(world.vaults.capacity(account()), from_ref(&unit));
    assert!(world.vaults.capacity(other()).is_empty());
    world.vaults.create(other(), &name("w"), crate::vault::NewVault::default()).await.unwrap();
    let theirs = name("w");
    let archive = {
        let mut upload = world.vaults.upload(other(), &theirs, Description::default(), None).unwrap();
        upload.write(noise(2, 1_000)).await.unwrap();
        upload.finish(&crate::vault::Expected::default()).await.unwrap().archive
    };
    // Five are for anybody.
    for _ in 0..5 {
        ask(&world.vaults, (other(), &theirs), archive, Tier::Expedited).await.unwrap();
    }
    let refused = ask(&world.vaults, (other(), &theirs), archive, Tier::Expedited).await;
    assert!(matches!(refused, Err(Error::Refused(Refused::InsufficientCapacity))), "{refused:?}");
    ask(&world.vaults, (account(), &vault), id, Tier::Expedited).await.unwrap();
    // A start takes back nobody's share, and gives none out twice.
    world.reopen().await;
    assert_eq!(world.vaults.capacity(account()), [unit]);
    let refused = ask(&world.vaults, (other(), &theirs), archive, Tier::Expedited).await;
    assert!(matches!(refused, Err(Error::Refused(Refused::InsufficientCapacity))), "{refused:?}");
    for _ in 0..2 {
        ask(&world.vaults, (account(), &vault), id, Tier::Expedited).await.unwrap();
    }
    let refused = ask(&world.vaults, (account(), &vault), id, Tier::Expedited).await;
    assert!(matches!(refused, Err(Error::Refused(Refused::InsufficientCapacity))), "{refused:?}");
    ask(&world.vaults, (account(), &vault), id, Tier::Standard).await.unwrap();
}

#[tokio::test]
async fn units_are_two_an_account_and_as_many_as_drives_can_keep_and_end_after_a_month_of_days() {
    // A day of ten seconds.
    let mut world = World::with(94, |parts| {
        let path = parts.media[0].path.clone();
        parts.media = vec![medium("shelf", MediumKind::Shelf, path)];
        parts.day = Duration::from_secs(10);
    })
    .await;
    world.create("v").await;
    let first = world.vaults.purchase_capacity(account()).await.unwrap();
    world.clock.advance(Duration::from_secs(20));
    let second = world.vaults.purchase_capacity(account()).await.unwrap();
    let limited = |outcome: Result<_, Error>| match outcome {
        Err(Error::Refused(Refused::LimitExceeded { limit, .. })) => limit,
        other => panic!("{other:?}"),
    };
    assert_eq!(limited(world.vaults.purchase_capacity(account()).await), 2);
    // The drives have no third share: eight in five minutes are two units.
    assert_eq!(limited(world.vaults.purchase_capacity(other()).await), 2);
    let month = first.end.since(first.start);
    assert!((Duration::from_secs(280)..=Duration::from_secs(310)).contains(&month), "{month:?}");
    assert_eq!(world.vaults.capacity(account()), [first.clone(), second.clone()]);
    world.clock.advance(month.saturating_sub(Duration::from_secs(20)));
    assert_eq!(world.vaults.capacity(account()), from_ref(&second));
    world.reopen().await;
    assert_eq!(world.vaults.capacity(account()), from_ref(&second));
    let rows = PartitionId::ROOT;
    assert_eq!(world.count(rows, tables::CAPACITY).await, 2);
    let third = world.vaults.purchase_capacity(account()).await.unwrap();
    assert_eq!(world.count(rows, tables::CAPACITY).await, 2, "what has ended goes with the next");
    world.reopen().await;
    assert_eq!(world.vaults.capacity(account()), [second, third]);
}

#[tokio::test]
async fn whatever_step_a_change_of_terms_dies_behind_what_holds_is_what_its_row_says() {
    for steps in 0.. {
        let mut world = slow(95).await;
        world.create("v").await;
        let rows: Arc<dyn Catalog> = world.catalog.clone();
        let cut = Cut::after(rows, steps);
        let mut parts = world.parts.clone();
        parts.catalog = cut.clone();
        let policy = RetrievalPolicy::BytesPerHour(ByteCount::new(7));
        let (mut set, mut bought) = (false, None);
        if let Ok(dying) = Vaults::open(parts).await {
            set = dying.set_retrieval_policy(account(), policy).await.is_ok();
            bought = dying.purchase_capacity(account()).await.ok();
            assert_eq!(set, dying.retrieval_policy(account()) == policy, "step {steps}");
            assert_eq!(bought.is_some(), !dying.capacity(account()).is_empty(), "step {steps}");
        }
        world.reopen().await;
        let found = world.vaults.retrieval_policy(account());
        assert!(!set || found == policy, "step {steps}");
        let units = world.vaults.capacity(account());
        assert!(bought.as_ref().is_none_or(|unit| units == [unit.clone()]), "step {steps}");
        assert!(units.len() <= 1);
        if !cut.is_cut() {
            assert!(set && bought.is_some());
            return;
        }
        assert!(steps < 500, "it never comes to its end");
    }
}

#[tokio::test]
async fn a_policy_that_can_not_be_read_lets_nothing_through_until_it_is_set_anew() {
    let mut world = World::new(96).await;
    let vault = world.create("v").await;
    let id = world.put(&vault, &noise(1, 1_000)).await;
    world
        .vaults
        .set_retrieval_policy(account(), RetrievalPolicy::BytesPerHour(ByteCount::mib(1)))
        .await
        .unwrap();
    let root = world.catalog.snapshot(PartitionId::ROOT).await.unwrap();
    let damaged = Write::Put(tables::of_account(account()), bytes::Bytes::from_static(&[1, 9]));
    let commit = Commit::new(PartitionId::ROOT, root.read_version());
    world.catalog.commit(Commit { writes: vec![damaged], ..commit }).await.unwrap();
    world.reopen().await;
    is_enforced(ask(&world.vaults, (account(), &vault), id, Tier::Standard).await, 0);
    world.vaults.set_retrieval_policy(account(), RetrievalPolicy::Unlimited).await.unwrap();
    ask(&world.vaults, (account(), &vault), id, Tier::Standard).await.unwrap();
    world.reopen().await;
    ask(&world.vaults, (account(), &vault), id, Tier::Standard).await.unwrap();
}

#[test]
fn golden_rows_of_terms() {
    let golden = |bytes: &[u8]| hex::encode(bytes);
    assert_eq!(golden(&PolicyRow::FreeTier.to_bytes()), "0101");
    let row = PolicyRow::BytesPerHour(ByteCount::new(0x0102));
    assert_eq!(golden(&row.to_bytes()), "01020201000000000000");
    assert_eq!(PolicyRow::from_bytes(&row.to_bytes()).unwrap(), row);
    PolicyRow::from_bytes(&[1, 3]).unwrap_err();
    PolicyRow::from_bytes(&[1, 2, 0]).unwrap_err();
    assert!(matches!(PolicyRow::from_bytes(&[2, 1]), Err(engine::Error::Newer { .. })));
    let at = engine::clock::Timestamp::from_millis;
    let row = UnitRow { start: at(1), end: at(0x0203) };
    assert_eq!(golden(&row.to_bytes()), "0101000000000000000302000000000000");
    assert_eq!(UnitRow::from_bytes(&row.to_bytes()).unwrap(), row);
    let key = tables::of_unit(account(), UnitId::from_bytes([7; 16]));
    assert_eq!(tables::read_unit(&key.bytes).unwrap(), (account(), UnitId::from_bytes([7; 16])));
}
