//! Background work: one registry, one loop per worker, back-off, pause and status.
//!
//! A worker does a bounded batch per [`Worker::tick`]. One that goes through partitions does so in a [`Tour`], which is in memory: after
//! a restart its round begins again, for what is done is gone from its queue. Where nothing goes from what it looks at it saves its
//! cursor in the catalog. So a crash at any point leaves work to be done again, never half done. The registry owns the loops; the CLI
//! and the admin API list them all from it.

mod registry;
mod tour;

pub use registry::{Activity, Registry, WorkerStatus};
pub use tour::{Leg, STOPS_PER_TICK, Stop, Tour, Visitor};

use crate::{BoxFuture, Result};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// What a tick did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// There is more to do: tick again at once (other work gets its turn in between).
    More {
        /// Units done in this tick, in the worker's own unit.
        done: u64,
    },
    /// Nothing to do before this much time has passed, or before it is woken.
    Idle {
        /// How long to rest.
        rest: Duration,
    },
}

/// A background worker.
pub trait Worker: Send {
    /// Its name in `status`: a noun, kebab-case.
    fn name(&self) -> &'static str;
    /// Ends a rest of this worker when it is rung; what a worker shares with those who make work for it.
    fn bell(&self) -> Arc<Notify> {
        Arc::default()
    }
    /// What it passes by, though its ticks go well: status has it as its last error.
    fn trouble(&self) -> Option<String> {
        None
    }
    /// One bounded batch. An error is logged once by the registry, counted, and the tick retried after a back-off of 1 s
    /// doubling to 5 min; [`Error::Full`](crate::Error::Full) every second, for space returns at any moment.
    fn tick(&mut self) -> BoxFuture<'_, Result<Progress>>;
}
