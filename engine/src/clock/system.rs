//! The operating system's clock.

use super::{Clock, Timestamp};
use crate::BoxFuture;
use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// `CLOCK_REALTIME`, `CLOCK_BOOTTIME` and tokio's timer.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let time = clock_gettime(ClockId::Realtime);
        Timestamp::from_millis(time.tv_sec * 1000 + time.tv_nsec / 1_000_000)
    }

    fn boottime(&self) -> Duration {
        let time = clock_gettime(ClockId::Boottime);
        let part = |n: i64| u64::try_from(n).unwrap_or(0);
        Duration::from_secs(part(time.tv_sec)) + Duration::from_nanos(part(time.tv_nsec))
    }

    #[expect(clippy::disallowed_methods, reason = "this is the one place that the ban points to")]
    fn sleep(&self, duration: Duration) -> BoxFuture<'_, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
}
