//! The key table over the catalog in memory.

use super::table::Uses;
use super::{FileCustodian, KeyScope, KeyTable, custodian, row};
use crate::credentials::write_private;
use crate::{Error, ErrorKind};
use bytes::Bytes;
use engine::catalog::{Catalog, Commit, Limits, MemoryCatalog, Snapshot, Table, Version, Write};
use engine::clock::{ManualClock, Timestamp};
use engine::entropy::SeededEntropy;
use engine::id::PartitionId;
use engine::{BoxFuture, Result};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

/// Passes everything on to a catalog in memory, unless it is told not to.
struct World {
    inner: MemoryCatalog,
    commits: AtomicU64,
    /// 0: works. 1: commits fail. 2: commits happen and their outcome is lost.
    mood: AtomicU8,
    /// Happens between what the next commit was based on and the commit itself.
    between: Mutex<Option<BoxFuture<'static, ()>>>,
}

impl Catalog for World {
    fn limits(&self) -> Limits {
        self.inner.limits()
    }
    fn snapshot(&self, partition: PartitionId) -> BoxFuture<'_, Result<Arc<dyn Snapshot>>> {
        self.inner.snapshot(partition)
    }
    fn commit(&self, commit: Commit) -> BoxFuture<'_, Result<Version>> {
        Box::pin(async move {
            let step = self.between.lock().take();
            if let Some(step) = step {
                step.await;
            }
            let lost = || engine::Error::Unknown { reason: "test".to_owned() };
            match self.mood.load(Ordering::SeqCst) {
                1 => return Err(engine::Error::Full { place: "test".to_owned(), wanted: 1 }),
                2 => {
                    self.inner.commit(commit).await?;
                    return Err(lost());
                }
                _ => {}
            }
            self.commits.fetch_add(1, Ordering::SeqCst);
            self.inner.commit(commit).await
        })
    }
}

struct Bench {
    world: Arc<World>,
    custodian: Arc<FileCustodian>,
    entropy: Arc<SeededEntropy>,
    _dir: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let entropy = Arc::new(SeededEntropy::new(11));
        let custodian = FileCustodian::generate(&dir.path().join("master.key"), entropy.clone()).unwrap();
        let world = World {
            inner: MemoryCatalog::default(),
            commits: 0.into(),
            mood: 0.into(),
            between: Mutex::default(),
        };
        Self { world: Arc::new(world), custodian: Arc::new(custodian), entropy, _dir: dir }
    }

    /// Opens the table; the one before, if any, is as good as killed.
    async fn open(&self, max: u64, block: u64) -> Arc<KeyTable> {
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_700_000_000_000)));
        let (world, custodian, entropy) = (self.world.clone(), self.custodian.clone(), self.entropy.clone());
        KeyTable::open_with(world, custodian, entropy, clock, Uses { max, block }).await.unwrap()
    }
}

fn scope() -> KeyScope {
    KeyScope::s3("111122223333".parse().unwrap())
}

/// Lets spawned reservations run to their end.
async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

fn key_of(sealed: &[u8]) -> [u8; 8] {
    sealed[1..9].try_into().unwrap()
}

#[tokio::test]
async fn seals_and_unseals_across_a_restart_and_refuses_every_change() {
    let bench = Bench::new();
    let table = bench.open(1 << 32, 1 << 20).await;
    assert!(matches!(table.seal(scope(), b"x", b""), Err(Error::NoKey(_))));
    table.prepare(scope()).await.unwrap();
    let sealed = table.seal(scope(), b"data key", b"row").unwrap();
    assert_eq!(sealed.len(), 8 + KeyTable::OVERHEAD);
    assert_ne!(sealed, table.seal(scope(), b"data key", b"row").unwrap());
    let again = bench.open(1 << 32, 1 << 20).await;
    assert_eq!(&**again.unseal(&sealed, b"row").unwrap(), b"data key");
    let empty = table.seal(scope(), b"", b"").unwrap();
    assert!(again.unseal(&empty, b"").unwrap().is_empty());
    assert_eq!(again.unseal(&sealed, b"roW").unwrap_err().kind(), ErrorKind::Corrupt);
    for at in 0..sealed.len() {
        for bit in 0..8 {
            let mut bad = sealed.clone();
            bad[at] ^= 1 << bit;
            again.unseal(&bad, b"row").unwrap_err();
        }
        again.unseal(&sealed[..at], b"row").unwrap_err();
    }
    let mut newer = sealed;
    newer[0] = 2;
    assert!(matches!(again.unseal(&newer, b"row"), Err(Error::Newer { found: 2, supported: 1, .. })));
}

#[tokio::test]
async fn no_key_seals_more_often_than_allowed_even_when_every_run_crashes() {
    let (max, block) = (64, 8);
    let bench = Bench::new();
    let mut uses: HashMap<[u8; 8], u64> = HashMap::new();
    let mut sealed = Vec::new();
    for run in 0..60_u64 {
        let table = bench.open(max, block).await;
        table.prepare(scope()).await.unwrap();
        for _ in 0..run % 23 {
            let one = table.seal(scope(), b"k", b"a").unwrap();
            *uses.entry(key_of(&one)).or_default() += 1;
            sealed.push(one);
            settle().await;
        }
    }
    assert!(uses.len() > 3, "keys were renewed: {}", uses.len());
    assert!(uses.values().all(|count| *count <= max), "{uses:?}");
    let table = bench.open(max, block).await;
    for one in &sealed {
        assert_eq!(&**table.unseal(one, b"a").unwrap(), b"k");
    }
}

#[tokio::test]
async fn a_key_is_used_to_its_limit_and_then_replaced_without_a_pause() {
    let bench = Bench::new();
    let table = bench.open(32, 8).await;
    table.prepare(scope()).await.unwrap();
    let mut uses: HashMap<[u8; 8], u64> = HashMap::new();
    for _ in 0..320 {
        *uses.entry(key_of(&table.seal(scope(), b"k", b"").unwrap())).or_default() += 1;
        settle().await;
    }
    assert!(uses.values().all(|count| *count <= 32), "{uses:?}");
    // The last block of a key is given up at its half, when the new key takes over.
    assert!(uses.values().filter(|count| **count >= 28).count() >= 10, "{uses:?}");
}

#[tokio::test]
async fn a_catalog_that_takes_nothing_stops_sealing_at_the_end_of_the_block_and_no_later() {
    let bench = Bench::new();
    let table = bench.open(1 << 32, 8).await;
    table.prepare(scope()).await.unwrap();
    bench.world.mood.store(1, Ordering::SeqCst);
    for _ in 0..8 {
        table.seal(scope(), b"k", b"").unwrap();
        settle().await;
    }
    let error = table.seal(scope(), b"k", b"").unwrap_err();
    assert!(matches!(error, Error::Exhausted(_)), "{error}");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    table.prepare(scope()).await.unwrap_err();
    bench.world.mood.store(0, Ordering::SeqCst);
    table.seal(scope(), b"k", b"").unwrap_err();
    settle().await;
    table.seal(scope(), b"k", b"").unwrap();
}

#[tokio::test]
async fn a_commit_of_unknown_outcome_costs_a_block_and_nothing_else() {
    let bench = Bench::new();
    let table = bench.open(1 << 32, 8).await;
    bench.world.mood.store(2, Ordering::SeqCst);
    table.prepare(scope()).await.unwrap_err();
    bench.world.mood.store(0, Ordering::SeqCst);
    table.prepare(scope()).await.unwrap();
    assert_eq!(table.describe().0, 1, "the key that was committed is taken up, not a second one made");
    table.seal(scope(), b"k", b"").unwrap();
}

#[tokio::test]
async fn reservations_are_rare_and_prepare_is_idempotent() {
    let bench = Bench::new();
    let table = bench.open(1 << 32, 1 << 20).await;
    for _ in 0..10 {
        table.prepare(scope()).await.unwrap();
    }
    for _ in 0..1000 {
        table.seal(scope(), &[7; 32], b"aad").unwrap();
    }
    settle().await;
    assert_eq!(bench.world.commits.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn scopes_have_keys_of_their_own() {
    let bench = Bench::new();
    let table = bench.open(1 << 32, 1 << 20).await;
    let other = KeyScope::s3("444455556666".parse().unwrap());
    table.prepare(scope()).await.unwrap();
    table.prepare(other).await.unwrap();
    let (one, two) = (table.seal(scope(), b"k", b"").unwrap(), table.seal(other, b"k", b"").unwrap());
    assert_ne!(key_of(&one), key_of(&two));
}

#[tokio::test]
async fn another_master_key_opens_nothing() {
    let bench = Bench::new();
    bench.open(1 << 32, 8).await.prepare(scope()).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let entropy = bench.entropy.clone();
    let other = FileCustodian::generate(&dir.path().join("master.key"), entropy.clone()).unwrap();
    let clock = Arc::new(ManualClock::new(Timestamp::from_millis(0)));
    let error = KeyTable::open(bench.world.clone(), Arc::new(other), entropy, clock).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_threads_share_the_budget() {
    let bench = Bench::new();
    let table = bench.open(256, 64).await;
    table.prepare(scope()).await.unwrap();
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let table = table.clone();
            tokio::spawn(async move {
                let mut keys = Vec::new();
                while keys.len() < 500 {
                    match table.seal(scope(), b"k", b"") {
                        Ok(sealed) => keys.push(key_of(&sealed)),
                        Err(_) => tokio::task::yield_now().await,
                    }
                }
                keys
            })
        })
        .collect();
    let mut uses: HashMap<[u8; 8], u64> = HashMap::new();
    for task in tasks {
        for key in task.await.unwrap() {
            *uses.entry(key).or_default() += 1;
        }
    }
    assert_eq!(uses.values().sum::<u64>(), 4000);
    assert!(uses.values().all(|count| *count <= 256), "{uses:?}");
}

#[tokio::test]
async fn golden_rows_and_file_open_a_golden_sealed_value() {
    const SEALED: &str =
        "010102030405060708505152535455565758595a5bd5c1dc7311441274b3b0061355664db52acaab8cd012d5b0";
    let bench = Bench::new();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("master.key");
    write_private(&path, &hex::decode(custodian::tests::GOLDEN).unwrap()).unwrap();
    let put = |table: Table, key: &[u8], row: &str| {
        Write::Put(table.key(Bytes::copy_from_slice(key)), hex::decode(row).unwrap().into())
    };
    let id = [1, 2, 3, 4, 5, 6, 7, 8];
    let scope_key = [&111_122_223_333_u64.to_be_bytes()[..], &[1]].concat();
    let read_version = bench.world.snapshot(PartitionId::ROOT).await.unwrap().read_version();
    let commit = Commit {
        writes: vec![
            put(row::KEYS, &id, row::tests::KEY_ROW),
            put(row::ACTIVE, &scope_key, row::tests::ACTIVE_ROW),
        ],
        ..Commit::new(PartitionId::ROOT, read_version)
    };
    bench.world.commit(commit).await.unwrap();
    let custodian = Arc::new(FileCustodian::load(&path, bench.entropy.clone()).unwrap());
    let clock = Arc::new(ManualClock::new(Timestamp::from_millis(0)));
    let table = KeyTable::open(bench.world.clone(), custodian, bench.entropy.clone(), clock).await.unwrap();
    assert_eq!(&**table.unseal(&hex::decode(SEALED).unwrap(), b"row").unwrap(), b"data key");
    table.prepare(scope()).await.unwrap();
    assert_eq!(key_of(&table.seal(scope(), b"x", b"").unwrap()), id, "the active key goes on sealing");
}

#[tokio::test]
async fn two_tables_never_count_one_block_twice() {
    let bench = Bench::new();
    let first = bench.open(2, 1).await;
    first.prepare(scope()).await.unwrap();
    let mut used: HashMap<[u8; 8], u32> = HashMap::new();
    let mut seal =
        |table: &KeyTable| *used.entry(key_of(&table.seal(scope(), b"x", b"").unwrap())).or_default() += 1;
    seal(&first);
    // Another process reserves a block between what this one read and what it writes.
    let (one, other) = (bench.open(2, 1).await, bench.open(2, 1).await);
    let theirs = other.clone();
    *bench.world.between.lock() = Some(Box::pin(async move { theirs.prepare(scope()).await.unwrap() }));
    one.prepare(scope()).await.unwrap();
    seal(&other);
    seal(&one);
    assert!(used.values().all(|uses| *uses <= 2), "a key was used beyond its limit: {used:?}");
    assert_eq!(used.values().sum::<u32>(), 3);
}

#[tokio::test]
async fn of_two_first_keys_one_is_active() {
    let bench = Bench::new();
    let (one, other) = (bench.open(1 << 32, 1 << 20).await, bench.open(1 << 32, 1 << 20).await);
    let theirs = other.clone();
    *bench.world.between.lock() = Some(Box::pin(async move { theirs.prepare(scope()).await.unwrap() }));
    // Who loses the race is told so, and finds the other's key.
    if one.prepare(scope()).await.is_err() {
        one.prepare(scope()).await.unwrap();
    }
    let key = |table: &KeyTable| key_of(&table.seal(scope(), b"x", b"").unwrap());
    assert_eq!(key(&one), key(&other));
}
