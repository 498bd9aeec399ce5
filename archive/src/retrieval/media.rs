//! Media, and what it costs to get at them.
//!
//! A *station* is a set of drives and the media that go into them: a library with four drives and a hundred tapes, a bay for disks from the shelf,
//! the spun-down disks of which so many may spin at a time (each spinning one is in a *drive*), one disk that is always there, or a
//! remote store. What differs is cost, so that one scheduler serves them all.

use super::Refused;
use engine::id_type;
use engine::unit::ByteCount;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

id_type! {
    /// A medium's id, as its packs say it.
    pub struct MediumId(pub [u8; 16]), "medium"
}

/// Which station.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StationId(pub u16);

/// Which drive of which station.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DriveId {
    /// The station.
    pub station: StationId,
    /// Counted from 0.
    pub number: u16,
}

const MAX_LABEL_BYTES: usize = 64;

/// What stands on a medium, for who is to bring it: 1 to 64 printable characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label(String);

impl Label {
    /// As it is shown.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for Label {
    type Err = Refused;

    fn from_str(text: &str) -> Result<Self, Refused> {
        let good = (1..=MAX_LABEL_BYTES).contains(&text.len()) && !text.chars().any(char::is_control);
        if good {
            Ok(Self(text.to_owned()))
        } else {
            Err(Refused::Invalid(format!(
                "a medium's label has 1 to {MAX_LABEL_BYTES} bytes of printable text"
            )))
        }
    }
}

/// What a medium is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MediumKind {
    /// A disk that spins.
    Disk,
    /// A disk that spins up for a batch and down again.
    SpunDown,
    /// A removable disk that may not be here.
    Shelf,
    /// The cheap class of a cloud.
    Remote,
    /// A tape of a library.
    Tape,
}

/// What getting at a medium costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Costs {
    /// From the decision to the first seek: fetch, thread, spin up.
    pub mount: Duration,
    /// Until the drive is empty: rewind, put away, spin down.
    pub unmount: Duration,
    /// Each seek.
    pub seek_base: Duration,
    /// A seek from one end to the other, in addition; shorter ones are in proportion.
    pub seek_full: Duration,
    /// How fast it reads.
    pub read_per_second: ByteCount,
    /// How long it stays mounted with nothing to read; for ever where there is none and until another medium wants the drive.
    pub linger: Option<Duration>,
}

impl Costs {
    /// What is usual for a kind; measured figures are better.
    pub const fn usual(kind: MediumKind) -> Self {
        let (mount, unmount, seek_base, seek_full, rate, linger) = match kind {
            MediumKind::Disk => (0, 0, 8, 8, ByteCount::mib(150), None),
            MediumKind::SpunDown => (12_000, 2_000, 8, 8, ByteCount::mib(150), Some(Duration::from_mins(5))),
            MediumKind::Shelf => (30_000, 5_000, 8, 8, ByteCount::mib(150), Some(Duration::from_mins(5))),
            MediumKind::Remote => (0, 0, 60, 0, ByteCount::mib(50), None),
            MediumKind::Tape => (75_000, 60_000, 2_000, 90_000, ByteCount::mib(300), None),
        };
        Self {
            mount: Duration::from_millis(mount),
            unmount: Duration::from_millis(unmount),
            seek_base: Duration::from_millis(seek_base),
            seek_full: Duration::from_millis(seek_full),
            read_per_second: rate,
            linger,
        }
    }

    /// How long a seek takes; none where the head is there.
    pub fn seek(&self, from: u64, to: u64, capacity: ByteCount) -> Duration {
        if from == to {
            return Duration::ZERO;
        }
        self.seek_base + self.travel(from.abs_diff(to), capacity)
    }

    /// How long reading takes.
    pub fn read(&self, bytes: u64) -> Duration {
        let ms = u128::from(bytes) * 1000 / u128::from(self.read_per_second.get().max(1));
        Duration::from_millis(u64::try_from(ms).unwrap_or(u64::MAX))
    }

    /// The part of a seek that grows with its length.
    pub(super) fn travel(&self, distance: u64, capacity: ByteCount) -> Duration {
        let capacity = u128::from(capacity.get().max(1));
        let ms = self.seek_full.as_millis() * u128::from(distance).min(capacity) / capacity;
        Duration::from_millis(u64::try_from(ms).unwrap_or(u64::MAX))
    }
}

/// A medium that archives lie on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Medium {
    /// Its id.
    pub id: MediumId,
    /// What stands on it.
    pub label: Label,
    /// What it is.
    pub kind: MediumKind,
    /// Where it is mounted.
    pub station: StationId,
    /// How much it holds.
    pub capacity: ByteCount,
    /// What it costs.
    pub costs: Costs,
    /// Whether it can be mounted without somebody bringing it.
    pub here: bool,
}
