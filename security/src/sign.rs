//! The signing side of SigV4: requests, presigned URLs, and the seed of signed chunks. It builds the canonical request with
//! the verifier's code.

use crate::credentials::{AccessKeyId, SecretKey};
use crate::date::AmzDate;
use crate::sigv4::canonical::{RequestHead, canonical_request, encode_byte};
use crate::sigv4::{
    ALGORITHM, AuthError, CONTENT_SHA256, ChunkSeed, STREAMING, STREAMING_TRAILER,
    STREAMING_UNSIGNED_TRAILER, Scope, Signature, SigningKey, UNSIGNED, string_to_sign,
};
use crate::{Error, Result};
use engine::clock::Timestamp;
use http::{HeaderMap, HeaderName, HeaderValue, Uri, header};
use std::fmt::Write as _;
use std::time::Duration;

/// What is said about the body in `x-amz-content-sha256`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PayloadHash {
    /// The body is not covered.
    Unsigned,
    /// There is no body.
    Empty,
    /// The body's SHA-256.
    Sha256([u8; 32]),
    /// aws-chunked with signed chunks, and with a signed trailer if so.
    Streaming {
        /// A trailer follows.
        trailer: bool,
    },
    /// aws-chunked, unsigned, with a trailer.
    StreamingUnsignedTrailer,
}

impl PayloadHash {
    fn text(self) -> String {
        match self {
            Self::Unsigned => UNSIGNED.to_owned(),
            Self::Empty => crate::sigv4::sha256_hex(b""),
            Self::Sha256(hash) => hex::encode(hash),
            Self::Streaming { trailer: false } => STREAMING.to_owned(),
            Self::Streaming { trailer: true } => STREAMING_TRAILER.to_owned(),
            Self::StreamingUnsignedTrailer => STREAMING_UNSIGNED_TRAILER.to_owned(),
        }
    }
}

/// Signs for one access key, region and service.
#[derive(Clone, Debug)]
pub struct Signer {
    /// The public half.
    pub access_key_id: AccessKeyId,
    /// The secret half.
    pub secret: SecretKey,
    /// Of a session's credential.
    pub session_token: Option<String>,
    /// `us-east-1`
    pub region: String,
    /// `s3`
    pub service: String,
}

/// Headers that proxies and HTTP libraries change or add on the way, and which are therefore never signed.
const NEVER_SIGNED: [HeaderName; 9] = [
    header::AUTHORIZATION,
    header::CONNECTION,
    header::EXPECT,
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::USER_AGENT,
    header::ACCEPT_ENCODING,
    header::CONTENT_LENGTH,
];

impl Signer {
    /// Signs a request: sets `host` (if it is missing), `x-amz-date`, `x-amz-content-sha256`, `x-amz-security-token` and
    /// `authorization`. Returns where a chain of signed chunks starts.
    pub fn sign(
        &self,
        parts: &mut http::request::Parts,
        payload: PayloadHash,
        now: Timestamp,
    ) -> Result<ChunkSeed> {
        let date = AmzDate::from_timestamp(now);
        let payload_text = payload.text();
        set_host(&mut parts.headers, &parts.uri)?;
        parts.headers.insert("x-amz-date", value_of(date.as_str())?);
        parts.headers.insert(CONTENT_SHA256, value_of(&payload_text)?);
        if let Some(token) = &self.session_token {
            parts.headers.insert("x-amz-security-token", value_of(token)?);
        }
        let signed_headers = signed_names(&parts.headers);
        let head = RequestHead {
            method: parts.method.as_str(),
            path: parts.uri.path(),
            query: parts.uri.query().unwrap_or_default(),
            headers: &parts.headers,
        };
        let scope = self.scope(&date);
        let (key, signature) = self.signature(&head, &date, &scope, &signed_headers, &payload_text)?;
        let authorization = format!(
            "{ALGORITHM} Credential={}/{scope}, SignedHeaders={signed_headers}, Signature={}",
            self.access_key_id,
            signature.as_str()
        );
        parts.headers.insert(header::AUTHORIZATION, value_of(&authorization)?);
        let trailer = payload == PayloadHash::Streaming { trailer: true };
        Ok(ChunkSeed { key, date, scope: scope.to_string(), signature, trailer })
    }

    /// A URL that anybody may use until it expires. `headers` are those that its user must send, besides `host`.
    pub fn presign(
        &self,
        method: &str,
        uri: &Uri,
        headers: &HeaderMap,
        expires: Duration,
        now: Timestamp,
    ) -> Result<String> {
        let date = AmzDate::from_timestamp(now);
        let mut headers = headers.clone();
        set_host(&mut headers, uri)?;
        let signed_headers = signed_names(&headers);
        let scope = self.scope(&date);
        let mut query = uri.query().unwrap_or_default().to_owned();
        let mut add = |name: &str, value: &str| {
            let mut encoded = Vec::with_capacity(value.len() * 2);
            value.bytes().for_each(|byte| encode_byte(&mut encoded, byte, false));
            let joint = if query.is_empty() { "" } else { "&" };
            // Writing to a String can't fail.
            let _infallible = write!(query, "{joint}{name}={}", String::from_utf8_lossy(&encoded));
        };
        add("X-Amz-Algorithm", ALGORITHM);
        add("X-Amz-Credential", &format!("{}/{scope}", self.access_key_id));
        add("X-Amz-Date", date.as_str());
        add("X-Amz-Expires", &expires.as_secs().to_string());
        add("X-Amz-SignedHeaders", &signed_headers);
        if let Some(token) = &self.session_token {
            add("X-Amz-Security-Token", token);
        }
        // S3 alone leaves the body out where nothing is said of it; everywhere else it is signed, and a URL's is empty.
        let of_nothing = crate::sigv4::sha256_hex(b"");
        let payload = match headers.get(CONTENT_SHA256) {
            Some(value) => value.to_str().map_err(|error| unsignable(&error))?.trim(),
            None if self.service == "s3" => UNSIGNED,
            None => &of_nothing,
        };
        let head = RequestHead { method, path: uri.path(), query: &query, headers: &headers };
        let (_, signature) = self.signature(&head, &date, &scope, &signed_headers, payload)?;
        let scheme = uri.scheme_str().unwrap_or("http");
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        Ok(format!(
            "{scheme}://{authority}{}?{query}&X-Amz-Signature={}",
            if uri.path().is_empty() { "/" } else { uri.path() },
            signature.as_str()
        ))
    }

    fn scope(&self, date: &AmzDate) -> Scope {
        Scope { date: date.day().to_owned(), region: self.region.clone(), service: self.service.clone() }
    }

    fn signature(
        &self,
        head: &RequestHead<'_>,
        date: &AmzDate,
        scope: &Scope,
        signed_headers: &str,
        payload: &str,
    ) -> Result<(SigningKey, Signature)> {
        let canonical = canonical_request(head, signed_headers, payload, None)
            .map_err(|error: AuthError| unsignable(&error.message()))?;
        let key = SigningKey::derive(&self.secret, scope);
        let signature = key.sign(string_to_sign(date, scope, &canonical).as_bytes());
        Ok((key, signature))
    }
}

fn unsignable(why: &dyn std::fmt::Display) -> Error {
    Error::Parse { what: "request to sign", detail: why.to_string() }
}

fn value_of(text: &str) -> Result<HeaderValue> {
    HeaderValue::from_str(text).map_err(|error| unsignable(&error))
}

/// The `host` header as HTTP libraries send it: the authority without user information.
fn set_host(headers: &mut HeaderMap, uri: &Uri) -> Result<()> {
    if headers.contains_key(header::HOST) {
        return Ok(());
    }
    let authority =
        uri.authority().ok_or_else(|| unsignable(&"it has neither a host header nor an absolute URI"))?;
    let host = authority.as_str().rsplit_once('@').map_or(authority.as_str(), |(_, host)| host);
    headers.insert(header::HOST, value_of(host)?);
    Ok(())
}

fn signed_names(headers: &HeaderMap) -> String {
    let mut names: Vec<&str> =
        headers.keys().filter(|name| !NEVER_SIGNED.contains(name)).map(HeaderName::as_str).collect();
    names.sort_unstable();
    names.join(";")
}
