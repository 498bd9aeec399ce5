//! The operations: each takes a call apart into the store's request, and its outcome into S3's answer.

mod access;
mod bucket;
mod complete;
mod copy;
mod cors;
mod delete;
mod encryption;
mod extract;
mod inventory;
mod lifecycle;
mod list;
mod list_page;
mod lock;
mod logging;
mod multipart;
mod notification;
mod object;
mod payment;
mod policy;
mod post;
mod put;
mod restore;
mod restore_jobs;
mod tagging;
mod unset;
mod website;

use super::Call;
use super::acl;
use super::answer::{Answer, set_amz};
use super::body::RequestBody;
use super::code::Code;
use super::error::S3Error;
use super::headers::{self, Digests};
use super::operation::Operation as Op;
use crate::xml::{Element, XmlWriter};
use bytes::Bytes;
use engine::unit::ByteCount;
use http::HeaderMap;
use md5::{Digest as _, Md5};
use objectstore::{
    AmendRequest, ChecksumAlgorithm, ChecksumType, ChecksumValue, Expect, ObjectChecksum, Subresources,
    VersionName, VersionSelector,
};
use security::CanonicalUser;

pub(super) use copy::copied;
pub(super) use extract::AUTO_EXTRACT;
pub(super) use payment::{charged, tell_charged};
pub(super) use restore_jobs::name as name_restores;

/// An object as GET or HEAD show it.
pub(super) async fn object(call: &Call) -> Result<Answer, S3Error> {
    if call.operation == Op::HeadObject { object::head(call).await } else { object::get(call).await }
}

/// Does what was asked for.
pub(super) async fn dispatch(call: &Call, body: &mut RequestBody) -> Result<Answer, S3Error> {
    match call.operation {
        Op::GetObject => object::get(call).await,
        Op::HeadObject => object::head(call).await,
        _ => Box::pin(larger(call, body)).await,
    }
}

/// What takes longer anyhow. Boxed above: a request's future is moved about before it runs, and these make it three times as large.
async fn larger(call: &Call, body: &mut RequestBody) -> Result<Answer, S3Error> {
    match call.operation {
        Op::ListBuckets => bucket::list(call).await,
        Op::CreateBucket => bucket::create(call, body).await,
        Op::HeadBucket => bucket::head(call).await,
        Op::DeleteBucket => bucket::delete(call).await,
        Op::GetBucketLocation => bucket::location(call).await,
        Op::GetBucketVersioning => bucket::versioning(call).await,
        Op::PutBucketVersioning => bucket::set_versioning(call, body).await,
        Op::GetBucketCors => cors::get(call).await,
        Op::PutBucketCors => cors::put(call, body).await,
        Op::DeleteBucketCors => cors::delete(call).await,
        Op::GetBucketEncryption => encryption::get(call).await,
        Op::PutBucketEncryption => encryption::put(call, body).await,
        Op::DeleteBucketEncryption => encryption::delete(call).await,
        Op::GetBucketInventoryConfiguration => inventory::get(call).await,
        Op::PutBucketInventoryConfiguration => inventory::put(call, body).await,
        Op::DeleteBucketInventoryConfiguration => inventory::delete(call).await,
        Op::ListBucketInventoryConfigurations => inventory::list(call).await,
        Op::GetBucketLifecycleConfiguration => lifecycle::get(call).await,
        Op::PutBucketLifecycleConfiguration => lifecycle::put(call, body).await,
        Op::DeleteBucketLifecycle => lifecycle::delete(call).await,
        Op::GetBucketLogging => logging::get(call).await,
        Op::PutBucketLogging => logging::put(call, body).await,
        Op::GetBucketNotificationConfiguration => notification::get(call).await,
        Op::PutBucketNotificationConfiguration => notification::put(call, body).await,
        Op::GetBucketRequestPayment => payment::get(call).await,
        Op::PutBucketRequestPayment => payment::put(call, body).await,
        Op::GetBucketWebsite => website::get(call).await,
        Op::PutBucketWebsite => website::put(call, body).await,
        Op::DeleteBucketWebsite => website::delete(call).await,
        Op::PostObject => post::object(call, body).await,
        Op::GetBucketAcl => access::bucket_acl(call).await,
        Op::PutBucketAcl => access::set_bucket_acl(call, body).await,
        Op::GetObjectAcl => access::object_acl(call).await,
        Op::PutObjectAcl => access::set_object_acl(call, body).await,
        Op::GetBucketOwnershipControls => access::ownership(call).await,
        Op::PutBucketOwnershipControls => access::set_ownership(call, body).await,
        Op::DeleteBucketOwnershipControls => access::delete_ownership(call).await,
        Op::GetBucketPolicy => policy::get(call).await,
        Op::GetBucketPolicyStatus => policy::status(call).await,
        Op::PutBucketPolicy => policy::put(call, body).await,
        Op::DeleteBucketPolicy => policy::delete(call).await,
        Op::GetPublicAccessBlock => access::public_access_block(call).await,
        Op::PutPublicAccessBlock => access::set_public_access_block(call, body).await,
        Op::DeletePublicAccessBlock => access::delete_public_access_block(call).await,
        Op::ListObjects => list::objects(call).await,
        Op::ListObjectsV2 if restore_jobs::is_meant(call) => restore_jobs::show(call).await,
        Op::ListObjectsV2 => list::objects_v2(call).await,
        Op::ListObjectVersions => list::versions(call).await,
        Op::GetObjectAttributes => object::attributes(call).await,
        Op::PutObject => put::object(call, body).await,
        Op::CopyObject => copy::object(call, body).await,
        Op::DeleteObject => delete::one(call).await,
        Op::DeleteObjects => delete::many(call, body).await,
        Op::CreateMultipartUpload => multipart::create(call).await,
        Op::UploadPart => put::part(call, body).await,
        Op::UploadPartCopy => Box::pin(copy::part(call, body)).await,
        Op::CompleteMultipartUpload => complete::upload(call, body).await,
        Op::AbortMultipartUpload => multipart::abort(call).await,
        Op::ListParts => multipart::list_parts(call).await,
        Op::ListMultipartUploads => multipart::list_uploads(call).await,
        Op::RestoreObject if restore_jobs::is_meant(call) => restore_jobs::change(call, body).await,
        Op::RestoreObject => restore::object(call, body).await,
        Op::GetBucketTagging => tagging::of_bucket(call).await,
        Op::PutBucketTagging => tagging::set_of_bucket(call, body).await,
        Op::DeleteBucketTagging => tagging::remove_of_bucket(call).await,
        Op::GetObjectTagging => tagging::of_object(call).await,
        Op::PutObjectTagging => tagging::set_of_object(call, body).await,
        Op::DeleteObjectTagging => tagging::remove_of_object(call).await,
        Op::GetObjectLockConfiguration => lock::configuration(call).await,
        Op::PutObjectLockConfiguration => lock::set_configuration(call, body).await,
        Op::GetObjectRetention => lock::retention(call).await,
        Op::PutObjectRetention => lock::set_retention(call, body).await,
        Op::GetObjectLegalHold => lock::legal_hold(call).await,
        Op::PutObjectLegalHold => lock::set_legal_hold(call, body).await,
        _ => unset::answer(call).await,
    }
}

/// `?versionId=`; an empty one is refused.
fn version(call: &Call) -> Result<VersionSelector, S3Error> {
    match call.query.get("versionId") {
        None => Ok(VersionSelector::Latest),
        Some("") => Err(S3Error::argument("versionId", "", "Version id cannot be the empty string")),
        Some(text) => parse_version(text).map(VersionSelector::from),
    }
}

/// The version that a request is to change something beside.
fn amend(call: &Call) -> Result<AmendRequest, S3Error> {
    Ok(AmendRequest {
        bucket: call.target.bucket()?,
        key: call.target.key()?,
        version: version(call)?,
        origin: call.origin(),
    })
}

fn parse_version(text: &str) -> Result<VersionName, S3Error> {
    text.parse().map_err(|_| S3Error::argument("versionId", text, "Invalid version id specified"))
}

/// A parameter that is a number between 0 and `i32::MAX`, as S3 reads them; above `cap` it means `cap`.
fn count(call: &Call, name: &'static str, cap: usize) -> Result<usize, S3Error> {
    let Some(text) = call.query.get(name) else { return Ok(cap) };
    let number = headers::digits::<i32>(text).and_then(|number| usize::try_from(number).ok());
    number.map(|number| number.min(cap)).ok_or_else(|| {
        S3Error::argument(name, text, format!("Provided {name} not an integer or within integer range"))
    })
}

/// A small XML body, proven by its Content-MD5 and checksum where it has them.
async fn document(call: &Call, body: &mut RequestBody, proof: Proof) -> Result<Option<Element>, S3Error> {
    document_within(call, body, proof, call.config.limits.xml_body_max).await
}

/// The same, of at most `max` bytes.
async fn document_within(
    call: &Call,
    body: &mut RequestBody,
    proof: Proof,
    max: ByteCount,
) -> Result<Option<Element>, S3Error> {
    let bytes = proven_bytes(call, body, proof, max).await?;
    if bytes.is_empty() { Ok(None) } else { Ok(Some(Element::parse(&bytes)?)) }
}

/// A document that names keys of objects, likewise.
async fn keys_document(
    call: &Call,
    body: &mut RequestBody,
    proof: Proof,
) -> Result<Option<Element>, S3Error> {
    let bytes = proven_bytes(call, body, proof, call.config.limits.xml_body_max).await?;
    if bytes.is_empty() { Ok(None) } else { Ok(Some(Element::parse_keys(&bytes)?)) }
}

/// A small body of any kind, likewise.
async fn proven_bytes(
    call: &Call,
    body: &mut RequestBody,
    proof: Proof,
    max: ByteCount,
) -> Result<Bytes, S3Error> {
    let digests = Digests::of(&call.head.headers)?;
    let bytes = body.collect(max, &call.state.bodies).await?;
    let Expect { content_md5, checksum } = digests.expect(body.trailers())?;
    if proof == Proof::Required && content_md5.is_none() && checksum.is_none() {
        return Err(S3Error::with(
            Code::InvalidRequest,
            "Missing required header for this request: Content-MD5 OR x-amz-checksum-*",
        ));
    }
    if content_md5.is_some_and(|expected| Md5::digest(&bytes).as_slice() != expected) {
        return Err(S3Error::new(Code::BadDigest));
    }
    if let Some(expected) = checksum {
        check_checksum(&expected, &bytes)?;
    }
    Ok(bytes)
}

/// Whether a body must come with a digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Proof {
    Required,
    Optional,
}

fn check_checksum(expected: &ChecksumValue, bytes: &Bytes) -> Result<(), S3Error> {
    if ChecksumValue::compute(expected.algorithm(), bytes) == *expected {
        return Ok(());
    }
    let message =
        format!("The {} you specified did not match the calculated checksum.", expected.algorithm());
    Err(S3Error::with(Code::BadDigest, message))
}

/// What a header says.
fn said<'c>(call: &'c Call, name: &'static str) -> Result<Option<&'c str>, S3Error> {
    headers::text(&call.head.headers, name)
}

/// What the headers of a write say of what stands beside the version to be.
async fn beside(call: &Call) -> Result<Subresources, S3Error> {
    let mut beside = Subresources { tags: tagging::of_headers(call).await?, ..Subresources::default() };
    lock::of_headers(call, &mut beside).await?;
    Ok(beside)
}

/// The document of a request that cannot do without one.
fn required(document: Option<Element>) -> Result<Element, S3Error> {
    document.ok_or_else(|| S3Error::new(Code::MissingRequestBodyError))
}

fn set_version(headers: &mut HeaderMap, version: Option<VersionName>) {
    if let Some(version) = version {
        set_amz(headers, "x-amz-version-id", &version.to_string());
    }
}

/// The version that a write made. S3 names no null version here, though reads and listings do.
fn set_made_version(headers: &mut HeaderMap, version: Option<VersionName>) {
    set_version(headers, version.filter(|version| *version != VersionName::Null));
}

fn set_checksum(headers: &mut HeaderMap, checksum: Option<&ObjectChecksum>) {
    if let Some(checksum) = checksum {
        let name = headers::checksum_header(checksum.value.algorithm());
        super::answer::set(headers, name, &checksum.to_string());
        set_amz(headers, "x-amz-checksum-type", checksum.kind.as_str());
    }
}

/// The element of a checksum: `ChecksumCRC32C`.
fn checksum_element(algorithm: ChecksumAlgorithm) -> &'static str {
    match algorithm {
        ChecksumAlgorithm::Crc32 => "ChecksumCRC32",
        ChecksumAlgorithm::Crc32C => "ChecksumCRC32C",
        ChecksumAlgorithm::Crc64Nvme => "ChecksumCRC64NVME",
        ChecksumAlgorithm::Sha1 => "ChecksumSHA1",
        ChecksumAlgorithm::Sha256 => "ChecksumSHA256",
        ChecksumAlgorithm::Sha512 => "ChecksumSHA512",
        ChecksumAlgorithm::Md5 => "ChecksumMD5",
        ChecksumAlgorithm::XxHash64 => "ChecksumXXHASH64",
        ChecksumAlgorithm::XxHash3 => "ChecksumXXHASH3",
        ChecksumAlgorithm::XxHash128 => "ChecksumXXHASH128",
    }
}

fn write_checksum(xml: &mut XmlWriter, checksum: Option<&ObjectChecksum>) {
    if let Some(checksum) = checksum {
        xml.value(checksum_element(checksum.value.algorithm()), checksum);
        xml.value("ChecksumType", checksum.kind);
    }
}

fn write_algorithm(xml: &mut XmlWriter, checksum: Option<(ChecksumAlgorithm, ChecksumType)>) {
    if let Some((algorithm, kind)) = checksum {
        xml.value("ChecksumAlgorithm", algorithm);
        xml.value("ChecksumType", kind);
    }
}

/// Whoever owns or began something: an account of its own, or the bucket's owner.
fn write_owner(call: &Call, xml: &mut XmlWriter, element: &'static str, other: Option<CanonicalUser>) {
    if let Some(user) = other {
        return acl::write_user(xml, element, user);
    }
    xml.start(element);
    xml.text("ID", call.owner_id());
    xml.value("DisplayName", call.asker.owner);
    xml.end();
}
