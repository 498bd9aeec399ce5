//! Objects on their way out: GET, HEAD and attributes.

use super::{checksum_element, lock, restore, set_checksum, set_version, tagging, version, write_checksum};
use crate::s3::Call;
use crate::s3::answer::{Answer, empty, set, set_amz, stream, xml};
use crate::s3::code::Code;
use crate::s3::customer::{self, Brought, Shown};
use crate::s3::error::S3Error;
use crate::s3::operation::Operation;
use crate::s3::{date, headers, lifecycle, mime_word};
use crate::xml::XmlWriter;
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH,
    CONTENT_RANGE, CONTENT_TYPE, ETAG, EXPIRES, HeaderName, HeaderValue, LAST_MODIFIED,
};
use http::{HeaderMap, StatusCode};
use objectstore::{
    AttributesOutcome, AttributesRequest, GetOutcome, GetRequest, ObjectInfo, PAGE_MAX, PartNumber,
    StorageClass, SystemMetadata,
};
use security::{Principal, Question};

/// What S3 says an object is when nobody said it.
const TYPE_DEFAULT: &str = "binary/octet-stream";

/// Query parameters that replace headers of the answer.
const OVERRIDES: [(&str, HeaderName); 6] = [
    ("response-cache-control", CACHE_CONTROL),
    ("response-content-disposition", CONTENT_DISPOSITION),
    ("response-content-encoding", CONTENT_ENCODING),
    ("response-content-language", CONTENT_LANGUAGE),
    ("response-content-type", CONTENT_TYPE),
    ("response-expires", EXPIRES),
];

/// `GetObject`.
pub(super) async fn get(call: &Call) -> Result<Answer, S3Error> {
    let (request, brought) = request(call)?;
    let part = request.part;
    let outcome = call.state.store.get(request).await?;
    let shown = shown(call, &outcome.info).await?;
    let (head, length) =
        (answer_head(call, &outcome, part, (shown, brought.as_ref()))?, outcome.length.get());
    let mut answer = stream(status(&outcome), outcome.body, length);
    *answer.headers_mut() = head;
    Ok(answer)
}

/// `HeadObject`.
pub(super) async fn head(call: &Call) -> Result<Answer, S3Error> {
    let (request, brought) = request(call)?;
    let part = request.part;
    let outcome = call.state.store.head(request).await?;
    let mut answer = empty(status(&outcome));
    let shown = shown(call, &outcome.info).await?;
    *answer.headers_mut() = answer_head(call, &outcome, part, (shown, brought.as_ref()))?;
    Ok(answer)
}

fn status(outcome: &GetOutcome) -> StatusCode {
    if outcome.range.is_some() { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK }
}

fn request(call: &Call) -> Result<(GetRequest, Option<Shown>), S3Error> {
    refuse_overrides_of_anonymous(call)?;
    let mut request = GetRequest::new(call.target.bucket()?, call.target.key()?);
    request.version = version(call)?;
    request.conditions = headers::read_conditions(&call.head.headers)?;
    request.asks = Some(call.asker.question.clone());
    request.range = headers::range(&call.head.headers);
    if request.range.is_some() {
        request.if_range = headers::if_range(&call.head.headers)?;
    }
    if let Some(text) = call.query.get("partNumber") {
        if request.range.is_some() {
            let message = "Cannot specify both Range header and partNumber query parameter";
            return Err(S3Error::with(Code::InvalidRequest, message));
        }
        request.part = Some(part_number(text)?);
    }
    let (key, shown) = customer::of(call)?.map(|Brought { key, shown }| (key, shown)).unzip();
    request.customer_key = key;
    Ok((request, shown))
}

/// Headers are replaced for whoever signs for it: a link that anybody made up would have a public object say anything.
fn refuse_overrides_of_anonymous(call: &Call) -> Result<(), S3Error> {
    let asks = || OVERRIDES.iter().any(|(parameter, _)| call.query.has(parameter));
    if call.asker.principal == Principal::Anonymous && asks() {
        let message = "Request specific response headers cannot be used for anonymous GET requests.";
        return Err(S3Error::with(Code::InvalidRequest, message));
    }
    Ok(())
}

/// A part's number, refused in S3's words.
pub(super) fn part_number(text: &str) -> Result<PartNumber, S3Error> {
    headers::digits(text).and_then(|number| PartNumber::new(number).ok()).ok_or_else(|| {
        S3Error::argument("partNumber", text, "Part number must be an integer between 1 and 10000, inclusive")
    })
}

/// What is shown to whoever has the right to it.
async fn shown(call: &Call, info: &ObjectInfo) -> Result<HeaderMap, S3Error> {
    let mut head = HeaderMap::new();
    tagging::show_count(call, &mut head, &info.subresources).await?;
    lock::show(call, &mut head, &info.subresources).await?;
    Ok(head)
}

fn answer_head(
    call: &Call,
    outcome: &GetOutcome,
    part: Option<PartNumber>,
    (shown, brought): (HeaderMap, Option<&Shown>),
) -> Result<HeaderMap, S3Error> {
    let mut head = HeaderMap::with_capacity(20);
    let info = &outcome.info;
    head.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    head.insert(CONTENT_LENGTH, HeaderValue::from(outcome.length.get()));
    set_info(&mut head, info);
    restore::show(&mut head, info.restore, call.state.clock.now());
    customer::show(&mut head, &info.encrypted_by, brought);
    head.extend(shown);
    set_system(&mut head, &info.metadata.system);
    for (name, value) in &info.metadata.user {
        if let Ok(name) = HeaderName::try_from(format!("x-amz-meta-{name}")) {
            set(&mut head, name, &mime_word::encode(value));
        }
    }
    if let Some(range) = outcome.range {
        set(&mut head, CONTENT_RANGE, &format!("bytes {}-{}/{}", range.first, range.last, info.size.get()));
    }
    if headers::text(&call.head.headers, "x-amz-checksum-mode")?
        .is_some_and(|mode| mode.eq_ignore_ascii_case("ENABLED"))
    {
        set_own_checksum(&mut head, outcome, part.is_some());
    }
    if part.is_some() && info.parts > 0 {
        set_amz(&mut head, "x-amz-mp-parts-count", &info.parts.to_string());
    }
    for (parameter, name) in OVERRIDES {
        if let Some(text) = call.query.get(parameter) {
            let value = HeaderValue::from_bytes(text.as_bytes())
                .map_err(|_| S3Error::argument(parameter, text, "The value can not stand in a header"))?;
            head.insert(name, value);
        }
    }
    Ok(head)
}

/// The checksum of what was asked for: the object's, or its part's. Any other range has none.
fn set_own_checksum(head: &mut HeaderMap, outcome: &GetOutcome, of_part: bool) {
    let info = &outcome.info;
    if !of_part || info.parts == 0 {
        if of_part || outcome.range.is_none() {
            set_checksum(head, info.checksum.as_ref());
        }
    } else if let Some(value) = outcome.part_checksum {
        set(head, headers::checksum_header(value.algorithm()), &value.to_string());
        if let Some(whole) = &info.checksum {
            set_amz(head, "x-amz-checksum-type", whole.kind.as_str());
        }
    }
}

fn set_info(head: &mut HeaderMap, info: &ObjectInfo) {
    set(head, ETAG, &format!("\"{}\"", info.etag));
    set(head, LAST_MODIFIED, &date::http(info.modified));
    set_version(head, info.version);
    lifecycle::set_expiration(head, info.expires.as_ref());
    if info.class != StorageClass::Standard {
        set_amz(head, "x-amz-storage-class", info.class.as_str());
    }
}

fn set_system(head: &mut HeaderMap, system: &SystemMetadata) {
    set(head, CONTENT_TYPE, system.content_type.as_deref().unwrap_or(TYPE_DEFAULT));
    for (name, value) in [
        (CONTENT_ENCODING, &system.content_encoding),
        (CONTENT_LANGUAGE, &system.content_language),
        (CONTENT_DISPOSITION, &system.content_disposition),
        (CACHE_CONTROL, &system.cache_control),
        (EXPIRES, &system.expires),
        (HeaderName::from_static("x-amz-website-redirect-location"), &system.website_redirect),
    ] {
        if let Some(value) = value {
            set(head, name, value);
        }
    }
}

/// What `GetObjectAttributes` may be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    ETag,
    Checksum,
    Parts,
    Class,
    Size,
}

/// `GetObjectAttributes`.
pub(super) async fn attributes(call: &Call) -> Result<Answer, S3Error> {
    let request_headers = &call.head.headers;
    let wanted = wanted(request_headers)?;
    let max_parts = match headers::text(request_headers, "x-amz-max-parts")? {
        None => PAGE_MAX,
        Some(text) => headers::digits(text).map(|number: usize| number.min(PAGE_MAX)).ok_or_else(|| {
            S3Error::argument(
                "x-amz-max-parts",
                text,
                "Provided max-parts not an integer or within integer range",
            )
        })?,
    };
    let after = headers::text(request_headers, "x-amz-part-number-marker")?.filter(|text| *text != "0");
    let request = AttributesRequest {
        bucket: call.target.bucket()?,
        key: call.target.key()?,
        version: version(call)?,
        after: after.map(part_number).transpose()?,
        max_parts: if wanted.contains(&Wanted::Parts) { max_parts } else { 0 },
        conditions: headers::read_conditions(request_headers)?,
        asks: Some(call.asker.question.clone()),
        reads: Some(reads(call)),
        customer_key: customer::key_of(call)?,
    };
    let after = request.after;
    let outcome = call.state.store.attributes(request).await?;
    let mut answer = xml(StatusCode::OK, render_attributes(&outcome, &wanted, after, max_parts));
    set(answer.headers_mut(), LAST_MODIFIED, &date::http(outcome.info.modified));
    set_version(answer.headers_mut(), outcome.info.version);
    Ok(answer)
}

/// S3 wants the right to read besides that to the attributes.
fn reads(call: &Call) -> Question {
    let action = Operation::GetObject.action_of(call.query.has("versionId"));
    call.asker.question.about(action, call.asker.question.permission)
}

fn wanted(request_headers: &HeaderMap) -> Result<Vec<Wanted>, S3Error> {
    const NAME: &str = "x-amz-object-attributes";
    // The SDK for Go sends each name in a line of its own.
    let lines = request_headers.get_all(NAME).iter().map(|line| line.to_str().unwrap_or("?"));
    let wanted: Vec<Wanted> = lines
        .flat_map(|line| line.split(','))
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .map(|name| match name {
            "ETag" => Ok(Wanted::ETag),
            "Checksum" => Ok(Wanted::Checksum),
            "ObjectParts" => Ok(Wanted::Parts),
            "StorageClass" => Ok(Wanted::Class),
            "ObjectSize" => Ok(Wanted::Size),
            other => Err(S3Error::argument(NAME, other, "Invalid attribute name specified.")),
        })
        .collect::<Result<_, _>>()?;
    if wanted.is_empty() {
        let message = "The x-amz-object-attributes header specifying the attributes to be retrieved is either missing \
                       or empty";
        return Err(S3Error::with(Code::InvalidRequest, message));
    }
    Ok(wanted)
}

fn render_attributes(
    outcome: &AttributesOutcome,
    wanted: &[Wanted],
    after: Option<PartNumber>,
    max_parts: usize,
) -> String {
    let info = &outcome.info;
    let mut out = XmlWriter::document("GetObjectAttributesResponse");
    if wanted.contains(&Wanted::ETag) {
        out.value("ETag", info.etag);
    }
    if wanted.contains(&Wanted::Checksum) && info.checksum.is_some() {
        out.start("Checksum");
        write_checksum(&mut out, info.checksum.as_ref());
        out.end();
    }
    if wanted.contains(&Wanted::Parts) && info.parts > 0 {
        out.start("ObjectParts");
        out.value("PartsCount", info.parts);
        out.value("PartNumberMarker", after.map_or(0, PartNumber::get));
        if let Some(last) = outcome.parts.last() {
            out.value("NextPartNumberMarker", last.number);
        }
        out.value("MaxParts", max_parts);
        out.value("IsTruncated", outcome.more);
        for part in &outcome.parts {
            out.start("Part");
            out.value("PartNumber", part.number);
            out.value("Size", part.size.get());
            if let Some(checksum) = part.checksum {
                out.value(checksum_element(checksum.algorithm()), checksum);
            }
            out.end();
        }
        out.end();
    }
    if wanted.contains(&Wanted::Class) {
        out.value("StorageClass", info.class);
    }
    if wanted.contains(&Wanted::Size) {
        out.value("ObjectSize", info.size.get());
    }
    out.finish()
}
