//! Records that wait to be written: of each account, a queue of batches for each bucket.
//!
//! ```text
//!   push ─► the bucket's last batch, or a new one ─► due: old enough, full, or followed by another ─► take ─┬─ delivered: gone
//!                                                                                                    └─ put back, later again
//! ```
//!
//! # Invariants
//! - Accounts take turns, and of an account's batches the one goes first that is due for the longest time: whoever has many waits
//!   for himself.
//! - An account may hold as much as is free beside it. So one alone fills half of the room, ten of them ten elevenths, and there is
//!   always room for those who hold less.
//!
//! # Limits
//! [`BATCH_MAX`] bytes a batch, [`SOURCE_MAX`] a bucket and [`TOTAL_MAX`] in all, those that are being written included. What comes
//! when one of them, or its account's share, is reached is dropped and counted: a target that takes nothing costs memory up to there
//! and no request anything.

use super::LogSource;
use bytes::Bytes;
use engine::clock::Timestamp;
use security::AccountId;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

/// Bytes of one object of a log.
pub(super) const BATCH_MAX: usize = 1 << 20;
/// Bytes that wait of one bucket's log.
pub(super) const SOURCE_MAX: usize = 4 << 20;
/// Bytes that wait of all logs.
pub(super) const TOTAL_MAX: usize = 16 << 20;
/// What a batch costs besides its text.
const OVERHEAD: usize = 512;

/// The first back-off after a failure, and the longest.
const BACK_OFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(5));

/// Records that become one object.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) source: Arc<LogSource>,
    /// When the first of its requests came.
    pub(super) first: Timestamp,
    text: Vec<u8>,
    pub(super) records: u64,
    /// It holds nothing but deliveries of logs.
    pub(super) only_deliveries: bool,
    /// When it is to be written, in boot time.
    due: Duration,
    /// The key that it was first tried under: a write of unknown outcome is repeated, not doubled.
    pub(super) key: Option<String>,
    sealed: Bytes,
    back_off: Duration,
}

impl Batch {
    fn new(source: &Arc<LogSource>, first: Timestamp, due: Duration) -> Self {
        Self {
            source: Arc::clone(source),
            first,
            text: Vec::new(),
            records: 0,
            only_deliveries: true,
            due,
            key: None,
            sealed: Bytes::new(),
            back_off: Duration::ZERO,
        }
    }

    fn takes(&self, source: &Arc<LogSource>, at: Timestamp, length: usize) -> bool {
        self.key.is_none()
            && Arc::ptr_eq(&self.source, source)
            && self.text.len() + length <= BATCH_MAX
            && (!source.set().keeps_days_apart() || super::day(self.first) == super::day(at))
    }

    fn cost(&self) -> usize {
        self.text.len() + self.sealed.len() + OVERHEAD
    }

    /// Its records; from now on it takes no more.
    pub(super) fn seal(&mut self) -> Bytes {
        if !self.text.is_empty() {
            self.sealed = std::mem::take(&mut self.text).into();
        }
        self.sealed.clone()
    }

    /// It takes no more, so there is nothing to wait for; one that was tried waits for its next time.
    fn ends(&mut self, now: Duration) {
        if self.key.is_none() {
            self.due = self.due.min(now);
        }
    }

    /// Hardly another record would fit.
    fn is_full(&self) -> bool {
        self.text.len() + BATCH_MAX / 64 > BATCH_MAX
    }
}

/// What a push did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pushed {
    Kept,
    /// The worker has something new to look for.
    Ring,
    Dropped,
}

/// What waits of one bucket.
#[derive(Debug, Default)]
struct Queue {
    batches: VecDeque<Batch>,
    /// Their bytes, and those of batches that were taken out.
    bytes: usize,
}

/// What waits of one account.
#[derive(Debug, Default)]
struct Line {
    queues: BTreeMap<Box<str>, Queue>,
    /// The buckets by when the first of their batches is due.
    due: BTreeSet<(Duration, Box<str>)>,
    bytes: usize,
}

impl Line {
    /// Changes a bucket's queue, and keeps in mind what is due of it then.
    fn change<T>(&mut self, name: &str, change: impl FnOnce(&mut Queue) -> T) -> T {
        let queue = self.queues.entry(name.into()).or_default();
        let due = |queue: &Queue| queue.batches.front().map(|first| (first.due, name.into()));
        let before = due(queue);
        let answer = change(queue);
        let after = due(queue);
        if queue.bytes == 0 {
            self.queues.remove(name);
        }
        if before != after {
            if let Some(entry) = before {
                self.due.remove(&entry);
            }
            self.due.extend(after);
        }
        answer
    }
}

/// All batches.
#[derive(Debug, Default)]
pub(super) struct Held {
    /// How long the first record of a batch waits for others.
    every: Duration,
    lines: BTreeMap<AccountId, Line>,
    /// Whose turn it was.
    last: Option<AccountId>,
    total: usize,
    records: u64,
}

impl Held {
    pub(super) fn new(every: Duration) -> Self {
        Self { every, ..Self::default() }
    }

    /// Bytes and records that wait, those that are being written included.
    pub(super) fn size(&self) -> (usize, u64) {
        (self.total, self.records)
    }

    pub(super) fn push(
        &mut self,
        source: &Arc<LogSource>,
        (at, now): (Timestamp, Duration),
        text: &str,
        of_delivery: bool,
    ) -> Pushed {
        let (name, account, every) = (source.bucket().as_str(), source.account(), self.every);
        let line = self.lines.get(&account);
        let held = line.map_or(0, |line| line.bytes);
        let queue = line.and_then(|line| line.queues.get(name));
        let last = queue.and_then(|queue| queue.batches.back());
        let joins = last.is_some_and(|last| last.takes(source, at, text.len()));
        let cost = text.len() + if joins { 0 } else { OVERHEAD };
        let total = self.total + cost;
        if queue.map_or(0, |queue| queue.bytes) + cost > SOURCE_MAX || held + cost + total > TOTAL_MAX {
            return Pushed::Dropped;
        }
        let line = self.lines.entry(account).or_default();
        let full = line.change(name, |queue| {
            if !joins {
                if let Some(last) = queue.batches.back_mut() {
                    last.ends(now);
                }
                queue.batches.push_back(Batch::new(source, at, now.saturating_add(every)));
            }
            queue.bytes += cost;
            let Some(batch) = queue.batches.back_mut() else { return false };
            batch.text.extend_from_slice(text.as_bytes());
            batch.records += 1;
            batch.only_deliveries &= of_delivery;
            let full = batch.is_full();
            if full {
                batch.ends(now);
            }
            full
        });
        line.bytes += cost;
        self.total = total;
        self.records += 1;
        if !joins || full { Pushed::Ring } else { Pushed::Kept }
    }

    /// Takes out a batch that is due; with `all`, whichever there is. It counts until it is [let go](Self::done).
    pub(super) fn take(&mut self, now: Duration, all: bool) -> Option<Batch> {
        let behind = self.last.map_or(Bound::Unbounded, Bound::Excluded);
        let upto = self.last.map_or(Bound::Unbounded, Bound::Included);
        let (account, name) = self
            .lines
            .range((behind, Bound::Unbounded))
            .chain(self.lines.range((Bound::Unbounded, upto)))
            .find_map(|(account, line)| {
                let (_, name) = line.due.first().filter(|(due, _)| all || *due <= now)?;
                Some((*account, name.clone()))
            })?;
        self.last = Some(account);
        self.lines.get_mut(&account)?.change(&name, |queue| queue.batches.pop_front())
    }

    /// Puts one back that could not be written, to be tried again later.
    pub(super) fn put_back(&mut self, mut batch: Batch, now: Duration) {
        batch.back_off = (batch.back_off * 2).clamp(BACK_OFF.0, BACK_OFF.1);
        batch.due = now.saturating_add(batch.back_off);
        let source = Arc::clone(&batch.source);
        let line = self.lines.entry(source.account()).or_default();
        line.change(source.bucket().as_str(), |queue| queue.batches.push_front(batch));
    }

    /// A batch was written, or given up.
    pub(super) fn done(&mut self, batch: &Batch) {
        let (account, cost) = (batch.source.account(), batch.cost());
        if let Some(line) = self.lines.get_mut(&account) {
            let less = |queue: &mut Queue| queue.bytes = queue.bytes.saturating_sub(cost);
            line.change(batch.source.bucket().as_str(), less);
            line.bytes = line.bytes.saturating_sub(cost);
            if line.queues.is_empty() {
                self.lines.remove(&account);
            }
        }
        self.total = self.total.saturating_sub(cost);
        self.records = self.records.saturating_sub(batch.records);
    }

    /// When the next batch is due, in boot time.
    pub(super) fn next_due(&self) -> Option<Duration> {
        self.lines.values().filter_map(|line| line.due.first()).map(|(due, _)| *due).min()
    }
}

#[cfg(test)]
mod tests {
    use super::{BATCH_MAX, Batch, Held, Pushed, SOURCE_MAX, TOTAL_MAX};
    use crate::access_log::LogSource;
    use crate::store::Bucket;
    use crate::{BucketLogging, BucketName, LogKeyFormat, PartitionDate};
    use engine::clock::Timestamp;
    use engine::id::PartitionId;
    use security::AccountId;
    use std::sync::Arc;
    use std::time::Duration;

    const EVERY: Duration = Duration::from_mins(5);
    const DAY_MS: i64 = 86_400_000;

    fn of(account: u64, name: &str, format: Option<LogKeyFormat>) -> Arc<LogSource> {
        let parse = |name: &str| BucketName::parse(name).unwrap();
        let set = BucketLogging::new(&parse("target"), "p/".to_owned(), format, None).unwrap();
        let account: AccountId = format!("{account:012}").parse().unwrap();
        let bucket = Bucket {
            partition: PartitionId::from_bytes([1; 8]),
            created: Timestamp::from_millis(0),
            account,
        };
        LogSource::new(&parse(name), bucket, Arc::new(set))
    }

    fn source(name: &str, format: Option<LogKeyFormat>) -> Arc<LogSource> {
        of(1, name, format)
    }

    fn at(secs: u64) -> (Timestamp, Duration) {
        (Timestamp::from_millis(DAY_MS).plus(Duration::from_secs(secs)), Duration::from_secs(secs))
    }

    /// Until no more is taken: how much was.
    fn fill(held: &mut Held, source: &Arc<LogSource>) -> usize {
        let line = "x".repeat(100_000);
        let mut kept = 0;
        while held.push(source, at(0), &line, false) != Pushed::Dropped {
            kept += 1;
            assert!(kept < 1_000);
        }
        kept
    }

    fn whose(batch: Option<Batch>) -> String {
        batch.unwrap().source.account().to_string()
    }

    #[test]
    fn a_batch_is_due_when_it_is_old_full_or_followed() {
        let mut held = Held::new(EVERY);
        let source = source("src", None);
        assert_eq!(held.push(&source, at(0), "a\n", false), Pushed::Ring);
        assert_eq!(held.push(&source, at(1), "b\n", false), Pushed::Kept);
        assert_eq!(held.next_due(), Some(EVERY));
        assert!(held.take(Duration::from_secs(299), false).is_none());
        let mut batch = held.take(EVERY, false).unwrap();
        assert_eq!((&*batch.seal(), batch.records), (&b"a\nb\n"[..], 2));
        // What comes while it is written is another one.
        held.push(&source, at(300), "c\n", false);
        held.put_back(batch, EVERY);
        assert!(held.take(EVERY, false).is_none(), "it is not tried again at once");
        let mut again = held.take(EVERY + Duration::from_secs(1), false).unwrap();
        assert_eq!(&*again.seal(), b"a\nb\n");
        held.done(&again);
        let line = "x".repeat(BATCH_MAX / 2 - 2);
        assert_eq!(held.push(&source, at(301), &line, false), Pushed::Kept);
        assert_eq!(held.push(&source, at(301), &line, false), Pushed::Ring);
        let full = held.take(Duration::from_secs(301), false).unwrap();
        held.done(&full);
        assert_eq!((held.size(), held.next_due()), ((0, 0), None));
    }

    #[test]
    fn days_are_apart_where_keys_say_the_day_of_the_requests() {
        let mut held = Held::new(EVERY);
        let event = source("evt", Some(LogKeyFormat::Partitioned(PartitionDate::EventTime)));
        let delivery = source("dlv", Some(LogKeyFormat::Partitioned(PartitionDate::DeliveryTime)));
        for secs in [86_399, 86_400] {
            for source in [&event, &delivery] {
                held.push(source, at(secs), "a\n", false);
            }
        }
        let now = Duration::from_hours(24);
        let first = held.take(now, false).unwrap();
        assert_eq!((first.source.bucket().as_str(), first.records), ("evt", 1));
        assert!(held.take(now, false).is_none());
        assert_eq!(held.take(now, true).unwrap().records, 2);
    }

    #[test]
    fn what_waits_is_bounded_and_let_go_of() {
        let mut held = Held::new(EVERY);
        assert_eq!(fill(&mut held, &source("one", None)), 41);
        assert!(held.size().0 <= SOURCE_MAX);
        for account in 1..40 {
            for name in ["two", "three"] {
                fill(&mut held, &of(account, name, None));
            }
        }
        assert!(held.size().0 <= TOTAL_MAX, "{:?}", held.size());
        // What is being written counts.
        let one = source("one", None);
        held = Held::new(EVERY);
        fill(&mut held, &one);
        let mut batch = held.take(Duration::ZERO, true).unwrap();
        let before = held.size();
        batch.seal();
        assert_eq!(fill(&mut held, &one), 0);
        held.done(&batch);
        assert!(held.size().0 < before.0 && held.size().1 < before.1);
        assert_ne!(fill(&mut held, &one), 0);
        while let Some(batch) = held.take(Duration::ZERO, true) {
            held.done(&batch);
        }
        assert_eq!(held.size(), (0, 0));
        assert!(held.lines.is_empty());
    }

    #[test]
    fn what_one_account_floods_costs_others_neither_room_nor_time() {
        let mut held = Held::new(EVERY);
        // The flood's names come first in order, and it has as many buckets as it likes.
        for n in 0..100 {
            fill(&mut held, &of(1, &format!("aaa{n:02}"), None));
        }
        let (half, _) = held.size();
        assert!(half <= TOTAL_MAX / 2 && half > TOTAL_MAX / 2 - 200_000, "{half}");
        // Another one finds a quarter of the room free for each of its buckets, and a third its share of what is left.
        assert_eq!(fill(&mut held, &of(2, "zzz", None)), 41);
        assert!(fill(&mut held, &of(3, "zzz", None)) >= 20);
        // The flood goes on: it has what it gives up, and no more.
        let batch = held.take(EVERY, false).unwrap();
        held.done(&batch);
        assert!(fill(&mut held, &of(1, "aaa00", None)) <= 10);
        // Each turn is another account's.
        let turns: Vec<String> = (0..6).map(|_| whose(held.take(EVERY, false))).collect();
        let [one, two, three] = [1, 2, 3].map(|n: u64| format!("{n:012}"));
        assert_eq!(turns, [&two, &three, &one, &two, &three, &one].map(String::as_str));
    }

    #[test]
    fn of_an_accounts_batches_the_one_longest_due_goes_first() {
        let mut held = Held::new(EVERY);
        held.push(&source("zzz", None), at(0), "a\n", false);
        held.push(&source("mmm", None), at(1), "a\n", false);
        let full = "x".repeat(BATCH_MAX);
        held.push(&source("aaa", None), at(303), &full, false);
        held.push(&source("bbb", None), at(2), "a\n", false);
        let now = Duration::from_secs(400);
        let mut order = Vec::new();
        while let Some(batch) = held.take(now, false) {
            order.push(batch.source.bucket().to_string());
            // What fails goes behind.
            if order == ["zzz"] {
                held.put_back(batch, Duration::from_secs(300));
            } else {
                held.done(&batch);
            }
        }
        assert_eq!(order, ["zzz", "mmm", "zzz", "bbb", "aaa"]);
        assert_eq!((held.size(), held.next_due()), ((0, 0), None));
    }

    #[test]
    fn a_batch_of_deliveries_alone_is_known() {
        let mut held = Held::new(EVERY);
        let source = source("src", None);
        held.push(&source, at(0), "a\n", true);
        let batch = held.take(Duration::ZERO, true).unwrap();
        assert!(batch.only_deliveries);
        held.done(&batch);
        held.push(&source, at(0), "a\n", true);
        held.push(&source, at(0), "b\n", false);
        assert!(!held.take(Duration::ZERO, true).unwrap().only_deliveries);
    }
}
