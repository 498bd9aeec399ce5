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
    /// Below 0 for a moment where a message was delivered before its commit was told of.
    waiting: Counts,
    lost: Counts,
    /// Since the start.
    pub(super) delivered: u64,
    /// Attempts that failed, since the start.
    pub(super) failed: u64,
    /// Messages given up or dropped since the start.
    lost_since_start: u64,
    /// Batches in a row that delivered nothing.
    pub(super) failures: u32,
    /// Since when each attempt failed.
    pub(super) failing_since: Option<Timestamp>,
    pub(super) last_error: Option<String>,
    /// The oldest message of the last batch that was not delivered.
    pub(super) oldest: Option<Timestamp>,
    /// No attempt before this boot time.
    pub(super) retry_at: Duration,
    /// The partition that was visited last.
    visited: Option<PartitionId>,
    pub(super) bell: Arc<Notify>,
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
        if self.waiting.by_partition.is_empty() {
            self.oldest = None;
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
        self.waiting.set(partition, 0);
        self.lost.set(partition, 0);
    }

    /// Where messages wait.
    pub(super) fn partitions(&self) -> Vec<PartitionId> {
        let waiting = self.waiting.by_partition.iter().filter(|(_, number)| **number > 0);
        waiting.map(|(partition, _)| *partition).collect()
    }

    /// The next partition where messages wait, and how many: each has its turn.
    pub(super) fn next(&mut self) -> Option<(PartitionId, i64)> {
        let behind = self.visited.map_or(Bound::Unbounded, Bound::Excluded);
        let counts = &self.waiting.by_partition;
        let later = counts.range((behind, Bound::Unbounded));
        let (partition, number) = later.chain(counts).find(|(_, number)| **number > 0)?;
        self.visited = Some(*partition);
        Some((*partition, *number))
    }

    pub(super) fn status(&self, topic: &TopicName, subscriber: Option<&Subscriber>) -> TopicStatus {
        TopicStatus {
            topic: topic.clone(),
            address: subscriber.map(|subscriber| subscriber.courier.address()),
            waiting: self.waiting(),
            oldest: self.oldest,
            delivered: self.delivered,
            failed_attempts: self.failed,
            failing_since: self.failing_since,
            last_error: self.last_error.clone(),
            lost: self.lost.sum(),
            lost_since_start: self.lost_since_start,
        }
    }
}
