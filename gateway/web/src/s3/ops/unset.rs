//! Sub-resources that can not be set (yet): reading and removing them tells the truth about a bucket that has none of
//! them; setting them is refused, never accepted in silence.

use crate::s3::Call;
use crate::s3::answer::{Answer, empty, xml};
use crate::s3::code::Code;
use crate::s3::error::S3Error;
use crate::s3::operation::Operation as Op;
use crate::xml::XmlWriter;
use http::StatusCode;

/// Answers an operation that has no state behind it.
pub(super) async fn answer(call: &Call) -> Result<Answer, S3Error> {
    match call.operation {
        Op::WriteGetObjectResponse => Err(not_implemented(call.operation)),
        _ if call.target.key.is_none() && call.target.bucket.is_some() => bucket(call).await,
        _ => Err(not_implemented(call.operation)),
    }
}

fn not_implemented(operation: Op) -> S3Error {
    S3Error::with(Code::NotImplemented, format!("{} is not implemented", operation.name()))
}

async fn bucket(call: &Call) -> Result<Answer, S3Error> {
    call.state.store.head_bucket(&call.target.bucket()?).await?;
    let document = match call.operation {
        Op::GetBucketAbac => {
            let mut out = XmlWriter::document("AbacStatus");
            out.text("Status", "Disabled");
            out.finish()
        }
        Op::GetBucketAccelerateConfiguration => XmlWriter::document("AccelerateConfiguration").finish(),
        Op::ListBucketAnalyticsConfigurations => no_configurations("ListBucketAnalyticsConfigurationResult"),
        Op::ListBucketIntelligentTieringConfigurations => {
            no_configurations("ListBucketIntelligentTieringConfigurationsOutput")
        }
        Op::ListBucketMetricsConfigurations => no_configurations("ListMetricsConfigurationsResult"),
        removed if removes_nothing(removed) => return Ok(empty(StatusCode::NO_CONTENT)),
        other => return Err(absent(other).map_or_else(|| not_implemented(other), S3Error::new)),
    };
    Ok(xml(StatusCode::OK, document))
}

/// S3's own "there is none" of each sub-resource.
fn absent(operation: Op) -> Option<Code> {
    Some(match operation {
        Op::GetBucketReplication => Code::ReplicationConfigurationNotFoundError,
        Op::GetBucketMetadataConfiguration
        | Op::GetBucketMetadataTableConfiguration
        | Op::DeleteBucketMetadataConfiguration
        | Op::DeleteBucketMetadataTableConfiguration => Code::MetadataConfigurationNotFound,
        Op::GetBucketAnalyticsConfiguration
        | Op::DeleteBucketAnalyticsConfiguration
        | Op::DeleteBucketIntelligentTieringConfiguration
        | Op::DeleteBucketMetricsConfiguration
        | Op::GetBucketIntelligentTieringConfiguration
        | Op::GetBucketMetricsConfiguration => Code::NoSuchConfiguration,
        _ => return None,
    })
}

/// Removing what is not there is a success in S3.
fn removes_nothing(operation: Op) -> bool {
    matches!(operation, Op::DeleteBucketReplication)
}

fn no_configurations(root: &'static str) -> String {
    let mut out = XmlWriter::document(root);
    out.value("IsTruncated", false);
    out.finish()
}
