//! The client's one error type.
//!
//! Text is a lowercase fragment that reads well after "failed to …"; [`Error::kind`] says what the caller should do.

use std::time::Duration;

/// The client's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What the caller should do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The bucket, key, version or upload does not exist: report it.
    NotFound,
    /// The credentials are missing, wrong or not allowed to do this: fix them.
    Denied,
    /// Something else changed first, or exists already: look again and decide.
    Conflict,
    /// The bytes are in an archive class: ask for a restore first.
    Archived,
    /// The bytes that came back are not those that were stored: never use them.
    Integrity,
    /// The request or the settings can't work as given: fix them.
    Invalid,
    /// The endpoint can't be reached or can't answer now, retries included: try later.
    Unavailable,
}

/// An error answer of the endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceError {
    /// What was asked, in the API's word: `GetObject`.
    pub operation: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// S3's code: `NoSuchKey`. For answers without a body (HEAD), the code that the status stands for.
    pub code: String,
    /// The endpoint's text for people.
    pub message: String,
    /// The endpoint's id of the request, for its log; empty when it gave none.
    pub request_id: String,
    /// Whether it came in S3's form, and not as a status alone.
    pub is_document: bool,
    /// The bucket that was asked about, if one was.
    pub bucket: Option<String>,
    /// The id of the access key that signed; none where nobody did.
    pub signed_by: Option<String>,
}

/// What is wrong with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// None can be made: nobody listens there, the name is unknown, the network is down. Try later, or elsewhere.
    Unreachable,
    /// It broke before the answer was whole. Try again.
    Broken,
    /// The server's certificate is not believed. Trying again does not help.
    Untrusted,
    /// The server does not speak TLS, and was asked in it. Trying again does not help.
    NoTls,
    /// What came back is no HTTP, as from a server that speaks TLS alone. Trying again does not help.
    NoHttp,
}

/// What can go wrong between here and the endpoint.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The endpoint answered with an error.
    #[error("{}: {} ({}{})", .0.operation, .0.message, .0.code, request_suffix(&.0.request_id))]
    Service(Box<ServiceError>),
    /// The connection could not be made or broke, and retries did not help.
    #[error("{operation}: reach {endpoint}: {detail}")]
    Transport {
        /// What was asked.
        operation: &'static str,
        /// The endpoint's address.
        endpoint: String,
        /// What kind of failure it is.
        trouble: Trouble,
        /// The causes, outermost first.
        detail: String,
    },
    /// No answer in time, and retries did not help.
    #[error("{operation}: no answer from {endpoint} within {} s", after.as_secs())]
    Timeout {
        /// What was asked.
        operation: &'static str,
        /// The endpoint's address.
        endpoint: String,
        /// How long the last attempt waited.
        after: Duration,
    },
    /// The answer is not what S3 answers.
    #[error("{operation}: understand the answer: {detail}")]
    Protocol {
        /// What was asked.
        operation: &'static str,
        /// What is wrong with it.
        detail: String,
    },
    /// Bytes do not match their checksum.
    #[error("verify {what}: {detail}")]
    Integrity {
        /// Which object or part.
        what: String,
        /// What did not match.
        detail: String,
    },
    /// Settings, credentials or arguments that can't work.
    #[error("{0}")]
    Invalid(String),
}

fn request_suffix(request_id: &str) -> String {
    if request_id.is_empty() { String::new() } else { format!(", request {request_id}") }
}

impl Error {
    /// What the caller should do.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Service(error) => service_kind(error),
            Self::Transport { .. } | Self::Timeout { .. } => ErrorKind::Unavailable,
            Self::Protocol { .. } | Self::Invalid(_) => ErrorKind::Invalid,
            Self::Integrity { .. } => ErrorKind::Integrity,
        }
    }

    /// What was asked, where something was.
    pub fn operation(&self) -> Option<&'static str> {
        match self {
            Self::Service(error) => Some(error.operation),
            Self::Transport { operation, .. }
            | Self::Timeout { operation, .. }
            | Self::Protocol { operation, .. } => Some(operation),
            Self::Integrity { .. } | Self::Invalid(_) => None,
        }
    }

    /// Whether nobody could be reached at all, so that every other call fails like this one.
    pub const fn is_unreachable(&self) -> bool {
        matches!(self, Self::Transport { trouble: Trouble::Unreachable, .. })
    }

    /// Whether there was no answer: the connection could not be made, broke, or nothing came in time.
    pub const fn is_unanswered(&self) -> bool {
        matches!(self, Self::Transport { .. } | Self::Timeout { .. })
    }

    /// S3's code, when the endpoint gave one.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Service(error) => Some(&error.code),
            _ => None,
        }
    }
}

fn service_kind(error: &ServiceError) -> ErrorKind {
    match error.code.as_str() {
        "InvalidObjectState" => ErrorKind::Archived,
        "BadDigest" | "InvalidDigest" | "XAmzContentSHA256Mismatch" | "XAmzContentChecksumMismatch" => {
            ErrorKind::Integrity
        }
        "BucketNotEmpty"
        | "RestoreAlreadyInProgress"
        | "AlreadyExistsException"
        | "KMSInvalidStateException" => ErrorKind::Conflict,
        // Asking again is of no use.
        "NotImplemented" => ErrorKind::Invalid,
        // Services that speak JSON say all of theirs with 400.
        "AccessDeniedException"
        | "ExpiredTokenException"
        | "IncompleteSignatureException"
        | "InvalidSignatureException"
        | "MissingAuthenticationTokenException"
        | "UnrecognizedClientException" => ErrorKind::Denied,
        "ThrottlingException" => ErrorKind::Unavailable,
        code if code.ends_with("NotFoundException") => ErrorKind::NotFound,
        _ => match error.status {
            404 | 410 => ErrorKind::NotFound,
            401 | 403 => ErrorKind::Denied,
            409 | 412 => ErrorKind::Conflict,
            429 | 500..=599 => ErrorKind::Unavailable,
            _ => ErrorKind::Invalid,
        },
    }
}

/// The code that stands for a status when the answer has no body.
pub(crate) fn code_of_status(operation: &str, status: u16) -> &'static str {
    match status {
        304 => "NotModified",
        400 => "BadRequest",
        401 => "Unauthorized",
        403 => "AccessDenied",
        404 if operation.contains("Bucket") => "NoSuchBucket",
        404 => "NoSuchKey",
        405 => "MethodNotAllowed",
        409 => "Conflict",
        412 => "PreconditionFailed",
        416 => "InvalidRange",
        429 | 503 => "SlowDown",
        500 => "InternalError",
        301 | 307 => "PermanentRedirect",
        _ => "Unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::{Error, ErrorKind, ServiceError};

    fn service(status: u16, code: &str) -> Error {
        Error::Service(Box::new(ServiceError {
            operation: "GetObject",
            status,
            code: code.to_owned(),
            message: "the text".to_owned(),
            request_id: "R1".to_owned(),
            is_document: true,
            ..ServiceError::default()
        }))
    }

    #[test]
    fn kinds_follow_code_then_status() {
        for (status, code, kind) in [
            (404, "NoSuchKey", ErrorKind::NotFound),
            (403, "AccessDenied", ErrorKind::Denied),
            (403, "InvalidObjectState", ErrorKind::Archived),
            (400, "BadDigest", ErrorKind::Integrity),
            (409, "BucketNotEmpty", ErrorKind::Conflict),
            (412, "PreconditionFailed", ErrorKind::Conflict),
            (400, "InvalidArgument", ErrorKind::Invalid),
            (503, "SlowDown", ErrorKind::Unavailable),
            (501, "NotImplemented", ErrorKind::Invalid),
        ] {
            assert_eq!(service(status, code).kind(), kind, "{status} {code}");
        }
    }

    #[test]
    fn text_names_operation_code_and_request() {
        assert_eq!(service(404, "NoSuchKey").to_string(), "GetObject: the text (NoSuchKey, request R1)");
    }
}
