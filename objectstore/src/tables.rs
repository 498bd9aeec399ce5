//! Where rows lie. Each table's key, value and partition; the tags are part of the format (docs/formats/objectstore-rows.md).
//!
//! | table | partition | key | value |
//! |---|---|---|---|
//! | `BUCKETS` | root | name | [`BucketRow`] |
//! | `BUCKET_INTENTS` | root | name | [`PRESENT`]: a creation or deletion under way |
//! | `DELETED` | root | partition | [`PRESENT`]: its leftovers are to be cleared |
//! | `CONFIG` | bucket | – | [`ConfigRow`]; the `exists` guard |
//! | `SETTINGS` | bucket | kind, name where there can be several | [`Setting`](crate::Setting): CORS rules, tags, … |
//! | `SETTINGS` | root | kind, bucket (policies: its partition) | [`PRESENT`]: this bucket may have such a setting |
//! | `CURRENT` | bucket | key bytes | the live latest version |
//! | `VERSIONS` | bucket | key, order (newest first), salt | every version and delete marker |
//! | `NULLS` | bucket | key | version id of a null version that is not in `CURRENT` |
//! | `BODY` | bucket | owner | ciphertext of an inline body |
//! | `UPLOADS` | bucket | key, upload | an upload under way |
//! | `PARTS` | bucket | upload, part number | a part of it |
//! | `COMPLETED` | bucket | upload | what its completion answered |
//! | `DUE` | bucket | time, versions or uploads, key bytes | [`PRESENT`]: a lifecycle rule may act on the key then |
//! | `MANIFESTS` | home | manifest, start offset | a page of at most 256 extents |
//! | `MANIFEST_REFS` | home | manifest, owner | [`PRESENT`]: who refers to it |
//! | `CHUNKS` | bucket | chunk's name | where a deduplicated chunk lies |
//! | `PACKS` | bucket | blob | the key of a pack of chunks |
//! | `HOLDS` | bucket | manifest, blob | [`PRESENT`]: a deduplicated body's manifest refers to a pack |
//! | `FOREIGN` | bucket | owner | what this bucket's version or part refers to in another partition |
//! | `UPLOAD_GARBAGE` | bucket | upload | its parts are to be released, but for those in use |
//! | `MANIFEST_GARBAGE` | home | manifest | its pages are to go, if nobody refers to them |
//! | `RELEASES` | bucket | owner | a reference in another partition is to be dropped |
//! | `INTENTS` | home | owner | a copy to another partition under way |
//! | `FENCES` | bucket | owner | this owner's commit may no longer happen |
//! | `COLD` | bucket | time, key, order (newest first), salt | the bucket's name: a restore of this version is to be looked at then |
//! | `DEPOSITS` | bucket | key, order (newest first), salt | the bucket's name: this archived version's bytes are to go to a vault |
//! | `RESTORE_JOBS` | bucket | job | a job that restores all below a prefix |
//! | `INGESTS` | bucket | ingest | an archive that is being taken apart |
//! | `STAGED` | bucket | ingest, key bytes | an entry of it whose bytes are there and whose name is not |
//! | `RECOVERY` | root | – | which recovery's unknown locks are held by now |
//! | `EPOCH`, `VERSION_COUNT`, `BYTE_COUNT` | bucket | – | counters |
//! | `DEDUP_WRITTEN`, `DEDUP_STORED` | bucket | – | counters: bytes of deduplicated bodies, and of packs |
//! | `PART_EPOCH` | bucket | upload | counter: grows with every part |
//! | `QUOTA_COUNT` | bucket | quota, unit, column | counters of a prefix's quota |

use crate::dedup::ChunkName;
use crate::id::{IngestId, ManifestId, OwnerId};
use crate::setting::Column;
use crate::{BucketName, ObjectKey, QuotaUnit, RestoreJobId, SettingKind, UploadId, VersionId};
use bytes::Bytes;
use engine::catalog::key::{KeyReader, KeyWriter};
use engine::catalog::{Family, Key, Scan, Table};
use engine::clock::Timestamp;
use engine::id::{BlobId, PartitionId};

const fn table(family: Family, tag: u8) -> Table {
    Table { family, tag }
}

pub(crate) const BUCKETS: Table = table(Family::Record, 0x10);
pub(crate) const CONFIG: Table = table(Family::Record, 0x11);
pub(crate) const NULLS: Table = table(Family::Record, 0x12);
pub(crate) const PARTS: Table = table(Family::Record, 0x13);
pub(crate) const COMPLETED: Table = table(Family::Record, 0x14);
pub(crate) const MANIFESTS: Table = table(Family::Record, 0x15);
pub(crate) const MANIFEST_REFS: Table = table(Family::Record, 0x16);
pub(crate) const FOREIGN: Table = table(Family::Record, 0x17);
pub(crate) const SETTINGS: Table = table(Family::Record, 0x18);

pub(crate) const CHUNKS: Table = table(Family::Record, 0x28);
pub(crate) const PACKS: Table = table(Family::Record, 0x29);
pub(crate) const HOLDS: Table = table(Family::Record, 0x2A);

pub(crate) const RECOVERY: Table = table(Family::Record, 0x19);

pub(crate) const CURRENT: Table = table(Family::Index, 0x10);
pub(crate) const VERSIONS: Table = table(Family::Index, 0x11);
pub(crate) const UPLOADS: Table = table(Family::Index, 0x12);
pub(crate) const DUE: Table = table(Family::Index, 0x20);

pub(crate) const BODY: Table = table(Family::Body, 0x10);

pub(crate) const BUCKET_INTENTS: Table = table(Family::Queue, 0x10);
pub(crate) const DELETED: Table = table(Family::Queue, 0x11);
pub(crate) const UPLOAD_GARBAGE: Table = table(Family::Queue, 0x12);
pub(crate) const MANIFEST_GARBAGE: Table = table(Family::Queue, 0x13);
pub(crate) const RELEASES: Table = table(Family::Queue, 0x14);
pub(crate) const INTENTS: Table = table(Family::Queue, 0x15);
pub(crate) const FENCES: Table = table(Family::Queue, 0x16);

pub(crate) const INGESTS: Table = table(Family::Queue, 0x1c);
pub(crate) const STAGED: Table = table(Family::Queue, 0x1d);

pub(crate) const COLD: Table = table(Family::Queue, 0x1e);
pub(crate) const DEPOSITS: Table = table(Family::Queue, 0x1f);

pub(crate) const RESTORE_JOBS: Table = table(Family::Queue, 0x20);

pub(crate) const EPOCH: Table = table(Family::Counter, 0x10);
pub(crate) const VERSION_COUNT: Table = table(Family::Counter, 0x11);
pub(crate) const BYTE_COUNT: Table = table(Family::Counter, 0x12);
pub(crate) const PART_EPOCH: Table = table(Family::Counter, 0x13);
pub(crate) const QUOTA_COUNT: Table = table(Family::Counter, 0x18);
pub(crate) const DEDUP_WRITTEN: Table = table(Family::Counter, 0x28);
pub(crate) const DEDUP_STORED: Table = table(Family::Counter, 0x29);

/// The value of a row that says all by being there.
pub(crate) const PRESENT: Bytes = Bytes::from_static(&[1]);

/// The key of a table that has one row.
pub(crate) fn only(table: Table) -> Key {
    table.key(Bytes::from_static(&[0]))
}

pub(crate) fn bucket(table: Table, name: &BucketName) -> Key {
    table.key(Bytes::copy_from_slice(name.as_str().as_bytes()))
}

pub(crate) fn partition(table: Table, id: PartitionId) -> Key {
    table.key(Bytes::copy_from_slice(id.as_bytes()))
}

pub(crate) fn setting(kind: SettingKind, name: &str) -> Key {
    let mut raw = vec![kind.tag()];
    raw.extend_from_slice(name.as_bytes());
    SETTINGS.key(raw)
}

/// What a counter stands at; one that is not there stands at 0.
pub(crate) fn stands_at(row: Option<&Bytes>) -> engine::Result<i64> {
    let Some(raw) = row else { return Ok(0) };
    raw.as_ref().try_into().map(i64::from_le_bytes).map_err(|_| engine::Error::Corrupt {
        what: "catalog".into(),
        detail: "a counter has the wrong length".into(),
    })
}

/// The same, of one that counts what there is; what is counted on the way may be below 0.
pub(crate) fn count(row: Option<&Bytes>) -> engine::Result<u64> {
    Ok(u64::try_from(stands_at(row)?).unwrap_or(0))
}

/// A counter of a prefix's quota.
pub(crate) fn quota(id: u32, unit: QuotaUnit, column: Column) -> Key {
    let unit = match unit {
        QuotaUnit::Bytes => 0,
        QuotaUnit::Objects => 1,
    };
    let column = match column {
        Column::Counted => 0,
        Column::Aside => 1,
    };
    QUOTA_COUNT.key(KeyWriter::new().u32(id).u8(unit).u8(column).finish())
}

pub(crate) fn current(key: &ObjectKey) -> Key {
    CURRENT.key(Bytes::copy_from_slice(key.as_bytes()))
}

pub(crate) fn null(key: &ObjectKey) -> Key {
    NULLS.key(Bytes::copy_from_slice(key.as_bytes()))
}

pub(crate) fn version(key: &ObjectKey, id: VersionId) -> Key {
    VERSIONS.key(KeyWriter::new().bytes(key.as_bytes()).u64_desc(id.order).u64(id.salt).finish())
}

/// Where all versions of a key begin.
pub(crate) fn versions_of(key: &ObjectKey) -> Bytes {
    KeyWriter::new().bytes(key.as_bytes()).finish()
}

pub(crate) fn read_version(raw: &[u8]) -> engine::Result<(String, VersionId)> {
    let mut reader = KeyReader::new(raw);
    let key = text(reader.bytes()?)?;
    let id = VersionId { order: reader.u64_desc()?, salt: reader.u64()? };
    reader.end()?;
    Ok((key, id))
}

pub(crate) fn upload(key: &ObjectKey, id: UploadId) -> Key {
    UPLOADS.key(KeyWriter::new().bytes(key.as_bytes()).fixed(id.as_bytes()).finish())
}

pub(crate) fn read_upload(raw: &[u8]) -> engine::Result<(String, UploadId)> {
    let mut reader = KeyReader::new(raw);
    let key = text(reader.bytes()?)?;
    let id = UploadId::from_bytes(reader.fixed()?);
    reader.end()?;
    Ok((key, id))
}

pub(crate) fn text(raw: Vec<u8>) -> engine::Result<String> {
    String::from_utf8(raw).map_err(|_| engine::Error::Corrupt {
        what: "row key".into(),
        detail: "an object key that is not UTF-8".into(),
    })
}

pub(crate) fn part(id: UploadId, number: u16) -> Key {
    PARTS.key(KeyWriter::new().fixed(id.as_bytes()).fixed(&number.to_be_bytes()).finish())
}

pub(crate) fn read_part(raw: &[u8]) -> engine::Result<u16> {
    let mut reader = KeyReader::new(raw);
    let _upload: [u8; 16] = reader.fixed()?;
    let number = u16::from_be_bytes(reader.fixed()?);
    reader.end()?;
    Ok(number)
}

pub(crate) fn of_upload(table: Table, id: UploadId) -> Key {
    table.key(Bytes::copy_from_slice(id.as_bytes()))
}

pub(crate) fn of_owner(table: Table, id: OwnerId) -> Key {
    table.key(Bytes::copy_from_slice(id.as_bytes()))
}

pub(crate) fn of_manifest(table: Table, id: ManifestId) -> Key {
    table.key(Bytes::copy_from_slice(id.as_bytes()))
}

pub(crate) fn ingest(id: IngestId) -> Key {
    INGESTS.key(Bytes::copy_from_slice(id.as_bytes()))
}

pub(crate) fn staged(id: IngestId, key: &ObjectKey) -> Key {
    STAGED.key([id.as_bytes(), key.as_bytes()].concat())
}

/// The object key of a staged row's.
pub(crate) fn read_staged(raw: &[u8]) -> engine::Result<String> {
    text(raw.get(16..).unwrap_or_default().to_vec())
}

pub(crate) fn manifest_page(id: ManifestId, start: u64) -> Key {
    MANIFESTS.key(KeyWriter::new().fixed(id.as_bytes()).u64(start).finish())
}

pub(crate) fn manifest_ref(id: ManifestId, owner: OwnerId) -> Key {
    MANIFEST_REFS.key(KeyWriter::new().fixed(id.as_bytes()).fixed(owner.as_bytes()).finish())
}

pub(crate) fn chunk(name: &ChunkName) -> Key {
    CHUNKS.key(Bytes::copy_from_slice(name.as_bytes()))
}

pub(crate) fn pack(blob: BlobId) -> Key {
    PACKS.key(Bytes::copy_from_slice(blob.as_bytes()))
}

pub(crate) fn hold(id: ManifestId, pack: BlobId) -> Key {
    HOLDS.key(KeyWriter::new().fixed(id.as_bytes()).fixed(pack.as_bytes()).finish())
}

/// The pack that a hold is on.
pub(crate) fn read_hold(raw: &[u8]) -> engine::Result<BlobId> {
    let mut reader = KeyReader::new(raw);
    let _manifest: [u8; 16] = reader.fixed()?;
    let pack = BlobId::from_bytes(reader.fixed()?);
    reader.end()?;
    Ok(pack)
}

/// What of a key is looked at when a row of `DUE` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum DueOf {
    Versions,
    Uploads,
}

/// A look at a key at a moment; before the epoch is at it.
pub(crate) fn due(at: Timestamp, of: DueOf, key: &str) -> Key {
    let of = match of {
        DueOf::Versions => 0,
        DueOf::Uploads => 1,
    };
    let at = u64::try_from(at.as_millis()).unwrap_or(0);
    DUE.key(KeyWriter::new().u64(at).u8(of).tail(key.as_bytes()).finish())
}

/// All that is to be looked at by a moment.
pub(crate) fn due_by(at: Timestamp, limit: usize) -> Scan {
    let end = u64::try_from(at.as_millis()).unwrap_or(0).saturating_add(1);
    Scan { end: KeyWriter::new().u64(end).finish(), keys_only: true, ..Scan::prefix(DUE, b"", limit) }
}

pub(crate) fn read_due(raw: &[u8]) -> engine::Result<(Timestamp, DueOf, String)> {
    let mut reader = KeyReader::new(raw);
    let at = i64::try_from(reader.u64()?).unwrap_or(i64::MAX);
    let of = match reader.u8()? {
        0 => DueOf::Versions,
        1 => DueOf::Uploads,
        other => {
            let detail = format!("a look at {other} of a key");
            return Err(engine::Error::Corrupt { what: "row key".into(), detail });
        }
    };
    Ok((Timestamp::from_millis(at), of, text(reader.tail().to_vec())?))
}

/// A look at a restore of a version at a moment.
pub(crate) fn cold(at: Timestamp, key: &ObjectKey, id: VersionId) -> Key {
    let at = u64::try_from(at.as_millis()).unwrap_or(0);
    COLD.key(KeyWriter::new().u64(at).tail(&version(key, id).bytes).finish())
}

/// All restores that are to be looked at by a moment.
pub(crate) fn cold_by(at: Timestamp, limit: usize) -> Scan {
    let end = u64::try_from(at.as_millis()).unwrap_or(0).saturating_add(1);
    Scan { end: KeyWriter::new().u64(end).finish(), ..Scan::prefix(COLD, b"", limit) }
}

pub(crate) fn read_cold(raw: &[u8]) -> engine::Result<(String, VersionId)> {
    let mut reader = KeyReader::new(raw);
    reader.u64()?;
    read_version(reader.tail())
}

/// An archived version whose bytes are to go to a vault.
pub(crate) fn deposit(key: &ObjectKey, id: VersionId) -> Key {
    DEPOSITS.key(version(key, id).bytes)
}

/// A job that restores all below a prefix.
pub(crate) fn restore_job(id: RestoreJobId) -> Key {
    RESTORE_JOBS.key(Bytes::copy_from_slice(id.as_bytes()))
}

/// A 16-byte id that is a whole key.
pub(crate) fn read_id(raw: &[u8]) -> engine::Result<[u8; 16]> {
    let mut reader = KeyReader::new(raw);
    let id = reader.fixed()?;
    reader.end()?;
    Ok(id)
}
