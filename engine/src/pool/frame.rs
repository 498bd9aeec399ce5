//! The frame in front of each record's payload.
//!
//! | offset | length | field | meaning (integers little-endian) |
//! |---|---|---|---|
//! | 0 | 4 | magic | `fREC` |
//! | 4 | 2 | version | 1 |
//! | 6 | 2 | flags | 0 |
//! | 8 | 8 | generation | id of the segment: a recycled file's old frames never pass for new ones |
//! | 16 | 16 | blob | |
//! | 32 | 8 | home | the partition of the blob's row |
//! | 40 | 4 | index | of the record in its blob, from 0 |
//! | 44 | 4 | payload length | bytes of sealed chunks that follow the frame |
//! | 48 | 8 | first chunk | index in the blob of the first sealed chunk |
//! | 56 | 4 | plain length | plaintext bytes in the payload |
//! | 60 | 4 | zero | |
//! | 64 | 32 | hash | BLAKE3 of the payload |
//! | 96 | 28 | zero | |
//! | 124 | 4 | checksum | CRC32C of bytes 0..124 |
//!
//! The payload follows, then zeros up to a multiple of 64 bytes.

use super::header::field;
use crate::id::{BlobId, PartitionId, SegmentId};
use crate::{Error, Result};

/// Bytes of a frame.
pub const FRAME_BYTES: usize = 128;
/// Frames start at multiples of this.
pub const FRAME_ALIGN: usize = 64;
/// Largest payload: 64 full sealed chunks (4 MiB of plaintext).
pub const PAYLOAD_MAX: usize = 64 * crate::codec::chunk::SEALED_CHUNK_BYTES;
/// The version this binary reads and writes.
pub const VERSION: u16 = 1;
const MAGIC: &[u8; 4] = b"fREC";
const CHECKED: usize = FRAME_BYTES - 4;

/// A decoded frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Id of the segment it was written to.
    pub generation: SegmentId,
    /// Whose bytes follow.
    pub blob: BlobId,
    /// The partition of the blob's row.
    pub home: PartitionId,
    /// Index of the record in the blob.
    pub index: u32,
    /// Bytes that follow.
    pub payload_len: u32,
    /// Index in the blob of the first sealed chunk.
    pub first_chunk: u64,
    /// Plaintext bytes in the payload.
    pub plain_len: u32,
    /// BLAKE3 of the payload.
    pub hash: [u8; 32],
}

impl Frame {
    /// The bytes on disk.
    pub fn encode(&self) -> [u8; FRAME_BYTES] {
        let mut bytes = [0; FRAME_BYTES];
        bytes[..4].copy_from_slice(MAGIC);
        bytes[4..6].copy_from_slice(&VERSION.to_le_bytes());
        bytes[8..16].copy_from_slice(self.generation.as_bytes());
        bytes[16..32].copy_from_slice(self.blob.as_bytes());
        bytes[32..40].copy_from_slice(self.home.as_bytes());
        bytes[40..44].copy_from_slice(&self.index.to_le_bytes());
        bytes[44..48].copy_from_slice(&self.payload_len.to_le_bytes());
        bytes[48..56].copy_from_slice(&self.first_chunk.to_le_bytes());
        bytes[56..60].copy_from_slice(&self.plain_len.to_le_bytes());
        bytes[64..96].copy_from_slice(&self.hash);
        let checksum = crc_fast::crc32_iscsi(&bytes[..CHECKED]);
        bytes[CHECKED..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// A cheap look: could a frame begin here?
    pub(crate) fn may_start(bytes: &[u8]) -> bool {
        bytes.starts_with(MAGIC)
    }

    /// From the bytes on disk; errors name `what`.
    pub fn decode(bytes: &[u8], what: &str) -> Result<Self> {
        let corrupt = |detail: &str| Error::Corrupt { what: what.to_owned(), detail: detail.to_owned() };
        if bytes.len() < FRAME_BYTES || &bytes[..4] != MAGIC {
            return Err(corrupt("no record frame"));
        }
        if crc_fast::crc32_iscsi(&bytes[..CHECKED]).to_le_bytes() != bytes[CHECKED..FRAME_BYTES] {
            return Err(corrupt("frame checksum does not match"));
        }
        let version = u16::from_le_bytes(field(bytes, 4));
        if version > VERSION {
            let (found, supported) = (u32::from(version), u32::from(VERSION));
            return Err(Error::Newer { what: what.to_owned(), found, supported });
        }
        let frame = Self {
            generation: SegmentId::from_bytes(field(bytes, 8)),
            blob: BlobId::from_bytes(field(bytes, 16)),
            home: PartitionId::from_bytes(field(bytes, 32)),
            index: u32::from_le_bytes(field(bytes, 40)),
            payload_len: u32::from_le_bytes(field(bytes, 44)),
            first_chunk: u64::from_le_bytes(field(bytes, 48)),
            plain_len: u32::from_le_bytes(field(bytes, 56)),
            hash: field(bytes, 64),
        };
        if version == 0 || frame.payload_len as usize > PAYLOAD_MAX || frame.plain_len > frame.payload_len {
            return Err(corrupt("impossible version or length"));
        }
        Ok(frame)
    }
}

/// Bytes that a record with this payload takes in a segment.
pub const fn record_len(payload: usize) -> usize {
    (FRAME_BYTES + payload).next_multiple_of(FRAME_ALIGN)
}

#[cfg(test)]
mod tests {
    use super::{CHECKED, FRAME_BYTES, Frame, record_len};
    use crate::Error;
    use crate::id::{BlobId, PartitionId, SegmentId};

    fn frame() -> Frame {
        Frame {
            generation: SegmentId::from_bytes(*b"segment1"),
            blob: BlobId::from_bytes(*b"0123456789abcdef"),
            home: PartitionId::from_bytes(*b"bucket 1"),
            index: 2,
            payload_len: 0x0102,
            first_chunk: 0x20,
            plain_len: 0xF2,
            hash: [0xAA; 32],
        }
    }

    #[test]
    fn golden_frame() {
        let mut golden = [0; FRAME_BYTES];
        golden[..60].copy_from_slice(
            b"fREC\x01\0\0\0segment10123456789abcdefbucket 1\x02\0\0\0\x02\x01\0\0\x20\0\0\0\0\0\0\0\xf2\0\0\0",
        );
        golden[64..96].fill(0xAA);
        golden[CHECKED..].copy_from_slice(&[0x37, 0x98, 0x79, 0xCC]);
        assert_eq!(frame().encode(), golden);
        assert_eq!(Frame::decode(&golden, "golden").unwrap(), frame());
    }

    #[test]
    fn every_flipped_byte_is_refused() {
        let good = frame().encode();
        for at in 0..good.len() {
            let mut bad = good;
            bad[at] ^= 1;
            Frame::decode(&bad, "flipped").unwrap_err();
        }
        Frame::decode(&good[..127], "cut").unwrap_err();
    }

    #[test]
    fn a_newer_version_is_named() {
        let mut newer = frame().encode();
        newer[4] = 9;
        let checksum = crc_fast::crc32_iscsi(&newer[..CHECKED]);
        newer[CHECKED..].copy_from_slice(&checksum.to_le_bytes());
        assert!(matches!(Frame::decode(&newer, "frame").unwrap_err(), Error::Newer { found: 9, .. }));
    }

    #[test]
    fn records_take_whole_units() {
        assert_eq!(record_len(0), 128);
        assert_eq!(record_len(1), 192);
        assert_eq!(record_len(64), 192);
    }
}
