//! The compliance clock: what every retention (object lock, vault lock, legal period) is judged by.
//!
//! ```text
//!   uptime (boot time since the last step) ──┐
//!   wall clock (a ceiling, never a source) ──┴─► step ─► row in the root partition ─► now()
//! ```
//! It is set to the wall clock once, when the appliance is made. From then on it advances with boot time while this process
//! runs. Time that it missed while the process was down it makes up for by at most an hour a day of uptime, and only up to
//! the wall clock. Whoever sets the wall clock forward therefore gains an hour a day at the most; whoever sets it back stops
//! this clock until the wall clock has come by again.
//!
//! # Invariants
//! - It never goes back: [`ComplianceClock::now`] shows what is durable, a minute old at the most, so that not even a crash
//!   takes anything back. A lock can only end late by it.
//! - It never leads the wall clock, unless that one was set back, and then it stands still.
//!
//! # Limits
//! One row, written once a minute and before each change of a lock.
//!
//! # What a crash leaves
//! The value of at most a minute before; the rest counts as downtime.

#[cfg(test)]
mod tests;

use super::{Clock, Timestamp};
use crate::catalog::record::{Record, RecordReader, RecordWriter};
use crate::catalog::{Catalog, Check, Commit, Family, Table, Write};
use crate::id::PartitionId;
use crate::worker::{Progress, Worker};
use crate::{BoxFuture, Error, Result};
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use tokio::sync::Mutex;

/// How often it is written down.
pub const PERSIST_EVERY: Duration = Duration::from_mins(1);
/// It makes up for downtime by one part in this many of its uptime: an hour a day.
pub const CATCH_UP_SHARE: u32 = 24;

/// Its one row, in the root partition.
const TABLE: Table = Table { family: Family::Record, tag: 240 };
const KEY: &[u8] = b"clock";

/// The clock's value, as exact as boot time is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reading {
    unix_ns: i128,
}

impl Reading {
    /// From a stored or displayed time.
    pub fn at(time: Timestamp) -> Self {
        Self { unix_ns: i128::from(time.as_millis()) * 1_000_000 }
    }

    /// Rounded down to what is stored and shown.
    pub fn timestamp(self) -> Timestamp {
        Timestamp::from_millis(i64::try_from(self.unix_ns.div_euclid(1_000_000)).unwrap_or(i64::MAX))
    }

    /// `uptime` later, with the wall clock at `wall`: uptime and its share of catching up, but not past the wall clock and
    /// never back.
    #[must_use]
    pub fn step(self, uptime: Duration, wall: Timestamp) -> Self {
        let gained = uptime + uptime / CATCH_UP_SHARE;
        let gained = i128::try_from(gained.as_nanos()).unwrap_or(i128::MAX);
        let reached = Self { unix_ns: self.unix_ns.saturating_add(gained) };
        reached.min(Self::at(wall)).max(self)
    }
}

struct Stored(Timestamp);

/// Version 1: the value in milliseconds since the epoch, `i64`.
impl Record for Stored {
    const NAME: &'static str = "compliance clock";
    const VERSION: u8 = 1;
    fn encode(&self, out: &mut RecordWriter) {
        out.i64(self.0.as_millis());
    }
    fn decode(_version: u8, fields: &mut RecordReader<'_>) -> Result<Self> {
        fields.i64().map(|unix_ms| Self(Timestamp::from_millis(unix_ms)))
    }
}

#[derive(Clone, Copy)]
struct Anchor {
    reading: Reading,
    boottime: Duration,
}

/// The clock of one appliance.
pub struct ComplianceClock {
    catalog: Arc<dyn Catalog>,
    clock: Arc<dyn Clock>,
    anchor: Mutex<Anchor>,
    durable_unix_ms: AtomicI64,
}

impl std::fmt::Debug for ComplianceClock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "compliance clock at {} ms", self.now().as_millis())
    }
}

impl ComplianceClock {
    /// Resumes the clock that the catalog holds, or sets a new one to the wall clock, durably.
    pub async fn open(catalog: Arc<dyn Catalog>, clock: Arc<dyn Clock>) -> Result<Arc<Self>> {
        let stored = match read(&*catalog).await? {
            Some(stored) => stored,
            None => create(&*catalog, clock.now()).await?,
        };
        let anchor = Anchor { reading: Reading::at(stored), boottime: clock.boottime() };
        let durable_unix_ms = AtomicI64::new(stored.as_millis());
        Ok(Arc::new(Self { catalog, clock, anchor: Mutex::new(anchor), durable_unix_ms }))
    }

    /// The time that retentions are judged by. Durable, and a minute old at the most while the worker runs.
    pub fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.durable_unix_ms.load(Ordering::Acquire))
    }

    /// How far it is behind the wall clock.
    pub fn lag(&self) -> Duration {
        self.clock.now().since(self.now())
    }

    /// Brings it up to this moment and makes that durable: every minute, and before each change of a lock.
    pub async fn settle(&self) -> Result<Timestamp> {
        let mut anchor = self.anchor.lock().await;
        let boottime = self.clock.boottime();
        let uptime = boottime.saturating_sub(anchor.boottime);
        let reading = anchor.reading.step(uptime, self.clock.now());
        if reading.timestamp() != self.now() {
            write(&*self.catalog, reading.timestamp()).await?;
        }
        *anchor = Anchor { reading, boottime };
        self.durable_unix_ms.store(reading.timestamp().as_millis(), Ordering::Release);
        Ok(reading.timestamp())
    }
}

async fn read(catalog: &dyn Catalog) -> Result<Option<Timestamp>> {
    let row = catalog.snapshot(PartitionId::ROOT).await?.get(TABLE.key(KEY)).await?;
    row.map(|bytes| Stored::from_bytes(&bytes).map(|stored| stored.0)).transpose()
}

fn put(time: Timestamp) -> Write {
    Write::Put(TABLE.key(KEY), Stored(time).to_bytes())
}

async fn write(catalog: &dyn Catalog, time: Timestamp) -> Result<()> {
    let commit = Commit { writes: vec![put(time)], ..Commit::new(PartitionId::ROOT, 0) };
    catalog.commit(commit).await.map(drop)
}

/// Only one of two that find no clock sets it; the other takes what was set.
async fn create(catalog: &dyn Catalog, wall: Timestamp) -> Result<Timestamp> {
    let checks = vec![Check::Absent(TABLE.key(Bytes::from_static(KEY)))];
    let commit = Commit { checks, writes: vec![put(wall)], ..Commit::new(PartitionId::ROOT, 0) };
    match catalog.commit(commit).await {
        Ok(_) => Ok(wall),
        Err(Error::Conflict { check }) => read(catalog).await?.ok_or(Error::Conflict { check }),
        Err(error) => Err(error),
    }
}

/// Settles the clock every minute.
#[derive(Debug)]
pub struct ComplianceWorker(Arc<ComplianceClock>);

impl ComplianceWorker {
    /// For one appliance's clock.
    pub const fn new(clock: Arc<ComplianceClock>) -> Self {
        Self(clock)
    }
}

impl Worker for ComplianceWorker {
    fn name(&self) -> &'static str {
        "compliance-clock"
    }

    fn tick(&mut self) -> BoxFuture<'_, Result<Progress>> {
        Box::pin(async move {
            self.0.settle().await?;
            Ok(Progress::Idle { rest: PERSIST_EVERY })
        })
    }
}
