//! Every operation of every service's table leaves a record of who asked, from where and how it ended; and no record has a secret.

#![expect(clippy::unwrap_used, reason = "a test's world fails loudly")]

use crate::audit::{done, samples, with_logs};
use crate::every_operation::{Answered, TABLE, begin, sent};
use crate::iam_world::{Key, Post, element, give, presigned_s3, says, signed, user};
use crate::world::{ACCOUNT, Answer, Client, World, call, content_md5};
use crate::{audit, glacier_walk, iam_walk, iam_world, kms};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};

/// A call that was made, and how it was answered.
struct Made {
    request_id: String,
    source: &'static str,
    name: String,
    status: u16,
    text: String,
    /// Nothing lets who asked.
    denied: bool,
}

impl Made {
    fn of(answer: &Answer, source: &'static str, name: &str, denied: bool) -> Self {
        let id = answer.header("x-amzn-requestid").or_else(|| answer.header("x-amz-request-id"));
        let (request_id, name) = (id.unwrap().to_owned(), name.to_owned());
        Self { request_id, source, name, status: answer.status, text: answer.text().to_owned(), denied }
    }
}

/// All of the account's history, by the ids of requests.
async fn history(world: &World, client: &mut Client) -> HashMap<String, Value> {
    let (mut all, mut next) = (HashMap::new(), None);
    loop {
        let body = next.map_or_else(|| json!({}), |next: String| json!({ "NextToken": next }));
        let page = done(world, client, "LookupEvents", &body).await;
        for event in page["Events"].as_array().unwrap() {
            let record: Value = serde_json::from_str(event["CloudTrailEvent"].as_str().unwrap()).unwrap();
            // What the appliance says of itself answers no request.
            let Some(id) = record["requestID"].as_str().map(str::to_owned) else { continue };
            all.insert(id, record);
        }
        match page["NextToken"].as_str() {
            Some(token) => next = Some(token.to_owned()),
            None => return all,
        }
    }
}

/// Each call has its record, with all that issue says of records.
async fn recorded(world: &World, client: &mut Client, made: &[Made], key: &Key) {
    let history = history(world, client).await;
    let mut lacking = Vec::new();
    for Made { request_id, source, name, status, text, denied } in made {
        let Some(record) = history.get(request_id) else {
            lacking.push(format!("{source} {name} {status}"));
            continue;
        };
        let what = format!("{source} {name} {status} {text}: {record}");
        assert_eq!((&record["eventSource"], &record["eventName"]), (&json!(source), &json!(name)), "{what}");
        let who = &record["userIdentity"];
        assert_eq!((&who["accessKeyId"], &who["accountId"]), (&json!(key.id), &json!(ACCOUNT)), "{what}");
        if key.id == Key::root().id {
            assert_eq!(
                (&who["type"], &who["arn"]),
                (&json!("Root"), &json!(format!("arn:aws:iam::{ACCOUNT}:root"))),
                "{what}"
            );
        } else {
            let arn = format!("arn:aws:iam::{ACCOUNT}:user/asker");
            assert_eq!(
                (&who["type"], &who["userName"], &who["arn"]),
                (&json!("IAMUser"), &json!("asker"), &json!(arn)),
                "{what}"
            );
        }
        assert_eq!(
            (&record["sourceIPAddress"], &record["eventVersion"]),
            (&json!("127.0.0.1"), &json!("1.11")),
            "{what}"
        );
        assert_eq!(
            (&record["awsRegion"], &record["recipientAccountId"]),
            (&json!("us-east-1"), &json!(ACCOUNT)),
            "{what}"
        );
        assert!(record["eventTime"].is_string() && record["readOnly"].is_boolean(), "{what}");
        assert!(record["userAgent"].is_string() && record["eventID"].as_str().unwrap().len() == 36, "{what}");
        let code = record["errorCode"].as_str();
        assert_eq!(code.is_some(), *status >= 400, "{what}");
        if let Some(code) = code.filter(|_| !text.is_empty()) {
            assert!(text.contains(code), "{what}");
        }
        if *denied {
            assert!(code.unwrap().starts_with("AccessDenied"), "{what}");
        }
    }
    assert!(lacking.is_empty(), "no record of {lacking:?}");
}

/// What a page says is answered, and not done.
fn missing(page: &'static str) -> Vec<&'static str> {
    let (_, rest) = page.split_once("Answered with `").unwrap();
    let rows = rest.lines().filter(|line| line.starts_with("| ") && !line.contains("because"));
    rows.flat_map(|line| line.split(" | ").next().unwrap().trim_start_matches("| ").split(", ")).collect()
}

#[tokio::test]
async fn every_operation_of_iam_and_sts_leaves_a_record() {
    let mut scene = iam_walk::Scene::new().await;
    let asker = scene.asker.clone();
    let source = |service: &str| if service == "sts" { "sts.amazonaws.com" } else { "iam.amazonaws.com" };
    let mut made = Vec::new();
    scene.give(&says("Allow", "\"s3:*\"")).await;
    for row in iam_walk::rows() {
        let answer = scene.asks(&asker, &row).await;
        made.push(Made::of(&answer, source(row.service), row.name, !iam_walk::ONESELF.contains(&row.name)));
    }
    scene.give(&says("Allow", "\"*\"")).await;
    for row in iam_walk::rows() {
        let answer = scene.asks(&asker, &row).await;
        made.push(Made::of(&answer, source(row.service), row.name, false));
    }
    recorded(&scene.world, &mut scene.client, &made, &asker).await;
}

#[tokio::test]
async fn every_operation_of_kms_leaves_a_record() {
    let mut scene = kms::Scene::new().await;
    let asker = scene.asker.clone();
    let mut made = Vec::new();
    for allowed in [false, true] {
        scene.give(&says("Allow", if allowed { "\"*\"" } else { "\"s3:*\"" })).await;
        for row in kms::rows() {
            made.push(Made::of(&scene.asks(&row).await, "kms.amazonaws.com", row.name, !allowed));
        }
    }
    let names = missing(include_str!("../../../../docs/kms-actions.md"));
    assert_eq!(names.len(), 11);
    for name in names {
        let answer = kms::ask(&scene.world, &mut scene.client, &asker, name, &json!({})).await;
        made.push(Made::of(&answer, "kms.amazonaws.com", name, false));
    }
    recorded(&scene.world, &mut scene.client, &made, &asker).await;
}

#[tokio::test]
async fn every_operation_of_cloudtrail_leaves_a_record() {
    let world = World::new().await;
    let mut client = world.connect().await;
    let c = &mut client;
    with_logs(&world, c).await;
    let asker = user(&world, c, "asker").await;
    let arn = format!("arn:aws:cloudtrail:us-east-1:{ACCOUNT}:trail/trail");
    let mut made = Vec::new();
    for allowed in [false, true] {
        give(&world, c, "asker", &says("Allow", if allowed { "\"*\"" } else { "\"s3:*\"" })).await;
        for (name, body) in samples(&arn) {
            let answer = audit::ask(&world, c, &asker, name, &body).await;
            assert_eq!(answer.status == 200, allowed, "{name}: {}", answer.text());
            made.push(Made::of(&answer, "cloudtrail.amazonaws.com", name, !allowed));
        }
    }
    for name in missing(include_str!("../../../../docs/cloudtrail-actions.md")) {
        let answer = audit::ask(&world, c, &asker, name, &json!({})).await;
        made.push(Made::of(&answer, "cloudtrail.amazonaws.com", name, false));
    }
    assert_eq!(made.len(), 16 + 60);
    recorded(&world, c, &made, &asker).await;
}

#[tokio::test]
async fn every_operation_of_vaults_leaves_a_record() {
    let mut scene = glacier_walk::Scene::new().await;
    let asker = scene.asker.clone();
    let mut made = Vec::new();
    for allowed in [false, true] {
        scene.give(&says("Allow", if allowed { "\"*\"" } else { "\"s3:*\"" })).await;
        for row in glacier_walk::rows() {
            let answer = scene.asks(&asker, &row, "-").await;
            let name = row.action.strip_prefix("glacier:").unwrap();
            made.push(Made::of(&answer, "glacier.amazonaws.com", name, !allowed));
        }
    }
    recorded(&scene.world, &mut scene.client, &made, &asker).await;
}

/// What records call an operation of S3.
fn called(name: &str) -> &str {
    match name {
        "DeletePublicAccessBlock" => "DeleteBucketPublicAccessBlock",
        "GetBucketAccelerateConfiguration" => "GetAccelerateConfiguration",
        "GetBucketLifecycleConfiguration" => "GetBucketLifecycle",
        "GetBucketNotificationConfiguration" => "GetBucketNotification",
        "GetObjectLockConfiguration" => "GetBucketObjectLockConfiguration",
        "GetPublicAccessBlock" => "GetBucketPublicAccessBlock",
        "ListObjectsV2" => "ListObjects",
        "PutBucketAccelerateConfiguration" => "PutAccelerateConfiguration",
        "PutBucketLifecycleConfiguration" => "PutBucketLifecycle",
        "PutBucketNotificationConfiguration" => "PutBucketNotification",
        "PutObjectLockConfiguration" => "PutBucketObjectLockConfiguration",
        "PutPublicAccessBlock" => "PutBucketPublicAccessBlock",
        other => other,
    }
}

/// Whether it is about what is stored: without a trail that is recorded where it is denied.
fn is_of_data(name: &str, path: &str) -> bool {
    let lists = [
        "HeadBucket",
        "ListMultipartUploads",
        "ListObjectVersions",
        "ListObjects",
        "ListObjectsV2",
        "DeleteObjects",
    ];
    let has_key = path.split('?').next().unwrap().trim_start_matches('/').contains('/');
    has_key || lists.contains(&name)
}

/// What the table of S3 stands on.
async fn with_buckets(world: &World, client: &mut Client) -> (String, String) {
    let locked = [("x-amz-bucket-object-lock-enabled", "true"), ("x-amz-object-ownership", "ObjectWriter")];
    assert_eq!(call(world, client, ("PUT", "/locked"), &locked, b"").await.status, 200);
    for path in ["/locked/key", "/bucket/key"] {
        assert_eq!(call(world, client, ("PUT", path), &[], b"x").await.status, 200);
    }
    (begin(world, client).await, begin(world, client).await)
}

#[tokio::test]
async fn every_operation_of_s3_leaves_a_record_where_it_manages_or_is_denied() {
    let world = World::new().await;
    let mut client = world.with_bucket().await;
    let c = &mut client;
    let (upload, second) = with_buckets(&world, c).await;
    let asker = user(&world, c, "asker").await;
    give(&world, c, "asker", &says("Allow", "\"iam:*\"")).await;
    let (mut denied, mut managed, mut others) = (Vec::new(), Vec::new(), Vec::new());
    for (name, method, path, answered) in TABLE {
        let path = path.replace("{upload}", &upload).replace("{second}", &second);
        let (headers, body) = sent(name);
        let md5 = content_md5(body.as_bytes());
        let header = headers
            .first()
            .copied()
            .or_else(|| body.starts_with('<').then_some(("content-md5", md5.as_str())));
        // What is to be made is not there, and who may not is told of nothing but that.
        let path = if *method == "PUT" { path } else { path.replace("/other", "/bucket") };
        let post = Post { service: "s3", method, path: &path, content_type: "", header, ..Post::default() };
        c.send(&signed(&world, &asker, post, body.as_bytes())).await;
        let answer = if *method == "HEAD" { c.answer_to_head().await } else { c.answer().await };
        let answer = answer.unwrap();
        // What is not done has nobody to ask about.
        if *answered == Answered::NotImplemented && answer.status == 501 {
            continue;
        }
        // Each key of a batch has an end of its own.
        let wanted = if *name == "DeleteObjects" { 200 } else { 403 };
        if answer.status != wanted {
            others.push(format!("{name}: {} {}", answer.status, answer.text()));
            continue;
        }
        let made = Made::of(&answer, "s3.amazonaws.com", called(name), true);
        denied.push(Made { status: 403, ..made });
    }
    assert!(others.is_empty(), "not denied: {others:#?}");
    assert!(denied.len() > 90, "{}", denied.len());
    recorded(&world, c, &denied, &asker).await;
    for (name, method, path, answered) in TABLE {
        if is_of_data(name, path) {
            continue;
        }
        let (mut headers, body) = sent(name);
        let md5 = content_md5(body.as_bytes());
        if body.starts_with('<') {
            headers.push(("content-md5", &md5));
        }
        let answer = call(&world, c, (method, path), &headers, body.as_bytes()).await;
        if *answered != Answered::NotImplemented {
            managed.push(Made::of(&answer, "s3.amazonaws.com", called(name), false));
        }
    }
    assert!(managed.len() > 60, "{}", managed.len());
    recorded(&world, c, &managed, &Key::root()).await;
}

/// What nobody may find in a record, as a text and as bytes in base64.
const CANARY: &str = "canary-7f3a91c2e5-canary-7f3a91c2e5";

/// Texts of answers that open something.
fn secrets_of(answer: &Answer, found: &mut HashSet<String>) {
    for name in ["SecretAccessKey", "SessionToken"] {
        found.extend(element(answer.text(), name).map(str::to_owned));
    }
    let said: Value = serde_json::from_str(answer.text()).unwrap_or_default();
    let names = [
        "Plaintext",
        "PrivateKeyPlaintext",
        "CiphertextBlob",
        "PrivateKeyCiphertextBlob",
        "GrantToken",
        "ImportToken",
        "Mac",
        "Signature",
        "SharedSecret",
    ];
    found.extend(names.iter().filter_map(|name| said[name].as_str().map(str::to_owned)));
}

async fn none_in_records(world: &World, client: &mut Client, secrets: &HashSet<String>, calls: usize) {
    let history = history(world, client).await;
    assert!(history.len() >= calls, "{} of {calls}", history.len());
    for record in history.values() {
        let text = record.to_string();
        let found = secrets.iter().find(|secret| text.contains(secret.as_str()));
        assert_eq!(found, None, "{text}");
    }
}

#[tokio::test]
async fn no_secret_of_a_call_to_iam_or_sts_is_in_a_record() {
    let (root, mut given) = (Key::root(), 0);
    let hidden = [
        "Password",
        "OldPassword",
        "NewPassword",
        "AuthenticationCode1",
        "AuthenticationCode2",
        "TokenCode",
        "ExternalId",
        "WebIdentityToken",
        "SAMLAssertion",
        "SecretAccessKey",
        "PrivateKey",
        "Marker",
        "Unheard",
    ];
    for row in iam_walk::rows() {
        // What it does may take away what the next one is about.
        let mut scene = iam_walk::Scene::new().await;
        let asker = scene.asker.clone();
        let mut secrets = HashSet::from([CANARY.to_owned(), root.secret.clone(), asker.secret.clone()]);
        let sample = iam_walk::sample(&row, &scene.target_key);
        let sample: Vec<(&str, &str)> = sample.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let all: Vec<_> = sample.iter().copied().chain(hidden.map(|name| (name, CANARY))).collect();
        let alone = hidden.map(|name| [&sample[..], &[(name, CANARY)]].concat());
        let mut calls = 0;
        for key in [&asker, &root] {
            for parameters in [&sample, &all].into_iter().chain(&alone) {
                let named = (row.service, row.name);
                let answer = iam_world::ask(&scene.world, &mut scene.client, key, named, parameters).await;
                secrets_of(&answer, &mut secrets);
                calls += 1;
            }
        }
        given += secrets.len() - 3;
        none_in_records(&scene.world, &mut scene.client, &secrets, calls).await;
    }
    assert!(given > 5, "answers have secrets, too: {given}");
}

#[tokio::test]
async fn no_secret_of_a_call_to_kms_is_in_a_record() {
    let (root, bytes, mut given) = (Key::root(), STANDARD.encode(CANARY), 0);
    let hidden = [
        "Plaintext",
        "CiphertextBlob",
        "Message",
        "Signature",
        "Mac",
        "PublicKey",
        "EncryptedKeyMaterial",
        "ImportToken",
        "GrantToken",
        "Unheard",
    ];
    for row in kms::rows() {
        let mut scene = kms::Scene::new().await;
        let asker = scene.asker.clone();
        let mut secrets =
            HashSet::from([CANARY.to_owned(), bytes.clone(), root.secret.clone(), asker.secret.clone()]);
        let mut calls = 0;
        let own = scene.sample(&row);
        let mut enclosed = own.clone();
        for name in hidden.iter().filter(|name| own.get(**name).is_some() && **name != "CiphertextBlob") {
            enclosed[*name] = json!(bytes);
        }
        let mut bodies = vec![own.clone(), enclosed];
        for name in hidden {
            let mut body = own.clone();
            body[name] = json!(bytes);
            bodies.push(body);
        }
        let mut body = own.clone();
        body["GrantTokens"] = json!([CANARY]);
        bodies.push(body);
        for key in [&asker, &root] {
            for body in &bodies {
                let answer = kms::ask(&scene.world, &mut scene.client, key, row.name, body).await;
                secrets_of(&answer, &mut secrets);
                calls += 1;
            }
        }
        given += secrets.len() - 4;
        none_in_records(&scene.world, &mut scene.client, &secrets, calls).await;
    }
    assert!(given > 5, "answers have secrets, too: {given}");
}

#[tokio::test]
async fn no_secret_of_a_request_to_s3_is_in_a_record() {
    let world = World::new().await;
    let mut client = world.with_bucket().await;
    let c = &mut client;
    let (upload, second) = with_buckets(&world, c).await;
    let root = Key::root();
    let mut secrets = HashSet::from([CANARY.to_owned(), root.secret.clone()]);
    let key: &[u8] = &CANARY.as_bytes()[..32];
    let (bytes, md5) = (STANDARD.encode(key), content_md5(key));
    secrets.extend([bytes.clone(), md5.clone(), String::from_utf8(key.to_vec()).unwrap()]);
    let enclosed = [
        ("x-amz-server-side-encryption-customer-algorithm", "AES256"),
        ("x-amz-server-side-encryption-customer-key", bytes.as_str()),
        ("x-amz-server-side-encryption-customer-key-md5", md5.as_str()),
        ("x-amz-copy-source-server-side-encryption-customer-algorithm", "AES256"),
        ("x-amz-copy-source-server-side-encryption-customer-key", bytes.as_str()),
        ("x-amz-copy-source-server-side-encryption-customer-key-md5", md5.as_str()),
        ("x-amz-meta-secret", CANARY),
        ("x-amz-tagging", "canary=canary-7f3a91c2e5-canary-7f3a91c2e5"),
    ];
    let token = [("x-amz-security-token", CANARY)];
    let mut managed = 0;
    for (name, method, path, answered) in TABLE {
        let path = path.replace("{upload}", &upload).replace("{second}", &second);
        let (headers, body) = sent(name);
        let body_md5 = content_md5(body.as_bytes());
        let sum = [("content-md5", body_md5.as_str())];
        for more in [&enclosed[..], &token[..]] {
            let headers = [&headers[..], more, if body.starts_with('<') { &sum[..] } else { &[] }].concat();
            call(&world, c, (method, &path), &headers, body.as_bytes()).await;
            managed += usize::from(!is_of_data(name, &path) && *answered != Answered::NotImplemented);
        }
        // By a link, of which the signature opens as much as it does.
        let plain = path
            .split_once('?')
            .map_or_else(|| format!("{path}?"), |(path, query)| format!("{path}?{query}&"));
        let url = presigned_s3(&world, &root, plain.trim_end_matches(['?', '&']));
        secrets.extend(url.split("X-Amz-Signature=").nth(1).map(|signature| signature[..64].to_owned()));
        let host = world.http;
        let unsigned = format!("GET {url}&X-Amz-Security-Token={CANARY} HTTP/1.1\r\nhost: {host}\r\n\r\n");
        for request in [unsigned, format!("GET {url} HTTP/1.1\r\nhost: {host}\r\n\r\n")] {
            c.send(request.as_bytes()).await;
            c.answer().await.unwrap();
        }
    }
    none_in_records(&world, c, &secrets, managed).await;
}
