//! `firn audit tail`: the newest events, and those that come.
//!
//! The history has one order, that in which records were written, and what is new stands before what is old: a look goes back to the first event that
//! was seen before. So none is left out, whatever its own time says, and none comes twice. Each look is a call and has a record itself: these are
//! known by the ids of their requests, and left out.

use super::event::Event;
use super::history::{Asked, Walk, newest};
use crate::cli::AuditTail;
use crate::exit::Exit;
use crate::session::Session;
use client::Client;
use std::collections::{HashSet, VecDeque};
use std::time::Duration;

/// Ids that are remembered: more than one look finds, for what was seen first may leave the history.
const IDS_MAX: usize = 20_000;
/// How long until the next look: after something came, and after nothing did for long.
const SOON: Duration = Duration::from_secs(2);
const LATER: Duration = Duration::from_secs(16);

/// The last ids of some kind.
#[derive(Default)]
struct Ids {
    order: VecDeque<String>,
    all: HashSet<String>,
}

impl Ids {
    fn has(&self, id: &str) -> bool {
        self.all.contains(id)
    }

    fn add(&mut self, id: &str) {
        if self.all.insert(id.to_owned()) {
            self.order.push_back(id.to_owned());
        }
        if self.order.len() > IDS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.all.remove(&oldest);
        }
    }
}

/// What was seen so far.
#[derive(Default)]
struct Seen {
    events: Ids,
    /// Our own looks.
    requests: Ids,
}

impl Seen {
    /// All that came since the look before, the oldest first; at the first look what the newest page has.
    async fn look(&mut self, client: &Client, is_first: bool) -> client::Result<Vec<Event>> {
        let mut walk = Walk::new(client, &Asked::default());
        let mut new = Vec::new();
        'walk: while let Some(page) = walk.next().await? {
            self.requests.add(&page.request_id);
            for event in page.events {
                if self.events.has(&event.event_id) {
                    break 'walk;
                }
                new.push(event);
            }
            if is_first {
                break;
            }
        }
        new.reverse();
        for event in &new {
            self.events.add(&event.event_id);
        }
        new.retain(|event| !self.is_own(event));
        Ok(new)
    }

    fn is_own(&self, event: &Event) -> bool {
        event.request_id().is_some_and(|id| self.requests.has(id))
    }
}

pub(super) async fn run(session: &Session, args: &AuditTail) -> anyhow::Result<Exit> {
    let client = session.client()?;
    let mut seen = Seen::default();
    if args.follow {
        // From here on nothing is missed.
        seen.look(&client, true).await?;
    }
    let asked = Asked { filter: args.filter.clone(), ..Asked::default() };
    let mut printed = HashSet::new();
    if args.lines > 0 {
        let found = newest(&client, &asked, args.lines as usize, |event| seen.is_own(event)).await?;
        for event in found.events.iter().rev() {
            session.output.item(event)?;
            printed.insert(event.event_id.clone());
        }
        found.requests.iter().for_each(|id| seen.requests.add(id));
    }
    if !args.follow {
        return Ok(Exit::Ok);
    }
    let mut wait = SOON;
    loop {
        session.clock.sleep(wait).await;
        let new = seen.look(&client, false).await?;
        wait = if new.is_empty() { (wait * 2).min(LATER) } else { SOON };
        for event in new.iter().filter(|event| event.is(&args.filter)) {
            if printed.remove(&event.event_id) {
                continue;
            }
            session.output.item(event)?;
        }
    }
}
