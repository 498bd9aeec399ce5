//! The workers: one a topic that somebody is named for, and one for all others, which only gives up what is too old.

use super::line::{Trouble, Visit};
use super::row::{Count, Id, LANES, MessageRow};
use super::topic::{Letter, Subscriber, TopicName};
use super::{KEPT_BY_DEFAULT, Outbox, backoff};
use crate::catalog::Write;
use crate::id::PartitionId;
use crate::worker::{Progress, Worker};
use crate::{BoxFuture, Result};
use bytes::Bytes;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::sync::Notify;

/// Rows of one batch.
pub(super) const BATCH: usize = 1_024;
/// How long a batch may take before what arrived is settled; what is under way then goes on with its partition's next batch.
const BATCH_TIME: Duration = Duration::from_secs(5);
/// How long a worker with nothing to do rests, unless its bell rings.
const REST: Duration = Duration::from_mins(10);

type Found = (Id, MessageRow);

/// An attempt under way.
type Attempt = (Id, BoxFuture<'static, Result<(), String>>);

/// What became of a lane of a batch.
#[derive(Default)]
struct Lane {
    arrived: Vec<Id>,
    refused: Option<String>,
    under_way: Option<Attempt>,
}

/// Delivers the messages of one topic.
pub(super) struct Delivery {
    outbox: Arc<Outbox>,
    subscriber: Subscriber,
    name: &'static str,
    bell: Arc<Notify>,
    /// What outlasted its batch, by partition and lane.
    under_way: Mutex<BTreeMap<(PartitionId, usize), Attempt>>,
}

impl Delivery {
    pub(super) fn new(outbox: Arc<Outbox>, subscriber: Subscriber) -> Self {
        let bell = outbox.lines.lock().entry(subscriber.topic.clone()).or_default().bell.clone();
        // A worker's name lives as long as the process; topics are as many as the configuration names.
        let name = Box::leak(format!("events-{}", subscriber.topic).into_boxed_str());
        Self { outbox, subscriber, name, bell, under_way: Mutex::default() }
    }

    async fn run(&self) -> Result<Progress> {
        if *self.outbox.stopping.borrow() {
            return Ok(Progress::Idle { rest: REST });
        }
        let now = self.outbox.clock.boottime();
        let topic = &self.subscriber.topic;
        let (next, rest) = {
            let mut lines = self.outbox.lines.lock();
            let line = lines.entry(topic.clone()).or_default();
            (line.next(now), line.rest(now))
        };
        let Some(visit) = next else { return Ok(Progress::Idle { rest: rest.unwrap_or(REST).min(REST) }) };
        let (found, lost) = self.outbox.batch(topic, visit.partition, BATCH).await?;
        let (found, expired) = self.outbox.split(found, self.subscriber.kept);
        if !expired.is_empty() {
            return self.outbox.give_up(topic, visit.partition, &expired).await;
        }
        if found.is_empty() {
            return self.outbox.nothing_at(topic, &visit, lost).await;
        }
        let lanes = self.deliver(visit.partition, &found).await;
        self.settle(visit.partition, &found, lanes).await
    }

    /// Each lane in order, all lanes at once. An attempt that outlasts the batch is kept for the next one, so that it holds up
    /// its lane alone, however long it may take.
    async fn deliver(&self, partition: PartitionId, found: &[Found]) -> Vec<Lane> {
        let lanes: Vec<Mutex<Lane>> = {
            let mut kept = self.under_way.lock();
            let lane = |lane| Lane { under_way: kept.remove(&(partition, lane)), ..Lane::default() };
            (0..LANES).map(lane).map(Mutex::new).collect()
        };
        let all = || async {
            let mut all: FuturesUnordered<_> = lanes
                .iter()
                .enumerate()
                .map(|(at, lane)| {
                    self.lane(found.iter().filter(move |(_, row)| usize::from(row.lane) == at), lane)
                })
                .collect();
            while all.next().await.is_some() {}
        };
        let mut stopping = self.outbox.stopping.subscribe();
        let stopped = tokio::select! {
            biased;
            () = all() => false,
            _ended = stopping.wait_for(|stopping| *stopping) => true,
            () = self.outbox.clock.sleep(BATCH_TIME) => false,
        };
        let mut lanes: Vec<Lane> = lanes.into_iter().map(Mutex::into_inner).collect();
        if !stopped {
            let mut kept = self.under_way.lock();
            for (at, lane) in lanes.iter_mut().enumerate() {
                if let Some(attempt) = lane.under_way.take() {
                    kept.insert((partition, at), attempt);
                }
            }
        }
        lanes
    }

    async fn lane(&self, messages: impl Iterator<Item = &Found>, lane: &Mutex<Lane>) {
        let begun = lane.lock().under_way.as_ref().map(|(id, _)| *id);
        let mut messages: Vec<&Found> = messages.collect();
        // What is under way goes on first. Only of another key can an older message have come meanwhile.
        messages.sort_by_key(|(id, _)| Some(*id) != begun);
        for (id, row) in messages {
            if begun != Some(*id) {
                lane.lock().under_way = Some((*id, self.attempt(*id, row.body.clone())));
            }
            let outcome = poll_fn(|context| match &mut lane.lock().under_way {
                Some((_, attempt)) => attempt.as_mut().poll(context),
                None => Poll::Ready(Ok(())),
            });
            let outcome = outcome.await;
            let mut lane = lane.lock();
            lane.under_way = None;
            match outcome {
                Ok(()) => lane.arrived.push(*id),
                Err(why) => {
                    lane.refused = Some(why);
                    return;
                }
            }
        }
    }

    fn attempt(&self, id: Id, body: Bytes) -> BoxFuture<'static, Result<(), String>> {
        let courier = Arc::clone(&self.subscriber.courier);
        Box::pin(async move { courier.deliver(Letter { id: &id.text(), body: &body }).await })
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
        let (clock, done) = (&self.outbox.clock, arrived.len() as u64);
        let mut lines = self.outbox.lines.lock();
        let line = lines.entry(topic.clone()).or_default();
        line.delivered += done;
        line.failed += refusals as u64;
        let failed = line.is_failing();
        let Some(why) = refused else {
            // What is only under way says nothing of the receiver yet.
            if done > 0 {
                line.set_trouble(partition, None);
            }
            if failed && !line.is_failing() {
                tracing::info!(topic = topic.as_str(), "events are delivered again");
            }
            return Ok(Progress::More { done });
        };
        if !failed {
            tracing::warn!(topic = topic.as_str(), "failed to {why}; events wait and are tried again");
        }
        let before = line.trouble(partition);
        // While others of the partition arrive, what is refused is no sign of an outage.
        let failures = before.map_or(0, |trouble| trouble.failures).saturating_add(1);
        let failures = if done > 0 { 1 } else { failures };
        let now = clock.boottime();
        let trouble = Trouble {
            failures,
            since: before.map_or_else(|| clock.now(), |trouble| trouble.since),
            error: why,
            retry_at: now + backoff::wait(failures, &*self.outbox.entropy),
            oldest: found.iter().find(|(id, _)| !arrived.contains(id)).map(|(_, row)| row.at),
        };
        line.set_trouble(partition, Some(trouble));
        Ok(match line.rest(now) {
            Some(rest) if !rest.is_zero() => Progress::Idle { rest },
            _ => Progress::More { done },
        })
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
        let places: Vec<(TopicName, Vec<Visit>)> = {
            let lines = self.outbox.lines.lock();
            let unclaimed = lines.iter().filter(|(topic, _)| !self.outbox.has_subscriber(topic));
            unclaimed.map(|(topic, line)| (topic.clone(), line.visits())).collect()
        };
        for (topic, visits) in places {
            for visit in visits {
                let (found, lost) = self.outbox.batch(&topic, visit.partition, BATCH).await?;
                let (fresh, expired) = self.outbox.split(found, KEPT_BY_DEFAULT);
                if !expired.is_empty() {
                    return self.outbox.give_up(&topic, visit.partition, &expired).await;
                }
                if fresh.is_empty() {
                    return self.outbox.nothing_at(&topic, &visit, lost).await;
                }
            }
        }
        Ok(Progress::Idle { rest: REST })
    }
}

impl Worker for Unclaimed {
    fn name(&self) -> &'static str {
        // The other way round it would be the worker of a topic of this name.
        "unclaimed-events"
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

    /// At a visit no message was there, and so many were lost. A commit whose outcome is not known may show yet: one of ours that
    /// comes through behind it says that it has, or never will.
    async fn nothing_at(&self, topic: &TopicName, visit: &Visit, lost: i64) -> Result<Progress> {
        let still = visit.unsure;
        if still {
            self.commit(visit.partition, vec![Id::NOBODYS.delete(topic)]).await?;
        }
        let mut lines = self.lines.lock();
        let line = lines.entry(topic.clone()).or_default();
        if still {
            line.is_sure(visit);
        } else {
            line.leave(visit, lost);
        }
        Ok(Progress::More { done: 0 })
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
