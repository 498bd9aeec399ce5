//! The claim in an `Authorization` header:
//! `AWS4-HMAC-SHA256 Credential=…/20130524/us-east-1/s3/aws4_request, SignedHeaders=host;x-amz-date, Signature=…`

use super::canonical::RequestHead;
use super::error::{AuthCode, AuthError};
use super::{ALGORITHM, CONTENT_SHA256, Claim, Expects, Via, header_text, malformed, parse_credential};
use crate::date::AmzDate;
use engine::clock::Timestamp;
use http::{HeaderMap, HeaderValue};
use std::borrow::Cow;

/// Reads the claim; verifies nothing.
pub(super) fn claim<'a>(
    head: &RequestHead<'a>,
    authorization: &'a HeaderValue,
    expects: Expects<'_>,
) -> Result<Claim<'a>, AuthError> {
    let text = authorization.to_str().unwrap_or_default().trim();
    let (scheme, rest) = text.split_once(' ').unwrap_or((text, ""));
    if scheme != ALGORITHM {
        return Err(unsupported(scheme, text));
    }
    let (credential, signed_headers, signature) = parameters(rest)?;
    let (access_key_id, scope) = parse_credential(Via::Header, credential)?;
    let date = request_date(head.headers)?;
    let payload = match (header_text(head.headers, CONTENT_SHA256), expects) {
        (Some(text), _) => text,
        (None, Expects::Whole { .. }) => "",
        (None, Expects::S3) => {
            return Err(AuthError::new(
                AuthCode::InvalidRequest,
                "Missing required header for this request: x-amz-content-sha256",
            ));
        }
    };
    Ok(Claim {
        via: Via::Header,
        access_key_id,
        scope,
        signed_headers: Cow::Borrowed(signed_headers),
        signature: signature.to_owned(),
        date,
        payload: Cow::Borrowed(payload),
        session_token: header_text(head.headers, "x-amz-security-token").map(Cow::Borrowed),
        expires: None,
    })
}

/// Version 2 and version 4A of the protocol, and what is none at all.
fn unsupported(scheme: &str, text: &str) -> AuthError {
    if scheme == "AWS" || scheme.starts_with("AWS4-") {
        return super::unsupported_mechanism();
    }
    AuthError::new(AuthCode::InvalidArgument, "Unsupported Authorization Type")
        .with("ArgumentName", "Authorization")
        .with("ArgumentValue", text)
}

/// `Credential`, `SignedHeaders` and `Signature`: each once, in any order, nothing else.
fn parameters(text: &str) -> Result<(&str, &str, &str), AuthError> {
    let (mut credential, mut signed_headers, mut signature) = (None, None, None);
    for part in text.split(',').map(str::trim) {
        let unreadable =
            || malformed(Via::Header, format!("the authorization component \"{part}\" is malformed."));
        let (name, value) = part.split_once('=').ok_or_else(unreadable)?;
        let slot = match name {
            "Credential" => &mut credential,
            "SignedHeaders" => &mut signed_headers,
            "Signature" => &mut signature,
            _ => return Err(unreadable()),
        };
        if value.is_empty() || slot.replace(value).is_some() {
            return Err(unreadable());
        }
    }
    let missing = |name| {
        malformed(
            Via::Header,
            format!("the authorization header requires three components; {name} is missing."),
        )
    };
    Ok((
        credential.ok_or_else(|| missing("Credential"))?,
        signed_headers.ok_or_else(|| missing("SignedHeaders"))?,
        signature.ok_or_else(|| missing("Signature"))?,
    ))
}

/// `x-amz-date`, or in its absence `Date`, in ISO 8601's basic form or as an HTTP date.
fn request_date(headers: &HeaderMap) -> Result<AmzDate, AuthError> {
    let invalid = || {
        AuthError::new(
            AuthCode::AccessDenied,
            "AWS authentication requires a valid Date or x-amz-date header",
        )
    };
    if let Some(text) = header_text(headers, "x-amz-date") {
        return AmzDate::parse(text).ok_or_else(invalid);
    }
    if headers.get_all(http::header::DATE).iter().count() > 1 {
        return Err(invalid());
    }
    let text = header_text(headers, "date").ok_or_else(invalid)?;
    if let Some(date) = AmzDate::parse(text) {
        return Ok(date);
    }
    let time = httpdate::parse_http_date(text).map_err(|_| invalid())?;
    let since = time.duration_since(std::time::UNIX_EPOCH).map_err(|_| invalid())?;
    let millis = i64::try_from(since.as_millis()).map_err(|_| invalid())?;
    Ok(AmzDate::from_timestamp(Timestamp::from_millis(millis)))
}
