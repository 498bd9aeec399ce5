//! A file that holds nothing but room, given up when the room is needed.
//!
//! Where it could not be had it is not there: by its name alone it would be taken for one that holds something.

use crate::{Error, Result};
use rustix::fs::{FallocateFlags, fallocate};
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};

/// The file `reserve` of a directory.
pub(crate) struct Reserve {
    path: PathBuf,
    bytes: u64,
}

impl Reserve {
    /// It is to hold so many bytes.
    pub(crate) fn new(dir: &Path, bytes: u64) -> Self {
        Self { path: dir.join("reserve"), bytes }
    }

    /// There is something to give up.
    pub(crate) fn is_held(&self) -> bool {
        self.held() > 0
    }

    /// It holds all that it is to hold.
    pub(crate) fn is_whole(&self) -> bool {
        self.held() >= self.bytes
    }

    fn held(&self) -> u64 {
        std::fs::metadata(&self.path).map_or(0, |metadata| metadata.len())
    }

    pub(crate) fn give_up(&self) -> Result<()> {
        std::fs::remove_file(&self.path).map_err(|e| Error::io("remove", &self.path, e))
    }

    /// Takes the room, or none of it; `allowed` is where a fault comes in.
    pub(crate) fn take(&self, allowed: std::io::Result<()>) -> Result<()> {
        let taken = allowed.and_then(|()| {
            let file = OpenOptions::new().write(true).create(true).truncate(false).open(&self.path)?;
            Ok(fallocate(&file, FallocateFlags::empty(), 0, self.bytes)?)
        });
        taken.map_err(|source| {
            drop(std::fs::remove_file(&self.path));
            Error::io("allocate", &self.path, source)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Reserve;

    #[test]
    fn what_could_not_be_had_is_not_there_and_what_is_too_small_is_not_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("reserve");
        let whole = Reserve::new(dir.path(), 8192);
        // More than any disk has: the file is there by then.
        Reserve::new(dir.path(), 1 << 60).take(Ok(())).unwrap_err();
        assert!(!path.exists() && !whole.is_held());
        whole.take(Ok(())).unwrap();
        assert!(whole.is_held() && whole.is_whole());
        // Of what was kept before more was to be.
        let more = Reserve::new(dir.path(), 16384);
        assert!(more.is_held() && !more.is_whole());
        more.take(Ok(())).unwrap();
        assert!(more.is_whole());
        more.give_up().unwrap();
        assert!(!path.exists() && !more.is_held());
    }
}
