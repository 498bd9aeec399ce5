//! Which medium is mounted in which drive, and what is read of it in what order.
//!
//! ```text
//!   submit · upgrade · cancel ─► pieces, by medium and position ─► plan(now) ─► mount, read, unmount, bring
//!                                        ▲                                            │
//!                                        └──── on(mounted, read, unmounted, arrived …) ◄┘
//! ```
//!
//! The rules, in their order:
//!
//! 1. **Expedited pre-empts**: an idle drive is taken first, then one that is reading something else, when its present slice is done.
//! 2. **A deadline that is near comes next**: the medium whose latest start has come, earliest deadline first, and a sweep is left for it that would
//!    make it late; within a medium the piece whose deadline the sweep would miss.
//! 3. **A mounted medium is swept**: all that is wanted of it, by position, upwards from the head, also what is asked for meanwhile.
//! 4. **Media gather**: between two visits lies [`Policy::gather_percent`] of the shortest time that its jobs have (a medium where Standard
//!    jobs come counts as theirs for twice as long, and Bulk goes along). So each mount serves many, and when it comes is known
//!    beforehand, which is what quotes rest on. Where every wanted medium can have a drive to itself nothing is gained by waiting, and nothing waits.
//! 5. **Nobody starves**: every piece has a deadline, and what is late is the most urgent but for expedited jobs, whose number
//!    [`Capacity`](super::Capacity) bounds. With too much to do, sweeps go on to the top of their medium: leaving them would make more late.
//!
//! State is in memory and is made of the jobs that are not done; a crash loses none of it that matters. All maps are ordered, and nothing
//! is random: the same calls give the same plan.

mod estimate;
mod plan;
mod station;
mod types;

pub use types::{Action, Event, Extent, Limits, Outcome, Plan, Policy, Quote, Request, Stats, Unexpected};

use super::job::JobId;
use super::media::{DriveId, Medium, MediumId, StationId};
use super::{Refused, Tier, VaultId};
use engine::clock::Timestamp;
use engine::unit::ByteCount;
use station::{Drive, Piece, Slot, Station, Visit, Visited};
use std::collections::{BTreeMap, BTreeSet};

/// A job that is not done.
#[derive(Clone, Debug)]
struct Work {
    vault: VaultId,
    tier: Tier,
    deadline: Timestamp,
    not_before: Timestamp,
    /// The media that still have pieces of it.
    media: BTreeMap<MediumId, usize>,
}

/// The plan's state; see the module.
#[derive(Clone, Debug)]
pub struct Scheduler {
    policy: Policy,
    limits: Limits,
    stations: BTreeMap<StationId, Station>,
    media: BTreeMap<MediumId, Slot>,
    jobs: BTreeMap<JobId, Work>,
    per_vault: BTreeMap<VaultId, u64>,
    stats: Stats,
}

impl Scheduler {
    /// Without stations and media.
    pub fn new(policy: Policy, limits: Limits) -> Self {
        Self {
            policy,
            limits,
            stations: BTreeMap::new(),
            media: BTreeMap::new(),
            jobs: BTreeMap::new(),
            per_vault: BTreeMap::new(),
            stats: Stats::default(),
        }
    }

    /// A station with its drives.
    pub fn add_station(&mut self, id: StationId, drives: u16, now: Timestamp) -> Result<(), Refused> {
        if drives == 0 || drives > self.limits.drives_per_station || self.stations.contains_key(&id) {
            let most = self.limits.drives_per_station;
            return Err(Refused::Invalid(format!(
                "station {} is there, or has not 1 to {most} drives",
                id.0
            )));
        }
        self.stations.insert(id, Station::new(drives, now));
        Ok(())
    }

    /// A medium that can be mounted in a station.
    pub fn add_medium(&mut self, medium: Medium, now: Timestamp) -> Result<(), Refused> {
        if self.media.len() >= self.limits.media || self.media.contains_key(&medium.id) {
            return Err(Refused::Invalid(format!("{} is known, or one too many", medium.id)));
        }
        let station = self
            .stations
            .get_mut(&medium.station)
            .ok_or_else(|| Refused::NotFound { what: format!("station {}", medium.station.0) })?;
        let slot = Slot::new(medium, Visited::never(station.media.len(), now));
        station.media.insert(slot.medium.id);
        self.media.insert(slot.medium.id, slot);
        Ok(())
    }

    /// A job that is to be done; the quote says when it will be. Nothing is kept of one that is refused.
    pub fn submit(&mut self, request: &Request, now: Timestamp) -> Result<Quote, Refused> {
        self.check(request)?;
        let mut work = Work {
            vault: request.vault,
            tier: request.tier,
            deadline: request.deadline,
            not_before: request.not_before,
            media: BTreeMap::new(),
        };
        let gather = self.policy.gather(request.deadline.since(request.created));
        for (medium, pieces) in merged(&request.extents) {
            let Some(slot) = self.media.get_mut(&medium) else { continue };
            work.media.insert(medium, pieces.len());
            if let Some(station) = self.stations.get_mut(&slot.medium.station) {
                station.arrived(request.tier, slot.cost_ms(&pieces), gather, now);
            }
            for (at, left) in pieces {
                let piece = Piece { left, tier: request.tier, deadline: request.deadline, gather };
                slot.pending.insert((at, request.job), piece);
            }
            slot.seen(request.tier, gather, now);
            slot.changed(&self.policy);
        }
        self.jobs.insert(request.job, work);
        *self.per_vault.entry(request.vault).or_default() += 1;
        let quote = self.quote(request.job, now)?;
        if request.tier == Tier::Expedited && quote.late && !request.provisioned {
            self.cancel(request.job);
            return Err(Refused::InsufficientCapacity);
        }
        Ok(quote)
    }

    /// A faster tier for a job that is not done.
    pub fn upgrade(
        &mut self,
        job: JobId,
        tier: Tier,
        deadline: Timestamp,
        not_before: Timestamp,
        now: Timestamp,
    ) -> Result<Quote, Refused> {
        let work = self.jobs.get_mut(&job).ok_or_else(|| not_there(job))?;
        if tier >= work.tier {
            return Err(Refused::Invalid(format!(
                "the job is {} already; only a faster tier is an upgrade",
                work.tier
            )));
        }
        work.tier = tier;
        work.deadline = work.deadline.min(deadline);
        work.not_before = work.not_before.min(not_before);
        let gather = self.policy.gather(deadline.since(now));
        for medium in work.media.keys() {
            let Some(slot) = self.media.get_mut(medium) else { continue };
            for ((_, of), piece) in &mut slot.pending {
                if *of == job {
                    *piece = Piece { left: piece.left, tier, deadline: work.deadline, gather };
                }
            }
            slot.seen(tier, gather, now);
            slot.changed(&self.policy);
        }
        self.quote(job, now)
    }

    /// Nobody wants the job any more. A slice of it that is being read is read to its end, and told of no more.
    pub fn cancel(&mut self, job: JobId) -> bool {
        let Some(work) = self.jobs.remove(&job) else { return false };
        for medium in work.media.keys() {
            if let Some(slot) = self.media.get_mut(medium) {
                slot.pending.retain(|(_, of), _| *of != job);
                slot.changed(&self.policy);
            }
        }
        self.forget(work.vault);
        true
    }

    /// How far the plan has come. Counters of this process.
    pub fn stats(&self) -> Stats {
        Stats { jobs: self.jobs.len() as u64, ..self.stats }
    }

    /// How many expedited jobs of `bytes` the drives can do in a window, each on a medium that must first be mounted: what
    /// [`Capacity`](super::Capacity) has to give away.
    pub fn expedited_in(&self, window: std::time::Duration, bytes: ByteCount) -> u64 {
        let of_station = |station: &Station| {
            let here =
                station.media.iter().filter_map(|id| self.media.get(id)).filter(|slot| slot.medium.here);
            let worst = here.map(|slot| {
                let costs = &slot.medium.costs;
                let travel = costs.unmount + costs.mount + costs.seek_base + costs.seek_full;
                (travel + costs.read(bytes.get())).as_millis().max(1)
            });
            let each = worst.max().map_or(0, |ms| window.as_millis() / ms);
            u64::try_from(each).unwrap_or(u64::MAX).saturating_mul(station.usable().count() as u64)
        };
        self.stations.values().map(of_station).fold(0, u64::saturating_add)
    }

    /// What happened to a drive or medium, and what it means for jobs.
    pub fn on(&mut self, event: Event, now: Timestamp) -> Result<Vec<Outcome>, Unexpected> {
        match event {
            Event::Mounted { drive } => self.mounted(drive, now).map(|()| vec![]),
            Event::Unmounted { drive } => self.unmounted(drive).map(|()| vec![]),
            Event::ReadDone { drive } => self.read_done(drive, now),
            Event::ReadFailed { drive } => self.read_failed(drive, now),
            Event::MountFailed { drive } => self.mount_failed(drive),
            Event::DriveLost { drive } => self.drive_lost(drive),
            Event::DriveBack { drive } => self.drive_back(drive).map(|()| vec![]),
            Event::Arrived { medium } => self.arrived(medium),
            Event::Left { medium } => self.left(medium),
        }
    }

    fn check(&self, request: &Request) -> Result<(), Refused> {
        let exceeded = |what, limit| Err(Refused::LimitExceeded { what, limit });
        if self.jobs.len() as u64 >= self.limits.jobs {
            return exceeded("jobs", self.limits.jobs);
        }
        if self.per_vault.get(&request.vault).is_some_and(|jobs| *jobs >= self.limits.jobs_per_vault) {
            return exceeded("jobs of the vault", self.limits.jobs_per_vault);
        }
        if request.extents.len() > self.limits.extents_per_job {
            return exceeded("ranges of a job", self.limits.extents_per_job as u64);
        }
        if request.extents.is_empty() || self.jobs.contains_key(&request.job) {
            return Err(Refused::Invalid(format!("{} reads nothing, or is planned already", request.job)));
        }
        for extent in &request.extents {
            let slot = self
                .media
                .get(&extent.medium)
                .ok_or_else(|| Refused::NotFound { what: extent.medium.to_string() })?;
            let end = extent.offset.checked_add(extent.len).filter(|_| extent.len > 0);
            if end.is_none_or(|end| end > slot.medium.capacity.get()) {
                return Err(Refused::Invalid(format!("{} has no such range", extent.medium)));
            }
        }
        Ok(())
    }

    fn forget(&mut self, vault: VaultId) {
        if let Some(jobs) = self.per_vault.get_mut(&vault) {
            *jobs = jobs.saturating_sub(1);
            if *jobs == 0 {
                self.per_vault.remove(&vault);
            }
        }
    }

    fn drive(&mut self, id: DriveId) -> Result<&mut Drive, Unexpected> {
        let station = self.stations.get_mut(&id.station);
        station
            .and_then(|station| station.drives.get_mut(usize::from(id.number)))
            .ok_or(Unexpected { drive: Some(id) })
    }

    fn mounted(&mut self, id: DriveId, now: Timestamp) -> Result<(), Unexpected> {
        let drive = self.drive(id)?;
        let Drive::Mounting { medium, .. } = *drive else { return Err(Unexpected { drive: Some(id) }) };
        let Some(slot) = self.media.get_mut(&medium) else { return Err(Unexpected { drive: Some(id) }) };
        let visit = slot.sent;
        if visit == Visit::Batch {
            slot.visited = Visited::At(now.as_millis());
        }
        *self.drive(id)? = Drive::loaded(medium, 0, visit, now);
        Ok(())
    }

    fn unmounted(&mut self, id: DriveId) -> Result<(), Unexpected> {
        let drive = self.drive(id)?;
        let Drive::Unmounting { medium, next, .. } = *drive else {
            return Err(Unexpected { drive: Some(id) });
        };
        *drive = Drive::Empty { next };
        self.put_down(medium);
        Ok(())
    }

    fn put_down(&mut self, medium: MediumId) {
        if let Some(slot) = self.media.get_mut(&medium) {
            slot.drive = None;
        }
    }

    fn read_done(&mut self, id: DriveId, now: Timestamp) -> Result<Vec<Outcome>, Unexpected> {
        let drive = self.drive(id)?;
        let Drive::Reading { medium, at, len, job, visit, .. } = *drive else {
            return Err(Unexpected { drive: Some(id) });
        };
        *drive = Drive::loaded(medium, at + len, visit, now);
        self.stats.bytes += ByteCount::new(len);
        let Some(slot) = self.media.get_mut(&medium) else { return Ok(vec![]) };
        // Not there when it was cancelled.
        let Some(mut piece) = slot.pending.remove(&(at, job)) else { return Ok(vec![]) };
        piece.left = piece.left.saturating_sub(len);
        let ended = piece.left == 0;
        if !ended {
            slot.pending.insert((at + len, job), piece);
        }
        slot.changed(&self.policy);
        let mut outcomes = vec![Outcome::Progress { job, bytes: ByteCount::new(len) }];
        if ended && self.piece_ended(job, medium) {
            outcomes.push(Outcome::Done { job });
        }
        Ok(outcomes)
    }

    /// Whether it was the last piece.
    fn piece_ended(&mut self, job: JobId, medium: MediumId) -> bool {
        let Some(work) = self.jobs.get_mut(&job) else { return false };
        if let Some(pieces) = work.media.get_mut(&medium) {
            *pieces = pieces.saturating_sub(1);
            if *pieces == 0 {
                work.media.remove(&medium);
            }
        }
        let (done, vault) = (work.media.is_empty(), work.vault);
        if done {
            self.jobs.remove(&job);
            self.forget(vault);
        }
        done
    }

    /// The job is taken out whole: what reads it from elsewhere, or mends it by parity, is another request.
    fn read_failed(&mut self, id: DriveId, now: Timestamp) -> Result<Vec<Outcome>, Unexpected> {
        let drive = self.drive(id)?;
        let Drive::Reading { medium, at, job, visit, .. } = *drive else {
            return Err(Unexpected { drive: Some(id) });
        };
        *drive = Drive::loaded(medium, at, visit, now);
        Ok(if self.cancel(job) { vec![Outcome::Failed { job, medium }] } else { vec![] })
    }

    fn mount_failed(&mut self, id: DriveId) -> Result<Vec<Outcome>, Unexpected> {
        let drive = self.drive(id)?;
        let Drive::Mounting { medium, .. } = *drive else { return Err(Unexpected { drive: Some(id) }) };
        *drive = Drive::Empty { next: None };
        self.put_down(medium);
        self.left(medium)
    }

    fn drive_lost(&mut self, id: DriveId) -> Result<Vec<Outcome>, Unexpected> {
        let drive = std::mem::replace(self.drive(id)?, Drive::Lost);
        if let Drive::Empty { next: Some(next) } | Drive::Unmounting { next: Some(next), .. } = drive {
            self.put_down(next);
        }
        drive.medium().map_or(Ok(vec![]), |medium| self.left(medium))
    }

    fn drive_back(&mut self, id: DriveId) -> Result<(), Unexpected> {
        let drive = self.drive(id)?;
        let Drive::Lost = *drive else { return Err(Unexpected { drive: Some(id) }) };
        *drive = Drive::Empty { next: None };
        Ok(())
    }

    fn arrived(&mut self, medium: MediumId) -> Result<Vec<Outcome>, Unexpected> {
        let slot = self.media.get_mut(&medium).ok_or(Unexpected { drive: None })?;
        let was_here = std::mem::replace(&mut slot.medium.here, true);
        slot.asked = false;
        if was_here {
            return Ok(vec![]);
        }
        // Who brings a medium wants it read: it need not gather.
        slot.visited = Visited::LongAgo;
        let jobs = slot.jobs();
        Ok(jobs.into_iter().map(|job| self.brought(job)).collect())
    }

    /// A job whose medium came: it goes on, or waits for the next one.
    fn brought(&self, job: JobId) -> Outcome {
        let media = self.jobs.get(&job).into_iter().flat_map(|work| work.media.keys());
        let away = media.filter_map(|id| self.media.get(id)).find(|slot| !slot.medium.here);
        away.map_or(Outcome::Brought { job }, |slot| Outcome::Wants { job, label: slot.medium.label.clone() })
    }

    fn left(&mut self, medium: MediumId) -> Result<Vec<Outcome>, Unexpected> {
        let slot = self.media.get_mut(&medium).ok_or(Unexpected { drive: None })?;
        slot.medium.here = false;
        slot.drive = None;
        let label = slot.medium.label.clone();
        let jobs: BTreeSet<JobId> = slot.jobs();
        let station = slot.medium.station;
        for drive in self.stations.get_mut(&station).into_iter().flat_map(|station| &mut station.drives) {
            match *drive {
                // What the drive was to be emptied for it can have now.
                Drive::Unmounting { medium: old, next, .. } if old == medium => {
                    *drive = Drive::Empty { next }
                }
                _ if drive.medium() == Some(medium) => *drive = Drive::Empty { next: None },
                _ => drive.forget_next(medium),
            }
        }
        Ok(jobs.into_iter().map(|job| Outcome::Wants { job, label: label.clone() }).collect())
    }
}

fn not_there(job: JobId) -> Refused {
    Refused::NotFound { what: job.to_string() }
}

/// Ranges by medium, sorted; those that touch or overlap become one.
fn merged(extents: &[Extent]) -> BTreeMap<MediumId, Vec<(u64, u64)>> {
    let mut sorted = extents.to_vec();
    sorted.sort_by_key(|extent| (extent.medium, extent.offset, extent.len));
    let mut all: BTreeMap<MediumId, Vec<(u64, u64)>> = BTreeMap::new();
    for extent in sorted {
        let pieces = all.entry(extent.medium).or_default();
        match pieces.last_mut() {
            Some((at, len)) if extent.offset <= *at + *len => {
                *len = (*len).max(extent.offset + extent.len - *at);
            }
            _ => pieces.push((extent.offset, extent.len)),
        }
    }
    all
}

#[cfg(test)]
mod tests;
