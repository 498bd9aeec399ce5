//! Small files that are whole or absent, names that last, and zeros ahead of what is to be written.
//!
//! ```text
//!   NAME.new (0600) ─► written, synced ─► renamed to NAME ─► its directory synced
//! ```
//!
//! A crash leaves the old file, the new one or none, and perhaps a `.new`, which the next write of that name removes. Two
//! writers of one name at a time are kept apart by their callers' locks.

use crate::{Error, Result};
use rustix::fs::OFlags;
use rustix::io::Errno;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// How a file's name goes on until it is whole.
pub const PARTIAL: &str = ".new";

/// Puts a file for its owner alone in the place of whatever has its name; durable when this returns.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let partial = write_partial(path, bytes)?;
    install(&partial, path)
}

/// The same for a name that must be free: `false`, and nothing is changed, when it is taken.
pub fn create(path: &Path, bytes: &[u8]) -> Result<bool> {
    let partial = write_partial(path, bytes)?;
    if path.try_exists().map_err(|error| Error::io("look for", path, error))? {
        fs::remove_file(&partial).map_err(|error| Error::io("remove", &partial, error))?;
        return Ok(false);
    }
    install(&partial, path).map(|()| true)
}

/// Makes what was created, renamed or removed in a directory durable.
pub fn sync_dir(dir: &Path) -> Result<()> {
    fs::File::open(dir).and_then(|dir| dir.sync_all()).map_err(|error| Error::io("sync", dir, error))
}

/// Zeros are written in pieces of this size.
const ZEROS: &[u8] = &[0; 1 << 20];

/// Writes zeros from `at` up to `end`, while `go_on` says so between two pieces; answers whether it got there.
pub(crate) fn write_zeros(
    file: &fs::File,
    mut at: u64,
    end: u64,
    go_on: impl Fn() -> bool,
) -> std::io::Result<bool> {
    while at < end {
        if !go_on() {
            return Ok(false);
        }
        let piece = ZEROS.len().min(usize::try_from(end - at).unwrap_or(usize::MAX));
        file.write_all_at(&ZEROS[..piece], at)?;
        at += piece as u64;
    }
    Ok(true)
}

/// Opens what should be a regular file. Anything else is refused, and a FIFO in its place waits for nobody.
pub fn open_regular(path: &Path) -> std::io::Result<fs::File> {
    refuse_others(fs::OpenOptions::new().read(true).custom_flags(flags(OFlags::NONBLOCK)).open(path)?)
}

/// The same; a link is not followed either.
pub fn open_itself(path: &Path) -> std::io::Result<fs::File> {
    let mut options = fs::OpenOptions::new();
    refuse_link(options.read(true).custom_flags(flags(OFlags::NONBLOCK | OFlags::NOFOLLOW)).open(path))
}

/// The bytes of what should be a regular file.
pub fn read_regular(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open_regular(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Opens a file to read and write it, or makes it for its owner alone. A link in its place is not followed: what it leads to
/// is somebody else's.
pub fn open_or_make(path: &Path) -> std::io::Result<fs::File> {
    let mut options = fs::OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    refuse_link(options.custom_flags(flags(OFlags::NONBLOCK | OFlags::NOFOLLOW)).open(path))
}

fn refuse_link(opened: std::io::Result<fs::File>) -> std::io::Result<fs::File> {
    match opened {
        Err(error) if Errno::from_io_error(&error) == Some(Errno::LOOP) => {
            Err(std::io::Error::other("it is a symbolic link, which is not followed; remove it"))
        }
        opened => refuse_others(opened?),
    }
}

fn refuse_others(file: fs::File) -> std::io::Result<fs::File> {
    if file.metadata()?.is_file() {
        return Ok(file);
    }
    Err(std::io::Error::other("it is no regular file; put the file back in its place"))
}

#[expect(clippy::cast_possible_wrap, reason = "bits, not a number")]
const fn flags(flags: OFlags) -> i32 {
    flags.bits() as i32
}

/// Removes a file, durably. One that is not there is removed already.
pub fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        outcome => outcome.map_err(|error| Error::io("remove", path, error))?,
    }
    path.parent().map_or(Ok(()), sync_dir)
}

fn write_partial(path: &Path, bytes: &[u8]) -> Result<PathBuf> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(PARTIAL);
    let partial = PathBuf::from(partial);
    // Made anew, so that neither its mode nor its owner is that of what somebody left there.
    match fs::remove_file(&partial) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(Error::io("remove", partial, error));
        }
        _ => {}
    }
    let written = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&partial)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()));
    written.map_err(|error| Error::io("write", &partial, error))?;
    Ok(partial)
}

fn install(partial: &Path, path: &Path) -> Result<()> {
    fs::rename(partial, path).map_err(|error| Error::io("rename", partial, error))?;
    sync_dir(path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")))
}

#[cfg(test)]
mod tests {
    use super::{create, open_or_make, open_regular, read_regular, replace};
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    #[test]
    fn a_file_is_replaced_whole_and_private_whatever_a_crash_left() {
        let dir = tempfile::tempdir().unwrap();
        let (path, partial) = (dir.path().join("a.b"), dir.path().join("a.b.new"));
        fs::write(&partial, "half of it, for all to read").unwrap();
        fs::set_permissions(&partial, fs::Permissions::from_mode(0o644)).unwrap();
        for content in ["one", "two"] {
            replace(&path, content.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert!(!partial.exists());
    }

    #[test]
    fn a_power_cut_leaves_a_small_file_whole_and_its_name_where_it_was_said_to_be() {
        const TEST: &str = "a_power_cut_leaves_a_small_file_whole_and_its_name_where_it_was_said_to_be";
        let (old, new) = (vec![1; 3_000], vec![2; 5_000]);
        let found = |dir: &Path| fs::read(dir.join("a"));
        powercut::at_every_step(
            TEST,
            |dir| fs::write(dir.join("a"), &old).unwrap(),
            |dir| drop(replace(&dir.join("a"), &new)),
            |dir, cut| {
                let found = found(dir).unwrap();
                assert!(found == new || (found == old && !cut.ended), "{cut}");
            },
        );
        powercut::at_every_step(
            TEST,
            |_| {},
            |dir| drop(create(&dir.join("a"), &new)),
            |dir, cut| match found(dir) {
                Ok(found) => assert!(found == new, "{cut}"),
                Err(_) => assert!(!cut.ended, "{cut}"),
            },
        );
    }

    #[test]
    fn a_fifo_is_refused_at_once_and_a_link_is_not_written_through() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name| dir.path().join(name);
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mkfifoat(rustix::fs::CWD, at("fifo"), mode).unwrap();
        for refused in [open_regular(&at("fifo")).map(drop), open_or_make(&at("fifo")).map(drop)] {
            let refused = refused.unwrap_err().to_string();
            assert!(refused.contains("no regular file"), "{refused}");
        }
        fs::write(at("file"), "kept").unwrap();
        std::os::unix::fs::symlink("file", at("link")).unwrap();
        let refused = open_or_make(&at("link")).unwrap_err().to_string();
        assert!(refused.contains("symbolic link"), "{refused}");
        // Secrets may be mounted by links.
        assert_eq!(read_regular(&at("link")).unwrap(), b"kept");
        open_or_make(&at("new")).unwrap();
        assert_eq!(fs::metadata(at("new")).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_name_that_is_taken_keeps_what_it_names() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        assert!(create(&path, b"one").unwrap());
        assert!(!create(&path, b"two").unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"one");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
