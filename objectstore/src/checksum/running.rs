//! The digests of a body that streams by: what is quick in passing, what is slow beside the body's own way.
//!
//! ```text
//!   push ─┬─ CRC, XXH ─────────────────────────► in passing, while the bytes are in the cache
//!         ├─ MD5 ──── gathered to 256 KiB ─────► the lanes, beside other bodies' (md5::Lanes)
//!         └─ SHA ──── gathered to 256 KiB ─────► the blocking pool, beside the MD5
//! ```
//!
//! # Invariants
//! - Memory: two batches of [`BATCH_BYTES`] plus one pushed buffer each; the second waits for the first. A piece keeps the buffer
//!   alive that it was cut from, of up to [`PUSHED_BYTES`], so small ones are copied together, all but a body's first: a body that
//!   comes byte by byte costs its bytes, not a buffer for each.
//! - Dropping it leaves at most a batch under way, whose result nobody takes.

use super::ChecksumAlgorithm;
use super::digests::{Hasher, Sums};
use super::md5::{Lanes, Md5, Seat};
use crate::{Error, Result};
use bytes::{Bytes, BytesMut};
use engine::memory::MemoryHold;
use engine::unit::ByteCount;
use tokio::sync::oneshot;
use tokio::sync::oneshot::error::TryRecvError;
use tokio::task::JoinHandle;

/// Bytes that are digested at once beside the body's way.
const BATCH_BYTES: usize = 256 << 10;
/// A body's last bytes, or all of a small one, are digested in place up to here: about 50 µs.
const IN_PLACE_BYTES: usize = 32 << 10;
/// Pieces below this are small: a larger one is at least half of the buffer that it keeps.
const SMALL_PIECE_BYTES: usize = 128 << 10;
/// The largest buffer that a piece is cut from: what a connection reads at once.
const PUSHED_BYTES: u64 = 256 << 10;

/// The running digests of one body.
pub(crate) struct Running {
    lanes: Lanes,
    md5: Work<Md5, oneshot::Receiver<Md5>>,
    extra: Option<Work<Hasher, JoinHandle<Hasher>>>,
    waiting: Vec<Bytes>,
    /// Small pieces behind them.
    tail: BytesMut,
    waiting_bytes: usize,
    /// Whose memory the batches are.
    held: MemoryHold,
    /// From its first batch on. Behind `md5`: it looks what that leaves waiting when both go.
    seat: Option<Seat>,
}

/// A digest, here or away with a batch.
enum Work<D, A> {
    Here(D),
    Away(A),
    /// Its batch failed, or a push was dropped half-way.
    Lost,
}

impl Running {
    /// MD5 and, when named, one more.
    pub(crate) fn new(lanes: &Lanes, algorithm: Option<ChecksumAlgorithm>) -> Self {
        let extra = algorithm.map(|algorithm| Work::Here(Hasher::new(algorithm)));
        let md5 = Work::Here(Md5::new());
        let (waiting, tail) = (Vec::new(), BytesMut::new());
        let held = MemoryHold::default();
        Self { lanes: lanes.clone(), md5, extra, waiting, tail, waiting_bytes: 0, held, seat: None }
    }

    /// Each batch that is away keeps `held`.
    pub(crate) fn charge(&mut self, held: MemoryHold) {
        self.held = held;
    }

    /// Most bytes that the digests of a body of at most so many bytes keep in memory.
    pub(crate) fn memory(most: Option<ByteCount>) -> ByteCount {
        // One batch is away, the other is full and waits for it. Each has what was pushed last, one large piece before it with all of
        // its buffer, and small ones whose room has doubled.
        let batches = 2 * (2 * PUSHED_BYTES + BATCH_BYTES as u64);
        // A body that is not as long keeps its bytes twice.
        ByteCount::new(most.map_or(batches, |most| most.get().saturating_mul(2).min(batches)))
    }

    /// Takes the next bytes; waits for the batch before the last.
    pub(crate) async fn push(&mut self, bytes: Bytes) -> Result<()> {
        if let Some(Work::Here(extra)) = &mut self.extra
            && extra.is_quick()
        {
            extra.update(&bytes);
        }
        self.waiting_bytes += bytes.len();
        let is_first = self.waiting.is_empty() && self.tail.is_empty() && self.seat.is_none();
        if bytes.len() < SMALL_PIECE_BYTES && !is_first {
            self.tail.extend_from_slice(&bytes);
        } else {
            self.flush_tail();
            self.waiting.push(bytes);
        }
        if self.waiting_bytes >= BATCH_BYTES {
            return self.send().await;
        }
        // So that it is not waited for when this batch is full.
        if self.waiting_bytes >= BATCH_BYTES / 2
            && let Work::Away(answer) = &self.md5
            && answer.is_empty()
        {
            self.lanes.hurry();
        }
        Ok(())
    }

    /// The results.
    pub(crate) async fn finish(mut self) -> Result<Sums> {
        if self.waiting_bytes > IN_PLACE_BYTES {
            self.send().await?;
        }
        let mut md5 = self.md5().await?;
        let mut extra = self.extra().await?;
        self.flush_tail();
        for bytes in &self.waiting {
            md5.update(bytes);
            if let Some(extra) = extra.as_mut().filter(|extra| !extra.is_quick()) {
                extra.update(bytes);
            }
        }
        Ok(Sums::of(md5, extra))
    }

    fn flush_tail(&mut self) {
        if !self.tail.is_empty() {
            self.waiting.push(std::mem::take(&mut self.tail).freeze());
        }
    }

    /// Sends what waits away.
    async fn send(&mut self) -> Result<()> {
        let (md5, extra) = (self.md5().await?, self.extra().await?);
        self.flush_tail();
        let batch = std::mem::take(&mut self.waiting);
        self.waiting_bytes = 0;
        self.extra = extra.map(|mut extra| {
            if extra.is_quick() {
                return Work::Here(extra);
            }
            let (batch, held) = (batch.clone(), self.held.clone());
            Work::Away(tokio::task::spawn_blocking(move || {
                let _held = held;
                for bytes in &batch {
                    extra.update(bytes);
                }
                extra
            }))
        });
        if self.seat.is_none() {
            self.seat = Some(self.lanes.enter());
        }
        self.md5 = Work::Away(self.lanes.submit(md5, batch, self.held.clone()));
        Ok(())
    }

    async fn md5(&mut self) -> Result<Md5> {
        match std::mem::replace(&mut self.md5, Work::Lost) {
            Work::Here(md5) => Ok(md5),
            Work::Away(mut answer) => match answer.try_recv() {
                Err(TryRecvError::Empty) => {
                    self.lanes.hurry();
                    answer.await.map_err(|_| closed())
                }
                known => known.map_err(|_| closed()),
            },
            Work::Lost => Err(closed()),
        }
    }

    async fn extra(&mut self) -> Result<Option<Hasher>> {
        match self.extra.as_mut().map(|extra| std::mem::replace(extra, Work::Lost)) {
            None => Ok(None),
            Some(Work::Here(extra)) => Ok(Some(extra)),
            Some(Work::Away(answer)) => answer.await.map(Some).map_err(|_| closed()),
            Some(Work::Lost) => Err(closed()),
        }
    }
}

fn closed() -> Error {
    Error::Engine(engine::Error::Closed)
}

#[cfg(test)]
mod tests {
    use super::{BATCH_BYTES, PUSHED_BYTES, Running, SMALL_PIECE_BYTES};
    use crate::checksum::{ChecksumAlgorithm, ChecksumValue, Lanes};
    use bytes::Bytes;
    use engine::memory::MemoryHold;
    use futures_util::FutureExt;
    use futures_util::future::join_all;

    fn body(seed: usize, length: usize) -> Bytes {
        (0..length).map(|at| u8::try_from((at * 29 + at / 253 + seed * 71) % 256).unwrap()).collect()
    }

    #[tokio::test]
    async fn every_algorithm_beside_the_md5_is_what_it_is_at_once() {
        let lanes = Lanes::new(2);
        let lengths = [0, 1, 5_000, 32 << 10, (32 << 10) + 1, 200_000, BATCH_BYTES, 3 * BATCH_BYTES + 77];
        let work =
            ChecksumAlgorithm::ALL.into_iter().flat_map(|algorithm| lengths.map(|len| (algorithm, len)));
        let side_by_side = work.enumerate().map(|(seed, (algorithm, length))| {
            let lanes = lanes.clone();
            async move {
                let body = body(seed, length);
                let mut digests = Running::new(&lanes, Some(algorithm));
                let mut rest = body.clone();
                while !rest.is_empty() {
                    let piece = rest.split_to(rest.len().min(1 + 10_007 * (seed % 13)));
                    digests.push(piece).await.unwrap();
                }
                let sums = digests.finish().await.unwrap();
                let wanted = ChecksumValue::compute(ChecksumAlgorithm::Md5, &body);
                assert_eq!(sums.md5, wanted.as_bytes(), "{length} bytes");
                assert_eq!(sums.checksum, Some(ChecksumValue::compute(algorithm, &body)), "{length} bytes");
            }
        });
        join_all(side_by_side).await;
    }

    #[tokio::test]
    async fn a_push_that_is_dropped_half_way_gives_no_digest() {
        let mut digests = Running::new(&Lanes::new(1), None);
        digests.push(body(1, 16 * BATCH_BYTES)).await.unwrap();
        let dropped = digests.push(body(2, BATCH_BYTES)).now_or_never().is_none();
        assert_eq!(digests.finish().await.is_err(), dropped, "bytes are missing only if it was dropped");
    }

    /// A piece of a byte keeps all of the buffer that it was read into.
    #[tokio::test]
    async fn a_body_that_comes_byte_by_byte_costs_its_bytes() {
        let body = body(3, 2 * SMALL_PIECE_BYTES);
        let mut digests = Running::new(&Lanes::new(1), Some(ChecksumAlgorithm::Sha256));
        let mut most = 0;
        for at in 0..body.len() {
            // Between them some that are not small.
            let piece = if at % 100_000 == 99_999 { SMALL_PIECE_BYTES } else { 1 };
            digests.push(vec![body[at]; piece].into()).await.unwrap();
            most = most.max(digests.waiting.len());
        }
        assert!(most <= 3, "{most} buffers wait");
        let whole: Vec<u8> = (0..body.len())
            .flat_map(|at| vec![body[at]; if at % 100_000 == 99_999 { SMALL_PIECE_BYTES } else { 1 }])
            .collect();
        let sums = digests.finish().await.unwrap();
        let sha = ChecksumValue::compute(ChecksumAlgorithm::Sha256, &Bytes::from(whole));
        assert_eq!(sums.checksum, Some(sha), "in their order");
    }

    #[tokio::test]
    async fn what_digests_keep_of_a_body_is_known_before_it_comes() {
        for piece in [1_000, 16 << 10, SMALL_PIECE_BYTES - 1, SMALL_PIECE_BYTES, 200_000, 256 << 10] {
            for length in [1_usize, 5_000, 100_000, 300_000, 2_000_000] {
                let (mut digests, mut left, mut most) = (Running::new(&Lanes::new(1), None), length, 0);
                while left > 0 {
                    let next = left.min(piece);
                    // As it is cut from what a connection read.
                    digests.push(Bytes::from(vec![7; next])).await.unwrap();
                    left -= next;
                    let buffer = |bytes: &Bytes| {
                        if bytes.len() < SMALL_PIECE_BYTES {
                            bytes.len()
                        } else {
                            PUSHED_BYTES.try_into().unwrap()
                        }
                    };
                    let waits: usize = digests.waiting.iter().map(buffer).sum();
                    most = most.max(waits + digests.tail.capacity());
                }
                // The batch that is away is no larger than one that waits.
                let known = Running::memory(Some(length.into())).get();
                assert!(
                    2 * most as u64 <= known.max(4 * length as u64),
                    "{piece} of {length}: {most}, {known}"
                );
            }
        }
    }

    #[test]
    fn a_batch_that_is_away_keeps_what_it_is_charged_to() {
        let runtime = tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).build().unwrap();
        runtime.block_on(async {
            // What is away stays there for as long as we look.
            let (go, gone) = std::sync::mpsc::channel::<()>();
            tokio::task::spawn_blocking(move || gone.recv().unwrap_or_default());
            let charged = std::sync::Arc::new(());
            let mut digests = Running::new(&Lanes::new(1), Some(ChecksumAlgorithm::Sha256));
            digests.charge(MemoryHold::new(charged.clone()));
            digests.push(body(1, BATCH_BYTES)).await.unwrap();
            let held = std::sync::Arc::strong_count(&charged);
            assert_eq!(held, 4, "this, the digests, the MD5's batch and the SHA-256's");
            drop(go);
            digests.finish().await.unwrap();
            while std::sync::Arc::strong_count(&charged) > 1 {
                tokio::task::yield_now().await;
            }
        });
    }
}
