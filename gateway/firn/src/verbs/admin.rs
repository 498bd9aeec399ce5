//! Verbs that ask an appliance's admin door: `status`, `top`, `where`.
//!
//! The door's JSON is the report. People get a screen of what matters for a status (`status`), elsewhere the facts line by line.

use super::door::{ask, or_else_see};
use super::status::Status;
use crate::cli::{AdminDir, Top, Where};
use crate::exit::Exit;
use crate::report::Report;
use crate::session::Session;
use crate::text::{printable, quote_sh};
use anyhow::Context;
use engine::blob::LOCAL_ZONE;
use engine::unit::ByteCount;
use serde::Serialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IsTerminal, Write};

/// A document of the admin door.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(super) struct Document(pub(super) Value);

impl Report for Document {
    fn people(&self, out: &mut dyn Write) -> io::Result<()> {
        lines(&self.0, 0, out)
    }
}

/// Names and values, indented; lists of objects one block each.
fn lines(value: &Value, depth: usize, out: &mut dyn Write) -> io::Result<()> {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let label = name.replace('_', " ");
                match value {
                    Value::Object(inner) if !inner.is_empty() => {
                        writeln!(out, "{indent}{label}")?;
                        lines(value, depth + 1, out)?;
                    }
                    Value::Array(items) if !items.is_empty() => {
                        writeln!(out, "{indent}{label}")?;
                        for item in items {
                            lines(item, depth + 1, out)?;
                        }
                    }
                    _ => writeln!(out, "{indent}{label:24} {}", scalar(name, value))?,
                }
            }
            Ok(())
        }
        _ => writeln!(out, "{indent}{}", scalar("", value)),
    }
}

pub(super) fn scalar(name: &str, value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => printable(text),
        Value::Number(number) if name.ends_with("bytes") || matches!(name, "live" | "disk_available") => {
            number.as_u64().map_or_else(|| number.to_string(), |n| ByteCount::new(n).to_string())
        }
        Value::Array(_) | Value::Object(_) => "none".to_owned(),
        other => other.to_string(),
    }
}

/// What a server of a version that says a fact in another form answers can't be shown; the document itself can.
fn read_status(document: Value) -> anyhow::Result<Status> {
    Status::read(document).context("read the status that the server answered (--json shows it as it is)")
}

pub(super) async fn status(session: &Session, args: &AdminDir) -> anyhow::Result<Exit> {
    let admin = session.admin(args)?;
    let document = ask(&admin, "/v1/status", &[]).await?;
    if session.output.json {
        return session.output.print(&Document(document));
    }
    session.output.print(&read_status(document)?)
}

pub(super) async fn where_is(session: &Session, args: &Where) -> anyhow::Result<Exit> {
    let object = args.object.object()?;
    let admin = session.admin(&args.admin)?;
    let mut query = vec![("bucket", object.bucket), ("key", object.key)];
    if let Some(version) = object.version {
        query.push(("version", version));
    }
    let answer = ask(&admin, "/v1/where", &query).await;
    let hint = |error: &anyhow::Error| match error.to_string() {
        text if text.contains("bucket") && !text.contains("the key") => {
            "see which buckets there are: firn ls".to_owned()
        }
        _ => {
            let above = object.key.rsplit_once('/').map(|(above, _)| format!("{above}/")).unwrap_or_default();
            format!("see what is there: firn ls {}", quote_sh(&format!("s3://{}/{above}", object.bucket)))
        }
    };
    let answer = answer.map_err(|error| {
        let hint = hint(&error);
        or_else_see(error, &hint)
    })?;
    session.output.print(&Whereabouts(answer))
}

/// Where an object lies: for people its records are one line for each segment.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Whereabouts(Value);

impl Report for Whereabouts {
    fn people(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut facts = self.0.clone();
        let places = facts.as_object_mut().and_then(|facts| facts.remove("places")).unwrap_or_default();
        lines(&facts, 0, out)?;
        let mut segments: BTreeMap<(String, String), (usize, u64, u64)> = BTreeMap::new();
        let mut missing = BTreeSet::new();
        for place in places.as_array().into_iter().flatten() {
            let text = |name: &str| place[name].as_str().map(printable).unwrap_or_default();
            let number = |name: &str| place[name].as_u64().unwrap_or_default();
            // A pool of one zone is called by its own name.
            let home = match text("zone") {
                zone if zone.is_empty() || zone == LOCAL_ZONE => text("pool"),
                zone => format!("zone {zone}"),
            };
            if place["missing"] == true {
                missing.insert(text("segment"));
            }
            let sum = segments.entry((home, text("segment"))).or_insert((0, 0, u64::MAX));
            *sum = (sum.0 + 1, sum.1 + number("stored_bytes"), sum.2.min(number("offset")));
        }
        writeln!(out, "places")?;
        for ((pool, segment), (records, stored, first)) in segments {
            let stored = ByteCount::new(stored);
            if segment.is_empty() {
                writeln!(out, "  {pool:8} {stored}, beside its row")?;
            } else {
                let what = if records == 1 { "record" } else { "records" };
                let note = if missing.contains(&segment) { ", MISSING" } else { "" };
                writeln!(
                    out,
                    "  {pool:8} segment {segment}: {stored} in {records} {what} from offset {first}{note}"
                )?;
            }
        }
        Ok(())
    }
}

pub(super) async fn top(session: &Session, args: &Top) -> anyhow::Result<Exit> {
    let admin = session.admin(&args.admin)?;
    let redraws = !args.once && !session.output.json && io::stdout().is_terminal();
    loop {
        let mut document = ask(&admin, "/v1/status", &[]).await?;
        document["workers"] = ask(&admin, "/v1/workers", &[]).await?;
        if redraws {
            // Cursor home, clear to the end: no flicker.
            io::stdout().lock().write_all(b"\x1b[H\x1b[2J")?;
        }
        if session.output.json {
            session.output.item(&Document(document))?;
        } else {
            session.output.item(&read_status(document)?)?;
        }
        if args.once {
            return Ok(Exit::Ok);
        }
        session.clock.sleep(args.interval).await;
    }
}

#[cfg(test)]
mod tests {
    use super::{Document, Whereabouts};
    use crate::report::{Report, render};

    fn people(report: &impl Report) -> String {
        let mut text = Vec::new();
        render(report, false, &mut text).unwrap();
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn an_object_is_in_so_many_records_of_each_segment() {
        let record = |offset: u64| {
            serde_json::json!({
                "pool": "local", "segment": "ab", "offset": offset, "stored_bytes": 1_048_576,
            })
        };
        let large = Whereabouts(serde_json::json!({ "key": "k", "places": [record(8192), record(4096)] }));
        let inline =
            serde_json::json!([{ "pool": "catalog", "segment": "", "offset": 0, "stored_bytes": 13 }]);
        let small = Whereabouts(serde_json::json!({ "key": "k", "places": inline }));
        insta::assert_snapshot!(people(&large) + &people(&small));
    }

    #[test]
    fn documents_are_shown_line_by_line() {
        let document = Document(serde_json::json!({
            "region": "us-east-1",
            "disk": { "free_bytes": 1_048_576, "total_bytes": 2_097_152 },
            "workers": [{ "name": "collector", "last_error": null }],
            "hostile": "a\u{1b}[2J",
            "none": [],
        }));
        let mut people = Vec::new();
        render(&document, false, &mut people).unwrap();
        insta::assert_snapshot!(String::from_utf8(people).unwrap());
        let mut json = Vec::new();
        render(&document, true, &mut json).unwrap();
        assert_eq!(serde_json::from_slice::<serde_json::Value>(&json).unwrap(), document.0);
    }
}
