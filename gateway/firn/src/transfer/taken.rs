//! What a transfer took: a move removes that, and nothing that came in its place.

use super::plan::Seen;
use super::run::Shared;
use crate::exit::{Exit, Failure};
use anyhow::Context;
use client::ObjectRef;
use std::fmt::Display;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::SystemTime;

/// Device and inode.
pub(super) type FileId = (u64, u64);

/// A source as it was when it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    File(FileState),
    /// The object with this ETag.
    Object(String),
}

/// By what a file is known again: what writes to it or replaces it changes one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileState {
    size: u64,
    modified: SystemTime,
    id: FileId,
}

impl FileState {
    pub(super) fn of(metadata: &Metadata) -> io::Result<Self> {
        let id = (metadata.dev(), metadata.ino());
        Ok(Self { size: metadata.len(), modified: metadata.modified()?, id })
    }

    pub(super) const fn size(&self) -> u64 {
        self.size
    }

    /// When it was last written, in nanoseconds since 1970; none of before.
    pub(super) fn modified_nanos(&self) -> u128 {
        self.modified.duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_nanos()
    }

    /// Device and inode: of what a link leads to, where a link was opened.
    pub(super) const fn id(&self) -> FileId {
        self.id
    }
}

/// Removes a file if it is still the one that was taken; one that has gone meanwhile is no error. A link by which it was taken
/// goes itself, also where what it led to has gone.
pub(super) async fn remove_file(path: &Path, taken: FileState) -> anyhow::Result<()> {
    let path = path.to_owned();
    tokio::task::spawn_blocking(move || {
        let about = || format!("remove {}", path.display());
        let metadata = match std::fs::metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && path.is_symlink() => {
                return std::fs::remove_file(&path).with_context(about);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            found => found.with_context(about)?,
        };
        if FileState::of(&metadata)? != taken {
            return Err(changed(&path.display().to_string()));
        }
        std::fs::remove_file(&path).with_context(about)
    })
    .await?
}

/// Removes an object if it is still the one that was taken; one that has gone meanwhile is no error.
pub(super) async fn remove_object(shared: &Shared, object: &ObjectRef<'_>, etag: &str) -> anyhow::Result<()> {
    if etag.is_empty() {
        return Err(nameless(object));
    }
    let _permit = shared.permits.acquire().await?;
    match shared.client.delete_object(object, Some(etag)).await {
        Err(error) if error.code() == Some("NoSuchKey") => Ok(()),
        Err(error) if error.code() == Some("PreconditionFailed") => Err(changed(&object.to_string())),
        outcome => Ok(outcome.map(drop)?),
    }
}

/// Removes a file that the source lacks, if it is still as it was seen.
pub(super) async fn remove_seen_file(path: &Path, seen: &Seen) -> anyhow::Result<()> {
    let (path, seen) = (path.to_owned(), seen.clone());
    tokio::task::spawn_blocking(move || {
        let about = || format!("remove {}", path.display());
        let found = match std::fs::metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            found => found.with_context(about)?,
        };
        if (found.len(), super::local::modified(&found)) != (seen.size, seen.modified) {
            return Err(written_since(&path.display().to_string()));
        }
        std::fs::remove_file(&path).with_context(about)
    })
    .await?
}

/// Removes an object that the source lacks, if it is still as it was seen: the endpoint compares it once more. Who may remove and not look
/// has it compared by the endpoint alone.
pub(super) async fn remove_seen_object(
    shared: &Shared,
    object: &ObjectRef<'_>,
    seen: &Seen,
) -> anyhow::Result<()> {
    let _permit = shared.permits.acquire().await?;
    let etag = seen.etag.as_deref().filter(|etag| !etag.is_empty());
    let if_match = match shared.client.head_object(object).await {
        Ok(now)
            if now.size != seen.size || etag.is_some_and(|etag| !etag.eq_ignore_ascii_case(&now.etag)) =>
        {
            return Err(written_since(&object.to_string()));
        }
        Ok(now) => Some(now.etag).filter(|etag| !etag.is_empty()),
        Err(client::Error::Service(said)) if said.status == 404 => return Ok(()),
        Err(client::Error::Service(said)) if said.status < 500 => etag.map(str::to_owned),
        Err(error) => return Err(error.into()),
    };
    match shared.client.delete_object(object, if_match.as_deref()).await {
        Err(error) if error.code() == Some("NoSuchKey") => Ok(()),
        Err(error) if error.code() == Some("PreconditionFailed") => Err(written_since(&object.to_string())),
        outcome => Ok(outcome.map(drop)?),
    }
}

fn written_since(what: &str) -> anyhow::Error {
    let text = format!("remove {what}: it was written since it was looked at: it stays");
    Failure::new(Exit::Conflict, text).hint("run the same command again").into()
}

/// Why a file stays that was copied: a link to it is still to be read.
pub(super) fn led_to() -> anyhow::Error {
    let text = "remove it, which was copied: a link leads to it that was not moved: it stays";
    Failure::new(Exit::Conflict, text).hint("mend what failed, and run the same command again").into()
}

/// Why a source stays that was copied: nothing says that its copy is one.
pub(super) fn unproven(from: &dyn Display, to: &dyn Display) -> anyhow::Error {
    let text = format!(
        "remove {from}, which was copied: nothing proves that {to} has its bytes, neither a checksum nor an ETag: it stays"
    );
    Failure::new(Exit::Integrity, text).hint("compare the two, and remove the source yourself").into()
}

/// Why an object stays that was copied: it has nothing by which another in its place would be told from it.
fn nameless(object: &ObjectRef<'_>) -> anyhow::Error {
    let text = format!(
        "remove {object}, which was copied: its endpoint gives it no ETag, so that it may be another by now: it stays"
    );
    Failure::new(Exit::Integrity, text).hint("compare the two, and remove the source yourself").into()
}

fn changed(what: &str) -> anyhow::Error {
    let text =
        format!("remove {what}: it changed while it was moved: its copy is what it was before, and it stays");
    Failure::new(Exit::Conflict, text).hint("run the same command again").into()
}

#[cfg(test)]
mod tests {
    use super::{FileState, remove_file};

    #[tokio::test]
    async fn a_link_goes_though_what_it_led_to_went_first_and_not_what_came_in_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("file"), dir.path().join("link"));
        std::fs::write(&file, "bytes").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        let taken = FileState::of(&std::fs::metadata(&link).unwrap()).unwrap();
        remove_file(&file, taken).await.unwrap();
        remove_file(&link, taken).await.unwrap();
        assert!(!link.is_symlink(), "a link to nothing is left");
        remove_file(&link, taken).await.unwrap();
        std::fs::write(&link, "others").unwrap();
        remove_file(&link, taken).await.unwrap_err();
    }
}
