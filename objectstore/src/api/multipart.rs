//! About multipart uploads.

use crate::{
    BucketName, ChecksumAlgorithm, ChecksumType, ChecksumValue, CopySource, ETag, EncryptedBy, Encrypts,
    Expiry, Metadata, ObjectKey, Origin, PartNumber, RangeSpec, StorageClass, Subresources, UploadId,
    WriteConditions, WriteQuestions, Writer,
};
use engine::clock::Timestamp;
use engine::unit::ByteCount;
use security::envelope::CustomerKey;
use security::{CanonicalUser, Question};

/// Begins an upload.
#[derive(Clone, Debug)]
pub struct CreateUpload {
    /// The bucket.
    pub bucket: BucketName,
    /// The key.
    pub key: ObjectKey,
    /// Content headers and user metadata of the object to be.
    pub metadata: Metadata,
    /// Its class.
    pub class: StorageClass,
    /// Its checksum; `None` for S3's default, CRC64NVME over the full object.
    pub checksum: Option<ChecksumAlgorithm>,
    /// What the checksum is over; `None` for the algorithm's default.
    pub checksum_type: Option<ChecksumType>,
    /// Tags and what else will stand beside the object; its owner and access list follow from `writer`.
    pub subresources: Subresources,
    /// Who begins it, and the access list that the object will have.
    pub writer: Writer,
    /// The key that each part comes with, and that the object is readable with.
    pub customer_key: Option<CustomerKey>,
    /// How it is encrypted where no key came along.
    pub encryption: Encrypts,
    /// Who uses a managed key; `None`: nobody does.
    pub asks: Option<Question>,
}

impl CreateUpload {
    /// Of a plain object.
    pub fn new(bucket: BucketName, key: ObjectKey) -> Self {
        Self {
            bucket,
            key,
            metadata: Metadata::default(),
            class: StorageClass::Standard,
            checksum: None,
            checksum_type: None,
            subresources: Subresources::default(),
            writer: Writer::default(),
            customer_key: None,
            encryption: Encrypts::AsBucket,
            asks: None,
        }
    }
}

/// An upload that was begun.
#[derive(Clone, Debug)]
pub struct UploadInfo {
    /// Its id.
    pub upload: UploadId,
    /// The checksum that its parts are to have.
    pub checksum: ChecksumAlgorithm,
    /// What the object's checksum is over.
    pub checksum_type: ChecksumType,
    /// The client named the algorithm, so answers show it.
    pub checksum_named: bool,
    /// Whose key its object will be readable with.
    pub encrypted_by: EncryptedBy,
    /// When a lifecycle rule gives it up.
    pub expires: Option<Expiry>,
}

/// Sends a part; the body follows through [`Upload`](crate::Upload).
#[derive(Clone, Debug)]
pub struct PartRequest {
    /// The bucket.
    pub bucket: BucketName,
    /// The key.
    pub key: ObjectKey,
    /// The upload.
    pub upload: UploadId,
    /// Which part.
    pub part: PartNumber,
    /// The body's length, where it is known beforehand.
    pub length: Option<ByteCount>,
    /// The algorithm of the checksum that comes with the body. Another one than the upload's is refused.
    pub checksum: Option<ChecksumAlgorithm>,
    /// The body comes with a digest; a part of an object that is to be locked must.
    pub proven: bool,
    /// Who sends it; `None` for the bucket's owner.
    pub writer: Option<CanonicalUser>,
    /// The key that the upload was begun with, if it was.
    pub customer_key: Option<CustomerKey>,
    /// Who uses the managed key that the upload was begun with, if it was; `None`: nobody does.
    pub asks: Option<Question>,
}

/// Makes a part from an object's bytes without moving them.
#[derive(Clone, Debug)]
pub struct CopyPartRequest {
    /// The source.
    pub source: CopySource,
    /// Only these bytes of it. Must lie within the source.
    pub range: Option<RangeSpec>,
    /// The bucket.
    pub bucket: BucketName,
    /// The key.
    pub key: ObjectKey,
    /// The upload.
    pub upload: UploadId,
    /// Which part.
    pub part: PartNumber,
    /// Who copies; `None` for the bucket's owner.
    pub writer: Option<CanonicalUser>,
    /// As [`PartRequest::customer_key`]. A managed key is used by who asks for the source.
    pub customer_key: Option<CustomerKey>,
}

/// A part as the client names it in a completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompletedPart {
    /// Its number.
    pub number: PartNumber,
    /// Its entity tag.
    pub etag: ETag,
    /// Its checksum, where the client says it.
    pub checksum: Option<ChecksumValue>,
}

/// Completes an upload.
#[derive(Clone, Debug)]
pub struct CompleteRequest {
    /// The bucket.
    pub bucket: BucketName,
    /// The key.
    pub key: ObjectKey,
    /// The upload.
    pub upload: UploadId,
    /// Its parts in ascending order.
    pub parts: Vec<CompletedPart>,
    /// The object's checksum, where the client says it.
    pub checksum: Option<ChecksumValue>,
    /// The number of parts in a composite checksum (`base64-N`), where the client says it.
    pub checksum_parts: Option<u16>,
    /// What the checksum is over, where the client says it. Another one than the upload's is refused.
    pub checksum_type: Option<ChecksumType>,
    /// x-amz-mp-object-size, where the client says it.
    pub size: Option<ByteCount>,
    /// Decided in the commit.
    pub conditions: WriteConditions,
    /// Where it comes from, for the bucket's events.
    pub origin: Origin,
    /// As [`PutRequest::asks`](crate::PutRequest::asks).
    pub asks: Option<WriteQuestions>,
    /// The key that the upload was begun with, where the client says it. It is not needed.
    pub customer_key: Option<CustomerKey>,
}

/// Lists an upload's parts.
#[derive(Clone, Debug)]
pub struct PartsRequest {
    /// The bucket.
    pub bucket: BucketName,
    /// The key.
    pub key: ObjectKey,
    /// The upload.
    pub upload: UploadId,
    /// Parts after this number (0 for all).
    pub after: u16,
    /// At most this many, 1,000 at the most.
    pub max_parts: usize,
}

/// One part of an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartEntry {
    /// Its number.
    pub number: PartNumber,
    /// Its size.
    pub size: ByteCount,
    /// Its entity tag.
    pub etag: ETag,
    /// When it was sent.
    pub modified: Timestamp,
    /// Its checksum.
    pub checksum: Option<ChecksumValue>,
}

/// A page of parts.
#[derive(Clone, Debug)]
pub struct PartPage {
    /// About the upload.
    pub upload: UploadInfo,
    /// The class of the object to be.
    pub class: StorageClass,
    /// Who will own the object, where that is not the bucket's owner.
    pub owner: Option<CanonicalUser>,
    /// Who began it, likewise.
    pub initiator: Option<CanonicalUser>,
    /// In order of their numbers.
    pub parts: Vec<PartEntry>,
    /// Go on after this number; `None` at the end.
    pub next: Option<PartNumber>,
}

/// Lists a bucket's uploads.
#[derive(Clone, Debug)]
pub struct UploadsRequest {
    /// The bucket.
    pub bucket: BucketName,
    /// Only keys that start with this.
    pub prefix: String,
    /// Keys with this after the prefix are rolled up; empty for none.
    pub delimiter: String,
    /// After all uploads of this key, or, with an upload, after that one.
    pub key_marker: Option<String>,
    /// `upload-id-marker`; means nothing without a key.
    pub upload_marker: Option<UploadId>,
    /// At most this many, 1,000 at the most.
    pub max_uploads: usize,
}

/// One upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadEntry {
    /// The key.
    pub key: ObjectKey,
    /// Its id.
    pub upload: UploadId,
    /// When it was begun.
    pub initiated: Timestamp,
    /// The class of the object to be.
    pub class: StorageClass,
    /// Who will own the object, where that is not the bucket's owner.
    pub owner: Option<CanonicalUser>,
    /// Who began it, likewise.
    pub initiator: Option<CanonicalUser>,
    /// Its checksum, where the client named one.
    pub checksum: Option<(ChecksumAlgorithm, ChecksumType)>,
}

/// A page of uploads: by key, then by id.
#[derive(Clone, Debug, Default)]
pub struct UploadPage {
    /// In order.
    pub uploads: Vec<UploadEntry>,
    /// In order.
    pub common_prefixes: Vec<String>,
    /// `NextKeyMarker`, when there is more.
    pub next_key: Option<String>,
    /// `NextUploadIdMarker`, when there is more and the page did not end with a common prefix.
    pub next_upload: Option<UploadId>,
}
