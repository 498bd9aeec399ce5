//! The two workers: one ships the commit log, the other writes bases on schedule.

use super::Backup;
use super::manifest::ChunkName;
use super::target::blocking;
use crate::blob::BlobStore;
use crate::catalog;
use crate::worker::{Progress, Worker};
use crate::{BoxFuture, Result};
use std::sync::Arc;
use std::time::Duration;

/// How often the log is looked at.
const SHIP_EVERY: Duration = Duration::from_secs(1);

/// Largest run of commits shipped at once, in bytes before compression.
const CHUNK_BYTES: usize = 8 << 20;

/// Ships the commit log and moves the pools' hold behind it.
pub struct LogWorker {
    backup: Arc<Backup>,
    blobs: Arc<BlobStore>,
}

impl LogWorker {
    /// From the moment it exists, the pools recycle nothing that the backup may name: nothing at all until the target has
    /// said how far it is. Make it before the pools' workers start.
    pub fn new(backup: Arc<Backup>, blobs: Arc<BlobStore>) -> Self {
        blobs.set_hold(Some(0));
        Self { backup, blobs }
    }

    async fn ship(&self) -> Result<Progress> {
        let backup = &self.backup;
        let life = backup.life().await?;
        // Chunks without a base below them are worth nothing: the base worker comes first.
        if !backup.progress.has_base() {
            return Ok(Progress::Idle { rest: SHIP_EVERY });
        }
        self.blobs.set_hold(Some(backup.progress.shipped()));
        let (now, shipped) = (backup.clock.now(), backup.progress.shipped());
        let catalog = backup.catalog.clone();
        let Some(frames) = blocking(move || catalog.log_since(shipped, CHUNK_BYTES)).await? else {
            tracing::warn!(
                shipped,
                "the commit log no longer reaches back to what was shipped: taking a new base"
            );
            backup.progress.base_wanted();
            return Ok(Progress::Idle { rest: SHIP_EVERY });
        };
        let Some((before, last)) = catalog::shipped(&frames)? else {
            backup.progress.caught_up(now);
            return Ok(Progress::Idle { rest: SHIP_EVERY });
        };
        let name = life.log_name(&ChunkName { first: before + 1, last });
        let recipient = backup.recipient.load_full();
        backup.put_sealed(&name, &frames, &recipient).await?;
        backup.progress.advanced(last);
        self.blobs.set_hold(Some(last));
        Ok(Progress::More { done: last - before })
    }
}

impl Worker for LogWorker {
    fn name(&self) -> &'static str {
        "backup-log"
    }

    fn tick(&mut self) -> BoxFuture<'_, Result<Progress>> {
        Box::pin(async move { self.ship().await.inspect_err(|error| self.backup.progress.failed(error)) })
    }
}

/// Writes a base when there is none in this life, and then on schedule.
pub struct BaseWorker {
    backup: Arc<Backup>,
}

impl BaseWorker {
    /// For one backup.
    pub fn new(backup: Arc<Backup>) -> Self {
        Self { backup }
    }
}

impl Worker for BaseWorker {
    fn name(&self) -> &'static str {
        "backup-base"
    }

    fn tick(&mut self) -> BoxFuture<'_, Result<Progress>> {
        Box::pin(async move {
            // Looked at every second rather than slept through: the log worker may ask for a base at any time.
            self.backup.life().await.inspect_err(|error| self.backup.progress.failed(error))?;
            if !self.backup.progress.base_due(self.backup.clock.now(), self.backup.base_every) {
                return Ok(Progress::Idle { rest: SHIP_EVERY });
            }
            self.backup.write_base().await?;
            Ok(Progress::More { done: 1 })
        })
    }
}
