//! Reads a range of one blob, verified chunk by chunk.
//!
//! ```text
//!   row ─► pin the range's segments ─► spans of ≤ 16 chunks within a record
//!     range ≤ 4 chunks:  preadv2(NOWAIT) here ─► would block? ─► pread on the blocking pool
//!     longer:            a window of 3 spans on the blocking pool, in order
//!   span ─► open each chunk in place ─► Bytes slices of the one buffer
//! ```
//!
//! # Invariants
//! - Not a byte leaves before the tag of its chunk has matched; only chunks that the range touches are read.
//! - The segments of the whole range stay pinned while the reader lives: what it began to read it can finish, whatever is
//!   deleted or compacted meanwhile.
//!
//! # Limits
//! About 3 MiB of read-ahead a reader; [`READS_MAX`] preads under way in a store.

use super::row::{BlobRow, RecordAt};
use super::{BlobStore, describe};
use crate::codec::DataKey;
use crate::codec::chunk::{CHUNK_BYTES, ChunkCipher, SEALED_CHUNK_BYTES, TAG_BYTES};
use crate::fault::Point;
use crate::id::{BlobId, PartitionId};
use crate::pool::ReadPin;
use crate::pool::frame::FRAME_BYTES;
use crate::{BoxFuture, Error, Result};
use bytes::Bytes;
use futures_util::Stream;
use rustix::io::{Errno, ReadWriteFlags};
use std::collections::VecDeque;
use std::io::IoSliceMut;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::task::JoinHandle;

/// Most preads under way on the blocking pool, all readers of a store together.
pub(super) const READS_MAX: usize = 64;
/// Chunks read by one pread of a stream.
const SPAN_CHUNKS: u64 = 16;
/// Ranges of at most this many chunks are read on the caller's thread when the page cache has them.
const DIRECT_CHUNKS: u64 = 4;
/// Spans under way in a stream.
const WINDOW: usize = 3;
/// How often the row is read again when a segment it names is gone.
const ATTEMPTS: usize = 4;

/// The bytes of a range, in order, in pieces of up to a chunk; ends after an error.
pub struct BlobReader {
    step: BoxFuture<'static, (State, Result<Option<Bytes>>)>,
    done: bool,
}

impl BlobReader {
    pub(super) fn new(
        store: Arc<BlobStore>,
        home: PartitionId,
        blob: BlobId,
        key: &DataKey,
        range: Range<u64>,
    ) -> Self {
        let cipher = Arc::new(ChunkCipher::new(blob, key));
        let state = State {
            store,
            home,
            blob,
            cipher,
            range,
            spans: None,
            under_way: VecDeque::new(),
            ready: VecDeque::new(),
        };
        Self { step: Box::pin(state.next()), done: false }
    }
}

impl Stream for BlobReader {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.done {
            return Poll::Ready(None);
        }
        let (state, item) = ready!(self.step.as_mut().poll(cx));
        if let Ok(Some(bytes)) = item {
            self.step = Box::pin(state.next());
            return Poll::Ready(Some(Ok(bytes)));
        }
        self.done = true;
        Poll::Ready(item.transpose())
    }
}

/// A run of chunks within one record.
struct Span {
    pin: ReadPin,
    blob: BlobId,
    cipher: Arc<ChunkCipher>,
    first_chunk: u64,
    /// In the segment file.
    offset: u64,
    /// Sealed bytes.
    len: usize,
    /// The part of the span's plaintext that is wanted.
    wanted: Range<usize>,
}

struct State {
    store: Arc<BlobStore>,
    home: PartitionId,
    blob: BlobId,
    cipher: Arc<ChunkCipher>,
    range: Range<u64>,
    spans: Option<VecDeque<Span>>,
    under_way: VecDeque<JoinHandle<Result<Vec<Bytes>>>>,
    ready: VecDeque<Bytes>,
}

impl State {
    async fn next(mut self) -> (Self, Result<Option<Bytes>>) {
        let item = self.advance().await;
        (self, item)
    }

    async fn advance(&mut self) -> Result<Option<Bytes>> {
        let mut spans = match self.spans.take() {
            Some(spans) => spans,
            None => self.open().await?,
        };
        let item = self.fill(&mut spans).await;
        self.spans = Some(spans);
        item
    }

    async fn fill(&mut self, spans: &mut VecDeque<Span>) -> Result<Option<Bytes>> {
        loop {
            if let Some(bytes) = self.ready.pop_front() {
                return Ok(Some(bytes));
            }
            let direct = self.range.end - self.range.start <= DIRECT_CHUNKS * CHUNK_BYTES as u64;
            if direct {
                let Some(span) = spans.pop_front() else { return Ok(None) };
                self.ready.extend(self.read_direct(span).await?);
                continue;
            }
            while self.under_way.len() < WINDOW {
                let Some(span) = spans.pop_front() else { break };
                self.under_way.push_back(self.store.read_behind(span).await?);
            }
            match self.under_way.pop_front() {
                Some(job) => self.ready.extend(job.await.map_err(|_| Error::Closed)??),
                None => return Ok(None),
            }
        }
    }

    /// Reads the row and pins the segments of the range. A segment that is gone was recycled after its records had moved:
    /// the row read again names the new place.
    async fn open(&self) -> Result<VecDeque<Span>> {
        let mut missing = None;
        for _ in 0..ATTEMPTS {
            let row = self.store.row(self.home, self.blob).await?;
            if self.range.start > self.range.end || self.range.end > row.length {
                return Err(Error::Invalid(format!(
                    "read bytes {}..{} of blob {}: it has {}",
                    self.range.start, self.range.end, self.blob, row.length
                )));
            }
            match self.spans(&row) {
                Ok(spans) => return Ok(spans),
                Err(place) => missing = Some(place),
            }
        }
        let what = missing.map_or_else(
            || format!("blob {}", self.blob),
            |place| describe(self.blob, place.segment, place.offset.into()),
        );
        Err(Error::Corrupt { what, detail: "the segment is missing".to_owned() })
    }

    /// The spans of the range, or the record whose segment is gone.
    fn spans(&self, row: &BlobRow) -> Result<VecDeque<Span>, RecordAt> {
        let mut spans = VecDeque::new();
        if self.range.is_empty() {
            return Ok(spans);
        }
        let chunk = CHUNK_BYTES as u64;
        let (first, end) = (self.range.start / chunk, self.range.end.div_ceil(chunk));
        let mut record_first = 0;
        for place in &row.places {
            let record_end = record_first + place.chunks();
            let mut at = first.max(record_first);
            let stop = end.min(record_end);
            if at < stop {
                let pin = self.store.pool.allocator.pin(place.segment).ok_or(*place)?;
                while at < stop {
                    let count = SPAN_CHUNKS.min(stop - at);
                    spans.push_back(self.span(row, pin.clone(), (place, record_first), at..at + count));
                    at += count;
                }
            }
            record_first = record_end;
        }
        Ok(spans)
    }

    fn span(&self, row: &BlobRow, pin: ReadPin, record: (&RecordAt, u64), chunks: Range<u64>) -> Span {
        let (place, record_first) = record;
        let sealed: usize = chunks.clone().map(|index| row.chunk_len(index) + TAG_BYTES).sum();
        let in_record = (chunks.start - record_first) * SEALED_CHUNK_BYTES as u64;
        let plain_start = chunks.start * CHUNK_BYTES as u64;
        let plain_len = sealed - TAG_BYTES * usize::try_from(chunks.end - chunks.start).unwrap_or(0);
        let within =
            |at: u64| usize::try_from(at.saturating_sub(plain_start)).unwrap_or(usize::MAX).min(plain_len);
        Span {
            pin,
            blob: self.blob,
            cipher: Arc::clone(&self.cipher),
            first_chunk: chunks.start,
            offset: u64::from(place.offset) + FRAME_BYTES as u64 + in_record,
            len: sealed,
            wanted: within(self.range.start)..within(self.range.end),
        }
    }

    async fn read_direct(&self, span: Span) -> Result<Vec<Bytes>> {
        match span.read_cached()? {
            Some(bytes) => span.open(bytes),
            None => self.store.read_behind(span).await?.await.map_err(|_| Error::Closed)?,
        }
    }
}

impl BlobStore {
    /// Reads and opens a span on the blocking pool.
    async fn read_behind(&self, span: Span) -> Result<JoinHandle<Result<Vec<Bytes>>>> {
        let permit = Arc::clone(&self.reads).acquire_owned().await.map_err(|_| Error::Closed)?;
        Ok(tokio::task::spawn_blocking(move || {
            let outcome = span.read().and_then(|bytes| span.open(bytes));
            drop(permit);
            outcome
        }))
    }
}

impl Span {
    /// The sealed bytes if the page cache has all of them.
    fn read_cached(&self) -> Result<Option<Vec<u8>>> {
        self.check_fault()?;
        let mut bytes = vec![0; self.len];
        let mut slices = [IoSliceMut::new(&mut bytes)];
        match rustix::io::preadv2(&self.pin.file, &mut slices, self.offset, ReadWriteFlags::NOWAIT) {
            Ok(n) if n == self.len => Ok(Some(bytes)),
            // Short, not cached, or not supported by this file system: the blocking pool reads it.
            Ok(_) | Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::INTR) => Ok(None),
            Err(error) => Err(Error::io("read segment", &self.pin.path, error.into())),
        }
    }

    fn read(&self) -> Result<Vec<u8>> {
        self.check_fault()?;
        let mut bytes = Vec::with_capacity(self.len);
        while bytes.len() < self.len {
            let at = self.offset + bytes.len() as u64;
            let missing = self.len - bytes.len();
            match rustix::io::pread(&self.pin.file, rustix::buffer::spare_capacity(&mut bytes), at) {
                Ok(0) => return Err(self.corrupt(format!("the segment file ends {missing} bytes early"))),
                Ok(_) => bytes.truncate(self.len),
                Err(Errno::INTR) => {}
                Err(error) => return Err(Error::io("read segment", &self.pin.path, error.into())),
            }
        }
        Ok(bytes)
    }

    fn check_fault(&self) -> Result<()> {
        let outcome = self.pin.faults.check(Point::SegmentRead);
        outcome.map_err(|source| Error::io("read segment", &self.pin.path, source))
    }

    /// Opens every chunk in place; the pieces share the one buffer.
    fn open(&self, mut bytes: Vec<u8>) -> Result<Vec<Bytes>> {
        let mut pieces = Vec::new();
        let mut plain_start = 0;
        for (index, sealed) in (self.first_chunk..).zip(bytes.chunks_mut(SEALED_CHUNK_BYTES)) {
            let at = pieces.len() * SEALED_CHUNK_BYTES;
            let plain = self.cipher.open_in_place(index, sealed).map_err(|e| self.corrupt(e.to_string()))?;
            let from = self.wanted.start.saturating_sub(plain_start).min(plain);
            let to = self.wanted.end.saturating_sub(plain_start).min(plain);
            pieces.push(at + from..at + to);
            plain_start += plain;
        }
        let bytes = Bytes::from(bytes);
        Ok(pieces.into_iter().filter(|piece| !piece.is_empty()).map(|piece| bytes.slice(piece)).collect())
    }

    fn corrupt(&self, detail: String) -> Error {
        Error::Corrupt { what: describe(self.blob, self.pin.id, self.offset), detail }
    }
}
