//! How many bytes of each segment rows name, by partition.
//!
//! The truth is in the catalog's counters, changed in the commits of the rows themselves. Those of callers this module does not
//! see; those of the store's own workers go through [`commit_counting`](BlobStore::commit_counting), which marks what they
//! change however they end: also one whose answer is not known, or is not waited for, may have changed it. From before such a
//! commit until it is answered its counters stay marked: others read its rows as soon as it has landed.
//! So what may have changed is marked, and read again before it is acted upon. A pair stays marked while
//! a commit may still be on its way: as long as a sealed blob holds the segment, and until a commit of our own has
//! answered after the last hold. The catalog decides what a caller dropped before it decides what comes later, so no time
//! has to pass. Marks are numbered: one that was set anew while the counter was read stays. Counters are read by one at a time,
//! so that no older value comes after a newer one.

use super::row::{LIVE, live_key};
use super::{BlobStore, fixed};
use crate::catalog::{Catalog, Commit, Durability, Scan, Version, Write};
use crate::id::{PartitionId, SegmentId};
use crate::{Error, Result};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// The counters as last read.
#[derive(Default)]
pub(crate) struct Live {
    state: Mutex<State>,
    /// Held while marked counters are read again.
    reading: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    /// Rows that exist, those with 0 included.
    counts: BTreeMap<SegmentId, BTreeMap<PartitionId, u64>>,
    /// What may have changed, and the number of the newest mark that said so.
    marked: BTreeMap<(PartitionId, SegmentId), u64>,
    marks: u64,
    /// Commits under way that change a counter.
    under_way: BTreeMap<(PartitionId, SegmentId), usize>,
}

impl State {
    fn mark(&mut self, home: PartitionId, segment: SegmentId) {
        self.marks += 1;
        self.marked.insert((home, segment), self.marks);
    }
}

impl Live {
    /// Reads all counters of these partitions.
    pub(super) async fn load(catalog: &dyn Catalog, homes: &[PartitionId]) -> Result<Self> {
        let live = Self::default();
        for &home in homes {
            let snapshot = catalog.snapshot(home).await?;
            let mut next = Some(Scan::prefix(LIVE, &[], 1000));
            while let Some(scan) = next {
                let page = snapshot.scan(scan.clone()).await?;
                for (key, value) in &page.rows {
                    live.set(home, SegmentId::from_bytes(fixed(key, "live counter")?), Some(count(value)?));
                }
                next = scan.behind(&page);
            }
        }
        Ok(live)
    }

    fn set(&self, home: PartitionId, segment: SegmentId, bytes: Option<u64>) {
        let mut state = self.state.lock();
        let by_home = state.counts.entry(segment).or_default();
        match bytes {
            Some(bytes) => by_home.insert(home, bytes),
            None => by_home.remove(&home),
        };
        if by_home.is_empty() {
            state.counts.remove(&segment);
        }
    }

    /// This counter may change or have changed.
    pub(super) fn mark(&self, home: PartitionId, segment: SegmentId) {
        self.state.lock().mark(home, segment);
    }

    /// A commit that changes these counters sets out.
    pub(super) fn begin(&self, home: PartitionId, segments: &[SegmentId]) {
        let mut state = self.state.lock();
        for segment in segments {
            state.mark(home, *segment);
            *state.under_way.entry((home, *segment)).or_default() += 1;
        }
    }

    /// It was answered, or nobody waits for that any more.
    fn end(&self, home: PartitionId, segments: &[SegmentId]) {
        let mut state = self.state.lock();
        for segment in segments {
            state.mark(home, *segment);
            if let Entry::Occupied(mut commits) = state.under_way.entry((home, *segment)) {
                *commits.get_mut() -= 1;
                if *commits.get() == 0 {
                    commits.remove();
                }
            }
        }
    }

    /// The counter was read after this mark was set, and nobody can change it any more unless it was marked again since.
    fn unmark(&self, home: PartitionId, segment: SegmentId, mark: u64) {
        let mut state = self.state.lock();
        let counter = (home, segment);
        if state.marked.get(&counter) == Some(&mark) && !state.under_way.contains_key(&counter) {
            state.marked.remove(&counter);
        }
    }

    /// Bytes of a segment that rows named when last read.
    pub(super) fn of(&self, segment: SegmentId) -> u64 {
        self.state.lock().counts.get(&segment).map_or(0, |by_home| by_home.values().sum())
    }

    /// Bytes of all segments that rows named when last read.
    pub(super) fn total(&self) -> u64 {
        self.state.lock().counts.values().flat_map(BTreeMap::values).sum()
    }

    /// Partitions that have a counter row for this segment.
    pub(super) fn counted_by(&self, segment: SegmentId) -> Vec<PartitionId> {
        self.state
            .lock()
            .counts
            .get(&segment)
            .map(|by_home| by_home.keys().copied().collect())
            .unwrap_or_default()
    }

    /// Segments that rows name.
    pub(super) fn segments(&self) -> Vec<SegmentId> {
        let state = self.state.lock();
        state
            .counts
            .iter()
            .filter(|(_, by_home)| by_home.values().any(|n| *n > 0))
            .map(|(id, _)| *id)
            .collect()
    }

    fn marked(&self) -> BTreeMap<PartitionId, Vec<(SegmentId, u64)>> {
        let mut by_home: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for ((home, segment), mark) in &self.state.lock().marked {
            by_home.entry(*home).or_default().push((*segment, *mark));
        }
        by_home
    }
}

/// Counters that a commit changes or removes: marked as long as this lives, and anew when it is dropped.
struct Marks<'a> {
    live: &'a Live,
    home: PartitionId,
    segments: Vec<SegmentId>,
}

impl<'a> Marks<'a> {
    fn of(live: &'a Live, commit: &Commit) -> Result<Self> {
        let mut segments = Vec::new();
        for write in &commit.writes {
            let (Write::Put(key, _) | Write::Delete(key) | Write::Add(key, _)) = write;
            if key.table == LIVE {
                segments.push(SegmentId::from_bytes(fixed(&key.bytes, "live counter")?));
            }
        }
        live.begin(commit.partition, &segments);
        Ok(Self { live, home: commit.partition, segments })
    }
}

impl Drop for Marks<'_> {
    fn drop(&mut self) {
        self.live.end(self.home, &self.segments);
    }
}

impl BlobStore {
    /// Commits, and has the counters that change with it read again, whatever the catalog answers: every commit of the store's
    /// own that moves counters goes this way.
    pub(super) async fn commit_counting(&self, commit: Commit) -> Result<Version> {
        let _marks = Marks::of(&self.live, &commit)?;
        self.catalog.commit(commit).await
    }

    /// Reads the marked counters again.
    pub(super) async fn refresh_live(&self) -> Result<()> {
        let _alone = self.live.reading.lock().await;
        for (home, segments) in self.live.marked() {
            // Which ones are settled is asked before the read, so that nothing slips in between.
            let mut settled: Vec<bool> = segments.iter().map(|(id, _)| self.is_let_go(*id)).collect();
            if settled.contains(&true) && !self.flush_dropped(home).await? {
                settled.fill(false);
            }
            let snapshot = self.catalog.snapshot(home).await?;
            let values = snapshot.multi_get(segments.iter().map(|(id, _)| live_key(*id)).collect()).await?;
            for (((segment, mark), value), settled) in segments.into_iter().zip(values).zip(settled) {
                let bytes = value.as_deref().map(count).transpose()?;
                self.live.set(home, segment, bytes);
                if settled {
                    self.live.unmark(home, segment, mark);
                }
            }
        }
        Ok(())
    }

    /// Nobody who may commit a row that names the segment holds it any more.
    fn is_let_go(&self, segment: SegmentId) -> bool {
        let pinned = self.zones.pin(segment);
        pinned.is_none_or(|segment| !segment.is_open() && !segment.is_held())
    }

    /// Has every commit decided that a caller dropped before this; `false` when the catalog is too full to say.
    pub(super) async fn flush_dropped(&self, home: PartitionId) -> Result<bool> {
        let read_version = self.catalog.snapshot(home).await?.read_version();
        let barrier = Commit { durability: Durability::Relaxed, ..Commit::new(home, read_version) };
        match self.catalog.commit(barrier).await {
            Ok(_) => Ok(true),
            Err(Error::Full { .. } | Error::TooOld { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// A counter's value; below zero is a broken invariant.
pub(super) fn count(value: &[u8]) -> Result<u64> {
    let signed = i64::from_le_bytes(fixed(value, "live counter")?);
    u64::try_from(signed).map_err(|_| crate::Error::Corrupt {
        what: "live counter".to_owned(),
        detail: format!("{signed} is below zero"),
    })
}

#[cfg(test)]
mod tests {
    use super::Live;
    use crate::id::{PartitionId, SegmentId};

    #[test]
    fn a_mark_that_is_set_anew_while_its_counter_is_read_stays() {
        let (live, home, segment) =
            (Live::default(), PartitionId::from_bytes(*b"home one"), SegmentId::from_bytes([1; 8]));
        live.mark(home, segment);
        let first = live.marked()[&home][0].1;
        live.mark(home, segment);
        live.unmark(home, segment, first);
        let second = live.marked()[&home][0].1;
        live.unmark(home, segment, second);
        assert!(first < second && live.marked().is_empty());
    }

    #[test]
    fn a_counter_stays_marked_while_a_commit_that_changes_it_is_under_way() {
        let (live, home, segment) =
            (Live::default(), PartitionId::from_bytes(*b"home one"), SegmentId::from_bytes([1; 8]));
        let newest = || live.marked().get(&home).map(|segments| segments[0].1);
        live.begin(home, &[segment]);
        live.begin(home, &[segment]);
        for _ in 0..2 {
            live.unmark(home, segment, newest().unwrap());
            assert!(newest().is_some());
            live.end(home, &[segment]);
        }
        live.unmark(home, segment, newest().unwrap());
        assert_eq!(newest(), None);
    }
}
