//! The event history: what `LookupEvents` answers, newest first, of the 90 days before.
//!
//! Both parts of an account's history are walked at once, by their records' places. A search looks at so many records a page, whatever it finds: a
//! page may be empty and have a next one. An account has four searches at once: the next is told to come again.

use super::Audit;
use super::error::{AuditError, Code, Result};
use super::row::{self, EventRow, Part, Place};
use crate::AccountId;
use engine::catalog::{Scan, Snapshot};
use engine::clock::Timestamp;
use serde_json::Value;
use std::collections::VecDeque;
use std::time::Duration;

/// How long the history is.
pub(super) const DAYS: Duration = Duration::from_hours(24 * 90);
/// Records that a page looks at, and bytes of them.
const LOOKED_MAX: usize = 5_000;
const LOOKED_BYTES_MAX: usize = 8 << 20;
/// Records that are looked at before others have a turn.
const TURN: usize = 64;
/// Lookups of an account at once.
const LOOKUPS_MAX: usize = 4;
/// Rows that are read at once: each has 8 KiB at the most.
const READ: usize = 64;
/// A record is written after its call ended: so much later at the most, unless the clock was set back.
const SLACK: Duration = Duration::from_mins(5);

/// What records are looked for by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attribute {
    /// `eventID`
    EventId,
    /// `eventName`
    EventName,
    /// `readOnly`
    ReadOnly,
    /// Who asked, by name.
    Username,
    /// Kinds of resources.
    ResourceType,
    /// Resources, by their names.
    ResourceName,
    /// `eventSource`
    EventSource,
    /// The key that signed.
    AccessKeyId,
}

/// What is looked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lookup<'a> {
    /// From when on.
    pub start: Option<Timestamp>,
    /// Until when.
    pub end: Option<Timestamp>,
    /// By what.
    pub wanted: Option<(Attribute, &'a str)>,
    /// How many at the most.
    pub limit: usize,
    /// Behind which one: what a page before said.
    pub after: Option<&'a str>,
}

/// A record that was found.
#[derive(Clone, Debug)]
pub struct Found {
    /// When its call ended.
    pub at: Timestamp,
    /// The record, JSON.
    pub record: String,
    /// The same, read.
    pub fields: Value,
}

/// A page of records.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// Newest first.
    pub found: Vec<Found>,
    /// Where the next page begins, if there may be one.
    pub next: Option<String>,
}

/// One part, walked backwards.
struct Walk {
    read: VecDeque<(Place, (bytes::Bytes, bytes::Bytes))>,
    next: Option<Scan>,
}

impl Walk {
    fn new(account: AccountId, part: Part, (from, to): (Place, Place)) -> Self {
        let scan = Scan {
            table: row::HISTORY,
            start: row::history(account, part, from).bytes,
            end: row::history(account, part, to).bytes,
            limit: READ,
            reverse: true,
            keys_only: false,
        };
        Self { read: VecDeque::new(), next: Some(scan) }
    }

    async fn peek(&mut self, audit: &Audit, snapshot: &dyn Snapshot) -> Result<Option<Place>> {
        while self.read.is_empty() {
            let Some(scan) = self.next.take() else { return Ok(None) };
            let page = snapshot.scan(scan.clone()).await?;
            self.next = scan.behind(&page);
            for (key, value) in page.rows {
                match Place::of_key(&key) {
                    Ok(place) => self.read.push_back((place, (key, value))),
                    Err(_) => audit.damaged.note("record", &key),
                }
            }
        }
        Ok(self.read.front().map(|(place, _)| *place))
    }
}

impl Found {
    /// Who asked, by name, as lookups have it.
    pub fn username(&self) -> Option<&str> {
        let user = &self.fields["userIdentity"];
        let text = |name: &str| user[name].as_str();
        match text("type") {
            Some("Root") => Some("root"),
            Some("AWSService") => text("invokedBy"),
            _ => text("userName")
                .or_else(|| text("principalId")?.rsplit(':').next())
                .filter(|name| !name.is_empty()),
        }
    }

    /// Names and kinds of what it was about.
    pub fn resources(&self) -> Vec<(String, String)> {
        let mut shown = Vec::new();
        for resource in self.fields["resources"].as_array().into_iter().flatten() {
            let (kind, arn) = (&resource["type"], &resource["ARN"]);
            if let (Some(kind), Some(arn)) = (kind.as_str(), arn.as_str()) {
                shown.push((kind.to_owned(), arn.strip_prefix("arn:aws:s3:::").unwrap_or(arn).to_owned()));
            }
        }
        shown
    }

    fn is(&self, (attribute, value): (Attribute, &str)) -> bool {
        let text = |name: &str| self.fields[name].as_str() == Some(value);
        match attribute {
            Attribute::EventId => text("eventID"),
            Attribute::EventName => text("eventName"),
            Attribute::EventSource => text("eventSource"),
            Attribute::ReadOnly => {
                self.fields["readOnly"].as_bool().is_some_and(|is| is.to_string() == value)
            }
            Attribute::Username => self.username() == Some(value),
            Attribute::AccessKeyId => self.fields["userIdentity"]["accessKeyId"].as_str() == Some(value),
            Attribute::ResourceType => self.resources().iter().any(|(kind, _)| kind == value),
            Attribute::ResourceName => self
                .resources()
                .iter()
                .any(|(_, name)| name == value || name.rsplit('/').next() == Some(value)),
        }
    }
}

/// A lookup under way.
pub(super) struct Turn<'a>(&'a Audit, AccountId);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut lookups = self.0.lookups.lock();
        if let Some(count) = lookups.get_mut(&self.1) {
            *count -= 1;
            if *count == 0 {
                lookups.remove(&self.1);
            }
        }
    }
}

impl Audit {
    pub(super) fn turn(&self, account: AccountId) -> Result<Turn<'_>> {
        let mut lookups = self.lookups.lock();
        let count = lookups.entry(account).or_default();
        if *count >= LOOKUPS_MAX {
            return Err(AuditError::new(Code::Throttling, "Rate exceeded"));
        }
        *count += 1;
        Ok(Turn(self, account))
    }

    /// Where records are that ended until then. While places are ahead of a clock that was set back, anywhere.
    fn places_until(&self, end: Timestamp) -> Place {
        let newest = self.newest.load(std::sync::atomic::Ordering::Acquire);
        let ahead = newest > Place::at(self.now().plus(SLACK)).number;
        if ahead { Place::LAST } else { Place::at(end.plus(SLACK)) }
    }

    /// What the history of an account has.
    pub async fn lookup(&self, account: AccountId, asked: &Lookup<'_>) -> Result<Page> {
        let _turn = self.turn(account)?;
        let now = self.sure_now();
        let first =
            Timestamp::from_millis(now.as_millis() - i64::try_from(DAYS.as_millis()).unwrap_or(i64::MAX));
        let start = asked.start.map_or(first, |start| start.max(first));
        if let (Some(start), Some(end)) = (asked.start, asked.end)
            && end < start
        {
            return Err(AuditError::new(Code::InvalidTimeRange, "The time range ends before it begins."));
        }
        let mut to = asked.end.map_or(Place::LAST, |end| self.places_until(end));
        if let Some(after) = asked.after {
            to = to.min(read_place(after)?);
        }
        let (from, to) = (Place::at(start), to);
        if from >= to {
            return Ok(Page::default());
        }
        let snapshot = self.snapshot().await?;
        let mut walks = Part::ALL.map(|part| Walk::new(account, part, (from, to)));
        let mut page = Page::default();
        let mut bytes = 0;
        for looked in 1..=LOOKED_MAX {
            if looked % TURN == 0 {
                tokio::task::yield_now().await;
            }
            let mut newest: Option<(Place, usize)> = None;
            for (number, walk) in walks.iter_mut().enumerate() {
                if let Some(place) = walk.peek(self, &*snapshot).await? {
                    newest = newest.max(Some((place, number)));
                }
            }
            let value = newest.and_then(|(_, number)| walks.get_mut(number)?.read.pop_front());
            let (Some((place, _)), Some((_, (key, value)))) = (newest, value) else {
                page.next = None;
                return Ok(page);
            };
            bytes += value.len();
            let EventRow { at, record, .. } = self.event_row(account, (&key, &value));
            page.next = Some(write_place(place));
            if at < start || asked.end.is_some_and(|end| at > end) {
                continue;
            }
            let fields = serde_json::from_str(&record).unwrap_or_default();
            let found = Found { at, record, fields };
            if asked.wanted.is_none_or(|wanted| found.is(wanted)) {
                page.found.push(found);
            }
            if page.found.len() >= asked.limit || bytes > LOOKED_BYTES_MAX {
                break;
            }
        }
        Ok(page)
    }
}

fn write_place(place: Place) -> String {
    format!("{:x}.{:x}", place.number, place.salt)
}

fn read_place(text: &str) -> Result<Place> {
    let place = text.split_once('.').and_then(|(number, salt)| {
        let number = u64::from_str_radix(number, 16).ok()?;
        Some(Place { number, salt: u32::from_str_radix(salt, 16).ok()? })
    });
    place
        .ok_or_else(|| AuditError::new(Code::InvalidParameter, "The token of a page is none that was given."))
}
