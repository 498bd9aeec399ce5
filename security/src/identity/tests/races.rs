//! Two owners of the same rows, who share no lock: the commits' checks are all there is.

use super::rows::assert_sound;
use super::{ALLOW, Bench, DENY, own};
use crate::identity::{Code, Identities, KeyOwner, Owner, Result};
use engine::BoxFuture;
use engine::testing::in_every_gap;
use std::sync::Arc;

type Operation = fn(Arc<Identities>) -> BoxFuture<'static, Result<()>>;

const ARN: &str = "arn:aws:iam::111122223333:policy/p";

macro_rules! operation {
    ($ids:ident => $call:expr) => {
        |$ids: Arc<Identities>| Box::pin(async move { $call.await.map(drop) })
    };
}

/// One operation with another in each of its gaps: whichever comes first, the rows are sound and one of them says so.
async fn race(prepare: Operation, first: Operation, second: Operation, both: bool) {
    in_every_gap(20, async |gap| {
        let bench = Bench::new().await;
        prepare(bench.ids.clone()).await.unwrap();
        // What the other owner knows of is what is there.
        let outcome = Arc::new(parking_lot::Mutex::new(None));
        let (others, told) = (bench.others.clone(), outcome.clone());
        bench.gate.arm(gap, async move {
            let done = second(others).await;
            *told.lock() = Some(done.map_err(|error| error.code));
        });
        let mine = first(bench.ids.clone()).await.map_err(|error| error.code);
        let happened = !bench.gate.disarm();
        if happened {
            let theirs = outcome.lock().take().unwrap();
            assert_sound(&*bench.noting).await;
            let passed = usize::from(mine.is_ok()) + usize::from(theirs.is_ok());
            assert!(passed == 1 || both, "{gap}: {mine:?} {theirs:?}");
            assert!(passed > 0, "{gap}: {mine:?} {theirs:?}");
            for refused in [mine, theirs].into_iter().filter_map(Result::err) {
                let known = [
                    Code::NoSuchEntity,
                    Code::DeleteConflict,
                    Code::LimitExceeded,
                    Code::EntityAlreadyExists,
                ];
                assert!(known.contains(&refused), "{refused}");
            }
        }
        happened
    })
    .await;
}

fn user_and_policy(ids: Arc<Identities>) -> BoxFuture<'static, Result<()>> {
    Box::pin(async move {
        ids.create_user(own(), crate::identity::NewUser { name: "a", ..Default::default() }).await?;
        ids.create_group(own(), "g", None).await?;
        let new = crate::identity::NewPolicy { name: "p", document: ALLOW, ..Default::default() };
        ids.create_policy(own(), new).await?;
        Ok(())
    })
}

fn almost_full(ids: Arc<Identities>) -> BoxFuture<'static, Result<()>> {
    Box::pin(async move {
        user_and_policy(ids.clone()).await?;
        ids.create_access_key(own(), KeyOwner::User("a")).await?;
        for version in 2..5 {
            assert_eq!(ids.create_policy_version(own(), ARN, DENY, false).await?.id, format!("v{version}"));
        }
        for n in 0..9 {
            ids.create_group(own(), &format!("g{n}"), None).await?;
            ids.add_to_group(own(), &format!("g{n}"), "a").await?;
            let name = format!("p{n}");
            let new = crate::identity::NewPolicy { name: &name, document: ALLOW, ..Default::default() };
            let arn = ids.create_policy(own(), new).await?.arn;
            ids.attach(own(), Owner::Group("g"), &arn).await?;
        }
        ids.create_group(own(), "h", None).await?;
        let new = crate::identity::NewPolicy { name: "q", document: ALLOW, ..Default::default() };
        ids.create_policy(own(), new).await?;
        Ok(())
    })
}

#[tokio::test]
async fn nothing_hangs_on_what_is_deleted_meanwhile() {
    let delete_user: Operation = operation!(ids => ids.delete_user(own(), "a"));
    let delete_policy: Operation = operation!(ids => ids.delete_policy(own(), ARN));
    let hangs: [(Operation, Operation); 7] = [
        (operation!(ids => ids.attach(own(), Owner::User("a"), ARN)), delete_user),
        (operation!(ids => ids.attach(own(), Owner::User("a"), ARN)), delete_policy),
        (operation!(ids => ids.put_inline(own(), Owner::User("a"), "i", ALLOW)), delete_user),
        (operation!(ids => ids.add_to_group(own(), "g", "a")), delete_user),
        (
            operation!(ids => ids.add_to_group(own(), "g", "a")),
            operation!(ids => ids.delete_group(own(), "g")),
        ),
        (operation!(ids => ids.set_boundary(own(), Owner::User("a"), ARN)), delete_policy),
        (operation!(ids => ids.create_policy_version(own(), ARN, DENY, false)), delete_policy),
    ];
    for (hang, delete) in hangs {
        race(user_and_policy, hang, delete, false).await;
        race(user_and_policy, delete, hang, false).await;
    }
    let prepare: Operation = |ids| {
        Box::pin(async move {
            user_and_policy(ids.clone()).await?;
            // There is a key that seals secrets.
            ids.create_access_key(own(), KeyOwner::Root).await.map(drop)
        })
    };
    let key: Operation = operation!(ids => ids.create_access_key(own(), KeyOwner::User("a")));
    race(prepare, key, delete_user, false).await;
    race(prepare, delete_user, key, false).await;
}

#[tokio::test]
async fn the_last_place_is_taken_once() {
    let same: [(Operation, Operation); 4] = [
        (
            operation!(ids => ids.create_access_key(own(), KeyOwner::User("a"))),
            operation!(ids => ids.create_access_key(own(), KeyOwner::User("a"))),
        ),
        (
            operation!(ids => ids.add_to_group(own(), "g", "a")),
            operation!(ids => ids.add_to_group(own(), "h", "a")),
        ),
        (
            operation!(ids => ids.attach(own(), Owner::Group("g"), ARN)),
            operation!(ids => ids.attach(own(), Owner::Group("g"), "arn:aws:iam::111122223333:policy/q")),
        ),
        (
            operation!(ids => ids.create_policy_version(own(), ARN, ALLOW, true)),
            operation!(ids => ids.create_policy_version(own(), ARN, ALLOW, true)),
        ),
    ];
    for (first, second) in same {
        race(almost_full, first, second, false).await;
    }
}

#[tokio::test]
async fn a_name_is_given_once_and_what_is_done_twice_is_done_once() {
    let create: Operation = operation!(ids => ids.create_user(own(), crate::identity::NewUser { name: "B", ..Default::default() }));
    let rename: Operation = operation!(ids => ids.update_user(own(), "a", Some("b"), None));
    race(user_and_policy, create, create, false).await;
    race(user_and_policy, create, rename, false).await;
    race(user_and_policy, rename, create, false).await;
    let attach: Operation = operation!(ids => ids.attach(own(), Owner::User("a"), ARN));
    let join: Operation = operation!(ids => ids.add_to_group(own(), "g", "a"));
    let bound: Operation = operation!(ids => ids.set_boundary(own(), Owner::User("a"), ARN));
    let write: Operation = operation!(ids => ids.put_inline(own(), Owner::User("a"), "i", ALLOW));
    for same in [attach, join, bound, write] {
        race(user_and_policy, same, same, true).await;
    }
    race(user_and_policy, rename, attach, true).await;
}
