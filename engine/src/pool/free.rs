//! Files without an id: recycled, reserved for the compactor, written with zeros ahead; and what is left of the disk.
//!
//! # Invariants
//! - The last `.free` file is the compactor's: with it, it can empty a segment on a full disk and gain a file back.
//! - A new file is made only if [`keep_free`](super::PoolOptions::keep_free) stays for the catalog, so that deletes, which are
//!   commits, still work when writers find no room. The file `reserve` is there for the case that others fill the rest: it
//!   goes when less than half of that is left and comes back with twice as much.

use super::allocate::Allocator;
use super::segment::Segment;
use crate::fault::Point;
use crate::file::write_zeros;
use crate::id::SegmentId;
use crate::reserve::Reserve;
use crate::{Error, Result};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

/// `.free` files that are kept, where there is room; more are removed.
const FREE_MAX: usize = 8;
/// Files that a disk which was full has to have room for before it counts as having any.
const AGAIN_FILES: u64 = 3;
/// A file of zeros is made ahead only with room for this many more.
const ZERO_HEADROOM_FILES: u64 = 8;

/// A `.new` file that is being written with zeros.
pub(crate) struct ZeroFile {
    file: File,
    path: PathBuf,
    id: SegmentId,
    written: u64,
}

impl Allocator {
    /// Files ready to be taken.
    pub(crate) fn free_count(&self) -> usize {
        self.free.lock().len()
    }

    /// Their size.
    pub(crate) fn free_bytes(&self) -> u64 {
        self.options.segment_bytes.get().saturating_mul(self.free_count() as u64)
    }

    /// Bytes that the file system has left for this process.
    pub(crate) fn available(&self) -> Result<u64> {
        let dir = &self.options.dir;
        let stat = rustix::fs::statvfs(dir).map_err(|e| Error::io("inspect", dir, e.into()))?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    /// Turns the file of a freed segment into a `.free` one, or removes it where there are enough; `false` while it is
    /// pinned. After an error it is the segment that it was, or its new name may be lost by a power cut: then it is freed again.
    pub(crate) fn recycle(&self, id: SegmentId) -> Result<bool> {
        let Some(segment) = self.remove_unpinned(id) else { return Ok(false) };
        let path = self.options.dir.join(format!("{id}.free"));
        match self.retire(&segment, &path) {
            Ok(true) => self.free.lock().push_back(path),
            Ok(false) => {}
            Err(error) => {
                self.put_back(segment);
                return self.noted_trouble(Err(error));
            }
        }
        self.noted_trouble(self.sync_dir())?;
        self.judge_space_again()?;
        Ok(true)
    }

    /// Renames a segment's file, or removes it; `true` if it was renamed.
    fn retire(&self, segment: &Segment, path: &Path) -> Result<bool> {
        let usable = segment.capacity == self.options.segment_bytes.get() && !segment.has_failed();
        // On a full disk the catalog may need the room more than the next body.
        let wanted =
            self.free_count() < 2 || (self.free_count() < FREE_MAX && self.has_room(segment.capacity)?);
        self.check_naming(&segment.path)?;
        if usable && wanted {
            std::fs::rename(&segment.path, path).map_err(|e| Error::io("rename", &segment.path, e))?;
            return Ok(true);
        }
        std::fs::remove_file(&segment.path).map_err(|e| Error::io("remove", &segment.path, e))?;
        Ok(false)
    }

    /// Makes the compactor's file and the catalog's reserve if they are missing and there is room, and gives the latter
    /// up when there is none. What fails keeps none of the rest from being done.
    pub(crate) fn keep_reserve(&self) -> Result<()> {
        let outcomes = [self.keep_file(), self.keep_room(), self.judge_space_again()];
        if self.is_failing() {
            self.try_disk();
        }
        outcomes.into_iter().collect()
    }

    /// The compactor's file.
    fn keep_file(&self) -> Result<()> {
        let capacity = self.options.segment_bytes.get();
        if self.free_count() == 0 && self.has_room(capacity)? {
            let id = SegmentId::random(&*self.options.entropy);
            let made = self.allocate_new(id, capacity)?;
            self.publish_free(id, &made)?;
        }
        Ok(())
    }

    /// The catalog's room.
    fn keep_room(&self) -> Result<()> {
        let keep = self.options.keep_free.get();
        let reserve = Reserve::new(&self.options.dir, keep);
        let available = self.available()?;
        if reserve.is_held() && available < keep / 2 {
            tracing::warn!("the disk is full: the reserve for deletes is given up");
            reserve.give_up()?;
        } else if !reserve.is_whole() && available >= keep.saturating_mul(2) {
            reserve.take(self.options.faults.check(Point::ReserveAllocate))?;
        }
        Ok(())
    }

    /// Whoever was refused is taken again once there is room for a body of some size: a file that came back from the refused
    /// body itself is none, and would have the next one refused like it.
    fn judge_space_again(&self) -> Result<()> {
        if self.is_full() && self.room()? >= AGAIN_FILES {
            self.full.store(false, Ordering::Release);
        }
        Ok(())
    }

    /// Files that bodies can still have: those that can be made, and those that are ready, but the compactor's.
    fn room(&self) -> Result<u64> {
        let ready = self.free_count().saturating_sub(1) as u64;
        let new = self.available()?.saturating_sub(self.options.keep_free.get());
        Ok(ready + new / self.options.segment_bytes.get().max(1))
    }

    /// Before anything is written: a disk without room for a segment, and without a file to spare, is full.
    pub(crate) fn judge_room(&self) -> Result<()> {
        let full = self.free_count() <= 1 && !self.has_room(self.options.segment_bytes.get())?;
        self.full.store(full, Ordering::Release);
        Ok(())
    }

    /// Whoever asks for readiness may keep all writers away from a failing disk: then nobody but us finds out that it
    /// works again.
    fn try_disk(&self) {
        let path = self.options.dir.join("probe");
        let tried = self.options.faults.check(Point::SegmentSync).and_then(|()| {
            let file = File::create(&path)?;
            file.write_all_at(&[0; 4096], 0)?;
            rustix::fs::fdatasync(&file)?;
            std::fs::remove_file(&path)
        });
        let failed = self.noted(tried.map_err(|source| Error::io("write", &path, source)));
        if let Err(error) = failed {
            tracing::warn!(%error, "the pool's disk still fails");
        }
    }

    pub(super) fn has_room(&self, bytes: u64) -> Result<bool> {
        Ok(self.available()? >= bytes + self.options.keep_free.get())
    }

    /// Gives a new file its place among those that are ready. Where it can't it is gone, and where only its name may be lost by a
    /// power cut it is ready all the same.
    fn publish_free(&self, id: SegmentId, from: &Path) -> Result<()> {
        let path = self.options.dir.join(format!("{id}.free"));
        let renamed = self
            .check_naming(from)
            .and_then(|()| std::fs::rename(from, &path).map_err(|e| Error::io("rename", from, e)));
        self.noted_trouble(renamed.inspect_err(|_| drop(std::fs::remove_file(from))))?;
        self.free.lock().push_back(path);
        self.noted_trouble(self.sync_dir())
    }

    /// The small lane has no file ahead, and there is plenty of room.
    pub(crate) fn wants_zeroed(&self) -> bool {
        let ahead = self.options.segment_bytes.get().saturating_mul(ZERO_HEADROOM_FILES);
        self.free_count() == 1 && self.has_room(ahead).unwrap_or(false)
    }

    /// Begins a file of zeros.
    pub(crate) fn begin_zero_file(&self) -> Result<ZeroFile> {
        let id = SegmentId::random(&*self.options.entropy);
        let path = self.options.dir.join(format!("{id}.new"));
        let made = self
            .options
            .faults
            .check(Point::SegmentAllocate)
            .and_then(|()| OpenOptions::new().write(true).create_new(true).open(&path));
        let file = made.map_err(|e| Error::io("create", &path, e))?;
        Ok(ZeroFile { file, path, id, written: 0 })
    }

    /// Writes up to `budget` more zeros; gives the file back until it is complete.
    pub(crate) fn fill_zero_file(&self, mut zero: ZeroFile, budget: u64) -> Result<(Option<ZeroFile>, u64)> {
        let capacity = self.options.segment_bytes.get();
        let end = capacity.min(zero.written + budget);
        if let Err(source) = write_zeros(&zero.file, zero.written, end, || true) {
            drop(std::fs::remove_file(&zero.path));
            return Err(Error::io("write zeros to", &zero.path, source));
        }
        let done = end - zero.written;
        zero.written = end;
        self.counts.zeroed_bytes.fetch_add(done, Ordering::Relaxed);
        if let Err(source) = zero.file.sync_data() {
            drop(std::fs::remove_file(&zero.path));
            return Err(Error::io("sync", &zero.path, source));
        }
        if zero.written < capacity {
            return Ok((Some(zero), done));
        }
        self.publish_free(zero.id, &zero.path)?;
        Ok((None, done))
    }
}
