//! Rows that can't be read.

use super::super::row::{self, BYTES, FILES, HISTORY, QUEUE, SIGNERS, STATES, TRAILS};
use super::super::{Event, Lookup, NewTrail};
use super::{Bench, call, other, own};
use bytes::Bytes;
use std::time::Duration;

async fn names(bench: &Bench) -> Vec<String> {
    let page = bench.audit.lookup(own(), &Lookup { limit: 50, ..Lookup::default() }).await.unwrap();
    page.found.iter().map(|found| found.fields["eventName"].as_str().unwrap().to_owned()).collect()
}

fn delivered(bench: &Bench) -> Vec<String> {
    bench.delivered().into_iter().flat_map(|(_, names)| names).collect()
}

#[tokio::test]
async fn a_trail_that_can_not_be_read_keeps_no_other_from_working_and_can_be_deleted() {
    let mut bench = Bench::new().await;
    bench.trail("bad").await;
    bench.trail("good").await;
    bench.audit.keep(call("CreateUser")).await.unwrap();
    bench.put(row::trail(own(), "bad"), b"\x01\xff").await;
    bench.put(row::TRAILS.key(Bytes::from_static(b"?")), b"\x01\xff").await;
    bench.crash().await;
    bench.work().await;
    assert_eq!(delivered(&bench), ["CreateUser"], "the other one's are delivered");
    let health = bench.audit.health();
    assert_eq!((health.failing.len(), health.damaged.len()), (1, 2), "{health:?}");
    assert!(health.failing[0].arn.ends_with(":trail/bad") && health.failing[0].bucket.is_empty());
    let new = NewTrail { name: "bad", bucket: "logs", ..NewTrail::default() };
    let refused = bench.audit.create_trail(own(), &new).await.unwrap_err();
    assert_eq!(refused.code.as_str(), "TrailAlreadyExistsException");
    assert_eq!(bench.audit.stop_logging(own(), "bad").await.unwrap_err().code.as_str(), "InternalFailure");
    bench.audit.delete_trail(own(), "bad").await.unwrap();
    bench.work().await;
    assert!(bench.rows(QUEUE).await.is_empty(), "what waited for it is gone");
    assert!(bench.audit.health().failing.is_empty());
    bench.audit.create_trail(own(), &new).await.unwrap();
}

#[tokio::test]
async fn a_trail_whose_state_can_not_be_read_goes_on_and_says_so() {
    let mut bench = Bench::new().await;
    bench.trail("trail").await;
    bench.audit.keep(call("CreateUser")).await.unwrap();
    bench.work().await;
    bench.damage(STATES).await;
    bench.crash().await;
    bench.audit.keep(call("DeleteUser")).await.unwrap();
    bench.clock.advance(Duration::from_mins(6));
    bench.work().await;
    bench.settle().await;
    bench.clock.advance(Duration::from_mins(6));
    bench.work().await;
    let all = delivered(&bench);
    assert_eq!(all.iter().filter(|name| *name == "AuditRecordDamaged").count(), 1, "{all:?}");
    assert_eq!(all.iter().filter(|name| *name == "DeleteUser").count(), 1, "{all:?}");
    assert!(bench.audit.health().failing.is_empty());
}

#[tokio::test]
async fn a_record_that_can_not_be_read_has_one_in_its_place() {
    let mut bench = Bench::new().await;
    bench.trail("trail").await;
    bench.work().await;
    for name in ["CreateUser", "DeleteUser", "CreateRole"] {
        bench.audit.keep(call(name)).await.unwrap();
    }
    for table in [HISTORY, QUEUE] {
        let (key, _) = bench.rows(table).await.remove(1);
        bench.put(table.key(key), b"\x01\xff").await;
    }
    bench.put(BYTES.key(Bytes::from_static(b"?")), b"12345678").await;
    let odd = [&own().to_bytes()[..], b"\0?"].concat();
    bench.put(HISTORY.key(odd), b"?").await;
    bench.crash().await;
    assert_eq!(names(&bench).await, ["CreateRole", "AuditRecordDamaged", "CreateUser"]);
    let shown = async || {
        let page = bench.audit.lookup(own(), &Lookup { limit: 9, ..Lookup::default() }).await.unwrap();
        page.found[1].record.clone()
    };
    assert_eq!(shown().await, shown().await, "it is always the same");
    bench.clock.advance(Duration::from_mins(6));
    bench.work().await;
    assert_eq!(delivered(&bench), ["CreateUser", "AuditRecordDamaged", "CreateRole"]);
    assert_eq!(bench.audit.health().damaged.len(), 4, "{:?}", bench.audit.health());
    assert!(bench.audit.health().failing.is_empty() && bench.rows(QUEUE).await.is_empty());
    // So it is with a digest's files.
    bench.damage(FILES).await;
    bench.clock.advance(Duration::from_hours(1));
    bench.work().await;
    assert_eq!(bench.digests().len(), 1);
    bench.settle().await;
    assert_eq!(names(&bench).await[0], "AuditRecordDamaged");
}

#[tokio::test]
async fn one_trails_trouble_leaves_the_others_alone() {
    let bench = Bench::new().await;
    bench.trail("trail").await;
    let new = NewTrail { name: "theirs", bucket: "logs", includes_global: true, ..NewTrail::default() };
    bench.audit.create_trail(other(), &new).await.unwrap();
    bench.audit.start_logging(other(), "theirs").await.unwrap();
    bench.audit.keep(call("CreateUser")).await.unwrap();
    bench.work().await;
    bench.clock.advance(Duration::from_hours(1));
    bench.work().await;
    assert_eq!(bench.digests().len(), 1);
    // What signs can't be read: no digest of this account comes to be.
    bench.damage(SIGNERS).await;
    bench.clock.advance(Duration::from_hours(1));
    bench.audit.keep(Event { account: other(), ..call("DeleteUser") }).await.unwrap();
    let (done, rest) = bench.audit.deliver().await;
    assert!(done > 0 && rest <= Duration::from_secs(1), "{done} {rest:?}");
    assert_eq!(delivered(&bench), ["CreateUser", "DeleteUser"]);
    assert_eq!(bench.audit.health().failing.len(), 1);
    // It is left alone, longer each time.
    let (_, rest) = bench.audit.deliver().await;
    assert!(rest <= Duration::from_secs(1));
    bench.clock.advance(Duration::from_secs(1));
    let (_, rest) = bench.audit.deliver().await;
    assert_eq!(rest, Duration::from_secs(2));
    assert_eq!(bench.rows(TRAILS).await.len(), 2);
}
