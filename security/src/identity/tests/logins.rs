//! Passwords: who signs in, and what is told to whom does not.

use super::devices::{enable, shows};
use super::{Bench, own};
use crate::identity::{Code, NewUser, Owner, PasswordPolicy, Result, SignIn, SignedIn};
use crate::policy::NoContext;
use engine::catalog::Layout;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::Ordering;
use std::time::Duration;

const FIRST: &str = "Correct-horse-1";
const SECOND: &str = "Battery-staple-2";
const ACCOUNT: &str = "111122223333";

fn of<'a>(user: &'a str, password: &'a str) -> SignIn<'a> {
    SignIn {
        account: ACCOUNT,
        user,
        password,
        code: None,
        new_password: None,
        duration_secs: None,
        from: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
    }
}

fn code<T: std::fmt::Debug>(outcome: Result<T>) -> Code {
    outcome.unwrap_err().code
}

async fn with_login() -> Bench {
    let bench = Bench::new().await;
    bench.user("a").await;
    bench.ids.create_login(own(), "a", FIRST, false).await.unwrap();
    bench
}

async fn signs_in(bench: &Bench, asked: SignIn<'_>) -> Result<SignedIn> {
    bench.ids.sign_in(asked).await
}

#[tokio::test]
async fn a_password_signs_in_and_its_use_is_told() {
    let bench = with_login().await;
    assert_eq!(bench.noting.layouts.lock().last().unwrap().1, Layout::LOGINS, "an older firn is kept out");
    assert_eq!(bench.ids.user(own(), "a").await.unwrap().password_used, None);
    let made = signs_in(&bench, of("A", FIRST)).await.unwrap();
    assert_eq!(made.arn, "arn:aws:iam::111122223333:user/a");
    let who = bench.session(&made.credentials).await.unwrap();
    assert_eq!(who.arn().unwrap(), made.arn);
    assert_eq!(who.identity().unwrap().session.as_ref().unwrap().mfa, None);
    assert!(bench.ids.user(own(), "a").await.unwrap().password_used.is_some());
    // It may what the user may, IAM's too, and makes no sessions.
    bench.ids.attach(own(), Owner::User("a"), "arn:aws:iam::aws:policy/AdministratorAccess").await.unwrap();
    let who = bench.session(&made.credentials).await.unwrap();
    assert!(who.may("iam:ListUsers", "arn:aws:iam::111122223333:user/", own(), &NoContext).is_allowed());
    assert_eq!(code(bench.ids.session_token(&who, None, None).await), Code::AccessDenied);
    // By the account's alias, too.
    bench.ids.create_alias(own(), "company").await.unwrap();
    signs_in(&bench, SignIn { account: "company", ..of("a", FIRST) }).await.unwrap();
    let profile = bench.ids.login(own(), "a").await.unwrap();
    assert_eq!((profile.user.as_str(), profile.reset_required), ("a", false));
    assert_eq!(code(bench.ids.create_login(own(), "a", SECOND, false).await), Code::EntityAlreadyExists);
    assert_eq!(code(bench.ids.create_login(own(), "b", SECOND, false).await), Code::NoSuchEntity);
    // A user is deleted without a password alone, and who takes the name has none.
    assert_eq!(code(bench.ids.delete_user(own(), "a").await), Code::DeleteConflict);
    super::rows::assert_sound(&*bench.noting).await;
    bench.ids.delete_login(own(), "a").await.unwrap();
    assert_eq!(code(bench.ids.delete_login(own(), "a").await), Code::NoSuchEntity);
    assert_eq!(code(signs_in(&bench, of("a", FIRST)).await), Code::AccessDenied);
    bench.ids.detach(own(), Owner::User("a"), "arn:aws:iam::aws:policy/AdministratorAccess").await.unwrap();
    bench.ids.delete_user(own(), "a").await.unwrap();
    bench.ids.create_user(own(), NewUser { name: "a", ..NewUser::default() }).await.unwrap();
    assert_eq!(code(signs_in(&bench, of("a", FIRST)).await), Code::AccessDenied);
    super::rows::assert_sound(&*bench.noting).await;
}

#[tokio::test]
async fn who_is_there_is_told_neither_by_words_nor_by_work() {
    let bench = with_login().await;
    bench.user("without").await;
    bench.user("second").await;
    bench.ids.create_login(own(), "second", FIRST, true).await.unwrap();
    enable(&bench, "second", "phone").await;
    bench.clock.advance(Duration::from_mins(1));
    let shown = shows(&bench, "/phone", 0).await;
    let wrong = if shown == "000000" { "000001" } else { "000000" };
    bench.noting.layouts.lock().clear();
    let mut told = Vec::new();
    for asked in [
        of("nobody", FIRST),
        of("without", FIRST),
        of("a", SECOND),
        of("a/b", FIRST),
        of("", ""),
        SignIn { account: "444455556667", ..of("a", FIRST) },
        SignIn { account: "nothing", ..of("a", FIRST) },
        SignIn { code: Some(&shown), ..of("a", FIRST) },
        of("second", FIRST),
        SignIn { code: Some(wrong), ..of("second", FIRST) },
        SignIn { code: Some(&shown), ..of("second", SECOND) },
        SignIn { new_password: Some(SECOND), ..of("second", FIRST) },
        SignIn { new_password: Some("x"), ..of("nobody", FIRST) },
    ] {
        let made = bench.ids.hasher.made.load(Ordering::Acquire);
        let refused = signs_in(&bench, asked).await.unwrap_err();
        assert_eq!(
            bench.ids.hasher.made.load(Ordering::Acquire),
            made + 1,
            "{} {}",
            asked.account,
            asked.user
        );
        told.push(refused.to_string());
    }
    told.dedup();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(bench.noting.layouts.lock().is_empty(), "nothing is written for who does not prove who they are");
    assert_eq!(bench.ids.account_of_user(ACCOUNT, "A").await.unwrap(), Some(own()));
    assert_eq!(bench.ids.account_of_user(ACCOUNT, "nobody").await.unwrap(), None);
    assert_eq!(bench.ids.account_of_user("nothing", "a").await.unwrap(), None);
}

#[tokio::test]
async fn a_second_factor_is_asked_of_whom_has_one_and_its_code_is_taken_once() {
    let bench = with_login().await;
    enable(&bench, "a", "phone").await;
    bench.clock.advance(Duration::from_mins(1));
    let shown = shows(&bench, "/phone", 0).await;
    let asked = SignIn { code: Some(&shown), ..of("a", FIRST) };
    let made = signs_in(&bench, asked).await.unwrap();
    let who = bench.session(&made.credentials).await.unwrap();
    assert!(who.identity().unwrap().session.as_ref().unwrap().mfa.is_some());
    assert_eq!(code(signs_in(&bench, asked).await), Code::AccessDenied, "it is taken");
    bench.clock.advance(Duration::from_mins(1));
    let shown = shows(&bench, "/phone", 0).await;
    let asked = SignIn { code: Some(&shown), ..of("a", FIRST) };
    let (one, two) = tokio::join!(bench.ids.sign_in(asked), bench.others.sign_in(asked));
    assert_eq!([one, two].iter().filter(|outcome| outcome.is_ok()).count(), 1);
}

#[tokio::test]
async fn passwords_are_not_guessed_and_nobody_is_locked_out_from_afar() {
    let bench = with_login().await;
    let made = bench.ids.hasher.made.load(Ordering::Acquire);
    for name in ["a", "nobody"] {
        let mut waits = 0;
        for _ in 0..20 {
            let refused = signs_in(&bench, of(name, SECOND)).await.unwrap_err();
            assert_eq!(refused.code, Code::AccessDenied);
            waits += usize::from(refused.message.contains("seconds"));
        }
        assert_eq!(waits, 14, "{name}: as much for who is not there");
    }
    assert_eq!(bench.ids.hasher.made.load(Ordering::Acquire), made + 12, "the others cost nothing");
    let refused = signs_in(&bench, of("A", FIRST)).await.unwrap_err();
    assert!(refused.message.contains("seconds"), "the right one is not told either");
    let from = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));
    signs_in(&bench, SignIn { from, ..of("a", FIRST) }).await.unwrap();
    bench.clock.advance(Duration::from_secs(2));
    signs_in(&bench, of("a", FIRST)).await.unwrap();
    // By name after name from one place.
    let from = "2001:db8::1".parse().unwrap();
    let names: Vec<String> = (0..60).map(|n| format!("user-{n}")).collect();
    let mut waits = 0;
    for name in &names {
        let refused = signs_in(&bench, SignIn { from, ..of(name, FIRST) }).await.unwrap_err();
        waits += usize::from(refused.message.contains("seconds"));
    }
    assert_eq!(waits, 9);
    let beside = SignIn { from: "2001:db8::ffff:1".parse().unwrap(), ..of("a", FIRST) };
    assert!(signs_in(&bench, beside).await.unwrap_err().message.contains("seconds"), "the same network");
}

#[tokio::test]
async fn a_password_that_has_to_be_replaced_is_good_for_that_alone() {
    let bench = with_login().await;
    bench.ids.update_login(own(), "a", None, Some(true)).await.unwrap();
    assert_eq!(code(signs_in(&bench, of("a", FIRST)).await), Code::PasswordResetRequired);
    let weak = SignIn { new_password: Some("short"), ..of("a", FIRST) };
    assert_eq!(code(signs_in(&bench, weak).await), Code::PasswordPolicyViolation);
    let same = SignIn { new_password: Some(FIRST), ..of("a", FIRST) };
    assert_eq!(code(signs_in(&bench, same).await), Code::PasswordPolicyViolation, "that is no other one");
    let same = bench.ids.change_password(own(), "a", FIRST, FIRST).await;
    assert_eq!(code(same), Code::PasswordPolicyViolation);
    let made = signs_in(&bench, SignIn { new_password: Some(SECOND), ..of("a", FIRST) }).await.unwrap();
    assert!(made.password_changed);
    assert_eq!(code(signs_in(&bench, of("a", FIRST)).await), Code::AccessDenied);
    signs_in(&bench, of("a", SECOND)).await.unwrap();
    let unasked = SignIn { new_password: Some(FIRST), ..of("a", SECOND) };
    assert_eq!(code(signs_in(&bench, unasked).await), Code::InvalidInput);
    // By age.
    let policy = PasswordPolicy { age_max_days: Some(30), ..PasswordPolicy::default() };
    bench.ids.set_password_policy(own(), policy).await.unwrap();
    bench.clock.advance(Duration::from_hours(24 * 29));
    signs_in(&bench, of("a", SECOND)).await.unwrap();
    bench.clock.advance(Duration::from_hours(25));
    assert_eq!(code(signs_in(&bench, of("a", SECOND)).await), Code::PasswordResetRequired);
    let hard = PasswordPolicy { hard_expiry: Some(true), ..policy };
    bench.ids.set_password_policy(own(), hard).await.unwrap();
    for asked in [of("a", SECOND), SignIn { new_password: Some(FIRST), ..of("a", SECOND) }] {
        let refused = signs_in(&bench, asked).await.unwrap_err();
        assert!(refused.code == Code::AccessDenied && refused.message.contains("administrator"));
    }
    assert!(bench.ids.change_password(own(), "a", SECOND, FIRST).await.is_err());
    bench.ids.update_login(own(), "a", Some("Another-one-3"), None).await.unwrap();
    signs_in(&bench, of("a", "Another-one-3")).await.unwrap();
    bench.ids.delete_password_policy(own()).await.unwrap();
    assert_eq!(code(bench.ids.password_policy(own()).await), Code::NoSuchEntity);
    assert_eq!(code(bench.ids.delete_password_policy(own()).await), Code::NoSuchEntity);
}

#[tokio::test]
async fn a_password_is_changed_by_whom_has_the_old_one_and_not_to_one_of_before() {
    let bench = with_login().await;
    let policy = PasswordPolicy {
        reuse_prevented: Some(2),
        users_may_change: true,
        symbols: true,
        ..PasswordPolicy::default()
    };
    assert!(!bench.ids.users_may_change_passwords(own()).await.unwrap());
    bench.ids.set_password_policy(own(), policy).await.unwrap();
    assert_eq!(bench.ids.password_policy(own()).await.unwrap(), policy);
    assert!(bench.ids.users_may_change_passwords(own()).await.unwrap());
    let change = async |old: &str, new: &str| bench.ids.change_password(own(), "a", old, new).await;
    assert_eq!(code(change(SECOND, "Third-one-3").await), Code::AccessDenied);
    assert_eq!(code(change(FIRST, "nosymbols").await), Code::PasswordPolicyViolation);
    assert_eq!(code(change(FIRST, FIRST).await), Code::PasswordPolicyViolation);
    change(FIRST, SECOND).await.unwrap();
    assert_eq!(code(change(SECOND, FIRST).await), Code::PasswordPolicyViolation, "one of the last two");
    change(SECOND, "Third-one-3").await.unwrap();
    change("Third-one-3", FIRST).await.unwrap();
    signs_in(&bench, of("a", FIRST)).await.unwrap();
    bench.user("b").await;
    assert_eq!(code(bench.ids.change_password(own(), "b", FIRST, SECOND).await), Code::NoSuchEntity);
    // The old one is not guessed that way.
    for _ in 0..5 {
        assert_eq!(code(change("wrong", SECOND).await), Code::AccessDenied);
    }
    assert!(change(FIRST, SECOND).await.unwrap_err().message.contains("seconds"));
}

/// Each looks at all the passwords of before: nobody has hashes made for many at once, and so keeps others from signing in.
#[tokio::test]
async fn a_user_changes_a_few_passwords_at_once_and_what_nobody_looked_at_is_no_wrong_one() {
    let bench = with_login().await;
    let policy = PasswordPolicy { reuse_prevented: Some(24), ..PasswordPolicy::default() };
    bench.ids.set_password_policy(own(), policy).await.unwrap();
    let change = || bench.ids.change_password(own(), "a", FIRST, FIRST);
    let many = futures_util::future::join_all((0..40).map(|_| change())).await;
    let waits = many.iter().filter(|outcome| outcome.as_ref().unwrap_err().message.contains("seconds"));
    assert_eq!(waits.count(), 34);
    assert_eq!(code(change().await), Code::PasswordPolicyViolation, "none of them was a wrong password");
    // So many sign in at once that some are not looked at.
    let many: Vec<String> = (0..200).map(|n| format!("user-{n}")).collect();
    let from = |n: usize| IpAddr::V4(Ipv4Addr::from(0xc633_6400 + u32::try_from(n).unwrap()));
    let asked = many.iter().enumerate().map(|(n, name)| SignIn { from: from(n), ..of(name, FIRST) });
    let asked = asked
        .chain((0..10).map(|n| SignIn { from: from(250), ..of("a", if n < 9 { FIRST } else { SECOND }) }));
    let outcomes = futures_util::future::join_all(asked.map(|asked| signs_in(&bench, asked))).await;
    assert!(
        outcomes
            .iter()
            .any(|outcome| outcome.as_ref().is_err_and(|error| error.code == Code::ServiceFailure))
    );
    signs_in(&bench, SignIn { from: from(250), ..of("a", FIRST) }).await.unwrap();
}

#[tokio::test]
async fn hashes_are_sealed_and_bound_to_their_user() {
    let bench = with_login().await;
    bench.user("b").await;
    bench.ids.create_login(own(), "b", SECOND, false).await.unwrap();
    let view = bench.ids.view(own()).await.unwrap();
    let a = view.entity(crate::identity::Kind::User, "a").await.unwrap();
    let b = view.entity(crate::identity::Kind::User, "b").await.unwrap();
    let row = view.login(a.id).await.unwrap().unwrap();
    assert!(bench.ids.hashes(own(), a.id, &row).is_ok());
    assert!(bench.ids.hashes(own(), b.id, &row).is_err(), "nobody else's");
}
