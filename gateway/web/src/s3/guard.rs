//! What is refused by its head alone: headers whose function is not there.
//!
//! A header that changes what a write means is never ignored: on writes, an `x-amz-*` header that is not on the list of
//! known ones is refused by name, so that an SDK newer than this code is told the truth.

use super::code::Code;
use super::customer;
use super::error::S3Error;
use super::headers::text;
use super::managed;
use http::header::HeaderName;
use http::{HeaderMap, Method, request};
use security::AccountId;

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
    managed::SSE,
    managed::KEY_ID,
    managed::BUCKET_KEY,
    managed::CONTEXT,
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
const OF_WRITES: [&str; 4] = [managed::SSE, managed::KEY_ID, managed::CONTEXT, managed::BUCKET_KEY];

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
        if reads && OF_WRITES.contains(&name) {
            let message = format!("{name} header is not supported for this operation.");
            return Err(S3Error::argument(name, "", message));
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
    match text(headers, managed::SSE)? {
        None | Some("AES256" | managed::KMS) => Ok(()),
        Some(managed::DSSE) => {
            Err(S3Error::with(Code::NotImplemented, managed::NO_DSSE).field("Header", managed::SSE))
        }
        Some(other) => {
            let message = "The encryption method specified is not supported";
            Err(S3Error::argument(managed::SSE, other, message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::check_headers;
    use http::{Request, request};

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
            (("x-amz-server-side-encryption", "aws:kms"), ""),
            (("x-amz-server-side-encryption", "aws:kms:dsse"), "NotImplemented"),
            (("x-amz-server-side-encryption", "ROT13"), "InvalidArgument"),
            (("x-amz-server-side-encryption-customer-key", "k"), ""),
            (("x-amz-server-side-encryption-customer-hint", "k"), "NotImplemented"),
            (("x-amz-server-side-encryption-aws-kms-key-id", "k"), ""),
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
        assert_eq!(refused("GET", &[("x-amz-server-side-encryption-context", "e30=")]), "InvalidArgument");
        assert_eq!(refused("GET", &[("x-amz-server-side-encryption-customer-hint", "1")]), "NotImplemented");
    }
}
