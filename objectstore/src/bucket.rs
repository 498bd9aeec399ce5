//! Buckets: a name in the root partition, a configuration in a partition of its own.
//!
//! ```text
//!   create   root: name → Creating ─► bucket: CONFIG ─► root: Active                              create
//!   delete   root: Deleting ─► bucket: CONFIG gone, if nobody wrote since it was seen empty ─► root: name gone
//! ```
//!
//! # Invariants
//! - A bucket exists while its `CONFIG` row does; every writer checks that row.
//! - Partition ids are random and never used twice, so nothing of a deleted bucket shows up in one of the same name.
//!
//! A name whose row can't be read serves nobody and is nobody's to take; it keeps no other bucket from being served or listed, and
//! [`damaged_buckets`](ObjectStore::damaged_buckets) tells of it.
//!
//! A crash between the steps leaves a name in `BUCKET_INTENTS`, which [`finish_bucket`](ObjectStore::finish_bucket)
//! decides by the `CONFIG` row: without one a creation is rolled back, and a deletion is done.

use crate::body::corrupt;
use crate::change::Change;
use crate::record::{BucketRow, BucketState, ConfigRow};
use crate::setting;
use crate::store::Bucket;
use crate::transact::Attempt;
use crate::{
    BucketInfo, BucketName, BucketPage, BucketUsage, Error, ErrorKind, ListBuckets, ObjectLock, ObjectStore,
    Result, Versioning, tables,
};
use bytes::Bytes;
use engine::catalog::record::Record;
use engine::catalog::{Scan, Snapshot, key_after};
use engine::id::PartitionId;
use engine::unit::ByteCount;
use security::AccountId;

/// Most buckets of one page.
const PAGE_MAX: usize = 10_000;

/// Holds a bucket's name while it is created or deleted.
pub(crate) struct Changing<'a> {
    store: &'a ObjectStore,
    name: BucketName,
}

impl Drop for Changing<'_> {
    fn drop(&mut self) {
        self.store.changing.lock().remove(&self.name);
    }
}

/// A bucket whose row in root can't be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DamagedBucket {
    /// Its name, as far as it is one.
    pub name: String,
    /// What is wrong with the row.
    pub error: String,
}

pub(crate) fn account(row: &BucketRow) -> Result<AccountId> {
    AccountId::from_bytes(row.account).map_err(|_| corrupt("bucket row", "an impossible account"))
}

/// A row of `BUCKETS`: whose name it is, what it says, and who owns it.
pub(crate) fn read_named(raw: &[u8], value: &[u8]) -> Result<(BucketName, BucketRow, AccountId)> {
    let row = BucketRow::from_bytes(value)?;
    let name = BucketName::parse(&tables::text(raw.to_vec())?);
    let name = name.map_err(|_| corrupt("bucket row", "its key is no bucket's name"))?;
    let owner = account(&row)?;
    Ok((name, row, owner))
}

pub(crate) fn bucket_of(row: &BucketRow) -> Result<Bucket> {
    Ok(Bucket { partition: row.partition, created: row.created, account: account(row)? })
}

fn read_row(raw: Option<Bytes>) -> Result<Option<BucketRow>> {
    Ok(raw.map(|raw| BucketRow::from_bytes(&raw)).transpose()?)
}

impl ObjectStore {
    /// The row of a name in root.
    pub(crate) async fn bucket_row(
        &self,
        root: &dyn Snapshot,
        name: &BucketName,
    ) -> Result<Option<BucketRow>> {
        read_row(root.get(tables::bucket(tables::BUCKETS, name)).await?)
    }

    /// Confirms a step in root: the name gets the state, or goes, as long as it stands for this partition.
    pub(crate) async fn set_state(
        &self,
        name: &BucketName,
        partition: PartitionId,
        to: Option<BucketState>,
    ) -> Result<()> {
        let key = tables::bucket(tables::BUCKETS, name);
        let intent = tables::bucket(tables::BUCKET_INTENTS, name);
        if to.is_none() {
            // The next start finds that the marks stand for nothing.
            if let Err(error) = self.forget_logging(name, partition).await {
                tracing::warn!(bucket = %name, %error, "failed to forget that a deleted bucket was logged");
            }
            if let Err(error) = self.forget_policy(partition).await {
                tracing::warn!(bucket = %name, %error, "failed to forget that a deleted bucket had a policy");
            }
        }
        self.transact(|| async {
            let root = self.catalog.snapshot(PartitionId::ROOT).await?;
            let Some(row) = read_row(root.get(key.clone()).await?)?.filter(|row| row.partition == partition)
            else {
                return Ok(Attempt::Answer(()));
            };
            let change = Change::default().unchanged(key.clone()).freeing();
            let change = if let Some(state) = to {
                change.put(key.clone(), BucketRow { state, ..row }.to_bytes())
            } else {
                let leftovers = tables::partition(tables::DELETED, partition);
                change.delete(key.clone()).put(leftovers, tables::PRESENT)
            };
            let change = match to {
                Some(BucketState::Deleting) => change.put(intent.clone(), tables::PRESENT),
                _ => change.delete(intent.clone()),
            };
            let counting = to.is_none().then(|| self.counting(row.account));
            let done = self.try_commit(change.at(PartitionId::ROOT, &*root)).await?;
            if let Some(counting) = counting {
                counting.settle(-isize::from(done));
            }
            Ok(Attempt::won(done, ()))
        })
        .await
    }

    /// Finishes what a crash left of a creation or deletion. Callers hold the name.
    pub(crate) async fn settle(&self, name: &BucketName, row: BucketRow) -> Result<()> {
        match row.state {
            BucketState::Active => self.set_state(name, row.partition, Some(BucketState::Active)).await,
            BucketState::Creating => self.settle_creation(name, row.partition).await,
            BucketState::Deleting => {
                let snapshot = self.catalog.snapshot(row.partition).await?;
                let exists = snapshot.get(tables::only(tables::CONFIG)).await?.is_some();
                self.set_state(name, row.partition, exists.then_some(BucketState::Active)).await
            }
        }
    }

    /// What the bucket finisher does with a name that it found in `BUCKET_INTENTS`. `false` when it is in use.
    pub(crate) async fn finish_bucket(&self, name: &BucketName) -> Result<bool> {
        let Ok(_changing) = self.change(name) else { return Ok(false) };
        let root = self.catalog.snapshot(PartitionId::ROOT).await?;
        if let Some(row) = self.bucket_row(&*root, name).await? {
            self.settle(name, row).await?;
        } else {
            let change = Change::default().absent(tables::bucket(tables::BUCKETS, name)).freeing();
            let change = change.delete(tables::bucket(tables::BUCKET_INTENTS, name));
            self.commit(change.at(PartitionId::ROOT, &*root)).await?;
        }
        Ok(true)
    }

    pub(crate) fn change(&self, name: &BucketName) -> Result<Changing<'_>> {
        if self.changing.lock().insert(name.clone()) {
            Ok(Changing { store: self, name: name.clone() })
        } else {
            Err(Error::BucketBusy)
        }
    }

    /// Finds a bucket by its name in root.
    pub(crate) async fn resolve(&self, name: &BucketName) -> Result<Option<Bucket>> {
        let root = self.catalog.snapshot(PartitionId::ROOT).await?;
        let row = read_row(root.get(tables::bucket(tables::BUCKETS, name)).await?)?;
        row.filter(|row| row.state != BucketState::Creating).map(|row| bucket_of(&row)).transpose()
    }

    /// Says that a bucket exists.
    pub async fn head_bucket(&self, name: &BucketName) -> Result<BucketInfo> {
        let bucket = self.view(name).await?.bucket;
        Ok(BucketInfo { name: name.clone(), created: bucket.created, owner: bucket.account })
    }

    /// A page of buckets, in order of their names.
    pub async fn list_buckets(&self, request: ListBuckets) -> Result<BucketPage> {
        let root = self.catalog.snapshot(PartitionId::ROOT).await?;
        let mut scan = Scan::prefix(tables::BUCKETS, request.prefix.as_bytes(), PAGE_MAX);
        if let Some(name) = &request.after {
            scan.start = scan.start.max(key_after(name.as_str().as_bytes()));
        }
        let max = request.max.min(PAGE_MAX);
        let mut page = BucketPage::default();
        let mut next = Some(scan);
        while let Some(scan) = next {
            let rows = root.scan(scan.clone()).await?;
            for (raw, value) in &rows.rows {
                let (name, row, owner) = match read_named(raw, value) {
                    // Nobody knows whose it is.
                    Err(error) if error.kind() == ErrorKind::Corrupt => continue,
                    read => read?,
                };
                if row.state == BucketState::Creating || request.owner.is_some_and(|asked| asked != owner) {
                    continue;
                }
                if page.buckets.len() == max {
                    page.next = page.buckets.last().map(|last: &BucketInfo| last.name.clone());
                    return Ok(page);
                }
                page.buckets.push(BucketInfo { name, created: row.created, owner });
            }
            next = scan.behind(&rows);
        }
        Ok(page)
    }

    /// Buckets whose row can't be read, `max` of them at the most.
    pub async fn damaged_buckets(&self, max: usize) -> Result<Vec<DamagedBucket>> {
        let root = self.catalog.snapshot(PartitionId::ROOT).await?;
        let mut damaged = Vec::new();
        let mut next = Some(Scan::prefix(tables::BUCKETS, b"", PAGE_MAX));
        while let Some(scan) = next.filter(|_| damaged.len() < max) {
            let page = root.scan(scan.clone()).await?;
            for (raw, value) in &page.rows {
                match read_named(raw, value) {
                    Err(error) if error.kind() == ErrorKind::Corrupt => {
                        let name = String::from_utf8_lossy(raw).into_owned();
                        damaged.push(DamagedBucket { name, error: error.to_string() });
                    }
                    read => drop(read?),
                }
            }
            next = scan.behind(&page);
        }
        damaged.truncate(max);
        Ok(damaged)
    }

    /// Deletes an empty bucket. Uploads that nobody completed go with it.
    pub async fn delete_bucket(&self, name: &BucketName) -> Result<()> {
        let bucket = self.view(name).await?.bucket;
        let _changing = self.change(name)?;
        self.set_state(name, bucket.partition, Some(BucketState::Deleting)).await?;
        let outcome = self.remove_config(bucket).await;
        match outcome {
            Ok(()) | Err(Error::NoSuchBucket) => {
                self.set_state(name, bucket.partition, None).await?;
                self.forget(name);
                self.mark_dirty(bucket.partition);
            }
            Err(Error::BucketNotEmpty) => {
                self.set_state(name, bucket.partition, Some(BucketState::Active)).await?;
            }
            // Whether it is gone is not known: the finisher reads and decides.
            Err(_) => {}
        }
        outcome
    }

    /// Removes the configuration if the bucket is empty and stays so until the commit.
    async fn remove_config(&self, bucket: Bucket) -> Result<()> {
        self.transact(|| async {
            let (view, []) = self.view_at(bucket, []).await?.ok_or(Error::NoSuchBucket)?;
            let mut scan = Scan::prefix(tables::VERSIONS, b"", 1);
            scan.keys_only = true;
            if !view.snapshot.scan(scan).await?.rows.is_empty() {
                return Err(Error::BucketNotEmpty);
            }
            let change = Change::writes(setting::all(&*view.snapshot).await?).configured().freeing();
            let change = change.unchanged(tables::only(tables::EPOCH)).delete(tables::only(tables::CONFIG));
            Ok(Attempt::Commit(change.of(&view), ()))
        })
        .await
    }

    /// Whether a bucket keeps versions.
    pub async fn versioning(&self, name: &BucketName) -> Result<Versioning> {
        Ok(self.view(name).await?.config.versioning)
    }

    /// Enables or suspends versions. [`Versioning::Off`] is refused: there is no way back.
    pub async fn set_versioning(&self, name: &BucketName, versioning: Versioning) -> Result<()> {
        if versioning == Versioning::Off {
            return Err(Error::InvalidArgument { name: "Status", detail: "Enabled or Suspended" });
        }
        self.transact(|| async {
            let view = self.view(name).await?;
            if view.config.versioning == versioning {
                return Ok(Attempt::Answer(()));
            }
            if self.setting_at::<ObjectLock>(&view).await?.is_some() {
                let detail = "An Object Lock configuration is present on this bucket, so the versioning state cannot be changed.";
                return Err(Error::InvalidBucketState { detail });
            }
            let row = ConfigRow { versioning, ..view.config };
            let change = Change::default().configured().put(tables::only(tables::CONFIG), row.to_bytes());
            Ok(Attempt::Commit(change.of(&view), ()))
        })
        .await
    }

    /// What a bucket holds.
    pub async fn usage(&self, name: &BucketName) -> Result<BucketUsage> {
        let rows = [tables::only(tables::VERSION_COUNT), tables::only(tables::BYTE_COUNT)];
        let (_, [versions, bytes]) = self.view_with(name, rows).await?;
        let (versions, bytes) = (tables::count(versions.as_ref())?, tables::count(bytes.as_ref())?);
        Ok(BucketUsage { versions, bytes: ByteCount::new(bytes) })
    }
}
