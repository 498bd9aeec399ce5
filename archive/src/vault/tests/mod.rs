//! A whole set of vaults for tests: rows in memory, segments and media in a temporary directory, a clock moved by hand.

mod compact;
mod crash;
mod deposits;
mod doubts;
mod golden;
mod jobs;
mod media;
mod scrub;
mod systems;
mod terms;
mod told;

use super::rows::{PackRow, PackState};
use super::{
    Components, Expected, JobInfo, MediumOptions, NewVault, Packing, VaultName, Vaults, Wanted, tables,
};
use crate::inventory::{Description, Format, Selection};
use crate::pack::{ArchiveId, PackId};
use crate::retrieval::{JobState, MediumKind, Prices, Subject, Tier};
use crate::tree_hash::{ByteRange, TreeHash};
use bytes::Bytes;
use engine::BoxFuture;
use engine::blob::{BlobStore, OpenOptions};
use engine::catalog::record::Record;
use engine::catalog::{Catalog, Commit, Limits, MemoryCatalog, Scan, Snapshot, Table, Version};
use engine::clock::compliance::ComplianceClock;
use engine::clock::{ManualClock, Timestamp};
use engine::entropy::{Entropy, SeededEntropy};
use engine::id::PartitionId;
use engine::testing::BLOB_REFERENCES;
use engine::unit::ByteCount;
use engine::worker::Progress;
use futures_util::StreamExt;
use security::AccountId;
use security::keys::{FileCustodian, KeyTable};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tempfile::TempDir;

/// Rows that can't be reached any more from the nth step on, as those of a process that dies there.
pub(super) struct Cut {
    rows: Arc<dyn Catalog>,
    left: AtomicUsize,
}

impl Cut {
    pub(super) fn after(rows: Arc<dyn Catalog>, steps: usize) -> Arc<Self> {
        Arc::new(Self { rows, left: AtomicUsize::new(steps) })
    }

    /// Whether it came to its end.
    pub(super) fn is_cut(&self) -> bool {
        self.left.load(Ordering::SeqCst) == 0
    }

    fn step(&self) -> engine::Result<()> {
        let taken = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        taken.map(drop).map_err(|_none| engine::Error::Closed)
    }
}

impl Catalog for Cut {
    fn limits(&self) -> Limits {
        self.rows.limits()
    }

    fn snapshot(&self, partition: PartitionId) -> BoxFuture<'_, engine::Result<Arc<dyn Snapshot>>> {
        Box::pin(async move {
            self.step()?;
            self.rows.snapshot(partition).await
        })
    }

    fn commit(&self, commit: Commit) -> BoxFuture<'_, engine::Result<Version>> {
        Box::pin(async move {
            self.step()?;
            self.rows.commit(commit).await
        })
    }
}

pub(super) struct World {
    pub(super) vaults: Arc<Vaults>,
    pub(super) catalog: Arc<MemoryCatalog>,
    pub(super) clock: Arc<ManualClock>,
    pub(super) blobs: Arc<BlobStore>,
    pub(super) parts: Components,
    pub(super) dir: Arc<TempDir>,
}

pub(super) fn account() -> AccountId {
    "111122223333".parse().unwrap()
}

pub(super) fn name(text: &str) -> VaultName {
    VaultName::parse(text).unwrap()
}

/// Bytes that no other length or seed begins with, and that nothing compresses.
pub(super) fn noise(seed: u64, length: usize) -> Bytes {
    let mut out = vec![0; length];
    SeededEntropy::new(seed).fill(&mut out);
    out.into()
}

impl World {
    pub(super) async fn new(seed: u64) -> Self {
        Self::with(seed, |_| {}).await
    }

    pub(super) async fn with(seed: u64, change: impl FnOnce(&mut Components)) -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_790_000_000_000)));
        let entropy: Arc<dyn Entropy> = Arc::new(SeededEntropy::new(seed));
        let catalog = Arc::new(MemoryCatalog::new(clock.clone(), &*entropy));
        let dir = Arc::new(tempfile::tempdir().unwrap());
        let pool = OpenOptions {
            segment_bytes: ByteCount::mib(16),
            keep_free: ByteCount::mib(1),
            ..OpenOptions::new(
                dir.path().join("pool"),
                catalog.clone(),
                clock.clone(),
                entropy.clone(),
                Arc::default(),
            )
        };
        let blobs = BlobStore::open(pool).await.unwrap();
        let custodian = FileCustodian::generate(&dir.path().join("master.key"), entropy.clone()).unwrap();
        let keys = KeyTable::open(catalog.clone(), Arc::new(custodian), entropy.clone(), clock.clone());
        let compliance = ComplianceClock::open(catalog.clone(), clock.clone()).await.unwrap();
        let path = dir.path().join("vault");
        std::fs::create_dir(&path).unwrap();
        let mut parts = Components {
            catalog: catalog.clone(),
            blobs: blobs.clone(),
            keys: keys.await.unwrap(),
            clock: clock.clone(),
            compliance,
            day: Duration::from_hours(24),
            entropy,
            region: "us-east-1".to_owned(),
            making: dir.path().join("making"),
            media: vec![medium("disk", MediumKind::Disk, path)],
            packing: Packing { capacity: 2 << 20, patience: Duration::ZERO, ..Packing::default() },
            prices: Prices::default(),
            free_per_day: crate::retrieval::FREE_PER_DAY,
            topics: None,
        };
        change(&mut parts);
        let vaults = Vaults::open(parts.clone()).await.unwrap();
        Self { vaults, catalog, clock, blobs, parts, dir }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Forgets what is in memory only, as a crash does. The rows and files stay.
    pub(super) async fn reopen(&mut self) {
        self.vaults = Vaults::open(self.parts.clone()).await.unwrap();
    }

    pub(super) async fn create(&self, text: &str) -> VaultName {
        self.vaults.create(account(), &name(text), NewVault::default()).await.unwrap();
        name(text)
    }

    pub(super) async fn put(&self, vault: &VaultName, bytes: &Bytes) -> ArchiveId {
        self.try_put(&self.vaults, vault, bytes).await.unwrap()
    }

    pub(super) async fn try_put(
        &self,
        vaults: &Arc<Vaults>,
        vault: &VaultName,
        bytes: &Bytes,
    ) -> super::Result<ArchiveId> {
        // What waits for it is no larger for it.
        Box::pin(async {
            let description = Description::new("an archive").unwrap();
            let mut upload = vaults.upload(account(), vault, description, None)?;
            for piece in bytes.chunks(100_000) {
                upload.write(Bytes::copy_from_slice(piece)).await?;
            }
            let expected = Expected { tree_hash: Some(TreeHash::of(bytes)), sha256: None };
            Ok(upload.finish(&expected).await?.archive)
        })
        .await
    }

    /// Runs the vaults' workers until none has anything to do.
    pub(super) async fn settle(&self) {
        self.try_settle(&self.vaults).await.unwrap();
    }

    pub(super) async fn try_settle(&self, vaults: &Arc<Vaults>) -> engine::Result<()> {
        let mut workers = vaults.workers();
        let (mut calm, mut rounds) = (0, 0);
        while calm < 2 {
            (calm, rounds) = (calm + 1, rounds + 1);
            assert!(rounds < 100, "the workers wake one another for ever");
            for worker in &mut workers {
                for turn in 0.. {
                    assert!(turn < 1_000, "{} comes to no rest", worker.name());
                    match worker.tick().await? {
                        Progress::More { done: 0 } => {}
                        Progress::More { .. } => calm = 0,
                        Progress::Idle { .. } => break,
                    }
                }
            }
        }
        Ok(())
    }

    pub(super) async fn ask(&self, vault: &VaultName, subject: Subject, tier: Tier) -> JobInfo {
        let wanted = Wanted { subject, tier, description: Description::default(), topic: String::new() };
        self.vaults.initiate(account(), vault, wanted).await.unwrap()
    }

    pub(super) async fn ask_for(
        &self,
        vault: &VaultName,
        archive: ArchiveId,
        range: Option<ByteRange>,
    ) -> JobInfo {
        let subject = Subject::Archive { archive: archive.to_string(), range };
        self.ask(vault, subject, Tier::Standard).await
    }

    pub(super) async fn state(&self, vault: &VaultName, job: &JobInfo) -> JobState {
        self.vaults.job(account(), vault, job.job.id).await.unwrap().job.state
    }

    /// The output of a job that is ready by now.
    pub(super) async fn output(&self, vault: &VaultName, job: &JobInfo) -> Bytes {
        let (info, mut bytes) = self.vaults.output(account(), vault, job.job.id, None).await.unwrap();
        let mut all = Vec::new();
        while let Some(piece) = bytes.next().await {
            all.extend_from_slice(&piece.unwrap());
        }
        assert_eq!(info.output, all.len() as u64);
        if let Some(hash) = info.tree_hash {
            assert_eq!(hash, TreeHash::of(&all));
        }
        all.into()
    }

    /// Retrieves an archive. Media gather, so time passes.
    pub(super) async fn get(&self, vault: &VaultName, archive: ArchiveId) -> Bytes {
        let job = self.ask_for(vault, archive, None).await;
        self.wait(vault, &job).await;
        self.output(vault, &job).await
    }

    pub(super) async fn wait(&self, vault: &VaultName, job: &JobInfo) {
        for _ in 0..20 {
            self.settle().await;
            match self.state(vault, job).await {
                JobState::Ready { .. } => return,
                JobState::Failed { why, .. } => panic!("the job failed: {why:?}"),
                _ => self.clock.advance(Duration::from_mins(20)),
            }
        }
        panic!("the job is {:?}", self.state(vault, job).await);
    }

    pub(super) async fn inventory(&self, vault: &VaultName) -> BTreeSet<String> {
        let subject = Subject::Inventory { format: Format::Json, selection: Selection::default() };
        let job = self.ask(vault, subject, Tier::Standard).await;
        self.wait(vault, &job).await;
        let text = self.output(vault, &job).await;
        let json: serde_json::Value = serde_json::from_slice(&text).unwrap();
        let list = json["ArchiveList"].as_array().unwrap();
        let ids: BTreeSet<String> =
            list.iter().map(|entry| entry["ArchiveId"].as_str().unwrap().to_owned()).collect();
        assert_eq!(ids.len(), list.len(), "no archive is there twice");
        ids
    }

    pub(super) fn home(&self, vault: &VaultName) -> PartitionId {
        self.vaults.vault(account(), vault).unwrap().home
    }

    pub(super) async fn rows(&self, home: PartitionId, table: Table) -> Vec<(Bytes, Bytes)> {
        let snapshot = self.catalog.snapshot(home).await.unwrap();
        snapshot.scan(Scan::prefix(table, b"", 100_000)).await.unwrap().rows
    }

    pub(super) async fn count(&self, home: PartitionId, table: Table) -> usize {
        self.rows(home, table).await.len()
    }

    pub(super) async fn references(&self, home: PartitionId) -> usize {
        self.count(home, BLOB_REFERENCES).await
    }

    /// Packs that count, by their rows.
    pub(super) async fn packs(&self, home: PartitionId) -> BTreeSet<PackId> {
        let rows = self.rows(home, tables::PACKS).await;
        let kept = rows.iter().filter(|(_, raw)| PackRow::from_bytes(raw).unwrap().state == PackState::Kept);
        kept.map(|(key, _)| PackId::from_bytes(tables::read_id(key).unwrap())).collect()
    }

    /// Files of packs, and whatever else there is but the mark.
    pub(super) fn files(&self, medium: &str) -> BTreeSet<String> {
        let names = std::fs::read_dir(self.path(medium)).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name != "firn-medium").collect()
    }

    /// Nothing is on the medium or in the making that no row says.
    pub(super) async fn check_files(&self, home: PartitionId, medium: &str) {
        let named = self.packs(home).await.into_iter().map(|pack| format!("{pack}.pack"));
        assert_eq!(self.files(medium), named.collect());
        assert_eq!(self.files("making"), ["compacted".to_owned()].into());
        assert_eq!(self.files("making/compacted"), BTreeSet::new());
    }
}

pub(super) fn medium(label: &str, kind: MediumKind, path: PathBuf) -> MediumOptions {
    MediumOptions { label: label.parse().unwrap(), kind, path, capacity: None, write_once: false }
}
