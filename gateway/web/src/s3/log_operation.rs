//! What server access logs call operations: `REST.GET.OBJECT`.
//!
//! S3 documents the form alone, `REST.HTTP_method.resource_type`. The types are those of its examples and of logs that others have
//! published; where there is none, the request is of an `OBJECT` or of a `BUCKET`.

use super::operation::Operation;
use http::Method;

/// The name. `of_key`: the request names a key.
pub(super) fn name(operation: Option<Operation>, method: &Method, of_key: bool, website: bool) -> String {
    if website {
        return format!("WEBSITE.{method}.OBJECT");
    }
    match operation {
        Some(Operation::CopyObject) => "REST.COPY.OBJECT".to_owned(),
        Some(Operation::UploadPartCopy) => "REST.COPY.PART".to_owned(),
        Some(operation) => format!("REST.{method}.{}", resource(operation, of_key)),
        None => format!("REST.{method}.{}", plain(of_key)),
    }
}

const fn plain(of_key: bool) -> &'static str {
    if of_key { "OBJECT" } else { "BUCKET" }
}

fn resource(operation: Operation, of_key: bool) -> &'static str {
    use Operation as Op;
    match operation {
        Op::GetBucketAcl | Op::PutBucketAcl | Op::GetObjectAcl | Op::PutObjectAcl => "ACL",
        Op::ListObjectVersions => "BUCKETVERSIONS",
        Op::CreateMultipartUpload | Op::ListMultipartUploads => "UPLOADS",
        Op::CompleteMultipartUpload | Op::AbortMultipartUpload | Op::ListParts => "UPLOAD",
        Op::UploadPart => "PART",
        Op::DeleteObjects => "MULTI_OBJECT_DELETE",
        Op::CorsPreflight => "PREFLIGHT",
        Op::GetBucketCors | Op::PutBucketCors | Op::DeleteBucketCors => "CORS",
        Op::GetBucketEncryption | Op::PutBucketEncryption | Op::DeleteBucketEncryption => "ENCRYPTION",
        Op::GetBucketInventoryConfiguration
        | Op::PutBucketInventoryConfiguration
        | Op::DeleteBucketInventoryConfiguration
        | Op::ListBucketInventoryConfigurations => "INVENTORY",
        Op::GetBucketLifecycleConfiguration
        | Op::PutBucketLifecycleConfiguration
        | Op::DeleteBucketLifecycle => "LIFECYCLE",
        Op::GetBucketLocation => "LOCATION",
        Op::GetBucketLogging | Op::PutBucketLogging => "LOGGING_STATUS",
        Op::GetBucketNotificationConfiguration | Op::PutBucketNotificationConfiguration => "NOTIFICATION",
        Op::GetBucketOwnershipControls
        | Op::PutBucketOwnershipControls
        | Op::DeleteBucketOwnershipControls => "OWNERSHIP_CONTROLS",
        Op::GetBucketPolicy | Op::PutBucketPolicy | Op::DeleteBucketPolicy => "BUCKETPOLICY",
        Op::GetBucketPolicyStatus => "POLICY_STATUS",
        Op::GetBucketReplication | Op::PutBucketReplication | Op::DeleteBucketReplication => "REPLICATION",
        Op::GetBucketRequestPayment | Op::PutBucketRequestPayment => "REQUEST_PAYMENT",
        Op::GetBucketTagging | Op::PutBucketTagging | Op::DeleteBucketTagging => "TAGGING",
        Op::GetBucketVersioning | Op::PutBucketVersioning => "VERSIONING",
        Op::GetBucketWebsite | Op::PutBucketWebsite | Op::DeleteBucketWebsite => "WEBSITE",
        Op::GetPublicAccessBlock | Op::PutPublicAccessBlock | Op::DeletePublicAccessBlock => {
            "PUBLIC_ACCESS_BLOCK"
        }
        Op::GetObjectTagging | Op::PutObjectTagging | Op::DeleteObjectTagging => "OBJECT_TAGGING",
        Op::GetObjectAttributes => "OBJECT_ATTRIBUTES",
        Op::GetObjectLockConfiguration | Op::PutObjectLockConfiguration => "OBJECT_LOCK_CONFIGURATION",
        Op::GetObjectRetention | Op::PutObjectRetention => "OBJECT_LOCK_RETENTION",
        Op::GetObjectLegalHold | Op::PutObjectLegalHold => "OBJECT_LOCK_LEGALHOLD",
        Op::RestoreObject => "RESTORE",
        _ => plain(of_key),
    }
}

#[cfg(test)]
mod tests {
    use super::{Operation, name};
    use http::Method;

    #[test]
    fn operations_have_s3s_names() {
        for (operation, method, of_key, expected) in [
            (Some(Operation::GetObject), Method::GET, true, "REST.GET.OBJECT"),
            (Some(Operation::HeadObject), Method::HEAD, true, "REST.HEAD.OBJECT"),
            (Some(Operation::PutObject), Method::PUT, true, "REST.PUT.OBJECT"),
            (Some(Operation::PostObject), Method::POST, false, "REST.POST.BUCKET"),
            (Some(Operation::CopyObject), Method::PUT, true, "REST.COPY.OBJECT"),
            (Some(Operation::UploadPartCopy), Method::PUT, true, "REST.COPY.PART"),
            (Some(Operation::UploadPart), Method::PUT, true, "REST.PUT.PART"),
            (Some(Operation::CreateMultipartUpload), Method::POST, true, "REST.POST.UPLOADS"),
            (Some(Operation::CompleteMultipartUpload), Method::POST, true, "REST.POST.UPLOAD"),
            (Some(Operation::DeleteObjects), Method::POST, false, "REST.POST.MULTI_OBJECT_DELETE"),
            (Some(Operation::ListObjectsV2), Method::GET, false, "REST.GET.BUCKET"),
            (Some(Operation::GetBucketVersioning), Method::GET, false, "REST.GET.VERSIONING"),
            (Some(Operation::GetBucketLogging), Method::GET, false, "REST.GET.LOGGING_STATUS"),
            (Some(Operation::GetBucketPolicy), Method::GET, false, "REST.GET.BUCKETPOLICY"),
            (Some(Operation::CorsPreflight), Method::OPTIONS, true, "REST.OPTIONS.PREFLIGHT"),
            (None, Method::GET, true, "REST.GET.OBJECT"),
            (None, Method::PATCH, false, "REST.PATCH.BUCKET"),
        ] {
            assert_eq!(name(operation, &method, of_key, false), expected);
        }
        assert_eq!(name(None, &Method::GET, true, true), "WEBSITE.GET.OBJECT");
        // Whatever is named, it is one word without white space.
        for operation in Operation::ALL {
            let name = name(Some(*operation), &Method::GET, true, false);
            assert!(name.bytes().all(|byte| byte.is_ascii_uppercase() || b"._".contains(&byte)), "{name}");
        }
    }
}
