//! `firn dedup`: which buckets store what they have in common once, and what that saves.

use super::door;
use crate::cli::{Dedup, DedupBucket, DedupList, QuotaAdmin, S3Uri};
use crate::exit::Exit;
use crate::report::rows::{Row, Rows};
use crate::session::Session;
use crate::text::printable;
use anyhow::Context;
use client::Deduplicated;
use engine::unit::ByteCount;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::fmt;
use std::io::{self, Write};

pub(super) async fn run(session: &Session, args: &Dedup) -> anyhow::Result<Exit> {
    match args {
        Dedup::On(args) => switch(session, args, "on").await,
        Dedup::Off(args) => switch(session, args, "off").await,
        Dedup::Ls(args) => list(session, args).await,
    }
}

/// A bucket's deduplication, as the admin door has it.
#[derive(Debug, Serialize, Deserialize)]
struct Deduplicates {
    bucket: String,
    on: bool,
    #[serde(flatten)]
    saving: Saving,
}

impl Row for Deduplicates {
    const NONE: &'static str = "nothing is deduplicated";

    fn line(&self, out: &mut dyn Write) -> io::Result<()> {
        let state = if self.on { "on" } else { "off" };
        let uri = printable(&format!("s3://{}", self.bucket));
        write!(out, "{state:3} {}  {uri}", self.saving)
    }
}

/// What deduplication saves.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[expect(clippy::struct_field_names, reason = "as they are called in JSON, with their unit")]
pub(super) struct Saving {
    written_bytes: u64,
    stored_bytes: u64,
    saved_bytes: u64,
}

impl From<Deduplicated> for Saving {
    fn from(found: Deduplicated) -> Self {
        let saved_bytes = found.saved_bytes();
        Self { written_bytes: found.written_bytes, stored_bytes: found.stored_bytes, saved_bytes }
    }
}

impl fmt::Display for Saving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = self.saved_bytes.saturating_mul(100).checked_div(self.written_bytes).unwrap_or(0);
        let [saved, written, stored] =
            [self.saved_bytes, self.written_bytes, self.stored_bytes].map(ByteCount::new);
        write!(f, "{saved} saved ({percent} %): {written} written, {stored} stored")
    }
}

async fn ask(session: &Session, admin: &QuotaAdmin, request: &Value) -> anyhow::Result<Vec<Deduplicates>> {
    let answer = door::post(&session.admin(&admin.dir())?, "/v1/dedup", request).await;
    let mut answer =
        answer.map_err(|error| door::or_else_see(error, "see which buckets there are: firn ls"))?;
    serde_json::from_value(answer["buckets"].take()).context("understand the admin door")
}

async fn switch(session: &Session, args: &DedupBucket, action: &str) -> anyhow::Result<Exit> {
    let request = json!({ "action": action, "bucket": args.bucket.name()? });
    let rows = ask(session, &args.admin, &request).await?;
    let is_new = action == "on" && rows.iter().all(|row| row.saving.written_bytes == 0);
    if is_new {
        session
            .output
            .note("firn: what is there already stays as it is; what is written from now on is deduplicated");
    }
    session.output.print(&Rows(rows))
}

async fn list(session: &Session, args: &DedupList) -> anyhow::Result<Exit> {
    let bucket = args.place.as_ref().map(S3Uri::require_bucket_alone).transpose()?;
    let rows = ask(session, &args.admin, &json!({ "action": "list", "bucket": bucket })).await?;
    session.output.print(&Rows(rows))
}

#[cfg(test)]
mod tests {
    use super::{Deduplicates, Rows};
    use crate::report::render;
    use client::Deduplicated;

    #[test]
    fn what_deduplication_saves_is_a_line_for_people() {
        let row = |on, written_bytes, stored_bytes| Deduplicates {
            bucket: "bkt".to_owned(),
            on,
            saving: Deduplicated { written_bytes, stored_bytes }.into(),
        };
        let mut text = Vec::new();
        render(&Rows(vec![row(true, 4 << 30, 1 << 30), row(false, 0, 0)]), false, &mut text).unwrap();
        render(&Rows::<Deduplicates>(Vec::new()), false, &mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert_eq!(
            text.lines().collect::<Vec<_>>(),
            [
                "on  3.0 GiB saved (75 %): 4.0 GiB written, 1.0 GiB stored  s3://bkt",
                "off 0 B saved (0 %): 0 B written, 0 B stored  s3://bkt",
                "nothing is deduplicated",
            ]
        );
    }
}
