//! One operation, one commit: what it rests on, what it changes, and the picture anew before it is answered.
//!
//! ```text
//!   turn ─► rows at one version ─► checks, writes ─► commit ─► the picture of whom it touched ─► answer
//!                                                    └ on its own task: who stops waiting stops neither
//! ```
//!
//! # Invariants
//! - Operations of this process take turns; the checks are what keeps them apart from those of another.
//! - The picture is made anew from rows before the next turn, and before the operation is answered. Where the rows can't be read, or it is not
//!   known how a commit ended, the account has no picture and takes no change until it is: nobody of it gets in.

use super::error::{Code, IdentityError, Result};
use super::id::EntityId;
use super::row::{self, Count, EntityRow};
use super::view::View;
use super::{Identities, Kind, Owner, advisor};
use crate::AccountId;
use engine::catalog::record::Record;
use engine::catalog::{Check, Commit, Key, Layout, RETRY_ATTEMPTS_MAX, Write};
use engine::id::{IdempotencyId, PartitionId};
use std::future::Future;
use std::ops::Deref;
use std::sync::Arc;
use tokio::sync::OwnedMutexGuard;

/// An operation on its way.
pub(super) struct Change {
    turn: OwnedMutexGuard<()>,
    view: View,
    commit: Commit,
    /// What to say when a check finds a counter above its limit, by the check's number.
    over: Vec<(usize, &'static str, i64)>,
    touched: Vec<EntityId>,
    keys: Vec<String>,
}

impl Deref for Change {
    type Target = View;
    fn deref(&self) -> &View {
        &self.view
    }
}

/// Tries until no other owner of the rows comes between.
pub(super) async fn again<T, Fut>(mut attempt: impl FnMut() -> Fut) -> Result<T>
where
    Fut: Future<Output = Result<T>>,
{
    let mut number = 1;
    loop {
        match attempt().await {
            Err(error) if error.code == Code::ConcurrentModification && number < RETRY_ATTEMPTS_MAX => {
                number += 1;
                tokio::task::yield_now().await;
            }
            outcome => return outcome,
        }
    }
}

impl Identities {
    /// An account's rows, as they are now.
    pub(super) async fn view(&self, account: AccountId) -> Result<View> {
        Ok(View { account, snapshot: self.parts.catalog.snapshot(PartitionId::ROOT).await? })
    }

    /// The turn of an operation on an account.
    pub(super) async fn change(&self, account: AccountId) -> Result<Change> {
        let turn = Arc::clone(&self.turn).lock_owned().await;
        if self.is_unsure(account) {
            let message = "It is not known yet how an earlier change of the account's identities ended, or they can't be read. Try again.";
            return Err(IdentityError::new(Code::ServiceFailure, message));
        }
        let view = self.view(account).await?;
        let commit = Commit::new(PartitionId::ROOT, view.snapshot.read_version());
        let idempotency = Some(IdempotencyId::random(&*self.parts.entropy));
        let commit = Commit { layout: Layout::IDENTITIES, idempotency, id_is_fresh: true, ..commit };
        Ok(Change { turn, view, commit, over: Vec::new(), touched: Vec::new(), keys: Vec::new() })
    }

    /// Applies a change, and makes the picture anew.
    pub(super) async fn apply(&self, change: Change) -> Result<()> {
        let Change { turn, view, mut commit, over, touched, keys } = change;
        let account = view.account;
        // A snapshot holds back what the catalog may forget.
        drop(view);
        commit.writes.push(Write::Add(Count::Generation.row(account, EntityId::ROOT), 1));
        let Some(identities) = self.itself.upgrade() else { return Err(engine::Error::Closed.into()) };
        let applied = tokio::spawn(async move {
            let outcome = identities.commit(account, commit).await;
            let nothing =
                matches!(outcome, Err(engine::Error::Conflict { .. } | engine::Error::OverLimit { .. }));
            // What touched nobody changes no picture, nor what was made of it.
            let touches = !touched.is_empty() || !keys.is_empty();
            if touches && !nothing && !identities.is_unsure(account) {
                identities.refresh(account, &touched, &keys).await;
            }
            drop(turn);
            outcome
        });
        let outcome = applied.await.map_err(|_| IdentityError::from(engine::Error::Closed))?;
        outcome.map(drop).map_err(|error| match error {
            engine::Error::OverLimit { check } => match over.iter().find(|(number, ..)| *number == check) {
                Some((_, what, limit)) => IdentityError::over(what, limit),
                None => error.into(),
            },
            error => error.into(),
        })
    }
}

impl Change {
    /// A change that is none: of which account, what it would have touched, and its turn.
    pub(super) fn unmade(self) -> (AccountId, Vec<EntityId>, Vec<String>, OwnedMutexGuard<()>) {
        (self.view.account, self.touched, self.keys, self.turn)
    }

    /// An entity that the change rests on.
    pub(super) async fn resting(&mut self, kind: Kind, name: &str) -> Result<EntityRow> {
        let row = self.view.entity(kind, name).await?;
        self.rests_on(&row);
        Ok(row)
    }

    /// The same, of what policies are attached to.
    pub(super) async fn resting_owner(&mut self, owner: Owner<'_>) -> Result<EntityRow> {
        self.resting(owner.kind(), owner.name()).await
    }

    /// The entity is still as it was read.
    pub(super) fn rests_on(&mut self, row: &EntityRow) {
        let key = row::entity(self.view.account, row.kind(), &row.lower());
        self.unchanged(key);
    }

    /// Whoever reads what it writes must know of this layout.
    pub(super) fn needs(&mut self, layout: Layout) {
        self.commit.layout = self.commit.layout.max(layout);
    }

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
    pub(super) fn add(&mut self, count: Count, id: EntityId, delta: i64, limit: Option<(&'static str, i64)>) {
        let key = count.row(self.view.account, id);
        if let Some((what, limit)) = limit {
            self.over.push((self.commit.checks.len(), what, limit));
            self.commit.checks.push(Check::AtMost(key.clone(), limit));
        }
        self.commit.writes.push(Write::Add(key, delta));
    }

    /// `DeleteConflict` while the counter is above `most`; it may not grow meanwhile either.
    pub(super) async fn none_of(&mut self, count: Count, id: EntityId, most: i64, what: &str) -> Result<()> {
        let key = count.row(self.view.account, id);
        if self.view.count(count, id).await? > most {
            let message = format!("Cannot delete entity, must {what} first.");
            return Err(IdentityError::new(Code::DeleteConflict, message));
        }
        self.unchanged(key);
        Ok(())
    }

    /// An entity is written: its picture is made anew.
    pub(super) fn put_entity(&mut self, row: &EntityRow) {
        self.put(row::entity(self.view.account, row.kind(), &row.lower()), row);
        self.touch(row.id);
    }

    /// An entity goes, with its counters.
    pub(super) fn delete_entity(&mut self, row: &EntityRow) {
        self.delete(row::entity(self.view.account, row.kind(), &row.lower()));
        self.delete(row::by_id(row.id));
        for count in Count::OF_ENTITY {
            self.delete(count.row(self.view.account, row.id));
        }
        for (service, _) in advisor::SERVICES {
            self.delete(advisor::service_used(self.view.account, row.id, service));
        }
        self.add(Count::of_kind(row.kind()), EntityId::ROOT, -1, None);
        self.touch(row.id);
    }

    /// The picture of this entity is made anew.
    pub(super) fn touch(&mut self, id: EntityId) {
        self.touched.push(id);
    }

    /// The picture of whose this access key is is made anew.
    pub(super) fn touch_key(&mut self, id: &str) {
        self.keys.push(id.to_owned());
    }
}
