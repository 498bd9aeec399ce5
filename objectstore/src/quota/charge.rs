//! What a write does to the counters of quotas, and what its commit must check so that none is exceeded.

use super::{UNITS, counter, usage};
use crate::record::PartRow;
use crate::setting::{Counting, QuotaUnit, Quotas};
use crate::store::View;
use crate::{Error, ObjectKey, ObjectStore, PartNumber, Result, UploadId, tables};
use bytes::Bytes;
use engine::catalog::record::Record;
use engine::catalog::{Check, Scan, Snapshot, Write};
use engine::unit::ByteCount;
use std::collections::BTreeMap;

/// Bodies from this size on are refused before they are sent, where they can't fit.
const REFUSED_EARLY: ByteCount = ByteCount::mib(1);
/// Parts whose sizes are read at once.
const PARTS_AT_ONCE: usize = 1_000;

/// What a change of a key adds to the bytes and to the number of its versions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Delta {
    pub(crate) bytes: i64,
    pub(crate) versions: i64,
}

impl Delta {
    const fn of(self, unit: QuotaUnit) -> i64 {
        match unit {
            QuotaUnit::Bytes => self.bytes,
            QuotaUnit::Objects => self.versions,
        }
    }
}

/// What goes into a commit for the quotas over its key.
#[derive(Debug, Default)]
pub(crate) struct Charge {
    pub(crate) writes: Vec<Write>,
    pub(crate) checks: Vec<Check>,
    /// Of each check, whose limit it is.
    limits: Vec<(String, QuotaUnit, u64)>,
}

impl Charge {
    /// What to say when a check did not hold.
    pub(crate) fn refused(&self, check: usize) -> Error {
        match self.limits.get(check) {
            Some((prefix, unit, limit)) => {
                Error::QuotaExceeded { prefix: prefix.clone(), unit: *unit, limit: *limit }
            }
            None => Error::Engine(engine::Error::OverLimit { check }),
        }
    }
}

/// What a change of a key does to the quotas over it.
pub(crate) fn charge(quotas: &Quotas, key: &ObjectKey, delta: Delta) -> Charge {
    let mut charge = Charge::default();
    for quota in quotas.over(key) {
        let Some(column) = quota.column(key) else { continue };
        for unit in UNITS {
            let delta = delta.of(unit);
            // The bucket's own are added to by every change, whether it has a quota or not.
            if delta != 0 && quota.id != 0 {
                charge.writes.push(Write::Add(counter(quota.id, unit, column), delta));
            }
            if let Some(limit) = quota.limits.of(unit)
                && delta > 0
                && quota.counting == Counting::Done
            {
                let most = i64::try_from(limit).unwrap_or(i64::MAX);
                charge.checks.push(Check::AtMost(counter(quota.id, unit, column), most));
                charge.limits.push((quota.prefix.clone(), unit, limit));
            }
        }
    }
    charge
}

/// Bytes and versions that are to come, by the quotas' numbers: entries of one archive, which are named together.
#[derive(Debug, Default)]
pub(crate) struct Claims(BTreeMap<u32, (u64, u64)>);

/// What the other parts of an upload hold together, at one of its `PART_EPOCH`s.
#[derive(Clone, Debug)]
pub(crate) struct OtherParts {
    epoch: Option<Bytes>,
    bytes: u64,
}

impl ObjectStore {
    /// Refuses a body before it is sent where what is left can't take it. The commit decides.
    pub(crate) async fn refuse_hopeless(
        &self,
        view: &View,
        key: &ObjectKey,
        length: Option<ByteCount>,
    ) -> Result<()> {
        if length.is_some_and(|length| length < REFUSED_EARLY) {
            return Ok(());
        }
        self.room_for(view, key, length, &mut Claims::default()).await
    }

    /// Refuses a part, however small, that what is left can't take beside the others that its upload has: a completion that is refused
    /// would leave all of them lying there. It decides, and may leave some out. Other uploads' parts do not count. A part that is no
    /// longer than the one that it replaces adds nothing. `known` and the answer: the others' bytes, which are read again once a
    /// part came.
    pub(crate) async fn room_for_part(
        &self,
        view: &View,
        key: &ObjectKey,
        (upload, number): (UploadId, PartNumber),
        length: Option<ByteCount>,
        known: Option<OtherParts>,
    ) -> Result<Option<OtherParts>> {
        let quotas = self.quotas_at(view).await?;
        if quotas.is_none_or(|quotas| quotas.enforced(key).is_empty()) {
            return Ok(None);
        }
        let length = length.map_or(0, ByteCount::get);
        let replaced = view.snapshot.get(tables::part(upload, number.get())).await?;
        if let Some(raw) = replaced
            && length <= PartRow::from_bytes(&raw)?.extent.length
        {
            return Ok(known);
        }
        let epoch = view.snapshot.get(tables::of_upload(tables::PART_EPOCH, upload)).await?;
        let others = match known.filter(|known| known.epoch == epoch) {
            Some(known) => known,
            None => OtherParts { epoch, bytes: other_parts(&*view.snapshot, upload, number).await? },
        };
        let together = ByteCount::new(others.bytes.saturating_add(length));
        self.room_for(view, key, Some(together), &mut Claims::default()).await?;
        Ok(Some(others))
    }

    /// Refuses a body that what is left can't take beside those that were claimed before, and claims it. The commits decide.
    pub(crate) async fn room_for(
        &self,
        view: &View,
        key: &ObjectKey,
        length: Option<ByteCount>,
        claims: &mut Claims,
    ) -> Result<()> {
        let Some(quotas) = self.quotas_at(view).await? else { return Ok(()) };
        let enforced = quotas.enforced(key);
        if enforced.is_empty() {
            return Ok(());
        }
        let (view, stack) = self.stack(view.bucket, key).await?;
        let replaced =
            if stack.writes_null() { stack.null().and_then(|row| row.stored.as_ref()) } else { None };
        let freed = replaced.map_or(0, |stored| stored.extent.length);
        let more = length.map_or(0, ByteCount::get).saturating_sub(freed);
        let added = u64::from(replaced.is_none());
        for quota in &enforced {
            let used = usage(&*view.snapshot, quota).await?;
            let claimed = claims.0.get(&quota.id).copied().unwrap_or_default();
            for (unit, used, more) in [
                (QuotaUnit::Bytes, used.bytes.get().saturating_add(claimed.0), more),
                (QuotaUnit::Objects, used.versions.saturating_add(claimed.1), added),
            ] {
                if let Some(limit) = quota.limits.of(unit)
                    && more > 0
                    && used.saturating_add(more) > limit
                {
                    return Err(Error::QuotaExceeded { prefix: quota.prefix.clone(), unit, limit });
                }
            }
        }
        for quota in enforced {
            let claimed = claims.0.entry(quota.id).or_default();
            *claimed = (claimed.0.saturating_add(more), claimed.1 + added);
        }
        Ok(())
    }
}

/// Bytes of an upload's parts, but for the one that this one replaces.
async fn other_parts(snapshot: &dyn Snapshot, upload: UploadId, number: PartNumber) -> Result<u64> {
    let mut bytes: u64 = 0;
    let mut next = Some(Scan::prefix(tables::PARTS, upload.as_bytes(), PARTS_AT_ONCE));
    while let Some(scan) = next {
        let page = snapshot.scan(scan.clone()).await?;
        for (key, raw) in &page.rows {
            if tables::read_part(key)? != number.get() {
                bytes = bytes.saturating_add(PartRow::from_bytes(raw)?.extent.length);
            }
        }
        next = scan.behind(&page);
    }
    Ok(bytes)
}
