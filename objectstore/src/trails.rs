//! Files of audit trails, as objects: `CloudTrail`'s way into a bucket.
//!
//! The bucket's policy says whether the service may, and is asked before each file: `s3:GetBucketAcl` of the bucket and `s3:PutObject` of the key, by
//! `cloudtrail.amazonaws.com`. Nobody else is asked: whoever may set the policy lets trails in. Source: "Amazon S3 bucket policy for `CloudTrail`" of
//! the user guide.

use crate::setting::BucketPolicy;
use crate::store::Bucket;
use crate::{BucketName, Error, ErrorKind, Expect, ObjectKey, ObjectStore, PutRequest, Result};
use bytes::Bytes;
use engine::BoxFuture;
use engine::unit::ByteCount;
use flate2::{Compression, GzBuilder};
use security::Arn;
use security::audit::{Destination, File, Sink, SinkError};
use security::policy::{Asked, Caller, Context, Sources, evaluate};
use std::io::Write as _;
use std::sync::Arc;

/// Who writes files, as policies name it.
const SERVICE: &str = "cloudtrail.amazonaws.com";

/// A store, as trails see it.
pub struct TrailSink(Arc<ObjectStore>);

/// What the service's request says of itself.
struct Delivery<'a>(&'a Destination<'a>);

impl Context for Delivery<'_> {
    fn visit(&self, key: &str, each: &mut dyn FnMut(&str)) {
        match key {
            "aws:sourcearn" => each(self.0.trail),
            "aws:sourceaccount" => each(&self.0.account.to_string()),
            "aws:principalservicename" => each(SERVICE),
            "aws:principalisawsservice" | "aws:securetransport" => each("true"),
            "s3:x-amz-acl" => each("bucket-owner-full-control"),
            _ => {}
        }
    }
}

impl TrailSink {
    /// Writes into buckets of this store.
    pub const fn new(store: Arc<ObjectStore>) -> Self {
        Self(store)
    }

    /// The bucket of this name, if its policy lets the service write there.
    async fn admit(&self, to: &Destination<'_>) -> Result<Bucket, SinkError> {
        let name = BucketName::parse(to.bucket).map_err(|_| SinkError::NoBucket)?;
        let view = self.0.view(&name).await.map_err(|error| refused(&error))?;
        let policy = self.0.setting_at::<BucketPolicy>(&view).await.map_err(|error| refused(&error))?;
        for (action, resource) in [
            ("s3:GetBucketAcl", Arn::bucket(to.bucket).to_string()),
            ("s3:PutObject", Arn::object(to.bucket, to.key).to_string()),
        ] {
            let asked = Asked {
                caller: Caller::Service(SERVICE),
                action,
                resource: &resource,
                context: &Delivery(to),
            };
            // Nobody's account: the bucket's policy alone decides.
            let sources =
                Sources { resource: policy.as_ref().map(|policy| policy.policy()), ..Sources::default() };
            if !evaluate(&asked, &sources).is_allowed() {
                return Err(SinkError::NotAllowed(format!("{action} of {resource} to {SERVICE}")));
            }
        }
        Ok(view.bucket)
    }

    async fn put(&self, bucket: Bucket, to: &Destination<'_>, file: File) -> Result<()> {
        let name = BucketName::parse(to.bucket)?.bound_to(bucket);
        let body = file.body;
        let packing = tokio::task::spawn_blocking(move || compressed(&body));
        let body = packing.await.map_err(|_| engine::Error::Closed)??;
        let mut request = PutRequest::new(name, ObjectKey::parse(to.key)?);
        request.length = Some(ByteCount::from(body.len()));
        request.metadata.system.content_type = Some("application/json".to_owned());
        request.metadata.system.content_encoding = Some("gzip".to_owned());
        let user = file.metadata.into_iter().map(|(name, value)| (name.to_owned(), value));
        request.metadata.user = user.collect();
        let mut upload = self.0.put(request).await?;
        upload.write(body).await?;
        upload.finish(Expect::default()).await.map(drop)
    }
}

/// The same bytes for the same ones: a file that is written again is the same.
fn compressed(body: &[u8]) -> Result<Bytes> {
    let mut out = GzBuilder::new().mtime(0).write(Vec::new(), Compression::default());
    let done = out.write_all(body).and_then(|()| out.finish());
    Ok(done.map_err(|error| engine::Error::Invalid(error.to_string()))?.into())
}

/// What whoever may look at the trail is told: a code of S3's. What else there is to say of it may be about the appliance, or about a bucket that is
/// another account's, and is for the log.
fn refused(error: &Error) -> SinkError {
    let code = match error {
        Error::NoSuchBucket => return SinkError::NoBucket,
        Error::QuotaExceeded { .. } => "QuotaExceeded",
        Error::ObjectLocked => "AccessDenied",
        Error::Engine(engine::Error::Full { .. }) => "StorageFull",
        error => match error.kind() {
            ErrorKind::NotFound | ErrorKind::Corrupt => "InternalError",
            ErrorKind::Conflict => "OperationAborted",
            ErrorKind::Denied => "AccessDenied",
            ErrorKind::Invalid => "InvalidRequest",
            ErrorKind::Unavailable => "ServiceUnavailable",
        },
    };
    tracing::warn!(%error, code, "failed to write a file of a trail");
    SinkError::Later(code.to_owned())
}

impl Sink for TrailSink {
    fn check<'a>(&'a self, to: &'a Destination<'a>) -> BoxFuture<'a, Result<(), SinkError>> {
        Box::pin(async { self.admit(to).await.map(drop) })
    }

    fn write<'a>(&'a self, to: &'a Destination<'a>, file: File) -> BoxFuture<'a, Result<(), SinkError>> {
        Box::pin(async move {
            let bucket = self.admit(to).await?;
            self.put(bucket, to, file).await.map_err(|error| refused(&error))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Error, SinkError, refused};
    use crate::QuotaUnit;

    #[test]
    fn whoever_looks_at_a_trail_is_told_a_code_and_nothing_of_the_appliance() {
        let source = std::io::Error::other("secret cause");
        let io = engine::Error::Io { op: "write", path: "/data/secret".into(), source };
        let full = engine::Error::Full { place: "/data/secret".into(), wanted: 1 };
        for (error, wanted) in [
            (io.into(), "ServiceUnavailable"),
            (full.into(), "StorageFull"),
            (Error::AccessDenied, "AccessDenied"),
            (
                Error::QuotaExceeded { prefix: "secret/".to_owned(), unit: QuotaUnit::Bytes, limit: 1 },
                "QuotaExceeded",
            ),
        ] {
            assert_eq!(refused(&error).to_string(), wanted, "{error}");
        }
        assert!(matches!(refused(&Error::NoSuchBucket), SinkError::NoBucket));
    }
}
