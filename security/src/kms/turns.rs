//! Turns at what takes a processor for long: so many at once, and no account before another for long.
//!
//! ```text
//!   request ─► its account's turns ─► everybody's turns, first come first served ─► a thread
//! ```
//! # Invariants
//! - An account has no more requests among everybody's than can run at once: another one's waits behind so many of its, not behind all.
//! - A turn ends with the work, also where whoever asked has gone.

use super::error::{Code, KmsError, Result};
use super::limit;
use crate::AccountId;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What there is to have at once.
pub(super) struct Turns {
    at_once: usize,
    all: Arc<Semaphore>,
    accounts: Mutex<HashMap<AccountId, Account>>,
}

/// An account that waits or is at work.
struct Account {
    own: Arc<Semaphore>,
    requests: usize,
}

/// A request's place. Its account is forgotten with the last one.
struct Place {
    turns: Arc<Turns>,
    account: AccountId,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut accounts = self.turns.accounts.lock();
        if let Some(account) = accounts.get_mut(&self.account) {
            account.requests -= 1;
            if account.requests == 0 {
                accounts.remove(&self.account);
            }
        }
    }
}

/// A turn at work.
struct Turn {
    _all: OwnedSemaphorePermit,
    _own: OwnedSemaphorePermit,
    _place: Place,
}

impl Turns {
    pub(super) fn new(at_once: usize) -> Arc<Self> {
        Arc::new(Self { at_once, all: Arc::new(Semaphore::new(at_once)), accounts: Mutex::default() })
    }

    fn place(self: &Arc<Self>, account: AccountId) -> Result<(Place, Arc<Semaphore>)> {
        let mut accounts = self.accounts.lock();
        let new = || Account { own: Arc::new(Semaphore::new(self.at_once)), requests: 0 };
        let of = accounts.entry(account).or_insert_with(new);
        if of.requests >= limit::WAITING {
            let message =
                "You have exceeded the rate at which you may call KMS. Reduce the frequency of your calls.";
            return Err(KmsError::new(Code::Throttling, message));
        }
        of.requests += 1;
        Ok((Place { turns: Arc::clone(self), account }, Arc::clone(&of.own)))
    }

    async fn take(self: &Arc<Self>, account: AccountId) -> Result<Turn> {
        let closed = |_| KmsError::from(engine::Error::Closed);
        let (place, own) = self.place(account)?;
        let own = own.acquire_owned().await.map_err(closed)?;
        let all = Arc::clone(&self.all).acquire_owned().await.map_err(closed)?;
        Ok(Turn { _all: all, _own: own, _place: place })
    }

    /// Works on a thread of its own, in the account's turn.
    pub(super) async fn run<T: Send + 'static>(
        self: &Arc<Self>,
        account: AccountId,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let turn = self.take(account).await?;
        let done = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            work()
        });
        done.await.map_err(|_| KmsError::internal("work on another thread was given up"))?
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{code, other, own};
    use super::*;

    #[tokio::test]
    async fn many_requests_of_an_account_keep_no_other_waiting_and_too_many_are_told() {
        let turns = Turns::new(1);
        let first = turns.take(own()).await.unwrap();
        let order = Arc::new(Mutex::new(Vec::new()));
        let ask = |account| {
            let (turns, order) = (Arc::clone(&turns), Arc::clone(&order));
            tokio::spawn(async move {
                let turn = turns.take(account).await?;
                order.lock().push(account);
                drop(turn);
                Ok::<_, KmsError>(())
            })
        };
        let many: Vec<_> = (1..limit::WAITING).map(|_| ask(own())).collect();
        let asking = |account| turns.accounts.lock().get(&account).map_or(0, |of| of.requests);
        while asking(own()) < limit::WAITING {
            tokio::task::yield_now().await;
        }
        assert_eq!(code(turns.take(own()).await), "ThrottlingException");
        let theirs = ask(other());
        while asking(other()) == 0 {
            tokio::task::yield_now().await;
        }
        drop(first);
        theirs.await.unwrap().unwrap();
        assert_eq!(order.lock().first(), Some(&other()));
        for one in many {
            one.await.unwrap().unwrap();
        }
        assert!(turns.accounts.lock().is_empty());
    }
}
