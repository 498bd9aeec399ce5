//! Objects that the appliance writes of its own accord: logs and reports. They are their bucket's owner's, and nobody is asked
//! whether they may be written but whoever sets what asks for them, then.

use crate::{
    About, BucketName, Error, Expect, ListWish, ObjectKey, ObjectStore, PutRequest, Result, StorageClass,
    Upload, Uploaded, Writer,
};
use bytes::Bytes;
use engine::unit::ByteCount;
use security::policy::Context;
use security::{AccountId, Action, Permission, Question};
use std::sync::Arc;

/// The request for such objects, as the one that writes them: what they are stored with is said, whatever the request itself has.
struct Delivered(Arc<dyn Context>);

impl Context for Delivered {
    fn visit(&self, key: &str, each: &mut dyn FnMut(&str)) {
        match key {
            "s3:x-amz-server-side-encryption" => each("AES256"),
            "s3:x-amz-storage-class" => each(StorageClass::default().as_str()),
            "s3:objectcreationoperation" => each("true"),
            _ => self.0.visit(key, each),
        }
    }

    fn spend(&self, steps: usize) -> bool {
        self.0.spend(steps)
    }
}

impl ObjectStore {
    /// Refuses who may not write such an object: who asks for it would else write past what the bucket denies them. A bucket that is not
    /// there, or not this account's, is for others to refuse.
    pub(crate) async fn check_deliverer(
        &self,
        owner: AccountId,
        (bucket, keys): (&BucketName, &[String]),
        asks: &Question,
    ) -> Result<()> {
        let mut question = asks.about(Action::new("s3:PutObject"), Some(Permission::Write));
        question.context = Arc::new(Delivered(Arc::clone(&asks.context)));
        for key in keys {
            match self.bucket_owner(bucket).await {
                Ok(account) if account == owner => {
                    self.admit(bucket, Some(&question), About::Key(key)).await?;
                }
                Ok(_) | Err(Error::NoSuchBucket) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

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
