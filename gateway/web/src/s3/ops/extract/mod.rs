//! `PutObject` of an archive that becomes many objects, as Snowball and `MinIO` have it.
//!
//! ```text
//!   body ─┬─► the archive's digests
//!         └─► Inflate ─► Scanner ─► an entry: key ─► admit, as PutObject ─► Upload ─► sealed, some at once ─► staged
//!   end ──► digests compared ─► every entry gets its name ─► the report
//! ```
//!
//! What is asked for stands in user metadata, so that every client can say it:
//!
//! | `x-amz-meta-…` | meaning |
//! |---|---|
//! | `snowball-auto-extract: true` | take the body apart |
//! | `minio-snowball-prefix: P` | keys begin with `P/` |
//! | `minio-snowball-ignore-dirs: true` | directories become no keys |
//! | `minio-snowball-ignore-errors: true` | what is refused of single entries does not refuse the others |
//! | `firn-ingest-report: always`, `never` | the report object, whatever there is to say |
//! | `firn-ingest-end: required` | refuse an archive without its end mark, which may have been cut off behind an entry |
//!
//! The report is an entry of its own, staged with the others before the decision: a crash behind it costs neither them nor it.
//!
//! # Limits
//! [`ENTRIES_MAX`] entries; [`LANDING_MAX`] small bodies of at most [`SMALL`] bytes in memory and one larger one; 16 bytes of each key.

mod entry;
mod landing;
mod report;
mod session;

use super::put;
use crate::ingest::clean_prefix;
use crate::s3::Call;
use crate::s3::answer::{Answer, empty, set};
use crate::s3::body::RequestBody;
use crate::s3::code::Code;
use crate::s3::customer::{self, Brought};
use crate::s3::error::S3Error;
use crate::s3::headers::{self, Digests};
use crate::s3::managed;
use crate::s3::operation::Operation;
use engine::unit::ByteCount;
use http::header::{HeaderName, IF_MATCH};
use http::{HeaderMap, StatusCode};
use objectstore::{
    ETagMatch, IngestOutcome, IngestRequest, ListWish, Metadata, StorageClass, Uploaded, UserMetadata,
};
use report::{Report, Told};
use security::Action;
use session::Session;

/// Entries of one archive. Naming them takes some ten seconds, and clients wait 60 for an answer.
const ENTRIES_MAX: u64 = 250_000;
/// Bodies up to this size are gathered, and written beside one another.
const SMALL: u64 = 256 << 10;
/// How many at once; of larger ones one is sealed while small ones come.
const LANDING_MAX: usize = 32;

/// Most memory that an archive holds besides its entries' bodies: zstd's window with a piece, 10 MiB; 17 bytes of each name in a table
/// that was just doubled, 12 MiB; the report.
const OTHER_MEMORY: ByteCount = ByteCount::mib(24);

/// What asks for it.
pub(in crate::s3) const AUTO_EXTRACT: &str = "x-amz-meta-snowball-auto-extract";

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Wish {
    prefix: String,
    ignore_directories: bool,
    ignore_errors: bool,
    report: ReportWish,
    require_end: bool,
}

/// When a report object is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ReportWish {
    Always,
    /// An entry became no object.
    WhenNeeded,
    Never,
}

/// Whether the request asks for its body to be taken apart.
pub(super) fn is_asked(request_headers: &HeaderMap) -> Result<bool, S3Error> {
    if !request_headers.contains_key(AUTO_EXTRACT) {
        return Ok(false);
    }
    Ok(headers::text(request_headers, AUTO_EXTRACT)?.is_some_and(|text| text.eq_ignore_ascii_case("true")))
}

/// Refuses it where nothing takes a body apart: an archive that is quietly kept as it is would be missed much later.
pub(super) fn refuse(request_headers: &HeaderMap) -> Result<(), S3Error> {
    if !is_asked(request_headers)? {
        return Ok(());
    }
    let message = "An archive is taken apart by one PutObject of at most 5 GiB, not by an upload in parts and not by a form: raise \
                   the client's multipart threshold above the archive's size, or send it as several archives.";
    Err(S3Error::with(Code::NotImplemented, message).field("Header", AUTO_EXTRACT))
}

impl Wish {
    /// Takes what is asked for out of the metadata; the rest is the objects'.
    fn take(user: &mut UserMetadata) -> Result<Self, S3Error> {
        let mut on = |name: &str| match user.remove(name).as_deref() {
            None => Ok(false),
            Some(text) if text.eq_ignore_ascii_case("true") => Ok(true),
            Some(text) if text.eq_ignore_ascii_case("false") => Ok(false),
            Some(text) => Err(S3Error::argument(&format!("x-amz-meta-{name}"), text, "It is true or false.")),
        };
        on("snowball-auto-extract")?;
        let (ignore_directories, ignore_errors) =
            (on("minio-snowball-ignore-dirs")?, on("minio-snowball-ignore-errors")?);
        let asked = user.remove("minio-snowball-prefix").unwrap_or_default();
        let prefix = clean_prefix(&asked)
            .map_err(|bad| S3Error::argument("x-amz-meta-minio-snowball-prefix", &asked, bad.reason))?;
        let report = match user.remove("firn-ingest-report").as_deref() {
            None => ReportWish::WhenNeeded,
            Some("always") => ReportWish::Always,
            Some("never") => ReportWish::Never,
            Some(other) => {
                let name = "x-amz-meta-firn-ingest-report";
                return Err(S3Error::argument(name, other, "It is always or never."));
            }
        };
        let require_end = match user.remove("firn-ingest-end").as_deref() {
            None => false,
            Some("required") => true,
            Some(other) => {
                let name = "x-amz-meta-firn-ingest-end";
                return Err(S3Error::argument(name, other, "It is required, or not said."));
            }
        };
        Ok(Self { prefix, ignore_directories, ignore_errors, report, require_end })
    }
}

/// What all objects of an archive get of its request.
struct Common {
    metadata: Metadata,
    class: StorageClass,
    besides: Vec<Action>,
}

/// `PutObject` of an archive.
pub(super) async fn object(
    call: &Call,
    body: &mut RequestBody,
    length: Option<ByteCount>,
) -> Result<Answer, S3Error> {
    let request_headers = &call.head.headers;
    let digests = Digests::of(request_headers)?;
    let mut metadata = headers::metadata(request_headers)?;
    let wish = Wish::take(&mut metadata.user)?;
    // They are the archive's.
    (metadata.system.content_type, metadata.system.content_encoding) = (None, None);
    let class = headers::class_of_entry(request_headers)?.unwrap_or_default();
    let report = Report::new(call, wish.report)?;
    let (customer_key, shown) = customer::of(call)?.map(|Brought { key, shown }| (key, shown)).unzip();
    let request = IngestRequest {
        bucket: call.target.bucket()?,
        length,
        checksum: digests.algorithm,
        proven: digests.prove(),
        if_absent: only_absent(request_headers)?,
        subresources: super::beside(call).await?,
        writer: call.writer().await?,
        origin: call.origin(),
        customer_key,
        encryption: managed::wish(call)?,
        asks: Some(call.asker.question.clone()),
    };
    let common = Common { metadata, class, besides: besides(&request) };
    let if_absent = request.if_absent;
    let ingest = call.state.store.ingest(request).await?;
    let memory = ingest.memory(ByteCount::new(SMALL), LANDING_MAX) + OTHER_MEMORY;
    let ingest = ingest.charged_to(body.reserve(&call.state.bodies, memory).await?);

    let mut session = Session::new(call, &wish, common, ingest, report);
    session.take(body).await?;
    let (mut ingest, mut report) = session.into_parts();
    let draft = report.draft(&mut ingest).await?;
    let mut outcome = ingest.finish(digests.expect(body.trailers())?).await?;
    let told = report.settle(call, draft, if_absent, &mut outcome).await;

    let _set_once = call.batch.set(Box::new(std::mem::take(&mut report.batch)));
    if !wish.ignore_errors {
        first_refused(&mut outcome)?;
    }
    let uploaded = Uploaded {
        etag: outcome.etag,
        checksum: outcome.checksum,
        version: None,
        size: ByteCount::ZERO,
        encrypted_by: outcome.encrypted_by,
        expires: None,
    };
    let mut answer = empty(StatusCode::OK);
    put::describe(answer.headers_mut(), &uploaded, shown.as_ref());
    tell(answer.headers_mut(), &report, &told);
    Ok(answer)
}

/// What the request's headers ask for besides `PutObject`, of each key.
fn besides(request: &IngestRequest) -> Vec<Action> {
    let (subresources, list) = (&request.subresources, &request.writer.list);
    let besides = [
        (!subresources.tags.is_empty(), Operation::PutObjectTagging),
        (subresources.retention.is_some(), Operation::PutObjectRetention),
        (subresources.legal_hold.is_some(), Operation::PutObjectLegalHold),
        (*list != ListWish::Default, Operation::PutObjectAcl),
    ];
    besides.into_iter().filter(|(asked, _)| *asked).map(|(_, other)| other.action()).collect()
}

/// The error of the first entry that was refused its name when the others had theirs.
fn first_refused(outcome: &mut IngestOutcome) -> Result<(), S3Error> {
    let refused = std::mem::take(&mut outcome.refused);
    let count = refused.len().to_string();
    let Some((key, error)) = refused.into_iter().next() else { return Ok(()) };
    let kept = format!("The archive's other {} objects were stored.", outcome.objects);
    Err(S3Error::from(error).about_entry(key.as_str(), &kept).field("Refused", count))
}

/// `If-None-Match: *` is asked of each object. A tag is of one object, and an archive has many.
fn only_absent(request_headers: &HeaderMap) -> Result<bool, S3Error> {
    let conditions = headers::write_conditions(request_headers)?;
    match (conditions.if_match, conditions.if_none_match) {
        (None, None) => Ok(false),
        (None, Some(ETagMatch::Any)) => Ok(true),
        (Some(_), _) => Err(S3Error::unsupported_header(IF_MATCH.as_str())),
        (None, Some(_)) => Err(S3Error::unsupported_header("If-None-Match")),
    }
}

/// What became of the entries, in numbers; and where the report is, or why not.
fn tell(head: &mut HeaderMap, report: &Report, told: &Told) {
    for (name, value) in [
        ("x-firn-ingest-objects", report.objects),
        ("x-firn-ingest-bytes", report.bytes),
        ("x-firn-ingest-skipped", report.skipped),
        ("x-firn-ingest-refused", report.refused),
    ] {
        set(head, HeaderName::from_static(name), &value.to_string());
    }
    if !report.has_end {
        set(head, HeaderName::from_static("x-firn-ingest-end"), "missing");
    }
    match told {
        Told::No => {}
        Told::At(key) => {
            let key = crate::s3::percent::encode(key.as_str());
            set(head, HeaderName::from_static("x-firn-ingest-report"), &key);
        }
        Told::Failed(code) => set(head, HeaderName::from_static("x-firn-ingest-report-error"), code),
    }
}

#[cfg(test)]
mod tests {
    use super::{ReportWish, Wish};

    fn wish(pairs: &[(&str, &str)]) -> Result<(Wish, usize), &'static str> {
        let mut user = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Wish::take(&mut user).map(|wish| (wish, user.len())).map_err(|error| error.code())
    }

    #[test]
    fn what_is_asked_for_is_taken_out_of_the_metadata() {
        let plain = Wish {
            prefix: String::new(),
            ignore_directories: false,
            ignore_errors: false,
            report: ReportWish::WhenNeeded,
            require_end: false,
        };
        assert_eq!(wish(&[("snowball-auto-extract", "true"), ("project", "x")]), Ok((plain.clone(), 1)));
        let asked = [
            ("minio-snowball-prefix", "/a b"),
            ("minio-snowball-ignore-dirs", "TRUE"),
            ("minio-snowball-ignore-errors", "true"),
            ("firn-ingest-report", "never"),
            ("firn-ingest-end", "required"),
        ];
        let all = Wish {
            prefix: "a b/".into(),
            ignore_directories: true,
            ignore_errors: true,
            report: ReportWish::Never,
            require_end: true,
        };
        assert_eq!(wish(&asked), Ok((all, 0)));
        assert_eq!(wish(&[("minio-snowball-ignore-dirs", "false")]), Ok((plain, 0)));
        for bad in [
            ("minio-snowball-ignore-dirs", "1"),
            ("minio-snowball-prefix", "../x"),
            ("firn-ingest-report", "yes"),
            ("firn-ingest-end", "true"),
        ] {
            assert_eq!(wish(&[bad]), Err("InvalidArgument"), "{bad:?}");
        }
    }
}
