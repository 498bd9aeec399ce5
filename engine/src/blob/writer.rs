//! Writes one blob.
//!
//! Plaintext gathers to chunks, chunks are sealed into a record's payload, full records go to a lane. A blob that ends
//! below 256 KiB is one record in the small lane; a larger one stays with one large lane and is synced once, at its seal.
//! Dropping a writer leaves records that no row names: garbage.

use super::BlobStore;
use super::reference::{Owner, share};
use super::row::{BLOB_BYTES_MAX, BlobRow, RecordAt, blob_key, live_key};
use crate::catalog::Write;
use crate::codec::DataKey;
use crate::codec::chunk::{CHUNK_BYTES, ChunkCipher, sealed_len};
use crate::id::{BlobId, PartitionId, SegmentId};
use crate::pool::frame::FRAME_BYTES;
use crate::pool::{Draft, Hold, Lane, Placed, SMALL_BYTES};
use crate::unit::ByteCount;
use crate::{Error, Result};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::oneshot;

/// Writes one blob.
pub struct BlobWriter {
    store: Arc<BlobStore>,
    home: PartitionId,
    blob: BlobId,
    key: DataKey,
    cipher: ChunkCipher,
    /// Plaintext bytes pushed so far.
    length: u64,
    /// Plaintext of the chunk under way.
    partial: Vec<u8>,
    /// Index of the next chunk to be sealed.
    next_chunk: u64,
    record: Record,
    /// Once the blob has outgrown the small lane.
    large: Option<Lane>,
    /// The record before, while its lane still writes it.
    in_flight: Option<oneshot::Receiver<Result<Placed>>>,
    placed: Vec<Placed>,
}

/// The record under way: room for its frame, then sealed chunks.
struct Record {
    bytes: Vec<u8>,
    hash: blake3::Hasher,
    first_chunk: u64,
    plain_len: usize,
    /// Plaintext bytes that complete it.
    target: usize,
}

impl Record {
    fn new(first_chunk: u64, target: usize, expected: usize) -> Self {
        let room = usize::try_from(sealed_len(expected.min(target) as u64)).unwrap_or(0);
        let mut bytes = Vec::with_capacity(FRAME_BYTES + room + crate::pool::frame::FRAME_ALIGN);
        bytes.resize(FRAME_BYTES, 0);
        Self { bytes, hash: blake3::Hasher::new(), first_chunk, plain_len: 0, target }
    }
}

impl BlobWriter {
    pub(super) fn new(store: Arc<BlobStore>, home: PartitionId, expected: Option<ByteCount>) -> Self {
        let blob = BlobId::random(&*store.entropy);
        let key = DataKey::random(&*store.entropy);
        let cipher = ChunkCipher::new(blob, &key);
        let expected = expected.map_or(CHUNK_BYTES, |n| usize::try_from(n.get()).unwrap_or(usize::MAX));
        let record = Record::new(0, store.pool.record_plain_bytes(0), expected);
        Self {
            store,
            home,
            blob,
            key,
            cipher,
            length: 0,
            partial: Vec::new(),
            next_chunk: 0,
            record,
            large: None,
            in_flight: None,
            placed: Vec::new(),
        }
    }

    /// The blob's id.
    pub const fn id(&self) -> BlobId {
        self.blob
    }

    /// Plaintext bytes pushed so far.
    pub const fn length(&self) -> ByteCount {
        ByteCount::new(self.length)
    }

    /// Adds bytes. Waits while the lane is behind; after an error the writer is of no use.
    pub async fn push(&mut self, mut bytes: Bytes) -> Result<()> {
        self.length += bytes.len() as u64;
        if self.length > BLOB_BYTES_MAX {
            return Err(Error::TooLarge { what: "blob", size: self.length, limit: BLOB_BYTES_MAX });
        }
        while self.partial.len() + bytes.len() >= CHUNK_BYTES {
            if self.partial.is_empty() {
                let chunk = bytes.split_to(CHUNK_BYTES);
                self.seal_chunk(&chunk).await?;
            } else {
                self.partial.extend_from_slice(&bytes.split_to(CHUNK_BYTES - self.partial.len()));
                let mut chunk = std::mem::take(&mut self.partial);
                self.seal_chunk(&chunk).await?;
                chunk.clear();
                self.partial = chunk;
            }
        }
        self.partial.extend_from_slice(&bytes);
        Ok(())
    }

    /// Completes the blob. Its bytes are durable when this returns; nobody refers to them yet.
    pub async fn seal(mut self) -> Result<SealedBlob> {
        let rest = std::mem::take(&mut self.partial);
        if !rest.is_empty() {
            self.seal_chunk(&rest).await?;
        }
        match self.large.clone() {
            Some(lane) => self.finish_large(&lane).await?,
            None if self.record.plain_len > 0 => self.finish_small().await?,
            None => {}
        }
        self.store.register_home(self.home).await?;
        for placed in &self.placed {
            placed.hold.segment().expect_rows_of(self.home);
            self.store.live.mark(self.home, placed.at.segment);
        }
        let places: Vec<RecordAt> = self.placed.iter().map(|p| p.at).collect();
        Ok(SealedBlob {
            id: self.blob,
            length: ByteCount::new(self.length),
            key: self.key,
            row: BlobRow { length: self.length, places },
            _holds: self.placed.into_iter().map(|p| p.hold).collect(),
        })
    }

    async fn seal_chunk(&mut self, plain: &[u8]) -> Result<()> {
        if self.record.plain_len == self.record.target {
            self.send_record().await?;
        }
        let start = self.record.bytes.len();
        self.cipher.seal_into(self.next_chunk, plain, &mut self.record.bytes);
        self.record.hash.update(&self.record.bytes[start..]);
        self.record.plain_len += plain.len();
        self.next_chunk += 1;
        Ok(())
    }

    /// Hands the record to the large lane once the one before is written.
    async fn send_record(&mut self) -> Result<()> {
        self.await_in_flight().await?;
        let lane = self.large.get_or_insert_with(|| self.store.pool.large_lane()).clone();
        let draft = self.draft();
        self.in_flight = Some(lane.append(draft, false).await?);
        Ok(())
    }

    async fn await_in_flight(&mut self) -> Result<()> {
        if let Some(answer) = self.in_flight.take() {
            self.placed.push(answer.await.map_err(|_| Error::Closed)??);
        }
        Ok(())
    }

    /// The record under way, complete; the next one begins.
    fn draft(&mut self) -> Draft {
        let target = self.store.pool.record_plain_bytes(self.length);
        let next = Record::new(self.next_chunk, target, target);
        let record = std::mem::replace(&mut self.record, next);
        let index = self.placed.len();
        Draft {
            blob: self.blob,
            home: self.home,
            index: u32::try_from(index).unwrap_or(u32::MAX),
            first_chunk: record.first_chunk,
            plain_len: u32::try_from(record.plain_len).unwrap_or(u32::MAX),
            hash: record.hash.finalize().into(),
            bytes: record.bytes,
        }
    }

    async fn finish_small(&mut self) -> Result<()> {
        if self.record.plain_len >= SMALL_BYTES {
            let lane = self.store.pool.large_lane();
            self.large = Some(lane.clone());
            return self.finish_large(&lane).await;
        }
        let draft = self.draft();
        let answer = self.store.pool.small.append(draft, true).await?;
        self.placed.push(answer.await.map_err(|_| Error::Closed)??);
        Ok(())
    }

    async fn finish_large(&mut self, lane: &Lane) -> Result<()> {
        if self.record.plain_len > 0 {
            self.send_record().await?;
        }
        self.await_in_flight().await?;
        lane.sync().await?;
        match self.placed.iter().find(|placed| placed.hold.segment().has_failed()) {
            None => Ok(()),
            Some(lost) => {
                let source = std::io::Error::other("a sync failed before the blob was sealed");
                Err(Error::io("write segment", &lost.hold.segment().path, source))
            }
        }
    }
}

/// A blob whose bytes are durable and that waits for its row: put [`writes`](Self::writes) into a commit in its home
/// partition and drop this after the commit has answered. Until then neither compaction nor recycling touches its records;
/// dropped without a commit, it is garbage.
pub struct SealedBlob {
    /// Its id.
    pub id: BlobId,
    /// Plaintext bytes.
    pub length: ByteCount,
    /// Its key, to be wrapped.
    pub key: DataKey,
    row: BlobRow,
    _holds: Vec<Hold>,
}

impl SealedBlob {
    /// The blob's row, its first reference and its live bytes, for a commit in its home partition.
    pub fn writes(&self, owner: &Owner) -> Vec<Write> {
        let mut writes = vec![Write::Put(blob_key(self.id), self.row.encode().into())];
        writes.extend(share(self.id, owner));
        writes.extend(live_adds(&self.row.places, 1));
        writes
    }
}

/// Counter changes for records that come to life (`sign` 1) or die (−1), one per segment.
pub(super) fn live_adds(places: &[RecordAt], sign: i64) -> impl Iterator<Item = Write> {
    let mut sums: BTreeMap<SegmentId, u64> = BTreeMap::new();
    for place in places {
        *sums.entry(place.segment).or_default() += place.stored_len();
    }
    sums.into_iter().map(move |(segment, bytes)| {
        Write::Add(live_key(segment), i64::try_from(bytes).unwrap_or(i64::MAX) * sign)
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{HOME, World};
    use super::BLOB_BYTES_MAX;
    use crate::Error;

    #[tokio::test]
    async fn a_blob_ends_at_its_limit() {
        let world = World::new(70).await;
        let mut writer = world.store.writer(HOME, None);
        writer.length = BLOB_BYTES_MAX - 1;
        writer.push("x".into()).await.unwrap();
        assert!(matches!(writer.push("x".into()).await, Err(Error::TooLarge { .. })));
    }
}
