//! What goes in and comes out.

use crate::retrieval::Tier;
use crate::retrieval::job::{JobId, VaultId};
use crate::retrieval::media::{DriveId, Label, MediumId};
use engine::clock::Timestamp;
use engine::unit::ByteCount;
use std::time::Duration;

/// How it is planned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Of the time between request and deadline so much may pass between two visits of a medium, in percent. The rest is for waiting in
    /// front of the drives, mounting and reading.
    pub gather_percent: u32,
    /// A medium that is mounted for an expedited job has its batch read along when so much of its gathering, in percent, or less is left.
    pub early_percent: u32,
    /// The longest that a drive reads in one piece: as long may an expedited job wait for it.
    pub slice: Duration,
    /// What is to be left to a deadline when the plan is kept.
    pub margin: Duration,
    /// How long it is taken to last until a medium from the shelf is brought.
    pub bring: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            gather_percent: 86,
            early_percent: 8,
            slice: Duration::from_secs(20),
            margin: Duration::from_mins(5),
            bring: Duration::from_hours(4),
        }
    }
}

impl Policy {
    pub(super) fn gather(&self, time: Duration) -> Duration {
        time * self.gather_percent.min(100) / 100
    }
}

/// How much of everything there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Jobs that are not done.
    pub jobs: u64,
    /// Those of one vault.
    pub jobs_per_vault: u64,
    /// Ranges of a job.
    pub extents_per_job: usize,
    /// Media.
    pub media: usize,
    /// Drives of a station.
    pub drives_per_station: u16,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            jobs: 100_000,
            jobs_per_vault: 50_000,
            extents_per_job: 4_096,
            media: 65_536,
            drives_per_station: 64,
        }
    }
}

/// A range of a medium.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Which medium.
    pub medium: MediumId,
    /// Where it begins.
    pub offset: u64,
    /// Its length, 1 or more.
    pub len: u64,
}

/// A job, as the plan needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Its id.
    pub job: JobId,
    /// Whose it is.
    pub vault: VaultId,
    /// How soon.
    pub tier: Tier,
    /// When it was asked for.
    pub created: Timestamp,
    /// When it must be read.
    pub deadline: Timestamp,
    /// Before when it isn't ready by its timetable; it may be read before.
    pub not_before: Timestamp,
    /// Whether provisioned capacity was spent on it: then it is taken also where its deadline can't be kept.
    pub provisioned: bool,
    /// What is to be read.
    pub extents: Vec<Extent>,
}

/// When a job will be ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quote {
    /// By the plan as it stands.
    pub eta: Timestamp,
    /// Whether that is later than the deadline.
    pub late: bool,
    /// Media that are to be brought first, at most 16 of them: the job waits for the first from the beginning. The guess counts
    /// [`Policy::bring`] for it.
    pub bring: Vec<Label>,
}

/// What is to be done now. Of each drive one thing at a time, and the end of it is told by an [`Event`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Put a medium into an empty drive, spin a disk up, open a connection.
    Mount {
        /// Which drive.
        drive: DriveId,
        /// Which medium.
        medium: MediumId,
    },
    /// Put it back.
    Unmount {
        /// Which drive.
        drive: DriveId,
        /// Which medium.
        medium: MediumId,
    },
    /// Read a slice.
    Read {
        /// Which drive.
        drive: DriveId,
        /// For which job: the first slice begins its staging.
        job: JobId,
        /// What.
        extent: Extent,
    },
    /// Tell people to bring a medium. Told once until it has arrived.
    Bring {
        /// Which medium.
        medium: MediumId,
        /// What stands on it.
        label: Label,
        /// How many jobs wait for it.
        jobs: usize,
        /// The earliest of their deadlines.
        deadline: Timestamp,
    },
}

/// What is to be done, and when to ask again if nothing happens before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// What is to be done.
    pub actions: Vec<Action>,
    /// When there will be more, if nothing happens.
    pub wake: Option<Timestamp>,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A medium can be read.
    Mounted {
        /// In which drive.
        drive: DriveId,
    },
    /// A medium can't be mounted: it counts as not here until it arrives.
    MountFailed {
        /// In which drive.
        drive: DriveId,
    },
    /// A drive is empty.
    Unmounted {
        /// Which.
        drive: DriveId,
    },
    /// A slice was read, verified and staged.
    ReadDone {
        /// By which drive.
        drive: DriveId,
    },
    /// A slice can't be read.
    ReadFailed {
        /// By which drive.
        drive: DriveId,
    },
    /// A drive can't be used. What was in it counts as not here.
    DriveLost {
        /// Which.
        drive: DriveId,
    },
    /// It can be used again, and is empty.
    DriveBack {
        /// Which.
        drive: DriveId,
    },
    /// A medium was brought.
    Arrived {
        /// Which.
        medium: MediumId,
    },
    /// A medium was taken away.
    Left {
        /// Which.
        medium: MediumId,
    },
}

/// What it means for a job: an event of its state machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// So much more is staged.
    Progress {
        /// Of which job.
        job: JobId,
        /// How much.
        bytes: ByteCount,
    },
    /// All is staged.
    Done {
        /// Of which job.
        job: JobId,
    },
    /// It waits for a medium.
    Wants {
        /// Which job.
        job: JobId,
        /// Which medium.
        label: Label,
    },
    /// That medium has come.
    Brought {
        /// Which job.
        job: JobId,
    },
    /// It can't be read there, and is planned no more.
    Failed {
        /// Which job.
        job: JobId,
        /// Where.
        medium: MediumId,
    },
}

/// An event that can't be: of a drive that was doing something else, or of a medium that is not known. Nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a drive or medium told of what it was not asked for: {drive:?}")]
pub struct Unexpected {
    /// The drive; none where it was about a medium.
    pub drive: Option<DriveId>,
}

/// Counters, since the process began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Jobs that are not done, now.
    pub jobs: u64,
    /// Mounts that were begun.
    pub mounts: u64,
    /// Slices that were begun.
    pub reads: u64,
    /// Bytes that were read.
    pub bytes: ByteCount,
}
