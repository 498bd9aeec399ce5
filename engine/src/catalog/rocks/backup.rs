//! Hooks for the backup: a consistent base, and the log after it.
//!
//! ```text
//!   checkpoint(dir) ─► version v        log_since(v) ─► frames, place …        open(dir) · apply_log(frames) …
//! ```
//! Shipped bytes are whole frames of the commit log as docs/formats/catalog.md has them: self-contained, checksummed, in
//! order. Only synced groups are shipped.

use super::queue::Job;
use super::rows::{Rows, failed};
use super::{RocksCatalog, marker};
use crate::catalog::Version;
use crate::catalog::log::since::{self, LogPlace};
use crate::file::sync_dir;
use crate::{Error, Result};
use bytes::Bytes;
use rocksdb::checkpoint::Checkpoint;
use std::fs::File;
use std::path::Path;
use std::sync::atomic::Ordering;

/// Says that a directory has rows but, rightly, no log.
const CHECKPOINT: &str = "checkpoint";

pub(super) fn is_checkpoint(dir: &Path) -> bool {
    dir.join(CHECKPOINT).exists()
}

/// The directory has a log from now on.
pub(super) fn became_a_catalog(dir: &Path) -> Result<()> {
    let path = dir.join(CHECKPOINT);
    if is_checkpoint(dir) {
        std::fs::remove_file(&path).map_err(|e| Error::io("remove", &path, e))?;
        sync_dir(dir)?;
    }
    Ok(())
}

/// Says that rows without a log are right here; durable when this returns.
fn mark_checkpoint(dir: &Path) -> Result<()> {
    let path = dir.join(CHECKPOINT);
    File::create(&path).and_then(|file| file.sync_all()).map_err(|e| Error::io("create", &path, e))?;
    sync_dir(dir)
}

impl RocksCatalog {
    /// Closes it, with all that its log holds in the rows, and takes the log away: what opens it next may have files of another
    /// length. Blocks.
    pub(in crate::catalog) fn become_a_checkpoint(&self) -> Result<()> {
        self.close();
        self.shared.rows.flush(true)?;
        mark_checkpoint(&self.dir)?;
        let log = self.dir.join("log");
        std::fs::remove_dir_all(&log).map_err(|e| Error::io("remove", &log, e))?;
        sync_dir(&self.dir)
    }

    /// Writes a consistent copy to `dir`, which must not exist, by hard links where it is on the same file system. Answers
    /// its version: everything committed before the call is in it. Blocks; commits go on meanwhile.
    pub fn checkpoint(&self, dir: &Path) -> Result<Version> {
        std::fs::create_dir(dir).map_err(|e| Error::io("create", dir, e))?;
        let rows = dir.join("rows");
        let place = |e| failed("write", &rows, e);
        let checkpoint = Checkpoint::new(self.shared.rows.db()).map_err(place)?;
        checkpoint.create_checkpoint_with_log_size(&rows, 0).map_err(place)?;
        let version = Rows::open_read_only(&rows, &self.options)?.applied()?;
        mark_checkpoint(dir)?;
        // After the rows: what they need has been said by then.
        marker::copy(&self.dir, dir)?;
        Ok(version)
    }

    /// The synced groups after `since` (that of a checkpoint, or what the last call answered), about `bytes_max` of them and
    /// never less than one group if there is one, and the place behind them. `None` when the log no longer goes back that far:
    /// take a new base. Blocks.
    pub fn log_since(&self, since: LogPlace, bytes_max: usize) -> Result<Option<(Bytes, LogPlace)>> {
        let synced = self.shared.synced.load(Ordering::Acquire);
        let found = self.files.read(|files| since::read(files, since, synced, bytes_max))?;
        Ok(found.map(|(frames, place)| (Bytes::from(frames), place)))
    }

    /// The version through which everything is durable: [`log_since`](Self::log_since) up to here is empty-handed.
    pub fn synced(&self) -> Version {
        self.shared.synced.load(Ordering::Acquire)
    }

    /// Applies shipped groups to a catalog that was opened from a checkpoint, before anything else commits to it. Groups
    /// that it has are passed over; a gap or a byte that does not verify is refused. Answers the version reached, durably.
    pub async fn apply_log(&self, frames: Bytes) -> Result<Version> {
        let bytes = frames.len();
        self.writable()?;
        self.shared.queue.submit(Job::Apply(frames), bytes).await
    }
}
