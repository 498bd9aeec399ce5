//! An archive that becomes many objects at once (docs/adr/0021).
//!
//! ```text
//!   entry ─► Upload, as PutObject has it ─► seal ─► STAGED rows, many a commit        bytes, no names
//!   finish ─► the archive's digests ─► INGESTS says Publishing, in one commit         the decision
//!          └► each entry: PutObject's own commit, which takes its STAGED row away     publish
//! ```
//!
//! # Invariants
//! - Nothing is named before the whole archive came and is what its digests say. Before the decision it is nothing, after it
//!   every entry gets its name: by the request, or after a crash by the `upload-cleanup` worker.
//! - A staged row owns its entry's bytes. It goes in the very commit by which they get their name, or are released; so an entry is
//!   named once, whoever publishes.
//! - An entry is named by what names every PUT ([`ObjectStore::publish`]): versions, locks, quotas, owners and events are the
//!   same.
//!
//! # Limits
//! At most [`BATCH_ENTRIES`] entries or [`BATCH_BYTES`] of rows wait in memory and go in one commit; [`PUBLISHED_AT_ONCE`] names are
//! given at once.
//!
//! A crash, or dropping it before the decision, leaves staged rows that the worker releases.

mod publish;

use crate::change::Change;
use crate::checksum::Running;
use crate::dedup;
use crate::envelope::managed::whose;
use crate::id::IngestId;
use crate::publish::{Expected, expected};
use crate::quota::Claims;
use crate::record::{IngestRow, IngestState, StagedRow};
use crate::store::{Active, Bucket};
use crate::transact::{Attempt, contended};
use crate::upload::{Landed, check, check_so_far, stored};
use crate::{
    BODY_BYTES_MAX, BucketName, ChecksumAlgorithm, ETag, ETagMatch, EncryptedBy, Encrypts, Error, Expect,
    Metadata, ObjectChecksum, ObjectKey, ObjectStore, Origin, PutRequest, Result, SealedObject, StorageClass,
    Subresources, Upload, WriteConditions, WriteQuestions, Writer, tables,
};
use bytes::Bytes;
use engine::blob::Copies;
use engine::catalog::record::Record;
use engine::catalog::{Check, Key, Layout, Write};
use engine::memory::MemoryHold;
use engine::unit::ByteCount;
use security::Question;
use security::envelope::CustomerKey;
use std::sync::Arc;

/// Entries that are staged in one commit; few in tests, so that there are commits to crash between.
const BATCH_ENTRIES: usize = if cfg!(test) { 4 } else { 256 };
/// Bytes of rows after which a batch is staged.
const BATCH_BYTES: usize = 1 << 20;
/// Entries that get their names at once.
const PUBLISHED_AT_ONCE: usize = 64;

/// Begins to take an archive apart.
#[derive(Clone, Debug)]
pub struct IngestRequest {
    /// The bucket.
    pub bucket: BucketName,
    /// The archive's length in bytes as it is sent, where it is known beforehand. Another one is refused.
    pub length: Option<ByteCount>,
    /// The additional checksum of the archive as it is sent; `None` for S3's default, CRC64NVME.
    pub checksum: Option<ChecksumAlgorithm>,
    /// The archive comes with a digest; objects that are to be locked need one.
    pub proven: bool,
    /// Objects are made only where there is none.
    pub if_absent: bool,
    /// What stands beside each object.
    pub subresources: Subresources,
    /// Who writes them, and the access list that is asked for.
    pub writer: Writer,
    /// Where they come from, for the bucket's events.
    pub origin: Origin,
    /// The key that each object is readable with from then on, and not without.
    pub customer_key: Option<CustomerKey>,
    /// How they are encrypted where no key came along.
    pub encryption: Encrypts,
    /// Who uses a managed key; `None`: nobody does.
    pub asks: Option<Question>,
}

/// An entry that becomes an object.
#[derive(Clone, Debug)]
pub struct IngestEntry {
    /// Its key. Each only once.
    pub key: ObjectKey,
    /// Bytes that follow.
    pub length: ByteCount,
    /// Content headers and user metadata.
    pub metadata: Metadata,
    /// The class.
    pub class: StorageClass,
}

/// What became of an archive.
#[derive(Debug)]
pub struct IngestOutcome {
    /// The entity tag of the archive as it was sent: its MD5.
    pub etag: ETag,
    /// The checksum of it.
    pub checksum: Option<ObjectChecksum>,
    /// Objects that were made.
    pub objects: u64,
    /// Their bytes.
    pub bytes: ByteCount,
    /// Entries that got no name because the bucket had changed since they were staged.
    pub refused: Vec<(ObjectKey, Error)>,
    /// Whose key the last of them is readable with.
    pub encrypted_by: EncryptedBy,
}

/// An archive on its way in.
pub struct Ingest {
    store: Arc<ObjectStore>,
    id: IngestId,
    name: BucketName,
    bucket: Bucket,
    row: IngestRow,
    /// `row` is in the catalog.
    begun: bool,
    /// Keeps the worker away; gone only when this is dropped.
    active: Option<Active>,
    announced: Option<ByteCount>,
    received: u64,
    algorithm: ChecksumAlgorithm,
    digests: Option<Running>,
    customer_key: Option<CustomerKey>,
    encryption: Encrypts,
    asks: Option<Question>,
    encrypted_by: EncryptedBy,
    /// What its staged rows need a reader to know.
    layout: Layout,
    /// Bodies of this writer are deduplicated.
    dedups: bool,
    claims: Claims,
    batch: Batch,
    /// Whose memory its bytes are.
    held: MemoryHold,
}

/// Entries that have landed, and are to be staged with the next commit.
#[derive(Default)]
struct Batch {
    checks: Vec<Check>,
    expect: Vec<(Key, Expected)>,
    keys: Vec<Key>,
    writes: Vec<Write>,
    bytes: usize,
    /// Keeps the bytes in place until the commit has answered.
    landed: Vec<Landed>,
}

impl Drop for Ingest {
    fn drop(&mut self) {
        // First, so that the worker does not pass by for it.
        drop(self.active.take());
        if self.begun {
            self.store.mark_dirty(self.bucket.partition);
        }
    }
}

impl ObjectStore {
    /// Begins to take an archive apart. Nothing is written before the first entry has come.
    pub async fn ingest(self: &Arc<Self>, request: IngestRequest) -> Result<Ingest> {
        let view = self.view(&request.bucket).await?;
        self.check_writer(&view, &request.writer).await?;
        self.check_lock(&view, &request.subresources, request.proven).await?;
        if let Some(size) = request.length.filter(|size| *size > BODY_BYTES_MAX) {
            return Err(Error::EntityTooLarge { size, limit: BODY_BYTES_MAX });
        }
        self.admit_key(&view, request.customer_key.as_ref()).await?;
        let dedups = request.customer_key.is_none() && self.dedups(&view, request.writer.by).await?.is_some();
        let id = IngestId::random(&*self.entropy);
        let algorithm = request.checksum.unwrap_or(ChecksumAlgorithm::Crc64Nvme);
        let row = IngestRow {
            state: IngestState::Receiving,
            begun: self.clock.now(),
            bucket: request.bucket.as_str().to_owned(),
            if_absent: request.if_absent,
            subresources: request.subresources,
            writer: request.writer,
            origin: request.origin,
        };
        Ok(Ingest {
            store: Arc::clone(self),
            id,
            name: request.bucket.bound_to(view.bucket),
            bucket: view.bucket,
            row,
            begun: false,
            active: Some(self.activate(*id.as_bytes())),
            announced: request.length,
            received: 0,
            algorithm,
            digests: Some(Running::new(&self.lanes, Some(algorithm))),
            encrypted_by: if request.customer_key.is_some() {
                EncryptedBy::Customer
            } else {
                EncryptedBy::Appliance
            },
            customer_key: request.customer_key,
            encryption: request.encryption,
            asks: request.asks,
            layout: Layout::FIRST,
            dedups,
            claims: Claims::default(),
            batch: Batch::default(),
            held: MemoryHold::default(),
        })
    }
}

impl Ingest {
    /// Most bytes that it holds in memory at once while its caller has so many `small` bodies on their way beside one of any size: the
    /// bytes of the small ones, what is written, the digests, and rows that wait to be staged.
    pub fn memory(&self, small: ByteCount, at_once: usize) -> ByteCount {
        let written = |most| {
            if self.dedups {
                dedup::Sink::memory(&self.store.blobs, most).get()
            } else {
                self.store.blobs.writer_memory(most, true, Copies::Configured).get()
            }
        };
        // The bytes of a small one are the digests' too.
        let small = 2 * small.get() + written(Some(small));
        let digests = 2 * Running::memory(None).get();
        ByteCount::new(at_once as u64 * small + written(None) + digests + 2 * BATCH_BYTES as u64)
    }

    /// The same, of which each buffer that may outlive it keeps `held`.
    #[must_use]
    pub fn charged_to(mut self, held: MemoryHold) -> Self {
        if let Some(digests) = &mut self.digests {
            digests.charge(held.clone());
        }
        self.held = held;
        self
    }

    /// Takes the next bytes of the archive as they were sent, for its digests. After an error it is of no more use.
    pub async fn archive(&mut self, bytes: Bytes) -> Result<()> {
        self.received += bytes.len() as u64;
        check_so_far(self.announced, ByteCount::new(self.received))?;
        self.digests.as_mut().ok_or(Error::Engine(engine::Error::Closed))?.push(bytes).await
    }

    /// Begins an entry, if the bucket takes it: what refuses it now refuses this entry alone.
    pub async fn entry(&mut self, entry: IngestEntry) -> Result<Upload> {
        let IngestEntry { key, length, metadata, class } = entry;
        let view = self.store.view(&self.name).await?;
        self.store.room_for(&view, &key, Some(length), &mut self.claims).await?;
        if self.row.if_absent {
            let (_, stack) = self.store.stack(self.bucket, &key).await?;
            let current = stack.current().and_then(|row| row.stored.as_ref());
            conditions(true).check_write(current.map(|stored| &stored.etag))?;
        }
        let request = PutRequest {
            length: Some(length),
            metadata,
            class,
            subresources: self.row.subresources.clone(),
            writer: self.row.writer.clone(),
            customer_key: self.customer_key.clone(),
            encryption: self.encryption.clone(),
            asks: self.asks.clone().map(|writes| WriteQuestions { writes, reads: None }),
            ..PutRequest::new(self.name.clone(), key)
        };
        Ok(self.store.put(request).await?.charged_to(self.held.clone()))
    }

    /// Keeps an entry whose body is whole, for its name.
    pub async fn stage(&mut self, object: SealedObject) -> Result<()> {
        let SealedObject { request, encloser, sealed } = object;
        let PutRequest { key, class, metadata, .. } = *request;
        let stored = stored(&sealed.sums, &sealed.landed, class, metadata);
        let (envelope, material) = self.store.material(&sealed.landed, encloser.as_ref())?;
        self.encrypted_by = whose(encloser.as_ref());
        if envelope.is_closed() {
            self.layout = self.layout.max(envelope.layout().unwrap_or(Layout::ENVELOPES));
        }
        let mut row = StagedRow { stored: stored.enclosed(envelope), sealed: Bytes::new() };
        let aad = row.additional_data(self.bucket.partition, self.id, &key);
        row.sealed = self.store.keys.seal_material(self.bucket.account, material.as_ref(), &aad)?;
        self.batch.push(tables::staged(self.id, &key), &row, sealed.landed);
        if self.batch.keys.len() < BATCH_ENTRIES && self.batch.bytes < BATCH_BYTES {
            return Ok(());
        }
        self.flush().await
    }

    /// Checks that the archive is whole and what was announced, and gives every staged entry its name. An error before the first
    /// name leaves none.
    pub async fn finish(mut self, expect: Expect) -> Result<IngestOutcome> {
        let got = ByteCount::new(self.received);
        if let Some(announced) = self.announced.filter(|announced| got != *announced) {
            return Err(Error::IncompleteBody { announced, got });
        }
        let sums = self.digests.take().ok_or(Error::Engine(engine::Error::Closed))?.finish().await?;
        check(&expect, &sums, Some(self.algorithm))?;
        self.flush().await?;
        let mut outcome = IngestOutcome {
            etag: ETag::of_body(sums.md5),
            checksum: sums.checksum.map(ObjectChecksum::full),
            objects: 0,
            bytes: ByteCount::ZERO,
            refused: Vec::new(),
            encrypted_by: self.encrypted_by.clone(),
        };
        if self.begun {
            self.decide().await?;
            self.store.publish_all(self.bucket, self.id, &self.row, &mut outcome).await?;
            // Nothing is left for the worker.
            self.begun = false;
        }
        Ok(outcome)
    }

    /// Stages the batch.
    async fn flush(&mut self) -> Result<()> {
        if self.batch.keys.is_empty() {
            return Ok(());
        }
        let at = tables::ingest(self.id);
        let own = self.row.to_bytes();
        let batch = std::mem::take(&mut self.batch);
        // From now on the row may be there, whatever the answers say and whether they are waited for.
        let begun = std::mem::replace(&mut self.begun, true);
        let (store, bucket) = (&self.store, self.bucket);
        store
            .transact(|| async {
                let (view, [found]) =
                    store.view_at(bucket, [at.clone()]).await?.ok_or(Error::NoSuchBucket)?;
                still_ours(found.as_ref(), begun.then_some(&own))?;
                if view.snapshot.multi_get(batch.keys.clone()).await?.iter().any(Option::is_some) {
                    return Err(Error::InvalidRequest { detail: "two entries of the archive have one key" });
                }
                let Some(kept) = expected(&batch.expect, &*view.snapshot).await? else {
                    return Err(contended());
                };
                let checks = [batch.checks.clone(), kept].concat();
                let change = Change::new(checks, batch.writes.clone()).known_by(self.layout);
                let mut change = change.unchanged(at.clone()).guarded();
                if !begun {
                    change = change.put(at.clone(), own.clone());
                }
                Ok(Attempt::Commit(change.of(&view), ()))
            })
            .await
    }

    /// The one commit from which on every entry gets its name.
    async fn decide(&mut self) -> Result<()> {
        let at = tables::ingest(self.id);
        let own = self.row.to_bytes();
        let decided = IngestRow { state: IngestState::Publishing, ..self.row.clone() };
        let outcome = self.store.transact(|| async {
            let (view, [found]) =
                self.store.view_at(self.bucket, [at.clone()]).await?.ok_or(Error::NoSuchBucket)?;
            still_ours(found.as_ref(), Some(&own))?;
            let change = Change::default().unchanged(at.clone()).put(at.clone(), decided.to_bytes());
            Ok(Attempt::Commit(change.guarded().of(&view), ()))
        });
        outcome.await?;
        self.row = decided;
        Ok(())
    }
}

/// Nobody else has taken it for abandoned: its row is as it was put, or not there yet.
fn still_ours(found: Option<&Bytes>, own: Option<&Bytes>) -> Result<()> {
    if found == own { Ok(()) } else { Err(Error::Engine(engine::Error::Closed)) }
}

impl Batch {
    fn push(&mut self, at: Key, row: &StagedRow, mut landed: Landed) {
        self.checks.push(Check::Absent(at.clone()));
        let mut writes = std::mem::take(&mut landed.writes);
        writes.push(Write::Put(at.clone(), row.to_bytes()));
        let size = |write: &Write| {
            let value = if let Write::Put(_, value) = write { value.len() } else { 8 };
            write.key().bytes.len() + value
        };
        self.bytes += writes.iter().map(size).sum::<usize>();
        self.writes.append(&mut writes);
        self.expect.append(&mut landed.expect);
        self.keys.push(at);
        self.landed.push(landed);
    }
}

/// On each object of an ingest.
fn conditions(if_absent: bool) -> WriteConditions {
    WriteConditions { if_none_match: if_absent.then_some(ETagMatch::Any), ..WriteConditions::default() }
}
