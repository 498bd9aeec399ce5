//! The rows that say where blobs are and who refers to them. See docs/formats/blob-rows.md.
//!
//! | table | family, tag | key | value |
//! |---|---|---|---|
//! | blob | Record 0xB0 | blob (16) | [`BlobRow`] |
//! | reference | Record 0xB1 | blob (16) ‖ owner (1..=64) | `0x01` |
//! | home | Record 0xB2, root partition | partition (8) | `0x01` |
//! | scrub cursor | Record 0xB3, root partition | empty | version `0x01` ‖ partition (8) ‖ blob (16) |
//! | zone | Record 0xB4, root partition | zone (2) | [`ZoneRow`](super::roster::ZoneRow) |
//! | sweep | Record 0xB5, root partition | empty | [`SweepRow`](super::sweep::SweepRow) |
//! | companions | Record 0xB6 | blob (16) | what goes with the blob: [`Companion`](super::Companion) |
//! | garbage | Queue 0xB0 | blob (16) | `0x01` |
//! | repair | Queue 0xB1 | blob (16) | `0x01`: it lacks copies; `0x02`: a copy is damaged |
//! | upload | Queue 0xB2 | blob (16) | [`UploadRow`](super::remote::rows::UploadRow) |
//! | doomed | Queue 0xB3 | blob (16) ‖ remote copy (8) | [`DoomedRow`](super::remote::rows::DoomedRow) |
//! | parts | Queue 0xB4 | blob (16) ‖ remote copy (8) | [`PartsRow`](super::remote::rows::PartsRow) |
//! | remote bytes | Counter 0xB1 | zone (2) | bytes of remote objects that blob rows of this partition name |
//! | live bytes | Counter 0xB0 | segment (8) | bytes of records that blob rows of this partition name |
//!
//! A blob row is [`BlobRow`], whose module has the bytes.

mod bytes;

pub(super) use bytes::COPIES_MAX;

use crate::catalog::{Family, Key, Table};
use crate::codec::chunk::CHUNK_BYTES;
use crate::id::{BlobId, CopyId, PartitionId, SegmentId};
use crate::pool::frame::record_len;
use crate::pool::{RecordAt, ZoneId};

pub(crate) const BLOBS: Table = Table { family: Family::Record, tag: 0xB0 };
pub(crate) const REFERENCES: Table = Table { family: Family::Record, tag: 0xB1 };
pub(crate) const HOMES: Table = Table { family: Family::Record, tag: 0xB2 };
pub(crate) const SCRUB_CURSOR: Table = Table { family: Family::Record, tag: 0xB3 };
pub(crate) const ZONES: Table = Table { family: Family::Record, tag: 0xB4 };
pub(crate) const SWEEP: Table = Table { family: Family::Record, tag: 0xB5 };
pub(crate) const COMPANIONS: Table = Table { family: Family::Record, tag: 0xB6 };
pub(crate) const GARBAGE: Table = Table { family: Family::Queue, tag: 0xB0 };
pub(crate) const REPAIR: Table = Table { family: Family::Queue, tag: 0xB1 };
pub(crate) const UPLOADS: Table = Table { family: Family::Queue, tag: 0xB2 };
pub(crate) const DOOMED: Table = Table { family: Family::Queue, tag: 0xB3 };
pub(crate) const PARTS: Table = Table { family: Family::Queue, tag: 0xB4 };
pub(crate) const REMOTE_BYTES: Table = Table { family: Family::Counter, tag: 0xB1 };
pub(crate) const LIVE: Table = Table { family: Family::Counter, tag: 0xB0 };

/// Largest blob: its row stays below the catalog's 64 KiB a value.
pub const BLOB_BYTES_MAX: u64 = 8 << 30;

/// How many copies a blob is to have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Copies {
    /// As many as the store keeps.
    #[default]
    Configured,
    /// One, whatever the store keeps.
    One,
}

/// One copy of a blob: its records, in order, all in one zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BlobCopy {
    /// The zone that it was written to.
    pub(crate) zone: ZoneId,
    /// Its records.
    pub(crate) places: Vec<RecordAt>,
}

/// The copy of a blob in a remote pool: one object, its records one behind the other, each as in a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RemoteCopy {
    /// The pool's zone.
    pub(crate) zone: ZoneId,
    /// Which upload of the blob it is.
    pub(crate) id: CopyId,
    /// Bytes of sealed chunks in each record: what [`RecordAt::payload_len`] says of the other copies.
    pub(crate) payloads: Vec<u32>,
}

/// Where a blob lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BlobRow {
    /// Plaintext bytes.
    pub(crate) length: u64,
    /// Copies that it is to have.
    pub(crate) wanted: Copies,
    /// Those that it has in local pools, no two in one zone; none where there is a remote one. Their records are cut alike.
    pub(crate) copies: Vec<BlobCopy>,
    /// The one in a remote pool, cut like the others.
    pub(crate) remote: Option<RemoteCopy>,
}

impl RemoteCopy {
    /// Bytes of the whole object.
    pub(crate) fn stored_len(&self) -> u64 {
        self.payloads.iter().map(|payload| record_len(*payload as usize) as u64).sum()
    }

    /// Where a record's frame begins in the object.
    pub(crate) fn offset_of(&self, index: usize) -> u64 {
        self.payloads.iter().take(index).map(|payload| record_len(*payload as usize) as u64).sum()
    }
}

impl BlobRow {
    /// The records of all local copies.
    pub(crate) fn places(&self) -> impl Iterator<Item = &RecordAt> {
        self.copies.iter().flat_map(|copy| &copy.places)
    }

    /// Bytes of sealed chunks in each record of a copy.
    pub(crate) fn payloads(&self) -> Vec<u32> {
        match (self.copies.first(), &self.remote) {
            (Some(copy), _) => copy.places.iter().map(|place| place.payload_len).collect(),
            (None, Some(remote)) => remote.payloads.clone(),
            (None, None) => Vec::new(),
        }
    }

    /// Records of one copy.
    pub(crate) fn records(&self) -> usize {
        let remote = || self.remote.as_ref().map_or(0, |remote| remote.payloads.len());
        self.copies.first().map_or_else(remote, |copy| copy.places.len())
    }

    /// Bytes that a record takes in a copy, frame and padding included; 0 when there is no such record.
    pub(crate) fn record_stored_len(&self, index: usize) -> u64 {
        let local = self.copies.first().map(|copy| copy.places.get(index).map(|place| place.payload_len));
        let remote = || self.remote.as_ref().and_then(|remote| remote.payloads.get(index).copied());
        local.unwrap_or_else(remote).map_or(0, |payload| record_len(payload as usize) as u64)
    }

    /// Plaintext bytes of the chunk with this index.
    pub(crate) fn chunk_len(&self, index: u64) -> usize {
        let start = index * CHUNK_BYTES as u64;
        usize::try_from(self.length.saturating_sub(start)).unwrap_or(usize::MAX).min(CHUNK_BYTES)
    }
}

pub(crate) fn blob_key(blob: BlobId) -> Key {
    BLOBS.key(blob.as_bytes().to_vec())
}

pub(crate) fn companions_key(blob: BlobId) -> Key {
    COMPANIONS.key(blob.as_bytes().to_vec())
}

pub(crate) fn garbage_key(blob: BlobId) -> Key {
    GARBAGE.key(blob.as_bytes().to_vec())
}

pub(crate) fn repair_key(blob: BlobId) -> Key {
    REPAIR.key(blob.as_bytes().to_vec())
}

pub(crate) fn upload_key(blob: BlobId) -> Key {
    UPLOADS.key(blob.as_bytes().to_vec())
}

pub(crate) fn doomed_key(blob: BlobId, copy: CopyId) -> Key {
    DOOMED.key([&blob.as_bytes()[..], copy.as_bytes()].concat())
}

pub(crate) fn parts_key(blob: BlobId, copy: CopyId) -> Key {
    PARTS.key([&blob.as_bytes()[..], copy.as_bytes()].concat())
}

pub(crate) fn remote_bytes_key(zone: ZoneId) -> Key {
    REMOTE_BYTES.key(zone.to_bytes().to_vec())
}

pub(crate) fn live_key(segment: SegmentId) -> Key {
    LIVE.key(segment.as_bytes().to_vec())
}

pub(crate) fn home_key(home: PartitionId) -> Key {
    HOMES.key(home.as_bytes().to_vec())
}

/// The value of a repair row: every record is to be read and verified. [`PRESENT`]: the blob lacks copies.
pub(crate) const DAMAGED: &[u8] = &[2];
/// The value of rows whose key says it all.
pub(crate) const PRESENT: &[u8] = &[1];
