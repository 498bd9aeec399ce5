//! Objects to objects, within one endpoint; the bytes never pass here.

use super::entry::Entry;
use super::run::{Done, Shared};
use client::{ObjectRef, OpenUpload, PutOptions};
use futures_util::stream::{self, StreamExt, TryStreamExt};

/// The most that one copy moves; S3's own limit.
const COPY_MAX: u64 = 5 << 30;
/// The size of a part where more is to be copied.
const PART: u64 = 1 << 30;

/// Copies one object.
pub(super) async fn object(
    shared: &Shared,
    from: &ObjectRef<'_>,
    bucket: &str,
    key: &str,
    entry: &Entry,
) -> anyhow::Result<Done> {
    if entry.size <= COPY_MAX {
        let _permit = shared.permits.acquire().await?;
        let options = PutOptions {
            storage_class: shared.settings.storage_class.clone(),
            if_absent: shared.settings.if_absent,
            ..PutOptions::default()
        };
        shared.client.copy_object(from, bucket, key, &options).await?;
    } else {
        in_parts(shared, from, bucket, key, entry).await?;
    }
    shared.progress.moved(entry.size);
    Ok(Done { bytes: entry.size, ..Done::default() })
}

async fn in_parts(
    shared: &Shared,
    from: &ObjectRef<'_>,
    bucket: &str,
    key: &str,
    entry: &Entry,
) -> anyhow::Result<()> {
    let head = shared.client.head_object(from).await?;
    let options = PutOptions {
        content_type: head.content_type,
        storage_class: shared.settings.storage_class.clone(),
        metadata: head.metadata,
        if_absent: shared.settings.if_absent,
    };
    let upload = shared.client.create_upload(bucket, key, &options).await?;
    let copied = copy_parts(shared, from, &upload, entry.size.max(head.size)).await;
    let completed = match copied {
        Ok(parts) => shared.client.complete_upload(&upload, &parts, &options).await.map_err(Into::into),
        Err(error) => Err(error),
    };
    if completed.is_err() {
        // Nothing of it can be resumed; the first error is the one to tell.
        let _best_effort = shared.client.abort_upload(&upload).await;
    }
    completed.map(drop)
}

async fn copy_parts(
    shared: &Shared,
    from: &ObjectRef<'_>,
    upload: &OpenUpload,
    size: u64,
) -> anyhow::Result<Vec<client::CompletedPart>> {
    let part_size = super::upload::part_size(PART, size);
    let numbers = 1..=u32::try_from(size.div_ceil(part_size))?;
    let mut parts: Vec<_> = stream::iter(numbers)
        .map(|number| async move {
            let _permit = shared.permits.acquire().await?;
            let start = u64::from(number - 1) * part_size;
            let range = start..(start + part_size).min(size);
            anyhow::Ok(shared.client.upload_part_copy(upload, number, from, range).await?)
        })
        .buffer_unordered(shared.settings.jobs)
        .try_collect()
        .await?;
    parts.sort_by_key(|part| part.number);
    Ok(parts)
}
