//! What a transfer took: a move removes that, and nothing that came in its place.

use super::run::Shared;
use crate::exit::{Exit, Failure};
use anyhow::Context;
use client::ObjectRef;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::SystemTime;

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
    /// Device and inode.
    id: (u64, u64),
}

impl FileState {
    pub(super) fn of(metadata: &Metadata) -> io::Result<Self> {
        let id = (metadata.dev(), metadata.ino());
        Ok(Self { size: metadata.len(), modified: metadata.modified()?, id })
    }

    pub(super) const fn size(&self) -> u64 {
        self.size
    }
}

/// Removes a file if it is still the one that was taken.
pub(super) async fn remove_file(path: &Path, taken: FileState) -> anyhow::Result<()> {
    let path = path.to_owned();
    tokio::task::spawn_blocking(move || {
        let about = || format!("remove {}", path.display());
        let metadata = match std::fs::metadata(&path) {
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
    let _permit = shared.permits.acquire().await?;
    match shared.client.delete_object(object, Some(etag)).await {
        Err(error) if error.code() == Some("NoSuchKey") => Ok(()),
        Err(error) if error.code() == Some("PreconditionFailed") => Err(changed(&object.to_string())),
        outcome => Ok(outcome.map(drop)?),
    }
}

fn changed(what: &str) -> anyhow::Error {
    let text =
        format!("remove {what}: it changed while it was moved: its copy is what it was before, and it stays");
    Failure::new(Exit::Conflict, text).hint("run the same command again").into()
}
