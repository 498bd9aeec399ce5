//! Creating a bucket with all that it has from its first moment on.
//!
//! ```text
//!   root: name → Creating ─► bucket: CONFIG and SETTINGS, unless fenced ─► root: Active
//!                         └─ nobody comes back for it ─► bucket: fence, unless CONFIG is there ─► root: name gone
//! ```
//!
//! # Invariants
//! - The commit that makes the bucket exist writes its settings too: no moment sees it without them.
//! - What is to be set is known to the request alone, so a creation that a crash cut short before that commit is rolled back,
//!   and fenced off first: of the fence and the configuration, one is there.

use crate::bucket::bucket_of;
use crate::change::Change;
use crate::id::OwnerId;
use crate::record::{BucketRow, BucketState, ConfigRow};
use crate::setting::{Setting, SettingKind};
use crate::store::BucketCounts;
use crate::transact::Attempt;
use crate::{
    BucketAcl, BucketInfo, BucketName, Error, ListWish, ObjectOwnership, ObjectStore, OwnershipControls,
    Result, Versioning, tables,
};
use bytes::Bytes;
use engine::catalog::record::Record;
use engine::catalog::{Key, Write};
use engine::id::PartitionId;
use security::AccountId;

/// Most buckets of an account.
pub const BUCKETS_MAX: usize = 10_000;

/// What a bucket has when it comes to be.
#[derive(Clone, Debug, Default)]
pub struct NewBucket {
    /// `None` for the appliance's account.
    owner: Option<AccountId>,
    versioning: Versioning,
    settings: Vec<(SettingKind, Bytes)>,
}

impl NewBucket {
    /// One that keeps versions or does not.
    pub const fn new(versioning: Versioning) -> Self {
        Self { owner: None, versioning, settings: Vec::new() }
    }

    /// One of this account, without versions.
    pub const fn of(owner: AccountId) -> Self {
        Self::new(Versioning::Off).owned_by(owner)
    }

    /// Of this account.
    #[must_use]
    pub const fn owned_by(mut self, owner: AccountId) -> Self {
        self.owner = Some(owner);
        self
    }

    /// With ownership controls and an access list; after its owner is said. A list that grants anything to others needs
    /// controls under which lists mean something.
    pub fn with_access(mut self, ownership: ObjectOwnership, wish: &ListWish) -> Result<Self> {
        let Some(owner) = self.owner else {
            return Err(Error::InvalidRequest {
                detail: "an access list for a bucket whose owner is not said",
            });
        };
        let list = wish.of_bucket(owner);
        let enforced = ownership == ObjectOwnership::BucketOwnerEnforced;
        if enforced && list.names_others_than(owner) {
            return Err(Error::AccessListInTheWay);
        }
        if !enforced {
            self = self.with(OwnershipControls::Rule(ownership))?;
        }
        if list.is_private(owner.into()) { Ok(self) } else { self.with(BucketAcl(list)) }
    }

    /// With this set, each kind once.
    pub fn with<S: Setting>(mut self, value: S) -> Result<Self> {
        if let Some(value) = S::follow(Some(value), None, self.versioning)? {
            self.settings.push((S::KIND, value.to_bytes()));
        }
        Ok(self)
    }

    fn writes(&self) -> Vec<Write> {
        let revision = u64::from(!self.settings.is_empty());
        let config = ConfigRow { versioning: self.versioning, revision };
        let settings =
            self.settings.iter().map(|(kind, raw)| Write::Put(tables::setting(*kind, ""), raw.clone()));
        let mut writes = vec![Write::Put(tables::only(tables::CONFIG), config.to_bytes())];
        writes.extend(settings);
        writes
    }
}

/// What stands in a partition whose bucket may not come to be any more. It goes as the fences of copies do.
fn fence(partition: PartitionId) -> Key {
    let mut id = [0; 16];
    id[..8].copy_from_slice(partition.as_bytes());
    tables::of_owner(tables::FENCES, OwnerId::from_bytes(id))
}

/// A commit under way by which the number of an account's buckets changes. Where nobody says how it ended, for an answer that never
/// came or a client that went away, all buckets are to be counted again.
pub(crate) struct Counting<'a> {
    store: &'a ObjectStore,
    account: [u8; 8],
    settled: bool,
}

impl Counting<'_> {
    /// There are so many more.
    pub(crate) fn settle(mut self, by: isize) {
        self.settled = true;
        if let Some(counts) = &mut *self.store.bucket_counts.lock() {
            let count = counts.entry(self.account).or_default();
            *count = count.saturating_add_signed(by);
        }
    }
}

impl Drop for Counting<'_> {
    fn drop(&mut self) {
        if !self.settled {
            *self.store.bucket_counts.lock() = None;
        }
    }
}

impl ObjectStore {
    /// Creates a bucket.
    pub async fn create_bucket(&self, name: &BucketName, new: &NewBucket) -> Result<BucketInfo> {
        let _changing = self.change(name)?;
        let owner = new.owner.unwrap_or(self.account);
        // Bodies in it will be sealed by a key of its account.
        self.keys.prepare(owner).await?;
        self.transact(|| async {
            let root = self.catalog.snapshot(PartitionId::ROOT).await?;
            if let Some(row) = self.bucket_row(&*root, name).await? {
                // Left half done by a crash: settle it first, then look again.
                if row.state != BucketState::Active {
                    self.settle(name, row).await?;
                    return Ok(Attempt::Again);
                }
                let mine = row.account == owner.to_bytes();
                return Err(if mine { Error::BucketAlreadyOwnedByYou } else { Error::BucketAlreadyExists });
            }
            self.refuse_too_many(owner).await?;
            let row = BucketRow {
                partition: PartitionId::random(&*self.entropy),
                state: BucketState::Creating,
                created: self.clock.now(),
                account: owner.to_bytes(),
            };
            let key = tables::bucket(tables::BUCKETS, name);
            let intent = tables::bucket(tables::BUCKET_INTENTS, name);
            let change = Change::default().absent(key.clone()).put(key, row.to_bytes());
            let change = change.put(intent, tables::PRESENT).at(PartitionId::ROOT, &*root);
            let counting = self.counting(row.account);
            let named = self.try_commit(change).await?;
            counting.settle(isize::from(named));
            if !named || !self.found_bucket(row.partition, new).await? {
                return Ok(Attempt::Again);
            }
            self.set_state(name, row.partition, Some(BucketState::Active)).await?;
            self.remember(name, bucket_of(&row)?);
            Ok(Attempt::Answer(BucketInfo { name: name.clone(), created: row.created, owner }))
        })
        .await
    }

    /// Refuses an account's bucket beyond the last.
    async fn refuse_too_many(&self, owner: AccountId) -> Result<()> {
        let of_owner = |counts: &BucketCounts| counts.get(&owner.to_bytes()).copied().unwrap_or_default();
        let kept = self.bucket_counts.lock().as_ref().map(of_owner);
        let count = if let Some(count) = kept {
            count
        } else {
            let counted = self.partitions().await?.1;
            of_owner(self.bucket_counts.lock().insert(counted))
        };
        if count >= BUCKETS_MAX { Err(Error::TooManyBuckets { limit: BUCKETS_MAX }) } else { Ok(()) }
    }

    /// Before a commit by which an account gets a bucket more, or one less.
    pub(crate) const fn counting(&self, account: [u8; 8]) -> Counting<'_> {
        Counting { store: self, account, settled: false }
    }

    /// The commit that makes a bucket exist. `false`: somebody took us for dead and fenced it off.
    async fn found_bucket(&self, partition: PartitionId, new: &NewBucket) -> Result<bool> {
        let snapshot = self.catalog.snapshot(partition).await?;
        let change =
            Change::writes(new.writes()).absent(tables::only(tables::CONFIG)).absent(fence(partition));
        self.try_commit(change.at(partition, &*snapshot)).await
    }

    /// Ends a creation that a crash cut short: the bucket is there, or can never come to be and its name is free.
    pub(crate) async fn settle_creation(&self, name: &BucketName, partition: PartitionId) -> Result<()> {
        let snapshot = self.catalog.snapshot(partition).await?;
        let now = self.clock.now().as_millis().to_be_bytes();
        let change = Change::default().absent(tables::only(tables::CONFIG));
        let change = change.put(fence(partition), Bytes::copy_from_slice(&now)).freeing();
        let fenced = self.try_commit(change.at(partition, &*snapshot)).await?;
        self.set_state(name, partition, (!fenced).then_some(BucketState::Active)).await?;
        self.mark_dirty(partition);
        Ok(())
    }
}
