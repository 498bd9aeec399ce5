//! Each operation: what it does, refuses, and that it is one commit.

use super::{ALLOW, Bench, DENY, EXAMPLE_KEY, other, own, reads};
use crate::credentials::CredentialLookup as _;
use crate::identity::{
    Code, HolderFilter, IdentityError, KeyOwner, KeyStatus, Kind, NewPolicy, NewRole, NewUser, Owner, Paging,
    PolicyFilter, PolicyScope, Tag, Tagged, Usage,
};
use engine::catalog::Layout;
use engine::clock::Clock as _;
use std::time::Duration;

const TRUST: &str = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"sts:AssumeRole"}}"#;

fn code<T: std::fmt::Debug>(outcome: Result<T, IdentityError>) -> Code {
    outcome.unwrap_err().code
}

fn tag(key: &str, value: &str) -> Tag {
    Tag { key: key.into(), value: value.into() }
}

const fn page(after: Option<&str>, limit: usize) -> Paging<'_> {
    Paging { after, limit }
}

#[tokio::test]
async fn users_are_made_found_listed_named_anew_and_ended() {
    let bench = Bench::new().await;
    let ids = &bench.ids;
    let tags = [tag("team", "ml")];
    let new = NewUser { name: "Alice", path: Some("/div/"), tags: &tags, ..NewUser::default() };
    let alice = ids.create_user(own(), new).await.unwrap();
    assert_eq!(alice.arn, "arn:aws:iam::111122223333:user/div/Alice");
    assert!(alice.id.starts_with("AIDA") && alice.id.len() == 21);
    assert_eq!(ids.user(own(), "aLICE").await.unwrap(), alice);
    let again = NewUser { name: "ALICE", ..NewUser::default() };
    assert_eq!(code(ids.create_user(own(), again).await), Code::EntityAlreadyExists);
    ids.create_user(other(), again).await.unwrap();
    for name in ["bob", "Carl", "dora"] {
        bench.user(name).await;
    }
    let listed = |prefix, paging| async move {
        let page = ids.users(own(), prefix, paging).await.unwrap();
        (page.items.into_iter().map(|user| user.name).collect::<Vec<_>>(), page.next)
    };
    assert_eq!(listed(None, Paging::default()).await.0, ["Alice", "bob", "Carl", "dora"]);
    assert_eq!(listed(Some("/div/"), Paging::default()).await.0, ["Alice"]);
    let (first, next) = listed(None, page(None, 3)).await;
    assert_eq!(first.len(), 3);
    assert_eq!(listed(None, page(next.as_deref(), 3)).await, (vec!["dora".to_owned()], None));
    ids.update_user(own(), "Alice", Some("alicia"), Some("/")).await.unwrap();
    assert_eq!(code(ids.user(own(), "Alice").await), Code::NoSuchEntity);
    let alicia = ids.user(own(), "alicia").await.unwrap();
    assert_eq!((alicia.id, alicia.arn.as_str()), (alice.id.clone(), "arn:aws:iam::111122223333:user/alicia"));
    assert_eq!(code(ids.update_user(own(), "alicia", Some("BOB"), None).await), Code::EntityAlreadyExists);
    ids.update_user(own(), "alicia", Some("ALICIA"), None).await.unwrap();
    ids.assert_true().await;
    ids.delete_user(own(), "alicia").await.unwrap();
    assert_eq!(code(ids.delete_user(own(), "alicia").await), Code::NoSuchEntity);
    assert_ne!(bench.user("Alice").await.id, alice.id, "another one");
    ids.assert_true().await;
}

#[tokio::test]
async fn names_and_documents_out_of_form_are_refused_with_their_codes() {
    let bench = Bench::new().await;
    let ids = &bench.ids;
    for name in ["", "a b", "ä", &"x".repeat(65)] {
        let new = NewUser { name, ..NewUser::default() };
        assert_eq!(code(ids.create_user(own(), new).await), Code::ValidationError, "{name}");
    }
    bench.user("a").await;
    for document in
        ["", "{}", TRUST, r#"{"Statement":{"Effect":"Allow","Action":"s3:*","Resource":"bucket"}}"#]
    {
        let refused = ids.put_inline(own(), Owner::User("a"), "p", document).await;
        assert_eq!(code(refused), Code::MalformedPolicyDocument, "{document}");
    }
    let absent = TRUST.replace("\"111122223333\"", "\"arn:aws:iam::111122223333:user/nobody\"");
    for trust in [ALLOW, &absent] {
        let new = NewRole { name: "r", trust, ..NewRole::default() };
        assert_eq!(code(ids.create_role(own(), new).await), Code::MalformedPolicyDocument);
    }
    let twice = [tag("a", "1"), tag("A", "2")];
    assert_eq!(code(ids.tag(own(), Tagged::User("a"), &twice).await), Code::InvalidInput);
}

#[tokio::test]
async fn nothing_is_ended_that_something_hangs_on() {
    let bench = Bench::new().await;
    let ids = &bench.ids;
    bench.user("a").await;
    ids.create_group(own(), "g", None).await.unwrap();
    ids.create_role(own(), NewRole { name: "r", trust: TRUST, ..NewRole::default() }).await.unwrap();
    let arn = bench.policy("p", ALLOW).await;
    let owners = [Owner::User("a"), Owner::Group("g"), Owner::Role("r")];
    let end = async |owner: Owner<'_>| match owner {
        Owner::User(name) => ids.delete_user(own(), name).await,
        Owner::Group(name) => ids.delete_group(own(), name).await,
        Owner::Role(name) => ids.delete_role(own(), name).await,
    };
    for owner in owners {
        ids.attach(own(), owner, &arn).await.unwrap();
        assert_eq!(code(end(owner).await), Code::DeleteConflict, "{owner:?}");
        assert_eq!(code(ids.delete_policy(own(), &arn).await), Code::DeleteConflict);
        ids.detach(own(), owner, &arn).await.unwrap();
        assert_eq!(code(ids.detach(own(), owner, &arn).await), Code::NoSuchEntity);
        ids.put_inline(own(), owner, "i", ALLOW).await.unwrap();
        assert_eq!(code(end(owner).await), Code::DeleteConflict, "{owner:?}");
        ids.delete_inline(own(), owner, "i").await.unwrap();
        assert_eq!(code(ids.delete_inline(own(), owner, "i").await), Code::NoSuchEntity);
    }
    ids.add_to_group(own(), "g", "a").await.unwrap();
    assert_eq!(code(end(owners[0]).await), Code::DeleteConflict);
    assert_eq!(code(end(owners[1]).await), Code::DeleteConflict);
    ids.remove_from_group(own(), "g", "a").await.unwrap();
    let key = bench.key("a").await;
    assert_eq!(code(end(owners[0]).await), Code::DeleteConflict);
    ids.delete_access_key(own(), KeyOwner::User("a"), key.as_str()).await.unwrap();
    ids.set_boundary(own(), owners[0], &arn).await.unwrap();
    assert_eq!(code(ids.delete_policy(own(), &arn).await), Code::DeleteConflict, "it bounds somebody");
    for owner in owners {
        end(owner).await.unwrap();
    }
    ids.create_policy_version(own(), &arn, DENY, false).await.unwrap();
    assert_eq!(code(ids.delete_policy(own(), &arn).await), Code::DeleteConflict, "it has two versions");
    ids.delete_policy_version(own(), &arn, "v2").await.unwrap();
    ids.delete_policy(own(), &arn).await.unwrap();
    ids.assert_true().await;
    super::rows::assert_sound(&*bench.noting).await;
}

#[tokio::test]
async fn quotas_are_kept() {
    let bench = Bench::new().await;
    let ids = &bench.ids;
    bench.user("a").await;
    for n in 0..10 {
        let name = format!("g{n}");
        ids.create_group(own(), &name, None).await.unwrap();
        ids.add_to_group(own(), &name, "a").await.unwrap();
        ids.add_to_group(own(), &name, "a").await.unwrap();
    }
    ids.create_group(own(), "h", None).await.unwrap();
    assert_eq!(code(ids.add_to_group(own(), "h", "a").await), Code::LimitExceeded);
    let keys = [bench.key("a").await, bench.key("a").await];
    assert_eq!(code(ids.create_access_key(own(), KeyOwner::User("a")).await), Code::LimitExceeded);
    ids.delete_access_key(own(), KeyOwner::User("a"), keys[0].as_str()).await.unwrap();
    bench.key("a").await;
    // One stands in the file.
    ids.create_access_key(own(), KeyOwner::Root).await.unwrap();
    assert_eq!(code(ids.create_access_key(own(), KeyOwner::Root).await), Code::LimitExceeded);
    for n in 0..21 {
        let arn = bench.policy(&format!("p{n}"), ALLOW).await;
        let attached = ids.attach(own(), Owner::User("a"), &arn).await;
        assert_eq!(attached.is_ok(), n < 20, "{n}");
        let attached = ids.attach(own(), Owner::Group("h"), &arn).await;
        assert_eq!(attached.is_ok(), n < 10, "{n}");
    }
    for n in 2..=6 {
        let made =
            ids.create_policy_version(own(), "arn:aws:iam::111122223333:policy/p0", ALLOW, n == 3).await;
        assert_eq!(made.is_ok(), n < 6, "{n}");
    }
    // 80 characters each, of 2,048.
    let mut count = 0;
    while ids.put_inline(own(), Owner::User("a"), &format!("i{count}"), ALLOW).await.is_ok() {
        count += 1;
    }
    let weight = i64::try_from(crate::identity::document::weight(ALLOW)).unwrap();
    assert_eq!(i64::from(count), 2_048 / weight);
    ids.put_inline(own(), Owner::User("a"), "i0", ALLOW).await.unwrap();
    let tags: Vec<_> = (0..50).map(|n| tag(&format!("k{n}"), "")).collect();
    ids.tag(own(), Tagged::User("a"), &tags).await.unwrap();
    assert_eq!(code(ids.tag(own(), Tagged::User("a"), &[tag("x", "")]).await), Code::LimitExceeded);
    ids.tag(own(), Tagged::User("a"), &[tag("K0", "new")]).await.unwrap();
    super::rows::assert_sound(&*bench.noting).await;
    ids.assert_true().await;
}

#[tokio::test]
async fn managed_policies_have_versions_of_which_one_counts() {
    let bench = Bench::new().await;
    let ids = &bench.ids;
    let arn = bench.policy("P", ALLOW).await;
    bench.user("a").await;
    let key = bench.key("a").await;
    ids.attach(own(), Owner::User("a"), &arn).await.unwrap();
    assert!(reads(&bench.signs(&key).await.unwrap(), own()));
    let made = ids.create_policy_version(own(), &arn, DENY, true).await.unwrap();
    assert_eq!((made.id.as_str(), made.is_default), ("v2", true));
    assert!(!reads(&bench.signs(&key).await.unwrap(), own()), "what counts now holds for the next request");
    assert_eq!(code(ids.delete_policy_version(own(), &arn, "v2").await), Code::DeleteConflict);
    ids.set_default_version(own(), &arn, "v1").await.unwrap();
    assert!(reads(&bench.signs(&key).await.unwrap(), own()));
    ids.delete_policy_version(own(), &arn, "v2").await.unwrap();
    assert_eq!(
        ids.create_policy_version(own(), &arn, ALLOW, false).await.unwrap().id,
        "v3",
        "no number twice"
    );
    let versions = ids.policy_versions(own(), &arn, Paging::default()).await.unwrap().items;
    let versions: Vec<_> = versions.iter().map(|version| (version.id.as_str(), version.is_default)).collect();
    assert_eq!(versions, [("v3", false), ("v1", true)]);
    let found = ids.policy_version(own(), &arn, "v1").await.unwrap();
    assert_eq!(found.document.as_deref(), Some(ALLOW));
    for absent in ["v2", "v9"] {
        assert_eq!(code(ids.policy_version(own(), &arn, absent).await), Code::NoSuchEntity);
        assert_eq!(code(ids.set_default_version(own(), &arn, absent).await), Code::NoSuchEntity);
    }
    for wrong in ["2", "v", "v+1", "v01"] {
        assert_eq!(code(ids.policy_version(own(), &arn, wrong).await), Code::ValidationError);
    }
    let found = ids.policy(own(), &arn).await.unwrap();
    assert_eq!((found.attachments, found.boundaries, found.default_version.as_str()), (1, 0, "v1"));
    assert_eq!(code(ids.policy(other(), &arn).await), Code::NoSuchEntity, "another account's");
    assert_eq!(code(ids.policy(own(), &arn.replace('P', "p")).await), Code::NoSuchEntity, "another ARN");
}

#[tokio::test]
async fn policies_are_listed_with_whom_they_are_for() {
    let bench = Bench::new().await;
    let ids = &bench.ids;
    let new = NewPolicy { name: "z", path: Some("/x/"), document: ALLOW, ..NewPolicy::default() };
    let z = ids.create_policy(own(), new).await.unwrap().arn;
    bench.policy("y", ALLOW).await;
    bench.user("a").await;
    ids.create_group(own(), "g", None).await.unwrap();
    ids.attach(own(), Owner::Group("g"), &z).await.unwrap();
    ids.set_boundary(own(), Owner::User("a"), &z).await.unwrap();
    let of_aws = "arn:aws:iam::aws:policy/ReadOnlyAccess";
    ids.attach(own(), Owner::User("a"), of_aws).await.unwrap();
    let names = |filter, limit| async move {
        let (mut all, mut after) = (Vec::new(), None::<String>);
        loop {
            let page = ids.policies(own(), filter, page(after.as_deref(), limit)).await.unwrap();
            all.extend(page.items.into_iter().map(|policy| policy.name));
            after = page.next;
            if after.is_none() {
                return all;
            }
        }
    };
    let all = names(PolicyFilter::default(), 100).await;
    assert_eq!(all.len(), crate::identity::named::ALL.len() + 2);
    for limit in 1..12 {
        assert_eq!(names(PolicyFilter::default(), limit).await, all);
    }
    let local = PolicyFilter { scope: PolicyScope::Local, ..PolicyFilter::default() };
    assert_eq!(names(local, 1).await, ["y", "z"]);
    assert_eq!(names(PolicyFilter { path_prefix: Some("/x/"), ..local }, 1).await, ["z"]);
    let used = PolicyFilter { only_attached: true, ..PolicyFilter::default() };
    assert_eq!(names(used, 3).await, ["ReadOnlyAccess", "z"]);
    assert_eq!(names(PolicyFilter { usage: Some(Usage::Boundary), ..used }, 3).await, ["z"]);
    let holders = |kind, usage| {
        let z = &z;
        async move {
            let found = ids
                .entities_for_policy(
                    own(),
                    z,
                    HolderFilter { kind, usage, path_prefix: None },
                    Paging::default(),
                )
                .await
                .unwrap();
            found.items.into_iter().map(|holder| holder.name).collect::<Vec<_>>()
        }
    };
    assert_eq!(holders(None, None).await, ["g", "a"]);
    assert_eq!(holders(Some(Kind::User), None).await, ["a"]);
    assert_eq!(holders(None, Some(Usage::Attached)).await, ["g"]);
    let attached = ids.attached(own(), Owner::User("a"), None, Paging::default()).await.unwrap().items;
    assert_eq!(attached.into_iter().map(|policy| policy.arn).collect::<Vec<_>>(), [of_aws]);
    assert_eq!(code(ids.delete_policy(own(), of_aws).await), Code::AccessDenied);
    assert_eq!(code(ids.set_boundary(own(), Owner::Group("g"), &z).await), Code::InvalidInput);
    ids.assert_true().await;
    super::rows::assert_sound(&*bench.noting).await;
}

#[tokio::test]
async fn access_keys_sign_for_their_owner_while_they_are_active() {
    let mut bench = Bench::new().await;
    let ids = bench.ids.clone();
    bench.user("a").await;
    let made = ids.create_access_key(own(), KeyOwner::User("a")).await.unwrap();
    let (id, secret) = (made.key.id, made.secret);
    assert_eq!(secret.expose().len(), 40);
    assert_eq!(ids.lookup(id.as_str()).unwrap().secret, secret);
    let who = bench.signs(&id).await.unwrap();
    assert_eq!(who.arn().unwrap(), "arn:aws:iam::111122223333:user/a");
    assert!(!reads(&who, own()), "a new user may nothing");
    assert_eq!(ids.lookup(EXAMPLE_KEY).unwrap().account, own(), "the file's keys are known too");
    let owner = KeyOwner::User("a");
    let status = |status| ids.update_access_key(own(), owner, id.as_str(), status);
    status(KeyStatus::Inactive).await.unwrap();
    assert!(ids.lookup(id.as_str()).is_none());
    status(KeyStatus::Active).await.unwrap();
    // What is on disk is no secret, and what is opened anew knows it.
    let reopened = bench.reopened().await;
    assert_eq!(reopened.lookup(id.as_str()).unwrap().secret, secret);
    reopened.assert_true().await;
    let listed = ids.access_keys(own(), owner, Paging::default()).await.unwrap().items;
    assert_eq!((listed.len(), listed[0].id.clone(), listed[0].user.as_deref()), (1, id.clone(), Some("a")));
    let of_root = ids.access_keys(own(), KeyOwner::Root, Paging::default()).await.unwrap().items;
    assert_eq!(of_root[0].id.as_str(), EXAMPLE_KEY);
    let refused = ids.update_access_key(own(), KeyOwner::Root, EXAMPLE_KEY, KeyStatus::Inactive).await;
    assert_eq!(code(refused), Code::UnmodifiableEntity);
    for wrong in [KeyOwner::Root, KeyOwner::User("b")] {
        assert_eq!(code(ids.delete_access_key(own(), wrong, id.as_str()).await), Code::NoSuchEntity);
    }
    bench.clock.advance(Duration::from_mins(1));
    assert!(bench.signs(&id).await.is_some());
    ids.delete_access_key(own(), owner, id.as_str()).await.unwrap();
    assert!(ids.lookup(id.as_str()).is_none() && bench.signs(&id).await.is_none());
    let root = ids.create_access_key(own(), KeyOwner::Root).await.unwrap().key.id;
    assert!(bench.signs(&root).await.unwrap().is_root_of(own()));
    ids.assert_true().await;
    super::rows::assert_sound(&*bench.noting).await;
}

#[tokio::test]
async fn tags_and_aliases_are_set_and_taken_away() {
    let bench = Bench::new().await;
    let ids = &bench.ids;
    bench.user("a").await;
    let user = Tagged::User("a");
    ids.tag(own(), user, &[tag("Team", "ml"), tag("cost", "1")]).await.unwrap();
    ids.tag(own(), user, &[tag("team", "ops")]).await.unwrap();
    let first = ids.tags(own(), user, page(None, 1)).await.unwrap();
    assert_eq!(first.items, [tag("team", "ops")]);
    assert_eq!(
        ids.tags(own(), user, page(first.next.as_deref(), 1)).await.unwrap().items,
        [tag("cost", "1")]
    );
    ids.untag(own(), user, &["TEAM", "none"]).await.unwrap();
    assert_eq!(ids.user(own(), "a").await.unwrap().tags, [tag("cost", "1")]);
    ids.create_alias(own(), "first").await.unwrap();
    ids.create_alias(own(), "second").await.unwrap();
    assert_eq!(code(ids.create_alias(other(), "second").await), Code::EntityAlreadyExists);
    ids.create_alias(other(), "first").await.unwrap();
    assert_eq!(ids.alias(own()).await.unwrap().as_deref(), Some("second"));
    assert_eq!(code(ids.delete_alias(own(), "first").await), Code::NoSuchEntity);
    ids.delete_alias(own(), "second").await.unwrap();
    assert_eq!(ids.alias(own()).await.unwrap(), None);
    let summary = ids.summary(own()).await.unwrap();
    assert!(summary.contains(&("Users", 1)) && summary.contains(&("AccountAccessKeysPresent", 1)));
}

#[tokio::test]
async fn each_operation_is_one_commit_that_needs_the_layout_of_identities() {
    let bench = Bench::new().await;
    let ids = &bench.ids;
    assert!(bench.noting.layouts.lock().is_empty(), "nobody: nothing is written");
    macro_rules! one {
        ($operation:expr) => {{
            bench.noting.layouts.lock().clear();
            let answer = $operation.await.unwrap();
            let noted = std::mem::take(&mut *bench.noting.layouts.lock());
            let layouts: Vec<_> = noted.iter().map(|(_, layout)| *layout).collect();
            assert_eq!(layouts, [Layout::IDENTITIES], "{}", stringify!($operation));
            answer
        }};
    }
    let user = Owner::User("a");
    one!(ids.create_user(own(), NewUser { name: "a", ..NewUser::default() }));
    // The key that seals secrets is made first, and what keeps an older firn out before it.
    bench.noting.layouts.lock().clear();
    ids.create_access_key(own(), KeyOwner::User("a")).await.unwrap();
    let noted = std::mem::take(&mut *bench.noting.layouts.lock());
    assert_eq!(
        noted.iter().map(|(_, layout)| *layout).collect::<Vec<_>>(),
        [Layout::IDENTITIES, Layout::FIRST, Layout::IDENTITIES]
    );
    assert!(noted[0].0 > 0, "a frame of the log says it");
    let key = one!(ids.create_access_key(own(), KeyOwner::User("a"))).key.id;
    one!(ids.update_access_key(own(), KeyOwner::User("a"), key.as_str(), KeyStatus::Inactive));
    one!(ids.delete_access_key(own(), KeyOwner::User("a"), key.as_str()));
    let policy =
        one!(ids.create_policy(own(), NewPolicy { name: "p", document: ALLOW, ..NewPolicy::default() }));
    one!(ids.create_policy_version(own(), &policy.arn, DENY, false));
    one!(ids.set_default_version(own(), &policy.arn, "v2"));
    one!(ids.delete_policy_version(own(), &policy.arn, "v1"));
    one!(ids.attach(own(), user, &policy.arn));
    one!(ids.detach(own(), user, &policy.arn));
    one!(ids.set_boundary(own(), user, &policy.arn));
    one!(ids.delete_boundary(own(), user));
    one!(ids.put_inline(own(), user, "i", ALLOW));
    one!(ids.delete_inline(own(), user, "i"));
    one!(ids.tag(own(), Tagged::User("a"), &[tag("k", "v")]));
    one!(ids.untag(own(), Tagged::User("a"), &["k"]));
    one!(ids.create_group(own(), "g", None));
    one!(ids.add_to_group(own(), "g", "a"));
    one!(ids.remove_from_group(own(), "g", "a"));
    one!(ids.update_group(own(), "g", Some("h"), None));
    one!(ids.delete_group(own(), "h"));
    one!(ids.create_role(own(), NewRole { name: "r", trust: TRUST, ..NewRole::default() }));
    one!(ids.update_role(own(), "r", Some("what"), Some(7200)));
    one!(ids.set_trust(own(), "r", TRUST));
    one!(ids.delete_role(own(), "r"));
    one!(ids.update_user(own(), "a", Some("b"), None));
    one!(ids.create_alias(own(), "alias"));
    one!(ids.delete_alias(own(), "alias"));
    one!(ids.delete_policy(own(), &policy.arn));
    super::rows::assert_sound(&*bench.noting).await;
    ids.assert_true().await;
}

#[tokio::test]
async fn the_use_of_a_key_is_noted_once_in_a_while() {
    let bench = Bench::new().await;
    let ids = &bench.ids;
    bench.user("a").await;
    let key = bench.key("a").await;
    let used = async || {
        // What notes it goes its own way: all that is ready runs before this task again.
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
        ids.access_key_last_used(own(), key.as_str()).await.unwrap().used.map(|(at, ..)| at)
    };
    assert_eq!(used().await, None);
    let first = bench.clock.now();
    bench.signs(&key).await.unwrap();
    let told = ids.access_key_last_used(own(), key.as_str()).await.unwrap();
    assert_eq!(told.user.as_deref(), Some("a"));
    assert_eq!(used().await, Some(first));
    for (minutes, noted) in [(14, false), (1, true)] {
        bench.clock.advance(Duration::from_mins(minutes));
        bench.signs(&key).await.unwrap();
        assert_eq!(used().await == Some(bench.clock.now()), noted, "{minutes}");
    }
    assert_eq!(code(ids.access_key_last_used(other(), key.as_str()).await), Code::NoSuchEntity);
}

#[tokio::test]
async fn a_roots_key_that_iam_made_ends_for_what_it_began_and_its_use_is_noted() {
    let bench = Bench::new().await;
    let key = bench.ids.create_access_key(own(), KeyOwner::Root).await.unwrap().key.id;
    let who = bench.signs(&key).await.unwrap();
    assert!(who.is_root_of(own()) && super::reads(&who, own()) && !super::reads(&who, other()));
    assert_eq!((who.arn(), who.user_id()), (Some(format!("arn:aws:iam::{}:root", own())), own().to_string()));
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
    let told = bench.ids.access_key_last_used(own(), key.as_str()).await.unwrap();
    assert_eq!((told.user, told.used.map(|(at, ..)| at)), (None, Some(bench.clock.now())));
    let session = bench.ids.session_token(&who, None, None).await.unwrap();
    assert!(bench.session(&session).await.unwrap().is_root_of(own()));
    assert_eq!(who.renewed().await.unwrap().as_ref(), Some(&who));
    let inactive = KeyStatus::Inactive;
    bench.ids.update_access_key(own(), KeyOwner::Root, key.as_str(), inactive).await.unwrap();
    assert_eq!(who.renewed().await.unwrap(), None, "nobody any more");
    assert!(bench.signs(&key).await.is_none());
}
