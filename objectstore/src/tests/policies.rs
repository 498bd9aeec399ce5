//! A policy that was acknowledged holds for whatever is asked from then on; where there is none, nothing is looked up for the root of the
//! bucket's account.

use super::between::{Mute, Pair, in_every_gap};
use crate::world::{World, bucket};
use crate::{About, BucketName, BucketPolicy, Error, NewBucket, SettingKind, Versioning};
use security::Principal;
use security::decide::{Action, Question};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

fn denial() -> BucketPolicy {
    let text = r#"{"Statement":{"Effect":"Deny","Principal":"*","Action":"*","Resource":"*"}}"#;
    BucketPolicy::parse(text).unwrap()
}

/// Whether the root of the bucket's account may write a key.
async fn lets_in(world: &World, name: &BucketName) -> bool {
    let principal = Principal::Root(world.parts().account);
    let asks = Question::new(principal, Action::new("s3:PutObject"), None);
    let admitted = world.store.admit(name, Some(&asks), About::Key("k")).await;
    let decided = world.store.decide(name, &asks, About::Key("k")).await.unwrap().allowed();
    match admitted {
        Ok(_) => assert!(decided),
        Err(Error::AccessDenied) => assert!(!decided),
        Err(error) => panic!("{error}"),
    }
    decided
}

async fn marks(world: &World) -> usize {
    world.store.marks(SettingKind::Policy).await.unwrap().len()
}

#[tokio::test]
async fn a_policy_holds_from_its_acknowledgement_to_its_removal_and_over_restarts() {
    let mut world = World::new(90).await;
    let shut = world.create("shut", Versioning::Off).await;
    let open = world.create("open", Versioning::Off).await;
    assert!(lets_in(&world, &shut).await && lets_in(&world, &open).await);
    world.store.set_policy(&shut, &denial()).await.unwrap();
    for _ in 0..3 {
        assert!(!lets_in(&world, &shut).await && lets_in(&world, &open).await);
        assert!(
            world.store.has_policy(&shut).await.unwrap() && !world.store.has_policy(&open).await.unwrap()
        );
        assert_eq!(marks(&world).await, 1);
        world.reopen().await;
    }
    world.store.set::<BucketPolicy>(&shut, None).await.unwrap();
    for _ in 0..3 {
        assert!(lets_in(&world, &shut).await && !world.store.has_policy(&shut).await.unwrap());
        assert_eq!(marks(&world).await, 0);
        world.reopen().await;
    }
}

#[tokio::test]
async fn a_start_after_a_crash_between_any_steps_of_a_change_of_a_policy_goes_by_what_is_there() {
    for removes in [false, true] {
        let pair = Pair::new(91).await;
        in_every_gap(async |n| {
            let name = pair.slow.create(&format!("bucket-{n}"), Versioning::Off).await;
            if removes {
                pair.slow.store.set_policy(&name, &denial()).await.unwrap();
            }
            let (fast, theirs) = (pair.fast.clone(), name.clone());
            let step = async move {
                let started = fast.beside(fast.catalog.clone()).await;
                let is_there = started.store.setting::<BucketPolicy>(&theirs).await.unwrap().is_some();
                assert_eq!(lets_in(&started, &theirs).await, !is_there, "gap {n}");
            };
            let change = async {
                if removes {
                    pair.slow.store.set::<BucketPolicy>(&name, None).await.unwrap();
                } else {
                    pair.slow.store.set_policy(&name, &denial()).await.unwrap();
                }
            };
            let changed = pair.with_step_at(n, step, change).await;
            assert_eq!(lets_in(&pair.slow, &name).await, removes, "gap {n}");
            changed.is_some()
        })
        .await;
    }
}

#[tokio::test]
async fn where_there_is_no_policy_nothing_is_looked_up_for_the_root() {
    let pair = Pair::new(92).await;
    let open = pair.slow.create("open", Versioning::Off).await;
    let shut = pair.slow.create("shut", Versioning::Off).await;
    pair.slow.store.set_policy(&shut, &denial()).await.unwrap();
    let looked = async |name: &BucketName| {
        let asked = async {
            let has = pair.slow.store.has_policy(name).await.unwrap();
            (has, lets_in(&pair.slow, name).await)
        };
        // Nothing where no look at the rows came.
        pair.with_step_at(0, async {}, asked).await
    };
    assert_eq!(looked(&shut).await, Some((true, false)));
    assert_eq!(looked(&open).await, None);
    assert!(lets_in(&pair.slow, &open).await);
}

#[tokio::test]
async fn a_bucket_that_takes_the_name_of_one_with_a_policy_has_none() {
    let mut world = World::new(93).await;
    let name = world.create("name", Versioning::Off).await;
    world.store.set_policy(&name, &denial()).await.unwrap();
    world.store.delete_bucket(&name).await.unwrap();
    assert_eq!(marks(&world).await, 0);
    world.store.create_bucket(&bucket("name"), &NewBucket::default()).await.unwrap();
    for _ in 0..2 {
        assert!(lets_in(&world, &name).await && !world.store.has_policy(&name).await.unwrap());
        world.reopen().await;
    }
}

#[tokio::test]
async fn a_change_of_a_policy_whose_answer_is_lost_is_looked_up() {
    let world = World::new(94).await;
    let mute = Arc::new(Mute { rows: world.catalog.clone(), left: AtomicUsize::new(0) });
    let hard_of_hearing = world.beside(mute.clone()).await;
    let name = hard_of_hearing.create("name", Versioning::Off).await;
    let lose = || mute.left.store(4, Ordering::Relaxed);
    // The mark's own: nothing is set.
    lose();
    hard_of_hearing.store.set_policy(&name, &denial()).await.unwrap_err();
    assert!(lets_in(&hard_of_hearing, &name).await);
    hard_of_hearing.store.set_policy(&name, &denial()).await.unwrap();
    assert!(!lets_in(&hard_of_hearing, &name).await);
    lose();
    hard_of_hearing.store.set::<BucketPolicy>(&name, None).await.unwrap_err();
    assert!(lets_in(&hard_of_hearing, &name).await, "it went all the same");
    // It is in memory and marked still; so is the next one, from before its commit.
    lose();
    hard_of_hearing.store.set_policy(&name, &denial()).await.unwrap_err();
    assert!(!lets_in(&hard_of_hearing, &name).await, "it was set all the same");
}
