//! hyper's timers on the injected clock.
//!
//! hyper makes a timer for each head it waits for and drops it when the head is there. A connection's timers therefore
//! share one nap: the next one, whose deadline is later, goes on with what is left of it and naps again when it wakes
//! too early. So a busy connection arms the clock once in a while, not once a request.

use engine::clock::Clock;
use hyper::rt::{Sleep, Timer};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

/// Translates hyper's instants to the clock's boot time. One a connection.
#[derive(Clone)]
pub(super) struct ClockTimer {
    clock: Arc<dyn Clock>,
    origin: Instant,
    boot_at_origin: Duration,
    spare: Arc<Mutex<Option<Nap>>>,
}

/// A sleep of the clock, and the boot time at which it ends.
struct Nap {
    ends: Duration,
    sleep: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl ClockTimer {
    #[expect(clippy::disallowed_methods, reason = "an anchor only: instants cannot be made any other way")]
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        let boot_at_origin = clock.boottime();
        Self { clock, origin: Instant::now(), boot_at_origin, spare: Arc::default() }
    }
}

impl Timer for ClockTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        let deadline = self.clock.boottime().saturating_add(duration);
        // A spare nap that ends later than this would wake too late.
        let nap = lock(&self.spare).take().filter(|nap| nap.ends <= deadline);
        let (clock, spare) = (Arc::clone(&self.clock), Arc::clone(&self.spare));
        Box::pin(ClockSleep { clock, deadline, nap: Mutex::new(nap), spare })
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        self.sleep(deadline.saturating_duration_since(self.now()))
    }

    fn now(&self) -> Instant {
        self.origin + self.clock.boottime().saturating_sub(self.boot_at_origin)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct ClockSleep {
    clock: Arc<dyn Clock>,
    deadline: Duration,
    /// hyper wants `Sync`, which the clock's future need not be; nobody else ever locks.
    nap: Mutex<Option<Nap>>,
    spare: Arc<Mutex<Option<Nap>>>,
}

impl Future for ClockSleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        let slot = this.nap.get_mut().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(nap) = slot {
                ready!(nap.sleep.as_mut().poll(cx));
                let ended = nap.ends;
                *slot = None;
                if ended >= this.deadline {
                    return Poll::Ready(());
                }
            }
            let left = this.deadline.saturating_sub(this.clock.boottime());
            if left.is_zero() {
                return Poll::Ready(());
            }
            let clock = Arc::clone(&this.clock);
            let sleep = Box::pin(async move { clock.sleep(left).await });
            *slot = Some(Nap { ends: this.deadline, sleep });
        }
    }
}

impl Drop for ClockSleep {
    fn drop(&mut self) {
        if let Some(nap) = lock(&self.nap).take() {
            *lock(&self.spare) = Some(nap);
        }
    }
}

impl Sleep for ClockSleep {}

#[cfg(test)]
mod tests {
    use super::ClockTimer;
    use engine::clock::{ManualClock, Timestamp};
    use futures_util::poll;
    use hyper::rt::Timer as _;
    use std::sync::Arc;
    use std::time::Duration;

    #[tokio::test]
    async fn a_timer_that_goes_on_with_an_older_nap_keeps_its_own_deadline() {
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(0)));
        let timer = ClockTimer::new(clock.clone());
        let mut first = timer.sleep(Duration::from_secs(10));
        assert!(poll!(&mut first).is_pending());
        clock.advance(Duration::from_secs(6));
        drop(first);
        let mut second = timer.sleep(Duration::from_secs(10));
        assert!(poll!(&mut second).is_pending());
        clock.advance(Duration::from_secs(5));
        assert!(poll!(&mut second).is_pending(), "the first one's time is up, not its own");
        clock.advance(Duration::from_secs(5));
        assert!(poll!(&mut second).is_ready());
        let mut shorter = timer.sleep(Duration::from_secs(10));
        assert!(poll!(&mut shorter).is_pending());
        drop(shorter);
        let mut shorter = timer.sleep(Duration::from_secs(1));
        assert!(poll!(&mut shorter).is_pending());
        clock.advance(Duration::from_secs(1));
        assert!(poll!(&mut shorter).is_ready(), "a later nap does not hold it up");
    }
}
