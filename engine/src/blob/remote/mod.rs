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
mod queue;
mod read;
mod remove;
pub(crate) mod rows;
#[cfg(test)]
mod tests;
mod trouble;
mod upload;
mod usage;

pub use cache::{CACHE_MIN, CacheOptions};
pub(super) use read::{RemoteAt, RemotePin};
pub use remove::Remover;
pub use upload::Uploader;
pub(super) use upload::doom;
pub use usage::{RemoteTrouble, RemoteUsage};

use crate::Result;
use crate::clock::Clock;
use crate::id::{BlobId, CopyId, PartitionId};
use crate::pool::ZoneId;
use crate::remote::pace::Pace;
use crate::remote::{Remote, Schedule};
use crate::unit::ByteCount;
use cache::Cache;
use parking_lot::Mutex;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use tokio::sync::{Notify, watch};
use trouble::Troubles;
use usage::Counted;

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
    troubles: Mutex<Troubles>,
    /// Partitions in which objects were doomed, or uploads in parts failed, since the remover looked.
    doomed_in: Mutex<BTreeSet<PartitionId>>,
    /// Queued blobs that could be read nowhere when the queue was last gone through.
    unreadable: AtomicU64,
    /// How long the queues were when they were last counted.
    counted: tokio::sync::Mutex<Option<Counted>>,
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
            troubles: Mutex::default(),
            doomed_in: Mutex::default(),
            unreadable: AtomicU64::new(0),
            counted: tokio::sync::Mutex::default(),
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

    /// An object was doomed in this partition: the remover looks at once.
    pub(in crate::blob) fn doomed_in(&self, home: PartitionId) {
        self.look_again(home);
        self.remover.notify_one();
    }

    /// The remover has to look at this partition in its next round.
    fn look_again(&self, home: PartitionId) {
        self.doomed_in.lock().insert(home);
    }

    /// Completes once the store is to be left alone.
    async fn stopped(&self) {
        let mut stopping = self.stopping.subscribe();
        // The sender lives as long as `self`.
        let _there = stopping.wait_for(|stopping| *stopping).await;
    }
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
