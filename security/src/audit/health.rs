//! How the audit trail does: for who looks after the appliance.

use super::Audit;
use super::deliver::StateRow;
use super::row::{Held, TrailId};
use super::trail::TrailRow;
use crate::AccountId;
use engine::clock::Timestamp;
use parking_lot::Mutex;
use std::collections::BTreeMap;

/// What was lost, and what fails.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Records lost since the start: one for each account that should have had it.
    pub lost: u64,
    /// Those of which no record says so yet.
    pub untold: u64,
    /// Calls and data events that wait for their commit.
    pub waiting: u64,
    /// Trails whose last file could not be written, by ARN.
    pub failing: Vec<FailingTrail>,
}

/// A trail whose last file could not be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailingTrail {
    /// Its ARN.
    pub arn: String,
    /// Where its files go.
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

/// Trails that fail; at most those that there are.
#[derive(Debug, Default)]
pub(super) struct Failing(Mutex<BTreeMap<(AccountId, TrailId), FailingTrail>>);

impl Audit {
    /// What was lost since the start, and what fails now.
    pub fn health(&self) -> Health {
        let (waiting, lost) = self.waiting.counts();
        let failing = self.failing.0.lock().values().cloned().collect();
        Health { lost, untold: self.lost(), waiting, failing }
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
        let (id, mut failing) = ((trail.account(), trail.id), self.failing.0.lock());
        match state.error.as_ref().or(state.digest_error.as_ref()) {
            Some(error) => {
                let (arn, bucket) = (trail.arn(&self.parts.region), trail.bucket.clone());
                failing.insert(id, FailingTrail { arn, bucket, error: error.clone() });
            }
            None => {
                failing.remove(&id);
            }
        }
    }
}
