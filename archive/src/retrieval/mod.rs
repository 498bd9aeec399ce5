//! Getting archives back: jobs, tiers, and the order in which media are mounted and read.
//!
//! ```text
//!   Ask ─► Desk: policy, capacity (may it?) ─► Scheduler::submit (when? a quote) ─► Job, a row: Queued
//!                                              │ plan(now) ─► mount, read, unmount, bring ─► the runtime does it
//!                                              ▲ on(event) ◄────────────────────────────────── and tells
//!                                              └─► outcomes ─► Job::step ─► Queued · Staging · Waiting · Held · Ready · Expired · Failed
//! ```
//!
//! A retrieval is real work on real media, never a sleep. [`Job`] is what is kept: a pure state machine and a versioned record
//! (docs/formats/retrieval-jobs.md). [`Scheduler`] is what is planned: it lives in memory, and a restart builds it again from the jobs that
//! are not done. [`Quote`]s are given for every job. A vault told to keep AWS's [`Timetable`] holds back by the clock what is read earlier.
//!
//! Time comes in with each call; nothing here sleeps, does I/O, or looks at a clock. Everything is bounded: [`Limits`].

mod capacity;
mod cost;
mod desk;
mod job;
mod media;
mod policy;
mod record;
mod schedule;
mod tier;

pub use capacity::{Admission, Capacity, JOBS_PER_UNIT, MAX_UNITS, UNIT_WINDOW, Unit, UnitId};
pub use cost::{Ledger, MicroDollars, Price, Prices, TierTotal};
pub use desk::{Ask, Desk, Terms};
pub use job::{Effect, Failure, Illegal, Job, JobEvent, JobId, JobState, Subject, VaultId};
pub use media::{Costs, DriveId, Label, Medium, MediumId, MediumKind, StationId};
pub use policy::{BadPolicy, FREE_PER_DAY, RetrievalPolicy, Usage};
pub use schedule::{
    Action, Event, Extent, Limits, Outcome, Plan, Policy, Quote, Request, Scheduler, Stats, Unexpected,
};
pub use tier::{Depth, Tier, Timetable, Window};

/// Why a job is not accepted. Each has Glacier's own error.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// `InsufficientCapacityException`, S3's `GlacierExpeditedRetrievalNotAvailable`.
    #[error(
        "no drive is free for an expedited retrieval now: ask again later, take another tier, or provision capacity"
    )]
    InsufficientCapacity,
    /// `PolicyEnforcedException`.
    #[error(
        "the data retrieval policy allows {left_bytes} bytes more for now; ask again later or change the policy"
    )]
    PolicyEnforced {
        /// What it still allows.
        left_bytes: u64,
    },
    /// `InvalidParameterValueException`.
    #[error("{0}")]
    Invalid(String),
    /// `LimitExceededException`.
    #[error("{what} would be more than {limit}")]
    LimitExceeded {
        /// Of what there would be too many.
        what: &'static str,
        /// How many there may be.
        limit: u64,
    },
    /// `ResourceNotFoundException`.
    #[error("{what} is not there")]
    NotFound {
        /// What was named.
        what: String,
    },
}

#[cfg(test)]
mod tests;
