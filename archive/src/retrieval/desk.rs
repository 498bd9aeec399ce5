//! Where jobs are asked for: every question that decides whether one is accepted, in one order, and nothing left of one that is not.
//!
//! ```text
//!   Ask ─► window (is there such a tier?) ─► policy ─► expedited capacity ─► plan, quote ─► price ─► Job, for its row
//! ```
//!
//! The caller writes the row. If that fails it takes the job back with [`Scheduler::cancel`] and [`Capacity::give_back`]. After a restart it
//! [resumes](Desk::resume) the jobs that are to be read still, in the order of their creation.

use super::job::{Job, JobEvent, JobId, JobState, Subject, VaultId};
use super::{
    Admission, Capacity, Depth, Extent, Prices, Quote, Refused, Request, RetrievalPolicy, Scheduler, Tier,
    Timetable, Usage,
};
use crate::inventory::Description;
use engine::clock::Timestamp;
use engine::unit::ByteCount;
use security::AccountId;
use std::time::Duration;

/// What somebody wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// The new job's id.
    pub id: JobId,
    /// Of which vault.
    pub vault: VaultId,
    /// Who asks.
    pub account: AccountId,
    /// What for. A range was [checked](crate::tree_hash::ByteRange::check).
    pub subject: Subject,
    /// How soon.
    pub tier: Tier,
    /// How deep it lies.
    pub depth: Depth,
    /// As it was described.
    pub description: Description,
    /// Whom to tell.
    pub topic: String,
    /// How long its output is kept.
    pub keep: Duration,
    /// How much is given out in the end: what policy and price count.
    pub bytes: ByteCount,
    /// Where it lies; nowhere for an inventory, which needs no drive.
    pub extents: Vec<Extent>,
}

/// On which terms: of the account and the vault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The account's data retrieval policy.
    pub policy: RetrievalPolicy,
    /// Whether the vault keeps AWS's timetable.
    pub timetable: Timetable,
    /// What it costs.
    pub prices: Prices,
}

/// All that has a say.
#[derive(Debug)]
pub struct Desk<'a> {
    /// What the account asked for lately.
    pub usage: &'a mut Usage,
    /// Expedited capacity.
    pub capacity: &'a mut Capacity,
    /// Media and drives.
    pub scheduler: &'a mut Scheduler,
}

impl Desk<'_> {
    /// A job, accepted and planned, for its row; and by what an expedited one was admitted.
    pub fn accept(
        &mut self,
        ask: Ask,
        terms: &Terms,
        now: Timestamp,
    ) -> Result<(Job, Option<Admission>), Refused> {
        // An inventory has no tier: it is standard, and costs nothing.
        let archive = matches!(ask.subject, Subject::Archive { .. });
        let tier = if archive { ask.tier } else { Tier::Standard };
        let deadline = terms.timetable.deadline(ask.depth, tier, now)?;
        let not_before = terms.timetable.not_before(ask.depth, tier, now)?;
        if archive {
            self.usage.admit(terms.policy, tier, ask.bytes, now)?;
        }
        let admission = self.admit(tier, ask.account, now)?;
        let request = Request {
            job: ask.id,
            vault: ask.vault,
            tier,
            created: now,
            deadline,
            not_before,
            provisioned: admission == Some(Admission::Provisioned),
            extents: ask.extents,
        };
        let quote = self.plan(&request, now).inspect_err(|_| {
            if let Some(admission) = admission {
                self.capacity.give_back(ask.account, admission);
            }
        })?;
        let mut cost = super::MicroDollars::default();
        if archive {
            self.usage.note(tier, ask.bytes, now);
            cost = terms.prices.cost(tier, 1, ask.bytes);
        }
        let label = quote.bring.into_iter().next();
        let job = Job {
            id: ask.id,
            vault: ask.vault,
            subject: ask.subject,
            tier,
            depth: ask.depth,
            description: ask.description,
            topic: ask.topic,
            created: now,
            deadline,
            not_before,
            quoted: quote.eta,
            eta: quote.eta,
            bytes: ask.bytes,
            read: ByteCount::ZERO,
            keep: ask.keep,
            cost,
            state: label.map_or(JobState::Queued, |label| JobState::Waiting { label }),
        };
        Ok((job, admission))
    }

    /// A faster tier for a job that is under way: the event for its state machine. One that is only held back needs no drive.
    pub fn upgrade(
        &mut self,
        job: &Job,
        account: AccountId,
        tier: Tier,
        terms: &Terms,
        now: Timestamp,
    ) -> Result<JobEvent, Refused> {
        if tier >= job.tier {
            return Err(Refused::Invalid(format!(
                "the job is {} already; only a faster tier is an upgrade",
                job.tier
            )));
        }
        let deadline = terms.timetable.deadline(job.depth, tier, now)?;
        let not_before = terms.timetable.not_before(job.depth, tier, now)?;
        self.usage.admit(terms.policy, tier, job.bytes, now)?;
        let admission = if job.state.is_pending() { self.admit(tier, account, now)? } else { None };
        let eta = if job.state.is_pending() {
            let quote =
                self.scheduler.upgrade(job.id, tier, deadline, not_before, now).inspect_err(|_| {
                    if let Some(admission) = admission {
                        self.capacity.give_back(account, admission);
                    }
                })?;
            quote.eta
        } else {
            not_before
        };
        self.usage.note(tier, job.bytes, now);
        let cost = terms.prices.cost(tier, 1, job.bytes);
        Ok(JobEvent::Upgrade { tier, deadline, not_before, eta, cost })
    }

    /// After a restart: a job of a row that is to be read still is planned again, whatever its quote is now.
    pub fn resume(&mut self, job: &Job, extents: Vec<Extent>, now: Timestamp) -> Result<Quote, Refused> {
        let request = Request {
            job: job.id,
            vault: job.vault,
            tier: job.tier,
            created: job.created,
            deadline: job.deadline,
            not_before: job.not_before,
            provisioned: true,
            extents,
        };
        self.plan(&request, now)
    }

    fn admit(
        &mut self,
        tier: Tier,
        account: AccountId,
        now: Timestamp,
    ) -> Result<Option<Admission>, Refused> {
        if tier == Tier::Expedited { self.capacity.admit(account, now).map(Some) } else { Ok(None) }
    }

    fn plan(&mut self, request: &Request, now: Timestamp) -> Result<Quote, Refused> {
        if request.extents.is_empty() {
            return Ok(Quote { eta: request.not_before.max(now), late: false, bring: vec![] });
        }
        self.scheduler.submit(request, now)
    }
}
