//! A small disk of its own, for tests that fill one.

use std::io::Write;
use std::path::Path;
use std::process::Command;

/// A file system in memory, gone when dropped.
pub(crate) struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// Mounts one. Without the right to, says which test is skipped, past its captured output, so that who runs it learns
    /// of it.
    pub(crate) fn mount(size: &str, test: &str) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(dir.path())
            .status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(Self(dir));
        }
        writeln!(std::io::stdout(), "SKIPPED {test}: mounting a tmpfs needs root").unwrap();
        None
    }

    /// Where it is mounted.
    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(self.0.path()).status());
    }
}
