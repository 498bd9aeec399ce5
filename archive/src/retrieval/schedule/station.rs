//! Drives, media in their slots, and what comes in.

use super::types::Policy;
use crate::retrieval::Tier;
use crate::retrieval::job::JobId;
use crate::retrieval::media::{Medium, MediumId};
use engine::clock::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

pub(super) fn ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 4)
}

/// Why a medium is in a drive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Visit {
    /// For an expedited job; its batch is read along if it is nearly due.
    Called,
    /// For its batch; what comes while it is there is read, too.
    Batch,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Drive {
    /// It can't be used.
    Lost,
    Empty {
        /// What it was emptied for.
        next: Option<MediumId>,
    },
    Mounting {
        medium: MediumId,
        until: i64,
    },
    Loaded {
        medium: MediumId,
        head: u64,
        visit: Visit,
        idle_since: i64,
    },
    Reading {
        medium: MediumId,
        at: u64,
        len: u64,
        job: JobId,
        visit: Visit,
        until: i64,
    },
    Unmounting {
        medium: MediumId,
        next: Option<MediumId>,
        until: i64,
    },
}

impl Drive {
    pub(super) fn loaded(medium: MediumId, head: u64, visit: Visit, now: Timestamp) -> Self {
        Self::Loaded { medium, head, visit, idle_since: now.as_millis() }
    }

    /// What is in it.
    pub(super) fn medium(&self) -> Option<MediumId> {
        match *self {
            Self::Lost | Self::Empty { .. } => None,
            Self::Mounting { medium, .. }
            | Self::Loaded { medium, .. }
            | Self::Reading { medium, .. }
            | Self::Unmounting { medium, .. } => Some(medium),
        }
    }

    pub(super) fn forget_next(&mut self, medium: MediumId) {
        if let Self::Empty { next } | Self::Unmounting { next, .. } = self
            && *next == Some(medium)
        {
            *next = None;
        }
    }
}

/// How much came in lately: this hour's and the hour's before, in proportion.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    began: i64,
    hour: i64,
    before: i64,
    now: i64,
}

const HOUR: i64 = 3_600_000;
const LEAST: i64 = HOUR / 4;

impl Load {
    fn turn(&mut self, at: i64) {
        let hour = at.div_euclid(HOUR);
        if hour > self.hour {
            self.before = if hour == self.hour + 1 { self.now } else { 0 };
            (self.hour, self.now) = (hour, 0);
        }
    }

    fn arrived(&mut self, cost_ms: i64, now: Timestamp) {
        self.turn(now.as_millis());
        self.now = self.now.saturating_add(cost_ms);
    }

    /// What is to be expected in `span` milliseconds.
    pub(super) fn expected(mut self, span: i64, now: i64) -> i64 {
        self.turn(now);
        let into = now - self.hour * HOUR;
        let known = (now - self.began).clamp(LEAST, HOUR);
        let lately = i128::from(self.now)
            + i128::from(self.before) * i128::from((HOUR - into).max(0)) / i128::from(HOUR);
        i64::try_from(lately * i128::from(span.max(0)) / i128::from(known)).unwrap_or(i64::MAX / 4)
    }
}

#[derive(Clone, Debug)]
pub(super) struct Station {
    pub(super) drives: Vec<Drive>,
    pub(super) media: BTreeSet<MediumId>,
    /// Milliseconds of reading.
    pub(super) load: Load,
    /// Thousandths of standard jobs.
    standard: Load,
    /// How long media gather for them, by the last one.
    standard_gather: i64,
}

impl Station {
    pub(super) fn new(drives: u16, now: Timestamp) -> Self {
        let began = now.as_millis();
        let load = Load { began, hour: began.div_euclid(HOUR), before: 0, now: 0 };
        Self {
            drives: vec![Drive::Empty { next: None }; usize::from(drives)],
            media: BTreeSet::new(),
            load,
            standard: load,
            standard_gather: i64::MAX / 4,
        }
    }

    /// Drives that can be used.
    pub(super) fn usable(&self) -> impl Iterator<Item = &Drive> {
        self.drives.iter().filter(|drive| !matches!(drive, Drive::Lost))
    }

    /// A job came that costs so much reading here.
    pub(super) fn arrived(&mut self, tier: Tier, cost_ms: i64, gather: Duration, now: Timestamp) {
        self.load.arrived(cost_ms, now);
        if tier == Tier::Standard {
            self.standard.arrived(1000, now);
            self.standard_gather = ms(gather);
        }
    }

    /// Where, going by what came lately, a standard job is to be expected on every medium before one that gathers for `own` has its turn:
    /// how long a medium then gathers in fact.
    fn sooner(&self, own: i64, now: i64) -> Option<i64> {
        let media = i64::try_from(self.media.len().max(1)).unwrap_or(i64::MAX);
        let expected = self.standard.expected(own, now) / media;
        (self.standard_gather < own && expected >= 1000).then_some(self.standard_gather)
    }
}

/// A range of a job on one medium, as far as it is not read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece {
    pub(super) left: u64,
    pub(super) tier: Tier,
    pub(super) deadline: Timestamp,
    pub(super) gather: Duration,
}

/// When a medium's batch was last begun.
#[derive(Clone, Copy, Debug)]
pub(super) enum Visited {
    /// Not since the plan began. Media get their turns one after another, so that not all are due at once: this one after so many
    /// 65536ths of its gathering.
    Never {
        since: i64,
        phase: u16,
    },
    LongAgo,
    At(i64),
}

impl Visited {
    /// For the medium with this number: halves first, then quarters, so that any number of media is spread evenly.
    pub(super) fn never(number: usize, now: Timestamp) -> Self {
        let low = u16::try_from(number % 65_536).unwrap_or(0);
        Self::Never { since: now.as_millis(), phase: low.reverse_bits() }
    }

    fn plus(self, gather: i64) -> i64 {
        match self {
            Self::Never { since, phase } => {
                let part = i128::from(gather) * i128::from(phase) / 65_536;
                since + i64::try_from(part).unwrap_or(i64::MAX / 4)
            }
            Self::LongAgo => i64::MIN,
            Self::At(at) => at + gather,
        }
    }
}

/// What the pieces of a medium come to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Summary {
    /// Seeks without their way, and reading.
    pub(super) work: i64,
    /// The last position.
    pub(super) far: u64,
    /// The earliest deadline of an expedited piece.
    pub(super) expedited: Option<Timestamp>,
    /// The earliest deadline of all.
    pub(super) deadline: Option<Timestamp>,
    /// The shortest gathering of what is not expedited.
    gather: Option<i64>,
    /// When mounting must begin for all to be in time, read in any order.
    pub(super) latest_start: i64,
}

/// A medium and what is wanted of it.
#[derive(Clone, Debug)]
pub(super) struct Slot {
    pub(super) medium: Medium,
    pub(super) pending: BTreeMap<(u64, JobId), Piece>,
    pub(super) visited: Visited,
    /// Which drive has it, or is emptied for it.
    pub(super) drive: Option<usize>,
    /// What it was last sent for.
    pub(super) sent: Visit,
    /// Whether people were told to bring it.
    pub(super) asked: bool,
    pub(super) summary: Summary,
    /// The shortest gathering that was seen lately, and until when it counts.
    frequented: Option<(i64, i64)>,
}

impl Slot {
    pub(super) fn new(medium: Medium, visited: Visited) -> Self {
        Self {
            medium,
            pending: BTreeMap::new(),
            visited,
            drive: None,
            sent: Visit::Called,
            asked: false,
            summary: Summary::default(),
            frequented: None,
        }
    }

    /// What reading these costs, the way between them apart.
    pub(super) fn cost_ms(&self, pieces: &[(u64, u64)]) -> i64 {
        pieces.iter().map(|(_, len)| self.piece_ms(*len)).sum()
    }

    pub(super) fn piece_ms(&self, len: u64) -> i64 {
        ms(self.medium.costs.seek_base + self.medium.costs.read(len))
    }

    pub(super) fn travel_ms(&self, distance: u64) -> i64 {
        ms(self.medium.costs.travel(distance, self.medium.capacity))
    }

    pub(super) fn jobs(&self) -> BTreeSet<JobId> {
        self.pending.keys().map(|(_, job)| *job).collect()
    }

    /// A job of this tier came.
    pub(super) fn seen(&mut self, tier: Tier, gather: Duration, now: Timestamp) {
        if tier == Tier::Expedited {
            return;
        }
        let (gather, now) = (ms(gather), now.as_millis());
        let shorter = self.frequented.is_none_or(|(known, until)| gather <= known || now > until);
        if shorter {
            self.frequented = Some((gather, now + 2 * gather));
        }
    }

    /// Pieces came, went or changed.
    pub(super) fn changed(&mut self, policy: &Policy) {
        let mut sum = Summary {
            far: self.pending.last_key_value().map_or(0, |((at, _), _)| *at),
            ..Summary::default()
        };
        let earlier = |a: Option<Timestamp>, b| Some(a.map_or(b, |a: Timestamp| a.min(b)));
        for piece in self.pending.values() {
            sum.work = sum.work.saturating_add(self.piece_ms(piece.left)).min(i64::MAX / 4);
            sum.deadline = earlier(sum.deadline, piece.deadline);
            if piece.tier == Tier::Expedited {
                sum.expedited = earlier(sum.expedited, piece.deadline);
            } else {
                let gather = ms(piece.gather);
                sum.gather = Some(sum.gather.map_or(gather, |known| known.min(gather)));
            }
        }
        let costs = &self.medium.costs;
        let before = ms(costs.unmount + costs.mount + costs.seek_full + policy.margin);
        let deadline = sum.deadline.map_or(i64::MAX / 4, Timestamp::as_millis);
        sum.latest_start = deadline - before - sum.work;
        self.summary = sum;
    }

    /// Until when it gathers; none where nothing is wanted of it, the past where something is expedited.
    pub(super) fn gathers_until(&self, station: &Station, now: i64) -> Option<i64> {
        if self.summary.expedited.is_some() {
            return Some(i64::MIN);
        }
        let own = self.summary.gather?;
        let lately = self.frequented.filter(|(_, until)| now <= *until).map_or(own, |(gather, _)| gather);
        let usual = station.sooner(own, now).unwrap_or(own);
        Some(self.visited.plus(own.min(lately).min(usual)).min(self.summary.latest_start))
    }

    /// From when on its batch is read along when it is mounted for something else.
    pub(super) fn along_from(&self, policy: &Policy, station: &Station, now: i64) -> Option<i64> {
        let early = self.summary.gather.unwrap_or(0) / 100 * i64::from(policy.early_percent);
        self.gathers_until(station, now).map(|until| until.saturating_sub(early))
    }
}
