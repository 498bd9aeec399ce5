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
    (Client::new(settings, Arc::new(SystemClock), Arc::new(SeededEntropy::new(1))).unwrap(), served)
}

fn answer(status: &str, headers: &str, length: usize, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n{headers}\r\n{body}")
}

fn slow_down() -> String {
    let body = "<Error><Code>SlowDown</Code><Message>later</Message></Error>";
    answer("503 Slow Down", "", body.len(), body)
}

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
        let ok = answer("200 OK", "", 0, "");
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
    assert_eq!(read(&client).await.unwrap_err().kind(), ErrorKind::Integrity);
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
        stream.write_all(answer("200 OK", "", 0, "").as_bytes()).await.unwrap();
    });
    answered.unwrap();
    drop(listener);
    assert_eq!(all_fail().await, 6);
}
