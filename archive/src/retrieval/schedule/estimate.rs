//! When a job will be ready: the plan played forward in whole visits.
//!
//! What is in the drives ends as planned; then each wanted medium gets the drive that is free first, in the plan's order, no sooner than it has
//! gathered. A visit lasts as long as its pieces take in one sweep, and what is to be expected to come in until then, by how much came
//! lately. Expedited jobs to come are not foreseen.

use super::plan::Candidate;
use super::station::{Drive, Slot, Station, Visit, ms};
use super::types::Quote;
use super::{Scheduler, Work, not_there};
use crate::retrieval::job::JobId;
use crate::retrieval::media::{Label, MediumId, StationId};
use crate::retrieval::{Refused, Tier};
use engine::clock::Timestamp;

const LABELS: usize = 16;

/// When a medium's sweep begins, and from where.
#[derive(Clone, Copy, Debug)]
struct Sweep {
    at: i64,
    head: u64,
    /// What more will have come in until then.
    growth: i64,
}

impl Scheduler {
    /// When a job will be ready, by the plan as it stands.
    pub fn quote(&self, job: JobId, now: Timestamp) -> Result<Quote, Refused> {
        let work = self.jobs.get(&job).ok_or_else(|| not_there(job))?;
        let mut bring: Vec<Label> = Vec::new();
        let mut eta = now.max(work.not_before);
        for medium in work.media.keys() {
            let Some(slot) = self.media.get(medium) else { continue };
            let at = if slot.medium.here {
                self.end_on(slot, job, work, now)
            } else {
                if bring.len() < LABELS {
                    bring.push(slot.medium.label.clone());
                }
                let costs = &slot.medium.costs;
                let ready = ms(self.policy.bring + costs.mount + costs.seek_full);
                now.as_millis().saturating_add(ready).saturating_add(slot.summary.work)
            };
            eta = eta.max(Timestamp::from_millis(at));
        }
        Ok(Quote { eta, late: eta > work.deadline, bring })
    }

    /// When the last of a job's pieces on a medium is read.
    fn end_on(&self, slot: &Slot, job: JobId, work: &Work, now: Timestamp) -> i64 {
        let own = slot.pending.iter().filter(|((_, of), _)| *of == job);
        if work.tier == Tier::Expedited {
            let left: i64 = own.map(|(_, piece)| slot.piece_ms(piece.left)).sum();
            return self.expedited_start(slot, now.as_millis()) + left;
        }
        let sweep = self.sweep_of(slot, now.as_millis());
        own.map(|((at, _), _)| end_of(slot, sweep, *at)).max().unwrap_or(sweep.at)
    }

    /// When the head is where an expedited job's reading begins, at the worst.
    fn expedited_start(&self, slot: &Slot, now: i64) -> i64 {
        let costs = &slot.medium.costs;
        let Some(station) = self.stations.get(&slot.medium.station) else { return now };
        if let Some(drive) = slot.drive.and_then(|number| station.drives.get(number)) {
            let full = ms(costs.seek_full);
            return match *drive {
                Drive::Unmounting { until, .. } => until + ms(costs.mount) + full,
                Drive::Lost | Drive::Empty { .. } => now + ms(costs.mount) + full,
                Drive::Mounting { until, .. } => until.max(now) + full,
                Drive::Reading { until, at, .. } => {
                    let first = slot.pending.keys().next().map_or(at, |(first, _)| *first);
                    until.max(now) + slot.travel_ms(slot.summary.far.abs_diff(at).max(first.abs_diff(at)))
                }
                Drive::Loaded { head, .. } => {
                    let first = slot.pending.keys().next().map_or(head, |(first, _)| *first);
                    now + slot.travel_ms(slot.summary.far.abs_diff(head).max(first.abs_diff(head)))
                }
            };
        }
        // Who comes before it takes the drive that is free before.
        let all = self.candidates(slot.medium.station, now);
        let before = all.iter().take_while(|other| other.medium != slot.medium.id).count();
        let mut free: Vec<i64> = station.usable().map(|drive| self.free_for_expedited(drive, now)).collect();
        free.sort_unstable();
        // Without a drive it lasts as long as bringing one does.
        let none = now + ms(self.policy.bring);
        let at = free.get(before % free.len().max(1)).copied().unwrap_or(none);
        let own =
            slot.pending.iter().filter(|(_, piece)| piece.tier == Tier::Expedited).map(|((at, _), _)| *at);
        let way = slot.travel_ms(own.max().unwrap_or(0));
        // A drive that is taken twice is busy with the first in between.
        let rounds = i64::try_from(before / free.len().max(1)).unwrap_or(i64::MAX / 4);
        let round = ms(costs.unmount + costs.mount + costs.seek_full);
        at + ms(costs.mount) + way + rounds.saturating_mul(round)
    }

    /// When a drive can begin to mount something else for an expedited job.
    fn free_for_expedited(&self, drive: &Drive, now: i64) -> i64 {
        let unmount =
            |medium: MediumId| self.media.get(&medium).map_or(0, |slot| ms(slot.medium.costs.unmount));
        let busy = |medium: MediumId| {
            let slot = self.media.get(&medium);
            let own = slot.filter(|slot| slot.summary.expedited.is_some());
            own.map_or(0, |slot| ms(slot.medium.costs.seek_full) + slot.summary.work)
        };
        match *drive {
            Drive::Lost | Drive::Empty { next: None } => now,
            Drive::Empty { next: Some(medium) } | Drive::Loaded { medium, .. } => {
                now + busy(medium) + unmount(medium)
            }
            Drive::Mounting { medium, until } | Drive::Reading { medium, until, .. } => {
                until.max(now) + busy(medium) + unmount(medium)
            }
            Drive::Unmounting { next: None, until, .. } => until.max(now),
            Drive::Unmounting { next: Some(medium), until, .. } => {
                until.max(now) + self.mount_ms(medium) + busy(medium) + unmount(medium)
            }
        }
    }

    fn mount_ms(&self, medium: MediumId) -> i64 {
        self.media.get(&medium).map_or(0, |slot| ms(slot.medium.costs.mount))
    }

    /// When the sweep of a medium begins that will have what is wanted of it now.
    fn sweep_of(&self, target: &Slot, now: i64) -> Sweep {
        let id = target.medium.station;
        let Some(station) = self.stations.get(&id) else { return Sweep { at: now, head: 0, growth: 0 } };
        let own = target.drive.and_then(|number| station.drives.get(number));
        if let Some(sweep) = own.and_then(|drive| self.sweep_in(drive, target, now)) {
            return sweep;
        }
        let mut free: Vec<i64> = station.usable().map(|drive| self.free_at(drive, now)).collect();
        let mut waiting = self.candidates(id, now);
        // What is mounted for an expedited job, its own batch to come later, comes in again then.
        if !waiting.iter().any(|candidate| candidate.medium == target.medium.id) {
            waiting.extend(as_candidate(target, station, now));
            waiting.sort_by_key(|candidate| (candidate.rank(now), candidate.medium));
        }
        for candidate in waiting {
            let Some(slot) = self.media.get(&candidate.medium) else { continue };
            let Some(first) = (0..free.len()).min_by_key(|drive| free[*drive]) else { break };
            let begins = free[first].max(candidate.due.min(candidate.latest_start));
            let loaded = begins + ms(slot.medium.costs.unmount + slot.medium.costs.mount);
            let growth = self.growth(id, loaded - now, now);
            if candidate.medium == target.medium.id {
                return Sweep { at: loaded, head: 0, growth };
            }
            free[first] = loaded + sweep_ms(slot, 0) + growth;
        }
        Sweep { at: now + ms(self.policy.bring), head: 0, growth: 0 }
    }

    /// Where the medium is in a drive, or on its way into one, and its batch is read there.
    fn sweep_in(&self, drive: &Drive, target: &Slot, now: i64) -> Option<Sweep> {
        let sweep = |at: i64, head| Some(Sweep { at, head, growth: 0 });
        match *drive {
            Drive::Loaded { medium, head, visit, .. } => {
                self.has_work(medium, visit, now).then_some(())?;
                if visit == Visit::Called && !self.nearly_due(target, now) {
                    return None;
                }
                sweep(now, head)
            }
            Drive::Reading { medium, at, len, visit, until, .. } if medium == target.medium.id => {
                let goes_on = visit != Visit::Called || self.nearly_due(target, now);
                goes_on.then_some(())?;
                sweep(until.max(now), at + len)
            }
            Drive::Mounting { medium, until } if medium == target.medium.id => {
                self.reads_batch(target, now).then_some(())?;
                sweep(until.max(now), 0)
            }
            Drive::Unmounting { next: Some(next), until, .. } if next == target.medium.id => {
                self.reads_batch(target, now).then_some(())?;
                sweep(until.max(now) + self.mount_ms(next), 0)
            }
            _ => None,
        }
    }

    fn reads_batch(&self, slot: &Slot, now: i64) -> bool {
        slot.sent == Visit::Batch || self.nearly_due(slot, now)
    }

    /// When a drive has done what it is at.
    fn free_at(&self, drive: &Drive, now: i64) -> i64 {
        let rest =
            |medium: MediumId, head: u64| self.media.get(&medium).map_or(0, |slot| sweep_ms(slot, head));
        match *drive {
            Drive::Lost | Drive::Empty { next: None } => now,
            Drive::Empty { next: Some(next) } => now + self.mount_ms(next) + rest(next, 0),
            Drive::Mounting { medium, until } => until.max(now) + rest(medium, 0),
            Drive::Loaded { medium, head, visit, .. } => {
                if self.has_work(medium, visit, now) {
                    now + rest(medium, head)
                } else {
                    now
                }
            }
            Drive::Reading { medium, at, len, visit, until, .. } => {
                let goes_on = self.has_work(medium, visit, now) && visit != Visit::Called;
                until.max(now) + if goes_on { rest(medium, at + len) } else { 0 }
            }
            Drive::Unmounting { next: None, until, .. } => until.max(now),
            Drive::Unmounting { next: Some(next), until, .. } => {
                until.max(now) + self.mount_ms(next) + rest(next, 0)
            }
        }
    }

    /// What comes in for one medium in a time, if it goes on as it did.
    fn growth(&self, station: StationId, span: i64, now: i64) -> i64 {
        self.stations.get(&station).map_or(0, |station| {
            let media = i64::try_from(station.media.len().max(1)).unwrap_or(i64::MAX);
            station.load.expected(span, now) / media
        })
    }
}

fn as_candidate(slot: &Slot, station: &Station, now: i64) -> Option<Candidate> {
    Some(Candidate {
        medium: slot.medium.id,
        expedited: None,
        deadline: slot.summary.deadline?,
        due: slot.gathers_until(station, now)?.max(now),
        latest_start: slot.summary.latest_start,
    })
}

/// All of a medium's pieces in one sweep from the head, and back to those before it.
pub(super) fn sweep_ms(slot: &Slot, head: u64) -> i64 {
    let Some(((first, _), _)) = slot.pending.first_key_value() else { return 0 };
    let far = slot.summary.far;
    let way = if *first >= head {
        far - head
    } else {
        far.saturating_sub(head) + head.max(far).saturating_sub(*first) + head.saturating_sub(*first)
    };
    slot.summary.work + slot.travel_ms(way)
}

/// When the piece at `offset` is read.
fn end_of(slot: &Slot, sweep: Sweep, offset: u64) -> i64 {
    let Sweep { at, head, growth } = sweep;
    let ahead = offset >= head;
    let is_before = |position: u64| {
        let other = position >= head;
        if ahead { other && position <= offset } else { other || position <= offset }
    };
    let before = slot.pending.iter().filter(|((position, _), _)| is_before(*position));
    let work: i64 = before.map(|(_, piece)| slot.piece_ms(piece.left)).sum();
    let way = if ahead {
        offset - head
    } else {
        let first = slot.pending.first_key_value().map_or(offset, |((first, _), _)| *first);
        let far = slot.summary.far.max(head);
        (far - head) + far.saturating_sub(first) + (offset - first.min(offset))
    };
    let capacity = u128::from(slot.medium.capacity.get().max(1));
    let grown = u128::try_from(growth.max(0)).unwrap_or(0) * u128::from(offset) / capacity;
    at + work + slot.travel_ms(way) + i64::try_from(grown).unwrap_or(i64::MAX / 4)
}
