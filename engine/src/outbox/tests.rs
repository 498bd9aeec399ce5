//! Messages under outages, restarts and full outboxes, with a clock and a receiver that do as they are told.

use super::{Courier, Letter, Message, Options, Outbox, Subscriber, TopicName};
use crate::BoxFuture;
use crate::catalog::{Catalog, Commit, MemoryCatalog};
use crate::clock::{ManualClock, Timestamp};
use crate::entropy::{Entropy, SeededEntropy};
use crate::id::PartitionId;
use crate::worker::{Progress, Worker};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

const HERE: PartitionId = PartitionId::from_bytes([1; 8]);
const THERE: PartitionId = PartitionId::from_bytes([2; 8]);
const KEPT: Duration = Duration::from_hours(24 * 7);

/// Which bodies are refused.
type Refuses = Box<dyn Fn(&str) -> bool + Send>;

/// Takes messages, or refuses those that it is told to.
#[derive(Default)]
struct Receiver {
    /// Id and body.
    got: Mutex<Vec<(String, String)>>,
    attempts: Mutex<u64>,
    refuses: Mutex<Option<Refuses>>,
    /// Takes a message and never answers.
    hangs: Mutex<bool>,
    /// Answers this body only once it is rung.
    slow: Mutex<Option<(String, Arc<Notify>)>>,
}

impl Receiver {
    fn refuse(&self, which: impl Fn(&str) -> bool + Send + 'static) {
        *self.refuses.lock() = Some(Box::new(which));
    }

    fn bodies(&self) -> Vec<String> {
        self.got.lock().iter().map(|(_, body)| body.clone()).collect()
    }
}

impl Courier for Receiver {
    fn deliver<'a>(&'a self, letter: Letter<'a>) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move {
            *self.attempts.lock() += 1;
            let body = String::from_utf8(letter.body.to_vec()).unwrap();
            if self.refuses.lock().as_ref().is_some_and(|refuses| refuses(&body)) {
                return Err("reach the receiver: it is down".to_owned());
            }
            self.got.lock().push((letter.id.to_owned(), body.clone()));
            if *self.hangs.lock() {
                std::future::pending::<()>().await;
            }
            let slow = self.slow.lock().clone();
            if let Some((_, bell)) = slow.filter(|(slow, _)| *slow == body) {
                bell.notified().await;
            }
            Ok(())
        })
    }

    fn address(&self) -> String {
        "the test".to_owned()
    }
}

struct World {
    catalog: Arc<MemoryCatalog>,
    clock: Arc<ManualClock>,
    entropy: Arc<dyn Entropy>,
    receiver: Arc<Receiver>,
    outbox: Arc<Outbox>,
    /// By name: of those who are named for nothing, and of the topic.
    workers: Vec<Box<dyn Worker>>,
    sequence: u64,
}

fn topic(name: &str) -> TopicName {
    name.parse().unwrap()
}

impl World {
    fn new(messages_max: u64) -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_700_000_000_000)));
        let entropy: Arc<dyn Entropy> = Arc::new(SeededEntropy::new(7));
        let catalog = Arc::new(MemoryCatalog::new(clock.clone(), &*entropy));
        let receiver = Arc::new(Receiver::default());
        let parts = (catalog.clone(), clock.clone(), entropy.clone());
        let outbox = open(parts, &receiver, messages_max);
        let workers = outbox.workers();
        Self { catalog, clock, entropy, receiver, outbox, workers, sequence: 0 }
    }

    /// What is in memory is gone.
    async fn restart(&mut self) {
        let parts = (self.catalog.clone(), self.clock.clone(), self.entropy.clone());
        self.outbox = open(parts, &self.receiver, self.outbox.messages_max());
        for partition in [HERE, THERE] {
            self.outbox.find(partition).await.unwrap();
            // Looking twice counts once.
            self.outbox.find(partition).await.unwrap();
        }
        self.workers = self.outbox.workers();
    }

    async fn post(&mut self, at: PartitionId, name: &str, key: &str, body: &str) {
        self.sequence += 1;
        let name = topic(name);
        let message =
            Message { topic: &name, sequence: self.sequence, key: key.as_bytes(), body: body.as_bytes() };
        let (writes, posted) = self.outbox.post(&message);
        let read_version = self.catalog.snapshot(at).await.unwrap().read_version();
        self.catalog.commit(Commit { writes, ..Commit::new(at, read_version) }).await.unwrap();
        self.outbox.committed(at, &[posted]);
    }

    /// Until no worker has anything to do now; the shortest rest that one wants.
    async fn run(&mut self) -> Duration {
        let mut rests = Vec::new();
        for worker in &mut self.workers {
            loop {
                if let Progress::Idle { rest } = worker.tick().await.unwrap() {
                    rests.push(rest);
                    break;
                }
            }
        }
        rests.into_iter().min().unwrap()
    }

    fn status(&self, name: &str) -> super::TopicStatus {
        self.outbox.status().into_iter().find(|status| status.topic == topic(name)).unwrap()
    }
}

fn open(
    (catalog, clock, entropy): (Arc<MemoryCatalog>, Arc<ManualClock>, Arc<dyn Entropy>),
    receiver: &Arc<Receiver>,
    messages_max: u64,
) -> Arc<Outbox> {
    let courier: Arc<dyn Courier> = receiver.clone();
    let subscribers = vec![Subscriber { topic: topic("t"), courier, kept: KEPT }];
    Outbox::new(Options { catalog, clock, entropy, subscribers, messages_max })
}

#[tokio::test]
async fn an_hour_of_outage_and_a_restart_lose_nothing_and_keep_the_order_of_each_key() {
    let mut world = World::new(10_000);
    world.receiver.refuse(|_| true);
    let mut expected = Vec::new();
    let begun = Timestamp::from_millis(1_700_000_000_000);
    for minute in 0..60 {
        for key in ["a", "b", "c", "d", "e"] {
            let body = format!("{key} {minute:02}");
            world.post(if key == "a" { HERE } else { THERE }, "t", key, &body).await;
            expected.push(body);
        }
        let rest = world.run().await;
        assert!(rest <= Duration::from_mins(5), "{rest:?}");
        world.clock.advance(Duration::from_mins(1));
        if minute == 30 {
            world.restart().await;
        }
    }
    let status = world.status("t");
    assert_eq!((status.waiting, status.delivered, status.lost), (300, 0, 0));
    assert!(status.failing_since.is_some() && status.last_error.unwrap().contains("it is down"));
    assert!(status.oldest.is_some_and(|oldest| oldest >= begun));
    world.receiver.refuse(|_| false);
    world.clock.advance(Duration::from_mins(5));
    world.run().await;
    let mut got = world.receiver.bodies();
    for key in ["a", "b", "c", "d", "e"] {
        let of_key: Vec<_> = got.iter().filter(|body| body.starts_with(key)).collect();
        assert!(of_key.is_sorted() && of_key.len() == 60, "{key}: {of_key:?}");
    }
    got.sort();
    expected.sort();
    assert_eq!(got, expected, "each once");
    let status = world.status("t");
    assert_eq!((status.waiting, status.failing_since, status.oldest), (0, None, None));
    assert_eq!(
        world.receiver.got.lock().iter().map(|(id, _)| id).collect::<std::collections::HashSet<_>>().len(),
        300
    );
}

#[tokio::test]
async fn attempts_at_a_dead_receiver_grow_rare() {
    let mut world = World::new(10);
    world.receiver.refuse(|_| true);
    world.post(HERE, "t", "k", "x").await;
    let (mut rests, mut passed) = (Vec::new(), Duration::ZERO);
    while passed < Duration::from_hours(1) {
        let rest = world.run().await;
        // Before its time nothing is tried, however often the bell rings.
        world.clock.advance(rest.saturating_sub(Duration::from_millis(1)));
        let before = *world.receiver.attempts.lock();
        world.run().await;
        assert_eq!(*world.receiver.attempts.lock(), before);
        world.clock.advance(Duration::from_millis(1));
        rests.push(rest);
        passed += rest;
    }
    assert!(rests[0] <= Duration::from_secs(1) && rests[8] > Duration::from_mins(2), "{rests:?}");
    assert!(*world.receiver.attempts.lock() < 40, "{:?}", world.receiver.attempts.lock());
}

#[tokio::test]
async fn a_message_that_is_always_refused_holds_up_its_lane_alone() {
    let mut world = World::new(10_000);
    world.receiver.refuse(|body| body == "bad");
    world.post(HERE, "t", "bad-key", "bad").await;
    for n in 0..200 {
        world.post(HERE, "t", &format!("key {n}"), &format!("{n}")).await;
    }
    for _ in 0..3 {
        world.run().await;
        world.clock.advance(Duration::from_secs(1));
    }
    let arrived = world.receiver.bodies().len();
    assert!((160..200).contains(&arrived), "{arrived}");
    // It is given up in the end, and counted.
    world.clock.advance(KEPT);
    world.run().await;
    let status = world.status("t");
    assert_eq!((status.waiting, status.lost), (0, 201 - arrived as u64));
    world.restart().await;
    assert_eq!(world.status("t").lost, 201 - arrived as u64, "what was lost stays counted");
    assert_eq!(world.status("t").lost_since_start, 0);
}

#[tokio::test]
async fn a_full_outbox_drops_what_is_new_and_counts_it() {
    let mut world = World::new(6);
    world.receiver.refuse(|_| true);
    for n in 0..5 {
        world.post(HERE, "t", "k", &n.to_string()).await;
    }
    let status = world.status("t");
    assert_eq!((status.waiting, status.lost, status.lost_since_start), (3, 2, 2));
    world.restart().await;
    assert_eq!((world.status("t").waiting, world.status("t").lost), (3, 2));
    world.receiver.refuse(|_| false);
    world.run().await;
    assert_eq!(world.receiver.bodies(), ["0", "1", "2"]);
    world.post(HERE, "t", "k", "5").await;
    world.run().await;
    assert_eq!(world.receiver.bodies(), ["0", "1", "2", "5"]);
}

#[tokio::test]
async fn a_message_without_its_commit_is_never_delivered() {
    let mut world = World::new(10);
    let name = topic("t");
    let message = Message { topic: &name, sequence: 1, key: b"k", body: b"never" };
    let (_writes, _posted) = world.outbox.post(&message);
    world.post(HERE, "t", "k", "told").await;
    world.run().await;
    assert_eq!(world.receiver.bodies(), ["told"]);
}

#[tokio::test]
async fn what_was_under_way_at_a_stop_is_delivered_again_under_its_id() {
    let mut world = World::new(10);
    *world.receiver.hangs.lock() = true;
    world.post(HERE, "t", "k", "x").await;
    let mut worker = world.workers.remove(1);
    let mut tick = worker.tick();
    assert!(futures_util::poll!(&mut tick).is_pending(), "the receiver does not answer");
    world.outbox.stop();
    assert!(matches!(tick.await.unwrap(), Progress::More { done: 0 }));
    assert!(matches!(worker.tick().await.unwrap(), Progress::Idle { .. }));
    *world.receiver.hangs.lock() = false;
    world.restart().await;
    world.run().await;
    let got = world.receiver.got.lock().clone();
    assert_eq!(got.len(), 2);
    assert_eq!(got[0], got[1]);
}

#[tokio::test]
async fn messages_to_a_topic_that_nobody_is_named_for_wait_for_somebody_and_not_for_ever() {
    let mut world = World::new(10);
    world.post(HERE, "other", "k", "x").await;
    world.run().await;
    let status = world.status("other");
    assert_eq!((status.waiting, status.address), (1, None));
    world.clock.advance(super::KEPT_BY_DEFAULT);
    world.run().await;
    let status = world.status("other");
    assert_eq!((status.waiting, status.lost), (0, 1));
    assert!(world.receiver.bodies().is_empty());
}

#[tokio::test]
async fn a_partition_is_forgotten_with_its_counters() {
    let mut world = World::new(2);
    world.post(HERE, "t", "k", "x").await;
    world.post(HERE, "t", "k", "lost").await;
    let snapshot = world.catalog.snapshot(HERE).await.unwrap();
    assert!(Outbox::holds(&*snapshot).await.unwrap());
    world.run().await;
    let snapshot = world.catalog.snapshot(HERE).await.unwrap();
    assert!(!Outbox::holds(&*snapshot).await.unwrap());
    let writes = world.outbox.forget(&*snapshot, HERE).await.unwrap();
    assert_eq!(writes.len(), 2, "what waited and what was lost");
    world.catalog.commit(Commit { writes, ..Commit::new(HERE, snapshot.read_version()) }).await.unwrap();
    world.restart().await;
    assert_eq!((world.status("t").waiting, world.status("t").lost), (0, 0));
}

#[tokio::test]
async fn a_dead_receiver_takes_half_of_the_room_and_leaves_the_rest_to_others() {
    let mut world = World::new(6);
    for n in 0..5 {
        world.post(HERE, "dead", "k", &n.to_string()).await;
    }
    assert_eq!((world.status("dead").waiting, world.status("dead").lost), (3, 2));
    for n in 0..3 {
        world.post(HERE, "t", "k", &n.to_string()).await;
    }
    assert_eq!((world.status("t").waiting, world.status("t").lost), (3, 0));
    world.post(HERE, "third", "k", "x").await;
    assert_eq!((world.status("third").waiting, world.status("third").lost), (0, 1), "all of it is taken");
    world.run().await;
    assert_eq!(world.receiver.bodies(), ["0", "1", "2"]);
}

#[tokio::test]
async fn a_message_that_is_never_answered_holds_up_its_lane_alone() {
    let mut world = World::new(1_000);
    let bell = Arc::new(Notify::new());
    *world.receiver.slow.lock() = Some(("slow".to_owned(), bell.clone()));
    world.post(HERE, "t", "slow-key", "slow").await;
    for n in 0..50 {
        world.post(HERE, "t", &format!("key {n}"), &n.to_string()).await;
    }
    let mut worker = world.workers.remove(1);
    let mut tick = worker.tick();
    assert!(futures_util::poll!(&mut tick).is_pending());
    world.clock.advance(Duration::from_secs(5));
    let Progress::More { done } = tick.await.unwrap() else { panic!("there is more to do") };
    assert!(done >= 40, "{done}");
    let status = world.status("t");
    assert_eq!((status.waiting, status.failed_attempts, status.failing_since), (51 - done, 0, None));
    // Another partition has its turn, and new messages of this one, while the attempt goes on.
    world.post(THERE, "t", "k", "there").await;
    assert!(matches!(worker.tick().await.unwrap(), Progress::More { done: 1 }));
    for n in 50..60 {
        world.post(HERE, "t", &format!("key {n}"), &n.to_string()).await;
    }
    let mut tick = worker.tick();
    assert!(futures_util::poll!(&mut tick).is_pending());
    assert!(
        world.receiver.bodies().iter().filter(|body| body.as_str() >= "5" && body.as_str() < "6").count() > 5
    );
    bell.notify_one();
    tick.await.unwrap();
    assert_eq!(world.status("t").waiting, 0);
    assert_eq!((*world.receiver.attempts.lock(), world.receiver.got.lock().len()), (62, 62), "each once");
}

#[tokio::test]
async fn a_partition_whose_messages_are_refused_holds_up_no_other() {
    let mut world = World::new(1_000);
    world.receiver.refuse(|body| body == "bad");
    world.post(HERE, "t", "k", "bad").await;
    for _ in 0..8 {
        let rest = world.run().await;
        world.clock.advance(rest);
    }
    let rest = world.run().await;
    assert!(rest > Duration::from_mins(1), "{rest:?}");
    let since = world.status("t").failing_since.unwrap();
    world.post(THERE, "t", "k", "good").await;
    world.run().await;
    assert_eq!(world.receiver.bodies(), ["good"], "at once");
    let status = world.status("t");
    assert_eq!((status.waiting, status.failing_since), (1, Some(since)));
    assert!(status.oldest.is_some() && status.last_error.is_some());
}

#[tokio::test]
async fn a_topic_may_have_any_name() {
    let world = World::new(10);
    let courier: Arc<dyn Courier> = world.receiver.clone();
    let subscribers = vec![Subscriber { topic: topic("unclaimed"), courier, kept: KEPT }];
    let (catalog, clock, entropy) = (world.catalog.clone(), world.clock.clone(), world.entropy.clone());
    let outbox = Outbox::new(Options { catalog, clock, entropy, subscribers, messages_max: 10 });
    let workers = outbox.workers();
    assert_ne!(workers[0].name(), workers[1].name());
}
