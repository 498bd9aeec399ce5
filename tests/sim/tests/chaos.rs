//! Whatever happens to media, drives and jobs, in any order: no plan does what can't be done, each outcome is one that the job's state machine takes, and when
//! all media are back every job comes to its end.

#![expect(clippy::unwrap_used, reason = "the helpers of a test are a test")]

use archive::inventory::Description;
use archive::retrieval::{
    Action, Costs, Depth, DriveId, Event, Extent, Failure, Job, JobEvent, JobId, JobState, Limits, Medium,
    MediumId, MediumKind, MicroDollars, Outcome, Policy, Refused, Request, Scheduler, StationId, Subject,
    Tier, VaultId,
};
use engine::clock::Timestamp;
use engine::unit::ByteCount;
use sim::dice::Dice;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const T0: Timestamp = Timestamp::from_millis(1_800_000_000_000);
/// Drives and media of each station.
const STATIONS: [(u16, u8); 3] = [(2, 6), (1, 3), (1, 1)];
const STEPS: usize = 3_000;

/// What a drive is at, and until when.
#[derive(Clone, Copy, Debug)]
enum Doing {
    Mount(MediumId),
    Unmount,
    Read,
}

struct Chaos {
    seed: u64,
    dice: Dice,
    now: Timestamp,
    scheduler: Scheduler,
    media: BTreeMap<MediumId, Medium>,
    away: BTreeSet<MediumId>,
    asked: BTreeSet<MediumId>,
    inside: BTreeMap<DriveId, MediumId>,
    doing: BTreeMap<DriveId, (Timestamp, Doing)>,
    broken: BTreeSet<DriveId>,
    jobs: BTreeMap<JobId, Job>,
    submitted: u128,
}

impl Chaos {
    fn new(seed: u64) -> Self {
        let mut scheduler = Scheduler::new(Policy::default(), Limits { jobs: 60, ..Limits::default() });
        let mut media = BTreeMap::new();
        for (station, (drives, count)) in STATIONS.into_iter().enumerate() {
            let id = StationId(u16::try_from(station).unwrap());
            scheduler.add_station(id, drives, T0).unwrap();
            let kind = [MediumKind::Tape, MediumKind::Shelf, MediumKind::Disk][station];
            for number in 0..count {
                let medium = Medium {
                    id: MediumId::from_bytes([u8::try_from(station).unwrap() * 16 + number + 1; 16]),
                    label: format!("{kind:?}-{number}").parse().unwrap(),
                    kind,
                    station: id,
                    capacity: ByteCount::gib(100),
                    costs: Costs::usual(kind),
                    here: true,
                };
                scheduler.add_medium(medium.clone(), T0).unwrap();
                media.insert(medium.id, medium);
            }
        }
        Self {
            seed,
            dice: Dice::new(seed),
            now: T0,
            scheduler,
            media,
            away: BTreeSet::new(),
            asked: BTreeSet::new(),
            inside: BTreeMap::new(),
            doing: BTreeMap::new(),
            broken: BTreeSet::new(),
            jobs: BTreeMap::new(),
            submitted: 0,
        }
    }

    fn any_medium(&mut self) -> MediumId {
        let at = self.dice.below(self.media.len() as u64);
        *self.media.keys().nth(usize::try_from(at).unwrap()).unwrap()
    }

    fn any_open_job(&mut self) -> Option<JobId> {
        let open: Vec<JobId> =
            self.jobs.iter().filter(|(_, job)| job.state.is_pending()).map(|(id, _)| *id).collect();
        let at = self.dice.below(open.len() as u64);
        open.get(usize::try_from(at).unwrap()).copied()
    }

    fn submit(&mut self) {
        self.submitted += 1;
        let id = JobId::from_bytes(self.submitted.to_be_bytes());
        let tier = Tier::ALL[usize::try_from(self.dice.below(3)).unwrap()];
        let extents: Vec<Extent> = (0..=self.dice.below(3))
            .map(|_| Extent {
                medium: self.any_medium(),
                offset: self.dice.below(90 << 30),
                len: self.dice.magnitude(1, 8 << 30),
            })
            .collect();
        let deadline = self.now.plus(Duration::from_secs(300 + self.dice.below(20_000)));
        let request = Request {
            job: id,
            vault: VaultId::from_bytes([1; 16]),
            tier,
            created: self.now,
            deadline,
            not_before: self.now,
            provisioned: self.dice.below(2) == 0,
            extents: extents.clone(),
        };
        let quote = match self.scheduler.submit(&request, self.now) {
            Ok(quote) => quote,
            Err(Refused::InsufficientCapacity) if tier == Tier::Expedited => return,
            Err(Refused::LimitExceeded { limit: 60, .. }) => return,
            Err(other) => panic!("FIRN_SEED={}: {other}", self.seed),
        };
        assert!(quote.eta >= self.now, "FIRN_SEED={}", self.seed);
        assert_eq!(quote.late, quote.eta > deadline);
        let job = Job {
            id,
            vault: request.vault,
            subject: Subject::Archive { archive: id.to_string(), range: None },
            tier,
            depth: Depth::Flexible,
            description: Description::default(),
            topic: String::new(),
            created: self.now,
            deadline,
            not_before: self.now,
            quoted: quote.eta,
            eta: quote.eta,
            bytes: ByteCount::new(extents.iter().map(|extent| extent.len).sum()),
            read: ByteCount::ZERO,
            keep: Duration::from_hours(24),
            cost: MicroDollars::default(),
            state: JobState::Queued,
        };
        self.jobs.insert(id, job);
        if let Some(label) = quote.bring.first() {
            self.step(id, JobEvent::Wants(label.clone()));
        }
    }

    fn step(&mut self, id: JobId, event: JobEvent) {
        let job = self.jobs.remove(&id).expect("a known job");
        let told = format!("FIRN_SEED={}: {event:?}", self.seed);
        let (job, _) = job.step(event, self.now).unwrap_or_else(|error| panic!("{told}: {error}"));
        self.jobs.insert(id, job);
    }

    fn tell(&mut self, event: Event) {
        let outcomes = self.scheduler.on(event, self.now);
        for outcome in outcomes.unwrap_or_else(|error| panic!("FIRN_SEED={}: {event:?}: {error}", self.seed))
        {
            match outcome {
                Outcome::Progress { job, bytes } => self.step(job, JobEvent::Progress(bytes)),
                Outcome::Done { job } => self.step(job, JobEvent::Read),
                Outcome::Wants { job, label } => self.step(job, JobEvent::Wants(label)),
                Outcome::Brought { job } => self.step(job, JobEvent::Brought),
                Outcome::Failed { job, .. } => self.step(job, JobEvent::Fail(Failure::Damaged)),
            }
        }
    }

    fn take_away(&mut self, medium: MediumId) {
        if self.away.insert(medium) {
            let drive = self.inside.iter().find(|(_, inside)| **inside == medium).map(|(drive, _)| *drive);
            let mounting =
                self.doing.iter().find(|(_, (_, doing))| matches!(doing, Doing::Mount(m) if *m == medium));
            let drive = drive.or(mounting.map(|(drive, _)| *drive));
            if let Some(drive) = drive {
                self.inside.remove(&drive);
                self.doing.remove(&drive);
            }
            self.tell(Event::Left { medium });
        }
    }

    fn bring_back(&mut self, medium: MediumId) {
        if self.away.remove(&medium) {
            self.asked.remove(&medium);
            self.tell(Event::Arrived { medium });
        }
    }

    fn upset(&mut self) {
        match self.dice.below(100) {
            0..30 => self.submit(),
            30..34 => {
                let medium = self.any_medium();
                self.take_away(medium);
            }
            34..40 => {
                let medium = self.any_medium();
                self.bring_back(medium);
            }
            40..43 => {
                if let Some(job) = self.any_open_job() {
                    assert!(self.scheduler.cancel(job), "FIRN_SEED={}", self.seed);
                    self.step(job, JobEvent::Fail(Failure::Cancelled));
                }
            }
            43..46 => self.upgrade(),
            46 => self.break_a_drive(),
            47 => self.mend_a_drive(),
            _ => {}
        }
    }

    fn break_a_drive(&mut self) {
        let station = usize::try_from(self.dice.below(3)).unwrap();
        let number = u16::try_from(self.dice.below(u64::from(STATIONS[station].0))).unwrap();
        let drive = DriveId { station: StationId(u16::try_from(station).unwrap()), number };
        let mounting = self.doing.remove(&drive).and_then(|(_, doing)| match doing {
            Doing::Mount(medium) => Some(medium),
            Doing::Unmount | Doing::Read => None,
        });
        self.away.extend(self.inside.remove(&drive).or(mounting));
        self.broken.insert(drive);
        self.tell(Event::DriveLost { drive });
    }

    fn mend_a_drive(&mut self) {
        if let Some(drive) = self.broken.pop_first() {
            self.tell(Event::DriveBack { drive });
        }
    }

    fn upgrade(&mut self) {
        let Some(id) = self.any_open_job() else { return };
        let Some(tier) = Tier::ALL.into_iter().find(|tier| *tier < self.jobs[&id].tier) else { return };
        let deadline = self.now.plus(Duration::from_mins(5));
        let quote = self.scheduler.upgrade(id, tier, deadline, self.now, self.now).unwrap();
        let cost = MicroDollars::default();
        self.step(id, JobEvent::Upgrade { tier, deadline, not_before: self.now, eta: quote.eta, cost });
    }

    fn plan(&mut self) -> Option<Timestamp> {
        let plan = self.scheduler.plan(self.now);
        for action in plan.actions {
            let (drive, doing) = match action {
                Action::Mount { drive, medium } => {
                    assert!(!self.inside.contains_key(&drive) && !self.away.contains(&medium));
                    assert!(self.inside.values().all(|inside| *inside != medium));
                    assert_eq!(self.media[&medium].station, drive.station);
                    (drive, Doing::Mount(medium))
                }
                Action::Unmount { drive, medium } => {
                    assert_eq!(self.inside.get(&drive), Some(&medium));
                    (drive, Doing::Unmount)
                }
                Action::Read { drive, job, extent } => {
                    assert_eq!(self.inside.get(&drive), Some(&extent.medium));
                    assert!(extent.len > 0 && extent.offset + extent.len <= 100 << 30);
                    self.step(job, JobEvent::Begun);
                    (drive, Doing::Read)
                }
                Action::Bring { medium, label, jobs, .. } => {
                    assert!(self.away.contains(&medium) && jobs > 0);
                    assert_eq!(self.media[&medium].label, label);
                    assert!(self.asked.insert(medium), "asked for once");
                    continue;
                }
            };
            assert!(!self.broken.contains(&drive));
            let until = self.now.plus(Duration::from_secs(1 + self.dice.below(100)));
            assert!(
                self.doing.insert(drive, (until, doing)).is_none(),
                "FIRN_SEED={}: one thing at a time",
                self.seed
            );
        }
        plan.wake
    }

    fn end_of(&mut self, drive: DriveId, calm: bool) {
        let Some((_, doing)) = self.doing.remove(&drive) else { return };
        let fails = !calm && self.dice.below(30) == 0;
        match doing {
            Doing::Mount(medium) if fails => {
                self.away.insert(medium);
                self.tell(Event::MountFailed { drive });
            }
            Doing::Mount(medium) => {
                self.inside.insert(drive, medium);
                self.tell(Event::Mounted { drive });
            }
            Doing::Unmount => {
                self.inside.remove(&drive);
                self.tell(Event::Unmounted { drive });
            }
            Doing::Read if fails => self.tell(Event::ReadFailed { drive }),
            Doing::Read => self.tell(Event::ReadDone { drive }),
        }
    }

    /// Goes on to what is next, or a little.
    fn pass(&mut self, wake: Option<Timestamp>, calm: bool) {
        let ends = self
            .doing
            .iter()
            .min_by_key(|(drive, (at, _))| (*at, **drive))
            .map(|(drive, (at, _))| (*at, *drive));
        let soon = self.now.plus(Duration::from_secs(1 + self.dice.below(120)));
        let next = [ends.map(|(at, _)| at), wake].into_iter().flatten().min();
        let next = if calm { next.unwrap_or(soon) } else { next.unwrap_or(soon).min(soon) };
        self.now = self.now.max(next);
        if let Some((_, drive)) = ends.filter(|(at, _)| *at <= self.now) {
            self.end_of(drive, calm);
        }
    }

    fn play(mut self) -> Self {
        for _ in 0..STEPS {
            self.upset();
            let wake = self.plan();
            self.pass(wake, false);
        }
        while !self.broken.is_empty() {
            self.mend_a_drive();
        }
        // Calm: everything is here again, and nothing more comes.
        for medium in self.media.keys().copied().collect::<Vec<_>>() {
            self.bring_back(medium);
        }
        for step in 0.. {
            let wake = self.plan();
            if self.scheduler.stats().jobs == 0 {
                break;
            }
            assert!(step < 20_000, "FIRN_SEED={}: {} jobs never end", self.seed, self.scheduler.stats().jobs);
            assert!(
                !self.doing.is_empty() || wake.is_some(),
                "FIRN_SEED={}: nothing is done and jobs are there",
                self.seed
            );
            self.pass(wake, true);
        }
        self
    }
}

#[test]
fn whatever_happens_every_job_ends_and_no_plan_does_what_can_not_be_done() {
    let number = |name: &str| std::env::var(name).ok().and_then(|number| number.parse::<u64>().ok());
    let (first, rounds) = (number("FIRN_SEED").unwrap_or(0) % (1 << 62), number("FIRN_ROUNDS").unwrap_or(20));
    let (mut ready, mut failed) = (0, 0);
    for seed in first..first + rounds {
        let end = Chaos::new(seed).play();
        for job in end.jobs.values() {
            match job.state {
                JobState::Ready { .. } => ready += 1,
                JobState::Failed { .. } => failed += 1,
                ref other => panic!("FIRN_SEED={seed}: {} is {}", job.id, other.name()),
            }
        }
    }
    assert!(ready > failed && failed > 0, "{ready} ready, {failed} failed");
}
