//! The checksums that transfers are verified with: CRC64NVME, which combines over parts, and MD5, which ETags are.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use crc_fast::{CrcAlgorithm, Digest as CrcDigest};
use md5::{Digest, Md5};

/// A running CRC64NVME, in the form of `x-amz-checksum-crc64nvme`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Crc64 {
    value: u64,
    length: u64,
}

impl Crc64 {
    /// Of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let mut crc = CrcDigest::new(CrcAlgorithm::Crc64Nvme);
        crc.update(bytes);
        Self { value: crc.finalize(), length: bytes.len() as u64 }
    }

    /// Of these bytes followed by those that `next` covers.
    #[must_use]
    pub fn then(self, next: Self) -> Self {
        if self.length == 0 {
            return next;
        }
        if next.length == 0 {
            return self;
        }
        let value = crc_fast::checksum_combine(CrcAlgorithm::Crc64Nvme, self.value, next.value, next.length);
        Self { value, length: self.length + next.length }
    }

    /// Base64 of the big-endian value, as the header has it.
    pub fn to_header(self) -> String {
        STANDARD.encode(self.value.to_be_bytes())
    }

    /// From a header, for `length` bytes; `None` when it is no such value (a composite one, say).
    pub fn from_header(text: &str, length: u64) -> Option<Self> {
        let bytes = STANDARD.decode(text).ok()?.try_into().ok()?;
        Some(Self { value: u64::from_be_bytes(bytes), length })
    }
}

/// The ETag of an object uploaded in one piece: the MD5 in hexadecimal, without quotes.
pub fn md5_etag(bytes: &[u8]) -> String {
    hex(&Md5::digest(bytes))
}

/// The ETag of an object completed from parts with these ETags; `None` when one of them is not a plain MD5.
pub fn multipart_etag<'a>(parts: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let mut all = Md5::new();
    let mut count = 0_u32;
    for part in parts {
        all.update(unhex(part)?);
        count += 1;
    }
    Some(format!("{}-{count}", hex(&all.finalize())))
}

/// A running MD5.
#[derive(Clone, Debug, Default)]
pub struct RunningMd5(Md5);

impl RunningMd5 {
    /// Takes more bytes in.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The MD5 in hexadecimal, as a plain ETag is.
    pub fn etag(self) -> String {
        hex(&self.0.finalize())
    }
}

/// Whether an ETag has the form of a plain MD5.
pub(crate) fn is_md5_etag(etag: &str) -> bool {
    unhex(etag).is_some()
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String can't fail.
        let _infallible = write!(text, "{byte:02x}");
        text
    })
}

fn unhex(text: &str) -> Option<[u8; 16]> {
    if text.len() != 32 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    u128::from_str_radix(text, 16).ok().map(u128::to_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::{Crc64, is_md5_etag, md5_etag, multipart_etag};

    #[test]
    fn crc64nvme_matches_the_check_value_and_combines() {
        let whole = Crc64::of(b"123456789");
        assert_eq!(whole.value, 0xae8b_1486_0a79_9888);
        assert_eq!(Crc64::of(b"1234").then(Crc64::of(b"56789")), whole);
        assert_eq!(Crc64::default().then(whole), whole);
        assert_eq!(whole.then(Crc64::of(b"")), whole);
        assert_eq!(Crc64::from_header(&whole.to_header(), 9), Some(whole));
        assert_eq!(Crc64::from_header("AAAA-2", 9), None);
    }

    #[test]
    fn etags_as_s3_makes_them() {
        assert_eq!(md5_etag(b""), "d41d8cd98f00b204e9800998ecf8427e");
        let part = md5_etag(b"a");
        let whole = multipart_etag([part.as_str(), part.as_str()]).unwrap();
        assert!(whole.ends_with("-2") && whole.len() == 34, "{whole}");
        assert_eq!(multipart_etag([whole.as_str()]), None);
        assert!(is_md5_etag(&part) && !is_md5_etag(&whole));
    }
}
