//! What was begun is finished where it has to be recorded: a request whose stream or connection goes away goes on by itself.
//!
//! ```text
//!   connection ─► stream ─► Finishing ─► the handler: act, record, answer
//!        ╳ reset, cut, drained   │
//!                                └─ dropped while it waits ─► Gone is raised, and the rest becomes a task of its own
//! ```
//! hyper drops a handler with its stream: what it did, or was refused, would have no record. Nothing is spawned as long as the client stays, and
//! what was never looked at is dropped as it always was. The body of such a request has no further byte ([`Gone`]): nobody sends any, and what
//! came so far must not be taken for all of it.
//!
//! What goes on by itself keeps the place of its connection and of its stream until it is done: there are never more of them than a door
//! serves at once, and who resets waits for them. A door that stops waits for them too, as long as it waits for connections.

use super::streams::Stream;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

/// A future of its own.
pub(crate) type Work<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Whether the client of a request is gone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gone(Arc<AtomicBool>);

impl Gone {
    /// Whether it is. Who waits is polled once more after it went.
    pub(crate) fn is_raised(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// What a connection takes up of its door until the last of its requests is done.
struct Place {
    /// Of what the door serves at once.
    _permit: Option<OwnedSemaphorePermit>,
    /// The door waits until there is none of these.
    _open: mpsc::Sender<Infallible>,
}

/// What a request takes up of its door.
#[derive(Clone)]
pub(crate) struct Standing {
    connection: Arc<Place>,
    _stream: Option<Arc<Stream>>,
}

impl Standing {
    /// That of a connection.
    pub(super) fn of(permit: Option<OwnedSemaphorePermit>, open: mpsc::Sender<Infallible>) -> Self {
        Self { connection: Arc::new(Place { _permit: permit, _open: open }), _stream: None }
    }

    /// That of one of its streams.
    pub(super) fn of_stream(&self, stream: Option<Arc<Stream>>) -> Self {
        Self { connection: Arc::clone(&self.connection), _stream: stream }
    }

    /// Has the work go on by itself if who waits for it goes away; `gone` says so then.
    pub(crate) fn finish<T: Send + 'static>(&self, gone: Gone, work: Work<T>) -> Finishing<T> {
        Finishing { work: Some(work), begun: false, gone, standing: self.clone() }
    }
}

/// Work that is finished whoever waits for it.
pub(crate) struct Finishing<T: Send + 'static> {
    /// Not there while it is polled: what panicked is not polled again.
    work: Option<Work<T>>,
    begun: bool,
    gone: Gone,
    standing: Standing,
}

impl<T: Send + 'static> Future for Finishing<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        self.begun = true;
        let Some(mut work) = self.work.take() else { return Poll::Pending };
        let polled = work.as_mut().poll(cx);
        if polled.is_pending() {
            self.work = Some(work);
        }
        polled
    }
}

impl<T: Send + 'static> Drop for Finishing<T> {
    fn drop(&mut self) {
        let Some(work) = self.work.take().filter(|_| self.begun) else { return };
        // Without a runtime the process is at its end.
        let Ok(runtime) = Handle::try_current() else { return };
        self.gone.0.store(true, Ordering::Release);
        let standing = self.standing.clone();
        runtime.spawn(async move {
            drop(work.await);
            drop(standing);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::{Finishing, Gone, Standing};
    use futures_util::FutureExt;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use tokio::sync::{Semaphore, mpsc, oneshot};

    #[tokio::test]
    async fn what_was_begun_is_finished_and_keeps_its_place_until_then() {
        let places = Arc::new(Semaphore::new(1));
        let (open, mut done) = mpsc::channel(1);
        let standing = Standing::of(places.clone().try_acquire_owned().ok(), open);
        let finished = Arc::new(AtomicBool::new(false));
        let work = |wait: oneshot::Receiver<()>| {
            let finished = Arc::clone(&finished);
            standing.finish(
                Gone::default(),
                Box::pin(async move {
                    let _ended = wait.await;
                    finished.store(true, Ordering::SeqCst);
                }),
            )
        };
        let (_never, wait) = oneshot::channel();
        drop(work(wait));
        let (end, wait) = oneshot::channel();
        let mut begun = Box::pin(work(wait));
        let gone = begun.gone.clone();
        assert!(futures_util::poll!(&mut begun).is_pending());
        drop((begun, standing));
        assert!(gone.is_raised() && places.available_permits() == 0 && !finished.load(Ordering::SeqCst));
        assert!(done.recv().now_or_never().is_none(), "the door waits");
        end.send(()).unwrap();
        assert!(done.recv().await.is_none());
        assert!(finished.load(Ordering::SeqCst) && places.available_permits() == 1);
    }

    #[tokio::test]
    async fn what_panicked_or_is_done_is_not_finished_again() {
        let (open, mut done) = mpsc::channel(1);
        let standing = Standing::of(None, open);
        assert_eq!(standing.finish(Gone::default(), Box::pin(async { 7 })).await, 7);
        let mut broken: std::pin::Pin<Box<Finishing<()>>> =
            Box::pin(standing.finish(
                Gone::default(),
                Box::pin(async { assert!(std::hint::black_box(false), "on purpose") }),
            ));
        let caught = std::panic::AssertUnwindSafe(&mut broken).catch_unwind().await;
        assert!(caught.is_err());
        let gone = broken.gone.clone();
        drop(broken);
        assert!(!gone.is_raised());
        drop(standing);
        assert!(done.recv().await.is_none());
    }
}
