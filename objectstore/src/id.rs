//! Ids that firn gives: versions, uploads, parts, and the owners by which blobs know who refers to them.

use crate::Error;
use engine::entropy::Entropy;
use engine::id::random_bytes;
use std::fmt;
use std::str::FromStr;

/// A version of one key: an order number that grows with every change of the key, and 8 random bytes. Opaque in its text
/// form (32 hexadecimal digits). The null version has one too, for its place among the others, and is shown as `null`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VersionId {
    pub(crate) order: u64,
    pub(crate) salt: u64,
}

impl VersionId {
    pub(crate) fn new(order: u64, entropy: &dyn Entropy) -> Self {
        let mut salt = [0; 8];
        entropy.fill_id(&mut salt);
        Self { order, salt: u64::from_be_bytes(salt) }
    }
}

impl fmt::Display for VersionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}{:016x}", self.order, self.salt)
    }
}

impl fmt::Debug for VersionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "version {self}")
    }
}

impl FromStr for VersionId {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self, Error> {
        let [order, salt] = hex_words(text).ok_or(Error::InvalidVersionId)?;
        Ok(Self { order, salt })
    }
}

/// Two big-endian words from exactly 32 lowercase hexadecimal digits.
fn hex_words(text: &str) -> Option<[u64; 2]> {
    let digits = |c: u8| c.is_ascii_digit() || (b'a'..=b'f').contains(&c);
    if text.len() != 32 || !text.bytes().all(digits) {
        return None;
    }
    Some([u64::from_str_radix(&text[..16], 16).ok()?, u64::from_str_radix(&text[16..], 16).ok()?])
}

/// How a version is called: by its id, or `null` when it was written while versioning was off or suspended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum VersionName {
    /// The key's one null version.
    Null,
    /// Any other.
    Id(VersionId),
}

impl fmt::Display for VersionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Id(id) => id.fmt(f),
        }
    }
}

impl FromStr for VersionName {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self, Error> {
        if text == "null" { Ok(Self::Null) } else { text.parse().map(Self::Id) }
    }
}

/// Which version a request is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum VersionSelector {
    /// The newest; gone if that is a delete marker.
    #[default]
    Latest,
    /// The null version.
    Null,
    /// This one.
    Id(VersionId),
}

impl From<VersionName> for VersionSelector {
    fn from(name: VersionName) -> Self {
        match name {
            VersionName::Null => Self::Null,
            VersionName::Id(id) => Self::Id(id),
        }
    }
}

engine::id_type! {
    /// A multipart upload: 32 hexadecimal digits.
    pub struct UploadId(pub(crate) [u8; 16]), "upload"
}

impl UploadId {
    /// Ids of one key sort by when they were begun: 8 bytes of time, 8 random ones.
    pub(crate) fn new(now: engine::clock::Timestamp, entropy: &dyn Entropy) -> Self {
        let mut bytes = [0; 16];
        let (time, salt) = bytes.split_at_mut(8);
        time.copy_from_slice(&now.as_millis().to_be_bytes());
        entropy.fill_id(salt);
        Self(bytes)
    }
}

engine::id_type! {
    /// Who refers to a blob, a manifest or an inline body: one version, or one part. Never reused.
    pub(crate) struct OwnerId(pub(crate) [u8; 16]), "owner"
}

engine::id_type! {
    /// An archive that is being taken apart. Never reused.
    pub(crate) struct IngestId(pub(crate) [u8; 16]), "ingest"
}

impl IngestId {
    pub(crate) fn random(entropy: &dyn Entropy) -> Self {
        Self(random_bytes(entropy))
    }
}

engine::id_type! {
    /// A paged list of extents.
    pub(crate) struct ManifestId(pub(crate) [u8; 16]), "manifest"
}

impl ManifestId {
    pub(crate) fn random(entropy: &dyn Entropy) -> Self {
        Self(random_bytes(entropy))
    }
}

impl FromStr for UploadId {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self, Error> {
        let [high, low] = hex_words(text).ok_or(Error::NoSuchUpload)?;
        Ok(Self((u128::from(high) << 64 | u128::from(low)).to_be_bytes()))
    }
}

/// A part's number, 1–10,000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartNumber(u16);

impl PartNumber {
    /// The largest.
    pub const MAX: u16 = 10_000;

    /// Checks the range.
    pub fn new(number: u32) -> Result<Self, Error> {
        match u16::try_from(number) {
            Ok(n) if (1..=Self::MAX).contains(&n) => Ok(Self(n)),
            _ => Err(Error::InvalidArgument {
                name: "partNumber",
                detail: "part number must be an integer between 1 and 10000, inclusive",
            }),
        }
    }

    /// As a plain number.
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl fmt::Display for PartNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::{PartNumber, UploadId, VersionId, VersionName};

    #[test]
    fn text_forms_round_trip_and_refuse_the_rest() {
        let id = VersionId { order: 0x0102, salt: u64::MAX };
        assert_eq!(id.to_string(), "0000000000000102ffffffffffffffff");
        assert_eq!(id.to_string().parse::<VersionName>().unwrap(), VersionName::Id(id));
        assert_eq!("null".parse::<VersionName>().unwrap(), VersionName::Null);
        let upload = UploadId::from_bytes(*b"0123456789abcdef");
        assert_eq!(upload.to_string().parse::<UploadId>().unwrap(), upload);
        for bad in ["", "NULL", "0", "+000000000000102ffffffffffffffff", "0000000000000102FFFFFFFFFFFFFFFF"] {
            bad.parse::<VersionName>().unwrap_err();
            bad.parse::<UploadId>().unwrap_err();
        }
        assert_eq!(PartNumber::new(10_000).unwrap().get(), 10_000);
        for bad in [0, 10_001, 65_537] {
            PartNumber::new(bad).unwrap_err();
        }
    }
}
