//! What a lane whose syncs run beside its appends promises: when it answers, after power cuts and failed syncs, and at its end.

use super::super::allocate::Allocator;
use super::super::frame::{FRAME_BYTES, PayloadSum};
use super::super::header::LaneKind;
use super::super::tests::options;
use super::super::{Draft, Lane, Placed, PoolOptions, RecordAt};
use super::AHEAD_BYTES_MAX;
use crate::fault::{Fault, Faults, Point};
use crate::id::{BlobId, PartitionId};
use crate::memory::MemoryHold;
use crate::unit::ByteCount;
use crate::{Error, Result};
use futures_util::FutureExt;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;
use tokio::sync::oneshot;

/// More than any step here takes.
const PATIENCE: Duration = Duration::from_mins(1);
/// Looks at what must not happen, each with a turn for other threads between.
const LOOKS: usize = 1_000;

/// A record of a large blob, of `byte` alone, with a payload of `len` bytes.
fn draft(byte: u8, len: usize) -> Draft {
    let mut bytes = vec![0; FRAME_BYTES];
    bytes.resize(FRAME_BYTES + len, byte);
    let (blob, home) = (BlobId::from_bytes([byte; 16]), PartitionId::ROOT);
    Draft {
        blob,
        home,
        index: 0,
        first_chunk: 0,
        plain_len: 16,
        sum: PayloadSum::Crc64(byte.into()),
        bytes,
        _held: MemoryHold::default(),
    }
}

async fn append(lane: &Lane, byte: u8, len: usize) -> Result<Placed> {
    let answer = lane.append(draft(byte, len)).await?;
    answer.await.map_err(|_| Error::Closed)?
}

/// What was said to be durable: byte, length and place.
type Told = RefCell<Vec<(u8, usize, RecordAt)>>;

/// As a seal does: a sync says nothing of segments that failed.
fn tell(told: &Told, byte: u8, len: usize, placed: &Placed) {
    if !placed.hold.segment().has_failed() {
        told.borrow_mut().push((byte, len, placed.at));
    }
}

/// Cuts the power at every step of `work` in a lane of this kind; what it told must be there.
#[expect(clippy::needless_pass_by_value, reason = "an async closure, written where it is handed over")]
fn cut_at_every_step(
    test: &str,
    kind: LaneKind,
    records: usize,
    work: impl AsyncFn(&Lane, &Told) -> Result<()>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let told = Told::default();
    let in_a_lane = async |dir: &Path| -> Result<()> {
        let allocator = Arc::new(Allocator::open(options(dir, 0))?);
        let lane = Lane::start(kind, "lane".into(), allocator)?;
        let outcome = work(&lane, &told).await;
        lane.stop().await;
        outcome
    };
    powercut::at_every_step(
        test,
        |_| {},
        |dir| {
            told.borrow_mut().clear();
            drop(runtime.block_on(in_a_lane(dir)));
        },
        |dir, cut| {
            assert!(told.borrow().len() == records || !cut.ended, "{cut}");
            for (byte, len, at) in &*told.borrow() {
                let bytes = fs::read(dir.join(format!("{}.seg", at.segment))).unwrap();
                let start = at.offset as usize + FRAME_BYTES;
                let found = bytes.get(start..start + len).unwrap_or_default();
                assert!(found.len() == *len && found.iter().all(|found| found == byte), "{cut}: {byte}");
            }
        },
    );
}

#[test]
fn a_large_blob_is_on_the_disk_before_its_seal_is_answered() {
    const LEN: usize = 20_000;
    const TEST: &str = "a_large_blob_is_on_the_disk_before_its_seal_is_answered";
    cut_at_every_step(TEST, LaneKind::Large, 3, async |lane, told| {
        let first = append(lane, 1, LEN).await?;
        let (sealed, second) = tokio::join!(lane.sync(), append(lane, 2, LEN));
        sealed?;
        tell(told, 1, LEN, &first);
        let more = [(2, second?), (3, append(lane, 3, LEN).await?)];
        lane.sync().await?;
        for (byte, placed) in &more {
            tell(told, *byte, LEN, placed);
        }
        Ok(())
    });
}

/// Three records, of which two fill a segment of 1 MiB, then one sync.
fn fill_two_segments(test: &str, kind: LaneKind) {
    const LEN: usize = 400_000;
    cut_at_every_step(test, kind, 3, async |lane, told| {
        let mut placed = Vec::new();
        for byte in 1..=3 {
            placed.push((byte, append(lane, byte, LEN).await?));
        }
        lane.sync().await?;
        for (byte, placed) in &placed {
            tell(told, *byte, LEN, placed);
        }
        let segments: BTreeSet<_> = placed.iter().map(|(_, placed)| placed.at.segment).collect();
        assert_eq!(segments.len(), 2);
        Ok(())
    });
}

#[test]
fn a_large_blob_that_fills_a_segment_is_on_the_disk_in_both_before_its_seal_is_answered() {
    let test = "a_large_blob_that_fills_a_segment_is_on_the_disk_in_both_before_its_seal_is_answered";
    fill_two_segments(test, LaneKind::Large);
}

#[test]
fn what_is_moved_into_two_segments_is_on_the_disk_in_both_before_rows_name_it() {
    let test = "what_is_moved_into_two_segments_is_on_the_disk_in_both_before_rows_name_it";
    fill_two_segments(test, LaneKind::Compacted);
}

#[tokio::test]
async fn no_write_touches_a_page_of_what_was_synced_before() {
    for kind in [LaneKind::Small, LaneKind::Large, LaneKind::Compacted] {
        let dir = tempfile::tempdir().unwrap();
        let allocator = Arc::new(Allocator::open(options(dir.path(), 0)).unwrap());
        let lane = Lane::start(kind, "lane".into(), allocator).unwrap();
        for byte in 1..=6 {
            let answer = lane.append(draft(byte, 1_000 * usize::from(byte))).await.unwrap();
            let placed = answer.await.unwrap().unwrap();
            // Each is a group of its own: a page that tears in a later write would take it along.
            assert_eq!(placed.at.offset % 4_096, 0, "{kind:?}, record {byte}");
            lane.sync().await.unwrap();
        }
        lane.stop().await;
    }
}

/// A lane whose syncs are held up until it says otherwise.
struct Held {
    faults: Arc<Faults>,
    allocator: Arc<Allocator>,
    lane: Lane,
    /// One for each sync that the disk was asked for.
    syncs: Receiver<()>,
    /// Dropped to let all go on.
    release: Option<Sender<()>>,
    _dir: tempfile::TempDir,
}

impl Held {
    fn new(segment_bytes: ByteCount) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let faults = Arc::new(Faults::default());
        let pool = PoolOptions { segment_bytes, faults: Arc::clone(&faults), ..options(dir.path(), 0) };
        let allocator = Arc::new(Allocator::open(pool).unwrap());
        let lane = Lane::start(LaneKind::Large, "lane".into(), Arc::clone(&allocator)).unwrap();
        let (told, syncs) = channel();
        let (release, gate) = channel();
        let gate = parking_lot::Mutex::new(gate);
        faults.visit(Point::SegmentSync, move || {
            // Where nobody listens or holds any more, there is nothing to do.
            told.send(()).unwrap_or_default();
            gate.lock().recv().unwrap_or_default();
        });
        Self { faults, allocator, lane, syncs, release: Some(release), _dir: dir }
    }

    /// Waits until the disk is being asked for a sync, which then waits.
    fn wait_for_sync(&self) {
        self.syncs.recv_timeout(PATIENCE).expect("a sync");
    }

    fn release(&mut self) {
        self.release = None;
    }

    /// Ends the lane; how many more syncs the disk was asked for.
    async fn stop(self) -> usize {
        self.lane.stop().await;
        self.faults.clear();
        self.syncs.iter().count()
    }
}

#[tokio::test]
async fn others_are_appended_beside_a_sync_up_to_64_mib() {
    const RECORD: usize = 4 << 20;
    let mut held = Held::new(ByteCount::mib(128));
    append(&held.lane, 1, 300_000).await.unwrap();
    let lane = held.lane.clone();
    let mut sealed = pin!(lane.sync());
    assert!(sealed.as_mut().now_or_never().is_none());
    held.wait_for_sync();
    for byte in 2..18 {
        append(&held.lane, byte, RECORD - FRAME_BYTES).await.unwrap();
    }
    assert_eq!(16 * RECORD as u64, AHEAD_BYTES_MAX);
    let waits = || held.allocator.counts.lane_waits.load(Ordering::Relaxed);
    assert_eq!(waits(), 0);
    assert!(sealed.as_mut().now_or_never().is_none(), "its sync is under way");
    let mut over = held.lane.append(draft(18, 1)).await.unwrap();
    while waits() == 0 {
        assert!(over.try_recv().is_err(), "more is not synced than may be");
        std::thread::yield_now();
    }
    assert!(matches!(over.try_recv(), Err(oneshot::error::TryRecvError::Empty)));
    held.release();
    sealed.await.unwrap();
    over.await.unwrap().unwrap();
    assert_eq!(held.stop().await, 1, "the lane's own at its end");
}

#[tokio::test]
async fn seals_that_wait_for_a_sync_share_the_next_one() {
    let mut held = Held::new(ByteCount::mib(8));
    let lane = held.lane.clone();
    append(&held.lane, 1, 300_000).await.unwrap();
    let mut seals = vec![Box::pin(lane.sync())];
    assert!(seals[0].as_mut().now_or_never().is_none());
    held.wait_for_sync();
    for byte in 2..6 {
        append(&held.lane, byte, 300_000).await.unwrap();
        let mut seal = Box::pin(lane.sync());
        assert!(seal.as_mut().now_or_never().is_none());
        seals.push(seal);
    }
    // The lane has given all orders when it answers what came behind them.
    append(&held.lane, 6, 300_000).await.unwrap();
    held.release();
    for seal in seals {
        seal.await.unwrap();
    }
    assert_eq!(held.stop().await, 2, "one for four seals, and the lane's own at its end");
}

#[tokio::test]
async fn each_segment_that_waits_has_a_sync_of_its_own() {
    let mut held = Held::new(ByteCount::mib(1));
    let lane = held.lane.clone();
    let first = append(&held.lane, 1, 400_000).await.unwrap();
    let mut seals = vec![Box::pin(lane.sync())];
    assert!(seals[0].as_mut().now_or_never().is_none());
    held.wait_for_sync();
    append(&held.lane, 2, 400_000).await.unwrap();
    let next = append(&held.lane, 3, 400_000).await.unwrap();
    assert_ne!(next.at.segment, first.at.segment, "two fill one");
    seals.push(Box::pin(lane.sync()));
    assert!(seals[1].as_mut().now_or_never().is_none());
    // The lane has given both orders when it answers what came behind them.
    append(&held.lane, 4, 1).await.unwrap();
    assert!(first.hold.segment().is_open(), "its last sync is still to come");
    held.release();
    for seal in seals {
        seal.await.unwrap();
    }
    assert!(!first.hold.segment().is_open() && next.hold.segment().is_open());
    assert_eq!(held.stop().await, 3, "the full one's, the next one's, and the lane's own at its end");
}

#[tokio::test]
async fn a_failed_sync_beside_appends_fails_all_that_wait_and_is_not_tried_again() {
    let mut held = Held::new(ByteCount::mib(8));
    let lane = held.lane.clone();
    // The first one fails: another one would succeed, and mean nothing.
    held.faults.arm(Point::SegmentSync, Fault::Io, 0, 1);
    let first = append(&held.lane, 1, 300_000).await.unwrap();
    let mut seals = vec![Box::pin(lane.sync())];
    assert!(seals[0].as_mut().now_or_never().is_none());
    held.wait_for_sync();
    for byte in 2..4 {
        let placed = append(&held.lane, byte, 300_000).await.unwrap();
        assert_eq!(placed.at.segment, first.at.segment);
        let mut seal = Box::pin(lane.sync());
        assert!(seal.as_mut().now_or_never().is_none());
        seals.push(seal);
    }
    held.release();
    for seal in seals {
        let error = seal.await.unwrap_err();
        assert!(matches!(error, Error::Io { op: "sync segment", .. }), "{error}");
    }
    let failed = first.hold.segment();
    assert!(failed.has_failed() && !failed.is_open());
    assert!(held.syncs.try_recv().is_err(), "the disk was not asked again");
    assert!(held.allocator.is_failing());
    // The lane goes on elsewhere.
    let next = append(&held.lane, 4, 300_000).await.unwrap();
    assert_ne!(next.at.segment, first.at.segment);
    held.lane.sync().await.unwrap();
    assert!(!next.hold.segment().has_failed() && failed.has_failed());
    assert!(!held.allocator.is_failing());
    assert_eq!(held.stop().await, 2, "the next segment's, and the lane's own at its end");
}

#[tokio::test]
async fn a_sync_that_fails_for_a_full_segment_is_not_made_up_for_by_the_next_ones() {
    let held = Held::new(ByteCount::mib(1));
    held.faults.clear();
    held.faults.arm(Point::SegmentSync, Fault::Io, 0, 1);
    let mut placed = Vec::new();
    for byte in 1..=3 {
        placed.push(append(&held.lane, byte, 400_000).await.unwrap());
    }
    // As it says: failed segments aside.
    held.lane.sync().await.unwrap();
    let failed: Vec<bool> = placed.iter().map(|placed| placed.hold.segment().has_failed()).collect();
    assert_eq!(failed, [true, true, false]);
    held.stop().await;
}

#[tokio::test]
async fn a_lane_that_ends_waits_for_its_last_sync_and_leaves_nothing_behind() {
    let mut held = Held::new(ByteCount::mib(8));
    let lane = held.lane.clone();
    let placed = append(&held.lane, 1, 300_000).await.unwrap();
    let mut sealed = pin!(lane.sync());
    assert!(sealed.as_mut().now_or_never().is_none());
    held.wait_for_sync();
    append(&held.lane, 2, 300_000).await.unwrap();
    let segment = Arc::clone(placed.hold.segment());
    drop(placed);
    let ended = held.lane.clone();
    let mut stopped = pin!(ended.stop());
    for _ in 0..LOOKS {
        assert!(stopped.as_mut().now_or_never().is_none(), "a sync is under way");
        std::thread::yield_now();
    }
    assert!(segment.is_open(), "nobody may empty or recycle it yet");
    held.release();
    stopped.await;
    // Nothing has to be waited for any more.
    sealed.as_mut().now_or_never().expect("an answer").unwrap();
    assert!(!segment.is_open());
    assert_eq!(Arc::strong_count(&held.allocator), 1, "no thread has it");
    assert_eq!(held.syncs.try_iter().count(), 1, "what was appended behind the first sync is synced, too");
    assert!(append(&held.lane, 3, 1).await.is_err());
}
