//! Fields that several records share.

use crate::envelope::Envelope;
use crate::{
    ChecksumAlgorithm, ChecksumType, ChecksumValue, ETag, LockMode, Metadata, ObjectChecksum, StorageClass,
    VersionId, VersionName, Versioning,
};
use engine::Result;
use engine::catalog::record::{RecordReader, RecordWriter};

pub(super) fn put_version(out: &mut RecordWriter, id: VersionId) {
    out.u64(id.order).u64(id.salt);
}

pub(super) fn get_version(fields: &mut RecordReader<'_>) -> Result<VersionId> {
    Ok(VersionId { order: fields.u64()?, salt: fields.u64()? })
}

pub(super) fn put_name(out: &mut RecordWriter, name: Option<VersionName>) {
    match name {
        None => {
            out.u8(0);
        }
        Some(VersionName::Null) => {
            out.u8(1);
        }
        Some(VersionName::Id(id)) => put_version(out.u8(2), id),
    }
}

pub(super) fn get_name(fields: &mut RecordReader<'_>) -> Result<Option<VersionName>> {
    match fields.u8()? {
        0 => Ok(None),
        1 => Ok(Some(VersionName::Null)),
        2 => Ok(Some(VersionName::Id(get_version(fields)?))),
        other => Err(fields.corrupt(format!("version name of kind {other}"))),
    }
}

pub(super) fn put_bool(out: &mut RecordWriter, value: bool) {
    out.u8(u8::from(value));
}

pub(super) fn get_bool(fields: &mut RecordReader<'_>) -> Result<bool> {
    match fields.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        other => Err(fields.corrupt(format!("flag {other}"))),
    }
}

pub(crate) fn put_lock_mode(out: &mut RecordWriter, mode: LockMode) {
    out.u8(match mode {
        LockMode::Governance => 1,
        LockMode::Compliance => 2,
    });
}

pub(crate) fn get_lock_mode(fields: &mut RecordReader<'_>) -> Result<LockMode> {
    match fields.u8()? {
        1 => Ok(LockMode::Governance),
        2 => Ok(LockMode::Compliance),
        other => Err(fields.corrupt(format!("lock mode {other}"))),
    }
}

pub(super) fn put_etag(out: &mut RecordWriter, etag: ETag) {
    out.fixed(etag.md5()).fixed(&etag.parts().to_le_bytes());
}

pub(super) fn get_etag(fields: &mut RecordReader<'_>) -> Result<ETag> {
    let md5 = fields.fixed()?;
    Ok(ETag::of_parts(md5, u16::from_le_bytes(fields.fixed()?)))
}

/// 1-based position in [`ChecksumAlgorithm::ALL`]; 0 is none.
pub(super) fn put_algorithm(out: &mut RecordWriter, algorithm: Option<ChecksumAlgorithm>) {
    let tag =
        algorithm.and_then(|wanted| (1..).zip(ChecksumAlgorithm::ALL).find(|(_, known)| *known == wanted));
    out.u8(tag.map_or(0, |(tag, _)| tag));
}

pub(super) fn get_algorithm(fields: &mut RecordReader<'_>) -> Result<Option<ChecksumAlgorithm>> {
    let tag = fields.u8()?;
    if tag == 0 {
        return Ok(None);
    }
    let known = ChecksumAlgorithm::ALL.get(usize::from(tag) - 1).copied();
    known.map(Some).ok_or_else(|| fields.corrupt(format!("checksum algorithm {tag}")))
}

pub(super) fn put_value(out: &mut RecordWriter, value: Option<&ChecksumValue>) {
    put_algorithm(out, value.map(ChecksumValue::algorithm));
    if let Some(value) = value {
        out.fixed(value.as_bytes());
    }
}

pub(super) fn get_value(fields: &mut RecordReader<'_>) -> Result<Option<ChecksumValue>> {
    let Some(algorithm) = get_algorithm(fields)? else { return Ok(None) };
    let mut raw = [0; 64];
    let raw = &mut raw[..algorithm.value_bytes()];
    for byte in &mut *raw {
        *byte = fields.u8()?;
    }
    Ok(ChecksumValue::from_slice(algorithm, raw))
}

pub(super) fn put_kind(out: &mut RecordWriter, kind: ChecksumType) {
    put_bool(out, kind == ChecksumType::Composite);
}

pub(super) fn get_kind(fields: &mut RecordReader<'_>) -> Result<ChecksumType> {
    Ok(if get_bool(fields)? { ChecksumType::Composite } else { ChecksumType::FullObject })
}

pub(super) fn put_checksum(out: &mut RecordWriter, checksum: Option<&ObjectChecksum>) {
    put_value(out, checksum.map(|checksum| &checksum.value));
    if let Some(checksum) = checksum {
        put_kind(out, checksum.kind);
        out.fixed(&checksum.parts.to_le_bytes());
    }
}

pub(super) fn get_checksum(fields: &mut RecordReader<'_>) -> Result<Option<ObjectChecksum>> {
    let Some(value) = get_value(fields)? else { return Ok(None) };
    let kind = get_kind(fields)?;
    Ok(Some(ObjectChecksum { value, kind, parts: u16::from_le_bytes(fields.fixed()?) }))
}

pub(crate) fn put_class(out: &mut RecordWriter, class: StorageClass) {
    let tag = (0..).zip(StorageClass::ALL).find(|(_, known)| *known == class).map_or(0, |(tag, _)| tag);
    out.u8(tag);
}

pub(crate) fn get_class(fields: &mut RecordReader<'_>) -> Result<StorageClass> {
    let tag = fields.u8()?;
    let known = StorageClass::ALL.get(usize::from(tag)).copied();
    known.ok_or_else(|| fields.corrupt(format!("storage class {tag}")))
}

/// How keys are kept, where that is not the key table's seal alone.
pub(super) fn put_envelope(out: &mut RecordWriter, envelope: Envelope) {
    match envelope {
        Envelope::Appliance => out.u8(0),
        Envelope::Customer => out.u8(1),
        Envelope::CustomerParts => out.u8(2),
        Envelope::Managed { bucket_key } => out.u8(3).u8(u8::from(bucket_key)),
        Envelope::ManagedParts { bucket_key } => out.u8(4).u8(u8::from(bucket_key)),
    };
}

pub(super) fn get_envelope(fields: &mut RecordReader<'_>) -> Result<Envelope> {
    match fields.u8()? {
        1 => Ok(Envelope::Customer),
        2 => Ok(Envelope::CustomerParts),
        other => Err(fields.corrupt(format!("envelope of kind {other}"))),
    }
}

/// The same, or none.
pub(super) fn get_any_envelope(fields: &mut RecordReader<'_>) -> Result<Envelope> {
    match fields.u8()? {
        0 => Ok(Envelope::Appliance),
        1 => Ok(Envelope::Customer),
        2 => Ok(Envelope::CustomerParts),
        other => Err(fields.corrupt(format!("envelope of kind {other}"))),
    }
}

/// That of a managed key.
pub(super) fn get_managed_envelope(fields: &mut RecordReader<'_>) -> Result<Envelope> {
    match fields.u8()? {
        3 => Ok(Envelope::Managed { bucket_key: get_bool(fields)? }),
        4 => Ok(Envelope::ManagedParts { bucket_key: get_bool(fields)? }),
        other => Err(fields.corrupt(format!("envelope of kind {other}"))),
    }
}

pub(super) fn put_versioning(out: &mut RecordWriter, versioning: Versioning) {
    out.u8(match versioning {
        Versioning::Off => 0,
        Versioning::Enabled => 1,
        Versioning::Suspended => 2,
    });
}

pub(super) fn get_versioning(fields: &mut RecordReader<'_>) -> Result<Versioning> {
    match fields.u8()? {
        0 => Ok(Versioning::Off),
        1 => Ok(Versioning::Enabled),
        2 => Ok(Versioning::Suspended),
        other => Err(fields.corrupt(format!("versioning {other}"))),
    }
}

/// Content headers (a bit set of those present, then each), then user metadata in order of names.
pub(super) fn put_metadata(out: &mut RecordWriter, metadata: &Metadata) {
    let headers = metadata.system.fields();
    let present = headers.iter().rev().fold(0, |bits, field| bits << 1 | u8::from(field.is_some()));
    out.u8(present);
    for text in headers.into_iter().flatten() {
        out.text(text);
    }
    out.count(metadata.user.len());
    for (name, value) in &metadata.user {
        out.text(name).text(value);
    }
}

pub(super) fn get_metadata(fields: &mut RecordReader<'_>) -> Result<Metadata> {
    let mut metadata = Metadata::default();
    let present = fields.u8()?;
    if present & 0x80 != 0 {
        return Err(fields.corrupt("unknown content header"));
    }
    for (bit, field) in metadata.system.fields_mut().into_iter().enumerate() {
        if present >> bit & 1 == 1 {
            *field = Some(fields.text()?.into());
        }
    }
    for _ in 0..fields.count()? {
        metadata.user.insert(fields.text()?.into(), fields.text()?.into());
    }
    Ok(metadata)
}
