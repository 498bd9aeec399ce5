//! The durable catalog under the conformance suite, faults, damage, and the backup's hooks.

mod dead;
mod files;
mod forms;
mod layout;
mod model;
mod seen;
mod shipped;

use super::{Options, RocksCatalog};
use crate::catalog::conformance::{self, World};
use crate::catalog::{Catalog, Check, Commit, Durability, Family, LogPlace, Scan, Table, Version, Write};
use crate::clock::{ManualClock, Timestamp};
use crate::entropy::SeededEntropy;
use crate::fault::{Fault, Faults, Point};
use crate::id::{IdempotencyId, PartitionId};
use crate::{Error, Result};
use bytes::Bytes;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

const TABLE: Table = Table { family: Family::Record, tag: 1 };
const COUNTERS: Table = Table { family: Family::Counter, tag: 1 };
const BODIES: Table = Table { family: Family::Body, tag: 1 };
const HERE: PartitionId = PartitionId::from_bytes([7; 8]);

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(Timestamp::from_millis(0)))
}

fn options(clock: &Arc<ManualClock>, faults: &Arc<Faults>) -> Options {
    Options {
        log_file_bytes: 5 << 20,
        log_files_retained: 1,
        reserve_bytes: 0,
        memtable_bytes: 4 << 20,
        ..Options::new(Arc::clone(clock) as _, Arc::new(SeededEntropy::new(1)), Arc::clone(faults))
    }
}

fn open(dir: &Path) -> Result<Arc<RocksCatalog>> {
    RocksCatalog::open(dir, options(&clock(), &Arc::default()))
}

fn put(key: &str, value: &str) -> Commit {
    let write = Write::Put(TABLE.key(key.as_bytes().to_vec()), Bytes::copy_from_slice(value.as_bytes()));
    Commit { writes: vec![write], ..Commit::new(HERE, 0) }
}

async fn get(catalog: &RocksCatalog, key: &str) -> Result<Option<Bytes>> {
    catalog.snapshot(HERE).await?.get(TABLE.key(key.as_bytes().to_vec())).await
}

#[tokio::test]
async fn passes_the_conformance_suite() {
    let mut dirs = Vec::new();
    conformance::run(|| {
        let (dir, clock) = (tempfile::tempdir().unwrap(), clock());
        let catalog = RocksCatalog::open(dir.path(), options(&clock, &Arc::default())).unwrap();
        dirs.push(dir);
        World { catalog, clock }
    })
    .await;
}

#[tokio::test]
async fn what_was_committed_is_there_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let catalog = open(dir.path()).unwrap();
    catalog.commit(put("a", "1")).await.unwrap();
    let relaxed = Commit { durability: Durability::Relaxed, ..put("b", "2") };
    let last = catalog.commit(relaxed).await.unwrap();
    catalog.close();
    assert!(matches!(catalog.commit(put("c", "3")).await, Err(Error::Closed)));
    drop(catalog);
    let catalog = open(dir.path()).unwrap();
    assert_eq!(get(&catalog, "a").await.unwrap().unwrap(), "1");
    assert_eq!(get(&catalog, "b").await.unwrap().unwrap(), "2");
    assert_eq!(catalog.snapshot(HERE).await.unwrap().read_version(), last);
    assert!(catalog.commit(put("c", "3")).await.unwrap() > last);
    assert_eq!(catalog.partitions().unwrap(), [HERE]);
}

/// No disk here has as much room as is asked to stay free: it counts as full.
#[tokio::test]
async fn opening_on_a_full_disk_gives_the_reserve_up() {
    let dir = tempfile::tempdir().unwrap();
    let catalog = open(dir.path()).unwrap();
    catalog.commit(put("a", "1")).await.unwrap();
    catalog.close();
    drop(catalog);
    let reserve = dir.path().join("reserve");
    std::fs::write(&reserve, b"held").unwrap();
    let full = Options { reserve_bytes: 1 << 60, ..options(&clock(), &Arc::default()) };
    let catalog = RocksCatalog::open(dir.path(), full).unwrap();
    assert!(!reserve.exists(), "given up before anything was written");
    assert_eq!(get(&catalog, "a").await.unwrap().unwrap(), "1");
    assert!(matches!(catalog.commit(put("b", "2")).await, Err(Error::Full { .. })));
}

#[tokio::test]
async fn a_group_takes_one_sync_and_relaxed_commits_none() {
    let dir = tempfile::tempdir().unwrap();
    let catalog = open(dir.path()).unwrap();
    for n in 0..20 {
        catalog.commit(put(&n.to_string(), "relaxed")).await.unwrap();
    }
    let before = catalog.counts();
    assert_eq!((before.commits, before.groups, before.syncs), (20, 20, 20));
    let many = (0..500).map(|n| catalog.commit(put(&n.to_string(), "x")));
    for outcome in futures_util::future::join_all(many).await {
        outcome.unwrap();
    }
    let after = catalog.counts();
    assert_eq!(after.commits, 520);
    assert_eq!(after.syncs - before.syncs, after.groups - before.groups);
    assert!(after.groups - before.groups < 500, "{after:?}");
    for n in 0..20 {
        let relaxed = Commit { durability: Durability::Relaxed, ..put(&n.to_string(), "r") };
        catalog.commit(relaxed).await.unwrap();
    }
    assert_eq!(catalog.counts().syncs, after.syncs);
    catalog.commit(Commit::new(HERE, 0)).await.unwrap();
    assert_eq!(catalog.counts().syncs, after.syncs + 1, "a synced commit makes those before it durable");
    catalog.commit(Commit::new(HERE, 0)).await.unwrap();
    assert_eq!(catalog.counts().syncs, after.syncs + 1, "nothing to sync");
}

#[tokio::test]
async fn counters_count_every_commit_of_a_group_also_after_replay() {
    let dir = tempfile::tempdir().unwrap();
    let (here, replayed) = (dir.path().join("here"), dir.path().join("replayed"));
    let catalog = open(&here).unwrap();
    let add = |key: &'static str, delta| Write::Add(COUNTERS.key(key), delta);
    let both = vec![add("n", 1), add("m", 2), add("m", -1)];
    let ended = vec![add("n", 50), Write::Delete(COUNTERS.key("n")), add("n", 7)];
    let writes = (0..200).map(|n| if n == 100 { ended.clone() } else { both.clone() });
    let commits = writes.map(|writes| catalog.commit(Commit { writes, ..Commit::new(HERE, 0) }));
    for outcome in futures_util::future::join_all(commits).await {
        outcome.unwrap();
    }
    assert!(catalog.counts().groups < 100, "most share a group: {:?}", catalog.counts());
    // Nothing was flushed: in the copy, the log's commits are applied one by one.
    copy(&here, &replayed);
    for catalog in [catalog, open(&replayed).unwrap()] {
        let view = catalog.snapshot(HERE).await.unwrap();
        for (key, sum) in [("n", 7 + 99i64), ("m", 199)] {
            let found = view.get(COUNTERS.key(key)).await.unwrap();
            assert_eq!(found, Some(Bytes::copy_from_slice(&sum.to_le_bytes())), "{key}");
        }
    }
}

#[tokio::test]
async fn a_failed_sync_fences_and_reopening_finds_out() {
    let (dir, faults) = (tempfile::tempdir().unwrap(), Arc::new(Faults::default()));
    let catalog = RocksCatalog::open(dir.path(), options(&clock(), &faults)).unwrap();
    catalog.commit(put("a", "1")).await.unwrap();
    faults.arm(Point::CatalogSync, Fault::Io, 0, 1);
    assert!(matches!(catalog.commit(put("b", "2")).await, Err(Error::Unknown { .. })));
    assert!(matches!(catalog.commit(put("c", "3")).await, Err(Error::Fenced { .. })));
    assert_eq!(get(&catalog, "a").await.unwrap().unwrap(), "1", "reads go on");
    assert_eq!(get(&catalog, "b").await.unwrap(), None, "what was not acknowledged is not shown");
    drop(catalog);
    let catalog = open(dir.path()).unwrap();
    assert_eq!(get(&catalog, "a").await.unwrap().unwrap(), "1");
    assert_eq!(get(&catalog, "c").await.unwrap(), None, "refused means not there");
    catalog.commit(put("c", "3")).await.unwrap();
}

#[tokio::test]
async fn a_failed_write_fences() {
    let (dir, faults) = (tempfile::tempdir().unwrap(), Arc::new(Faults::default()));
    let catalog = RocksCatalog::open(dir.path(), options(&clock(), &faults)).unwrap();
    faults.arm(Point::CatalogWrite, Fault::Io, 0, 1);
    assert!(matches!(catalog.commit(put("b", "2")).await, Err(Error::Unknown { .. })));
    assert!(matches!(catalog.commit(put("c", "3")).await, Err(Error::Fenced { .. })));
}

#[tokio::test]
async fn a_full_disk_refuses_writes_and_recovers() {
    let (dir, faults) = (tempfile::tempdir().unwrap(), Arc::new(Faults::default()));
    let catalog = RocksCatalog::open(dir.path(), options(&clock(), &faults)).unwrap();
    catalog.commit(put("a", "1")).await.unwrap();
    faults.arm(Point::CatalogWrite, Fault::NoSpace, 0, u64::MAX);
    for _ in 0..3 {
        // The seal that follows the first commit may meet the full disk too: that must not fence.
        let refused = catalog.commit(put("b", "2")).await;
        assert!(matches!(refused, Err(Error::Full { .. })), "{refused:?}");
    }
    assert_eq!(get(&catalog, "a").await.unwrap().unwrap(), "1", "reads go on");
    assert_eq!(get(&catalog, "b").await.unwrap(), None);
    faults.clear();
    let read = catalog.snapshot(HERE).await.unwrap().read_version();
    let checks = vec![Check::Unchanged(TABLE.key(&b"b"[..]))];
    let retry = Commit { checks, read_version: read, ..put("b", "2") };
    catalog.commit(retry).await.expect("a refused commit left no trace in the conflict window");
    drop(catalog);
    assert_eq!(get(&open(dir.path()).unwrap(), "b").await.unwrap().unwrap(), "2");
}

#[tokio::test]
async fn a_group_that_the_rows_do_not_take_is_kept_until_they_do() {
    let (dir, faults) = (tempfile::tempdir().unwrap(), Arc::new(Faults::default()));
    let catalog = RocksCatalog::open(dir.path(), options(&clock(), &faults)).unwrap();
    catalog.commit(put("a", "1")).await.unwrap();
    let seen = catalog.snapshot(HERE).await.unwrap().read_version();
    faults.arm(Point::CatalogApply, Fault::NoSpace, 0, u64::MAX);
    let parked = catalog.commit(put("b", "2")).await;
    assert!(matches!(parked, Err(Error::Unknown { .. })), "the log has it, the rows don't: {parked:?}");
    for _ in 0..3 {
        let refused = catalog.commit(put("c", "3")).await;
        assert!(matches!(refused, Err(Error::Full { .. })), "{refused:?}");
    }
    assert_eq!(get(&catalog, "a").await.unwrap().unwrap(), "1", "reads go on");
    assert_eq!(get(&catalog, "b").await.unwrap(), None, "what is parked is not shown");
    faults.clear();
    // It comes before whatever is judged next, and counts in what that is judged by.
    let checks = vec![Check::Unchanged(TABLE.key(&b"b"[..]))];
    let beside = Commit { checks, read_version: seen, ..put("b", "4") };
    assert!(matches!(catalog.commit(beside).await, Err(Error::Conflict { .. })));
    assert_eq!(get(&catalog, "b").await.unwrap().unwrap(), "2");
    catalog.commit(put("c", "3")).await.unwrap();
    drop(catalog);
    let catalog = open(dir.path()).unwrap();
    for (key, value) in [("a", "1"), ("b", "2"), ("c", "3")] {
        assert_eq!(get(&catalog, key).await.unwrap().unwrap(), value);
    }
}

#[tokio::test]
async fn while_a_group_is_parked_its_own_commits_are_unknown_and_others_are_told_why() {
    let (dir, faults) = (tempfile::tempdir().unwrap(), Arc::new(Faults::default()));
    let catalog = RocksCatalog::open(dir.path(), options(&clock(), &faults)).unwrap();
    for (fault, id) in [(Fault::Io, 1), (Fault::NoSpace, 2)] {
        let key = id.to_string();
        let commit = Commit { idempotency: Some(IdempotencyId::from_bytes([id; 16])), ..put(&key, "parked") };
        let before = catalog.snapshot(HERE).await.unwrap().read_version();
        faults.arm(Point::CatalogApply, fault, 0, u64::MAX);
        for _ in 0..3 {
            let open = catalog.commit(commit.clone()).await.unwrap_err();
            assert!(matches!(open, Error::Unknown { .. }), "{fault:?}: it will be there: {open:?}");
            let refused = catalog.commit(put("c", "3")).await.unwrap_err();
            let elsewhere = Commit { partition: PartitionId::from_bytes([8; 8]), ..commit.clone() };
            let not_its = catalog.commit(elsewhere).await.unwrap_err();
            for refused in [refused, not_its] {
                match fault {
                    Fault::NoSpace => assert!(matches!(refused, Error::Full { .. }), "{refused:?}"),
                    _ => assert!(
                        matches!(&refused, Error::Fenced { reason } if reason.contains("injected I/O error")),
                        "no disk is full: {refused:?}"
                    ),
                }
            }
        }
        faults.clear();
        assert_eq!(catalog.commit(commit).await.unwrap(), before + 1, "{fault:?}: it counts once");
        assert_eq!(get(&catalog, &key).await.unwrap().unwrap(), "parked");
        catalog.commit(put("c", "3")).await.unwrap();
    }
}

#[tokio::test]
async fn an_id_of_a_parked_group_that_began_an_epoch_is_known_after_a_restart() {
    let (dir, faults, clock) = (tempfile::tempdir().unwrap(), Arc::new(Faults::default()), clock());
    let commit = Commit { idempotency: Some(IdempotencyId::from_bytes([1; 16])), ..put("a", "1") };
    let catalog = RocksCatalog::open(dir.path(), options(&clock, &faults)).unwrap();
    catalog.commit(put("before", "1")).await.unwrap();
    clock.advance(Duration::from_mins(11));
    faults.arm(Point::CatalogApply, Fault::NoSpace, 0, 1);
    catalog.commit(commit.clone()).await.unwrap_err();
    // Applied before it is judged.
    let version = catalog.commit(commit.clone()).await.unwrap();
    catalog.close();
    catalog.shared.rows.flush(true).unwrap();
    drop(catalog);
    let catalog = RocksCatalog::open(dir.path(), options(&clock, &faults)).unwrap();
    assert_eq!(catalog.commit(commit).await.unwrap(), version, "it counts once");
}

#[tokio::test]
async fn a_group_that_is_parked_when_the_catalog_closes_is_there_when_it_opens() {
    let (dir, faults) = (tempfile::tempdir().unwrap(), Arc::new(Faults::default()));
    let catalog = RocksCatalog::open(dir.path(), options(&clock(), &faults)).unwrap();
    faults.arm(Point::CatalogApply, Fault::NoSpace, 0, u64::MAX);
    catalog.commit(put("b", "2")).await.unwrap_err();
    drop(catalog);
    assert_eq!(get(&open(dir.path()).unwrap(), "b").await.unwrap().unwrap(), "2");
}

#[tokio::test]
async fn a_limit_holds_after_reopening_and_a_group_without_room_counts_for_nothing() {
    let (dir, faults) = (tempfile::tempdir().unwrap(), Arc::new(Faults::default()));
    let catalog = RocksCatalog::open(dir.path(), options(&clock(), &faults)).unwrap();
    let add = |delta| Commit {
        checks: vec![Check::AtMost(COUNTERS.key(&b"n"[..]), 10)],
        writes: vec![Write::Add(COUNTERS.key(&b"n"[..]), delta)],
        ..Commit::new(HERE, 0)
    };
    catalog.commit(add(4)).await.unwrap();
    faults.arm(Point::CatalogWrite, Fault::NoSpace, 0, u64::MAX);
    for _ in 0..3 {
        let refused = catalog.commit(add(6)).await;
        assert!(matches!(refused, Err(Error::Full { .. })), "{refused:?}");
    }
    faults.clear();
    assert!(matches!(catalog.commit(add(7)).await, Err(Error::OverLimit { check: 0 })));
    catalog.commit(add(5)).await.expect("what found no room was not counted");
    drop(catalog);
    // Not flushed: the log is replayed, and the first check reads what came of it.
    let catalog = open(dir.path()).unwrap();
    assert!(matches!(catalog.commit(add(2)).await, Err(Error::OverLimit { check: 0 })));
    catalog.commit(add(1)).await.unwrap();
    assert!(matches!(catalog.commit(add(1)).await, Err(Error::OverLimit { check: 0 })));
}

#[tokio::test]
async fn commits_below_one_limit_share_their_groups() {
    let dir = tempfile::tempdir().unwrap();
    let catalog = open(dir.path()).unwrap();
    let add = Commit {
        checks: vec![Check::AtMost(COUNTERS.key(&b"n"[..]), 150)],
        writes: vec![Write::Add(COUNTERS.key(&b"n"[..]), 1)],
        ..Commit::new(HERE, 0)
    };
    let outcomes = futures_util::future::join_all((0..200).map(|_| catalog.commit(add.clone()))).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 150);
    let over = |outcome: &&Result<Version>| matches!(outcome, Err(Error::OverLimit { check: 0 }));
    assert_eq!(outcomes.iter().filter(over).count(), 50);
    assert!(catalog.counts().groups < 75, "none waits for another's sync: {:?}", catalog.counts());
}

#[tokio::test]
async fn idempotency_ids_survive_reopening_and_go_in_the_end() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), clock());
    let opened = || RocksCatalog::open(dir.path(), options(&clock, &Arc::default())).unwrap();
    let commit = |n: u8| Commit { idempotency: Some(IdempotencyId::from_bytes([n; 16])), ..put("a", "1") };
    let catalog = opened();
    let first = catalog.commit(commit(1)).await.unwrap();
    drop(catalog);
    let catalog = opened();
    assert_eq!(catalog.commit(commit(1)).await.unwrap(), first);
    clock.advance(Duration::from_mins(11));
    catalog.commit(commit(2)).await.unwrap();
    assert_eq!(catalog.commit(commit(1)).await.unwrap(), first, "one epoch later it is still there");
    for n in 3..6 {
        clock.advance(Duration::from_mins(11));
        catalog.commit(commit(n)).await.unwrap();
    }
    assert!(catalog.commit(commit(1)).await.unwrap() > first);
    let epoch = catalog.shared.rows.epoch().unwrap();
    assert_eq!(catalog.shared.rows.expired(epoch - 1, &[], 10).unwrap(), Vec::<Vec<u8>>::new());
}

#[tokio::test]
async fn racing_readers_see_whole_commits() {
    let dir = tempfile::tempdir().unwrap();
    let catalog = open(dir.path()).unwrap();
    let writer = async {
        for n in 0..200u32 {
            let value = Bytes::from(n.to_string());
            let writes = ["a", "b"].map(|key| Write::Put(TABLE.key(key), value.clone()));
            catalog.commit(Commit { writes: writes.to_vec(), ..Commit::new(HERE, 0) }).await.unwrap();
        }
    };
    let reader = async {
        for _ in 0..2000 {
            let view = catalog.snapshot(HERE).await.unwrap();
            let found = view.multi_get(vec![TABLE.key("a"), TABLE.key("b")]).await.unwrap();
            assert_eq!(found[0], found[1]);
            tokio::task::yield_now().await;
        }
    };
    futures_util::join!(writer, reader);
}

/// Fills a catalog with rows of every kind and puts them on disk as tables.
async fn filled(dir: &Path) -> Version {
    let catalog = open(dir).unwrap();
    let mut last = 0;
    for n in 0..50u32 {
        let value = Bytes::from(vec![u8::try_from(n).unwrap(); 2000]);
        let writes =
            [TABLE, BODIES].map(|table| Write::Put(table.key(n.to_be_bytes().to_vec()), value.clone()));
        last = catalog.commit(Commit { writes: writes.to_vec(), ..Commit::new(HERE, 0) }).await.unwrap();
    }
    catalog.close();
    catalog.shared.rows.flush(true).unwrap();
    last
}

/// Reads everything; an answer that is neither right nor an error fails the test.
async fn right_or_refused(dir: &Path) -> Result<()> {
    let catalog = open(dir)?;
    let view = catalog.snapshot(HERE).await?;
    for table in [TABLE, BODIES] {
        let page = view.scan(Scan::prefix(table, b"", 1000)).await?;
        assert_eq!(page.rows.len(), 50, "rows are missing");
        for n in 0..50u32 {
            let found = view.get(table.key(n.to_be_bytes().to_vec())).await?.expect("a row is missing");
            assert_eq!(found, vec![u8::try_from(n).unwrap(); 2000], "wrong bytes");
        }
    }
    Ok(())
}

fn files(dir: &Path, endings: &[&str]) -> Vec<PathBuf> {
    let all = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let named = |path: &PathBuf| endings.iter().any(|end| path.to_string_lossy().contains(end));
    let mut found: Vec<_> = all.filter(named).collect();
    found.sort();
    found
}

/// A catalog's files as a kill leaves them. One that is open makes and drops some meanwhile; then it is done again.
fn copy(from: &Path, to: &Path) {
    let mut before = names(from);
    loop {
        if to.exists() {
            std::fs::remove_dir_all(to).unwrap();
        }
        let whole = before.iter().all(|name| {
            let (path, target) = (from.join(name), to.join(name));
            std::fs::create_dir_all(target.parent().unwrap()).unwrap();
            match std::fs::copy(&path, &target) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => false,
                copied => copied.map(|_bytes| true).unwrap(),
            }
        });
        let after = names(from);
        if whole && after == before {
            return;
        }
        before = after;
    }
}

/// The files below a directory, by their paths from there.
fn names(root: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut open = vec![root.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                found.insert(path.strip_prefix(root).unwrap().to_owned());
            }
        }
    }
    found
}

#[tokio::test]
async fn flipped_bytes_in_tables_bodies_and_manifest_are_never_served() {
    let dir = tempfile::tempdir().unwrap();
    let good = dir.path().join("good");
    filled(&good).await;
    right_or_refused(&good).await.unwrap();
    let (mut refused, mut tried) = (0, 0);
    for file in files(&good.join("rows"), &[".sst", ".blob", "MANIFEST"]) {
        let len = std::fs::metadata(&file).unwrap().len();
        let step = (len / 8).max(1);
        for at in (0..len).step_by(usize::try_from(step).unwrap()) {
            let bad = dir.path().join("bad");
            copy(&good, &bad);
            let victim = bad.join("rows").join(file.file_name().unwrap());
            let mut bytes = std::fs::read(&victim).unwrap();
            bytes[usize::try_from(at).unwrap()] ^= 0x20;
            std::fs::write(&victim, bytes).unwrap();
            tried += 1;
            match right_or_refused(&bad).await {
                Ok(()) => {}
                Err(Error::Corrupt { .. }) => refused += 1,
                Err(other) => panic!("{} at {at}: {other:?}", file.display()),
            }
            std::fs::remove_dir_all(&bad).unwrap();
        }
    }
    assert!(refused * 2 > tried, "{refused} of {tried} flips were noticed");
}

#[tokio::test]
async fn flipped_bytes_in_the_synced_log_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let good = dir.path().join("good");
    let catalog = open(&good).unwrap();
    for n in 0..20 {
        catalog.commit(put(&n.to_string(), "value")).await.unwrap();
    }
    // The files as a crash would leave them, with the rows still in memory.
    let frozen = dir.path().join("frozen");
    while !sealed(&catalog) {
        tokio::task::yield_now().await;
    }
    copy(&good, &frozen);
    drop(catalog);
    let log = files(&frozen.join("log"), &[".log"]).pop().unwrap();
    let bytes = std::fs::read(&log).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    let mut refused = 0;
    for at in (0..=end).step_by(37) {
        let bad = dir.path().join("bad");
        copy(&frozen, &bad);
        let mut flipped = bytes.clone();
        flipped[at] ^= 0x01;
        std::fs::write(bad.join("log").join(log.file_name().unwrap()), flipped).unwrap();
        match open(&bad) {
            // Seals hold no commits, and all but the last one are not needed.
            Ok(catalog) => {
                for n in 0..20 {
                    assert_eq!(get(&catalog, &n.to_string()).await.unwrap().unwrap(), "value", "byte {at}");
                }
            }
            Err(Error::Corrupt { .. }) => refused += 1,
            Err(other) => panic!("byte {at}: {other:?}"),
        }
        std::fs::remove_dir_all(&bad).unwrap();
    }
    assert!(refused > end / 37 / 2, "{refused} of {} flips were noticed", end / 37);
    let catalog = open(&frozen).unwrap();
    assert_eq!(get(&catalog, "19").await.unwrap().unwrap(), "value");
}

/// Has the sequencer written that all is synced?
fn sealed(catalog: &RocksCatalog) -> bool {
    let path = files(&catalog.dir().join("log"), &[".log"]).pop().unwrap();
    let bytes = std::fs::read(path).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    // Byte 44 of a frame is its kind, 2 for a seal; byte 45, its form, is its last that is not zero.
    bytes[end - 1..=end] == [2, 1]
}

#[tokio::test]
async fn a_lost_log_a_lost_marker_and_a_newer_marker_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let good = dir.path().join("good");
    filled(&good).await;
    let without_log = dir.path().join("without-log");
    copy(&good, &without_log);
    std::fs::remove_dir_all(without_log.join("log")).unwrap();
    assert!(matches!(open(&without_log), Err(Error::Corrupt { .. })));
    std::fs::remove_file(good.join("format")).unwrap();
    assert!(matches!(open(&good), Err(Error::Corrupt { .. })));
    let newer = [&b"firncatl"[..], &3u32.to_le_bytes()].concat();
    let crc = crate::catalog::log::frame::crc32c(&newer);
    std::fs::write(good.join("format"), [&newer[..], &crc.to_le_bytes()].concat()).unwrap();
    assert!(matches!(open(&good), Err(Error::Newer { found: 3, .. })));
}

#[tokio::test]
async fn a_catalog_in_use_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let _held = open(dir.path()).unwrap();
    let me = std::process::id().to_string();
    assert!(matches!(open(dir.path()), Err(Error::InUse { pid, .. }) if pid == me));
}

#[tokio::test]
async fn a_checkpoint_and_the_shipped_log_restore_everything_synced() {
    let dir = tempfile::tempdir().unwrap();
    let catalog = open(&dir.path().join("live")).unwrap();
    for n in 0..100 {
        catalog.commit(put(&format!("before {n}"), "1")).await.unwrap();
    }
    let base = dir.path().join("base");
    let version = catalog.checkpoint(&base).unwrap();
    assert_eq!(version, 100);
    let mut sent = Vec::new();
    for n in 0..100 {
        catalog.commit(put(&format!("after {n}"), "2")).await.unwrap();
    }
    let mut at = LogPlace::after(version);
    while let Some((frames, place)) = catalog.log_since(at, 2000).unwrap()
        && !frames.is_empty()
    {
        at = place;
        sent.push(frames);
    }
    assert_eq!(at.version(), catalog.synced());
    assert!(sent.len() > 3, "shipped in bounded pieces");
    let relaxed = Commit { durability: Durability::Relaxed, ..put("relaxed", "3") };
    catalog.commit(relaxed).await.unwrap();
    assert!(catalog.log_since(at, 2000).unwrap().unwrap().0.is_empty(), "what is not synced is not shipped");

    let restored = open(&base).unwrap();
    assert_eq!(get(&restored, "before 99").await.unwrap().unwrap(), "1");
    assert_eq!(get(&restored, "after 0").await.unwrap(), None);
    assert!(matches!(restored.apply_log(sent[1].clone()).await, Err(Error::Corrupt { .. })), "a gap");
    for frames in &sent {
        let mut bad = frames.to_vec();
        let middle = bad.len() / 2;
        bad[middle] ^= 1;
        assert!(matches!(restored.apply_log(bad.into()).await, Err(Error::Corrupt { .. })));
        restored.apply_log(frames.clone()).await.unwrap();
        restored.apply_log(frames.clone()).await.expect("groups that it has are passed over");
    }
    assert_eq!(restored.synced(), at.version());
    assert_eq!(get(&restored, "after 99").await.unwrap().unwrap(), "2");
    drop(restored);
    let restored = open(&base).unwrap();
    assert_eq!(get(&restored, "after 99").await.unwrap().unwrap(), "2");
    assert!(restored.commit(put("on it goes", "4")).await.unwrap() > at.version());
}

#[tokio::test]
async fn the_log_is_bounded_and_says_when_it_no_longer_goes_back() {
    let dir = tempfile::tempdir().unwrap();
    let catalog = open(dir.path()).unwrap();
    let value = Bytes::from(vec![5; 60 << 10]);
    for n in 0..30u32 {
        let row = |m: u32| Write::Put(BODIES.key((n * 100 + m).to_be_bytes().to_vec()), value.clone());
        let writes = (0..60).map(row).collect();
        catalog.commit(Commit { writes, ..Commit::new(HERE, 0) }).await.unwrap();
        if n % 4 == 3 {
            catalog.shared.rows.flush(true).unwrap();
        }
    }
    let held = files(&dir.path().join("log"), &[".log"]).len();
    assert!(held <= 8, "100 MB went through {held} files of 5 MiB");
    assert!(catalog.log_since(LogPlace::after(0), 1000).unwrap().is_none(), "take a new base");
    let synced = LogPlace::after(catalog.synced());
    assert_eq!(catalog.log_since(synced, 1000).unwrap(), Some((Bytes::new(), synced)));
    drop(catalog);
    let catalog = open(dir.path()).unwrap();
    let view = catalog.snapshot(HERE).await.unwrap();
    let scan = Scan { keys_only: true, ..Scan::prefix(BODIES, b"", 10_000) };
    assert_eq!(view.scan(scan).await.unwrap().rows.len(), 1800);
}

#[tokio::test]
async fn a_disk_that_is_really_full_recovers_without_reopening() {
    use crate::clock::{Clock as _, SystemClock};
    let test = "a_disk_that_is_really_full_recovers_without_reopening";
    let Some(disk) = crate::small_disk::SmallDisk::mount("100m", test) else { return };
    let small = disk.path();
    for reserve_bytes in [0, 8 << 20] {
        let dir = small.join(format!("catalog-{reserve_bytes}"));
        let options =
            Options { reserve_bytes, clock: Arc::new(SystemClock), ..options(&clock(), &Arc::default()) };
        let catalog = RocksCatalog::open(&dir, options.clone()).unwrap();
        let filler = small.join("filler");
        std::fs::write(&filler, vec![1; 24 << 20]).unwrap();
        let entropy = SeededEntropy::new(9);
        let mut written = Vec::new();
        let refused = loop {
            let mut value = vec![0; 60_000];
            crate::entropy::Entropy::fill(&entropy, &mut value);
            let key = TABLE.key(written.len().to_be_bytes().to_vec());
            let write = Write::Put(key.clone(), value.clone().into());
            match catalog.commit(Commit { writes: vec![write], ..Commit::new(HERE, 0) }).await {
                Ok(_) => written.push((key, Bytes::from(value))),
                Err(error) => break error,
            }
            assert!(written.len() < 10_000, "the disk is too large for this test");
        };
        assert!(matches!(refused, Error::Full { .. } | Error::Unknown { .. }), "{refused:?}");
        let view = catalog.snapshot(HERE).await.unwrap();
        for (key, value) in &written {
            assert_eq!(view.get(key.clone()).await.unwrap().as_ref(), Some(value), "reads go on");
        }
        drop(view);
        if reserve_bytes > 0 {
            let delete = Write::Delete(written[0].0.clone());
            catalog
                .commit(Commit { writes: vec![delete], ..Commit::new(HERE, 0) })
                .await
                .expect("deletes work");
            written.remove(0);
        }
        std::fs::remove_file(&filler).unwrap();
        let mut tries = 0;
        while let Err(error) = catalog.commit(put("after", "room")).await {
            assert!(tries < 120, "still {error:?}");
            tries += 1;
            SystemClock.sleep(Duration::from_millis(500)).await;
        }
        drop(catalog);
        let catalog = RocksCatalog::open(&dir, options).unwrap();
        let view = catalog.snapshot(HERE).await.unwrap();
        for (key, value) in &written {
            assert_eq!(
                view.get(key.clone()).await.unwrap().as_ref(),
                Some(value),
                "nothing acknowledged is lost"
            );
        }
        drop((view, catalog));
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
