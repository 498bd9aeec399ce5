//! What a client is told when it does not get what it asked for: the one place where the store's, the signature's and the
//! codec's errors become S3's.

use super::code::{Code, Names};
use super::cors::document::DocumentError;
use super::date;
use crate::audit;
use crate::failure::{Failed, Trouble};
use crate::http::{BodyError, HeadError};
use crate::xml::{Malformed, XmlWriter};
use http::header::{ETAG, HeaderName, HeaderValue, LAST_MODIFIED, RETRY_AFTER};
use http::{HeaderMap, StatusCode};
use security::chunked::ChunkError;
use security::form::FormError;
use security::sigv4::{AuthCode, AuthError};
use std::borrow::Cow;
use std::fmt;

/// An S3 error on its way to the client.
pub(crate) struct S3Error(Box<Inner>);

struct Inner {
    status: StatusCode,
    code: &'static str,
    names: Names,
    message: Cow<'static, str>,
    fields: Vec<(&'static str, String)>,
    headers: HeaderMap,
    /// For the log alone: what the client is not told.
    cause: Option<String>,
    /// For want of a right, or of a good signature.
    denied: bool,
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
            names: code.names(),
            message: message.into(),
            fields: Vec::new(),
            headers: HeaderMap::new(),
            cause: None,
            denied: code == Code::AccessDenied,
        }))
    }

    /// The same, as what a signature or a right was looked at for: whatever its code, it is a denial.
    #[must_use]
    pub(crate) fn refusing(mut self) -> Self {
        self.0.denied = !self.0.status.is_server_error();
        self
    }

    /// Whether it is refused for want of a right, or of a good signature.
    pub(crate) fn is_denial(&self) -> bool {
        self.0.denied
    }

    /// It broke off.
    pub(crate) fn broken() -> Self {
        Self::new(Code::InternalError).caused_by(&"it panicked")
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

    /// The same, of one entry of an archive; `then` says what that means for the others.
    #[must_use]
    pub(crate) fn about_entry(mut self, name: &str, then: &str) -> Self {
        let name: String = name.chars().take(200).collect();
        let message = std::mem::take(&mut self.0.message);
        let reason = message.trim_end_matches('.');
        self.0.message = format!("Entry {name:?} was refused: {reason}. {then}").into();
        self.field("Entry", name)
    }

    /// The code that one of the store's errors has.
    pub(crate) fn code_of(error: &objectstore::Error) -> &'static str {
        code_of(error).as_str()
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

    pub(crate) fn is(&self, code: Code) -> bool {
        self.0.code == code.as_str()
    }

    /// What its document names, besides its resource.
    pub(crate) fn names(&self) -> Names {
        self.0.names
    }

    pub(crate) fn message(&self) -> &str {
        &self.0.message
    }

    pub(crate) fn fields(&self) -> &[(&'static str, String)] {
        &self.0.fields
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.0.headers
    }

    pub(crate) fn cause(&self) -> Option<&str> {
        self.0.cause.as_deref()
    }

    /// What was done, or not, has no record.
    pub(crate) fn unrecorded(trouble: Trouble) -> Self {
        let code = if trouble == Trouble::Full { Code::StorageFull } else { Code::ServiceUnavailable };
        Self::with(code, audit::UNRECORDED).caused_by(&audit::UNRECORDED_CAUSE)
    }

    /// What of it is logged.
    pub(crate) fn failed(&self) -> Failed<'_> {
        let trouble = if self.is(Code::SlowDown) {
            Trouble::Crowded
        } else if self.is(Code::StorageFull) {
            Trouble::Full
        } else {
            Trouble::Own
        };
        Failed { status: self.status(), code: self.code(), cause: self.cause(), trouble }
    }

    fn has_field(&self, name: &str) -> bool {
        self.0.fields.iter().any(|(known, _)| *known == name)
    }

    /// Adds what S3 says about the resource of this kind of error.
    #[must_use]
    pub(crate) fn about(self, bucket: Option<&str>, key: Option<&str>, region: &str) -> Self {
        let (name, value) = match self.0.names {
            Names::Nothing => return self,
            Names::Key => ("Key", key),
            Names::Bucket => ("BucketName", bucket),
            Names::Region => ("Region", Some(region)),
        };
        match value {
            Some(value) if !self.has_field(name) => self.field(name, value),
            _ => self,
        }
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

impl From<HeadError> for S3Error {
    fn from(error: HeadError) -> Self {
        match error {
            HeadError::UriTooLong { max } => {
                Self::new(Code::RequestURITooLong).field("MaxURILengthBytes", max.to_string())
            }
            HeadError::HeadersTooLarge { max } => {
                Self::new(Code::RequestHeaderSectionTooLarge).field("MaxSizeAllowed", max.get().to_string())
            }
            HeadError::Encoding => Self::unsupported_header("Transfer-Encoding"),
            HeadError::Framing | HeadError::Host(_) => Self::with(Code::InvalidRequest, error.to_string()),
        }
    }
}

impl From<BodyError> for S3Error {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::TooLarge { max } => Self::new(Code::MaxMessageLengthExceeded)
                .field("MaxMessageLengthBytes", max.get().to_string()),
            BodyError::Slow => Self::new(Code::RequestTimeout),
            BodyError::InTheWay => Self::with(Code::RequestTimeout, error.to_string()),
            BodyError::Crowded => Self::with(Code::SlowDown, error.to_string()).header(RETRY_AFTER, "1"),
            BodyError::Incomplete => Self::new(Code::IncompleteBody),
            BodyError::Unended => Self::with(Code::IncompleteBody, error.to_string()),
            BodyError::Chunk(error) => error.into(),
            BodyError::Signatures => Self::new(Code::AccessDenied),
            BodyError::Digest(error) => error.into(),
            BodyError::Internal(why) => Self::new(Code::InternalError).caused_by(&why),
        }
    }
}

impl From<DocumentError> for S3Error {
    fn from(error: DocumentError) -> Self {
        match error {
            DocumentError::Malformed(error) => error.into(),
            DocumentError::Rules(error) => error.into(),
        }
    }
}

impl From<ChunkError> for S3Error {
    fn from(error: ChunkError) -> Self {
        Self(Box::new(Inner {
            status: error.status(),
            code: error.code(),
            names: Names::Nothing,
            message: error.message().into(),
            fields: Vec::new(),
            headers: HeaderMap::new(),
            cause: Some(error.to_string()),
            denied: error == ChunkError::Signature,
        }))
    }
}

impl From<FormError> for S3Error {
    fn from(error: FormError) -> Self {
        Self(Box::new(Inner {
            status: error.status(),
            code: error.code(),
            names: Names::Nothing,
            message: error.message().into(),
            fields: error.fields(),
            headers: HeaderMap::new(),
            cause: Some(error.to_string()),
            denied: matches!(error, FormError::Denied(_)),
        }))
    }
}

impl From<AuthError> for S3Error {
    fn from(error: AuthError) -> Self {
        Self(Box::new(Inner {
            status: error.status(),
            code: error.code(),
            names: match error.kind() {
                AuthCode::AuthorizationHeaderMalformed => Names::Region,
                _ => Names::Nothing,
            },
            message: error.message().to_owned().into(),
            fields: error.fields().to_vec(),
            headers: HeaderMap::new(),
            cause: None,
            // Of what is no signature's, too, where texts are read that are encoded as URLs are.
            denied: !matches!(
                error.kind(),
                AuthCode::InvalidArgument
                    | AuthCode::InvalidRequest
                    | AuthCode::InvalidUri
                    | AuthCode::ServiceUnavailable
            ),
        }))
    }
}

const DELETE_MARKER: HeaderName = HeaderName::from_static("x-amz-delete-marker");
const VERSION_ID: HeaderName = HeaderName::from_static("x-amz-version-id");

impl From<objectstore::Error> for S3Error {
    fn from(error: objectstore::Error) -> Self {
        let code = code_of(&error);
        match message_of(&error) {
            Some(message) => Self::with(code, message),
            None => Self::new(code),
        }
        .telling(&error)
    }
}

/// The one code of each of the store's errors.
fn code_of(error: &objectstore::Error) -> Code {
    use objectstore::Error as E;
    match error {
        E::NoSuchBucket => Code::NoSuchBucket,
        E::NoSuchKey { .. } => Code::NoSuchKey,
        E::AccessDenied | E::ObjectLocked => Code::AccessDenied,
        E::KeyRefused { code, .. } => code_of_key(*code),
        E::AccessListsOff => Code::AccessControlListNotSupported,
        E::AccessListInTheWay => Code::InvalidBucketAclWithObjectOwnership,
        E::NoSuchVersion => Code::NoSuchVersion,
        E::NoSuchUpload => Code::NoSuchUpload,
        E::IsDeleteMarker { .. } => Code::MethodNotAllowed,
        E::BucketAlreadyOwnedByYou => Code::BucketAlreadyOwnedByYou,
        E::BucketAlreadyExists => Code::BucketAlreadyExists,
        E::BucketNotEmpty => Code::BucketNotEmpty,
        E::BucketBusy | E::Contended { .. } => Code::OperationAborted,
        E::TooManyBuckets { .. } => Code::TooManyBuckets,
        E::InvalidBucketName => Code::InvalidBucketName,
        E::KeyTooLong { .. } => Code::KeyTooLongError,
        E::InvalidVersionId | E::InvalidArgument { .. } | E::InvalidLifecycle { .. } => Code::InvalidArgument,
        E::InvalidRequest { .. }
        | E::InvalidSetting { .. }
        | E::PartWithoutChecksum { .. }
        | E::CopyOntoItself => Code::InvalidRequest,
        E::InvalidLogTarget { .. } => Code::InvalidTargetBucketForLogging,
        E::InvalidTag { .. } => Code::InvalidTag,
        E::InvalidBucketState { .. } => Code::InvalidBucketState,
        E::InvalidRetentionPeriod => Code::InvalidRetentionPeriod,
        E::QuotaExceeded { .. } => Code::QuotaExceeded,
        E::InvalidObjectState { .. } => Code::InvalidObjectState,
        E::RestoreInProgress => Code::RestoreAlreadyInProgress,
        E::NoExpeditedRestore => Code::GlacierExpeditedRetrievalNotAvailable,
        E::NoVault | E::VaultRefused { .. } => Code::ServiceUnavailable,
        E::TooManyRestores { .. } => Code::SlowDown,
        E::RestoredCopyGone => Code::InternalError,
        E::NoSuchQuota | E::NoSuchConfiguration | E::NoSuchRestoreJob => Code::NoSuchConfiguration,
        E::TooManyConfigurations { .. } | E::TooManyRestoreJobs { .. } => Code::TooManyConfigurations,
        E::MetadataTooLarge { .. } => Code::MetadataTooLarge,
        E::PreconditionFailed { .. } => Code::PreconditionFailed,
        E::NotModified { .. } => Code::NotModified,
        E::BadDigest | E::ChecksumMismatch { .. } => Code::BadDigest,
        E::IncompleteBody { .. } => Code::IncompleteBody,
        E::EntityTooLarge { .. } => Code::EntityTooLarge,
        E::EntityTooSmall { .. } => Code::EntityTooSmall,
        E::InvalidPartOrder => Code::InvalidPartOrder,
        // For a part to read AWS answers 416 `InvalidPartNumber`; Ceph's gateway and s3-tests this.
        E::InvalidPart { .. } | E::NoSuchPart { .. } => Code::InvalidPart,
        E::InvalidRange { .. } => Code::InvalidRange,
        E::Engine(error) => code_of_engine(error),
    }
}

/// S3's code for what a managed key did not do.
fn code_of_key(code: security::kms::Code) -> Code {
    use security::kms::Code as K;
    match code {
        K::AccessDenied | K::NotAuthorized => Code::AccessDenied,
        K::Disabled => Code::KmsDisabled,
        K::InvalidState => Code::KmsInvalidState,
        K::NotFound | K::InvalidArn => Code::KmsNotFound,
        K::InvalidKeyUsage => Code::KmsInvalidKeyUsage,
        K::InvalidCiphertext | K::IncorrectKey => Code::KmsInvalidCiphertext,
        K::LimitExceeded => Code::KmsLimitExceeded,
        K::Validation => Code::InvalidArgument,
        K::Throttling => Code::SlowDown,
        _ => Code::InternalError,
    }
}

/// The code of the appliance's own trouble.
fn code_of_engine(error: &engine::Error) -> Code {
    use engine::{Error as E, ErrorKind};
    match (error, error.kind()) {
        (E::Full { .. }, _) => Code::StorageFull,
        (_, ErrorKind::Conflict) => Code::OperationAborted,
        (
            E::Closed
            | E::Fenced { .. }
            | E::TooFewZones { .. }
            | E::ZoneAway { .. }
            | E::Remote { .. }
            | E::NoDescriptors { .. }
            | E::Io { .. },
            _,
        ) => Code::ServiceUnavailable,
        (_, ErrorKind::Unavailable | ErrorKind::Invalid | ErrorKind::NotFound | ErrorKind::Corrupt) => {
            Code::InternalError
        }
    }
}

/// The message, where the code's own says too little.
fn message_of(error: &objectstore::Error) -> Option<Cow<'static, str>> {
    use objectstore::Error as E;
    Some(match error {
        E::InvalidVersionId => "Invalid version id specified".into(),
        E::InvalidArgument { detail, .. }
        | E::InvalidRequest { detail }
        | E::InvalidTag { detail }
        | E::InvalidBucketState { detail } => (*detail).into(),
        E::ObjectLocked => "Access Denied because object protected by object lock.".into(),
        E::InvalidSetting { detail } | E::InvalidLifecycle { detail } => detail.clone().into(),
        E::KeyRefused { message, .. } if !message.is_empty() => message.clone().into(),
        E::InvalidObjectState { what } => of_cold(what).into(),
        E::VaultRefused { why } => format!("The vault does not do it now: {why}.").into(),
        E::TooManyRestores { limit } => {
            format!("The bucket has {limit} restores, as many as its vault takes: try again when some are there.").into()
        }
        E::NoSuchRestoreJob => "The bucket has no such restore job.".into(),
        E::TooManyRestoreJobs { limit } => {
            format!("The bucket has {limit} restore jobs under way: wait for one, or cancel one.").into()
        }
        E::NoVault => "Its bytes lie in a vault, and the appliance runs without any: set vault.enabled.".into(),
        E::QuotaExceeded { prefix, unit, limit } => {
            let of = if prefix.is_empty() { "the bucket".to_owned() } else { format!("the prefix {prefix}") };
            format!("The quota of {of}, {limit} {unit}, leaves no room for this write.").into()
        }
        E::CopyOntoItself => "This copy request is illegal because it is trying to copy an object to itself without \
                              changing the object's metadata, storage class, website redirect location or encryption \
                              attributes."
            .into(),
        E::PartWithoutChecksum { algorithm, part } => format!(
            "The upload was created using a {} checksum. The complete request must include the checksum for each part. It \
             was missing for part {part} in the request.",
            algorithm.as_str().to_ascii_lowercase()
        )
        .into(),
        E::ChecksumMismatch { algorithm } => {
            format!("The {algorithm} you specified did not match the calculated checksum.").into()
        }
        _ => return None,
    })
}

/// What stands against a read of what is archived, with the command that restores it.
fn of_cold(what: &objectstore::ColdObject) -> String {
    if !what.class.is_archived() {
        return "Restore is not allowed for the object's current storage class".to_owned();
    }
    if what.under_way {
        return "The operation is not valid for the object's storage class: its restore is under way."
            .to_owned();
    }
    let uri = format!("s3://{}/{}", what.bucket, what.key).replace('\'', "'\\''");
    let version = what.version.map(|version| format!(" --version-id {version}")).unwrap_or_default();
    format!(
        "The operation is not valid for the object's storage class. Restore it: firn restore '{uri}'{version} --tier standard --days 7"
    )
}

impl S3Error {
    /// Adds the elements and headers that S3 sends with an error of the store.
    fn telling(self, error: &objectstore::Error) -> Self {
        use objectstore::Error as E;
        match error {
            E::NoSuchKey { marker: Some(version) } => {
                self.header(DELETE_MARKER, "true").header(VERSION_ID, &version.to_string())
            }
            E::InvalidObjectState { what } => self.field("StorageClass", what.class.as_str()),
            E::NoSuchKey { marker: None } => self.header(DELETE_MARKER, "false"),
            E::IsDeleteMarker { version, modified } => self
                .header(http::header::ALLOW, "DELETE")
                .header(DELETE_MARKER, "true")
                .header(VERSION_ID, &version.to_string())
                .header(LAST_MODIFIED, &date::http(*modified)),
            E::KeyTooLong { size } => self
                .field("Size", size.to_string())
                .field("MaxSizeAllowed", objectstore::KEY_BYTES_MAX.to_string()),
            E::InvalidVersionId => self.field("ArgumentName", "versionId").field("ArgumentValue", ""),
            E::InvalidArgument { name, .. } => self.field("ArgumentName", *name).field("ArgumentValue", ""),
            E::MetadataTooLarge { size, limit } => {
                self.field("Size", size.to_string()).field("MaxSizeAllowed", limit.to_string())
            }
            E::InvalidLogTarget { target } => self.field("TargetBucket", target.as_str()),
            E::PreconditionFailed { header } => self.field("Condition", *header),
            E::NotModified { etag, modified, version } => {
                let answer =
                    self.header(ETAG, &format!("\"{etag}\"")).header(LAST_MODIFIED, &date::http(*modified));
                match version {
                    Some(version) => answer.header(VERSION_ID, &version.to_string()),
                    None => answer,
                }
            }
            E::IncompleteBody { announced, got } => self
                .field("NumberBytesExpected", announced.get().to_string())
                .field("NumberBytesProvided", got.get().to_string()),
            E::EntityTooLarge { size, limit } => self
                .field("ProposedSize", size.get().to_string())
                .field("MaxSizeAllowed", limit.get().to_string()),
            E::EntityTooSmall { part, size, etag } => self
                .field("ProposedSize", size.get().to_string())
                .field("MinSizeAllowed", objectstore::PART_BYTES_MIN.get().to_string())
                .field("PartNumber", part.to_string())
                .field("ETag", etag.to_string()),
            E::InvalidPart { part } => self.field("PartNumber", part.to_string()),
            E::NoSuchPart { part, parts } => self
                .field("PartNumberRequested", part.to_string())
                .field("ActualPartCount", parts.to_string()),
            E::InvalidRange { size } => self
                .field("ActualObjectSize", size.get().to_string())
                .header(http::header::CONTENT_RANGE, &format!("bytes */{}", size.get())),
            // Said honestly, without inner detail; the log has it.
            E::Engine(error) if code_of_engine(error) == Code::ServiceUnavailable => {
                self.caused_by(error).header(RETRY_AFTER, "1")
            }
            E::Engine(error) => self.caused_by(error),
            _ => self,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Code, S3Error};

    #[test]
    fn what_a_managed_key_refuses_has_the_code_that_kms_knows_for_s3() {
        use security::kms::Code as K;
        for code in [
            K::AccessDenied,
            K::Disabled,
            K::IncorrectKey,
            K::Internal,
            K::InvalidArn,
            K::InvalidCiphertext,
            K::InvalidKeyUsage,
            K::InvalidState,
            K::LimitExceeded,
            K::NotAuthorized,
            K::NotFound,
            K::Throttling,
            K::Unsupported,
            K::Validation,
        ] {
            let error = S3Error::from(objectstore::Error::KeyRefused { code, message: "why".to_owned() });
            let wanted = code.of_s3().unwrap_or("InternalError");
            assert_eq!((error.code(), error.message()), (wanted, "why"), "{code}");
            assert_eq!(error.status() == 403, wanted == "AccessDenied");
        }
    }

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
        let unset = S3Error::new(Code::ReplicationConfigurationNotFoundError);
        let unset = unset.about(Some("b"), Some("k"), "us-east-1").document("/b", "", "");
        assert!(unset.contains("<BucketName>b</BucketName>") && !unset.contains("<Key>"), "{unset}");
        let other = S3Error::new(Code::InvalidRange).about(Some("b"), Some("k"), "us-east-1");
        let other = other.document("/b/k", "", "");
        assert!(!other.contains("<BucketName>") && !other.contains("<Key>"), "{other}");
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
    fn a_part_without_its_checksum_is_named() {
        let (algorithm, part) =
            (objectstore::ChecksumAlgorithm::Crc32C, objectstore::PartNumber::new(7).unwrap());
        let error = S3Error::from(objectstore::Error::PartWithoutChecksum { algorithm, part });
        assert_eq!((error.status().as_u16(), error.code()), (400, "InvalidRequest"));
        let message = error.message();
        assert!(message.contains(" crc32c checksum") && message.contains("for part 7 in"), "{message}");
    }

    #[test]
    fn a_full_quota_is_named_and_no_client_tries_it_again() {
        let error = |prefix: &str| {
            S3Error::from(objectstore::Error::QuotaExceeded {
                prefix: prefix.to_owned(),
                unit: objectstore::QuotaUnit::Bytes,
                limit: 1024,
            })
        };
        assert_eq!((error("").status().as_u16(), error("").code()), (403, "QuotaExceeded"));
        assert!(error("").message().contains("of the bucket, 1024 bytes"), "{:?}", error(""));
        assert!(error("a/").message().contains("of the prefix a/, 1024 bytes"), "{:?}", error("a/"));
        assert!(
            error("").about(Some("b"), Some("k"), "r").document("/b/k", "", "").contains("<BucketName>b<")
        );
    }

    #[test]
    fn a_full_disk_and_a_corrupt_one_are_said_without_inner_detail() {
        let full = engine::Error::Full { place: "/data".to_owned(), wanted: 1 };
        let error = S3Error::from(objectstore::Error::Engine(full));
        assert_eq!((error.status().as_u16(), error.code()), (507, "StorageFull"));
        assert!(
            !error.message().contains("/data") && error.cause().is_some_and(|cause| cause.contains("/data"))
        );
        let away = engine::Error::Remote { op: "read", place: "s3://b".to_owned(), reason: "no".to_owned() };
        let error = S3Error::from(objectstore::Error::Engine(away));
        assert_eq!((error.status().as_u16(), error.code()), (503, "ServiceUnavailable"));
        assert!(!error.message().contains("s3://b"), "{}", error.message());
        let refused = |errno: i32| {
            let source = std::io::Error::from_raw_os_error(errno);
            S3Error::from(objectstore::Error::Engine(engine::Error::io("open", "/data", source)))
        };
        // EIO, EMFILE, ENOENT.
        for error in [refused(5), refused(24), refused(2)] {
            assert_eq!((error.status().as_u16(), error.code()), (503, "ServiceUnavailable"));
            assert!(error.headers().contains_key("retry-after") && !error.message().contains("/data"));
        }
        let corrupt = engine::Error::Corrupt { what: "blob".to_owned(), detail: "tag".to_owned() };
        let error = S3Error::from(objectstore::Error::Engine(corrupt));
        assert_eq!((error.status().as_u16(), error.code()), (500, "InternalError"));
    }
}
