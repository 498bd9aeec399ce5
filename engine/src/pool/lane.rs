//! A lane: one thread that appends records to one segment at a time and syncs them in groups.
//!
//! ```text
//!   writers ──bounded queue──► take what waits ──► append ──► one fdatasync ──► answer the group
//!                                                    └── segment full: sync it, close it, take another
//! ```
//! The lanes of large blobs leave their syncs to a thread of their own ([`super::syncer`]) and go on appending meanwhile.
//!
//! # Invariants
//! - A record of the small lane is answered only after a sync that followed its write, one of another lane once it is written:
//!   the lane's kind says which, so that no lane has both.
//! - A group ends on a 4 KiB boundary, so that no later write touches a page of synced records.
//! - After a failed sync the segment is never synced or appended to again.
//!
//! # Limits
//! [`QUEUE_JOBS`] jobs wait at most, then writers do. A group has at most [`GROUP_JOBS_MAX`] jobs and about
//! [`GROUP_BYTES_MAX`] bytes.
//!
//! A crash leaves unacknowledged bytes behind the last synced group: no row names them.

use super::allocate::Allocator;
use super::frame::{FRAME_BYTES, Frame, PayloadSum, record_len};
use super::header::{HEADER_BYTES, LaneKind};
use super::place::RecordAt;
use super::segment::{Hold, Segment};
use super::syncer::{Order, Syncer};
use crate::id::{BlobId, PartitionId};
use crate::memory::MemoryHold;
use crate::vital::Vital;
use crate::{Error, Result};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::{mpsc, oneshot};

/// Jobs that may wait in a lane's queue.
const QUEUE_JOBS: usize = 256;
/// Jobs in one group.
const GROUP_JOBS_MAX: usize = 256;
/// Bytes after which a group takes no more jobs.
const GROUP_BYTES_MAX: usize = 4 << 20;
/// Groups end on a multiple of this.
const PAGE: u64 = 4096;

/// A record on its way into a segment.
#[derive(Clone)]
pub(crate) struct Draft {
    pub(crate) blob: BlobId,
    pub(crate) home: PartitionId,
    pub(crate) index: u32,
    pub(crate) first_chunk: u64,
    pub(crate) plain_len: u32,
    pub(crate) sum: PayloadSum,
    /// [`FRAME_BYTES`] of room for the frame, then the payload.
    pub(crate) bytes: Vec<u8>,
    /// Whose memory `bytes` are: it waits in the lane's queue also when its writer has gone.
    pub(crate) _held: MemoryHold,
}

impl Draft {
    /// A record that was read, on its way to another place; its bytes as [`read_record`](super::scan::read_record) gave them.
    pub(crate) fn again(home: PartitionId, frame: &Frame, bytes: Vec<u8>) -> Self {
        let Frame { blob, index, first_chunk, plain_len, sum, .. } = *frame;
        Self { blob, home, index, first_chunk, plain_len, sum, bytes, _held: MemoryHold::default() }
    }

    fn payload_len(&self) -> usize {
        self.bytes.len() - FRAME_BYTES
    }

    /// Fills in the frame and pads to whole units.
    fn finish(&mut self, segment: &Segment) {
        let payload = self.payload_len();
        let frame = Frame {
            generation: segment.id,
            blob: self.blob,
            home: self.home,
            index: self.index,
            payload_len: u32::try_from(payload).unwrap_or(u32::MAX),
            first_chunk: self.first_chunk,
            plain_len: self.plain_len,
            sum: self.sum,
        };
        self.bytes[..FRAME_BYTES].copy_from_slice(&frame.encode());
        self.bytes.resize(record_len(payload), 0);
    }
}

/// A record that lies in a segment, kept there until its row is committed.
pub(crate) struct Placed {
    pub(crate) at: RecordAt,
    pub(crate) hold: Hold,
}

enum Job {
    /// Append; answer once durable or written, as the lane does.
    Append { draft: Draft, reply: oneshot::Sender<Result<Placed>> },
    /// Sync, close the segment and end.
    Stop,
    /// Answer once everything appended before is durable.
    Sync { reply: oneshot::Sender<Result<()>> },
}

/// The sending side of a lane.
#[derive(Clone)]
pub(crate) struct Lane {
    jobs: mpsc::Sender<Job>,
}

impl Lane {
    /// Starts the lane's thread. It ends when it is stopped, or once every `Lane` is dropped and the queue is empty.
    pub(super) fn start(kind: LaneKind, name: String, allocator: Arc<Allocator>) -> Result<Self> {
        let (jobs, queue) = mpsc::channel(QUEUE_JOBS);
        let syncer = match kind {
            LaneKind::Large => Some(Syncer::start(&name, Arc::clone(&allocator))?),
            LaneKind::Small | LaneKind::Compacted => None,
        };
        let mut writer = Writer {
            kind,
            allocator,
            syncer,
            queue,
            segment: None,
            position: 0,
            buffer: Vec::new(),
            waiting: Waiting::default(),
            stopping: false,
        };
        std::thread::Builder::new()
            .name(name)
            .spawn(move || {
                let _vital = Vital::guard();
                writer.run();
            })
            .map_err(|source| Error::io("start a lane thread for", "the pool", source))?;
        Ok(Self { jobs })
    }

    /// Appends a record. The answer comes through the receiver: once it is durable in the small lane, in others once written.
    pub(crate) async fn append(&self, draft: Draft) -> Result<oneshot::Receiver<Result<Placed>>> {
        let (reply, answer) = oneshot::channel();
        self.jobs.send(Job::Append { draft, reply }).await.map_err(|_| Error::Closed)?;
        Ok(answer)
    }

    /// Both lead to one lane.
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.jobs.same_channel(&other.jobs)
    }

    /// Ends the lane after what waits in its queue; returns once its thread touches no file any more.
    pub(super) async fn stop(&self) {
        // A lane that ended before is what was asked for.
        drop(self.jobs.send(Job::Stop).await);
        self.jobs.closed().await;
    }

    /// Everything appended before this call is durable when it returns, failed segments aside.
    pub(crate) async fn sync(&self) -> Result<()> {
        let (reply, answer) = oneshot::channel();
        self.jobs.send(Job::Sync { reply }).await.map_err(|_| Error::Closed)?;
        answer.await.map_err(|_| Error::Closed)?
    }
}

/// Who is answered after the next sync.
#[derive(Default)]
pub(super) struct Waiting {
    records: Vec<(Placed, oneshot::Sender<Result<Placed>>)>,
    syncs: Vec<oneshot::Sender<Result<()>>>,
}

impl Waiting {
    fn is_empty(&self) -> bool {
        self.records.is_empty() && self.syncs.is_empty()
    }

    /// Those of a later order, too.
    pub(super) fn join(&mut self, later: Self) {
        self.records.extend(later.records);
        self.syncs.extend(later.syncs);
    }

    pub(super) fn answer(self, outcome: &Result<()>) {
        for (placed, reply) in self.records {
            answer(reply, outcome.as_ref().map(|()| placed).map_err(again));
        }
        for reply in self.syncs {
            answer(reply, outcome.as_ref().map_err(again).copied());
        }
    }
}

struct Writer {
    kind: LaneKind,
    allocator: Arc<Allocator>,
    /// None: this thread syncs itself.
    syncer: Option<Syncer>,
    queue: mpsc::Receiver<Job>,
    segment: Option<Arc<Segment>>,
    /// Where the next byte goes, `buffer` not counted.
    position: u64,
    /// What the small lane has gathered, to be written at the end of the group.
    buffer: Vec<u8>,
    waiting: Waiting,
    stopping: bool,
}

impl Writer {
    fn run(&mut self) {
        while let Some(first) = self.queue.blocking_recv() {
            let mut jobs = 1;
            let mut bytes = self.take(first);
            while !self.stopping && jobs < GROUP_JOBS_MAX && bytes < GROUP_BYTES_MAX {
                let Ok(next) = self.queue.try_recv() else { break };
                bytes += self.take(next);
                jobs += 1;
            }
            self.end_group();
            if self.stopping {
                break;
            }
        }
        self.retire();
        // Waits for the last sync, before the queue is seen to be closed.
        self.syncer = None;
    }

    /// Takes one job into the group and says how many bytes it has.
    fn take(&mut self, job: Job) -> usize {
        match job {
            Job::Stop => {
                self.stopping = true;
                0
            }
            Job::Sync { reply } => {
                self.waiting.syncs.push(reply);
                0
            }
            Job::Append { mut draft, reply } => {
                let len = record_len(draft.payload_len());
                match self.append(&mut draft) {
                    Ok(placed) if self.kind.is_durable() => self.waiting.records.push((placed, reply)),
                    outcome => answer(reply, outcome),
                }
                len
            }
        }
    }

    fn append(&mut self, draft: &mut Draft) -> Result<Placed> {
        let payload = draft.payload_len();
        let segment = self.segment_for(record_len(payload) as u64)?;
        draft.finish(&segment);
        let offset = self.position + self.buffer.len() as u64;
        if self.kind.is_durable() {
            self.buffer.extend_from_slice(&draft.bytes);
        } else {
            if let Err(error) = self.allocator.noted(segment.write(&draft.bytes, offset)) {
                self.retire();
                return Err(error);
            }
            self.position = offset + draft.bytes.len() as u64;
            segment.start_writeback(offset, draft.bytes.len() as u64);
            if let Some(syncer) = &mut self.syncer {
                syncer.appended(draft.bytes.len() as u64, &self.allocator.counts);
            }
        }
        let counts = &self.allocator.counts;
        counts.records.fetch_add(1, Ordering::Relaxed);
        counts.record_bytes.fetch_add(draft.bytes.len() as u64, Ordering::Relaxed);
        let at = RecordAt {
            segment: segment.id,
            offset: u32::try_from(offset).unwrap_or(u32::MAX),
            payload_len: u32::try_from(payload).unwrap_or(u32::MAX),
        };
        Ok(Placed { at, hold: Hold::new(&segment) })
    }

    /// The current segment if `len` more bytes fit, else a new one.
    fn segment_for(&mut self, len: u64) -> Result<Arc<Segment>> {
        if let Some(segment) = &self.segment {
            // A sync beside the appends may have failed meanwhile: whoever waits is told so.
            if !segment.has_failed() && self.position + self.buffer.len() as u64 + len <= segment.capacity {
                return Ok(Arc::clone(segment));
            }
            self.retire();
        }
        let segment = self.allocator.take(self.kind, len + HEADER_BYTES as u64)?;
        self.position = HEADER_BYTES as u64;
        self.segment = Some(Arc::clone(&segment));
        Ok(segment)
    }

    /// Has the current segment synced and closed; those who wait for it are answered.
    fn retire(&mut self) {
        let records = std::mem::take(&mut self.waiting.records);
        self.settle(Waiting { records, syncs: Vec::new() }, true);
        self.segment = None;
    }

    fn end_group(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        self.allocator.counts.groups.fetch_add(1, Ordering::Relaxed);
        let waiting = std::mem::take(&mut self.waiting);
        if !self.settle(waiting, false) {
            self.segment = None;
        }
    }

    /// Has everything appended synced, here or beside the appends, and answers those who wait, who are told what failed.
    /// False when the segment is known to be of no use any more: it is closed.
    fn settle(&mut self, waiting: Waiting, last: bool) -> bool {
        if let Err(error) = self.flush_buffer() {
            if let Some(segment) = &self.segment {
                segment.close();
            }
            waiting.answer(&Err(error));
            return false;
        }
        self.position = self.position.next_multiple_of(PAGE);
        let order = Order { segment: self.segment.clone(), waiting, last };
        match &mut self.syncer {
            Some(syncer) => {
                syncer.order(order);
                true
            }
            None => order.carry_out(&self.allocator),
        }
    }

    /// Writes what the group has gathered, padded to whole pages.
    fn flush_buffer(&mut self) -> Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let end = (self.position + self.buffer.len() as u64).next_multiple_of(PAGE);
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.resize(usize::try_from(end - self.position).unwrap_or(usize::MAX), 0);
        let outcome = match &self.segment {
            Some(segment) => self.allocator.noted(segment.write(&buffer, self.position)),
            None => Ok(()),
        };
        self.position = end;
        buffer.clear();
        self.buffer = buffer;
        outcome
    }
}

/// Answers; a caller who went away no longer cares.
fn answer<T>(reply: oneshot::Sender<T>, outcome: T) {
    drop(reply.send(outcome));
}

/// The same error once more, for each one of a group.
pub(crate) fn again(error: &Error) -> Error {
    match error {
        Error::Full { place, wanted } => Error::Full { place: place.clone(), wanted: *wanted },
        Error::Io { op, path, source } => Error::Io {
            op,
            path: path.clone(),
            source: std::io::Error::new(source.kind(), source.to_string()),
        },
        // Whoever asks what an error means asks the group's as well.
        Error::NoDescriptors { op, place } => Error::NoDescriptors { op, place: place.clone() },
        Error::Closed => Error::Closed,
        other => Error::Fenced { reason: other.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use super::again;
    use crate::{Error, ErrorKind};

    #[test]
    fn an_error_of_a_group_means_the_same_to_each_of_it() {
        let no_descriptors = Error::NoDescriptors { op: "open", place: "here".to_owned() };
        for error in [Error::Closed, no_descriptors, Error::Full { place: "here".to_owned(), wanted: 7 }] {
            let shared = again(&error);
            assert_eq!(format!("{shared:?}"), format!("{error:?}"));
            assert_eq!(shared.kind(), ErrorKind::Unavailable);
        }
        assert!(matches!(again(&Error::Invalid(String::new())), Error::Fenced { .. }));
    }
}
