//! `CompleteMultipartUpload`.

use super::put::upload_id;
use super::{checksum_element, set_made_version, write_checksum};
use crate::s3::Call;
use crate::s3::answer::{Answer, xml};
use crate::s3::body::RequestBody;
use crate::s3::code::Code;
use crate::s3::customer;
use crate::s3::error::S3Error;
use crate::s3::{headers, late, lifecycle, percent};
use crate::xml::{Element, XmlWriter};
use http::{HeaderMap, StatusCode};
use objectstore::{
    ChecksumAlgorithm, ChecksumValue, CompleteRequest, CompletedPart, ETag, PartNumber, Uploaded,
};
use std::sync::Arc;

/// `CompleteMultipartUpload`.
pub(super) async fn upload(call: &Call, body: &mut RequestBody) -> Result<Answer, S3Error> {
    let request_headers = &call.head.headers;
    let (bucket, key, upload) = (call.target.bucket()?, call.target.key()?, upload_id(call)?);
    let (checksum, checksum_parts) = object_checksum(request_headers)?;
    let size = match headers::text(request_headers, "x-amz-mp-object-size")? {
        None => None,
        Some(text) => Some(headers::size(text).ok_or_else(|| {
            S3Error::argument(
                "x-amz-mp-object-size",
                text,
                "Value for x-amz-mp-object-size header is invalid.",
            )
        })?),
    };
    // The checksum headers are the object's here, not this document's.
    let bytes = body.collect(call.config.limits.xml_body_max, &call.state.bodies).await?;
    if bytes.is_empty() {
        return Err(S3Error::new(Code::MalformedXML));
    }
    let conditions = headers::write_conditions(request_headers)?;
    let customer_key = customer::key_of(call)?;
    let request = CompleteRequest {
        parts: parse_parts(&Element::parse(&bytes)?)?,
        checksum,
        checksum_parts,
        checksum_type: headers::checksum_type(request_headers)?,
        size,
        asks: Some(call.stores(&conditions)),
        conditions,
        origin: call.origin(),
        customer_key,
        bucket,
        key,
        upload,
    };
    let (store, named, notes) = (Arc::clone(&call.state.store), Named::of(call), call.notes.clone());
    let note = move |uploaded: &Uploaded| {
        if let Some(notes) = notes {
            notes.size(uploaded.size);
        }
    };
    // The list of parts is there until the end, whatever the client was told meanwhile.
    let share = body.take_share();
    let context = Arc::clone(call.asker.request());
    let begun = Arc::clone(&context);
    let work = async move {
        let _share = share;
        // A policy that comes before the commit may ask what the upload's beginning said.
        context.read_upload_class(&request.bucket, &request.key, request.upload).await?;
        store.complete_upload(request).await.inspect(note)
    };
    // Whose key it is, the upload's beginning said, not this request.
    let key = move || begun.upload_class.get().map(|(_, by)| (by.clone(), None));
    late::answer(call, key, work, move |uploaded| render(&named, &uploaded)).await
}

/// `x-amz-checksum-…`: base64, of a composite one with `-N` behind.
fn object_checksum(request_headers: &HeaderMap) -> Result<(Option<ChecksumValue>, Option<u16>), S3Error> {
    let Some(said) = headers::checksum_said(request_headers)? else { return Ok((None, None)) };
    match said.text.split_once('-') {
        None => Ok((Some(said.value(said.text)?), None)),
        Some((value, parts)) => {
            let parts = headers::digits(parts).ok_or_else(|| said.refused())?;
            Ok((Some(said.value(value)?), Some(parts)))
        }
    }
}

fn parse_parts(root: &Element) -> Result<Vec<CompletedPart>, S3Error> {
    let root = root.expect("CompleteMultipartUpload")?.only(&["Part"])?;
    let parts = root.children();
    if parts.is_empty() || parts.len() > usize::from(PartNumber::MAX) {
        return Err(S3Error::new(Code::MalformedXML));
    }
    parts.iter().map(parse_part).collect()
}

fn parse_part(part: &Element) -> Result<CompletedPart, S3Error> {
    let malformed = || S3Error::new(Code::MalformedXML);
    let number = part.child_text("PartNumber")?.ok_or_else(malformed)?;
    let number: u32 = headers::digits(number).ok_or_else(malformed)?;
    let number = PartNumber::new(number)?;
    let etag = part.child_text("ETag")?.ok_or_else(malformed)?;
    // A tag that no part of ours can have names no part.
    let etag = ETag::parse(etag).ok_or_else(|| {
        S3Error::new(Code::InvalidPart).field("PartNumber", number.to_string()).field("ETag", etag)
    })?;
    let mut checksum = None;
    for child in part.children() {
        let name = child.name();
        if matches!(name, "PartNumber" | "ETag") {
            continue;
        }
        let algorithm =
            ChecksumAlgorithm::ALL.into_iter().find(|algorithm| checksum_element(*algorithm) == name);
        let value = child.leaf()?.trim();
        let parsed = ChecksumValue::parse(algorithm.ok_or_else(malformed)?, value)?;
        if checksum.replace(parsed).is_some() {
            return Err(malformed());
        }
    }
    Ok(CompletedPart { number, etag, checksum })
}

/// The object's own URL, in path style.
pub(super) fn location(call: &Call) -> String {
    let resource = percent::encode(&call.target.resource());
    format!("{}://{}{resource}", call.config.scheme(), call.target.host_of_path_style(&call.host))
}

/// What the answer says about the request.
struct Named {
    location: String,
    bucket: String,
    key: String,
}

impl Named {
    fn of(call: &Call) -> Self {
        Self {
            location: location(call),
            bucket: call.target.bucket.clone().unwrap_or_default(),
            key: call.target.key.clone().unwrap_or_default(),
        }
    }
}

fn render(named: &Named, uploaded: &Uploaded) -> Answer {
    let mut out = XmlWriter::document("CompleteMultipartUploadResult");
    out.text("Location", &named.location);
    out.text("Bucket", &named.bucket);
    out.text("Key", &named.key);
    out.etag(uploaded.etag);
    write_checksum(&mut out, uploaded.checksum.as_ref());
    let mut answer = xml(StatusCode::OK, out.finish());
    set_made_version(answer.headers_mut(), uploaded.version);
    lifecycle::set_expiration(answer.headers_mut(), uploaded.expires.as_ref());
    // No digest of a key, as S3 shows none here: a repeated completion compares none.
    customer::show(answer.headers_mut(), &uploaded.encrypted_by, None);
    answer
}

#[cfg(test)]
mod tests {
    use super::parse_parts;
    use crate::xml::Element;

    fn parse(parts: &str) -> Result<usize, &'static str> {
        let document = format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>");
        let root = Element::parse(document.as_bytes()).unwrap();
        parse_parts(&root).map(|parts| parts.len()).map_err(|error| error.code())
    }

    #[test]
    fn completions_are_read_strictly() {
        let tag = "d41d8cd98f00b204e9800998ecf8427e";
        let part = format!("<Part><PartNumber>1</PartNumber><ETag>&quot;{tag}&quot;</ETag></Part>");
        assert_eq!(parse(&part), Ok(1));
        let summed = format!(
            "<Part><ETag>{tag}</ETag><ChecksumCRC32>AAAAAA==</ChecksumCRC32><PartNumber>2</PartNumber></Part>"
        );
        assert_eq!(parse(&summed), Ok(1));
        assert_eq!(parse(&part.repeat(10_001)), Err("MalformedXML"));
        for (bad, code) in [
            (String::new(), "MalformedXML"),
            (part.replace(">1<", ">x<"), "MalformedXML"),
            (part.replace(">1<", ">+1<"), "MalformedXML"),
            (part.replace(">1<", ">0<"), "InvalidArgument"),
            (part.replace(tag, "nonsense"), "InvalidPart"),
            (part.replace("PartNumber", "Number"), "MalformedXML"),
            (summed.replace("ChecksumCRC32", "ChecksumCRC31"), "MalformedXML"),
            (summed.replace("AAAAAA==", "AA"), "InvalidRequest"),
        ] {
            assert_eq!(parse(&bad), Err(code), "{bad}");
        }
    }
}
