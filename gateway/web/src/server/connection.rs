//! One connection: TLS where the door has it, then HTTP/1.1 or HTTP/2, each with its bounds said here.

use super::io::TimedIo;
use super::refusal::{Refuse, Refused, Refusing, Tracked, Turn, wire_form};
use super::standing::Standing;
use super::streams::{Handover, Look, Watch};
use super::timer::ClockTimer;
use super::{Door, Handler, Peer, Tls, raised, tls};
use bytes::Bytes;
use engine::clock::Clock;
use futures_util::FutureExt;
use http::header::CONNECTION;
use http::{HeaderValue, Request, Response, StatusCode, Version};
use http_body_util::{Either, Full};
use hyper::body::{Body, Incoming};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Bytes hyper buffers of one HTTP/1.1 connection at most; also the largest piece of a body it hands on at once.
const READ_BUFFER_MAX: usize = 256 << 10;
/// Where hyper itself cuts a header section off; ours (S3's code) comes first, at `Limits::header_section_max`.
const HEADER_SECTION_HARD_MAX: u32 = 64 << 10;
/// Header fields of one HTTP/1.1 request; on HTTP/2 the guard counts them.
const HEADER_FIELDS_MAX: usize = 128;

/// Bytes of request bodies that one HTTP/2 stream, and one connection, may send ahead of their readers.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 2 << 20;
/// Bytes of one HTTP/2 frame; with the header section's bound it also bounds CONTINUATION frames (h2: a quarter more than fit).
const FRAME_MAX: u32 = 16 << 10;
/// Bytes of one stream's answer that wait to be framed.
const SEND_BUFFER_MAX: usize = 256 << 10;
/// Streams that a client has reset before we looked at them (rapid reset); one more ends the connection.
const RESETS_PENDING_MAX: usize = 20;
/// Streams that we have reset for the client's errors; one more ends the connection.
const RESETS_OF_OURS_MAX: usize = 128;
/// Bytes of the table that header fields are compressed against.
const HEADER_TABLE_MAX: u32 = 4 << 10;

type Boxed = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Serves a connection until its end, or until the door has stopped and its open requests are answered.
pub(super) async fn serve<H: Handler>(
    door: Arc<Door>,
    (stream, ip): (TcpStream, IpAddr),
    (standing, stopped): (Standing, watch::Receiver<bool>),
    handler: impl Fn(Peer) -> H + Send + 'static,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "failed to set TCP_NODELAY");
    }
    if let Some(acceptor) = door.tls.clone() {
        // Boxed, so that connections without TLS are no larger for it.
        let secured: Boxed = Box::pin(serve_tls(door, acceptor, (stream, ip), (standing, stopped), handler));
        secured.await;
    } else {
        let timed = TimedIo::new(stream, door.state.clock.clone(), door.config.limits.write_idle_timeout);
        serve_http1(door, timed, (standing, stopped), handler(Peer { ip, tls: None })).await;
    }
}

/// How a handshake ends.
enum Opened {
    Tls(Box<TlsStream<TimedIo>>),
    /// The client spoke HTTP.
    Plain(TimedIo),
}

async fn serve_tls<H: Handler>(
    door: Arc<Door>,
    acceptor: TlsAcceptor,
    (stream, ip): (TcpStream, IpAddr),
    (standing, mut stopped): (Standing, watch::Receiver<bool>),
    handler: impl Fn(Peer) -> H + Send + 'static,
) {
    let (clock, limits) = (door.state.clock.clone(), &door.config.limits);
    let write_idle = limits.write_idle_timeout;
    let opened = tokio::select! {
        opened = open(&acceptor, stream, clock.clone(), write_idle) => opened,
        () = clock.sleep(limits.handshake_timeout) => Err(io::ErrorKind::TimedOut.into()),
        () = raised(&mut stopped) => return,
    };
    match opened {
        Ok(Opened::Tls(stream)) if stream.get_ref().1.alpn_protocol() == Some(tls::H2) => {
            let peer = Peer { ip, tls: Some(Tls::of(stream.get_ref().1)) };
            serve_http2(door, stream, (standing, stopped), handler(peer)).await;
        }
        Ok(Opened::Tls(stream)) => {
            let peer = Peer { ip, tls: Some(Tls::of(stream.get_ref().1)) };
            serve_http1(door, stream, (standing, stopped), handler(peer)).await;
        }
        Ok(Opened::Plain(stream)) => {
            if let Err(error) = tell_plain(&door, stream).await {
                tracing::debug!(%error, "a client that spoke plain HTTP to a TLS port did not wait to be told");
            }
        }
        // The client's doing: it speaks no TLS, an old one, or does not believe the certificate.
        Err(error) => tracing::debug!(%error, "TLS handshake failed"),
    }
}

async fn open(
    acceptor: &TlsAcceptor,
    stream: TcpStream,
    clock: Arc<dyn Clock>,
    write_idle: std::time::Duration,
) -> io::Result<Opened> {
    let mut first = [0];
    stream.peek(&mut first).await?;
    let timed = TimedIo::new(stream, clock, write_idle);
    // TLS begins with a record of type 22; requests begin with a method.
    if first[0].is_ascii_uppercase() {
        return Ok(Opened::Plain(timed));
    }
    Ok(Opened::Tls(Box::new(acceptor.accept(timed).await?)))
}

/// Tells a client that its endpoint lacks an `s`.
async fn tell_plain(door: &Door, mut stream: TimedIo) -> io::Result<()> {
    let answer = if let Some(refuse) = door.refuse {
        refuse(&door.state, Refused::Status(StatusCode::UPGRADE_REQUIRED))
    } else {
        let mut answer = Response::new(Bytes::from_static(b"this port speaks TLS: use https://\n"));
        *answer.status_mut() = StatusCode::BAD_REQUEST;
        answer
    };
    stream.write_all(&wire_form(&answer)).await?;
    stream.shutdown().await
}

async fn serve_http1(
    door: Arc<Door>,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send,
    (standing, mut stopped): (Standing, watch::Receiver<bool>),
    handler: impl Handler,
) {
    let limits = &door.config.limits;
    let (turn, refusing) = (Turn::default(), Arc::clone(&door));
    let refuse =
        door.refuse.map(|refuse| Box::new(move |refused| refuse(&refusing.state, refused)) as Refuse);
    let stream = Refusing::new(stream, turn.clone(), refuse);
    let mut http1 = http1::Builder::new();
    http1
        .timer(ClockTimer::new(door.state.clock.clone()))
        .header_read_timeout(limits.header_read_timeout)
        .max_buf_size(READ_BUFFER_MAX)
        .max_header_size(HEADER_SECTION_HARD_MAX as usize)
        .max_headers(HEADER_FIELDS_MAX)
        .half_close(true)
        .auto_date_header(true);
    let service = service_fn(|request| {
        let ended = turn.begin();
        let answer = handler.handle((door.config.clone(), door.state.clone()), standing.clone(), request);
        contained(&door, answer, Version::HTTP_11)
            .map(|answer| Ok::<_, Infallible>(answer.map(|body| Tracked { body, _ended: ended })))
    });
    let mut connection = pin!(http1.serve_connection(TokioIo::new(stream), service));
    let outcome = tokio::select! {
        outcome = connection.as_mut() => outcome,
        () = raised(&mut stopped) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    ended(outcome);
}

/// Every bound of an HTTP/2 connection that is h2's to keep.
fn bounded_http2(streams: Handover, streams_max: u32) -> http2::Builder<Handover> {
    let mut http2 = http2::Builder::new(streams);
    http2
        .max_concurrent_streams(streams_max)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(FRAME_MAX)
        .max_header_list_size(HEADER_SECTION_HARD_MAX)
        .header_table_size(HEADER_TABLE_MAX)
        .max_send_buf_size(SEND_BUFFER_MAX)
        .max_pending_accept_reset_streams(RESETS_PENDING_MAX)
        .max_local_error_reset_streams(RESETS_OF_OURS_MAX)
        .auto_date_header(true);
    http2
}

async fn serve_http2(
    door: Arc<Door>,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    (standing, mut stopped): (Standing, watch::Receiver<bool>),
    handler: impl Handler,
) {
    let limits = &door.config.limits;
    let period = limits.header_read_timeout.min(limits.write_idle_timeout);
    // Room for all that may be open, and as many again that were reset before the task got to them.
    let (handover, mut begun) = mpsc::channel(limits.streams_max as usize * 2);
    let http2 = bounded_http2(Handover(handover), limits.streams_max);
    let watch = Watch::new(Arc::clone(&door.places));
    let watching = Arc::clone(&watch);
    let serving = Arc::clone(&door);
    let service = service_fn(move |request: Request<Incoming>| {
        let (begun, door, handler) = (watching.begin(), Arc::clone(&serving), handler.clone());
        let standing = standing.of_stream(begun.stream());
        async move {
            let method = request.method().clone();
            begun.admitted().await;
            let answer = handler.handle((door.config.clone(), door.state.clone()), standing, request);
            let answer = contained(&door, answer, Version::HTTP_2).await;
            Ok::<_, Infallible>(begun.answered(answer, &method))
        }
    });
    let mut connection = pin!(http2.serve_connection(TokioIo::new(stream), service));
    let mut streams = JoinSet::new();
    let clock = &door.state.clock;
    let mut next_look = pin!(clock.sleep(period));
    let mut leaving = false;
    let outcome = loop {
        tokio::select! {
            outcome = connection.as_mut() => break outcome,
            Some(stream) = begun.recv() => {
                streams.spawn(stream);
            }
            Some(stream) = streams.join_next(), if !streams.is_empty() => super::report(stream, door.name),
            () = raised(&mut stopped), if !leaving => {
                leaving = true;
                connection.as_mut().graceful_shutdown();
            }
            () = watch.flooded.notified() => {
                tracing::debug!("connection cut: more requests were taken back than answered");
                return;
            }
            () = next_look.as_mut() => {
                next_look.set(clock.sleep(period));
                match watch.look() {
                    Look::Busy => {}
                    Look::Idle if !leaving => {
                        leaving = true;
                        connection.as_mut().graceful_shutdown();
                    }
                    look @ (Look::Idle | Look::Stalled) => {
                        tracing::debug!(?look, "connection cut: nothing moves on it");
                        return;
                    }
                }
            }
        }
    };
    ended(outcome);
}

fn ended(outcome: Result<(), hyper::Error>) {
    if let Err(error) = outcome {
        // The client's doing (reset, timeout, bad head); what concerns the store was logged where it happened.
        tracing::debug!(%error, "connection ended early");
    }
}

/// The handler's answer. A panic on the way costs this request (500) and, on HTTP/1.1, its connection, not the other clients: what
/// a handler shares with others it may leave at any await, for every client may go at any time.
///
/// By combinators, for an `async` block that waits for a future which it was given holds it twice: here and above, where hyper
/// moves each request's future into place, that was 40 KiB to be moved a request.
fn contained<B: Body>(
    door: &Door,
    answer: impl Future<Output = Response<B>>,
    version: Version,
) -> impl Future<Output = Response<Either<B, Full<Bytes>>>> {
    AssertUnwindSafe(answer).catch_unwind().map(move |outcome| match outcome {
        Ok(answer) => answer.map(Either::Left),
        Err(_) => broken(door, version).map(|document| Either::Right(Full::new(document))),
    })
}

/// The answer to a request that panicked.
fn broken(door: &Door, version: Version) -> Response<Bytes> {
    tracing::error!(
        door = door.name,
        "a request panicked: it is answered 500; its message is on standard error"
    );
    let mut failed = match door.refuse {
        Some(refuse) => refuse(&door.state, Refused::Status(StatusCode::INTERNAL_SERVER_ERROR)),
        None => Response::new(Bytes::new()),
    };
    *failed.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    if version != Version::HTTP_2 {
        failed.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    failed
}

#[cfg(test)]
mod tests {
    use super::{Handover, SEND_BUFFER_MAX, bounded_http2};
    use bytes::Bytes;
    use futures_util::stream;
    use http::Response;
    use http_body::Frame;
    use http_body_util::StreamBody;
    use hyper::service::service_fn;
    use hyper_util::rt::TokioIo;
    use std::convert::Infallible;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::io::AsyncWriteExt;
    use tokio::sync::mpsc;
    use tokio::task::JoinSet;

    /// A client that takes all windows there are, asks, and then reads nothing.
    const ASKS: &[&[u8]] = &[
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        // SETTINGS: streams have a window of 2 GiB.
        &[0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 4, 0x7f, 0xff, 0xff, 0xff],
        // WINDOW_UPDATE: the connection has, too.
        &[0, 0, 4, 8, 0, 0, 0, 0, 0, 0x7f, 0xff, 0, 0],
        // HEADERS, the last of stream 1: GET https://a/
        &[0, 0, 6, 1, 5, 0, 0, 0, 1, 0x82, 0x87, 0x84, 0x41, 1, b'a'],
    ];
    const PIECE: usize = 16 << 10;

    #[tokio::test]
    async fn of_an_answer_that_nobody_takes_only_the_send_buffer_is_read() {
        let (handover, mut begun) = mpsc::channel(1);
        let (door, mut client) = tokio::io::duplex(1 << 10);
        let read = Arc::new(AtomicUsize::new(0));
        let counting = Arc::clone(&read);
        let service = service_fn(move |_| {
            let counting = Arc::clone(&counting);
            let pieces = stream::iter((0..4096).map(move |_| {
                counting.fetch_add(PIECE, Ordering::Relaxed);
                Ok::<_, Infallible>(Frame::data(Bytes::from_static(&[7; PIECE])))
            }));
            async { Ok::<_, Infallible>(Response::new(StreamBody::new(pieces))) }
        });
        let http2 = bounded_http2(Handover(handover), 1);
        let mut connection = std::pin::pin!(http2.serve_connection(TokioIo::new(door), service));
        let mut streams = JoinSet::new();
        let mut asking = std::pin::pin!(async {
            client.write_all(&ASKS.concat()).await.unwrap();
            for _ in 0..1000 {
                tokio::task::yield_now().await;
            }
        });
        loop {
            tokio::select! {
                ended = connection.as_mut() => panic!("{ended:?}"),
                Some(stream) = begun.recv() => drop(streams.spawn(stream)),
                Some(stream) = streams.join_next(), if !streams.is_empty() => stream.unwrap(),
                () = asking.as_mut() => break,
            }
        }
        // One piece may be on its way into a full buffer, another waits before it.
        let read = read.load(Ordering::Relaxed);
        assert!((SEND_BUFFER_MAX..=SEND_BUFFER_MAX + 2 * PIECE).contains(&read), "{read}");
    }
}
