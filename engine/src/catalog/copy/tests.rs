//! Two places of one catalog: what is answered is in both, and what happens when either is lost, late, old or cut short.

mod clear;
mod crash;
mod images;
mod model;
mod parted;
mod rotten;

use super::keeper::reached;
use super::membership::{Membership, Role};
use super::place::{CopyDir, copy_file, copy_tree, remove_tree};
use super::{CopyOptions, CopyState, CopyWorker, Disk, Place, Restored, restore};
use crate::catalog::{Catalog, Commit, Durability, Family, Options, RocksCatalog, Table, Write};
use crate::clock::{ManualClock, Timestamp};
use crate::entropy::SeededEntropy;
use crate::fault::{Fault, Faults, Point};
use crate::id::PartitionId;
use crate::small_files::SmallFiles;
use crate::worker::{Progress, Worker};
use crate::{Error, Result};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

const TABLE: Table = Table { family: Family::Record, tag: 1 };
const BODIES: Table = Table { family: Family::Body, tag: 1 };
const HERE: PartitionId = PartitionId::from_bytes([7; 8]);
const ATTACHED: [&str; 3] = ["marker", "key", "deep/key"];

/// A data directory and a zone, each in a directory of its own.
struct World {
    dir: tempfile::TempDir,
    entropy: Arc<SeededEntropy>,
    /// Of the data directory's disk, and of the zone's.
    home_faults: Arc<Faults>,
    zone_faults: Arc<Faults>,
    patience: Duration,
    keep_free: u64,
    /// That of the zone.
    disk: Disk,
}

fn attached() -> Vec<String> {
    ATTACHED.map(str::to_owned).to_vec()
}

impl World {
    fn new() -> Self {
        Self::seeded(1)
    }

    fn seeded(seed: u64) -> Self {
        // In memory where there is room: they sync thousands of files, and what they judge is what is written, not that it lasts.
        let memory = std::path::Path::new("/dev/shm");
        let dir = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        let world = Self {
            dir: dir.unwrap(),
            entropy: Arc::new(SeededEntropy::new(seed)),
            home_faults: Arc::default(),
            zone_faults: Arc::default(),
            patience: Duration::from_secs(30),
            keep_free: 0,
            disk: Disk::Unknown,
        };
        std::fs::create_dir_all(world.path("home/deep")).unwrap();
        std::fs::create_dir_all(world.path("b")).unwrap();
        for name in ATTACHED {
            std::fs::write(world.path("home").join(name), name).unwrap();
        }
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn place(&self) -> Place {
        Place { disk: self.disk.clone(), ..Place::new("b".to_owned(), self.path("b/catalog")) }
    }

    fn options(&self, accept_loss: bool) -> Options {
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(0)));
        let copy = CopyOptions {
            places: vec![self.place()],
            accept_loss,
            faults: Arc::clone(&self.zone_faults),
            patience: self.patience,
            keep_free: self.keep_free,
        };
        Options {
            log_file_bytes: 5 << 20,
            log_files_retained: 1,
            reserve_bytes: 0,
            memtable_bytes: 4 << 20,
            copy,
            ..Options::new(clock, Arc::clone(&self.entropy) as _, Arc::clone(&self.home_faults))
        }
    }

    fn try_open(&self, accept_loss: bool) -> Result<Arc<RocksCatalog>> {
        RocksCatalog::open(self.path("home/catalog"), self.options(accept_loss))
    }

    fn open(&self) -> Arc<RocksCatalog> {
        self.try_open(false).unwrap()
    }

    fn files(&self) -> Arc<SmallFiles> {
        Arc::new(SmallFiles::new(self.path("home"), attached()))
    }

    fn worker(&self, catalog: &Arc<RocksCatalog>) -> CopyWorker {
        let place = self.place();
        let wanted = Arc::new(move |_: Option<&str>| Some(place.clone()));
        CopyWorker::new(Arc::clone(catalog), self.files(), wanted)
    }

    /// Makes a copy, once a thread that was given up has let go of the zone.
    async fn make(&self, catalog: &Arc<RocksCatalog>) -> Result<Progress> {
        if catalog.copy_status().state == CopyState::Both {
            return self.worker(catalog).tick().await;
        }
        loop {
            match self.worker(catalog).make(self.place()).await {
                Err(Error::InUse { .. }) => std::thread::yield_now(),
                made => return made,
            }
        }
    }

    /// Makes the copy.
    async fn share(&self, catalog: &Arc<RocksCatalog>) {
        assert_eq!(self.make(catalog).await.unwrap(), Progress::More { done: 1 });
        assert_eq!(catalog.copy_status().state, CopyState::Both);
    }

    fn copy(&self) -> CopyDir {
        let place = self.place().dir;
        CopyDir::of(&place, &Membership::read(&place).unwrap().unwrap())
    }

    /// Loses the data directory and makes it again from the zone.
    fn restore(&self) -> Result<Restored> {
        remove_tree(&self.path("home"))?;
        std::fs::create_dir(self.path("home")).unwrap();
        self.restore_in_time("home")
    }

    /// Makes a directory from the zone, once a thread that was given up has let go of it.
    fn restore_in_time(&self, name: &str) -> Result<Restored> {
        loop {
            match self.restore_at(name) {
                Err(Error::InUse { .. }) => std::thread::yield_now(),
                made => return made,
            }
        }
    }

    fn restore_at(&self, name: &str) -> Result<Restored> {
        restore(&self.place().dir, &self.path(name).join("catalog"), (&attached(), None), self.options(false))
    }

    /// What a directory made from the zone holds, whatever else it might be asked.
    async fn in_zone(&self) -> BTreeMap<String, String> {
        remove_tree(&self.path("aside")).unwrap();
        std::fs::create_dir(self.path("aside")).unwrap();
        self.restore_in_time("aside").unwrap();
        let mut options = self.options(true);
        options.copy.places.clear();
        let catalog = RocksCatalog::open(self.path("aside/catalog"), options).unwrap();
        all(&catalog).await
    }

    fn home_says(&self) -> Membership {
        Membership::read(&self.path("home/catalog")).unwrap().unwrap()
    }

    fn mv(&self, from: &str, to: &str) {
        std::fs::rename(self.path(from), self.path(to)).unwrap();
    }

    /// A copy of a directory as it lies there, in the place of what is at `to`.
    fn image(&self, from: &str, to: &str) {
        remove_tree(&self.path(to)).unwrap();
        std::fs::create_dir_all(self.path(to).parent().unwrap()).unwrap();
        copy_tree(&self.path(from), &self.path(to), &mut |from, to, _| copy_file(from, to)).unwrap();
    }
}

/// What lies in a directory, whatever else goes on there. What a thread is just making ready holds nothing. RocksDB's files are of one
/// moment, as on a disk: where its threads wrote meanwhile (a table that the image has the beginning of, and that its manifest names
/// already), all is kept anew.
fn keep_image(from: &Path, to: &Path) {
    std::fs::create_dir_all(to.parent().unwrap()).unwrap();
    loop {
        let before = rows_files(from);
        copy_tree(from, to, &mut |from, to, _| {
            if !from.file_name().is_some_and(|name| name == "spare.tmp" || name == "LOCK") {
                sparse(from, to);
            }
            Ok(())
        })
        .unwrap();
        if rows_files(from) == before {
            return;
        }
        remove_tree(to).unwrap();
    }
}

/// Files of rows below a directory, with their lengths.
fn rows_files(from: &Path) -> BTreeMap<PathBuf, u64> {
    let mut found = BTreeMap::new();
    let mut left = vec![from.to_owned()];
    while let Some(directory) = left.pop() {
        let is_rows = directory.file_name().is_some_and(|name| name == "rows");
        // What goes meanwhile is not there the next time.
        for entry in std::fs::read_dir(&directory).into_iter().flatten().flatten() {
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.is_dir() {
                left.push(entry.path());
            } else if is_rows {
                found.insert(entry.path(), metadata.len());
            }
        }
    }
    found
}

/// Copies a file without the zeros at its end, which a log is full of. One that goes meanwhile held nothing that counts.
fn sparse(from: &Path, to: &Path) {
    let bytes = match std::fs::read(from) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return,
        read => read.unwrap(),
    };
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    std::fs::write(to, &bytes[..end]).unwrap();
    let file = std::fs::OpenOptions::new().write(true).open(to).unwrap();
    file.set_len(bytes.len() as u64).unwrap();
}

fn put(key: &str, value: &str) -> Commit {
    let write = |table: Table| {
        Write::Put(table.key(key.as_bytes().to_vec()), Bytes::copy_from_slice(value.as_bytes()))
    };
    Commit { writes: vec![write(TABLE), write(BODIES)], ..Commit::new(HERE, 0) }
}

async fn all(catalog: &RocksCatalog) -> BTreeMap<String, String> {
    let snapshot = catalog.snapshot(HERE).await.unwrap();
    let text = |bytes: Bytes| String::from_utf8(bytes.to_vec()).unwrap();
    let scan = |table| crate::catalog::Scan::prefix(table, &[], 10_000);
    let rows = snapshot.scan(scan(TABLE)).await.unwrap().rows;
    assert_eq!(rows, snapshot.scan(scan(BODIES)).await.unwrap().rows);
    rows.into_iter().map(|(key, value)| (text(key), text(value))).collect()
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

async fn refused(catalog: &RocksCatalog, says: &str) {
    let error = catalog.commit(put("x", "x")).await.unwrap_err();
    assert!(matches!(&error, Error::Fenced { reason } if reason.contains(says)), "{error}");
}

#[tokio::test]
async fn what_is_answered_is_in_both_places_with_one_sync_in_each() {
    let world = World::new();
    let catalog = world.open();
    catalog.commit(put("before", "0")).await.unwrap();
    assert_eq!(catalog.copy_status().state, CopyState::Single);
    world.share(&catalog).await;
    let syncs = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&syncs);
    world.zone_faults.visit(Point::CatalogSync, move || {
        count.fetch_add(1, Ordering::SeqCst);
    });
    let before = catalog.counts();
    for n in 0..20 {
        let version = catalog.commit(put("n", &n.to_string())).await.unwrap();
        assert_eq!(reached(&world.copy()).unwrap().version, version, "read from its disk");
    }
    let many = (0..300).map(|n| catalog.commit(put(&format!("m{n}"), "x")));
    for outcome in futures_util::future::join_all(many).await {
        outcome.unwrap();
    }
    let after = catalog.counts();
    let (groups, home) = (after.groups - before.groups, after.syncs - before.syncs);
    assert_eq!((syncs.load(Ordering::SeqCst), home), (groups, groups), "one sync in each place for a group");
    let here = all(&catalog).await;
    assert_eq!(here.len(), 302);
    catalog.close();
    assert!(world.in_zone().await == here);
}

#[tokio::test]
async fn the_copy_is_synced_while_the_log_is() {
    let world = World::new();
    let catalog = world.open();
    world.share(&catalog).await;
    let (told, zone_began) = channel();
    world.zone_faults.visit(Point::CatalogSync, move || told.send(()).unwrap());
    let zone_began = parking_lot::Mutex::new(zone_began);
    // One after the other would never come to the second.
    world.home_faults.visit(Point::CatalogSync, move || {
        zone_began.lock().recv_timeout(Duration::from_secs(20)).unwrap();
    });
    catalog.commit(put("a", "1")).await.unwrap();
    world.home_faults.clear();
    world.zone_faults.clear();
}

#[tokio::test]
async fn a_copy_that_fails_is_left_behind_once_that_is_recorded() {
    for (point, fault) in [
        (Point::CatalogSync, Fault::Io),
        (Point::CatalogWrite, Fault::Io),
        (Point::CatalogWrite, Fault::NoSpace),
    ] {
        let world = World::new();
        let catalog = world.open();
        catalog.commit(put("a", "1")).await.unwrap();
        world.share(&catalog).await;
        let both = world.home_says();
        assert_eq!((both.role, both.zone.as_str()), (Role::Both, "b"));
        world.zone_faults.arm(point, fault, 0, 1);
        catalog.commit(put("a", "2")).await.unwrap();
        let alone = world.home_says();
        assert_eq!((alone.role, alone.epoch), (Role::Alone, both.epoch + 1));
        let status = catalog.copy_status();
        assert!(
            status.state == CopyState::Alone && status.reason.is_some() && status.parted == 1,
            "{status:?}"
        );
        assert_eq!(Membership::read(&world.place().dir).unwrap().unwrap(), both, "it knows of nothing newer");
        catalog.commit(put("b", "3")).await.unwrap();
        catalog.close();
        drop(catalog);
        // With the zone away or back, it goes on unasked.
        world.mv("b", "away");
        let catalog = world.open();
        catalog.commit(put("c", "4")).await.unwrap();
        catalog.close();
        drop(catalog);
        world.mv("away", "b");
        let catalog = world.open();
        world.share(&catalog).await;
        catalog.commit(put("d", "5")).await.unwrap();
        catalog.close();
        assert_eq!(world.in_zone().await, map(&[("a", "2"), ("b", "3"), ("c", "4"), ("d", "5")]));
    }
}

#[tokio::test]
async fn going_alone_that_can_not_be_recorded_answers_nobody() {
    let world = World::new();
    let catalog = world.open();
    world.share(&catalog).await;
    std::fs::create_dir(world.path("home/catalog/membership.new")).unwrap();
    world.zone_faults.arm(Point::CatalogSync, Fault::Io, 0, 1);
    let outcome = catalog.commit(put("a", "1")).await;
    assert!(matches!(outcome, Err(Error::Unknown { .. })), "{outcome:?}");
    refused(&catalog, "restart firn").await;
    assert_eq!(world.home_says().role, Role::Both);
    drop(catalog);
    std::fs::remove_dir(world.path("home/catalog/membership.new")).unwrap();
    // It was written here and there: the start finds it, and both have it.
    let catalog = world.open();
    assert_eq!((all(&catalog).await, catalog.copy_status().state), (map(&[("a", "1")]), CopyState::Both));
    drop(catalog);
    assert_eq!(world.in_zone().await, map(&[("a", "1")]));
}

#[tokio::test]
async fn a_disk_that_does_not_answer_is_given_up_after_a_while() {
    let world = World { patience: Duration::from_secs(2), ..World::new() };
    let catalog = world.open();
    world.share(&catalog).await;
    let (release, held) = channel::<()>();
    let held = parking_lot::Mutex::new(held);
    world.zone_faults.visit(Point::CatalogSync, move || {
        let _released = held.lock().recv();
    });
    catalog.commit(put("a", "1")).await.unwrap();
    assert_eq!(catalog.copy_status().state, CopyState::Alone);
    assert_eq!(world.home_says().role, Role::Alone);
    catalog.commit(put("a", "2")).await.unwrap();
    // What hangs may still come to its end, in the place of what comes after it: until then nothing does.
    let early = world.worker(&catalog).make(world.place()).await.unwrap_err();
    assert!(matches!(early, Error::InUse { .. }), "{early}");
    drop(release);
    world.zone_faults.clear();
    world.share(&catalog).await;
    drop(catalog);
    assert_eq!(world.in_zone().await, map(&[("a", "2")]));
}

#[tokio::test]
async fn a_lost_directory_comes_back_from_the_zone() {
    let world = World::new();
    let catalog = world.open();
    for n in 0..50 {
        catalog.commit(put(&n.to_string(), "before")).await.unwrap();
    }
    world.share(&catalog).await;
    let mut last = 0;
    for n in 25..75 {
        last = catalog.commit(put(&n.to_string(), "after")).await.unwrap();
    }
    let here = all(&catalog).await;
    drop(catalog);
    let restored = world.restore().unwrap();
    assert_eq!((restored.zone.as_str(), restored.epoch, restored.version), ("b", 2, last));
    assert!((50..last).contains(&restored.base_version), "{restored:?}");
    assert_eq!(restored.attached, ATTACHED.map(|name| (name.to_owned(), name.as_bytes().to_vec())));
    let again = world.restore_at("home");
    assert!(matches!(again, Err(Error::Invalid(_))), "{again:?}");
    // Nobody knows whether the lost one went on alone.
    let catalog = world.open();
    assert_eq!(all(&catalog).await, here);
    refused(&catalog, "(epoch 2)").await;
    refused(&catalog, "--accept-loss").await;
    assert!(catalog.read_only().is_some());
    let next = world.worker(&catalog).tick().await;
    assert!(matches!(next, Ok(Progress::Idle { .. })), "nothing is copied from it: {next:?}");
    drop(catalog);
    let catalog = world.try_open(true).unwrap();
    assert_eq!(all(&catalog).await, here);
    assert_eq!(catalog.commit(put("new", "1")).await.unwrap(), last + 1);
    assert_eq!(
        (world.home_says().epoch, catalog.copy_status().state),
        (3, CopyState::Both),
        "the zone goes on with it"
    );
    drop(catalog);
    let catalog = world.open();
    assert_eq!((catalog.copy_status().epoch, catalog.read_only()), (4, None));
    assert_eq!(all(&catalog).await.len(), here.len() + 1);
}

#[tokio::test]
async fn small_files_that_change_are_brought_up_to_date_and_missing_ones_stay() {
    let world = World::new();
    let catalog = world.open();
    world.share(&catalog).await;
    std::fs::write(world.path("home/key"), "another").unwrap();
    std::fs::remove_file(world.path("home/deep/key")).unwrap();
    assert!(matches!(world.worker(&catalog).tick().await.unwrap(), Progress::Idle { .. }));
    let found = world.copy().attachments(&attached()).unwrap();
    let found: Vec<(&str, &[u8])> = found.iter().map(|(name, bytes)| (name.as_str(), &**bytes)).collect();
    assert_eq!(found, [("marker", &b"marker"[..]), ("key", b"another"), ("deep/key", b"deep/key")]);
}

#[tokio::test]
async fn the_base_is_renewed_when_the_log_has_grown_and_copies_what_changed() {
    let world = World::new();
    let catalog = world.open();
    world.share(&catalog).await;
    let first = world.copy().newest_base().unwrap().0;
    let large = "x".repeat(60 << 10);
    let mut grown = 0;
    for round in 0.. {
        let mut commit = Commit::new(HERE, 0);
        for n in 0..60 {
            let key = TABLE.key(format!("{round}-{n}").into_bytes());
            commit.writes.push(Write::Put(key, Bytes::copy_from_slice(large.as_bytes())));
        }
        commit.durability = Durability::Synced;
        catalog.commit(commit).await.unwrap();
        grown = reached(&world.copy()).unwrap().files.len();
        if matches!(world.worker(&catalog).tick().await.unwrap(), Progress::More { done: 1 }) {
            break;
        }
        assert!(round < 40, "{grown} files");
    }
    assert!(grown >= 8, "{grown} files");
    let bases = world.copy().bases().unwrap();
    assert!(bases.len() == 1 && bases[0].0 > first, "{bases:?}");
    assert_eq!(catalog.copy_status().base_version, Some(bases[0].0));
    let last = catalog.commit(put("a", "1")).await.unwrap();
    catalog.close();
    drop(catalog);
    let held = reached(&world.copy()).unwrap();
    assert!(held.files.len() < grown, "{} files", held.files.len());
    assert_eq!((held.base, held.version), (bases[0].0, last));
    assert_eq!(world.restore().unwrap().version, last);
}

#[tokio::test]
async fn a_zone_that_is_not_to_have_it_keeps_nothing_of_it() {
    let world = World::new();
    let catalog = world.open();
    world.share(&catalog).await;
    let nowhere = Arc::new(|_: Option<&str>| None);
    let mut worker = CopyWorker::new(Arc::clone(&catalog), world.files(), nowhere);
    worker.tick().await.unwrap();
    // The thread that wrote there may not have ended yet.
    while !worker.unclear.is_empty() {
        assert!(matches!(worker.tick().await.unwrap(), Progress::Idle { .. }));
    }
    assert_eq!((catalog.copy_status().state, world.home_says().role), (CopyState::Alone, Role::Alone));
    let left: Vec<_> =
        std::fs::read_dir(world.place().dir).unwrap().map(|one| one.unwrap().file_name()).collect();
    assert_eq!(left, ["lock"], "keys lay there");
    assert!(matches!(worker.tick().await.unwrap(), Progress::Idle { .. }));
    catalog.commit(put("a", "1")).await.unwrap();
    drop((catalog, worker));
    world.mv("b", "away");
    world.open().commit(put("a", "2")).await.unwrap();
}

#[tokio::test]
async fn a_zone_without_room_is_parted_from_before_its_disk_is_full_and_emptied() {
    let mut world = World::new();
    let catalog = world.open();
    world.share(&catalog).await;
    drop(catalog);
    world.keep_free = u64::MAX / 4;
    let catalog = world.open();
    assert_eq!(catalog.copy_status().state, CopyState::Both);
    let large = "x".repeat(60 << 10);
    for n in 0..120 {
        catalog.commit(put(&(n % 9).to_string(), &large)).await.unwrap();
    }
    let status = catalog.copy_status();
    assert_eq!(status.state, CopyState::Alone);
    assert!(status.reason.is_some_and(|why| why.contains("disk is full")));
    let refused = world.make(&catalog).await;
    assert!(matches!(refused, Err(Error::Full { .. })), "{refused:?}");
    let left: Vec<_> =
        std::fs::read_dir(world.place().dir).unwrap().map(|one| one.unwrap().file_name()).collect();
    assert_eq!(left, ["lock"], "the room is for bodies");
    drop(catalog);
    world.keep_free = 0;
    let catalog = world.open();
    world.share(&catalog).await;
    let here = all(&catalog).await;
    drop(catalog);
    assert!(world.in_zone().await == here && here.len() == 9);
}
