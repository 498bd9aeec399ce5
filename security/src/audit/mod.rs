//! The audit trail: a record of each call, kept before it is answered, and what `CloudTrail` does with records.
//!
//! ```text
//!   door ─► Event ─► queue in memory ─► one commit for all that wait ─┬─ the history (LookupEvents)
//!     ▲                                        │                     └─ each trail's queue ─► files ─► digests, chained and signed
//!     └────────── answered once it is kept ◄───┘                                                   └─ Sink: a bucket
//! ```
//! docs/adr/0033-audit-trail.md has the reasons, docs/formats/audit.md the bytes.
//!
//! # Invariants
//! - A management call, and whatever is denied, is answered once its record is durable: [`Audit::keep`]. Of data events only those are recorded
//!   that a trail selects, with the same commits and without anybody waiting: [`Audit::note`]. What is lost of them is counted, and a record
//!   says so.
//! - A record is in each file of a trail exactly once: which rows a file has, and its name, are decided in a commit before it is written, and
//!   the rows go in the commit after.
//! - What is deleted, changed or left out of a trail's files does not fit the digests, which are signed by a key that the key table seals.
//! - Where no trail takes data events an event of data costs a load of an atomic.
//!
//! # Limits
//! 4,096 calls wait for their commit, 65,536 data events and 16 MiB of them. An account's history has 90 days, at most 64 MiB of calls and
//! 32 MiB of denials. 256 MiB wait for a trail whose bucket takes nothing. 5 trails an account.

mod deliver;
mod digest;
mod error;
mod event;
mod health;
mod history;
mod queue;
mod row;
mod selector;
mod signing;
#[cfg(test)]
mod tests;
mod tidy;
mod trail;
mod who;

pub use deliver::{Destination, File, Sink, SinkError};
pub use error::{AuditError, Code, Result};
pub use event::{Category, Event, Failure, Resource, bounded};
pub use health::{FailingTrail, Health, Overview};
pub use history::{Attribute, Found, Lookup, Page};
pub use queue::Unkept;
pub use selector::{AdvancedSelector, DataResource, EventSelector, FieldSelector, ReadWrite, Selectors};
pub use signing::PublicKey;
pub use trail::{NewTrail, Status, Tag, Trail, TrailUpdate};

use crate::AccountId;
use crate::keys::KeyTable;
use arc_swap::ArcSwap;
use engine::catalog::{Catalog, Commit, Layout, Scan, Snapshot, Write};
use engine::clock::Clock;
use engine::entropy::Entropy;
use engine::id::{IdempotencyId, PartitionId};
use engine::worker::Worker;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::Notify;

/// What an audit trail stands on.
pub struct Parts {
    /// Where its rows are.
    pub catalog: Arc<dyn Catalog>,
    /// Seals what signs.
    pub keys: Arc<KeyTable>,
    /// Tells when.
    pub clock: Arc<dyn Clock>,
    /// Ids and names.
    pub entropy: Arc<dyn Entropy>,
    /// Where trails are.
    pub region: String,
    /// How long a day is: digests come 24 times.
    pub day: Duration,
    /// Where files go.
    pub sink: Arc<dyn Sink>,
}

/// The trails that take anything, by account.
#[derive(Default)]
struct Filters(HashMap<AccountId, Vec<trail::Filter>>);

/// The audit trail of an appliance. One, shared.
pub struct Audit {
    parts: Parts,
    /// What waits for its commit.
    waiting: queue::Waiting,
    /// Held while a commit is under way.
    writing: tokio::sync::Mutex<queue::Last>,
    filters: ArcSwap<Filters>,
    /// Whether any of them takes data events.
    takes_data: AtomicBool,
    /// All trails, by account and name.
    trails: Mutex<std::collections::BTreeMap<(AccountId, String), Arc<trail::TrailRow>>>,
    /// Whoever changes trails holds it from the look to the memory of it.
    changing: tokio::sync::Mutex<()>,
    /// Bytes of parts of the history, and of what waits for trails.
    held: Mutex<HashMap<row::Held, i64>>,
    /// Trails whose files can't be written.
    failing: health::Failing,
    /// Something is due for a trail.
    trail_bell: Arc<Notify>,
    /// A part of a history is too large.
    tidy_bell: Arc<Notify>,
}

impl std::fmt::Debug for Audit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "audit trail with {} trails", self.trails.lock().len())
    }
}

impl Drop for Audit {
    fn drop(&mut self) {
        // What writes ends with it.
        self.waiting.bell.notify_one();
    }
}

impl Audit {
    /// Reads which trails there are. Must be called within a tokio runtime, on which records are written.
    pub async fn open(parts: Parts) -> crate::Result<Arc<Self>> {
        let audit = Arc::new(Self {
            parts,
            waiting: queue::Waiting::default(),
            writing: tokio::sync::Mutex::default(),
            filters: ArcSwap::default(),
            takes_data: AtomicBool::new(false),
            trails: Mutex::default(),
            changing: tokio::sync::Mutex::default(),
            held: Mutex::default(),
            failing: health::Failing::default(),
            trail_bell: Arc::default(),
            tidy_bell: Arc::default(),
        });
        audit.learn().await?;
        let (itself, bell) = (Arc::downgrade(&audit), Arc::clone(&audit.waiting.bell));
        tokio::spawn(queue::write_all(Weak::clone(&itself), bell));
        Ok(audit)
    }

    /// What delivers, and what keeps the history within its bounds. Each is spawned once.
    pub fn workers(self: &Arc<Self>) -> Vec<Box<dyn Worker>> {
        vec![Box::new(deliver::Deliverer(Arc::clone(self))), Box::new(tidy::Tidier(Arc::clone(self)))]
    }

    /// Whether a trail takes data events: if not, nobody needs to make one.
    pub fn takes_data(&self) -> bool {
        self.takes_data.load(Ordering::Relaxed)
    }

    /// The region that trails are in.
    pub fn region(&self) -> &str {
        &self.parts.region
    }

    fn now(&self) -> engine::clock::Timestamp {
        self.parts.clock.now()
    }

    async fn snapshot(&self) -> engine::Result<Arc<dyn Snapshot>> {
        self.parts.catalog.snapshot(PartitionId::ROOT).await
    }

    /// What is written says nothing of what was read: there is one writer of each row.
    async fn commit(&self, layout: Layout, writes: Vec<Write>) -> engine::Result<()> {
        let read_version = self.snapshot().await?.read_version();
        let mut commit = Commit {
            writes,
            layout,
            idempotency: Some(IdempotencyId::random(&*self.parts.entropy)),
            id_is_fresh: true,
            ..Commit::new(PartitionId::ROOT, read_version)
        };
        let mut outcome = self.parts.catalog.commit(commit.clone()).await;
        commit.id_is_fresh = false;
        for _ in 0..REPEATED {
            match &outcome {
                Err(engine::Error::Unknown { .. }) => {}
                Err(engine::Error::TooOld { .. } | engine::Error::Conflict { .. }) => {
                    commit.read_version = self.snapshot().await?.read_version();
                }
                _ => break,
            }
            outcome = self.parts.catalog.commit(commit.clone()).await;
        }
        outcome.map(drop)
    }

    /// All rows of a scan, so many at the most.
    async fn rows(&self, scan: Scan, most: usize) -> engine::Result<Vec<(bytes::Bytes, bytes::Bytes)>> {
        let snapshot = self.snapshot().await?;
        let (mut rows, mut next) = (Vec::new(), Some(scan));
        while let Some(scan) = next.take().filter(|_| rows.len() < most) {
            let page = snapshot.scan(scan.clone()).await?;
            next = scan.behind(&page);
            rows.extend(page.rows);
        }
        rows.truncate(most);
        Ok(rows)
    }

    fn add_held(&self, what: row::Held, by: i64) -> i64 {
        let mut held = self.held.lock();
        let count = held.entry(what).or_default();
        *count += by;
        *count
    }

    fn held(&self, what: row::Held) -> i64 {
        self.held.lock().get(&what).copied().unwrap_or_default()
    }
}

/// How often a commit of unknown outcome is repeated.
const REPEATED: u32 = 3;
