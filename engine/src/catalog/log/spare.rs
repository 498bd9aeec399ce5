//! The next log file, made ready ahead of its use, and the end of those that nobody needs: on a thread of its own.
//!
//! ```text
//!   a retired file ─► renamed ─┐
//!                              ├─► spare.tmp: zeros where it has none ─► synced ─► ready ─► taken: header, sync, name
//!   none ──────► allocated ────┘
//! ```
//!
//! # Invariants
//! - Only this thread touches `spare.tmp`, but for whoever has taken it.
//! - Files go oldest first, each durably before the next: what a crash leaves has no gap.
//!
//! # Limits
//! One spare. A disk without room for it is told to whoever wants to take it, and tried again for the next one.
//!
//! # What a crash leaves
//! A `spare.tmp` in any state, which holds nothing and is finished or used by the next process; retired files, which the
//! next open removes.

use crate::catalog::log::files::{SPARE, Shape};
use crate::fault::{Faults, Point};
use crate::file::{sync_dir, write_zeros};
use crate::vital::Vital;
use crate::{Error, Result};
use parking_lot::{Condvar, Mutex, MutexGuard};
use rustix::fs::{FallocateFlags, SeekFrom, fallocate, seek};
use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

/// How far the spare is.
enum Spare {
    /// To be made.
    Wanted,
    /// Being made.
    Making,
    /// There for the taking.
    Ready(File),
    /// With the writer, under its temporary name.
    Taken,
    /// Not to be had.
    Failed(Error),
    /// Nobody asked since it last failed.
    Idle,
}

struct State {
    spare: Spare,
    retired: VecDeque<PathBuf>,
    stopping: bool,
}

struct Shared {
    dir: PathBuf,
    shape: Shape,
    faults: Arc<Faults>,
    state: Mutex<State>,
    changed: Condvar,
}

enum Work {
    /// A spare, out of an old file if there is one.
    Make(Option<PathBuf>),
    Remove(PathBuf),
}

/// The writer's end. Dropping it waits for the thread, which stops at once.
pub(super) struct Spares {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Spares {
    /// Starts the thread, which makes a spare.
    pub(super) fn start(dir: &Path, shape: Shape, faults: Arc<Faults>) -> Result<Self> {
        let state = State { spare: Spare::Wanted, retired: VecDeque::new(), stopping: false };
        let (state, changed) = (Mutex::new(state), Condvar::new());
        let shared = Arc::new(Shared { dir: dir.to_path_buf(), shape, faults, state, changed });
        let worker = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("catalog-log".into()).spawn(move || {
            let _vital = Vital::guard();
            worker.run();
        });
        let thread = thread.map_err(|e| Error::io("start the log thread of", dir, e))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Would [`take`](Self::take) answer at once?
    pub(super) fn ready(&self) -> bool {
        matches!(self.shared.state.lock().spare, Spare::Ready(_))
    }

    /// The spare, still under its temporary name. Waits for one that is being made. [`named`](Self::named) must follow.
    pub(super) fn take(&self) -> Result<File> {
        let mut state = self.shared.state.lock();
        if matches!(state.spare, Spare::Failed(_) | Spare::Idle) {
            self.shared.set(&mut state, Spare::Wanted);
        }
        loop {
            match std::mem::replace(&mut state.spare, Spare::Taken) {
                Spare::Ready(file) => return Ok(file),
                Spare::Failed(error) => {
                    state.spare = Spare::Idle;
                    return Err(error);
                }
                other => state.spare = other,
            }
            self.shared.changed.wait(&mut state);
        }
    }

    /// What was taken has its name, or was given up: the next one may be made.
    pub(super) fn named(&self) {
        self.shared.set(&mut self.shared.state.lock(), Spare::Wanted);
    }

    /// Hands over files that nobody needs, oldest first.
    pub(super) fn retire(&self, files: Vec<PathBuf>) {
        if !files.is_empty() {
            self.shared.state.lock().retired.extend(files);
            self.shared.changed.notify_all();
        }
    }
}

impl Drop for Spares {
    fn drop(&mut self) {
        self.shared.state.lock().stopping = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the catalog's log thread had panicked");
        }
    }
}

impl Shared {
    fn set(&self, state: &mut MutexGuard<'_, State>, spare: Spare) {
        state.spare = spare;
        self.changed.notify_all();
    }

    fn run(&self) {
        while let Some(work) = self.next() {
            match work {
                Work::Make(old) => {
                    let made = match self.make(old.as_deref()) {
                        Ok(Some(file)) => Spare::Ready(file),
                        Ok(None) => Spare::Idle,
                        Err(error) => {
                            tracing::warn!(%error, "the next log file can't be made ready now");
                            Spare::Failed(error)
                        }
                    };
                    self.set(&mut self.state.lock(), made);
                }
                Work::Remove(path) => {
                    if let Err(error) = remove(&self.dir, &path) {
                        tracing::warn!(%error, "an old log file stays until the catalog is opened again");
                    }
                }
            }
        }
    }

    /// Waits for work. What is retired goes before the thread does.
    fn next(&self) -> Option<Work> {
        let mut state = self.state.lock();
        loop {
            match state.spare {
                Spare::Taken if !state.stopping => {}
                Spare::Wanted if !state.stopping => {
                    state.spare = Spare::Making;
                    return Some(Work::Make(state.retired.pop_front()));
                }
                _ => {
                    if let Some(path) = state.retired.pop_front() {
                        return Some(Work::Remove(path));
                    }
                    if state.stopping {
                        return None;
                    }
                }
            }
            self.changed.wait(&mut state);
        }
    }

    /// None when it was stopped meanwhile.
    fn make(&self, old: Option<&Path>) -> Result<Option<File>> {
        let spare = self.dir.join(SPARE);
        if let Some(old) = old {
            std::fs::rename(old, &spare).map_err(|e| Error::io("rename", old, e))?;
            sync_dir(&self.dir)?;
        }
        let file = open(&spare)?;
        let failed = |op| {
            let spare = spare.clone();
            move |e: std::io::Error| Error::io(op, spare, e)
        };
        let written = written(&file, self.shape.file_bytes).map_err(failed("look at"))?;
        let allocated = self.faults.check(Point::CatalogAllocate);
        if let Err(error) = allocated.and_then(|()| allocate(&file, self.shape.file_bytes)) {
            // Whatever was had of it is wanted elsewhere.
            std::fs::remove_file(&spare).map_err(failed("remove"))?;
            return Err(Error::io("allocate", &spare, error));
        }
        let go_on = || !self.state.lock().stopping;
        if !write_zeros(&file, written, self.shape.file_bytes, go_on).map_err(failed("write"))? {
            return Ok(None);
        }
        file.sync_all().map_err(failed("sync"))?;
        Ok(Some(file))
    }
}

fn open(path: &Path) -> Result<File> {
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).create(true).truncate(false).open(path);
    file.map_err(|e| Error::io("open", path, e))
}

/// A spare that another process left whole. Nobody else touches it.
pub(super) fn left_whole(dir: &Path, file_bytes: u64) -> Result<Option<File>> {
    let spare = dir.join(SPARE);
    if !spare.try_exists().map_err(|e| Error::io("look at", &spare, e))? {
        return Ok(None);
    }
    let file = open(&spare)?;
    let written = written(&file, file_bytes).map_err(|e| Error::io("look at", &spare, e))?;
    Ok((written == file_bytes).then_some(file))
}

/// How much of a file lies on written blocks, from its start; a file that is too long is cut.
fn written(file: &File, file_bytes: u64) -> std::io::Result<u64> {
    let len = file.metadata()?.len();
    if len > file_bytes {
        file.set_len(file_bytes)?;
    }
    if len == 0 {
        return Ok(0);
    }
    // Unwritten blocks are holes to it. Where the file system can't tell, the length is the answer.
    let hole = seek(file, SeekFrom::Hole(0)).unwrap_or(len);
    Ok(hole.min(len).min(file_bytes))
}

/// Gives a file its length, with blocks where the file system can do that ahead.
pub(super) fn allocate(file: &File, file_bytes: u64) -> std::io::Result<()> {
    match fallocate(file, FallocateFlags::empty(), 0, file_bytes) {
        Err(rustix::io::Errno::OPNOTSUPP) => file.set_len(file_bytes),
        other => Ok(other?),
    }
}

/// Removes a file, durably.
pub(super) fn remove(dir: &Path, path: &Path) -> Result<()> {
    std::fs::remove_file(path).map_err(|e| Error::io("remove", path, e))?;
    sync_dir(dir)
}
