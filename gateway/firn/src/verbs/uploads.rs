//! Uploads that were begun and neither completed nor given up: `ls --uploads`, `rm --uploads`, and their sum for `du`, `stat` and `rb`.
//!
//! Their parts hold room and are in no list of objects. S3 says the size of an upload's parts by a call for each of them: so
//! many are asked for at once.

use super::{json_time, show_time};
use crate::cli::S3Uri;
use crate::exit::Exit;
use crate::report::Report;
use crate::scope::Scope;
use crate::session::Session;
use crate::text::{counted, printable};
use client::{Client, Error, OpenUpload, UploadEntry};
use engine::clock::Timestamp;
use engine::unit::ByteCount;
use futures_util::stream::{self, StreamExt};
use serde::Serialize;
use std::io::{self, Write};

/// Calls for parts that are under way at once.
const AT_ONCE: usize = 16;

/// How many there are, and what they hold.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct Unfinished {
    pub(super) uploads: u64,
    pub(super) bytes: ByteCount,
}

impl Unfinished {
    /// A line's end for people: nothing where there are none.
    pub(super) fn told(self) -> Option<String> {
        let uploads = counted(self.uploads, "upload", "uploads");
        (self.uploads > 0).then(|| format!("{uploads}, {} in their parts: firn ls --uploads", self.bytes))
    }
}

/// One of them, and what it holds.
#[derive(Debug, Serialize)]
struct Line {
    kind: &'static str,
    key: String,
    upload_id: String,
    initiated: Option<String>,
    parts: u64,
    bytes: ByteCount,
    #[serde(skip)]
    time: Option<Timestamp>,
}

impl Report for Line {
    fn people(&self, out: &mut dyn Write) -> io::Result<()> {
        let (time, parts) = (show_time(self.time), counted(self.parts, "part", "parts"));
        let (bytes, key, id) = (self.bytes.get(), printable(&self.key), printable(&self.upload_id));
        writeln!(out, "{time:19} {bytes:>14}  {key}  {id}  ({parts})")
    }
}

/// A page of them with their parts; one that ended meanwhile is left out.
async fn measured(client: &Client, bucket: &str, page: Vec<UploadEntry>) -> client::Result<Vec<Line>> {
    let lines = stream::iter(page)
        .map(|upload| async move {
            let open = open(bucket, &upload);
            let parts = match client.list_parts(&open).await {
                Ok(parts) => parts,
                Err(Error::Service(answer)) if answer.code == "NoSuchUpload" => return Ok(None),
                Err(error) => return Err(error),
            };
            Ok(Some(Line {
                kind: "upload",
                key: upload.key,
                upload_id: upload.upload_id,
                initiated: json_time(upload.initiated),
                parts: parts.len() as u64,
                bytes: ByteCount::new(parts.iter().map(|part| part.size).sum()),
                time: upload.initiated,
            }))
        })
        .buffered(AT_ONCE)
        .collect::<Vec<_>>()
        .await;
    lines.into_iter().filter_map(Result::transpose).collect()
}

fn open(bucket: &str, upload: &UploadEntry) -> OpenUpload {
    OpenUpload {
        bucket: bucket.to_owned(),
        key: upload.key.clone(),
        upload_id: upload.upload_id.clone(),
        with_crc64: false,
    }
}

/// All of a scope, a page after the other.
struct Pages<'a> {
    client: &'a Client,
    scope: &'a Scope,
    /// Where the list of each part of the scope goes on.
    at: usize,
    after: Option<client::UploadMarker>,
}

impl<'a> Pages<'a> {
    const fn new(client: &'a Client, scope: &'a Scope) -> Self {
        Self { client, scope, at: 0, after: None }
    }

    async fn next(&mut self) -> client::Result<Option<Vec<UploadEntry>>> {
        let Some((prefix, only)) = self.scope.part(self.at) else { return Ok(None) };
        let (mut page, next) =
            self.client.uploads_after(self.scope.bucket_name(), prefix, self.after.as_ref()).await?;
        if let Some(only) = only {
            page.retain(|upload| upload.key == only);
        }
        self.at += usize::from(next.is_none());
        self.after = next;
        Ok(Some(page))
    }
}

/// Their sum.
pub(super) async fn sum(client: &Client, scope: &Scope) -> client::Result<Unfinished> {
    let (mut pages, mut sum) = (Pages::new(client, scope), Unfinished::default());
    while let Some(page) = pages.next().await? {
        for line in measured(client, scope.bucket_name(), page).await? {
            sum.uploads += 1;
            sum.bytes += line.bytes;
        }
    }
    Ok(sum)
}

/// `ls --uploads`.
pub(super) async fn list(session: &Session, client: &Client, scope: &Scope) -> anyhow::Result<()> {
    let mut pages = Pages::new(client, scope);
    let mut found = false;
    while let Some(page) = pages.next().await? {
        for line in measured(client, scope.bucket_name(), page).await? {
            found = true;
            session.output.item(&line)?;
        }
    }
    if found {
        session
            .output
            .note("what this client began goes on when the same command is run again; what gives all of them up: firn rm --uploads");
    } else {
        session.output.note("no unfinished uploads");
    }
    Ok(())
}

/// What was given up.
#[derive(Debug, Serialize)]
struct Aborted {
    dry_run: bool,
    #[serde(flatten)]
    unfinished: Unfinished,
}

impl Report for Aborted {
    fn people(&self, out: &mut dyn Write) -> io::Result<()> {
        let verb = if self.dry_run { "would give up" } else { "gave up" };
        let uploads = counted(self.unfinished.uploads, "unfinished upload", "unfinished uploads");
        writeln!(out, "{verb} {uploads}; {}", self.unfinished.bytes)
    }
}

/// `rm --uploads`.
pub(super) async fn abort(
    session: &Session,
    client: &Client,
    scope: &Scope,
    uri: &S3Uri,
    dry_run: bool,
) -> anyhow::Result<Exit> {
    let (mut pages, mut sum) = (Pages::new(client, scope), Unfinished::default());
    while let Some(page) = pages.next().await? {
        for line in measured(client, scope.bucket_name(), page).await? {
            if dry_run {
                let (key, id) = (printable(&line.key), printable(&line.upload_id));
                session.output.note(&format!("would give up s3://{}/{key} upload {id}", uri.bucket));
            } else {
                let (key, upload_id) = (line.key, line.upload_id);
                let upload = OpenUpload { bucket: uri.bucket.clone(), key, upload_id, with_crc64: false };
                match client.abort_upload(&upload).await {
                    Ok(()) => {}
                    // It ended by itself meanwhile.
                    Err(Error::Service(answer)) if answer.code == "NoSuchUpload" => continue,
                    Err(error) => return Err(error.into()),
                }
            }
            sum.uploads += 1;
            sum.bytes += line.bytes;
        }
    }
    session.output.print(&Aborted { dry_run, unfinished: sum })
}
