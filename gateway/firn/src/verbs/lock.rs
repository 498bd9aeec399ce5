//! `firn lock`: versions that are held since a recovery, because what was done to their locks just before is not known
//! (docs/adr/0010): listed by bucket, and released by a bucket once somebody has said so twice.

use super::door;
use crate::cli::{AdminDir, Lock, LockRelease};
use crate::exit::Exit;
use crate::report::Report;
use crate::session::Session;
use crate::text::{counted, printable};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::io::{self, Write};

pub(super) async fn run(session: &Session, args: &Lock) -> anyhow::Result<Exit> {
    match args {
        Lock::Ls(dir) => list(session, dir).await,
        Lock::Release(args) => release(session, args).await,
    }
}

/// A bucket with held versions.
#[derive(Debug, Serialize, Deserialize)]
struct HeldIn {
    bucket: String,
    versions: u64,
    /// The count stopped at its limit.
    more: bool,
}

#[derive(Debug, Serialize, Deserialize)]
struct Held {
    buckets: Vec<HeldIn>,
}

impl Report for Held {
    fn people(&self, out: &mut dyn Write) -> io::Result<()> {
        for held in &self.buckets {
            let more = if held.more { " or more" } else { "" };
            let versions = counted(held.versions, "version", "versions");
            writeln!(out, "s3://{}  {versions}{more}", printable(&held.bucket))?;
        }
        if self.buckets.is_empty() {
            return writeln!(out, "nothing is held since a recovery");
        }
        writeln!(
            out,
            "held until it is known what was done to their locks: firn lock release s3://BUCKET, or PutObjectLegalHold"
        )
    }
}

async fn list(session: &Session, dir: &AdminDir) -> anyhow::Result<Exit> {
    let answer = door::post(&session.admin(dir)?, "/v1/locks", &json!({ "action": "list" })).await?;
    session.output.print(&serde_json::from_value::<Held>(answer)?)
}

#[derive(Debug, Serialize, Deserialize)]
struct ReleaseReport {
    bucket: String,
    versions: u64,
    released: bool,
}

impl Report for ReleaseReport {
    fn people(&self, out: &mut dyn Write) -> io::Result<()> {
        let (bucket, versions) = (printable(&self.bucket), counted(self.versions, "version", "versions"));
        if self.released {
            return writeln!(out, "s3://{bucket}: {versions} released");
        }
        writeln!(out, "s3://{bucket}: {versions} held since a recovery would be released; nothing changed")?;
        writeln!(out, "the lost span may have locked any of them: look at them first, then say it with --yes")
    }

    fn exit(&self) -> Exit {
        if self.released { Exit::Ok } else { Exit::Usage }
    }
}

async fn release(session: &Session, args: &LockRelease) -> anyhow::Result<Exit> {
    let request = json!({ "action": "release", "bucket": args.bucket.name()?, "dry_run": !args.yes });
    let answer = door::post(&session.admin(&args.admin)?, "/v1/locks", &request).await;
    let answer = answer.map_err(|error| door::or_else_see(error, "see which there are: firn lock ls"))?;
    session.output.print(&serde_json::from_value::<ReleaseReport>(answer)?)
}
