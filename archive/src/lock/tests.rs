//! Every state with every event, and the bytes of rows.

use super::vault::{LockChange, LockError, LockErrorCode, LockEvent, LockId, LockPolicy, VaultLock};
use super::{DAY, Facts, Guard, HoldName, Kept, LOCK_WINDOW, MAX_POLICY_BYTES, age_in_days};
use engine::Error;
use engine::catalog::record::Record;
use engine::clock::Timestamp;
use std::collections::BTreeMap;

const T0: Timestamp = Timestamp::from_millis(1_700_000_000_000);
const MINE: LockId = LockId::from_bytes(*b"0123456789abcdef");
const OTHER: LockId = LockId::from_bytes([9; 16]);

fn policy() -> LockPolicy {
    LockPolicy::new("{}").unwrap()
}

fn in_progress() -> VaultLock {
    VaultLock::InProgress { id: MINE, policy: policy(), created: T0 }
}

fn locked() -> VaultLock {
    VaultLock::Locked { id: MINE, policy: policy(), created: T0, locked: T0.plus(DAY / 2) }
}

/// A state, an event, the time, and what comes of it.
type Row = (VaultLock, LockEvent, Timestamp, Result<(VaultLock, Vec<LockChange>), LockError>);

#[test]
fn every_state_answers_every_event_as_glacier_does() {
    let initiate = || LockEvent::Initiate { id: OTHER, policy: policy() };
    let complete = |id| LockEvent::Complete { id };
    let soon = T0.plus(DAY / 2);
    let late = T0.plus(LOCK_WINDOW);
    let fresh = |at| VaultLock::InProgress { id: OTHER, policy: policy(), created: at };
    let expired = LockChange::Expired(MINE);
    let table: [Row; 18] = [
        (VaultLock::Open, initiate(), soon, Ok((fresh(soon), vec![LockChange::Initiated(OTHER)]))),
        (VaultLock::Open, complete(MINE), soon, Err(LockError::None)),
        (VaultLock::Open, LockEvent::Abort, soon, Ok((VaultLock::Open, vec![]))),
        (in_progress(), initiate(), soon, Err(LockError::InProgress)),
        (in_progress(), complete(MINE), soon, Ok((locked(), vec![LockChange::Locked(MINE)]))),
        (in_progress(), complete(OTHER), soon, Err(LockError::WrongId)),
        (in_progress(), LockEvent::Abort, soon, Ok((VaultLock::Open, vec![LockChange::Aborted(MINE)]))),
        // The same when the window is over: it is no lock any more.
        (in_progress(), initiate(), late, Ok((fresh(late), vec![expired, LockChange::Initiated(OTHER)]))),
        (in_progress(), complete(MINE), late, Err(LockError::None)),
        (in_progress(), complete(OTHER), late, Err(LockError::None)),
        (in_progress(), LockEvent::Abort, late, Ok((VaultLock::Open, vec![expired]))),
        (locked(), initiate(), soon, Err(LockError::Locked)),
        (locked(), complete(MINE), soon, Ok((locked(), vec![]))),
        (locked(), complete(OTHER), soon, Err(LockError::LockedByAnother)),
        (locked(), LockEvent::Abort, soon, Err(LockError::Locked)),
        (locked(), initiate(), late, Err(LockError::Locked)),
        (locked(), complete(MINE), late, Ok((locked(), vec![]))),
        (locked(), LockEvent::Abort, late, Err(LockError::Locked)),
    ];
    for (state, event, now, expected) in table {
        let text = format!("{state:?} {event:?} {now:?}");
        assert_eq!(state.step(event, now), expected, "{text}");
    }
}

#[test]
fn errors_have_glaciers_codes() {
    for (error, code) in [
        (LockError::InProgress, LockErrorCode::AccessDenied),
        (LockError::Locked, LockErrorCode::AccessDenied),
        (LockError::LockedByAnother, LockErrorCode::AccessDenied),
        (LockError::WrongId, LockErrorCode::InvalidParameterValue),
        (LockError::PolicyTooLarge { bytes: 1 }, LockErrorCode::InvalidParameterValue),
        (LockError::NoPolicy, LockErrorCode::MissingParameterValue),
        (LockError::None, LockErrorCode::ResourceNotFound),
    ] {
        assert_eq!(error.code(), code);
    }
    assert_eq!("nonsense".parse::<LockId>(), Err(LockError::WrongId));
    assert_eq!(MINE.to_string().parse::<LockId>(), Ok(MINE));
    assert_eq!(LockPolicy::new(""), Err(LockError::NoPolicy));
    LockPolicy::new(vec![b' '; MAX_POLICY_BYTES]).unwrap();
    let bytes = MAX_POLICY_BYTES + 1;
    assert_eq!(LockPolicy::new(vec![b' '; bytes]), Err(LockError::PolicyTooLarge { bytes }));
}

#[test]
fn a_policy_is_in_force_while_it_is_tried_and_for_ever_once_locked() {
    let just_before = Timestamp::from_millis(T0.plus(LOCK_WINDOW).as_millis() - 1);
    assert!(in_progress().policy(just_before).is_some());
    assert!(in_progress().policy(T0.plus(LOCK_WINDOW)).is_none());
    assert!(locked().policy(T0.plus(DAY * 365_000)).is_some());
    assert!(VaultLock::Open.policy(T0).is_none());
    assert_eq!(in_progress().expires(), Some(T0.plus(LOCK_WINDOW)));
    assert_eq!(locked().expires(), None);
    assert_eq!(
        [VaultLock::Open.name(), in_progress().name(), locked().name()],
        [None, Some("InProgress"), Some("Locked")]
    );
    assert_eq!(in_progress().at(just_before), (in_progress(), None));
}

#[test]
fn ages_are_whole_days_of_the_time_that_is_given() {
    let hour = DAY / 24;
    for (passed, days) in [(hour, 0), (hour * 23, 0), (DAY, 1), (DAY * 364 + hour, 364)] {
        assert_eq!(age_in_days(T0, T0.plus(passed), DAY), days);
    }
    assert_eq!(age_in_days(T0.plus(DAY), T0, DAY), 0, "made later than the compliance clock's now");
    assert_eq!(age_in_days(T0, T0.plus(DAY), hour), 24, "a debug day");
    assert_eq!(age_in_days(T0, T0.plus(hour), std::time::Duration::ZERO), 3_600_000);

    let tags = BTreeMap::from([("LegalHold".to_owned(), "true".to_owned())]);
    let facts = Facts { archive_days: Some(2), tags };
    let key = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let of_the_vault = key("glacier:resourcetag/legalhold", "true");
    assert_eq!(
        facts.condition_keys().collect::<Vec<_>>(),
        [key("glacier:archiveageindays", "2"), of_the_vault.clone()]
    );
    let facts = Facts { archive_days: None, ..facts };
    assert_eq!(facts.condition_keys().collect::<Vec<_>>(), [of_the_vault]);
}

#[test]
fn holds_and_least_ages_keep_archives() {
    let case = HoldName::new("case-17").unwrap();
    let guard = Guard::default();
    guard.judge_delete(T0, T0, DAY).unwrap();
    let guard = guard.with_least_days(30, false).unwrap();
    let until_ms = T0.plus(DAY * 30).as_millis();
    assert_eq!(
        guard.judge_delete(T0, T0.plus(DAY * 29), DAY),
        Err(Kept::TooYoung { days: 29, least: 30, until_ms })
    );
    let said = Kept::TooYoung { days: 0, least: 3, until_ms: 1_796_293_872_666 }.to_string();
    assert!(said.ends_with("it can be deleted from 2026-12-03 10:31:12 UTC on"), "{said}");
    guard.judge_delete(T0, T0.plus(DAY * 30), DAY).unwrap();
    let held = guard.clone().hold(case.clone()).unwrap().hold(case.clone()).unwrap();
    assert_eq!(held.judge_delete(T0, T0.plus(DAY * 30), DAY), Err(Kept::Held { hold: case.clone() }));
    assert_eq!(held.release(&case), guard);

    assert_eq!(guard.clone().with_least_days(29, true), Err(Kept::Lowered { least_days: 30 }));
    assert_eq!(guard.clone().with_least_days(31, true).unwrap().least_days(), 31);
    assert_eq!(guard.with_least_days(0, false).unwrap(), Guard::default());
}

#[test]
fn holds_are_bounded_and_named() {
    let names = (0..10).map(|number| HoldName::new(&format!("case-{number}")).unwrap());
    let full = names.fold(Guard::default(), |guard, name| guard.hold(name).unwrap());
    assert_eq!(full.clone().hold(HoldName::new("one-more").unwrap()), Err(Kept::TooManyHolds));
    full.hold(HoldName::new("case-3").unwrap()).unwrap();
    for bad in ["", "a b", "ä", "a\n", &"x".repeat(129)] {
        assert_eq!(HoldName::new(bad), Err(Kept::BadHold), "{bad:?}");
    }
}

#[test]
fn rows_have_their_golden_bytes_and_refuse_newer_cut_and_impossible_ones() {
    let cases: [(VaultLock, &[u8]); 3] = [
        (VaultLock::Open, b"\x01\x00"),
        (in_progress(), b"\x01\x010123456789abcdef\x00\x68\xe5\xcf\x8b\x01\x00\x00\x02{}"),
        (
            locked(),
            b"\x01\x020123456789abcdef\x00\x68\xe5\xcf\x8b\x01\x00\x00\x00\x96\x78\xd2\x8b\x01\x00\x00\x02{}",
        ),
    ];
    for (lock, golden) in cases {
        assert_eq!(&lock.to_bytes()[..], golden);
        assert_eq!(VaultLock::from_bytes(golden).unwrap(), lock);
        for cut in 0..golden.len() {
            assert!(matches!(VaultLock::from_bytes(&golden[..cut]), Err(Error::Corrupt { .. })), "{cut}");
        }
        let mut newer = golden.to_vec();
        newer[0] = 2;
        assert!(matches!(VaultLock::from_bytes(&newer), Err(Error::Newer { .. })));
    }
    assert!(matches!(VaultLock::from_bytes(b"\x01\x03"), Err(Error::Corrupt { .. })));

    let guard = Guard::default().with_least_days(30, false).unwrap();
    let guard = guard.hold(HoldName::new("b").unwrap()).unwrap().hold(HoldName::new("a").unwrap()).unwrap();
    let golden = b"\x01\x1e\0\0\0\0\0\0\0\x02\x01a\x01b";
    assert_eq!(&guard.to_bytes()[..], golden);
    assert_eq!(Guard::from_bytes(golden).unwrap(), guard);
    for bad in [&b"\x01\x1e\0\0\0\0\0\0\0\x02\x01b\x01a"[..], b"\x01\x1e\0\0\0\0\0\0\0\x01\x01 "] {
        assert!(matches!(Guard::from_bytes(bad), Err(Error::Corrupt { .. })));
    }
}
