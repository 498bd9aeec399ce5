//! Parts: sent, or made from an object's bytes.

use super::Error;
use crate::change::Change;
use crate::checksum::Sums;
use crate::envelope::under;
use crate::publish::{Expected, expected};
use crate::quota::OtherParts;
use crate::record::PartRow;
use crate::stack::release_content;
use crate::transact::{Attempt, contended};
use crate::upload::{Landed, PartBody};
use crate::{
    BucketName, ETag, EncryptedBy, ObjectChecksum, ObjectKey, ObjectStore, PartNumber, PartRequest, Result,
    Upload, UploadId, Uploaded, tables,
};
use bytes::Bytes;
use engine::catalog::record::Record;
use engine::catalog::{Key, Write};
use engine::codec::DataKey;
use engine::unit::ByteCount;
use parking_lot::Mutex;
use std::sync::Arc;

/// Which part of which upload.
#[derive(Clone, Debug)]
pub(crate) struct PartTarget {
    pub(crate) bucket: BucketName,
    pub(crate) key: ObjectKey,
    pub(crate) upload: UploadId,
    pub(crate) number: PartNumber,
    /// What else must hold, as with a draft's.
    pub(crate) expect: Vec<(Key, Expected)>,
    /// What the upload's other parts held when this one was begun, where a quota is over them.
    pub(crate) others: Option<OtherParts>,
    /// What its key is kept under, where another key is around that.
    pub(crate) secret: Option<DataKey>,
    /// Which.
    pub(crate) by: EncryptedBy,
}

impl ObjectStore {
    /// Begins to send a part.
    pub async fn upload_part(self: &Arc<Self>, request: PartRequest) -> Result<Upload> {
        let (view, upload) = self.upload_view(&request.bucket, &request.key, request.upload).await?;
        let at = (&request.key, request.upload);
        let brings = (request.customer_key.as_ref(), request.asks.as_ref());
        let (secret, by) = self.opened_secret(&view, at, &upload, brings).await?;
        Self::check_part(&upload.subresources, request.proven)?;
        let part = (request.upload, request.part);
        let others = self.room_for_part(&view, &request.key, part, request.length, None).await?;
        // Nothing unasked of what a key came for.
        let unasked = (secret.is_none() || upload.named).then_some(upload.checksum);
        let algorithm = request.checksum.or(unasked);
        if upload.named && algorithm != Some(upload.checksum) {
            return Err(Error::InvalidRequest {
                detail: "the part's checksum is not of the algorithm that the upload was begun with",
            });
        }
        let target = PartTarget {
            bucket: request.bucket,
            key: request.key,
            upload: request.upload,
            number: request.part,
            expect: Vec::new(),
            others,
            secret,
            by,
        };
        let dedup = if target.secret.is_some() { None } else { self.dedups(&view, request.writer).await? };
        let body = PartBody { length: request.length, checksum: algorithm, class: upload.class };
        Upload::for_part(Arc::clone(self), view.bucket, (target, body), dedup)
    }

    /// Publishes a part whose bytes have landed.
    pub(crate) async fn commit_part(
        &self,
        target: &PartTarget,
        sums: &Sums,
        landed: Landed,
    ) -> Result<Uploaded> {
        let committed = self.try_commit_part(target, sums, &landed).await?;
        // A sent part expects nothing that anybody else changes.
        committed.map(|(uploaded, _)| uploaded).ok_or_else(contended)
    }

    /// `None`: what the target expects does not hold.
    pub(crate) async fn try_commit_part(
        &self,
        target: &PartTarget,
        sums: &Sums,
        landed: &Landed,
    ) -> Result<Option<(Uploaded, PartRow)>> {
        let number = target.number.get();
        let part_key = tables::part(target.upload, number);
        let others = Mutex::new(target.others.clone());
        self.transact(|| async {
            let (view, _) = self.upload_view(&target.bucket, &target.key, target.upload).await?;
            let partition = view.bucket.partition;
            // How long a body is may have been unknown until now, and others may have come meanwhile.
            let length = Some(ByteCount::new(landed.extent.length));
            let part = (target.upload, target.number);
            let known = others.lock().take();
            let known = self.room_for_part(&view, &target.key, part, length, known).await?;
            *others.lock() = known;
            let expect = [&target.expect[..], &landed.expect].concat();
            let Some(checks) = expected(&expect, &*view.snapshot).await? else {
                return Ok(Attempt::Answer(None));
            };
            let old = view.snapshot.get(part_key.clone()).await?;
            let mut row = PartRow {
                modified: self.clock.now(),
                md5: sums.md5,
                // It is told, but not kept: a CRC of a few bytes *is* the bytes.
                checksum: sums.checksum.filter(|_| target.secret.is_none()),
                extent: landed.extent,
                sealed: Bytes::new(),
            };
            let aad = row.additional_data(partition, target.upload, number);
            let under = |key: &DataKey| match &target.secret {
                Some(secret) => under(secret, &landed.extent.content, key),
                None => key.clone(),
            };
            let data_key = landed.data_key.as_ref().map(under);
            row.sealed = self.keys.seal(view.bucket.account, data_key.as_ref(), &aad)?;
            let mut change = Change::new(checks, landed.writes.clone())
                .unchanged(tables::upload(&target.key, target.upload))
                .unchanged(part_key.clone())
                .put(part_key.clone(), row.to_bytes())
                .guarded();
            change.writes.push(Write::Add(tables::of_upload(tables::PART_EPOCH, target.upload), 1));
            if let Some(old) = old {
                let old = PartRow::from_bytes(&old)?;
                let (released, work) = release_content(partition, old.extent.owner, &old.extent.content)?;
                change.writes.extend(released);
                change.dirty = work;
            }
            let uploaded = Uploaded {
                etag: ETag::of_body(sums.md5),
                checksum: sums.checksum.map(ObjectChecksum::full),
                version: None,
                size: ByteCount::new(landed.extent.length),
                encrypted_by: target.by.clone(),
                expires: None,
            };
            Ok(Attempt::Commit(change.of(&view), Some((uploaded, row))))
        })
        .await
    }
}
