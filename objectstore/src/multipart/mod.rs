//! Multipart uploads.
//!
//! ```text
//!   create    UPLOADS row
//!   part      bytes ─► PARTS row, PART_EPOCH + 1            any order, any number at once, again and again
//!   complete  all parts at one PART_EPOCH ─► manifest pages ─► one commit: version, UPLOADS gone, COMPLETED, garbage
//!   abort     UPLOADS gone, garbage                         the cleaner releases parts behind both
//! ```
//!
//! # Invariants
//! - A part's commit checks the `UPLOADS` row, so nothing is added to an upload that was completed or aborted.
//! - A completion commits only if no part changed since it read them: parts add to `PART_EPOCH`, the completion checks it.
//! - The commits of completion and abort have a bounded number of rows whatever the number of parts. Pages that do not fit
//!   into it are written before, under a manifest id that nobody knows yet, with a `Draft` row for the cleaner.
//!
//! # Limits
//! 10,000 parts of up to 5 GiB; all but the last at least 5 MiB. A completion holds all part rows in memory (about 4 MiB).

mod complete;
mod list;
mod part;

pub use complete::PART_BYTES_MIN;
pub(crate) use complete::page_writes;
pub(crate) use part::PartTarget;

use crate::change::Change;
use crate::envelope::managed::whose;
use crate::envelope::{Encloser, Envelope, Material, Wanted};
use crate::quota::Claims;
use crate::record::UploadRow;
use crate::store::View;
use crate::transact::Attempt;
use crate::{
    BucketName, ChecksumAlgorithm, CreateUpload, EncryptedBy, Error, ObjectKey, ObjectStore, Result,
    StorageClass, UploadId, UploadInfo, tables,
};
use bytes::Bytes;
use engine::catalog::record::Record;
use engine::catalog::{Layout, Write};
use engine::codec::DataKey;
use engine::unit::ByteCount;
use security::envelope::CustomerKey;
use security::{CanonicalUser, Question};

impl ObjectStore {
    /// Begins a multipart upload.
    pub async fn create_upload(&self, request: CreateUpload) -> Result<UploadInfo> {
        request.metadata.check()?;
        let checksum = request.checksum.unwrap_or(ChecksumAlgorithm::Crc64Nvme);
        let checksum_type = request.checksum_type.unwrap_or(checksum.default_type());
        if !checksum.allows(checksum_type) {
            return Err(Error::InvalidRequest {
                detail: "the checksum algorithm does not go with this checksum type",
            });
        }
        let now = self.clock.now();
        let upload = UploadId::new(now, &*self.entropy);
        let begun = UploadRow {
            initiated: now,
            class: request.class,
            checksum,
            checksum_type,
            named: request.checksum.is_some(),
            metadata: request.metadata,
            subresources: request.subresources,
            initiator: None,
            secret: None,
            envelope: Envelope::Appliance,
        };
        self.transact(|| async {
            let view = self.view(&request.bucket).await?;
            let wanted = Wanted {
                customer: request.customer_key.as_ref(),
                encryption: &request.encryption,
                asks: request.asks.as_ref(),
            };
            let encloser = self.encloser(&view, (&request.bucket, &request.key), wanted).await?;
            let subresources = self.placed(&view, &request.writer, &begun.subresources).await?;
            let initiator = request.writer.by.filter(|by| *by != view.bucket.account.into());
            let (envelope, secret) = match &encloser {
                Some(by) => {
                    let (envelope, secret) = self.secret_of_parts(&view, (&request.key, upload), by)?;
                    (envelope, Some(secret))
                }
                None => (Envelope::Appliance, None),
            };
            let row = UploadRow { subresources, initiator, secret, envelope, ..begun.clone() };
            // No object is empty that comes in parts, as a rule: where not even a byte fits, no part will.
            self.room_for(&view, &request.key, Some(ByteCount::new(1)), &mut Claims::default()).await?;
            // An upload has no body of its own to prove.
            self.check_lock(&view, &row.subresources, true).await?;
            let (look, expires) = self.index_upload(&view, &request.key, now).await?;
            let mut change = Change::writes(look).put(tables::upload(&request.key, upload), row.to_bytes());
            if row.secret.is_some() {
                change = change.known_by(Layout::ENVELOPES);
            }
            if let Some(layout) = row.envelope.layout() {
                change = change.known_by(layout);
            }
            if row.class.is_archived() {
                change = change.known_by(Layout::CLASSES);
            }
            let info = row.info(upload, expires, whose(encloser.as_ref()));
            Ok(Attempt::Commit(change.guarded().of(&view), info))
        })
        .await
    }

    /// A new secret for the keys of an upload's parts, in an envelope.
    fn secret_of_parts(
        &self,
        view: &View,
        (key, upload): (&ObjectKey, UploadId),
        by: &Encloser,
    ) -> Result<(Envelope, Bytes)> {
        let secret = DataKey::random(&*self.entropy);
        let (envelope, wrapped) = self.enclosed(secret.into(), Some(by))?;
        let aad = UploadRow::additional_data(view.bucket.partition, key, upload);
        Ok((envelope, self.keys.seal_material(view.bucket.account, Some(&wrapped), &aad)?))
    }

    /// What an upload's beginning wrapped of the secret of its parts, if it did.
    pub(crate) fn wrapped_secret(
        &self,
        view: &View,
        (key, upload): (&ObjectKey, UploadId),
        row: &UploadRow,
    ) -> Result<Option<(Envelope, Material)>> {
        let Some(sealed) = &row.secret else { return Ok(None) };
        let aad = UploadRow::additional_data(view.bucket.partition, key, upload);
        let material = Material::read(row.envelope, &self.keys.unseal_bytes(sealed, &aad)?)?;
        Ok(material.map(|material| (row.envelope, material)))
    }

    /// Whose key an upload's object will be readable with.
    pub(crate) fn upload_by(
        &self,
        view: &View,
        at: (&ObjectKey, UploadId),
        row: &UploadRow,
    ) -> Result<EncryptedBy> {
        match self.wrapped_secret(view, at, row)? {
            Some((envelope, material)) => material.by(envelope),
            None => Ok(EncryptedBy::Appliance),
        }
    }

    /// The secret that the keys of an upload's parts are under, for whoever brings the key that it was begun with, or may use it; and whose that
    /// is.
    pub(crate) async fn opened_secret(
        &self,
        view: &View,
        (key, upload): (&ObjectKey, UploadId),
        row: &UploadRow,
        (brought, asks): (Option<&CustomerKey>, Option<&Question>),
    ) -> Result<(Option<DataKey>, EncryptedBy)> {
        match (self.wrapped_secret(view, (key, upload), row)?, brought) {
            (None, None) => Ok((None, EncryptedBy::Appliance)),
            (Some((envelope, wrapped)), None) if envelope.is_managed() => {
                let secret = self.open_envelope((envelope, &wrapped), None, asks).await?.data;
                Ok((Some(secret), wrapped.by(envelope)?))
            }
            (None, Some(_)) => Err(Error::InvalidRequest {
                detail: "The multipart upload was begun without encryption parameters. Send its parts without them too.",
            }),
            (Some(_), None) => Err(Error::InvalidRequest {
                detail: "The multipart upload initiate requested encryption. Subsequent part requests must include the appropriate \
                         encryption parameters.",
            }),
            (Some((envelope, wrapped)), Some(_)) => {
                let secret = self.open_envelope((envelope, &wrapped), brought, asks).await?.data;
                Ok((Some(secret), wrapped.by(envelope)?))
            }
        }
    }

    /// Aborts an upload: its parts go.
    pub async fn abort_upload(&self, bucket: &BucketName, key: &ObjectKey, upload: UploadId) -> Result<()> {
        self.transact(|| async {
            let (view, _) = self.upload_view(bucket, key, upload).await?;
            let row = tables::upload(key, upload);
            let writes = drop_upload(row.clone(), upload, &crate::record::UploadGarbage::default());
            let change = Change::writes(writes).unchanged(row).freeing().dirty();
            Ok(Attempt::Commit(change.of(&view), ()))
        })
        .await
    }

    /// Who began an upload.
    pub async fn upload_initiator(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        upload: UploadId,
    ) -> Result<CanonicalUser> {
        let (view, row) = self.upload_view(bucket, key, upload).await?;
        Ok(row.initiator.unwrap_or(view.bucket.account.into()))
    }

    /// The class that an upload was begun with, and whose key its object will be readable with.
    pub async fn upload_class(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        upload: UploadId,
    ) -> Result<(StorageClass, EncryptedBy)> {
        let (view, row) = self.upload_view(bucket, key, upload).await?;
        let by = self.upload_by(&view, (key, upload), &row)?;
        Ok((row.class, by))
    }

    /// An upload under way.
    pub(crate) async fn upload_view(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        upload: UploadId,
    ) -> Result<(View, UploadRow)> {
        let (view, [row]) = self.view_with(bucket, [tables::upload(key, upload)]).await?;
        let row = UploadRow::from_bytes(&row.ok_or(Error::NoSuchUpload)?)?;
        Ok((view, row))
    }
}

/// What ends an upload: nothing can be added to it, and the cleaner releases what is left of it.
pub(crate) fn drop_upload(
    row: engine::catalog::Key,
    upload: UploadId,
    garbage: &crate::record::UploadGarbage,
) -> Vec<Write> {
    vec![
        Write::Delete(row),
        Write::Delete(tables::of_upload(tables::PART_EPOCH, upload)),
        Write::Put(tables::of_upload(tables::UPLOAD_GARBAGE, upload), garbage.to_bytes()),
    ]
}
