//! Files become archives, and archives files.

use super::list::{STEP, initiate, output, wait};
use super::{Listing, ask, checked, text};
use crate::cli::{VaultGet, VaultPut};
use crate::exit::{Exit, Failure};
use crate::report::Report;
use crate::session::Session;
use crate::text::printable;
use crate::transfer::Temporary;
use anyhow::Context;
use archive::tree_hash::{ByteRange, MAX_PARTS, PartSize, Parts, TreeHash, TreeHasher};
use bytes::Bytes;
use client::{Client, GlacierCall};
use engine::unit::ByteCount;
use futures_util::{StreamExt, TryStreamExt, stream};
use http::Method;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde::Serialize;
use serde_json::{Value, json};
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

/// The least size of a part; a file of no more goes as a whole.
const PART_MIN: u64 = 16 << 20;
/// Bytes of parts that are held at once, but for those of one part.
const HELD: u64 = 64 << 20;
/// Most bytes of an archive.
const ARCHIVE_MAX: u64 = MAX_PARTS * (4 << 30);
/// What a description can't have, of a file's name.
const DESCRIBED: &AsciiSet = &CONTROLS.add(b'%');
const TREE_HASH: &str = "x-amz-sha256-tree-hash";

/// A file that is an archive now.
#[derive(Debug, Serialize)]
struct Put {
    file: String,
    vault: String,
    archive_id: String,
    bytes: u64,
    sha256_tree_hash: String,
}

impl Report for Put {
    fn people(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{}  {} ({})", self.archive_id, printable(&self.file), ByteCount::new(self.bytes))
    }
}

/// Each file is told as soon as it is there: its id is nowhere else but in inventories.
pub(super) async fn put(session: &Session, args: &VaultPut) -> anyhow::Result<Exit> {
    let (client, vault) = (session.client()?, checked(&args.vault)?);
    for path in &args.files {
        let description = args.description.clone().unwrap_or_else(|| described(path));
        let put = put_one(&client, vault, path, &description).await;
        let put = put.with_context(|| format!("put {} into vault {vault}", path.display()))?;
        session.output.item(&put)?;
    }
    Ok(Exit::Ok)
}

/// A file's name in printable ASCII.
fn described(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let text = utf8_percent_encode(&name, DESCRIBED).to_string();
    text.chars().take(1_024).collect()
}

async fn put_one(client: &Client, vault: &str, path: &Path, description: &str) -> anyhow::Result<Put> {
    let file = File::open(path)?;
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(Failure::usage("it is no regular file")
            .hint("an archive is one file: pack a directory first, tar -cf for example")
            .into());
    }
    let (file, bytes) = (Arc::new(file), found.len());
    if bytes == 0 || bytes > ARCHIVE_MAX {
        let text = format!("it has {bytes} bytes; an archive has 1 to {ARCHIVE_MAX}");
        return Err(Failure::usage(text).into());
    }
    let (archive_id, tree_hash) = if bytes <= PART_MIN {
        whole(client, vault, (&file, bytes), description).await?
    } else {
        let call = GlacierCall::new(
            "InitiateMultipartUpload",
            Method::POST,
            &["vaults", vault, "multipart-uploads"],
        );
        let size = part_size(bytes)?;
        let call = call.header("x-amz-part-size", size.bytes().to_string());
        let begun = ask(client, call.header("x-amz-archive-description", description)).await?;
        let upload = begun.header("x-amz-multipart-upload-id")?.to_owned();
        let sent = in_parts(client, (vault, &upload), (&file, bytes), size).await;
        if sent.is_err() {
            // The first error is the one to tell.
            let at = ["vaults", vault, "multipart-uploads", &upload];
            let _best_effort =
                client.glacier(&GlacierCall::new("AbortMultipartUpload", Method::DELETE, &at)).await;
        }
        sent?
    };
    let (file, vault) = (path.display().to_string(), vault.to_owned());
    Ok(Put { file, vault, archive_id, bytes, sha256_tree_hash: tree_hash.to_string() })
}

async fn read(file: &Arc<File>, at: u64, length: u64) -> anyhow::Result<Bytes> {
    let file = Arc::clone(file);
    let reading = tokio::task::spawn_blocking(move || {
        let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
        file.read_exact_at(&mut bytes, at)?;
        Ok::<_, io::Error>(Bytes::from(bytes))
    });
    reading.await?.context("read the file: did it become shorter meanwhile?")
}

async fn whole(
    client: &Client,
    vault: &str,
    (file, bytes): (&Arc<File>, u64),
    description: &str,
) -> anyhow::Result<(String, TreeHash)> {
    let body = read(file, 0, bytes).await?;
    let hash = TreeHash::of(&body);
    let call = GlacierCall::new("UploadArchive", Method::POST, &["vaults", vault, "archives"])
        .header(TREE_HASH, hash.to_string())
        .header("x-amz-archive-description", description)
        .body(body);
    let answer = ask(client, call).await?;
    Ok((answer.header("x-amz-archive-id")?.to_owned(), hash))
}

/// The least that 10,000 parts are enough with.
fn part_size(bytes: u64) -> anyhow::Result<PartSize> {
    let mut size = PART_MIN;
    while bytes.div_ceil(size) > MAX_PARTS {
        size *= 2;
    }
    Ok(PartSize::new(size)?)
}

async fn in_parts(
    client: &Client,
    (vault, upload): (&str, &str),
    (file, bytes): (&Arc<File>, u64),
    size: PartSize,
) -> anyhow::Result<(String, TreeHash)> {
    let at_once = usize::try_from(HELD / size.bytes()).unwrap_or(1).max(1);
    let starts = (0..bytes).step_by(usize::try_from(size.bytes())?);
    let sent = stream::iter(starts.map(|start| async move {
        let length = size.bytes().min(bytes - start);
        let range = ByteRange::new(start, start + length - 1)?;
        let body = read(file, start, length).await?;
        let hash = TreeHash::of(&body);
        let at = ["vaults", vault, "multipart-uploads", upload];
        let call = GlacierCall::new("UploadMultipartPart", Method::PUT, &at)
            .header("content-range", format!("bytes {}-{}/*", range.first(), range.last()))
            .header(TREE_HASH, hash.to_string())
            .body(body);
        ask(client, call).await?;
        anyhow::Ok((range, hash))
    }));
    let mut parts = Parts::new(size);
    // In the order of the file, whichever is there first.
    let mut sent = sent.buffered(at_once);
    while let Some((range, hash)) = sent.try_next().await? {
        parts.push(range, hash)?;
    }
    let hash = parts.finish(bytes)?;
    let at = ["vaults", vault, "multipart-uploads", upload];
    let call = GlacierCall::new("CompleteMultipartUpload", Method::POST, &at)
        .header("x-amz-archive-size", bytes.to_string())
        .header(TREE_HASH, hash.to_string());
    let answer = ask(client, call).await?;
    Ok((answer.header("x-amz-archive-id")?.to_owned(), hash))
}

/// An archive on its way back, or back.
#[derive(Debug, Serialize)]
struct Got {
    vault: String,
    archive_id: String,
    job_id: String,
    /// It is in the file.
    is_there: bool,
    file: String,
    bytes: Option<u64>,
    message: String,
}

impl Report for Got {
    fn people(&self, out: &mut dyn Write) -> io::Result<()> {
        let Self { archive_id, job_id, .. } = self;
        match self.bytes.filter(|_| self.is_there) {
            Some(bytes) => {
                writeln!(out, "{}: archive {archive_id} ({})", printable(&self.file), ByteCount::new(bytes))
            }
            None => writeln!(
                out,
                "archive {archive_id} is on its way, job {job_id}: {}",
                printable(&self.message)
            ),
        }
    }
}

pub(super) async fn get(session: &Session, args: &VaultGet) -> anyhow::Result<Exit> {
    let (client, vault) = (session.client()?, checked(&args.vault)?);
    let job = if let Some(job) = under_way(&client, vault, args).await? {
        job
    } else {
        let wanted = json!({
            "Type": "archive-retrieval",
            "ArchiveId": args.archive,
            "Tier": args.tier.name(),
        });
        initiate(&client, vault, &wanted).await?
    };
    let mut got = Got {
        vault: vault.to_owned(),
        archive_id: args.archive.clone(),
        job_id: job.clone(),
        is_there: false,
        file: args.file.display().to_string(),
        bytes: None,
        message: String::new(),
    };
    if args.no_wait {
        let call = GlacierCall::new("DescribeJob", Method::GET, &["vaults", vault, "jobs", &job]);
        got.message = text(&ask(&client, call).await?.json()?, "StatusMessage");
        return session.output.print(&got);
    }
    let done = wait(session, &client, (vault, &job)).await?;
    got.bytes = Some(write(session, &client, (vault, &job, &done), &args.file).await?);
    (got.is_there, got.message) = (true, text(&done, "StatusMessage"));
    session.output.print(&got)
}

/// A retrieval of all of the archive that goes on, or is there.
async fn under_way(client: &Client, vault: &str, args: &VaultGet) -> anyhow::Result<Option<String>> {
    let mut pages = Listing::new("ListJobs", &["vaults", vault, "jobs"], "JobList");
    let mut found = None;
    while let Some(page) = pages.next::<Value>(client).await? {
        for job in &page {
            let whole =
                job["ArchiveSizeInBytes"].as_u64().and_then(ByteRange::whole).map(|range| range.to_string());
            let is_it = job["ArchiveId"] == args.archive.as_str()
                && job["RetrievalByteRange"].as_str().map(str::to_owned) == whole;
            match job["StatusCode"].as_str() {
                Some("Succeeded") if is_it => return Ok(Some(text(job, "JobId"))),
                Some("InProgress") if is_it && job["Tier"] == args.tier.name() => {
                    found = Some(text(job, "JobId"));
                }
                _ => {}
            }
        }
    }
    Ok(found)
}

/// Writes a job's output into a file, which has its name once all of it is there and is what the archive was.
async fn write(
    session: &Session,
    client: &Client,
    (vault, job, done): (&str, &str, &Value),
    target: &Path,
) -> anyhow::Result<u64> {
    let length = done["ArchiveSizeInBytes"].as_u64().context("understand the job: it has no size")?;
    let file = Temporary::create(target, session.pending.clone()).await?;
    let (mut at, mut hasher) = (0, TreeHasher::new());
    while at < length {
        let bytes = output(client, (vault, job), at..length.min(at + STEP)).await?;
        hasher.update(&bytes);
        file.write(at, bytes.clone()).await?;
        at += bytes.len() as u64;
    }
    let found = hasher.finish().to_string();
    if found != text(done, "SHA256TreeHash") {
        let text = format!(
            "get an archive of vault {vault}: its tree hash is {found}, not {}",
            text(done, "SHA256TreeHash")
        );
        return Err(Failure::new(Exit::Integrity, text).into());
    }
    file.publish(target, None, true).await?;
    Ok(length)
}

#[cfg(test)]
mod tests {
    use super::{described, part_size};
    use std::path::Path;

    #[test]
    fn parts_grow_with_the_file_and_names_become_ascii() {
        for (bytes, size) in
            [(1, 16), (16 << 20, 16), ((16 << 20) * 10_000, 16), ((16 << 20) * 10_000 + 1, 32)]
        {
            assert_eq!(part_size(bytes).unwrap().bytes(), size << 20, "{bytes}");
        }
        assert_eq!(described(Path::new("/a/b c.pkl")), "b c.pkl");
        assert_eq!(described(Path::new("100%ü\n")), "100%25%C3%BC%0A");
    }
}
