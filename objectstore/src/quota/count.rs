//! Counting what is below a prefix already, in batches, while writers go on.
//!
//! ```text
//!   Between(a) ─ claim (a, b] ─► Claimed(a, b) ─ sum (a, b] ─► Between(b) … ─► Claimed(z, end) ─► Folding ─► Done
//!                  fold aside      writers of (a, b] add            fold aside                       fold aside
//!                                  to `aside`
//! ```
//! A writer adds to the counters when its key is counted, to those aside when its key is in the claim, and to none when it is behind
//! both. Which of them holds stands in the bucket's settings, which every writer's commit checks: nobody adds by a state that is
//! past. At a snapshot where (a, b] sums up to S and the counters aside stand at D, the claim began at S − D; so the commit that
//! adds S − D to the counters makes counters and aside together right, at whatever D is by then. After it nobody adds aside any
//! more, and the next commit moves what stands there.
//!
//! # Limits
//! A claim is of [`BATCH`] versions as they were found when it was made, or of all versions of one key. Each step changes the
//! bucket's configuration: writers under way read it again, once.
//!
//! # What a crash leaves
//! One of the states, with the counters as it says.

use super::{UNITS, counter, counters};
use crate::change::Change;
use crate::list::{bound, bound_end};
use crate::record::ObjectRow;
use crate::setting::{Column, Counting, Quota};
use crate::{BucketName, Error, ObjectKey, ObjectStore, Result, tables};
use engine::catalog::record::Record;
use engine::catalog::{Scan, Snapshot, Write, prefix_end};

/// Versions of a claim.
#[cfg(not(test))]
const BATCH: usize = 4_096;
/// Small, so that tests have several.
#[cfg(test)]
pub(crate) const BATCH: usize = 5;

/// All versions of the keys below the quota's prefix that come after `after` (empty: all), up to `to`.
fn versions(quota: &Quota, after: &str, to: Option<&str>) -> Result<Scan> {
    let mut scan = Scan::prefix(tables::VERSIONS, b"", BATCH);
    scan.start = if after.is_empty() {
        bound(quota.prefix.as_bytes())
    } else {
        prefix_end(&tables::versions_of(&ObjectKey::parse(after)?))
    };
    scan.end = match to {
        Some(to) => prefix_end(&tables::versions_of(&ObjectKey::parse(to)?)),
        None => bound_end(&quota.prefix),
    };
    Ok(scan)
}

/// Moves what stands aside to the counters. Nobody adds aside in the state that this is a step from.
async fn fold(snapshot: &dyn Snapshot, quota: &Quota) -> Result<Vec<Write>> {
    let aside = counters(snapshot, quota.id, Column::Aside).await?;
    Ok(UNITS
        .into_iter()
        .zip(aside)
        .flat_map(|(unit, aside)| {
            [
                Write::Add(counter(quota.id, unit, Column::Counted), aside),
                Write::Delete(counter(quota.id, unit, Column::Aside)),
            ]
        })
        .collect())
}

/// Bytes and number of the versions in a claim.
async fn sum(snapshot: &dyn Snapshot, scan: Scan) -> Result<[i64; 2]> {
    let mut sums = [0; 2];
    let mut next = Some(scan);
    while let Some(scan) = next {
        let page = snapshot.scan(scan.clone()).await?;
        for (_, row) in &page.rows {
            if let Some(stored) = ObjectRow::from_bytes(row)?.stored {
                sums[0] += i64::try_from(stored.extent.length).unwrap_or(i64::MAX);
                sums[1] += 1;
            }
        }
        next = scan.behind(&page);
    }
    Ok(sums)
}

/// A step of counting a quota: the state after it, and what else it writes.
async fn step(snapshot: &dyn Snapshot, quota: &Quota) -> Result<(Counting, Vec<Write>)> {
    match &quota.counting {
        Counting::Done => Ok((Counting::Done, Vec::new())),
        Counting::Folding => Ok((Counting::Done, fold(snapshot, quota).await?)),
        Counting::Between { through } => {
            let scan = Scan { keys_only: true, ..versions(quota, through, None)? };
            let page = snapshot.scan(scan).await?;
            let last = page.rows.last().filter(|_| page.more);
            let to = last.map(|(row, _)| tables::read_version(row)).transpose()?.map(|(key, _)| key);
            let claimed = Counting::Claimed { after: through.clone(), to };
            Ok((claimed, fold(snapshot, quota).await?))
        }
        Counting::Claimed { after, to } => {
            let found = sum(snapshot, versions(quota, after, to.as_deref())?).await?;
            let aside = counters(snapshot, quota.id, Column::Aside).await?;
            let began = |(unit, (found, aside)): (_, (i64, i64))| {
                Write::Add(counter(quota.id, unit, Column::Counted), found - aside)
            };
            let writes = UNITS.into_iter().zip(found.into_iter().zip(aside)).map(began).collect();
            let next = match to {
                Some(to) => Counting::Between { through: to.clone() },
                None => Counting::Folding,
            };
            Ok((next, writes))
        }
    }
}

impl ObjectStore {
    /// Goes a step on in counting a bucket's first quota that is not counted. `false`: there is none.
    pub(crate) async fn count_step(&self, name: &BucketName) -> Result<bool> {
        let view = match self.view(name).await {
            Err(Error::NoSuchBucket) => return Ok(false),
            view => view?,
        };
        let Some(quotas) = self.quotas_at(&view).await? else { return Ok(false) };
        let mut quotas = (*quotas).clone();
        let Some(quota) = quotas.0.iter_mut().find(|quota| quota.counting != Counting::Done) else {
            return Ok(false);
        };
        let (next, writes) = step(&*view.snapshot, quota).await?;
        quota.counting = next;
        // Somebody else may have changed the bucket: the next step reads it again.
        self.try_set_with(&view, Some(&quotas), Change::writes(writes)).await?;
        Ok(true)
    }
}
