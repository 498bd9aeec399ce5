//! What was made lately, bounded by what it weighs.
//!
//! ```text
//!   get ─► young, else old (and then young)      put ─► young; a young generation that is full becomes the old one
//! ```

use parking_lot::Mutex;
use std::collections::HashMap;
use std::hash::Hash;

/// What an entry takes beside its value.
const ENTRY_COST: usize = 160;

/// Values by their keys, in two generations.
pub(crate) struct Kept<K, V> {
    generation_max: usize,
    all: Mutex<Generations<K, V>>,
}

struct Generations<K, V> {
    young: HashMap<K, (V, usize)>,
    old: HashMap<K, (V, usize)>,
    young_weight: usize,
}

impl<K: Eq + Hash + Clone, V: Clone> Kept<K, V> {
    /// Holds values of this weight together at the most.
    pub(crate) fn new(weight_max: usize) -> Self {
        let all = Generations { young: HashMap::new(), old: HashMap::new(), young_weight: 0 };
        Self { generation_max: weight_max / 2, all: Mutex::new(all) }
    }

    pub(crate) fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<V>
    where
        K: std::borrow::Borrow<Q>,
    {
        let mut all = self.all.lock();
        if let Some((value, _)) = all.young.get(key) {
            return Some(value.clone());
        }
        let (key, (value, weight)) = all.old.remove_entry(key)?;
        let gone = all.keep(key, (value.clone(), weight), self.generation_max);
        drop(all);
        drop(gone);
        Some(value)
    }

    /// Keeps it, unless it alone weighs too much.
    pub(crate) fn put(&self, key: K, value: V, weight: usize) {
        let mut all = self.all.lock();
        let gone = all.keep(key, (value, weight.saturating_add(ENTRY_COST)), self.generation_max);
        drop(all);
        // What goes takes its time, without the lock.
        drop(gone);
    }

    #[cfg(test)]
    fn weight(&self) -> usize {
        let all = self.all.lock();
        all.young.values().chain(all.old.values()).map(|(_, weight)| weight).sum()
    }
}

impl<K: Eq + Hash, V> Generations<K, V> {
    /// Answers what is forgotten.
    fn keep(&mut self, key: K, (value, weight): (V, usize), max: usize) -> HashMap<K, (V, usize)> {
        self.old.remove(&key);
        self.young_weight -= self.young.remove(&key).map_or(0, |(_, weight)| weight);
        let mut gone = HashMap::new();
        if weight > max {
            return gone;
        }
        if self.young_weight + weight > max {
            gone = std::mem::replace(&mut self.old, std::mem::take(&mut self.young));
            self.young_weight = 0;
        }
        self.young_weight += weight;
        self.young.insert(key, (value, weight));
        gone
    }
}

#[cfg(test)]
mod tests {
    use super::{ENTRY_COST, Kept};

    #[test]
    fn what_is_asked_for_stays_and_the_rest_goes_by_weight() {
        let max = 20 * (ENTRY_COST + 100);
        let kept = Kept::new(max);
        for n in 0..1_000_u32 {
            kept.put(n, n, 100);
            assert_eq!(kept.get(&0), Some(0), "{n}");
            assert!(kept.weight() <= max);
        }
        assert_eq!((kept.get(&999), kept.get(&500)), (Some(999), None));
        kept.put(7, 7, max);
        assert_eq!(kept.get(&7), None, "it alone would be half of all");
        kept.put(0, 1, 100);
        assert_eq!(kept.get(&0), Some(1));
    }
}
