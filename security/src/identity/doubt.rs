//! Accounts of which it is not known who there is: how a commit ended is not known, or rows can't be read.
//!
//! ```text
//!   commit ─► unknown ─► account unsure ─► the same commit again ─► known ─► rows read whole ─► sure again
//!             rows can't be read ─► account unsure ─────────────────────────┘
//!                                      └ on a task of its own, later and later: nobody else waits
//! ```
//! A catalog may answer that it does not know, and take the commit later: rows that were read in between say what is no longer so. The same
//! commit under its idempotency id is answered when that is decided.

use super::change::Change;
use super::picture::World;
use super::{Identities, Result};
use crate::AccountId;
use engine::Error;
use engine::catalog::{Commit, Version};
use std::sync::Arc;
use std::time::Duration;

/// How often a commit of unknown outcome is repeated before whoever asked is told.
const REPEATED_AT_ONCE: u32 = 3;
/// How long until the first and between later tries.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(1));

/// Whether the answer to a repeated commit tells how it ended. One that happened is answered before its checks are looked at.
fn is_known(outcome: &engine::Result<Version>) -> bool {
    match outcome {
        Ok(_) => true,
        Err(error) => {
            matches!(error, Error::Conflict { .. } | Error::OverLimit { .. } | Error::TooOld { .. })
        }
    }
}

impl Identities {
    /// Commits; how it ended is known, or the account is unsure. Whoever has the turn calls it.
    pub(super) async fn commit(&self, account: AccountId, mut commit: Commit) -> engine::Result<Version> {
        let mut outcome = self.parts.catalog.commit(commit.clone()).await;
        if !matches!(outcome, Err(Error::Unknown { .. })) {
            return outcome;
        }
        self.doubt(account);
        commit.id_is_fresh = false;
        for _ in 0..REPEATED_AT_ONCE {
            outcome = self.parts.catalog.commit(commit.clone()).await;
            if is_known(&outcome) {
                if self.reread(account).await.is_err() {
                    self.settle(account, None);
                }
                return outcome;
            }
        }
        tracing::error!(%account, ?outcome, "it is not known how a change of identities ended: nobody of the account gets in but its root");
        self.settle(account, Some(commit));
        outcome
    }

    pub(super) fn is_unsure(&self, account: AccountId) -> bool {
        self.world.load().unsure.contains(&account)
    }

    /// Whoever has the turn calls it, and [`Self::settle`] or [`Self::reread`] after it.
    pub(super) fn doubt(&self, account: AccountId) {
        let mut world = World::clone(&self.world.load());
        world.forget(account);
        world.unsure.insert(account);
        self.world.store(Arc::new(world));
    }

    /// Tries until the account is sure.
    pub(super) fn settle(&self, account: AccountId, mut unknown: Option<Commit>) {
        let (itself, clock) = (self.itself.clone(), Arc::clone(&self.parts.clock));
        tokio::spawn(async move {
            let mut pause = PAUSE.0;
            loop {
                clock.sleep(pause).await;
                pause = (pause * 2).min(PAUSE.1);
                let Some(identities) = itself.upgrade() else { return };
                if let Some(commit) = &unknown {
                    match identities.parts.catalog.commit(commit.clone()).await {
                        Err(Error::Closed) => return,
                        outcome if is_known(&outcome) => unknown = None,
                        _ => continue,
                    }
                }
                let _turn = identities.turn.lock().await;
                if identities.reread(account).await.is_ok() {
                    tracing::info!(%account, "it is known again who there is in the account");
                    return;
                }
            }
        });
    }

    /// What was asked for is so already: memory is made to say so too.
    pub(super) async fn is_so(&self, change: Change) -> Result<()> {
        let (account, touched, keys, _turn) = change.unmade();
        self.refresh(account, &touched, &keys).await;
        Ok(())
    }
}
