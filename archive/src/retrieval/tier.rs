//! How soon: tiers, and AWS's timetable.

use super::Refused;
use engine::clock::Timestamp;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// How soon an archive is wanted. The later, the larger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// Within minutes: pre-empts.
    Expedited,
    /// Within hours.
    Standard,
    /// When it is cheapest, within a day or two.
    Bulk,
}

impl Tier {
    /// All, fastest first.
    pub const ALL: [Self; 3] = [Self::Expedited, Self::Standard, Self::Bulk];

    /// As AWS writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Expedited => "Expedited",
            Self::Standard => "Standard",
            Self::Bulk => "Bulk",
        }
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Tier {
    type Err = Refused;

    fn from_str(text: &str) -> Result<Self, Refused> {
        Self::ALL
            .into_iter()
            .find(|tier| tier.name() == text)
            .ok_or_else(|| Refused::Invalid(format!("tier {text:?} is none of Expedited, Standard and Bulk")))
    }
}

/// How deep an archive lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Depth {
    /// GLACIER, and vaults.
    Flexible,
    /// `DEEP_ARCHIVE`: it has no expedited tier.
    Deep,
}

/// From when to when, counted from the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// A vault that keeps the timetable has nothing ready before.
    pub earliest: Duration,
    /// The deadline.
    pub latest: Duration,
}

const MINUTE: u64 = 60;
const HOUR: u64 = 3600;

/// When what is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timetable {
    /// Whether results are held back until a window opens. Deadlines count either way.
    pub kept: bool,
    /// How long a day is: shorter in tests and with `--debug-day`, and all windows with it.
    pub day: Duration,
}

impl Default for Timetable {
    fn default() -> Self {
        Self { kept: false, day: Duration::from_hours(24) }
    }
}

impl Timetable {
    /// AWS's: 1–5 min, 3–5 h, 5–12 h; deep 12 h and 48 h. None for what there is not.
    pub fn window(&self, depth: Depth, tier: Tier) -> Option<Window> {
        let (earliest, latest) = match (depth, tier) {
            (Depth::Flexible, Tier::Expedited) => (MINUTE, 5 * MINUTE),
            (Depth::Flexible, Tier::Standard) => (3 * HOUR, 5 * HOUR),
            (Depth::Flexible, Tier::Bulk) => (5 * HOUR, 12 * HOUR),
            (Depth::Deep, Tier::Expedited) => return None,
            (Depth::Deep, Tier::Standard) => (12 * HOUR, 12 * HOUR),
            (Depth::Deep, Tier::Bulk) => (48 * HOUR, 48 * HOUR),
        };
        Some(Window { earliest: self.scaled(earliest), latest: self.scaled(latest) })
    }

    /// The deadline of a request made at `now`.
    pub fn deadline(&self, depth: Depth, tier: Tier, now: Timestamp) -> Result<Timestamp, Refused> {
        self.window(depth, tier).map(|window| now.plus(window.latest)).ok_or_else(no_expedited)
    }

    /// Before when the result of a request made at `now` is not given out.
    pub fn not_before(&self, depth: Depth, tier: Tier, now: Timestamp) -> Result<Timestamp, Refused> {
        let window = self.window(depth, tier).ok_or_else(no_expedited)?;
        Ok(if self.kept { now.plus(window.earliest) } else { now })
    }

    fn scaled(&self, secs: u64) -> Duration {
        let ms = u128::from(secs) * self.day.as_millis() / u128::from(24 * HOUR);
        Duration::from_millis(u64::try_from(ms).unwrap_or(u64::MAX))
    }
}

fn no_expedited() -> Refused {
    Refused::Invalid("DEEP_ARCHIVE has no expedited retrieval: ask for Standard or Bulk".into())
}
