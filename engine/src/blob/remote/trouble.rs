//! What a store's answers say about how it is.
//!
//! Uploads, deletes and reads are different rights and different ways through a store, so each has a trouble of its own: it begins
//! with the first call of its kind that fails and ends with one that does not. Uploads and deletes are tried again until they do.
//! Reads are not, so that theirs also ends when something else succeeds, or [`READS_COUNT`] after the last.

use super::RemotePool;
use crate::clock::Timestamp;
use crate::{Error, Result};
use std::time::Duration;

/// How long a read that failed is told.
const READS_COUNT: Duration = Duration::from_mins(10);

/// What a call was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    Write,
    Delete,
    Read,
}

/// Why the store does not do what it is asked to.
#[derive(Clone, Debug)]
pub(super) struct Trouble {
    pub(super) since: Timestamp,
    pub(super) why: String,
    /// Boot time of the last call that failed.
    last: Duration,
}

/// One for each kind of call.
#[derive(Debug, Default)]
pub(super) struct Troubles([Option<Trouble>; 3]);

impl RemotePool {
    /// What the store answered to a write.
    pub(super) fn noted<T>(&self, outcome: Result<T>) -> Result<T> {
        self.note(Call::Write, outcome)
    }

    /// The same for a delete.
    pub(super) fn noted_delete<T>(&self, outcome: Result<T>) -> Result<T> {
        self.note(Call::Delete, outcome)
    }

    /// The same for a read.
    pub(super) fn noted_read<T>(&self, outcome: Result<T>) -> Result<T> {
        self.note(Call::Read, outcome)
    }

    fn note<T>(&self, call: Call, outcome: Result<T>) -> Result<T> {
        let mut troubles = self.troubles.lock();
        let trouble = &mut troubles.0[call as usize];
        match &outcome {
            Ok(_) | Err(Error::NotFound { .. } | Error::Conflict { .. }) => {
                *trouble = None;
                troubles.0[Call::Read as usize] = None;
            }
            Err(error) => {
                let since = trouble.as_ref().map_or_else(|| self.clock.now(), |before| before.since);
                *trouble = Some(Trouble { since, why: error.to_string(), last: self.clock.boottime() });
            }
        }
        outcome
    }

    /// Uploads fail, or did when they were last tried.
    pub(super) fn can_not_write(&self) -> bool {
        self.troubles.lock().0[Call::Write as usize].is_some()
    }

    /// What to tell of it: the oldest trouble.
    pub(super) fn trouble(&self) -> Option<Trouble> {
        let now = self.clock.boottime();
        let troubles = self.troubles.lock();
        let [write, delete, read] = &troubles.0;
        let read = read.as_ref().filter(|read| now.saturating_sub(read.last) < READS_COUNT);
        write.iter().chain(delete).chain(read).min_by_key(|trouble| trouble.since).cloned()
    }
}
