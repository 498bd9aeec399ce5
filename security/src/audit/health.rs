//! How the audit trail does: for who looks after the appliance.

use super::Audit;
use super::deliver::StateRow;
use super::row::{CutRow, Held, Part, TrailId};
use super::trail::TrailRow;
use crate::AccountId;
use engine::clock::Timestamp;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::time::Duration;

/// What was lost, and what fails.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Records lost since the start: one for each account that should have had it.
    pub lost: u64,
    /// Those of which no record says so yet.
    pub untold: u64,
    /// Calls and data events that wait for their commit.
    pub waiting: u64,
    /// How long the oldest call waits.
    pub oldest: Duration,
    /// Trails whose last file could not be written, or that can't be read, by ARN.
    pub failing: Vec<FailingTrail>,
    /// Histories that lost records before their 90 days were over.
    pub cuts: Vec<CutHistory>,
    /// Rows that could not be read since the start; at most 1,000.
    pub damaged: Vec<String>,
}

/// A trail whose last file could not be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailingTrail {
    /// Its ARN.
    pub arn: String,
    /// Where its files go; of one that can't be read nobody knows.
    pub bucket: String,
    /// What was said.
    pub error: String,
}

/// How one trail does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overview {
    /// Its ARN.
    pub arn: String,
    /// Where its files go.
    pub bucket: String,
    /// Events are taken.
    pub is_logging: bool,
    /// Whether there are digests.
    pub validates: bool,
    /// The last file.
    pub delivered: Option<Timestamp>,
    /// The last digest.
    pub digested: Option<Timestamp>,
    /// Bytes of records that wait for a file.
    pub waiting_bytes: u64,
    /// Why the last file or digest could not be written.
    pub error: Option<String>,
}

/// A part of an account's history that lost records before their time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CutHistory {
    /// Whose.
    pub account: AccountId,
    /// `calls` or `denials`
    pub part: &'static str,
    /// From when on it is whole.
    pub whole_since: Timestamp,
    /// Records that went.
    pub count: u64,
}

/// Trails that fail; at most those that there are.
#[derive(Debug, Default)]
pub(super) struct Failing(Mutex<BTreeMap<(AccountId, TrailId), FailingTrail>>);

/// What is said of a trail whose row can't be read.
const UNREADABLE: &str = "its row can not be read, and it takes nothing: delete it (aws cloudtrail delete-trail) and make it again";

impl Audit {
    /// What was lost since the start, and what fails now.
    pub fn health(&self) -> Health {
        let (waiting, lost) = self.waiting.counts();
        let mut failing: Vec<FailingTrail> = self.failing.0.lock().values().cloned().collect();
        failing.extend(self.unreadable.lock().iter().map(|(account, name)| FailingTrail {
            arn: self.trail_arn(*account, name),
            bucket: String::new(),
            error: UNREADABLE.to_owned(),
        }));
        let shown = |(of, cut): (&(AccountId, Part), &CutRow)| CutHistory {
            account: of.0,
            part: of.1.name(),
            whole_since: cut.through,
            count: cut.count,
        };
        let cuts = self.cuts.lock().iter().map(shown).collect();
        let now = self.parts.clock.boottime();
        Health {
            lost,
            untold: self.lost(),
            waiting,
            oldest: self.waiting.oldest().map_or(Duration::ZERO, |since| now.saturating_sub(since)),
            failing,
            cuts,
            damaged: self.damaged.all(),
        }
    }

    /// How each trail of each account does, so many at the most, and how many there are.
    pub async fn overview(&self, most: usize) -> crate::Result<(Vec<Overview>, usize)> {
        let trails: Vec<_> = self.trails.lock().values().cloned().collect();
        let mut shown = Vec::new();
        for trail in trails.iter().take(most) {
            let state = self.state(trail).await?.unwrap_or_default();
            let at = |millis: Option<i64>| millis.map(Timestamp::from_millis);
            let waiting = self.held(Held::Trail(trail.account(), trail.id));
            shown.push(Overview {
                arn: trail.arn(&self.parts.region),
                bucket: trail.bucket.clone(),
                is_logging: trail.is_logging,
                validates: trail.validates,
                delivered: at(state.delivered),
                digested: at(state.digested),
                waiting_bytes: u64::try_from(waiting).unwrap_or_default(),
                error: state.error.or(state.digest_error),
            });
        }
        Ok((shown, trails.len()))
    }

    /// Of trails that are gone nothing is told any more.
    pub(super) fn forget_failing(&self, there: &[std::sync::Arc<TrailRow>]) {
        self.failing.0.lock().retain(|id, _| there.iter().any(|trail| (trail.account(), trail.id) == *id));
    }

    /// Notes how the last file and the last digest of a trail went.
    pub(super) fn note_failing(&self, trail: &TrailRow, state: &StateRow) {
        self.note_trouble(trail, state.error.as_deref().or(state.digest_error.as_deref()));
    }

    /// Notes what is in a trail's way, if anything.
    pub(super) fn note_trouble(&self, trail: &TrailRow, error: Option<&str>) {
        let (id, mut failing) = ((trail.account(), trail.id), self.failing.0.lock());
        match error {
            Some(error) => {
                let (arn, bucket) = (trail.arn(&self.parts.region), trail.bucket.clone());
                failing.insert(id, FailingTrail { arn, bucket, error: error.to_owned() });
            }
            None => {
                failing.remove(&id);
            }
        }
    }
}
