//! What is stored beside a body: content headers, user metadata, storage class.

use crate::Error;
use engine::blob::Copies;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// Most bytes of user metadata, names and values added up.
pub const USER_METADATA_BYTES_MAX: usize = 2 << 10;
/// Most bytes of content headers, values added up.
pub const SYSTEM_METADATA_BYTES_MAX: usize = 8 << 10;

/// Headers that are stored and given back as they came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SystemMetadata {
    /// Content-Type.
    pub content_type: Option<String>,
    /// Content-Encoding, without `aws-chunked`.
    pub content_encoding: Option<String>,
    /// Content-Language.
    pub content_language: Option<String>,
    /// Content-Disposition.
    pub content_disposition: Option<String>,
    /// Cache-Control.
    pub cache_control: Option<String>,
    /// Expires, as text.
    pub expires: Option<String>,
    /// x-amz-website-redirect-location.
    pub website_redirect: Option<String>,
}

impl SystemMetadata {
    /// In the order of their tags in records.
    pub(crate) fn fields(&self) -> [&Option<String>; 7] {
        [
            &self.content_type,
            &self.content_encoding,
            &self.content_language,
            &self.content_disposition,
            &self.cache_control,
            &self.expires,
            &self.website_redirect,
        ]
    }

    pub(crate) fn fields_mut(&mut self) -> [&mut Option<String>; 7] {
        [
            &mut self.content_type,
            &mut self.content_encoding,
            &mut self.content_language,
            &mut self.content_disposition,
            &mut self.cache_control,
            &mut self.expires,
            &mut self.website_redirect,
        ]
    }
}

/// User metadata: names in lower case without their `x-amz-meta-`, values as text.
pub type UserMetadata = BTreeMap<String, String>;

/// Content headers and user metadata of one object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// Content headers.
    pub system: SystemMetadata,
    /// User metadata.
    pub user: UserMetadata,
}

impl Metadata {
    /// Checks the limits.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let size = self.user.iter().map(|(name, value)| name.len() + value.len()).sum();
        if size > USER_METADATA_BYTES_MAX {
            return Err(Error::MetadataTooLarge { size, limit: USER_METADATA_BYTES_MAX });
        }
        let size: usize = self.system.fields().into_iter().flatten().map(String::len).sum();
        if size > SYSTEM_METADATA_BYTES_MAX {
            return Err(Error::MetadataTooLarge { size, limit: SYSTEM_METADATA_BYTES_MAX });
        }
        Ok(())
    }
}

/// A storage class, by S3's names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StorageClass {
    /// `STANDARD`.
    #[default]
    Standard,
    /// `REDUCED_REDUNDANCY`, kept for clients that still send it.
    ReducedRedundancy,
    /// `STANDARD_IA`.
    StandardIa,
    /// `ONEZONE_IA`.
    OneZoneIa,
    /// `INTELLIGENT_TIERING`.
    IntelligentTiering,
    /// `GLACIER_IR`.
    GlacierIr,
    /// `GLACIER`.
    Glacier,
    /// `DEEP_ARCHIVE`.
    DeepArchive,
}

impl StorageClass {
    /// All of them, in the order of their tags in records.
    pub const ALL: [Self; 8] = [
        Self::Standard,
        Self::ReducedRedundancy,
        Self::StandardIa,
        Self::OneZoneIa,
        Self::IntelligentTiering,
        Self::GlacierIr,
        Self::Glacier,
        Self::DeepArchive,
    ];

    /// Copies of a body in this class.
    pub(crate) const fn copies(self) -> Copies {
        match self {
            Self::OneZoneIa => Copies::One,
            _ => Copies::Configured,
        }
    }

    /// Whether its objects are to be restored before they are read.
    pub const fn is_archived(self) -> bool {
        matches!(self, Self::Glacier | Self::DeepArchive)
    }

    /// Its place in the waterfall: rules move objects down alone.
    pub(crate) const fn depth(self) -> u8 {
        match self {
            Self::Standard | Self::ReducedRedundancy => 0,
            Self::StandardIa => 1,
            Self::IntelligentTiering => 2,
            Self::OneZoneIa => 3,
            Self::GlacierIr => 4,
            Self::Glacier => 5,
            Self::DeepArchive => 6,
        }
    }

    /// Whether a rule moves objects of this class to that one, as S3's do.
    pub(crate) const fn goes_to(self, to: Self) -> bool {
        self.depth() < to.depth() && !matches!((self, to), (Self::OneZoneIa, Self::GlacierIr))
    }

    /// S3's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Standard => "STANDARD",
            Self::ReducedRedundancy => "REDUCED_REDUNDANCY",
            Self::StandardIa => "STANDARD_IA",
            Self::OneZoneIa => "ONEZONE_IA",
            Self::IntelligentTiering => "INTELLIGENT_TIERING",
            Self::GlacierIr => "GLACIER_IR",
            Self::Glacier => "GLACIER",
            Self::DeepArchive => "DEEP_ARCHIVE",
        }
    }
}

impl fmt::Display for StorageClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for StorageClass {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self, Error> {
        Self::ALL
            .into_iter()
            .find(|class| class.as_str() == text)
            .ok_or(Error::InvalidArgument { name: "x-amz-storage-class", detail: "unknown storage class" })
    }
}
