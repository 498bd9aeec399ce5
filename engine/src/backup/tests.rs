//! The drill: base, log, loss, recovery.

use super::{Backup, BaseWorker, DirectoryTarget, LogWorker, Parts, RecoveryKey, Target, recover};
use crate::blob::{BlobStore, OpenOptions};
use crate::catalog::{Catalog, Commit, Family, Options, RocksCatalog, Table, Version, Write};
use crate::clock::{ManualClock, Timestamp};
use crate::entropy::SeededEntropy;
use crate::fault::{Fault, Faults, Point};
use crate::id::PartitionId;
use crate::unit::ByteCount;
use crate::worker::{Progress, Worker};
use crate::{Error, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

const ROWS: Table = Table { family: Family::Record, tag: 200 };
const MARKER: &str = "firn.json";

/// A system disk, a pool disk and a backup disk.
struct World {
    disks: tempfile::TempDir,
    clock: Arc<ManualClock>,
    faults: Arc<Faults>,
    key: RecoveryKey,
    entropy: Arc<SeededEntropy>,
}

struct Appliance {
    catalog: Arc<RocksCatalog>,
    backup: Arc<Backup>,
    base: BaseWorker,
    log: LogWorker,
}

impl World {
    fn new() -> Self {
        let world = Self {
            disks: tempfile::tempdir().unwrap(),
            clock: Arc::new(ManualClock::new(Timestamp::from_millis(1_000_000))),
            faults: Arc::default(),
            key: RecoveryKey::generate(),
            entropy: Arc::new(SeededEntropy::new(5)),
        };
        std::fs::create_dir(world.root()).unwrap();
        std::fs::write(world.root().join(MARKER), b"{}").unwrap();
        std::fs::write(world.root().join("master.key"), b"key material").unwrap();
        world
    }

    fn root(&self) -> PathBuf {
        self.disks.path().join("system")
    }

    fn target(&self) -> DirectoryTarget {
        DirectoryTarget::open(self.disks.path().join("elsewhere")).unwrap()
    }

    fn options(&self) -> Options {
        Options {
            log_file_bytes: 16 << 20,
            log_files_retained: 2,
            reserve_bytes: 0,
            ..Options::new(self.clock.clone(), self.entropy.clone(), self.faults.clone())
        }
    }

    async fn start(&self) -> Appliance {
        let catalog = RocksCatalog::open(self.root().join("catalog"), self.options()).unwrap();
        let mut options = OpenOptions::new(
            self.disks.path().join("pool"),
            catalog.clone(),
            self.clock.clone(),
            self.entropy.clone(),
            self.faults.clone(),
        );
        options.segment_bytes = ByteCount::mib(1);
        let blobs = BlobStore::open(options).await.unwrap();
        let backup = Backup::open(Parts {
            root: self.root(),
            attached: vec![MARKER.into(), "master.key".into(), "absent".into()],
            catalog: catalog.clone(),
            target: Arc::new(self.target()),
            recipient: self.key.recipient(),
            base_every: Duration::from_hours(24),
            clock: self.clock.clone(),
            entropy: self.entropy.clone(),
            faults: self.faults.clone(),
        })
        .unwrap();
        let (base, log) = (BaseWorker::new(backup.clone()), LogWorker::new(backup.clone(), blobs));
        Appliance { catalog, backup, base, log }
    }

    /// The system disk is gone, its key files with it.
    fn lose(&self, appliance: Appliance) {
        appliance.catalog.close();
        drop(appliance);
        std::fs::remove_dir_all(self.root()).unwrap();
    }

    async fn recover(&self) -> crate::Result<super::Recovered> {
        let key = self.key.reveal().parse().unwrap();
        recover(&self.target(), key, &self.root(), MARKER, self.options()).await
    }
}

impl Appliance {
    async fn put(&self, name: &str) -> Version {
        let commit = Commit {
            writes: vec![Write::Put(ROWS.key(name.as_bytes().to_vec()), vec![1; 100].into())],
            ..Commit::new(PartitionId::ROOT, 0)
        };
        self.catalog.commit(commit).await.unwrap()
    }

    async fn has(&self, name: &str) -> bool {
        let snapshot = self.catalog.snapshot(PartitionId::ROOT).await.unwrap();
        snapshot.get(ROWS.key(name.as_bytes().to_vec())).await.unwrap().is_some()
    }

    async fn ship(&mut self) {
        while let Progress::More { .. } = self.log.tick().await.unwrap() {}
    }
}

#[tokio::test]
async fn a_lost_system_disk_comes_back_up_to_the_last_shipped_commit() {
    let world = World::new();
    let mut appliance = world.start().await;
    appliance.put("in the base").await;
    assert!(matches!(appliance.base.tick().await.unwrap(), Progress::More { .. }));
    appliance.put("in the log").await;
    let shipped = appliance.put("in the log too").await;
    appliance.ship().await;
    let lost = appliance.put("lost").await;
    let status = appliance.backup.status();
    assert_eq!((status.shipped_version, status.lag_commits), (shipped, lost - shipped));
    world.lose(appliance);

    let recovered = world.recover().await.unwrap();
    assert_eq!(recovered.version, shipped);
    assert_eq!(recovered.chunks_beyond_gap, 0);
    assert_eq!(std::fs::read(world.root().join("master.key")).unwrap(), b"key material");
    let mut again = world.start().await;
    for name in ["in the base", "in the log", "in the log too"] {
        assert!(again.has(name).await, "{name}");
    }
    assert!(!again.has("lost").await);

    // The second life begins with a base of its own and survives a second loss.
    again.put("second life").await;
    assert!(matches!(again.base.tick().await.unwrap(), Progress::More { .. }));
    world.lose(again);
    world.recover().await.unwrap();
    assert!(world.start().await.has("second life").await);
}

#[tokio::test]
async fn a_restart_goes_on_shipping_where_it_stopped() {
    let world = World::new();
    let mut appliance = world.start().await;
    appliance.base.tick().await.unwrap();
    let shipped = appliance.put("a").await;
    appliance.ship().await;
    appliance.catalog.close();
    drop(appliance);
    let mut appliance = world.start().await;
    appliance.ship().await;
    assert_eq!(appliance.backup.status().shipped_version, shipped);
    appliance.put("b").await;
    appliance.ship().await;
    world.lose(appliance);
    world.recover().await.unwrap();
    let appliance = world.start().await;
    assert!(appliance.has("a").await && appliance.has("b").await);
}

#[tokio::test]
async fn a_base_that_was_cut_off_does_not_count() {
    let world = World::new();
    let mut appliance = world.start().await;
    appliance.put("a").await;
    appliance.base.tick().await.unwrap();
    appliance.put("b").await;
    world.clock.advance(Duration::from_hours(25));
    for failing_write in 0..3 {
        world.faults.arm(Point::BackupWrite, Fault::Io, failing_write, 1);
        assert!(appliance.base.tick().await.is_err(), "write {failing_write}");
        assert!(appliance.backup.status().error.unwrap().contains("injected"));
    }
    world.faults.clear();
    appliance.ship().await;
    assert_eq!(appliance.backup.status().error, None);
    world.lose(appliance);
    world.recover().await.unwrap();
    assert!(world.start().await.has("b").await);
}

#[tokio::test]
async fn prune_keeps_two_bases_and_what_they_need() {
    let world = World::new();
    let mut appliance = world.start().await;
    for round in 0..4 {
        appliance.put(&format!("round {round}")).await;
        appliance.ship().await;
        world.clock.advance(Duration::from_hours(25));
        appliance.base.tick().await.unwrap();
    }
    let names = world.target().list("").await.unwrap();
    assert_eq!(names.iter().filter(|name| name.contains("/base/")).count(), 2, "{names:?}");
    world.lose(appliance);
    world.recover().await.unwrap();
    let appliance = world.start().await;
    for round in 0..4 {
        assert!(appliance.has(&format!("round {round}")).await);
    }
}

#[tokio::test]
async fn recovery_refuses_what_it_must_and_reports_a_gap() {
    let world = World::new();
    let mut appliance = world.start().await;
    appliance.base.tick().await.unwrap();
    for name in ["a", "b", "c"] {
        appliance.put(name).await;
        appliance.ship().await;
    }
    assert_eq!(world.recover().await.unwrap_err().kind(), ErrorKind::Invalid, "an appliance is there");
    world.lose(appliance);

    let target = world.target();
    let stranger = recover(&target, RecoveryKey::generate(), &world.root(), MARKER, world.options()).await;
    assert!(stranger.unwrap_err().to_string().contains("another recovery key"));
    assert!(!world.root().join(MARKER).exists(), "not an appliance before it is whole");

    let chunks: Vec<String> =
        target.list("lives/").await.unwrap().into_iter().filter(|name| name.contains("/log/")).collect();
    assert_eq!(chunks.len(), 3);
    target.delete(&chunks[1]).await.unwrap();
    let recovered = world.recover().await.unwrap();
    assert_eq!(recovered.chunks_beyond_gap, 1);
    let appliance = world.start().await;
    assert!(appliance.has("a").await && !appliance.has("b").await && !appliance.has("c").await);
}

#[tokio::test]
async fn a_new_key_opens_what_comes_after_it() {
    let mut world = World::new();
    let mut appliance = world.start().await;
    appliance.base.tick().await.unwrap();
    appliance.put("a").await;
    appliance.ship().await;
    let lost_key = std::mem::replace(&mut world.key, RecoveryKey::generate());
    appliance.backup.reseal(world.key.recipient());
    assert!(matches!(appliance.base.tick().await.unwrap(), Progress::More { .. }));
    appliance.put("b").await;
    appliance.ship().await;
    world.lose(appliance);
    assert!(recover(&world.target(), lost_key, &world.root(), MARKER, world.options()).await.is_err());
    world.recover().await.unwrap();
    let appliance = world.start().await;
    assert!(appliance.has("a").await && appliance.has("b").await);
}

#[tokio::test]
async fn a_base_of_the_same_version_takes_the_place_of_the_one_before() {
    let world = World::new();
    let appliance = world.start().await;
    appliance.put("a").await;
    let version = appliance.backup.write_base().await.unwrap();
    for _ in 0..4 {
        assert_eq!(appliance.backup.write_base().await.unwrap(), version, "nothing is written in between");
    }
    world.lose(appliance);
    world.recover().await.unwrap();
    assert!(world.start().await.has("a").await);
}

#[tokio::test]
async fn a_new_key_opens_files_that_have_not_changed_since_the_old_one() {
    let mut world = World::new();
    let appliance = world.start().await;
    appliance.put("a").await;
    appliance.backup.write_base().await.unwrap();
    world.key = RecoveryKey::generate();
    appliance.backup.reseal(world.key.recipient());
    appliance.backup.write_base().await.unwrap();
    world.lose(appliance);
    world.recover().await.unwrap();
    assert!(world.start().await.has("a").await);
}

#[tokio::test]
async fn a_new_appliance_leaves_the_backup_of_another_alone() {
    let world = World::new();
    let appliance = world.start().await;
    appliance.put("a").await;
    appliance.backup.write_base().await.unwrap();
    world.lose(appliance);
    // Started in its place by mistake, before the recovery.
    std::fs::create_dir(world.root()).unwrap();
    std::fs::write(world.root().join(MARKER), b"{}").unwrap();
    let mut fresh = world.start().await;
    let refused = fresh.base.tick().await.unwrap_err();
    assert!(refused.to_string().contains("the backup of another appliance"), "{refused}");
    assert!(fresh.log.tick().await.is_err());
    world.lose(fresh);
    world.recover().await.unwrap();
    assert!(world.start().await.has("a").await);
}

#[tokio::test]
async fn recovery_refuses_every_damaged_file() {
    let world = World::new();
    let mut appliance = world.start().await;
    appliance.put("a").await;
    appliance.base.tick().await.unwrap();
    appliance.put("b").await;
    appliance.ship().await;
    world.lose(appliance);
    let target = world.target();
    for name in target.list("").await.unwrap() {
        let path = world.disks.path().join("elsewhere").join(&name);
        let good = std::fs::read(&path).unwrap();
        let mut bad = good.clone();
        let middle = bad.len() / 2;
        bad[middle] ^= 0x40;
        std::fs::write(&path, &bad).unwrap();
        let error = world.recover().await.unwrap_err();
        assert!(matches!(error, Error::Corrupt { .. } | Error::Invalid(_)), "{name}: {error}");
        std::fs::write(&path, &good).unwrap();
        assert!(!Path::new(&world.root().join(MARKER)).exists());
    }
    world.recover().await.unwrap();
}
