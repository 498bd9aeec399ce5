//! What is wrong with a document, and where.

use std::fmt;

/// Where in a document something is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In its text, both from 1.
    Text {
        /// The line.
        line: usize,
        /// The column, in bytes.
        column: usize,
    },
    /// In its structure: `Statement[1].Condition`. Empty for the document itself.
    Path(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text { line, column } => write!(f, "line {line}, column {column}"),
            Self::Path(path) if path.is_empty() => f.write_str("document"),
            Self::Path(path) => f.write_str(path),
        }
    }
}

/// A document that is refused. Callers give it their service's code: `MalformedPolicy` in S3, `MalformedPolicyDocument` in IAM,
/// `MalformedPolicyDocumentException` in KMS.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {detail}")]
pub struct PolicyError {
    /// Where.
    pub place: Place,
    /// What is wrong there, and what is taken.
    pub detail: String,
}

impl PolicyError {
    pub(super) fn at(spot: &Spot<'_>, detail: impl Into<String>) -> Self {
        Self { place: Place::Path(spot.to_string()), detail: detail.into() }
    }
}

/// The way down to a place, as a list of steps on the stack.
#[derive(Clone, Copy, Debug)]
pub(super) enum Spot<'a> {
    Document,
    Member(&'a Self, &'a str),
    Item(&'a Self, usize),
}

impl<'a> Spot<'a> {
    pub(super) const fn member(&'a self, name: &'a str) -> Self {
        Self::Member(self, name)
    }

    pub(super) const fn item(&'a self, index: usize) -> Self {
        Self::Item(self, index)
    }
}

impl fmt::Display for Spot<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Document => Ok(()),
            Self::Member(Self::Document, name) => f.write_str(name),
            Self::Member(parent, name) => write!(f, "{parent}.{name}"),
            Self::Item(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}
