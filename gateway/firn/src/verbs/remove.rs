//! `rm`, and what `rb --force` does first.
//!
//! Keys are removed in bulk, a page of at most 1,000 at a time, while the list goes on: memory does not grow with the
//! number of keys. What was removed before an error stays removed; running it again goes on.

use super::uploads;
use super::versions::{Named, missing, named_version, tell_kept, undelete};
use crate::cli::Rm;
use crate::exit::{Exit, Failure};
use crate::report::Report;
use crate::scope::Scope;
use crate::session::Session;
use crate::text::{counted, printable, quote_sh};
use crate::transfer::{SHOWN_MAX, show_first};
use client::{Client, DeleteFailure, ErrorKind, ObjectRef};
use futures_util::stream::{self, StreamExt};
use serde::Serialize;
use std::collections::HashSet;
use std::io::{self, Write};

/// Failures and dry-run lines that are kept for the report; more are counted.
const LISTED_MAX: usize = 100_000;

/// Versions that a dry run looks at at once.
const HEADS_AT_ONCE: usize = 16;
/// Why a version would stay.
const HELD: &str = "object lock holds it";

/// One key that was not removed.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct NotRemoved {
    pub(crate) key: String,
    pub(crate) version_id: Option<String>,
    pub(crate) error: String,
}

/// What a dry run would remove.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct WouldRemove {
    pub(crate) key: String,
    pub(crate) version_id: Option<String>,
}

/// What was removed.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Removed {
    pub(crate) dry_run: bool,
    #[serde(rename = "removed")]
    pub(crate) count: u64,
    /// Of them, those that are delete markers.
    pub(crate) delete_markers: u64,
    /// What a dry run would remove: the first hundred thousand.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) would_remove: Vec<WouldRemove>,
    pub(crate) failed_count: u64,
    /// Of them, those that a policy would have to allow.
    #[serde(skip)]
    pub(crate) denied: u64,
    /// The first hundred thousand.
    pub(crate) failed: Vec<NotRemoved>,
}

impl Removed {
    pub(crate) fn new(dry_run: bool) -> Self {
        Self { dry_run, ..Self::default() }
    }

    /// One thing that a dry run would remove.
    fn would(&mut self, session: &Session, bucket: &str, key: &str, version: Option<&str>) {
        let shown = version.map(|id| format!(" version {}", printable(id))).unwrap_or_default();
        session.output.note(&format!("would remove s3://{bucket}/{}{shown}", printable(key)));
        if self.would_remove.len() < LISTED_MAX {
            let version_id = version.map(str::to_owned);
            self.would_remove.push(WouldRemove { key: key.to_owned(), version_id });
        }
    }

    fn fail(&mut self, failure: DeleteFailure) {
        self.failed_count += 1;
        self.denied += u64::from(failure.code == "AccessDenied" && !failure.message.contains("object lock"));
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
        let name = |failed: &NotRemoved| match &failed.version_id {
            Some(id) => format!("{} version {id}", failed.key),
            None => failed.key.clone(),
        };
        let failed: Vec<_> =
            self.failed.iter().take(SHOWN_MAX).map(|failed| (name(failed), &*failed.error)).collect();
        let failed = failed.iter().map(|(name, error)| (&**name, *error));
        show_first(out, "not removed", failed, self.failed_count)?;
        if self.failed.iter().any(|failed| failed.error.contains("object lock")) {
            writeln!(out, "what holds one, and until when: firn stat --version-id ID s3://BUCKET/KEY")?;
        }
        let verb = if self.dry_run { "would remove" } else { "removed" };
        let objects = counted(self.count.saturating_sub(self.delete_markers), "object", "objects");
        let markers = counted(self.delete_markers, "delete marker", "delete markers");
        let things = match self.delete_markers {
            0 => objects,
            all if all == self.count => markers,
            _ => format!("{objects} and {markers}"),
        };
        write!(out, "{verb} {things}")?;
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
    let uri = &args.target;
    if !args.uploads && !args.recursive {
        uri.require_key().map_err(|refused| {
            let place = quote_sh(&format!("s3://{}", uri.bucket));
            refused.hint(format!("all that is in it: firn rm -r {place}; the bucket itself: firn rb {place}"))
        })?;
    }
    let client = session.client()?;
    if args.uploads {
        let scope = Scope::of(uri, args.prefix);
        return uploads::abort(session, &client, &scope, uri, args.dry_run).await;
    }
    if args.recursive || args.versions {
        let scope = if args.recursive { Scope::of(uri, args.prefix) } else { Scope::key(uri) };
        let removal = Removal::new(session, &client, &uri.bucket, args.dry_run);
        let removed =
            if args.versions { removal.versions(&scope).await? } else { removal.objects(&scope).await? };
        if !args.versions && removed.count > 0 && !args.dry_run {
            tell_kept(session, &client, uri, args.prefix).await;
        }
        let exit = session.output.print(&removed)?;
        if removed.denied > 0 && removed.denied == removed.failed_count {
            let (signed_by, is_document) = (client.access_key_id().map(str::to_owned), true);
            let said = client::ServiceError { signed_by, is_document, ..client::ServiceError::default() };
            session.output.note(&format!("  {}", crate::hint::of_denied(&said)));
        }
        return Ok(exit);
    }
    let key = uri.require_key()?;
    let object = ObjectRef { bucket: &uri.bucket, key, version: args.version_id.as_deref() };
    // S3 deletes what is not there without a word; people want to know that they mistyped.
    let mut named = Named::Object(None);
    if let Some(id) = &args.version_id {
        named = named_version(&client, uri, id).await?;
    } else if let Err(error) = client.head_object(&object).await {
        let hint = "prefixes need -r; delete markers and old versions need --versions or --version-id";
        return Err(missing(&client, uri, error, hint).await);
    }
    let is_marker = named == Named::DeleteMarker;
    let mut removed = Removed::new(args.dry_run);
    if args.dry_run {
        if let (Named::Object(Some(lock)), Some(id)) = (&named, &args.version_id)
            && lock.refuses_delete(session.clock.now())
        {
            let place = quote_sh(&uri.to_string());
            let hint =
                format!("what holds it, and until when: firn stat --version-id {} {place}", quote_sh(id));
            let text = format!("remove version {} of {uri}: {HELD}", printable(id));
            return Err(Failure::new(Exit::Denied, text).hint(hint).into());
        }
        removed.would(session, &uri.bucket, key, args.version_id.as_deref());
    } else {
        let deleted = client.delete_object(&object, None).await?;
        if let (None, true, Some(marker)) = (&args.version_id, deleted.delete_marker, &deleted.version_id) {
            let back = undelete(uri, marker);
            session.output.note(&format!("its versions stay; what brings it back: {back}"));
        }
        if is_marker && session.output.narrates() {
            // Another marker may lie below it, or nothing.
            let is_back = client.head_object(&ObjectRef::latest(&uri.bucket, key)).await.is_ok();
            let back = if is_back { ": the key is back" } else { "" };
            session.output.note(&format!("its delete marker is gone{back}"));
        }
    }
    removed.count = 1;
    removed.delete_markers = u64::from(is_marker);
    session.output.print(&removed)
}

/// A removal in bulk, under way.
pub(super) struct Removal<'a> {
    session: &'a Session,
    client: &'a Client,
    bucket: &'a str,
    removed: Removed,
    /// Whether the bucket has object lock, once a dry run has asked.
    has_lock: Option<bool>,
}

/// A version of a page, as it was listed.
struct Listed {
    key: String,
    version: Option<String>,
    is_marker: bool,
}

impl<'a> Removal<'a> {
    pub(super) fn new(session: &'a Session, client: &'a Client, bucket: &'a str, dry_run: bool) -> Self {
        Self { session, client, bucket, removed: Removed::new(dry_run), has_lock: None }
    }

    /// Removes all objects of a scope.
    async fn objects(mut self, scope: &Scope) -> anyhow::Result<Removed> {
        let mut pages = scope.objects(self.client, None);
        while let Some(page) = pages.next().await? {
            let page = page.entries.into_iter();
            let page = page.map(|object| Listed { key: object.key, version: None, is_marker: false });
            self.page(page.collect()).await?;
        }
        self.end(scope, pages.found())
    }

    /// Removes all versions and markers of a scope.
    pub(super) async fn versions(mut self, scope: &Scope) -> anyhow::Result<Removed> {
        let mut pages = scope.versions(self.client, None);
        while let Some(page) = pages.next().await? {
            let page = page.entries.into_iter().map(|version| Listed {
                key: version.object.key,
                version: Some(version.version_id),
                is_marker: version.is_delete_marker,
            });
            self.page(page.collect()).await?;
        }
        self.end(scope, pages.found())
    }

    /// A bucket may be empty; a name that takes in nothing is mistyped.
    fn end(self, scope: &Scope, found: bool) -> anyhow::Result<Removed> {
        if found || scope.is_bucket() { Ok(self.removed) } else { Err(scope.nothing().into()) }
    }

    async fn page(&mut self, page: Vec<Listed>) -> anyhow::Result<()> {
        if self.removed.dry_run {
            return self.try_page(&page).await;
        }
        let markers = page.iter().filter(|listed| listed.is_marker);
        let markers: HashSet<_> =
            markers.map(|listed| (listed.key.clone(), listed.version.clone())).collect();
        let keys: Vec<_> = page.into_iter().map(|listed| (listed.key, listed.version)).collect();
        self.removed.delete_markers += markers.len() as u64;
        for chunk in keys.chunks(client::DELETE_MANY_MAX) {
            let failures = self.client.delete_objects(self.bucket, chunk).await?;
            self.removed.count += chunk.len().saturating_sub(failures.len()) as u64;
            for failure in failures {
                let is_marker = markers.contains(&(failure.key.clone(), failure.version_id.clone()));
                self.removed.delete_markers -= u64::from(is_marker);
                self.removed.fail(failure);
            }
        }
        Ok(())
    }

    /// What removing a page would do: versions that object lock holds would stay.
    async fn try_page(&mut self, page: &[Listed]) -> anyhow::Result<()> {
        let held = if page.iter().any(|listed| listed.version.is_some()) {
            self.held(page).await?
        } else {
            Vec::new()
        };
        for (at, listed) in page.iter().enumerate() {
            let version = listed.version.as_deref();
            if held.contains(&at) {
                self.removed.fail(DeleteFailure {
                    key: listed.key.clone(),
                    version_id: listed.version.clone(),
                    code: "AccessDenied".to_owned(),
                    message: HELD.to_owned(),
                });
                continue;
            }
            self.removed.would(self.session, self.bucket, &listed.key, version);
            self.removed.count += 1;
            self.removed.delete_markers += u64::from(listed.is_marker);
        }
        Ok(())
    }

    /// Which of a page object lock holds. A list does not say it: each version is looked at, where the bucket has a lock.
    async fn held(&mut self, page: &[Listed]) -> anyhow::Result<Vec<usize>> {
        let has_lock = match self.has_lock {
            Some(has_lock) => has_lock,
            // Who may not see the lock finds it by the real run alone.
            None => self.client.bucket_lock(self.bucket).await.is_ok_and(|lock| lock.is_some()),
        };
        self.has_lock = Some(has_lock);
        if !has_lock {
            return Ok(Vec::new());
        }
        let (client, bucket, now) = (self.client, self.bucket, self.session.clock.now());
        let heads =
            page.iter().enumerate().filter(|(_, listed)| !listed.is_marker).map(|(at, listed)| async move {
                let object = ObjectRef { bucket, key: &listed.key, version: listed.version.as_deref() };
                match client.head_object(&object).await {
                    Ok(head) => Ok(head.lock.filter(|lock| lock.refuses_delete(now)).map(|_| at)),
                    // It went meanwhile.
                    Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
                    Err(error) => Err(error),
                }
            });
        let heads: Vec<client::Result<Option<usize>>> =
            stream::iter(heads).buffer_unordered(HEADS_AT_ONCE).collect().await;
        Ok(heads.into_iter().filter_map(Result::transpose).collect::<client::Result<_>>()?)
    }
}
