//! Local pools, append-only segment files in one directory each, and the zones that they belong to.
//!
//! ```text
//!   records < 256 KiB ──► small lane ──┐ one fdatasync per group
//!   large blobs ──► large lanes (2) ───┼──► DIR/<segment>.seg ──► freed ──► DIR/<id>.free ──► taken again
//!   compactor, repair ──► its lane ────┘ synced when a blob is sealed, or before rows name a copy
//! ```
//!
//! # Invariants
//! - Bytes are never changed in place while a row may name them.
//! - A segment is not appended to after a restart: what lies behind its last synced record is garbage that no row names.
//! - Whether a segment is live follows from the catalog's counters alone; frames only say what a record is.
//!
//! # Limits
//! Segments of 1 MiB to 1 GiB; records of up to 64 chunks (4 MiB of plaintext), less in small segments.
//!
//! A crash leaves garbage in the segments that were open and `.new` files; opening the pool closes the former and removes
//! the latter.

mod allocate;
mod bells;
pub mod frame;
mod free;
pub mod header;
pub(crate) mod lane;
mod place;
mod replaced;
pub(crate) mod scan;
pub(crate) mod segment;
mod syncer;
#[cfg(test)]
mod tests;
mod zone;

pub(crate) use allocate::Allocator;
pub(crate) use bells::Bells;
pub(crate) use free::ZeroFile;
pub(crate) use lane::{Draft, Lane, Placed, again};
pub(crate) use place::{RecordAt, describe};
pub use replaced::mark_replaced;
pub(crate) use segment::{Hold, ReadPin};
pub use zone::ZoneId;
pub(crate) use zone::{Zone, Zones};

use crate::clock::Clock;
use crate::codec::chunk::{CHUNK_BYTES, SEALED_CHUNK_BYTES};
use crate::entropy::Entropy;
use crate::fault::Faults;
use crate::unit::ByteCount;
use crate::{Error, Result};
use header::LaneKind;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Blobs below this many bytes of plaintext go through the small lane.
pub(crate) const SMALL_BYTES: usize = 256 << 10;
/// Threads that write large blobs.
const LARGE_LANES: usize = 2;

/// What a pool is opened with.
#[derive(Clone)]
pub(crate) struct PoolOptions {
    pub(crate) dir: PathBuf,
    pub(crate) segment_bytes: ByteCount,
    /// Bytes of the file system that are left to the catalog.
    pub(crate) keep_free: ByteCount,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) faults: Arc<Faults>,
    /// Rung when a lane finds no room.
    pub(crate) bells: Bells,
}

/// What the pool has done since it was opened.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) groups: AtomicU64,
    pub(crate) syncs: AtomicU64,
    pub(crate) records: AtomicU64,
    pub(crate) record_bytes: AtomicU64,
    pub(crate) zeroed_bytes: AtomicU64,
    /// Waits of lanes for syncs that are too far behind.
    pub(crate) lane_waits: AtomicU64,
}

/// The lanes and the segments they write.
pub(crate) struct Pool {
    pub(crate) allocator: Arc<Allocator>,
    pub(crate) small: Lane,
    /// What the compactor moves and what repair copies here.
    pub(crate) compaction: Lane,
    large: Vec<Lane>,
    next_large: AtomicUsize,
}

impl Pool {
    pub(crate) fn open(options: PoolOptions) -> Result<Self> {
        let bytes = options.segment_bytes.get();
        if !(allocate::SEGMENT_BYTES_MIN..=1 << 30).contains(&bytes) {
            return Err(Error::Invalid(format!("use segments of {bytes} bytes: 1 MiB to 1 GiB are allowed")));
        }
        let allocator = Arc::new(Allocator::open(options)?);
        let small = Lane::start(LaneKind::Small, "lane-small".into(), Arc::clone(&allocator))?;
        let mut large = Vec::new();
        for n in 0..LARGE_LANES {
            large.push(Lane::start(LaneKind::Large, format!("lane-large-{n}"), Arc::clone(&allocator))?);
        }
        let compaction = Lane::start(LaneKind::Compacted, "lane-compact".into(), Arc::clone(&allocator))?;
        Ok(Self { allocator, small, compaction, large, next_large: AtomicUsize::new(0) })
    }

    /// Ends all lanes after what waits in their queues.
    pub(crate) async fn close(&self) {
        for lane in self.large.iter().chain([&self.small, &self.compaction]) {
            lane.stop().await;
        }
    }

    /// A lane for a large blob, by turns.
    pub(crate) fn large_lane(&self) -> Lane {
        let turn = self.next_large.fetch_add(1, Ordering::Relaxed);
        self.large[turn % self.large.len()].clone()
    }

    /// A lane found no room, or the newest write or sync failed.
    pub(crate) fn is_troubled(&self) -> bool {
        self.allocator.is_full() || self.allocator.is_failing()
    }
}

/// Plaintext bytes of a record of a blob that has `before` bytes already, in segments of this size: small at first, which
/// bounds the memory of an upload, then large, which bounds the blob's row.
pub(crate) fn record_plain_bytes(segment_bytes: ByteCount, before: u64) -> usize {
    let wanted = if before < 512 << 20 { 16 } else { 64 };
    let fits = usize::try_from(segment_bytes.get() / 4).unwrap_or(usize::MAX);
    wanted.min(fits / SEALED_CHUNK_BYTES).max(1) * CHUNK_BYTES
}
