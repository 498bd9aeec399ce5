//! What each drive does next.

use super::Scheduler;
use super::estimate::sweep_ms;
use super::station::{Drive, Piece, Slot, Visit, Visited, ms};
use super::types::{Action, Extent, Plan};
use crate::retrieval::Tier;
use crate::retrieval::job::JobId;
use crate::retrieval::media::{DriveId, MediumId, StationId};
use engine::clock::Timestamp;

/// A medium that is wanted, here, and in no drive.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    pub(super) medium: MediumId,
    pub(super) expedited: Option<Timestamp>,
    pub(super) deadline: Timestamp,
    /// When it may be mounted.
    pub(super) due: i64,
    pub(super) latest_start: i64,
}

impl Candidate {
    /// Expedited first, then what is urgent by deadline, then what is due by how long it has been.
    pub(super) fn rank(&self, now: i64) -> (u8, i64) {
        match self.expedited {
            Some(deadline) => (0, deadline.as_millis()),
            None if self.latest_start <= now => (1, self.deadline.as_millis()),
            None => (2, self.due),
        }
    }
}

impl Scheduler {
    /// What is to be done now. Each action is taken to have begun; the end of each is told by [`on`](Self::on).
    pub fn plan(&mut self, now: Timestamp) -> Plan {
        let mut plan = Plan::default();
        let stations: Vec<StationId> = self.stations.keys().copied().collect();
        for station in stations {
            self.ask_for_media(station, &mut plan);
            self.serve_expedited(station, now, &mut plan);
            self.read_on(station, now, &mut plan);
            self.visit_next(station, now, &mut plan);
            self.put_away(station, now, &mut plan);
        }
        plan
    }

    /// Wanted media that no drive has, most urgent first.
    pub(super) fn candidates(&self, station: StationId, now: i64) -> Vec<Candidate> {
        let Some(station) = self.stations.get(&station) else { return vec![] };
        let slots = station.media.iter().filter_map(|id| self.media.get(id));
        let mut busy = station.usable().filter(|drive| self.is_busy(drive, now)).count();
        let mut all: Vec<Candidate> = slots
            .filter(|slot| slot.medium.here && slot.drive.is_none())
            .filter_map(|slot| {
                Some(Candidate {
                    medium: slot.medium.id,
                    expedited: slot.summary.expedited,
                    deadline: slot.summary.deadline?,
                    due: slot.gathers_until(station, now)?,
                    latest_start: slot.summary.latest_start,
                })
            })
            .collect();
        busy += all.len();
        if busy <= station.usable().count() {
            // Each has a drive to itself: nothing is gained by waiting.
            for candidate in &mut all {
                candidate.due = candidate.due.min(now);
            }
        }
        all.sort_by_key(|candidate| (candidate.rank(now), candidate.medium));
        all
    }

    /// Whether a drive has something to do that was planned already.
    fn is_busy(&self, drive: &Drive, now: i64) -> bool {
        match drive {
            Drive::Lost => false,
            Drive::Empty { next } => next.is_some(),
            Drive::Loaded { medium, visit, .. } => self.has_work(*medium, *visit, now),
            Drive::Mounting { .. } | Drive::Reading { .. } | Drive::Unmounting { .. } => true,
        }
    }

    /// Whether a mounted medium is to be read now.
    pub(super) fn has_work(&self, medium: MediumId, visit: Visit, now: i64) -> bool {
        self.media.get(&medium).is_some_and(|slot| {
            let batch = || visit == Visit::Batch || self.nearly_due(slot, now);
            !slot.pending.is_empty() && (slot.summary.expedited.is_some() || batch())
        })
    }

    /// Whether a medium that is mounted for something else has its batch read along.
    pub(super) fn nearly_due(&self, slot: &Slot, now: i64) -> bool {
        let station = self.stations.get(&slot.medium.station);
        station
            .and_then(|station| slot.along_from(&self.policy, station, now))
            .is_some_and(|from| from <= now)
    }

    fn ask_for_media(&mut self, station: StationId, plan: &mut Plan) {
        let Some(station) = self.stations.get(&station) else { return };
        for id in &station.media {
            let Some(slot) = self.media.get_mut(id) else { continue };
            let Some(deadline) = slot.summary.deadline.filter(|_| !slot.medium.here && !slot.asked) else {
                continue;
            };
            slot.asked = true;
            plan.actions.push(Action::Bring {
                medium: *id,
                label: slot.medium.label.clone(),
                jobs: slot.jobs().len(),
                deadline,
            });
        }
    }

    /// Rule 1: each expedited medium gets a drive, one that loses least by it.
    fn serve_expedited(&mut self, station: StationId, now: Timestamp, plan: &mut Plan) {
        let wanted = self.candidates(station, now.as_millis());
        for candidate in wanted.into_iter().take_while(|candidate| candidate.expedited.is_some()) {
            let Some(number) = self.least_loss(station, now.as_millis(), true) else { return };
            self.assign(station, number, candidate.medium, now, plan);
        }
    }

    /// A drive that can be had now: an empty one, else the one that has been idle longest, else, if it may be one that reads, the one
    /// whose work is farthest from its deadline.
    fn least_loss(&self, station: StationId, now: i64, preempt: bool) -> Option<usize> {
        let drives = self.stations.get(&station)?.drives.iter().enumerate();
        let free = drives.filter_map(|(number, drive)| match drive {
            Drive::Empty { next: None } => Some(((0, 0, 0), number)),
            Drive::Loaded { medium, visit, idle_since, .. } => {
                let sum = self.media.get(medium).map(|slot| slot.summary).unwrap_or_default();
                if !self.has_work(*medium, *visit, now) {
                    // Rather one whose medium nobody waits for: the others will be wanted where they are.
                    let wanted = sum.deadline.map_or(i64::MIN, |_| -sum.latest_start);
                    return Some(((1, wanted, *idle_since), number));
                }
                (preempt && sum.expedited.is_none()).then_some(((2, -sum.latest_start, 0), number))
            }
            _ => None,
        });
        free.min().map(|(_, number)| number)
    }

    /// Rule 3, and of rule 2 what concerns drives that read: each goes on, or leaves for a medium that can't wait.
    fn read_on(&mut self, station: StationId, now: Timestamp, plan: &mut Plan) {
        let count = self.stations.get(&station).map_or(0, |station| station.drives.len());
        for number in 0..count {
            let Some(Drive::Loaded { medium, head, visit, .. }) = self.drive_at(station, number) else {
                continue;
            };
            if !self.has_work(medium, visit, now.as_millis()) {
                continue;
            }
            match self.more_urgent(station, medium, head, now.as_millis()) {
                Some(other) => self.assign(station, number, other, now, plan),
                None => self.read(station, number, now, plan),
            }
        }
    }

    /// A medium that this drive leaves its sweep for, where no other drive is free: one that would be late for it and otherwise not. What
    /// is late anyway waits for the sweep's end at the top of the medium: leaving costs a mount more, and with too much to do each
    /// mount makes more late. But no second sweep begins before it.
    fn more_urgent(&self, station: StationId, mounted: MediumId, head: u64, now: i64) -> Option<MediumId> {
        let slot = self.media.get(&mounted)?;
        let own = slot.summary;
        if own.expedited.is_some() || self.least_loss(station, now, false).is_some() {
            return None;
        }
        let all = self.candidates(station, now);
        let mut urgent = all.into_iter().filter(|other| other.latest_start <= now);
        if slot.pending.range((head, JobId::from_bytes([0; 16]))..).next().is_none() {
            return urgent.next().map(|other| other.medium);
        }
        let margin = ms(self.policy.margin);
        let done = now + sweep_ms(slot, head);
        let saved = urgent.find(|other| {
            let last_start = other.latest_start + margin;
            now <= last_start && last_start < done
        });
        saved
            .filter(|other| own.deadline.is_none_or(|deadline| other.deadline < deadline))
            .map(|other| other.medium)
    }

    /// Rules 2 and 4: free drives go to what is due.
    fn visit_next(&mut self, station: StationId, now: Timestamp, plan: &mut Plan) {
        self.mount_next(station, now, plan);
        for candidate in self.candidates(station, now.as_millis()) {
            if candidate.due > now.as_millis() && candidate.latest_start > now.as_millis() {
                let at = Timestamp::from_millis(candidate.due.min(candidate.latest_start));
                plan.wake = Some(plan.wake.map_or(at, |wake| wake.min(at)));
                continue;
            }
            let Some(number) = self.least_loss(station, now.as_millis(), false) else { break };
            self.assign(station, number, candidate.medium, now, plan);
        }
    }

    /// Drives that were emptied for a medium take it, if it is still wanted.
    fn mount_next(&mut self, station: StationId, now: Timestamp, plan: &mut Plan) {
        let count = self.stations.get(&station).map_or(0, |station| station.drives.len());
        for number in 0..count {
            let Some(Drive::Empty { next: Some(medium) }) = self.drive_at(station, number) else { continue };
            self.set_drive(station, number, Drive::Empty { next: None });
            let Some(slot) = self.media.get_mut(&medium) else { continue };
            slot.drive = None;
            if slot.medium.here && !slot.pending.is_empty() {
                self.assign(station, number, medium, now, plan);
            }
        }
    }

    /// Media that nothing is read of are put away when they have lingered. Those that are mounted early are looked at again when their batch
    /// is due.
    fn put_away(&mut self, station: StationId, now: Timestamp, plan: &mut Plan) {
        let count = self.stations.get(&station).map_or(0, |station| station.drives.len());
        for number in 0..count {
            let Some(Drive::Loaded { medium, idle_since, .. }) = self.drive_at(station, number) else {
                continue;
            };
            let Some((slot, of)) = self.media.get(&medium).zip(self.stations.get(&station)) else { continue };
            let costs = slot.medium.costs;
            let end = costs.linger.map(|linger| Timestamp::from_millis(idle_since).plus(linger));
            if end.is_some_and(|end| end <= now) {
                let until = now.plus(costs.unmount).as_millis();
                self.set_drive(station, number, Drive::Unmounting { medium, next: None, until });
                plan.actions.push(Action::Unmount { drive: drive_id(station, number), medium });
                continue;
            }
            let due = slot.along_from(&self.policy, of, now.as_millis()).map(Timestamp::from_millis);
            plan.wake = [plan.wake, end, due.filter(|due| *due > now)].into_iter().flatten().min();
        }
    }

    /// A drive is to have this medium: at once, or when the one in it is put back.
    fn assign(
        &mut self,
        station: StationId,
        number: usize,
        medium: MediumId,
        now: Timestamp,
        plan: &mut Plan,
    ) {
        let old = self.drive_at(station, number).and_then(|drive| drive.medium());
        let Some(costs) = self.media.get(&old.unwrap_or(medium)).map(|slot| slot.medium.costs) else {
            return;
        };
        if let Some(slot) = self.media.get_mut(&medium) {
            slot.drive = Some(number);
            slot.sent = if slot.summary.expedited.is_some() { Visit::Called } else { Visit::Batch };
        }
        if let Some(Drive::Loaded { medium: old, visit: Visit::Batch, .. }) = self.drive_at(station, number)
            && let Some(slot) = self.media.get_mut(&old).filter(|slot| !slot.pending.is_empty())
        {
            // It had its turn and was not done: it goes on as soon as it can.
            slot.visited = Visited::LongAgo;
        }
        let drive = drive_id(station, number);
        if let Some(old) = old {
            let until = now.plus(costs.unmount).as_millis();
            self.set_drive(station, number, Drive::Unmounting { medium: old, next: Some(medium), until });
            plan.actions.push(Action::Unmount { drive, medium: old });
        } else {
            let until = now.plus(costs.mount).as_millis();
            self.set_drive(station, number, Drive::Mounting { medium, until });
            self.stats.mounts += 1;
            plan.actions.push(Action::Mount { drive, medium });
        }
    }

    fn read(&mut self, station: StationId, number: usize, now: Timestamp, plan: &mut Plan) {
        let Some(Drive::Loaded { medium, head, visit, .. }) = self.drive_at(station, number) else { return };
        let (policy, now_ms) = (self.policy, now.as_millis());
        let Some(slot) = self.media.get_mut(&medium) else { return };
        let Some((at, job, tier, left)) = next_piece(slot, head, ms(policy.margin), now_ms) else { return };
        let costs = slot.medium.costs;
        let slice = costs.read_per_second.get().saturating_mul(policy.slice.as_secs().max(1));
        let len = left.min(slice.max(1));
        let until = now.plus(costs.seek(head, at, slot.medium.capacity) + costs.read(len)).as_millis();
        let visit = if tier != Tier::Expedited && visit == Visit::Called {
            slot.visited = Visited::At(now_ms);
            Visit::Batch
        } else {
            visit
        };
        self.set_drive(station, number, Drive::Reading { medium, at, len, job, visit, until });
        self.stats.reads += 1;
        let extent = Extent { medium, offset: at, len };
        plan.actions.push(Action::Read { drive: drive_id(station, number), job, extent });
    }

    fn drive_at(&self, station: StationId, number: usize) -> Option<Drive> {
        self.stations.get(&station)?.drives.get(number).copied()
    }

    fn set_drive(&mut self, station: StationId, number: usize, to: Drive) {
        let drive = self.stations.get_mut(&station).and_then(|station| station.drives.get_mut(number));
        if let Some(drive) = drive {
            *drive = to;
        }
    }
}

fn drive_id(station: StationId, number: usize) -> DriveId {
    DriveId { station, number: u16::try_from(number).unwrap_or(u16::MAX) }
}

/// Expedited first; then what the sweep would be too late for, and is not yet; then the next one upwards from the head, and from the
/// beginning again.
fn next_piece(slot: &Slot, head: u64, margin: i64, now: i64) -> Option<(u64, JobId, Tier, u64)> {
    let sum = &slot.summary;
    let sweep = sum.work + slot.travel_ms(slot.medium.capacity.get()) + margin;
    let pressed = |deadline: Timestamp| (0..sweep).contains(&(deadline.as_millis() - now));
    let all = || slot.pending.iter();
    let expedited = || all().filter(|(_, piece)| piece.tier == Tier::Expedited);
    let near = || all().filter(|(_, piece)| pressed(piece.deadline));
    let soonest = |((at, _), piece): &(&(u64, JobId), &Piece)| (piece.deadline, *at);
    let from = JobId::from_bytes([0; 16]);
    let swept = || slot.pending.range((head, from)..).next().or_else(|| all().next());
    let chosen = if sum.expedited.is_some() {
        expedited().min_by_key(soonest)
    } else {
        near().min_by_key(soonest).or_else(swept)
    };
    chosen.map(|((at, job), piece)| (*at, *job, piece.tier, piece.left))
}
