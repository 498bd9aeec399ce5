//! The rows that say where blobs are and who refers to them. See docs/formats/blob-rows.md.
//!
//! | table | family, tag | key | value |
//! |---|---|---|---|
//! | blob | Record 0xB0 | blob (16) | [`BlobRow`] |
//! | reference | Record 0xB1 | blob (16) ‖ owner (1..=64) | `0x01` |
//! | home | Record 0xB2, root partition | partition (8) | `0x01` |
//! | scrub cursor | Record 0xB3, root partition | empty | version `0x01` ‖ partition (8) ‖ blob (16) |
//! | garbage | Queue 0xB0 | blob (16) | `0x01` |
//! | live bytes | Counter 0xB0 | segment (8) | bytes of records that blob rows of this partition name |
//!
//! A blob row, all integers big-endian:
//!
//! | offset | length | field | meaning |
//! |---|---|---|---|
//! | 0 | 1 | version | 1 |
//! | 1 | 1 | pool | 0: local |
//! | 2 | 8 | length | plaintext bytes |
//! | 10 | 4 | places | number of records |
//! | 14 | 16 each | place | segment (8), offset of the frame (4), payload length (4) |
//! | end − 4 | 4 | checksum | CRC32C of all before it |

use crate::catalog::{Family, Key, Table};
use crate::codec::chunk::{CHUNK_BYTES, SEALED_CHUNK_BYTES, TAG_BYTES, sealed_len};
use crate::id::{BlobId, PartitionId, SegmentId};
use crate::pool::frame::{PAYLOAD_MAX, record_len};
use crate::{Error, Result};

pub(crate) const BLOBS: Table = Table { family: Family::Record, tag: 0xB0 };
pub(crate) const REFERENCES: Table = Table { family: Family::Record, tag: 0xB1 };
pub(crate) const HOMES: Table = Table { family: Family::Record, tag: 0xB2 };
pub(crate) const SCRUB_CURSOR: Table = Table { family: Family::Record, tag: 0xB3 };
pub(crate) const GARBAGE: Table = Table { family: Family::Queue, tag: 0xB0 };
pub(crate) const LIVE: Table = Table { family: Family::Counter, tag: 0xB0 };

const VERSION: u8 = 1;
const POOL_LOCAL: u8 = 0;
const FIXED_BYTES: usize = 14;
const PLACE_BYTES: usize = 16;
const CHECKSUM_BYTES: usize = 4;

/// Largest blob: its row stays below the catalog's 64 KiB a value.
pub const BLOB_BYTES_MAX: u64 = 8 << 30;

/// Where one record lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct RecordAt {
    /// The segment.
    pub(crate) segment: SegmentId,
    /// Of the frame, from the start of the file.
    pub(crate) offset: u32,
    /// Bytes of sealed chunks behind the frame.
    pub(crate) payload_len: u32,
}

impl RecordAt {
    /// Bytes the record takes in its segment: what the live counters count.
    pub(crate) fn stored_len(&self) -> u64 {
        record_len(self.payload_len as usize) as u64
    }

    /// Chunks in the record.
    pub(crate) fn chunks(&self) -> u64 {
        u64::from(self.payload_len).div_ceil(SEALED_CHUNK_BYTES as u64)
    }
}

/// Where a blob lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BlobRow {
    /// Plaintext bytes.
    pub(crate) length: u64,
    /// Its records, in order.
    pub(crate) places: Vec<RecordAt>,
}

impl BlobRow {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(FIXED_BYTES + self.places.len() * PLACE_BYTES + CHECKSUM_BYTES);
        bytes.extend_from_slice(&[VERSION, POOL_LOCAL]);
        bytes.extend_from_slice(&self.length.to_be_bytes());
        bytes.extend_from_slice(&u32::try_from(self.places.len()).unwrap_or(u32::MAX).to_be_bytes());
        for place in &self.places {
            bytes.extend_from_slice(place.segment.as_bytes());
            bytes.extend_from_slice(&place.offset.to_be_bytes());
            bytes.extend_from_slice(&place.payload_len.to_be_bytes());
        }
        bytes.extend_from_slice(&crc_fast::crc32_iscsi(&bytes).to_be_bytes());
        bytes
    }

    /// Errors name the blob.
    pub(crate) fn decode(blob: BlobId, bytes: &[u8]) -> Result<Self> {
        let corrupt =
            |detail: &str| Error::Corrupt { what: format!("row of blob {blob}"), detail: detail.to_owned() };
        let Some((body, checksum)) = bytes.split_last_chunk::<CHECKSUM_BYTES>() else {
            return Err(corrupt("too short"));
        };
        if crc_fast::crc32_iscsi(body).to_be_bytes() != *checksum {
            return Err(corrupt("checksum does not match"));
        }
        let Some((fixed, places)) = body.split_first_chunk::<FIXED_BYTES>() else {
            return Err(corrupt("too short"));
        };
        if fixed[0] > VERSION {
            let what = format!("row of blob {blob}");
            return Err(Error::Newer { what, found: fixed[0].into(), supported: VERSION.into() });
        }
        let (places, rest) = places.as_chunks::<PLACE_BYTES>();
        let count = u32::from_be_bytes([fixed[10], fixed[11], fixed[12], fixed[13]]);
        if fixed[0] == 0
            || fixed[1] != POOL_LOCAL
            || !rest.is_empty()
            || places.len() as u64 != u64::from(count)
        {
            return Err(corrupt("impossible version, pool or number of places"));
        }
        let mut length = [0; 8];
        length.copy_from_slice(&fixed[2..10]);
        let row =
            Self { length: u64::from_be_bytes(length), places: places.iter().map(decode_place).collect() };
        row.check_lengths().map_err(corrupt)?;
        Ok(row)
    }

    /// All records but the last hold full chunks, and the sum fits the length.
    fn check_lengths(&self) -> Result<(), &'static str> {
        let full = SEALED_CHUNK_BYTES as u64;
        let Some((last, before)) = self.places.split_last() else {
            return if self.length == 0 { Ok(()) } else { Err("no places") };
        };
        let fits = |n: u64| n > TAG_BYTES as u64 && n <= PAYLOAD_MAX as u64;
        if !before.iter().all(|p| fits(p.payload_len.into()) && u64::from(p.payload_len).is_multiple_of(full))
        {
            return Err("impossible payload length");
        }
        let sum: u64 = self.places.iter().map(|p| u64::from(p.payload_len)).sum();
        if !fits(last.payload_len.into()) || self.length > BLOB_BYTES_MAX || sum != sealed_len(self.length) {
            return Err("payload lengths do not add up");
        }
        Ok(())
    }

    /// Plaintext bytes of the chunk with this index.
    pub(crate) fn chunk_len(&self, index: u64) -> usize {
        let start = index * CHUNK_BYTES as u64;
        usize::try_from(self.length.saturating_sub(start)).unwrap_or(usize::MAX).min(CHUNK_BYTES)
    }
}

fn decode_place(bytes: &[u8; PLACE_BYTES]) -> RecordAt {
    let [s0, s1, s2, s3, s4, s5, s6, s7, o0, o1, o2, o3, l0, l1, l2, l3] = *bytes;
    RecordAt {
        segment: SegmentId::from_bytes([s0, s1, s2, s3, s4, s5, s6, s7]),
        offset: u32::from_be_bytes([o0, o1, o2, o3]),
        payload_len: u32::from_be_bytes([l0, l1, l2, l3]),
    }
}

pub(crate) fn blob_key(blob: BlobId) -> Key {
    BLOBS.key(blob.as_bytes().to_vec())
}

pub(crate) fn garbage_key(blob: BlobId) -> Key {
    GARBAGE.key(blob.as_bytes().to_vec())
}

pub(crate) fn live_key(segment: SegmentId) -> Key {
    LIVE.key(segment.as_bytes().to_vec())
}

pub(crate) fn home_key(home: PartitionId) -> Key {
    HOMES.key(home.as_bytes().to_vec())
}

/// The value of rows whose key says it all.
pub(crate) const PRESENT: &[u8] = &[1];

#[cfg(test)]
mod tests {
    use super::{BlobRow, RecordAt};
    use crate::Error;
    use crate::codec::chunk::CHUNK_BYTES;
    use crate::id::{BlobId, SegmentId};

    const BLOB: BlobId = BlobId::from_bytes([0xBB; 16]);

    fn row() -> BlobRow {
        let place = |segment: &[u8; 8], offset, payload_len| RecordAt {
            segment: SegmentId::from_bytes(*segment),
            offset,
            payload_len,
        };
        BlobRow {
            length: CHUNK_BYTES as u64 + 5,
            places: vec![place(b"segment1", 4096, 0x1_0010), place(b"segment2", 0x0102_0340, 21)],
        }
    }

    fn golden() -> Vec<u8> {
        let mut bytes = b"\x01\x00\0\0\0\0\0\x01\0\x05\0\0\0\x02".to_vec();
        bytes.extend_from_slice(b"segment1\0\0\x10\0\0\x01\0\x10segment2\x01\x02\x03\x40\0\0\0\x15");
        bytes.extend_from_slice(&[0x9F, 0xE9, 0xE9, 0x69]);
        bytes
    }

    #[test]
    fn golden_row() {
        assert_eq!(row().encode(), golden());
        assert_eq!(BlobRow::decode(BLOB, &golden()).unwrap(), row());
    }

    #[test]
    fn every_flipped_byte_and_every_cut_is_refused() {
        let good = golden();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 4;
            BlobRow::decode(BLOB, &bad).unwrap_err();
            BlobRow::decode(BLOB, &good[..at]).unwrap_err();
        }
    }

    #[test]
    fn lengths_that_do_not_add_up_are_refused() {
        for change in [
            |row: &mut BlobRow| row.length += 1,
            |row: &mut BlobRow| row.places[0].payload_len -= 1,
            |row: &mut BlobRow| row.places.clear(),
            |row: &mut BlobRow| row.places.swap(0, 1),
            |row: &mut BlobRow| row.length = u64::MAX,
        ] {
            let mut bad = row();
            change(&mut bad);
            BlobRow::decode(BLOB, &bad.encode()).unwrap_err();
        }
        let empty = BlobRow { length: 0, places: vec![] };
        assert_eq!(BlobRow::decode(BLOB, &empty.encode()).unwrap(), empty);
    }

    #[test]
    fn a_newer_version_is_named() {
        let mut newer = golden();
        newer[0] = 2;
        newer.truncate(newer.len() - 4);
        newer.extend_from_slice(&crc_fast::crc32_iscsi(&newer).to_be_bytes());
        assert!(matches!(BlobRow::decode(BLOB, &newer).unwrap_err(), Error::Newer { found: 2, .. }));
    }
}
