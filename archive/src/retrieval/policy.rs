//! Glacier's data retrieval policy: a ceiling over what an account retrieves. It bounds Standard retrievals alone, as AWS's does.

use super::{Refused, Tier};
use engine::clock::Timestamp;
use engine::unit::ByteCount;
use std::collections::VecDeque;

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
/// What `FreeTier` lets an account retrieve in a day unless it is configured otherwise: a thirtieth of the 10 GiB that a month has.
pub const FREE_PER_DAY: ByteCount = ByteCount::new((10 << 30) / 30);
/// The hour is looked at in pieces of a minute.
const PIECE_MS: i64 = 60_000;

/// The strategy of the policy's one rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RetrievalPolicy {
    /// `None`: no ceiling.
    #[default]
    Unlimited,
    /// `FreeTier`: what a day has for nothing, by UTC.
    FreeTier {
        /// How much that is; from outside, as prices are.
        per_day: ByteCount,
    },
    /// `BytesPerHour`.
    BytesPerHour(ByteCount),
}

/// Not a policy: Glacier's `InvalidParameterValueException`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPolicy {
    /// Another number of rules than one.
    #[error("a data retrieval policy has one rule, not {0}")]
    Rules(usize),
    /// A strategy that there is not.
    #[error("strategy {0:?} is none of BytesPerHour, FreeTier and None")]
    Strategy(String),
    /// `BytesPerHour` without its number.
    #[error("strategy BytesPerHour needs BytesPerHour, 1 or more")]
    NoBytes,
    /// The number without the strategy.
    #[error("BytesPerHour goes with strategy BytesPerHour alone")]
    SpareBytes,
}

impl RetrievalPolicy {
    /// From the rules of `SetDataRetrievalPolicy`, each a strategy and a number.
    pub fn parse(rules: &[(&str, Option<i64>)], free_per_day: ByteCount) -> Result<Self, BadPolicy> {
        let [(strategy, bytes)] = rules else { return Err(BadPolicy::Rules(rules.len())) };
        match (*strategy, bytes) {
            ("None", None) => Ok(Self::Unlimited),
            ("FreeTier", None) => Ok(Self::FreeTier { per_day: free_per_day }),
            ("None" | "FreeTier", Some(_)) => Err(BadPolicy::SpareBytes),
            ("BytesPerHour", bytes) => {
                let bytes = bytes.and_then(|bytes| u64::try_from(bytes).ok()).filter(|bytes| *bytes > 0);
                bytes.map(|bytes| Self::BytesPerHour(ByteCount::new(bytes))).ok_or(BadPolicy::NoBytes)
            }
            (other, _) => Err(BadPolicy::Strategy(other.to_owned())),
        }
    }

    /// `Strategy`
    pub const fn strategy(&self) -> &'static str {
        match self {
            Self::Unlimited => "None",
            Self::FreeTier { .. } => "FreeTier",
            Self::BytesPerHour(_) => "BytesPerHour",
        }
    }
}

/// What an account has asked for lately: at most a number for each of 60 minutes, and one for the day. After a restart it is noted again from
/// the jobs of the last day, in the order of their creation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    minutes: VecDeque<(i64, u64)>,
    day: i64,
    today: u64,
}

impl Usage {
    /// Whether a job may begin. An accepted one is to be [noted](Self::note).
    pub fn admit(
        &self,
        policy: RetrievalPolicy,
        tier: Tier,
        bytes: ByteCount,
        now: Timestamp,
    ) -> Result<(), Refused> {
        if tier != Tier::Standard {
            return Ok(());
        }
        let (ceiling, used) = match policy {
            RetrievalPolicy::Unlimited => return Ok(()),
            RetrievalPolicy::FreeTier { per_day } => (per_day, self.of_the_day(now)),
            RetrievalPolicy::BytesPerHour(per_hour) => (per_hour, self.of_the_hour(now)),
        };
        let left_bytes = ceiling.get().saturating_sub(used);
        if bytes.get() <= left_bytes { Ok(()) } else { Err(Refused::PolicyEnforced { left_bytes }) }
    }

    /// A job was accepted.
    pub fn note(&mut self, tier: Tier, bytes: ByteCount, at: Timestamp) {
        if tier != Tier::Standard {
            return;
        }
        let ms = at.as_millis();
        let (minute, day) = (ms.div_euclid(PIECE_MS), ms.div_euclid(DAY_MS));
        match self.minutes.back_mut() {
            // Also where the clock was set back: no minute comes twice.
            Some((last, sum)) if minute <= *last => *sum = sum.saturating_add(bytes.get()),
            _ => self.minutes.push_back((minute, bytes.get())),
        }
        while self.minutes.front().is_some_and(|(first, _)| !Self::within_the_hour(*first, ms)) {
            self.minutes.pop_front();
        }
        if day > self.day {
            (self.day, self.today) = (day, 0);
        }
        self.today = self.today.saturating_add(bytes.get());
    }

    fn of_the_hour(&self, now: Timestamp) -> u64 {
        let lately =
            self.minutes.iter().filter(|(minute, _)| Self::within_the_hour(*minute, now.as_millis()));
        lately.map(|(_, bytes)| *bytes).fold(0, u64::saturating_add)
    }

    fn of_the_day(&self, now: Timestamp) -> u64 {
        if now.as_millis().div_euclid(DAY_MS) > self.day { 0 } else { self.today }
    }

    /// A minute counts until an hour after its end: rather a minute too long than one too short.
    fn within_the_hour(minute: i64, now_ms: i64) -> bool {
        now_ms < (minute + 1) * PIECE_MS + HOUR_MS
    }
}
