//! The request's body on its way in: unframed, timed, verified, and never more than a piece of it in memory.
//!
//! ```text
//!   hyper frame ─► [aws-chunked decoder] ─► SHA-256 of the payload ─► next() ─► the operation
//! ```
//!
//! The last piece is given out only after everything before it is proven: the payload's SHA-256, or the chunk and
//! trailer signatures. An operation that has seen `None` has a body that is whole.

use super::BodyError;
use super::head::digits;
use crate::budget::{Budget, Sender, Share};
use crate::config::Limits;
use crate::server::Gone;
use aws_lc_rs::digest;
use bytes::{Bytes, BytesMut};
use engine::clock::Clock;
use engine::memory::MemoryHold;
use engine::unit::ByteCount;
use http::header::{CONTENT_LENGTH, EXPECT};
use http::{HeaderMap, HeaderValue};
use hyper::body::{Body, Frame, Incoming};
use prometheus_client::metrics::counter::Counter;
use security::chunked::{ChunkError, Decoder, Event};
use security::sigv4::{AuthError, Payload, Signed};
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// Bytes that are read and dropped to keep a connection whose request was answered before its body ended.
const DRAIN_MAX: u64 = 256 << 10;
/// How long that may take.
const DRAIN_WINDOW: Duration = Duration::from_secs(1);
/// How often what stands in a document is in memory at once: as it came and read, or read and made into what the store is asked.
const TIMES_OF_DOCUMENT: u64 = 3;

/// A body on its way in.
pub(crate) struct RequestBody {
    incoming: Incoming,
    input: Bytes,
    decoder: Option<Decoder>,
    expected_hash: Option<[u8; 32]>,
    hash: digest::Context,
    trailers: HeaderMap,
    length: Option<ByteCount>,
    /// Bytes on the wire, where the request says it.
    announced: Option<ByteCount>,
    expectation: Expectation,
    pace: Pace,
    /// Who sends it, as far as it is known.
    sender: Sender,
    /// Memory that it may hold, of what all bodies have.
    share: Option<Share>,
    counter: Counter,
    received: u64,
    /// When its last byte came, in boot time, for who wants to know.
    last_at: Option<Duration>,
    /// The operation has all that it may read.
    ended: bool,
    /// hyper has nothing more of it, which a body without a length says only at its end.
    read_out: bool,
    /// Where the request goes on without its client: whether it does.
    gone: Option<Gone>,
}

/// What became of the client's `expect: 100-continue`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expectation {
    /// There was none, or it was met: the first poll for the body sent the 100.
    Settled,
    /// The client waits for a 100 that goes out with the first poll.
    Waiting,
    /// No byte of body was announced, so hyper sends no 100.
    Unmet,
}

impl Expectation {
    fn of(incoming: &Incoming, headers: &HeaderMap) -> Self {
        match (headers.contains_key(EXPECT), incoming.is_end_stream()) {
            (false, _) => Self::Settled,
            (true, false) => Self::Waiting,
            (true, true) => Self::Unmet,
        }
    }
}

impl RequestBody {
    /// Wraps what hyper hands over. Nothing is asked of the client yet.
    pub(crate) fn new(
        incoming: Incoming,
        headers: &HeaderMap,
        sender: Sender,
        pace: Pace,
        counter: Counter,
    ) -> Self {
        Self {
            ended: incoming.is_end_stream(),
            expectation: Expectation::of(&incoming, headers),
            incoming,
            input: Bytes::new(),
            decoder: None,
            expected_hash: None,
            hash: digest::Context::new(&digest::SHA256),
            trailers: HeaderMap::new(),
            length: content_length(headers),
            announced: content_length(headers),
            pace,
            sender,
            share: None,
            counter,
            received: 0,
            last_at: None,
            read_out: false,
            gone: None,
        }
    }

    /// The request may outlive its client: from when `gone` is raised nothing more comes, and the body is not whole.
    pub(crate) fn may_outlive(&mut self, gone: Gone) {
        self.gone = Some(gone);
    }

    fn is_left(gone: Option<&Gone>) -> bool {
        gone.is_some_and(Gone::is_raised)
    }

    /// From now on it is known when its last byte came: `since`, as long as none came.
    pub(crate) fn keep_time(&mut self, since: Duration) {
        self.last_at = Some(since);
    }

    /// When the last byte came, where somebody wants to know.
    pub(crate) fn last_at(&self) -> Option<Duration> {
        self.last_at
    }

    /// Tells who sends it.
    pub(crate) fn signed_by(&mut self, sender: Sender) {
        self.sender = sender;
    }

    /// Tells who signed, and what the signature says about the body.
    pub(crate) fn expect_signed(&mut self, signed: &Signed, headers: &HeaderMap) -> Result<(), BodyError> {
        self.signed_by(Sender::Key(signed.access_key_id.clone()));
        self.expect(&signed.payload, headers)
    }

    /// Tells what the signature says about the body.
    pub(crate) fn expect(&mut self, payload: &Payload, headers: &HeaderMap) -> Result<(), BodyError> {
        self.decoder = Decoder::for_request(payload, headers)?;
        if self.decoder.is_some() {
            self.length = decoded_length(headers);
            self.ended = false;
        }
        if let Payload::Sha256(hash) = payload {
            self.expected_hash = Some(*hash);
        }
        Ok(())
    }

    /// The same of a request without a signature: it may come in chunks that are not signed either. A digest that it claims is
    /// compared as if it were signed for.
    pub(crate) fn expect_unsigned(&mut self, headers: &HeaderMap) -> Result<(), BodyError> {
        match headers.get("x-amz-content-sha256").map(HeaderValue::as_bytes) {
            Some(b"STREAMING-UNSIGNED-PAYLOAD-TRAILER") => {
                self.expect(&Payload::StreamingUnsignedTrailer, headers)
            }
            // Chunk signatures of nobody: their frames must not become the object's bytes.
            Some(declared) if declared.starts_with(b"STREAMING-") => Err(BodyError::Signatures),
            Some(declared) => {
                let mut hash = [0; 32];
                self.expected_hash = hex::decode_to_slice(declared, &mut hash).ok().map(|()| hash);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Bytes of the body proper, where the request says it.
    pub(crate) fn length(&self) -> Option<ByteCount> {
        self.length
    }

    /// The trailers of an aws-chunked body; complete once [`RequestBody::next`] has answered `None`.
    pub(crate) fn trailers(&self) -> &HeaderMap {
        &self.trailers
    }

    /// The next piece; `None` when the body is whole and proven.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, BodyError> {
        while !self.ended {
            if let Some(decoder) = &mut self.decoder {
                match decoder.push(&mut self.input)? {
                    Event::Data(data) => return Ok(Some(data)),
                    Event::End { trailers } => {
                        self.trailers = trailers;
                        self.expect_nothing_more().await?;
                        self.ended = true;
                    }
                    Event::NeedMore => match self.frame().await? {
                        Some(input) => self.input = input,
                        None => return Err(ChunkError::Incomplete.into()),
                    },
                }
                continue;
            }
            match self.frame().await? {
                Some(data) if data.is_empty() => {}
                Some(data) => {
                    if self.expected_hash.is_some() {
                        self.hash.update(&data);
                    }
                    return Ok(Some(data));
                }
                None => self.ended = true,
            }
        }
        self.check_hash()?;
        Ok(None)
    }

    fn check_hash(&mut self) -> Result<(), BodyError> {
        let Some(expected) = self.expected_hash.take() else { return Ok(()) };
        let hash = std::mem::replace(&mut self.hash, digest::Context::new(&digest::SHA256)).finish();
        match <[u8; 32]>::try_from(hash.as_ref()) {
            Ok(computed) if computed == expected => Ok(()),
            Ok(computed) => Err(BodyError::Digest(AuthError::content_sha256_mismatch(&expected, &computed))),
            Err(_) => Err(BodyError::Internal("a SHA-256 has another length")),
        }
    }

    /// After the last chunk nothing may follow, neither in the decoder's input nor in the frames behind it.
    async fn expect_nothing_more(&mut self) -> Result<(), BodyError> {
        loop {
            let decoder =
                self.decoder.as_mut().ok_or(BodyError::Internal("the decoder of a body is gone"))?;
            match decoder.push(&mut self.input)? {
                Event::NeedMore => {}
                Event::Data(_) | Event::End { .. } => return Err(BodyError::Incomplete),
            }
            match self.frame().await? {
                Some(input) => self.input = input,
                None => return Ok(()),
            }
        }
    }

    /// Reserves the memory that the body may hold from here on, once and before any of it is asked for. Nothing to come needs none.
    /// What outlives the request keeps what it gets.
    pub(crate) async fn reserve(
        &mut self,
        budget: &Budget,
        memory: ByteCount,
    ) -> Result<MemoryHold, BodyError> {
        if self.ended {
            return Ok(MemoryHold::default());
        }
        self.reserve_for_work(budget, memory).await
    }

    /// The same for what is done without a body.
    pub(crate) async fn reserve_for_work(
        &mut self,
        budget: &Budget,
        memory: ByteCount,
    ) -> Result<MemoryHold, BodyError> {
        let share = match self.share.take() {
            Some(share) => share,
            None => unless_gone(self.gone.as_ref(), budget.reserve(&self.sender, memory)).await?,
        };
        Ok(self.share.insert(share).hold())
    }

    /// The memory that was reserved, for what goes on without the body.
    pub(crate) fn take_share(&mut self) -> Option<Share> {
        self.share.take()
    }

    /// All of a small body, and at most `max` bytes. Memory for it, and for what is made of it, is reserved until the request is answered.
    pub(crate) async fn collect(&mut self, max: ByteCount, budget: &Budget) -> Result<Bytes, BodyError> {
        let length = self.length_of_document(max)?;
        self.reserve(budget, ByteCount::new(length.get() * TIMES_OF_DOCUMENT)).await?;
        self.collect_reserved(max, length).await
    }

    /// The same of one that is part of what is signed: who sends it is known when it is here, and not before.
    pub(crate) async fn collect_unproven(
        &mut self,
        max: ByteCount,
        budget: &Budget,
    ) -> Result<Bytes, BodyError> {
        let length = self.length_of_document(max)?;
        if !self.ended {
            let memory = ByteCount::new(length.get() * TIMES_OF_DOCUMENT);
            let reserving = budget.reserve_unproven(&self.sender, memory);
            self.share = Some(unless_gone(self.gone.as_ref(), reserving).await?);
        }
        self.collect_reserved(max, length).await
    }

    /// How long a document may be, by what the request says.
    fn length_of_document(&self, max: ByteCount) -> Result<ByteCount, BodyError> {
        match self.length {
            Some(length) if length > max => Err(BodyError::TooLarge { max }),
            Some(length) => Ok(length),
            None => Ok(max),
        }
    }

    async fn collect_reserved(&mut self, max: ByteCount, length: ByteCount) -> Result<Bytes, BodyError> {
        let Some(first) = self.next().await? else { return Ok(Bytes::new()) };
        let Some(second) = self.next().await? else { return Ok(first) };
        // In one piece from the start: growing would hold it twice.
        let mut all = BytesMut::with_capacity(usize::try_from(length.get()).unwrap_or(0));
        all.extend_from_slice(&first);
        drop(first);
        let mut piece = Some(second);
        while let Some(data) = piece {
            if ByteCount::from(all.len() + data.len()) > max {
                return Err(BodyError::TooLarge { max });
            }
            all.extend_from_slice(&data);
            piece = self.next().await?;
        }
        Ok(all.freeze())
    }

    /// The next frame as it came.
    async fn frame(&mut self) -> Result<Option<Bytes>, BodyError> {
        if self.expectation == Expectation::Waiting {
            self.expectation = Expectation::Settled;
        }
        loop {
            let (incoming, pace, share) = (&mut self.incoming, &mut self.pace, &self.share);
            let gone = self.gone.as_ref();
            // Who is gone is looked at before the body: hyper may call what is cut off ended.
            let frame = poll_fn(|cx| match Pin::new(&mut *incoming).poll_frame(cx) {
                _ if Self::is_left(gone) => Poll::Ready(Err(Late::Gone)),
                Poll::Ready(frame) => Poll::Ready(Ok(frame)),
                Poll::Pending if share.as_ref().is_some_and(|share| share.is_ended(cx)) => {
                    Poll::Ready(Err(Late::InTheWay))
                }
                Poll::Pending => pace.poll_expired(cx).map(|()| Err(Late::Slow)),
            })
            .await;
            let Ok(Some(Ok(frame))) = frame else { return self.no_frame(&frame) };
            // HTTP's own trailers mean nothing here and are dropped.
            let data = frame.into_data().ok();
            let bytes = ByteCount::from(data.as_ref().map_or(0, Bytes::len));
            if let Some(share) = self.share.as_ref().filter(|share| share.brought(bytes)) {
                if !self.incoming.is_end_stream() {
                    return Err(BodyError::InTheWay);
                }
                share.is_over();
            }
            let Some(data) = data else { continue };
            self.received += bytes.get();
            if let Some(at) = &mut self.last_at {
                *at = self.pace.clock.boottime();
            }
            self.pace.progress(bytes.get());
            self.counter.inc_by(bytes.get());
            return Ok(Some(data));
        }
    }

    /// What it means that there is no further frame.
    fn no_frame(
        &mut self,
        end: &Result<Option<hyper::Result<Frame<Bytes>>>, Late>,
    ) -> Result<Option<Bytes>, BodyError> {
        if let Some(share) = self.share.as_ref().filter(|_| end.is_ok()) {
            share.is_over();
        }
        match end {
            Ok(Some(_)) if self.announced.is_none() => Err(BodyError::Unended),
            Ok(Some(_)) | Err(Late::Gone) => Err(BodyError::Incomplete),
            Ok(None) => {
                self.read_out = true;
                Ok(None)
            }
            Err(Late::Slow) => Err(BodyError::Slow),
            Err(Late::InTheWay) => Err(BodyError::InTheWay),
        }
    }

    /// Called when the answer is ready: reads what little is left, so that the connection can be used again. `false`: it
    /// cannot, and the answer has to say so.
    pub(crate) async fn settle(&mut self) -> bool {
        self.share = None;
        if self.expectation == Expectation::Unmet {
            // aws-cli 1 (its own botocore 1.43) takes the status of an answer that came without a 100 for that of the
            // connection's next answer too, and loses its headers; only closing makes it forget.
            return false;
        }
        if Self::is_left(self.gone.as_ref()) {
            return false;
        }
        if self.read_out || self.incoming.is_end_stream() {
            return true;
        }
        let left = self.announced.map(|length| length.get().saturating_sub(self.received));
        if self.expectation == Expectation::Waiting || left.is_none_or(|left| left > DRAIN_MAX) {
            return false;
        }
        self.pace.window = DRAIN_WINDOW;
        self.pace.nap = None;
        loop {
            match self.frame().await {
                Ok(Some(_)) => {}
                Ok(None) => return true,
                Err(_) => return false,
            }
        }
    }
}

fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    digits(headers.get(name)?.to_str().ok()?.trim())
}

fn content_length(headers: &HeaderMap) -> Option<ByteCount> {
    number(headers, CONTENT_LENGTH.as_str()).map(ByteCount::new)
}

fn decoded_length(headers: &HeaderMap) -> Option<ByteCount> {
    number(headers, "x-amz-decoded-content-length").map(ByteCount::new)
}

/// Why a body is not waited for any longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Late {
    /// It brings too little.
    Slow,
    /// It brings little, and others wait for its memory.
    InTheWay,
    /// Nobody sends it any more.
    Gone,
}

/// Waits, unless nobody waits any more for what it is for.
async fn unless_gone<T, E: Into<BodyError>>(
    gone: Option<&Gone>,
    waiting: impl Future<Output = Result<T, E>>,
) -> Result<T, BodyError> {
    let mut waiting = pin!(waiting);
    poll_fn(|cx| match gone {
        Some(gone) if gone.is_raised() => Poll::Ready(Err(BodyError::Incomplete)),
        _ => waiting.as_mut().poll(cx).map_err(Into::into),
    })
    .await
}

/// Gives up on a body that comes too slowly: each window of waiting must bring its minimum.
pub(crate) struct Pace {
    clock: Arc<dyn Clock>,
    window: Duration,
    least: u64,
    arrived: u64,
    /// Runs while the body waits; one allocation a window at most.
    nap: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl Pace {
    pub(crate) fn new(clock: Arc<dyn Clock>, limits: &Limits) -> Self {
        let (window, least) = (limits.body_idle_timeout, limits.body_window_min.get());
        Self { clock, window, least, arrived: 0, nap: None }
    }

    fn progress(&mut self, bytes: u64) {
        self.arrived = self.arrived.saturating_add(bytes);
    }

    /// Ready when a whole window brought too little.
    fn poll_expired(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if let Some(nap) = &mut self.nap {
                ready!(nap.as_mut().poll(cx));
                if self.arrived < self.least {
                    return Poll::Ready(());
                }
            }
            let (clock, window) = (self.clock.clone(), self.window);
            self.arrived = 0;
            self.nap = Some(Box::pin(async move { clock.sleep(window).await }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Pace;
    use crate::config::Limits;
    use engine::clock::{ManualClock, Timestamp};
    use std::future::poll_fn;
    use std::sync::Arc;
    use std::time::Duration;

    #[tokio::test]
    async fn a_body_must_bring_its_minimum_in_every_window() {
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(0)));
        let limits = Limits { body_idle_timeout: Duration::from_secs(10), ..Limits::default() };
        let mut pace = Pace::new(clock.clone(), &limits);
        let mut expired = Box::pin(poll_fn(|cx| pace.poll_expired(cx)));
        assert!(futures_util::poll!(&mut expired).is_pending());
        clock.advance(Duration::from_secs(9));
        assert!(futures_util::poll!(&mut expired).is_pending());
        drop(expired);
        pace.progress(limits.body_window_min.get());
        clock.advance(Duration::from_secs(2));
        let mut expired = Box::pin(poll_fn(|cx| pace.poll_expired(cx)));
        assert!(futures_util::poll!(&mut expired).is_pending(), "the first window brought enough");
        clock.advance(Duration::from_secs(10));
        assert!(futures_util::poll!(&mut expired).is_ready(), "the second brought nothing");
        drop(expired);
        let mut pace = Pace::new(clock.clone(), &limits);
        let mut expired = Box::pin(poll_fn(|cx| pace.poll_expired(cx)));
        assert!(futures_util::poll!(&mut expired).is_pending());
        drop(expired);
        pace.progress(limits.body_window_min.get() - 1);
        clock.advance(Duration::from_secs(10));
        let mut expired = Box::pin(poll_fn(|cx| pace.poll_expired(cx)));
        assert!(futures_util::poll!(&mut expired).is_ready(), "a byte too little");
    }
}
