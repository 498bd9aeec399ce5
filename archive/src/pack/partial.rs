//! Files of packs that are not sealed: gone with whoever made them, and swept where a crash left them.

use super::{EXTENSION, PackId, Subkeys};
use engine::{Error, Result, file};
use std::collections::HashSet;
use std::hash::BuildHasher;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The file of an open pack, and the subkeys that were made for it. Both go when it is dropped, unless the pack has its name by then.
pub(super) struct Partial {
    path: PathBuf,
    pack: PackId,
    keys: Arc<dyn Subkeys>,
    ended: bool,
}

impl Partial {
    pub(super) fn new(path: PathBuf, pack: PackId, keys: Arc<dyn Subkeys>) -> Self {
        Self { path, pack, keys, ended: false }
    }

    /// The pack has its name: there is nothing to be removed.
    pub(super) const fn keep(&mut self) {
        self.ended = true;
    }

    /// The file first: subkeys without one are swept, a file without them means nothing.
    pub(super) fn give_up(&mut self) -> Result<()> {
        self.ended = true;
        file::remove(&self.path)?;
        self.keys.abandon(self.pack)
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.ended {
            // What is left is swept.
            let _failed = self.give_up();
        }
    }
}

/// Removes what packs that were never sealed left in a directory, those of `open` apart: their files and their subkeys. Answers which they were.
pub fn sweep<S: BuildHasher>(
    directory: &Path,
    open: &HashSet<PackId, S>,
    keys: &dyn Subkeys,
) -> Result<Vec<PackId>> {
    let ending = format!(".{EXTENSION}{}", file::PARTIAL);
    let failed = |error| Error::io("read", directory, error);
    let mut swept = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let mut id = [0; 16];
        let named =
            name.strip_suffix(&ending).is_some_and(|text| hex::decode_to_slice(text, &mut id).is_ok());
        let pack = PackId::from_bytes(id);
        if named && !open.contains(&pack) {
            file::remove(&path)?;
            keys.abandon(pack)?;
            swept.push(pack);
        }
    }
    Ok(swept)
}
