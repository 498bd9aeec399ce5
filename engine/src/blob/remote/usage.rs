//! How a remote pool stands, for `status` and `doctor`.
//!
//! The queues are counted where they are, so that the count is right whatever commits did to them. That takes as long as they are, so
//! a long count is used again for [`ROW_COUNTS_FOR`] a row, about twenty times as long as it took: whoever asks all the time
//! spends a twentieth of a core on it.

use super::RemotePool;
use super::rows::UploadRow;
use crate::blob::BlobStore;
use crate::blob::live::count;
use crate::blob::row::{DOOMED, REMOTE_BYTES, UPLOADS, remote_bytes_key};
use crate::catalog::Scan;
use crate::catalog::record::Record;
use crate::clock::Timestamp;
use crate::unit::ByteCount;
use crate::{Error, Result};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Rows of one page.
const PAGE: usize = 1000;
/// A count of fewer rows is never used again.
const FEW_ROWS: u64 = 10_000;
/// How long a count is used again, for each row of it.
const ROW_COUNTS_FOR: Duration = Duration::from_micros(20);

/// Why a remote store takes nothing.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct RemoteTrouble {
    /// Since when, in milliseconds since 1970.
    pub since_ms: Timestamp,
    /// What it answered last, or did not.
    pub why: String,
}

/// A remote pool at a moment. Counts are since the store was opened.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct RemoteUsage {
    /// Its zone's name.
    pub name: String,
    /// Where it is.
    pub place: String,
    /// Local copies stay beside it.
    pub keeps_local: bool,
    /// Bytes of its objects that rows name.
    pub live: ByteCount,
    /// Blobs that wait to be uploaded. Of a long queue this and what follows is up to some seconds old: 20 s for a million.
    pub waiting_blobs: u64,
    /// Bytes of their objects.
    pub waiting: ByteCount,
    /// Since when the first of them waits, in milliseconds since 1970.
    pub waiting_since_ms: Option<Timestamp>,
    /// Those of them of which no copy could be read when the queue was last gone through.
    pub unreadable_blobs: u64,
    /// Rows about it that can't be read: of the queue, whose blobs are counted as waiting, and of what lies there, which is not counted.
    pub damaged_rows: u64,
    /// Objects that no row names and that are not deleted yet.
    pub doomed_objects: u64,
    /// What keeps it from going on.
    pub trouble: Option<RemoteTrouble>,
    /// Bytes a second that may be uploaded now; no limit when it is not said.
    pub limit: Option<ByteCount>,
    /// Blobs uploaded.
    pub uploaded_blobs: u64,
    /// Bytes of their objects.
    pub uploaded: ByteCount,
    /// Bytes read from it.
    pub read: ByteCount,
    /// Objects deleted because their blobs were.
    pub deleted_objects: u64,
    /// Objects deleted that no row had ever come to name.
    pub orphans: u64,
    /// Bytes in the cache.
    pub cache: ByteCount,
    /// Its bound; 0 without one.
    pub cache_max: ByteCount,
    /// Pieces that it had.
    pub cache_hits: u64,
    /// Pieces that it did not have.
    pub cache_misses: u64,
}

/// The queues of all partitions.
#[derive(Clone, Debug, Default)]
pub(super) struct Counted {
    /// Boot time of the count.
    at: Duration,
    waiting_blobs: u64,
    waiting: ByteCount,
    waiting_since: Option<Timestamp>,
    damaged_rows: u64,
    doomed_objects: u64,
}

impl BlobStore {
    /// How the remote pool stands, if there is one.
    pub async fn remote_usage(&self) -> Result<Option<RemoteUsage>> {
        let Some(pool) = self.remote.clone() else { return Ok(None) };
        let load = |n: &AtomicU64| n.load(Ordering::Relaxed);
        let (trouble, counted) = (pool.trouble(), self.counted(&pool).await?);
        let (cache, cache_max) = pool.cache.as_ref().map_or_else(Default::default, super::Cache::fill);
        let mut usage = RemoteUsage {
            name: pool.name.clone(),
            place: pool.place.clone(),
            keeps_local: pool.keeps_local,
            live: ByteCount::ZERO,
            waiting_blobs: counted.waiting_blobs,
            waiting: counted.waiting,
            waiting_since_ms: counted.waiting_since,
            unreadable_blobs: load(&pool.unreadable).min(counted.waiting_blobs),
            damaged_rows: counted.damaged_rows,
            doomed_objects: counted.doomed_objects,
            trouble: trouble.map(|trouble| RemoteTrouble { since_ms: trouble.since, why: trouble.why }),
            limit: pool.pace.now(),
            uploaded_blobs: load(&pool.uploaded_blobs),
            uploaded: ByteCount::new(load(&pool.uploaded_bytes)),
            read: ByteCount::new(load(&pool.read_bytes)),
            deleted_objects: load(&pool.deleted_objects),
            orphans: load(&pool.orphans),
            cache,
            cache_max,
            cache_hits: pool.cache.as_ref().map_or(0, |cache| load(&cache.hits)),
            cache_misses: pool.cache.as_ref().map_or(0, |cache| load(&cache.misses)),
        };
        for home in self.homes() {
            let snapshot = self.catalog.snapshot(home).await?;
            if let Some(value) = snapshot.get(remote_bytes_key(pool.zone)).await? {
                match count(&value) {
                    Ok(bytes) => usage.live += ByteCount::new(bytes),
                    Err(_) => usage.damaged_rows += 1,
                }
            }
        }
        Ok(Some(usage))
    }

    /// How long the queues are, or were a moment ago.
    async fn counted(&self, pool: &RemotePool) -> Result<Counted> {
        let mut last = pool.counted.lock().await;
        let now = self.clock.boottime();
        let is_good = |last: &&Counted| {
            let rows = last.waiting_blobs + last.doomed_objects;
            rows >= FEW_ROWS && now < last.at + ROW_COUNTS_FOR * u32::try_from(rows).unwrap_or(u32::MAX)
        };
        if let Some(last) = last.as_ref().filter(is_good) {
            return Ok(last.clone());
        }
        let mut counted = Counted { at: now, ..Counted::default() };
        for home in self.homes() {
            let snapshot = self.catalog.snapshot(home).await?;
            let mut next = Some(Scan::prefix(UPLOADS, &[], PAGE));
            while let Some(scan) = next {
                let page = snapshot.scan(scan.clone()).await?;
                for (_, value) in &page.rows {
                    counted.waiting_blobs += 1;
                    // The uploader says what is wrong with it.
                    let Ok(row) = UploadRow::from_bytes(value) else {
                        counted.damaged_rows += 1;
                        continue;
                    };
                    counted.waiting += ByteCount::new(row.bytes);
                    let first = counted.waiting_since.map_or(row.queued, |first| first.min(row.queued));
                    counted.waiting_since = Some(first);
                }
                next = scan.behind(&page);
            }
            let mut next = Some(Scan { keys_only: true, ..Scan::prefix(DOOMED, &[], PAGE) });
            while let Some(scan) = next {
                let page = snapshot.scan(scan.clone()).await?;
                counted.doomed_objects += page.rows.len() as u64;
                next = scan.behind(&page);
            }
        }
        *last = Some(counted.clone());
        Ok(counted)
    }

    /// Bytes of objects in zones that are not configured any more: nobody can read them.
    pub async fn unreachable_remote_bytes(&self) -> Result<ByteCount> {
        let mut bytes = ByteCount::ZERO;
        for home in self.homes() {
            let snapshot = self.catalog.snapshot(home).await?;
            for (key, value) in snapshot.scan(Scan::prefix(REMOTE_BYTES, &[], PAGE)).await?.rows {
                let zone = crate::pool::ZoneId::from_bytes(super::super::fixed(&key, "remote counter")?);
                if self.remote.as_ref().is_none_or(|pool| pool.zone != zone) {
                    bytes += ByteCount::new(count(&value)?);
                }
            }
        }
        Ok(bytes)
    }

    /// Says that a zone that a call named is a remote one, which is not drained.
    pub(in crate::blob) fn refuse_remote(&self, name: &str) -> Result<()> {
        if self.remote.as_ref().is_some_and(|pool| pool.name == name) {
            return Err(Error::Invalid(format!(
                "drain zone {name}: it is a remote pool; set keep-local = true for it and restart, and repair brings its bodies back"
            )));
        }
        Ok(())
    }
}
