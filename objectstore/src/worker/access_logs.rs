//! Writes what is due of server access logs.

use crate::ObjectStore;
use engine::BoxFuture;
use engine::worker::{Progress, Worker};
use std::sync::Arc;
use tokio::sync::Notify;

pub(super) struct AccessLogs {
    store: Arc<ObjectStore>,
}

impl AccessLogs {
    pub(super) fn new(store: Arc<ObjectStore>) -> Self {
        Self { store }
    }
}

impl Worker for AccessLogs {
    fn name(&self) -> &'static str {
        "access-logs"
    }

    fn bell(&self) -> Arc<Notify> {
        Arc::clone(&self.store.access_logs.bell)
    }

    fn tick(&mut self) -> BoxFuture<'_, engine::Result<Progress>> {
        Box::pin(async {
            // One log that can't be written holds up no other: each batch has a back-off of its own.
            Ok(match self.store.deliver_due_log().await {
                Some(()) => Progress::More { done: 1 },
                None => Progress::Idle { rest: self.store.log_rest() },
            })
        })
    }
}
