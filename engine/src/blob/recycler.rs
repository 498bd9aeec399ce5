//! Frees segments that no row names, keeps them as long as a backup needs them, then recycles their files.
//!
//! ```text
//!   live 0, not open, not held ─► fence: one commit in each partition that may have named it
//!     { Unchanged(counter), counter is 0; Delete(counter) } ─► freed at the newest of those versions
//!   freed ─► version ≤ hold (or no hold), not pinned ─► `.free`, or removed if there are enough
//! ```
//!
//! The fence makes a commit that was still on its way visible, for the catalog decides first what a caller dropped first:
//! it changes the counter, and the segment stays. So nobody waits for time to pass; what keeps a segment is a holder of a
//! sealed blob, a reader's pin or a backup's hold. A crash
//! leaves a `.seg` file without counters, which is freed again when the store is opened, at the version of that moment, so
//! that a hold never lets go too early.

use super::BlobStore;
use super::live::count;
use super::row::live_key;
use crate::blocking::blocking;
use crate::catalog::{Check, Commit, Version, Write};
use crate::id::{PartitionId, SegmentId};
use crate::pool::segment::Segment;
use crate::worker::{Progress, Worker};
use crate::{BoxFuture, Error, Result};
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::sync::Notify;

impl BlobStore {
    /// Frees what is dead; how many segments that were.
    pub(super) async fn free_dead(&self) -> Result<usize> {
        let mut freed = 0;
        for segment in self.zones.pools().flat_map(|pool| pool.allocator.closed()) {
            if self.live.of(segment.id) == 0 && !segment.is_held() && !self.is_freed(segment.id) {
                match self.free(&segment).await {
                    Ok(done) => freed += usize::from(done),
                    // The catalog takes nothing: what is freed already goes its way, and that may help.
                    Err(Error::Full { .. }) => break,
                    Err(error) => return Err(error),
                }
            }
        }
        if freed > 0 {
            self.bells.recycler.notify_one();
        }
        Ok(freed)
    }

    async fn free(&self, segment: &Segment) -> Result<bool> {
        let mut newest = self.catalog.snapshot(PartitionId::ROOT).await?.read_version();
        let mut named_by: BTreeSet<PartitionId> = segment.expects_rows_of().into_iter().collect();
        named_by.extend(self.live.counted_by(segment.id));
        for home in named_by {
            self.live.mark(home, segment.id);
            match self.fence(home, segment.id).await? {
                Some(version) => newest = newest.max(version),
                None => return Ok(false),
            }
        }
        self.freed.lock().insert(segment.id, newest);
        Ok(true)
    }

    /// Removes a counter that is 0; `None` when it is not, or was just changed.
    async fn fence(&self, home: PartitionId, segment: SegmentId) -> Result<Option<Version>> {
        let snapshot = self.catalog.snapshot(home).await?;
        let value = snapshot.get(live_key(segment)).await?;
        if value.as_deref().map(count).transpose()?.unwrap_or(0) > 0 {
            return Ok(None);
        }
        let commit = Commit {
            checks: vec![Check::Unchanged(live_key(segment))],
            writes: vec![Write::Delete(live_key(segment))],
            ..Commit::new(home, snapshot.read_version()).from_reserve()
        };
        match self.commit_counting(commit).await {
            Ok(version) => Ok(Some(version)),
            Err(Error::Conflict { .. } | Error::TooOld { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) fn is_freed(&self, segment: SegmentId) -> bool {
        self.freed.lock().contains_key(&segment)
    }

    /// Freed segments that the hold lets go.
    fn released(&self) -> Vec<SegmentId> {
        let hold = *self.hold.lock();
        let freed = self.freed.lock();
        freed.iter().filter(|(_, at)| hold.is_none_or(|hold| **at <= hold)).map(|(id, _)| *id).collect()
    }
}

/// Worker `recycler`; its unit is segments.
pub struct Recycler {
    store: Arc<BlobStore>,
}

impl Recycler {
    /// A recycler of this store.
    pub fn new(store: Arc<BlobStore>) -> Self {
        Self { store }
    }

    async fn step(&mut self) -> Result<Progress> {
        let full = self.store.zones.is_any_full();
        let mut done = 0;
        let mut trouble = None;
        for id in self.store.released() {
            let Some(pool) = self.store.zones.holder(id).cloned() else {
                // Its file has another name, though an error was all that was said of it.
                self.store.freed.lock().remove(&id);
                continue;
            };
            match blocking(move || pool.allocator.recycle(id)).await {
                Ok(true) => {
                    self.store.freed.lock().remove(&id);
                    self.store.left_alone.lock().remove(&id);
                    done += 1;
                }
                Ok(false) => {}
                Err(error) => trouble = trouble.or(Some(error)),
            }
        }
        // One disk that fails keeps none of the others waiting.
        for pool in self.store.zones.pools().cloned() {
            let kept = blocking(move || pool.allocator.keep_reserve()).await;
            trouble = trouble.or(kept.err());
        }
        if let Some(error) = trouble {
            return Err(error);
        }
        if done == 0 {
            return Ok(Progress::Idle { rest: self.store.rest() });
        }
        if full {
            self.store.bells.compactor.notify_one();
        }
        Ok(Progress::More { done })
    }
}

impl Worker for Recycler {
    fn name(&self) -> &'static str {
        "recycler"
    }

    fn bell(&self) -> Arc<Notify> {
        Arc::clone(&self.store.bells.recycler)
    }

    fn tick(&mut self) -> BoxFuture<'_, Result<Progress>> {
        Box::pin(self.step())
    }
}
