//! Lists by name. Source: "Canned ACL" in "Access control list (ACL) overview" of the S3 user guide.

use super::{AccessList, Grant, Grantee, Permission};
use crate::{CanonicalUser, Error, Result};
use std::fmt;
use std::str::FromStr;

/// A list by its name in `x-amz-acl`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum CannedAcl {
    /// The owner alone.
    #[default]
    Private,
    /// Anybody may read.
    PublicRead,
    /// Anybody may read and write.
    PublicReadWrite,
    /// Whoever signs may read.
    AuthenticatedRead,
    /// Of objects: the bucket's owner may read.
    BucketOwnerRead,
    /// Of objects: the bucket's owner may do everything.
    BucketOwnerFullControl,
    /// Of buckets: logs may be delivered.
    LogDeliveryWrite,
    /// EC2 may read a bundle. There is no such service here, so it is the owner alone.
    AwsExecRead,
}

impl CannedAcl {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Private,
        Self::PublicRead,
        Self::PublicReadWrite,
        Self::AuthenticatedRead,
        Self::BucketOwnerRead,
        Self::BucketOwnerFullControl,
        Self::LogDeliveryWrite,
        Self::AwsExecRead,
    ];

    /// S3's name: `public-read`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Private => "private",
            Self::PublicRead => "public-read",
            Self::PublicReadWrite => "public-read-write",
            Self::AuthenticatedRead => "authenticated-read",
            Self::BucketOwnerRead => "bucket-owner-read",
            Self::BucketOwnerFullControl => "bucket-owner-full-control",
            Self::LogDeliveryWrite => "log-delivery-write",
            Self::AwsExecRead => "aws-exec-read",
        }
    }

    /// As a bucket's list. What is for objects only is private here, as in S3.
    pub fn of_bucket(self, owner: CanonicalUser) -> AccessList {
        let delivery = |permission| Grant { grantee: Grantee::LogDelivery, permission };
        let mut grants = match self {
            Self::LogDeliveryWrite => vec![delivery(Permission::Write), delivery(Permission::ReadAcp)],
            other => other.to_groups(),
        };
        grants.push(Grant::to(owner, Permission::FullControl));
        AccessList(grants)
    }

    /// As an object's list. What is for buckets only is private here.
    pub fn of_object(self, owner: CanonicalUser, bucket_owner: CanonicalUser) -> AccessList {
        let mut grants = self.to_groups();
        grants.push(Grant::to(owner, Permission::FullControl));
        let more = match self {
            Self::BucketOwnerRead => Some(Permission::Read),
            Self::BucketOwnerFullControl => Some(Permission::FullControl),
            _ => None,
        };
        grants.extend(more.filter(|_| owner != bucket_owner).map(|more| Grant::to(bucket_owner, more)));
        AccessList(grants)
    }

    fn to_groups(self) -> Vec<Grant> {
        let all = |permission| Grant { grantee: Grantee::AllUsers, permission };
        match self {
            Self::PublicRead => vec![all(Permission::Read)],
            Self::PublicReadWrite => vec![all(Permission::Read), all(Permission::Write)],
            Self::AuthenticatedRead => {
                vec![Grant { grantee: Grantee::AuthenticatedUsers, permission: Permission::Read }]
            }
            _ => Vec::new(),
        }
    }
}

impl fmt::Display for CannedAcl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for CannedAcl {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == text).ok_or_else(|| Error::Parse {
            what: "canned access list",
            detail: format!("{text:?} is none of S3's"),
        })
    }
}
