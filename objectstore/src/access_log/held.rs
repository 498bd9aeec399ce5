//! Records that wait to be written: a batch for each bucket and, where days are kept apart, day.
//!
//! ```text
//!   push ─► the bucket's last batch, or a new one ─► due: old enough, full, or followed by another ─► take ─┬─ delivered: gone
//!                                                                                                    └─ put back, later again
//! ```
//!
//! # Limits
//! [`BATCH_MAX`] bytes a batch, [`SOURCE_MAX`] a bucket and [`TOTAL_MAX`] in all, those that are being written included. What comes
//! when one of them is reached is dropped and counted: a target that takes nothing costs memory up to there and no request anything.

use super::LogSource;
use bytes::Bytes;
use engine::clock::Timestamp;
use std::collections::{BTreeMap, VecDeque};
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
    opened: Duration,
    /// The key that it was first tried under: a write of unknown outcome is repeated, not doubled.
    pub(super) key: Option<String>,
    sealed: Bytes,
    retry_at: Duration,
    back_off: Duration,
}

impl Batch {
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

    fn is_due(&self, now: Duration, every: Duration, followed: bool) -> bool {
        now >= self.due_at(every, followed)
    }

    /// When it is to be written, in boot time.
    fn due_at(&self, every: Duration, followed: bool) -> Duration {
        let takes_no_more = followed || self.is_full() || !self.sealed.is_empty();
        let waits = if takes_no_more { Duration::ZERO } else { self.opened.saturating_add(every) };
        waits.max(self.retry_at)
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

/// All batches.
#[derive(Debug, Default)]
pub(super) struct Held {
    batches: BTreeMap<Box<str>, VecDeque<Batch>>,
    /// Bytes of each bucket, batches that were taken out included; and in all.
    bytes: BTreeMap<Box<str>, usize>,
    total: usize,
    records: u64,
}

impl Held {
    /// Bytes and records that wait, those that are being written included.
    pub(super) fn size(&self) -> (usize, u64) {
        (self.total, self.records)
    }

    pub(super) fn push(
        &mut self,
        source: &Arc<LogSource>,
        (at, now): (Timestamp, Duration),
        line: &str,
        of_delivery: bool,
    ) -> Pushed {
        let name = source.bucket().as_str();
        let used = self.bytes.get(name).copied().unwrap_or(0);
        let last = self.batches.get(name).and_then(VecDeque::back);
        let joins = last.is_some_and(|last| last.takes(source, at, line.len()));
        let cost = line.len() + if joins { 0 } else { OVERHEAD };
        if used + cost > SOURCE_MAX || self.total + cost > TOTAL_MAX {
            return Pushed::Dropped;
        }
        let batches = self.batches.entry(name.into()).or_default();
        if !joins {
            batches.push_back(Batch {
                source: Arc::clone(source),
                first: at,
                text: Vec::new(),
                records: 0,
                only_deliveries: true,
                opened: now,
                key: None,
                sealed: Bytes::new(),
                retry_at: Duration::ZERO,
                back_off: Duration::ZERO,
            });
        }
        let Some(batch) = batches.back_mut() else { return Pushed::Dropped };
        batch.text.extend_from_slice(line.as_bytes());
        batch.records += 1;
        batch.only_deliveries &= of_delivery;
        let full = batch.is_full();
        *self.bytes.entry(name.into()).or_default() += cost;
        self.total += cost;
        self.records += 1;
        if !joins || full { Pushed::Ring } else { Pushed::Kept }
    }

    /// Takes out a batch that is due; with `all`, whichever there is. It counts until it is [let go](Self::done).
    pub(super) fn take(&mut self, now: Duration, every: Duration, all: bool) -> Option<Batch> {
        let due = |batches: &VecDeque<Batch>| {
            let first = batches.front();
            first.is_some_and(|first| all || first.is_due(now, every, batches.len() > 1))
        };
        let name = self.batches.iter().find(|(_, batches)| due(batches)).map(|(name, _)| name.clone())?;
        let batches = self.batches.get_mut(&name)?;
        let batch = batches.pop_front();
        if batches.is_empty() {
            self.batches.remove(&name);
        }
        batch
    }

    /// Puts one back that could not be written, to be tried again later.
    pub(super) fn put_back(&mut self, mut batch: Batch, now: Duration) {
        batch.back_off = (batch.back_off * 2).clamp(BACK_OFF.0, BACK_OFF.1);
        batch.retry_at = now.saturating_add(batch.back_off);
        self.batches.entry(batch.source.bucket().as_str().into()).or_default().push_front(batch);
    }

    /// A batch was written, or given up.
    pub(super) fn done(&mut self, batch: &Batch) {
        let (name, cost) = (batch.source.bucket().as_str(), batch.cost());
        if let Some(bytes) = self.bytes.get_mut(name) {
            *bytes = bytes.saturating_sub(cost);
            if *bytes == 0 {
                self.bytes.remove(name);
            }
        }
        self.total = self.total.saturating_sub(cost);
        self.records = self.records.saturating_sub(batch.records);
    }

    /// When the next batch is due, in boot time.
    pub(super) fn next_due(&self, every: Duration) -> Option<Duration> {
        self.batches
            .values()
            .filter_map(|batches| {
                let first = batches.front()?;
                Some(first.due_at(every, batches.len() > 1))
            })
            .min()
    }
}

#[cfg(test)]
mod tests {
    use super::{BATCH_MAX, Held, Pushed, SOURCE_MAX, TOTAL_MAX};
    use crate::access_log::LogSource;
    use crate::{BucketLogging, BucketName, LogKeyFormat, PartitionDate};
    use engine::clock::Timestamp;
    use std::sync::Arc;
    use std::time::Duration;

    const EVERY: Duration = Duration::from_mins(5);
    const DAY_MS: i64 = 86_400_000;

    fn source(name: &str, format: Option<LogKeyFormat>) -> Arc<LogSource> {
        let bucket = |name: &str| BucketName::parse(name).unwrap();
        let set = BucketLogging::new(&bucket("target"), "p/".to_owned(), format, None).unwrap();
        LogSource::new(&bucket(name), "111122223333".parse().unwrap(), Arc::new(set))
    }

    fn at(secs: u64) -> (Timestamp, Duration) {
        (Timestamp::from_millis(DAY_MS).plus(Duration::from_secs(secs)), Duration::from_secs(secs))
    }

    #[test]
    fn a_batch_is_due_when_it_is_old_full_or_followed() {
        let mut held = Held::default();
        let source = source("src", None);
        assert_eq!(held.push(&source, at(0), "a\n", false), Pushed::Ring);
        assert_eq!(held.push(&source, at(1), "b\n", false), Pushed::Kept);
        assert_eq!(held.next_due(EVERY), Some(EVERY));
        assert!(held.take(Duration::from_secs(299), EVERY, false).is_none());
        let mut batch = held.take(EVERY, EVERY, false).unwrap();
        assert_eq!((&*batch.seal(), batch.records), (&b"a\nb\n"[..], 2));
        // What comes while it is written is another one.
        held.push(&source, at(300), "c\n", false);
        held.put_back(batch, EVERY);
        assert!(held.take(EVERY, EVERY, false).is_none(), "it is not tried again at once");
        let mut again = held.take(EVERY + Duration::from_secs(1), EVERY, false).unwrap();
        assert_eq!(&*again.seal(), b"a\nb\n");
        held.done(&again);
        let line = "x".repeat(BATCH_MAX / 2 - 2);
        assert_eq!(held.push(&source, at(301), &line, false), Pushed::Kept);
        assert_eq!(held.push(&source, at(301), &line, false), Pushed::Ring);
        let full = held.take(Duration::from_secs(301), EVERY, false).unwrap();
        held.done(&full);
        assert_eq!((held.size(), held.next_due(EVERY)), ((0, 0), None));
    }

    #[test]
    fn days_are_apart_where_keys_say_the_day_of_the_requests() {
        let mut held = Held::default();
        let event = source("evt", Some(LogKeyFormat::Partitioned(PartitionDate::EventTime)));
        let delivery = source("dlv", Some(LogKeyFormat::Partitioned(PartitionDate::DeliveryTime)));
        for secs in [86_399, 86_400] {
            for source in [&event, &delivery] {
                held.push(source, at(secs), "a\n", false);
            }
        }
        let now = Duration::from_hours(24);
        let first = held.take(now, EVERY, false).unwrap();
        assert_eq!((first.source.bucket().as_str(), first.records), ("evt", 1));
        assert!(held.take(now, EVERY, false).is_none());
        assert_eq!(held.take(now, EVERY, true).unwrap().records, 2);
    }

    #[test]
    fn what_waits_is_bounded_and_let_go_of() {
        let mut held = Held::default();
        let line = "x".repeat(100_000);
        let fill = |held: &mut Held, name: &str| {
            let source = source(name, None);
            let mut kept = 0;
            while held.push(&source, at(0), &line, false) != Pushed::Dropped {
                kept += 1;
                assert!(kept < 1_000);
            }
            kept
        };
        assert_eq!(fill(&mut held, "one"), 41);
        assert!(held.size().0 <= SOURCE_MAX);
        for name in ["two", "three", "four", "five"] {
            fill(&mut held, name);
        }
        assert!(held.size().0 <= TOTAL_MAX, "{:?}", held.size());
        // What is being written counts.
        let mut batch = held.take(Duration::ZERO, EVERY, true).unwrap();
        let before = held.size();
        batch.seal();
        assert_eq!(held.push(&batch.source, at(0), &line, false), Pushed::Dropped);
        held.done(&batch);
        assert!(held.size().0 < before.0 && held.size().1 < before.1);
        assert_ne!(held.push(&batch.source, at(0), &line, false), Pushed::Dropped);
        while let Some(batch) = held.take(Duration::ZERO, EVERY, true) {
            held.done(&batch);
        }
        assert_eq!(held.size(), (0, 0));
    }

    #[test]
    fn a_batch_of_deliveries_alone_is_known() {
        let mut held = Held::default();
        let source = source("src", None);
        held.push(&source, at(0), "a\n", true);
        let batch = held.take(Duration::ZERO, EVERY, true).unwrap();
        assert!(batch.only_deliveries);
        held.done(&batch);
        held.push(&source, at(0), "a\n", true);
        held.push(&source, at(0), "b\n", false);
        assert!(!held.take(Duration::ZERO, EVERY, true).unwrap().only_deliveries);
    }
}
