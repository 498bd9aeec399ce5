//! Copies: of an object, and of a range of one into a part.

use super::object::part_number;
use super::put::upload_id;
use super::{lock, parse_version, set_made_version, tagging, write_checksum};
use crate::s3::Call;
use crate::s3::answer::{Answer, set_amz, xml};
use crate::s3::body::RequestBody;
use crate::s3::code::Code;
use crate::s3::customer::{self, Brought, Shown};
use crate::s3::error::S3Error;
use crate::s3::logged::Notes;
use crate::s3::{date, guard, headers, late, lifecycle, managed};
use crate::xml::XmlWriter;
use http::{HeaderMap, StatusCode};
use objectstore::{
    BucketName, CopyOutcome, CopyPartRequest, CopyRequest, CopySource, EncryptedBy, Encrypts,
    MetadataDirective, ObjectKey, ObjectStore, Subresources, VersionSelector,
};
use security::sigv4::decode_path;
use std::sync::Arc;

const SOURCE: &str = "x-amz-copy-source";
const SOURCE_OWNER: &str = "x-amz-source-expected-bucket-owner";

/// `CopyObject`.
pub(super) async fn object(call: &Call, body: &mut RequestBody) -> Result<Answer, S3Error> {
    let request_headers = &call.head.headers;
    let metadata = match headers::text(request_headers, "x-amz-metadata-directive")? {
        None | Some("COPY") => MetadataDirective::Copy,
        Some("REPLACE") => MetadataDirective::Replace(headers::metadata(request_headers)?),
        Some(other) => {
            return Err(S3Error::argument("x-amz-metadata-directive", other, "Unknown metadata directive."));
        }
    };
    check_annotations(request_headers)?;
    let tags = tagging::of_copy(call).await?;
    let mut subresources = Subresources { tags: tags.clone().unwrap_or_default(), ..Subresources::default() };
    lock::of_headers(call, &mut subresources).await?;
    let source = source(call).await?;
    let named = (source.bucket.clone(), source.key.clone());
    let conditions = headers::write_conditions(request_headers)?;
    let (customer_key, shown) = customer::of(call)?.map(|Brought { key, shown }| (key, shown)).unzip();
    let request = CopyRequest {
        source,
        bucket: call.target.bucket()?,
        key: call.target.key()?,
        metadata,
        class: headers::storage_class(request_headers)?,
        checksum: headers::checksum_algorithm(request_headers)?,
        copy_tags: tags.is_none(),
        asks: Some(call.stores(&conditions)),
        conditions,
        website_redirect: headers::website_redirect(request_headers)?,
        subresources,
        writer: call.writer().await?,
        customer_key,
        encryption: managed::wish(call)?,
        origin: call.origin(),
    };
    // What is told if it takes long. What the bucket says, the store finds out while it does.
    let told = match (&shown, &request.encryption) {
        (Some(_), _) => Some((EncryptedBy::Customer, shown.clone())),
        (None, Encrypts::Appliance) => Some((EncryptedBy::Appliance, None)),
        (None, _) => None,
    };
    let (store, notes) = (Arc::clone(&call.state.store), call.notes.clone());
    // The source may have to be read for the checksum.
    let anew = store.copies_anew(&request).await;
    body.reserve_for_work(&call.state.bodies, store.copy_memory(anew)).await?;
    let share = body.take_share();
    let work = async move {
        let _share = share;
        match store.copy(request).await.inspect(|copied| note(notes.as_ref(), copied)) {
            Ok(copied) => Ok(copied),
            Err(error) => Err(of_source(&store, &named, error).await),
        }
    };
    let key = move || told;
    let render = move |outcome: CopyOutcome| render("CopyObjectResult", &outcome, shown.as_ref());
    Box::pin(late::answer(call, key, work, render)).await
}

/// What is to become of the source's annotations: no object has any, so that both answers come to the same.
fn check_annotations(of_request: &HeaderMap) -> Result<(), S3Error> {
    const DIRECTIVE: &str = "x-amz-object-annotation-directive";
    match headers::text(of_request, DIRECTIVE)? {
        None | Some("COPY" | "EXCLUDE") => Ok(()),
        Some(other) => Err(S3Error::argument(DIRECTIVE, other, "Unknown annotation directive.")),
    }
}

/// `UploadPartCopy`.
pub(super) async fn part(call: &Call, body: &mut RequestBody) -> Result<Answer, S3Error> {
    let source = source(call).await?;
    let named = (source.bucket.clone(), source.key.clone());
    let (customer_key, shown) = customer::of(call)?.map(|Brought { key, shown }| (key, shown)).unzip();
    let request = CopyPartRequest {
        source,
        range: headers::copy_source_range(&call.head.headers)?,
        bucket: call.target.bucket()?,
        key: call.target.key()?,
        upload: upload_id(call)?,
        part: part_number(call.query.get("partNumber").unwrap_or_default())?,
        writer: Some(call.asker.principal.canonical_user()),
        customer_key,
    };
    let (store, notes) = (Arc::clone(&call.state.store), call.notes.clone());
    body.reserve_for_work(&call.state.bodies, store.copy_part_memory(request.range)).await?;
    let share = body.take_share();
    let work = async move {
        let _share = share;
        match store.copy_part(request).await.inspect(|copied| note(notes.as_ref(), copied)) {
            Ok(copied) => Ok(copied),
            Err(error) => Err(of_source(&store, &named, error).await),
        }
    };
    // Of an upload that says it itself, nothing is told if it takes long.
    let told = shown.clone().map(|shown| (EncryptedBy::Customer, Some(shown)));
    let key = move || told;
    let render = move |outcome: CopyOutcome| render("CopyPartResult", &outcome, shown.as_ref());
    Box::pin(late::answer(call, key, work, render)).await
}

fn note(notes: Option<&Notes>, copied: &CopyOutcome) {
    if let Some(notes) = notes {
        notes.size(copied.size);
    }
}

/// The source, which its reader must be allowed to read.
async fn source(call: &Call) -> Result<CopySource, S3Error> {
    let text = headers::text(&call.head.headers, SOURCE)?.unwrap_or_default();
    let (bucket, key, version) = parse_source(text)?;
    let conditions = headers::copy_source_conditions(&call.head.headers)?;
    let request_headers = &call.head.headers;
    if request_headers.contains_key(SOURCE_OWNER) {
        let owner = call.state.store.bucket_owner(&bucket).await;
        let owner = owner.map_err(|error| naming(error, &bucket, &key))?;
        guard::check_owner(request_headers, SOURCE_OWNER, owner)?;
    }
    let named = text.rsplit_once("?versionId=").map(|(_, version)| version);
    let asks = Some(call.asker.reads_source(version, named));
    let customer_key = customer::of_source(call)?;
    Ok(CopySource { bucket, key, version, conditions, asks, customer_key })
}

/// The error of a copy. What its source lacks is told of the source, as S3 does, not of the target.
async fn of_source(
    store: &ObjectStore,
    (bucket, key): &(BucketName, ObjectKey),
    error: objectstore::Error,
) -> S3Error {
    use objectstore::Error as E;
    let lacks = match &error {
        E::NoSuchKey { .. } | E::NoSuchVersion => true,
        E::NoSuchBucket => matches!(store.bucket_owner(bucket).await, Err(E::NoSuchBucket)),
        _ => false,
    };
    if lacks { naming(error, bucket, key) } else { error.into() }
}

fn naming(error: objectstore::Error, bucket: &BucketName, key: &ObjectKey) -> S3Error {
    S3Error::from(error).about(Some(&bucket.to_string()), Some(&key.to_string()), "")
}

/// What a request says that it copies, for its record in the log of the bucket that it reads; whether it may is asked elsewhere.
pub(in crate::s3) fn copied(of_request: &HeaderMap) -> Option<(BucketName, ObjectKey, VersionSelector)> {
    parse_source(headers::text(of_request, SOURCE).ok()??).ok()
}

/// `[/]bucket/key[?versionId=id]`, percent-encoded.
fn parse_source(text: &str) -> Result<(BucketName, ObjectKey, VersionSelector), S3Error> {
    let refused = || {
        S3Error::argument(
            SOURCE,
            text,
            "Copy Source must mention the source bucket and key: sourcebucket/sourcekey",
        )
    };
    let (path, version) = match text.rsplit_once("?versionId=") {
        Some((path, version)) => (path, VersionSelector::from(parse_version(version)?)),
        None => (text, VersionSelector::Latest),
    };
    let path = decode_path(path).ok().and_then(|raw| String::from_utf8(raw).ok()).ok_or_else(refused)?;
    let path = path.strip_prefix('/').unwrap_or(&path);
    let (bucket, key) = path.split_once('/').ok_or_else(refused)?;
    if bucket.starts_with("arn:") {
        return Err(S3Error::new(Code::NotImplemented).field("Header", SOURCE));
    }
    if key.is_empty() {
        return Err(refused());
    }
    let bucket = BucketName::parse(bucket)
        .map_err(|_| S3Error::argument(SOURCE, text, "Invalid copy source bucket name"))?;
    Ok((bucket, ObjectKey::parse(key)?, version))
}

fn render(root: &'static str, outcome: &CopyOutcome, shown: Option<&Shown>) -> Answer {
    let mut out = XmlWriter::document(root);
    out.text("LastModified", &date::iso(outcome.modified));
    out.etag(outcome.etag);
    write_checksum(&mut out, outcome.checksum.as_ref());
    let mut answer = xml(StatusCode::OK, out.finish());
    let head = answer.headers_mut();
    set_made_version(head, outcome.version);
    if let Some(version) = outcome.source_version {
        set_amz(head, "x-amz-copy-source-version-id", &version.to_string());
    }
    lifecycle::set_expiration(head, outcome.expires.as_ref());
    customer::show(head, &outcome.encrypted_by, shown);
    answer
}

#[cfg(test)]
mod tests {
    use super::parse_source;
    use objectstore::VersionSelector;

    #[test]
    fn sources_are_read_in_all_their_spellings() {
        let read = |text| {
            let (bucket, key, version) = parse_source(text).unwrap();
            (bucket.to_string(), key.to_string(), version)
        };
        let latest = |bucket: &str, key: &str| (bucket.to_owned(), key.to_owned(), VersionSelector::Latest);
        assert_eq!(read("src/k"), latest("src", "k"));
        assert_eq!(read("/src/k"), latest("src", "k"));
        assert_eq!(read("src%2Fa%20b%3FversionId=x"), latest("src", "a b?versionId=x"));
        assert_eq!(read("src//k+"), latest("src", "/k+"));
        assert_eq!(read("src/k?versionId=null").2, VersionSelector::Null);
        for bad in ["", "src", "src/", "/src", "/", "src/%zz", "S/k", "src/k?versionId=nonsense"] {
            assert_eq!(parse_source(bad).unwrap_err().code(), "InvalidArgument", "{bad}");
        }
    }
}
