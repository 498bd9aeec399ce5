//! A catalog in memory: the same semantics as the durable one, for the tests of the layers above.
//!
//! ```text
//!   (partition, table) ─► key ─► [(version, value or tombstone), …]     newest last
//! ```
//!
//! # Invariants
//! A snapshot sees each row's newest entry at or below its version; entries that no living snapshot can see are dropped
//! when their row is next written, tombstones at the next commit of any row.
//!
//! Nothing survives the process; `Synced` and `Relaxed` are the same here.

use super::totals::total;
use super::window::{ROWS_MAX, Verdict, Window};
use super::{
    Catalog, Check, Commit, IDEMPOTENCY_KEPT, Key, Limits, Page, Scan, Snapshot, Table, Version, Write, admit,
};
use crate::clock::{Clock, SystemClock};
use crate::entropy::{Entropy, SystemEntropy};
use crate::id::{IdempotencyId, PartitionId};
use crate::{BoxFuture, Error, Result};
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

/// A page ends after this many bytes of rows.
pub(super) const PAGE_BYTES_MAX: usize = 4 << 20;

type Chain = Vec<(Version, Option<Bytes>)>;

struct State {
    rows: HashMap<(PartitionId, Table), BTreeMap<Bytes, Chain>>,
    version: Version,
    window: Window,
    answered: HashMap<(PartitionId, IdempotencyId), Version>,
    answered_order: VecDeque<(Duration, PartitionId, IdempotencyId)>,
    living: BTreeMap<Version, usize>,
    tombstones: VecDeque<(Version, PartitionId, Key)>,
}

/// Rows in memory, shared by all clones of its `Arc`.
pub struct MemoryCatalog {
    state: Arc<Mutex<State>>,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for MemoryCatalog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "catalog in memory at version {}", self.state.lock().version)
    }
}

impl Default for MemoryCatalog {
    fn default() -> Self {
        Self::new(Arc::new(SystemClock), &SystemEntropy)
    }
}

impl MemoryCatalog {
    /// An empty catalog. The clock ages the conflict window and the idempotency ids.
    pub fn new(clock: Arc<dyn Clock>, entropy: &dyn Entropy) -> Self {
        let state = State {
            rows: HashMap::new(),
            version: 0,
            window: Window::new(entropy, 0, ROWS_MAX),
            answered: HashMap::new(),
            answered_order: VecDeque::new(),
            living: BTreeMap::new(),
            tombstones: VecDeque::new(),
        };
        Self { state: Arc::new(Mutex::new(state)), clock }
    }

    /// Partitions that have rows, in order.
    pub fn partitions(&self) -> Vec<PartitionId> {
        let state = self.state.lock();
        let mut found: Vec<_> = state
            .rows
            .iter()
            .filter(|(_, table)| table.values().any(|chain| newest(chain).is_some()))
            .map(|((partition, _), _)| *partition)
            .collect();
        found.sort_unstable();
        found.dedup();
        found
    }
}

fn newest(chain: &Chain) -> Option<&Bytes> {
    chain.last().and_then(|(_, value)| value.as_ref())
}

fn at(chain: &Chain, version: Version) -> Option<&Bytes> {
    chain.iter().rev().find(|(written, _)| *written <= version).and_then(|(_, value)| value.as_ref())
}

impl State {
    fn row(&self, partition: PartitionId, key: &Key) -> Option<&Chain> {
        self.rows.get(&(partition, key.table))?.get(&key.bytes)
    }

    fn commit(&mut self, commit: Commit, now: Duration) -> Result<Version> {
        admit::admit(&commit, &Limits::STANDARD)?;
        admit::admit_read_version(&commit, self.version)?;
        self.forget_answers(now);
        let id = commit.idempotency.map(|id| (commit.partition, id));
        if let Some(version) = id.and_then(|id| self.answered.get(&id)) {
            return Ok(*version);
        }
        self.validate(&commit)?;
        self.version += 1;
        let version = self.version;
        for write in commit.writes {
            self.apply(commit.partition, write, version);
        }
        if let Some((partition, id)) = id {
            self.answered.insert((partition, id), version);
            self.answered_order.push_back((now, partition, id));
        }
        self.window.prune(now, version);
        self.bury();
        Ok(version)
    }

    fn validate(&self, commit: &Commit) -> Result<()> {
        for (index, check) in commit.checks.iter().enumerate() {
            match check {
                Check::Absent(key) => {
                    if self.row(commit.partition, key).and_then(newest).is_some() {
                        return Err(Error::Conflict { check: index });
                    }
                }
                Check::AtMost(key, limit) => {
                    let now = counter(self.row(commit.partition, key).and_then(newest));
                    if total(now, &commit.writes, key) > *limit {
                        return Err(Error::OverLimit { check: index });
                    }
                }
                Check::Unchanged(key) => {
                    let row = self.window.fingerprint(commit.partition, key);
                    match self.window.judge(row, commit.read_version) {
                        Verdict::Unchanged => {}
                        Verdict::Changed => return Err(Error::Conflict { check: index }),
                        Verdict::TooOld => return Err(Error::TooOld { read: commit.read_version }),
                    }
                }
            }
        }
        Ok(())
    }

    fn apply(&mut self, partition: PartitionId, write: Write, version: Version) {
        let row = self.window.fingerprint(partition, write.key());
        self.window.record(row, version);
        let oldest = self.living.keys().next().copied().unwrap_or(version);
        let (key, value) = match write {
            Write::Put(key, value) => (key, Some(value)),
            Write::Delete(key) => (key, None),
            Write::Add(key, delta) => {
                let sum = counter(self.row(partition, &key).and_then(newest)).wrapping_add(delta);
                (key, Some(Bytes::copy_from_slice(&sum.to_le_bytes())))
            }
        };
        if value.is_none() {
            self.tombstones.push_back((version, partition, key.clone()));
        }
        let chain = self.rows.entry((partition, key.table)).or_default().entry(key.bytes).or_default();
        if chain.last().is_some_and(|(written, _)| *written == version) {
            chain.pop();
        }
        let visible = chain.iter().rposition(|(written, _)| *written <= oldest).unwrap_or(0);
        chain.drain(..visible);
        chain.push((version, value));
    }

    /// Drops tombstones that no living snapshot needs.
    fn bury(&mut self) {
        let oldest = self.living.keys().next().copied().unwrap_or(self.version);
        while let Some((version, ..)) = self.tombstones.front()
            && *version <= oldest
        {
            let Some((version, partition, key)) = self.tombstones.pop_front() else { return };
            let Some(table) = self.rows.get_mut(&(partition, key.table)) else { continue };
            let dead = |chain: &Chain| matches!(chain.last(), Some((written, None)) if *written == version);
            if table.get(&key.bytes).is_some_and(dead) {
                table.remove(&key.bytes);
            }
        }
    }

    fn forget_answers(&mut self, now: Duration) {
        while let Some((at, partition, id)) = self.answered_order.front()
            && now.saturating_sub(*at) > IDEMPOTENCY_KEPT
        {
            self.answered.remove(&(*partition, *id));
            self.answered_order.pop_front();
        }
    }
}

fn counter(value: Option<&Bytes>) -> i64 {
    value.and_then(|bytes| bytes[..].try_into().ok()).map_or(0, i64::from_le_bytes)
}

impl Catalog for MemoryCatalog {
    fn limits(&self) -> Limits {
        Limits::STANDARD
    }

    fn snapshot(&self, partition: PartitionId) -> BoxFuture<'_, Result<Arc<dyn Snapshot>>> {
        let mut state = self.state.lock();
        let version = state.version;
        *state.living.entry(version).or_default() += 1;
        let view = View { state: Arc::clone(&self.state), partition, version };
        Box::pin(std::future::ready(Ok(Arc::new(view) as Arc<dyn Snapshot>)))
    }

    fn commit(&self, commit: Commit) -> BoxFuture<'_, Result<Version>> {
        Box::pin(async move { self.state.lock().commit(commit, self.clock.boottime()) })
    }
}

struct View {
    state: Arc<Mutex<State>>,
    partition: PartitionId,
    version: Version,
}

impl Drop for View {
    fn drop(&mut self) {
        let mut state = self.state.lock();
        if let Some(count) = state.living.get_mut(&self.version) {
            *count -= 1;
            if *count == 0 {
                state.living.remove(&self.version);
            }
        }
    }
}

impl View {
    fn read(&self, key: &Key) -> Option<Bytes> {
        self.state.lock().row(self.partition, key).and_then(|chain| at(chain, self.version)).cloned()
    }

    fn page(&self, scan: &Scan) -> Page {
        let mut page = Page::default();
        if !scan.end.is_empty() && scan.start >= scan.end {
            return page;
        }
        let state = self.state.lock();
        let Some(table) = state.rows.get(&(self.partition, scan.table)) else { return page };
        let end = if scan.end.is_empty() { Bound::Unbounded } else { Bound::Excluded(&scan.end[..]) };
        let range = table.range::<[u8], _>((Bound::Included(&scan.start[..]), end));
        let visible = |(key, chain): (&Bytes, &Chain)| {
            let value = at(chain, self.version)?;
            Some((key.clone(), if scan.keys_only { Bytes::new() } else { value.clone() }))
        };
        if scan.reverse {
            fill(&mut page, range.rev().filter_map(visible), scan.limit);
        } else {
            fill(&mut page, range.filter_map(visible), scan.limit);
        }
        page
    }
}

fn fill(page: &mut Page, rows: impl Iterator<Item = (Bytes, Bytes)>, limit: usize) {
    let mut bytes = 0;
    for row in rows {
        if page.rows.len() == limit || bytes >= PAGE_BYTES_MAX {
            page.more = limit > 0;
            return;
        }
        bytes += row.0.len() + row.1.len();
        page.rows.push(row);
    }
}

impl Snapshot for View {
    fn read_version(&self) -> Version {
        self.version
    }

    fn get(&self, key: Key) -> BoxFuture<'_, Result<Option<Bytes>>> {
        Box::pin(async move { Ok(self.read(&key)) })
    }

    fn multi_get(&self, keys: Vec<Key>) -> BoxFuture<'_, Result<Vec<Option<Bytes>>>> {
        Box::pin(async move { Ok(keys.iter().map(|key| self.read(key)).collect()) })
    }

    fn scan(&self, scan: Scan) -> BoxFuture<'_, Result<Page>> {
        Box::pin(async move { Ok(self.page(&scan)) })
    }
}

#[cfg(test)]
mod tests {
    use super::MemoryCatalog;
    use crate::catalog::conformance::{self, World};
    use crate::catalog::{Catalog, Commit, Family, Table, Write};
    use crate::clock::{ManualClock, Timestamp};
    use crate::entropy::SeededEntropy;
    use crate::id::PartitionId;
    use bytes::Bytes;
    use std::sync::Arc;

    #[tokio::test]
    async fn passes_the_conformance_suite() {
        conformance::run(|| {
            let clock = Arc::new(ManualClock::new(Timestamp::from_millis(0)));
            let catalog = Arc::new(MemoryCatalog::new(Arc::clone(&clock) as _, &SeededEntropy::new(1)));
            World { catalog, clock }
        })
        .await;
    }

    #[tokio::test]
    async fn partitions_are_those_that_have_rows() {
        const TABLE: Table = Table { family: Family::Record, tag: 1 };
        let catalog = MemoryCatalog::default();
        let other = PartitionId::from_bytes([7; 8]);
        for (partition, write) in [
            (other, Write::Put(TABLE.key(&b"a"[..]), Bytes::new())),
            (PartitionId::ROOT, Write::Put(TABLE.key(&b"a"[..]), Bytes::new())),
            (PartitionId::ROOT, Write::Delete(TABLE.key(&b"a"[..]))),
        ] {
            let mut commit = Commit::new(partition, 0);
            commit.writes.push(write);
            catalog.commit(commit).await.unwrap();
        }
        assert_eq!(catalog.partitions(), [other]);
    }
}
