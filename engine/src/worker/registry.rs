//! Owns the loops of all workers.
//!
//! ```text
//!   tick ─ More ──► yield ──► tick
//!        ─ Idle ──► rest (until wake) ──► tick
//!        ─ error ─► log, back off 1 s · 2 s · … · 5 min (a full disk: 1 s, logged once) ──► tick
//!   pause: before the next tick      drain: the tick under way ends, then the loop does
//! ```
//!
//! A wake during a tick counts: the rest after it is skipped. A wake does not shorten a back-off.

use super::{Progress, Worker};
use crate::clock::Clock;
use crate::{Error, Result};
use futures_util::FutureExt;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

/// The first back-off.
const BACK_OFF_MIN: Duration = Duration::from_secs(1);
/// The longest back-off.
const BACK_OFF_MAX: Duration = Duration::from_mins(5);

/// What a worker is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Activity {
    /// A tick is under way, or the next one follows at once.
    Working,
    /// Nothing to do for now.
    Resting,
    /// The last tick failed; it is tried again later.
    BackingOff,
    /// Paused by hand.
    Paused,
    /// Drained.
    Stopped,
}

/// One worker in `status`.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct WorkerStatus {
    /// Its name.
    pub name: &'static str,
    /// What it is doing.
    pub activity: Activity,
    /// Ticks that ended, failed ones included.
    pub ticks: u64,
    /// Units done, in the worker's own unit.
    pub done: u64,
    /// Ticks that failed.
    pub errors: u64,
    /// Why the newest failed tick did, until one succeeds; and what those pass by that do ([`Worker::trouble`]).
    pub last_error: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    Run,
    Pause,
    Stop,
}

struct Entry {
    status: Arc<Mutex<WorkerStatus>>,
    wake: Arc<Notify>,
    order: watch::Sender<Order>,
    task: Option<JoinHandle<()>>,
}

/// The workers of an appliance.
#[derive(Default)]
pub struct Registry {
    entries: Mutex<BTreeMap<&'static str, Entry>>,
}

impl Registry {
    /// An empty registry.
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts a worker's loop on the current runtime. [`Error::Invalid`] when its name is taken.
    pub fn spawn(&self, worker: Box<dyn Worker>, clock: Arc<dyn Clock>) -> Result<()> {
        let name = worker.name();
        let mut entries = self.entries.lock();
        if entries.contains_key(name) {
            return Err(Error::Invalid(format!("start worker {name}: there is one of that name")));
        }
        let status = Arc::new(Mutex::new(WorkerStatus {
            name,
            activity: Activity::Working,
            ticks: 0,
            done: 0,
            errors: 0,
            last_error: None,
        }));
        let wake = worker.bell();
        let (order, orders) = watch::channel(Order::Run);
        let runner = Runner {
            worker,
            clock,
            status: Arc::clone(&status),
            wake: Arc::clone(&wake),
            orders,
            back_off: None,
        };
        let task = Some(tokio::spawn(runner.run()));
        entries.insert(name, Entry { status, wake, order, task });
        Ok(())
    }

    /// All workers, by name.
    pub fn status(&self) -> Vec<WorkerStatus> {
        self.entries.lock().values().map(|entry| entry.status.lock().clone()).collect()
    }

    /// Ends a worker's rest, now or the one after the tick under way; `false` when there is none of that name.
    pub fn wake(&self, name: &str) -> bool {
        self.entries.lock().get(name).map(|entry| entry.wake.notify_one()).is_some()
    }

    /// Lets a worker end its tick and do nothing more; `false` when there is none of that name.
    pub fn pause(&self, name: &str) -> bool {
        self.order(name, Order::Pause)
    }

    /// Lets a paused worker go on; `false` when there is none of that name.
    pub fn resume(&self, name: &str) -> bool {
        self.order(name, Order::Run)
    }

    /// Stops all workers; returns once the ticks under way have ended.
    pub async fn drain(&self) {
        let tasks: Vec<_> = {
            let mut entries = self.entries.lock();
            entries
                .values_mut()
                .filter_map(|entry| {
                    entry.order.send_replace(Order::Stop);
                    entry.task.take()
                })
                .collect()
        };
        for task in tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "a worker ended by itself");
            }
        }
    }

    fn order(&self, name: &str, order: Order) -> bool {
        let entries = self.entries.lock();
        let Some(entry) = entries.get(name) else { return false };
        entry.order.send_if_modified(|now| {
            let changes = *now != Order::Stop && *now != order;
            if changes {
                *now = order;
            }
            changes
        });
        true
    }
}

/// One loop.
struct Runner {
    worker: Box<dyn Worker>,
    clock: Arc<dyn Clock>,
    status: Arc<Mutex<WorkerStatus>>,
    wake: Arc<Notify>,
    orders: watch::Receiver<Order>,
    back_off: Option<Duration>,
}

impl Runner {
    async fn run(mut self) {
        while self.may_work().await {
            self.show(Activity::Working);
            let outcome = self.tick().await;
            self.status.lock().ticks += 1;
            match outcome {
                Ok(progress) => self.after(progress).await,
                Err(error) => self.after_error(&error).await,
            }
        }
        self.show(Activity::Stopped);
    }

    /// One tick; a panic in it is an error like any other, so that one bad row doesn't end the work for ever. A worker may be left
    /// off at any await anyhow.
    async fn tick(&mut self) -> Result<Progress> {
        AssertUnwindSafe(self.worker.tick()).catch_unwind().await.unwrap_or_else(|_| {
            Err(Error::Unknown { reason: "the worker panicked; its message is on standard error".to_owned() })
        })
    }

    /// Waits while paused; `false` when it is time to stop.
    async fn may_work(&mut self) -> bool {
        if *self.orders.borrow() == Order::Pause {
            self.show(Activity::Paused);
        }
        matches!(self.orders.wait_for(|order| *order != Order::Pause).await.as_deref(), Ok(Order::Run))
    }

    async fn after(&mut self, progress: Progress) {
        self.back_off = None;
        self.status.lock().last_error = self.worker.trouble();
        match progress {
            Progress::More { done } => {
                self.status.lock().done += done;
                tokio::task::yield_now().await;
            }
            Progress::Idle { rest } => {
                self.show(Activity::Resting);
                tokio::select! {
                    biased;
                    // First: a pause must not use a wake up.
                    _changed = self.orders.changed() => {}
                    () = self.wake.notified() => {}
                    () = self.clock.sleep(rest) => {}
                }
            }
        }
    }

    async fn after_error(&mut self, error: &Error) {
        let full = matches!(error, Error::Full { .. });
        let wait = match self.back_off {
            Some(last) if !full => (last * 2).min(BACK_OFF_MAX),
            _ => BACK_OFF_MIN,
        };
        let known = full && self.back_off.is_some();
        self.back_off = Some(wait);
        {
            let mut status = self.status.lock();
            status.errors += 1;
            status.last_error = Some(error.to_string());
            status.activity = Activity::BackingOff;
            if !known {
                tracing::error!(worker = status.name, %error, wait_s = wait.as_secs(), "worker failed: it backs off");
            }
        }
        tokio::select! {
            () = self.clock.sleep(wait) => {}
            _changed = self.orders.changed() => {}
        }
    }

    fn show(&self, activity: Activity) {
        self.status.lock().activity = activity;
    }
}

#[cfg(test)]
mod tests {
    use super::{Activity, Registry};
    use crate::clock::{ManualClock, Timestamp};
    use crate::worker::{Progress, Worker};
    use crate::{BoxFuture, Error, Result};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;
    use tokio::sync::mpsc;

    /// Does what the test tells it to, tick by tick.
    struct Scripted {
        script: mpsc::UnboundedReceiver<Result<Progress>>,
    }

    impl Worker for Scripted {
        fn name(&self) -> &'static str {
            "scripted"
        }
        fn tick(&mut self) -> BoxFuture<'_, Result<Progress>> {
            Box::pin(async { self.script.recv().await.unwrap_or(Err(Error::Closed)) })
        }
    }

    struct World {
        registry: Registry,
        clock: Arc<ManualClock>,
        script: mpsc::UnboundedSender<Result<Progress>>,
    }

    fn world() -> World {
        let registry = Registry::new();
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(0)));
        let (script, receiver) = mpsc::unbounded_channel();
        registry.spawn(Box::new(Scripted { script: receiver }), clock.clone()).unwrap();
        World { registry, clock, script }
    }

    impl World {
        /// Lets the loop run until it waits for something.
        async fn settle(&self) -> super::WorkerStatus {
            for _ in 0..50 {
                tokio::task::yield_now().await;
            }
            self.registry.status().remove(0)
        }
    }

    const REST: Result<Progress> = Ok(Progress::Idle { rest: Duration::from_mins(1) });

    #[tokio::test]
    async fn rests_until_the_time_or_a_wake() {
        let world = world();
        for _ in 0..4 {
            world.script.send(REST).unwrap();
        }
        assert_eq!(world.settle().await.ticks, 1);
        world.clock.advance(Duration::from_secs(59));
        assert_eq!(world.settle().await.ticks, 1);
        world.clock.advance(Duration::from_secs(1));
        assert_eq!(world.settle().await.ticks, 2);
        assert!(world.registry.wake("scripted"));
        let status = world.settle().await;
        assert_eq!((status.ticks, status.activity), (3, Activity::Resting));
        assert!(!world.registry.wake("nobody"));
    }

    #[tokio::test]
    async fn backs_off_doubling_to_five_minutes_and_forgets_after_success() {
        let world = world();
        let waits_s = [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300];
        for _ in waits_s {
            world.script.send(Err(Error::Closed)).unwrap();
        }
        for (ticks, wait_s) in (1..).zip(waits_s) {
            let status = world.settle().await;
            assert_eq!((status.ticks, status.errors, status.activity), (ticks, ticks, Activity::BackingOff));
            world.registry.wake("scripted");
            world.clock.advance(Duration::from_millis(wait_s * 1000 - 1));
            assert_eq!(world.settle().await.ticks, ticks, "a wake does not shorten the wait of {wait_s} s");
            if ticks == 11 {
                world.script.send(Ok(Progress::More { done: 1 })).unwrap();
                world.script.send(Err(Error::Closed)).unwrap();
            }
            world.clock.advance(Duration::from_millis(1));
        }
        assert_eq!(world.settle().await.ticks, 13);
        world.script.send(REST).unwrap();
        world.clock.advance(Duration::from_secs(1));
        let status = world.settle().await;
        assert_eq!((status.ticks, status.last_error), (14, None), "one second again after a success");
    }

    struct Panics;

    impl Worker for Panics {
        fn name(&self) -> &'static str {
            "panics"
        }
        fn tick(&mut self) -> BoxFuture<'_, Result<Progress>> {
            Box::pin(async { panic!("on purpose") })
        }
    }

    #[tokio::test]
    async fn a_panic_is_backed_off_from_like_an_error() {
        let world = world();
        world.registry.spawn(Box::new(Panics), world.clock.clone()).unwrap();
        for ticks in 1..3 {
            let status = world.settle().await;
            assert_eq!((status.name, status.ticks, status.errors), ("panics", ticks, ticks));
            assert_eq!(status.activity, Activity::BackingOff);
            assert!(status.last_error.is_some_and(|error| error.contains("panicked")));
            world.clock.advance(Duration::from_secs(1));
        }
    }

    /// Has something that it passes by.
    struct Troubled;

    impl Worker for Troubled {
        fn name(&self) -> &'static str {
            "troubled"
        }
        fn trouble(&self) -> Option<String> {
            Some("read row 7".to_owned())
        }
        fn tick(&mut self) -> BoxFuture<'_, Result<Progress>> {
            Box::pin(async { REST })
        }
    }

    #[tokio::test]
    async fn what_is_passed_by_is_the_last_error_though_ticks_succeed() {
        let registry = Registry::new();
        registry.spawn(Box::new(Troubled), Arc::new(ManualClock::new(Timestamp::from_millis(0)))).unwrap();
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
        let status = registry.status().remove(0);
        assert_eq!((status.errors, status.activity), (0, Activity::Resting));
        assert_eq!(status.last_error.as_deref(), Some("read row 7"));
    }

    #[tokio::test]
    async fn counts_work_and_refuses_a_second_of_the_same_name() {
        let world = world();
        world.script.send(Ok(Progress::More { done: 3 })).unwrap();
        world.script.send(Ok(Progress::More { done: 4 })).unwrap();
        world.script.send(REST).unwrap();
        let status = world.settle().await;
        assert_eq!((status.done, status.ticks), (7, 3));
        let (_, script) = mpsc::unbounded_channel();
        world.registry.spawn(Box::new(Scripted { script }), world.clock.clone()).unwrap_err();
    }

    #[tokio::test]
    async fn a_paused_worker_waits_and_a_drained_one_ends() {
        let world = world();
        world.script.send(REST).unwrap();
        world.settle().await;
        assert!(world.registry.pause("scripted"));
        world.script.send(REST).unwrap();
        world.script.send(REST).unwrap();
        world.registry.wake("scripted");
        let status = world.settle().await;
        assert_eq!((status.ticks, status.activity), (1, Activity::Paused));
        assert!(world.registry.resume("scripted"));
        assert_eq!(world.settle().await.ticks, 3, "the wake counts, now that it works again");
        world.registry.drain().await;
        assert_eq!(world.registry.status().remove(0).activity, Activity::Stopped);
        assert!(world.registry.resume("scripted"), "it is known, but stays stopped");
    }

    #[tokio::test]
    async fn a_full_disk_is_tried_again_every_second() {
        let world = world();
        for n in 1..=5 {
            world.script.send(Err(Error::Full { place: "here".to_owned(), wanted: 1 })).unwrap();
            let status = world.settle().await;
            assert_eq!((status.errors, status.activity), (n, Activity::BackingOff));
            world.clock.advance(Duration::from_secs(1));
        }
    }

    #[tokio::test]
    async fn a_worker_may_bring_the_bell_that_ends_its_rest() {
        struct Belled(Arc<tokio::sync::Notify>, Arc<AtomicU64>);
        impl Worker for Belled {
            fn name(&self) -> &'static str {
                "belled"
            }
            fn bell(&self) -> Arc<tokio::sync::Notify> {
                Arc::clone(&self.0)
            }
            fn tick(&mut self) -> BoxFuture<'_, Result<Progress>> {
                self.1.fetch_add(1, Ordering::Relaxed);
                Box::pin(std::future::ready(REST))
            }
        }
        let world = world();
        let (bell, ticks) = (Arc::new(tokio::sync::Notify::new()), Arc::new(AtomicU64::new(0)));
        world.registry.spawn(Box::new(Belled(bell.clone(), ticks.clone())), world.clock.clone()).unwrap();
        world.settle().await;
        bell.notify_one();
        world.settle().await;
        assert_eq!(ticks.load(Ordering::Relaxed), 2);
    }
}
