//! A disk of a test's own, in memory where there is room, that is mounted and cut again and again.

use crate::{Discipline, PowerCut, available};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Where files lie in memory, if anywhere: `FIRN_MEMORY`, which CI sets so that it knows what is left there, or `/dev/shm`.
pub fn memory() -> PathBuf {
    let memory = std::env::var_os("FIRN_MEMORY").map_or_else(|| PathBuf::from("/dev/shm"), PathBuf::from);
    if memory.is_dir() { memory } else { std::env::temp_dir() }
}

/// An empty disk, gone when dropped.
#[derive(Debug)]
pub struct Disk {
    _parent: tempfile::TempDir,
    backing: PathBuf,
    mountpoint: PathBuf,
}

#[expect(clippy::unwrap_used, reason = "a step that fails fails the test")]
impl Disk {
    /// Makes one. Where no power can be cut, says that `test` is skipped, past its captured output, so that who runs it
    /// learns of it.
    ///
    /// # Panics
    /// When no directory can be made.
    pub fn new(test: &str) -> Option<Self> {
        if let Err(missing) = available() {
            let _unwritable = writeln!(std::io::stdout(), "SKIPPED {test}: cannot {missing}");
            return None;
        }
        let parent = tempfile::tempdir_in(memory()).unwrap();
        let (backing, mountpoint) = (parent.path().join("backing"), parent.path().join("mnt"));
        std::fs::create_dir(&backing).unwrap();
        std::fs::create_dir(&mountpoint).unwrap();
        Some(Self { _parent: parent, backing, mountpoint })
    }

    /// Gives it power, until a cut or the end of what is returned.
    ///
    /// # Panics
    /// When it can't be mounted.
    pub fn mount(&self, seed: u64, discipline: Discipline) -> PowerCut {
        PowerCut::mount_with(&self.backing, &self.mountpoint, seed, discipline).unwrap()
    }

    /// Where it is while it has power.
    pub fn path(&self) -> &Path {
        &self.mountpoint
    }

    /// What is on it while it has none.
    pub fn survivors(&self) -> &Path {
        &self.backing
    }
}
