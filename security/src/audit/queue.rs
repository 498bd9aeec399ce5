//! What waits to be written: calls, each with who waits for its record, data events, and what was lost.
//!
//! ```text
//!   keep ─► calls, each with who waits ─┐
//!   note ─► data events ────────────────┴─► write.rs: at most 500 at once
//! ```
//! What waits is rendered, and counted by its bytes. What is lost is counted by account until a record says so.

use super::Audit;
use super::event::Event;
use super::render::Rendered;
use super::trail::Filter;
use crate::AccountId;
use engine::catalog::{Layout, Write};
use engine::clock::Timestamp;
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot};

/// Places of calls that wait for their commit, and bytes of each: a large one takes more of them.
const PLACES: u32 = 4_096;
const PLACE_BYTES: usize = 8 << 10;
/// How long a call waits for a place, and a read for its record, in all.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// Data events that wait, and bytes of them.
const DATA_MAX: usize = 65_536;
pub(super) const DATA_BYTES_MAX: usize = 16 << 20;
/// Events that are taken at once, and bytes of data events.
const BATCH: usize = 500;
const BATCH_BYTES: usize = 1 << 20;
/// Accounts of which is counted what they lost.
const LOSERS_MAX: usize = 100_000;

/// What says that something was lost.
pub(super) const LOST: &str = "AuditEventsLost";

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
pub(super) enum Kept {
    Durable,
    Lost,
    /// Lost for want of room.
    Full,
}

/// A call, and who waits for its record.
pub(super) struct Call {
    pub(super) event: Rendered,
    pub(super) tell: oneshot::Sender<Kept>,
    /// By boot time.
    since: Duration,
    _places: OwnedSemaphorePermit,
}

/// What was lost, and since when.
#[derive(Clone, Copy)]
pub(super) struct Lost {
    pub(super) count: u64,
    pub(super) since: Timestamp,
    pub(super) why: &'static str,
}

/// What is written at once.
pub(super) enum Item {
    Call(Call),
    Data(Rendered),
    /// A record of what was lost.
    Loss(Lost, Rendered),
}

impl Item {
    pub(super) fn event(&self) -> &Rendered {
        match self {
            Self::Call(call) => &call.event,
            Self::Data(event) | Self::Loss(_, event) => event,
        }
    }

    fn event_mut(&mut self) -> &mut Rendered {
        match self {
            Self::Call(call) => &mut call.event,
            Self::Data(event) | Self::Loss(_, event) => event,
        }
    }
}

#[derive(Default)]
struct Lines {
    calls: VecDeque<Call>,
    data: VecDeque<Rendered>,
    data_bytes: usize,
    lost: BTreeMap<AccountId, Lost>,
    /// Since when the oldest call waits that is being written.
    writing: Option<Duration>,
}

/// What waits.
pub(super) struct Waiting {
    lines: Mutex<Lines>,
    pub(super) places: Arc<Semaphore>,
    /// Records lost since the start.
    lost: AtomicU64,
    /// It was said that nothing can be written.
    pub(super) complained: AtomicBool,
    /// All that was to be written is: what comes later may be lost.
    drained: AtomicBool,
    pub(super) bell: Arc<Notify>,
}

impl Default for Waiting {
    fn default() -> Self {
        Self {
            lines: Mutex::default(),
            places: Arc::new(Semaphore::new(PLACES as usize)),
            lost: AtomicU64::new(0),
            complained: AtomicBool::new(false),
            drained: AtomicBool::new(false),
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

    /// Since when the oldest call waits.
    pub(super) fn oldest(&self) -> Option<Duration> {
        let lines = self.lines.lock();
        [lines.writing, lines.calls.front().map(|call| call.since)].into_iter().flatten().min()
    }

    /// What was taken is written.
    pub(super) fn written(&self) {
        self.lines.lock().writing = None;
    }
}

/// How many places a call takes.
fn places(event: &Rendered) -> u32 {
    u32::try_from(event.size().div_ceil(PLACE_BYTES)).unwrap_or(PLACES).clamp(1, PLACES)
}

impl Audit {
    fn rendered(&self, event: Event) -> Rendered {
        Rendered::new(event, &self.parts.region)
    }

    /// Keeps a record; durable when this returns. A client that goes away meanwhile changes nothing.
    pub async fn keep(&self, event: Event) -> Result<(), Unkept> {
        let event = self.rendered(event);
        let accounts: Vec<AccountId> = event.accounts().collect();
        let unkept = Unkept { trail: accounts.iter().any(|account| self.is_logged(*account)), full: false };
        // What changes nothing is not held up for ever by a log that does not answer; its record is written when it does.
        let waits = unkept.trail || !(event.facets().read_only || event.denied);
        let mut patience = self.parts.clock.sleep(PATIENCE);
        let place = tokio::select! {
            place = Arc::clone(&self.waiting.places).acquire_many_owned(places(&event)) => place.ok(),
            () = &mut patience => None,
        };
        let Some(places) = place else {
            self.lose(&event, 1, "too many calls waited for their records");
            return Err(unkept);
        };
        let (tell, told) = oneshot::channel();
        let since = self.parts.clock.boottime();
        self.waiting.lines.lock().calls.push_back(Call { event, tell, since, _places: places });
        self.waiting.bell.notify_one();
        let kept = tokio::select! {
            kept = told => kept.unwrap_or_else(|_| {
                for account in accounts {
                    self.lose_of(account, (1, self.now(), "what writes records failed"));
                }
                Kept::Lost
            }),
            () = &mut patience, if !waits => Kept::Lost,
        };
        match kept {
            Kept::Durable => Ok(()),
            Kept::Lost => Err(unkept),
            Kept::Full => Err(Unkept { full: true, ..unkept }),
        }
    }

    /// Takes a data event; who calls does not wait. It is dropped where no trail wants it.
    pub fn note(self: &Arc<Self>, event: Event) {
        let filters = self.filters.load();
        if !event.accounts().into_iter().any(|account| filters.want(account, &event.facets())) {
            return;
        }
        let event = self.rendered(event);
        {
            let mut lines = self.waiting.lines.lock();
            let size = event.size();
            if lines.data.len() >= DATA_MAX || lines.data_bytes + size > DATA_BYTES_MAX {
                drop(lines);
                self.lose(&event, 1, "too many data events waited");
                return;
            }
            lines.data_bytes += size;
            lines.data.push_back(event);
        }
        self.waiting.bell.notify_one();
        if self.waiting.drained.swap(false, Ordering::AcqRel) {
            // It comes behind the last that was to come: the next start is to say that it may be lost.
            let audit = Arc::clone(self);
            tokio::spawn(async move { audit.note_taking().await });
        }
    }

    /// That data events are taken, durably.
    pub(super) async fn note_taking(&self) {
        let writes = vec![Write::Put(super::row::taking(), bytes::Bytes::new())];
        if let Err(error) = self.commit(Layout::FIRST, writes).await {
            tracing::warn!(%error, "failed to note that data events are recorded");
        }
    }

    /// Says something of the appliance itself: in the history of an account and its trails, or in those alone.
    pub(super) fn say(&self, account: AccountId, name: &'static str, said: Value, for_trails_alone: bool) {
        let event = Event::of_itself(account, self.now(), name, said);
        let mut event = self.rendered(event);
        event.for_trails_alone = for_trails_alone;
        {
            let mut lines = self.waiting.lines.lock();
            if lines.data.len() >= DATA_MAX {
                return;
            }
            lines.data_bytes += event.size();
            lines.data.push_back(event);
        }
        self.waiting.bell.notify_one();
    }

    /// Whether a trail of the account's is logging.
    fn is_logged(&self, account: AccountId) -> bool {
        self.filters.load().0.get(&account).is_some_and(|all| all.iter().any(Filter::is_logging))
    }

    pub(super) fn lose(&self, event: &Rendered, count: u64, why: &'static str) {
        for account in event.accounts() {
            self.lose_of(account, (count, self.now(), why));
        }
    }

    pub(super) fn lose_of(&self, account: AccountId, (count, since, why): (u64, Timestamp, &'static str)) {
        self.waiting.lost.fetch_add(count, Ordering::Relaxed);
        self.tell_of(account, Lost { count, since, why });
    }

    /// Has the next commit that comes through say so.
    pub(super) fn tell_of(&self, account: AccountId, Lost { count, since, why }: Lost) {
        let mut lines = self.waiting.lines.lock();
        if lines.lost.len() < LOSERS_MAX || lines.lost.contains_key(&account) {
            let lost = lines.lost.entry(account).or_insert(Lost { count: 0, since, why });
            lost.count += count;
            lost.since = lost.since.min(since);
        }
    }

    /// The process before this one ended while data events were recorded.
    pub(super) fn tell_of_a_crash(&self) {
        let filters = self.filters.load_full();
        for (account, _) in filters.0.iter().filter(|(_, all)| all.iter().any(Filter::takes_data)) {
            let said = json!({
                "lostEvents": null,
                "reason": "the appliance stopped without warning: records of data events of its last moments may be missing",
            });
            self.say(*account, LOST, said, false);
        }
    }

    /// Events of which there is no record, and no record that says so yet.
    pub fn lost(&self) -> u64 {
        self.waiting.lines.lock().lost.values().map(|lost| lost.count).sum()
    }

    /// Says how many denials trails were spared: those of whose time it is, or all.
    pub(super) fn tell_of_spared(&self, all: bool) {
        let spared = self.rate.lock().over(self.parts.clock.boottime(), all);
        for (account, said) in spared {
            self.say(account, SPARED, said, true);
        }
    }

    /// Writes all that waits: before a stop, when nobody asks for anything any more.
    pub async fn drain(&self) {
        self.tell_of_spared(true);
        while self.write_some().await {}
        if self.lost() == 0 && self.takes_data() {
            // Nothing is under way that a crash could lose.
            self.waiting.drained.store(true, Ordering::Release);
            if let Err(error) = self.commit(Layout::FIRST, vec![Write::Delete(super::row::taking())]).await {
                tracing::warn!(%error, "failed to note that no audit record is under way");
            }
        }
    }

    /// What is to be written next.
    pub(super) fn gather(&self) -> VecDeque<Item> {
        let (mut items, mut lost) = (VecDeque::new(), BTreeMap::new());
        {
            let mut lines = self.waiting.lines.lock();
            while items.len() < BATCH {
                let Some(call) = lines.calls.pop_front() else { break };
                lines.writing.get_or_insert(call.since);
                items.push_back(Item::Call(call));
            }
            let mut bytes = 0;
            while items.len() < BATCH && bytes < BATCH_BYTES {
                let Some(event) = lines.data.pop_front() else { break };
                let size = event.size();
                lines.data_bytes = lines.data_bytes.saturating_sub(size);
                bytes += size;
                items.push_back(Item::Data(event));
            }
            if !items.is_empty() {
                lost = std::mem::take(&mut lines.lost);
            }
        }
        self.spare(&mut items);
        for (account, lost) in lost.into_iter().rev() {
            let since = crate::AmzDate::from_timestamp(lost.since).extended();
            let said = json!({ "lostEvents": lost.count, "since": since, "reason": lost.why });
            let event = Event::of_itself(account, self.now(), LOST, said);
            items.push_front(Item::Loss(lost, self.rendered(event)));
        }
        items
    }

    /// Marks denials of nobody known that are too many for trails.
    fn spare(&self, items: &mut VecDeque<Item>) {
        let now = (self.parts.clock.boottime(), self.now());
        let filters = self.filters.load();
        for item in items {
            let event = item.event_mut();
            if !event.denied || event.caller.is_known() {
                continue;
            }
            for account in event.accounts().collect::<Vec<_>>() {
                if !filters.want(account, &event.facets()) {
                    continue;
                }
                let (takes, told) = self.rate.lock().admit(account, event, now);
                if !takes {
                    event.spared.push(account);
                }
                if let Some(said) = told {
                    self.say(account, SPARED, said, true);
                }
            }
        }
    }
}

/// What says how many denials of nobody known trails were spared.
const SPARED: &str = "AuditDenialsOmitted";
