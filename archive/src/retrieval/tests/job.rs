//! Every state with every event.

use super::super::{Effect, Failure, Illegal, Job, JobEvent, JobState, MicroDollars, Tier};
use super::{T0, after, job};
use engine::unit::ByteCount;

fn states() -> [JobState; 7] {
    [
        JobState::Queued,
        JobState::Staging,
        JobState::Waiting { label: "P001".parse().unwrap() },
        JobState::Held,
        JobState::Ready { since: T0, until: after(24) },
        JobState::Expired { since: T0 },
        JobState::Failed { since: T0, why: Failure::Damaged },
    ]
}

fn upgrade() -> JobEvent {
    JobEvent::Upgrade {
        tier: Tier::Expedited,
        deadline: after(2),
        not_before: after(1),
        eta: after(2),
        cost: MicroDollars::new(10_000),
    }
}

/// The state that follows and the effects; none where it is illegal.
type Row = [Option<(JobState, Vec<Effect>)>; 7];

fn check(event: &JobEvent, hour: u32, row: Row) {
    for (state, expected) in states().into_iter().zip(row) {
        let got = job(state.clone()).step(event.clone(), after(hour));
        let name = state.name();
        match (got, expected) {
            (Ok((next, effects)), Some((state, expected))) => {
                assert_eq!((next.state, effects), (state, expected), "{name} {event:?}");
            }
            (Err(Illegal { state, .. }), None) => assert_eq!(state, name),
            (got, expected) => panic!("{name} {event:?}: {got:?} where {expected:?} was expected"),
        }
    }
}

/// The state stays as it is.
fn same(number: usize, effects: Vec<Effect>) -> (JobState, Vec<Effect>) {
    (states()[number].clone(), effects)
}

#[test]
fn every_state_takes_the_events_that_it_can() {
    let staging = || Some((JobState::Staging, vec![]));
    let waiting = || Some((JobState::Waiting { label: "P002".parse().unwrap() }, vec![]));
    let label = "P002".parse().unwrap();
    check(&JobEvent::Begun, 1, [staging(), staging(), Some(same(2, vec![])), None, None, None, None]);
    check(
        &JobEvent::Progress(ByteCount::new(5)),
        1,
        [staging(), staging(), Some(same(2, vec![])), None, None, None, None],
    );
    check(&JobEvent::Wants(label), 1, [waiting(), waiting(), waiting(), None, None, None, None]);
    let queued = Some((JobState::Queued, vec![]));
    check(&JobEvent::Brought, 1, [None, None, queued, None, None, None, None]);
    let none = vec![];
    check(
        &JobEvent::Requoted(after(4)),
        1,
        [
            Some(same(0, none.clone())),
            Some(same(1, none.clone())),
            Some(same(2, none)),
            None,
            None,
            None,
            None,
        ],
    );
    let until = after(30);
    let kept = Some((JobState::Ready { since: T0, until }, vec![Effect::WakeAt(until)]));
    check(&JobEvent::KeepUntil(until), 1, [None, None, None, None, kept, None, None]);
    let failed = |effects: &[Effect]| {
        Some((JobState::Failed { since: after(1), why: Failure::Cancelled }, effects.to_vec()))
    };
    let pending = || failed(&[Effect::Unschedule, Effect::DropCopy, Effect::Notify]);
    let held = failed(&[Effect::DropCopy, Effect::Notify]);
    check(&JobEvent::Fail(Failure::Cancelled), 1, [pending(), pending(), pending(), held, None, None, None]);
    let again = || vec![Effect::Reschedule];
    check(
        &upgrade(),
        0,
        [
            Some(same(0, again())),
            Some(same(1, again())),
            Some(same(2, again())),
            Some((JobState::Held, vec![Effect::WakeAt(after(1))])),
            None,
            None,
            None,
        ],
    );
}

#[test]
fn reading_ends_in_the_timetables_window() {
    let held = || Some((JobState::Held, vec![Effect::WakeAt(after(3))]));
    check(&JobEvent::Read, 1, [held(), held(), held(), None, None, None, None]);
    let ready = |hour: u32| {
        let until = after(hour + 24);
        Some((JobState::Ready { since: after(hour), until }, vec![Effect::Notify, Effect::WakeAt(until)]))
    };
    check(&JobEvent::Read, 4, [ready(4), ready(4), ready(4), None, None, None, None]);
    let read = job(JobState::Staging).step(JobEvent::Read, after(4)).unwrap().0;
    assert_eq!(read.read, read.bytes);

    // Time makes ready what was held back, and ends what was kept.
    let idle = |number| Some(same(number, vec![]));
    check(&JobEvent::Tick, 2, [idle(0), idle(1), idle(2), idle(3), idle(4), idle(5), idle(6)]);
    check(&JobEvent::Tick, 3, [idle(0), idle(1), idle(2), ready(3), idle(4), idle(5), idle(6)]);
    let expired = Some((JobState::Expired { since: after(24) }, vec![Effect::DropCopy]));
    check(&JobEvent::Tick, 24, [idle(0), idle(1), idle(2), ready(24), expired, idle(5), idle(6)]);
}

#[test]
fn an_upgrade_is_a_faster_tier_and_makes_nothing_later() {
    let (upgraded, _) = job(JobState::Queued).step(upgrade(), after(0)).unwrap();
    assert_eq!(upgraded.tier, Tier::Expedited);
    assert_eq!((upgraded.deadline, upgraded.not_before), (after(2), after(1)));
    assert_eq!((upgraded.quoted, upgraded.eta), (after(2), after(2)));
    assert_eq!(upgraded.cost, MicroDollars::new(10_060));
    for tier in [Tier::Standard, Tier::Bulk] {
        let same = JobEvent::Upgrade {
            tier,
            deadline: after(1),
            not_before: T0,
            eta: T0,
            cost: MicroDollars::default(),
        };
        let refused = job(JobState::Queued).step(same, after(0)).unwrap_err();
        assert_eq!(refused.to_string(), "upgrade: the job is queued; only a faster tier is an upgrade");
    }
    let late = JobEvent::Upgrade {
        tier: Tier::Expedited,
        deadline: after(9),
        not_before: after(9),
        eta: after(1),
        cost: MicroDollars::default(),
    };
    let (upgraded, _) = job(JobState::Queued).step(late, after(0)).unwrap();
    assert_eq!((upgraded.deadline, upgraded.not_before, upgraded.eta), (after(5), after(3), after(3)));
    // One that was only held back is ready at once when its new window is open.
    let (upgraded, _) = job(JobState::Held).step(upgrade(), after(2)).unwrap();
    assert_eq!(upgraded.state, JobState::Ready { since: after(2), until: after(26) });
}

#[test]
fn progress_never_passes_the_whole_and_statuses_are_glaciers() {
    let step = |job: Job, bytes| job.step(JobEvent::Progress(ByteCount::new(bytes)), after(1)).unwrap().0;
    let half = step(job(JobState::Staging), 1 << 18);
    assert_eq!(half.read, ByteCount::kib(512));
    assert_eq!(step(half, u64::MAX).read, ByteCount::mib(1));
    let codes: Vec<_> = states().iter().map(JobState::status_code).collect();
    let in_progress = Some("InProgress");
    assert_eq!(
        codes,
        [in_progress, in_progress, in_progress, in_progress, Some("Succeeded"), None, Some("Failed")]
    );
    let messages: Vec<_> = states().into_iter().map(|state| job(state).status_message()).collect();
    assert_eq!(messages[2], "waits for medium P001: bring it");
    assert!(messages.iter().all(|message| !message.is_empty()));
}
