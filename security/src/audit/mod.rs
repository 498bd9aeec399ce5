//! The audit trail: a record of each call, kept before it is answered, and what `CloudTrail` does with records.
//!
//! ```text
//!   door ─► Event ─► rendered, bounded, in line ─► one commit for all ─┬─ the history (LookupEvents)
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
//! - A row that can't be read costs what it held and nothing else: it is told ([`Health`]), a record stands in its place, and all goes on.
//! - A change of a trail runs to its end whatever becomes of its caller; memory says what the rows say.
//!
//! # Limits
//! A record has 60 KiB, 8 KiB in the history. 4,096 calls wait for their commit, and 32 MiB of them; 65,536 data events, and 16 MiB of them. An
//! account's history has 90 days, at most 64 MiB of calls and 32 MiB of denials, all denials 512 MiB; who has most loses first. 256 MiB
//! wait for a trail whose bucket takes nothing, a quarter of it denials of nobody known, of which a trail takes 600 a minute, 60 from one address.
//! 5 trails an account.

mod counters;
mod damage;
mod deliver;
mod digest;
mod ending;
mod error;
mod event;
mod health;
mod history;
mod queue;
mod rate;
mod render;
mod row;
mod selector;
mod share;
mod signing;
#[cfg(test)]
mod tests;
mod tidy;
mod trail;
mod who;
mod write;

pub use deliver::{Destination, File, Sink, SinkError};
pub use error::{AuditError, Code, Result};
pub use event::{Category, Event, Failure, Resource, bounded};
pub use health::{CutHistory, FailingTrail, Health, Overview};
pub use history::{Attribute, Found, Lookup, Page};
pub use queue::Unkept;
pub use selector::{AdvancedSelector, DataResource, EventSelector, FieldSelector, ReadWrite, Selectors};
pub use signing::PublicKey;
pub use trail::{NewTrail, Status, Tag, Trail, TrailUpdate};

use crate::AccountId;
use crate::keys::KeyTable;
use arc_swap::ArcSwap;
use engine::catalog::{Catalog, Scan, Snapshot};
use engine::clock::Clock;
use engine::clock::compliance::ComplianceClock;
use engine::entropy::Entropy;
use engine::id::PartitionId;
use engine::worker::Worker;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
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
    /// What the history's days are judged by: nobody ends them by setting a clock.
    pub compliance: Arc<ComplianceClock>,
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
    writing: tokio::sync::Mutex<write::Last>,
    /// The number of the last place that was given out.
    newest: AtomicU64,
    /// Denials of nobody known, as trails take them.
    rate: Mutex<rate::Rate>,
    filters: ArcSwap<Filters>,
    /// Whether any of them takes data events.
    takes_data: AtomicBool,
    /// All trails, by account and name.
    trails: Mutex<BTreeMap<(AccountId, String), Arc<trail::TrailRow>>>,
    /// Trails that were deleted, and have something to be delivered.
    ending: Mutex<BTreeMap<(AccountId, row::TrailId), ending::Ending>>,
    /// Trails whose rows can't be read.
    unreadable: Mutex<BTreeSet<(AccountId, String)>>,
    /// Whoever changes trails holds it from the look to the memory of it.
    changing: Arc<tokio::sync::Mutex<()>>,
    /// Bytes of parts of the history, and of what waits for trails.
    held: Mutex<HashMap<row::Held, i64>>,
    /// Who commits what changes those reads this; who reads all of them again writes it.
    counting: tokio::sync::RwLock<()>,
    /// Whether a commit may have passed that was not told of.
    doubt: AtomicU8,
    /// Parts of the history that lost records before their time.
    cuts: Mutex<BTreeMap<(AccountId, row::Part), row::CutRow>>,
    /// Rows that could not be read.
    damaged: damage::Damaged,
    /// Trails whose files can't be written.
    failing: health::Failing,
    /// Trails that are left alone for a while.
    pauses: Mutex<deliver::Pauses>,
    /// Lookups under way.
    lookups: Mutex<HashMap<AccountId, usize>>,
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
            newest: AtomicU64::new(0),
            rate: Mutex::default(),
            filters: ArcSwap::default(),
            takes_data: AtomicBool::new(false),
            trails: Mutex::default(),
            ending: Mutex::default(),
            unreadable: Mutex::default(),
            changing: Arc::default(),
            held: Mutex::default(),
            counting: tokio::sync::RwLock::default(),
            doubt: AtomicU8::new(0),
            cuts: Mutex::default(),
            damaged: damage::Damaged::default(),
            failing: health::Failing::default(),
            pauses: Mutex::default(),
            lookups: Mutex::default(),
            trail_bell: Arc::default(),
            tidy_bell: Arc::default(),
        });
        audit.learn().await?;
        let (itself, bell) = (Arc::downgrade(&audit), Arc::clone(&audit.waiting.bell));
        tokio::spawn(write::write_all(Weak::clone(&itself), bell));
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

    /// The time by which the history's days are over: nobody moves it by setting the clock forward.
    fn sure_now(&self) -> engine::clock::Timestamp {
        self.now().min(self.parts.compliance.now())
    }

    /// All rows of a scan, so many at the most.
    async fn rows(&self, scan: Scan, most: usize) -> engine::Result<Vec<(bytes::Bytes, bytes::Bytes)>> {
        self.rows_within(scan, (most, usize::MAX)).await
    }

    /// All rows of a scan, so many and so many bytes at the most: the row that is one too many comes too.
    async fn rows_within(
        &self,
        scan: Scan,
        (most, bytes_max): (usize, usize),
    ) -> engine::Result<Vec<(bytes::Bytes, bytes::Bytes)>> {
        let snapshot = self.snapshot().await?;
        let (mut rows, mut bytes, mut next) = (Vec::new(), 0, Some(scan));
        while let Some(scan) = next.take().filter(|_| rows.len() < most && bytes <= bytes_max) {
            let page = snapshot.scan(scan.clone()).await?;
            next = scan.behind(&page);
            bytes += page.rows.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>();
            rows.extend(page.rows);
        }
        rows.truncate(most);
        Ok(rows)
    }
}
