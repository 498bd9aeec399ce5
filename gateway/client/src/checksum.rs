//! The checksums that transfers are verified with: CRC64NVME, which combines over parts, MD5, which ETags are, and whichever
//! other one of S3's an endpoint gives of a whole object.

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use crc_fast::{CrcAlgorithm, Digest as CrcDigest};
use md5::{Digest, Md5};
use std::collections::BTreeMap;
use xxhash_rust::{xxh3::Xxh3, xxh64::Xxh64};

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

/// One of S3's checksums over all bytes of an object, as it is computed while they come.
#[derive(Debug)]
enum Running {
    Crc(Box<CrcDigest>),
    Sha(Box<Sha>),
    Md5(Box<Md5>),
    Xx64(Box<Xx<Xxh64>>),
    Xx3(Box<Xx<Xxh3>>),
    Xx128(Box<Xx<Xxh3>>),
}

/// States of other crates that can't be shown.
struct Sha(digest::Context);
struct Xx<T>(T);

impl std::fmt::Debug for Sha {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sha")
    }
}

impl<T> std::fmt::Debug for Xx<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Xx")
    }
}

impl Running {
    /// By the name that ends the header's: `x-amz-checksum-crc32`. And the length of its value in bytes.
    fn named(name: &str) -> Option<(Self, usize)> {
        let crc = |which| Self::Crc(Box::new(CrcDigest::new(which)));
        let sha = |which| Self::Sha(Box::new(Sha(digest::Context::new(which))));
        Some(match name {
            "crc32" => (crc(CrcAlgorithm::Crc32IsoHdlc), 4),
            "crc32c" => (crc(CrcAlgorithm::Crc32Iscsi), 4),
            "crc64nvme" => (crc(CrcAlgorithm::Crc64Nvme), 8),
            "sha1" => (sha(&digest::SHA1_FOR_LEGACY_USE_ONLY), 20),
            "sha256" => (sha(&digest::SHA256), 32),
            "sha512" => (sha(&digest::SHA512), 64),
            "md5" => (Self::Md5(Box::default()), 16),
            "xxhash64" => (Self::Xx64(Box::new(Xx(Xxh64::new(0)))), 8),
            "xxhash3" => (Self::Xx3(Box::new(Xx(Xxh3::new()))), 8),
            "xxhash128" => (Self::Xx128(Box::new(Xx(Xxh3::new()))), 16),
            _ => return None,
        })
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Crc(state) => state.update(bytes),
            Self::Sha(state) => state.0.update(bytes),
            Self::Md5(state) => state.update(bytes),
            Self::Xx64(state) => state.0.update(bytes),
            Self::Xx3(state) | Self::Xx128(state) => state.0.update(bytes),
        }
    }

    fn finish(self) -> Vec<u8> {
        match self {
            Self::Crc(state) => state.finalize().to_be_bytes().to_vec(),
            Self::Sha(state) => state.0.finish().as_ref().to_vec(),
            Self::Md5(state) => state.finalize().to_vec(),
            Self::Xx64(state) => state.0.digest().to_be_bytes().to_vec(),
            Self::Xx3(state) => state.0.digest().to_be_bytes().to_vec(),
            Self::Xx128(state) => state.0.digest128().to_be_bytes().to_vec(),
        }
    }
}

/// What bytes have to be, by the checksums that an endpoint gives of all of them.
#[derive(Debug, Default)]
pub(crate) struct Expected(Vec<(String, Vec<u8>, Running)>);

impl Expected {
    /// Of checksums by their names; those of another kind, over parts or unknown ones, are passed over.
    pub(crate) fn of(checksums: &BTreeMap<String, String>) -> Self {
        let known = |(name, text): (&String, &String)| {
            let (running, length) = Running::named(name)?;
            let value = STANDARD.decode(text).ok().filter(|value| value.len() == length)?;
            Some((name.clone(), value, running))
        };
        Self(checksums.iter().filter_map(known).collect())
    }

    /// Whether there is none.
    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The names of what is compared.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, ..)| name.as_str())
    }

    /// Takes the next bytes in.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        for (_, _, running) in &mut self.0 {
            running.update(bytes);
        }
    }

    /// At the end of the bytes: what does not match.
    pub(crate) fn finish(self) -> Result<(), String> {
        for (name, expected, running) in self.0 {
            let found = running.finish();
            // A shorter CRC is computed in eight bytes.
            let found = &found[found.len() - expected.len()..];
            if found != expected {
                let (found, expected) = (STANDARD.encode(found), STANDARD.encode(expected));
                let name = name.to_uppercase();
                return Err(format!("{name} is {found}, the endpoint's is {expected}"));
            }
        }
        Ok(())
    }
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
    use super::{Crc64, Expected, is_md5_etag, md5_etag, multipart_etag};
    use std::collections::BTreeMap;

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
    fn every_checksum_of_a_whole_object_is_known_and_one_of_other_bytes_is_told() {
        // The ten that S3 has, by the values that are published of these texts.
        for (name, text, value) in [
            ("crc32", "123456789", "y/Q5Jg=="),
            ("crc32c", "123456789", "4waSgw=="),
            ("crc64nvme", "123456789", "rosUhgp5mIg="),
            ("sha1", "abc", "qZk+NkcGgWq6PiVxeFDCbJzQ2J0="),
            ("sha256", "abc", "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0="),
            (
                "sha512",
                "abc",
                "3a81oZNherrMQXNJriBBMRLm+k6JqX6iCp7u5ktV05ohkpkqJ0/BqDa6PCOj/uu9RU1EI2Q86A4qmslPpUyknw==",
            ),
            ("md5", "abc", "kAFQmDzST7DWlj99KOF/cg=="),
            ("xxhash64", "abc", "RLws9a13CZk="),
            ("xxhash3", "abc", "eK9flIkvOVA="),
            ("xxhash128", "abc", "BrBatnM6YYV4r1+UiS85UA=="),
        ] {
            let all = BTreeMap::from([(name.to_owned(), value.to_owned())]);
            let of = |bytes: &[u8]| {
                let mut expected = Expected::of(&all);
                assert!(!expected.is_empty(), "{name}");
                bytes.chunks(2).for_each(|piece| expected.update(piece));
                expected.finish()
            };
            of(text.as_bytes()).unwrap();
            let error = of(b"another").unwrap_err();
            assert!(error.contains(value) && error.starts_with(&name.to_uppercase()), "{error}");
        }
        // Of parts, of no length of its own, of a kind that is not known: nothing to compare with.
        for (name, text) in [("crc32", "y/Q5Jg==-2"), ("crc32", "rosUhgp5mIg="), ("blake3", "y/Q5Jg==")] {
            assert!(Expected::of(&BTreeMap::from([(name.to_owned(), text.to_owned())])).is_empty(), "{name}");
        }
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
