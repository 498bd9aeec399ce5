//! What a commit does to the rows of a partition, and what else follows from it. Pure.
//!
//! ```text
//!   Change ── of(view), at(partition, snapshot) ─► Proposal ─► ObjectStore::try_commit
//! ```
//!
//! # Invariants
//! - A change of what a bucket holds is [guarded](Change::guarded): the bucket is there and configured as it was read, and whoever
//!   deletes it must look again.

use crate::quota::{Charge, Delta};
use crate::record::{Cold, ObjectRow};
use crate::stack::release_content;
use crate::store::{Kept, View};
use crate::tables;
use archive::vault::{end_job, give_up};
use bytes::Bytes;
use engine::Result;
use engine::catalog::{Check, Durability, Key, Layout, Snapshot, Space, Version, Write};
use engine::id::PartitionId;
use engine::outbox::Posted;

/// Rows to write, what must hold of others, and what else follows.
#[derive(Debug, Default)]
pub(crate) struct Change {
    pub(crate) checks: Vec<Check>,
    pub(crate) writes: Vec<Write>,
    /// What it adds to bytes and number of versions.
    pub(crate) delta: Delta,
    /// Events among the writes.
    pub(crate) posted: Vec<Posted>,
    /// Keeps what the writes name in place until their commit has answered.
    pub(crate) kept: Option<Kept>,
    /// Queues got work.
    pub(crate) dirty: bool,
    /// There is something to look after among archived versions.
    pub(crate) cold: bool,
    /// Which space it may use on a full disk.
    pub(crate) space: Space,
    /// When it is answered.
    pub(crate) durability: Durability,
    /// What whoever reads the rows must know of, if anything.
    pub(crate) layout: Option<Layout>,
    /// What quotas have of it, and which check is the first of theirs.
    pub(crate) charge: Option<(usize, Charge)>,
}

/// A change of what a partition has at one version.
#[derive(Debug)]
pub(crate) struct Proposal {
    pub(crate) partition: PartitionId,
    pub(crate) read_version: Version,
    pub(crate) change: Change,
}

impl Change {
    pub(crate) fn new(checks: Vec<Check>, writes: Vec<Write>) -> Self {
        Self { checks, writes, ..Self::default() }
    }

    /// Of these writes, whatever else is there.
    pub(crate) fn writes(writes: impl IntoIterator<Item = Write>) -> Self {
        Self::new(Vec::new(), writes.into_iter().collect())
    }

    /// Nobody else may have changed the row.
    #[must_use]
    pub(crate) fn unchanged(mut self, row: Key) -> Self {
        self.checks.push(Check::Unchanged(row));
        self
    }

    /// The row must not be there.
    #[must_use]
    pub(crate) fn absent(mut self, row: Key) -> Self {
        self.checks.push(Check::Absent(row));
        self
    }

    #[must_use]
    pub(crate) fn put(mut self, row: Key, value: Bytes) -> Self {
        self.writes.push(Write::Put(row, value));
        self
    }

    #[must_use]
    pub(crate) fn delete(mut self, row: Key) -> Self {
        self.writes.push(Write::Delete(row));
        self
    }

    /// The bucket must be there, and configured as it was read.
    #[must_use]
    pub(crate) fn configured(self) -> Self {
        self.unchanged(tables::only(tables::CONFIG))
    }

    /// The same, and a deletion that saw the bucket empty must look again.
    #[must_use]
    pub(crate) fn guarded(mut self) -> Self {
        self.writes.push(Write::Add(tables::only(tables::EPOCH), 1));
        self.configured()
    }

    /// It leads to free space, so that it may draw on the [reserve](Space::Reserve) of a full disk.
    #[must_use]
    pub(crate) fn freeing(self) -> Self {
        Self { space: Space::Reserve, ..self }
    }

    /// It need not be durable before another one is that comes after it.
    #[must_use]
    pub(crate) fn relaxed(self) -> Self {
        Self { durability: Durability::Relaxed, ..self }
    }

    /// Queues get work.
    #[must_use]
    pub(crate) fn dirty(self) -> Self {
        Self { dirty: true, ..self }
    }

    /// Whoever reads the rows must know of this.
    #[must_use]
    pub(crate) fn known_by(self, layout: Layout) -> Self {
        Self { layout: self.layout.max(Some(layout)), ..self }
    }

    /// The quotas over its key count it, and refuse it where there is no room.
    #[must_use]
    pub(crate) fn charged(mut self, mut charge: Charge) -> Self {
        let first = self.checks.len();
        self.checks.append(&mut charge.checks);
        self.writes.append(&mut charge.writes);
        self.charge = Some((first, charge));
        self
    }

    /// Proposes it for a bucket as a view shows it.
    pub(crate) fn of(self, view: &View) -> Proposal {
        self.at(view.bucket.partition, &*view.snapshot)
    }

    /// Proposes it for a partition as a snapshot shows it.
    pub(crate) fn at(self, partition: PartitionId, snapshot: &dyn Snapshot) -> Proposal {
        Proposal { partition, read_version: snapshot.read_version(), change: self }
    }

    /// Adds the counters.
    pub(crate) fn count(mut self) -> Self {
        let Delta { bytes, versions } = self.delta;
        for (table, delta) in [(tables::VERSION_COUNT, versions), (tables::BYTE_COUNT, bytes)] {
            if delta != 0 {
                self.writes.push(Write::Add(tables::only(table), delta));
            }
        }
        self
    }

    /// What another change of the same key at the same version does besides; neither is about what is on top, unless it is alone.
    pub(crate) fn join(&mut self, other: Self) {
        // What is current is the same for all of them.
        let first = self.checks.is_empty();
        let writes = other.writes.into_iter();
        self.writes.extend(writes.filter(|write| first || write.key().table != tables::CURRENT));
        self.checks.extend(other.checks);
        self.delta.bytes += other.delta.bytes;
        self.delta.versions += other.delta.versions;
        self.posted.extend(other.posted);
        self.kept = self.kept.take().or(other.kept);
        self.dirty |= other.dirty;
        self.cold |= other.cold;
        self.layout = self.layout.max(other.layout);
        if other.space == Space::Reserve {
            self.space = other.space;
        }
    }

    /// Drops what a vault has of a version.
    fn give_up(&mut self, cold: &Cold, length: u64) {
        self.writes.extend(cold.archive.map(|at| give_up(at, length)).into_iter().flatten());
        let job = cold.restore.and_then(|restore| restore.job);
        self.writes.extend(job.map(end_job).into_iter().flatten());
        self.dirty = true;
    }

    pub(crate) fn tally(&mut self, row: &ObjectRow, sign: i64) {
        if let Some(stored) = &row.stored {
            self.delta.versions += sign;
            self.delta.bytes += sign * i64::try_from(stored.extent.length).unwrap_or(i64::MAX);
        }
    }

    /// Drops what a row refers to.
    pub(crate) fn release(&mut self, partition: PartitionId, row: &ObjectRow) -> Result<()> {
        self.tally(row, -1);
        if let Some(stored) = &row.stored {
            let (writes, dirty) = release_content(partition, stored.extent.owner, &stored.extent.content)?;
            self.writes.extend(writes);
            self.dirty |= dirty;
            if let Some(cold) = &stored.cold {
                self.give_up(cold, stored.extent.length);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Change, Delta};
    use crate::tables;
    use engine::catalog::{Space, Table, Write};

    #[test]
    fn what_joins_a_change_brings_all_but_another_word_on_what_is_on_top() {
        let of = |version: u8| {
            let current = tables::CURRENT.key(vec![0]);
            let change = Change::default().unchanged(current.clone());
            let change = change.delete(tables::VERSIONS.key(vec![version])).delete(current);
            Change { delta: Delta { bytes: version.into(), versions: 1 }, ..change }
        };
        let mut all = Change::default();
        all.join(of(1));
        assert!(!all.dirty && all.space == Space::Ordinary);
        all.join(Change { dirty: true, ..of(2).freeing() });
        all.join(of(4));
        assert!(all.dirty && all.space == Space::Reserve);
        assert_eq!((all.delta.bytes, all.delta.versions, all.checks.len()), (7, 3, 3));
        let written: Vec<(Table, u8)> =
            all.writes.iter().map(Write::key).map(|key| (key.table, key.bytes[0])).collect();
        let versions = [1, 2, 4].map(|version| (tables::VERSIONS, version));
        assert_eq!(written, [versions[0], (tables::CURRENT, 0), versions[1], versions[2]]);
    }
}
