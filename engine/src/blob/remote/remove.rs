//! Deletes objects that no row names.
//!
//! ```text
//!   doomed/<blob, copy> ─► its commit is in the backup, nobody reads it ─► delete the object ─► delete the row
//!   parts/<blob, copy>  ─► not under way in this process ───────────────► abort the upload ──► delete the row
//!   once a day: list all objects ─► a day old, not under way, no row names it, not doomed ──► delete
//! ```
//!
//! A round goes through the partitions in which something was doomed since the last one, and once an hour, and at the start, through
//! all of them: a commit whose answer nobody waited for may have doomed something, too.
//!
//! # Invariants
//! - What the store refuses holds up nothing behind it: the next tick goes on there, and the next round comes back.
//! - A list is believed as far as it is in order: one that is not would never end.
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
use crate::catalog::{Commit, Scan, Version, Write, key_after};
use crate::id::{BlobId, CopyId, PartitionId};
use crate::remote::Listed;
use crate::worker::{Leg, Progress, Stop, Tour, Visitor, Worker};
use crate::{BoxFuture, Error, Result};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
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
/// Time between two rounds through all partitions.
const ALL_EVERY: Duration = Duration::from_hours(1);
/// Time between two lists of everything.
const SWEEP_EVERY: Duration = Duration::from_hours(24);
/// How old an object is that no row names before it goes.
const ORPHAN_AGE: Duration = Duration::from_hours(24);

/// Worker `remote-remover`; its unit is objects.
pub struct Remover {
    pub(super) work: Removal,
    tour: Tour<Place>,
    /// Boot time of the next round through all partitions.
    next_all: Option<Duration>,
    /// Where the list of everything goes on, while there is one.
    sweep: Option<String>,
    /// Boot time of the next list.
    next_sweep: Option<Duration>,
}

/// What it does in a partition, or with an object.
pub(super) struct Removal {
    store: Arc<BlobStore>,
    pool: Arc<RemotePool>,
    /// Doomed copies with a version at which they were so: that of the commit, or a later one.
    pub(super) seen: BTreeMap<(PartitionId, BlobId, CopyId), Version>,
    /// [`SEEN_MAX`].
    pub(super) seen_max: usize,
    /// What the round goes through.
    round: Round,
}

enum Round {
    All,
    /// Where something was doomed.
    These(BTreeSet<PartitionId>),
}

/// A queue of a partition, and a key in it.
pub(super) type Place = (Queue, Bytes);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Queue {
    #[default]
    Doomed,
    Parts,
}

impl Remover {
    pub(in crate::blob) fn new(store: Arc<BlobStore>, pool: Arc<RemotePool>) -> Self {
        let (seen, seen_max, round) = (BTreeMap::new(), SEEN_MAX, Round::All);
        let work = Removal { store, pool, seen, seen_max, round };
        Self { work, tour: Tour::default(), next_all: None, sweep: None, next_sweep: None }
    }

    async fn step(&mut self) -> Result<Progress> {
        let now = self.work.store.clock.boottime();
        if self.tour.is_between_rounds() {
            let these = std::mem::take(&mut *self.work.pool.doomed_in.lock());
            let all = self.next_all.is_none_or(|next| now >= next);
            self.work.round = if all { Round::All } else { Round::These(these) };
            if all {
                self.next_all = Some(now + ALL_EVERY);
            }
        }
        if let Leg::On { done } = self.tour.go(&mut self.work).await? {
            return Ok(Progress::More { done });
        }
        let due = *self.next_sweep.get_or_insert(now);
        if self.sweep.is_none() && now >= due {
            self.next_sweep = Some(now + SWEEP_EVERY);
            self.sweep = Some(String::new());
        }
        if let Some(after) = self.sweep.clone() {
            let done = self.work.list(&after, &mut self.sweep).await?;
            return Ok(Progress::More { done });
        }
        Ok(self.tour.rest(REST))
    }
}

impl Visitor for Removal {
    type Cursor = Place;

    fn next(&self, from: Bound<PartitionId>) -> Option<PartitionId> {
        match &self.round {
            Round::All => self.store.next_home(from),
            Round::These(homes) => homes.range((from, Bound::Unbounded)).next().copied(),
        }
    }

    /// A page of a queue. What can't be read is looked at again in the next round, as is what can't be deleted.
    async fn visit(&mut self, stop: &mut Stop<Place>) -> Result<()> {
        let again = Again { pool: Arc::clone(&self.pool), home: stop.partition(), is_over: false };
        let outcome = self.page(stop).await;
        again.over(outcome.is_ok());
        outcome
    }
}

/// Has a partition looked at again in the next round, unless the visit to it went well.
struct Again {
    pool: Arc<RemotePool>,
    home: PartitionId,
    is_over: bool,
}

impl Again {
    fn over(mut self, is_over: bool) {
        self.is_over = is_over;
    }
}

impl Drop for Again {
    /// After a panic, too.
    fn drop(&mut self) {
        if !self.is_over {
            self.pool.look_again(self.home);
        }
    }
}

impl Removal {
    /// Each page has a snapshot of its own: the store is asked between two of them, which may take long.
    async fn page(&mut self, stop: &mut Stop<Place>) -> Result<()> {
        let (mut queue, mut start) = stop.cursor();
        let snapshot = self.store.catalog.snapshot(stop.partition()).await?;
        loop {
            let table = if queue == Queue::Doomed { DOOMED } else { PARTS };
            let page = snapshot.scan(Scan { start, ..Scan::prefix(table, &[], PAGE) }).await?;
            match (page.rows.last(), queue) {
                (None, Queue::Doomed) => (queue, start) = (Queue::Parts, Bytes::new()),
                (None, Queue::Parts) => return Ok(()),
                (Some((last, _)), _) => {
                    stop.go_on_at((queue, key_after(last)));
                    return self.remove(stop, queue, page.rows, snapshot.read_version()).await;
                }
            }
        }
    }

    /// Deletes what may go of a page, and the rows of what is gone; what is left of it is looked at again in the next round.
    async fn remove(
        &mut self,
        stop: &mut Stop<Place>,
        queue: Queue,
        rows: Vec<(Bytes, Bytes)>,
        version: Version,
    ) -> Result<()> {
        let home = stop.partition();
        let (mut gone, mut failed) = (Vec::new(), None);
        for (key, value) in rows {
            let outcome = match queue {
                Queue::Doomed => self.delete_doomed(home, &key, &value, version).await,
                Queue::Parts => self.abort_left(home, &key, &value).await,
            };
            match outcome {
                Ok(true) => gone.push(if queue == Queue::Doomed { DOOMED.key(key) } else { PARTS.key(key) }),
                Ok(false) => {}
                Err(error) => {
                    stop.go_on_at((queue, key_after(&key)));
                    failed = Some(error);
                    break;
                }
            }
        }
        stop.did(gone.len() as u64);
        if !gone.is_empty() {
            let read_version = self.store.catalog.snapshot(home).await?.read_version();
            let writes = gone.into_iter().map(Write::Delete).collect();
            let commit = Commit { writes, ..Commit::new(home, read_version).from_reserve() };
            self.store.catalog.commit(commit).await?;
        }
        failed.map_or(Ok(()), Err)
    }

    /// The object of a doomed row, if it may go; whether it is gone.
    async fn delete_doomed(
        &mut self,
        home: PartitionId,
        key: &[u8],
        value: &[u8],
        version: Version,
    ) -> Result<bool> {
        let (blob, copy) = ids(key)?;
        if DoomedRow::from_bytes(value)?.zone != self.pool.zone {
            return Ok(false);
        }
        let id = (home, blob, copy);
        let hold = *self.store.hold.lock();
        let is_held = |hold| {
            let has_turn = self.seen.len() < self.seen_max || self.seen.contains_key(&id);
            !has_turn || *self.seen.entry(id).or_insert(version) > hold
        };
        if hold.is_some_and(is_held) || self.pool.is_read(copy) {
            self.pool.look_again(home);
            return Ok(false);
        }
        let name = object_name(home, blob, copy);
        self.pool.noted_delete(self.pool.store.delete(&name).await)?;
        self.pool.deleted_objects.fetch_add(1, Ordering::Relaxed);
        self.seen.remove(&id);
        Ok(true)
    }

    /// An upload in parts that another process began, or one that failed; whether it is gone.
    async fn abort_left(&self, home: PartitionId, key: &[u8], value: &[u8]) -> Result<bool> {
        let (blob, copy) = ids(key)?;
        let begun = PartsRow::from_bytes(value)?;
        if begun.zone != self.pool.zone {
            return Ok(false);
        }
        if self.pool.under_way.lock().contains(&copy) {
            self.pool.look_again(home);
            return Ok(false);
        }
        let name = object_name(home, blob, copy);
        self.pool.noted_delete(self.pool.store.abort(&name, &begun.upload).await)?;
        Ok(true)
    }

    /// One page of the list of everything: how many orphans went. What is `next` is also behind one that the store does not delete.
    async fn list(&self, after: &str, next: &mut Option<String>) -> Result<u64> {
        let listed = self.pool.store.list(BLOBS, after, LIST).await;
        let listed = self.pool.noted_delete(listed.and_then(|listed| self.in_order(after, listed)))?;
        let mut removed = 0;
        for object in &listed {
            if self.is_orphan(object).await? {
                *next = Some(object.name.clone());
                tracing::info!(name = object.name, "an object that no row names is deleted");
                self.pool.noted_delete(self.pool.store.delete(&object.name).await)?;
                self.pool.orphans.fetch_add(1, Ordering::Relaxed);
                removed += 1;
            }
        }
        *next = listed.last().filter(|_| listed.len() == LIST).map(|last| last.name.clone());
        Ok(removed)
    }

    fn in_order(&self, after: &str, listed: Vec<Listed>) -> Result<Vec<Listed>> {
        let mut before = after;
        for object in &listed {
            if object.name.as_str() <= before {
                let reason = format!("its list is out of order: {:?} comes behind {before:?}", object.name);
                return Err(Error::Remote { op: "list", place: self.pool.place.clone(), reason });
            }
            before = &object.name;
        }
        Ok(listed)
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
        Arc::clone(&self.work.pool.remover)
    }

    fn trouble(&self) -> Option<String> {
        self.tour.trouble()
    }

    fn tick(&mut self) -> BoxFuture<'_, Result<Progress>> {
        let pool = Arc::clone(&self.work.pool);
        Box::pin(async move {
            tokio::select! {
                biased;
                () = pool.stopped() => Ok(Progress::Idle { rest: REST }),
                outcome = self.step() => outcome,
            }
        })
    }
}
