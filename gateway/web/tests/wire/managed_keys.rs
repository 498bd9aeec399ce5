//! Managed keys around objects (SSE-KMS), on the wire: what is said and shown, who is refused by what, and which key a policy sees.

#![expect(clippy::unwrap_used, reason = "a test's world fails loudly")]

use crate::forms;
use crate::iam_world::{Key, Post, document, give, says, signed, user};
use crate::kms::{kms, new_key, tells};
use crate::world::{ACCOUNT, Answer, Client, Who, World, call};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

const SSE: &str = "x-amz-server-side-encryption";
const KEY_ID: &str = "x-amz-server-side-encryption-aws-kms-key-id";
const CONTEXT: &str = "x-amz-server-side-encryption-context";
const BUCKET_KEY: &str = "x-amz-server-side-encryption-bucket-key-enabled";
const BY_KMS: (&str, &str) = (SSE, "aws:kms");

/// The answer says which key.
fn shows(answer: &Answer, arn: &str, bucket_key: bool) {
    assert!(answer.status < 300, "{} {}", answer.status, answer.text());
    let shown = (answer.header(SSE), answer.header(KEY_ID), answer.header(BUCKET_KEY));
    assert_eq!(shown, (Some("aws:kms"), Some(arn), bucket_key.then_some("true")));
}

fn refused(answer: &Answer) -> (u16, &str) {
    (answer.status, answer.code())
}

async fn root_key(world: &World, client: &mut Client) -> String {
    new_key(world, client, &document(&tells("Allow", "root"))).await
}

async fn change(world: &World, client: &mut Client, operation: &str, key: &str) {
    kms(world, client, &Key::root(), operation, &json!({ "KeyId": key })).await;
}

/// A request of S3 by a user.
async fn by(
    world: &World,
    client: &mut Client,
    who: &Key,
    (method, path): (&str, &str),
    body: &[u8],
) -> Answer {
    let post = Post { service: "s3", method, path, content_type: "", ..Post::default() };
    client.send(&signed(world, who, post, body)).await;
    client.answer().await.unwrap()
}

fn configuration(key: Option<&str>, bucket_key: bool) -> String {
    let key = key.map(|key| format!("<KMSMasterKeyID>{key}</KMSMasterKeyID>")).unwrap_or_default();
    format!(
        "<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>aws:kms</SSEAlgorithm>{key}\
         </ApplyServerSideEncryptionByDefault><BucketKeyEnabled>{bucket_key}</BucketKeyEnabled></Rule></ServerSideEncryptionConfiguration>"
    )
}

#[tokio::test]
async fn an_object_is_written_and_read_with_a_key_in_each_of_its_names() {
    let world = World::new().await;
    let mut client = world.with_bucket().await;
    let c = &mut client;
    let arn = root_key(&world, c).await;
    let alias = json!({ "AliasName": "alias/mine", "TargetKeyId": arn });
    kms(&world, c, &Key::root(), "CreateAlias", &alias).await;
    let id = arn.rsplit('/').next().unwrap().to_owned();
    let alias_arn = format!("arn:aws:kms:us-east-1:{ACCOUNT}:alias/mine");
    for name in [arn.as_str(), &id, "alias/mine", &alias_arn] {
        let written = call(&world, c, ("PUT", "/bucket/k"), &[BY_KMS, (KEY_ID, name)], b"secret").await;
        shows(&written, &arn, false);
        let read = call(&world, c, ("GET", "/bucket/k"), &[], b"").await;
        shows(&read, &arn, false);
        assert_eq!(read.text(), "secret");
        assert_ne!(
            read.header("etag"),
            Some("\"5ebe2294ecd0e0f08eab7690d2a6ee69\""),
            "it tells of the bytes"
        );
        shows(&call(&world, c, ("HEAD", "/bucket/k"), &[], b"").await, &arn, false);
        let range = call(&world, c, ("GET", "/bucket/k"), &[("range", "bytes=1-2")], b"").await;
        assert_eq!((range.status, range.text()), (206, "ec"));
    }
    // The service's own key is made when it is used first.
    let own = call(&world, c, ("PUT", "/bucket/own"), &[BY_KMS, (BUCKET_KEY, "true")], b"own").await;
    let made = own.header(KEY_ID).unwrap().to_owned();
    shows(&own, &made, true);
    let described = kms(&world, c, &Key::root(), "DescribeKey", &json!({ "KeyId": "alias/aws/s3" })).await;
    assert_eq!(described["KeyMetadata"]["Arn"], Value::from(made.clone()));
    shows(&call(&world, c, ("GET", "/bucket/own"), &[], b"").await, &made, true);
    // Copies are as they say, and say nothing of their source.
    let source = ("x-amz-copy-source", "/bucket/k");
    let copied = call(&world, c, ("PUT", "/bucket/copy"), &[source, BY_KMS], b"").await;
    shows(&copied, &made, false);
    let plain = call(&world, c, ("PUT", "/bucket/plain"), &[source], b"").await;
    assert_eq!((plain.status, plain.header(SSE), plain.header(KEY_ID)), (200, Some("AES256"), None));
    let read = call(&world, c, ("GET", "/bucket/plain"), &[], b"").await;
    assert_eq!((read.text(), read.header("etag")), ("secret", Some("\"5ebe2294ecd0e0f08eab7690d2a6ee69\"")));
    let attributes = ("x-amz-object-attributes", "ObjectSize,ETag");
    assert_eq!(call(&world, c, ("GET", "/bucket/k?attributes"), &[attributes], b"").await.status, 200);
}

#[tokio::test]
async fn what_is_wrong_is_refused_in_s3s_words() {
    let world = World::new().await;
    let mut client = world.with_bucket().await;
    let c = &mut client;
    let arn = root_key(&world, c).await;
    let missing = "arn:aws:kms:us-east-1:111122223333:key/00000000-0000-4000-8000-000000000000";
    for (headers, wanted) in [
        (&[BY_KMS, (KEY_ID, "alias/none")][..], (400, "KMS.NotFoundException")),
        (&[BY_KMS, (KEY_ID, "testkey-1")], (400, "KMS.NotFoundException")),
        (&[BY_KMS, (KEY_ID, "arn:aws:s3:::bucket")], (400, "KMS.NotFoundException")),
        (&[BY_KMS, (CONTEXT, "?")], (400, "InvalidArgument")),
        (&[BY_KMS, (BUCKET_KEY, "?")], (400, "InvalidArgument")),
        (&[(KEY_ID, "k")], (400, "InvalidArgument")),
        (&[(SSE, "AES256"), (KEY_ID, "k")], (400, "InvalidArgument")),
        (&[(SSE, "aws:kms:dsse")], (501, "NotImplemented")),
        (&[(SSE, "aws:fsx")], (400, "InvalidArgument")),
    ] {
        let answer = call(&world, c, ("PUT", "/bucket/k"), headers, b"x").await;
        assert_eq!(refused(&answer), wanted, "{headers:?} {}", answer.text());
    }
    let elsewhere = call(&world, c, ("PUT", "/bucket/k"), &[BY_KMS, (KEY_ID, missing)], b"x").await;
    assert!(elsewhere.status >= 400 && elsewhere.status < 500, "{}", elsewhere.text());
    assert_eq!(call(&world, c, ("GET", "/bucket/k"), &[], b"").await.status, 404);
    shows(&call(&world, c, ("PUT", "/bucket/k"), &[BY_KMS, (KEY_ID, &arn)], b"x").await, &arn, false);
    for header in [BY_KMS, (KEY_ID, &arn), (CONTEXT, "e30="), (BUCKET_KEY, "true")] {
        let answer = call(&world, c, ("GET", "/bucket/k"), &[header], b"").await;
        assert_eq!(refused(&answer), (400, "InvalidArgument"), "{header:?}");
        assert_eq!(call(&world, c, ("HEAD", "/bucket/k"), &[header], b"").await.status, 400);
        let tags = b"<Tagging><TagSet></TagSet></Tagging>";
        let answer = call(&world, c, ("PUT", "/bucket/k?tagging"), &[header], tags).await;
        assert_eq!(refused(&answer), (400, "InvalidArgument"), "{header:?}");
    }
}

#[tokio::test]
async fn a_disabled_key_serves_nobody_from_its_answer_on() {
    let world = World::new().await;
    let mut client = world.with_bucket().await;
    let c = &mut client;
    let arn = root_key(&world, c).await;
    let with = [BY_KMS, (KEY_ID, arn.as_str())];
    shows(&call(&world, c, ("PUT", "/bucket/k"), &with, b"secret").await, &arn, false);
    assert_eq!(call(&world, c, ("GET", "/bucket/k"), &[], b"").await.text(), "secret");
    let days = json!({ "KeyId": arn, "PendingWindowInDays": 7 });
    for (operation, body, code) in [
        ("DisableKey", json!({ "KeyId": arn }), "KMS.DisabledException"),
        ("ScheduleKeyDeletion", days, "KMS.KMSInvalidStateException"),
    ] {
        kms(&world, c, &Key::root(), operation, &body).await;
        let source = [("x-amz-copy-source", "/bucket/k")];
        for (method, path, headers) in [
            ("GET", "/bucket/k", &[][..]),
            ("GET", "/bucket/k", &[("range", "bytes=0-1")]),
            ("PUT", "/bucket/copy", &source),
            ("PUT", "/bucket/new", &with),
            ("POST", "/bucket/new?uploads", &with),
        ] {
            let body: &[u8] = if path == "/bucket/new" { b"x" } else { b"" };
            let answer = call(&world, c, (method, path), headers, body).await;
            assert_eq!(refused(&answer), (400, code), "{method} {path} {}", answer.text());
        }
        shows(&call(&world, c, ("HEAD", "/bucket/k"), &[], b"").await, &arn, false);
        assert_eq!(call(&world, c, ("GET", "/bucket/k?tagging"), &[], b"").await.status, 200);
        assert!(call(&world, c, ("GET", "/bucket"), &[], b"").await.text().contains("<Key>k<"));
    }
    change(&world, c, "CancelKeyDeletion", &arn).await;
    change(&world, c, "EnableKey", &arn).await;
    assert_eq!(call(&world, c, ("GET", "/bucket/k"), &[], b"").await.text(), "secret");
}

#[tokio::test]
async fn users_need_the_key_besides_the_bucket_and_get_it_by_policy_or_grant() {
    let world = World::new().await;
    let mut client = world.with_bucket().await;
    let c = &mut client;
    let arn = root_key(&world, c).await;
    let set = configuration(Some(&arn), true);
    assert_eq!(call(&world, c, ("PUT", "/bucket?encryption"), &[], set.as_bytes()).await.status, 200);
    shows(&call(&world, c, ("PUT", "/bucket/k"), &[], b"secret").await, &arn, true);
    let s3 = says("Allow", r#""s3:*""#);
    let alice = user(&world, c, "alice").await;
    give(&world, c, "alice", &s3).await;
    for request in [("GET", "/bucket/k"), ("PUT", "/bucket/a")] {
        let answer = by(&world, c, &alice, request, b"").await;
        assert_eq!(refused(&answer), (403, "AccessDenied"));
        let action = if request.0 == "GET" { "kms:Decrypt" } else { "kms:GenerateDataKey" };
        let told = format!(
            "arn:aws:iam::{ACCOUNT}:user/alice is not authorized to perform: {action} on resource: {arn}"
        );
        assert!(answer.text().contains(&told), "{}", answer.text());
    }
    // By their own policy: through S3 alone, and for this bucket.
    let condition =
        r#"{"StringEquals":{"kms:ViaService":"s3.us-east-1.amazonaws.com","kms:CallerAccount":"ACCOUNT",
        "kms:EncryptionContext:aws:s3:arn":"arn:aws:s3:::bucket"}}"#
            .replace("ACCOUNT", ACCOUNT);
    let uses = format!(
        r#"{{"Effect":"Allow","Action":["kms:Decrypt","kms:GenerateDataKey"],"Resource":"{arn}","Condition":{condition}}}"#
    );
    give(&world, c, "alice", &format!("{s3},{uses}")).await;
    shows(&by(&world, c, &alice, ("PUT", "/bucket/a"), b"hers").await, &arn, true);
    assert_eq!(by(&world, c, &alice, ("GET", "/bucket/k"), b"").await.text(), "secret");
    let named = [BY_KMS, (KEY_ID, arn.as_str()), (BUCKET_KEY, "false")];
    shows(&call(&world, c, ("PUT", "/bucket/o"), &named, b"x").await, &arn, false);
    assert_eq!(refused(&by(&world, c, &alice, ("GET", "/bucket/o"), b"").await), (403, "AccessDenied"));
    // The key's own policy stands above it.
    let denies = format!("{},{}", tells("Allow", "root"), tells("Deny", "user/alice"));
    let policy = json!({ "KeyId": arn, "PolicyName": "default", "Policy": document(&denies) });
    kms(&world, c, &Key::root(), "PutKeyPolicy", &policy).await;
    assert_eq!(refused(&by(&world, c, &alice, ("GET", "/bucket/k"), b"").await), (403, "AccessDenied"));
    // A grant gives it to somebody without a policy about keys, until it is revoked.
    let bob = user(&world, c, "bob").await;
    give(&world, c, "bob", &s3).await;
    let grant = json!({
        "KeyId": arn,
        "GranteePrincipal": format!("arn:aws:iam::{ACCOUNT}:user/bob"),
        "Operations": ["Decrypt"],
    });
    let granted = kms(&world, c, &Key::root(), "CreateGrant", &grant).await;
    assert_eq!(by(&world, c, &bob, ("GET", "/bucket/k"), b"").await.text(), "secret");
    assert_eq!(refused(&by(&world, c, &bob, ("PUT", "/bucket/b"), b"x").await), (403, "AccessDenied"));
    let revoke = json!({ "KeyId": arn, "GrantId": granted["GrantId"] });
    kms(&world, c, &Key::root(), "RevokeGrant", &revoke).await;
    assert_eq!(refused(&by(&world, c, &bob, ("GET", "/bucket/k"), b"").await), (403, "AccessDenied"));
    let anonymous = crate::world::ask(&world, c, Who::Nobody, ("GET", "/bucket/k"), (&[], b"")).await;
    assert_eq!(anonymous.status, 403);
}

#[tokio::test]
async fn uploads_in_parts_and_forms_are_encrypted_as_they_were_begun() {
    let world = World::new().await;
    let mut client = world.with_bucket().await;
    let c = &mut client;
    let arn = root_key(&world, c).await;
    let with = [BY_KMS, (KEY_ID, arn.as_str()), (BUCKET_KEY, "true")];
    let begun = call(&world, c, ("POST", "/bucket/parts?uploads"), &with, b"").await;
    shows(&begun, &arn, true);
    let text = begun.text().to_owned();
    let upload = text.split("<UploadId>").nth(1).and_then(|rest| rest.split('<').next()).unwrap_or_default();
    let part = format!("/bucket/parts?partNumber=1&uploadId={upload}");
    let sent = call(&world, c, ("PUT", &part), &[], b"part").await;
    shows(&sent, &arn, true);
    let etag = sent.header("etag").unwrap_or_default().to_owned();
    let answer = call(&world, c, ("PUT", &part), &[BY_KMS], b"part").await;
    assert_eq!(refused(&answer), (400, "InvalidArgument"));
    let second = format!("/bucket/parts?partNumber=2&uploadId={upload}");
    let copied = call(&world, c, ("PUT", "/bucket/source"), &[], b"copied").await;
    assert_eq!(copied.status, 200);
    let source = [("x-amz-copy-source", "/bucket/source")];
    shows(&call(&world, c, ("PUT", &second), &source, b"").await, &arn, true);
    let list = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part></CompleteMultipartUpload>"
    );
    let path = format!("/bucket/parts?uploadId={upload}");
    for _again in 0..2 {
        shows(&call(&world, c, ("POST", &path), &[], list.as_bytes()).await, &arn, true);
    }
    let read = call(&world, c, ("GET", "/bucket/parts?partNumber=1"), &[], b"").await;
    shows(&read, &arn, true);
    assert_eq!(read.text(), "part");
    shows(&call(&world, c, ("HEAD", "/bucket/parts?partNumber=1"), &[], b"").await, &arn, true);

    let conditions = r#",["starts-with","$key",""],["starts-with","$x-amz-server-side-encryption",""],
        ["starts-with","$x-amz-server-side-encryption-aws-kms-key-id",""]"#;
    let fields = forms::signed(&world, conditions);
    let body = forms::form(&fields, &[("key", "form"), BY_KMS, (KEY_ID, &arn)], b"by a form");
    let head = format!(
        "POST /bucket HTTP/1.1\r\nhost: {{host}}\r\ncontent-type: multipart/form-data; boundary=frontier\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    c.send_text(&head).await;
    c.send(&body).await;
    shows(&c.answer().await.unwrap(), &arn, false);
    let read = call(&world, c, ("GET", "/bucket/form"), &[], b"").await;
    shows(&read, &arn, false);
    assert_eq!(read.text(), "by a form");
}

#[tokio::test]
async fn a_buckets_default_is_kept_and_shown() {
    let world = World::new().await;
    let mut client = world.with_bucket().await;
    let c = &mut client;
    let arn = root_key(&world, c).await;
    for (key, bucket_key) in [(Some("alias/mine"), true), (Some(arn.as_str()), false), (None, true)] {
        let set = configuration(key, bucket_key);
        assert_eq!(call(&world, c, ("PUT", "/bucket?encryption"), &[], set.as_bytes()).await.status, 200);
        let got = call(&world, c, ("GET", "/bucket?encryption"), &[], b"").await;
        let rule = set.split_once("<Rule>").unwrap().1;
        assert!(got.text().contains(rule), "{} {rule}", got.text());
    }
    let written = call(&world, c, ("PUT", "/bucket/k"), &[], b"x").await;
    let own = written.header(KEY_ID).unwrap().to_owned();
    shows(&written, &own, true);
    let plain = call(&world, c, ("PUT", "/bucket/plain"), &[(SSE, "AES256")], b"x").await;
    assert_eq!((plain.header(SSE), plain.header(KEY_ID)), (Some("AES256"), None));
    let set = configuration(None, false).replace("aws:kms", "aws:kms:dsse");
    let answer = call(&world, c, ("PUT", "/bucket?encryption"), &[], set.as_bytes()).await;
    assert_eq!(refused(&answer), (501, "NotImplemented"));
    assert_eq!(call(&world, c, ("DELETE", "/bucket?encryption"), &[], b"").await.status, 204);
    assert_eq!(call(&world, c, ("PUT", "/bucket/k"), &[], b"x").await.header(SSE), Some("AES256"));
}

#[tokio::test]
async fn policies_see_how_and_by_which_key_whatever_it_is_called() {
    let world = World::new().await;
    let mut client = world.with_bucket().await;
    let c = &mut client;
    let (mine, other) = (root_key(&world, c).await, root_key(&world, c).await);
    for (alias, key) in [("alias/mine", &mine), ("alias/other", &other)] {
        kms(&world, c, &Key::root(), "CreateAlias", &json!({ "AliasName": alias, "TargetKeyId": key })).await;
    }
    let deny = |condition: &str| {
        format!(
            r#"{{"Effect":"Deny","Principal":"*","Action":"s3:PutObject","Resource":"arn:aws:s3:::bucket/*","Condition":{condition}}}"#
        )
    };
    let unencrypted = deny(r#"{"StringNotEquals":{"s3:x-amz-server-side-encryption":"aws:kms"}}"#);
    let elsewhere = deny(&format!(
        r#"{{"ArnNotEqualsIfExists":{{"{}":"{mine}"}}}}"#,
        "s3:x-amz-server-side-encryption-aws-kms-key-id"
    ));
    let policy = document(&format!("{unencrypted},{elsewhere}"));
    let set = call(&world, c, ("PUT", "/bucket?policy"), &[], policy.as_bytes()).await;
    assert_eq!(set.status, 204, "{}", set.text());
    let id = |arn: &str| arn.rsplit('/').next().unwrap().to_owned();
    for (headers, status) in [
        (vec![], 403),
        (vec![(SSE, "AES256")], 403),
        (vec![BY_KMS, (KEY_ID, mine.as_str())], 200),
        (vec![BY_KMS, (KEY_ID, &id(&mine))], 200),
        (vec![BY_KMS, (KEY_ID, "alias/mine")], 200),
        (vec![BY_KMS, (KEY_ID, &other)], 403),
        (vec![BY_KMS, (KEY_ID, &id(&other))], 403),
        (vec![BY_KMS, (KEY_ID, "alias/other")], 403),
    ] {
        let answer = call(&world, c, ("PUT", "/bucket/k"), &headers, b"x").await;
        assert_eq!(answer.status, status, "{headers:?} {}", answer.text());
    }
    // Parts are as their upload was begun.
    let with = [BY_KMS, (KEY_ID, "alias/mine")];
    let begun = call(&world, c, ("POST", "/bucket/parts?uploads"), &with, b"").await;
    let text = begun.text().to_owned();
    let upload = text.split("<UploadId>").nth(1).and_then(|rest| rest.split('<').next()).unwrap_or_default();
    let part = format!("/bucket/parts?partNumber=1&uploadId={upload}");
    shows(&call(&world, c, ("PUT", &part), &[], b"part").await, &mine, false);
}

#[tokio::test]
async fn what_a_request_adds_to_the_context_is_asked_for_at_each_read() {
    let world = World::new().await;
    let mut client = world.with_bucket().await;
    let c = &mut client;
    let deny = r#"{"Effect":"Deny","Principal":"*","Action":["kms:Decrypt","kms:GenerateDataKey"],"Resource":"*",
        "Condition":{"StringNotEquals":{"kms:EncryptionContext:team":"red"}}}"#;
    let arn = new_key(&world, c, &document(&format!("{},{deny}", tells("Allow", "root")))).await;
    let context = |team: &str| STANDARD.encode(json!({ "team": team }).to_string());
    let put = async |c: &mut Client, context: &str| {
        call(&world, c, ("PUT", "/bucket/k"), &[BY_KMS, (KEY_ID, &arn), (CONTEXT, context)], b"x").await
    };
    assert_eq!(refused(&put(c, &context("blue")).await), (403, "AccessDenied"));
    shows(&put(c, &context("red")).await, &arn, false);
    assert_eq!(call(&world, c, ("GET", "/bucket/k"), &[], b"").await.text(), "x");
    let forged = STANDARD.encode(r#"{"aws:s3:arn":"arn:aws:s3:::other/k"}"#);
    assert_eq!(refused(&put(c, &forged).await), (400, "InvalidArgument"));
}
