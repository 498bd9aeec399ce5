//! Sub-resources that can not be set (yet): reading and removing them tells the truth about a bucket that has none of
//! them; setting them is refused, never accepted in silence.

use super::{version, write_identity, write_owner};
use crate::s3::Call;
use crate::s3::answer::{Answer, empty, xml};
use crate::s3::code::Code;
use crate::s3::error::S3Error;
use crate::s3::operation::Operation as Op;
use crate::xml::XmlWriter;
use http::StatusCode;
use objectstore::{GetRequest, ObjectInfo};

/// Answers an operation that has no state behind it.
pub(super) async fn answer(call: &Call) -> Result<Answer, S3Error> {
    match call.operation {
        Op::GetObjectAcl => read_object(call).await,
        Op::PutObjectAcl => {
            object(call).await?;
            Err(S3Error::new(Code::AccessControlListNotSupported))
        }
        Op::WriteGetObjectResponse => Err(not_implemented(call.operation)),
        _ if call.target.key.is_none() && call.target.bucket.is_some() => bucket(call).await,
        _ => Err(not_implemented(call.operation)),
    }
}

fn not_implemented(operation: Op) -> S3Error {
    S3Error::with(Code::NotImplemented, format!("{} is not implemented", operation.name()))
}

async fn object(call: &Call) -> Result<ObjectInfo, S3Error> {
    let mut request = GetRequest::new(call.target.bucket()?, call.target.key()?);
    request.version = version(call)?;
    Ok(call.state.store.head(request).await?.info)
}

async fn read_object(call: &Call) -> Result<Answer, S3Error> {
    let info = object(call).await?;
    let mut answer = xml(StatusCode::OK, access_list(call));
    super::set_version(answer.headers_mut(), info.version);
    Ok(answer)
}

async fn bucket(call: &Call) -> Result<Answer, S3Error> {
    call.state.store.head_bucket(&call.target.bucket()?).await?;
    let document = match call.operation {
        Op::GetBucketAcl => access_list(call),
        Op::GetBucketOwnershipControls => ownership(),
        Op::GetBucketLogging => XmlWriter::document("BucketLoggingStatus").finish(),
        Op::GetBucketNotificationConfiguration => XmlWriter::document("NotificationConfiguration").finish(),
        Op::GetBucketAccelerateConfiguration => XmlWriter::document("AccelerateConfiguration").finish(),
        Op::ListBucketAnalyticsConfigurations => no_configurations("ListBucketAnalyticsConfigurationResult"),
        Op::ListBucketIntelligentTieringConfigurations => {
            no_configurations("ListBucketIntelligentTieringConfigurationsOutput")
        }
        Op::ListBucketInventoryConfigurations => no_configurations("ListInventoryConfigurationsResult"),
        Op::ListBucketMetricsConfigurations => no_configurations("ListMetricsConfigurationsResult"),
        removed if removes_nothing(removed) => return Ok(empty(StatusCode::NO_CONTENT)),
        Op::PutBucketAcl => return Err(S3Error::new(Code::AccessControlListNotSupported)),
        other => return Err(absent(other).map_or_else(|| not_implemented(other), S3Error::new)),
    };
    Ok(xml(StatusCode::OK, document))
}

/// S3's own "there is none" of each sub-resource.
fn absent(operation: Op) -> Option<Code> {
    Some(match operation {
        Op::GetBucketLifecycleConfiguration => Code::NoSuchLifecycleConfiguration,
        Op::GetBucketPolicy | Op::GetBucketPolicyStatus => Code::NoSuchBucketPolicy,
        Op::GetBucketReplication => Code::ReplicationConfigurationNotFoundError,
        Op::GetPublicAccessBlock => Code::NoSuchPublicAccessBlockConfiguration,
        Op::GetBucketMetadataConfiguration
        | Op::GetBucketMetadataTableConfiguration
        | Op::DeleteBucketMetadataConfiguration
        | Op::DeleteBucketMetadataTableConfiguration => Code::MetadataConfigurationNotFound,
        Op::GetBucketAnalyticsConfiguration
        | Op::DeleteBucketAnalyticsConfiguration
        | Op::DeleteBucketIntelligentTieringConfiguration
        | Op::DeleteBucketInventoryConfiguration
        | Op::DeleteBucketMetricsConfiguration
        | Op::GetBucketIntelligentTieringConfiguration
        | Op::GetBucketInventoryConfiguration
        | Op::GetBucketMetricsConfiguration => Code::NoSuchConfiguration,
        _ => return None,
    })
}

/// Removing what is not there is a success in S3.
fn removes_nothing(operation: Op) -> bool {
    matches!(
        operation,
        Op::DeleteBucketLifecycle
            | Op::DeleteBucketPolicy
            | Op::DeleteBucketReplication
            | Op::DeletePublicAccessBlock
    )
}

fn no_configurations(root: &'static str) -> String {
    let mut out = XmlWriter::document(root);
    out.value("IsTruncated", false);
    out.finish()
}

/// There are no access lists: everything belongs to the bucket's owner.
fn ownership() -> String {
    let mut out = XmlWriter::document("OwnershipControls");
    out.start("Rule");
    out.text("ObjectOwnership", "BucketOwnerEnforced");
    out.finish()
}

/// The list that S3 shows when lists are off: the owner has full control.
fn access_list(call: &Call) -> String {
    let mut out = XmlWriter::document("AccessControlPolicy");
    write_owner(call, &mut out, "Owner");
    out.start("AccessControlList");
    out.start("Grant");
    out.start_with(
        "Grantee",
        " xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"CanonicalUser\"",
    );
    write_identity(call, &mut out);
    out.end();
    out.text("Permission", "FULL_CONTROL");
    out.finish()
}
