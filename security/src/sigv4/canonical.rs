//! The canonical request: what both sides hash, whoever wrote the bytes on the wire.
//!
//! ```text
//!   METHOD \n canonical path \n canonical query \n name:value\n … \n signed;names \n payload
//! ```
//!
//! S3's rules: the path is decoded once and encoded once, segment by segment as it stands (`a//b`, `.` and `..` are key
//! characters, never resolved); query parameters are sorted by their encoded bytes; header values are trimmed, and runs
//! of blanks in them shrink to one.
//!
//! Whoever acts on a request reads its path and query through [`decode_path`] and [`query_pairs`], so that what is
//! signed and what is done can't be two things.

use super::error::{AuthCode, AuthError};
use http::HeaderMap;

/// What of a request is signed, its body aside.
#[derive(Clone, Copy, Debug)]
pub struct RequestHead<'a> {
    /// `GET`
    pub method: &'a str,
    /// As on the wire, percent-encoded, without the query.
    pub path: &'a str,
    /// As on the wire, without the question mark; empty when there is none.
    pub query: &'a str,
    /// All of them.
    pub headers: &'a HeaderMap,
}

pub(crate) fn invalid_uri() -> AuthError {
    AuthError::new(AuthCode::InvalidUri, "Couldn't parse the specified URI.")
}

const UPPER_HEX: &[u8; 16] = b"0123456789ABCDEF";

/// RFC 3986's unreserved characters: the only ones that stand for themselves.
const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// Appends one byte as SigV4 encodes it.
pub(crate) fn encode_byte(out: &mut Vec<u8>, byte: u8, keep_slash: bool) {
    if is_unreserved(byte) || (keep_slash && byte == b'/') {
        out.push(byte);
    } else {
        out.extend([b'%', UPPER_HEX[usize::from(byte >> 4)], UPPER_HEX[usize::from(byte & 15)]]);
    }
}

/// Walks percent-encoded text byte by decoded byte.
fn for_each_decoded(text: &str, plus_is_space: bool, mut each: impl FnMut(u8)) -> Result<(), AuthError> {
    let mut bytes = text.bytes();
    let hex = |c: Option<u8>| {
        let digit = c.and_then(|c| char::from(c).to_digit(16)).ok_or_else(invalid_uri)?;
        u8::try_from(digit).map_err(|_| invalid_uri())
    };
    while let Some(byte) = bytes.next() {
        each(match byte {
            b'%' => hex(bytes.next())? << 4 | hex(bytes.next())?,
            b'+' if plus_is_space => b' ',
            other => other,
        });
    }
    Ok(())
}

/// The bytes that a path stands for. A plus is a plus.
pub fn decode_path(path: &str) -> Result<Vec<u8>, AuthError> {
    let mut out = Vec::with_capacity(path.len());
    for_each_decoded(path, false, |byte| out.push(byte))?;
    Ok(out)
}

/// The parameters of a query, decoded, in the order of the wire. A plus is a blank; a name without `=` has an empty value;
/// empty pieces between ampersands are none.
pub fn query_pairs(query: &str) -> Result<Vec<(String, String)>, AuthError> {
    let decode = |text: &str| {
        let mut out = Vec::with_capacity(text.len());
        for_each_decoded(text, true, |byte| out.push(byte))?;
        String::from_utf8(out).map_err(|_| invalid_uri())
    };
    raw_pairs(query).map(|(name, value)| Ok((decode(name)?, decode(value)?))).collect()
}

/// Name and value as they stand on the wire.
pub(crate) fn raw_pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query
        .split('&')
        .filter(|piece| !piece.is_empty())
        .map(|piece| piece.split_once('=').unwrap_or((piece, "")))
}

/// Appends the canonical form of a path.
pub(crate) fn push_path(out: &mut Vec<u8>, path: &str) -> Result<(), AuthError> {
    if path.is_empty() {
        out.push(b'/');
    }
    for_each_decoded(path, false, |byte| encode_byte(out, byte, true))
}

/// Appends the canonical form of a query. `skip` is a (decoded) name to leave out: a presigned URL's own signature.
fn push_query(out: &mut Vec<u8>, query: &str, skip: Option<&str>) -> Result<(), AuthError> {
    if query.is_empty() {
        return Ok(());
    }
    let mut text = Vec::with_capacity(query.len() + 32);
    let mut pairs = Vec::with_capacity(8);
    for (name, value) in raw_pairs(query) {
        let start = text.len();
        for_each_decoded(name, true, |byte| encode_byte(&mut text, byte, false))?;
        let middle = text.len();
        // The names to skip are of unreserved characters alone: their encoded form is the name itself.
        if skip.is_some_and(|skip| skip.as_bytes() == &text[start..middle]) {
            text.truncate(start);
            continue;
        }
        for_each_decoded(value, true, |byte| encode_byte(&mut text, byte, false))?;
        pairs.push((start..middle, middle..text.len()));
    }
    pairs.sort_unstable_by(|a, b| {
        text[a.0.clone()].cmp(&text[b.0.clone()]).then_with(|| text[a.1.clone()].cmp(&text[b.1.clone()]))
    });
    for (index, (name, value)) in pairs.into_iter().enumerate() {
        if index > 0 {
            out.push(b'&');
        }
        out.extend_from_slice(&text[name]);
        out.push(b'=');
        out.extend_from_slice(&text[value]);
    }
    Ok(())
}

/// Appends a header's value without blanks around it, and with one for each run of blanks inside.
fn push_trimmed(out: &mut Vec<u8>, value: &[u8]) {
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    for (index, word) in value.split(is_blank).filter(|word| !word.is_empty()).enumerate() {
        if index > 0 {
            out.push(b' ');
        }
        out.extend_from_slice(word);
    }
}

/// Builds the canonical request. `signed_headers` is the list as the request names it, lower case and sorted.
pub(crate) fn canonical_request(
    head: &RequestHead<'_>,
    signed_headers: &str,
    payload: &str,
    skip_parameter: Option<&str>,
) -> Result<Vec<u8>, AuthError> {
    let mut out = Vec::with_capacity(512 + head.path.len() + head.query.len());
    out.extend_from_slice(head.method.as_bytes());
    out.push(b'\n');
    push_path(&mut out, head.path)?;
    out.push(b'\n');
    push_query(&mut out, head.query, skip_parameter)?;
    out.push(b'\n');
    for name in signed_headers.split(';') {
        out.extend_from_slice(name.as_bytes());
        out.push(b':');
        for (index, value) in head.headers.get_all(name).iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            push_trimmed(&mut out, value.as_bytes());
        }
        out.push(b'\n');
    }
    out.push(b'\n');
    out.extend_from_slice(signed_headers.as_bytes());
    out.push(b'\n');
    out.extend_from_slice(payload.as_bytes());
    Ok(out)
}
