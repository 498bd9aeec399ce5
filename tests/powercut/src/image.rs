//! Between the backing directory and the layer: an image is read at mount and laid out anew at unmount.
//!
//! Names are laid out in a fresh subdirectory by hard links to the open backing files, then the old image is removed and
//! the new one moved up. Files without a name (created under the mount) are linked from `/proc/self/fd`.

use crate::content::Content;
use crate::namespace::{Body, Ino, Namespace, ROOT};
use crate::{Discipline, Error};
use rustix::fs::{AtFlags, CWD, linkat};
use std::fs::{self, Permissions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Where a new image grows; never seen through the mount.
const NEXT: &str = ".powercut-next";

/// Reads an image: everything in it counts as synced.
pub(crate) fn load(backing: &Path, discipline: Discipline) -> Result<Namespace, Error> {
    let root = fs::metadata(backing).map_err(Error::io("read", backing))?;
    let mut names = Namespace::new(root.mode(), (root.uid(), root.gid()), discipline);
    let mut waiting: Vec<(Ino, PathBuf)> = vec![(ROOT, backing.to_owned())];
    while let Some((dir, path)) = waiting.pop() {
        for entry in fs::read_dir(&path).map_err(Error::io("list", &path))? {
            let entry = entry.map_err(Error::io("list", &path))?;
            let child = entry.path();
            let meta = fs::symlink_metadata(&child).map_err(Error::io("read", &child))?;
            let body = if meta.is_dir() {
                Body::Directory { parent: dir }
            } else if meta.is_symlink() {
                Body::Symlink(fs::read_link(&child).map_err(Error::io("read", &child))?)
            } else {
                let file = fs::OpenOptions::new().read(true).write(true).open(&child);
                Body::File(file.and_then(Content::over).map_err(Error::io("open", &child))?)
            };
            let ino = names.create(dir, &entry.file_name(), body, meta.mode(), (meta.uid(), meta.gid()));
            if meta.is_dir() {
                waiting.push((ino, child));
            }
        }
    }
    names.settle_all();
    Ok(names)
}

/// Writes the durable tree out, in the place of the image that was loaded.
pub(crate) fn lay_out(backing: &Path, names: &Namespace) -> Result<(), Error> {
    let next = backing.join(NEXT);
    fs::create_dir(&next).map_err(Error::io("create", &next))?;
    let mut waiting: Vec<(Ino, PathBuf)> = vec![(ROOT, next.clone())];
    while let Some((dir, path)) = waiting.pop() {
        for (name, ino) in names.durable_entries(dir) {
            let Some(node) = names.node(ino) else { continue };
            let child = path.join(name);
            match &node.body {
                Body::File(content) => {
                    let open = format!("/proc/self/fd/{}", content.file().as_raw_fd());
                    linkat(CWD, open.as_str(), CWD, &child, AtFlags::SYMLINK_FOLLOW)
                        .map_err(|errno| Error::io("link", &child)(errno.into()))?;
                }
                Body::Symlink(target) => {
                    std::os::unix::fs::symlink(target, &child).map_err(Error::io("create", &child))?;
                }
                Body::Directory { .. } => {
                    fs::create_dir(&child).map_err(Error::io("create", &child))?;
                    fs::set_permissions(&child, Permissions::from_mode(node.mode & 0o7777))
                        .map_err(Error::io("set the mode of", &child))?;
                    waiting.push((ino, child));
                }
            }
        }
    }
    replace(backing, &next)
}

/// Removes the old image and moves the new one up.
fn replace(backing: &Path, next: &Path) -> Result<(), Error> {
    for entry in fs::read_dir(backing).map_err(Error::io("list", backing))? {
        let path = entry.map_err(Error::io("list", backing))?.path();
        if path == next {
            continue;
        }
        let is_dir = fs::symlink_metadata(&path).map_err(Error::io("read", &path))?.is_dir();
        let removed = if is_dir { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        removed.map_err(Error::io("remove", &path))?;
    }
    for entry in fs::read_dir(next).map_err(Error::io("list", next))? {
        let entry = entry.map_err(Error::io("list", next))?;
        let target = backing.join(entry.file_name());
        fs::rename(entry.path(), &target).map_err(Error::io("move up to", &target))?;
    }
    fs::remove_dir(next).map_err(Error::io("remove", next))
}
