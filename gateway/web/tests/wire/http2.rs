//! HTTP/2: the same answers as over HTTP/1.1, many at once, and no end before the last of them.

#![expect(clippy::unwrap_used, reason = "a test's world fails loudly")]

use crate::secured::{config, connect};
use crate::world::World;
use bytes::Bytes;
use futures_util::future::join_all;
use http::header::{AUTHORIZATION, EXPECT, HOST};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::channel::Channel;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::version::TLS13;
use security::sign::PayloadHash;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use tokio::task::JoinHandle;
use web::Limits;

pub(crate) type Body = BoxBody<Bytes, Infallible>;
type Pieces = http_body_util::channel::Sender<Bytes, Infallible>;

/// A connection that speaks HTTP/2, and the task that ends with it.
pub(crate) async fn open(
    world: &World,
    addr: SocketAddr,
) -> (SendRequest<Body>, JoinHandle<hyper::Result<()>>) {
    let stream = connect(config(world, &[&TLS13], &["h2"]), addr).await;
    let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    (sender, tokio::spawn(connection))
}

pub(crate) fn whole(bytes: &'static [u8]) -> Body {
    Full::new(Bytes::from_static(bytes)).boxed()
}

/// A request signed for `host`, which goes as `:authority` alone.
pub(crate) fn signed(
    world: &World,
    payload: PayloadHash,
    (method, url): (&str, &str),
    headers: &[(&str, &str)],
    body: Body,
) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let (mut head, ()) = request.body(()).unwrap().into_parts();
    world.sign(&mut head, payload);
    head.headers.remove(HOST).unwrap();
    Request::from_parts(head, body)
}

pub(crate) async fn ask(
    world: &World,
    sender: &mut SendRequest<Body>,
    (method, path): (&str, &str),
    body: &'static [u8],
) -> (StatusCode, HeaderMap, Bytes) {
    let url = format!("https://{}{path}", world.http);
    let request = signed(world, PayloadHash::Unsigned, (method, &url), &[], whole(body));
    read(sender.send_request(request).await.unwrap()).await
}

async fn read(answer: Response<Incoming>) -> (StatusCode, HeaderMap, Bytes) {
    let (head, body) = answer.into_parts();
    (head.status, head.headers, body.collect().await.unwrap().to_bytes())
}

fn says(body: &Bytes, code: &str) -> bool {
    std::str::from_utf8(body).unwrap().contains(&format!("<Code>{code}</Code>"))
}

#[tokio::test]
async fn objects_go_in_and_out_and_the_authority_is_the_host_that_was_signed() {
    let world = World::secured(Limits::default()).await;
    let (mut sender, connection) = open(&world, world.http).await;
    assert_eq!(ask(&world, &mut sender, ("PUT", "/bucket"), b"").await.0, 200);
    let (status, headers, _) = ask(&world, &mut sender, ("PUT", "/bucket/a//b"), b"hello").await;
    assert_eq!(
        (status.as_u16(), headers["etag"].to_str().unwrap()),
        (200, "\"5d41402abc4b2a76b9719d911017c592\"")
    );
    assert!(headers.contains_key("date") && headers["server"] == "firn");
    let (status, headers, body) = ask(&world, &mut sender, ("GET", "/bucket/a//b"), b"").await;
    assert_eq!(
        (status.as_u16(), &body[..], &headers["content-length"]),
        (200, &b"hello"[..], &"5".parse().unwrap())
    );
    let (status, headers, body) = ask(&world, &mut sender, ("HEAD", "/bucket/a//b"), b"").await;
    assert_eq!((status.as_u16(), body.len(), &headers["content-length"]), (200, 0, &"5".parse().unwrap()));
    let (status, headers, body) = ask(&world, &mut sender, ("GET", "/bucket/none"), b"").await;
    assert!(status == 404 && says(&body, "NoSuchKey") && !headers.contains_key("connection"), "{headers:?}");

    let get = |url: &str| signed(&world, PayloadHash::Unsigned, ("GET", url), &[], whole(b""));
    let virtual_host = get("https://bucket.s3.localhost/a//b");
    assert_eq!(&read(sender.send_request(virtual_host).await.unwrap()).await.2[..], b"hello");
    // Signed for one host, sent to another.
    let mut moved = get("https://one.s3.localhost/a//b");
    *moved.uri_mut() = "https://bucket.s3.localhost/a//b".parse().unwrap();
    assert!(says(&read(sender.send_request(moved).await.unwrap()).await.2, "SignatureDoesNotMatch"));
    for (host, code) in [("bucket.s3.localhost", "NoSuchKey"), ("other.s3.localhost", "InvalidRequest")] {
        let mut both = get("https://bucket.s3.localhost/none");
        both.headers_mut().insert(HOST, host.parse().unwrap());
        let (_, _, body) = read(sender.send_request(both).await.unwrap()).await;
        assert!(says(&body, code), "{host}: {body:?}");
    }
    let mut unsigned = get("https://bucket.s3.localhost/a//b");
    unsigned.headers_mut().remove(AUTHORIZATION);
    assert!(says(&read(sender.send_request(unsigned).await.unwrap()).await.2, "AccessDenied"));
    drop(sender);
    connection.await.unwrap().unwrap();
    world.shut_down().await;
}

#[tokio::test]
async fn aws_chunked_bodies_trailers_and_expectations_work_over_http_2() {
    let world = World::secured(Limits::default()).await;
    let (mut sender, _connection) = open(&world, world.http).await;
    ask(&world, &mut sender, ("PUT", "/bucket"), b"").await;
    let url = format!("https://{}/bucket/key", world.http);
    let headers = [("x-amz-decoded-content-length", "5"), ("x-amz-trailer", "x-amz-checksum-crc32")];
    let put =
        |body| signed(&world, PayloadHash::StreamingUnsignedTrailer, ("PUT", &url), &headers, whole(body));
    let wrong = put(b"5\r\nhello\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n");
    assert!(says(&read(sender.send_request(wrong).await.unwrap()).await.2, "BadDigest"));
    let right = put(b"5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n");
    let (status, headers, _) = read(sender.send_request(right).await.unwrap()).await;
    assert_eq!((status.as_u16(), &headers["x-amz-checksum-crc32"]), (200, &"NhCmhg==".parse().unwrap()));

    // HTTP's own trailers mean nothing. A client that asks to be told to go on may go on untold.
    let (mut pieces, body) = Channel::<Bytes, Infallible>::new(4);
    let length = [("content-length", "5")];
    let mut put = signed(&world, PayloadHash::Unsigned, ("PUT", &url), &length, body.boxed());
    put.headers_mut().insert(EXPECT, "100-continue".parse().unwrap());
    let answer = sender.send_request(put);
    pieces.send_data(Bytes::from_static(b"hullo")).await.unwrap();
    pieces
        .send_trailers(HeaderMap::from_iter([("x-any".parse().unwrap(), "a".parse().unwrap())]))
        .await
        .unwrap();
    drop(pieces);
    assert_eq!(answer.await.unwrap().status(), 200);
    assert_eq!(&ask(&world, &mut sender, ("GET", "/bucket/key"), b"").await.2[..], b"hullo");
    // One that is refused is told before its body comes, and the connection goes on.
    let (_pieces, body) = Channel::<Bytes, Infallible>::new(4);
    let refused = Request::builder().method("PUT").uri(&url).header("content-length", "9999999");
    let refused = sender.send_request(refused.body(body.boxed()).unwrap()).await.unwrap();
    assert_eq!(refused.status(), 403);
    assert_eq!(ask(&world, &mut sender, ("GET", "/bucket/key"), b"").await.0, 200);
}

static BODY: [u8; 200_000] = [b'y'; 200_000];

#[tokio::test]
async fn many_requests_share_a_connection() {
    let world = World::secured(Limits::default()).await;
    let (mut sender, _connection) = open(&world, world.http).await;
    ask(&world, &mut sender, ("PUT", "/bucket"), b"").await;
    let puts = (0..100).map(|number| {
        let (world, mut sender) = (&world, sender.clone());
        async move { ask(world, &mut sender, ("PUT", &format!("/bucket/{number}")), &BODY).await.0 }
    });
    assert!(join_all(puts).await.iter().all(|status| *status == 200));
    let gets = (0..100).map(|number| {
        let (world, mut sender) = (&world, sender.clone());
        async move { ask(world, &mut sender, ("GET", &format!("/bucket/{number}")), b"").await.2 }
    });
    assert!(join_all(gets).await.iter().all(|body| body[..] == BODY));
}

#[tokio::test]
async fn shutdown_lets_open_streams_finish() {
    let mut world = World::secured(Limits::default()).await;
    let (mut sender, connection) = open(&world, world.http).await;
    ask(&world, &mut sender, ("PUT", "/bucket"), b"").await;
    let (mut pieces, body) = Channel::<Bytes, Infallible>::new(4);
    let (url, length) = (format!("https://{}/bucket/key", world.http), [("content-length", "10")]);
    let put = signed(&world, PayloadHash::Unsigned, ("PUT", &url), &length, body.boxed());
    let answer = tokio::spawn(sender.send_request(put));
    pieces.send_data(Bytes::from_static(b"hello")).await.unwrap();
    // Answered after the headers of the one before it have come.
    assert_eq!(ask(&world, &mut sender, ("GET", "/bucket/none"), b"").await.0, 404);
    world.ask_to_stop();
    pieces.send_data(Bytes::from_static(b"hello")).await.unwrap();
    drop(pieces);
    assert_eq!(answer.await.unwrap().unwrap().status(), 200);
    let _closed_by_the_server = connection.await.unwrap();
    world.stopped().await;
}

#[tokio::test]
async fn a_panic_costs_its_own_stream() {
    let world = World::secured(Limits::default()).await;
    let (mut sender, _connection) = open(&world, world.admin).await;
    let get = |path: &str| {
        let url = format!("https://{}{path}", world.admin);
        Request::builder().uri(url).header(AUTHORIZATION, "Bearer the-token").body(whole(b"")).unwrap()
    };
    world.facts.panics.store(true, Ordering::SeqCst);
    assert_eq!(sender.send_request(get("/v1/status")).await.unwrap().status(), 500);
    world.facts.panics.store(false, Ordering::SeqCst);
    assert_eq!(sender.send_request(get("/v1/status")).await.unwrap().status(), 200);
}

#[tokio::test]
async fn what_has_no_body_has_none_and_nobody_is_connected_on() {
    let world = World::secured(Limits::default()).await;
    let (mut sender, _connection) = open(&world, world.admin).await;
    let ask = |method: &str, path: &str| {
        let url = format!("https://{}{path}", world.admin);
        Request::builder().method(method).uri(url).body(whole(b"")).unwrap()
    };
    let (status, headers, body) = read(sender.send_request(ask("GET", "/livez")).await.unwrap()).await;
    assert!(status == 200 && !body.is_empty());
    let length = headers["content-length"].clone();
    // The client takes DATA after the answer to a HEAD for a fault, and so the next request would fail.
    for _ in 0..2 {
        let (status, headers, body) = read(sender.send_request(ask("HEAD", "/livez")).await.unwrap()).await;
        assert_eq!((status.as_u16(), &headers["content-length"], body.len()), (200, &length, 0));
    }
    let (mut sender, _connection) = open(&world, world.http).await;
    for authority in ["elsewhere.example:443".to_owned(), world.http.to_string()] {
        let connect = Request::builder().method("CONNECT").uri(authority).body(whole(b"")).unwrap();
        let (status, _, body) = read(sender.send_request(connect).await.unwrap()).await;
        assert!(status == 400 && says(&body, "InvalidURI"), "{status} {body:?}");
    }
}

#[tokio::test]
async fn header_sections_are_bounded_and_said() {
    let world = World::secured(Limits::default()).await;
    let (mut sender, _connection) = open(&world, world.http).await;
    let url = format!("https://{}/", world.http);
    let with = |name: &str, size: usize| Request::builder().uri(&url).header(name, "v".repeat(size));
    let large = sender.send_request(with("x-long", 9 << 10).body(whole(b"")).unwrap()).await.unwrap();
    let (status, _, body) = read(large).await;
    assert!(status == 400 && says(&body, "RequestHeaderSectionTooLarge"), "{status}");
    let many =
        (0..130).fold(Request::builder().uri(&url), |request, n| request.header(format!("x-{n}"), "v"));
    let (status, _, body) = read(sender.send_request(many.body(whole(b"")).unwrap()).await.unwrap()).await;
    assert!(status == 400 && says(&body, "RequestHeaderSectionTooLarge"), "{status}");
    // Where it is beyond what we take in at all, HTTP/2 itself says so.
    let (mut sender, _connection) = open(&world, world.http).await;
    if let Ok(huge) = sender.send_request(with("x-long", 70 << 10).body(whole(b"")).unwrap()).await {
        assert_eq!(huge.status(), 431);
    }
}

/// A PUT of which one byte comes.
async fn stalled(
    world: &World,
    sender: &mut SendRequest<Body>,
) -> (Pieces, JoinHandle<hyper::Result<Response<Incoming>>>) {
    let url = format!("https://{}/bucket/stalled", world.http);
    let (mut pieces, body) = Channel::new(4);
    let length = [("content-length", "4000000")];
    let put = signed(world, PayloadHash::Unsigned, ("PUT", &url), &length, body.boxed());
    let answer = tokio::spawn(sender.send_request(put));
    pieces.send_data(Bytes::from_static(b"x")).await.unwrap();
    (pieces, answer)
}

/// A PUT that is whole.
fn large(world: &World, sender: &mut SendRequest<Body>) -> JoinHandle<hyper::Result<Response<Incoming>>> {
    let url = format!("https://{}/bucket/large", world.http);
    let body = Full::new(Bytes::from(vec![7; 3 << 20])).boxed();
    tokio::spawn(sender.send_request(signed(world, PayloadHash::Unsigned, ("PUT", &url), &[], body)))
}

/// Whether bodies hold memory.
async fn is_held(world: &World) -> bool {
    let stream = connect(config(world, &[&TLS13], &["http/1.1"]), world.admin).await;
    let mut admin = crate::world::Client::of(stream, world.admin.to_string());
    admin.send_text("GET /metrics HTTP/1.1\r\nhost: a\r\nauthorization: Bearer the-token\r\n\r\n").await;
    let answer = admin.answer().await.unwrap();
    answer.text().lines().find_map(|line| line.strip_prefix("firn_s3_bodies_held_bytes ")).unwrap() != "0"
}

async fn until_held(world: &World, wanted: bool) {
    for _ in 0..2_000 {
        if is_held(world).await == wanted {
            return;
        }
    }
    panic!("no time passes, and it is not so: {wanted}");
}

/// Others have their turn, and no time passes.
pub(crate) async fn meanwhile(world: &World) {
    for _ in 0..30 {
        is_held(world).await;
    }
}

/// A server with room for one large body, and a bucket.
async fn narrow() -> (World, SendRequest<Body>) {
    let limits = Limits { bodies_max: engine::unit::ByteCount::mib(1), ..Limits::default() };
    let world = World::secured(limits).await;
    let (mut sender, _connection) = open(&world, world.http).await;
    assert_eq!(ask(&world, &mut sender, ("PUT", "/bucket"), b"").await.0, 200);
    (world, sender)
}

#[tokio::test]
async fn a_stream_that_is_reset_gives_back_its_memory_or_its_place() {
    let (world, mut sender) = narrow().await;
    let first = stalled(&world, &mut sender).await;
    until_held(&world, true).await;
    let second = stalled(&world, &mut sender).await;
    meanwhile(&world).await;
    let third = large(&world, &mut sender);
    meanwhile(&world).await;
    for (pieces, answer) in [second, first] {
        assert!(!third.is_finished());
        answer.abort();
        drop(pieces);
        meanwhile(&world).await;
    }
    // No time passes, so nobody was ended, and the connection is still there.
    assert_eq!(third.await.unwrap().unwrap().status(), 200);
    until_held(&world, false).await;
    assert_eq!(ask(&world, &mut sender, ("PUT", "/bucket/small"), b"hello").await.0, 200);
}

#[tokio::test]
async fn a_stream_that_stalls_is_ended_for_the_next_and_the_connection_goes_on() {
    let (world, mut sender) = narrow().await;
    let (_pieces, stalled) = stalled(&world, &mut sender).await;
    until_held(&world, true).await;
    let next = large(&world, &mut sender);
    let next = crate::while_time_passes(&world, next).await.unwrap().unwrap();
    assert_eq!(next.status(), 200);
    let (status, headers, body) = read(stalled.await.unwrap().unwrap()).await;
    assert!(status == 400 && says(&body, "RequestTimeout"), "{status} {body:?}");
    assert!(!headers.contains_key("connection"), "{headers:?}");
    until_held(&world, false).await;
}
