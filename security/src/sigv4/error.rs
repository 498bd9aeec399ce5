//! Why a request was refused, in S3's own words.

use http::StatusCode;
use std::borrow::Cow;
use std::fmt;

/// S3's code of a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AuthCode {
    /// Expired, not yet valid, headers left unsigned, no valid date.
    AccessDenied,
    /// The session that signed is over.
    ExpiredToken,
    /// The `Authorization` header can't be read or names another region, service or day.
    AuthorizationHeaderMalformed,
    /// The same of a presigned URL.
    AuthorizationQueryParametersError,
    /// No such access key.
    InvalidAccessKeyId,
    /// An argument with an impossible value.
    InvalidArgument,
    /// A request that can't be meant.
    InvalidRequest,
    /// A session token that belongs to no such session.
    InvalidToken,
    /// A path or query that is not percent-encoded text.
    InvalidUri,
    /// More than the allowed skew between the client's clock and ours.
    RequestTimeTooSkewed,
    /// Signed with another secret, or changed on the way.
    SignatureDoesNotMatch,
    /// Who signed could not be found out now.
    ServiceUnavailable,
    /// The body's SHA-256 is not the one that was signed.
    XAmzContentSha256Mismatch,
}

impl AuthCode {
    /// As the error document has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AccessDenied => "AccessDenied",
            Self::ExpiredToken => "ExpiredToken",
            Self::AuthorizationHeaderMalformed => "AuthorizationHeaderMalformed",
            Self::AuthorizationQueryParametersError => "AuthorizationQueryParametersError",
            Self::InvalidAccessKeyId => "InvalidAccessKeyId",
            Self::InvalidArgument => "InvalidArgument",
            Self::InvalidRequest => "InvalidRequest",
            Self::InvalidToken => "InvalidToken",
            Self::InvalidUri => "InvalidURI",
            Self::RequestTimeTooSkewed => "RequestTimeTooSkewed",
            Self::ServiceUnavailable => "ServiceUnavailable",
            Self::SignatureDoesNotMatch => "SignatureDoesNotMatch",
            Self::XAmzContentSha256Mismatch => "XAmzContentSHA256Mismatch",
        }
    }

    /// The HTTP status that goes with it.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::AccessDenied
            | Self::InvalidAccessKeyId
            | Self::RequestTimeTooSkewed
            | Self::SignatureDoesNotMatch => StatusCode::FORBIDDEN,
            Self::ServiceUnavailable => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}

/// A refused request: code, message, and the further elements that S3's error document carries.
#[derive(Clone, PartialEq, Eq)]
pub struct AuthError(Box<Inner>);

#[derive(Clone, PartialEq, Eq)]
struct Inner {
    code: AuthCode,
    status: StatusCode,
    message: Cow<'static, str>,
    fields: Vec<(&'static str, String)>,
}

impl AuthError {
    /// A refusal without further elements.
    pub(crate) fn new(code: AuthCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner { code, status: code.status(), message: message.into(), fields: Vec::new() }))
    }

    /// Who signed could not be found out.
    pub(crate) fn unavailable(error: &crate::Error) -> Self {
        tracing::error!(%error, "failed to read who signed a request");
        Self::new(AuthCode::ServiceUnavailable, "Service is unable to handle request.")
    }

    /// The same with 403, where S3's code goes with 400: nobody may use what it refuses.
    #[must_use]
    pub(crate) fn forbidden(mut self) -> Self {
        self.0.status = StatusCode::FORBIDDEN;
        self
    }

    /// Adds an element to the error document.
    #[must_use]
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.0.fields.push((name, value.into()));
        self
    }

    /// What the web layer answers when a body's SHA-256 is not the signed one.
    pub fn content_sha256_mismatch(signed: &[u8; 32], computed: &[u8; 32]) -> Self {
        let message = "The provided 'x-amz-content-sha256' header does not match what was computed.";
        Self::new(AuthCode::XAmzContentSha256Mismatch, message)
            .with("ClientComputedContentSHA256", hex::encode(signed))
            .with("S3ComputedContentSHA256", hex::encode(computed))
    }

    /// S3's code, typed.
    pub fn kind(&self) -> AuthCode {
        self.0.code
    }

    /// S3's code: `SignatureDoesNotMatch`.
    pub fn code(&self) -> &'static str {
        self.0.code.as_str()
    }

    /// S3's message.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// Further elements of the error document, in order: name and text (not yet escaped for XML).
    pub fn fields(&self) -> &[(&'static str, String)] {
        &self.0.fields
    }
}

impl fmt::Display for AuthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "authenticate the request: {}: {}", self.code(), self.message())
    }
}

impl fmt::Debug for AuthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AuthError({}: {})", self.code(), self.message())
    }
}

impl std::error::Error for AuthError {}
