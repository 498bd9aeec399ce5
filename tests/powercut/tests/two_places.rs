//! The catalog in two places on the layer: after every cut the data directory has what was acknowledged, and so has the zone
//! whenever the data directory says that they share it.

#![expect(clippy::unwrap_used, reason = "a step that fails fails the test")]

use bytes::Bytes;
use engine::catalog::copy::{CopyOptions, CopyWorker, Place, restore, shared_with};
use engine::catalog::{Catalog, Commit, Family, Options, RocksCatalog, Scan, Table, Write};
use engine::clock::SystemClock;
use engine::entropy::SeededEntropy;
use engine::fault::{Fault, Faults, Point};
use engine::id::PartitionId;
use engine::small_files::SmallFiles;
use engine::worker::Worker;
use powercut::{PowerCut, Seeded};
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const TABLE: Table = Table { family: Family::Record, tag: 200 };
const HERE: PartitionId = PartitionId::from_bytes([1; 8]);
const MARKER: &str = "marker";

fn place(root: &Path) -> Place {
    Place::new("b".to_owned(), root.join("b/catalog"))
}

fn options(root: &Path, zone: &Arc<Faults>, entropy: &Arc<SeededEntropy>) -> Options {
    let places = vec![place(root)];
    let copy = CopyOptions { places, faults: Arc::clone(zone), keep_free: 0, ..CopyOptions::default() };
    let options = Options::new(Arc::new(SystemClock), Arc::clone(entropy) as _, Arc::default());
    Options { memtable_bytes: 1 << 20, log_file_bytes: 5 << 20, reserve_bytes: 0, copy, ..options }
}

/// Commits rows `from`, `from + 1`, … until one is refused; gives the number after the last acknowledged one.
async fn write(catalog: &RocksCatalog, from: u64) -> u64 {
    let mut next = from;
    loop {
        let mut commit = Commit::new(HERE, 0);
        let key = Bytes::copy_from_slice(&next.to_be_bytes());
        commit.writes =
            vec![Write::Put(TABLE.key(key), vec![7; usize::try_from(next % 9_000).unwrap()].into())];
        if catalog.commit(commit).await.is_err() {
            return next;
        }
        next += 1;
    }
}

/// The rows are 0, 1, 2, … without a gap, at least as many as were acknowledged. Gives their number.
async fn verify(catalog: &RocksCatalog, acknowledged: u64, what: &str) -> u64 {
    count(catalog, acknowledged, what).await.unwrap_or_else(|error| panic!("{what}: {error}"))
}

/// The same, where the power may go meanwhile.
async fn count(catalog: &RocksCatalog, acknowledged: u64, what: &str) -> engine::Result<u64> {
    let snapshot = catalog.snapshot(HERE).await?;
    let mut scan = Some(Scan { keys_only: true, ..Scan::prefix(TABLE, &[], 10_000) });
    let mut next = 0_u64;
    while let Some(page) = scan.take() {
        let found = snapshot.scan(page.clone()).await?;
        for (key, _) in &found.rows {
            assert_eq!(**key, next.to_be_bytes(), "{what}");
            next += 1;
        }
        scan = page.behind(&found);
    }
    assert!(next >= acknowledged, "{what}: {acknowledged} were acknowledged, {next} are there");
    Ok(next)
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_commits_survive_power_cuts_in_both_places() {
    if let Err(missing) = powercut::available() {
        let _unwritable = writeln!(std::io::stdout(), "SKIPPED power cuts and mounts: cannot {missing}");
        return;
    }
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let (rounds, seed) = (number("FIRN_ROUNDS").unwrap_or(25), number("FIRN_SEED").unwrap_or(1));
    let memory = Path::new("/dev/shm");
    let parent = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    let scratch = tempfile::tempdir_in(parent).unwrap();
    let (backing, mounted) = (scratch.path().join("backing"), scratch.path().join("mnt"));
    for dir in [&backing, &mounted, &backing.join("home"), &backing.join("b")] {
        std::fs::create_dir(dir).unwrap();
    }
    std::fs::write(backing.join("home").join(MARKER), "an appliance").unwrap();
    let entropy = Arc::new(SeededEntropy::new(seed));
    let attached = [MARKER.to_owned()];
    let (mut acknowledged, mut shared) = (0, 0);
    for round in 0..rounds {
        let what = format!("round {round} of FIRN_SEED={seed}");
        let mut chance = Seeded::new(seed).fork(round);
        let layer = PowerCut::mount(&backing, &mounted, chance.next()).unwrap();
        let zone: Arc<Faults> = Arc::default();
        let opening = chance.chance(1, 4);
        if opening {
            layer.cut_after(chance.below(120));
        }
        let home = mounted.join("home/catalog");
        let opened =
            tokio::task::block_in_place(|| RocksCatalog::open(&home, options(&mounted, &zone, &entropy)));
        match opened {
            Ok(catalog) => {
                if !opening {
                    acknowledged = verify(&catalog, acknowledged, &what).await;
                    // Anywhere while a copy is made, or a while after.
                    layer.cut_after(1 + chance.below(1_200));
                }
                let place = place(&mounted);
                let wanted = Arc::new(move |_: Option<&str>| Some(place.clone()));
                let files = SmallFiles::new(mounted.join("home"), attached.to_vec());
                let mut worker = CopyWorker::new(Arc::clone(&catalog), Arc::new(files), wanted);
                // It meets the cut, or what was armed.
                let _made = worker.tick().await;
                if chance.chance(1, 3) {
                    zone.arm(Point::CatalogSync, Fault::Io, chance.below(30), 1);
                }
                match count(&catalog, acknowledged, &what).await {
                    Ok(rows) => acknowledged = write(&catalog, rows).await,
                    Err(error) => assert!(layer.wait_for_cut(Duration::ZERO), "{what}: {error}"),
                }
                tokio::task::block_in_place(|| catalog.close());
            }
            Err(error) => assert!(opening && layer.wait_for_cut(Duration::ZERO), "{what}: {error}"),
        }
        layer.cut().unwrap();
        tokio::task::block_in_place(|| layer.unmount()).unwrap();
        if shared_with(&backing.join("home/catalog")).unwrap().is_some() {
            shared += 1;
            let lost = scratch.path().join(format!("made {round}"));
            let from = place(&backing).dir;
            let restored = restore(&from, &lost, (&attached, None), options(&backing, &zone, &entropy))
                .unwrap_or_else(|error| panic!("{what}: {error}"));
            assert_eq!(restored.attached, [(MARKER.to_owned(), b"an appliance".to_vec())]);
            let made = Options { copy: CopyOptions::default(), ..options(&backing, &zone, &entropy) };
            let catalog = RocksCatalog::open(&lost, made).unwrap();
            verify(&catalog, acknowledged, &what).await;
            drop(catalog);
            std::fs::remove_dir_all(lost).unwrap();
        }
    }
    assert!(
        acknowledged > 0 && shared > rounds / 4,
        "{acknowledged} rows; shared after {shared} of {rounds} cuts"
    );
}
