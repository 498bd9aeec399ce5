//! What the doors hand to the audit trail, whatever a client does: goes away, names what is not there, asks for a thousand things at once.

#![expect(clippy::unwrap_used, reason = "a test's world fails loudly")]

use crate::audit::{JSON, Wire, call, delivered, records, records_of, with_trail};
use crate::floods::{self, END_HEADERS, END_STREAM, Frame, HEADERS, PING, RST_STREAM, frame};
use crate::glacier_walk::Scene;
use crate::http2::{self, meanwhile, whole};
use crate::iam_world::{Key, Post, document, give, iam, says, signed, user};
use crate::world::{
    ACCOUNT, Client, OTHER_ACCESS_KEY, OTHER_ACCOUNT, OTHER_SECRET_KEY, Who, World, content_md5,
};
use bytes::Bytes;
use http::Request;
use http_body_util::BodyExt;
use http_body_util::channel::Channel;
use security::audit::Lookup;
use security::sign::PayloadHash;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::sync::atomic::Ordering;
use tokio::io::AsyncWriteExt;
use tokio::task::yield_now;
use web::Limits;

fn other() -> Key {
    Key { id: OTHER_ACCESS_KEY.to_owned(), secret: OTHER_SECRET_KEY.to_owned(), token: None }
}

/// The record of an operation that is to come, and the only one.
async fn record<S: Wire>(world: &World, client: &mut Client<S>, name: &str) -> Value {
    for _ in 0..1_000 {
        if let [record] = &records(world, client, name).await[..] {
            return record.clone();
        }
        yield_now().await;
    }
    panic!("there is no record of {name}, or more than one");
}

async fn until_waiting(world: &World, commits: usize) {
    for _ in 0..100_000 {
        if world.gate.waiting() == commits {
            return;
        }
        yield_now().await;
    }
    panic!("{} commits wait, not {commits}", world.gate.waiting());
}

#[tokio::test]
async fn what_was_done_has_a_record_though_its_connection_was_cut_before_the_answer() {
    let world = World::secured(Limits::default()).await;
    let (mut sender, connection) = http2::open(&world, world.http).await;
    let mut client = crate::secured::client(&world, &["http/1.1"]).await;
    assert_eq!(http2::ask(&world, &mut sender, ("PUT", "/bucket"), b"").await.0, 200);
    let url = |path: &str| format!("https://{}{path}", world.http);
    // Its commit is on its way.
    world.gate.set_commits_open(false);
    let delete = http2::signed(&world, PayloadHash::Unsigned, ("DELETE", &url("/bucket")), &[], whole(b""));
    let delete = tokio::spawn(sender.send_request(delete));
    until_waiting(&world, 1).await;
    delete.abort();
    connection.abort();
    meanwhile(&world).await;
    world.gate.set_commits_open(true);
    let (mut sender, _connection) = http2::open(&world, world.http).await;
    let found = record(&world, &mut client, "DeleteBucket").await;
    assert!(found.get("errorCode").is_none(), "{found}");
    assert_eq!(http2::ask(&world, &mut sender, ("HEAD", "/bucket"), b"").await.0, 404);
    // So has what was denied.
    assert_eq!(http2::ask(&world, &mut sender, ("PUT", "/bucket2"), b"").await.0, 200);
    world.gate.set_commits_open(false);
    let get = Request::builder().method("GET").uri(url("/bucket2/key")).body(whole(b"")).unwrap();
    let get = tokio::spawn(sender.send_request(get));
    let set = http2::signed(&world, PayloadHash::Unsigned, ("PUT", &url("/third")), &[], whole(b""));
    until_waiting(&world, 1).await;
    get.abort();
    meanwhile(&world).await;
    world.gate.set_commits_open(true);
    assert_eq!(record(&world, &mut client, "GetObject").await["errorCode"], "AccessDenied");
    assert_eq!(sender.send_request(set).await.unwrap().status(), 200);
}

#[tokio::test]
async fn what_was_done_has_a_record_though_its_stream_was_reset_before_the_answer() {
    const CANCEL: [u8; 4] = [0, 0, 0, 8];
    let world = World::secured(Limits::default()).await;
    let mut client = crate::secured::client(&world, &["http/1.1"]).await;
    assert_eq!(crate::world::call(&world, &mut client, ("PUT", "/bucket"), &[], b"").await.status, 200);
    let (mut reader, mut writer) = floods::open(&world, &[]).await;
    let whole = END_HEADERS | END_STREAM;
    let ask = |stream, method, path| frame(HEADERS, whole, stream, &floods::signed(&world, method, path));
    world.gate.set_commits_open(false);
    writer.write_all(&ask(1, "DELETE", "/bucket")).await.unwrap();
    writer.flush().await.unwrap();
    until_waiting(&world, 1).await;
    // The answer to a ping says that what was sent before it was seen.
    let reset = [frame(RST_STREAM, 0, 1, &CANCEL), frame(PING, 0, 0, &[7; 8])].concat();
    writer.write_all(&reset).await.unwrap();
    writer.flush().await.unwrap();
    let mut told = Vec::new();
    while told.last().is_none_or(|frame: &Frame| frame.kind != PING) {
        told.push(reader.next().await.unwrap());
    }
    meanwhile(&world).await;
    world.gate.set_commits_open(true);
    let found = record(&world, &mut client, "DeleteBucket").await;
    assert!(found.get("errorCode").is_none(), "{found}");
    // The connection goes on, and nothing was answered on the stream that was reset.
    writer.write_all(&ask(3, "GET", "/bucket?location")).await.unwrap();
    writer.flush().await.unwrap();
    while told.last().is_none_or(|frame| frame.stream != 3) {
        told.push(reader.next().await.unwrap());
    }
    assert!(told.iter().all(|frame| frame.stream != 1), "{told:?}");
    assert_eq!(record(&world, &mut client, "GetBucketLocation").await["errorCode"], "NoSuchBucket");
}

#[tokio::test]
async fn what_was_done_has_a_record_though_its_body_lacks_its_last_byte() {
    let world = World::secured(Limits::default()).await;
    let (mut sender, _connection) = http2::open(&world, world.http).await;
    let mut client = crate::secured::client(&world, &["http/1.1"]).await;
    assert_eq!(http2::ask(&world, &mut sender, ("PUT", "/bucket"), b"").await.0, 200);
    let (mut pieces, body) = Channel::<Bytes, Infallible>::new(4);
    let url = format!("https://{}/bucket", world.http);
    let delete = http2::signed(
        &world,
        PayloadHash::Unsigned,
        ("DELETE", &url),
        &[("content-length", "5")],
        body.boxed(),
    );
    let delete = tokio::spawn(sender.send_request(delete));
    pieces.send_data(Bytes::from_static(b"four")).await.unwrap();
    while http2::ask(&world, &mut sender, ("HEAD", "/bucket"), b"").await.0 != 404 {}
    delete.abort();
    drop(pieces);
    meanwhile(&world).await;
    record(&world, &mut client, "DeleteBucket").await;
}

#[tokio::test]
async fn a_body_that_was_cut_off_with_its_client_is_none() {
    let world = World::secured(Limits::default()).await;
    let (mut sender, _connection) = http2::open(&world, world.http).await;
    let mut client = crate::secured::client(&world, &["http/1.1"]).await;
    assert_eq!(http2::ask(&world, &mut sender, ("PUT", "/bucket"), b"").await.0, 200);
    let (mut pieces, body) = Channel::<Bytes, Infallible>::new(4);
    let url = format!("https://{}/bucket?tagging", world.http);
    let put = http2::signed(&world, PayloadHash::Unsigned, ("PUT", &url), &[], body.boxed());
    let put = tokio::spawn(sender.send_request(put));
    pieces.send_data(Bytes::from_static(b"<Tagging><TagSet></TagSet></Tagging>")).await.unwrap();
    meanwhile(&world).await;
    put.abort();
    drop(pieces);
    meanwhile(&world).await;
    let found = record(&world, &mut client, "PutBucketTagging").await;
    assert_eq!(found["errorCode"], "IncompleteBody");
}

#[tokio::test]
async fn a_panic_behind_the_act_has_a_record_and_an_answer() {
    let world = World::new().await;
    let mut client = world.with_bucket().await;
    world.gate.panics.store(true, Ordering::SeqCst);
    let answer = call(&mut client, &world.signed("DELETE", "/bucket", &[], b"")).await;
    assert_eq!((answer.status, answer.code()), (500, "InternalError"));
    assert_eq!(answer.header("connection"), Some("close"));
    let mut client = world.connect().await;
    let c = &mut client;
    assert_eq!(record(&world, c, "DeleteBucket").await["errorCode"], "InternalError");
    world.gate.panics.store(true, Ordering::SeqCst);
    let asked = [("UserName", "alice")];
    let answer = crate::iam_world::ask(&world, c, &Key::root(), ("iam", "CreateUser"), &asked).await;
    assert_eq!(answer.status, 500);
    let mut client = world.connect().await;
    assert_eq!(record(&world, &mut client, "CreateUser").await["errorCode"], "ServiceFailure");
}

#[tokio::test]
async fn no_request_makes_a_record_that_its_neighbours_have_to_pay_for() {
    let world = World::new().await;
    let mut client = world.with_bucket().await;
    let (mut second, c) = (world.connect().await, &mut client);
    let long = format!(
        "GET /{} HTTP/1.1\r\nhost: {{host}}\r\nauthorization: AWS4-HMAC-SHA256 x\r\n\r\n",
        "%01".repeat(5_461)
    );
    let (user, root) = ([("UserName", "alice")], Key::root());
    let (denied, made) = tokio::join!(
        async {
            second.send_text(&long).await;
            second.answer().await.unwrap()
        },
        iam(&world, c, &root, "CreateUser", &user),
    );
    assert_eq!((denied.code(), made.status), ("AuthorizationHeaderMalformed", 200));
    assert_eq!(world.audit.lost(), 0);
    let found = record(&world, c, "ListObjects").await;
    assert!(found.get("resources").is_none() && found.to_string().len() < 16 << 10, "{found}");
    record(&world, c, "CreateUser").await;
    // A key is no longer than any real one.
    let key = format!("GET /bucket/{} HTTP/1.1\r\nhost: {{host}}\r\n\r\n", "%01".repeat(1_000));
    second.send_text(&key).await;
    assert_eq!(second.answer().await.unwrap().status, 403);
    assert!(record(&world, c, "GetObject").await.to_string().len() < 32 << 10);
}

#[tokio::test]
async fn accounts_that_are_not_there_have_no_history_and_those_that_own_vaults_have_theirs() {
    let mut scene = Scene::new().await;
    let asker = user(&scene.world, &mut scene.client, "nobody").await;
    for account in ["000000000001", OTHER_ACCOUNT] {
        assert_eq!(scene.send(&asker, "GET", &format!("/{account}/vaults"), b"").await.status, 403);
    }
    let lookup = Lookup { limit: 9, ..Lookup::default() };
    let found = scene.world.audit.lookup("000000000001".parse().unwrap(), &lookup).await.unwrap();
    assert!(found.found.is_empty());
    let theirs = records_of(&scene.world, &mut scene.client, &other(), "ListVaults").await;
    assert_eq!((theirs.len(), &theirs[0]["recipientAccountId"]), (1, &json!(OTHER_ACCOUNT)));
    assert_eq!(records(&scene.world, &mut scene.client, "ListVaults").await.len(), 2);
    // What is not there is nothing of a neighbour's.
    give(&scene.world, &mut scene.client, "nobody", &says("Allow", r#""glacier:*""#)).await;
    scene.send(&Key::root(), "GET", "/-/vaults/v", b"").await;
    let described = records(&scene.world, &mut scene.client, "DescribeVault").await;
    let arn = format!("arn:aws:glacier:us-east-1:{ACCOUNT}:vaults/v");
    assert_eq!(described[0]["resources"][0]["ARN"], arn);
}

/// A user of the other account, who may do all that its own policies can let it.
async fn their_user(world: &World, c: &mut Client) -> Key {
    iam(world, c, &other(), "CreateUser", &[("UserName", "theirs")]).await;
    let key = Key::of(&iam(world, c, &other(), "CreateAccessKey", &[("UserName", "theirs")]).await);
    let all = document(&says("Allow", r#""*""#));
    let policy = [("UserName", "theirs"), ("PolicyName", "all"), ("PolicyDocument", all.as_str())];
    iam(world, c, &other(), "PutUserPolicy", &policy).await;
    key
}

#[tokio::test]
async fn whoever_owns_a_role_or_a_key_has_a_record_of_what_another_account_does_with_it() {
    let world = World::new().await;
    let mut client = world.connect().await;
    let c = &mut client;
    let theirs = their_user(&world, c).await;
    for (role, trusted) in [("open", OTHER_ACCOUNT), ("shut", ACCOUNT)] {
        let trust = document(&format!(
            r#"{{"Effect":"Allow","Principal":{{"AWS":"arn:aws:iam::{trusted}:root"}},"Action":"sts:AssumeRole"}}"#
        ));
        let new = [("RoleName", role), ("AssumeRolePolicyDocument", trust.as_str())];
        iam(&world, c, &Key::root(), "CreateRole", &new).await;
        let arn = format!("arn:aws:iam::{ACCOUNT}:role/{role}");
        let asked = [("RoleArn", arn.as_str()), ("RoleSessionName", "session")];
        let answer = crate::iam_world::ask(&world, c, &theirs, ("sts", "AssumeRole"), &asked).await;
        assert_eq!(answer.status, if role == "open" { 200 } else { 403 }, "{}", answer.text());
    }
    // An account that is not there, and one's own that does not own what is named.
    let nowhere = [("RoleArn", "arn:aws:iam::000000000001:role/r"), ("RoleSessionName", "session")];
    crate::iam_world::ask(&world, c, &theirs, ("sts", "AssumeRole"), &nowhere).await;
    let found = records(&world, c, "AssumeRole").await;
    let [shut, open] = &found[..] else { panic!("{found:?}") };
    for (record, role) in [(shut, "shut"), (open, "open")] {
        assert_eq!(record["resources"][0]["ARN"], format!("arn:aws:iam::{ACCOUNT}:role/{role}"));
        assert_eq!(record["resources"][0]["type"], "AWS::IAM::Role");
        assert_eq!(record["userIdentity"]["accountId"], OTHER_ACCOUNT);
        assert!(record["sharedEventID"].is_string() && record["readOnly"] == true, "{record}");
    }
    assert_eq!((&shut["errorCode"], open.get("errorCode")), (&json!("AccessDenied"), None));
    assert_eq!(records_of(&world, c, &other(), "AssumeRole").await.len(), 3);
    let lets = |account: &str| {
        document(&format!(
            r#"{{"Effect":"Allow","Principal":{{"AWS":["arn:aws:iam::{account}:root","arn:aws:iam::{ACCOUNT}:root"]}},"Action":"kms:*","Resource":"*"}}"#
        ))
    };
    for account in [OTHER_ACCOUNT, ACCOUNT] {
        let key = crate::kms::new_key(&world, c, &lets(account)).await;
        let body = json!({ "KeyId": key, "Plaintext": "AAAA" });
        let answer = crate::kms::ask(&world, c, &theirs, "Encrypt", &body).await;
        assert_eq!(answer.status == 200, account == OTHER_ACCOUNT, "{}", answer.text());
        let found = records(&world, c, "Encrypt").await;
        assert_eq!(found[0]["resources"][0]["ARN"], key);
        assert_eq!(found[0]["userIdentity"]["accountId"], OTHER_ACCOUNT);
        assert_eq!(found[0].get("errorCode").is_none(), account == OTHER_ACCOUNT);
    }
    // By its bare id, and by an alias: what it was is known by the answer.
    let key = crate::kms::new_key(&world, c, &lets(ACCOUNT)).await;
    let id = key.rsplit('/').next().unwrap();
    crate::kms::ask(
        &world,
        c,
        &Key::root(),
        "CreateAlias",
        &json!({ "AliasName": "alias/a", "TargetKeyId": id }),
    )
    .await;
    for named in [id, "alias/a"] {
        crate::kms::ask(&world, c, &Key::root(), "Encrypt", &json!({ "KeyId": named, "Plaintext": "AAAA" }))
            .await;
        assert_eq!(records(&world, c, "Encrypt").await[0]["resources"][0]["ARN"], key, "{named}");
    }
}

#[tokio::test]
async fn whoever_owns_the_source_of_a_copy_has_a_record_of_it() {
    let world = World::new().await;
    let mut client = world.with_bucket().await;
    let c = &mut client;
    with_trail(&world, c, &["arn:aws:s3:::bucket/"]).await;
    call(c, &world.signed("PUT", "/bucket/secret", &[], b"body")).await;
    assert_eq!(call(c, &world.sent_by(Who::Other, "PUT", "/theirs", &[], b"")).await.status, 200);
    let source = [("x-amz-copy-source", "bucket/secret")];
    let copy = world.sent_by(Who::Other, "PUT", "/theirs/copy", &source, b"");
    assert_eq!(call(c, &copy).await.status, 403);
    let denied = record(&world, c, "CopyObject").await;
    assert_eq!(denied["userIdentity"]["accountId"], OTHER_ACCOUNT);
    let arns: Vec<&str> =
        denied["resources"].as_array().unwrap().iter().filter_map(|of| of["ARN"].as_str()).collect();
    assert!(arns.contains(&"arn:aws:s3:::bucket/secret"), "{arns:?}");
    assert_eq!(records_of(&world, c, &other(), "CopyObject").await.len(), 1);
    let policy = document(&format!(
        r#"{{"Effect":"Allow","Principal":{{"AWS":"arn:aws:iam::{OTHER_ACCOUNT}:root"}},"Action":"s3:GetObject","Resource":"arn:aws:s3:::bucket/*"}}"#
    ));
    assert_eq!(call(c, &world.signed("PUT", "/bucket?policy", &[], policy.as_bytes())).await.status, 204);
    let copy = world.sent_by(Who::Other, "PUT", "/theirs/copy", &source, b"");
    assert_eq!(call(c, &copy).await.status, 200);
    let found = delivered(&world, c).await;
    let copies: Vec<&Value> = found.iter().filter(|record| record["eventName"] == "CopyObject").collect();
    let done = copies.iter().find(|record| record.get("errorCode").is_none()).unwrap();
    assert_eq!(done["resources"][0]["ARN"], "arn:aws:s3:::bucket/secret");
    assert_eq!(done["userIdentity"]["accountId"], OTHER_ACCOUNT);
}

#[tokio::test]
async fn each_key_of_a_batch_is_seen_by_selectors_and_its_denials_are_in_the_history() {
    let world = World::new().await;
    let mut client = world.with_bucket().await;
    let c = &mut client;
    with_trail(&world, c, &["arn:aws:s3:::bucket/ledger/"]).await;
    let bob = user(&world, c, "bob").await;
    give(&world, c, "bob", r#"{"Effect":"Allow","Action":"s3:*","Resource":["arn:aws:s3:::bucket","arn:aws:s3:::bucket/ledger/*","arn:aws:s3:::bucket/in/*"]}"#).await;
    let objects: String = ["ledger/1", "vault/1", "vault/2", "other"]
        .map(|key| format!("<Object><Key>{key}</Key></Object>"))
        .concat();
    let body = format!("<Delete>{objects}</Delete>");
    let digest = content_md5(body.as_bytes());
    let header = Some(("content-md5", digest.as_str()));
    let post = Post { service: "s3", path: "/bucket?delete", content_type: "", header, ..Post::default() };
    let payload = Some(PayloadHash::Unsigned);
    let answer = call(c, &signed(&world, &bob, Post { payload, ..post }, body.as_bytes())).await;
    assert_eq!((answer.status, answer.text().matches("AccessDenied").count()), (200, 3), "{}", answer.text());
    let denied = record(&world, c, "DeleteObjects").await;
    assert_eq!(denied["errorCode"], "AccessDenied");
    assert_eq!(denied["additionalEventData"]["deniedKeys"], json!(["vault/1", "vault/2", "other"]));
    assert_eq!(denied["additionalEventData"]["deniedCount"], 3);
    assert_eq!(denied["userIdentity"]["userName"], "bob");
    // An archive, whose errors are passed by.
    let archive = crate::ingest::tar(&[("in/a", b'0', b"a"), ("vault/a", b'0', b"a")]);
    let headers =
        [("x-amz-meta-snowball-auto-extract", "true"), ("x-amz-meta-minio-snowball-ignore-errors", "true")];
    let post = Post {
        service: "s3",
        method: "PUT",
        path: "/bucket/in/a.tar",
        content_type: "",
        payload,
        ..Post::default()
    };
    let asked = with_headers(&world, &bob, post, &headers, &archive);
    let answer = call(c, &asked).await;
    assert_eq!(
        (answer.status, answer.header("x-firn-ingest-refused")),
        (200, Some("1")),
        "{}",
        answer.text()
    );
    assert_eq!(record(&world, c, "PutObject").await["additionalEventData"]["deniedKeys"], json!(["vault/a"]));
    let found = delivered(&world, c).await;
    let of_keys: Vec<&Value> = found.iter().filter(|record| record["eventName"] == "DeleteObject").collect();
    let [of_key] = &of_keys[..] else { panic!("{found:?}") };
    assert_eq!(of_key["requestParameters"]["key"], "ledger/1");
    assert_eq!(of_key["resources"][0]["ARN"], "arn:aws:s3:::bucket/ledger/1");
    assert!(of_key.get("errorCode").is_none() && of_key["requestID"] == denied["requestID"], "{of_key}");
}

/// A request of S3 with several headers, all signed.
fn with_headers(world: &World, key: &Key, post: Post<'_>, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    use engine::clock::Clock as _;
    let request =
        http::Request::builder().method(post.method).uri(post.path).header("host", world.http.to_string());
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    let (mut parts, ()) = request.body(()).unwrap().into_parts();
    key.signer("s3", "us-east-1").sign(&mut parts, PayloadHash::Unsigned, world.clock.now()).unwrap();
    let mut bytes = format!("{} {} HTTP/1.1\r\n", post.method, post.path).into_bytes();
    for (name, value) in &parts.headers {
        bytes.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    bytes.extend(format!("content-length: {}\r\n\r\n", body.len()).into_bytes());
    bytes.extend_from_slice(body);
    bytes
}

#[tokio::test]
async fn a_visitor_who_is_denied_is_recorded_though_a_page_is_shown() {
    let world = World::new().await;
    let mut client = world.with_bucket().await;
    let c = &mut client;
    let site = format!("{}<ErrorDocument><Key>error.html</Key></ErrorDocument>", crate::website::INDEX);
    assert_eq!(crate::website::put(&world, c, &site).await.status, 200);
    let policy = document(
        r#"{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::bucket/error.html"}"#,
    );
    assert_eq!(call(c, &world.signed("PUT", "/bucket?policy", &[], policy.as_bytes())).await.status, 204);
    for key in ["error.html", "private"] {
        assert_eq!(call(c, &world.signed("PUT", &format!("/bucket/{key}"), &[], b"page")).await.status, 200);
    }
    let visited = crate::website::visit(c, "GET", "/private").await;
    assert_eq!((visited.status, visited.text()), (403, "page"));
    let denied = record(&world, c, "GetObject").await;
    assert_eq!(
        (&denied["errorCode"], &denied["requestParameters"]["key"]),
        (&json!("AccessDenied"), &json!("private"))
    );
    assert_eq!(denied["userIdentity"]["accountId"], "anonymous");
}

#[tokio::test]
async fn a_key_that_is_claimed_is_named_and_its_account_has_the_record() {
    let world = World::new().await;
    let mut client = world.with_bucket().await;
    let c = &mut client;
    let theirs = their_user(&world, c).await;
    let off = [("UserName", "theirs"), ("AccessKeyId", theirs.id.as_str()), ("Status", "Inactive")];
    iam(&world, c, &other(), "UpdateAccessKey", &off).await;
    let get = Post {
        service: "s3",
        method: "GET",
        path: "/bucket/k?versionId=null",
        content_type: "",
        ..Post::default()
    };
    assert_eq!(call(c, &signed(&world, &theirs, get, b"")).await.code(), "InvalidAccessKeyId");
    let found = records_of(&world, c, &other(), "GetObject").await;
    assert_eq!(found[0]["userIdentity"]["accessKeyId"], theirs.id);
    assert_eq!(found[0]["userIdentity"]["accountId"], OTHER_ACCOUNT);
    assert_eq!(found[0]["requestParameters"]["versionId"], "null");
    assert_eq!(records(&world, c, "GetObject").await.len(), 1, "the bucket's owner has it too");
    let target = Some(("x-amz-target", "TrentService.ScheduleKeyDeletion"));
    let post = Post { service: "kms", content_type: JSON, header: target, ..Post::default() };
    assert_eq!(call(c, &signed(&world, &theirs, post, b"{}")).await.status, 400);
    let found = records_of(&world, c, &other(), "ScheduleKeyDeletion").await;
    assert_eq!(found[0]["errorCode"], "UnrecognizedClientException");
    // Two signatures, a digest that is another body's, a key that is none.
    let both = String::from_utf8(world.signed("GET", "/bucket/k", &[], b"")).unwrap();
    let both = both.replace("GET /bucket/k ", "GET /bucket/k?X-Amz-Algorithm=AWS4-HMAC-SHA256 ");
    assert_eq!(call(c, both.as_bytes()).await.code(), "InvalidArgument");
    let found = records(&world, c, "GetObject").await;
    assert_eq!((found.len(), &found[0]["errorCode"]), (2, &json!("InvalidArgument")));
    let payload = PayloadHash::Sha256([7; 32]);
    let wrong = call(c, &world.signed_as(payload, ("PUT", "/bucket?tagging"), &[], b"<x/>")).await;
    assert_eq!(wrong.code(), "XAmzContentSHA256Mismatch");
    let mut c = world.connect().await;
    let lookup = Lookup { limit: 50, ..Lookup::default() };
    let history = world.audit.lookup(ACCOUNT.parse().unwrap(), &lookup).await.unwrap();
    assert!(history.found.iter().any(|found| found.fields["errorCode"] == "XAmzContentSHA256Mismatch"));
    // Of a bad argument that is no proof there is no record.
    let odd = call(&mut c, &world.signed("PUT", "/bucket/k", &[("x-amz-tagging", "%zz")], b"x")).await;
    assert_eq!(odd.status, 400, "{}", odd.text());
    assert!(records(&world, &mut c, "PutObject").await.is_empty());
}

#[tokio::test]
async fn a_form_that_is_refused_names_who_signed_it_or_whose_key_it_claims() {
    let world = World::new().await;
    let mut client = world.with_bucket().await;
    let c = &mut client;
    let fields = crate::forms::signed(&world, r#",["starts-with","$key","up/"]"#);
    let refused = crate::forms::post(c, &crate::forms::form(&fields, &[("key", "down/x")], b"x")).await;
    assert_eq!((refused.status, refused.code()), (403, "AccessDenied"));
    let mut c = world.connect().await;
    let found = record(&world, &mut c, "PostObject").await;
    assert_eq!(
        (&found["userIdentity"]["type"], &found["userIdentity"]["accountId"]),
        (&json!("Root"), &json!(ACCOUNT))
    );
    assert_eq!(found["requestParameters"]["key"], "down/x");
    let mut forged = fields;
    for (name, value) in &mut forged {
        if name == "x-amz-signature" {
            *value = "0".repeat(64);
        }
    }
    let refused = crate::forms::post(&mut c, &crate::forms::form(&forged, &[("key", "up/x")], b"x")).await;
    assert_eq!((refused.status, refused.code()), (403, "SignatureDoesNotMatch"));
    let mut c = world.connect().await;
    let found = records(&world, &mut c, "PostObject").await;
    assert_eq!(found[0]["userIdentity"]["type"], "Unknown");
    assert_eq!(found[0]["userIdentity"]["accessKeyId"], Key::root().id);
}

#[tokio::test]
async fn a_form_whose_signature_is_not_good_is_recorded_by_what_it_asks_for_and_nothing_of_it_is() {
    let world = World::new().await;
    let mut client = world.connect().await;
    let c = &mut client;
    let wrong = Key { secret: OTHER_SECRET_KEY.to_owned(), ..Key::root() };
    let asked = [("UserName", "canary-name")];
    for (service, name) in [("iam", "DeleteUser"), ("sts", "GetSessionToken")] {
        let refused = crate::iam_world::ask(&world, c, &wrong, (service, name), &asked).await;
        assert_eq!((refused.status, refused.code()), (403, "SignatureDoesNotMatch"));
        let found = record(&world, c, name).await;
        assert_eq!(
            (&found["errorCode"], &found["userIdentity"]["accessKeyId"]),
            (&json!("SignatureDoesNotMatch"), &json!(Key::root().id))
        );
        assert!(!found.to_string().contains("canary"), "{found}");
    }
    // What is in no table, and is no form, is unknown.
    for (name, parameters) in [("Unheard", &asked[..]), ("DeleteUser", &[("Action", "Twice")])] {
        crate::iam_world::ask(&world, c, &wrong, ("iam", name), parameters).await;
    }
    assert_eq!(records(&world, c, "Unknown").await.len(), 2);
}

#[tokio::test]
async fn who_changes_something_by_the_admin_door_or_has_no_token_for_it_is_recorded() {
    let world = World::new().await;
    let (mut client, mut admin) = (world.connect().await, world.connect_admin().await);
    let ask = async |admin: &mut Client, token: &str, (method, path): (&str, &str), body: &str| {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {{host}}\r\nauthorization: Bearer {token}\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        admin.send_text(&head).await;
        admin.answer().await.unwrap().status
    };
    assert_eq!(ask(&mut admin, "guessed", ("GET", "/v1/status"), "").await, 401);
    assert_eq!(ask(&mut admin, "the-token", ("GET", "/v1/status"), "").await, 200);
    let quota = r#"{"action":"set","bucket":"b","prefix":"","bytes":7,"secret":"hidden"}"#;
    assert_eq!(ask(&mut admin, "the-token", ("POST", "/v1/quota"), quota).await, 404);
    assert_eq!(ask(&mut admin, "the-token", ("POST", "/v1/dedup"), r#"{"action":"list"}"#).await, 404);
    let denied = record(&world, &mut client, "GetStatus").await;
    assert_eq!(
        (&denied["errorCode"], &denied["eventSource"], &denied["sourceIPAddress"]),
        (&json!("MissingAuthenticationToken"), &json!("firn.amazonaws.com"), &json!("127.0.0.1"))
    );
    let set = record(&world, &mut client, "SetQuota").await;
    assert_eq!(set["requestParameters"], json!({ "bucket": "b", "prefix": "", "bytes": 7 }));
    assert_eq!((&set["errorCode"], &set["readOnly"]), (&json!("NotFound"), &json!(false)));
    assert_eq!(set["userIdentity"]["principalId"], "admin-token");
    assert!(records(&world, &mut client, "EnableDedup").await.is_empty());
    let hold = r#"{"action":"hold","vault":"v","name":"CASE-7"}"#;
    assert_eq!(ask(&mut admin, "the-token", ("POST", "/v1/vault"), hold).await, 404);
    for repairs in ["false", "true"] {
        let scrub = format!(r#"{{"action":"scrub","vault":"{repairs}","repairs":{repairs}}}"#);
        assert_eq!(ask(&mut admin, "the-token", ("POST", "/v1/vault"), &scrub).await, 404);
    }
    for dry_run in ["false", "true"] {
        let compact = format!(r#"{{"action":"compact","vault":"{dry_run}","dry_run":{dry_run}}}"#);
        assert_eq!(ask(&mut admin, "the-token", ("POST", "/v1/vault"), &compact).await, 404);
    }
    let kept = record(&world, &mut client, "HoldVault").await;
    assert_eq!(kept["requestParameters"], json!({ "vault": "v", "name": "CASE-7" }));
    // One that writes nothing has none.
    let scrubbed = record(&world, &mut client, "ScrubVault").await;
    assert_eq!(scrubbed["requestParameters"], json!({ "vault": "true" }));
    let compacted = record(&world, &mut client, "CompactVault").await;
    assert_eq!(compacted["requestParameters"], json!({ "vault": "false", "dry_run": false }));
    world.facts.panics.store(true, Ordering::SeqCst);
    let run = r#"{"action":"run","bucket":"b"}"#;
    assert_eq!(ask(&mut admin, "the-token", ("POST", "/v1/lifecycle"), run).await, 500);
    assert_eq!(record(&world, &mut client, "RunLifecycle").await["errorCode"], "InternalFailure");
    world.facts.panics.store(false, Ordering::SeqCst);
    world.gate.full.store(true, Ordering::SeqCst);
    assert_eq!(ask(&mut admin, "the-token", ("POST", "/v1/quota"), quota).await, 503);
}

#[tokio::test]
async fn who_opens_a_bucket_is_recorded_with_what_opens_it_and_who_is_given_a_session_by_its_key() {
    let world = World::new().await;
    let mut client = world.with_bucket().await;
    let c = &mut client;
    let policy = document(
        r#"{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::bucket/*"}"#,
    );
    assert_eq!(call(c, &world.signed("PUT", "/bucket?policy", &[], policy.as_bytes())).await.status, 204);
    let set = record(&world, c, "PutBucketPolicy").await;
    assert_eq!(set["requestParameters"]["bucketPolicy"], serde_json::from_str::<Value>(&policy).unwrap());
    let long = "x".repeat(17 << 10);
    let large = document(&format!(
        r#"{{"Sid":"{long}","Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::bucket/*"}}"#
    ));
    call(c, &world.signed("PUT", "/bucket?policy", &[], large.as_bytes())).await;
    let set = &records(&world, c, "PutBucketPolicy").await[0];
    assert_eq!(set["requestParameters"]["bucketPolicy"]["omitted"], true, "{set}");
    let list = "<AccessControlPolicy><AccessControlList><Grant><Grantee \
         xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"Group\">\
         <URI>http://acs.amazonaws.com/groups/global/AllUsers</URI></Grantee><Permission>READ</Permission></Grant>\
         </AccessControlList></AccessControlPolicy>";
    call(c, &world.signed("PUT", "/bucket?acl", &[], list.as_bytes())).await;
    let set = record(&world, c, "PutBucketAcl").await;
    let grant = &set["requestParameters"]["AccessControlPolicy"]["AccessControlList"]["Grant"];
    assert_eq!(grant["Permission"], "READ", "{set}");
    let alice = user(&world, c, "alice").await;
    let session = Key::of(&crate::iam_world::sts(&world, c, &alice, "GetSessionToken", &[]).await);
    let given = record(&world, c, "GetSessionToken").await;
    assert_eq!(given["responseElements"]["credentials"]["accessKeyId"], session.id);
    assert!(!given.to_string().contains(&session.secret), "{given}");
    let created = &records(&world, c, "CreateUser").await[0];
    assert_eq!(created["resources"][0]["ARN"], format!("arn:aws:iam::{ACCOUNT}:user/alice"));
}
