//! How full the store is and what it has done, for `status`, metrics and tests.

use super::{
    BlobStore, Collector, Compactor, Recycler, Remover, Repairer, Scrubber, Uploader, Zeroer, roster,
};
use crate::id::SegmentId;
use crate::pool::Zone;
use crate::unit::ByteCount;
use crate::worker::Worker;
use crate::{Error, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A moment's figures. Counts are since the store was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Usage {
    /// Bytes of records that rows name, frames and tags included, as last read from the catalog.
    pub live: ByteCount,
    /// Segment files that hold records, freed ones that are kept for a backup included.
    pub segments: u64,
    /// Their size.
    pub segment_bytes: ByteCount,
    /// Freed segments that wait for a hold or a reader.
    pub freed_segments: u64,
    /// Segments that compaction could not empty and leaves alone until the scrubber's next round is over: a record in them is damaged or
    /// can't be read, or a row is broken that may name one.
    pub left_alone_segments: u64,
    /// Files ready to be written to.
    pub free_segments: u64,
    /// Their size.
    pub free_segment_bytes: ByteCount,
    /// Bytes the file system has left for this process; the least of them where there are several.
    pub disk_available: ByteCount,
    /// New bodies are refused until space returns: too few zones have any.
    pub full: bool,
    /// Of too few zones the newest write or sync of a segment file went well.
    pub failing: bool,
    /// Groups of writes that ended with a sync.
    pub groups: u64,
    /// Syncs of segment files by lanes.
    pub syncs: u64,
    /// Records appended, those of the compactor included.
    pub records: u64,
    /// Their bytes.
    pub record_bytes: ByteCount,
    /// Bytes that compaction moved.
    pub moved_bytes: ByteCount,
    /// Bytes written with zeros ahead of use.
    pub zeroed_bytes: ByteCount,
    /// Blobs collected.
    pub collected_blobs: u64,
    /// Bytes that scrubbing read.
    pub scrubbed_bytes: ByteCount,
    /// Records that scrubbing and compaction found damaged or could not read, those of remote objects included; each counts again
    /// whenever it is found so.
    pub damaged_records: u64,
    /// Blobs with a damaged record, however it was found, that was neither mended nor dropped since; counted up to 4,096.
    pub damaged_blobs: u64,
    /// Blobs whose row was found broken by any worker, and neither sound nor gone since; counted up to 4,096.
    pub broken_rows: u64,
}

/// A zone at a moment.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ZoneUsage {
    /// Its name.
    pub name: String,
    /// `in use`, `draining`, `away`, or `removed`: no longer configured.
    pub state: &'static str,
    /// Why it is away, or a part of it.
    pub why_away: Option<String>,
    /// Its disk was replaced, and repair has not given it all its copies back.
    pub refilling: bool,
    /// Where its segment files lie.
    pub directories: Vec<String>,
    /// Bytes of its records that rows name.
    pub live: ByteCount,
    /// Size of its segment files.
    pub segment_bytes: ByteCount,
    /// Bytes that its file systems have left for this process.
    pub disk_available: ByteCount,
    /// It takes no bodies until space returns.
    pub full: bool,
    /// The newest write or sync of one of its directories failed.
    pub failing: bool,
}

impl BlobStore {
    /// The figures now, of all zones together.
    pub fn usage(&self) -> Usage {
        let load = |n: &AtomicU64| n.load(Ordering::Relaxed);
        let needed = self.needed_zones();
        let mut usage = Usage {
            live: ByteCount::new(self.live.total()),
            freed_segments: self.freed.lock().len() as u64,
            left_alone_segments: self.left_alone.lock().len() as u64,
            full: self.zones.is_any_full() && !self.zones.suffice(needed, |pool| !pool.allocator.is_full()),
            failing: self.zones.pools().any(|pool| pool.allocator.is_failing())
                && !self.zones.suffice(needed, |pool| !pool.allocator.is_failing()),
            moved_bytes: ByteCount::new(load(&self.moved_bytes)),
            collected_blobs: load(&self.collected),
            scrubbed_bytes: ByteCount::new(load(&self.scrubbed_bytes)),
            damaged_records: self.damage.records(),
            damaged_blobs: self.damage.blobs(),
            broken_rows: self.damage.broken_rows(),
            ..Usage::default()
        };
        let mut room = None;
        let add = |sum: &mut ByteCount, n: u64| *sum = ByteCount::new(sum.get() + n);
        for pool in self.zones.pools() {
            let allocator = &pool.allocator;
            let (segments, segment_bytes) = allocator.segments();
            let available = allocator.available().unwrap_or(0);
            room = Some(room.map_or(available, |room: u64| room.min(available)));
            usage.segments += segments;
            add(&mut usage.segment_bytes, segment_bytes);
            usage.free_segments += allocator.free_count() as u64;
            add(&mut usage.free_segment_bytes, allocator.free_bytes());
            usage.groups += load(&allocator.counts.groups);
            usage.syncs += load(&allocator.counts.syncs);
            usage.records += load(&allocator.counts.records);
            add(&mut usage.record_bytes, load(&allocator.counts.record_bytes));
            add(&mut usage.zeroed_bytes, load(&allocator.counts.zeroed_bytes));
        }
        usage.disk_available = ByteCount::new(room.unwrap_or(0));
        usage
    }

    /// Each zone that the store knows, those that are away included; one that was removed only while something is missing
    /// that may lie there.
    pub fn zones(&self) -> Vec<ZoneUsage> {
        let is_any_missing = !self.missing_segments().is_empty();
        let shown = self.zones.iter().filter(|zone| zone.is_configured || is_any_missing);
        shown.map(|zone| self.zone_usage(zone)).collect()
    }

    /// It has known more than one zone, so that each blob says how many copies it is to have.
    pub fn has_known_several_zones(&self) -> bool {
        self.zones.are_several()
    }

    /// Bytes that rows name in a zone.
    fn live_in(&self, zone: &Zone) -> u64 {
        let is_own = |segment: &SegmentId| zone.pools.iter().any(|pool| pool.allocator.has(*segment));
        self.live.segments().into_iter().filter(is_own).map(|segment| self.live.of(segment)).sum()
    }

    /// A zone drains, and rows name something in it.
    pub(super) fn is_draining_unfinished(&self) -> bool {
        self.zones.iter().any(|zone| zone.is_draining() && self.live_in(zone) > 0)
    }

    fn zone_usage(&self, zone: &Zone) -> ZoneUsage {
        let allocators = || zone.pools.iter().map(|pool| &pool.allocator);
        ZoneUsage {
            name: zone.name.clone(),
            state: match (zone.is_configured, zone.is_there(), zone.is_draining()) {
                (false, ..) => "removed",
                (true, false, _) => "away",
                (true, true, true) => "draining",
                (true, true, false) => "in use",
            },
            why_away: zone.away.clone(),
            refilling: zone.is_refilling(),
            directories: allocators().map(|allocator| allocator.dir().display().to_string()).collect(),
            live: ByteCount::new(self.live_in(zone)),
            segment_bytes: ByteCount::new(allocators().map(|allocator| allocator.segments().1).sum()),
            disk_available: ByteCount::new(allocators().map(|a| a.available().unwrap_or(0)).sum()),
            full: zone.is_there() && allocators().all(|allocator| allocator.is_full()),
            failing: zone.is_there() && allocators().any(|allocator| allocator.is_failing()),
        }
    }

    /// Copies that a blob is to have when its class says nothing else.
    pub const fn copies(&self) -> usize {
        self.copies
    }

    /// Takes a zone out of use, durably, or back into it: nothing new is written to a zone that drains, and the repairer
    /// copies elsewhere what it holds. It is empty when its [`live`](ZoneUsage::live) bytes are 0.
    pub async fn drain_zone(&self, name: &str, draining: bool) -> Result<()> {
        self.refuse_remote(name)?;
        let Some(zone) = self.zones.named(name).filter(|zone| zone.is_configured) else {
            return Err(Error::NotFound { what: "zone", id: name.to_owned() });
        };
        // Two that are drained at once must not both count on the other.
        let _alone = self.drains.lock().await;
        let others = self.zones.iter().filter(|other| other.id != zone.id);
        let left = others.filter(|other| other.is_there() && !other.is_draining()).count();
        if draining && left < self.copies {
            return Err(Error::Invalid(format!(
                "drain zone {name}: {} copies are kept, and the zones in use besides it are {left}; add a zone, or keep fewer copies",
                self.copies
            )));
        }
        roster::set_draining(&*self.catalog, zone.id, draining).await?;
        zone.set_draining(draining);
        self.bells.repairer.notify_one();
        Ok(())
    }

    /// Every background worker of the store, for the registry.
    pub fn workers(self: &Arc<Self>) -> Vec<Box<dyn Worker>> {
        let mut workers: Vec<Box<dyn Worker>> = vec![
            Box::new(Collector::new(Arc::clone(self))),
            Box::new(Compactor::new(Arc::clone(self))),
            Box::new(Recycler::new(Arc::clone(self))),
            Box::new(Scrubber::new(Arc::clone(self))),
            Box::new(Zeroer::new(Arc::clone(self))),
        ];
        if self.can_mend() {
            workers.push(Box::new(Repairer::new(Arc::clone(self))));
        }
        if let Some(pool) = &self.remote {
            workers.push(Box::new(Uploader::new(Arc::clone(self), Arc::clone(pool))));
            workers.push(Box::new(Remover::new(Arc::clone(self), Arc::clone(pool))));
        }
        workers
    }
}
