//! What S3 decides for users: their own policies, the bucket's, and lists.

use super::{ALLOW, Bench, DENY, other, own};
use crate::decide::{Action, Decision, Facts, Question, Resource, Shared, decide};
use crate::identity::{KeyOwner, NewRole, Owner, Pins, Tag, Tagged};
use crate::policy::{Context, Form, GivenContext, Party, Policy};
use crate::principal::PrincipalContext;
use crate::{AccessList, Arn, CanonicalUser, Grant, Grantee, Permission, Principal};
use engine::clock::Timestamp;
use std::sync::Arc;

const OBJECT: Resource<'_> = Resource::Object { bucket: "bucket", key: "key" };
const ALICE: &str = "arn:aws:iam::111122223333:user/alice";

fn asks(who: &Principal, action: &'static str) -> Question {
    Question::new(who.clone(), Action::new(action), Some(Permission::Read))
}

/// Of a policy of one statement for somebody.
fn shares(effect: &str, principal: &str) -> Policy {
    let text = format!(
        r#"{{"Version":"2012-10-17","Statement":{{"Effect":"{effect}","Principal":{principal},"Action":"s3:*","Resource":"*"}}}}"#
    );
    Policy::parse(&text, Form::Resource, 1 << 14).unwrap()
}

fn by_arn(effect: &str, arn: &str) -> Policy {
    shares(effect, &format!(r#"{{"AWS":"{arn}"}}"#))
}

fn gets(who: &Principal, facts: &Facts<'_>) -> Decision {
    decide(&asks(who, "s3:GetObject"), OBJECT, facts)
}

async fn alice(bench: &Bench) -> (Principal, crate::credentials::AccessKeyId) {
    bench.user("alice").await;
    let key = bench.key("alice").await;
    (bench.signs(&key).await.unwrap(), key)
}

#[tokio::test]
async fn a_user_needs_a_policy_of_its_own_unless_its_accounts_resource_names_it() {
    let bench = Bench::new().await;
    let (nobody, key) = alice(&bench).await;
    bench.ids.put_inline(own(), Owner::User("alice"), "p", ALLOW).await.unwrap();
    let reader = bench.signs(&key).await.unwrap();
    bench.ids.put_inline(own(), Owner::User("alice"), "d", DENY).await.unwrap();
    let denied = bench.signs(&key).await.unwrap();
    let bare = Facts::owned_by(own());
    assert_eq!(
        [gets(&nobody, &bare), gets(&reader, &bare), gets(&denied, &bare)],
        [Decision::Deny, Decision::Allow, Decision::Forbid]
    );
    assert_eq!(
        gets(&reader, &Facts::owned_by(other())),
        Decision::Deny,
        "another account has to let it, too"
    );
    let (allow_alice, allow_account, allow_all, deny_alice) = (
        by_arn("Allow", ALICE),
        by_arn("Allow", "111122223333"),
        shares("Allow", "\"*\""),
        by_arn("Deny", ALICE),
    );
    for (policy, account, expected) in [
        (&allow_alice, own(), [true, true, false]),
        (&allow_account, own(), [false, true, false]),
        (&allow_all, own(), [true, true, false]),
        (&deny_alice, own(), [false, false, false]),
        (&allow_alice, other(), [false, true, false]),
        (&allow_account, other(), [false, true, false]),
        (&allow_all, other(), [false, true, false]),
        (&deny_alice, other(), [false, false, false]),
    ] {
        let shared = Some(Shared { policy, pins: Pins::nobody(), account, restricted: false });
        let facts = Facts { shared, ..Facts::owned_by(account) };
        let found = [&nobody, &reader, &denied].map(|who| gets(who, &facts).allowed());
        assert_eq!(found, expected, "{policy:?} of {account}");
        assert!(gets(&denied, &facts).forbidden());
        let restricted =
            Facts { shared: shared.map(|shared| Shared { restricted: true, ..shared }), ..facts };
        let found = [&nobody, &reader].map(|who| gets(who, &restricted).allowed());
        let expected = if account == own() { [expected[0], expected[1]] } else { [false; 2] };
        assert_eq!(found, expected, "{account}");
    }
}

#[tokio::test]
async fn a_list_that_grants_to_an_account_grants_to_those_whom_it_lets() {
    let bench = Bench::new().await;
    let (nobody, key) = alice(&bench).await;
    bench.ids.put_inline(own(), Owner::User("alice"), "p", ALLOW).await.unwrap();
    let reader = bench.signs(&key).await.unwrap();
    let list = |grantee| AccessList::new([Grant { grantee, permission: Permission::Read }]).unwrap();
    let (to_own, to_other) = (list(Grantee::User(own().into())), list(Grantee::User(other().into())));
    let everybody = list(Grantee::AllUsers);
    for (list, owner, ignore_public, expected) in [
        (&to_own, own(), false, [false, true]),
        (&to_other, own(), false, [false, true]),
        (&everybody, own(), false, [true, true]),
        (&everybody, own(), true, [false, true]),
        (&to_own, other(), false, [false, true]),
        (&to_other, other(), false, [false, false]),
        (&everybody, other(), false, [false, true]),
        (&everybody, other(), true, [false, false]),
    ] {
        let facts = Facts { list: Some(list), ignore_public, ..Facts::owned_by(owner) };
        let found = [&nobody, &reader].map(|who| gets(who, &facts).allowed());
        assert_eq!(found, expected, "{list:?} of {owner} {ignore_public}");
        // Another owner's object in a bucket whose policy allows all: the policy gives nothing of it.
        let policy = shares("Allow", "\"*\"");
        let account = if owner == own() { other() } else { own() };
        let facts = Facts {
            shared: Some(Shared { policy: &policy, pins: Pins::nobody(), account, restricted: false }),
            ..facts
        };
        let found = [&nobody, &reader].map(|who| gets(who, &facts).allowed());
        assert_eq!(found, expected, "{list:?} of {owner} in a bucket of {account}");
    }
    // What nobody signed for is nobody's account's.
    let facts = Facts { list: Some(&everybody), ..Facts::owned_by(CanonicalUser::Anonymous) };
    assert_eq!([&nobody, &reader].map(|who| gets(who, &facts).allowed()), [false, true]);
}

/// What a request said when it was let in.
struct Admitted(Principal, GivenContext);

impl Context for Admitted {
    fn visit(&self, key: &str, each: &mut dyn FnMut(&str)) {
        PrincipalContext::new(&self.0, Timestamp::from_millis(0), &self.1).visit(key, each);
    }
}

#[tokio::test]
async fn who_asks_again_has_the_tags_and_the_name_that_they_have_by_then() {
    let bench = Bench::new().await;
    let (_, key) = alice(&bench).await;
    let tag = async |value: &str| {
        let tags = [Tag { key: "team".into(), value: value.into() }];
        bench.ids.tag(own(), Tagged::User("alice"), &tags).await.unwrap();
        bench.signs(&key).await.unwrap()
    };
    let text = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*","Condition":{"StringEquals":
        {"aws:PrincipalTag/team":"red","aws:username":"alice","s3:prefix":"said"}}}}"#;
    bench.ids.put_inline(own(), Owner::User("alice"), "p", text).await.unwrap();
    let red = tag("red").await;
    let said = GivenContext::default().with("s3:prefix", ["said"]);
    let asked = Question { context: Arc::new(Admitted(red.clone(), said)), ..asks(&red, "s3:GetObject") };
    let facts = Facts::owned_by(own());
    let may = |who: &Principal| decide(&asked.by(who), OBJECT, &facts).allowed();
    assert!(may(&red));
    let blue = tag("blue").await;
    assert!(!may(&blue), "another tag");
    assert!(may(&tag("red").await), "what the request said is still said");
    bench.ids.update_user(own(), "alice", Some("alicia"), None).await.unwrap();
    assert!(!may(&bench.signs(&key).await.unwrap()), "another name");
}

#[tokio::test]
async fn a_boundary_bounds_and_what_is_of_the_service_is_in_the_services_arns() {
    let bench = Bench::new().await;
    let (_, key) = alice(&bench).await;
    let text = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::*"}}"#;
    bench.ids.put_inline(own(), Owner::User("alice"), "p", text).await.unwrap();
    let who = bench.signs(&key).await.unwrap();
    let facts = Facts::owned_by(own());
    let may = |who: &Principal, action, resource| decide(&asks(who, action), resource, &facts).allowed();
    assert!(may(&who, "s3:ListAllMyBuckets", Resource::Account(own())));
    assert!(may(&who, "s3:CreateBucket", Resource::Bucket("bucket")));
    let one = text.replace(":::*", ":::mine");
    bench.ids.put_inline(own(), Owner::User("alice"), "p", &one).await.unwrap();
    let who = bench.signs(&key).await.unwrap();
    assert!(!may(&who, "s3:ListAllMyBuckets", Resource::Account(own())));
    assert!(
        may(&who, "s3:CreateBucket", Resource::Bucket("mine"))
            && !may(&who, "s3:CreateBucket", Resource::Bucket("other"))
    );
    bench.ids.put_inline(own(), Owner::User("alice"), "p", text).await.unwrap();
    let boundary = bench.policy("boundary", ALLOW).await;
    bench.ids.set_boundary(own(), Owner::User("alice"), &boundary).await.unwrap();
    let who = bench.signs(&key).await.unwrap();
    assert!(may(&who, "s3:GetObject", OBJECT) && !may(&who, "s3:PutObject", OBJECT));
}

#[tokio::test]
async fn nobody_of_another_account_has_a_buckets_policy_and_its_own_users_have_it_by_policy() {
    let bench = Bench::new().await;
    let (_, key) = alice(&bench).await;
    let admin = "arn:aws:iam::aws:policy/AdministratorAccess";
    bench.ids.attach(own(), Owner::User("alice"), admin).await.unwrap();
    let who = bench.signs(&key).await.unwrap();
    let (allow, deny) = (shares("Allow", "\"*\""), by_arn("Deny", ALICE));
    for (policy, account, expected) in [
        (&allow, own(), Decision::Allow),
        (&deny, own(), Decision::Forbid),
        (&allow, other(), Decision::Forbid),
    ] {
        let shared = Some(Shared { policy, pins: Pins::nobody(), account, restricted: false });
        let facts = Facts { shared, ..Facts::owned_by(account) };
        let question = Question { permission: None, ..asks(&who, "s3:PutBucketPolicy") };
        assert_eq!(decide(&question, Resource::Bucket("bucket"), &facts), expected);
    }
}

#[tokio::test]
async fn a_policy_that_names_a_user_means_who_had_the_name_when_it_was_set() {
    let bench = Bench::new().await;
    let (who, key) = alice(&bench).await;
    let role = "arn:aws:iam::111122223333:role/reader";
    let trust =
        r#"{"Statement":{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"sts:AssumeRole"}}"#;
    bench.ids.create_role(own(), NewRole { name: "reader", trust, ..NewRole::default() }).await.unwrap();
    let (allow, deny) = (by_arn("Allow", ALICE), by_arn("Deny", ALICE));
    let pins = bench.ids.pins(&allow).unwrap();
    let ask = |who: &Principal, policy: &Policy| {
        let shared = Some(Shared { policy, pins: &pins, account: own(), restricted: false });
        gets(who, &Facts { shared, ..Facts::owned_by(own()) })
    };
    assert_eq!((ask(&who, &allow), ask(&who, &deny)), (Decision::Allow, Decision::Forbid));
    bench.ids.update_user(own(), "alice", Some("alicia"), None).await.unwrap();
    let renamed = bench.signs(&key).await.unwrap();
    assert_eq!(
        (ask(&renamed, &allow), ask(&renamed, &deny)),
        (Decision::Allow, Decision::Forbid),
        "still the same"
    );
    let text = format!(r#"{{"Statement":{{"Principal":{{"AWS":"{ALICE}"}}}}}}"#);
    assert_eq!(bench.ids.shown(&text, &pins), text.replace("alice", "alicia"));
    bench.user("alice").await;
    let namesakes = bench.key("alice").await;
    let namesake = bench.signs(&namesakes).await.unwrap();
    assert_eq!(namesake.arn().unwrap(), ALICE);
    assert_eq!(
        (ask(&namesake, &allow), ask(&namesake, &deny)),
        (Decision::Deny, Decision::Deny),
        "somebody else"
    );
    let id = who.user_id();
    bench.ids.delete_access_key(own(), KeyOwner::User("alicia"), key.as_str()).await.unwrap();
    bench.ids.delete_user(own(), "alicia").await.unwrap();
    assert_eq!(bench.ids.shown(&text, &pins), text.replace(ALICE, &id), "who is gone has an id");
    // Whom there is not nobody can name; a session's role has to be there.
    for (arn, there) in [
        (ALICE, true),
        (role, true),
        ("arn:aws:iam::111122223333:user/alicia", false),
        ("arn:aws:iam::111122223333:role/x/reader", false),
        ("arn:aws:iam::444455556666:user/alice", false),
        ("arn:aws:sts::111122223333:assumed-role/reader/s", true),
        ("arn:aws:sts::111122223333:assumed-role/writer/s", false),
        ("arn:aws:sts::111122223333:federated-user/guest", true),
    ] {
        let policy = by_arn("Allow", arn);
        assert!(policy.parties().all(|party| matches!(party.what, Party::Arn { .. })));
        assert_eq!(bench.ids.pins(&policy).is_ok(), there, "{arn}");
        assert!(arn.parse::<Arn>().is_ok());
    }
}

#[tokio::test]
async fn who_changed_names_with_another_is_shown_by_its_own() {
    let bench = Bench::new().await;
    alice(&bench).await;
    bench.user("bob").await;
    let arn = |name: &str| ALICE.replace("alice", name);
    let text = format!(
        r#"{{"Statement":{{"Effect":"Allow","Principal":{{"AWS":["{}","arn:aws:iam::111122223333:user\/bob"]}},"Action":"s3:*","Resource":"*"}}}}"#,
        arn("alice")
    );
    let pins = bench.ids.pins(&Policy::parse(&text, Form::Resource, 1 << 14).unwrap()).unwrap();
    for (from, to) in [("bob", "carol"), ("alice", "bob")] {
        bench.ids.update_user(own(), from, Some(to), None).await.unwrap();
    }
    let shown = bench.ids.shown(&text, &pins);
    assert!(shown.contains(&format!(r#"["{}","{}"]"#, arn("bob"), arn("carol"))), "{shown}");
    // Who puts back what is shown means the same two.
    let again = bench.ids.pins(&Policy::parse(&shown, Form::Resource, 1 << 14).unwrap()).unwrap();
    assert_eq!(bench.ids.shown(&shown, &again), shown);
}
