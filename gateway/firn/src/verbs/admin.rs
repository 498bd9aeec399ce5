//! Verbs that ask an appliance's admin door: `status`, `top`, `where`.
//!
//! The door's JSON is the report; people get the same facts line by line.

use crate::cli::{AdminDir, Top, Where};
use crate::exit::Exit;
use crate::report::Report;
use crate::session::Session;
use crate::text::printable;
use client::Admin;
use engine::unit::ByteCount;
use serde::Serialize;
use serde_json::Value;
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

fn scalar(name: &str, value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => printable(text),
        Value::Number(number) if name.ends_with("bytes") => {
            number.as_u64().map_or_else(|| number.to_string(), |n| ByteCount::new(n).to_string())
        }
        Value::Array(_) | Value::Object(_) => "none".to_owned(),
        other => other.to_string(),
    }
}

pub(super) async fn ask(admin: &Admin, path: &str, query: &[(&str, &str)]) -> anyhow::Result<Value> {
    let body = admin.get(path, query).await?;
    serde_json::from_slice(&body).map_err(|error| anyhow::anyhow!("understand the admin door: {error}"))
}

pub(super) async fn status(session: &Session, args: &AdminDir) -> anyhow::Result<Exit> {
    let admin = session.admin(args)?;
    session.output.print(&Document(ask(&admin, "/v1/status", &[]).await?))
}

pub(super) async fn where_is(session: &Session, args: &Where) -> anyhow::Result<Exit> {
    let key = args.target.require_key()?;
    let admin = session.admin(&args.admin)?;
    let mut query = vec![("bucket", args.target.bucket.as_str()), ("key", key)];
    if let Some(version) = &args.version_id {
        query.push(("version", version));
    }
    session.output.print(&Document(ask(&admin, "/v1/where", &query).await?))
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
        session.output.item(&Document(document))?;
        if args.once {
            return Ok(Exit::Ok);
        }
        session.clock.sleep(args.interval).await;
    }
}

#[cfg(test)]
mod tests {
    use super::Document;
    use crate::report::render;

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
