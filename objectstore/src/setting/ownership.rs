//! Ownership controls: who owns an object that another account writes, and whether access lists mean anything.

use super::{Setting, SettingKind};
use crate::{Error, Result};
use engine::catalog::record::{Record, RecordReader, RecordWriter};
use std::fmt;
use std::str::FromStr;

/// Who owns the objects of a bucket. Source: "Controlling ownership of objects and disabling ACLs" of the S3 user guide.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ObjectOwnership {
    /// The bucket's owner owns every object, and access lists mean nothing. What a bucket without controls of its own has.
    #[default]
    BucketOwnerEnforced,
    /// Who writes it, unless it is written with the canned list `bucket-owner-full-control`.
    BucketOwnerPreferred,
    /// Who writes it.
    ObjectWriter,
}

impl ObjectOwnership {
    const ALL: [Self; 3] = [Self::BucketOwnerEnforced, Self::BucketOwnerPreferred, Self::ObjectWriter];

    /// S3's name: `BucketOwnerEnforced`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BucketOwnerEnforced => "BucketOwnerEnforced",
            Self::BucketOwnerPreferred => "BucketOwnerPreferred",
            Self::ObjectWriter => "ObjectWriter",
        }
    }
}

impl fmt::Display for ObjectOwnership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ObjectOwnership {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == text).ok_or(Error::InvalidArgument {
            name: "x-amz-object-ownership",
            detail: "Invalid value for x-amz-object-ownership: BucketOwnerEnforced, BucketOwnerPreferred or ObjectWriter",
        })
    }
}

/// A bucket's ownership controls as they were set last. A bucket that never had any is
/// [`BucketOwnerEnforced`](ObjectOwnership::BucketOwnerEnforced).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnershipControls {
    /// One rule.
    Rule(ObjectOwnership),
    /// They were deleted: as in S3, what holds then is what held before there were any.
    Deleted,
}

impl OwnershipControls {
    /// What they come to.
    pub const fn ownership(self) -> ObjectOwnership {
        match self {
            Self::Rule(ownership) => ownership,
            Self::Deleted => ObjectOwnership::ObjectWriter,
        }
    }
}

impl Record for OwnershipControls {
    const NAME: &'static str = "ownership controls";
    const VERSION: u8 = 1;

    fn encode(&self, out: &mut RecordWriter) {
        out.u8(match self {
            Self::Deleted => 0,
            Self::Rule(ObjectOwnership::BucketOwnerEnforced) => 1,
            Self::Rule(ObjectOwnership::BucketOwnerPreferred) => 2,
            Self::Rule(ObjectOwnership::ObjectWriter) => 3,
        });
    }

    fn decode(_version: u8, fields: &mut RecordReader<'_>) -> engine::Result<Self> {
        match fields.u8()? {
            0 => Ok(Self::Deleted),
            number @ 1..=3 => Ok(Self::Rule(ObjectOwnership::ALL[usize::from(number) - 1])),
            other => Err(fields.corrupt(format!("object ownership {other}"))),
        }
    }
}

impl Setting for OwnershipControls {
    const KIND: SettingKind = SettingKind::Ownership;
}
