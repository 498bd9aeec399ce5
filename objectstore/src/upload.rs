//! A body on its way in: of an object or of a part.
//!
//! ```text
//!   write ─┬─► digests (MD5 and one more), beside the body's way once there is enough to do
//!          └─► first 4 KiB kept ─► more comes: blob writer, or deduplication ─► segments
//!   finish ─► length, MD5 and checksum as announced? ─► bytes durable ─► one commit names them
//! ```
//!
//! # Invariants
//! - Nothing is named before its bytes are durable, and nothing at all when a digest is not the announced one.
//! - Memory: two batches for the digests (`checksum::running`), and the blob writer's own bound; [`Upload::memory`] says it before
//!   the first byte comes.
//!
//! A crash, or dropping it, leaves garbage that the blob store's collector owns.

use crate::access::Asks;
use crate::checksum::{Running, Sums};
use crate::dedup;
use crate::envelope::managed::whose;
use crate::envelope::{Encloser, Envelope, Material, Wanted};
use crate::event::Occasion;
use crate::id::OwnerId;
use crate::multipart::PartTarget;
use crate::publish::{Draft, Expected};
use crate::record::{Content, Extent, Stored};
use crate::stack::blob_owner;
use crate::store::{Bucket, Kept};
use crate::transact::contended;
use crate::{
    ChecksumAlgorithm, ETag, Error, Expect, Metadata, ObjectChecksum, ObjectStore, PutRequest, Result,
    StorageClass, Uploaded, tables,
};
use bytes::{Bytes, BytesMut};
use engine::blob::{BlobWriter, Copies};
use engine::catalog::{Key, Write};
use engine::codec::{DataKey, inline};
use engine::memory::MemoryHold;
use engine::unit::ByteCount;
use std::sync::Arc;

/// Largest body of one PUT or part.
pub const BODY_BYTES_MAX: ByteCount = ByteCount::gib(5);

/// A body on its way in. Dropping it leaves garbage that the collector owns, never a name.
pub struct Upload {
    store: Arc<ObjectStore>,
    target: Target,
    bucket: Bucket,
    /// What its bytes are deduplicated by, if they are.
    dedup: Option<dedup::Domain>,
    received: u64,
    digests: Running,
    sink: Sink,
    /// Whose memory its bytes are.
    held: MemoryHold,
}

/// What was said of a part's body, and by its upload.
#[derive(Clone, Copy)]
pub(crate) struct PartBody {
    pub(crate) length: Option<ByteCount>,
    pub(crate) checksum: Option<ChecksumAlgorithm>,
    pub(crate) class: StorageClass,
}

/// What the body is for.
enum Target {
    Object(Box<PutRequest>, Option<Encloser>),
    Part(Box<PartTarget>, PartBody),
}

impl Target {
    /// Its length, where that was said.
    fn announced(&self) -> Option<ByteCount> {
        match self {
            Self::Object(request, _) => request.length,
            Self::Part(_, body) => body.length,
        }
    }

    /// What is computed of it besides its MD5: S3's default where nobody asks for another, but nothing unasked where a key is around its own.
    fn algorithm(&self) -> Option<ChecksumAlgorithm> {
        match self {
            Self::Object(request, Some(_)) => request.checksum,
            Self::Object(request, None) => Some(request.checksum.unwrap_or(ChecksumAlgorithm::Crc64Nvme)),
            Self::Part(_, body) => body.checksum,
        }
    }

    /// Whether another key is put around its own.
    fn is_enclosed(&self) -> bool {
        match self {
            Self::Object(_, encloser) => encloser.is_some(),
            Self::Part(target, _) => target.secret.is_some(),
        }
    }

    fn copies(&self) -> Copies {
        match self {
            Self::Object(request, _) => request.class.copies(),
            Self::Part(_, body) => body.class.copies(),
        }
    }
}

/// Where the bytes go.
enum Sink {
    /// Not more than fits inline, so far.
    Small(BytesMut),
    Blob(Box<BlobWriter>),
    Chunks(Box<dedup::Sink>),
}

/// Bytes that are durable, or ride along in the commit, and what goes with them.
pub(crate) struct Landed {
    pub(crate) extent: Extent,
    pub(crate) data_key: Option<DataKey>,
    pub(crate) writes: Vec<Write>,
    /// What must hold when they are committed.
    pub(crate) expect: Vec<(Key, Expected)>,
    /// Keeps the blob's records in place, or a deduplicated body's manifest from the cleaner, until the commit has answered.
    pub(crate) kept: Option<Kept>,
}

impl Upload {
    pub(crate) fn for_object(
        store: Arc<ObjectStore>,
        bucket: Bucket,
        (request, encloser): (PutRequest, Option<Encloser>),
        dedup: Option<dedup::Domain>,
    ) -> Result<Self> {
        Self::new(store, bucket, Target::Object(Box::new(request), encloser), dedup)
    }

    pub(crate) fn for_part(
        store: Arc<ObjectStore>,
        bucket: Bucket,
        (target, body): (PartTarget, PartBody),
        dedup: Option<dedup::Domain>,
    ) -> Result<Self> {
        Self::new(store, bucket, Target::Part(Box::new(target), body), dedup)
    }

    fn new(
        store: Arc<ObjectStore>,
        bucket: Bucket,
        target: Target,
        dedup: Option<dedup::Domain>,
    ) -> Result<Self> {
        if let Some(size) = target.announced().filter(|size| *size > BODY_BYTES_MAX) {
            return Err(Error::EntityTooLarge { size, limit: BODY_BYTES_MAX });
        }
        let digests = Running::new(&store.lanes, target.algorithm());
        // What is kept in fewer copies must not be shared with what is kept in all.
        let dedup = dedup.filter(|_| target.copies() == Copies::Configured);
        Ok(Self {
            store,
            target,
            bucket,
            dedup,
            received: 0,
            digests,
            sink: Sink::Small(BytesMut::new()),
            held: MemoryHold::default(),
        })
    }

    /// The same, of which each buffer that may outlive it keeps `held`.
    #[must_use]
    pub fn charged_to(mut self, held: MemoryHold) -> Self {
        self.digests.charge(held.clone());
        self.held = held;
        self
    }

    /// Most bytes that it will hold in memory at once while a body of at most so many bytes comes; without a length, any body.
    pub fn memory(&self, most: Option<ByteCount>) -> ByteCount {
        let written = if self.dedup.is_some() {
            dedup::Sink::memory(&self.store.blobs, most)
        } else {
            let is_announced = self.target.announced().is_some();
            self.store.blobs.writer_memory(most, is_announced, self.target.copies())
        };
        written + Running::memory(most)
    }

    /// Takes the next bytes. Memory stays bounded whatever the body's size. After an error it is of no more use.
    pub async fn write(&mut self, bytes: Bytes) -> Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.received += bytes.len() as u64;
        check_so_far(self.target.announced(), ByteCount::new(self.received))?;
        self.digests.push(bytes.clone()).await?;
        match &mut self.sink {
            Sink::Small(kept) if kept.len() + bytes.len() <= inline::INLINE_MAX => {
                kept.extend_from_slice(&bytes);
            }
            Sink::Small(kept) => {
                let kept = std::mem::take(kept).freeze();
                if let Some(domain) = self.dedup.take() {
                    let sink = dedup::Sink::new(&self.store, self.bucket, &domain, self.held.clone());
                    let mut sink = Box::new(sink?);
                    sink.push(kept).await?;
                    sink.push(bytes).await?;
                    self.sink = Sink::Chunks(sink);
                } else {
                    let writer = self.store.blobs.writer(self.bucket.partition, self.target.announced());
                    let writer = writer.with_copies(self.target.copies());
                    let mut writer = Box::new(writer.charged_to(self.held.clone()));
                    if !kept.is_empty() {
                        writer.push(kept).await?;
                    }
                    writer.push(bytes).await?;
                    self.sink = Sink::Blob(writer);
                }
            }
            Sink::Blob(writer) => writer.push(bytes).await?,
            Sink::Chunks(sink) => sink.push(bytes).await?,
        }
        Ok(())
    }

    /// Checks what was announced, makes the bytes durable and publishes them in one commit.
    pub async fn finish(self, expect: Expect) -> Result<Uploaded> {
        let store = Arc::clone(&self.store);
        let (target, sealed) = self.land(&expect).await?;
        match target {
            Target::Part(target, _) => store.commit_part(&target, &sealed.sums, sealed.landed).await,
            Target::Object(request, encloser) => store.commit_object((*request, encloser), sealed).await,
        }
    }

    /// Checks what was announced and makes the bytes durable, or ready to be so with the commit that comes next: an object of an
    /// [`Ingest`](crate::Ingest).
    pub async fn seal(self) -> Result<SealedObject> {
        match self.land(&Expect::default()).await? {
            (Target::Object(request, encloser), sealed) => Ok(SealedObject { request, encloser, sealed }),
            (Target::Part(..), _) => {
                Err(Error::InvalidRequest { detail: "a part is no entry of an archive" })
            }
        }
    }

    async fn land(self, expect: &Expect) -> Result<(Target, Sealed)> {
        let size = ByteCount::new(self.received);
        if let Some(announced) = self.target.announced().filter(|announced| size != *announced) {
            return Err(Error::IncompleteBody { announced, got: size });
        }
        let mut sums = self.digests.finish().await?;
        check(expect, &sums, self.target.algorithm())?;
        let owner = self.store.owner();
        let mut landed = self.sink.land(&self.store, owner, (self.bucket, self.held)).await?;
        if self.target.is_enclosed() {
            sums.md5 = self.store.random_md5();
            // There is something to open where there are no bytes, too.
            landed.data_key.get_or_insert_with(|| DataKey::random(&*self.store.entropy));
        }
        Ok((self.target, Sealed { bucket: self.bucket, sums, landed, size }))
    }
}

/// A body that is whole and has landed.
pub(crate) struct Sealed {
    pub(crate) bucket: Bucket,
    pub(crate) sums: Sums,
    pub(crate) landed: Landed,
    pub(crate) size: ByteCount,
}

/// An object whose bytes are there and that waits for its name. Dropping it leaves garbage that the collector owns.
pub struct SealedObject {
    pub(crate) request: Box<PutRequest>,
    pub(crate) encloser: Option<Encloser>,
    pub(crate) sealed: Sealed,
}

impl SealedObject {
    /// The entity tag that it will have.
    pub fn etag(&self) -> ETag {
        ETag::of_body(self.sealed.sums.md5)
    }

    /// Bytes of its body.
    pub fn size(&self) -> ByteCount {
        self.sealed.size
    }
}

/// Whether a body may be as long as what came of it: neither longer than announced, nor than any may be.
pub(crate) fn check_so_far(announced: Option<ByteCount>, got: ByteCount) -> Result<()> {
    if let Some(announced) = announced.filter(|announced| got > *announced) {
        return Err(Error::IncompleteBody { announced, got });
    }
    if got > BODY_BYTES_MAX {
        return Err(Error::EntityTooLarge { size: got, limit: BODY_BYTES_MAX });
    }
    Ok(())
}

pub(crate) fn check(expect: &Expect, sums: &Sums, algorithm: Option<ChecksumAlgorithm>) -> Result<()> {
    if expect.content_md5.is_some_and(|md5| md5 != sums.md5) {
        return Err(Error::BadDigest);
    }
    match expect.checksum {
        Some(wanted) if Some(wanted.algorithm()) != algorithm => Err(Error::InvalidRequest {
            detail: "the checksum that came is not of the algorithm that was named",
        }),
        Some(wanted) if Some(wanted) != sums.checksum => {
            Err(Error::ChecksumMismatch { algorithm: wanted.algorithm() })
        }
        _ => Ok(()),
    }
}

impl Sink {
    /// Makes the bytes durable, or ready to be so with the commit.
    async fn land(
        self,
        store: &Arc<ObjectStore>,
        owner: OwnerId,
        (bucket, held): (Bucket, MemoryHold),
    ) -> Result<Landed> {
        match self {
            Self::Small(kept) => Ok(Landed::inline(store, owner, &kept)),
            Self::Blob(writer) => Landed::blob(*writer, owner, bucket).await,
            Self::Chunks(mut sink) => match sink.take_small() {
                None => sink.land(owner).await,
                Some(small) => {
                    let writer = store.blobs.writer(bucket.partition, Some(small.len().into()));
                    let mut writer = writer.charged_to(held);
                    writer.push(small).await?;
                    Landed::blob(writer, owner, bucket).await
                }
            },
        }
    }
}

impl Landed {
    /// A blob of its own.
    async fn blob(body: BlobWriter, owner: OwnerId, bucket: Bucket) -> Result<Self> {
        let sealed = body.seal().await?;
        let content = Content::Blob { home: bucket.partition, blob: sealed.id };
        let extent = Extent { owner, content, offset: 0, length: sealed.length.get() };
        let writes = sealed.writes(&blob_owner(owner)?);
        let data_key = Some(sealed.key.clone());
        Ok(Self { extent, data_key, writes, expect: Vec::new(), kept: Some(Arc::new(sealed)) })
    }

    /// A manifest of chunks.
    pub(crate) fn deduplicated(
        extent: Extent,
        key: DataKey,
        writes: Vec<Write>,
        expect: Vec<(Key, Expected)>,
        guard: dedup::Guard,
    ) -> Self {
        Self { extent, data_key: Some(key), writes, expect, kept: Some(Arc::new(guard)) }
    }

    /// A small body, sealed anew, to live in the row of its owner.
    pub(crate) fn inline(store: &ObjectStore, owner: OwnerId, plain: &[u8]) -> Self {
        if plain.is_empty() {
            let extent = Extent { owner, content: Content::Empty, offset: 0, length: 0 };
            return Self::shared(extent, None, Vec::new());
        }
        let sealed = inline::seal(&*store.entropy, plain);
        let content = Content::Inline { blob: sealed.blob };
        let row = tables::of_owner(tables::BODY, owner);
        let extent = Extent { owner, content, offset: 0, length: plain.len() as u64 };
        Self::shared(extent, Some(sealed.key), vec![Write::Put(row, sealed.ciphertext.into())])
    }

    /// Bytes that lie somewhere already, or in a row, and whose new reference is among `writes`, or committed.
    pub(crate) fn shared(extent: Extent, data_key: Option<DataKey>, writes: Vec<Write>) -> Self {
        Self { extent, data_key, writes, expect: Vec::new(), kept: None }
    }
}

impl ObjectStore {
    /// Begins to store an object.
    pub async fn put(self: &Arc<Self>, request: PutRequest) -> Result<Upload> {
        request.metadata.check()?;
        let view = self.view(&request.bucket).await?;
        self.check_writer(&view, &request.writer).await?;
        self.check_lock(&view, &request.subresources, request.proven).await?;
        self.refuse_hopeless(&view, &request.key, request.length).await?;
        let asks = request.asks.as_ref().map(|asks| &asks.writes);
        let wanted =
            Wanted { customer: request.customer_key.as_ref(), encryption: &request.encryption, asks };
        let encloser = self.encloser(&view, (&request.bucket, &request.key), wanted).await?;
        let dedup = match encloser {
            // Nobody else has what it is stored with.
            Some(_) => None,
            None => self.dedups(&view, request.writer.by).await?,
        };
        Upload::for_object(Arc::clone(self), view.bucket, (request, encloser), dedup)
    }

    async fn commit_object(
        &self,
        (request, encloser): (PutRequest, Option<Encloser>),
        sealed: Sealed,
    ) -> Result<Uploaded> {
        let Sealed { bucket, sums, landed, size } = sealed;
        let (envelope, material) = self.material(&landed, encloser.as_ref())?;
        let stored = stored(&sums, &landed, request.class, request.metadata).enclosed(envelope);
        // Whoever asked for a checksum is told it, kept or not.
        let (etag, checksum) = (stored.etag, sums.checksum.map(ObjectChecksum::full));
        let draft = Draft {
            subresources: request.subresources,
            writer: Some(&request.writer),
            asks: request.asks.as_ref().map(|asks| Asks::new(&request.bucket, asks)),
            writes: landed.writes,
            expect: landed.expect,
            kept: landed.kept,
            tells: Some(Occasion::of_put(&request.bucket, &request.origin)),
            ..Draft::object(bucket, &request.key, stored, material.as_ref(), &request.conditions)
        };
        // A plain write expects nothing that anybody else changes, so there is nothing that can be stale.
        let published = self.publish(&draft).await?.ok_or_else(contended)?;
        let (version, expires) = (published.shown, published.expires);
        Ok(Uploaded { etag, checksum, version, size, encrypted_by: whose(encloser.as_ref()), expires })
    }

    /// What the row of a landed object seals.
    pub(crate) fn material(
        &self,
        landed: &Landed,
        by: Option<&Encloser>,
    ) -> Result<(Envelope, Option<Material>)> {
        let Some(key) = &landed.data_key else { return Ok((Envelope::Appliance, None)) };
        self.enclosed(key.clone().into(), by).map(|(envelope, material)| (envelope, Some(material)))
    }
}

/// What a landed body is as an object.
pub(crate) fn stored(sums: &Sums, landed: &Landed, class: StorageClass, metadata: Metadata) -> Stored {
    let checksum = sums.checksum.map(ObjectChecksum::full);
    Stored::new(landed.extent, ETag::of_body(sums.md5), class, checksum, 0).with_metadata(metadata)
}

#[cfg(test)]
mod tests {
    use super::BODY_BYTES_MAX;
    use crate::world::{World, key};
    use crate::{Error, PutRequest, Versioning};

    #[tokio::test]
    async fn a_body_of_unknown_length_ends_at_5_gib() {
        let world = World::new(50).await;
        let name = world.create("large", Versioning::Off).await;
        let mut upload = world.store.put(PutRequest::new(name, key("k"))).await.unwrap();
        upload.received = BODY_BYTES_MAX.get() - 1;
        upload.write("x".into()).await.unwrap();
        assert!(matches!(upload.write("x".into()).await, Err(Error::EntityTooLarge { .. })));
    }
}
