//! From a door to the catalog: what waits is written in one commit, while the next gather.
//!
//! ```text
//!   keep ─► calls, each with who waits ─┐
//!   note ─► data events ────────────────┴─► at most 1,000 at once ─► history, queues of trails ─► who waits is told
//! ```
//! A commit that fails refuses whoever waits, and loses data events: the next one that comes through says how many. A crash loses the data events
//! of the commit that was under way and those behind it, a second's at the most; the row `TAKING`, which is there as long as data events
//! are taken, has the next start say so.

use super::event::Event;
use super::row::{self, EventRow, Held, Part, Place, TrailId};
use super::trail::Filter;
use super::{Audit, Filters};
use crate::AccountId;
use engine::catalog::record::Record as _;
use engine::catalog::{Layout, Write};
use engine::clock::Timestamp;
use parking_lot::Mutex;
use serde_json::json;
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot};

/// Calls that wait for their commit.
const CALLS_MAX: usize = 4_096;
/// How long a call waits for room among them.
const PATIENCE: Duration = Duration::from_secs(5);
/// Data events that wait, and bytes of them.
const DATA_MAX: usize = 65_536;
const DATA_BYTES_MAX: usize = 16 << 20;
/// Events of one commit, and bytes: with two accounts and five trails each is ten rows at the most.
const BATCH: usize = 500;
const BATCH_BYTES: usize = 1 << 20;
/// Bytes that wait for a trail.
pub(super) const TRAIL_BYTES_MAX: i64 = 256 << 20;
/// Bytes of a commit's rows; a commit has 4 MiB.
const COMMIT_BYTES: usize = 3 << 20;

/// What says that something was lost.
const LOST: &str = "AuditEventsLost";

/// Why a record was not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unkept {
    /// A trail of the account's is logging: what it promises can't be kept.
    pub trail: bool,
    /// The disk is full.
    pub full: bool,
}

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kept {
    Durable,
    Lost,
    /// Lost for want of room.
    Full,
}

/// A call, and who waits for its record.
struct Call {
    event: Event,
    tell: oneshot::Sender<Kept>,
    _place: OwnedSemaphorePermit,
}

/// What was lost, and since when.
struct Lost {
    count: u64,
    since: Timestamp,
    why: &'static str,
}

#[derive(Default)]
struct Lines {
    calls: VecDeque<Call>,
    data: VecDeque<(Event, usize)>,
    data_bytes: usize,
    lost: BTreeMap<AccountId, Lost>,
    complained: bool,
}

/// What waits.
pub(super) struct Waiting {
    lines: Mutex<Lines>,
    places: Arc<Semaphore>,
    /// Records lost since the start.
    lost: AtomicU64,
    pub(super) bell: Arc<Notify>,
}

impl Default for Waiting {
    fn default() -> Self {
        Self {
            lines: Mutex::default(),
            places: Arc::new(Semaphore::new(CALLS_MAX)),
            lost: AtomicU64::new(0),
            bell: Arc::default(),
        }
    }
}

impl Waiting {
    /// How many wait, and how many were lost since the start.
    pub(super) fn counts(&self) -> (u64, u64) {
        let lines = self.lines.lock();
        let waiting = lines.calls.len() + lines.data.len();
        (waiting as u64, self.lost.load(Ordering::Relaxed))
    }
}

/// The last place that was given out.
#[derive(Default)]
pub(super) struct Last(u64);

impl Last {
    /// Places begin behind this one.
    pub(super) fn raise(&mut self, place: Place) {
        self.0 = self.0.max(place.number);
    }

    fn next(&mut self, now: Timestamp) -> u64 {
        self.0 = Place::at(now).number.max(self.0 + 1);
        self.0
    }
}

/// What a batch comes to.
#[derive(Default)]
struct Rows {
    writes: Vec<Write>,
    held: BTreeMap<(AccountId, u8, TrailId), (Held, i64)>,
    bytes: usize,
    /// It has something for a trail.
    for_trails: bool,
    /// What trails had no room for.
    unheld: Vec<AccountId>,
}

impl Rows {
    fn put(&mut self, (key, value): (engine::catalog::Key, bytes::Bytes), held: Held) {
        let order = match held {
            Held::Part(account, part) => (account, part as u8, TrailId::default()),
            Held::Trail(account, id) => (account, 2, id),
        };
        let length = key.bytes.len() + value.len();
        self.bytes += length;
        self.held.entry(order).or_insert((held, 0)).1 += i64::try_from(length).unwrap_or(i64::MAX);
        self.writes.push(Write::Put(key, value));
    }
}

/// Writes what waits until the trail is gone.
pub(super) async fn write_all(audit: Weak<Audit>, bell: Arc<Notify>) {
    loop {
        bell.notified().await;
        let Some(audit) = audit.upgrade() else { return };
        while audit.write_some().await {}
    }
}

impl Audit {
    /// Keeps a record; durable when this returns. A client that goes away meanwhile changes nothing.
    pub async fn keep(&self, event: Event) -> Result<(), Unkept> {
        let unkept = Unkept {
            trail: event.accounts().into_iter().any(|account| self.is_logged(account)),
            full: false,
        };
        let place = tokio::select! {
            place = Arc::clone(&self.waiting.places).acquire_owned() => place.ok(),
            () = self.parts.clock.sleep(PATIENCE) => None,
        };
        let Some(place) = place else {
            self.lose(&event, 1, "too many calls waited for their records");
            return Err(unkept);
        };
        // What changes nothing is not held up for ever by a log that does not answer; its record is written when it does.
        let waits = unkept.trail || !(event.read_only || event.denied);
        let (tell, told) = oneshot::channel();
        self.waiting.lines.lock().calls.push_back(Call { event, tell, _place: place });
        self.waiting.bell.notify_one();
        let kept = tokio::select! {
            kept = told => kept.unwrap_or(Kept::Lost),
            () = self.parts.clock.sleep(PATIENCE), if !waits => Kept::Lost,
        };
        match kept {
            Kept::Durable => Ok(()),
            Kept::Lost => Err(unkept),
            Kept::Full => Err(Unkept { full: true, ..unkept }),
        }
    }

    /// Takes a data event; who calls does not wait. It is dropped where no trail wants it.
    pub fn note(&self, event: Event) {
        let filters = self.filters.load();
        if !event.accounts().into_iter().any(|account| filters.want(account, &event)) {
            return;
        }
        let size = size_of::<Event>() + 512 + event.fields.len() * 64;
        let mut lines = self.waiting.lines.lock();
        if lines.data.len() >= DATA_MAX || lines.data_bytes + size > DATA_BYTES_MAX {
            drop(lines);
            self.lose(&event, 1, "too many data events waited");
            return;
        }
        lines.data_bytes += size;
        lines.data.push_back((event, size));
        drop(lines);
        self.waiting.bell.notify_one();
    }

    /// Whether a trail of the account's is logging.
    fn is_logged(&self, account: AccountId) -> bool {
        self.filters.load().0.get(&account).is_some_and(|all| all.iter().any(|filter| !filter.is_stopped))
    }

    fn lose(&self, event: &Event, count: u64, why: &'static str) {
        // Whose it is and who asked are one most times, and have one record then.
        for account in event.accounts() {
            self.lose_of(account, (count, self.now(), why));
        }
    }

    fn lose_of(&self, account: AccountId, what: (u64, Timestamp, &'static str)) {
        self.waiting.lost.fetch_add(what.0, Ordering::Relaxed);
        self.tell_of(account, what);
    }

    /// Has the next commit that comes through say so.
    fn tell_of(&self, account: AccountId, (count, since, why): (u64, Timestamp, &'static str)) {
        let mut lines = self.waiting.lines.lock();
        let lost = lines.lost.entry(account).or_insert(Lost { count: 0, since, why });
        lost.count += count;
    }

    /// The process before this one ended while data events were recorded.
    pub(super) fn tell_of_a_crash(&self) {
        let filters = self.filters.load();
        for (account, _) in filters.0.iter().filter(|(_, all)| all.iter().any(Filter::takes_data)) {
            let said = json!({
                "lostEvents": null,
                "reason": "the appliance stopped without warning: records of data events of its last moments may be missing",
            });
            let event = Event::of_itself(*account, self.now(), LOST, said);
            self.waiting.lines.lock().data.push_back((event, 0));
        }
        self.waiting.bell.notify_one();
    }

    /// Events of which there is no record, and no record that says so yet.
    pub fn lost(&self) -> u64 {
        self.waiting.lines.lock().lost.values().map(|lost| lost.count).sum()
    }

    /// Writes all that waits: before a stop, when nobody asks for anything any more.
    pub async fn drain(&self) {
        while self.write_some().await {}
        if self.lost() == 0 && self.takes_data() {
            // Nothing is under way that a crash could lose.
            if let Err(error) = self.commit(Layout::FIRST, vec![Write::Delete(row::taking())]).await {
                tracing::warn!(%error, "failed to note that no audit record is under way");
            }
        }
    }

    /// Writes a batch, and tells who waits. False: nothing waits.
    pub(super) async fn write_some(&self) -> bool {
        let mut places = self.writing.lock().await;
        let (mut calls, mut events, mut lost) = (VecDeque::new(), VecDeque::new(), BTreeMap::new());
        {
            let mut lines = self.waiting.lines.lock();
            while calls.len() < BATCH {
                let Some(call) = lines.calls.pop_front() else { break };
                calls.push_back(call);
            }
            let mut bytes = 0;
            while calls.len() + events.len() < BATCH && bytes < BATCH_BYTES {
                let Some((event, size)) = lines.data.pop_front() else { break };
                lines.data_bytes -= size;
                bytes += size;
                events.push_back(event);
            }
            if !calls.is_empty() || !events.is_empty() {
                lost = std::mem::take(&mut lines.lost);
            }
        }
        if calls.is_empty() && events.is_empty() {
            return false;
        }
        let now = self.now();
        let losses: Vec<Event> = lost
            .iter()
            .map(|(account, lost)| {
                let since = crate::AmzDate::from_timestamp(lost.since).extended();
                let said = json!({ "lostEvents": lost.count, "since": since, "reason": lost.why });
                Event::of_itself(*account, now, LOST, said)
            })
            .collect();
        let filters = self.filters.load_full();
        let mut written = losses.is_empty();
        // Records may be large: then a batch is more than one commit.
        while !calls.is_empty() || !events.is_empty() || !written {
            let (mut rows, mut told, mut noted) = (Rows::default(), Vec::new(), Vec::new());
            if !written {
                for event in &losses {
                    self.rows_of(event, &filters, (&mut places, now), &mut rows);
                }
                written = true;
            }
            while rows.bytes < COMMIT_BYTES && rows.writes.len() < 5_000 {
                if let Some(call) = calls.pop_front() {
                    self.rows_of(&call.event, &filters, (&mut places, now), &mut rows);
                    told.push(call);
                } else if let Some(event) = events.pop_front() {
                    self.rows_of(&event, &filters, (&mut places, now), &mut rows);
                    noted.push(event);
                } else {
                    break;
                }
            }
            let kept = self.put(rows, &mut lost).await;
            if kept != Kept::Durable {
                for event in &noted {
                    self.lose(event, 1, "records could not be written");
                }
            }
            for call in told {
                if kept != Kept::Durable {
                    self.lose(&call.event, 1, "records could not be written");
                }
                // Who has gone is not told.
                let _gone = call.tell.send(kept);
            }
        }
        true
    }

    async fn put(&self, rows: Rows, lost: &mut BTreeMap<AccountId, Lost>) -> Kept {
        let Rows { mut writes, held, for_trails, unheld, .. } = rows;
        writes.extend(held.values().map(|(what, by)| Write::Add(what.key(), *by)));
        let layout = if for_trails { Layout::TRAILS } else { Layout::FIRST };
        let outcome = self.commit(layout, writes).await;
        for account in unheld {
            self.lose_of(
                account,
                (1, self.now(), "a trail's bucket takes nothing, and too much waits for it"),
            );
        }
        match outcome {
            Ok(()) => {
                lost.clear();
                self.waiting.lines.lock().complained = false;
                for (what, by) in held.into_values() {
                    let count = self.add_held(what, by);
                    match what {
                        Held::Part(_, part) if count > super::tidy::most(part) => self.tidy_bell.notify_one(),
                        _ => {}
                    }
                }
                Kept::Durable
            }
            Err(error) => {
                for (account, Lost { count, since, why }) in std::mem::take(lost) {
                    self.tell_of(account, (count, since, why));
                }
                if !std::mem::replace(&mut self.waiting.lines.lock().complained, true) {
                    tracing::error!(%error, "failed to write audit records");
                }
                if matches!(error, engine::Error::Full { .. }) { Kept::Full } else { Kept::Lost }
            }
        }
    }

    fn rows_of(
        &self,
        event: &Event,
        filters: &Filters,
        (last, now): (&mut Last, Timestamp),
        rows: &mut Rows,
    ) {
        for (account, record) in event.records(&self.parts.region, &*self.parts.entropy) {
            let salt = u32::from_le_bytes(engine::id::random_bytes(&*self.parts.entropy));
            let place = Place { number: last.next(now), salt };
            let value = EventRow { at: event.at, record }.to_bytes();
            if event.category == super::Category::Management || event.denied {
                let part = if event.denied { Part::Denials } else { Part::Calls };
                rows.put((row::history(account, part, place), value.clone()), Held::Part(account, part));
            }
            for filter in filters.0.get(&account).into_iter().flatten().filter(|filter| filter.takes(event)) {
                let held = Held::Trail(account, filter.id);
                if self.held(held) > TRAIL_BYTES_MAX {
                    // That something was lost is no event whose loss is told.
                    if !event.is_own() {
                        rows.unheld.push(account);
                    }
                    continue;
                }
                rows.for_trails = true;
                rows.put((row::queued(account, filter.id, place), value.clone()), held);
            }
        }
    }
}

impl Filters {
    fn want(&self, account: AccountId, event: &Event) -> bool {
        self.0.get(&account).is_some_and(|all| all.iter().any(|filter| filter.takes(event)))
    }
}
