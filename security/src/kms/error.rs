//! What operations on keys refuse, by the codes of KMS's API model, and how S3 passes them on.

use crate::policy::PolicyError;
use std::fmt;

/// The result of an operation on keys.
pub type Result<T, E = KmsError> = std::result::Result<T, E>;

/// Why an operation is refused, as the wire has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// Who asks may not.
    AccessDenied,
    /// The name is taken.
    AlreadyExists,
    /// Something of the like is under way.
    Conflict,
    /// Others changed the same things again and again, or the catalog does not answer.
    DependencyTimeout,
    /// The key is disabled.
    Disabled,
    /// It would have been done.
    DryRun,
    /// The import token is older than a day.
    ExpiredImportToken,
    /// The ciphertext is another key's.
    IncorrectKey,
    /// The key material is other than what was imported first.
    IncorrectKeyMaterial,
    /// The appliance failed.
    Internal,
    /// An alias is not of its form.
    InvalidAliasName,
    /// An ARN is not of its form.
    InvalidArn,
    /// The ciphertext, or its context, is not what was encrypted.
    InvalidCiphertext,
    /// There is no such grant.
    InvalidGrantId,
    /// A grant token is none.
    InvalidGrantToken,
    /// The import token is of another key, or none.
    InvalidImportToken,
    /// The key is for something else.
    InvalidKeyUsage,
    /// The MAC is another.
    InvalidMac,
    /// The signature is another.
    InvalidSignature,
    /// The key's state does not allow it.
    InvalidState,
    /// A quota is used up.
    LimitExceeded,
    /// A policy is not of the grammar, names nobody, or locks its setter out.
    MalformedPolicyDocument,
    /// What is asked to be done is reserved to the appliance.
    NotAuthorized,
    /// There is no such key or alias.
    NotFound,
    /// A tag is not of its form.
    Tag,
    /// Too many requests of the account wait already.
    Throttling,
    /// It is not built, or the key can't.
    Unsupported,
    /// A value is not of its form.
    Validation,
}

impl Code {
    /// As the wire has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AccessDenied => "AccessDeniedException",
            Self::AlreadyExists => "AlreadyExistsException",
            Self::Conflict => "ConflictException",
            Self::DependencyTimeout => "DependencyTimeoutException",
            Self::Disabled => "DisabledException",
            Self::DryRun => "DryRunOperationException",
            Self::ExpiredImportToken => "ExpiredImportTokenException",
            Self::IncorrectKey => "IncorrectKeyException",
            Self::IncorrectKeyMaterial => "IncorrectKeyMaterialException",
            Self::Internal => "KMSInternalException",
            Self::InvalidAliasName => "InvalidAliasNameException",
            Self::InvalidArn => "InvalidArnException",
            Self::InvalidCiphertext => "InvalidCiphertextException",
            Self::InvalidGrantId => "InvalidGrantIdException",
            Self::InvalidGrantToken => "InvalidGrantTokenException",
            Self::InvalidImportToken => "InvalidImportTokenException",
            Self::InvalidKeyUsage => "InvalidKeyUsageException",
            Self::InvalidMac => "KMSInvalidMacException",
            Self::InvalidSignature => "KMSInvalidSignatureException",
            Self::InvalidState => "KMSInvalidStateException",
            Self::LimitExceeded => "LimitExceededException",
            Self::MalformedPolicyDocument => "MalformedPolicyDocumentException",
            Self::NotAuthorized => "NotAuthorizedException",
            Self::NotFound => "NotFoundException",
            Self::Tag => "TagException",
            Self::Throttling => "ThrottlingException",
            Self::Unsupported => "UnsupportedOperationException",
            Self::Validation => "ValidationException",
        }
    }

    /// As S3 tells what its use of a key came to. `None`: the appliance's own trouble.
    pub const fn of_s3(self) -> Option<&'static str> {
        Some(match self {
            Self::AccessDenied | Self::NotAuthorized => "AccessDenied",
            Self::Disabled => "KMS.DisabledException",
            Self::InvalidState => "KMS.KMSInvalidStateException",
            Self::NotFound | Self::InvalidArn => "KMS.NotFoundException",
            Self::InvalidKeyUsage => "KMS.InvalidKeyUsageException",
            Self::InvalidCiphertext | Self::IncorrectKey => "KMS.InvalidCiphertextException",
            Self::LimitExceeded => "KMS.LimitExceededException",
            Self::Validation => "InvalidArgument",
            Self::Throttling => "SlowDown",
            _ => return None,
        })
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
pub struct KmsError {
    /// By which code.
    pub code: Code,
    /// What whoever asked is told. Never a secret, nor anything about the machine.
    pub message: String,
    /// What went wrong below, for the log alone.
    #[source]
    pub cause: Option<crate::Error>,
}

impl KmsError {
    /// A refusal.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), cause: None }
    }

    /// A value is not of its form, or can't stand with another.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(Code::Validation, message)
    }

    /// It is not built, or the key can't.
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(Code::Unsupported, message)
    }

    pub(super) fn internal(what: &'static str) -> Self {
        let cause = crate::Error::Corrupt { what: "managed key", detail: what.to_owned() };
        cause.into()
    }

    /// The ciphertext is none of ours, was changed, or goes with another context. KMS says nothing.
    pub(super) fn ciphertext() -> Self {
        Self::new(Code::InvalidCiphertext, "")
    }
}

impl From<PolicyError> for KmsError {
    fn from(error: PolicyError) -> Self {
        Self::new(Code::MalformedPolicyDocument, error.to_string())
    }
}

impl From<crate::Error> for KmsError {
    fn from(error: crate::Error) -> Self {
        let (code, message) = match &error {
            crate::Error::Engine(
                engine::Error::Conflict { .. }
                | engine::Error::TooOld { .. }
                | engine::Error::Unknown { .. }
                | engine::Error::Full { .. },
            ) => (
                Code::DependencyTimeout,
                "The system timed out while trying to fulfill the request. Try again.",
            ),
            _ => (Code::Internal, "The request could not be processed. Try again."),
        };
        Self { code, message: message.to_owned(), cause: Some(error) }
    }
}

impl From<engine::Error> for KmsError {
    fn from(error: engine::Error) -> Self {
        crate::Error::from(error).into()
    }
}
