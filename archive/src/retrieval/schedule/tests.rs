//! Small libraries, an event at a time. What it comes to over a day with a petabyte is in tests/sim.

use super::Scheduler;
use super::types::{Action, Event, Extent, Limits, Outcome, Plan, Policy, Quote, Request, Unexpected};
use crate::retrieval::{
    Costs, DriveId, JobId, Medium, MediumId, MediumKind, Refused, StationId, Tier, VaultId,
};
use engine::clock::Timestamp;
use engine::unit::ByteCount;
use std::time::Duration;

const T0: Timestamp = Timestamp::from_millis(1_700_000_000_000);
const STATION: StationId = StationId(3);
const MIB: u64 = 1 << 20;
const COSTS: Costs = Costs {
    mount: Duration::from_mins(1),
    unmount: Duration::from_secs(30),
    seek_base: Duration::from_secs(1),
    seek_full: Duration::from_secs(10),
    read_per_second: ByteCount::mib(1),
    linger: None,
};

fn at(secs: u64) -> Timestamp {
    T0.plus(Duration::from_secs(secs))
}

const fn drive(number: u16) -> DriveId {
    DriveId { station: STATION, number }
}

const fn medium(number: u8) -> MediumId {
    MediumId::from_bytes([number; 16])
}

const fn job(number: u8) -> JobId {
    JobId::from_bytes([number; 16])
}

fn library(drives: u16, media: u8, costs: Costs) -> Scheduler {
    let mut scheduler = Scheduler::new(Policy::default(), Limits::default());
    scheduler.add_station(STATION, drives, T0).unwrap();
    for number in 0..media {
        let one = Medium {
            id: medium(number),
            label: format!("P{number:03}").parse().unwrap(),
            kind: MediumKind::Tape,
            station: STATION,
            capacity: ByteCount::mib(1000),
            costs,
            here: true,
        };
        scheduler.add_medium(one, T0).unwrap();
    }
    scheduler
}

fn request(number: u8, tier: Tier, extents: &[(u8, u64, u64)], now: Timestamp) -> Request {
    let hours = match tier {
        Tier::Expedited => Duration::from_mins(5),
        Tier::Standard => Duration::from_hours(5),
        Tier::Bulk => Duration::from_hours(12),
    };
    Request {
        job: job(number),
        vault: VaultId::from_bytes([1; 16]),
        tier,
        created: now,
        deadline: now.plus(hours),
        not_before: now,
        provisioned: false,
        extents: extents
            .iter()
            .map(|(on, mib, len)| Extent { medium: medium(*on), offset: mib * MIB, len: len * MIB })
            .collect(),
    }
}

fn submit(scheduler: &mut Scheduler, number: u8, tier: Tier, extents: &[(u8, u64, u64)], secs: u64) -> Quote {
    scheduler.submit(&request(number, tier, extents, at(secs)), at(secs)).unwrap()
}

/// Plans and ends, each in its own second, until nothing more is planned. Gives what was done in words.
fn run(scheduler: &mut Scheduler, mut secs: u64) -> Vec<String> {
    let mut told = Vec::new();
    let mut waiting = scheduler.plan(at(secs)).actions;
    while !waiting.is_empty() {
        let action = waiting.remove(0);
        secs += 1;
        let event = match &action {
            Action::Mount { drive, medium } => {
                told.push(format!("mount {} in {}", medium.as_bytes()[0], drive.number));
                Event::Mounted { drive: *drive }
            }
            Action::Unmount { drive, medium } => {
                told.push(format!("unmount {}", medium.as_bytes()[0]));
                Event::Unmounted { drive: *drive }
            }
            Action::Read { drive, job, extent } => {
                told.push(format!("read {} at {}", job.as_bytes()[0], extent.offset / MIB));
                Event::ReadDone { drive: *drive }
            }
            Action::Bring { label, jobs, .. } => {
                told.push(format!("bring {label} for {jobs}"));
                continue;
            }
        };
        for outcome in scheduler.on(event, at(secs)).unwrap() {
            if let Outcome::Done { job } = outcome {
                told.push(format!("done {}", job.as_bytes()[0]));
            }
        }
        waiting.extend(scheduler.plan(at(secs)).actions);
    }
    told
}

#[test]
fn a_medium_is_mounted_once_and_swept_by_position() {
    let mut scheduler = library(1, 1, COSTS);
    for (number, position) in [(1, 900), (2, 5), (3, 400)] {
        submit(&mut scheduler, number, Tier::Bulk, &[(0, position, 1)], 0);
    }
    let told = run(&mut scheduler, 0);
    assert_eq!(
        told,
        ["mount 0 in 0", "read 2 at 5", "done 2", "read 3 at 400", "done 3", "read 1 at 900", "done 1"]
    );
    assert_eq!(scheduler.stats().mounts, 1);
    // What comes while it lies there is read at once, behind the head first.
    submit(&mut scheduler, 4, Tier::Bulk, &[(0, 100, 1)], 50);
    submit(&mut scheduler, 5, Tier::Standard, &[(0, 950, 1)], 50);
    assert_eq!(run(&mut scheduler, 50), ["read 5 at 950", "done 5", "read 4 at 100", "done 4"]);
    assert_eq!(scheduler.stats().jobs, 0);
}

#[test]
fn long_pieces_are_read_in_slices_that_an_expedited_job_waits_for() {
    let mut scheduler = library(1, 2, COSTS);
    submit(&mut scheduler, 1, Tier::Standard, &[(0, 0, 50)], 0);
    let mount = scheduler.plan(at(0)).actions;
    assert_eq!(mount, [Action::Mount { drive: drive(0), medium: medium(0) }]);
    assert_eq!(scheduler.plan(at(1)), Plan::default(), "nothing twice");
    scheduler.on(Event::Mounted { drive: drive(0) }, at(60)).unwrap();
    let slice = Extent { medium: medium(0), offset: 0, len: 20 * MIB };
    let read = Action::Read { drive: drive(0), job: job(1), extent: slice };
    assert_eq!(scheduler.plan(at(60)).actions, [read]);
    let quote = submit(&mut scheduler, 2, Tier::Expedited, &[(1, 0, 1)], 70);
    assert!(!quote.late);
    // 10 s to the slice's end, then 30 s and 60 s for the exchange, a seek and a second of reading.
    assert_eq!(quote.eta, at(60 + 20 + 30 + 60 + 2));
    assert_eq!(scheduler.plan(at(70)).actions, [], "a slice is read to its end");
    let outcomes = scheduler.on(Event::ReadDone { drive: drive(0) }, at(80)).unwrap();
    assert_eq!(outcomes, [Outcome::Progress { job: job(1), bytes: ByteCount::mib(20) }]);
    assert_eq!(
        run_from(&mut scheduler, 80),
        [
            "unmount 0",
            "mount 1 in 0",
            "read 2 at 0",
            "done 2",
            "unmount 1",
            "mount 0 in 0",
            "read 1 at 20",
            "read 1 at 40",
            "done 1",
        ]
    );
}

fn run_from(scheduler: &mut Scheduler, secs: u64) -> Vec<String> {
    run(scheduler, secs)
}

#[test]
fn expedited_jobs_take_an_idle_drive_before_one_that_reads() {
    let mut scheduler = library(2, 3, COSTS);
    submit(&mut scheduler, 1, Tier::Standard, &[(0, 0, 50)], 0);
    scheduler.plan(at(0));
    scheduler.on(Event::Mounted { drive: drive(0) }, at(60)).unwrap();
    scheduler.plan(at(60));
    submit(&mut scheduler, 2, Tier::Expedited, &[(1, 0, 1)], 70);
    assert_eq!(scheduler.plan(at(70)).actions, [Action::Mount { drive: drive(1), medium: medium(1) }]);
    // On a medium that is mounted already it comes next, whatever lies nearer.
    submit(&mut scheduler, 3, Tier::Expedited, &[(0, 900, 1)], 71);
    scheduler.on(Event::ReadDone { drive: drive(0) }, at(80)).unwrap();
    let extent = Extent { medium: medium(0), offset: 900 * MIB, len: MIB };
    assert_eq!(scheduler.plan(at(80)).actions, [Action::Read { drive: drive(0), job: job(3), extent }]);
}

#[test]
fn what_no_drive_can_do_in_time_is_refused_but_for_provisioned_jobs() {
    let mut scheduler = library(1, 6, COSTS);
    let mut expedited = |number, provisioned| {
        let one = Request { provisioned, ..request(number, Tier::Expedited, &[(number, 0, 1)], at(0)) };
        scheduler.submit(&one, at(0)).map(|quote| quote.late)
    };
    assert_eq!(expedited(1, false), Ok(false));
    assert_eq!(expedited(2, false), Ok(false));
    assert_eq!(expedited(3, false), Ok(false));
    assert_eq!(expedited(4, false), Err(Refused::InsufficientCapacity));
    assert_eq!(expedited(5, true), Ok(true));
    assert_eq!(scheduler.stats().jobs, 4, "nothing is kept of what is refused");
    // The worst case of one is 30 + 60 + 1 + 10 s and a second of reading.
    assert_eq!(scheduler.expedited_in(Duration::from_mins(5), ByteCount::mib(1)), 2);
}

#[test]
fn media_gather_where_there_are_more_of_them_than_drives() {
    let mut scheduler = library(1, 4, COSTS);
    // The first medium has its turn at once, the next two at a half and a quarter of 4.3 hours: each mount serves what has come until then.
    submit(&mut scheduler, 1, Tier::Standard, &[(0, 0, 1)], 0);
    let quotes = [(2, 1, 700), (3, 2, 10), (4, 1, 20), (5, 2, 600)].map(|(number, on, position)| {
        submit(&mut scheduler, number, Tier::Standard, &[(on, position, 1)], 0).eta
    });
    let plan = scheduler.plan(at(0));
    assert_eq!(plan.actions, [Action::Mount { drive: drive(0), medium: medium(0) }]);
    let quarter = at(3870);
    assert_eq!(plan.wake, Some(quarter));
    assert!(quotes.iter().all(|eta| *eta > quarter && *eta < at(3 * 3600)), "{quotes:?}");
    scheduler.on(Event::Mounted { drive: drive(0) }, at(60)).unwrap();
    assert_eq!(run(&mut scheduler, 60), ["read 1 at 0", "done 1"]);
    // Bulk goes along with the standard jobs that come to the same medium.
    submit(&mut scheduler, 6, Tier::Bulk, &[(2, 300, 1)], 200);
    assert_eq!(
        run(&mut scheduler, 3870),
        [
            "unmount 0",
            "mount 2 in 0",
            "read 3 at 10",
            "done 3",
            "read 6 at 300",
            "done 6",
            "read 5 at 600",
            "done 5",
            // Only one medium is wanted by now, and has the drive to itself.
            "unmount 2",
            "mount 1 in 0",
            "read 4 at 20",
            "done 4",
            "read 2 at 700",
            "done 2",
        ]
    );
    assert_eq!(scheduler.stats().mounts, 3);
}

#[test]
fn a_deadline_that_is_near_takes_the_drive_from_what_can_wait() {
    let mut scheduler = library(1, 3, COSTS);
    submit(&mut scheduler, 1, Tier::Bulk, &[(0, 0, 900)], 0);
    scheduler.plan(at(0));
    scheduler.on(Event::Mounted { drive: drive(0) }, at(60)).unwrap();
    scheduler.plan(at(60));
    // A job with ten minutes left: as an upgrade from bulk, or one of a vault with a shorter day.
    let mut near = request(2, Tier::Standard, &[(1, 0, 1)], at(70));
    near.deadline = at(70 + 300);
    let quote = scheduler.submit(&near, at(70)).unwrap();
    assert!(quote.eta < near.deadline.plus(Duration::from_mins(15)));
    scheduler.on(Event::ReadDone { drive: drive(0) }, at(80)).unwrap();
    assert_eq!(scheduler.plan(at(80)).actions, [Action::Unmount { drive: drive(0), medium: medium(0) }]);
    let told = run_after_unmount(&mut scheduler, 110);
    assert_eq!(told[..4], ["mount 1 in 0", "read 2 at 0", "done 2", "unmount 1"]);
    assert_eq!(told.last().unwrap(), "done 1");
}

fn run_after_unmount(scheduler: &mut Scheduler, secs: u64) -> Vec<String> {
    scheduler.on(Event::Unmounted { drive: drive(0) }, at(secs)).unwrap();
    run(scheduler, secs)
}

#[test]
fn within_a_medium_a_deadline_that_the_sweep_would_miss_is_read_first() {
    let mut scheduler = library(1, 1, COSTS);
    submit(&mut scheduler, 1, Tier::Bulk, &[(0, 0, 400)], 0);
    let mut near = request(2, Tier::Standard, &[(0, 900, 1)], at(0));
    near.deadline = at(600);
    scheduler.submit(&near, at(0)).unwrap();
    assert_eq!(run(&mut scheduler, 0)[..4], ["mount 0 in 0", "read 2 at 900", "done 2", "read 1 at 0"]);
}

#[test]
fn a_medium_on_the_shelf_is_asked_for_once_and_goes_on_when_it_is_there() {
    let mut scheduler = library(1, 2, COSTS);
    scheduler.on(Event::Left { medium: medium(1) }, at(0)).unwrap();
    let quote = submit(&mut scheduler, 1, Tier::Standard, &[(1, 5, 1), (0, 7, 1)], 0);
    let label = "P001".parse().unwrap();
    assert_eq!(quote.bring, [label]);
    assert!(quote.eta > at(4 * 3600));
    submit(&mut scheduler, 2, Tier::Bulk, &[(1, 4, 1)], 0);
    // The part that is here is read meanwhile; the job is done with its last part only.
    assert_eq!(run(&mut scheduler, 0), ["bring P001 for 2", "mount 0 in 0", "read 1 at 7"]);
    assert_eq!(run(&mut scheduler, 100), Vec::<String>::new(), "not asked for again");
    let brought = [1, 2].map(|number| Outcome::Brought { job: job(number) });
    assert_eq!(scheduler.on(Event::Arrived { medium: medium(1) }, at(200)).unwrap(), brought);
    assert_eq!(scheduler.on(Event::Arrived { medium: medium(1) }, at(201)).unwrap(), [], "once");
    assert_eq!(
        run(&mut scheduler, 300),
        ["unmount 0", "mount 1 in 0", "read 2 at 4", "done 2", "read 1 at 5", "done 1"]
    );
    // An expedited job can't be in time for what is not here.
    scheduler.on(Event::Left { medium: medium(1) }, at(400)).unwrap();
    let refused = scheduler.submit(&request(3, Tier::Expedited, &[(1, 0, 1)], at(400)), at(400));
    assert_eq!(refused, Err(Refused::InsufficientCapacity));
}

#[test]
fn a_drive_that_fails_is_planned_for_no_more_until_it_is_back() {
    let mut scheduler = library(2, 3, COSTS);
    submit(&mut scheduler, 1, Tier::Standard, &[(0, 0, 50)], 0);
    scheduler.plan(at(0));
    scheduler.on(Event::Mounted { drive: drive(0) }, at(60)).unwrap();
    scheduler.plan(at(60));
    let wants = Outcome::Wants { job: job(1), label: "P000".parse().unwrap() };
    assert_eq!(scheduler.on(Event::DriveLost { drive: drive(0) }, at(61)).unwrap(), [wants]);
    assert_eq!(scheduler.on(Event::DriveLost { drive: drive(0) }, at(61)).unwrap(), [], "again");
    scheduler.on(Event::ReadDone { drive: drive(0) }, at(62)).unwrap_err();
    submit(&mut scheduler, 2, Tier::Standard, &[(1, 0, 1)], 62);
    assert_eq!(run(&mut scheduler, 62), ["bring P000 for 1", "mount 1 in 1", "read 2 at 0", "done 2"]);
    assert_eq!(scheduler.expedited_in(Duration::from_mins(5), ByteCount::mib(1)), 2);
    // The medium was got out of it, and goes into the other one.
    scheduler.on(Event::Arrived { medium: medium(0) }, at(70)).unwrap();
    assert_eq!(run(&mut scheduler, 70)[..2], ["unmount 1", "mount 0 in 1"]);
    // Without a drive nothing is planned, and a quote says so.
    scheduler.on(Event::DriveLost { drive: drive(1) }, at(80)).unwrap();
    assert!(submit(&mut scheduler, 3, Tier::Standard, &[(2, 0, 1)], 80).eta >= at(80 + 4 * 3600));
    let refused = scheduler.submit(&request(4, Tier::Expedited, &[(2, 0, 1)], at(80)), at(80));
    assert_eq!(refused, Err(Refused::InsufficientCapacity));
    assert_eq!(scheduler.plan(at(80)).actions, []);
    scheduler.on(Event::DriveBack { drive: drive(0) }, at(90)).unwrap();
    scheduler.on(Event::DriveBack { drive: drive(0) }, at(90)).unwrap_err();
    assert_eq!(run(&mut scheduler, 90), ["mount 2 in 0", "read 3 at 0", "done 3"]);
    assert_eq!(scheduler.expedited_in(Duration::from_mins(5), ByteCount::mib(1)), 2);
}

#[test]
fn what_a_lost_drive_was_emptied_for_goes_into_another() {
    for gone in [Event::DriveLost { drive: drive(0) }, Event::Left { medium: medium(0) }] {
        let mut scheduler = library(1, 2, COSTS);
        submit(&mut scheduler, 1, Tier::Standard, &[(0, 0, 1)], 0);
        assert_eq!(run(&mut scheduler, 0).len(), 3);
        submit(&mut scheduler, 2, Tier::Expedited, &[(1, 0, 1)], 10);
        assert_eq!(scheduler.plan(at(10)).actions, [Action::Unmount { drive: drive(0), medium: medium(0) }]);
        scheduler.on(gone, at(11)).unwrap();
        // The drive is back, or was emptied by who took the medium.
        let _ = scheduler.on(Event::DriveBack { drive: drive(0) }, at(12));
        assert_eq!(run(&mut scheduler, 13), ["mount 1 in 0", "read 2 at 0", "done 2"], "{gone:?}");
    }
}

#[test]
fn a_sweep_that_was_interrupted_goes_on_before_what_still_gathers() {
    let mut scheduler = library(1, 4, COSTS);
    submit(&mut scheduler, 1, Tier::Standard, &[(0, 0, 40)], 0);
    for number in [2, 3] {
        submit(&mut scheduler, number, Tier::Standard, &[(number - 1, 0, 1)], 0);
    }
    scheduler.plan(at(0));
    scheduler.on(Event::Mounted { drive: drive(0) }, at(60)).unwrap();
    scheduler.plan(at(60));
    submit(&mut scheduler, 4, Tier::Expedited, &[(3, 0, 1)], 70);
    scheduler.on(Event::ReadDone { drive: drive(0) }, at(80)).unwrap();
    assert_eq!(
        run(&mut scheduler, 80),
        [
            "unmount 0",
            "mount 3 in 0",
            "read 4 at 0",
            "done 4",
            "unmount 3",
            "mount 0 in 0",
            "read 1 at 20",
            "done 1"
        ]
    );
}

#[test]
fn a_job_that_wants_two_media_waits_for_the_second_when_the_first_has_come() {
    let mut scheduler = library(1, 2, COSTS);
    for number in [0, 1] {
        scheduler.on(Event::Left { medium: medium(number) }, at(0)).unwrap();
    }
    let quote = submit(&mut scheduler, 1, Tier::Standard, &[(0, 0, 1), (1, 0, 1)], 0);
    assert_eq!(quote.bring.len(), 2);
    assert_eq!(run(&mut scheduler, 0), ["bring P000 for 1", "bring P001 for 1"]);
    let wants = Outcome::Wants { job: job(1), label: "P001".parse().unwrap() };
    assert_eq!(scheduler.on(Event::Arrived { medium: medium(0) }, at(10)).unwrap(), [wants]);
    assert_eq!(run(&mut scheduler, 10), ["mount 0 in 0", "read 1 at 0"]);
    let brought = Outcome::Brought { job: job(1) };
    assert_eq!(scheduler.on(Event::Arrived { medium: medium(1) }, at(20)).unwrap(), [brought]);
    assert_eq!(run(&mut scheduler, 20).last().unwrap(), "done 1");
}

#[test]
fn a_medium_that_can_not_be_mounted_counts_as_away_and_one_that_can_not_be_read_fails_its_job() {
    let mut scheduler = library(1, 2, COSTS);
    submit(&mut scheduler, 1, Tier::Standard, &[(0, 0, 1)], 0);
    scheduler.plan(at(0));
    let label = "P000".parse().unwrap();
    let wants = Outcome::Wants { job: job(1), label };
    assert_eq!(scheduler.on(Event::MountFailed { drive: drive(0) }, at(60)).unwrap(), [wants]);
    assert!(matches!(scheduler.plan(at(60)).actions[..], [Action::Bring { .. }]));
    scheduler.on(Event::Arrived { medium: medium(0) }, at(70)).unwrap();
    scheduler.plan(at(70));
    scheduler.on(Event::Mounted { drive: drive(0) }, at(130)).unwrap();
    submit(&mut scheduler, 2, Tier::Standard, &[(0, 9, 1)], 130);
    scheduler.plan(at(130));
    let failed = Outcome::Failed { job: job(1), medium: medium(0) };
    assert_eq!(scheduler.on(Event::ReadFailed { drive: drive(0) }, at(131)).unwrap(), [failed]);
    assert_eq!(run(&mut scheduler, 131), ["read 2 at 9", "done 2"]);
}

#[test]
fn a_medium_that_is_pulled_out_while_it_is_read_frees_its_drive() {
    let mut scheduler = library(1, 2, COSTS);
    submit(&mut scheduler, 1, Tier::Standard, &[(0, 0, 1)], 0);
    scheduler.plan(at(0));
    scheduler.on(Event::Mounted { drive: drive(0) }, at(60)).unwrap();
    scheduler.plan(at(60));
    assert_eq!(scheduler.on(Event::Left { medium: medium(0) }, at(61)).unwrap().len(), 1);
    scheduler.on(Event::ReadDone { drive: drive(0) }, at(61)).unwrap_err();
    submit(&mut scheduler, 2, Tier::Standard, &[(1, 0, 1)], 62);
    assert_eq!(run(&mut scheduler, 62), ["bring P000 for 1", "mount 1 in 0", "read 2 at 0", "done 2"]);
}

#[test]
fn cancelled_jobs_are_read_no_further_and_upgraded_ones_sooner() {
    let mut scheduler = library(1, 4, COSTS);
    submit(&mut scheduler, 1, Tier::Standard, &[(0, 0, 40)], 0);
    scheduler.plan(at(0));
    scheduler.on(Event::Mounted { drive: drive(0) }, at(60)).unwrap();
    scheduler.plan(at(60));
    assert!(scheduler.cancel(job(1)));
    assert!(!scheduler.cancel(job(1)));
    assert_eq!(scheduler.on(Event::ReadDone { drive: drive(0) }, at(80)).unwrap(), []);
    assert_eq!(scheduler.plan(at(80)).actions, []);

    submit(&mut scheduler, 3, Tier::Bulk, &[(2, 0, 1)], 100);
    let slow = submit(&mut scheduler, 2, Tier::Bulk, &[(1, 0, 1)], 100).eta;
    let refused = scheduler.upgrade(job(2), Tier::Bulk, at(400), at(0), at(100));
    assert!(matches!(refused, Err(Refused::Invalid(_))));
    let quote = scheduler.upgrade(job(2), Tier::Expedited, at(400), at(0), at(100)).unwrap();
    assert!(quote.eta < slow && !quote.late);
    assert_eq!(run(&mut scheduler, 100)[..4], ["unmount 0", "mount 1 in 0", "read 2 at 0", "done 2"]);
    let gone = scheduler.upgrade(job(1), Tier::Expedited, at(400), at(0), at(100));
    assert!(matches!(gone, Err(Refused::NotFound { .. })));
}

#[test]
fn disks_spin_down_when_they_have_lingered_and_serve_what_comes_before() {
    let costs = Costs { linger: Some(Duration::from_mins(5)), ..COSTS };
    let mut scheduler = library(1, 1, costs);
    submit(&mut scheduler, 1, Tier::Standard, &[(0, 0, 1)], 0);
    assert_eq!(run(&mut scheduler, 0).len(), 3);
    assert_eq!(scheduler.plan(at(3)).wake, Some(at(2 + 300)));
    submit(&mut scheduler, 2, Tier::Bulk, &[(0, 0, 1)], 200);
    assert_eq!(run(&mut scheduler, 200), ["read 2 at 0", "done 2"]);
    assert_eq!(scheduler.plan(at(500)), Plan { actions: vec![], wake: Some(at(501)) });
    assert_eq!(run(&mut scheduler, 501), ["unmount 0"]);
}

#[test]
fn impossible_requests_are_refused_and_everything_is_bounded() {
    let limits = Limits { jobs: 3, jobs_per_vault: 2, extents_per_job: 2, media: 2, drives_per_station: 2 };
    let mut scheduler = Scheduler { limits, ..library(1, 2, COSTS) };
    let refused =
        |scheduler: &mut Scheduler, request: Request| scheduler.submit(&request, at(0)).unwrap_err();
    let good = |number: u8| request(number, Tier::Bulk, &[(0, 0, 1)], at(0));
    for extents in [&[][..], &[(0, 1000, 1)], &[(0, 5, 0)]] {
        let bad = request(1, Tier::Bulk, extents, at(0));
        assert!(matches!(refused(&mut scheduler, bad), Refused::Invalid(_)), "{extents:?}");
    }
    let bad = request(1, Tier::Bulk, &[(9, 0, 1)], at(0));
    assert!(matches!(refused(&mut scheduler, bad), Refused::NotFound { .. }));
    let many = request(1, Tier::Bulk, &[(0, 0, 1), (0, 2, 1), (0, 4, 1)], at(0));
    assert!(matches!(refused(&mut scheduler, many), Refused::LimitExceeded { limit: 2, .. }));
    scheduler.submit(&good(1), at(0)).unwrap();
    assert!(matches!(refused(&mut scheduler, good(1)), Refused::Invalid(_)), "twice");
    scheduler.submit(&good(2), at(0)).unwrap();
    assert!(matches!(refused(&mut scheduler, good(3)), Refused::LimitExceeded { limit: 2, .. }));
    let other = Request { vault: VaultId::from_bytes([2; 16]), ..good(3) };
    scheduler.submit(&other, at(0)).unwrap();
    let fourth = Request { vault: VaultId::from_bytes([3; 16]), ..good(4) };
    assert!(matches!(refused(&mut scheduler, fourth), Refused::LimitExceeded { limit: 3, .. }));
    // What is done or cancelled makes room.
    scheduler.cancel(job(1));
    scheduler.submit(&good(5), at(0)).unwrap();

    assert!(matches!(scheduler.add_station(STATION, 1, at(0)), Err(Refused::Invalid(_))), "twice");
    for drives in [0, 3] {
        assert!(matches!(scheduler.add_station(StationId(9), drives, at(0)), Err(Refused::Invalid(_))));
    }
    let mut spare = library(1, 1, COSTS).media.pop_first().unwrap().1.medium;
    assert!(matches!(scheduler.add_medium(spare.clone(), at(0)), Err(Refused::Invalid(_))), "twice");
    spare.id = medium(77);
    assert!(matches!(scheduler.add_medium(spare.clone(), at(0)), Err(Refused::Invalid(_))), "too many");
    scheduler.limits.media = 9;
    spare.station = StationId(5);
    assert!(matches!(scheduler.add_medium(spare, at(0)), Err(Refused::NotFound { .. })));
}

#[test]
fn events_of_what_was_not_asked_for_change_nothing() {
    let mut scheduler = library(1, 1, COSTS);
    for event in [
        Event::Mounted { drive: drive(0) },
        Event::Unmounted { drive: drive(0) },
        Event::ReadDone { drive: drive(0) },
        Event::ReadFailed { drive: drive(0) },
        Event::MountFailed { drive: drive(0) },
        Event::Mounted { drive: drive(7) },
    ] {
        scheduler.on(event, at(0)).unwrap_err();
    }
    let unknown = scheduler.on(Event::Arrived { medium: medium(9) }, at(0));
    assert_eq!(unknown, Err(Unexpected { drive: None }));
    submit(&mut scheduler, 1, Tier::Bulk, &[(0, 0, 1)], 0);
    assert_eq!(run(&mut scheduler, 0), ["mount 0 in 0", "read 1 at 0", "done 1"]);
}

#[test]
fn ranges_that_touch_are_read_as_one_and_a_job_is_done_with_its_last() {
    let mut scheduler = library(2, 2, COSTS);
    submit(&mut scheduler, 1, Tier::Standard, &[(0, 4, 2), (1, 9, 1), (0, 0, 4), (0, 5, 3), (0, 20, 1)], 0);
    assert_eq!(
        run(&mut scheduler, 0),
        ["mount 0 in 0", "mount 1 in 1", "read 1 at 0", "read 1 at 9", "read 1 at 20", "done 1"]
    );
    assert_eq!(scheduler.stats().bytes, ByteCount::mib(8 + 1 + 1));
}
