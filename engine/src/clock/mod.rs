//! Time, from outside: the system's in production, a hand-moved one in tests.

pub mod compliance;
mod manual;
mod system;

pub use manual::ManualClock;
pub use system::SystemClock;

use crate::BoxFuture;
use std::time::Duration;

/// Wall-clock time: milliseconds since 1970-01-01T00:00:00Z, what rows store and users are shown.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// From milliseconds since the epoch.
    pub const fn from_millis(unix_ms: i64) -> Self {
        Self(unix_ms)
    }

    /// Milliseconds since the epoch.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded down, as HTTP dates have them.
    pub const fn as_secs(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// This time plus a duration.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }

    /// How long after `earlier` this is; zero when it is before.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

/// The clock that everything below the binary is given.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// The wall clock. It may jump in either direction; order nothing by it alone.
    fn now(&self) -> Timestamp;

    /// Time since some fixed point that only goes forward and counts suspended time (`CLOCK_BOOTTIME`).
    fn boottime(&self) -> Duration;

    /// Completes once `duration` of boot time has passed.
    fn sleep(&self, duration: Duration) -> BoxFuture<'_, ()>;
}
