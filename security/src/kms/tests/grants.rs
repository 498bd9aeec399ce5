//! Grants: what they give, to whom, for how long, and what nobody can make of them.

use super::super::row;
use super::super::{
    Asks, Constraint, EncryptionContext, GrantOperation as Op, GrantOperations, NewGrant, Paging, Retire,
};
use super::{Bench, OTHER_ROOT, arn, asks, code, context, delegates, document, root, says, tells};
use proptest::prelude::*;
use std::collections::BTreeMap;

fn of(operations: &[Op]) -> GrantOperations {
    operations.iter().copied().collect()
}

fn new<'a>(key: &'a str, grantee: &'a str, operations: &[Op]) -> NewGrant<'a> {
    NewGrant { key, name: None, grantee, retiring: None, operations: of(operations), constraint: None }
}

#[tokio::test]
async fn a_grant_counts_at_once_with_its_token_and_without_until_it_is_retired_or_revoked() {
    let bench = Bench::new().await;
    let (alice, bob) = (bench.user("alice", "").await, bench.user("bob", "").await);
    let key = bench.key(None).await;
    let (alice, bob) = (bench.who(&alice).await, bench.who(&bob).await);
    let sealed = bench.encrypt(&root(), &key).await.unwrap().ciphertext;
    let refused = code(bench.decrypt(&asks(&alice), &sealed).await);
    assert_eq!(refused, "AccessDeniedException");
    let (grantee, retiring) = (arn("alice"), arn("bob"));
    let grant = NewGrant { retiring: Some(&retiring), ..new(&key, &grantee, &[Op::Decrypt]) };
    let epoch = bench.kms.epoch();
    let (id, token) = bench.kms.create_grant(&root(), grant).await.unwrap();
    assert_ne!(bench.kms.epoch(), epoch);
    bench.decrypt(&asks(&alice), &sealed).await.unwrap();
    let tokens = [token.clone()];
    let with = Asks { grant_tokens: &tokens, ..asks(&alice) };
    bench.decrypt(&with, &sealed).await.unwrap();
    assert_eq!(code(bench.encrypt(&asks(&alice), &key).await), "AccessDeniedException");
    assert_eq!(code(bench.decrypt(&asks(&bob), &sealed).await), "AccessDeniedException");
    // Who is told a token has nothing by it.
    let with_token = Asks { grant_tokens: &tokens, ..asks(&bob) };
    assert_eq!(code(bench.decrypt(&with_token, &sealed).await), "AccessDeniedException");
    let made_up = ["bm8=".to_owned()];
    let with_none = Asks { grant_tokens: &made_up, ..asks(&bob) };
    assert_eq!(code(bench.decrypt(&with_none, &sealed).await), "InvalidGrantTokenException");
    let with_none = Asks { grant_tokens: &made_up, ..root() };
    assert_eq!(code(bench.decrypt(&with_none, &sealed).await), "InvalidGrantTokenException");
    assert_eq!(code(bench.kms.describe_key(&with_none, &key).await), "InvalidGrantTokenException");
    let listed =
        bench.kms.retirable_grants(&root(), &retiring, Paging { after: None, limit: 10 }).await.unwrap();
    assert_eq!(listed.items.iter().map(|grant| grant.id.as_str()).collect::<Vec<_>>(), [id.as_str()]);
    // The grantee was not given that; whom it names for it may.
    let retire = Retire::Token(&token);
    assert_eq!(code(bench.kms.retire_grant(&asks(&alice), retire).await), "AccessDeniedException");
    bench.kms.retire_grant(&asks(&bob), retire).await.unwrap();
    assert_eq!(
        code(bench.decrypt(&with, &sealed).await),
        "AccessDeniedException",
        "a retired token is played again"
    );
    assert_eq!(code(bench.kms.retire_grant(&asks(&bob), retire).await), "InvalidGrantTokenException");
    let (id, _) = bench.kms.create_grant(&root(), grant).await.unwrap();
    bench.decrypt(&asks(&alice), &sealed).await.unwrap();
    assert_eq!(code(bench.kms.revoke_grant(&asks(&alice), &key, &id).await), "AccessDeniedException");
    bench.kms.revoke_grant(&root(), &key, &id).await.unwrap();
    assert_eq!(code(bench.decrypt(&asks(&alice), &sealed).await), "AccessDeniedException");
    assert_eq!(code(bench.kms.revoke_grant(&root(), &key, &id).await), "InvalidGrantIdException");
    for table in [row::GRANTS, row::GRANTED, row::RETIRABLE] {
        assert_eq!(bench.rows(table).await, 0);
    }
}

#[tokio::test]
async fn a_grantee_gives_on_no_more_than_it_has() {
    let bench = Bench::new().await;
    let (alice, bob) = (bench.user("alice", "").await, bench.user("bob", "").await);
    let (alice, bob) = (bench.who(&alice).await, bench.who(&bob).await);
    let key = bench.key(None).await;
    let (to_alice, to_bob) = (arn("alice"), arn("bob"));
    let own = Constraint::Subset(context(&[("tenant", "a")]));
    let grant = NewGrant { constraint: Some(&own), ..new(&key, &to_alice, &[Op::CreateGrant, Op::Decrypt]) };
    bench.kms.create_grant(&root(), grant).await.unwrap();
    let give = async |operations: &[Op], constraint: Option<&Constraint>| {
        let grant = NewGrant { constraint, ..new(&key, &to_bob, operations) };
        code(bench.kms.create_grant(&asks(&alice), grant).await)
    };
    let denied = "AccessDeniedException";
    let exact = Constraint::Equals(context(&[("tenant", "a"), ("app", "x")]));
    let more = Constraint::Subset(context(&[("tenant", "a"), ("app", "x")]));
    let others = Constraint::Subset(context(&[("tenant", "b")]));
    assert_eq!(give(&[Op::Decrypt], None).await, denied, "the constraint is left out");
    assert_eq!(give(&[Op::Decrypt], Some(&others)).await, denied);
    assert_eq!(give(&[Op::Encrypt], Some(&own)).await, denied, "an operation more");
    assert_eq!(give(&[Op::Decrypt, Op::Encrypt], Some(&own)).await, denied);
    for constraint in [&own, &exact, &more] {
        assert_eq!(give(&[Op::Decrypt], Some(constraint)).await, "done");
    }
    let tenant = context(&[("tenant", "a"), ("app", "y")]);
    let sealed = bench.encrypt_with(&root(), &key, &tenant).await.unwrap().ciphertext;
    bench.decrypt_with(&asks(&bob), &sealed, &tenant).await.unwrap();
    let tenant = context(&[("tenant", "b")]);
    let sealed = bench.encrypt_with(&root(), &key, &tenant).await.unwrap().ciphertext;
    assert_eq!(code(bench.decrypt_with(&asks(&bob), &sealed, &tenant).await), denied);
    // What bob has he does not give on.
    let grant = NewGrant { constraint: Some(&own), ..new(&key, &to_alice, &[Op::Decrypt]) };
    assert_eq!(code(bench.kms.create_grant(&asks(&bob), grant).await), denied);
}

#[tokio::test]
async fn a_deny_is_above_every_grant() {
    let bench = Bench::new().await;
    let denies = says("Deny", "\"kms:Decrypt\"", "*");
    let (alice, bob) = (bench.user("alice", &denies).await, bench.user("bob", "").await);
    let (alice, bob) = (bench.who(&alice).await, bench.who(&bob).await);
    let text = format!("{},{}", delegates(), tells("Deny", &arn("bob"), "\"kms:Decrypt\""));
    let key = bench.key(Some(&document(&text))).await;
    let sealed = bench.encrypt(&root(), &key).await.unwrap().ciphertext;
    for (name, who) in [("alice", &alice), ("bob", &bob)] {
        bench.kms.create_grant(&root(), new(&key, &arn(name), &[Op::Decrypt, Op::Encrypt])).await.unwrap();
        assert_eq!(code(bench.decrypt(&asks(who), &sealed).await), "AccessDeniedException", "{name}");
        bench.encrypt(&asks(who), &key).await.unwrap();
    }
}

#[tokio::test]
async fn a_grant_names_who_somebody_was_and_everybody_never() {
    let bench = Bench::new().await;
    bench.user("alice", "").await;
    let key = bench.key(None).await;
    let grantee = arn("alice");
    bench.kms.create_grant(&root(), new(&key, &grantee, &[Op::Encrypt])).await.unwrap();
    for nobody in ["*", "111122223333", "arn:aws:iam::111122223333:user/nobody", "arn:aws:s3:::bucket"] {
        let made = bench.kms.create_grant(&root(), new(&key, nobody, &[Op::Encrypt])).await;
        assert_eq!(code(made), "InvalidArnException", "{nobody}");
    }
    // Who gets the name later has nothing of it.
    bench.ids.update_user(super::own(), "alice", Some("alys"), None).await.unwrap();
    let listed = async |arn: &str| {
        let paging = Paging { after: None, limit: 10 };
        bench.kms.grants(&root(), &key, (None, Some(arn)), paging).await.unwrap().items.len()
    };
    assert_eq!(listed(&super::arn("alys")).await, 1);
    let later = bench.user("alice", "").await;
    let later = bench.who(&later).await;
    assert_eq!(code(bench.encrypt(&asks(&later), &key).await), "AccessDeniedException");
    assert_eq!(listed(&super::arn("alice")).await, 0);
}

#[tokio::test]
async fn a_grant_to_another_account_wants_that_accounts_consent() {
    let bench = Bench::new().await;
    let key = bench.key(None).await;
    let idle = bench.user_of(super::other(), "idle", "").await;
    let keen = bench.user_of(super::other(), "keen", &says("Allow", "\"kms:*\"", "*")).await;
    let (idle, keen) = (bench.who(&idle).await, bench.who(&keen).await);
    assert_eq!(code(bench.encrypt(&asks(&keen), &key).await), "AccessDeniedException");
    bench.kms.create_grant(&root(), new(&key, OTHER_ROOT, &[Op::Encrypt])).await.unwrap();
    bench.encrypt(&asks(&keen), &key).await.unwrap();
    assert_eq!(code(bench.encrypt(&asks(&idle), &key).await), "AccessDeniedException");
    assert_eq!(code(bench.kms.disable_key(&asks(&keen), &key).await), "AccessDeniedException");
}

#[tokio::test]
async fn a_name_makes_one_grant_of_two_requests() {
    let bench = Bench::new().await;
    bench.user("alice", "").await;
    let key = bench.key(None).await;
    let grantee = arn("alice");
    let grant = NewGrant { name: Some("n"), ..new(&key, &grantee, &[Op::Encrypt]) };
    let (one, _) = bench.kms.create_grant(&root(), grant).await.unwrap();
    let (two, _) = bench.kms.create_grant(&root(), grant).await.unwrap();
    let other = NewGrant { operations: of(&[Op::Decrypt]), ..grant };
    let (three, _) = bench.kms.create_grant(&root(), other).await.unwrap();
    assert!(one == two && one != three);
    let all = bench.kms.grants(&root(), &key, (None, None), Paging { after: None, limit: 1 }).await.unwrap();
    let after = all.next.as_deref();
    let rest = bench.kms.grants(&root(), &key, (None, None), Paging { after, limit: 9 }).await.unwrap();
    assert_eq!((all.items.len(), rest.items.len(), rest.next), (1, 1, None));
}

/// A constraint, and contexts, of few words: many of them are of one another.
fn constraint() -> impl Strategy<Value = Constraint> {
    (any::<bool>(), pairs()).prop_map(|(equals, pairs)| {
        let context = EncryptionContext::new(pairs).unwrap();
        if equals { Constraint::Equals(context) } else { Constraint::Subset(context) }
    })
}

fn pairs() -> impl Strategy<Value = BTreeMap<String, String>> {
    proptest::collection::btree_map("[ab]", "[12]", 0..3)
}

proptest! {
    #[test]
    fn what_is_given_on_takes_no_context_that_its_giver_does_not(
        own in constraint(), given in constraint(), said in pairs(),
    ) {
        let said = EncryptionContext::new(said).unwrap();
        if given.within(&own) && given.takes(&said) {
            prop_assert!(own.takes(&said));
        }
        prop_assert!(own.within(&own));
    }
}
