//! The workers: one a topic that somebody is named for, and one for all others, which only gives up what is too old.

use super::row::{Count, Id, LANES, MessageRow};
use super::topic::{Letter, Subscriber, TopicName};
use super::{KEPT_BY_DEFAULT, Outbox, backoff};
use crate::catalog::Write;
use crate::id::PartitionId;
use crate::worker::{Progress, Worker};
use crate::{BoxFuture, Result};
use futures_util::future::join_all;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// Rows of one batch.
pub(super) const BATCH: usize = 1_024;
/// How long a batch may take before its lanes end after the message at hand.
const BATCH_TIME: Duration = Duration::from_secs(5);
/// How long a worker with nothing to do rests, unless its bell rings.
const REST: Duration = Duration::from_mins(10);

type Found = (Id, MessageRow);

/// What became of a lane of a batch.
struct Lane {
    arrived: Vec<Id>,
    refused: Option<String>,
}

/// Delivers the messages of one topic.
pub(super) struct Delivery {
    outbox: Arc<Outbox>,
    subscriber: Subscriber,
    name: &'static str,
    bell: Arc<Notify>,
}

impl Delivery {
    pub(super) fn new(outbox: Arc<Outbox>, subscriber: Subscriber) -> Self {
        let bell = outbox.lines.lock().entry(subscriber.topic.clone()).or_default().bell.clone();
        // A worker's name lives as long as the process; topics are as many as the configuration names.
        let name = Box::leak(format!("events-{}", subscriber.topic).into_boxed_str());
        Self { outbox, subscriber, name, bell }
    }

    async fn run(&self) -> Result<Progress> {
        if *self.outbox.stopping.borrow() {
            return Ok(Progress::Idle { rest: REST });
        }
        let now = self.outbox.clock.boottime();
        let next = {
            let mut lines = self.outbox.lines.lock();
            let line = lines.entry(self.subscriber.topic.clone()).or_default();
            if line.retry_at > now {
                return Ok(Progress::Idle { rest: line.retry_at.saturating_sub(now) });
            }
            line.next()
        };
        let Some((partition, counted)) = next else { return Ok(Progress::Idle { rest: REST }) };
        let topic = &self.subscriber.topic;
        let (found, _) = self.outbox.batch(topic, partition, BATCH).await?;
        let (found, expired) = self.outbox.split(found, self.subscriber.kept);
        if !expired.is_empty() {
            return self.outbox.give_up(topic, partition, &expired).await;
        }
        if found.is_empty() {
            // Counted, but not there: nobody can have taken them out but us.
            tracing::error!(topic = topic.as_str(), counted, "events were counted that are not there");
            self.outbox.lines.lock().entry(topic.clone()).or_default().add_waiting(partition, -counted);
            return Ok(Progress::More { done: 0 });
        }
        let lanes = self.deliver(&found).await;
        self.settle(partition, &found, lanes).await
    }

    /// Each lane in order, all lanes at once.
    async fn deliver(&self, found: &[Found]) -> Vec<Lane> {
        let until = self.outbox.clock.boottime() + BATCH_TIME;
        let lanes = (0..LANES).map(|lane| {
            let messages = found.iter().filter(move |(_, row)| usize::from(row.lane) == lane);
            self.lane(messages, until)
        });
        join_all(lanes).await
    }

    async fn lane(&self, messages: impl Iterator<Item = &Found>, until: Duration) -> Lane {
        let mut lane = Lane { arrived: Vec::new(), refused: None };
        let mut stopping = self.outbox.stopping.subscribe();
        for (id, row) in messages {
            if self.outbox.clock.boottime() > until {
                break;
            }
            let text = id.text();
            let letter = Letter { id: &text, body: &row.body };
            let outcome = tokio::select! {
                biased;
                outcome = self.subscriber.courier.deliver(letter) => outcome,
                _ended = stopping.wait_for(|stopping| *stopping) => break,
            };
            match outcome {
                Ok(()) => lane.arrived.push(*id),
                Err(why) => {
                    lane.refused = Some(why);
                    break;
                }
            }
        }
        lane
    }

    /// Takes out what arrived, and says when to go on.
    async fn settle(&self, partition: PartitionId, found: &[Found], outcomes: Vec<Lane>) -> Result<Progress> {
        let topic = &self.subscriber.topic;
        let arrived: Vec<Id> = outcomes.iter().flat_map(|lane| lane.arrived.iter().copied()).collect();
        let refusals = outcomes.iter().filter(|lane| lane.refused.is_some()).count();
        let refused = outcomes.into_iter().find_map(|lane| lane.refused);
        if !arrived.is_empty() {
            self.outbox.take_out(topic, partition, &arrived, &[]).await?;
        }
        let oldest = found.iter().find(|(id, _)| !arrived.contains(id)).map(|(_, row)| row.at);
        let (clock, done) = (&self.outbox.clock, arrived.len() as u64);
        let mut lines = self.outbox.lines.lock();
        let line = lines.entry(topic.clone()).or_default();
        line.delivered += done;
        line.failed += refusals as u64;
        line.oldest = oldest.filter(|_| line.waiting() > 0);
        let Some(why) = refused else {
            if line.failing_since.take().is_some() {
                tracing::info!(topic = topic.as_str(), "events are delivered again");
            }
            (line.failures, line.last_error) = (0, None);
            return Ok(Progress::More { done });
        };
        // While others of the topic arrive, what is refused is no sign of an outage.
        line.failures = if done > 0 { 1 } else { line.failures.saturating_add(1) };
        let wait = backoff::wait(line.failures, &*self.outbox.entropy);
        line.retry_at = clock.boottime() + wait;
        if line.failing_since.is_none() {
            line.failing_since = Some(clock.now());
            tracing::warn!(topic = topic.as_str(), "failed to {why}; events wait and are tried again");
        }
        line.last_error = Some(why);
        Ok(Progress::Idle { rest: wait })
    }
}

impl Worker for Delivery {
    fn name(&self) -> &'static str {
        self.name
    }

    fn bell(&self) -> Arc<Notify> {
        Arc::clone(&self.bell)
    }

    fn tick(&mut self) -> BoxFuture<'_, Result<Progress>> {
        Box::pin(self.run())
    }
}

/// Gives up what is too old of topics that nobody is named for: their messages wait for a configuration that names somebody.
pub(super) struct Unclaimed {
    outbox: Arc<Outbox>,
}

impl Unclaimed {
    pub(super) fn new(outbox: Arc<Outbox>) -> Self {
        Self { outbox }
    }

    async fn run(&self) -> Result<Progress> {
        let places: Vec<(TopicName, Vec<PartitionId>)> = {
            let lines = self.outbox.lines.lock();
            let unclaimed = lines.iter().filter(|(topic, _)| !self.outbox.has_subscriber(topic));
            unclaimed.map(|(topic, line)| (topic.clone(), line.partitions())).collect()
        };
        for (topic, partitions) in places {
            for partition in partitions {
                let (found, _) = self.outbox.batch(&topic, partition, BATCH).await?;
                let (_, expired) = self.outbox.split(found, KEPT_BY_DEFAULT);
                if !expired.is_empty() {
                    return self.outbox.give_up(&topic, partition, &expired).await;
                }
            }
        }
        Ok(Progress::Idle { rest: REST })
    }
}

impl Worker for Unclaimed {
    fn name(&self) -> &'static str {
        "events-unclaimed"
    }

    fn tick(&mut self) -> BoxFuture<'_, Result<Progress>> {
        Box::pin(self.run())
    }
}

impl Outbox {
    /// What is still to be delivered, and what is too old for it.
    fn split(&self, found: Vec<Found>, kept: Duration) -> (Vec<Found>, Vec<Id>) {
        let now = self.clock.now();
        let (expired, fresh): (Vec<_>, Vec<_>) =
            found.into_iter().partition(|(_, row)| now.since(row.at) >= kept);
        (fresh, expired.into_iter().map(|(id, _)| id).collect())
    }

    async fn give_up(&self, topic: &TopicName, partition: PartitionId, expired: &[Id]) -> Result<Progress> {
        self.take_out(topic, partition, &[], expired).await?;
        tracing::warn!(
            topic = topic.as_str(),
            events = expired.len(),
            "events are given up: nobody took them"
        );
        Ok(Progress::More { done: expired.len() as u64 })
    }

    /// One commit: messages that arrived, and messages that are given up.
    async fn take_out(
        &self,
        topic: &TopicName,
        partition: PartitionId,
        arrived: &[Id],
        lost: &[Id],
    ) -> Result<()> {
        let gone = arrived.len() + lost.len();
        let number = i64::try_from(gone).unwrap_or(i64::MAX);
        let mut writes: Vec<Write> = arrived.iter().chain(lost).map(|id| id.delete(topic)).collect();
        writes.push(Count::Waiting.add(topic, -number));
        if !lost.is_empty() {
            writes.push(Count::Lost.add(topic, i64::try_from(lost.len()).unwrap_or(i64::MAX)));
        }
        self.commit(partition, writes).await?;
        let mut lines = self.lines.lock();
        let line = lines.entry(topic.clone()).or_default();
        line.add_waiting(partition, -number);
        if !lost.is_empty() {
            line.add_lost(partition, u32::try_from(lost.len()).unwrap_or(u32::MAX));
        }
        Ok(())
    }
}
