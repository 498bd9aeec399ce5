//! Objects to files.
//!
//! The bytes go to a temporary file beside the target, are verified against the endpoint's checksum, and only then take
//! the target's name. Large objects come in ranges, several at once, all pinned to one ETag. An interruption or an error
//! removes the temporary file.

use super::entry::Entry;
use super::local::TEMPORARY;
use super::run::{Done, Shared};
use anyhow::Context;
use client::{Crc64, ObjectHead, ObjectRef};
use engine::clock::Timestamp;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

/// From this size on an object comes in ranges.
const RANGED_FROM: u64 = 64 << 20;
/// The size of a range.
const RANGE: u64 = 16 << 20;

/// Downloads one object.
pub(super) async fn object(
    shared: &Shared,
    bucket: &str,
    key: &str,
    path: &Path,
    entry: &Entry,
) -> anyhow::Result<Done> {
    let mut random = [0; 8];
    shared.entropy.fill(&mut random);
    let temporary = Temporary::create(path, &hex::encode(random)).await?;
    let object = ObjectRef::latest(bucket, key);
    let (verified, modified, bytes) = if entry.size >= RANGED_FROM {
        ranged(shared, &object, &temporary).await?
    } else {
        let _permit = shared.permits.acquire().await?;
        whole(shared, &object, &temporary).await?
    };
    temporary.publish(path, entry.modified.or(modified)).await?;
    Ok(Done { bytes, unverified: !verified, ..Done::default() })
}

type Came = (bool, Option<Timestamp>, u64);

async fn whole(shared: &Shared, object: &ObjectRef<'_>, temporary: &Temporary) -> anyhow::Result<Came> {
    let mut download = shared.client.get_object(object, None, None).await?;
    let mut at = 0;
    while let Some(data) = download.next().await? {
        let length = data.len() as u64;
        temporary.write(at, data).await?;
        at += length;
        shared.progress.moved(length);
    }
    Ok((download.verified(), download.head().last_modified, at))
}

async fn ranged(shared: &Shared, object: &ObjectRef<'_>, temporary: &Temporary) -> anyhow::Result<Came> {
    let head = {
        let _permit = shared.permits.acquire().await?;
        shared.client.head_object(object).await?
    };
    if head.crc64.is_none() {
        // Only a checksum that combines can verify ranges; without one the MD5 needs the bytes in order.
        let _permit = shared.permits.acquire().await?;
        return whole(shared, object, temporary).await;
    }
    let ranges = (0..head.size.div_ceil(RANGE)).map(|n| n * RANGE..((n + 1) * RANGE).min(head.size));
    let sums: Vec<Crc64> = stream::iter(ranges)
        .map(|range| one_range(shared, object, &head, range, temporary))
        .buffered(shared.settings.jobs)
        .try_collect()
        .await?;
    let sum = sums.into_iter().fold(Crc64::default(), Crc64::then);
    if head.crc64 != Some(sum) {
        return Err(client::Error::Integrity {
            what: object.to_string(),
            detail: format!("CRC64NVME is {}, the endpoint's is another", sum.to_header()),
        }
        .into());
    }
    Ok((true, head.last_modified, head.size))
}

async fn one_range(
    shared: &Shared,
    object: &ObjectRef<'_>,
    head: &ObjectHead,
    range: Range<u64>,
    temporary: &Temporary,
) -> anyhow::Result<Crc64> {
    let _permit = shared.permits.acquire().await?;
    let mut at = range.start;
    let mut download = shared.client.get_object(object, Some(range), Some(&head.etag)).await?;
    let mut sum = Crc64::default();
    while let Some(data) = download.next().await? {
        let length = data.len() as u64;
        sum = sum.then(Crc64::of(&data));
        temporary.write(at, data).await?;
        at += length;
        shared.progress.moved(length);
    }
    Ok(sum)
}

/// A file beside its target that is removed unless it is published.
struct Temporary {
    file: Arc<File>,
    path: PathBuf,
    published: bool,
}

impl Temporary {
    async fn create(target: &Path, random: &str) -> anyhow::Result<Self> {
        let directory = target.parent().unwrap_or(Path::new(".")).to_owned();
        let path = directory.join(format!("{TEMPORARY}{random}"));
        let target = target.to_owned();
        tokio::task::spawn_blocking(move || {
            if !directory.as_os_str().is_empty() {
                std::fs::create_dir_all(&directory).map_err(|error| clash(&directory, error))?;
            }
            if target.is_dir() {
                return Err(anyhow::anyhow!("write {}: a directory has that name", target.display()));
            }
            let file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .open(&path)
                .with_context(|| format!("create {}", path.display()))?;
            Ok(Self { file: Arc::new(file), path, published: false })
        })
        .await?
    }

    async fn write(&self, at: u64, data: bytes::Bytes) -> anyhow::Result<()> {
        let file = self.file.clone();
        let written = tokio::task::spawn_blocking(move || file.write_all_at(&data, at)).await?;
        written.with_context(|| format!("write {}", self.path.display()))
    }

    /// Gives the bytes their name, and the time of the object's last change.
    async fn publish(self, target: &Path, modified: Option<Timestamp>) -> anyhow::Result<()> {
        let target = target.to_owned();
        tokio::task::spawn_blocking(move || self.publish_here(&target, modified)).await?
    }

    fn publish_here(mut self, target: &Path, modified: Option<Timestamp>) -> anyhow::Result<()> {
        if let Some(ms) = modified.and_then(|time| u64::try_from(time.as_millis()).ok()) {
            self.file.set_modified(UNIX_EPOCH + Duration::from_millis(ms))?;
        }
        std::fs::rename(&self.path, target).map_err(|error| clash(target, error))?;
        self.published = true;
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.published
            && let Err(error) = std::fs::remove_file(&self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "failed to remove a temporary file");
        }
    }
}

/// Keys `a` and `a/b` can both be objects; as files one of them is in the other's way.
fn clash(path: &Path, error: std::io::Error) -> anyhow::Error {
    let why = match error.kind() {
        ErrorKind::NotADirectory | ErrorKind::AlreadyExists | ErrorKind::IsADirectory => {
            "another key needs that name as a file or a directory"
        }
        _ => return anyhow::Error::from(error).context(format!("write {}", path.display())),
    };
    crate::exit::Failure::new(crate::exit::Exit::Conflict, format!("write {}: {why}", path.display())).into()
}
