//! Browser uploads: forms with a policy, and what they get.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail loudly")]

use crate::world::{ACCESS_KEY, Answer, Client, SECRET_KEY, World, call};
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use engine::clock::Clock as _;
use security::AmzDate;

fn sha256(key: &[u8], data: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), data.as_bytes()).as_ref().to_vec()
}

/// The fields of a form whose policy has these conditions besides bucket and signature.
pub(crate) fn signed(world: &World, conditions: &str) -> Vec<(String, String)> {
    let date = AmzDate::from_timestamp(world.clock.now());
    let scope = format!("{}/us-east-1/s3/aws4_request", date.day());
    let credential = format!("{ACCESS_KEY}/{scope}");
    let policy = format!(
        r#"{{"expiration":"9999-01-01T00:00:00Z","conditions":[{{"bucket":"bucket"}},
           {{"x-amz-algorithm":"AWS4-HMAC-SHA256"}},{{"x-amz-credential":"{credential}"}},{{"x-amz-date":"{}"}}{conditions}]}}"#,
        date.as_str()
    );
    let policy = STANDARD.encode(policy);
    let mut key = format!("AWS4{SECRET_KEY}").into_bytes();
    for step in scope.split('/') {
        key = sha256(&key, step);
    }
    let signature = hex::encode(sha256(&key, &policy));
    [
        ("x-amz-algorithm", "AWS4-HMAC-SHA256"),
        ("x-amz-credential", &credential),
        ("x-amz-date", date.as_str()),
        ("policy", &policy),
        ("x-amz-signature", &signature),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec()
}

pub(crate) fn form(fields: &[(String, String)], more: &[(&str, &str)], file: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    let all = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).chain(more.iter().copied());
    for (name, value) in all {
        let part =
            format!("--frontier\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
        body.extend_from_slice(part.as_bytes());
    }
    body.extend_from_slice(
        b"--frontier\r\nContent-Disposition: form-data; name=\"file\"; filename=\"C:\\dir\\a b.txt\"\r\n\
          Content-Type: ignored/here\r\n\r\n",
    );
    body.extend_from_slice(file);
    body.extend_from_slice(b"\r\n--frontier--\r\n");
    body
}

pub(crate) async fn post(client: &mut Client, body: &[u8]) -> Answer {
    let head = format!(
        "POST /bucket HTTP/1.1\r\nhost: {{host}}\r\ncontent-type: multipart/form-data; boundary=frontier\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    client.send_text(&head).await;
    client.send(body).await;
    client.answer().await.unwrap()
}

#[tokio::test]
async fn a_signed_form_stores_its_file_with_what_its_fields_say() {
    let world = World::new().await;
    let mut client = world.with_bucket().await;
    let conditions = r#",["starts-with","$key","up/"],["starts-with","$Content-Type","text/"],{"acl":"bucket-owner-full-control"},
        ["starts-with","$x-amz-meta-colour",""],["starts-with","$x-amz-checksum-crc32",""],
        {"success_action_status":"201"},["content-length-range",1,2000000]"#;
    let fields = signed(&world, conditions);
    // Larger than what is kept inline and than one piece of the body.
    let file: Vec<u8> = (0..1_500_000_u32).map(|n| n.to_le_bytes()[0] ^ n.to_le_bytes()[1]).collect();
    let crc = objectstore::ChecksumValue::compute(objectstore::ChecksumAlgorithm::Crc32, &file).to_string();
    let more = [
        ("Key", "up/${filename}"),
        ("Content-Type", "text/plain"),
        ("acl", "bucket-owner-full-control"),
        ("x-amz-meta-colour", "blue"),
        ("x-amz-checksum-crc32", &crc),
        ("success_action_status", "201"),
        ("x-ignore-this", "1"),
    ];
    let stored = post(&mut client, &form(&fields, &more, &file)).await;
    assert_eq!(stored.status, 201, "{}", stored.text());
    for part in
        ["<PostResponse><Location>http://", "<Bucket>bucket</Bucket><Key>up/a b.txt</Key><ETag>&quot;"]
    {
        assert!(stored.text().contains(part), "{}", stored.text());
    }
    let location = stored.header("location").unwrap();
    assert!(location.ends_with("/bucket/up/a%20b.txt"), "{location}");
    let read = call(&world, &mut client, ("GET", "/bucket/up/a%20b.txt"), &[], b"").await;
    assert!(read.body == file, "the file's bytes");
    assert_eq!(read.header("etag"), stored.header("etag"));
    assert_eq!(
        (read.header("content-type"), read.header("x-amz-meta-colour")),
        (Some("text/plain"), Some("blue"))
    );

    let mut wrong = more;
    wrong[4].1 = "AAAAAA==";
    let refused = post(&mut client, &form(&fields, &wrong, &file)).await;
    assert_eq!((refused.status, refused.code()), (400, "BadDigest"));
    // Nothing comes behind a form.
    let fields = signed(&world, r#",["starts-with","$key",""],["starts-with","$x-amz-trailer",""]"#);
    let announced = [("key", "announced"), ("x-amz-trailer", "x-amz-checksum-crc32")];
    let refused = post(&mut client, &form(&fields, &announced, b"file")).await;
    assert_eq!((refused.status, refused.code()), (400, "InvalidRequest"), "{}", refused.text());
    assert!(refused.text().contains("none came behind"), "{}", refused.text());
}

#[tokio::test]
async fn a_form_brings_tags_as_a_document() {
    let world = World::new().await;
    let mut client = world.with_bucket().await;
    let fields = signed(&world, r#",["starts-with","$key",""],["starts-with","$tagging",""]"#);
    let tags = "<Tagging><TagSet><Tag><Key>a=b</Key><Value>1 +</Value></Tag></TagSet></Tagging>";
    let stored = post(&mut client, &form(&fields, &[("key", "k"), ("tagging", tags)], b"x")).await;
    assert_eq!(stored.status, 204, "{}", stored.text());
    let read = call(&world, &mut client, ("GET", "/bucket/k?tagging"), &[], b"").await;
    assert!(read.text().contains("<Tag><Key>a=b</Key><Value>1 +</Value></Tag>"), "{}", read.text());
    let broken = post(&mut client, &form(&fields, &[("key", "l"), ("tagging", "a=b")], b"x")).await;
    assert_eq!((broken.status, broken.code()), (400, "MalformedXML"));
}

#[tokio::test]
async fn success_is_said_as_the_form_asks() {
    let world = World::new().await;
    let mut client = world.with_bucket().await;
    let fields = signed(
        &world,
        r#",["starts-with","$key",""],["starts-with","$success_action_status",""],["starts-with","$success_action_redirect",""]"#,
    );
    for (asked, status) in [("200", 200), ("204", 204), ("404", 204), ("", 204)] {
        let more = [("key", "k"), ("success_action_status", asked)];
        let stored = post(&mut client, &form(&fields, &more, b"x")).await;
        assert_eq!((stored.status, stored.text()), (status, ""), "{asked}");
        assert!(stored.header("location").is_some_and(|url| url.ends_with("/bucket/k")));
        assert_eq!(stored.header("etag"), Some("\"9dd4e461268c8034f5c8564e155c67a6\""));
    }
    for (url, expected) in [
        (
            "https://a.example/done",
            Some("https://a.example/done?bucket=bucket&key=k%26&etag=%229dd4e461268c8034f5c8564e155c67a6%22"),
        ),
        (
            "http://a/?x=1",
            Some("http://a/?x=1&bucket=bucket&key=k%26&etag=%229dd4e461268c8034f5c8564e155c67a6%22"),
        ),
        ("javascript:alert(1)", None),
        ("/relative", None),
    ] {
        let more = [("key", "k&"), ("success_action_redirect", url)];
        let stored = post(&mut client, &form(&fields, &more, b"x")).await;
        assert_eq!(stored.status, if expected.is_some() { 303 } else { 204 }, "{url}");
        if expected.is_some() {
            assert_eq!(stored.header("location"), expected);
        }
    }
}

#[tokio::test]
async fn what_a_policy_does_not_allow_is_refused_and_nothing_is_stored() {
    let world = World::new().await;
    let mut client = world.with_bucket().await;
    let fields = signed(&world, r#",["starts-with","$key","up/"],["content-length-range",2,4]"#);
    for (more, file, code, words) in [
        (
            &[("key", "other")][..],
            &b"abc"[..],
            "AccessDenied",
            "Policy Condition failed: [&quot;starts-with&quot;, &quot;$key&quot;, &quot;up/&quot;]",
        ),
        (
            &[("key", "up/k"), ("x-amz-meta-a", "1")],
            b"abc",
            "AccessDenied",
            "Extra input fields: x-amz-meta-a",
        ),
        (&[], b"abc", "AccessDenied", "Policy Condition failed"),
        (&[("key", "up/k")], b"abcde", "EntityTooLarge", "<MaxSizeAllowed>4</MaxSizeAllowed>"),
        (&[("key", "up/k")], b"a", "EntityTooSmall", "<MinSizeAllowed>2</MinSizeAllowed>"),
        (&[("key", "up/k"), ("key", "up/l")], b"abc", "InvalidArgument", "more than once"),
    ] {
        let refused = post(&mut client, &form(&fields, more, file)).await;
        assert_eq!(
            (refused.status, refused.code()),
            (if code == "AccessDenied" { 403 } else { 400 }, code),
            "{more:?}"
        );
        assert!(refused.text().contains(words), "{}", refused.text());
    }
    for (at, value, status, code) in [
        (
            1,
            "AKIAXXXXXXXXXXXXXXXX/20260101/us-east-1/s3/aws4_request",
            400,
            "AuthorizationQueryParametersError",
        ),
        (3, "bm90aGluZw==", 403, "SignatureDoesNotMatch"),
        (4, "00", 403, "SignatureDoesNotMatch"),
    ] {
        let mut bad = fields.clone();
        value.clone_into(&mut bad[at].1);
        let refused = post(&mut client, &form(&bad, &[("key", "up/k")], b"abc")).await;
        assert_eq!((refused.status, refused.code()), (status, code), "{value}");
    }
    let anonymous = post(&mut client, &form(&[], &[("key", "up/k")], b"abc")).await;
    assert_eq!((anonymous.status, anonymous.code()), (403, "AccessDenied"));
    let old = [("key", "up/k"), ("AWSAccessKeyId", ACCESS_KEY), ("policy", "e30="), ("signature", "AAAA")];
    let old = post(&mut client, &form(&[], &old, b"abc")).await;
    assert_eq!((old.status, old.code()), (400, "InvalidRequest"));
    assert!(old.text().contains("Please use AWS4-HMAC-SHA256."));
    let any = signed(&world, "");
    let keyless = post(&mut client, &form(&any, &[], b"abc")).await;
    assert_eq!((keyless.status, keyless.code()), (400, "InvalidArgument"));
    assert!(
        keyless.text().contains("must contain a field named &apos;key&apos;")
            || keyless.text().contains("field named 'key'")
    );
    let listed = call(&world, &mut client, ("GET", "/bucket?list-type=2"), &[], b"").await;
    assert!(listed.text().contains("<KeyCount>0</KeyCount>"), "{}", listed.text());
}

#[tokio::test]
async fn what_is_no_form_is_refused_in_s3s_words() {
    let world = World::new().await;
    let mut client = world.with_bucket().await;
    let fields = signed(&world, r#",["starts-with","$key",""]"#);
    let whole = form(&fields, &[("key", "k")], b"abc");
    let text = String::from_utf8(whole.clone()).unwrap();
    let second = text.replace(
        "--frontier--",
        "--frontier\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nx\r\n--frontier--",
    );
    let huge = form(&fields, &[("key", "k"), ("x-ignore-a", &"a".repeat(20 << 10))], b"abc");
    for (body, code) in [
        (&whole[..whole.len() - 6], "MalformedPOSTRequest"),
        (b"hello", "MalformedPOSTRequest"),
        (b"--frontier--\r\n", "IncorrectNumberOfFilesInPostRequest"),
        (second.as_bytes(), "IncorrectNumberOfFilesInPostRequest"),
        (&huge, "MaxPostPreDataLengthExceededError"),
    ] {
        let refused = post(&mut client, body).await;
        assert_eq!((refused.status, refused.code()), (400, code));
    }
    client
        .send_text("POST /bucket HTTP/1.1\r\nhost: {host}\r\ncontent-type: text/plain\r\ncontent-length: 5\r\n\r\nhello")
        .await;
    let other = client.answer().await.unwrap();
    assert_eq!((other.status, other.code()), (412, "PreconditionFailed"));
    assert!(
        other
            .text()
            .contains("<Condition>Bucket POST must be of the enclosure-type multipart/form-data</Condition>")
    );
    let signed_head = call(&world, &mut client, ("POST", "/bucket"), &[], b"x").await;
    assert_eq!((signed_head.status, signed_head.code()), (403, "AccessDenied"));
    let nowhere = String::from_utf8(whole).unwrap();
    client
        .send_text(&format!(
            "POST /missing HTTP/1.1\r\nhost: {{host}}\r\ncontent-type: multipart/form-data; boundary=frontier\r\n\
             content-length: {}\r\n\r\n{nowhere}",
            nowhere.len()
        ))
        .await;
    let nowhere = client.answer().await.unwrap();
    assert_eq!((nowhere.status, nowhere.code()), (404, "NoSuchBucket"));
}

#[tokio::test]
async fn a_form_without_a_signature_may_what_the_buckets_list_grants() {
    let world = World::owned_by(objectstore::ObjectOwnership::ObjectWriter).await;
    let mut client = world.connect().await;
    let open = [("x-amz-acl", "public-read-write")];
    assert_eq!(call(&world, &mut client, ("PUT", "/bucket"), &open, b"").await.status, 200);
    let more = [("key", "${filename}"), ("acl", "public-read"), ("unheard-of", "1")];
    let stored = post(&mut client, &form(&[], &more, b"from nobody")).await;
    assert_eq!(stored.status, 204, "{}", stored.text());
    client.send_text("GET /bucket/a%20b.txt HTTP/1.1\r\nhost: {host}\r\n\r\n").await;
    assert_eq!(client.answer().await.unwrap().text(), "from nobody");
    let closed = [("x-amz-acl", "private"), ("content-length", "0")];
    assert_eq!(call(&world, &mut client, ("PUT", "/bucket?acl"), &closed, b"").await.status, 200);
    let refused = post(&mut client, &form(&[], &more, b"again")).await;
    assert_eq!((refused.status, refused.code()), (403, "AccessDenied"));
}

#[tokio::test]
async fn a_form_is_charged_to_whoever_signed_it() {
    let world = World::owned_by(objectstore::ObjectOwnership::ObjectWriter).await;
    let mut client = world.connect().await;
    let open = [("x-amz-acl", "public-read-write")];
    assert_eq!(call(&world, &mut client, ("PUT", "/bucket"), &open, b"").await.status, 200);
    let requester = b"<RequestPaymentConfiguration><Payer>Requester</Payer></RequestPaymentConfiguration>";
    let set = call(&world, &mut client, ("PUT", "/bucket?requestPayment"), &[], requester).await;
    assert_eq!(set.status, 200);
    let pays = [("key", "k"), ("x-amz-request-payer", "requester")];
    let nobody = post(&mut client, &form(&[], &pays, b"x")).await;
    assert_eq!((nobody.status, nobody.code()), (403, "AccessDenied"));
    let fields = signed(&world, r#",["starts-with","$key",""]"#);
    let owner = post(&mut client, &form(&fields, &[("key", "k")], b"x")).await;
    assert_eq!((owner.status, owner.header("x-amz-request-charged")), (204, None), "{}", owner.text());
}
