//! `rm`, and what `rb --force` does first.
//!
//! Keys are removed in bulk, a page of at most 1,000 at a time, while the list goes on: memory does not grow with the
//! number of keys. What was removed before an error stays removed; running it again goes on.

use super::versions::{Marker, missing, named_version, tell_kept, undelete};
use crate::cli::Rm;
use crate::exit::Exit;
use crate::report::Report;
use crate::scope::Scope;
use crate::session::Session;
use crate::text::printable;
use crate::transfer::show_first;
use client::{Client, DeleteFailure, ObjectRef};
use serde::Serialize;
use std::io::{self, Write};

/// Failures and dry-run lines that are kept for the report; more are counted.
const LISTED_MAX: usize = 100_000;

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
    /// The first hundred thousand.
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
        let failed = self.failed.iter().map(|failed| (&*failed.key, &*failed.error));
        show_first(out, "not removed", failed, self.failed_count)?;
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
    let uri = &args.target;
    if args.recursive || args.versions {
        let scope = if args.recursive { Scope::of(uri, args.prefix) } else { Scope::key(uri) };
        if !args.recursive {
            uri.require_key()?;
        }
        let removal = Removal::new(session, &client, &uri.bucket, args.dry_run);
        let removed =
            if args.versions { removal.versions(&scope).await? } else { removal.objects(&scope).await? };
        if !args.versions && removed.count > 0 && !args.dry_run {
            tell_kept(session, &client, uri, args.prefix).await;
        }
        return session.output.print(&removed);
    }
    let key = uri.require_key()?;
    let object = ObjectRef { bucket: &uri.bucket, key, version: args.version_id.as_deref() };
    // S3 deletes what is not there without a word; people want to know that they mistyped.
    let mut marker = Marker::None;
    if let Some(id) = &args.version_id {
        marker = named_version(&client, uri, id).await?;
    } else if let Err(error) = client.head_object(&object).await {
        let hint = "prefixes need -r; delete markers and old versions need --versions or --version-id";
        return Err(missing(&client, uri, error, hint).await);
    }
    let mut removed = Removed::new(args.dry_run);
    if !args.dry_run {
        let deleted = client.delete_object(&object).await?;
        if let (None, true, Some(marker)) = (&args.version_id, deleted.delete_marker, &deleted.version_id) {
            let back = undelete(uri, marker);
            session.output.note(&format!("its versions stay; what brings it back: {back}"));
        }
        if marker == Marker::Found && session.output.narrates() {
            // Another marker may lie below it, or nothing.
            let is_back = client.head_object(&ObjectRef::latest(&uri.bucket, key)).await.is_ok();
            let back = if is_back { ": the key is back" } else { "" };
            session.output.note(&format!("its delete marker is gone{back}"));
        }
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

    /// Removes all objects of a scope.
    async fn objects(mut self, scope: &Scope) -> anyhow::Result<Removed> {
        let mut pages = scope.objects(self.client, None);
        while let Some(page) = pages.next().await? {
            let keys: Vec<_> = page.entries.into_iter().map(|object| (object.key, None)).collect();
            self.page(&keys).await?;
        }
        self.end(scope, pages.found())
    }

    /// Removes all versions and markers of a scope.
    pub(super) async fn versions(mut self, scope: &Scope) -> anyhow::Result<Removed> {
        let mut pages = scope.versions(self.client, None);
        while let Some(page) = pages.next().await? {
            let keys: Vec<_> = page
                .entries
                .into_iter()
                .map(|version| (version.object.key, Some(version.version_id)))
                .collect();
            self.page(&keys).await?;
        }
        self.end(scope, pages.found())
    }

    /// A bucket may be empty; a name that takes in nothing is mistyped.
    fn end(self, scope: &Scope, found: bool) -> anyhow::Result<Removed> {
        if found || scope.is_bucket() { Ok(self.removed) } else { Err(scope.nothing().into()) }
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
            self.removed.count += chunk.len().saturating_sub(failures.len()) as u64;
            for failure in failures {
                self.removed.fail(failure);
            }
        }
        Ok(())
    }
}
