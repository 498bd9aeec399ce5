//! Server access logs: who is logged, where records go and when, and what happens to those that can't go anywhere.

use super::between::{Pair, in_every_gap};
use crate::world::{World, bucket, collect, key};
use crate::{
    BucketLogging, BucketName, DefaultRetention, Error, GetRequest, ListRequest, ListWish, LockMode,
    LogKeyFormat, LogRecord, LogStatus, NewBucket, ObjectLock, ObjectOwnership, PartitionDate, Period,
    QuotaLimits, RequestPayment, Versioning,
};
use engine::clock::Clock as _;
use engine::unit::ByteCount;
use engine::worker::Progress;
use security::{AccessList, AccountId, CannedAcl, Grant, Grantee, Permission};
use std::sync::Arc;
use std::time::Duration;

const EVERY: Duration = Duration::from_mins(5);

fn into(target: &BucketName, format: Option<LogKeyFormat>) -> BucketLogging {
    BucketLogging::new(target, "logs/".to_owned(), format, None).unwrap()
}

/// A request to a bucket, as the door tells of one.
fn asked(world: &World, name: &str, id: &str) -> bool {
    let Some(source) = world.store.log_source(name) else { return false };
    let at = world.clock.now();
    let record = LogRecord { at, request_id: id, operation: "REST.GET.OBJECT", ..LogRecord::default() };
    world.store.log(&source, &record);
    true
}

/// Has the worker do all that is due.
async fn work(world: &World) {
    for mut worker in world.store.workers() {
        while worker.name() == "access-logs" && matches!(worker.tick().await.unwrap(), Progress::More { .. })
        {
        }
    }
}

/// Lets so many intervals pass.
async fn pass(world: &World, intervals: u32) {
    for _ in 0..intervals {
        world.clock.advance(EVERY);
        work(world).await;
    }
}

async fn text(world: &World, target: &BucketName, at: &str) -> String {
    String::from_utf8(world.get(target, at).await.unwrap().to_vec()).unwrap()
}

/// Request ids of all records in a bucket's logs, with their operations.
async fn records(world: &World, target: &BucketName) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for at in world.keys(target).await.iter().filter(|at| at.starts_with("logs/")) {
        for line in text(world, target, at).await.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            found.push((words[6].to_owned(), words[7].to_owned()));
        }
    }
    found
}

async fn logged(seed: u64) -> (World, BucketName, BucketName) {
    let world = World::new(seed).await;
    let (source, target) =
        (world.create("src", Versioning::Off).await, world.create("target", Versioning::Off).await);
    world.store.set_logging(&source, Some(&into(&target, None))).await.unwrap();
    (world, source, target)
}

fn status(world: &World) -> (u64, u64, u64, u64) {
    let LogStatus { waiting, delivered, objects, dropped, .. } = world.store.log_status();
    (waiting, delivered, objects, dropped)
}

#[tokio::test]
async fn records_are_one_object_of_the_target_when_the_first_is_old_enough() {
    let (world, source, target) = logged(300).await;
    assert!(asked(&world, "src", "A") && asked(&world, "src", "B") && !asked(&world, "target", "C"));
    work(&world).await;
    world.clock.advance(Duration::from_millis(299_999));
    work(&world).await;
    assert!(world.keys(&target).await.is_empty() && status(&world) == (2, 0, 0, 0));
    world.clock.advance(Duration::from_millis(1));
    work(&world).await;
    let keys = world.keys(&target).await;
    let stem = "logs/2023-11-14-22-18-20-";
    assert!(keys.len() == 1 && keys[0].starts_with(stem) && keys[0].len() == stem.len() + 16, "{keys:?}");
    let text = text(&world, &target, &keys[0]).await;
    let owner = world.parts().account.canonical_user_id();
    let begins = format!("{owner} src [14/Nov/2023:22:13:20 +0000] ");
    assert!(text.lines().count() == 2 && text.lines().all(|line| line.starts_with(&begins)), "{text}");
    let outcome = world.store.get(GetRequest::new(target.clone(), key(&keys[0]))).await.unwrap();
    assert_eq!(outcome.info.metadata.system.content_type.as_deref(), Some("text/plain"));
    assert_eq!(outcome.info.subresources.owner, None, "it is the target's owner's");
    assert_eq!(collect(outcome).await.unwrap(), text.as_bytes());
    assert_eq!(status(&world), (0, 2, 1, 0));
    // Switched off, there is nothing more.
    world.store.set_logging(&source, None).await.unwrap();
    assert!(!asked(&world, "src", "D") && !world.store.any_logged());
    assert_eq!(world.store.setting::<BucketLogging>(&source).await.unwrap(), None);
}

#[tokio::test]
async fn keys_are_partitioned_as_asked_and_days_of_events_are_apart() {
    let (world, source, target) = logged(301).await;
    let place = format!("logs/{}/us-east-1/src", world.parts().account);
    // Six hours before midnight; the second day begins between the two records.
    for (date, expected) in [
        (PartitionDate::DeliveryTime, vec![(format!("{place}/2023/11/15/2023-11-15-00-03-20-"), 2)]),
        (
            PartitionDate::EventTime,
            vec![
                (format!("{place}/2023/11/15/2023-11-15-00-00-00-"), 1),
                (format!("{place}/2023/11/16/2023-11-16-00-00-00-"), 1),
            ],
        ),
    ] {
        let set = into(&target, Some(LogKeyFormat::Partitioned(date)));
        world.store.set_logging(&source, Some(&set)).await.unwrap();
        let to_midnight = 86_400_000 - 100_000 - world.parts().clock.now().as_millis().rem_euclid(86_400_000);
        let before = Duration::from_millis(u64::try_from(to_midnight).unwrap());
        world.clock.advance(before);
        asked(&world, "src", "A");
        world.clock.advance(Duration::from_secs(200));
        asked(&world, "src", "B");
        world.clock.advance(Duration::from_secs(100));
        work(&world).await;
        pass(&world, 1).await;
        let keys = world.keys(&target).await;
        assert_eq!(keys.len(), expected.len(), "{keys:?}");
        for (at, (stem, lines)) in keys.iter().zip(&expected) {
            assert!(at.starts_with(stem.as_str()), "{at} {stem}");
            assert_eq!(text(&world, &target, at).await.lines().count(), *lines, "{at}");
            world.delete(&target, at).await;
        }
    }
}

#[tokio::test]
async fn who_is_logged_is_known_after_a_restart_and_forgotten_with_the_bucket() {
    let (mut world, source, target) = logged(302).await;
    world.reopen().await;
    assert!(asked(&world, "src", "A"));
    // What a crash takes is what was not written: nothing of it is anywhere.
    world.reopen().await;
    pass(&world, 2).await;
    assert!(world.keys(&target).await.is_empty() && status(&world) == (0, 0, 0, 0));
    // A bucket that takes the name of a deleted one is not logged.
    world.store.delete_bucket(&source).await.unwrap();
    assert!(!asked(&world, "src", "B"));
    world.create("src", Versioning::Off).await;
    assert!(!asked(&world, "src", "C"));
    world.reopen().await;
    assert!(!asked(&world, "src", "D"));
    assert!(world.store.marked(crate::SettingKind::Logging).await.unwrap().is_empty());
}

#[tokio::test]
async fn targets_that_s3_refuses_are_refused() {
    let (world, source, target) = logged(303).await;
    let refused = async |set: &BucketLogging| world.store.set_logging(&source, Some(set)).await.unwrap_err();
    let invalid =
        |error: &Error| matches!(error, Error::InvalidLogTarget { target } if target.as_str() != "src");
    assert!(invalid(&refused(&into(&bucket("absent"), None)).await));
    let other: AccountId = "444455556666".parse().unwrap();
    world.store.create_bucket(&bucket("others"), &NewBucket::of(other)).await.unwrap();
    assert!(invalid(&refused(&into(&bucket("others"), None)).await));
    // Nor may another account's bucket be logged into one of ours.
    let set = into(&target, None);
    assert!(invalid(&world.store.set_logging(&bucket("others"), Some(&set)).await.unwrap_err()));
    world.store.set(&target, Some(&RequestPayment::Requester)).await.unwrap();
    assert!(invalid(&refused(&set).await));
    world.store.set::<RequestPayment>(&target, None).await.unwrap();
    let locked = world.create("locked", Versioning::Enabled).await;
    let default = DefaultRetention { mode: LockMode::Governance, period: Period::Days(1) };
    let lock = |default| ObjectLock { default, ..ObjectLock::default() };
    world.store.set(&locked, Some(&lock(None))).await.unwrap();
    world.store.set_logging(&source, Some(&into(&locked, None))).await.unwrap();
    world.store.set(&locked, Some(&lock(Some(default)))).await.unwrap();
    assert!(invalid(&refused(&into(&locked, None)).await));
    let grants = AccessList::new([Grant::to(other, Permission::Read)]).unwrap();
    let granted = BucketLogging::new(&target, String::new(), None, Some(grants)).unwrap();
    assert!(matches!(refused(&granted).await, Error::AccessListsOff));
    BucketLogging::new(&target, "p".repeat(801), None, None).unwrap_err();
}

#[tokio::test]
async fn grants_are_given_while_lists_count_and_left_out_afterwards() {
    let world = World::new(304).await;
    let source = world.create("src", Versioning::Off).await;
    let target = bucket("target");
    let new = NewBucket::of(world.parts().account);
    let open = ListWish::Canned(CannedAcl::LogDeliveryWrite);
    let new = new.with_access(ObjectOwnership::ObjectWriter, &open).unwrap();
    world.store.create_bucket(&target, &new).await.unwrap();
    let reader = Grant { grantee: Grantee::AuthenticatedUsers, permission: Permission::Read };
    let grants = Some(AccessList::new([reader]).unwrap());
    let set = BucketLogging::new(&target, "logs/".to_owned(), None, grants).unwrap();
    world.store.set_logging(&source, Some(&set)).await.unwrap();
    asked(&world, "src", "A");
    pass(&world, 1).await;
    let at = world.keys(&target).await.remove(0);
    let (_, access) = world.store.object_acl(&GetRequest::new(target.clone(), key(&at))).await.unwrap();
    let own = Grant::to(world.parts().account, Permission::FullControl);
    assert_eq!(access.list.grants(), [reader, own]);
    world.store.set_bucket_acl(&target, &ListWish::Default).await.unwrap();
    world.store.set_ownership(&target, Some(ObjectOwnership::BucketOwnerEnforced)).await.unwrap();
    asked(&world, "src", "B");
    pass(&world, 1).await;
    assert_eq!(world.keys(&target).await.len(), 2);
    assert_eq!(status(&world), (0, 2, 2, 0));
}

#[tokio::test]
async fn where_lists_count_the_target_must_grant_its_log() {
    let world = World::new(309).await;
    let (source, target) =
        (world.create("src", Versioning::Off).await, world.create("target", Versioning::Off).await);
    world.store.set_ownership(&target, Some(ObjectOwnership::BucketOwnerPreferred)).await.unwrap();
    let grant = |permission| Grant { grantee: Grantee::LogDelivery, permission };
    let (write, read_acp, all) = (Permission::Write, Permission::ReadAcp, Permission::FullControl);
    let set = into(&target, None);
    for (grants, taken) in [
        (vec![], false),
        (vec![write], false),
        (vec![read_acp], false),
        (vec![write, read_acp], true),
        (vec![all], true),
    ] {
        let wish = ListWish::Grants(AccessList::new(grants.iter().copied().map(grant)).unwrap());
        world.store.set_bucket_acl(&target, &wish).await.unwrap();
        let outcome = world.store.set_logging(&source, Some(&set)).await;
        assert_eq!(outcome.is_ok(), taken, "{grants:?} {outcome:?}");
        assert!(taken || matches!(outcome, Err(Error::InvalidLogTarget { .. })), "{outcome:?}");
    }
    asked(&world, "src", "A");
    pass(&world, 1).await;
    assert_eq!(world.keys(&target).await.len(), 1);
    // Taken away, there are no more of them; granted again, there are.
    world.store.set_bucket_acl(&target, &ListWish::Default).await.unwrap();
    asked(&world, "src", "B");
    pass(&world, 1).await;
    let status = world.store.log_status();
    assert_eq!((status.dropped, status.failing.len(), world.keys(&target).await.len()), (1, 1, 1));
    assert!(status.failing[0].error.contains("log-delivery-write"), "{status:?}");
    world.store.set_bucket_acl(&target, &ListWish::Canned(CannedAcl::LogDeliveryWrite)).await.unwrap();
    asked(&world, "src", "C");
    pass(&world, 1).await;
    assert!(world.keys(&target).await.len() == 2 && world.store.log_status().failing.is_empty());
}

#[tokio::test]
async fn one_accounts_flood_delays_and_drops_no_others_records() {
    let (world, _, target) = logged(310).await;
    let other: AccountId = "444455556666".parse().unwrap();
    let (flooded, theirs) = (bucket("aaa"), bucket("their-logs"));
    for name in [&flooded, &theirs] {
        world.store.create_bucket(name, &NewBucket::of(other)).await.unwrap();
    }
    world.store.set_logging(&flooded, Some(&into(&theirs, None))).await.unwrap();
    let long = "k".repeat(1_000);
    let flood = || {
        let source = world.store.log_source("aaa").unwrap();
        let record = LogRecord { key: Some(&long), operation: "REST.GET.OBJECT", ..LogRecord::default() };
        while world.store.log_status().dropped == 0 || world.store.log_status().waiting_bytes < 4_000_000 {
            world.store.log(&source, &record);
        }
        world.store.log_status().dropped
    };
    let dropped = flood();
    for id in ["A", "B", "C"] {
        assert!(asked(&world, "src", id));
    }
    world.clock.advance(EVERY);
    // Two batches are written: the flood's first, whose turn it is, and then ours.
    for _ in 0..2 {
        world.store.deliver_due_log().await.unwrap();
    }
    assert_eq!(records(&world, &target).await.len(), 3);
    assert_eq!(world.store.log_status().dropped, dropped, "nothing of ours");
}

#[tokio::test]
async fn a_log_is_its_buckets_and_not_its_names() {
    let (world, source, target) = logged(311).await;
    let other: AccountId = "444455556666".parse().unwrap();
    let partition = world.partition(&source).await;
    // Its deletion is told of late: by then another one has the name, and a log of its own.
    world.store.delete_bucket(&source).await.unwrap();
    assert!(!asked(&world, "src", "A"));
    let theirs = bucket("their-logs");
    for name in [&source, &theirs] {
        world.store.create_bucket(name, &NewBucket::of(other)).await.unwrap();
    }
    world.store.set_logging(&source, Some(&into(&theirs, None))).await.unwrap();
    world.store.forget_logging(&source, partition).await.unwrap();
    assert!(asked(&world, "src", "B"));
    assert_eq!(world.store.marked(crate::SettingKind::Logging).await.unwrap().len(), 1);
    pass(&world, 1).await;
    let listed = world.store.list_objects(ListRequest::new(theirs)).await.unwrap();
    assert!(listed.entries.len() == 1 && world.keys(&target).await.is_empty());
}

#[tokio::test]
async fn what_can_not_be_written_of_a_bucket_that_is_gone_is_told_of_nobody() {
    let (world, source, target) = logged(313).await;
    let none = QuotaLimits { bytes: Some(ByteCount::new(1)), objects: None, warn_percent: 80 };
    world.store.set_quota(&target, "", none).await.unwrap();
    let failing = || world.store.log_status().failing.len();
    asked(&world, "src", "A");
    world.store.delete_bucket(&source).await.unwrap();
    // What waited of it is tried still, and fails.
    pass(&world, 1).await;
    assert_eq!((world.store.log_status().waiting, failing()), (1, 0));
    // Nor does one that takes its name have its trouble.
    world.create("src", Versioning::Off).await;
    let other = world.create("other", Versioning::Off).await;
    world.store.set_logging(&source, Some(&into(&other, None))).await.unwrap();
    pass(&world, 1).await;
    assert_eq!(failing(), 0);
    world.store.remove_quota(&target, "").await.unwrap();
    pass(&world, 1).await;
    assert_eq!((failing(), world.keys(&target).await.len()), (0, 1));
    // Its own it has, until it is written.
    world.store.set_quota(&other, "", none).await.unwrap();
    asked(&world, "src", "B");
    pass(&world, 1).await;
    assert_eq!(failing(), 1);
    world.store.remove_quota(&other, "").await.unwrap();
    pass(&world, 1).await;
    assert_eq!((failing(), world.keys(&other).await.len()), (0, 1));
}

#[tokio::test]
async fn a_target_that_is_made_anew_between_check_and_write_gets_nothing() {
    let pair = Pair::new(312).await;
    let other: AccountId = "444455556666".parse().unwrap();
    in_every_gap(async |n| {
        let (from, to) = (format!("src{n}"), format!("target{n}"));
        let source = pair.fast.create(&from, Versioning::Off).await;
        let target = pair.fast.create(&to, Versioning::Off).await;
        pair.slow.store.set_logging(&source, Some(&into(&target, None))).await.unwrap();
        asked(&pair.slow, &from, "A");
        pair.slow.clock.advance(EVERY);
        let (store, name) = (Arc::clone(&pair.fast.store), target.clone());
        let step = async move {
            store.delete_bucket(&name).await.unwrap();
            store.create_bucket(&name, &NewBucket::of(other)).await.unwrap();
        };
        if pair.with_step_at(n, step, pair.slow.store.deliver_due_log()).await.is_none() {
            return false;
        }
        let listed = pair.fast.store.list_objects(ListRequest::new(target)).await.unwrap();
        assert!(listed.entries.is_empty(), "gap {n}: {listed:?}");
        assert_eq!(pair.slow.store.log_status().delivered, 0, "gap {n}");
        true
    })
    .await;
}

#[tokio::test]
async fn a_target_that_is_full_gets_its_records_when_it_has_room_again() {
    let (world, _, target) = logged(305).await;
    let none = QuotaLimits { bytes: Some(ByteCount::new(1)), objects: None, warn_percent: 80 };
    world.store.set_quota(&target, "", none).await.unwrap();
    asked(&world, "src", "A");
    pass(&world, 1).await;
    let status = world.store.log_status();
    assert_eq!((status.waiting, status.dropped, status.failing.len()), (1, 0, 1));
    assert!(status.failing[0].error.contains("quota"), "{status:?}");
    // What comes meanwhile waits too; what fails is tried again within five minutes.
    asked(&world, "src", "B");
    pass(&world, 3).await;
    assert!(world.keys(&target).await.is_empty());
    world.store.remove_quota(&target, "").await.unwrap();
    pass(&world, 1).await;
    let mut found = records(&world, &target).await;
    found.sort();
    assert_eq!(found.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>(), ["A", "B"]);
    let status = world.store.log_status();
    assert!(status.failing.is_empty() && status.waiting == 0 && status.dropped == 0, "{status:?}");
}

#[tokio::test]
async fn records_for_a_target_that_is_gone_are_dropped_and_counted() {
    let (world, source, target) = logged(306).await;
    asked(&world, "src", "A");
    world.store.delete_bucket(&target).await.unwrap();
    pass(&world, 1).await;
    let status = world.store.log_status();
    assert_eq!((status.waiting, status.waiting_bytes, status.dropped), (0, 0, 1));
    assert_eq!(status.failing[0].target.as_str(), "target");
    // One of another account that took its name gets nothing.
    let other: AccountId = "444455556666".parse().unwrap();
    world.store.create_bucket(&target, &NewBucket::of(other)).await.unwrap();
    asked(&world, "src", "B");
    pass(&world, 1).await;
    let listed = world.store.list_objects(ListRequest::new(target.clone())).await.unwrap();
    assert!(listed.entries.is_empty() && world.store.log_status().dropped == 2);
    // Logged elsewhere, it is well again.
    let elsewhere = world.create("elsewhere", Versioning::Off).await;
    world.store.set_logging(&source, Some(&into(&elsewhere, None))).await.unwrap();
    assert!(world.store.log_status().failing.is_empty());
    asked(&world, "src", "C");
    pass(&world, 1).await;
    assert_eq!(world.keys(&elsewhere).await.len(), 1);
}

#[tokio::test]
async fn logs_of_logs_end() {
    let (world, _, target) = logged(307).await;
    let back = world.create("back", Versioning::Off).await;
    // The target is logged into a third bucket, and that one into the target.
    world.store.set_logging(&target, Some(&into(&back, None))).await.unwrap();
    world.store.set_logging(&back, Some(&into(&target, None))).await.unwrap();
    asked(&world, "src", "A");
    pass(&world, 10).await;
    let (here, there) = (records(&world, &target).await, records(&world, &back).await);
    assert_eq!(here, [("A".to_owned(), "REST.GET.OBJECT".to_owned())]);
    assert_eq!(there.len(), 1, "the delivery of A: {there:?}");
    assert_eq!(there[0].1, "REST.PUT.OBJECT");
    // One that is logged into itself has its own deliveries, and falls silent likewise.
    world.store.set_logging(&target, Some(&into(&target, None))).await.unwrap();
    asked(&world, "target", "B");
    pass(&world, 10).await;
    let mut ids = records(&world, &target).await;
    ids.retain(|(id, _)| id != "A");
    assert_eq!(ids.iter().filter(|(id, _)| id == "B").count(), 1);
    assert_eq!(ids.len(), 2, "B, and that it was delivered: {ids:?}");
    let before = world.keys(&target).await.len();
    pass(&world, 10).await;
    assert_eq!(world.keys(&target).await.len(), before);
    let line = text(&world, &target, world.keys(&target).await.last().unwrap()).await;
    assert!(line.contains(" - svc:firn-log-delivery "), "{line}");
}

#[tokio::test]
async fn a_stop_writes_what_waits() {
    let (world, _, target) = logged(308).await;
    asked(&world, "src", "A");
    world.store.drain_logs(Duration::from_secs(10)).await;
    assert_eq!(records(&world, &target).await.len(), 1);
    assert_eq!(status(&world), (0, 1, 1, 0));
}
