//! How rows are changed: read at one version, decide by what was read, commit if it still holds; again if somebody was faster.
//!
//! ```text
//!   attempt ─┬─► Answer                             that is it, nothing is left to write
//!            ├─► Commit ─► passed ─► its answer
//!            │          └► Conflict, TooOld ─► the next attempt
//!            └─► Again ─────────────────────► the next attempt
//! ```
//! Whoever is called again by a turn of its own (the cleaner) commits once: [`Vaults::try_commit`].

use super::{Error, Result, Vaults};
use bytes::Bytes;
use engine::ErrorKind;
use engine::catalog::{Check, Commit, Key, Layout, Page, Scan, Snapshot, Space, Table, Version, Write};
use engine::id::{IdempotencyId, PartitionId};
use engine::outbox::Posted;
use std::sync::Arc;

/// How often an operation decides again before it gives up.
pub(super) const ATTEMPTS_MAX: u32 = 128;

/// Checks and writes of one commit.
#[derive(Debug, Default)]
pub(super) struct Change {
    pub(super) checks: Vec<Check>,
    pub(super) writes: Vec<Write>,
    pub(super) space: Space,
    layout: Option<Layout>,
    /// Where the cleaner gets work by it.
    dirty: Option<PartitionId>,
    /// Messages among the writes.
    posted: Vec<Posted>,
}

impl Change {
    #[must_use]
    pub(super) fn unchanged(mut self, key: Key) -> Self {
        self.checks.push(Check::Unchanged(key));
        self
    }

    #[must_use]
    pub(super) fn absent(mut self, key: Key) -> Self {
        self.checks.push(Check::Absent(key));
        self
    }

    #[must_use]
    pub(super) fn put(mut self, key: Key, value: impl Into<Bytes>) -> Self {
        self.writes.push(Write::Put(key, value.into()));
        self
    }

    #[must_use]
    pub(super) fn delete(mut self, key: Key) -> Self {
        self.writes.push(Write::Delete(key));
        self
    }

    #[must_use]
    pub(super) fn add(mut self, key: Key, by: i64) -> Self {
        self.writes.push(Write::Add(key, by));
        self
    }

    #[must_use]
    pub(super) fn writes(mut self, writes: impl IntoIterator<Item = Write>) -> Self {
        self.writes.extend(writes);
        self
    }

    /// A message is among the writes.
    #[must_use]
    pub(super) fn posted(mut self, posted: Posted) -> Self {
        self.posted.push(posted);
        self
    }

    /// It leads to free space.
    #[must_use]
    pub(super) const fn freeing(mut self) -> Self {
        self.space = Space::Reserve;
        self
    }

    /// The cleaner gets work by it in the partition of a vault: it looks there once this may have come through.
    #[must_use]
    pub(super) const fn dirty(mut self, home: PartitionId) -> Self {
        self.dirty = Some(home);
        self
    }

    /// Whoever reads it must know of vaults.
    #[must_use]
    pub(super) const fn of_vaults(mut self) -> Self {
        self.layout = Some(Layout::VAULTS);
        self
    }

    /// Proposes it for a partition as a snapshot shows it.
    pub(super) fn at(self, home: PartitionId, snapshot: &dyn Snapshot) -> Proposal {
        Proposal { home, read_version: snapshot.read_version(), change: self }
    }
}

/// A change of what a partition has at one version.
#[derive(Debug)]
pub(super) struct Proposal {
    home: PartitionId,
    read_version: Version,
    change: Change,
}

/// What an attempt comes to.
pub(super) enum Attempt<T> {
    /// This, and there is nothing to write, or it is written already.
    Answer(T),
    /// This, once the change has come through.
    Commit(Proposal, T),
    /// What was read does not hold any more: read again, decide again.
    Again,
}

impl Vaults {
    pub(super) async fn at(&self, home: PartitionId) -> Result<Arc<dyn Snapshot>> {
        Ok(self.catalog.snapshot(home).await?)
    }

    /// Attempts until there is an answer.
    pub(super) async fn transact<T, F>(&self, attempt: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = Result<Attempt<T>>>,
    {
        for _ in 0..ATTEMPTS_MAX {
            match attempt().await? {
                Attempt::Answer(answer) => return Ok(answer),
                Attempt::Commit(proposal, answer) => {
                    if self.commit(proposal).await? {
                        return Ok(answer);
                    }
                }
                Attempt::Again => {}
            }
        }
        Err(contended())
    }

    /// Commits once. `false`: somebody was faster.
    pub(super) async fn try_commit(
        &self,
        home: PartitionId,
        snapshot: &dyn Snapshot,
        change: Change,
    ) -> Result<bool> {
        self.commit(change.at(home, snapshot)).await
    }

    async fn commit(&self, proposal: Proposal) -> Result<bool> {
        let Proposal { home, read_version, change } = proposal;
        let Change { checks, writes, space, layout, dirty, posted } = change;
        let layout = layout.unwrap_or(Layout::FIRST);
        let commit = Commit { checks, writes, space, layout, ..Commit::new(home, read_version) };
        let id = IdempotencyId::from_bytes(self.growing.next(self.clock.now(), &*self.entropy));
        let outcome = self.commit_telling(id, commit, posted).await;
        if matches!(&outcome, Err(error) if error.kind() == ErrorKind::Conflict) {
            return Ok(false);
        }
        // Also where the outcome is open: else nobody would look for what it left.
        if let Some(home) = dirty {
            self.mark_dirty(home);
        }
        outcome?;
        if space == Space::Reserve {
            self.blobs.freed_something();
        }
        Ok(true)
    }

    /// A page of a table, from `start` on, of what begins with `prefix`.
    pub(super) async fn page(
        &self,
        snapshot: &dyn Snapshot,
        table: Table,
        (prefix, start): (&[u8], Option<&[u8]>),
        limit: usize,
    ) -> Result<Page> {
        let mut scan = Scan::prefix(table, prefix, limit);
        if let Some(start) = start {
            scan.start = Bytes::copy_from_slice(start);
        }
        let mut page = snapshot.scan(scan.clone()).await?;
        while let Some(behind) = scan.clone().behind(&page) {
            let left = limit.saturating_sub(page.rows.len());
            if left == 0 {
                break;
            }
            scan = Scan { limit: left, ..behind };
            let more = snapshot.scan(scan.clone()).await?;
            page.more = more.more;
            page.rows.extend(more.rows);
        }
        Ok(page)
    }
}

pub(super) const fn contended() -> Error {
    Error::Contended { attempts: ATTEMPTS_MAX }
}
