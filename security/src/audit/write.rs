//! What waits becomes rows: one commit for all, while the next gather.
//!
//! A commit that fails refuses whoever waits, and loses data events: the next one that comes through says how many. One that is refused for what is in
//! it is repeated a record at a time, so that only what can't be written is lost. A crash loses the data events of the commit that was under way and
//! those behind it, a second's at the most; the row `TAKING`, which is there as long as data events are taken, has the next start say so.

use super::event::Category;
use super::queue::{Item, Kept};
use super::render::Rendered;
use super::row::{self, EventRow, Held, Part, Place, TrailId};
use super::selector::Facets;
use super::{Audit, Filters};
use crate::AccountId;
use engine::Error;
use engine::catalog::record::Record as _;
use engine::catalog::{Layout, Write};
use engine::clock::Timestamp;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use tokio::sync::Notify;

/// Bytes that wait for a trail, and those of them that are of nobody known.
pub(super) const TRAIL_BYTES_MAX: i64 = 256 << 20;
pub(super) const STRANGERS_BYTES_MAX: i64 = TRAIL_BYTES_MAX / 4;
/// Bytes of a commit's rows; a commit has 4 MiB, and a record is twelve rows of 60 KiB at the most.
const COMMIT_BYTES: usize = 3 << 20;
/// Rows and counters of a commit; it has 10,000.
const COMMIT_ROWS: usize = 5_000;

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

/// What a commit has.
#[derive(Default)]
struct Rows {
    writes: Vec<Write>,
    held: BTreeMap<Held, i64>,
    bytes: usize,
    /// It has something for a trail.
    for_trails: bool,
    /// What trails had no room for.
    unheld: Vec<(AccountId, &'static str)>,
    /// Trails that have their last record by it.
    ended: Vec<TrailId>,
}

impl Rows {
    fn put(&mut self, (key, value): (engine::catalog::Key, bytes::Bytes), held: &[Held]) {
        let length = key.bytes.len() + value.len();
        self.bytes += length;
        for held in held {
            *self.held.entry(*held).or_default() += i64::try_from(length).unwrap_or(i64::MAX);
        }
        self.writes.push(Write::Put(key, value));
    }

    fn has_room(&self) -> bool {
        self.bytes < COMMIT_BYTES && self.writes.len() + self.held.len() < COMMIT_ROWS
    }
}

/// Writes what waits until the trail is gone. A panic loses what was being written, and what waits goes on.
pub(super) async fn write_all(audit: Weak<Audit>, bell: Arc<Notify>) {
    loop {
        let (audit, bell) = (Weak::clone(&audit), Arc::clone(&bell));
        let writing = async move {
            loop {
                bell.notified().await;
                let Some(audit) = audit.upgrade() else { return };
                while audit.write_some().await {}
            }
        };
        match tokio::spawn(writing).await {
            Err(error) if error.is_panic() => {
                tracing::error!("what writes audit records panicked; its message is on standard error");
            }
            _ => return,
        }
    }
}

/// Refused for what is in it, not for how the catalog is.
fn is_of_one(error: &Error) -> bool {
    !matches!(error, Error::Full { .. } | Error::Unknown { .. } | Error::Fenced { .. } | Error::Closed)
}

impl Audit {
    /// Writes a batch, and tells who waits. False: nothing waits.
    pub(super) async fn write_some(&self) -> bool {
        let mut last = self.writing.lock().await;
        let mut items = self.gather();
        if items.is_empty() {
            return false;
        }
        let (now, filters) = (self.now(), self.filters.load_full());
        // Records may be large: then a batch is more than one commit.
        while !items.is_empty() {
            let (mut rows, mut taken) = (Rows::default(), Vec::new());
            while rows.has_room()
                && let Some(item) = items.pop_front()
            {
                self.rows_of(item.event(), &filters, (&mut last, now), &mut rows);
                taken.push(item);
            }
            match self.put(rows).await {
                Err(error) if taken.len() > 1 && is_of_one(&error) => {
                    tracing::warn!(%error, "failed to write audit records together: each is tried alone");
                    for item in taken {
                        let mut rows = Rows::default();
                        self.rows_of(item.event(), &filters, (&mut last, now), &mut rows);
                        let outcome = self.put(rows).await;
                        self.settle(item, &outcome);
                    }
                }
                outcome => taken.into_iter().for_each(|item| self.settle(item, &outcome)),
            }
            self.newest.store(last.0, Ordering::Release);
        }
        self.waiting.written();
        drop(last);
        self.recount().await;
        true
    }

    /// Tells who waits, and counts what is lost.
    fn settle(&self, item: Item, outcome: &engine::Result<()>) {
        let kept = match outcome {
            Ok(()) => Kept::Durable,
            Err(Error::Full { .. }) => Kept::Full,
            Err(_) => Kept::Lost,
        };
        let why = match outcome {
            Err(Error::Unknown { .. }) => "whether records were written is not known: they may be there",
            _ => "records could not be written",
        };
        let is_lost = kept != Kept::Durable;
        match item {
            Item::Call(call) => {
                if is_lost {
                    self.lose(&call.event, 1, why);
                }
                // Who has gone is not told.
                let _gone = call.tell.send(kept);
            }
            Item::Loss(lost, event) if is_lost => self.tell_of(event.account, lost),
            // What the appliance says of itself is no event whose loss is told.
            Item::Data(event) if is_lost && !event.is_own => self.lose(&event, 1, why),
            Item::Loss(..) | Item::Data(_) => {}
        }
    }

    async fn put(&self, rows: Rows) -> engine::Result<()> {
        let Rows { writes, held, for_trails, unheld, ended, .. } = rows;
        let layout = if for_trails { Layout::TRAILS } else { Layout::FIRST };
        let held: Vec<(Held, i64)> = held.into_iter().collect();
        let outcome = self.commit_counted(layout, writes, &held).await;
        if let Err(error) = &outcome {
            if !self.waiting.complained.swap(true, Ordering::Relaxed) {
                tracing::error!(%error, "failed to write audit records");
            }
            return outcome;
        }
        self.waiting.complained.store(false, Ordering::Relaxed);
        for (account, why) in unheld {
            self.lose_of(account, (1, self.now(), why));
        }
        for (what, by) in held {
            self.ring(what, by);
        }
        self.have_ended(&ended);
        outcome
    }

    /// Wakes whoever has to do with so much more of this.
    fn ring(&self, what: Held, by: i64) {
        let count = self.held(what);
        match what {
            Held::Part(_, part) if count > super::tidy::most(part) => self.tidy_bell.notify_one(),
            // Another file's worth: once for each.
            Held::Trail(..) if (count - by) / super::deliver::FILE < count / super::deliver::FILE => {
                self.trail_bell.notify_one();
            }
            _ => {}
        }
    }

    fn rows_of(
        &self,
        event: &Rendered,
        filters: &Filters,
        (last, now): (&mut Last, Timestamp),
        rows: &mut Rows,
    ) {
        let facets = event.facets();
        for (account, full, brief) in event.records(&*self.parts.entropy) {
            let salt = u32::from_le_bytes(engine::id::random_bytes(&*self.parts.entropy));
            let place = Place { number: last.next(now), salt };
            let encoded = |record| EventRow { at: event.at, caller: event.caller, record }.to_bytes();
            let full = encoded(full);
            if (event.category == Category::Management || event.denied) && !event.for_trails_alone {
                let part = if event.denied { Part::Denials } else { Part::Calls };
                let brief = brief.map_or_else(|| full.clone(), encoded);
                rows.put((row::history(account, part, place), brief), &[Held::Part(account, part)]);
            }
            if event.spared.contains(&account) {
                continue;
            }
            for filter in filters.0.get(&account).into_iter().flatten().filter(|filter| filter.takes(&facets))
            {
                let held = [Held::Trail(account, filter.id), Held::Strangers(account, filter.id)];
                let held = if event.caller.is_known() { &held[..1] } else { &held[..] };
                let most = [TRAIL_BYTES_MAX, STRANGERS_BYTES_MAX];
                if held.iter().zip(most).any(|(held, most)| self.held(*held) > most) {
                    // That something was lost is no event whose loss is told.
                    if !event.is_own {
                        rows.unheld.push((account, "too much waits for a trail's bucket"));
                    }
                    continue;
                }
                rows.for_trails = true;
                rows.put((row::queued(account, filter.id, place), full.clone()), held);
                if filter.is_ending {
                    rows.ended.push(filter.id);
                }
            }
        }
    }
}

impl Filters {
    pub(super) fn want(&self, account: AccountId, facets: &Facets<'_>) -> bool {
        self.0.get(&account).is_some_and(|all| all.iter().any(|filter| filter.takes(facets)))
    }
}
