//! A retrieval job: what is kept of it, and how it changes.
//!
//! ```text
//!             begun             read, the window is open
//!   Queued ─────────► Staging ───────────────────────────► Ready ──── until ────► Expired
//!     ▲ │ wants        │  │ read, too early for the timetable  ▲
//!     │ ▼              │  └──────────────► Held ── not_before ─┘
//!   Waiting ◄──────────┘ wants                          all but Ready and Expired: fail ──► Failed
//! ```
//!
//! What a crash leaves: the row as it was last written. A job in `Staging` is scheduled again from its beginning; whatever was staged
//! of it is garbage that the next reading overwrites.

use super::{Depth, Label, MicroDollars, Tier};
use crate::inventory::{Description, Format, Selection};
use crate::tree_hash::ByteRange;
use engine::clock::Timestamp;
use engine::id_type;
use engine::unit::ByteCount;
use std::time::Duration;

id_type! {
    /// A job's id.
    pub struct JobId(pub [u8; 16]), "job"
}

id_type! {
    /// A vault's id.
    pub struct VaultId(pub [u8; 16]), "vault"
}

/// What a job gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// An archive, or a range of it.
    Archive {
        /// Its id, up to 255 bytes.
        archive: String,
        /// All of it, or what is wanted of it.
        range: Option<ByteRange>,
    },
    /// A list of what the vault holds.
    Inventory {
        /// JSON or CSV.
        format: Format,
        /// What is listed.
        selection: Selection,
    },
}

/// How far it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobState {
    /// It waits for its turn.
    Queued,
    /// It is being read.
    Staging,
    /// It waits for a medium that is not here.
    Waiting {
        /// Which one to bring.
        label: Label,
    },
    /// It is read, and its vault's timetable holds it back.
    Held,
    /// Its output can be had.
    Ready {
        /// Since when.
        since: Timestamp,
        /// Until when.
        until: Timestamp,
    },
    /// Its output is gone; the archive is where it was.
    Expired {
        /// Since when.
        since: Timestamp,
    },
    /// It came to nothing.
    Failed {
        /// Since when.
        since: Timestamp,
        /// Why.
        why: Failure,
    },
}

impl JobState {
    /// For people and errors.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Staging => "staging",
            Self::Waiting { .. } => "waiting",
            Self::Held => "held",
            Self::Ready { .. } => "ready",
            Self::Expired { .. } => "expired",
            Self::Failed { .. } => "failed",
        }
    }

    /// Glacier's `StatusCode`. An expired job is none any more: it is not found.
    pub const fn status_code(&self) -> Option<&'static str> {
        match self {
            Self::Queued | Self::Staging | Self::Waiting { .. } | Self::Held => Some("InProgress"),
            Self::Ready { .. } => Some("Succeeded"),
            Self::Failed { .. } => Some("Failed"),
            Self::Expired { .. } => None,
        }
    }

    /// Whether it is still to be read.
    pub const fn is_pending(&self) -> bool {
        matches!(self, Self::Queued | Self::Staging | Self::Waiting { .. })
    }

    const fn is_in_progress(&self) -> bool {
        self.is_pending() || matches!(self, Self::Held)
    }
}

/// Why a job came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Somebody took it back.
    Cancelled,
    /// The archive was deleted meanwhile.
    Deleted,
    /// No medium has it any more, or none in a state that parity could mend.
    Damaged,
}

/// What happens to a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobEvent {
    /// A drive reads for it.
    Begun,
    /// So much more was read.
    Progress(ByteCount),
    /// A medium is wanted that is not here.
    Wants(Label),
    /// It was brought.
    Brought,
    /// All is read, verified and durable; also what needed no drive.
    Read,
    /// Time has passed.
    Tick,
    /// The plan has a better guess.
    Requoted(Timestamp),
    /// A faster tier is asked for.
    Upgrade {
        /// Which.
        tier: Tier,
        /// Its deadline.
        deadline: Timestamp,
        /// What its timetable holds back until.
        not_before: Timestamp,
        /// The new quote.
        eta: Timestamp,
        /// What it costs besides.
        cost: MicroDollars,
    },
    /// The output is kept until then: longer or shorter.
    KeepUntil(Timestamp),
    /// It can't be had.
    Fail(Failure),
}

impl JobEvent {
    const fn name(&self) -> &'static str {
        match self {
            Self::Begun => "begin",
            Self::Progress(_) => "read on",
            Self::Wants(_) => "wait for a medium",
            Self::Brought => "go on with the medium",
            Self::Read => "end reading",
            Self::Tick => "look at the time",
            Self::Requoted(_) => "quote again",
            Self::Upgrade { .. } => "upgrade",
            Self::KeepUntil(_) => "keep its output",
            Self::Fail(_) => "fail",
        }
    }
}

/// What is to be done in consequence, when the row is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Tell the scheduler of the tier and deadline.
    Reschedule,
    /// Tell the scheduler that nobody wants it any more.
    Unschedule,
    /// Look again at this time.
    WakeAt(Timestamp),
    /// Tell who asked (webhook, topic) that it succeeded or failed.
    Notify,
    /// Remove what was staged or retrieved. Never the archive.
    DropCopy,
}

/// What can't happen to a job as it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{event}: the job is {state}{}", if why.is_empty() { String::new() } else { format!("; {why}") })]
pub struct Illegal {
    /// Its state.
    pub state: &'static str,
    /// What was to happen.
    pub event: &'static str,
    /// The reason, where the state alone is none.
    pub why: &'static str,
}

/// A job, as its row has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// Of which vault.
    pub vault: VaultId,
    /// What it gets.
    pub subject: Subject,
    /// How soon.
    pub tier: Tier,
    /// How deep its archive lies.
    pub depth: Depth,
    /// As it was described.
    pub description: Description,
    /// Whom to tell: a topic's ARN, up to 1,024 bytes; empty for nobody.
    pub topic: String,
    /// When it was asked for.
    pub created: Timestamp,
    /// When it must be ready.
    pub deadline: Timestamp,
    /// Before when the timetable holds it back.
    pub not_before: Timestamp,
    /// What was quoted when it was accepted, or upgraded.
    pub quoted: Timestamp,
    /// The best guess by now.
    pub eta: Timestamp,
    /// How much is to be read.
    pub bytes: ByteCount,
    /// How much was.
    pub read: ByteCount,
    /// How long its output is kept: 24 hours or more for Glacier, days for S3.
    pub keep: Duration,
    /// What it costs.
    pub cost: MicroDollars,
    /// How far it is.
    pub state: JobState,
}

impl Job {
    /// The next state and what follows from it, or why it can't be.
    pub fn step(mut self, event: JobEvent, now: Timestamp) -> Result<(Self, Vec<Effect>), Illegal> {
        let (state, name) = (self.state.name(), event.name());
        let illegal = |why| Err(Illegal { state, event: name, why });
        let (pending, in_progress) = (self.state.is_pending(), self.state.is_in_progress());
        let effects = match event {
            JobEvent::Tick => self.tick(now),
            JobEvent::Begun if pending => self.begun(),
            JobEvent::Progress(more) if pending => {
                let read = self.read.get().saturating_add(more.get());
                self.read = ByteCount::new(read.min(self.bytes.get()));
                self.begun()
            }
            JobEvent::Wants(label) if pending => {
                self.state = JobState::Waiting { label };
                vec![]
            }
            JobEvent::Brought if matches!(self.state, JobState::Waiting { .. }) => {
                self.state = JobState::Queued;
                vec![]
            }
            JobEvent::Read if pending => {
                self.read = self.bytes;
                self.ready_or_held(now)
            }
            JobEvent::Requoted(eta) if pending => {
                self.eta = eta.max(self.not_before);
                vec![]
            }
            JobEvent::Upgrade { tier, .. } if in_progress && tier >= self.tier => {
                return illegal("only a faster tier is an upgrade");
            }
            JobEvent::Upgrade { tier, deadline, not_before, eta, cost } if in_progress => {
                self.tier = tier;
                self.deadline = deadline.min(self.deadline);
                self.not_before = not_before.min(self.not_before);
                self.eta = eta.max(self.not_before);
                self.quoted = self.eta;
                self.cost += cost;
                if pending { vec![Effect::Reschedule] } else { self.ready_or_held(now) }
            }
            JobEvent::KeepUntil(until) => {
                let JobState::Ready { since, .. } = self.state else { return illegal("") };
                self.state = JobState::Ready { since, until };
                vec![Effect::WakeAt(until)]
            }
            JobEvent::Fail(why) if in_progress => {
                self.state = JobState::Failed { since: now, why };
                let unschedule = pending.then_some(Effect::Unschedule);
                unschedule.into_iter().chain([Effect::DropCopy, Effect::Notify]).collect()
            }
            _ => return illegal(""),
        };
        Ok((self, effects))
    }

    /// What waits for a medium goes on waiting for it while its other parts are read.
    fn begun(&mut self) -> Vec<Effect> {
        if self.state == JobState::Queued {
            self.state = JobState::Staging;
        }
        vec![]
    }

    /// Glacier's `StatusMessage`.
    pub fn status_message(&self) -> String {
        match &self.state {
            JobState::Queued | JobState::Staging => format!("{} of {} read", self.read, self.bytes),
            JobState::Waiting { label } => format!("waits for medium {label}: bring it"),
            JobState::Held => "read; held back by the vault's timetable".into(),
            JobState::Ready { .. } => "Succeeded".into(),
            JobState::Expired { .. } => "its output has expired".into(),
            JobState::Failed { why: Failure::Cancelled, .. } => "cancelled".into(),
            JobState::Failed { why: Failure::Deleted, .. } => "the archive was deleted".into(),
            JobState::Failed { why: Failure::Damaged, .. } => "the archive is damaged beyond repair".into(),
        }
    }

    fn tick(&mut self, now: Timestamp) -> Vec<Effect> {
        match self.state {
            JobState::Held if now >= self.not_before => self.ready_or_held(now),
            JobState::Ready { until, .. } if now >= until => {
                self.state = JobState::Expired { since: now };
                vec![Effect::DropCopy]
            }
            _ => vec![],
        }
    }

    fn ready_or_held(&mut self, now: Timestamp) -> Vec<Effect> {
        if now < self.not_before {
            self.state = JobState::Held;
            return vec![Effect::WakeAt(self.not_before)];
        }
        let until = now.plus(self.keep);
        self.state = JobState::Ready { since: now, until };
        vec![Effect::Notify, Effect::WakeAt(until)]
    }
}
