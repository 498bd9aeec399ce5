//! The two workers: one ships the commit log, the other writes bases on schedule.
//!
//! Both look every [`SHIP_EVERY`]. Commits that come meanwhile share a chunk; only a backlog of more than [`CHUNK_BYTES`] is shipped
//! chunk behind chunk. Each look reads the log from where the last one ended. Every [`BASE_CHECKED_EVERY`] the target is asked whether it
//! still has the newest base, without which its chunks are worth nothing.

use super::Backup;
use super::manifest::{ChunkName, Life};
use crate::blob::BlobStore;
use crate::blocking::blocking;
use crate::catalog::LogPlace;
use crate::worker::{Progress, Worker};
use crate::{BoxFuture, Result};
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// How often the log is looked at.
const SHIP_EVERY: Duration = Duration::from_secs(1);

/// How often the newest base is looked for at the target: a request each, where that is an endpoint.
const BASE_CHECKED_EVERY: Duration = Duration::from_mins(1);

/// Largest run of commits shipped at once, in bytes before compression.
const CHUNK_BYTES: usize = 8 << 20;

/// Ships the commit log and moves the pools' hold behind it.
pub struct LogWorker {
    backup: Arc<Backup>,
    blobs: Arc<BlobStore>,
    /// Behind what was shipped last.
    place: LogPlace,
    /// The last chunk took all that was synced: what comes now waits for the next look, so that commits under load share one.
    rests: bool,
    /// At which boot time the target had the newest base last; `None` before the first look and after one that failed.
    seen_at: Option<Duration>,
    /// The last look failed, or found none: what it said goes with the next that finds one.
    unseen: bool,
}

impl LogWorker {
    /// From the moment it exists, the pools recycle nothing that the backup may name: nothing at all until the target has
    /// said how far it is. Make it before the pools' workers start.
    pub fn new(backup: Arc<Backup>, blobs: Arc<BlobStore>) -> Self {
        blobs.set_hold(Some(0));
        Self { backup, blobs, place: LogPlace::after(0), rests: false, seen_at: None, unseen: false }
    }

    /// Looks for the newest base, when it is time to; whether it is there.
    async fn base_is_there(&mut self, life: &Life) -> Result<bool> {
        let now = self.backup.clock.boottime();
        let Some(base) = self.backup.progress.base() else { return Ok(false) };
        if self.seen_at.is_some_and(|at| now.saturating_sub(at) < BASE_CHECKED_EVERY) {
            return Ok(true);
        }
        self.seen_at = None;
        let unseen = std::mem::replace(&mut self.unseen, true);
        let name = life.base_name(base);
        if self.backup.target.list(&name).await?.is_empty() {
            let why = format!("base {base} is no longer there: another one is being written");
            tracing::warn!(base, place = %self.backup.target.describe(), "the newest base of the backup is gone: writing another");
            self.backup.progress.base_lost(why);
            return Ok(false);
        }
        self.unseen = false;
        if unseen {
            self.backup.progress.recovered();
        }
        self.seen_at = Some(now);
        Ok(true)
    }

    async fn ship(&mut self) -> Result<Progress> {
        if std::mem::take(&mut self.rests) {
            return Ok(Progress::Idle { rest: SHIP_EVERY });
        }
        let backup = Arc::clone(&self.backup);
        let life = backup.life().await?;
        // Chunks without a base below them are worth nothing: the base worker comes first.
        if !self.base_is_there(life).await? {
            return Ok(Progress::Idle { rest: SHIP_EVERY });
        }
        let shipped = backup.progress.shipped();
        self.blobs.set_hold(Some(shipped));
        let since = if self.place.version() == shipped { self.place } else { LogPlace::after(shipped) };
        let (now, catalog) = (backup.clock.boottime(), Arc::clone(&backup.catalog));
        let found = blocking(move || catalog.log_since(since, CHUNK_BYTES)).await?;
        let Some((frames, place)) = found else {
            tracing::warn!(
                shipped,
                "the commit log no longer reaches back to what was shipped: taking a new base"
            );
            backup.progress.base_wanted();
            return Ok(Progress::Idle { rest: SHIP_EVERY });
        };
        if frames.is_empty() {
            backup.progress.caught_up(now);
            return Ok(Progress::Idle { rest: SHIP_EVERY });
        }
        let (last, took_all) = (place.version(), frames.len() < CHUNK_BYTES);
        let name = life.log_name(&ChunkName { first: shipped + 1, last });
        backup.put_sealed(&name, backup.recipient.load_full(), || Ok(io::Cursor::new(frames))).await?;
        backup.progress.advanced(last);
        self.blobs.set_hold(Some(last));
        self.place = place;
        if took_all {
            backup.progress.caught_up(now);
            self.rests = true;
        }
        Ok(Progress::More { done: last - shipped })
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
            if !self.backup.progress.base_due(self.backup.clock.boottime(), self.backup.base_every) {
                return Ok(Progress::Idle { rest: SHIP_EVERY });
            }
            self.backup.write_base().await?;
            Ok(Progress::More { done: 1 })
        })
    }
}
