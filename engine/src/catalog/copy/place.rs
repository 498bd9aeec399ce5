//! A zone's copy of the catalog on its disk.
//!
//! ```text
//!   ZONE/catalog/  lock                            held (flock) by the process that writes here
//!                  membership                      names the copy whose directory counts
//!                  <epoch, 16 hex digits>/  base-<version, 20 digits>/   a checkpoint: format, checkpoint, rows/
//!                                           base.new/                    one that is being made
//!                                           log/                         the commit log from before the base on
//!                                           attached/                    the small files of the data directory (0600)
//! ```
//!
//! # Invariants
//! - A base is whole once it has its name; a copy's directory counts once the membership names it, and until then nothing in the
//!   zone says that there is one: an image of the zone that was taken meanwhile is an image of what it had before.
//! - What is needed for the newest base stays until a newer one has its name.
//! - No copy is begun that the disk has no room for: an older one gives way first, and what can't be finished is removed.
//!
//! # What a crash leaves
//! A `base.new`, or directories that the membership does not name: the next copy that is made removes them.

use super::membership::{self, Membership};
use crate::catalog::Version;
use crate::fault::{Faults, Point};
use crate::file::{self, sync_dir};
use crate::small_files::SmallFiles;
use crate::{Error, Result};
use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

const BASE: &str = "base-";
const PARTIAL_BASE: &str = "base.new";
const LOG: &str = "log";
const ATTACHED: &str = "attached";
/// Files of a checkpoint that never change once they have their name: RocksDB gives a number once.
const IMMUTABLE: [&str; 2] = ["sst", "blob"];

/// The directory of one copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::catalog) struct CopyDir(PathBuf);

impl CopyDir {
    /// That which a membership names.
    pub(super) fn of(place: &Path, membership: &Membership) -> Self {
        Self::numbered(place, membership.copy)
    }

    /// That of this number.
    pub(super) fn numbered(place: &Path, number: u64) -> Self {
        Self(place.join(format!("{number:016x}")))
    }

    /// An empty one for a copy that is to begin, with `needed` bytes free beside it. What the zone's membership does not name
    /// goes, and what it names where that takes the room.
    pub(super) fn fresh(place: &Path, number: u64, needed: u64) -> Result<Self> {
        let kept = Membership::read(place)?.map(|named| Self::of(place, &named));
        remove_others(place, kept.as_ref())?;
        if free(place)? < needed && kept.is_some() {
            tracing::warn!(place = %place.display(), "the zone's former copy of the catalog gives way to the next one");
            forget(place)?;
            remove_others(place, None)?;
        }
        if free(place)? < needed {
            return Err(Error::Full { place: place.display().to_string(), wanted: needed });
        }
        let fresh = Self::numbered(place, number);
        fs::DirBuilder::new()
            .mode(0o700)
            .create(&fresh.0)
            .map_err(|error| Error::io("create", &fresh.0, error))?;
        private_dir(&fresh.log())?;
        sync_dir(&fresh.0)?;
        sync_dir(place)?;
        Ok(fresh)
    }

    /// Removes all other copies.
    pub(super) fn remove_others(&self, place: &Path) -> Result<()> {
        remove_others(place, Some(self))
    }

    /// Removes this one.
    pub(super) fn remove(&self) -> Result<()> {
        remove_tree(&self.0)
    }

    pub(in crate::catalog) fn log(&self) -> PathBuf {
        self.0.join(LOG)
    }

    pub(super) fn attached(&self) -> PathBuf {
        self.0.join(ATTACHED)
    }

    /// The whole bases, oldest first.
    pub(super) fn bases(&self) -> Result<Vec<(Version, PathBuf)>> {
        let mut bases: Vec<(Version, PathBuf)> = list(&self.0)?
            .into_iter()
            .filter_map(|path| {
                let name = path.file_name()?.to_str()?;
                Some((name.strip_prefix(BASE)?.parse().ok()?, path))
            })
            .collect();
        bases.sort_unstable();
        Ok(bases)
    }

    /// The newest whole base.
    pub(super) fn newest_base(&self) -> Result<(Version, PathBuf)> {
        let newest = self.bases()?.pop();
        newest.ok_or_else(|| Error::NotFound {
            what: "base of the catalog in",
            id: self.0.display().to_string(),
        })
    }

    /// Copies a checkpoint here, under no name that counts: [`name_base`](Self::name_base) gives it one. Files that the newest
    /// base has already are linked, not copied. Ends between two files once it is to stop. Answers what was copied, by its path in the checkpoint.
    pub(super) fn put_base(
        &self,
        checkpoint: &Path,
        faults: &Faults,
        stopping: &AtomicBool,
    ) -> Result<BTreeSet<PathBuf>> {
        let mut copied = BTreeSet::new();
        let partial = self.0.join(PARTIAL_BASE);
        remove_tree(&partial)?;
        let older = self.bases()?.pop().map(|(_, path)| path);
        copy_tree(checkpoint, &partial, &mut |from, to, relative| {
            step(faults, to)?;
            if stopping.load(Ordering::Acquire) {
                return Err(Error::Closed);
            }
            let known = older.as_ref().map(|older| older.join(relative)).filter(|known| is_same(known, from));
            if let Some(known) = known {
                return fs::hard_link(&known, to).map_err(|error| Error::io("link", to, error));
            }
            copied.insert(relative.to_owned());
            copy_file(from, to)
        })?;
        Ok(copied)
    }

    /// Where a base lies that has no name yet.
    pub(super) fn partial_base(&self) -> PathBuf {
        self.0.join(PARTIAL_BASE)
    }

    /// From here on the base counts, and older ones are not needed.
    pub(super) fn name_base(&self, version: Version, faults: &Faults) -> Result<()> {
        let (partial, name) = (self.0.join(PARTIAL_BASE), self.0.join(format!("{BASE}{version:020}")));
        step(faults, &name)?;
        if name.exists() {
            // A base of this very version is there: one is as good as the other.
            return remove_tree(&partial);
        }
        fs::rename(&partial, &name).map_err(|error| Error::io("rename", &partial, error))?;
        sync_dir(&self.0)
    }

    /// Removes all bases but the newest.
    pub(super) fn drop_old_bases(&self) -> Result<()> {
        let bases = self.bases()?;
        for (_, path) in bases.iter().take(bases.len().saturating_sub(1)) {
            remove_tree(path)?;
        }
        sync_dir(&self.0)
    }

    /// Brings the small files up to date with those of a data directory. Those that are not there are left alone, and so is what is here of one that is not
    /// right there: that is answered, once all others are here.
    pub(super) fn attach(&self, files: &SmallFiles, faults: &Faults) -> Result<()> {
        private_dir(&self.attached())?;
        let mut outcome = Ok(());
        for name in files.names() {
            let to = self.attached().join(name);
            let bytes = match files.read(name) {
                Ok(Some(bytes)) => bytes,
                Ok(None) => continue,
                Err(error) => {
                    outcome = Err(error);
                    continue;
                }
            };
            if read(&to)?.is_some_and(|there| there == *bytes) {
                continue;
            }
            step(faults, &to)?;
            put_private(&to, &bytes)?;
        }
        outcome
    }

    /// The small files, by their names in the data directory.
    pub(super) fn attachments(&self, names: &[String]) -> Result<Vec<(String, Vec<u8>)>> {
        let found = names.iter().map(|name| Ok((name.clone(), read(&self.attached().join(name))?)));
        let found: Result<Vec<_>> = found.collect();
        Ok(found?.into_iter().filter_map(|(name, bytes)| Some((name, bytes?))).collect())
    }
}

/// Writes a small file for its owner alone, with the directories above it; durable when this returns.
pub(super) fn put_private(path: &Path, bytes: &[u8]) -> Result<()> {
    let Some(dir) = path.parent() else { return Ok(()) };
    if !dir.exists() {
        private_dir(dir)?;
        if let Some(above) = dir.parent() {
            sync_dir(above)?;
        }
    }
    file::replace(path, bytes)
}

/// The zone says no longer that it has a copy.
pub(super) fn forget(place: &Path) -> Result<()> {
    file::remove(&place.join(membership::NAME))
}

/// Removes what a zone has of the catalog, keys included. What it says goes first: what that named no longer counts once files of it may
/// be gone.
pub(super) fn remove(place: &Path) -> Result<()> {
    forget(place)?;
    remove_others(place, None)
}

/// The bytes that are free where a place is.
pub(super) fn free(place: &Path) -> Result<u64> {
    let stat = rustix::fs::statvfs(place).map_err(|error| Error::io("look at", place, error.into()))?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Bytes of all files below a directory.
pub(super) fn bytes_below(dir: &Path) -> Result<u64> {
    let mut bytes = 0_u64;
    for path in list(dir)? {
        let more = if path.is_dir() {
            bytes_below(&path)?
        } else {
            // RocksDB removes files meanwhile.
            fs::metadata(&path).map_or(0, |metadata| metadata.len())
        };
        bytes = bytes.saturating_add(more);
    }
    Ok(bytes)
}

fn remove_others(place: &Path, kept: Option<&CopyDir>) -> Result<()> {
    for path in list(place)? {
        let named = path.file_name().and_then(|name| name.to_str());
        let is_epoch = named.is_some_and(|name| name.len() == 16 && u64::from_str_radix(name, 16).is_ok());
        if is_epoch && kept.is_none_or(|kept| kept.0 != path) {
            remove_tree(&path)?;
        }
    }
    sync_dir(place)
}

/// A place where tests let a step of making a copy fail.
pub(super) fn step(faults: &Faults, path: &Path) -> Result<()> {
    faults.check(Point::CatalogCopy).map_err(|error| Error::io("write", path, error))
}

/// Copies all that lies below a directory to one that is made, each file by `put`, directories synced.
pub(super) fn copy_tree(
    from: &Path,
    to: &Path,
    put: &mut dyn FnMut(&Path, &Path, &Path) -> Result<()>,
) -> Result<()> {
    copy_level(from, to, Path::new(""), put)
}

fn copy_level(
    from: &Path,
    to: &Path,
    relative: &Path,
    put: &mut dyn FnMut(&Path, &Path, &Path) -> Result<()>,
) -> Result<()> {
    private_dir(to)?;
    for path in list(from)? {
        let Some(name) = path.file_name() else { continue };
        let (to, relative) = (to.join(name), relative.join(name));
        if path.is_dir() {
            copy_level(&path, &to, &relative, put)?;
        } else {
            put(&path, &to, &relative)?;
        }
    }
    sync_dir(to)
}

/// Copies a file; durable, but for its name, when this returns.
pub(super) fn copy_file(from: &Path, to: &Path) -> Result<()> {
    let mut source = fs::File::open(from).map_err(|error| Error::io("open", from, error))?;
    let mut target = fs::File::create(to).map_err(|error| Error::io("create", to, error))?;
    std::io::copy(&mut source, &mut target).map_err(|error| Error::io("copy to", to, error))?;
    target.sync_all().map_err(|error| Error::io("sync", to, error))
}

fn is_same(known: &Path, from: &Path) -> bool {
    let immutable = from.extension().and_then(|ext| ext.to_str()).is_some_and(|ext| IMMUTABLE.contains(&ext));
    let len = |path: &Path| fs::metadata(path).ok().map(|metadata| metadata.len());
    immutable && len(known).is_some_and(|known| Some(known) == len(from))
}

fn list(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(dir).map_err(|error| Error::io("list", dir, error))? {
        paths.push(entry.map_err(|error| Error::io("list", dir, error))?.path());
    }
    Ok(paths)
}

fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(Error::io("read", path, error)),
    }
}

/// A directory that its owner alone may enter; one that is there stays as it is. None above it is made: its disk may not be mounted.
pub(super) fn private_dir(dir: &Path) -> Result<()> {
    match fs::DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(Error::io("create", dir, error)),
        _ => Ok(()),
    }
}

pub(super) fn remove_tree(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::io("remove", path, error)),
        _ => Ok(()),
    }
}
