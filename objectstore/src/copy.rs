//! `CopyObject` and `UploadPartCopy`: bytes are shared, and read only where S3 computes something anew.
//!
//! | what is asked for | read? | entity tag |
//! |---|---|---|
//! | the source's checksum, full object | no | the source's, with its number of parts |
//! | another algorithm, or the source's is composite | yes | MD5 of the bytes |
//! | a part from an object | yes (its MD5 is the part's tag) | MD5 of the part |

use crate::access::Asks;
use crate::body::MANIFEST_DEPTH_MAX;
use crate::checksum::{Running, Sums};
use crate::event::{EventType, Occasion};
use crate::multipart::PartTarget;
use crate::publish::Draft;
use crate::quota::OtherParts;
use crate::read::{Found, resolve};
use crate::record::{Extent, Stored};
use crate::store::{Bucket, View};
use crate::transact::Attempt;
use crate::upload::{BODY_BYTES_MAX, Landed};
use crate::{
    ChecksumAlgorithm, ChecksumType, CopyOutcome, CopyPartRequest, CopyRequest, CopySource, ETag, Error,
    ErrorKind, Expect, MetadataDirective, ObjectChecksum, ObjectStore, PartRequest, RangeSpec, Result,
    StorageClass, Subresources, Upload, VersionSelector,
};
use engine::blob::Copies;
use engine::codec::inline;
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
            refuse_idle(&request, &source)?;
            let view = self.view(&request.bucket).await?;
            self.check_tags_to_be(&view, &request, &source).await?;
            self.check_writer(&view, &request.writer).await?;
            self.check_lock(&view, &request.subresources, true).await?;
            self.refuse_hopeless(&view, &request.key, Some(ByteCount::new(source.extent.length))).await?;
            let bucket = view.bucket;
            let stored = match self.copied(&request, &source).await {
                Err(error) if self.source_replaced(&request.source, &source, &error).await? => {
                    return Ok(Attempt::Again);
                }
                outcome => outcome?,
            };
            let from = source.view.bucket.partition;
            match self.keep_for(&source, source.extent, request.class.unwrap_or_default()).await {
                Err(error) if self.source_replaced(&request.source, &source, &error).await? => {
                    return Ok(Attempt::Again);
                }
                outcome => outcome?,
            }
            let Some(share) = self.share(from, source.extent, bucket).await? else {
                return Ok(Attempt::Again);
            };
            let stored = stored.with_extent(share.extent);
            let (etag, checksum) = (stored.etag, stored.checksum);
            let data_key = source.data_key.as_ref();
            let mut draft = Draft::object(bucket, &request.key, stored, data_key, &request.conditions);
            draft.writes.clone_from(&share.writes);
            draft.expect.clone_from(&share.expect);
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
            self.confirm(&share).await;
            Ok(Attempt::Answer(CopyOutcome {
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
        source.conditions.check_copy(found.info.etag, found.info.modified)?;
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

    /// What the copy stores: the source's, but for what the request changes.
    async fn copied(self: &Arc<Self>, request: &CopyRequest, source: &Found) -> Result<Stored> {
        let metadata = match &request.metadata {
            MetadataDirective::Copy => {
                let mut metadata = source.info.metadata.clone();
                metadata.system.website_redirect.clone_from(&request.website_redirect);
                metadata
            }
            MetadataDirective::Replace(metadata) => metadata.clone(),
        };
        let class = request.class.unwrap_or_default();
        let have = source.info.checksum;
        let wanted = request.checksum.or(have.map(|sum| sum.value.algorithm()));
        let carried = match (wanted, have) {
            (None, _) => true,
            (Some(algorithm), Some(have)) => {
                have.kind == ChecksumType::FullObject && have.value.algorithm() == algorithm
            }
            (Some(_), None) => false,
        };
        let stored = if carried {
            Stored::new(source.extent, source.info.etag, class, have, source.info.parts)
        } else {
            let sums = self.digest(source, source.extent, wanted).await?;
            let checksum = sums.checksum.map(ObjectChecksum::full);
            Stored::new(source.extent, ETag::of_body(sums.md5), class, checksum, 0)
        };
        Ok(stored.with_metadata(metadata))
    }

    /// Most bytes that a copy holds while its source is read for a checksum, beside what is read ahead.
    pub fn copy_memory() -> ByteCount {
        Running::memory(None)
    }

    /// The same of a part, which may have to be written anew.
    pub fn copy_part_memory(&self, range: Option<RangeSpec>) -> ByteCount {
        let most = match range {
            Some(RangeSpec::From { first, last: Some(last) }) => {
                Some(ByteCount::new(last.saturating_sub(first).saturating_add(1)))
            }
            _ => None,
        };
        Running::memory(None) + self.blobs.writer_memory(most, Copies::Configured)
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
            if extent.length <= inline::INLINE_MAX as u64 || extent.content.depth() + 1 >= MANIFEST_DEPTH_MAX
            {
                match self.rewrite_part(&request, &source, extent).await {
                    Err(error) if self.source_replaced(&request.source, &source, &error).await? => {
                        return Ok(Attempt::Again);
                    }
                    outcome => return outcome.map(Attempt::Answer),
                }
            }
            let (view, upload) = self.upload_view(&request.bucket, &request.key, request.upload).await?;
            let length = Some(ByteCount::new(extent.length));
            let part = (request.upload, request.part);
            let others = self.room_for_part(&view, &request.key, part, length, None).await?;
            let sums = match self.digest(&source, extent, Some(upload.checksum)).await {
                Err(error) if self.source_replaced(&request.source, &source, &error).await? => {
                    return Ok(Attempt::Again);
                }
                outcome => outcome?,
            };
            match self.keep_for(&source, extent, upload.class).await {
                Err(error) if self.source_replaced(&request.source, &source, &error).await? => {
                    return Ok(Attempt::Again);
                }
                outcome => outcome?,
            }
            let shared = self.share_part(&request, &source, extent, (view.bucket, others), &sums).await?;
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
        (bucket, others): (Bucket, Option<OtherParts>),
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
        };
        let landed = Landed::shared(share.extent, source.data_key.clone(), share.writes.clone());
        let Some((uploaded, row)) = self.try_commit_part(&target, sums, &landed).await? else {
            return Ok(None);
        };
        self.confirm(&share).await;
        Ok(Some(CopyOutcome {
            etag: uploaded.etag,
            modified: row.modified,
            size: uploaded.size,
            checksum: uploaded.checksum,
            version: None,
            source_version: source.info.version,
            expires: None,
        }))
    }

    /// Few bytes, or bytes behind too many manifests, are sent as if by a client.
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
            })
            .await?;
        let mut body = self.found_body(source, extent).await?;
        while let Some(bytes) = body.next().await {
            upload.write(bytes?).await?;
        }
        let uploaded = upload.finish(Expect::default()).await?;
        Ok(CopyOutcome {
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

/// What stands beside the copy.
fn beside(request: &CopyRequest, source: &Found) -> Subresources {
    let mut subresources = request.subresources.clone();
    if request.copy_tags {
        subresources.tags = source.info.subresources.tags.clone();
    }
    subresources
}

/// S3 refuses a copy onto itself that changes nothing.
fn refuse_idle(request: &CopyRequest, source: &Found) -> Result<()> {
    let onto_itself = request.source.bucket == request.bucket
        && request.source.key == request.key
        && request.source.version == VersionSelector::Latest;
    let changes = matches!(request.metadata, MetadataDirective::Replace(_))
        || request.class.unwrap_or(StorageClass::Standard) != source.info.class
        || request.checksum.is_some();
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
