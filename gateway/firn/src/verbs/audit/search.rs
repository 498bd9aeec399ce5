//! `firn audit search`.

use super::event::Event;
use super::history::{self, Asked};
use crate::cli::AuditSearch;
use crate::exit::Exit;
use crate::report::Report;
use crate::session::Session;
use serde::Serialize;
use std::io::{self, Write};

/// What was found.
#[derive(Debug, Serialize)]
struct Found {
    events: Vec<Event>,
    /// There may be older ones beyond the limit.
    more: bool,
}

impl Report for Found {
    fn people(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.events.is_empty() {
            return writeln!(out, "no events");
        }
        self.events.iter().try_for_each(|event| event.people(out))
    }
}

pub(super) async fn run(session: &Session, args: &AuditSearch) -> anyhow::Result<Exit> {
    let now = session.clock.now();
    let asked = Asked {
        filter: args.filter.clone(),
        since: args.span.since.map(|when| when.at(now)),
        until: args.span.until.map(|when| when.at(now)),
    };
    let found = history::newest(&session.client()?, &asked, args.limit as usize, |_| false).await?;
    let (events, more) = (found.events, found.more);
    if more {
        session
            .output
            .note(&format!("firn: there may be older ones: --limit takes more than {}", args.limit));
    }
    session.output.print(&Found { events, more })
}
