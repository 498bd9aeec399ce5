//! Objects to objects, within one endpoint; the bytes never pass here, and what proves a copy is what the endpoint says of both: a checksum
//! that both have, or the same ETag. Where they have nothing in common to compare, as where one was uploaded in parts, the same size and the
//! ETag that the copy was answered with do.

use super::entry::Entry;
use super::report::Done;
use super::run::Shared;
use super::taken::Taken;
use crate::exit::{Exit, Failure};
use client::{CopyProof, ObjectHead, ObjectRef, OpenUpload, PutOptions, PutResult};
use futures_util::stream::{self, StreamExt, TryStreamExt};

/// The most that one copy moves; S3's own limit.
const COPY_MAX: u64 = 5 << 30;
/// The size of a part where more is to be copied.
const PART: u64 = 1 << 30;

/// Copies one object. What is copied, or then removed, in more than one request is one object: the one that had its ETag at first.
pub(super) async fn object(
    shared: &Shared,
    from: &ObjectRef<'_>,
    bucket: &str,
    key: &str,
    entry: &Entry,
) -> anyhow::Result<(Done, Taken)> {
    let (bytes, etag) = match &entry.etag {
        Some(etag) if entry.size <= COPY_MAX && !etag.is_empty() => (entry.size, etag.clone()),
        _ => {
            let head = head(shared, from).await?;
            if head.size > COPY_MAX {
                return in_parts(shared, from, bucket, key, head).await;
            }
            (head.size, head.etag)
        }
    };
    let options = PutOptions {
        storage_class: shared.settings.storage_class.clone(),
        if_absent: shared.settings.if_absent,
        ..PutOptions::default()
    };
    let copied = {
        let _permit = shared.permits.acquire().await?;
        let if_match = shared.settings.move_source.then_some(&*etag).filter(|etag| !etag.is_empty());
        shared.client.copy_object((from, if_match), bucket, key, &options).await
    };
    let put = match copied {
        Ok(put) => put,
        Err(error) => return Err(explain(shared, from, &etag, error.into()).await),
    };
    shared.progress.moved(bytes);
    let proven = if put.etag.eq_ignore_ascii_case(&etag) {
        CopyProof::Proven
    } else {
        prove(shared, (from, &etag), (bucket, key), &put).await?
    };
    let (unproven, unverified) = (proven != CopyProof::Proven, proven == CopyProof::OtherEtag);
    Ok((Done { bytes, unverified, unproven, ..Done::default() }, Taken::Object(etag)))
}

/// Whether a copy that has another ETag than its source is one. What contradicts it is an error.
async fn prove(
    shared: &Shared,
    (from, etag): (&ObjectRef<'_>, &str),
    (bucket, key): (&str, &str),
    put: &PutResult,
) -> anyhow::Result<CopyProof> {
    // Nothing is removed, and one of two ETags of parts says nothing about the other.
    if !shared.settings.move_source && (etag.contains('-') || put.etag.contains('-')) {
        return Ok(CopyProof::Unproven);
    }
    let to = ObjectRef { bucket, key, version: put.version_id.as_deref() };
    let (source, copy) = match (head(shared, from).await, head(shared, &to).await) {
        (Ok(source), Ok(copy)) => (source, copy),
        // Who may write and not read gets no copy compared.
        (Err(error), _) | (_, Err(error)) if shared.settings.move_source => return Err(error),
        _ => return Ok(CopyProof::Unproven),
    };
    if source.etag != etag {
        return Err(written_anew(from));
    }
    // Somebody else has written it by now.
    if !copy.etag.eq_ignore_ascii_case(&put.etag) {
        return Ok(CopyProof::Unproven);
    }
    Ok(match source.prove_copy(&copy, &to)? {
        // Nothing contradicts it, and the sizes are the same.
        CopyProof::Unproven if shared.settings.move_source => CopyProof::Proven,
        proof => proof,
    })
}

async fn head(shared: &Shared, from: &ObjectRef<'_>) -> anyhow::Result<ObjectHead> {
    let _permit = shared.permits.acquire().await?;
    Ok(shared.client.head_object(from).await?)
}

/// Of two conditions that may have failed, names the source's if it is that one.
async fn explain(shared: &Shared, from: &ObjectRef<'_>, etag: &str, error: anyhow::Error) -> anyhow::Error {
    let said = error.chain().find_map(|cause| cause.downcast_ref::<client::Error>());
    if said.and_then(client::Error::code) != Some("PreconditionFailed") {
        return error;
    }
    match head(shared, from).await {
        Ok(now) if now.etag != etag => written_anew(from),
        _ => error,
    }
}

fn written_anew(from: &ObjectRef<'_>) -> anyhow::Error {
    let text = format!("copy {from}: it was written anew meanwhile, and is left as it is");
    Failure::new(Exit::Conflict, text).hint("run the same command again").into()
}

async fn in_parts(
    shared: &Shared,
    from: &ObjectRef<'_>,
    bucket: &str,
    key: &str,
    head: ObjectHead,
) -> anyhow::Result<(Done, Taken)> {
    let tags = match head.tag_count {
        0 => Vec::new(),
        _ => shared.client.object_tags(from).await?,
    };
    let options = PutOptions {
        content_type: head.content_type.clone(),
        storage_class: shared.settings.storage_class.clone(),
        metadata: head.metadata.clone(),
        kept: head.kept.clone(),
        tags,
        if_absent: shared.settings.if_absent,
    };
    let upload = shared.client.create_upload(bucket, key, &options).await?;
    let copied = copy_parts(shared, (from, &head.etag), &upload, head.size).await;
    let completed = match copied {
        Ok(parts) => shared.client.complete_upload(&upload, &parts, &options).await.map_err(Into::into),
        Err(error) => Err(error),
    };
    if completed.is_err() {
        // Nothing of it can be resumed; the first error is the one to tell.
        let _best_effort = shared.client.abort_upload(&upload).await;
    }
    let put = match completed {
        Ok(put) => put,
        Err(error) => return Err(explain(shared, from, &head.etag, error).await),
    };
    shared.progress.moved(head.size);
    let proven = shared.settings.move_source
        && prove(shared, (from, &head.etag), (bucket, key), &put).await? == CopyProof::Proven;
    Ok((Done { bytes: head.size, unproven: !proven, ..Done::default() }, Taken::Object(head.etag)))
}

async fn copy_parts(
    shared: &Shared,
    from: (&ObjectRef<'_>, &str),
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
