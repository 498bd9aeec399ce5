//! What became of an archive's entries, as an object beside it.
//!
//! ```json
//! {"version":1,"archive":"in/batch01.tar","packing":"tar","objects":2,"bytes":10,"skipped":1,"refused":0,
//!  "end_mark":true,"lines":[{"entry":3,"name":"link","result":"skipped","reason":"a symbolic link: …"}],"more_lines":0}
//! ```
//! What is known of the entries before the decision is drafted, and gets its name with them. What the decision adds has the
//! report written once more; nothing of it is an error of the archive's.

use super::ReportWish;
use crate::s3::Call;
use crate::s3::audited::Batch;
use crate::s3::code::Code;
use crate::s3::error::S3Error;
use crate::s3::{customer, managed};
use engine::unit::ByteCount;
use http::request;
use objectstore::{
    ETag, ETagMatch, Encrypts, Expect, Ingest, IngestEntry, IngestOutcome, Metadata, ObjectKey, PutRequest,
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
    /// Where it may go, which is no entry's name; `None` where nobody wants to read it.
    pub(super) key: Option<ObjectKey>,
    /// It is wanted though no entry is missing.
    always: bool,
    pub(super) packing: &'static str,
    pub(super) objects: u64,
    pub(super) bytes: u64,
    pub(super) skipped: u64,
    pub(super) refused: u64,
    /// The archive says itself where it ends.
    pub(super) has_end: bool,
    /// Those that nobody let the sender write, for the audit trail.
    pub(super) batch: Batch,
    lines: Vec<Line>,
    line_bytes: usize,
}

/// The report object before the decision.
pub(super) enum Draft {
    /// Nobody wants to read it.
    Unwanted,
    /// Nothing is to be said so far.
    Empty(ObjectKey),
    /// It waits with the entries for its name.
    Staged(Staged),
    Failed(S3Error),
}

/// A report that is stored.
pub(super) struct Staged {
    key: ObjectKey,
    size: u64,
    etag: ETag,
}

/// Whether there is a report object.
pub(super) enum Told {
    No,
    At(ObjectKey),
    /// The code of why not.
    Failed(&'static str),
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
    /// Refused before the body where it could go nowhere.
    pub(super) fn new(call: &Call, wish: ReportWish) -> Result<Self, S3Error> {
        let archive = call.target.key.as_deref().unwrap_or_default();
        let key = match wish {
            ReportWish::Never => None,
            _ => Some(ObjectKey::parse(&format!("{}{SUFFIX}", call.target.key()?))?),
        };
        Ok(Self { key, always: wish == ReportWish::Always, ..Self::of(archive) })
    }

    fn of(archive: &str) -> Self {
        Self {
            archive: archive.to_owned(),
            key: None,
            always: false,
            packing: "tar",
            objects: 0,
            bytes: 0,
            skipped: 0,
            refused: 0,
            has_end: true,
            batch: Batch::of_denials(),
            lines: Vec::new(),
            line_bytes: 0,
        }
    }

    pub(super) fn add(&mut self, mut line: Line) {
        match line.refused {
            Some(code) => {
                self.refused += 1;
                let ended = Some((code, code == Code::AccessDenied.as_str()));
                self.batch.add((&line.name, None), ended);
            }
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

    /// Has what is known by now wait for its name among the entries. The error is the whole archive's.
    pub(super) async fn draft(&self, ingest: &mut Ingest) -> Result<Draft, S3Error> {
        let Some(key) = self.key.clone() else { return Ok(Draft::Unwanted) };
        if !self.always && self.lines.is_empty() {
            return Ok(Draft::Empty(key));
        }
        let sealed = match self.seal(ingest, key.clone()).await {
            Ok(sealed) => sealed,
            Err(error) => return Ok(Draft::Failed(error)),
        };
        let (etag, size) = (sealed.etag(), sealed.size().get());
        ingest.stage(sealed).await?;
        Ok(Draft::Staged(Staged { key, size, etag }))
    }

    async fn seal(&self, ingest: &mut Ingest, key: ObjectKey) -> Result<SealedObject, S3Error> {
        let document = self.document().to_string();
        let (length, class) = (ByteCount::from(document.len()), StorageClass::default());
        let mut upload = ingest.entry(IngestEntry { key, length, metadata: metadata(), class }).await?;
        upload.write(document.into()).await?;
        Ok(upload.seal().await?)
    }

    /// Counts what the decision made of the entries, and has the report object say so.
    pub(super) async fn settle(
        &mut self,
        call: &Call,
        draft: Draft,
        if_absent: bool,
        outcome: &mut IngestOutcome,
    ) -> Told {
        let draft = draft.leave(outcome);
        self.count(outcome);
        let said_all = outcome.refused.is_empty();
        let written = match draft {
            Draft::Unwanted => return Told::No,
            Draft::Empty(_) if said_all => return Told::No,
            Draft::Empty(key) => self.write(call, key, if_absent.then_some(ETagMatch::Any)).await,
            Draft::Staged(staged) if said_all => Ok(staged.key),
            // Only over what was written just now.
            Draft::Staged(Staged { key, etag, .. }) => {
                self.write(call, key, Some(ETagMatch::OneOf(vec![etag]))).await
            }
            Draft::Failed(error) => Err(error),
        };
        match written {
            Ok(key) => Told::At(key),
            Err(error) => {
                tracing::warn!(code = error.code(), "the report of an ingest could not be written");
                Told::Failed(error.code())
            }
        }
    }

    fn count(&mut self, outcome: &IngestOutcome) {
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

    /// Puts it, as whoever sent the archive would: where nothing may be replaced, the report replaces nothing either.
    async fn write(
        &self,
        call: &Call,
        key: ObjectKey,
        only: Option<ETagMatch>,
    ) -> Result<ObjectKey, S3Error> {
        let (if_match, if_none_match) = match only {
            Some(ETagMatch::Any) => (None, only),
            only => (only, None),
        };
        let encryption = managed::wish(call)?;
        let bucket = call.target.bucket()?;
        let conditions = WriteConditions { if_match, if_none_match };
        // A managed key is used by who sent the archive.
        let asks = matches!(encryption, Encrypts::Managed(_))
            || call.state.store.defaults_to_managed(&bucket).await?;
        let request = PutRequest {
            metadata: metadata(),
            encryption,
            asks: asks.then(|| call.stores(&conditions)),
            subresources: super::super::beside(call).await?,
            writer: call.writer().await?,
            origin: call.origin(),
            customer_key: customer::key_of(call)?,
            conditions,
            ..PutRequest::new(bucket, key.clone())
        };
        let mut upload = call.state.store.put(request).await?;
        upload.write(self.document().to_string().into()).await?;
        Box::pin(upload.finish(Expect::default())).await?;
        Ok(key)
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

impl Draft {
    /// Takes the report out of what became of the entries: it is no object of the archive.
    fn leave(self, outcome: &mut IngestOutcome) -> Self {
        let Self::Staged(staged) = self else { return self };
        if let Some(at) = outcome.refused.iter().position(|(key, _)| *key == staged.key) {
            let (_, error) = outcome.refused.remove(at);
            return Self::Failed(error.into());
        }
        outcome.objects = outcome.objects.saturating_sub(1);
        outcome.bytes = ByteCount::new(outcome.bytes.get().saturating_sub(staged.size));
        Self::Staged(staged)
    }
}

/// The head that it is asked for with: tags, locks and lists are the request's, as any entry's; class and redirect are not.
pub(super) fn head(of_archive: &Arc<request::Parts>) -> Arc<request::Parts> {
    let mut head = request::Parts::clone(of_archive);
    for name in ["x-amz-storage-class", "x-amz-website-redirect-location"] {
        head.headers.remove(name);
    }
    Arc::new(head)
}

fn metadata() -> Metadata {
    let mut metadata = Metadata::default();
    metadata.system.content_type = Some("application/json".to_owned());
    metadata
}

#[cfg(test)]
mod tests {
    use super::Report;
    use objectstore::{ETag, Error, IngestOutcome, ObjectKey, QuotaUnit};

    #[test]
    fn what_is_refused_after_the_decision_is_in_the_report() {
        let mut report = Report::of("a.tar");
        (report.objects, report.bytes) = (3, 30);
        let full = Error::QuotaExceeded { prefix: "p/".to_owned(), limit: 2, unit: QuotaUnit::Objects };
        let outcome = IngestOutcome {
            etag: ETag::of_body([0; 16]),
            checksum: None,
            objects: 2,
            bytes: engine::unit::ByteCount::new(20),
            refused: vec![(ObjectKey::parse("p/late").unwrap(), full)],
            encrypted_by: objectstore::EncryptedBy::Appliance,
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
