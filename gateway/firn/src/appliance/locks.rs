//! Locks that are held because a recovery left them unknown (docs/adr/0010): counted for people, and released by a bucket.

use super::open::Appliance;
use crate::report::finding::Finding;
use crate::report::status::HeldLock;
use crate::text::{counted, quote_sh};
use objectstore::{BucketName, HeldLocks};
use serde::Deserialize;
use serde_json::{Value, json};
use std::path::Path;
use web::AdminError;

/// Rows of versions that one count looks at.
const ROWS_MAX: usize = 10_000;

/// What `POST /v1/locks` takes.
#[derive(Debug, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Request {
    List,
    /// `dry_run`: only count.
    Release {
        bucket: String,
        dry_run: bool,
    },
}

impl Appliance {
    /// The buckets with held versions; none in an appliance that was never recovered. What can't be counted now is none: a
    /// catalog that can't be read is said by its readiness.
    pub(super) async fn held_locks(&self) -> Vec<HeldLocks> {
        self.count_held_locks().await.unwrap_or_else(|error| {
            tracing::warn!(%error, "the locks that are held since the recovery can't be counted");
            Vec::new()
        })
    }

    async fn count_held_locks(&self) -> objectstore::Result<Vec<HeldLocks>> {
        if self.was_recovered { self.store.held_locks(ROWS_MAX).await } else { Ok(Vec::new()) }
    }

    pub(super) async fn locks(&self, request: Request) -> Result<Value, AdminError> {
        let failed = super::status::admin_error;
        let (name, dry_run) = match request {
            Request::List => {
                let held = self.count_held_locks().await.map_err(failed)?;
                return Ok(json!({ "buckets": held.iter().map(shown).collect::<Vec<_>>() }));
            }
            Request::Release { bucket, dry_run } => (bucket, dry_run),
        };
        let bucket = BucketName::parse(&name).map_err(failed)?;
        let held = self.store.held_in(&bucket, usize::MAX).await.map_err(failed)?;
        if !dry_run && held.versions > 0 {
            self.store.release_held(&bucket).await.map_err(failed)?;
            tracing::warn!(%bucket, versions = held.versions, "locks held since a recovery were released, as the admin door was asked to");
        }
        Ok(json!({ "bucket": name, "versions": held.versions, "released": !dry_run }))
    }
}

/// A bucket's as the admin door says it.
pub(super) fn shown(held: &HeldLocks) -> HeldLock {
    HeldLock {
        bucket: Some(held.bucket.as_str().to_owned()),
        versions: Some(held.versions),
        more: Some(held.more),
    }
}

/// What `doctor` says of them.
pub(super) fn finding(held: &[HeldLocks], dir: &Path) -> Option<Finding> {
    if held.is_empty() {
        return None;
    }
    let versions = counted(held.iter().map(|held| held.versions).sum(), "version", "versions");
    let more = if held.iter().any(|held| held.more) { " or more" } else { "" };
    let buckets = counted(held.len() as u64, "bucket", "buckets");
    let dir = quote_sh(&dir.display().to_string());
    Some(Finding::note(
        "locks",
        format!(
            "{versions}{more} in {buckets} held: what was done to their locks just before the recovery is not known"
        ),
        format!(
            "firn lock ls {dir} lists them; firn lock release s3://BUCKET {dir} frees those of one, PutObjectLegalHold one version"
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::finding;
    use objectstore::{BucketName, HeldLocks};
    use std::path::Path;

    #[test]
    fn held_locks_are_counted_and_the_command_is_named() {
        assert!(finding(&[], Path::new("/d")).is_none());
        let held = |name: &str, versions, more| HeldLocks {
            bucket: BucketName::parse(name).unwrap(),
            versions,
            more,
        };
        let one = finding(&[held("one", 1, false)], Path::new("/d")).unwrap();
        assert!(one.ok && one.detail.starts_with("1 version in 1 bucket held"), "{one:?}");
        assert!(
            one.fix.as_ref().is_some_and(|fix| fix.contains("firn lock release s3://BUCKET /d")),
            "{one:?}"
        );
        let two = finding(&[held("one", 7, false), held("two", 9, true)], Path::new("/d")).unwrap();
        assert!(two.detail.starts_with("16 versions or more in 2 buckets held"), "{two:?}");
    }
}
