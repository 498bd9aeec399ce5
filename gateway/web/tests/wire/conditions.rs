//! Conditional requests on the wire: entity tags in lists, weak tags, `*`, dates, on reads, writes, deletes and the sources of
//! copies.

#![expect(clippy::unwrap_used, reason = "a test's world fails loudly")]

use crate::world::{Client, World};

/// The tag of "hello".
const TAG: &str = "\"5d41402abc4b2a76b9719d911017c592\"";
const WEAK: &str = "W/\"5d41402abc4b2a76b9719d911017c592\"";
const BARE: &str = "5d41402abc4b2a76b9719d911017c592";
const OTHER: &str = "\"00000000000000000000000000000000\"";
const LIST: &str = "\"00000000000000000000000000000000\", \"5d41402abc4b2a76b9719d911017c592\"";
const BEFORE: &str = "Mon, 13 Nov 2023 22:13:20 GMT";
/// When the test's clock stands, and every object is written.
const AT: &str = "Tue, 14 Nov 2023 22:13:20 GMT";

const MATCH: &str = "if-match";
const NONE: &str = "if-none-match";
const SINCE: &str = "if-modified-since";
const UNTIL: &str = "if-unmodified-since";

struct Asker {
    world: World,
    client: Client,
}

impl Asker {
    async fn new() -> Self {
        let world = World::new().await;
        let client = world.connect().await;
        let mut asker = Self { world, client };
        assert_eq!(asker.ask("PUT", "/bucket", &[], b"").await, (200, String::new()));
        assert_eq!(asker.ask("PUT", "/bucket/k", &[], b"hello").await, (200, String::new()));
        asker
    }

    /// Status, and the code of an error that has a document.
    async fn ask(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> (u16, String) {
        self.client.send(&self.world.signed(method, path, headers, body)).await;
        let answer = if method == "HEAD" {
            self.client.answer_to_head().await.unwrap()
        } else {
            self.client.answer().await.unwrap()
        };
        if answer.status == 304 {
            assert_eq!((answer.header("etag"), answer.header("last-modified")), (Some(TAG), Some(AT)));
        }
        let code =
            if answer.status >= 400 && method != "HEAD" { answer.code().to_owned() } else { String::new() };
        (answer.status, code)
    }
}

#[tokio::test]
async fn reads_are_conditional_as_rfc_9110_has_it() {
    let mut asker = Asker::new().await;
    for (headers, status) in [
        (&[(MATCH, TAG)][..], 200),
        (&[(MATCH, BARE)], 200),
        (&[(MATCH, LIST)], 200),
        (&[(MATCH, "*")], 200),
        (&[(MATCH, OTHER)], 412),
        (&[(MATCH, WEAK)], 412),
        (&[(MATCH, "")], 412),
        (&[(MATCH, OTHER), (MATCH, TAG)], 200),
        (&[(NONE, TAG)], 304),
        (&[(NONE, WEAK)], 304),
        (&[(NONE, LIST)], 304),
        (&[(NONE, "*")], 304),
        (&[(NONE, OTHER)], 200),
        (&[(NONE, OTHER), (NONE, TAG)], 304),
        (&[(SINCE, AT)], 304),
        (&[(SINCE, BEFORE)], 200),
        (&[(SINCE, "soon")], 200),
        (&[(UNTIL, AT)], 200),
        (&[(UNTIL, BEFORE)], 412),
        (&[(UNTIL, "soon")], 200),
        // The tag decides where both are given.
        (&[(MATCH, TAG), (UNTIL, BEFORE)], 200),
        (&[(MATCH, OTHER), (UNTIL, AT)], 412),
        (&[(NONE, TAG), (SINCE, BEFORE)], 304),
        (&[(NONE, OTHER), (SINCE, AT)], 200),
        (&[(MATCH, TAG), (NONE, TAG)], 304),
        (&[(MATCH, OTHER), (NONE, TAG)], 412),
    ] {
        for method in ["GET", "HEAD"] {
            let (answered, _) = asker.ask(method, "/bucket/k", headers, b"").await;
            assert_eq!(answered, status, "{method} {headers:?}");
        }
    }
    // What is not there matches nothing, and is not there.
    assert_eq!(asker.ask("GET", "/bucket/none", &[(MATCH, "*")], b"").await, (404, "NoSuchKey".to_owned()));
    assert_eq!(asker.ask("GET", "/bucket/none", &[(NONE, "*")], b"").await.0, 404);
}

#[tokio::test]
async fn a_download_goes_on_only_within_the_same_object() {
    const RANGE: (&str, &str) = ("range", "bytes=1-2");
    const BEYOND: (&str, &str) = ("range", "bytes=5-");
    let mut asker = Asker::new().await;
    for (range, known, status) in [
        (RANGE, TAG, 206),
        (RANGE, BARE, 206),
        (RANGE, AT, 206),
        (RANGE, OTHER, 200),
        (RANGE, WEAK, 200),
        (RANGE, BEFORE, 200),
        (RANGE, "nonsense", 200),
        (BEYOND, TAG, 416),
        // Of another object there is no range that could be beyond it.
        (BEYOND, OTHER, 200),
        (("range", "nonsense"), OTHER, 200),
    ] {
        for method in ["GET", "HEAD"] {
            let headers = [range, ("if-range", known)];
            assert_eq!(asker.ask(method, "/bucket/k", &headers, b"").await.0, status, "{method} {headers:?}");
        }
    }
}

#[tokio::test]
async fn writes_and_deletes_are_conditional_on_what_is_there() {
    let mut asker = Asker::new().await;
    for (method, path, headers, status, code) in [
        ("PUT", "/bucket/k", &[(NONE, "*")][..], 412, "PreconditionFailed"),
        ("PUT", "/bucket/k", &[(NONE, TAG)], 412, "PreconditionFailed"),
        ("PUT", "/bucket/k", &[(NONE, OTHER), (NONE, WEAK)], 412, "PreconditionFailed"),
        ("PUT", "/bucket/k", &[(MATCH, OTHER)], 412, "PreconditionFailed"),
        ("PUT", "/bucket/k", &[(MATCH, WEAK)], 412, "PreconditionFailed"),
        ("PUT", "/bucket/k", &[(MATCH, TAG), (NONE, "*")], 501, "NotImplemented"),
        ("PUT", "/bucket/none", &[(MATCH, "*")], 404, "NoSuchKey"),
        ("PUT", "/bucket/none", &[(MATCH, TAG)], 404, "NoSuchKey"),
        ("PUT", "/bucket/k", &[(MATCH, LIST)], 200, ""),
        ("PUT", "/bucket/k", &[(MATCH, "*")], 200, ""),
        ("PUT", "/bucket/k", &[(NONE, OTHER)], 200, ""),
        ("PUT", "/bucket/new", &[(NONE, "*")], 200, ""),
        ("PUT", "/bucket/new2", &[(NONE, TAG)], 200, ""),
        ("DELETE", "/bucket/k", &[(MATCH, OTHER)], 412, "PreconditionFailed"),
        ("DELETE", "/bucket/k", &[(MATCH, WEAK)], 412, "PreconditionFailed"),
        ("DELETE", "/bucket/k", &[(NONE, "*")], 501, "NotImplemented"),
        ("DELETE", "/bucket/none", &[(MATCH, "*")], 404, "NoSuchKey"),
        ("DELETE", "/bucket/k", &[(MATCH, LIST)], 204, ""),
        ("DELETE", "/bucket/k", &[(MATCH, "*")], 404, "NoSuchKey"),
        ("PUT", "/bucket/k", &[(NONE, "*")], 200, ""),
        ("DELETE", "/bucket/k", &[(MATCH, "*")], 204, ""),
    ] {
        let body: &[u8] = if method == "PUT" { b"hello" } else { b"" };
        let answered = asker.ask(method, path, headers, body).await;
        assert_eq!(answered, (status, code.to_owned()), "{method} {path} {headers:?}");
    }
}

#[tokio::test]
async fn a_copy_is_conditional_on_its_source_and_on_its_destination() {
    const SOURCE: (&str, &str) = ("x-amz-copy-source", "/bucket/k");
    const SOURCE_MATCH: &str = "x-amz-copy-source-if-match";
    const SOURCE_NONE: &str = "x-amz-copy-source-if-none-match";
    const SOURCE_SINCE: &str = "x-amz-copy-source-if-modified-since";
    const SOURCE_UNTIL: &str = "x-amz-copy-source-if-unmodified-since";
    let mut asker = Asker::new().await;
    assert_eq!(asker.ask("PUT", "/other", &[], b"").await.0, 200);
    let begun = {
        asker.client.send(&asker.world.signed("POST", "/other/parts?uploads=", &[], b"")).await;
        asker.client.answer().await.unwrap()
    };
    let id = begun.text().split("<UploadId>").nth(1).unwrap().split('<').next().unwrap().to_owned();
    let part = format!("/other/parts?partNumber=1&uploadId={id}");
    for (headers, status) in [
        (&[SOURCE, (SOURCE_MATCH, TAG)][..], 200),
        (&[SOURCE, (SOURCE_MATCH, LIST)], 200),
        (&[SOURCE, (SOURCE_MATCH, OTHER)], 412),
        (&[SOURCE, (SOURCE_MATCH, WEAK)], 412),
        (&[SOURCE, (SOURCE_NONE, OTHER)], 200),
        (&[SOURCE, (SOURCE_NONE, TAG)], 412),
        (&[SOURCE, (SOURCE_NONE, "*")], 412),
        (&[SOURCE, (SOURCE_SINCE, BEFORE)], 200),
        (&[SOURCE, (SOURCE_SINCE, AT)], 412),
        (&[SOURCE, (SOURCE_UNTIL, AT)], 200),
        (&[SOURCE, (SOURCE_UNTIL, BEFORE)], 412),
        // The two pairs that S3 documents.
        (&[SOURCE, (SOURCE_MATCH, TAG), (SOURCE_UNTIL, BEFORE)], 200),
        (&[SOURCE, (SOURCE_NONE, TAG), (SOURCE_SINCE, BEFORE)], 412),
    ] {
        // Within the bucket, to another one, and as a part.
        for path in ["/bucket/copy", "/other/copy", part.as_str()] {
            let (answered, code) = asker.ask("PUT", path, headers, b"").await;
            let expected = if status == 412 { "PreconditionFailed" } else { "" };
            assert_eq!((answered, code.as_str()), (status, expected), "{path} {headers:?}");
        }
    }
    for (headers, status) in [
        (&[SOURCE, (NONE, "*")][..], 412),
        (&[SOURCE, (MATCH, OTHER)], 412),
        (&[SOURCE, (MATCH, TAG)], 200),
        (&[SOURCE, (NONE, OTHER)], 200),
    ] {
        assert_eq!(asker.ask("PUT", "/bucket/copy", headers, b"").await.0, status, "{headers:?}");
    }
}

#[tokio::test]
async fn a_condition_given_twice_guards_twice() {
    let mut asker = Asker::new().await;
    for name in [SINCE, UNTIL, "content-md5", "content-type", "x-amz-mp-object-size"] {
        let twice = [(name, AT), (name, BEFORE)];
        let (status, code) = asker.ask("PUT", "/bucket/twice", &twice, b"hello").await;
        let read = asker.ask("GET", "/bucket/k", &twice, b"").await;
        match name {
            SINCE | UNTIL => assert_eq!(read, (400, "InvalidArgument".to_owned()), "{name}"),
            _ => assert_eq!(status, 400, "{name} {code}"),
        }
    }
}

#[tokio::test]
async fn a_copy_names_what_its_source_lacks() {
    let world = World::new().await;
    let mut client = world.connect().await;
    client.send(&world.signed("PUT", "/bucket", &[], b"")).await;
    assert_eq!(client.answer().await.unwrap().status, 200);
    client.send(&world.signed("POST", "/bucket/cp?uploads", &[], b"")).await;
    let begun = client.answer().await.unwrap();
    let begun = String::from_utf8(begun.body).unwrap();
    let upload = begun.split_once("<UploadId>").unwrap().1.split_once('<').unwrap().0;
    let part = format!("/bucket/cp?partNumber=1&uploadId={upload}");
    for target in ["/bucket/cp", &part] {
        for (source, code, named) in [
            ("/nobody/a", "NoSuchBucket", "<BucketName>nobody</BucketName>"),
            ("/bucket/nokey", "NoSuchKey", "<Key>nokey</Key>"),
        ] {
            client.send(&world.signed("PUT", target, &[("x-amz-copy-source", source)], b"")).await;
            let refused = client.answer().await.unwrap();
            let said = String::from_utf8_lossy(&refused.body).into_owned();
            assert_eq!(refused.code(), code, "{said}");
            assert!(said.contains(named), "{said}");
        }
    }
    // A target that is not there is named as ever.
    client.send(&world.signed("PUT", "/nowhere/cp", &[("x-amz-copy-source", "/bucket/nokey")], b"")).await;
    let refused = client.answer().await.unwrap();
    let said = String::from_utf8_lossy(&refused.body).into_owned();
    assert!(refused.code() != "NoSuchBucket" || said.contains("<BucketName>nowhere<"), "{said}");
}
