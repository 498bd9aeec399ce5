//! The history of calls, newest first, a page at a time.

use super::event::Event;
use crate::cli::EventFilter;
use crate::report::time::in_seconds;
use client::{Client, JsonService};
use engine::clock::Timestamp;
use serde_json::{Value, json};

/// What is asked for.
const OPERATION: &str = "LookupEvents";
/// Events of a page.
const PAGE: u32 = 50;
/// Pages of one walk: far more than a history has.
const PAGES_MAX: usize = 100_000;

/// What is looked for.
#[derive(Clone, Debug, Default)]
pub(super) struct Asked {
    pub(super) filter: EventFilter,
    pub(super) since: Option<Timestamp>,
    pub(super) until: Option<Timestamp>,
}

/// A walk through the history.
pub(super) struct Walk<'a> {
    client: &'a Client,
    body: Value,
    pages: usize,
    is_over: bool,
}

/// A page of it.
pub(super) struct Page {
    /// Newest first.
    pub(super) events: Vec<Event>,
    /// The id of the request that asked for it, of which there is an event, too.
    pub(super) request_id: String,
}

impl<'a> Walk<'a> {
    /// Begins at the newest. The history looks for one attribute; what else is asked for is the caller's to look at.
    pub(super) fn new(client: &'a Client, asked: &Asked) -> Self {
        let mut body = json!({ "MaxResults": PAGE });
        let filter = &asked.filter;
        // The one that most likely says most comes first.
        let attributes = [
            ("AccessKeyId", &filter.access_key),
            ("ResourceName", &filter.resource),
            ("Username", &filter.user),
            ("EventName", &filter.event_name),
        ];
        if let Some((name, value)) =
            attributes.into_iter().find_map(|(name, value)| Some((name, value.as_ref()?)))
        {
            body["LookupAttributes"] = json!([{ "AttributeKey": name, "AttributeValue": value }]);
        }
        for (name, at) in [("StartTime", asked.since), ("EndTime", asked.until)] {
            if let Some(at) = at {
                body[name] = in_seconds(at);
            }
        }
        Self { client, body, pages: 0, is_over: false }
    }

    /// The next page; `None` behind the last one.
    pub(super) async fn next(&mut self) -> client::Result<Option<Page>> {
        if self.is_over {
            return Ok(None);
        }
        let protocol =
            |detail: &str| client::Error::Protocol { operation: OPERATION, detail: detail.to_owned() };
        let answer = self.client.json(JsonService::CLOUD_TRAIL, OPERATION, &self.body, &["Events"]).await?;
        let said = answer.body["Events"].as_array().ok_or_else(|| protocol("its events are no list"))?;
        let events = said.iter().map(|said| Event::of(said).ok_or_else(|| protocol("an event has no id")));
        let events = events.collect::<client::Result<_>>()?;
        self.pages += 1;
        match answer.body["NextToken"].as_str() {
            None => self.is_over = true,
            Some(next) if self.body["NextToken"].as_str() == Some(next) || self.pages >= PAGES_MAX => {
                return Err(protocol("its pages do not end"));
            }
            Some(next) => self.body["NextToken"] = next.into(),
        }
        Ok(Some(Page { events, request_id: answer.request_id }))
    }

    /// Whether there may be more.
    pub(super) const fn goes_on(&self) -> bool {
        !self.is_over
    }
}

/// What a walk found.
pub(super) struct Found {
    /// Newest first.
    pub(super) events: Vec<Event>,
    /// Whether there may be more.
    pub(super) more: bool,
    /// The ids of the requests that asked.
    pub(super) requests: Vec<String>,
}

/// The newest events that were asked for, so many at the most, but for those that are `left_out`.
pub(super) async fn newest(
    client: &Client,
    asked: &Asked,
    most: usize,
    left_out: impl Fn(&Event) -> bool,
) -> client::Result<Found> {
    let mut walk = Walk::new(client, asked);
    let mut found = Found { events: Vec::new(), more: false, requests: Vec::new() };
    while let Some(page) = walk.next().await? {
        found.requests.push(page.request_id);
        for event in page.events.into_iter().filter(|event| event.is(&asked.filter) && !left_out(event)) {
            if found.events.len() == most {
                found.more = true;
                return Ok(found);
            }
            found.events.push(event);
        }
        if found.events.len() == most {
            break;
        }
    }
    found.more = walk.goes_on();
    Ok(found)
}
