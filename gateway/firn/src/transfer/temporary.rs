//! The file that a download writes to, beside its target, until it may take the target's name.
//!
//! Its name is made of the target's, so that the next download to that target finds what a process that was killed left
//! behind, and removes it. It ends with a byte that is in no text: every key is text, and so no object ever comes to such a
//! name. It is locked (flock) while it is written to: what another run is at stays. On a file system
//! without locks two downloads to one target at once are not told apart.
//!
//! Where a file system has names of text alone (some over the network, exFAT), the name has none but its digits. An object may
//! be called so, too: what lies there stays, and the next one is taken.
//!
//! It is removed when it is dropped unpublished: after an error and after an interruption ([`Pending`]). Only what ends the
//! process at once (SIGKILL, a power cut) leaves it, until the next download to that target, or the next `sync` to its
//! directory.

use crate::exit::{Exit, Failure};
use crate::settle::Pending;
use anyhow::Context;
use engine::clock::Timestamp;
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

/// What names of temporary files begin with; 32 hexadecimal digits follow.
const BEGINNING: &str = ".firn-partial-";
/// What they end with: UTF-8 has no such byte.
const END: u8 = 0xff;
/// How often the name is tried to be taken while others give it up at the same moment.
const ATTEMPTS: usize = 10;

/// A file beside its target that is removed unless it is published.
pub(crate) struct Temporary {
    file: Arc<File>,
    path: PathBuf,
    published: bool,
    /// The process does not end before this file is gone.
    _pending: Pending,
}

impl Temporary {
    /// Makes it, and the target's directory.
    pub(crate) async fn create(target: &Path, pending: Pending) -> anyhow::Result<Self> {
        let target = target.to_owned();
        tokio::task::spawn_blocking(move || Self::create_here(&target, pending)).await?
    }

    fn create_here(target: &Path, pending: Pending) -> anyhow::Result<Self> {
        let directory = target.parent().unwrap_or(Path::new("."));
        if !directory.as_os_str().is_empty() {
            std::fs::create_dir_all(directory).map_err(|error| clash(directory, error))?;
        }
        if target.is_dir() {
            let text = format!("write {}: a directory has that name", target.display());
            return Err(Failure::new(Exit::Conflict, text).into());
        }
        if std::fs::symlink_metadata(target).is_ok_and(|found| !found.is_file() && !found.is_symlink()) {
            let text = format!("write {}: a device, FIFO or socket has that name", target.display());
            return Err(Failure::new(Exit::Conflict, text)
                .hint("firn cp of one object writes into a device or a FIFO as it is")
                .into());
        }
        let path = path_for(target);
        for _ in 0..ATTEMPTS {
            match OpenOptions::new().write(true).create_new(true).open(&path) {
                Ok(file) => {
                    let ours = lock(&file) && is_at(&file, &path);
                    if ours {
                        return Ok(Self { file: Arc::new(file), path, published: false, _pending: pending });
                    }
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                    if !remove_stale(&path).with_context(|| format!("remove {}", path.display()))? {
                        break;
                    }
                }
                Err(error) if refuses_the_name(&error) => return Self::with_a_text_for_name(target, pending),
                Err(error) => return Err(error).with_context(|| format!("create {}", path.display())),
            }
        }
        Err(under_way(target))
    }

    /// The same where names are text: whatever lies there already stays.
    fn with_a_text_for_name(target: &Path, pending: Pending) -> anyhow::Result<Self> {
        for attempt in 0..ATTEMPTS {
            let path = text_path_for(target, attempt);
            match OpenOptions::new().write(true).create_new(true).open(&path) {
                Ok(file) => {
                    lock(&file);
                    return Ok(Self { file: Arc::new(file), path, published: false, _pending: pending });
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                    if is_locked(&path) {
                        return Err(under_way(target));
                    }
                }
                Err(error) => return Err(error).with_context(|| format!("create {}", path.display())),
            }
        }
        let text = format!("write {}: files of interrupted downloads lie beside it", target.display());
        Err(Failure::new(Exit::Conflict, text)
            .hint(format!("look at them, and remove them: {BEGINNING}*"))
            .into())
    }

    /// Where its bytes lie by now.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) async fn write(&self, at: u64, data: bytes::Bytes) -> anyhow::Result<()> {
        let file = self.file.clone();
        let written = tokio::task::spawn_blocking(move || file.write_all_at(&data, at)).await?;
        written.with_context(|| format!("write {}", self.path.display()))
    }

    /// Gives the bytes their name, and the time of the object's last change. `durable`: a power cut behind it takes neither away.
    pub(crate) async fn publish(
        self,
        target: &Path,
        modified: Option<Timestamp>,
        durable: bool,
    ) -> anyhow::Result<()> {
        let target = target.to_owned();
        tokio::task::spawn_blocking(move || {
            if durable {
                self.file.sync_all().with_context(|| format!("sync {}", self.path.display()))?;
            }
            self.publish_here(&target, modified)?;
            if durable { sync_directories(&target) } else { Ok(()) }
        })
        .await?
    }

    fn publish_here(mut self, target: &Path, modified: Option<Timestamp>) -> anyhow::Result<()> {
        if let Some(ms) = modified.and_then(|time| u64::try_from(time.as_millis()).ok()) {
            self.file.set_modified(UNIX_EPOCH + Duration::from_millis(ms))?;
        }
        // On a file system whose locks don't hold, another download may have taken the name.
        if !is_at(&self.file, &self.path) {
            let text =
                format!("write {}: something else took {} away", target.display(), self.path.display());
            return Err(Failure::new(Exit::Conflict, text).hint("was there another download to it?").into());
        }
        std::fs::rename(&self.path, target).map_err(|error| clash(target, error))?;
        self.published = true;
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.published
            && is_at(&self.file, &self.path)
            && let Err(error) = std::fs::remove_file(&self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "failed to remove a temporary file");
        }
    }
}

/// Makes a file's name durable, and those of the directories above it, some of which may be new. One that may not be read is none that we
/// made.
fn sync_directories(target: &Path) -> anyhow::Result<()> {
    let parent = target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let parent = parent.canonicalize().with_context(|| format!("sync {}", parent.display()))?;
    for directory in parent.ancestors() {
        match File::open(directory).and_then(|opened| opened.sync_all()) {
            Err(error) if error.kind() != ErrorKind::PermissionDenied => {
                return Err(error).with_context(|| format!("sync {}", directory.display()));
            }
            _ => {}
        }
    }
    Ok(())
}

/// The name is of one length, however long the target's is.
fn path_for(target: &Path) -> PathBuf {
    let mut name = text_name(target.file_name().unwrap_or_default().as_bytes()).into_bytes();
    name.push(END);
    target.with_file_name(OsString::from_vec(name))
}

fn text_path_for(target: &Path, attempt: usize) -> PathBuf {
    let mut of = target.file_name().unwrap_or_default().as_bytes().to_vec();
    // No name has a slash.
    of.extend_from_slice(format!("/{attempt}").as_bytes());
    target.with_file_name(text_name(&of))
}

fn text_name(of: &[u8]) -> String {
    format!("{BEGINNING}{}", client::md5_etag(of))
}

/// Whether a name is one of ours, which nothing that came from an endpoint can have.
pub(super) fn is_temporary(name: &OsStr) -> bool {
    let digits =
        name.as_bytes().strip_prefix(BEGINNING.as_bytes()).and_then(|rest| rest.strip_suffix(&[END]));
    digits.is_some_and(|digits| digits.len() == 32 && digits.iter().all(u8::is_ascii_hexdigit))
}

/// How file systems answer that have no names but text.
fn refuses_the_name(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::INVAL | Errno::ILSEQ))
}

fn under_way(target: &Path) -> anyhow::Error {
    let text = format!("write {}: another download to it is under way", target.display());
    Failure::new(Exit::Conflict, text).into()
}

fn is_locked(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|found| found.is_file())
        && open_to_lock(path).is_ok_and(|file| !lock(&file))
}

/// Takes the lock; true also where the file system has none.
fn lock(file: &File) -> bool {
    !matches!(file.try_lock(), Err(TryLockError::WouldBlock))
}

/// Whether a path still names this file.
fn is_at(file: &File, path: &Path) -> bool {
    let (Ok(ours), Ok(there)) = (file.metadata(), std::fs::symlink_metadata(path)) else { return false };
    (ours.dev(), ours.ino()) == (there.dev(), there.ino())
}

/// For writing: NFS refuses an exclusive lock on what is open for reading (EBADF). Somebody else's can only be read.
fn open_to_lock(path: &Path) -> io::Result<File> {
    match OpenOptions::new().write(true).open(path) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => File::open(path),
        opened => opened,
    }
}

/// Removes a temporary file that nobody writes to; false when somebody does.
pub(super) fn remove_stale(path: &Path) -> io::Result<bool> {
    let gone = |error: io::Error| if error.kind() == ErrorKind::NotFound { Ok(true) } else { Err(error) };
    let found = match std::fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) => return gone(error),
    };
    if found.is_file() {
        let file = match open_to_lock(path) {
            Ok(file) => file,
            Err(error) => return gone(error),
        };
        if !lock(&file) {
            return Ok(false);
        }
        if !is_at(&file, path) {
            // It was published or removed meanwhile.
            return Ok(true);
        }
        // The lock is held while it goes.
        return std::fs::remove_file(path).map(|()| true).or_else(gone);
    }
    std::fs::remove_file(path).map(|()| true).or_else(gone)
}

/// Keys `a` and `a/b` can both be objects; as files one of them is in the other's way.
fn clash(path: &Path, error: io::Error) -> anyhow::Error {
    let why = match error.kind() {
        ErrorKind::NotADirectory | ErrorKind::AlreadyExists | ErrorKind::IsADirectory => {
            "another key needs that name as a file or a directory"
        }
        _ => return anyhow::Error::from(error).context(format!("write {}", path.display())),
    };
    Failure::new(Exit::Conflict, format!("write {}: {why}", path.display())).into()
}

#[cfg(test)]
mod tests {
    use super::{Temporary, is_temporary, path_for, refuses_the_name, remove_stale, text_path_for};
    use crate::exit::{self, Exit};
    use crate::settle::pair;
    use std::fs;
    use std::path::Path;

    fn left(dir: &Path) -> usize {
        fs::read_dir(dir).unwrap().count()
    }

    #[tokio::test]
    async fn a_killed_downloads_file_is_replaced_and_one_under_way_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("target");
        let (pending, _settled) = pair();
        fs::write(path_for(&target), "half of an older one, and longer").unwrap();
        let first = Temporary::create(&target, pending.clone()).await.unwrap();
        first.write(0, "new".into()).await.unwrap();
        assert!(!remove_stale(&first.path).unwrap(), "it is being written to");
        let refused = Temporary::create(&target, pending.clone()).await.err().unwrap();
        assert!(refused.to_string().contains("under way"), "{refused}");
        first.publish(&target, None, true).await.unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "new");
        assert_eq!(left(dir.path()), 1);
        // A link in its place is taken away, not followed.
        fs::write(dir.path().join("precious"), "kept").unwrap();
        std::os::unix::fs::symlink("precious", path_for(&target)).unwrap();
        let second = Temporary::create(&target, pending).await.unwrap();
        second.write(0, "newer".into()).await.unwrap();
        drop(second);
        assert_eq!(fs::read_to_string(dir.path().join("precious")).unwrap(), "kept");
        assert_eq!(left(dir.path()), 2, "dropped unpublished it is gone");
    }

    #[tokio::test]
    async fn a_file_that_is_no_more_ours_is_neither_published_nor_removed() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("target");
        let (pending, _settled) = pair();
        let first = Temporary::create(&target, pending).await.unwrap();
        fs::remove_file(&first.path).unwrap();
        fs::write(&first.path, "another's").unwrap();
        let refused = first.publish(&target, None, false).await.unwrap_err();
        assert_eq!(exit::of(&refused), Exit::Conflict, "{refused}");
        assert!(!target.exists());
        assert_eq!(fs::read_to_string(path_for(&target)).unwrap(), "another's");
    }

    #[test]
    fn a_temporary_file_has_a_name_that_no_key_makes() {
        let ours = path_for(Path::new("d/target"));
        let name = ours.file_name().unwrap();
        assert!(is_temporary(name) && name.to_str().is_none(), "{name:?}");
        for theirs in [".firn-partial-1", ".firn-partial-0123456789abcdef0123456789abcdef", "target"] {
            assert!(!is_temporary(theirs.as_ref()), "{theirs}");
        }
    }

    #[tokio::test]
    async fn where_names_are_text_nothing_that_lies_there_is_taken_for_a_temporary_file() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("target");
        let (pending, _settled) = pair();
        for errno in [rustix::io::Errno::INVAL, rustix::io::Errno::ILSEQ] {
            assert!(refuses_the_name(&errno.into()));
        }
        let theirs = text_path_for(&target, 0);
        fs::write(&theirs, "an object's").unwrap();
        let ours = Temporary::with_a_text_for_name(&target, pending.clone()).unwrap();
        ours.write(0, "new".into()).await.unwrap();
        let refused = Temporary::with_a_text_for_name(&target, pending).err().unwrap();
        assert!(refused.to_string().contains("under way"), "{refused}");
        ours.publish(&target, None, false).await.unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "new");
        assert_eq!(fs::read_to_string(&theirs).unwrap(), "an object's");
        assert_eq!(left(dir.path()), 2);
    }

    #[tokio::test]
    async fn a_directory_in_its_place_is_a_conflict() {
        let dir = tempfile::tempdir().unwrap();
        let (pending, _settled) = pair();
        let refused = Temporary::create(dir.path(), pending).await.err().unwrap();
        assert_eq!(exit::of(&refused), Exit::Conflict, "{refused}");
    }

    #[test]
    fn what_nobody_writes_to_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(".firn-partial-0");
        let file = |path: &Path| super::open_to_lock(path).unwrap();
        fs::write(&path, "half").unwrap();
        let access = rustix::fs::fcntl_getfl(file(&path)).unwrap();
        assert!(access.contains(rustix::fs::OFlags::WRONLY), "NFS locks nothing else");
        fs::remove_file(&path).unwrap();
        assert!(remove_stale(&path).unwrap());
        fs::write(&path, "half").unwrap();
        assert!(remove_stale(&path).unwrap());
        assert_eq!(left(dir.path()), 0);
    }
}
