//! Gives one blob the copies that it is to have: whole, and in zones that are in use.
//!
//! ```text
//!   row ─► which copies stay, which zones get one ─► record by record:
//!     not there, or (deep) not as its checksum says ─► read from another copy, verified ─► compaction lane of the zone
//!   ─► sync ─► commit { Unchanged(blob row); row names the new places; counters move; leaves the repair queue }
//! ```
//!
//! # Invariants
//! - A copy is dropped from the row only in the commit that names as many others as are wanted, all durable.
//! - Nothing is copied that does not match its checksum, and what can't be read leaves the row as it is.
//! - What a zone that is away holds is kept in the row while nothing can take its place, and a blob of which it may have the
//!   only sound copy is not given up.
//!
//! # Limits
//! A step copies about as many bytes as it is asked to; the places of the blob under way stay in memory. A crash leaves
//! garbage in the segments that were being written, and the blob begins anew.

use super::copies::Fate;
use super::row::{BlobCopy, BlobRow, Copies, PRESENT, blob_key, repair_key};
use super::writer::live_adds;
use super::{BlobStore, Short};
use crate::catalog::{Check, Commit, Version, Write};
use crate::id::{BlobId, PartitionId};
use crate::pool::{Draft, Placed, Pool, RecordAt, ZoneId};
use crate::{Error, Result};
use bytes::Bytes;
use std::collections::BTreeSet;
use std::sync::Arc;

/// How often a row is read again that changes while its blob is copied.
const RAISE_ATTEMPTS: usize = 8;

/// A row as it was read.
pub(super) struct Found {
    pub(super) home: PartitionId,
    pub(super) blob: BlobId,
    pub(super) row: BlobRow,
    pub(super) version: Version,
    /// It is in the repair queue.
    pub(super) queued: bool,
}

/// What there is to do about a blob.
pub(super) enum Verdict {
    /// It has what it is to have.
    Sound,
    /// It lacks copies, and no zone can take one now.
    Short,
    /// There is work.
    Work(Box<Mend>),
}

/// How a step ended.
pub(super) enum Step {
    /// There is more; so many bytes were copied.
    More(u64),
    /// It has what it is to have; so many bytes were copied by the last step.
    Done(u64),
    /// The same, but for copies that no zone can take now.
    StillShort(u64),
    /// No copy of a record can be read: the row is left as it is.
    Unreadable(Error),
    /// None of those that are there, and others are away: the row is left as it is for now.
    Away(Error),
    /// Somebody changed the row: look at it again.
    Again,
}

/// What came of one record.
enum Mended {
    /// Each target has it; so many bytes were copied.
    Copied(u64),
    Unreadable(Error),
    Away(Error),
}

/// One blob under way.
pub(super) struct Mend {
    found: Found,
    /// Copies that it is to have.
    copies: Copies,
    deep: bool,
    targets: Vec<Target>,
    /// Copies are still missing afterwards.
    short: bool,
    next: usize,
    placed: Vec<Placed>,
}

/// A copy as it is to be.
struct Target {
    zone: ZoneId,
    places: Vec<RecordAt>,
    /// Where lost records go; none for a copy that is only carried along.
    pool: Option<Arc<Pool>>,
    /// The row has it; else it is new.
    is_old: bool,
}

impl Mend {
    /// Looks at a row; `deep` reads and verifies every record, otherwise a record counts as there when its segment is.
    pub(super) fn plan(store: &BlobStore, found: Found, deep: bool) -> Result<Verdict> {
        let wanted = found.row.wanted;
        Self::plan_for(store, found, wanted, deep)
    }

    /// The same for a blob that is to have so many copies from now on.
    pub(super) fn plan_for(store: &BlobStore, found: Found, copies: Copies, deep: bool) -> Result<Verdict> {
        let row = &found.row;
        if row.records() == 0 || store.is_kept_remotely(row) {
            return Ok(Verdict::Sound);
        }
        let wanted = store.count_of(copies);
        let lost = |copy: &BlobCopy| {
            copy.places.iter().filter(|at| store.zones.holder(at.segment).is_none()).count()
        };
        let in_use =
            |copy: &&BlobCopy| store.zones.get(copy.zone).is_some_and(|z| z.is_there() && !z.is_draining());
        let mut keep: Vec<&BlobCopy> = row.copies.iter().filter(in_use).collect();
        keep.sort_by_key(|copy| lost(copy));
        keep.truncate(wanted);
        let mut whole = copies == row.wanted && keep.iter().all(|copy| lost(copy) == 0);
        let mut targets = Vec::new();
        for copy in keep {
            let pool = store.zones.get(copy.zone).map(|zone| zone.pool().cloned()).transpose()?;
            targets.push(Target { zone: copy.zone, places: copy.places.clone(), pool, is_old: true });
        }
        for zone in store.zones.takers() {
            let is_there = row.copies.iter().any(|copy| copy.zone == zone.id);
            if targets.len() < wanted && !is_there && !zone.is_troubled() {
                let (places, pool) = (Vec::new(), Some(Arc::clone(zone.pool()?)));
                targets.push(Target { zone: zone.id, places, pool, is_old: false });
                whole = false;
            }
        }
        let short = targets.len() < wanted;
        for copy in &row.copies {
            if targets.len() < wanted && targets.iter().all(|target| target.zone != copy.zone) {
                targets.push(Target {
                    zone: copy.zone,
                    places: copy.places.clone(),
                    pool: None,
                    is_old: true,
                });
            }
        }
        if whole && !deep && targets.len() >= row.copies.len() {
            return Ok(if short { Verdict::Short } else { Verdict::Sound });
        }
        Ok(Verdict::Work(Box::new(Self { found, copies, deep, targets, short, next: 0, placed: Vec::new() })))
    }

    pub(super) fn blob(&self) -> BlobId {
        self.found.blob
    }

    /// Bytes of the row's copies.
    pub(super) fn stored_bytes(&self) -> u64 {
        self.found.row.places().map(RecordAt::stored_len).sum()
    }

    /// Goes on until about `budget` bytes are looked at. An error is a zone's that takes nothing.
    pub(super) async fn step(&mut self, store: &BlobStore, budget: u64) -> Result<Step> {
        let (mut seen, mut copied) = (0, 0);
        while self.next < self.found.row.records() {
            match self.mend_record(store, self.next).await? {
                Mended::Copied(bytes) => copied += bytes,
                Mended::Unreadable(error) => return Ok(Step::Unreadable(error)),
                Mended::Away(error) => return Ok(Step::Away(error)),
            }
            seen += self.found.row.record_stored_len(self.next);
            self.next += 1;
            if seen >= budget {
                return Ok(Step::More(copied));
            }
        }
        self.finish(store, copied).await
    }

    /// One record of all targets.
    async fn mend_record(&mut self, store: &BlobStore, index: usize) -> Result<Mended> {
        let Found { home, blob, .. } = self.found;
        let mut lost = Vec::new();
        let mut sound = None;
        for (n, target) in self.targets.iter().enumerate().filter(|(_, target)| target.pool.is_some()) {
            let Some(at) = target.places.get(index).filter(|_| target.is_old) else {
                lost.push(n);
                continue;
            };
            if self.deep {
                match store.look(blob, target.zone, *at).await? {
                    Fate::Sound(record) => sound = sound.or(Some(record)),
                    Fate::Damaged(_) | Fate::Unreadable(_) | Fate::Away(_) => lost.push(n),
                }
            } else if store.zones.holder(at.segment).is_none() {
                lost.push(n);
            }
        }
        if lost.is_empty() {
            return Ok(Mended::Copied(0));
        }
        let fate = match sound {
            Some(record) => Fate::Sound(record),
            None => store.look_everywhere((home, blob), &self.found.row, index).await?,
        };
        let (frame, bytes) = match fate {
            Fate::Sound(record) => record,
            Fate::Damaged(error) | Fate::Unreadable(error) => return Ok(Mended::Unreadable(error)),
            Fate::Away(error) => return Ok(Mended::Away(error)),
        };
        let mut copied = 0;
        for n in lost {
            let target = &mut self.targets[n];
            let Some(pool) = &target.pool else { continue };
            let draft = Draft::again(home, &frame, bytes.clone());
            let answer = pool.compaction.append(draft).await?;
            let placed = answer.await.map_err(|_| Error::Closed)??;
            copied += placed.at.stored_len();
            match target.places.get_mut(index) {
                Some(place) => *place = placed.at,
                None => target.places.push(placed.at),
            }
            self.placed.push(placed);
        }
        Ok(Mended::Copied(copied))
    }

    /// Makes what was copied durable, then has the row name it.
    async fn finish(&mut self, store: &BlobStore, copied: u64) -> Result<Step> {
        if !self.placed.is_empty() {
            for target in &self.targets {
                if let Some(pool) = &target.pool {
                    pool.compaction.sync().await?;
                }
            }
        }
        if let Some(lost) = self.placed.iter().find(|placed| placed.hold.segment().has_failed()) {
            let source = std::io::Error::other("a sync failed before the copied records were durable");
            return Err(Error::io("write segment", &lost.hold.segment().path, source));
        }
        let commit = self.commit();
        for placed in &self.placed {
            placed.hold.segment().expect_rows_of(self.found.home);
        }
        match store.commit_counting(commit).await {
            Ok(_) if self.short => Ok(Step::StillShort(copied)),
            Ok(_) => Ok(Step::Done(copied)),
            Err(Error::Conflict { .. } | Error::TooOld { .. }) => Ok(Step::Again),
            Err(error) => Err(error),
        }
    }

    fn old_places(&self) -> impl Iterator<Item = RecordAt> {
        self.found.row.places().copied()
    }

    fn new_places(&self) -> impl Iterator<Item = RecordAt> {
        self.targets.iter().flat_map(|target| &target.places).copied()
    }

    fn commit(&self) -> Commit {
        let (home, blob) = (self.found.home, self.found.blob);
        let targets = self.targets.iter();
        let copies = targets.map(|t| BlobCopy { zone: t.zone, places: t.places.clone() }).collect();
        let row = BlobRow { copies, wanted: self.copies, ..self.found.row.clone() };
        let mut checks = vec![Check::Unchanged(blob_key(blob))];
        let mut writes = Vec::new();
        if row != self.found.row {
            let (old, new): (BTreeSet<_>, BTreeSet<_>) =
                (self.old_places().map(place_key).collect(), self.new_places().map(place_key).collect());
            let gone: Vec<_> = self.old_places().filter(|at| !new.contains(&place_key(*at))).collect();
            let come: Vec<_> = self.new_places().filter(|at| !old.contains(&place_key(*at))).collect();
            writes.push(Write::Put(blob_key(blob), row.encode().into()));
            writes.extend(live_adds(&gone, -1));
            writes.extend(live_adds(&come, 1));
        }
        if self.found.queued {
            checks.push(Check::Unchanged(repair_key(blob)));
            writes.push(if self.short {
                Write::Put(repair_key(blob), Bytes::from_static(PRESENT))
            } else {
                Write::Delete(repair_key(blob))
            });
        } else if self.short && self.copies != self.found.row.wanted {
            writes.push(Write::Put(repair_key(blob), Bytes::from_static(PRESENT)));
        }
        Commit { checks, writes, ..Commit::new(home, self.found.version).from_reserve() }
    }
}

impl BlobStore {
    /// Gives a blob the copies that the store keeps, though [`Copies::One`] was asked for when it was written: who keeps more comes
    /// to refer to it. Durable when this returns. A blob that is gone is no error: the caller's own commit notices.
    pub async fn keep_configured(&self, home: PartitionId, blob: BlobId) -> Result<()> {
        if !self.zones.are_several() {
            return Ok(());
        }
        for _ in 0..RAISE_ATTEMPTS {
            let snapshot = self.catalog.snapshot(home).await?;
            let Some(value) = snapshot.get(blob_key(blob)).await? else { return Ok(()) };
            let row = BlobRow::decode(blob, &value)?;
            if row.wanted == Copies::Configured {
                return Ok(());
            }
            let found = Found { home, blob, row, version: snapshot.read_version(), queued: false };
            let Verdict::Work(mut mend) = Mend::plan_for(self, found, Copies::Configured, false)? else {
                return Ok(());
            };
            if mend.short && self.short == Short::Refuse {
                let there = mend.targets.iter().filter(|target| target.pool.is_some()).count();
                return Err(Error::TooFewZones { wanted: self.copies, there });
            }
            let ended = loop {
                match mend.step(self, u64::MAX).await? {
                    Step::More(_) => {}
                    step => break step,
                }
            };
            match ended {
                Step::Again | Step::More(_) => {}
                Step::Unreadable(error) | Step::Away(error) => return Err(error),
                Step::Done(_) | Step::StillShort(_) => return Ok(()),
            }
        }
        Err(Error::Conflict { check: 0 })
    }
}

fn place_key(at: RecordAt) -> ([u8; 8], u32) {
    (*at.segment.as_bytes(), at.offset)
}
