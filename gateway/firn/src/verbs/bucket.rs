//! `mb` and `rb`.

use super::names::named_bucket;
use super::remove::{Removal, Removed};
use super::uploads;
use crate::cli::{Mb, Rb};
use crate::exit::{Exit, Failure};
use crate::report::Report;
use crate::scope::Scope;
use crate::session::Session;
use crate::text::counted;
use client::{Client, List, Versioning};
use engine::unit::ByteCount;
use serde::Serialize;
use std::io::{self, Write};

#[derive(Debug, Serialize)]
struct MadeBucket {
    bucket: String,
    /// False: it was there already, and yours.
    created: bool,
    versioning: bool,
    /// It kept no old versions before.
    versioning_begins: bool,
}

impl Report for MadeBucket {
    fn people(&self, out: &mut dyn Write) -> io::Result<()> {
        let versions = if self.versioning { ", with versions" } else { "" };
        if self.created {
            return writeln!(out, "made s3://{}{versions}", self.bucket);
        }
        let versions = if self.versioning_begins { "; versions are on from now" } else { versions };
        writeln!(out, "s3://{} was there already, and is yours{versions}; what is in it stays", self.bucket)
    }
}

pub(super) async fn make(session: &Session, args: &Mb) -> anyhow::Result<Exit> {
    let bucket = args.bucket.name()?;
    let client = session.client()?;
    // AWS answers in us-east-1 as if it had made what was there.
    let created = match client.head_bucket(bucket).await {
        Ok(_) => false,
        Err(_missing_or_not_ours) => {
            client.create_bucket(bucket).await?;
            true
        }
    };
    let mut versioning_begins = false;
    if args.versioning {
        versioning_begins = created || client.bucket_versioning(bucket).await? != Versioning::Enabled;
        client.set_bucket_versioning(bucket, true).await?;
    }
    let (bucket, versioning) = (bucket.to_owned(), args.versioning);
    session.output.print(&MadeBucket { bucket, created, versioning, versioning_begins })
}

#[derive(Debug, Serialize)]
struct RemovedBucket {
    bucket: String,
    /// Uploads that were begun and never completed: they go with it.
    unfinished_uploads: u64,
    unfinished_bytes: ByteCount,
    #[serde(flatten)]
    removed: Removed,
}

impl Report for RemovedBucket {
    fn people(&self, out: &mut dyn Write) -> io::Result<()> {
        self.removed.people(out)?;
        if self.removed.failed.is_empty() {
            let verb = if self.removed.dry_run { "would remove" } else { "removed" };
            write!(out, "{verb} bucket s3://{}", self.bucket)?;
            if self.unfinished_uploads > 0 {
                let uploads = counted(self.unfinished_uploads, "unfinished upload", "unfinished uploads");
                write!(out, ", and {uploads} ({})", self.unfinished_bytes)?;
            }
            writeln!(out)?;
        }
        Ok(())
    }

    fn exit(&self) -> Exit {
        self.removed.exit()
    }
}

/// What the endpoint would say to removing it.
async fn refuse_full(client: &Client, bucket: &str) -> anyhow::Result<()> {
    let mut pages = client.versions(List { bucket, ..List::default() });
    if pages.next().await?.is_none_or(|page| page.entries.is_empty()) {
        return Ok(());
    }
    Err(Failure::new(Exit::Conflict, format!("remove s3://{bucket}: it is not empty"))
        .hint(format!(
            "see what is in it: firn ls --versions s3://{bucket}; remove all of it: firn rb --force s3://{bucket}"
        ))
        .into())
}

pub(super) async fn remove(session: &Session, args: &Rb) -> anyhow::Result<Exit> {
    let bucket = args.bucket.name()?;
    let client = session.client()?;
    named_bucket(&client, bucket).await?;
    // A bucket that can't be removed keeps them; who may not see them is not told.
    let unfinished = uploads::sum(&client, &Scope::bucket(bucket)).await.unwrap_or_default();
    let removed = if args.force {
        Removal::new(session, &client, bucket, args.dry_run).versions(&Scope::bucket(bucket)).await?
    } else {
        Removed::new(args.dry_run)
    };
    if args.dry_run {
        if !args.force {
            refuse_full(&client, bucket).await?;
        }
    } else if removed.failed.is_empty() {
        client.delete_bucket(bucket).await?;
    }
    session.output.print(&RemovedBucket {
        bucket: bucket.to_owned(),
        unfinished_uploads: unfinished.uploads,
        unfinished_bytes: unfinished.bytes,
        removed,
    })
}
