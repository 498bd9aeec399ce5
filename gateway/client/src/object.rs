//! Objects: head, put, copy, delete.

use crate::Client;
use crate::call::{Call, header_text};
use crate::checksum::{Crc64, Expected, is_md5_etag, md5_etag};
use crate::date::from_http;
use crate::endpoint::{encode_copy_source, encode_query};
use crate::error::{Error, Result};
use crate::list::{quote, unquote};
use crate::lock::ObjectLock;
use crate::settings::Checksums;
use crate::xml::{Element, can_carry, escape};
use base64::Engine;
use bytes::Bytes;
use engine::clock::Timestamp;
use http::{HeaderMap, Method, StatusCode};
use std::collections::BTreeMap;
use std::fmt::Write;

/// The most keys that one call deletes.
pub const DELETE_MANY_MAX: usize = 1000;

/// What is known of a copy whose size is its source's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyProof {
    /// It has the same bytes.
    Proven,
    /// Nothing of both can be compared.
    Unproven,
    /// It has another ETag, and both look as if they were of the bytes: not everywhere they are.
    OtherEtag,
}

/// Headers that S3 keeps with an object and answers with, besides its content type.
pub const KEPT_HEADERS: [&str; 5] =
    ["cache-control", "content-disposition", "content-encoding", "content-language", "expires"];

/// An object, or one version of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObjectRef<'a> {
    /// The bucket.
    pub bucket: &'a str,
    /// The key.
    pub key: &'a str,
    /// The version; the latest when `None`.
    pub version: Option<&'a str>,
}

impl<'a> ObjectRef<'a> {
    /// The latest version of a key.
    pub const fn latest(bucket: &'a str, key: &'a str) -> Self {
        Self { bucket, key, version: None }
    }
}

impl std::fmt::Display for ObjectRef<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.key)
    }
}

/// What HEAD, or the head of a GET's answer, says about an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObjectHead {
    /// The size of the whole object in bytes.
    pub size: u64,
    /// Its ETag, without quotes; empty when the endpoint gives none, or a weak one.
    pub etag: String,
    /// When it was last written, when the endpoint says.
    pub last_modified: Option<Timestamp>,
    /// Its version id, in a bucket that has versions.
    pub version_id: Option<String>,
    /// Its content type.
    pub content_type: Option<String>,
    /// Its storage class; `STANDARD` when the endpoint leaves it out.
    pub storage_class: String,
    /// The state of its restore from an archive class, as the endpoint writes it.
    pub restore: Option<String>,
    /// CRC64NVME over the whole object, when the endpoint keeps one.
    pub crc64: Option<Crc64>,
    /// Additional checksums as the endpoint gives them, by their names: `crc32`, `sha256`.
    pub checksums: BTreeMap<String, String>,
    /// Whether they are over the checksums of parts, and not over all bytes.
    pub composite: bool,
    /// The metadata that its writer added.
    pub metadata: BTreeMap<String, String>,
    /// What it answers with besides its content type, by names in lower case: those of [`KEPT_HEADERS`] that it has.
    pub kept: BTreeMap<String, String>,
    /// How many tags it has, where the asker may know.
    pub tag_count: u32,
    /// What holds it, where something does or did.
    pub lock: Option<ObjectLock>,
    /// Whether its ETag may be the MD5 of its bytes (it is not where the server encrypts with KMS or a customer's key).
    pub etag_may_be_md5: bool,
}

impl ObjectHead {
    /// What all of its bytes have to be.
    pub(crate) fn expected(&self) -> Expected {
        if self.composite { Expected::default() } else { Expected::of(&self.checksums) }
    }

    /// Compares a copy of it: whether anything proves that both have the same bytes. An error where a size or a checksum says that
    /// they have not.
    pub fn prove_copy(&self, copy: &Self, what: &dyn std::fmt::Display) -> Result<CopyProof> {
        let differs = |detail: String| Err(Error::Integrity { what: what.to_string(), detail });
        if self.size != copy.size {
            return differs(format!("its size is {}, its source's {}", copy.size, self.size));
        }
        let (ours, theirs) = (self.expected(), copy.expected());
        let mut proven = false;
        for name in ours.names().filter(|name| theirs.names().any(|other| other == *name)) {
            let (ours, theirs) = (self.checksums.get(name), copy.checksums.get(name));
            if ours != theirs {
                let shown = |text: Option<&String>| text.cloned().unwrap_or_default();
                let (ours, theirs) = (shown(ours), shown(theirs));
                return differs(format!("its {} is {theirs}, its source's {ours}", name.to_uppercase()));
            }
            proven = true;
        }
        if proven || (!self.etag.is_empty() && self.etag.eq_ignore_ascii_case(&copy.etag)) {
            return Ok(CopyProof::Proven);
        }
        let is_md5 = |head: &Self| head.etag_may_be_md5 && is_md5_etag(&head.etag);
        Ok(if is_md5(self) && is_md5(copy) { CopyProof::OtherEtag } else { CopyProof::Unproven })
    }
}

/// How to store an object.
#[derive(Clone, Debug, Default)]
pub struct PutOptions {
    /// Its content type.
    pub content_type: Option<String>,
    /// Its storage class.
    pub storage_class: Option<String>,
    /// Metadata of the writer's own.
    pub metadata: BTreeMap<String, String>,
    /// What it is to answer with besides, as [`ObjectHead::kept`] has it.
    pub kept: BTreeMap<String, String>,
    /// Its tags.
    pub tags: Vec<(String, String)>,
    /// Only when nothing is stored under the key.
    pub if_absent: bool,
}

impl PutOptions {
    pub(crate) fn headers<'c>(&self, mut call: Call<'c>) -> Result<Call<'c>> {
        call = call
            .header_some("content-type", self.content_type.as_deref())?
            .header_some("x-amz-storage-class", self.storage_class.as_deref())?;
        for (name, value) in &self.metadata {
            call = call.header(&format!("x-amz-meta-{name}"), value)?;
        }
        for (name, value) in &self.kept {
            call = call.header(name, value)?;
        }
        if !self.tags.is_empty() {
            let tags = self.tags.iter().map(|(key, value)| (key.as_str(), value.as_str()));
            call = call.header("x-amz-tagging", &encode_query(tags))?;
        }
        Ok(call)
    }

    pub(crate) fn condition<'c>(&self, call: Call<'c>) -> Result<Call<'c>> {
        if self.if_absent { call.header("if-none-match", "*") } else { Ok(call) }
    }
}

/// What was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutResult {
    /// Its ETag, without quotes.
    pub etag: String,
    /// Its version id, in a bucket that has versions.
    pub version_id: Option<String>,
    /// Whether the answer proves that what was stored are the bytes that were sent.
    pub verified: bool,
    /// Whether the ETag is known to be their MD5.
    pub etag_is_md5: bool,
}

/// What a delete did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deleted {
    /// Whether it put a delete marker on top (or took one away, when that is what was named).
    pub delete_marker: bool,
    /// The version deleted, or the marker's.
    pub version_id: Option<String>,
}

/// One key of a bulk delete that was not deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeleteFailure {
    /// The key.
    pub key: String,
    /// The version that was named.
    pub version_id: Option<String>,
    /// S3's code.
    pub code: String,
    /// The endpoint's text for people.
    pub message: String,
}

impl Client {
    /// Looks at an object without reading it.
    pub async fn head_object(&self, object: &ObjectRef<'_>) -> Result<ObjectHead> {
        let call = Call::new("HeadObject", Method::HEAD)
            .key(object.bucket, object.key)
            .query_some("versionId", object.version)
            .header("x-amz-checksum-mode", "ENABLED")?;
        let headers = self.send_bare(&call, &[StatusCode::OK]).await?;
        self.prove_endpoint(call.bucket, &headers).await?;
        let size = header_text(&headers, "content-length").and_then(|text| text.parse().ok());
        object_head("HeadObject", &headers, size)
    }

    /// The size of the first part of an object that came in parts, where the endpoint says it.
    pub async fn part_size(&self, object: &ObjectRef<'_>) -> Result<Option<u64>> {
        let call = Call::new("HeadObject", Method::HEAD)
            .key(object.bucket, object.key)
            .query("partNumber", "1")
            .query_some("versionId", object.version);
        match self.send(&call).await {
            Ok(answer) => {
                let headers = answer.headers();
                let in_parts = header_text(headers, "x-amz-mp-parts-count").is_some();
                let length = header_text(headers, "content-length").filter(|_| in_parts);
                Ok(length.and_then(|text| text.parse().ok()))
            }
            Err(Error::Service(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// An object's tags.
    pub async fn object_tags(&self, object: &ObjectRef<'_>) -> Result<Vec<(String, String)>> {
        let operation = "GetObjectTagging";
        let call = Call::new(operation, Method::GET)
            .key(object.bucket, object.key)
            .query("tagging", "")
            .query_some("versionId", object.version);
        let (root, _) = self.send_xml(&call, "Tagging").await?;
        let set = root.child("TagSet");
        let of = |tag: &Element| {
            Ok((tag.require("Key")?.to_owned(), tag.text_of("Value").unwrap_or_default().to_owned()))
        };
        let tags = set.into_iter().flat_map(|set| set.all("Tag")).map(of);
        tags.collect::<Result<_, String>>().map_err(|detail| Error::Protocol { operation, detail })
    }

    /// Stores an object in one piece; at most 5 GiB, and held in memory while it is sent.
    pub async fn put_object(
        &self,
        bucket: &str,
        key: &str,
        body: Bytes,
        options: &PutOptions,
    ) -> Result<PutResult> {
        let operation = "PutObject";
        let mut call = Call::new(operation, Method::PUT).key(bucket, key);
        call = options.condition(options.headers(call)?)?;
        let crc64 = (self.checksums() == Checksums::WhenSupported).then(|| Crc64::of(&body));
        call = call.header_some("x-amz-checksum-crc64nvme", crc64.map(Crc64::to_header).as_deref())?;
        let headers = self.send_bytes(&call.body(body.clone())).await?;
        let what = format!("s3://{bucket}/{key}");
        put_result(operation, &headers)?.proven_by(&headers, &body, crc64, what).await
    }

    /// Copies an object within the endpoint; at most 5 GiB. Metadata, tags and content type come along, never those of the options. With
    /// `if_match` it is that ETag's object or none: `PreconditionFailed`. Whether it is a true copy is not known by the answer alone.
    pub async fn copy_object(
        &self,
        (from, if_match): (&ObjectRef<'_>, Option<&str>),
        bucket: &str,
        key: &str,
        options: &PutOptions,
    ) -> Result<PutResult> {
        let operation = "CopyObject";
        let source = encode_copy_source(from.bucket, from.key, from.version);
        let call = Call::new(operation, Method::PUT)
            .key(bucket, key)
            .header("x-amz-copy-source", &source)?
            .header_some("x-amz-copy-source-if-match", if_match.map(quote).as_deref())?
            .header_some("x-amz-storage-class", options.storage_class.as_deref())?;
        let (root, headers) = self.send_xml(&options.condition(call)?, "CopyObjectResult").await?;
        let etag = root.require_some("ETag").map_err(|detail| Error::Protocol { operation, detail })?;
        Ok(PutResult {
            etag: unquote(etag),
            version_id: version_of(&headers),
            verified: false,
            etag_is_md5: false,
        })
    }

    /// Deletes an object, or one version for good. A key that is not there is no error, as in S3. With `if_match` it is that ETag's object
    /// that goes, or none: `PreconditionFailed`.
    pub async fn delete_object(&self, object: &ObjectRef<'_>, if_match: Option<&str>) -> Result<Deleted> {
        let call = Call::new("DeleteObject", Method::DELETE)
            .key(object.bucket, object.key)
            .query_some("versionId", object.version)
            .header_some("if-match", if_match.map(quote).as_deref())?;
        let headers = self.send_bare(&call, &[StatusCode::NO_CONTENT]).await?;
        Ok(Deleted {
            delete_marker: header_text(&headers, "x-amz-delete-marker") == Some("true"),
            version_id: version_of(&headers),
        })
    }

    /// Deletes up to 1,000 keys in one call and returns those that it could not. Keys that XML can't carry are deleted
    /// one by one.
    pub async fn delete_objects(
        &self,
        bucket: &str,
        objects: &[(String, Option<String>)],
    ) -> Result<Vec<DeleteFailure>> {
        if objects.len() > DELETE_MANY_MAX {
            return Err(Error::Invalid(format!(
                "delete {} keys in one call: the limit is {DELETE_MANY_MAX}",
                objects.len()
            )));
        }
        let mut failures = Vec::new();
        let mut body =
            String::from("<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Quiet>true</Quiet>");
        let mut in_body = 0;
        for (key, version) in objects {
            let version = version.as_deref();
            if can_carry(key) {
                in_body += 1;
                push_delete(&mut body, key, version);
            } else if let Err(error) = self.delete_object(&ObjectRef { bucket, key, version }, None).await {
                failures.push(delete_failure(key, version, error)?);
            }
        }
        if in_body > 0 {
            body.push_str("</Delete>");
            failures.extend(self.delete_in_body(bucket, body).await?);
        }
        Ok(failures)
    }

    async fn delete_in_body(&self, bucket: &str, body: String) -> Result<Vec<DeleteFailure>> {
        let md5 = md5_header(body.as_bytes());
        let call = Call::new("DeleteObjects", Method::POST)
            .bucket(bucket)
            .query("delete", "")
            .header("content-md5", &md5)?
            .xml_body(body);
        let (root, _) = self.send_xml(&call, "DeleteResult").await?;
        let text = |entry: &Element, name| entry.text_of(name).unwrap_or_default().to_owned();
        Ok(root
            .all("Error")
            .map(|entry| DeleteFailure {
                key: text(entry, "Key"),
                version_id: entry.text_of("VersionId").map(str::to_owned),
                code: text(entry, "Code"),
                message: text(entry, "Message"),
            })
            .collect())
    }
}

fn push_delete(body: &mut String, key: &str, version: Option<&str>) {
    // Writing to a String can't fail.
    let _infallible = write!(body, "<Object><Key>{}</Key>", escape(key));
    if let Some(version) = version {
        let _infallible = write!(body, "<VersionId>{}</VersionId>", escape(version));
    }
    body.push_str("</Object>");
}

fn delete_failure(key: &str, version: Option<&str>, error: Error) -> Result<DeleteFailure> {
    match error {
        Error::Service(answer) => Ok(DeleteFailure {
            key: key.to_owned(),
            version_id: version.map(str::to_owned),
            code: answer.code,
            message: answer.message,
        }),
        // What is wrong with the connection or the settings is wrong for every key.
        other => Err(other),
    }
}

/// `Content-MD5`, which DeleteObjects demands.
fn md5_header(body: &[u8]) -> String {
    use md5::{Digest, Md5};
    base64::engine::general_purpose::STANDARD.encode(Md5::digest(body))
}

fn version_of(headers: &HeaderMap) -> Option<String> {
    header_text(headers, "x-amz-version-id").map(str::to_owned)
}

pub(crate) fn put_result(operation: &'static str, headers: &HeaderMap) -> Result<PutResult> {
    let etag = Some(etag_of(headers)).filter(|etag| !etag.is_empty());
    let etag = etag.ok_or_else(|| Error::Protocol {
        operation,
        detail: "it lacks an ETag: is that an S3 endpoint, or a proxy or a portal?".to_owned(),
    })?;
    Ok(PutResult { etag, version_id: version_of(headers), verified: false, etag_is_md5: false })
}

/// The ETag of an answer; empty where there is none, as of files that an endpoint did not put there itself, or a weak one.
fn etag_of(headers: &HeaderMap) -> String {
    header_text(headers, "etag").map(unquote).unwrap_or_default()
}

impl PutResult {
    /// Compares what an answer says of what was stored with what was sent, whose CRC64NVME may be known. A checksum that
    /// differs is an error; where there is none, an ETag that is their MD5 proves it, and another says nothing: endpoints have such of
    /// their own.
    pub(crate) async fn proven_by(
        mut self,
        headers: &HeaderMap,
        body: &Bytes,
        crc64: Option<Crc64>,
        what: String,
    ) -> Result<Self> {
        let mut said = ObjectHead { etag: self.etag.clone(), ..ObjectHead::default() };
        said.take_headers(headers);
        if let Some((crc64, text)) = crc64.zip(said.checksums.get("crc64nvme"))
            && !said.composite
            && crc64.to_header() == *text
        {
            // Known, so that it need not be computed once more.
            said.checksums.remove("crc64nvme");
            self.verified = true;
        }
        let mut expected = said.expected();
        if !expected.is_empty() {
            expected.update(body);
            if let Err(detail) = expected.finish() {
                return Err(Error::Integrity { what, detail });
            }
            self.verified = true;
        }
        if !self.verified && said.etag_may_be_md5 && is_md5_etag(&said.etag) {
            let hashed = body.clone();
            // Bytes by the dozen of megabytes would hold up whoever waits for this thread.
            let md5 = tokio::task::spawn_blocking(move || md5_etag(&hashed)).await;
            let md5 = md5.unwrap_or_else(|_| md5_etag(body));
            self.etag_is_md5 = md5.eq_ignore_ascii_case(&said.etag);
            self.verified = self.etag_is_md5;
        }
        Ok(self)
    }
}

/// Reads an object's head from the headers of an answer; `size` is that of the whole object.
pub(crate) fn object_head(
    operation: &'static str,
    headers: &HeaderMap,
    size: Option<u64>,
) -> Result<ObjectHead> {
    let text = |name| header_text(headers, name).map(str::to_owned);
    let size = size.ok_or_else(|| Error::Protocol { operation, detail: "it lacks a length".to_owned() })?;
    let mut head = ObjectHead {
        size,
        etag: etag_of(headers),
        last_modified: header_text(headers, "last-modified").and_then(from_http),
        version_id: version_of(headers),
        content_type: text("content-type"),
        storage_class: text("x-amz-storage-class").unwrap_or_else(|| "STANDARD".to_owned()),
        restore: text("x-amz-restore"),
        lock: ObjectLock::of(headers),
        tag_count: header_text(headers, "x-amz-tagging-count")
            .and_then(|count| count.parse().ok())
            .unwrap_or_default(),
        ..ObjectHead::default()
    };
    head.take_headers(headers);
    let crc64 = head.checksums.get("crc64nvme").filter(|_| !head.composite);
    head.crc64 = crc64.and_then(|text| Crc64::from_header(text, size));
    Ok(head)
}

impl ObjectHead {
    /// Checksums, metadata and what else goes by its name.
    fn take_headers(&mut self, headers: &HeaderMap) {
        for (name, value) in headers {
            let Ok(value) = value.to_str() else { continue };
            if let Some(name) = name.as_str().strip_prefix("x-amz-meta-") {
                self.metadata.insert(name.to_owned(), value.to_owned());
            } else if let Some(name) = name.as_str().strip_prefix("x-amz-checksum-")
                && name != "type"
            {
                self.checksums.insert(name.to_owned(), value.to_owned());
            } else if KEPT_HEADERS.contains(&name.as_str()) {
                self.kept.insert(name.as_str().to_owned(), value.to_owned());
            }
        }
        self.composite = header_text(headers, "x-amz-checksum-type") == Some("COMPOSITE");
        self.etag_may_be_md5 = etag_may_be_md5(headers);
    }
}

/// Whether an ETag may be the MD5 of its bytes: not where the endpoint encrypts with KMS or a customer's key.
pub(crate) fn etag_may_be_md5(headers: &HeaderMap) -> bool {
    header_text(headers, "x-amz-server-side-encryption").is_none_or(|how| how == "AES256")
        && !headers.contains_key("x-amz-server-side-encryption-customer-algorithm")
}

#[cfg(test)]
mod tests {
    use super::{CopyProof, Crc64, md5_header, object_head, push_delete, put_result};
    use http::{HeaderMap, HeaderName, HeaderValue};

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn heads_tell_metadata_checksums_and_composites_apart() {
        let crc = "rosUhgp5mIg=";
        let head = object_head(
            "HeadObject",
            &headers(&[("etag", "\"e\""), ("x-amz-meta-a", "b"), ("x-amz-checksum-crc64nvme", crc)]),
            Some(9),
        )
        .unwrap();
        assert_eq!(head.crc64, Some(Crc64::of(b"123456789")));
        assert_eq!(head.metadata["a"], "b");
        assert_eq!((head.etag.as_str(), head.storage_class.as_str()), ("e", "STANDARD"));
        assert!(head.etag_may_be_md5);
        let composite = object_head(
            "HeadObject",
            &headers(&[
                ("etag", "\"e\""),
                ("x-amz-checksum-type", "COMPOSITE"),
                ("x-amz-checksum-crc64nvme", crc),
                ("x-amz-server-side-encryption", "aws:kms"),
            ]),
            Some(9),
        )
        .unwrap();
        assert_eq!(composite.crc64, None);
        assert!(!composite.etag_may_be_md5);
        object_head("HeadObject", &headers(&[("etag", "\"e\"")]), None).unwrap_err();
        for none in [HeaderMap::new(), headers(&[("etag", "W/\"65a1b2c3-21\"")])] {
            assert_eq!(object_head("HeadObject", &none, Some(9)).unwrap().etag, "");
            put_result("PutObject", &none).unwrap_err();
        }
    }

    #[test]
    fn a_copy_is_proven_by_what_both_have_and_never_by_what_differs() {
        let (a, b) = ("a".repeat(32), "b".repeat(32));
        let head = |size, etag: &str, more: &[(&'static str, &'static str)]| {
            let mut all = headers(more);
            all.insert("etag", etag.parse().unwrap());
            object_head("HeadObject", &all, Some(size)).unwrap()
        };
        let (one, two) = (("x-amz-checksum-crc32", "AAAAAA=="), ("x-amz-checksum-crc32", "AAAAAQ=="));
        let kms = ("x-amz-server-side-encryption", "aws:kms");
        let parts = format!("{a}-2");
        for (source, copy, proven) in [
            (head(1, &a, &[]), head(1, &a, &[]), Some(CopyProof::Proven)),
            (head(1, "", &[]), head(1, "", &[]), Some(CopyProof::Unproven)),
            (head(1, &a, &[]), head(2, &a, &[]), None),
            (head(1, &a, &[]), head(1, &b, &[]), Some(CopyProof::OtherEtag)),
            (head(1, &a, &[kms]), head(1, &b, &[]), Some(CopyProof::Unproven)),
            (head(1, &a, &[kms, one]), head(1, &b, &[one]), Some(CopyProof::Proven)),
            (head(1, &a, &[one]), head(1, &a, &[two]), None),
            (head(1, &parts, &[]), head(1, &b, &[]), Some(CopyProof::Unproven)),
            (head(1, &parts, &[one]), head(1, &b, &[one]), Some(CopyProof::Proven)),
        ] {
            assert_eq!(source.prove_copy(&copy, &"it").ok(), proven, "{source:?} {copy:?}");
        }
    }

    #[test]
    fn deletes_are_escaped() {
        let mut body = String::new();
        push_delete(&mut body, "a<&>", Some("v"));
        assert_eq!(body, "<Object><Key>a&lt;&amp;&gt;</Key><VersionId>v</VersionId></Object>");
        assert_eq!(md5_header(b""), "1B2M2Y8AsgTpgAmY7PhCfg==");
    }
}
