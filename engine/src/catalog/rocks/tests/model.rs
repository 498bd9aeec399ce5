//! Random commits against an oracle, with reopening and with `kill -9` as operations.
//!
//! The child half runs in a process of its own: this test binary again, with one test selected and the directory and seed
//! in its environment. It prints the number of each commit that it was told is durable, and the parent kills it at a random
//! one; what it was told must be there, and what is there must be a prefix of what it did.

use super::{HERE, clock, options};
use crate::Error;
use crate::catalog::{Catalog, Check, Commit, Durability, Family, Key, RocksCatalog, Scan, Table, Write};
use crate::entropy::{Entropy, SeededEntropy};
use crate::id::PartitionId;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::sync::Arc;

const TABLES: [Table; 4] = [
    Table { family: Family::Record, tag: 1 },
    Table { family: Family::Index, tag: 1 },
    Table { family: Family::Body, tag: 1 },
    Table { family: Family::Queue, tag: 9 },
];
const COUNTERS: Table = Table { family: Family::Counter, tag: 1 };
const THERE: PartitionId = PartitionId::from_bytes([9; 8]);

/// A stream of small random numbers.
struct Dice(SeededEntropy);

impl Dice {
    fn roll(&self, sides: u64) -> u64 {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        u64::from_le_bytes(bytes) % sides
    }
}

type Oracle = BTreeMap<(PartitionId, Table, Bytes), Bytes>;

fn random_commit(dice: &Dice, number: u64) -> Commit {
    let partition = if dice.roll(4) == 0 { THERE } else { HERE };
    let mut commit = Commit::new(partition, 0);
    for _ in 0..=dice.roll(5) {
        let key = Bytes::from(vec![b'k', u8::try_from(dice.roll(40)).unwrap()]);
        let table = TABLES[usize::try_from(dice.roll(4)).unwrap()];
        commit.writes.push(match dice.roll(4) {
            0 => Write::Delete(table.key(key)),
            1 => Write::Add(COUNTERS.key(key), i64::try_from(dice.roll(100)).unwrap() - 50),
            _ => {
                let len = usize::try_from(dice.roll(3) * dice.roll(3000)).unwrap();
                Write::Put(table.key(key), vec![u8::try_from(number % 251).unwrap(); len].into())
            }
        });
    }
    // Every commit says which one it is, so that what is found can be matched with what was done.
    commit
        .writes
        .push(Write::Put(TABLES[0].key(&b"number"[..]), Bytes::copy_from_slice(&number.to_le_bytes())));
    commit.partition = partition;
    commit
}

fn random_counter(dice: &Dice) -> Key {
    COUNTERS.key(vec![b'k', u8::try_from(dice.roll(40)).unwrap()])
}

fn apply(oracle: &mut Oracle, commit: &Commit) {
    for write in &commit.writes {
        let row = |key: &Key| (commit.partition, key.table, key.bytes.clone());
        match write {
            Write::Put(key, value) => drop(oracle.insert(row(key), value.clone())),
            Write::Delete(key) => drop(oracle.remove(&row(key))),
            Write::Add(key, delta) => {
                let value = oracle.entry(row(key)).or_insert_with(|| Bytes::from_static(&[0; 8]));
                let sum = i64::from_le_bytes(value[..].try_into().unwrap()).wrapping_add(*delta);
                *value = Bytes::copy_from_slice(&sum.to_le_bytes());
            }
        }
    }
}

async fn contents(catalog: &RocksCatalog) -> Oracle {
    let mut found = Oracle::new();
    for partition in [HERE, THERE] {
        let view = catalog.snapshot(partition).await.unwrap();
        for table in TABLES.into_iter().chain([COUNTERS]) {
            let page = view.scan(Scan::prefix(table, b"", 1000)).await.unwrap();
            assert!(!page.more);
            found.extend(page.rows.into_iter().map(|(key, value)| ((partition, table, key), value)));
        }
    }
    found
}

fn rounds(default: u64) -> (u64, u64) {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse().ok());
    (number("FIRN_SEED").unwrap_or(1), number("FIRN_ROUNDS").unwrap_or(default))
}

/// Names the seed of a round that fails.
struct Named(u64);

impl Drop for Named {
    fn drop(&mut self) {
        if std::thread::panicking() {
            drop(writeln!(std::io::stderr(), "failed with FIRN_SEED={} FIRN_ROUNDS=1", self.0));
        }
    }
}

#[tokio::test]
async fn random_commits_match_the_oracle_across_reopenings() {
    let (first, rounds) = rounds(6);
    for seed in first..first + rounds {
        let _named = Named(seed);
        let dir = tempfile::tempdir().unwrap();
        let dice = Dice(SeededEntropy::new(seed));
        let mut oracle = Oracle::new();
        let mut catalog = RocksCatalog::open(dir.path(), options(&clock(), &Arc::default())).unwrap();
        for number in 0..400 {
            let mut commit = random_commit(&dice, number);
            if dice.roll(3) == 0 {
                commit.durability = Durability::Relaxed;
            }
            if dice.roll(20) == 0 {
                commit.writes.insert(0, Write::Delete(random_counter(&dice)));
            }
            let mut after = oracle.clone();
            apply(&mut after, &commit);
            if dice.roll(2) == 0 {
                let (counter, limit) = (random_counter(&dice), i64::try_from(dice.roll(200)).unwrap() - 100);
                let stands = after.get(&(commit.partition, counter.table, counter.bytes.clone()));
                let stands = stands.map_or(0, |value| i64::from_le_bytes(value[..].try_into().unwrap()));
                commit.checks.push(Check::AtMost(counter, limit));
                if stands > limit {
                    let refused = catalog.commit(commit).await;
                    assert!(
                        matches!(refused, Err(Error::OverLimit { check: 0 })),
                        "seed {seed}: {refused:?}"
                    );
                    continue;
                }
            }
            oracle = after;
            catalog.commit(commit).await.unwrap();
            match dice.roll(60) {
                0 => {
                    drop(catalog);
                    catalog = RocksCatalog::open(dir.path(), options(&clock(), &Arc::default())).unwrap();
                }
                1 => catalog.shared.rows.flush(true).unwrap(),
                _ => {}
            }
            if dice.roll(40) == 0 {
                assert_eq!(contents(&catalog).await, oracle, "seed {seed}, commit {number}");
            }
        }
        assert_eq!(contents(&catalog).await, oracle, "seed {seed}");
    }
}

const CHILD_DIR: &str = "FIRN_CATALOG_CHILD_DIR";
const CHILD_SEED: &str = "FIRN_CATALOG_CHILD_SEED";

/// Not a test by itself: what [`a_killed_process_loses_nothing_acknowledged`] kills.
#[tokio::test]
async fn child_that_commits_until_it_is_killed() {
    let (Ok(dir), Ok(seed)) = (std::env::var(CHILD_DIR), std::env::var(CHILD_SEED)) else { return };
    let catalog = RocksCatalog::open(dir, options(&clock(), &Arc::default())).unwrap();
    let dice = Dice(SeededEntropy::new(seed.parse().unwrap()));
    let mut out = std::io::stdout().lock();
    for number in 0..u64::MAX {
        let mut commit = random_commit(&dice, number);
        commit.partition = HERE;
        catalog.commit(commit).await.unwrap();
        writeln!(out, "done {number}").unwrap();
        out.flush().unwrap();
        if number % 97 == 50 {
            catalog.shared.rows.flush(false).unwrap();
        }
    }
}

#[tokio::test]
async fn a_killed_process_loses_nothing_acknowledged() {
    let (first, rounds) = rounds(8);
    for seed in first..first + rounds {
        let _named = Named(seed);
        let dir = tempfile::tempdir().unwrap();
        let stop_after = Dice(SeededEntropy::new(!seed)).roll(400);
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "--nocapture",
                "catalog::rocks::tests::model::child_that_commits_until_it_is_killed",
            ])
            .envs([(CHILD_DIR, dir.path().to_str().unwrap()), (CHILD_SEED, &seed.to_string())])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut acknowledged = None;
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            // The harness may print its own words before the first one.
            let Some(number) = line.split("done ").nth(1) else { continue };
            acknowledged = Some(number.parse::<u64>().unwrap());
            if acknowledged == Some(stop_after) {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        let acknowledged = acknowledged.expect("the child answered");
        assert!(acknowledged >= stop_after, "the child ended by itself");
        let catalog = RocksCatalog::open(dir.path(), options(&clock(), &Arc::default())).unwrap();
        let found = contents(&catalog).await;
        let number = found[&(HERE, TABLES[0], Bytes::from_static(b"number"))][..].try_into().unwrap();
        let reached = u64::from_le_bytes(number);
        assert!(reached >= acknowledged, "seed {seed}: {acknowledged} was acknowledged, {reached} found");
        let dice = Dice(SeededEntropy::new(seed));
        let mut oracle = Oracle::new();
        for number in 0..=reached {
            let mut commit = random_commit(&dice, number);
            commit.partition = HERE;
            apply(&mut oracle, &commit);
        }
        assert_eq!(found, oracle, "seed {seed}: exactly the first {reached} commits");
    }
}
