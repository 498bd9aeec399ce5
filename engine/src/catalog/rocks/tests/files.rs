//! The log's files: bounded, made ahead, and refused room.

use super::{BODIES, HERE, TABLE, clock, files, get, open, options, put};
use crate::catalog::log::files::FIRST_BYTES;
use crate::catalog::rocks::RocksCatalog;
use crate::catalog::rocks::sequencer::NEEDED_FILES_MAX;
use crate::catalog::{Catalog, Commit, LogPlace, Write};
use crate::fault::{Fault, Faults, Point};
use crate::{Error, Result};
use bytes::Bytes;
use std::path::Path;
use std::sync::Arc;

fn held(dir: &Path) -> usize {
    files(&dir.join("log"), &[".log"]).len()
}

/// One MiB of rows.
async fn fill(catalog: &RocksCatalog, n: u32) -> Result<()> {
    let value = Bytes::from(vec![3; 60 << 10]);
    let row = |m: u32| Write::Put(BODIES.key((n * 100 + m).to_be_bytes().to_vec()), value.clone());
    let writes = (0..17).map(row).collect();
    catalog.commit(Commit { writes, ..Commit::new(HERE, 0) }).await.map(drop)
}

/// Fills it until a commit fails: how many went, and why. Some of the first `max` fail.
async fn fill_until_refused(catalog: &RocksCatalog, from: u32, max: u32) -> (u32, Error) {
    for n in from..max {
        if let Err(error) = fill(catalog, n).await {
            return (n, error);
        }
    }
    panic!("{max} MiB were taken");
}

#[tokio::test]
async fn reopening_again_and_again_keeps_the_log_bounded() {
    let dir = tempfile::tempdir().unwrap();
    for n in 0..12 {
        let catalog = open(dir.path()).unwrap();
        catalog.commit(put(&n.to_string(), "there")).await.unwrap();
        // One is retained, one is written to; a closing flushes the rows.
        assert!(held(dir.path()) <= 2, "{} files after {n}", held(dir.path()));
    }
    let catalog = open(dir.path()).unwrap();
    for n in 0..12 {
        assert_eq!(get(&catalog, &n.to_string()).await.unwrap().unwrap(), "there");
    }
}

#[tokio::test]
async fn crashing_again_and_again_keeps_the_log_bounded() {
    let Some(disk) = powercut::Disk::new("crashing_again_and_again_keeps_the_log_bounded") else { return };
    for n in 0..12_u32 {
        let layer = disk.mount(n.into(), powercut::Discipline::Ordered);
        let catalog = open(disk.path()).unwrap();
        catalog.commit(put(&n.to_string(), "there")).await.unwrap();
        let held = held(disk.path());
        assert!(held <= NEEDED_FILES_MAX + 1, "{held} files after {n} crashes");
        // The rows in memory are lost: the power goes before they can be flushed.
        layer.cut().unwrap();
        drop(catalog);
        layer.unmount().unwrap();
    }
    let catalog = open(disk.survivors()).unwrap();
    for n in 0..12 {
        assert_eq!(get(&catalog, &n.to_string()).await.unwrap().unwrap(), "there");
    }
}

#[tokio::test]
async fn reopening_without_a_commit_takes_nothing_from_the_backup() {
    let dir = tempfile::tempdir().unwrap();
    let catalog = open(dir.path()).unwrap();
    catalog.commit(put("a", "1")).await.unwrap();
    let shipped = catalog.log_since(LogPlace::after(0), 1000).unwrap().unwrap().0;
    drop(catalog);
    for _ in 0..6 {
        drop(open(dir.path()).unwrap());
    }
    let catalog = open(dir.path()).unwrap();
    assert_eq!(catalog.log_since(LogPlace::after(0), 1000).unwrap().unwrap().0, shipped);
}

#[tokio::test]
async fn zeros_are_written_ahead_and_not_while_a_commit_waits() {
    let dir = tempfile::tempdir().unwrap();
    let catalog = open(dir.path()).unwrap();
    assert_eq!(catalog.counts().zeroed_bytes, FIRST_BYTES, "opening waits for this much");
    for n in 0..30 {
        fill(&catalog, n).await.unwrap();
    }
    let newest = files(&dir.path().join("log"), &[".log"]).pop().unwrap();
    assert!(newest.file_name().unwrap() >= "0000000000000006.log", "30 MiB went through {newest:?}");
    assert_eq!(catalog.counts().zeroed_bytes, FIRST_BYTES);
}

#[tokio::test]
async fn a_disk_without_room_for_the_next_log_file_refuses_and_recovers() {
    let (dir, faults) = (tempfile::tempdir().unwrap(), Arc::new(Faults::default()));
    faults.arm(Point::CatalogAllocate, Fault::NoSpace, 0, u64::MAX);
    let catalog = RocksCatalog::open(dir.path(), options(&clock(), &faults)).unwrap();
    catalog.commit(put("a", "1")).await.unwrap();
    let (n, refused) = fill_until_refused(&catalog, 0, 6).await;
    assert!(matches!(refused, Error::Full { .. }), "{refused:?}");
    assert!(n > 2, "the first file is used as long as there is no other");
    assert!(!dir.path().join("log/spare.tmp").exists(), "what little there is goes to others");
    assert_eq!(get(&catalog, "a").await.unwrap().unwrap(), "1", "reads go on");
    faults.clear();
    fill(&catalog, n).await.expect("there is room again");
    let view = catalog.snapshot(HERE).await.unwrap();
    assert_eq!(view.get(TABLE.key("a")).await.unwrap().unwrap(), "1");
}

#[tokio::test]
async fn a_nearly_full_disk_takes_from_the_reserve_what_says_that_it_frees_space() {
    let dir = tempfile::tempdir().unwrap();
    let disk = rustix::fs::statvfs(dir.path()).unwrap();
    // Half of what should be free is: between the margin and the quarter of it below which nothing goes.
    let reserve_bytes = 2 * disk.f_bavail * disk.f_frsize;
    let options = super::Options { reserve_bytes, ..options(&clock(), &Arc::default()) };
    let catalog = RocksCatalog::open(dir.path(), options).unwrap();
    assert!(matches!(catalog.commit(put("a", "1")).await, Err(Error::Full { .. })));
    catalog
        .commit(put("marker", "1").from_reserve())
        .await
        .expect("it deletes no row, and says what it is for");
    let value = Bytes::from(vec![0; 60 << 10]);
    let large = |n: u8| Write::Put(TABLE.key(vec![n]), value.clone());
    let writes = (0..5).map(large).collect();
    let commit = Commit { writes, ..Commit::new(HERE, 0) }.from_reserve();
    assert!(matches!(catalog.commit(commit).await, Err(Error::Full { .. })), "the reserve is for small rows");
    let writes = vec![Write::Delete(TABLE.key("marker"))];
    catalog.commit(Commit { writes, ..Commit::new(HERE, 0) }).await.expect("deletes go on");
}

#[tokio::test]
async fn the_last_of_the_disk_is_left_to_the_rows_and_not_even_deletes_take_it() {
    let dir = tempfile::tempdir().unwrap();
    let catalog = open(dir.path()).unwrap();
    catalog.commit(put("a", "1")).await.unwrap();
    drop(catalog);
    let disk = rustix::fs::statvfs(dir.path()).unwrap();
    // An eighth of what should be free is: less than the quarter that what was admitted may need to reach the disk.
    let reserve_bytes = 8 * disk.f_bavail * disk.f_frsize;
    let options = super::Options { reserve_bytes, ..options(&clock(), &Arc::default()) };
    let catalog = RocksCatalog::open(dir.path(), options).unwrap();
    let delete = || Commit { writes: vec![Write::Delete(TABLE.key("a"))], ..Commit::new(HERE, 0) };
    for commit in [delete(), delete().from_reserve(), put("b", "1")] {
        assert!(matches!(catalog.commit(commit).await, Err(Error::Full { .. })));
    }
    assert_eq!(get(&catalog, "a").await.unwrap().unwrap(), "1", "reads go on");
}

#[tokio::test]
async fn a_want_of_descriptors_refuses_and_does_not_fence() {
    let (dir, faults) = (tempfile::tempdir().unwrap(), Arc::new(Faults::default()));
    faults.arm(Point::CatalogAllocate, Fault::NoDescriptors, 0, u64::MAX);
    let catalog = RocksCatalog::open(dir.path(), options(&clock(), &faults)).unwrap();
    let (n, refused) = fill_until_refused(&catalog, 0, 6).await;
    assert!(matches!(refused, Error::NoDescriptors { .. }), "{refused:?}");
    faults.clear();
    fill(&catalog, n).await.expect("there are descriptors again");
}

/// The limit is the whole process's, so the test runs in one of its own.
#[tokio::test]
async fn the_log_goes_on_to_its_next_file_without_a_descriptor_to_spare() {
    const TEST: &str = "the_log_goes_on_to_its_next_file_without_a_descriptor_to_spare";
    const ALONE: &str = "FIRN_TEST_WITHOUT_DESCRIPTORS";
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    if std::env::var_os(ALONE).is_none() {
        let run = std::process::Command::new(std::env::current_exe().unwrap())
            .args([&format!("{}::{TEST}", module_path!().split_once("::").unwrap().1), "--exact"])
            .env(ALONE, "1")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&run.stdout);
        assert!(run.status.success() && said.contains("1 passed"), "{said}");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let options = super::Options { memtable_bytes: 64 << 20, ..options(&clock(), &Arc::default()) };
    let catalog = RocksCatalog::open(dir.path(), options).unwrap();
    let mut n = 0;
    // Through the first file, which is followed by one that is whole.
    while n < 6 {
        fill(&catalog, n).await.unwrap();
        n += 1;
    }
    let before = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(3), maximum: before.maximum }).unwrap();
    let (n, refused) = fill_until_refused(&catalog, n, 30).await;
    setrlimit(Resource::Nofile, before).unwrap();
    assert!(matches!(refused, Error::NoDescriptors { .. }), "{refused:?}");
    fill(&catalog, n).await.expect("there are descriptors again");
    assert!(n >= 8, "the spare that was open was not used: {n}");
}
