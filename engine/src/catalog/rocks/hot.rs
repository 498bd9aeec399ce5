//! Rows that were read lately, in front of RocksDB: a hit costs a hash and a reference count, a read of a cached block some
//! microseconds of index, filter and block searches, and a copy.
//!
//! ```text
//!   reader at version v:  found, since ≤ v ─► answer          else read RocksDB at v ─► keep it, if v ≥ changed
//!   sequencer, group c :  changed = c, its rows are forgotten ─► only then c is published
//! ```
//!
//! # Invariants
//! - What is kept is the row's value at every version from `since` to the newest published one: a change forgets it before
//!   anybody can read at the change's version, and a reader that began before the change (`v < changed`) keeps nothing.
//! - Only rows that exist are kept, none of counters.
//!
//! # Limits
//! `bytes_max` in all, in shards of two generations each.

use crate::catalog::{Family, Key, Version};
use crate::generations::{Cost, Generations};
use crate::id::PartitionId;
use bytes::Bytes;
use parking_lot::Mutex;
use std::hash::{BuildHasher, RandomState};

const SHARDS: usize = 16;
/// What an entry takes beside key and value, about.
const ENTRY_COST: usize = 128;

/// Rows read lately.
pub(super) struct Hot {
    shards: [Mutex<Shard>; SHARDS],
    hasher: RandomState,
    generation_bytes_max: usize,
}

struct Shard {
    rows: Generations<(PartitionId, Key), Kept>,
    /// The newest change of any row of this shard.
    changed: Version,
}

#[derive(Clone)]
struct Kept {
    value: Bytes,
    since: Version,
}

impl Cost<(PartitionId, Key)> for Kept {
    fn cost(&self, row: &(PartitionId, Key)) -> usize {
        ENTRY_COST + row.1.bytes.len() + self.value.len()
    }
}

impl Hot {
    /// An empty one.
    pub(super) fn new(bytes_max: usize) -> Self {
        let generation_bytes_max = bytes_max / SHARDS / 2;
        let shard = |_| Mutex::new(Shard { rows: Generations::new(generation_bytes_max), changed: 0 });
        Self { shards: std::array::from_fn(shard), hasher: RandomState::new(), generation_bytes_max }
    }

    fn shard(&self, row: &(PartitionId, Key)) -> &Mutex<Shard> {
        let index = self.hasher.hash_one(row) % SHARDS as u64;
        &self.shards[usize::try_from(index).unwrap_or(0)]
    }

    /// The row at `version`, if it is known.
    pub(super) fn get(&self, row: &(PartitionId, Key), version: Version) -> Option<Bytes> {
        let mut shard = self.shard(row).lock();
        let found = shard.rows.read(row, |kept| (kept.since <= version).then(|| kept.value.clone()));
        let gone = shard.rows.take_gone();
        drop(shard);
        drop(gone);
        found.flatten()
    }

    /// Keeps a row as it was read at `version`.
    pub(super) fn keep(&self, row: (PartitionId, Key), version: Version, value: &Bytes) {
        if row.1.table.family == Family::Counter {
            return;
        }
        let mut shard = self.shard(&row).lock();
        if version >= shard.changed {
            shard.rows.keep(row, Kept { value: value.clone(), since: version });
        }
        let gone = shard.rows.take_gone();
        drop(shard);
        drop(gone);
    }

    /// A row changes with `version`, which nobody can read at yet.
    pub(super) fn forget(&self, row: &(PartitionId, Key), version: Version) {
        let mut shard = self.shard(row).lock();
        shard.changed = shard.changed.max(version);
        shard.rows.forget(row);
    }

    /// Any row may change with `version`.
    pub(super) fn forget_all(&self, version: Version) {
        for shard in &self.shards {
            let mut shard = shard.lock();
            let rows = Generations::new(self.generation_bytes_max);
            *shard = Shard { rows, changed: shard.changed.max(version) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Hot;
    use crate::catalog::{Family, Key, Table};
    use crate::id::PartitionId;
    use bytes::Bytes;

    const HERE: PartitionId = PartitionId::from_bytes([7; 8]);

    fn row(n: usize) -> (PartitionId, Key) {
        let table = Table { family: Family::Record, tag: 1 };
        (HERE, table.key(n.to_string().into_bytes()))
    }

    fn value(text: &'static str) -> Bytes {
        Bytes::from_static(text.as_bytes())
    }

    #[test]
    fn a_row_is_known_from_the_version_at_which_it_was_read_until_it_changes() {
        let hot = Hot::new(1 << 20);
        hot.keep(row(1), 5, &value("a"));
        assert_eq!(hot.get(&row(1), 4), None, "it may have been another before");
        assert_eq!(hot.get(&row(1), 5), Some(value("a")));
        assert_eq!(hot.get(&row(1), 9), Some(value("a")));
        hot.forget(&row(1), 10);
        assert_eq!(hot.get(&row(1), 9), None);
        hot.keep(row(1), 9, &value("a"));
        assert_eq!(hot.get(&row(1), 10), None, "read before the change, brought after it");
        hot.keep(row(1), 10, &value("b"));
        assert_eq!((hot.get(&row(1), 10), hot.get(&row(1), 9)), (Some(value("b")), None));
        hot.forget(&row(1), 11);
        assert_eq!(hot.get(&row(1), 11), None);
        hot.keep(row(1), 11, &value("c"));
        hot.forget_all(12);
        hot.keep(row(2), 11, &value("a"));
        assert_eq!((hot.get(&row(1), 12), hot.get(&row(2), 12)), (None, None));
    }

    #[test]
    fn memory_is_bounded_and_what_is_read_again_stays() {
        const BYTES: usize = 1 << 20;
        let hot = Hot::new(BYTES);
        let large = Bytes::from(vec![1; 1000]);
        for n in 0..10_000 {
            hot.keep(row(n), 1, &large);
            assert!(hot.get(&row(0), 1).is_some(), "after {n} others");
            if n % 100 == 0 {
                let kept = |shard: &super::Mutex<super::Shard>| shard.lock().rows.cost();
                assert!(hot.shards.iter().map(kept).sum::<usize>() <= BYTES);
            }
        }
        hot.keep(row(0), 1, &Bytes::from(vec![1; BYTES]));
        for n in 0..10_000 {
            hot.forget(&row(n), 2);
        }
        for shard in &hot.shards {
            assert_eq!(shard.lock().rows.cost(), 0);
        }
    }
}
