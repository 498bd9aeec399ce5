//! Empties segments that are mostly dead, then frees them.
//!
//! ```text
//!   victim ─► walk its frames ─► still named by its blob row? ─► read, verify its checksum ─► compaction lane ─► sync
//!          ─► commit { Unchanged(blob row); row names the new place; counters move } ─► … ─► live 0 ─► free
//! ```
//!
//! # Invariants
//! - A row is changed only after the moved bytes are durable, and only if nobody changed it since it was read.
//! - A segment that a sealed blob holds is neither emptied nor freed.
//! - A record that is damaged or can't be read stays where it is, as evidence; its segment is left alone until all has been scrubbed
//!   once more, and no other. So is one with a row that is broken, or with pages that can't be read.
//! - A segment of which something stays because its row changed meanwhile is walked again, until a walk finds nothing to
//!   move in it.
//!
//! A crash leaves records twice, once as garbage in the segment that was being written, and rows that name either place.

use super::BlobStore;
use super::copies::{Fate, look_in};
use super::policy::{SegmentUse, victim};
use super::row::{BlobRow, blob_key};
use super::writer::live_adds;
use crate::blocking::blocking;
use crate::catalog::{Check, Commit, Version, Write};
use crate::id::{BlobId, PartitionId, SegmentId};
use crate::pool::scan::FrameWalk;
use crate::pool::{Draft, Placed, Pool, ReadPin, RecordAt};
use crate::worker::{Progress, Worker};
use crate::{BoxFuture, Error, ErrorKind, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::Notify;

/// Bytes of frames and payloads that one tick looks at.
const BYTES_PER_TICK: u64 = 8 << 20;
/// Rows of one commit; each may have tens of KiB.
const ROWS_PER_COMMIT: usize = 32;
/// How often rows are read again that changed between their copies and the commit. Each is as short as two steps can be.
const COMMIT_ATTEMPTS: usize = 8;

type Rows = BTreeMap<BlobId, BlobRow>;

/// Worker `compactor`; its unit is bytes moved.
pub struct Compactor {
    store: Arc<BlobStore>,
    current: Option<Victim>,
    /// Segments with live bytes in which the last walk met nothing that a row names.
    suspects: BTreeSet<SegmentId>,
}

/// The segment that is being emptied.
struct Victim {
    /// Its pool, which keeps what it has: records are moved within their directory.
    pool: Arc<Pool>,
    segment: ReadPin,
    walk: FrameWalk,
    met: Met,
}

/// What a walk came upon.
#[derive(Clone, Copy, Default)]
struct Met {
    /// A record that a row names, moved or not.
    named: bool,
    /// A named record that can't be moved, or something that may hide one.
    broken: bool,
}

/// A record to be moved, and the row that names it.
struct Move {
    blob: BlobId,
    from: RecordAt,
    /// Index of the copy in the row, and of the record in the copy.
    index: (usize, usize),
}

impl BlobStore {
    /// Segments that were left alone are victims again.
    pub(super) fn try_left_alone_again(&self) {
        self.left_alone.lock().clear();
    }
}

impl Compactor {
    /// A compactor of this store.
    pub fn new(store: Arc<BlobStore>) -> Self {
        Self { store, current: None, suspects: BTreeSet::new() }
    }

    async fn step(&mut self) -> Result<Progress> {
        if let Some(victim) = self.current.take() {
            return match self.empty(victim).await {
                // What was freed so far is on its way back: the recycler makes it the next file to write to.
                Err(Error::Full { .. }) => {
                    self.store.refresh_live().await?;
                    self.store.free_dead().await?;
                    Ok(Progress::Idle { rest: super::FULL_REST })
                }
                outcome => outcome,
            };
        }
        self.store.refresh_live().await?;
        let freed = self.store.free_dead().await?;
        self.current = self.choose();
        if self.current.is_some() {
            return Ok(Progress::More { done: 0 });
        }
        Ok(if freed > 0 { Progress::More { done: 0 } } else { Progress::Idle { rest: self.store.rest() } })
    }

    /// A victim of a pool that is full, or else of any.
    fn choose(&self) -> Option<Victim> {
        let mut pools: Vec<&Arc<Pool>> = self.store.zones.pools().collect();
        pools.sort_by_key(|pool| !pool.allocator.is_full());
        pools.into_iter().find_map(|pool| {
            let segment = self.choose_in(pool)?;
            Some(Victim { pool: Arc::clone(pool), segment, walk: FrameWalk::new(), met: Met::default() })
        })
    }

    fn choose_in(&self, pool: &Pool) -> Option<ReadPin> {
        let allocator = &pool.allocator;
        let closed = allocator.closed();
        let (mut pool_live, mut pool_capacity) = (0, 0);
        let mut candidates = Vec::new();
        for segment in closed {
            let live = self.store.live.of(segment.id);
            if self.store.is_freed(segment.id) {
                continue;
            }
            pool_live += live;
            pool_capacity += segment.capacity;
            if live > 0 && !segment.is_held() && !self.store.left_alone.lock().contains(&segment.id) {
                let (id, capacity, failed) = (segment.id, segment.capacity, segment.has_failed());
                candidates.push(SegmentUse { id, capacity, live, failed });
            }
        }
        victim(&candidates, pool_live, pool_capacity, allocator.is_full()).and_then(|id| allocator.pin(id))
    }

    /// One batch of the victim's records.
    async fn empty(&mut self, victim: Victim) -> Result<Progress> {
        let Victim { pool, segment, mut walk, mut met } = victim;
        let pin = segment.clone();
        let (walk, frames) = blocking(move || {
            let frames = walk.next(&pin, BYTES_PER_TICK);
            Ok((walk, frames))
        })
        .await?;
        met.broken |= walk.has_skipped();
        let frames = match frames {
            Err(error @ Error::Io { .. }) => {
                tracing::error!(segment = %segment.id, %error, "a segment can't be read: it is left alone");
                self.leave_alone(segment.id);
                return Ok(Progress::More { done: 0 });
            }
            outcome => outcome?,
        };
        if frames.is_empty() {
            return self.finish(&segment, met).await;
        }
        let mut by_home: BTreeMap<PartitionId, Vec<(u64, BlobId)>> = BTreeMap::new();
        for (offset, frame) in frames {
            by_home.entry(frame.home).or_default().push((offset, frame.blob));
        }
        let mut done = 0;
        for (home, records) in by_home {
            for records in records.chunks(ROWS_PER_COMMIT) {
                done += self.move_records(home, (&pool, &segment), records, &mut met).await?;
            }
        }
        self.current = Some(Victim { pool, segment, walk, met });
        Ok(Progress::More { done })
    }

    /// The walk is at the end: what is still live could not be moved, or its row changed behind the walk (a repair that wrote
    /// it, a commit that was decided late). Another walk tells which: it moves something, or is the second that meets nothing
    /// that a row names.
    async fn finish(&mut self, segment: &ReadPin, met: Met) -> Result<Progress> {
        self.store.refresh_live().await?;
        let left = self.store.live.of(segment.id);
        if met.named || left == 0 {
            self.suspects.remove(&segment.id);
        }
        if left > 0 && !segment.is_held() && (met.broken || (!met.named && !self.suspects.insert(segment.id)))
        {
            self.suspects.remove(&segment.id);
            tracing::error!(segment = %segment.id, bytes = left, "segment can't be emptied: it is left alone");
            self.leave_alone(segment.id);
        }
        Ok(Progress::More { done: 0 })
    }

    fn leave_alone(&self, segment: SegmentId) {
        self.store.left_alone.lock().insert(segment);
    }

    /// Moves those of these records that rows still name. Returns the bytes moved.
    async fn move_records(
        &self,
        home: PartitionId,
        (pool, segment): (&Pool, &ReadPin),
        records: &[(u64, BlobId)],
        met: &mut Met,
    ) -> Result<u64> {
        let (version, rows) = self.rows(home, records.iter().map(|(_, blob)| *blob), met).await?;
        let mut moved = Vec::new();
        let mut stopped = None;
        for (offset, blob) in records {
            let Some(found) = rows.get(blob).and_then(|row| find(row, *blob, segment.id, *offset)) else {
                continue;
            };
            met.named = true;
            match self.copy(home, (pool, segment), &found).await {
                Ok(Some(placed)) => moved.push((found, placed)),
                Ok(None) => met.broken = true,
                // What found room is kept: on a full disk every copy that is thrown away costs room.
                Err(error) => {
                    stopped = Some(error);
                    break;
                }
            }
        }
        let bytes =
            if moved.is_empty() { 0 } else { self.settle_moves(home, pool, (version, rows), &moved).await? };
        stopped.map_or(Ok(bytes), Err)
    }

    /// The rows of these blobs, and the version that they are of.
    async fn rows(
        &self,
        home: PartitionId,
        blobs: impl Iterator<Item = BlobId>,
        met: &mut Met,
    ) -> Result<(Version, Rows)> {
        let snapshot = self.store.catalog.snapshot(home).await?;
        let blobs: Vec<BlobId> = blobs.collect::<BTreeSet<_>>().into_iter().collect();
        let values = snapshot.multi_get(blobs.iter().map(|blob| blob_key(*blob)).collect()).await?;
        let mut rows = Rows::new();
        for (blob, value) in blobs.into_iter().zip(values) {
            match value.map(|bytes| BlobRow::decode(blob, &bytes)).transpose() {
                Ok(row) => {
                    self.store.damage.row_sound(home, blob);
                    rows.extend(row.map(|row| (blob, row)));
                }
                // It may name a record here. The others are not kept waiting.
                Err(error) if error.kind() == ErrorKind::Corrupt => {
                    tracing::error!(%home, %error, "compaction passes a broken row");
                    self.store.damage.row_broken(home, blob);
                    met.broken = true;
                }
                Err(error) => return Err(error),
            }
        }
        Ok((snapshot.read_version(), rows))
    }

    /// Makes the copies durable, then has the rows name them.
    async fn settle_moves(
        &self,
        home: PartitionId,
        pool: &Pool,
        seen: (Version, Rows),
        moved: &[(Move, Placed)],
    ) -> Result<u64> {
        pool.compaction.sync().await?;
        if let Some((_, lost)) = moved.iter().find(|(_, placed)| placed.hold.segment().has_failed()) {
            let source = std::io::Error::other("a sync failed before the moved records were durable");
            return Err(Error::io("write segment", &lost.hold.segment().path, source));
        }
        self.commit_moves(home, seen, moved).await
    }

    /// Copies a record to the compaction lane; `None` when it can't be read as it was written.
    async fn copy(
        &self,
        home: PartitionId,
        (pool, segment): (&Pool, &ReadPin),
        found: &Move,
    ) -> Result<Option<Placed>> {
        let (frame, bytes) = match look_in(segment.clone(), found.blob, found.from).await? {
            Fate::Sound(record) => record,
            Fate::Damaged(error) | Fate::Unreadable(error) => {
                tracing::error!(%error, "compaction leaves a broken record where it is");
                self.store.damage.found(home, found.blob);
                self.store.note_damage(home, found.blob);
                return Ok(None);
            }
            Fate::Away(error) => return Err(error),
        };
        let answer = pool.compaction.append(Draft::again(home, &frame, bytes)).await?;
        Ok(Some(answer.await.map_err(|_| Error::Closed)??))
    }

    /// All rows in one commit. If somebody came between, or so many did that the catalog does not know any more whether anybody
    /// did, the rows are read again: what they still name where it was has its copy by now. The rest keeps its place.
    async fn commit_moves(
        &self,
        home: PartitionId,
        (mut version, mut rows): (Version, Rows),
        moved: &[(Move, Placed)],
    ) -> Result<u64> {
        for (_, placed) in moved {
            placed.hold.segment().expect_rows_of(home);
        }
        for _ in 0..COMMIT_ATTEMPTS {
            let (commit, bytes) = naming(home, version, &rows, moved);
            if bytes == 0 {
                return Ok(0);
            }
            match self.store.commit_counting(commit).await {
                Ok(_) => {
                    self.store.moved_bytes.fetch_add(bytes, Ordering::Relaxed);
                    return Ok(bytes);
                }
                Err(Error::Conflict { .. } | Error::TooOld { .. }) => {
                    let blobs = moved.iter().map(|(found, _)| found.blob);
                    // A row that broke since is the next walk's.
                    (version, rows) = self.rows(home, blobs, &mut Met::default()).await?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(0)
    }
}

/// The commit in which rows name what was moved, as far as they name it where it was; and how many bytes that is.
fn naming(home: PartitionId, version: Version, rows: &Rows, moved: &[(Move, Placed)]) -> (Commit, u64) {
    let mut changed = Rows::new();
    let (mut from, mut to) = (Vec::new(), Vec::new());
    for (Move { blob, from: at, .. }, placed) in moved {
        let Some(row) = rows.get(blob) else { continue };
        let Some(found) = find(row, *blob, at.segment, at.offset.into()).filter(|found| found.from == *at)
        else {
            continue;
        };
        let row = changed.entry(*blob).or_insert_with(|| row.clone());
        row.copies[found.index.0].places[found.index.1] = placed.at;
        from.push(*at);
        to.push(placed.at);
    }
    let checks = changed.keys().map(|blob| Check::Unchanged(blob_key(*blob))).collect();
    let mut writes: Vec<Write> =
        changed.iter().map(|(blob, row)| Write::Put(blob_key(*blob), row.encode().into())).collect();
    writes.extend(live_adds(&from, -1));
    writes.extend(live_adds(&to, 1));
    let commit = Commit { checks, writes, ..Commit::new(home, version).from_reserve() };
    (commit, to.iter().map(RecordAt::stored_len).sum())
}

/// The record at this place, if the row names it.
fn find(row: &BlobRow, blob: BlobId, segment: SegmentId, offset: u64) -> Option<Move> {
    let is_it = |at: &RecordAt| at.segment == segment && u64::from(at.offset) == offset;
    row.copies.iter().enumerate().find_map(|(n, copy)| {
        let index = copy.places.iter().position(is_it)?;
        Some(Move { blob, from: copy.places[index], index: (n, index) })
    })
}

impl Worker for Compactor {
    fn name(&self) -> &'static str {
        "compactor"
    }

    fn bell(&self) -> Arc<Notify> {
        Arc::clone(&self.store.bells.compactor)
    }

    fn tick(&mut self) -> BoxFuture<'_, Result<Progress>> {
        Box::pin(self.step())
    }
}
