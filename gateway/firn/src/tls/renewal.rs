//! Another certificate without a restart: given files that were replaced, one of the appliance's own that comes near its end.
//!
//! ```text
//!   every minute (given), every hour (own): load as a start does ─┬─ the same ─► rest
//!                                                                 ├─ another ─► web::Identity: the next handshake has it
//!                                                                 └─ refused ─► the last one stays; doctor and log say why
//! ```
//!
//! Two files are not replaced at once: a key that is not the certificate's is refused like any other fault, and looked at again
//! by the worker's back-off. The names of the appliance's own certificate are those of the start.

use super::{Secured, Source};
use engine::clock::{Clock, Timestamp};
use engine::worker::{Progress, Worker};
use engine::{BoxFuture, Error};
use parking_lot::RwLock;
use std::sync::Arc;
use std::time::Duration;

/// How often given files are looked at.
const GIVEN_EVERY: Duration = Duration::from_mins(1);
/// How often the appliance's own certificate is.
const OWN_EVERY: Duration = Duration::from_hours(1);

/// Loads what the doors are to have now, as a start does.
pub(crate) type Load = Arc<dyn Fn(Timestamp) -> anyhow::Result<Secured> + Send + Sync>;

/// What the doors prove themselves with, as it is now.
#[derive(Debug)]
pub(crate) struct Live(RwLock<Secured>);

impl Live {
    pub(crate) fn new(secured: Secured) -> Arc<Self> {
        Arc::new(Self(RwLock::new(secured)))
    }

    /// As it is now; its identity stays the same one.
    pub(crate) fn now(&self) -> Secured {
        self.0.read().clone()
    }

    /// Has the doors take what was loaded anew; whether it is another.
    fn follow(&self, newer: Secured) -> bool {
        let mut live = self.0.write();
        let other = live.identity.certificate() != newer.identity.certificate();
        if other {
            live.identity.follow(&newer.identity);
            *live = Secured { identity: Arc::clone(&live.identity), ..newer };
        }
        other
    }
}

/// The worker.
pub(crate) struct Renewal {
    live: Arc<Live>,
    load: Load,
    clock: Arc<dyn Clock>,
}

impl Renewal {
    pub(crate) fn new(live: Arc<Live>, load: Load, clock: Arc<dyn Clock>) -> Self {
        Self { live, load, clock }
    }

    async fn look(&self) -> engine::Result<Progress> {
        let (load, now) = (Arc::clone(&self.load), self.clock.now());
        let newer = tokio::task::spawn_blocking(move || load(now)).await.map_err(|_ended| Error::Closed)?;
        let newer = newer.map_err(|error| {
            Error::Invalid(format!("go on with the TLS certificate of before: failed to {error:#}"))
        })?;
        let rest = match newer.source {
            Source::Own { .. } => OWN_EVERY,
            Source::Given { .. } => GIVEN_EVERY,
        };
        let until = newer.facts.not_after;
        if self.live.follow(newer) {
            let until = super::show_time(until);
            tracing::info!(until, "the doors have another TLS certificate for who connects from now on");
        }
        Ok(Progress::Idle { rest })
    }
}

impl Worker for Renewal {
    fn name(&self) -> &'static str {
        "tls-certificate"
    }

    fn tick(&mut self) -> BoxFuture<'_, engine::Result<Progress>> {
        Box::pin(self.look())
    }
}
