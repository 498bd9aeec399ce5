//! Bytes of an archived version go to the bucket's vault: its blobs become the archive's pieces, in one commit.
//!
//! ```text
//!   row of DEPOSITS ─► the version's blobs ─► read once, tree hashes ─► [pages that keep the parts' numbers, lengths and checksums]
//!     ─► one commit: archive, pieces and their references; the row names the archive; the row's own reference goes
//! ```
//!
//! # What goes, and what stays in the pool
//! Bodies of one blob, and of parts that are blobs, written in this bucket, whose keys are the appliance's. What lies inline, in packs
//! of deduplicated chunks, in another bucket's blobs, behind manifests of manifests, or under a customer's key stays where it is: it is
//! archived all the same, and restored from there.
//!
//! # Invariants
//! - Nothing is deposited that is restored, or being: its hint goes, and the commit by which that is over puts it again.
//! - The commit checks the key, the row's own hold on the bytes and that the vault is there.
//!
//! # What a crash leaves
//! Pages of a manifest that the cleaner owns. What was hashed is hashed again.
//!
//! # Limits
//! [`STEP`] bytes a step; one version at a time; [`PIECES_MAX`] pieces: what has more parts stays in the pool.

use super::{name_of, of_vault, watch::Watched};
use crate::envelope::{Keys, Material};
use crate::id::ManifestId;
use crate::multipart::page_writes;
use crate::pages::Pages;
use crate::record::{Cold, Content, Extent, ManifestEntry, ObjectRow};
use crate::stack::{blob_owner, release_content};
use crate::store::{Active, Bucket, View};
use crate::transact::Attempt;
use crate::{BucketName, ObjectKey, ObjectStore, Result, VersionId, tables};
use archive::tree_hash::{TreeHash, TreeHasher};
use archive::vault::Piece;
use bytes::Bytes;
use engine::blob::reference;
use engine::catalog::record::Record;
use engine::catalog::{Key, Layout, Write};
use engine::codec::DataKey;
use engine::id::{BlobId, PartitionId};
use futures_util::StreamExt;
use std::sync::Arc;

/// Bytes that are read in one step.
const STEP: u64 = 256 << 20;
/// Pieces of a deposit, two rows each: all are of one commit, which has 10,000 rows with its checks.
pub(crate) const PIECES_OF_A_COMMIT: usize = 4_900;
/// As many a deposit has at the most; in tests few.
pub(crate) const PIECES_MAX: usize = if cfg!(test) { 3 } else { PIECES_OF_A_COMMIT };

/// A blob of the body.
struct Leaf {
    blob: BlobId,
    key: DataKey,
    length: u64,
}

/// A version whose bytes are being hashed.
pub(crate) struct Gathering {
    key: ObjectKey,
    id: VersionId,
    name: BucketName,
    bucket: Bucket,
    extent: Extent,
    leaves: Vec<Leaf>,
    /// Of a body in parts: their numbers, lengths and checksums.
    parts: Vec<ManifestEntry>,
    pieces: Vec<Piece>,
    /// Bytes of the next piece that were read.
    at: u64,
    piece: TreeHasher,
    whole: TreeHasher,
}

impl ObjectStore {
    /// Begins with what a row of `DEPOSITS` names, if that is to be deposited now. `None`: there is nothing to do, or not yet.
    pub(crate) async fn begin_deposit(
        self: &Arc<Self>,
        partition: PartitionId,
        (raw, name): (&Bytes, &[u8]),
    ) -> Result<(Option<Box<Gathering>>, Watched)> {
        let (key, id) = tables::read_version(raw)?;
        let (key, hint) = (ObjectKey::parse(&key)?, tables::DEPOSITS.key(raw.clone()));
        let Some((name, bucket)) = self.bucket_in(partition, name).await? else {
            return Ok((None, self.drop_hint(partition, hint).await?));
        };
        let Some((view, [row])) = self.view_at(bucket, [tables::version(&key, id)]).await? else {
            return Ok((None, self.drop_hint(partition, hint).await?));
        };
        let row = row.map(|raw| ObjectRow::from_bytes(&raw)).transpose()?;
        let at = tables::version(&key, id);
        let is_wanted =
            |row: &ObjectRow| row.is_archived() && row.cold().is_none_or(|cold| *cold == Cold::default());
        // What is restored is none to deposit; the end of that puts the hint again.
        let Some(row) = row.filter(is_wanted) else {
            return Ok((None, self.drop_hint_of(&view, at, hint).await?));
        };
        match self.gather(&view, (name, key), &row).await? {
            Some(gathering) => {
                let alive = tables::only(tables::CONFIG);
                self.vaults()?.found_system(partition, bucket.account, &alive).await.map_err(of_vault)?;
                Ok((Some(Box::new(gathering)), Watched::Done))
            }
            // It stays in the pool.
            None => Ok((None, self.drop_hint(partition, hint).await?)),
        }
    }

    /// The blobs of a version's body, if it consists of such as can be an archive's.
    async fn gather(
        self: &Arc<Self>,
        view: &View,
        (name, key): (BucketName, ObjectKey),
        row: &ObjectRow,
    ) -> Result<Option<Gathering>> {
        let Some(stored) = row.stored.as_ref().filter(|stored| !stored.envelope.is_closed()) else {
            return Ok(None);
        };
        let partition = view.bucket.partition;
        let aad = row.additional_data(partition, &key);
        let material = Material::read(row.envelope(), &self.keys.unseal_bytes(&row.sealed, &aad)?)?;
        let Some(Material::Bare(keys)) = material else { return Ok(None) };
        let extent = stored.extent;
        let is_ours = |extent: &Extent| match extent.content {
            Content::Blob { home, blob } if home == partition && extent.offset == 0 => Some(blob),
            _ => None,
        };
        let (mut leaves, mut parts) = (Vec::new(), Vec::new());
        if let Some(blob) = is_ours(&extent) {
            leaves.push(Leaf { blob, key: keys.data, length: extent.length });
        } else {
            match extent.content {
                Content::Manifest { home, depth: 1, .. } if home == partition && keys.parts.is_none() => {}
                _ => return Ok(None),
            }
            let mut pages = Pages::of(&extent, Some(&keys))?;
            while let Some(page) = pages.next(self).await? {
                for (entry, key) in page.into_entries() {
                    // Entries without a number are a deduplicated body's.
                    let blob = is_ours(&entry.extent).filter(|_| entry.number > 0);
                    let (Some(blob), length @ 1..) = (blob, entry.extent.length) else { return Ok(None) };
                    leaves.push(Leaf { blob, key, length });
                    parts.push(entry);
                }
            }
        }
        if leaves.len() > PIECES_MAX {
            tracing::info!(bucket = %name, key = key.as_str(), parts = leaves.len(), "an archived version has too many parts for a vault, and stays in the pool");
            return Ok(None);
        }
        if leaves.iter().map(|leaf| leaf.length).sum::<u64>() != extent.length || extent.length == 0 {
            return Ok(None);
        }
        Ok(Some(Gathering {
            key,
            id: row.version,
            name,
            bucket: view.bucket,
            extent,
            leaves,
            parts,
            pieces: Vec::new(),
            at: 0,
            piece: TreeHasher::new(),
            whole: TreeHasher::new(),
        }))
    }

    /// Drops the hint of a version that can't be deposited, whatever is tried: it is archived all the same, and restored from the pool.
    pub(crate) async fn leave_in_pool(&self, gathering: &Gathering, error: &engine::Error) -> Result<()> {
        let Gathering { key, id, name, bucket, .. } = gathering;
        tracing::error!(bucket = %name, key = key.as_str(), version = %id, %error, "an archived version stays in the pool: its bytes can't go to a vault");
        self.drop_hint(bucket.partition, tables::deposit(key, *id)).await.map(drop)
    }

    /// Reads on, a bounded step. Where all is read: whether it is deposited, for which nobody may have changed the version meanwhile.
    pub(crate) async fn deposit_step(self: &Arc<Self>, gathering: &mut Gathering) -> Result<Option<bool>> {
        let mut left = STEP;
        while let Some(leaf) = gathering.leaves.get(gathering.pieces.len()) {
            if left == 0 {
                return Ok(None);
            }
            let to = leaf.length.min(gathering.at + left);
            let home = gathering.bucket.partition;
            let mut bytes = self.blobs.read(home, leaf.blob, &leaf.key, gathering.at..to);
            while let Some(next) = bytes.next().await {
                let next = next?;
                gathering.piece.update(&next);
                gathering.whole.update(&next);
            }
            left -= to - gathering.at;
            gathering.at = to;
            if to == leaf.length {
                let tree_hash = std::mem::replace(&mut gathering.piece, TreeHasher::new()).finish();
                let (blob, key, length) = (leaf.blob, leaf.key.clone(), leaf.length);
                gathering.pieces.push(Piece { blob, key, length, tree_hash });
                gathering.at = 0;
            }
        }
        let tree_hash = std::mem::replace(&mut gathering.whole, TreeHasher::new()).finish();
        self.finish_deposit(gathering, tree_hash).await.map(Some)
    }

    /// The commit by which the vault has the bytes.
    async fn finish_deposit(self: &Arc<Self>, gathering: &Gathering, tree_hash: TreeHash) -> Result<bool> {
        let Gathering { key, bucket, extent, .. } = gathering;
        let skeleton = self.skeleton(gathering).await?;
        let deposit =
            self.vaults()?.deposit(bucket.partition, &gathering.pieces, tree_hash).await.map_err(of_vault)?;
        let hint = tables::deposit(key, gathering.id);
        let done = self
            .transact(|| async {
                let _turn = self.queue(bucket.partition, key).await;
                let (view, stack) = self.stack(*bucket, key).await?;
                let row = view.snapshot.get(tables::version(key, gathering.id)).await?;
                let row = row.map(|raw| ObjectRow::from_bytes(&raw)).transpose()?;
                let same = |row: &ObjectRow| {
                    let stored = row.stored.as_ref().filter(|stored| stored.extent == *extent);
                    row.is_archived() && stored.is_some_and(|stored| stored.cold.is_none())
                };
                // Gone, rewritten, or being restored: who looks at the hint next sees.
                let Some(row) = row.filter(same) else { return Ok(Attempt::Answer(false)) };
                let held = held(extent)?;
                if view.snapshot.get(held.clone()).await?.is_none() {
                    return Ok(Attempt::Answer(false));
                }
                let amended = self.deposited_row(&view, (key, &row), skeleton.as_ref(), deposit.at)?;
                let mut change = stack.replace(&amended).known_by(Layout::CLASSES).unchanged(held).freeing();
                change.checks.extend(deposit.checks.iter().cloned());
                change.writes.extend(deposit.writes.iter().cloned());
                let (released, dirty) = release_content(bucket.partition, extent.owner, &extent.content)?;
                change.writes.extend(released);
                change.dirty = dirty;
                if let Some(skeleton) = &skeleton {
                    if skeleton.paged && view.snapshot.get(skeleton.draft.clone()).await?.is_none() {
                        return Ok(Attempt::Answer(false));
                    }
                    change = change.unchanged(skeleton.draft.clone());
                    change.writes.extend(skeleton.writes.iter().cloned());
                    let owner = amended.stored.as_ref().map_or(extent.owner, |stored| stored.extent.owner);
                    let reference = tables::manifest_ref(skeleton.id, owner);
                    change = change.put(reference, tables::PRESENT);
                }
                change = change.delete(hint.clone());
                Ok(Attempt::won(self.try_change_key(&view, key, change).await?, true))
            })
            .await?;
        if done {
            self.vaults()?.deposited();
            tracing::debug!(bucket = %gathering.name, "an archived version's bytes are in its vault");
        }
        Ok(done)
    }

    /// The row of a version whose bytes are in a vault.
    fn deposited_row(
        &self,
        view: &View,
        (key, row): (&ObjectKey, &ObjectRow),
        skeleton: Option<&Skeleton>,
        at: archive::vault::ArchiveAt,
    ) -> Result<ObjectRow> {
        let home = view.bucket.partition;
        let mut amended = row.clone();
        if let Some(stored) = &mut amended.stored {
            let content = match skeleton {
                Some(skeleton) => Content::Manifest { home, manifest: skeleton.id, depth: 1 },
                None => Content::Empty,
            };
            stored.extent = Extent { owner: self.owner(), content, offset: 0, length: stored.extent.length };
            stored.cold = Some(Cold { archive: Some(at), restore: None });
        }
        let material = skeleton.map(|skeleton| Material::Bare(Keys::from(skeleton.secret.clone())));
        amended.sealed = Bytes::new();
        let aad = amended.additional_data(home, key);
        amended.sealed = self.keys.seal_material(view.bucket.account, material.as_ref(), &aad)?;
        Ok(amended)
    }

    /// Of a body in parts: pages that say what the parts were, without their bytes.
    async fn skeleton(self: &Arc<Self>, gathering: &Gathering) -> Result<Option<Skeleton>> {
        if gathering.parts.is_empty() {
            return Ok(None);
        }
        let (id, secret) = (ManifestId::random(&*self.entropy), DataKey::random(&*self.entropy));
        let active = self.activate(*id.as_bytes());
        let bare = gathering.parts.iter().map(|part| {
            let extent = Extent { content: Content::Empty, offset: 0, ..part.extent };
            (ManifestEntry { extent, ..*part }, DataKey::random(&*self.entropy))
        });
        let draft = tables::of_manifest(tables::MANIFEST_GARBAGE, id);
        let mut writes = page_writes(id, &secret, &bare.collect::<Vec<_>>())?;
        let paged = writes.len() > 1;
        if paged {
            self.write_pages(gathering.bucket, draft.clone(), std::mem::take(&mut writes)).await?;
            writes.push(Write::Delete(draft.clone()));
        }
        Ok(Some(Skeleton { id, secret, draft, paged, writes, _active: active }))
    }
}

/// Pages of a manifest that keep what is told of parts.
struct Skeleton {
    id: ManifestId,
    secret: DataKey,
    /// The row by which the cleaner finds pages that came to nothing.
    draft: Key,
    /// The pages are written, and that row with them.
    paged: bool,
    /// What is to be written with the commit.
    writes: Vec<Write>,
    /// Keeps the pages from the cleaner.
    _active: Active,
}

/// The row by which a version holds its bytes.
fn held(extent: &Extent) -> Result<Key> {
    Ok(match extent.content {
        Content::Manifest { manifest, .. } => tables::manifest_ref(manifest, extent.owner),
        Content::Blob { blob, .. } => reference(blob, &blob_owner(extent.owner)?),
        Content::Empty | Content::Inline { .. } => {
            return Err(crate::body::corrupt("object row", "nothing that can be deposited"));
        }
    })
}

/// A hint that a version is to be deposited.
pub(crate) fn hint(key: &ObjectKey, id: VersionId, bucket: &BucketName) -> Write {
    Write::Put(tables::deposit(key, id), name_of(bucket))
}
