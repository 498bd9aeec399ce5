//! The object store itself: what it is made of, how it finds a bucket, and how it commits.
//!
//! Operations are `impl ObjectStore` blocks in the modules beside this one.

use crate::access_log::AccessLogs;
use crate::checksum::Lanes;
use crate::cold::ColdWork;
use crate::id::OwnerId;
use crate::inventory::Inventories;
use crate::keyring::Keyring;
use crate::lifecycle::Lifecycles;
use crate::policies::Policies;
use crate::quota::Watch;
use crate::record::ConfigRow;
use crate::restore_job::RestoreJobs;
use crate::setting::Settings;
use crate::{BucketName, DamagedBucket, Error, LogOptions, ObjectKey, Result, tables};
use archive::vault::Vaults;
use bytes::Bytes;
use engine::blob::BlobStore;
use engine::catalog::record::Record;
use engine::catalog::{Catalog, Commit, Key, Snapshot, Space, Version, commit_known};
use engine::clock::compliance::ComplianceClock;
use engine::clock::{Clock, Timestamp};
use engine::entropy::Entropy;
use engine::id::{Growing, IdempotencyId, PartitionId};
use engine::outbox::{Outbox, Posted};
use parking_lot::{Mutex, RwLock};
use security::AccountId;
use security::kms::Kms;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// Keys share this many in-process locks, so that writers of one key queue here and not by conflicts.
const STRIPES: usize = 1024;
/// Names kept resolved.
const CACHED_BUCKETS_MAX: usize = 65_536;

/// Damaged buckets that a start tells of.
const DAMAGED_TOLD: usize = 20;

/// What an object store is made of.
#[derive(Clone)]
pub struct Components {
    /// Rows.
    pub catalog: Arc<dyn Catalog>,
    /// Bytes.
    pub blobs: Arc<BlobStore>,
    /// What seals data keys.
    pub keys: Arc<security::keys::KeyTable>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// What retentions are judged by.
    pub compliance: Arc<ComplianceClock>,
    /// How long a calendar day lasts: [`DAY`](crate::DAY) but in rehearsals.
    pub day: Duration,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// What takes events to those who want them.
    pub outbox: Arc<Outbox>,
    /// How server access logs are written.
    pub access_logs: LogOptions,
    /// Where bytes of archived classes go; `None`: they stay in the pool.
    pub vaults: Option<Arc<Vaults>>,
    /// Managed keys; `None`: what wants one is refused.
    pub kms: Option<Arc<Kms>>,
    /// The region, as locations and ARNs have it.
    pub region: String,
    /// The appliance's account: who owns new buckets unless another is named.
    pub account: AccountId,
}

/// The object store. One a process: its in-process state says which operations are under way.
pub struct ObjectStore {
    pub(crate) catalog: Arc<dyn Catalog>,
    pub(crate) blobs: Arc<BlobStore>,
    pub(crate) keys: Keyring,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) compliance: Arc<ComplianceClock>,
    pub(crate) day: Duration,
    pub(crate) entropy: Arc<dyn Entropy>,
    /// Ids of rows that are written with each object.
    growing: Growing,
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) account: AccountId,
    /// Where bodies' MD5 are computed.
    pub(crate) lanes: Lanes,
    region: String,
    names: RwLock<HashMap<BucketName, Bucket>>,
    stripes: Box<[tokio::sync::Mutex<()>]>,
    /// Owners and manifests whose operation is under way in this process: workers leave them alone.
    active: Arc<Mutex<HashMap<[u8; 16], usize>>>,
    /// Partitions whose queues may hold work.
    pub(crate) dirty: Mutex<BTreeSet<PartitionId>>,
    /// Partitions that may hold intents or fences.
    pub(crate) dirty_intents: Mutex<BTreeSet<PartitionId>>,
    /// Buckets that are being created or deleted.
    pub(crate) changing: Mutex<HashSet<BucketName>>,
    /// How many buckets each account has: counted when the store is opened, kept since. None where they are to be counted again.
    pub(crate) bucket_counts: Mutex<Option<BucketCounts>>,
    /// Settings of buckets, decoded.
    pub(crate) settings: Settings,
    /// Which partitions have a policy.
    pub(crate) policies: Policies,
    /// What is known of quotas.
    pub(crate) watch: Watch,
    /// Who is logged, and what waits to be written of it.
    pub(crate) access_logs: AccessLogs,
    /// Which inventory reports can't be made.
    pub(crate) inventories: Inventories,
    /// Which buckets have rules that changed.
    pub(crate) lifecycles: Lifecycles,
    /// Where bytes of archived classes go.
    pub(crate) vaults: Option<Arc<Vaults>>,
    /// Which partitions have archived versions to look after.
    pub(crate) cold: ColdWork,
    /// Which partitions have jobs that restore all below a prefix.
    pub(crate) restore_jobs: RestoreJobs,
    /// What wraps keys of objects for who may use it.
    pub(crate) kms: Option<Arc<Kms>>,
    /// A bucket whose default is a managed key was met.
    pub(crate) knows_defaults: AtomicBool,
}

/// A bucket, found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bucket {
    pub(crate) partition: PartitionId,
    pub(crate) created: Timestamp,
    pub(crate) account: AccountId,
}

/// A bucket at one version.
pub(crate) struct View {
    pub(crate) bucket: Bucket,
    pub(crate) config: ConfigRow,
    pub(crate) snapshot: Arc<dyn Snapshot>,
}

/// Names that each account has, those of creations and deletions under way included.
pub(crate) type BucketCounts = HashMap<[u8; 8], usize>;

/// Rows of a bucket, in the order in which they were asked for; `None` for one that is not there.
pub(crate) type RowsOf<const N: usize> = [Option<Bytes>; N];

/// Keeps workers away from an owner or manifest while it lives.
pub(crate) struct Active {
    set: Arc<Mutex<HashMap<[u8; 16], usize>>>,
    id: [u8; 16],
}

impl Drop for Active {
    fn drop(&mut self) {
        let mut set = self.set.lock();
        if let Some(count) = set.get_mut(&self.id) {
            *count -= 1;
            if *count == 0 {
                set.remove(&self.id);
            }
        }
    }
}

impl ObjectStore {
    /// Opens the store. What a crash left half done is finished by the [`workers`](Self::workers).
    pub async fn open(components: Components) -> Result<Arc<Self>> {
        let Components { catalog, blobs, keys, clock, compliance, day, entropy, outbox, .. } = components;
        let Components { access_logs, vaults, kms, region, account, .. } = components;
        let store = Self {
            catalog,
            blobs,
            keys: Keyring::open(keys, account).await?,
            clock,
            compliance,
            day,
            entropy,
            growing: Growing::default(),
            outbox,
            account,
            lanes: Lanes::new(std::thread::available_parallelism().map_or(1, usize::from)),
            region,
            names: RwLock::default(),
            stripes: (0..STRIPES).map(|_| tokio::sync::Mutex::default()).collect(),
            active: Arc::default(),
            dirty: Mutex::default(),
            dirty_intents: Mutex::default(),
            changing: Mutex::default(),
            bucket_counts: Mutex::default(),
            settings: Settings::default(),
            policies: Policies::default(),
            watch: Watch::default(),
            access_logs: AccessLogs::new(access_logs),
            inventories: Inventories::default(),
            lifecycles: Lifecycles::default(),
            vaults,
            cold: ColdWork::default(),
            restore_jobs: RestoreJobs::default(),
            kms,
            knows_defaults: AtomicBool::new(false),
        };
        if let Some(vaults) = &store.vaults {
            vaults.tell_of_ends(store.cold.told());
        }
        let counted = store.find_work().await?;
        *store.bucket_counts.lock() = Some(counted);
        store.find_events().await?;
        store.find_logged().await?;
        store.find_policies().await?;
        for DamagedBucket { name, error } in store.damaged_buckets(DAMAGED_TOLD).await? {
            tracing::error!(bucket = name, error, "a bucket can't be served: its row is damaged");
        }
        Ok(Arc::new(store))
    }

    /// The region, as locations and ARNs have it.
    pub fn region(&self) -> &str {
        &self.region
    }

    pub(crate) fn owner(&self) -> OwnerId {
        OwnerId::from_bytes(self.growing.next(self.clock.now(), &*self.entropy))
    }

    /// Marks an id as in use by this process.
    pub(crate) fn activate(&self, id: [u8; 16]) -> Active {
        *self.active.lock().entry(id).or_default() += 1;
        Active { set: Arc::clone(&self.active), id }
    }

    pub(crate) fn is_active(&self, id: [u8; 16]) -> bool {
        self.active.lock().contains_key(&id)
    }

    /// Tells the workers that a partition's queues may hold work.
    pub(crate) fn mark_dirty(&self, partition: PartitionId) {
        self.dirty.lock().insert(partition);
        self.dirty_intents.lock().insert(partition);
        self.cold.dirty.lock().insert(partition);
        if let Some(vaults) = &self.vaults {
            vaults.freed(partition);
        }
    }

    /// Queues writers of one key, so that they do not wear one another down by conflicts. Correctness never rests on it.
    pub(crate) async fn queue(
        &self,
        partition: PartitionId,
        key: &ObjectKey,
    ) -> tokio::sync::MutexGuard<'_, ()> {
        let mut hasher = DefaultHasher::new();
        (partition, key).hash(&mut hasher);
        let stripe = usize::try_from(hasher.finish() % STRIPES as u64).unwrap_or(0);
        self.stripes[stripe].lock().await
    }

    /// Finds a bucket.
    pub(crate) async fn view(&self, name: &BucketName) -> Result<View> {
        let (view, []) = self.view_with(name, []).await?;
        Ok(view)
    }

    /// Finds a bucket and reads rows of it, all at one version.
    pub(crate) async fn view_with<const N: usize>(
        &self,
        name: &BucketName,
        rows: [Key; N],
    ) -> Result<(View, RowsOf<N>)> {
        if let Some(bucket) = name.bound() {
            let view = self.view_at(bucket, rows).await?;
            if view.is_none() {
                self.forget(name);
            }
            return view.ok_or(Error::NoSuchBucket);
        }
        if let Some(bucket) = self.remembered(name)
            && let Some(view) = self.view_at(bucket, rows.clone()).await?
        {
            return Ok(view);
        }
        self.forget(name);
        let bucket = self.resolve(name).await?.ok_or(Error::NoSuchBucket)?;
        let view = self.view_at(bucket, rows).await?.ok_or(Error::NoSuchBucket)?;
        let mut names = self.names.write();
        if names.len() >= CACHED_BUCKETS_MAX {
            names.clear();
        }
        // Whoever created it since knows better.
        names.entry(name.unbound()).or_insert(bucket);
        drop(names);
        Ok(view)
    }

    /// The same, of a bucket that was found before; `None` once it is deleted.
    pub(crate) async fn view_at<const N: usize>(
        &self,
        bucket: Bucket,
        rows: [Key; N],
    ) -> Result<Option<(View, RowsOf<N>)>> {
        let snapshot = self.catalog.snapshot(bucket.partition).await?;
        let mut keys = Vec::with_capacity(N + 1);
        keys.push(tables::only(tables::CONFIG));
        keys.extend(rows);
        let mut found = snapshot.multi_get(keys).await?.into_iter();
        let Some(config) = found.next().flatten() else { return Ok(None) };
        let config = ConfigRow::from_bytes(&config)?;
        let rows = std::array::from_fn(|_| found.next().flatten());
        Ok(Some((View { bucket, config, snapshot }, rows)))
    }

    /// From now on the name stands for this bucket.
    pub(crate) fn remember(&self, name: &BucketName, bucket: Bucket) {
        self.names.write().insert(name.unbound(), bucket);
    }

    pub(crate) fn remembered(&self, name: &BucketName) -> Option<Bucket> {
        self.names.read().get(name).copied()
    }

    pub(crate) fn forget(&self, name: &BucketName) {
        self.names.write().remove(name);
    }

    /// Commits once, under an id of its own: while the outcome is unknown it is repeated, which makes it known. What may draw on the
    /// reserve of a full disk leads to free space, so whoever waits for that is told. `posted`: the messages among the writes. Such
    /// a commit goes on when its caller does not: else nobody would know that there is something to deliver. Whatever answer leaves
    /// its outcome open has its partition looked at. `kept` lives until the answer is there, whoever waits for it.
    pub(crate) async fn commit_keeping(
        &self,
        commit: Commit,
        posted: Vec<Posted>,
        kept: Option<Kept>,
    ) -> engine::Result<Version> {
        let id = IdempotencyId::from_bytes(self.growing.next(self.clock.now(), &*self.entropy));
        if posted.is_empty() {
            let outcome = commit_freeing(&*self.catalog, &self.blobs, id, commit).await;
            drop(kept);
            return outcome;
        }
        let (catalog, blobs) = (Arc::clone(&self.catalog), Arc::clone(&self.blobs));
        let (outbox, partition) = (Arc::clone(&self.outbox), commit.partition);
        let task = tokio::spawn(async move {
            let outcome = commit_freeing(&*catalog, &blobs, id, commit).await;
            match &outcome {
                Ok(_) => outbox.committed(partition, &posted),
                Err(error) if error.kind() == engine::ErrorKind::Conflict => {}
                Err(_) => outbox.unsure(partition, &posted),
            }
            drop(kept);
            outcome
        });
        task.await.map_err(|_ended| engine::Error::Closed)?
    }
}

/// What keeps bytes in place as long as it lives.
pub(crate) type Kept = Arc<dyn std::any::Any + Send + Sync>;

/// Commits, and tells who waits for space if it gave some up.
async fn commit_freeing(
    catalog: &dyn Catalog,
    blobs: &BlobStore,
    id: IdempotencyId,
    commit: Commit,
) -> engine::Result<Version> {
    let frees = commit.space == Space::Reserve;
    let outcome = commit_known(catalog, id, commit).await;
    if frees && outcome.is_ok() {
        blobs.freed_something();
    }
    outcome
}
