//! Requests and outcomes: what callers say and what they are told, without a wire format.

mod bucket;
mod list;
mod multipart;
mod object;

pub use bucket::{BucketInfo, BucketPage, BucketUsage, ListBuckets, Versioning};
pub use list::{
    ListAfter, ListEntry, ListPage, ListRequest, PAGE_MAX, VersionEntry, VersionPage, VersionsRequest,
};
pub use multipart::{
    CompleteRequest, CompletedPart, CopyPartRequest, CreateUpload, PartEntry, PartPage, PartRequest,
    PartsRequest, UploadEntry, UploadInfo, UploadPage, UploadsRequest,
};
pub use object::{
    AmendRequest, AttributesOutcome, AttributesRequest, BodyStream, CopyOutcome, CopyRequest, CopySource,
    DeleteOutcome, DeleteRequest, Expect, GetOutcome, GetRequest, MetadataDirective, ObjectInfo, ObjectPart,
    Place, PutRequest, Range, RangeSpec, Uploaded, WriteQuestions,
};
