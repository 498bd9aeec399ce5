//! Blobs: the immutable bytes of one upload, encrypted, in records of the pool, located by a row of the catalog.
//!
//! ```text
//!   writer.push ─► chunk ─► seal (AES-256-GCM) ─► record ─► lane ─► segment
//!   writer.seal ─► sync ─► SealedBlob ─► the caller commits sealed.writes(owner) with its own rows
//!   read ─► row ─► pin segments ─► preadv2 / pread ─► verify and open each chunk ─► Stream<Bytes>
//! ```
//!
//! # Invariants
//! - Bytes before names: [`BlobWriter::seal`] returns once the bytes are durable; only then can a row name them.
//! - A blob has a row exactly as long as it has references, give or take the collector's queue.
//! - Live bytes are counted per partition and segment in the commits that add and remove rows, so what a crash orphaned is
//!   dead without anybody looking for it.
//!
//! # Limits
//! 8 GiB a blob; an owner's name 64 bytes; a writer holds at most two records (2 MiB, 8 MiB past the first half GiB) in
//! memory, a reader its read-ahead window.

mod collector;
mod compactor;
mod live;
mod policy;
mod reader;
mod recycler;
mod reference;
pub(crate) mod row;
mod scrubber;
mod usage;
mod writer;
mod zeroer;

pub use collector::Collector;
pub use compactor::Compactor;
pub use reader::BlobReader;
pub use recycler::Recycler;
pub use reference::{OWNER_BYTES_MAX, Owner, has_blobs, reference, release, share};
pub use row::BLOB_BYTES_MAX;
pub use scrubber::Scrubber;
pub use usage::Usage;
pub use writer::{BlobWriter, SealedBlob};
pub use zeroer::Zeroer;

use crate::catalog::{Catalog, Commit, Scan, Version, Write};
use crate::clock::Clock;
use crate::codec::DataKey;
use crate::entropy::Entropy;
use crate::fault::Faults;
use crate::id::{BlobId, PartitionId, SegmentId};
use crate::pool::{Pool, PoolOptions};
use crate::unit::ByteCount;
use crate::{Error, Result};
use bytes::Bytes;
use compactor::blocking;
use live::Live;
use parking_lot::{Mutex, RwLock};
use row::{BlobRow, HOMES, PRESENT, blob_key, home_key};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use tokio::sync::{Notify, Semaphore};

/// The segment size when nothing else is configured.
pub const SEGMENT_BYTES_DEFAULT: ByteCount = ByteCount::mib(256);

/// What bodies leave to the catalog when nothing else is configured.
pub const KEEP_FREE_DEFAULT: ByteCount = ByteCount::mib(64);

/// Pause of the workers of space when they find nothing to do.
const REST: Duration = Duration::from_secs(5);
/// The same while writers find no room.
const FULL_REST: Duration = Duration::from_millis(500);

/// What ends the rest of the workers of space: each rings for the next, and a lane that finds no room for all of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bells {
    collector: Arc<Notify>,
    compactor: Arc<Notify>,
    recycler: Arc<Notify>,
}

impl Bells {
    /// The pool is full.
    pub(crate) fn ring_all(&self) {
        for bell in [&self.collector, &self.compactor, &self.recycler] {
            bell.notify_one();
        }
    }
}

/// What a blob store is opened with.
#[derive(Clone)]
pub struct OpenOptions {
    /// The directory of the local pool's segment files; made if missing.
    pub dir: PathBuf,
    /// Where the rows are.
    pub catalog: Arc<dyn Catalog>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Ids and keys.
    pub entropy: Arc<dyn Entropy>,
    /// Injected faults.
    pub faults: Arc<Faults>,
    /// Size of new segment files, 1 MiB to 1 GiB.
    pub segment_bytes: ByteCount,
    /// Bytes of the file system that bodies leave to the catalog, so that deletes work when there is no room.
    pub keep_free: ByteCount,
}

impl OpenOptions {
    /// With the default sizes.
    pub fn new(
        dir: PathBuf,
        catalog: Arc<dyn Catalog>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        faults: Arc<Faults>,
    ) -> Self {
        let (segment_bytes, keep_free) = (SEGMENT_BYTES_DEFAULT, KEEP_FREE_DEFAULT);
        Self { dir, catalog, clock, entropy, faults, segment_bytes, keep_free }
    }
}

/// Where a record of a blob lies, for people.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Place {
    /// The pool's name.
    pub pool: &'static str,
    /// The segment, in its text form.
    pub segment: String,
    /// Offset of the record in the segment file.
    pub offset: ByteCount,
    /// Bytes of the record, frame and tags included.
    pub length: ByteCount,
}

/// The store of blobs.
pub struct BlobStore {
    pub(crate) catalog: Arc<dyn Catalog>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) pool: Pool,
    /// Partitions that may have blobs: each has a row in the root partition.
    homes: RwLock<BTreeSet<PartitionId>>,
    /// Bounds the preads on the blocking pool.
    reads: Arc<Semaphore>,
    keep_free: ByteCount,
    /// See [`set_hold`](Self::set_hold).
    hold: Mutex<Option<Version>>,
    live: Live,
    bells: Bells,
    /// Segments that no row names, and the version of the commit that made sure.
    freed: Mutex<BTreeMap<SegmentId, Version>>,
    collected: AtomicU64,
    moved_bytes: AtomicU64,
    scrubbed_bytes: AtomicU64,
    damaged_records: AtomicU64,
}

impl BlobStore {
    /// Opens the store; its directory must not be open anywhere else.
    pub async fn open(options: OpenOptions) -> Result<Arc<Self>> {
        let OpenOptions { dir, catalog, clock, entropy, faults, segment_bytes, keep_free } = options;
        let bells = Bells::default();
        let pool = PoolOptions {
            dir,
            segment_bytes,
            keep_free,
            clock,
            entropy: Arc::clone(&entropy),
            faults,
            bells: bells.clone(),
        };
        let pool = blocking(move || {
            let pool = Pool::open(pool)?;
            match pool.allocator.keep_reserve() {
                // A full disk is no reason not to open: reads and deletes work.
                Ok(()) | Err(Error::Full { .. }) => {}
                Err(error) => return Err(error),
            }
            pool.allocator.judge_room()?;
            Ok(pool)
        })
        .await?;
        let homes = load_homes(&*catalog).await?;
        let live = Live::load(&*catalog, &homes).await?;
        let store = Self {
            catalog,
            entropy,
            pool,
            homes: RwLock::new(homes),
            reads: Arc::new(Semaphore::new(reader::READS_MAX)),
            keep_free,
            hold: Mutex::new(None),
            live,
            bells,
            freed: Mutex::default(),
            collected: AtomicU64::new(0),
            moved_bytes: AtomicU64::new(0),
            scrubbed_bytes: AtomicU64::new(0),
            damaged_records: AtomicU64::new(0),
        };
        store.report_missing();
        Ok(Arc::new(store))
    }

    /// Ends the lanes after what waits in them; later writes answer [`Error::Closed`], reads go on. When this returns the
    /// directory may be opened again.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// Says which segments rows name that are not there: reads of their blobs will fail as corrupt.
    fn report_missing(&self) {
        for segment in self.live.segments() {
            if self.pool.allocator.pin(segment).is_none() {
                tracing::error!(%segment, bytes = self.live.of(segment), "a segment that rows name is missing");
            }
        }
    }

    /// Says whether the pool takes new bodies: [`Error::Full`] when its file system has less left than they leave to the
    /// catalog.
    pub fn check_room(&self) -> Result<()> {
        let available = self.pool.allocator.available()?;
        if available < self.keep_free.get() {
            let place = self.pool.allocator.dir().display().to_string();
            return Err(Error::Full { place, wanted: self.keep_free.get() - available });
        }
        Ok(())
    }

    /// A writer for a new blob whose row will be in partition `home`. `expected` is its length where it is known: a hint.
    pub fn writer(self: &Arc<Self>, home: PartitionId, expected: Option<ByteCount>) -> BlobWriter {
        BlobWriter::new(Arc::clone(self), home, expected)
    }

    /// Reads a range of plaintext bytes. Nothing happens before the stream is polled; errors come through it.
    pub fn read(
        self: &Arc<Self>,
        home: PartitionId,
        blob: BlobId,
        key: &DataKey,
        range: Range<u64>,
    ) -> BlobReader {
        BlobReader::new(Arc::clone(self), home, blob, key, range)
    }

    /// Keeps segments that are freed by commits after `version` from being recycled, so that a backup of that version still
    /// finds its bytes; `None` lets them go.
    pub fn set_hold(&self, version: Option<Version>) {
        *self.hold.lock() = version;
    }

    /// The hold, as it was set last.
    #[cfg(test)]
    pub(crate) fn hold(&self) -> Option<Version> {
        *self.hold.lock()
    }

    /// Where the records of a blob lie.
    pub async fn locate(&self, home: PartitionId, blob: BlobId) -> Result<Vec<Place>> {
        let row = self.row(home, blob).await?;
        let place = |at: &row::RecordAt| Place {
            pool: "local",
            segment: at.segment.to_string(),
            offset: ByteCount::new(at.offset.into()),
            length: ByteCount::new(at.stored_len()),
        };
        Ok(row.places.iter().map(place).collect())
    }

    pub(crate) async fn row(&self, home: PartitionId, blob: BlobId) -> Result<BlobRow> {
        let bytes = self.catalog.snapshot(home).await?.get(blob_key(blob)).await?;
        match bytes {
            Some(bytes) => BlobRow::decode(blob, &bytes),
            None => Err(Error::NotFound { what: "blob", id: blob.to_string() }),
        }
    }

    /// Makes it known, durably, that `home` may have blobs.
    pub(crate) async fn register_home(&self, home: PartitionId) -> Result<()> {
        if self.homes.read().contains(&home) {
            return Ok(());
        }
        let read_version = self.catalog.snapshot(PartitionId::ROOT).await?.read_version();
        self.catalog
            .commit(Commit {
                writes: vec![Write::Put(home_key(home), Bytes::from_static(PRESENT))],
                ..Commit::new(PartitionId::ROOT, read_version)
            })
            .await?;
        self.homes.write().insert(home);
        Ok(())
    }

    /// How long a worker of space rests that found nothing to do.
    fn rest(&self) -> Duration {
        if self.pool.allocator.is_full() { FULL_REST } else { REST }
    }

    /// Partitions that may have blobs.
    pub(crate) fn homes(&self) -> Vec<PartitionId> {
        self.homes.read().iter().copied().collect()
    }
}

async fn load_homes(catalog: &dyn Catalog) -> Result<BTreeSet<PartitionId>> {
    let snapshot = catalog.snapshot(PartitionId::ROOT).await?;
    let mut homes = BTreeSet::new();
    let mut next = Some(Scan { keys_only: true, ..Scan::prefix(HOMES, &[], 1000) });
    while let Some(scan) = next {
        let page = snapshot.scan(scan.clone()).await?;
        for (key, _) in &page.rows {
            homes.insert(PartitionId::from_bytes(fixed(key, "home row")?));
        }
        next = scan.behind(&page);
    }
    Ok(homes)
}

/// A key of a fixed length.
pub(crate) fn fixed<const N: usize>(key: &[u8], what: &str) -> Result<[u8; N]> {
    let wrong = |_| Error::Corrupt { what: what.to_owned(), detail: format!("key of {} bytes", key.len()) };
    key.try_into().map_err(wrong)
}

/// Names a record in errors.
pub(crate) fn describe(blob: BlobId, segment: SegmentId, offset: u64) -> String {
    format!("blob {blob} in segment {segment} at offset {offset}")
}

#[cfg(test)]
mod tests;
