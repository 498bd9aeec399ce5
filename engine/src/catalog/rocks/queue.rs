//! The bounded way from callers to the sequencer, and what it counts.

use crate::catalog::copy::Task;
use crate::catalog::{Commit, Version};
use crate::{Error, Result};
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

/// Commits that wait may hold this much together.
const WAITING_KIB_MAX: usize = 32 << 10;
/// A group ends after this many commits or bytes.
const GROUP_COMMITS_MAX: usize = 4096;
/// See [`GROUP_COMMITS_MAX`].
pub(super) const GROUP_BYTES_MAX: usize = 4 << 20;
/// What a row costs beside its bytes.
const ROW_COST: usize = 64;

/// Work for the sequencer.
pub(super) enum Job {
    /// A commit that was admitted.
    Commit(Commit),
    /// Frames of another catalog's log.
    Apply(bytes::Bytes),
    /// Something about the catalog's copy.
    Copy(Task),
}

/// Work, and where its answer goes.
pub(super) struct Request {
    /// What to do.
    pub(super) job: Job,
    /// About how much memory it holds.
    pub(super) bytes: usize,
    /// Who waits; may be gone.
    pub(super) answer: oneshot::Sender<Result<Version>>,
    permit: OwnedSemaphorePermit,
}

#[derive(Default)]
struct State {
    requests: VecDeque<Request>,
    closed: bool,
}

/// The queue.
pub(super) struct Queue {
    state: Mutex<State>,
    filled: Condvar,
    space: Arc<Semaphore>,
}

/// What the sequencer did since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Commits that passed.
    pub commits: u64,
    /// Commits that lost against another.
    pub conflicts: u64,
    /// Groups of commits that were written.
    pub groups: u64,
    /// Syncs of the commit log.
    pub syncs: u64,
    /// Bytes written to the commit log.
    pub log_bytes: u64,
    /// Zeros written into log files while the opening or a commit waited; those written ahead are not counted.
    pub zeroed_bytes: u64,
    /// Starts of a log file that had to wait until it was made.
    pub log_waits: u64,
}

/// [`Counts`], as they are counted.
#[derive(Default)]
pub(super) struct Counting {
    pub(super) commits: AtomicU64,
    pub(super) conflicts: AtomicU64,
    pub(super) groups: AtomicU64,
    pub(super) syncs: AtomicU64,
    pub(super) log_bytes: AtomicU64,
    pub(super) zeroed_bytes: AtomicU64,
    pub(super) log_waits: AtomicU64,
}

impl Counting {
    /// As they stand.
    pub(super) fn counts(&self) -> Counts {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Counts {
            commits: read(&self.commits),
            conflicts: read(&self.conflicts),
            groups: read(&self.groups),
            syncs: read(&self.syncs),
            log_bytes: read(&self.log_bytes),
            zeroed_bytes: read(&self.zeroed_bytes),
            log_waits: read(&self.log_waits),
        }
    }
}

/// What the sequencer should do next.
pub(super) enum Next {
    /// A group of requests, in order.
    Group(Vec<Request>),
    /// Nothing waited for this long.
    Quiet,
    /// The queue was closed and is empty.
    Closed,
}

impl Queue {
    /// An empty queue.
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::default(),
            filled: Condvar::new(),
            space: Arc::new(Semaphore::new(WAITING_KIB_MAX)),
        }
    }

    /// Puts work into the queue as soon as there is space. Dropped before that, it never happens; dropped after, it keeps
    /// its place, ahead of all that comes later.
    pub(super) async fn submit(self: &Arc<Self>, job: Job, bytes: usize) -> Result<Version> {
        let (answer, answered) = oneshot::channel();
        let bytes = bytes + ROW_COST * rows(&job);
        let kib = u32::try_from(bytes.div_ceil(1024).clamp(1, WAITING_KIB_MAX)).unwrap_or(u32::MAX);
        let permit = Arc::clone(&self.space).acquire_many_owned(kib).await.map_err(|_| Error::Closed)?;
        self.push(Request { job, bytes, answer, permit });
        answered.await.unwrap_or(Err(Error::Closed))
    }

    /// A request that comes after the end is dropped, which answers [`Error::Closed`].
    fn push(&self, request: Request) {
        let mut state = self.state.lock();
        if !state.closed {
            state.requests.push_back(request);
            self.filled.notify_one();
        }
    }

    /// No more work; what waits is still done.
    pub(super) fn close(&self) {
        self.state.lock().closed = true;
        self.filled.notify_one();
    }

    /// What waits, at once if anything does, or after `patience` [`Next::Quiet`].
    pub(super) fn next(&self, patience: Duration) -> Next {
        let mut state = self.state.lock();
        if state.requests.is_empty() && !state.closed {
            self.filled.wait_for(&mut state, patience);
        }
        if state.requests.is_empty() {
            return if state.closed { Next::Closed } else { Next::Quiet };
        }
        let (mut group, mut bytes) = (Vec::new(), 0);
        while let Some(request) = state.requests.front() {
            let alone = !matches!(request.job, Job::Commit(_));
            let full = group.len() == GROUP_COMMITS_MAX || bytes + request.bytes > GROUP_BYTES_MAX || alone;
            if full && !group.is_empty() {
                break;
            }
            let Some(request) = state.requests.pop_front() else { break };
            bytes += request.bytes;
            group.push(request);
            if alone {
                break;
            }
        }
        Next::Group(group)
    }

    /// Does nothing wait?
    pub(super) fn is_empty(&self) -> bool {
        self.state.lock().requests.is_empty()
    }
}

impl Request {
    /// Answers; whoever asked may be gone.
    pub(super) fn answer(self, outcome: Result<Version>) {
        drop(self.permit);
        drop(self.answer.send(outcome));
    }
}

fn rows(job: &Job) -> usize {
    match job {
        Job::Commit(commit) => commit.writes.len() + commit.checks.len(),
        Job::Apply(_) | Job::Copy(_) => 0,
    }
}
