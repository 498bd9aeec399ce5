//! The log's files: appended to, synced, rotated and recycled.
//!
//! A file is written with zeros and synced before its first use, so that later syncs change no file metadata (measured:
//! 100 µs instead of 200). A file that the rows no longer need is renamed and used again, once the newer ones hold what is
//! retained for the backup.

use super::frame::{self, FILE_HEADER, FileHeader, Frame, HEADER, Kind};
use crate::catalog::Version;
use crate::fault::{Faults, Point};
use crate::{Error, Result};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The name of a file that is being made ready.
const SPARE: &str = "spare.tmp";

/// A log file on disk.
#[derive(Clone, Debug)]
pub(in crate::catalog) struct LogFile {
    /// Its header.
    pub(in crate::catalog) header: FileHeader,
    /// Where it is.
    pub(in crate::catalog) path: PathBuf,
}

/// The files, oldest first; the last one is written to.
#[derive(Debug)]
pub(in crate::catalog) struct Files {
    list: Mutex<VecDeque<LogFile>>,
    /// Held by who reads them: no file is recycled meanwhile. The writer never waits for it.
    reading: Mutex<()>,
}

impl Files {
    /// Runs `read` over the files while none of them is recycled.
    pub(in crate::catalog) fn read<T>(&self, read: impl FnOnce(&VecDeque<LogFile>) -> T) -> T {
        let _held = self.reading.lock();
        let files = self.list.lock().clone();
        read(&files)
    }
}

/// How large and how many.
#[derive(Clone, Copy, Debug)]
pub(in crate::catalog) struct Shape {
    /// Length of a file.
    pub(in crate::catalog) file_bytes: u64,
    /// Files kept for the backup after the rows no longer need them.
    pub(in crate::catalog) retained: usize,
}

/// The writing end, owned by the sequencer.
pub(in crate::catalog) struct LogWriter {
    dir: PathBuf,
    shape: Shape,
    faults: Arc<Faults>,
    files: Arc<Files>,
    current: File,
    path: PathBuf,
    log: u64,
    offset: u64,
    /// Last version written.
    written: Version,
    /// Known durable.
    synced: Version,
    /// What the newest frame on disk says is synced.
    told: Version,
    syncs: u64,
}

impl LogWriter {
    /// Starts a new file after those found, from version `start`.
    pub(in crate::catalog) fn start(
        dir: &Path,
        shape: Shape,
        faults: Arc<Faults>,
        found: VecDeque<LogFile>,
        start: Version,
    ) -> Result<Self> {
        if let Some(last) = found.back() {
            let file = File::open(&last.path).map_err(|e| Error::io("open", &last.path, e))?;
            file.sync_data().map_err(|e| Error::io("sync", &last.path, e))?;
        }
        let log = found.back().map_or(1, |file| file.header.log + 1);
        let (current, path) = activate(dir, shape, FileHeader { log, start }, None)?;
        let mut files = found;
        files.push_back(LogFile { header: FileHeader { log, start }, path: path.clone() });
        Ok(Self {
            dir: dir.to_path_buf(),
            shape,
            faults,
            files: Arc::new(Files { list: Mutex::new(files), reading: Mutex::new(()) }),
            current,
            path,
            log,
            offset: FILE_HEADER as u64,
            written: start,
            synced: start,
            told: start,
            syncs: 0,
        })
    }

    /// The files, for readers.
    pub(in crate::catalog) fn files(&self) -> Arc<Files> {
        Arc::clone(&self.files)
    }

    /// Durable through here.
    pub(in crate::catalog) const fn synced(&self) -> Version {
        self.synced
    }

    /// Syncs since the log was started, those of rotations included.
    pub(in crate::catalog) const fn syncs(&self) -> u64 {
        self.syncs
    }

    /// Files whose frames the rows still need, the current one included.
    pub(in crate::catalog) fn needed(&self, flushed: Version) -> usize {
        let files = self.files.list.lock();
        files.len() - files.iter().skip(1).take_while(|next| next.header.start <= flushed).count()
    }

    /// Makes sure that a frame of `len` bytes fits, by starting the next file if need be. Nothing is half done when it
    /// fails. `flushed` is what the rows hold without the log. Answers whether a file was started.
    pub(in crate::catalog) fn make_room(
        &mut self,
        len: usize,
        flushed: impl Fn() -> Result<Version>,
    ) -> Result<bool> {
        if self.offset + len as u64 <= self.shape.file_bytes {
            return Ok(false);
        }
        self.sync()?;
        let recycled = self.recyclable(flushed()?);
        let header = FileHeader { log: self.log + 1, start: self.written };
        let (current, path) = activate(&self.dir, self.shape, header, recycled.as_deref())?;
        (self.current, self.path, self.log, self.offset) = (current, path, header.log, FILE_HEADER as u64);
        self.files.list.lock().push_back(LogFile { header, path: self.path.clone() });
        Ok(true)
    }

    /// The oldest file, when nobody needs it any more.
    fn recyclable(&self, flushed: Version) -> Option<PathBuf> {
        let _unread = self.files.reading.try_lock()?;
        let mut files = self.files.list.lock();
        let next = files.get(1)?;
        if next.header.start > flushed || files.len() <= self.shape.retained + 1 {
            return None;
        }
        files.pop_front().map(|file| file.path)
    }

    /// Writes a group's frame; `bytes` holds its payload from [`HEADER`] on. Room has been made.
    pub(in crate::catalog) fn append(&mut self, bytes: &mut Vec<u8>, last: Version) -> Result<()> {
        let header =
            Frame { log: self.log, prior: self.written, last, synced: self.synced, kind: Kind::Group };
        frame::seal(bytes, &header);
        self.write(bytes)?;
        self.written = last;
        self.told = header.synced;
        Ok(())
    }

    /// Says on disk, without a sync, that all is synced, so that damage to the last group can be told from a torn tail.
    pub(in crate::catalog) fn seal_when_idle(&mut self) -> Result<()> {
        let done = self.told == self.synced || self.synced != self.written;
        if done || self.offset + HEADER as u64 > self.shape.file_bytes {
            return Ok(());
        }
        let mut bytes = vec![0; HEADER];
        let at = self.synced;
        frame::seal(&mut bytes, &Frame { log: self.log, prior: at, last: at, synced: at, kind: Kind::Seal });
        self.write(&bytes)?;
        self.told = at;
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let wrote = self
            .faults
            .check(Point::CatalogWrite)
            .and_then(|()| self.current.write_all_at(bytes, self.offset));
        wrote.map_err(|e| Error::io("write", &self.path, e))?;
        self.offset += bytes.len() as u64;
        Ok(())
    }

    /// Makes everything written durable, if it is not.
    pub(in crate::catalog) fn sync(&mut self) -> Result<()> {
        if self.synced == self.written {
            return Ok(());
        }
        let synced = self.faults.check(Point::CatalogSync).and_then(|()| self.current.sync_data());
        synced.map_err(|e| Error::io("sync", &self.path, e))?;
        self.synced = self.written;
        self.syncs += 1;
        Ok(())
    }
}

/// Makes a file ready under a temporary name, from an old one or from zeros, and gives it its name.
fn activate(dir: &Path, shape: Shape, header: FileHeader, old: Option<&Path>) -> Result<(File, PathBuf)> {
    let (spare, path) = (dir.join(SPARE), dir.join(format!("{:016x}.log", header.log)));
    let refused = |op, at: &Path| {
        let at = at.to_path_buf();
        move |e| Error::io(op, at, e)
    };
    if let Some(old) = old {
        std::fs::rename(old, &spare).map_err(refused("rename", old))?;
    }
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).create(true).truncate(false).open(&spare);
    let file = file.map_err(refused("open", &spare))?;
    zero_from(&file, shape.file_bytes).map_err(refused("allocate", &spare))?;
    file.write_all_at(&header.encode(), 0).map_err(refused("write", &spare))?;
    file.sync_all().map_err(refused("sync", &spare))?;
    std::fs::rename(&spare, &path).map_err(refused("rename", &spare))?;
    sync_dir(dir)?;
    Ok((file, path))
}

/// Writes zeros from the file's end up to `len`. A whole file is left as it is: its old frames name another log.
fn zero_from(file: &File, len: u64) -> std::io::Result<()> {
    const ZEROS: &[u8] = &[0; 1 << 20];
    let mut at = file.metadata()?.len();
    if at > len {
        file.set_len(len)?;
    }
    while at < len {
        let chunk = ZEROS.len().min(usize::try_from(len - at).unwrap_or(usize::MAX));
        file.write_all_at(&ZEROS[..chunk], at)?;
        at += chunk as u64;
    }
    Ok(())
}

/// Makes renames and new files in a directory durable.
pub(in crate::catalog) fn sync_dir(dir: &Path) -> Result<()> {
    let handle = File::open(dir).map_err(|e| Error::io("open", dir, e))?;
    handle.sync_all().map_err(|e| Error::io("sync", dir, e))
}
