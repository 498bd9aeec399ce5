//! `mb` and `rb`.

use super::remove::{self, Removed};
use crate::cli::{Mb, Rb};
use crate::exit::Exit;
use crate::report::Report;
use crate::session::Session;
use serde::Serialize;
use std::io::{self, Write};

#[derive(Debug, Serialize)]
struct MadeBucket {
    bucket: String,
    versioning: bool,
}

impl Report for MadeBucket {
    fn people(&self, out: &mut dyn Write) -> io::Result<()> {
        let versions = if self.versioning { ", with versions" } else { "" };
        writeln!(out, "made s3://{}{versions}", self.bucket)
    }
}

pub(super) async fn make(session: &Session, args: &Mb) -> anyhow::Result<Exit> {
    let bucket = args.bucket.name()?;
    let client = session.client()?;
    client.create_bucket(bucket).await?;
    if args.versioning {
        client.set_bucket_versioning(bucket, true).await?;
    }
    session.output.print(&MadeBucket { bucket: bucket.to_owned(), versioning: args.versioning })
}

#[derive(Debug, Serialize)]
struct RemovedBucket {
    bucket: String,
    dry_run: bool,
    #[serde(flatten)]
    removed: Removed,
}

impl Report for RemovedBucket {
    fn people(&self, out: &mut dyn Write) -> io::Result<()> {
        self.removed.people(out)?;
        if self.removed.failed.is_empty() {
            let verb = if self.dry_run { "would remove" } else { "removed" };
            writeln!(out, "{verb} bucket s3://{}", self.bucket)?;
        }
        Ok(())
    }

    fn exit(&self) -> Exit {
        self.removed.exit()
    }
}

pub(super) async fn remove(session: &Session, args: &Rb) -> anyhow::Result<Exit> {
    let bucket = args.bucket.name()?;
    let client = session.client()?;
    let removed = if args.force {
        remove::below(session, &client, bucket, "", true, args.dry_run).await?
    } else {
        Removed::new(args.dry_run)
    };
    if args.dry_run {
        client.head_bucket(bucket).await?;
    } else if removed.failed.is_empty() {
        client.delete_bucket(bucket).await?;
    }
    session.output.print(&RemovedBucket { bucket: bucket.to_owned(), dry_run: args.dry_run, removed })
}
