//! A version or delete marker, as `CURRENT` and `VERSIONS` hold it.
//!
//! Everything but the time at which it became noncurrent is authenticated: its data key is sealed with the rest of the
//! row, the partition and the key as additional data, and a row without a data key seals nothing, for the tag alone.

use super::cold::{Cold, get_cold, put_cold};
use super::content::Extent;
use super::fields::{
    get_any_envelope, get_bool, get_checksum, get_class, get_envelope, get_etag, get_managed_envelope,
    get_metadata, get_version, put_bool, put_checksum, put_class, put_envelope, put_etag, put_metadata,
    put_version,
};
use super::subresources::{get_subresources, put_subresources};
use crate::envelope::Envelope;
use crate::{
    ETag, EncryptedBy, ListEntry, Metadata, ObjectChecksum, ObjectInfo, ObjectKey, RestoreState,
    StorageClass, Subresources, VersionId, VersionName, Versioning,
};
use bytes::Bytes;
use engine::Result;
use engine::catalog::record::{Record, RecordReader, RecordWriter};
use engine::clock::Timestamp;
use engine::id::PartitionId;
use engine::unit::ByteCount;
use security::CanonicalUser;

/// What an object has and a delete marker has not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) extent: Extent,
    pub(crate) etag: ETag,
    pub(crate) class: StorageClass,
    pub(crate) checksum: Option<ObjectChecksum>,
    /// Number of parts; 0 for one that was not uploaded in parts.
    pub(crate) parts: u32,
    /// How its keys are kept. Written by the row, where it is not the key table alone.
    pub(crate) envelope: Envelope,
    /// Of an archived version, where there is something to say. Written by the row, too.
    pub(crate) cold: Option<Cold>,
    /// Encoded; listings never look inside.
    metadata: Bytes,
}

impl Stored {
    pub(crate) fn new(
        extent: Extent,
        etag: ETag,
        class: StorageClass,
        checksum: Option<ObjectChecksum>,
        parts: u32,
    ) -> Self {
        let metadata = EncodedMetadata(Metadata::default()).to_bytes();
        Self { extent, etag, class, checksum, parts, envelope: Envelope::Appliance, cold: None, metadata }
    }

    /// The same, whose keys are kept so. Of what is closed no checksum is kept: a CRC of a few bytes *is* the bytes.
    pub(crate) fn enclosed(mut self, envelope: Envelope) -> Self {
        self.envelope = envelope;
        if envelope.is_closed() {
            self.checksum = None;
        }
        self
    }

    pub(crate) fn with_metadata(mut self, metadata: Metadata) -> Self {
        self.metadata = EncodedMetadata(metadata).to_bytes();
        self
    }

    /// The same of other bytes.
    pub(crate) fn with_extent(mut self, extent: Extent) -> Self {
        self.extent = extent;
        self
    }

    pub(crate) fn metadata(&self) -> Result<Metadata> {
        Ok(EncodedMetadata::from_bytes(&self.metadata)?.0)
    }

    pub(crate) fn size(&self) -> ByteCount {
        ByteCount::new(self.extent.length)
    }

    /// How far it is restored, as S3 shows it.
    pub(crate) fn restore(&self) -> Option<RestoreState> {
        let restore = self.cold?.restore?;
        Some(restore.until.map_or(RestoreState::UnderWay, RestoreState::Until))
    }

    pub(super) fn encode(&self, out: &mut RecordWriter) {
        self.extent.encode(out);
        put_etag(out, self.etag);
        put_class(out, self.class);
        put_checksum(out, self.checksum.as_ref());
        out.u32(self.parts).bytes(&self.metadata);
    }

    pub(super) fn decode(fields: &mut RecordReader<'_>) -> Result<Self> {
        let extent = Extent::decode(fields)?;
        let etag = get_etag(fields)?;
        let class = get_class(fields)?;
        let checksum = get_checksum(fields)?;
        let parts = fields.u32()?;
        let metadata = Bytes::copy_from_slice(fields.bytes()?);
        Ok(Self { extent, etag, class, checksum, parts, envelope: Envelope::Appliance, cold: None, metadata })
    }

    pub(crate) fn entry(
        &self,
        key: ObjectKey,
        modified: Timestamp,
        owner: Option<CanonicalUser>,
    ) -> ListEntry {
        ListEntry {
            key,
            size: self.size(),
            etag: self.etag,
            modified,
            class: self.class,
            restore: self.restore(),
            checksum: self.checksum.map(|sum| (sum.value.algorithm(), sum.kind)),
            owner,
        }
    }
}

struct EncodedMetadata(Metadata);

impl Record for EncodedMetadata {
    const NAME: &'static str = "metadata";
    const VERSION: u8 = 1;
    fn encode(&self, out: &mut RecordWriter) {
        put_metadata(out, &self.0);
    }
    fn decode(_version: u8, fields: &mut RecordReader<'_>) -> Result<Self> {
        Ok(Self(get_metadata(fields)?))
    }
}

/// A version or delete marker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ObjectRow {
    pub(crate) version: VersionId,
    /// It is the key's null version.
    pub(crate) null: bool,
    pub(crate) modified: Timestamp,
    /// Set while a newer version stands above it; not authenticated.
    pub(crate) noncurrent_since: Option<Timestamp>,
    /// `None` for a delete marker.
    pub(crate) stored: Option<Stored>,
    /// Tags and what else S3 keeps beside an object.
    pub(crate) subresources: Subresources,
    /// The sealed data key.
    pub(crate) sealed: Bytes,
}

impl ObjectRow {
    /// What the seal is bound to.
    pub(crate) fn additional_data(&self, partition: PartitionId, key: &ObjectKey) -> Vec<u8> {
        let mut aad = b"firn object row\0".to_vec();
        aad.extend_from_slice(partition.as_bytes());
        aad.extend_from_slice(&(key.as_bytes().len() as u64).to_le_bytes());
        aad.extend_from_slice(key.as_bytes());
        aad.extend_from_slice(&Core(self).to_bytes());
        aad
    }

    /// Of an archived version, where there is something to say.
    pub(crate) fn cold(&self) -> Option<&Cold> {
        self.stored.as_ref().and_then(|stored| stored.cold.as_ref())
    }

    /// Whether whoever reads it must know of classes that are archived.
    pub(crate) fn is_archived(&self) -> bool {
        self.stored.as_ref().is_some_and(|stored| stored.class.is_archived())
    }

    /// How the keys of its bytes are kept.
    pub(crate) fn envelope(&self) -> Envelope {
        self.stored.as_ref().map(|stored| stored.envelope).unwrap_or_default()
    }

    pub(crate) fn name(&self) -> VersionName {
        if self.null { VersionName::Null } else { VersionName::Id(self.version) }
    }

    /// Its name as answers carry it: a bucket that never had versions names none.
    pub(crate) fn shown(&self, versioning: Versioning) -> Option<VersionName> {
        (versioning != Versioning::Off).then(|| self.name())
    }

    /// The same, as it stands when nothing is above it.
    pub(crate) fn as_latest(&self) -> Self {
        Self { noncurrent_since: None, ..self.clone() }
    }

    /// What HEAD shows of an object; `None` of a delete marker.
    pub(crate) fn info(&self, versioning: Versioning) -> Result<Option<ObjectInfo>> {
        let Some(stored) = &self.stored else { return Ok(None) };
        Ok(Some(ObjectInfo {
            version: self.shown(versioning),
            size: stored.size(),
            etag: stored.etag,
            modified: self.modified,
            class: stored.class,
            checksum: stored.checksum,
            metadata: stored.metadata()?,
            parts: stored.parts,
            subresources: self.subresources.clone(),
            // Whoever opens the seal knows whose envelope there is.
            encrypted_by: EncryptedBy::Appliance,
            restore: stored.restore(),
            expires: None,
        }))
    }
}

/// The authenticated part: written as a record, never read as one.
struct Core<'a>(&'a ObjectRow);

impl Record for Core<'_> {
    const NAME: &'static str = ObjectRow::NAME;
    const VERSION: u8 = ObjectRow::VERSION;

    fn version(&self) -> u8 {
        self.0.version()
    }

    fn encode(&self, out: &mut RecordWriter) {
        encode_core(self.0, out);
    }

    fn decode(_version: u8, fields: &mut RecordReader<'_>) -> Result<Self> {
        Err(fields.corrupt("the core of a row has no row of its own"))
    }
}

fn encode_core(row: &ObjectRow, out: &mut RecordWriter) {
    put_version(out, row.version);
    put_bool(out, row.null);
    out.i64(row.modified.as_millis());
    put_bool(out, row.stored.is_some());
    if let Some(stored) = &row.stored {
        stored.encode(out);
    }
    let (envelope, cold) = (row.envelope(), row.cold());
    let says_more = envelope.is_closed() || cold.is_some();
    if says_more {
        put_bool(out, !row.subresources.is_none());
    }
    if !row.subresources.is_none() {
        put_subresources(out, &row.subresources);
    }
    if says_more {
        put_envelope(out, envelope);
    }
    if envelope.is_managed() {
        put_bool(out, cold.is_some());
    }
    if let Some(cold) = cold {
        put_cold(out, cold);
    }
}

impl Record for ObjectRow {
    const NAME: &'static str = "object row";
    const VERSION: u8 = 5;

    /// Without subresources, envelope and restore it is what it was before there were any, seal included.
    fn version(&self) -> u8 {
        match (self.envelope().is_closed(), self.subresources.is_none()) {
            _ if self.envelope().is_managed() => 5,
            _ if self.cold().is_some() => 4,
            (true, _) => 3,
            (false, false) => 2,
            (false, true) => 1,
        }
    }

    fn encode(&self, out: &mut RecordWriter) {
        encode_core(self, out);
        out.bytes(&self.sealed);
        put_bool(out, self.noncurrent_since.is_some());
        if let Some(since) = self.noncurrent_since {
            out.i64(since.as_millis());
        }
    }

    fn decode(form: u8, fields: &mut RecordReader<'_>) -> Result<Self> {
        let version = get_version(fields)?;
        let null = get_bool(fields)?;
        let modified = Timestamp::from_millis(fields.i64()?);
        let mut stored = if get_bool(fields)? { Some(Stored::decode(fields)?) } else { None };
        let beside = form == 2 || form >= 3 && get_bool(fields)?;
        let subresources = if beside { get_subresources(fields)? } else { Subresources::default() };
        if form == 3 {
            let envelope = get_envelope(fields)?;
            let stored = stored.as_mut().ok_or_else(|| fields.corrupt("an envelope without an object"))?;
            stored.envelope = envelope;
        }
        if form == 4 {
            let (envelope, cold) = (get_any_envelope(fields)?, get_cold(fields)?);
            let stored = stored.as_mut().ok_or_else(|| fields.corrupt("an archive without an object"))?;
            (stored.envelope, stored.cold) = (envelope, Some(cold));
        }
        if form == 5 {
            let envelope = get_managed_envelope(fields)?;
            let cold = if get_bool(fields)? { Some(get_cold(fields)?) } else { None };
            let stored = stored.as_mut().ok_or_else(|| fields.corrupt("an envelope without an object"))?;
            (stored.envelope, stored.cold) = (envelope, cold);
        }
        let sealed = Bytes::copy_from_slice(fields.bytes()?);
        let noncurrent_since =
            if get_bool(fields)? { Some(Timestamp::from_millis(fields.i64()?)) } else { None };
        Ok(Self { version, null, modified, noncurrent_since, stored, subresources, sealed })
    }
}
