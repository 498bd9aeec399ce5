//! The thread that does a zone's disk work for the sequencer, beside the sync of the data directory's log.
//!
//! ```text
//!   sequencer ── begin(frame) ─► hand: write, sync ─┐
//!       └─ its own sync ─────────────────────────── end: both are durable
//! ```
//!
//! # Invariants
//! - One order at a time, and one sync of the copy per group, while the data directory's is under way.
//! - Nobody but this thread waits for the zone's disk: a disk that does not answer in time is given up, and its thread is left
//!   behind. It can do no more than end what it was told, and no other begins before it has ended.
//! - What the disk takes longer than the data directory's is bounded over time, too ([`Patience`]).
//!
//! # Limits
//! One frame, 4 MiB and some, is in memory twice.

use super::place;
use super::{Place, Told};
use crate::catalog::log::files::LogWriter;
use crate::catalog::log::frame::ALIGN;
use crate::catalog::{Layout, Version};
use crate::clock::Clock;
use crate::vital::Vital;
use crate::{Error, Result};
use parking_lot::{Condvar, Mutex};
use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

/// After so long without an order the log is sealed and trimmed.
const QUIET: Duration = Duration::from_secs(1);
/// Over this time the zone may keep commits waiting for [`SHARE`] times its patience at most.
const WINDOW: Duration = Duration::from_mins(1);
const SHARE: u32 = 2;
/// The copy's log may need so many files before it is given up: its base can't be renewed.
const FILES_MAX: usize = 64;

/// How long commits wait for a zone: for one group, and for all of a minute together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    each: Duration,
    since: Duration,
    waited: Duration,
}

impl Patience {
    pub(super) const fn new(each: Duration) -> Self {
        Self { each, since: Duration::ZERO, waited: Duration::ZERO }
    }

    /// For how long to wait now.
    pub(super) fn left(&mut self, now: Duration) -> Duration {
        if now.saturating_sub(self.since) >= WINDOW {
            (self.since, self.waited) = (now, Duration::ZERO);
        }
        self.each.min((self.each * SHARE).saturating_sub(self.waited))
    }

    /// So long was waited.
    pub(super) fn spend(&mut self, waited: Duration) {
        self.waited = self.waited.saturating_add(waited);
    }
}

/// What the thread has.
#[derive(Default)]
pub(super) struct Hand {
    /// Held for as long as it writes here.
    pub(super) lock: Option<File>,
    /// The writing end of the copy's log.
    pub(super) log: Option<LogWriter>,
    /// Bytes that stay free on the zone's disk.
    pub(super) keep_free: u64,
}

type Task = Box<dyn FnOnce(&mut Hand) -> Result<()> + Send>;

enum Order {
    /// Write a frame, if there is one, and sync if it is wanted.
    Write { last: Version, layout: Layout, sync: bool },
    /// Anything else.
    Run(Task),
}

#[derive(Default)]
struct State {
    order: Option<Order>,
    /// The frame of an order to write, and the buffer of the next one.
    frame: Vec<u8>,
    outcome: Option<Result<()>>,
    closing: bool,
    ended: bool,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    told: Arc<Told>,
    place: Place,
}

/// The other end of it.
pub(in crate::catalog) struct Follower {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    patience: Patience,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for Follower {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the thread of {}", self.shared.place.dir.display())
    }
}

impl Follower {
    /// Starts the thread for the disk work in a place.
    pub(super) fn start(
        place: &Place,
        told: Arc<Told>,
        (each, clock): (Duration, Arc<dyn Clock>),
    ) -> Result<Self> {
        let shared =
            Arc::new(Shared { state: Mutex::default(), changed: Condvar::new(), told, place: place.clone() });
        let worker = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("catalog-copy".into()).spawn(move || {
            let _vital = Vital::guard();
            worker.run();
        });
        let thread =
            thread.map_err(|error| Error::io("start the thread of the copy in", &place.dir, error))?;
        Ok(Self { shared, thread: Some(thread), patience: Patience::new(each), clock })
    }

    /// Hands a group over. [`end`](Self::end) must follow.
    pub(super) fn begin(&mut self, frame: &[u8], (last, layout): (Version, Layout), sync: bool) {
        let mut state = self.shared.state.lock();
        state.frame.clear();
        state.frame.extend_from_slice(frame);
        state.order = Some(Order::Write { last, layout, sync });
        self.shared.changed.notify_all();
    }

    /// Waits until the order is carried out, as long as the zone's patience lasts.
    pub(super) fn end(&mut self) -> Result<()> {
        let from = self.clock.boottime();
        let limit = self.patience.left(from);
        let outcome = self.wait(limit);
        self.patience.spend(self.clock.boottime().saturating_sub(from));
        outcome
    }

    /// Has the thread do something, and waits for it, for `limit` at most.
    pub(super) fn run<T: Send + 'static>(
        &mut self,
        limit: Duration,
        work: impl FnOnce(&mut Hand) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (answer, answered) = std::sync::mpsc::channel();
        let task = move |hand: &mut Hand| {
            let done = work(hand)?;
            // Whoever asked may have given up.
            let _unheard = answer.send(done);
            Ok(())
        };
        {
            let mut state = self.shared.state.lock();
            state.order = Some(Order::Run(Box::new(task)));
            self.shared.changed.notify_all();
        }
        self.wait(limit)?;
        answered.try_recv().map_err(|_| Error::Closed)
    }

    fn wait(&self, limit: Duration) -> Result<()> {
        let mut state = self.shared.state.lock();
        self.shared.changed.wait_while_for(&mut state, |state| state.outcome.is_none(), limit);
        state.outcome.take().unwrap_or_else(|| {
            let text = format!("the zone's disk did not answer within {} ms", limit.as_millis());
            let source = std::io::Error::new(std::io::ErrorKind::TimedOut, text);
            Err(Error::Io { op: "write", path: self.shared.place.dir.clone(), source })
        })
    }

    /// Leaves the thread to end by itself, after whatever its disk makes of it: nobody waits for that here.
    pub(super) fn give_up(mut self) -> Option<JoinHandle<()>> {
        self.close();
        self.thread.take()
    }

    fn close(&self) {
        self.shared.state.lock().closing = true;
        self.shared.changed.notify_all();
    }
}

impl Drop for Follower {
    /// Waits for a thread that has nothing to do, and no longer than its zone's patience for one that has.
    fn drop(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        self.close();
        let idle = self.shared.ended(self.patience.each);
        if idle && thread.join().is_err() {
            tracing::error!("the thread of the catalog's copy had panicked");
        }
    }
}

enum Job {
    Order(Order, Vec<u8>),
    Quiet,
    Closing,
}

impl Shared {
    fn run(self: Arc<Self>) {
        let mut hand = Hand::default();
        loop {
            match self.next() {
                Job::Order(order, mut frame) => {
                    let outcome = self.carry_out(order, &mut frame, &mut hand);
                    let mut state = self.state.lock();
                    state.frame = frame;
                    state.outcome = Some(outcome);
                    self.changed.notify_all();
                }
                Job::Quiet => self.tidy(&mut hand),
                Job::Closing => break,
            }
        }
        // A copy that is given up is made anew: how its end looks does not matter to anybody.
        self.tidy(&mut hand);
        drop(hand.log.take());
        drop(hand);
        self.state.lock().ended = true;
        self.changed.notify_all();
    }

    /// Whether the thread came to its end within `limit`.
    fn ended(&self, limit: Duration) -> bool {
        let mut state = self.state.lock();
        self.changed.wait_while_for(&mut state, |state| !state.ended, limit);
        state.ended
    }

    fn next(&self) -> Job {
        let mut state = self.state.lock();
        loop {
            if state.closing {
                return Job::Closing;
            }
            if let Some(order) = state.order.take() {
                return Job::Order(order, std::mem::take(&mut state.frame));
            }
            let timed_out = self.changed.wait_for(&mut state, QUIET).timed_out();
            if timed_out && state.order.is_none() && !state.closing {
                return Job::Quiet;
            }
        }
    }

    fn carry_out(&self, order: Order, frame: &mut Vec<u8>, hand: &mut Hand) -> Result<()> {
        let (last, layout, sync) = match order {
            Order::Run(task) => return task(hand),
            Order::Write { last, layout, sync } => (last, layout, sync),
        };
        let keep_free = hand.keep_free;
        let Some(log) = &mut hand.log else {
            return Err(Error::Invalid("write to a copy of the log that is not open".into()));
        };
        if !frame.is_empty() {
            if log.make_room(frame.len().next_multiple_of(ALIGN))? {
                // What is open goes on lying on a disk that is no longer where it was.
                self.place.check()?;
                self.trim(log)?;
                let dir = &self.place.dir;
                if place::free(dir)? < keep_free {
                    return Err(Error::Full { place: dir.display().to_string(), wanted: keep_free });
                }
            }
            log.append(frame, last, layout)?;
        }
        if sync { log.sync() } else { Ok(()) }
    }

    /// Says on disk that all is synced, as the sequencer does with its own log, and lets go of what the base holds.
    fn tidy(&self, hand: &mut Hand) {
        let Some(log) = &mut hand.log else { return };
        if let Err(error) = log.seal_when_idle().and_then(|()| self.trim(log)) {
            tracing::warn!(%error, "the copy of the commit log can't be sealed now");
        }
    }

    fn trim(&self, log: &LogWriter) -> Result<()> {
        let base = self.told.base.load(Ordering::Acquire);
        log.trim(base);
        let files = log.needed(base);
        self.told.files.store(files as u64, Ordering::Release);
        if files > FILES_MAX {
            let text = format!("go on with a copy whose log has {files} files: its base can't be renewed");
            return Err(Error::Invalid(text));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Patience;
    use std::time::Duration;

    #[test]
    fn patience_is_bounded_for_each_group_and_over_time() {
        let seconds = Duration::from_secs;
        let mut patience = Patience::new(seconds(10));
        assert_eq!(patience.left(seconds(5)), seconds(10));
        // Always a little less than it may take: that ends, too.
        patience.spend(seconds(9));
        assert_eq!(patience.left(seconds(14)), seconds(10));
        patience.spend(seconds(9));
        assert_eq!(patience.left(seconds(23)), seconds(2));
        patience.spend(seconds(2));
        assert_eq!(patience.left(seconds(25)), Duration::ZERO);
        assert_eq!(patience.left(seconds(70)), seconds(10), "another minute");
    }
}
