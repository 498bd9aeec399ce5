//! Which partitions may have blobs: what the workers go through, and what is counted when the store is opened.
//!
//! ```text
//!   writer, or whoever queues something ─► known? ─► hold
//!                                             └─ no ─► commit the row in the root partition ─► known, hold
//!   collector finds a home empty ─► nobody holds it ─► a commit of our own in it, so that what was dropped before is decided
//!     ─► still empty? ─► its row goes ─► unknown        meanwhile who wants to hold it waits, and makes it known again
//! ```
//!
//! # Invariants
//! - Rows of blobs come to a partition only in commits that were made while a [`HomeHold`] of it lived, or beside rows of
//!   blobs that are there.
//! - A home is forgotten only after every such commit was decided, and only if it has nothing of blobs then: no rows, no
//!   counters, no queues.
//!
//! A crash leaves the row of a home that is empty, which is found so again, or no row and nothing in the partition.

use super::row::{
    BLOBS, COMPANIONS, DOOMED, GARBAGE, HOMES, LIVE, PARTS, PRESENT, REFERENCES, REPAIR, UPLOADS, home_key,
};
use super::{BlobStore, fixed};
use crate::Result;
use crate::catalog::{Catalog, Commit, Durability, Scan, Snapshot, Table, Write};
use crate::id::PartitionId;
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

/// All that a partition has on account of blobs. What counts remote bytes is 0 where no row is.
const TABLES: [Table; 9] = [BLOBS, LIVE, GARBAGE, REFERENCES, UPLOADS, DOOMED, PARTS, REPAIR, COMPANIONS];

/// The homes as far as they are known.
#[derive(Default)]
pub(super) struct Homes {
    state: Mutex<State>,
    /// Shared while rows of homes are written, held alone while one is removed.
    changing: tokio::sync::RwLock<()>,
}

#[derive(Default)]
struct State {
    /// With the number of those that hold each.
    known: BTreeMap<PartitionId, usize>,
    /// It is about to be forgotten: nobody holds it, nor comes to.
    leaving: Option<PartitionId>,
}

/// Keeps a partition known until the commit that was made meanwhile is decided.
pub(super) struct HomeHold {
    homes: Arc<Homes>,
    home: PartitionId,
}

impl Drop for HomeHold {
    fn drop(&mut self) {
        if let Some(holds) = self.homes.state.lock().known.get_mut(&self.home) {
            *holds = holds.saturating_sub(1);
        }
    }
}

/// A home on its way out.
struct Leaving<'a> {
    homes: &'a Homes,
    home: PartitionId,
    /// Its row may be gone.
    gone: bool,
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        let mut state = self.homes.state.lock();
        state.leaving = None;
        if self.gone {
            state.known.remove(&self.home);
        }
    }
}

impl Homes {
    /// Reads the rows.
    pub(super) async fn load(catalog: &dyn Catalog) -> Result<Self> {
        let snapshot = catalog.snapshot(PartitionId::ROOT).await?;
        let homes = Self::default();
        let mut next = Some(Scan { keys_only: true, ..Scan::prefix(HOMES, &[], 1000) });
        while let Some(scan) = next {
            let page = snapshot.scan(scan.clone()).await?;
            for (key, _) in &page.rows {
                homes.state.lock().known.insert(PartitionId::from_bytes(fixed(key, "home row")?), 0);
            }
            next = scan.behind(&page);
        }
        Ok(homes)
    }

    pub(super) fn all(&self) -> Vec<PartitionId> {
        self.state.lock().known.keys().copied().collect()
    }

    fn next(&self, from: Bound<PartitionId>) -> Option<PartitionId> {
        self.state.lock().known.range((from, Bound::Unbounded)).next().map(|(home, _)| *home)
    }

    fn hold(self: &Arc<Self>, home: PartitionId) -> Option<HomeHold> {
        let mut state = self.state.lock();
        if state.leaving == Some(home) {
            return None;
        }
        *state.known.get_mut(&home)? += 1;
        Some(HomeHold { homes: Arc::clone(self), home })
    }

    /// Nobody comes to hold the home as long as the answer lives; `None` if somebody does.
    fn leave(&self, home: PartitionId) -> Option<Leaving<'_>> {
        let mut state = self.state.lock();
        if state.known.get(&home) != Some(&0) {
            return None;
        }
        state.leaving = Some(home);
        Some(Leaving { homes: self, home, gone: false })
    }
}

impl BlobStore {
    /// Partitions that may have blobs.
    pub(crate) fn homes(&self) -> Vec<PartitionId> {
        self.homes.all()
    }

    /// The first of them from here on: how workers go through them, of whom none has a copy of them all.
    pub(super) fn next_home(&self, from: Bound<PartitionId>) -> Option<PartitionId> {
        self.homes.next(from)
    }

    /// Makes it known, durably, that `home` may have blobs, and keeps it so.
    pub(super) async fn hold_home(&self, home: PartitionId) -> Result<HomeHold> {
        if let Some(hold) = self.homes.hold(home) {
            return Ok(hold);
        }
        let _changing = self.homes.changing.read().await;
        if let Some(hold) = self.homes.hold(home) {
            return Ok(hold);
        }
        let read_version = self.catalog.snapshot(PartitionId::ROOT).await?.read_version();
        let commit = Commit {
            writes: vec![Write::Put(home_key(home), Bytes::from_static(PRESENT))],
            ..Commit::new(PartitionId::ROOT, read_version)
        };
        self.catalog.commit(commit).await?;
        *self.homes.state.lock().known.entry(home).or_insert(0) += 1;
        Ok(HomeHold { homes: Arc::clone(&self.homes), home })
    }

    /// Forgets a home that has nothing of blobs any more and that nobody holds. After an error it may be forgotten; then only a
    /// restart finds a row that is left.
    pub(super) async fn forget_home(&self, home: PartitionId) -> Result<()> {
        let _changing = self.homes.changing.write().await;
        let Some(mut leaving) = self.homes.leave(home) else { return Ok(()) };
        if !self.flush_dropped(home).await? || !is_empty(&*self.catalog.snapshot(home).await?).await? {
            return Ok(());
        }
        let read_version = self.catalog.snapshot(PartitionId::ROOT).await?.read_version();
        let commit = Commit {
            writes: vec![Write::Delete(home_key(home))],
            // A power cut that brings the row back does no harm.
            durability: Durability::Relaxed,
            ..Commit::new(PartitionId::ROOT, read_version).from_reserve()
        };
        leaving.gone = true;
        self.catalog.commit(commit).await.map(drop)
    }
}

/// A partition has nothing on account of blobs.
pub(super) async fn is_empty(snapshot: &dyn Snapshot) -> Result<bool> {
    for table in TABLES {
        let scan = Scan { keys_only: true, ..Scan::prefix(table, &[], 1) };
        if !snapshot.scan(scan).await?.rows.is_empty() {
            return Ok(false);
        }
    }
    Ok(true)
}
