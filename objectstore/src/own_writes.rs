//! Objects that the appliance writes of its own accord: logs and reports. They are their bucket's owner's, and nobody is asked
//! whether they may be written but the owner of the setting that asks for them.

use crate::{
    BucketName, Expect, ListWish, ObjectKey, ObjectStore, PutRequest, Result, Upload, Uploaded, Writer,
};
use bytes::Bytes;
use engine::unit::ByteCount;
use std::sync::Arc;

impl ObjectStore {
    /// Begins one whose length is not known.
    pub(crate) async fn begin_own(
        self: &Arc<Self>,
        bucket: &BucketName,
        key: &str,
        content_type: &str,
    ) -> Result<Upload> {
        let mut request = PutRequest::new(bucket.clone(), ObjectKey::parse(key)?);
        request.metadata.system.content_type = Some(content_type.to_owned());
        self.put(request).await
    }

    /// Writes one whole.
    pub(crate) async fn write_own(
        self: &Arc<Self>,
        bucket: &BucketName,
        (key, content_type): (&str, &str),
        list: ListWish,
        body: Bytes,
    ) -> Result<Uploaded> {
        let mut request = PutRequest::new(bucket.clone(), ObjectKey::parse(key)?);
        request.length = Some(ByteCount::from(body.len()));
        request.metadata.system.content_type = Some(content_type.to_owned());
        request.writer = Writer { by: None, list };
        let mut upload = self.put(request).await?;
        upload.write(body).await?;
        upload.finish(Expect::default()).await
    }
}
