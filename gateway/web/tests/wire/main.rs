//! The doors on the wire: what a hand-written client may send, and what it must get.

mod access;
mod access_log;
mod admin;
mod audit;
mod audit_door;
mod audit_walk;
mod bounds;
mod budget;
mod carried;
mod charged;
mod conditions;
mod cors;
mod customer_keys;
mod every_operation;
mod failures;
mod fidelity;
mod floods;
mod forms;
mod glacier_account;
mod glacier_notified;
mod glacier_output;
mod glacier_rules;
mod glacier_walk;
mod http2;
mod iam_protocol;
mod iam_sessions;
mod iam_walk;
mod iam_world;
mod identities;
mod ingest;
mod inventory;
mod kms;
mod late;
mod lifecycle;
mod limits;
mod lines;
mod listing;
mod lock;
mod managed_keys;
mod multipart;
mod notification;
mod policy;
mod policy_agrees;
mod policy_edges;
mod proofs;
mod refusal;
mod rehearsal;
mod secured;
mod settings;
mod sign_in;
mod tagging;
mod torn;
mod web_identity;
mod website;
mod world;

use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use web::Limits;
use world::World;

#[tokio::test]
async fn an_object_goes_in_and_out_over_one_connection() {
    let world = World::new().await;
    let mut client = world.connect().await;
    client.send(&world.signed("PUT", "/bucket", &[], b"")).await;
    let created = client.answer().await.unwrap();
    assert_eq!((created.status, created.header("location")), (200, Some("/bucket")));
    assert_eq!(created.header("x-amz-request-id").map(str::len), Some(16));
    assert!(created.header("date").is_some() && created.header("server") == Some("firn"));
    client.send(&world.signed("PUT", "/bucket/a//b", &[("x-amz-meta-colour", "blue")], b"hello")).await;
    let put = client.answer().await.unwrap();
    assert_eq!(put.header("etag"), Some("\"5d41402abc4b2a76b9719d911017c592\""), "{put:?}");
    // Pipelined: two requests in one write, two answers in order.
    let mut both = world.signed("GET", "/bucket/a//b", &[("range", "bytes=1-2")], b"");
    both.extend(world.signed("HEAD", "/bucket/a//b", &[], b""));
    client.send(&both).await;
    let ranged = client.answer().await.unwrap();
    assert_eq!(
        (ranged.status, ranged.text(), ranged.header("content-range")),
        (206, "el", Some("bytes 1-2/5"))
    );
    let head = client.answer_to_head().await.unwrap();
    assert_eq!((head.status, head.header("content-length")), (200, Some("5")));
    assert_eq!(head.header("x-amz-meta-colour"), Some("blue"));
    drop(client);
    world.shut_down().await;
}

#[tokio::test]
async fn a_refused_request_leaves_the_connection_usable() {
    let world = World::new().await;
    let mut client = world.connect().await;
    client.send_text("PUT /bucket/key HTTP/1.1\r\nhost: {host}\r\ncontent-length: 5\r\n\r\nhello").await;
    let refused = client.answer().await.unwrap();
    assert_eq!((refused.status, refused.code()), (404, "NoSuchBucket"));
    assert_eq!(refused.header("connection"), None);
    assert!(refused.text().contains("<Resource>/bucket/key</Resource>"));
    client.send(&world.signed("PUT", "/bucket", &[], b"")).await;
    assert_eq!(client.answer().await.unwrap().status, 200);
    client.send_text("PUT /bucket/key HTTP/1.1\r\nhost: {host}\r\ncontent-length: 5\r\n\r\nhello").await;
    let refused = client.answer().await.unwrap();
    assert_eq!((refused.status, refused.code()), (403, "AccessDenied"));
    client.send(&world.signed("GET", "/", &[], b"")).await;
    assert_eq!(client.answer().await.unwrap().status, 200);
}

#[tokio::test]
async fn a_body_is_asked_for_only_once_its_request_is_allowed() {
    let world = World::new().await;
    let mut client = world.connect().await;
    client.send(&world.signed("PUT", "/bucket", &[], b"")).await;
    assert_eq!(client.answer().await.unwrap().status, 200);
    let head =
        "PUT /bucket/key HTTP/1.1\r\nhost: {host}\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n";
    client.send_text(head).await;
    let refused = client.answer().await.unwrap();
    assert_eq!((refused.status, refused.header("connection")), (403, Some("close")));
    assert!(client.closed().await);

    let mut client = world.connect().await;
    let whole = world.signed("PUT", "/bucket/key", &[("expect", "100-continue")], b"hello");
    let (head, body) = whole.split_at(whole.len() - 5);
    client.send(head).await;
    assert_eq!(client.answer().await.unwrap().status, 100);
    client.send(body).await;
    assert_eq!(client.answer().await.unwrap().status, 200);
}

/// An empty body is never asked for, and aws-cli 1 takes the next answer on such a connection for a part of this one.
#[tokio::test]
async fn an_expectation_that_got_no_100_closes_the_connection() {
    let world = World::new().await;
    let mut client = world.connect().await;
    client.send(&world.signed("PUT", "/bucket", &[], b"")).await;
    assert_eq!(client.answer().await.unwrap().status, 200);
    let expects = [("expect", "100-continue"), ("content-length", "0")];
    client.send(&world.signed("PUT", "/bucket/empty", &expects, b"")).await;
    let stored = client.answer().await.unwrap();
    assert_eq!((stored.status, stored.header("connection")), (200, Some("close")));
    assert!(client.closed().await);
}

#[tokio::test]
async fn two_lengths_and_half_framings_smuggle_nothing() {
    let world = World::new().await;
    // TE goes before CL, and the connection ends with the answer: what follows is never a second request.
    let mut client = world.connect().await;
    client
        .send_text(
            "PUT /bucket/key HTTP/1.1\r\nhost: {host}\r\ncontent-length: 30\r\ntransfer-encoding: chunked\r\n\r\n\
             0\r\n\r\nGET / HTTP/1.1\r\nhost: {host}\r\n\r\n",
        )
        .await;
    assert_eq!(client.answer().await.unwrap().status, 404);
    assert!(client.closed().await, "no second answer");
    for (framing, status) in [
        ("content-length: 5\r\ncontent-length: 6", 400),
        ("content-length: +5", 400),
        ("content-length: 5 5", 400),
        ("transfer-encoding: chunked, gzip", 400),
        ("transfer-encoding: gzip, chunked", 501),
        ("transfer-encoding : chunked", 400),
        ("content-length: 0\r\nbad header", 400),
    ] {
        let mut client = world.connect().await;
        client.send_text(&format!("PUT /bucket/key HTTP/1.1\r\nhost: {{host}}\r\n{framing}\r\n\r\n")).await;
        let answer = client.answer().await.unwrap();
        assert_eq!(answer.status, status, "{framing}");
        let code = if status == 501 { "NotImplemented" } else { "BadRequest" };
        assert_eq!(answer.code(), code, "{framing}");
    }
}

#[tokio::test]
async fn what_is_no_request_gets_an_error_document_all_the_same() {
    let world = World::new().await;
    let bad_lines =
        ["G@T / HTTP/1.1", "GET / HTTP/9.9", "GET  / HTTP/1.1", "GET /\u{7f}\u{1} HTTP/1.1", "nonsense"];
    for line in bad_lines {
        let mut client = world.connect().await;
        client.send_text(&format!("{line}\r\nhost: {{host}}\r\n\r\n")).await;
        let answer = client.answer().await.unwrap();
        assert_eq!((answer.status, answer.code()), (400, "BadRequest"), "{line}");
        assert_eq!(answer.header("content-type"), Some("application/xml"));
        assert_eq!(answer.header("connection"), Some("close"));
        assert!(answer.header("x-amz-request-id").is_some_and(|id| answer.text().contains(id)), "{answer:?}");
        assert!(client.closed().await, "one answer, then the end");
    }
    // After an answer of ours, too.
    let mut client = world.connect().await;
    client.send(&world.signed("PUT", "/bucket", &[], b"")).await;
    assert_eq!(client.answer().await.unwrap().status, 200);
    // An object that looks like a refusal comes back as it is.
    let body = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";
    client.send(&world.signed("PUT", "/bucket/k", &[], body)).await;
    assert_eq!(client.answer().await.unwrap().status, 200);
    client.send(&world.signed("GET", "/bucket/k", &[], b"")).await;
    assert_eq!(client.answer().await.unwrap().body, body);
    client.send(b"nonsense\r\n\r\n").await;
    assert_eq!(client.answer().await.unwrap().code(), "BadRequest");
    assert!(client.closed().await);
}

#[tokio::test]
async fn a_torn_chunk_leaves_nothing() {
    let world = World::new().await;
    let mut client = world.connect().await;
    client.send(&world.signed("PUT", "/bucket", &[], b"")).await;
    assert_eq!(client.answer().await.unwrap().status, 200);
    let head = world.signed("PUT", "/bucket/key", &[("transfer-encoding", "chunked")], b"");
    client.send(&head).await;
    client.send(b"5\r\nhello\r\nnonsense\r\n").await;
    let torn = client.answer().await.unwrap();
    let said = String::from_utf8_lossy(&torn.body);
    assert_eq!(torn.code(), "IncompleteBody");
    assert!(said.contains("chunked transfer encoding") && !said.contains("Content-Length"), "{said}");
    let mut client = world.connect().await;
    client.send(&world.signed("GET", "/bucket/key", &[], b"")).await;
    assert_eq!(client.answer().await.unwrap().code(), "NoSuchKey");
}

#[tokio::test]
async fn a_connection_goes_on_after_a_body_of_unsaid_length_that_was_read_to_its_end() {
    let world = World::new().await;
    let mut client = world.connect().await;
    client.send(&world.signed("PUT", "/bucket", &[], b"")).await;
    assert_eq!(client.answer().await.unwrap().status, 200);
    let head = world.signed("PUT", "/bucket/key", &[("transfer-encoding", "chunked")], b"");
    for body in [&b"5\r\nhello\r\n0\r\n\r\n"[..], b"0\r\n\r\n", b"3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"] {
        client.send(&[&head, body].concat()).await;
        let put = client.answer().await.unwrap();
        assert_eq!((put.status, put.header("connection")), (200, None), "{put:?}");
    }
    client.send(&world.signed("GET", "/bucket/key", &[], b"")).await;
    assert_eq!(client.answer().await.unwrap().body, b"hello");
    // One that is refused unread closes it: nobody knows how much would have to be dropped.
    client.send_text("PUT /bucket/key HTTP/1.1\r\nhost: {host}\r\ntransfer-encoding: chunked\r\n\r\n").await;
    client.send(b"5\r\nhello\r\n").await;
    let refused = client.answer().await.unwrap();
    assert_eq!((refused.status, refused.header("connection")), (403, Some("close")));
    assert!(client.closed().await);
}

#[tokio::test]
async fn a_client_that_closes_its_sending_side_still_gets_its_answer() {
    let world = World::new().await;
    let mut client = world.connect().await;
    client.send(&world.signed("GET", "/", &[], b"")).await;
    client.stream.shutdown().await.unwrap();
    assert_eq!(client.answer().await.unwrap().status, 200);
    // In the middle of a body it gets told what is missing.
    let mut client = world.connect().await;
    client.send(&world.signed("PUT", "/bucket", &[], b"")).await;
    assert_eq!(client.answer().await.unwrap().status, 200);
    let whole = world.signed("PUT", "/bucket/key", &[], b"hello");
    client.send(&whole[..whole.len() - 1]).await;
    client.stream.shutdown().await.unwrap();
    assert_eq!(client.answer().await.unwrap().code(), "IncompleteBody");
}

#[tokio::test]
async fn heads_are_bounded_in_bytes() {
    let world = World::new().await;
    let long = "x".repeat(9 << 10);
    let mut client = world.connect().await;
    client.send_text(&format!("GET / HTTP/1.1\r\nhost: {{host}}\r\nx-long: {long}\r\n\r\n")).await;
    assert_eq!(client.answer().await.unwrap().code(), "RequestHeaderSectionTooLarge");
    let mut client = world.connect().await;
    client.send_text(&format!("GET /{long}{long} HTTP/1.1\r\nhost: {{host}}\r\n\r\n")).await;
    let answer = client.answer().await.unwrap();
    assert_eq!((answer.status, answer.code()), (414, "RequestURITooLong"));
    let mut client = world.connect().await;
    let huge = "x".repeat(70 << 10);
    client.send_text(&format!("GET / HTTP/1.1\r\nhost: {{host}}\r\nx-long: {huge}\r\n\r\n")).await;
    let answer = client.answer().await.unwrap();
    assert_eq!((answer.status, answer.code()), (400, "RequestHeaderSectionTooLarge"));
    assert!(answer.header("x-amz-request-id").is_some_and(|id| answer.text().contains(id)), "{answer:?}");
    assert!(client.closed().await, "one answer, then the end");
    let mut client = world.connect().await;
    let many = "a: b\r\n".repeat(129);
    client.send_text(&format!("GET / HTTP/1.1\r\nhost: {{host}}\r\n{many}\r\n")).await;
    assert_eq!(client.answer().await.unwrap().code(), "RequestHeaderSectionTooLarge");
    let mut client = world.connect().await;
    client.send_text("GET / HTTP/1.1\r\n\r\n").await;
    assert_eq!(client.answer().await.unwrap().code(), "InvalidRequest");
}

/// Moves the clock on until the server has closed the connection or answered: within a day, or never.
async fn while_time_passes<T>(world: &World, waiting: impl Future<Output = T>) -> T {
    let mut waiting = std::pin::pin!(waiting);
    for _ in 0..864_000 {
        tokio::select! {
            biased;
            outcome = &mut waiting => return outcome,
            () = tokio::task::yield_now() => world.clock.advance(Duration::from_millis(100)),
        }
    }
    panic!("a day passed, and nothing happened");
}

#[tokio::test]
async fn slow_heads_and_slow_bodies_are_cut_off() {
    let world = World::new().await;
    let mut client = world.connect().await;
    client.send_text("GET / HTTP/1.1\r\nhost: {host}\r\nx-slow: ").await;
    assert!(while_time_passes(&world, client.closed()).await, "closed without an answer");

    let mut client = world.connect().await;
    client.send(&world.signed("PUT", "/bucket", &[], b"")).await;
    assert_eq!(client.answer().await.unwrap().status, 200);
    let whole = world.signed("PUT", "/bucket/key", &[], &[b'x'; 9000]);
    client.send(&whole[..whole.len() - 8990]).await;
    let answer = while_time_passes(&world, client.answer()).await.unwrap();
    assert_eq!((answer.status, answer.code()), (400, "RequestTimeout"));
    assert_eq!(answer.header("connection"), Some("close"));

    let mut client = world.connect_admin().await;
    let head = "POST /v1/backup HTTP/1.1\r\nhost: a\r\nauthorization: Bearer the-token\r\ncontent-length: 9\r\n\r\n{";
    client.send_text(head).await;
    assert_eq!(while_time_passes(&world, client.answer()).await.unwrap().status, 408);
}

#[tokio::test]
async fn connections_are_bounded_and_the_next_one_waits() {
    let world = World::with(Limits { connections_max: 1, ..Limits::default() }).await;
    let mut first = world.connect().await;
    first.send(&world.signed("GET", "/", &[], b"")).await;
    assert_eq!(first.answer().await.unwrap().status, 200);
    let mut second = world.connect().await;
    second.send(&world.signed("GET", "/", &[], b"")).await;
    let mut waiting = Box::pin(second.answer());
    // The first one is served on while the second waits.
    first.send(&world.signed("GET", "/", &[], b"")).await;
    tokio::select! {
        biased;
        _ = &mut waiting => panic!("two connections at once"),
        answer = first.answer() => assert_eq!(answer.unwrap().status, 200),
    }
    drop(first);
    assert_eq!(waiting.await.unwrap().status, 200);
}

#[tokio::test]
async fn shutdown_lets_an_open_request_finish() {
    let mut world = World::new().await;
    let mut client = world.connect().await;
    client.send(&world.signed("PUT", "/bucket", &[], b"")).await;
    assert_eq!(client.answer().await.unwrap().status, 200);
    let whole = world.signed("PUT", "/bucket/key", &[("expect", "100-continue")], b"hello");
    client.send(&whole[..whole.len() - 5]).await;
    assert_eq!(client.answer().await.unwrap().status, 100);
    world.ask_to_stop();
    client.send(b"hello").await;
    assert_eq!(client.answer().await.unwrap().status, 200);
    assert!(client.closed().await);
    drop(client);
    world.shut_down().await;
}

#[tokio::test]
async fn the_admin_door_opens_with_its_token_only() {
    let world = World::new().await;
    let mut client = world.connect_admin().await;
    let with_token = "authorization: Bearer the-token\r\n";
    for (request, headers, status) in [
        ("GET /livez", "", 200),
        ("GET /readyz", "", 200),
        ("POST /livez", "", 405),
        ("GET /metrics", "", 401),
        ("GET /v1/status", "", 401),
        ("GET /v1/status", "authorization: Bearer the-token2\r\n", 401),
        ("GET /v1/status", "authorization: Basic the-token\r\n", 401),
        ("GET /v1/status", "authorization: Bearer the-token\r\nauthorization: Bearer the-token\r\n", 401),
        ("GET /v1/status", with_token, 200),
        ("GET /v1/workers", with_token, 404),
        ("GET /v1/where?bucket=b", with_token, 400),
        ("GET /v1/nothing", with_token, 404),
        ("POST /v1/status", with_token, 405),
        ("GET /metrics", with_token, 200),
    ] {
        client.send_text(&format!("{request} HTTP/1.1\r\nhost: {{host}}\r\n{headers}\r\n")).await;
        let answer = client.answer().await.unwrap();
        assert_eq!(answer.status, status, "{request} {headers}");
        assert_eq!(answer.header("access-control-allow-origin"), None);
        if request == "GET /metrics" && status == 200 {
            assert!(
                answer.text().contains("firn_http_connections_open{door=\"admin\"} 1"),
                "{}",
                answer.text()
            );
        }
    }
}

#[tokio::test]
async fn readyz_is_503_when_writes_are_refused_and_says_why_in_one_word() {
    let world = World::new().await;
    let mut client = world.connect_admin().await;
    let ready = "{\"reads\":true,\"ready\":true,\"reasons\":[],\"writes\":true}\n";
    let full = "{\"reads\":true,\"ready\":false,\"reasons\":[\"pool_full\"],\"writes\":false}\n";
    let gone = "{\"reads\":false,\"ready\":false,\"reasons\":[\"pool_full\",\"catalog_unreadable\"],\"writes\":false}\n";
    for (broken, unreadable, writes, reads, document) in
        [(false, false, 200, 200, ready), (true, false, 503, 200, full), (true, true, 503, 503, gone)]
    {
        world.facts.broken.store(broken, Ordering::SeqCst);
        world.facts.unreadable.store(unreadable, Ordering::SeqCst);
        for (path, status) in [("/readyz", writes), ("/readyz/reads", reads)] {
            client.send_text(&format!("GET {path} HTTP/1.1\r\nhost: {{host}}\r\n\r\n")).await;
            let answer = client.answer().await.unwrap();
            assert_eq!((answer.status, answer.text()), (status, document), "{path}");
        }
    }
}

#[tokio::test]
async fn a_panic_costs_its_own_request_and_is_answered() {
    let world = World::new().await;
    let mut bystander = world.connect_admin().await;
    bystander.send_text("GET /livez HTTP/1.1\r\nhost: {host}\r\n\r\n").await;
    assert_eq!(bystander.answer().await.unwrap().status, 200);
    world.facts.panics.store(true, Ordering::SeqCst);
    let mut client = world.connect_admin().await;
    let status = "GET /v1/status HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer the-token\r\n\r\n";
    client.send_text(status).await;
    let failed = client.answer().await.unwrap();
    assert_eq!((failed.status, failed.header("connection")), (500, Some("close")));
    assert!(client.closed().await);
    drop(client);
    world.facts.panics.store(false, Ordering::SeqCst);
    bystander.send_text(status).await;
    assert_eq!(bystander.answer().await.unwrap().status, 200);
    drop(bystander);
    world.shut_down().await;
}
