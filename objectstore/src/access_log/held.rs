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
//! - Where the room is full, whoever holds most makes place: of the account that holds most, the bucket that holds most loses its
//!   newest batch, or the record that comes, if it is that bucket's own. So a flood costs the bucket that is flooded: neither accounts
//!   nor buckets of the same account lose anything as long as they hold less than others, to [`GRAIN`] bytes.
//!
//! # Limits
//! [`BATCH_MAX`] bytes a batch, [`SOURCE_MAX`] a bucket and [`TOTAL_MAX`] in all, those that are being written included; one of these
//! is never dropped to make place. What is dropped is counted: a target that takes nothing costs memory up to there and no request
//! anything.

use super::LogSource;
use crate::BucketName;
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
/// To so many bytes it is known who holds most.
const GRAIN: usize = 4 << 10;

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

impl Queue {
    fn due(&self) -> Option<Duration> {
        self.batches.front().map(|first| first.due)
    }
}

/// What waits of one account.
#[derive(Debug, Default)]
struct Line {
    queues: BTreeMap<BucketName, Queue>,
    /// The buckets by when the first of their batches is due.
    due: BTreeSet<(Duration, BucketName)>,
    /// The buckets by the [`GRAIN`]s that they hold.
    sizes: BTreeSet<(usize, BucketName)>,
    bytes: usize,
}

impl Line {
    /// Changes a bucket's queue, and keeps in mind what is due of it then, and how much there is. A name costs nothing but a count.
    fn change<T>(&mut self, name: &BucketName, change: impl FnOnce(&mut Queue) -> T) -> T {
        let known = self.queues.contains_key(name);
        let queue = self.queues.entry(name.clone()).or_default();
        let (due, bytes) = (queue.due(), queue.bytes);
        let answer = change(queue);
        let (due_now, bytes_now) = (queue.due(), queue.bytes);
        self.bytes = (self.bytes + bytes_now).saturating_sub(bytes);
        if due != due_now {
            if let Some(due) = due {
                self.due.remove(&(due, name.clone()));
            }
            self.due.extend(due_now.map(|due| (due, name.clone())));
        }
        if bytes_now == 0 {
            self.queues.remove(name);
        }
        if !known || bytes / GRAIN != bytes_now / GRAIN || bytes_now == 0 {
            self.sizes.remove(&(bytes / GRAIN, name.clone()));
            self.sizes.extend((bytes_now > 0).then(|| (bytes_now / GRAIN, name.clone())));
        }
        answer
    }

    /// The bucket that holds most of those that hold more than so many grains and have a batch to drop.
    fn longest(&self, above: Option<usize>) -> Option<BucketName> {
        let longer = self.sizes.iter().rev().take_while(|(size, _)| above.is_none_or(|above| *size > above));
        let mut longer = longer.map(|(_, name)| name);
        longer.find(|name| self.queues.get(*name).is_some_and(|queue| !queue.batches.is_empty())).cloned()
    }
}

/// All batches.
#[derive(Debug, Default)]
pub(super) struct Held {
    /// How long the first record of a batch waits for others.
    every: Duration,
    lines: BTreeMap<AccountId, Line>,
    /// The accounts by the [`GRAIN`]s that they hold.
    sizes: BTreeSet<(usize, AccountId)>,
    /// Whose turn it was.
    last: Option<AccountId>,
    total: usize,
    records: u64,
    /// Records that made place for others.
    pushed_out: u64,
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
        let (name, account, every) = (source.bucket(), source.account(), self.every);
        let (mut joins, mut cost);
        loop {
            let line = self.lines.get(&account);
            let queue = line.and_then(|line| line.queues.get(name));
            let last = queue.and_then(|queue| queue.batches.back());
            joins = last.is_some_and(|last| last.takes(source, at, text.len()));
            cost = text.len() + if joins { 0 } else { OVERHEAD };
            let (of_account, of_bucket) =
                (line.map_or(0, |line| line.bytes) + cost, queue.map_or(0, |queue| queue.bytes) + cost);
            if of_bucket > SOURCE_MAX {
                return Pushed::Dropped;
            }
            if self.total + cost <= TOTAL_MAX {
                break;
            }
            if !self.make_place(account, (of_account / GRAIN, of_bucket / GRAIN)) {
                return Pushed::Dropped;
            }
        }
        let full = self.change(account, name, |queue| {
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
        self.records += 1;
        if !joins || full { Pushed::Ring } else { Pushed::Kept }
    }

    /// Records that made place for others since the start.
    pub(super) fn pushed_out(&self) -> u64 {
        self.pushed_out
    }

    /// Drops the newest batch of the bucket that holds most, of the account that does. `false`: that is this very bucket of this account,
    /// with the record that comes, or nobody has anything to drop.
    fn make_place(&mut self, account: AccountId, (of_account, of_bucket): (usize, usize)) -> bool {
        let mut larger = self.sizes.iter().rev().take_while(|(size, _)| *size > of_account);
        let found = larger
            .find_map(|(_, other)| Some((*other, self.lines.get(other)?.longest(None)?)))
            .or_else(|| Some((account, self.lines.get(&account)?.longest(Some(of_bucket))?)));
        let Some((of, name)) = found else { return false };
        let newest = self.change(of, &name, |queue| {
            let newest = queue.batches.pop_back()?;
            queue.bytes = queue.bytes.saturating_sub(newest.cost());
            Some(newest)
        });
        let records = newest.map_or(0, |newest| newest.records);
        self.records = self.records.saturating_sub(records);
        self.pushed_out += records;
        true
    }

    /// Changes a bucket's queue, and what is known of its account.
    fn change<T>(
        &mut self,
        account: AccountId,
        name: &BucketName,
        change: impl FnOnce(&mut Queue) -> T,
    ) -> T {
        let line = self.lines.entry(account).or_default();
        let before = line.bytes;
        let answer = line.change(name, change);
        let after = line.bytes;
        if line.queues.is_empty() {
            self.lines.remove(&account);
        }
        if before == 0 || before / GRAIN != after / GRAIN || after == 0 {
            self.sizes.remove(&(before / GRAIN, account));
            self.sizes.extend((after > 0).then_some((after / GRAIN, account)));
        }
        self.total = (self.total + after).saturating_sub(before);
        answer
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
        self.change(account, &name, |queue| queue.batches.pop_front())
    }

    /// Puts one back that could not be written, to be tried again later.
    pub(super) fn put_back(&mut self, mut batch: Batch, now: Duration) {
        batch.back_off = (batch.back_off * 2).clamp(BACK_OFF.0, BACK_OFF.1);
        batch.due = now.saturating_add(batch.back_off);
        let source = Arc::clone(&batch.source);
        self.change(source.account(), source.bucket(), |queue| queue.batches.push_front(batch));
    }

    /// A batch was written, or given up.
    pub(super) fn done(&mut self, batch: &Batch) {
        let cost = batch.cost();
        let less = |queue: &mut Queue| queue.bytes = queue.bytes.saturating_sub(cost);
        self.change(batch.source.account(), batch.source.bucket(), less);
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

    /// Pushes so many records, of which none may be dropped.
    fn push_all(held: &mut Held, source: &Arc<LogSource>, records: usize) {
        for _ in 0..records {
            assert_ne!(held.push(source, at(0), &"y".repeat(1_000), false), Pushed::Dropped);
        }
    }

    /// Records that are held of each bucket of an account.
    fn held_of(held: &Held, account: u64, name: &str) -> u64 {
        let source = of(account, name, None);
        let line = held.lines.get(&source.account());
        let queue = line.and_then(|line| line.queues.get(source.bucket()));
        queue.map_or(0, |queue| queue.batches.iter().map(|batch| batch.records).sum())
    }

    #[test]
    fn what_one_account_floods_costs_others_neither_room_nor_time() {
        let mut held = Held::new(EVERY);
        // The flood's names come first in order, and it has as many buckets as it likes. Alone it has all of the room.
        for n in 0..100 {
            fill(&mut held, &of(1, &format!("aaa{n:02}"), None));
        }
        let (all, _) = held.size();
        assert!(all <= TOTAL_MAX && all > TOTAL_MAX - 200_000, "{all}");
        // Others find as much room as they would without it, up to their share, and what makes place for them is the flood's.
        for account in [2, 3] {
            push_all(&mut held, &of(account, "zzz", None), 3_000);
        }
        assert!(held.pushed_out() > 0);
        for n in 0..100 {
            fill(&mut held, &of(1, &format!("aaa{n:02}"), None));
        }
        for account in [2, 3] {
            assert_eq!(held_of(&held, account, "zzz"), 3_000);
        }
        assert!(held.size().0 <= TOTAL_MAX);
        // Each turn is another account's.
        let turns: Vec<String> = (0..6).map(|_| whose(held.take(EVERY * 2, false))).collect();
        let [one, two, three] = [1, 2, 3].map(|n: u64| format!("{n:012}"));
        assert_eq!(turns, [&one, &two, &three, &one, &two, &three].map(String::as_str));
    }

    #[test]
    fn a_flood_of_one_bucket_costs_neither_its_owners_others_nor_them_that_hold_less() {
        let mut held = Held::new(EVERY);
        // Others fill the room with targets that take nothing.
        for account in 2..8 {
            for name in ["one", "two"] {
                fill(&mut held, &of(account, name, None));
            }
        }
        let names: Vec<String> = (0..10).map(|n| format!("quiet{n}")).collect();
        for name in &names {
            push_all(&mut held, &of(1, name, None), 20);
        }
        // A stranger floods one of the buckets, before and after its owner's others are asked for something.
        let public = of(1, "public", None);
        for _ in 0..2 {
            for _ in 0..20_000 {
                held.push(&public, at(0), &"x".repeat(1_000), false);
            }
            for name in &names {
                push_all(&mut held, &of(1, name, None), 20);
            }
        }
        for name in &names {
            assert_eq!(held_of(&held, 1, name), 60, "{name}");
        }
        assert!(held_of(&held, 1, "public") > 500, "{}", held_of(&held, 1, "public"));
        assert!(held.size().0 <= TOTAL_MAX);
        // What was dropped is counted, and what is known of sizes is so.
        let records: u64 = held
            .lines
            .values()
            .flat_map(|line| line.queues.values())
            .flat_map(|queue| &queue.batches)
            .map(|batch| batch.records)
            .sum();
        assert_eq!(held.size().1, records);
        while let Some(batch) = held.take(EVERY, true) {
            held.done(&batch);
        }
        assert_eq!(held.size(), (0, 0));
        assert!(held.lines.is_empty() && held.sizes.is_empty());
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
                held.put_back(batch, Duration::from_mins(5));
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
