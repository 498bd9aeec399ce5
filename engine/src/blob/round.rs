//! Where a worker is in its round through the partitions and their queues: a tick does a bounded part of it, the next goes on.

use super::BlobStore;
use crate::id::PartitionId;
use bytes::Bytes;

/// Partitions with nothing to do that one tick passes.
pub(super) const HOMES_PER_TICK: usize = 64;

/// A partition, and a key within its queue; `None` between two rounds.
#[derive(Debug, Default)]
pub(super) struct Round(Option<(PartitionId, Bytes)>);

impl Round {
    /// The partitions that are left of it, in order: those of a tick, and the next one.
    pub(super) fn rest(&self, store: &BlobStore) -> Vec<PartitionId> {
        let from = self.0.as_ref().map_or(PartitionId::ROOT, |(home, _)| *home);
        store.homes_from(from, HOMES_PER_TICK + 1)
    }

    /// Takes the key in `home` where it goes on; the first one when it was not there.
    pub(super) fn enter(&mut self, home: PartitionId) -> Bytes {
        match self.0.take() {
            Some((at, start)) if at == home => start,
            _ => Bytes::new(),
        }
    }

    /// Goes on here.
    pub(super) fn stay(&mut self, home: PartitionId, start: Bytes) {
        self.0 = Some((home, start));
    }

    /// Goes on in the partition behind those that a tick has passed. `false`: there is none, the round is over.
    pub(super) fn pass(&mut self, rest: &[PartitionId]) -> bool {
        self.0 = rest.get(HOMES_PER_TICK).map(|next| (*next, Bytes::new()));
        self.0.is_some()
    }

    /// Begins anew.
    pub(super) fn restart(&mut self) {
        self.0 = None;
    }
}
