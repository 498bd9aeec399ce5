//! Deduplication of a bucket that asks for it: what an upload brings that is stored already is not stored again.
//!
//! ```text
//!   body ─► chunks, cut where their content says so                                               chunker
//!        ─► known ones: extents of packs that hold them, held by reference first                  index
//!        ─► new ones: one behind the other into packs, which are blobs of at most 4 MiB           pack
//!        ─► a manifest of those extents; one commit publishes it, as a completed upload's         sink
//! ```
//! Content stays what it is everywhere: a list of extents. Reads, ranges, copies, versions, deletes, scrubbing, repair, zones,
//! remote pools and backups see blobs and manifests, as of any upload in parts.
//!
//! | row | key | says |
//! |---|---|---|
//! | `CHUNKS` | chunk's name | in which pack it lies, and where; authenticated |
//! | `PACKS` | pack | its data key, sealed |
//! | `HOLDS` | manifest, pack | the manifest refers to the pack, as owner of its own id |
//!
//! # Invariants
//! - A chunk is named by BLAKE3 under a secret of the bucket; nobody who reads rows can tell content by names or cuts.
//! - A reference to a pack is taken before an extent of it stands anywhere, in a commit that checks an existing reference. So the
//!   collector never frees what an upload counts on; when the last reference went first, the chunk is written anew.
//! - A pack's rows are its companions: they go in the commit in which the collector ends its blob. The index is never larger than what
//!   is stored.
//! - Only whole chunks are shared, and only within a bucket, among writers of one account: an upload that takes less time because its
//!   bytes are known tells nobody what others have stored. Who does not sign shares nothing.
//!
//! # Limits
//! An upload holds at most some 1.3 MiB that is not cut yet, and three packs on their way; 16 bytes and a key for each pack that it
//! refers to. A pack has at most 4 MiB and 512 chunks, so what one chunk of it keeps alive is no more than that.
//!
//! # What a crash leaves
//! Packs, references and pages under a manifest that no version names, and the `MANIFEST_GARBAGE` row by which the cleaner finds them.

mod chunker;
mod index;
mod pack;
mod sink;

pub(crate) use sink::{Guard, Sink};

use crate::change::Change;
use crate::id::{ManifestId, OwnerId};
use crate::setting::Deduplication;
use crate::store::{Bucket, View};
use crate::{BucketName, Error, ListBuckets, ObjectStore, Result, tables};
use bytes::Bytes;
use chunker::Chunker;
use engine::catalog::record::Record;
use engine::catalog::{Snapshot, Write};
use engine::codec::DataKey;
use engine::id::{BlobId, PartitionId};
use engine::unit::ByteCount;
use security::{AccountId, CanonicalUser};
use std::sync::Arc;

/// Deduplication of a bucket, and what it saves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DedupInfo {
    /// Which bucket.
    pub bucket: BucketName,
    /// New bodies are deduplicated.
    pub on: bool,
    /// Bytes of bodies that were deduplicated when they came and are there still, parts of uploads under way included.
    /// A copy that moved no bytes does not count again.
    pub written: ByteCount,
    /// Bytes of the packs that hold them.
    pub stored: ByteCount,
}

impl DedupInfo {
    /// Bytes that need not be stored.
    pub fn saved(&self) -> ByteCount {
        ByteCount::new(self.written.get().saturating_sub(self.stored.get()))
    }
}

/// A chunk's name: BLAKE3 of its bytes, under a key of the bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ChunkName([u8; 32]);

impl ChunkName {
    pub(crate) const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// A chunk of a body.
struct Chunk {
    name: ChunkName,
    bytes: Bytes,
}

/// What follows from a bucket's secret.
struct Secrets {
    chunker: Chunker,
    names: [u8; 32],
    tags: [u8; 32],
}

impl Secrets {
    /// Of a bucket's secret; `other`: for writers of this account, which is not the owner.
    fn new(secret: &DataKey, other: Option<AccountId>) -> Self {
        let mut secret = *secret.as_bytes();
        if let Some(other) = other {
            let mut hasher =
                blake3::Hasher::new_derive_key("firn deduplication: writers of another account, 1");
            hasher.update(&secret).update(&other.to_bytes());
            secret = *hasher.finalize().as_bytes();
        }
        let derive = |purpose| blake3::derive_key(purpose, &secret);
        Self {
            chunker: Chunker::new(&derive("firn deduplication: where chunks end, 1")),
            names: derive("firn deduplication: names of chunks, 1"),
            tags: derive("firn deduplication: tags of chunk rows, 1"),
        }
    }

    /// The chunks of `data`, and what is left for the next time: nothing when it is `last`.
    fn cut(&self, data: &Bytes, last: bool) -> (Vec<Chunk>, Bytes) {
        let mut rest = data.clone();
        let mut chunks = Vec::new();
        while rest.len() >= chunker::CHUNK_MAX || (last && !rest.is_empty()) {
            let bytes = rest.split_to(self.chunker.cut(&rest));
            let name = ChunkName(*blake3::keyed_hash(&self.names, &bytes).as_bytes());
            chunks.push(Chunk { name, bytes });
        }
        (chunks, rest)
    }
}

/// What a body is deduplicated by, and among whose.
pub(crate) struct Domain {
    setting: Arc<Deduplication>,
    /// The writer's account; `None` for the bucket's owner.
    other: Option<AccountId>,
}

/// Who refers to the packs of a manifest: an owner with the manifest's own id.
pub(crate) const fn owner_of(manifest: ManifestId) -> OwnerId {
    OwnerId::from_bytes(*manifest.as_bytes())
}

fn secret_data(partition: PartitionId) -> Vec<u8> {
    [b"firn deduplication\0", &partition.as_bytes()[..]].concat()
}

fn pack_data(partition: PartitionId, pack: BlobId) -> Vec<u8> {
    [b"firn pack row\0", &partition.as_bytes()[..], pack.as_bytes()].concat()
}

impl ObjectStore {
    /// Switches deduplication of new bodies on or off. What is stored stays as it is, either way.
    pub async fn set_deduplication(&self, bucket: &BucketName, on: bool) -> Result<DedupInfo> {
        self.transact(|| async {
            let view = self.view(bucket).await?;
            let fresh = || {
                let secret = DataKey::random(&*self.entropy);
                self.keys.seal(view.bucket.account, Some(&secret), &secret_data(view.bucket.partition))
            };
            let change = |old: Option<Deduplication>| match old {
                Some(old) => Ok(Some(Deduplication { on, ..old })),
                None if on => Ok(Some(Deduplication { on, sealed: fresh()? })),
                None => Ok(None),
            };
            self.try_change(&view, Change::default(), change).await
        })
        .await?;
        Ok(self.deduplication_at(bucket, &self.view(bucket).await?).await?.1)
    }

    /// Deduplication of a bucket, and what it saves; `None` where it was never switched on.
    pub async fn deduplication(&self, bucket: &BucketName) -> Result<Option<DedupInfo>> {
        let view = self.view(bucket).await?;
        if self.setting_at::<Deduplication>(&view).await?.is_none() {
            return Ok(None);
        }
        Ok(Some(self.deduplication_at(bucket, &view).await?.1))
    }

    /// The same, and whether it was ever switched on.
    async fn deduplication_at(&self, bucket: &BucketName, view: &View) -> Result<(bool, DedupInfo)> {
        let setting = self.setting_at::<Deduplication>(view).await?;
        let counters = [tables::DEDUP_WRITTEN, tables::DEDUP_STORED].map(tables::only);
        let counts = view.snapshot.multi_get(counters.to_vec()).await?;
        let count = |at: usize| tables::count(counts.get(at).and_then(Option::as_ref)).map(ByteCount::new);
        let (written, stored) = (count(0)?, count(1)?);
        let on = setting.as_ref().is_some_and(|setting| setting.on);
        Ok((setting.is_some(), DedupInfo { bucket: bucket.unbound(), on, written, stored }))
    }

    /// Every bucket on which deduplication was ever switched on.
    pub async fn all_deduplication(&self) -> Result<Vec<DedupInfo>> {
        let mut found = Vec::new();
        let mut list = ListBuckets { max: 1_000, ..ListBuckets::default() };
        loop {
            let page = self.list_buckets(list.clone()).await?;
            for bucket in page.buckets {
                let view = match self.view(&bucket.name).await {
                    // Deleted meanwhile.
                    Err(Error::NoSuchBucket) => continue,
                    view => view?,
                };
                let (known, info) = self.deduplication_at(&bucket.name, &view).await?;
                found.extend(known.then_some(info));
            }
            let Some(next) = page.next else { return Ok(found) };
            list.after = Some(next);
        }
    }

    /// What new bodies of this writer are deduplicated by, if they are. `None`: the bucket's owner writes.
    pub(crate) async fn dedups(&self, view: &View, by: Option<CanonicalUser>) -> Result<Option<Domain>> {
        let other = match by {
            None => None,
            Some(CanonicalUser::Account(account)) => Some(account).filter(|by| *by != view.bucket.account),
            Some(CanonicalUser::Anonymous) => return Ok(None),
        };
        let setting = self.setting_at::<Deduplication>(view).await?.filter(|setting| setting.on);
        Ok(setting.map(|setting| Domain { setting, other }))
    }

    fn dedup_secrets(&self, bucket: Bucket, domain: &Domain) -> Result<Secrets> {
        let secret = self.keys.unseal(&domain.setting.sealed, &secret_data(bucket.partition))?;
        let missing = || engine::Error::Corrupt {
            what: "bucket deduplication".into(),
            detail: "no secret in it".into(),
        };
        Ok(Secrets::new(&secret.ok_or_else(missing)?, domain.other))
    }

    /// Commits a step of a manifest that no version names yet, with the row by which the cleaner finds it. It need not be
    /// durable: the commit that names the manifest makes it so. `false`: somebody was faster.
    async fn commit_step(&self, view: &View, manifest: ManifestId, mut change: Change) -> Result<bool> {
        change.writes.push(draft_row(manifest));
        self.try_commit(change.guarded().relaxed().of(view)).await
    }
}

fn draft_row(manifest: ManifestId) -> Write {
    let row = tables::of_manifest(tables::MANIFEST_GARBAGE, manifest);
    Write::Put(row, crate::record::ManifestGarbage::Draft.to_bytes())
}

/// Takes a manifest's holds apart, at most `limit` of them: the writes, and whether there are more.
pub(crate) async fn release_holds(
    snapshot: &dyn Snapshot,
    manifest: ManifestId,
    limit: usize,
) -> Result<(Vec<Write>, bool)> {
    let scan = engine::catalog::Scan {
        keys_only: true,
        ..engine::catalog::Scan::prefix(tables::HOLDS, manifest.as_bytes(), limit)
    };
    let page = snapshot.scan(scan).await?;
    let owner = crate::stack::blob_owner(owner_of(manifest))?;
    let mut writes = Vec::new();
    for (key, _) in &page.rows {
        let pack = tables::read_hold(key)?;
        writes.push(Write::Delete(tables::HOLDS.key(key.clone())));
        writes.extend(engine::blob::release(pack, &owner));
    }
    Ok((writes, page.more))
}
