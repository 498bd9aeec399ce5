//! When days end: at midnights of UTC or, where days are shorter than real ones, at their multiples since the epoch.

use engine::clock::Timestamp;
use std::time::Duration;

/// 9999-01-01, later than which nothing is due: dates are written with four digits of a year.
const FAR_MS: i64 = 253_370_764_800_000;

/// How long a day lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Calendar {
    day_ms: i64,
}

impl Calendar {
    pub(crate) fn new(day: Duration) -> Self {
        Self { day_ms: i64::try_from(day.as_millis()).unwrap_or(i64::MAX).max(1) }
    }

    /// The midnight at or before a moment.
    pub(crate) fn midnight_before(self, at: Timestamp) -> Timestamp {
        let at = at.as_millis();
        Timestamp::from_millis(at.saturating_sub(at.rem_euclid(self.day_ms)))
    }

    /// The first midnight after a moment.
    pub(crate) fn midnight_after(self, at: Timestamp) -> Timestamp {
        let before = self.midnight_before(at).as_millis();
        Timestamp::from_millis(before.saturating_add(self.day_ms).min(FAR_MS))
    }

    /// Whole days from one moment to another.
    pub(crate) fn days_between(self, from: Timestamp, to: Timestamp) -> u32 {
        let span = to.as_millis().saturating_sub(from.as_millis()).max(0);
        u32::try_from(span / self.day_ms).unwrap_or(u32::MAX)
    }

    /// So many days after a moment, and then the next midnight, as S3 rounds.
    pub(crate) fn days_after(self, at: Timestamp, days: u32) -> Timestamp {
        let span = self.day_ms.saturating_mul(days.into());
        self.midnight_after(Timestamp::from_millis(at.as_millis().saturating_add(span)))
    }
}

#[cfg(test)]
mod tests {
    use super::Calendar;
    use crate::DAY;
    use engine::clock::Timestamp;
    use std::time::Duration;

    /// The example of S3's user guide among them: 2014-01-15T10:30Z and three days is 2014-01-19T00:00Z.
    #[test]
    fn days_end_at_the_next_midnight() {
        let at =
            |text: &str| Timestamp::from_millis(text.parse::<jiff::Timestamp>().unwrap().as_millisecond());
        let real = Calendar::new(DAY);
        for (from, days, expected) in [
            ("2014-01-15T10:30:00Z", 3, "2014-01-19T00:00:00Z"),
            ("2014-01-15T00:00:00Z", 3, "2014-01-19T00:00:00Z"),
            ("2014-01-14T23:59:59.999Z", 3, "2014-01-18T00:00:00Z"),
            ("2024-02-28T12:00:00Z", 1, "2024-03-01T00:00:00Z"),
        ] {
            assert_eq!(real.days_after(at(from), days), at(expected), "{from} + {days}");
        }
        assert_eq!(real.midnight_before(at("2014-01-15T00:00:00Z")), at("2014-01-15T00:00:00Z"));
        let short = Calendar::new(Duration::from_secs(10));
        let ms = Timestamp::from_millis;
        assert_eq!(short.days_after(ms(12_345), 2), ms(40_000));
        assert_eq!(short.midnight_after(ms(10_000)), ms(20_000));
        assert_eq!(short.midnight_before(ms(-1)), ms(-10_000));
        let between = |from: &str, to: &str| real.days_between(at(from), at(to));
        assert_eq!(between("2024-02-28T12:00:00Z", "2024-03-01T11:59:59.999Z"), 1);
        assert_eq!(between("2024-02-28T12:00:00Z", "2024-03-01T12:00:00Z"), 2);
        assert_eq!(between("2024-03-01T12:00:00Z", "2024-02-28T12:00:00Z"), 0);
        assert_eq!(
            (short.days_between(ms(5), ms(20_004)), short.days_between(ms(i64::MIN), ms(i64::MAX))),
            (1, u32::MAX)
        );
        // "Never", as a number of days.
        let never = at("9999-01-01T00:00:00Z");
        assert_eq!(real.days_after(at("2014-01-15T00:00:00Z"), i32::MAX as u32), never);
        assert_eq!(real.days_after(ms(i64::MAX), u32::MAX), never);
    }
}
