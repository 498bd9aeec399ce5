//! The access advisor: which services somebody may use, and when they did.

use super::{ALLOW, Bench, other, own};
use crate::credentials::{AccessKeyId, Bearer, CredentialLookup as _};
use crate::identity::advisor::ServiceUse;
use crate::identity::{AssumeRole, Code, NewRole, Owner, SessionBounds};
use crate::policy::NoContext;
use engine::clock::Clock as _;
use std::time::Duration;

/// A request with a key of a user, and all that comes of it.
async fn uses(bench: &Bench, key: &AccessKeyId, service: &str) {
    let found = bench.ids.lookup(key.as_str()).unwrap();
    let bearer = Bearer { account: found.account, holder: &found.holder, access_key_id: key, service };
    bench.ids.principal(bearer).await.unwrap().unwrap();
    settle().await;
}

/// What was begun for nobody to wait for is done.
async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

async fn found(bench: &Bench, arn: &str) -> Vec<ServiceUse> {
    let job = bench.ids.find_last_accessed(own(), arn).await.unwrap();
    assert_eq!(job.len(), 36);
    assert_eq!(bench.ids.last_accessed(other(), &job).unwrap_err().code, Code::NoSuchEntity);
    bench.ids.last_accessed(own(), &job).unwrap().services.clone()
}

fn arn(what: &str) -> String {
    format!("arn:aws:iam::111122223333:{what}")
}

#[tokio::test]
async fn services_that_policies_let_in_to_are_told_with_their_last_use() {
    let bench = Bench::new().await;
    bench.user("a").await;
    bench.user("b").await;
    let (a, b) = (bench.key("a").await, bench.key("b").await);
    bench.ids.create_group(own(), "g", None).await.unwrap();
    bench.ids.add_to_group(own(), "g", "a").await.unwrap();
    bench.ids.add_to_group(own(), "g", "b").await.unwrap();
    let policy = bench.policy("reads", ALLOW).await;
    bench.ids.attach(own(), Owner::Group("g"), &policy).await.unwrap();
    let names = |found: &[ServiceUse]| found.iter().map(|service| service.namespace).collect::<Vec<_>>();
    let user = found(&bench, &arn("user/a")).await;
    assert_eq!(names(&user), ["s3"]);
    assert_eq!((user[0].users, &user[0].last), (0, &None));
    bench.clock.advance(Duration::from_mins(1));
    let first = bench.clock.now();
    uses(&bench, &a, "s3").await;
    uses(&bench, &a, "kms").await;
    bench.clock.advance(Duration::from_mins(1));
    let second = bench.clock.now();
    uses(&bench, &b, "s3").await;
    let region = "us-east-1".to_owned();
    let user = found(&bench, &arn("user/a")).await;
    assert_eq!(names(&user), ["s3"], "what no policy lets in to is not told");
    assert_eq!(user[0].last, Some((first, arn("user/a"), region.clone())));
    for what in [arn("group/g"), policy.clone()] {
        let of_all = found(&bench, &what).await;
        assert_eq!((names(&of_all), of_all[0].users), (vec!["s3"], 2), "{what}");
        assert_eq!(of_all[0].last, Some((second, arn("user/b"), region.clone())));
    }
    let everything = "arn:aws:iam::aws:policy/AdministratorAccess";
    bench.ids.attach(own(), Owner::User("a"), everything).await.unwrap();
    let user = found(&bench, &arn("user/a")).await;
    assert_eq!(names(&user), ["cloudtrail", "glacier", "iam", "kms", "s3", "sts"]);
    assert_eq!(user[3].last.as_ref().unwrap().0, first);
    assert_eq!(found(&bench, everything).await[4].users, 1);
    for nothing in [arn("user/c"), arn("role/a"), arn("policy/x"), "arn:aws:s3:::bucket-bucket".to_owned()] {
        let refused = bench.ids.find_last_accessed(own(), &nothing).await.unwrap_err();
        assert_eq!(refused.code, Code::NoSuchEntity, "{nothing}");
    }
    let of_other = bench.ids.find_last_accessed(other(), &arn("user/a")).await.unwrap_err();
    assert_eq!(of_other.code, Code::NoSuchEntity);
    // Who takes a name has used nothing.
    bench.ids.remove_from_group(own(), "g", "b").await.unwrap();
    bench.ids.delete_access_key(own(), crate::identity::KeyOwner::User("b"), b.as_str()).await.unwrap();
    bench.ids.delete_user(own(), "b").await.unwrap();
    super::rows::assert_sound(&*bench.noting).await;
    assert!(super::rows::rows(&*bench.noting, crate::identity::advisor::SERVICES_USED).await.len() == 2);
}

#[tokio::test]
async fn uses_are_written_once_in_a_quarter_of_an_hour() {
    let bench = Bench::new().await;
    bench.user("a").await;
    let key = bench.key("a").await;
    uses(&bench, &key, "s3").await;
    bench.noting.layouts.lock().clear();
    for _ in 0..50 {
        uses(&bench, &key, "s3").await;
        bench.clock.advance(Duration::from_secs(10));
    }
    assert!(bench.noting.layouts.lock().is_empty());
    bench.clock.advance(Duration::from_mins(15));
    uses(&bench, &key, "s3").await;
    // The key's, and the service's.
    assert_eq!(bench.noting.layouts.lock().len(), 2);
    uses(&bench, &key, "ec2").await;
    assert_eq!(bench.noting.layouts.lock().len(), 2, "a service that is none");
}

#[tokio::test]
async fn a_roles_use_is_its_sessions() {
    const TRUST: &str = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:user/a"},"Action":"sts:AssumeRole"}}"#;
    let bench = Bench::new().await;
    bench.user("a").await;
    let key = bench.key("a").await;
    let who = bench.signs(&key).await.unwrap();
    bench.ids.create_role(own(), NewRole { name: "r", trust: TRUST, ..NewRole::default() }).await.unwrap();
    bench.ids.put_inline(own(), Owner::Role("r"), "reads", ALLOW).await.unwrap();
    let asked = AssumeRole {
        who: &who,
        context: &NoContext,
        role: "arn:aws:iam::111122223333:role/r",
        session_name: "job",
        external_id: None,
        source_identity: None,
        duration_secs: None,
        bounds: SessionBounds::default(),
        tags: &[],
        transitive: &[],
        shown: None,
    };
    assert_eq!(bench.ids.role(own(), "r").await.unwrap().last_used, None);
    let session = bench.ids.assume_role(asked).await.unwrap();
    bench.session(&session.credentials).await.unwrap();
    settle().await;
    let role = found(&bench, &arn("role/r")).await;
    assert_eq!(role[0].last.as_ref().unwrap().1, arn("role/r"));
    assert!(bench.ids.role(own(), "r").await.unwrap().last_used.is_some());
}
