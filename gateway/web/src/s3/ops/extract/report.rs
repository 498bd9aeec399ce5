//! What became of an archive's entries, as an object beside it.
//!
//! ```json
//! {"version":1,"archive":"in/batch01.tar","packing":"tar","objects":2,"bytes":10,"skipped":1,"refused":0,
//!  "end_mark":true,"lines":[{"entry":3,"name":"link","result":"skipped","reason":"a symbolic link: …"}],"more_lines":0}
//! ```

use super::ReportWish;
use crate::s3::Call;
use crate::s3::error::S3Error;
use engine::unit::ByteCount;
use http::request;
use objectstore::{
    ETag, ETagMatch, Expect, Ingest, IngestEntry, IngestOutcome, Metadata, ObjectKey, PutRequest,
    SealedObject, StorageClass, WriteConditions,
};
use serde_json::{Value, json};
use std::sync::Arc;

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
    /// The archive says itself where it ends.
    pub(super) has_end: bool,
    lines: Vec<Line>,
    line_bytes: usize,
}

/// A report that waits with the entries for its name.
pub(super) struct Staged {
    key: ObjectKey,
    size: u64,
    etag: ETag,
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
        let has_end = true;
        Self { archive, packing, objects: 0, bytes: 0, skipped: 0, refused: 0, has_end, lines, line_bytes: 0 }
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

    /// What came of it in the end.
    pub(super) fn count(&mut self, outcome: &IngestOutcome) {
        self.objects = outcome.objects;
        self.bytes = outcome.bytes.get();
        for (key, error) in &outcome.refused {
            let code = S3Error::code_of(error);
            self.add(Line {
                entry: None,
                name: key.as_str().to_owned(),
                refused: Some(code),
                reason: error.to_string(),
            });
        }
    }

    /// The same where the report was one of the entries: it is no object of the archive, and where others were refused that were
    /// counted in it, it is written anew. Answers its key.
    pub(super) async fn conclude(
        &mut self,
        call: &Call,
        staged: Result<Staged, S3Error>,
        outcome: &mut IngestOutcome,
    ) -> Result<String, S3Error> {
        let Ok(staged) = &staged else {
            self.count(outcome);
            return staged.map(|staged| staged.key.as_str().to_owned());
        };
        if let Some(at) = outcome.refused.iter().position(|(key, _)| *key == staged.key) {
            let (_, error) = outcome.refused.remove(at);
            self.count(outcome);
            return Err(error.into());
        }
        outcome.objects = outcome.objects.saturating_sub(1);
        outcome.bytes = ByteCount::new(outcome.bytes.get().saturating_sub(staged.size));
        self.count(outcome);
        if outcome.refused.is_empty() {
            return Ok(staged.key.as_str().to_owned());
        }
        // Only over what was written just now.
        write(call, staged.key.clone(), self, Some(ETagMatch::OneOf(vec![staged.etag]))).await
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
            "end_mark": self.has_end,
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

/// The head that it is asked for with: tags, locks and lists are the request's, as any entry's; class and redirect are not.
pub(super) fn head(of_archive: &Arc<request::Parts>) -> Arc<request::Parts> {
    let mut head = request::Parts::clone(of_archive);
    for name in ["x-amz-storage-class", "x-amz-website-redirect-location"] {
        head.headers.remove(name);
    }
    Arc::new(head)
}

/// Has it wait for its name among the entries. The inner error is the report's own, the outer one the whole archive's.
pub(super) async fn stage(
    ingest: &mut Ingest,
    key: ObjectKey,
    report: &Report,
) -> Result<Result<Staged, S3Error>, S3Error> {
    let sealed = match seal(ingest, key.clone(), report).await {
        Ok(sealed) => sealed,
        Err(error) => return Ok(Err(error)),
    };
    let (etag, size) = (sealed.etag(), sealed.size().get());
    ingest.stage(sealed).await?;
    Ok(Ok(Staged { key, size, etag }))
}

async fn seal(ingest: &mut Ingest, key: ObjectKey, report: &Report) -> Result<SealedObject, S3Error> {
    let document = report.document().to_string();
    let (length, class) = (ByteCount::from(document.len()), StorageClass::default());
    let mut upload = ingest.entry(IngestEntry { key, length, metadata: metadata(), class }).await?;
    upload.write(document.into()).await?;
    Ok(upload.seal().await?)
}

fn metadata() -> Metadata {
    let mut metadata = Metadata::default();
    metadata.system.content_type = Some("application/json".to_owned());
    metadata
}

/// Puts it, as whoever sent the archive would: where nothing may be replaced, the report replaces nothing either.
pub(super) async fn write(
    call: &Call,
    key: ObjectKey,
    report: &Report,
    only: Option<ETagMatch>,
) -> Result<String, S3Error> {
    let name = key.as_str().to_owned();
    let (if_match, if_none_match) = match only {
        Some(ETagMatch::Any) => (None, only),
        only => (only, None),
    };
    let request = PutRequest {
        metadata: metadata(),
        subresources: super::super::beside(call).await?,
        writer: call.writer().await?,
        origin: call.origin(),
        conditions: WriteConditions { if_match, if_none_match },
        ..PutRequest::new(call.target.bucket()?, key)
    };
    let mut upload = call.state.store.put(request).await?;
    upload.write(report.document().to_string().into()).await?;
    Box::pin(upload.finish(Expect::default())).await?;
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::Report;
    use objectstore::{ETag, Error, IngestOutcome, ObjectKey, QuotaUnit};

    #[test]
    fn what_is_refused_after_the_decision_is_in_the_report() {
        let mut report = Report::new("a.tar");
        (report.objects, report.bytes) = (3, 30);
        let full = Error::QuotaExceeded { prefix: "p/".to_owned(), limit: 2, unit: QuotaUnit::Objects };
        let outcome = IngestOutcome {
            etag: ETag::of_body([0; 16]),
            checksum: None,
            objects: 2,
            bytes: engine::unit::ByteCount::new(20),
            refused: vec![(ObjectKey::parse("p/late").unwrap(), full)],
        };
        report.count(&outcome);
        let shown = report.document();
        assert_eq!(
            (&shown["objects"], &shown["bytes"], &shown["refused"]),
            (&2.into(), &20.into(), &1.into())
        );
        let line = &shown["lines"][0];
        assert_eq!((&line["name"], &line["code"]), (&"p/late".into(), &"QuotaExceeded".into()));
        assert!(line["reason"].as_str().unwrap().contains("p/"), "{line}");
    }
}
