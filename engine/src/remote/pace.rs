//! How fast a remote store may be written to: a limit that depends on the hour, kept by everybody who writes together.
//!
//! Bytes are taken before they are sent, a part at a time, so that a limit holds over the time that a few parts take.

use crate::clock::{Clock, Timestamp};
use crate::unit::ByteCount;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;

/// How long a pause is looked at again.
const LOOK_AGAIN: Duration = Duration::from_mins(1);

/// A limit for some hours of each day, UTC. From 22 to 6 is by night.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Its first hour, 0 to 23.
    pub from_hour: u8,
    /// The hour that it ends with, 0 to 24, not its own any more.
    pub to_hour: u8,
    /// Bytes a second; none is a pause.
    pub bytes_per_second: ByteCount,
}

/// Limits by the hour: the first window that has the hour counts, and without one there is no limit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schedule(pub Vec<Window>);

impl Window {
    fn has(&self, hour: u8) -> bool {
        if self.from_hour < self.to_hour {
            (self.from_hour..self.to_hour).contains(&hour)
        } else {
            hour >= self.from_hour || hour < self.to_hour
        }
    }
}

impl Schedule {
    /// Bytes a second at that time.
    pub fn at(&self, time: Timestamp) -> Option<ByteCount> {
        let hour = u8::try_from(time.as_secs().div_euclid(3600).rem_euclid(24)).unwrap_or(0);
        self.0.iter().find(|window| window.has(hour)).map(|window| window.bytes_per_second)
    }
}

/// Keeps a schedule.
#[derive(Debug)]
pub(crate) struct Pace {
    clock: Arc<dyn Clock>,
    schedule: Schedule,
    /// Boot time from which on nothing is owed.
    free_at: Mutex<Duration>,
}

impl Pace {
    pub(crate) fn new(schedule: Schedule, clock: Arc<dyn Clock>) -> Self {
        Self { clock, schedule, free_at: Mutex::default() }
    }

    /// The limit now.
    pub(crate) fn now(&self) -> Option<ByteCount> {
        self.schedule.at(self.clock.now())
    }

    /// Waits until so many bytes may be sent.
    pub(crate) async fn take(&self, bytes: u64) {
        loop {
            match self.now().map(ByteCount::get) {
                None => return,
                Some(0) => self.clock.sleep(LOOK_AGAIN).await,
                Some(rate) => {
                    let wait = self.owe(bytes, rate);
                    if !wait.is_zero() {
                        self.clock.sleep(wait).await;
                    }
                    return;
                }
            }
        }
    }

    /// How long whoever takes so many bytes waits for those before.
    fn owe(&self, bytes: u64, rate: u64) -> Duration {
        let now = self.clock.boottime();
        let mut free_at = self.free_at.lock();
        let start = (*free_at).max(now);
        let millis = u128::from(bytes) * 1000 / u128::from(rate.max(1));
        *free_at = start + Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX));
        start.saturating_sub(now)
    }
}

#[cfg(test)]
mod tests {
    use super::{Pace, Schedule, Window};
    use crate::clock::{ManualClock, Timestamp};
    use crate::unit::ByteCount;
    use std::sync::Arc;
    use std::time::Duration;

    fn window(from_hour: u8, to_hour: u8, mib: u64) -> Window {
        Window { from_hour, to_hour, bytes_per_second: ByteCount::mib(mib) }
    }

    #[test]
    fn the_first_window_that_has_the_hour_counts() {
        let schedule = Schedule(vec![window(8, 18, 1), window(22, 6, 2), window(5, 9, 3)]);
        let at = |hour: i64, minute: i64| {
            let time = Timestamp::from_millis((hour * 60 + minute) * 60_000 + 86_400_000 * 20_000);
            schedule.at(time).map(|rate| rate.get() >> 20)
        };
        for (time, limit) in [
            ((7, 59), Some(3)),
            ((8, 0), Some(1)),
            ((17, 59), Some(1)),
            ((18, 0), None),
            ((22, 0), Some(2)),
            ((0, 0), Some(2)),
            ((5, 59), Some(2)),
            ((6, 0), Some(3)),
        ] {
            assert_eq!(at(time.0, time.1), limit, "{time:?}");
        }
        assert_eq!(Schedule::default().at(Timestamp::from_millis(0)), None);
    }

    #[tokio::test]
    async fn a_limit_holds_for_all_who_write_and_ends_with_its_window() {
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(0)));
        let pace = Pace::new(Schedule(vec![window(0, 1, 1), window(1, 2, 0)]), clock.clone());
        pace.take(8 << 20).await;
        let (mut a, mut b) = (Box::pin(pace.take(1 << 20)), Box::pin(pace.take(1 << 20)));
        assert!(futures_util::poll!(&mut a).is_pending() && futures_util::poll!(&mut b).is_pending());
        clock.advance(Duration::from_millis(7_999));
        assert!(futures_util::poll!(&mut a).is_pending());
        clock.advance(Duration::from_millis(1));
        a.await;
        assert!(futures_util::poll!(&mut b).is_pending(), "it waits for the first one's second");
        clock.advance(Duration::from_secs(1));
        b.await;
        clock.advance(Duration::from_hours(1));
        let mut paused = Box::pin(pace.take(1));
        assert!(futures_util::poll!(&mut paused).is_pending());
        clock.advance(Duration::from_mins(30));
        assert!(futures_util::poll!(&mut paused).is_pending(), "a pause");
        clock.advance(Duration::from_mins(40));
        paused.await;
    }
}
