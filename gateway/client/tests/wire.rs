//! The client against a server that answers what the test says, connection by connection.

#![expect(clippy::unwrap_used, reason = "a test")]

use bytes::Bytes;
use client::{Client, Crc64, Credentials, Endpoint, ErrorKind, List, ObjectRef, PutOptions, Settings};
use engine::clock::{Clock, SystemClock, Timestamp};
use engine::entropy::SeededEntropy;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Answers one request per connection with the given bytes, and hands the requests back.
async fn scripted(answers: Vec<String>) -> (Client, JoinHandle<Vec<String>>) {
    let (settings, served) = scripted_at(answers).await;
    (Client::new(settings, Arc::new(SystemClock), Arc::new(SeededEntropy::new(1))).unwrap(), served)
}

/// The same, for a client that is made otherwise.
async fn scripted_at(answers: Vec<String>) -> (Settings, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let served = tokio::spawn(async move {
        let mut requests = Vec::new();
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.windows(4).any(|window| window == b"\r\n\r\n") {
                assert!(stream.read_buf(&mut request).await.unwrap() > 0, "the request ended early");
            }
            stream.write_all(answer.as_bytes()).await.unwrap();
            requests.push(String::from_utf8_lossy(&request).to_ascii_lowercase());
        }
        requests
    });
    let credentials = Credentials {
        access_key_id: "AKIAIOSFODNN7EXAMPLE".to_owned(),
        secret_access_key: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned(),
        session_token: None,
    };
    let endpoint = Endpoint::parse(&format!("http://{address}")).unwrap();
    let mut settings = Settings::new(endpoint, "us-east-1", Some(credentials));
    settings.retries.attempts_max = 3;
    settings.retries.first = Duration::ZERO;
    (settings, served)
}

/// An answer, with S3's id of the request where it is about an object.
fn answer(status: &str, headers: &str, length: usize, body: &str) -> String {
    let id = if headers.contains("etag: ") { S3 } else { "" };
    bare(status, &format!("{id}{headers}"), length, body)
}

fn bare(status: &str, headers: &str, length: usize, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n{headers}\r\n{body}")
}

fn slow_down() -> String {
    let body = "<Error><Code>SlowDown</Code><Message>later</Message></Error>";
    answer("503 Slow Down", "", body.len(), body)
}

/// What S3's answers to HEAD of a bucket have, and a portal's don't.
const S3: &str = "x-amz-request-id: R\r\n";
const OBJECT: ObjectRef<'static> = ObjectRef::latest("bucket", "key");

async fn read(client: &Client) -> client::Result<Vec<u8>> {
    let mut download = client.get_object(&OBJECT, None, None).await?;
    let mut bytes = Vec::new();
    while let Some(data) = download.next().await? {
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}

#[tokio::test]
async fn what_may_pass_is_tried_again_and_signed_anew() {
    let ok = answer("200 OK", "etag: \"e\"\r\n", 0, "");
    let (client, served) = scripted(vec![slow_down(), slow_down(), ok]).await;
    let put = client.put_object("bucket", "key", "body".into(), &PutOptions::default()).await.unwrap();
    assert_eq!(put.etag, "e");
    let requests = served.await.unwrap();
    assert_eq!(requests.len(), 3);
    for request in requests {
        assert!(request.starts_with("put /bucket/key http/1.1\r\n"), "{request}");
        assert!(request.contains("authorization: aws4-hmac-sha256 credential="), "{request}");
        assert!(request.contains("x-amz-checksum-crc64nvme: "), "{request}");
    }
}

#[tokio::test]
async fn attempts_end_and_final_answers_are_not_repeated() {
    let (client, served) = scripted(vec![slow_down(), slow_down(), slow_down()]).await;
    let error = client.head_bucket("bucket").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(served.await.unwrap().len(), 3);

    let (client, served) = scripted(vec![answer("404 Not Found", "", 0, "")]).await;
    let error = client.head_object(&OBJECT).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::NotFound, Some("NoSuchKey")));
    assert_eq!(served.await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_broken_download_goes_on_where_it_stopped_pinned_to_the_same_version() {
    let crc = Crc64::of(b"hello world").to_header();
    let headers = format!("etag: \"e\"\r\nx-amz-checksum-crc64nvme: {crc}\r\n");
    let first = answer("200 OK", &headers, 11, "hello ");
    let rest = answer("206 Partial Content", "etag: \"e\"\r\ncontent-range: bytes 6-10/11\r\n", 5, "world");
    let (client, served) = scripted(vec![first, rest]).await;
    assert_eq!(read(&client).await.unwrap(), b"hello world");
    let second = &served.await.unwrap()[1];
    assert!(second.contains("range: bytes=6-10\r\n") && second.contains("if-match: \"e\"\r\n"), "{second}");
}

#[tokio::test]
async fn the_attempts_to_go_on_are_those_of_one_call() {
    let first = answer("200 OK", "etag: \"e\"\r\n", 11, "hello ");
    let rest = answer("206 Partial Content", "etag: \"e\"\r\ncontent-range: bytes 6-10/11\r\n", 5, "world");
    let (client, _served) = scripted(vec![first, slow_down(), slow_down(), slow_down(), rest]).await;
    let error = read(&client).await.unwrap_err();
    assert_eq!(error.code(), Some("SlowDown"), "three attempts, and no round more of them: {error}");
}

#[tokio::test]
async fn what_a_broken_download_goes_on_with_is_what_was_asked_for() {
    for rest in [
        answer("206 Partial Content", "etag: \"e\"\r\ncontent-range: bytes 5-9/11\r\n", 5, "other"),
        answer("206 Partial Content", "etag: \"e\"\r\ncontent-range: bytes 6-10/12\r\n", 5, "other"),
        answer("200 OK", "etag: \"e\"\r\n", 11, "hello world"),
    ] {
        let first = answer("200 OK", "etag: \"e\"\r\n", 11, "hello ");
        let (client, _served) = scripted(vec![first, rest.clone()]).await;
        let error = read(&client).await.unwrap_err();
        assert!(error.to_string().contains("another range"), "{error}: {rest}");
    }
    // From the start on, too.
    let other = answer("206 Partial Content", "etag: \"e\"\r\ncontent-range: bytes 3-5/11\r\n", 3, "abc");
    let (client, _served) = scripted(vec![other]).await;
    let error = client.get_object(&OBJECT, Some(2..5), None).await.unwrap_err();
    assert!(error.to_string().contains("another range"), "{error}");
}

#[tokio::test]
async fn a_body_longer_than_its_range_is_an_error() {
    let headers = "etag: \"e\"\r\ncontent-range: bytes 0-4/11\r\n";
    let (client, _served) = scripted(vec![answer("206 Partial Content", headers, 8, "hello wo")]).await;
    let mut download = client.get_object(&OBJECT, Some(0..5), None).await.unwrap();
    assert!(download.next().await.unwrap_err().to_string().contains("longer than it says"));
}

#[tokio::test]
async fn a_server_error_without_a_document_is_tried_again() {
    for status in
        ["429 Too Many Requests", "500 Internal Server Error", "502 Bad Gateway", "504 Gateway Timeout"]
    {
        let ok = answer("200 OK", S3, 0, "");
        let (client, served) = scripted(vec![answer(status, "", 5, "sorry"), ok]).await;
        client.head_bucket("bucket").await.unwrap();
        assert_eq!(served.await.unwrap().len(), 2, "{status}");
    }
}

#[tokio::test]
async fn all_pages_of_parts_are_read() {
    let page = |number: u32, rest: &str| {
        let body = format!(
            "<ListPartsResult>{rest}<Part><PartNumber>{number}</PartNumber><Size>5</Size><ETag>\"e\"</ETag></Part>\
             </ListPartsResult>"
        );
        answer("200 OK", "", body.len(), &body)
    };
    let more = "<IsTruncated>true</IsTruncated><NextPartNumberMarker>1</NextPartNumberMarker>";
    let (client, served) = scripted(vec![page(1, more), page(2, "<IsTruncated>false</IsTruncated>")]).await;
    let upload = client::OpenUpload {
        bucket: "bucket".to_owned(),
        key: "key".to_owned(),
        upload_id: "id".to_owned(),
        with_crc64: false,
    };
    let parts = client.list_parts(&upload).await.unwrap();
    assert_eq!(parts.iter().map(|part| part.number).collect::<Vec<_>>(), [1, 2]);
    assert!(served.await.unwrap()[1].contains("part-number-marker=1"));
    let (client, _served) = scripted(vec![page(1, more), page(1, more)]).await;
    let error = client.list_parts(&upload).await.unwrap_err();
    assert!(error.to_string().contains("in circles"), "{error}");
    // Always another page, and always further on.
    let many = |first: u32| {
        let part =
            |n: u32| format!("<Part><PartNumber>{n}</PartNumber><Size>5</Size><ETag>\"e\"</ETag></Part>");
        let parts: String = (first..first + 1_000).map(part).collect();
        let last = first + 999;
        let body = format!(
            "<ListPartsResult><IsTruncated>true</IsTruncated><NextPartNumberMarker>{last}</NextPartNumberMarker>{parts}</ListPartsResult>"
        );
        answer("200 OK", "", body.len(), &body)
    };
    let (client, served) = scripted((0..11).map(|page| many(page * 1_000 + 1)).collect()).await;
    let error = client.list_parts(&upload).await.unwrap_err();
    assert!(error.to_string().contains("in circles"), "{error}");
    assert_eq!(served.await.unwrap().len(), 11);
}

#[tokio::test]
async fn a_part_is_copied_of_the_object_that_was_looked_at() {
    let upload = client::OpenUpload {
        bucket: "bucket".to_owned(),
        key: "key".to_owned(),
        upload_id: "id".to_owned(),
        with_crc64: false,
    };
    let body = "<CopyPartResult><ETag>\"p\"</ETag></CopyPartResult>";
    for (etag, is_bound) in [("e", true), ("", false)] {
        let (client, served) = scripted(vec![answer("200 OK", "", body.len(), body)]).await;
        let part = client.upload_part_copy(&upload, 1, (&OBJECT, etag), 0..5).await.unwrap();
        assert_eq!(part.etag, "p");
        let request = &served.await.unwrap()[0];
        assert_eq!(request.contains("x-amz-copy-source-if-match: \"e\"\r\n"), is_bound, "{request}");
        assert_eq!(request.contains("if-match"), is_bound, "{request}");
        assert!(request.contains("x-amz-copy-source-range: bytes=0-4\r\n"), "{request}");
    }
}

#[tokio::test]
async fn a_checksum_over_those_of_parts_is_not_taken_for_one_of_the_object() {
    let upload = client::OpenUpload {
        bucket: "bucket".to_owned(),
        key: "key".to_owned(),
        upload_id: "id".to_owned(),
        with_crc64: true,
    };
    let part = client::CompletedPart {
        number: 1,
        etag: "e".to_owned(),
        crc64: Some(Crc64::of(b"body")),
        verified: false,
        etag_is_md5: false,
    };
    let (crc, none) = (Crc64::of(b"body").to_header(), "AAAAAAAAAAA=".to_owned());
    for (kind, crc, proven) in [
        ("FULL_OBJECT", &crc, Some(true)),
        ("FULL_OBJECT", &none, None),
        ("COMPOSITE", &crc, Some(false)),
        ("COMPOSITE", &none, Some(false)),
    ] {
        let body = format!(
            "<CompleteMultipartUploadResult><ETag>\"x-1\"</ETag><ChecksumCRC64NVME>{crc}</ChecksumCRC64NVME>\
             <ChecksumType>{kind}</ChecksumType></CompleteMultipartUploadResult>"
        );
        let (client, _served) = scripted(vec![answer("200 OK", "", body.len(), &body)]).await;
        let done = client.complete_upload(&upload, std::slice::from_ref(&part), &options()).await;
        check(&format!("{kind} {crc}"), done.map(|done| done.verified), proven);
    }
}

#[tokio::test]
async fn a_link_lives_from_a_second_to_a_week() {
    let (client, _served) = scripted(vec![]).await;
    let week = Duration::from_hours(7 * 24);
    for (expires, fits) in [
        (Duration::ZERO, false),
        (Duration::from_secs(1), true),
        (week, true),
        (week + Duration::from_secs(1), false),
    ] {
        assert_eq!(client.presign_get(&OBJECT, expires).is_ok(), fits, "{expires:?}");
    }
}

#[tokio::test]
async fn bytes_that_do_not_match_their_checksum_are_an_error() {
    let crc = Crc64::of(b"hello").to_header();
    let headers = format!("etag: \"e\"\r\nx-amz-checksum-crc64nvme: {crc}\r\n");
    let (client, _served) = scripted(vec![answer("200 OK", &headers, 5, "hellO")]).await;
    assert_eq!(read(&client).await.unwrap_err().kind(), ErrorKind::Integrity);

    let etag = format!("etag: \"{}\"\r\n", client::md5_etag(b"hello"));
    let (client, _served) = scripted(vec![answer("200 OK", &etag, 5, "hellO")]).await;
    let mut download = client.get_object(&OBJECT, None, None).await.unwrap();
    while download.next().await.unwrap().is_some() {}
    assert!(!download.verified(), "not every ETag of that form is an MD5");
}

#[tokio::test]
async fn an_error_in_the_body_of_a_200_is_an_error() {
    let body = "<Error><Code>NoSuchKey</Code><Message>gone</Message></Error>";
    let (client, _served) = scripted(vec![answer("200 OK", "", body.len(), body)]).await;
    let error =
        client.copy_object((&OBJECT, None), "bucket", "copy", &PutOptions::default()).await.unwrap_err();
    assert_eq!(error.code(), Some("NoSuchKey"));
}

#[tokio::test]
async fn an_answer_in_xml_is_bounded() {
    let head = "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n".to_owned();
    let (client, _served) = scripted(vec![head + &"x".repeat((16 << 20) + 1)]).await;
    let error = client.list_buckets().await.unwrap_err();
    assert!(error.to_string().contains("longer than"), "{error}");
}

/// A second passes with each look at it, and nobody who waits is woken.
#[derive(Debug, Default)]
struct Hurried(AtomicU64);

impl Clock for Hurried {
    fn now(&self) -> Timestamp {
        SystemClock.now()
    }

    fn boottime(&self) -> Duration {
        Duration::from_secs(self.0.fetch_add(1, Ordering::Relaxed))
    }

    fn sleep(&self, _duration: Duration) -> futures_util::future::BoxFuture<'_, ()> {
        Box::pin(std::future::pending())
    }
}

#[tokio::test]
async fn an_answer_that_comes_a_byte_at_a_time_ends_though_each_byte_is_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = Endpoint::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let settings = Settings::new(endpoint, "us-east-1", None);
    let served = tokio::spawn(async move {
        for piece in ["1\r\nx\r\n".repeat(10_000), format!("{:x}\r\n{}\r\n", 3 << 20, "x".repeat(3 << 20))] {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                assert!(stream.read_buf(&mut request).await.unwrap() > 0);
            }
            let head = "HTTP/1.1 200 OK\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n";
            let answer = format!("{head}{piece}0\r\n\r\n");
            // Who gave it up has closed the connection.
            drop(stream.write_all(answer.as_bytes()).await);
        }
    });
    let wire = client::Wire::new(&settings, Arc::new(Hurried::default())).unwrap();
    let ask = || http::Request::get(format!("{}/bucket/key", settings.endpoint)).body(Bytes::new()).unwrap();
    let error = wire.send(ask(), 16 << 20).await.unwrap_err();
    assert!(matches!(error, client::Error::Timeout { .. }), "{error}");
    assert_eq!(
        wire.send(ask(), 16 << 20).await.unwrap().body().len(),
        3 << 20,
        "what is large may take longer"
    );
    served.await.unwrap();
}

#[tokio::test]
async fn a_list_goes_on_by_its_token_and_never_in_circles() {
    let page = |token: &str| {
        let body = format!(
            "<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>{token}\
             </NextContinuationToken><Contents><Key>k</Key><Size>1</Size></Contents></ListBucketResult>"
        );
        answer("200 OK", "", body.len(), &body)
    };
    let (client, served) = scripted(vec![page("a"), page("b"), page("b")]).await;
    let mut pages = client.objects(List { bucket: "bucket", ..List::default() });
    assert_eq!(pages.next().await.unwrap().unwrap().entries.len(), 1);
    assert_eq!(pages.next().await.unwrap().unwrap().entries.len(), 1);
    let error = pages.next().await.unwrap_err();
    assert!(error.to_string().contains("in circles"), "{error}");
    assert_eq!(pages.next().await.unwrap(), None);
    let requests = served.await.unwrap();
    assert!(!requests[0].contains("continuation-token"), "{}", requests[0]);
    assert!(requests[1].contains("continuation-token=a"), "{}", requests[1]);
    assert!(requests[2].contains("continuation-token=b"), "{}", requests[2]);
}

/// The system's clock; it notes the short waits, which are those between attempts, and passes over them.
#[derive(Debug, Default)]
struct Waits(Mutex<Vec<Duration>>);

impl Clock for Waits {
    fn now(&self) -> Timestamp {
        SystemClock.now()
    }

    fn boottime(&self) -> Duration {
        SystemClock.boottime()
    }

    fn sleep(&self, duration: Duration) -> futures_util::future::BoxFuture<'_, ()> {
        if duration < Duration::from_mins(1) {
            self.0.lock().unwrap().push(duration);
            return Box::pin(tokio::task::yield_now());
        }
        SystemClock.sleep(duration)
    }
}

#[tokio::test]
async fn calls_that_can_not_connect_share_their_attempts_and_one_answer_forgives_them() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let clock = Arc::new(Waits::default());
    let endpoint = Endpoint::parse(&format!("http://{address}")).unwrap();
    let mut settings = Settings::new(endpoint, "us-east-1", None);
    settings.retries.attempts_max = 4;
    let client = Client::new(settings, clock.clone(), Arc::new(SeededEntropy::new(1))).unwrap();
    drop(listener);
    let all_fail = async || {
        let calls = (0..50).map(|_| client.head_bucket("bucket"));
        for ended in futures_util::future::join_all(calls).await {
            let error = ended.unwrap_err();
            assert!(error.is_unreachable() && error.to_string().contains(&address.to_string()), "{error}");
        }
        std::mem::take(&mut *clock.0.lock().unwrap()).len()
    };
    assert_eq!(all_fail().await, 3, "fifty calls, four attempts in all that were waited for");
    assert_eq!(all_fail().await, 0, "while nobody is there, each call makes one attempt");
    // It is back, and gone again: whoever has answered is given longer.
    let listener = TcpListener::bind(address).await.unwrap();
    let (answered, ()) = tokio::join!(client.head_bucket("bucket"), async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            assert!(stream.read_buf(&mut request).await.unwrap() > 0);
        }
        stream.write_all(answer("200 OK", S3, 0, "").as_bytes()).await.unwrap();
    });
    answered.unwrap();
    drop(listener);
    assert_eq!(all_fail().await, 6);
}

/// What a captive portal, a proxy that asks for a password or a web server on the wrong port answers to anything: with an ETag or
/// without, with a body or none.
fn pages() -> Vec<String> {
    let html = "<html><body>Sign in</body></html>";
    let page = |headers: &str, body: &str| bare("200 OK", headers, body.len(), body);
    vec![
        page("content-type: text/html\r\n", html),
        page("content-type: text/html\r\netag: \"5f-1\"\r\n", html),
        page("content-type: text/html\r\n", "<!DOCTYPE html><html><p>Sign in</html>"),
        page("", "please sign in"),
        page("", ""),
    ]
}

fn options() -> PutOptions {
    PutOptions::default()
}

type Asked<'c> = std::pin::Pin<Box<dyn Future<Output = client::Result<String>> + 'c>>;

/// Every call, by its number; what it took for an answer.
fn calls(client: &Client) -> Vec<(&'static str, Asked<'_>)> {
    macro_rules! calls {
        ($($name:ident: $call:expr;)*) => {
            vec![$((stringify!($name), Box::pin(async move { $call.await.map(|said| format!("{said:?}")) }) as Asked<'_>),)*]
        };
    }
    let list = List { bucket: "bucket", ..List::default() };
    let upload = || client::OpenUpload {
        bucket: "bucket".to_owned(),
        key: "key".to_owned(),
        upload_id: "id".to_owned(),
        with_crc64: true,
    };
    calls! {
        ListBuckets: client.list_buckets();
        CreateBucket: client.create_bucket("bucket");
        HeadBucket: client.head_bucket("bucket");
        DeleteBucket: client.delete_bucket("bucket");
        GetBucketVersioning: client.bucket_versioning("bucket");
        PutBucketVersioning: client.set_bucket_versioning("bucket", true);
        SetLifecycle: client.set_bucket_lifecycle("bucket", String::new());
        Lifecycle: client.bucket_lifecycle("bucket");
        RemoveLifecycle: client.remove_bucket_lifecycle("bucket");
        Lock: client.bucket_lock("bucket");
        Objects: client.objects(list).next();
        Versions: client.versions(list).next();
        Tags: client.object_tags(&OBJECT);
        Put: client.put_object("bucket", "key", "x".into(), &options());
        Copy: client.copy_object((&OBJECT, None), "bucket", "copy", &options());
        Delete: client.delete_object(&OBJECT, None);
        DeleteMany: client.delete_objects("bucket", &[("key".to_owned(), None)]);
        Create: client.create_upload("bucket", "key", &options());
        Part: client.upload_part(&upload(), 1, "x".into());
        PartCopy: client.upload_part_copy(&upload(), 1, (&OBJECT, "e"), 0..1);
        Parts: client.list_parts(&upload());
        Uploads: client.uploads_after("bucket", "", None);
        Complete: client.complete_upload(&upload(), &[], &options());
        Abort: client.abort_upload(&upload());
        CreateUser: client.iam("CreateUser", &[("UserName", "bob")]);
        UpdateAccessKey: client.iam("UpdateAccessKey", &[("Status", "Inactive")]);
        ListUsers: client.iam_list("ListUsers", &["Users"], &[]);
    }
}

#[tokio::test]
async fn a_page_of_a_portal_is_an_answer_to_nothing() {
    for page in pages() {
        let (counted, _served) = scripted(vec![]).await;
        for at in 0..calls(&counted).len() {
            // A call that looks at the endpoint once more finds the same.
            let (client, _served) = scripted(vec![page.clone(), page.clone()]).await;
            let (name, asked) = calls(&client).swap_remove(at);
            match asked.await {
                Ok(said) => panic!("{name} took {page:?} for {said}"),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Invalid, "{name}: {error}");
                    assert!(error.to_string().contains("a proxy or a portal?"), "{name}: {error}");
                }
            }
        }
    }
    // HEAD and GET of an object have no document, and a page has an ETag, too.
    for page in pages() {
        let (client, _served) = scripted(vec![page.clone(), page.clone()]).await;
        assert_eq!(read(&client).await.unwrap_err().kind(), ErrorKind::Invalid, "{page}");
        let head = page.split_inclusive("\r\n\r\n").next().unwrap().to_owned();
        let (client, _served) = scripted(vec![head, page.clone()]).await;
        assert_eq!(client.head_object(&OBJECT).await.unwrap_err().kind(), ErrorKind::Invalid, "{page}");
    }
}

#[tokio::test]
async fn an_endpoint_that_answers_a_bucket_without_a_word_of_s3_is_asked_to_list_it() {
    let listed = "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>";
    let listed = answer("200 OK", "", listed.len(), listed);
    let plain = answer("200 OK", "", 0, "");
    let (client, served) = scripted(vec![plain.clone(), listed.clone(), plain, listed]).await;
    client.head_bucket("bucket").await.unwrap();
    client.create_bucket("bucket").await.unwrap();
    assert!(served.await.unwrap()[1].contains("list-type=2"));
    // Moto says more than S3 does, and names some documents after their operations.
    let named = "<GetBucketVersioningResponse><Status>Enabled</Status></GetBucketVersioningResponse>";
    let (client, _served) = scripted(vec![answer("200 OK", "", named.len(), named)]).await;
    assert_eq!(client.bucket_versioning("bucket").await.unwrap(), client::Versioning::Enabled);
    let more = "<CreateBucketOutput><Location>/bucket</Location></CreateBucketOutput>";
    let (client, _served) = scripted(vec![answer("200 OK", S3, more.len(), more)]).await;
    client.create_bucket("bucket").await.unwrap();
}

#[tokio::test]
async fn an_endpoint_that_answers_an_object_without_a_word_of_s3_lists_its_bucket_once() {
    let object = bare("200 OK", "etag: \"e\"\r\n", 5, "hello");
    let put = bare("201 Created", "etag: \"e\"\r\n", 0, "");
    let listed = "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>";
    let refused = "<Error><Code>AccessDenied</Code><Message>no</Message></Error>";
    // Who may not list gets S3's refusal, which is its answer, too.
    for list in [bare("200 OK", "", listed.len(), listed), bare("403 Forbidden", "", refused.len(), refused)]
    {
        let (client, served) = scripted(vec![object.clone(), list, object.clone(), put.clone()]).await;
        assert_eq!(read(&client).await.unwrap(), b"hello");
        assert_eq!(read(&client).await.unwrap(), b"hello");
        client.put_object("bucket", "key", "body".into(), &options()).await.unwrap();
        assert!(served.await.unwrap()[1].contains("list-type=2"));
    }
    // A status alone is anybody's; what other services put on their pages is not S3's.
    let cloud = bare("200 OK", "etag: \"e\"\r\nx-amz-cf-id: c\r\nx-amz-apigw-id: a\r\n", 5, "hello");
    let (client, _served) = scripted(vec![cloud, bare("403 Forbidden", "", 0, "")]).await;
    read(&client).await.unwrap_err();
    // Who says in S3's words that it can't answer now has not answered; the next one is asked again.
    let later = [object.clone(), slow_down(), slow_down(), slow_down()];
    let (client, served) = scripted([&later[..], &later[..]].concat()).await;
    for _ in 0..2 {
        assert_eq!(read(&client).await.unwrap_err().code(), Some("SlowDown"));
    }
    assert_eq!(served.await.unwrap().len(), 8);
}

#[tokio::test]
async fn an_object_without_an_etag_comes_and_is_not_gone_on_with() {
    for etag in ["", "etag: \"\"\r\n", "etag: W/\"e\"\r\n"] {
        let headers = format!("{S3}{etag}");
        let (client, _served) = scripted(vec![bare("200 OK", &headers, 5, "hello")]).await;
        let mut download = client.get_object(&OBJECT, None, None).await.unwrap();
        while download.next().await.unwrap().is_some() {}
        assert!(!download.verified() && download.head().etag.is_empty(), "{etag}");
        let (client, served) = scripted(vec![bare("200 OK", &headers, 5, "hel")]).await;
        read(&client).await.unwrap_err();
        assert_eq!(served.await.unwrap().len(), 1, "{etag}");
        let (client, _served) = scripted(vec![bare("200 OK", &headers, 0, "")]).await;
        let put = client.put_object("bucket", "key", "body".into(), &options()).await;
        assert_eq!(put.unwrap_err().kind(), ErrorKind::Invalid, "{etag}");
    }
}

#[tokio::test]
async fn an_upload_is_given_up_by_either_status() {
    let upload = client::OpenUpload {
        bucket: "bucket".to_owned(),
        key: "key".to_owned(),
        upload_id: "id".to_owned(),
        with_crc64: true,
    };
    for status in ["204 No Content", "200 OK"] {
        let (client, _served) = scripted(vec![bare(status, S3, 0, "")]).await;
        client.abort_upload(&upload).await.unwrap();
    }
}

#[tokio::test]
async fn an_error_in_the_body_of_an_answer_without_one_is_an_error_and_tried_again() {
    let of = |code: &str| {
        let body = format!("<Error><Code>{code}</Code><Message>no</Message></Error>");
        let etag = format!("etag: \"{}\"\r\n", client::md5_etag(b"body"));
        answer("200 OK", &etag, body.len(), &body)
    };
    let (client, served) = scripted(vec![of("InternalError"), of("AccessDenied")]).await;
    let error = client.put_object("bucket", "key", "body".into(), &options()).await.unwrap_err();
    assert_eq!(error.code(), Some("AccessDenied"));
    assert_eq!(served.await.unwrap().len(), 2);
}

#[tokio::test]
async fn what_an_endpoint_says_that_it_stored_is_what_was_sent() {
    let (md5, other) = (client::md5_etag(b"body"), "0".repeat(32));
    let (crc, none) = (Crc64::of(b"body").to_header(), "AAAAAAAAAAA=");
    let kms = "x-amz-server-side-encryption: aws:kms\r\n";
    let composite = "x-amz-checksum-type: COMPOSITE\r\n";
    // Some(whether it is proven), or None: it is something else.
    for (headers, proven) in [
        (format!("etag: \"{md5}\"\r\n"), Some(true)),
        (format!("etag: \"{other}\"\r\n"), Some(false)),
        (format!("etag: \"{other}\"\r\nx-amz-checksum-crc64nvme: {crc}\r\n"), Some(true)),
        (format!("etag: \"{other}\"\r\n{kms}"), Some(false)),
        (format!("etag: \"{other}\"\r\n{kms}x-amz-checksum-crc64nvme: {crc}\r\n"), Some(true)),
        (format!("etag: \"{other}\"\r\n{kms}x-amz-checksum-crc64nvme: {none}\r\n"), None),
        (format!("etag: \"{md5}\"\r\nx-amz-checksum-crc64nvme: {none}\r\n"), None),
        (format!("etag: \"{md5}\"\r\nx-amz-checksum-crc64nvme: {none}\r\n{composite}"), Some(true)),
        (format!("etag: \"{other}\"\r\nx-amz-checksum-crc64nvme: {crc}\r\n{composite}"), Some(false)),
        (format!("etag: \"{md5}\"\r\nx-amz-checksum-crc32: AAAAAA==\r\n"), None),
        (format!("etag: \"{other}-1\"\r\n"), Some(false)),
    ] {
        let (client, _served) = scripted(vec![answer("200 OK", &headers, 0, "")]).await;
        let put = client.put_object("bucket", "key", "body".into(), &options()).await;
        check(&headers, put.map(|put| put.verified), proven);
        let (client, _served) = scripted(vec![answer("200 OK", &headers, 0, "")]).await;
        let upload = client::OpenUpload {
            bucket: "bucket".to_owned(),
            key: "key".to_owned(),
            upload_id: "id".to_owned(),
            with_crc64: true,
        };
        let part = client.upload_part(&upload, 1, "body".into()).await;
        check(&headers, part.map(|part| part.verified), proven);
    }
}

fn check(headers: &str, came: client::Result<bool>, proven: Option<bool>) {
    match came {
        Ok(came) => assert_eq!(Some(came), proven, "{headers}"),
        Err(error) => {
            assert_eq!((error.kind(), proven), (ErrorKind::Integrity, None), "{headers}: {error}");
        }
    }
}

#[tokio::test]
async fn a_download_is_compared_with_whatever_checksum_there_is() {
    let parts = format!("etag: \"{}-2\"\r\n", "a".repeat(32));
    for (name, right) in [
        ("crc32", "NhCmhg=="),
        ("crc32c", "mnG7TA=="),
        ("sha1", "qvTGHdzF6KLavt4PO0gs2a6pQ00="),
        ("sha256", "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ="),
        ("md5", "XUFAKrxLKna5cZ2REBfFkg=="),
    ] {
        for (body, kind) in [("hello", None), ("hellO", Some(ErrorKind::Integrity))] {
            let headers = format!("{parts}x-amz-checksum-{name}: {right}\r\n");
            let (client, _served) = scripted(vec![answer("200 OK", &headers, 5, body)]).await;
            assert_eq!(read(&client).await.err().map(|error| error.kind()), kind, "{name} of {body}");
        }
    }
    // Of parts, it says nothing about the whole.
    for more in [
        "x-amz-checksum-crc32: AAAAAA==-2\r\n",
        "x-amz-checksum-crc32: AAAAAA==\r\nx-amz-checksum-type: COMPOSITE\r\n",
    ] {
        let (client, _served) = scripted(vec![answer("200 OK", &format!("{parts}{more}"), 5, "hello")]).await;
        let download = client.get_object(&OBJECT, None, None).await.unwrap();
        assert!(!download.verified());
    }
}

#[tokio::test]
async fn a_list_of_what_was_not_asked_for_is_not_believed() {
    let of = |root: &str, entries: &str| {
        let body = format!("<{root}><IsTruncated>false</IsTruncated>{entries}</{root}>");
        answer("200 OK", "", body.len(), &body)
    };
    let list = List { bucket: "bucket", prefix: "p/", delimiter: Some("/"), page_max: None };
    let entry = "<Contents><Key>p/k</Key><Size>1</Size></Contents><Contents><Key>other/kept</Key><Size>1</Size></Contents>";
    let folded = "<CommonPrefixes><Prefix>other/</Prefix></CommonPrefixes>";
    for entries in [entry, folded] {
        let (client, _served) = scripted(vec![of("ListBucketResult", entries)]).await;
        let error = client.objects(list).next().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Integrity, "{error}");
        assert!(error.to_string().contains("\"other/"), "{error}");
    }
    let version = "<DeleteMarker><Key>other/kept</Key><VersionId>v</VersionId></DeleteMarker>";
    let (client, _served) = scripted(vec![of("ListVersionsResult", version)]).await;
    assert_eq!(client.versions(list).next().await.unwrap_err().kind(), ErrorKind::Integrity);
    let upload = "<Upload><Key>other/kept</Key><UploadId>u</UploadId></Upload>";
    let (client, _served) = scripted(vec![of("ListMultipartUploadsResult", upload)]).await;
    assert_eq!(client.uploads_after("bucket", "p/", None).await.unwrap_err().kind(), ErrorKind::Integrity);
}

#[tokio::test]
async fn a_list_that_says_that_it_is_another_is_not_believed() {
    let list = List { bucket: "bucket", prefix: "p/", delimiter: None, page_max: None };
    let of = |inner: &str| {
        let body = format!("<ListBucketResult><IsTruncated>false</IsTruncated>{inner}</ListBucketResult>");
        answer("200 OK", "", body.len(), &body)
    };
    // Nothing is on either page: to a sync that removes, that would be a word.
    for (said, is_ours) in [("p/", true), ("q/", false)] {
        let (client, _served) = scripted(vec![of(&format!("<Prefix>{said}</Prefix>"))]).await;
        assert_eq!(client.objects(list).next().await.is_ok(), is_ours, "{said}");
    }
    // Some name a list of versions like one of objects; one that has objects is none.
    let object = "<Contents><Key>p/k</Key><Size>1</Size></Contents>";
    for (inner, is_ours) in [("", true), (object, false)] {
        let (client, _served) = scripted(vec![of(inner)]).await;
        assert_eq!(client.versions(list).next().await.is_ok(), is_ours, "{inner}");
    }
}

#[tokio::test]
async fn uploads_are_listed_neither_in_circles_nor_without_an_end() {
    let page = |upload: usize| {
        let body = format!(
            "<ListMultipartUploadsResult><IsTruncated>true</IsTruncated><NextKeyMarker>k</NextKeyMarker>\
             <NextUploadIdMarker>{upload}</NextUploadIdMarker></ListMultipartUploadsResult>"
        );
        answer("200 OK", "", body.len(), &body)
    };
    for (pages, says) in
        [(vec![page(1), page(1)], "in circles"), ((0..1_001).map(page).collect(), "does not end")]
    {
        let (client, _served) = scripted(pages).await;
        let mut after = None;
        let error = loop {
            match client.uploads_after("bucket", "", after.as_ref()).await {
                Ok((_, next)) => after = Some(next.expect("another page")),
                Err(error) => break error,
            }
        };
        assert!(error.to_string().contains(says), "{error}");
    }
}

#[tokio::test]
async fn a_list_without_an_end_has_one() {
    let page = |token: usize| {
        let body = format!(
            "<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>{token}\
             </NextContinuationToken></ListBucketResult>"
        );
        answer("200 OK", "", body.len(), &body)
    };
    let (client, _served) = scripted((0..1_001).map(page).collect()).await;
    let mut pages = client.objects(List { bucket: "bucket", ..List::default() });
    let error = loop {
        match pages.next().await {
            Ok(page) => assert!(page.is_some(), "it came to an end by itself"),
            Err(error) => break error,
        }
    };
    assert!(error.to_string().contains("does not end"), "{error}");
}

#[tokio::test]
async fn what_iam_says_is_of_the_operation_and_whole() {
    let of = |operation: &str, inner: &str| {
        let body = format!("<{operation}Response>{inner}</{operation}Response>");
        answer("200 OK", "", body.len(), &body)
    };
    let (client, _served) =
        scripted(vec![of("UpdateAccessKey", ""), of("DeleteUser", ""), of("CreateUser", "")]).await;
    client.iam("UpdateAccessKey", &[]).await.unwrap();
    client.iam("UpdateAccessKey", &[]).await.unwrap_err();
    let made = client.iam("CreateUser", &[]).await.unwrap();
    assert!(made.require_child("User").unwrap_err().to_string().contains("CreateUserResult lacks User"));
    for (inner, whole) in [
        ("<ListUsersResult><IsTruncated>false</IsTruncated><Users/></ListUsersResult>", true),
        ("<ListUsersResult><IsTruncated>false</IsTruncated></ListUsersResult>", false),
        ("<ListUsersResult><Users/></ListUsersResult>", false),
        ("<ListUsersResult><IsTruncated>true</IsTruncated><Users/></ListUsersResult>", false),
        ("", false),
    ] {
        let (client, _served) = scripted(vec![of("ListUsers", inner)]).await;
        assert_eq!(client.iam_list("ListUsers", &["Users"], &[]).await.is_ok(), whole, "{inner}");
    }
}

#[tokio::test]
async fn whoever_waits_is_told_why() {
    // Waits of up to half a minute, which nobody waits for here; and some that are over at once.
    for (first, told) in [(Duration::from_secs(30), 1), (Duration::ZERO, 0)] {
        let ok = answer("200 OK", "etag: \"e\"\r\n", 0, "");
        let (mut settings, _served) = scripted_at(vec![slow_down(), slow_down(), ok]).await;
        let heard: Arc<Mutex<Vec<String>>> = Arc::default();
        let noting = Arc::clone(&heard);
        settings.listener =
            Some(client::Listener(Arc::new(move |error| noting.lock().unwrap().push(error.to_string()))));
        (settings.retries.first, settings.retries.longest) = (first, first);
        let client =
            Client::new(settings, Arc::new(Waits::default()), Arc::new(SeededEntropy::new(1))).unwrap();
        client.put_object("bucket", "key", "body".into(), &options()).await.unwrap();
        let heard = heard.lock().unwrap();
        assert_eq!(heard.len(), told, "{heard:?}");
        assert!(heard.iter().all(|text| text.contains("later (SlowDown)")), "{heard:?}");
    }
}
