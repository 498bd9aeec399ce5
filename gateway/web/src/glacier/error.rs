//! Errors as Glacier has them: `{"code": …, "message": …, "type": "Client"}`.

use crate::audit;
use crate::failure::{Failed, Trouble};
use crate::http::{BodyError, HeadError};
use archive::lock::{LockError, LockErrorCode};
use archive::retrieval::Refused;
use archive::vault;
use engine::ErrorKind;
use http::StatusCode;
use security::sigv4::{AuthCode, AuthError};
use std::fmt;

/// An error on its way to the client.
#[derive(Debug)]
pub(crate) struct GlacierError {
    pub(super) status: StatusCode,
    pub(super) code: &'static str,
    pub(super) message: String,
    /// For the log alone.
    cause: Option<String>,
    trouble: Trouble,
    /// For want of a right, or of a good signature.
    denied: bool,
}

/// What is told who has no right.
const DENIED: &str = "AccessDeniedException";

impl GlacierError {
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        let (denied, message) = (code == DENIED, message.into());
        Self { status, code, message, cause: None, trouble: Trouble::Own, denied }
    }

    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "InvalidParameterValueException", message)
    }

    pub(super) fn missing(name: &str) -> Self {
        let message = format!("Required parameter missing: {name}");
        Self::new(StatusCode::BAD_REQUEST, "MissingParameterValueException", message)
    }

    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "ResourceNotFoundException", message)
    }

    pub(super) fn denied(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, DENIED, message)
    }

    pub(super) fn unavailable(cause: &dyn fmt::Display) -> Self {
        let message = "The service is unavailable now. Try again later.";
        let error = Self::new(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailableException", message);
        Self { cause: Some(cause.to_string()), ..error }
    }

    /// Whether it is refused for want of a right, or of a good signature.
    pub(super) fn is_denial(&self) -> bool {
        self.denied
    }

    pub(super) fn internal(cause: &dyn fmt::Display) -> Self {
        let message = "The request could not be answered for an internal reason.";
        let error = Self::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError", message);
        Self { cause: Some(cause.to_string()), ..error }
    }

    fn troubled(self, trouble: Trouble) -> Self {
        Self { trouble, ..self }
    }

    /// What was done, or not, has no record.
    pub(super) fn unrecorded(trouble: Trouble) -> Self {
        let told =
            Self::new(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailableException", audit::UNRECORDED);
        Self { cause: Some(audit::UNRECORDED_CAUSE.to_owned()), ..told.troubled(trouble) }
    }

    /// What of it is logged.
    pub(crate) fn failed(&self) -> Failed<'_> {
        Failed { status: self.status, code: self.code, cause: self.cause.as_deref(), trouble: self.trouble }
    }

    pub(super) fn document(&self) -> String {
        let kind = if self.status.is_server_error() { "Server" } else { "Client" };
        serde_json::json!({"code": self.code, "message": self.message, "type": kind}).to_string()
    }
}

impl From<HeadError> for GlacierError {
    fn from(error: HeadError) -> Self {
        match error {
            HeadError::UriTooLong { .. }
            | HeadError::HeadersTooLarge { .. }
            | HeadError::Encoding
            | HeadError::Framing
            | HeadError::Host(_) => Self::invalid(error.to_string()),
        }
    }
}

impl From<BodyError> for GlacierError {
    fn from(error: BodyError) -> Self {
        let told = error.to_string();
        match error {
            BodyError::Slow | BodyError::InTheWay => {
                Self::new(StatusCode::REQUEST_TIMEOUT, "RequestTimeoutException", told)
            }
            BodyError::Crowded => Self::unavailable(&told).troubled(Trouble::Crowded),
            BodyError::TooLarge { .. }
            | BodyError::Incomplete
            | BodyError::Unended
            | BodyError::Chunk(_)
            | BodyError::Signatures => Self::invalid(told),
            BodyError::Digest(_) => Self { denied: true, ..Self::invalid(told) },
            BodyError::Internal(why) => Self::internal(&why),
        }
    }
}

impl From<AuthError> for GlacierError {
    fn from(error: AuthError) -> Self {
        let code = match error.kind() {
            AuthCode::InvalidAccessKeyId | AuthCode::InvalidToken => "UnrecognizedClientException",
            AuthCode::ExpiredToken => "ExpiredTokenException",
            AuthCode::SignatureDoesNotMatch => "InvalidSignatureException",
            AuthCode::ServiceUnavailable => return Self::unavailable(&error.message()),
            _ => DENIED,
        };
        Self { denied: true, ..Self::new(StatusCode::FORBIDDEN, code, error.message()) }
    }
}

impl From<vault::Error> for GlacierError {
    fn from(error: vault::Error) -> Self {
        use vault::Error;
        let text = error.to_string();
        match error {
            Error::NotFound { what, id } => {
                let what = if what == "vault" { "Vault" } else { what };
                Self::not_found(format!("{what} not found for ID: {id}"))
            }
            Error::Invalid(_) | Error::Mismatch { .. } | Error::NotEmpty | Error::NotReady { .. } => {
                Self::invalid(text)
            }
            Error::TooMany { .. } => Self::new(StatusCode::BAD_REQUEST, "LimitExceededException", text),
            Error::Kept(_) => Self::denied(text),
            Error::Lock(error) => of_lock(&error, text),
            Error::Refused(refused) => of_refused(&refused, text),
            Error::Contended { .. } => Self::unavailable(&text).troubled(Trouble::Crowded),
            Error::Engine(error) => {
                let unavailable = error.kind() == ErrorKind::Unavailable;
                let told = if unavailable { Self::unavailable(&error) } else { Self::internal(&error) };
                told.troubled(Trouble::of(&error))
            }
        }
    }
}

fn of_lock(error: &LockError, text: String) -> GlacierError {
    match error.code() {
        LockErrorCode::AccessDenied => GlacierError::denied(text),
        LockErrorCode::InvalidParameterValue => GlacierError::invalid(text),
        LockErrorCode::MissingParameterValue => {
            GlacierError::new(StatusCode::BAD_REQUEST, "MissingParameterValueException", text)
        }
        LockErrorCode::ResourceNotFound => GlacierError::not_found(text),
    }
}

fn of_refused(refused: &Refused, text: String) -> GlacierError {
    let (status, code) = match refused {
        Refused::InsufficientCapacity => (StatusCode::SERVICE_UNAVAILABLE, "InsufficientCapacityException"),
        Refused::PolicyEnforced { .. } => (StatusCode::BAD_REQUEST, "PolicyEnforcedException"),
        Refused::Invalid(_) => (StatusCode::BAD_REQUEST, "InvalidParameterValueException"),
        Refused::LimitExceeded { .. } => (StatusCode::BAD_REQUEST, "LimitExceededException"),
        Refused::NotFound { .. } => (StatusCode::NOT_FOUND, "ResourceNotFoundException"),
    };
    // Whoever finds no capacity for an expedited job is told so for what others do.
    GlacierError::new(status, code, text).troubled(Trouble::Crowded)
}
