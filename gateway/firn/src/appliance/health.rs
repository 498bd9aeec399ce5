//! Whether an appliance takes requests, and if not, why.
//!
//! ```text
//!   catalog ── a snapshot? ── an empty commit? ── room? ─┐
//!   pool ───── room for bodies? ── do writes succeed? ───┴─► Readiness ─► /readyz, status, doctor
//! ```
//!
//! An empty commit passes through the sequencer and answers as a write would, but changes nothing and costs no sync.
//! Reads go on in every state but one: a catalog that can't be read.

use super::open::Appliance;
use engine::Error;
use engine::catalog::{Catalog, Commit};
use engine::id::PartitionId;
use web::{Obstacle, Readiness};

impl Appliance {
    /// Asks every part that a request would meet.
    pub(crate) async fn readiness(&self) -> Readiness {
        let mut readiness = Readiness::default();
        self.ask_catalog(&mut readiness).await;
        self.ask_pool(&mut readiness);
        readiness
    }

    async fn ask_catalog(&self, readiness: &mut Readiness) {
        let snapshot = match self.catalog.snapshot(PartitionId::ROOT).await {
            Ok(snapshot) => snapshot,
            Err(error) => return readiness.add(Obstacle::CatalogUnreadable, error.to_string()),
        };
        let commit = Commit::new(PartitionId::ROOT, snapshot.read_version());
        match self.catalog.commit(commit).await {
            Ok(_) if self.catalog.has_room() => {}
            Ok(_) => {
                let place = self.catalog.dir().display();
                readiness.add(Obstacle::CatalogFull, format!("the disk of {place} is nearly full"));
            }
            Err(error @ Error::Full { .. }) => readiness.add(Obstacle::CatalogFull, error.to_string()),
            Err(error) => readiness.add(Obstacle::CatalogFenced, error.to_string()),
        }
    }

    fn ask_pool(&self, readiness: &mut Readiness) {
        let usage = self.blobs.usage();
        if usage.full {
            let text = "no room for another segment file: bodies are refused, but for what the open files still take";
            readiness.add(Obstacle::PoolFull, text.to_owned());
        } else if let Err(error) = self.blobs.check_room() {
            let obstacle = match &error {
                Error::Full { .. } => Obstacle::PoolFull,
                Error::TooFewZones { .. } => Obstacle::TooFewZones,
                _ => Obstacle::PoolFailing,
            };
            readiness.add(obstacle, error.to_string());
        }
        if usage.failing {
            readiness.add(Obstacle::PoolFailing, "its last write or sync failed".to_owned());
        }
    }
}
