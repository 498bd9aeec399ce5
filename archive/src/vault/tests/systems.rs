//! Vaults that no door shows: how many jobs they have, what can't be opened, what can't be read, and marks.

use super::{World, account, noise};
use crate::inventory::Description;
use crate::pack::ArchiveId;
use crate::retrieval::{Depth, JobId, JobState, Refused, RetrievalPolicy, Subject, Tier};
use crate::tree_hash::TreeHash;
use crate::vault::jobs::JobLimits;
use crate::vault::{Error, Piece, Retrieve, Vaults, Wanted, end_job, tables};
use bytes::Bytes;
use engine::BoxFuture;
use engine::blob::Owner;
use engine::catalog::{
    Catalog, Commit, Family, Key, Limits, MemoryCatalog, Snapshot, Space, Table, Version, Write,
};
use engine::clock::Clock;
use engine::id::PartitionId;
use engine::unit::ByteCount;
use futures_util::StreamExt;
use security::keys::{FileCustodian, KeyTable};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A row of the owner's, without which nothing is to come to its partition.
fn alive() -> Key {
    Table { family: Family::Record, tag: 0x01 }.key(b"alive".to_vec())
}

impl World {
    pub(super) async fn write(&self, home: PartitionId, writes: Vec<Write>) {
        let snapshot = self.catalog.snapshot(home).await.unwrap();
        let commit = Commit { writes, ..Commit::new(home, snapshot.read_version()) };
        self.catalog.commit(commit).await.unwrap();
    }

    /// A partition with a vault.
    async fn system(&self) -> PartitionId {
        let home = PartitionId::random(&*self.parts.entropy);
        self.write(home, vec![Write::Put(alive(), Bytes::from_static(b"1"))]).await;
        self.vaults.found_system(home, account(), &alive()).await.unwrap();
        home
    }

    /// Deposits what the owner has as a blob.
    async fn deposit(&self, home: PartitionId, bytes: &Bytes) -> ArchiveId {
        let mut writer = self.blobs.writer(home, None);
        writer.push(bytes.clone()).await.unwrap();
        let blob = writer.seal().await.unwrap();
        let hash = TreeHash::of(bytes);
        let (id, key) = (blob.id, blob.key.clone());
        let piece = Piece { blob: id, key, length: bytes.len() as u64, tree_hash: hash };
        let deposit = self.vaults.deposit(home, &[piece], hash).await.unwrap();
        let mut rows = blob.writes(&Owner::new(b"owner".to_vec()).unwrap());
        rows.extend(deposit.writes);
        self.write(home, rows).await;
        deposit.at.id
    }

    async fn retrieve(&self, home: PartitionId, archive: ArchiveId, tier: Tier) -> Result<JobId, Error> {
        let (depth, keep) = (Depth::Flexible, Duration::from_hours(1_000));
        self.vaults.retrieve(home, Retrieve { archive, tier, depth, keep }).await
    }

    async fn until_ready(&self, home: PartitionId, job: JobId) {
        for _ in 0..20 {
            self.settle().await;
            if let Some(JobState::Ready { .. }) = self.vaults.job_state(home, job).await.unwrap() {
                return;
            }
            self.clock.advance(Duration::from_mins(20));
        }
        panic!("it never is");
    }

    async fn retrieved(&self, home: PartitionId, job: JobId, length: usize) -> Bytes {
        let mut output = self.vaults.retrieved(home, job, 0..length as u64).await.unwrap();
        let mut all = Vec::new();
        while let Some(piece) = output.next().await {
            all.extend_from_slice(&piece.unwrap());
        }
        all.into()
    }
}

#[tokio::test]
async fn a_policy_neither_bounds_nor_counts_what_buckets_restore() {
    let mut world = World::new(97).await;
    let home = world.system().await;
    let archive = world.deposit(home, &noise(1, 1_000)).await;
    let policy = RetrievalPolicy::BytesPerHour(ByteCount::new(1_000));
    world.vaults.set_retrieval_policy(account(), policy).await.unwrap();
    for _ in 0..3 {
        world.retrieve(home, archive, Tier::Standard).await.unwrap();
    }
    world.reopen().await;
    world.retrieve(home, archive, Tier::Standard).await.unwrap();
    // All of it is there for the account's own vault.
    let vault = world.create("v").await;
    let own = world.put(&vault, &noise(2, 1_000)).await;
    world.ask_for(&vault, own, None).await;
    let wanted = Wanted {
        subject: Subject::Archive { archive: own.to_string(), range: None },
        tier: Tier::Standard,
        description: Description::default(),
        topic: String::new(),
    };
    let refused = world.vaults.initiate(account(), &vault, wanted).await;
    assert!(matches!(refused, Err(Error::Refused(Refused::PolicyEnforced { left_bytes: 0 }))), "{refused:?}");
}

#[tokio::test]
async fn a_system_vaults_limits_are_of_what_is_to_be_read_and_what_its_owner_ends_counts_no_more() {
    let world = World::new(70).await;
    let home = world.system().await;
    let archive = world.deposit(home, &noise(1, 5_000)).await;
    world.settle().await;
    world.vaults.counter.lock().limits = JobLimits { jobs: 1, pending: 2, of_system: 3 };
    let first = world.retrieve(home, archive, Tier::Standard).await.unwrap();
    let second = world.retrieve(home, archive, Tier::Standard).await.unwrap();
    let refused = world.retrieve(home, archive, Tier::Standard).await;
    assert!(matches!(refused, Err(Error::TooMany { limit: 2, .. })), "{refused:?}");
    for job in [first, second] {
        world.until_ready(home, job).await;
    }
    // What is ready is in nobody's way.
    world.retrieve(home, archive, Tier::Standard).await.unwrap();
    let refused = world.retrieve(home, archive, Tier::Standard).await;
    assert!(matches!(refused, Err(Error::TooMany { limit: 3, .. })), "{refused:?}");
    world.write(home, end_job(first)).await;
    world.vaults.freed(home);
    world.settle().await;
    world.retrieve(home, archive, Tier::Standard).await.unwrap();
    // A vault with a name counts all of them.
    let vault = world.create("v").await;
    let id = world.put(&vault, &noise(2, 100)).await;
    world.settle().await;
    let job = world.ask_for(&vault, id, None).await;
    world.wait(&vault, &job).await;
    let wanted = crate::vault::Wanted {
        subject: crate::retrieval::Subject::Archive { archive: id.to_string(), range: None },
        tier: Tier::Standard,
        description: Description::default(),
        topic: String::new(),
    };
    let refused = world.vaults.initiate(account(), &vault, wanted).await;
    assert!(matches!(refused, Err(Error::TooMany { limit: 1, .. })), "{refused:?}");
}

#[tokio::test]
async fn more_jobs_than_are_read_together_are_all_taken_up_by_a_start() {
    let mut world = World::new(71).await;
    let home = world.system().await;
    let archive = world.deposit(home, &noise(1, 5_000)).await;
    world.settle().await;
    for _ in 0..1_100 {
        world.retrieve(home, archive, Tier::Standard).await.unwrap();
    }
    world.reopen().await;
    world.vaults.counter.lock().limits = JobLimits { jobs: 1, pending: 1_100, of_system: 5_000 };
    let refused = world.retrieve(home, archive, Tier::Standard).await;
    assert!(matches!(refused, Err(Error::TooMany { limit: 1_100, .. })), "{refused:?}");
}

#[tokio::test]
async fn a_system_vault_that_can_not_be_opened_is_tried_again_and_its_jobs_go_on() {
    let mut world = World::new(72).await;
    let home = world.system().await;
    let bytes = noise(1, 5_000);
    let archive = world.deposit(home, &bytes).await;
    world.settle().await;
    let ready = world.retrieve(home, archive, Tier::Standard).await.unwrap();
    world.until_ready(home, ready).await;
    let pending = world.retrieve(home, archive, Tier::Standard).await.unwrap();
    let ended = world.retrieve(home, archive, Tier::Standard).await.unwrap();
    let secrets = tables::only(tables::SECRETS);
    let good = world.rows(home, tables::SECRETS).await[0].1.clone();
    world.write(home, vec![Write::Put(secrets.clone(), Bytes::from_static(b"damaged"))]).await;
    world.reopen().await;
    assert!(world.vaults.retrieved(home, ready, 0..1).await.is_err());
    assert!(world.retrieve(home, archive, Tier::Standard).await.is_err());
    world.write(home, end_job(ended)).await;
    world.write(home, vec![Write::Put(secrets.clone(), good.clone())]).await;
    // Nobody asks for it: a worker tries.
    let mut workers = world.vaults.workers();
    let runner = workers.iter_mut().find(|worker| worker.name() == "vault-retrievals").unwrap();
    runner.tick().await.unwrap();
    assert!(world.vaults.at_home(home).is_none(), "half a minute later");
    world.clock.advance(Duration::from_secs(31));
    runner.tick().await.unwrap();
    assert!(world.vaults.at_home(home).is_some());
    world.settle().await;
    assert_eq!(world.count(home, tables::GARBAGE).await, 0, "what was given up meanwhile is released");
    world.until_ready(home, pending).await;
    assert!(world.retrieved(home, pending, bytes.len()).await == bytes);
    let later = world.clock.now().plus(Duration::from_hours(5_000));
    assert!(world.vaults.keep_output_until(home, ready, later).await.unwrap());
    // And whoever does ask, has it opened.
    world.write(home, vec![Write::Put(secrets.clone(), Bytes::from_static(b"damaged"))]).await;
    world.reopen().await;
    world.write(home, vec![Write::Put(secrets, good)]).await;
    assert!(world.retrieved(home, ready, bytes.len()).await == bytes);
    world.clock.advance(Duration::from_hours(2_000));
    world.settle().await;
    assert!(world.retrieved(home, ready, bytes.len()).await == bytes, "as long as it is to be kept");
}

/// Rows that take nothing that leads to no room.
struct Full {
    rows: Arc<MemoryCatalog>,
    is_full: AtomicBool,
}

impl Catalog for Full {
    fn limits(&self) -> Limits {
        self.rows.limits()
    }

    fn snapshot(&self, partition: PartitionId) -> BoxFuture<'_, engine::Result<Arc<dyn Snapshot>>> {
        self.rows.snapshot(partition)
    }

    fn commit(&self, commit: Commit) -> BoxFuture<'_, engine::Result<Version>> {
        if self.is_full.load(Ordering::SeqCst) && commit.space != Space::Reserve {
            let full = engine::Error::Full { place: "test".to_owned(), wanted: 1 };
            return Box::pin(std::future::ready(Err(full)));
        }
        self.rows.commit(commit)
    }
}

#[tokio::test]
async fn on_a_full_disk_vaults_are_opened_and_read_all_the_same() {
    let world = World::new(73).await;
    let home = world.system().await;
    let vault = world.create("v").await;
    let bytes = noise(1, 5_000);
    let archive = world.deposit(home, &bytes).await;
    world.settle().await;
    let job = world.retrieve(home, archive, Tier::Standard).await.unwrap();
    world.until_ready(home, job).await;
    let rows = Arc::new(Full { rows: world.catalog.clone(), is_full: AtomicBool::new(false) });
    let mut parts = world.parts.clone();
    let custodian = FileCustodian::load(&world.path("master.key"), parts.entropy.clone()).unwrap();
    let keys = KeyTable::open(rows.clone(), Arc::new(custodian), parts.entropy.clone(), parts.clock.clone());
    parts.keys = keys.await.unwrap();
    parts.catalog = rows.clone();
    rows.is_full.store(true, Ordering::SeqCst);
    let vaults = Vaults::open(parts).await.unwrap();
    assert!(vaults.at_home(home).is_some(), "nobody has to wait for room");
    assert!(vaults.describe(account(), &vault).await.is_ok());
    let world = World { vaults, ..world };
    assert!(world.retrieved(home, job, bytes.len()).await == bytes);
}

#[tokio::test]
async fn a_row_of_a_job_or_of_a_pack_that_can_not_be_read_keeps_nobody_from_starting() {
    let mut world = World::new(74).await;
    let (hurt, well) = (world.create("hurt").await, world.create("well").await);
    let bytes = noise(1, 50_000);
    let lost = world.put(&hurt, &bytes).await;
    world.settle().await;
    let kept = world.put(&hurt, &bytes).await;
    let other = world.put(&well, &bytes).await;
    world.settle().await;
    let home = world.home(&hurt);
    let job = world.ask_for(&hurt, kept, None).await;
    let damage = Bytes::from_static(b"\xFF\xFF");
    let first = {
        let snapshot = world.catalog.snapshot(home).await.unwrap();
        world.vaults.find_place(&*snapshot, lost, 0).await.unwrap().unwrap().place.pack
    };
    let rows = [tables::of_job(tables::JOBS, job.job.id), tables::of_pack(tables::PACKS, first)];
    world.write(home, rows.into_iter().map(|row| Write::Put(row, damage.clone())).collect()).await;
    world.reopen().await;
    // Others go on, and so does what is known of the vault itself.
    for (vault, archive) in [(&well, other), (&hurt, kept)] {
        let job = world.ask_for(vault, archive, None).await;
        for _ in 0..20 {
            tick_all(&world).await;
            world.clock.advance(Duration::from_mins(20));
        }
        assert!(world.output(vault, &job).await == bytes);
    }
    let late = world.put(&hurt, &bytes).await;
    tick_all(&world).await;
    let snapshot = world.catalog.snapshot(home).await.unwrap();
    let place = world.vaults.find_place(&*snapshot, late, 0).await.unwrap();
    assert!(place.is_none(), "nothing more is packed where not all packs are known");
}

/// Some turns of each worker, whatever the cleaner says of a row that it can't read.
async fn tick_all(world: &World) {
    for worker in &mut world.vaults.workers() {
        for _ in 0..10 {
            let _told = worker.tick().await;
        }
    }
}

#[tokio::test]
async fn no_mark_stays_of_a_partition_that_is_gone_or_in_which_no_vault_began() {
    let mut world = World::new(75).await;
    let home = PartitionId::random(&*world.parts.entropy);
    let refused = world.vaults.found_system(home, account(), &alive()).await;
    assert!(matches!(refused, Err(Error::NotFound { what: "partition", .. })), "{refused:?}");
    assert_eq!(world.count(PartitionId::ROOT, tables::SYSTEMS).await, 0);
    // As a crash leaves it.
    let there = world.system().await;
    let raw = world.rows(PartitionId::ROOT, tables::SYSTEMS).await[0].1.clone();
    let mark = tables::of_partition(tables::SYSTEMS, home);
    world.write(PartitionId::ROOT, vec![Write::Put(mark, raw)]).await;
    world.reopen().await;
    assert_eq!(world.count(PartitionId::ROOT, tables::SYSTEMS).await, 1);
    assert!(world.vaults.at_home(there).is_some());
}
