//! Re-establishes copies: of blobs that were found damaged or were written to too few zones, and of all blobs once zones
//! were lost, replaced, added, drained or came back.
//!
//! ```text
//!   readers, compactor ─► damage (memory) ─► repair queue ◄─ scrubber, writers that accepted fewer copies
//!   repair queue ─► one blob at a time ─► mend
//!   the zones are not those of the last walk, or a segment is missing ─► walk over all blobs ─► mend
//! ```
//!
//! # Invariants
//! - The queue goes first; a walk goes on where it was, after a restart too.
//! - A walk ends behind every row that can be read. What can't be read now, it waits for; what it had to pass by counts as short, so
//!   that it walks again, and no drain and no refill is over for it. Lost is only what is broken in a blob itself.
//! - A blob that can't be mended now stays in the queue, or counted by the walk, and holds up no other: so does one whose sound
//!   copy may be in a zone that is away. It leaves the queue unmended only when each of its copies was looked at in vain.
//!
//! # Limits
//! One blob at a time, [`BYTES_PER_TICK`] a tick. A crash repeats the blob under way and what the last tick passed.

use super::mend::{Found, Mend, Step, Verdict};
use super::row::{BLOBS, BlobRow, DAMAGED, REPAIR, blob_key, repair_key};
use super::sweep::SweepRow;
use super::{BlobStore, fixed};
use crate::blocking::blocking;
use crate::catalog::{Check, Commit, Scan, Write, key_after};
use crate::id::{BlobId, PartitionId};
use crate::pool::{RecordAt, Zone};
use crate::unit::ByteCount;
use crate::worker::{Leg, Progress, Stop, Tour, Visitor, Worker};
use crate::{BoxFuture, Error, ErrorKind, Result};
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// Bytes of records that one tick looks at.
const BYTES_PER_TICK: u64 = 8 << 20;
/// Rows of one page of the walk or of the queue.
const ROWS_PER_PAGE: usize = 256;
/// Queue rows of one commit.
const QUEUE_BATCH: usize = 128;
/// Pause when there is nothing to do.
const REST: Duration = Duration::from_mins(1);

/// How repair stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Repair {
    /// A walk over all blobs is under way.
    pub walking: bool,
    /// Bytes of records when the walk began.
    pub total: ByteCount,
    /// Those of them that it has passed.
    pub done: ByteCount,
    /// Seconds that the rest takes at the pace since this process began to walk.
    pub eta_s: Option<u64>,
    /// Blobs that the walk, or the last one, found with fewer copies than they are to have, and no zone to take one.
    pub short_blobs: u64,
    /// Bytes of their records.
    pub short: ByteCount,
    /// Blobs of which it could read something nowhere.
    pub lost_blobs: u64,
    /// Bytes of their records.
    pub lost: ByteCount,
    /// Blobs that were left in the repair queue when it was last gone through.
    pub queued_blobs: u64,
    /// Blobs mended since the store was opened.
    pub mended_blobs: u64,
    /// Bytes copied for that.
    pub copied: ByteCount,
}

impl BlobStore {
    /// How repair stands; all zero in a store that has known one zone only.
    pub fn repair(&self) -> Repair {
        *self.repair.lock()
    }

    /// Queues a blob that has a damaged copy.
    pub(super) async fn queue_damaged(&self, home: PartitionId, blobs: &[BlobId]) -> Result<()> {
        let _home = self.hold_home(home).await?;
        let read_version = self.catalog.snapshot(home).await?.read_version();
        let put = |blob: &BlobId| Write::Put(repair_key(*blob), Bytes::from_static(DAMAGED));
        let writes = blobs.iter().map(put).collect();
        self.catalog.commit(Commit { writes, ..Commit::new(home, read_version).from_reserve() }).await?;
        self.bells.repairer.notify_one();
        Ok(())
    }
}

/// Where a blob under way came from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    Queue,
    Walk,
}

/// Worker `repairer`; its unit is bytes copied.
pub struct Repairer {
    store: Arc<BlobStore>,
    current: Option<(Source, PartitionId, Box<Mend>)>,
    queue: Queue,
    tour: Tour<Bytes>,
    /// The queue was gone through since the last rest.
    gone_through: bool,
    sweep: Option<SweepRow>,
    /// Where the walk is.
    way: Tour<Bytes>,
    /// This process began the walk at its beginning.
    whole: bool,
    /// It has rested since the last walk ended: what was short then may be tried again.
    rested: bool,
    /// When this process began to walk, and what had been passed then.
    pace: Option<(Duration, u64)>,
}

/// What a tour through the queues of all partitions has found.
struct Queue {
    store: Arc<BlobStore>,
    /// Blobs that wait for their turn, and whether to look deeply.
    waiting: VecDeque<(PartitionId, BlobId, bool)>,
    /// Seen in the queue and not taken out of it by this round.
    left: u64,
}

impl Visitor for Queue {
    type Cursor = Bytes;

    fn next(&self, from: Bound<PartitionId>) -> Option<PartitionId> {
        self.store.next_home(from)
    }

    async fn visit(&mut self, stop: &mut Stop<Bytes>) -> Result<()> {
        let home = stop.partition();
        let snapshot = self.store.catalog.snapshot(home).await?;
        let scan = Scan { start: stop.cursor(), ..Scan::prefix(REPAIR, &[], ROWS_PER_PAGE) };
        let page = snapshot.scan(scan.clone()).await?;
        for (key, value) in &page.rows {
            match fixed(key, "repair row") {
                Ok(id) => self.waiting.push_back((home, BlobId::from_bytes(id), value == DAMAGED)),
                Err(error) => stop.set_aside(error),
            }
        }
        self.left += page.rows.len() as u64;
        stop.did(page.rows.len() as u64);
        if let Some(behind) = scan.behind(&page) {
            stop.go_on_at(behind.start);
        }
        Ok(())
    }
}

impl Repairer {
    /// A repairer of this store.
    pub fn new(store: Arc<BlobStore>) -> Self {
        let queue = Queue { store: Arc::clone(&store), waiting: VecDeque::new(), left: 0 };
        Self {
            store,
            current: None,
            queue,
            tour: Tour::default(),
            gone_through: false,
            sweep: None,
            way: Tour::default(),
            whole: false,
            rested: false,
            pace: None,
        }
    }

    /// A blob is under way.
    #[cfg(test)]
    pub(crate) fn is_busy(&self) -> bool {
        self.current.is_some()
    }

    async fn step(&mut self) -> Result<Progress> {
        self.queue_noted().await?;
        if let Some((source, home, mut mend)) = self.current.take() {
            let outcome = mend.step(&self.store, BYTES_PER_TICK).await;
            return self.stepped(source, home, mend, outcome).await;
        }
        if self.next_queued().await? || self.walk().await? {
            return Ok(Progress::More { done: 0 });
        }
        if self.end_refill().await? {
            return Ok(Progress::More { done: 0 });
        }
        (self.gone_through, self.rested) = (false, true);
        Ok(self.tour.rest(REST))
    }

    /// What readers found goes to the queue.
    async fn queue_noted(&self) -> Result<()> {
        let noted = self.store.damage.noted();
        let mut by_home: BTreeMap<PartitionId, Vec<BlobId>> = BTreeMap::new();
        for (home, blob) in &noted {
            by_home.entry(*home).or_default().push(*blob);
        }
        for (home, blobs) in by_home {
            for blobs in blobs.chunks(QUEUE_BATCH) {
                self.store.queue_damaged(home, blobs).await?;
            }
        }
        self.store.damage.is_queued(&noted);
        Ok(())
    }

    async fn stepped(
        &mut self,
        source: Source,
        home: PartitionId,
        mend: Box<Mend>,
        outcome: Result<Step>,
    ) -> Result<Progress> {
        let (blob, bytes) = (mend.blob(), mend.stored_bytes());
        let mut done = 0;
        let mut short = false;
        match outcome {
            Ok(Step::More(copied)) => {
                self.count(copied, 0);
                self.current = Some((source, home, mend));
                return Ok(Progress::More { done: copied });
            }
            Ok(Step::Done(copied)) => {
                done = copied;
                self.count(copied, 1);
                if source == Source::Queue {
                    self.left_the_queue();
                    self.store.damage.forget(home, blob);
                }
            }
            Ok(Step::StillShort(copied)) => {
                done = copied;
                short = true;
                self.count(copied, u64::from(copied > 0));
            }
            Ok(Step::Unreadable(error)) => {
                tracing::error!(%blob, %error, "a blob can't be repaired: no copy can be read");
                match source {
                    Source::Queue => self.forget(home, blob).await?,
                    Source::Walk => self.lost(bytes),
                }
            }
            Ok(Step::Away(error)) => {
                tracing::warn!(%blob, %error, "a blob can't be repaired now");
                match (source, error) {
                    (Source::Queue, _) => {}
                    // A zone that comes back has another walk begin; a store that answers again has nobody say so.
                    (Source::Walk, Error::ZoneAway { .. }) => self.lost(bytes),
                    (Source::Walk, _) => short = true,
                }
            }
            // It is in the queue again, or for the first time: in the next round.
            Ok(Step::Again) if source == Source::Walk => {
                if let Err(error) = self.store.queue_damaged(home, &[blob]).await {
                    self.count_passed(bytes, true);
                    return Err(error);
                }
            }
            Ok(Step::Again) => {}
            Err(
                error @ (Error::Closed | Error::Newer { .. } | Error::Fenced { .. } | Error::Unknown { .. }),
            ) => {
                // It may not be mended: another walk has to see to it.
                if source == Source::Walk {
                    self.count_passed(bytes, true);
                }
                return Err(error);
            }
            Err(error) => {
                tracing::warn!(%blob, %error, "a blob can't be repaired now");
                short = true;
            }
        }
        if source == Source::Walk {
            self.passed(bytes, short).await?;
        }
        Ok(Progress::More { done })
    }

    fn count(&self, copied: u64, blobs: u64) {
        let mut repair = self.store.repair.lock();
        repair.copied = ByteCount::new(repair.copied.get() + copied);
        repair.mended_blobs += blobs;
    }

    /// The walk found a blob that can be read nowhere now.
    fn lost(&mut self, bytes: u64) {
        if let Some(sweep) = &mut self.sweep {
            sweep.lost_blobs += 1;
            sweep.lost_bytes += bytes;
        }
    }

    fn left_the_queue(&mut self) {
        self.queue.left = self.queue.left.saturating_sub(1);
    }

    /// Takes a blob out of the queue.
    async fn forget(&mut self, home: PartitionId, blob: BlobId) -> Result<()> {
        let snapshot = self.store.catalog.snapshot(home).await?;
        let commit = Commit {
            checks: vec![Check::Unchanged(repair_key(blob))],
            writes: vec![Write::Delete(repair_key(blob))],
            ..Commit::new(home, snapshot.read_version())
        };
        match self.store.catalog.commit(commit).await {
            Ok(_) => {
                self.left_the_queue();
                Ok(())
            }
            Err(Error::Conflict { .. } | Error::TooOld { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The next blob of the queue; `false` when all were there.
    async fn next_queued(&mut self) -> Result<bool> {
        if let Some((home, blob, deep)) = self.queue.waiting.pop_front() {
            self.queued(home, blob, deep).await?;
            return Ok(true);
        }
        if self.gone_through {
            return Ok(false);
        }
        if let Leg::Over { .. } = self.tour.go(&mut self.queue).await? {
            self.gone_through = true;
            self.store.repair.lock().queued_blobs = std::mem::take(&mut self.queue.left);
        }
        Ok(!self.gone_through)
    }

    async fn queued(&mut self, home: PartitionId, blob: BlobId, deep: bool) -> Result<()> {
        let snapshot = self.store.catalog.snapshot(home).await?;
        let Some(value) = snapshot.get(blob_key(blob)).await? else {
            self.store.damage.forget(home, blob);
            return self.forget(home, blob).await;
        };
        let version = snapshot.read_version();
        let row = match BlobRow::decode(blob, &value) {
            Ok(row) => row,
            Err(error) if error.kind() == ErrorKind::Corrupt => {
                tracing::error!(%home, %error, "a blob can't be repaired: its row is broken");
                self.store.damage.row_broken(home, blob);
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        self.store.damage.row_sound(home, blob);
        let found = Found { home, blob, row, version, queued: true };
        match Mend::plan(&self.store, found, deep)? {
            Verdict::Sound => self.forget(home, blob).await?,
            Verdict::Short => {}
            Verdict::Work(mend) => self.current = Some((Source::Queue, home, mend)),
        }
        Ok(())
    }

    /// Goes on with the walk; `false` when there is none to do.
    async fn walk(&mut self) -> Result<bool> {
        let mut sweep = if let Some(sweep) = self.sweep.take() {
            sweep
        } else {
            let mut sweep = self.store.load_sweep().await?;
            let behind = sweep.blob.map_or_else(Bytes::new, |blob| key_after(blob.as_bytes()));
            self.way = Tour::resume(PartitionId::from_bytes(sweep.home), behind);
            if sweep.finished && !self.store.missing_segments().is_empty() {
                // They went while nobody looked: the zones may be the same and a disk be another.
                sweep = SweepRow::default();
                (self.whole, self.way) = (true, Tour::default());
            }
            sweep
        };
        let zones = self.store.zones_digest();
        // A blob that was being written when a zone began to drain may have come after the walk.
        let late = || sweep.lost_blobs == 0 && self.store.is_draining_unfinished();
        let retry = self.rested && sweep.finished && (sweep.short_blobs > 0 || late()) && self.has_takers();
        if sweep.zones != zones || retry {
            sweep = SweepRow { zones, ..SweepRow::default() };
            (self.whole, self.way) = (true, Tour::default());
        }
        self.rested = false;
        if sweep.finished {
            self.publish(&sweep);
            self.sweep = Some(sweep);
            return Ok(false);
        }
        if sweep.total == 0 && sweep.blob.is_none() {
            sweep.total = self.store.live.total();
        }
        let mut walk = Walk { store: &self.store, sweep: &mut sweep, work: None };
        let outcome = self.way.go(&mut walk).await;
        if let Some((home, mend)) = walk.work.take() {
            self.current = Some((Source::Walk, home, mend));
        }
        let outcome = match outcome {
            Ok(Leg::Over { .. }) => {
                sweep.finished = true;
                self.store.save_sweep(&sweep).await
            }
            outcome => outcome.map(drop),
        };
        self.publish(&sweep);
        self.sweep = Some(sweep);
        outcome.map(|()| true)
    }

    /// The zones whose disks were replaced have their copies back: from now on what is missing there is damage. `true` when
    /// it takes another walk to say so.
    async fn end_refill(&mut self) -> Result<bool> {
        if !self.store.zones.iter().any(Zone::is_refilling) {
            return Ok(false);
        }
        self.store.refresh_live().await?;
        if !self.store.missing_segments().is_empty() {
            let is_short = self.sweep.as_ref().is_none_or(|sweep| !sweep.finished || sweep.short_blobs > 0);
            // What was changed while it was copied waits in the queue for the next round.
            if is_short || self.is_any_queued().await? {
                return Ok(false);
            }
            if !self.whole {
                // The walk began before the disk was replaced: what it had passed then is missing since.
                self.sweep = Some(SweepRow { zones: self.store.zones_digest(), ..SweepRow::default() });
                (self.whole, self.way) = (true, Tour::default());
                return Ok(true);
            }
        }
        for zone in self.store.zones.iter().filter(|zone| zone.is_refilling()) {
            for pool in zone.pools.iter().cloned() {
                blocking(move || pool.allocator.end_replaced()).await?;
            }
            tracing::info!(zone = zone.name, "the zone's new disk has its copies back");
        }
        self.store.report_missing();
        Ok(false)
    }

    async fn is_any_queued(&self) -> Result<bool> {
        let mut from = Bound::Unbounded;
        while let Some(home) = self.store.next_home(from) {
            let scan = Scan { keys_only: true, ..Scan::prefix(REPAIR, &[], 1) };
            if !self.store.catalog.snapshot(home).await?.scan(scan).await?.rows.is_empty() {
                return Ok(true);
            }
            from = Bound::Excluded(home);
        }
        Ok(false)
    }

    fn has_takers(&self) -> bool {
        let takers = self.store.zones.takers();
        takers.iter().filter(|zone| !zone.is_troubled()).count() >= self.store.copies
    }

    /// The walk is past the blob that was under way.
    async fn passed(&mut self, bytes: u64, short: bool) -> Result<()> {
        self.count_passed(bytes, short);
        match &self.sweep {
            Some(sweep) => self.store.save_sweep(sweep).await,
            None => Ok(()),
        }
    }

    fn count_passed(&mut self, bytes: u64, short: bool) {
        let Some(mut sweep) = self.sweep.take() else { return };
        sweep.done += bytes;
        if short {
            sweep.short_blobs += 1;
            sweep.short_bytes += bytes;
        }
        self.publish(&sweep);
        self.sweep = Some(sweep);
    }

    fn publish(&mut self, sweep: &SweepRow) {
        let now = self.store.clock.boottime();
        let (since, before) = *self.pace.get_or_insert((now, sweep.done));
        if sweep.finished {
            self.pace = None;
        }
        let (spent, passed) = (now.saturating_sub(since).as_secs(), sweep.done.saturating_sub(before));
        let left = sweep.total.saturating_sub(sweep.done);
        let mut repair = self.store.repair.lock();
        repair.walking = !sweep.finished;
        repair.total = ByteCount::new(sweep.total.max(sweep.done));
        repair.done = ByteCount::new(sweep.done);
        repair.eta_s = (!sweep.finished && passed > 0).then(|| left.saturating_mul(spent) / passed);
        (repair.short_blobs, repair.short) = (sweep.short_blobs, ByteCount::new(sweep.short_bytes));
        (repair.lost_blobs, repair.lost) = (sweep.lost_blobs, ByteCount::new(sweep.lost_bytes));
    }
}

/// A part of the walk.
struct Walk<'a> {
    store: &'a Arc<BlobStore>,
    sweep: &'a mut SweepRow,
    /// The blob that needs work.
    work: Option<(PartitionId, Box<Mend>)>,
}

impl Visitor for Walk<'_> {
    type Cursor = Bytes;

    fn next(&self, from: Bound<PartitionId>) -> Option<PartitionId> {
        self.store.next_home(from)
    }

    async fn visit(&mut self, stop: &mut Stop<Bytes>) -> Result<()> {
        if self.sweep.home != *stop.partition().as_bytes() {
            (self.sweep.home, self.sweep.blob) = (*stop.partition().as_bytes(), None);
        }
        match self.page(stop).await {
            // A place of the catalog is damaged, or it is a later release's: nobody knows what is behind it.
            Err(error) if matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Invalid) => {
                self.sweep.short_blobs += 1;
                Err(error)
            }
            Err(error) => {
                stop.hold_up(error);
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }
}

impl Walk<'_> {
    /// One page of rows, up to the first that needs work.
    async fn page(&mut self, stop: &mut Stop<Bytes>) -> Result<()> {
        let home = stop.partition();
        let snapshot = self.store.catalog.snapshot(home).await?;
        let version = snapshot.read_version();
        let page = Scan { start: stop.cursor(), ..Scan::prefix(BLOBS, &[], ROWS_PER_PAGE) };
        let rows = snapshot.scan(page).await?.rows;
        if rows.is_empty() {
            return Ok(());
        }
        let sweep = &mut *self.sweep;
        for (key, value) in rows {
            let behind = key_after(&key);
            let blob = match fixed(&key, "blob row") {
                Ok(id) => BlobId::from_bytes(id),
                Err(error) => {
                    sweep.lost_blobs += 1;
                    stop.set_aside(error);
                    stop.go_on_at(behind);
                    continue;
                }
            };
            let row = match BlobRow::decode(blob, &value) {
                Ok(row) => row,
                Err(error) if error.kind() == ErrorKind::Corrupt => {
                    tracing::error!(%home, %error, "repair passes a broken row");
                    self.store.damage.row_broken(home, blob);
                    sweep.lost_blobs += 1;
                    sweep.blob = Some(blob);
                    stop.go_on_at(behind);
                    continue;
                }
                Err(error) => {
                    sweep.blob = Some(blob);
                    stop.go_on_at(behind);
                    return Err(error);
                }
            };
            self.store.damage.row_sound(home, blob);
            let bytes = row.places().map(RecordAt::stored_len).sum::<u64>();
            if self.store.wants_upload(&row) {
                self.store.queue_late_upload(home, blob, &row, version).await?;
            }
            let found = Found { home, blob, row, version, queued: false };
            let verdict = Mend::plan(self.store, found, false)?;
            // Not before: what fails up to here is tried again.
            sweep.blob = Some(blob);
            stop.go_on_at(behind);
            match verdict {
                Verdict::Sound => sweep.done += bytes,
                Verdict::Short => {
                    sweep.done += bytes;
                    sweep.short_blobs += 1;
                    sweep.short_bytes += bytes;
                }
                Verdict::Work(mend) => {
                    self.work = Some((home, mend));
                    return Ok(());
                }
            }
        }
        self.store.save_sweep(sweep).await
    }
}

impl Worker for Repairer {
    fn name(&self) -> &'static str {
        "repairer"
    }

    fn bell(&self) -> Arc<Notify> {
        Arc::clone(&self.store.bells.repairer)
    }

    fn trouble(&self) -> Option<String> {
        self.tour.trouble().or_else(|| self.way.trouble())
    }

    fn tick(&mut self) -> BoxFuture<'_, Result<Progress>> {
        Box::pin(self.step())
    }
}
