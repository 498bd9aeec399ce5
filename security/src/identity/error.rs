//! What operations on identities refuse, by the codes of IAM's and STS's API models.

use crate::policy::PolicyError;
use std::fmt;

/// The result of an operation on identities.
pub type Result<T, E = IdentityError> = std::result::Result<T, E>;

/// Why an operation is refused, as the wire has it. Which status goes with it is the door's to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// Who asks may not.
    AccessDenied,
    /// Others changed the same things again and again.
    ConcurrentModification,
    /// Something hangs on what is to be deleted.
    DeleteConflict,
    /// The name is taken.
    EntityAlreadyExists,
    /// A code of a second factor is wrong, was taken before, or too many were wrong.
    InvalidAuthenticationCode,
    /// A value does not go with another, or names what can't be.
    InvalidInput,
    /// Only a user can do that for itself.
    InvalidUserType,
    /// A quota is used up.
    LimitExceeded,
    /// A policy is not of the grammar, or of another form.
    MalformedPolicyDocument,
    /// A token of an OIDC provider is over.
    ExpiredIdentityToken,
    /// An OIDC provider's keys are not to be had.
    IdpCommunicationError,
    /// What a token of an OIDC provider says can't be taken.
    IdpRejectedClaim,
    /// It is no token of an OIDC provider of the account's, or not for it.
    InvalidIdentityToken,
    /// There is nothing of that name.
    NoSuchEntity,
    /// What a session is to carry does not fit.
    PackedPolicyTooLarge,
    /// A password is not as the account's rules have it.
    PasswordPolicyViolation,
    /// It was right, and another has to be set first.
    PasswordResetRequired,
    /// The credential report is too old.
    ReportExpired,
    /// No credential report was made.
    ReportNotPresent,
    /// Not of IAM's making: what stands in the binary or in a file.
    UnmodifiableEntity,
    /// A value is not of its form.
    ValidationError,
    /// The appliance can't now, or found its own rows wrong.
    ServiceFailure,
}

impl Code {
    /// As the wire has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AccessDenied => "AccessDenied",
            Self::ConcurrentModification => "ConcurrentModification",
            Self::DeleteConflict => "DeleteConflict",
            Self::EntityAlreadyExists => "EntityAlreadyExists",
            Self::InvalidAuthenticationCode => "InvalidAuthenticationCode",
            Self::ExpiredIdentityToken => "ExpiredTokenException",
            Self::IdpCommunicationError => "IDPCommunicationError",
            Self::IdpRejectedClaim => "IDPRejectedClaim",
            Self::InvalidIdentityToken => "InvalidIdentityToken",
            Self::InvalidInput => "InvalidInput",
            Self::InvalidUserType => "InvalidUserType",
            Self::LimitExceeded => "LimitExceeded",
            Self::MalformedPolicyDocument => "MalformedPolicyDocument",
            Self::NoSuchEntity => "NoSuchEntity",
            Self::PackedPolicyTooLarge => "PackedPolicyTooLarge",
            Self::PasswordPolicyViolation => "PasswordPolicyViolation",
            Self::PasswordResetRequired => "PasswordResetRequired",
            Self::ReportExpired => "ReportExpired",
            Self::ReportNotPresent => "ReportNotPresent",
            Self::UnmodifiableEntity => "UnmodifiableEntity",
            Self::ValidationError => "ValidationError",
            Self::ServiceFailure => "ServiceFailure",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An operation that did not happen.
#[derive(Debug, thiserror::Error)]
#[error("{code}: {message}")]
pub struct IdentityError {
    /// By which code.
    pub code: Code,
    /// What whoever asked is told. Never a secret, nor anything about the machine.
    pub message: String,
    /// What went wrong below, for the log alone.
    #[source]
    pub cause: Option<crate::Error>,
}

impl IdentityError {
    /// A refusal.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), cause: None }
    }

    /// There is no such thing: `The user with name bob cannot be found.`
    pub(super) fn not_found(kind: &str, name: &str) -> Self {
        Self::new(Code::NoSuchEntity, format!("The {kind} with name {name} cannot be found."))
    }

    /// A value is not of its form.
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(Code::ValidationError, message)
    }

    /// A quota is used up.
    pub(super) fn over(what: &str, limit: impl fmt::Display) -> Self {
        Self::new(Code::LimitExceeded, format!("Cannot exceed quota for {what}: {limit}"))
    }
}

impl From<PolicyError> for IdentityError {
    fn from(error: PolicyError) -> Self {
        Self::new(Code::MalformedPolicyDocument, error.to_string())
    }
}

impl From<crate::Error> for IdentityError {
    fn from(error: crate::Error) -> Self {
        let (code, message) = match &error {
            crate::Error::Engine(engine::Error::Conflict { .. } | engine::Error::TooOld { .. }) => {
                (Code::ConcurrentModification, "Others are changing the same thing. Try again.")
            }
            _ => (Code::ServiceFailure, "The request could not be processed. Try again."),
        };
        Self { code, message: message.to_owned(), cause: Some(error) }
    }
}

impl From<engine::Error> for IdentityError {
    fn from(error: engine::Error) -> Self {
        crate::Error::from(error).into()
    }
}
