//! How much an identity may be, and what of it is in memory.

use super::{ALLOW, Bench, own};
use crate::identity::{Code, KeyOwner, Kind, NewPolicy, NewRole, NewUser, Owner, Tag, Tagged};

const TRUST: &str =
    r#"{"Statement":{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"sts:AssumeRole"}}"#;

/// As many tags as there may be, each as long as it may be, of this letter.
fn tags(letter: char) -> Vec<Tag> {
    let text = |count: usize| String::from(letter).repeat(count);
    (0..50).map(|n| Tag { key: format!("{n:02}{}", text(126)), value: text(256) }).collect()
}

fn trust_of_bytes(bytes: usize) -> String {
    TRUST.replace(',', &format!(",{}", " ".repeat(bytes.saturating_sub(TRUST.len()) / 2)))
}

#[tokio::test]
async fn what_is_too_much_for_a_row_is_refused_and_the_most_of_all_fits() {
    let bench = Bench::new().await;
    let ids = &bench.ids;
    let (most, over) = (tags('a'), tags('é'));
    let (trust, description) = (trust_of_bytes(15 << 10), "\u{10400}".repeat(1_000));
    let path = format!("/{}/", "p".repeat(510));
    let name = "r".repeat(64);
    let boundary = NewPolicy {
        name: &"b".repeat(128),
        path: Some(&path),
        document: ALLOW,
        tags: &most,
        description: Some(&description),
    };
    let boundary = ids.create_policy(own(), boundary).await.unwrap().arn;
    let role = NewRole {
        name: &name,
        path: Some(&path),
        trust: &trust,
        description: Some(&description),
        boundary: Some(&boundary),
        tags: &most,
        ..NewRole::default()
    };
    ids.create_role(own(), role).await.unwrap();
    ids.create_user(own(), NewUser { name: "u", tags: &most, ..NewUser::default() }).await.unwrap();
    let code = |refused: crate::identity::IdentityError| refused.code;
    let limit = Code::LimitExceeded;
    let more = NewRole { name: "s", tags: &over, ..role };
    assert_eq!(ids.create_role(own(), more).await.map_err(code).unwrap_err(), limit);
    let more = NewUser { name: "v", tags: &over, ..NewUser::default() };
    assert_eq!(ids.create_user(own(), more).await.map_err(code).unwrap_err(), limit);
    let more = NewPolicy { name: "p", document: ALLOW, tags: &over, ..NewPolicy::default() };
    assert_eq!(ids.create_policy(own(), more).await.map_err(code).unwrap_err(), limit);
    let wide = trust_of_bytes(17 << 10);
    assert_eq!(ids.set_trust(own(), &name, &wide).await.map_err(code).unwrap_err(), limit);
    // One after the other, too.
    for what in [Tagged::User("u"), Tagged::Role(&name), Tagged::Policy(&boundary)] {
        let mut refused = Ok(());
        for tag in &most {
            let tag = Tag { value: "\u{10400}".repeat(256), ..tag.clone() };
            refused = refused.and(ids.tag(own(), what, &[tag]).await.map_err(code));
        }
        assert_eq!(refused.unwrap_err(), limit);
    }
    ids.assert_true().await;
}

#[tokio::test]
async fn neither_texts_nor_tags_are_in_memory_and_who_is_asked_for_has_them() {
    let bench = Bench::new().await;
    let ids = &bench.ids;
    let most = tags('a');
    ids.create_user(own(), NewUser { name: "u", tags: &most, ..NewUser::default() }).await.unwrap();
    let description = "d".repeat(1_000);
    let role = NewRole {
        name: "r",
        trust: &trust_of_bytes(15 << 10),
        description: Some(&description),
        tags: &most,
        ..NewRole::default()
    };
    ids.create_role(own(), role).await.unwrap();
    for told in ids.world.load().told() {
        assert!(told.len() < 1_000, "{} bytes: {told}", told.len());
    }
    let key = ids.create_access_key(own(), KeyOwner::User("u")).await.unwrap().key.id;
    let who = bench.signs(&key).await.unwrap();
    assert_eq!(*who.identity().unwrap().tags, *most);
    ids.untag(own(), Tagged::User("u"), &[&most[0].key]).await.unwrap();
    let who = bench.signs(&key).await.unwrap();
    assert_eq!(*who.identity().unwrap().tags, most[1..]);
    let tagged = ALLOW.replace(
        "\"Resource\"",
        &format!(
            "\"Condition\":{{\"StringEquals\":{{\"aws:PrincipalTag/{}\":\"{}\"}}}},\"Resource\"",
            most[1].key, most[1].value
        ),
    );
    ids.put_inline(own(), Owner::User("u"), "i", &tagged).await.unwrap();
    let (who, now) = (bench.signs(&key).await.unwrap(), engine::clock::Timestamp::default());
    let context = crate::principal::PrincipalContext::new(&who, now, &crate::policy::NoContext);
    assert!(who.may("s3:GetObject", "arn:aws:s3:::bucket/key", own(), &context).is_allowed());
}

#[tokio::test]
async fn a_policys_arn_is_in_memory_once_to_however_many_it_is_attached() {
    let mut bench = Bench::new().await;
    let path = format!("/{}/", "p".repeat(510));
    let new = NewPolicy { name: "p", path: Some(&path), document: ALLOW, ..NewPolicy::default() };
    let arn = bench.ids.create_policy(own(), new).await.unwrap().arn;
    bench.user("u").await;
    bench.ids.attach(own(), Owner::User("u"), &arn).await.unwrap();
    let reopened = bench.reopened().await;
    for ids in [&bench.ids, &reopened] {
        let world = ids.world.load();
        let picture = &world.accounts[&own()];
        let named = |kind, name| picture.named(kind, name).unwrap();
        let (policy, user) = (named(Kind::Policy, "p"), named(Kind::User, "u"));
        assert!(std::sync::Arc::ptr_eq(&policy.arn, &user.attached[0].1));
    }
}
