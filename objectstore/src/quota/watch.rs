//! Looking at quotas now and then, and saying so before they are full.
//!
//! # Limits
//! What is known between two looks is an hour old at the most for which buckets have quotas, and a minute for how full they are;
//! whoever asks for quotas ([`ObjectStore::known_quotas`]) reads their counters then.

use super::QuotaInfo;
use crate::setting::QuotaUnit;
use crate::{BucketName, Error, ListBuckets, ObjectStore, Result};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::Notify;

/// Buckets looked at in one go when those with quotas are searched.
const PAGE: usize = 1_000;

/// How full a quota is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum QuotaLevel {
    /// It is being counted, and not enforced yet.
    Counting,
    /// Below where it warns.
    Fine,
    /// From where it warns on.
    Near,
    /// At its limit, or above one that was set below what was there.
    Full,
}

/// How many quotas there are, as they were seen last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QuotaCounts {
    /// All of them.
    pub set: u64,
    /// Those that are being counted.
    pub counting: u64,
    /// Those from where they warn on, the full ones included.
    pub near: u64,
    /// Those at their limit.
    pub full: u64,
}

/// Quotas of several buckets, as far as they can be read.
#[derive(Debug, Default)]
pub struct KnownQuotas {
    /// Those that can, by bucket and prefix.
    pub quotas: Vec<QuotaInfo>,
    /// Buckets whose quotas can't, and why.
    pub unread: Vec<(BucketName, Error)>,
}

impl QuotaInfo {
    /// How much of the limit is used, in percent, rounded down; of the fuller one where there are two.
    pub fn percent(&self) -> Option<u64> {
        let usage = self.usage?;
        let part = |unit, used: u64| {
            let limit = self.limits.of(unit)?;
            let percent = (u128::from(used) * 100).checked_div(u128::from(limit)).unwrap_or(100);
            Some(u64::try_from(percent).unwrap_or(u64::MAX))
        };
        part(QuotaUnit::Bytes, usage.bytes.get()).max(part(QuotaUnit::Objects, usage.versions))
    }

    /// How full it is.
    pub fn level(&self) -> QuotaLevel {
        match self.percent() {
            None => QuotaLevel::Counting,
            Some(100..) => QuotaLevel::Full,
            Some(percent) if percent >= u64::from(self.limits.warn_percent) => QuotaLevel::Near,
            Some(_) => QuotaLevel::Fine,
        }
    }
}

/// What is known of quotas in this process.
#[derive(Default)]
pub(crate) struct Watch {
    /// Buckets that have some, or that can't be read.
    known: Mutex<BTreeSet<BucketName>>,
    /// Buckets that have some to count.
    counting: Mutex<BTreeSet<BucketName>>,
    /// Levels that were logged.
    told: Mutex<BTreeMap<(BucketName, String), QuotaLevel>>,
    counts: Mutex<QuotaCounts>,
    /// All buckets were looked through, since the start.
    searched: AtomicBool,
    /// Rung when there is something to count.
    pub(crate) bell: Arc<Notify>,
}

impl Watch {
    /// A bucket has quotas.
    pub(crate) fn add(&self, bucket: &BucketName) {
        self.known.lock().insert(bucket.unbound());
    }

    /// A bucket may have quotas to count.
    pub(crate) fn count(&self, bucket: &BucketName) {
        self.counting.lock().insert(bucket.unbound());
        self.bell.notify_one();
    }

    /// Takes out the bucket after this one, in a circle, whose quotas are to be counted on.
    pub(crate) fn next_to_count(&self, after: Option<&BucketName>) -> Option<BucketName> {
        let mut counting = self.counting.lock();
        let next = after.and_then(|after| counting.range((Excluded(after), Unbounded)).next());
        let next = next.or_else(|| counting.first()).cloned()?;
        counting.remove(&next);
        Some(next)
    }

    /// Puts it back.
    pub(crate) fn count_on(&self, bucket: BucketName) {
        self.counting.lock().insert(bucket);
    }
}

impl ObjectStore {
    /// How many quotas there are, as they were seen within the last minute.
    pub fn quota_counts(&self) -> QuotaCounts {
        *self.watch.counts.lock()
    }

    /// The quotas of all buckets that are known to have some, as they are now.
    pub async fn known_quotas(&self) -> Result<KnownQuotas> {
        if !self.watch.searched.load(Ordering::Acquire) {
            self.find_all_quotas().await?;
        }
        let known = self.watch.known.lock().clone();
        let mut found = KnownQuotas::default();
        for bucket in known {
            let quotas = match self.bucket_quotas(&bucket).await {
                Ok(quotas) => quotas,
                Err(Error::NoSuchBucket) => Vec::new(),
                Err(error) => {
                    found.unread.push((bucket, error));
                    continue;
                }
            };
            if quotas.is_empty() {
                self.watch.known.lock().remove(&bucket);
                // One may have been set between the look and the removal.
                if self.bucket_quotas(&bucket).await.is_ok_and(|quotas| !quotas.is_empty()) {
                    self.watch.add(&bucket);
                }
            }
            found.quotas.extend(quotas);
        }
        Ok(found)
    }

    /// The quotas of all buckets.
    pub async fn all_quotas(&self) -> Result<KnownQuotas> {
        self.find_all_quotas().await?;
        self.known_quotas().await
    }

    async fn find_all_quotas(&self) -> Result<()> {
        let mut after = None;
        loop {
            after = self.find_quotas(after).await?;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    /// Looks through a page of buckets for those that have quotas; where to go on. One that can't be read hides no other one.
    pub(crate) async fn find_quotas(&self, after: Option<BucketName>) -> Result<Option<BucketName>> {
        let page = self.list_buckets(ListBuckets { after, max: PAGE, ..ListBuckets::default() }).await?;
        for bucket in page.buckets {
            match self.bucket_quotas(&bucket.name).await {
                Err(Error::NoSuchBucket) => {}
                Err(error) => {
                    tracing::warn!(
                        bucket = %bucket.name,
                        %error,
                        "read a bucket's quotas: they are read again within a minute; firn doctor says whether it lasts"
                    );
                    self.watch.add(&bucket.name);
                }
                Ok(quotas) => {
                    if !quotas.is_empty() {
                        self.watch.add(&bucket.name);
                    }
                    if quotas.iter().any(|quota| quota.usage.is_none()) {
                        self.watch.count(&bucket.name);
                    }
                }
            }
        }
        if page.next.is_none() {
            self.watch.searched.store(true, Ordering::Release);
        }
        Ok(page.next)
    }

    /// Looks how full quotas are, and says which got fuller. What is not counted is to be counted on, whatever ended it.
    pub(crate) async fn look_at_quotas(&self) -> Result<()> {
        let KnownQuotas { quotas, unread } = self.known_quotas().await?;
        let count = |level: QuotaLevel| quotas.iter().filter(|quota| quota.level() >= level).count() as u64;
        let counts = QuotaCounts {
            set: quotas.len() as u64,
            counting: quotas.len() as u64 - count(QuotaLevel::Fine),
            near: count(QuotaLevel::Near),
            full: count(QuotaLevel::Full),
        };
        *self.watch.counts.lock() = counts;
        let mut told = self.watch.told.lock();
        let mut before = std::mem::take(&mut *told);
        for quota in quotas {
            let (level, name) = (quota.level(), (quota.bucket.clone(), quota.prefix.clone()));
            if level == QuotaLevel::Counting {
                self.watch.count_on(quota.bucket.unbound());
            }
            if fuller(before.remove(&name), level) {
                tell(&quota, level);
            }
            told.insert(name, level);
        }
        // What was told of a bucket that can't be read just now is not told again.
        before.retain(|(bucket, _), _| unread.iter().any(|(name, _)| name == bucket));
        told.append(&mut before);
        Ok(())
    }

    /// The level of a quota at the last look.
    #[cfg(test)]
    pub(crate) fn told_level(&self, bucket: &BucketName, prefix: &str) -> Option<QuotaLevel> {
        self.watch.told.lock().get(&(bucket.clone(), prefix.to_owned())).copied()
    }
}

/// Whether a quota is to be told: it got fuller, and does not merely turn out to be as full as it is fine to be.
fn fuller(before: Option<QuotaLevel>, now: QuotaLevel) -> bool {
    now > before.unwrap_or(QuotaLevel::Fine).max(QuotaLevel::Fine)
}

fn tell(quota: &QuotaInfo, level: QuotaLevel) {
    let (bucket, prefix) = (quota.bucket.as_str(), quota.prefix.as_str());
    let percent = quota.percent().unwrap_or_default();
    if level == QuotaLevel::Full {
        tracing::warn!(
            bucket,
            prefix,
            percent,
            "a quota is full: writes that add to it are refused with QuotaExceeded; delete versions, or raise it \
             (firn quota set)"
        );
    } else {
        tracing::warn!(
            bucket,
            prefix,
            percent,
            "a quota is nearly full: delete versions, or raise it (firn quota set)"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::{QuotaLevel, fuller};

    #[test]
    fn only_what_got_fuller_is_told_and_not_that_a_count_has_ended() {
        use QuotaLevel::{Counting, Fine, Full, Near};
        for before in [None, Some(Counting), Some(Fine)] {
            let told = [Counting, Fine, Near, Full].map(|now| fuller(before, now));
            assert_eq!(told, [false, false, true, true], "{before:?}");
        }
        assert_eq!([Fine, Near, Full].map(|now| fuller(Some(Near), now)), [false, false, true]);
        assert_eq!([Fine, Near, Full].map(|now| fuller(Some(Full), now)), [false; 3]);
    }
}
