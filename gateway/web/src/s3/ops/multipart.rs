//! Multipart uploads: begin, abort, and the two listings.

use super::extract;
use super::list_page::Encoding;
use super::put::upload_id;
use super::{beside, checksum_element, count, write_algorithm, write_owner};
use crate::s3::Call;
use crate::s3::answer::{Answer, empty, set_amz, xml};
use crate::s3::error::S3Error;
use crate::s3::{customer, date, headers, lifecycle, managed};
use crate::xml::XmlWriter;
use http::StatusCode;
use objectstore::{CreateUpload, PAGE_MAX, PartPage, PartsRequest, UploadPage, UploadsRequest};

/// `CreateMultipartUpload`.
pub(super) async fn create(call: &Call) -> Result<Answer, S3Error> {
    let request_headers = &call.head.headers;
    extract::refuse(request_headers)?;
    let brought = customer::of(call)?;
    let request = CreateUpload {
        bucket: call.target.bucket()?,
        key: call.target.key()?,
        metadata: headers::metadata(request_headers)?,
        class: headers::storage_class(request_headers)?.unwrap_or_default(),
        checksum: headers::checksum_algorithm(request_headers)?,
        checksum_type: headers::checksum_type(request_headers)?,
        subresources: beside(call).await?,
        writer: call.writer().await?,
        customer_key: brought.as_ref().map(|brought| brought.key.clone()),
        encryption: managed::wish(call)?,
        asks: Some(call.asker.question.clone()),
    };
    let info = call.state.store.create_upload(request).await?;
    let mut out = XmlWriter::document("InitiateMultipartUploadResult");
    out.text("Bucket", call.target.bucket.as_deref().unwrap_or_default());
    out.text("Key", call.target.key.as_deref().unwrap_or_default());
    out.value("UploadId", info.upload);
    let mut answer = xml(StatusCode::OK, out.finish());
    if info.checksum_named {
        set_amz(answer.headers_mut(), "x-amz-checksum-algorithm", info.checksum.as_str());
        set_amz(answer.headers_mut(), "x-amz-checksum-type", info.checksum_type.as_str());
    }
    lifecycle::set_abort(answer.headers_mut(), info.expires.as_ref());
    customer::show(answer.headers_mut(), &info.encrypted_by, brought.as_ref().map(|brought| &brought.shown));
    Ok(answer)
}

/// `AbortMultipartUpload`.
pub(super) async fn abort(call: &Call) -> Result<Answer, S3Error> {
    let (bucket, key, upload) = (call.target.bucket()?, call.target.key()?, upload_id(call)?);
    call.state.store.abort_upload(&bucket, &key, upload).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

/// `ListParts`.
pub(super) async fn list_parts(call: &Call) -> Result<Answer, S3Error> {
    let max_parts = count(call, "max-parts", PAGE_MAX)?;
    let after = count(call, "part-number-marker", usize::from(u16::MAX))?;
    let after =
        if call.query.has("part-number-marker") { u16::try_from(after).unwrap_or(u16::MAX) } else { 0 };
    let request = PartsRequest {
        bucket: call.target.bucket()?,
        key: call.target.key()?,
        upload: upload_id(call)?,
        after,
        max_parts,
    };
    let page = call.state.store.list_parts(request).await?;
    let mut answer = xml(StatusCode::OK, render_parts(call, &page, after, max_parts));
    lifecycle::set_abort(answer.headers_mut(), page.upload.expires.as_ref());
    Ok(answer)
}

fn render_parts(call: &Call, page: &PartPage, after: u16, max_parts: usize) -> String {
    let encoding = Encoding::of(call.query.get("encoding-type"));
    let mut out = XmlWriter::document("ListPartsResult");
    out.text("Bucket", call.target.bucket.as_deref().unwrap_or_default());
    out.text("Key", &encoding.apply(call.target.key.as_deref().unwrap_or_default()));
    out.value("UploadId", page.upload.upload);
    write_owner(call, &mut out, "Initiator", page.initiator);
    write_owner(call, &mut out, "Owner", page.owner);
    out.value("StorageClass", page.class);
    out.value("PartNumberMarker", after);
    if let Some(last) = page.parts.last() {
        out.value("NextPartNumberMarker", last.number);
    }
    out.value("MaxParts", max_parts);
    out.value("IsTruncated", page.next.is_some());
    if page.upload.checksum_named {
        out.value("ChecksumAlgorithm", page.upload.checksum);
        out.value("ChecksumType", page.upload.checksum_type);
    }
    for part in &page.parts {
        out.start("Part");
        out.value("PartNumber", part.number);
        out.text("LastModified", &date::iso(part.modified));
        out.etag(part.etag);
        out.value("Size", part.size.get());
        if let Some(checksum) = part.checksum {
            out.value(checksum_element(checksum.algorithm()), checksum);
        }
        out.end();
    }
    out.finish()
}

/// `ListMultipartUploads`.
pub(super) async fn list_uploads(call: &Call) -> Result<Answer, S3Error> {
    let encoding = Encoding::parse(call)?;
    let key_marker = call.query.non_empty("key-marker").map(str::to_owned);
    let upload_marker = match call.query.non_empty("upload-id-marker").filter(|_| key_marker.is_some()) {
        None => None,
        Some(text) => Some(
            text.parse()
                .map_err(|_| S3Error::argument("upload-id-marker", text, "Invalid uploadId marker"))?,
        ),
    };
    let request = UploadsRequest {
        bucket: call.target.bucket()?,
        prefix: call.query.get("prefix").unwrap_or_default().to_owned(),
        delimiter: call.query.get("delimiter").unwrap_or_default().to_owned(),
        key_marker,
        upload_marker,
        max_uploads: count(call, "max-uploads", PAGE_MAX)?,
    };
    let page = call.state.store.list_uploads(request.clone()).await?;
    Ok(xml(StatusCode::OK, render_uploads(call, &request, &page, encoding)))
}

fn render_uploads(call: &Call, request: &UploadsRequest, page: &UploadPage, encoding: Encoding) -> String {
    let mut out = XmlWriter::document("ListMultipartUploadsResult");
    out.text("Bucket", request.bucket.as_str());
    out.text("KeyMarker", &encoding.apply(request.key_marker.as_deref().unwrap_or_default()));
    out.text("UploadIdMarker", call.query.get("upload-id-marker").unwrap_or_default());
    if let Some(next) = &page.next_key {
        out.text("NextKeyMarker", &encoding.apply(next));
        if let Some(upload) = page.next_upload {
            out.value("NextUploadIdMarker", upload);
        }
    }
    if !request.delimiter.is_empty() {
        out.text("Delimiter", &encoding.apply(&request.delimiter));
    }
    out.text("Prefix", &encoding.apply(&request.prefix));
    out.value("MaxUploads", request.max_uploads);
    encoding.write(&mut out);
    out.value("IsTruncated", page.next_key.is_some());
    for upload in &page.uploads {
        out.start("Upload");
        out.text("Key", &encoding.apply(upload.key.as_str()));
        out.value("UploadId", upload.upload);
        write_owner(call, &mut out, "Initiator", upload.initiator);
        write_owner(call, &mut out, "Owner", upload.owner);
        out.value("StorageClass", upload.class);
        out.text("Initiated", &date::iso(upload.initiated));
        write_algorithm(&mut out, upload.checksum);
        out.end();
    }
    encoding.write_prefixes(&mut out, &page.common_prefixes);
    out.finish()
}
