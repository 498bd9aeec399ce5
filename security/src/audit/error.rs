//! What is said to who does not get what it asks of trails.

use std::fmt;

/// Codes of `CloudTrail`'s API model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// Two changes at once.
    Conflict,
    /// The bucket's policy does not let `CloudTrail` write.
    InsufficientBucketPolicy,
    /// The appliance's own trouble.
    Internal,
    /// Selectors that mean nothing, or too many.
    InvalidEventSelectors,
    /// Of `LookupEvents`.
    InvalidLookupAttributes,
    /// A parameter.
    InvalidParameter,
    /// A prefix of keys.
    InvalidPrefix,
    /// A tag.
    InvalidTag,
    /// A range that ends before it begins.
    InvalidTimeRange,
    /// A trail's name.
    InvalidTrailName,
    /// So many trails are there already.
    MaximumTrails,
    /// There is no such trail.
    NotFound,
    /// The bucket is not there.
    NoBucket,
    /// A tag's resource is no trail that is there.
    NoResource,
    /// Too much of an account's is under way.
    Throttling,
    /// So many tags are there already.
    TooManyTags,
    /// A trail of that name is there.
    Exists,
    /// It is not here.
    Unsupported,
}

impl Code {
    /// As the model names it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Conflict => "ConflictException",
            Self::InsufficientBucketPolicy => "InsufficientS3BucketPolicyException",
            Self::Internal => "InternalFailure",
            Self::InvalidEventSelectors => "InvalidEventSelectorsException",
            Self::InvalidLookupAttributes => "InvalidLookupAttributesException",
            Self::InvalidParameter => "InvalidParameterCombinationException",
            Self::InvalidPrefix => "InvalidS3PrefixException",
            Self::InvalidTag => "InvalidTagParameterException",
            Self::InvalidTimeRange => "InvalidTimeRangeException",
            Self::InvalidTrailName => "InvalidTrailNameException",
            Self::MaximumTrails => "MaximumNumberOfTrailsExceededException",
            Self::NotFound => "TrailNotFoundException",
            Self::NoBucket => "S3BucketDoesNotExistException",
            Self::NoResource => "ResourceNotFoundException",
            Self::Throttling => "ThrottlingException",
            Self::TooManyTags => "TagsLimitExceededException",
            Self::Exists => "TrailAlreadyExistsException",
            Self::Unsupported => "UnsupportedOperationException",
        }
    }
}

/// A refusal.
#[derive(Debug)]
pub struct AuditError {
    /// Why.
    pub code: Code,
    /// In words.
    pub message: String,
    /// For the log alone.
    pub cause: Option<crate::Error>,
}

/// What comes of asking.
pub type Result<T, E = AuditError> = std::result::Result<T, E>;

impl AuditError {
    pub(super) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), cause: None }
    }
}

impl fmt::Display for AuditError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.as_str(), self.message)
    }
}

impl std::error::Error for AuditError {}

impl From<crate::Error> for AuditError {
    fn from(error: crate::Error) -> Self {
        let message = "The request processing has failed because of an unknown error, exception or failure.";
        Self { cause: Some(error), ..Self::new(Code::Internal, message) }
    }
}

impl From<engine::Error> for AuditError {
    fn from(error: engine::Error) -> Self {
        Self::from(crate::Error::from(error))
    }
}
