//! Short-lived files on the system disk, removed when they go out of scope and, after a crash, by the next start.

use crate::{Error, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Suffix of every staging file: what a start removes.
const SUFFIX: &str = "staged";

/// A directory that is removed when it goes out of scope.
pub(super) struct Directory(PathBuf);

impl Directory {
    /// A path where nothing is, its parent existing. What a crash left there is removed.
    pub(super) fn fresh(path: PathBuf) -> Result<Self> {
        match fs::remove_dir_all(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(Error::io("remove", path, error)),
        }
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Leaves the directory where it is.
    pub(super) fn keep(self) {
        std::mem::forget(self);
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(path = %self.0.display(), %error, "can't remove a directory of a backup or recovery; the next one will");
        }
    }
}

/// A file name of its own, removed when it goes out of scope.
pub(super) struct File(PathBuf);

impl File {
    pub(super) fn new(dir: &Path) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let path = dir.join(format!("{}.{SUFFIX}", COUNT.fetch_add(1, Ordering::Relaxed)));
        Self(path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for File {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.0)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(path = %self.0.display(), %error, "can't remove a staging file; the next start will");
        }
    }
}

/// Removes the staging files that a crash left in `dir`.
pub(super) fn sweep(dir: &Path) -> Result<()> {
    for entry in fs::read_dir(dir).map_err(|error| Error::io("list", dir, error))? {
        let path = entry.map_err(|error| Error::io("list", dir, error))?.path();
        if path.extension().is_some_and(|extension| extension == SUFFIX) {
            fs::remove_file(&path).map_err(|error| Error::io("remove", path, error))?;
        }
    }
    Ok(())
}
