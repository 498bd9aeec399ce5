//! hyper's timers on the injected clock.

use engine::clock::Clock;
use hyper::rt::{Sleep, Timer};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// Translates hyper's instants to the clock's boot time.
#[derive(Clone)]
pub(super) struct ClockTimer {
    clock: Arc<dyn Clock>,
    origin: Instant,
    boot_at_origin: Duration,
}

impl ClockTimer {
    #[expect(clippy::disallowed_methods, reason = "an anchor only: instants cannot be made any other way")]
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        let boot_at_origin = clock.boottime();
        Self { clock, origin: Instant::now(), boot_at_origin }
    }
}

impl Timer for ClockTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        let clock = self.clock.clone();
        let nap = Box::pin(async move { clock.sleep(duration).await });
        Box::pin(ClockSleep { nap: Mutex::new(nap) })
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        self.sleep(deadline.saturating_duration_since(self.now()))
    }

    fn now(&self) -> Instant {
        self.origin + self.clock.boottime().saturating_sub(self.boot_at_origin)
    }
}

/// hyper wants `Sync`, which the clock's future need not be; nobody else ever locks.
struct ClockSleep {
    nap: Mutex<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl Future for ClockSleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let nap = self.get_mut().nap.get_mut().unwrap_or_else(PoisonError::into_inner);
        nap.as_mut().poll(cx)
    }
}

impl Sleep for ClockSleep {}
