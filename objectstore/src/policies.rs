//! Which partitions have a policy, in memory: where there is none, what the root of the bucket's account asks is decided without a look
//! at the catalog.
//!
//! ```text
//!   a policy is set       turn ─► root: mark, unless there is one ─► in memory ─► the bucket's commit
//!   it is removed         turn ─► the bucket's commit ─► out of memory ─► root: no mark
//!   the store is opened   marks ─► the policies' own rows ─► in memory, or no mark
//! ```
//!
//! # Invariants
//! - A partition with a policy is marked and in memory from before the policy's commit until after the commit that removes it. So one that
//!   was acknowledged holds for every request that comes later, whoever else changes the bucket meanwhile: changes take turns.
//! - One that is in memory may have none, after a commit that failed or whose outcome is not known: its requests look at its rows.
//! - A catalog in which there is a mark is one that no firn opens which knows of no policies ([`Layout`](engine::catalog::Layout)): it would
//!   show what they deny.
//! - Marks are by partition. Those are never used twice, so a bucket that takes a deleted one's name has nothing of it.
//!
//! Limits: 8 bytes in memory for each partition with a policy.
//!
//! A crash leaves a mark that stands for nothing at the most; the next start takes it away.

use crate::setting::{BucketPolicy, SettingKind};
use crate::store::Bucket;
use crate::{BucketName, ObjectStore, Result, tables};
use engine::catalog::Commit;
use engine::id::PartitionId;
use parking_lot::RwLock;
use security::Principal;
use std::collections::HashSet;
use tokio::sync::{Mutex, MutexGuard};

/// Partitions that have a policy, or may have one.
#[derive(Default)]
pub(crate) struct Policies {
    partitions: RwLock<HashSet<PartitionId>>,
    /// Whoever sets or removes a policy holds it until memory knows.
    changing: Mutex<()>,
}

impl Policies {
    fn may_be_in(&self, partition: PartitionId) -> bool {
        self.partitions.read().contains(&partition)
    }
}

/// The turn of a change of a policy.
pub(crate) struct Turn<'s> {
    store: &'s ObjectStore,
    partition: PartitionId,
    removes: bool,
    _changing: MutexGuard<'s, ()>,
}

impl Turn<'_> {
    /// The change's commit came through.
    pub(crate) async fn done(self) {
        if self.removes
            && let Err(error) = self.store.no_policy_in(self.partition).await
        {
            // The next start finds that the mark stands for nothing.
            tracing::warn!(partition = %self.partition, %error, "failed to forget that a bucket had a policy");
        }
    }
}

impl ObjectStore {
    /// The turn of whoever is about to change the policy of a partition. Where one is set, every request from now on looks for it.
    pub(crate) async fn turn(&self, partition: PartitionId, removes: bool) -> Result<Turn<'_>> {
        let changing = self.policies.changing.lock().await;
        if !removes && !self.policies.may_be_in(partition) {
            self.mark(SettingKind::Policy, &partition.to_string(), true).await?;
            self.policies.partitions.write().insert(partition);
        }
        Ok(Turn { store: self, partition, removes, _changing: changing })
    }

    async fn no_policy_in(&self, partition: PartitionId) -> Result<()> {
        if !self.policies.partitions.write().remove(&partition) {
            return Ok(());
        }
        self.mark(SettingKind::Policy, &partition.to_string(), false).await
    }

    /// A bucket is gone, and its policy with it.
    pub(crate) async fn forget_policy(&self, partition: PartitionId) -> Result<()> {
        if !self.policies.may_be_in(partition) {
            return Ok(());
        }
        let _changing = self.policies.changing.lock().await;
        self.no_policy_in(partition).await
    }

    /// Learns which partitions have a policy. Before anybody asks for one.
    pub(crate) async fn find_policies(&self) -> Result<()> {
        let mut found = false;
        for mark in self.marks(SettingKind::Policy).await? {
            let partition: PartitionId = mark.parse()?;
            let snapshot = self.catalog.snapshot(partition).await?;
            if snapshot.get(tables::setting(SettingKind::Policy, "")).await?.is_some() {
                self.policies.partitions.write().insert(partition);
                found = true;
            } else {
                // A crash came between the mark and the policy, or between the policy's end and the mark's.
                self.mark(SettingKind::Policy, &mark, false).await?;
            }
        }
        if found {
            // They may have been brought here by something that did not say so. It changes no row, so that the marker alone says it: the
            // log that is shipped says it from the next policy's commit on, and a base of a backup from now on.
            let root = self.catalog.snapshot(PartitionId::ROOT).await?;
            let layout = SettingKind::Policy.layout();
            let commit = Commit { layout, ..Commit::new(PartitionId::ROOT, root.read_version()) };
            match self.catalog.commit(commit).await {
                Ok(_) => {}
                // A start must serve reads and deletes from a full disk: the next one says it.
                Err(error @ engine::Error::Full { .. }) => {
                    tracing::warn!(%error, "failed to mark the catalog as one with policies");
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Whether everything is allowed to whoever asks, as far as memory knows: to the root of the bucket's account, where there is no policy.
    pub(crate) fn is_free(&self, bucket: Bucket, principal: &Principal) -> bool {
        principal.is_root_of(bucket.account) && !self.policies.may_be_in(bucket.partition)
    }

    /// Whether a bucket has a policy. Costs nothing where it has none and the bucket is known.
    pub async fn has_policy(&self, name: &BucketName) -> Result<bool> {
        match name.bound().or_else(|| self.remembered(name)) {
            Some(bucket) if !self.policies.may_be_in(bucket.partition) => Ok(false),
            _ => Ok(self.setting::<BucketPolicy>(name).await?.is_some()),
        }
    }
}
