//! A TCP stream that gives up on a client that takes nothing, and that closes without losing its last answer.
//!
//! Closing a socket with unread bytes in it makes the kernel send a reset, which can destroy the answer before the client
//! reads it (an error answered before an upload has ended). So closing goes: send FIN, read and drop what still comes,
//! bounded in bytes and time, then close.

use super::refusal::{Refuse, Turn, status_of, wire_form};
use engine::clock::Clock;
use http::StatusCode;
use std::future::Future;
use std::io::{self, BufRead, Cursor};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Bytes that are read and dropped while closing.
const LINGER_BYTES_MAX: usize = 8 << 20;
/// How long closing may take.
const LINGER_TIME_MAX: Duration = Duration::from_secs(2);

type Nap = Pin<Box<dyn Future<Output = ()> + Send>>;

pub(super) struct TimedIo {
    stream: TcpStream,
    clock: Arc<dyn Clock>,
    write_idle: Duration,
    /// Runs while a write waits; at most one allocation per period, however often the write resumes.
    stall: Option<Nap>,
    progressed: bool,
    closing: Option<Closing>,
    turn: Turn,
    refuse: Option<Refuse>,
    /// Our refusal, as far as it is not yet sent. hyper's own was swallowed.
    refusal: Option<Cursor<Vec<u8>>>,
}

struct Closing {
    dropped: usize,
    patience: Nap,
}

impl TimedIo {
    /// `refuse` makes the words for what hyper refuses while it is nobody else's `turn`.
    pub(super) fn new(
        stream: TcpStream,
        clock: Arc<dyn Clock>,
        write_idle: Duration,
        turn: Turn,
        refuse: Option<Refuse>,
    ) -> Self {
        let (stall, progressed, closing, refusal) = (None, false, None, None);
        Self { stream, clock, write_idle, stall, progressed, closing, turn, refuse, refusal }
    }

    /// Whether these bytes of hyper's are a refusal of its own, which ours then replaces.
    fn replaces(&mut self, head: &[u8]) -> bool {
        if self.turn.is_idle() && self.refusal.is_none() {
            let status = status_of(head).filter(StatusCode::is_client_error);
            if let Some((refuse, status)) = self.refuse.take_if(|_| status.is_some()).zip(status) {
                self.refusal = Some(Cursor::new(wire_form(&refuse(status))));
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
            let outcome = Pin::new(&mut self.stream).poll_write(cx, left);
            let sent = ready!(self.after_write(cx, outcome))?;
            if let Some(refusal) = &mut self.refusal {
                refusal.consume(sent);
            }
        }
        Poll::Ready(Ok(()))
    }

    fn nap(&self, duration: Duration) -> Nap {
        let clock = self.clock.clone();
        Box::pin(async move { clock.sleep(duration).await })
    }

    /// Called when a write has to wait: an error once a whole period has passed without a byte taken.
    fn poll_stall(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        loop {
            if let Some(stall) = &mut self.stall {
                ready!(stall.as_mut().poll(cx));
                if !self.progressed {
                    let text = "the client took no byte of the response within the write timeout";
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, text)));
                }
            }
            self.progressed = false;
            self.stall = Some(self.nap(self.write_idle));
        }
    }

    fn after_write(
        &mut self,
        cx: &mut Context<'_>,
        outcome: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        match outcome {
            Poll::Ready(outcome) => {
                self.progressed = true;
                Poll::Ready(outcome)
            }
            Poll::Pending => self.poll_stall(cx),
        }
    }
}

impl AsyncRead for TimedIo {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for TimedIo {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.replaces(buf) {
            return Poll::Ready(Ok(buf.len()));
        }
        let outcome = Pin::new(&mut this.stream).poll_write(cx, buf);
        this.after_write(cx, outcome)
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
        let outcome = Pin::new(&mut this.stream).poll_write_vectored(cx, bufs);
        this.after_write(cx, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        true
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
        if this.closing.is_none() {
            ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
            this.closing = Some(Closing { dropped: 0, patience: this.nap(LINGER_TIME_MAX) });
        }
        let Some(closing) = &mut this.closing else { return Poll::Ready(Ok(())) };
        let mut scratch = [0u8; 16 << 10];
        loop {
            if closing.patience.as_mut().poll(cx).is_ready() || closing.dropped > LINGER_BYTES_MAX {
                return Poll::Ready(Ok(()));
            }
            let mut buf = ReadBuf::new(&mut scratch);
            match ready!(Pin::new(&mut this.stream).poll_read(cx, &mut buf)) {
                Ok(()) if !buf.filled().is_empty() => closing.dropped += buf.filled().len(),
                // The client has closed too, or reset: either way nothing is left to protect.
                Ok(()) | Err(_) => return Poll::Ready(Ok(())),
            }
        }
    }
}
