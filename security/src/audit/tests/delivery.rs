//! Files of trails, and their digests.

use super::super::deliver::sha256;
use super::super::row::{BYTES, ENDING, FILES, GONE, QUEUE, STATES};
use super::super::{Event, File, NewTrail, SinkError, TrailUpdate};
use super::{Bench, call, own};
use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use serde_json::Value;
use std::sync::atomic::Ordering;
use std::time::Duration;

async fn keep(bench: &Bench, names: &[&'static str]) {
    for name in names {
        bench.audit.keep(call(name)).await.unwrap();
    }
}

/// The signature of a digest over what it has to be over, by the key that is told.
async fn verify(bench: &Bench, (key, file): &(String, File)) -> Value {
    let digest: Value = serde_json::from_slice(&file.body).unwrap();
    let (from, until) = (bench.audit.now(), bench.audit.now());
    let keys = bench.audit.public_keys(own(), from, until).await.unwrap();
    assert_eq!(digest["digestPublicKeyFingerprint"], keys[0].fingerprint);
    assert_eq!(digest["digestS3Object"], **key);
    let metadata = |name: &str| file.metadata.iter().find(|(known, _)| *known == name).unwrap().1.clone();
    assert_eq!(metadata("signature-algorithm"), "SHA256withRSA");
    let text = format!(
        "{}\n{}/{key}\n{}\n{}",
        digest["digestEndTime"].as_str().unwrap(),
        digest["digestS3Bucket"].as_str().unwrap(),
        sha256(&file.body),
        digest["previousDigestSignature"].as_str().unwrap_or("null"),
    );
    let signer = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &keys[0].der);
    let signature = hex::decode(metadata("signature")).unwrap();
    signer.verify(text.as_bytes(), &signature).unwrap();
    signer.verify(b"another text", &signature).unwrap_err();
    digest
}

#[tokio::test]
async fn records_leave_once_in_files_whose_names_are_decided_before() {
    let mut bench = Bench::new().await;
    bench.trail("trail").await;
    keep(&bench, &["CreateBucket", "PutBucketPolicy"]).await;
    // The file is there, and nobody knows; then the process ends, more comes, and another bucket's policy is in the way.
    bench.bucket.answers_late.store(true, Ordering::SeqCst);
    bench.work().await;
    let (key, names) = bench.delivered().remove(0);
    assert_eq!(names, ["CreateBucket", "PutBucketPolicy"]);
    assert!(key.starts_with("AWSLogs/111122223333/CloudTrail/us-east-1/2023/11/14/111122223333_CloudTrail_us-east-1_20231114T2213Z_"));
    keep(&bench, &["DeleteBucket"]).await;
    bench.crash().await;
    *bench.bucket.refuses.lock() = Some(SinkError::NotAllowed("s3:PutObject".to_owned()));
    bench.clock.advance(Duration::from_mins(10));
    bench.work().await;
    let status = bench.audit.trail_status(own(), "trail").await.unwrap();
    assert!(status.error.unwrap().contains("AccessDenied") && status.delivered.is_none());
    *bench.bucket.refuses.lock() = None;
    bench.bucket.answers_late.store(false, Ordering::SeqCst);
    bench.clock.advance(Duration::from_mins(10));
    bench.work().await;
    bench.clock.advance(Duration::from_mins(10));
    bench.work().await;
    let files = bench.delivered();
    // The same file under the same name, and then the one that came later.
    assert_eq!(files.len(), 3);
    assert_eq!((&files[0], files[2].1.as_slice()), (&files[1], &["DeleteBucket".to_owned()][..]));
    assert_ne!(files[1].0, files[2].0);
    assert!(bench.rows(QUEUE).await.is_empty());
    let status = bench.audit.trail_status(own(), "trail").await.unwrap();
    assert!(status.error.is_none() && status.delivered.is_some() && status.is_logging);
}

#[tokio::test]
async fn a_crash_behind_each_commit_loses_and_doubles_nothing() {
    let mut bench = Bench::new().await;
    bench.trail("trail").await;
    keep(&bench, &["CreateBucket"]).await;
    bench.crash().await;
    let trail = bench.audit.trails.lock().values().next().unwrap().clone();
    let mut state = bench.audit.state(&trail).await.unwrap().unwrap_or_default();
    // Behind the plan.
    assert!(bench.audit.plan(&trail, &mut state).await.unwrap());
    bench.crash().await;
    keep(&bench, &["DeleteBucket"]).await;
    bench.work().await;
    assert_eq!(bench.delivered().len(), 1);
    assert_eq!(bench.delivered()[0].1, ["CreateBucket"]);
    // Behind the file's rows.
    bench.crash().await;
    bench.clock.advance(Duration::from_mins(6));
    bench.work().await;
    let all: Vec<String> = bench.delivered().into_iter().flat_map(|(_, names)| names).collect();
    assert_eq!(all, ["CreateBucket", "DeleteBucket"]);
    // Behind the digest's plan: the same digest.
    bench.clock.advance(Duration::from_hours(1));
    let trail = bench.audit.trails.lock().values().next().unwrap().clone();
    let mut state = bench.audit.state(&trail).await.unwrap().unwrap();
    assert!(bench.audit.plan_digest(&trail, &mut state).await.unwrap());
    let planned = state.digest.clone().unwrap();
    bench.crash().await;
    bench.clock.advance(Duration::from_mins(50));
    bench.work().await;
    let digest = verify(&bench, &bench.digests()[0]).await;
    assert_eq!(digest["digestS3Object"], planned.key);
    assert_eq!(digest["logFiles"].as_array().unwrap().len(), 2);
    assert!(bench.rows(FILES).await.is_empty());
}

#[tokio::test]
async fn digests_come_each_hour_name_the_one_before_and_are_signed() {
    let bench = Bench::new().await;
    bench.trail("trail").await;
    bench.work().await;
    keep(&bench, &["CreateBucket"]).await;
    bench.clock.advance(Duration::from_mins(61));
    bench.work().await;
    // An hour without any event has one too; hours of which nobody was there are one.
    bench.clock.advance(Duration::from_hours(1));
    bench.work().await;
    bench.clock.advance(Duration::from_hours(5));
    bench.work().await;
    let digests = bench.digests();
    assert_eq!(digests.len(), 3);
    let mut before: Option<(String, Value)> = None;
    let mut counts = Vec::new();
    for (key, file) in digests {
        let digest = verify(&bench, &(key.clone(), file.clone())).await;
        counts.push(digest["logFiles"].as_array().unwrap().len());
        if let Some((hash, previous)) = before {
            assert_eq!(digest["previousDigestS3Object"], previous["digestS3Object"]);
            assert_eq!(digest["previousDigestHashValue"], hash);
            assert_eq!(digest["digestStartTime"], previous["digestEndTime"]);
        } else {
            assert!(digest["previousDigestSignature"].is_null());
            let log = &digest["logFiles"][0];
            let files = bench.bucket.files.lock();
            let (_, written) = files.iter().find(|(key, _)| log["s3Object"] == **key).unwrap();
            assert_eq!(log["hashValue"], sha256(&written.body));
        }
        before = Some((sha256(&file.body), digest));
    }
    assert_eq!(counts, [1, 0, 0]);
    // One that is stopped has none, and goes on with the chain when it starts again.
    bench.audit.stop_logging(own(), "trail").await.unwrap();
    bench.clock.advance(Duration::from_hours(2));
    bench.work().await;
    assert_eq!(bench.digests().len(), 3);
    bench.audit.start_logging(own(), "trail").await.unwrap();
    bench.work().await;
    bench.clock.advance(Duration::from_hours(1));
    bench.work().await;
    let digest = verify(&bench, &bench.digests()[3]).await;
    assert_eq!(digest["previousDigestS3Object"], bench.digests()[2].0);
}

#[tokio::test]
async fn a_trail_is_made_changed_and_ended_by_rules() {
    let bench = Bench::new().await;
    let new = |name: &'static str| NewTrail { name, bucket: "logs", ..NewTrail::default() };
    for bad in ["ab", "-abc", "a..b", "a b c", "1.2.3.4", "abc_"] {
        let refused = bench.audit.create_trail(own(), &new(bad)).await.unwrap_err();
        assert_eq!(refused.code.as_str(), "InvalidTrailNameException", "{bad}");
    }
    for (refusal, code) in [
        (SinkError::NoBucket, "S3BucketDoesNotExistException"),
        (SinkError::NotAllowed("it".to_owned()), "InsufficientS3BucketPolicyException"),
    ] {
        *bench.bucket.refuses.lock() = Some(refusal);
        assert_eq!(bench.audit.create_trail(own(), &new("abc")).await.unwrap_err().code.as_str(), code);
    }
    *bench.bucket.refuses.lock() = None;
    for name in ["abc", "abd", "abe", "abf", "abg"] {
        bench.audit.create_trail(own(), &new(name)).await.unwrap();
    }
    let refused = async |name| bench.audit.create_trail(own(), &new(name)).await.unwrap_err().code.as_str();
    assert_eq!(refused("abc").await, "TrailAlreadyExistsException");
    assert_eq!(refused("abh").await, "MaximumNumberOfTrailsExceededException");
    let update = TrailUpdate { prefix: Some("a/b"), validates: Some(true), ..TrailUpdate::default() };
    let arn = bench.audit.trail_arn(own(), "abc");
    let trail = bench.audit.update_trail(own(), &arn, &update).await.unwrap();
    assert_eq!((trail.prefix.as_deref(), trail.validates), (Some("a/b"), true));
    assert_eq!(bench.audit.trail(super::other(), "abc").unwrap_err().code.as_str(), "TrailNotFoundException");
    // What waits for one that ends is delivered, and then nothing of it is left.
    bench.audit.start_logging(own(), "abc").await.unwrap();
    keep(&bench, &["CreateBucket"]).await;
    assert_eq!(bench.rows(QUEUE).await.len(), 1);
    bench.audit.delete_trail(own(), "abc").await.unwrap();
    assert_eq!(bench.audit.trail(own(), "abc").unwrap_err().code.as_str(), "TrailNotFoundException");
    bench.audit.keep(super::about("DeleteTrail", "abc")).await.unwrap();
    bench.work().await;
    for table in [QUEUE, GONE, STATES, ENDING, FILES, BYTES] {
        let left = bench.rows(table).await;
        assert!(left.iter().all(|(key, _)| table == BYTES && key.len() == 9), "{table:?}: {left:?}");
    }
    assert_eq!(bench.delivered()[0].1, ["CreateBucket", "DeleteTrail"]);
    let digest = verify(&bench, &bench.digests()[0]).await;
    assert_eq!(digest["logFiles"].as_array().unwrap().len(), 1);
    bench.audit.create_trail(own(), &new("abc")).await.unwrap();
}

#[tokio::test]
async fn a_trail_whose_bucket_takes_nothing_holds_up_nobody_and_says_what_it_lost() {
    let bench = Bench::new().await;
    bench.trail("trail").await;
    let trail = bench.audit.trails.lock().values().next().unwrap().clone();
    let held = super::super::row::Held::Trail(own(), trail.id);
    bench.audit.add_held(held, super::super::write::TRAIL_BYTES_MAX + 1);
    keep(&bench, &["CreateBucket", "DeleteBucket"]).await;
    assert!(bench.rows(QUEUE).await.is_empty());
    bench.audit.add_held(held, -super::super::write::TRAIL_BYTES_MAX - 1);
    keep(&bench, &["PutBucketPolicy"]).await;
    bench.work().await;
    let (_, names) = &bench.delivered()[0];
    assert_eq!(names, &["AuditEventsLost", "PutBucketPolicy"]);
    let body: Value = serde_json::from_slice(&bench.bucket.files.lock()[0].1.body).unwrap();
    let own_says: &Value = &body["Records"][0];
    assert!(own_says["additionalEventData"]["lostEvents"].as_u64().unwrap() >= 1);
    assert_eq!(own_says["eventType"], "AwsServiceEvent");
}

#[tokio::test]
async fn a_trail_whose_files_can_not_be_written_is_told_of_until_they_are_or_it_is_gone() {
    let mut bench = Bench::new().await;
    bench.trail("trail").await;
    keep(&bench, &["CreateBucket"]).await;
    *bench.bucket.refuses.lock() = Some(SinkError::NoBucket);
    bench.work().await;
    let wanted = super::super::FailingTrail {
        arn: bench.audit.trail_arn(own(), "trail"),
        bucket: "logs".to_owned(),
        error: "NoSuchBucket".to_owned(),
    };
    assert_eq!(bench.audit.health().failing, std::slice::from_ref(&wanted));
    let (seen, count) = bench.audit.overview(10).await.unwrap();
    let [one] = &seen[..] else { panic!("{seen:?}") };
    assert_eq!((count, &one.arn, one.error.as_deref()), (1, &wanted.arn, Some("NoSuchBucket")));
    assert!(one.is_logging && one.validates && one.waiting_bytes > 0 && one.delivered.is_none(), "{one:?}");
    assert_eq!(bench.audit.overview(0).await.unwrap(), (Vec::new(), 1));
    // The next process knows it from its first round on, though it is too early to try again.
    bench.crash().await;
    bench.work().await;
    assert_eq!(bench.audit.health().failing, std::slice::from_ref(&wanted));
    *bench.bucket.refuses.lock() = None;
    bench.clock.advance(Duration::from_mins(5));
    bench.work().await;
    assert_eq!((bench.audit.health().failing.len(), bench.delivered().len()), (0, 1));
    let (seen, _) = bench.audit.overview(10).await.unwrap();
    assert_eq!(
        (seen[0].waiting_bytes, &seen[0].error, seen[0].delivered),
        (0, &None, Some(bench.audit.now()))
    );
    keep(&bench, &["DeleteBucket"]).await;
    bench.clock.advance(Duration::from_mins(5));
    *bench.bucket.refuses.lock() = Some(SinkError::NoBucket);
    bench.work().await;
    assert_eq!(bench.audit.health().failing, [wanted]);
    bench.audit.delete_trail(own(), "trail").await.unwrap();
    bench.audit.keep(super::about("DeleteTrail", "trail")).await.unwrap();
    bench.work().await;
    assert!(bench.audit.health().failing.is_empty());
}

#[tokio::test]
async fn that_a_trail_was_stopped_is_the_last_that_it_has() {
    let bench = Bench::new().await;
    bench.trail("trail").await;
    bench.trail("other").await;
    bench.audit.stop_logging(own(), "trail").await.unwrap();
    keep(&bench, &["CreateBucket"]).await;
    // Another one's, and what was refused, are none of its.
    bench.audit.keep(super::about("StopLogging", "other")).await.unwrap();
    bench.audit.keep(Event { denied: true, ..super::about("StopLogging", "trail") }).await.unwrap();
    let arn = bench.audit.trail_arn(own(), "trail");
    bench.audit.keep(super::about("StopLogging", &arn)).await.unwrap();
    bench.audit.delete_trail(own(), "other").await.unwrap();
    bench.work().await;
    assert_eq!(bench.delivered()[0].1, ["StopLogging"]);
    let body: Value = serde_json::from_slice(&bench.bucket.files.lock()[0].1.body).unwrap();
    assert_eq!(body["Records"][0]["requestParameters"]["name"], arn);
}
