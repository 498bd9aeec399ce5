//! HTTP/2 against a client that means harm: frames by hand, and a bound on each.

#![expect(clippy::unwrap_used, reason = "a test's world fails loudly")]

use crate::secured::{client, config, connect};
use crate::while_time_passes;
use crate::world::{World, call};
use rustls::version::TLS13;
use security::sign::PayloadHash;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf, split};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use web::Limits;

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
const REFUSED_STREAM: u32 = 7;

pub(crate) type Stream = TlsStream<TcpStream>;

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A header block of literals that nobody is to remember.
pub(crate) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let text = |out: &mut Vec<u8>, text: &str| {
        let mut length = text.len();
        if length < 127 {
            out.push(u8::try_from(length).unwrap());
        } else {
            out.push(127);
            length -= 127;
            while length >= 128 {
                out.push(u8::try_from(length % 128 + 128).unwrap());
                length /= 128;
            }
            out.push(u8::try_from(length).unwrap());
        }
        out.extend_from_slice(text.as_bytes());
    };
    let mut out = Vec::new();
    for (name, value) in fields {
        out.push(0);
        text(&mut out, name);
        text(&mut out, value);
    }
    out
}

/// The block of a signed GET.
pub(crate) fn get(world: &World, path: &str) -> Vec<u8> {
    signed(world, "GET", path)
}

/// The block of a signed request without a body.
pub(crate) fn signed(world: &World, method: &str, path: &str) -> Vec<u8> {
    let url = format!("https://{}{path}", world.http);
    let (mut head, ()) = http::Request::builder().method(method).uri(url).body(()).unwrap().into_parts();
    world.sign(&mut head, PayloadHash::Unsigned);
    let authority = world.http.to_string();
    let mut fields =
        vec![(":method", method), (":scheme", "https"), (":authority", authority.as_str()), (":path", path)];
    let others = head.headers.iter().filter(|(name, _)| *name != "host");
    fields.extend(others.map(|(name, value)| (name.as_str(), value.to_str().unwrap())));
    block(&fields)
}

/// Connects, and says `settings` (pairs of a number and a value).
pub(crate) async fn open(world: &World, settings: &[u8]) -> (Reader, WriteHalf<Stream>) {
    let (reader, mut writer) = split(connect(config(world, &[&TLS13], &["h2"]), world.http).await);
    writer.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    writer.write_all(&frame(SETTINGS, 0, 0, settings)).await.unwrap();
    writer.flush().await.unwrap();
    (Reader(reader), writer)
}

pub(crate) struct Reader(ReadHalf<Stream>);

#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl Reader {
    /// The next frame; `None` at the end, however it comes.
    pub(crate) async fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.0.read_exact(&mut head).await.ok()?;
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        self.0.read_exact(&mut payload).await.ok()?;
        Some(Frame {
            kind: head[3],
            stream: u32::from_be_bytes([head[5], head[6], head[7], head[8]]),
            payload,
        })
    }

    /// Everything that comes until the end.
    pub(crate) async fn rest(&mut self) -> Vec<Frame> {
        let mut frames = Vec::new();
        while let Some(frame) = self.next().await {
            frames.push(frame);
        }
        frames
    }
}

/// A frame that ends the stream says so; the connection goes on.
#[tokio::test]
async fn a_length_that_no_counter_holds_ends_its_stream() {
    let world = World::secured(Limits::default()).await;
    let (mut reader, mut writer) = open(&world, &[]).await;
    let authority = world.http.to_string();
    let put = block(&[
        (":method", "PUT"),
        (":scheme", "https"),
        (":authority", &authority),
        (":path", "/bucket/k"),
        ("content-length", "18446744073709551616"),
    ]);
    writer.write_all(&frame(HEADERS, END_HEADERS, 1, &put)).await.unwrap();
    writer.write_all(&frame(HEADERS, END_HEADERS | END_STREAM, 3, &get(&world, "/"))).await.unwrap();
    writer.flush().await.unwrap();
    let (mut reset, mut answered) = (false, false);
    while !(reset && answered) {
        let frame = reader.next().await.unwrap();
        reset |= frame.kind == RST_STREAM && frame.stream == 1;
        answered |= frame.kind == HEADERS && frame.stream == 3;
        assert!(frame.kind != GOAWAY && !(frame.kind == HEADERS && frame.stream == 1), "{frame:?}");
    }
}

/// Sends one piece after the other until the server takes no more or `most` are sent; how many that were.
async fn pour(writer: &mut WriteHalf<Stream>, most: usize, mut piece: impl FnMut(usize) -> Vec<u8>) -> usize {
    for sent in 0..most {
        if writer.write_all(&piece(sent)).await.is_err() || writer.flush().await.is_err() {
            return sent;
        }
        tokio::task::yield_now().await;
    }
    most
}

/// Pours until the server says that it is enough, or closes; that it does neither is a failure.
async fn pour_until_told(
    reader: &mut Reader,
    writer: &mut WriteHalf<Stream>,
    piece: impl FnMut(usize) -> Vec<u8>,
) -> Vec<Frame> {
    const MOST: usize = 20_000;
    let mut before = Vec::new();
    let told = async {
        while let Some(frame) = reader.next().await.filter(|frame| frame.kind != GOAWAY) {
            before.push(frame);
        }
    };
    tokio::select! {
        () = told => {}
        sent = pour(writer, MOST, piece) => assert!(sent < MOST, "all were taken"),
    }
    before
}

/// The server serves others as before.
pub(crate) async fn still_serves(world: &World) {
    let (mut reader, mut writer) = open(world, &[]).await;
    writer.write_all(&frame(HEADERS, END_STREAM | END_HEADERS, 1, &get(world, "/"))).await.unwrap();
    while reader.next().await.unwrap().kind != HEADERS {}
}

#[tokio::test]
async fn requests_that_are_reset_at_once_end_the_connection() {
    let world = World::secured(Limits::default()).await;
    let (mut reader, mut writer) = open(&world, &[]).await;
    let request = get(&world, "/");
    let reset = |number: usize| {
        let stream = u32::try_from(number * 2 + 1).unwrap();
        [
            frame(HEADERS, END_STREAM | END_HEADERS, stream, &request),
            frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()),
        ]
        .concat()
    };
    let before = pour_until_told(&mut reader, &mut writer, reset).await;
    assert!(before.len() < 1000, "{} frames", before.len());
    still_serves(&world).await;
}

#[tokio::test]
async fn requests_that_are_taken_back_later_end_the_connection_too() {
    let world = World::secured(Limits::default()).await;
    let (mut reader, mut writer) = open(&world, &[]).await;
    world.gate.set_open(false);
    // Each is let in (the ping behind it is answered), then reset: h2's own count never sees them.
    let request = get(&world, "/bucket/key");
    let mut taken_back = 0;
    'connection: for number in 0..1000_u32 {
        let stream = number * 2 + 1;
        let round = [
            frame(HEADERS, END_STREAM | END_HEADERS, stream, &request),
            frame(PING, 0, 0, &u64::from(number).to_be_bytes()),
        ];
        if writer.write_all(&round.concat()).await.is_err() || writer.flush().await.is_err() {
            break;
        }
        loop {
            match reader.next().await {
                Some(frame) if frame.kind == PING => break,
                Some(_) => {}
                None => break 'connection,
            }
        }
        if writer.write_all(&frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes())).await.is_err() {
            break;
        }
        taken_back += 1;
    }
    assert!((100..300).contains(&taken_back), "{taken_back}");
    world.gate.set_open(true);
    still_serves(&world).await;
}

#[tokio::test]
async fn a_header_block_without_end_ends_the_connection() {
    let world = World::secured(Limits::default()).await;
    for piece in [block(&[("x-a", &"v".repeat(1000))]), Vec::new()] {
        let (mut reader, mut writer) = open(&world, &[]).await;
        writer.write_all(&frame(HEADERS, END_STREAM, 1, &get(&world, "/"))).await.unwrap();
        let more = frame(CONTINUATION, 0, 1, &piece);
        let frames = pour_until_told(&mut reader, &mut writer, |_| more.clone()).await;
        assert!(frames.iter().all(|frame| frame.kind != DATA), "it is no request");
    }
    still_serves(&world).await;
}

#[tokio::test]
async fn a_client_that_floods_and_reads_nothing_is_cut_off() {
    let world = World::secured(Limits::default()).await;
    for flood in [frame(PING, 0, 0, &[7; 8]), frame(SETTINGS, 0, 0, &[0, 4, 0, 1, 0, 0])] {
        let (_reader, mut writer) = open(&world, &[]).await;
        let many = flood.repeat(1000);
        // Answers that nobody takes stop the server's reading, and in the end its patience.
        let sent = while_time_passes(&world, pour(&mut writer, 100_000, |_| many.clone())).await;
        assert!(sent < 100_000, "all were taken");
    }
    still_serves(&world).await;
}

#[tokio::test]
async fn a_stream_that_is_never_read_is_cut_off_though_its_connection_lives() {
    let world = World::secured(Limits::default()).await;
    let mut plain = client(&world, &["http/1.1"]).await;
    assert_eq!(call(&world, &mut plain, ("PUT", "/bucket"), &[], b"").await.status, 200);
    let put = call(&world, &mut plain, ("PUT", "/bucket/key"), &[], &vec![b'x'; 100_000]).await;
    assert_eq!(put.status, 200);
    // A window that never opens (INITIAL_WINDOW_SIZE = 0), and pings that say that somebody is there.
    let (mut reader, mut writer) = open(&world, &[0, 4, 0, 0, 0, 0]).await;
    let request = get(&world, "/bucket/key");
    writer.write_all(&frame(HEADERS, END_STREAM | END_HEADERS, 1, &request)).await.unwrap();
    let pings = async {
        loop {
            if writer.write_all(&frame(PING, 0, 0, &[7; 8])).await.is_err() || writer.flush().await.is_err() {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    let (frames, ()) = while_time_passes(&world, async { tokio::join!(reader.rest(), pings) }).await;
    assert!(frames.iter().any(|frame| frame.kind == HEADERS), "the answer began");
    assert!(frames.iter().all(|frame| frame.kind != DATA));
}

#[tokio::test]
async fn streams_take_the_places_of_connections() {
    let world = World::secured(Limits { connections_max: 1, ..Limits::default() }).await;
    let (mut reader, mut writer) = open(&world, &[]).await;
    world.gate.set_open(false);
    // The first of them takes the connection's own place, and the door has no other.
    let request = get(&world, "/bucket/key");
    for stream in [1, 3] {
        writer.write_all(&frame(HEADERS, END_STREAM | END_HEADERS, stream, &request)).await.unwrap();
    }
    // No bucket is looked up for this one, so that the gate would not stop it.
    let unsigned = block(&[
        (":method", "GET"),
        (":scheme", "https"),
        (":authority", &world.http.to_string()),
        (":path", "/%zz"),
    ]);
    writer.write_all(&frame(HEADERS, END_STREAM | END_HEADERS, 5, &unsigned)).await.unwrap();
    for number in 0..100_u64 {
        writer.write_all(&frame(PING, 0, 0, &number.to_be_bytes())).await.unwrap();
        writer.flush().await.unwrap();
        let next = loop {
            let frame = reader.next().await.unwrap();
            if matches!(frame.kind, PING | HEADERS) {
                break frame.kind;
            }
        };
        assert_eq!(next, PING, "an answer came while the one place was taken");
    }
    world.gate.set_open(true);
    let mut answered = Vec::new();
    while answered.len() < 3 {
        let frame = reader.next().await.unwrap();
        if frame.kind == HEADERS {
            answered.push(frame.stream);
        }
    }
    assert_eq!(answered, [1, 3, 5], "one after the other");
}

#[tokio::test]
async fn streams_are_bounded_and_one_more_is_refused() {
    let limits = Limits { streams_max: 4, ..Limits::default() };
    let world = World::secured(limits).await;
    let (mut reader, mut writer) = open(&world, &[]).await;
    world.gate.set_open(false);
    let request = get(&world, "/bucket/key");
    for stream in [1, 3, 5, 7, 9] {
        writer.write_all(&frame(HEADERS, END_STREAM | END_HEADERS, stream, &request)).await.unwrap();
    }
    writer.flush().await.unwrap();
    let refused = loop {
        let frame = reader.next().await.unwrap();
        if frame.kind == RST_STREAM {
            break frame;
        }
        assert_ne!(frame.kind, HEADERS, "nobody is answered behind a shut gate");
    };
    assert_eq!((refused.stream, &refused.payload[..]), (9, &REFUSED_STREAM.to_be_bytes()[..]));
    world.gate.set_open(true);
    let mut answered = Vec::new();
    while answered.len() < 4 {
        let frame = reader.next().await.unwrap();
        if frame.kind == HEADERS {
            answered.push(frame.stream);
        }
    }
    answered.sort_unstable();
    assert_eq!(answered, [1, 3, 5, 7]);
}
