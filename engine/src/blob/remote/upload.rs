//! Moves bodies from the local pools to the remote one.
//!
//! ```text
//!   queue row ─► blob row ─► a new copy's name ─► each record read and verified ─► one PUT, or parts of 8 MiB and more
//!     ─► commit { Unchanged(blob row, queue row); the row names the copy; local copies leave it; the queue row goes }
//!     the row was changed meanwhile ─► the same commit on the new row: the bytes of a blob never change
//! ```
//!
//! # Invariants
//! - Nothing is uploaded that does not match its BLAKE3.
//! - An upload in parts has a row before its first part is sent, so that a crash leaves nothing at the store that nobody knows.
//! - A copy counts as under way from before its name can be at the store until the end of its commit is known.
//!
//! # Limits
//! [`UPLOADS_MAX`] at once. A store that does not answer ends a tick, and the registry's back-off decides when to try again;
//! a blob that can't be read stays queued and holds up no other.

use super::rows::{DoomedRow, PartsRow, UploadRow};
use super::{RemotePool, object_name, stored_len};
use crate::blob::compactor::blocking;
use crate::blob::round::{HOMES_PER_TICK, Round};
use crate::blob::row::{
    BlobRow, RecordAt, RemoteCopy, UPLOADS, blob_key, doomed_key, parts_key, remote_bytes_key, upload_key,
};
use crate::blob::writer::live_adds;
use crate::blob::{BlobStore, fixed};
use crate::catalog::record::Record;
use crate::catalog::{Check, Commit, Scan, Snapshot, Write};
use crate::id::{BlobId, CopyId, PartitionId, SegmentId};
use crate::pool::frame::{FRAME_BYTES, Frame, record_len};
use crate::pool::scan::read_record;
use crate::worker::{Progress, Worker};
use crate::{BoxFuture, Error, ErrorKind, Result};
use bytes::Bytes;
use futures_util::future::join_all;
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
    store: Arc<BlobStore>,
    pool: Arc<RemotePool>,
    round: Round,
    done_this_round: u64,
    stuck: bool,
}

/// How one queued blob ended.
enum Ended {
    /// It leaves the queue; so many bytes were uploaded.
    Done(u64),
    /// It stays there: no copy of it can be read.
    Unreadable,
}

impl Uploader {
    pub(in crate::blob) fn new(store: Arc<BlobStore>, pool: Arc<RemotePool>) -> Self {
        Self { store, pool, round: Round::default(), done_this_round: 0, stuck: false }
    }

    async fn step(&mut self) -> Result<Progress> {
        let rest = self.round.rest(&self.store);
        for home in rest.iter().copied().take(HOMES_PER_TICK) {
            let start = self.round.enter(home);
            // Kept until all of it is dealt with: a tick that fails begins again where it was.
            self.round.stay(home, start.clone());
            let snapshot = self.store.catalog.snapshot(home).await?;
            let scan = Scan { start, ..Scan::prefix(UPLOADS, &[], UPLOADS_MAX) };
            let page = snapshot.scan(scan.clone()).await?;
            if page.rows.is_empty() {
                self.round.restart();
                continue;
            }
            let uploads = page.rows.iter().map(|(key, value)| self.one(home, key, value));
            let mut failed = None;
            for outcome in join_all(uploads).await {
                match outcome {
                    Ok(Ended::Done(bytes)) => self.done_this_round += bytes.max(1),
                    Ok(Ended::Unreadable) => self.stuck = true,
                    Err(error) => failed = failed.or(Some(error)),
                }
            }
            if let Some(error) = failed {
                self.round.restart();
                return Err(error);
            }
            match (scan.behind(&page), next_home(&rest, home)) {
                (Some(scan), _) => self.round.stay(home, scan.start),
                (None, Some(next)) => self.round.stay(next, Bytes::new()),
                (None, None) => self.round.restart(),
            }
            let done = page.rows.len() as u64;
            return Ok(Progress::More { done });
        }
        if self.round.pass(&rest) {
            return Ok(Progress::More { done: 0 });
        }
        let (done, stuck) = (std::mem::take(&mut self.done_this_round), std::mem::take(&mut self.stuck));
        Ok(match done {
            0 => Progress::Idle { rest: if stuck { STUCK_REST } else { REST } },
            _ => Progress::More { done: 0 },
        })
    }

    async fn one(&self, home: PartitionId, key: &[u8], value: &[u8]) -> Result<Ended> {
        let blob = BlobId::from_bytes(fixed(key, "upload row")?);
        let queued = UploadRow::from_bytes(value)?;
        match self.upload(home, blob, queued).await {
            Err(error) if error.kind() == ErrorKind::Corrupt || matches!(error, Error::ZoneAway { .. }) => {
                tracing::error!(%blob, %error, "a blob can't be uploaded now");
                Ok(Ended::Unreadable)
            }
            outcome => outcome,
        }
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
        if row.records() == 0 || (self.store.remote_of(&row).is_some() && !queued.again) {
            return self.name(home, blob, None).await;
        }
        let copy = CopyId::random(&*self.store.entropy);
        let mut upload = UnderWay::new(&self.pool, copy);
        let sent = self.send(home, blob, &row, copy).await;
        if let Err(error) = sent {
            upload.ended();
            return Err(error);
        }
        let payloads = row.payloads();
        let named =
            self.name(home, blob, Some(RemoteCopy { zone: self.pool.zone, id: copy, payloads })).await;
        match &named {
            Ok(Ended::Done(0)) => {
                upload.ended();
                // Nobody came to name it; what can't be removed now is found by listing.
                let name = object_name(home, blob, copy);
                if let Err(error) = self.pool.noted(self.pool.store.delete(&name).await) {
                    tracing::warn!(%error, name, "an object that nobody names stays for now");
                }
            }
            Ok(_) => upload.ended(),
            // It may be named yet: as long as nobody knows, it counts as under way.
            Err(_) => {}
        }
        named
    }

    /// Sends all records under the copy's name.
    async fn send(&self, home: PartitionId, blob: BlobId, row: &BlobRow, copy: CopyId) -> Result<()> {
        let name = object_name(home, blob, copy);
        let (pool, total) = (&self.pool, stored_len(row));
        if total <= SINGLE_BYTES {
            let mut body = Vec::new();
            for index in 0..row.records() {
                body.push(self.record(home, blob, row, (index, copy)).await?);
            }
            pool.pace.take(total).await;
            return pool.noted(pool.store.put(&name, body).await);
        }
        let upload = pool.noted(pool.store.begin(&name).await)?;
        let begun = PartsRow { zone: pool.zone, upload: upload.clone() };
        let write = Write::Put(parts_key(blob, copy), begun.to_bytes());
        self.store.commit_one(home, write).await?;
        let (mut ids, mut part, mut bytes) = (Vec::new(), Vec::new(), 0);
        for index in 0..row.records() {
            let record = self.record(home, blob, row, (index, copy)).await?;
            bytes += record.len();
            part.push(record);
            if bytes >= PART_BYTES || index + 1 == row.records() {
                pool.pace.take(bytes as u64).await;
                let sent = pool.store.part(&name, &upload, ids.len(), std::mem::take(&mut part)).await;
                ids.push(pool.noted(sent)?);
                bytes = 0;
            }
        }
        pool.noted(pool.store.complete(&name, &upload, ids).await)
    }

    /// A record as it is to be in the copy's object, from any copy that has it.
    async fn record(
        &self,
        home: PartitionId,
        blob: BlobId,
        row: &BlobRow,
        (index, copy): (usize, CopyId),
    ) -> Result<Bytes> {
        let (frame, mut bytes) = self.store.record_of_any((home, blob), row, index).await?;
        let frame = Frame { generation: SegmentId::from_bytes(*copy.as_bytes()), ..frame };
        bytes[..FRAME_BYTES].copy_from_slice(&frame.encode());
        bytes.resize(record_len(frame.payload_len as usize), 0);
        Ok(bytes.into())
    }

    /// Has the row name `copy`, if there is one, and nothing else that is not wanted; out of the queue it goes.
    async fn name(&self, home: PartitionId, blob: BlobId, copy: Option<RemoteCopy>) -> Result<Ended> {
        for _ in 0..ATTEMPTS {
            let snapshot = self.store.catalog.snapshot(home).await?;
            let version = snapshot.read_version();
            let Some(row) = row_of(&*snapshot, blob).await? else { return Ok(Ended::Done(0)) };
            if copy.as_ref().is_some_and(|copy| copy.payloads != row.payloads()) {
                let (what, detail) = (format!("row of blob {blob}"), "its records were cut anew".to_owned());
                return Err(Error::Corrupt { what, detail });
            }
            let (commit, released) = self.naming(home, blob, version, (&row, copy.as_ref()));
            match self.store.catalog.commit(commit).await {
                Ok(_) => {
                    self.store.let_go(home, &released);
                    let bytes = copy.as_ref().map_or(0, RemoteCopy::stored_len);
                    if copy.is_some() {
                        self.pool.uploaded_blobs.fetch_add(1, Ordering::Relaxed);
                        self.pool.uploaded_bytes.fetch_add(bytes, Ordering::Relaxed);
                    }
                    return Ok(Ended::Done(bytes));
                }
                Err(Error::Conflict { .. } | Error::TooOld { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Err(Error::Conflict { check: 0 })
    }

    /// The commit, and the local records that it lets go.
    fn naming(
        &self,
        home: PartitionId,
        blob: BlobId,
        version: u64,
        (row, copy): (&BlobRow, Option<&RemoteCopy>),
    ) -> (Commit, Vec<RecordAt>) {
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
        let checks = vec![Check::Unchanged(blob_key(blob))];
        (Commit { checks, writes, ..Commit::new(home, version).from_reserve() }, released)
    }
}

async fn row_of(snapshot: &dyn Snapshot, blob: BlobId) -> Result<Option<BlobRow>> {
    snapshot.get(blob_key(blob)).await?.map(|bytes| BlobRow::decode(blob, &bytes)).transpose()
}

fn next_home(homes: &[PartitionId], after: PartitionId) -> Option<PartitionId> {
    homes.iter().copied().find(|home| *home > after)
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

/// A copy whose name may come to be at the store without a row that names it.
struct UnderWay<'a> {
    pool: &'a RemotePool,
    copy: CopyId,
}

impl<'a> UnderWay<'a> {
    fn new(pool: &'a RemotePool, copy: CopyId) -> Self {
        pool.under_way.lock().insert(copy);
        Self { pool, copy }
    }

    /// No commit that names it is on its way any more. Without this it stays under way, whatever becomes of it.
    fn ended(&mut self) {
        self.pool.under_way.lock().remove(&self.copy);
    }
}

impl BlobStore {
    /// One row in a commit of its own.
    pub(super) async fn commit_one(&self, home: PartitionId, write: Write) -> Result<()> {
        let read_version = self.catalog.snapshot(home).await?.read_version();
        let commit = Commit { writes: vec![write], ..Commit::new(home, read_version).from_reserve() };
        self.catalog.commit(commit).await.map(drop)
    }

    /// Local records that rows name no more: their segments may be free.
    fn let_go(&self, home: PartitionId, records: &[RecordAt]) {
        for record in records {
            self.live.mark(home, record.segment);
        }
        if !records.is_empty() {
            self.bells.compactor.notify_one();
        }
    }

    /// A record from any copy that has it, verified by its BLAKE3: a local one, or else the remote one. The first error if
    /// none has.
    pub(in crate::blob) async fn record_of_any(
        &self,
        (home, blob): (PartitionId, BlobId),
        row: &BlobRow,
        index: usize,
    ) -> Result<(Frame, Vec<u8>)> {
        let mut first = None;
        for copy in &row.copies {
            let at = copy.places[index];
            let outcome = match self.zones.pin(at.segment) {
                Some(pin) => blocking(move || read_record(&pin, blob, &at)).await,
                None => Err(self.missing(blob, &at, copy.zone)),
            };
            match outcome {
                Ok(record) => return Ok(record),
                Err(error @ (Error::Closed | Error::Newer { .. })) => return Err(error),
                Err(error) => {
                    first.get_or_insert(error);
                }
            }
        }
        let remote = match self.remote_of(row) {
            Some(pool) => pool.record((home, blob), row, index).await,
            None => Err(self.nowhere(row, blob)),
        };
        remote.map_err(|error| first.unwrap_or(error))
    }

    /// No pool that is there holds the blob.
    pub(in crate::blob) fn nowhere(&self, row: &BlobRow, blob: BlobId) -> Error {
        match &row.remote {
            Some(copy) => {
                let zone =
                    self.zones.get(copy.zone).map_or("of the remote pool", |zone| &zone.name).to_owned();
                let reason = "it is not configured any more; put its [[zone]] back and restart".to_owned();
                Error::Remote { op: "use zone", place: zone, reason }
            }
            None => Error::NotFound { what: "copy of blob", id: blob.to_string() },
        }
    }
}

impl Worker for Uploader {
    fn name(&self) -> &'static str {
        "uploader"
    }

    fn bell(&self) -> Arc<Notify> {
        Arc::clone(&self.pool.uploader)
    }

    fn tick(&mut self) -> BoxFuture<'_, Result<Progress>> {
        let pool = Arc::clone(&self.pool);
        Box::pin(async move {
            tokio::select! {
                biased;
                () = pool.stopped() => Ok(Progress::Idle { rest: STUCK_REST }),
                outcome = self.step() => outcome,
            }
        })
    }
}
