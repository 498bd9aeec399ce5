//! What a client of the query protocol is told when it does not get what it asked for: the one place where errors of the core, of
//! signatures and of bodies become the protocol's.

use crate::audit;
use crate::failure::{Failed, Trouble};
use crate::http::{BodyError, HeadError};
use crate::marker::MarkerError;
use engine::unit::ByteCount;
use http::StatusCode;
use security::identity::{Code, IdentityError};
use security::sigv4::{AuthCode, AuthError};
use std::borrow::Cow;
use std::fmt;

/// A refusal on its way to the client.
pub(crate) struct QueryError(Box<Inner>);

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
const DENIED: &str = "AccessDenied";

impl QueryError {
    /// A code with its status.
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        let (denied, message) = (code == DENIED, message.into());
        Self(Box::new(Inner { status, code, message, cause: None, trouble: Trouble::Own, denied }))
    }

    fn bad(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    /// The parameters can't be read at all.
    pub(crate) fn malformed(message: impl Into<Cow<'static, str>>) -> Self {
        // AWS gives this one 404.
        Self::new(StatusCode::NOT_FOUND, "MalformedQueryString", message)
    }

    /// A parameter of the request is of no use here.
    pub(crate) fn parameter(message: impl Into<Cow<'static, str>>) -> Self {
        Self::bad("InvalidQueryParameter", message)
    }

    /// A parameter that its operation does not have.
    pub(crate) fn unknown_parameter(name: &str, operation: &str) -> Self {
        let name: String = name.chars().take(100).collect();
        Self::parameter(format!("{operation} has no parameter {name}, or it can't stand beside the others."))
    }

    /// A value that the operation's model does not allow; `failures` as AWS words them.
    pub(crate) fn validation(failures: &[String]) -> Self {
        let (count, plural) = (failures.len(), if failures.len() == 1 { "" } else { "s" });
        Self::bad(
            "ValidationError",
            format!("{count} validation error{plural} detected: {}", failures.join("; ")),
        )
    }

    /// A number or a truth that is none.
    pub(crate) fn malformed_input(message: impl Into<Cow<'static, str>>) -> Self {
        Self::bad("MalformedInput", message)
    }

    /// A value that is of its form and can't be meant.
    pub(crate) fn invalid_input(message: impl Into<Cow<'static, str>>) -> Self {
        Self::bad("InvalidInput", message)
    }

    /// There is no such operation.
    pub(crate) fn no_action(action: &str, version: Option<&str>) -> Self {
        let shown = |text: &str| text.chars().take(100).collect::<String>();
        let (action, version) = (shown(action), shown(version.unwrap_or("NO_VERSION_SPECIFIED")));
        Self::bad("InvalidAction", format!("Could not find operation {action} for version {version}"))
    }

    /// The request says not what it wants.
    pub(crate) fn missing_action() -> Self {
        Self::bad("MissingAction", "The request is missing an action or a required parameter: Action.")
    }

    /// The operation is there, and not here.
    pub(crate) fn not_implemented(operation: &str, why: &str) -> Self {
        Self::new(StatusCode::NOT_IMPLEMENTED, "NotImplemented", format!("{operation} is not there: {why}"))
    }

    /// Nobody signed.
    pub(crate) fn unsigned() -> Self {
        let message = "Request is missing Authentication Token";
        let mut refused = Self::new(StatusCode::FORBIDDEN, "MissingAuthenticationToken", message);
        refused.0.denied = true;
        refused
    }

    /// Whether it is refused for want of a right, or of a good signature.
    pub(crate) fn is_denial(&self) -> bool {
        self.0.denied
    }

    /// Who asks may not.
    pub(crate) fn denied(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::FORBIDDEN, DENIED, message)
    }

    /// The method is none of the protocol's.
    pub(crate) fn method() -> Self {
        let message = "The query protocol is spoken by POST and GET, at the path / alone.";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message)
    }

    /// The body is no form.
    pub(crate) fn content_type() -> Self {
        let message = "The body of a POST is application/x-www-form-urlencoded, in UTF-8.";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UnsupportedMediaType", message)
    }

    /// The body is too long.
    pub(crate) fn too_large(limit: ByteCount) -> Self {
        let message = format!("A request's body has at most {} bytes.", limit.get());
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", message)
    }

    /// The appliance failed.
    pub(crate) fn internal(cause: &dyn fmt::Display) -> Self {
        let message = "The request processing has failed because of an unknown error, exception or failure.";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalFailure", message).caused_by(cause)
    }

    pub(crate) fn caused_by(mut self, cause: &dyn fmt::Display) -> Self {
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

    /// What was done, or not, has no record.
    pub(crate) fn unrecorded(trouble: Trouble) -> Self {
        let mut refused = Self::new(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", audit::UNRECORDED);
        refused.0.trouble = trouble;
        refused.0.cause = Some(audit::UNRECORDED_CAUSE.to_owned());
        refused
    }

    /// What of it is logged.
    pub(crate) fn failed(&self) -> Failed<'_> {
        let Inner { status, code, ref cause, trouble, .. } = *self.0;
        Failed { status, code, cause: cause.as_deref(), trouble }
    }

    /// Whose fault it is, as the document has it.
    pub(crate) fn fault(&self) -> &'static str {
        if self.0.status.is_server_error() && self.0.status != StatusCode::NOT_IMPLEMENTED {
            "Receiver"
        } else {
            "Sender"
        }
    }
}

impl fmt::Debug for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "QueryError({} {}: {})", self.status().as_u16(), self.code(), self.message())
    }
}

/// The codes of "Common errors" of the API references: S3 has words of its own.
impl From<AuthError> for QueryError {
    fn from(error: AuthError) -> Self {
        let (status, code) = match error.kind() {
            AuthCode::InvalidAccessKeyId | AuthCode::InvalidToken => {
                (StatusCode::FORBIDDEN, "InvalidClientTokenId")
            }
            // Expired, not yet valid, or with headers left unsigned: it is not signed as it has to be.
            AuthCode::SignatureDoesNotMatch | AuthCode::RequestTimeTooSkewed | AuthCode::AccessDenied => {
                (StatusCode::FORBIDDEN, "SignatureDoesNotMatch")
            }
            AuthCode::ExpiredToken => (StatusCode::FORBIDDEN, "ExpiredToken"),
            AuthCode::ServiceUnavailable => (StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable"),
            AuthCode::InvalidUri => (StatusCode::NOT_FOUND, "MalformedQueryString"),
            AuthCode::AuthorizationHeaderMalformed
            | AuthCode::AuthorizationQueryParametersError
            | AuthCode::InvalidArgument
            | AuthCode::InvalidRequest
            | AuthCode::XAmzContentSha256Mismatch => (StatusCode::BAD_REQUEST, "IncompleteSignature"),
        };
        let message = match error.kind() {
            AuthCode::InvalidAccessKeyId | AuthCode::InvalidToken => {
                "The security token included in the request is invalid.".into()
            }
            AuthCode::ExpiredToken => "The security token included in the request is expired".into(),
            _ => error.message().to_owned().into(),
        };
        let denied = !status.is_server_error();
        Self(Box::new(Inner { status, code, message, cause: None, trouble: Trouble::Own, denied }))
    }
}

/// What the core refuses, with the statuses of the API models.
impl From<IdentityError> for QueryError {
    fn from(error: IdentityError) -> Self {
        let status = match error.code {
            Code::AccessDenied
            | Code::IdpRejectedClaim
            | Code::InvalidAuthenticationCode
            | Code::PasswordResetRequired => StatusCode::FORBIDDEN,
            Code::NoSuchEntity => StatusCode::NOT_FOUND,
            Code::ReportExpired | Code::ReportNotPresent => StatusCode::GONE,
            Code::ConcurrentModification
            | Code::DeleteConflict
            | Code::EntityAlreadyExists
            | Code::LimitExceeded => StatusCode::CONFLICT,
            Code::ExpiredIdentityToken
            | Code::IdpCommunicationError
            | Code::InvalidIdentityToken
            | Code::InvalidInput
            | Code::InvalidUserType
            | Code::MalformedPolicyDocument
            | Code::PackedPolicyTooLarge
            | Code::PasswordPolicyViolation
            | Code::UnmodifiableEntity
            | Code::ValidationError => StatusCode::BAD_REQUEST,
            Code::ServiceFailure => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let mut refused = Self::new(status, error.code.as_str(), error.message);
        // A token is what others sign with.
        refused.0.denied |= matches!(
            error.code,
            Code::ExpiredIdentityToken | Code::IdpRejectedClaim | Code::InvalidIdentityToken
        );
        refused.0.trouble = Trouble::of_cause(error.cause.as_ref());
        refused.0.cause = error.cause.map(|cause| cause.to_string());
        refused
    }
}

impl From<MarkerError> for QueryError {
    fn from(error: MarkerError) -> Self {
        match error {
            MarkerError::Refused => Self::invalid_input("The marker is none that this operation has given."),
            MarkerError::Unsealed(why) => Self::internal(&why),
        }
    }
}

impl From<HeadError> for QueryError {
    fn from(error: HeadError) -> Self {
        let (status, code) = error.told();
        Self::new(status, code, error.to_string())
    }
}

impl From<BodyError> for QueryError {
    fn from(error: BodyError) -> Self {
        let told = error.to_string();
        match error {
            BodyError::TooLarge { max } => Self::too_large(max),
            BodyError::Slow | BodyError::InTheWay => Self::bad("RequestTimeout", told),
            BodyError::Crowded => {
                let mut refused = Self::new(StatusCode::SERVICE_UNAVAILABLE, "Throttling", told);
                refused.0.trouble = Trouble::Crowded;
                refused
            }
            BodyError::Incomplete | BodyError::Unended | BodyError::Chunk(_) | BodyError::Signatures => {
                Self::bad("IncompleteBody", told)
            }
            BodyError::Digest(error) => error.into(),
            BodyError::Internal(why) => Self::internal(&why),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::QueryError;
    use http::StatusCode;

    #[test]
    fn whose_fault_it_is_goes_by_the_status() {
        assert_eq!(QueryError::unsigned().fault(), "Sender");
        assert_eq!(QueryError::not_implemented("x", "y").fault(), "Sender");
        assert_eq!(QueryError::internal(&"the disk is gone").fault(), "Receiver");
        let error = QueryError::internal(&"the disk is gone");
        assert!(!error.message().contains("disk") && error.failed().cause == Some("the disk is gone"));
        assert_eq!(QueryError::malformed("").status(), StatusCode::NOT_FOUND);
    }
}
