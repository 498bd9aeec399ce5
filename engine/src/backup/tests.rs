//! The drill: base, log, loss, recovery.

mod lives;
mod rotten;

use super::manifest::Name;
use super::{Backup, BaseWorker, DirectoryTarget, LogWorker, Parts, RecoveryKey, Target, recover};
use crate::blob::{BlobStore, OpenOptions};
use crate::catalog::{Catalog, Commit, Family, LogPlace, Options, RocksCatalog, Table, Version, Write};
use crate::clock::{ManualClock, Timestamp};
use crate::entropy::SeededEntropy;
use crate::fault::{Fault, Faults, Point};
use crate::id::PartitionId;
use crate::small_files::SmallFiles;
use crate::unit::ByteCount;
use crate::worker::{Progress, Worker};
use crate::{Error, ErrorKind};
use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
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
    /// Length of a log file, and how many are retained.
    log_shape: (u64, usize),
}

struct Appliance {
    catalog: Arc<RocksCatalog>,
    backup: Arc<Backup>,
    base: BaseWorker,
    log: LogWorker,
    blobs: Arc<BlobStore>,
}

impl World {
    fn new() -> Self {
        let world = Self {
            disks: tempfile::tempdir().unwrap(),
            clock: Arc::new(ManualClock::new(Timestamp::from_millis(1_000_000))),
            faults: Arc::default(),
            key: RecoveryKey::generate(),
            entropy: Arc::new(SeededEntropy::new(5)),
            log_shape: (16 << 20, 2),
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
            log_file_bytes: self.log_shape.0,
            log_files_retained: self.log_shape.1,
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
            files: Arc::new(SmallFiles::new(
                self.root(),
                vec![MARKER.into(), "master.key".into(), "absent".into()],
            )),
            catalog: catalog.clone(),
            target: Arc::new(self.target()),
            recipient: self.key.recipient(),
            base_every: Duration::from_hours(24),
            clock: self.clock.clone(),
            entropy: self.entropy.clone(),
            faults: self.faults.clone(),
        })
        .unwrap();
        let (base, log) = (BaseWorker::new(backup.clone()), LogWorker::new(backup.clone(), blobs.clone()));
        Appliance { catalog, backup, base, log, blobs }
    }

    /// The system disk is gone, its key files with it.
    fn lose(&self, appliance: Appliance) {
        appliance.catalog.close();
        drop(appliance);
        std::fs::remove_dir_all(self.root()).unwrap();
    }

    async fn recover(&self) -> crate::Result<super::Recovered> {
        self.recover_from(None).await
    }

    async fn recover_from(&self, base: Option<Version>) -> crate::Result<super::Recovered> {
        let key = self.key.reveal().parse().unwrap();
        recover(&self.target(), (&[key], base, None), &self.root(), (MARKER, None), self.options()).await
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
    let master_key = world.root().join("master.key");
    assert_eq!(std::fs::read(&master_key).unwrap(), b"key material");
    assert_eq!(std::fs::metadata(master_key).unwrap().permissions().mode() & 0o777, 0o600);
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
async fn commits_between_two_looks_share_a_chunk_and_the_lag_is_true() {
    let world = World::new();
    let mut appliance = world.start().await;
    appliance.base.tick().await.unwrap();
    let (mut looks, mut commits, mut last) = (0_u64, 0_u64, 0);
    while looks < 400 {
        // Somebody commits all the time, while a chunk is on its way as well.
        last = appliance.put(&format!("{commits}")).await;
        commits += 1;
        assert!(commits < 2_000, "the worker never rests");
        match appliance.log.tick().await.unwrap() {
            Progress::More { .. } => {}
            Progress::Idle { rest } => {
                looks += 1;
                world.clock.advance(rest);
                let status = appliance.backup.status();
                assert!(status.lag_commits > 0 && status.lag_ms <= 2_000, "look {looks}: {status:?}");
            }
        }
    }
    let chunks = world.target().list("").await.unwrap().iter().filter(|name| name.contains("/log/")).count();
    assert!(chunks as u64 <= looks + 1, "{chunks} chunks in {looks} looks");
    while appliance.backup.status().shipped_version < last {
        appliance.ship().await;
    }
    assert_eq!(appliance.backup.status().lag_ms, 0);
    world.lose(appliance);
    assert_eq!(world.recover().await.unwrap().version, last);
}

#[tokio::test]
async fn what_waits_at_the_start_or_for_a_target_that_is_away_is_late_from_then_on() {
    let world = World::new();
    let mut appliance = world.start().await;
    appliance.base.tick().await.unwrap();
    appliance.put("a").await;
    appliance.catalog.close();
    drop(appliance);
    let mut appliance = world.start().await;
    let lag = |appliance: &Appliance| Duration::from_millis(appliance.backup.status().lag_ms);
    world.clock.advance(Duration::from_secs(7));
    assert_eq!(lag(&appliance), Duration::from_secs(7), "before anybody has looked");
    appliance.ship().await;
    assert_eq!(lag(&appliance), Duration::ZERO);
    appliance.put("b").await;
    world.faults.arm(Point::BackupWrite, Fault::Io, 0, 1);
    assert!(appliance.log.tick().await.is_err());
    world.clock.advance(Duration::from_mins(6));
    assert_eq!(lag(&appliance), Duration::from_mins(6));
    appliance.ship().await;
    assert_eq!(lag(&appliance), Duration::ZERO);
}

#[tokio::test]
async fn a_clock_that_is_set_back_puts_nothing_off_and_hides_no_lag() {
    let world = World::new();
    let mut appliance = world.start().await;
    appliance.base.tick().await.unwrap();
    appliance.ship().await;
    appliance.put("a").await;
    world.clock.set_wall(Timestamp::from_millis(0));
    world.clock.advance(Duration::from_secs(7));
    assert_eq!(appliance.backup.status().lag_ms, 7_000);
    appliance.ship().await;
    world.clock.set_wall(Timestamp::from_millis(0));
    world.clock.advance(Duration::from_hours(24));
    assert!(matches!(appliance.base.tick().await.unwrap(), Progress::More { .. }), "it is due");
    appliance.ship().await;
    std::fs::remove_dir_all(world.disks.path().join("elsewhere/lives")).unwrap();
    world.clock.set_wall(Timestamp::from_millis(0));
    world.clock.advance(Duration::from_mins(1));
    appliance.ship().await;
    assert!(appliance.backup.status().error.is_some_and(|error| error.contains("no longer there")));
    // Set forward, nothing is late that is not.
    assert!(matches!(appliance.base.tick().await.unwrap(), Progress::More { .. }));
    appliance.put("b").await;
    appliance.ship().await;
    appliance.put("c").await;
    world.clock.set_wall(Timestamp::from_millis(1_000_000_000));
    assert_eq!(appliance.backup.status().lag_ms, 0);
    assert!(matches!(appliance.base.tick().await.unwrap(), Progress::Idle { .. }));
}

#[tokio::test]
async fn a_target_that_lost_the_base_holds_no_backup_until_it_has_another() {
    let world = World::new();
    let mut appliance = world.start().await;
    appliance.base.tick().await.unwrap();
    appliance.put("a").await;
    appliance.ship().await;
    let committed = appliance.backup.status().shipped_version;
    let (place, aside) = (world.disks.path().join("elsewhere"), world.disks.path().join("aside"));

    // The disk goes, and comes back.
    std::fs::rename(&place, &aside).unwrap();
    world.clock.advance(Duration::from_mins(1));
    assert!(appliance.log.tick().await.is_err(), "also when there is nothing to ship");
    appliance.put("b").await;
    assert!(appliance.log.tick().await.is_err());
    assert!(appliance.backup.write_base().await.is_err());
    assert!(!place.exists(), "it is not made anew");
    std::fs::create_dir(&place).unwrap();
    let error = appliance.log.tick().await.unwrap_err().to_string();
    assert!(error.contains("another directory than at the start"), "{error}");
    assert!(appliance.backup.status().error.is_some());
    std::fs::remove_dir(&place).unwrap();
    std::fs::rename(&aside, &place).unwrap();
    appliance.ship().await;
    let status = appliance.backup.status();
    assert_eq!((status.error, status.lag_commits), (None, 0));

    // It stays, and what it holds goes.
    std::fs::remove_dir_all(place.join("lives")).unwrap();
    appliance.ship().await;
    assert_eq!(appliance.backup.status().error, None, "it is looked for once a minute");
    world.clock.advance(Duration::from_mins(1));
    appliance.ship().await;
    let status = appliance.backup.status();
    assert!(status.error.unwrap().contains("no longer there"));
    assert_eq!((status.base_version, status.base_completed_at), (None, None));
    assert!(status.lag_commits > committed, "all of it would be lost");
    assert!(matches!(appliance.base.tick().await.unwrap(), Progress::More { .. }), "at once");
    appliance.put("c").await;
    appliance.ship().await;
    let status = appliance.backup.status();
    assert_eq!((status.error, status.lag_commits), (None, 0));
    world.lose(appliance);
    world.recover().await.unwrap();
    let again = world.start().await;
    for name in ["a", "b", "c"] {
        assert!(again.has(name).await, "{name}");
    }
}

#[tokio::test]
async fn a_backlog_of_more_than_a_chunk_is_shipped_without_a_rest() {
    let world = World::new();
    let mut appliance = world.start().await;
    appliance.base.tick().await.unwrap();
    let mut last = 0;
    for n in 0..300_u32 {
        let row = Write::Put(ROWS.key(n.to_be_bytes().to_vec()), vec![7; 60_000].into());
        let commit = Commit { writes: vec![row], ..Commit::new(PartitionId::ROOT, 0) };
        last = appliance.catalog.commit(commit).await.unwrap();
    }
    for full in [true, true, false] {
        assert!(matches!(appliance.log.tick().await.unwrap(), Progress::More { .. }));
        assert_eq!(appliance.backup.status().shipped_version < last, full);
    }
    assert!(matches!(appliance.log.tick().await.unwrap(), Progress::Idle { .. }));
}

#[tokio::test]
async fn what_was_shipped_is_not_read_again() {
    let world = World::new();
    let mut appliance = world.start().await;
    appliance.base.tick().await.unwrap();
    let based = appliance.backup.status().shipped_version;
    appliance.put("a").await;
    appliance.ship().await;
    // Nobody notices a frame of the log that went bad behind the reader.
    let logs =
        std::fs::read_dir(world.root().join("catalog/log")).unwrap().map(|entry| entry.unwrap().path());
    for log in logs.filter(|path| path.extension().is_some_and(|extension| extension == "log")) {
        let mut bytes = std::fs::read(&log).unwrap();
        bytes[4096 + 60] ^= 1;
        std::fs::write(&log, bytes).unwrap();
    }
    assert!(appliance.catalog.log_since(LogPlace::after(based), 1).is_err());
    let version = appliance.put("b").await;
    appliance.ship().await;
    assert_eq!(appliance.backup.status().shipped_version, version);
}

#[tokio::test]
async fn sealing_leaves_the_threads_of_the_runtime_alone() {
    struct Named(std::io::Cursor<&'static [u8]>, std::sync::mpsc::Sender<std::thread::ThreadId>);
    impl std::io::Read for Named {
        fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
            self.1.send(std::thread::current().id()).unwrap();
            self.0.read(bytes)
        }
    }
    let world = World::new();
    let appliance = world.start().await;
    let (threads, seen) = std::sync::mpsc::channel();
    let recipient = Arc::new(world.key.recipient());
    let open = {
        let threads = threads.clone();
        move || {
            threads.send(std::thread::current().id()).unwrap();
            Ok(Named(std::io::Cursor::new(b"rows"), threads))
        }
    };
    appliance.backup.put_sealed("log/a.age", recipient, open).await.unwrap();
    drop(threads);
    let seen: Vec<_> = seen.iter().collect();
    let own = std::thread::current().id();
    assert!(seen.len() > 1 && seen.iter().all(|thread| *thread != own), "{seen:?} and {own:?}");
    let staged = std::fs::read_dir(world.root().join("backup")).unwrap().map(|entry| entry.unwrap().path());
    assert_eq!(staged.filter(|path| path.extension().is_some_and(|end| end == "staged")).count(), 0);
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
    let bases: Vec<&String> = names.iter().filter(|name| name.contains("/base/")).collect();
    assert_eq!(bases.len(), 2, "{names:?}");
    let newest = bases[1].clone();
    // And nothing else: no file that neither of them names, no chunk that both have in their rows.
    let index = std::fs::read_to_string(world.root().join("backup/bases.json")).unwrap();
    let oldest = names.iter().find_map(|name| match Name::parse(name) {
        Some(Name::Base(_, version)) => Some(version),
        _ => None,
    });
    for name in &names {
        match Name::parse(name) {
            Some(Name::Log(_, chunk)) => assert!(Some(chunk.last) > oldest, "{name}"),
            _ if name.contains("/file/") => assert!(index.contains(&format!("\"{name}\"")), "{name}"),
            _ => {}
        }
    }
    world.lose(appliance);
    world.recover().await.unwrap();
    let mut appliance = world.start().await;
    for round in 0..4 {
        assert!(appliance.has(&format!("round {round}")).await);
    }
    // The newest base is gone too, with what only it needs: the one before it and the log after that are enough.
    appliance.catalog.close();
    world.lose(appliance);
    world.target().delete(&newest).await.unwrap();
    let recovered = world.recover().await.unwrap();
    assert_eq!(recovered.chunks_beyond_gap, 0);
    appliance = world.start().await;
    for round in 0..4 {
        assert!(appliance.has(&format!("round {round}")).await, "round {round}");
    }
}

/// Files at the target, and those of each base in the index.
async fn files_and_named(world: &World) -> (BTreeSet<String>, Vec<BTreeSet<String>>) {
    let there = world.target().list("").await.unwrap();
    let index = std::fs::read(world.root().join("backup/bases.json")).unwrap();
    let index: serde_json::Value = serde_json::from_slice(&index).unwrap();
    let files = |base: &serde_json::Value| serde_json::from_value(base["files"].clone()).unwrap();
    let named = index["bases"].as_array().unwrap().iter().map(files).collect();
    (there.into_iter().filter(|name| name.contains("/file/")).collect(), named)
}

fn all(named: &[BTreeSet<String>]) -> BTreeSet<String> {
    named.iter().flatten().cloned().collect()
}

#[tokio::test]
async fn what_bases_that_failed_left_goes_with_the_next_try_and_costs_no_base() {
    let world = World::new();
    let mut appliance = world.start().await;
    appliance.put("first").await;
    appliance.base.tick().await.unwrap();
    let bases = || async {
        let names = world.target().list("").await.unwrap();
        names.into_iter().filter(|name| name.contains("/base/")).collect::<Vec<_>>()
    };
    let first = bases().await;
    // Each has other tables, and gets one file further than the one before it; the last lacks its manifest alone.
    for whole in [Some(0), Some(1), Some(2), None] {
        appliance.put(&format!("{whole:?} files")).await;
        world.clock.advance(Duration::from_hours(25));
        if let Some(whole) = whole {
            world.faults.arm(Point::BackupWrite, Fault::Io, whole, 1);
        } else {
            let (faults, index) = (Arc::clone(&world.faults), world.root().join("backup/bases.json"));
            world.faults.visit(Point::BackupWrite, move || {
                if std::fs::read_to_string(&index).unwrap().matches("version").count() == 2 {
                    faults.arm(Point::BackupWrite, Fault::Io, 0, 1);
                }
            });
        }
        assert!(appliance.base.tick().await.is_err(), "{whole:?}");
        assert_eq!(bases().await, first);
        world.faults.clear();
    }
    let (files, named) = files_and_named(&world).await;
    assert_eq!((named.len(), files), (2, all(&named)), "nothing of those before it");
    appliance.put("last").await;
    assert!(matches!(appliance.base.tick().await.unwrap(), Progress::More { .. }));
    let (files, named) = files_and_named(&world).await;
    assert_eq!((named.len(), files), (2, all(&named)), "what no base names is gone");
    let both = bases().await;
    assert!(both.len() == 2 && both[0] == first[0], "one that failed takes no other's place: {both:?}");
    // What is not in the index may need any file, until two are there that are.
    std::fs::remove_file(world.root().join("backup/bases.json")).unwrap();
    for count in [3, 2] {
        appliance.put("more").await;
        let before = world.target().list("").await.unwrap();
        appliance.backup.write_base().await.unwrap();
        assert_eq!(bases().await.len(), count);
        let after: BTreeSet<String> = world.target().list("").await.unwrap().into_iter().collect();
        assert_eq!(before.iter().all(|name| after.contains(name)), count == 3);
    }
    let (files, named) = files_and_named(&world).await;
    assert_eq!(files, all(&named));
}

#[tokio::test]
async fn the_pool_is_held_at_what_the_target_has() {
    let world = World::new();
    let mut appliance = world.start().await;
    assert_eq!(appliance.blobs.hold(), Some(0), "until the target has answered nothing is let go");
    appliance.put("a").await;
    appliance.ship().await;
    assert_eq!(appliance.blobs.hold(), Some(0), "there is no base yet");
    assert!(world.target().list("").await.unwrap().is_empty(), "and no chunk without one");
    appliance.base.tick().await.unwrap();
    appliance.ship().await;
    let based = appliance.backup.status().shipped_version;
    assert_eq!(appliance.blobs.hold(), Some(based));
    let version = appliance.put("b").await;
    world.faults.arm(Point::BackupWrite, Fault::Io, 0, 1);
    assert!(appliance.log.tick().await.is_err());
    assert_eq!(appliance.blobs.hold(), Some(based), "the target does not have it");
    assert_eq!(appliance.backup.status().shipped_version, based);
    appliance.log.tick().await.unwrap();
    assert_eq!(appliance.blobs.hold(), Some(version), "at once");
    appliance.ship().await;
    assert_eq!(appliance.blobs.hold(), Some(version));
    assert_eq!(appliance.backup.status().shipped_version, version);
}

#[tokio::test]
async fn a_restart_counts_what_was_shipped_up_to_the_first_gap() {
    let world = World::new();
    let mut appliance = world.start().await;
    appliance.base.tick().await.unwrap();
    let first = appliance.put("a").await;
    appliance.ship().await;
    for name in ["b", "c"] {
        appliance.put(name).await;
        appliance.ship().await;
    }
    appliance.catalog.close();
    drop(appliance);
    let chunks = world.target().list("lives/").await.unwrap();
    let lost = chunks.iter().filter(|name| name.contains("/log/")).nth(1).unwrap();
    world.target().delete(lost).await.unwrap();
    let mut appliance = world.start().await;
    // The first tick takes up what is there.
    appliance.log.tick().await.unwrap();
    assert!(appliance.backup.status().shipped_version > first, "it ships the rest again");
    appliance.ship().await;
    world.lose(appliance);
    assert_eq!(world.recover().await.unwrap().chunks_beyond_gap, 0);
    let appliance = world.start().await;
    for name in ["a", "b", "c"] {
        assert!(appliance.has(name).await, "{name}");
    }
}

#[tokio::test]
async fn a_log_that_no_longer_reaches_back_asks_for_a_base() {
    let world = World { log_shape: (5 << 20, 0), ..World::new() };
    let mut appliance = world.start().await;
    appliance.base.tick().await.unwrap();
    appliance.ship().await;
    // The target is away while log files come and, once the rows are on disk, go.
    let shipped = appliance.backup.status().shipped_version;
    for round in 0..3 {
        for n in 0..100_u32 {
            let row = Write::Put(ROWS.key(n.to_be_bytes().to_vec()), vec![round; 60_000].into());
            let commit = Commit { writes: vec![row], ..Commit::new(PartitionId::ROOT, 0) };
            appliance.catalog.commit(commit).await.unwrap();
        }
        let copy = world.disks.path().join(format!("flushed{round}"));
        appliance.catalog.checkpoint(&copy).unwrap();
    }
    assert!(appliance.catalog.log_since(LogPlace::after(shipped), 1).unwrap().is_none(), "it is gone");
    assert!(matches!(appliance.base.tick().await.unwrap(), Progress::Idle { .. }), "not due by time");
    appliance.log.tick().await.unwrap();
    assert!(matches!(appliance.base.tick().await.unwrap(), Progress::More { .. }), "but wanted");
    appliance.put("a").await;
    appliance.ship().await;
    world.lose(appliance);
    world.recover().await.unwrap();
    assert!(world.start().await.has("a").await);
}

#[tokio::test]
async fn a_base_that_prune_cannot_know_of_is_not_published() {
    let world = World::new();
    let appliance = world.start().await;
    appliance.put("a").await;
    let in_the_way = world.root().join("backup/bases.json.new");
    std::fs::create_dir(&in_the_way).unwrap();
    assert!(appliance.backup.write_base().await.is_err());
    let names = world.target().list("").await.unwrap();
    assert!(!names.iter().any(|name| name.contains("/base/")), "{names:?}");
    std::fs::remove_dir(in_the_way).unwrap();
    appliance.backup.write_base().await.unwrap();
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
    let stranger = recover(
        &target,
        (&[RecoveryKey::generate()], None, None),
        &world.root(),
        (MARKER, None),
        world.options(),
    )
    .await;
    assert!(stranger.unwrap_err().to_string().contains("another recovery key"));
    assert!(!world.root().join(MARKER).exists(), "not an appliance before it is whole");

    let chunks: Vec<String> =
        target.list("lives/").await.unwrap().into_iter().filter(|name| name.contains("/log/")).collect();
    assert_eq!(chunks.len(), 3);
    target.delete(&chunks[1]).await.unwrap();
    let recovered = world.recover().await.unwrap();
    let first = recovered.version + 1;
    assert_eq!((recovered.chunks_beyond_gap, recovered.missing), (1, Some((first, first))));
    let appliance = world.start().await;
    assert!(appliance.has("a").await && !appliance.has("b").await && !appliance.has("c").await);
}

#[tokio::test]
async fn where_the_newest_base_is_damaged_the_one_before_it_is_named_and_brings_all_back() {
    let world = World::new();
    let mut appliance = world.start().await;
    let mut versions = Vec::new();
    for name in ["a", "b"] {
        appliance.put(name).await;
        appliance.ship().await;
        versions.push(appliance.backup.write_base().await.unwrap());
    }
    let last = appliance.put("c").await;
    appliance.ship().await;
    world.lose(appliance);
    let names = world.target().list("lives/").await.unwrap();
    let manifest = names.iter().filter(|name| name.contains("/base/")).nth(1).unwrap();
    let place = |name: &str| world.disks.path().join("elsewhere").join(name);
    // Files that the older base has, too, take both with them.
    let old = world.recover_from(Some(versions[0])).await.unwrap();
    assert_eq!((old.base_version, old.version, old.missing), (versions[0], last, None));
    std::fs::remove_dir_all(world.root()).unwrap();
    let mut only_newest = 0;
    let files = names.iter().filter(|name| name.contains("/file/"));
    for name in files.chain([manifest]) {
        let good = std::fs::read(place(name)).unwrap();
        for bad in [None, Some(&good[..good.len() - 1])] {
            match bad {
                None => std::fs::remove_file(place(name)).unwrap(),
                Some(bad) => std::fs::write(place(name), bad).unwrap(),
            }
            // Without its manifest it is none, and the one before it the newest.
            if !(name == manifest && bad.is_none()) {
                match world.recover().await {
                    Err(refused) => {
                        assert!(matches!(refused, Error::Corrupt { .. }), "{name}: {refused}");
                        let next = format!("--base {} takes that one", versions[0]);
                        assert!(refused.to_string().contains(&next), "{name}: {refused}");
                        assert!(!world.root().join(MARKER).exists());
                    }
                    // The older one has it alone.
                    Ok(_) => std::fs::remove_dir_all(world.root()).unwrap(),
                }
            }
            if let Ok(recovered) = world.recover_from(Some(versions[0])).await {
                only_newest += 1;
                assert_eq!((recovered.base_version, recovered.version), (versions[0], last), "{name}");
                assert_eq!((recovered.missing, recovered.other_key), (None, None));
                let appliance = world.start().await;
                for key in ["a", "b", "c"] {
                    assert!(appliance.has(key).await, "{name}: {key}");
                }
                world.lose(appliance);
            }
        }
        std::fs::write(place(name), &good).unwrap();
    }
    assert!(only_newest > 2, "files of the newest alone, and its manifest: {only_newest}");
    // The oldest has none before it; there is no other.
    let (oldest, good) = (names.iter().find(|name| name.contains("/base/")).unwrap(), b"nothing");
    std::fs::write(place(oldest), good).unwrap();
    let refused = world.recover_from(Some(versions[0])).await.unwrap_err().to_string();
    assert!(!refused.contains("--base"), "{refused}");
    let refused = world.recover_from(Some(last + 1)).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid, "{refused}");
    let known = versions.iter().map(Version::to_string).collect::<Vec<_>>().join(", ");
    assert!(refused.to_string().ends_with(&known), "{refused}");
}

#[tokio::test]
async fn what_only_a_base_that_is_passed_over_holds_is_told_as_missing() {
    let world = World::new();
    let mut appliance = world.start().await;
    let first = appliance.backup.write_base().await.unwrap();
    let shipped = appliance.put("a").await;
    appliance.ship().await;
    appliance.put("in the base alone").await;
    let second = appliance.backup.write_base().await.unwrap();
    world.lose(appliance);
    let recovered = world.recover_from(Some(first)).await.unwrap();
    assert_eq!((recovered.version, recovered.missing), (shipped, Some((shipped + 1, second))));
    assert_eq!((recovered.chunks_beyond_gap, recovered.other_key), (0, None));
    assert!(second > shipped && world.start().await.has("a").await);
}

#[tokio::test]
async fn what_makes_it_an_appliance_comes_last() {
    let world = World::new();
    let mut appliance = world.start().await;
    appliance.put("a").await;
    appliance.base.tick().await.unwrap();
    world.lose(appliance);
    // The keys can't be put back: without them it is none.
    let in_the_way = world.root().join("master.key");
    std::fs::create_dir_all(&in_the_way).unwrap();
    world.recover().await.unwrap_err();
    assert!(!world.root().join("catalog").exists(), "nothing of it is in the way of the next one");
    assert!(!world.root().join(MARKER).exists());
    std::fs::remove_dir(&in_the_way).unwrap();
    world.recover().await.unwrap();
    assert!(world.root().join(MARKER).exists() && in_the_way.is_file());
    assert!(world.start().await.has("a").await);
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
    let stranger = RecoveryKey::generate();
    recover(&world.target(), (&[stranger], None, None), &world.root(), (MARKER, None), world.options())
        .await
        .unwrap_err();
    let (target, root) = (world.target(), world.root());
    let old =
        recover(&target, (&[lost_key], None, None), &root, (MARKER, None), world.options()).await.unwrap();
    assert_eq!(old.other_key, Some((old.version + 1, old.version + 1)), "from the base that it opens");
    let recovered = world.start().await;
    assert!(recovered.has("a").await && !recovered.has("b").await);
    world.lose(recovered);
    assert_eq!(world.recover().await.unwrap().other_key, None);
    let appliance = world.start().await;
    assert!(appliance.has("a").await && appliance.has("b").await);
}

#[tokio::test]
async fn what_a_former_key_opens_comes_back_and_what_it_does_not_is_told() {
    let mut world = World::new();
    let mut appliance = world.start().await;
    appliance.base.tick().await.unwrap();
    let shipped = appliance.put("former").await;
    appliance.ship().await;
    let former = std::mem::replace(&mut world.key, RecoveryKey::generate());
    appliance.backup.reseal(world.key.recipient());
    let mut newest = 0;
    for name in ["newer", "newest"] {
        newest = appliance.put(name).await;
        appliance.ship().await;
    }
    world.lose(appliance);
    let (target, root) = (world.target(), world.root());
    let former = [former];
    let recovered =
        recover(&target, (&former, None, None), &root, (MARKER, None), world.options()).await.unwrap();
    assert_eq!((recovered.version, recovered.other_key), (shipped, Some((shipped + 1, newest))));
    assert_eq!((recovered.chunks_beyond_gap, recovered.missing), (0, None), "nothing is missing there");
    assert_eq!(super::Recovered::read(&root).unwrap(), Some(recovered), "whoever asks later is told, too");
    let appliance = world.start().await;
    assert!(appliance.has("former").await && !appliance.has("newer").await);
    // There is no base of the newer key: it alone opens nothing, and both together open all.
    world.lose(appliance);
    assert!(world.recover().await.unwrap_err().to_string().contains("another recovery key"));
    let [former] = former;
    let both = [world.key.reveal().parse().unwrap(), former];
    let recovered =
        recover(&target, (&both, None, None), &root, (MARKER, None), world.options()).await.unwrap();
    assert_eq!((recovered.version, recovered.other_key, recovered.newer_base), (newest, None, None));
    let appliance = world.start().await;
    assert!(appliance.has("former").await && appliance.has("newest").await);
}

#[tokio::test]
async fn a_gap_before_the_base_of_another_key_is_not_told_as_missing() {
    let mut world = World::new();
    let mut appliance = world.start().await;
    appliance.base.tick().await.unwrap();
    let reached = appliance.put("former").await;
    appliance.ship().await;
    let former = std::mem::replace(&mut world.key, RecoveryKey::generate());
    appliance.backup.reseal(world.key.recipient());
    appliance.put("in the base alone").await;
    let base = appliance.backup.write_base().await.unwrap();
    let newest = appliance.put("newest").await;
    appliance.ship().await;
    let target = world.target();
    for name in target.list("lives/").await.unwrap() {
        // What the newer base holds already need not be in the log.
        if let Some(Name::Log(_, chunk)) = Name::parse(&name)
            && chunk.first > reached
            && chunk.last <= base
        {
            target.delete(&name).await.unwrap();
        }
    }
    let gap =
        |name: &String| matches!(Name::parse(name), Some(Name::Log(_, chunk)) if chunk.first == reached + 1);
    assert!(
        !target.list("lives/").await.unwrap().iter().any(gap),
        "there is a gap behind what the former key opens"
    );
    world.lose(appliance);
    let recovered = recover(&target, (&[former], None, None), &world.root(), (MARKER, None), world.options())
        .await
        .unwrap();
    assert_eq!((recovered.version, recovered.other_key), (reached, Some((reached + 1, newest))));
    assert_eq!((recovered.missing, recovered.chunks_beyond_gap), (None, 0));
    assert_eq!(recovered.newer_base, Some(base), "the newer key opens more");
}

#[tokio::test]
async fn a_damaged_stanza_is_not_taken_for_another_key() {
    let world = World::new();
    let mut appliance = world.start().await;
    appliance.base.tick().await.unwrap();
    for name in ["a", "b", "c"] {
        appliance.put(name).await;
        appliance.ship().await;
    }
    world.lose(appliance);
    let names = world.target().list("lives/").await.unwrap();
    let chunks: Vec<&String> = names.iter().filter(|name| name.contains("/log/")).collect();
    let damage = |name: &str| {
        let path = world.disks.path().join("elsewhere").join(name);
        let good = std::fs::read(&path).unwrap();
        // The version, the stanza with its share, and what is wrapped in it: a line each.
        let at = good.iter().enumerate().filter(|(_, byte)| **byte == b'\n').nth(1).unwrap().0 + 1;
        let mut bad = good.clone();
        bad[at] = if good[at] == b'A' { b'B' } else { b'A' };
        std::fs::write(&path, &bad).unwrap();
        move || std::fs::write(&path, &good).unwrap()
    };
    for chunk in &chunks[..2] {
        let mend = damage(chunk);
        let refused = world.recover().await.unwrap_err();
        assert!(matches!(&refused, Error::Corrupt { what, .. } if what.contains(*chunk)), "{refused}");
        assert!(!world.root().join(MARKER).exists());
        mend();
    }
    // Nothing behind the last one tells them apart.
    let mend = damage(chunks[2]);
    assert!(world.recover().await.unwrap().other_key.is_some());
    std::fs::remove_dir_all(world.root()).unwrap();
    mend();
    world.recover().await.unwrap();
    assert!(world.start().await.has("c").await);
}

#[tokio::test]
async fn a_catalog_without_a_marker_is_not_recovered_over_unless_a_recovery_left_it() {
    let world = World::new();
    let mut appliance = world.start().await;
    appliance.put("a").await;
    appliance.base.tick().await.unwrap();
    appliance.put("not shipped").await;
    appliance.catalog.close();
    drop(appliance);
    std::fs::remove_file(world.root().join(MARKER)).unwrap();
    let refused = world.recover().await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid, "{refused}");
    let named = world.root().join("catalog").display().to_string();
    assert!(
        refused.to_string().contains(&named) && refused.to_string().contains("move it away"),
        "{refused}"
    );
    assert!(world.start().await.has("not shipped").await, "it is as it was");
    // So a recovery leaves it that is cut off.
    std::fs::create_dir(world.root().join("recovering")).unwrap();
    world.recover().await.unwrap();
    assert!(!world.root().join("recovering").exists());
    std::fs::create_dir_all(world.root().join("recovering/sealed")).unwrap();
    super::remove_leavings(&world.root()).unwrap();
    assert!(!world.root().join("recovering").exists());
    super::remove_leavings(&world.root()).unwrap();
    let recovered = world.start().await;
    assert!(recovered.has("a").await && !recovered.has("not shipped").await);
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
    // Whole files with another content: whoever knows the public key can seal one.
    for name in target.list("").await.unwrap().iter().filter(|name| name.contains("/file/")) {
        let path = world.disks.path().join("elsewhere").join(name);
        let good = std::fs::read(&path).unwrap();
        let mut forged = world.key.recipient().seal(std::fs::File::create(&path).unwrap()).unwrap();
        std::io::Write::write_all(&mut forged, b"forged").unwrap();
        forged.finish().unwrap();
        let error = world.recover().await.unwrap_err();
        assert!(error.to_string().contains("another hash"), "{name}: {error}");
        std::fs::write(&path, &good).unwrap();
    }
    world.recover().await.unwrap();
}
