//! Settings as they were decoded last, by bucket.
//!
//! # Limits
//! [`BYTES_MAX`] in all, by what a value says that it takes; what takes more than half of that alone is decoded for each request.

use super::SettingKind;
use crate::store::View;
use engine::generations::{Cost, Generations};
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
pub(crate) struct Settings(Mutex<Generations<PartitionId, Known>>);

impl Default for Settings {
    fn default() -> Self {
        Self(Mutex::new(Generations::new(GENERATION_BYTES_MAX)))
    }
}

#[derive(Clone, Default)]
struct Known {
    revision: u64,
    values: HashMap<SettingKind, (Decoded, usize)>,
}

impl Cost<PartitionId> for Known {
    fn cost(&self, _bucket: &PartitionId) -> usize {
        ENTRY_COST + self.values.values().map(|(_, bytes)| ENTRY_COST + bytes).sum::<usize>()
    }
}

impl Settings {
    /// The value at this revision, if it is in memory. The inner `None`: it is not set.
    pub(super) fn get(&self, view: &View, kind: SettingKind) -> Option<Decoded> {
        let mut all = self.0.lock();
        let found = all.read(&view.bucket.partition, |known| {
            let value = known.values.get(&kind).filter(|_| known.revision == view.config.revision);
            value.map(|(value, _)| value.clone())
        });
        let gone = all.take_gone();
        drop(all);
        drop(gone);
        found.flatten()
    }

    /// Keeps it, with the bytes that it takes.
    pub(super) fn put(&self, view: &View, kind: SettingKind, value: (Decoded, usize)) {
        let (partition, revision) = (view.bucket.partition, view.config.revision);
        let mut all = self.0.lock();
        let known = all.read(&partition, Known::clone).unwrap_or_default();
        let mut known = match known.revision {
            newer if newer > revision => return,
            same if same == revision => known,
            _ => Known { revision, values: HashMap::new() },
        };
        known.values.insert(kind, value);
        all.keep(partition, known);
        let gone = all.take_gone();
        drop(all);
        drop(gone);
    }

    /// Bytes of all that is kept.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        self.0.lock().cost()
    }
}
