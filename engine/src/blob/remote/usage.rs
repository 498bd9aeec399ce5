//! How a remote pool stands, for `status` and `doctor`.

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

/// Rows of one page.
const PAGE: usize = 1000;

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
    /// Blobs that wait to be uploaded.
    pub waiting_blobs: u64,
    /// Bytes of their objects.
    pub waiting: ByteCount,
    /// Since when the first of them waits, in milliseconds since 1970.
    pub waiting_since_ms: Option<Timestamp>,
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

impl BlobStore {
    /// How the remote pool stands, if there is one. Counts the queue, which takes as long as it is.
    pub async fn remote_usage(&self) -> Result<Option<RemoteUsage>> {
        let Some(pool) = self.remote.clone() else { return Ok(None) };
        let load = |n: &AtomicU64| n.load(Ordering::Relaxed);
        let trouble = pool.trouble.lock().clone();
        let (cache, cache_max) = pool.cache.as_ref().map_or_else(Default::default, super::Cache::fill);
        let mut usage = RemoteUsage {
            name: pool.name.clone(),
            place: pool.place.clone(),
            keeps_local: pool.keeps_local,
            live: ByteCount::ZERO,
            waiting_blobs: 0,
            waiting: ByteCount::ZERO,
            waiting_since_ms: None,
            doomed_objects: 0,
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
                usage.live += ByteCount::new(count(&value)?);
            }
            let mut next = Some(Scan::prefix(UPLOADS, &[], PAGE));
            while let Some(scan) = next {
                let page = snapshot.scan(scan.clone()).await?;
                for (_, value) in &page.rows {
                    let row = UploadRow::from_bytes(value)?;
                    usage.waiting_blobs += 1;
                    usage.waiting += ByteCount::new(row.bytes);
                    let first = usage.waiting_since_ms.map_or(row.queued, |first| first.min(row.queued));
                    usage.waiting_since_ms = Some(first);
                }
                next = scan.behind(&page);
            }
            let mut next = Some(Scan { keys_only: true, ..Scan::prefix(DOOMED, &[], PAGE) });
            while let Some(scan) = next {
                let page = snapshot.scan(scan.clone()).await?;
                usage.doomed_objects += page.rows.len() as u64;
                next = scan.behind(&page);
            }
        }
        Ok(Some(usage))
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
