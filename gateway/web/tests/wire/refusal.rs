//! A broken head in one write with the request before it: that one's answer is whole, and the refusal is a document, for hyper
//! looks at a next head only when all of the last answer is out.

use crate::late::one_part;
use crate::while_time_passes;
use crate::world::{Answer, Client, World, call};

const BROKEN: &[u8] = b"nonsense\r\n\r\n";

/// The next answer is the door's own refusal, and the last thing said.
async fn refused(client: &mut Client, what: &str) {
    let refusal = client.answer().await.unwrap_or_else(|| panic!("{what}: nothing is said"));
    assert_eq!((refusal.status, refusal.code()), (400, "BadRequest"), "{what}: {refusal:?}");
    assert_eq!(refusal.header("connection"), Some("close"), "{what}");
    assert!(refusal.header("x-amz-request-id").is_some_and(|id| refusal.text().contains(id)), "{what}");
    assert!(client.closed().await, "{what}");
}

async fn sent_with(world: &World, requests: &[u8], broken: &[u8]) -> Client {
    let mut client = world.connect().await;
    client.send(&[requests, broken].concat()).await;
    client
}

#[tokio::test]
async fn a_broken_head_in_one_write_with_any_request_gets_its_document() {
    let world = World::new().await;
    let mut client = world.with_bucket().await;
    let body = vec![b'b'; 300_000];
    assert_eq!(call(&world, &mut client, ("PUT", "/bucket/k"), &[], &body).await.status, 200);
    // Answered before its body is read; what is left of it is short enough to be read and dropped.
    let unread = b"PUT /bucket/k HTTP/1.1\r\nhost: h\r\ncontent-length: 5\r\n\r\nhello".to_vec();
    let long_head = format!("GET / HTTP/1.1\r\nx-long: {}\r\n\r\n", "x".repeat(70 << 10));
    let cases = [
        ("GET", world.signed("GET", "/bucket/k", &[], b""), 200, body.len()),
        ("GET with a body", world.signed("GET", "/bucket/k", &[], b"hello"), 200, body.len()),
        ("range", world.signed("GET", "/bucket/k", &[("range", "bytes=0-4")], b""), 206, 5),
        ("PUT", world.signed("PUT", "/bucket/l", &[], &body[..100_000]), 200, 0),
        ("DELETE", world.signed("DELETE", "/bucket/none", &[], b""), 204, 0),
        ("unread", unread, 403, usize::MAX),
        ("not found", world.signed("GET", "/bucket/none", &[], b""), 404, usize::MAX),
    ];
    for (what, request, status, length) in &cases {
        for broken in [BROKEN, b"GET / HTTP/1.1\r\nbad header\r\n\r\n"] {
            let mut client = sent_with(&world, request, broken).await;
            let answer = client.answer().await.unwrap();
            assert_eq!(answer.status, *status, "{what}: {answer:?}");
            assert!(*length == usize::MAX || answer.body.len() == *length, "{what}");
            refused(&mut client, what).await;
        }
        let mut client = sent_with(&world, request, long_head.as_bytes()).await;
        assert_eq!(client.answer().await.unwrap().status, *status, "{what}");
        assert_eq!(client.answer().await.unwrap().code(), "RequestHeaderSectionTooLarge", "{what}");
        assert!(client.closed().await, "{what}");
    }
    let head = world.signed("HEAD", "/bucket/k", &[], b"");
    let mut client = sent_with(&world, &head, BROKEN).await;
    assert_eq!(client.answer_to_head().await.unwrap().status, 200);
    refused(&mut client, "HEAD").await;
    // Behind several.
    let all: Vec<u8> = cases.iter().flat_map(|case| case.1.clone()).collect();
    let mut client = sent_with(&world, &all, BROKEN).await;
    for (what, _, status, _) in &cases {
        assert_eq!(client.answer().await.unwrap().status, *status, "{what}");
    }
    refused(&mut client, "all").await;
}

/// hyper calls it a head that is too long.
#[tokio::test]
async fn a_length_that_no_counter_holds_is_told_as_that() {
    let world = World::new().await;
    let mut client = world.with_bucket().await;
    let put = |length: &str| {
        format!("PUT /bucket/k HTTP/1.1\r\nhost: {{host}}\r\ncontent-length: {length}\r\n\r\n")
    };
    let told = |refusal: &Answer| {
        assert_eq!((refusal.status, refusal.code()), (400, "BadRequest"), "{refusal:?}");
        assert!(refusal.text().contains("Content-Length"), "{refusal:?}");
        assert_eq!(refusal.header("connection"), Some("close"));
    };
    for length in ["18446744073709551615", "18446744073709551616", "99999999999999999999999999"] {
        let mut client = world.connect().await;
        client.send_text(&put(length)).await;
        told(&client.answer().await.unwrap());
        assert!(client.closed().await, "one answer, then the end");
    }
    // Behind answers of ours, in pieces, and under TLS.
    assert_eq!(call(&world, &mut client, ("PUT", "/bucket/k"), &[], b"hello").await.status, 200);
    let text = put("18446744073709551616");
    let (first, second) = text.split_at(text.len() - 12);
    client.send_text(first).await;
    let mut other = world.connect().await;
    assert_eq!(call(&world, &mut other, ("GET", "/bucket/k"), &[], b"").await.status, 200);
    client.send_text(second).await;
    told(&client.answer().await.unwrap());
    // What fits is looked at as ever.
    let mut client = world.connect().await;
    client.send_text(&put("9223372036854775807")).await;
    assert_eq!(client.answer().await.unwrap().code(), "AccessDenied");
}

/// The answer fills every buffer on the way and waits there, its request's body and the broken head behind it.
#[tokio::test]
async fn an_answer_that_its_client_takes_late_is_whole_all_the_same() {
    let world = World::new().await;
    let mut client = world.with_bucket().await;
    let body: Vec<u8> = (0..16_u32 << 20).map(|at| at.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    assert_eq!(call(&world, &mut client, ("PUT", "/bucket/k"), &[], &body).await.status, 200);
    let request = world.signed("GET", "/bucket/k", &[], b"hello");
    let (all_but_last, last) = request.split_at(request.len() - 1);
    for (first, second) in [(request.as_slice(), &b""[..]), (all_but_last, last)] {
        let mut client = world.connect().await;
        client.send(first).await;
        client.send(&[second, BROKEN].concat()).await;
        // Nothing of it is read before another connection has had an answer.
        let mut other = world.connect().await;
        for _ in 0..20 {
            assert_eq!(call(&world, &mut other, ("HEAD", "/bucket/k"), &[], b"").await.status, 200);
        }
        let Answer { status, body: got, .. } = client.answer().await.unwrap();
        assert!(status == 200 && got == body, "{status}, {} bytes", got.len());
        refused(&mut client, "late reader").await;
    }
}

#[tokio::test]
async fn a_broken_head_behind_a_late_completion_gets_its_document() {
    let world = World::new().await;
    let mut client = world.with_bucket().await;
    let (path, document) = one_part(&world, &mut client).await;
    world.gate.set_open(false);
    let request = world.signed("POST", &path, &[], document.as_bytes());
    let mut client = sent_with(&world, &request, BROKEN).await;
    let answer = while_time_passes(&world, client.head()).await.unwrap();
    assert_eq!((answer.status, answer.header("transfer-encoding")), (200, Some("chunked")));
    world.gate.set_open(true);
    while !client.chunk().await.is_empty() {}
    refused(&mut client, "late").await;
}
