//! The claim in a presigned URL's query: `X-Amz-Algorithm`, `-Credential`, `-Date`, `-Expires`, `-SignedHeaders`,
//! `-Signature`.

use super::canonical::{RequestHead, query_pairs, raw_pairs};
use super::error::{AuthCode, AuthError};
use super::{ALGORITHM, CONTENT_SHA256, Claim, UNSIGNED, Via, header_text, parse_credential};
use crate::date::AmzDate;
use std::borrow::Cow;

/// The one parameter that is not part of what it signs.
pub(crate) const SIGNATURE: &str = "X-Amz-Signature";

/// Which protocol's parameters a query holds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Mechanism {
    None,
    V4,
    V2,
}

/// Decides without decoding: a name that is written with percent signs makes no presigned URL.
pub(super) fn mechanism(query: &str) -> Mechanism {
    let mut found = Mechanism::None;
    for (name, _) in raw_pairs(query) {
        match name {
            "X-Amz-Algorithm" | "X-Amz-Credential" | SIGNATURE => return Mechanism::V4,
            "AWSAccessKeyId" | "Signature" => found = Mechanism::V2,
            _ => {}
        }
    }
    found
}

fn refused(message: impl Into<Cow<'static, str>>) -> AuthError {
    AuthError::new(AuthCode::AuthorizationQueryParametersError, message)
}

#[derive(Default)]
struct Parameters {
    algorithm: Option<String>,
    credential: Option<String>,
    date: Option<String>,
    expires: Option<String>,
    signed_headers: Option<String>,
    signature: Option<String>,
    content_sha256: Option<String>,
    token: Option<String>,
}

fn parameters(query: &str) -> Result<Parameters, AuthError> {
    let mut found = Parameters::default();
    for (name, value) in query_pairs(query)? {
        let slot = match name.as_str() {
            "X-Amz-Algorithm" => &mut found.algorithm,
            "X-Amz-Credential" => &mut found.credential,
            "X-Amz-Date" => &mut found.date,
            "X-Amz-Expires" => &mut found.expires,
            "X-Amz-SignedHeaders" => &mut found.signed_headers,
            SIGNATURE => &mut found.signature,
            "X-Amz-Content-Sha256" => &mut found.content_sha256,
            "X-Amz-Security-Token" => &mut found.token,
            _ => continue,
        };
        if slot.replace(value).is_some() {
            return Err(refused(format!("The query parameter {name} was given more than once.")));
        }
    }
    Ok(found)
}

/// Reads the claim; verifies nothing.
pub(super) fn claim<'a>(head: &RequestHead<'a>) -> Result<Claim<'a>, AuthError> {
    let found = parameters(head.query)?;
    let (Some(algorithm), Some(credential), Some(signature), Some(date), Some(signed_headers), Some(expires)) =
        (found.algorithm, found.credential, found.signature, found.date, found.signed_headers, found.expires)
    else {
        return Err(refused(
            "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, \
             X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters.",
        ));
    };
    if algorithm != ALGORITHM {
        return Err(refused("X-Amz-Algorithm only supports \"AWS4-HMAC-SHA256\""));
    }
    let (access_key_id, scope) = parse_credential(Via::Query, &credential)?;
    let date = AmzDate::parse(&date)
        .ok_or_else(|| refused("X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\""))?;
    Ok(Claim {
        via: Via::Query,
        access_key_id,
        scope,
        signed_headers: Cow::Owned(signed_headers),
        signature,
        date,
        payload: payload(head, found.content_sha256)?,
        session_token: token(head, found.token)?,
        expires: Some(parse_expires(&expires)?),
    })
}

/// Not negative; the policy's limit is checked with the time. A lifetime that no URL can have is answered with 403, as an expired
/// one is and as ceph/s3-tests has it; AWS answers 400 with the same code.
fn parse_expires(text: &str) -> Result<u64, AuthError> {
    let number = if text.starts_with('+') { None } else { text.parse::<i64>().ok() };
    let seconds = number.ok_or_else(|| refused("X-Amz-Expires should be a number"))?;
    u64::try_from(seconds).map_err(|_| refused("X-Amz-Expires must be non-negative").forbidden())
}

pub(super) fn lives_too_long(limit_secs: u64) -> AuthError {
    refused(format!(
        "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than \
         {limit_secs} seconds"
    ))
    .forbidden()
}

/// A session's token, in the query or in a signed header.
fn token<'a>(head: &RequestHead<'a>, parameter: Option<String>) -> Result<Option<Cow<'a, str>>, AuthError> {
    match (header_text(head.headers, "x-amz-security-token"), parameter) {
        (Some(header), Some(parameter)) if header != parameter => Err(AuthError::new(
            AuthCode::InvalidRequest,
            "The x-amz-security-token header and the X-Amz-Security-Token parameter differ.",
        )),
        (Some(header), _) => Ok(Some(Cow::Borrowed(header))),
        (None, parameter) => Ok(parameter.map(Cow::Owned)),
    }
}

/// A presigned URL covers the body only when it says so, in a signed header or a parameter of its own.
fn payload<'a>(head: &RequestHead<'a>, parameter: Option<String>) -> Result<Cow<'a, str>, AuthError> {
    match (header_text(head.headers, CONTENT_SHA256), parameter) {
        (Some(header), Some(parameter)) if header != parameter => Err(AuthError::new(
            AuthCode::InvalidRequest,
            "The x-amz-content-sha256 header and the X-Amz-Content-Sha256 parameter differ.",
        )),
        (Some(header), _) => Ok(Cow::Borrowed(header)),
        (None, Some(parameter)) => Ok(Cow::Owned(parameter)),
        (None, None) => Ok(Cow::Borrowed(UNSIGNED)),
    }
}
