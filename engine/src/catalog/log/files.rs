//! The log's files: appended to, synced, rotated and recycled.
//!
//! A file is written with zeros and synced before its first use, so that later syncs change no file metadata (measured:
//! 100 µs instead of 200). That happens ahead, on a thread of its own ([`super::spare`]): rotating costs a header, a rename
//! and their syncs. Opening takes the spare that the last process left, or starts a file of which only the first MiB is
//! zeros; the writer leaves it for the spare as soon as there is one, and goes on in it as long as there is none.
//!
//! Whole pages are written, from the memory of how the last one begins: the zeros' pages leave the page cache long before their turn comes,
//! and to part of one that is not there the kernel writes when it has read it, with the sequencer waiting (docs/benchmarks.md).
//!
//! Files that the rows no longer need, beyond those retained for the backup, are used again or removed: at open, at every
//! rotation, and when nothing else is to be done.

use super::frame::{self, FILE_HEAD, FileHeader, Frame, HEADER, Kind, Stamp};
use super::spare::{self, Spares};
use crate::catalog::seen::Mark;
use crate::catalog::{Layout, Version};
use crate::entropy::Entropy;
use crate::fault::{Faults, Point};
use crate::file::write_zeros;
use crate::{Error, Result};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The name of a file that is being made ready.
pub(super) const SPARE: &str = "spare.tmp";
/// What the kernel reads before it writes to part of it.
pub(super) const PAGE: usize = 4096;
/// Memory for a group's pages that is kept for the next one.
const PAGES_KEPT: usize = 1 << 20;
/// Zeros that opening waits for when there is no spare.
pub(in crate::catalog) const FIRST_BYTES: u64 = 1 << 20;

/// A log file on disk.
#[derive(Clone, Debug)]
pub(in crate::catalog) struct LogFile {
    /// Its header.
    pub(in crate::catalog) header: FileHeader,
    /// What its frames carry.
    pub(in crate::catalog) stamp: Stamp,
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

/// A file that is about to be written to.
struct Started {
    file: File,
    /// Zeros up to here: a sync of what is written there changes no metadata.
    ready: u64,
    /// May be written up to here.
    end: u64,
    /// Zeros that were written while somebody waited.
    zeroed: u64,
}

/// The writing end, owned by the sequencer.
pub(in crate::catalog) struct LogWriter {
    dir: PathBuf,
    /// Open for as long as the log is: a rotation must not want a descriptor between a rename and its sync.
    held: File,
    shape: Shape,
    entropy: Arc<dyn Entropy>,
    faults: Arc<Faults>,
    files: Arc<Files>,
    spares: Spares,
    current: Started,
    path: PathBuf,
    log: u64,
    stamp: Stamp,
    offset: u64,
    /// How the page that `offset` is in begins.
    page: Vec<u8>,
    /// Last version written.
    written: Version,
    /// Known durable.
    synced: Version,
    /// What the newest frame on disk says is synced.
    told: Version,
    syncs: u64,
    waits: u64,
}

impl LogWriter {
    /// Starts a new file after those found, from version `start`, and removes those that nobody needs. `flushed` is what
    /// the rows hold without the log.
    pub(in crate::catalog) fn start(
        dir: &Path,
        shape: Shape,
        (entropy, faults): (Arc<dyn Entropy>, Arc<Faults>),
        found: VecDeque<LogFile>,
        (start, flushed): (Version, Version),
    ) -> Result<Self> {
        if let Some(last) = found.back() {
            let file = File::open(&last.path).map_err(|e| Error::io("open", &last.path, e))?;
            file.sync_data().map_err(|e| Error::io("sync", &last.path, e))?;
        }
        let header = FileHeader { log: found.back().map_or(1, |file| file.header.log + 1), start };
        let current = match spare::left_whole(dir, shape.file_bytes)? {
            Some(file) => Started { file, ready: shape.file_bytes, end: shape.file_bytes, zeroed: 0 },
            None => first_part(dir, shape.file_bytes)?,
        };
        let held = File::open(dir).map_err(|e| Error::io("open", dir, e))?;
        let stamp = Stamp::draw(&*entropy, header.log);
        let path = name((dir, &held), &current.file, header, stamp)?;
        let mut files = found;
        files.push_back(LogFile { header, stamp, path: path.clone() });
        for old in surplus(&mut files, flushed, shape.retained) {
            spare::remove(dir, &old)?;
        }
        Ok(Self {
            dir: dir.to_path_buf(),
            held,
            shape,
            spares: Spares::start(dir, shape, Arc::clone(&faults))?,
            entropy,
            faults,
            files: Arc::new(Files { list: Mutex::new(files), reading: Mutex::new(()) }),
            current,
            path,
            log: header.log,
            stamp,
            offset: FILE_HEAD as u64,
            page: begun_by(&header.encode(stamp)),
            written: start,
            synced: start,
            told: start,
            syncs: 0,
            waits: 0,
        })
    }

    /// The files, for readers.
    pub(in crate::catalog) fn files(&self) -> Arc<Files> {
        Arc::clone(&self.files)
    }

    /// How far it is: its newest file, and what is durable.
    pub(in crate::catalog) const fn mark(&self) -> Mark {
        Mark { log: self.log, stamp: self.stamp, version: self.synced }
    }

    /// Durable through here.
    pub(in crate::catalog) const fn synced(&self) -> Version {
        self.synced
    }

    /// Syncs since the log was started, those of rotations included.
    pub(in crate::catalog) const fn syncs(&self) -> u64 {
        self.syncs
    }

    /// Zeros written while the opening or the writer waited for them, all files together.
    pub(in crate::catalog) const fn zeroed(&self) -> u64 {
        self.current.zeroed
    }

    /// Rotations that had to wait for the spare.
    pub(in crate::catalog) const fn waits(&self) -> u64 {
        self.waits
    }

    /// Is the next file ready?
    #[cfg(test)]
    pub(in crate::catalog) fn spare_ready(&self) -> bool {
        self.spares.ready()
    }

    /// Files whose frames the rows still need, the current one included.
    pub(in crate::catalog) fn needed(&self, flushed: Version) -> usize {
        let files = self.files.list.lock();
        files.len() - files.iter().skip(1).take_while(|next| next.header.start <= flushed).count()
    }

    /// Makes sure that a frame of `len` bytes fits, by starting the next file if need be. Nothing is half done when it
    /// fails. Answers whether a file was started.
    pub(in crate::catalog) fn make_room(&mut self, len: usize) -> Result<bool> {
        let end = self.offset + len as u64;
        if end <= self.current.ready {
            return Ok(false);
        }
        let spare = self.spares.ready();
        if !spare && end <= self.current.end {
            return Ok(false);
        }
        self.sync()?;
        self.waits += u64::from(!spare);
        let file = self.spares.take()?;
        let header = FileHeader { log: self.log + 1, start: self.written };
        let stamp = Stamp::draw(&*self.entropy, header.log);
        let named = name((&self.dir, &self.held), &file, header, stamp);
        self.spares.named();
        self.path = named?;
        let whole = self.shape.file_bytes;
        self.current = Started { file, ready: whole, end: whole, zeroed: self.current.zeroed };
        (self.log, self.stamp, self.offset) = (header.log, stamp, FILE_HEAD as u64);
        self.page = begun_by(&header.encode(stamp));
        self.files.list.lock().push_back(LogFile { header, stamp, path: self.path.clone() });
        Ok(true)
    }

    /// Lets go of what nobody needs, unless somebody reads the files just now. `flushed` is what the rows hold without the
    /// log.
    pub(in crate::catalog) fn trim(&self, flushed: Version) {
        let Some(_unread) = self.files.reading.try_lock() else { return };
        self.spares.retire(surplus(&mut self.files.list.lock(), flushed, self.shape.retained));
    }

    /// Takes a log that holds nothing on to a version: what comes before it is in a base.
    pub(in crate::catalog) fn begin_at(&mut self, version: Version) {
        if self.written < version {
            (self.written, self.synced, self.told) = (version, version, version);
        }
    }

    /// Writes a group's frame; `bytes` holds its payload from [`HEADER`] on. Room has been made, and readers must know of `layout`.
    pub(in crate::catalog) fn append(
        &mut self,
        bytes: &mut Vec<u8>,
        last: Version,
        layout: Layout,
    ) -> Result<()> {
        let (kind, prior) = (Kind::Group, self.written);
        let header = Frame { stamp: self.stamp, prior, last, synced: self.synced, kind, layout };
        frame::seal(bytes, &header);
        self.write(bytes)?;
        self.written = last;
        self.told = header.synced;
        Ok(())
    }

    /// Says on disk, without a sync, that all is synced, so that damage to the last group can be told from a torn tail.
    pub(in crate::catalog) fn seal_when_idle(&mut self) -> Result<()> {
        let done = self.told == self.synced || self.synced != self.written;
        if done || self.offset + HEADER as u64 > self.current.end {
            return Ok(());
        }
        let mut bytes = vec![0; HEADER];
        let at = self.synced;
        let (kind, layout) = (Kind::Seal, Layout::FIRST);
        frame::seal(&mut bytes, &Frame { stamp: self.stamp, prior: at, last: at, synced: at, kind, layout });
        self.write(&bytes)?;
        self.told = at;
        Ok(())
    }

    /// Writes at `offset`, whole pages: what the first one has before it is as it was, what the last one has behind it are the zeros that are there.
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let begun = self.page.len();
        let start = self.offset - begun as u64;
        self.page.extend_from_slice(bytes);
        let written = self.page.len();
        let room = self.current.end.saturating_sub(start);
        let whole = room.min(written.next_multiple_of(PAGE) as u64);
        self.page.resize(written.max(usize::try_from(whole).unwrap_or(written)), 0);
        let wrote = self
            .faults
            .check(Point::CatalogWrite)
            .and_then(|()| self.current.file.write_all_at(&self.page, start));
        if let Err(source) = wrote {
            self.page.truncate(begun);
            return Err(Error::io("write", &self.path, source));
        }
        let last = written / PAGE * PAGE;
        self.page.copy_within(last..written, 0);
        self.page.truncate(written - last);
        self.page.shrink_to(PAGES_KEPT);
        self.offset += bytes.len() as u64;
        Ok(())
    }

    /// Makes everything written durable, if it is not.
    pub(in crate::catalog) fn sync(&mut self) -> Result<()> {
        if self.synced == self.written {
            return Ok(());
        }
        let synced = self.faults.check(Point::CatalogSync).and_then(|()| self.current.file.sync_data());
        synced.map_err(|e| sync_failed(&self.path, e))?;
        self.synced = self.written;
        self.syncs += 1;
        Ok(())
    }
}

/// What nobody needs: files that hold nothing, and the oldest ones beyond those retained, taken off the list.
fn surplus(files: &mut VecDeque<LogFile>, flushed: Version, retained: usize) -> Vec<PathBuf> {
    let mut gone = Vec::new();
    let starts: Vec<Version> = files.iter().skip(1).map(|next| next.header.start).collect();
    let mut ends = starts.into_iter();
    files.retain(|file| {
        let empty = ends.next() == Some(file.header.start);
        if empty {
            gone.push((file.header.log, file.path.clone()));
        }
        !empty
    });
    while files.len() > retained + 1 && files.get(1).is_some_and(|next| next.header.start <= flushed) {
        gone.extend(files.pop_front().map(|file| (file.header.log, file.path)));
    }
    gone.sort_unstable();
    gone.into_iter().map(|(_, path)| path).collect()
}

/// What the last page of these bytes begins with.
fn begun_by(bytes: &[u8]) -> Vec<u8> {
    bytes[bytes.len() / PAGE * PAGE..].to_vec()
}

/// A file under the temporary name, ready for frames in part: opening does not wait for more.
fn first_part(dir: &Path, file_bytes: u64) -> Result<Started> {
    let spare = dir.join(SPARE);
    let refused = |op| {
        let spare = spare.clone();
        move |e: std::io::Error| Error::io(op, spare, e)
    };
    let file = File::create(&spare).map_err(refused("create"))?;
    let ready = FIRST_BYTES.min(file_bytes);
    let end = if spare::allocate(&file, file_bytes).is_ok() {
        file_bytes
    } else {
        // What little room there is may do until the spare can be made.
        file.set_len(0).and_then(|()| file.set_len(file_bytes)).map_err(refused("truncate"))?;
        ready
    };
    write_zeros(&file, 0, ready, || true).map_err(refused("write"))?;
    Ok(Started { file, ready, end, zeroed: ready })
}

/// A sync that was tried and failed: whatever the reason, it is none that a later try mends.
fn sync_failed(path: &Path, source: std::io::Error) -> Error {
    Error::Io { op: "sync", path: path.to_path_buf(), source }
}

/// Gives the file under the temporary name its header, its stamp and its name, durably. The directory comes with its open handle.
fn name((dir, held): (&Path, &File), file: &File, header: FileHeader, stamp: Stamp) -> Result<PathBuf> {
    let (spare, path) = (dir.join(SPARE), dir.join(format!("{:016x}.log", header.log)));
    file.write_all_at(&header.encode(stamp), 0).map_err(|e| Error::io("write", &spare, e))?;
    file.sync_all().map_err(|e| Error::io("sync", &spare, e))?;
    std::fs::rename(&spare, &path).map_err(|e| Error::io("rename", &spare, e))?;
    // The file is there and says where the one before it ends: going on in that one would lose what follows.
    held.sync_all().map_err(|e| sync_failed(dir, e))?;
    Ok(path)
}
