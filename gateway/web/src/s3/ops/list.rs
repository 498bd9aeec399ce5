//! Listings of objects (both versions of the API) and of versions.

use super::list_page::Encoding;
use super::{count, parse_version, restore, write_algorithm, write_owner};
use crate::s3::Call;
use crate::s3::answer::{Answer, xml};
use crate::s3::date;
use crate::s3::error::S3Error;
use crate::xml::XmlWriter;
use engine::clock::Timestamp;
use http::StatusCode;
use objectstore::{
    ListAfter, ListEntry, ListPage, ListRequest, PAGE_MAX, VersionEntry, VersionPage, VersionsRequest,
};

/// About what an entry of a listing takes beside its key.
const ENTRY_BYTES: usize = 320;

fn text(call: &Call, name: &str) -> String {
    call.query.get(name).unwrap_or_default().to_owned()
}

/// `x-amz-optional-object-attributes`: names, separated by commas. `RestoreStatus` is the only one there is. S3 shows it of objects
/// that are being restored or were, and leaves it out of all others. As of when, where it is asked for.
fn restores_as_of(call: &Call) -> Result<Option<Timestamp>, S3Error> {
    const NAME: &str = "x-amz-optional-object-attributes";
    let values = call.head.headers.get_all(NAME).iter().map(|value| value.to_str().unwrap_or("?"));
    let mut shown = None;
    for name in values.flat_map(|value| value.split(',')).map(str::trim) {
        match name {
            "" => {}
            "RestoreStatus" => shown = Some(call.state.clock.now()),
            other => return Err(S3Error::argument(NAME, other, "Invalid attribute name specified")),
        }
    }
    Ok(shown)
}

/// `ListObjects`.
pub(super) async fn objects(call: &Call) -> Result<Answer, S3Error> {
    let restores = restores_as_of(call)?;
    let encoding = Encoding::parse(call)?;
    let marker = text(call, "marker");
    let request = ListRequest {
        bucket: call.target.bucket()?,
        prefix: text(call, "prefix"),
        delimiter: text(call, "delimiter"),
        after: if marker.is_empty() { ListAfter::Start } else { ListAfter::Key(marker.clone()) },
        max_keys: count(call, "max-keys", PAGE_MAX)?,
    };
    let page = call.state.store.list_objects(request.clone()).await?;
    let mut out = XmlWriter::document("ListBucketResult");
    out.text("Name", request.bucket.as_str());
    out.text("Prefix", &encoding.apply(&request.prefix));
    out.text("Marker", &encoding.apply(&marker));
    if let Some(next) = page.next_marker.as_ref().filter(|_| !request.delimiter.is_empty()) {
        out.text("NextMarker", &encoding.apply(next));
    }
    write_limits(&mut out, &request, encoding);
    out.value("IsTruncated", page.next.is_some());
    write_page(call, &mut out, &page, encoding, (true, restores));
    Ok(xml(StatusCode::OK, out.finish()))
}

/// `ListObjectsV2`.
pub(super) async fn objects_v2(call: &Call) -> Result<Answer, S3Error> {
    let restores = restores_as_of(call)?;
    let encoding = Encoding::parse(call)?;
    let start_after = call.query.non_empty("start-after");
    let after = match (call.query.get("continuation-token"), start_after) {
        (Some(token), _) if !token.is_empty() => ListAfter::Token(token.to_owned()),
        (_, Some(key)) => ListAfter::Key(key.to_owned()),
        (_, None) => ListAfter::Start,
    };
    let request = ListRequest {
        bucket: call.target.bucket()?,
        prefix: text(call, "prefix"),
        delimiter: text(call, "delimiter"),
        after,
        max_keys: count(call, "max-keys", PAGE_MAX)?,
    };
    let page = call.state.store.list_objects(request.clone()).await?;
    let mut out = XmlWriter::document("ListBucketResult");
    out.text("Name", request.bucket.as_str());
    out.text("Prefix", &encoding.apply(&request.prefix));
    out.optional("StartAfter", start_after.map(|key| encoding.apply(key)).as_deref());
    out.optional("ContinuationToken", call.query.get("continuation-token"));
    out.optional("NextContinuationToken", page.next.as_deref());
    out.value("KeyCount", page.entries.len() + page.common_prefixes.len());
    write_limits(&mut out, &request, encoding);
    out.value("IsTruncated", page.next.is_some());
    let with_owner = call.query.get("fetch-owner").is_some_and(|value| value.eq_ignore_ascii_case("true"));
    write_page(call, &mut out, &page, encoding, (with_owner, restores));
    Ok(xml(StatusCode::OK, out.finish()))
}

fn write_limits(out: &mut XmlWriter, request: &ListRequest, encoding: Encoding) {
    out.value("MaxKeys", request.max_keys);
    if !request.delimiter.is_empty() {
        out.text("Delimiter", &encoding.apply(&request.delimiter));
    }
    encoding.write(out);
}

fn write_page(
    call: &Call,
    out: &mut XmlWriter,
    page: &ListPage,
    encoding: Encoding,
    (with_owner, restores): (bool, Option<Timestamp>),
) {
    out.reserve(page.entries.iter().map(|entry| ENTRY_BYTES + entry.key.as_bytes().len()).sum());
    for entry in &page.entries {
        out.start("Contents");
        out.text("Key", &encoding.apply(entry.key.as_str()));
        write_entry(out, entry);
        if with_owner {
            write_owner(call, out, "Owner", entry.owner);
        }
        out.value("StorageClass", entry.class);
        if let Some(now) = restores {
            restore::write(out, entry.restore, now);
        }
        out.end();
    }
    encoding.write_prefixes(out, &page.common_prefixes);
}

fn write_entry(out: &mut XmlWriter, entry: &ListEntry) {
    out.text("LastModified", &date::iso(entry.modified));
    out.etag(entry.etag);
    write_algorithm(out, entry.checksum);
    out.value("Size", entry.size.get());
}

/// `ListObjectVersions`.
pub(super) async fn versions(call: &Call) -> Result<Answer, S3Error> {
    let restores = restores_as_of(call)?;
    let encoding = Encoding::parse(call)?;
    let key_marker = call.query.non_empty("key-marker").map(str::to_owned);
    let version_marker = match (call.query.get("version-id-marker"), &key_marker) {
        (None, _) => None,
        (Some(""), Some(_)) => {
            let message = "A version-id marker cannot be empty.";
            return Err(S3Error::argument("version-id-marker", "", message));
        }
        (Some(text), None) => {
            let message = "A version-id marker cannot be specified without a key marker.";
            return Err(S3Error::argument("version-id-marker", text, message));
        }
        (Some(text), Some(_)) => Some(parse_version(text)?),
    };
    let request = VersionsRequest {
        bucket: call.target.bucket()?,
        prefix: text(call, "prefix"),
        delimiter: text(call, "delimiter"),
        key_marker,
        version_marker,
        max_keys: count(call, "max-keys", PAGE_MAX)?,
    };
    let page = call.state.store.list_versions(request.clone()).await?;
    Ok(xml(StatusCode::OK, render_versions(call, &request, &page, (encoding, restores))))
}

fn render_versions(
    call: &Call,
    request: &VersionsRequest,
    page: &VersionPage,
    (encoding, restores): (Encoding, Option<Timestamp>),
) -> String {
    let mut out = XmlWriter::document("ListVersionsResult");
    out.text("Name", request.bucket.as_str());
    out.text("Prefix", &encoding.apply(&request.prefix));
    out.text("KeyMarker", &encoding.apply(request.key_marker.as_deref().unwrap_or_default()));
    out.text("VersionIdMarker", call.query.get("version-id-marker").unwrap_or_default());
    if let Some(next) = &page.next_key {
        out.text("NextKeyMarker", &encoding.apply(next));
        if let Some(version) = page.next_version {
            out.value("NextVersionIdMarker", version);
        }
    }
    out.value("MaxKeys", request.max_keys);
    if !request.delimiter.is_empty() {
        out.text("Delimiter", &encoding.apply(&request.delimiter));
    }
    encoding.write(&mut out);
    out.value("IsTruncated", page.next_key.is_some());
    for entry in &page.entries {
        write_version(call, &mut out, entry, (encoding, restores));
    }
    encoding.write_prefixes(&mut out, &page.common_prefixes);
    out.finish()
}

fn write_version(
    call: &Call,
    out: &mut XmlWriter,
    entry: &VersionEntry,
    (encoding, restores): (Encoding, Option<Timestamp>),
) {
    out.start(if entry.object.is_some() { "Version" } else { "DeleteMarker" });
    out.text("Key", &encoding.apply(entry.key.as_str()));
    out.value("VersionId", entry.version);
    out.value("IsLatest", entry.latest);
    match &entry.object {
        Some(object) => {
            write_entry(out, object);
            out.value("StorageClass", object.class);
            if let Some(now) = restores {
                restore::write(out, object.restore, now);
            }
        }
        None => out.text("LastModified", &date::iso(entry.modified)),
    }
    write_owner(call, out, "Owner", entry.object.as_ref().and_then(|object| object.owner));
    out.end();
}
