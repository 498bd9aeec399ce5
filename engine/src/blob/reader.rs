//! Reads a range of one blob, verified chunk by chunk.
//!
//! ```text
//!   row ─► pin the range's segments ─► spans of ≤ 16 chunks within a record
//!     range ≤ 4 chunks:  preadv2(NOWAIT) here ─► would block? ─► pread on the blocking pool
//!     longer:            a window of 3 spans on the blocking pool, in order, as far as there is room for what is read ahead;
//!                        without room one chunk at a time
//!   span ─► open each chunk in place ─► Bytes slices of the one buffer
//!     missing, unreadable or not as sealed ─► the same span of another copy ─► the blob is queued for repair
//!     no local copy has it ─► the remote one: from its cache or by a range of its object (see `remote::read`)
//!     no copy has it ─► the error that leaves most hope: a zone that is away before a damaged copy
//! ```
//!
//! # Invariants
//! - Not a byte leaves before the tag of its chunk has matched; only chunks that the range touches are read.
//! - The segments of the whole range stay pinned while the reader lives: what it began to read it can finish, whatever is
//!   deleted or compacted meanwhile.
//!
//! # Limits
//! About 3 MiB of read-ahead a reader, [`AHEAD_CHUNKS`] of all readers of a store together, counted until the last slice of a
//! buffer is dropped: clients that ask for much and take nothing cost a chunk each, and those that go on reading then wait
//! for each chunk. [`READS_MAX`] preads under way in a store.

use super::BlobStore;
use super::copies::{Fate, MISSING, hopeful};
use super::remote::{RemoteAt, RemotePin};
use super::row::BlobRow;
use crate::codec::DataKey;
use crate::codec::chunk::{CHUNK_BYTES, ChunkCipher, SEALED_CHUNK_BYTES, TAG_BYTES};
use crate::fault::Point;
use crate::id::{BlobId, PartitionId};
use crate::pool::frame::FRAME_BYTES;
use crate::pool::{ReadPin, RecordAt, ZoneId, describe};
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
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;

/// Most preads under way on the blocking pool, all readers of a store together.
pub(super) const READS_MAX: usize = 64;
/// Chunks in memory that all readers of a store together have read ahead of their clients: 256 MiB.
pub(super) const AHEAD_CHUNKS: usize = 4096;
/// Chunks read by one pread of a stream.
const SPAN_CHUNKS: u64 = 16;
/// Ranges of at most this many chunks are read on the caller's thread when the page cache has them.
const DIRECT_CHUNKS: u64 = 4;
/// Spans under way in a stream.
const WINDOW: usize = 3;
/// The same where they come from far away.
const REMOTE_WINDOW: usize = 8;
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
        let state = State::new(store, home, blob, key, range);
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

/// Where a span lies in one copy.
#[derive(Clone)]
struct Source {
    pin: ReadPin,
    /// In the segment file.
    offset: u64,
}

/// A run of chunks within one record.
struct Span {
    /// In the first local copy, if there is one.
    at: Option<Source>,
    /// The same in the other local copies.
    others: Vec<Source>,
    /// The same in the remote copy.
    remote: Option<RemoteAt>,
    /// The zone of another copy, where that is away.
    away: Option<String>,
    blob: BlobId,
    cipher: Arc<ChunkCipher>,
    first_chunk: u64,
    /// Sealed bytes.
    len: usize,
    /// The part of the span's plaintext that is wanted.
    wanted: Range<usize>,
}

/// Room for what is read ahead, given back with the memory.
type Room = OwnedSemaphorePermit;

/// A span's buffer with its room.
struct Held {
    bytes: Vec<u8>,
    _room: Room,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// A span's plaintext, and why it is not that of the first copy that was asked.
struct Opened {
    pieces: Vec<Bytes>,
    damage: Option<Error>,
}

struct State {
    store: Arc<BlobStore>,
    home: PartitionId,
    blob: BlobId,
    cipher: Arc<ChunkCipher>,
    range: Range<u64>,
    spans: Option<VecDeque<Span>>,
    under_way: VecDeque<JoinHandle<Result<Opened>>>,
    ready: VecDeque<Bytes>,
}

impl State {
    fn new(store: Arc<BlobStore>, home: PartitionId, blob: BlobId, key: &DataKey, range: Range<u64>) -> Self {
        Self {
            store,
            home,
            blob,
            cipher: Arc::new(ChunkCipher::new(blob, key)),
            range,
            spans: None,
            under_way: VecDeque::new(),
            ready: VecDeque::new(),
        }
    }

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
                let opened = self.read_direct(span).await?;
                self.take(opened);
                continue;
            }
            let is_remote = spans.front().is_some_and(|span| span.at.is_none());
            let window = if is_remote { REMOTE_WINDOW } else { WINDOW };
            while self.under_way.len() < window {
                let Some((span, room)) = self.next_span(spans) else { break };
                self.under_way.push_back(self.store.read_behind(span, room, None).await?);
            }
            match self.under_way.pop_front() {
                Some(job) => {
                    let opened = job.await.map_err(|_| Error::Closed)??;
                    self.take(opened);
                }
                None => return Ok(None),
            }
        }
    }

    /// What is read next, with the room that it takes. Without room, a chunk that the client waits for, and nothing beyond.
    fn next_span(&self, spans: &mut VecDeque<Span>) -> Option<(Span, Option<Room>)> {
        let chunks = spans.front()?.chunks();
        if let Ok(room) = Arc::clone(&self.store.ahead).try_acquire_many_owned(chunks) {
            return Some((spans.pop_front()?, Some(room)));
        }
        if !self.under_way.is_empty() {
            return None;
        }
        let span = if chunks > 1 { spans.front_mut()?.split_first() } else { spans.pop_front()? };
        Some((span, None))
    }

    fn take(&mut self, opened: Opened) {
        self.ready.extend(opened.pieces);
        if let Some(error) = opened.damage {
            tracing::error!(%error, "read from another copy");
            self.store.note_damage(self.home, self.blob);
        }
    }

    /// Reads the row and pins the segments of the range. A segment that is gone was recycled after its records had moved:
    /// the row read again names the new place. If it does not, that copy is damaged, and the others are enough.
    async fn open(&self) -> Result<VecDeque<Span>> {
        let mut missing = None;
        for attempt in 1..=ATTEMPTS {
            let row = self.store.row(self.home, self.blob).await?;
            if self.range.start > self.range.end || self.range.end > row.length {
                return Err(Error::Invalid(format!(
                    "read bytes {}..{} of blob {}: it has {}",
                    self.range.start, self.range.end, self.blob, row.length
                )));
            }
            let pin = self.store.remote_of(&row).zip(row.remote.as_ref());
            let pin = pin.map(|(pool, copy)| RemotePin::new(pool, copy.id));
            // What was deleted before it was pinned may have another name by now.
            if row.copies.is_empty() && pin.is_some() && self.store.row(self.home, self.blob).await? != row {
                continue;
            }
            if row.copies.is_empty() && pin.is_none() && row.records() > 0 {
                return Err(self.store.nowhere(&row, self.blob));
            }
            match self.spans(&row, pin.as_ref(), attempt == ATTEMPTS) {
                Ok(spans) => {
                    let is_known = |lost: &Missing| self.store.zones.is_refilling(lost.zone);
                    let lost = missing.filter(|lost| attempt == ATTEMPTS && !is_known(lost));
                    if let Some(Missing { place, .. }) = lost {
                        tracing::error!(blob = %self.blob, segment = %place.segment, "a copy's segment is missing");
                        self.store.note_damage(self.home, self.blob);
                    }
                    return Ok(spans);
                }
                Err(lost) => missing = Some(lost),
            }
        }
        match missing {
            None => Err(Error::Corrupt { what: format!("blob {}", self.blob), detail: MISSING.to_owned() }),
            Some(Missing { place, zone }) => Err(self.store.missing(self.blob, &place, zone)),
        }
    }

    /// The spans of the range, or the record whose segment is gone: from all copies, or with `some` from the last one.
    fn spans(
        &self,
        row: &BlobRow,
        remote: Option<&Arc<RemotePin>>,
        some: bool,
    ) -> Result<VecDeque<Span>, Missing> {
        let mut spans = VecDeque::new();
        if self.range.is_empty() {
            return Ok(spans);
        }
        let chunk = CHUNK_BYTES as u64;
        let (first, end) = (self.range.start / chunk, self.range.end.div_ceil(chunk));
        let mut record_first = 0;
        for (index, payload) in row.payloads().into_iter().enumerate() {
            let record_end = record_first + u64::from(payload).div_ceil(SEALED_CHUNK_BYTES as u64);
            let mut at = first.max(record_first);
            let stop = end.min(record_end);
            if at < stop {
                let (pinned, others, away) = self.pin(row, index, some)?;
                while at < stop {
                    // Those of a remote object end where its pieces do.
                    let into = if remote.is_some() { (at - record_first) % SPAN_CHUNKS } else { 0 };
                    let count = (SPAN_CHUNKS - into).min(stop - at);
                    let in_record = (at - record_first) * SEALED_CHUNK_BYTES as u64;
                    let source = |(pin, place): &(ReadPin, RecordAt)| Source {
                        pin: pin.clone(),
                        offset: u64::from(place.offset) + FRAME_BYTES as u64 + in_record,
                    };
                    let others = others.iter().map(source).collect();
                    let mut span = self.span(row, (pinned.as_ref().map(source), others), at..at + count);
                    span.away.clone_from(&away);
                    if let (Some(pin), Some(copy)) = (remote, &row.remote) {
                        let piece = at - record_first - into..at - record_first - into + SPAN_CHUNKS;
                        let ids = (self.home, self.blob);
                        span.remote = Some(RemoteAt::new(pin, ids, (copy, index), (record_first, piece, at)));
                    }
                    spans.push_back(span);
                    at += count;
                }
            }
            record_first = record_end;
        }
        Ok(spans)
    }

    /// A record's segments, of the copy to be read first and of the others. Copies in zones that are away are passed over,
    /// and with `some` those that are lost: then there may be none, where there is a remote one. The last of the answer is the
    /// name of a zone that is away.
    fn pin(&self, row: &BlobRow, index: usize, some: bool) -> Result<PinnedCopies, Missing> {
        let (mut first, mut others, mut missing, mut away) = (None, Vec::new(), None, None);
        for copy in &row.copies {
            let place = copy.places[index];
            match self.store.zones.pin(place.segment) {
                Some(pin) if first.is_none() => first = Some((pin, place)),
                Some(pin) => others.push((pin, place)),
                None => {
                    let lost = Missing { place, zone: copy.zone };
                    if !some && self.store.zones.is_there(copy.zone) {
                        return Err(lost);
                    }
                    missing.get_or_insert(lost);
                    let zone = self.store.zones.get(copy.zone).filter(|zone| !zone.is_there());
                    away = away.or_else(|| zone.map(|zone| zone.name.clone()));
                }
            }
        }
        match (&first, missing) {
            (None, Some(missing)) if self.store.remote_of(row).is_none() => Err(missing),
            _ => Ok((first, others, away)),
        }
    }

    fn span(&self, row: &BlobRow, (at, others): (Option<Source>, Vec<Source>), chunks: Range<u64>) -> Span {
        let sealed: usize = chunks.clone().map(|index| row.chunk_len(index) + TAG_BYTES).sum();
        let plain_start = chunks.start * CHUNK_BYTES as u64;
        let plain_len = sealed - TAG_BYTES * usize::try_from(chunks.end - chunks.start).unwrap_or(0);
        let within =
            |at: u64| usize::try_from(at.saturating_sub(plain_start)).unwrap_or(usize::MAX).min(plain_len);
        Span {
            at,
            others,
            remote: None,
            away: None,
            blob: self.blob,
            cipher: Arc::clone(&self.cipher),
            first_chunk: chunks.start,
            len: sealed,
            wanted: within(self.range.start)..within(self.range.end),
        }
    }

    async fn read_direct(&self, span: Span) -> Result<Opened> {
        let opened = match span.read_cached() {
            Ok(Some((source, bytes))) => span.open(source, bytes, &mut None),
            Ok(None) => {
                return self.store.read_behind(span, None, None).await?.await.map_err(|_| Error::Closed)?;
            }
            Err(error) => Err(error),
        };
        match Fate::of(opened)? {
            Fate::Sound(pieces) => Ok(Opened { pieces, damage: None }),
            Fate::Damaged(error) | Fate::Unreadable(error) | Fate::Away(error) => {
                self.store.read_behind(span, None, Some(error)).await?.await.map_err(|_| Error::Closed)?
            }
        }
    }
}

type Pinned = (ReadPin, RecordAt);
type PinnedCopies = (Option<Pinned>, Vec<Pinned>, Option<String>);

/// A record whose segment no pool has.
#[derive(Clone, Copy)]
struct Missing {
    place: RecordAt,
    zone: ZoneId,
}

impl BlobStore {
    /// Reads and opens a span on the blocking pool, and from a remote copy last; without the first copy if that one `failed`.
    async fn read_behind(
        &self,
        span: Span,
        room: Option<Room>,
        failed: Option<Error>,
    ) -> Result<JoinHandle<Result<Opened>>> {
        if span.remote.is_some() {
            return Ok(tokio::spawn(span.read_far(Arc::clone(&self.reads), room, failed)));
        }
        let permit = Arc::clone(&self.reads).acquire_owned().await.map_err(|_| Error::Closed)?;
        Ok(tokio::task::spawn_blocking(move || {
            let outcome = span.read_any(room, failed).map_err(|error| span.give_up(error));
            drop(permit);
            outcome
        }))
    }
}

impl Span {
    fn chunks(&self) -> u32 {
        u32::try_from(self.len.div_ceil(SEALED_CHUNK_BYTES)).unwrap_or(u32::MAX)
    }

    /// Takes the first of its chunks, which is not the only one and therefore a full one.
    fn split_first(&mut self) -> Self {
        let (at, others, remote) = (self.at.clone(), self.others.clone(), self.remote.clone());
        for source in self.at.iter_mut().chain(&mut self.others) {
            source.offset += SEALED_CHUNK_BYTES as u64;
        }
        let first = Self {
            at,
            others,
            remote,
            away: self.away.clone(),
            blob: self.blob,
            cipher: Arc::clone(&self.cipher),
            first_chunk: self.first_chunk,
            len: SEALED_CHUNK_BYTES,
            wanted: self.wanted.start.min(CHUNK_BYTES)..self.wanted.end.min(CHUNK_BYTES),
        };
        if let Some(remote) = &mut self.remote {
            remote.skip_chunk();
        }
        self.first_chunk += 1;
        self.len -= SEALED_CHUNK_BYTES;
        let behind = |at: usize| at.saturating_sub(CHUNK_BYTES);
        self.wanted = behind(self.wanted.start)..behind(self.wanted.end);
        first
    }

    /// From the first local copy that has it.
    fn read_any(&self, mut room: Option<Room>, mut failed: Option<Error>) -> Result<Opened> {
        let first = self.at.iter().filter(|_| failed.is_none());
        let sources: Vec<&Source> = first.chain(&self.others).collect();
        for source in sources {
            match Fate::of(self.read(source).and_then(|bytes| self.open(source, bytes, &mut room)))? {
                Fate::Sound(pieces) => return Ok(Opened { pieces, damage: failed }),
                Fate::Damaged(error) | Fate::Unreadable(error) | Fate::Away(error) => {
                    failed = Some(hopeful(failed, error));
                }
            }
        }
        Err(failed.unwrap_or(Error::Closed))
    }

    /// The error when no copy has it: of those that were tried, and of one that can't be.
    fn give_up(&self, failed: Error) -> Error {
        self.away.clone().map_or(failed, |zone| Error::ZoneAway { zone })
    }

    /// From a local copy, or else from the remote one. Only what is local counts as a read of the blocking pool.
    async fn read_far(
        self,
        reads: Arc<Semaphore>,
        mut room: Option<Room>,
        mut failed: Option<Error>,
    ) -> Result<Opened> {
        let mut span = self;
        if span.at.is_some() {
            let permit = reads.acquire_owned().await.map_err(|_| Error::Closed)?;
            let (room, before) = (room.take(), failed.take());
            let local = tokio::task::spawn_blocking(move || {
                let outcome = span.read_any(room, before);
                drop(permit);
                (span, outcome)
            });
            let (back, outcome) = local.await.map_err(|_| Error::Closed)?;
            span = back;
            match outcome {
                Ok(opened) => return Ok(opened),
                Err(error) => failed = Some(error),
            }
        }
        match Fate::of(span.read_remote(&mut room).await)? {
            Fate::Sound(pieces) => Ok(Opened { pieces, damage: failed }),
            Fate::Damaged(error) | Fate::Unreadable(error) | Fate::Away(error) => {
                Err(span.give_up(hopeful(failed, error)))
            }
        }
    }

    async fn read_remote(&self, room: &mut Option<Room>) -> Result<Vec<Bytes>> {
        let Some(at) = &self.remote else { return Err(Error::Closed) };
        let corrupt = |detail| at.corrupt(detail);
        if let Some(bytes) = at.cached(self.len).await {
            match self.unseal(bytes, room, corrupt) {
                Ok(pieces) => return Ok(pieces),
                Err(error) => {
                    tracing::warn!(%error, "a cached piece is not as it was written: it is read again");
                    at.forget();
                }
            }
        }
        let (piece, bytes) = at.fetch(self.len).await?;
        let pieces = self.unseal(bytes, room, corrupt)?;
        at.keep(piece);
        Ok(pieces)
    }

    /// Where in the first copy the page cache has all of the sealed bytes, and they.
    fn read_cached(&self) -> Result<Option<(&Source, Vec<u8>)>> {
        let Some(source) = &self.at else { return Ok(None) };
        self.check_fault(source)?;
        let mut bytes = vec![0; self.len];
        let mut slices = [IoSliceMut::new(&mut bytes)];
        match rustix::io::preadv2(&source.pin.file, &mut slices, source.offset, ReadWriteFlags::NOWAIT) {
            Ok(n) if n == self.len => Ok(Some((source, bytes))),
            // Short, not cached, or not supported by this file system: the blocking pool reads it.
            Ok(_) | Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::INTR) => Ok(None),
            Err(error) => Err(Error::io("read segment", &source.pin.path, error.into())),
        }
    }

    fn read(&self, source: &Source) -> Result<Vec<u8>> {
        self.check_fault(source)?;
        let mut bytes = Vec::with_capacity(self.len);
        while bytes.len() < self.len {
            let at = source.offset + bytes.len() as u64;
            let missing = self.len - bytes.len();
            match rustix::io::pread(&source.pin.file, rustix::buffer::spare_capacity(&mut bytes), at) {
                Ok(0) => {
                    return Err(self.corrupt(source, format!("the segment file ends {missing} bytes early")));
                }
                Ok(_) => bytes.truncate(self.len),
                Err(Errno::INTR) => {}
                Err(error) => return Err(Error::io("read segment", &source.pin.path, error.into())),
            }
        }
        Ok(bytes)
    }

    fn open(&self, source: &Source, bytes: Vec<u8>, room: &mut Option<Room>) -> Result<Vec<Bytes>> {
        self.unseal(bytes, room, |detail| self.corrupt(source, detail))
    }

    /// Opens every chunk in place; the pieces share the one buffer, and its `room` with it.
    fn unseal(
        &self,
        mut bytes: Vec<u8>,
        room: &mut Option<Room>,
        corrupt: impl Fn(String) -> Error,
    ) -> Result<Vec<Bytes>> {
        let mut pieces = Vec::new();
        let mut plain_start = 0;
        for (index, sealed) in (self.first_chunk..).zip(bytes.chunks_mut(SEALED_CHUNK_BYTES)) {
            let at = pieces.len() * SEALED_CHUNK_BYTES;
            let plain = self.cipher.open_in_place(index, sealed).map_err(|e| corrupt(e.to_string()))?;
            let from = self.wanted.start.saturating_sub(plain_start).min(plain);
            let to = self.wanted.end.saturating_sub(plain_start).min(plain);
            pieces.push(at + from..at + to);
            plain_start += plain;
        }
        let bytes = match room.take() {
            Some(room) => Bytes::from_owner(Held { bytes, _room: room }),
            None => Bytes::from(bytes),
        };
        Ok(pieces.into_iter().filter(|piece| !piece.is_empty()).map(|piece| bytes.slice(piece)).collect())
    }

    fn corrupt(&self, source: &Source, detail: String) -> Error {
        Error::Corrupt { what: describe(self.blob, source.pin.id, source.offset), detail }
    }

    fn check_fault(&self, source: &Source) -> Result<()> {
        let Source { pin, offset } = source;
        let bytes = *offset..*offset + self.len as u64;
        let outcome = pin.faults.check_read(Point::SegmentRead, &pin.path, bytes);
        outcome.map_err(|error| Error::io("read segment", &pin.path, error))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{HOME, World};
    use super::{AHEAD_CHUNKS, BlobReader, State};
    use futures_util::StreamExt;
    use std::sync::Arc;

    const LENGTH: usize = 1_000_000;

    /// Room for so many chunks and no more; of a span there are three here.
    async fn world_with_room(seed: u64, chunks: usize) -> (World, Vec<u8>, impl Fn(&World) -> BlobReader) {
        let world = World::new(seed).await;
        let body = world.bytes(LENGTH);
        let (blob, key) = world.put(&body, "owner").await.unwrap();
        world.store.ahead.forget_permits(AHEAD_CHUNKS - chunks);
        (world, body, move |world: &World| world.store.read(HOME, blob, &key, 100..LENGTH as u64 - 50))
    }

    async fn rest(mut reader: BlobReader, out: &mut Vec<u8>) {
        while let Some(piece) = reader.next().await {
            out.extend_from_slice(&piece.unwrap());
        }
    }

    #[tokio::test]
    async fn what_is_read_ahead_is_bounded_for_all_readers_together_and_given_back_with_the_memory() {
        let (world, body, read) = world_with_room(72, 20).await;
        let mut readers = Vec::new();
        for _ in 0..8 {
            let mut reader = read(&world);
            let first = reader.next().await.unwrap().unwrap();
            readers.push((first, reader));
        }
        assert!(world.store.ahead.available_permits() < 3, "the first ones took what there is");
        let (first, reader) = readers.pop().unwrap();
        let mut got = first.to_vec();
        rest(reader, &mut got).await;
        assert!(got == body[100..LENGTH - 50], "who has no room reads all the same");
        let kept: Vec<_> = readers.into_iter().map(|(first, _)| first).collect();
        // The others' windows go with them as soon as their preads are done; what a client still holds stays counted.
        let left = |world: &World| world.store.ahead.available_permits();
        while world.store.reads.available_permits() < super::READS_MAX {
            tokio::task::yield_now().await;
        }
        assert!(left(&world) < 20, "a slice keeps the buffer that it is of");
        drop(kept);
        while left(&world) < 20 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_reader_goes_back_to_whole_spans_when_there_is_room_again() {
        let (world, body, read) = world_with_room(73, 9).await;
        let all = world.store.ahead.clone().acquire_many_owned(9).await.unwrap();
        let mut reader = read(&world);
        let mut got = reader.next().await.unwrap().unwrap().to_vec();
        assert_eq!(got.len(), super::CHUNK_BYTES - 100);
        drop(all);
        got.extend_from_slice(&reader.next().await.unwrap().unwrap());
        assert!(world.store.ahead.available_permits() < 9);
        rest(reader, &mut got).await;
        assert!(got == body[100..LENGTH - 50]);
    }

    #[tokio::test]
    async fn without_room_nothing_is_read_beyond_the_chunk_that_is_waited_for() {
        let world = World::new(74).await;
        let body = world.bytes(LENGTH);
        let (blob, key) = world.put(&body, "owner").await.unwrap();
        let all = u32::try_from(AHEAD_CHUNKS).unwrap();
        let _all = world.store.ahead.clone().acquire_many_owned(all).await.unwrap();
        let mut state = State::new(Arc::clone(&world.store), HOME, blob, &key, 0..LENGTH as u64);
        let mut got = Vec::new();
        loop {
            let (next, piece) = state.next().await;
            let Some(piece) = piece.unwrap() else { break };
            got.extend_from_slice(&piece);
            assert!(next.under_way.is_empty() && next.ready.is_empty(), "at byte {}", got.len());
            state = next;
        }
        assert!(got == body);
    }
}
