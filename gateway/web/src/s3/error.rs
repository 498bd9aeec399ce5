//! What a client is told when it does not get what it asked for: the one place where the store's, the signature's and the
//! codec's errors become S3's.

use super::code::Code;
use super::date;
use crate::xml::{Malformed, XmlWriter};
use http::header::{ETAG, HeaderName, HeaderValue, LAST_MODIFIED, RETRY_AFTER};
use http::{HeaderMap, StatusCode};
use security::chunked::ChunkError;
use security::sigv4::AuthError;
use std::borrow::Cow;
use std::fmt;

/// An S3 error on its way to the client.
pub(crate) struct S3Error(Box<Inner>);

struct Inner {
    status: StatusCode,
    code: &'static str,
    message: Cow<'static, str>,
    fields: Vec<(&'static str, String)>,
    headers: HeaderMap,
    /// For the log alone: what the client is not told.
    cause: Option<String>,
}

impl S3Error {
    /// A code with its own message.
    pub(crate) fn new(code: Code) -> Self {
        Self::with(code, code.message())
    }

    /// A code with a more particular message.
    pub(crate) fn with(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner {
            status: code.status(),
            code: code.as_str(),
            message: message.into(),
            fields: Vec::new(),
            headers: HeaderMap::new(),
            cause: None,
        }))
    }

    /// `InvalidArgument` that names the argument.
    pub(crate) fn argument(name: &str, value: &str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::with(Code::InvalidArgument, message).field("ArgumentName", name).field("ArgumentValue", value)
    }

    /// A header whose function is not there; never ignored.
    pub(crate) fn unsupported_header(name: &str) -> Self {
        Self::new(Code::NotImplemented).field("Header", name)
    }

    /// Adds an element to the document.
    #[must_use]
    pub(crate) fn field(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.0.fields.push((name, value.into()));
        self
    }

    /// Adds a header to the answer.
    #[must_use]
    pub(crate) fn header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.0.headers.insert(name, value);
        }
        self
    }

    fn caused_by(mut self, cause: &dyn fmt::Display) -> Self {
        self.0.cause = Some(cause.to_string());
        self
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.0.status
    }

    pub(crate) fn code(&self) -> &'static str {
        self.0.code
    }

    pub(crate) fn message(&self) -> &str {
        &self.0.message
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.0.headers
    }

    pub(crate) fn cause(&self) -> Option<&str> {
        self.0.cause.as_deref()
    }

    fn has_field(&self, name: &str) -> bool {
        self.0.fields.iter().any(|(known, _)| *known == name)
    }

    /// Adds what S3 says about the resource of this kind of error.
    #[must_use]
    pub(crate) fn about(self, bucket: Option<&str>, key: Option<&str>, region: &str) -> Self {
        let wanted: &[&'static str] = match self.code() {
            "NoSuchKey" | "NoSuchVersion" => &["Key"],
            "AuthorizationHeaderMalformed" => &["Region"],
            code if code.contains("Bucket") || code.contains("Configuration") || code == "NoSuchTagSet" => {
                &["BucketName"]
            }
            _ => &[],
        };
        wanted.iter().fold(self, |error, name| {
            let value = match *name {
                "Key" => key,
                "Region" => Some(region),
                _ => bucket,
            };
            match value {
                Some(value) if !error.has_field(name) => error.field(name, value),
                _ => error,
            }
        })
    }

    /// The error document.
    pub(crate) fn document(&self, resource: &str, request_id: &str, host_id: &str) -> String {
        let mut xml = XmlWriter::plain("Error");
        xml.text("Code", self.code());
        xml.text("Message", self.message());
        for (name, value) in &self.0.fields {
            xml.text(name, value);
        }
        if !self.has_field("Resource") {
            xml.text("Resource", resource);
        }
        xml.text("RequestId", request_id);
        xml.text("HostId", host_id);
        xml.finish()
    }
}

impl fmt::Debug for S3Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "S3Error({} {}: {})", self.status().as_u16(), self.code(), self.message())
    }
}

impl From<Malformed> for S3Error {
    fn from(error: Malformed) -> Self {
        Self::new(Code::MalformedXML).caused_by(&error)
    }
}

impl From<ChunkError> for S3Error {
    fn from(error: ChunkError) -> Self {
        Self(Box::new(Inner {
            status: error.status(),
            code: error.code(),
            message: error.message().into(),
            fields: Vec::new(),
            headers: HeaderMap::new(),
            cause: Some(error.to_string()),
        }))
    }
}

impl From<AuthError> for S3Error {
    fn from(error: AuthError) -> Self {
        Self(Box::new(Inner {
            status: error.status(),
            code: error.code(),
            message: error.message().to_owned().into(),
            fields: error.fields().to_vec(),
            headers: HeaderMap::new(),
            cause: None,
        }))
    }
}

const DELETE_MARKER: HeaderName = HeaderName::from_static("x-amz-delete-marker");
const VERSION_ID: HeaderName = HeaderName::from_static("x-amz-version-id");

impl From<objectstore::Error> for S3Error {
    fn from(error: objectstore::Error) -> Self {
        use objectstore::Error as E;
        match error {
            E::NoSuchBucket => Self::new(Code::NoSuchBucket),
            E::NoSuchKey { marker } => {
                let answer = Self::new(Code::NoSuchKey);
                match marker {
                    Some(version) => {
                        answer.header(DELETE_MARKER, "true").header(VERSION_ID, &version.to_string())
                    }
                    None => answer,
                }
            }
            E::NoSuchVersion => Self::new(Code::NoSuchVersion),
            E::NoSuchUpload => Self::new(Code::NoSuchUpload),
            E::IsDeleteMarker { version, modified } => Self::new(Code::MethodNotAllowed)
                .header(http::header::ALLOW, "DELETE")
                .header(DELETE_MARKER, "true")
                .header(VERSION_ID, &version.to_string())
                .header(LAST_MODIFIED, &date::http(modified)),
            E::BucketAlreadyOwnedByYou => Self::new(Code::BucketAlreadyOwnedByYou),
            E::BucketAlreadyExists => Self::new(Code::BucketAlreadyExists),
            E::BucketNotEmpty => Self::new(Code::BucketNotEmpty),
            E::TooManyBuckets { .. } => Self::new(Code::TooManyBuckets),
            E::InvalidBucketName => Self::new(Code::InvalidBucketName),
            E::KeyTooLong { size } => Self::new(Code::KeyTooLongError)
                .field("Size", size.to_string())
                .field("MaxSizeAllowed", objectstore::KEY_BYTES_MAX.to_string()),
            E::InvalidVersionId => Self::argument("versionId", "", "Invalid version id specified"),
            E::InvalidArgument { name, detail } => Self::argument(name, "", detail),
            E::InvalidRequest { detail } => Self::with(Code::InvalidRequest, detail),
            E::CopyOntoItself => Self::with(
                Code::InvalidRequest,
                "This copy request is illegal because it is trying to copy an object to itself without changing the \
                 object's metadata, storage class, website redirect location or encryption attributes.",
            ),
            E::MetadataTooLarge { size, limit } => Self::new(Code::MetadataTooLarge)
                .field("Size", size.to_string())
                .field("MaxSizeAllowed", limit.to_string()),
            E::PreconditionFailed { header } => {
                Self::new(Code::PreconditionFailed).field("Condition", header)
            }
            E::NotModified { etag, modified, version } => {
                let answer = Self::new(Code::NotModified)
                    .header(ETAG, &format!("\"{etag}\""))
                    .header(LAST_MODIFIED, &date::http(modified));
                match version {
                    Some(version) => answer.header(VERSION_ID, &version.to_string()),
                    None => answer,
                }
            }
            other => Self::from_body_error(other),
        }
    }
}

impl S3Error {
    /// Errors about bodies, parts and the appliance itself.
    fn from_body_error(error: objectstore::Error) -> Self {
        use objectstore::Error as E;
        match error {
            E::BadDigest => Self::new(Code::BadDigest),
            E::ChecksumMismatch { algorithm } => Self::with(
                Code::BadDigest,
                format!("The {algorithm} you specified did not match the calculated checksum."),
            ),
            E::IncompleteBody { announced, got } => Self::new(Code::IncompleteBody)
                .field("NumberBytesExpected", announced.get().to_string())
                .field("NumberBytesProvided", got.get().to_string()),
            E::EntityTooLarge { size, limit } => Self::new(Code::EntityTooLarge)
                .field("ProposedSize", size.get().to_string())
                .field("MaxSizeAllowed", limit.get().to_string()),
            E::EntityTooSmall { part, size, etag } => Self::new(Code::EntityTooSmall)
                .field("ProposedSize", size.get().to_string())
                .field("MinSizeAllowed", (5u64 << 20).to_string())
                .field("PartNumber", part.to_string())
                .field("ETag", etag.to_string()),
            E::InvalidPart { part } => Self::new(Code::InvalidPart).field("PartNumber", part.to_string()),
            E::InvalidPartOrder => Self::new(Code::InvalidPartOrder),
            E::NoSuchPart { part, parts } => Self::new(Code::InvalidPartNumber)
                .field("PartNumberRequested", part.to_string())
                .field("ActualPartCount", parts.to_string()),
            E::InvalidRange { size } => Self::new(Code::InvalidRange)
                .field("ActualObjectSize", size.get().to_string())
                .header(http::header::CONTENT_RANGE, &format!("bytes */{}", size.get())),
            E::Contended { .. } | E::BucketBusy => Self::new(Code::OperationAborted),
            E::Engine(error) => Self::from_engine(&error),
            other => Self::new(Code::InternalError).caused_by(&other),
        }
    }

    /// The appliance's own trouble: said honestly, without inner detail, and logged with it.
    fn from_engine(error: &engine::Error) -> Self {
        use engine::{Error as E, ErrorKind};
        let code = match (error, error.kind()) {
            (E::Full { .. }, _) => Code::StorageFull,
            (_, ErrorKind::Conflict) => Code::OperationAborted,
            (E::Closed | E::Fenced { .. }, _) => Code::ServiceUnavailable,
            (_, ErrorKind::Unavailable | ErrorKind::Invalid | ErrorKind::NotFound | ErrorKind::Corrupt) => {
                Code::InternalError
            }
        };
        let answer = Self::new(code).caused_by(error);
        if code == Code::ServiceUnavailable { answer.header(RETRY_AFTER, "1") } else { answer }
    }
}

#[cfg(test)]
mod tests {
    use super::{Code, S3Error};

    #[test]
    fn documents_look_like_s3s() {
        let error = S3Error::new(Code::NoSuchKey).about(Some("b"), Some("a<b"), "us-east-1");
        assert_eq!(
            error.document("/b/a<b", "ID", "HOST"),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>NoSuchKey</Code><Message>The specified key does \
             not exist.</Message><Key>a&lt;b</Key><Resource>/b/a&lt;b</Resource><RequestId>ID</RequestId>\
             <HostId>HOST</HostId></Error>"
        );
        let error = S3Error::new(Code::NoSuchBucket).about(Some("b"), None, "us-east-1");
        assert!(error.document("/b", "", "").contains("<BucketName>b</BucketName>"));
    }

    #[test]
    fn who_loses_a_race_is_told_to_try_again() {
        let contended = objectstore::Error::Contended { attempts: 3 };
        for lost in [objectstore::Error::BucketBusy, contended] {
            let error = S3Error::from(lost);
            assert_eq!((error.status().as_u16(), error.code()), (409, "OperationAborted"));
        }
    }

    #[test]
    fn a_full_disk_and_a_corrupt_one_are_said_without_inner_detail() {
        let full = engine::Error::Full { place: "/data".to_owned(), wanted: 1 };
        let error = S3Error::from(objectstore::Error::Engine(full));
        assert_eq!((error.status().as_u16(), error.code()), (507, "StorageFull"));
        assert!(
            !error.message().contains("/data") && error.cause().is_some_and(|cause| cause.contains("/data"))
        );
        let corrupt = engine::Error::Corrupt { what: "blob".to_owned(), detail: "tag".to_owned() };
        let error = S3Error::from(objectstore::Error::Engine(corrupt));
        assert_eq!((error.status().as_u16(), error.code()), (500, "InternalError"));
    }
}
