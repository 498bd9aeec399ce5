//! The engine's one error type.
//!
//! Text is a lowercase fragment that reads well after "failed to …"; [`Error::kind`] says what the caller should do.

use std::path::PathBuf;

/// The engine's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What the caller should do about an error: of this crate, and of those above that keep things.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The thing named does not exist: report it.
    NotFound,
    /// Another writer came first, or what is there forbids it: read again, decide again.
    Conflict,
    /// The request breaks a declared limit or format: fix it; a retry does not help.
    Invalid,
    /// Not now (full disk, shutting down, device error, too many writers): retry later or mend what the text names.
    Unavailable,
    /// Bytes at rest are not what was written: never serve them; repair or restore.
    Corrupt,
}

/// What can go wrong at rest.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing is stored under this id.
    #[error("find {what} {id}")]
    NotFound {
        /// What kind of thing: "blob", "segment".
        what: &'static str,
        /// Its id, in its wire form.
        id: String,
    },
    /// A check of a commit did not hold: another commit changed what was read.
    #[error("commit: another writer changed what was read (check {check})")]
    Conflict {
        /// Index of the first check that failed, in the commit's own order.
        check: usize,
    },
    /// With what a commit adds to it, a counter would be above the limit that the commit names.
    #[error("commit: a counter would be above its limit (check {check})")]
    OverLimit {
        /// Index of the check, in the commit's own order.
        check: usize,
    },
    /// The snapshot that a commit was based on is older than the conflict window.
    #[error("commit: read version {read} is older than the conflict window")]
    TooOld {
        /// The commit's read version.
        read: u64,
    },
    /// A value, commit or blob is larger than the declared limit.
    #[error("store {what} of {size} bytes: the limit is {limit}")]
    TooLarge {
        /// What was too large.
        what: &'static str,
        /// Its size in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// This process may no longer write (another owner took over, a sync failed and the log can't be trusted, or the rows fail).
    #[error("write: {reason}")]
    Fenced {
        /// Why, and what to do.
        reason: String,
    },
    /// The outcome of a commit is not known: it may or may not be there after a restart.
    #[error("learn whether the commit is durable: {reason}")]
    Unknown {
        /// What went wrong while it was under way.
        reason: String,
    },
    /// There is no room left, the reserve for deletes aside.
    #[error("write {wanted} bytes in {place}: the disk is full; delete something or add space")]
    Full {
        /// The pool or directory.
        place: String,
        /// Bytes that were wanted.
        wanted: u64,
    },
    /// This process, or the whole system, has no file descriptor left. Nothing was begun.
    #[error(
        "{op} {place}: no file descriptor is left; raise the limit of open files (ulimit -n, LimitNOFILE=)"
    )]
    NoDescriptors {
        /// The operation, a verb.
        op: &'static str,
        /// The file or directory.
        place: String,
    },
    /// Fewer zones take writes than a body is to have copies.
    #[error(
        "store {wanted} copies: the zones that take writes are {there}; mend or replace a zone, or let copies.short = \"accept\""
    )]
    TooFewZones {
        /// Copies that were wanted.
        wanted: usize,
        /// Zones that take writes.
        there: usize,
    },
    /// A zone's disks are not there.
    #[error("use zone {zone}: its disks are not there; mount them, or replace the zone")]
    ZoneAway {
        /// Its name.
        zone: String,
    },
    /// A zone's copy of the catalog has a history that the data directory does not know.
    #[error(
        "open the catalog: zone {zone} has a copy that knows more than this directory: {why}; start the directory that went on, or make \
         it anew from that zone"
    )]
    Forked {
        /// The zone.
        zone: String,
        /// How its history differs.
        why: String,
    },
    /// A remote store does not answer, or refuses.
    #[error("{op} {place}: {reason}")]
    Remote {
        /// The operation, a verb.
        op: &'static str,
        /// The store.
        place: String,
        /// Why not.
        reason: String,
    },
    /// Stored bytes fail their checksum, tag or format.
    #[error("read {what}: corrupt: {detail}")]
    Corrupt {
        /// Which thing, with its id and place.
        what: String,
        /// What did not match.
        detail: String,
    },
    /// The format on disk is newer than this binary.
    #[error(
        "open {what}: its format is version {found}, this firn reads up to {supported}; run a newer firn"
    )]
    Newer {
        /// What was opened.
        what: String,
        /// The version found.
        found: u32,
        /// The newest version this binary reads.
        supported: u32,
    },
    /// Another process has the data directory open.
    #[error("open {path}: another firn (process {pid}) is using it; stop that one first", path = path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
        /// The holder's process id as it wrote it, or "unknown".
        pid: String,
    },
    /// An argument that no retry will make valid.
    #[error("{0}")]
    Invalid(String),
    /// The operating system refused.
    #[error("{op} {path}: {source}", path = path.display())]
    Io {
        /// The operation, a verb.
        op: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// The engine is shutting down.
    #[error("go on: the appliance is shutting down")]
    Closed,
}

impl Error {
    /// What the caller should do.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound { .. } => ErrorKind::NotFound,
            Self::Conflict { .. } | Self::OverLimit { .. } | Self::TooOld { .. } | Self::Forked { .. } => {
                ErrorKind::Conflict
            }
            Self::TooLarge { .. } | Self::Invalid(_) | Self::Newer { .. } => ErrorKind::Invalid,
            Self::Corrupt { .. } => ErrorKind::Corrupt,
            Self::Fenced { .. }
            | Self::Unknown { .. }
            | Self::Full { .. }
            | Self::NoDescriptors { .. }
            | Self::TooFewZones { .. }
            | Self::ZoneAway { .. }
            | Self::Remote { .. }
            | Self::InUse { .. }
            | Self::Io { .. }
            | Self::Closed => ErrorKind::Unavailable,
        }
    }

    /// An I/O error with its operation and path; a full disk becomes [`Error::Full`], a want of file descriptors
    /// [`Error::NoDescriptors`].
    pub fn io(op: &'static str, path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        let path = path.into();
        if matches!(
            rustix::io::Errno::from_io_error(&source),
            Some(rustix::io::Errno::MFILE | rustix::io::Errno::NFILE)
        ) {
            return Self::NoDescriptors { op, place: path.display().to_string() };
        }
        match source.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                Self::Full { place: path.display().to_string(), wanted: 0 }
            }
            _ => Self::Io { op, path, source },
        }
    }
}
