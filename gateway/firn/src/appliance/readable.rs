//! What a part of the catalog answers, for whoever asks whether it works: whether rows can be read, whether a commit comes back.
//!
//! Each question is under way once at a time, whoever asks how often, and its answer is waited for no longer than [`PATIENCE`], counted
//! from when it began: who asks next, because the one before gave up, waits for the rest of it. What blocks has a thread of its own,
//! since those that bodies are read with may all hang.

use engine::Result;
use engine::clock::Clock;
use engine::entropy::Entropy;
use engine::id::PartitionId;
use std::time::Duration;
use tokio::sync::{Mutex, oneshot};

/// So long what was found out about rows holds.
pub(super) const FRESH: Duration = Duration::from_secs(1);
/// What was not answered by then does not answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// Why something does not work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refused<E> {
    /// There is no answer within [`PATIENCE`].
    Silent,
    /// The answer is an error.
    With(E),
    /// Nobody could ask.
    Unasked(String),
}

/// The answer to come: `None` if all is well.
pub(super) type Answer<E> = oneshot::Receiver<Option<E>>;

/// One question.
pub(super) struct Question<E>(Mutex<Looked<E>>);

struct Looked<E> {
    /// When it was answered last, in boot time, and what.
    last: Option<(Duration, Option<Refused<E>>)>,
    /// A question that is not answered yet, and when it began: what hangs gets no second one.
    under_way: Option<(Duration, Answer<E>)>,
}

impl<E> Default for Question<E> {
    fn default() -> Self {
        Self(Mutex::new(Looked { last: None, under_way: None }))
    }
}

impl<E: Clone> Question<E> {
    /// Why not, if so; an answer that is not older than `fresh` is one.
    pub(super) async fn refused(
        &self,
        clock: &dyn Clock,
        fresh: Duration,
        ask: impl FnOnce() -> std::io::Result<Answer<E>>,
    ) -> Option<Refused<E>> {
        let mut looked = self.0.lock().await;
        if let Some((at, refused)) = &looked.last
            && clock.boottime().saturating_sub(*at) < fresh
        {
            return refused.clone();
        }
        if looked.under_way.is_none() {
            match ask() {
                // Kept there while it is waited for: whoever asked may go away.
                Ok(answer) => looked.under_way = Some((clock.boottime(), answer)),
                Err(error) => return Some(Refused::Unasked(error.to_string())),
            }
        }
        let (since, answer) = looked.under_way.as_mut()?;
        let left = PATIENCE.saturating_sub(clock.boottime().saturating_sub(*since));
        let answered = if left.is_zero() {
            match answer.try_recv() {
                Err(oneshot::error::TryRecvError::Empty) => None,
                answered => Some(answered.map_err(|error| error.to_string())),
            }
        } else {
            tokio::select! {
                biased;
                answered = answer => Some(answered.map_err(|error| error.to_string())),
                () = clock.sleep(left) => None,
            }
        };
        if answered.is_some() {
            looked.under_way = None;
        }
        let refused = match answered {
            None => Some(Refused::Silent),
            Some(Ok(refused)) => refused.map(Refused::With),
            Some(Err(error)) => Some(Refused::Unasked(error)),
        };
        looked.last = Some((clock.boottime(), refused.clone()));
        refused
    }
}

/// Reads in a thread of its own.
pub(super) fn on_a_thread(
    read: impl FnOnce() -> Result<()> + Send + 'static,
) -> std::io::Result<Answer<String>> {
    let (answers, answer) = oneshot::channel();
    std::thread::Builder::new().name("catalog-probe".into()).spawn(move || {
        // Whoever asked may have gone.
        drop(answers.send(read().err().map(|error| error.to_string())));
    })?;
    Ok(answer)
}

/// Anywhere, so that what is read is seldom in memory; where that fails, at the root, which every request needs: one damaged place is not all of
/// the catalog.
pub(super) fn anywhere_or_at_the_root(
    read: impl Fn(PartitionId) -> Result<()>,
    entropy: &dyn Entropy,
) -> Result<()> {
    let mut anywhere = [0; 8];
    entropy.fill_id(&mut anywhere);
    read(PartitionId::from_bytes(anywhere)).or_else(|_| read(PartitionId::ROOT))
}

#[cfg(test)]
mod tests {
    use super::{FRESH, PATIENCE, Question, Refused, anywhere_or_at_the_root, on_a_thread};
    use engine::Error;
    use engine::clock::{ManualClock, Timestamp};
    use engine::entropy::SeededEntropy;
    use engine::id::PartitionId;
    use std::sync::Arc;
    use std::time::Duration;

    fn clock() -> Arc<ManualClock> {
        Arc::new(ManualClock::new(Timestamp::from_millis(0)))
    }

    #[test]
    fn one_damaged_place_is_not_all_of_the_catalog() {
        let entropy = SeededEntropy::new(1);
        let read = |damaged: fn(PartitionId) -> bool| {
            anywhere_or_at_the_root(|at| if damaged(at) { Err(Error::Closed) } else { Ok(()) }, &entropy)
        };
        assert!(read(|_| false).is_ok() && read(|at| at != PartitionId::ROOT).is_ok());
        assert!(read(|at| at == PartitionId::ROOT).is_ok(), "it was not asked for");
        assert!(read(|_| true).is_err());
    }

    #[tokio::test]
    async fn a_disk_that_hangs_is_told_in_time_and_asked_once() {
        let (clock, rows) = (clock(), Question::default());
        let (answers, waits) = std::sync::mpsc::channel::<()>();
        let read = || on_a_thread(move || waits.recv().map_err(|_| Error::Closed));
        let again = || panic!("a second read of a disk that hangs");
        let mut refused = Box::pin(rows.refused(&*clock, FRESH, read));
        assert!(futures_util::poll!(&mut refused).is_pending());
        // Each who asks goes away before the time is over.
        drop(refused);
        for _ in 0..4 {
            clock.advance(PATIENCE / 5);
            let mut refused = Box::pin(rows.refused(&*clock, FRESH, again));
            assert!(futures_util::poll!(&mut refused).is_pending());
        }
        clock.advance(PATIENCE / 5);
        let refused = Box::pin(rows.refused(&*clock, FRESH, again));
        assert_eq!(futures_util::poll!(refused), std::task::Poll::Ready(Some(Refused::Silent)));
        answers.send(()).unwrap();
        while rows.refused(&*clock, Duration::ZERO, again).await.is_some() {
            std::thread::yield_now();
        }
        assert_eq!(rows.refused(&*clock, FRESH, again).await, None, "a moment ago");
        clock.advance(FRESH);
        let refused = rows.refused(&*clock, FRESH, || on_a_thread(|| Err(Error::Closed))).await;
        assert_eq!(refused, Some(Refused::With(Error::Closed.to_string())));
    }

    #[test]
    fn no_thread_for_bodies_is_needed() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .max_blocking_threads(1)
            .build()
            .unwrap();
        let (goes_on, waits) = std::sync::mpsc::channel::<()>();
        runtime.block_on(async {
            // The pool's disk hangs.
            let hangs = tokio::task::spawn_blocking(move || waits.recv().is_ok());
            let rows = Question::default();
            assert_eq!(rows.refused(&*clock(), FRESH, || on_a_thread(|| Ok(()))).await, None);
            goes_on.send(()).unwrap();
            assert!(hangs.await.unwrap());
        });
    }
}
