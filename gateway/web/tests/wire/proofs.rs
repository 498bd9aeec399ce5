//! What a client proves of its body, and what it may not keep waiting or make the server hold.

#![expect(clippy::unwrap_used, reason = "a test's world fails loudly")]

use crate::while_time_passes;
use crate::world::{Answer, Client, World};
use engine::clock::Clock;
use engine::unit::ByteCount;
use security::sign::PayloadHash;
use std::time::Duration;
use web::Limits;

async fn ask(world: &World, client: &mut Client, method: &str, path: &str) -> Answer {
    client.send(&world.signed(method, path, &[], b"")).await;
    client.answer().await.unwrap()
}

/// An aws-chunked body with a trailer that nobody signed.
const TRAILER: PayloadHash = PayloadHash::StreamingUnsignedTrailer;

/// Sends `framed` as an aws-chunked body of five bytes.
async fn chunked(world: &World, trailer: Option<&str>, framed: &[u8]) -> Answer {
    let mut headers = vec![("x-amz-decoded-content-length", "5")];
    headers.extend(trailer.map(|name| ("x-amz-trailer", name)));
    let mut client = world.connect().await;
    client.send(&world.signed_as(TRAILER, ("PUT", "/bucket/key"), &headers, framed)).await;
    client.answer().await.unwrap()
}

#[tokio::test]
async fn a_body_is_the_one_that_was_signed() {
    let world = World::new().await;
    let mut client = world.with_bucket().await;
    let put = world.signed_as(PayloadHash::Sha256([7; 32]), ("PUT", "/bucket/key"), &[], b"hello");
    client.send(&put).await;
    assert_eq!(client.answer().await.unwrap().code(), "XAmzContentSHA256Mismatch");
    assert_eq!(ask(&world, &mut client, "GET", "/bucket/key").await.code(), "NoSuchKey");
}

#[tokio::test]
async fn a_checksum_in_a_trailer_is_compared() {
    let world = World::new().await;
    let mut client = world.with_bucket().await;
    let crc = Some("x-amz-checksum-crc32");
    // The CRC-32 of "hullo" does not fit "hello".
    let wrong = chunked(&world, crc, b"5\r\nhello\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n").await;
    assert_eq!((wrong.status, wrong.code()), (400, "BadDigest"), "{wrong:?}");
    let absent = chunked(&world, crc, b"5\r\nhello\r\n0\r\n\r\n").await;
    assert_eq!(absent.status, 400, "{absent:?}");
    let undeclared = chunked(&world, None, b"5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n").await;
    assert_eq!(undeclared.status, 400, "{undeclared:?}");
    assert_eq!(ask(&world, &mut client, "GET", "/bucket/key").await.code(), "NoSuchKey");
    let right = chunked(&world, crc, b"5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n").await;
    assert_eq!(right.status, 200, "{right:?}");
    assert_eq!(ask(&world, &mut client, "GET", "/bucket/key").await.body, b"hello");
}

#[tokio::test]
async fn nothing_follows_the_end_of_a_chunked_body() {
    let world = World::new().await;
    let mut client = world.with_bucket().await;
    let refused = chunked(&world, None, b"5\r\nhello\r\n0\r\n\r\nand more").await;
    assert_eq!(refused.status, 400, "{refused:?}");
    assert_eq!(ask(&world, &mut client, "GET", "/bucket/key").await.code(), "NoSuchKey");
}

#[tokio::test]
async fn a_put_says_how_long_it_is_and_names_no_version() {
    let world = World::new().await;
    let mut client = world.with_bucket().await;
    let versioned = world.signed("PUT", "/bucket/key?versionId=null", &[], b"hello");
    client.send(&versioned).await;
    assert_eq!(client.answer().await.unwrap().code(), "InvalidArgument");
    let endless = ask(&world, &mut client, "PUT", "/bucket/key").await;
    assert_eq!((endless.status, endless.code()), (411, "MissingContentLength"));
    assert_eq!(ask(&world, &mut client, "GET", "/bucket/key").await.code(), "NoSuchKey");
}

#[tokio::test]
async fn a_delete_of_many_needs_a_digest_that_fits() {
    const BODY: &[u8] = b"<Delete><Object><Key>key</Key></Object></Delete>";
    let world = World::new().await;
    let mut client = world.with_bucket().await;
    client.send(&world.signed("PUT", "/bucket/key", &[], b"hello")).await;
    assert_eq!(client.answer().await.unwrap().status, 200);
    for (header, code) in [
        (None, "InvalidRequest"),
        (Some(("content-md5", "1B2M2Y8AsgTpgAmY7PhCfg==")), "BadDigest"),
        (Some(("x-amz-checksum-crc32", "AAAAAA==")), "BadDigest"),
    ] {
        let headers: Vec<_> = header.into_iter().collect();
        client.send(&world.signed("POST", "/bucket?delete=", &headers, BODY)).await;
        assert_eq!(client.answer().await.unwrap().code(), code, "{header:?}");
        assert_eq!(ask(&world, &mut client, "GET", "/bucket/key").await.status, 200, "{header:?}");
    }
    client.send(&world.signed("POST", "/bucket?delete=", &[("content-md5", MD5)], BODY)).await;
    let done = client.answer().await.unwrap();
    assert_eq!(done.status, 200, "{}", done.text());
    assert_eq!(ask(&world, &mut client, "GET", "/bucket/key").await.code(), "NoSuchKey");
}

const MD5: &str = "VUxjCEXWiErKatrg6+J0xA==";

#[tokio::test]
async fn documents_are_bounded_however_they_are_framed() {
    let limits = Limits { xml_body_max: ByteCount::kib(1), ..Limits::default() };
    let world = World::with(limits).await;
    drop(world.with_bucket().await);
    let long = format!("<Delete>{}</Delete>", " ".repeat(3_000));
    let mut client = world.connect().await;
    client.send(&world.signed("POST", "/bucket?delete=", &[], long.as_bytes())).await;
    assert_eq!(client.answer().await.unwrap().code(), "MaxMessageLengthExceeded");
    let mut client = world.connect().await;
    client.send(&world.signed("POST", "/bucket?delete=", &[("transfer-encoding", "chunked")], b"")).await;
    for piece in long.as_bytes().chunks(600) {
        client.send(format!("{:x}\r\n", piece.len()).as_bytes()).await;
        client.send(piece).await;
        client.send(b"\r\n").await;
    }
    client.send(b"0\r\n\r\n").await;
    assert_eq!(client.answer().await.unwrap().code(), "MaxMessageLengthExceeded");
}

#[tokio::test]
async fn a_refused_body_that_is_long_is_not_waited_for() {
    let world = World::new().await;
    let mut client = world.connect().await;
    let body = "x".repeat(300 << 10);
    let head = "PUT /bucket/key HTTP/1.1\r\nhost: {host}\r\ncontent-length: 307200\r\n\r\n";
    client.send_text(&format!("{head}{body}")).await;
    let refused = client.answer().await.unwrap();
    assert_eq!((refused.status, refused.header("connection")), (404, Some("close")));
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_cut_off() {
    let world = World::with(Limits { connections_max: 1, ..Limits::default() }).await;
    let mut client = world.with_bucket().await;
    client.send(&world.signed("PUT", "/bucket/key", &[], &vec![7; 16 << 20])).await;
    assert_eq!(client.answer().await.unwrap().status, 200);
    // More than the kernel's buffers take, and nobody reads.
    client.send(&world.signed("GET", "/bucket/key", &[], b"")).await;
    let mut next = world.connect().await;
    next.send(&world.signed("GET", "/", &[], b"")).await;
    let answer = while_time_passes(&world, next.answer()).await.unwrap();
    assert!(matches!(answer.status, 200 | 403), "it had to wait its turn: {answer:?}");
    drop(client);
}

#[tokio::test]
async fn shutdown_waits_for_open_requests_no_longer_than_it_should() {
    let limits = Limits { drain_timeout: Duration::from_secs(5), ..Limits::default() };
    let mut world = World::with(limits).await;
    let mut client = world.with_bucket().await;
    let whole = world.signed("PUT", "/bucket/key", &[("expect", "100-continue")], b"hello");
    client.send(&whole[..whole.len() - 5]).await;
    assert_eq!(client.answer().await.unwrap().status, 100);
    world.ask_to_stop();
    let (clock, asked) = (world.clock.clone(), world.clock.boottime());
    {
        let mut stopped = std::pin::pin!(world.stopped());
        for _ in 0..1_000 {
            tokio::select! {
                biased;
                () = &mut stopped => break,
                () = tokio::task::yield_now() => clock.advance(Duration::from_millis(100)),
            }
        }
    }
    let waited = clock.boottime().saturating_sub(asked);
    assert!((Duration::from_secs(5)..Duration::from_secs(15)).contains(&waited), "{waited:?}");
    drop(client);
}
