//! One thing: a file, an object, or a stream of unknown length.

use super::plan::{Job, Planned, Spot};
use super::report::{Done, TransferReport};
use super::run::{Runner, Shared};
use crate::exit::{Failure, hint};
use crate::report::to_stdout;
use anyhow::Context;
use bytes::{Bytes, BytesMut};
use client::{Client, CompletedPart, ObjectRef, OpenUpload, PutOptions, PutResult};
use std::io::Write;
use std::ops::Range;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::mpsc;

/// Parts of a stream grow so that 10,000 of them reach 5 TiB, S3's largest object: they double every 1,000.
const GROW_EVERY: u32 = 1000;
const PARTS_MAX: u32 = 10_000;

/// Does one job.
pub(crate) async fn one(runner: Runner, job: Job) -> anyhow::Result<TransferReport> {
    let name = crate::text::printable(&job.to_string());
    let goes_on = match &job {
        Job::Transfer { from: Spot::File(_), to: Spot::Object(..), entry } => {
            runner.sends_in_parts(entry.size)
        }
        _ => false,
    };
    let (sender, plan) = mpsc::channel(1);
    sender.send(Planned::Job(job)).await?;
    drop(sender);
    let report = runner.run(plan).await?;
    // Of one thing the error is all there is to say.
    match (report.stopped, report.first_error) {
        (Some(stopped), _) => Err(told(stopped.cause, name, goes_on)),
        (_, Some(error)) => Err(told(error, name, goes_on)),
        _ => Ok(TransferReport { stopped: None, first_error: None, ..report }),
    }
}

/// An error of one thing. Of a file in parts whose endpoint is gone, what was sent is not lost.
fn told(error: anyhow::Error, name: String, goes_on: bool) -> anyhow::Error {
    let said = error.chain().find_map(|cause| cause.downcast_ref::<client::Error>());
    if !goes_on || !said.is_some_and(|said| said.is_unreachable() || said.is_unanswered()) {
        return error.context(name);
    }
    let first = hint(&error).map(|hint| format!("{hint}; ")).unwrap_or_default();
    let goes_on = format!("{first}then the same command goes on, with the parts that are there");
    Failure::new(crate::exit::of(&error), name).hint(goes_on).caused_by(error).into()
}

/// Uploads stdin.
pub(crate) async fn stream_in(runner: Runner, bucket: &str, key: &str) -> anyhow::Result<TransferReport> {
    let (shared, mut report) = runner.into_parts();
    if shared.settings.dry_run {
        report.uploaded = 1;
        return Ok(report);
    }
    let uploaded = upload_stream(&shared, &mut tokio::io::stdin(), bucket, key).await;
    shared.progress.finish();
    report.add(uploaded.map_err(|error| shared.settings.explain(error))?);
    report.uploaded = 1;
    Ok(report)
}

/// Writes an object, or a range of it, to stdout.
pub(crate) async fn stream_out(
    client: &Client,
    object: &ObjectRef<'_>,
    range: Option<Range<u64>>,
) -> anyhow::Result<()> {
    let mut download = client.get_object(object, range, None).await?;
    while let Some(data) = download.next().await? {
        // A pipe that nobody reads blocks here, off the runtime's threads.
        tokio::task::spawn_blocking(move || std::io::stdout().lock().write_all(&data))
            .await?
            .map_err(to_stdout)?;
    }
    std::io::stdout().lock().flush().map_err(to_stdout)?;
    Ok(())
}

/// Holds one part in memory; the next is read when it has been acknowledged.
async fn upload_stream(
    shared: &Shared,
    source: &mut (impl AsyncRead + Unpin),
    bucket: &str,
    key: &str,
) -> anyhow::Result<Done> {
    let done = |bytes, put: &PutResult| Done { bytes, unverified: !put.verified, ..Done::default() };
    let options = PutOptions {
        storage_class: shared.settings.storage_class.clone(),
        if_absent: shared.settings.if_absent,
        ..PutOptions::default()
    };
    let first_size = usize::try_from(shared.settings.part_size)?;
    let first = read_part(source, first_size).await?;
    if first.len() < first_size {
        let bytes = first.len() as u64;
        let put = shared.client.put_object(bucket, key, first, &options).await?;
        return Ok(done(bytes, &put));
    }
    let upload = shared.client.create_upload(bucket, key, &options).await?;
    let sent = send_parts(shared, source, &upload, first).await;
    let completed = match sent {
        Ok((parts, bytes)) => {
            let put = shared.client.complete_upload(&upload, &parts, &options).await;
            put.map(|put| done(bytes, &put)).map_err(Into::into)
        }
        Err(error) => Err(error),
    };
    if completed.is_err() {
        // A stream can't be read again, so nothing of it can be resumed; the first error is the one to tell.
        let _best_effort = shared.client.abort_upload(&upload).await;
    }
    completed
}

async fn send_parts(
    shared: &Shared,
    source: &mut (impl AsyncRead + Unpin),
    upload: &OpenUpload,
    first: Bytes,
) -> anyhow::Result<(Vec<CompletedPart>, u64)> {
    let (mut parts, mut bytes, mut body) = (Vec::new(), 0, first);
    for number in 1..=PARTS_MAX {
        if body.is_empty() {
            return Ok((parts, bytes));
        }
        bytes += body.len() as u64;
        shared.progress.expect(body.len() as u64);
        let length = body.len() as u64;
        parts.push(shared.client.upload_part(upload, number, body).await?);
        shared.progress.moved(length);
        let size = shared.settings.part_size << (number / GROW_EVERY);
        body = read_part(source, usize::try_from(size)?).await?;
    }
    anyhow::bail!("upload the stream: it is longer than {PARTS_MAX} parts")
}

async fn read_part(source: &mut (impl AsyncRead + Unpin), size: usize) -> anyhow::Result<Bytes> {
    let mut part = BytesMut::with_capacity(size.min(64 << 10));
    let mut limited = source.take(size as u64);
    while limited.read_buf(&mut part).await.context("read the stream")? > 0 {}
    Ok(part.freeze())
}
