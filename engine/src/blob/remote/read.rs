//! Reads of a remote object: a piece of up to 16 chunks at a time, from the cache or from the store.
//!
//! # Invariants
//! - Who reads an object holds a [`RemotePin`] of it; while there is one, the object is not deleted.
//! - What comes from here is sealed still: the reader opens it, and only then is it put into the cache.

use super::cache::PieceKey;
use super::{RemotePool, object_name};
use crate::blob::row::{BlobRow, RemoteCopy};
use crate::blocking::blocking;
use crate::codec::chunk::SEALED_CHUNK_BYTES;
use crate::id::{BlobId, CopyId, PartitionId, SegmentId};
use crate::pool::frame::{FRAME_BYTES, Frame};
use crate::{Error, Result};
use bytes::Bytes;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Keeps an object from being deleted.
pub(in crate::blob) struct RemotePin {
    pool: Arc<RemotePool>,
    copy: CopyId,
}

impl RemotePin {
    pub(in crate::blob) fn new(pool: &Arc<RemotePool>, copy: CopyId) -> Arc<Self> {
        *pool.readers.lock().entry(copy).or_default() += 1;
        Arc::new(Self { pool: Arc::clone(pool), copy })
    }
}

impl Drop for RemotePin {
    fn drop(&mut self) {
        let mut readers = self.pool.readers.lock();
        if let Some(count) = readers.get_mut(&self.copy) {
            *count -= 1;
            if *count == 0 {
                readers.remove(&self.copy);
            }
        }
    }
}

/// Chunks of a remote object that are read together, and which of them are asked for.
#[derive(Clone)]
pub(in crate::blob) struct RemoteAt {
    pin: Arc<RemotePin>,
    name: Arc<str>,
    key: PieceKey,
    /// The piece in the object.
    piece: Range<u64>,
    /// Where in the piece what is asked for begins.
    from: usize,
}

impl RemoteAt {
    /// Chunks `first_chunk` and on of a record. The piece that they are of has `piece` chunks from the record's start on.
    pub(in crate::blob) fn new(
        pin: &Arc<RemotePin>,
        (home, blob): (PartitionId, BlobId),
        (copy, index): (&RemoteCopy, usize),
        (record_first, piece, first_chunk): (u64, Range<u64>, u64),
    ) -> Self {
        let sealed = SEALED_CHUNK_BYTES as u64;
        let payload = u64::from(copy.payloads.get(index).copied().unwrap_or(0));
        let start = copy.offset_of(index) + FRAME_BYTES as u64;
        let bytes = start + piece.start * sealed..start + (piece.end * sealed).min(payload);
        let skipped = (first_chunk - record_first - piece.start) * sealed;
        Self {
            pin: Arc::clone(pin),
            name: object_name(home, blob, copy.id).into(),
            key: (blob, copy.id, record_first + piece.start),
            piece: bytes,
            from: usize::try_from(skipped).unwrap_or(usize::MAX),
        }
    }

    /// What is behind the first chunk.
    pub(in crate::blob) fn skip_chunk(&mut self) {
        self.from += SEALED_CHUNK_BYTES;
    }

    /// The sealed bytes that are asked for, if the cache has them. It may be wrong about them.
    pub(in crate::blob) async fn cached(&self, len: usize) -> Option<Vec<u8>> {
        let (pool, key) = (Arc::clone(&self.pin.pool), self.key);
        pool.cache.as_ref()?;
        let found = blocking(move || Ok(pool.cache.as_ref().and_then(|cache| cache.get(&key)))).await;
        let piece = found.ok().flatten()?;
        piece.get(self.from..self.from.checked_add(len)?).map(<[u8]>::to_vec)
    }

    /// The cache was wrong.
    pub(in crate::blob) fn forget(&self) {
        if let Some(cache) = &self.pin.pool.cache {
            cache.remove(&self.key);
        }
    }

    /// The piece from the store, and in it the sealed bytes that are asked for.
    pub(in crate::blob) async fn fetch(&self, len: usize) -> Result<(Bytes, Vec<u8>)> {
        let pool = &self.pin.pool;
        let piece = match pool.noted_read(pool.store.get(&self.name, self.piece.clone()).await) {
            Ok(piece) => piece,
            Err(Error::NotFound { .. }) => return Err(self.corrupt("the object is missing".to_owned())),
            Err(error) => return Err(error),
        };
        pool.read_bytes.fetch_add(piece.len() as u64, Ordering::Relaxed);
        let wanted = self.piece.end - self.piece.start;
        if piece.len() as u64 != wanted {
            let missing = wanted.saturating_sub(piece.len() as u64);
            return Err(self.corrupt(format!("the object ends {missing} bytes early")));
        }
        match piece.get(self.from..self.from.saturating_add(len)) {
            Some(bytes) => {
                let bytes = bytes.to_vec();
                Ok((piece, bytes))
            }
            None => Err(self.corrupt("the row does not fit the object".to_owned())),
        }
    }

    /// Keeps a piece whose wanted part was as sealed, unless the cache's disk is behind.
    pub(in crate::blob) fn keep(&self, piece: Bytes) {
        let (pool, key) = (Arc::clone(&self.pin.pool), self.key);
        let Some(place) = pool.cache.as_ref().and_then(super::Cache::may_put) else { return };
        // Nobody waits for it: what it does not keep is read again.
        drop(tokio::task::spawn_blocking(move || {
            if let Some(cache) = &pool.cache {
                cache.put(key, &piece);
            }
            drop(place);
        }));
    }

    /// An error that names the object.
    pub(in crate::blob) fn corrupt(&self, detail: String) -> Error {
        let what = format!("blob {} in {} ({})", self.key.0, self.pin.pool.place, self.name);
        Error::Corrupt { what, detail }
    }
}

impl RemotePool {
    /// A whole record of a remote copy, verified by its checksum without any key; with room for a frame in front.
    pub(in crate::blob) async fn record(
        &self,
        (home, blob): (PartitionId, BlobId),
        row: &BlobRow,
        index: usize,
    ) -> Result<(Frame, Vec<u8>)> {
        let Some(copy) = &row.remote else {
            return Err(Error::NotFound { what: "remote copy of blob", id: blob.to_string() });
        };
        let name = object_name(home, blob, copy.id);
        let corrupt = |detail: &str| Error::Corrupt {
            what: format!("blob {blob} in {} ({name}), record {index}", self.place),
            detail: detail.to_owned(),
        };
        let payload = copy.payloads.get(index).copied().unwrap_or(0);
        let len = FRAME_BYTES + payload as usize;
        let start = copy.offset_of(index);
        let bytes = match self.noted_read(self.store.get(&name, start..start + len as u64).await) {
            Ok(bytes) => bytes,
            Err(Error::NotFound { .. }) => return Err(corrupt("the object is missing")),
            Err(error) => return Err(error),
        };
        self.read_bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        if bytes.len() != len {
            return Err(corrupt("the object ends early"));
        }
        // A frame that claims to be newer than this firn is damage like any other: its row is not.
        let frame = Frame::decode(&bytes, &name).map_err(|error| corrupt(&error.to_string()))?;
        let generation = SegmentId::from_bytes(*copy.id.as_bytes());
        if frame.generation != generation || frame.blob != blob || frame.payload_len != payload {
            return Err(corrupt("the frame is another record's"));
        }
        if !frame.sum.matches(&bytes[FRAME_BYTES..]) {
            return Err(corrupt("the payload is not what its checksum says"));
        }
        Ok((frame, bytes.to_vec()))
    }

    /// Whether an object is there that ends where it should, and whose last record is the right one. Its bodies are not read: what
    /// was damaged since it was written is not noticed.
    pub(super) async fn holds(&self, (home, blob): (PartitionId, BlobId), copy: &RemoteCopy) -> Result<bool> {
        let name = object_name(home, blob, copy.id);
        let Some(last) = copy.payloads.len().checked_sub(1) else { return Ok(false) };
        let (start, end) = (copy.offset_of(last), copy.stored_len());
        for range in [start..start + FRAME_BYTES as u64, end - 1..end] {
            let wanted = range.end - range.start;
            let bytes = match self.noted_read(self.store.get(&name, range).await) {
                Err(Error::NotFound { .. }) => return Ok(false),
                outcome => outcome?,
            };
            if bytes.len() as u64 != wanted {
                return Ok(false);
            }
            if wanted == FRAME_BYTES as u64 {
                let Ok(frame) = Frame::decode(&bytes, &name) else { return Ok(false) };
                let generation = SegmentId::from_bytes(*copy.id.as_bytes());
                if frame.generation != generation
                    || frame.blob != blob
                    || frame.payload_len != copy.payloads[last]
                {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Somebody reads the object.
    pub(super) fn is_read(&self, copy: CopyId) -> bool {
        self.readers.lock().contains_key(&copy)
    }
}
