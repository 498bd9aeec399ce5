//! Deletes objects that no row names.
//!
//! ```text
//!   doomed/<blob, copy> ─► its commit is in the backup, nobody reads it ─► delete the object ─► delete the row
//!   parts/<blob, copy>  ─► not under way in this process ───────────────► abort the upload ──► delete the row
//!   once a day: list all objects ─► a day old, not under way, no row names it, not doomed ──► delete
//! ```
//!
//! # Invariants
//! - An object is looked up in this order: is it under way, then does a row name it. A copy that is not under way was named
//!   before that look, or never will be.
//! - Names that are not ours are left alone.
//!
//! A crash between an object and its row repeats the delete, which does no harm.

use super::rows::{DoomedRow, PartsRow};
use super::{BLOBS, RemotePool, object_name, parse_name};
use crate::blob::row::{BlobRow, DOOMED, PARTS, blob_key, doomed_key};
use crate::blob::{BlobStore, fixed};
use crate::catalog::record::Record;
use crate::catalog::{Commit, Key, Scan, Version, Write};
use crate::id::{BlobId, CopyId, PartitionId};
use crate::remote::Listed;
use crate::worker::{Progress, Worker};
use crate::{BoxFuture, Result};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::Notify;

/// Rows of one page.
const PAGE: usize = 128;
/// Most copies whose versions are remembered while a backup holds them; the others wait their turn.
const SEEN_MAX: usize = 100_000;
/// Names of one list.
const LIST: usize = 1000;
/// Pause between two rounds.
const REST: Duration = Duration::from_secs(10);
/// Time between two lists of everything.
const SWEEP_EVERY: Duration = Duration::from_hours(24);
/// How old an object is that no row names before it goes.
const ORPHAN_AGE: Duration = Duration::from_hours(24);

/// Worker `remote-remover`; its unit is objects.
pub struct Remover {
    store: Arc<BlobStore>,
    pool: Arc<RemotePool>,
    /// Doomed copies with a version at which they were so: that of the commit, or a later one.
    seen: BTreeMap<(PartitionId, BlobId, CopyId), Version>,
    /// Where the list of everything goes on, while there is one.
    sweep: Option<String>,
    /// Boot time of the next list.
    next_sweep: Option<Duration>,
}

impl Remover {
    pub(in crate::blob) fn new(store: Arc<BlobStore>, pool: Arc<RemotePool>) -> Self {
        Self { store, pool, seen: BTreeMap::new(), sweep: None, next_sweep: None }
    }

    async fn step(&mut self) -> Result<Progress> {
        let mut done = 0;
        for home in self.store.homes() {
            done += self.remove_doomed(home).await?;
            done += self.abort_left(home).await?;
        }
        let now = self.store.clock.boottime();
        let due = *self.next_sweep.get_or_insert(now);
        if self.sweep.is_none() && now >= due {
            self.next_sweep = Some(now + SWEEP_EVERY);
            self.sweep = Some(String::new());
        }
        if let Some(after) = self.sweep.take() {
            let (removed, next) = self.list(&after).await?;
            self.sweep = next;
            return Ok(Progress::More { done: done + removed });
        }
        Ok(Progress::Idle { rest: REST })
    }

    /// One page of a queue, the version at which it was so, and where to go on. Each has a snapshot of its own: the store is asked
    /// between two of them, which may take long.
    async fn page(
        &self,
        home: PartitionId,
        scan: Scan,
    ) -> Result<(Vec<(Bytes, Bytes)>, Version, Option<Scan>)> {
        let snapshot = self.store.catalog.snapshot(home).await?;
        let page = snapshot.scan(scan.clone()).await?;
        let next = scan.behind(&page);
        Ok((page.rows, snapshot.read_version(), next))
    }

    async fn remove_doomed(&mut self, home: PartitionId) -> Result<u64> {
        let (mut done, mut next) = (0, Some(Scan::prefix(DOOMED, &[], PAGE)));
        while let Some(scan) = next {
            let (rows, version, behind) = self.page(home, scan).await?;
            let gone = self.remove_page(home, rows, version).await?;
            done += self.forget(home, gone).await?;
            next = behind;
        }
        Ok(done)
    }

    /// Deletes what may go of a page; the rows whose objects are gone.
    async fn remove_page(
        &mut self,
        home: PartitionId,
        rows: Vec<(Bytes, Bytes)>,
        version: Version,
    ) -> Result<Vec<Key>> {
        let hold = *self.store.hold.lock();
        let mut gone = Vec::new();
        for (key, value) in rows {
            let (blob, copy) = ids(&key)?;
            if DoomedRow::from_bytes(&value)?.zone != self.pool.zone {
                continue;
            }
            if self.seen.len() >= SEEN_MAX && !self.seen.contains_key(&(home, blob, copy)) {
                continue;
            }
            let doomed_at = *self.seen.entry((home, blob, copy)).or_insert(version);
            if hold.is_some_and(|hold| doomed_at > hold) || self.pool.is_read(copy) {
                continue;
            }
            let name = object_name(home, blob, copy);
            self.pool.noted(self.pool.store.delete(&name).await)?;
            self.pool.deleted_objects.fetch_add(1, Ordering::Relaxed);
            self.seen.remove(&(home, blob, copy));
            gone.push(DOOMED.key(key));
        }
        Ok(gone)
    }

    /// Uploads in parts that another process began, or one that failed.
    async fn abort_left(&self, home: PartitionId) -> Result<u64> {
        let (mut done, mut next) = (0, Some(Scan::prefix(PARTS, &[], PAGE)));
        while let Some(scan) = next {
            let (rows, _, behind) = self.page(home, scan).await?;
            let mut gone = Vec::new();
            for (key, value) in rows {
                let (blob, copy) = ids(&key)?;
                let begun = PartsRow::from_bytes(&value)?;
                if begun.zone != self.pool.zone || self.pool.under_way.lock().contains(&copy) {
                    continue;
                }
                let name = object_name(home, blob, copy);
                self.pool.noted(self.pool.store.abort(&name, &begun.upload).await)?;
                gone.push(PARTS.key(key));
            }
            done += self.forget(home, gone).await?;
            next = behind;
        }
        Ok(done)
    }

    /// Deletes the rows of a page whose objects are gone.
    async fn forget(&self, home: PartitionId, rows: Vec<Key>) -> Result<u64> {
        let done = rows.len() as u64;
        if !rows.is_empty() {
            let read_version = self.store.catalog.snapshot(home).await?.read_version();
            let writes = rows.into_iter().map(Write::Delete).collect();
            let commit = Commit { writes, ..Commit::new(home, read_version).from_reserve() };
            self.store.catalog.commit(commit).await?;
        }
        Ok(done)
    }

    /// One page of the list of everything: how many orphans went, and where to go on.
    async fn list(&self, after: &str) -> Result<(u64, Option<String>)> {
        let listed = self.pool.noted_read(self.pool.store.list(BLOBS, after, LIST).await)?;
        let next = listed.last().filter(|_| listed.len() == LIST).map(|last| last.name.clone());
        let mut removed = 0;
        for object in listed {
            if self.is_orphan(&object).await? {
                tracing::info!(name = object.name, "an object that no row names is deleted");
                self.pool.noted(self.pool.store.delete(&object.name).await)?;
                self.pool.orphans.fetch_add(1, Ordering::Relaxed);
                removed += 1;
            }
        }
        Ok((removed, next))
    }

    async fn is_orphan(&self, object: &Listed) -> Result<bool> {
        let Some((home, blob, copy)) = parse_name(&object.name) else { return Ok(false) };
        if self.store.clock.now().since(object.modified) < ORPHAN_AGE
            || self.pool.under_way.lock().contains(&copy)
        {
            return Ok(false);
        }
        let snapshot = self.store.catalog.snapshot(home).await?;
        let row = snapshot.get(blob_key(blob)).await?;
        let row = row.map(|bytes| BlobRow::decode(blob, &bytes)).transpose()?;
        let is_named = row.and_then(|row| row.remote).is_some_and(|named| named.id == copy);
        Ok(!is_named && snapshot.get(doomed_key(blob, copy)).await?.is_none())
    }
}

/// The key of a queue row.
fn ids(key: &[u8]) -> Result<(BlobId, CopyId)> {
    let bytes: [u8; BlobId::LEN + CopyId::LEN] = fixed(key, "row of a remote copy")?;
    let (blob, copy) = bytes.split_at(BlobId::LEN);
    Ok((BlobId::from_bytes(fixed(blob, "blob")?), CopyId::from_bytes(fixed(copy, "remote copy")?)))
}

impl Worker for Remover {
    fn name(&self) -> &'static str {
        "remote-remover"
    }

    fn bell(&self) -> Arc<Notify> {
        Arc::clone(&self.pool.remover)
    }

    fn tick(&mut self) -> BoxFuture<'_, Result<Progress>> {
        let pool = Arc::clone(&self.pool);
        Box::pin(async move {
            tokio::select! {
                biased;
                () = pool.stopped() => Ok(Progress::Idle { rest: REST }),
                outcome = self.step() => outcome,
            }
        })
    }
}
