//! The audit trail over the wire: who is recorded how, what has a record at all, and the walk of `CloudTrail`'s table.

#![expect(clippy::unwrap_used, reason = "a test's world fails loudly")]

use crate::glacier_walk::Scene;
use crate::iam_world::{Key, Post, document, give, iam, says, signed, sts, user};
use crate::lines::Lines;
use crate::world::{ACCOUNT, Answer, Client, World};
use engine::catalog::Catalog as _;
use engine::id::PartitionId;
use serde_json::{Value, json};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// What a connection is made of.
pub(crate) trait Wire: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin {}
impl<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin> Wire for S {}

pub(crate) const JSON: &str = "application/x-amz-json-1.1";

pub(crate) async fn call<S: Wire>(client: &mut Client<S>, request: &[u8]) -> Answer {
    client.send(request).await;
    client.answer().await.unwrap()
}

pub(crate) async fn ask<S: Wire>(
    world: &World,
    client: &mut Client<S>,
    key: &Key,
    operation: &str,
    body: &Value,
) -> Answer {
    let target = format!("com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101.{operation}");
    let header = Some(("x-amz-target", target.as_str()));
    let post = Post { service: "cloudtrail", content_type: JSON, header, ..Post::default() };
    client.send(&signed(world, key, post, body.to_string().as_bytes())).await;
    client.answer().await.unwrap()
}

fn code(answer: &Answer) -> String {
    let body: Value = serde_json::from_str(answer.text()).unwrap_or_default();
    body["__type"].as_str().unwrap_or_default().to_owned()
}

pub(crate) async fn done<S: Wire>(
    world: &World,
    client: &mut Client<S>,
    operation: &str,
    body: &Value,
) -> Value {
    done_by(world, client, &Key::root(), (operation, body)).await
}

async fn done_by<S: Wire>(
    world: &World,
    client: &mut Client<S>,
    key: &Key,
    (operation, body): (&str, &Value),
) -> Value {
    let answer = ask(world, client, key, operation, body).await;
    assert_eq!(answer.status, 200, "{operation} {body}: {}", answer.text());
    serde_json::from_str(answer.text()).unwrap_or_default()
}

/// Records of an operation, newest first.
pub(crate) async fn records<S: Wire>(world: &World, client: &mut Client<S>, name: &str) -> Vec<Value> {
    records_of(world, client, &Key::root(), name).await
}

/// The same of the account of a root.
pub(crate) async fn records_of<S: Wire>(
    world: &World,
    client: &mut Client<S>,
    root: &Key,
    name: &str,
) -> Vec<Value> {
    let wanted = json!({ "LookupAttributes": [{ "AttributeKey": "EventName", "AttributeValue": name }] });
    let found = done_by(world, client, root, ("LookupEvents", &wanted)).await;
    let events = found["Events"].as_array().unwrap();
    events
        .iter()
        .map(|event| serde_json::from_str(event["CloudTrailEvent"].as_str().unwrap()).unwrap())
        .collect()
}

fn bucket_policy() -> String {
    let allow = |action: &str, resource: &str| {
        format!(
            r#"{{"Effect":"Allow","Principal":{{"Service":"cloudtrail.amazonaws.com"}},"Action":"{action}","Resource":"arn:aws:s3:::{resource}"}}"#
        )
    };
    document(&[allow("s3:GetBucketAcl", "logs"), allow("s3:PutObject", "logs/*")].join(","))
}

/// A bucket that trails may write to.
pub(crate) async fn with_logs(world: &World, client: &mut Client) {
    assert_eq!(call(client, &world.signed("PUT", "/logs", &[], b"")).await.status, 200);
    let set = world.signed("PUT", "/logs?policy", &[], bucket_policy().as_bytes());
    assert_eq!(call(client, &set).await.status, 204);
}

#[tokio::test]
async fn whoever_asks_is_recorded_as_cloudtrail_records_them() {
    let world = World::new().await;
    let mut client = world.with_bucket().await;
    let c = &mut client;
    let alice = user(&world, c, "alice").await;
    give(&world, c, "alice", &says("Allow", r#"["sts:*"]"#)).await;
    let trust = document(&format!(
        r#"{{"Effect":"Allow","Principal":{{"AWS":"arn:aws:iam::{ACCOUNT}:root"}},"Action":"sts:AssumeRole"}}"#
    ));
    let new = [("RoleName", "role"), ("AssumeRolePolicyDocument", trust.as_str())];
    iam(&world, c, &Key::root(), "CreateRole", &new).await;
    let arn = format!("arn:aws:iam::{ACCOUNT}:role/role");
    let assumed = [("RoleArn", arn.as_str()), ("RoleSessionName", "session")];
    let role = Key::of(&sts(&world, c, &alice, "AssumeRole", &assumed).await);
    let federated = Key::of(&sts(&world, c, &alice, "GetFederationToken", &[("Name", "fred")]).await);
    let token = Key::of(&sts(&world, c, &alice, "GetSessionToken", &[]).await);
    for key in [&Key::root(), &alice, &role, &federated, &token] {
        sts(&world, c, key, "GetCallerIdentity", &[]).await;
    }
    let found = records(&world, c, "GetCallerIdentity").await;
    let users: Vec<&Value> = found.iter().rev().map(|record| &record["userIdentity"]).collect();
    let kinds: Vec<&str> = users.iter().map(|user| user["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["Root", "IAMUser", "AssumedRole", "FederatedUser", "IAMUser"]);
    for (user, key) in users.iter().zip([&Key::root(), &alice, &role, &federated, &token]) {
        assert_eq!((&user["accessKeyId"], &user["accountId"]), (&json!(key.id), &json!(ACCOUNT)));
    }
    assert_eq!(users[1]["userName"], "alice");
    assert_eq!(users[2]["sessionContext"]["sessionIssuer"]["arn"], arn);
    assert_eq!(users[2]["arn"], format!("arn:aws:sts::{ACCOUNT}:assumed-role/role/session"));
    assert_eq!(users[3]["sessionContext"]["sessionIssuer"]["userName"], "alice");
    assert_eq!(users[4]["sessionContext"]["attributes"]["mfaAuthenticated"], "false");
    let record = &found[0];
    for (name, value) in [
        ("eventVersion", json!("1.11")),
        ("eventSource", json!("sts.amazonaws.com")),
        ("awsRegion", json!("us-east-1")),
        ("sourceIPAddress", json!("127.0.0.1")),
        ("readOnly", json!(true)),
        ("managementEvent", json!(true)),
        ("eventCategory", json!("Management")),
        ("eventType", json!("AwsApiCall")),
        ("recipientAccountId", json!(ACCOUNT)),
    ] {
        assert_eq!(record[name], value, "{name}");
    }
    // What was made is told, and no secret of it.
    let assumed = &records(&world, c, "AssumeRole").await[0];
    assert_eq!(assumed["requestParameters"]["roleSessionName"], "session");
    assert_eq!(assumed["responseElements"]["credentials"]["accessKeyId"], role.id);
    let text = assumed.to_string();
    assert!(!text.contains(&role.secret) && !text.contains(role.token.as_ref().unwrap()), "{text}");
}

#[tokio::test]
async fn management_calls_and_denials_are_recorded_and_objects_cost_no_row() {
    let world = World::new().await;
    let mut client = world.with_bucket().await;
    let c = &mut client;
    let root = || async { world.gate.snapshot(PartitionId::ROOT).await.unwrap().read_version() };
    let before = root().await;
    assert_eq!(call(c, &world.signed("PUT", "/bucket/k", &[], b"body")).await.status, 200);
    for path in ["/bucket/k", "/bucket", "/bucket?list-type=2", "/bucket/none"] {
        call(c, &world.signed("GET", path, &[], b"")).await;
    }
    assert_eq!(root().await, before + 1, "the object's own commit, and no other");
    // Unsigned, and signed by a key that nobody knows.
    let host = world.http;
    let unsigned = format!("GET /bucket/k HTTP/1.1\r\nhost: {host}\r\nuser-agent: me\r\n\r\n");
    assert_eq!(call(c, unsigned.as_bytes()).await.status, 403);
    let mut wrong = Key::root();
    wrong.secret = "a".repeat(40);
    let post = Post {
        service: "s3",
        method: "GET",
        path: "/bucket/k?versionId=null",
        content_type: "",
        ..Post::default()
    };
    assert_eq!(call(c, &signed(&world, &wrong, post, b"")).await.code(), "SignatureDoesNotMatch");
    let denials = records(&world, c, "GetObject").await;
    let [second, first] = &denials[..] else { panic!("{denials:?}") };
    assert_eq!(
        first["userIdentity"],
        json!({ "type": "AWSAccount", "principalId": "", "accountId": "anonymous" })
    );
    assert_eq!((&first["errorCode"], &first["userAgent"]), (&json!("AccessDenied"), &json!("me")));
    assert_eq!(first["requestParameters"]["bucketName"], "bucket");
    assert_eq!(first["resources"][0], json!({ "type": "AWS::S3::Object", "ARN": "arn:aws:s3:::bucket/k" }));
    assert_eq!(
        (&second["errorCode"], &second["eventCategory"]),
        (&json!("SignatureDoesNotMatch"), &json!("Data"))
    );
    assert_eq!(second["userIdentity"]["type"], "Unknown");
    assert_eq!(second["requestParameters"]["key"], "k");
    // What is asked of the bucket itself, done or not.
    assert_eq!(call(c, &world.signed("PUT", "/bucket?versioning", &[], b"<x/>")).await.status, 400);
    assert_eq!(call(c, &world.signed("GET", "/none?location", &[], b"")).await.status, 404);
    assert_eq!(records(&world, c, "PutBucketVersioning").await[0]["errorCode"], "MalformedXML");
    assert_eq!(records(&world, c, "GetBucketLocation").await[0]["errorCode"], "NoSuchBucket");
    assert_eq!(records(&world, c, "CreateBucket").await.len(), 1);
}

/// A trail of the account of who asks, which takes what is done with objects below these, and no management events.
pub(crate) async fn with_trail(world: &World, client: &mut Client, values: &[&str]) {
    with_logs(world, client).await;
    done(world, client, "CreateTrail", &json!({ "Name": "trail", "S3BucketName": "logs" })).await;
    done(world, client, "StartLogging", &json!({ "Name": "trail" })).await;
    let selected = json!([{
        "IncludeManagementEvents": false,
        "DataResources": [{ "Type": "AWS::S3::Object", "Values": values }],
    }]);
    let body = json!({ "TrailName": "trail", "EventSelectors": selected });
    done(world, client, "PutEventSelectors", &body).await;
}

/// What is in the one file that a trail delivers.
pub(crate) async fn delivered(world: &World, c: &mut Client) -> Vec<Value> {
    world.audit.drain().await;
    for mut worker in world.audit.workers() {
        if worker.name() == "audit-trails" {
            worker.tick().await.unwrap();
        }
    }
    let listed = call(c, &world.signed("GET", "/logs?prefix=AWSLogs/", &[], b"")).await;
    let key = crate::iam_world::element(listed.text(), "Key").unwrap().to_owned();
    assert_eq!(listed.text().matches("<Key>").count(), 1, "its own files are no events");
    let file = call(c, &world.signed("GET", &format!("/logs/{key}"), &[], b"")).await;
    assert_eq!(file.header("content-encoding"), Some("gzip"));
    let text = std::io::read_to_string(flate2::read::GzDecoder::new(&file.body[..])).unwrap();
    let found: Value = serde_json::from_str(&text).unwrap();
    found["Records"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_trail_takes_what_is_done_with_the_objects_it_selects() {
    let world = World::new().await;
    let mut client = world.with_bucket().await;
    let c = &mut client;
    let new = json!({ "Name": "trail", "S3BucketName": "logs" });
    assert_eq!(
        code(&ask(&world, c, &Key::root(), "CreateTrail", &new).await),
        "S3BucketDoesNotExistException"
    );
    assert_eq!(call(c, &world.signed("PUT", "/logs", &[], b"")).await.status, 200);
    assert_eq!(
        code(&ask(&world, c, &Key::root(), "CreateTrail", &new).await),
        "InsufficientS3BucketPolicyException"
    );
    assert_eq!(call(c, &world.signed("DELETE", "/logs", &[], b"")).await.status, 204);
    with_logs(&world, c).await;
    done(&world, c, "CreateTrail", &new).await;
    done(&world, c, "StartLogging", &json!({ "Name": "trail" })).await;
    let selected = json!([{
        "ReadWriteType": "WriteOnly",
        "IncludeManagementEvents": false,
        "DataResources": [{ "Type": "AWS::S3::Object", "Values": ["arn:aws:s3:::bucket/"] }],
    }]);
    let body = json!({ "TrailName": "trail", "EventSelectors": selected });
    done(&world, c, "PutEventSelectors", &body).await;
    // Without the slash it would take what is done in bucket-other, too.
    let cut =
        json!([{ "DataResources": [{ "Type": "AWS::S3::Object", "Values": ["arn:aws:s3:::bucket"] }] }]);
    let body = json!({ "TrailName": "trail", "EventSelectors": cut });
    let refused = ask(&world, c, &Key::root(), "PutEventSelectors", &body).await;
    assert_eq!(code(&refused), "InvalidEventSelectorsException");
    call(c, &world.signed("PUT", "/bucket/k", &[("x-amz-acl", "private")], b"body")).await;
    call(c, &world.signed("GET", "/bucket/k", &[], b"")).await;
    // Of what is in no archived class: refused, and an event all the same.
    let restore = b"<RestoreRequest><Days>1</Days></RestoreRequest>";
    assert_eq!(call(c, &world.signed("POST", "/bucket/k?restore", &[], restore)).await.status, 403);
    call(c, &world.signed("PUT", "/logs/k", &[], b"body")).await;
    call(c, &world.signed("DELETE", "/bucket/k", &[], b"")).await;
    let records = delivered(&world, c).await;
    let names: Vec<&str> = records.iter().map(|record| record["eventName"].as_str().unwrap()).collect();
    assert_eq!(names, ["StartLogging", "PutObject", "RestoreObject", "DeleteObject"]);
    assert_eq!(
        (&records[2]["errorCode"], &records[2]["readOnly"]),
        (&json!("InvalidObjectState"), &json!(false))
    );
    assert_eq!(records[2]["requestParameters"]["restore"], "");
    assert_eq!(records[1]["requestParameters"]["x-amz-acl"], "private");
    assert_eq!(records[1]["additionalEventData"]["AuthenticationMethod"], "AuthHeader");
}

/// What each operation is asked with, in the order in which they can be done.
pub(crate) fn samples(arn: &str) -> [(&'static str, Value); 16] {
    let named = json!({ "Name": "trail" });
    let tags = json!({ "ResourceId": arn, "TagsList": [{ "Key": "k", "Value": "v" }] });
    [
        ("CreateTrail", json!({ "Name": "trail", "S3BucketName": "logs" })),
        ("UpdateTrail", json!({ "Name": arn, "EnableLogFileValidation": true })),
        ("GetTrail", named.clone()),
        ("DescribeTrails", json!({})),
        ("ListTrails", json!({})),
        ("GetTrailStatus", named.clone()),
        ("StartLogging", named.clone()),
        ("StopLogging", named.clone()),
        (
            "PutEventSelectors",
            json!({ "TrailName": "trail", "EventSelectors": [{ "ReadWriteType": "All" }] }),
        ),
        ("GetEventSelectors", json!({ "TrailName": "trail" })),
        ("AddTags", tags.clone()),
        ("ListTags", json!({ "ResourceIdList": [arn] })),
        ("RemoveTags", tags),
        ("LookupEvents", json!({ "MaxResults": 1 })),
        ("ListPublicKeys", json!({})),
        ("DeleteTrail", named),
    ]
}

#[tokio::test]
async fn every_operation_of_cloudtrail_is_denied_by_default_and_by_a_deny_of_its_action() {
    let world = World::new().await;
    let mut client = world.connect().await;
    let c = &mut client;
    with_logs(&world, c).await;
    let (bob, arn) =
        (user(&world, c, "bob").await, format!("arn:aws:cloudtrail:us-east-1:{ACCOUNT}:trail/trail"));
    let samples = samples(&arn);
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/cloudtrail-actions.md");
    let page = std::fs::read_to_string(path).unwrap();
    let rows: Vec<&str> = page.lines().filter(|line| line.contains("`cloudtrail:")).collect();
    assert_eq!(rows.len(), samples.len());
    for (operation, body) in samples {
        assert!(rows.iter().any(|row| row.starts_with(&format!("| {operation} | `cloudtrail:{operation}`"))));
        give(&world, c, "bob", &says("Allow", r#""s3:*""#)).await;
        let refused = ask(&world, c, &bob, operation, &body).await;
        assert_eq!((refused.status, code(&refused).as_str()), (400, "AccessDeniedException"), "{operation}");
        let allow = says("Allow", &format!(r#"["cloudtrail:{operation}","cloudtrail:AddTags"]"#));
        let deny = says("Deny", &format!(r#""cloudtrail:{operation}""#));
        give(&world, c, "bob", &format!("{allow},{deny}")).await;
        assert_eq!(
            code(&ask(&world, c, &bob, operation, &body).await),
            "AccessDeniedException",
            "{operation}"
        );
        give(&world, c, "bob", &allow).await;
        let answer = ask(&world, c, &bob, operation, &body).await;
        assert_eq!(answer.status, 200, "{operation}: {}", answer.text());
        let count = records(&world, c, operation).await.len();
        assert!(count == 3 || (operation == "LookupEvents" && count > 3), "{operation}: {count}");
    }
    let missing = ask(&world, c, &Key::root(), "CreateEventDataStore", &json!({})).await;
    assert_eq!((missing.status, code(&missing).as_str()), (400, "UnsupportedOperationException"));
    let unknown = ask(&world, c, &Key::root(), "Frobnicate", &json!({})).await;
    assert_eq!(code(&unknown), "UnknownOperationException");
    let odd = ask(&world, c, &Key::root(), "LookupEvents", &json!({ "NextToken": "x" })).await;
    assert_eq!(code(&odd), "InvalidNextTokenException");
    let tagged = ask(&world, c, &Key::root(), "GetTrail", &json!({ "Name": "trail" })).await;
    assert_eq!(code(&tagged), "TrailNotFoundException");
}

#[tokio::test]
async fn without_room_for_a_promised_record_no_call_is_answered_and_that_is_logged_once_a_minute() {
    let mut scene = Scene::new().await;
    with_logs(&scene.world, &mut scene.client).await;
    let new = json!({ "Name": "trail", "S3BucketName": "logs" });
    done(&scene.world, &mut scene.client, "CreateTrail", &new).await;
    done(&scene.world, &mut scene.client, "StartLogging", &json!({ "Name": "trail" })).await;
    let root = Key::root();
    let reads = async |scene: &mut Scene| {
        let (world, client) = (&scene.world, &mut scene.client);
        let s3 = call(client, &world.signed("GET", "/logs?location", &[], b"")).await;
        let of_iam = crate::iam_world::ask(world, client, &root, ("iam", "ListUsers"), &[]).await;
        let trails = ask(world, client, &root, "ListTrails", &json!({})).await;
        let glacier = scene.send(&root, "GET", "/-/vaults", b"").await;
        [s3, of_iam, trails, glacier]
    };
    let (lines, _guard) = Lines::watch();
    scene.world.gate.full.store(true, Ordering::SeqCst);
    for minute in 1..=2 {
        for _ in 0..2 {
            for answer in reads(&mut scene).await {
                assert!(answer.status >= 500, "{} {}", answer.head, answer.text());
                assert!(answer.text().contains("could not keep a record"), "{}", answer.text());
            }
        }
        assert_eq!(lines.with(&["level=ERROR", "failed to answer a request", "audit trail"]).len(), minute);
        scene.world.clock.advance(Duration::from_mins(1));
        // The old connection was idle for too long.
        scene.client = scene.world.connect().await;
    }
    assert_eq!(lines.with(&["level=ERROR", "failed to write audit records"]).len(), 1);
    assert_eq!(scene.world.audit.lost(), 16);
    scene.world.gate.full.store(false, Ordering::SeqCst);
    assert!(reads(&mut scene).await.iter().all(|answer| answer.status == 200));
    assert_eq!(
        records(&scene.world, &mut scene.client, "AuditEventsLost").await[0]["additionalEventData"]["lostEvents"],
        16
    );
}
