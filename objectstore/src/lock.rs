//! Object lock: what keeps a version from being removed, and who may change it. Pure decisions, no rows and no clock.
//!
//! ```text
//!                       removed by a delete     a later date     an earlier date, none, another mode
//!   GOVERNANCE          with the bypass         yes              with the bypass
//!   COMPLIANCE          by nobody               yes              by nobody
//!   a legal hold        by nobody               –                –      independent of both, turned off by its own right
//!   a date gone by      yes                     yes              yes
//! ```
//!
//! # Invariants
//! - A date is compared with the compliance clock alone ([`engine::clock::compliance`]): a wall clock that is set moves no lock.
//! - A date that can't protect anything any more is never taken for a new lock.
//! - What is not known is held: see [`ObjectLock::unknown_through`](crate::ObjectLock).

use crate::{Error, Result, Subresources};
use engine::clock::Timestamp;
use std::time::Duration;

/// A real day.
pub const DAY: Duration = Duration::from_hours(24);
/// Days of a default retention at the most, as in S3: a hundred years.
pub const DEFAULT_DAYS_MAX: u32 = 36_500;
/// Years of a default retention at the most, as in S3.
pub const DEFAULT_YEARS_MAX: u32 = 100;
/// Days of a year whose days are not real ones.
const DAYS_OF_YEAR: u32 = 365;

/// How firmly a retention holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LockMode {
    /// Whoever has the right to bypass it may remove or shorten it.
    Governance,
    /// Nobody may, the root included.
    Compliance,
}

impl LockMode {
    /// `GOVERNANCE` or `COMPLIANCE`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Governance => "GOVERNANCE",
            Self::Compliance => "COMPLIANCE",
        }
    }

    /// Reads what [`as_str`](Self::as_str) writes, and nothing else.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Governance, Self::Compliance].into_iter().find(|mode| mode.as_str() == text)
    }
}

/// Until when a version can't be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// How firmly.
    pub mode: LockMode,
    /// It holds before this time of the compliance clock. Stored and shown as it was given.
    pub until: Timestamp,
}

impl Retention {
    /// Whether it still holds.
    pub fn holds(&self, at: Timestamp) -> bool {
        at < self.until
    }
}

/// How long a bucket's default retention lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Period {
    /// Days: at least one, [`DEFAULT_DAYS_MAX`] at the most.
    Days(u32),
    /// Years: at least one, [`DEFAULT_YEARS_MAX`] at the most.
    Years(u32),
}

/// What a new version of a bucket gets when the request says nothing of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DefaultRetention {
    /// How firmly.
    pub mode: LockMode,
    /// For how long.
    pub period: Period,
}

impl DefaultRetention {
    /// Whether S3 takes it.
    pub(crate) fn check(self) -> Result<()> {
        let (count, max) = match self.period {
            Period::Days(days) => (days, DEFAULT_DAYS_MAX),
            Period::Years(years) => (years, DEFAULT_YEARS_MAX),
        };
        if (1..=max).contains(&count) { Ok(()) } else { Err(Error::InvalidRetentionPeriod) }
    }

    /// The retention of a version that is made at `now`, where a day lasts `day`. Years are the calendar's, unless days are
    /// not real ones.
    pub(crate) fn from(self, now: Timestamp, day: Duration) -> Retention {
        let until = match self.period {
            Period::Days(days) => now.plus(day.saturating_mul(days)),
            Period::Years(years) if day == DAY => years_later(now, years),
            Period::Years(years) => now.plus(day.saturating_mul(years.saturating_mul(DAYS_OF_YEAR))),
        };
        Retention { mode: self.mode, until }
    }
}

/// The same day of the calendar, so many years later. Beyond the calendar's end it is never.
fn years_later(now: Timestamp, years: u32) -> Timestamp {
    let later = jiff::Timestamp::from_millisecond(now.as_millis()).ok().and_then(|now| {
        let span = jiff::Span::new().try_years(years).ok()?;
        now.to_zoned(jiff::tz::TimeZone::UTC).checked_add(span).ok()
    });
    later.map_or(Timestamp::from_millis(i64::MAX), |later| {
        Timestamp::from_millis(later.timestamp().as_millisecond())
    })
}

/// What protects a version, and what may be done about it at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Guarded {
    pub(crate) retention: Option<Retention>,
    pub(crate) legal_hold: bool,
}

impl Guarded {
    /// Of what stands beside a version; one of unknown state is held.
    pub(crate) fn of(beside: &Subresources, unknown: bool) -> Self {
        Self { retention: beside.retention, legal_hold: beside.legal_hold.unwrap_or(unknown) }
    }

    /// Whether the version may be removed; `bypass` is the right to do so in spite of a governance retention.
    pub(crate) fn check_removal(self, at: Timestamp, bypass: bool) -> Result<()> {
        let held = self.retention.is_some_and(|retention| {
            retention.holds(at) && (retention.mode == LockMode::Compliance || !bypass)
        });
        if self.legal_hold || held { Err(Error::ObjectLocked) } else { Ok(()) }
    }
}

/// Whether a version's retention may become another one.
pub(crate) fn check_change(
    old: Option<Retention>,
    new: Option<Retention>,
    at: Timestamp,
    bypass: bool,
) -> Result<()> {
    let Some(old) = old.filter(|old| old.holds(at)) else { return Ok(()) };
    let extends = new.is_some_and(|new| new.mode == old.mode && new.until >= old.until);
    if extends || (bypass && old.mode == LockMode::Governance) { Ok(()) } else { Err(Error::ObjectLocked) }
}

#[cfg(test)]
mod tests {
    use super::{DEFAULT_DAYS_MAX, DefaultRetention, Guarded, LockMode, Period, Retention, check_change};
    use crate::Error;
    use engine::clock::Timestamp;
    use std::time::Duration;

    const fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    const fn until(mode: LockMode, ms: i64) -> Retention {
        Retention { mode, until: at(ms) }
    }

    const GOVERNANCE: LockMode = LockMode::Governance;
    const COMPLIANCE: LockMode = LockMode::Compliance;

    #[test]
    fn a_removal_is_decided_by_mode_hold_time_and_bypass() {
        // Retention until 10, legal hold, now, bypass: may go?
        for (retention, legal_hold, now, bypass, may) in [
            (None, false, 0, false, true),
            (None, true, 0, true, false),
            (Some(until(GOVERNANCE, 10)), false, 9, false, false),
            (Some(until(GOVERNANCE, 10)), false, 9, true, true),
            (Some(until(GOVERNANCE, 10)), false, 10, false, true),
            (Some(until(GOVERNANCE, 10)), true, 9, true, false),
            (Some(until(GOVERNANCE, 10)), true, 10, true, false),
            (Some(until(COMPLIANCE, 10)), false, 9, false, false),
            (Some(until(COMPLIANCE, 10)), false, 9, true, false),
            (Some(until(COMPLIANCE, 10)), false, 10, false, true),
            (Some(until(COMPLIANCE, 10)), true, 10, false, false),
        ] {
            let outcome = Guarded { retention, legal_hold }.check_removal(at(now), bypass);
            assert_eq!(outcome.is_ok(), may, "{retention:?} {legal_hold} at {now}, bypass {bypass}");
            assert!(may || matches!(outcome, Err(Error::ObjectLocked)));
        }
    }

    #[test]
    fn a_change_only_extends_unless_governance_is_bypassed() {
        // From (until 10), to, at 5: without bypass, with bypass.
        for (old, new, plain, bypassed) in [
            (None, Some(until(GOVERNANCE, 7)), true, true),
            (Some(until(GOVERNANCE, 10)), Some(until(GOVERNANCE, 10)), true, true),
            (Some(until(GOVERNANCE, 10)), Some(until(GOVERNANCE, 11)), true, true),
            (Some(until(GOVERNANCE, 10)), Some(until(GOVERNANCE, 9)), false, true),
            (Some(until(GOVERNANCE, 10)), Some(until(COMPLIANCE, 11)), false, true),
            (Some(until(GOVERNANCE, 10)), None, false, true),
            (Some(until(COMPLIANCE, 10)), Some(until(COMPLIANCE, 10)), true, true),
            (Some(until(COMPLIANCE, 10)), Some(until(COMPLIANCE, 11)), true, true),
            (Some(until(COMPLIANCE, 10)), Some(until(COMPLIANCE, 9)), false, false),
            (Some(until(COMPLIANCE, 10)), Some(until(GOVERNANCE, 11)), false, false),
            (Some(until(COMPLIANCE, 10)), None, false, false),
        ] {
            for (bypass, may) in [(false, plain), (true, bypassed)] {
                let outcome = check_change(old, new, at(5), bypass);
                assert_eq!(outcome.is_ok(), may, "{old:?} to {new:?}, bypass {bypass}");
                check_change(old, new, at(10), bypass).unwrap();
            }
        }
    }

    #[test]
    fn a_default_lasts_so_many_days_or_calendar_years() {
        let day = Duration::from_secs(10);
        let days = DefaultRetention { mode: GOVERNANCE, period: Period::Days(3) };
        assert_eq!(days.from(at(7), day), Retention { mode: GOVERNANCE, until: at(30_007) });
        let years = DefaultRetention { mode: COMPLIANCE, period: Period::Years(2) };
        // 1972 has a 29th of February; in a rehearsal a year is 365 of its days.
        assert_eq!(years.from(at(0), super::DAY).until, at(2 * 365 * 86_400_000));
        assert_eq!(years.from(at(365 * 86_400_000), super::DAY).until, at((3 * 365 + 1) * 86_400_000));
        assert_eq!(years.from(at(0), day).until, at(2 * 365 * 10_000));
        for (period, good) in [
            (Period::Days(0), false),
            (Period::Days(1), true),
            (Period::Days(DEFAULT_DAYS_MAX), true),
            (Period::Days(DEFAULT_DAYS_MAX + 1), false),
            (Period::Years(0), false),
            (Period::Years(100), true),
            (Period::Years(101), false),
        ] {
            let outcome = DefaultRetention { mode: GOVERNANCE, period }.check();
            assert_eq!(outcome.is_ok(), good, "{period:?}");
        }
    }
}
