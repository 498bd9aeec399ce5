//! Rows that tell workers what is left to do, and what a completion answered.

use super::content::Content;
use super::fields::{get_bool, get_checksum, get_etag, get_name, put_bool, put_checksum, put_etag, put_name};
use crate::{ETag, EncryptedBy, ManagedKey, ObjectChecksum, PartNumber, VersionName};
use engine::Result;
use engine::catalog::record::{Record, RecordReader, RecordWriter};
use engine::clock::Timestamp;
use engine::id::PartitionId;
use std::sync::Arc;

/// Which parts a completion took: one bit a part number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct UsedParts(Vec<u8>);

impl UsedParts {
    pub(crate) fn insert(&mut self, number: u16) {
        let byte = usize::from(number / 8);
        if self.0.len() <= byte {
            self.0.resize(byte + 1, 0);
        }
        self.0[byte] |= 1 << (number % 8);
    }

    pub(crate) fn contains(&self, number: u16) -> bool {
        self.0.get(usize::from(number / 8)).is_some_and(|byte| byte >> (number % 8) & 1 == 1)
    }
}

/// An upload whose parts are to go, but for those that its object took over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct UploadGarbage {
    pub(crate) used: UsedParts,
}

impl Record for UploadGarbage {
    const NAME: &'static str = "upload garbage";
    const VERSION: u8 = 1;

    fn encode(&self, out: &mut RecordWriter) {
        out.bytes(&self.used.0);
    }

    fn decode(_version: u8, fields: &mut RecordReader<'_>) -> Result<Self> {
        let bits = fields.bytes()?;
        if bits.len() > usize::from(PartNumber::MAX / 8) + 1 {
            return Err(fields.corrupt("too many parts"));
        }
        Ok(Self { used: UsedParts(bits.to_vec()) })
    }
}

/// Why a manifest's pages may have to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ManifestGarbage {
    /// A completion began to write it; its extents still belong to the parts.
    Draft,
    /// A reference was dropped; without any other its extents are released.
    Dropped,
}

impl Record for ManifestGarbage {
    const NAME: &'static str = "manifest garbage";
    const VERSION: u8 = 1;

    fn encode(&self, out: &mut RecordWriter) {
        put_bool(out, *self == Self::Dropped);
    }

    fn decode(_version: u8, fields: &mut RecordReader<'_>) -> Result<Self> {
        Ok(if get_bool(fields)? { Self::Dropped } else { Self::Draft })
    }
}

/// A reference that lies in another partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ForeignRow {
    pub(crate) content: Content,
}

impl Record for ForeignRow {
    const NAME: &'static str = "foreign reference";
    const VERSION: u8 = 1;

    fn encode(&self, out: &mut RecordWriter) {
        self.content.encode(out);
    }

    fn decode(_version: u8, fields: &mut RecordReader<'_>) -> Result<Self> {
        Ok(Self { content: Content::decode(fields)? })
    }
}

/// A copy to another partition that was begun: the reference is there, the destination's commit may or may not be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IntentRow {
    pub(crate) content: Content,
    pub(crate) destination: PartitionId,
    pub(crate) created: Timestamp,
}

impl Record for IntentRow {
    const NAME: &'static str = "copy intent";
    const VERSION: u8 = 1;

    fn encode(&self, out: &mut RecordWriter) {
        self.content.encode(out);
        out.fixed(self.destination.as_bytes()).i64(self.created.as_millis());
    }

    fn decode(_version: u8, fields: &mut RecordReader<'_>) -> Result<Self> {
        let content = Content::decode(fields)?;
        let destination = PartitionId::from_bytes(fields.fixed()?);
        Ok(Self { content, destination, created: Timestamp::from_millis(fields.i64()?) })
    }
}

/// What a completion answered, kept for a day so that it can be repeated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CompletedRow {
    pub(crate) at: Timestamp,
    pub(crate) key: String,
    /// SHA-256 over the numbers and entity tags of the parts named.
    pub(crate) parts: [u8; 32],
    pub(crate) etag: ETag,
    pub(crate) checksum: Option<ObjectChecksum>,
    pub(crate) version: Option<VersionName>,
    pub(crate) size: u64,
    pub(crate) encrypted_by: EncryptedBy,
}

impl Record for CompletedRow {
    const NAME: &'static str = "completed upload";
    const VERSION: u8 = 3;

    /// The second is of what a customer's key encrypts, the third of what a managed one does.
    fn version(&self) -> u8 {
        match self.encrypted_by {
            EncryptedBy::Appliance => 1,
            EncryptedBy::Customer => 2,
            EncryptedBy::Managed(_) => 3,
        }
    }

    fn encode(&self, out: &mut RecordWriter) {
        out.i64(self.at.as_millis()).text(&self.key).fixed(&self.parts);
        put_etag(out, self.etag);
        put_checksum(out, self.checksum.as_ref());
        put_name(out, self.version);
        out.u64(self.size);
        if let EncryptedBy::Managed(key) = &self.encrypted_by {
            out.text(&key.arn).u8(u8::from(key.bucket_key));
        }
    }

    fn decode(form: u8, fields: &mut RecordReader<'_>) -> Result<Self> {
        let at = Timestamp::from_millis(fields.i64()?);
        let key = fields.text()?.into();
        let parts = fields.fixed()?;
        let etag = get_etag(fields)?;
        let checksum = get_checksum(fields)?;
        let version = get_name(fields)?;
        let size = fields.u64()?;
        let encrypted_by = match form {
            1 => EncryptedBy::Appliance,
            2 => EncryptedBy::Customer,
            _ => {
                let arn = fields.text()?.to_owned();
                EncryptedBy::Managed(Arc::new(ManagedKey { arn, bucket_key: get_bool(fields)? }))
            }
        };
        Ok(Self { at, key, parts, etag, checksum, version, size, encrypted_by })
    }
}
