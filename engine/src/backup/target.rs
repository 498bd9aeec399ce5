//! Where a backup goes: a directory (another disk, a network mount) here, an S3 endpoint in the gateway.

use crate::blocking::blocking;
use crate::file::{self, sync_dir};
use crate::{BoxFuture, Error, Result};
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use std::{fs, io};

/// A place that keeps named immutable files, somewhere that does not burn down with the system disk.
///
/// Names are relative, `/`-separated, made of `[0-9a-z./-]`. Every implementation passes [`conformance`].
pub trait Target: Send + Sync {
    /// What to call it in messages and `status`.
    fn describe(&self) -> String;
    /// Stores a copy of `file` under `name`, whole or not at all; durable when it answers. An existing file of that name is
    /// replaced.
    fn put<'a>(&'a self, name: &'a str, file: &'a Path) -> BoxFuture<'a, Result<()>>;
    /// Copies what is stored under `name` to the local path `to`. `NotFound` when there is none.
    fn get<'a>(&'a self, name: &'a str, to: &'a Path) -> BoxFuture<'a, Result<()>>;
    /// All names that start with `prefix`, sorted.
    fn list<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Vec<String>>>;
    /// Removes a name; one that does not exist is no error.
    fn delete<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<()>>;
    /// Removes what it keeps of puts that did not end, of names that start with `prefix`. Nobody may put there meanwhile.
    fn tidy<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<()>>;
}

/// What a file is called until it is whole; names of a target never end so.
const PARTIAL: &str = "partial";

/// A directory. Files appear by rename after a sync, and the directory is synced before the answer.
///
/// It stays the one that was opened: one that was removed, or whose disk was unmounted, is an error and is not made anew, for what
/// goes there alone is no backup.
#[derive(Clone, Debug)]
pub struct DirectoryTarget {
    root: PathBuf,
    /// Device and inode.
    identity: (u64, u64),
}

impl DirectoryTarget {
    /// Files below `root`, which is created (0700) when it is not there.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self> {
        let root = root.into();
        create_private(&root)?;
        let identity = identity(&root)?;
        Ok(Self { root, identity })
    }

    fn is_there(&self) -> Result<()> {
        if identity(&self.root)? == self.identity {
            return Ok(());
        }
        let why = "it is another directory than at the start: mount its disk again, or restart to go on with this one";
        Err(Error::io("use", &self.root, io::Error::other(why)))
    }

    /// Refuses every name that could leave the root.
    fn path(&self, name: &str) -> Result<PathBuf> {
        let plain =
            !name.is_empty() && Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
        if plain {
            Ok(self.root.join(name))
        } else {
            Err(Error::Invalid(format!("use backup file name {name:?}")))
        }
    }
}

fn identity(root: &Path) -> Result<(u64, u64)> {
    let found = fs::metadata(root).map_err(|error| Error::io("find", root, error))?;
    Ok((found.dev(), found.ino()))
}

/// `mkdir -p`, each new level 0700 and synced into its parent.
fn create_private(dir: &Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    if dir.is_dir() {
        return Ok(());
    }
    if let Some(parent) = dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        create_private(parent)?;
    }
    match fs::DirBuilder::new().mode(0o700).create(dir) {
        Ok(()) => sync_dir(dir.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(Error::io("create", dir, error)),
    }
}

/// Copies, syncs, renames, syncs the directory.
fn install(from: &Path, to: &Path) -> Result<()> {
    let parent = to.parent().unwrap_or(Path::new("."));
    create_private(parent)?;
    let partial = to.with_extension(PARTIAL);
    let installed = copy_whole(from, &partial)
        .and_then(|()| fs::rename(&partial, to).map_err(|error| Error::io("rename", &partial, error)));
    if installed.is_err() {
        // The room may be what was wanting. What stays goes when the target is tidied.
        drop(fs::remove_file(&partial));
    }
    installed.and_then(|()| sync_dir(parent))
}

fn copy_whole(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to).map_err(|error| Error::io("write", to, error))?;
    fs::File::open(to).and_then(|file| file.sync_all()).map_err(|error| Error::io("sync", to, error))
}

/// The names below `dir` that start with `prefix`: of whole files, or of those in part.
fn collect(root: &Path, dir: &Path, (prefix, whole): (&str, bool), names: &mut Vec<String>) -> Result<()> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Error::io("list", dir, error)),
    };
    for entry in entries {
        let path = entry.map_err(|error| Error::io("list", dir, error))?.path();
        if path.is_dir() {
            collect(root, &path, (prefix, whole), names)?;
        } else if path.extension().is_none_or(|extension| extension != PARTIAL) == whole {
            let name = path.strip_prefix(root).ok().and_then(Path::to_str).map(str::to_owned);
            names.extend(name.filter(|name| name.starts_with(prefix)));
        }
    }
    Ok(())
}

impl Target for DirectoryTarget {
    fn describe(&self) -> String {
        format!("directory {}", self.root.display())
    }

    fn put<'a>(&'a self, name: &'a str, file: &'a Path) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let (this, from, to) = (self.clone(), file.to_owned(), self.path(name)?);
            blocking(move || this.is_there().and_then(|()| install(&from, &to))).await
        })
    }

    fn get<'a>(&'a self, name: &'a str, to: &'a Path) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let (from, to, id) = (self.path(name)?, to.to_owned(), name.to_owned());
            // Anybody may have put it there: a FIFO is waited for by nobody, and no link is followed.
            let copy =
                |from: &Path, to: &Path| io::copy(&mut file::open_itself(from)?, &mut fs::File::create(to)?);
            blocking(move || match copy(&from, &to) {
                Ok(_) => Ok(()),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound && !from.exists() => {
                    Err(Error::NotFound { what: "backup file", id })
                }
                Err(error) => Err(Error::io("copy", from, error)),
            })
            .await
        })
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Vec<String>>> {
        Box::pin(async move {
            let (this, prefix) = (self.clone(), prefix.to_owned());
            blocking(move || {
                this.is_there()?;
                let mut names = Vec::new();
                collect(&this.root, &this.root, (&prefix, true), &mut names)?;
                names.sort();
                Ok(names)
            })
            .await
        })
    }

    fn delete<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let path = self.path(name)?;
            blocking(move || match fs::remove_file(&path) {
                Ok(()) => Ok(()),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
                Err(error) => Err(Error::io("delete", path, error)),
            })
            .await
        })
    }

    fn tidy<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let (this, prefix) = (self.clone(), prefix.to_owned());
            blocking(move || {
                this.is_there()?;
                let mut names = Vec::new();
                collect(&this.root, &this.root, (&prefix, false), &mut names)?;
                names.iter().map(|name| this.root.join(name)).try_for_each(|path| {
                    fs::remove_file(&path).map_err(|error| Error::io("remove", &path, error))
                })
            })
            .await
        })
    }
}

/// What every [`Target`] does alike; `scratch` is a local directory for the files that go to and fro.
#[doc(hidden)]
pub async fn conformance(target: &dyn Target, scratch: &Path) -> Result<()> {
    let write = |name: &str, bytes: &[u8]| {
        let path = scratch.join(name);
        fs::write(&path, bytes).map_err(|error| Error::io("write", &path, error)).map(|()| path)
    };
    let read = |path: &Path| fs::read(path).map_err(|error| Error::io("read", path, error));
    let back = scratch.join("back");

    assert!(
        matches!(target.get("log/none.age", &back).await, Err(Error::NotFound { .. })),
        "a missing name is NotFound"
    );
    target.delete("log/none.age").await?;
    let one = write("one", b"one")?;
    let two = write("two", &vec![2; 9 << 20])?;
    target.put("log/b.age", &one).await?;
    target.put("log/a.age", &two).await?;
    target.put("base/c.age", &one).await?;
    assert_eq!(target.list("log/").await?, ["log/a.age", "log/b.age"]);
    assert_eq!(target.list("nothing/").await?, Vec::<String>::new());
    target.get("log/a.age", &back).await?;
    assert!(read(&back)? == read(&two)?, "bytes come back as they went");
    target.put("log/a.age", &one).await?;
    target.get("log/a.age", &back).await?;
    assert_eq!(read(&back)?, b"one", "a second put replaces");
    target.delete("log/a.age").await?;
    assert_eq!(target.list("log/").await?, ["log/b.age"]);
    target.tidy("").await?;
    assert_eq!(target.list("").await?, ["base/c.age", "log/b.age"], "what is whole stays");
    for bad in ["", "/etc/passwd", "../up", "a/../../b"] {
        assert!(matches!(target.put(bad, &one).await, Err(Error::Invalid(_))), "name {bad:?} is refused");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{DirectoryTarget, Target, conformance, install};
    use std::fs;

    #[tokio::test]
    async fn what_was_put_in_part_goes() {
        let dir = tempfile::tempdir().unwrap();
        let target = DirectoryTarget::open(dir.path().join("target")).unwrap();
        let from = dir.path().join("from");
        fs::write(&from, b"bytes").unwrap();
        // Nothing can take the place of a directory.
        let in_the_way = dir.path().join("target/file/a.age");
        fs::create_dir_all(in_the_way.join("in the way")).unwrap();
        target.put("file/a.age", &from).await.unwrap_err();
        let below = |name: &str| fs::read_dir(dir.path().join("target").join(name)).unwrap().count();
        assert_eq!(below("file"), 1, "what failed leaves nothing");
        // As a crash leaves them.
        for name in ["file/b.partial", "file/c.partial", "log/d.partial"] {
            target.put(&name.replace("partial", "age"), &from).await.unwrap();
            fs::write(dir.path().join("target").join(name), b"byt").unwrap();
        }
        target.tidy("file/").await.unwrap();
        assert_eq!((below("file"), below("log")), (3, 2));
        target.tidy("").await.unwrap();
        assert_eq!((below("file"), below("log")), (3, 1));
        assert_eq!(target.list("").await.unwrap(), ["file/b.age", "file/c.age", "log/d.age"]);
    }

    #[tokio::test]
    async fn what_is_no_file_is_refused_and_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let target = DirectoryTarget::open(dir.path().join("target")).unwrap();
        let place = |name: &str| dir.path().join("target").join(name);
        fs::write(dir.path().join("elsewhere"), b"bytes").unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, place("fifo.age"), rustix::fs::Mode::RUSR).unwrap();
        std::os::unix::fs::symlink("/dev/zero", place("zero.age")).unwrap();
        std::os::unix::fs::symlink(dir.path().join("elsewhere"), place("link.age")).unwrap();
        fs::create_dir(place("dir.age")).unwrap();
        for name in ["fifo.age", "zero.age", "link.age", "dir.age"] {
            let refused = target.get(name, &dir.path().join("to")).await.unwrap_err();
            assert!(refused.to_string().contains("it is "), "{name}: {refused}");
        }
    }

    #[tokio::test]
    async fn directory_conforms() {
        let dir = tempfile::tempdir().unwrap();
        let scratch = tempfile::tempdir().unwrap();
        let target = DirectoryTarget::open(dir.path().join("deep/er")).unwrap();
        conformance(&target, scratch.path()).await.unwrap();
    }

    #[test]
    fn a_file_of_a_backup_is_whole_and_there_once_it_was_said_to_be() {
        let scratch = tempfile::tempdir().unwrap();
        let from = scratch.path().join("from");
        let (old, new) = (vec![1; 3_000], vec![2; 200_000]);
        fs::write(&from, &new).unwrap();
        for replaces in [true, false] {
            powercut::at_every_step(
                "a_file_of_a_backup_is_whole_and_there_once_it_was_said_to_be",
                |dir| {
                    if replaces {
                        fs::create_dir(dir.join("log")).unwrap();
                        fs::write(dir.join("log/a.age"), &old).unwrap();
                    }
                },
                |dir| drop(install(&from, &dir.join("log/a.age"))),
                |dir, cut| match fs::read(dir.join("log/a.age")) {
                    Ok(found) => assert!(found == new || (replaces && found == old && !cut.ended), "{cut}"),
                    Err(_) => assert!(!replaces && !cut.ended, "{cut}"),
                },
            );
        }
    }
}
