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

mod reader;
mod reference;
pub(crate) mod row;
mod writer;

pub use reader::BlobReader;
pub use reference::{OWNER_BYTES_MAX, Owner, has_blobs, reference, release, share};
pub use row::BLOB_BYTES_MAX;
pub use writer::{BlobWriter, SealedBlob};

use crate::catalog::{Catalog, Commit, Durability, Scan, Version, Write};
use crate::clock::Clock;
use crate::codec::DataKey;
use crate::entropy::Entropy;
use crate::fault::Faults;
use crate::id::{BlobId, PartitionId, SegmentId};
use crate::pool::{Pool, PoolOptions};
use crate::unit::ByteCount;
use crate::{Error, Result};
use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use row::{BlobRow, HOMES, PRESENT, blob_key, home_key};
use std::collections::BTreeSet;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// The segment size when nothing else is configured.
pub const SEGMENT_BYTES_DEFAULT: ByteCount = ByteCount::mib(256);

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
    #[expect(dead_code, reason = "for the workers that follow")]
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) pool: Pool,
    /// Partitions that may have blobs: each has a row in the root partition.
    homes: RwLock<BTreeSet<PartitionId>>,
    /// Bounds the preads on the blocking pool.
    reads: Arc<Semaphore>,
    /// See [`set_hold`](Self::set_hold).
    hold: Mutex<Option<Version>>,
}

impl BlobStore {
    /// Opens the store; its directory must not be open anywhere else.
    pub async fn open(options: OpenOptions) -> Result<Arc<Self>> {
        let OpenOptions { dir, catalog, clock, entropy, faults, segment_bytes } = options;
        let pool = PoolOptions {
            dir,
            segment_bytes,
            clock: Arc::clone(&clock),
            entropy: Arc::clone(&entropy),
            faults,
        };
        let pool =
            tokio::task::spawn_blocking(move || Pool::open(pool)).await.map_err(|_| Error::Closed)??;
        let homes = RwLock::new(load_homes(&*catalog).await?);
        Ok(Arc::new(Self {
            catalog,
            clock,
            entropy,
            pool,
            homes,
            reads: Arc::new(Semaphore::new(reader::READS_MAX)),
            hold: Mutex::new(None),
        }))
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
                partition: PartitionId::ROOT,
                read_version,
                checks: vec![],
                writes: vec![Write::Put(home_key(home), Bytes::from_static(PRESENT))],
                durability: Durability::Synced,
                idempotency: None,
            })
            .await?;
        self.homes.write().insert(home);
        Ok(())
    }

    /// Partitions that may have blobs.
    #[expect(dead_code, reason = "for the workers that follow")]
    pub(crate) fn homes(&self) -> Vec<PartitionId> {
        self.homes.read().iter().copied().collect()
    }
}

async fn load_homes(catalog: &dyn Catalog) -> Result<BTreeSet<PartitionId>> {
    let snapshot = catalog.snapshot(PartitionId::ROOT).await?;
    let mut homes = BTreeSet::new();
    let mut scan = Scan { keys_only: true, ..Scan::prefix(HOMES, &[], 1000) };
    loop {
        let page = snapshot.scan(scan.clone()).await?;
        for (key, _) in &page.rows {
            homes.insert(PartitionId::from_bytes(fixed(key, "home row")?));
        }
        match page.rows.last() {
            Some((last, _)) if page.more => scan.start = after(last),
            _ => return Ok(homes),
        }
    }
}

/// The smallest key after this one.
pub(crate) fn after(key: &[u8]) -> Bytes {
    let mut next = key.to_vec();
    next.push(0);
    next.into()
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
