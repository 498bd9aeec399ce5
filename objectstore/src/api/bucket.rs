//! About buckets.

use crate::BucketName;
use engine::clock::Timestamp;
use engine::unit::ByteCount;
use security::AccountId;

/// Whether new versions replace old ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Versioning {
    /// Never enabled: a key has one version, the null one.
    #[default]
    Off,
    /// Every write adds a version.
    Enabled,
    /// Writes replace the null version; the others stay.
    Suspended,
}

/// A bucket as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketInfo {
    /// Its name.
    pub name: BucketName,
    /// When it was created.
    pub created: Timestamp,
    /// Who owns it.
    pub owner: AccountId,
}

/// Which buckets to list.
#[derive(Clone, Debug)]
pub struct ListBuckets {
    /// Only those of this account; `None` for all.
    pub owner: Option<AccountId>,
    /// Only names that start with this.
    pub prefix: String,
    /// Only names after this one.
    pub after: Option<BucketName>,
    /// At most this many, 10,000 at the most.
    pub max: usize,
}

impl Default for ListBuckets {
    fn default() -> Self {
        Self { owner: None, prefix: String::new(), after: None, max: 10_000 }
    }
}

/// Buckets in order of their names.
#[derive(Clone, Debug, Default)]
pub struct BucketPage {
    /// The buckets.
    pub buckets: Vec<BucketInfo>,
    /// Go on after this one; `None` at the end.
    pub next: Option<BucketName>,
}

/// What a bucket holds, as its counters have it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BucketUsage {
    /// Versions that have a body (delete markers aside), the live ones included.
    pub versions: u64,
    /// Their bytes, as clients see them.
    pub bytes: ByteCount,
}
