//! Objects to files.
//!
//! The bytes go to a temporary file beside the target, are verified against the endpoint's checksum, and only then take
//! the target's name ([`Temporary`]). Large objects come in ranges, several at once, all pinned to one ETag. An interruption
//! or an error removes the temporary file.
//!
//! A target that is a link is replaced where it leads to, as cp(1) writes through it: the link stays. One that leads into an appliance's
//! directory is refused. A device or a FIFO is
//! never replaced: one object that is copied to it is written into it ([`into_special`]), anything else is refused.

use super::entry::Entry;
use super::report::{Done, TransferReport};
use super::run::Shared;
use super::taken::Taken;
use super::temporary::Temporary;
use crate::directory::{appliance_of, of_appliance};
use crate::exit::{Exit, Failure};
use anyhow::Context;
use client::{Client, Crc64, ObjectHead, ObjectRef};
use engine::clock::Timestamp;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use std::fs::OpenOptions;
use std::io::Write;
use std::ops::Range;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

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
) -> anyhow::Result<(Done, Taken)> {
    let path = &through_links(path)?;
    let temporary = Temporary::create(path, shared.pending.clone()).await?;
    let object = ObjectRef { bucket, key, version: entry.version.as_deref() };
    let came = if entry.size >= RANGED_FROM {
        ranged(shared, &object, &temporary).await?
    } else {
        let _permit = shared.permits.acquire().await?;
        whole(shared, &object, &temporary).await?
    };
    let moves = shared.settings.move_source && !entry.behind_link;
    let proven = came.verified || (moves && has_parts_of(shared, &object, &came, &temporary).await?);
    // What is removed next has to lie on the disk here.
    temporary.publish(path, entry.modified.or(came.modified), shared.settings.move_source).await?;
    let done = Done { bytes: came.bytes, unverified: !proven, unproven: !proven, ..Done::default() };
    Ok((done, Taken::Object(came.etag)))
}

/// Sizes of parts that clients are known to have, in MiB: first those of aws-cli and firn, and the smallest that S3 takes.
const PART_SIZES: [u64; 14] = [8, 5, 16, 15, 10, 6, 32, 50, 64, 100, 128, 256, 512, 1024];

/// Whether the ETag of an object in parts is that of what came: an endpoint that keeps no checksum of it has that to prove it by. How large
/// the parts were is not said; those that make so many of so many bytes are tried.
async fn has_parts_of(
    shared: &Shared,
    object: &ObjectRef<'_>,
    came: &Came,
    temporary: &Temporary,
) -> anyhow::Result<bool> {
    let count = came.etag.split_once('-').and_then(|(_, count)| count.parse::<u64>().ok());
    let Some(count) = count.filter(|count| *count > 0) else { return Ok(false) };
    let asked = super::upload::part_size(shared.settings.part_size, came.bytes);
    let even = came.bytes.div_ceil(count).next_multiple_of(1 << 20);
    let mut sizes: Vec<u64> = [asked, even].into_iter().chain(PART_SIZES.map(|size| size << 20)).collect();
    if let Some(size) = shared.client.part_size(object).await? {
        sizes.insert(0, size);
    }
    sizes.retain(|size| *size > 0 && came.bytes.div_ceil(*size).max(1) == count);
    sizes.sort_unstable();
    sizes.dedup();
    let (path, etag) = (temporary.path().to_owned(), came.etag.clone());
    let has = move || {
        for size in sizes {
            if super::upload::has_etag(&path, &etag, size)? {
                return Ok(true);
            }
        }
        std::io::Result::Ok(false)
    };
    Ok(tokio::task::spawn_blocking(has).await??)
}

/// Where a path leads to that may be a link. One that leads nowhere, or to what is an appliance's, is refused.
fn through_links(path: &Path) -> anyhow::Result<PathBuf> {
    if !std::fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink()) {
        return Ok(path.to_owned());
    }
    let leads = std::fs::canonicalize(path).map_err(|error| {
        let text = format!("write {}: it is a link that can't be followed: {error}", path.display());
        Failure::new(Exit::Conflict, text).hint("remove the link, or make what it leads to")
    })?;
    if let Some(what) = appliance_of(&leads).and_then(|home| of_appliance(&home)) {
        let text = format!("write {}: it is a link to {}: {what}", path.display(), leads.display());
        return Err(Failure::new(Exit::Denied, text).hint("remove the link").into());
    }
    Ok(leads)
}

/// Whether a target is there that takes bytes and can't be replaced: a device or a FIFO.
pub(crate) fn is_special(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|found| {
        let kind = found.file_type();
        kind.is_fifo() || kind.is_char_device() || kind.is_block_device()
    })
}

/// Writes an object into a device or a FIFO, in order. Opening a FIFO waits for its reader.
pub(crate) async fn into_special(
    client: &Client,
    object: &ObjectRef<'_>,
    path: &Path,
) -> anyhow::Result<TransferReport> {
    let mut download = client.get_object(object, None, None).await?;
    let (shown, path) = (path.display().to_string(), path.to_owned());
    let opened = tokio::task::spawn_blocking(move || OpenOptions::new().write(true).open(path)).await?;
    let file = Arc::new(opened.with_context(|| format!("open {shown}"))?);
    let mut bytes = 0;
    while let Some(data) = download.next().await? {
        bytes += data.len() as u64;
        let file = Arc::clone(&file);
        let written = tokio::task::spawn_blocking(move || (&*file).write_all(&data)).await?;
        written.with_context(|| format!("write {shown}"))?;
    }
    let mut report = TransferReport { downloaded: 1, ..TransferReport::default() };
    report.add(Done { bytes, unverified: !download.verified(), ..Done::default() });
    Ok(report)
}

/// What a download brought.
struct Came {
    /// Whether its checksum was compared.
    verified: bool,
    modified: Option<Timestamp>,
    bytes: u64,
    etag: String,
}

async fn whole(shared: &Shared, object: &ObjectRef<'_>, temporary: &Temporary) -> anyhow::Result<Came> {
    let mut download = shared.client.get_object(object, None, None).await?;
    let mut at = 0;
    while let Some(data) = download.next().await? {
        let length = data.len() as u64;
        temporary.write(at, data).await?;
        at += length;
        shared.progress.moved(length);
    }
    let head = download.head();
    let (modified, etag) = (head.last_modified, head.etag.clone());
    Ok(Came { verified: download.verified(), modified, bytes: at, etag })
}

async fn ranged(shared: &Shared, object: &ObjectRef<'_>, temporary: &Temporary) -> anyhow::Result<Came> {
    let head = {
        let _permit = shared.permits.acquire().await?;
        shared.client.head_object(object).await?
    };
    if head.crc64.is_none() || head.etag.is_empty() {
        // Only a checksum that combines can verify ranges, and only an ETag keeps them of one object; without one the MD5 needs the bytes in order.
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
    Ok(Came { verified: true, modified: head.last_modified, bytes: head.size, etag: head.etag })
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
