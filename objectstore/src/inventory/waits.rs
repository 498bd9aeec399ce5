//! Which reports of an account that failed wait, and until when. Pure.
//!
//! ```text
//!   fails ─► One ─ beyond `max` waits of the account ─► Together: all of the bucket that have no wait of their own
//!   found ─► which ids of a bucket are due at all ─► those whose time has come; what is not due is forgotten
//! ```
//!
//! # Limits
//! Of an account `max` reports that each wait on their own, and two waits more of each bucket.

use super::Whose;
use crate::BucketName;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How long a report that failed waits, at first and at the most.
const BACK_OFF: (Duration, Duration) = (Duration::from_secs(30), Duration::from_hours(1));

/// When, in boot time, reports that failed are tried again, and how long they waited for it.
#[derive(Clone, Copy)]
struct Wait {
    at: Duration,
    waited: Duration,
}

/// Those of one account.
#[derive(Default)]
pub(super) struct Waits(BTreeMap<(BucketName, Whose), Wait>);

impl Waits {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// When the first of them is over.
    pub(super) fn first(&self) -> Option<Duration> {
        self.0.values().map(|wait| wait.at).min()
    }

    /// Buckets of which something is to be tried again by now.
    pub(super) fn over(&self, now: Duration) -> impl Iterator<Item = &BucketName> {
        self.0.iter().filter(move |(_, wait)| wait.at <= now).map(|((bucket, _), _)| bucket)
    }

    /// Makes them wait, twice as long as the last time. Answers whose wait it is: beyond `max` a report waits with others.
    pub(super) fn fails(&mut self, bucket: &BucketName, whose: Whose, now: Duration, max: usize) -> Whose {
        let mut name = (bucket.clone(), whose);
        let own = |(_, whose): &&(BucketName, Whose)| matches!(whose, Whose::One(_));
        let beyond = own(&&name) && !self.0.contains_key(&name) && self.0.keys().filter(own).count() >= max;
        if beyond {
            name.1 = Whose::Together;
        }
        let known = self.0.get(&name).copied();
        // Of those that wait together the first one to fail again says for how long.
        if !(beyond && known.is_some_and(|wait| wait.at > now)) {
            let waited = known.map_or(Duration::ZERO, |wait| wait.waited);
            let waited = (waited * 2).clamp(BACK_OFF.0, BACK_OFF.1);
            self.0.insert(name.clone(), Wait { at: now.saturating_add(waited), waited });
        }
        name.1
    }

    /// A report is made, or wanted no more.
    pub(super) fn well(&mut self, bucket: &BucketName, id: &str) {
        self.0.remove(&(bucket.clone(), Whose::One(id.to_owned())));
    }

    /// A bucket is gone.
    pub(super) fn forget(&mut self, bucket: &BucketName) {
        self.0.retain(|(of, _), _| of != bucket);
    }

    /// These reports of a bucket are due, and no others: those that have to wait no longer, in their order, and whose waits stay.
    pub(super) fn found(&mut self, bucket: &BucketName, due: &[String], now: Duration) -> Found {
        let is_due: BTreeSet<&str> = due.iter().map(String::as_str).collect();
        self.0.retain(|(of, whose), _| {
            of != bucket
                || match whose {
                    Whose::Unreadable => false,
                    Whose::Together => true,
                    Whose::One(id) => is_due.contains(id.as_str()),
                }
        });
        let own = |id: &String| self.0.get(&(bucket.clone(), Whose::One(id.clone())));
        let all = (bucket.clone(), Whose::Together);
        let together = self.0.get(&all).filter(|_| due.iter().any(|id| own(id).is_none())).copied();
        let is_over = |id: &&String| own(id).copied().or(together).is_none_or(|wait| wait.at <= now);
        let ready = due.iter().filter(is_over).cloned().collect();
        if together.is_none() {
            self.0.remove(&all);
        }
        Found { ready, together: together.is_some() }
    }
}

/// What there is to do for a bucket.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// Ids of reports that are to be made now.
    pub(super) ready: Vec<String>,
    /// Some wait together.
    pub(super) together: bool,
}

#[cfg(test)]
mod tests {
    use super::{Found, Waits, Whose};
    use crate::world::bucket;
    use std::time::Duration;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn one(id: &str) -> Whose {
        Whose::One(id.to_owned())
    }

    fn ids(ids: &[&str]) -> Vec<String> {
        ids.iter().map(|id| (*id).to_owned()).collect()
    }

    fn found(ready: &[&str], together: bool) -> Found {
        Found { ready: ids(ready), together }
    }

    #[test]
    fn a_report_waits_twice_as_long_each_time_and_an_hour_at_the_most() {
        let (mut waits, b) = (Waits::default(), bucket("bkt"));
        let mut now = s(5);
        for waited in [30, 60, 120, 240, 480, 960, 1_920, 3_600, 3_600] {
            assert_eq!(waits.fails(&b, one("i"), now, 1), one("i"));
            assert_eq!(waits.first(), Some(now + s(waited)));
            assert_eq!(waits.over(now + s(waited - 1)).count(), 0);
            assert_eq!(waits.found(&b, &ids(&["i"]), now + s(waited - 1)), found(&[], false));
            now += s(waited);
            assert_eq!(waits.over(now).collect::<Vec<_>>(), [&b]);
            assert_eq!(waits.found(&b, &ids(&["i"]), now), found(&["i"], false));
        }
        waits.well(&b, "i");
        assert!(waits.is_empty());
        waits.fails(&b, one("i"), now, 1);
        assert_eq!(waits.first(), Some(now + s(30)), "it is a new trouble");
    }

    #[test]
    fn a_bucket_that_could_not_be_read_leaves_nothing_behind_when_it_can() {
        let (mut waits, b) = (Waits::default(), bucket("bkt"));
        assert_eq!(waits.fails(&b, one("*"), s(0), 1), one("*"), "no id means anything but itself");
        assert_eq!(waits.fails(&b, one("i"), s(0), 1), Whose::Together);
        assert_eq!(
            waits.fails(&b, Whose::Unreadable, s(10), 1),
            Whose::Unreadable,
            "it takes nobody's place"
        );
        // What waits for itself, or together, waits on.
        assert_eq!(waits.found(&b, &ids(&["*", "i"]), s(29)), found(&[], true));
        assert_eq!(waits.first(), Some(s(30)));
        assert_eq!(waits.found(&b, &ids(&["*", "i"]), s(30)), found(&["*", "i"], true));
        waits.fails(&b, Whose::Unreadable, s(30), 1);
        assert_eq!(waits.found(&b, &[], s(30)), found(&[], false));
        assert!(waits.is_empty());
    }

    #[test]
    fn those_that_wait_together_do_so_by_the_first_of_them_and_by_their_bucket() {
        let (mut waits, b, other) = (Waits::default(), bucket("bkt"), bucket("other"));
        waits.fails(&b, one("i0"), s(0), 1);
        for (at, id) in [(1, "i1"), (2, "i2")] {
            assert_eq!(waits.fails(&b, one(id), s(at), 1), Whose::Together);
        }
        assert_eq!(waits.fails(&other, one("i0"), s(3), 1), Whose::Together, "another bucket's");
        let due = ids(&["i0", "i1", "i2"]);
        assert_eq!(waits.found(&b, &due, s(30)), found(&["i0"], true));
        assert_eq!(waits.found(&b, &due, s(31)), found(&["i0", "i1", "i2"], true));
        assert_eq!(waits.found(&other, &ids(&["i0"]), s(32)), found(&[], true));
        // The first to fail again doubles it, for all.
        for (at, id) in [(40, "i1"), (50, "i2")] {
            waits.fails(&b, one(id), s(at), 1);
        }
        assert_eq!(waits.found(&b, &due, s(99)), found(&["i0"], true));
        assert_eq!(waits.found(&b, &due, s(100)), found(&["i0", "i1", "i2"], true));
        // Who has a wait of its own is not one of them.
        assert_eq!(waits.found(&b, &ids(&["i0"]), s(100)), found(&["i0"], false));
        waits.forget(&b);
        assert_eq!(waits.over(s(1_000)).collect::<Vec<_>>(), [&other]);
    }
}
