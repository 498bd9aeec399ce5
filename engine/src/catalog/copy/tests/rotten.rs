//! What has rotted on one disk, or is not there, never takes the place of what is good on the other.

use super::{
    Arc, CopyDir, CopyState, CopyWorker, Disk, Membership, Place, World, all, attached, map, put, refused,
    restore,
};
use crate::Error;
use crate::catalog::copy::Wanted;
use crate::catalog::{Catalog, RocksCatalog};
use crate::small_files::{Opens, SmallFiles};
use crate::worker::{Progress, Worker};
use std::fs;
use std::path::PathBuf;

const MARK: &str = "zone.json";

impl World {
    /// One whose zone's disk has its mark.
    fn marked() -> Self {
        let world = Self::new();
        fs::write(world.path("b").join(MARK), "zone b").unwrap();
        Self { disk: Disk::of(&world.path("b"), &[MARK]), ..world }
    }

    /// The zone's disk is gone from where it was, and its mount point is left.
    fn unmount(&self) {
        self.mv("b", "disk");
        fs::create_dir(self.path("b")).unwrap();
    }

    fn mount(&self) {
        fs::remove_dir(self.path("b")).unwrap();
        self.mv("disk", "b");
    }

    fn lies_in(&self, name: &str) -> Vec<PathBuf> {
        fs::read_dir(self.path(name)).unwrap().map(|entry| entry.unwrap().path()).collect()
    }
}

#[tokio::test]
async fn a_small_file_that_rots_never_takes_the_place_of_a_good_one() {
    let world = World::new();
    let catalog = world.open();
    let reads = |name: &str, bytes: &[u8]| {
        if bytes.starts_with(name.as_bytes()) { Ok(()) } else { Err("it is another".to_owned()) }
    };
    let files =
        SmallFiles::of_open(world.path("home"), (attached(), &["marker"]), Box::new(reads), Vec::new());
    let place = world.place();
    let wanted: Wanted = Arc::new(move |_: Option<&str>| Some(place.clone()));
    let mut worker = CopyWorker::new(Arc::clone(&catalog), Arc::new(files), wanted);
    assert_eq!(worker.tick().await.unwrap(), Progress::More { done: 1 });
    let there = |name: &str| fs::read(world.copy().attached().join(name)).unwrap();
    let write = |name: &str, bytes: &[u8]| fs::write(world.path("home").join(name), bytes).unwrap();
    for rotten in [&b"kex"[..], b"", &[0; 3]] {
        for name in ["key", "marker", "deep/key"] {
            write(name, rotten);
        }
        assert!(matches!(worker.tick().await.unwrap(), Progress::Idle { .. }));
        for name in ["key", "marker", "deep/key"] {
            assert_eq!(there(name), name.as_bytes(), "{rotten:?}");
        }
    }
    // What may change does, once it is right.
    write("marker", b"marker 2");
    assert!(matches!(worker.tick().await.unwrap(), Progress::Idle { .. }));
    assert_eq!(there("marker"), b"marker 2");
    // And what rots in the zone is made good again.
    fs::write(world.copy().attached().join("key"), "kex").unwrap();
    assert!(matches!(worker.tick().await.unwrap(), Progress::Idle { .. }));
    assert_eq!((there("key"), catalog.copy_status().state), (b"key".to_vec(), CopyState::Both));
}

#[tokio::test]
async fn a_copy_is_not_made_without_a_small_file_that_can_not_be_vouched_for() {
    let world = World::new();
    let catalog = world.open();
    fs::write(world.path("home/key"), [0; 3]).unwrap();
    let error = world.worker(&catalog).make(world.place()).await.unwrap_err();
    assert!(matches!(error, Error::Corrupt { .. }), "{error}");
    assert!(Membership::read(&world.place().dir).unwrap().is_none());
    fs::write(world.path("home/key"), "key").unwrap();
    world.share(&catalog).await;
}

#[tokio::test]
async fn nothing_is_made_of_a_copy_that_its_keys_do_not_open() {
    let world = World::new();
    let catalog = world.open();
    catalog.commit(put("a", "1")).await.unwrap();
    world.share(&catalog).await;
    drop(catalog);
    fs::create_dir(world.path("made")).unwrap();
    let made = |opens: Opens| {
        let into = world.path("made/catalog");
        restore(&world.place().dir, &into, (&attached(), Some(&opens)), world.options(false))
    };
    let error = made(Arc::new(|catalog, files| {
        assert!(catalog.synced() > 0 && files.iter().any(|(name, bytes)| name == "key" && bytes == b"key"));
        Err(Error::Corrupt {
            what: "master key".to_owned(),
            detail: "its checksum does not match".to_owned(),
        })
    }));
    assert!(matches!(error, Err(Error::Corrupt { .. })), "{error:?}");
    assert!(world.lies_in("made").is_empty(), "nothing is left of it");
    made(Arc::new(|_, _| Ok(()))).unwrap();
    assert!(world.path("made/catalog").is_dir());
}

#[tokio::test]
async fn an_empty_mount_point_is_a_zone_that_is_away() {
    let world = World::marked();
    let catalog = world.open();
    catalog.commit(put("a", "1")).await.unwrap();
    let mut worker = world.worker(&catalog);
    assert_eq!(worker.tick().await.unwrap(), Progress::More { done: 1 });
    let copy = catalog.copy_status();
    assert!(copy.state == CopyState::Both && copy.absent.is_empty() && copy.uncleared == ["b"], "{copy:?}");
    world.unmount();
    assert_eq!(worker.tick().await.unwrap(), Progress::More { done: 0 });
    let alone = catalog.copy_status();
    assert!(alone.state == CopyState::Alone && alone.absent == ["b"], "{alone:?}");
    catalog.commit(put("b", "2")).await.unwrap();
    let error = world.worker(&catalog).make(world.place()).await.unwrap_err();
    assert!(matches!(error, Error::ZoneAway { .. }), "{error}");
    assert!(world.lies_in("b").is_empty(), "on whatever disk the mount point is");
    drop((worker, catalog));
    // Nor does a start make anything there, and with the disk back nothing is asked.
    let catalog = world.open();
    let error = world.worker(&catalog).make(world.place()).await.unwrap_err();
    assert!(matches!(error, Error::ZoneAway { .. }), "{error}");
    assert!(world.lies_in("b").is_empty());
    world.mount();
    let mut worker = world.worker(&catalog);
    loop {
        match worker.tick().await {
            Err(Error::InUse { .. }) => std::thread::yield_now(),
            made => break assert_eq!(made.unwrap(), Progress::More { done: 1 }),
        }
    }
    assert!(catalog.copy_status().absent.is_empty() && catalog.copy_status().state == CopyState::Both);
    drop((worker, catalog));
    assert_eq!(world.in_zone().await, map(&[("a", "1"), ("b", "2")]));
}

#[tokio::test]
async fn a_zone_whose_disk_is_not_the_one_is_not_started_from_and_not_written_to() {
    let world = World::marked();
    let catalog = world.open();
    world.share(&catalog).await;
    drop(catalog);
    // Another disk, with an image of the copy and without the mark.
    fs::remove_file(world.path("b").join(MARK)).unwrap();
    let catalog = world.open();
    refused(&catalog, "its disks are not there").await;
    drop(catalog);
    fs::write(world.path("b").join(MARK), "zone b").unwrap();
    let catalog = world.open();
    assert_eq!(catalog.copy_status().state, CopyState::Both);
}

#[tokio::test]
async fn a_zone_that_is_unmounted_is_not_clear_before_its_small_files_are_gone() {
    let world = World::marked();
    fs::create_dir(world.path("c")).unwrap();
    let mut options = world.options(false);
    let other = Place::new("c".to_owned(), world.path("c/catalog"));
    options.copy.places.push(other.clone());
    let catalog = RocksCatalog::open(world.path("home/catalog"), options).unwrap();
    world.share(&catalog).await;
    let wanted: Wanted = Arc::new(move |_: Option<&str>| Some(other.clone()));
    let mut worker = CopyWorker::new(Arc::clone(&catalog), world.files(), wanted);
    let key = world.copy().attached().join("key");
    let on_disk = world.path("disk").join(key.strip_prefix(world.path("b")).unwrap());
    // It is to leave, and its disk is away.
    world.unmount();
    assert_eq!(worker.tick().await.unwrap(), Progress::More { done: 0 });
    // What was told to the disk that is away has to come to its end first.
    loop {
        match worker.make(Place::new("c".to_owned(), world.path("c/catalog"))).await {
            Err(Error::Invalid(why)) if why.contains("not come to its end") => std::thread::yield_now(),
            made => break assert_eq!(made.unwrap(), Progress::More { done: 1 }),
        }
    }
    for _ in 0..3 {
        assert!(matches!(worker.tick().await.unwrap(), Progress::Idle { .. }));
        let status = catalog.copy_status();
        assert_eq!((status.leaving.as_deref(), status.zone.as_deref()), (Some("b"), Some("c")));
        assert!(status.uncleared == ["b"] && status.absent == ["b"] && on_disk.exists(), "{status:?}");
    }
    assert!(world.lies_in("b").is_empty());
    world.mount();
    // The thread that was given up may still have it.
    while !catalog.copy_status().uncleared.is_empty() {
        assert!(matches!(worker.tick().await.unwrap(), Progress::Idle { .. }));
    }
    let status = catalog.copy_status();
    assert!(
        status.leaving.is_none() && status.uncleared.is_empty() && status.absent.is_empty(),
        "{status:?}"
    );
    assert!(!key.exists() && world.place().dir.join("lock").exists());
}

/// The largest file of rows with this ending.
fn largest(world: &World, ending: &str) -> PathBuf {
    let rows = fs::read_dir(world.path("home/catalog/rows")).unwrap();
    let of_kind = rows
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|is| is == ending));
    of_kind.max_by_key(|path| fs::metadata(path).unwrap().len()).unwrap()
}

fn noise(seed: u32) -> String {
    let mut state = seed.wrapping_mul(2_654_435_761).max(1);
    let step = |_| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        char::from(b'a' + u8::try_from(state % 26).unwrap())
    };
    (0..700).map(step).collect()
}

#[tokio::test]
async fn tables_that_have_rotted_become_no_base_and_are_told() {
    for ending in ["sst", "blob"] {
        let world = World::new();
        let catalog = world.open();
        for n in 0..100 {
            catalog.commit(put(&n.to_string(), &noise(n))).await.unwrap();
        }
        // All that there is becomes a file.
        catalog.checkpoint(&world.path("flushed")).unwrap();
        drop(catalog);
        let rotten = largest(&world, ending);
        let sound = fs::read(&rotten).unwrap();
        let mut bytes = sound.clone();
        let middle = bytes.len() / 3;
        bytes[middle..middle + 64].fill(0x5a);
        fs::write(&rotten, bytes).unwrap();
        let catalog = world.open();
        assert_eq!(catalog.rot(), None, "{ending}");
        let error = world.worker(&catalog).make(world.place()).await.unwrap_err();
        assert!(matches!(error, Error::Corrupt { .. }), "{ending}: {error}");
        assert_eq!(catalog.copy_status().state, CopyState::Alone);
        assert!(catalog.rot().is_some(), "{ending}");
        assert!(Membership::read(&world.place().dir).unwrap().is_none(), "{ending}");
        drop(catalog);
        // A read that meets it tells it, too.
        let catalog = world.open();
        let snapshot = catalog.snapshot(super::HERE).await.unwrap();
        let mut met = None;
        for n in 0..100 {
            let table = if ending == "sst" { super::TABLE } else { super::BODIES };
            met = met.or(snapshot.get(table.key(n.to_string().into_bytes())).await.err());
        }
        assert!(matches!(met, Some(Error::Corrupt { .. })) && catalog.rot().is_some(), "{ending}: {met:?}");
        drop(snapshot);
        drop(catalog);
        fs::write(&rotten, sound).unwrap();
        let catalog = world.open();
        world.share(&catalog).await;
        assert_eq!((catalog.rot(), all(&catalog).await.len()), (None, 100));
    }
}

#[tokio::test]
async fn a_sound_base_stays_where_the_next_one_would_be_rotten() {
    let world = World::new();
    let catalog = world.open();
    catalog.commit(put("a", "1")).await.unwrap();
    world.share(&catalog).await;
    let base = world.copy().newest_base().unwrap();
    for n in 0..100 {
        catalog.commit(put(&n.to_string(), &noise(n))).await.unwrap();
    }
    catalog.checkpoint(&world.path("flushed")).unwrap();
    let rotten = largest(&world, "sst");
    let sound = fs::read(&rotten).unwrap();
    let mut bytes = sound.clone();
    let middle = bytes.len() / 3;
    bytes[middle..middle + 64].fill(0x5a);
    // In place: what is open, and the next checkpoint, are of this file.
    fs::write(&rotten, bytes).unwrap();
    let error = world.worker(&catalog).put_base(&world.place(), &world.copy()).await.unwrap_err();
    assert!(matches!(error, Error::Corrupt { .. }) && catalog.rot().is_some(), "{error}");
    let status = catalog.copy_status();
    assert_eq!((status.state, status.base_version), (CopyState::Both, Some(base.0)));
    let copy: CopyDir = world.copy();
    assert_eq!(copy.newest_base().unwrap(), base);
    drop(catalog);
    // The zone's base and its log have all of it.
    assert_eq!(world.in_zone().await.len(), 101);
}
