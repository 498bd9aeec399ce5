//! Lifecycle rules: what they match expires when its time has come, by a worker, a commit for each deed.
//!
//! ```text
//!   set_lifecycle ─► root: mark ─► bucket: SETTINGS (kind), and a walk ─► bell
//!   write ─► its own commit puts rows of DUE ┐
//!   walk  ─► what was there before           ┴─► worker: rows up to now ─► the key judged ─► deed, in one commit ─► the next row
//!   preview, explain, x-amz-expiration ─► the same judgement
//! ```
//!
//! # Invariants
//! - Whoever judges asks [`judge`]: nothing else knows what rules mean.
//! - Rows of `DUE` are hints that are never late ([`index`]); a deed's commit checks all it was decided by ([`act`]).
//! - A bucket on which nothing was ever set costs nothing; one with rules a row or two a write.
//!
//! # Limits
//! [`LIFECYCLE_RULES_MAX`](crate::LIFECYCLE_RULES_MAX) rules; each step is bounded. docs/adr/0025 has the reasons.

mod act;
mod calendar;
mod damage;
mod explain;
mod index;
mod judge;
mod keys;
mod preview;
mod run;
mod simulate;
mod walk;

pub use act::LifecycleRun;
pub use damage::LifecycleDamage;
pub use explain::{LifecycleExplained, LifecyclePlace, LifecycleVerdict, VersionExplained};
pub use index::Expiry;
pub use judge::{LifecycleAct, LifecycleHold, LifecycleWhyNot};
pub(crate) use keys::Versions;
pub use preview::{LifecyclePreview, PreviewAfter, PreviewRow};
pub(crate) use run::Turns;
#[cfg(test)]
pub(crate) use walk::{Phase, Walk};

use crate::change::Change;
use crate::{BucketName, Error, ErrorKind, Lifecycle, ObjectStore, Result, SettingKind, tables};
use engine::catalog::{Layout, Scan};
use engine::clock::Timestamp;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::sync::Notify;

/// What is known of lifecycles in this process.
#[derive(Default)]
pub(crate) struct Lifecycles {
    /// Rung when rules changed.
    pub(crate) bell: Arc<Notify>,
    /// Whoever sets rules holds it from the mark to the setting, whoever takes a mark away from the look to the end.
    changing: tokio::sync::Mutex<()>,
    /// Of which buckets.
    changed: Mutex<BTreeSet<BucketName>>,
    /// Rules that can't be read.
    damaged: Mutex<BTreeMap<BucketName, LifecycleDamage>>,
}

impl Lifecycles {
    fn ring(&self, bucket: &BucketName) {
        self.changed.lock().insert(bucket.unbound());
        self.bell.notify_one();
    }

    /// Buckets whose rules changed since the last call.
    fn take_changed(&self) -> BTreeSet<BucketName> {
        std::mem::take(&mut *self.changed.lock())
    }
}

/// How a bucket's rules stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LifecycleState {
    /// The rules; `None` where none are set.
    pub rules: Option<Lifecycle>,
    /// Versions and uploads that were brought into the index since rules were last set that ask for it.
    pub walked: u64,
    /// Since when what was there before the rules is being brought into the index; `None` when all is.
    pub walking_since: Option<Timestamp>,
}

/// Damaged is as good as not there.
pub(crate) fn unread<T>(error: Error) -> Result<Option<T>> {
    if error.kind() == ErrorKind::Corrupt { Ok(None) } else { Err(error) }
}

impl ObjectStore {
    /// Sets a bucket's rules, or removes them with `None`.
    pub async fn set_lifecycle(&self, name: &BucketName, value: Option<&Lifecycle>) -> Result<()> {
        let bound = name.bound_to(self.view(name).await?.bucket);
        let _changing = self.lifecycles.changing.lock().await;
        if value.is_some() {
            self.mark(SettingKind::Lifecycle, name.as_str(), true).await?;
        }
        self.transact(|| async {
            let view = self.view(&bound).await?;
            // What can't be read any more can be replaced.
            let before = self.readable_lifecycle(&view).await?;
            let walks = value.is_some_and(|new| new.adds_to(before.as_deref()));
            let mut beside = Change::writes(walks.then(|| walk::Walk::begin(self.clock.now())));
            if value.is_some_and(Lifecycle::moves) {
                beside = beside.known_by(Layout::CLASSES);
            }
            self.try_replace_named(&view, "", beside, value).await
        })
        .await?;
        self.lifecycles.well(name);
        self.lifecycles.ring(name);
        Ok(())
    }

    /// A bucket's rules, and how far what was there before them is known.
    pub async fn lifecycle_state(&self, name: &BucketName) -> Result<LifecycleState> {
        let view = self.view(name).await?;
        let rules = self.lifecycle_at(&view).await?.map(|rules| (*rules).clone());
        let walk = self.walk_at(&view).await?;
        let walking = walk.as_ref().filter(|walk| walk.phase != walk::Phase::Done && rules.is_some());
        Ok(LifecycleState {
            walked: walk.as_ref().map_or(0, |walk| walk.seen),
            walking_since: walking.map(|walk| walk.begun),
            rules,
        })
    }

    /// Takes the mark away where nothing stands behind it: the bucket is gone, or its rules and all that is left of their index.
    pub(crate) async fn unmark_lifecycle(&self, name: &BucketName) -> Result<()> {
        let _changing = self.lifecycles.changing.lock().await;
        // Whichever bucket has the name by now: marks go by names.
        let any = match self.view(&name.unbound()).await {
            Ok(view) => {
                self.lifecycle_at(&view).await?.is_some()
                    || !view.snapshot.scan(Scan::prefix(tables::DUE, b"", 1)).await?.rows.is_empty()
            }
            Err(Error::NoSuchBucket) => false,
            Err(error) => return Err(error),
        };
        if any {
            return Ok(());
        }
        self.lifecycles.well(name);
        self.mark(SettingKind::Lifecycle, name.as_str(), false).await
    }
}
