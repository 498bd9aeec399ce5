//! A pack: new chunks, one behind the other in a blob, and the rows by which later uploads find them.

use super::index::At;
use super::sink::Guard;
use super::{ChunkName, Secrets, owner_of, pack_data};
use crate::change::Change;
use crate::id::ManifestId;
use crate::record::{ChunkRow, PackRow};
use crate::stack::blob_owner;
use crate::store::{Bucket, View};
use crate::transact::Attempt;
use crate::{Error, ObjectStore, Result, tables};
use bytes::Bytes;
use engine::blob::{BlobWriter, Companion, Company, SealedBlob, WrittenBlob, accompany, holder};
use engine::catalog::record::Record;
use engine::catalog::{Check, Write};
use engine::id::BlobId;
use engine::memory::MemoryHold;
use std::collections::HashMap;
use std::sync::Arc;

/// Bytes of a pack at the most: what one chunk that is still needed keeps on disk.
pub(super) const PACK_BYTES: u32 = 4 << 20;
/// Chunks of a pack at the most. Only the last chunk of a stream is below 16 KiB, so bytes end a pack first.
const PACK_CHUNKS: usize = 512;

/// A pack on its way in.
pub(super) struct Pack {
    writer: BlobWriter,
    length: u32,
    chunks: Vec<Packed>,
}

/// A chunk of a pack.
#[derive(Clone, Copy)]
struct Packed {
    name: ChunkName,
    offset: u32,
    length: u32,
}

impl Pack {
    pub(super) fn new(store: &ObjectStore, bucket: Bucket, company: &Company, held: MemoryHold) -> Self {
        let writer = store.blobs.writer(bucket.partition, None).in_company(company).charged_to(held);
        Self { writer, length: 0, chunks: Vec::new() }
    }

    pub(super) const fn id(&self) -> BlobId {
        self.writer.id()
    }

    /// Whether another chunk of `length` bytes has room.
    pub(super) fn has_room(&self, length: usize) -> bool {
        self.chunks.len() < PACK_CHUNKS
            && u32::try_from(length).is_ok_and(|length| length <= PACK_BYTES - self.length)
    }

    /// Adds a chunk, for which there is room.
    pub(super) async fn push(&mut self, name: ChunkName, bytes: Bytes) -> Result<At> {
        let offset = self.length;
        let length = u32::try_from(bytes.len()).unwrap_or(PACK_BYTES);
        self.writer.push(bytes).await?;
        self.length += length;
        self.chunks.push(Packed { name, offset, length });
        Ok(At { pack: self.id(), offset: offset.into(), key: self.writer.key().clone() })
    }

    /// Nothing is added to it any more.
    pub(super) async fn write_out(self) -> Result<WrittenPack> {
        Ok(WrittenPack { id: self.id(), blob: self.writer.write_out().await?, chunks: self.chunks })
    }

    /// Makes its bytes durable by itself, then its rows visible: from there on others find its chunks.
    pub(super) async fn seal(self, making: Making) -> Result<()> {
        let sealed = self.writer.seal().await?;
        making.known(&sealed, &self.chunks).await
    }
}

/// A pack that is written, and not durable yet.
pub(super) struct WrittenPack {
    pub(super) id: BlobId,
    blob: WrittenBlob,
    chunks: Vec<Packed>,
}

impl WrittenPack {
    /// Makes several durable with one sync, then their rows visible, one after the other.
    pub(super) async fn seal_all(packs: Vec<Self>, making: Making) -> Result<()> {
        let (blobs, chunks): (Vec<_>, Vec<_>) =
            packs.into_iter().map(|pack| (pack.blob, pack.chunks)).unzip();
        let sealed = WrittenBlob::seal_all(blobs).await?;
        for (sealed, chunks) in sealed.into_iter().zip(&chunks) {
            making.known(&sealed, chunks).await?;
        }
        Ok(())
    }
}

/// Whose packs these are.
pub(super) struct Making {
    pub(super) store: Arc<ObjectStore>,
    pub(super) bucket: Bucket,
    pub(super) secrets: Arc<Secrets>,
    pub(super) manifest: ManifestId,
    pub(super) _guard: Guard,
}

impl Making {
    async fn known(&self, sealed: &SealedBlob, chunks: &[Packed]) -> Result<()> {
        let Self { store, bucket, secrets, manifest, .. } = self;
        let data = pack_data(bucket.partition, sealed.id);
        let row = PackRow { sealed: store.keys.seal(bucket.account, Some(&sealed.key), &data)? };
        store
            .transact(|| async {
                let (view, []) = store.view_at(*bucket, []).await?.ok_or(Error::NoSuchBucket)?;
                let change = rows(&view, secrets, (sealed, &row), chunks, *manifest).await?;
                Ok(Attempt::won(store.commit_step(&view, *manifest, change).await?, ()))
            })
            .await
    }
}

/// What makes a pack known: its rows, and those of its chunks that no other pack has.
async fn rows(
    view: &View,
    secrets: &Secrets,
    (sealed, row): (&SealedBlob, &PackRow),
    chunks: &[Packed],
    manifest: ManifestId,
) -> Result<Change> {
    let (pack, length) = (sealed.id, i64::try_from(sealed.length.get()).unwrap_or(i64::MAX));
    let stored = tables::only(tables::DEDUP_STORED);
    let mut checks = Vec::new();
    let mut writes = sealed.writes(&blob_owner(owner_of(manifest))?);
    let mut companions = vec![Companion::Row(tables::pack(pack)), Companion::Count(stored.clone(), -length)];
    for (chunk, free) in chunks.iter().zip(unknown(view, chunks).await?) {
        // Somebody packed the same at the same time: theirs is found, ours serves this upload alone.
        if !free {
            continue;
        }
        let Packed { name, offset, length } = chunk;
        let key = tables::chunk(name);
        let tag = secrets.tag(name, pack, *offset, *length);
        let row = ChunkRow { pack, offset: *offset, length: *length, tag };
        checks.push(Check::Unchanged(key.clone()));
        writes.push(Write::Put(key.clone(), row.to_bytes()));
        companions.push(Companion::Naming(key));
    }
    writes.extend([
        Write::Put(tables::pack(pack), row.to_bytes()),
        Write::Put(tables::hold(manifest, pack), tables::PRESENT),
        Write::Add(stored, length),
        accompany(pack, companions),
    ]);
    Ok(Change::new(checks, writes))
}

/// For each chunk, whether no pack has it that somebody refers to: one that nobody refers to any more goes with its rows.
async fn unknown(view: &View, chunks: &[Packed]) -> Result<Vec<bool>> {
    let keys = chunks.iter().map(|chunk| tables::chunk(&chunk.name)).collect();
    let mut is_held: HashMap<BlobId, bool> = HashMap::new();
    let mut free = Vec::with_capacity(chunks.len());
    for raw in view.snapshot.multi_get(keys).await? {
        let Some(other) = raw.and_then(|raw| ChunkRow::from_bytes(&raw).ok()) else {
            free.push(true);
            continue;
        };
        let held = match is_held.get(&other.pack) {
            Some(held) => *held,
            None => holder(&*view.snapshot, other.pack).await?.is_some(),
        };
        is_held.insert(other.pack, held);
        free.push(!held);
    }
    Ok(free)
}
