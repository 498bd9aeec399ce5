//! Slows down who guesses: passwords and codes, by whom they are tried for and where from.
//!
//! A try is counted when it begins and taken back when it was right, so that many at once are not one. So many are free; each further one
//! makes the next wait twice as long, up to [`WAIT_MAX`]. An hour without one forgets all.
//!
//! # Limits
//! What is counted for are buckets, which names are spread over by a keyed hash: memory does not grow with what is tried, and who shares a
//! bucket waits with the other. Nothing is kept over a restart.

use aws_lc_rs::hmac;
use engine::entropy::Entropy;
use parking_lot::Mutex;
use std::time::Duration;

/// The longest wait.
const WAIT_MAX: Duration = Duration::from_mins(15);
/// When all is forgotten.
const FORGOTTEN_AFTER: Duration = Duration::from_hours(1);

/// What is counted for: bytes that name it, of which kind they are, and how many tries are free.
pub(super) struct Counted {
    pub(super) name: Vec<u8>,
    pub(super) kind: usize,
    pub(super) free: u32,
}

#[derive(Clone, Copy, Default)]
struct Bucket {
    tries: u32,
    /// Boot time of the last try, and when there may be the next.
    last: Duration,
    next: Duration,
}

impl Bucket {
    fn wait(&mut self, free: u32) {
        let over = self.tries.saturating_sub(free);
        let wait = match over {
            0 => Duration::ZERO,
            over => Duration::from_secs(1 << (over - 1).min(16)).min(WAIT_MAX),
        };
        self.next = self.last.saturating_add(wait);
    }
}

/// Tries that were begun lately.
pub(super) struct Throttle {
    key: hmac::Key,
    /// Kinds of names. Each has buckets of its own: of those with many free tries none shares one with those that have few.
    kinds: usize,
    buckets: Mutex<Box<[Bucket]>>,
}

/// A try under way. It has failed unless it is [taken back](Self::taken_back).
#[must_use]
pub(super) struct Try<'a> {
    throttle: &'a Throttle,
    counted: Vec<(usize, u32)>,
}

impl Throttle {
    /// Of so many kinds of names, over so many buckets in all.
    pub(super) fn new((kinds, buckets): (usize, usize), entropy: &dyn Entropy) -> Self {
        let mut key = [0; 32];
        entropy.fill(&mut key);
        let buckets = Mutex::new(vec![Bucket::default(); buckets.max(kinds)].into());
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, &key), kinds, buckets }
    }

    fn place(&self, counted: &Counted, count: usize) -> usize {
        let tag = hmac::sign(&self.key, &counted.name);
        let first = tag.as_ref().first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        let of_kind = count / self.kinds;
        counted.kind.min(self.kinds - 1) * of_kind
            + usize::try_from(first % of_kind as u64).unwrap_or_default()
    }

    /// Begins a try at this boot time; how long to wait where there were too many.
    pub(super) fn begin(&self, counted: &[Counted], now: Duration) -> Result<Try<'_>, Duration> {
        let mut buckets = self.buckets.lock();
        let count = buckets.len();
        let places: Vec<_> = counted.iter().map(|one| (self.place(one, count), one.free)).collect();
        let mut wait = Duration::ZERO;
        for (place, _) in &places {
            let bucket = &mut buckets[*place];
            if now.saturating_sub(bucket.last) > FORGOTTEN_AFTER {
                *bucket = Bucket::default();
            }
            wait = wait.max(bucket.next.saturating_sub(now));
        }
        if wait > Duration::ZERO {
            return Err(wait);
        }
        for (place, free) in &places {
            let bucket = &mut buckets[*place];
            bucket.tries = bucket.tries.saturating_add(1);
            bucket.last = now;
            bucket.wait(*free);
        }
        drop(buckets);
        Ok(Try { throttle: self, counted: places })
    }
}

impl Try<'_> {
    /// It was right, or nobody can say whether it was: it is none that failed. Others that did are not forgotten.
    pub(super) fn taken_back(self) {
        let mut buckets = self.throttle.buckets.lock();
        for (place, free) in self.counted {
            let bucket = &mut buckets[place];
            bucket.tries = bucket.tries.saturating_sub(1);
            bucket.wait(free);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Counted, Throttle};
    use engine::entropy::SeededEntropy;
    use std::time::Duration;

    fn of(name: &str, free: u32) -> Counted {
        let kind = usize::from(name == "net");
        Counted { name: name.as_bytes().to_vec(), kind, free }
    }

    #[test]
    fn names_of_one_kind_share_no_bucket_with_those_of_another() {
        let throttle = Throttle::new((2, 1), &SeededEntropy::new(1));
        let now = Duration::from_secs(9);
        for _ in 0..40 {
            drop(throttle.begin(&[of("net", 50)], now).ok().unwrap());
        }
        throttle.begin(&[of("a", 5)], now).ok().unwrap().taken_back();
    }

    #[test]
    fn tries_are_slowed_down_by_whom_they_are_for_and_forgotten_in_an_hour() {
        let throttle = Throttle::new((2, 4096), &SeededEntropy::new(1));
        let secs = Duration::from_secs;
        let now = secs(1_000);
        let fails = |name: &str, now| drop(throttle.begin(&[of(name, 5)], now).ok().unwrap());
        let waits = |name: &str, now| throttle.begin(&[of(name, 5)], now).err().unwrap_or_default();
        for _ in 0..6 {
            fails("a", now);
        }
        assert_eq!(waits("a", now), secs(1));
        fails("b", now);
        fails("a", now + secs(1));
        assert_eq!(waits("a", now + secs(1)), secs(2), "twice as long");
        let mut later = now;
        for _ in 0..20 {
            later += waits("a", later);
            fails("a", later);
        }
        assert_eq!(waits("a", later), secs(900), "and no longer than that");
        fails("a", later + secs(3_601));
        assert_eq!(waits("a", later + secs(3_601)), Duration::ZERO);
    }

    #[test]
    fn who_is_right_is_not_counted_and_forgets_nobodys_failures() {
        let throttle = Throttle::new((2, 4096), &SeededEntropy::new(1));
        let now = Duration::from_secs(1_000);
        for _ in 0..100 {
            throttle.begin(&[of("a", 5)], now).ok().unwrap().taken_back();
        }
        for _ in 0..6 {
            drop(throttle.begin(&[of("a", 5), of("net", 50)], now).ok().unwrap());
        }
        assert!(throttle.begin(&[of("a", 5)], now).is_err());
        // Where one of several waits, none is counted.
        for _ in 0..100 {
            assert!(throttle.begin(&[of("a", 5), of("net", 50)], now).is_err());
        }
        let later = now + Duration::from_secs(2);
        throttle.begin(&[of("a", 5), of("net", 50)], later).ok().unwrap().taken_back();
        assert!(throttle.begin(&[of("a", 5)], later).is_err(), "six have failed: a second between tries");
        let later = later + Duration::from_secs(1);
        drop(throttle.begin(&[of("a", 5)], later).ok().unwrap());
        assert_eq!(throttle.begin(&[of("a", 5)], later).err(), Some(Duration::from_secs(2)), "seven");
    }

    #[test]
    fn many_at_once_are_counted_as_they_begin() {
        let throttle = Throttle::new((2, 64), &SeededEntropy::new(1));
        let begun: Vec<_> =
            (0..1_000).map(|_| throttle.begin(&[of("a", 5)], Duration::from_secs(9))).collect();
        assert_eq!(begun.iter().filter(|outcome| outcome.is_ok()).count(), 6);
    }
}
