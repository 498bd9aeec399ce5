//! Second factors: who gets one, what a code is good for, and that it is taken once.

use super::{ALLOW, Bench, other, own, reads};
use crate::Principal;
use crate::identity::totp::step_of;
use crate::identity::{
    AssumeRole, Code, Identities, KeyOwner, NewRole, NewUser, Owner, Paging, SessionBounds, Shown, Tag,
    Temporary,
};
use crate::policy::{Context as _, NoContext};
use crate::principal::PrincipalContext;
use engine::catalog::Layout;
use engine::clock::Clock as _;
use std::time::Duration;

const SERIAL: &str = "arn:aws:iam::111122223333:mfa/phone";

/// The code that a device shows so many steps from now.
pub(super) async fn shows(bench: &Bench, place: &str, off: i64) -> String {
    code_of(&bench.ids, step_of(bench.clock.now()) + off, place).await
}

pub(super) async fn code_of(ids: &Identities, step: i64, place: &str) -> String {
    let row = ids.view(own()).await.unwrap().device(place).await.unwrap().unwrap();
    ids.seed(own(), place, &row).unwrap().code(step).text()
}

/// Gives a user a device.
pub(super) async fn enable(bench: &Bench, user: &str, name: &str) -> String {
    let made = bench.ids.create_device(own(), None, name, &[]).await.unwrap();
    let place = format!("/{name}");
    let codes = [shows(bench, &place, -1).await, shows(bench, &place, 0).await];
    bench.ids.enable_device(own(), user, &made.serial, [&codes[0], &codes[1]]).await.unwrap();
    made.serial
}

fn code<T: std::fmt::Debug>(outcome: crate::identity::Result<T>) -> Code {
    outcome.unwrap_err().code
}

fn minute(bench: &Bench) {
    bench.clock.advance(Duration::from_mins(1));
}

async fn session(bench: &Bench, who: &Principal, code: &str) -> crate::identity::Result<Temporary> {
    bench.ids.session_token(who, None, Some(Shown { serial: SERIAL, code })).await
}

async fn with_device() -> (Bench, Principal) {
    let bench = Bench::new().await;
    bench.user("a").await;
    let key = bench.key("a").await;
    enable(&bench, "a", "phone").await;
    let who = bench.signs(&key).await.unwrap();
    (bench, who)
}

#[tokio::test]
async fn a_device_is_made_enabled_shown_and_ended() {
    let bench = Bench::new().await;
    bench.user("a").await;
    bench.user("b").await;
    bench.noting.layouts.lock().clear();
    let tags = [Tag { key: "team".into(), value: "x".into() }];
    let made = bench.ids.create_device(own(), Some("/lab/"), "phone", &tags).await.unwrap();
    assert_eq!(made.serial, "arn:aws:iam::111122223333:mfa/lab/phone");
    assert_eq!(made.seed.len(), 32);
    assert_eq!(bench.noting.layouts.lock().last().unwrap().1, Layout::LOGINS, "an older firn is kept out");
    let (serial, ids) = (made.serial.as_str(), &bench.ids);
    let again = ids.create_device(own(), Some("/lab/"), "phone", &[]).await;
    assert_eq!(code(again), Code::EntityAlreadyExists);
    let unsized_name = "x".repeat(226);
    assert_eq!(code(ids.create_device(own(), Some("/lab/"), &unsized_name, &[]).await), Code::InvalidInput);
    let place = "/lab/phone";
    let (before, now) = (shows(&bench, place, -1).await, shows(&bench, place, 0).await);
    // Two codes in a row, of that device, for somebody who is there.
    for codes in [[&now, &before], [&before, &before], [&"12345".to_owned(), &now]] {
        let refused = ids.enable_device(own(), "a", serial, codes.map(String::as_str)).await;
        assert_eq!(code(refused), Code::InvalidAuthenticationCode);
    }
    assert_eq!(code(ids.enable_device(own(), "c", serial, [&before, &now]).await), Code::NoSuchEntity);
    assert_eq!(code(ids.enable_device(other(), "a", serial, [&before, &now]).await), Code::NoSuchEntity);
    ids.enable_device(own(), "a", serial, [&before, &now]).await.unwrap();
    let taken = ids.enable_device(own(), "b", serial, [&before, &now]).await;
    assert_eq!(code(taken), Code::EntityAlreadyExists);
    let all = ids.devices(own(), "A", Paging::default()).await.unwrap().items;
    assert_eq!((all.len(), all[0].serial.as_str(), &all[0].tags[..]), (1, serial, &tags[..]));
    assert_eq!(all[0].user.as_ref().unwrap().0.name, "a");
    assert_eq!(ids.device(own(), serial, Some("a")).await.unwrap(), all[0]);
    assert_eq!(code(ids.device(own(), serial, Some("b")).await), Code::NoSuchEntity);
    ids.create_device(own(), None, "spare", &[]).await.unwrap();
    for (assigned, count) in [(None, 2), (Some(true), 1), (Some(false), 1)] {
        assert_eq!(ids.all_devices(own(), assigned, Paging::default()).await.unwrap().items.len(), count);
    }
    let first = ids.all_devices(own(), None, Paging { after: None, limit: 1 }).await.unwrap();
    let rest = Paging { after: first.next.as_deref(), limit: 1 };
    assert_eq!(ids.all_devices(own(), None, rest).await.unwrap().items.len(), 1);
    ids.retag_device(own(), serial, (&[Tag { key: "TEAM".into(), value: "y".into() }], &[])).await.unwrap();
    assert_eq!(ids.device(own(), serial, None).await.unwrap().tags[0].value, "y");
    ids.retag_device(own(), serial, (&[], &["team"])).await.unwrap();
    // What hangs on something keeps it from being deleted.
    assert_eq!(code(ids.delete_device(own(), serial).await), Code::DeleteConflict);
    assert_eq!(code(ids.delete_user(own(), "a").await), Code::DeleteConflict);
    super::rows::assert_sound(&*bench.noting).await;
    assert_eq!(code(ids.deactivate_device(own(), "b", serial).await), Code::NoSuchEntity);
    ids.deactivate_device(own(), "a", serial).await.unwrap();
    ids.delete_device(own(), serial).await.unwrap();
    assert_eq!(code(ids.delete_device(own(), serial).await), Code::NoSuchEntity);
    ids.delete_user(own(), "a").await.unwrap();
    super::rows::assert_sound(&*bench.noting).await;
}

#[tokio::test]
async fn a_code_gives_a_session_its_second_factor_and_is_taken_once() {
    let (bench, who) = with_device().await;
    let (ids, sees) = (&bench.ids, |who: &Principal, key: &str| {
        let mut seen = Vec::new();
        let now = bench.clock.now();
        PrincipalContext::new(who, now, &NoContext).visit(key, &mut |value| seen.push(value.to_owned()));
        seen
    });
    // Those that enabled it are taken, too.
    let now = shows(&bench, "/phone", 0).await;
    assert_eq!(code(session(&bench, &who, &now).await), Code::AccessDenied);
    minute(&bench);
    let now = shows(&bench, "/phone", 0).await;
    let made = session(&bench, &who, &now).await.unwrap();
    let second = bench.session(&made).await.unwrap();
    assert_eq!(sees(&second, "aws:multifactorauthpresent"), ["true"]);
    assert_eq!(sees(&second, "aws:multifactorauthage"), ["0"]);
    minute(&bench);
    assert_eq!(sees(&second, "aws:multifactorauthage"), ["60"]);
    let plain = ids.session_token(&who, None, None).await.unwrap();
    let plain = bench.session(&plain).await.unwrap();
    assert_eq!(sees(&plain, "aws:multifactorauthpresent"), ["false"]);
    assert!(sees(&who, "aws:multifactorauthpresent").is_empty(), "absent with a key that lasts");
    // IAM is reached with one alone.
    ids.attach(own(), Owner::User("a"), "arn:aws:iam::aws:policy/AdministratorAccess").await.unwrap();
    let reaches = |who: &Principal| {
        who.may("iam:ListUsers", "arn:aws:iam::111122223333:user/", own(), &NoContext).is_allowed()
    };
    assert!(reaches(&bench.session(&made).await.unwrap()));
    // The same code again, and one before it.
    let taken = shows(&bench, "/phone", -1).await;
    let later = shows(&bench, "/phone", 0).await;
    session(&bench, &who, &later).await.unwrap();
    for replayed in [&later, &taken, &now] {
        assert_eq!(code(session(&bench, &who, replayed).await), Code::AccessDenied);
    }
    // So it is after a restart.
    let mut bench = bench;
    let reopened = bench.reopened().await;
    let again = reopened.session_token(&who, None, Some(Shown { serial: SERIAL, code: &later })).await;
    assert_eq!(code(again), Code::AccessDenied);
}

#[tokio::test]
async fn of_two_who_show_one_code_at_once_one_gets_a_session() {
    let (bench, who) = with_device().await;
    minute(&bench);
    for round in 0..8 {
        minute(&bench);
        let now = shows(&bench, "/phone", 0).await;
        let shown = Shown { serial: SERIAL, code: &now };
        // One of another process, without a common lock.
        let (one, two, three) = tokio::join!(
            bench.ids.session_token(&who, None, Some(shown)),
            bench.others.session_token(&who, None, Some(shown)),
            bench.ids.session_token(&who, None, Some(shown)),
        );
        let got = [one, two, three].into_iter().flatten().count();
        assert_eq!(got, 1, "{round}");
        bench.clock.advance(Duration::from_hours(2));
    }
}

#[tokio::test]
async fn codes_are_not_guessed() {
    let (bench, who) = with_device().await;
    minute(&bench);
    let right = shows(&bench, "/phone", 0).await;
    let wrong = if right == "000000" { "000001" } else { "000000" };
    let mut waits = 0;
    for _ in 0..100 {
        let refused = session(&bench, &who, wrong).await.unwrap_err();
        assert_eq!(refused.code, Code::AccessDenied);
        waits += usize::from(refused.message.contains("seconds"));
    }
    assert_eq!(waits, 94, "six were looked at");
    let refused = session(&bench, &who, &right).await.unwrap_err();
    assert!(refused.message.contains("seconds"), "a right one among them is not told: {}", refused.message);
    // So it is where codes are shown to enable a device or to resync it.
    let resync = bench.ids.resync_device(own(), "a", SERIAL, [wrong, wrong]).await.unwrap_err();
    assert_eq!(resync.code, Code::InvalidAuthenticationCode);
    assert!(resync.message.contains("seconds"));
    // Nobody else waits.
    bench.user("b").await;
    let key = bench.key("b").await;
    enable(&bench, "b", "tablet").await;
    minute(&bench);
    let (other, shown) = (bench.signs(&key).await.unwrap(), shows(&bench, "/tablet", 0).await);
    let serial = "arn:aws:iam::111122223333:mfa/tablet";
    bench.ids.session_token(&other, None, Some(Shown { serial, code: &shown })).await.unwrap();
    let right = shows(&bench, "/phone", 0).await;
    session(&bench, &who, &right).await.unwrap();
}

#[tokio::test]
async fn a_device_proves_its_own_user_alone() {
    let (bench, who) = with_device().await;
    bench.user("b").await;
    let key = bench.key("b").await;
    let b = bench.signs(&key).await.unwrap();
    minute(&bench);
    let now = shows(&bench, "/phone", 0).await;
    let mut told = Vec::new();
    for (who, serial) in [
        (&b, SERIAL),
        (&b, "arn:aws:iam::111122223333:mfa/nothing"),
        (&b, "arn:aws:iam::444455556666:mfa/phone"),
        (&b, "phone-phone"),
        (&Principal::Root(own()), SERIAL),
    ] {
        let refused = bench.ids.session_token(who, None, Some(Shown { serial, code: &now })).await;
        told.push(refused.unwrap_err().to_string());
    }
    told.dedup();
    assert_eq!(told.len(), 1, "{told:?}");
    session(&bench, &who, &now).await.unwrap();
    // It is taken from its user with the device, and no namesake has it.
    bench.ids.deactivate_device(own(), "a", SERIAL).await.unwrap();
    minute(&bench);
    let now = shows(&bench, "/phone", 0).await;
    assert_eq!(code(session(&bench, &who, &now).await), Code::AccessDenied);
    let [id] = &bench.ids.access_keys(own(), KeyOwner::User("a"), Paging::default()).await.unwrap().items[..]
    else {
        panic!("one key")
    };
    bench.ids.delete_access_key(own(), KeyOwner::User("a"), id.id.as_str()).await.unwrap();
    bench.ids.delete_user(own(), "a").await.unwrap();
    bench.ids.create_user(own(), NewUser { name: "a", ..NewUser::default() }).await.unwrap();
    assert!(bench.ids.devices(own(), "a", Paging::default()).await.unwrap().items.is_empty());
}

#[tokio::test]
async fn codes_that_were_taken_are_not_good_again_when_the_device_is_enabled_anew() {
    let (bench, who) = with_device().await;
    minute(&bench);
    let pair = [shows(&bench, "/phone", -1).await, shows(&bench, "/phone", 0).await];
    session(&bench, &who, &pair[1]).await.unwrap();
    bench.ids.deactivate_device(own(), "a", SERIAL).await.unwrap();
    let enabled = bench.ids.enable_device(own(), "a", SERIAL, [&pair[0], &pair[1]]).await;
    assert_eq!(code(enabled), Code::InvalidAuthenticationCode);
    minute(&bench);
    let next = [shows(&bench, "/phone", -1).await, shows(&bench, "/phone", 0).await];
    bench.ids.enable_device(own(), "a", SERIAL, [&next[0], &next[1]]).await.unwrap();
    assert_eq!(code(session(&bench, &who, &pair[1]).await), Code::AccessDenied);
}

#[tokio::test]
async fn a_clock_that_is_off_is_found_again_by_two_codes() {
    let (bench, who) = with_device().await;
    minute(&bench);
    let off = shows(&bench, "/phone", 100).await;
    assert_eq!(code(session(&bench, &who, &off).await), Code::AccessDenied);
    let codes = [shows(&bench, "/phone", 100).await, shows(&bench, "/phone", 101).await];
    bench.ids.resync_device(own(), "a", SERIAL, [&codes[0], &codes[1]]).await.unwrap();
    let again = bench.ids.resync_device(own(), "a", SERIAL, [&codes[0], &codes[1]]).await;
    assert_eq!(code(again), Code::InvalidAuthenticationCode, "they are taken");
    let taken = session(&bench, &who, &codes[1]).await;
    assert_eq!(code(taken), Code::AccessDenied);
    minute(&bench);
    let now = shows(&bench, "/phone", 100).await;
    session(&bench, &who, &now).await.unwrap();
}

#[tokio::test]
async fn a_role_is_assumed_with_a_second_factor_where_its_trust_asks_for_one() {
    const TRUST: &str = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:user/a"},
        "Action":"sts:AssumeRole","Condition":{"Bool":{"aws:MultiFactorAuthPresent":"true"},"NumericLessThan":{"aws:MultiFactorAuthAge":"300"}}}}"#;
    let (bench, who) = with_device().await;
    bench.ids.create_role(own(), NewRole { name: "r", trust: TRUST, ..NewRole::default() }).await.unwrap();
    bench.ids.put_inline(own(), Owner::Role("r"), "reads", ALLOW).await.unwrap();
    minute(&bench);
    let asks = |who, shown| AssumeRole {
        who,
        context: &NoContext,
        role: "arn:aws:iam::111122223333:role/r",
        session_name: "job",
        external_id: None,
        source_identity: None,
        duration_secs: None,
        bounds: SessionBounds::default(),
        tags: &[],
        transitive: &[],
        shown,
    };
    assert_eq!(code(bench.ids.assume_role(asks(&who, None)).await), Code::AccessDenied);
    let now = shows(&bench, "/phone", 0).await;
    let wrong = Shown { serial: SERIAL, code: if now == "000000" { "000001" } else { "000000" } };
    assert_eq!(code(bench.ids.assume_role(asks(&who, Some(wrong))).await), Code::AccessDenied);
    let shown = Shown { serial: SERIAL, code: &now };
    let made = bench.ids.assume_role(asks(&who, Some(shown))).await.unwrap();
    let role = bench.session(&made.credentials).await.unwrap();
    assert!(reads(&role, own()));
    assert!(role.identity().unwrap().session.as_ref().unwrap().mfa.is_some());
    assert_eq!(code(bench.ids.assume_role(asks(&who, Some(shown))).await), Code::AccessDenied, "taken");
    // By a session with one, while it is fresh.
    minute(&bench);
    let now = shows(&bench, "/phone", 0).await;
    let token = session(&bench, &who, &now).await.unwrap();
    let second = bench.session(&token).await.unwrap();
    bench.ids.assume_role(asks(&second, None)).await.unwrap();
    bench.clock.advance(Duration::from_mins(5));
    assert_eq!(code(bench.ids.assume_role(asks(&second, None)).await), Code::AccessDenied);
}
