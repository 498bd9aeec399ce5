//! Uploads in parts: create, send, copy, list, complete, abort.

use crate::Client;
use crate::call::Call;
use crate::checksum::{Crc64, multipart_etag};
use crate::date::from_iso;
use crate::endpoint::encode_copy_source;
use crate::error::{Error, Result};
use crate::list::{Barren, IN_CIRCLES, check_prefix, key_text, quote, unquote};
use crate::object::{ObjectRef, PutOptions, PutResult, etag_may_be_md5, put_result};
use crate::settings::Checksums;
use bytes::Bytes;
use engine::clock::Timestamp;
use http::{Method, StatusCode};
use std::fmt::Write;
use std::ops::Range;

/// S3's limit of parts.
const PARTS_MAX: usize = 10_000;

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
    /// Whether the endpoint is known to hold these very bytes.
    pub verified: bool,
    /// Whether its ETag is known to be their MD5.
    pub etag_is_md5: bool,
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
    /// When it began, when the endpoint says.
    pub initiated: Option<Timestamp>,
}

/// Where the next page of a list of uploads begins: behind this key, and this upload of it.
#[derive(Clone, Debug)]
pub struct UploadMarker {
    key: String,
    upload_id: String,
    barren: Barren,
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
        let (root, _) = self.send_xml(&call, "InitiateMultipartUploadResult").await?;
        let upload_id =
            root.require_some("UploadId").map_err(|detail| Error::Protocol { operation, detail })?;
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
            .body(body.clone());
        let headers = self.send_bytes(&call).await?;
        let what = format!("part {number} of s3://{}/{}", upload.bucket, upload.key);
        let put = put_result(operation, &headers)?.proven_by(&headers, &body, crc64, what).await?;
        let (verified, etag_is_md5) = (put.verified, put.etag_is_md5);
        Ok(CompletedPart { number, etag: put.etag, crc64, verified, etag_is_md5 })
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
            .header_some(
                "x-amz-copy-source-if-match",
                Some(if_match).filter(|etag| !etag.is_empty()).map(quote).as_deref(),
            )?
            .header(
                "x-amz-copy-source-range",
                &format!("bytes={}-{}", range.start, range.end.saturating_sub(1)),
            )?;
        let (root, _) = self.send_xml(&call, "CopyPartResult").await?;
        let etag = root.require_some("ETag").map_err(|detail| Error::Protocol { operation, detail })?;
        Ok(CompletedPart { number, etag: unquote(etag), crc64: None, verified: false, etag_is_md5: false })
    }

    /// The parts that the endpoint holds of an upload, by number.
    pub async fn list_parts(&self, upload: &OpenUpload) -> Result<Vec<PartEntry>> {
        let operation = "ListParts";
        let mut parts = Vec::new();
        let mut after: Option<u64> = None;
        loop {
            let call = Call::new(operation, Method::GET)
                .key(&upload.bucket, &upload.key)
                .query("uploadId", upload.upload_id.as_str())
                .query_some("part-number-marker", after.map(|number| number.to_string()));
            let (root, _) = self.send_xml(&call, "ListPartsResult").await?;
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
            if !root.is_truncated().map_err(protocol)? {
                return Ok(parts);
            }
            let next = Some(root.require_u64("NextPartNumberMarker").map_err(protocol)?);
            if next <= after || parts.len() > PARTS_MAX {
                return Err(protocol(IN_CIRCLES.to_owned()));
            }
            after = next;
        }
    }

    /// A page of the uploads under way for keys that begin with `prefix`, and where the next one begins if there is one.
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
        let (root, _) = self.send_xml(&call, "ListMultipartUploadsResult").await?;
        let protocol = |detail| Error::Protocol { operation, detail };
        let entry = |upload: &crate::xml::Element| {
            Ok(UploadEntry {
                key: key_text(&root, upload.require("Key")?)?,
                upload_id: upload.require("UploadId")?.to_owned(),
                initiated: upload.text_of("Initiated").and_then(from_iso),
            })
        };
        let uploads: Vec<UploadEntry> =
            root.all("Upload").map(entry).collect::<Result<_, String>>().map_err(protocol)?;
        for upload in &uploads {
            check_prefix(operation, bucket, prefix, &upload.key)?;
        }
        if !root.is_truncated().map_err(protocol)? {
            return Ok((uploads, None));
        }
        let mut barren = after.map(|after| after.barren).unwrap_or_default();
        barren.count(uploads.is_empty()).map_err(protocol)?;
        let next = UploadMarker {
            key: key_text(&root, root.require_some("NextKeyMarker").map_err(protocol)?).map_err(protocol)?,
            upload_id: root.require_some("NextUploadIdMarker").map_err(protocol)?.to_owned(),
            barren,
        };
        if after.is_some_and(|after| (&after.key, &after.upload_id) == (&next.key, &next.upload_id)) {
            return Err(protocol(IN_CIRCLES.to_owned()));
        }
        Ok((uploads, Some(next)))
    }

    /// Makes the object of its parts, which must be in order of their numbers. An object that the endpoint says it made of others is an
    /// error: a CRC64NVME that is not that of these parts, or an ETag that is not, where the parts' ETags are known to be MD5s.
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
        let whole = whole_crc64(parts);
        if let Some(whole) = whole {
            call = call
                .header("x-amz-checksum-crc64nvme", &whole.to_header())?
                .header("x-amz-checksum-type", "FULL_OBJECT")?;
        }
        let (root, headers) = self.send_xml(&call, "CompleteMultipartUploadResult").await?;
        let etag = root.require_some("ETag").map_err(|detail| Error::Protocol { operation, detail })?;
        let version_id = crate::call::header_text(&headers, "x-amz-version-id").map(str::to_owned);
        let over_parts = root.text_of("ChecksumType") == Some("COMPOSITE");
        let crc64 = root.text_of("ChecksumCRC64NVME").filter(|_| !over_parts).map(str::to_owned);
        let said = Said { etag: unquote(etag), crc64 };
        let verified = said.proves(parts, whole, etag_may_be_md5(&headers)).map_err(|detail| {
            Error::Integrity { what: format!("s3://{}/{}", upload.bucket, upload.key), detail }
        })?;
        Ok(PutResult { etag: said.etag, version_id, verified, etag_is_md5: false })
    }

    /// Gives an upload up; its parts are freed.
    pub async fn abort_upload(&self, upload: &OpenUpload) -> Result<()> {
        let call = Call::new("AbortMultipartUpload", Method::DELETE)
            .key(&upload.bucket, &upload.key)
            .query("uploadId", upload.upload_id.as_str());
        // Some say 200, and nothing more: so does a portal.
        let headers = self.send_bare(&call, &[StatusCode::NO_CONTENT, StatusCode::OK]).await?;
        self.prove_endpoint(call.bucket, &headers).await
    }
}

/// What an endpoint says of the object that it made of parts.
struct Said {
    etag: String,
    crc64: Option<String>,
}

impl Said {
    /// Whether that proves that it is made of these parts; the error says that it is not. A checksum of checksums says nothing, nor does
    /// another ETag, unless those of the parts are MD5s: endpoints have such of their own.
    fn proves(
        &self,
        parts: &[CompletedPart],
        whole: Option<Crc64>,
        etag_may_be_md5: bool,
    ) -> Result<bool, String> {
        let said = self.crc64.as_ref().filter(|text| Crc64::from_header(text, 0).is_some());
        if let (Some(whole), Some(said)) = (whole, said) {
            if whole.to_header() != *said {
                return Err(format!("its CRC64NVME is {said}, our parts make {}", whole.to_header()));
            }
            return Ok(true);
        }
        let expected = multipart_etag(parts.iter().map(|part| part.etag.as_str()));
        let Some(expected) = expected.filter(|_| etag_may_be_md5) else { return Ok(false) };
        if self.etag.eq_ignore_ascii_case(&expected) {
            return Ok(parts.iter().all(|part| part.verified));
        }
        let has_its_form = self.etag.len() == expected.len() && self.etag.contains('-');
        if has_its_form && parts.iter().all(|part| part.etag_is_md5) {
            return Err(format!("its ETag is {}, our parts make {expected}", self.etag));
        }
        Ok(false)
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
    use super::{CompletedPart, Crc64, Said, multipart_etag, whole_crc64};
    use crate::checksum::md5_etag;

    fn part(number: u32, etag: &str, crc64: Option<Crc64>) -> CompletedPart {
        CompletedPart { number, etag: etag.to_owned(), crc64, verified: true, etag_is_md5: true }
    }

    #[test]
    fn the_whole_has_a_checksum_only_when_all_parts_do() {
        let a = part(1, "", Some(Crc64::of(b"12345")));
        let b = part(2, "", Some(Crc64::of(b"6789")));
        assert_eq!(whole_crc64(&[a.clone(), b]), Some(Crc64::of(b"123456789")));
        assert_eq!(whole_crc64(&[a, part(2, "", None)]), None);
    }

    #[test]
    fn an_object_that_our_parts_do_not_make_is_refused() {
        let mut parts = vec![
            part(1, &md5_etag(b"a"), Some(Crc64::of(b"a"))),
            part(2, &md5_etag(b"b"), Some(Crc64::of(b"b"))),
        ];
        let of =
            |parts: &[CompletedPart]| multipart_etag(parts.iter().map(|part| part.etag.as_str())).unwrap();
        let whole = of(&parts);
        let other = of(&[parts[0].clone(), part(2, &md5_etag(b"c"), None)]);
        let crc = Crc64::of(b"ab").to_header();
        let proves = |parts: &[CompletedPart], etag: &str, crc64: Option<&str>, md5: bool| {
            let said = Said { etag: etag.to_owned(), crc64: crc64.map(str::to_owned) };
            said.proves(parts, whole_crc64(parts), md5)
        };
        assert_eq!(proves(&parts, &whole, None, true), Ok(true));
        assert_eq!(proves(&parts, &whole.to_uppercase(), Some(&crc), true), Ok(true));
        proves(&parts, &other, None, true).unwrap_err();
        assert_eq!(proves(&parts, &other, Some(&crc), true), Ok(true));
        assert_eq!(proves(&parts, &whole, Some("AAAAAAAAAAA=-2"), true), Ok(true));
        let mut unknown = parts.clone();
        unknown[1].etag_is_md5 = false;
        assert_eq!(proves(&unknown, &other, None, true), Ok(false));
        proves(&parts, &whole, Some(&Crc64::of(b"ac").to_header()), true).unwrap_err();
        // One of another form, or of an encrypted object, says nothing about the bytes.
        assert_eq!(proves(&parts, "an-endpoint-of-its-own-mind", None, true), Ok(false));
        assert_eq!(proves(&parts, &other, None, false), Ok(false));
        assert_eq!(proves(&parts, &other, Some(&crc), false), Ok(true));
        parts[1].verified = false;
        assert_eq!(proves(&parts, &whole, None, true), Ok(false), "who knows what it took for that part");
    }
}
