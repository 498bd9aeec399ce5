//! What holds for all vaults of an account: its data retrieval policy, and the expedited capacity that it has bought.
//!
//! ```text
//!   set, purchase ─► is it good? ─► its row in root, durable ─► in memory, where the desk asks for it
//! ```
//! # Invariants
//! - Nothing holds before its row is there; a start reads all rows before it takes a job up.
//! - One change at a time, and each ends though who asked for it has gone: what is in memory is what was written last.
//! - Policies are about retrievals out of vaults that have a name. Those of buckets' vaults they neither bound nor count; capacity is for
//!   both.
//!
//! A policy whose row can't be read lets no Standard retrieval through, until it is set anew; a unit whose row can't be read does not count.

use super::change::{Attempt, Change};
use super::jobs::EXPEDITED_BYTES;
use super::{Result, Vaults, tables};
use crate::retrieval::{RetrievalPolicy, UNIT_WINDOW, Unit, UnitId};
use engine::catalog::record::{Record, RecordReader, RecordWriter};
use engine::catalog::{Scan, Snapshot, Table};
use engine::clock::Timestamp;
use engine::id::{PartitionId, random_bytes};
use engine::unit::ByteCount;
use security::AccountId;
use std::sync::Arc;

/// What an account may retrieve; how much is free, the configuration says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PolicyRow {
    FreeTier,
    BytesPerHour(ByteCount),
}

impl Record for PolicyRow {
    const NAME: &'static str = "data retrieval policy";
    const VERSION: u8 = 1;

    fn encode(&self, out: &mut RecordWriter) {
        match self {
            Self::FreeTier => out.u8(1),
            Self::BytesPerHour(bytes) => out.u8(2).u64(bytes.get()),
        };
    }

    fn decode(_version: u8, fields: &mut RecordReader<'_>) -> engine::Result<Self> {
        match fields.u8()? {
            1 => Ok(Self::FreeTier),
            2 => Ok(Self::BytesPerHour(ByteCount::new(fields.u64()?))),
            other => Err(fields.corrupt(format!("strategy {other}"))),
        }
    }
}

/// From when to when a unit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct UnitRow {
    pub(super) start: Timestamp,
    pub(super) end: Timestamp,
}

impl Record for UnitRow {
    const NAME: &'static str = "provisioned capacity unit";
    const VERSION: u8 = 1;

    fn encode(&self, out: &mut RecordWriter) {
        out.i64(self.start.as_millis()).i64(self.end.as_millis());
    }

    fn decode(_version: u8, fields: &mut RecordReader<'_>) -> engine::Result<Self> {
        let mut time = || fields.i64().map(Timestamp::from_millis);
        Ok(Self { start: time()?, end: time()? })
    }
}

impl Vaults {
    /// Reads what accounts have said and bought.
    pub(super) async fn find_terms(&self) -> Result<()> {
        let root = self.at(PartitionId::ROOT).await?;
        for (key, raw) in all(&*root, tables::POLICIES).await? {
            let account = tables::read_account(&key)?;
            let policy = match PolicyRow::from_bytes(&raw) {
                Ok(PolicyRow::FreeTier) => RetrievalPolicy::FreeTier { per_day: self.free_per_day },
                Ok(PolicyRow::BytesPerHour(bytes)) => RetrievalPolicy::BytesPerHour(bytes),
                Err(error) => {
                    tracing::error!(%account, %error, "a data retrieval policy can't be read: no Standard retrieval is let through; set it anew");
                    RetrievalPolicy::BytesPerHour(ByteCount::ZERO)
                }
            };
            self.policies.write().insert(account, policy);
        }
        let now = self.clock.now();
        for (key, raw) in all(&*root, tables::CAPACITY).await? {
            let (account, id) = tables::read_unit(&key)?;
            match UnitRow::from_bytes(&raw) {
                Ok(UnitRow { start, end }) => {
                    self.counter.lock().capacity.add(Unit { id, account, start, end }, now);
                }
                Err(error) => {
                    tracing::error!(%account, unit = %id, %error, "a capacity unit can't be read: it does not count");
                }
            }
        }
        Ok(())
    }

    /// What an account may retrieve.
    pub fn retrieval_policy(&self, account: AccountId) -> RetrievalPolicy {
        self.policies.read().get(&account).copied().unwrap_or_default()
    }

    /// What the free tier lets an account retrieve in a day.
    pub const fn free_per_day(&self) -> ByteCount {
        self.free_per_day
    }

    /// Sets what an account may retrieve. Jobs that were accepted before go on.
    pub async fn set_retrieval_policy(
        self: &Arc<Self>,
        account: AccountId,
        policy: RetrievalPolicy,
    ) -> Result<()> {
        let vaults = Arc::clone(self);
        let task = tokio::spawn(async move { vaults.set_policy(account, policy).await });
        task.await.map_err(|_ended| engine::Error::Closed)?
    }

    async fn set_policy(&self, account: AccountId, policy: RetrievalPolicy) -> Result<()> {
        let _one = self.terms.lock().await;
        let row = match policy {
            RetrievalPolicy::Unlimited => None,
            RetrievalPolicy::FreeTier { .. } => Some(PolicyRow::FreeTier),
            RetrievalPolicy::BytesPerHour(bytes) => Some(PolicyRow::BytesPerHour(bytes)),
        };
        self.transact(|| async {
            let root = self.at(PartitionId::ROOT).await?;
            let key = tables::of_account(account);
            let old = root.get(key.clone()).await?;
            let new = row.map(|row| row.to_bytes());
            if old == new {
                return Ok(Attempt::Answer(()));
            }
            let change = Change::default().unchanged(key.clone());
            let change = match new {
                Some(new) => change.of_vaults().put(key, new),
                None => change.delete(key),
            };
            Ok(Attempt::Commit(change.at(PartitionId::ROOT, &*root), ()))
        })
        .await?;
        let mut policies = self.policies.write();
        if policy == RetrievalPolicy::Unlimited {
            policies.remove(&account);
        } else {
            policies.insert(account, policy);
        }
        Ok(())
    }

    /// The units of an account that count now, oldest first.
    pub fn capacity(&self, account: AccountId) -> Vec<Unit> {
        let counter = self.counter.lock();
        let mut units: Vec<Unit> = counter.capacity.units(account, self.clock.now()).cloned().collect();
        units.sort_unstable_by_key(|unit| (unit.start, *unit.id.as_bytes()));
        units
    }

    /// Another unit for an account, for a month from now on.
    pub async fn purchase_capacity(self: &Arc<Self>, account: AccountId) -> Result<Unit> {
        let vaults = Arc::clone(self);
        let task = tokio::spawn(async move { vaults.purchase(account).await });
        task.await.map_err(|_ended| engine::Error::Closed)?
    }

    async fn purchase(&self, account: AccountId) -> Result<Unit> {
        let _one = self.terms.lock().await;
        let id = UnitId::from_bytes(random_bytes(&*self.entropy));
        let now = self.clock.now();
        let unit = {
            let mut counter = self.counter.lock();
            counter.look_at_drives();
            counter.capacity.offer(id, account, (now, self.day))?
        };
        self.transact(|| async {
            let root = self.at(PartitionId::ROOT).await?;
            let key = tables::of_unit(account, id);
            let row = UnitRow { start: unit.start, end: unit.end };
            let mut change = Change::default().of_vaults().absent(key.clone()).put(key, row.to_bytes());
            // What has ended goes with the next purchase.
            let page = self.page(&*root, tables::CAPACITY, (&account.to_bytes(), None), 1_000).await?;
            for (key, raw) in &page.rows {
                if UnitRow::from_bytes(raw).is_ok_and(|old| old.end <= now) {
                    change = change.delete(tables::CAPACITY.key(key.clone()));
                }
            }
            Ok(Attempt::Commit(change.at(PartitionId::ROOT, &*root), ()))
        })
        .await?;
        self.counter.lock().capacity.add(unit.clone(), now);
        Ok(unit)
    }
}

impl super::jobs::Counter {
    /// What the drives that are there now can do.
    pub(super) fn look_at_drives(&mut self) {
        let jobs = self.scheduler.expedited_in(UNIT_WINDOW, EXPEDITED_BYTES);
        self.capacity.set_per_window(jobs);
    }
}

/// All rows of a table.
async fn all(snapshot: &dyn Snapshot, table: Table) -> Result<Vec<(bytes::Bytes, bytes::Bytes)>> {
    let (mut rows, mut next) = (Vec::new(), Some(Scan::prefix(table, b"", 1_000)));
    while let Some(scan) = next {
        let page = snapshot.scan(scan.clone()).await?;
        next = scan.behind(&page);
        rows.extend(page.rows);
    }
    Ok(rows)
}
