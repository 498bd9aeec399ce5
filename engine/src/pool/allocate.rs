//! Segment files: made, opened, recycled. Their names say their state, so that a crash leaves nothing to guess.
//!
//! | name | state |
//! |---|---|
//! | `<segment>.seg` | has this id; holds records that rows may name |
//! | `<id>.free` | holds nothing; allocated, to be taken by a lane |
//! | `<id>.new` | being made; removed when the pool is opened |
//!
//! A lane takes a file: header written and synced while it is `.free` or `.new`, then renamed to `.seg`, then the
//! directory synced; only then are records appended. Where one of these steps fails the file goes back to where it came
//! from, so that a fault which lasts costs no room.

use super::frame;
use super::header::{HEADER_BYTES, LaneKind, SegmentHeader};
use super::segment::{Parts, ReadPin, Segment};
use super::{Counts, PoolOptions, replaced};
use crate::fault::Point;
use crate::id::SegmentId;
use crate::unit::ByteCount;
use crate::{Error, Result};
use parking_lot::{Mutex, RwLock};
use std::collections::{HashMap, VecDeque};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Owns the directory and the table of segments.
pub(crate) struct Allocator {
    pub(super) options: PoolOptions,
    pub(crate) counts: Counts,
    table: RwLock<HashMap<SegmentId, Arc<Segment>>>,
    pub(super) free: Mutex<VecDeque<PathBuf>>,
    /// A lane found no room; cleared when space for more than the refused body returns.
    pub(super) full: AtomicBool,
    /// The newest write or sync of a segment failed, and not for want of room; cleared by the next one that succeeds.
    pub(super) failing: AtomicBool,
    /// See [`is_replaced`](Self::is_replaced).
    pub(super) replaced: AtomicBool,
}

impl Allocator {
    /// Opens the directory, made if missing. Refuses a segment of a newer format.
    pub(super) fn open(options: PoolOptions) -> Result<Self> {
        std::fs::create_dir_all(&options.dir).map_err(|e| Error::io("create", &options.dir, e))?;
        let replaced = replaced::is_marked(&options.dir)?;
        let allocator = Self {
            replaced,
            counts: Counts::default(),
            table: RwLock::new(HashMap::new()),
            free: Mutex::new(VecDeque::new()),
            full: AtomicBool::new(false),
            failing: AtomicBool::new(false),
            options,
        };
        let entries = std::fs::read_dir(&allocator.options.dir)
            .map_err(|e| Error::io("list", &allocator.options.dir, e))?;
        for entry in entries {
            let path = entry.map_err(|e| Error::io("list", &allocator.options.dir, e))?.path();
            allocator.adopt(&path)?;
        }
        Ok(allocator)
    }

    fn adopt(&self, path: &Path) -> Result<()> {
        let stem = path.file_stem().and_then(|s| s.to_str()).unwrap_or_default();
        match path.extension().and_then(|e| e.to_str()) {
            Some("seg") => {
                let id: SegmentId = stem.parse()?;
                let segment = self.open_segment(id, path)?;
                self.table.write().insert(id, segment);
            }
            Some("free") => {
                let len = std::fs::metadata(path).map_err(|e| Error::io("inspect", path, e))?.len();
                if len == self.options.segment_bytes.get() {
                    self.free.lock().push_back(path.to_owned());
                } else {
                    std::fs::remove_file(path).map_err(|e| Error::io("remove", path, e))?;
                }
            }
            Some("new") => std::fs::remove_file(path).map_err(|e| Error::io("remove", path, e))?,
            _ => {}
        }
        Ok(())
    }

    /// The header only has to be of a format we know: the file's name is its id, and each frame repeats it.
    fn open_segment(&self, id: SegmentId, path: &Path) -> Result<Arc<Segment>> {
        let file =
            OpenOptions::new().read(true).write(true).open(path).map_err(|e| Error::io("open", path, e))?;
        let capacity = file.metadata().map_err(|e| Error::io("inspect", path, e))?.len();
        let mut bytes = vec![0; HEADER_BYTES];
        let header = file
            .read_exact_at(&mut bytes, 0)
            .map_err(|e| Error::io("read header of", path, e))
            .and_then(|()| SegmentHeader::decode(&bytes, &path.display().to_string()));
        match header {
            Ok(header) if header.segment == id => {}
            Ok(header) => {
                tracing::warn!(named = %id, header = %header.segment, "segment has another one's header");
            }
            Err(newer @ Error::Newer { .. }) => return Err(newer),
            Err(error) => {
                tracing::warn!(%error, "segment opened without its header: its records stand for themselves");
            }
        }
        let parts = Parts { id, capacity, path: path.to_owned(), file, open: false };
        Ok(Segment::new(parts, Arc::clone(&self.options.faults)))
    }

    /// A segment for a lane to append to, durable in the directory.
    pub(super) fn take(&self, lane: LaneKind, wanted: u64) -> Result<Arc<Segment>> {
        let capacity = self.options.segment_bytes.get();
        if wanted > capacity {
            return Err(Error::TooLarge { what: "record", size: wanted, limit: capacity });
        }
        let id = SegmentId::random(&*self.options.entropy);
        let path = self.options.dir.join(format!("{id}.seg"));
        let from = self.file_for(lane, id)?;
        let header = SegmentHeader {
            segment: id,
            capacity: ByteCount::new(capacity),
            created: self.options.clock.now(),
            lane,
        };
        let named = self.name(&header, &from, &path);
        let file = self.noted(named.inspect_err(|_| self.give_back(&from, &path)))?;
        let parts = Parts { id, capacity, path, file, open: true };
        let segment = Segment::new(parts, Arc::clone(&self.options.faults));
        self.table.write().insert(id, Arc::clone(&segment));
        Ok(segment)
    }

    /// A `.free` file or a new one. The last `.free` file is the compactor's; large lanes leave the small lane one more, as
    /// long as there is room for a new file.
    fn file_for(&self, lane: LaneKind, id: SegmentId) -> Result<PathBuf> {
        let keep = match lane {
            LaneKind::Compacted => 0,
            LaneKind::Small => 1,
            LaneKind::Large => 2,
        };
        if let Some(path) = self.pop_free(keep) {
            return Ok(path);
        }
        match self.allocate_new(id, self.options.segment_bytes.get()) {
            Err(full @ Error::Full { .. }) => {
                // The compactor waits for what it has just freed; for everybody else this is a full disk.
                if lane == LaneKind::Compacted {
                    return Err(full);
                }
                let path = self.pop_free(1);
                if path.is_none() {
                    self.full.store(true, Ordering::Release);
                    self.options.bells.ring_for_room();
                }
                path.ok_or(full)
            }
            outcome => outcome,
        }
    }

    /// The file that has waited longest, if more than `keep` wait.
    fn pop_free(&self, keep: usize) -> Option<PathBuf> {
        let mut free = self.free.lock();
        if free.len() > keep { free.pop_front() } else { None }
    }

    pub(super) fn allocate_new(&self, id: SegmentId, capacity: u64) -> Result<PathBuf> {
        if !self.has_room(capacity)? {
            return Err(self.full_error(capacity));
        }
        let path = self.options.dir.join(format!("{id}.new"));
        let made = self.options.faults.check(Point::SegmentAllocate).and_then(|()| {
            let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
            rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, capacity)?;
            Ok(())
        });
        made.map_err(|source| {
            drop(std::fs::remove_file(&path));
            match Error::io("allocate", &path, source) {
                Error::Full { .. } => self.full_error(capacity),
                other => other,
            }
        })?;
        Ok(path)
    }

    fn full_error(&self, wanted: u64) -> Error {
        Error::Full { place: self.options.dir.display().to_string(), wanted }
    }

    fn name(&self, header: &SegmentHeader, from: &Path, to: &Path) -> Result<File> {
        self.check_naming(from)?;
        let file =
            OpenOptions::new().read(true).write(true).open(from).map_err(|e| Error::io("open", from, e))?;
        file.write_all_at(&header.encode(), 0).map_err(|e| Error::io("write", from, e))?;
        file.sync_data().map_err(|e| Error::io("sync", from, e))?;
        std::fs::rename(from, to).map_err(|e| Error::io("rename", from, e))?;
        self.sync_dir()?;
        Ok(file)
    }

    /// A file could not become a segment: it is what it was, whatever name it has by now.
    fn give_back(&self, from: &Path, named: &Path) {
        let outcome = if named.exists() { std::fs::rename(named, from) } else { Ok(()) };
        let outcome = outcome.and_then(|()| {
            if from.extension().is_some_and(|extension| extension == "free") {
                self.free.lock().push_back(from.to_owned());
                return Ok(());
            }
            std::fs::remove_file(from)
        });
        if let Err(error) = outcome {
            tracing::error!(%error, path = %from.display(), "a file of the pool is of no use until the store is opened again");
        }
    }

    pub(super) fn check_naming(&self, path: &Path) -> Result<()> {
        self.options.faults.check(Point::SegmentName).map_err(|e| Error::io("name", path, e))
    }

    pub(super) fn sync_dir(&self) -> Result<()> {
        self.check_naming(&self.options.dir)?;
        crate::file::sync_dir(&self.options.dir)
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.options.dir
    }

    /// A lane found no room, and none has come back since.
    pub(crate) fn is_full(&self) -> bool {
        self.full.load(Ordering::Acquire)
    }

    /// The disk's last answer to a write or sync was an error.
    pub(crate) fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Acquire)
    }

    /// Remembers how a write or sync went.
    pub(super) fn noted<T>(&self, outcome: Result<T>) -> Result<T> {
        if !matches!(outcome, Err(Error::Full { .. })) {
            self.failing.store(outcome.is_err(), Ordering::Release);
        }
        outcome
    }

    /// Remembers that what has to do with files and their names went wrong. That it went well says nothing about writes and syncs.
    pub(super) fn noted_trouble<T>(&self, outcome: Result<T>) -> Result<T> {
        if outcome.is_err() { self.noted(outcome) } else { outcome }
    }

    /// Segments that no lane appends to.
    pub(crate) fn closed(&self) -> Vec<ReadPin> {
        self.table.read().values().filter(|segment| !segment.is_open()).map(ReadPin::new).collect()
    }

    /// How many segments there are, and their bytes.
    pub(crate) fn segments(&self) -> (u64, u64) {
        let table = self.table.read();
        (table.len() as u64, table.values().map(|segment| segment.capacity).sum())
    }

    /// Takes a segment out of the table if nobody uses it.
    pub(super) fn remove_unpinned(&self, id: SegmentId) -> Option<Arc<Segment>> {
        let mut table = self.table.write();
        if table.get(&id).is_some_and(|segment| !segment.is_open() && !segment.is_pinned()) {
            table.remove(&id)
        } else {
            None
        }
    }

    /// Puts back what was taken out.
    pub(super) fn put_back(&self, segment: Arc<Segment>) {
        self.table.write().insert(segment.id, segment);
    }

    /// Whether it has this segment.
    pub(crate) fn has(&self, id: SegmentId) -> bool {
        self.table.read().contains_key(&id)
    }

    /// Pins a segment for reading; `None` when it is gone (recycled, or never was).
    pub(crate) fn pin(&self, id: SegmentId) -> Option<ReadPin> {
        self.table.read().get(&id).map(ReadPin::new)
    }
}

/// Largest record that a segment must have room for.
pub(super) const SEGMENT_BYTES_MIN: u64 = 1 << 20;
const _: () = assert!(frame::FRAME_BYTES < HEADER_BYTES);
