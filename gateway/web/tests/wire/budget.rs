//! Memory for bodies: what all requests together may hold, who waits, who is told to slow down, and who is ended for others.

#![expect(clippy::unwrap_used, reason = "a test's world fails loudly")]

use crate::iam_world::{self, Key, Post, signed};
use crate::late::one_part;
use crate::world::{Answer, Client, Who, World, call};
use crate::{forms, while_time_passes};
use engine::clock::Clock as _;
use engine::unit::ByteCount;
use futures_util::FutureExt;
use futures_util::future::join_all;
use objectstore::{BucketName, ObjectKey, PutRequest};
use security::sign::PayloadHash;
use std::time::Duration;
use web::Limits;

pub(crate) const MIB: u64 = 1 << 20;

/// A server with little room, a bucket and an object in it.
pub(crate) async fn world(bodies_max: ByteCount) -> (World, Client) {
    let world = World::with(Limits { bodies_max, ..Limits::default() }).await;
    let mut client = world.with_bucket().await;
    assert_eq!(call(&world, &mut client, ("PUT", "/bucket/k"), &[], b"hello").await.status, 200);
    (world, client)
}

/// The value of a metric.
pub(crate) async fn metric(world: &World, name: &str) -> u64 {
    let mut admin = world.connect_admin().await;
    admin.send_text("GET /metrics HTTP/1.1\r\nhost: a\r\nauthorization: Bearer the-token\r\n\r\n").await;
    let answer = admin.answer().await.unwrap();
    let line = answer.text().lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{name} in {}", answer.text())).parse().unwrap()
}

pub(crate) async fn held(world: &World) -> u64 {
    metric(world, "firn_s3_bodies_held_bytes").await
}

/// What an upload of so many bytes may hold; of any, without a length.
pub(crate) async fn memory(world: &World, length: Option<u64>) -> u64 {
    let length = length.map(ByteCount::new);
    let put = PutRequest {
        length,
        ..PutRequest::new(BucketName::parse("bucket").unwrap(), ObjectKey::parse("k").unwrap())
    };
    // Whole units of 4 KiB.
    world.store.put(put).await.unwrap().memory(length).get().next_multiple_of(4 << 10)
}

/// Waits until so much is held; no time passes.
pub(crate) async fn until_held(world: &World, bytes: u64) {
    let mut now = held(world).await;
    for _ in 0..10_000 {
        if now == bytes {
            return;
        }
        tokio::task::yield_now().await;
        now = held(world).await;
    }
    panic!("{now} are held, not {bytes}");
}

/// Small requests go on: one is read, one written, one brings a document. Meanwhile everybody else has a turn.
async fn small_requests(world: &World, client: &mut Client) {
    let versioning = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
    for _ in 0..30 {
        assert_eq!(call(world, client, ("GET", "/bucket/k"), &[], b"").await.body, b"hello");
        assert_eq!(call(world, client, ("PUT", "/bucket/k"), &[], b"hello").await.status, 200);
        assert_eq!(call(world, client, ("PUT", "/bucket?versioning="), &[], versioning).await.status, 200);
    }
}

/// Connections that send a head and wait to be asked for the body.
pub(crate) async fn ask(
    world: &World,
    count: usize,
    request: (&str, &str),
    headers: &[(&str, &str)],
) -> Vec<Client> {
    let expects = [&[("expect", "100-continue")], headers].concat();
    let mut clients = Vec::new();
    for _ in 0..count {
        let mut client = world.connect().await;
        client.send(&world.signed(request.0, request.1, &expects, b"")).await;
        clients.push(client);
    }
    clients
}

/// How many were asked for their bodies. Each may be asked about once.
pub(crate) fn admitted(clients: &mut [Client]) -> u64 {
    let asked = clients.iter_mut().filter_map(|client| client.head().now_or_never());
    asked.map(|head| assert_eq!(head.unwrap().status, 100)).count() as u64
}

/// The answers of all, while time passes.
async fn answers(world: &World, clients: &mut [Client]) -> Vec<Answer> {
    let all = join_all(clients.iter_mut().map(async |client| client.answer().await.unwrap()));
    while_time_passes(world, all).await
}

pub(crate) fn count(answers: &[Answer], status: u16, code: &str) -> usize {
    answers.iter().filter(|answer| (answer.status, answer.code()) == (status, code)).count()
}

#[tokio::test]
async fn stalled_uploads_hold_no_more_than_the_budget_and_the_next_is_told_to_slow_down() {
    let (world, mut client) = world(ByteCount::mib(16)).await;
    let length = 2 * MIB;
    let memory = memory(&world, Some(length)).await;
    assert!(memory > MIB, "{memory}");
    let announced = length.to_string();
    let headers = [("content-length", announced.as_str())];
    let mut stalled = ask(&world, 100, ("PUT", "/bucket/large"), &headers).await;
    let most = 13 * MIB / memory;
    until_held(&world, most * memory).await;
    small_requests(&world, &mut client).await;
    assert_eq!((admitted(&mut stalled), held(&world).await), (most, most * memory));
    assert_eq!(metric(&world, "firn_s3_bodies_refused_total").await, 0, "nobody's time is over");

    let begun = world.clock.boottime();
    let mut next = ask(&world, 1, ("PUT", "/bucket/large"), &headers).await;
    let told = answers(&world, &mut next).await;
    assert_eq!(count(&told, 503, "SlowDown"), 1, "{told:?}");
    assert_eq!((told[0].header("retry-after"), told[0].header("connection")), (Some("1"), Some("close")));
    assert!(told[0].text().contains("memory"), "{told:?}");
    let waited = world.clock.boottime().saturating_sub(begun);
    assert!(waited >= Duration::from_secs(20), "{waited:?}");
    small_requests(&world, &mut client).await;

    // Those before it: some were told the same, some had to go for others, and the last had nobody behind them.
    drop(next);
    let told = answers(&world, &mut stalled).await;
    let (slow, late) = (count(&told, 503, "SlowDown"), count(&told, 400, "RequestTimeout"));
    assert_eq!(slow + late + count(&told, 100, ""), 100, "{told:?}");
    assert!(slow > 0 && late > 0, "{slow} were told to slow down, {late} were ended");
    drop(stalled);
    let mut whole = world.connect().await;
    let body = vec![7; usize::try_from(length).unwrap()];
    let put = while_time_passes(&world, call(&world, &mut whole, ("PUT", "/bucket/large"), &[], &body)).await;
    assert_eq!(put.status, 200, "{put:?}");
    while_time_passes(&world, until_held(&world, 0)).await;
}

#[tokio::test]
async fn documents_under_way_hold_no_more_than_the_budget() {
    let (world, mut client) = world(ByteCount::mib(16)).await;
    // Of known length, and of a length that only the end says.
    for (framing, most) in [(("content-length", "1048576"), 4), (("transfer-encoding", "chunked"), 2)] {
        let mut stalled = ask(&world, 100, ("POST", "/bucket?delete="), &[framing]).await;
        until_held(&world, 12 * MIB).await;
        small_requests(&world, &mut client).await;
        assert_eq!((admitted(&mut stalled), held(&world).await), (most, 12 * MIB), "{framing:?}");
        drop(stalled);
        while_time_passes(&world, until_held(&world, 0)).await;
    }
}

/// Whatever an upload comes as, its memory is reserved, and back when its client goes.
#[tokio::test]
async fn archives_parts_forms_and_aws_chunked_bodies_hold_no_more_than_the_budget() {
    let (world, mut client) = world(ByteCount::mib(64)).await;
    let begun = call(&world, &mut client, ("POST", "/bucket/parts?uploads="), &[], b"").await;
    let (_, id) = begun.text().split_once("<UploadId>").unwrap();
    let part = format!("/bucket/parts?partNumber=1&uploadId={}", id.split_once('<').unwrap().0);
    let archive = ("x-amz-meta-snowball-auto-extract", "true");
    let length = ("content-length", "20000000");
    let whole = memory(&world, Some(20_000_000)).await;
    let most = 52 * MIB / whole;
    for (path, headers, held_by_all) in [
        ("/bucket/a", &[length, archive][..], None),
        (part.as_str(), &[length][..], Some(most * whole)),
        (
            "/bucket/c",
            &[("content-length", "20001000"), ("x-amz-decoded-content-length", "20000000")][..],
            Some(most * whole),
        ),
    ] {
        let payload = if headers.len() == 2 && held_by_all.is_some() {
            PayloadHash::StreamingUnsignedTrailer
        } else {
            PayloadHash::Unsigned
        };
        let mut stalled = Vec::new();
        for _ in 0..40 {
            let mut client = world.connect().await;
            let expects = [&[("expect", "100-continue")], headers].concat();
            client.send(&world.signed_as(payload, ("PUT", path), &expects, b"")).await;
            stalled.push(client);
        }
        match held_by_all {
            Some(bytes) => until_held(&world, bytes).await,
            None => small_requests(&world, &mut client).await,
        }
        small_requests(&world, &mut client).await;
        let asked = admitted(&mut stalled);
        assert!(asked == if held_by_all.is_some() { most } else { 1 }, "{asked} for {path}");
        assert!(held(&world).await <= 52 * MIB, "{path}");
        drop(stalled);
        while_time_passes(&world, until_held(&world, 0)).await;
    }
    let form = forms::form(&forms::signed(&world, r#",["starts-with","$key",""]"#), &[("key", "f")], b"");
    let form = &form[..form.len() - b"\r\n--frontier--\r\n".len()];
    let head = "POST /bucket HTTP/1.1\r\nhost: {host}\r\ncontent-type: multipart/form-data; boundary=frontier\r\n\
                content-length: 20000000\r\n\r\n";
    let mut stalled = Vec::new();
    for _ in 0..40 {
        let mut client = world.connect().await;
        client.send_text(head).await;
        client.send(form).await;
        stalled.push(client);
    }
    while held(&world).await < 46 * MIB {
        tokio::task::yield_now().await;
    }
    small_requests(&world, &mut client).await;
    assert!(held(&world).await <= 52 * MIB);
    drop(stalled);
    while_time_passes(&world, until_held(&world, 0)).await;
}

/// What is left to do for it is not its client's.
#[tokio::test]
async fn a_body_at_its_end_is_not_ended_for_one_that_stalls() {
    // Room for one whose length is not known and one of two MiB, and for nothing besides.
    let (of_any, of_two) = {
        let (world, _) = world(ByteCount::mib(64)).await;
        (memory(&world, None).await, memory(&world, Some(2 * MIB)).await)
    };
    let (world, mut client) = world(ByteCount::new((of_any + of_two + MIB) * 16 / 13)).await;
    let mut whole = ask(&world, 1, ("PUT", "/bucket/whole"), &[("transfer-encoding", "chunked")]).await;
    until_held(&world, of_any).await;
    assert_eq!(admitted(&mut whole), 1);
    whole[0].send(b"5\r\nhello\r\n").await;
    world.clock.advance(Duration::from_millis(1));
    let length = 2 * MIB;
    let announced = length.to_string();
    let headers = [("content-length", announced.as_str())];
    let mut stalled = ask(&world, 1, ("PUT", "/bucket/stalled"), &headers).await;
    until_held(&world, of_any + of_two).await;
    assert_eq!(admitted(&mut stalled), 1);
    stalled[0].send(b"hello").await;
    let mut next = ask(&world, 1, ("PUT", "/bucket/next"), &headers).await;
    small_requests(&world, &mut client).await;
    world.gate.set_open(false);
    whole[0].send(b"0\r\n\r\n").await;
    for _ in 0..30 {
        assert_eq!(held(&world).await, of_any + of_two);
    }
    let told = answers(&world, &mut stalled).await;
    assert_eq!(count(&told, 400, "RequestTimeout"), 1, "{told:?}");
    assert!(told[0].text().contains("memory"), "{told:?}");
    world.gate.set_open(true);
    assert_eq!(answers(&world, &mut whole).await[0].status, 200);
    assert_eq!(answers(&world, &mut next).await[0].status, 100);
    assert_eq!(metric(&world, "firn_s3_bodies_ended_total").await, 1);
}

#[tokio::test]
async fn a_stalled_body_is_ended_when_others_wait_for_its_room_and_a_slow_one_left_alone_when_none_do() {
    // Any large body counts as all that there is for them.
    let (world, mut client) = world(ByteCount::mib(1)).await;
    let length = (4 * MIB).to_string();
    let headers = [("content-length", length.as_str())];
    let mut stalled = ask(&world, 1, ("PUT", "/bucket/a"), &headers).await;
    small_requests(&world, &mut client).await;
    assert_eq!(admitted(&mut stalled), 1);
    stalled[0].send(b"something").await;
    let begun = world.clock.boottime();
    while world.clock.boottime().saturating_sub(begun) < Duration::from_secs(20) {
        world.clock.advance(Duration::from_millis(500));
        tokio::task::yield_now().await;
    }
    assert!(stalled[0].head().now_or_never().is_none(), "nobody waits for its room");
    let body = vec![7; usize::try_from(7 * MIB).unwrap()];
    let mut next = world.connect().await;
    let whole = call(&world, &mut next, ("PUT", "/bucket/b"), &[], &body);
    let put = while_time_passes(&world, whole).await;
    assert_eq!(put.status, 200, "{put:?}");
    let told = answers(&world, &mut stalled).await;
    assert_eq!(count(&told, 400, "RequestTimeout"), 1, "{told:?}");
    assert!(told[0].text().contains("memory"), "{told:?}");
    assert_eq!(metric(&world, "firn_s3_bodies_ended_total").await, 1);
}

/// Behind one address two keys are two senders: who holds more than half, and goes on sending, ends for the other.
#[tokio::test]
async fn two_keys_behind_one_address_are_two_senders() {
    let (world, mut client) = world(ByteCount::mib(1)).await;
    client.send(&world.sent_by(Who::Other, "PUT", "/others", &[], b"")).await;
    assert_eq!(client.answer().await.unwrap().status, 200);
    let mut heavy = ask(&world, 1, ("PUT", "/bucket/heavy"), &[("content-length", "100000000")]).await;
    until_held(&world, 13 * MIB / 16).await;
    assert_eq!(admitted(&mut heavy), 1);
    let mut other = world.connect().await;
    let body = vec![7; 2 << 20];
    other.send(&world.sent_by(Who::Other, "PUT", "/others/k", &[("expect", "100-continue")], &body)).await;
    let begun = world.clock.boottime();
    let mut asked = Box::pin(other.head());
    let piece = vec![7; 64 << 10];
    loop {
        if let Some(head) = asked.as_mut().now_or_never() {
            assert_eq!(head.unwrap().status, 100);
            break;
        }
        let waited = world.clock.boottime().saturating_sub(begun);
        assert!(waited < Duration::from_secs(20), "{waited:?}");
        let _ended = tokio::io::AsyncWriteExt::write_all(&mut heavy[0].stream, &piece).await;
        // Only while it is waited for may it end: what it brought is read and on its way.
        for _ in 0..20 {
            held(&world).await;
        }
        world.clock.advance(Duration::from_millis(500));
    }
    let told = heavy[0].answer().await.unwrap();
    assert_eq!((told.status, told.code()), (400, "RequestTimeout"));
}

/// A request whose body is here: its method, path, headers and body.
type Asked<'a> = (&'a str, String, Vec<(&'a str, &'a str)>, String);

/// Holds a request up in its `gap`th look at the catalog: what `meanwhile` comes to, or none when there is no such look.
async fn held_up<T>(
    world: &World,
    gap: usize,
    (method, path, headers, body): &Asked<'_>,
    meanwhile: impl AsyncFnOnce(&mut Client) -> T,
) -> Option<T> {
    let mut client = world.connect().await;
    let (met, at_it) = tokio::sync::oneshot::channel();
    let (go, gone) = tokio::sync::oneshot::channel::<()>();
    world.gate.gaps.arm(gap, async move {
        let _heard = met.send(());
        let _goes_on = gone.await;
    });
    client.send(&world.signed(method, path, headers, body.as_bytes())).await;
    let came = tokio::select! {
        biased;
        _ = at_it => Some(meanwhile(&mut client).await),
        answer = client.answer() => {
            assert_eq!(answer.unwrap().status, 200);
            None
        }
    };
    world.gate.gaps.disarm();
    drop(go);
    until_held(world, 0).await;
    came
}

/// What is held for a request when it looks at the catalog for the last time, which is its commit, long after its client was told to wait.
async fn held_to_the_end<'a>(world: &World, asked: impl AsyncFn() -> Asked<'a>) -> u64 {
    let mut gaps = 0;
    while held_up(world, gaps, &asked().await, async |_| ()).await.is_some() {
        gaps += 1;
    }
    let late = async |client: &mut Client| {
        let head = while_time_passes(world, client.head()).await.unwrap();
        assert_eq!((head.status, head.header("transfer-encoding")), (200, Some("chunked")), "{head:?}");
        held(world).await
    };
    held_up(world, gaps - 1, &asked().await, late).await.unwrap()
}

#[tokio::test]
async fn copies_and_completions_hold_their_memory_until_their_commit() {
    let (world, _) = world(ByteCount::mib(64)).await;
    let whole = |bytes: u64| bytes.next_multiple_of(4 << 10);
    let from = ("x-amz-copy-source", "bucket/k");
    let copy = async || ("PUT", "/bucket/copy".to_owned(), vec![from], String::new());
    let of_copy = held_to_the_end(&world, copy).await;

    let mut client = world.connect().await;
    let (upload, _) = one_part(&world, &mut client).await;
    let part = upload.replace('?', "?partNumber=1&");
    let of_part = held_to_the_end(&world, async || ("PUT", part.clone(), vec![from], String::new())).await;

    let completion = async || {
        let (upload, document) = one_part(&world, &mut world.connect().await).await;
        ("POST", upload, Vec::new(), document)
    };
    let of_completion = held_to_the_end(&world, completion).await;
    // Three times the document, in whole units.
    let known =
        [world.store.copy_memory(false).get(), world.store.copy_part_memory(None).get(), 1].map(whole);
    assert_eq!([of_copy, of_part, of_completion], known);
}

/// Who knows the id of a key and not its secret holds a part of the sixteenth that is theirs who are known by their address alone.
#[tokio::test]
async fn bodies_that_nobody_has_signed_for_keep_no_others_waiting() {
    let (world, mut client) = world(ByteCount::mib(256)).await;
    let forged = Key { secret: "x".repeat(40), ..Key::root() };
    let body = vec![b'A'; 1 << 20];
    let mut holders = Vec::new();
    for _ in 0..50 {
        let header = Some(("expect", "100-continue"));
        let all = signed(&world, &forged, Post { header, ..Post::default() }, &body);
        let mut client = world.connect().await;
        client.send(&all[..all.len() - body.len()]).await;
        holders.push(client);
    }
    until_held(&world, 3 * MIB).await;
    small_requests(&world, &mut client).await;
    assert_eq!((admitted(&mut holders), held(&world).await), (1, 3 * MIB), "one of this address");

    // All without a moment passing: as large as it gets, and a form of IAM of the same address.
    let each = memory(&world, Some(5_000_000_000)).await;
    let (most, length) = (208 * MIB / each, ("content-length", "5000000000"));
    let mut large = ask(&world, usize::try_from(most).unwrap(), ("PUT", "/bucket/large"), &[length]).await;
    until_held(&world, most * each + 3 * MIB).await;
    assert_eq!(admitted(&mut large), most);
    iam_world::iam(&world, &mut client, &Key::root(), "ListUsers", &[]).await;
    drop((large, holders));
    while_time_passes(&world, until_held(&world, 0)).await;
}
