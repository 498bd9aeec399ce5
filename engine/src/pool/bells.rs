//! How a pool that is full calls for those who make room.

use std::sync::Arc;
use tokio::sync::Notify;

/// What ends the rest of the workers of space: each rings for the next, and a lane that finds no room for all of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bells {
    pub(crate) collector: Arc<Notify>,
    pub(crate) compactor: Arc<Notify>,
    pub(crate) recycler: Arc<Notify>,
    pub(crate) repairer: Arc<Notify>,
}

impl Bells {
    /// The pool is full.
    pub(crate) fn ring_all(&self) {
        for bell in [&self.collector, &self.compactor, &self.recycler] {
            bell.notify_one();
        }
    }
}
