//! What ends badly, or late, or not at all: what can't go to a vault, jobs that nobody names, copies that are gone, and what waits.

use super::cold::{ARCHIVES, JOBS, OUTPUTS, archive, is_refused, request, restore, state, wait};
use super::lifecycle::Dies;
use crate::cold::{PIECES_MAX, PIECES_OF_A_COMMIT};
use crate::world::{World, bytes, collect, copy_request, key};
use crate::{
    BucketName, CreateUpload, DAY, Error, GetRequest, RestoreOutcome, RestoreState, RestoreTier,
    StorageClass, Versioning, tables,
};
use archive::retrieval::JobId;
use archive::tree_hash::TreeHash;
use archive::vault::{Piece, end_job};
use engine::BoxFuture;
use engine::catalog::{Catalog, Commit, Limits, MemoryCatalog, Scan, Snapshot, Version};
use engine::codec::DataKey;
use engine::entropy::SeededEntropy;
use engine::id::{BlobId, PartitionId};
use engine::testing::Gate;
use engine::worker::{Progress, Worker};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// The jobs of a bucket's vault.
async fn jobs(world: &World, partition: PartitionId) -> Vec<JobId> {
    let snapshot = world.catalog.snapshot(partition).await.unwrap();
    let page = snapshot.scan(Scan::prefix(JOBS, b"", 1_000)).await.unwrap();
    page.rows.iter().map(|(key, _)| JobId::from_bytes(key.as_ref().try_into().unwrap())).collect()
}

/// Takes a job away, as if it had come to its end.
async fn lose(world: &World, partition: PartitionId, job: JobId) {
    let snapshot = world.catalog.snapshot(partition).await.unwrap();
    let mut commit = Commit::new(partition, snapshot.read_version());
    commit.writes = end_job(job);
    world.catalog.commit(commit).await.unwrap();
    world.parts().vaults.unwrap().freed(partition);
    world.settle().await;
}

/// One that is restored out of its vault, and its job.
async fn restored(world: &World, name: &BucketName, body: &bytes::Bytes) -> JobId {
    archive(world, name, "k", StorageClass::Glacier, body).await;
    world.settle().await;
    restore(world, name, "k", 2).await.unwrap();
    wait(world, name, "k").await;
    jobs(world, world.partition(name).await).await[0]
}

#[tokio::test]
async fn a_body_of_more_parts_than_a_commit_takes_stays_in_the_pool_and_is_not_read_for_ever() {
    let world = World::with_vaults(530).await;
    let name = world.create("bkt", Versioning::Off).await;
    let partition = world.partition(&name).await;
    let mut bodies = Vec::new();
    for (at, count) in [("few", PIECES_MAX), ("many", PIECES_MAX + 1)] {
        let begun = CreateUpload { class: StorageClass::Glacier, ..CreateUpload::new(name.clone(), key(at)) };
        let upload = world.store.create_upload(begun).await.unwrap().upload;
        let (mut parts, mut body) = (Vec::new(), Vec::new());
        for number in 1..=u32::try_from(count).unwrap() {
            let part = bytes(number.into(), if number as usize == count { 100_000 } else { 5 << 20 });
            parts.push(world.part(&name, at, upload, number, part.clone()).await.unwrap());
            body.extend_from_slice(&part);
        }
        world.complete(&name, at, upload, parts).await.unwrap();
        bodies.push((at, body));
    }
    // Comes to its end.
    world.settle().await;
    assert_eq!(
        (world.rows(partition, ARCHIVES).await, world.rows(partition, tables::DEPOSITS).await),
        (1, 0)
    );
    for (at, body) in bodies {
        assert!(is_refused(&world.get(&name, at).await, false), "{at}: it is archived all the same");
        restore(&world, &name, at, 1).await.unwrap();
        wait(&world, &name, at).await;
        assert!(world.get(&name, at).await.unwrap() == body, "{at}");
    }
}

#[tokio::test]
async fn as_many_parts_as_are_deposited_are_rows_of_one_commit() {
    let world = World::with_vaults(531).await;
    let name = world.create("bkt", Versioning::Off).await;
    archive(&world, &name, "k", StorageClass::Glacier, &bytes(1, 5_000)).await;
    world.settle().await;
    let entropy = SeededEntropy::new(3);
    let piece = || Piece {
        blob: BlobId::random(&entropy),
        key: DataKey::random(&entropy),
        length: 1,
        tree_hash: TreeHash::of(b"x"),
    };
    let pieces: Vec<Piece> = std::iter::repeat_with(piece).take(PIECES_OF_A_COMMIT).collect();
    let vaults = world.parts().vaults.unwrap();
    let home = world.partition(&name).await;
    let deposit = vaults.deposit(home, &pieces, TreeHash::of(b"x")).await.unwrap();
    // With what the version's own change has besides, quotas and rules included.
    let rows = deposit.checks.len() + deposit.writes.len() + 150;
    assert!(rows <= world.catalog.limits().commit_rows, "{rows}");
}

#[tokio::test]
async fn a_damaged_body_stays_in_the_pool_while_others_are_deposited() {
    let world = World::with_vaults(532).await;
    let name = world.create("bkt", Versioning::Off).await;
    let partition = world.partition(&name).await;
    archive(&world, &name, "damaged", StorageClass::Glacier, &bytes(1, 300_000)).await;
    world.damage_zone("pool");
    let good = bytes(2, 300_000);
    for at in ["a", "z"] {
        archive(&world, &name, at, StorageClass::Glacier, &good).await;
    }
    world.settle().await;
    assert_eq!(
        (world.rows(partition, ARCHIVES).await, world.rows(partition, tables::DEPOSITS).await),
        (2, 0)
    );
    for at in ["a", "z", "damaged"] {
        restore(&world, &name, at, 1).await.unwrap();
        wait(&world, &name, at).await;
    }
    assert!(world.get(&name, "a").await.unwrap() == good && world.get(&name, "z").await.unwrap() == good);
    assert!(world.get(&name, "damaged").await.is_err());
    // Whoever restored it has it tried once more, and that ends as well.
    world.clock.advance(DAY * 3);
    world.settle().await;
    assert_eq!(
        (world.rows(partition, ARCHIVES).await, world.rows(partition, tables::DEPOSITS).await),
        (2, 0)
    );
}

#[tokio::test]
async fn a_job_that_no_row_names_is_gone_in_days_however_long_the_copy_was_to_stay() {
    let mut world = World::with_vaults(533).await;
    let name = world.create("bkt", Versioning::Off).await;
    let partition = world.partition(&name).await;
    archive(&world, &name, "k", StorageClass::Glacier, &bytes(1, 50_000)).await;
    world.settle().await;
    let dies = Arc::new(Dies { rows: world.catalog.clone(), left: AtomicUsize::new(usize::MAX) });
    let dying = world.beside_with_vaults(dies.clone()).await;
    // The job's row is the last that comes through.
    dies.left.store(1, Ordering::Relaxed);
    restore(&dying, &name, "k", 3_650).await.unwrap_err();
    drop(dying);
    world.reopen().await;
    assert_eq!((state(&world, &name, "k").await, jobs(&world, partition).await.len()), (None, 1));
    for _ in 0..6 {
        world.settle().await;
        world.clock.advance(Duration::from_mins(30));
    }
    assert!(world.rows(partition, OUTPUTS).await > 0, "nobody knows that nobody wants it");
    world.clock.advance(DAY * 10);
    world.settle().await;
    assert_eq!((world.rows(partition, JOBS).await, world.rows(partition, OUTPUTS).await), (0, 0));
}

#[tokio::test]
async fn a_copy_that_stays_for_years_outlives_what_its_job_was_begun_with() {
    let world = World::with_vaults(534).await;
    let name = world.create("bkt", Versioning::Off).await;
    let body = bytes(1, 50_000);
    archive(&world, &name, "k", StorageClass::Glacier, &body).await;
    world.settle().await;
    restore(&world, &name, "k", 400).await.unwrap();
    wait(&world, &name, "k").await;
    for days in [9, 100, 290] {
        world.clock.advance(DAY * days);
        world.settle().await;
        assert_eq!(world.get(&name, "k").await.unwrap(), body, "{days} days later");
    }
}

#[tokio::test]
async fn whoever_comes_between_a_job_and_its_row_leaves_no_job_that_nobody_waits_for() {
    let fast = Arc::new(World::with_vaults(535).await);
    let gate = Gate::before(fast.catalog.clone());
    let name = fast.create("bkt", Versioning::Off).await;
    let partition = fast.partition(&name).await;
    for n in 0..40 {
        archive(&fast, &name, &format!("k{n}"), StorageClass::Glacier, &bytes(n, 9_000)).await;
    }
    fast.settle().await;
    let slow = fast.beside_with_vaults(gate.clone()).await;
    let mut gaps = 0;
    loop {
        let at = format!("k{gaps}");
        let (theirs, other) = (fast.clone(), (name.clone(), at.clone()));
        let before = jobs(&fast, partition).await.len();
        gate.arm(gaps, async move {
            let bulk = request(&other.0, &other.1, 1, RestoreTier::Bulk);
            let _faster = theirs.store.restore(&bulk, None).await;
        });
        let outcome = restore(&slow, &name, &at, 1).await;
        if gate.disarm() {
            break;
        }
        assert_eq!(outcome.unwrap(), RestoreOutcome::Begun, "gap {gaps}");
        assert_eq!(jobs(&fast, partition).await.len(), before + 1, "gap {gaps}");
        gaps += 1;
    }
    assert!(gaps > 3, "{gaps}");
}

#[tokio::test]
async fn a_faster_tier_that_the_job_has_already_is_no_refusal_and_a_job_that_is_gone_is_begun_anew() {
    let world = World::with_vaults(536).await;
    let name = world.create("bkt", Versioning::Off).await;
    let partition = world.partition(&name).await;
    let body = bytes(1, 50_000);
    archive(&world, &name, "k", StorageClass::Glacier, &body).await;
    world.settle().await;
    world.store.restore(&request(&name, "k", 1, RestoreTier::Bulk), None).await.unwrap();
    // As after a conflict, or a crash, behind the job's own commit.
    let job = jobs(&world, partition).await[0];
    let vaults = world.parts().vaults.unwrap();
    assert!(vaults.hasten(partition, job, RestoreTier::Standard).await.unwrap());
    assert_eq!(restore(&world, &name, "k", 1).await.unwrap(), RestoreOutcome::Begun);
    assert!(matches!(restore(&world, &name, "k", 1).await, Err(Error::RestoreInProgress)));
    lose(&world, partition, job).await;
    archive(&world, &name, "other", StorageClass::Glacier, &body).await;
    world.settle().await;
    world.store.restore(&request(&name, "other", 1, RestoreTier::Bulk), None).await.unwrap();
    let job = jobs(&world, partition).await[0];
    let snapshot = world.catalog.snapshot(partition).await.unwrap();
    let mut commit = Commit::new(partition, snapshot.read_version());
    commit.writes = end_job(job);
    world.catalog.commit(commit).await.unwrap();
    assert_eq!(restore(&world, &name, "other", 1).await.unwrap(), RestoreOutcome::Begun);
    wait(&world, &name, "other").await;
    assert_eq!(world.get(&name, "other").await.unwrap(), body);
}

#[tokio::test]
async fn who_reads_a_copy_when_its_time_is_over_reads_it_to_the_end() {
    let world = World::with_vaults(537).await;
    let name = world.create("bkt", Versioning::Off).await;
    let partition = world.partition(&name).await;
    // Of several packs.
    let body = bytes(1, 7 << 20);
    restored(&world, &name, &body).await;
    let reading = world.store.get(GetRequest::new(name.clone(), key("k"))).await.unwrap();
    world.clock.advance(DAY * 3);
    world.settle().await;
    assert!(is_refused(&world.get(&name, "k").await, false), "nobody else");
    assert!(collect(reading).await.unwrap() == body);
    world.clock.advance(Duration::from_hours(1));
    world.settle().await;
    assert_eq!((world.rows(partition, JOBS).await, world.rows(partition, OUTPUTS).await), (0, 0));
}

#[tokio::test]
async fn a_copy_that_is_gone_before_its_time_is_refused_as_what_is_archived_and_restored_again() {
    let world = World::with_vaults(538).await;
    let name = world.create("bkt", Versioning::Off).await;
    let partition = world.partition(&name).await;
    let body = bytes(1, 50_000);
    let job = restored(&world, &name, &body).await;
    lose(&world, partition, job).await;
    assert!(matches!(state(&world, &name, "k").await, Some(RestoreState::Until(_))));
    assert!(is_refused(&world.get(&name, "k").await, false));
    assert!(is_refused(&world.store.copy(copy_request((&name, "k"), (&name, "copy"))).await, false));
    assert_eq!(restore(&world, &name, "k", 1).await.unwrap(), RestoreOutcome::Begun);
    wait(&world, &name, "k").await;
    assert_eq!(world.get(&name, "k").await.unwrap(), body);
}

#[tokio::test]
async fn a_copy_out_of_a_vault_is_known_to_be_written_anew_before_it_is_begun() {
    let world = World::with_vaults(539).await;
    let name = world.create("bkt", Versioning::Off).await;
    restored(&world, &name, &bytes(1, 50_000)).await;
    world.put(&name, "plain", bytes(2, 50_000)).await;
    for (at, anew) in [("k", true), ("plain", false), ("none", false)] {
        let request = copy_request((&name, at), (&name, "copy"));
        assert_eq!(world.store.copies_anew(&request).await, anew, "{at}");
    }
    let extra = world.store.copy_memory(true).get() - world.store.copy_memory(false).get();
    assert!(extra >= 4 << 20, "{extra}: records that are written");
}

/// Counts snapshots that are taken.
struct Counts {
    rows: Arc<MemoryCatalog>,
    snapshots: AtomicUsize,
}

impl Catalog for Counts {
    fn limits(&self) -> Limits {
        self.rows.limits()
    }

    fn snapshot(&self, partition: PartitionId) -> BoxFuture<'_, engine::Result<Arc<dyn Snapshot>>> {
        self.snapshots.fetch_add(1, Ordering::Relaxed);
        self.rows.snapshot(partition)
    }

    fn commit(&self, commit: Commit) -> BoxFuture<'_, engine::Result<Version>> {
        self.rows.commit(commit)
    }
}

/// Ticks until it rests.
async fn ticks(worker: &mut Box<dyn Worker>) {
    for _ in 0..1_000 {
        if let Progress::Idle { .. } = worker.tick().await.unwrap() {
            return;
        }
    }
    panic!("{} comes to no rest", worker.name());
}

#[tokio::test]
async fn what_waits_for_a_job_is_not_read_anew_all_the_time_and_is_there_when_the_job_ends() {
    let base = World::with_vaults(540).await;
    let name = base.create("bkt", Versioning::Off).await;
    for n in 0..30 {
        archive(&base, &name, &format!("k{n}"), StorageClass::Glacier, &bytes(n, 9_000)).await;
    }
    base.settle().await;
    let counts = Arc::new(Counts { rows: base.catalog.clone(), snapshots: AtomicUsize::new(0) });
    let world = base.beside_with_vaults(counts.clone()).await;
    for n in 0..30 {
        let tier = if n == 7 { RestoreTier::Expedited } else { RestoreTier::Standard };
        world.store.restore(&request(&name, &format!("k{n}"), 1, tier), None).await.unwrap();
    }
    let mut archived = world.store.workers().into_iter().find(|worker| worker.name() == "archived").unwrap();
    let mut looked = async || {
        let before = counts.snapshots.load(Ordering::Relaxed);
        ticks(&mut archived).await;
        counts.snapshots.load(Ordering::Relaxed) - before
    };
    assert!(looked().await >= 30);
    assert!(looked().await < 15, "each was looked at just now");
    world.clock.advance(Duration::from_mins(1));
    assert!(looked().await >= 30, "a minute later all of them are");
    assert!(looked().await < 15);
    let vaults = world.parts().vaults.unwrap();
    let mut runner = vaults.workers().into_iter().find(|worker| worker.name() == "vault-retrievals").unwrap();
    ticks(&mut runner).await;
    // Whose job ended is looked at, whenever it was before.
    looked().await;
    assert!(matches!(state(&world, &name, "k7").await, Some(RestoreState::Until(_))));
}
