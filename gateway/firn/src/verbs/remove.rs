//! `rm`, and what `rb --force` does first.
//!
//! Keys are removed in bulk, a page of at most 1,000 at a time, while the list goes on: memory does not grow with the
//! number of keys. What was removed before an error stays removed; running it again goes on.

use crate::cli::Rm;
use crate::exit::{Exit, Failure};
use crate::report::Report;
use crate::session::Session;
use crate::text::printable;
use client::{Client, DeleteFailure, List, ObjectRef};
use serde::Serialize;
use std::io::{self, Write};

/// Failures and dry-run lines that are kept for the report; more are counted.
const LISTED_MAX: usize = 1000;

/// One key that was not removed.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct NotRemoved {
    pub(crate) key: String,
    pub(crate) version_id: Option<String>,
    pub(crate) error: String,
}

/// What was removed.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Removed {
    pub(crate) dry_run: bool,
    #[serde(rename = "removed")]
    pub(crate) count: u64,
    pub(crate) failed_count: u64,
    /// The first thousand.
    pub(crate) failed: Vec<NotRemoved>,
}

impl Removed {
    pub(crate) fn new(dry_run: bool) -> Self {
        Self { dry_run, ..Self::default() }
    }

    fn fail(&mut self, failure: DeleteFailure) {
        self.failed_count += 1;
        if self.failed.len() < LISTED_MAX {
            self.failed.push(NotRemoved {
                key: failure.key,
                version_id: failure.version_id,
                error: format!("{} ({})", failure.message, failure.code),
            });
        }
    }
}

impl Report for Removed {
    fn people(&self, out: &mut dyn Write) -> io::Result<()> {
        for failed in &self.failed {
            writeln!(out, "not removed: {}: {}", printable(&failed.key), printable(&failed.error))?;
        }
        let verb = if self.dry_run { "would remove" } else { "removed" };
        let things = if self.count == 1 { "object" } else { "objects" };
        write!(out, "{verb} {} {things}", self.count)?;
        if self.failed_count > 0 {
            write!(out, ", {} failed", self.failed_count)?;
        }
        writeln!(out)
    }

    fn exit(&self) -> Exit {
        if self.failed_count == 0 { Exit::Ok } else { Exit::Partial }
    }
}

pub(super) async fn run(session: &Session, args: &Rm) -> anyhow::Result<Exit> {
    let client = session.client()?;
    let bucket = &args.target.bucket;
    if args.recursive || args.versions {
        if args.versions && !args.recursive {
            args.target.require_key()?;
        }
        let only = (!args.recursive).then_some(args.target.key.as_str());
        let removal = Removal::new(session, &client, bucket, args.dry_run);
        let removed = if args.versions {
            removal.versions_below(&args.target.key, only).await?
        } else {
            removal.objects_below(&args.target.key).await?
        };
        return session.output.print(&removed);
    }
    let key = args.target.require_key()?;
    let object = ObjectRef { bucket, key, version: args.version_id.as_deref() };
    // S3 deletes what is not there without a word; people want to know that they mistyped.
    if args.version_id.is_none() {
        client.head_object(&object).await.map_err(|error| {
            let hint = "prefixes need -r; delete markers and old versions need --versions or --version-id";
            match error.kind() {
                client::ErrorKind::NotFound => {
                    Failure::new(Exit::NotFound, format!("find {}: {error}", args.target)).hint(hint).into()
                }
                _ => anyhow::Error::from(error),
            }
        })?;
    }
    let mut removed = Removed::new(args.dry_run);
    if !args.dry_run {
        client.delete_object(&object).await?;
    }
    removed.count = 1;
    session.output.print(&removed)
}

/// A removal in bulk, under way.
pub(super) struct Removal<'a> {
    session: &'a Session,
    client: &'a Client,
    bucket: &'a str,
    removed: Removed,
}

impl<'a> Removal<'a> {
    pub(super) fn new(session: &'a Session, client: &'a Client, bucket: &'a str, dry_run: bool) -> Self {
        Self { session, client, bucket, removed: Removed::new(dry_run) }
    }

    /// Removes all objects that begin with the prefix.
    async fn objects_below(mut self, prefix: &str) -> anyhow::Result<Removed> {
        let mut pages = self.client.objects(List { bucket: self.bucket, prefix, delimiter: None });
        while let Some(page) = pages.next().await? {
            let keys: Vec<_> = page.entries.into_iter().map(|object| (object.key, None)).collect();
            self.page(&keys).await?;
        }
        Ok(self.removed)
    }

    /// Removes all versions and markers that begin with the prefix, or of them those of one key.
    pub(super) async fn versions_below(
        mut self,
        prefix: &str,
        only: Option<&str>,
    ) -> anyhow::Result<Removed> {
        let mut pages = self.client.versions(List { bucket: self.bucket, prefix, delimiter: None });
        while let Some(page) = pages.next().await? {
            let past =
                only.is_some_and(|only| page.entries.last().is_some_and(|last| last.object.key != only));
            let keys: Vec<_> = page
                .entries
                .into_iter()
                .filter(|version| only.is_none_or(|only| version.object.key == only))
                .map(|version| (version.object.key, Some(version.version_id)))
                .collect();
            self.page(&keys).await?;
            if past {
                break;
            }
        }
        Ok(self.removed)
    }

    async fn page(&mut self, keys: &[(String, Option<String>)]) -> anyhow::Result<()> {
        if self.removed.dry_run {
            for (key, version) in keys {
                let version = version.as_ref().map(|id| format!(" version {id}")).unwrap_or_default();
                let line = format!("would remove s3://{}/{}{version}", self.bucket, printable(key));
                self.session.output.note(&line);
            }
            self.removed.count += keys.len() as u64;
            return Ok(());
        }
        for chunk in keys.chunks(client::DELETE_MANY_MAX) {
            let failures = self.client.delete_objects(self.bucket, chunk).await?;
            self.removed.count += (chunk.len() - failures.len()) as u64;
            for failure in failures {
                self.removed.fail(failure);
            }
        }
        Ok(())
    }
}
