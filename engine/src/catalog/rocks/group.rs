//! A group under construction: commits that passed, as log payload and as batch, and whom to answer.
//!
//! Nothing outside the group changes while it is built: when its log write is refused, dropping it undoes it.

use super::queue::Request;
use super::rows::Rows;
use crate::catalog::log::frame::HEADER;
use crate::catalog::log::payload;
use crate::catalog::totals::{Totals, total};
use crate::catalog::window::{Fingerprint, Verdict, Window};
use crate::catalog::{Check, Commit, Durability, Family, Key, Layout, Version, Write};
use crate::id::{IdempotencyId, PartitionId};
use crate::{Error, Result};
use rocksdb::WriteBatch;
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

/// Commits that will be written together.
pub(super) struct Group {
    /// A frame: room for its header, then the commits.
    pub(super) frame: Vec<u8>,
    /// The same for the rows, but for what counters grow by.
    batch: WriteBatch,
    /// What the group adds to each counter: one row a group, however many commits count.
    added: HashMap<(PartitionId, Key), i64>,
    /// Counters that the group deleted before what is in `added` came.
    reset: HashSet<(PartitionId, Key)>,
    /// Version of the last commit.
    pub(super) last: Version,
    /// What readers must know of, by some commit.
    pub(super) layout: Layout,
    /// Some commit wants to be durable.
    pub(super) synced: bool,
    /// Who is told which version once the group is through.
    pub(super) passed: Vec<(Request, Version)>,
    /// Rows that changed, by which version last and whether they exist after it: what the group's later commits are checked
    /// against.
    changed: HashMap<(PartitionId, Key), (Version, bool)>,
    answered: HashMap<(PartitionId, IdempotencyId), Version>,
}

/// What a commit is judged by.
pub(super) struct Judge<'a> {
    /// Recent changes.
    pub(super) window: &'a Window,
    /// The rows before the group.
    pub(super) rows: &'a Rows,
    /// What counters stand at before the group.
    pub(super) totals: &'a RefCell<Totals>,
    /// The current epoch of idempotency ids.
    pub(super) epoch: u32,
}

impl Group {
    /// An empty group after version `prior`, with room for commits of about `bytes`; `frame` is the buffer of an earlier one.
    pub(super) fn new(prior: Version, bytes: usize, mut frame: Vec<u8>) -> Self {
        let (passed, added, reset, changed, answered) = Default::default();
        frame.clear();
        frame.resize(HEADER, 0);
        let batch = WriteBatch::with_capacity_bytes(bytes);
        let layout = Layout::FIRST;
        Self { frame, batch, added, reset, last: prior, layout, synced: false, passed, changed, answered }
    }

    /// Nothing to write.
    pub(super) fn is_empty(&self) -> bool {
        self.frame.len() == HEADER
    }

    /// Judges a commit and takes it in. Answers its version, which holds once the group is written.
    pub(super) fn admit(&mut self, commit: &Commit, judge: &Judge<'_>) -> Result<Version> {
        crate::catalog::admit::admit_read_version(commit, self.last)?;
        self.synced |= commit.durability == Durability::Synced;
        if let Some(version) = self.already(commit, judge)? {
            return Ok(version);
        }
        for (index, check) in commit.checks.iter().enumerate() {
            if !self.holds(commit, check, judge)? {
                return Err(match check {
                    Check::AtMost(..) => Error::OverLimit { check: index },
                    Check::Unchanged(_) | Check::Absent(_) => Error::Conflict { check: index },
                });
            }
        }
        if commit.writes.is_empty() && commit.idempotency.is_none() {
            return Ok(self.last);
        }
        self.last += 1;
        self.layout = self.layout.max(commit.layout);
        payload::push(&mut self.frame, commit);
        for write in &commit.writes {
            self.stage(commit.partition, write, judge.rows);
            let exists = !matches!(write, Write::Delete(_));
            self.changed.insert((commit.partition, write.key().clone()), (self.last, exists));
        }
        if let Some(id) = &commit.idempotency {
            judge.rows.stage_answer(&mut self.batch, judge.epoch, (commit.partition, id), self.last);
            self.answered.insert((commit.partition, *id), self.last);
        }
        Ok(self.last)
    }

    /// Adds a write to the batch. Adds are summed up and follow it at the end, which a Delete of their counter does not.
    fn stage(&mut self, partition: PartitionId, write: &Write, rows: &Rows) {
        match write {
            Write::Add(key, delta) => {
                let sum = self.added.entry((partition, key.clone())).or_default();
                *sum = sum.wrapping_add(*delta);
                return;
            }
            Write::Delete(key) if key.table.family == Family::Counter => {
                self.added.remove(&(partition, key.clone()));
                self.reset.insert((partition, key.clone()));
            }
            Write::Put(..) | Write::Delete(_) => {}
        }
        rows.stage_write(&mut self.batch, partition, write);
    }

    /// What a counter stands at with what the group has done so far.
    fn counter(&self, row: &(PartitionId, Key), judge: &Judge<'_>) -> Result<i64> {
        let before = if self.reset.contains(row) {
            0
        } else {
            judge.totals.borrow_mut().get(row, || judge.rows.counter(row.0, &row.1))?
        };
        Ok(before.wrapping_add(self.added.get(row).copied().unwrap_or_default()))
    }

    /// Tells what the group did to counters, once it is written.
    pub(super) fn settle(&self, totals: &mut Totals) {
        for row in &self.reset {
            totals.change(row, |_| 0);
        }
        for (row, delta) in &self.added {
            totals.change(row, |value| value.wrapping_add(*delta));
        }
    }

    /// All that the group changes in the rows.
    pub(super) fn into_batch(self, rows: &Rows) -> WriteBatch {
        let mut batch = self.batch;
        for ((partition, key), delta) in self.added {
            rows.stage_write(&mut batch, partition, &Write::Add(key, delta));
        }
        batch
    }

    fn already(&self, commit: &Commit, judge: &Judge<'_>) -> Result<Option<Version>> {
        let Some(id) = commit.idempotency.as_ref().filter(|_| !commit.id_is_fresh) else { return Ok(None) };
        match self.answered.get(&(commit.partition, *id)) {
            Some(version) => Ok(Some(*version)),
            None => judge.rows.answered(judge.epoch, commit.partition, id),
        }
    }

    fn holds(&self, commit: &Commit, check: &Check, judge: &Judge<'_>) -> Result<bool> {
        let in_group = |key: &Key| self.changed.get(&(commit.partition, key.clone()));
        match check {
            Check::AtMost(key, limit) => {
                let now = self.counter(&(commit.partition, key.clone()), judge)?;
                Ok(total(now, &commit.writes, key) <= *limit)
            }
            Check::Absent(key) => match in_group(key) {
                Some((_, exists)) => Ok(!exists),
                None => judge.rows.exists(commit.partition, key).map(|exists| !exists),
            },
            Check::Unchanged(key) => {
                if in_group(key).is_some() {
                    return Ok(false);
                }
                let row = judge.window.fingerprint(commit.partition, key);
                match judge.window.judge(row, commit.read_version) {
                    Verdict::Unchanged => Ok(true),
                    Verdict::Changed => Ok(false),
                    Verdict::TooOld => Err(Error::TooOld { read: commit.read_version }),
                }
            }
        }
    }

    /// The rows that the group changed.
    pub(super) fn changed_rows(&self) -> impl Iterator<Item = &(PartitionId, Key)> {
        self.changed.keys()
    }

    /// The rows that the group changed, as the window knows them, in the order of their versions.
    pub(super) fn changes(&self, window: &Window) -> Vec<(Version, Fingerprint)> {
        let known = |((partition, key), (version, _)): (&(PartitionId, Key), &(Version, bool))| {
            (*version, window.fingerprint(*partition, key))
        };
        let mut changes: Vec<_> = self.changed.iter().map(known).collect();
        changes.sort_unstable_by_key(|(version, _)| *version);
        changes
    }
}
