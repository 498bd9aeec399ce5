//! Open files: how many there may be, and who has them.
//!
//! ```text
//!   limit ─┬─ open once all is opened: segments, the log, the directory's lock
//!          ├─ RocksDB's table files: a quarter, 64 to 512
//!          ├─ the admin door
//!          ├─ an eighth for what is yet to come: segments, files of workers, connections to others
//!          └─ the rest: connections of the S3 door, `http.connections` at the most
//! ```
//!
//! A connection that would have the last descriptor waits in the listen queue instead, so that idle clients take none from writes.

use crate::exit::{Exit, Failure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors wanted where connections don't want more: connections, segments, table files.
const WANTED: u64 = 65_536;
/// Connections below which a server is of no use.
const CONNECTIONS_MIN: u64 = 16;

/// The limit of open files that this process has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Descriptors(u64);

impl Descriptors {
    /// As it is now.
    pub(super) fn allowed() -> Self {
        Self(getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX))
    }

    /// Raises the soft limit towards what a busy appliance needs; a lower one is lived with.
    pub(super) fn raise(connections_max: usize) {
        let now = getrlimit(Resource::Nofile);
        let wanted = WANTED.max((connections_max as u64).saturating_mul(2));
        let wanted = wanted.min(now.maximum.unwrap_or(wanted));
        if now.current.is_none_or(|current| current >= wanted) {
            return;
        }
        let limit = Rlimit { current: Some(wanted), maximum: now.maximum };
        if let Err(error) = setrlimit(Resource::Nofile, limit) {
            tracing::warn!(%error, wanted, "failed to raise the limit of open files");
        }
    }

    /// Table files that RocksDB may hold open.
    pub(super) fn tables(self) -> i32 {
        i32::try_from((self.0 / 4).clamp(64, 512)).unwrap_or(512)
    }

    /// Connections that the S3 door may have at once, where `wanted` are configured, `admin` are the admin door's and `open`
    /// files are open already.
    pub(super) fn connections(self, wanted: usize, admin: usize, open: u64) -> Result<usize, Failure> {
        let kept = open + u64::from(self.tables().unsigned_abs()) + admin as u64 + self.0 / 8;
        let left = self.0.saturating_sub(kept);
        if left < CONNECTIONS_MIN {
            return Err(Failure::new(
                Exit::Error,
                format!(
                    "open the doors: {} open files are allowed, and {kept} are kept for the disk",
                    self.0
                ),
            )
            .hint("raise the limit of open files: ulimit -Hn 65536, or LimitNOFILE=65536 in the unit"));
        }
        let least = usize::try_from(left).map_or(wanted, |left| left.min(wanted));
        if least < wanted {
            tracing::warn!(
                configured = wanted,
                taken = least,
                open_files = self.0,
                "the S3 door takes fewer connections than http.connections says: the limit of open files leaves no more; raise \
                 it (ulimit -Hn, LimitNOFILE=)"
            );
        }
        Ok(least)
    }
}

/// Files that this process has open; where the system does not tell, a guess.
pub(super) fn open_now() -> u64 {
    std::fs::read_dir("/proc/self/fd").map_or(64, |entries| entries.count() as u64)
}

#[cfg(test)]
mod tests {
    use super::Descriptors;
    use crate::exit::Exit;

    #[test]
    fn connections_are_what_the_limit_of_open_files_leaves() {
        assert_eq!(Descriptors(65_536).connections(4096, 64, 40).unwrap(), 4096);
        assert_eq!(Descriptors(1024).connections(4096, 64, 40).unwrap(), 1024 - 40 - 256 - 64 - 128);
        assert_eq!(Descriptors(1024).connections(100, 64, 40).unwrap(), 100);
        assert_eq!(Descriptors(256).tables(), 64);
        assert_eq!(Descriptors(65_536).tables(), 512);
        let refused = Descriptors(200).connections(4096, 64, 40).unwrap_err();
        assert_eq!(refused.exit, Exit::Error, "{refused}");
        assert_eq!(Descriptors(u64::MAX).connections(4096, 64, 40).unwrap(), 4096);
    }
}
