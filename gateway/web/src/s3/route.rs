//! Which operation a request is: method, what it is about, and the sub-resource in its query.
//!
//! Every sub-resource that S3 has is known here. A write with a parameter that is not known is refused: it must never
//! become a plain PUT or DELETE of what it only wanted to configure. A read ignores unknown parameters, as S3 does.

use super::code::Code;
use super::error::S3Error;
use super::operation::Operation as Op;
use super::query::Query;
use super::target::Target;
use http::Method;

/// One sub-resource with the operations of its methods.
struct Sub {
    name: &'static str,
    get: Option<Op>,
    put: Option<Op>,
    post: Option<Op>,
    delete: Option<Op>,
}

/// `sub!("acl", get GetBucketAcl, put PutBucketAcl)`
macro_rules! sub {
    ($name:literal $(, $method:ident $op:ident)*) => {
        Sub { $($method: Some(Op::$op),)* ..NOTHING }
            .named($name)
    };
}

const NOTHING: Sub = Sub { name: "", get: None, put: None, post: None, delete: None };

impl Sub {
    const fn named(self, name: &'static str) -> Self {
        Self { name, ..self }
    }

    fn operation(&self, method: &Method) -> Option<Op> {
        match *method {
            Method::GET => self.get,
            Method::PUT => self.put,
            Method::POST => self.post,
            Method::DELETE => self.delete,
            _ => None,
        }
    }
}

static BUCKET: &[Sub] = &[
    sub!("abac", get GetBucketAbac, put PutBucketAbac),
    sub!("accelerate", get GetBucketAccelerateConfiguration, put PutBucketAccelerateConfiguration),
    sub!("acl", get GetBucketAcl, put PutBucketAcl),
    sub!("analytics", get GetBucketAnalyticsConfiguration, put PutBucketAnalyticsConfiguration,
        delete DeleteBucketAnalyticsConfiguration),
    sub!("cors", get GetBucketCors, put PutBucketCors, delete DeleteBucketCors),
    sub!("delete", post DeleteObjects),
    sub!("encryption", get GetBucketEncryption, put PutBucketEncryption, delete DeleteBucketEncryption),
    sub!("intelligent-tiering", get GetBucketIntelligentTieringConfiguration,
        put PutBucketIntelligentTieringConfiguration, delete DeleteBucketIntelligentTieringConfiguration),
    // Firn's own: jobs that restore all below a prefix.
    sub!("firn-restore", get ListObjectsV2, post RestoreObject, delete RestoreObject),
    sub!("inventory", get GetBucketInventoryConfiguration, put PutBucketInventoryConfiguration,
        delete DeleteBucketInventoryConfiguration),
    sub!("lifecycle", get GetBucketLifecycleConfiguration, put PutBucketLifecycleConfiguration,
        delete DeleteBucketLifecycle),
    sub!("location", get GetBucketLocation),
    sub!("logging", get GetBucketLogging, put PutBucketLogging),
    sub!("metadataAnnotationTable", put UpdateBucketMetadataAnnotationTableConfiguration),
    sub!("metadataConfiguration", get GetBucketMetadataConfiguration, post CreateBucketMetadataConfiguration,
        delete DeleteBucketMetadataConfiguration),
    sub!("metadataInventoryTable", put UpdateBucketMetadataInventoryTableConfiguration),
    sub!("metadataJournalTable", put UpdateBucketMetadataJournalTableConfiguration),
    sub!("metadataTable", get GetBucketMetadataTableConfiguration, post CreateBucketMetadataTableConfiguration,
        delete DeleteBucketMetadataTableConfiguration),
    sub!("metrics", get GetBucketMetricsConfiguration, put PutBucketMetricsConfiguration,
        delete DeleteBucketMetricsConfiguration),
    sub!("notification", get GetBucketNotificationConfiguration, put PutBucketNotificationConfiguration),
    sub!("object-lock", get GetObjectLockConfiguration, put PutObjectLockConfiguration),
    sub!("ownershipControls", get GetBucketOwnershipControls, put PutBucketOwnershipControls,
        delete DeleteBucketOwnershipControls),
    sub!("policy", get GetBucketPolicy, put PutBucketPolicy, delete DeleteBucketPolicy),
    sub!("policyStatus", get GetBucketPolicyStatus),
    sub!("publicAccessBlock", get GetPublicAccessBlock, put PutPublicAccessBlock, delete DeletePublicAccessBlock),
    sub!("replication", get GetBucketReplication, put PutBucketReplication, delete DeleteBucketReplication),
    sub!("requestPayment", get GetBucketRequestPayment, put PutBucketRequestPayment),
    sub!("session", get CreateSession),
    sub!("tagging", get GetBucketTagging, put PutBucketTagging, delete DeleteBucketTagging),
    sub!("uploads", get ListMultipartUploads),
    sub!("versioning", get GetBucketVersioning, put PutBucketVersioning),
    sub!("versions", get ListObjectVersions),
    sub!("website", get GetBucketWebsite, put PutBucketWebsite, delete DeleteBucketWebsite),
];

static OBJECT: &[Sub] = &[
    sub!("acl", get GetObjectAcl, put PutObjectAcl),
    sub!("annotation", get GetObjectAnnotation, put PutObjectAnnotation, delete DeleteObjectAnnotation),
    sub!("attributes", get GetObjectAttributes),
    sub!("encryption", put UpdateObjectEncryption),
    sub!("legal-hold", get GetObjectLegalHold, put PutObjectLegalHold),
    sub!("renameObject", put RenameObject),
    sub!("restore", post RestoreObject),
    sub!("retention", get GetObjectRetention, put PutObjectRetention),
    sub!("select", post SelectObjectContent),
    sub!("tagging", get GetObjectTagging, put PutObjectTagging, delete DeleteObjectTagging),
    sub!("torrent", get GetObjectTorrent),
    sub!("uploadId", get ListParts, put UploadPart, post CompleteMultipartUpload, delete AbortMultipartUpload),
    sub!("uploads", post CreateMultipartUpload),
];

/// Every parameter of a query that selects an operation.
#[cfg(test)]
pub(crate) fn sub_resources() -> impl Iterator<Item = &'static str> {
    BUCKET.iter().chain(OBJECT).map(|sub| sub.name)
}

/// Parameters that select no operation, on writes.
const PLAIN_ON_WRITES: &[&str] = &["versionId", "partNumber", "x-id", "select-type", "id"];

/// Finds the operation; a preflight was answered before. `copies` says that the request names a copy source.
pub(crate) fn route(method: &Method, target: &Target, query: &Query, copies: bool) -> Result<Op, S3Error> {
    if *method == Method::POST
        && target.key.is_none()
        && target.bucket.as_deref() == Some("WriteGetObjectResponse")
    {
        return Ok(Op::WriteGetObjectResponse);
    }
    let subs = match (&target.bucket, &target.key) {
        (None, _) => return route_service(method, query),
        (Some(_), None) => BUCKET,
        (Some(_), Some(_)) => OBJECT,
    };
    let sub = sub_resource(subs, query)?;
    refuse_unknown(method, subs, query)?;
    let operation = match sub {
        Some(sub) => sub.operation(method).map(|found| refine(found, query, copies)),
        None if target.key.is_some() => plain_object(method, query, copies)?,
        None => plain_bucket(method, query)?,
    };
    operation.ok_or_else(|| not_allowed(method, sub, target))
}

fn not_allowed(method: &Method, sub: Option<&Sub>, target: &Target) -> S3Error {
    let kind = sub.map_or(if target.key.is_some() { "OBJECT" } else { "BUCKET" }, |sub| sub.name);
    S3Error::new(Code::MethodNotAllowed)
        .field("Method", method.as_str())
        .field("ResourceType", kind.to_uppercase())
}

fn route_service(method: &Method, query: &Query) -> Result<Op, S3Error> {
    match *method {
        // Directory buckets have a host and a signature of their own; here it is asked for at the wrong one, if at all.
        Method::GET if query.has("max-directory-buckets") => Ok(Op::ListDirectoryBuckets),
        Method::GET if query.get("x-id") == Some("ListDirectoryBuckets") => Ok(Op::ListDirectoryBuckets),
        Method::GET => Ok(Op::ListBuckets),
        Method::POST => {
            Err(S3Error::with(Code::NotImplemented, "No service of this endpoint takes this request."))
        }
        _ => {
            refuse_unknown(method, &[], query)?;
            Err(S3Error::new(Code::MethodNotAllowed)
                .field("Method", method.as_str())
                .field("ResourceType", "SERVICE"))
        }
    }
}

/// The one sub-resource of the query; two that contradict each other are refused.
fn sub_resource<'a>(subs: &'a [Sub], query: &Query) -> Result<Option<&'a Sub>, S3Error> {
    let mut found = query.names().filter_map(|name| subs.iter().find(|sub| sub.name == name));
    let Some(first) = found.next() else { return Ok(None) };
    match found.find(|other| other.name != first.name) {
        None => Ok(Some(first)),
        Some(other) => Err(S3Error::argument(
            "ResourceType",
            first.name,
            format!("Conflicting query string parameters: {}, {}", first.name, other.name),
        )),
    }
}

fn refuse_unknown(method: &Method, subs: &[Sub], query: &Query) -> Result<(), S3Error> {
    if matches!(*method, Method::GET | Method::HEAD) {
        return Ok(());
    }
    let known = |name: &str| {
        PLAIN_ON_WRITES.contains(&name)
            || subs.iter().any(|sub| sub.name == name)
            || name.get(..6).is_some_and(|start| start.eq_ignore_ascii_case("x-amz-"))
    };
    match query.names().find(|name| !known(name)) {
        None => Ok(()),
        Some(unknown) => Err(S3Error::with(
            Code::NotImplemented,
            "A query parameter you provided implies functionality that is not implemented",
        )
        .field("Parameter", unknown)),
    }
}

/// Operations that share a sub-resource and a method.
fn refine(found: Op, query: &Query, copies: bool) -> Op {
    let listed = |one: Op, many: Op| if query.has("id") { one } else { many };
    match found {
        Op::UploadPart if copies => Op::UploadPartCopy,
        Op::GetObjectAnnotation if !query.has("annotationName") => Op::ListObjectAnnotations,
        Op::GetBucketAnalyticsConfiguration => listed(found, Op::ListBucketAnalyticsConfigurations),
        Op::GetBucketIntelligentTieringConfiguration => {
            listed(found, Op::ListBucketIntelligentTieringConfigurations)
        }
        Op::GetBucketInventoryConfiguration => listed(found, Op::ListBucketInventoryConfigurations),
        Op::GetBucketMetricsConfiguration => listed(found, Op::ListBucketMetricsConfigurations),
        other => other,
    }
}

fn plain_bucket(method: &Method, query: &Query) -> Result<Option<Op>, S3Error> {
    Ok(match *method {
        Method::GET => Some(match query.get("list-type") {
            None => Op::ListObjects,
            Some("2") => Op::ListObjectsV2,
            Some(other) => {
                let message = "Invalid List Type specified in Request";
                return Err(S3Error::argument("list-type", other, message));
            }
        }),
        Method::HEAD => Some(Op::HeadBucket),
        Method::PUT => Some(Op::CreateBucket),
        Method::DELETE => Some(Op::DeleteBucket),
        Method::POST => Some(Op::PostObject),
        _ => None,
    })
}

fn plain_object(method: &Method, query: &Query, copies: bool) -> Result<Option<Op>, S3Error> {
    if query.has("partNumber") && *method == Method::PUT {
        // A part without its upload must not become the whole object.
        return Err(S3Error::argument(
            "uploadId",
            "",
            "This operation does not accept partNumber without uploadId",
        ));
    }
    Ok(match *method {
        Method::GET => Some(Op::GetObject),
        Method::HEAD => Some(Op::HeadObject),
        Method::PUT if copies => Some(Op::CopyObject),
        Method::PUT => Some(Op::PutObject),
        Method::DELETE => Some(Op::DeleteObject),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::{Op, Query, Target, route};
    use http::Method;

    fn routed(method: &str, path: &str, copies: bool) -> Result<Op, &'static str> {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let target = Target::parse("h", path, &[]).unwrap();
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        route(&method, &target, &Query::parse(query).unwrap(), copies).map_err(|error| error.code())
    }

    #[test]
    fn every_core_operation_is_found() {
        for (method, path, op) in [
            ("GET", "/", Op::ListBuckets),
            ("PUT", "/b", Op::CreateBucket),
            ("HEAD", "/b", Op::HeadBucket),
            ("DELETE", "/b", Op::DeleteBucket),
            ("GET", "/b?location", Op::GetBucketLocation),
            ("GET", "/b?versioning", Op::GetBucketVersioning),
            ("PUT", "/b?versioning", Op::PutBucketVersioning),
            ("GET", "/b?foo=bar", Op::ListObjects),
            ("GET", "/b?list-type=2&prefix=x", Op::ListObjectsV2),
            ("GET", "/b?versions&prefix=x", Op::ListObjectVersions),
            ("GET", "/b?uploads", Op::ListMultipartUploads),
            ("POST", "/b?delete", Op::DeleteObjects),
            ("POST", "/b", Op::PostObject),
            ("GET", "/b?firn-restore", Op::ListObjectsV2),
            ("POST", "/b?firn-restore=a/", Op::RestoreObject),
            ("DELETE", "/b?firn-restore=a/&id=1", Op::RestoreObject),
            ("GET", "/b?metrics", Op::ListBucketMetricsConfigurations),
            ("GET", "/b?metrics&id=1", Op::GetBucketMetricsConfiguration),
            ("PUT", "/b/k?x-id=PutObject", Op::PutObject),
            ("GET", "/b/k?versionId=1&response-content-type=a", Op::GetObject),
            ("HEAD", "/b/k", Op::HeadObject),
            ("DELETE", "/b/k?versionId=null", Op::DeleteObject),
            ("GET", "/b/k?attributes", Op::GetObjectAttributes),
            ("GET", "/b/k?annotation&annotationName=a", Op::GetObjectAnnotation),
            ("GET", "/b/k?annotation&annotation-prefix=a", Op::ListObjectAnnotations),
            ("GET", "/?max-directory-buckets=1", Op::ListDirectoryBuckets),
            ("GET", "/?x-id=ListDirectoryBuckets", Op::ListDirectoryBuckets),
            ("POST", "/b/k?uploads", Op::CreateMultipartUpload),
            ("PUT", "/b/k?partNumber=1&uploadId=u", Op::UploadPart),
            ("POST", "/b/k?uploadId=u", Op::CompleteMultipartUpload),
            ("DELETE", "/b/k?uploadId=u", Op::AbortMultipartUpload),
            ("GET", "/b/k?uploadId=u", Op::ListParts),
            ("PUT", "/b/k?X-Amz-Signature=s&X-Amz-Date=d", Op::PutObject),
            ("POST", "/WriteGetObjectResponse", Op::WriteGetObjectResponse),
        ] {
            assert_eq!(routed(method, path, false), Ok(op), "{method} {path}");
        }
        assert_eq!(routed("PUT", "/b/k", true), Ok(Op::CopyObject));
        assert_eq!(routed("PUT", "/b/k?partNumber=1&uploadId=u", true), Ok(Op::UploadPartCopy));
    }

    #[test]
    fn a_write_with_an_unknown_parameter_never_becomes_a_plain_one() {
        for (method, path) in [
            ("PUT", "/b/k?newthing"),
            ("DELETE", "/b/k?newthing=1"),
            ("PUT", "/b?newthing"),
            ("DELETE", "/b?lifecycl"),
        ] {
            assert_eq!(routed(method, path, false), Err("NotImplemented"), "{method} {path}");
        }
        assert_eq!(routed("PUT", "/b/k?partNumber=1", false), Err("InvalidArgument"));
        assert_eq!(routed("PUT", "/b?acl&policy", false), Err("InvalidArgument"));
        assert_eq!(routed("PUT", "/b/k?uploads", false), Err("MethodNotAllowed"));
        assert_eq!(routed("DELETE", "/b?versioning", false), Err("MethodNotAllowed"));
        assert_eq!(routed("PATCH", "/b/k", false), Err("MethodNotAllowed"));
        assert_eq!(routed("PUT", "/", false), Err("MethodNotAllowed"));
        assert_eq!(routed("HEAD", "/b?acl", false), Err("MethodNotAllowed"));
        assert_eq!(routed("GET", "/b?list-type=3", false), Err("InvalidArgument"));
        assert_eq!(routed("POST", "/b/k", false), Err("MethodNotAllowed"));
    }

    #[test]
    fn every_operation_of_the_table_has_a_route() {
        let mut found: Vec<Op> = super::BUCKET
            .iter()
            .chain(super::OBJECT)
            .flat_map(|sub| [sub.get, sub.put, sub.post, sub.delete])
            .flatten()
            .collect();
        found.extend([
            Op::CorsPreflight,
            Op::ListBuckets,
            Op::ListObjects,
            Op::ListObjectsV2,
            Op::HeadBucket,
        ]);
        found.extend([Op::CreateBucket, Op::DeleteBucket, Op::PostObject, Op::GetObject, Op::HeadObject]);
        found.extend([Op::PutObject, Op::CopyObject, Op::DeleteObject, Op::UploadPartCopy]);
        found.extend([Op::ListBucketAnalyticsConfigurations, Op::ListBucketIntelligentTieringConfigurations]);
        found.extend([Op::ListBucketInventoryConfigurations, Op::ListBucketMetricsConfigurations]);
        found.extend([Op::WriteGetObjectResponse, Op::ListDirectoryBuckets, Op::ListObjectAnnotations]);
        for op in Op::ALL {
            assert!(found.contains(op), "{}", op.name());
        }
    }
}
