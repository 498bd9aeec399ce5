//! Settings as they were decoded last, by bucket.
//!
//! ```text
//!   read ─► young, else old (and then young) ─► else the row, decoded ─► young; a young generation that is full becomes the old one
//! ```
//!
//! # Limits
//! [`BYTES_MAX`] in all, by what a value says that it takes; what takes more than half of that alone is decoded for each request.

use super::SettingKind;
use crate::store::View;
use engine::id::PartitionId;
use parking_lot::Mutex;
use std::any::Any;
use std::collections::HashMap;
use std::sync::Arc;

/// Bytes of values in memory: the policies of some thousand buckets, of a hundred where they are as long as they may be.
const BYTES_MAX: usize = 64 << 20;
/// Bytes of one generation.
const GENERATION_BYTES_MAX: usize = BYTES_MAX / 2;
/// What a bucket takes beside its values, and a value beside itself.
const ENTRY_COST: usize = 160;
/// Bytes that a decoded value takes for each byte of its row: lists of short texts do.
pub(super) const DECODED_BYTES: usize = 8;

/// A value of any setting's type; `None`: not set.
pub(super) type Decoded = Option<Arc<dyn Any + Send + Sync>>;

/// Settings that were read lately.
#[derive(Default)]
pub(crate) struct Settings(Mutex<Generations>);

#[derive(Default)]
struct Generations {
    young: HashMap<PartitionId, Known>,
    old: HashMap<PartitionId, Known>,
    young_bytes: usize,
    /// An old generation that nobody looks at any more: for whoever holds the lock to drop without it, for that takes its time.
    gone: HashMap<PartitionId, Known>,
}

#[derive(Clone, Default)]
struct Known {
    revision: u64,
    values: HashMap<SettingKind, (Decoded, usize)>,
}

impl Known {
    fn bytes(&self) -> usize {
        ENTRY_COST + self.values.values().map(|(_, bytes)| ENTRY_COST + bytes).sum::<usize>()
    }
}

impl Generations {
    /// What is known of a bucket, in the young generation from now on.
    fn bring(&mut self, partition: PartitionId) -> Option<&Known> {
        if !self.young.contains_key(&partition) {
            let known = self.old.remove(&partition)?;
            self.keep(partition, known);
        }
        self.young.get(&partition)
    }

    fn keep(&mut self, partition: PartitionId, known: Known) {
        let bytes = known.bytes();
        self.young_bytes -= self.young.remove(&partition).map_or(0, |before| before.bytes());
        self.old.remove(&partition);
        if bytes > GENERATION_BYTES_MAX {
            return;
        }
        if self.young_bytes + bytes > GENERATION_BYTES_MAX {
            self.gone = std::mem::replace(&mut self.old, std::mem::take(&mut self.young));
            self.young_bytes = 0;
        }
        self.young_bytes += bytes;
        self.young.insert(partition, known);
    }
}

impl Settings {
    /// The value at this revision, if it is in memory. The inner `None`: it is not set.
    pub(super) fn get(&self, view: &View, kind: SettingKind) -> Option<Decoded> {
        let (mut found, mut gone) = (None, HashMap::new());
        {
            let mut all = self.0.lock();
            let known = all.bring(view.bucket.partition);
            if let Some(known) = known.filter(|known| known.revision == view.config.revision) {
                found = known.values.get(&kind).map(|(value, _)| value.clone());
            }
            std::mem::swap(&mut gone, &mut all.gone);
        }
        drop(gone);
        found
    }

    /// Keeps it, with the bytes that it takes.
    pub(super) fn put(&self, view: &View, kind: SettingKind, value: (Decoded, usize)) {
        let (partition, revision) = (view.bucket.partition, view.config.revision);
        let mut all = self.0.lock();
        let known = all.bring(partition).cloned().unwrap_or_default();
        let mut known = match known.revision {
            newer if newer > revision => return,
            same if same == revision => known,
            _ => Known { revision, values: HashMap::new() },
        };
        known.values.insert(kind, value);
        all.keep(partition, known);
        let gone = std::mem::take(&mut all.gone);
        drop(all);
        drop(gone);
    }

    /// Bytes of all that is kept.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        let all = self.0.lock();
        all.young.values().chain(all.old.values()).map(Known::bytes).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::{BYTES_MAX, ENTRY_COST, GENERATION_BYTES_MAX, Generations, Known};
    use crate::SettingKind;
    use engine::id::PartitionId;

    fn known(bytes: usize) -> Known {
        let mut known = Known::default();
        known.values.insert(SettingKind::Policy, (None, bytes - 2 * ENTRY_COST));
        assert_eq!(known.bytes(), bytes);
        known
    }

    fn partition(n: u64) -> PartitionId {
        PartitionId::from_bytes(n.to_be_bytes())
    }

    #[test]
    fn what_is_kept_is_bounded_by_its_bytes_and_what_is_read_stays() {
        let mut all = Generations::default();
        let each = 400 << 10;
        for n in 1..2_000 {
            all.keep(partition(n), known(each));
            assert!(all.bring(partition(1)).is_some(), "it is read all the time");
            let bytes: usize = all.young.values().chain(all.old.values()).map(Known::bytes).sum();
            assert!(bytes <= BYTES_MAX, "{bytes}");
            let young: usize = all.young.values().map(Known::bytes).sum();
            assert_eq!(young, all.young_bytes);
            all.gone.clear();
        }
        assert!(all.young.len() + all.old.len() > BYTES_MAX / each / 2 - 2);
        assert!(all.bring(partition(2)).is_none());
        all.keep(partition(1), known(GENERATION_BYTES_MAX + 1));
        assert!(all.bring(partition(1)).is_none(), "nor what it was before");
        assert!(all.bring(partition(1_999)).is_some());
    }
}
