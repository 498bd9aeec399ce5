//! The allocator's files after a power cut at any step, and what is left of the disk.

use super::allocate::Allocator;
use super::header::{HEADER_BYTES, LaneKind, SegmentHeader};
use super::segment::Hold;
use super::{Bells, PoolOptions};
use crate::Error;
use crate::clock::{ManualClock, Timestamp};
use crate::entropy::SeededEntropy;
use crate::fault::{Fault, Faults, Point};
use crate::id::SegmentId;
use crate::unit::ByteCount;
use powercut::Cut;
use std::cell::RefCell;
use std::fs;
use std::path::Path;
use std::sync::Arc;

pub(super) const SEGMENT: ByteCount = ByteCount::mib(1);
const OLD: SegmentId = SegmentId::from_bytes([7; 8]);

pub(super) fn options(dir: &Path, keep_free: u64) -> PoolOptions {
    PoolOptions {
        dir: dir.to_owned(),
        segment_bytes: SEGMENT,
        keep_free: ByteCount::new(keep_free),
        clock: Arc::new(ManualClock::new(Timestamp::from_millis(0))),
        entropy: Arc::new(SeededEntropy::new(5)),
        faults: Arc::default(),
        bells: Bells::default(),
    }
}

fn open(dir: &Path, keep_free: u64) -> Allocator {
    Allocator::open(options(dir, keep_free)).unwrap()
}

/// A file as it was left by the segment `OLD`.
fn leave(dir: &Path, extension: &str) {
    let header = SegmentHeader {
        segment: OLD,
        capacity: SEGMENT,
        created: Timestamp::from_millis(0),
        lane: LaneKind::Small,
    };
    let mut bytes = header.encode();
    bytes.resize(usize::try_from(SEGMENT.get()).unwrap(), 3);
    fs::write(dir.join(format!("{OLD}.{extension}")), bytes).unwrap();
}

/// Files with this extension, with the segment that their name says.
fn named(dir: &Path, extension: &str) -> Vec<(SegmentId, std::path::PathBuf)> {
    let paths = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let wanted = paths.filter(|path| path.extension().is_some_and(|found| found == extension));
    wanted.map(|path| (path.file_stem().unwrap().to_str().unwrap().parse().unwrap(), path)).collect()
}

/// Each segment has its own header, and what a lane was given is there.
fn judge(dir: &Path, given: &[SegmentId], cut: Cut) {
    let segments = named(dir, "seg");
    for (id, path) in &segments {
        let bytes = fs::read(path).unwrap();
        let header = SegmentHeader::decode(&bytes[..HEADER_BYTES.min(bytes.len())], "segment");
        assert_eq!(header.unwrap_or_else(|error| panic!("{cut}: {error}")).segment, *id, "{cut}");
    }
    for id in given {
        assert!(segments.iter().any(|(found, _)| found == id), "{cut}: segment {id} was given to a lane");
    }
}

/// Cuts `work`, which says what lanes were given.
fn cut_at_every_step(
    test: &str,
    lay_out: impl Fn(&Path),
    work: impl Fn(&Allocator, &RefCell<Vec<SegmentId>>) -> crate::Result<()>,
) {
    let given = RefCell::new(Vec::new());
    powercut::at_every_step(
        test,
        lay_out,
        |dir| {
            given.borrow_mut().clear();
            drop(Allocator::open(options(dir, 0)).and_then(|allocator| work(&allocator, &given)));
        },
        |dir, cut| judge(dir, &given.borrow(), cut),
    );
}

fn take(allocator: &Allocator, given: &RefCell<Vec<SegmentId>>) -> crate::Result<()> {
    let id = allocator.take(LaneKind::Compacted, 1)?.id;
    given.borrow_mut().push(id);
    Ok(())
}

#[test]
fn a_segment_has_its_header_and_its_name_before_a_lane_gets_it() {
    cut_at_every_step(
        "a_segment_has_its_header_and_its_name_before_a_lane_gets_it",
        |dir| leave(dir, "free"),
        |allocator, given| {
            take(allocator, given)?;
            assert_eq!(allocator.free_count(), 0, "the next file is a new one");
            take(allocator, given)
        },
    );
}

#[test]
fn a_recycled_file_never_has_its_old_name_over_a_new_header() {
    cut_at_every_step(
        "a_recycled_file_never_has_its_old_name_over_a_new_header",
        |dir| leave(dir, "seg"),
        |allocator, given| {
            assert!(allocator.recycle(OLD)?);
            take(allocator, given)
        },
    );
}

#[test]
fn a_segment_that_is_open_held_or_read_keeps_its_file() {
    let dir = tempfile::tempdir().unwrap();
    let allocator = open(dir.path(), 0);
    let segment = allocator.take(LaneKind::Small, 1).unwrap();
    assert!(!allocator.recycle(segment.id).unwrap(), "a lane appends to it");
    let hold = Hold::new(&segment);
    segment.close();
    assert!(!allocator.recycle(segment.id).unwrap(), "a record in it waits for its row");
    let pin = allocator.pin(segment.id).unwrap();
    drop(hold);
    assert!(!allocator.recycle(segment.id).unwrap(), "somebody reads it");
    let other = pin.clone();
    drop(pin);
    assert!(!allocator.recycle(segment.id).unwrap(), "one of two has gone");
    drop(other);
    assert!(allocator.recycle(segment.id).unwrap());
    assert!(!allocator.has(segment.id) && allocator.pin(segment.id).is_none());
}

#[test]
fn a_file_of_zeros_is_whole_before_it_is_named_ready() {
    powercut::at_every_step(
        "a_file_of_zeros_is_whole_before_it_is_named_ready",
        |_| {},
        |dir| {
            let Ok(allocator) = Allocator::open(options(dir, 0)) else { return };
            let mut zero = allocator.begin_zero_file().ok();
            while let Some(file) = zero.take() {
                zero = allocator.fill_zero_file(file, SEGMENT.get() / 2).ok().and_then(|(left, _)| left);
            }
        },
        |dir, cut| {
            let ready = named(dir, "free");
            assert!(!ready.is_empty() || !cut.ended, "{cut}");
            for (_, path) in ready {
                let bytes = fs::read(path).unwrap();
                assert!(bytes.len() as u64 == SEGMENT.get() && bytes.iter().all(|byte| *byte == 0), "{cut}");
            }
        },
    );
}

#[test]
fn what_is_kept_free_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let available = open(dir.path(), 0).available().unwrap();
    let greedy = open(dir.path(), 0);
    greedy.take(LaneKind::Small, 1).expect("there is room for a segment");
    // No disk has twice as much room as it has: what is asked to stay free is all there is.
    let modest = open(dir.path(), 2 * available);
    for lane in [LaneKind::Small, LaneKind::Large, LaneKind::Compacted] {
        assert!(matches!(modest.take(lane, 1), Err(Error::Full { wanted, .. }) if wanted == SEGMENT.get()));
    }
    assert!(modest.is_full());
    modest.keep_reserve().unwrap();
    assert_eq!(modest.free_count(), 0, "no file is made ahead");
    assert!(!modest.wants_zeroed() && modest.is_full());
    assert!(!dir.path().join("reserve").exists());
    let segments = named(dir.path(), "seg");
    assert_eq!((segments.len(), named(dir.path(), "new").len()), (1, 0));
}

#[test]
fn a_full_pool_has_room_again_with_three_files() {
    let dir = tempfile::tempdir().unwrap();
    let available = open(dir.path(), 0).available().unwrap();
    let pool = open(dir.path(), 2 * available);
    assert!(matches!(pool.take(LaneKind::Large, 1), Err(Error::Full { .. })));
    for n in 1..=4_u8 {
        pool.free.lock().push_back(dir.path().join(format!("{}.free", SegmentId::from_bytes([n; 8]))));
        pool.keep_reserve().unwrap();
        assert_eq!(pool.is_full(), n < 4, "{n} files came back, one of them the compactor's");
    }
}

#[test]
fn the_reserve_is_taken_with_room_to_spare_and_given_up_when_half_of_it_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let reserve = dir.path().join("reserve");
    let keep = ByteCount::mib(1).get();
    open(dir.path(), 0).keep_reserve().unwrap();
    assert!(!reserve.exists(), "nothing is to be kept free");
    open(dir.path(), keep).keep_reserve().unwrap();
    assert_eq!(fs::metadata(&reserve).unwrap().len(), keep);
    // Others come and go on this disk: the thresholds are a half and twice what is kept free, the steps stay well apart.
    let available = open(dir.path(), 0).available().unwrap();
    let more = available + available / 2;
    open(dir.path(), more).keep_reserve().unwrap();
    assert!(reserve.exists(), "more than half of it is left");
    open(dir.path(), 4 * available).keep_reserve().unwrap();
    assert!(!reserve.exists(), "a quarter is left: deletes need the room");
    open(dir.path(), more).keep_reserve().unwrap();
    assert!(!reserve.exists(), "not before there is twice as much");
}

#[test]
fn the_last_files_go_to_the_compactor_and_the_small_lane() {
    let dir = tempfile::tempdir().unwrap();
    for n in 1..=3_u8 {
        let id = SegmentId::from_bytes([n; 8]);
        fs::write(dir.path().join(format!("{id}.free")), vec![0; 1 << 20]).unwrap();
    }
    let faults = Arc::new(Faults::default());
    let pool = PoolOptions { faults: Arc::clone(&faults), ..options(dir.path(), 0) };
    let allocator = Allocator::open(pool).unwrap();
    // With room for new files, each lane leaves what is another's.
    allocator.take(LaneKind::Large, 1).unwrap();
    assert_eq!(allocator.free_count(), 2);
    allocator.take(LaneKind::Large, 1).unwrap();
    assert_eq!(allocator.free_count(), 2, "it made one");
    // Without, all but the compactor's may go.
    faults.arm(Point::SegmentAllocate, Fault::NoSpace, 0, u64::MAX);
    allocator.take(LaneKind::Large, 1).unwrap();
    assert_eq!(allocator.free_count(), 1, "it took the small lane's");
    for lane in [LaneKind::Small, LaneKind::Large] {
        assert!(matches!(allocator.take(lane, 1), Err(Error::Full { .. })));
        assert!(allocator.is_full());
    }
    faults.clear();
    allocator.take(LaneKind::Small, 1).unwrap();
    assert_eq!(allocator.free_count(), 1, "it made one");
    faults.arm(Point::SegmentAllocate, Fault::NoSpace, 0, u64::MAX);
    allocator.take(LaneKind::Compacted, 1).unwrap();
    assert_eq!(allocator.free_count(), 0);
}

/// Files of the pool by extension: `.free`, `.new`, `.seg`.
fn files(dir: &Path) -> [usize; 3] {
    ["free", "new", "seg"].map(|extension| named(dir, extension).len())
}

fn with_faults(dir: &Path) -> (Allocator, Arc<Faults>) {
    let faults = Arc::new(Faults::default());
    let pool = PoolOptions { faults: Arc::clone(&faults), ..options(dir, 0) };
    (Allocator::open(pool).unwrap(), faults)
}

#[test]
fn a_file_that_can_not_be_named_is_not_lost_and_its_disk_is_said_to_fail() {
    // Before it has its name, and before that name is durable.
    for skip in 0..2 {
        for fault in [Fault::Io, Fault::NoDescriptors] {
            let dir = tempfile::tempdir().unwrap();
            for n in 1..=3_u8 {
                let id = SegmentId::from_bytes([n; 8]);
                fs::write(dir.path().join(format!("{id}.free")), vec![0; 1 << 20]).unwrap();
            }
            let (allocator, faults) = with_faults(dir.path());
            for lane in [LaneKind::Large, LaneKind::Small, LaneKind::Compacted, LaneKind::Compacted] {
                for _ in 0..5 {
                    faults.arm(Point::SegmentName, fault, skip, u64::MAX);
                    allocator.take(lane, 1).err().unwrap();
                    assert!(allocator.is_failing());
                    assert_eq!(files(dir.path()), [3, 0, 0], "{skip}, {fault:?}, {lane:?}");
                    assert_eq!(allocator.free_count(), 3);
                }
            }
            faults.clear();
            allocator.take(LaneKind::Compacted, 1).unwrap();
            assert!(!allocator.is_failing());
            assert_eq!(files(dir.path()), [2, 0, 1]);
        }
    }
}

#[test]
fn a_new_file_that_can_not_be_named_is_removed() {
    for skip in 0..2 {
        let dir = tempfile::tempdir().unwrap();
        let (allocator, faults) = with_faults(dir.path());
        for _ in 0..5 {
            faults.arm(Point::SegmentName, Fault::Io, skip, u64::MAX);
            allocator.take(LaneKind::Large, 1).err().unwrap();
            assert_eq!(files(dir.path()), [0, 0, 0], "{skip}");
        }
        for _ in 0..5 {
            faults.arm(Point::SegmentName, Fault::Io, skip, u64::MAX);
            // One whose name is not known to be durable is as good as any: it is a file that holds nothing.
            drop(allocator.keep_reserve());
            let zero = allocator.begin_zero_file().unwrap();
            drop(allocator.fill_zero_file(zero, 1 << 20));
            let [free, new, segments] = files(dir.path());
            assert!(new == 0 && segments == 0 && free == allocator.free_count(), "{skip}: {free}, {new}");
        }
    }
}

#[test]
fn a_segment_that_can_not_be_recycled_is_recycled_later() {
    for skip in 0..2 {
        let dir = tempfile::tempdir().unwrap();
        leave(dir.path(), "seg");
        let (allocator, faults) = with_faults(dir.path());
        faults.arm(Point::SegmentName, Fault::Io, skip, 1);
        allocator.recycle(OLD).unwrap_err();
        assert!(allocator.is_failing());
        assert!(allocator.has(OLD) || allocator.free_count() == 1, "{skip}: its file is somebody's");
        if allocator.has(OLD) {
            assert!(allocator.recycle(OLD).unwrap());
        }
        assert_eq!((files(dir.path()), allocator.free_count()), ([1, 0, 0], 1));
    }
}

#[test]
fn a_reserve_that_could_not_be_made_is_made_when_it_can_be() {
    let keep = ByteCount::mib(1).get();
    let dir = tempfile::tempdir().unwrap();
    let reserve = dir.path().join("reserve");
    let faults = Arc::new(Faults::default());
    let pool = PoolOptions { faults: Arc::clone(&faults), ..options(dir.path(), keep) };
    let allocator = Allocator::open(pool).unwrap();
    faults.arm(Point::ReserveAllocate, Fault::NoSpace, 0, 2);
    for _ in 0..2 {
        allocator.keep_reserve().unwrap_err();
        assert!(!reserve.exists(), "one that holds no room is none");
    }
    allocator.keep_reserve().unwrap();
    assert_eq!(fs::metadata(&reserve).unwrap().len(), keep);
    // As an earlier release may have left it.
    fs::write(&reserve, b"").unwrap();
    allocator.keep_reserve().unwrap();
    assert_eq!(fs::metadata(&reserve).unwrap().len(), keep);
}
