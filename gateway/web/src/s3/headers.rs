//! Request headers as the store's types. Every reader refuses what it does not understand.

use super::code::Code;
use super::date;
use super::error::S3Error;
use super::mime_word;
pub(crate) use crate::http::digits;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use engine::unit::ByteCount;
use http::HeaderMap;
use http::header::{
    AsHeaderName, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_TYPE,
    EXPIRES, HeaderName, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE,
};
use objectstore::{
    ChecksumAlgorithm, ChecksumType, ChecksumValue, DeleteConditions, ETagMatch, Expect, IfRange, Metadata,
    RangeSpec, ReadConditions, StorageClass, SystemMetadata, UserMetadata, WriteConditions,
};
use std::borrow::Cow;

const USER_PREFIX: &str = "x-amz-meta-";
const CHECKSUM_PREFIX: &str = "x-amz-checksum-";
/// Bytes of a website's redirect, as S3 bounds it.
const REDIRECT_BYTES_MAX: usize = 2048;

/// What may stand around a header's value and is no part of it (RFC 9110, 5.6.3); other blanks are.
const BLANKS: [char; 2] = [' ', '\t'];

/// A header's text; one that is not text is refused, and one that stands twice, for then nobody knows which is meant.
#[expect(
    clippy::needless_pass_by_value,
    reason = "names are constants and literals: callers need not borrow them"
)]
pub(crate) fn text<N>(headers: &HeaderMap, name: N) -> Result<Option<&str>, S3Error>
where
    N: AsHeaderName + AsRef<str> + Clone,
{
    let mut values = headers.get_all(name.clone()).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(S3Error::argument(name.as_ref(), "", "The header was given more than once"));
    }
    std::str::from_utf8(value.as_bytes())
        .map(|text| Some(text.trim_matches(BLANKS)))
        .map_err(|_| S3Error::argument(name.as_ref(), "", "The header is not UTF-8 text"))
}

/// The text of a header that is a list: its lines are one list (RFC 9110, 5.3).
pub(crate) fn list<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<Cow<'h, str>>, S3Error> {
    let mut whole: Option<Cow<'h, str>> = None;
    for value in headers.get_all(name) {
        let line = std::str::from_utf8(value.as_bytes())
            .map_err(|_| S3Error::argument(name.as_str(), "", "The header is not UTF-8 text"))?
            .trim_matches(BLANKS);
        whole = Some(match whole {
            None => Cow::Borrowed(line),
            Some(before) => Cow::Owned(format!("{before}, {line}")),
        });
    }
    Ok(whole)
}

/// Content headers and user metadata.
pub(crate) fn metadata(headers: &HeaderMap) -> Result<Metadata, S3Error> {
    let stored = |name: HeaderName| text(headers, name).map(|value| value.map(str::to_owned));
    let listed = |name: HeaderName| list(headers, &name).map(|value| value.map(Cow::into_owned));
    let system = SystemMetadata {
        content_type: stored(CONTENT_TYPE)?.filter(|value| !value.is_empty()),
        content_encoding: list(headers, &CONTENT_ENCODING)?.and_then(|value| without_aws_chunked(&value)),
        content_language: listed(CONTENT_LANGUAGE)?,
        content_disposition: stored(CONTENT_DISPOSITION)?,
        cache_control: listed(CACHE_CONTROL)?,
        expires: stored(EXPIRES)?,
        website_redirect: website_redirect(headers)?,
    };
    let mut user = UserMetadata::new();
    for name in headers.keys() {
        if let Some(short) = name.as_str().strip_prefix(USER_PREFIX).filter(|short| !short.is_empty()) {
            user.insert(short.to_owned(), mime_word::decode(text(headers, name)?.unwrap_or_default()));
        }
    }
    Ok(Metadata { system, user })
}

/// Where a website sends who asks for the object: nothing but a place that a browser can go to.
pub(crate) fn website_redirect(headers: &HeaderMap) -> Result<Option<String>, S3Error> {
    let Some(location) = text(headers, "x-amz-website-redirect-location")? else { return Ok(None) };
    if location.len() > REDIRECT_BYTES_MAX {
        let message = "The length of website redirect location cannot exceed 2,048 characters.";
        return Err(S3Error::with(Code::InvalidRedirectLocation, message));
    }
    if !["http://", "https://", "/"].iter().any(|prefix| location.starts_with(prefix)) {
        return Err(S3Error::new(Code::InvalidRedirectLocation));
    }
    Ok(Some(location.to_owned()))
}

/// The transfer's own encoding is not the object's.
fn without_aws_chunked(value: &str) -> Option<String> {
    let own = |coding: &str| coding.eq_ignore_ascii_case("aws-chunked");
    let codings = || value.split(',').map(str::trim);
    if !codings().any(own) {
        return Some(value.to_owned()).filter(|value| !value.is_empty());
    }
    let kept: Vec<&str> = codings().filter(|coding| !own(coding)).collect();
    Some(kept.join(", ")).filter(|kept| !kept.is_empty())
}

/// The class asked for.
pub(crate) fn storage_class(headers: &HeaderMap) -> Result<Option<StorageClass>, S3Error> {
    let Some(name) = text(headers, "x-amz-storage-class")? else { return Ok(None) };
    let class: Result<StorageClass, _> = name.parse();
    class.map(Some).map_err(|_| S3Error::new(Code::InvalidStorageClass).field("StorageClassRequested", name))
}

/// The same of what is taken out of an archive (tar): those are not archived as they come.
pub(crate) fn class_of_entry(headers: &HeaderMap) -> Result<Option<StorageClass>, S3Error> {
    match storage_class(headers)? {
        Some(class) if class.is_archived() => {
            let name = class.as_str();
            Err(S3Error::unsupported_header("x-amz-storage-class").field("StorageClassRequested", name))
        }
        class => Ok(class),
    }
}

/// Conditions of a GET or HEAD.
pub(crate) fn read_conditions(headers: &HeaderMap) -> Result<ReadConditions, S3Error> {
    conditions(headers, [IF_MATCH, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE])
}

/// Conditions on a copy's source.
pub(crate) fn copy_source_conditions(headers: &HeaderMap) -> Result<ReadConditions, S3Error> {
    conditions(
        headers,
        [
            HeaderName::from_static("x-amz-copy-source-if-match"),
            HeaderName::from_static("x-amz-copy-source-if-none-match"),
            HeaderName::from_static("x-amz-copy-source-if-modified-since"),
            HeaderName::from_static("x-amz-copy-source-if-unmodified-since"),
        ],
    )
}

fn conditions(headers: &HeaderMap, names: [HeaderName; 4]) -> Result<ReadConditions, S3Error> {
    let [matches, none_match, modified, unmodified] = names;
    Ok(ReadConditions {
        if_match: list(headers, &matches)?.as_deref().map(ETagMatch::parse),
        if_none_match: list(headers, &none_match)?.as_deref().map(ETagMatch::parse_weak),
        if_modified_since: text(headers, modified)?.and_then(date::parse_http),
        if_unmodified_since: text(headers, unmodified)?.and_then(date::parse_http),
    })
}

/// Conditions of a write.
pub(crate) fn write_conditions(headers: &HeaderMap) -> Result<WriteConditions, S3Error> {
    let if_none_match = list(headers, &IF_NONE_MATCH)?;
    let if_match = list(headers, &IF_MATCH)?;
    if if_match.is_some() && if_none_match.is_some() {
        return Err(S3Error::unsupported_header("If-Match").field("AdditionalMessage", "with If-None-Match"));
    }
    Ok(WriteConditions {
        if_match: if_match.as_deref().map(ETagMatch::parse),
        if_none_match: if_none_match.as_deref().map(ETagMatch::parse_weak),
    })
}

/// Conditions of a DELETE. One that can't be read is refused, not left out: it guards what would be gone.
pub(crate) fn delete_conditions(headers: &HeaderMap) -> Result<DeleteConditions, S3Error> {
    const TIME: &str = "x-amz-if-match-last-modified-time";
    const SIZE: &str = "x-amz-if-match-size";
    if headers.contains_key(IF_NONE_MATCH) {
        return Err(S3Error::unsupported_header("If-None-Match"));
    }
    let refused = |name, value| S3Error::argument(name, value, "The condition's value can not be read");
    let time = text(headers, TIME)?.map(|value| date::parse(value).ok_or_else(|| refused(TIME, value)));
    let size = text(headers, SIZE)?.map(|value| size(value).ok_or_else(|| refused(SIZE, value)));
    Ok(DeleteConditions {
        if_match: list(headers, &IF_MATCH)?.as_deref().map(ETagMatch::parse),
        if_modified_at: time.transpose()?,
        if_size: size.transpose()?,
    })
}

/// A size in bytes.
pub(crate) fn size(text: &str) -> Option<ByteCount> {
    digits(text).map(ByteCount::new)
}

/// The Range header. One that is not of the form `bytes=…` with one range, or that stands twice, is as good as none (RFC 9110, and S3).
pub(crate) fn range(headers: &HeaderMap) -> Option<RangeSpec> {
    let mut values = headers.get_all(RANGE).iter();
    let value = values.next().filter(|_| values.next().is_none())?.to_str().ok()?.trim();
    let (unit, spec) = value.split_once('=')?;
    if unit.trim().eq_ignore_ascii_case("bytes") { range_spec(spec.trim()) } else { None }
}

/// If-Range: a date, or a tag; one that can't be read names no object, so that the range falls away.
pub(crate) fn if_range(headers: &HeaderMap) -> Result<Option<IfRange>, S3Error> {
    let Some(value) = text(headers, IF_RANGE)? else { return Ok(None) };
    Ok(Some(date::parse_http(value).map_or_else(|| IfRange::Tag(ETagMatch::parse(value)), IfRange::Time)))
}

/// `first-last`, `first-` or `-suffix`.
fn range_spec(spec: &str) -> Option<RangeSpec> {
    let digits = |text: &str| -> Option<u64> {
        // Beyond the largest number is beyond any object.
        let all = !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit());
        all.then(|| text.parse().unwrap_or(u64::MAX))
    };
    match spec.split_once('-')? {
        ("", suffix) => digits(suffix).map(RangeSpec::Suffix),
        (first, "") => digits(first).map(|first| RangeSpec::From { first, last: None }),
        (first, last) => {
            let (first, last) = (digits(first)?, digits(last)?);
            (first <= last).then_some(RangeSpec::From { first, last: Some(last) })
        }
    }
}

/// `x-amz-copy-source-range`: exactly `bytes=first-last`.
pub(crate) fn copy_source_range(headers: &HeaderMap) -> Result<Option<RangeSpec>, S3Error> {
    const NAME: &str = "x-amz-copy-source-range";
    let Some(value) = text(headers, NAME)? else { return Ok(None) };
    match value.strip_prefix("bytes=").and_then(range_spec) {
        Some(range @ RangeSpec::From { last: Some(_), .. }) => Ok(Some(range)),
        _ => Err(S3Error::argument(
            NAME,
            value,
            "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the \
             zero-based offsets of the first and last bytes to copy",
        )),
    }
}

fn header_name(algorithm: ChecksumAlgorithm) -> &'static str {
    match algorithm {
        ChecksumAlgorithm::Crc32 => "x-amz-checksum-crc32",
        ChecksumAlgorithm::Crc32C => "x-amz-checksum-crc32c",
        ChecksumAlgorithm::Crc64Nvme => "x-amz-checksum-crc64nvme",
        ChecksumAlgorithm::Sha1 => "x-amz-checksum-sha1",
        ChecksumAlgorithm::Sha256 => "x-amz-checksum-sha256",
        ChecksumAlgorithm::Sha512 => "x-amz-checksum-sha512",
        ChecksumAlgorithm::Md5 => "x-amz-checksum-md5",
        ChecksumAlgorithm::XxHash64 => "x-amz-checksum-xxhash64",
        ChecksumAlgorithm::XxHash3 => "x-amz-checksum-xxhash3",
        ChecksumAlgorithm::XxHash128 => "x-amz-checksum-xxhash128",
    }
}

/// The header that carries a checksum of this algorithm.
pub(crate) fn checksum_header(algorithm: ChecksumAlgorithm) -> HeaderName {
    HeaderName::from_static(header_name(algorithm))
}

/// The algorithm whose checksum a header of this name carries.
pub(crate) fn checksum_of_header(name: &str) -> Option<ChecksumAlgorithm> {
    name.starts_with(CHECKSUM_PREFIX)
        .then(|| ChecksumAlgorithm::ALL.into_iter().find(|algorithm| header_name(*algorithm) == name))
        .flatten()
}

/// What a request says of its body's bytes: digests in headers, and which one comes behind the body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Digests {
    /// Content-MD5.
    pub(crate) content_md5: Option<[u8; 16]>,
    /// The additional checksum that is to be computed.
    pub(crate) algorithm: Option<ChecksumAlgorithm>,
    /// Its value, when it stands in a header; else it comes in a trailer.
    checksum: Option<ChecksumValue>,
}

impl Digests {
    /// Reads them: Content-MD5; one checksum in a header, or the name of one in `x-amz-trailer`; and an
    /// `x-amz-sdk-checksum-algorithm` that does not contradict it.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, S3Error> {
        let named = match text(headers, "x-amz-sdk-checksum-algorithm")? {
            Some(name) => Some(algorithm(name)?),
            None => None,
        };
        let checksum = checksum_value(headers)?;
        let trailing = text(headers, "x-amz-trailer")?.and_then(|name| checksum_of_header(name.trim()));
        if checksum.is_some() && trailing.is_some() {
            return Err(S3Error::with(Code::InvalidRequest, "Expecting a single x-amz-checksum- header"));
        }
        let given = checksum.map(|value| value.algorithm()).or(trailing);
        match (named, given) {
            (Some(named), Some(given)) if named != given => Err(S3Error::with(
                Code::InvalidRequest,
                "Value for x-amz-sdk-checksum-algorithm header is invalid.",
            )),
            (Some(_), None) => Err(S3Error::with(
                Code::InvalidRequest,
                "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers \
                 were found.",
            )),
            _ => Ok(Self { content_md5: content_md5(headers)?, algorithm: given, checksum }),
        }
    }

    /// Whether the body comes with a digest, in a header or behind it.
    pub(crate) const fn prove(&self) -> bool {
        self.content_md5.is_some() || self.algorithm.is_some()
    }

    /// What the bytes are compared with, once the body was read to the end. A checksum that was announced must have come: behind a
    /// plain body there is none.
    pub(crate) fn expect(&self, trailers: &HeaderMap) -> Result<Expect, S3Error> {
        let checksum = match self.checksum {
            Some(value) => Some(value),
            None => checksum_value(trailers)?,
        };
        if self.algorithm.is_some() && checksum.is_none() {
            return Err(S3Error::with(
                Code::InvalidRequest,
                "x-amz-trailer names a checksum, but none came behind the body.",
            ));
        }
        Ok(Expect { content_md5: self.content_md5, checksum })
    }
}

fn content_md5(headers: &HeaderMap) -> Result<Option<[u8; 16]>, S3Error> {
    let Some(value) = text(headers, "content-md5")? else { return Ok(None) };
    let digest = STANDARD.decode(value).ok().and_then(|raw| raw.try_into().ok());
    digest.map(Some).ok_or_else(|| S3Error::new(Code::InvalidDigest).field("Content-MD5", value))
}

/// A checksum as a header or trailer says it.
pub(crate) struct ChecksumSaid<'h> {
    algorithm: ChecksumAlgorithm,
    pub(crate) text: &'h str,
}

impl ChecksumSaid<'_> {
    /// Its text, or what of it is the value.
    pub(crate) fn value(&self, text: &str) -> Result<ChecksumValue, S3Error> {
        ChecksumValue::parse(self.algorithm, text).map_err(|_| self.refused())
    }

    /// The error of a text that can't be read: as of one that is another body's. AWS has `InvalidRequest` for it.
    pub(crate) fn refused(&self) -> S3Error {
        let name = header_name(self.algorithm);
        S3Error::with(Code::BadDigest, format!("Value for {name} header is invalid."))
    }
}

/// The one checksum value among these headers or trailers.
fn checksum_value(headers: &HeaderMap) -> Result<Option<ChecksumValue>, S3Error> {
    checksum_said(headers)?.map(|said| said.value(said.text)).transpose()
}

/// The one checksum among these headers or trailers, as it is said.
pub(crate) fn checksum_said(headers: &HeaderMap) -> Result<Option<ChecksumSaid<'_>>, S3Error> {
    let mut found = None;
    for name in headers.keys() {
        let Some(algorithm) = checksum_of_header(name.as_str()) else { continue };
        let text = text(headers, name)?.unwrap_or_default();
        if found.replace(ChecksumSaid { algorithm, text }).is_some() {
            return Err(S3Error::with(
                Code::InvalidRequest,
                "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.",
            ));
        }
    }
    Ok(found)
}

fn algorithm(name: &str) -> Result<ChecksumAlgorithm, S3Error> {
    name.parse().map_err(|_| {
        S3Error::with(
            Code::InvalidRequest,
            "Checksum algorithm provided is unsupported. Please try again with any of the valid types: [CRC32, CRC32C, \
             CRC64NVME, SHA1, SHA256, SHA512, MD5, XXHASH64, XXHASH3, XXHASH128]",
        )
    })
}

/// `x-amz-checksum-algorithm`, of `CreateMultipartUpload` and `CopyObject`.
pub(crate) fn checksum_algorithm(headers: &HeaderMap) -> Result<Option<ChecksumAlgorithm>, S3Error> {
    text(headers, "x-amz-checksum-algorithm")?.map(algorithm).transpose()
}

/// `x-amz-checksum-type`.
pub(crate) fn checksum_type(headers: &HeaderMap) -> Result<Option<ChecksumType>, S3Error> {
    let Some(name) = text(headers, "x-amz-checksum-type")? else { return Ok(None) };
    name.parse()
        .map(Some)
        .map_err(|_| S3Error::with(Code::InvalidRequest, "Value for x-amz-checksum-type header is invalid."))
}

#[cfg(test)]
#[path = "headers_tests.rs"]
mod tests;
