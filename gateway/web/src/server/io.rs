//! A TCP stream that gives up on a client that takes nothing, and that closes without losing its last answer.
//!
//! Closing a socket with unread bytes in it makes the kernel send a reset, which can destroy the answer before the client
//! reads it (an error answered before an upload has ended). So closing goes: send FIN, read and drop what still comes,
//! bounded in bytes and time, then close.

use engine::clock::Clock;
use std::future::Future;
use std::io;
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
}

struct Closing {
    dropped: usize,
    patience: Nap,
}

impl TimedIo {
    pub(super) fn new(stream: TcpStream, clock: Arc<dyn Clock>, write_idle: Duration) -> Self {
        Self { stream, clock, write_idle, stall: None, progressed: false, closing: None }
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
}

impl AsyncRead for TimedIo {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for TimedIo {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[io::IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let Poll::Ready(outcome) = Pin::new(&mut this.stream).poll_write_vectored(cx, bufs) else {
            return this.poll_stall(cx);
        };
        this.progressed = true;
        Poll::Ready(outcome)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
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
