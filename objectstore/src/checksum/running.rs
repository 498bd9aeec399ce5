//! The digests of a body that streams by: what is quick in passing, what is slow beside the body's own way.
//!
//! ```text
//!   push ─┬─ CRC, XXH ─────────────────────────► in passing, while the bytes are in the cache
//!         ├─ MD5 ──── gathered to 256 KiB ─────► the lanes, beside other bodies' (md5::Lanes)
//!         └─ SHA ──── gathered to 256 KiB ─────► the blocking pool, beside the MD5
//! ```
//!
//! # Invariants
//! - Memory: two batches of [`BATCH_BYTES`] plus one pushed buffer each; the second waits for the first.
//! - Dropping it leaves at most a batch under way, whose result nobody takes.

use super::ChecksumAlgorithm;
use super::digests::{Hasher, Sums};
use super::md5::{Lanes, Md5};
use crate::{Error, Result};
use bytes::Bytes;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Bytes that are digested at once beside the body's way.
const BATCH_BYTES: usize = 256 << 10;
/// A body's last bytes, or all of a small one, are digested in place up to here: about 50 µs.
const IN_PLACE_BYTES: usize = 32 << 10;

/// The running digests of one body.
pub(crate) struct Running {
    lanes: Lanes,
    md5: Work<Md5, oneshot::Receiver<Md5>>,
    extra: Option<Work<Hasher, JoinHandle<Hasher>>>,
    waiting: Vec<Bytes>,
    waiting_bytes: usize,
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
        Self { lanes: lanes.clone(), md5, extra, waiting: Vec::new(), waiting_bytes: 0 }
    }

    /// Takes the next bytes; waits for the batch before the last.
    pub(crate) async fn push(&mut self, bytes: Bytes) -> Result<()> {
        if let Some(Work::Here(extra)) = &mut self.extra
            && extra.is_quick()
        {
            extra.update(&bytes);
        }
        self.waiting_bytes += bytes.len();
        self.waiting.push(bytes);
        if self.waiting_bytes >= BATCH_BYTES { self.send().await } else { Ok(()) }
    }

    /// The results.
    pub(crate) async fn finish(mut self) -> Result<Sums> {
        if self.waiting_bytes > IN_PLACE_BYTES {
            self.send().await?;
        }
        let mut md5 = self.md5().await?;
        let mut extra = self.extra().await?;
        for bytes in &self.waiting {
            md5.update(bytes);
            if let Some(extra) = extra.as_mut().filter(|extra| !extra.is_quick()) {
                extra.update(bytes);
            }
        }
        Ok(Sums::of(md5, extra))
    }

    /// Sends what waits away.
    async fn send(&mut self) -> Result<()> {
        let (md5, extra) = (self.md5().await?, self.extra().await?);
        let batch = std::mem::take(&mut self.waiting);
        self.waiting_bytes = 0;
        self.extra = extra.map(|mut extra| {
            if extra.is_quick() {
                return Work::Here(extra);
            }
            let batch = batch.clone();
            Work::Away(tokio::task::spawn_blocking(move || {
                for bytes in &batch {
                    extra.update(bytes);
                }
                extra
            }))
        });
        self.md5 = Work::Away(self.lanes.submit(md5, batch));
        Ok(())
    }

    async fn md5(&mut self) -> Result<Md5> {
        match std::mem::replace(&mut self.md5, Work::Lost) {
            Work::Here(md5) => Ok(md5),
            Work::Away(answer) => answer.await.map_err(|_| closed()),
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
