//! Words for what hyper refuses by itself.
//!
//! A head that hyper can not read (broken, too long, too many fields) never becomes a request: hyper answers it with a bare
//! 400, 414 or 431 and closes. S3 sends an error document. hyper has no place to say so, but its stream knows whose turn it
//! is to write:
//!
//! ```text
//!   Idle ── a request is handed to the door ──► Answering ── its answer's body is done with ──► Flushing
//!     ▲                                                                                            │
//!     └───────────────────────── hyper has flushed, so its buffer is empty ◄─────────────────────────┘
//! ```
//!
//! What is written while `Idle` is no answer of ours, so it is a refusal, and the door's own goes out in its stead.
//!
//! hyper calls a `content-length` that fits no counter of its a head that is too long. So the heads that come while `Idle` are looked
//! through for one ([`LengthWatch`], 64 bytes of a line), and the refusal says it. A head in one read with the request before it is
//! not looked at, and keeps hyper's word: where it begins is hyper's to know.
//!
//! A refusal always finds the connection `Idle`, also where the broken head came in one write with the request before it. hyper
//! looks at the next head when it has read the last request to its end and has written the last answer to its end; it
//! notices the second when its buffer is flushed, or when the first comes later. The first never comes later: the door
//! answers a request whose body it has not seen the end of with `connection: close`, behind which hyper reads no head
//! (`RequestBody::settle`). Were it otherwise, hyper would put the refusal ahead of what it still holds of the answer's body.

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use std::io::{self, BufRead, Cursor};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What is refused before it is a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// For what hyper says with this status.
    Status(StatusCode),
    /// A `content-length` is more than any counter of bytes holds.
    LengthTooLarge,
}

/// Makes a door's refusal.
pub(super) type Refuse = Box<dyn FnOnce(Refused) -> Response<Bytes> + Send>;

const IDLE: u32 = 0;
const ANSWERING: u32 = 1;
const FLUSHING: u32 = 2;
/// The bits of the three; above them requests are counted, and begin anew some time.
const STATES: u32 = 3;

/// Whose bytes a connection writes. One task owns a connection, so the orderings are of no concern.
#[derive(Clone, Debug, Default)]
pub(super) struct Turn(Arc<AtomicU32>);

impl Turn {
    /// A request was handed to the door.
    pub(super) fn begin(&self) -> Ended {
        self.enter(ANSWERING, 1);
        Ended(self.clone())
    }

    fn enter(&self, state: u32, requests: u32) {
        let count = (self.requests() + requests).wrapping_mul(STATES + 1);
        self.0.store(count | state, Ordering::Relaxed);
    }

    fn state(&self) -> u32 {
        self.0.load(Ordering::Relaxed) & STATES
    }

    /// Requests so far.
    fn requests(&self) -> u32 {
        self.0.load(Ordering::Relaxed) / (STATES + 1)
    }

    /// hyper's buffer is empty.
    pub(super) fn flushed(&self) {
        if self.state() == FLUSHING {
            self.enter(IDLE, 0);
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.state() == IDLE
    }
}

/// Dropped when the door's answer is done with.
#[derive(Debug)]
pub(super) struct Ended(Turn);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.enter(FLUSHING, 0);
    }
}

/// An answer's body that tells when it is done with.
pub(super) struct Tracked<B> {
    pub(super) body: B,
    pub(super) _ended: Ended,
}

impl<B: Body + Unpin> Body for Tracked<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A stream under HTTP/1.1 that puts the door's refusals in the place of hyper's.
pub(super) struct Refusing<S> {
    stream: S,
    turn: Turn,
    refuse: Option<Refuse>,
    lengths: LengthWatch,
    /// Our refusal, as far as it is not yet sent. hyper's own was swallowed.
    refusal: Option<Cursor<Vec<u8>>>,
}

impl<S: AsyncWrite + Unpin> Refusing<S> {
    /// `refuse` makes the words for what hyper refuses while it is nobody else's `turn`.
    pub(super) fn new(stream: S, turn: Turn, refuse: Option<Refuse>) -> Self {
        Self { stream, turn, refuse, lengths: LengthWatch::default(), refusal: None }
    }

    /// Whether these bytes of hyper's are a refusal of its own, which ours then replaces.
    fn replaces(&mut self, head: &[u8]) -> bool {
        if self.turn.is_idle() && self.refusal.is_none() {
            let status = status_of(head).filter(StatusCode::is_client_error);
            let does_not_fit = self.lengths.does_not_fit && self.lengths.request == self.turn.requests();
            let refused = status
                .map(|status| if does_not_fit { Refused::LengthTooLarge } else { Refused::Status(status) });
            if let Some((refuse, refused)) = self.refuse.take_if(|_| refused.is_some()).zip(refused) {
                self.refusal = Some(Cursor::new(wire_form(&refuse(refused))));
            }
        }
        self.refusal.is_some()
    }

    /// Sends what is left of our refusal.
    fn poll_refusal(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(refusal) = &mut self.refusal {
            let left = refusal.fill_buf()?;
            if left.is_empty() {
                break;
            }
            let sent = ready!(Pin::new(&mut self.stream).poll_write(cx, left))?;
            refusal.consume(sent);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Refusing<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let outcome = Pin::new(&mut this.stream).poll_read(cx, buf);
        if this.refuse.is_some() && this.turn.is_idle() {
            this.lengths.look(this.turn.requests(), buf.filled().get(before..).unwrap_or_default());
        }
        outcome
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Refusing<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[io::IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.replaces(bufs.first().map_or(&[], |first| first)) {
            return Poll::Ready(Ok(bufs.iter().map(|buf| buf.len()).sum()));
        }
        Pin::new(&mut this.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_refusal(cx))?;
        let outcome = Pin::new(&mut this.stream).poll_flush(cx);
        if outcome.is_ready() {
            this.turn.flushed();
        }
        outcome
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_refusal(cx))?;
        Pin::new(&mut this.stream).poll_shutdown(cx)
    }
}

/// The most that hyper counts.
const LENGTH_MAX: u64 = u64::MAX - 2;
/// Bytes of a line that are looked at.
const LINE_BYTES: usize = 64;
const CONTENT_LENGTH: &[u8] = b"content-length:";

/// Looks through a head, as it comes, for a length that does not fit.
#[derive(Debug)]
struct LengthWatch {
    /// Of which request the head is.
    request: u32,
    line: [u8; LINE_BYTES],
    /// Bytes of the line so far, also those that are not kept.
    len: usize,
    /// A line of the head was seen; the head's last one was.
    begun: bool,
    over: bool,
    does_not_fit: bool,
}

impl Default for LengthWatch {
    fn default() -> Self {
        Self { request: 0, line: [0; LINE_BYTES], len: 0, begun: false, over: false, does_not_fit: false }
    }
}

impl LengthWatch {
    /// The next bytes of the head of this request.
    fn look(&mut self, request: u32, bytes: &[u8]) {
        if request != self.request {
            *self = Self { request, ..Self::default() };
        }
        let mut lines = bytes;
        while !self.over && !lines.is_empty() {
            let end = lines.iter().position(|byte| *byte == b'\n');
            let (line, rest) = lines.split_at(end.map_or(lines.len(), |end| end + 1));
            lines = rest;
            let kept = self.len.min(LINE_BYTES);
            let more = line.len().min(LINE_BYTES - kept);
            self.line[kept..kept + more].copy_from_slice(&line[..more]);
            self.len += line.len();
            if end.is_some() {
                self.end_line();
            }
        }
    }

    fn end_line(&mut self) {
        let line = self.line[..self.len.min(LINE_BYTES)].trim_ascii();
        // Empty lines before a request belong to no head.
        self.over = self.begun && line.is_empty();
        self.begun |= !line.is_empty();
        let name = line.get(..CONTENT_LENGTH.len());
        if name.is_some_and(|name| name.eq_ignore_ascii_case(CONTENT_LENGTH)) {
            let value = line[CONTENT_LENGTH.len()..].trim_ascii();
            let is_number = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
            let fits = std::str::from_utf8(value).ok().and_then(|text| text.parse::<u64>().ok());
            self.does_not_fit |= is_number && fits.is_none_or(|length| length > LENGTH_MAX);
        }
        self.len = 0;
    }
}

/// A refusal as it goes over the wire, after which the connection closes.
pub(super) fn wire_form(refusal: &Response<Bytes>) -> Vec<u8> {
    let (status, body) = (refusal.status(), refusal.body());
    let reason = status.canonical_reason().unwrap_or_default();
    let mut out = format!("HTTP/1.1 {} {reason}\r\n", status.as_u16()).into_bytes();
    for (name, value) in refusal.headers() {
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(format!("content-length: {}\r\nconnection: close\r\n\r\n", body.len()).as_bytes());
    out.extend_from_slice(body);
    out
}

/// The status of an answer's head.
pub(super) fn status_of(head: &[u8]) -> Option<StatusCode> {
    StatusCode::from_bytes(head.strip_prefix(b"HTTP/1.")?.get(2..5)?).ok()
}

#[cfg(test)]
mod tests {
    use super::{LENGTH_MAX, LengthWatch, Turn, status_of, wire_form};
    use bytes::Bytes;
    use http::{Response, StatusCode};

    #[test]
    fn a_turn_is_idle_only_when_everything_of_ours_is_out() {
        let turn = Turn::default();
        assert!(turn.is_idle());
        let ended = turn.begin();
        turn.flushed();
        assert!(!turn.is_idle(), "a piece of the body was flushed, more follows");
        drop(ended);
        assert!(!turn.is_idle(), "the last piece still lies in hyper's buffer");
        turn.flushed();
        assert!(turn.is_idle());
    }

    #[test]
    fn a_length_that_does_not_fit_is_seen_however_the_head_comes() {
        let zeros = "0".repeat(200);
        for (length, fits) in [
            (u64::MAX.to_string(), false),
            ((u64::MAX - 1).to_string(), false),
            (LENGTH_MAX.to_string(), true),
            ("18446744073709551616".to_owned(), false),
            (format!("1{zeros}"), false),
            ("5".to_owned(), true),
            ("-5".to_owned(), true),
            (String::new(), true),
        ] {
            for name in ["content-length:", "Content-Length: ", "CONTENT-LENGTH:\t"] {
                let head = format!("\r\nPUT / HTTP/1.1\r\nhost: h\r\n{name}{length} \r\nx: y\r\n\r\n");
                for step in [1, 7, head.len()] {
                    let mut watch = LengthWatch::default();
                    for piece in head.as_bytes().chunks(step) {
                        watch.look(0, piece);
                    }
                    assert_eq!((watch.does_not_fit, watch.over), (!fits, true), "{name}{length}, {step}");
                }
            }
        }
        let mut watch = LengthWatch::default();
        let body = b"PUT / HTTP/1.1\r\nx-content-length: 99999999999999999999\r\n\r\ncontent-length: 99999999999999999999\r\n";
        watch.look(0, body);
        assert!(!watch.does_not_fit, "neither another name nor a body's bytes");
        watch.look(1, b"GET / HTTP/1.1\ncontent-length: 99999999999999999999\n");
        assert!(watch.does_not_fit, "the next head");
    }

    #[test]
    fn a_refusal_is_a_whole_answer() {
        let refusal = Response::builder().status(414).header("server", "firn").body(Bytes::from("<Error/>"));
        let expected = "HTTP/1.1 414 URI Too Long\r\nserver: firn\r\ncontent-length: 8\r\nconnection: close\r\n\r\n<Error/>";
        assert_eq!(wire_form(&refusal.unwrap()), expected.as_bytes());
    }

    #[test]
    fn statuses_are_read_from_heads_alone() {
        assert_eq!(status_of(b"HTTP/1.1 431 Request"), Some(StatusCode::from_u16(431).unwrap()));
        for other in [&b"HTTP/1.1 43"[..], b"HTTP/2 431 x", b"HTTP/1.1 xyz", b"", b"hello"] {
            assert_eq!(status_of(other), None);
        }
    }
}
