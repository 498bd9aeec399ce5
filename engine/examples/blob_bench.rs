//! Measures the blob store beside the bare primitives, in one run: `cargo run --release -p engine --example blob_bench [DIR]`.
//!
//! Rows are in memory, so that the figures are the pool's alone.
#![expect(clippy::print_stdout, reason = "a benchmark prints")]
#![expect(clippy::unwrap_used, reason = "a benchmark that fails ends")]
#![expect(clippy::cast_precision_loss, reason = "rates for people")]

use bytes::Bytes;
use engine::blob::{
    BlobStore, Collector, Compactor, OpenOptions, Owner, Recycler, SealedBlob, Usage, release,
};
use engine::catalog::{Catalog, Commit, Durability, MemoryCatalog, Write};
use engine::clock::{Clock, ManualClock, SystemClock, Timestamp};
use engine::codec::DataKey;
use engine::codec::chunk::{ChunkCipher, SEALED_CHUNK_BYTES};
use engine::entropy::{Entropy, SystemEntropy};
use engine::fault::Faults;
use engine::id::{BlobId, PartitionId};
use engine::unit::ByteCount;
use engine::worker::{Progress, Worker};
use futures_util::StreamExt;
use futures_util::future::join_all;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const HOME: PartitionId = PartitionId::from_bytes(*b"bench   ");
const BODY: usize = 16 << 20;
/// Uploads at a time in the churn: one alone pays for a whole page of padding each.
const WRITERS: usize = 16;

fn main() {
    let base = std::env::args().nth(1).map_or_else(std::env::temp_dir, Into::into);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let dir = base.join(format!("blob-bench-{}", std::process::id()));
        let bench = Bench::open(&dir.join("a"), ByteCount::mib(256), Arc::new(SystemClock)).await;
        for worker in bench.store.workers() {
            if worker.name() == "zeroer" {
                run(worker).await;
            }
        }
        compaction(&dir.join("b")).await;
        bench.small_writes().await;
        bench.large_writes().await;
        bench.large_reads(&dir).await;
        std::fs::remove_dir_all(&dir).unwrap();
    });
}

struct Bench {
    store: Arc<BlobStore>,
    catalog: Arc<dyn Catalog>,
}

fn now() -> Duration {
    SystemClock.boottime()
}

fn seconds_since(start: Duration) -> f64 {
    now().saturating_sub(start).as_secs_f64()
}

async fn run(mut worker: Box<dyn Worker>) {
    while let Progress::More { .. } = worker.tick().await.unwrap() {}
}

impl Bench {
    async fn open(dir: &Path, segment_bytes: ByteCount, clock: Arc<dyn Clock>) -> Self {
        let catalog: Arc<dyn Catalog> = Arc::new(MemoryCatalog::default());
        let (entropy, faults) = (Arc::new(SystemEntropy), Arc::new(Faults::default()));
        let mut options = OpenOptions::new(dir.to_owned(), Arc::clone(&catalog), clock, entropy, faults);
        options.segment_bytes = segment_bytes;
        Self { store: BlobStore::open(options).await.unwrap(), catalog }
    }

    async fn commit(&self, writes: Vec<Write>) {
        let read_version = self.catalog.snapshot(HOME).await.unwrap().read_version();
        let durability = Durability::Synced;
        let commit = Commit { writes, durability, ..Commit::new(HOME, read_version) };
        self.catalog.commit(commit).await.unwrap();
    }

    async fn small_writes(&self) {
        let body = Bytes::from(vec![7; 8 << 10]);
        for tasks in [1_u32, 16, 64] {
            let before = self.store.usage();
            let start = now();
            let each = 8_000 / tasks.max(8);
            let jobs: Vec<_> = (0..tasks)
                .map(|_| {
                    let (store, body) = (Arc::clone(&self.store), body.clone());
                    tokio::spawn(async move {
                        for _ in 0..each {
                            write(&store, &body).await;
                        }
                    })
                })
                .collect();
            for job in jobs {
                job.await.unwrap();
            }
            let rate = f64::from(tasks * each) / seconds_since(start);
            let after = self.store.usage();
            println!("durable 8 KiB, {tasks:>2} tasks: {rate:>8.0} /s   {}", per_group(&before, &after));
        }
    }

    async fn large_writes(&self) {
        let mut body = vec![0; BODY];
        SystemEntropy.fill(&mut body);
        let body = Bytes::from(body);
        for tasks in [1_usize, 4] {
            let start = now();
            let jobs: Vec<_> = (0..tasks)
                .map(|_| {
                    let (store, body) = (Arc::clone(&self.store), body.clone());
                    tokio::spawn(async move {
                        for _ in 0..16 {
                            write(&store, &body).await;
                        }
                    })
                })
                .collect();
            for job in jobs {
                job.await.unwrap();
            }
            println!("durable 16 MiB, {tasks} tasks: {:>6.0} MB/s", rate_mb(tasks * 16 * BODY, start));
        }
    }

    async fn large_reads(&self, dir: &Path) {
        let sealed = write(&self.store, &Bytes::from(vec![5; BODY])).await;
        self.commit(sealed.writes(&Owner::new("bench").unwrap())).await;
        let bare = BareFile::new(dir);
        for round in 0..3 {
            let start = now();
            for _ in 0..40 {
                bare.read();
            }
            let bare_mb = rate_mb(40 * BODY, start);
            let start = now();
            for _ in 0..40 {
                let mut reader = self.store.read(HOME, sealed.id, &sealed.key, 0..BODY as u64);
                let mut got = 0;
                while let Some(piece) = reader.next().await {
                    got += piece.unwrap().len();
                }
                assert_eq!(got, BODY);
            }
            let ours = rate_mb(40 * BODY, start);
            let share = 100.0 * ours / bare_mb;
            println!(
                "read 16 MiB, round {round}: {ours:>6.0} MB/s, bare pread + GCM {bare_mb:>6.0} MB/s: {share:.0} %"
            );
        }
        let start = now();
        for n in 0..20_000_u64 {
            let at = n * 4099 % (BODY as u64 - 4096);
            let mut reader = self.store.read(HOME, sealed.id, &sealed.key, at..at + 4096);
            while let Some(piece) = reader.next().await {
                piece.unwrap();
            }
        }
        println!("read 4 KiB of 16 MiB, one task: {:.0} /s", 20_000.0 / seconds_since(start));
    }
}

/// The same bytes sealed the same way in a file, read by one pread a MiB into a reused buffer on this thread.
struct BareFile {
    file: File,
    cipher: ChunkCipher,
}

impl BareFile {
    fn new(dir: &Path) -> Self {
        let path = dir.join("bare");
        let cipher = ChunkCipher::new(BlobId::from_bytes([1; 16]), &DataKey::from_bytes([2; 32]));
        let mut sealed = Vec::new();
        for (index, chunk) in (0..).zip(vec![5; BODY].chunks(64 << 10)) {
            cipher.seal_into(index, chunk, &mut sealed);
        }
        std::fs::write(&path, sealed).unwrap();
        Self { file: File::open(path).unwrap(), cipher }
    }

    fn read(&self) {
        let mut buffer = vec![0; 16 * SEALED_CHUNK_BYTES];
        for piece in 0..16_u64 {
            self.file.read_exact_at(&mut buffer, piece * 16 * SEALED_CHUNK_BYTES as u64).unwrap();
            for (index, chunk) in (piece * 16..).zip(buffer.chunks_mut(SEALED_CHUNK_BYTES)) {
                self.cipher.open_in_place(index, chunk).unwrap();
            }
        }
    }
}

async fn write(store: &Arc<BlobStore>, body: &Bytes) -> SealedBlob {
    let mut writer = store.writer(HOME, Some(ByteCount::from(body.len())));
    let mut rest = body.clone();
    while !rest.is_empty() {
        writer.push(rest.split_to(rest.len().min(256 << 10))).await.unwrap();
    }
    writer.seal().await.unwrap()
}

fn rate_mb(bytes: usize, start: Duration) -> f64 {
    bytes as f64 / 1e6 / seconds_since(start)
}

fn per_group(before: &Usage, after: &Usage) -> String {
    let (records, groups, syncs) =
        (after.records - before.records, after.groups - before.groups, after.syncs - before.syncs);
    format!(
        "{:.1} records a group, {:.3} syncs a group",
        records as f64 / groups as f64,
        syncs as f64 / groups as f64
    )
}

/// Uniform churn of 16 KiB bodies over segments of 4 MiB by 16 writers; the workers run between batches.
async fn compaction(dir: &Path) {
    let clock = Arc::new(ManualClock::new(Timestamp::from_millis(0)));
    let bench = Bench::open(dir, ByteCount::mib(4), clock.clone()).await;
    let owner = Owner::new("bench").unwrap();
    let body = Bytes::from(vec![9; 16 << 10]);
    let blobs = 4_000_usize;
    let mut held = Vec::new();
    for _ in 0..blobs / WRITERS {
        for sealed in join_all((0..WRITERS).map(|_| write(&bench.store, &body))).await {
            bench.commit(sealed.writes(&owner)).await;
            held.push(sealed.id);
        }
    }
    let (mut at_steady, mut steady) = (bench.store.usage(), 0);
    for round in 0..60 {
        for _ in 0..blobs / 10 / WRITERS {
            for sealed in join_all((0..WRITERS).map(|_| write(&bench.store, &body))).await {
                let mut dice = [0; 8];
                SystemEntropy.fill(&mut dice);
                let slot = usize::try_from(u64::from_le_bytes(dice) % blobs as u64).unwrap();
                let mut writes = sealed.writes(&owner);
                writes.extend(release(held[slot], &owner));
                bench.commit(writes).await;
                held[slot] = sealed.id;
            }
        }
        clock.advance(Duration::from_mins(1));
        run(Box::new(Collector::new(Arc::clone(&bench.store)))).await;
        run(Box::new(Compactor::new(Arc::clone(&bench.store)))).await;
        run(Box::new(Recycler::new(Arc::clone(&bench.store)))).await;
        if round == 20 {
            at_steady = bench.store.usage();
        }
        steady += usize::from(round > 20);
    }
    let usage = bench.store.usage();
    let moved = usage.moved_bytes.saturating_sub(at_steady.moved_bytes).get();
    let appended = usage.record_bytes.saturating_sub(at_steady.record_bytes).get();
    let accepted = steady * blobs / 10 * body.len();
    println!(
        "compaction in uniform churn: {:.2} bytes rewritten per byte accepted ({:.2} per record byte), pool {:.0} % live",
        moved as f64 / accepted as f64,
        moved as f64 / (appended - moved) as f64,
        100.0 * usage.live.get() as f64 / usage.segment_bytes.get() as f64,
    );
}
