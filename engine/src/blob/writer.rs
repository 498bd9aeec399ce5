//! Writes one blob.
//!
//! Plaintext gathers to chunks, chunks are sealed into a record's payload, full records go to a lane. A blob that ends
//! below 256 KiB is one record in the small lane; a larger one stays with one large lane and is synced once, at its seal.
//! Each record goes to as many zones as the blob is to have copies ([`Spread`]).
//! Dropping a writer leaves records that no row names: garbage.

use super::BlobStore;
use super::reference::{Owner, share};
use super::remote::Ring;
use super::row::{BLOB_BYTES_MAX, BlobRow, Copies, PRESENT, blob_key, live_key, repair_key};
use super::spread::Spread;
use crate::catalog::Write;
use crate::codec::DataKey;
use crate::codec::chunk::{CHUNK_BYTES, ChunkCipher, sealed_len};
use crate::id::{BlobId, PartitionId, SegmentId};
use crate::pool::frame::{FRAME_ALIGN, FRAME_BYTES};
use crate::pool::{Draft, Hold, RecordAt, SMALL_BYTES, record_plain_bytes};
use crate::unit::ByteCount;
use crate::{Error, Result};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;

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
    /// The blob has outgrown the small lane.
    is_large: bool,
    spread: Spread,
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
        let mut bytes = Vec::with_capacity(FRAME_BYTES + room + FRAME_ALIGN);
        bytes.resize(FRAME_BYTES, 0);
        Self { bytes, hash: blake3::Hasher::new(), first_chunk, plain_len: 0, target }
    }
}

impl BlobStore {
    /// Most bytes that a writer of a blob of at most so many bytes holds at once: the record under way, the one before it in each
    /// copy's lane, and a chunk. Without a length, of any blob.
    pub fn writer_memory(&self, most: Option<ByteCount>, copies: Copies) -> ByteCount {
        let copies = if self.zones.are_several() { copies } else { Copies::Configured };
        let copies = self.count_of(copies) as u64;
        let most = most.map_or(u64::MAX, ByteCount::get);
        let of_records = |before| record_plain_bytes(self.segment_bytes, before) as u64;
        let room = |plain| FRAME_BYTES as u64 + FRAME_ALIGN as u64 + sealed_len(plain);
        let (first, last) = (of_records(0), of_records(most.saturating_sub(1)));
        let records = if most <= first {
            copies * room(most)
        } else {
            // Records grow with the blob: the last ones are the largest.
            (1 + copies) * room(last)
        };
        ByteCount::new(records + most.min(CHUNK_BYTES as u64))
    }
}

impl BlobWriter {
    pub(super) fn new(store: Arc<BlobStore>, home: PartitionId, expected: Option<ByteCount>) -> Self {
        let blob = BlobId::random(&*store.entropy);
        let key = DataKey::random(&*store.entropy);
        let cipher = ChunkCipher::new(blob, &key);
        let expected = expected.map_or(CHUNK_BYTES, |n| usize::try_from(n.get()).unwrap_or(usize::MAX));
        let record = Record::new(0, record_plain_bytes(store.segment_bytes, 0), expected);
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
            is_large: false,
            spread: Spread::new(home, blob),
        }
    }

    /// The same, for a blob that is to have so many copies. In a store of one zone nothing is said about it, so that a zone
    /// that comes later finds blobs to copy.
    #[must_use]
    pub fn with_copies(mut self, copies: Copies) -> Self {
        if self.store.zones.are_several() {
            self.spread.wanted = copies;
        }
        self
    }

    /// The blob's id.
    pub const fn id(&self) -> BlobId {
        self.blob
    }

    /// The blob's key, to be wrapped.
    pub const fn key(&self) -> &DataKey {
        &self.key
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
        if self.is_large || self.record.plain_len >= SMALL_BYTES {
            if self.record.plain_len > 0 {
                self.send_record().await?;
            }
            self.spread.sync().await?;
        } else if self.record.plain_len > 0 {
            let draft = self.draft();
            self.spread.send_small(&self.store, draft).await?;
        }
        self.store.register_home(self.home).await?;
        let wanted = if self.length == 0 { Copies::Configured } else { self.spread.wanted };
        let landed = self.spread.settle(&self.store).await?;
        for hold in &landed.holds {
            hold.segment().expect_rows_of(self.home);
            self.store.live.mark(self.home, hold.segment().id);
        }
        let row = BlobRow { length: self.length, wanted, copies: landed.copies, remote: None };
        let upload = self.store.queue_upload(self.blob, &row);
        Ok(SealedBlob {
            id: self.blob,
            length: ByteCount::new(self.length),
            key: self.key,
            _ring: upload.as_ref().and(self.store.remote.as_ref()).map(|pool| pool.ring()),
            upload,
            row,
            short: landed.short,
            _holds: landed.holds,
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

    /// Hands the record to the large lanes once the one before is written.
    async fn send_record(&mut self) -> Result<()> {
        self.spread.await_in_flight().await?;
        self.is_large = true;
        let draft = self.draft();
        self.spread.send(&self.store, draft).await
    }

    /// The record under way, complete; the next one begins.
    fn draft(&mut self) -> Draft {
        let target = record_plain_bytes(self.store.segment_bytes, self.length);
        let next = Record::new(self.next_chunk, target, target);
        let record = std::mem::replace(&mut self.record, next);
        Draft {
            blob: self.blob,
            home: self.home,
            index: self.spread.next_index(),
            first_chunk: record.first_chunk,
            plain_len: u32::try_from(record.plain_len).unwrap_or(u32::MAX),
            hash: record.hash.finalize().into(),
            bytes: record.bytes,
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
    /// It has fewer copies than are wanted.
    short: bool,
    /// Queues it for the remote pool, if there is one.
    upload: Option<Write>,
    _ring: Option<Ring>,
    _holds: Vec<Hold>,
}

impl SealedBlob {
    /// Bytes are at risk: fewer zones than wanted took a copy, which the store was told to accept.
    pub const fn is_at_risk(&self) -> bool {
        self.short
    }

    /// The blob's row, its first reference and its live bytes, for a commit in its home partition; one that is at risk is
    /// queued for repair with it.
    pub fn writes(&self, owner: &Owner) -> Vec<Write> {
        let mut writes = vec![Write::Put(blob_key(self.id), self.row.encode().into())];
        writes.extend(share(self.id, owner));
        writes.extend(live_adds(self.row.places(), 1));
        writes.extend(self.upload.clone());
        if self.short {
            writes.push(Write::Put(repair_key(self.id), Bytes::from_static(PRESENT)));
        }
        writes
    }
}

/// Counter changes for records that come to life (`sign` 1) or die (−1), one per segment.
pub(super) fn live_adds<'a>(places: impl IntoIterator<Item = &'a RecordAt>, sign: i64) -> Vec<Write> {
    let mut sums: BTreeMap<SegmentId, u64> = BTreeMap::new();
    for place in places {
        *sums.entry(place.segment).or_default() += place.stored_len();
    }
    let add =
        |(segment, bytes)| Write::Add(live_key(segment), i64::try_from(bytes).unwrap_or(i64::MAX) * sign);
    sums.into_iter().map(add).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{HOME, World};
    use super::{BLOB_BYTES_MAX, Copies};
    use crate::Error;
    use crate::unit::ByteCount;

    #[tokio::test]
    async fn a_blob_ends_at_its_limit() {
        let world = World::new(70).await;
        let mut writer = world.store.writer(HOME, None);
        writer.length = BLOB_BYTES_MAX - 1;
        writer.push("x".into()).await.unwrap();
        assert!(matches!(writer.push("x".into()).await, Err(Error::TooLarge { .. })));
    }

    #[tokio::test]
    async fn what_a_writer_may_hold_is_known_before_it_is_made() {
        let world = World::new(71).await;
        let of =
            |most: Option<u64>| world.store.writer_memory(most.map(ByteCount::new), Copies::Configured).get();
        assert!((10_000..21_000).contains(&of(Some(10_000))), "{}", of(Some(10_000)));
        assert!(of(Some(1)) < of(Some(1 << 20)) && of(Some(1 << 30)) <= of(None));
        for length in [1_usize, 5_000, 70_000, 1_000_000, 3_000_000] {
            let most = ByteCount::from(length);
            let mut writer = world.store.writer(HOME, Some(most));
            let mut held = 0;
            for piece in world.bytes(length).chunks(60_000) {
                writer.push(piece.to_vec().into()).await.unwrap();
                held = held.max(writer.record.bytes.len() + writer.partial.len());
            }
            let known = world.store.writer_memory(Some(most), Copies::Configured).get();
            assert!(held as u64 <= known, "{length}: {held} of {known}");
        }
    }
}
