//! Jobs that restore all below a prefix: what they ask for and what not, for whom, and across crashes.

use super::cold::{ARCHIVES, archive, is_refused, request, restore, state, wait};
use super::events::{MESSAGES, Told};
use super::identities::{alice, signs};
use super::lifecycle::Dies;
use crate::restore_job::JobRow;
use crate::world::{World, bytes, key};
use crate::{
    BucketName, Components, Error, NewRestoreJob, ObjectStore, Origin, PutRequest, RESTORE_JOBS_MAX,
    RestoreJob, RestoreJobId, RestoreJobState, RestoreState, RestoreTier, Result, StorageClass, Subresources,
    Tags, VersionSelector, Versioning, tables,
};
use bytes::Bytes;
use engine::catalog::record::Record as _;
use engine::catalog::{Scan, Write};
use engine::clock::Clock;
use security::Principal;
use security::credentials::CredentialLookup;
use security::decide::{Action, Question};
use security::identity::{KeyOwner, Owner};
use security::policy::GivenContext;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

fn id(number: u8) -> RestoreJobId {
    RestoreJobId::from_bytes([number; 16])
}

fn new(name: &BucketName, number: u8, prefix: &str, tier: RestoreTier) -> NewRestoreJob {
    let origin = Origin { request_id: *b"C3D13FE58DE4C810", ..Origin::default() };
    NewRestoreJob { id: id(number), bucket: name.clone(), prefix: prefix.to_owned(), tier, days: 3, origin }
}

fn asks(principal: Principal) -> Question {
    let context = GivenContext::default().with("aws:SourceIp", ["192.0.2.7"]);
    Question { context: Arc::new(context), ..Question::new(principal, Action::new("s3:RestoreObject"), None) }
}

fn root(world: &World) -> Question {
    asks(Principal::Root(world.account()))
}

async fn begin(world: &World, name: &BucketName, number: u8, prefix: &str) -> Result<RestoreJob> {
    world.store.begin_restore_job(&new(name, number, prefix, RestoreTier::Standard), &root(world)).await
}

/// Lets workers go on, and time pass, until a job has ended.
async fn ended(world: &World, name: &BucketName, number: u8) -> RestoreJob {
    for _ in 0..60 {
        world.settle().await;
        let job = world.store.restore_job(name, id(number)).await.unwrap();
        if job.end.is_some() {
            return job;
        }
        world.clock.advance(Duration::from_mins(20));
    }
    panic!("it never ends");
}

#[tokio::test]
async fn a_job_asks_for_what_is_archived_below_its_prefix_and_for_nothing_else() {
    let world = World::new(520).await;
    let name = world.create("bkt", Versioning::Enabled).await;
    let body = bytes(1, 10_000);
    for at in ["a/1", "a/2", "a/long", "a/short", "a/under-way", "a/slow", "b/1"] {
        archive(&world, &name, at, StorageClass::Glacier, &body).await;
    }
    archive(&world, &name, "a/deep", StorageClass::DeepArchive, &body).await;
    world.put(&name, "a/plain", body.clone()).await;
    archive(&world, &name, "a/gone", StorageClass::Glacier, &body).await;
    world.delete(&name, "a/gone").await;
    world.store.restore(&request(&name, "a/long", 30, RestoreTier::Standard), None).await.unwrap();
    restore(&world, &name, "a/short", 1).await.unwrap();
    world.settle().await;
    // Those that are under way stay so until somebody looks.
    world.store.restore(&request(&name, "a/under-way", 1, RestoreTier::Expedited), None).await.unwrap();
    world.store.restore(&request(&name, "a/slow", 1, RestoreTier::Bulk), None).await.unwrap();
    let new = new(&name, 1, "a/", RestoreTier::Expedited);
    let begun = world.store.begin_restore_job(&new, &root(&world)).await.unwrap();
    assert_eq!((begun.state, begun.counts.seen), (RestoreJobState::Asking, 0));
    assert_eq!(world.store.begin_restore_job(&new, &root(&world)).await.unwrap(), begun, "the same one");
    let partition = world.partition(&name).await;
    world.clock.advance(Duration::from_secs(1));
    archive(&world, &name, "a/newer", StorageClass::Glacier, &body).await;
    world.clock.advance(Duration::from_secs(1));
    let longer = state(&world, &name, "a/long").await.unwrap();
    // The job goes before those that look after archived objects.
    let mut workers = world.store.workers();
    let jobs = workers.iter_mut().find(|worker| worker.name() == "restore-jobs").unwrap();
    jobs.tick().await.unwrap();
    let asked = world.store.restore_job(&name, id(1)).await.unwrap();
    assert_eq!(asked.state, RestoreJobState::Waiting, "{asked:?}");
    let job = ended(&world, &name, 1).await;
    let counts = job.counts;
    assert_eq!((counts.seen, counts.not_archived, counts.newer, counts.failed), (9, 1, 1, 0), "{counts:?}");
    assert_eq!((counts.asked, counts.under_way, counts.there, counts.slower), (4, 1, 2, 1), "{counts:?}");
    assert_eq!((counts.asked_bytes, counts.ready, counts.pending, job.lost()), (40_000, 7, 0, 0));
    assert!(!job.end.as_ref().unwrap().cancelled && job.failures.is_empty() && job.waits.is_empty());
    assert_eq!(job.who, format!("arn:aws:iam::{}:root", world.account()));
    for at in ["a/1", "a/2", "a/deep", "a/short", "a/slow", "a/under-way"] {
        assert_eq!(world.get(&name, at).await.unwrap(), body, "{at}");
    }
    assert_eq!(state(&world, &name, "a/long").await, Some(longer), "its end is never brought forward");
    let Some(RestoreState::Until(short)) = state(&world, &name, "a/short").await else {
        panic!("it is gone")
    };
    assert!(short.since(world.clock.now()) > Duration::from_hours(48), "the end is put off");
    for at in ["b/1", "a/newer"] {
        assert!(is_refused(&world.get(&name, at).await, false), "{at}");
    }
    // A second one finds all of it there.
    world.clock.advance(Duration::from_secs(1));
    begin(&world, &name, 2, "").await.unwrap();
    let again = ended(&world, &name, 2).await;
    assert_eq!((again.counts.asked, again.counts.there, again.counts.newer), (2, 7, 0), "{:?}", again.counts);
    let all = world.store.restore_jobs(&name, "").await.unwrap();
    assert_eq!(all.iter().map(|job| job.id).collect::<Vec<_>>(), [id(2), id(1)], "newest first");
    assert_eq!(world.store.restore_jobs(&name, "a").await.unwrap().len(), 1);
    // It is forgotten after a week.
    world.clock.advance(Duration::from_hours(8 * 24));
    world.settle().await;
    assert_eq!(world.rows(partition, tables::RESTORE_JOBS).await, 0);
    assert!(matches!(world.store.restore_job(&name, id(1)).await, Err(Error::NoSuchRestoreJob)));
}

#[tokio::test]
async fn pages_of_many_objects_are_asked_for_to_the_last() {
    let world = World::new(521).await;
    let name = world.create("bkt", Versioning::Off).await;
    for number in 0..(crate::restore_job::ASKS_MAX * 2 + 40) {
        archive(&world, &name, &format!("k/{number:05}"), StorageClass::Glacier, &Bytes::from_static(b"x"))
            .await;
    }
    begin(&world, &name, 1, "k/").await.unwrap();
    let job = ended(&world, &name, 1).await;
    assert_eq!((job.counts.asked, job.counts.seen, job.counts.ready), (552, 552, 552), "{:?}", job.counts);
    let estimate = world.store.estimate_restore(&name, "k/", None).await.unwrap();
    let row = estimate.classes[&StorageClass::Glacier];
    assert_eq!((row.there, row.ask, row.vault, estimate.after), (552, 0, 0, None));
}

#[tokio::test]
async fn jobs_are_so_many_cancelled_and_go_with_their_bucket() {
    let world = World::new(522).await;
    let name = world.create("bkt", Versioning::Off).await;
    archive(&world, &name, "k", StorageClass::Glacier, &bytes(1, 100)).await;
    for number in 1..=RESTORE_JOBS_MAX {
        begin(&world, &name, u8::try_from(number).unwrap(), "").await.unwrap();
    }
    assert!(matches!(begin(&world, &name, 99, "").await, Err(Error::TooManyRestoreJobs { .. })));
    for (prefix, days) in [("", 0), (&*"x".repeat(1025), 3)] {
        let bad = NewRestoreJob { days, ..new(&name, 98, prefix, RestoreTier::Bulk) };
        let refused = world.store.begin_restore_job(&bad, &root(&world)).await;
        assert!(matches!(refused, Err(Error::InvalidArgument { .. })));
    }
    let another = begin(&world, &name, 1, "other").await;
    assert!(matches!(another, Err(Error::InvalidArgument { name: "id", .. })));
    assert!(matches!(
        world.store.cancel_restore_job(&name, id(1), "another").await,
        Err(Error::NoSuchRestoreJob)
    ));
    for number in 1..=RESTORE_JOBS_MAX {
        let number = u8::try_from(number).unwrap();
        let job = world.store.cancel_restore_job(&name, id(number), "").await.unwrap();
        assert!(job.end.as_ref().unwrap().cancelled && job.state == RestoreJobState::Ended);
        assert_eq!(world.store.cancel_restore_job(&name, id(number), "").await.unwrap(), job, "once");
    }
    world.settle().await;
    assert_eq!(state(&world, &name, "k").await, None, "nothing was asked for");
    begin(&world, &name, 99, "").await.unwrap();
    world.delete(&name, "k").await;
    let partition = world.partition(&name).await;
    world.store.delete_bucket(&name).await.unwrap();
    world.settle().await;
    assert_eq!(world.rows(partition, tables::RESTORE_JOBS).await, 0);
    // What nobody can read holds up no other.
    let name = world.create("damaged", Versioning::Off).await;
    archive(&world, &name, "k", StorageClass::Glacier, &bytes(1, 100)).await;
    begin(&world, &name, 7, "").await.unwrap();
    let view = world.store.view(&name).await.unwrap();
    let write = Write::Put(tables::restore_job(id(1)), Bytes::from_static(b"\x01\x07"));
    world.store.commit(crate::change::Change::writes([write]).of(&view)).await.unwrap();
    let mut workers = world.store.workers();
    world.store.find_work().await.unwrap();
    for worker in &mut workers {
        for _ in 0..20 {
            let _reported = worker.tick().await;
        }
    }
    assert!(state(&world, &name, "k").await.is_some());
}

const RESTORES: &str =
    r#"{"Statement":{"Effect":"Allow","Action":"s3:RestoreObject","Resource":"arn:aws:s3:::bkt/*"}}"#;
const NOT_SECRET: &str = r#"{"Statement":{"Effect":"Deny","Action":"s3:RestoreObject","Resource":"*",
    "Condition":{"StringEquals":{"s3:ExistingObjectTag/secret":"yes"}}}}"#;
const FROM_HERE: &str = r#"{"Statement":{"Effect":"Deny","Action":"s3:RestoreObject","Resource":"*",
    "Condition":{"NotIpAddress":{"aws:SourceIp":"192.0.2.0/24"}}}}"#;

#[tokio::test]
async fn each_object_is_asked_for_by_the_rights_of_whoever_began_the_job_as_they_are_now() {
    let world = World::new(523).await;
    let (ids, access_key) = alice(&world).await;
    let account = world.account();
    let known: Arc<dyn CredentialLookup> = ids.clone();
    world.store.find_askers_by(known);
    let name = world.create("bkt", Versioning::Off).await;
    for at in ["a", "c"] {
        archive(&world, &name, at, StorageClass::Glacier, &bytes(1, 100)).await;
    }
    let tags = Tags::of_object([("secret".to_owned(), "yes".to_owned())]).unwrap();
    let beside = Subresources { tags, ..Subresources::default() };
    let secret = PutRequest {
        class: StorageClass::Glacier,
        subresources: beside,
        ..PutRequest::new(name.clone(), key("b"))
    };
    world.put_with(secret, bytes(2, 100)).await.unwrap();
    let user = Owner::User("alice");
    ids.put_inline(account, user, "p", RESTORES).await.unwrap();
    ids.put_inline(account, user, "tagged", NOT_SECRET).await.unwrap();
    ids.put_inline(account, user, "here", FROM_HERE).await.unwrap();
    let who = signs(&ids, account, &access_key).await;
    let new_of = |number| new(&name, number, "", RestoreTier::Standard);
    world.store.begin_restore_job(&new_of(1), &asks(who.clone())).await.unwrap();
    let job = ended(&world, &name, 1).await;
    assert_eq!((job.counts.asked, job.counts.failed, job.counts.ready), (2, 1, 2), "{job:?}");
    assert_eq!(job.failures.len(), 1);
    assert!(job.failures[0].0 == "b" && job.failures[0].1.contains("may not"), "{:?}", job.failures);
    assert_eq!(state(&world, &name, "b").await, None);
    assert!(job.who.ends_with(":user/alice"));
    // From elsewhere it is denied, as the request itself is.
    let elsewhere = Question { context: Arc::new(GivenContext::default()), ..asks(who.clone()) };
    world.clock.advance(Duration::from_hours(24 * 5));
    world.settle().await;
    world.store.begin_restore_job(&new_of(2), &elsewhere).await.unwrap();
    let job = ended(&world, &name, 2).await;
    assert_eq!((job.counts.asked, job.counts.failed), (0, 3), "{job:?}");
    // What is taken from them meanwhile they have no more.
    world.store.begin_restore_job(&new_of(3), &asks(who.clone())).await.unwrap();
    ids.delete_inline(account, user, "p").await.unwrap();
    let job = ended(&world, &name, 3).await;
    assert_eq!((job.counts.asked, job.counts.failed), (0, 3), "{job:?}");
    ids.put_inline(account, user, "p", RESTORES).await.unwrap();
    world.store.begin_restore_job(&new_of(4), &asks(who.clone())).await.unwrap();
    ids.delete_access_key(account, KeyOwner::User("alice"), access_key.as_str()).await.unwrap();
    let job = ended(&world, &name, 4).await;
    assert_eq!((job.counts.seen, job.counts.asked), (0, 0));
    assert!(job.end.unwrap().why.contains("access key"), "it stops");
    let nobody = world.store.begin_restore_job(&new_of(5), &asks(Principal::Anonymous)).await;
    assert!(matches!(nobody, Err(Error::AccessDenied)));
    let root = Principal::Root("999988887777".parse().unwrap());
    world.store.begin_restore_job(&new_of(6), &asks(root)).await.unwrap();
    let job = ended(&world, &name, 6).await;
    assert!(job.end.unwrap().why.contains("account"), "who has no credentials any more asks for nothing");
}

#[tokio::test]
async fn what_a_vault_can_not_take_yet_is_waited_for() {
    let world = World::with_vaults(524).await;
    let name = world.create("bkt", Versioning::Off).await;
    let bodies: Vec<_> = (0..3).map(|n| (format!("k{n}"), bytes(n, 80_000))).collect();
    for (at, body) in &bodies {
        archive(&world, &name, at, StorageClass::Glacier, body).await;
    }
    archive(&world, &name, "k1small", StorageClass::Glacier, &Bytes::from_static(b"x")).await;
    world.settle().await;
    assert_eq!(world.rows(world.partition(&name).await, ARCHIVES).await, 3);
    let estimate = world.store.estimate_restore(&name, "", None).await.unwrap();
    let row = estimate.classes[&StorageClass::Glacier];
    assert_eq!((row.ask, row.vault, row.vault_bytes, row.there), (4, 3, 240_000, 0));
    assert_eq!(estimate.media.iter().collect::<Vec<_>>(), [(&"disk".to_owned(), &(3, None))]);
    // A start without vaults reaches none of them.
    let without = ObjectStore::open(Components { vaults: None, ..world.parts() }).await.unwrap();
    without.begin_restore_job(&new(&name, 1, "", RestoreTier::Standard), &root(&world)).await.unwrap();
    let mut workers = without.workers();
    let jobs = workers.iter_mut().find(|worker| worker.name() == "restore-jobs").unwrap();
    for _ in 0..10 {
        let _rests = jobs.tick().await.unwrap();
    }
    let job = without.restore_job(&name, id(1)).await.unwrap();
    assert!(job.waits.contains("vault") && job.state == RestoreJobState::Asking, "{job:?}");
    assert_eq!((job.counts.seen, job.counts.failed, job.counts.asked), (0, 0, 0));
    drop(workers);
    let job = ended(&world, &name, 1).await;
    assert_eq!((job.counts.asked, job.counts.ready, job.counts.failed), (4, 4, 0), "{job:?}");
    assert!(job.waits.is_empty());
    for (at, body) in &bodies {
        assert!(world.get(&name, at).await.unwrap() == body, "{at}");
    }
    let takes = |class, tier| world.store.restore_takes(class, tier);
    let deep = StorageClass::DeepArchive;
    assert_eq!(takes(deep, RestoreTier::Expedited).unwrap(), None);
    assert_eq!(takes(deep, RestoreTier::Bulk).unwrap(), Some(Duration::from_hours(48)));
    takes(StorageClass::Standard, RestoreTier::Bulk).unwrap_err();
}

#[tokio::test]
async fn restores_are_told_of_by_jobs_and_by_themselves() {
    let mut told = Told::new(525).await;
    let name = told.world.create("bkt", Versioning::Off).await;
    told.wants(&name, &["s3:ObjectRestore:*"]).await;
    for at in ["a", "b"] {
        archive(&told.world, &name, at, StorageClass::Glacier, &bytes(1, 100)).await;
    }
    restore(&told.world, &name, "a", 1).await.unwrap();
    begin(&told.world, &name, 1, "").await.unwrap();
    ended(&told.world, &name, 1).await;
    let mut events = told.brief().await;
    told.world.clock.advance(Duration::from_hours(24 * 5));
    told.world.settle().await;
    events.extend(told.brief().await);
    let mut events: Vec<_> = events.into_iter().map(|(event, key, _)| (key, event)).collect();
    events.sort();
    let of = |key: &str, event: &str| (key.to_owned(), format!("ObjectRestore:{event}"));
    let each = |key| [of(key, "Completed"), of(key, "Delete"), of(key, "Post")];
    assert_eq!(events, [each("a"), each("b")].concat());
}

/// How often it was told that an object was asked for.
async fn posts(world: &World, name: &BucketName) -> usize {
    world.rows(world.partition(name).await, MESSAGES).await
}

#[tokio::test]
async fn a_crash_at_any_step_leaves_no_object_out_and_asks_for_none_twice() {
    for with_vaults in [false, true] {
        let mut commits = 0;
        loop {
            let told = Told::new(526).await;
            let mut world = told.world;
            if with_vaults {
                world.open_vaults().await;
            }
            let name = world.create("bkt", Versioning::Off).await;
            let bodies: Vec<_> = (0..4).map(|n| (format!("k/{n}"), bytes(n, 70_000))).collect();
            for (at, body) in &bodies {
                archive(&world, &name, at, StorageClass::Glacier, body).await;
            }
            world.settle().await;
            let wants = crate::NotificationRule {
                id: "the rule".to_owned(),
                topic: "t".parse().unwrap(),
                events: vec!["s3:ObjectRestore:Post".parse().unwrap()],
                prefix: None,
                suffix: None,
            };
            let wants = crate::Notification::new(vec![wants]).unwrap();
            world.store.set_notification(&name, Some(&wants), None).await.unwrap();
            let dies = Arc::new(Dies { rows: world.catalog.clone(), left: AtomicUsize::new(usize::MAX) });
            let dying = if with_vaults {
                world.beside_with_vaults(dies.clone()).await
            } else {
                world.beside(dies.clone()).await
            };
            dies.left.store(commits, Ordering::Relaxed);
            let life = async {
                begin(&dying, &name, 1, "k/").await.ok()?;
                for _ in 0..4 {
                    dying.try_settle().await.ok()?;
                    dying.clock.advance(Duration::from_mins(30));
                }
                Some(())
            };
            let outcome = Box::pin(life).await;
            let whole = dies.left.load(Ordering::Relaxed) > 0;
            assert!(outcome.is_some() || !whole, "{commits} commits");
            drop(dying);
            world.reopen().await;
            // Whoever asked for it asks again, which begins no other one.
            begin(&world, &name, 1, "k/").await.unwrap();
            let job = ended(&world, &name, 1).await;
            let counts = job.counts;
            let what = format!("{commits} commits, vaults {with_vaults}: {counts:?}");
            assert_eq!((counts.seen, counts.asked, counts.failed), (4, 4, 0), "{what}");
            assert_eq!((counts.ready, counts.under_way + counts.there), (4, 0), "{what}");
            assert_eq!(posts(&world, &name).await, 4, "{what}");
            for (at, body) in &bodies {
                assert!(world.get(&name, at).await.unwrap() == body, "{what}: {at}");
            }
            if whole {
                break;
            }
            commits += 1;
        }
        assert!(commits > 6, "{commits}");
    }
}

#[tokio::test]
async fn a_job_goes_on_where_it_was_and_counts_what_comes() {
    let world = World::with_vaults(527).await;
    let name = world.create("bkt", Versioning::Off).await;
    archive(&world, &name, "k", StorageClass::Glacier, &bytes(3, 90_000)).await;
    world.settle().await;
    begin(&world, &name, 1, "").await.unwrap();
    let mut workers = world.store.workers();
    let jobs = workers.iter_mut().find(|worker| worker.name() == "restore-jobs").unwrap();
    for _ in 0..10 {
        let _rests = jobs.tick().await.unwrap();
    }
    let job = world.store.restore_job(&name, id(1)).await.unwrap();
    assert_eq!(
        (job.state, job.counts.pending, job.counts.ready),
        (RestoreJobState::Waiting, 1, 0),
        "{job:?}"
    );
    assert!(job.eta.is_some_and(|eta| eta >= world.clock.now()), "it says when it is expected: {job:?}");
    let view = world.store.view(&name).await.unwrap();
    let page = view.snapshot.scan(Scan::prefix(tables::RESTORE_JOBS, b"", 10)).await.unwrap();
    assert_eq!(JobRow::from_bytes(&page.rows[0].1).unwrap().job, job);
    wait(&world, &name, "k").await;
    let job = ended(&world, &name, 1).await;
    assert_eq!((job.counts.pending, job.counts.ready, job.eta), (0, 1, None));
    // What goes away meanwhile is told of.
    world.clock.advance(Duration::from_hours(24 * 5));
    world.settle().await;
    begin(&world, &name, 2, "").await.unwrap();
    let mut workers = world.store.workers();
    let jobs = workers.iter_mut().find(|worker| worker.name() == "restore-jobs").unwrap();
    jobs.tick().await.unwrap();
    world.delete_version(&name, "k", VersionSelector::Latest).await;
    let job = ended(&world, &name, 2).await;
    assert_eq!((job.counts.asked, job.counts.ready, job.lost()), (1, 0, 1), "{job:?}");
}
