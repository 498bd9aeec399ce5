//! The thread that writes a zone's copy of the log, beside the sequencer that writes the data directory's.
//!
//! ```text
//!   sequencer ── begin(frame) ─► follower: write, sync ─┐
//!       └─ its own sync ──────────────────────────────── end: both are durable
//! ```
//!
//! # Invariants
//! - One order at a time, and one sync of the copy per group, while the data directory's is under way.
//! - A disk that does not answer in time is given up: its thread is left behind and can do no more than end what it was told.
//!
//! # Limits
//! One frame, 4 MiB and some, is in memory twice.

use super::Told;
use super::membership::Membership;
use super::place;
use crate::catalog::Version;
use crate::catalog::log::files::LogWriter;
use crate::fault::Faults;
use crate::vital::Vital;
use crate::{Error, Result};
use parking_lot::{Condvar, Mutex};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

/// After so long without an order the log is sealed and trimmed.
const QUIET: Duration = Duration::from_secs(1);

/// Makes the writing end.
pub(super) type Start = Box<dyn FnOnce() -> Result<LogWriter> + Send>;

/// What the follower is told to do.
pub(super) enum Order {
    /// Open the log.
    Start(Start),
    /// Write a frame, if there is one, and sync if it is wanted.
    Write { last: Version, sync: bool },
    /// Replace the zone's membership.
    Record(PathBuf, Membership),
}

#[derive(Default)]
struct State {
    order: Option<Order>,
    /// The frame of an order to write, and the buffer of the next one.
    frame: Vec<u8>,
    outcome: Option<Result<()>>,
    closing: bool,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    told: Arc<Told>,
    faults: Arc<Faults>,
}

/// The sequencer's end of it. Dropping it waits for the thread, unless that was given up.
pub(super) struct Follower {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    dir: PathBuf,
    patience: Duration,
}

impl Follower {
    /// Starts the thread, which opens the log.
    pub(super) fn start(
        dir: &Path,
        start: Start,
        told: Arc<Told>,
        (faults, patience): (Arc<Faults>, Duration),
    ) -> Result<Self> {
        let shared = Arc::new(Shared { state: Mutex::default(), changed: Condvar::new(), told, faults });
        let worker = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("catalog-copy".into()).spawn(move || {
            let _vital = Vital::guard();
            worker.run();
        });
        let thread = thread.map_err(|error| Error::io("start the thread of the copy in", dir, error))?;
        let mut follower = Self { shared, thread: Some(thread), dir: dir.to_owned(), patience };
        follower.begin(Order::Start(start), &[]);
        follower.end()?;
        Ok(follower)
    }

    /// Hands an order over. [`end`](Self::end) must follow.
    pub(super) fn begin(&self, order: Order, frame: &[u8]) {
        let mut state = self.shared.state.lock();
        state.frame.clear();
        state.frame.extend_from_slice(frame);
        state.order = Some(order);
        self.shared.changed.notify_all();
    }

    /// Waits until the order is carried out.
    pub(super) fn end(&mut self) -> Result<()> {
        let mut state = self.shared.state.lock();
        loop {
            if let Some(outcome) = state.outcome.take() {
                return outcome;
            }
            if self.shared.changed.wait_for(&mut state, self.patience).timed_out() && state.outcome.is_none()
            {
                // Whatever it is stuck in may take for ever.
                self.thread = None;
                let text = format!("no answer within {} s", self.patience.as_secs_f32());
                let source = std::io::Error::new(std::io::ErrorKind::TimedOut, text);
                return Err(Error::Io { op: "write", path: self.dir.clone(), source });
            }
        }
    }
}

impl Follower {
    /// Leaves the thread to end by itself, after whatever its disk makes of it.
    pub(super) fn give_up(mut self) {
        self.thread = None;
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.shared.state.lock().closing = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread of the catalog's copy had panicked");
        }
    }
}

enum Next {
    Order(Order, Vec<u8>),
    Quiet,
    Closing,
}

impl Shared {
    fn run(&self) {
        let mut log: Option<LogWriter> = None;
        loop {
            match self.next() {
                Next::Order(order, mut frame) => {
                    let outcome = self.carry_out(order, &mut frame, &mut log);
                    let mut state = self.state.lock();
                    state.frame = frame;
                    state.outcome = Some(outcome);
                    self.changed.notify_all();
                }
                Next::Quiet => {
                    if let Some(log) = &mut log {
                        self.tidy(log);
                    }
                }
                Next::Closing => break,
            }
        }
        // A copy that is given up is made anew: how its end looks does not matter to anybody.
        if let Some(log) = &mut log {
            self.tidy(log);
        }
    }

    fn next(&self) -> Next {
        let mut state = self.state.lock();
        loop {
            if let Some(order) = state.order.take() {
                return Next::Order(order, std::mem::take(&mut state.frame));
            }
            if state.closing {
                return Next::Closing;
            }
            if self.changed.wait_for(&mut state, QUIET).timed_out() && state.order.is_none() && !state.closing
            {
                return Next::Quiet;
            }
        }
    }

    fn carry_out(&self, order: Order, frame: &mut Vec<u8>, log: &mut Option<LogWriter>) -> Result<()> {
        match (order, log) {
            (Order::Start(start), log) => {
                *log = Some(start()?);
                Ok(())
            }
            (Order::Write { last, sync }, Some(log)) => {
                if !frame.is_empty()
                    && log.make_room(frame.len().next_multiple_of(crate::catalog::log::frame::ALIGN))?
                {
                    self.trim(log);
                }
                if !frame.is_empty() {
                    log.append(frame, last)?;
                }
                if sync { log.sync() } else { Ok(()) }
            }
            (Order::Record(place, membership), _) => {
                place::step(&self.faults, &place)?;
                membership.write(&place)
            }
            (Order::Write { .. }, None) => {
                Err(Error::Invalid("write to a copy of the log that is not open".into()))
            }
        }
    }

    /// Says on disk that all is synced, as the sequencer does with its own log, and lets go of what the base holds.
    fn tidy(&self, log: &mut LogWriter) {
        if let Err(error) = log.seal_when_idle() {
            tracing::warn!(%error, "the copy of the commit log can't be sealed now");
        }
        self.trim(log);
    }

    fn trim(&self, log: &LogWriter) {
        let base = self.told.base.load(Ordering::Acquire);
        log.trim(base);
        self.told.files.store(log.needed(base) as u64, Ordering::Release);
    }
}
