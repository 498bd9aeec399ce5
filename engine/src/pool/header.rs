//! The first 4 KiB of a segment file.
//!
//! | offset | length | field | meaning (integers little-endian) |
//! |---|---|---|---|
//! | 0 | 8 | magic | `FIRNSEG\n` |
//! | 8 | 4 | version | 1 |
//! | 12 | 4 | header length | 4096 |
//! | 16 | 8 | segment | its id: the generation that every frame in it repeats |
//! | 24 | 8 | capacity | bytes of the file, header included |
//! | 32 | 8 | created | wall clock, milliseconds since 1970 |
//! | 40 | 1 | lane | 0 small, 1 large, 2 compacted |
//! | 41 | 4051 | zero | |
//! | 4092 | 4 | checksum | CRC32C of bytes 0..4092 |

use crate::clock::Timestamp;
use crate::id::SegmentId;
use crate::unit::ByteCount;
use crate::{Error, Result};

/// Bytes of the header; the first frame follows.
pub const HEADER_BYTES: usize = 4096;
/// The newest version this binary reads and the one it writes.
pub const VERSION: u32 = 1;
const MAGIC: &[u8; 8] = b"FIRNSEG\n";
const CHECKED: usize = HEADER_BYTES - 4;

/// What a segment holds, which decides how it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum LaneKind {
    /// Records below 256 KiB, in groups with one sync each.
    Small = 0,
    /// Records of large blobs, synced when a blob is sealed.
    Large = 1,
    /// Records that were there before: moved by the compactor, or copied by repair from another zone.
    Compacted = 2,
}

impl LaneKind {
    /// Its records are answered once they are durable, many by one sync; those of others once written, to be synced later.
    pub(super) const fn is_durable(self) -> bool {
        matches!(self, Self::Small)
    }
}

/// A decoded segment header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    /// Its id.
    pub segment: SegmentId,
    /// Bytes of the file.
    pub capacity: ByteCount,
    /// When the file got this id.
    pub created: Timestamp,
    /// Which lane wrote it.
    pub lane: LaneKind,
}

impl SegmentHeader {
    /// The bytes on disk.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![0; HEADER_BYTES];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[12..16].copy_from_slice(&4096_u32.to_le_bytes());
        bytes[16..24].copy_from_slice(self.segment.as_bytes());
        bytes[24..32].copy_from_slice(&self.capacity.get().to_le_bytes());
        bytes[32..40].copy_from_slice(&self.created.as_millis().to_le_bytes());
        bytes[40] = self.lane as u8;
        let checksum = crc_fast::crc32_iscsi(&bytes[..CHECKED]);
        bytes[CHECKED..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// From the bytes on disk. `what` names the file in errors: [`Error::Newer`] for a later version (magic and checksum
    /// in the same places), [`Error::Corrupt`] for anything else that does not fit.
    pub fn decode(bytes: &[u8], what: &str) -> Result<Self> {
        let corrupt = |detail: &str| Error::Corrupt { what: what.to_owned(), detail: detail.to_owned() };
        if bytes.len() < HEADER_BYTES {
            return Err(corrupt("shorter than a segment header"));
        }
        if &bytes[..8] != MAGIC {
            return Err(corrupt("not a segment header"));
        }
        if crc_fast::crc32_iscsi(&bytes[..CHECKED]).to_le_bytes() != bytes[CHECKED..HEADER_BYTES] {
            return Err(corrupt("header checksum does not match"));
        }
        let version = u32::from_le_bytes(field(bytes, 8));
        if version > VERSION {
            return Err(Error::Newer { what: what.to_owned(), found: version, supported: VERSION });
        }
        let lane = match bytes[40] {
            0 => LaneKind::Small,
            1 => LaneKind::Large,
            2 => LaneKind::Compacted,
            _ => return Err(corrupt("unknown lane")),
        };
        if version == 0 || u32::from_le_bytes(field(bytes, 12)) != 4096 {
            return Err(corrupt("impossible version or header length"));
        }
        Ok(Self {
            segment: SegmentId::from_bytes(field(bytes, 16)),
            capacity: ByteCount::new(u64::from_le_bytes(field(bytes, 24))),
            created: Timestamp::from_millis(i64::from_le_bytes(field(bytes, 32))),
            lane,
        })
    }
}

/// `N` bytes at `at`; the caller has checked the length.
pub(super) fn field<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[at..at + N]);
    out
}

#[cfg(test)]
mod tests {
    use super::{CHECKED, HEADER_BYTES, LaneKind, SegmentHeader};
    use crate::Error;
    use crate::clock::Timestamp;
    use crate::id::SegmentId;
    use crate::unit::ByteCount;

    fn header() -> SegmentHeader {
        SegmentHeader {
            segment: SegmentId::from_bytes(*b"segment1"),
            capacity: ByteCount::mib(256),
            created: Timestamp::from_millis(1_700_000_000_123),
            lane: LaneKind::Large,
        }
    }

    #[test]
    fn golden_header() {
        let mut golden = vec![0; HEADER_BYTES];
        golden[..41].copy_from_slice(
            b"FIRNSEG\n\x01\0\0\0\0\x10\0\0segment1\0\0\0\x10\0\0\0\0\x7b\x68\xe5\xcf\x8b\x01\0\0\x01",
        );
        golden[CHECKED..].copy_from_slice(&[0x68, 0x47, 0x39, 0xA1]);
        assert!(header().encode() == golden);
        assert_eq!(SegmentHeader::decode(&golden, "golden").unwrap(), header());
    }

    #[test]
    fn every_flipped_byte_is_refused() {
        let good = header().encode();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            SegmentHeader::decode(&bad, "flipped").unwrap_err();
        }
        SegmentHeader::decode(&good[..4095], "cut").unwrap_err();
    }

    #[test]
    fn a_newer_version_is_named() {
        let mut newer = header().encode();
        newer[8] = 2;
        let checksum = crc_fast::crc32_iscsi(&newer[..CHECKED]);
        newer[CHECKED..].copy_from_slice(&checksum.to_le_bytes());
        let error = SegmentHeader::decode(&newer, "segment x").unwrap_err();
        assert!(matches!(error, Error::Newer { found: 2, supported: 1, .. }), "{error}");
    }
}
