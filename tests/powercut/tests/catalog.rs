//! The durable catalog on the layer: what was acknowledged is there after every cut, and nothing that was not begun.

#![expect(clippy::unwrap_used, reason = "a step that fails fails the test")]

use bytes::Bytes;
use engine::catalog::{Catalog, Commit, Durability, Family, Options, RocksCatalog, Scan, Table, Write};
use engine::clock::SystemClock;
use engine::entropy::SeededEntropy;
use engine::fault::Faults;
use engine::id::PartitionId;
use powercut::{PowerCut, Seeded};
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const TABLE: Table = Table { family: Family::Record, tag: 200 };
const COUNTERS: Table = Table { family: Family::Counter, tag: 201 };
const WRITERS: u8 = 4;

/// Small enough that a round flushes and changes log files now and then.
fn open(dir: &Path, seed: u64) -> engine::Result<Arc<RocksCatalog>> {
    let faults = Arc::new(Faults::default());
    let options = Options::new(Arc::new(SystemClock), Arc::new(SeededEntropy::new(seed)), faults);
    let options = Options { memtable_bytes: 1 << 20, log_file_bytes: 5 << 20, reserve_bytes: 0, ..options };
    RocksCatalog::open(dir, options)
}

fn partition(writer: u8) -> PartitionId {
    PartitionId::from_bytes([writer; 8])
}

/// The row that a writer's `n`th commit writes.
fn row(writer: u8, n: u64, length: usize) -> (Bytes, Bytes) {
    let mut value = vec![0; length];
    Seeded::new(n).fork(u64::from(writer)).fill(&mut value);
    (Bytes::copy_from_slice(&n.to_be_bytes()), value.into())
}

fn length(n: u64) -> usize {
    usize::try_from(Seeded::new(n).fork(9).below(12_000)).unwrap()
}

/// Commits rows `from`, `from + 1`, … until an error; gives the number after the last acknowledged one.
async fn write(catalog: Arc<RocksCatalog>, writer: u8, from: u64) -> u64 {
    for n in from..from + 100_000 {
        let (key, value) = row(writer, n, length(n));
        let mut commit = Commit::new(partition(writer), 0);
        commit.writes = vec![Write::Put(TABLE.key(key), value), Write::Add(COUNTERS.key("rows"), 1)];
        // Relaxed ones in between: an acknowledged synced one after them makes them durable.
        commit.durability = if n % 3 == 1 { Durability::Relaxed } else { Durability::Synced };
        if catalog.commit(commit).await.is_err() {
            return n;
        }
    }
    from + 100_000
}

/// Every row below `acknowledged` is there, whole, and the rows are 0, 1, 2, … without a gap. Gives their number.
async fn verify(catalog: &RocksCatalog, writer: u8, acknowledged: u64) -> u64 {
    let snapshot = catalog.snapshot(partition(writer)).await.unwrap();
    let mut next = 0_u64;
    loop {
        let mut scan = Scan::prefix(TABLE, &[], 500);
        scan.start = Bytes::copy_from_slice(&next.to_be_bytes());
        let page = snapshot.scan(scan).await.unwrap();
        for found in &page.rows {
            assert_eq!(*found, row(writer, next, length(next)), "row {next} of writer {writer}");
            next += 1;
        }
        if !page.more {
            break;
        }
    }
    assert!(next >= acknowledged, "writer {writer}: {acknowledged} were acknowledged, {next} are there");
    let count = snapshot.get(COUNTERS.key("rows")).await.unwrap();
    let count = count.map_or(0, |bytes| i64::from_le_bytes(bytes.as_ref().try_into().unwrap()));
    assert_eq!(count, i64::try_from(next).unwrap(), "a counter and its rows are one commit");
    next
}

/// The last acknowledged *synced* commit bounds what must survive; a relaxed one after it may go.
fn must_survive(stopped_at: u64) -> u64 {
    let last = stopped_at.checked_sub(1);
    last.map_or(0, |last| if last % 3 == 1 { last } else { stopped_at })
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_commits_survive_power_cuts() {
    if let Err(missing) = powercut::available() {
        let _unwritable = writeln!(std::io::stdout(), "SKIPPED power cuts and mounts: cannot {missing}");
        return;
    }
    let rounds = std::env::var("FIRN_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(25_u64);
    let seed = std::env::var("FIRN_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1_u64);
    let scratch = tempfile::tempdir_in(powercut::memory()).unwrap();
    let (backing, mountpoint) = (scratch.path().join("backing"), scratch.path().join("mnt"));
    std::fs::create_dir(&backing).unwrap();
    std::fs::create_dir(&mountpoint).unwrap();
    let mut acknowledged = [0_u64; WRITERS as usize];
    let (mut cuts_at_open, mut at_stake) = (0, 0);
    for round in 0..rounds {
        let mut chance = Seeded::new(seed).fork(round);
        let layer = PowerCut::mount(&backing, &mountpoint, chance.next()).unwrap();
        let dir = mountpoint.join("catalog");
        let during_open = round > 0 && chance.chance(1, 5);
        if during_open {
            layer.cut_after(chance.below(60));
        }
        let opened = tokio::task::block_in_place(|| open(&dir, seed));
        match opened {
            Ok(catalog) => {
                if !during_open {
                    for (writer, acknowledged) in (0..WRITERS).zip(&mut acknowledged) {
                        *acknowledged = verify(&catalog, writer, *acknowledged).await;
                    }
                    layer.cut_after(1 + chance.below(1500));
                    let writers: Vec<_> = (0..WRITERS)
                        .zip(acknowledged)
                        .map(|(writer, from)| tokio::spawn(write(Arc::clone(&catalog), writer, from)))
                        .collect();
                    for (task, acknowledged) in writers.into_iter().zip(&mut acknowledged) {
                        *acknowledged = must_survive(task.await.unwrap());
                    }
                }
                tokio::task::block_in_place(|| catalog.close());
            }
            Err(error) => {
                assert!(
                    during_open && layer.wait_for_cut(Duration::ZERO),
                    "round {round} of seed {seed}: {error}"
                );
                cuts_at_open += 1;
            }
        }
        at_stake += layer.cut().unwrap().data_at_stake;
        tokio::task::block_in_place(|| layer.unmount()).unwrap();
    }
    assert!(acknowledged.iter().all(|rows| *rows > 0), "{acknowledged:?}");
    assert!(
        at_stake > rounds / 2,
        "cuts hit unsynced bytes: {at_stake}; {cuts_at_open} fell into an opening"
    );
}
