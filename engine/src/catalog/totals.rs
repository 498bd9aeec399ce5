//! What counters stand at, for checks of limits: the sequencer's memory of the counters that it was asked about.
//!
//! ```text
//!   asked for the first time ─► the row          group written ─► what it added is added here too
//! ```
//! A counter that many commits add to is a chain of merges in RocksDB until the next flush; reading it for each commit would
//! cost more with every one.
//!
//! # Invariants
//! What is kept for a counter is its value after the last group that was written. What changes counters in any other way
//! (frames of another catalog) forgets all of them.
//!
//! # Limits
//! [`KNOWN_MAX`] counters; one more, and all are forgotten and read again when they are asked for.

use super::{Key, Write};
use crate::Result;
use crate::id::PartitionId;
use std::collections::HashMap;

/// Counters that are kept.
const KNOWN_MAX: usize = 16_384;

/// What a counter is after a commit's writes, in their order.
pub(super) fn total(before: i64, writes: &[Write], key: &Key) -> i64 {
    writes.iter().fold(before, |total, write| match write {
        Write::Add(row, delta) if row == key => total.wrapping_add(*delta),
        Write::Delete(row) if row == key => 0,
        _ => total,
    })
}

/// Counters that were asked about lately.
#[derive(Debug, Default)]
pub(super) struct Totals(HashMap<(PartitionId, Key), i64>);

impl Totals {
    /// The counter, from memory or as `read` finds it.
    pub(super) fn get(
        &mut self,
        row: &(PartitionId, Key),
        read: impl FnOnce() -> Result<i64>,
    ) -> Result<i64> {
        if let Some(known) = self.0.get(row) {
            return Ok(*known);
        }
        let value = read()?;
        if self.0.len() >= KNOWN_MAX {
            self.0.clear();
        }
        self.0.insert(row.clone(), value);
        Ok(value)
    }

    /// The counter changes, if it is known.
    pub(super) fn change(&mut self, row: &(PartitionId, Key), change: impl FnOnce(i64) -> i64) {
        if let Some(known) = self.0.get_mut(row) {
            *known = change(*known);
        }
    }

    /// Counters changed in ways that were not told.
    pub(super) fn forget_all(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::{KNOWN_MAX, Totals, total};
    use crate::catalog::{Family, Key, Table, Write};
    use crate::id::PartitionId;

    fn key(n: usize) -> Key {
        Table { family: Family::Counter, tag: 1 }.key(n.to_be_bytes().to_vec())
    }

    #[test]
    fn writes_count_in_their_order() {
        let (a, b) = (key(1), key(2));
        let writes = [Write::Add(a.clone(), 5), Write::Add(b.clone(), 7), Write::Add(a.clone(), -2)];
        assert_eq!(
            (total(10, &writes, &a), total(10, &writes, &b), total(10, &writes, &key(3))),
            (13, 17, 10)
        );
        let reset = [Write::Add(a.clone(), 5), Write::Delete(a.clone()), Write::Add(a.clone(), 1)];
        assert_eq!(total(10, &reset, &a), 1);
    }

    #[test]
    fn a_counter_is_read_once_and_memory_is_bounded() {
        let mut totals = Totals::default();
        let row = (PartitionId::ROOT, key(0));
        assert_eq!(totals.get(&row, || Ok(3)).unwrap(), 3);
        totals.change(&row, |value| value + 2);
        totals.change(&(PartitionId::ROOT, key(9)), |_| panic!("it was never asked about"));
        assert_eq!(totals.get(&row, || panic!("it is known")).unwrap(), 5);
        for n in 1..=KNOWN_MAX {
            totals.get(&(PartitionId::ROOT, key(n)), || Ok(0)).unwrap();
        }
        assert!(totals.0.len() <= KNOWN_MAX);
        assert_eq!(totals.get(&row, || Ok(8)).unwrap(), 8, "it was forgotten, and is read again");
        totals.forget_all();
        assert_eq!(totals.get(&row, || Ok(9)).unwrap(), 9);
    }
}
