//! S3's additional checksums: the ten algorithms, their values, and how those of parts make up one of the whole.
//!
//! ```text
//!   full object   one value over all bytes; of parts only by combining CRCs
//!   composite     the algorithm over the parts' binary values, shown as base64-N
//! ```

mod combine;
mod digests;
mod md5;
mod running;

pub(crate) use digests::{Sums, of_parts};
pub(crate) use md5::Lanes;
pub(crate) use running::Running;

use crate::Error;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::fmt;
use std::str::FromStr;

/// An additional checksum's algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChecksumAlgorithm {
    /// CRC-32 (ISO-HDLC).
    Crc32,
    /// CRC-32C (Castagnoli).
    Crc32C,
    /// CRC-64/NVME, S3's default.
    Crc64Nvme,
    /// SHA-1.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
    /// MD5.
    Md5,
    /// XXH64.
    XxHash64,
    /// XXH3, 64 bits.
    XxHash3,
    /// XXH3, 128 bits.
    XxHash128,
}

impl ChecksumAlgorithm {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Crc32,
        Self::Crc32C,
        Self::Crc64Nvme,
        Self::Sha1,
        Self::Sha256,
        Self::Sha512,
        Self::Md5,
        Self::XxHash64,
        Self::XxHash3,
        Self::XxHash128,
    ];

    /// S3's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Crc32 => "CRC32",
            Self::Crc32C => "CRC32C",
            Self::Crc64Nvme => "CRC64NVME",
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
            Self::Sha512 => "SHA512",
            Self::Md5 => "MD5",
            Self::XxHash64 => "XXHASH64",
            Self::XxHash3 => "XXHASH3",
            Self::XxHash128 => "XXHASH128",
        }
    }

    /// Length of a value in bytes.
    pub const fn value_bytes(self) -> usize {
        match self {
            Self::Crc32 | Self::Crc32C => 4,
            Self::Crc64Nvme | Self::XxHash64 | Self::XxHash3 => 8,
            Self::Md5 | Self::XxHash128 => 16,
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }

    /// Whether parts' values can be combined into that of the whole.
    pub const fn combines(self) -> bool {
        matches!(self, Self::Crc32 | Self::Crc32C | Self::Crc64Nvme)
    }

    /// What a multipart upload gets that names the algorithm and no type: composite where there is one.
    pub const fn default_type(self) -> ChecksumType {
        match self {
            Self::Crc64Nvme => ChecksumType::FullObject,
            _ => ChecksumType::Composite,
        }
    }

    /// Whether a multipart upload may have this type: full object only where values combine, composite everywhere but
    /// with CRC64NVME.
    pub fn allows(self, kind: ChecksumType) -> bool {
        match kind {
            ChecksumType::FullObject => self.combines(),
            ChecksumType::Composite => self != Self::Crc64Nvme,
        }
    }
}

impl fmt::Display for ChecksumAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ChecksumAlgorithm {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|known| known.as_str().eq_ignore_ascii_case(text)).ok_or(
            Error::InvalidArgument { name: "x-amz-checksum-algorithm", detail: "unknown checksum algorithm" },
        )
    }
}

/// What a checksum is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChecksumType {
    /// All bytes of the object.
    FullObject,
    /// The values of its parts.
    Composite,
}

impl ChecksumType {
    /// S3's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FullObject => "FULL_OBJECT",
            Self::Composite => "COMPOSITE",
        }
    }
}

impl fmt::Display for ChecksumType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ChecksumType {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "FULL_OBJECT" => Ok(Self::FullObject),
            "COMPOSITE" => Ok(Self::Composite),
            _ => Err(Error::InvalidArgument {
                name: "x-amz-checksum-type",
                detail: "FULL_OBJECT or COMPOSITE",
            }),
        }
    }
}

/// The value of a checksum over some bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ChecksumValue {
    algorithm: ChecksumAlgorithm,
    bytes: [u8; 64],
}

impl ChecksumValue {
    /// From the binary form; `None` when the length is not the algorithm's.
    pub fn from_slice(algorithm: ChecksumAlgorithm, raw: &[u8]) -> Option<Self> {
        let mut bytes = [0; 64];
        let length = algorithm.value_bytes();
        (raw.len() == length).then(|| bytes[..length].copy_from_slice(raw))?;
        Some(Self { algorithm, bytes })
    }

    /// From base64, as headers carry it.
    pub fn parse(algorithm: ChecksumAlgorithm, text: &str) -> Result<Self, Error> {
        STANDARD.decode(text).ok().and_then(|raw| Self::from_slice(algorithm, &raw)).ok_or(
            Error::InvalidRequest { detail: "the value of a checksum header is not base64 of its length" },
        )
    }

    /// Its algorithm.
    pub const fn algorithm(&self) -> ChecksumAlgorithm {
        self.algorithm
    }

    /// The binary form.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.algorithm.value_bytes()]
    }
}

/// Base64, as headers carry it.
impl fmt::Display for ChecksumValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.as_bytes()))
    }
}

impl fmt::Debug for ChecksumValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {self}", self.algorithm)
    }
}

/// An object's stored checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObjectChecksum {
    /// The value.
    pub value: ChecksumValue,
    /// What it is over.
    pub kind: ChecksumType,
    /// Number of parts of a composite one; 0 otherwise.
    pub parts: u16,
}

impl ObjectChecksum {
    /// Of all bytes.
    pub const fn full(value: ChecksumValue) -> Self {
        Self { value, kind: ChecksumType::FullObject, parts: 0 }
    }
}

/// As headers carry it: base64, followed by `-N` when composite.
impl fmt::Display for ObjectChecksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            ChecksumType::FullObject => self.value.fmt(f),
            ChecksumType::Composite => write!(f, "{}-{}", self.value, self.parts),
        }
    }
}
