//! What is refused, and why.

use crate::inventory::InvalidParameter;
use crate::lock::{Kept, LockError};
use crate::retrieval::Refused;
use crate::tree_hash::{PartsError, RangeError};
use engine::ErrorKind;

/// The result of what is asked of vaults.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why something is not done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is not there.
    #[error("find {what} {id}")]
    NotFound {
        /// A vault, an archive, an upload, a job.
        what: &'static str,
        /// As it was called.
        id: String,
    },
    /// A parameter is none that it can have.
    #[error("{0}")]
    Invalid(String),
    /// A vault with archives, or with uploads under way, can't be deleted.
    #[error(
        "delete the vault: it is not empty, or was written to just now; delete its archives and abort its uploads first"
    )]
    NotEmpty,
    /// The bytes are not those that were announced.
    #[error("take the bytes: {what} is {found}, {wanted} was announced")]
    Mismatch {
        /// Of what: the tree hash, the SHA-256.
        what: &'static str,
        /// As announced.
        wanted: String,
        /// As it is.
        found: String,
    },
    /// There would be too many.
    #[error("{what} would be more than {limit}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many there may be.
        limit: u64,
    },
    /// What is asked for is not ready.
    #[error("read the output of job {id}: it is {state}")]
    NotReady {
        /// The job.
        id: String,
        /// How far it is.
        state: &'static str,
    },
    /// A hold or a least age keeps it.
    #[error("delete the archive: {0}")]
    Kept(#[from] Kept),
    /// A lock does not change so.
    #[error("change the lock: {0}")]
    Lock(#[from] LockError),
    /// No job of it.
    #[error("accept the job: {0}")]
    Refused(#[from] Refused),
    /// Others changed the same all the time.
    #[error("change the vault: others were faster {attempts} times; try again")]
    Contended {
        /// So often.
        attempts: u32,
    },
    /// What lies below failed.
    #[error(transparent)]
    Engine(#[from] engine::Error),
}

impl Error {
    /// What the caller should do.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NotEmpty | Self::Kept(_) | Self::Lock(_) => ErrorKind::Conflict,
            Self::NotFound { .. } | Self::Refused(Refused::NotFound { .. }) => ErrorKind::NotFound,
            Self::Refused(Refused::InsufficientCapacity) | Self::Contended { .. } => ErrorKind::Unavailable,
            Self::Invalid(_)
            | Self::Mismatch { .. }
            | Self::TooMany { .. }
            | Self::NotReady { .. }
            | Self::Refused(_) => ErrorKind::Invalid,
            Self::Engine(error) => error.kind(),
        }
    }

    /// As a worker reports it.
    pub(super) fn reported(self) -> engine::Error {
        match self {
            Self::Engine(error) => error,
            other => engine::Error::Invalid(other.to_string()),
        }
    }
}

impl From<InvalidParameter> for Error {
    fn from(error: InvalidParameter) -> Self {
        Self::Invalid(error.to_string())
    }
}

impl From<RangeError> for Error {
    fn from(error: RangeError) -> Self {
        Self::Invalid(error.to_string())
    }
}

impl From<PartsError> for Error {
    fn from(error: PartsError) -> Self {
        match error {
            PartsError::TooMany => Self::TooMany { what: "parts", limit: crate::tree_hash::MAX_PARTS },
            other => Self::Invalid(other.to_string()),
        }
    }
}

/// An error of the key table.
pub(super) fn of_keys(error: security::Error) -> Error {
    Error::Engine(match error {
        security::Error::Engine(error) => error,
        security::Error::Exhausted(_) => engine::Error::Fenced { reason: error.to_string() },
        other => engine::Error::Corrupt { what: "keys of a vault".into(), detail: other.to_string() },
    })
}
