//! Why a form was refused, in S3's words.

use http::StatusCode;

/// What is wrong with a form or its policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    /// The body is not of the type that forms have.
    #[error("read the form: its content type is not multipart/form-data with a boundary")]
    NotAForm,
    /// The body is no well-formed multipart/form-data.
    #[error("read the form: {0}")]
    Malformed(&'static str),
    /// More than [`FORM_BYTES_MAX`](super::FORM_BYTES_MAX) besides the file.
    #[error("read the form: its fields are too large")]
    TooLong,
    /// No file, or a second one.
    #[error("read the form: it does not have exactly one file")]
    Files,
    /// A field that has to be there is not, or one stands twice.
    #[error("read the form: {message}")]
    Field {
        /// Its name.
        name: String,
        /// S3's message.
        message: String,
    },
    /// The policy is none.
    #[error("read the policy: {0}")]
    Policy(String),
    /// The form does not keep to its policy.
    #[error("match the form with its policy: {0}")]
    Denied(String),
}

impl FormError {
    /// The field is missing, or came after the file.
    pub fn missing(name: &str) -> Self {
        let message = format!(
            "Bucket POST must contain a field named '{name}'.  If it is specified, please check the order of the fields."
        );
        Self::Field { name: name.to_owned(), message }
    }

    /// S3's code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotAForm => "PreconditionFailed",
            Self::Malformed(_) => "MalformedPOSTRequest",
            Self::TooLong => "MaxPostPreDataLengthExceededError",
            Self::Files => "IncorrectNumberOfFilesInPostRequest",
            Self::Field { .. } => "InvalidArgument",
            Self::Policy(_) => "InvalidPolicyDocument",
            Self::Denied(_) => "AccessDenied",
        }
    }

    /// S3's message.
    pub fn message(&self) -> String {
        match self {
            Self::NotAForm => "At least one of the pre-conditions you specified did not hold".to_owned(),
            Self::Malformed(_) => {
                "The body of your POST request is not well-formed multipart/form-data.".to_owned()
            }
            Self::TooLong => "Your POST request fields preceding the upload file were too large.".to_owned(),
            Self::Files => "POST requires exactly one file upload per request.".to_owned(),
            Self::Field { message, .. } => message.clone(),
            Self::Policy(detail) => format!("Invalid Policy: {detail}"),
            Self::Denied(detail) => format!("Invalid according to Policy: {detail}"),
        }
    }

    /// The HTTP status.
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::NotAForm => StatusCode::PRECONDITION_FAILED,
            Self::Denied(_) => StatusCode::FORBIDDEN,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    /// Further elements of the error document.
    pub fn fields(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::NotAForm => {
                vec![(
                    "Condition",
                    "Bucket POST must be of the enclosure-type multipart/form-data".to_owned(),
                )]
            }
            Self::Field { name, .. } => {
                vec![("ArgumentName", name.clone()), ("ArgumentValue", String::new())]
            }
            _ => Vec::new(),
        }
    }
}
