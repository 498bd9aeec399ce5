//! Legal holds, least ages, and the facts that policies ask about.

use engine::clock::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

/// A day; tests and `--debug-day` have shorter ones.
pub const DAY: Duration = Duration::from_hours(24);
const MAX_HOLDS: usize = 10;
const MAX_NAME_BYTES: usize = 128;

/// Whole days between an archive's creation and now, as `glacier:ArchiveAgeInDays` counts them. Before its creation it is 0.
pub fn age_in_days(created: Timestamp, now: Timestamp, day: Duration) -> u64 {
    let day_ms = day.as_millis().max(1);
    u64::try_from(now.since(created).as_millis() / day_ms).unwrap_or(u64::MAX)
}

/// What policies' conditions may ask about a vault, and about the archive in it that a request is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// How old the archive is ([`age_in_days`]); none where the request is about no archive, or about one that is not there.
    pub archive_days: Option<u64>,
    /// The vault's tags.
    pub tags: BTreeMap<String, String>,
}

impl Facts {
    /// Glacier's condition keys, in lower case, with their values: the seam to `security::policy`, which decides lock and access policies.
    pub fn condition_keys(&self) -> impl Iterator<Item = (String, String)> + '_ {
        let age = self.archive_days.map(|days| ("glacier:archiveageindays".to_owned(), days.to_string()));
        let of_tag = |(name, value): (&String, &String)| {
            (format!("glacier:resourcetag/{}", name.to_lowercase()), value.clone())
        };
        age.into_iter().chain(self.tags.iter().map(of_tag))
    }
}

/// The name of a legal hold: 1 to 128 characters of ASCII that can be printed, as a case number.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HoldName(String);

impl HoldName {
    /// Checked.
    pub fn new(name: &str) -> Result<Self, Kept> {
        let good = !name.is_empty()
            && name.len() <= MAX_NAME_BYTES
            && name.bytes().all(|byte| (0x21..=0x7E).contains(&byte));
        if good { Ok(Self(name.to_owned())) } else { Err(Kept::BadHold) }
    }

    /// As it is shown.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HoldName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A moment for people, in UTC.
fn date(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms)
        .map_or_else(|_| "the end of time".to_owned(), |at| at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string())
}

/// Why an archive is kept, or a hold not set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Kept {
    /// A legal hold lies on it.
    #[error("legal hold {hold} keeps it; release that hold first")]
    Held {
        /// The first of the holds.
        hold: HoldName,
    },
    /// It is too young.
    #[error(
        "it is {days} days old by the compliance clock, and is kept for {least}; it can be deleted from {} on",
        date(*until_ms)
    )]
    TooYoung {
        /// Its age.
        days: u64,
        /// What it must have.
        least: u64,
        /// When it will.
        until_ms: i64,
    },
    /// A least age of a locked vault that would become less.
    #[error("the vault is locked: its least age of {least_days} days can be raised, never lowered")]
    Lowered {
        /// What is in force.
        least_days: u64,
    },
    /// Too many holds.
    #[error("it has {MAX_HOLDS} legal holds already; release one first")]
    TooManyHolds,
    /// Not a hold's name.
    #[error("a legal hold's name is 1 to {MAX_NAME_BYTES} printable ASCII characters without blanks")]
    BadHold,
}

/// What firn itself keeps archives by: of a vault, and of single archives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Guard {
    /// No archive is deleted before it is so many days old.
    pub(super) least_days: u64,
    /// While there is one, nothing is deleted.
    pub(super) holds: BTreeSet<HoldName>,
}

impl Guard {
    /// Whether an archive may go now. It is asked of the vault's guard and of the archive's own; the holds come first, for those end
    /// by somebody's hand alone.
    pub fn judge_delete(&self, created: Timestamp, now: Timestamp, day: Duration) -> Result<(), Kept> {
        if let Some(hold) = self.holds.first() {
            return Err(Kept::Held { hold: hold.clone() });
        }
        let days = age_in_days(created, now, day);
        if days >= self.least_days {
            return Ok(());
        }
        let ms = u128::from(self.least_days).saturating_mul(day.as_millis());
        let until_ms = created.as_millis().saturating_add(i64::try_from(ms).unwrap_or(i64::MAX));
        Err(Kept::TooYoung { days, least: self.least_days, until_ms })
    }

    /// With another least age; of a locked vault never a lower one.
    pub fn with_least_days(mut self, least_days: u64, locked: bool) -> Result<Self, Kept> {
        if locked && least_days < self.least_days {
            return Err(Kept::Lowered { least_days: self.least_days });
        }
        self.least_days = least_days;
        Ok(self)
    }

    /// With one hold more; again is no change.
    pub fn hold(mut self, name: HoldName) -> Result<Self, Kept> {
        if self.holds.len() >= MAX_HOLDS && !self.holds.contains(&name) {
            return Err(Kept::TooManyHolds);
        }
        self.holds.insert(name);
        Ok(self)
    }

    /// Without a hold; one that is not there is no change.
    #[must_use]
    pub fn release(mut self, name: &HoldName) -> Self {
        self.holds.remove(name);
        self
    }

    /// The holds, in order.
    pub fn holds(&self) -> impl Iterator<Item = &HoldName> {
        self.holds.iter()
    }

    /// The least age.
    pub const fn least_days(&self) -> u64 {
        self.least_days
    }
}
