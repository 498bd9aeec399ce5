//! Who loses where there is not room for all.

use super::super::row::{CUTS, HISTORY, Held, Part, QUEUE};
use super::super::tidy::targets;
use super::super::write::STRANGERS_BYTES_MAX;
use super::super::{Event, Lookup};
use super::{Bench, call, denied, other, own};
use engine::catalog::Layout;
use serde_json::{Value, json};
use std::time::Duration;

async fn found(bench: &Bench) -> Vec<Value> {
    let page = bench.audit.lookup(own(), &Lookup { limit: 50, ..Lookup::default() }).await.unwrap();
    page.found.into_iter().map(|found| found.fields).collect()
}

async fn count(bench: &Bench, name: &str) -> usize {
    let rows = bench.rows(HISTORY).await;
    rows.iter().filter(|(_, value)| String::from_utf8_lossy(value).contains(name)).count()
}

/// What anybody can send.
fn stranger(name: &'static str, address: &str) -> Event {
    let mut event = denied(name);
    event.user = json!({ "type": "AWSAccount", "principalId": "", "accountId": "anonymous" });
    event.fields.insert("sourceIPAddress".to_owned(), json!(address));
    event.fields.insert("requestParameters".to_owned(), json!({ "key": "x".repeat(50_000) }));
    event
}

fn user(name: &str, event: Event) -> Event {
    let user = json!({ "type": "IAMUser", "arn": format!("arn:aws:iam::111122223333:user/{name}") });
    Event { user, ..event }
}

#[tokio::test]
async fn a_flood_of_forged_requests_pushes_out_no_denial_of_who_is_known_and_is_told() {
    let mut bench = Bench::new().await;
    for _ in 0..3 {
        bench.audit.keep(user("ada", denied("GetUser"))).await.unwrap();
    }
    bench.audit.keep(stranger("HeadBucket", "192.0.2.7")).await.unwrap();
    for number in 0..200 {
        bench.audit.keep(stranger("GetObject", &format!("2001:db8::{number}"))).await.unwrap();
    }
    let held = Held::Part(own(), Part::Denials);
    let bytes = bench.audit.held(held);
    assert!(bytes < 1_000 * 210, "parameters are short in the history: {bytes}");
    let target = u64::try_from(bytes / 2).unwrap();
    let gone = bench.audit.cut(own(), Part::Denials, target).await.unwrap();
    assert!(gone > 90, "{gone}");
    assert!(bench.audit.held(held) <= bytes / 2 + 2_000);
    assert_eq!((count(&bench, "GetUser").await, count(&bench, "HeadBucket").await), (3, 1));
    bench.settle().await;
    let said =
        found(&bench).await.into_iter().find(|fields| fields["eventName"] == "AuditHistoryCut").unwrap();
    assert_eq!(said["additionalEventData"]["records"], gone);
    // The next process tells it too, until 90 days are over.
    bench.crash().await;
    let cuts = bench.audit.health().cuts;
    assert_eq!((cuts.len(), cuts[0].account, cuts[0].part, cuts[0].count), (1, own(), "denials", gone));
    assert_eq!(cuts[0].whole_since.as_millis(), bench.audit.now().as_millis());
    bench.clock.advance(Duration::from_hours(24 * 91));
    bench.compliance.settle().await.unwrap();
    while bench.audit.tidy().await.unwrap() > 0 {}
    assert!(bench.audit.health().cuts.is_empty() && bench.rows(CUTS).await.is_empty());
    assert_eq!(bench.audit.held.lock().get(&held), None, "a counter of nothing is none");
}

#[tokio::test]
async fn a_flood_of_one_users_calls_pushes_out_no_call_of_another() {
    let bench = Bench::new().await;
    for _ in 0..3 {
        bench.audit.keep(user("ada", call("CreateUser"))).await.unwrap();
    }
    for _ in 0..100 {
        let mut encrypt = user("bob", call("Encrypt"));
        let context = json!({ "encryptionContext": "x".repeat(50_000) });
        encrypt.fields.insert("requestParameters".to_owned(), context);
        bench.audit.keep(encrypt).await.unwrap();
    }
    let bytes = bench.audit.held(Held::Part(own(), Part::Calls));
    assert!(bytes < 1_000 * 103, "{bytes}");
    bench.audit.cut(own(), Part::Calls, u64::try_from(bytes / 3).unwrap()).await.unwrap();
    assert_eq!(count(&bench, "CreateUser").await, 3);
    bench.settle().await;
    // A counter that says more than there is is put right, and costs nobody anything.
    let (held, left) = (Held::Part(own(), Part::Calls), bench.rows(HISTORY).await.len());
    let true_bytes = bench.audit.held(held);
    bench.audit.commit_counted(Layout::FIRST, Vec::new(), &[(held, 64 << 20)]).await.unwrap();
    assert_eq!(bench.audit.tidy().await.unwrap(), 0);
    assert_eq!((bench.audit.held(held), bench.rows(HISTORY).await.len()), (true_bytes, left));
    assert!(count(&bench, "\"Encrypt\"").await < 40);
}

#[test]
fn parts_have_bounds_of_their_own_and_all_denials_one() {
    let (calls, denials) = ((own(), Part::Calls), (own(), Part::Denials));
    assert!(targets(&[(calls.0, calls.1, 64 << 20), (denials.0, denials.1, 32 << 20)]).is_empty());
    assert_eq!(targets(&[(calls.0, calls.1, (64 << 20) + 1)]), [(own(), Part::Calls, 48 << 20)]);
    // A thousand accounts that nobody knows keep no denial from any: who has least keeps all.
    let mut all: Vec<_> = (1..=1_000_u64)
        .map(|number| (format!("{number:012}").parse().unwrap(), Part::Denials, 1 << 20))
        .collect();
    all.push((own(), Part::Denials, 100_000));
    let targets = targets(&all);
    assert_eq!(targets.len(), 1_000);
    let kept: u64 = targets.iter().map(|(_, _, target)| target).sum();
    assert!(kept <= 384 << 20 && targets.iter().all(|(account, ..)| *account != own()));
}

#[tokio::test]
async fn denials_of_nobody_known_have_a_rate_and_then_one_record_says_how_many_there_were() {
    let bench = Bench::new().await;
    bench.trail("trail").await;
    let mut brief = stranger("GetObject", "192.0.2.7");
    brief.fields.remove("requestParameters");
    for _ in 0..100 {
        bench.audit.keep(brief.clone()).await.unwrap();
    }
    bench.audit.keep(user("ada", denied("GetUser"))).await.unwrap();
    bench.audit.keep(stranger("HeadBucket", "192.0.2.8")).await.unwrap();
    assert_eq!((bench.rows(HISTORY).await.len(), bench.rows(QUEUE).await.len()), (102, 62));
    bench.clock.advance(Duration::from_mins(6));
    bench.work().await;
    bench.settle().await;
    bench.clock.advance(Duration::from_mins(6));
    bench.work().await;
    let (_, names) = bench.delivered().pop().unwrap();
    assert_eq!(names, ["AuditDenialsOmitted"]);
    let body: Value = serde_json::from_slice(&bench.bucket.files.lock().last().unwrap().1.body).unwrap();
    let said = &body["Records"][0]["additionalEventData"];
    assert_eq!((&said["omittedEvents"], &said["sourceIPAddresses"]), (&json!(40), &json!(1)));
    assert_eq!(said["most"][0]["sourceIPAddress"], "192.0.2.7");
    assert_eq!(bench.rows(HISTORY).await.len(), 102, "the history has each of them, and needs no count");
    // Another minute, others.
    bench.audit.keep(brief).await.unwrap();
    assert_eq!(bench.rows(QUEUE).await.len(), 1);
}

#[tokio::test]
async fn denials_of_nobody_known_have_a_share_of_what_waits_for_a_trail() {
    let bench = Bench::new().await;
    bench.trail("trail").await;
    let trail = bench.audit.trails.lock().values().next().unwrap().clone();
    let held = Held::Strangers(own(), trail.id);
    bench.audit.keep(stranger("GetObject", "192.0.2.7")).await.unwrap();
    assert_eq!(bench.audit.held(held), bench.audit.held(Held::Trail(own(), trail.id)));
    bench.audit.add_held(held, STRANGERS_BYTES_MAX);
    bench.audit.keep(stranger("GetObject", "192.0.2.7")).await.unwrap();
    bench.audit.keep(Event { also: vec![other()], ..user("ada", denied("GetUser")) }).await.unwrap();
    assert_eq!(bench.rows(QUEUE).await.len(), 3, "one, and who is known, and what was lost");
    assert_eq!(bench.audit.health().lost, 1);
    bench.audit.add_held(held, -STRANGERS_BYTES_MAX);
    bench.work().await;
    assert_eq!((bench.audit.held(held), bench.audit.held(Held::Trail(own(), trail.id))), (0, 0));
}
