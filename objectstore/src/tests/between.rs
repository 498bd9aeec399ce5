//! What another owner of the partition does between any two steps of an operation is noticed by its commit.
//!
//! ```text
//!   slow ─► snapshot ─┬─► snapshot ─┬─► commit        the operation under test, with locks of its own
//!   fast              └ any of these └ gaps: the other one's whole operation
//! ```
//! Within one process the store's own locks keep most of these pairs apart, so that no race finds out whether the commit's
//! checks are there. Two stores share rows and bytes and no lock: the checks are all there is.

use super::multipart::parts_of_one_blob;
use crate::id::OwnerId;
use crate::world::{World, bytes, copy_request, key};
use crate::{
    BucketName, CompleteRequest, DeleteConditions, DeleteRequest, ETagMatch, Error, GetRequest,
    PART_BYTES_MIN, PutRequest, RangeSpec, Result, VersionSelector, Versioning, WriteConditions, tables,
};
use engine::BoxFuture;
use engine::catalog::{Catalog, Check, Commit, Limits, MemoryCatalog, Scan, Snapshot, Version, Write};
use engine::id::PartitionId;
use engine::testing::Gate;
use engine::worker::Worker;
use parking_lot::Mutex;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// More steps than any operation here has.
const STEPS_MAX: usize = 50;

/// Applies commits and does not say so the first time, as when the answer is lost.
pub(super) struct Mute {
    pub(super) rows: Arc<MemoryCatalog>,
    pub(super) left: AtomicUsize,
}

impl Catalog for Mute {
    fn limits(&self) -> Limits {
        self.rows.limits()
    }

    fn snapshot(&self, partition: PartitionId) -> BoxFuture<'_, engine::Result<Arc<dyn Snapshot>>> {
        self.rows.snapshot(partition)
    }

    fn commit(&self, commit: Commit) -> BoxFuture<'_, engine::Result<Version>> {
        Box::pin(async move {
            let outcome = self.rows.commit(commit).await;
            let mute =
                self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
            if mute.is_ok() {
                Err(engine::Error::Unknown { reason: "a lost answer".into() })
            } else {
                outcome
            }
        })
    }
}

/// Two owners: `slow` goes through the gate, `fast` does not.
pub(super) struct Pair {
    pub(super) fast: Arc<World>,
    pub(super) slow: World,
    gate: Arc<Gate>,
}

impl Pair {
    pub(super) async fn new(seed: u64) -> Self {
        let fast = Arc::new(World::new(seed).await);
        let gate = Gate::before(fast.catalog.clone());
        let slow = fast.beside(gate.clone()).await;
        Self { fast, slow, gate }
    }

    /// Runs `operation`, with `step` before its `n`th look at the rows; `None` when it has fewer.
    pub(super) fn with_step_at<'a, T: 'a>(
        &'a self,
        n: usize,
        step: impl Future<Output = ()> + Send + 'static,
        operation: impl Future<Output = T> + 'a,
    ) -> Pin<Box<dyn Future<Output = Option<T>> + 'a>> {
        let operation = Box::pin(operation);
        Box::pin(async move {
            self.gate.arm(n, step);
            let outcome = operation.await;
            (!self.gate.disarm()).then_some(outcome)
        })
    }
}

/// Tries `case` with the step in every gap, until it says that there was no such gap.
pub(super) async fn in_every_gap(case: impl AsyncFnMut(usize) -> bool) {
    engine::testing::in_every_gap(STEPS_MAX, case).await;
}

#[tokio::test]
async fn a_write_that_comes_between_is_seen_by_a_conditional_one() {
    let pair = Pair::new(60).await;
    let name = pair.fast.create("between", Versioning::Off).await;
    in_every_gap(async |n| {
        let at = format!("k{n}");
        let (fast, theirs) = (pair.fast.clone(), (name.clone(), at.clone()));
        let step = async move {
            fast.put(&theirs.0, &theirs.1, "theirs").await;
        };
        let conditions =
            WriteConditions { if_none_match: Some(ETagMatch::Any), ..WriteConditions::default() };
        let request = PutRequest { conditions, ..PutRequest::new(name.clone(), key(&at)) };
        let Some(outcome) = pair.with_step_at(n, step, pair.slow.put_with(request, "ours")).await else {
            return false;
        };
        assert!(matches!(outcome, Err(Error::PreconditionFailed { .. })), "gap {n}: {outcome:?}");
        assert_eq!(pair.fast.get(&name, &at).await.unwrap(), "theirs", "gap {n}");
        true
    })
    .await;
}

#[tokio::test]
async fn a_write_that_comes_between_is_seen_by_a_conditional_delete_and_completion() {
    let pair = Pair::new(74).await;
    for versioning in [Versioning::Off, Versioning::Enabled] {
        let name = pair.fast.create(&format!("{versioning:?}").to_lowercase(), versioning).await;
        let theirs = |at: &str| {
            let (fast, name, at) = (pair.fast.clone(), name.clone(), at.to_owned());
            async move {
                fast.put(&name, &at, "theirs").await;
            }
        };
        in_every_gap(async |n| {
            let at = format!("k{n}");
            let seen = pair.fast.put(&name, &at, "ours").await.etag;
            let if_match = Some(ETagMatch::OneOf(vec![seen]));
            let request = DeleteRequest {
                bucket: name.clone(),
                key: key(&at),
                version: VersionSelector::Latest,
                conditions: DeleteConditions { if_match, ..DeleteConditions::default() },
                bypass_governance: false,
                origin: crate::Origin::default(),
                asks: None,
            };
            let deleted = pair.with_step_at(n, theirs(&at), pair.slow.store.delete(request)).await;
            let Some(outcome) = deleted else { return false };
            assert!(matches!(outcome, Err(Error::PreconditionFailed { .. })), "gap {n}: {outcome:?}");
            assert_eq!(pair.fast.get(&name, &at).await.unwrap(), "theirs", "gap {n}");
            true
        })
        .await;
        in_every_gap(async |n| {
            let at = format!("parts{n}");
            let upload = pair.fast.begin(&name, &at).await;
            let part = pair.fast.part(&name, &at, upload, 1, "ours").await.unwrap();
            let request = CompleteRequest {
                bucket: name.clone(),
                key: key(&at),
                upload,
                parts: vec![part],
                checksum: None,
                checksum_parts: None,
                checksum_type: None,
                size: None,
                conditions: WriteConditions {
                    if_none_match: Some(ETagMatch::Any),
                    ..WriteConditions::default()
                },
                origin: crate::Origin::default(),
                asks: None,
                customer_key: None,
            };
            let completed = pair.with_step_at(n, theirs(&at), pair.slow.store.complete_upload(request)).await;
            let Some(outcome) = completed else { return false };
            assert!(matches!(outcome, Err(Error::PreconditionFailed { .. })), "gap {n}: {outcome:?}");
            assert_eq!(pair.fast.get(&name, &at).await.unwrap(), "theirs", "gap {n}");
            true
        })
        .await;
    }
}

#[tokio::test]
async fn deletes_are_answered_in_the_order_asked_for_whichever_ends_first() {
    let pair = Pair::new(75).await;
    let name = pair.fast.create("order", Versioning::Off).await;
    let delete = |at: &str| DeleteRequest {
        bucket: name.clone(),
        key: key(at),
        version: VersionSelector::Latest,
        conditions: DeleteConditions { if_match: Some(ETagMatch::Any), ..DeleteConditions::default() },
        bypass_governance: false,
        origin: crate::Origin::default(),
        asks: None,
    };
    for at in ["a", "b"] {
        pair.fast.put(&name, at, "there").await;
    }
    // The first look is the first one's, and takes as long as the others need.
    let slow = async {
        for _ in 0..1_000 {
            tokio::task::yield_now().await;
        }
    };
    let requests = ["none", "a", "b"].map(delete).into();
    let results = pair.with_step_at(0, slow, pair.slow.store.delete_many(requests)).await.unwrap();
    assert!(matches!(results[0], Err(Error::NoSuchKey { .. })), "{results:?}");
    assert!(results.len() == 3 && results[1].is_ok() && results[2].is_ok(), "{results:?}");
}

/// Whose bucket goes in every gap of `operation` is told so.
async fn bucket_goes<T: std::fmt::Debug>(
    pair: &Pair,
    label: &str,
    operation: impl AsyncFn(&World, &BucketName) -> Result<T>,
) {
    in_every_gap(async |n| {
        let name = pair.fast.create(&format!("{label}-{n}"), Versioning::Off).await;
        let (fast, theirs) = (pair.fast.clone(), name.clone());
        let step = async move { fast.store.delete_bucket(&theirs).await.unwrap() };
        let Some(outcome) = pair.with_step_at(n, step, operation(&pair.slow, &name)).await else {
            return false;
        };
        assert!(matches!(outcome, Err(Error::NoSuchBucket)), "{label}, gap {n}: {outcome:?}");
        true
    })
    .await;
}

#[tokio::test]
async fn a_writer_notices_that_its_bucket_goes() {
    let pair = Pair::new(61).await;
    bucket_goes(&pair, "put", async |slow, name| {
        slow.put_with(PutRequest::new(name.clone(), key("k")), "v").await
    })
    .await;
    bucket_goes(&pair, "begin", async |slow, name| {
        slow.store.create_upload(crate::CreateUpload::new(name.clone(), key("k"))).await
    })
    .await;
    in_every_gap(async |n| {
        let name = pair.fast.create(&format!("part-{n}"), Versioning::Off).await;
        let upload = pair.fast.begin(&name, "k").await;
        let (fast, theirs) = (pair.fast.clone(), name.clone());
        let step = async move { fast.store.delete_bucket(&theirs).await.unwrap() };
        let part = pair.slow.part(&name, "k", upload, 1, "v");
        let Some(outcome) = pair.with_step_at(n, step, part).await else { return false };
        assert!(matches!(outcome, Err(Error::NoSuchBucket)), "gap {n}: {outcome:?}");
        true
    })
    .await;
}

#[tokio::test]
async fn a_bucket_delete_notices_every_write() {
    let pair = Pair::new(62).await;
    in_every_gap(async |n| {
        let name = pair.fast.create(&format!("deleted-{n}"), Versioning::Off).await;
        let written = Arc::new(Mutex::new(None));
        let (fast, theirs, told) = (pair.fast.clone(), name.clone(), written.clone());
        let step = async move {
            let request = PutRequest::new(theirs, key("k"));
            *told.lock() = Some(fast.put_with(request, "theirs").await);
        };
        let deleted = pair.with_step_at(n, step, pair.slow.store.delete_bucket(&name)).await;
        let Some(deleted) = deleted else { return false };
        let written = written.lock().take().unwrap();
        match (deleted, written) {
            (Err(Error::BucketNotEmpty), Ok(_)) => {
                assert_eq!(pair.fast.get(&name, "k").await.unwrap(), "theirs", "gap {n}");
            }
            (Ok(()), Err(Error::NoSuchBucket)) => {}
            other => panic!("gap {n}: {other:?}"),
        }
        true
    })
    .await;
}

#[tokio::test]
async fn a_completion_notices_what_becomes_of_its_parts() {
    let pair = Pair::new(63).await;
    let name = pair.fast.create("completed", Versioning::Off).await;
    for replaces in [true, false] {
        in_every_gap(async |n| {
            let at = format!("k{n}");
            let upload = pair.fast.begin(&name, &at).await;
            let part = pair.fast.part(&name, &at, upload, 1, bytes(1, 9_000)).await.unwrap();
            let (fast, theirs) = (pair.fast.clone(), (name.clone(), at.clone()));
            let step = async move {
                if replaces {
                    fast.part(&theirs.0, &theirs.1, upload, 1, bytes(2, 9_000)).await.unwrap();
                } else {
                    fast.store.abort_upload(&theirs.0, &key(&theirs.1), upload).await.unwrap();
                }
                fast.settle().await;
            };
            let completed = pair.slow.complete(&name, &at, upload, vec![part]);
            let Some(outcome) = pair.with_step_at(n, step, completed).await else { return false };
            let told = match &outcome {
                Err(Error::InvalidPart { .. }) => replaces,
                Err(Error::NoSuchUpload) => !replaces,
                _ => false,
            };
            assert!(told, "replaces {replaces}, gap {n}: {outcome:?}");
            assert!(matches!(pair.fast.get(&name, &at).await, Err(Error::NoSuchKey { .. })), "gap {n}");
            true
        })
        .await;
    }
}

/// Two pages of parts are written ahead of the completion's commit; who does not know of it takes them for left behind.
#[tokio::test]
async fn a_completion_whose_pages_are_cleaned_away_meanwhile_writes_them_again() {
    const PARTS: u32 = 257;
    let pair = Pair::new(69).await;
    let name = pair.fast.create("pages", Versioning::Off).await;
    in_every_gap(async |n| {
        let upload = pair.fast.begin(&name, "k").await;
        let parts = parts_of_one_blob(&pair.fast, &name, upload, PARTS).await;
        let fast = pair.fast.clone();
        let step = async move { fast.settle().await };
        let completed = pair.slow.complete(&name, "k", upload, parts);
        let Some(outcome) = pair.with_step_at(n, step, completed).await else { return false };
        let size = outcome.unwrap().size.get();
        let range = Some(RangeSpec::Suffix(7));
        let read = GetRequest { range, ..GetRequest::new(name.clone(), key("k")) };
        assert_eq!(size, u64::from(PARTS) * PART_BYTES_MIN.get(), "gap {n}");
        assert_eq!(pair.fast.read(read).await.unwrap().len(), 7, "gap {n}");
        true
    })
    .await;
}

/// So many pages that they are not cleaned away at once: what is left of them says that some went.
#[tokio::test]
async fn a_completion_some_of_whose_pages_are_cleaned_away_meanwhile_writes_them_again() {
    const PARTS: u32 = 256 * 9 + 1;
    let pair = Pair::new(75).await;
    let name = pair.fast.create("pages", Versioning::Off).await;
    let partition = pair.fast.partition(&name).await;
    let cut = Arc::new(AtomicUsize::new(0));
    in_every_gap(async |n| {
        let upload = pair.fast.begin(&name, "k").await;
        let parts = parts_of_one_blob(&pair.fast, &name, upload, PARTS).await;
        pair.fast.settle().await;
        let (fast, cut) = (pair.fast.clone(), cut.clone());
        let step = async move {
            fast.store.find_work().await.unwrap();
            let before = fast.rows(partition, tables::MANIFESTS).await;
            let mut workers = fast.store.workers();
            let cleaner = workers.iter_mut().find(|worker| worker.name() == "upload-cleanup").unwrap();
            cleaner.tick().await.unwrap();
            let left = fast.rows(partition, tables::MANIFESTS).await;
            cut.fetch_add(usize::from(left > 0 && left < before), Ordering::Relaxed);
        };
        let completed = pair.slow.complete(&name, "k", upload, parts);
        let Some(outcome) = pair.with_step_at(n, step, completed).await else { return false };
        assert_eq!(outcome.unwrap().size.get(), u64::from(PARTS) * PART_BYTES_MIN.get(), "gap {n}");
        for range in [RangeSpec::Suffix(7), RangeSpec::From { first: 0, last: Some(6) }] {
            let read = GetRequest { range: Some(range), ..GetRequest::new(name.clone(), key("k")) };
            assert_eq!(pair.fast.read(read).await.unwrap().len(), 7, "gap {n}");
        }
        true
    })
    .await;
    assert!(cut.load(Ordering::Relaxed) > 0, "nothing came between");
}

#[tokio::test]
async fn a_part_and_an_abort_notice_what_becomes_of_their_upload() {
    let pair = Pair::new(64).await;
    let name = pair.fast.create("uploads", Versioning::Off).await;
    let partition = pair.fast.partition(&name).await;
    // A part whose upload is aborted leaves nothing.
    in_every_gap(async |n| {
        let upload = pair.fast.begin(&name, "k").await;
        let (fast, theirs) = (pair.fast.clone(), name.clone());
        let step = async move {
            fast.store.abort_upload(&theirs, &key("k"), upload).await.unwrap();
            fast.settle().await;
        };
        let part = pair.slow.part(&name, "k", upload, 1, bytes(3, 9_000));
        let Some(outcome) = pair.with_step_at(n, step, part).await else {
            pair.fast.store.abort_upload(&name, &key("k"), upload).await.unwrap();
            return false;
        };
        assert!(matches!(outcome, Err(Error::NoSuchUpload)), "gap {n}: {outcome:?}");
        pair.fast.settle().await;
        assert_eq!(pair.fast.rows(partition, tables::PARTS).await, 0, "gap {n}");
        true
    })
    .await;
    // Of two parts of one number one is kept, and the other's bytes are let go.
    in_every_gap(async |n| {
        let upload = pair.fast.begin(&name, "k").await;
        let (fast, theirs) = (pair.fast.clone(), name.clone());
        let step = async move {
            fast.part(&theirs, "k", upload, 1, bytes(4, 9_000)).await.unwrap();
        };
        let part = pair.slow.part(&name, "k", upload, 1, bytes(5, 9_000));
        let Some(outcome) = pair.with_step_at(n, step, part).await else { return false };
        outcome.unwrap();
        pair.fast.store.abort_upload(&name, &key("k"), upload).await.unwrap();
        pair.fast.settle().await;
        assert_eq!(pair.fast.references(partition).await, 0, "gap {n}");
        true
    })
    .await;
    // An abort that loses against the completion takes nothing of the object away.
    in_every_gap(async |n| {
        let at = format!("k{n}");
        let upload = pair.fast.begin(&name, &at).await;
        let part = pair.fast.part(&name, &at, upload, 1, bytes(6, 9_000)).await.unwrap();
        let (fast, theirs) = (pair.fast.clone(), (name.clone(), at.clone()));
        let step = async move {
            fast.complete(&theirs.0, &theirs.1, upload, vec![part]).await.unwrap();
        };
        let (bucket, object) = (name.clone(), key(&at));
        let aborted = pair.slow.store.abort_upload(&bucket, &object, upload);
        let Some(outcome) = pair.with_step_at(n, step, aborted).await else { return false };
        assert!(matches!(outcome, Err(Error::NoSuchUpload)), "gap {n}: {outcome:?}");
        pair.fast.settle().await;
        assert_eq!(pair.fast.get(&name, &at).await.unwrap(), bytes(6, 9_000), "gap {n}");
        true
    })
    .await;
}

#[tokio::test]
async fn a_copy_notices_that_its_source_goes() {
    let pair = Pair::new(65).await;
    let here = pair.fast.create("here", Versioning::Off).await;
    let there = pair.fast.create("there", Versioning::Off).await;
    for to in [&here, &there] {
        in_every_gap(async |n| {
            let (source, copy) = (format!("source{n}"), format!("copy{n}"));
            let body = bytes(n as u64, 9_000);
            pair.fast.put(&here, &source, body.clone()).await;
            let (fast, theirs) = (pair.fast.clone(), (here.clone(), source.clone()));
            let step = async move {
                fast.delete(&theirs.0, &theirs.1).await;
                fast.settle().await;
                let mut collector = engine::blob::Collector::new(fast.blobs.clone());
                while let engine::worker::Progress::More { .. } = collector.tick().await.unwrap() {}
            };
            let copied = pair.slow.store.copy(copy_request((&here, &source), (to, &copy)));
            let Some(outcome) = pair.with_step_at(n, step, copied).await else { return false };
            pair.fast.settle().await;
            match (outcome, pair.fast.get(to, &copy).await) {
                (Ok(_), Ok(read)) => assert_eq!(read, body, "gap {n}"),
                (Err(Error::NoSuchKey { .. }), Err(Error::NoSuchKey { .. })) => {}
                other => panic!("to {to}, gap {n}: {other:?}"),
            }
            true
        })
        .await;
    }
    let partition = pair.fast.partition(&here).await;
    assert_eq!(pair.fast.rows(partition, tables::INTENTS).await, 0);
}

#[tokio::test]
async fn an_intent_is_not_undone_when_its_commit_comes_between() {
    let pair = Pair::new(66).await;
    let from = pair.fast.create("from", Versioning::Off).await;
    let to = pair.fast.create("onto", Versioning::Off).await;
    let (home, there) = (pair.fast.partition(&from).await, pair.fast.partition(&to).await);
    in_every_gap(async |n| {
        pair.fast.put(&from, "k", bytes(7, 9_000)).await;
        let found = pair.fast.store.find(&from, &key("k"), crate::VersionSelector::Latest).await.unwrap();
        let destination = pair.fast.store.resolve(&to).await.unwrap().unwrap();
        // A copy that another process announced, and whose commit is still on its way.
        let begun = pair.fast.store.share(home, found.extent, destination).await.unwrap().unwrap();
        let owner: OwnerId = begun.extent.owner;
        let (rows, writes) = (pair.fast.catalog.clone(), begun.writes.clone());
        let committed = Arc::new(Mutex::new(None));
        let (told, fence) = (committed.clone(), tables::of_owner(tables::FENCES, owner));
        let step = async move {
            let read_version = rows.snapshot(there).await.unwrap().read_version();
            let checks = vec![Check::Absent(fence)];
            let commit = Commit { checks, writes, ..Commit::new(there, read_version) };
            *told.lock() = Some(rows.commit(commit).await.is_ok());
        };
        pair.slow.store.mark_dirty(home);
        let mut workers = pair.slow.store.workers();
        let intents = workers.iter_mut().find(|worker| worker.name() == "copy-intents").unwrap();
        let outcome = pair.with_step_at(n, step, intents.tick()).await;
        let Some(outcome) = outcome else { return false };
        outcome.unwrap();
        // Either the commit was first, and what it names stays, or the fence was, and what was shared is given back.
        let committed = committed.lock().unwrap();
        let fenced = is_there(&pair.fast, there, tables::of_owner(tables::FENCES, owner)).await;
        assert_eq!((fenced, pair.fast.references(home).await), (!committed, if committed { 2 } else { 1 }));
        let mut clear = Commit::new(home, pair.fast.catalog.snapshot(home).await.unwrap().read_version());
        clear.writes = crate::stack::release_content(home, owner, &found.extent.content).unwrap().0;
        clear.writes.push(Write::Delete(tables::of_owner(tables::INTENTS, owner)));
        pair.fast.catalog.commit(clear).await.unwrap();
        true
    })
    .await;
}

async fn is_there(world: &World, partition: PartitionId, row: engine::catalog::Key) -> bool {
    world.catalog.snapshot(partition).await.unwrap().get(row).await.unwrap().is_some()
}

#[tokio::test]
async fn a_copy_that_ended_leaves_no_intent() {
    let world = World::new(67).await;
    let from = world.create("from", Versioning::Off).await;
    let to = world.create("onto", Versioning::Off).await;
    world.put(&from, "k", bytes(8, 9_000)).await;
    world.store.copy(copy_request((&from, "k"), (&to, "k"))).await.unwrap();
    let home = world.partition(&from).await;
    let snapshot = world.catalog.snapshot(home).await.unwrap();
    assert!(snapshot.scan(Scan::prefix(tables::INTENTS, b"", 1)).await.unwrap().rows.is_empty());
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_happens_once() {
    let world = World::new(68).await;
    let name = world.create("once", Versioning::Enabled).await;
    let mute = Arc::new(Mute { rows: world.catalog.clone(), left: AtomicUsize::new(0) });
    let hard_of_hearing = world.beside(mute.clone()).await;
    for body in ["1", "2", "3"] {
        mute.left.store(1, Ordering::Relaxed);
        hard_of_hearing.put(&name, "k", body).await;
    }
    assert_eq!(world.get(&name, "k").await.unwrap(), "3");
    assert_eq!(world.store.usage(&name).await.unwrap().versions, 3);
}

#[tokio::test]
async fn buckets_are_counted_again_when_an_answer_never_came() {
    let world = World::new(70).await;
    let mute = Arc::new(Mute { rows: world.catalog.clone(), left: AtomicUsize::new(0) });
    let hard_of_hearing = world.beside(mute.clone()).await;
    let first = hard_of_hearing.create("first", Versioning::Off).await;
    for lost in ["created", "deleted"] {
        // The commit and each time that it is repeated: whether it happened is not known.
        mute.left.store(4, Ordering::Relaxed);
        let unknown = match lost {
            "created" => {
                let name = crate::world::bucket(lost);
                hard_of_hearing.store.create_bucket(&name, &crate::NewBucket::default()).await.map(drop)
            }
            _ => hard_of_hearing.store.delete_bucket(&first).await,
        };
        assert!(unknown.is_err() && mute.left.load(Ordering::Relaxed) == 0, "{lost}: {unknown:?}");
        hard_of_hearing.store.dirty.lock().clear();
        hard_of_hearing.create(&format!("after-{lost}"), Versioning::Off).await;
        assert!(hard_of_hearing.store.dirty.lock().is_empty(), "{lost}: counting makes no work");
        let counted: usize = hard_of_hearing.store.bucket_counts.lock().as_ref().unwrap().values().sum();
        assert_eq!(counted, world.rows(PartitionId::ROOT, tables::BUCKETS).await, "{lost}");
    }
}
