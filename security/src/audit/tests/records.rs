//! Records, and the history of them.

use super::super::row::{HISTORY, TAKING};
use super::super::{Attribute, Event, Lookup, Unkept};
use super::{Bench, call, data, denied, other, own};
use engine::catalog::Catalog as _;
use serde_json::Value;
use std::sync::atomic::Ordering;
use std::time::Duration;

async fn names(bench: &Bench, asked: &Lookup<'_>) -> Vec<String> {
    let page = bench.audit.lookup(own(), &Lookup { limit: 50, ..*asked }).await.unwrap();
    page.found.iter().map(|found| found.fields["eventName"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_record_is_a_durable_row_before_its_call_is_answered() {
    let bench = Bench::new().await;
    bench.audit.keep(call("CreateBucket")).await.unwrap();
    let rows = bench.rows(HISTORY).await;
    assert_eq!(rows.len(), 1);
    bench.disk.fails.store(true, Ordering::SeqCst);
    assert_eq!(bench.audit.keep(call("DeleteBucket")).await, Err(Unkept { trail: false, full: true }));
    assert_eq!(bench.rows(HISTORY).await, rows);
    assert_eq!(bench.audit.lost(), 1);
    assert_eq!(bench.audit.keep(call("DeleteBucket")).await, Err(Unkept { trail: false, full: true }));
    let health = bench.audit.health();
    assert_eq!((health.lost, health.untold), (2, 2), "what is told again is not lost again");
    // What comes through next says what was lost.
    bench.disk.fails.store(false, Ordering::SeqCst);
    bench.audit.keep(call("PutBucketPolicy")).await.unwrap();
    assert_eq!(
        names(&bench, &Lookup::default()).await,
        ["PutBucketPolicy", "AuditEventsLost", "CreateBucket"]
    );
    let wanted = Some((Attribute::EventName, "AuditEventsLost"));
    let page = bench.audit.lookup(own(), &Lookup { wanted, limit: 1, ..Lookup::default() }).await.unwrap();
    assert_eq!(page.found[0].fields["additionalEventData"]["lostEvents"], 2);
    let health = bench.audit.health();
    assert_eq!((health.lost, health.untold, health.waiting), (2, 0, 0));
}

#[tokio::test]
async fn calls_that_wait_together_share_commits() {
    let bench = Bench::new().await;
    let before = bench.disk.snapshot(engine::id::PartitionId::ROOT).await.unwrap().read_version();
    let calls: Vec<_> = (0..100)
        .map(|_| {
            let audit = bench.audit.clone();
            tokio::spawn(async move { audit.keep(call("CreateBucket")).await })
        })
        .collect();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    let after = bench.disk.snapshot(engine::id::PartitionId::ROOT).await.unwrap().read_version();
    assert_eq!(bench.rows(HISTORY).await.len(), 100);
    assert!(after - before < 20, "{} commits", after - before);
}

#[tokio::test]
async fn history_is_looked_up_newest_first_by_attribute_time_and_page() {
    let bench = Bench::new().await;
    let begun = call("x").at;
    for number in 0..7 {
        bench.clock.advance(Duration::from_secs(1));
        let at = begun.plus(Duration::from_secs(number + 1));
        let event = if number % 2 == 0 { denied("GetObject") } else { call("CreateBucket") };
        bench.audit.keep(Event { at, ..event }).await.unwrap();
    }
    let all = names(&bench, &Lookup::default()).await;
    assert_eq!(all.len(), 7);
    assert_eq!((all[0].as_str(), all[1].as_str()), ("GetObject", "CreateBucket"));
    let mut paged = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let asked = Lookup { limit: 2, after: after.as_deref(), ..Lookup::default() };
        let page = bench.audit.lookup(own(), &asked).await.unwrap();
        paged.extend(page.found.iter().map(|found| found.fields["eventName"].as_str().unwrap().to_owned()));
        let Some(next) = page.next else { break };
        after = Some(next);
    }
    assert_eq!(paged, all);
    let (second, fourth) = (begun.plus(Duration::from_secs(2)), begun.plus(Duration::from_secs(4)));
    let between = Lookup { start: Some(second), end: Some(fourth), ..Lookup::default() };
    assert_eq!(names(&bench, &between).await, ["CreateBucket", "GetObject", "CreateBucket"]);
    for (attribute, value, count) in [
        (Attribute::EventName, "GetObject", 4),
        (Attribute::Username, "root", 7),
        (Attribute::AccessKeyId, "AKIAIOSFODNN7EXAMPLE", 7),
        (Attribute::ReadOnly, "false", 7),
        (Attribute::EventSource, "iam.amazonaws.com", 0),
    ] {
        assert_eq!(
            names(&bench, &Lookup { wanted: Some((attribute, value)), ..Lookup::default() }).await.len(),
            count
        );
    }
    let late = Lookup { start: Some(fourth), end: Some(second), limit: 1, ..Lookup::default() };
    assert_eq!(
        bench.audit.lookup(own(), &late).await.unwrap_err().code.as_str(),
        "InvalidTimeRangeException"
    );
    assert!(
        bench
            .audit
            .lookup(other(), &Lookup { limit: 9, ..Lookup::default() })
            .await
            .unwrap()
            .found
            .is_empty()
    );
}

#[tokio::test]
async fn whoever_owns_what_was_asked_for_has_a_record_of_their_own() {
    let bench = Bench::new().await;
    bench.audit.keep(Event { also: vec![other()], ..denied("GetObject") }).await.unwrap();
    let mut shared = Vec::new();
    for account in [own(), other()] {
        let page = bench.audit.lookup(account, &Lookup { limit: 9, ..Lookup::default() }).await.unwrap();
        let fields: &Value = &page.found[0].fields;
        assert_eq!(fields["recipientAccountId"], account.to_string());
        shared.push((fields["sharedEventID"].clone(), fields["eventID"].clone()));
    }
    assert!(shared[0].0.is_string() && shared[0].0 == shared[1].0 && shared[0].1 != shared[1].1);
}

#[tokio::test]
async fn history_ends_after_ninety_days_and_what_does_not_fit_goes_without_its_parameters() {
    let bench = Bench::new().await;
    let mut large = call("CreateBucket");
    large.fields.insert("requestParameters".to_owned(), "x".repeat(100_000).into());
    bench.audit.keep(large).await.unwrap();
    let page = bench.audit.lookup(own(), &Lookup { limit: 1, ..Lookup::default() }).await.unwrap();
    assert_eq!(page.found[0].fields["requestParameters"]["omitted"], true);
    bench.clock.advance(Duration::from_hours(24 * 60));
    bench.compliance.settle().await.unwrap();
    bench.audit.keep(call("DeleteBucket")).await.unwrap();
    assert_eq!(bench.audit.tidy().await.unwrap(), 0);
    // Whoever sets the clock forward ends no day.
    bench.clock.set_wall(bench.audit.now().plus(Duration::from_hours(24 * 40)));
    assert_eq!(bench.audit.tidy().await.unwrap(), 0);
    assert_eq!(names(&bench, &Lookup::default()).await.len(), 2);
    bench.clock.set_wall(call("x").at.plus(Duration::from_hours(24 * 60)));
    bench.clock.advance(Duration::from_hours(24 * 40));
    bench.compliance.settle().await.unwrap();
    assert_eq!(names(&bench, &Lookup::default()).await.len(), 0, "when its call ended decides");
    assert_eq!(bench.audit.tidy().await.unwrap(), 1);
    assert_eq!(bench.rows(HISTORY).await.len(), 1);
}

#[tokio::test]
async fn data_events_are_taken_by_selectors_alone_and_a_crash_says_what_may_be_lost() {
    let mut bench = Bench::new().await;
    bench.trail("trail").await;
    assert!(!bench.audit.takes_data());
    bench.audit.note(data("PutObject", "arn:aws:s3:::b/k"));
    let selectors = super::selectors::of_bucket("b");
    bench.audit.put_selectors(own(), "trail", selectors).await.unwrap();
    assert!(bench.audit.takes_data());
    assert_eq!(bench.rows(TAKING).await.len(), 1);
    bench.audit.note(data("GetObject", "arn:aws:s3:::b/k"));
    bench.audit.note(data("HeadObject", "arn:aws:s3:::c/k"));
    bench.audit.drain().await;
    assert_eq!(bench.rows(TAKING).await.len(), 0);
    bench.work().await;
    assert_eq!(bench.delivered()[0].1, ["GetObject"]);
    assert!(bench.rows(HISTORY).await.is_empty(), "they are in no history");
    // A stop that was told leaves nothing; one that was not is told by the next start.
    bench.crash().await;
    bench.audit.drain().await;
    assert!(names(&bench, &Lookup::default()).await.is_empty());
    bench.crash().await;
    bench.crash().await;
    bench.audit.drain().await;
    assert_eq!(names(&bench, &Lookup::default()).await, ["AuditEventsLost"]);
}
