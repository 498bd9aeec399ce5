//! How rows are changed: read at one version, decide by what was read, commit if it still holds; again if somebody was faster.
//!
//! ```text
//!   attempt ─┬─► Answer                                    that is it, nothing is left to write
//!            ├─► Commit ─► passed ─► its answer
//!            │          └► Conflict, TooOld ─► the next attempt
//!            └─► Again ─────────────────────► the next attempt
//! ```
//!
//! # Invariants
//! - An attempt decides by rows of one version, and its commit checks each of them that the decision rests on.
//! - Any other error ends it: one that leaves the outcome open is not tried again, since the commit may have come through.
//! - Whatever may have given queues work has its partition looked at.
//!
//! # Limits
//! [`ATTEMPTS_MAX`] attempts; who loses all of them is told so.
//!
//! # What stays apart
//! - Whoever is called again by a turn of its own (workers, settings beside a quota's count) commits once: [`ObjectStore::try_commit`].
//! - Losing every race is no error to `dedup::index`, which writes anew what it could not hold, nor to `lifecycle::act`, which goes on
//!   with its next turn: they count their own attempts.
//! - Who only reads has nothing to commit, and looks again by a rule of its own: `read.rs`.
//! - Straight to the catalog go three commits that nobody decides by: the confirmation of a copy's intent, the layout that a start
//!   marks, and the mark of a recovery, before the doors open.

use crate::change::{Change, Proposal};
use crate::quota::charge;
use crate::store::View;
use crate::{Error, ObjectKey, ObjectStore, Result};
use engine::ErrorKind;
use engine::catalog::{Commit, Layout, Version};

/// How often an operation reads again and decides again before it gives up.
const ATTEMPTS_MAX: u32 = 128;

/// What an attempt comes to.
#[expect(clippy::large_enum_variant, reason = "each is taken apart as soon as it is made")]
pub(crate) enum Attempt<T> {
    /// This, and there is nothing to write, or it is written already.
    Answer(T),
    /// This, once the change has come through.
    Commit(Proposal, T),
    /// What was read does not hold any more: read again, decide again.
    Again,
}

impl<T> Attempt<T> {
    /// This if a commit came through.
    pub(crate) fn won(won: bool, answer: T) -> Self {
        if won { Self::Answer(answer) } else { Self::Again }
    }

    pub(crate) fn map<U>(self, change: impl FnOnce(T) -> U) -> Attempt<U> {
        match self {
            Self::Answer(answer) => Attempt::Answer(change(answer)),
            Self::Commit(proposal, answer) => Attempt::Commit(proposal, change(answer)),
            Self::Again => Attempt::Again,
        }
    }
}

impl ObjectStore {
    /// Attempts until there is an answer. (A closure that gives a future, and no async closure: of those nobody can say that what
    /// they give may go to another thread.)
    pub(crate) async fn transact<T, F>(&self, attempt: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = Result<Attempt<T>>>,
    {
        for _ in 0..ATTEMPTS_MAX {
            match attempt().await? {
                Attempt::Answer(answer) => return Ok(answer),
                Attempt::Commit(proposal, answer) => {
                    if self.try_commit(proposal).await? {
                        return Ok(answer);
                    }
                }
                Attempt::Again => {}
            }
        }
        Err(contended())
    }

    /// Commits once. `false`: somebody was faster.
    pub(crate) async fn try_commit(&self, proposal: Proposal) -> Result<bool> {
        match self.commit(proposal).await {
            Ok(_) => Ok(true),
            Err(Error::Engine(error)) if error.kind() == ErrorKind::Conflict => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Commits once. That somebody was faster is an error like another.
    pub(crate) async fn commit(&self, proposal: Proposal) -> Result<Version> {
        let Proposal { partition, read_version, change } = proposal;
        let Change { checks, writes, posted, kept, dirty, cold, space, durability, layout, charge, .. } =
            change;
        let layout = layout.unwrap_or(Layout::FIRST);
        let commit =
            Commit { checks, writes, space, durability, layout, ..Commit::new(partition, read_version) };
        let outcome = self.commit_keeping(commit, posted, kept).await;
        let is_lost = outcome.as_ref().is_err_and(|error| error.kind() == ErrorKind::Conflict);
        if dirty && !is_lost {
            self.mark_dirty(partition);
        }
        if cold && !is_lost {
            self.mark_cold(partition);
        }
        match (outcome, charge) {
            (Err(engine::Error::OverLimit { check }), Some((first, charge))) => {
                Err(charge.refused(check.saturating_sub(first)))
            }
            (outcome, _) => Ok(outcome?),
        }
    }

    /// Commits a change of a key's versions once. `false`: somebody was faster.
    pub(crate) async fn try_change_key(&self, view: &View, key: &ObjectKey, change: Change) -> Result<bool> {
        let mut change = change.guarded();
        if let Some(quotas) = self.quotas_at(view).await? {
            let dues = charge(&quotas, key, change.delta);
            change = change.charged(dues);
        }
        self.try_commit(change.of(view)).await
    }
}

/// The error of whoever lost every race.
pub(crate) const fn contended() -> Error {
    Error::Contended { attempts: ATTEMPTS_MAX }
}
