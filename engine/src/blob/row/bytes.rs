//! The bytes of a blob row. All integers are big-endian.
//!
//! Version 1 says where the one copy of a blob in the first zone lies, and that it is to have as many copies as the store
//! keeps. It is written whenever that is all there is to say, so that a store of one zone reads as it always did.
//!
//! | offset | length | field | meaning |
//! |---|---|---|---|
//! | 0 | 1 | version | 1 |
//! | 1 | 1 | pool | 0: local |
//! | 2 | 8 | length | plaintext bytes |
//! | 10 | 4 | places | number of records |
//! | 14 | 16 each | place | segment (8), offset of the frame (4), payload length (4) |
//! | end − 4 | 4 | checksum | CRC32C of all before it |
//!
//! Version 2 names any number of copies up to [`COPIES_MAX`]. A copy begins with the kind of pool that it lies in, so that
//! other kinds can say in their own way where a record is.
//!
//! | offset | length | field | meaning |
//! |---|---|---|---|
//! | 0 | 1 | version | 2 |
//! | 1 | 1 | wanted | copies to have: 0 as many as the store keeps, 1 one |
//! | 2 | 8 | length | plaintext bytes |
//! | 10 | 4 | records | of one copy |
//! | 14 | 1 | copies | 1 to 3 |
//! | 15 | 4 each | payload length | of each record |
//! | | | copies | as below |
//! | end − 4 | 4 | checksum | CRC32C of all before it |
//!
//! Version 3 is version 2 with up to one more copy, which lies in a remote pool and stands last; there may be no other.
//! It is written for blobs that have such a copy.
//!
//! | length | field of a copy in a remote pool | meaning |
//! |---|---|---|
//! | 1 | pool | 1: remote |
//! | 2 | zone | its number in the table of zones |
//! | 8 | copy | which upload of the blob: the end of the object's name (docs/formats/remote-pool.md) |
//!
//! | length | field of a local copy | meaning |
//! |---|---|---|
//! | 1 | pool | 0: local |
//! | 2 | zone | its number in the table of zones |
//! | 2 | segments | how many follow |
//! | 8 each | segment | in the order of their first use |
//! | 6 each | place | index of the segment (2), offset of the frame (4); one for each record |

use super::{BLOB_BYTES_MAX, BlobCopy, BlobRow, Copies, RemoteCopy};
use crate::codec::chunk::{SEALED_CHUNK_BYTES, TAG_BYTES, sealed_len};
use crate::id::{BlobId, CopyId, SegmentId};
use crate::pool::frame::PAYLOAD_MAX;
use crate::pool::{RecordAt, ZoneId};
use crate::{Error, Result};
use std::collections::HashMap;

const VERSION_ONE_COPY: u8 = 1;
const VERSION_COPIES: u8 = 2;
const VERSION: u8 = 3;
const POOL_LOCAL: u8 = 0;
const POOL_REMOTE: u8 = 1;
const FIXED_BYTES: usize = 14;
const PLACE_BYTES: usize = 16;
const CHECKSUM_BYTES: usize = 4;

/// Most copies of a blob in local pools.
pub(crate) const COPIES_MAX: usize = 3;

impl BlobRow {
    /// What an older firn can say of it, too.
    fn is_plain(&self) -> bool {
        let [copy] = self.copies.as_slice() else { return false };
        self.wanted == Copies::Configured && copy.zone == ZoneId::FIRST && self.remote.is_none()
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = if self.is_plain() { self.encode_plain() } else { self.encode_copies() };
        bytes.extend_from_slice(&crc_fast::crc32_iscsi(&bytes).to_be_bytes());
        bytes
    }

    fn encode_fixed(&self, version: u8, second: u8) -> Vec<u8> {
        let records = self.records();
        let mut bytes = Vec::with_capacity(FIXED_BYTES + records * PLACE_BYTES + CHECKSUM_BYTES);
        bytes.extend_from_slice(&[version, second]);
        bytes.extend_from_slice(&self.length.to_be_bytes());
        bytes.extend_from_slice(&u32::try_from(records).unwrap_or(u32::MAX).to_be_bytes());
        bytes
    }

    fn encode_plain(&self) -> Vec<u8> {
        let mut bytes = self.encode_fixed(VERSION_ONE_COPY, POOL_LOCAL);
        for place in self.places() {
            bytes.extend_from_slice(place.segment.as_bytes());
            bytes.extend_from_slice(&place.offset.to_be_bytes());
            bytes.extend_from_slice(&place.payload_len.to_be_bytes());
        }
        bytes
    }

    fn encode_copies(&self) -> Vec<u8> {
        let wanted = match self.wanted {
            Copies::Configured => 0,
            Copies::One => 1,
        };
        let version = if self.remote.is_some() { VERSION } else { VERSION_COPIES };
        let mut bytes = self.encode_fixed(version, wanted);
        let copies = self.copies.len() + usize::from(self.remote.is_some());
        bytes.push(u8::try_from(copies).unwrap_or(u8::MAX));
        for payload in self.payloads() {
            bytes.extend_from_slice(&payload.to_be_bytes());
        }
        for copy in &self.copies {
            let mut segments: Vec<SegmentId> = Vec::new();
            let mut index = HashMap::new();
            for place in &copy.places {
                index.entry(place.segment).or_insert_with(|| {
                    segments.push(place.segment);
                    short(segments.len() - 1)
                });
            }
            bytes.push(POOL_LOCAL);
            bytes.extend_from_slice(&copy.zone.to_bytes());
            bytes.extend_from_slice(&short(segments.len()).to_be_bytes());
            for segment in &segments {
                bytes.extend_from_slice(segment.as_bytes());
            }
            for place in &copy.places {
                let at = index.get(&place.segment).copied().unwrap_or(u16::MAX);
                bytes.extend_from_slice(&at.to_be_bytes());
                bytes.extend_from_slice(&place.offset.to_be_bytes());
            }
        }
        if let Some(remote) = &self.remote {
            bytes.push(POOL_REMOTE);
            bytes.extend_from_slice(&remote.zone.to_bytes());
            bytes.extend_from_slice(remote.id.as_bytes());
        }
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
        let version = body.first().copied().unwrap_or_default();
        if version > VERSION {
            let what = format!("row of blob {blob}");
            return Err(Error::Newer { what, found: version.into(), supported: VERSION.into() });
        }
        let mut fields = Fields(body);
        let row = fields.row().ok_or_else(|| corrupt("impossible version, pool or number of places"))?;
        row.check_lengths().map_err(corrupt)?;
        Ok(row)
    }

    /// All records but the last hold full chunks, and the sum fits the length.
    fn check_lengths(&self) -> Result<(), &'static str> {
        let full = SEALED_CHUNK_BYTES as u64;
        let payloads = self.payloads();
        let Some((last, before)) = payloads.split_last() else {
            return if self.length == 0 && self.remote.is_none() { Ok(()) } else { Err("no places") };
        };
        let fits = |n: u64| n > TAG_BYTES as u64 && n <= PAYLOAD_MAX as u64;
        if !before.iter().all(|p| fits((*p).into()) && u64::from(*p).is_multiple_of(full)) {
            return Err("impossible payload length");
        }
        let sum: u64 = payloads.iter().map(|p| u64::from(*p)).sum();
        if !fits((*last).into()) || self.length > BLOB_BYTES_MAX || sum != sealed_len(self.length) {
            return Err("payload lengths do not add up");
        }
        Ok(())
    }
}

fn short(n: usize) -> u16 {
    u16::try_from(n).unwrap_or(u16::MAX)
}

/// What is left of a row; every reader answers `None` when it is not what may stand there.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*field)
    }

    fn number(&mut self) -> Option<u32> {
        self.take().map(u32::from_be_bytes)
    }

    fn row(&mut self) -> Option<BlobRow> {
        let [version, second] = self.take()?;
        let length = u64::from_be_bytes(self.take()?);
        let records = usize::try_from(self.number()?).ok()?;
        let row = match version {
            VERSION_ONE_COPY if second == POOL_LOCAL => {
                let places = self.each(records, PLACE_BYTES, |fields| {
                    let segment = SegmentId::from_bytes(fields.take()?);
                    Some(RecordAt { segment, offset: fields.number()?, payload_len: fields.number()? })
                })?;
                let copies = vec![BlobCopy { zone: ZoneId::FIRST, places }];
                BlobRow { length, wanted: Copies::Configured, copies, remote: None }
            }
            VERSION_COPIES | VERSION => {
                let wanted = match second {
                    0 => Copies::Configured,
                    1 => Copies::One,
                    _ => return None,
                };
                let [count] = self.take()?;
                let payloads = self.each(records, 4, Self::number)?;
                let local = usize::from(count).checked_sub(usize::from(version == VERSION))?;
                let copies = self.each(local, 1, |fields| fields.copy(&payloads))?;
                let least = usize::from(version != VERSION);
                let zones: std::collections::BTreeSet<_> = copies.iter().map(|copy| copy.zone).collect();
                if zones.len() != copies.len() || !(least..=COPIES_MAX).contains(&copies.len()) {
                    return None;
                }
                let remote = if version == VERSION { Some(self.remote(payloads)?) } else { None };
                BlobRow { length, wanted, copies, remote }
            }
            _ => return None,
        };
        self.0.is_empty().then_some(row)
    }

    fn copy(&mut self, payloads: &[u32]) -> Option<BlobCopy> {
        if self.take()? != [POOL_LOCAL] {
            return None;
        }
        let zone = ZoneId::from_bytes(self.take()?);
        let count = usize::from(u16::from_be_bytes(self.take()?));
        let segments = self.each(count, 8, |fields| fields.take().map(SegmentId::from_bytes))?;
        let mut places = Vec::with_capacity(payloads.len());
        for &payload_len in payloads {
            let segment = *segments.get(usize::from(u16::from_be_bytes(self.take()?)))?;
            places.push(RecordAt { segment, offset: self.number()?, payload_len });
        }
        Some(BlobCopy { zone, places })
    }

    fn remote(&mut self, payloads: Vec<u32>) -> Option<RemoteCopy> {
        if self.take()? != [POOL_REMOTE] {
            return None;
        }
        let zone = ZoneId::from_bytes(self.take()?);
        Some(RemoteCopy { zone, id: CopyId::from_bytes(self.take()?), payloads })
    }

    /// So many of the same, each of at least `bytes`: what can't be there is not made room for.
    fn each<T>(
        &mut self,
        count: usize,
        bytes: usize,
        read: impl Fn(&mut Self) -> Option<T>,
    ) -> Option<Vec<T>> {
        if count.checked_mul(bytes)? > self.0.len() {
            return None;
        }
        let mut out = Vec::with_capacity(count);
        for _ in 0..count {
            out.push(read(self)?);
        }
        Some(out)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{BlobCopy, BlobRow, Copies, RemoteCopy};
    use crate::Error;
    use crate::codec::chunk::CHUNK_BYTES;
    use crate::id::{BlobId, CopyId, SegmentId};
    use crate::pool::{RecordAt, ZoneId};

    const BLOB: BlobId = BlobId::from_bytes([0xBB; 16]);

    fn place(segment: [u8; 8], offset: u32, payload_len: u32) -> RecordAt {
        RecordAt { segment: SegmentId::from_bytes(segment), offset, payload_len }
    }

    fn row() -> BlobRow {
        let places = vec![place(*b"segment1", 4096, 0x1_0010), place(*b"segment2", 0x0102_0340, 21)];
        BlobRow {
            length: CHUNK_BYTES as u64 + 5,
            wanted: Copies::Configured,
            copies: vec![BlobCopy { zone: ZoneId::FIRST, places }],
            remote: None,
        }
    }

    /// In a local pool and in a remote one.
    fn remote_too() -> BlobRow {
        let payloads = vec![0x1_0010, 21];
        let remote =
            RemoteCopy { zone: ZoneId::from_bytes([0, 3]), id: CopyId::from_bytes(*b"upload 1"), payloads };
        BlobRow { remote: Some(remote), ..row() }
    }

    fn remote_only() -> BlobRow {
        BlobRow { copies: Vec::new(), ..remote_too() }
    }

    fn golden_of_remote_only() -> Vec<u8> {
        let mut bytes = b"\x03\x00\0\0\0\0\0\x01\0\x05\0\0\0\x02\x01\0\x01\0\x10\0\0\0\x15".to_vec();
        bytes.extend_from_slice(b"\x01\0\x03upload 1");
        signed([bytes, vec![0; 4]].concat())
    }

    fn golden_of_remote_too() -> Vec<u8> {
        let mut bytes = b"\x03\x00\0\0\0\0\0\x01\0\x05\0\0\0\x02\x02\0\x01\0\x10\0\0\0\x15".to_vec();
        bytes.extend_from_slice(b"\0\0\0\0\x02segment1segment2\0\0\0\0\x10\0\0\x01\x01\x02\x03\x40");
        bytes.extend_from_slice(b"\x01\0\x03upload 1");
        signed([bytes, vec![0; 4]].concat())
    }

    fn two_copies() -> BlobRow {
        let mut row = row();
        let places = vec![place(*b"segment3", 4096, 0x1_0010), place(*b"segment3", 0x0002_0340, 21)];
        row.copies.insert(0, BlobCopy { zone: ZoneId::from_bytes([1, 2]), places });
        row
    }

    fn golden() -> Vec<u8> {
        let mut bytes = b"\x01\x00\0\0\0\0\0\x01\0\x05\0\0\0\x02".to_vec();
        bytes.extend_from_slice(b"segment1\0\0\x10\0\0\x01\0\x10segment2\x01\x02\x03\x40\0\0\0\x15");
        bytes.extend_from_slice(&[0x9F, 0xE9, 0xE9, 0x69]);
        bytes
    }

    fn golden_of_two_copies() -> Vec<u8> {
        let mut bytes = b"\x02\x00\0\0\0\0\0\x01\0\x05\0\0\0\x02\x02\0\x01\0\x10\0\0\0\x15".to_vec();
        bytes.extend_from_slice(b"\0\x01\x02\0\x01segment3\0\0\0\0\x10\0\0\0\0\x02\x03\x40");
        bytes.extend_from_slice(b"\0\0\0\0\x02segment1segment2\0\0\0\0\x10\0\0\x01\x01\x02\x03\x40");
        bytes.extend_from_slice(&[185, 248, 13, 63]);
        bytes
    }

    #[test]
    fn golden_row() {
        assert_eq!(row().encode(), golden());
        assert_eq!(BlobRow::decode(BLOB, &golden()).unwrap(), row());
    }

    #[test]
    fn golden_row_of_two_copies() {
        assert_eq!(two_copies().encode(), golden_of_two_copies());
        assert_eq!(BlobRow::decode(BLOB, &golden_of_two_copies()).unwrap(), two_copies());
    }

    #[test]
    fn golden_rows_of_remote_copies() {
        for (row, golden) in
            [(remote_only(), golden_of_remote_only()), (remote_too(), golden_of_remote_too())]
        {
            assert_eq!(row.encode(), golden);
            assert_eq!(BlobRow::decode(BLOB, &golden).unwrap(), row);
            // Pool, wanted, number of copies: none, or two of which the second is no local one.
            for (at, byte) in [(1, 2), (14, 0), (14, 3), (23, 2)] {
                let mut bad = golden.clone();
                bad[at] = byte;
                BlobRow::decode(BLOB, &signed(bad)).unwrap_err();
            }
        }
        let mut empty = remote_only();
        (empty.length, empty.remote.as_mut().unwrap().payloads) = (0, Vec::new());
        BlobRow::decode(BLOB, &empty.encode()).unwrap_err();
    }

    #[test]
    fn records_of_a_remote_object_lie_one_behind_the_other() {
        let row = remote_only();
        let remote = row.remote.as_ref().unwrap();
        assert_eq!(
            (remote.offset_of(0), remote.offset_of(1), remote.stored_len()),
            (0, 65_728, 65_728 + 192)
        );
        assert_eq!((row.records(), row.record_stored_len(1), row.record_stored_len(2)), (2, 192, 0));
    }

    #[test]
    fn one_copy_elsewhere_or_for_good_is_said() {
        for change in [
            |row: &mut BlobRow| row.copies[0].zone = ZoneId::from_bytes([0, 1]),
            |row: &mut BlobRow| row.wanted = Copies::One,
        ] {
            let mut row = row();
            change(&mut row);
            assert_eq!(row.encode()[0], 2);
            assert_eq!(BlobRow::decode(BLOB, &row.encode()).unwrap(), row);
        }
    }

    #[test]
    fn every_flipped_byte_and_every_cut_is_refused() {
        for good in [golden(), golden_of_two_copies(), golden_of_remote_only(), golden_of_remote_too()] {
            for at in 0..good.len() {
                let mut bad = good.clone();
                bad[at] ^= 4;
                BlobRow::decode(BLOB, &bad).unwrap_err();
                BlobRow::decode(BLOB, &good[..at]).unwrap_err();
            }
        }
    }

    /// A body with a checksum that fits it.
    fn signed(mut body: Vec<u8>) -> Vec<u8> {
        body.truncate(body.len() - 4);
        body.extend_from_slice(&crc_fast::crc32_iscsi(&body).to_be_bytes());
        body
    }

    #[test]
    fn what_can_not_be_is_refused_though_its_checksum_fits() {
        // Pool, wanted, number of records, copies, segments, index of a segment; a second copy in the same zone.
        for (at, byte) in [(1, 2), (11, 1), (13, 3), (14, 0), (14, 4), (23, 1), (27, 2), (37, 1), (48, 1)] {
            let mut bad = golden_of_two_copies();
            bad[at] = byte;
            if at == 48 {
                bad[48..50].copy_from_slice(&[1, 2]);
            }
            BlobRow::decode(BLOB, &signed(bad)).unwrap_err();
        }
        let mut huge = golden_of_two_copies();
        huge[10..14].fill(0xFF);
        BlobRow::decode(BLOB, &signed(huge)).unwrap_err();
    }

    #[test]
    fn lengths_that_do_not_add_up_are_refused() {
        for mut bad in [row(), two_copies()] {
            for change in [
                |row: &mut BlobRow| row.length += 1,
                |row: &mut BlobRow| row.copies[0].places[0].payload_len -= 1,
                |row: &mut BlobRow| row.copies[0].places.swap(0, 1),
                |row: &mut BlobRow| row.length = u64::MAX,
            ] {
                let good = bad.clone();
                change(&mut bad);
                BlobRow::decode(BLOB, &bad.encode()).unwrap_err();
                bad = good;
            }
        }
        let mut empty = row();
        empty.copies[0].places.clear();
        BlobRow::decode(BLOB, &empty.encode()).unwrap_err();
        empty.length = 0;
        assert_eq!(BlobRow::decode(BLOB, &empty.encode()).unwrap(), empty);
    }

    #[test]
    fn the_largest_row_fits_the_catalog() {
        // 8 GiB: half a GiB in records of 1 MiB, the rest in records of 4 MiB, 60 of them in a segment.
        let (mut left, mut payloads) = (super::sealed_len(super::BLOB_BYTES_MAX), Vec::new());
        while left > 0 {
            let chunks = if payloads.len() < 512 { 16 } else { 64 };
            let len = left.min(chunks * super::SEALED_CHUNK_BYTES as u64);
            payloads.push(u32::try_from(len).unwrap());
            left -= len;
        }
        let copy = |zone: u8| {
            let places = payloads.iter().enumerate().map(|(n, &payload_len)| {
                let segment = SegmentId::from_bytes([zone, 0, 0, 0, 0, 0, 0, u8::try_from(n / 60).unwrap()]);
                RecordAt { segment, offset: 4096, payload_len }
            });
            BlobCopy { zone: ZoneId::from_bytes([0, zone]), places: places.collect() }
        };
        let copies = vec![copy(0), copy(1)];
        let id = CopyId::from_bytes([7; 8]);
        let remote = Some(RemoteCopy { zone: ZoneId::from_bytes([0, 9]), id, payloads: payloads.clone() });
        let row = BlobRow { length: super::BLOB_BYTES_MAX, wanted: Copies::Configured, copies, remote };
        let bytes = row.encode();
        assert!(bytes.len() <= 64 << 10, "{}", bytes.len());
        assert_eq!(BlobRow::decode(BLOB, &bytes).unwrap(), row);
    }

    #[test]
    fn a_newer_version_is_named() {
        let mut newer = golden();
        newer[0] = 4;
        assert!(matches!(BlobRow::decode(BLOB, &signed(newer)).unwrap_err(), Error::Newer { found: 4, .. }));
    }
}
