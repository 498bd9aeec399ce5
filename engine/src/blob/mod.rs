//! Blobs: the immutable bytes of one upload, encrypted, in records of the pool, located by a row of the catalog.
//!
//! ```text
//!   writer.push ─► chunk ─► seal (AES-256-GCM) ─► record ─► lane ─► segment
//!   writer.seal ─► sync ─► SealedBlob ─► the caller commits sealed.writes(owner) with its own rows
//!   read ─► row ─► pin segments ─► preadv2 / pread ─► verify and open each chunk ─► Stream<Bytes>
//!   repair ─► a copy that is missing, damaged or in the wrong zone ─► read from another one, verified ─► a new place
//! ```
//!
//! # Invariants
//! - Bytes before names: [`BlobWriter::seal`] returns once the bytes are durable; only then can a row name them.
//! - A blob has a row exactly as long as it has references, give or take the collector's queue.
//! - Live bytes are counted per partition and segment in the commits that add and remove rows, so what a crash orphaned is
//!   dead without anybody looking for it.
//!
//! # Limits
//! 8 GiB and 3 copies a blob; an owner's name 64 bytes; a writer holds at most two records (2 MiB, 8 MiB past the first
//! half GiB) of each copy in memory, a reader its read-ahead window.

mod collector;
mod compactor;
mod companion;
mod copies;
mod damage;
mod homes;
mod live;
mod mend;
mod open;
mod policy;
mod reader;
mod recycler;
mod reference;
pub(crate) mod remote;
mod repairer;
mod roster;
pub(crate) mod row;
mod scrubber;
mod spread;
mod sweep;
mod usage;
mod writer;
mod zeroer;

pub use crate::pool::mark_replaced;
pub use collector::Collector;
pub use compactor::Compactor;
pub use companion::{Companion, accompany};
pub use open::{KEEP_FREE_DEFAULT, LOCAL_ZONE, OpenOptions, SEGMENT_BYTES_DEFAULT, Short, ZoneOptions};
pub use reader::BlobReader;
pub use recycler::Recycler;
pub use reference::{OWNER_BYTES_MAX, Owner, has_blobs, holder, reference, release, share};
pub use remote::{CACHE_MIN, CacheOptions, RemoteOptions, RemoteTrouble, RemoteUsage, Remover, Uploader};
pub use repairer::{Repair, Repairer};
pub use row::{BLOB_BYTES_MAX, Copies};
pub use scrubber::Scrubber;
pub use spread::Company;
pub use usage::{Usage, ZoneUsage};
pub use writer::{BlobWriter, SealedBlob, WrittenBlob};
pub use zeroer::Zeroer;

use crate::catalog::{Catalog, Version};
use crate::clock::Clock;
use crate::codec::DataKey;
use crate::entropy::Entropy;
use crate::id::{BlobId, PartitionId, SegmentId};
use crate::pool::{Bells, Pool, Zone, Zones};
use crate::unit::ByteCount;
use crate::{Error, Result};
use damage::Damage;
use homes::Homes;
use live::Live;
use parking_lot::Mutex;
use remote::RemotePool;
use row::{BlobRow, blob_key};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Pause of the workers of space when they find nothing to do.
const REST: Duration = Duration::from_secs(5);
/// The same while writers find no room.
const FULL_REST: Duration = Duration::from_millis(500);

/// Where a record of a blob lies, for people.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Place {
    /// The pool's name.
    pub pool: &'static str,
    /// Which copy of the blob it belongs to, from 0.
    pub copy: usize,
    /// The zone that the copy is in.
    pub zone: String,
    /// It can't be read now: its zone is away, or its segment is lost.
    pub missing: bool,
    /// The segment, in its text form; in a remote pool the object's name.
    pub segment: String,
    /// Offset of the record in the segment file or object.
    pub offset: ByteCount,
    /// Bytes of the record, frame and tags included.
    pub length: ByteCount,
}

/// The store of blobs.
pub struct BlobStore {
    pub(crate) catalog: Arc<dyn Catalog>,
    clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) zones: Zones,
    /// Where bodies go from the local pools, or lie too.
    remote: Option<Arc<RemotePool>>,
    segment_bytes: ByteCount,
    /// Copies of a blob that says nothing else.
    copies: usize,
    short: Short,
    homes: Arc<Homes>,
    /// Bounds the preads on the blocking pool.
    reads: Arc<Semaphore>,
    /// Bounds what readers hold in memory ahead of their clients, in chunks.
    ahead: Arc<Semaphore>,
    keep_free: ByteCount,
    /// See [`set_hold`](Self::set_hold).
    hold: Mutex<Option<Version>>,
    live: Live,
    bells: Bells,
    /// Segments that the compactor could not empty, for whatever reason; it leaves them alone.
    left_alone: Mutex<BTreeSet<SegmentId>>,
    /// Segments that no row names, and the version of the commit that made sure.
    freed: Mutex<BTreeMap<SegmentId, Version>>,
    collected: AtomicU64,
    moved_bytes: AtomicU64,
    scrubbed_bytes: AtomicU64,
    damage: Damage,
    repair: Mutex<Repair>,
    /// Held while a zone is taken out of use or back into it.
    drains: tokio::sync::Mutex<()>,
}

impl BlobStore {
    /// Opens the store; its directories must not be open anywhere else.
    pub async fn open(options: OpenOptions) -> Result<Arc<Self>> {
        let OpenOptions { zones, remote, catalog, clock, entropy, segment_bytes, keep_free, copies, short } =
            options;
        let bells = Bells::default();
        let copies = open::check_copies(&zones, copies)?;
        let shared = open::Shared {
            segment_bytes,
            keep_free,
            clock: Arc::clone(&clock),
            entropy: Arc::clone(&entropy),
            bells: bells.clone(),
        };
        let (zones, remote) = open::open_zones(&*catalog, zones, remote, shared).await?;
        let homes = Homes::load(&*catalog).await?;
        let live = Live::load(&*catalog, &homes.all()).await?;
        let store = Self {
            catalog,
            clock,
            entropy,
            zones,
            remote,
            segment_bytes,
            copies,
            short,
            homes: Arc::new(homes),
            reads: Arc::new(Semaphore::new(reader::READS_MAX)),
            ahead: Arc::new(Semaphore::new(reader::AHEAD_CHUNKS)),
            keep_free,
            hold: Mutex::new(None),
            live,
            bells,
            left_alone: Mutex::default(),
            freed: Mutex::default(),
            collected: AtomicU64::new(0),
            moved_bytes: AtomicU64::new(0),
            scrubbed_bytes: AtomicU64::new(0),
            damage: Damage::default(),
            repair: Mutex::default(),
            drains: tokio::sync::Mutex::default(),
        };
        store.report_missing();
        Ok(Arc::new(store))
    }

    /// Ends the lanes after what waits in them; later writes answer [`Error::Closed`], reads go on. When this returns the
    /// directory may be opened again.
    pub async fn close(&self) {
        self.zones.close().await;
    }

    /// Says which segments rows name that are not there: reads of their blobs need another copy, or fail as corrupt. Those
    /// of zones that are away, or whose disk was replaced, are said together: which zone a segment is of only the rows know.
    fn report_missing(&self) {
        let missing = self.missing_segments();
        let bytes: u64 = missing.iter().map(|segment| self.live.of(*segment)).sum();
        if bytes == 0 {
            return;
        }
        let segments = missing.len();
        let is_any_away = !self.zones.iter().all(Zone::is_there);
        if is_any_away {
            tracing::error!(
                bytes,
                "a zone is away: what lies there is read from other copies, where there are any"
            );
        }
        let refilling: Vec<&str> =
            self.zones.iter().filter(|zone| zone.is_refilling()).map(|zone| zone.name.as_str()).collect();
        if !refilling.is_empty() {
            let zone = refilling.join(", ");
            tracing::warn!(
                zone,
                segments,
                bytes,
                "a zone has a new disk: what it held is read from other copies and copied to it again"
            );
        } else if !is_any_away {
            for segment in missing {
                tracing::error!(%segment, bytes = self.live.of(segment), "a segment that rows name is missing");
            }
        }
    }

    /// Segments that rows name and that no pool has.
    pub(crate) fn missing_segments(&self) -> Vec<SegmentId> {
        let named = self.live.segments().into_iter();
        named.filter(|segment| self.zones.holder(*segment).is_none()).collect()
    }

    /// Says whether new bodies find room: [`Error::Full`] when fewer zones than they are to have copies have as much left
    /// on their file systems as bodies leave to the catalog.
    pub fn check_room(&self) -> Result<()> {
        let mut first = None;
        let mut enough = 0;
        for zone in self.zones.iter().filter(|zone| zone.is_there() && !zone.is_draining()) {
            let rooms = zone.pools.iter().map(|pool| self.check_pool(pool)).collect::<Vec<_>>();
            if rooms.iter().any(Result::is_ok) {
                enough += 1;
            }
            first = first.or(rooms.into_iter().find_map(Result::err));
        }
        let wanted = self.needed_zones();
        match first {
            _ if enough >= wanted => Ok(()),
            Some(error) => Err(error),
            None => Err(Error::TooFewZones { wanted, there: enough }),
        }
    }

    fn check_pool(&self, pool: &Pool) -> Result<()> {
        let available = pool.allocator.available()?;
        if available < self.keep_free.get() {
            let place = pool.allocator.dir().display().to_string();
            return Err(Error::Full { place, wanted: self.keep_free.get() - available });
        }
        Ok(())
    }

    /// Zones that a write needs.
    fn needed_zones(&self) -> usize {
        if self.short == Short::Accept { 1 } else { self.copies }
    }

    /// How many copies that is.
    pub(crate) fn count_of(&self, copies: Copies) -> usize {
        match copies {
            Copies::Configured => self.copies,
            Copies::One => 1,
        }
    }

    /// Something was given up that may free space: where there is too little, the workers of space look at once.
    pub fn freed_something(&self) {
        if self.is_short_of_room() {
            self.bells.collector.notify_one();
        }
    }

    /// New bodies find no room, or soon will not.
    fn is_short_of_room(&self) -> bool {
        self.zones.is_any_full() || self.check_room().is_err()
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

    /// The hold, as it was set last. What else is freed by a commit, and is not in the catalog, goes by it, too.
    pub fn hold(&self) -> Option<Version> {
        *self.hold.lock()
    }

    /// Where the records of a blob lie.
    pub async fn locate(&self, home: PartitionId, blob: BlobId) -> Result<Vec<Place>> {
        let row = self.row(home, blob).await?;
        let mut places = Vec::new();
        for (copy, of) in row.copies.iter().enumerate() {
            for at in &of.places {
                places.push(Place {
                    pool: "local",
                    copy,
                    zone: self.zones.get(of.zone).map_or("unknown", |zone| &zone.name).to_owned(),
                    missing: self.zones.holder(at.segment).is_none(),
                    segment: at.segment.to_string(),
                    offset: ByteCount::new(at.offset.into()),
                    length: ByteCount::new(at.stored_len()),
                });
            }
        }
        places.extend(self.locate_remote(home, blob, &row));
        Ok(places)
    }

    /// The same for the remote copy.
    fn locate_remote(&self, home: PartitionId, blob: BlobId, row: &BlobRow) -> Vec<Place> {
        let Some(remote) = &row.remote else { return Vec::new() };
        let zone = self.zones.get(remote.zone).map(|zone| zone.name.clone());
        let pool = self.remote_of(row);
        let zone = pool.map(|pool| pool.name().to_owned()).or(zone).unwrap_or_else(|| "unknown".to_owned());
        let place = |index| Place {
            pool: "s3",
            copy: row.copies.len(),
            zone: zone.clone(),
            missing: pool.is_none(),
            segment: remote::object_name(home, blob, remote.id),
            offset: ByteCount::new(remote.offset_of(index)),
            length: ByteCount::new(row.record_stored_len(index)),
        };
        (0..row.records()).map(place).collect()
    }

    pub(crate) async fn row(&self, home: PartitionId, blob: BlobId) -> Result<BlobRow> {
        let bytes = self.catalog.snapshot(home).await?.get(blob_key(blob)).await?;
        match bytes {
            Some(bytes) => BlobRow::decode(blob, &bytes),
            None => Err(Error::NotFound { what: "blob", id: blob.to_string() }),
        }
    }

    /// How long a worker of space rests that found nothing to do.
    fn rest(&self) -> Duration {
        if self.is_short_of_room() { FULL_REST } else { REST }
    }
}

/// A key of a fixed length.
pub(crate) fn fixed<const N: usize>(key: &[u8], what: &str) -> Result<[u8; N]> {
    let wrong = |_| Error::Corrupt { what: what.to_owned(), detail: format!("key of {} bytes", key.len()) };
    key.try_into().map_err(wrong)
}

#[cfg(test)]
mod tests;
