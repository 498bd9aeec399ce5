//! The sequencer: one thread that judges commits, writes them in groups and publishes what is durable.
//!
//! ```text
//!   queue ─► judge each ─► log: write, one sync ─► rows in memory ─► publish a moment ─► answer
//!                          its copy, if there is one: the same, meanwhile ([`crate::catalog::copy`])
//! ```
//!
//! # Invariants
//! - One write and at most one sync of the log per group; a group of relaxed commits alone is not synced.
//! - Nothing is published before it is as durable as its commits asked for; what is published is never taken back.
//! - A log write that is refused for want of room or of a file descriptor changes nothing. Any other failed write, and
//!   every failed sync, fences: commits of that group are unknown, later ones refused, reads go on at the last published
//!   moment. What a failed sync left on the disk can't be known, so it is never retried; opening again finds out.
//! - A commit that a reader must know of something for is judged when the marker says so, durably: see [`Layout`].
//! - A group that is in the log but that the rows can't take (RocksDB out of room while flushing, or its disk fails) is parked and
//!   applied again until it passes; meanwhile commits are refused for what the rows say. Those of the group itself are unknown
//!   to whoever asks again: they will be applied, and nothing may say that they were not.

use super::group::{Group, Judge};
use super::hot::Hot;
use super::marker::Marker;
use super::queue::{Counting, Job, Next, Queue, Request};
use super::rows::Rows;
use super::space::{Gauge, Room, may_draw_on_reserve};
use super::view::Moment;
use crate::catalog::IDEMPOTENCY_KEPT;
use crate::catalog::copy::Keeper;
use crate::catalog::log::files::LogWriter;
use crate::catalog::log::frame::{self, ALIGN, Kind};
use crate::catalog::log::payload;
use crate::catalog::seen::Notes;
use crate::catalog::totals::Totals;
use crate::catalog::window::Window;
use crate::catalog::{Layout, Version};
use crate::clock::Clock;
use crate::fault::{Faults, Point};
use crate::id::{IdempotencyId, PartitionId};
use crate::{Error, Result};
use arc_swap::ArcSwap;
use bytes::Bytes;
use rocksdb::WriteBatch;
use std::cell::RefCell;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// How long the sequencer waits before it looks after itself.
const PATIENCE: Duration = Duration::from_secs(1);
/// Expired idempotency ids that a group takes away beside its own work.
const EXPIRED_PER_GROUP: usize = 512;
/// Log files that the rows may still need before they are asked to flush.
pub(super) const NEEDED_FILES_MAX: usize = 4;
/// Deleted rows in memory before the rows are asked to flush: two pages' worth, where nine of ten rows are deleted.
pub(super) const DEAD_IN_MEMORY_MAX: u64 = 20_000;

/// What the sequencer shares with its callers.
pub(super) struct Shared {
    pub(super) rows: Arc<Rows>,
    pub(super) hot: Arc<Hot>,
    pub(super) queue: Arc<Queue>,
    pub(super) published: ArcSwap<Moment>,
    pub(super) counting: Counting,
    /// Durable through here.
    pub(super) synced: AtomicU64,
    /// When room was last looked at, it was enough for every commit.
    pub(super) roomy: AtomicBool,
}

/// The thread's own state.
pub(super) struct Sequencer {
    pub(super) shared: Arc<Shared>,
    pub(super) log: LogWriter,
    /// The log's copy in a zone, if there is one.
    pub(super) keeper: Keeper,
    pub(super) notes: Notes,
    pub(super) marker: Marker,
    pub(super) window: Window,
    pub(super) totals: RefCell<Totals>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) faults: Arc<Faults>,
    pub(super) space: Gauge,
    pub(super) version: Version,
    pub(super) epoch: Epoch,
    pub(super) fenced: Option<String>,
    /// In the log and not yet in the rows.
    pub(super) parked: Option<Parked>,
    /// The last frame's buffer, for the next one: a fresh one of that size would be zeroed by the system each time.
    pub(super) spare: Vec<u8>,
}

/// A group that the rows did not take.
pub(super) struct Parked {
    frame: Bytes,
    /// Of its commits.
    ids: HashSet<(PartitionId, IdempotencyId)>,
}

impl Parked {
    fn new(frame: Bytes) -> Self {
        let body = frame::parse(&frame).ok().flatten().map(|(_, body, _)| frame.slice_ref(body));
        let commits = body.and_then(|body| payload::decode(body).ok()).unwrap_or_default();
        let ids = commits.into_iter().filter_map(|commit| Some((commit.partition, commit.idempotency?)));
        Self { ids: ids.collect(), frame }
    }

    /// Is it one of its commits that is asked for again?
    fn holds(&self, job: &Job) -> bool {
        let Job::Commit(commit) = job else { return false };
        commit.idempotency.is_some_and(|id| self.ids.contains(&(commit.partition, id)))
    }
}

/// The age of idempotency ids: kept in the epoch they came in and the next one.
pub(super) struct Epoch {
    pub(super) number: u32,
    pub(super) since: Duration,
    /// Where the search for expired ids goes on; none when there are none left.
    pub(super) sweep: Option<Vec<u8>>,
}

impl Sequencer {
    /// Works until the queue is closed and empty.
    pub(super) fn run(mut self) {
        loop {
            match self.shared.queue.next(PATIENCE) {
                Next::Group(requests) => self.group(requests),
                Next::Quiet => self.tidy(),
                Next::Closed => break,
            }
        }
        if self.fenced.is_none() {
            let closed = self.sync_both().and_then(|()| self.log.seal_when_idle());
            match closed {
                Ok(()) => self.notes.note(self.log.mark(), self.clock.boottime()),
                Err(error) => tracing::error!(%error, "the commit log's last sync failed"),
            }
        }
    }

    fn group(&mut self, mut requests: Vec<Request>) {
        if let Some(reason) = &self.fenced {
            for request in requests {
                request.answer(Err(Error::Fenced { reason: reason.clone() }));
            }
            return;
        }
        if let Err(error) = self.unpark() {
            for request in requests {
                let refusal = self.refusal(&request, &error);
                request.answer(Err(refusal));
            }
            return;
        }
        if requests.len() == 1 && !matches!(requests.first(), Some(Request { job: Job::Commit(_), .. })) {
            match requests.pop() {
                Some(request) if matches!(request.job, Job::Copy(_)) => self.copy(request),
                Some(request) => self.apply_frames(request),
                None => {}
            }
            return;
        }
        let bytes = requests.iter().map(|request| request.bytes).sum();
        let mut group = Group::new(self.version, bytes, std::mem::take(&mut self.spare));
        for request in requests {
            self.judge(&mut group, request);
        }
        self.finish(group);
        if self.fenced.is_none() {
            self.notes.note_when_due(self.log.mark(), self.clock.boottime());
        }
        if self.shared.queue.is_empty()
            && self.fenced.is_none()
            && let Err(error) = self.log.seal_when_idle()
            // A seal only tells damage from a torn tail. Without room for one, the next group's frame says the same.
            && !changes_nothing(&error)
        {
            self.fence(&error);
        }
    }

    fn judge(&mut self, group: &mut Group, request: Request) {
        let Job::Commit(commit) = &request.job else { return };
        let judge = Judge {
            window: &self.window,
            rows: &self.shared.rows,
            totals: &self.totals,
            epoch: self.epoch.number,
        };
        let room = self.space.room(self.clock.boottime(), request.bytes);
        self.shared.roomy.store(matches!(room, Ok(Room::Plenty)), Ordering::Release);
        let outcome = room.and_then(|room| {
            if room == Room::Plenty || (room == Room::Deletes && may_draw_on_reserve(commit)) {
                self.marker.raise(commit.layout)?;
                group.admit(commit, &judge)
            } else {
                Err(self.space.refusal(request.bytes))
            }
        });
        match outcome {
            Ok(version) => group.passed.push((request, version)),
            Err(error) => {
                if error.kind() == crate::ErrorKind::Conflict {
                    self.shared.counting.conflicts.fetch_add(1, Ordering::Relaxed);
                }
                request.answer(Err(error));
            }
        }
    }

    /// Writes, syncs, applies, publishes and answers.
    fn finish(&mut self, mut group: Group) {
        if group.passed.is_empty() {
            return;
        }
        let passed = std::mem::take(&mut group.passed);
        let count = passed.len() as u64;
        let outcome = self.write(&mut group).and_then(|()| self.apply(group));
        match outcome {
            Ok(()) => {
                self.shared.counting.commits.fetch_add(count, Ordering::Relaxed);
                for (request, version) in passed {
                    request.answer(Ok(version));
                }
            }
            Err(error) => {
                for (request, _) in passed {
                    let answer = match &error {
                        Error::Full { place, .. } => {
                            Error::Full { place: place.clone(), wanted: request.bytes as u64 }
                        }
                        Error::NoDescriptors { op, place } => {
                            Error::NoDescriptors { op, place: place.clone() }
                        }
                        other => Error::Unknown { reason: other.to_string() },
                    };
                    request.answer(Err(answer));
                }
            }
        }
    }

    /// Into the log, and its copy while the log is synced. What [`changes_nothing`] is refused; every other error fences.
    fn write(&mut self, group: &mut Group) -> Result<()> {
        let bytes = if group.is_empty() { 0 } else { group.frame.len() };
        if !group.is_empty() {
            let len = group.frame.len().next_multiple_of(ALIGN);
            let written = self.append(&mut group.frame, len, (group.last, group.layout));
            if let Err(error) = written {
                if !changes_nothing(&error) {
                    self.fence(&error);
                }
                return Err(error);
            }
        }
        self.keeper.begin(&group.frame[..bytes], (group.last, group.layout), group.synced);
        let synced = if group.synced { self.sync() } else { Ok(()) };
        self.wait_for_copy().and(synced)
    }

    fn append(&mut self, frame: &mut Vec<u8>, len: usize, (last, layout): (Version, Layout)) -> Result<()> {
        if self.log.make_room(len)? {
            self.shared.counting.log_waits.store(self.log.waits(), Ordering::Relaxed);
            self.shared.counting.zeroed_bytes.store(self.log.zeroed(), Ordering::Relaxed);
            self.notes.note(self.log.mark(), self.clock.boottime());
            self.flush_if_needed();
        }
        self.log.append(frame, last, layout)?;
        self.shared.counting.groups.fetch_add(1, Ordering::Relaxed);
        self.shared.counting.log_bytes.fetch_add(len as u64, Ordering::Relaxed);
        Ok(())
    }

    pub(super) fn sync(&mut self) -> Result<()> {
        match self.log.sync() {
            Ok(()) => {
                self.shared.counting.syncs.store(self.log.syncs(), Ordering::Relaxed);
                self.shared.synced.store(self.log.synced(), Ordering::Release);
                Ok(())
            }
            Err(error) => {
                self.fence(&error);
                Err(Error::Unknown { reason: error.to_string() })
            }
        }
    }

    /// Into the rows, and published. The log has it: what fails here is parked, not lost.
    fn apply(&mut self, mut group: Group) -> Result<()> {
        if group.is_empty() {
            return Ok(());
        }
        for (version, row) in group.changes(&self.window) {
            self.window.record(row, version);
        }
        group.settle(&mut self.totals.borrow_mut());
        // Before it is published: nobody may find a row as it was before the group.
        group.changed_rows().for_each(|row| self.shared.hot.forget(row, group.last));
        let (last, frame) = (group.last, std::mem::take(&mut group.frame));
        let mut batch = group.into_batch(&self.shared.rows);
        self.age(&mut batch);
        self.publish(batch, last, frame)
    }

    fn publish(&mut self, mut batch: WriteBatch, last: Version, frame: Vec<u8>) -> Result<()> {
        let rows = &self.shared.rows;
        rows.stage_applied(&mut batch, last);
        self.version = last;
        if let Err(error) = self.may_apply().and_then(|()| rows.apply(batch)) {
            tracing::error!(%error, "the rows can't take what the commit log holds: refusing commits until they do");
            self.parked = Some(Parked::new(frame.into()));
            return Err(in_the_log(&error));
        }
        self.shared.published.store(Arc::new(Moment::now(rows, &self.shared.hot, last)));
        self.spare = frame;
        self.window.prune(self.clock.boottime(), last);
        Ok(())
    }

    /// Applies what is parked, if anything is; an error says why it is still.
    fn unpark(&mut self) -> Result<()> {
        let Some(Parked { frame: whole, .. }) = &self.parked else { return Ok(()) };
        let rows = &self.shared.rows;
        self.may_apply()?;
        let Some((header, body, _)) = frame::parse(whole)? else {
            return Err(Error::Invalid("apply a parked group: it changed in memory".into()));
        };
        super::replay(rows, (header.prior, header.last), whole.slice_ref(body), self.epoch.number)?;
        self.shared.published.store(Arc::new(Moment::now(rows, &self.shared.hot, self.version)));
        self.parked = None;
        Ok(())
    }

    /// What somebody is told while a group is parked, because of `error`.
    fn refusal(&self, request: &Request, error: &Error) -> Error {
        if self.parked.as_ref().is_some_and(|parked| parked.holds(&request.job)) {
            return in_the_log(error);
        }
        match error {
            Error::Full { .. } => self.space.refusal(request.bytes),
            other => Error::Fenced {
                reason: format!(
                    "the catalog's rows do not take what its log holds ({other}); restart firn if that goes on, it recovers from \
                     its log"
                ),
            },
        }
    }

    fn may_apply(&self) -> Result<()> {
        let place = self.shared.rows.db().path();
        self.faults.check(Point::CatalogApply).map_err(|error| Error::io("write", place, error))
    }

    pub(super) fn fence(&mut self, error: &Error) {
        tracing::error!(%error, "the commit log can't be trusted any more: refusing commits until firn is restarted");
        self.fenced = Some(format!("the commit log failed ({error}); restart firn to recover from it"));
    }

    /// Moves on to the next epoch of idempotency ids, and takes some expired ones away.
    fn age(&mut self, batch: &mut WriteBatch) {
        let now = self.clock.boottime();
        let rows = &self.shared.rows;
        if now.saturating_sub(self.epoch.since) >= IDEMPOTENCY_KEPT {
            self.epoch.number = self.epoch.number.saturating_add(1);
            self.epoch.since = now;
            self.epoch.sweep = Some(Vec::new());
            rows.stage_epoch(batch, self.epoch.number);
        }
        if let Some(after) = &self.epoch.sweep {
            // The group is in the log already: a sweep that fails must not stop it. The next epoch's begins from the start.
            let expired =
                rows.expired(self.epoch.number - 1, after, EXPIRED_PER_GROUP).unwrap_or_else(|error| {
                    tracing::warn!(%error, "expired idempotency ids can't be read now");
                    Vec::new()
                });
            for key in &expired {
                rows.stage_expired(batch, key);
            }
            self.epoch.sweep = expired.last().cloned();
        }
    }

    /// What can wait until nothing else does.
    fn tidy(&mut self) {
        if self.fenced.is_some() || self.unpark().is_err() {
            return;
        }
        self.notes.note_when_due(self.log.mark(), self.clock.boottime());
        self.window.prune(self.clock.boottime(), self.version);
        self.flush_if_needed();
    }

    /// The log's files are bounded: what they hold must reach the disk as rows. What they hold that is there goes. So are
    /// the deleted rows that listings meet in memory, which would lie there for as long as nothing else is written. RocksDB
    /// tells a flush that fails by refusing the next batch.
    fn flush_if_needed(&self) {
        let rows = &self.shared.rows;
        let flush = rows.flushed().and_then(|flushed| {
            self.log.trim(flushed);
            let due =
                self.log.needed(flushed) > NEEDED_FILES_MAX || rows.dead_in_memory()? > DEAD_IN_MEMORY_MAX;
            if due { rows.flush(false) } else { Ok(()) }
        });
        if let Err(error) = flush {
            tracing::warn!(%error, "the rows can't be flushed now");
        }
    }

    /// Takes over groups of another catalog's log, each as one group of this one's, at the versions they have.
    fn apply_frames(&mut self, request: Request) {
        let Job::Apply(frames) = &request.job else { return };
        let outcome = self.take_over(frames);
        request.answer(outcome);
    }

    pub(super) fn take_over(&mut self, frames: &Bytes) -> Result<Version> {
        let refused =
            |detail: &str| Error::Corrupt { what: "shipped commit log".into(), detail: detail.into() };
        let mut offset = 0;
        while offset < frames.len() {
            let (header, body, total) =
                frame::parse(&frames[offset..])?.ok_or_else(|| refused("a group does not verify"))?;
            let body = frames.slice_ref(body);
            offset += total;
            if header.kind != Kind::Group || header.last <= self.version {
                continue;
            }
            if header.prior != self.version {
                return Err(refused(&format!("versions {} to {} are missing", self.version, header.prior)));
            }
            let mut group = Group::new(self.version, body.len(), Vec::new());
            group.frame.extend_from_slice(&body);
            let commits = payload::decode(body)?;
            if header.prior + commits.len() as u64 != header.last {
                return Err(refused("a group's versions are not those of its commits"));
            }
            let mut batch = WriteBatch::default();
            for (version, logged) in (header.prior + 1..).zip(&commits) {
                self.shared.rows.stage(&mut batch, logged, version, self.epoch.number);
            }
            (group.last, group.layout) = (header.last, header.layout);
            self.marker.raise(group.layout)?;
            self.write(&mut group)?;
            self.window.forget_through(header.last);
            self.totals.borrow_mut().forget_all();
            self.shared.hot.forget_all(header.last);
            self.publish(batch, header.last, group.frame)?;
        }
        self.sync()?;
        Ok(self.version)
    }
}

/// Of a commit that the rows did not take.
fn in_the_log(error: &Error) -> Error {
    Error::Unknown { reason: format!("it is in the log, the rows take it later: {error}") }
}

/// Whether a log write was refused before it had begun, so that the next one may pass.
fn changes_nothing(error: &Error) -> bool {
    matches!(error, Error::Full { .. } | Error::NoDescriptors { .. })
}
