//! Fault injection: named points in the I/O paths that tests arm and production never does.
//!
//! Every place that touches a disk asks its point first. An unarmed registry costs one relaxed load a call. A test may also have
//! something of its own happen there: hold a sync up, say, and look at what goes on meanwhile.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::fmt;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A place where a fault can be injected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Point {
    /// A write of segment bytes.
    SegmentWrite,
    /// A sync of a segment file.
    SegmentSync,
    /// A read of segment bytes.
    SegmentRead,
    /// Allocation of a segment file.
    SegmentAllocate,
    /// A segment file given its header and name, or its name taken away; once more before its directory is synced.
    SegmentName,
    /// Allocation of the room that a pool keeps for deletes.
    ReserveAllocate,
    /// A scan of the catalog's rows.
    CatalogRead,
    /// A batch written to the catalog's log, before it is synced.
    CatalogWrite,
    /// A sync of the catalog's log.
    CatalogSync,
    /// Allocation of the next file of the catalog's log.
    CatalogAllocate,
    /// A group applied to the catalog's rows, which its log holds by now.
    CatalogApply,
    /// A step of making the catalog's copy in a zone: a file, a name, a record of the membership here or there.
    CatalogCopy,
    /// A write to a backup target.
    BackupWrite,
}

/// What happens at an armed point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The call fails with `EIO`.
    Io,
    /// The call fails with `ENOSPC`.
    NoSpace,
    /// The call fails with `EMFILE`.
    NoDescriptors,
}

impl Fault {
    fn error(self) -> io::Error {
        match self {
            Self::Io => io::Error::other("injected I/O error"),
            Self::NoSpace => io::Error::from(io::ErrorKind::StorageFull),
            Self::NoDescriptors => rustix::io::Errno::MFILE.into(),
        }
    }
}

#[derive(Debug)]
struct Armed {
    skip: u64,
    times: u64,
    fault: Fault,
}

/// What a test does at a point.
#[derive(Clone)]
struct Visit(Arc<dyn Fn() + Send + Sync>);

impl fmt::Debug for Visit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("visit")
    }
}

/// The registry of armed faults; one per appliance, shared by all its parts.
#[derive(Debug, Default)]
pub struct Faults {
    any: AtomicBool,
    armed: Mutex<HashMap<Point, Armed>>,
    visits: Mutex<HashMap<Point, Visit>>,
    /// Bytes of files that can't be read.
    spoilt: Mutex<Vec<(PathBuf, Range<u64>)>>,
}

impl Faults {
    /// Lets `skip` calls through at `point`, then fails the next `times` (`u64::MAX`: until cleared).
    pub fn arm(&self, point: Point, fault: Fault, skip: u64, times: u64) {
        self.armed.lock().insert(point, Armed { skip, times, fault });
        self.any.store(true, Ordering::Release);
    }

    /// Has `visit` run in every call at `point`, in the thread that calls and before any fault that is armed there.
    pub fn visit(&self, point: Point, visit: impl Fn() + Send + Sync + 'static) {
        self.visits.lock().insert(point, Visit(Arc::new(visit)));
        self.any.store(true, Ordering::Release);
    }

    /// Has every read of these bytes of this file fail with `EIO`, as those of a bad sector do.
    pub fn spoil(&self, file: impl Into<PathBuf>, bytes: Range<u64>) {
        self.spoilt.lock().push((file.into(), bytes));
        self.any.store(true, Ordering::Release);
    }

    /// Disarms every point, and makes every file whole.
    pub fn clear(&self) {
        self.armed.lock().clear();
        self.visits.lock().clear();
        self.spoilt.lock().clear();
        self.any.store(false, Ordering::Release);
    }

    /// Called at the point itself, before the real operation.
    pub fn check(&self, point: Point) -> io::Result<()> {
        if !self.any.load(Ordering::Acquire) {
            return Ok(());
        }
        // Outside the locks: it may take its time.
        let visit = self.visits.lock().get(&point).cloned();
        if let Some(Visit(visit)) = visit {
            visit();
        }
        let mut armed = self.armed.lock();
        let Some(state) = armed.get_mut(&point) else { return Ok(()) };
        if state.skip > 0 {
            state.skip -= 1;
            return Ok(());
        }
        if state.times == 0 {
            return Ok(());
        }
        state.times = state.times.saturating_sub(u64::from(state.times != u64::MAX));
        Err(state.fault.error())
    }

    /// The same before these bytes of a file are read.
    pub fn check_read(&self, point: Point, file: &Path, bytes: Range<u64>) -> io::Result<()> {
        self.check(point)?;
        if !self.any.load(Ordering::Acquire) {
            return Ok(());
        }
        let touches = |spoilt: &Range<u64>| spoilt.start < bytes.end && bytes.start < spoilt.end;
        let is_spoilt = self.spoilt.lock().iter().any(|(path, spoilt)| path == file && touches(spoilt));
        if is_spoilt { Err(Fault::Io.error()) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::{Fault, Faults, Point};
    use std::path::Path;
    use std::sync::mpsc::channel;

    #[test]
    fn fails_exactly_the_calls_that_were_asked_for() {
        let faults = Faults::default();
        assert!(faults.check(Point::SegmentSync).is_ok());
        faults.arm(Point::SegmentSync, Fault::Io, 1, 2);
        let outcomes: Vec<bool> = (0..5).map(|_| faults.check(Point::SegmentSync).is_ok()).collect();
        assert_eq!(outcomes, [true, false, false, true, true]);
        assert!(faults.check(Point::SegmentWrite).is_ok());
        faults.arm(Point::SegmentWrite, Fault::NoSpace, 0, u64::MAX);
        assert!((0..100).all(|_| faults.check(Point::SegmentWrite).is_err()));
        faults.clear();
        assert!(faults.check(Point::SegmentWrite).is_ok());
    }

    #[test]
    fn a_spoilt_sector_fails_the_reads_that_touch_it_and_no_others() {
        let faults = Faults::default();
        let (file, other) = (Path::new("file"), Path::new("other"));
        let read = |path: &Path, from: u64, to: u64| faults.check_read(Point::SegmentRead, path, from..to);
        read(file, 0, 100).unwrap();
        faults.spoil(file, 10..20);
        for (from, to) in [(0, 11), (19, 30), (12, 13), (0, 100)] {
            read(file, from, to).unwrap_err();
        }
        for (from, to) in [(0, 10), (20, 30)] {
            read(file, from, to).unwrap();
        }
        read(other, 0, 100).unwrap();
        faults.clear();
        read(file, 0, 100).unwrap();
    }

    #[test]
    fn visits_its_point_before_the_fault_there() {
        let faults = Faults::default();
        let (told, visits) = channel();
        faults.arm(Point::SegmentSync, Fault::Io, 0, 1);
        faults.visit(Point::SegmentSync, move || told.send(()).unwrap());
        assert!(faults.check(Point::SegmentWrite).is_ok());
        assert!(visits.try_recv().is_err(), "another point");
        assert!(faults.check(Point::SegmentSync).is_err());
        assert!(faults.check(Point::SegmentSync).is_ok());
        faults.clear();
        assert!(faults.check(Point::SegmentSync).is_ok());
        assert_eq!(visits.iter().count(), 2, "no visit once cleared");
    }
}
