//! The streams of one HTTP/2 connection: run, watched, and cut off when they hold what they don't use.
//!
//! On HTTP/1.1 a client that takes nothing stops the connection's writes, which [`super::io::TimedIo`] times. On HTTP/2 it can
//! keep a single stream's window shut while everything else goes on. So each piece of an answer knows its stream, and tells
//! when it goes into a frame and when it is dropped:
//!
//! ```text
//!   body ─► Piece (held + 1) ─► hyper, h2: wait for the window ─► advance ─► dropped (held - 1); moved + 1 at each of these
//! ```
//!
//! A stream that holds pieces of which none has moved between two looks is stalled, and its connection is cut. Requests that
//! the client takes back before they are answered are counted: more of them than answers, by a margin, and the connection
//! is cut too (h2 itself bounds only those that it has not handed on yet).
//!
//! A stream costs what a connection of HTTP/1.1 costs, so it counts as one: all that a door serves at once, connections and
//! streams beyond the first of each, are never more than its `connections_max`. One more stream waits until another is done.

use bytes::{Buf, Bytes};
use engine::BoxFuture;
use http::header::CONTENT_LENGTH;
use http::{Method, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::rt::Executor;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::task::{Context, Poll};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc};

/// Requests that a client may take back, beyond as many as were answered.
const ABANDONED_MAX: u64 = 128;

/// Hands a connection's streams to its task, which owns them: when the connection goes, they go.
///
/// It holds as many as the channel takes. A stream beyond that is dropped, which resets it: so many wait there only where a
/// client takes back streams faster than the task gets to them.
#[derive(Clone, Debug)]
pub(super) struct Handover(pub(super) mpsc::Sender<BoxFuture<'static, ()>>);

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Handover {
    fn execute(&self, stream: F) {
        // The receiver is gone when the connection is, and then so is the stream.
        let _dropped = self.0.try_send(Box::pin(stream));
    }
}

/// What a look at a connection finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// Requests came, or are worked on.
    Busy,
    /// Nothing is open, and nothing came since the last look.
    Idle,
    /// A client leaves an answer lying.
    Stalled,
}

/// The streams of one connection.
#[derive(Debug)]
pub(super) struct Watch {
    /// The place that the connection has: one of its streams takes it.
    own_place: Arc<Semaphore>,
    /// The door's places, for which the others wait as new connections do.
    places: Arc<Semaphore>,
    streams: Mutex<Vec<Weak<Stream>>>,
    begun: AtomicU64,
    begun_at_last_look: AtomicU64,
    answered: AtomicU64,
    abandoned: AtomicU64,
    /// Told when too many requests were taken back.
    pub(super) flooded: Notify,
}

/// One stream.
#[derive(Debug, Default)]
pub(super) struct Stream {
    /// What it takes up of what the door serves at once, until its last piece is out.
    place: OnceLock<OwnedSemaphorePermit>,
    /// Pieces given out and not yet sent.
    held: AtomicU64,
    /// Counts whenever something of a piece goes out.
    moved: AtomicU64,
    moved_at_last_look: AtomicU64,
}

impl Watch {
    /// The streams of a connection of a door that has these places.
    pub(super) fn new(places: Arc<Semaphore>) -> Arc<Self> {
        Arc::new(Self {
            own_place: Arc::new(Semaphore::new(1)),
            places,
            streams: Mutex::default(),
            begun: AtomicU64::default(),
            begun_at_last_look: AtomicU64::default(),
            answered: AtomicU64::default(),
            abandoned: AtomicU64::default(),
            flooded: Notify::default(),
        })
    }

    /// A request came.
    pub(super) fn begin(self: &Arc<Self>) -> Begun {
        self.begun.fetch_add(1, Ordering::Relaxed);
        let stream = Arc::new(Stream::default());
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        if streams.len() == streams.capacity() {
            streams.retain(|stream| stream.strong_count() > 0);
        }
        streams.push(Arc::downgrade(&stream));
        Begun { watch: Arc::clone(self), stream: Some(stream) }
    }

    /// Looks at what went on since the last look.
    pub(super) fn look(&self) -> Look {
        let begun = self.begun.load(Ordering::Relaxed);
        let quiet = self.begun_at_last_look.swap(begun, Ordering::Relaxed) == begun;
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        streams.retain(|stream| stream.strong_count() > 0);
        let mut stalled = false;
        for stream in streams.iter().filter_map(Weak::upgrade) {
            let moved = stream.moved.load(Ordering::Relaxed);
            let rests = stream.moved_at_last_look.swap(moved, Ordering::Relaxed) == moved;
            stalled |= rests && stream.held.load(Ordering::Relaxed) > 0;
        }
        match (stalled, streams.is_empty() && quiet) {
            (true, _) => Look::Stalled,
            (false, true) => Look::Idle,
            (false, false) => Look::Busy,
        }
    }
}

/// A request that is being answered.
pub(super) struct Begun {
    watch: Arc<Watch>,
    stream: Option<Arc<Stream>>,
}

impl Begun {
    /// Waits for a place among what the door serves at once: the connection's own, or one that no connection has.
    pub(super) async fn admitted(&self) {
        let Some(stream) = &self.stream else { return };
        let [own, shared] =
            [&self.watch.own_place, &self.watch.places].map(|places| places.clone().acquire_owned());
        let place = tokio::select! {
            biased;
            place = own => place,
            place = shared => place,
        };
        // Neither is ever closed; and a stream is admitted once.
        if let Ok(place) = place {
            let _first = stream.place.set(place);
        }
    }

    /// What it takes up, for who may outlive it.
    pub(super) fn stream(&self) -> Option<Arc<Stream>> {
        self.stream.clone()
    }

    /// The answer is there. hyper sends what its body has, to HEAD too: over HTTP/2 that is a fault, so it is only named there.
    pub(super) fn answered<B: Body>(mut self, answer: Response<B>, to: &Method) -> Response<Watched<B>> {
        self.watch.answered.fetch_add(1, Ordering::Relaxed);
        let stream = self.stream.take().unwrap_or_default();
        let (mut head, body) = answer.into_parts();
        let bare = to == Method::HEAD;
        if let Some(length) = body.size_hint().exact().filter(|length| bare && *length > 0) {
            head.headers.entry(CONTENT_LENGTH).or_insert_with(|| length.into());
        }
        Response::from_parts(head, Watched { body, bare, stream })
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        if self.stream.is_none() {
            return;
        }
        let abandoned = self.watch.abandoned.fetch_add(1, Ordering::Relaxed) + 1;
        if abandoned > ABANDONED_MAX + self.watch.answered.load(Ordering::Relaxed) {
            self.watch.flooded.notify_one();
        }
    }
}

/// An answer's body whose pieces tell when they go.
pub(super) struct Watched<B> {
    body: B,
    /// It is not to be sent.
    bare: bool,
    stream: Arc<Stream>,
}

impl<B: Body<Data = Bytes> + Unpin> Body for Watched<B> {
    type Data = Piece;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Piece>, B::Error>>> {
        let this = self.get_mut();
        if this.bare {
            return Poll::Ready(None);
        }
        let frame = Pin::new(&mut this.body).poll_frame(cx);
        frame.map(|frame| {
            frame.map(|frame| frame.map(|frame| frame.map_data(|bytes| Piece::new(bytes, &this.stream))))
        })
    }

    fn is_end_stream(&self) -> bool {
        self.bare || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        if self.bare { SizeHint::with_exact(0) } else { self.body.size_hint() }
    }
}

/// Bytes of an answer on their way out.
#[derive(Debug)]
pub(super) struct Piece {
    bytes: Bytes,
    stream: Arc<Stream>,
}

impl Piece {
    fn new(bytes: Bytes, stream: &Arc<Stream>) -> Self {
        stream.moved.fetch_add(1, Ordering::Relaxed);
        stream.held.fetch_add(1, Ordering::Relaxed);
        Self { bytes, stream: Arc::clone(stream) }
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        self.stream.moved.fetch_add(1, Ordering::Relaxed);
        self.stream.held.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.stream.moved.fetch_add(1, Ordering::Relaxed);
        self.bytes.advance(count);
    }
}

#[cfg(test)]
mod tests {
    use super::{ABANDONED_MAX, Handover, Look, Watch};
    use bytes::{Buf, Bytes};
    use futures_util::FutureExt;
    use http::{Method, Response};
    use http_body_util::{BodyExt, Full};
    use hyper::rt::Executor;
    use std::sync::Arc;
    use tokio::sync::{Semaphore, mpsc};

    fn piece() -> Response<Full<Bytes>> {
        Response::new(Full::new(Bytes::from_static(b"piece")))
    }

    fn watch(places: usize) -> Arc<Watch> {
        Watch::new(Arc::new(Semaphore::new(places)))
    }

    #[tokio::test]
    async fn streams_beyond_the_first_share_the_places_of_the_door() {
        let watch = watch(1);
        let [first, second, third] = [(); 3].map(|()| watch.begin());
        assert!(first.admitted().now_or_never().is_some(), "the connection's own");
        assert!(second.admitted().now_or_never().is_some(), "the door's one");
        let mut waiting = Box::pin(third.admitted());
        assert!(futures_util::poll!(&mut waiting).is_pending());
        let mut body = first.answered(piece(), &Method::GET).into_body();
        let piece = body.frame().await.unwrap().unwrap().into_data().unwrap();
        drop(body);
        assert!(futures_util::poll!(&mut waiting).is_pending(), "a piece of it still waits to go out");
        drop(piece);
        assert!(futures_util::poll!(&mut waiting).is_ready());
        drop(waiting);
        drop(third);
        let (fourth, mut fifth) = (watch.begin(), Box::pin(async { watch.begin().admitted().await }));
        assert!(fourth.admitted().now_or_never().is_some());
        assert!(futures_util::poll!(&mut fifth).is_pending());
        // One that is taken back gives its place back.
        drop(second);
        assert!(futures_util::poll!(&mut fifth).is_ready());
    }

    #[tokio::test]
    async fn a_stream_beyond_what_the_task_takes_is_dropped_at_once() {
        let (sender, mut begun) = mpsc::channel(1);
        let handover = Handover(sender);
        let [first, second] = [(); 2].map(|()| Arc::new(()));
        for stream in [&first, &second] {
            let held = Arc::clone(stream);
            handover.execute(async move { drop(held) });
        }
        assert_eq!([&first, &second].map(Arc::strong_count), [2, 1]);
        begun.recv().await.unwrap().await;
        assert_eq!(Arc::strong_count(&first), 1);
    }

    #[tokio::test]
    async fn a_stream_whose_pieces_do_not_move_is_stalled() {
        let watch = watch(0);
        let mut body = watch.begin().answered(piece(), &Method::GET).into_body();
        assert_eq!([watch.look(), watch.look()], [Look::Busy, Look::Busy], "the door may take its time");
        let mut piece = body.frame().await.unwrap().unwrap().into_data().unwrap();
        piece.advance(1);
        assert_eq!([watch.look(), watch.look()], [Look::Busy, Look::Stalled]);
        piece.advance(1);
        assert_eq!([watch.look(), watch.look()], [Look::Busy, Look::Stalled]);
        drop(body);
        assert_eq!(watch.look(), Look::Stalled, "what is left in a buffer counts");
        drop(piece);
        assert_eq!(watch.look(), Look::Idle);
        drop(watch.begin());
        assert_eq!([watch.look(), watch.look()], [Look::Busy, Look::Idle], "one came and went");
    }

    #[test]
    fn requests_taken_back_are_too_many_when_they_outnumber_the_answers() {
        let watch = watch(0);
        for _ in 0..10 {
            drop(watch.begin().answered(piece(), &Method::GET));
        }
        for _ in 0..ABANDONED_MAX + 10 {
            drop(watch.begin());
        }
        assert!(watch.flooded.notified().now_or_never().is_none());
        drop(watch.begin());
        assert!(watch.flooded.notified().now_or_never().is_some());
        assert!(watch.streams.lock().unwrap().capacity() < 64, "those that are gone are forgotten");
    }
}
