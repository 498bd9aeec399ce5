//! Where rows lie. The tags are part of the format (docs/formats/vault.md).
//!
//! | table | partition | key | value |
//! |---|---|---|---|
//! | `VAULTS` | root | account (8), name | [`VaultRow`](super::rows::VaultRow) |
//! | `INTENTS` | root | account (8), name | [`PRESENT`]: a creation or deletion under way |
//! | `DELETED` | root | partition | [`PRESENT`]: its leftovers are to be cleared |
//! | `SYSTEMS` | root | partition | whose vault this partition has, which no door shows |
//! | `POLICIES` | root | account (8) | [`PolicyRow`](super::terms::PolicyRow): what an account may retrieve |
//! | `CAPACITY` | root | account (8), unit (16) | [`UnitRow`](super::terms::UnitRow): provisioned capacity that it bought |
//! | `MEDIA` | root | name | [`MediumRow`](super::rows::MediumRow) |
//! | `CONFIG` | vault | – | [`ConfigRow`](super::rows::ConfigRow); the `exists` guard |
//! | `SECRETS` | vault | – | the vault's keys, sealed by the key table |
//! | `SETTINGS` | vault | kind | policies, notification, tags, lock, guard |
//! | `ARCHIVES` | vault | archive | [`ArchiveRow`](super::rows::ArchiveRow) |
//! | `PIECES` | vault | archive, offset | [`PieceRow`](super::rows::PieceRow): bytes that wait as a blob |
//! | `PLACES` | vault | archive, offset | [`PlaceRow`](super::rows::PlaceRow): bytes that lie in a pack |
//! | `PACKS` | vault | pack | [`PackRow`](super::rows::PackRow) |
//! | `SCRUBBED` | vault | pack | [`ScrubRow`](super::scrubber::ScrubRow): when it was last looked at |
//! | `SUBKEYS` | vault | key | a subkey, sealed by the vault's key |
//! | `CHUNKS` | vault | chunk | [`ChunkRow`](super::rows::ChunkRow): where a deduplicated chunk lies |
//! | `PACK_USES` | vault | pack, other pack | [`PRESENT`]: the other one refers to chunks of it |
//! | `UPLOADS` | vault | archive to be | [`UploadRow`](super::rows::UploadRow) |
//! | `JOBS` | vault | job | a retrieval job (docs/formats/retrieval-jobs.md) |
//! | `FACTS` | vault | job | [`FactsRow`](super::rows::FactsRow): what a job is about, and what came of it |
//! | `OUTPUTS` | vault | job, offset | [`PieceRow`](super::rows::PieceRow): bytes that were retrieved |
//! | `CREATED` | vault | time, archive | [`PRESENT`]: the order of inventories |
//! | `STAGED` | vault | time, archive | how many bytes of it are in packs |
//! | `GARBAGE` | vault | archive or job | [`Garbage`](super::rows::Garbage): what of it is to be released |
//! | `FENCE` | vault | – | [`PRESENT`]: the vault can't come to be any more |
//! | `COUNT`, `BYTES`, `EPOCH` | vault | – | counters; `EPOCH` grows with every archive and upload that comes |
//! | `PART_EPOCH` | vault | upload | counter: grows with every part |
//! | `LIVE` | vault | pack | counter: bytes of archives in it that are there |
//! | `HELD` | vault | pack | counter: bytes of archives that came to it; without one, it was kept before that was counted |

use super::VaultName;
use crate::pack::{ArchiveId, KeyId, PackId};
use crate::retrieval::{JobId, UnitId};
use bytes::Bytes;
use engine::catalog::key::{KeyReader, KeyWriter};
use engine::catalog::{Family, Key, Table};
use engine::clock::Timestamp;
use engine::id::PartitionId;
use security::AccountId;

const fn table(family: Family, tag: u8) -> Table {
    Table { family, tag }
}

pub(super) const VAULTS: Table = table(Family::Record, 0x50);
pub(super) const MEDIA: Table = table(Family::Record, 0x51);
pub(super) const CONFIG: Table = table(Family::Record, 0x52);
pub(super) const SECRETS: Table = table(Family::Record, 0x53);
pub(super) const SETTINGS: Table = table(Family::Record, 0x54);
pub(super) const ARCHIVES: Table = table(Family::Record, 0x55);
pub(super) const PIECES: Table = table(Family::Record, 0x56);
pub(super) const PLACES: Table = table(Family::Record, 0x57);
pub(super) const PACKS: Table = table(Family::Record, 0x58);
pub(super) const SUBKEYS: Table = table(Family::Record, 0x59);
pub(super) const CHUNKS: Table = table(Family::Record, 0x5A);
pub(super) const PACK_USES: Table = table(Family::Record, 0x5B);
pub(super) const UPLOADS: Table = table(Family::Record, 0x5C);
pub(super) const JOBS: Table = table(Family::Record, 0x5D);
pub(super) const FACTS: Table = table(Family::Record, 0x5E);
pub(super) const OUTPUTS: Table = table(Family::Record, 0x5F);
pub(super) const SYSTEMS: Table = table(Family::Record, 0x60);
pub(super) const SCRUBBED: Table = table(Family::Record, 0x61);
pub(super) const POLICIES: Table = table(Family::Record, 0x62);
pub(super) const CAPACITY: Table = table(Family::Record, 0x63);

pub(super) const CREATED: Table = table(Family::Index, 0x50);

pub(super) const INTENTS: Table = table(Family::Queue, 0x50);
pub(super) const DELETED: Table = table(Family::Queue, 0x51);
pub(super) const STAGED: Table = table(Family::Queue, 0x52);
pub(super) const GARBAGE: Table = table(Family::Queue, 0x53);
pub(super) const FENCE: Table = table(Family::Queue, 0x54);

pub(super) const COUNT: Table = table(Family::Counter, 0x50);
pub(super) const BYTES: Table = table(Family::Counter, 0x51);
pub(super) const EPOCH: Table = table(Family::Counter, 0x52);
pub(super) const PART_EPOCH: Table = table(Family::Counter, 0x53);
pub(super) const LIVE: Table = table(Family::Counter, 0x54);
pub(super) const HELD: Table = table(Family::Counter, 0x55);

/// The value of a row that says all by being there.
pub(super) const PRESENT: Bytes = Bytes::from_static(&[1]);

/// The key of a table that has one row.
pub(super) fn only(table: Table) -> Key {
    table.key(Bytes::from_static(&[0]))
}

pub(super) fn of_partition(table: Table, id: PartitionId) -> Key {
    table.key(Bytes::copy_from_slice(id.as_bytes()))
}

/// The partition that is a whole key.
pub(super) fn read_partition(raw: &[u8]) -> engine::Result<PartitionId> {
    let mut reader = KeyReader::new(raw);
    let id = PartitionId::from_bytes(reader.fixed()?);
    reader.end()?;
    Ok(id)
}

pub(super) fn of_name(table: Table, account: AccountId, name: &VaultName) -> Key {
    table.key(KeyWriter::new().fixed(&account.to_bytes()).tail(name.as_str().as_bytes()).finish())
}

/// Account and name.
pub(super) fn read_name(raw: &[u8]) -> engine::Result<(AccountId, VaultName)> {
    let mut reader = KeyReader::new(raw);
    let corrupt = |detail: String| engine::Error::Corrupt { what: "vault row's key".into(), detail };
    let account = AccountId::from_bytes(reader.fixed()?).map_err(|error| corrupt(error.to_string()))?;
    let name = std::str::from_utf8(reader.tail()).map_err(|error| corrupt(error.to_string()))?;
    Ok((account, VaultName::parse(name).map_err(|error| corrupt(error.to_string()))?))
}

pub(super) fn of_account(account: AccountId) -> Key {
    POLICIES.key(account.to_bytes().to_vec())
}

/// The account that is a whole key.
pub(super) fn read_account(raw: &[u8]) -> engine::Result<AccountId> {
    let mut reader = KeyReader::new(raw);
    let account = account_of(reader.fixed()?)?;
    reader.end()?;
    Ok(account)
}

fn account_of(bytes: [u8; 8]) -> engine::Result<AccountId> {
    AccountId::from_bytes(bytes).map_err(|error| engine::Error::Corrupt {
        what: "account in a key".into(),
        detail: error.to_string(),
    })
}

pub(super) fn of_unit(account: AccountId, unit: UnitId) -> Key {
    CAPACITY.key(KeyWriter::new().fixed(&account.to_bytes()).fixed(unit.as_bytes()).finish())
}

/// Whose unit, and which.
pub(super) fn read_unit(raw: &[u8]) -> engine::Result<(AccountId, UnitId)> {
    let mut reader = KeyReader::new(raw);
    let found = (account_of(reader.fixed()?)?, UnitId::from_bytes(reader.fixed()?));
    reader.end()?;
    Ok(found)
}

pub(super) fn of_medium(name: &str) -> Key {
    MEDIA.key(Bytes::copy_from_slice(name.as_bytes()))
}

pub(super) fn of_archive(table: Table, archive: ArchiveId) -> Key {
    table.key(Bytes::copy_from_slice(archive.as_bytes()))
}

pub(super) fn of_job(table: Table, job: JobId) -> Key {
    table.key(Bytes::copy_from_slice(job.as_bytes()))
}

pub(super) fn of_pack(table: Table, pack: PackId) -> Key {
    table.key(Bytes::copy_from_slice(pack.as_bytes()))
}

pub(super) fn of_key(key: KeyId) -> Key {
    SUBKEYS.key(Bytes::copy_from_slice(key.as_bytes()))
}

/// Bytes of an archive or of a job's output, from `offset` on.
pub(super) fn at_offset(table: Table, of: &[u8; 16], offset: u64) -> Key {
    table.key(KeyWriter::new().fixed(of).u64(offset).finish())
}

/// Whose bytes, and from where on.
pub(super) fn read_offset(raw: &[u8]) -> engine::Result<([u8; 16], u64)> {
    let mut reader = KeyReader::new(raw);
    let found = (reader.fixed()?, reader.u64()?);
    reader.end()?;
    Ok(found)
}

/// An archive by its time.
pub(super) fn by_time(table: Table, created: Timestamp, archive: ArchiveId) -> Key {
    table.key(time_prefix(created, archive.as_bytes()))
}

pub(super) fn time_prefix(created: Timestamp, rest: &[u8]) -> Bytes {
    let ms = u64::try_from(created.as_millis()).unwrap_or(0);
    KeyWriter::new().u64(ms).tail(rest).finish()
}

pub(super) fn read_time(raw: &[u8]) -> engine::Result<(Timestamp, ArchiveId)> {
    let mut reader = KeyReader::new(raw);
    let ms = i64::try_from(reader.u64()?).unwrap_or(i64::MAX);
    let archive = ArchiveId::from_bytes(reader.fixed()?);
    reader.end()?;
    Ok((Timestamp::from_millis(ms), archive))
}

pub(super) fn pack_use(pack: PackId, other: PackId) -> Key {
    PACK_USES.key(KeyWriter::new().fixed(pack.as_bytes()).fixed(other.as_bytes()).finish())
}

/// A 16-byte id that is a whole key.
pub(super) fn read_id(raw: &[u8]) -> engine::Result<[u8; 16]> {
    let mut reader = KeyReader::new(raw);
    let id = reader.fixed()?;
    reader.end()?;
    Ok(id)
}

/// What a counter stands at; one that is not there stands at 0, and so does one below it.
pub(super) fn stands_at(row: Option<&Bytes>) -> engine::Result<u64> {
    let Some(raw) = row else { return Ok(0) };
    let corrupt =
        |_| engine::Error::Corrupt { what: "vault".into(), detail: "a counter has the wrong length".into() };
    let value = raw.as_ref().try_into().map(i64::from_le_bytes).map_err(corrupt)?;
    Ok(u64::try_from(value).unwrap_or(0))
}
