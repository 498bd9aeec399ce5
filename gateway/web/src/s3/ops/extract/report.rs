//! What became of an archive's entries, as an object beside it.
//!
//! ```json
//! {"version":1,"archive":"in/batch01.tar","packing":"tar","objects":2,"bytes":10,"skipped":1,"refused":0,
//!  "lines":[{"entry":3,"name":"link","result":"skipped","reason":"a symbolic link: …"}],"more_lines":0}
//! ```

use super::ReportWish;
use crate::s3::Call;
use crate::s3::error::S3Error;
use objectstore::{ETagMatch, Expect, Metadata, ObjectKey, PutRequest, WriteConditions};
use serde_json::{Value, json};

/// Lines that a report holds, and bytes of names and reasons in them; the rest is counted.
const LINES_MAX: usize = 10_000;
const LINE_BYTES_MAX: usize = 2 << 20;
/// Bytes of a name that are shown: what is longer could be no key.
const NAME_BYTES_MAX: usize = 1024;
/// What is behind the archive's key.
const SUFFIX: &str = ".report.json";

/// What became of the entries.
pub(super) struct Report {
    archive: String,
    pub(super) packing: &'static str,
    pub(super) objects: u64,
    pub(super) bytes: u64,
    pub(super) skipped: u64,
    pub(super) refused: u64,
    lines: Vec<Line>,
    line_bytes: usize,
}

/// An entry that became no object.
pub(super) struct Line {
    /// Which one; `None` where it is known by its key alone.
    pub(super) entry: Option<u64>,
    pub(super) name: String,
    /// The code of what refused it; `None` where it was skipped.
    pub(super) refused: Option<&'static str>,
    pub(super) reason: String,
}

impl Report {
    pub(super) fn new(archive: &str) -> Self {
        let archive = archive.to_owned();
        let (packing, lines) = ("tar", Vec::new());
        Self { archive, packing, objects: 0, bytes: 0, skipped: 0, refused: 0, lines, line_bytes: 0 }
    }

    pub(super) fn add(&mut self, mut line: Line) {
        match line.refused {
            Some(_) => self.refused += 1,
            None => self.skipped += 1,
        }
        if line.name.len() > NAME_BYTES_MAX {
            line.name.truncate(line.name.floor_char_boundary(NAME_BYTES_MAX));
            // Also gives back what a hostile name took.
            line.name = format!("{}…", line.name);
        }
        let bytes = line.name.len() + line.reason.len();
        if self.lines.len() < LINES_MAX && self.line_bytes + bytes <= LINE_BYTES_MAX {
            self.line_bytes += bytes;
            self.lines.push(line);
        }
    }

    pub(super) const fn has_lines(&self) -> bool {
        !self.lines.is_empty()
    }

    fn document(&self) -> Value {
        let line = |line: &Line| {
            let mut shown = json!({ "name": line.name, "reason": line.reason });
            shown["result"] = if line.refused.is_some() { "refused".into() } else { "skipped".into() };
            if let Some(entry) = line.entry {
                shown["entry"] = entry.into();
            }
            if let Some(code) = line.refused {
                shown["code"] = code.into();
            }
            shown
        };
        json!({
            "version": 1,
            "archive": self.archive,
            "packing": self.packing,
            "objects": self.objects,
            "bytes": self.bytes,
            "skipped": self.skipped,
            "refused": self.refused,
            "lines": self.lines.iter().map(line).collect::<Vec<_>>(),
            "more_lines": self.skipped + self.refused - self.lines.len() as u64,
        })
    }
}

/// Where the report goes; refused before the body where it could go nowhere.
pub(super) fn key(call: &Call, wish: ReportWish) -> Result<Option<ObjectKey>, S3Error> {
    if wish == ReportWish::Never {
        return Ok(None);
    }
    let archive = call.target.key()?;
    Ok(Some(ObjectKey::parse(&format!("{archive}{SUFFIX}"))?))
}

/// Puts it, as whoever sent the archive would: where nothing may be replaced, the report replaces nothing either.
pub(super) async fn write(
    call: &Call,
    key: ObjectKey,
    report: &Report,
    if_absent: bool,
) -> Result<String, S3Error> {
    let mut metadata = Metadata::default();
    metadata.system.content_type = Some("application/json".to_owned());
    let name = key.as_str().to_owned();
    let request = PutRequest {
        metadata,
        writer: call.writer()?,
        origin: call.origin(),
        conditions: WriteConditions {
            if_none_match: if_absent.then_some(ETagMatch::Any),
            ..WriteConditions::default()
        },
        ..PutRequest::new(call.target.bucket()?, key)
    };
    let mut upload = call.state.store.put(request).await?;
    upload.write(report.document().to_string().into()).await?;
    upload.finish(Expect::default()).await?;
    Ok(name)
}
