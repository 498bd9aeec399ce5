//! What tests of this crate and of those above stand on.
//!
//! ```text
//!   one owner ──gate──► rows ◄── another owner
//!               └ before its nth look at the rows: the other one's whole operation
//! ```
//! Within one process an owner's own locks keep most pairs of operations apart, so that no race finds out whether a commit's
//! checks are there. Two owners share rows and no lock: the checks are all there is.

use crate::catalog::{Catalog, Commit, Limits, Snapshot, Table, Version};
use crate::id::PartitionId;
use crate::{BoxFuture, Result};
use parking_lot::Mutex;
use std::fmt;
use std::sync::Arc;

/// Where the blob store keeps references, by its documented format.
pub const BLOB_REFERENCES: Table = crate::blob::row::REFERENCES;

/// Where the blob store says what goes with a blob, by its documented format.
pub const BLOB_COMPANIONS: Table = crate::blob::row::COMPANIONS;

/// What happens in a gap.
pub type Step = BoxFuture<'static, ()>;

/// Lets something happen before the `n`th snapshot or commit that goes through it.
pub struct Gate {
    rows: Arc<dyn Catalog>,
    armed: Mutex<Option<(usize, Step)>>,
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("gate")
    }
}

impl Gate {
    /// A gate that lets all through.
    pub fn before(rows: Arc<dyn Catalog>) -> Arc<Self> {
        Arc::new(Self { rows, armed: Mutex::new(None) })
    }

    /// The rows behind it, for whoever comes between.
    pub fn rows(&self) -> &Arc<dyn Catalog> {
        &self.rows
    }

    /// Has `step` happen in the `gap`th gap from now on, counted from 0.
    pub fn arm(&self, gap: usize, step: impl Future<Output = ()> + Send + 'static) {
        *self.armed.lock() = Some((gap, Box::pin(step)));
    }

    /// Takes back a step that has not happened; answers whether there was one, which means that there was no such gap.
    pub fn disarm(&self) -> bool {
        self.armed.lock().take().is_some()
    }

    /// A step waits for its gap.
    pub fn is_armed(&self) -> bool {
        self.armed.lock().is_some()
    }

    /// The armed step, if its turn has come.
    fn turn(&self) -> Option<Step> {
        let mut armed = self.armed.lock();
        match armed.as_mut() {
            Some((0, _)) => armed.take().map(|(_, step)| step),
            Some((left, _)) => {
                *left -= 1;
                None
            }
            None => None,
        }
    }
}

impl Catalog for Gate {
    fn limits(&self) -> Limits {
        self.rows.limits()
    }

    fn snapshot(&self, partition: PartitionId) -> BoxFuture<'_, Result<Arc<dyn Snapshot>>> {
        let step = self.turn();
        Box::pin(async move {
            if let Some(step) = step {
                step.await;
            }
            self.rows.snapshot(partition).await
        })
    }

    fn commit(&self, commit: Commit) -> BoxFuture<'_, Result<Version>> {
        let step = self.turn();
        Box::pin(async move {
            if let Some(step) = step {
                step.await;
            }
            self.rows.commit(commit).await
        })
    }
}

/// Tries `case` with its step in every gap, until it says that there was no such gap.
///
/// # Panics
/// When there are more than `gaps_max` gaps, or fewer than two: what reads and commits has as many.
pub async fn in_every_gap(gaps_max: usize, mut case: impl AsyncFnMut(usize) -> bool) {
    for gap in 0..gaps_max {
        // Boxed: a case holds whole stores.
        if !Box::pin(case(gap)).await {
            assert!(gap > 1, "an operation that reads and commits has two gaps at least");
            return;
        }
    }
    panic!("an operation of more than {gaps_max} steps");
}
