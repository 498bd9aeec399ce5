//! What one HTTP/2 connection may make the server hold: announced, and kept to the byte.

#![expect(clippy::unwrap_used, reason = "a test's world fails loudly")]

use crate::floods::{
    DATA, END_HEADERS, END_STREAM, Frame, GOAWAY, HEADERS, PING, RST_STREAM, Reader, SETTINGS, Stream, block,
    frame, get, open, still_serves,
};
use crate::secured::{config, connect};
use crate::while_time_passes;
use crate::world::World;
use engine::clock::Clock as _;
use rustls::version::TLS13;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, WriteHalf};
use web::Limits;

const WINDOW_UPDATE: u8 = 8;
const ACK: u8 = 1;
const PROTOCOL_ERROR: u32 = 1;
const FLOW_CONTROL_ERROR: u32 = 3;
const ENHANCE_YOUR_CALM: u32 = 11;
/// The largest frame that is taken.
const FRAME: usize = 16 << 10;

fn number(payload: &[u8]) -> u32 {
    u32::from_be_bytes(*payload.first_chunk().unwrap())
}

/// A connection on which the client has agreed to what the server announced: its settings, and what it adds to the
/// connection's window.
async fn agreed(world: &World) -> (Reader, WriteHalf<Stream>, BTreeMap<u16, u32>, u32) {
    let (mut reader, mut writer) = open(world, &[]).await;
    let (mut settings, mut added) = (None, None);
    while settings.is_none() || added.is_none() {
        let frame = reader.next().await.unwrap();
        match (frame.kind, &frame.payload[..]) {
            (SETTINGS, said @ [_, ..]) => {
                let pairs = said.chunks_exact(6);
                let pairs = pairs.map(|pair| (u16::from_be_bytes([pair[0], pair[1]]), number(&pair[2..])));
                settings = Some(pairs.collect());
            }
            (WINDOW_UPDATE, said) if frame.stream == 0 => added = Some(number(said)),
            _ => {}
        }
    }
    writer.write_all(&frame(SETTINGS, ACK, 0, &[])).await.unwrap();
    (reader, writer, settings.unwrap(), added.unwrap())
}

/// Sends these, and what comes of them until the connection is over or two pings are answered: an answer to a ping overtakes what
/// else is to be said, that to the next does not.
async fn told(reader: &mut Reader, writer: &mut WriteHalf<Stream>, frames: &[u8]) -> Vec<Frame> {
    let ping = frame(PING, 0, 0, &[7; 8]);
    let mut told = Vec::new();
    for sent in [&[frames, &ping].concat(), &ping] {
        if writer.write_all(sent).await.is_err() || writer.flush().await.is_err() {
            break;
        }
        while let Some(frame) = reader.next().await.filter(|frame| frame.kind != PING) {
            told.push(frame);
        }
    }
    told
}

/// The streams that were reset, each with its reason.
fn resets(told: &[Frame]) -> Vec<(u32, u32)> {
    let resets = told.iter().filter(|frame| frame.kind == RST_STREAM);
    resets.map(|frame| (frame.stream, number(&frame.payload))).collect()
}

/// Why the connection ends, if it does.
fn goodbye(told: &[Frame]) -> Option<(u32, &str)> {
    let last = told.iter().find(|frame| frame.kind == GOAWAY)?;
    Some((number(&last.payload[4..]), std::str::from_utf8(&last.payload[8..]).unwrap()))
}

#[tokio::test]
async fn what_a_connection_may_hold_is_announced() {
    let world = World::secured(Limits::default()).await;
    let (_reader, _writer, settings, added) = agreed(&world).await;
    let expected = [
        (1, 4 << 10),  // HEADER_TABLE_SIZE
        (3, 128),      // MAX_CONCURRENT_STREAMS
        (4, 1 << 20),  // INITIAL_WINDOW_SIZE
        (5, 16 << 10), // MAX_FRAME_SIZE
        (6, 64 << 10), // MAX_HEADER_LIST_SIZE
    ];
    assert_eq!(settings, BTreeMap::from(expected));
    assert_eq!(added, (2 << 20) - 65_535, "to the window that every connection begins with");
}

#[tokio::test]
async fn bodies_that_nobody_reads_yet_are_bounded_by_stream_and_by_connection() {
    let world = World::secured(Limits::default()).await;
    world.gate.set_open(false);
    let request = get(&world, "/bucket/key");
    let window = |stream: u32| {
        let mut all = frame(HEADERS, END_HEADERS, stream, &request);
        all.extend(frame(DATA, 0, stream, &[0; FRAME]).repeat((1 << 20) / FRAME));
        all
    };
    let (mut reader, mut writer, ..) = agreed(&world).await;
    let whole = told(&mut reader, &mut writer, &window(1)).await;
    assert_eq!((resets(&whole), goodbye(&whole)), (Vec::new(), None));
    let beyond = told(&mut reader, &mut writer, &frame(DATA, 0, 1, &[0])).await;
    assert_eq!((resets(&beyond), goodbye(&beyond)), (vec![(1, FLOW_CONTROL_ERROR)], None));

    let (mut reader, mut writer, ..) = agreed(&world).await;
    let both = told(&mut reader, &mut writer, &[window(1), window(3)].concat()).await;
    assert_eq!((resets(&both), goodbye(&both)), (Vec::new(), None));
    let third = [frame(HEADERS, END_HEADERS, 5, &request), frame(DATA, 0, 5, &[0])].concat();
    let beyond = told(&mut reader, &mut writer, &third).await;
    assert_eq!(goodbye(&beyond).map(|(reason, _)| reason), Some(FLOW_CONTROL_ERROR), "{beyond:?}");
    world.gate.set_open(true);
    still_serves(&world).await;
}

#[tokio::test]
async fn streams_that_are_reset_before_they_are_seen_are_bounded() {
    let world = World::secured(Limits::default()).await;
    let authority = world.http.to_string();
    let request =
        block(&[(":method", "GET"), (":scheme", "https"), (":authority", &authority), (":path", "/")]);
    for (count, reason) in [(20, None), (21, Some((ENHANCE_YOUR_CALM, "too_many_resets")))] {
        let (mut reader, mut writer, ..) = agreed(&world).await;
        let at_once: Vec<u8> = (0..count)
            .flat_map(|number| {
                let stream = number * 2 + 1;
                let begun = frame(HEADERS, END_STREAM | END_HEADERS, stream, &request);
                [begun, frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes())].concat()
            })
            .collect();
        assert_eq!(goodbye(&told(&mut reader, &mut writer, &at_once).await), reason, "{count}");
    }
}

#[tokio::test]
async fn streams_that_the_server_resets_for_the_clients_errors_are_bounded() {
    let world = World::secured(Limits::default()).await;
    let (mut reader, mut writer, ..) = agreed(&world).await;
    // No request of HTTP/2 speaks of its connection.
    let authority = world.http.to_string();
    let malformed = block(&[
        (":method", "GET"),
        (":scheme", "https"),
        (":authority", &authority),
        (":path", "/"),
        ("connection", "close"),
    ]);
    for number in 0..128_u32 {
        let stream = number * 2 + 1;
        let one = frame(HEADERS, END_STREAM | END_HEADERS, stream, &malformed);
        let refused = told(&mut reader, &mut writer, &one).await;
        assert_eq!((resets(&refused), goodbye(&refused)), (vec![(stream, PROTOCOL_ERROR)], None));
    }
    let one = frame(HEADERS, END_STREAM | END_HEADERS, 257, &malformed);
    let enough = told(&mut reader, &mut writer, &one).await;
    assert_eq!(goodbye(&enough), Some((ENHANCE_YOUR_CALM, "too_many_internal_resets")));
}

#[tokio::test]
async fn the_table_that_headers_are_compressed_against_does_not_grow() {
    let world = World::secured(Limits::default()).await;
    let (mut reader, mut writer, ..) = agreed(&world).await;
    let request = get(&world, "/");
    // HPACK: from now on the table has 4,096 bytes, or one more.
    for (stream, resize, taken) in [(1, [0x3f, 0xe1, 0x1f], true), (3, [0x3f, 0xe2, 0x1f], false)] {
        let block = [&resize[..], &request].concat();
        writer.write_all(&frame(HEADERS, END_STREAM | END_HEADERS, stream, &block)).await.unwrap();
        writer.flush().await.unwrap();
        let answer = loop {
            let frame = reader.next().await.unwrap();
            if matches!(frame.kind, HEADERS | GOAWAY) {
                break frame.kind;
            }
        };
        assert_eq!(answer == HEADERS, taken, "{resize:?}");
    }
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    // The shorter of the two, far longer than a test's time passes while bytes are on their way.
    let [short, long] = [1, 20].map(Duration::from_hours);
    for (header_read_timeout, write_idle_timeout) in [(short, long), (long, short)] {
        let limits = Limits { header_read_timeout, write_idle_timeout, ..Limits::default() };
        let world = World::secured(limits).await;
        let (mut reader, _writer) = open(&world, &[]).await;
        let begun = world.clock.boottime();
        let frames = while_time_passes(&world, reader.rest()).await;
        assert!(frames.iter().any(|frame| frame.kind == GOAWAY), "it is told: {frames:?}");
        let took = world.clock.boottime().saturating_sub(begun);
        // Told after one period, cut after another if it does not go.
        assert!((short..3 * short).contains(&took), "{took:?}");
        // One that says nothing at all after the handshake, too.
        let mut silent = connect(config(&world, &[&TLS13], &["h2"]), world.http).await;
        let begun = world.clock.boottime();
        let mut all = Vec::new();
        let _reset_or_end = while_time_passes(&world, silent.read_to_end(&mut all)).await;
        let took = world.clock.boottime().saturating_sub(begun);
        assert!((short..3 * short).contains(&took), "{took:?}");
    }
}
