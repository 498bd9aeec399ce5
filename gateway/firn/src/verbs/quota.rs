//! `firn quota`: how much a bucket or a prefix may hold, and how much it does.

use super::door::{self, ask};
use crate::cli::{self, QuotaAdmin, QuotaList, QuotaRemove, QuotaSet};
use crate::exit::{Exit, Failure};
use crate::report::Report;
use crate::report::rows::{Row, Rows};
use crate::session::Session;
use crate::text::printable;
use anyhow::Context;
use engine::unit::ByteCount;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::io::{self, Write};

pub(super) async fn run(session: &Session, args: &cli::Quota) -> anyhow::Result<Exit> {
    match args {
        cli::Quota::Set(args) => set(session, args).await,
        cli::Quota::Ls(args) => list(session, args).await,
        cli::Quota::Rm(args) => remove(session, args).await,
    }
}

/// A quota, as the admin door has it.
#[derive(Debug, Serialize, Deserialize)]
struct Quota {
    bucket: String,
    prefix: String,
    state: String,
    percent: Option<u64>,
    warn_percent: u8,
    limit_bytes: Option<u64>,
    used_bytes: Option<u64>,
    limit_objects: Option<u64>,
    used_objects: Option<u64>,
}

impl Row for Quota {
    const NONE: &'static str = "no quotas";

    fn line(&self, out: &mut dyn Write) -> io::Result<()> {
        let of = |used: Option<String>, limit: Option<String>| match (used, limit) {
            (_, None) => "-".to_owned(),
            (None, Some(limit)) => format!("? of {limit}"),
            (Some(used), Some(limit)) => format!("{used} of {limit}"),
        };
        let size = |bytes: u64| ByteCount::new(bytes).to_string();
        let bytes = of(self.used_bytes.map(size), self.limit_bytes.map(size));
        let count = self.used_objects.map(|count| count.to_string());
        let objects = of(count, self.limit_objects.map(|count| format!("{count} objects")));
        let percent = self.percent.map_or_else(|| "?".to_owned(), |percent| format!("{percent} %"));
        let uri = printable(&format!("s3://{}/{}", self.bucket, self.prefix));
        write!(out, "{percent:>6} {:8} {bytes:>24} {objects:>28}  {uri}", self.state)
    }
}

#[derive(Debug, Serialize)]
struct Removed {
    bucket: String,
    prefix: String,
}

impl Report for Removed {
    fn people(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "removed the quota of {}", printable(&format!("s3://{}/{}", self.bucket, self.prefix)))
    }
}

async fn post(session: &Session, admin: &QuotaAdmin, request: &Value) -> anyhow::Result<Value> {
    door::post(&session.admin(&admin.dir())?, "/v1/quota", request).await
}

async fn set(session: &Session, args: &QuotaSet) -> anyhow::Result<Exit> {
    let request = json!({
        "action": "set",
        "bucket": args.place.bucket,
        "prefix": args.place.key,
        "bytes": args.limits.bytes,
        "objects": args.limits.objects,
        "warn_percent": args.warn,
    });
    let answer = post(session, &args.admin, &request).await;
    let answer = answer.map_err(|error| door::or_else_see(error, "see which buckets there are: firn ls"))?;
    let row: Quota = serde_json::from_value(answer).context("understand the admin door")?;
    if row.state == "counting" {
        session
            .output
            .note("firn: what is there already is being counted; the quota holds once it is (firn quota ls)");
    }
    session.output.print(&Rows(vec![row]))
}

async fn list(session: &Session, args: &QuotaList) -> anyhow::Result<Exit> {
    let admin = session.admin(&args.admin.dir())?;
    let bucket = args.place.as_ref().map(|place| place.bucket.as_str());
    let query: Vec<_> = bucket.map(|bucket| ("bucket", bucket)).into_iter().collect();
    let mut answer = ask(&admin, "/v1/quotas", &query).await?;
    let mut rows: Vec<Quota> =
        serde_json::from_value(answer["quotas"].take()).context("understand the admin door")?;
    // A prefix asks for the quotas at or below it.
    if let Some(place) = &args.place {
        rows.retain(|row| row.prefix.starts_with(&place.key));
    }
    let exit = session.output.print(&Rows(rows))?;
    unread(&answer).map_or(Ok(exit), |failure| Err(failure.into()))
}

/// What to end with where the quotas of some buckets can't be read.
fn unread(answer: &Value) -> Option<Failure> {
    let unread = answer["unread"].as_array().filter(|unread| !unread.is_empty())?;
    let why = |bucket: &Value| {
        let part = |name: &str| printable(bucket[name].as_str().unwrap_or_default());
        format!("s3://{}: {}", part("bucket"), part("error"))
    };
    let all = unread.iter().map(why).collect::<Vec<_>>().join("; ");
    Some(Failure::new(Exit::Partial, format!("quotas that can't be read: {all}")))
}

async fn remove(session: &Session, args: &QuotaRemove) -> anyhow::Result<Exit> {
    let (bucket, prefix) = (args.place.bucket.clone(), args.place.key.clone());
    let request = json!({ "action": "remove", "bucket": bucket, "prefix": prefix });
    let removed = post(session, &args.admin, &request).await;
    removed.map_err(|error| door::or_else_see(error, "see which there are: firn quota ls"))?;
    session.output.print(&Removed { bucket, prefix })
}

#[cfg(test)]
mod tests {
    use super::{Quota, Rows, unread};
    use crate::exit::Exit;
    use crate::report::render;
    use serde_json::json;

    #[test]
    fn a_list_that_lacks_buckets_is_a_partial_one() {
        assert!(unread(&json!({ "quotas": [] })).is_none());
        assert!(unread(&json!({ "quotas": [], "unread": [] })).is_none());
        let lost = json!([{ "bucket": "a", "error": "gone\u{1b}" }, { "bucket": "b", "error": "shut" }]);
        let failure = unread(&json!({ "quotas": [], "unread": lost })).unwrap();
        assert_eq!(failure.exit, Exit::Partial);
        assert_eq!(failure.text, r"quotas that can't be read: s3://a: gone\u{1b}; s3://b: shut");
    }

    #[test]
    fn a_quota_is_a_line_for_people() {
        let row = |prefix: &str, percent, used| Quota {
            bucket: "bkt".to_owned(),
            prefix: prefix.to_owned(),
            state: "fine".to_owned(),
            percent,
            warn_percent: 80,
            limit_bytes: Some(10 << 30),
            used_bytes: used,
            limit_objects: Some(9),
            used_objects: used.map(|_| 3),
        };
        let mut text = Vec::new();
        let rows = Rows(vec![row("", Some(10), Some(1 << 30)), row("a\u{1b}/", None, None)]);
        render(&rows, false, &mut text).unwrap();
        render(&Rows::<Quota>(Vec::new()), false, &mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        let lines: Vec<String> =
            text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        assert_eq!(
            lines,
            [
                "10 % fine 1.0 GiB of 10.0 GiB 3 of 9 objects s3://bkt/",
                r"? fine ? of 10.0 GiB ? of 9 objects s3://bkt/a\u{1b}/",
                "no quotas"
            ]
        );
    }
}
