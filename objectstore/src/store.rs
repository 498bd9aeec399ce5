//! The object store: one value that the doors share.

use crate::{
    AttributesOutcome, AttributesRequest, BucketInfo, BucketName, BucketPage, BucketUsage, CompleteRequest,
    CopyOutcome, CopyPartRequest, CopyRequest, CreateUpload, DeleteOutcome, DeleteRequest, Error, GetOutcome,
    GetRequest, ListBuckets, ListPage, ListRequest, ObjectKey, PartPage, PartRequest, PartsRequest, Place,
    PutRequest, Result, Upload, UploadId, UploadInfo, UploadPage, Uploaded, UploadsRequest, VersionPage,
    VersionSelector, Versioning, VersionsRequest,
};
use engine::catalog::Catalog;
use engine::clock::Clock;
use engine::entropy::Entropy;
use engine::worker::Worker;
use std::sync::Arc;

/// What an object store is made of.
pub struct Parts {
    /// Rows.
    pub catalog: Arc<dyn Catalog>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// The region, as locations and ARNs have it.
    pub region: String,
}

/// The object store.
pub struct ObjectStore {
    _parts: Parts,
}

pub(crate) fn unwritten<T>() -> Result<T> {
    Err(Error::Engine(engine::Error::Invalid("do this: it comes with the next landing".into())))
}

#[expect(clippy::unused_async, reason = "the bodies follow, one operation a landing")]
impl ObjectStore {
    /// Opens the store; finishes nothing by itself, [`workers`](Self::workers) do.
    pub async fn open(parts: Parts) -> Result<Arc<Self>> {
        Ok(Arc::new(Self { _parts: parts }))
    }

    /// The background work: hand each to the registry once.
    pub fn workers(self: &Arc<Self>) -> Vec<Box<dyn Worker>> {
        Vec::new()
    }

    /// Creates a bucket.
    pub async fn create_bucket(&self, _name: &BucketName) -> Result<BucketInfo> {
        unwritten()
    }

    /// Says that a bucket exists.
    pub async fn head_bucket(&self, _name: &BucketName) -> Result<BucketInfo> {
        unwritten()
    }

    /// A page of buckets.
    pub async fn list_buckets(&self, _request: ListBuckets) -> Result<BucketPage> {
        unwritten()
    }

    /// Deletes an empty bucket. Uploads that nobody completed go with it.
    pub async fn delete_bucket(&self, _name: &BucketName) -> Result<()> {
        unwritten()
    }

    /// Whether a bucket keeps versions.
    pub async fn versioning(&self, _name: &BucketName) -> Result<Versioning> {
        unwritten()
    }

    /// Enables or suspends versions. [`Versioning::Off`] is refused: there is no way back.
    pub async fn set_versioning(&self, _name: &BucketName, _versioning: Versioning) -> Result<()> {
        unwritten()
    }

    /// What a bucket holds.
    pub async fn usage(&self, _name: &BucketName) -> Result<BucketUsage> {
        unwritten()
    }

    /// Begins to store an object.
    pub async fn put(self: &Arc<Self>, _request: PutRequest) -> Result<Upload> {
        unwritten()
    }

    /// Reads an object.
    pub async fn get(self: &Arc<Self>, _request: GetRequest) -> Result<GetOutcome> {
        unwritten()
    }

    /// As [`get`](Self::get), without the body.
    pub async fn head(&self, _request: GetRequest) -> Result<GetOutcome> {
        unwritten()
    }

    /// Deletes one object or version.
    pub async fn delete(&self, _request: DeleteRequest) -> Result<DeleteOutcome> {
        unwritten()
    }

    /// Deletes many, each on its own: results in the order asked for.
    pub async fn delete_many(&self, _requests: Vec<DeleteRequest>) -> Vec<Result<DeleteOutcome>> {
        Vec::new()
    }

    /// Copies an object.
    pub async fn copy(self: &Arc<Self>, _request: CopyRequest) -> Result<CopyOutcome> {
        unwritten()
    }

    /// An object's attributes and a page of its parts.
    pub async fn attributes(&self, _request: AttributesRequest) -> Result<AttributesOutcome> {
        unwritten()
    }

    /// A page of live objects.
    pub async fn list_objects(&self, _request: ListRequest) -> Result<ListPage> {
        unwritten()
    }

    /// A page of versions and delete markers.
    pub async fn list_versions(&self, _request: VersionsRequest) -> Result<VersionPage> {
        unwritten()
    }

    /// Begins a multipart upload.
    pub async fn create_upload(&self, _request: CreateUpload) -> Result<UploadInfo> {
        unwritten()
    }

    /// Begins to send a part.
    pub async fn upload_part(self: &Arc<Self>, _request: PartRequest) -> Result<Upload> {
        unwritten()
    }

    /// Makes a part from an object's bytes.
    pub async fn copy_part(self: &Arc<Self>, _request: CopyPartRequest) -> Result<CopyOutcome> {
        unwritten()
    }

    /// A page of an upload's parts.
    pub async fn list_parts(&self, _request: PartsRequest) -> Result<PartPage> {
        unwritten()
    }

    /// A page of a bucket's uploads.
    pub async fn list_uploads(&self, _request: UploadsRequest) -> Result<UploadPage> {
        unwritten()
    }

    /// Completes an upload. A repeated completion with the same parts answers the same for a day.
    pub async fn complete_upload(&self, _request: CompleteRequest) -> Result<Uploaded> {
        unwritten()
    }

    /// Aborts an upload: its parts go.
    pub async fn abort_upload(
        &self,
        _bucket: &BucketName,
        _key: &ObjectKey,
        _upload: UploadId,
    ) -> Result<()> {
        unwritten()
    }

    /// Where a version's bytes lie, at most the first 10,000 places.
    pub async fn where_is(
        &self,
        _bucket: &BucketName,
        _key: &ObjectKey,
        _version: VersionSelector,
    ) -> Result<Vec<Place>> {
        unwritten()
    }
}
