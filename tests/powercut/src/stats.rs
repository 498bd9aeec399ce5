//! What the layer counts.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt;
use std::path::Path;

/// What a file is for, judged by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FileKind {
    /// The catalog's write-ahead log: `*.log`.
    Log,
    /// The catalog's tables: `*.sst`.
    Table,
    /// The catalog's own bookkeeping: `MANIFEST-*`, `CURRENT`, `OPTIONS-*`.
    Manifest,
    /// A pool's segment: `*.seg`.
    Segment,
    /// A directory.
    Directory,
    /// Anything else.
    Other,
}

impl FileKind {
    /// By name.
    pub(crate) fn of(name: &OsStr) -> Self {
        match Path::new(name).extension().and_then(OsStr::to_str) {
            Some("log") => return Self::Log,
            Some("sst") => return Self::Table,
            Some("seg") => return Self::Segment,
            _ => {}
        }
        let name = name.to_string_lossy();
        let manifest = ["MANIFEST-", "OPTIONS-", "CURRENT"].iter().any(|prefix| name.starts_with(prefix));
        if manifest { Self::Manifest } else { Self::Other }
    }
}

/// What a cut did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CutReport {
    /// Unsynced changes to files' bytes and lengths that were at stake.
    pub data_at_stake: u64,
    /// Of these, wholly kept.
    pub data_kept: u64,
    /// Of these, torn at a sector.
    pub data_torn: u64,
    /// Unsynced changes of names that were at stake.
    pub names_at_stake: u64,
    /// Of these, kept.
    pub names_kept: u64,
}

impl fmt::Display for CutReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} unsynced writes ({} kept, {} torn), {} unsynced names ({} kept)",
            self.data_at_stake, self.data_kept, self.data_torn, self.names_at_stake, self.names_kept
        )
    }
}

/// Counters since the mount.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Syncs by kind of file.
    pub syncs: BTreeMap<FileKind, u64>,
    /// Writes by kind of file.
    pub writes: BTreeMap<FileKind, u64>,
    /// Bytes written.
    pub written_bytes: u64,
    /// Changes of names.
    pub name_changes: u64,
    /// What the cut did, once there was one.
    pub cut: Option<CutReport>,
}
