//! A clock that tests move by hand, by days if they like.

use super::{Clock, Timestamp};
use crate::BoxFuture;
use std::time::Duration;
use tokio::sync::watch;

#[derive(Clone, Copy, Debug)]
struct State {
    now: Timestamp,
    boot: Duration,
}

/// Stands still until it is told to move; sleepers wake when it passes their time.
#[derive(Debug)]
pub struct ManualClock {
    state: watch::Sender<State>,
}

impl ManualClock {
    /// A clock that shows `now`, with a boot time of zero.
    pub fn new(now: Timestamp) -> Self {
        Self { state: watch::Sender::new(State { now, boot: Duration::ZERO }) }
    }

    /// Time passes, on both clocks.
    pub fn advance(&self, by: Duration) {
        self.state.send_modify(|state| {
            state.now = state.now.plus(by);
            state.boot += by;
        });
    }

    /// Somebody sets the wall clock, forward or back; boot time does not move.
    pub fn set_wall(&self, now: Timestamp) {
        self.state.send_modify(|state| state.now = now);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        self.state.borrow().now
    }

    fn boottime(&self) -> Duration {
        self.state.borrow().boot
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'_, ()> {
        let mut changes = self.state.subscribe();
        let wake_at = self.boottime() + duration;
        Box::pin(async move {
            // The sender lives in `self`, which this future borrows, so waiting can't fail.
            let _still_there = changes.wait_for(|state| state.boot >= wake_at).await;
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Clock, ManualClock, Timestamp};
    use std::time::Duration;

    #[tokio::test]
    async fn sleepers_wake_by_boot_time_not_by_the_wall() {
        let clock = ManualClock::new(Timestamp::from_millis(1_000));
        let mut nap = clock.sleep(Duration::from_mins(1));
        clock.set_wall(Timestamp::from_millis(10_000_000));
        assert!(futures_util::poll!(&mut nap).is_pending());
        clock.advance(Duration::from_mins(1));
        nap.await;
        assert_eq!(clock.now(), Timestamp::from_millis(10_060_000));
    }
}
