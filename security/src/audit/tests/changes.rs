//! Changes of trails, clocks that are set, and buckets that change.

use super::super::row::{ENDING, Held, QUEUE, TRAILS};
use super::super::{Lookup, NewTrail, SinkError, TrailUpdate};
use super::{Bench, about, call, others_work, own};
use engine::clock::Timestamp;
use serde_json::Value;
use std::sync::atomic::Ordering;
use std::time::Duration;

#[tokio::test]
async fn a_change_goes_to_its_end_though_who_asked_for_it_has_gone() {
    let mut bench = Bench::new().await;
    bench.trail("trail").await;
    bench.disk.is_stuck.send_replace(true);
    let audit = bench.audit.clone();
    let stopping = tokio::spawn(async move { audit.stop_logging(own(), "trail").await });
    others_work().await;
    stopping.abort();
    others_work().await;
    bench.disk.is_stuck.send_replace(false);
    others_work().await;
    assert!(!bench.audit.trail_status(own(), "trail").await.unwrap().is_logging);
    bench.audit.start_logging(own(), "trail").await.unwrap();
    bench.disk.is_stuck.send_replace(true);
    let audit = bench.audit.clone();
    let deleting = tokio::spawn(async move { audit.delete_trail(own(), "trail").await });
    others_work().await;
    deleting.abort();
    others_work().await;
    bench.disk.is_stuck.send_replace(false);
    others_work().await;
    assert!(bench.audit.trails(own()).is_empty() && bench.rows(TRAILS).await.is_empty());
    bench.crash().await;
    assert!(bench.audit.trails(own()).is_empty());
}

#[tokio::test]
async fn after_a_change_of_unknown_outcome_memory_says_what_the_rows_say() {
    let bench = Bench::new().await;
    bench.trail("trail").await;
    bench.disk.is_silent.store(true, Ordering::SeqCst);
    bench.audit.stop_logging(own(), "trail").await.unwrap_err();
    assert!(!bench.audit.trail_status(own(), "trail").await.unwrap().is_logging, "it had passed");
    bench.audit.delete_trail(own(), "trail").await.unwrap_err();
    assert!(bench.audit.trails(own()).is_empty() && bench.audit.ending.lock().len() == 1);
    bench.disk.is_silent.store(false, Ordering::SeqCst);
    bench.trail("trail").await;
    bench.disk.fails.store(true, Ordering::SeqCst);
    bench.audit.delete_trail(own(), "trail").await.unwrap_err();
    assert_eq!(bench.audit.trails(own()).len(), 1, "it had not");
}

#[tokio::test]
async fn what_waits_for_a_trail_that_was_deleted_is_delivered_by_the_next_process_too() {
    let mut bench = Bench::new().await;
    bench.trail("trail").await;
    bench.audit.keep(call("CreateUser")).await.unwrap();
    bench.audit.delete_trail(own(), "trail").await.unwrap();
    bench.work().await;
    assert!(bench.delivered().is_empty(), "its last record is to come");
    bench.crash().await;
    bench.audit.keep(about("DeleteTrail", "trail")).await.unwrap();
    bench.audit.keep(call("CreateRole")).await.unwrap();
    bench.work().await;
    assert_eq!(bench.delivered()[0].1, ["CreateUser", "DeleteTrail"]);
    assert_eq!(bench.digests().len(), 1);
    assert!(bench.rows(ENDING).await.is_empty() && bench.audit.ending.lock().is_empty());
    assert_eq!(bench.audit.health().lost, 0);
}

#[tokio::test]
async fn a_trail_that_is_deleted_without_its_bucket_ends_at_once_and_what_waited_is_lost() {
    let bench = Bench::new().await;
    for (name, refusal) in
        [("gone", SinkError::NoBucket), ("closed", SinkError::NotAllowed("s3:PutObject".to_owned()))]
    {
        bench.trail(name).await;
        bench.audit.keep(call("CreateUser")).await.unwrap();
        *bench.bucket.refuses.lock() = Some(refusal.clone());
        bench.audit.delete_trail(own(), name).await.unwrap();
        bench.audit.keep(about("DeleteTrail", name)).await.unwrap();
        bench.work().await;
        if refusal != SinkError::NoBucket {
            assert_eq!(bench.rows(ENDING).await.len(), 1, "its policy may be mended");
            bench.clock.advance(Duration::from_mins(61));
            bench.work().await;
        }
        assert!(bench.rows(ENDING).await.is_empty() && bench.rows(QUEUE).await.is_empty());
        *bench.bucket.refuses.lock() = None;
    }
    // Two of the one, two of the other, and what it had of the loss of the first.
    assert_eq!(bench.audit.health().lost, 5);
}

#[tokio::test]
async fn a_trail_that_is_given_another_bucket_waits_for_the_old_one_no_more() {
    let bench = Bench::new().await;
    bench.trail("trail").await;
    bench.audit.keep(call("CreateUser")).await.unwrap();
    *bench.bucket.refuses.lock() = Some(SinkError::Later("QuotaExceeded".to_owned()));
    bench.work().await;
    let update = TrailUpdate { bucket: Some("others"), ..TrailUpdate::default() };
    *bench.bucket.refuses.lock() = None;
    bench.audit.update_trail(own(), "trail", &update).await.unwrap();
    *bench.bucket.refuses.lock() = Some(SinkError::Later("QuotaExceeded".to_owned()));
    bench.clock.advance(Duration::from_mins(6));
    bench.work().await;
    *bench.bucket.refuses.lock() = None;
    bench.clock.advance(Duration::from_mins(6));
    bench.work().await;
    assert_eq!(bench.delivered()[0].1, ["CreateUser"]);
    assert!(bench.bucket.asked.lock().last().unwrap().starts_with("others/"));
}

#[tokio::test]
async fn a_digest_that_was_refused_is_tried_when_files_would_be() {
    let bench = Bench::new().await;
    bench.trail("trail").await;
    bench.work().await;
    bench.clock.advance(Duration::from_mins(61));
    *bench.bucket.refuses.lock() = Some(SinkError::NoBucket);
    bench.work().await;
    let asked = || bench.bucket.asked.lock().len();
    let before = asked();
    for _ in 0..10 {
        bench.work().await;
    }
    assert_eq!(asked(), before);
    bench.clock.advance(Duration::from_mins(5));
    bench.work().await;
    assert_eq!(asked(), before + 1);
    *bench.bucket.refuses.lock() = None;
    bench.clock.advance(Duration::from_mins(5));
    bench.work().await;
    assert_eq!(bench.digests().len(), 1);
}

#[tokio::test]
async fn a_files_worth_that_waits_wakes_who_delivers() {
    let bench = Bench::new().await;
    bench.trail("trail").await;
    let trail = bench.audit.trails.lock().values().next().unwrap().clone();
    let held = Held::Trail(own(), trail.id);
    let rung = async || {
        tokio::select! {
            biased;
            () = bench.audit.trail_bell.notified() => true,
            () = std::future::ready(()) => false,
        }
    };
    assert!(rung().await && !rung().await, "by the changes of the trail");
    bench.audit.keep(call("CreateUser")).await.unwrap();
    assert!(!rung().await);
    bench.audit.add_held(held, super::super::deliver::FILE - 1_000);
    bench.audit.keep(call("CreateUser")).await.unwrap();
    assert!(rung().await);
    bench.audit.keep(call("CreateUser")).await.unwrap();
    assert!(!rung().await, "once for each");
}

#[tokio::test]
async fn clocks_that_are_set_back_hold_up_neither_files_nor_digests_nor_lookups() {
    let bench = Bench::new().await;
    let right = bench.audit.now();
    let ahead = right.plus(Duration::from_hours(24 * 365));
    bench.clock.set_wall(ahead);
    bench.trail("trail").await;
    bench.audit.keep(call("CreateUser")).await.unwrap();
    *bench.bucket.refuses.lock() = Some(SinkError::NoBucket);
    bench.work().await;
    *bench.bucket.refuses.lock() = None;
    bench.clock.set_wall(right);
    bench.work().await;
    assert_eq!(bench.delivered()[0].1, ["CreateUser"], "what was tried in the future is due");
    bench.clock.advance(Duration::from_mins(61));
    bench.work().await;
    bench.settle().await;
    assert_eq!(bench.digests().len(), 1);
    let digest: Value = serde_json::from_slice(&bench.digests()[0].1.body).unwrap();
    assert!(digest["digestStartTime"].as_str().unwrap().starts_with("2023-11-14T"), "{digest}");
    // What comes now has a place behind what came then.
    let mut event = call("DeleteUser");
    event.at = bench.audit.now();
    bench.audit.keep(event).await.unwrap();
    let end = Some(Timestamp::from_millis(bench.audit.now().as_millis() + 1));
    let page = bench.audit.lookup(own(), &Lookup { end, limit: 9, ..Lookup::default() }).await.unwrap();
    let names: Vec<_> = page.found.iter().map(|found| found.fields["eventName"].as_str().unwrap()).collect();
    assert_eq!(names, ["DeleteUser", "AuditClockSetBack", "CreateUser"]);
}

#[tokio::test]
async fn no_more_trails_end_at_once_than_an_account_may_have() {
    let bench = Bench::new().await;
    for _ in 0..7 {
        let new = NewTrail { name: "trail", bucket: "logs", ..NewTrail::default() };
        bench.audit.create_trail(own(), &new).await.unwrap();
        bench.audit.start_logging(own(), "trail").await.unwrap();
        bench.audit.delete_trail(own(), "trail").await.unwrap();
    }
    assert_eq!(bench.rows(ENDING).await.len(), 5);
    bench.clock.advance(Duration::from_mins(6));
    bench.work().await;
    assert!(bench.rows(ENDING).await.is_empty());
}
