//! Uploads in parts: create, send, copy, list, complete, abort.

use crate::Client;
use crate::call::Call;
use crate::checksum::Crc64;
use crate::date::from_iso;
use crate::endpoint::encode_copy_source;
use crate::error::{Error, Result};
use crate::list::{key_text, quote, unquote};
use crate::object::{ObjectRef, PutOptions, PutResult, put_result};
use crate::settings::Checksums;
use bytes::Bytes;
use engine::clock::Timestamp;
use http::Method;
use std::fmt::Write;
use std::ops::Range;

/// An upload under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenUpload {
    /// The bucket.
    pub bucket: String,
    /// The key that it will become.
    pub key: String,
    /// The endpoint's id of it.
    pub upload_id: String,
    /// Whether its parts carry CRC64NVME.
    pub with_crc64: bool,
}

/// A part that is to be in the object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompletedPart {
    /// Its number, 1 to 10,000.
    pub number: u32,
    /// Its ETag, without quotes.
    pub etag: String,
    /// Its checksum, in an upload that has them.
    pub crc64: Option<Crc64>,
}

/// A part that the endpoint holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartEntry {
    /// Its number.
    pub number: u32,
    /// Its size in bytes.
    pub size: u64,
    /// Its ETag, without quotes.
    pub etag: String,
}

/// An upload in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadEntry {
    /// The key that it will become.
    pub key: String,
    /// The endpoint's id of it.
    pub upload_id: String,
    /// The additional checksum that its parts carry: `CRC64NVME`; empty for none.
    pub checksum_algorithm: String,
    /// When it began, when the endpoint says.
    pub initiated: Option<Timestamp>,
}

/// Where the next page of a list of uploads begins: behind this key, and this upload of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadMarker {
    key: String,
    upload_id: String,
}

impl Client {
    /// Begins an upload in parts.
    pub async fn create_upload(&self, bucket: &str, key: &str, options: &PutOptions) -> Result<OpenUpload> {
        let operation = "CreateMultipartUpload";
        let with_crc64 = self.checksums() == Checksums::WhenSupported;
        let mut call = Call::new(operation, Method::POST).key(bucket, key).query("uploads", "");
        call = options.headers(call)?;
        if with_crc64 {
            call = call
                .header("x-amz-checksum-algorithm", "CRC64NVME")?
                .header("x-amz-checksum-type", "FULL_OBJECT")?;
        }
        let (root, _) = self.send_xml(&call).await?;
        let upload_id = root.require("UploadId").map_err(|detail| Error::Protocol { operation, detail })?;
        Ok(OpenUpload {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            upload_id: upload_id.to_owned(),
            with_crc64,
        })
    }

    /// Sends one part; the endpoint verifies it before it answers.
    pub async fn upload_part(&self, upload: &OpenUpload, number: u32, body: Bytes) -> Result<CompletedPart> {
        let operation = "UploadPart";
        let crc64 = upload.with_crc64.then(|| Crc64::of(&body));
        let call = part_call(operation, upload, number)
            .header_some("x-amz-checksum-crc64nvme", crc64.map(Crc64::to_header).as_deref())?
            .body(body);
        let headers = self.send_empty(&call).await?;
        Ok(CompletedPart { number, etag: put_result(operation, &headers)?.etag, crc64 })
    }

    /// Copies a range of an object into a part, without its bytes passing here: of the object with the ETag `if_match`, or none
    /// (`PreconditionFailed`). Such a part has no checksum known here.
    pub async fn upload_part_copy(
        &self,
        upload: &OpenUpload,
        number: u32,
        (from, if_match): (&ObjectRef<'_>, &str),
        range: Range<u64>,
    ) -> Result<CompletedPart> {
        let operation = "UploadPartCopy";
        let call = part_call(operation, upload, number)
            .header("x-amz-copy-source", &encode_copy_source(from.bucket, from.key, from.version))?
            .header("x-amz-copy-source-if-match", &quote(if_match))?
            .header(
                "x-amz-copy-source-range",
                &format!("bytes={}-{}", range.start, range.end.saturating_sub(1)),
            )?;
        let (root, _) = self.send_xml(&call).await?;
        let etag = root.require("ETag").map_err(|detail| Error::Protocol { operation, detail })?;
        Ok(CompletedPart { number, etag: unquote(etag), crc64: None })
    }

    /// The parts that the endpoint holds of an upload, by number.
    pub async fn list_parts(&self, upload: &OpenUpload) -> Result<Vec<PartEntry>> {
        let operation = "ListParts";
        let mut parts = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let call = Call::new(operation, Method::GET)
                .key(&upload.bucket, &upload.key)
                .query("uploadId", upload.upload_id.as_str())
                .query_some("part-number-marker", after.as_deref());
            let (root, _) = self.send_xml(&call).await?;
            let protocol = |detail| Error::Protocol { operation, detail };
            for part in root.all("Part") {
                let number = part.require_u64("PartNumber").map_err(protocol)?;
                parts.push(PartEntry {
                    number: u32::try_from(number)
                        .map_err(|_| protocol(format!("it has a part number {number}")))?,
                    size: part.require_u64("Size").map_err(protocol)?,
                    etag: unquote(part.require("ETag").map_err(protocol)?),
                });
            }
            if root.text_of("IsTruncated") != Some("true") {
                return Ok(parts);
            }
            after = Some(root.require("NextPartNumberMarker").map_err(protocol)?.to_owned());
        }
    }

    /// Uploads under way for keys that begin with `prefix`: the first page (1,000) of them.
    pub async fn list_uploads(&self, bucket: &str, prefix: &str) -> Result<Vec<UploadEntry>> {
        self.uploads_after(bucket, prefix, None).await.map(|(uploads, _)| uploads)
    }

    /// A page of the uploads under way, and where the next one begins if there is one.
    pub async fn uploads_after(
        &self,
        bucket: &str,
        prefix: &str,
        after: Option<&UploadMarker>,
    ) -> Result<(Vec<UploadEntry>, Option<UploadMarker>)> {
        let operation = "ListMultipartUploads";
        let call = Call::new(operation, Method::GET)
            .bucket(bucket)
            .query("uploads", "")
            .query("encoding-type", "url")
            .query("prefix", prefix)
            .query_some("key-marker", after.map(|after| after.key.as_str()))
            .query_some("upload-id-marker", after.map(|after| after.upload_id.as_str()));
        let (root, _) = self.send_xml(&call).await?;
        let protocol = |detail| Error::Protocol { operation, detail };
        let entry = |upload: &crate::xml::Element| {
            Ok(UploadEntry {
                key: key_text(&root, upload.require("Key")?)?,
                upload_id: upload.require("UploadId")?.to_owned(),
                checksum_algorithm: upload.text_of("ChecksumAlgorithm").unwrap_or_default().to_owned(),
                initiated: upload.text_of("Initiated").and_then(from_iso),
            })
        };
        let uploads = root.all("Upload").map(entry).collect::<Result<_, String>>().map_err(protocol)?;
        if root.text_of("IsTruncated") != Some("true") {
            return Ok((uploads, None));
        }
        let next = UploadMarker {
            key: key_text(&root, root.require("NextKeyMarker").map_err(protocol)?).map_err(protocol)?,
            upload_id: root.require("NextUploadIdMarker").map_err(protocol)?.to_owned(),
        };
        if after == Some(&next) {
            return Err(protocol("it goes in circles: a page is followed by itself".to_owned()));
        }
        Ok((uploads, Some(next)))
    }

    /// Makes the object of its parts, which must be in order of their numbers.
    pub async fn complete_upload(
        &self,
        upload: &OpenUpload,
        parts: &[CompletedPart],
        options: &PutOptions,
    ) -> Result<PutResult> {
        let operation = "CompleteMultipartUpload";
        let mut body =
            String::from("<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
        for part in parts {
            // Writing to a String can't fail.
            let _infallible = write!(
                body,
                "<Part><PartNumber>{}</PartNumber><ETag>&quot;{}&quot;</ETag>",
                part.number,
                crate::xml::escape(&part.etag)
            );
            if let Some(crc64) = part.crc64 {
                let _infallible =
                    write!(body, "<ChecksumCRC64NVME>{}</ChecksumCRC64NVME>", crc64.to_header());
            }
            body.push_str("</Part>");
        }
        body.push_str("</CompleteMultipartUpload>");
        let mut call = Call::new(operation, Method::POST)
            .key(&upload.bucket, &upload.key)
            .query("uploadId", upload.upload_id.as_str())
            .xml_body(body);
        call = options.condition(call)?;
        if let Some(whole) = whole_crc64(parts) {
            call = call
                .header("x-amz-checksum-crc64nvme", &whole.to_header())?
                .header("x-amz-checksum-type", "FULL_OBJECT")?;
        }
        let (root, headers) = self.send_xml(&call).await?;
        let etag = root.require("ETag").map_err(|detail| Error::Protocol { operation, detail })?;
        let version_id = crate::call::header_text(&headers, "x-amz-version-id").map(str::to_owned);
        Ok(PutResult { etag: unquote(etag), version_id })
    }

    /// Gives an upload up; its parts are freed.
    pub async fn abort_upload(&self, upload: &OpenUpload) -> Result<()> {
        let call = Call::new("AbortMultipartUpload", Method::DELETE)
            .key(&upload.bucket, &upload.key)
            .query("uploadId", upload.upload_id.as_str());
        self.send_empty(&call).await.map(drop)
    }
}

fn part_call<'a>(operation: &'static str, upload: &'a OpenUpload, number: u32) -> Call<'a> {
    Call::new(operation, Method::PUT)
        .key(&upload.bucket, &upload.key)
        .query("partNumber", number.to_string())
        .query("uploadId", upload.upload_id.as_str())
}

/// The checksum of the whole, when every part has one.
fn whole_crc64(parts: &[CompletedPart]) -> Option<Crc64> {
    let mut whole = Crc64::default();
    for part in parts {
        whole = whole.then(part.crc64?);
    }
    Some(whole)
}

#[cfg(test)]
mod tests {
    use super::{CompletedPart, Crc64, whole_crc64};

    #[test]
    fn the_whole_has_a_checksum_only_when_all_parts_do() {
        let part = |number, crc64| CompletedPart { number, etag: String::new(), crc64 };
        let a = part(1, Some(Crc64::of(b"12345")));
        let b = part(2, Some(Crc64::of(b"6789")));
        assert_eq!(whole_crc64(&[a.clone(), b]), Some(Crc64::of(b"123456789")));
        assert_eq!(whole_crc64(&[a, part(2, None)]), None);
    }
}
