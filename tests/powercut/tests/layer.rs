//! The layer passes a directory through, and really loses, tears and keeps what it says.

#![expect(clippy::unwrap_used, reason = "a step that fails fails the test")]

use powercut::{Discipline, FileKind, PowerCut, Seeded};
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A backing directory and a mountpoint, and whether this machine can mount at all.
struct World {
    _dirs: tempfile::TempDir,
    backing: PathBuf,
    mountpoint: PathBuf,
}

impl World {
    fn new() -> Option<Self> {
        if let Err(missing) = powercut::available() {
            // The one thing that a test says when it can't run; CI installs what is missing.
            let _unwritable = writeln!(std::io::stdout(), "SKIPPED power cuts and mounts: cannot {missing}");
            return None;
        }
        let dirs = tempfile::tempdir().unwrap();
        let (backing, mountpoint) = (dirs.path().join("backing"), dirs.path().join("mnt"));
        fs::create_dir(&backing).unwrap();
        fs::create_dir(&mountpoint).unwrap();
        Some(Self { _dirs: dirs, backing, mountpoint })
    }

    fn mount(&self, seed: u64, discipline: Discipline) -> PowerCut {
        PowerCut::mount_with(&self.backing, &self.mountpoint, seed, discipline).unwrap()
    }

    fn at(&self, name: &str) -> PathBuf {
        self.mountpoint.join(name)
    }

    /// What the backing directory holds under a name once unmounted.
    fn survivor(&self, name: &str) -> Option<Vec<u8>> {
        fs::read(self.backing.join(name)).ok()
    }
}

fn sync_dir(path: &Path) {
    File::open(path).unwrap().sync_all().unwrap();
}

#[test]
fn passes_a_directory_through_and_lays_it_out_at_unmount() {
    let Some(world) = World::new() else { return };
    fs::create_dir(world.backing.join("old")).unwrap();
    fs::write(world.backing.join("old/kept"), b"before the mount").unwrap();
    let layer = world.mount(1, Discipline::Strict);
    assert_eq!(fs::read(world.at("old/kept")).unwrap(), b"before the mount");
    fs::create_dir(world.at("new")).unwrap();
    fs::write(world.at("new/a"), b"a").unwrap();
    fs::set_permissions(world.at("new/a"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::hard_link(world.at("new/a"), world.at("new/b")).unwrap();
    fs::rename(world.at("new/a"), world.at("old/a")).unwrap();
    fs::copy(world.at("old/kept"), world.at("copied")).unwrap();
    std::os::unix::fs::symlink("copied", world.at("pointer")).unwrap();
    fs::write(world.at("doomed"), b"x").unwrap();
    fs::remove_file(world.at("doomed")).unwrap();
    assert!(fs::remove_dir(world.at("new")).is_err(), "a directory with entries stays");
    assert_eq!(fs::create_dir(world.at("new")).unwrap_err().kind(), std::io::ErrorKind::AlreadyExists);
    layer.unmount().unwrap();
    assert_eq!(world.survivor("old/kept").unwrap(), b"before the mount");
    assert_eq!(world.survivor("old/a").unwrap(), b"a");
    assert_eq!(world.survivor("new/b").unwrap(), b"a");
    assert_eq!(world.survivor("pointer").unwrap(), b"before the mount");
    assert_eq!(world.survivor("doomed"), None);
    assert_eq!(fs::metadata(world.backing.join("old/a")).unwrap().permissions().mode() & 0o777, 0o600);
    let names: Vec<_> = fs::read_dir(&world.backing).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names.len(), 4, "{names:?}");
}

#[test]
fn answers_nothing_after_a_cut() {
    let Some(world) = World::new() else { return };
    let layer = world.mount(2, Discipline::Ordered);
    let mut file = File::create(world.at("f")).unwrap();
    layer.cut().unwrap();
    assert_eq!(file.write(b"late").unwrap_err().raw_os_error(), Some(5));
    assert_eq!(file.sync_all().unwrap_err().raw_os_error(), Some(5));
    assert_eq!(fs::read_dir(&world.mountpoint).unwrap_err().raw_os_error(), Some(5));
    drop(file);
    layer.unmount().unwrap();
}

/// A careful writer (sync the file, then its directory) is never hurt; one that forgets to sync is, soon.
#[test]
fn what_is_synced_survives_every_cut_and_what_is_not_is_lost_in_some() {
    let Some(world) = World::new() else { return };
    let (mut lost, mut torn, mut kept) = (0, 0, 0);
    for seed in 0..60 {
        let discipline = if seed % 2 == 0 { Discipline::Strict } else { Discipline::Ordered };
        let layer = world.mount(seed, discipline);
        let careful = format!("careful-{seed}");
        let mut file = File::create(world.at(&careful)).unwrap();
        file.write_all(&[7; 5000]).unwrap();
        file.sync_data().unwrap();
        let careless = format!("careless-{seed}");
        fs::write(world.at(&careless), [9; 5000]).unwrap();
        drop(file);
        let report = layer.cut().unwrap();
        assert_eq!(report.data_at_stake, 1, "only the careless write was unsynced");
        layer.unmount().unwrap();
        assert_eq!(world.survivor(&careful).unwrap(), [7; 5000], "seed {seed}");
        match world.survivor(&careless) {
            Some(bytes) if bytes == [9; 5000] => kept += 1,
            None => lost += 1,
            Some(bytes) => {
                assert!(bytes.len() <= 5000 && bytes.iter().all(|byte| [0, 9].contains(byte)));
                torn += 1;
            }
        }
    }
    assert!(lost > 5 && torn > 5 && kept > 0, "{lost} lost, {torn} torn, {kept} kept");
}

/// Overwrites of synced bytes: each sector is old or new, and both occur within one file.
#[test]
fn overwrites_are_torn_at_sectors() {
    let Some(world) = World::new() else { return };
    let mut mixed = 0;
    for seed in 0..40 {
        let layer = world.mount(seed, Discipline::Ordered);
        let file = OpenOptions::new().create(true).truncate(true).write(true).open(world.at("f")).unwrap();
        file.write_all_at(&[1; 16 * 512], 0).unwrap();
        file.sync_all().unwrap();
        file.write_all_at(&[2; 16 * 512], 0).unwrap();
        drop(file);
        layer.cut().unwrap();
        layer.unmount().unwrap();
        let bytes = world.survivor("f").unwrap();
        assert_eq!(bytes.len(), 16 * 512);
        for sector in bytes.chunks(512) {
            assert!(sector.iter().all(|byte| *byte == sector[0]), "seed {seed}: a sector is torn inside");
        }
        mixed += usize::from(bytes.contains(&1) && bytes.contains(&2));
    }
    assert!(mixed > 3, "{mixed} of 40 cuts tore the file");
}

/// The classic: write a new file, rename it over the old one. Without a sync of the file, some cut shows neither.
#[test]
fn a_rename_without_a_sync_is_caught() {
    let Some(world) = World::new() else { return };
    let (mut broken_careless, mut broken_careful) = (0, 0);
    for seed in 0..60 {
        for (name, syncs) in [("careless", false), ("careful", true)] {
            fs::write(world.backing.join(name), b"old").unwrap();
            let layer = world.mount(seed, Discipline::Ordered);
            let mut file = File::create(world.at("tmp")).unwrap();
            file.write_all(b"new").unwrap();
            if syncs {
                file.sync_all().unwrap();
            }
            drop(file);
            fs::rename(world.at("tmp"), world.at(name)).unwrap();
            layer.cut().unwrap();
            layer.unmount().unwrap();
            let whole = matches!(world.survivor(name).as_deref(), Some(b"old" | b"new"));
            if syncs {
                broken_careful += usize::from(!whole);
            } else {
                broken_careless += usize::from(!whole);
            }
        }
    }
    assert_eq!(broken_careful, 0);
    assert!(broken_careless > 3, "{broken_careless}");
}

#[test]
fn names_need_a_sync_of_their_directory() {
    let Some(world) = World::new() else { return };
    let (mut renamed, mut resurrected) = (0, 0);
    for seed in 0..40 {
        fs::write(world.backing.join("a"), b"a").unwrap();
        fs::write(world.backing.join("gone"), b"gone").unwrap();
        let layer = world.mount(seed, Discipline::Strict);
        fs::create_dir(world.at("dir")).unwrap();
        fs::write(world.at("dir/x"), b"x").unwrap();
        sync_dir(&world.at("dir"));
        fs::rename(world.at("a"), world.at("b")).unwrap();
        fs::remove_file(world.at("gone")).unwrap();
        layer.cut().unwrap();
        layer.unmount().unwrap();
        let (a, b) = (world.survivor("a"), world.survivor("b"));
        assert!(a.is_some() != b.is_some(), "seed {seed}: a rename is one step");
        assert!(world.survivor("dir/x").is_some(), "seed {seed}: the directory was synced");
        renamed += usize::from(b.is_some());
        resurrected += usize::from(world.survivor("gone").is_some());
        fs::remove_dir_all(world.backing.join("dir")).unwrap();
        let _either = (fs::remove_file(world.backing.join("b")), fs::remove_file(world.backing.join("a")));
    }
    assert!((4..36).contains(&renamed) && (4..36).contains(&resurrected), "{renamed} {resurrected}");
}

#[test]
fn the_same_seed_makes_the_same_cut() {
    let Some(world) = World::new() else { return };
    let run = |seed| {
        let layer = world.mount(seed, Discipline::Strict);
        let file = File::create(world.at("f")).unwrap();
        let mut chance = Seeded::new(99);
        for _ in 0..50 {
            let mut bytes = vec![0; chance.index(3000) + 1];
            chance.fill(&mut bytes);
            file.write_all_at(&bytes, chance.below(20_000)).unwrap();
        }
        drop(file);
        let report = layer.cut().unwrap();
        layer.unmount().unwrap();
        let bytes = world.survivor("f");
        let _maybe = fs::remove_file(world.backing.join("f"));
        (report, bytes)
    };
    assert_eq!(run(7), run(7));
    assert!((0..8).any(|seed| run(seed) != run(7)));
}

#[test]
fn cuts_by_itself_after_so_many_operations() {
    let Some(world) = World::new() else { return };
    let layer = world.mount(3, Discipline::Ordered);
    let file = File::create(world.at("f")).unwrap();
    layer.cut_after(10);
    let written = (0..100).take_while(|n| file.write_all_at(b"x", *n).is_ok()).count();
    assert_eq!(written, 10);
    assert!(layer.wait_for_cut(Duration::from_secs(10)));
    drop(file);
    layer.unmount().unwrap();
}

#[test]
fn who_does_not_let_go_of_the_mount_is_not_waited_for_without_end() {
    let Some(world) = World::new() else { return };
    let layer = world.mount(4, Discipline::Strict);
    let stray = File::create(world.at("held")).unwrap();
    layer.cut().unwrap();
    let error = layer.unmount_within(Duration::ZERO).unwrap_err();
    assert!(error.to_string().starts_with(&format!("unmount {}", world.mountpoint.display())), "{error}");
    drop(stray);
}

#[test]
fn counts_syncs_by_kind_and_sync_file_range_for_nothing() {
    let Some(world) = World::new() else { return };
    let layer = world.mount(4, Discipline::Ordered);
    let segment = File::create(world.at("0001.seg")).unwrap();
    segment.write_all_at(&[1; 4096], 0).unwrap();
    segment.sync_data().unwrap();
    let log = File::create(world.at("000004.log")).unwrap();
    log.write_all_at(&[1; 4096], 0).unwrap();
    rustix::fs::syncfs(&log).unwrap_or(());
    sync_dir(&world.mountpoint);
    let stats = layer.stats();
    assert_eq!(stats.syncs.get(&FileKind::Segment), Some(&1));
    assert_eq!(stats.syncs.get(&FileKind::Directory), Some(&1));
    assert_eq!(stats.syncs.get(&FileKind::Log), None);
    drop((segment, log));
    assert_eq!(layer.cut().unwrap().data_at_stake, 1, "the log's write is still at stake");
    layer.unmount().unwrap();
}

#[test]
fn truncation_and_allocation_are_changes() {
    let Some(world) = World::new() else { return };
    let mut lengths = std::collections::BTreeSet::new();
    for seed in 0..40 {
        fs::write(world.backing.join("f"), [5; 8192]).unwrap();
        let layer = world.mount(seed, Discipline::Strict);
        let mut file = OpenOptions::new().read(true).write(true).open(world.at("f")).unwrap();
        file.set_len(1000).unwrap();
        rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, 4096).unwrap();
        file.seek(SeekFrom::Start(0)).unwrap();
        let mut seen = Vec::new();
        file.read_to_end(&mut seen).unwrap();
        assert_eq!(seen, [vec![5; 1000], vec![0; 3096]].concat());
        drop(file);
        layer.cut().unwrap();
        layer.unmount().unwrap();
        let bytes = world.survivor("f").unwrap();
        assert!(bytes[..1000].iter().all(|byte| *byte == 5));
        lengths.insert(bytes.len());
    }
    assert_eq!(lengths.into_iter().collect::<Vec<_>>(), [1000, 4096, 8192]);
}
