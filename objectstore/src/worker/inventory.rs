//! Makes inventory reports, whose turn it is.

use super::reported;
use crate::ObjectStore;
use crate::inventory::{Pace, Turns};
use engine::BoxFuture;
use engine::worker::{Progress, Worker};
use std::sync::Arc;
use tokio::sync::Notify;

pub(crate) struct Inventory {
    turns: Turns,
    bell: Arc<Notify>,
}

impl Inventory {
    pub(crate) fn new(store: Arc<ObjectStore>, pace: Pace) -> Self {
        let bell = Arc::clone(&store.inventories.bell);
        Self { turns: Turns::new(store, pace), bell }
    }
}

impl Worker for Inventory {
    fn name(&self) -> &'static str {
        "inventory"
    }

    fn bell(&self) -> Arc<Notify> {
        Arc::clone(&self.bell)
    }

    fn tick(&mut self) -> BoxFuture<'_, engine::Result<Progress>> {
        Box::pin(async { Box::pin(self.turns.run()).await.map_err(reported) })
    }
}
