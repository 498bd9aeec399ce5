//! Drives and media that do what they are told, in simulated time.

use crate::dice::Dice;
use crate::requests::{CAPACITY, COSTS, STATION, media};
use archive::retrieval::{
    Action, DriveId, Event, Extent, JobId, Limits, MediumId, Outcome, Policy, Refused, Request, Scheduler,
    Tier,
};
use engine::clock::Timestamp;
use engine::unit::ByteCount;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::Duration;

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fate {
    /// How soon it was wanted.
    pub tier: Tier,
    /// When it was asked for.
    pub created: Timestamp,
    /// When it had to be ready.
    pub deadline: Timestamp,
    /// What was quoted at once.
    pub quoted: Timestamp,
    /// When it was ready.
    pub done: Timestamp,
}

/// What became of all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Day {
    /// Of those that were accepted.
    pub fates: Vec<Fate>,
    /// Expedited ones that were refused for want of a drive.
    pub refused: usize,
    /// How often a medium was mounted.
    pub mounts: usize,
    /// How long all drives together were busy.
    pub busy_ms: u64,
    /// When the last was done.
    pub end: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Next {
    Drive(u16, Done),
    Request(usize),
    Wake,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Done {
    Mount,
    Unmount,
    Read,
}

#[derive(Clone, Copy, Debug, Default)]
struct Place {
    medium: Option<MediumId>,
    head: u64,
    busy: bool,
}

/// A library, its scheduler, and the clock.
#[derive(Debug)]
pub struct World {
    scheduler: Scheduler,
    dice: Dice,
    places: Vec<Place>,
    queue: BinaryHeap<Reverse<(i64, u64, Next)>>,
    order: u64,
    open: BTreeMap<JobId, (Fate, u64)>,
    day: Day,
}

impl World {
    /// All media here, all drives empty.
    ///
    /// # Panics
    /// When the scheduler refuses the library.
    pub fn new(seed: u64, drives: u16, now: Timestamp) -> Self {
        let mut scheduler = Scheduler::new(Policy::default(), Limits::default());
        scheduler.add_station(STATION, drives, now).expect("a station");
        for medium in media() {
            scheduler.add_medium(medium, now).expect("a medium");
        }
        Self {
            scheduler,
            dice: Dice::new(seed ^ 0x5EED),
            places: vec![Place::default(); usize::from(drives)],
            queue: BinaryHeap::new(),
            order: 0,
            open: BTreeMap::new(),
            day: Day::default(),
        }
    }

    /// Plays a day until the last request is done.
    ///
    /// # Panics
    /// When a plan does what can't be done, or leaves something undone.
    pub fn play(mut self, requests: &[Request]) -> Day {
        for (number, request) in requests.iter().enumerate() {
            self.at(request.created, Next::Request(number));
        }
        while let Some(Reverse((at, _, next))) = self.queue.pop() {
            let now = Timestamp::from_millis(at);
            match next {
                Next::Request(number) => self.submit(&requests[number], now),
                Next::Drive(number, done) => self.done(number, done, now),
                Next::Wake => {}
            }
            self.act(now);
        }
        assert!(self.open.is_empty(), "{} jobs were never done", self.open.len());
        assert_eq!(self.scheduler.stats().jobs, 0, "what is done is forgotten");
        self.day
    }

    fn at(&mut self, at: Timestamp, next: Next) {
        self.order += 1;
        self.queue.push(Reverse((at.as_millis(), self.order, next)));
    }

    fn submit(&mut self, request: &Request, now: Timestamp) {
        match self.scheduler.submit(request, now) {
            Ok(quote) => {
                let fate = Fate {
                    tier: request.tier,
                    created: now,
                    deadline: request.deadline,
                    quoted: quote.eta,
                    done: now,
                };
                let bytes = request.extents.iter().map(|extent| extent.len).sum();
                self.open.insert(request.job, (fate, bytes));
            }
            Err(Refused::InsufficientCapacity) => self.day.refused += 1,
            Err(other) => panic!("refused: {other}"),
        }
    }

    fn done(&mut self, number: u16, done: Done, now: Timestamp) {
        let drive = DriveId { station: STATION, number };
        self.places[usize::from(number)].busy = false;
        let event = match done {
            Done::Mount => Event::Mounted { drive },
            Done::Unmount => Event::Unmounted { drive },
            Done::Read => Event::ReadDone { drive },
        };
        for outcome in self.scheduler.on(event, now).expect("what was asked for happened") {
            match outcome {
                Outcome::Progress { job, bytes } => {
                    let (_, left) = self.open.get_mut(&job).expect("progress of an open job");
                    *left = left.checked_sub(bytes.get()).expect("no more is read than was asked for");
                }
                Outcome::Done { job } => {
                    let (mut fate, left) = self.open.remove(&job).expect("an open job");
                    assert_eq!(left, 0, "done when all is read");
                    fate.done = now;
                    self.day.end = now;
                    self.day.fates.push(fate);
                }
                other => panic!("{other:?}"),
            }
        }
    }

    fn act(&mut self, now: Timestamp) {
        let plan = self.scheduler.plan(now);
        for action in plan.actions {
            let (drive, cost, done) = match action {
                Action::Mount { drive, medium } => (drive, self.mount(drive, medium), Done::Mount),
                Action::Unmount { drive, medium } => (drive, self.unmount(drive, medium), Done::Unmount),
                Action::Read { drive, extent, .. } => (drive, self.read(drive, extent), Done::Read),
                Action::Bring { .. } => panic!("all media are here"),
            };
            let place = &mut self.places[usize::from(drive.number)];
            assert!(!place.busy, "one thing at a time");
            place.busy = true;
            let ms = self.dice.about(u64::try_from(cost.as_millis()).unwrap_or(u64::MAX));
            self.day.busy_ms += ms;
            self.at(now.plus(Duration::from_millis(ms)), Next::Drive(drive.number, done));
        }
        if let Some(wake) = plan.wake {
            assert!(wake > now, "a plan does at once what is due");
            if self.queue.peek().is_none_or(|Reverse((at, ..))| *at > wake.as_millis()) {
                self.at(wake, Next::Wake);
            }
        }
    }

    fn mount(&mut self, drive: DriveId, medium: MediumId) -> Duration {
        assert!(
            self.places.iter().all(|place| place.medium != Some(medium)),
            "{medium} is in a drive already"
        );
        let place = &mut self.places[usize::from(drive.number)];
        assert_eq!(place.medium, None, "the drive is empty");
        (place.medium, place.head) = (Some(medium), 0);
        self.day.mounts += 1;
        COSTS.mount
    }

    fn unmount(&mut self, drive: DriveId, medium: MediumId) -> Duration {
        let place = &mut self.places[usize::from(drive.number)];
        assert_eq!(place.medium.take(), Some(medium));
        COSTS.unmount
    }

    fn read(&mut self, drive: DriveId, extent: Extent) -> Duration {
        let place = &mut self.places[usize::from(drive.number)];
        assert_eq!(place.medium, Some(extent.medium));
        let seek = COSTS.seek(place.head, extent.offset, ByteCount::new(CAPACITY));
        place.head = extent.offset + extent.len;
        seek + COSTS.read(extent.len)
    }
}
