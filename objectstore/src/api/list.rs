//! About listings. Keys are ordered by their UTF-8 bytes; common prefixes are skipped by seeking.

use crate::{
    BucketName, ChecksumAlgorithm, ChecksumType, ETag, ObjectKey, RestoreState, StorageClass, VersionName,
};
use engine::clock::Timestamp;
use engine::unit::ByteCount;
use security::CanonicalUser;

/// Most entries and common prefixes of one page.
pub const PAGE_MAX: usize = 1_000;

/// Where a listing goes on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ListAfter {
    /// From the beginning.
    #[default]
    Start,
    /// After this text, which need not be a key: `start-after`, and `marker` of the first version. A text that ends in
    /// the delimiter and is a common prefix of this listing skips all keys below it.
    Key(String),
    /// After a page's [`ListPage::next`], in its opaque form.
    Token(String),
}

/// Lists live objects.
#[derive(Clone, Debug)]
pub struct ListRequest {
    /// The bucket.
    pub bucket: BucketName,
    /// Only keys that start with this.
    pub prefix: String,
    /// Keys with this after the prefix are rolled up; empty for none.
    pub delimiter: String,
    /// Where to go on.
    pub after: ListAfter,
    /// At most this many entries and common prefixes, [`PAGE_MAX`] at the most.
    pub max_keys: usize,
}

impl ListRequest {
    /// All of a bucket, from the beginning.
    pub fn new(bucket: BucketName) -> Self {
        Self {
            bucket,
            prefix: String::new(),
            delimiter: String::new(),
            after: ListAfter::Start,
            max_keys: PAGE_MAX,
        }
    }
}

/// One live object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListEntry {
    /// The key.
    pub key: ObjectKey,
    /// The size.
    pub size: ByteCount,
    /// The entity tag.
    pub etag: ETag,
    /// Last-Modified.
    pub modified: Timestamp,
    /// The class.
    pub class: StorageClass,
    /// Whether it is restored, or is being.
    pub restore: Option<RestoreState>,
    /// Which checksum it has.
    pub checksum: Option<(ChecksumAlgorithm, ChecksumType)>,
    /// Who owns it, where that is not the bucket's owner.
    pub owner: Option<CanonicalUser>,
}

/// A page of live objects.
#[derive(Clone, Debug, Default)]
pub struct ListPage {
    /// In order.
    pub entries: Vec<ListEntry>,
    /// In order.
    pub common_prefixes: Vec<String>,
    /// The last key or common prefix of this page, when there is more: `NextMarker` of version 1.
    pub next_marker: Option<String>,
    /// An opaque token for [`ListAfter::Token`], when there is more.
    pub next: Option<String>,
}

/// Lists versions and delete markers.
#[derive(Clone, Debug)]
pub struct VersionsRequest {
    /// The bucket.
    pub bucket: BucketName,
    /// Only keys that start with this.
    pub prefix: String,
    /// Keys with this after the prefix are rolled up; empty for none.
    pub delimiter: String,
    /// `key-marker`: after all versions of this key, or, with a version, after that version of it.
    pub key_marker: Option<String>,
    /// `version-id-marker`; not without a key.
    pub version_marker: Option<VersionName>,
    /// At most this many versions and common prefixes, [`PAGE_MAX`] at the most.
    pub max_keys: usize,
}

impl VersionsRequest {
    /// All of a bucket, from the beginning.
    pub fn new(bucket: BucketName) -> Self {
        Self {
            bucket,
            prefix: String::new(),
            delimiter: String::new(),
            key_marker: None,
            version_marker: None,
            max_keys: PAGE_MAX,
        }
    }
}

/// One version or delete marker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionEntry {
    /// The key.
    pub key: ObjectKey,
    /// The version; `null` in a bucket that never had versions.
    pub version: VersionName,
    /// The newest of its key.
    pub latest: bool,
    /// Last-Modified.
    pub modified: Timestamp,
    /// What a listing shows of its body; `None` for a delete marker.
    pub object: Option<ListEntry>,
}

/// A page of versions.
#[derive(Clone, Debug, Default)]
pub struct VersionPage {
    /// By key, newest first.
    pub entries: Vec<VersionEntry>,
    /// In order.
    pub common_prefixes: Vec<String>,
    /// `NextKeyMarker`, when there is more.
    pub next_key: Option<String>,
    /// `NextVersionIdMarker`, when there is more and the page did not end with a common prefix.
    pub next_version: Option<VersionName>,
}
