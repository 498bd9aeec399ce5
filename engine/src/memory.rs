//! Whose memory bytes are charged to.
//!
//! Whoever bounds what its callers hold in memory hands a [`MemoryHold`] along with their bytes. Each buffer that outlives its caller
//! (a record in a lane's queue, a batch of a digest) keeps a clone, so that the memory counts as given back only when it is.

use std::sync::Arc;

/// Something that is dropped when the last of the bytes are gone that it was handed along with. Nothing, where nobody counts.
#[derive(Clone, Default)]
pub struct MemoryHold(
    #[expect(dead_code, reason = "it is there to be dropped")] Option<Arc<dyn Send + Sync>>,
);

impl MemoryHold {
    /// Gives `held` back when this and its clones are dropped.
    pub fn new(held: Arc<dyn Send + Sync>) -> Self {
        Self(Some(held))
    }
}

impl std::fmt::Debug for MemoryHold {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MemoryHold")
    }
}
