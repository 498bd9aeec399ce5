//! AWS Signature Version 4, sans-IO: who sent a request, and did it arrive as it was sent?
//!
//! ```text
//!   RequestHead ─► claim (header.rs | query.rs) ─► scope, date, lookup ─► canonical request ─► HMAC ─► Authenticated
//!                  who it says it is                time, region          what was signed       equal?
//! ```
//!
//! # Invariants
//! - Nothing of a request is trusted before its signature matched; the comparison takes constant time.
//! - In a signed request every `x-amz-*` header and `host` is signed, and stands there once, but for those that are lists by
//!   definition (`LISTS`). What is not signed is never honoured.
//! - The service is the one of the verified scope.
//! - The canonical request is built by the code that the signing side uses ([`crate::sign`]).
//!
//! # Limits
//! 15 minutes of skew both ways, 7 days for a presigned URL ([`Policy`]). Work is linear in the size of the head (plus
//! sorting), which the web layer bounds. Signing keys of 4,096 access keys are remembered.
//!
//! # Never
//! Reads a body: the declared hash of it is in [`Signed::payload`], and whoever reads the body compares.

pub(crate) mod canonical;
mod error;
mod header;
mod key;
mod query;
#[cfg(test)]
pub(crate) mod tests;

pub use canonical::{RequestHead, decode_path, query_pairs};
pub use error::{AuthCode, AuthError};
pub use key::{Scope, Signature, SigningKey, SigningKeys};

pub(crate) use key::sha256_hex;

use crate::credentials::{AccessKeyId, Bearer, Credential, CredentialLookup, Holder, TokenError};
use crate::date::AmzDate;
use crate::{AccountId, Principal, Result};
use engine::clock::Timestamp;
use http::HeaderMap;
use std::time::Duration;

pub(crate) const ALGORITHM: &str = "AWS4-HMAC-SHA256";
pub(crate) const CONTENT_SHA256: &str = "x-amz-content-sha256";
pub(crate) const UNSIGNED: &str = "UNSIGNED-PAYLOAD";
pub(crate) const STREAMING: &str = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";
pub(crate) const STREAMING_TRAILER: &str = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER";
pub(crate) const STREAMING_UNSIGNED_TRAILER: &str = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";

/// What a verifier expects.
#[derive(Clone, Copy, Debug)]
pub struct Policy<'a> {
    /// The region that scopes must name.
    pub region: &'a str,
    /// The time at the server.
    pub now: Timestamp,
    /// How far the client's clock may be off, either way.
    pub max_skew: Duration,
    /// How long a presigned URL may live.
    pub max_presign: Duration,
    /// Signing keys derived lately; one per server.
    pub keys: &'a SigningKeys,
    /// Which service is asked, and what its signatures cover.
    pub expects: Expects<'a>,
}

/// Which service is asked, and what its signatures cover.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expects<'a> {
    /// S3: each request says itself what of its body is signed.
    S3,
    /// Another service: all of the body is signed, whatever the head says of it.
    Whole {
        /// As scopes name it: `iam`.
        service: &'a str,
        /// The body's SHA-256; of a body that is still to be read nothing can be verified ([`examine`]).
        body: Option<[u8; 32]>,
    },
}

/// Where AWS has the services that are in no region: SDKs sign requests to them so, whichever region they are told.
const GLOBAL_REGION: &str = "us-east-1";

impl<'a> Policy<'a> {
    /// AWS's own limits: 15 minutes of skew, 7 days of presigned life.
    pub const fn new(region: &'a str, now: Timestamp, keys: &'a SigningKeys) -> Self {
        Self {
            region,
            now,
            max_skew: Duration::from_mins(15),
            max_presign: Duration::from_hours(7 * 24),
            keys,
            expects: Expects::S3,
        }
    }

    /// The same for another service, whose request has a body of this SHA-256.
    #[must_use]
    pub const fn of_service(mut self, service: &'a str, body: Option<[u8; 32]>) -> Self {
        self.expects = Expects::Whole { service, body };
        self
    }

    const fn service(&self) -> &'a str {
        match self.expects {
            Expects::S3 => "s3",
            Expects::Whole { service, .. } => service,
        }
    }

    fn is_of_region(&self, region: &str) -> bool {
        region == self.region || (self.expects != Expects::S3 && region == GLOBAL_REGION)
    }
}

/// The outcome for a request that is not refused.
#[derive(Clone, Debug)]
pub enum Authenticated {
    /// Not signed at all.
    Anonymous,
    /// Signed, and verified.
    Signed(Box<Signed>),
}

impl Authenticated {
    /// Who to ask [`decide`](crate::decide::decide) about, from where their credential was found.
    pub async fn principal(&self, credentials: &dyn CredentialLookup) -> Result<Principal, AuthError> {
        match self {
            Self::Anonymous => Ok(Principal::Anonymous),
            Self::Signed(signed) => {
                let Signed { access_key_id, account, holder, scope, .. } = &**signed;
                let bearer = Bearer { account: *account, holder, access_key_id, service: &scope.service };
                bearer.principal(credentials).await
            }
        }
    }
}

/// A verified signature.
#[derive(Clone, Debug)]
pub struct Signed {
    /// Whose key signed.
    pub access_key_id: AccessKeyId,
    /// The account behind the key.
    pub account: AccountId,
    /// Who in that account.
    pub holder: Holder,
    /// What the signature is good for; its service decides who answers.
    pub scope: Scope,
    /// What is known of the body.
    pub payload: Payload,
    /// How the signature came.
    pub via: Via,
    /// Lower case, sorted.
    pub signed_headers: Vec<String>,
}

/// How a signature came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// In the `Authorization` header.
    Header,
    /// In the query: a presigned URL.
    Query,
}

/// What the signature says about the body.
#[derive(Clone, Debug)]
pub enum Payload {
    /// Nothing: the body is not covered.
    Unsigned,
    /// Its SHA-256. Whoever reads the body compares and answers
    /// [`AuthError::content_sha256_mismatch`].
    Sha256([u8; 32]),
    /// The body is aws-chunked and each chunk is signed.
    Streaming(ChunkSeed),
    /// The body is aws-chunked, its chunks are not signed, and a trailer with a checksum follows.
    StreamingUnsignedTrailer,
}

/// Where the chain of chunk signatures starts.
#[derive(Clone, Debug)]
pub struct ChunkSeed {
    pub(crate) key: SigningKey,
    pub(crate) date: AmzDate,
    pub(crate) scope: String,
    pub(crate) signature: Signature,
    /// A signed trailer follows the chunks.
    pub trailer: bool,
}

/// What a request claims before anything is verified. Borrows from the head.
pub(crate) struct Claim<'a> {
    via: Via,
    /// `AKID/20130524/us-east-1/s3/aws4_request`, taken apart.
    access_key_id: String,
    scope: Scope,
    signed_headers: std::borrow::Cow<'a, str>,
    signature: String,
    date: AmzDate,
    payload: std::borrow::Cow<'a, str>,
    session_token: Option<std::borrow::Cow<'a, str>>,
    /// Seconds that a presigned URL lives.
    expires: Option<u64>,
}

/// Verifies the signature of a request, or finds that it has none.
pub fn authenticate(
    head: &RequestHead<'_>,
    credentials: &dyn CredentialLookup,
    policy: &Policy<'_>,
) -> Result<Authenticated, AuthError> {
    let Some((claim, payload, credential)) = examined(head, credentials, policy)? else {
        return Ok(Authenticated::Anonymous);
    };
    if matches!(policy.expects, Expects::Whole { body: None, .. }) {
        return Err(AuthError::new(AuthCode::InvalidRequest, "The request's body was not read."));
    }
    let access_key_id = claim.access_key_id.parse().map_err(|_| unknown_key(&claim.access_key_id))?;
    let key = policy.keys.get(&claim.access_key_id, &credential.secret, &claim.scope);
    let signature = verify(head, &claim, &key)?;
    let seed = |trailer| ChunkSeed {
        key: key.clone(),
        date: claim.date,
        scope: claim.scope.to_string(),
        signature,
        trailer,
    };
    let payload = match payload {
        Declared::Unsigned => Payload::Unsigned,
        Declared::Sha256(hash) => Payload::Sha256(hash),
        Declared::Streaming { trailer } => Payload::Streaming(seed(trailer)),
        Declared::StreamingUnsignedTrailer => Payload::StreamingUnsignedTrailer,
    };
    Ok(Authenticated::Signed(Box::new(Signed {
        access_key_id,
        account: credential.account,
        holder: credential.holder,
        payload,
        via: claim.via,
        signed_headers: claim.signed_headers.split(';').map(str::to_owned).collect(),
        scope: claim.scope,
    })))
}

/// Everything but the signature: for a request whose body has to be read before that can be verified, so that not just anybody's is. Whether
/// it is signed at all. Nothing of such a request is to be trusted yet.
pub fn examine(
    head: &RequestHead<'_>,
    credentials: &dyn CredentialLookup,
    policy: &Policy<'_>,
) -> Result<bool, AuthError> {
    Ok(examined(head, credentials, policy)?.is_some())
}

fn examined<'a>(
    head: &RequestHead<'a>,
    credentials: &dyn CredentialLookup,
    policy: &Policy<'_>,
) -> Result<Option<(Claim<'a>, Declared, Credential)>, AuthError> {
    let Some(mut claim) = claim_of(head, policy.expects)? else { return Ok(None) };
    check_signed_headers(head, &claim)?;
    check_scope(claim.via, &claim.scope, claim.date.day(), policy)?;
    let payload = match policy.expects {
        Expects::S3 => parse_payload(&claim.payload)?,
        Expects::Whole { body, .. } => {
            claim.payload = body.map_or_else(String::new, hex::encode).into();
            Declared::Sha256(body.unwrap_or_default())
        }
    };
    check_time(&claim, policy)?;
    let unknown = || unknown_key(&claim.access_key_id);
    let _of_its_form: AccessKeyId = claim.access_key_id.parse().map_err(|_| unknown())?;
    let credential =
        credential_of(credentials, &claim.access_key_id, claim.session_token.as_deref(), policy.now)?;
    Ok(Some((claim, payload, credential)))
}

/// The service that a request claims to be signed for; nothing is verified, and what can't be read claims none.
pub fn claimed_service(head: &RequestHead<'_>) -> Option<String> {
    Some(split_credential(&claimed_credential(head)?)?.1.service)
}

/// The key that a request claims to be signed with; nothing is verified, not even that it is of the form of one.
pub fn claimed_key(head: &RequestHead<'_>) -> Option<String> {
    let credential = claimed_credential(head)?;
    credential.split('/').next().filter(|key| !key.is_empty()).map(str::to_owned)
}

fn claimed_credential(head: &RequestHead<'_>) -> Option<String> {
    let credential = match head.headers.get(http::header::AUTHORIZATION) {
        Some(value) => {
            let (_, rest) = value.to_str().ok()?.split_once("Credential=")?;
            rest.split(',').next()?.trim().to_owned()
        }
        None => query_pairs(head.query).ok()?.into_iter().find(|(name, _)| name == "X-Amz-Credential")?.1,
    };
    Some(credential)
}

/// The credential that a request claims to be signed with.
pub(crate) fn credential_of(
    credentials: &dyn CredentialLookup,
    access_key_id: &str,
    token: Option<&str>,
    now: Timestamp,
) -> Result<Credential, AuthError> {
    let unknown = || unknown_key(access_key_id);
    let Some(token) = token else { return credentials.lookup(access_key_id).ok_or_else(unknown) };
    let found = match credentials.lookup(access_key_id) {
        // A key that lasts has no token.
        Some(_) => Err(TokenError::Invalid),
        None => credentials.session(access_key_id, token, now),
    };
    found.map_err(|error| match error {
        TokenError::Unknown => unknown(),
        TokenError::Invalid => {
            AuthError::new(AuthCode::InvalidToken, "The provided token is malformed or otherwise invalid.")
        }
        TokenError::Expired => AuthError::new(AuthCode::ExpiredToken, "The provided token has expired."),
    })
}

/// What the request says about itself: in its header, in its query, or nowhere; both at once is refused.
fn claim_of<'a>(head: &RequestHead<'a>, expects: Expects<'_>) -> Result<Option<Claim<'a>>, AuthError> {
    let in_query = query::mechanism(head.query);
    let Some(authorization) = head.headers.get(http::header::AUTHORIZATION) else {
        return match in_query {
            query::Mechanism::None => Ok(None),
            query::Mechanism::V4 => query::claim(head).map(Some),
            query::Mechanism::V2 => Err(unsupported_mechanism()),
        };
    };
    if in_query != query::Mechanism::None
        || head.headers.get_all(http::header::AUTHORIZATION).iter().count() > 1
    {
        return Err(AuthError::new(
            AuthCode::InvalidArgument,
            "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string \
             parameter or the Authorization header should be specified",
        )
        .with("ArgumentName", "Authorization")
        .with("ArgumentValue", String::from_utf8_lossy(authorization.as_bytes())));
    }
    header::claim(head, authorization, expects).map(Some)
}

pub(crate) fn unknown_key(access_key_id: &str) -> AuthError {
    AuthError::new(
        AuthCode::InvalidAccessKeyId,
        "The AWS Access Key Id you provided does not exist in our records.",
    )
    .with("AWSAccessKeyId", access_key_id)
}

pub(crate) fn unsupported_mechanism() -> AuthError {
    AuthError::new(
        AuthCode::InvalidRequest,
        "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.",
    )
}

/// Takes `AKID/date/region/service/aws4_request` apart. The access key may hold slashes. `None`: not of that form.
fn split_credential(credential: &str) -> Option<(&str, Scope, &str)> {
    let mut parts = credential.rsplitn(5, '/');
    let (terminal, service, region, date) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let access_key_id = parts.next()?;
    let scope = Scope { date: date.into(), region: region.into(), service: service.into() };
    Some((access_key_id, scope, terminal))
}

const CREDENTIAL_FORM: &str =
    "the Credential is mal-formed; expecting \"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request\".";

fn malformed(via: Via, what: impl std::fmt::Display) -> AuthError {
    match via {
        Via::Header => AuthError::new(
            AuthCode::AuthorizationHeaderMalformed,
            format!("The authorization header is malformed; {what}"),
        ),
        Via::Query => AuthError::new(
            AuthCode::AuthorizationQueryParametersError,
            format!("Error parsing the X-Amz-Credential parameter; {what}"),
        ),
    }
}

pub(crate) fn parse_credential(via: Via, credential: &str) -> Result<(String, Scope), AuthError> {
    let (access_key_id, scope, terminal) =
        split_credential(credential).ok_or_else(|| malformed(via, CREDENTIAL_FORM))?;
    if access_key_id.is_empty() {
        return Err(malformed(via, "a non-empty Access Key (AKID) must be provided in the credential."));
    }
    if terminal != "aws4_request" {
        let what = format!("incorrect terminal \"{terminal}\". This endpoint uses \"aws4_request\".");
        return Err(malformed(via, what));
    }
    let is_day = scope.date.len() == 8 && scope.date.bytes().all(|byte| byte.is_ascii_digit());
    if !is_day {
        let what = format!(
            "incorrect date format \"{}\". This date in the credential must be in the format \"yyyyMMdd\".",
            scope.date
        );
        return Err(malformed(via, what));
    }
    Ok((access_key_id.to_owned(), scope))
}

/// The scope is of the day that was signed, of this service and of this region.
pub(crate) fn check_scope(via: Via, scope: &Scope, day: &str, policy: &Policy<'_>) -> Result<(), AuthError> {
    if scope.date != day {
        let what = format!(
            "Invalid credential date \"{}\". This date is not the same as X-Amz-Date: \"{}\".",
            scope.date, day
        );
        return Err(malformed(via, what));
    }
    let service = policy.service();
    if scope.service != service {
        let what =
            format!("incorrect service \"{}\". This endpoint belongs to \"{service}\".", scope.service);
        return Err(malformed(via, what));
    }
    if !policy.is_of_region(&scope.region) {
        let region = policy.region;
        let what = format!("the region '{}' is wrong; expecting '{region}'", scope.region);
        return Err(malformed(via, what).with("Region", region));
    }
    Ok(())
}

fn check_time(claim: &Claim<'_>, policy: &Policy<'_>) -> Result<(), AuthError> {
    let seconds = |duration: Duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    let max_skew = seconds(policy.max_skew);
    let (now, then) = (policy.now.as_secs(), claim.date.secs());
    let server_time = || AmzDate::from_timestamp(policy.now).extended();
    let Some(expires) = claim.expires else {
        if (now - then).abs() <= max_skew {
            return Ok(());
        }
        return Err(AuthError::new(
            AuthCode::RequestTimeTooSkewed,
            "The difference between the request time and the current time is too large.",
        )
        .with("RequestTime", claim.date.as_str())
        .with("ServerTime", server_time())
        .with("MaxAllowedSkewMilliseconds", policy.max_skew.as_millis().to_string()));
    };
    if expires > policy.max_presign.as_secs() {
        return Err(query::lives_too_long(policy.max_presign.as_secs()));
    }
    let last = then.saturating_add_unsigned(expires);
    if then - now > max_skew {
        return Err(AuthError::new(AuthCode::AccessDenied, "Request is not valid yet")
            .with("X-Amz-Date", claim.date.as_str())
            .with("ServerTime", server_time()));
    }
    // To the millisecond: a URL for no time at all is good for none.
    if policy.now.as_millis() > last.saturating_mul(1000) {
        let end = AmzDate::from_timestamp(Timestamp::from_millis(last.saturating_mul(1000)));
        return Err(AuthError::new(AuthCode::AccessDenied, "Request has expired")
            .with("X-Amz-Expires", expires.to_string())
            .with("Expires", end.extended())
            .with("ServerTime", server_time()));
    }
    Ok(())
}

/// Headers whose value is a list: a client may send each name of it in a line of its own, as the SDK for Go does. The signature
/// covers them as one value, their order included.
const LISTS: [&str; 2] = ["x-amz-object-attributes", "x-amz-optional-object-attributes"];

/// The list is lower case, sorted and without repetition; it holds `host` and every `x-amz-*` header of the request; and
/// each of those that is no list itself stands in the request once.
fn check_signed_headers(head: &RequestHead<'_>, claim: &Claim<'_>) -> Result<(), AuthError> {
    let names: Vec<&str> = claim.signed_headers.split(';').collect();
    let is_token = |name: &&str| {
        !name.is_empty() && name.bytes().all(|c| c.is_ascii_graphic() && !c.is_ascii_uppercase() && c != b':')
    };
    if !names.iter().all(is_token) || !names.is_sorted_by(|a, b| a < b) {
        return Err(match claim.via {
            Via::Header => {
                malformed(Via::Header, "SignedHeaders must be lower case, sorted, and name each header once.")
            }
            Via::Query => AuthError::new(
                AuthCode::AuthorizationQueryParametersError,
                "X-Amz-SignedHeaders must be lower case, sorted, and name each header once.",
            ),
        });
    }
    let is_signed = |name: &str| names.binary_search(&name).is_ok();
    let mut unsigned: Vec<&str> = (!is_signed("host")).then_some("host").into_iter().collect();
    for name in head.headers.keys().map(http::HeaderName::as_str) {
        let amz = name.starts_with("x-amz-");
        let once = (amz || name == "host") && !LISTS.contains(&name);
        if once && head.headers.get_all(name).iter().nth(1).is_some() {
            let message = format!("The header {name} was given more than once.");
            return Err(AuthError::new(AuthCode::InvalidRequest, message).with("HeaderName", name));
        }
        if amz && !is_signed(name) {
            unsigned.push(name);
        }
    }
    if unsigned.is_empty() {
        return Ok(());
    }
    unsigned.sort_unstable();
    let message = "There were headers present in the request which were not signed";
    Err(AuthError::new(AuthCode::AccessDenied, message).with("HeadersNotSigned", unsigned.join(", ")))
}

enum Declared {
    Unsigned,
    Sha256([u8; 32]),
    Streaming { trailer: bool },
    StreamingUnsignedTrailer,
}

fn parse_payload(value: &str) -> Result<Declared, AuthError> {
    Ok(match value {
        UNSIGNED => Declared::Unsigned,
        STREAMING => Declared::Streaming { trailer: false },
        STREAMING_TRAILER => Declared::Streaming { trailer: true },
        STREAMING_UNSIGNED_TRAILER => Declared::StreamingUnsignedTrailer,
        hash => {
            let mut bytes = [0; 32];
            hex::decode_to_slice(hash, &mut bytes).map_err(|_| {
                AuthError::new(
                    AuthCode::InvalidArgument,
                    "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, \
                     STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER, or a valid \
                     sha256 value.",
                )
                .with("ArgumentName", CONTENT_SHA256)
                .with("ArgumentValue", hash)
            })?;
            Declared::Sha256(bytes)
        }
    })
}

/// `AWS4-HMAC-SHA256 \n date \n scope \n SHA-256 of the canonical request`
pub(crate) fn string_to_sign(date: &AmzDate, scope: &Scope, canonical: &[u8]) -> String {
    let Scope { date: day, region, service } = scope;
    // Pieces rather than a format: this is done for each request.
    let pieces = [
        ALGORITHM,
        "\n",
        date.as_str(),
        "\n",
        day,
        "/",
        region,
        "/",
        service,
        "/aws4_request\n",
        &sha256_hex(canonical),
    ];
    pieces.concat()
}

fn verify(head: &RequestHead<'_>, claim: &Claim<'_>, key: &SigningKey) -> Result<Signature, AuthError> {
    let skip = (claim.via == Via::Query).then_some(query::SIGNATURE);
    let canonical = canonical::canonical_request(head, &claim.signed_headers, &claim.payload, skip)?;
    let to_sign = string_to_sign(&claim.date, &claim.scope, &canonical);
    let signature = key.sign(to_sign.as_bytes());
    if signature.matches(claim.signature.as_bytes()) {
        return Ok(signature);
    }
    let bytes_of = |data: &[u8]| data.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ");
    Err(signature_mismatch()
        .with("AWSAccessKeyId", &*claim.access_key_id)
        .with("StringToSign", &*to_sign)
        .with("SignatureProvided", &*claim.signature)
        .with("StringToSignBytes", bytes_of(to_sign.as_bytes()))
        .with("CanonicalRequest", String::from_utf8_lossy(&canonical))
        .with("CanonicalRequestBytes", bytes_of(&canonical)))
}

/// The bare refusal, for chunks too.
pub(crate) fn signature_mismatch() -> AuthError {
    AuthError::new(
        AuthCode::SignatureDoesNotMatch,
        "The request signature we calculated does not match the signature you provided. Check your key and signing \
         method.",
    )
}

/// A header's one value as text; missing is `None`, unreadable is empty.
fn header_text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).map(|value| value.to_str().unwrap_or_default().trim())
}
