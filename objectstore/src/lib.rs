//! Buckets, keys, versions: the object store's semantics, as S3 has them, without a wire protocol.
//!
//! ```text
//!   put ─► Upload::write … ─► Upload::finish ─► one commit publishes the version
//!   get ─► current or version row ─► its bytes, verified and decrypted as they stream
//! ```

#![expect(dead_code, unused_imports, reason = "the operations follow, one a landing")]

mod api;
mod checksum;
mod condition;
mod error;
mod etag;
mod id;
mod meta;
mod name;
mod store;
mod upload;

pub use api::{
    AttributesOutcome, AttributesRequest, BodyStream, BucketInfo, BucketPage, BucketUsage, CompleteRequest,
    CompletedPart, CopyOutcome, CopyPartRequest, CopyRequest, CopySource, CreateUpload, DeleteOutcome,
    DeleteRequest, Expect, GetOutcome, GetRequest, ListAfter, ListBuckets, ListEntry, ListPage, ListRequest,
    MetadataDirective, ObjectInfo, ObjectPart, PAGE_MAX, PartEntry, PartPage, PartRequest, PartsRequest,
    Place, PutRequest, Range, RangeSpec, UploadEntry, UploadInfo, UploadPage, Uploaded, UploadsRequest,
    VersionEntry, VersionPage, Versioning, VersionsRequest,
};
pub use checksum::{ChecksumAlgorithm, ChecksumType, ChecksumValue, ObjectChecksum};
pub use condition::{ReadConditions, WriteConditions};
pub use error::{Error, ErrorKind, Result};
pub use etag::{ETag, ETagMatch};
pub use id::{PartNumber, UploadId, VersionId, VersionName, VersionSelector};
pub use meta::{
    Metadata, SYSTEM_METADATA_BYTES_MAX, StorageClass, SystemMetadata, USER_METADATA_BYTES_MAX, UserMetadata,
};
pub use name::{BucketName, KEY_BYTES_MAX, ObjectKey};
pub use store::{ObjectStore, Parts};
pub use upload::Upload;
