//! The allocator's files after a power cut at any step, and what is left of the disk.

use super::allocate::Allocator;
use super::frame::FRAME_BYTES;
use super::header::{HEADER_BYTES, LaneKind, SegmentHeader};
use super::{Draft, Lane, Placed, PoolOptions};
use crate::Error;
use crate::blob::Bells;
use crate::blob::row::RecordAt;
use crate::clock::{ManualClock, Timestamp};
use crate::entropy::SeededEntropy;
use crate::fault::{Fault, Faults, Point};
use crate::id::{BlobId, PartitionId, SegmentId};
use crate::unit::ByteCount;
use powercut::Cut;
use std::cell::RefCell;
use std::fs;
use std::path::Path;
use std::sync::Arc;

const SEGMENT: ByteCount = ByteCount::mib(1);
const OLD: SegmentId = SegmentId::from_bytes([7; 8]);

fn options(dir: &Path, keep_free: u64) -> PoolOptions {
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

/// A record of a large blob, of `byte` alone.
fn draft(byte: u8) -> Draft {
    let mut bytes = vec![0; FRAME_BYTES];
    bytes.resize(FRAME_BYTES + 20_000, byte);
    let (blob, home) = (BlobId::from_bytes([byte; 16]), PartitionId::ROOT);
    Draft { blob, home, index: 0, first_chunk: 0, plain_len: 19_984, hash: [byte; 32], bytes }
}

/// Two blobs in one lane, the second one appended to while the first one is sealed.
async fn two_seals(dir: &Path, told: &RefCell<Vec<(u8, RecordAt)>>) -> crate::Result<()> {
    let allocator = Arc::new(Allocator::open(options(dir, 0))?);
    let lane = Lane::start(LaneKind::Large, "lane".into(), allocator)?;
    let outcome = seal_two(&lane, told).await;
    lane.stop().await;
    outcome
}

async fn seal_two(lane: &Lane, told: &RefCell<Vec<(u8, RecordAt)>>) -> crate::Result<()> {
    let append = async |byte| -> crate::Result<(u8, Placed)> {
        let answer = lane.append(draft(byte), false).await?;
        Ok((byte, answer.await.map_err(|_| Error::Closed)??))
    };
    // As a seal does: a sync says nothing of segments that failed.
    let tell = |(byte, placed): &(u8, Placed)| {
        if !placed.hold.segment().has_failed() {
            told.borrow_mut().push((*byte, placed.at));
        }
    };
    let first = append(1).await?;
    let (sealed, second) = tokio::join!(lane.sync(), append(2));
    sealed?;
    tell(&first);
    let more = [second?, append(3).await?];
    lane.sync().await?;
    more.iter().for_each(tell);
    Ok(())
}

#[test]
fn a_large_blob_is_on_the_disk_before_its_seal_is_answered() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let told = RefCell::new(Vec::new());
    powercut::at_every_step(
        "a_large_blob_is_on_the_disk_before_its_seal_is_answered",
        |_| {},
        |dir| {
            told.borrow_mut().clear();
            drop(runtime.block_on(two_seals(dir, &told)));
        },
        |dir, cut| {
            assert!(told.borrow().len() == 3 || !cut.ended, "{cut}");
            for (byte, at) in &*told.borrow() {
                let bytes = fs::read(dir.join(format!("{}.seg", at.segment))).unwrap();
                let start = at.offset as usize + FRAME_BYTES;
                let found = bytes.get(start..start + at.payload_len as usize).unwrap_or_default();
                assert!(found.len() == 20_000 && found.iter().all(|found| found == byte), "{cut}: {byte}");
            }
        },
    );
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
