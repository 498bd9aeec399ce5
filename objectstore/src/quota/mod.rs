//! Quotas: a write that would store more than a bucket or prefix may hold is refused, and its owner is warned before.
//!
//! ```text
//!   write ─► the version's row, the counters' Adds, a check that they stay within the limit ─► one commit        charge
//!   set   ─► a bucket's own counters are always there; those of a prefix are counted in batches                  count
//!   look  ─► counters against limits ─► status, doctor, metrics, a line in the log                               watch
//! ```
//! Only buckets that have quotas pay for them. The limit is checked where commits are put in order
//! ([`Check::AtMost`](engine::catalog::Check::AtMost)), so parallel writers neither overshoot it nor wait for one another.
//!
//! # What is counted
//! Bytes, as clients see them, and number of all versions that have a body: current, noncurrent and null ones. Delete markers have
//! neither. An upload counts when it is completed; its parts don't, but none is taken that would not fit beside the others that the same
//! upload has. What adds nothing (deletes, overwriting with as much or less) is never refused.
//!
//! # Invariants
//! - A quota is enforced from the commit on by which it is counted, which for a bucket's own is the one that sets it.
//! - Counters change in the commits that change what they count, and go with their quota.
//!
//! # What a crash leaves
//! What was committed: how far a prefix is counted stands beside its counters, and counting goes on from there.

mod charge;
mod count;
mod watch;

#[cfg(test)]
pub(crate) use count::BATCH;

pub(crate) use charge::{Charge, Claims, Delta, OtherParts, charge};
pub(crate) use watch::Watch;
pub use watch::{KnownQuotas, QuotaCounts, QuotaLevel};

use crate::change::Change;
use crate::setting::{Column, Counting, Quota, QuotaLimits, QuotaUnit, Quotas};
use crate::store::View;
use crate::{BucketName, BucketUsage, Error, ObjectStore, Result, tables};
use engine::catalog::{Key, Snapshot, Write};
use engine::unit::ByteCount;
use std::sync::Arc;

/// Steps of counting that setting a quota takes itself: what is small is enforced when it answers.
const STEPS_AT_ONCE: usize = 9;
const UNITS: [QuotaUnit; 2] = [QuotaUnit::Bytes, QuotaUnit::Objects];

/// A quota, and what counts against it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuotaInfo {
    /// Whose.
    pub bucket: BucketName,
    /// Of keys that begin with it; empty for the whole bucket.
    pub prefix: String,
    /// How much may be stored.
    pub limits: QuotaLimits,
    /// How much is; `None` while it is being counted, and not enforced.
    pub usage: Option<BucketUsage>,
}

/// The row of one of a quota's counters.
fn counter(id: u32, unit: QuotaUnit, column: Column) -> Key {
    match (id, unit) {
        (0, QuotaUnit::Bytes) => tables::only(tables::BYTE_COUNT),
        (0, QuotaUnit::Objects) => tables::only(tables::VERSION_COUNT),
        _ => tables::quota(id, unit, column),
    }
}

/// The counters of a column, bytes first, as they stand in a snapshot.
async fn counters(snapshot: &dyn Snapshot, id: u32, column: Column) -> Result<[i64; 2]> {
    let found = snapshot.multi_get(UNITS.map(|unit| counter(id, unit, column)).to_vec()).await?;
    let number = |at: usize| tables::stands_at(found.get(at).and_then(Option::as_ref));
    Ok([number(0)?, number(1)?])
}

/// What counts against a quota that is counted.
async fn usage(snapshot: &dyn Snapshot, quota: &Quota) -> Result<BucketUsage> {
    let counted = counters(snapshot, quota.id, Column::Counted).await?;
    let [bytes, versions] = counted.map(|number| u64::try_from(number).unwrap_or(0));
    Ok(BucketUsage { versions, bytes: ByteCount::new(bytes) })
}

impl ObjectStore {
    /// The quotas that hold at a view.
    pub(crate) async fn quotas_at(&self, view: &View) -> Result<Option<Arc<Quotas>>> {
        self.setting_at(view).await
    }

    /// Limits what is stored below a prefix, or with an empty one in the bucket. One that is there is replaced.
    pub async fn set_quota(
        &self,
        bucket: &BucketName,
        prefix: &str,
        limits: QuotaLimits,
    ) -> Result<QuotaInfo> {
        self.change_quotas(bucket, |quotas| Ok((quotas.with(prefix, limits)?, Vec::new()))).await?;
        self.watch.add(bucket);
        // Before the first step: if this call is cut off, the worker counts on.
        self.watch.count(bucket);
        let mut steps = 0;
        while steps < STEPS_AT_ONCE && self.count_step(bucket).await? {
            steps += 1;
        }
        let quotas = self.bucket_quotas(bucket).await?;
        quotas.into_iter().find(|quota| quota.prefix == prefix).ok_or(Error::NoSuchQuota)
    }

    /// Takes a quota away, with its counters.
    pub async fn remove_quota(&self, bucket: &BucketName, prefix: &str) -> Result<()> {
        self.change_quotas(bucket, |quotas| {
            let mut left = quotas.clone();
            let at = left.0.iter().position(|quota| quota.prefix == prefix).ok_or(Error::NoSuchQuota)?;
            let Quota { id, .. } = left.0.remove(at);
            let own = |column| UNITS.map(|unit| Write::Delete(counter(id, unit, column)));
            // A bucket's own counters are there whether it has a quota or not.
            let columns = if id == 0 { vec![] } else { vec![Column::Counted, Column::Aside] };
            Ok((left, columns.into_iter().flat_map(own).collect()))
        })
        .await
    }

    async fn change_quotas(
        &self,
        bucket: &BucketName,
        change: impl Fn(&Quotas) -> Result<(Quotas, Vec<Write>)> + Send + Sync,
    ) -> Result<()> {
        self.transact(|| async {
            let view = self.view(bucket).await?;
            let quotas = self.quotas_at(&view).await?.unwrap_or_default();
            let (changed, writes) = change(&quotas)?;
            let changed = Some(&changed).filter(|quotas| !quotas.0.is_empty());
            self.try_set_with(&view, changed, Change::writes(writes)).await
        })
        .await
    }

    /// A bucket's quotas, in the order of their prefixes.
    pub async fn bucket_quotas(&self, bucket: &BucketName) -> Result<Vec<QuotaInfo>> {
        let view = self.view(bucket).await?;
        let mut found = Vec::new();
        for quota in &self.quotas_at(&view).await?.unwrap_or_default().0 {
            let usage = match quota.counting {
                Counting::Done => Some(usage(&*view.snapshot, quota).await?),
                _ => None,
            };
            let (prefix, limits) = (quota.prefix.clone(), quota.limits);
            found.push(QuotaInfo { bucket: bucket.unbound(), prefix, limits, usage });
        }
        Ok(found)
    }
}
