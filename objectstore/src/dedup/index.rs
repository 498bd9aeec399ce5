//! Looks chunks up, and takes hold of the packs in which known ones lie, before anything counts on them.
//!
//! ```text
//!   names ─► CHUNKS rows, all at one version ─► packs that the upload does not hold yet
//!         ─► for each: its key, and somebody who refers to it ─► one commit: checks them, adds our references
//! ```
//! Whoever referred to a pack may go meanwhile: then the commit conflicts, and all is looked up again. When nobody refers to a pack any
//! more its chunks count as unknown.

use super::{Chunk, ChunkName, Secrets, owner_of, pack_data};
use crate::change::Change;
use crate::id::ManifestId;
use crate::record::{CHUNK_TAG_LEN, ChunkRow, PackRow};
use crate::stack::blob_owner;
use crate::store::{Bucket, View};
use crate::{Error, ObjectStore, Result, tables};
use bytes::Bytes;
use engine::blob::{holder, share};
use engine::catalog::record::Record;
use engine::codec::DataKey;
use engine::id::BlobId;
use std::collections::{BTreeSet, HashMap, HashSet};

/// How often it is looked up again when references go meanwhile; after that the chunks in question are written anew.
const LOOKUPS_MAX: u32 = 8;

/// Where a chunk lies.
#[derive(Clone, Debug)]
pub(super) struct At {
    pub(super) pack: BlobId,
    pub(super) offset: u64,
    pub(super) key: DataKey,
}

/// Chunks that are known, and where they lie.
pub(super) type Known = HashMap<ChunkName, At>;

impl Secrets {
    /// Binds a chunk's row to its name, so that no row can stand for another chunk.
    pub(super) fn tag(
        &self,
        name: &ChunkName,
        pack: BlobId,
        offset: u32,
        length: u32,
    ) -> [u8; CHUNK_TAG_LEN] {
        let mut hasher = blake3::Hasher::new_keyed(&self.tags);
        hasher.update(name.as_bytes()).update(pack.as_bytes());
        hasher.update(&offset.to_le_bytes()).update(&length.to_le_bytes());
        let mut tag = [0; CHUNK_TAG_LEN];
        hasher.finalize_xof().fill(&mut tag);
        tag
    }

    /// A chunk's row, if it is what was written for this chunk.
    fn read(&self, chunk: &Chunk, raw: &[u8]) -> Option<ChunkRow> {
        let row = ChunkRow::from_bytes(raw).ok().filter(|row| {
            let same = usize::try_from(row.length).is_ok_and(|length| length == chunk.bytes.len());
            same && row.tag == self.tag(&chunk.name, row.pack, row.offset, row.length)
        });
        if row.is_none() {
            tracing::error!("a chunk's row is damaged: the chunk is written anew, and nothing is lost");
        }
        row
    }
}

/// What is looked up, and for whom.
pub(super) struct Lookup<'a> {
    pub(super) store: &'a ObjectStore,
    pub(super) secrets: &'a Secrets,
    pub(super) bucket: Bucket,
    pub(super) manifest: ManifestId,
    /// Packs that the upload holds, and their keys.
    pub(super) held: &'a mut HashMap<BlobId, DataKey>,
}

impl Lookup<'_> {
    /// Which of these chunks are known, but for those in `fresh`.
    pub(super) async fn run(&mut self, chunks: &[Chunk], fresh: &Known) -> Result<Known> {
        let mut seen = HashSet::new();
        let asked: Vec<&Chunk> = chunks
            .iter()
            .filter(|chunk| !fresh.contains_key(&chunk.name) && seen.insert(chunk.name))
            .collect();
        for _ in 0..LOOKUPS_MAX {
            let (view, []) = self.store.view_at(self.bucket, []).await?.ok_or(Error::NoSuchBucket)?;
            let keys = asked.iter().map(|chunk| tables::chunk(&chunk.name)).collect();
            let rows = view.snapshot.multi_get(keys).await?;
            let rows: Vec<(ChunkName, ChunkRow)> = asked
                .iter()
                .zip(&rows)
                .filter_map(|(chunk, raw)| Some((chunk.name, self.secrets.read(chunk, raw.as_ref()?)?)))
                .collect();
            if self.hold(&view, &rows).await? {
                return Ok(self.known(&rows));
            }
        }
        // Others were faster each time: what is not held by now is written anew.
        Ok(Known::new())
    }

    fn known(&self, rows: &[(ChunkName, ChunkRow)]) -> Known {
        let at = |row: &ChunkRow| {
            let key = self.held.get(&row.pack)?.clone();
            Some(At { pack: row.pack, offset: row.offset.into(), key })
        };
        rows.iter().filter_map(|(name, row)| Some((*name, at(row)?))).collect()
    }

    /// Takes hold of the packs of these rows that somebody else holds. `false`: somebody was faster.
    async fn hold(&mut self, view: &View, rows: &[(ChunkName, ChunkRow)]) -> Result<bool> {
        let packs: BTreeSet<BlobId> =
            rows.iter().map(|(_, row)| row.pack).filter(|pack| !self.held.contains_key(pack)).collect();
        if packs.is_empty() {
            return Ok(true);
        }
        let keys = packs.iter().map(|pack| tables::pack(*pack)).collect();
        let found = view.snapshot.multi_get(keys).await?;
        let owner = blob_owner(owner_of(self.manifest))?;
        let (mut change, mut taken) = (Change::default(), Vec::new());
        for (pack, raw) in packs.into_iter().zip(found) {
            let Some(holder) = holder(&*view.snapshot, pack).await? else { continue };
            let Some(key) = self.open(pack, raw)? else { continue };
            change = change.unchanged(holder).put(tables::hold(self.manifest, pack), tables::PRESENT);
            change.writes.extend(share(pack, &owner));
            taken.push((pack, key));
        }
        if taken.is_empty() {
            return Ok(true);
        }
        let won = self.store.commit_step(view, self.manifest, change).await?;
        if won {
            self.held.extend(taken);
        }
        Ok(won)
    }

    /// A pack's key; `None` if its row is gone.
    fn open(&self, pack: BlobId, raw: Option<Bytes>) -> Result<Option<DataKey>> {
        let Some(raw) = raw else { return Ok(None) };
        let sealed = PackRow::from_bytes(&raw)?.sealed;
        self.store.keys.unseal(&sealed, &pack_data(self.bucket.partition, pack))
    }
}
