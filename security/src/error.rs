//! The crate's error for what it keeps at rest (credentials, keys) and for names that do not parse.
//!
//! Refused requests are not here: [`AuthError`](crate::sigv4::AuthError) and [`ChunkError`](crate::chunked::ChunkError)
//! carry what a client is told.

pub use engine::ErrorKind;
use std::path::PathBuf;

/// The crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong with credentials and keys. Text is a lowercase fragment that reads well after "failed to …".
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A name or id is not of its form. Never carries a secret.
    #[error("parse {what}: {detail}")]
    Parse {
        /// What kind of thing: "account id", "credentials".
        what: &'static str,
        /// What is wrong with it.
        detail: String,
    },
    /// Others than the owner may read or write a secret file.
    #[error("use {path}: its mode is {mode:04o}, which lets others at it; run: chmod 600 {path}", path = path.display())]
    LooseMode {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A stored key or a sealed value is not what was written, or was sealed for something else.
    #[error("open {what}: corrupt: {detail}")]
    Corrupt {
        /// Which thing.
        what: &'static str,
        /// What did not match.
        detail: String,
    },
    /// The format at rest is newer than this binary.
    #[error(
        "open {what}: its format is version {found}, this firn reads up to {supported}; run a newer firn"
    )]
    Newer {
        /// What was opened.
        what: &'static str,
        /// The version found.
        found: u32,
        /// The newest version this binary reads.
        supported: u32,
    },
    /// There is no key for this, or not yet.
    #[error("use the key {0}: it is not in the key table")]
    NoKey(String),
    /// No more wraps are reserved for a key: the catalog does not take the reservation.
    #[error("use the key {0}: no further use of it could be reserved in the catalog")]
    Exhausted(String),
    /// A file is already there.
    #[error("create {path}: it already exists", path = .0.display())]
    Exists(PathBuf),
    /// The engine refused.
    #[error(transparent)]
    Engine(#[from] engine::Error),
}

impl Error {
    /// What the caller should do.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Parse { .. } | Self::LooseMode { .. } | Self::Newer { .. } => ErrorKind::Invalid,
            Self::Corrupt { .. } => ErrorKind::Corrupt,
            Self::NoKey(_) => ErrorKind::NotFound,
            Self::Exhausted(_) => ErrorKind::Unavailable,
            Self::Exists(_) => ErrorKind::Conflict,
            Self::Engine(error) => error.kind(),
        }
    }
}
