//! `cp --extract`: an archive becomes objects at the endpoint, in one request that sends it as it is.

use crate::cli::{Cp, Location};
use crate::exit::{self, Exit, Failure};
use crate::report::Report;
use crate::session::Session;
use crate::text::{counted, printable};
use crate::transfer::show_first;
use anyhow::Context;
use client::{ARCHIVE_BYTES_MAX, Archive, Client, ExtractOptions, Extracted, ObjectRef};
use engine::unit::ByteCount;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

/// What is said of a file that is no tar, or only begins as one.
const NO_TAR: [&str; 2] = ["a header whose checksum does not fit", "no end: it was cut off"];
/// The largest report that is read: 10,000 lines of it are a few MiB.
const REPORT_BYTES_MAX: usize = 32 << 20;

/// An entry that became no object.
#[derive(Debug, Deserialize, Serialize)]
struct Line {
    #[serde(default)]
    entry: Option<u64>,
    name: String,
    result: String,
    #[serde(default)]
    code: Option<String>,
    reason: String,
}

/// What of a report is shown.
#[derive(Debug, Deserialize)]
struct Lines {
    lines: Vec<Line>,
}

#[derive(Debug, Serialize)]
struct ExtractReport {
    objects: u64,
    bytes: ByteCount,
    skipped: u64,
    refused: u64,
    /// The archive says itself where it ends.
    end_mark: bool,
    /// The key of the whole report, where there is one.
    report: Option<String>,
    /// The first ten thousand entries that became no object.
    entries: Vec<Line>,
}

impl Report for ExtractReport {
    fn people(&self, out: &mut dyn Write) -> io::Result<()> {
        for result in ["refused", "skipped"] {
            let these = self.entries.iter().filter(|line| line.result == result);
            let listed = these.map(|line| (&*line.name, &*line.reason));
            show_first(out, result, listed, if result == "refused" { self.refused } else { self.skipped })?;
        }
        write!(out, "{} of {}", counted(self.objects, "object", "objects"), self.bytes)?;
        for (count, word) in [(self.skipped, "skipped"), (self.refused, "refused")] {
            if count > 0 {
                write!(out, ", {count} {word}")?;
            }
        }
        writeln!(out)?;
        if !self.end_mark {
            writeln!(
                out,
                "the archive has no end mark: whoever wrote it may have been cut off, and files may be missing"
            )?;
        }
        match &self.report {
            Some(key) => writeln!(out, "the report is {}", printable(key)),
            None => Ok(()),
        }
    }

    fn exit(&self) -> Exit {
        if self.refused > 0 { Exit::Partial } else { Exit::Ok }
    }
}

pub(super) async fn run(session: &Session, args: &Cp) -> anyhow::Result<Exit> {
    let (Location::Path(path), Location::S3(target)) = (&args.source, &args.target) else {
        let text = "take an archive apart: it is a file, and its objects go to s3://BUCKET/PREFIX/";
        return Err(Failure::usage(text).into());
    };
    super::transfer::refuse_appliance(path, true)?;
    let archive = open(path)?;
    let name = path.file_name().and_then(|name| name.to_str()).ok_or_else(|| {
        Failure::usage(format!("make a key of {}: it has no name in UTF-8", path.display()))
    })?;
    let prefix = target.key.trim_end_matches('/').to_owned();
    let slash = if prefix.is_empty() { "" } else { "/" };
    let options = ExtractOptions {
        skip_refused: args.skip_refused,
        if_absent: args.no_clobber,
        storage_class: args.options.storage_class.clone(),
        prefix: prefix.clone(),
    };
    let client = session.client()?;
    let key = format!("{prefix}{slash}{name}");
    let told = client.put_archive(&target.bucket, &key, &archive, &options).await;
    let told = told.map_err(|error| refused(error, path))?;
    let entries = entries(&client, &target.bucket, &told).await?;
    let Extracted { objects, bytes, skipped, refused, report, has_end: end_mark, .. } = told;
    let bytes = ByteCount::new(bytes);
    let report = report.map(|key| format!("s3://{}/{key}", target.bucket));
    session.output.print(&ExtractReport { objects, bytes, skipped, refused, end_mark, report, entries })
}

/// What refuses an archive speaks of an entry; this says which archive, and what one is.
fn refused(error: client::Error, path: &Path) -> anyhow::Error {
    let (text, said) = (printable(&format!("take {} apart", path.display())), error.to_string());
    if !NO_TAR.into_iter().any(|what| said.contains(what)) {
        return anyhow::Error::from(error).context(text);
    }
    let hint = "is it a tar, plain, gzip or zstd? tar -czf FILE.tgz DIR makes one; a file goes as it is without --extract";
    Failure::new(exit::of_client(error.kind()), text).hint(hint).caused_by(error).into()
}

fn open(path: &Path) -> anyhow::Result<Archive> {
    let file = File::open(path).with_context(|| format!("open {}", path.display()))?;
    let metadata = file.metadata().with_context(|| format!("look at {}", path.display()))?;
    if !metadata.is_file() {
        return Err(Failure::usage(format!("use {}: it is no regular file", path.display())).into());
    }
    let size = metadata.len();
    if size > ARCHIVE_BYTES_MAX {
        let text = format!(
            "send {}: an archive of {} is more than one of 5 GiB",
            path.display(),
            ByteCount::new(size)
        );
        return Err(Failure::usage(text).hint("pack its files into several archives").into());
    }
    Ok(Archive { file: Arc::new(file), size })
}

/// What the report says of entries that became no object.
async fn entries(client: &Client, bucket: &str, told: &Extracted) -> anyhow::Result<Vec<Line>> {
    let Some(key) = &told.report else { return Ok(Vec::new()) };
    let mut download = client.get_object(&ObjectRef::latest(bucket, key), None, None).await?;
    let mut document = Vec::new();
    while let Some(piece) = download.next().await? {
        anyhow::ensure!(document.len() + piece.len() <= REPORT_BYTES_MAX, "read the report: it is too long");
        document.extend_from_slice(&piece);
    }
    let lines: Lines = serde_json::from_slice(&document).context("read the report")?;
    Ok(lines.lines)
}

#[cfg(test)]
mod tests {
    use super::{ExtractReport, Line, Report};
    use crate::exit::Exit;
    use engine::unit::ByteCount;

    #[test]
    fn what_became_no_object_is_shown_before_the_counts() {
        let line = |name: &str, result: &str| Line {
            entry: Some(2),
            name: name.into(),
            result: result.into(),
            code: None,
            reason: "a reason".into(),
        };
        let report = ExtractReport {
            objects: 1,
            bytes: ByteCount::new(5),
            skipped: 1,
            refused: 1,
            end_mark: false,
            report: Some("s3://b/a.tar.report.json".into()),
            entries: vec![line("link", "skipped"), line("../up\u{1b}", "refused")],
        };
        let mut people = Vec::new();
        report.people(&mut people).unwrap();
        let people = String::from_utf8(people).unwrap();
        let wanted = "refused: ../up\\u{1b}: a reason\nskipped: link: a reason\n1 object of 5 B, 1 skipped, 1 refused\n\
                      the archive has no end mark: whoever wrote it may have been cut off, and files may be missing\n\
                      the report is s3://b/a.tar.report.json\n";
        assert_eq!(people, wanted);
        assert_eq!(report.exit(), Exit::Partial);
        let whole = ExtractReport { refused: 0, ..report };
        assert_eq!(whole.exit(), Exit::Ok);
    }
}
