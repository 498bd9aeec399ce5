//! What is set on a bucket besides versioning: tags, and each further sub-resource in a module of its own.
//!
//! ```text
//!   set     CONFIG: revision + 1 ┐
//!           SETTINGS: kind → row ┴─ one commit
//!   read    CONFIG's revision ─► the decoded value that is in memory for it, else the row
//! ```
//!
//! # Invariants
//! - Every change of a setting changes the `CONFIG` row, which every writer checks: a write is decided by the settings that hold
//!   when it commits.
//! - Revision 0 says that nothing was ever set: such a bucket costs no look-up.
//! - A policy is looked for where memory says that one may be: see [`policies`](crate::policies).
//! - Partitions are never used twice and revisions only grow, so what is in memory for both is right for ever.
//!
//! Limits: one row a setting, 64 KiB at the most, as the catalog has it. What is decoded is kept as far as [`cache`] has it.

mod access_list;
mod cache;
mod cors;
mod deduplication;
mod encryption;
mod inventory;
mod lifecycle;
mod lock;
mod logging;
mod marks;
mod notification;
mod ownership;
mod payment;
mod policy;
mod public_access;
mod quota;
mod tags;
mod website;

pub use access_list::BucketAcl;
pub(crate) use cache::Settings;
use cache::{DECODED_BYTES, Decoded};
pub use cors::{CORS_RULES_MAX, Cors, CorsMatch, CorsMethod, CorsRule};
pub(crate) use deduplication::Deduplication;
pub use encryption::{DefaultKey, Encryption};
pub use inventory::{INVENTORIES_MAX, Inventory, InventoryField, InventoryFrequency, InventoryVersions};
pub use lifecycle::{
    LIFECYCLE_RULES_MAX, Lifecycle, LifecycleExpiration, LifecycleFilter, LifecycleForm, LifecycleRule,
    NEWER_NONCURRENT_MAX, NoncurrentExpiration, NoncurrentTransition, Transition, TransitionMinimum,
    TransitionWhen,
};
pub use lock::ObjectLock;
pub use logging::{BucketLogging, LOG_PREFIX_BYTES_MAX, LogKeyFormat, PartitionDate};
pub use notification::{NOTIFICATION_RULES_MAX, Notification, NotificationRule};
pub use ownership::{ObjectOwnership, OwnershipControls};
pub use payment::RequestPayment;
pub use policy::{BUCKET_POLICY_BYTES_MAX, BucketPolicy};
pub use public_access::PublicAccessBlock;
pub(crate) use quota::{Column, Counting, Quota, Quotas};
pub use quota::{QUOTAS_MAX, QuotaLimits, QuotaUnit};
pub use tags::BucketTags;
pub use website::{
    KeyChange, ROUTING_RULES_MAX, Redirect, RoutingCondition, RoutingRedirect, RoutingRule, WebProtocol,
    Website,
};

use crate::change::Change;
use crate::record::ConfigRow;
use crate::store::View;
use crate::transact::Attempt;
use crate::{BucketName, Error, ObjectStore, Result, Versioning, tables};
use bytes::Bytes;
use engine::catalog::record::Record;
use engine::catalog::{Layout, Scan, Snapshot, Write};
use std::any::Any;
use std::sync::Arc;

/// Which setting; its number is part of the format (docs/formats/objectstore-rows.md).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SettingKind {
    /// [`BucketTags`].
    Tags,
    /// [`Cors`].
    Cors,
    /// [`Website`].
    Website,
    /// [`Encryption`].
    Encryption,
    /// [`RequestPayment`].
    RequestPayment,
    /// [`ObjectLock`].
    ObjectLock,
    /// [`OwnershipControls`].
    Ownership,
    /// [`BucketAcl`].
    AccessList,
    /// [`PublicAccessBlock`].
    PublicAccessBlock,
    /// [`BucketLogging`].
    Logging,
    /// [`Notification`].
    Notification,
    /// [`Inventory`], by its id.
    Inventory,
    /// Quotas: see [`ObjectStore::set_quota`].
    Quotas,
    /// Deduplication: see [`ObjectStore::set_deduplication`].
    Deduplication,
    /// [`BucketPolicy`].
    Policy,
    /// [`Lifecycle`].
    Lifecycle,
}

impl SettingKind {
    pub(crate) const fn tag(self) -> u8 {
        match self {
            Self::Tags => 1,
            Self::Cors => 2,
            Self::Website => 3,
            Self::Encryption => 4,
            Self::RequestPayment => 5,
            Self::ObjectLock => 9,
            Self::Ownership => 6,
            Self::AccessList => 7,
            Self::PublicAccessBlock => 8,
            Self::Logging => 10,
            Self::Notification => 11,
            Self::Inventory => 12,
            Self::Quotas => 13,
            Self::Deduplication => 14,
            Self::Policy => 15,
            Self::Lifecycle => 16,
        }
    }

    /// What whoever reads a bucket must know of, where it has such a setting.
    pub(crate) const fn layout(self) -> Layout {
        match self {
            Self::Policy => Layout::POLICIES,
            Self::Lifecycle => Layout::LIFECYCLES,
            _ => Layout::FIRST,
        }
    }
}

/// Something that is set on a bucket, once, and kept as a row.
pub trait Setting: Record + Send + Sync + 'static {
    /// Which.
    const KIND: SettingKind;

    /// Whether `new` may take the place of `old` in a bucket of this versioning (`None`: not set), and what it then is: what a
    /// request can't say is carried over from `old`. Asked of what is there when the change commits.
    fn follow(new: Option<Self>, _old: Option<&Self>, _versioning: Versioning) -> Result<Option<Self>> {
        Ok(new)
    }

    /// What whoever reads a bucket must know of, where it is set so.
    fn layout(&self) -> Layout {
        Self::KIND.layout()
    }

    /// Bytes that it takes in memory, about; `row` of them are on disk.
    fn memory_bytes(&self, row: usize) -> usize {
        row * DECODED_BYTES
    }
}

/// Deletes of all settings of a bucket that goes.
pub(crate) async fn all(snapshot: &dyn Snapshot) -> Result<Vec<Write>> {
    let mut writes = Vec::new();
    let mut next = Some(Scan { keys_only: true, ..Scan::prefix(tables::SETTINGS, b"", 1000) });
    while let Some(scan) = next {
        let page = snapshot.scan(scan.clone()).await?;
        writes.extend(page.rows.iter().map(|(key, _)| Write::Delete(tables::SETTINGS.key(key.clone()))));
        next = scan.behind(&page);
    }
    Ok(writes)
}

impl ObjectStore {
    /// A setting of a bucket; `None` where it is not set.
    pub async fn setting<S: Setting>(&self, bucket: &BucketName) -> Result<Option<Arc<S>>> {
        self.setting_at(&self.view(bucket).await?).await
    }

    /// The same, at the version of a view.
    pub(crate) async fn setting_at<S: Setting>(&self, view: &View) -> Result<Option<Arc<S>>> {
        if view.config.revision == 0 {
            return Ok(None);
        }
        let decoded = if let Some(known) = self.settings.get(view, S::KIND) {
            known
        } else {
            let row = view.snapshot.get(tables::setting(S::KIND, "")).await?;
            let value = row.as_deref().map(S::from_bytes).transpose()?;
            let bytes = value.as_ref().zip(row).map_or(0, |(value, row)| value.memory_bytes(row.len()));
            let decoded: Decoded = value.map(|value| Arc::new(value) as Arc<dyn Any + Send + Sync>);
            self.settings.put(view, S::KIND, (decoded.clone(), bytes));
            decoded
        };
        // A kind stands for one type.
        Ok(decoded.and_then(|value| value.downcast::<S>().ok()))
    }

    /// Sets it, or removes it with `None`. Removing what is not set is a success.
    pub async fn set<S: Setting + Clone>(&self, bucket: &BucketName, value: Option<&S>) -> Result<()> {
        self.transact(|| async { self.try_set(&self.view(bucket).await?, value).await }).await
    }

    /// One attempt, decided by what a view shows: there is nothing to answer but that it is done.
    pub(crate) async fn try_set<S: Setting + Clone>(
        &self,
        view: &View,
        value: Option<&S>,
    ) -> Result<Attempt<()>> {
        self.try_set_with(view, value, Change::default()).await
    }

    /// The same, with what else the commit does.
    pub(crate) async fn try_set_with<S: Setting + Clone>(
        &self,
        view: &View,
        value: Option<&S>,
        beside: Change,
    ) -> Result<Attempt<()>> {
        self.try_change(view, beside, |old: Option<S>| {
            S::follow(value.cloned(), old.as_ref(), view.config.versioning)
        })
        .await
    }

    /// The same for a change that no request can ask for: `change` makes the new value of the old one.
    pub(crate) async fn try_change<S: Setting>(
        &self,
        view: &View,
        beside: Change,
        change: impl FnOnce(Option<S>) -> Result<Option<S>> + Send,
    ) -> Result<Attempt<()>> {
        let stored = view.snapshot.get(tables::setting(S::KIND, "")).await?;
        let old = stored.as_deref().map(S::from_bytes).transpose()?;
        let new = change(old)?;
        let beside = new.iter().fold(beside, |beside, new| beside.known_by(new.layout()));
        let raw = new.map(|new| new.to_bytes());
        self.try_write(view, (S::KIND, ""), (stored, raw), beside).await
    }

    /// The same of a setting of which there can be several, whatever was there: also where that can't be read.
    pub(crate) async fn try_replace_named<S: Setting>(
        &self,
        view: &View,
        name: &str,
        beside: Change,
        new: Option<&S>,
    ) -> Result<Attempt<()>> {
        let stored = view.snapshot.get(tables::setting(S::KIND, name)).await?;
        self.try_write(view, (S::KIND, name), (stored, new.map(Record::to_bytes)), beside).await
    }

    async fn try_write(
        &self,
        view: &View,
        (kind, name): (SettingKind, &str),
        (stored, raw): (Option<Bytes>, Option<Bytes>),
        beside: Change,
    ) -> Result<Attempt<()>> {
        let row = tables::setting(kind, name);
        if stored == raw && beside.writes.is_empty() && beside.posted.is_empty() {
            return Ok(Attempt::Answer(()));
        }
        let (size, limit) = (raw.as_ref().map_or(0, Bytes::len), self.catalog.limits().value_bytes);
        if size > limit {
            let detail = format!("The configuration takes {size} bytes; it can have {limit} at the most.");
            return Err(Error::InvalidSetting { detail });
        }
        let changed = ConfigRow { revision: view.config.revision + 1, ..view.config };
        let removes = raw.is_none();
        let turn = match kind {
            SettingKind::Policy => Some(self.turn(view.bucket.partition, removes).await?),
            _ => None,
        };
        let change = beside.configured().put(tables::only(tables::CONFIG), changed.to_bytes());
        let change = match raw {
            Some(raw) => change.put(row, raw),
            None => change.delete(row),
        };
        let done = self.try_commit(change.known_by(kind.layout()).of(view)).await?;
        if done && let Some(turn) = turn {
            turn.done().await;
        }
        Ok(Attempt::won(done, ()))
    }
}

#[cfg(test)]
mod tests;
