//! The frame in front of each record's payload.
//!
//! | offset | length | field | meaning (integers little-endian) |
//! |---|---|---|---|
//! | 0 | 4 | magic | `fREC` |
//! | 4 | 2 | version | 2; 1 has another checksum of the payload |
//! | 6 | 2 | flags | 0 |
//! | 8 | 8 | generation | id of the segment: a recycled file's old frames never pass for new ones |
//! | 16 | 16 | blob | |
//! | 32 | 8 | home | the partition of the blob's row |
//! | 40 | 4 | index | of the record in its blob, from 0 |
//! | 44 | 4 | payload length | bytes of sealed chunks that follow the frame |
//! | 48 | 8 | first chunk | index in the blob of the first sealed chunk |
//! | 56 | 4 | plain length | plaintext bytes in the payload |
//! | 60 | 4 | zero | |
//! | 64 | 32 | sum | version 2: CRC-64/NVME of the payload (8), zeros; version 1: BLAKE3 of it |
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
/// The newest version, which new records have. Older ones are read, and keep theirs when they move.
pub const VERSION: u16 = 2;
/// The version whose payloads have a BLAKE3.
const VERSION_BLAKE3: u16 = 1;
const MAGIC: &[u8; 4] = b"fREC";
const CHECKED: usize = FRAME_BYTES - 4;

/// What a payload is compared with where there is no key: against damage, not against forgers, who find each chunk's tag in
/// their way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PayloadSum {
    /// CRC-64/NVME.
    Crc64(u64),
    /// BLAKE3, as records of version 1 have it.
    Blake3([u8; 32]),
}

impl PayloadSum {
    /// Whether the payload is what it was.
    pub fn matches(&self, payload: &[u8]) -> bool {
        match self {
            Self::Crc64(sum) => crc_fast::crc64_nvme(payload) == *sum,
            Self::Blake3(hash) => blake3::hash(payload) == *hash,
        }
    }

    const fn version(&self) -> u16 {
        match self {
            Self::Crc64(_) => VERSION,
            Self::Blake3(_) => VERSION_BLAKE3,
        }
    }

    fn bytes(&self) -> [u8; 32] {
        match self {
            Self::Crc64(sum) => {
                let mut bytes = [0; 32];
                bytes[..8].copy_from_slice(&sum.to_le_bytes());
                bytes
            }
            Self::Blake3(hash) => *hash,
        }
    }
}

/// The sum of a payload that is made piece by piece.
pub(crate) struct RunningSum(crc_fast::Digest);

impl RunningSum {
    pub(crate) fn new() -> Self {
        Self(crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc64Nvme))
    }

    pub(crate) fn update(&mut self, piece: &[u8]) {
        self.0.update(piece);
    }

    pub(crate) fn finish(&self) -> PayloadSum {
        PayloadSum::Crc64(self.0.finalize())
    }
}

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
    /// Of the payload.
    pub sum: PayloadSum,
}

impl Frame {
    /// The bytes on disk.
    pub fn encode(&self) -> [u8; FRAME_BYTES] {
        let mut bytes = [0; FRAME_BYTES];
        bytes[..4].copy_from_slice(MAGIC);
        bytes[4..6].copy_from_slice(&self.sum.version().to_le_bytes());
        bytes[8..16].copy_from_slice(self.generation.as_bytes());
        bytes[16..32].copy_from_slice(self.blob.as_bytes());
        bytes[32..40].copy_from_slice(self.home.as_bytes());
        bytes[40..44].copy_from_slice(&self.index.to_le_bytes());
        bytes[44..48].copy_from_slice(&self.payload_len.to_le_bytes());
        bytes[48..56].copy_from_slice(&self.first_chunk.to_le_bytes());
        bytes[56..60].copy_from_slice(&self.plain_len.to_le_bytes());
        bytes[64..96].copy_from_slice(&self.sum.bytes());
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
        let sum = match version {
            VERSION_BLAKE3 => PayloadSum::Blake3(field(bytes, 64)),
            _ => PayloadSum::Crc64(u64::from_le_bytes(field(bytes, 64))),
        };
        let frame = Self {
            generation: SegmentId::from_bytes(field(bytes, 8)),
            blob: BlobId::from_bytes(field(bytes, 16)),
            home: PartitionId::from_bytes(field(bytes, 32)),
            index: u32::from_le_bytes(field(bytes, 40)),
            payload_len: u32::from_le_bytes(field(bytes, 44)),
            first_chunk: u64::from_le_bytes(field(bytes, 48)),
            plain_len: u32::from_le_bytes(field(bytes, 56)),
            sum,
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
    use super::{CHECKED, FRAME_BYTES, Frame, PayloadSum, RunningSum, record_len};
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
            sum: PayloadSum::Crc64(0xAE8B_1486_0A79_9888),
        }
    }

    fn golden(version: u8, checksum: [u8; 4]) -> [u8; FRAME_BYTES] {
        let mut golden = [0; FRAME_BYTES];
        golden[..60].copy_from_slice(
            b"fREC\0\0\0\0segment10123456789abcdefbucket 1\x02\0\0\0\x02\x01\0\0\x20\0\0\0\0\0\0\0\xf2\0\0\0",
        );
        golden[4] = version;
        match version {
            1 => golden[64..96].fill(0xAA),
            _ => golden[64..72].copy_from_slice(&[0x88, 0x98, 0x79, 0x0A, 0x86, 0x14, 0x8B, 0xAE]),
        }
        golden[CHECKED..].copy_from_slice(&checksum);
        golden
    }

    #[test]
    fn golden_frame() {
        let golden = golden(2, [0x94, 0x35, 0xFB, 0x32]);
        assert_eq!(frame().encode(), golden);
        assert_eq!(Frame::decode(&golden, "golden").unwrap(), frame());
    }

    /// Read for ever, and written again as it was when its record moves.
    #[test]
    fn golden_frame_of_version_1() {
        let golden = golden(1, [0x37, 0x98, 0x79, 0xCC]);
        let frame = Frame { sum: PayloadSum::Blake3([0xAA; 32]), ..frame() };
        assert_eq!(Frame::decode(&golden, "golden").unwrap(), frame);
        assert_eq!(frame.encode(), golden);
    }

    #[test]
    fn a_payload_is_what_either_sum_says_and_nothing_else() {
        let payload: Vec<u8> = (0..200_000_u32).map(|n| n.to_le_bytes()[n as usize % 3]).collect();
        let mut running = RunningSum::new();
        for piece in payload.chunks(70_001) {
            running.update(piece);
        }
        for sum in [running.finish(), PayloadSum::Blake3(blake3::hash(&payload).into())] {
            assert!(sum.matches(&payload));
            assert!(!sum.matches(&payload[1..]));
            assert!(!sum.matches(&[&payload[..], &[0]].concat()));
            for at in [0, 65_536, payload.len() - 1] {
                let mut flipped = payload.clone();
                flipped[at] ^= 0x10;
                assert!(!sum.matches(&flipped), "{at} of {sum:?}");
            }
        }
        // The check value that is published for CRC-64/NVME.
        let mut check = RunningSum::new();
        check.update(b"123456789");
        assert_eq!(check.finish(), frame().sum);
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
