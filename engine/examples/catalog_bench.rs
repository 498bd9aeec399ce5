//! Measures the durable catalog on this machine: `catalog_bench [DIR] [PART…]`, with `KEYS=` and `SECONDS_EACH=` in the
//! environment.
//!
//! Parts: `disk` (what a bare sync costs), `transactions` (read, check, two synced puts; 1, 16 and 64 clients), `ingest` (relaxed commits of 5,000 rows, the
//! fastest path that the catalog offers to its users: no table files are slipped in), `pages` (1,000-key listings where
//! nine of ten keys were deleted, at once and 20 s later), `reopen` (after a kill under load). A table goes to stderr, JSON to stdout.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for a terminal")]

use bytes::Bytes;
use engine::catalog::{
    Catalog, Check, Commit, Durability, Family, Options, RocksCatalog, Scan, Table, Write,
};
use engine::clock::{Clock, SystemClock};
use engine::entropy::SystemEntropy;
use engine::id::PartitionId;
use engine::{Error, Result};
use std::collections::BTreeMap;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

const RECORDS: Table = Table { family: Family::Record, tag: 1 };
const INDEX: Table = Table { family: Family::Index, tag: 1 };
const HERE: PartitionId = PartitionId::from_bytes([7; 8]);
const CHILD: &str = "child";
const BATCH: u64 = 5_000;

type Report = BTreeMap<String, serde_json::Value>;

fn open(dir: &Path) -> Result<Arc<RocksCatalog>> {
    let options = Options::new(Arc::new(SystemClock), Arc::new(SystemEntropy), Arc::default());
    RocksCatalog::open(dir, options)
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// A cheap, well-spread stream of numbers.
fn spread(n: u64) -> u64 {
    let mut x = n.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    x ^= x >> 32;
    x.wrapping_mul(0xD6E8_FEB8_6659_FD93) ^ (x >> 29)
}

fn micros(mut times: Vec<Duration>, quantile: usize) -> u64 {
    times.sort_unstable();
    let at = (times.len() * quantile / 1000).min(times.len().saturating_sub(1));
    times.get(at).map_or(0, |time| u64::try_from(time.as_micros()).unwrap_or(u64::MAX))
}

fn per_second(count: u64, time: Duration) -> u64 {
    let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX).max(1);
    count.saturating_mul(1_000_000) / micros
}

async fn transaction(catalog: &RocksCatalog, key: u64) -> Result<()> {
    let row = RECORDS.key(key.to_be_bytes().to_vec());
    let view = catalog.snapshot(HERE).await?;
    let _found = view.get(row.clone()).await?;
    let commit = Commit {
        checks: vec![Check::Unchanged(row.clone())],
        writes: vec![
            Write::Put(row, Bytes::from_static(&[7; 200])),
            Write::Put(INDEX.key(key.to_be_bytes().to_vec()), Bytes::from_static(&[7; 40])),
        ],
        ..Commit::new(HERE, view.read_version())
    };
    catalog.commit(commit).await.map(drop)
}

async fn client(catalog: Arc<RocksCatalog>, client: u64, time: Duration) -> Result<Vec<Duration>> {
    let (clock, mut times) = (SystemClock, Vec::new());
    let start = clock.boottime();
    let mut before = start;
    while before.saturating_sub(start) < time {
        let key = spread(client << 40 | times.len() as u64) % 10_000_000;
        match transaction(&catalog, key).await {
            Ok(()) | Err(Error::Conflict { .. }) => {}
            Err(error) => return Err(error),
        }
        let now = clock.boottime();
        times.push(now.saturating_sub(before));
        before = now;
    }
    Ok(times)
}

/// What the disk does beside it: 4 KiB over written blocks, one `fdatasync` each.
fn disk(dir: &Path, report: &mut Report) -> Result<()> {
    let path = dir.join("disk");
    let failed = |source| Error::io("write", &path, source);
    std::fs::create_dir_all(dir).map_err(failed)?;
    std::fs::write(&path, vec![1; 4 << 20]).map_err(failed)?;
    let file = std::fs::OpenOptions::new().write(true).open(&path).map_err(failed)?;
    file.sync_all().map_err(failed)?;
    let mut times = Vec::new();
    for n in 0..1000 {
        let before = SystemClock.boottime();
        file.write_all_at(&[7; 4096], n * 4096).map_err(failed)?;
        file.sync_data().map_err(failed)?;
        times.push(SystemClock.boottime().saturating_sub(before));
    }
    let (p50, p99) = (micros(times.clone(), 500), micros(times, 990));
    eprintln!("disk: 4 KiB and fdatasync: p50 {p50} µs, p99 {p99} µs");
    report.insert("disk".into(), serde_json::json!({ "latency_us_p50": p50, "latency_us_p99": p99 }));
    Ok(())
}

async fn transactions(dir: &Path, report: &mut Report) -> Result<()> {
    let time = Duration::from_secs(number("SECONDS_EACH", 5));
    let catalog = open(&dir.join("transactions"))?;
    eprintln!("clients  transactions/s  p50 µs  p99 µs  commits/group  syncs/group  conflicts");
    for clients in [1, 16, 64] {
        let before = catalog.counts();
        let start = SystemClock.boottime();
        let tasks: Vec<_> =
            (0..clients).map(|n| tokio::spawn(client(Arc::clone(&catalog), n, time))).collect();
        let mut times = Vec::new();
        for task in tasks {
            times.extend(task.await.map_err(|_| Error::Closed)??);
        }
        let elapsed = SystemClock.boottime().saturating_sub(start);
        let after = catalog.counts();
        let (commits, groups) = (after.commits - before.commits, (after.groups - before.groups).max(1));
        let syncs = after.syncs - before.syncs;
        let rate = per_second(commits, elapsed);
        let (p50, p99) = (micros(times.clone(), 500), micros(times, 990));
        let (share, synced) = (commits * 10 / groups, syncs * 1000 / groups);
        let conflicts = after.conflicts - before.conflicts;
        eprintln!(
            "{clients:7}  {rate:14}  {p50:6}  {p99:6}  {:11}.{}  {:7}.{:03}  {conflicts:9}",
            share / 10,
            share % 10,
            synced / 1000,
            synced % 1000
        );
        report.insert(
            format!("transactions_{clients}"),
            serde_json::json!({
                "per_second": rate, "latency_us_p50": p50, "latency_us_p99": p99, "commits": commits,
                "groups": groups, "syncs": syncs, "conflicts": conflicts,
                "log_bytes": after.log_bytes - before.log_bytes,
            }),
        );
    }
    Ok(())
}

async fn ingest_rows(catalog: &RocksCatalog, keys: u64, write: impl Fn(u64) -> Option<Write>) -> Result<()> {
    let mut next = 0;
    while next < keys {
        let end = (next + BATCH).min(keys);
        let writes = (next..end).filter_map(&write).collect();
        let durability = if end == keys { Durability::Synced } else { Durability::Relaxed };
        catalog.commit(Commit { writes, durability, ..Commit::new(HERE, 0) }).await?;
        next = end;
    }
    Ok(())
}

fn index_row(n: u64) -> Bytes {
    Bytes::from(format!("data/{:03}/object-{n:012}", n / 100_000 % 1000))
}

async fn ingest(dir: &Path, report: &mut Report) -> Result<()> {
    let keys = number("KEYS", 100_000_000);
    let catalog = open(&dir.join("ingest"))?;
    let start = SystemClock.boottime();
    let row = |n| Some(Write::Put(INDEX.key(index_row(n)), Bytes::from_static(&[7; 50])));
    ingest_rows(&catalog, keys, row).await?;
    let elapsed = SystemClock.boottime().saturating_sub(start);
    let rate = per_second(keys, elapsed);
    eprintln!("ingest: {keys} keys in {} s, {rate}/s, by relaxed commits of {BATCH} rows", elapsed.as_secs());
    report.insert(
        "ingest".into(),
        serde_json::json!({ "keys": keys, "seconds": elapsed.as_secs_f64(), "per_second": rate, "path": "commits" }),
    );
    Ok(())
}

async fn pages(dir: &Path, report: &mut Report) -> Result<()> {
    let keys = number("PAGE_KEYS", 5_000_000);
    let catalog = open(&dir.join("pages"))?;
    let row = |n| Some(Write::Put(INDEX.key(index_row(n)), Bytes::from_static(&[7; 50])));
    ingest_rows(&catalog, keys, row).await?;
    let dead = |n| (n % 10 != 0).then(|| Write::Delete(INDEX.key(index_row(n))));
    ingest_rows(&catalog, keys, dead).await?;
    for (name, rest) in [("pages", 0), ("pages_settled", 20)] {
        // What was deleted is compacted away beside the reads: at once, and after a while.
        SystemClock.sleep(Duration::from_secs(rest)).await;
        page_times(&catalog, keys, name, report).await?;
    }
    Ok(())
}

async fn page_times(catalog: &RocksCatalog, keys: u64, name: &str, report: &mut Report) -> Result<()> {
    let mut times = Vec::new();
    for n in 0..2_000 {
        let start = index_row(spread(n) % (keys - keys / 10));
        let before = SystemClock.boottime();
        let view = catalog.snapshot(HERE).await?;
        let page = view.scan(Scan { start, ..Scan::prefix(INDEX, b"", 1_000) }).await?;
        times.push(SystemClock.boottime().saturating_sub(before));
        if page.rows.len() != 1_000 {
            return Err(Error::Invalid(format!("list a page: {} rows", page.rows.len())));
        }
    }
    let (p50, p99) = (micros(times.clone(), 500), micros(times, 990));
    eprintln!("{name}: 1,000 of {keys} keys, 90 % of them deleted: p50 {p50} µs, p99 {p99} µs");
    report.insert(
        name.into(),
        serde_json::json!({ "keys": keys, "latency_us_p50": p50, "latency_us_p99": p99 }),
    );
    Ok(())
}

async fn child(dir: &Path) -> Result<()> {
    let catalog = open(&dir.join("reopen"))?;
    println!("open");
    let row = |n| Some(Write::Put(INDEX.key(spread(n).to_be_bytes().to_vec()), Bytes::from_static(&[7; 50])));
    ingest_rows(&catalog, u64::MAX, row).await
}

async fn reopen(dir: &Path, report: &mut Report) -> Result<()> {
    let failed = |source| Error::io("run", dir, source);
    let program = std::env::current_exe().map_err(failed)?;
    let started = Command::new(program).arg(dir).arg(CHILD).stdout(Stdio::null()).spawn();
    let mut process = started.map_err(failed)?;
    SystemClock.sleep(Duration::from_secs(number("SECONDS_EACH", 5) * 2)).await;
    process.kill().map_err(failed)?;
    process.wait().map_err(failed)?;
    let before = SystemClock.boottime();
    let catalog = open(&dir.join("reopen"))?;
    let elapsed = SystemClock.boottime().saturating_sub(before);
    let version = catalog.snapshot(HERE).await?.read_version();
    eprintln!("reopen after a kill: {} ms, at version {version}", elapsed.as_millis());
    report
        .insert("reopen".into(), serde_json::json!({ "seconds": elapsed.as_secs_f64(), "version": version }));
    Ok(())
}

fn resident() -> serde_json::Value {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok()
    };
    serde_json::json!({ "now_kib": line("VmRSS"), "peak_kib": line("VmHWM") })
}

#[tokio::main]
async fn main() -> Result<()> {
    let mut words = std::env::args().skip(1);
    let dir = PathBuf::from(words.next().unwrap_or_else(|| "catalog-bench".into()));
    let mut parts: Vec<String> = words.collect();
    if parts.is_empty() {
        parts = ["disk", "transactions", "pages", "reopen", "ingest"].map(String::from).to_vec();
    }
    let mut report = Report::new();
    for part in &parts {
        match part.as_str() {
            "disk" => disk(&dir, &mut report)?,
            "transactions" => transactions(&dir, &mut report).await?,
            "ingest" => ingest(&dir, &mut report).await?,
            "pages" => pages(&dir, &mut report).await?,
            "reopen" => reopen(&dir, &mut report).await?,
            CHILD => child(&dir).await?,
            other => return Err(Error::Invalid(format!("run a part named {other:?}"))),
        }
    }
    report.insert("resident".into(), resident());
    println!("{}", serde_json::json!(report));
    Ok(())
}
