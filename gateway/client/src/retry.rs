//! When to ask again, and how long to wait first: exponential back-off with full jitter.
//!
//! Every S3 call is asked again after a broken connection, a timeout, 429 or 5xx. A conditional write whose first answer
//! got lost may then meet its own result (412): the caller sees a conflict and looks again, as S3's own clients do.
//!
//! Where no connection can be made, all calls of a client count and wait together ([`Reach`]): a server that is gone costs
//! so many attempts in all, however many calls are under way and however many follow.

use crate::error::Error;
use engine::entropy::Entropy;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{Mutex, MutexGuard};

/// Attempts more for an endpoint that has answered before: a server that starts again is away for seconds. By the default
/// waits it is given up on after at most 13 s.
const MORE_ATTEMPTS: u32 = 3;

/// How often, and how far apart.
#[derive(Clone, Copy, Debug)]
pub struct Retries {
    /// Attempts in all, the first one included; at least 1.
    pub attempts_max: u32,
    /// The longest wait before the second attempt; it doubles from there.
    pub first: Duration,
    /// No wait is longer than this.
    pub longest: Duration,
}

impl Default for Retries {
    fn default() -> Self {
        Self { attempts_max: 5, first: Duration::from_millis(100), longest: Duration::from_secs(10) }
    }
}

impl Retries {
    /// The wait after the `failed`th attempt (from 1), or `None` when it was the last. A random part of the full step, so
    /// that clients that failed together do not come back together.
    pub(crate) fn wait(&self, failed: u32, entropy: &dyn Entropy) -> Option<Duration> {
        self.wait_of(failed, self.attempts_max, entropy)
    }

    /// How often an endpoint is tried that nobody can connect to.
    pub(crate) const fn attempts_to_connect(&self, has_answered: bool) -> u32 {
        // Whoever asked for one attempt gets one.
        if has_answered && self.attempts_max > 1 {
            self.attempts_max.saturating_add(MORE_ATTEMPTS)
        } else {
            self.attempts_max
        }
    }

    /// The same wait where another number of attempts is allowed.
    pub(crate) fn wait_of(&self, failed: u32, attempts: u32, entropy: &dyn Entropy) -> Option<Duration> {
        if failed >= attempts {
            return None;
        }
        let step = self.first.saturating_mul(1 << failed.saturating_sub(1).min(16)).min(self.longest);
        let mut random = [0; 4];
        entropy.fill(&mut random);
        let part = f64::from(u32::from_le_bytes(random)) / f64::from(u32::MAX);
        Some(step.mul_f64(part))
    }
}

/// How long a call has to go on for before it is told why.
const TOLD_AFTER: Duration = Duration::from_secs(1);
/// How long nothing more is told then.
const TOLD_EVERY: Duration = Duration::from_secs(30);

/// Who is told why a call takes so long: what failed, and what comes next.
#[derive(Clone)]
pub struct Listener(pub Arc<dyn Fn(&Error) + Send + Sync>);

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Listener")
    }
}

/// The attempts of one call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tries {
    /// Those that failed.
    pub(crate) failed: u32,
    /// When the first one began, since the host's start.
    begun: Duration,
}

impl Tries {
    pub(crate) const fn begin(now: Duration) -> Self {
        Self { failed: 0, begun: now }
    }
}

/// When something was last told.
#[derive(Debug, Default)]
pub(crate) struct Told(std::sync::Mutex<Option<Duration>>);

impl Told {
    /// Whether it is to be told now that a call waits for so long more.
    pub(crate) fn is_due(&self, tries: &Tries, now: Duration, wait: Duration) -> bool {
        if now.saturating_sub(tries.begun) + wait < TOLD_AFTER {
            return false;
        }
        let mut last = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let is_due = last.is_none_or(|last| now.saturating_sub(last) >= TOLD_EVERY);
        if is_due {
            *last = Some(now);
        }
        is_due
    }
}

/// Whether an endpoint can be reached, as all calls of one client see it.
#[derive(Debug, Default)]
pub(crate) struct Reach {
    /// Answers so far, of whatever status.
    answers: AtomicU64,
    /// Failures to connect since the last answer.
    missed: AtomicU32,
    /// One call at a time waits before it tries to connect again; the others wait for their turn.
    turn: Mutex<()>,
}

impl Reach {
    /// Somebody answered.
    pub(crate) fn answered(&self) {
        self.answers.fetch_add(1, Ordering::Relaxed);
        self.missed.store(0, Ordering::Relaxed);
    }

    pub(crate) fn answers(&self) -> u64 {
        self.answers.load(Ordering::Relaxed)
    }

    /// Waits for the turn of a call that could not connect.
    pub(crate) async fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// Counts a failure to connect: how many there were since the last answer.
    pub(crate) fn missed(&self) -> u32 {
        self.missed.fetch_add(1, Ordering::Relaxed).saturating_add(1)
    }
}

/// Whether an answer of this status and code may be different next time.
pub(crate) fn is_transient(status: u16, code: &str) -> bool {
    matches!(status, 429 | 500 | 502 | 503 | 504) && code != "NotImplemented"
        || matches!(
            code,
            "RequestTimeout" | "SlowDown" | "InternalError" | "ServiceUnavailable" | "ThrottlingException"
        )
}

#[cfg(test)]
mod tests {
    use super::{Retries, Told, Tries, is_transient};
    use engine::entropy::SeededEntropy;
    use std::time::Duration;

    #[test]
    fn waits_double_stay_bounded_and_end() {
        let entropy = SeededEntropy::new(7);
        let retries = Retries { attempts_max: 40, ..Retries::default() };
        for failed in 1..40 {
            let wait = retries.wait(failed, &entropy).unwrap();
            let step = retries.first.saturating_mul(1 << (failed - 1).min(16));
            assert!(wait <= step.min(retries.longest), "attempt {failed} waits {wait:?}");
        }
        assert_eq!(retries.wait(40, &entropy), None);
        let spread: Vec<_> = (0..50).filter_map(|_| retries.wait(5, &entropy)).collect();
        assert!(spread.iter().any(|wait| *wait < Duration::from_millis(800)));
        assert!(spread.iter().any(|wait| *wait > Duration::from_millis(800)));
    }

    #[test]
    fn an_endpoint_that_has_answered_is_given_longer_and_one_attempt_stays_one() {
        let retries = Retries::default();
        assert_eq!(retries.attempts_to_connect(false), 5);
        assert_eq!(retries.attempts_to_connect(true), 8);
        let once = Retries { attempts_max: 1, ..retries };
        assert_eq!(once.attempts_to_connect(true), 1);
        let longest: Duration = (1..8).map(|failed| retries.first * (1 << (failed - 1))).sum();
        assert!(longest < Duration::from_secs(13), "{longest:?}");
    }

    #[test]
    fn a_call_that_takes_long_is_told_of_and_not_each_time() {
        let (told, of) = (Told::default(), Duration::from_millis);
        let tries = Tries::begin(of(5_000));
        assert!(!told.is_due(&tries, of(5_100), of(100)));
        assert!(told.is_due(&tries, of(5_100), of(900)), "it will be a second");
        assert!(!told.is_due(&tries, of(9_000), of(900)));
        assert!(!told.is_due(&Tries::begin(of(35_000)), of(35_099), Duration::ZERO));
        assert!(told.is_due(&tries, of(35_100), Duration::ZERO));
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        assert!(is_transient(503, "SlowDown"));
        assert!(is_transient(400, "RequestTimeout"));
        assert!(is_transient(200, "InternalError"));
        assert!(!is_transient(501, "NotImplemented"));
        assert!(!is_transient(404, "NoSuchKey"));
    }
}
