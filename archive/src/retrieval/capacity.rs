//! Expedited capacity: how many such jobs the drives can do, and the units that reserve a share of that.
//!
//! The drives of all stations together can do so many expedited retrievals in five minutes ([`Scheduler::expedited_in`]). A provisioned unit
//! keeps three of them for its account for a month, as AWS's does; what is not kept is for anybody. So a unit is a share of the drives'
//! time, and where none is left no unit is sold.
//!
//! [`Scheduler::expedited_in`]: super::Scheduler::expedited_in

use super::Refused;
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
    /// Until when: the same time of the next month.
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

    /// Another unit, from now on.
    pub fn purchase(&mut self, id: UnitId, account: AccountId, now: Timestamp) -> Result<Unit, Refused> {
        self.units.retain(|unit| now < unit.end);
        let limit = |limit| Refused::LimitExceeded { what: "provisioned capacity units", limit };
        if self.units(account, now).count() as u64 >= MAX_UNITS {
            return Err(limit(MAX_UNITS));
        }
        if (self.units.len() as u64 + 1) * JOBS_PER_UNIT > self.per_window {
            return Err(limit(self.per_window / JOBS_PER_UNIT));
        }
        let unit = Unit { id, account, start: now, end: a_month_after(now) };
        self.units.push(unit.clone());
        Ok(unit)
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

fn a_month_after(now: Timestamp) -> Timestamp {
    let later = jiff::Timestamp::from_millisecond(now.as_millis()).ok().and_then(|at| {
        let at = jiff::tz::Offset::UTC.to_datetime(at);
        at.checked_add(jiff::Span::new().months(1)).ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok()
    });
    later.map_or(now.plus(Duration::from_hours(30 * 24)), |at| {
        Timestamp::from_millis(at.timestamp().as_millisecond())
    })
}
