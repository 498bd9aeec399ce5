//! What is in memory of one topic: where its messages wait and how many, how its delivery goes.

use super::status::TopicStatus;
use super::topic::{Subscriber, TopicName};
use crate::clock::Timestamp;
use crate::id::PartitionId;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

#[derive(Debug, Default)]
pub(super) struct Line {
    /// Says how many, never where to look: it may be off for a moment where a commit's outcome is told late.
    waiting: Counts,
    lost: Counts,
    /// Since the start.
    pub(super) delivered: u64,
    /// Attempts that failed, since the start.
    pub(super) failed: u64,
    /// Messages given up or dropped since the start.
    lost_since_start: u64,
    /// Where messages may wait.
    places: BTreeMap<PartitionId, Place>,
    /// What the next insertion into `places` is numbered.
    serial: u64,
    /// The partition that was visited last.
    visited: Option<PartitionId>,
    pub(super) bell: Arc<Notify>,
}

/// A partition to look at.
#[derive(Debug, Default)]
struct Place {
    /// Of the last insertion.
    serial: u64,
    /// A commit's outcome is not known: it may show after one has looked.
    unsure: bool,
    trouble: Option<Trouble>,
}

/// How the delivery of a partition's messages fails.
#[derive(Clone, Debug)]
pub(super) struct Trouble {
    /// Batches in a row that delivered nothing.
    pub(super) failures: u32,
    /// Since when no batch was delivered whole.
    pub(super) since: Timestamp,
    /// Why the newest attempt did.
    pub(super) error: String,
    /// No attempt before this boot time.
    pub(super) retry_at: Duration,
    /// The oldest message that the last batch could not deliver.
    pub(super) oldest: Option<Timestamp>,
}

/// A partition's turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Visit {
    pub(super) partition: PartitionId,
    /// A commit there may yet show.
    pub(super) unsure: bool,
    serial: u64,
}

/// Counts by partition, and their sum.
#[derive(Debug, Default)]
struct Counts {
    by_partition: BTreeMap<PartitionId, i64>,
    sum: i64,
}

impl Counts {
    fn of(&self, partition: PartitionId) -> i64 {
        self.by_partition.get(&partition).copied().unwrap_or(0)
    }

    fn set(&mut self, partition: PartitionId, number: i64) {
        self.sum += number - self.of(partition);
        if number == 0 {
            self.by_partition.remove(&partition);
        } else {
            self.by_partition.insert(partition, number);
        }
    }

    fn sum(&self) -> u64 {
        u64::try_from(self.sum).unwrap_or(0)
    }
}

impl Line {
    pub(super) fn waiting(&self) -> u64 {
        self.waiting.sum()
    }

    pub(super) fn set_waiting(&mut self, partition: PartitionId, number: i64) {
        self.waiting.set(partition, number);
    }

    pub(super) fn add_waiting(&mut self, partition: PartitionId, number: i64) {
        self.waiting.set(partition, self.waiting.of(partition) + number);
    }

    /// Messages may wait there. `unsure`: or may show there later.
    pub(super) fn insert(&mut self, partition: PartitionId, unsure: bool) {
        self.serial += 1;
        let place = self.places.entry(partition).or_default();
        place.serial = self.serial;
        place.unsure |= unsure;
    }

    /// Whatever was unsure at the visit has shown, or never will.
    pub(super) fn is_sure(&mut self, visit: &Visit) {
        if let Some(place) =
            self.places.get_mut(&visit.partition).filter(|place| place.serial == visit.serial)
        {
            place.unsure = false;
        }
    }

    /// At the visit no message waited there, and so many were lost. What was inserted since is looked at again.
    pub(super) fn leave(&mut self, visit: &Visit, lost: i64) {
        let partition = visit.partition;
        if self.places.get(&partition).is_some_and(|place| place.serial == visit.serial) {
            self.places.remove(&partition);
            self.waiting.set(partition, 0);
            self.lost.set(partition, lost);
        }
    }

    pub(super) fn set_lost(&mut self, partition: PartitionId, number: i64) {
        self.lost.set(partition, number);
    }

    pub(super) fn add_lost(&mut self, partition: PartitionId, number: u32) {
        self.lost.set(partition, self.lost.of(partition) + i64::from(number));
        self.lost_since_start += u64::from(number);
    }

    pub(super) fn forget(&mut self, partition: PartitionId) {
        self.places.remove(&partition);
        self.waiting.set(partition, 0);
        self.lost.set(partition, 0);
    }

    /// Every place to look at.
    pub(super) fn visits(&self) -> Vec<Visit> {
        self.places.iter().map(|(partition, place)| place.visit(*partition)).collect()
    }

    /// The next place whose time has come: each has its turn.
    pub(super) fn next(&mut self, now: Duration) -> Option<Visit> {
        let behind = self.visited.map_or(Bound::Unbounded, Bound::Excluded);
        let later = self.places.range((behind, Bound::Unbounded));
        let (partition, place) = later.chain(&self.places).find(|(_, place)| place.retry_at() <= now)?;
        self.visited = Some(*partition);
        Some(place.visit(*partition))
    }

    /// How long until a place's time comes; `None` when there is none.
    pub(super) fn rest(&self, now: Duration) -> Option<Duration> {
        self.places.values().map(|place| place.retry_at().saturating_sub(now)).min()
    }

    pub(super) fn trouble(&self, partition: PartitionId) -> Option<&Trouble> {
        self.places.get(&partition)?.trouble.as_ref()
    }

    pub(super) fn set_trouble(&mut self, partition: PartitionId, trouble: Option<Trouble>) {
        if let Some(place) = self.places.get_mut(&partition) {
            place.trouble = trouble;
        }
    }

    /// Whether a partition's delivery fails.
    pub(super) fn is_failing(&self) -> bool {
        self.places.values().any(|place| place.trouble.is_some())
    }

    pub(super) fn status(&self, topic: &TopicName, subscriber: Option<&Subscriber>) -> TopicStatus {
        let troubles = || self.places.values().filter_map(|place| place.trouble.as_ref());
        let longest = troubles().min_by_key(|trouble| trouble.since);
        TopicStatus {
            topic: topic.clone(),
            address: subscriber.map(|subscriber| subscriber.courier.address()),
            waiting: self.waiting(),
            oldest: troubles().filter_map(|trouble| trouble.oldest).min(),
            delivered: self.delivered,
            failed_attempts: self.failed,
            failing_since: longest.map(|trouble| trouble.since),
            last_error: longest.map(|trouble| trouble.error.clone()),
            lost: self.lost.sum(),
            lost_since_start: self.lost_since_start,
        }
    }
}

impl Place {
    fn visit(&self, partition: PartitionId) -> Visit {
        Visit { partition, unsure: self.unsure, serial: self.serial }
    }

    fn retry_at(&self) -> Duration {
        self.trouble.as_ref().map_or(Duration::ZERO, |trouble| trouble.retry_at)
    }
}
