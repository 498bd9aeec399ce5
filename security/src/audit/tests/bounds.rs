//! Bounds of records, and of what waits.

use super::super::render::{HISTORY_BYTES_MAX, RECORD_BYTES_MAX, Rendered};
use super::super::row::{BYTES, HISTORY, Held, Part, QUEUE, TAKING};
use super::super::{Event, Failure, Lookup, Resource};
use super::{Bench, POISON, call, data, denied, other, others_work, own};
use engine::entropy::SeededEntropy;
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use std::sync::atomic::Ordering;
use std::time::Duration;

fn text() -> impl Strategy<Value = String> {
    let letter = prop::sample::select(vec!['\u{1}', '\n', '"', '\\', 'a', '\u{7f}', 'é', '😀']);
    (letter, prop_oneof![0..40_usize, 0..70_000_usize])
        .prop_map(|(letter, count)| std::iter::repeat_n(letter, count).collect())
}

fn any_event() -> impl Strategy<Value = Event> {
    let resource = (text(), any::<bool>()).prop_map(|(arn, is_bucket)| Resource {
        kind: if is_bucket { "AWS::S3::Bucket" } else { "AWS::S3::Object" },
        arn,
        account: Some(own()),
    });
    let texts = prop::array::uniform9(text());
    (texts, prop::collection::vec(resource, 0..4), any::<bool>()).prop_map(|(texts, resources, is_denied)| {
        let [name, code, message, arn, agent, address, parameters, answered, more] = texts;
        let fields = Map::from_iter([
            ("userAgent".to_owned(), json!(agent)),
            ("sourceIPAddress".to_owned(), json!(address)),
            ("requestParameters".to_owned(), json!({ "omitted": true, "policy": parameters, &more: 1 })),
            ("responseElements".to_owned(), json!([answered])),
            ("tlsDetails".to_owned(), json!({ "clientProvidedHostHeader": more })),
            (more.clone(), json!(more)),
        ]);
        let user =
            json!({ "type": "IAMUser", "arn": arn, "sessionContext": { "sessionIssuer": { "arn": more } } });
        Event {
            also: vec![other()],
            denied: is_denied,
            name: name.into(),
            resources,
            user,
            failure: Some(Failure { code, message: Some(message) }),
            fields,
            ..call("")
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn whatever_an_event_holds_its_record_fits(event in any_event()) {
        let rendered = Rendered::new(event, "us-east-1");
        prop_assert!(rendered.size() <= 2 * RECORD_BYTES_MAX);
        let records = rendered.records(&SeededEntropy::new(1));
        prop_assert_eq!(records.len(), 2);
        for (account, full, brief) in records {
            let most = [(&full, RECORD_BYTES_MAX), (brief.as_ref().unwrap_or(&full), HISTORY_BYTES_MAX)];
            for (record, most) in most {
                prop_assert!(record.len() <= most, "{} bytes", record.len());
                let fields: Value = serde_json::from_str(record).unwrap();
                prop_assert_eq!(&fields["recipientAccountId"], &json!(account.to_string()));
                prop_assert!(fields["eventID"].is_string() && fields["sharedEventID"].is_string());
                prop_assert!(fields["errorCode"].is_string() && fields["userIdentity"]["type"].is_string());
            }
        }
    }
}

#[tokio::test]
async fn a_name_full_of_control_characters_is_recorded_and_costs_no_other_call_its_record() {
    let bench = Bench::new().await;
    bench.trail("trail").await;
    // What `GET /%01%01…` and a signature that is none come to.
    let name = "\u{1}".repeat(5_461);
    let of = |kind, arn| Resource { kind, arn, account: None };
    let resources = vec![
        of("AWS::S3::Object", format!("arn:aws:s3:::{name}/")),
        of("AWS::S3::Bucket", format!("arn:aws:s3:::{name}")),
    ];
    let forged = Event { resources, ..denied("ListObjects") };
    let (one, two) = tokio::join!(bench.audit.keep(call("CreateUser")), bench.audit.keep(forged));
    assert_eq!((one, two), (Ok(()), Ok(())));
    assert_eq!(bench.rows(HISTORY).await.len(), 2);
    bench.work().await;
    assert_eq!(bench.delivered()[0].1, ["CreateUser", "ListObjects"]);
}

#[tokio::test]
async fn of_calls_that_share_a_commit_only_the_one_that_no_commit_takes_is_lost() {
    let bench = Bench::new().await;
    bench.trail("trail").await;
    let (one, bad, two) = tokio::join!(
        bench.audit.keep(call("CreateUser")),
        bench.audit.keep(call(POISON)),
        bench.audit.keep(call("DeleteUser")),
    );
    assert!(one.is_ok() && bad.is_err_and(|unkept| !unkept.full) && two.is_ok());
    assert_eq!((bench.rows(HISTORY).await.len(), bench.rows(QUEUE).await.len()), (2, 2));
    assert_eq!((bench.audit.health().lost, bench.audit.health().untold), (1, 1));
}

#[tokio::test]
async fn what_waits_is_bounded_by_its_bytes() {
    let bench = Bench::new().await;
    bench.trail("trail").await;
    bench.audit.put_selectors(own(), "trail", super::selectors::of_bucket("b")).await.unwrap();
    bench.disk.is_stuck.send_replace(true);
    let large = |event: Event| {
        let fields = Map::from_iter([("requestParameters".to_owned(), json!("x".repeat(40_000)))]);
        Event { fields, ..event }
    };
    let before = bench.audit.waiting.places.available_permits();
    let (audit, event) = (bench.audit.clone(), large(call("CreatePolicy")));
    let call = tokio::spawn(async move { audit.keep(event).await });
    others_work().await;
    let taken = before - bench.audit.waiting.places.available_permits();
    assert!((5..=8).contains(&taken), "{taken} places of 8 KiB");
    for _ in 0..1_000 {
        bench.audit.note(large(data("GetObject", "arn:aws:s3:::b/k")));
    }
    let health = bench.audit.health();
    assert!(health.waiting <= 420 && health.lost >= 580, "{health:?}");
    bench.disk.is_stuck.send_replace(false);
    call.await.unwrap().unwrap();
    assert_eq!(bench.audit.waiting.places.available_permits(), before);
}

#[tokio::test]
async fn a_read_waits_five_seconds_in_all_and_how_long_the_oldest_call_waits_is_told() {
    let bench = Bench::new().await;
    bench.disk.is_stuck.send_replace(true);
    let every = bench.audit.waiting.places.clone().acquire_many_owned(4_096).await.unwrap();
    let (audit, read) = (bench.audit.clone(), Event { read_only: true, ..call("ListUsers") });
    let reading = tokio::spawn(async move { audit.keep(read).await });
    others_work().await;
    bench.clock.advance(Duration::from_secs(3));
    drop(every);
    others_work().await;
    assert!(!reading.is_finished());
    bench.clock.advance(Duration::from_secs(2));
    others_work().await;
    assert!(reading.is_finished(), "three seconds for a place and two for the record");
    reading.await.unwrap().unwrap_err();
    bench.clock.advance(Duration::from_secs(9));
    assert_eq!(bench.audit.health().oldest, Duration::from_secs(11));
    bench.disk.is_stuck.send_replace(false);
    others_work().await;
    assert_eq!(bench.audit.health().oldest, Duration::ZERO);
    assert_eq!(bench.rows(HISTORY).await.len(), 1);
}

#[tokio::test]
async fn a_panic_loses_what_was_being_written_and_what_writes_goes_on() {
    let bench = Bench::new().await;
    bench.disk.panics.store(true, Ordering::SeqCst);
    bench.audit.keep(call("CreateUser")).await.unwrap_err();
    assert_eq!(bench.audit.health().lost, 1);
    bench.audit.keep(call("DeleteUser")).await.unwrap();
    assert_eq!(bench.audit.health().untold, 0);
    assert_eq!(bench.audit.health().oldest, Duration::ZERO);
}

#[tokio::test]
async fn what_is_lost_of_many_accounts_is_told_in_as_many_commits_as_it_takes() {
    let bench = Bench::new().await;
    for number in 1..=6_000_u64 {
        let account = format!("{number:012}").parse().unwrap();
        bench.audit.lose_of(account, (2, bench.audit.now(), "as it was told to"));
    }
    // Those whose commit fails are told by the next.
    bench.disk.fails.store(true, Ordering::SeqCst);
    bench.audit.keep(call("CreateUser")).await.unwrap_err();
    assert_eq!(bench.audit.lost(), 12_001);
    bench.disk.fails.store(false, Ordering::SeqCst);
    bench.audit.keep(call("CreateUser")).await.unwrap();
    assert_eq!(bench.audit.lost(), 0);
    assert!(bench.audit.held(Held::Part("000000006000".parse().unwrap(), Part::Calls)) > 0);
}

#[tokio::test]
async fn after_a_commit_of_unknown_outcome_counters_are_read_again() {
    let bench = Bench::new().await;
    bench.audit.keep(call("CreateUser")).await.unwrap();
    bench.disk.is_silent.store(true, Ordering::SeqCst);
    bench.audit.keep(call("DeleteUser")).await.unwrap_err();
    bench.disk.is_silent.store(false, Ordering::SeqCst);
    let asked = Lookup { limit: 9, ..Lookup::default() };
    assert_eq!(bench.audit.lookup(own(), &asked).await.unwrap().found.len(), 2, "it had passed");
    bench.audit.keep(call("CreateUser")).await.unwrap();
    others_work().await;
    let (_, value) = &bench.rows(BYTES).await[0];
    let counted = i64::from_le_bytes((**value).try_into().unwrap());
    assert_eq!(bench.audit.held(Held::Part(own(), Part::Calls)), counted);
    let page = bench.audit.lookup(own(), &asked).await.unwrap();
    let lost = page.found.iter().find(|found| found.fields["eventName"] == "AuditEventsLost").unwrap();
    assert!(lost.record.contains("they may be there"), "{}", lost.record);
}

#[tokio::test]
async fn a_commit_of_which_it_was_open_whether_it_passed_is_not_said_to_be_refused() {
    let bench = Bench::new().await;
    let disk = bench.disk.clone();
    disk.is_silent.store(true, Ordering::SeqCst);
    disk.full_behind.store(true, Ordering::SeqCst);
    assert!(bench.audit.keep(call("CreateUser")).await.is_err_and(|unkept| !unkept.full));
}

#[tokio::test]
async fn what_is_noted_behind_the_end_of_all_has_the_next_start_say_so() {
    let bench = Bench::new().await;
    bench.trail("trail").await;
    bench.audit.put_selectors(own(), "trail", super::selectors::of_bucket("b")).await.unwrap();
    bench.audit.drain().await;
    assert!(bench.rows(TAKING).await.is_empty());
    bench.audit.note(data("GetObject", "arn:aws:s3:::b/k"));
    others_work().await;
    assert_eq!(bench.rows(TAKING).await.len(), 1);
}

#[tokio::test]
async fn an_account_has_so_many_lookups_at_once() {
    let bench = Bench::new().await;
    let asked = Lookup { limit: 1, ..Lookup::default() };
    let turns: Vec<_> = (0..4).map(|_| bench.audit.turn(own()).unwrap()).collect();
    let refused = bench.audit.lookup(own(), &asked).await.unwrap_err();
    assert_eq!(refused.code.as_str(), "ThrottlingException");
    bench.audit.lookup(other(), &asked).await.unwrap();
    drop(turns);
    bench.audit.lookup(own(), &asked).await.unwrap();
}
