//! An upload under way, and its parts.

use super::content::Extent;
use super::fields::{
    get_algorithm, get_bool, get_class, get_kind, get_managed_envelope, get_metadata, get_value,
    put_algorithm, put_bool, put_class, put_envelope, put_kind, put_metadata, put_value,
};
use super::subresources::{get_subresources, put_subresources};
use super::{get_user, put_user};
use crate::envelope::Envelope;
use crate::{
    ChecksumAlgorithm, ChecksumType, ChecksumValue, ETag, EncryptedBy, Expiry, Metadata, ObjectKey,
    StorageClass, Subresources, UploadId, UploadInfo,
};
use bytes::Bytes;
use engine::Result;
use engine::catalog::record::{Record, RecordReader, RecordWriter};
use engine::clock::Timestamp;
use engine::id::PartitionId;
use security::CanonicalUser;

/// An upload under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UploadRow {
    pub(crate) initiated: Timestamp,
    pub(crate) class: StorageClass,
    pub(crate) checksum: ChecksumAlgorithm,
    pub(crate) checksum_type: ChecksumType,
    /// The client named the algorithm.
    pub(crate) named: bool,
    pub(crate) metadata: Metadata,
    pub(crate) subresources: Subresources,
    /// Who began it, where that is not the bucket's owner.
    pub(crate) initiator: Option<CanonicalUser>,
    /// The secret of its parts, in an envelope and sealed by the key table: their keys are under it.
    pub(crate) secret: Option<Bytes>,
    /// In which envelope.
    pub(crate) envelope: Envelope,
}

impl UploadRow {
    pub(crate) fn info(
        &self,
        upload: UploadId,
        expires: Option<Expiry>,
        encrypted_by: EncryptedBy,
    ) -> UploadInfo {
        UploadInfo {
            encrypted_by,
            upload,
            checksum: self.checksum,
            checksum_type: self.checksum_type,
            checksum_named: self.named,
            expires,
        }
    }

    /// What the seal of the parts' secret is bound to.
    pub(crate) fn additional_data(partition: PartitionId, key: &ObjectKey, upload: UploadId) -> Vec<u8> {
        let mut aad = b"firn upload row\0".to_vec();
        aad.extend_from_slice(partition.as_bytes());
        aad.extend_from_slice(upload.as_bytes());
        aad.extend_from_slice(key.as_bytes());
        aad
    }
}

impl Record for UploadRow {
    const NAME: &'static str = "upload row";
    const VERSION: u8 = 5;

    fn version(&self) -> u8 {
        match (&self.secret, self.initiator, self.subresources.is_none()) {
            (Some(_), ..) if self.envelope.is_managed() => 5,
            (Some(_), ..) => 4,
            (None, Some(_), _) => 3,
            (None, None, false) => 2,
            (None, None, true) => 1,
        }
    }

    fn encode(&self, out: &mut RecordWriter) {
        out.i64(self.initiated.as_millis());
        put_class(out, self.class);
        put_algorithm(out, Some(self.checksum));
        put_kind(out, self.checksum_type);
        put_bool(out, self.named);
        put_metadata(out, &self.metadata);
        if self.secret.is_some() {
            put_bool(out, self.initiator.is_some());
        }
        if let Some(initiator) = self.initiator {
            put_user(out, initiator);
        }
        if self.secret.is_some() || self.initiator.is_some() {
            put_bool(out, !self.subresources.is_none());
        }
        if !self.subresources.is_none() {
            put_subresources(out, &self.subresources);
        }
        if let Some(secret) = &self.secret {
            if self.envelope.is_managed() {
                put_envelope(out, self.envelope);
            }
            out.bytes(secret);
        }
    }

    fn decode(version: u8, fields: &mut RecordReader<'_>) -> Result<Self> {
        let initiated = Timestamp::from_millis(fields.i64()?);
        let class = get_class(fields)?;
        let checksum = get_algorithm(fields)?.ok_or_else(|| fields.corrupt("no checksum algorithm"))?;
        let checksum_type = get_kind(fields)?;
        let named = get_bool(fields)?;
        let metadata = get_metadata(fields)?;
        let others = version == 3 || version > 3 && get_bool(fields)?;
        let initiator = if others { Some(get_user(fields)?) } else { None };
        let beside = version == 2 || version > 2 && get_bool(fields)?;
        let subresources = if beside { get_subresources(fields)? } else { Subresources::default() };
        let envelope = match version {
            5 => get_managed_envelope(fields)?,
            4 => Envelope::Customer,
            _ => Envelope::Appliance,
        };
        let secret = if version > 3 { Some(Bytes::copy_from_slice(fields.bytes()?)) } else { None };
        Ok(Self {
            initiated,
            class,
            checksum,
            checksum_type,
            named,
            metadata,
            subresources,
            initiator,
            secret,
            envelope,
        })
    }
}

/// A part. Authenticated as object rows are, over partition, upload and number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PartRow {
    pub(crate) modified: Timestamp,
    pub(crate) md5: [u8; 16],
    pub(crate) checksum: Option<ChecksumValue>,
    pub(crate) extent: Extent,
    /// The sealed data key.
    pub(crate) sealed: Bytes,
}

impl PartRow {
    pub(crate) const fn etag(&self) -> ETag {
        ETag::of_body(self.md5)
    }

    /// What the seal is bound to.
    pub(crate) fn additional_data(&self, partition: PartitionId, upload: UploadId, number: u16) -> Vec<u8> {
        let mut aad = b"firn part row\0".to_vec();
        aad.extend_from_slice(partition.as_bytes());
        aad.extend_from_slice(upload.as_bytes());
        aad.extend_from_slice(&number.to_le_bytes());
        aad.extend_from_slice(&Self { sealed: Bytes::new(), ..self.clone() }.to_bytes());
        aad
    }
}

impl Record for PartRow {
    const NAME: &'static str = "part row";
    const VERSION: u8 = 1;

    fn encode(&self, out: &mut RecordWriter) {
        out.i64(self.modified.as_millis()).fixed(&self.md5);
        put_value(out, self.checksum.as_ref());
        self.extent.encode(out);
        out.bytes(&self.sealed);
    }

    fn decode(_version: u8, fields: &mut RecordReader<'_>) -> Result<Self> {
        let modified = Timestamp::from_millis(fields.i64()?);
        let md5 = fields.fixed()?;
        let checksum = get_value(fields)?;
        let extent = Extent::decode(fields)?;
        Ok(Self { modified, md5, checksum, extent, sealed: Bytes::copy_from_slice(fields.bytes()?) })
    }
}
