//! What a body holds outlives its request: whatever was on its way to the disk counts until it is there, and what is ended is counted as coming.

#![expect(clippy::unwrap_used, reason = "a test's world fails loudly")]

use crate::budget::{MIB, admitted, ask, count, held, memory, metric, until_held, world};
use crate::world::{Client, World, call};
use crate::{forms, ingest, while_time_passes};
use engine::fault::Point;
use engine::unit::ByteCount;
use futures_util::FutureExt;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

/// A disk that takes nothing until this is dropped.
struct Shut<'w> {
    world: &'w World,
    opens: Option<Sender<()>>,
    met: Receiver<()>,
}

impl<'w> Shut<'w> {
    fn new(world: &'w World) -> Self {
        let (opens, shut) = channel::<()>();
        let shut = Mutex::new(shut);
        let (at_it, met) = channel();
        world.foundation.faults.visit(Point::SegmentWrite, move || {
            let _told = at_it.send(());
            let _open = shut.lock().unwrap().recv();
        });
        Self { world, opens: Some(opens), met }
    }

    /// Sends until a record waits for it, and no more than is taken: the server waits for the client then.
    async fn until_met(&self, client: &mut Client) {
        let piece = vec![7; 64 << 10];
        while self.met.try_recv().is_err() {
            client.send(&piece).await;
            others_go_on(self.world, 10).await;
        }
    }
}

impl Drop for Shut<'_> {
    fn drop(&mut self) {
        self.world.foundation.faults.clear();
        drop(self.opens.take());
    }
}

/// Everybody else has so many turns.
async fn others_go_on(world: &World, turns: usize) {
    for _ in 0..turns {
        held(world).await;
    }
}

/// A client leaves while a record of its body waits for the disk; what it held is held until that is there.
async fn leaves(world: &World, mut client: Client, holds: u64, what: &str) {
    until_held(world, holds).await;
    let shut = Shut::new(world);
    shut.until_met(&mut client).await;
    drop(client);
    for _ in 0..100 {
        assert_eq!(held(world).await, holds, "{what}");
    }
    drop(shut);
    until_held(world, 0).await;
}

/// What the only body is allowed to hold, once it is.
async fn what_it_holds(world: &World) -> u64 {
    loop {
        match held(world).await {
            0 => tokio::task::yield_now().await,
            holds => return holds,
        }
    }
}

#[tokio::test]
async fn what_a_client_that_left_had_on_its_way_is_still_counted() {
    let (world, mut client) = world(ByteCount::mib(16)).await;
    let begun = call(&world, &mut client, ("POST", "/bucket/parts?uploads="), &[], b"").await;
    let (_, id) = begun.text().split_once("<UploadId>").unwrap();
    let part = format!("/bucket/parts?partNumber=1&uploadId={}", id.split_once('<').unwrap().0);
    let memory = memory(&world, Some(64 * MIB)).await;
    for path in ["/bucket/large", part.as_str()] {
        let mut gone = ask(&world, 1, ("PUT", path), &[("content-length", "67108864")]).await;
        until_held(&world, memory).await;
        assert_eq!(admitted(&mut gone), 1);
        leaves(&world, gone.remove(0), memory, path).await;
    }
}

#[tokio::test]
async fn what_a_form_that_was_left_had_on_its_way_is_still_counted() {
    let (world, _) = world(ByteCount::mib(16)).await;
    let form = forms::form(&forms::signed(&world, r#",["starts-with","$key",""]"#), &[("key", "f")], b"");
    let mut client = world.connect().await;
    client
        .send_text(
            "POST /bucket HTTP/1.1\r\nhost: {host}\r\ncontent-type: multipart/form-data; boundary=frontier\r\n\
             content-length: 67108864\r\n\r\n",
        )
        .await;
    client.send(&form[..form.len() - b"\r\n--frontier--\r\n".len()]).await;
    let holds = what_it_holds(&world).await;
    leaves(&world, client, holds, "a form").await;
}

#[tokio::test]
async fn what_an_archive_that_was_left_had_on_its_way_is_still_counted() {
    let (world, _) = world(ByteCount::mib(128)).await;
    // The head of one entry of 4 GiB less a byte; nothing ends it.
    let mut entry = ingest::tar(&[("large", b'0', b"")])[..512].to_vec();
    entry[124..136].copy_from_slice(b"37777777777\0");
    entry[148..156].fill(b' ');
    let sum: u32 = entry.iter().map(|byte| u32::from(*byte)).sum();
    entry[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let headers = [("content-length", "5000000000"), ("x-amz-meta-snowball-auto-extract", "true")];
    let mut gone = ask(&world, 1, ("PUT", "/bucket/a.tar"), &headers).await;
    let holds = what_it_holds(&world).await;
    assert_eq!(admitted(&mut gone), 1);
    assert!(holds > 32 * MIB, "{holds}");
    gone[0].send(&entry).await;
    leaves(&world, gone.remove(0), holds, "an archive").await;
}

/// Sends all of a body but its last bytes, then those so that whoever waits for its room may look, and end it, before they are read. Whether it did.
async fn comes_whole_late(world: &World) -> bool {
    let length = MIB;
    let announced = length.to_string();
    let headers = [("content-length", announced.as_str())];
    let mut whole = ask(world, 1, ("PUT", "/bucket/whole"), &headers).await;
    // Any large body counts as all that there is for them.
    until_held(world, 13 * MIB / 16).await;
    assert_eq!(admitted(&mut whole), 1);
    let body = vec![7; usize::try_from(length).unwrap()];
    let (most, last) = body.split_at(body.len() - 5);
    for piece in most.chunks(64 << 10) {
        whole[0].send(piece).await;
        others_go_on(world, 10).await;
    }
    world.clock.advance(Duration::from_millis(3_900));
    let mut next = ask(world, 1, ("PUT", "/bucket/next"), &headers).await;
    others_go_on(world, 30).await;
    let before = metric(world, "firn_s3_bodies_ended_total").await;
    assert_eq!(admitted(&mut next), 0);
    // The first of these wakes both; while the others have their turns the bytes are found to have come; which of the two goes on first is
    // by chance.
    whole[0].send(last).await;
    let turn = |at: u32| {
        let clock = world.clock.clone();
        tokio::spawn(async move {
            if at == 0 {
                clock.advance(Duration::from_millis(500));
            }
        })
    };
    for turn in (0..1_000).map(turn).collect::<Vec<_>>() {
        turn.await.unwrap();
    }
    let stored = whole[0].answer().await.unwrap();
    // Where nobody had seen the last bytes when it was told so, it is one that was late.
    let came = stored.status == 200;
    assert!(came || count(&[stored], 400, "RequestTimeout") == 1);
    assert_eq!(next[0].head().await.unwrap().status, 100);
    let ended = metric(world, "firn_s3_bodies_ended_total").await - before;
    drop((whole, next));
    while_time_passes(world, until_held(world, 0)).await;
    ended == 1 && came
}

/// One that was to end for others, and whose last bytes were there before it was told so.
#[tokio::test]
async fn a_body_that_was_to_end_and_came_whole_is_stored() {
    let (world, _) = world(ByteCount::mib(1)).await;
    for _ in 0..40 {
        if comes_whole_late(&world).await {
            return;
        }
    }
    panic!("it was read before anybody looked, forty times");
}

/// What an ended body had on its way keeps its room, and is about to give it back: nobody else is ended for it.
#[tokio::test]
async fn no_more_are_ended_while_the_disk_has_what_an_ended_one_brought() {
    let each = memory(&world(ByteCount::mib(16)).await.0, Some(64 * MIB)).await;
    let (world, _) = world(ByteCount::new((2 * each + MIB / 2) * 16 / 13)).await;
    let headers = [("content-length", "67108864")];
    let mut clients = ask(&world, 1, ("PUT", "/bucket/first"), &headers).await;
    until_held(&world, each).await;
    let shut = Shut::new(&world);
    assert_eq!(admitted(&mut clients), 1);
    shut.until_met(&mut clients[0]).await;
    world.clock.advance(Duration::from_millis(1));
    let mut second = ask(&world, 1, ("PUT", "/bucket/second"), &headers).await;
    until_held(&world, 2 * each).await;
    assert_eq!(admitted(&mut second), 1);
    second[0].send(b"hello").await;
    others_go_on(&world, 30).await;
    let mut next = ask(&world, 1, ("PUT", "/bucket/next"), &headers).await;
    others_go_on(&world, 30).await;
    // Ended after four seconds; then others are looked for, four times.
    for _ in 0..12 {
        world.clock.advance(Duration::from_millis(500));
        others_go_on(&world, 30).await;
    }
    assert_eq!(metric(&world, "firn_s3_bodies_ended_total").await, 1);
    assert!(second[0].head().now_or_never().is_none(), "one is enough");
    let told = [clients[0].answer().await.unwrap()];
    assert_eq!((count(&told, 400, "RequestTimeout"), held(&world).await), (1, 2 * each), "{told:?}");
    drop(shut);
    assert_eq!(next[0].head().await.unwrap().status, 100);
}
