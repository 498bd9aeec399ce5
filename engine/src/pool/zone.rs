//! Zones: failure domains, each with pools of its own.
//!
//! ```text
//!   zones ─┬─ zone a ─┬─ pool DIR 1     one allocator and its lanes a directory
//!          │          └─ pool DIR 2
//!          └─ zone b ─── (away)         known, but its disks are not there
//! ```
//!
//! A copy of a blob lies in one zone; which pool of it holds a segment is asked of the pools, for ids of segments are unique
//! in all of them. A zone keeps its number for ever, whatever it is called and wherever its directories are.
//!
//! # Invariants
//! - A zone that is away has no pools: nothing is written to it, and what lies there is missing for now, not lost.
//! - Where one zone is all there is, its pools decide as they would alone: a full or failing one is asked all the same.

use super::{Pool, ReadPin};
use crate::id::SegmentId;
use crate::{Error, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// A zone's number, as rows have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ZoneId(u16);

impl ZoneId {
    /// The zone of a store that names none.
    pub(crate) const FIRST: Self = Self(0);

    pub(crate) const fn from_bytes(bytes: [u8; 2]) -> Self {
        Self(u16::from_be_bytes(bytes))
    }

    pub(crate) const fn to_bytes(self) -> [u8; 2] {
        self.0.to_be_bytes()
    }

    /// The next number, if there is one.
    pub(crate) fn next(self) -> Option<Self> {
        self.0.checked_add(1).map(Self)
    }
}

/// A failure domain.
pub(crate) struct Zone {
    pub(crate) id: ZoneId,
    pub(crate) name: String,
    /// One for each directory; none while the zone is away.
    pub(crate) pools: Vec<Arc<Pool>>,
    /// Why it is away, or a part of it.
    pub(crate) away: Option<String>,
    /// The store was opened with it; else only rows know it.
    pub(crate) is_configured: bool,
    /// Takes nothing new; what it has is copied elsewhere.
    draining: AtomicBool,
    turn: AtomicUsize,
}

impl Zone {
    pub(crate) fn new(
        id: ZoneId,
        name: String,
        pools: Vec<Arc<Pool>>,
        away: Option<String>,
        draining: bool,
    ) -> Self {
        let draining = AtomicBool::new(draining);
        Self { id, name, pools, away, is_configured: true, draining, turn: AtomicUsize::new(0) }
    }

    /// A zone that only rows know.
    pub(crate) fn removed(id: ZoneId, name: String, draining: bool) -> Self {
        let away = Some("it is not configured any more".to_owned());
        Self { is_configured: false, ..Self::new(id, name, Vec::new(), away, draining) }
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    pub(crate) fn set_draining(&self, draining: bool) {
        self.draining.store(draining, Ordering::Release);
    }

    pub(crate) fn is_there(&self) -> bool {
        !self.pools.is_empty()
    }

    /// A directory of it took the place of a lost one, and repair is not through: segments that are missing are known to be.
    pub(crate) fn is_refilling(&self) -> bool {
        self.pools.iter().any(|pool| pool.allocator.is_replaced())
    }

    /// No pool of it has room, or works.
    pub(crate) fn is_troubled(&self) -> bool {
        self.pools.iter().all(|pool| pool.is_troubled())
    }

    /// The pool for the next blob, by turns among those that have room and work.
    pub(crate) fn pool(&self) -> Result<&Arc<Pool>> {
        if let [only] = self.pools.as_slice() {
            return Ok(only);
        }
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let by_turns =
            || self.pools.iter().cycle().skip(turn % self.pools.len().max(1)).take(self.pools.len());
        let found = by_turns().find(|pool| !pool.is_troubled()).or_else(|| by_turns().next());
        found.ok_or_else(|| Error::ZoneAway { zone: self.name.clone() })
    }
}

/// All zones that the store knows, the first one first.
pub(crate) struct Zones {
    all: Vec<Zone>,
    turn: AtomicUsize,
}

impl Zones {
    pub(crate) fn new(all: Vec<Zone>) -> Self {
        Self { all, turn: AtomicUsize::new(0) }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Zone> {
        self.all.iter()
    }

    /// More than one is known, those that are away included.
    pub(crate) fn are_several(&self) -> bool {
        self.all.len() > 1
    }

    pub(crate) fn get(&self, id: ZoneId) -> Option<&Zone> {
        self.all.iter().find(|zone| zone.id == id)
    }

    pub(crate) fn named(&self, name: &str) -> Option<&Zone> {
        self.all.iter().find(|zone| zone.name == name)
    }

    /// Its disks are there, in whatever state.
    pub(crate) fn is_there(&self, id: ZoneId) -> bool {
        self.get(id).is_some_and(Zone::is_there)
    }

    /// A zone's missing segments are known to be missing.
    pub(crate) fn is_refilling(&self, id: ZoneId) -> bool {
        self.get(id).is_some_and(Zone::is_refilling)
    }

    /// Zones that new copies may go to, best first: those without trouble by turns, then the others.
    pub(crate) fn takers(&self) -> Vec<&Zone> {
        let turn = if self.are_several() { self.turn.fetch_add(1, Ordering::Relaxed) } else { 0 };
        let from = turn % self.all.len().max(1);
        let (after, before) = (self.all.iter().skip(from), self.all.iter().take(from));
        let mut takers: Vec<&Zone> =
            after.chain(before).filter(|zone| zone.is_there() && !zone.is_draining()).collect();
        takers.sort_by_key(|zone| zone.is_troubled());
        takers
    }

    /// The pools of all zones.
    pub(crate) fn pools(&self) -> impl Iterator<Item = &Arc<Pool>> {
        self.all.iter().flat_map(|zone| &zone.pools)
    }

    /// Pins a segment for reading; `None` when no pool has it.
    pub(crate) fn pin(&self, id: SegmentId) -> Option<ReadPin> {
        self.pools().find_map(|pool| pool.allocator.pin(id))
    }

    /// The pool that holds a segment.
    pub(crate) fn holder(&self, id: SegmentId) -> Option<&Arc<Pool>> {
        self.pools().find(|pool| pool.allocator.has(id))
    }

    /// Enough zones have room, or work, for `needed` copies.
    pub(crate) fn suffice(&self, needed: usize, good: impl Fn(&Pool) -> bool) -> bool {
        let zones = self.all.iter().filter(|zone| !zone.is_draining());
        zones.filter(|zone| zone.pools.iter().any(|pool| good(pool))).count() >= needed
    }

    pub(crate) fn is_any_full(&self) -> bool {
        self.pools().any(|pool| pool.allocator.is_full())
    }

    pub(crate) async fn close(&self) {
        for pool in self.pools() {
            pool.close().await;
        }
    }
}
