//! `CopyObject` and `UploadPartCopy`: bytes are shared, and read only where S3 computes something anew.
//!
//! | what is asked for | read? | entity tag |
//! |---|---|---|
//! | the source's checksum, full object | no | the source's, with its number of parts |
//! | another algorithm, or the source's is composite | yes | MD5 of the bytes |
//! | a part from an object | yes (its MD5 is the part's tag) | MD5 of the part |
//! | to a customer's or managed key | no; of a manifest without one yes, and written anew | one that tells nothing |
//! | a part from an object with a key | yes, and written anew | MD5 of the part, or one that tells nothing |
//! | from a customer's or managed key to none | yes | MD5 of the bytes |

use crate::access::Asks;
use crate::body::MANIFEST_DEPTH_MAX;
use crate::checksum::{Running, Sums};
use crate::envelope::managed::whose;
use crate::envelope::{Encloser, Envelope, Material, Wanted, can_be_enclosed};
use crate::event::{EventType, Occasion};
use crate::multipart::PartTarget;
use crate::publish::Draft;
use crate::quota::OtherParts;
use crate::read::{Found, resolve};
use crate::record::{Content, Extent, Stored};
use crate::share::Share;
use crate::store::{Bucket, View};
use crate::transact::Attempt;
use crate::upload::{BODY_BYTES_MAX, Landed, Sealed, SealedObject, stored};
use crate::{
    ChecksumAlgorithm, ChecksumType, CopyOutcome, CopyPartRequest, CopyRequest, CopySource, ETag,
    EncryptedBy, Error, ErrorKind, Expect, Metadata, MetadataDirective, ObjectChecksum, ObjectStore,
    PartRequest, PutRequest, RangeSpec, Result, StorageClass, Subresources, Upload, VersionSelector,
};
use engine::blob::Copies;
use engine::codec::{DataKey, inline};
use engine::unit::ByteCount;
use futures_util::StreamExt;
use security::Action;
use std::sync::Arc;

impl ObjectStore {
    /// Copies an object.
    pub async fn copy(self: &Arc<Self>, request: CopyRequest) -> Result<CopyOutcome> {
        if let MetadataDirective::Replace(metadata) = &request.metadata {
            metadata.check()?;
        }
        self.transact(|| async {
            let source = self.copy_source(&request.source).await?;
            self.check_tags(&request, &source).await?;
            refuse_large(source.extent.length)?;
            let view = self.view(&request.bucket).await?;
            self.check_tags_to_be(&view, &request, &source).await?;
            self.check_writer(&view, &request.writer).await?;
            self.check_lock(&view, &request.subresources, true).await?;
            self.refuse_hopeless(&view, &request.key, Some(ByteCount::new(source.extent.length))).await?;
            let asks = request.asks.as_ref().map(|asks| &asks.writes);
            let wanted =
                Wanted { customer: request.customer_key.as_ref(), encryption: &request.encryption, asks };
            let encloser = self.encloser(&view, (&request.bucket, &request.key), wanted).await?;
            refuse_idle(&request, (&source, encloser.is_some()))?;
            let (bucket, encloser) = (view.bucket, encloser.as_ref());
            let copied = match Box::pin(self.taken_over(&request, (&source, encloser), bucket)).await {
                Err(error) if self.source_replaced(&request.source, &source, &error).await? => {
                    return Ok(Attempt::Again);
                }
                outcome => outcome.map_err(|error| of_source(error, &source, &request.source))?,
            };
            let Some(Copied { stored, checksum, material, encrypted_by, share, written }) = copied else {
                return Ok(Attempt::Again);
            };
            let etag = stored.etag;
            let mut draft =
                Draft::object(bucket, &request.key, stored, material.as_ref(), &request.conditions);
            if let Some(share) = &share {
                draft.writes.clone_from(&share.writes);
                draft.expect.clone_from(&share.expect);
            }
            if let Some(written) = &written {
                draft.writes.clone_from(&written.writes);
                draft.expect.clone_from(&written.expect);
                draft.kept.clone_from(&written.kept);
            }
            draft.subresources = beside(&request, &source);
            draft.writer = Some(&request.writer);
            let (what, origin) = (EventType::COPY, &request.origin);
            draft.tells = Some(Occasion { what, bucket: &request.bucket, origin });
            draft.asks = request.asks.as_ref().map(|asks| {
                let unsaid = Some(&source.info.subresources.tags).filter(|_| request.copy_tags);
                Asks::new(&request.bucket, asks).with(unsaid)
            });
            // Stale: the source went away between reading it and the commit.
            let Some(published) = self.publish(&draft).await? else { return Ok(Attempt::Again) };
            if let Some(share) = &share {
                self.confirm(share).await;
            }
            Ok(Attempt::Answer(CopyOutcome {
                encrypted_by,
                etag,
                modified: published.row.modified,
                size: ByteCount::new(source.extent.length),
                checksum,
                version: published.shown,
                source_version: source.info.version,
                expires: published.expires,
            }))
        })
        .await
    }

    async fn copy_source(&self, source: &CopySource) -> Result<Found> {
        let found = self.find_for(&source.bucket, &source.key, source.version, source.asks.as_ref()).await?;
        let found = self.opened(found, source.customer_key.as_ref(), source.asks.as_ref()).await?;
        source.conditions.check_copy(found.info.etag, found.info.modified)?;
        self.refuse_archived(&found, (&source.bucket, &source.key, source.version))?;
        Ok(found)
    }

    /// Tags are copied for whoever may read them there and set them here. Source: `CopyObject` of the API reference.
    async fn check_tags(&self, request: &CopyRequest, source: &Found) -> Result<()> {
        let CopySource { bucket, key, version, asks, .. } = &request.source;
        let beside = &source.info.subresources;
        let Some(asks) = asks.as_ref().filter(|_| request.copy_tags && !beside.tags.is_empty()) else {
            return Ok(());
        };
        let action = match version {
            VersionSelector::Latest => "s3:GetObjectTagging",
            _ => "s3:GetObjectVersionTagging",
        };
        let asks = asks.about(Action::new(action), None);
        self.rules(&source.view).await?.check_object(&asks, (bucket, key), beside)
    }

    /// The same tags on the copy: a condition sees them as if the request had brought them.
    async fn check_tags_to_be(&self, view: &View, request: &CopyRequest, source: &Found) -> Result<()> {
        let tags = &source.info.subresources.tags;
        match &request.asks {
            Some(asks) if request.copy_tags && !tags.is_empty() => {
                self.check_request_tags(view, (&request.bucket, &request.key), &asks.writes, tags).await
            }
            _ => Ok(()),
        }
    }

    /// Whether an error came from a source that was replaced while it was read.
    pub(crate) async fn source_replaced(
        &self,
        source: &CopySource,
        found: &Found,
        error: &Error,
    ) -> Result<bool> {
        if error.kind() != ErrorKind::Corrupt {
            return Ok(false);
        }
        self.is_replaced(&source.bucket, &source.key, source.version, found).await
    }

    /// The source's bytes as the copy names them: shared, or written anew where they can't be in another envelope. `None`: the source
    /// is gone.
    async fn taken_over(
        self: &Arc<Self>,
        request: &CopyRequest,
        (source, encloser): (&Found, Option<&Encloser>),
        bucket: Bucket,
    ) -> Result<Option<Copied>> {
        if in_vault(source)
            || encloser.is_some() && !is_enclosed(source) && !can_be_enclosed(&source.extent.content)
        {
            // Boxed: seldom, and as large as all else of a copy.
            return self.written_anew(request, (source, encloser)).await.map(Some);
        }
        let stored = self.copied(request, (source, encloser.is_some())).await?;
        self.keep_for(source, source.extent, request.class.unwrap_or_default()).await?;
        let from = source.view.bucket.partition;
        let Some(share) = self.share(from, source.extent, bucket).await? else { return Ok(None) };
        let mut keys = source.keys.clone();
        if encloser.is_some() {
            // There is something to open where there are no bytes, too.
            keys.get_or_insert_with(|| DataKey::random(&*self.entropy).into());
        } else if source.extent.content == Content::Empty {
            keys = None;
        }
        let (envelope, material) = match keys {
            Some(keys) => {
                let (envelope, material) = self.enclosed(keys, encloser)?;
                (envelope, Some(material))
            }
            None => (Envelope::Appliance, None),
        };
        let checksum = stored.checksum.filter(|_| encloser.is_none() || request.checksum.is_some());
        let stored = stored.with_extent(share.extent).enclosed(envelope);
        Ok(Some(Copied {
            stored,
            checksum,
            material,
            encrypted_by: whose(encloser),
            share: Some(share),
            written: None,
        }))
    }

    /// The source's bytes, sent as if by a client with a key.
    async fn written_anew(
        self: &Arc<Self>,
        request: &CopyRequest,
        (source, encloser): (&Found, Option<&Encloser>),
    ) -> Result<Copied> {
        let put = PutRequest {
            length: Some(ByteCount::new(source.extent.length)),
            class: request.class.unwrap_or_default(),
            checksum: request.checksum.or_else(|| {
                let carried = source.info.checksum.filter(|_| encloser.is_none());
                carried.map(|sum| sum.value.algorithm())
            }),
            customer_key: request.customer_key.clone(),
            encryption: request.encryption.clone(),
            asks: request.asks.clone(),
            ..PutRequest::new(request.bucket.clone(), request.key.clone())
        };
        let mut upload = self.put(put).await?;
        let mut body = self.found_body(source, source.extent).await?;
        while let Some(bytes) = body.next().await {
            upload.write(bytes?).await?;
        }
        // What it was sent with is what it is kept with, whatever the bucket says since.
        let SealedObject { encloser, sealed, .. } = upload.seal().await?;
        let Sealed { sums, landed, .. } = sealed;
        let (envelope, material) = self.material(&landed, encloser.as_ref())?;
        let stored = stored(&sums, &landed, request.class.unwrap_or_default(), metadata(request, source));
        let checksum = stored.checksum;
        Ok(Copied {
            stored: stored.enclosed(envelope),
            checksum,
            material,
            encrypted_by: whose(encloser.as_ref()),
            share: None,
            written: Some(landed),
        })
    }

    /// What the copy stores: the source's, but for what the request changes.
    async fn copied(
        self: &Arc<Self>,
        request: &CopyRequest,
        (source, encloses): (&Found, bool),
    ) -> Result<Stored> {
        let class = request.class.unwrap_or_default();
        let have = source.info.checksum;
        let wanted = request.checksum.or_else(|| {
            if encloses {
                None
            } else if is_enclosed(source) {
                // What is read for its MD5 gets what any object has.
                Some(ChecksumAlgorithm::Crc64Nvme)
            } else {
                have.map(|sum| sum.value.algorithm())
            }
        });
        // The tag of what is in an envelope tells nothing of the bytes, and that of any other object is their MD5.
        let same_tag = !is_enclosed(source) || encloses;
        let carried = same_tag
            && match (wanted, have) {
                (None, _) => true,
                (Some(algorithm), Some(have)) => {
                    have.kind == ChecksumType::FullObject && have.value.algorithm() == algorithm
                }
                (Some(_), None) => false,
            };
        let hidden = |parts| ETag::of_parts(self.random_md5(), parts);
        let stored = if carried {
            let tag = source.info.etag;
            let hides = encloses && !is_enclosed(source);
            let tag = if hides { hidden(tag.parts()) } else { tag };
            Stored::new(source.extent, tag, class, have, source.info.parts)
        } else {
            let sums = self.digest(source, source.extent, wanted).await?;
            let checksum = sums.checksum.map(ObjectChecksum::full);
            let tag = if encloses { hidden(0) } else { ETag::of_body(sums.md5) };
            Stored::new(source.extent, tag, class, checksum, 0)
        };
        Ok(stored.with_metadata(metadata(request, source)))
    }

    /// Whether a copy may write its source's bytes anew. Nothing is told of the source: what stands against reading it, the copy says.
    pub async fn copies_anew(&self, request: &CopyRequest) -> bool {
        let CopySource { bucket, key, version, .. } = &request.source;
        request.customer_key.is_some()
            || self.may_enclose(&request.encryption)
            || self.vaults.is_some()
                && self.find(bucket, key, *version).await.is_ok_and(|found| in_vault(&found))
    }

    /// Most bytes that a copy holds while its source is read for a checksum, or [written anew](Self::copies_anew), beside what is read
    /// ahead.
    pub fn copy_memory(&self, anew: bool) -> ByteCount {
        let written =
            if anew { self.blobs.writer_memory(None, true, Copies::Configured) } else { ByteCount::ZERO };
        Running::memory(None) + written
    }

    /// The same of a part, which may have to be written anew.
    pub fn copy_part_memory(&self, range: Option<RangeSpec>) -> ByteCount {
        let most = match range {
            Some(RangeSpec::From { first, last: Some(last) }) => {
                Some(ByteCount::new(last.saturating_sub(first).saturating_add(1)))
            }
            _ => None,
        };
        Running::memory(None) + self.blobs.writer_memory(most, true, Copies::Configured)
    }

    /// Reads an extent of a source for its digests alone.
    async fn digest(
        self: &Arc<Self>,
        source: &Found,
        extent: Extent,
        algorithm: Option<ChecksumAlgorithm>,
    ) -> Result<Sums> {
        let mut digests = Running::new(&self.lanes, algorithm);
        let mut body = self.found_body(source, extent).await?;
        while let Some(bytes) = body.next().await {
            digests.push(bytes?).await?;
        }
        digests.finish().await
    }

    /// Makes a part from an object's bytes.
    pub async fn copy_part(self: &Arc<Self>, request: CopyPartRequest) -> Result<CopyOutcome> {
        self.transact(|| async {
            let source = self.copy_source(&request.source).await?;
            let extent = part_extent(&request, &source)?;
            let (view, upload) = self.upload_view(&request.bucket, &request.key, request.upload).await?;
            let at = (&request.key, request.upload);
            let brings = (request.customer_key.as_ref(), request.source.asks.as_ref());
            let (secret, whose) = self.opened_secret(&view, at, &upload, brings).await?;
            if extent.length <= inline::INLINE_MAX as u64
                || extent.content.depth() + 1 >= MANIFEST_DEPTH_MAX
                || must_rewrite(&source, secret.is_some())
            {
                match Box::pin(self.rewrite_part(&request, &source, extent)).await {
                    Err(error) if self.source_replaced(&request.source, &source, &error).await? => {
                        return Ok(Attempt::Again);
                    }
                    outcome => {
                        let told = outcome.map_err(|error| of_source(error, &source, &request.source));
                        return told.map(Attempt::Answer);
                    }
                }
            }
            let length = Some(ByteCount::new(extent.length));
            let part = (request.upload, request.part);
            let others = self.room_for_part(&view, &request.key, part, length, None).await?;
            let algorithm = (secret.is_none() || upload.named).then_some(upload.checksum);
            let mut sums = match Box::pin(self.digest(&source, extent, algorithm)).await {
                Err(error) if self.source_replaced(&request.source, &source, &error).await? => {
                    return Ok(Attempt::Again);
                }
                outcome => outcome?,
            };
            if secret.is_some() {
                sums.md5 = self.random_md5();
            }
            match self.keep_for(&source, extent, upload.class).await {
                Err(error) if self.source_replaced(&request.source, &source, &error).await? => {
                    return Ok(Attempt::Again);
                }
                outcome => outcome?,
            }
            let to = (view.bucket, others, (secret, whose));
            let shared = self.share_part(&request, &source, extent, to, &sums).await?;
            Ok(shared.map_or(Attempt::Again, Attempt::Answer))
        })
        .await
    }

    /// `None`: the source went away.
    pub(crate) async fn share_part(
        &self,
        request: &CopyPartRequest,
        source: &Found,
        extent: Extent,
        (bucket, others, (secret, by)): (Bucket, Option<OtherParts>, (Option<DataKey>, EncryptedBy)),
        sums: &Sums,
    ) -> Result<Option<CopyOutcome>> {
        let from = source.view.bucket.partition;
        let Some(share) = self.share(from, extent, bucket).await? else { return Ok(None) };
        let target = PartTarget {
            bucket: request.bucket.clone(),
            key: request.key.clone(),
            upload: request.upload,
            number: request.part,
            expect: share.expect.clone(),
            others,
            secret,
            by,
        };
        let data_key = source.keys.as_ref().map(|keys| keys.data.clone());
        let landed = Landed::shared(share.extent, data_key, share.writes.clone());
        let Some((uploaded, row)) = self.try_commit_part(&target, sums, &landed).await? else {
            return Ok(None);
        };
        self.confirm(&share).await;
        Ok(Some(CopyOutcome {
            encrypted_by: uploaded.encrypted_by,
            etag: uploaded.etag,
            modified: row.modified,
            size: uploaded.size,
            checksum: uploaded.checksum,
            version: None,
            source_version: source.info.version,
            expires: None,
        }))
    }

    /// Few bytes, or bytes behind too many manifests, or in an envelope of another kind, are sent as if by a client.
    pub(crate) async fn rewrite_part(
        self: &Arc<Self>,
        request: &CopyPartRequest,
        source: &Found,
        extent: Extent,
    ) -> Result<CopyOutcome> {
        let mut upload: Upload = self
            .upload_part(PartRequest {
                bucket: request.bucket.clone(),
                key: request.key.clone(),
                upload: request.upload,
                part: request.part,
                length: Some(ByteCount::new(extent.length)),
                checksum: None,
                proven: true,
                writer: request.writer,
                customer_key: request.customer_key.clone(),
                asks: request.source.asks.clone(),
            })
            .await?;
        let mut body = self.found_body(source, extent).await?;
        while let Some(bytes) = body.next().await {
            upload.write(bytes?).await?;
        }
        let uploaded = upload.finish(Expect::default()).await?;
        Ok(CopyOutcome {
            encrypted_by: uploaded.encrypted_by,
            etag: uploaded.etag,
            modified: self.clock.now(),
            size: uploaded.size,
            checksum: uploaded.checksum,
            version: None,
            source_version: source.info.version,
            expires: None,
        })
    }
}

/// The bytes of a copy, which are shared or written.
struct Copied {
    stored: Stored,
    /// What is told of it, which an envelope does not keep.
    checksum: Option<ObjectChecksum>,
    material: Option<Material>,
    encrypted_by: EncryptedBy,
    share: Option<Share>,
    written: Option<Landed>,
}

/// What was met while a source was read, as whoever asked for the copy is told.
fn of_source(error: Error, found: &Found, source: &CopySource) -> Error {
    ObjectStore::of_reading(error, found, (&source.bucket, &source.key, source.version))
}

/// Whether another key is around the source's.
fn is_enclosed(source: &Found) -> bool {
    source.info.encrypted_by != EncryptedBy::Appliance
}

/// Whether its bytes are a vault's, of which there is a copy for a while: nobody else can hold on to them.
fn in_vault(source: &Found) -> bool {
    source.cold.is_some_and(|cold| cold.archive.is_some())
}

/// Whether a part must not name the source's bytes. The key of an enclosed blob opens all of it, and what is copied may be a range: it
/// is given neither to the appliance nor to another key. Of a manifest with a secret, one key opens nothing.
fn must_rewrite(source: &Found, encloses: bool) -> bool {
    if in_vault(source) {
        return true;
    }
    let has_secret = source.keys.as_ref().is_some_and(|keys| keys.parts.is_some());
    is_enclosed(source) || has_secret || encloses && !can_be_enclosed(&source.extent.content)
}

/// The copy's metadata.
fn metadata(request: &CopyRequest, source: &Found) -> Metadata {
    match &request.metadata {
        MetadataDirective::Copy => {
            let mut metadata = source.info.metadata.clone();
            metadata.system.website_redirect.clone_from(&request.website_redirect);
            metadata
        }
        MetadataDirective::Replace(metadata) => metadata.clone(),
    }
}

/// What stands beside the copy.
fn beside(request: &CopyRequest, source: &Found) -> Subresources {
    let mut subresources = request.subresources.clone();
    if request.copy_tags {
        subresources.tags = source.info.subresources.tags.clone();
    }
    subresources
}

/// S3 refuses a copy onto itself that changes nothing.
fn refuse_idle(request: &CopyRequest, (source, encloses): (&Found, bool)) -> Result<()> {
    let onto_itself = request.source.bucket == request.bucket
        && request.source.key == request.key
        && request.source.version == VersionSelector::Latest;
    let changes = matches!(request.metadata, MetadataDirective::Replace(_))
        || request.class.unwrap_or(StorageClass::Standard) != source.info.class
        || request.checksum.is_some()
        || encloses
        || is_enclosed(source);
    if onto_itself && !changes { Err(Error::CopyOntoItself) } else { Ok(()) }
}

fn part_extent(request: &CopyPartRequest, source: &Found) -> Result<Extent> {
    let whole = source.extent;
    let extent = match request.range {
        None => whole,
        Some(spec) => {
            // Unlike that of a GET, the range of a copy must lie within the source.
            if let crate::RangeSpec::From { last: Some(last), .. } = spec
                && last >= whole.length
            {
                return Err(Error::InvalidRange { size: ByteCount::new(whole.length) });
            }
            let range = resolve(spec, whole.length)?;
            Extent { offset: whole.offset + range.first, length: range.last - range.first + 1, ..whole }
        }
    };
    refuse_large(extent.length)?;
    Ok(extent)
}

/// One request copies no more than one request could send; what is larger goes in parts.
fn refuse_large(length: u64) -> Result<()> {
    if ByteCount::new(length) <= BODY_BYTES_MAX {
        return Ok(());
    }
    Err(Error::InvalidRequest {
        detail: "The specified copy source is larger than the maximum allowable size for a copy source: 5368709120",
    })
}
