//! Messages that leave with a commit: what is to be told of a change is a row of the change's own commit, and a worker takes it
//! to whoever is named for its topic.
//!
//! ```text
//!   change ─► Outbox::post ─► its rows in the change's commit ─► Outbox::committed
//!   worker of the topic ─► a batch of rows ─► Courier::deliver, 16 at once, those of one key in order ─► rows gone, one commit
//! ```
//!
//! It knows topics by name and bodies as bytes: whoever posts decides what they say, whoever delivers how they travel.
//!
//! # Invariants
//! - A message exists exactly when its change does: both are one commit.
//! - It is delivered at least once, or counted as lost in the commit that drops it: at its posting when the outbox is full, later
//!   when it is older than its topic keeps messages.
//! - Messages of one key, topic and partition are delivered in the order of their sequence: the next one leaves when the one before
//!   has arrived. What a courier refuses is tried again, and holds up its lane (a sixteenth of the keys) alone.
//! - How many wait is known without reading them: a counter a topic and partition, changed in the same commits. Where to look is
//!   known apart from it: a partition stays in the set of its topic from a commit that may have posted until a batch comes back empty.
//!
//! # Limits
//! So many messages as [`Options::messages_max`] wait, of all topics together, and half as many of one; commits under way at once may
//! overshoot it by one each. A batch is 1,024 rows. Attempts under way are 16 a topic and partition.
//!
//! A crash leaves messages that are delivered again: their id stays the same.

mod backoff;
mod line;
mod row;
mod status;
#[cfg(test)]
mod tests;
mod topic;
mod worker;

pub use status::TopicStatus;
pub use topic::{Courier, Letter, Subscriber, TopicName};

use crate::Result;
use crate::catalog::{Catalog, Commit, Scan, Snapshot, Write, commit_known, key_after};
use crate::clock::Clock;
use crate::entropy::Entropy;
use crate::id::{IdempotencyId, PartitionId, random_bytes};
use crate::worker::Worker;
use bytes::Bytes;
use line::Line;
use parking_lot::Mutex;
use row::{Count, MessageRow};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// What is kept of messages to a topic that nobody is named for.
pub const KEPT_BY_DEFAULT: Duration = Duration::from_hours(24 * 7);

/// What an outbox is made of.
pub struct Options {
    /// Rows.
    pub catalog: Arc<dyn Catalog>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// Who takes the messages of which topic.
    pub subscribers: Vec<Subscriber>,
    /// How many messages wait at the most, of all topics together.
    pub messages_max: u64,
}

/// What is to be told.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// To whom.
    pub topic: &'a TopicName,
    /// Its place among the messages of its key: grows from one commit about the key to the next.
    pub sequence: u64,
    /// What it is about; messages about one thing keep their order.
    pub key: &'a [u8],
    /// What it says.
    pub body: &'a [u8],
}

/// What [`Outbox::committed`] is told once a commit with these writes has succeeded.
#[derive(Clone, Debug)]
#[must_use]
pub struct Posted {
    topic: TopicName,
    kept: bool,
}

/// The messages of an appliance. One a process.
pub struct Outbox {
    catalog: Arc<dyn Catalog>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    subscribers: BTreeMap<TopicName, Subscriber>,
    messages_max: u64,
    lines: Mutex<BTreeMap<TopicName, Line>>,
    stopping: watch::Sender<bool>,
}

impl Outbox {
    /// An outbox that knows of no waiting message yet: see [`find`](Self::find).
    pub fn new(options: Options) -> Arc<Self> {
        let Options { catalog, clock, entropy, subscribers, messages_max } = options;
        let subscribers: BTreeMap<_, _> =
            subscribers.into_iter().map(|subscriber| (subscriber.topic.clone(), subscriber)).collect();
        let lines = subscribers.keys().map(|topic| (topic.clone(), Line::default())).collect();
        Arc::new(Self {
            catalog,
            clock,
            entropy,
            subscribers,
            messages_max,
            lines: Mutex::new(lines),
            stopping: watch::Sender::new(false),
        })
    }

    /// Whether somebody is named for the topic.
    pub fn has_subscriber(&self, topic: &TopicName) -> bool {
        self.subscribers.contains_key(topic)
    }

    /// How many messages wait at the most.
    pub fn messages_max(&self) -> u64 {
        self.messages_max
    }

    /// How many messages of one topic wait at the most: half of all, so that no dead receiver takes the room of the others.
    pub fn topic_max(&self) -> u64 {
        self.messages_max / 2
    }

    /// How many wait.
    pub fn waiting(&self) -> u64 {
        self.lines.lock().values().map(Line::waiting).sum()
    }

    /// What a commit writes so that the message leaves with it; when the outbox is full, what counts it as lost.
    pub fn post(&self, message: &Message<'_>) -> (Vec<Write>, Posted) {
        let topic = message.topic;
        let kept = {
            let lines = self.lines.lock();
            lines.get(topic).map_or(0, Line::waiting) < self.topic_max()
                && lines.values().map(Line::waiting).sum::<u64>() < self.messages_max
        };
        let writes = if kept {
            let id = row::Id { sequence: message.sequence, salt: random_bytes(&*self.entropy) };
            let row = MessageRow {
                at: self.clock.now(),
                lane: row::lane(message.key),
                body: Bytes::copy_from_slice(message.body),
            };
            vec![row.put(topic, &id), Count::Waiting.add(topic, 1)]
        } else {
            vec![Count::Lost.add(topic, 1)]
        };
        (writes, Posted { topic: topic.clone(), kept })
    }

    /// The commit with these writes has succeeded, in this partition.
    pub fn committed(&self, partition: PartitionId, posted: &[Posted]) {
        let mut lines = self.lines.lock();
        for Posted { topic, kept } in posted {
            let line = lines.entry(topic.clone()).or_default();
            if *kept {
                line.add_waiting(partition, 1);
                line.insert(partition, false);
                line.bell.notify_one();
            } else {
                line.add_lost(partition, 1);
            }
        }
    }

    /// Nobody knows whether the commit with these writes has succeeded, or will: its partition is looked at.
    pub fn unsure(&self, partition: PartitionId, posted: &[Posted]) {
        let mut lines = self.lines.lock();
        for Posted { topic, .. } in posted {
            let line = lines.entry(topic.clone()).or_default();
            line.insert(partition, true);
            line.bell.notify_one();
        }
    }

    /// Learns how many messages wait in a partition; for every one that may have some, once, before it is written to.
    pub async fn find(&self, partition: PartitionId) -> Result<()> {
        let snapshot = self.catalog.snapshot(partition).await?;
        let mut next = Some(Scan::prefix(row::COUNTS, b"", 1_000));
        while let Some(scan) = next {
            let page = snapshot.scan(scan.clone()).await?;
            for (key, value) in &page.rows {
                let (count, topic) = Count::read_key(key)?;
                let number = row::read_count(value)?;
                let mut lines = self.lines.lock();
                let line = lines.entry(topic).or_default();
                match count {
                    Count::Waiting => {
                        line.set_waiting(partition, number);
                        if number != 0 {
                            line.insert(partition, false);
                        }
                    }
                    Count::Lost => line.set_lost(partition, number),
                }
            }
            next = scan.behind(&page);
        }
        Ok(())
    }

    /// Whether messages wait in a partition.
    pub async fn holds(snapshot: &dyn Snapshot) -> Result<bool> {
        let scan = Scan { keys_only: true, ..Scan::prefix(row::MESSAGES, b"", 1) };
        Ok(!snapshot.scan(scan).await?.rows.is_empty())
    }

    /// What ends the counters of a partition that holds no message any more and never will again.
    pub async fn forget(&self, snapshot: &dyn Snapshot, partition: PartitionId) -> Result<Vec<Write>> {
        let mut rows = Vec::new();
        let mut next = Some(Scan { keys_only: true, ..Scan::prefix(row::COUNTS, b"", 1_000) });
        while let Some(scan) = next {
            let page = snapshot.scan(scan.clone()).await?;
            next = scan.behind(&page);
            rows.extend(page.rows);
        }
        for line in self.lines.lock().values_mut() {
            line.forget(partition);
        }
        Ok(rows.into_iter().map(|(key, _)| Write::Delete(row::COUNTS.key(key))).collect())
    }

    /// The workers: hand each to the registry once.
    pub fn workers(self: &Arc<Self>) -> Vec<Box<dyn Worker>> {
        let mut workers: Vec<Box<dyn Worker>> = vec![Box::new(worker::Unclaimed::new(Arc::clone(self)))];
        for subscriber in self.subscribers.values() {
            workers.push(Box::new(worker::Delivery::new(Arc::clone(self), subscriber.clone())));
        }
        workers
    }

    /// Ends the deliveries under way, and begins no more: what they carry is delivered again after the next start.
    pub fn stop(&self) {
        self.stopping.send_replace(true);
    }

    /// What is to be known of each topic, in order of their names.
    pub fn status(&self) -> Vec<TopicStatus> {
        let lines = self.lines.lock();
        lines.iter().map(|(topic, line)| line.status(topic, self.subscribers.get(topic))).collect()
    }

    /// A commit of ours: it frees space, and says nothing of what was read.
    async fn commit(&self, partition: PartitionId, writes: Vec<Write>) -> Result<()> {
        let read_version = self.catalog.snapshot(partition).await?.read_version();
        let commit = Commit { writes, ..Commit::new(partition, read_version).from_reserve() };
        let id = IdempotencyId::random(&*self.entropy);
        commit_known(&*self.catalog, id, commit).await.map(drop)
    }

    /// A batch of a topic's messages in one partition, oldest first, and how many of the topic's were lost there.
    async fn batch(
        &self,
        topic: &TopicName,
        partition: PartitionId,
        limit: usize,
    ) -> Result<(Vec<(row::Id, MessageRow)>, i64)> {
        let snapshot = self.catalog.snapshot(partition).await?;
        let prefix = row::messages_of(topic);
        let mut scan = Scan::prefix(row::MESSAGES, &prefix, limit);
        let mut found = Vec::new();
        loop {
            let page = snapshot.scan(scan.clone()).await?;
            for (key, value) in &page.rows {
                found.push((row::Id::read(&key[prefix.len()..])?, MessageRow::read(value)?));
            }
            match page.rows.last() {
                Some((last, _)) if page.more && found.len() < limit => {
                    scan = Scan { start: key_after(last), limit: limit - found.len(), ..scan };
                }
                _ => break,
            }
        }
        let counts = [Count::Lost, Count::Waiting].map(|count| count.key(topic));
        let counts = snapshot.multi_get(counts.to_vec()).await?;
        let mut numbers = [0; 2];
        for (number, value) in numbers.iter_mut().zip(&counts) {
            *number = value.as_deref().map_or(Ok(0), row::read_count)?;
        }
        if found.is_empty() && numbers[1] != 0 {
            tracing::error!(
                topic = topic.as_str(),
                counted = numbers[1],
                "events were counted that are not there"
            );
        }
        Ok((found, numbers[0]))
    }
}
