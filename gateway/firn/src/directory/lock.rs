//! `DIR/lock`: one process per directory, by flock. The kernel drops it when the process ends, however it ends.

use crate::layout::LOCK;
use engine::file as durable;
use engine::{Error, Result};
use rustix::fs::{FlockOperation, flock};
use std::fs::File;
use std::io::{ErrorKind, Read, Seek, Write};
use std::path::Path;

/// Held while an appliance is open.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock or says who holds it.
    pub(crate) fn take(dir: &Path) -> Result<Self> {
        let path = dir.join(LOCK);
        let mut file = durable::open_or_make(&path).map_err(|error| Error::io("open", &path, error))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Err(Error::InUse { path: dir.to_owned(), pid: holder(&mut file) });
            }
            Err(errno) => return Err(Error::io("lock", path, errno.into())),
        }
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .map_err(|error| Error::io("write", path, error))?;
        Ok(Self { _file: file })
    }

    /// Locks a file that is there and whose bytes stay as they are.
    pub(crate) fn hold(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|error| Error::io("open", path, error))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { _file: file }),
            Err(rustix::io::Errno::WOULDBLOCK) => {
                Err(Error::InUse { path: path.to_owned(), pid: "unknown".to_owned() })
            }
            Err(errno) => Err(Error::io("lock", path, errno.into())),
        }
    }

    /// The same of a file that may not be there.
    pub(crate) fn hold_if_there(path: &Path) -> Result<Option<Self>> {
        match Self::hold(path) {
            Err(Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound => Ok(None),
            held => held.map(Some),
        }
    }

    /// Who holds a directory's lock: a process id, or "unknown"; `None` when nobody does.
    pub(crate) fn holder(dir: &Path) -> std::io::Result<Option<String>> {
        let mut file = match durable::open_regular(&dir.join(LOCK)) {
            Ok(file) => file,
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        match flock(&file, FlockOperation::NonBlockingLockShared) {
            Ok(()) => Ok(None),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(Some(holder(&mut file))),
            Err(errno) => Err(errno.into()),
        }
    }
}

fn holder(file: &mut File) -> String {
    let mut text = String::new();
    let read = file.rewind().and_then(|()| file.take(32).read_to_string(&mut text));
    let pid = text.trim();
    if read.is_ok() && !pid.is_empty() && pid.bytes().all(|byte| byte.is_ascii_digit()) {
        pid.to_owned()
    } else {
        "unknown".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::{LOCK, Lock};
    use engine::Error;

    #[test]
    fn the_second_learns_who_the_first_is() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Lock::holder(dir.path()).unwrap(), None);
        let first = Lock::take(dir.path()).unwrap();
        let me = std::process::id().to_string();
        match Lock::take(dir.path()).unwrap_err() {
            Error::InUse { pid, .. } => assert_eq!(pid, me),
            other => panic!("{other}"),
        }
        assert_eq!(Lock::holder(dir.path()).unwrap(), Some(me));
        drop(first);
        assert_eq!(Lock::holder(dir.path()).unwrap(), None);
        Lock::take(dir.path()).unwrap();
    }

    #[test]
    fn a_link_in_its_place_is_refused_and_what_it_leads_to_kept() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("precious"), "kept").unwrap();
        std::os::unix::fs::symlink("precious", dir.path().join(LOCK)).unwrap();
        let refused = Lock::take(dir.path()).unwrap_err().to_string();
        assert!(refused.contains("symbolic link"), "{refused}");
        assert_eq!(std::fs::read_to_string(dir.path().join("precious")).unwrap(), "kept");
    }

    #[test]
    fn what_an_earlier_holder_wrote_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(LOCK), "98765432109876\n").unwrap();
        let _held = Lock::take(dir.path()).unwrap();
        assert_eq!(Lock::holder(dir.path()).unwrap(), Some(std::process::id().to_string()));
    }
}
