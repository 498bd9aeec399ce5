//! About single objects.

use crate::{
    BucketName, ChecksumAlgorithm, ChecksumValue, DeleteConditions, ETag, EncryptedBy, Encrypts, Expiry,
    IfRange, Metadata, ObjectChecksum, ObjectKey, Origin, PartNumber, ReadConditions, RestoreState, Result,
    StorageClass, Subresources, VersionName, VersionSelector, WriteConditions, Writer,
};
use bytes::Bytes;
use engine::clock::Timestamp;
use engine::unit::ByteCount;
use futures_util::stream::BoxStream;
use security::Question;
use security::envelope::CustomerKey;

/// What is asked before a write puts something in the place of what is there: at the version that its commit is checked against, so that
/// what is denied meanwhile is denied. `None` in a request: of nobody.
#[derive(Clone, Debug)]
pub struct WriteQuestions {
    /// Whether the key may be written or deleted so.
    pub writes: Question,
    /// Whether what is there may be read: put to its row where a condition names its ETag, size or time, which the answer tells of.
    pub reads: Option<Question>,
}

/// Stores an object; the body follows through [`Upload`](crate::Upload).
#[derive(Clone, Debug)]
pub struct PutRequest {
    /// The bucket.
    pub bucket: BucketName,
    /// The key.
    pub key: ObjectKey,
    /// The body's length, where it is known beforehand. Another one is refused.
    pub length: Option<ByteCount>,
    /// Content headers and user metadata.
    pub metadata: Metadata,
    /// The class.
    pub class: StorageClass,
    /// The additional checksum to compute and store; `None` for S3's default, CRC64NVME. With a key it is told and not kept, and `None` is none.
    pub checksum: Option<ChecksumAlgorithm>,
    /// Tags and what else stands beside it; its owner and access list follow from `writer`.
    pub subresources: Subresources,
    /// The body comes with a digest; one that is to be locked must.
    pub proven: bool,
    /// Who writes it, and the access list that it asks for.
    pub writer: Writer,
    /// Where it comes from, for the bucket's events.
    pub origin: Origin,
    /// The key that its bytes are readable with from then on, and not without.
    pub customer_key: Option<CustomerKey>,
    /// How they are encrypted where no key came along. A managed key is used by who `asks`.
    pub encryption: Encrypts,
    /// Decided in the commit.
    pub conditions: WriteConditions,
    /// Who is asked, there too.
    pub asks: Option<WriteQuestions>,
}

impl PutRequest {
    /// With no metadata, no conditions, and the default class; of a body that is known to be right.
    pub fn new(bucket: BucketName, key: ObjectKey) -> Self {
        Self {
            bucket,
            key,
            length: None,
            metadata: Metadata::default(),
            class: StorageClass::default(),
            checksum: None,
            subresources: Subresources::default(),
            proven: true,
            writer: Writer::default(),
            origin: Origin::default(),
            customer_key: None,
            encryption: Encrypts::AsBucket,
            conditions: WriteConditions::default(),
            asks: None,
        }
    }
}

/// What the client says the body's digests are, known at its end at the latest (trailers).
#[derive(Clone, Copy, Debug, Default)]
pub struct Expect {
    /// Content-MD5.
    pub content_md5: Option<[u8; 16]>,
    /// An additional checksum. Its algorithm must be the one that the request named.
    pub checksum: Option<ChecksumValue>,
}

/// What became of a PUT or of a part.
#[derive(Clone, Debug)]
pub struct Uploaded {
    /// The entity tag.
    pub etag: ETag,
    /// The stored checksum.
    pub checksum: Option<ObjectChecksum>,
    /// The new version, in a bucket that has versions. `None` for parts.
    pub version: Option<VersionName>,
    /// Bytes received.
    pub size: ByteCount,
    /// Whose key they are readable with.
    pub encrypted_by: EncryptedBy,
    /// When a lifecycle rule acts on it.
    pub expires: Option<Expiry>,
}

/// A range as asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RangeSpec {
    /// `first-` or `first-last`, inclusive.
    From {
        /// First byte.
        first: u64,
        /// Last byte; the end when left out or beyond it.
        last: Option<u64>,
    },
    /// `-n`: the last `n` bytes.
    Suffix(u64),
}

/// A range as answered: never empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// First byte.
    pub first: u64,
    /// Last byte, inclusive.
    pub last: u64,
}

/// Reads an object.
#[derive(Clone, Debug)]
pub struct GetRequest {
    /// The bucket.
    pub bucket: BucketName,
    /// The key.
    pub key: ObjectKey,
    /// Which version.
    pub version: VersionSelector,
    /// Only these bytes.
    pub range: Option<RangeSpec>,
    /// Only if it is still the same object; else all of it. Means nothing without a range.
    pub if_range: Option<IfRange>,
    /// Only this part; not together with a range.
    pub part: Option<PartNumber>,
    /// Decided before anything is read.
    pub conditions: ReadConditions,
    /// Put to the row that is found, before anything is told of it; `None` for who may read everything.
    pub asks: Option<Question>,
    /// The key that it was stored with, if it was.
    pub customer_key: Option<CustomerKey>,
}

impl GetRequest {
    /// The whole of the latest version.
    pub fn new(bucket: BucketName, key: ObjectKey) -> Self {
        Self {
            bucket,
            key,
            version: VersionSelector::Latest,
            range: None,
            if_range: None,
            part: None,
            conditions: ReadConditions::default(),
            asks: None,
            customer_key: None,
        }
    }
}

/// A version as it is shown.
#[derive(Clone, Debug)]
pub struct ObjectInfo {
    /// Its name, in a bucket that has versions.
    pub version: Option<VersionName>,
    /// The whole object's size.
    pub size: ByteCount,
    /// The entity tag.
    pub etag: ETag,
    /// Last-Modified.
    pub modified: Timestamp,
    /// The class.
    pub class: StorageClass,
    /// The stored checksum.
    pub checksum: Option<ObjectChecksum>,
    /// Content headers and user metadata.
    pub metadata: Metadata,
    /// Number of parts; 0 for one that was not uploaded in parts.
    pub parts: u32,
    /// Tags and what else stands beside it.
    pub subresources: Subresources,
    /// Whose key its bytes are readable with.
    pub encrypted_by: EncryptedBy,
    /// Whether it is restored, or is being.
    pub restore: Option<RestoreState>,
    /// When a lifecycle rule acts on it; of the latest version alone.
    pub expires: Option<Expiry>,
}

/// Bytes of a body, verified as they come. An error ends it.
pub type BodyStream = BoxStream<'static, Result<Bytes>>;

/// What a GET answers.
pub struct GetOutcome {
    /// About the object.
    pub info: ObjectInfo,
    /// The range that the body holds, when one or a part was asked for.
    pub range: Option<Range>,
    /// The checksum of the part that was asked for, where it has one of its own.
    pub part_checksum: Option<ChecksumValue>,
    /// Bytes in the body.
    pub length: ByteCount,
    /// The body; empty for HEAD.
    pub body: BodyStream,
}

/// Deletes an object, a version or a delete marker.
#[derive(Clone, Debug)]
pub struct DeleteRequest {
    /// The bucket.
    pub bucket: BucketName,
    /// The key.
    pub key: ObjectKey,
    /// [`VersionSelector::Latest`] for a plain delete (a marker where versions are kept).
    pub version: VersionSelector,
    /// Decided in the commit.
    pub conditions: DeleteConditions,
    /// Whoever asks may remove versions in spite of a governance retention, and says that it means to.
    pub bypass_governance: bool,
    /// Where it comes from, for the bucket's events.
    pub origin: Origin,
    /// As [`PutRequest::asks`].
    pub asks: Option<WriteQuestions>,
}

/// Which version's subresources to change.
#[derive(Clone, Debug)]
pub struct AmendRequest {
    /// The bucket.
    pub bucket: BucketName,
    /// The key.
    pub key: ObjectKey,
    /// Which version.
    pub version: VersionSelector,
    /// Where it comes from, for the bucket's events.
    pub origin: Origin,
}

/// What became of a delete. Deleting what is not there is a success.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeleteOutcome {
    /// The version that was removed, or the marker that was added.
    pub version: Option<VersionName>,
    /// That version is a delete marker.
    pub marker: bool,
}

/// Where a copy comes from.
#[derive(Clone, Debug)]
pub struct CopySource {
    /// The bucket.
    pub bucket: BucketName,
    /// The key.
    pub key: ObjectKey,
    /// Which version.
    pub version: VersionSelector,
    /// Conditions on it.
    pub conditions: ReadConditions,
    /// As [`GetRequest::asks`].
    pub asks: Option<Question>,
    /// As [`GetRequest::customer_key`].
    pub customer_key: Option<CustomerKey>,
}

/// Where a copy's metadata comes from.
#[derive(Clone, Debug, Default)]
pub enum MetadataDirective {
    /// From the source.
    #[default]
    Copy,
    /// From the request.
    Replace(Metadata),
}

/// Copies an object without moving its bytes.
#[derive(Clone, Debug)]
pub struct CopyRequest {
    /// The source.
    pub source: CopySource,
    /// The destination's bucket.
    pub bucket: BucketName,
    /// The destination's key.
    pub key: ObjectKey,
    /// Where metadata comes from.
    pub metadata: MetadataDirective,
    /// The class; `None` for the default class, as S3 has it.
    pub class: Option<StorageClass>,
    /// A checksum to store; `None` to carry the source's over.
    pub checksum: Option<ChecksumAlgorithm>,
    /// What stands beside the copy; the source's is not carried over, but for tags that are left out here.
    pub subresources: Subresources,
    /// The tags are the source's.
    pub copy_tags: bool,
    /// As [`PutRequest::asks`], of the destination. Where the source's tags are copied it is asked with those, and whether they may be set there.
    pub asks: Option<WriteQuestions>,
    /// Where a website sends who asks for the copy. A source's own is never copied, as in S3; what `metadata` says goes before.
    pub website_redirect: Option<String>,
    /// Who writes the copy, and the access list that it asks for.
    pub writer: Writer,
    /// As [`PutRequest::customer_key`], of the copy.
    pub customer_key: Option<CustomerKey>,
    /// As [`PutRequest::encryption`], of the copy: the source's is not carried over.
    pub encryption: Encrypts,
    /// Where it comes from, for the bucket's events.
    pub origin: Origin,
    /// On the destination, decided in the commit.
    pub conditions: WriteConditions,
}

/// What became of a copy.
#[derive(Clone, Debug)]
pub struct CopyOutcome {
    /// The entity tag.
    pub etag: ETag,
    /// Last-Modified of the new object or part.
    pub modified: Timestamp,
    /// Bytes that the new object or part has.
    pub size: ByteCount,
    /// The stored checksum.
    pub checksum: Option<ObjectChecksum>,
    /// Whose key it is readable with.
    pub encrypted_by: EncryptedBy,
    /// The new version, in a bucket that has versions.
    pub version: Option<VersionName>,
    /// The source's version, in a bucket that has versions.
    pub source_version: Option<VersionName>,
    /// When a lifecycle rule acts on the copy.
    pub expires: Option<Expiry>,
}

/// Asks for an object's attributes.
#[derive(Clone, Debug)]
pub struct AttributesRequest {
    /// The bucket.
    pub bucket: BucketName,
    /// The key.
    pub key: ObjectKey,
    /// Which version.
    pub version: VersionSelector,
    /// Parts after this number.
    pub after: Option<PartNumber>,
    /// At most this many parts, 1,000 at the most; 0 when no parts are asked for.
    pub max_parts: usize,
    /// Conditions on it.
    pub conditions: ReadConditions,
    /// As [`GetRequest::asks`].
    pub asks: Option<Question>,
    /// Put to the same row: whether it may be read, which its attributes tell something of.
    pub reads: Option<Question>,
    /// As [`GetRequest::customer_key`].
    pub customer_key: Option<CustomerKey>,
}

/// One part of a stored object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObjectPart {
    /// Its number.
    pub number: PartNumber,
    /// Its size.
    pub size: ByteCount,
    /// Its checksum.
    pub checksum: Option<ChecksumValue>,
}

/// An object's attributes.
#[derive(Clone, Debug)]
pub struct AttributesOutcome {
    /// About the object.
    pub info: ObjectInfo,
    /// A page of its parts.
    pub parts: Vec<ObjectPart>,
    /// There are more parts behind the last one.
    pub more: bool,
}

/// Where bytes of an object lie: one record of a blob, or an inline body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// First byte of the object that this blob or body holds.
    pub first: u64,
    /// `catalog` for an inline body, else the pool.
    pub pool: String,
    /// Which copy of the bytes it belongs to, from 0.
    pub copy: usize,
    /// The zone that the copy is in; empty for an inline body.
    pub zone: String,
    /// It can't be read now: its zone is away, or its segment is lost.
    pub missing: bool,
    /// Which segment; empty for an inline body.
    pub segment: String,
    /// The record's offset in it.
    pub offset: u64,
    /// Bytes of the record, framing included; of an inline body its plaintext.
    pub stored: ByteCount,
}
