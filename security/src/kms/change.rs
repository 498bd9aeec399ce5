//! One operation, one commit: what it rests on, and what it changes.
//!
//! Nobody's turn is waited for: checks keep operations apart, and what others were faster with is read again. A commit whose outcome is not
//! known is repeated under its idempotency id; where that does not help, who asked is told, and the rows say what is so.

use super::error::{KmsError, Result};
use super::row::Count;
use super::{Kms, KmsError as Error};
use crate::AccountId;
use crate::keys::KeyScope;
use engine::catalog::record::Record;
use engine::catalog::{Check, Commit, Key, Layout, RETRY_ATTEMPTS_MAX, Snapshot, Write, commit_known};
use engine::id::{IdempotencyId, PartitionId};
use std::future::Future;
use std::sync::Arc;

/// An operation on its way.
pub(super) struct Change {
    account: AccountId,
    id: IdempotencyId,
    commit: Commit,
    /// What to say when a check finds a counter above its limit, by the check's number.
    over: Vec<(usize, &'static str, i64)>,
}

fn is_raced(error: &Error) -> bool {
    matches!(
        &error.cause,
        Some(crate::Error::Engine(engine::Error::Conflict { .. } | engine::Error::TooOld { .. }))
    )
}

/// Tries until nobody comes between.
pub(super) async fn again<T, Fut>(mut attempt: impl FnMut() -> Fut) -> Result<T>
where
    Fut: Future<Output = Result<T>>,
{
    let mut number = 1;
    loop {
        match attempt().await {
            Err(error) if is_raced(&error) && number < RETRY_ATTEMPTS_MAX => {
                number += 1;
                tokio::task::yield_now().await;
            }
            outcome => return outcome,
        }
    }
}

impl Kms {
    pub(super) async fn snapshot(&self) -> Result<Arc<dyn Snapshot>> {
        Ok(self.parts.catalog.snapshot(PartitionId::ROOT).await?)
    }

    /// A change of an account's keys that rests on what a snapshot says.
    pub(super) fn change(&self, account: AccountId, snapshot: &dyn Snapshot) -> Change {
        let commit =
            Commit { layout: Layout::KEYS, ..Commit::new(PartitionId::ROOT, snapshot.read_version()) };
        let id = IdempotencyId::random(&*self.parts.entropy);
        Change { account, id, commit, over: Vec::new() }
    }

    /// Applies a change: on a task of its own, so that who stops waiting leaves no cache with what is no longer so.
    pub(super) async fn apply(&self, mut change: Change) -> Result<()> {
        change.commit.writes.push(Write::Add(Count::Generation.of_account(change.account), 1));
        let Some(kms) = self.itself.upgrade() else { return Err(engine::Error::Closed.into()) };
        let Change { id, commit, over, .. } = change;
        let applied = tokio::spawn(async move {
            let outcome = commit_known(&*kms.parts.catalog, id, commit).await;
            kms.has_changed();
            outcome
        });
        let outcome = applied.await.map_err(|_| KmsError::from(engine::Error::Closed))?;
        outcome.map(drop).map_err(|error| match error {
            engine::Error::OverLimit { check } => match over.iter().find(|(number, ..)| *number == check) {
                Some((_, what, limit)) => KmsError::new(
                    super::Code::LimitExceeded,
                    format!("You have reached the quota of {limit} {what}."),
                ),
                None => error.into(),
            },
            error => error.into(),
        })
    }

    /// Makes sure that there is a key to seal an account's material. An older firn, which knows no such keys, is kept from the catalog before
    /// there is one.
    pub(super) async fn prepare(&self, account: AccountId) -> Result<()> {
        let scope = KeyScope::kms(account);
        if !self.parts.keys.scopes().contains(&scope) {
            let root = self.snapshot().await?;
            self.apply(self.change(account, &*root)).await?;
        }
        Ok(self.parts.keys.prepare(scope).await?)
    }
}

impl Change {
    pub(super) fn unchanged(&mut self, key: Key) {
        self.commit.checks.push(Check::Unchanged(key));
    }

    pub(super) fn absent(&mut self, key: Key) {
        self.commit.checks.push(Check::Absent(key));
    }

    pub(super) fn put(&mut self, key: Key, row: &impl Record) {
        self.commit.writes.push(Write::Put(key, row.to_bytes()));
    }

    /// A row that says all by being there.
    pub(super) fn mark(&mut self, key: Key) {
        self.commit.writes.push(Write::Put(key, bytes::Bytes::new()));
    }

    pub(super) fn delete(&mut self, key: Key) {
        self.commit.writes.push(Write::Delete(key));
    }

    /// Counts; with a limit, exactly.
    pub(super) fn add(&mut self, key: Key, delta: i64, limit: Option<(&'static str, i64)>) {
        if let Some((what, limit)) = limit {
            self.over.push((self.commit.checks.len(), what, limit));
            self.commit.checks.push(Check::AtMost(key.clone(), limit));
        }
        self.commit.writes.push(Write::Add(key, delta));
    }

    /// How many rows it changes.
    pub(super) fn len(&self) -> usize {
        self.commit.writes.len()
    }
}
