//! Keys that clients bring along (SSE-C), on the wire.

use crate::forms;
use crate::world::{Answer, Client, Who, World, call};

const KEY: &str = "pO3upElrwuEXSoFwCfnZPdSsmt/xWeFa0N9KgDijwVs=";
const MD5: &str = "DWygnHRtgiJ77HCm+1rvHw==";
const OTHER: &str = "6b+WOZ1T3cqZMxgThRcXAQBrS5mXKdDUphvpxptl9/4=";
const OTHER_MD5: &str = "arxBvwY2V4SiOne6yppVPQ==";

const ALGORITHM: &str = "x-amz-server-side-encryption-customer-algorithm";
const CUSTOMER_KEY: &str = "x-amz-server-side-encryption-customer-key";
const CUSTOMER_MD5: &str = "x-amz-server-side-encryption-customer-key-md5";
const SSE: &str = "x-amz-server-side-encryption";

const MINE: [(&str, &str); 3] = [(ALGORITHM, "AES256"), (CUSTOMER_KEY, KEY), (CUSTOMER_MD5, MD5)];
const THEIRS: [(&str, &str); 3] = [(ALGORITHM, "AES256"), (CUSTOMER_KEY, OTHER), (CUSTOMER_MD5, OTHER_MD5)];
/// The same key, of a copy's source.
const OF_SOURCE: [(&str, &str); 3] = [
    ("x-amz-copy-source-server-side-encryption-customer-algorithm", "AES256"),
    ("x-amz-copy-source-server-side-encryption-customer-key", KEY),
    ("x-amz-copy-source-server-side-encryption-customer-key-md5", MD5),
];

/// The answer says which key, and nothing of the appliance's.
fn shows_mine(answer: &Answer) {
    assert!(answer.status < 300, "{} {}", answer.status, answer.text());
    assert_eq!((answer.header(ALGORITHM), answer.header(CUSTOMER_MD5)), (Some("AES256"), Some(MD5)));
    assert_eq!((answer.header(SSE), answer.header(CUSTOMER_KEY)), (None, None));
}

fn shows_none(answer: &Answer) {
    assert!(answer.status < 300, "{} {}", answer.status, answer.text());
    assert_eq!((answer.header(ALGORITHM), answer.header(SSE)), (None, Some("AES256")));
}

async fn opens_with_mine_alone(world: &World, client: &mut Client, path: &str, body: &str) {
    let read = call(world, client, ("GET", path), &MINE, b"").await;
    shows_mine(&read);
    assert_eq!(read.text(), body);
    shows_mine(&call(world, client, ("HEAD", path), &MINE, b"").await);
    let attributes = ("x-amz-object-attributes", "ObjectSize");
    let asked = [MINE[0], MINE[1], MINE[2], attributes];
    let query = format!("{path}?attributes");
    assert_eq!(call(world, client, ("GET", &query), &asked, b"").await.status, 200);
    for brought in [&[][..], &THEIRS] {
        let refused = call(world, client, ("GET", path), brought, b"").await;
        assert_eq!((refused.status, refused.code()), (400, "InvalidRequest"), "{}", refused.text());
        assert_eq!(call(world, client, ("HEAD", path), brought, b"").await.status, 400);
        let asked: Vec<_> = brought.iter().copied().chain([attributes]).collect();
        assert_eq!(call(world, client, ("GET", &query), &asked, b"").await.status, 400);
    }
}

#[tokio::test]
async fn an_object_is_written_and_read_with_a_key_that_is_never_shown() {
    let world = World::new().await;
    let mut client = world.with_bucket().await;
    for (path, body) in [("/bucket/small", "secret".to_owned()), ("/bucket/large", "secret".repeat(20_000))] {
        let written = call(&world, &mut client, ("PUT", path), &MINE, body.as_bytes()).await;
        shows_mine(&written);
        opens_with_mine_alone(&world, &mut client, path, &body).await;
    }
    // What stands beside it is read and changed without.
    let tags = b"<Tagging><TagSet><Tag><Key>a</Key><Value>1</Value></Tag></TagSet></Tagging>";
    let proven = [("content-md5", "ygxpoiUw4ExsUsHRCTjifw==")];
    let set = call(&world, &mut client, ("PUT", "/bucket/small?tagging"), &proven, tags).await;
    assert_eq!(set.status, 200, "{}", set.text());
    assert!(
        call(&world, &mut client, ("GET", "/bucket/small?tagging"), &[], b"")
            .await
            .text()
            .contains("<Key>a<")
    );
    assert_eq!(call(&world, &mut client, ("GET", "/bucket/small?acl"), &[], b"").await.status, 200);
    opens_with_mine_alone(&world, &mut client, "/bucket/small", "secret").await;
    assert!(call(&world, &mut client, ("GET", "/bucket"), &[], b"").await.text().contains("<Key>small<"));
    // A plain object has no key to open.
    shows_none(&call(&world, &mut client, ("PUT", "/bucket/plain"), &[], b"x").await);
    let refused = call(&world, &mut client, ("GET", "/bucket/plain"), &MINE, b"").await;
    assert_eq!((refused.status, refused.code()), (400, "InvalidRequest"));
    assert_eq!(call(&world, &mut client, ("DELETE", "/bucket/small"), &[], b"").await.status, 204);
}

#[tokio::test]
async fn what_is_wrong_with_a_key_is_refused_in_s3s_words() {
    let world = World::new().await;
    let mut client = world.with_bucket().await;
    let with = |at: usize, value: &'static str| {
        let mut headers = MINE;
        headers[at].1 = value;
        headers.to_vec()
    };
    let without = |at: usize| {
        let mut headers = MINE.to_vec();
        headers.remove(at);
        headers
    };
    let both = [MINE[0], MINE[1], MINE[2], (SSE, "AES256")].to_vec();
    for (headers, code) in [
        (with(0, "AES128"), "InvalidEncryptionAlgorithmError"),
        (with(1, "c2hvcnQ="), "InvalidArgument"),
        (with(2, "AAAAAAAAAAAAAAAAAAAAAA=="), "InvalidArgument"),
        (without(0), "InvalidArgument"),
        (without(1), "InvalidArgument"),
        (without(2), "InvalidArgument"),
        (both, "InvalidArgument"),
    ] {
        let refused = call(&world, &mut client, ("PUT", "/bucket/k"), &headers, b"x").await;
        assert_eq!((refused.status, refused.code()), (400, code), "{headers:?}");
        assert!(!refused.text().contains(KEY));
    }
    let in_url = format!("/bucket/k?{CUSTOMER_KEY}=k");
    let refused = call(&world, &mut client, ("PUT", &in_url), &[], b"x").await;
    assert_eq!((refused.status, refused.code()), (400, "InvalidArgument"));
    assert_eq!(call(&world, &mut client, ("GET", "/bucket/k"), &[], b"").await.status, 404);
}

#[tokio::test]
async fn uploads_in_parts_forms_and_links_carry_keys() {
    let world = World::new().await;
    let mut client = world.with_bucket().await;
    let begun = call(&world, &mut client, ("POST", "/bucket/parts?uploads"), &MINE, b"").await;
    shows_mine(&begun);
    let text = begun.text().to_owned();
    let upload = text.split("<UploadId>").nth(1).and_then(|rest| rest.split('<').next()).unwrap_or_default();
    let part = format!("/bucket/parts?partNumber=1&uploadId={upload}");
    for brought in [&[][..], &THEIRS] {
        let refused = call(&world, &mut client, ("PUT", &part), brought, b"x").await;
        assert_eq!((refused.status, refused.code()), (400, "InvalidRequest"));
    }
    let sent = call(&world, &mut client, ("PUT", &part), &MINE, b"part").await;
    shows_mine(&sent);
    let etag = sent.header("etag").unwrap_or_default().to_owned();
    let list = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part></CompleteMultipartUpload>"
    );
    let path = format!("/bucket/parts?uploadId={upload}");
    let listed = call(&world, &mut client, ("GET", &path), &[], b"").await;
    assert!(
        listed.text().contains("<PartNumber>1<") && !listed.text().contains("Checksum"),
        "{}",
        listed.text()
    );
    // Again with a key that is not the upload's: nothing says that it was compared, for it was not.
    for brought in [&[][..], &THEIRS] {
        let done = call(&world, &mut client, ("POST", &path), brought, list.as_bytes()).await;
        assert!(done.status == 200 && done.header(SSE).is_none() && done.header(ALGORITHM) == Some("AES256"));
        assert!(done.header(CUSTOMER_MD5).is_none() && !done.text().contains("Checksum"), "{}", done.text());
    }
    opens_with_mine_alone(&world, &mut client, "/bucket/parts", "part").await;

    let conditions = r#",["starts-with","$key",""],["starts-with","$x-amz-server-side-encryption-customer-algorithm",""],
        ["starts-with","$x-amz-server-side-encryption-customer-key",""],
        ["starts-with","$x-amz-server-side-encryption-customer-key-md5",""]"#;
    let fields = forms::signed(&world, conditions);
    let body = forms::form(&fields, &[("key", "form"), MINE[0], MINE[1], MINE[2]], b"by a form");
    let head = format!(
        "POST /bucket HTTP/1.1\r\nhost: {{host}}\r\ncontent-type: multipart/form-data; boundary=frontier\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    client.send_text(&head).await;
    client.send(&body).await;
    let posted = client.answer().await;
    assert!(posted.is_some_and(|answer| answer.status == 204 && answer.header(CUSTOMER_MD5) == Some(MD5)));
    opens_with_mine_alone(&world, &mut client, "/bucket/form", "by a form").await;

    client.send(&world.presigned((Who::Root, 1), ("GET", "/bucket/form"), &MINE)).await;
    let linked = client.answer().await;
    assert!(linked.is_some_and(|answer| answer.status == 200 && answer.text() == "by a form"));
}

/// A completion needs no key, and what it says before it is done is said of the upload.
#[tokio::test]
async fn a_long_completion_says_whose_key_it_is() {
    let world = World::new().await;
    let mut client = world.with_bucket().await;
    let (path, document) = crate::late::one_part_of(&world, &mut client, &MINE).await;
    world.gate.set_commits_open(false);
    client.send(&world.signed("POST", &path, &[], document.as_bytes())).await;
    let answer = crate::while_time_passes(&world, client.head()).await;
    world.gate.set_commits_open(true);
    assert!(answer.is_some_and(|answer| {
        answer.header("transfer-encoding") == Some("chunked")
            && answer.header(ALGORITHM) == Some("AES256")
            && answer.header(SSE).is_none()
    }));
    while !client.chunk().await.is_empty() {}
}

#[tokio::test]
async fn copies_take_keys_for_both_ends() {
    let world = World::new().await;
    let mut client = world.with_bucket().await;
    let source = ("x-amz-copy-source", "/bucket/k");
    shows_mine(&call(&world, &mut client, ("PUT", "/bucket/k"), &MINE, b"secret").await);
    let refused = call(&world, &mut client, ("PUT", "/bucket/c"), &[source], b"").await;
    assert_eq!((refused.status, refused.code()), (400, "InvalidRequest"));
    let plain: Vec<_> = OF_SOURCE.into_iter().chain([source]).collect();
    shows_none(&call(&world, &mut client, ("PUT", "/bucket/plain"), &plain, b"").await);
    let read = call(&world, &mut client, ("GET", "/bucket/plain"), &[], b"").await;
    assert_eq!((read.text(), read.header("etag")), ("secret", Some("\"5ebe2294ecd0e0f08eab7690d2a6ee69\"")));
    let back: Vec<_> = MINE.into_iter().chain([("x-amz-copy-source", "/bucket/plain")]).collect();
    let made = call(&world, &mut client, ("PUT", "/bucket/again"), &back, b"").await;
    shows_mine(&made);
    opens_with_mine_alone(&world, &mut client, "/bucket/again", "secret").await;
}

#[tokio::test]
async fn policies_see_whether_a_key_comes_along_and_a_bucket_can_block_them() {
    let world = World::new().await;
    let mut client = world.with_bucket().await;
    let policy = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"s3:PutObject",
        "Resource":"arn:aws:s3:::bucket/*",
        "Condition":{"Null":{"s3:x-amz-server-side-encryption-customer-algorithm":"true"}}}]}"#;
    let set = call(&world, &mut client, ("PUT", "/bucket?policy"), &[], policy.as_bytes()).await;
    assert_eq!(set.status, 204, "{}", set.text());
    let denied = call(&world, &mut client, ("PUT", "/bucket/k"), &[], b"x").await;
    assert_eq!((denied.status, denied.code()), (403, "AccessDenied"));
    shows_mine(&call(&world, &mut client, ("PUT", "/bucket/k"), &MINE, b"x").await);
    assert_eq!(call(&world, &mut client, ("DELETE", "/bucket?policy"), &[], b"").await.status, 204);
    let blocks = b"<ServerSideEncryptionConfiguration><Rule><BlockedEncryptionTypes><EncryptionType>SSE-C</EncryptionType>\
        </BlockedEncryptionTypes></Rule></ServerSideEncryptionConfiguration>";
    let set = call(&world, &mut client, ("PUT", "/bucket?encryption"), &[], blocks).await;
    assert_eq!(set.status, 200, "{}", set.text());
    let denied = call(&world, &mut client, ("PUT", "/bucket/k"), &MINE, b"x").await;
    assert_eq!((denied.status, denied.code()), (403, "AccessDenied"));
    shows_mine(&call(&world, &mut client, ("GET", "/bucket/k"), &MINE, b"").await);
}
