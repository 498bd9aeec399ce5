//! Expedited capacity: how many such jobs the drives can do, and the units that reserve a share of that.
//!
//! The drives of all stations together can do so many expedited retrievals in five minutes ([`Scheduler::expedited_in`]). A provisioned unit
//! keeps three of them for its account for a month, as AWS's does; what is not kept is for anybody. So a unit is a share of the drives'
//! time, and where none is left no unit is sold.
//!
//! [`Scheduler::expedited_in`]: super::Scheduler::expedited_in

use super::Refused;
use crate::lock::DAY;
use engine::clock::Timestamp;
use engine::id_type;
use security::AccountId;
use std::collections::VecDeque;
use std::time::Duration;

/// Expedited retrievals that a unit keeps for its account in each window.
pub const JOBS_PER_UNIT: u64 = 3;
/// The window.
pub const UNIT_WINDOW: Duration = Duration::from_mins(5);
/// Units that an account may have at a time.
pub const MAX_UNITS: u64 = 2;

id_type! {
    /// A unit's id.
    pub struct UnitId(pub [u8; 16]), "capacity unit"
}

/// A unit of provisioned capacity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// Its id.
    pub id: UnitId,
    /// Whose it is.
    pub account: AccountId,
    /// From when it counts.
    pub start: Timestamp,
    /// Until when: the same time of the next month, whose last day it is where that has no such day.
    pub end: Timestamp,
}

impl Unit {
    fn counts(&self, now: Timestamp) -> bool {
        self.start <= now && now < self.end
    }
}

/// By what an expedited job was admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// By its account's units.
    Provisioned,
    /// By what nobody has reserved.
    OnDemand,
}

/// All units, and the expedited jobs of the last window.
#[derive(Clone, Debug)]
pub struct Capacity {
    per_window: u64,
    units: Vec<Unit>,
    lately: VecDeque<(Timestamp, AccountId, Admission)>,
}

impl Capacity {
    /// Of drives that can do so many expedited jobs in five minutes.
    pub fn new(per_window: u64, units: Vec<Unit>) -> Self {
        Self { per_window, units, lately: VecDeque::new() }
    }

    /// Drives came or went. Units that were sold stay.
    pub fn set_per_window(&mut self, per_window: u64) {
        self.per_window = per_window;
    }

    /// The units of an account that count now.
    pub fn units(&self, account: AccountId, now: Timestamp) -> impl Iterator<Item = &Unit> {
        self.units.iter().filter(move |unit| unit.account == account && unit.counts(now))
    }

    /// Another unit, from now on, if there may be one. It counts once it is [added](Self::add). `day`: how long a day is.
    pub fn offer(
        &self,
        id: UnitId,
        account: AccountId,
        (now, day): (Timestamp, Duration),
    ) -> Result<Unit, Refused> {
        let limit = |limit| Refused::LimitExceeded { what: "provisioned capacity units", limit };
        if self.units(account, now).count() as u64 >= MAX_UNITS {
            return Err(limit(MAX_UNITS));
        }
        let active = self.units.iter().filter(|unit| now < unit.end).count() as u64;
        if (active + 1) * JOBS_PER_UNIT > self.per_window {
            return Err(limit(self.per_window / JOBS_PER_UNIT));
        }
        Ok(Unit { id, account, start: now, end: a_month_after(now, day) })
    }

    /// A unit that was bought; what has ended by then is forgotten.
    pub fn add(&mut self, unit: Unit, now: Timestamp) {
        self.units.retain(|unit| now < unit.end);
        self.units.push(unit);
    }

    /// Whether an expedited job may begin now; if so it is counted.
    pub fn admit(&mut self, account: AccountId, now: Timestamp) -> Result<Admission, Refused> {
        while self.lately.front().is_some_and(|(at, ..)| now >= at.plus(UNIT_WINDOW)) {
            self.lately.pop_front();
        }
        let used = |mine: Option<AccountId>, kind| {
            let same = |(_, by, how): &&(Timestamp, AccountId, Admission)| {
                *how == kind && mine.is_none_or(|mine| *by == mine)
            };
            self.lately.iter().filter(same).count() as u64
        };
        let active = self.units.iter().filter(|unit| unit.counts(now)).count() as u64;
        let own = self.units(account, now).count() as u64 * JOBS_PER_UNIT;
        let open = self.per_window.saturating_sub(active * JOBS_PER_UNIT);
        let admission = if used(Some(account), Admission::Provisioned) < own {
            Admission::Provisioned
        } else if used(None, Admission::OnDemand) < open {
            Admission::OnDemand
        } else {
            return Err(Refused::InsufficientCapacity);
        };
        self.lately.push_back((now, account, admission));
        Ok(admission)
    }

    /// A job that was admitted last did not begin after all (its quote was too late, or the row was not written).
    pub fn give_back(&mut self, account: AccountId, admission: Admission) {
        let last = self.lately.iter().rposition(|(_, by, how)| *by == account && *how == admission);
        if let Some(at) = last {
            self.lately.remove(at);
        }
    }
}

/// The same day and time of the next month, or its last day where it has no such day. Where days are shorter, so is the month.
fn a_month_after(now: Timestamp, day: Duration) -> Timestamp {
    let later = jiff::Timestamp::from_millisecond(now.as_millis()).ok().and_then(|at| {
        let at = jiff::tz::Offset::UTC.to_datetime(at);
        at.checked_add(jiff::Span::new().months(1)).ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok()
    });
    let month =
        later.map_or(DAY * 30, |at| Timestamp::from_millis(at.timestamp().as_millisecond()).since(now));
    let ms = month.as_millis().saturating_mul(day.as_millis()) / DAY.as_millis();
    now.plus(Duration::from_millis(u64::try_from(ms).unwrap_or(u64::MAX)))
}
