//! A policy that was acknowledged holds for whatever is asked from then on; where there is none, nothing is looked up for the root of the
//! bucket's account.

use super::between::{Mute, Pair, in_every_gap};
use super::full::Filled;
use crate::world::{World, bucket, copy_request, key};
use crate::{
    About, AmendRequest, BucketName, BucketPolicy, CompleteRequest, CopyRequest, DeleteConditions,
    DeleteRequest, Error, LockMode, NewBucket, Origin, PutRequest, Retention, SettingKind, Tags,
    VersionSelector, Versioning, WriteConditions, WriteQuestions,
};
use engine::BoxFuture;
use engine::catalog::{Catalog, Commit, Layout, Limits, MemoryCatalog, Snapshot, Version};
use engine::clock::Timestamp;
use engine::id::PartitionId;
use parking_lot::Mutex;
use security::Principal;
use security::decide::{Action, Question};
use security::policy::Context;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

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

/// Notes of each commit where it goes and what readers must know of by it.
pub(super) struct Noting {
    rows: Arc<MemoryCatalog>,
    noted: Mutex<Vec<(bool, Layout)>>,
}

impl Noting {
    pub(super) fn over(rows: Arc<MemoryCatalog>) -> Arc<Self> {
        Arc::new(Self { rows, noted: Mutex::default() })
    }

    pub(super) fn take(&self) -> Vec<(bool, Layout)> {
        std::mem::take(&mut self.noted.lock())
    }
}

impl Catalog for Noting {
    fn limits(&self) -> Limits {
        self.rows.limits()
    }

    fn snapshot(&self, partition: PartitionId) -> BoxFuture<'_, engine::Result<Arc<dyn Snapshot>>> {
        self.rows.snapshot(partition)
    }

    fn commit(&self, commit: Commit) -> BoxFuture<'_, engine::Result<Version>> {
        self.noted.lock().push((commit.partition == PartitionId::ROOT, commit.layout));
        self.rows.commit(commit)
    }
}

#[tokio::test]
async fn who_knows_of_no_policies_is_kept_out_from_before_the_first_mark_on() {
    let world = World::new(95).await;
    let noting = Noting::over(world.catalog.clone());
    let noted = world.beside(noting.clone()).await;
    let name = noted.create("name", Versioning::Enabled).await;
    noted.put(&name, "k", "body").await;
    noted.store.set(&name, Some(&crate::RequestPayment::Requester)).await.unwrap();
    assert!(noting.take().iter().all(|(_, layout)| *layout == Layout::FIRST));
    noted.store.set_policy(&name, &denial()).await.unwrap();
    assert_eq!(
        noting.take(),
        [(true, Layout::POLICIES), (false, Layout::POLICIES)],
        "the mark, then the policy"
    );
    // And where a start finds one: it may come from a directory that did not say so.
    let again = world.beside(noting.clone()).await;
    assert_eq!(noting.take(), [(true, Layout::POLICIES)]);
    again.store.set::<BucketPolicy>(&name, None).await.unwrap();
    noting.take();
    world.beside(noting.clone()).await;
    assert_eq!(noting.take(), [], "there is none any more");
}

#[tokio::test]
async fn a_policy_counts_by_what_it_takes_in_memory() {
    let world = World::new(96).await;
    let name = world.create("name", Versioning::Off).await;
    let actions = vec![r#""s3:*""#; 2_000].join(",");
    let text =
        format!(r#"{{"Statement":{{"Effect":"Deny","Principal":"*","Action":[{actions}],"Resource":"*"}}}}"#);
    let policy = BucketPolicy::parse(&text).unwrap();
    world.store.set_policy(&name, &policy).await.unwrap();
    assert!(world.store.has_policy(&name).await.unwrap());
    let (known, compiled) = (world.store.settings.bytes(), policy.policy().heap_bytes());
    assert!(compiled > 10 * text.len(), "{compiled} of {}", text.len());
    assert!((compiled + text.len()..compiled + 2 * text.len()).contains(&known), "{known} of {compiled}");
}

/// Allows what is asked to everybody of another account, or denies it.
fn guests(effect: &str, action: &str) -> BucketPolicy {
    let text = format!(
        r#"{{"Statement":[{{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"*"}},
        {{"Effect":"{effect}","Principal":"*","Action":"{action}","Resource":"*"}}]}}"#
    );
    BucketPolicy::parse(&text).unwrap()
}

fn asked_again(action: &'static str) -> WriteQuestions {
    let principal = Principal::Root("444455556666".parse().unwrap());
    WriteQuestions { writes: Question::new(principal, Action::new(action), None), reads: None }
}

#[tokio::test]
async fn what_was_denied_before_a_write_commits_is_not_written() {
    const PUT: &str = "s3:PutObject";
    let pair = Pair::new(97).await;
    let part = bytes::Bytes::from_static(b"the last part may be small");
    for case in ["put", "copy", "complete", "delete", "delete a version", "mark"] {
        let versioning = if case == "mark" { Versioning::Enabled } else { Versioning::Off };
        let mut gaps = 0;
        in_every_gap(async |n| {
            let name = pair.fast.create(&format!("{}-{n}", case.replace(' ', "-")), versioning).await;
            let action = match case {
                "put" | "copy" | "complete" => PUT,
                "delete a version" => "s3:DeleteObjectVersion",
                _ => "s3:DeleteObject",
            };
            pair.fast.store.set_policy(&name, &guests("Allow", action)).await.unwrap();
            pair.fast.put(&name, "source", "source").await;
            pair.fast.put(&name, "old", "old").await;
            let upload = pair.fast.begin(&name, "new").await;
            let part = pair.fast.part(&name, "new", upload, 1, part.clone()).await.unwrap();
            let (fast, theirs) = (pair.fast.clone(), name.clone());
            let step = async move { fast.store.set_policy(&theirs, &guests("Deny", action)).await.unwrap() };
            let work = async {
                match case {
                    "put" => {
                        let request = PutRequest {
                            asks: Some(asked_again(PUT)),
                            ..PutRequest::new(name.clone(), key("new"))
                        };
                        pair.slow.put_with(request, "ours").await.map(drop)
                    }
                    "copy" => {
                        let request = CopyRequest {
                            asks: Some(asked_again(PUT)),
                            ..copy_request((&name, "source"), (&name, "new"))
                        };
                        pair.slow.store.copy(request).await.map(drop)
                    }
                    "complete" => {
                        let request = CompleteRequest {
                            bucket: name.clone(),
                            key: key("new"),
                            upload,
                            parts: vec![part],
                            checksum: None,
                            checksum_parts: None,
                            checksum_type: None,
                            size: None,
                            conditions: WriteConditions::default(),
                            origin: Origin::default(),
                            asks: Some(asked_again(PUT)),
                            customer_key: None,
                        };
                        pair.slow.store.complete_upload(request).await.map(drop)
                    }
                    _ => {
                        let version = match case {
                            "delete a version" => VersionSelector::Null,
                            _ => VersionSelector::Latest,
                        };
                        let request = DeleteRequest {
                            bucket: name.clone(),
                            key: key("old"),
                            version,
                            conditions: DeleteConditions::default(),
                            bypass_governance: false,
                            origin: Origin::default(),
                            asks: Some(asked_again(action)),
                        };
                        pair.slow.store.delete(request).await.map(drop)
                    }
                }
            };
            let Some(outcome) = pair.with_step_at(n, step, work).await else { return false };
            gaps += 1;
            assert!(matches!(outcome, Err(Error::AccessDenied)), "{case}, gap {n}: {outcome:?}");
            assert_eq!(pair.fast.keys(&name).await, ["old", "source"], "{case}, gap {n}");
            true
        })
        .await;
        assert!(gaps > 1, "{case}: {gaps}");
    }
}

#[tokio::test]
async fn locks_and_tags_go_by_what_is_denied_when_they_are_set() {
    let pair = Pair::new(98).await;
    let asks = |action| asked_again(action).writes;
    for action in ["s3:PutObjectRetention", "s3:PutObjectLegalHold", "s3:PutObjectTagging"] {
        let mut gaps = 0;
        in_every_gap(async |n| {
            let name =
                pair.fast.create(&format!("{}-{n}", action[3..].to_lowercase()), Versioning::Enabled).await;
            let lock = crate::ObjectLock::new(None).unwrap();
            pair.fast.store.set(&name, Some(&lock)).await.unwrap();
            pair.fast.store.set_policy(&name, &guests("Allow", action)).await.unwrap();
            pair.fast.put(&name, "k", "body").await;
            let (fast, theirs) = (pair.fast.clone(), name.clone());
            let step = async move { fast.store.set_policy(&theirs, &guests("Deny", action)).await.unwrap() };
            let request = AmendRequest {
                bucket: name.clone(),
                key: key("k"),
                version: VersionSelector::Latest,
                origin: Origin::default(),
            };
            let asks = asks(action);
            let work = async {
                let store = &pair.slow.store;
                match action {
                    "s3:PutObjectRetention" => {
                        let until = Timestamp::from_millis(4_000_000_000_000);
                        let retention = Retention { mode: LockMode::Governance, until };
                        store.set_retention(&request, Some(&asks), (Some(retention), false)).await
                    }
                    "s3:PutObjectLegalHold" => store.set_legal_hold(&request, Some(&asks), true).await,
                    _ => {
                        store
                            .set_tags(
                                &request,
                                Some(&asks),
                                &Tags::of_object(vec![("a".into(), "b".into())])?,
                            )
                            .await
                    }
                }
            };
            let Some(outcome) = pair.with_step_at(n, step, work).await else { return false };
            gaps += 1;
            assert!(matches!(outcome, Err(Error::AccessDenied)), "{action}, gap {n}: {outcome:?}");
            true
        })
        .await;
        assert!(gaps > 1, "{action}: {gaps}");
    }
}

/// A request that counts how often a policy asks for its referer.
#[derive(Default)]
struct Counts(AtomicUsize);

impl Context for Counts {
    fn visit(&self, _key: &str, each: &mut dyn FnMut(&str)) {
        self.0.fetch_add(1, Ordering::Relaxed);
        each("https://example.com/");
    }
}

#[tokio::test]
async fn another_attempt_at_a_commit_asks_only_what_may_have_changed() {
    let pair = Pair::new(99).await;
    let text = r#"{"Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"*",
        "Condition":{"StringLike":{"aws:Referer":"https://*"}}}]}"#;
    let policy = BucketPolicy::parse(text).unwrap();
    for case in ["put", "delete", "mark", "hold"] {
        let versioning = if case == "delete" { Versioning::Off } else { Versioning::Enabled };
        let mut again = 0;
        in_every_gap(async |n| {
            let name = pair.fast.create(&format!("{case}-{n}"), versioning).await;
            if case == "hold" {
                pair.fast.store.set(&name, Some(&crate::ObjectLock::new(None).unwrap())).await.unwrap();
            }
            pair.fast.store.set_policy(&name, &policy).await.unwrap();
            pair.fast.put(&name, "k", "body").await;
            let (fast, theirs) = (pair.fast.clone(), name.clone());
            let step = async move {
                fast.put(&theirs, "k", "another").await;
            };
            let asked = Arc::new(Counts::default());
            let question = |action| Question { context: asked.clone(), ..asked_again(action).writes };
            let asks = |action| Some(WriteQuestions { writes: question(action), reads: None });
            let work = async {
                match case {
                    "put" => {
                        let request = PutRequest {
                            asks: asks("s3:PutObject"),
                            ..PutRequest::new(name.clone(), key("k"))
                        };
                        pair.slow.put_with(request, "ours").await.map(drop)
                    }
                    "hold" => {
                        let request = AmendRequest {
                            bucket: name.clone(),
                            key: key("k"),
                            version: VersionSelector::Latest,
                            origin: Origin::default(),
                        };
                        let asks = question("s3:PutObjectLegalHold");
                        pair.slow.store.set_legal_hold(&request, Some(&asks), true).await.map(drop)
                    }
                    _ => {
                        let request = DeleteRequest {
                            bucket: name.clone(),
                            key: key("k"),
                            version: VersionSelector::Latest,
                            conditions: DeleteConditions::default(),
                            bypass_governance: false,
                            origin: Origin::default(),
                            asks: asks("s3:DeleteObject"),
                        };
                        pair.slow.store.delete(request).await.map(drop)
                    }
                }
            };
            let Some(outcome) = pair.with_step_at(n, step, work).await else { return false };
            outcome.unwrap();
            again += 1;
            assert_eq!(asked.0.load(Ordering::Relaxed), 1, "{case}, gap {n}");
            true
        })
        .await;
        assert!(again > 1, "{case}");
    }
}

#[tokio::test]
async fn a_start_on_a_full_disk_serves_reads_and_writes_again_when_there_is_room() {
    for has_policy in [false, true] {
        let world = World::new(100).await;
        let name = world.create("name", Versioning::Off).await;
        world.put(&name, "k", "body").await;
        if has_policy {
            world.store.set_policy(&name, &guests("Deny", "s3:DeleteBucket")).await.unwrap();
        }
        let filled =
            Arc::new(Filled { rows: world.catalog.clone(), full: AtomicBool::new(true), has_reserve: false });
        let started = world.started_on(filled.clone()).await;
        assert_eq!(started.get(&name, "k").await.unwrap(), "body", "policy {has_policy}");
        started.put_with(PutRequest::new(name.clone(), key("n")), "body").await.unwrap_err();
        filled.full.store(false, Ordering::Relaxed);
        // Whoever finds no use of a key reserved has more reserved beside.
        let mut waited = 0;
        while let Err(error) = started.put_with(PutRequest::new(name.clone(), key("n")), "body").await {
            waited += 1;
            assert!(waited < 1_000, "{error}");
            tokio::task::yield_now().await;
        }
        assert_eq!(started.get(&name, "n").await.unwrap(), "body");
    }
}
