//! Archives that become objects: all of them or none, whatever happens in between.

use super::dice::{Dice, seeds};
use crate::world::{World, bytes, key};
use crate::{
    BucketName, DefaultRetention, Encrypts, Error, Expect, GetRequest, Ingest, IngestEntry, IngestOutcome,
    IngestRequest, LockMode, Metadata, ObjectLock, Origin, Period, QuotaLimits, QuotaUnit, Result,
    StorageClass, Subresources, Tags, Versioning, VersionsRequest, Writer, tables,
};
use bytes::Bytes;
use engine::BoxFuture;
use engine::catalog::{Catalog, Commit, Limits, MemoryCatalog, Snapshot, Version};
use engine::id::PartitionId;
use engine::unit::ByteCount;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Empty, in a row, in the small lane and in a large one.
const SIZES: [usize; 4] = [0, 100, 50_000, 300_000];

pub(super) fn request(bucket: &BucketName) -> IngestRequest {
    IngestRequest {
        bucket: bucket.clone(),
        length: None,
        checksum: None,
        proven: true,
        if_absent: false,
        subresources: Subresources::default(),
        writer: Writer::default(),
        origin: Origin::default(),
        customer_key: None,
        encryption: Encrypts::AsBucket,
        asks: None,
    }
}

fn content(number: usize) -> Bytes {
    bytes(number as u64, SIZES[number % SIZES.len()])
}

fn name(number: usize) -> String {
    format!("in/{number:04}")
}

async fn stage(ingest: &mut Ingest, at: &str, body: Bytes) -> Result<()> {
    let length = ByteCount::from(body.len());
    let (metadata, class) = (Metadata::default(), StorageClass::default());
    let mut upload = ingest.entry(IngestEntry { key: key(at), length, metadata, class }).await?;
    upload.write(body).await?;
    ingest.stage(upload.seal().await?).await
}

/// An archive of so many entries.
async fn take(world: &World, request: IngestRequest, entries: usize) -> Result<IngestOutcome> {
    let mut ingest = world.store.ingest(request).await?;
    ingest.archive("the archive".into()).await?;
    for number in 0..entries {
        stage(&mut ingest, &name(number), content(number)).await?;
    }
    ingest.finish(Expect::default()).await
}

async fn check_all(world: &World, bucket: &BucketName, entries: usize) {
    let wanted: Vec<String> = (0..entries).map(name).collect();
    assert_eq!(world.keys(bucket).await, wanted);
    for number in 0..entries {
        assert_eq!(world.get(bucket, &name(number)).await.unwrap(), content(number), "{number}");
    }
}

/// Nothing of an ingest is left in the catalog, and as many references as `objects` need.
async fn check_clean(world: &World, partition: PartitionId, references: usize) {
    for table in [tables::INGESTS, tables::STAGED] {
        assert_eq!(world.rows(partition, table).await, 0, "{table:?}");
    }
    assert_eq!(world.references(partition).await, references, "leaked or lost bytes");
}

#[tokio::test]
async fn an_archive_becomes_one_object_an_entry() {
    let world = World::new(80).await;
    let bucket = world.create("many", Versioning::Off).await;
    let outcome = take(&world, request(&bucket), 600).await.unwrap();
    assert_eq!(outcome.objects, 600);
    assert_eq!(outcome.bytes.get(), (0..600).map(|number| content(number).len() as u64).sum::<u64>());
    assert_eq!(outcome.etag.to_string(), "b36e1b321d2b400009780be3cc3226a0");
    check_all(&world, &bucket, 600).await;
    check_clean(&world, world.partition(&bucket).await, 300).await;
    let empty = take(&world, request(&bucket), 0).await.unwrap();
    assert_eq!((empty.objects, empty.refused.len()), (0, 0));
}

#[tokio::test]
async fn nothing_has_a_name_before_the_archive_is_proven_and_a_wrong_digest_leaves_nothing() {
    let world = World::new(81).await;
    let bucket = world.create("proven", Versioning::Off).await;
    let mut ingest = world.store.ingest(request(&bucket)).await.unwrap();
    ingest.archive("the archive".into()).await.unwrap();
    for number in 0..300 {
        stage(&mut ingest, &name(number), content(number)).await.unwrap();
    }
    assert_eq!(world.keys(&bucket).await, Vec::<String>::new());
    let wrong = Expect { content_md5: Some([7; 16]), checksum: None };
    assert!(matches!(ingest.finish(wrong).await, Err(Error::BadDigest)));
    world.settle().await;
    assert_eq!(world.keys(&bucket).await, Vec::<String>::new());
    let partition = world.partition(&bucket).await;
    check_clean(&world, partition, 0).await;
    assert_eq!(world.rows(partition, tables::BODY).await, 0);
    // Of another length than announced, it is no archive either.
    let mut short = request(&bucket);
    short.length = Some(ByteCount::new(12));
    assert!(matches!(take(&world, short, 3).await, Err(Error::IncompleteBody { .. })));
    world.settle().await;
    check_clean(&world, partition, 0).await;
}

#[tokio::test]
async fn each_object_has_what_a_put_of_it_would_have() {
    let world = World::new(82).await;
    let bucket = world.create("alike", Versioning::Enabled).await;
    let default = DefaultRetention { mode: LockMode::Governance, period: Period::Days(3) };
    let lock = ObjectLock::new(Some(default)).unwrap();
    world.store.set(&bucket, Some(&lock)).await.unwrap();
    world.put(&bucket, &name(1), "before").await;
    let mut asked = request(&bucket);
    asked.subresources.tags = Tags::of_object([("team".to_owned(), "ice".to_owned())]).unwrap();
    let outcome = take(&world, asked, 2).await.unwrap();
    assert_eq!(outcome.objects, 2);
    let versions = world.store.list_versions(VersionsRequest::new(bucket.clone())).await.unwrap();
    assert_eq!(versions.entries.len(), 3, "the version before stays");
    let head = world.store.head(GetRequest::new(bucket.clone(), key(&name(1)))).await.unwrap().info;
    assert!(head.version.is_some());
    assert_eq!(head.subresources.tags.len(), 1);
    assert!(head.subresources.retention.is_some());
    assert_eq!(head.etag.to_string(), world.put(&bucket, "alone", content(1)).await.etag.to_string());
    // Without a digest an archive is not taken where objects are locked.
    let unproven = IngestRequest { proven: false, ..request(&bucket) };
    assert!(matches!(world.store.ingest(unproven).await, Err(Error::InvalidRequest { .. })));
}

#[tokio::test]
async fn only_absent_keys_are_taken_where_that_is_asked() {
    let world = World::new(83).await;
    let bucket = world.create("absent", Versioning::Off).await;
    world.put(&bucket, &name(2), "theirs").await;
    let asked = IngestRequest { if_absent: true, ..request(&bucket) };
    let mut ingest = world.store.ingest(asked).await.unwrap();
    stage(&mut ingest, &name(1), content(1)).await.unwrap();
    let refused = stage(&mut ingest, &name(2), content(2)).await;
    assert!(matches!(refused, Err(Error::PreconditionFailed { .. })));
    // One that comes between staging and naming is refused alone.
    stage(&mut ingest, &name(3), content(3)).await.unwrap();
    world.put(&bucket, &name(3), "between").await;
    let outcome = ingest.finish(Expect::default()).await.unwrap();
    assert_eq!((outcome.objects, outcome.refused.len()), (1, 1));
    assert_eq!(outcome.refused[0].0, key(&name(3)));
    assert_eq!(world.get(&bucket, &name(3)).await.unwrap(), "between");
    world.settle().await;
    check_clean(&world, world.partition(&bucket).await, 0).await;
}

#[tokio::test]
async fn entries_share_what_a_quota_leaves() {
    let world = World::new(84).await;
    let bucket = world.create("quota", Versioning::Off).await;
    let limits = |objects| QuotaLimits { bytes: None, objects: Some(objects), warn_percent: 80 };
    world.store.set_quota(&bucket, "in/", limits(3)).await.unwrap();
    let mut ingest = world.store.ingest(request(&bucket)).await.unwrap();
    for number in 0..3 {
        stage(&mut ingest, &name(number), content(number)).await.unwrap();
    }
    let refused = stage(&mut ingest, &name(3), content(3)).await;
    assert!(matches!(refused, Err(Error::QuotaExceeded { unit: QuotaUnit::Objects, .. })), "{refused:?}");
    // The quota shrinks before the names are given: it holds, entry by entry.
    world.store.set_quota(&bucket, "in/", limits(1)).await.unwrap();
    let outcome = ingest.finish(Expect::default()).await.unwrap();
    assert_eq!((outcome.objects, outcome.refused.len()), (1, 2));
    assert_eq!(world.keys(&bucket).await.len(), 1);
}

#[tokio::test]
async fn a_key_is_staged_once() {
    let world = World::new(85).await;
    let bucket = world.create("twice", Versioning::Off).await;
    let mut ingest = world.store.ingest(request(&bucket)).await.unwrap();
    for number in 0..300 {
        stage(&mut ingest, &name(number), content(number)).await.unwrap();
    }
    stage(&mut ingest, &name(7), content(7)).await.unwrap();
    assert!(matches!(ingest.finish(Expect::default()).await, Err(Error::InvalidRequest { .. })));
    world.settle().await;
    check_clean(&world, world.partition(&bucket).await, 0).await;
}

#[tokio::test]
async fn a_bucket_that_goes_meanwhile_takes_everything_with_it() {
    let world = World::new(86).await;
    let bucket = world.create("going", Versioning::Off).await;
    let partition = world.partition(&bucket).await;
    let mut ingest = world.store.ingest(request(&bucket)).await.unwrap();
    // Small ones: of others the collector of blobs would keep the partition.
    for number in 0..300 {
        stage(&mut ingest, &name(number), content(number % 2)).await.unwrap();
    }
    world.store.delete_bucket(&bucket).await.unwrap();
    world.create("going", Versioning::Off).await;
    assert!(matches!(ingest.finish(Expect::default()).await, Err(Error::NoSuchBucket)));
    world.settle().await;
    check_clean(&world, partition, 0).await;
    assert_eq!(world.keys(&bucket).await, Vec::<String>::new());
    assert_eq!(world.rows(PartitionId::ROOT, tables::DELETED).await, 0, "the partition is cleared");
}

/// Ends at the `left`th commit from now on: with the commit done and nobody told, or not done.
struct Dying {
    rows: Arc<MemoryCatalog>,
    left: AtomicUsize,
    done: bool,
}

impl Catalog for Dying {
    fn limits(&self) -> Limits {
        self.rows.limits()
    }

    fn snapshot(&self, partition: PartitionId) -> BoxFuture<'_, engine::Result<Arc<dyn Snapshot>>> {
        self.rows.snapshot(partition)
    }

    fn commit(&self, commit: Commit) -> BoxFuture<'_, engine::Result<Version>> {
        Box::pin(async move {
            let left =
                self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
            match left {
                Ok(1) if self.done => self.rows.commit(commit).await.and(Err(engine::Error::Closed)),
                Ok(left) if left > 1 => self.rows.commit(commit).await,
                Ok(_) | Err(_) => Err(engine::Error::Closed),
            }
        })
    }
}

/// A crash at any commit leaves either nothing or, once it was decided, every object: by the worker, without the client.
#[tokio::test]
async fn a_crash_at_any_commit_leaves_all_or_nothing() {
    const ENTRIES: usize = 9;
    for seed in seeds(2) {
        let versioning = if Dice::new(seed).below(2) == 0 { Versioning::Off } else { Versioning::Enabled };
        let (mut nothing, mut everything) = (0, 0);
        for done in [false, true] {
            for left in 1..40 {
                let mut world = World::new(seed).await;
                let bucket = world.create("crash", versioning).await;
                let rows = world.catalog.clone();
                let dying = Arc::new(Dying { rows, left: AtomicUsize::new(left), done });
                let outcome = {
                    let dying = world.beside(dying).await;
                    take(&dying, request(&bucket), ENTRIES).await
                };
                world.reopen().await;
                world.settle().await;
                let found = world.keys(&bucket).await.len();
                assert!(found == 0 || found == ENTRIES, "seed {seed}, commit {left}: {found} objects");
                if outcome.is_ok() || found == ENTRIES {
                    check_all(&world, &bucket, ENTRIES).await;
                    everything += 1;
                } else {
                    nothing += 1;
                }
                let references = if found == 0 { 0 } else { 4 };
                check_clean(&world, world.partition(&bucket).await, references).await;
                let versions = world.store.list_versions(VersionsRequest::new(bucket.clone())).await.unwrap();
                assert_eq!(versions.entries.len(), found, "each is named once");
                if outcome.is_ok() {
                    break;
                }
            }
        }
        assert!(
            nothing > 1 && everything > ENTRIES,
            "seed {seed}: {nothing} and {everything}: no crash in between"
        );
    }
}

/// Another owner of the partition finishes what it takes for abandoned, in every gap: each entry is named once all the same.
#[tokio::test]
async fn two_that_finish_one_ingest_name_each_entry_once() {
    let fast = Arc::new(World::new(88).await);
    let gate = engine::testing::Gate::before(fast.catalog.clone());
    let slow = fast.beside(gate.clone()).await;
    engine::testing::in_every_gap(400, async |gap| {
        let bucket = fast.create(&format!("gap-{gap}"), Versioning::Enabled).await;
        let other = fast.clone();
        gate.arm(gap, async move { other.settle().await });
        let outcome = take(&slow, request(&bucket), 5).await;
        if gate.disarm() {
            return false;
        }
        fast.settle().await;
        let versions = fast.store.list_versions(VersionsRequest::new(bucket.clone())).await.unwrap();
        let found = versions.entries.len();
        match outcome {
            Ok(_) => assert_eq!(found, 5, "gap {gap}"),
            // Taken for abandoned before it was decided.
            Err(_) => assert_eq!(found, 0, "gap {gap}"),
        }
        check_clean(&fast, fast.partition(&bucket).await, if found == 0 { 0 } else { 2 }).await;
        true
    })
    .await;
}

#[tokio::test]
async fn a_damaged_ingest_holds_up_none_behind_it() {
    let world = World::new(1_770).await;
    let bucket = world.create("bucket", Versioning::Off).await;
    let partition = world.partition(&bucket).await;
    let mut ingest = world.store.ingest(request(&bucket)).await.unwrap();
    stage(&mut ingest, "left", content(2)).await.unwrap();
    drop(ingest);
    // A key that is none of an ingest's, and a row that is none; both in front of all others.
    for (id, row) in [(vec![0; 3], Bytes::new()), (vec![0; 16], Bytes::from_static(&[1]))] {
        let read_version = world.store.catalog.snapshot(partition).await.unwrap().read_version();
        let writes = vec![engine::catalog::Write::Put(tables::INGESTS.key(id), row)];
        world.store.catalog.commit(Commit { writes, ..Commit::new(partition, read_version) }).await.unwrap();
    }
    let mut damaged = 0;
    while world.store.finish_ingests(partition, |_| damaged += 1).await.unwrap() > 0 {}
    assert!(damaged >= 2, "{damaged}");
    assert_eq!(world.rows(partition, tables::STAGED).await, 0, "what was staged is given up");
    assert_eq!(world.rows(partition, tables::INGESTS).await, 2, "and the damaged ones stay");
}
