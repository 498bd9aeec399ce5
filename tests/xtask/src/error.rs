//! Why a task ended: what was being done, and what the reader can do about it.

use std::fmt;
use std::path::Path;

/// What the tasks return.
pub(crate) type Result<T> = std::result::Result<T, Error>;

/// A task that could not go on.
#[derive(Debug)]
pub(crate) enum Error {
    /// The command line asks for something that does not exist.
    Usage(String),
    /// An operating system call failed while `doing` something.
    Io {
        /// What was being done, as a fragment after "failed to".
        doing: String,
        /// The cause.
        source: std::io::Error,
    },
    /// A command that was run did not succeed.
    Command {
        /// The command line.
        line: String,
        /// How it ended.
        ended: String,
    },
    /// Anything else, in words that name the remedy.
    Failed(String),
}

impl Error {
    /// An input/output error of `doing` something to `path`.
    pub(crate) fn at(doing: &str, path: &Path, source: std::io::Error) -> Self {
        Self::Io { doing: format!("{doing} {}", path.display()), source }
    }

    /// A failure in words.
    pub(crate) fn failed(text: impl Into<String>) -> Self {
        Self::Failed(text.into())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { doing, source } => write!(f, "failed to {doing}: {source}"),
            Self::Command { line, ended } => write!(f, "`{line}` {ended}"),
            Self::Usage(text) | Self::Failed(text) => write!(f, "{text}"),
        }
    }
}
