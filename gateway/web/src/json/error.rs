//! What a client of the JSON protocol is told when it does not get what it asked for.

use crate::audit;
use crate::failure::{Failed, Trouble};
use crate::http::{BodyError, HeadError};
use crate::marker::MarkerError;
use http::StatusCode;
use security::audit::{AuditError, Code as AuditCode};
use security::kms::{Code, KmsError};
use security::sigv4::{AuthCode, AuthError};
use std::borrow::Cow;
use std::fmt;

/// A refusal on its way to the client.
pub(crate) struct JsonError(Box<Inner>);

struct Inner {
    status: StatusCode,
    code: &'static str,
    message: Cow<'static, str>,
    /// For the log alone: what the client is not told.
    cause: Option<String>,
    trouble: Trouble,
    /// For want of a right, or of a good signature.
    denied: bool,
}

/// What is told who has no right.
const DENIED: &str = "AccessDeniedException";

impl JsonError {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        let (denied, message) = (code == DENIED, message.into());
        Self(Box::new(Inner { status, code, message, cause: None, trouble: Trouble::Own, denied }))
    }

    pub(crate) fn bad(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    /// The body is not what it has to be.
    pub(crate) fn serialization(message: impl Into<Cow<'static, str>>) -> Self {
        Self::bad("SerializationException", message)
    }

    /// Values that the operation's model does not allow; `failures` as AWS words them.
    pub(crate) fn validation(failures: &[String]) -> Self {
        let (count, plural) = (failures.len(), if failures.len() == 1 { "" } else { "s" });
        let message = format!("{count} validation error{plural} detected: {}", failures.join("; "));
        Self::bad("ValidationException", message)
    }

    /// There is no such operation.
    pub(crate) fn unknown_operation() -> Self {
        Self::bad("UnknownOperationException", "")
    }

    /// The operation is in AWS's model, and not here.
    pub(crate) fn unsupported(operation: &str, why: &str) -> Self {
        Self::bad("UnsupportedOperationException", format!("{operation} is not there: {why}"))
    }

    /// Nobody signed.
    pub(crate) fn unsigned() -> Self {
        Self::bad("MissingAuthenticationTokenException", "Missing Authentication Token").denied()
    }

    /// It broke off.
    pub(crate) fn broken() -> Self {
        let message = "The request could not be processed. Try again.";
        let mut failed = Self::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalFailure", message);
        failed.0.cause = Some("it panicked".to_owned());
        failed
    }

    fn denied(mut self) -> Self {
        self.0.denied = true;
        self
    }

    /// Whether it is refused for want of a right, or of a good signature.
    pub(crate) fn is_denial(&self) -> bool {
        self.0.denied
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

    /// What was done, or not, has no record.
    pub(crate) fn unrecorded(trouble: Trouble) -> Self {
        let mut refused =
            Self::new(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailableException", audit::UNRECORDED);
        refused.0.trouble = trouble;
        refused.0.cause = Some(audit::UNRECORDED_CAUSE.to_owned());
        refused
    }

    /// What of it is logged.
    pub(crate) fn failed(&self) -> Failed<'_> {
        let Inner { status, code, ref cause, trouble, .. } = *self.0;
        Failed { status, code, cause: cause.as_deref(), trouble }
    }
}

impl fmt::Debug for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JsonError({} {}: {})", self.status().as_u16(), self.code(), self.message())
    }
}

impl From<AuthError> for JsonError {
    fn from(error: AuthError) -> Self {
        let code = match error.kind() {
            AuthCode::InvalidAccessKeyId | AuthCode::InvalidToken => {
                let message = "The security token included in the request is invalid.";
                return Self::bad("UnrecognizedClientException", message).denied();
            }
            AuthCode::ExpiredToken => {
                let message = "The security token included in the request is expired";
                return Self::bad("ExpiredTokenException", message).denied();
            }
            AuthCode::ServiceUnavailable => {
                let message = error.message().to_owned();
                return Self::new(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailableException", message);
            }
            AuthCode::SignatureDoesNotMatch | AuthCode::RequestTimeTooSkewed | AuthCode::AccessDenied => {
                "InvalidSignatureException"
            }
            _ => "IncompleteSignatureException",
        };
        Self::bad(code, error.message().to_owned()).denied()
    }
}

/// KMS gives all that is its client's doing 400.
impl From<KmsError> for JsonError {
    fn from(error: KmsError) -> Self {
        let status = match error.code {
            Code::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Code::DependencyTimeout => StatusCode::SERVICE_UNAVAILABLE,
            Code::DryRun => StatusCode::PRECONDITION_FAILED,
            _ => StatusCode::BAD_REQUEST,
        };
        let mut refused = Self::new(status, error.code.as_str(), error.message);
        refused.0.trouble = Trouble::of_cause(error.cause.as_ref());
        refused.0.cause = error.cause.map(|cause| cause.to_string());
        refused
    }
}

/// `CloudTrail` gives its client's doing 400, too.
impl From<AuditError> for JsonError {
    fn from(error: AuditError) -> Self {
        let status = match error.code {
            AuditCode::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::BAD_REQUEST,
        };
        let mut refused = Self::new(status, error.code.as_str(), error.message);
        refused.0.trouble = Trouble::of_cause(error.cause.as_ref());
        refused.0.cause = error.cause.map(|cause| cause.to_string());
        refused
    }
}

impl From<HeadError> for JsonError {
    fn from(error: HeadError) -> Self {
        let (status, code) = error.told();
        Self::new(status, code, error.to_string())
    }
}

impl From<BodyError> for JsonError {
    fn from(error: BodyError) -> Self {
        let told = error.to_string();
        match error {
            BodyError::TooLarge { .. } => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", told)
            }
            BodyError::Slow | BodyError::InTheWay => Self::bad("RequestTimeout", told),
            BodyError::Crowded => {
                let mut refused = Self::new(StatusCode::SERVICE_UNAVAILABLE, "ThrottlingException", told);
                refused.0.trouble = Trouble::Crowded;
                refused
            }
            BodyError::Incomplete | BodyError::Unended | BodyError::Chunk(_) | BodyError::Signatures => {
                Self::bad("IncompleteBody", told)
            }
            BodyError::Digest(error) => error.into(),
            BodyError::Internal(why) => {
                let mut failed = Self::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalFailure", told);
                failed.0.cause = Some(why.to_owned());
                failed
            }
        }
    }
}

impl From<MarkerError> for JsonError {
    fn from(error: MarkerError) -> Self {
        match error {
            MarkerError::Refused => {
                Self::bad("InvalidMarkerException", "The marker is none that this operation has given.")
            }
            MarkerError::Unsealed(why) => {
                let message = "The request could not be processed. Try again.";
                let status = StatusCode::INTERNAL_SERVER_ERROR;
                let mut failed = Self::new(status, "KMSInternalException", message);
                failed.0.cause = Some(why.to_owned());
                failed
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::JsonError;
    use crate::marker::MarkerError;

    #[test]
    fn a_marker_that_can_not_be_sealed_says_why_in_the_log_alone() {
        let error = JsonError::from(MarkerError::Unsealed("no reason"));
        assert_eq!((error.code(), error.failed().cause), ("KMSInternalException", Some("no reason")));
        assert!(!error.message().contains("reason"), "{}", error.message());
        assert_eq!(JsonError::from(MarkerError::Refused).code(), "InvalidMarkerException");
    }
}
