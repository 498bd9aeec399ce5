//! A remote pool: bodies on any S3 endpoint, behind the local pools.
//!
//! ```text
//!   writer ─► local pools, durable ─► the row's commit, which queues the upload ─► reply
//!   uploader: queue ─► read, verified ─► a new name ─► commit { row names the object; local copies leave it }
//!   reader ─► local copy? ─► cache? ─► a range of the object ─► tags verified ─► cache
//!   collector ─► commit { row goes; the name is doomed } ─► remover, once the backup lets it ─► delete
//! ```
//!
//! # Invariants
//! - A row names an object only after the store has said that it is whole and durable.
//! - Local copies leave a row in the commit that names the object, never before.
//! - Each upload has a name of its own: nothing is ever written over, and what a crash leaves under a name is named by no row.
//! - An object is deleted only after a commit said that no row names it, and that commit is in the backup, if there is one.
//!
//! # Limits
//! One object a blob; [`UPLOADS_MAX`](upload::UPLOADS_MAX) uploads at once, each with up to two parts in memory. While the store
//! does not answer, what is written stays local and is read from there; when the local pools are full, writes are refused.
//!
//! A crash leaves objects that no row names, which the remover finds by listing once they are a day old, and uploads in parts
//! that are under way, whose rows it finds at the next start.

mod cache;
mod read;
mod remove;
pub(crate) mod rows;
#[cfg(test)]
mod tests;
mod upload;
mod usage;

pub use cache::{CACHE_MIN, CacheOptions};
pub(super) use read::{RemoteAt, RemotePin};
pub use remove::Remover;
pub use upload::Uploader;
pub(super) use upload::doom;
pub use usage::{RemoteTrouble, RemoteUsage};

use super::row::BlobRow;
use super::{BlobStore, row};
use crate::catalog::record::Record;
use crate::catalog::{Check, Commit, Write};
use crate::clock::{Clock, Timestamp};
use crate::id::{BlobId, CopyId, PartitionId};
use crate::pool::ZoneId;
use crate::remote::pace::Pace;
use crate::remote::{Remote, Schedule};
use crate::unit::ByteCount;
use crate::{Error, Result};
use cache::Cache;
use parking_lot::Mutex;
use rows::UploadRow;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use tokio::sync::{Notify, watch};

/// Names of blobs' objects begin so.
pub(crate) const BLOBS: &str = "blobs/";

/// What a remote pool is opened with.
#[derive(Clone)]
pub struct RemoteOptions {
    /// Its zone's name, which keeps its number.
    pub name: String,
    /// Where it is, for people.
    pub place: String,
    /// The store.
    pub store: Arc<dyn Remote>,
    /// Local copies stay beside it. Else they go once the object is there.
    pub keeps_local: bool,
    /// The scrubber reads its objects, too.
    pub scrubbed: bool,
    /// Where what was read is kept.
    pub cache: Option<CacheOptions>,
    /// How fast it may be written to.
    pub schedule: Schedule,
}

/// The pool.
pub(crate) struct RemotePool {
    pub(crate) zone: ZoneId,
    name: String,
    place: String,
    store: Arc<dyn Remote>,
    pub(crate) keeps_local: bool,
    pub(crate) scrubbed: bool,
    cache: Option<Cache>,
    pace: Pace,
    clock: Arc<dyn Clock>,
    /// Copies that are being uploaded, or whose commit nobody knows the end of.
    under_way: Mutex<BTreeSet<CopyId>>,
    /// Readers of each object.
    readers: Mutex<HashMap<CopyId, usize>>,
    /// What keeps it from going on.
    trouble: Mutex<Option<Trouble>>,
    uploader: Arc<Notify>,
    remover: Arc<Notify>,
    stopping: watch::Sender<bool>,
    uploaded_blobs: AtomicU64,
    uploaded_bytes: AtomicU64,
    read_bytes: AtomicU64,
    deleted_objects: AtomicU64,
    orphans: AtomicU64,
}

impl RemotePool {
    pub(super) fn open(
        zone: ZoneId,
        options: RemoteOptions,
        keep_free: ByteCount,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        let RemoteOptions { name, place, store, keeps_local, scrubbed, cache, schedule } = options;
        Ok(Self {
            zone,
            name,
            place,
            store,
            keeps_local,
            scrubbed,
            cache: cache.map(|options| Cache::open(options, keep_free)).transpose()?,
            pace: Pace::new(schedule, Arc::clone(&clock)),
            clock,
            under_way: Mutex::default(),
            readers: Mutex::default(),
            trouble: Mutex::default(),
            uploader: Arc::default(),
            remover: Arc::default(),
            stopping: watch::Sender::new(false),
            uploaded_blobs: AtomicU64::new(0),
            uploaded_bytes: AtomicU64::new(0),
            read_bytes: AtomicU64::new(0),
            deleted_objects: AtomicU64::new(0),
            orphans: AtomicU64::new(0),
        })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Rings when it is dropped.
    pub(super) fn ring(&self) -> Ring {
        Ring(Arc::clone(&self.uploader))
    }

    /// What the store answered to a write or delete: trouble begins with the first call that fails and ends with one that does
    /// not.
    fn noted<T>(&self, outcome: Result<T>) -> Result<T> {
        self.note(true, outcome)
    }

    /// The same for a read, which ends no trouble of writes.
    fn noted_read<T>(&self, outcome: Result<T>) -> Result<T> {
        self.note(false, outcome)
    }

    fn note<T>(&self, of_write: bool, outcome: Result<T>) -> Result<T> {
        let mut trouble = self.trouble.lock();
        match &outcome {
            Ok(_) | Err(Error::NotFound { .. } | Error::Conflict { .. }) => {
                trouble.take_if(|trouble| of_write || !trouble.of_write);
            }
            Err(error) => {
                let before = trouble.take();
                *trouble = Some(Trouble {
                    since: before.as_ref().map_or_else(|| self.clock.now(), |before| before.since),
                    why: error.to_string(),
                    of_write: of_write || before.is_some_and(|before| before.of_write),
                });
            }
        }
        outcome
    }

    /// Completes once the store is to be left alone.
    async fn stopped(&self) {
        let mut stopping = self.stopping.subscribe();
        // The sender lives as long as `self`.
        let _there = stopping.wait_for(|stopping| *stopping).await;
    }
}

/// Why the store does not do what it is asked to.
#[derive(Clone, Debug)]
struct Trouble {
    since: Timestamp,
    why: String,
    /// Writes failed, not reads alone.
    of_write: bool,
}

/// Ends the uploader's rest once the commit that it waits for has had its answer.
pub(super) struct Ring(Arc<Notify>);

impl Drop for Ring {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

/// The name of a blob's object.
pub(crate) fn object_name(home: PartitionId, blob: BlobId, copy: CopyId) -> String {
    format!("{BLOBS}{home}/{blob}-{copy}")
}

/// What a name says; `None` for names that are not ours.
pub(crate) fn parse_name(name: &str) -> Option<(PartitionId, BlobId, CopyId)> {
    let (home, rest) = name.strip_prefix(BLOBS)?.split_once('/')?;
    let (blob, copy) = rest.split_once('-')?;
    Some((home.parse().ok()?, blob.parse().ok()?, copy.parse().ok()?))
}

impl BlobStore {
    /// Damage can be put right: there is more than one place for a copy.
    pub(super) fn can_mend(&self) -> bool {
        self.zones.are_several() || self.remote.is_some()
    }

    /// The pool that a row's remote copy lies in, if it is configured.
    pub(super) fn remote_of(&self, row: &BlobRow) -> Option<&Arc<RemotePool>> {
        let zone = row.remote.as_ref()?.zone;
        self.remote.as_ref().filter(|pool| pool.zone == zone)
    }

    /// It lies in a remote pool, and local copies are not wanted beside it.
    pub(super) fn is_kept_remotely(&self, row: &BlobRow) -> bool {
        self.remote_of(row).is_some_and(|pool| !pool.keeps_local)
    }

    /// What is to be written so that a new blob comes to be uploaded.
    pub(super) fn queue_upload(&self, blob: BlobId, row: &BlobRow) -> Option<Write> {
        let pool = self.remote.as_ref().filter(|_| row.records() > 0)?;
        let queued = UploadRow { queued: pool.clock.now(), bytes: stored_len(row), again: false };
        Some(Write::Put(row::upload_key(blob), queued.to_bytes()))
    }

    /// The uploader has to look at a blob whose row is so: it is not there, or local copies are still beside it.
    pub(super) fn wants_upload(&self, row: &BlobRow) -> bool {
        let Some(pool) = self.remote.as_ref().filter(|_| row.records() > 0) else { return false };
        match self.remote_of(row) {
            None => !row.copies.is_empty(),
            Some(_) => !pool.keeps_local && !row.copies.is_empty(),
        }
    }

    /// Queues a blob that was there before the pool was, or before it was to be the only place, unless it is queued.
    pub(super) async fn queue_late_upload(
        &self,
        home: PartitionId,
        blob: BlobId,
        row: &BlobRow,
        read_version: u64,
    ) -> Result<()> {
        let Some(write) = self.queue_upload(blob, row) else { return Ok(()) };
        let checks = vec![Check::Absent(row::upload_key(blob))];
        let commit = Commit { checks, writes: vec![write], ..Commit::new(home, read_version).from_reserve() };
        match self.catalog.commit(commit).await {
            // It is queued already.
            Ok(_) | Err(Error::Conflict { .. } | Error::TooOld { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The object of a blob is damaged: another one is to take its place, where a local copy is left to make it from.
    pub(super) async fn upload_again(&self, home: PartitionId, blob: BlobId, row: &BlobRow) -> Result<()> {
        let Some(pool) = self.remote_of(row).filter(|_| !row.copies.is_empty()) else { return Ok(()) };
        let queued = UploadRow { queued: pool.clock.now(), bytes: stored_len(row), again: true };
        self.commit_one(home, Write::Put(row::upload_key(blob), queued.to_bytes())).await?;
        pool.uploader.notify_one();
        Ok(())
    }

    /// Leaves the remote store alone from now on: uploads that are under way end where they are, to be begun again.
    pub fn stop_remote(&self) {
        if let Some(pool) = &self.remote {
            pool.stopping.send_replace(true);
        }
    }
}

/// Bytes of a blob's object.
fn stored_len(row: &BlobRow) -> u64 {
    (0..row.records()).map(|index| row.record_stored_len(index)).sum()
}

#[cfg(test)]
mod names {
    use super::{object_name, parse_name};
    use crate::id::{BlobId, CopyId, PartitionId};

    #[test]
    fn golden_name_of_an_object() {
        let ids =
            (PartitionId::from_bytes([1; 8]), BlobId::from_bytes([0xAB; 16]), CopyId::from_bytes([2; 8]));
        let name = "blobs/0101010101010101/abababababababababababababababab-0202020202020202";
        assert_eq!(object_name(ids.0, ids.1, ids.2), name);
        assert_eq!(parse_name(name), Some(ids));
        for other in ["", "probe/x", &name[1..], &name[..70], &name.to_uppercase(), &name.replace('-', "_")] {
            assert_eq!(parse_name(other), None, "{other}");
        }
    }
}
