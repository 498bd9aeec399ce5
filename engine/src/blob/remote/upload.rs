//! Moves bodies from the local pools to the remote one.
//!
//! ```text
//!   queue row ─► blob row ─► a new copy's name ─► each record read and verified ─► one PUT, or parts of 8 MiB and more
//!     ─► commit { Unchanged(blob row, queue row); the row names the copy; local copies leave it; the queue row goes }
//!     the row was changed meanwhile ─► the same commit on the new row: the bytes of a blob never change
//! ```
//!
//! # Invariants
//! - Nothing is uploaded that does not match its checksum.
//! - An upload in parts has a row before its first part is sent, so that a crash leaves nothing at the store that nobody knows.
//! - A copy counts as under way from before its name can be at the store until the end of its commit is known.
//! - What was uploaded is not uploaded again because its commit failed: the next tick names it.
//! - Before local copies go because of an object that was named earlier, that object is looked at.
//!
//! # Limits
//! [`UPLOADS_MAX`] at once. A store that does not answer, or refuses, ends a tick; the registry's back-off decides when the next
//! one goes on behind those that failed, so that an object that the store never takes holds up no other. Neither does one that can
//! be read nowhere: both stay queued for the next round.

use super::queue::stored_len;
use super::rows::{DoomedRow, PartsRow, UploadRow};
use super::{RemotePool, object_name};
use crate::blob::copies::Fate;
use crate::blob::row::{
    BlobRow, RemoteCopy, UPLOADS, blob_key, doomed_key, parts_key, remote_bytes_key, upload_key,
};
use crate::blob::writer::live_adds;
use crate::blob::{BlobStore, fixed};
use crate::catalog::record::Record;
use crate::catalog::{Check, Commit, Scan, Snapshot, Write, key_after};
use crate::id::{BlobId, CopyId, PartitionId, SegmentId};
use crate::pool::frame::{FRAME_BYTES, Frame, record_len};
use crate::remote::probe;
use crate::worker::{Leg, Progress, Stop, Tour, Visitor, Worker};
use crate::{BoxFuture, Error, ErrorKind, Result};
use bytes::Bytes;
use futures_util::future::join_all;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::Notify;

/// Uploads under way at once.
pub(super) const UPLOADS_MAX: usize = 4;
/// Objects up to so many bytes go in one piece.
const SINGLE_BYTES: u64 = 8 << 20;
/// A part is sent once it has so many bytes.
const PART_BYTES: usize = 8 << 20;
/// Pause when nothing is queued.
const REST: Duration = Duration::from_secs(5);
/// Pause when what is queued can't be read.
const STUCK_REST: Duration = Duration::from_mins(1);
/// How often a row is read again that changes while its blob is uploaded.
const ATTEMPTS: usize = 16;

/// Worker `uploader`; its unit is bytes uploaded.
pub struct Uploader {
    pub(super) work: Upload,
    tour: Tour<Bytes>,
}

/// What it does with a queued blob; a tour's cursor is a key of the queue.
pub(super) struct Upload {
    store: Arc<BlobStore>,
    pool: Arc<RemotePool>,
    round_did: RoundDid,
    /// Uploaded, and not named yet: the commit failed.
    unnamed: Vec<Unnamed>,
}

/// What became of the queued blobs that a round has passed.
#[derive(Default)]
struct RoundDid {
    /// Some left the queue.
    left: bool,
    /// Some stayed there because of the store or the catalog.
    failed: bool,
    /// So many stayed there because they can be read nowhere now.
    unreadable: u64,
    /// Why the first of them can't.
    why: Option<Error>,
}

/// A copy at the store, and whose it is.
struct Unnamed {
    home: PartitionId,
    blob: BlobId,
    copy: RemoteCopy,
}

/// How one queued blob ended.
enum Ended {
    /// It leaves the queue; so many bytes were uploaded.
    Done(u64),
    /// It stays there: no copy of it can be read.
    Unreadable(Error),
    /// It is uploaded, and stays there: the catalog does not say that it is named.
    Unnamed(Unnamed, Error),
}

/// What came of sending a blob's records.
enum Sent {
    Whole,
    /// No copy of a record can be read.
    Unreadable(Error),
}

impl Uploader {
    pub(in crate::blob) fn new(store: Arc<BlobStore>, pool: Arc<RemotePool>) -> Self {
        let work = Upload { store, pool, round_did: RoundDid::default(), unnamed: Vec::new() };
        Self { work, tour: Tour::default() }
    }

    async fn step(&mut self) -> Result<Progress> {
        self.work.name_uploaded().await?;
        if let Leg::On { done } = self.tour.go(&mut self.work).await? {
            return Ok(Progress::More { done });
        }
        Ok(match self.work.end_round().await? {
            None => Progress::More { done: 0 },
            Some(rest) => self.tour.rest(rest),
        })
    }
}

impl Visitor for Upload {
    type Cursor = Bytes;

    fn next(&self, from: Bound<PartitionId>) -> Option<PartitionId> {
        self.store.next_home(from)
    }

    /// Some queued blobs at once.
    async fn visit(&mut self, stop: &mut Stop<Bytes>) -> Result<()> {
        let home = stop.partition();
        let snapshot = self.store.catalog.snapshot(home).await?;
        let page = Scan { start: stop.cursor(), ..Scan::prefix(UPLOADS, &[], UPLOADS_MAX) };
        let rows = snapshot.scan(page).await?.rows;
        let Some((last, _)) = rows.last() else { return Ok(()) };
        // What stays in the queue is the next round's.
        stop.go_on_at(key_after(last));
        let uploads = rows.iter().map(|(key, value)| self.one(home, key, value));
        let outcomes = join_all(uploads).await;
        stop.did(self.judge(outcomes)?);
        Ok(())
    }
}

impl Upload {
    /// Counts how the blobs of a page ended: the bytes uploaded, or the first error.
    fn judge(&mut self, outcomes: Vec<Result<Ended>>) -> Result<u64> {
        let (mut done, mut failed) = (0, None);
        for outcome in outcomes {
            match outcome {
                Ok(Ended::Done(bytes)) => {
                    done += bytes;
                    self.round_did.left = true;
                }
                Ok(Ended::Unreadable(error)) => {
                    self.round_did.unreadable += 1;
                    self.round_did.why.get_or_insert(error);
                }
                Ok(Ended::Unnamed(unnamed, error)) => {
                    self.unnamed.push(unnamed);
                    failed.get_or_insert(error);
                }
                Err(error) => {
                    failed.get_or_insert(error);
                }
            }
        }
        self.round_did.failed |= failed.is_some();
        failed.map_or(Ok(done), Err)
    }

    /// The end of a round: how long to rest, or that another one follows at once. The store is asked how it is where something failed, so that an outage goes on to be one and what one object
    /// suffers from does not become one; and where trouble is left and nothing is queued, for nobody else would notice its end.
    async fn end_round(&mut self) -> Result<Option<Duration>> {
        let did = std::mem::take(&mut self.round_did);
        if self.pool.unreadable.swap(did.unreadable, Ordering::Relaxed) != did.unreadable
            && let Some(error) = did.why
        {
            tracing::error!(blobs = did.unreadable, %error, "blobs can't be uploaded now: no copy of them can be read");
        }
        let is_idle = !did.left && did.unreadable == 0;
        if did.failed || (is_idle && self.pool.can_not_write()) {
            let pool = &self.pool;
            let tried = probe::round_trip(&*pool.store, &pool.place, &*self.store.entropy).await;
            if tried.is_err() || !did.failed {
                pool.noted(tried)?;
            }
        }
        Ok(match (did.left, did.failed || did.unreadable > 0) {
            (true, _) => None,
            (false, true) => Some(STUCK_REST),
            (false, false) => Some(REST),
        })
    }

    /// Names what an earlier tick uploaded.
    async fn name_uploaded(&mut self) -> Result<()> {
        while let Some(Unnamed { home, blob, copy }) = self.unnamed.pop() {
            match self.finish(home, blob, copy).await? {
                Ended::Unnamed(unnamed, error) => {
                    self.unnamed.push(unnamed);
                    return Err(error);
                }
                Ended::Done(_) => self.round_did.left = true,
                Ended::Unreadable(_) => {}
            }
        }
        Ok(())
    }

    async fn one(&self, home: PartitionId, key: &[u8], value: &[u8]) -> Result<Ended> {
        let read = || Ok((BlobId::from_bytes(fixed(key, "upload row")?), UploadRow::from_bytes(value)?));
        let outcome = match read() {
            Ok((blob, queued)) => self.upload(home, blob, queued).await,
            Err(error) => Err(error),
        };
        match outcome {
            // Its row, or what was found of its copies.
            Err(error) if error.kind() == ErrorKind::Corrupt => Ok(Ended::Unreadable(error)),
            outcome => outcome,
        }
        .inspect(|ended| {
            if let Ended::Unreadable(error) = ended {
                tracing::debug!(%home, %error, "a blob can't be uploaded now");
            }
        })
    }

    async fn upload(&self, home: PartitionId, blob: BlobId, queued: UploadRow) -> Result<Ended> {
        let snapshot = self.store.catalog.snapshot(home).await?;
        let Some(row) = row_of(&*snapshot, blob).await? else {
            let checks = vec![Check::Unchanged(upload_key(blob)), Check::Absent(blob_key(blob))];
            let writes = vec![Write::Delete(upload_key(blob))];
            let commit =
                Commit { checks, writes, ..Commit::new(home, snapshot.read_version()).from_reserve() };
            return match self.store.catalog.commit(commit).await {
                Ok(_) | Err(Error::Conflict { .. } | Error::TooOld { .. }) => Ok(Ended::Done(0)),
                Err(error) => Err(error),
            };
        };
        if row.records() == 0 || !self.has_to_be_sent(home, blob, &row, queued).await? {
            let bytes = self.name(home, blob, None).await?;
            return Ok(Ended::Done(bytes.unwrap_or(0)));
        }
        let copy = CopyId::random(&*self.store.entropy);
        self.pool.under_way.lock().insert(copy);
        let outcome = self.send(home, blob, &row, copy).await;
        if !matches!(outcome, Ok(Sent::Whole)) {
            self.ended(copy);
            // What was begun in parts is the remover's.
            self.pool.look_again(home);
        }
        if let Sent::Unreadable(error) = outcome? {
            return Ok(Ended::Unreadable(error));
        }
        let copy = RemoteCopy { zone: self.pool.zone, id: copy, payloads: row.payloads() };
        self.finish(home, blob, copy).await
    }

    /// Whether an object has to be made: there is none, or none that is good enough to let local copies go for it.
    async fn has_to_be_sent(
        &self,
        home: PartitionId,
        blob: BlobId,
        row: &BlobRow,
        queued: UploadRow,
    ) -> Result<bool> {
        let Some(copy) = row.remote.as_ref().filter(|_| self.store.remote_of(row).is_some()) else {
            return Ok(true);
        };
        if queued.again {
            return Ok(true);
        }
        if self.pool.keeps_local || row.copies.is_empty() || self.pool.holds((home, blob), copy).await? {
            return Ok(false);
        }
        tracing::error!(%blob, place = self.pool.place, "the object of a blob is not whole: it is uploaded again");
        Ok(true)
    }

    /// Has the row name what was uploaded, or sees that it can't.
    async fn finish(&self, home: PartitionId, blob: BlobId, copy: RemoteCopy) -> Result<Ended> {
        match self.name(home, blob, Some(&copy)).await {
            Ok(Some(bytes)) => {
                self.ended(copy.id);
                Ok(Ended::Done(bytes))
            }
            Ok(None) => {
                self.drop_unnamed(home, blob, copy.id).await;
                Ok(Ended::Done(0))
            }
            Err(error) if error.kind() == ErrorKind::Corrupt => {
                self.drop_unnamed(home, blob, copy.id).await;
                Err(error)
            }
            // It may be named yet: as long as nobody knows, it counts as under way.
            Err(error) => Ok(Ended::Unnamed(Unnamed { home, blob, copy }, error)),
        }
    }

    /// Nobody comes to name it; what can't be removed now is found by listing.
    async fn drop_unnamed(&self, home: PartitionId, blob: BlobId, copy: CopyId) {
        self.ended(copy);
        let name = object_name(home, blob, copy);
        if let Err(error) = self.pool.noted_delete(self.pool.store.delete(&name).await) {
            tracing::warn!(%error, name, "an object that nobody names stays for now");
        }
    }

    /// No commit that names it is on its way any more.
    fn ended(&self, copy: CopyId) {
        self.pool.under_way.lock().remove(&copy);
    }

    /// Sends all records under the copy's name.
    async fn send(&self, home: PartitionId, blob: BlobId, row: &BlobRow, copy: CopyId) -> Result<Sent> {
        let name = object_name(home, blob, copy);
        let (pool, total) = (&self.pool, stored_len(row));
        if total <= SINGLE_BYTES {
            let mut body = Vec::new();
            for index in 0..row.records() {
                match self.record(home, blob, row, (index, copy)).await? {
                    Ok(record) => body.push(record),
                    Err(unreadable) => return Ok(Sent::Unreadable(unreadable)),
                }
            }
            pool.pace.take(total).await;
            match pool.store.put(&name, body).await {
                Err(Error::Conflict { .. }) => self.is_ours(home, blob, row, copy).await,
                outcome => pool.noted(outcome),
            }?;
            return Ok(Sent::Whole);
        }
        let upload = pool.noted(pool.store.begin(&name).await)?;
        let begun = PartsRow { zone: pool.zone, upload: upload.clone() };
        let write = Write::Put(parts_key(blob, copy), begun.to_bytes());
        if let Err(error) = self.store.commit_one(home, write).await {
            // Nobody knows of it.
            if let Err(error) = pool.noted_delete(pool.store.abort(&name, &upload).await) {
                tracing::warn!(%error, name, "an upload in parts that holds nothing stays");
            }
            return Err(error);
        }
        let (mut ids, mut part, mut bytes) = (Vec::new(), Vec::new(), 0);
        for index in 0..row.records() {
            let record = match self.record(home, blob, row, (index, copy)).await? {
                Ok(record) => record,
                Err(unreadable) => return Ok(Sent::Unreadable(unreadable)),
            };
            bytes += record.len();
            part.push(record);
            if bytes >= PART_BYTES || index + 1 == row.records() {
                pool.pace.take(bytes as u64).await;
                let sent = pool.store.part(&name, &upload, ids.len(), std::mem::take(&mut part)).await;
                ids.push(pool.noted(sent)?);
                bytes = 0;
            }
        }
        pool.noted(pool.store.complete(&name, &upload, ids).await)?;
        Ok(Sent::Whole)
    }

    /// A name that was drawn just now is taken: by our own request, sent again because its answer was lost, or else by a store that
    /// says so of everything.
    async fn is_ours(&self, home: PartitionId, blob: BlobId, row: &BlobRow, copy: CopyId) -> Result<()> {
        let sent = RemoteCopy { zone: self.pool.zone, id: copy, payloads: row.payloads() };
        let outcome = match self.pool.holds((home, blob), &sent).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(Error::Remote {
                op: "write to",
                place: self.pool.place.clone(),
                reason: "it says that a name is taken which was drawn just now".to_owned(),
            }),
            Err(error) => Err(error),
        };
        self.pool.noted(outcome)
    }

    /// A record as it is to be in the copy's object, from any copy that has it, or why none has. Between two parts of a slow upload
    /// compaction may have moved it: the row read again says where to.
    pub(super) async fn record(
        &self,
        home: PartitionId,
        blob: BlobId,
        row: &BlobRow,
        (index, copy): (usize, CopyId),
    ) -> Result<Result<Bytes>> {
        let mut fate = self.store.look_everywhere((home, blob), row, index).await?;
        if !matches!(fate, Fate::Sound(_)) {
            let moved = self.store.row(home, blob).await?;
            if moved.copies != row.copies && moved.payloads() == row.payloads() {
                fate = self.store.look_everywhere((home, blob), &moved, index).await?;
            }
        }
        let (frame, mut bytes) = match fate {
            Fate::Sound(record) => record,
            Fate::Damaged(error) | Fate::Unreadable(error) | Fate::Away(error) => return Ok(Err(error)),
        };
        let frame = Frame { generation: SegmentId::from_bytes(*copy.as_bytes()), ..frame };
        bytes[..FRAME_BYTES].copy_from_slice(&frame.encode());
        bytes.resize(record_len(frame.payload_len as usize), 0);
        Ok(Ok(bytes.into()))
    }

    /// Has the row name `copy`, if there is one, and nothing else that is not wanted; out of the queue it goes. How many bytes were
    /// named, or `None` when there is no row any more.
    async fn name(&self, home: PartitionId, blob: BlobId, copy: Option<&RemoteCopy>) -> Result<Option<u64>> {
        let bytes = copy.map_or(0, RemoteCopy::stored_len);
        for _ in 0..ATTEMPTS {
            let snapshot = self.store.catalog.snapshot(home).await?;
            let version = snapshot.read_version();
            let Some(row) = row_of(&*snapshot, blob).await? else { return Ok(None) };
            if copy.is_some_and(|copy| row.remote.as_ref() == Some(copy)) {
                return Ok(Some(bytes));
            }
            if copy.is_some_and(|copy| copy.payloads != row.payloads()) {
                let (what, detail) = (format!("row of blob {blob}"), "its records were cut anew".to_owned());
                return Err(Error::Corrupt { what, detail });
            }
            if copy.is_none() && row.records() > 0 && is_again(&*snapshot, blob).await? {
                return Ok(Some(0));
            }
            let outcome = self.store.commit_counting(self.naming(home, blob, version, (&row, copy))).await;
            // Local records went with it, or may yet go.
            if !self.pool.keeps_local {
                self.store.bells.compactor.notify_one();
            }
            if copy.is_some() && row.remote.is_some() {
                self.pool.doomed_in(home);
            }
            match outcome {
                Ok(_) => {
                    if copy.is_some() {
                        self.pool.uploaded_blobs.fetch_add(1, Ordering::Relaxed);
                        self.pool.uploaded_bytes.fetch_add(bytes, Ordering::Relaxed);
                    }
                    return Ok(Some(bytes));
                }
                Err(Error::Conflict { .. } | Error::TooOld { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Err(Error::Conflict { check: 0 })
    }

    /// The commit. It is a conflict when somebody queues the blob anew meanwhile.
    fn naming(
        &self,
        home: PartitionId,
        blob: BlobId,
        version: u64,
        (row, copy): (&BlobRow, Option<&RemoteCopy>),
    ) -> Commit {
        let mut writes = vec![Write::Delete(upload_key(blob))];
        let mut next = row.clone();
        if let Some(copy) = copy {
            writes.push(Write::Delete(parts_key(blob, copy.id)));
            writes.push(add_bytes(copy, 1));
            if let Some(old) = &row.remote {
                writes.extend(doom(blob, old));
            }
            next.remote = Some(copy.clone());
        }
        let mut released = Vec::new();
        if self.store.is_kept_remotely(&next) {
            released.extend(row.places().copied());
            next.copies.clear();
        }
        if next != *row {
            writes.push(Write::Put(blob_key(blob), next.encode().into()));
            writes.extend(live_adds(&released, -1));
        }
        let checks = vec![Check::Unchanged(blob_key(blob)), Check::Unchanged(upload_key(blob))];
        Commit { checks, writes, ..Commit::new(home, version).from_reserve() }
    }
}

async fn row_of(snapshot: &dyn Snapshot, blob: BlobId) -> Result<Option<BlobRow>> {
    snapshot.get(blob_key(blob)).await?.map(|bytes| BlobRow::decode(blob, &bytes)).transpose()
}

/// The blob was queued because its object is damaged.
async fn is_again(snapshot: &dyn Snapshot, blob: BlobId) -> Result<bool> {
    let queued = snapshot.get(upload_key(blob)).await?;
    Ok(queued.map(|value| UploadRow::from_bytes(&value)).transpose()?.is_some_and(|queued| queued.again))
}

/// The change of the counter of remote bytes for a copy that comes (`sign` 1) or goes (−1).
fn add_bytes(copy: &RemoteCopy, sign: i64) -> Write {
    Write::Add(remote_bytes_key(copy.zone), i64::try_from(copy.stored_len()).unwrap_or(i64::MAX) * sign)
}

/// What a commit writes in which a row stops naming a copy: its object is the remover's.
pub(in crate::blob) fn doom(blob: BlobId, copy: &RemoteCopy) -> Vec<Write> {
    let row = DoomedRow { zone: copy.zone, bytes: copy.stored_len() };
    vec![Write::Put(doomed_key(blob, copy.id), row.to_bytes()), add_bytes(copy, -1)]
}

impl BlobStore {
    /// One row in a commit of its own.
    pub(super) async fn commit_one(&self, home: PartitionId, write: Write) -> Result<()> {
        let _home = self.hold_home(home).await?;
        let read_version = self.catalog.snapshot(home).await?.read_version();
        let commit = Commit { writes: vec![write], ..Commit::new(home, read_version).from_reserve() };
        self.catalog.commit(commit).await.map(drop)
    }
}

impl Worker for Uploader {
    fn name(&self) -> &'static str {
        "uploader"
    }

    fn bell(&self) -> Arc<Notify> {
        Arc::clone(&self.work.pool.uploader)
    }

    fn trouble(&self) -> Option<String> {
        self.tour.trouble()
    }

    fn tick(&mut self) -> BoxFuture<'_, Result<Progress>> {
        let pool = Arc::clone(&self.work.pool);
        Box::pin(async move {
            tokio::select! {
                biased;
                () = pool.stopped() => Ok(Progress::Idle { rest: STUCK_REST }),
                outcome = self.step() => outcome,
            }
        })
    }
}
