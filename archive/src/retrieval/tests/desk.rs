//! What is accepted, and what is left of what is not.

use super::super::{
    Admission, Ask, Capacity, Costs, Depth, Desk, Event, Extent, JobEvent, JobId, JobState, Limits, Medium,
    MediumId, MediumKind, MicroDollars, Policy, Price, Prices, Refused, RetrievalPolicy, Scheduler,
    StationId, Subject, Terms, Tier, Timetable, UnitId, Usage, VaultId,
};
use super::{HOUR, T0, after};
use crate::inventory::{Description, Format, Selection};
use engine::clock::Timestamp;
use engine::unit::ByteCount;
use security::AccountId;
use std::time::Duration;

const TAPE: MediumId = MediumId::from_bytes([1; 16]);
const MINUTE: Duration = Duration::from_mins(1);

struct World {
    usage: Usage,
    capacity: Capacity,
    scheduler: Scheduler,
    terms: Terms,
}

impl World {
    fn new() -> Self {
        let mut scheduler = Scheduler::new(Policy::default(), Limits::default());
        scheduler.add_station(StationId(1), 1, T0).unwrap();
        let tape = Medium {
            id: TAPE,
            label: "T1".parse().unwrap(),
            kind: MediumKind::Tape,
            station: StationId(1),
            capacity: ByteCount::gib(1000),
            costs: Costs::usual(MediumKind::Tape),
            here: true,
        };
        scheduler.add_medium(tape, T0).unwrap();
        let price =
            |micro: u64| Price { per_1000_requests: MicroDollars::new(1000 * micro), ..Price::default() };
        let prices = Prices {
            expedited: price(100),
            standard: price(10),
            bulk: price(1),
            provisioned_unit: MicroDollars::default(),
        };
        let policy = RetrievalPolicy::BytesPerHour(ByteCount::gib(10));
        let terms = Terms { policy, timetable: Timetable::default(), prices };
        Self { usage: Usage::default(), capacity: Capacity::new(4, vec![]), scheduler, terms }
    }

    fn desk(&mut self) -> (Desk<'_>, Terms) {
        let desk =
            Desk { usage: &mut self.usage, capacity: &mut self.capacity, scheduler: &mut self.scheduler };
        (desk, self.terms)
    }

    fn accept(&mut self, ask: Ask, now: Timestamp) -> Result<super::Job, Refused> {
        let (mut desk, terms) = self.desk();
        desk.accept(ask, &terms, now).map(|(job, _)| job)
    }

    /// All that a refusal must leave as it was.
    fn state(&self) -> (Usage, u64, String) {
        (self.usage.clone(), self.scheduler.stats().jobs, format!("{:?}", self.capacity))
    }
}

fn account() -> AccountId {
    "123456789012".parse().unwrap()
}

fn ask(number: u8, tier: Tier, gib: u64) -> Ask {
    Ask {
        id: JobId::from_bytes([number; 16]),
        vault: VaultId::from_bytes([1; 16]),
        account: account(),
        subject: Subject::Archive { archive: "a".into(), range: None },
        tier,
        depth: Depth::Flexible,
        description: Description::default(),
        topic: String::new(),
        keep: HOUR * 24,
        bytes: ByteCount::gib(gib),
        extents: vec![Extent { medium: TAPE, offset: 0, len: gib << 30 }],
    }
}

#[test]
fn an_accepted_job_has_its_deadline_quote_and_price() {
    let mut world = World::new();
    let job = world.accept(ask(1, Tier::Standard, 3), T0).unwrap();
    assert_eq!((job.deadline, job.not_before, job.state.clone()), (after(5), T0, JobState::Queued));
    assert!(job.quoted > T0 && job.quoted < T0.plus(MINUTE * 5) && job.eta == job.quoted, "{:?}", job.quoted);
    assert_eq!(job.cost, MicroDollars::new(10));
    assert_eq!(world.scheduler.stats().jobs, 1);
    // A vault that keeps the timetable quotes its window.
    world.terms.timetable.kept = true;
    let kept = world.accept(ask(2, Tier::Bulk, 1), T0).unwrap();
    assert_eq!((kept.not_before, kept.quoted), (after(5), after(5)));
    // What waits for a medium says so from the beginning.
    world.scheduler.on(Event::Left { medium: TAPE }, T0).unwrap();
    let waits = world.accept(ask(3, Tier::Bulk, 1), T0).unwrap();
    assert_eq!(waits.state, JobState::Waiting { label: "T1".parse().unwrap() });
}

#[test]
fn nothing_is_left_of_a_job_that_is_refused() {
    let mut world = World::new();
    world.accept(ask(1, Tier::Standard, 8), T0).unwrap();
    let before = world.state();
    let enforced = Refused::PolicyEnforced { left_bytes: 2 << 30 };
    assert_eq!(world.accept(ask(2, Tier::Standard, 3), T0), Err(enforced));
    // No drive reads 900 GiB in five minutes.
    assert_eq!(world.accept(ask(2, Tier::Expedited, 900), T0), Err(Refused::InsufficientCapacity));
    let deep = Ask { depth: Depth::Deep, ..ask(2, Tier::Expedited, 1) };
    assert!(matches!(world.accept(deep, T0), Err(Refused::Invalid(_))));
    let nowhere = MediumId::from_bytes([9; 16]);
    let lost =
        Ask { extents: vec![Extent { medium: nowhere, offset: 0, len: 1 }], ..ask(2, Tier::Standard, 1) };
    assert!(matches!(world.accept(lost, T0), Err(Refused::NotFound { .. })));
    assert_eq!(world.state(), before);
    // Bulk is no matter of the policy, and what is provisioned is taken also where it will be late.
    world.accept(ask(2, Tier::Bulk, 30), T0).unwrap();
    let unit = world.capacity.offer(UnitId::from_bytes([1; 16]), account(), (T0, crate::lock::DAY));
    world.capacity.add(unit.unwrap(), T0);
    let (mut desk, terms) = world.desk();
    let (job, admission) = desk.accept(ask(3, Tier::Expedited, 900), &terms, T0).unwrap();
    assert_eq!(admission, Some(Admission::Provisioned));
    assert!(job.quoted > job.deadline);
}

#[test]
fn an_upgrade_is_asked_for_like_a_job_and_resumed_jobs_are_never_refused() {
    let mut world = World::new();
    let job = world.accept(ask(1, Tier::Bulk, 3), T0).unwrap();
    let now = T0.plus(MINUTE);
    let (mut desk, terms) = world.desk();
    let event = desk.upgrade(&job, account(), Tier::Standard, &terms, now).unwrap();
    let (upgraded, _) = job.clone().step(event, now).unwrap();
    assert_eq!((upgraded.tier, upgraded.deadline), (Tier::Standard, now.plus(HOUR * 5)));
    assert_eq!(upgraded.cost, MicroDollars::new(11));
    let (mut desk, terms) = world.desk();
    for same in [Tier::Standard, Tier::Bulk] {
        let refused = desk.upgrade(&upgraded, account(), same, &terms, now);
        assert!(matches!(refused, Err(Refused::Invalid(_))));
    }
    // The policy has 7 GiB left, so that another 8 are refused and the plan stays.
    let more = world.accept(ask(2, Tier::Bulk, 8), T0).unwrap();
    let before = world.state();
    let (mut desk, terms) = world.desk();
    let enforced = Refused::PolicyEnforced { left_bytes: 7 << 30 };
    assert_eq!(desk.upgrade(&more, account(), Tier::Standard, &terms, now), Err(enforced));
    assert_eq!(world.state(), before);
    // One that is read already and held back needs no drive.
    let held = super::job(JobState::Held);
    let terms = Terms { timetable: Timetable { kept: true, ..Timetable::default() }, ..terms };
    let (mut desk, _) = world.desk();
    let event = desk.upgrade(&held, account(), Tier::Expedited, &terms, now).unwrap();
    assert!(matches!(event, JobEvent::Upgrade { eta, .. } if eta == now.plus(MINUTE)));

    let mut restarted = World::new();
    let (mut desk, _) = restarted.desk();
    let late = super::Job { tier: Tier::Expedited, deadline: T0, ..job };
    let quote = desk.resume(&late, ask(1, Tier::Bulk, 3).extents, after(9)).unwrap();
    assert!(quote.late);
}

#[test]
fn an_inventory_needs_no_drive_no_capacity_and_no_money() {
    let mut world = World::new();
    let subject = Subject::Inventory { format: Format::Json, selection: Selection::default() };
    let inventory = Ask { subject, extents: vec![], ..ask(1, Tier::Expedited, 50) };
    let before = world.state();
    let job = world.accept(inventory, T0).unwrap();
    assert_eq!((job.tier, job.quoted, job.cost), (Tier::Standard, T0, MicroDollars::default()));
    assert_eq!(world.state(), before);
}
