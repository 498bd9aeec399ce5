//! The admin door's own bounds: connections, the size of a request's body, and how long it may take to come.

#![expect(clippy::unwrap_used, reason = "a test's world fails loudly")]

use crate::while_time_passes;
use crate::world::{Answer, Client, World};
use engine::clock::Clock as _;
use std::time::Duration;
use web::Limits;

const ALIVE: &str = "GET /livez HTTP/1.1\r\nhost: {host}\r\n\r\n";
const BODY_MAX: usize = 64 << 10;

/// Asks for something whose answer says that the body was taken: the test's source of status knows no backups.
async fn back_up(world: &World, framing: &str, body: &str) -> Answer {
    let mut client = world.connect_admin().await;
    let head = "POST /v1/backup HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer the-token\r\n";
    client.send_text(&format!("{head}{framing}\r\n\r\n{body}")).await;
    client.answer().await.unwrap()
}

async fn is_alive(client: &mut Client) -> bool {
    client.send_text(ALIVE).await;
    client.answer().await.is_some_and(|answer| answer.status == 200)
}

#[tokio::test]
async fn the_admin_door_has_64_connections_and_the_next_one_waits() {
    let world = World::new().await;
    let mut open = Vec::new();
    for _ in 0..64 {
        let mut client = world.connect_admin().await;
        assert!(is_alive(&mut client).await);
        open.push(client);
    }
    let mut next = world.connect_admin().await;
    next.send_text(ALIVE).await;
    let mut waiting = Box::pin(next.answer());
    // Those that are open are served on, and so is the other door.
    let mut other = world.connect().await;
    other.send(&world.signed("GET", "/", &[], b"")).await;
    tokio::select! {
        biased;
        _ = &mut waiting => panic!("65 connections at once"),
        answer = other.answer() => assert_eq!(answer.unwrap().status, 200),
    }
    for client in &mut open {
        tokio::select! {
            biased;
            _ = &mut waiting => panic!("65 connections at once"),
            alive = is_alive(client) => assert!(alive),
        }
    }
    drop(open.pop());
    assert_eq!(waiting.await.unwrap().status, 200, "a place is free, and it has waited for one");
}

#[tokio::test]
async fn connections_that_say_nothing_give_the_admin_doors_places_back() {
    // Far longer than a test's time passes while bytes are on their way.
    let header_read_timeout = Duration::from_hours(1);
    let limits = Limits { admin_connections_max: 2, header_read_timeout, ..Limits::default() };
    let world = World::with(limits).await;
    let mut silent = world.connect_admin().await;
    let mut halting = world.connect_admin().await;
    halting.send_text("GET /livez HTTP/1.1\r\n").await;
    let mut next = world.connect_admin().await;
    next.send_text(ALIVE).await;
    let begun = world.clock.boottime();
    assert_eq!(while_time_passes(&world, next.answer()).await.unwrap().status, 200);
    let took = world.clock.boottime().saturating_sub(begun);
    assert!((header_read_timeout..2 * header_read_timeout).contains(&took), "{took:?}");
    assert!(while_time_passes(&world, async { silent.closed().await && halting.closed().await }).await);
}

#[tokio::test]
async fn the_body_of_an_admin_request_is_bounded() {
    let world = World::new().await;
    let json = |bytes: usize| format!("\"{}\"", "x".repeat(bytes - 2));
    let chunks = |body: &str| format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    for (bytes, status, said) in [(BODY_MAX, 404, "answer Backup"), (BODY_MAX + 1, 400, "larger than 64 KiB")]
    {
        let body = json(bytes);
        let whole = back_up(&world, &format!("content-length: {bytes}"), &body).await;
        let in_chunks = back_up(&world, "transfer-encoding: chunked", &chunks(&body)).await;
        for answer in [whole, in_chunks] {
            assert_eq!(answer.status, status, "{bytes}");
            assert!(answer.text().contains(said), "{}", &answer.text()[..100]);
        }
    }
}

#[tokio::test]
async fn rules_that_can_be_set_can_be_previewed() {
    let world = World::new().await;
    for (bytes, status, said) in
        [(2 << 20, 404, "answer Lifecycle"), ((2 << 20) + 1, 400, "larger than 2048 KiB")]
    {
        let mut client = world.connect_admin().await;
        let body = format!("\"{}\"", "x".repeat(bytes - 2));
        let head = format!(
            "POST /v1/lifecycle HTTP/1.1\r\nhost: {{host}}\r\nauthorization: Bearer the-token\r\ncontent-length: {bytes}\r\n\r\n"
        );
        client.send_text(&(head + &body)).await;
        let answer = client.answer().await.unwrap();
        assert_eq!(answer.status, status, "{bytes}: {}", answer.text());
        assert!(answer.text().contains(said), "{}", &answer.text()[..100.min(answer.text().len())]);
    }
}

#[tokio::test]
async fn the_body_of_an_admin_request_has_30_seconds_however_it_drips() {
    let world = World::new().await;
    let mut bystander = world.connect_admin().await;
    let mut client = world.connect_admin().await;
    let head = "POST /v1/backup HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer the-token\r\n\
                content-length: 60\r\nexpect: 100-continue\r\n\r\n";
    client.send_text(head).await;
    // It is waited for, from now on.
    assert_eq!(client.answer().await.unwrap().status, 100);
    for _ in 0..29 {
        client.send_text(" ").await;
        world.clock.advance(Duration::from_secs(1));
        assert!(is_alive(&mut bystander).await);
    }
    world.clock.advance(Duration::from_millis(999));
    {
        let mut answer = Box::pin(client.answer());
        tokio::select! {
            biased;
            early = &mut answer => panic!("30 s are not over: {early:?}"),
            alive = is_alive(&mut bystander) => assert!(alive),
        }
        world.clock.advance(Duration::from_millis(1));
        let far_longer = async {
            for _ in 0..100 {
                assert!(is_alive(&mut bystander).await);
            }
        };
        let refused = tokio::select! {
            biased;
            refused = &mut answer => refused.unwrap(),
            () = far_longer => panic!("30 s are over"),
        };
        assert_eq!(refused.status, 408);
        assert!(refused.text().contains("within 30 s"), "{}", refused.text());
    }
    assert!(client.closed().await, "what still comes of the body is no request");
}
