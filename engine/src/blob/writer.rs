//! Writes one blob.
//!
//! Plaintext gathers to chunks, chunks are sealed into a record's payload, full records go to a lane. A blob that ends
//! below 256 KiB is one record in the small lane; a larger one stays with one large lane and is synced once, at its seal.
//! Each record goes to as many zones as the blob is to have copies ([`Spread`]).
//! Dropping a writer leaves records that no row names: garbage.

use super::BlobStore;
use super::homes::HomeHold;
use super::reference::{Owner, share};
use super::remote::Ring;
use super::row::{BLOB_BYTES_MAX, BlobRow, Copies, PRESENT, blob_key, live_key, repair_key};
use super::spread::{Company, Spread};
use crate::catalog::Write;
use crate::codec::DataKey;
use crate::codec::chunk::{CHUNK_BYTES, ChunkCipher, sealed_len};
use crate::id::{BlobId, PartitionId, SegmentId};
use crate::memory::MemoryHold;
use crate::pool::frame::{FRAME_ALIGN, FRAME_BYTES, RunningSum};
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
    /// Plaintext of the chunk under way, and the most that it may come to.
    partial: Vec<u8>,
    partial_max: usize,
    /// Index of the next chunk to be sealed.
    next_chunk: u64,
    record: Record,
    /// The blob has outgrown the small lane.
    is_large: bool,
    spread: Spread,
    /// Whose memory its records are.
    held: MemoryHold,
}

/// What comes behind a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// Enough to fill another one, as far as is known.
    Chunks,
    /// The blob ends.
    Nothing,
}

/// The record under way: room for its frame, then sealed chunks.
struct Record {
    bytes: Vec<u8>,
    sum: RunningSum,
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
        Self { bytes, sum: RunningSum::new(), first_chunk, plain_len: 0, target }
    }

    /// Room for a chunk: twice what there was, and never more than the whole record needs.
    fn make_room(&mut self, chunk: usize) {
        let len = self.bytes.len();
        let needed = len + usize::try_from(sealed_len(chunk as u64)).unwrap_or(0) + FRAME_ALIGN;
        if needed > self.bytes.capacity() {
            let whole =
                usize::try_from(sealed_len(self.target as u64)).unwrap_or(0) + FRAME_BYTES + FRAME_ALIGN;
            self.bytes.reserve_exact((2 * self.bytes.capacity()).min(whole).max(needed) - len);
        }
    }
}

impl BlobStore {
    /// Most bytes that a writer of a blob of at most so many bytes holds at once: the record under way, the one before it in each
    /// copy's lane, and a chunk. Without a length, of any blob. `is_announced`: the writer is told the length when it is made.
    pub fn writer_memory(&self, most: Option<ByteCount>, is_announced: bool, copies: Copies) -> ByteCount {
        // The first record of a length that nobody says begins with room for a chunk, and grows by doubling: what it was and what it
        // becomes are there at once. Of any blob that is less than its last records.
        let first_max = record_plain_bytes(self.segment_bytes, 0) as u64;
        let grown = most.filter(|_| !is_announced);
        let grown = grown.map_or(0, |most| most.get().min(first_max) + 2 * CHUNK_BYTES as u64);
        let copies = if self.zones.are_several() { copies } else { Copies::Configured };
        let copies = self.count_of(copies) as u64;
        let most = most.map_or(u64::MAX, ByteCount::get);
        let of_records = |before| record_plain_bytes(self.segment_bytes, before) as u64;
        // Behind the last one an empty one begins.
        let room = |plain| 2 * (FRAME_BYTES + FRAME_ALIGN) as u64 + sealed_len(plain);
        let last = of_records(most.saturating_sub(1));
        let records = if most <= first_max {
            copies * room(most)
        } else {
            // Records grow with the blob: the last ones are the largest.
            (1 + copies) * room(last)
        };
        ByteCount::new(records + most.min(CHUNK_BYTES as u64) + grown)
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
            partial_max: expected.min(CHUNK_BYTES),
            next_chunk: 0,
            record,
            is_large: false,
            spread: Spread::new(home, blob),
            held: MemoryHold::default(),
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

    /// The same, of whose records each keeps `held` as long as it is in memory.
    #[must_use]
    pub fn charged_to(mut self, held: MemoryHold) -> Self {
        self.held = held;
        self
    }

    /// The same, written to the lanes that `company` writes to.
    #[must_use]
    pub fn in_company(mut self, company: &Company) -> Self {
        self.spread.company = Some(company.clone());
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
                let more = bytes.split_to(CHUNK_BYTES - self.partial.len());
                self.partial.reserve_exact(more.len());
                self.partial.extend_from_slice(&more);
                let mut chunk = std::mem::take(&mut self.partial);
                self.seal_chunk(&chunk).await?;
                chunk.clear();
                self.partial = chunk;
            }
        }
        if self.partial.capacity() - self.partial.len() < bytes.len() {
            let room = self.partial_max.max(self.partial.len() + bytes.len());
            self.partial.reserve_exact(room - self.partial.len());
        }
        self.partial.extend_from_slice(&bytes);
        Ok(())
    }

    /// Completes the blob. Its bytes are durable when this returns; nobody refers to them yet.
    pub async fn seal(mut self) -> Result<SealedBlob> {
        self.seal_rest().await?;
        if self.is_large || self.record.plain_len >= SMALL_BYTES {
            if self.record.plain_len > 0 {
                self.send_record(Next::Nothing).await?;
            }
            self.spread.sync().await?;
        } else if self.record.plain_len > 0 {
            let draft = self.draft(Next::Nothing);
            self.spread.send_small(&self.store, draft).await?;
        }
        Box::pin(self.complete()).await
    }

    /// Completes the blob but for its durability, however small it is; its bytes are in memory no more when this returns.
    pub async fn write_out(mut self) -> Result<WrittenBlob> {
        self.seal_rest().await?;
        if self.record.plain_len > 0 {
            self.send_record(Next::Nothing).await?;
        }
        self.spread.await_in_flight().await?;
        Ok(WrittenBlob(self))
    }

    async fn seal_rest(&mut self) -> Result<()> {
        let rest = std::mem::take(&mut self.partial);
        if !rest.is_empty() {
            self.seal_chunk(&rest).await?;
        }
        Ok(())
    }

    /// What is left to do once all records are durable.
    async fn complete(self) -> Result<SealedBlob> {
        let home = self.store.hold_home(self.home).await?;
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
            _home: home,
        })
    }

    async fn seal_chunk(&mut self, plain: &[u8]) -> Result<()> {
        if self.record.plain_len == self.record.target {
            self.send_record(Next::Chunks).await?;
        }
        self.record.make_room(plain.len());
        let start = self.record.bytes.len();
        self.cipher.seal_into(self.next_chunk, plain, &mut self.record.bytes);
        self.record.sum.update(&self.record.bytes[start..]);
        self.record.plain_len += plain.len();
        self.next_chunk += 1;
        Ok(())
    }

    /// Hands the record to the large lanes once the one before is written.
    async fn send_record(&mut self, next: Next) -> Result<()> {
        self.spread.await_in_flight().await?;
        self.is_large = true;
        let draft = self.draft(next);
        self.spread.send(&self.store, draft).await
    }

    /// The record under way, complete; the next one begins.
    fn draft(&mut self, next: Next) -> Draft {
        let target = record_plain_bytes(self.store.segment_bytes, self.length);
        let expected = if next == Next::Nothing { 0 } else { target };
        let next = Record::new(self.next_chunk, target, expected);
        let record = std::mem::replace(&mut self.record, next);
        Draft {
            blob: self.blob,
            home: self.home,
            index: self.spread.next_index(),
            first_chunk: record.first_chunk,
            plain_len: u32::try_from(record.plain_len).unwrap_or(u32::MAX),
            sum: record.sum.finish(),
            bytes: record.bytes,
            _held: self.held.clone(),
        }
    }
}

/// A blob that is written and not durable yet. Dropping it leaves garbage.
pub struct WrittenBlob(BlobWriter);

impl WrittenBlob {
    /// Makes several durable, with one sync where they are of one company.
    pub async fn seal_all(mut written: Vec<Self>) -> Result<Vec<SealedBlob>> {
        Spread::sync_all(written.iter_mut().map(|blob| &mut blob.0.spread).collect()).await?;
        let mut sealed = Vec::with_capacity(written.len());
        for blob in written {
            sealed.push(Box::pin(blob.0.complete()).await?);
        }
        Ok(sealed)
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
    _home: HomeHold,
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
    use super::super::tests::{HOME, World, owned};
    use super::{BLOB_BYTES_MAX, BlobWriter, Company, Copies, Next, WrittenBlob};
    use crate::Error;
    use crate::fault::{Fault, Point};
    use crate::memory::MemoryHold;
    use crate::unit::ByteCount;
    use std::sync::Arc;

    /// What a writer has in memory, and the record that its lane may still have.
    fn held(writer: &BlobWriter) -> usize {
        let in_lane = if writer.is_large { writer.record.target } else { 0 };
        writer.record.bytes.capacity() + writer.partial.capacity() + in_lane
    }

    async fn in_company(world: &World, bodies: &[Vec<u8>]) -> Vec<WrittenBlob> {
        let company = Company::default();
        let mut written = Vec::new();
        for body in bodies {
            let mut writer = world.store.writer(HOME, None).in_company(&company);
            writer.push(body.clone().into()).await.unwrap();
            written.push(writer.write_out().await.unwrap());
        }
        written
    }

    #[tokio::test]
    async fn blobs_of_one_company_are_made_durable_by_one_sync_in_each_zone() {
        for zones in [1, 2] {
            let mut world = World::with_zones(73, zones).await;
            let bodies: Vec<_> = [100_000, 70_000, 0, 300_000, 10].map(|len| world.bytes(len)).to_vec();
            let before = world.store.usage().syncs;
            let written = in_company(&world, &bodies).await;
            assert_eq!(world.store.usage().syncs, before);
            let sealed = WrittenBlob::seal_all(written).await.unwrap();
            assert_eq!(world.store.usage().syncs - before, u64::from(zones));
            for sealed in &sealed {
                world.commit(sealed.writes(&owned("owner"))).await.unwrap();
            }
            let kept: Vec<_> = sealed.into_iter().map(|sealed| (sealed.id, sealed.key.clone())).collect();
            world.reopen().await.unwrap();
            for ((blob, key), body) in kept.iter().zip(&bodies) {
                assert!(world.read(*blob, key, 0..body.len() as u64).await.unwrap() == *body);
                // An empty one is nowhere.
                let copies = if body.is_empty() { 1 } else { usize::from(zones) };
                assert_eq!(world.store.row(HOME, *blob).await.unwrap().copies.len(), copies);
            }
        }
    }

    #[tokio::test]
    async fn a_sync_that_fails_is_told_to_all_who_wait_for_it() {
        let world = World::new(74).await;
        let written = in_company(&world, &[world.bytes(100_000), world.bytes(100_000)]).await;
        world.faults.arm(Point::SegmentSync, Fault::Io, 0, u64::MAX);
        assert!(WrittenBlob::seal_all(written).await.is_err());
        // Where there is another zone, all of them lie there.
        let world = World::with_zones(75, 3).await;
        let bodies = [world.bytes(100_000), world.bytes(100_000)];
        let written = in_company(&world, &bodies).await;
        world.zones[0].faults.arm(Point::SegmentSync, Fault::Io, 0, u64::MAX);
        for (sealed, body) in WrittenBlob::seal_all(written).await.unwrap().iter().zip(&bodies) {
            world.commit(sealed.writes(&owned("owner"))).await.unwrap();
            assert!(world.read(sealed.id, &sealed.key, 0..100_000).await.unwrap() == *body);
            assert_eq!(world.store.row(HOME, sealed.id).await.unwrap().copies.len(), 2);
        }
    }

    #[tokio::test]
    async fn a_blob_ends_at_its_limit() {
        let world = World::new(70).await;
        let mut writer = world.store.writer(HOME, None);
        writer.length = BLOB_BYTES_MAX - 1;
        writer.push("x".into()).await.unwrap();
        assert!(matches!(writer.push("x".into()).await, Err(Error::TooLarge { .. })));
    }

    #[tokio::test]
    async fn what_a_writer_may_hold_is_known_before_it_is_made_and_is_no_more_than_that() {
        let world = World::new(71).await;
        let of = |most: Option<u64>, is_announced| {
            world.store.writer_memory(most.map(ByteCount::new), is_announced, Copies::Configured).get()
        };
        assert!((20_000..22_000).contains(&of(Some(10_000), true)), "{}", of(Some(10_000), true));
        assert!(of(Some(1), true) < of(Some(1 << 20), true) && of(Some(1 << 30), true) <= of(None, true));
        for length in [1_usize, 5_000, 70_000, 1_000_000, 3_000_000] {
            for announced in [true, false] {
                let most = ByteCount::from(length);
                let mut writer = world.store.writer(HOME, Some(most).filter(|_| announced));
                let mut peak = 0;
                for piece in world.bytes(length).chunks(60_000) {
                    writer.push(piece.to_vec().into()).await.unwrap();
                    peak = peak.max(held(&writer));
                }
                let rest = std::mem::take(&mut writer.partial);
                writer.seal_chunk(&rest).await.unwrap();
                let sealed = writer.draft(Next::Nothing);
                peak = peak.max(held(&writer) + rest.capacity() + sealed.bytes.capacity());
                let known = of(Some(most.get()), announced);
                assert!(peak as u64 <= known, "{length}, {announced}: {peak} of {known}");
                assert!(known <= 2 * peak as u64 + 20_000, "{length}, {announced}: {peak} of {known}");
            }
        }
    }

    #[tokio::test]
    async fn each_record_keeps_what_it_is_charged_to() {
        let (world, charged) = (World::new(72).await, Arc::new(()));
        let mut writer = world.store.writer(HOME, None).charged_to(MemoryHold::new(charged.clone()));
        writer.push(world.bytes(10).into()).await.unwrap();
        let draft = writer.draft(Next::Nothing);
        drop(writer);
        assert_eq!(Arc::strong_count(&charged), 2, "a record that waits in a lane");
        drop(draft);
        assert_eq!(Arc::strong_count(&charged), 1);
    }
}
