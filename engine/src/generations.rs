//! What was used lately, bounded by what it costs.
//!
//! ```text
//!   keep ─► young ── full ──► old ── full again ──► gone
//!   read ─► young, else old, and then young again
//! ```
//!
//! # Limits
//! Twice the cost of a generation. What costs more than one alone is not kept.

use std::collections::HashMap;
use std::hash::Hash;

/// What an entry counts for.
pub trait Cost<K> {
    /// Of this value under that key.
    fn cost(&self, key: &K) -> usize;
}

/// A cache of two generations.
#[derive(Debug)]
pub struct Generations<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    young_cost: usize,
    cost_max: usize,
    gone: Option<HashMap<K, V>>,
}

impl<K: Hash + Eq, V: Cost<K>> Generations<K, V> {
    /// An empty one, of which each generation may cost so much.
    pub fn new(cost_max: usize) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), young_cost: 0, cost_max, gone: None }
    }

    /// What is known under a key; it is young from now on.
    pub fn read<T>(&mut self, key: &K, look: impl FnOnce(&V) -> T) -> Option<T> {
        if let Some(value) = self.young.get(key) {
            return Some(look(value));
        }
        let (key, value) = self.old.remove_entry(key)?;
        let found = look(&value);
        self.keep(key, value);
        Some(found)
    }

    /// Keeps a value in the place of what was known under its key.
    pub fn keep(&mut self, key: K, value: V) {
        let cost = value.cost(&key);
        self.forget(&key);
        if cost > self.cost_max {
            return;
        }
        if self.young_cost + cost > self.cost_max {
            self.gone = Some(std::mem::replace(&mut self.old, std::mem::take(&mut self.young)));
            self.young_cost = 0;
        }
        self.young_cost += cost;
        self.young.insert(key, value);
    }

    /// Nothing is known under a key any more, of neither generation.
    pub fn forget(&mut self, key: &K) {
        if let Some((key, value)) = self.young.remove_entry(key) {
            self.young_cost -= value.cost(&key);
        }
        self.old.remove(key);
    }

    /// A generation that nobody looks at any more: for whoever holds a lock to drop without it, for that takes its time.
    #[must_use]
    pub fn take_gone(&mut self) -> Option<HashMap<K, V>> {
        self.gone.take()
    }

    /// What all that is kept costs.
    pub fn cost(&self) -> usize {
        self.young.iter().chain(&self.old).map(|(key, value)| value.cost(key)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::{Cost, Generations};

    impl Cost<u32> for usize {
        fn cost(&self, _key: &u32) -> usize {
            *self
        }
    }

    #[test]
    fn what_is_kept_is_bounded_by_its_cost_and_what_is_read_stays() {
        const MAX: usize = 1_000;
        let mut all = Generations::new(MAX);
        for n in 1..2_000 {
            all.keep(n, 30);
            assert_eq!(all.read(&1, |cost| *cost), Some(30), "it is read all the time");
            drop(all.take_gone());
            assert!(all.cost() <= 2 * MAX && all.young.values().sum::<usize>() == all.young_cost);
        }
        assert!(all.cost() > MAX - 30);
        assert_eq!(all.read(&2, |cost| *cost), None);
        for cost in [10, 500, MAX, 20] {
            all.keep(7, cost);
            all.keep(7, cost);
            assert_eq!(all.young.values().sum::<usize>(), all.young_cost);
        }
        all.keep(1, MAX + 1);
        assert_eq!(all.read(&1, |cost| *cost), None, "nor what it was before");
        // In the old generation, and looked at: it is in one of them alone.
        all.keep(8, 10);
        all.keep(9, MAX);
        assert!(all.old.contains_key(&8));
        assert_eq!(all.read(&8, |cost| *cost), Some(10));
        all.forget(&8);
        assert_eq!(all.read(&8, |cost| *cost), None);
        for n in 0..2_000 {
            all.forget(&n);
        }
        assert_eq!((all.cost(), all.young_cost), (0, 0));
    }
}
