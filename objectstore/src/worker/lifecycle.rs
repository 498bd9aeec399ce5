//! Does what lifecycle rules ask for when its time has come.

use super::reported;
use crate::ObjectStore;
use crate::lifecycle::Turns;
use engine::BoxFuture;
use engine::worker::{Progress, Worker};
use std::sync::Arc;
use tokio::sync::Notify;

pub(super) struct Lifecycle {
    turns: Turns,
    bell: Arc<Notify>,
}

impl Lifecycle {
    pub(super) fn new(store: Arc<ObjectStore>) -> Self {
        let bell = Arc::clone(&store.lifecycles.bell);
        Self { turns: Turns::new(store), bell }
    }
}

impl Worker for Lifecycle {
    fn name(&self) -> &'static str {
        "lifecycle"
    }

    fn bell(&self) -> Arc<Notify> {
        Arc::clone(&self.bell)
    }

    fn tick(&mut self) -> BoxFuture<'_, engine::Result<Progress>> {
        Box::pin(async { Box::pin(self.turns.run()).await.map_err(reported) })
    }
}
