//! The step as a table, and the clock through set wall clocks, downtime, crashes and a restored catalog.

use super::{ComplianceClock, ComplianceWorker, KEY, PERSIST_EVERY, Reading, Stored, TABLE};
use crate::catalog::record::Record;
use crate::catalog::{Catalog, Commit, Limits, MemoryCatalog, Snapshot, Version, Write};
use crate::clock::{Clock, ManualClock, Timestamp};
use crate::id::PartitionId;
use crate::worker::{Progress, Worker};
use crate::{BoxFuture, Error, Result};
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;

fn hours(hours: u64) -> Duration {
    Duration::from_hours(hours)
}

#[test]
fn every_step() {
    // (value, uptime, wall) → value, in milliseconds but for the uptime.
    for (value, uptime, wall, expected, why) in [
        (0, hours(1), HOUR, HOUR, "in step with the wall clock"),
        (0, hours(24), 100 * DAY, DAY + HOUR, "behind: an hour a day is made up for"),
        (0, hours(24), DAY + HOUR / 2, DAY + HOUR / 2, "behind by less: it stops at the wall clock"),
        (0, hours(24), DAY - HOUR, DAY - HOUR, "a wall clock that runs slow is a ceiling"),
        (10 * DAY, hours(24), DAY, 10 * DAY, "a wall clock that was set back stops it"),
        (10 * DAY, hours(24), 10 * DAY, 10 * DAY, "level, and the wall clock did not move"),
        (0, Duration::ZERO, 100 * DAY, 0, "no uptime, no progress, whatever the wall clock says"),
        (-5, Duration::ZERO, i64::MIN, -5, "never back"),
        (0, Duration::MAX, i64::MAX, i64::MAX, "no overflow"),
    ] {
        let wall = Timestamp::from_millis(wall);
        let uptime = uptime.min(Duration::MAX / 2);
        let stepped = Reading::at(Timestamp::from_millis(value)).step(uptime, wall);
        assert_eq!(stepped.timestamp().as_millis(), expected, "{why}");
    }
}

#[test]
fn many_small_steps_gain_no_more_than_one_large_one() {
    let wall = Timestamp::from_millis(100 * DAY);
    let mut reading = Reading::at(Timestamp::from_millis(0));
    for _ in 0..86_400 {
        reading = reading.step(Duration::from_secs(1), wall);
    }
    let at_once = Reading::at(Timestamp::from_millis(0)).step(hours(24), wall);
    assert!(reading <= at_once);
    assert!(at_once.timestamp().as_millis() - reading.timestamp().as_millis() <= 1);
}

struct World {
    catalog: Arc<MemoryCatalog>,
    wall: Arc<ManualClock>,
}

impl World {
    fn new() -> Self {
        let wall = Arc::new(ManualClock::new(Timestamp::from_millis(1_000 * DAY)));
        Self { catalog: Arc::new(MemoryCatalog::default()), wall }
    }

    async fn start(&self) -> Arc<ComplianceClock> {
        ComplianceClock::open(Arc::clone(&self.catalog) as _, Arc::clone(&self.wall) as _).await.unwrap()
    }

    /// Runs the worker for a time, a tick at a time.
    async fn run(&self, clock: &Arc<ComplianceClock>, time: Duration) {
        let mut worker = ComplianceWorker::new(Arc::clone(clock));
        let end = self.wall.boottime() + time;
        while self.wall.boottime() < end {
            self.wall.advance(PERSIST_EVERY);
            assert_eq!(worker.tick().await.unwrap(), Progress::Idle { rest: PERSIST_EVERY });
        }
    }
}

#[tokio::test]
async fn it_is_set_once_and_follows_the_wall_clock() {
    let world = World::new();
    let clock = world.start().await;
    assert_eq!(clock.now().as_millis(), 1_000 * DAY);
    world.run(&clock, hours(48)).await;
    assert_eq!(clock.now().as_millis(), 1_002 * DAY);
    assert_eq!(clock.lag(), Duration::ZERO);
    let again = world.start().await;
    assert_eq!(again.now(), clock.now(), "a second start resumes");
}

#[tokio::test]
async fn downtime_is_not_counted_and_made_up_for_by_an_hour_a_day() {
    let world = World::new();
    drop(world.start().await);
    world.wall.advance(hours(10 * 24));
    let clock = world.start().await;
    assert_eq!(clock.now().as_millis(), 1_000 * DAY);
    assert_eq!(clock.lag(), hours(240));
    for day in 1..=10 {
        world.run(&clock, hours(24)).await;
        assert_eq!(clock.lag(), hours(240 - day));
    }
    world.run(&clock, hours(240 * 24)).await;
    assert_eq!(clock.lag(), Duration::ZERO, "it arrives and does not lead");
}

#[tokio::test]
async fn a_wall_clock_set_forward_gains_an_hour_a_day_and_no_more() {
    let world = World::new();
    let clock = world.start().await;
    world.wall.set_wall(Timestamp::from_millis(9_000 * DAY));
    assert_eq!(clock.settle().await.unwrap().as_millis(), 1_000 * DAY);
    world.run(&clock, hours(24)).await;
    assert_eq!(clock.now().as_millis(), 1_001 * DAY + HOUR);
}

#[tokio::test]
async fn a_wall_clock_set_back_stops_it_until_it_has_come_by_again() {
    let world = World::new();
    let clock = world.start().await;
    world.wall.set_wall(Timestamp::from_millis(999 * DAY));
    world.run(&clock, hours(24)).await;
    assert_eq!(clock.now().as_millis(), 1_000 * DAY);
    world.run(&clock, hours(24)).await;
    assert_eq!(clock.now().as_millis(), 1_001 * DAY);
}

#[tokio::test]
async fn what_was_shown_is_never_taken_back_by_a_crash() {
    let world = World::new();
    let clock = world.start().await;
    world.wall.advance(Duration::from_secs(59));
    assert_eq!(clock.now().as_millis(), 1_000 * DAY, "what is not durable is not shown");
    let settled = clock.settle().await.unwrap();
    assert_eq!(settled.as_millis(), 1_000 * DAY + 59_000);
    world.wall.advance(Duration::from_secs(59));
    drop(clock);
    assert_eq!(world.start().await.now(), settled);
}

/// A catalog that takes commits or refuses them.
struct Refusing {
    rows: Arc<MemoryCatalog>,
    refuses: AtomicBool,
}

impl Catalog for Refusing {
    fn limits(&self) -> Limits {
        self.rows.limits()
    }

    fn snapshot(&self, partition: PartitionId) -> BoxFuture<'_, Result<Arc<dyn Snapshot>>> {
        self.rows.snapshot(partition)
    }

    fn commit(&self, commit: Commit) -> BoxFuture<'_, Result<Version>> {
        if self.refuses.load(Ordering::Relaxed) {
            return Box::pin(async { Err(Error::Closed) });
        }
        self.rows.commit(commit)
    }
}

#[tokio::test]
async fn a_time_that_could_not_be_written_is_not_shown_and_not_forgotten() {
    let World { catalog: rows, wall } = World::new();
    let catalog = Arc::new(Refusing { rows, refuses: AtomicBool::new(false) });
    let clock = ComplianceClock::open(Arc::clone(&catalog) as _, Arc::clone(&wall) as _).await.unwrap();
    catalog.refuses.store(true, Ordering::Relaxed);
    for _ in 0..2 {
        wall.advance(hours(1));
        assert!(matches!(clock.settle().await, Err(Error::Closed)));
        assert_eq!(clock.now().as_millis(), 1_000 * DAY);
    }
    catalog.refuses.store(false, Ordering::Relaxed);
    assert_eq!(clock.settle().await.unwrap().as_millis(), 1_000 * DAY + 2 * HOUR, "it ran meanwhile");
    assert_eq!(clock.now().as_millis(), 1_000 * DAY + 2 * HOUR);
}

#[test]
fn golden_row() {
    let bytes = Stored(Timestamp::from_millis(0x0102_0304_0506)).to_bytes();
    assert_eq!(&bytes[..], b"\x01\x06\x05\x04\x03\x02\x01\0\0");
    assert_eq!(Stored::from_bytes(&bytes).unwrap().0.as_millis(), 0x0102_0304_0506);
}

#[tokio::test]
async fn a_row_of_a_newer_form_or_length_is_refused() {
    for (bytes, newer) in [(&b"\x02\0\0\0\0\0\0\0\0"[..], true), (b"\x01\0", false)] {
        let world = World::new();
        let write = Write::Put(TABLE.key(KEY), Bytes::from_static(bytes));
        let commit = Commit { writes: vec![write], ..Commit::new(PartitionId::ROOT, 0) };
        world.catalog.commit(commit).await.unwrap();
        let opened =
            ComplianceClock::open(Arc::clone(&world.catalog) as _, Arc::clone(&world.wall) as _).await;
        match opened.unwrap_err() {
            Error::Newer { .. } => assert!(newer),
            Error::Corrupt { .. } => assert!(!newer),
            other => panic!("{other:?}"),
        }
    }
}
