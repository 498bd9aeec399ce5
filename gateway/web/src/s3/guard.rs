//! What is refused by its head alone: sizes, framing, and headers whose function is not there.
//!
//! A header that changes what a write means is never ignored: on writes, an `x-amz-*` header that is not on the list of
//! known ones is refused by name, so that an SDK newer than this code is told the truth.

use super::code::Code;
use super::customer;
use super::error::S3Error;
use super::headers::text;
use crate::config::Limits;
use engine::unit::ByteCount;
use http::header::{CONTENT_LENGTH, HOST, HeaderName, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, Method, Version, request};
use security::AccountId;

/// Bytes of a request's path and query.
const URI_MAX: usize = 16 << 10;
/// Header fields of a request. hyper itself bounds them on HTTP/1.1.
const HEADER_FIELDS_MAX: usize = 128;

/// Size and framing.
pub(crate) fn check_head(head: &request::Parts, limits: &Limits) -> Result<(), S3Error> {
    let uri = head.uri.path_and_query().map_or(0, |text| text.as_str().len());
    if uri > URI_MAX {
        return Err(S3Error::new(Code::RequestURITooLong).field("MaxURILengthBytes", URI_MAX.to_string()));
    }
    let size = head.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum::<usize>();
    if ByteCount::from(size) > limits.header_section_max || head.headers.len() > HEADER_FIELDS_MAX {
        return Err(S3Error::new(Code::RequestHeaderSectionTooLarge)
            .field("MaxSizeAllowed", limits.header_section_max.get().to_string()));
    }
    check_framing(&head.headers)
}

/// One way to say where the body ends. hyper has already refused the worst; here goes what would still be ambiguous.
fn check_framing(headers: &HeaderMap) -> Result<(), S3Error> {
    let encodings: Vec<_> = headers.get_all(TRANSFER_ENCODING).iter().collect();
    let lengths = headers.get_all(CONTENT_LENGTH).iter().count();
    let chunked_only = |value: &http::HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"chunked");
    match encodings.as_slice() {
        [] if lengths <= 1 => Ok(()),
        [only] if chunked_only(only) && lengths == 0 => Ok(()),
        [_, ..] if lengths == 0 => Err(S3Error::unsupported_header("Transfer-Encoding")),
        _ => Err(S3Error::with(Code::InvalidRequest, "The request's framing is ambiguous.")),
    }
}

/// HTTP/2 names the host in `:authority`; signatures sign it as `host`, and from here on it is that.
///
/// A request that has a `host` of its own keeps it beside `:authority`, and [`host`] refuses it where the two differ: a proxy
/// may have looked at one, and we at the other.
pub(crate) fn name_host(head: &mut request::Parts) {
    if head.version != Version::HTTP_2 {
        return;
    }
    let Some(authority) = head.uri.authority() else { return };
    let same = |host: &HeaderValue| host.as_bytes().eq_ignore_ascii_case(authority.as_str().as_bytes());
    let mut hosts = head.headers.get_all(HOST).iter();
    if let (Some(host), None) = (hosts.next(), hosts.next())
        && same(host)
    {
        return;
    }
    // An authority is made of what a header may hold.
    if let Ok(host) = HeaderValue::from_str(authority.as_str()) {
        head.headers.append(HOST, host);
    }
}

/// The host that was asked for: exactly one, as HTTP/1.1 demands. It is the one that was signed; what an absolute request target names
/// beside it, as a proxy is sent it, is not looked at.
pub(crate) fn host(head: &request::Parts) -> Result<&str, S3Error> {
    let mut hosts = head.headers.get_all(HOST).iter();
    let refused = |text| Err(S3Error::with(Code::InvalidRequest, text));
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => match host.to_str() {
            Ok(host) => Ok(host),
            Err(_) => refused("The Host header is not readable."),
        },
        (None, None) if head.version == Version::HTTP_10 => Ok(""),
        (None, None) => refused("Missing required header for this request: Host"),
        _ => refused("The Host header was given more than once."),
    }
}

/// Headers that writes may carry. What of them is not honoured is checked by value below.
const KNOWN: &[&str] = &[
    "x-amz-abort-date",
    "x-amz-acl",
    // The C++ SDK, and pyarrow with it, names the API's only version.
    "x-amz-api-version",
    "x-amz-bucket-object-lock-enabled",
    "x-amz-bypass-governance-retention",
    "x-amz-checksum-algorithm",
    "x-amz-checksum-type",
    "x-amz-confirm-remove-self-bucket-access",
    "x-amz-content-sha256",
    "x-amz-copy-source",
    "x-amz-copy-source-if-match",
    "x-amz-copy-source-if-modified-since",
    "x-amz-copy-source-if-none-match",
    "x-amz-copy-source-if-unmodified-since",
    "x-amz-copy-source-range",
    "x-amz-date",
    "x-amz-decoded-content-length",
    "x-amz-expected-bucket-owner",
    "x-amz-grant-full-control",
    "x-amz-grant-read",
    "x-amz-grant-read-acp",
    "x-amz-grant-write",
    "x-amz-grant-write-acp",
    "x-amz-metadata-directive",
    "x-amz-mp-object-size",
    // aws-cli 2 sends it with each copy; there are no annotations that would be copied.
    "x-amz-object-annotation-directive",
    "x-amz-object-lock-legal-hold",
    "x-amz-object-lock-mode",
    "x-amz-object-lock-retain-until-date",
    "x-amz-object-ownership",
    "x-amz-request-payer",
    "x-amz-sdk-checksum-algorithm",
    "x-amz-security-token",
    "x-amz-server-side-encryption",
    "x-amz-server-side-encryption-bucket-key-enabled",
    "x-amz-skip-destination-validation",
    "x-amz-source-expected-bucket-owner",
    "x-amz-storage-class",
    "x-amz-tagging",
    "x-amz-tagging-directive",
    "x-amz-trailer",
    "x-amz-transition-default-minimum-object-size",
    "x-amz-user-agent",
    "x-amz-website-redirect-location",
];

/// Headers that a DELETE may carry besides.
const KNOWN_OF_DELETE: &[&str] = &["x-amz-if-match-last-modified-time", "x-amz-if-match-size"];

/// Headers of every signed request; they change nothing else.
const OF_SIGNATURES: &[&str] = &["x-amz-content-sha256", "x-amz-date"];

/// How an object is encrypted: said when it is written, and refused on reads, as S3 does.
const SSE: &str = "x-amz-server-side-encryption";

/// Refuses headers that would change what the request means.
pub(crate) fn check_headers(head: &request::Parts, owner: AccountId) -> Result<(), S3Error> {
    let reads = matches!(head.method, Method::GET | Method::HEAD);
    let mut plain = true;
    for name in head.headers.keys().map(HeaderName::as_str).filter(|name| name.starts_with("x-amz-")) {
        if customer::is_header(name) {
            // Read by the operations that take a key.
            continue;
        }
        if customer::is_like_one(name) {
            return Err(S3Error::unsupported_header(name));
        }
        if reads && name == SSE {
            let message = "x-amz-server-side-encryption header is not supported for this operation.";
            return Err(S3Error::argument(SSE, "", message));
        }
        let free = name.starts_with("x-amz-meta-") || name.starts_with("x-amz-checksum-");
        let known =
            KNOWN.contains(&name) || (head.method == Method::DELETE && KNOWN_OF_DELETE.contains(&name));
        if !reads && !free && !known {
            return Err(S3Error::unsupported_header(name));
        }
        plain &= OF_SIGNATURES.contains(&name);
    }
    if plain {
        return Ok(());
    }
    check_values(&head.headers)?;
    check_owner(&head.headers, "x-amz-expected-bucket-owner", owner)
}

/// Refuses a request whose client expects the bucket to be somebody else's.
pub(crate) fn check_owner(headers: &HeaderMap, name: &str, owner: AccountId) -> Result<(), S3Error> {
    match text(headers, name)? {
        Some(expected) if expected != owner.to_string() => Err(S3Error::new(Code::AccessDenied)),
        _ => Ok(()),
    }
}

fn check_values(headers: &HeaderMap) -> Result<(), S3Error> {
    const BUCKET_KEY: &str = "x-amz-server-side-encryption-bucket-key-enabled";
    match text(headers, SSE)? {
        None | Some("AES256") => {}
        Some("aws:kms" | "aws:kms:dsse") => return Err(S3Error::unsupported_header(SSE)),
        Some(other) => {
            return Err(S3Error::argument(SSE, other, "The encryption method specified is not supported"));
        }
    }
    match text(headers, BUCKET_KEY)? {
        Some(value) if !value.eq_ignore_ascii_case("false") => Err(S3Error::unsupported_header(BUCKET_KEY)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::{check_framing, check_head, check_headers, host, name_host};
    use crate::config::Limits;
    use http::{Request, Version, request};

    fn head(method: &str, uri: &str, headers: &[(&str, &str)]) -> request::Parts {
        let builder = Request::builder().method(method).uri(uri);
        let builder = headers.iter().fold(builder, |builder, (name, value)| builder.header(*name, *value));
        builder.body(()).unwrap().into_parts().0
    }

    fn refused(method: &str, headers: &[(&str, &str)]) -> &'static str {
        let account = "111122223333".parse().unwrap();
        check_headers(&head(method, "/b/k", headers), account).map_or_else(|error| error.code(), |()| "")
    }

    #[test]
    fn headers_that_change_the_meaning_are_refused_by_name() {
        for (headers, code) in [
            (("x-amz-server-side-encryption", "AES256"), ""),
            (("x-amz-acl", "private"), ""),
            (("x-amz-api-version", "2006-03-01"), ""),
            (("x-amz-meta-a", "b"), ""),
            (("x-amz-expected-bucket-owner", "111122223333"), ""),
            (("x-amz-server-side-encryption", "aws:kms"), "NotImplemented"),
            (("x-amz-server-side-encryption", "ROT13"), "InvalidArgument"),
            (("x-amz-server-side-encryption-customer-key", "k"), ""),
            (("x-amz-server-side-encryption-customer-hint", "k"), "NotImplemented"),
            (("x-amz-server-side-encryption-aws-kms-key-id", "k"), "NotImplemented"),
            (("x-amz-object-lock-mode", "COMPLIANCE"), ""),
            (("x-amz-object-lock-legal-hold", "ON"), ""),
            (("x-amz-bucket-object-lock-enabled", "true"), ""),
            (("x-amz-tagging", "a=b"), ""),
            (("x-amz-object-annotation-directive", "EXCLUDE"), ""),
            (("x-amz-write-offset-bytes", "5"), "NotImplemented"),
            (("x-amz-invented-tomorrow", "1"), "NotImplemented"),
            (("x-amz-acl", "public-read"), ""),
            (("x-amz-grant-read", "id=1"), ""),
            (("x-amz-grant-all", "id=1"), "NotImplemented"),
            (("x-amz-expected-bucket-owner", "444455556666"), "AccessDenied"),
        ] {
            assert_eq!(refused("PUT", &[headers]), code, "{headers:?}");
        }
        assert_eq!(refused("DELETE", &[("x-amz-if-match-size", "1")]), "");
        assert_eq!(refused("PUT", &[("x-amz-if-match-size", "1")]), "NotImplemented");
        assert_eq!(refused("GET", &[("x-amz-invented-tomorrow", "1")]), "");
        assert_eq!(refused("HEAD", &[("x-amz-server-side-encryption", "AES256")]), "InvalidArgument");
        assert_eq!(refused("GET", &[("x-amz-server-side-encryption-customer-hint", "1")]), "NotImplemented");
    }

    #[test]
    fn framing_is_said_once() {
        let code = |headers: &[(&str, &str)]| {
            check_framing(&head("PUT", "/", headers).headers).map_or_else(|error| error.code(), |()| "")
        };
        assert_eq!(code(&[("content-length", "3")]), "");
        assert_eq!(code(&[("transfer-encoding", "chunked")]), "");
        assert_eq!(code(&[("transfer-encoding", "gzip, chunked")]), "NotImplemented");
        assert_eq!(code(&[("transfer-encoding", "chunked"), ("content-length", "3")]), "InvalidRequest");
        assert_eq!(code(&[("content-length", "3"), ("content-length", "4")]), "InvalidRequest");
    }

    #[test]
    fn sizes_and_hosts_are_bounded() {
        let limits = Limits::default();
        let code =
            |head: &request::Parts| check_head(head, &limits).map_or_else(|error| error.code(), |()| "");
        assert_eq!(code(&head("GET", "/b", &[("a", "b")])), "");
        assert_eq!(code(&head("GET", "/b", &[("a", &"b".repeat(8 << 10))])), "RequestHeaderSectionTooLarge");
        assert_eq!(code(&head("GET", &format!("/{}", "b".repeat(16 << 10)), &[])), "RequestURITooLong");
        assert!(host(&head("GET", "/", &[])).is_err());
        assert!(host(&head("GET", "/", &[("host", "a"), ("host", "b")])).is_err());
        assert_eq!(host(&head("GET", "/", &[("host", "a:1")])).unwrap(), "a:1");
    }

    #[test]
    fn the_authority_of_http_2_is_the_host_and_no_other_is_believed_beside_it() {
        let named = |uri: &str, version: Version, hosts: &[(&str, &str)]| {
            let mut head = head("GET", uri, hosts);
            head.version = version;
            name_host(&mut head);
            host(&head).map(str::to_owned).map_err(|error| error.code())
        };
        let (two, uri) = (Version::HTTP_2, "https://a:1/b");
        assert_eq!(named(uri, two, &[]), Ok("a:1".to_owned()));
        assert_eq!(named(uri, two, &[("host", "A:1")]), Ok("A:1".to_owned()), "as it was signed");
        assert_eq!(named(uri, two, &[("host", "other")]), Err("InvalidRequest"));
        assert_eq!(named("/b", two, &[("host", "a")]), Ok("a".to_owned()), "from a proxy of HTTP/1.1");
        assert_eq!(named("/b", two, &[]), Err("InvalidRequest"));
        assert_eq!(named(uri, Version::HTTP_11, &[("host", "other")]), Ok("other".to_owned()));
    }
}
