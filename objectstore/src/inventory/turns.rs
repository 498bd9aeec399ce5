//! Whose report is made next: accounts take turns, each a number of pages long.
//!
//! ```text
//!   day, change, time to try again ─► names of buckets, by account ─► a turn: ids that are due ─► a report, page by page
//!                                             ▲                          └─ others wait: its file is ended, it goes on next time ─┐
//!                                             └───────────────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! # Invariants
//! - One file is under way at a time, whoever waits: a report whose turn ends while another account waits ends its file.
//! - Whatever an account asks for, the next one waits for one turn of it: looking through a bucket's configurations is a step of
//!   its own account's turn.
//!
//! # Limits
//! 64 steps a turn, of at most 1,000 rows. In memory are, of each account, the names of its buckets, the ids of one bucket and 1,000
//! reports that failed, each with a time of its own to be tried again ([`Pace`]); those of a bucket that fail beyond them wait together
//! (`waits`).

use super::job::{Job, Step};
use super::schedule::Begun;
use super::waits::{Found, Waits};
use super::{FILE_BYTES, InventoryFailure, Whose};
use crate::{BucketName, ObjectStore, Result, SettingKind};
use engine::worker::Progress;
use security::AccountId;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

/// How long it rests at the most.
const REST: Duration = Duration::from_mins(1);

/// How much each account has.
#[derive(Clone, Copy)]
pub(crate) struct Pace {
    /// Steps of one turn.
    pub(crate) turn: u32,
    /// Reports of one account that each wait for a time of their own to be tried again.
    pub(crate) waits: usize,
}

impl Default for Pace {
    /// So many rows of a turn are a data file of some MiB.
    fn default() -> Self {
        Self { turn: 64, waits: 1_000 }
    }
}

/// What is to be made for one account.
#[derive(Default)]
struct Line {
    /// Buckets to look through.
    buckets: BTreeSet<BucketName>,
    /// The one that was looked through last.
    looked_at: Option<BucketName>,
    due: VecDeque<(BucketName, String)>,
    job: Option<Box<Job>>,
    waits: Waits,
}

impl Line {
    fn has_work(&self) -> bool {
        self.job.is_some() || !self.due.is_empty() || !self.buckets.is_empty()
    }

    /// The next bucket to look through, in a circle.
    fn next_bucket(&mut self) -> Option<BucketName> {
        let behind = self.looked_at.take().map_or(Bound::Unbounded, Bound::Excluded);
        let next = self.buckets.range((behind, Bound::Unbounded)).next().or(self.buckets.first())?.clone();
        self.buckets.remove(&next);
        self.looked_at = Some(next.clone());
        Some(next)
    }
}

/// Whose turn it is.
#[derive(Clone, Copy)]
struct Turn {
    account: AccountId,
    left: u32,
}

/// What makes reports.
pub(crate) struct Turns {
    store: Arc<ObjectStore>,
    pace: Pace,
    /// The day on which it was looked last which buckets want reports.
    looked: Option<i64>,
    lines: BTreeMap<AccountId, Line>,
    /// Marked buckets of which it is not known whose they are: they are asked for again.
    unknown: BTreeSet<BucketName>,
    turn: Option<Turn>,
    /// Whose turn it was.
    last: Option<AccountId>,
}

impl Turns {
    pub(crate) fn new(store: Arc<ObjectStore>, pace: Pace) -> Self {
        let (lines, unknown) = (BTreeMap::new(), BTreeSet::new());
        Self { store, pace, looked: None, lines, unknown, turn: None, last: None }
    }

    /// A step.
    pub(crate) async fn run(&mut self) -> Result<Progress> {
        let Some(turn) = self.turn.take() else {
            self.look().await?;
            self.turn = self.next_account().map(|account| Turn { account, left: self.pace.turn });
            return Ok(if self.turn.is_some() { Progress::More { done: 0 } } else { self.rest() });
        };
        let done = Box::pin(self.step(turn.account)).await;
        let goes_on = self.lines.get(&turn.account).is_some_and(Line::has_work);
        if goes_on && turn.left > 1 {
            self.turn = Some(Turn { left: turn.left - 1, ..turn });
        } else {
            self.last = Some(turn.account);
            self.make_way(turn.account).await;
        }
        Ok(Progress::More { done })
    }

    fn rest(&self) -> Progress {
        let now = self.store.clock.boottime();
        let next = self.lines.values().filter_map(|line| line.waits.first()).min();
        let next = next.map(|at| at.saturating_sub(now));
        let rest = REST.min(self.store.until_tomorrow()).min(next.unwrap_or(REST));
        Progress::Idle { rest: rest.max(Duration::from_millis(10)) }
    }

    /// The account after the last one that has something to do.
    fn next_account(&self) -> Option<AccountId> {
        let behind = self.last.map_or(Bound::Unbounded, Bound::Excluded);
        let mut others = self.lines.range((behind, Bound::Unbounded)).chain(&self.lines);
        others.find(|(_, line)| line.has_work()).map(|(account, _)| *account)
    }

    /// Learns which buckets are to be looked through: each once a day, those that changed, those where something is tried again.
    async fn look(&mut self) -> Result<()> {
        let today = self.store.today();
        let mut names = self.store.inventories.take_changed();
        names.append(&mut self.unknown);
        if self.looked != Some(today) {
            match self.store.marked(SettingKind::Inventory).await {
                Ok(marked) => names.extend(marked),
                Err(error) => {
                    self.unknown = names;
                    return Err(error);
                }
            }
            self.looked = Some(today);
        }
        for name in names {
            // The root's row alone: what else is wrong with a bucket is found in its own account's turn.
            match self.store.resolve(&name).await {
                Ok(Some(bucket)) => {
                    self.lines.entry(bucket.account).or_default().buckets.insert(name);
                }
                Ok(None) => {
                    self.forget(&name);
                    if let Err(error) = self.store.unmark_inventories(&name).await {
                        self.not_known(name, error.to_string());
                    }
                }
                Err(error) => self.not_known(name, error.to_string()),
            }
        }
        let now = self.store.clock.boottime();
        for line in self.lines.values_mut() {
            line.buckets.extend(line.waits.over(now).cloned());
        }
        self.lines.retain(|_, line| line.has_work() || !line.waits.is_empty());
        Ok(())
    }

    /// Nobody's turn is to be held up by a bucket that can't be found out about.
    fn not_known(&mut self, name: BucketName, error: String) {
        self.tell(&name, Whose::Unreadable, error);
        self.unknown.insert(name);
    }

    /// One step of an account's turn. Answers how many rows it saw to. What fails is that report's trouble, or that bucket's.
    async fn step(&mut self, account: AccountId) -> u64 {
        let line = self.lines.entry(account).or_default();
        if let Some(mut job) = line.job.take() {
            let (bucket, id) = job.name();
            match job.step(&self.store).await {
                Ok(Step::More(done)) => {
                    line.job = Some(job);
                    return done;
                }
                Ok(Step::Done | Step::Gone) => self.well(account, &bucket, &id),
                Err(error) => self.failed(account, &bucket, Whose::One(id), error.to_string()),
            }
        } else if let Some((bucket, id)) = line.due.pop_front() {
            match self.store.begin_inventory(&bucket, &id, FILE_BYTES).await {
                Ok(Begun::Job(job)) => line.job = Some(job),
                Ok(Begun::Nothing) => self.well(account, &bucket, &id),
                Ok(Begun::Clearing) => line.due.push_front((bucket, id)),
                Err(error) => self.failed(account, &bucket, Whose::One(id), error.to_string()),
            }
        } else if let Some(bucket) = line.next_bucket() {
            match self.store.due_in(&bucket, account).await {
                Ok(due) => self.found(account, &bucket, &due),
                Err(error) => self.failed(account, &bucket, Whose::Unreadable, error.to_string()),
            }
        }
        0
    }

    /// Ends a turn: where another account waits, the file under way is ended.
    async fn make_way(&mut self, account: AccountId) {
        let others_wait = self.lines.iter().any(|(other, line)| *other != account && line.has_work());
        let Some(line) = self.lines.get_mut(&account).filter(|_| others_wait) else { return };
        let Some(mut job) = line.job.take() else { return };
        match job.pause(&self.store).await {
            Ok(()) => line.job = Some(job),
            Err(error) => {
                let (bucket, id) = job.name();
                self.failed(account, &bucket, Whose::One(id), error.to_string());
            }
        }
    }

    /// These reports of a bucket are due, and no others: what failed of it is forgotten with its configuration.
    fn found(&mut self, account: AccountId, bucket: &BucketName, due: &[String]) {
        let (now, line) = (self.store.clock.boottime(), self.lines.entry(account).or_default());
        let Found { ready, together } = line.waits.found(bucket, due, now);
        line.due.extend(ready.into_iter().map(|id| (bucket.clone(), id)));
        self.store.inventories.keep(bucket, |whose| match whose {
            Whose::Unreadable => false,
            Whose::Together => together,
            Whose::One(id) => due.contains(id),
        });
    }

    /// A bucket is gone, and whatever failed of it.
    fn forget(&mut self, bucket: &BucketName) {
        for line in self.lines.values_mut() {
            line.waits.forget(bucket);
        }
        self.store.inventories.keep(bucket, |_| false);
    }

    fn well(&mut self, account: AccountId, bucket: &BucketName, id: &str) {
        if let Some(line) = self.lines.get_mut(&account) {
            line.waits.well(bucket, id);
        }
        self.store.inventories.well(bucket, id);
    }

    fn failed(&mut self, account: AccountId, bucket: &BucketName, whose: Whose, error: String) {
        let (now, line) = (self.store.clock.boottime(), self.lines.entry(account).or_default());
        let whose = line.waits.fails(bucket, whose, now, self.pace.waits);
        self.tell(bucket, whose, error);
    }

    /// Once for each trouble.
    fn tell(&self, bucket: &BucketName, whose: Whose, error: String) {
        let since = self.store.clock.now();
        let failure = InventoryFailure { bucket: bucket.clone(), whose, since, error };
        if self.store.inventories.fails(&failure) {
            let (id, error) = (failure.id(), failure.error.as_str());
            tracing::warn!(%bucket, id, error, "failed to make what is asked for of inventory reports: it is tried again within the hour");
        }
    }
}
