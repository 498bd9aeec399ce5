//! Old versions: how a key that is not there any more comes back.

use super::names::without_bucket;
use crate::cli::S3Uri;
use crate::exit::{Exit, Failure};
use crate::scope::Scope;
use crate::session::Session;
use crate::text::quote_sh;
use client::{Client, Error, ErrorKind, ObjectLock, ObjectRef, Versioning};

/// An error of asking for the latest version of an object: where there is none, what is there instead or `otherwise`.
pub(super) async fn missing(client: &Client, uri: &S3Uri, error: Error, otherwise: &str) -> anyhow::Error {
    let error = match without_bucket(client, &uri.bucket, error).await {
        Ok(about_bucket) => return about_bucket,
        Err(error) => error,
    };
    if error.kind() != ErrorKind::NotFound {
        return error.into();
    }
    let hint = deleted(client, uri).await.unwrap_or_else(|| otherwise.to_owned());
    Failure::new(Exit::NotFound, format!("find {uri}")).hint(hint).caused_by(error).into()
}

/// Where a delete marker hides a key: what takes it away. Not being allowed to look is no answer either.
async fn deleted(client: &Client, uri: &S3Uri) -> Option<String> {
    let scope = Scope::key(uri);
    let page = scope.versions(client, None).next().await.ok()??;
    let latest = page.entries.first().filter(|latest| latest.is_latest && latest.is_delete_marker)?;
    Some(format!("it was deleted; what brings it back: {}", undelete(uri, &latest.version_id)))
}

/// The command that takes a delete marker away.
pub(super) fn undelete(uri: &S3Uri, marker: &str) -> String {
    format!("firn rm --version-id {} {}", quote_sh(marker), quote_sh(&uri.to_string()))
}

/// A version that was named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Named {
    /// One of an object, and what holds it.
    Object(Option<ObjectLock>),
    DeleteMarker,
}

/// Looks a version up: S3 deletes one that is not there without a word.
pub(super) async fn named_version(client: &Client, uri: &S3Uri, id: &str) -> anyhow::Result<Named> {
    let object = ObjectRef { bucket: &uri.bucket, key: &uri.key, version: Some(id) };
    match client.head_object(&object).await {
        Ok(head) => Ok(Named::Object(head.lock)),
        // S3's answer where a marker has no object to show.
        Err(Error::Service(answer)) if answer.status == 405 => Ok(Named::DeleteMarker),
        Err(error) => Err(missing_version(client, uri, id, error).await),
    }
}

/// An error of asking for a version of an object: where there is none, what is there instead.
pub(super) async fn missing_version(client: &Client, uri: &S3Uri, id: &str, error: Error) -> anyhow::Error {
    let error = match without_bucket(client, &uri.bucket, error).await {
        Ok(about_bucket) => return about_bucket,
        Err(error) => error,
    };
    match (&error, error.kind()) {
        // An id of another form than the endpoint's own is as little there.
        (Error::Service(_), ErrorKind::NotFound | ErrorKind::Invalid) => {
            let hint = format!("see which there are: firn ls --versions {}", quote_sh(&uri.to_string()));
            let text = format!("find version {} of {uri}", crate::text::printable(id));
            Failure::new(Exit::NotFound, text).hint(hint).caused_by(error).into()
        }
        _ => error.into(),
    }
}

/// Where delete markers hide all of a scope: what brings it back. Not being allowed to look is no answer either.
pub(crate) async fn all_deleted(client: &Client, uri: &S3Uri) -> Option<String> {
    let scope = Scope::of(uri, false);
    let mut pages = scope.versions(client, None);
    while let Some(page) = pages.next().await.ok()? {
        if page.entries.iter().any(|version| version.is_latest && version.is_delete_marker) {
            let place = quote_sh(&uri.to_string());
            return Some(format!(
                "what was there was deleted, and versions are kept: firn undelete -r {place} brings it back"
            ));
        }
    }
    None
}

/// Tells people that what was removed in bulk is still there as versions.
pub(super) async fn tell_kept(session: &Session, client: &Client, uri: &S3Uri, as_prefix: bool) {
    if !session.output.narrates() {
        return;
    }
    // Who may not ask is not told.
    if let Ok(Versioning::Enabled) = client.bucket_versioning(&uri.bucket).await {
        let place = quote_sh(&uri.to_string());
        let place = if as_prefix { format!("--prefix {place}") } else { place };
        session.output.note(&format!(
            "the bucket keeps what was removed as old versions: firn ls -r --versions {place}\n\
             all of it comes back with: firn undelete -r {place}\n\
             all of it goes for good with: firn rm -r --versions {place}"
        ));
    }
}
