//! Where the bytes of a deduplicated body go.
//!
//! ```text
//!   push ─► waiting (1 MiB) ─► cut and named, on the blocking pool ─► looked up ─┬─► known: an extent
//!                                                                                └─► new: into the pack, an extent of it
//!   256 extents ─► a page of the manifest
//!   a full pack ─► written; eight of them ─► made durable by one sync, then known, while the next ones are written
//!   land ─► the rest; what is left to be committed with the version
//! ```

use super::chunker::{CHUNK_MAX, CHUNK_MIN};
use super::index::{At, Known, Lookup};
use super::pack::{Making, PACK_BYTES, Pack, WrittenPack};
use super::{Chunk, Domain, Secrets, owner_of};
use crate::change::Change;
use crate::id::{ManifestId, OwnerId};
use crate::publish::Expected;
use crate::record::{Content, ENTRIES_PER_PAGE, Extent, ManifestEntry, ManifestPage};
use crate::store::{Active, Bucket};
use crate::transact::Attempt;
use crate::upload::Landed;
use crate::{Error, ObjectStore, Result, tables};
use bytes::Bytes;
use engine::blob::{BlobStore, Company, Copies};
use engine::catalog::record::Record;
use engine::catalog::{Key, Write};
use engine::codec::DataKey;
use engine::id::{BlobId, PartitionId};
use engine::memory::MemoryHold;
use engine::unit::ByteCount;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use tokio::task::JoinHandle;

/// Bytes that are cut at once.
const BATCH: usize = (1 << 20) + CHUNK_MAX;
/// Bodies below this are stored as they would be without deduplication: rows would cost more than they save.
const SMALL: usize = 64 << 10;
/// Packs of one sync: others find their chunks that much later.
const PACKS_PER_SYNC: usize = 8;
/// Syncs under way while the next packs are written.
const SEALING_MAX: usize = 2;
/// Bytes of packs whose chunks are remembered until a sync: one under way, those that wait for one, and those whose syncs are under way.
const UNSETTLED_MAX: u64 = (1 + PACKS_PER_SYNC * (1 + SEALING_MAX)) as u64 * PACK_BYTES as u64;
/// What is remembered of such a chunk: its name, where it lies, and its row.
const CHUNK_MEMORY: u64 = 192;

/// Keeps the cleaner from a manifest that is being written, and calls it when that ends.
pub(crate) struct Guard {
    store: Arc<ObjectStore>,
    partition: PartitionId,
    active: Option<Active>,
}

impl Guard {
    fn new(store: &Arc<ObjectStore>, partition: PartitionId, manifest: ManifestId) -> Self {
        let active = Some(store.activate(*manifest.as_bytes()));
        Self { store: Arc::clone(store), partition, active }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // First free, then seen: what it leaves may be garbage.
        drop(self.active.take());
        self.store.mark_dirty(self.partition);
    }
}

/// The bytes of a deduplicated body on their way in. Dropping it leaves garbage that the cleaner owns.
pub(crate) struct Sink {
    store: Arc<ObjectStore>,
    bucket: Bucket,
    secrets: Arc<Secrets>,
    guard: Guard,
    waiting: Vec<u8>,
    list: List,
    pack: Option<Pack>,
    company: Company,
    /// Packs that are written, and wait for the others of their sync.
    written: Vec<WrittenPack>,
    sealing: VecDeque<(Vec<BlobId>, JoinHandle<Result<()>>)>,
    /// Chunks of the packs on their way.
    fresh: Known,
    held: HashMap<BlobId, DataKey>,
    /// Packs that the index has, whose chunks are to be forgotten here.
    settled: Vec<BlobId>,
    /// Whose memory the bytes are.
    memory: MemoryHold,
}

impl Sink {
    /// Buffers that may outlive it keep `memory`.
    pub(crate) fn new(
        store: &Arc<ObjectStore>,
        bucket: Bucket,
        domain: &Domain,
        memory: MemoryHold,
    ) -> Result<Self> {
        let secrets = Arc::new(store.dedup_secrets(bucket, domain)?);
        let list = List::new(store);
        let guard = Guard::new(store, bucket.partition, list.manifest);
        Ok(Self {
            store: Arc::clone(store),
            bucket,
            secrets,
            guard,
            waiting: Vec::new(),
            list,
            pack: None,
            company: Company::default(),
            written: Vec::new(),
            sealing: VecDeque::new(),
            fresh: Known::new(),
            held: HashMap::new(),
            settled: Vec::new(),
            memory,
        })
    }

    /// Most bytes that one holds of a body of at most so many bytes: what waits to be cut, what is cut, and a pack under way. Of those
    /// that wait for their sync nothing is in memory but what names their chunks.
    pub(crate) fn memory(blobs: &BlobStore, most: Option<ByteCount>) -> ByteCount {
        let batch = most.map_or(BATCH as u64, |most| most.get().min(BATCH as u64));
        // A pack is below the size from which records are large. How long it becomes nobody knows when it begins.
        let of_pack = most.map_or(u64::from(PACK_BYTES), |most| most.get().min(PACK_BYTES.into()));
        let of_pack = blobs.writer_memory(Some(ByteCount::new(of_pack)), false, Copies::Configured);
        let chunks =
            most.map_or(UNSETTLED_MAX, |most| most.get().min(UNSETTLED_MAX)).div_ceil(CHUNK_MIN as u64);
        ByteCount::new(2 * batch + of_pack.get() + chunks * CHUNK_MEMORY)
    }

    /// Takes the next bytes.
    pub(crate) async fn push(&mut self, mut bytes: Bytes) -> Result<()> {
        while !bytes.is_empty() {
            let room = BATCH - self.waiting.len();
            self.waiting.extend_from_slice(&bytes.split_to(room.min(bytes.len())));
            if self.waiting.len() == BATCH {
                self.cut(false).await?;
            }
        }
        Ok(())
    }

    /// All of it, if it is too little to be deduplicated.
    pub(crate) fn take_small(&mut self) -> Option<Bytes> {
        let small = self.list.is_empty() && self.waiting.len() < SMALL;
        small.then(|| std::mem::take(&mut self.waiting).into())
    }

    /// Makes the rest durable. What names the bytes is left to be committed.
    pub(crate) async fn land(mut self, owner: OwnerId) -> Result<Landed> {
        self.cut(true).await?;
        Box::pin(self.seal_last()).await?;
        while !self.sealing.is_empty() {
            self.settle().await?;
        }
        let length = self.list.length();
        let (manifest, key) = (self.list.manifest, self.list.key.clone());
        let content = Content::Manifest { home: self.bucket.partition, manifest, depth: 1 };
        let draft = tables::of_manifest(tables::MANIFEST_GARBAGE, manifest);
        let mut writes = Vec::from(self.list.last_page()?);
        writes.extend([
            Write::Put(tables::manifest_ref(manifest, owner), tables::PRESENT),
            Write::Delete(draft.clone()),
            Write::Add(tables::only(tables::DEDUP_WRITTEN), i64::try_from(length).unwrap_or(i64::MAX)),
        ]);
        let extent = Extent { owner, content, offset: 0, length };
        let expect: Vec<(Key, Expected)> = vec![(draft, Expected::Present)];
        Ok(Landed::deduplicated(extent, key, writes, expect, self.guard))
    }

    /// Cuts what waits, and finds a place for each chunk.
    async fn cut(&mut self, last: bool) -> Result<()> {
        let data = Bytes::from(std::mem::take(&mut self.waiting));
        let secrets = Arc::clone(&self.secrets);
        let memory = self.memory.clone();
        let cut = tokio::task::spawn_blocking(move || {
            let _memory = memory;
            secrets.cut(&data, last)
        });
        let (chunks, rest) = cut.await.map_err(|_| Error::Engine(engine::Error::Closed))?;
        if !last {
            self.waiting.reserve_exact(BATCH);
        }
        self.waiting.extend_from_slice(&rest);
        while self.sealing.front().is_some_and(|(_, task)| task.is_finished()) {
            self.settle().await?;
        }
        let settled = std::mem::take(&mut self.settled);
        self.fresh.retain(|_, at| !settled.contains(&at.pack));
        let mut lookup = Lookup {
            store: &self.store,
            secrets: &self.secrets,
            bucket: self.bucket,
            manifest: self.list.manifest,
            held: &mut self.held,
        };
        let known = lookup.run(&chunks, &self.fresh).await?;
        for chunk in chunks {
            self.place(chunk, &known).await?;
        }
        Ok(())
    }

    async fn place(&mut self, chunk: Chunk, known: &Known) -> Result<()> {
        let Chunk { name, bytes } = chunk;
        let length = bytes.len() as u64;
        let at = match self.fresh.get(&name).or_else(|| known.get(&name)) {
            Some(at) => at.clone(),
            None => self.pack_chunk(name, bytes).await?,
        };
        self.list.push(self.bucket.partition, &at, length);
        while let Some((start, page)) = self.list.full_page()? {
            self.write_page(start, &page).await?;
        }
        Ok(())
    }

    async fn pack_chunk(&mut self, name: super::ChunkName, bytes: Bytes) -> Result<At> {
        if self.pack.as_ref().is_some_and(|pack| !pack.has_room(bytes.len())) {
            self.write_pack().await?;
        }
        let (store, bucket, memory) = (&self.store, self.bucket, &self.memory);
        let company = &self.company;
        let pack = self.pack.get_or_insert_with(|| Pack::new(store, bucket, company, memory.clone()));
        let at = pack.push(name, bytes).await?;
        self.fresh.insert(name, at.clone());
        Ok(at)
    }

    /// Has the pack under way written, and enough of them made durable beside.
    async fn write_pack(&mut self) -> Result<()> {
        if let Some(pack) = self.pack.take() {
            self.written.push(Box::pin(pack.write_out()).await?);
        }
        if self.written.len() >= PACKS_PER_SYNC { self.seal_written().await } else { Ok(()) }
    }

    async fn seal_written(&mut self) -> Result<()> {
        self.await_turn().await?;
        let packs = std::mem::take(&mut self.written);
        let ids = packs.iter().map(|pack| pack.id).collect();
        let task = tokio::spawn(WrittenPack::seal_all(packs, self.making()));
        self.sealing.push_back((ids, task));
        Ok(())
    }

    /// Has all that is left made durable. A pack alone, if it is small, shares its sync with the small bodies of others.
    async fn seal_last(&mut self) -> Result<()> {
        if !self.written.is_empty() {
            self.write_pack().await?;
            return if self.written.is_empty() { Ok(()) } else { self.seal_written().await };
        }
        self.await_turn().await?;
        if let Some(pack) = self.pack.take() {
            let id = pack.id();
            self.sealing.push_back((vec![id], tokio::spawn(pack.seal(self.making()))));
        }
        Ok(())
    }

    async fn await_turn(&mut self) -> Result<()> {
        while self.sealing.len() >= SEALING_MAX {
            self.settle().await?;
        }
        Ok(())
    }

    fn making(&self) -> Making {
        let manifest = self.list.manifest;
        Making {
            store: Arc::clone(&self.store),
            bucket: self.bucket,
            secrets: Arc::clone(&self.secrets),
            manifest,
            _guard: Guard::new(&self.store, self.bucket.partition, manifest),
        }
    }

    /// Waits for the packs that were sent first. From here on the index has their chunks.
    async fn settle(&mut self) -> Result<()> {
        let Some((ids, task)) = self.sealing.pop_front() else { return Ok(()) };
        task.await.map_err(|_| Error::Engine(engine::Error::Closed))??;
        for id in ids {
            let key = self.fresh.values().find(|at| at.pack == id).map(|at| at.key.clone());
            self.held.extend(key.map(|key| (id, key)));
            self.settled.push(id);
        }
        Ok(())
    }

    async fn write_page(&self, start: u64, page: &ManifestPage) -> Result<()> {
        let (store, manifest) = (&self.store, self.list.manifest);
        store
            .transact(|| async {
                let (view, []) = store.view_at(self.bucket, []).await?.ok_or(Error::NoSuchBucket)?;
                let change = Change::default().put(tables::manifest_page(manifest, start), page.to_bytes());
                Ok(Attempt::won(store.commit_step(&view, manifest, change).await?, ()))
            })
            .await
    }
}

/// The extents of a body, neighbours in one pack as one.
struct List {
    manifest: ManifestId,
    key: DataKey,
    entries: Vec<(ManifestEntry, DataKey)>,
    /// Where the first of them begins in the body.
    start: u64,
}

impl List {
    fn new(store: &ObjectStore) -> Self {
        let (manifest, key) = (ManifestId::random(&*store.entropy), DataKey::random(&*store.entropy));
        Self { manifest, key, entries: Vec::new(), start: 0 }
    }

    const fn is_empty(&self) -> bool {
        self.start == 0 && self.entries.is_empty()
    }

    fn length(&self) -> u64 {
        self.start + self.entries.iter().map(|(entry, _)| entry.extent.length).sum::<u64>()
    }

    fn push(&mut self, home: PartitionId, at: &At, length: u64) {
        let content = Content::Blob { home, blob: at.pack };
        let extent = Extent { owner: owner_of(self.manifest), content, offset: at.offset, length };
        if self.entries.last_mut().is_some_and(|(last, _)| last.extent.extend(&extent)) {
            return;
        }
        // No part has the number 0: so the cleaner knows entries of this kind.
        let entry = ManifestEntry { number: 0, checksum: None, extent };
        self.entries.push((entry, at.key.clone()));
    }

    /// The next page that nothing can be added to.
    fn full_page(&mut self) -> Result<Option<(u64, ManifestPage)>> {
        if self.entries.len() <= ENTRIES_PER_PAGE {
            return Ok(None);
        }
        let entries: Vec<_> = self.entries.drain(..ENTRIES_PER_PAGE).collect();
        let length: u64 = entries.iter().map(|(entry, _)| entry.extent.length).sum();
        let start = self.start;
        self.start += length;
        Ok(Some((start, ManifestPage::seal(&self.key, self.manifest, start, entries)?)))
    }

    /// The last page, to be committed with what names the manifest.
    fn last_page(&mut self) -> Result<[Write; 1]> {
        let entries = std::mem::take(&mut self.entries);
        let page = ManifestPage::seal(&self.key, self.manifest, self.start, entries)?;
        Ok([Write::Put(tables::manifest_page(self.manifest, self.start), page.to_bytes())])
    }
}
