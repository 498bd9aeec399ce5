//! How a pool that is full calls for those who make room.

use std::sync::Arc;
use tokio::sync::Notify;

/// What ends the rests of the store's workers. Those of space ring for one another, and a lane that finds no room rings for all three;
/// the repairer, which makes none, is rung by who finds damage.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bells {
    pub(crate) collector: Arc<Notify>,
    pub(crate) compactor: Arc<Notify>,
    pub(crate) recycler: Arc<Notify>,
    pub(crate) repairer: Arc<Notify>,
}

impl Bells {
    /// The pool is full: those who make room are called.
    pub(crate) fn ring_for_room(&self) {
        for bell in [&self.collector, &self.compactor, &self.recycler] {
            bell.notify_one();
        }
    }
}
