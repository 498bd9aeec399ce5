//! What the fuzz targets do with their input. The tests run the same functions over the kept corpus.

#![allow(dead_code, clippy::allow_attributes, reason = "each fuzz target uses one of them")]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use engine::clock::Timestamp;
use engine::unit::ByteCount;
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use security::chunked::{ChunkError, Decoder, Event};
use security::credentials::{File, SecretKey};
use security::form::{self, Fields, FormError};
use security::policy::{self as language, Asked, Caller, DOCUMENT_BYTES_MAX, GivenContext, Sources};
use security::sign::{PayloadHash, Signer};
use security::sigv4::{
    Authenticated, ChunkSeed, Policy, RequestHead, SigningKeys, authenticate, decode_path, query_pairs,
};

const ACCESS_KEY: &str = "AKIAIOSFODNN7EXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
/// 2026-03-14T15:09:26Z
const NOW: Timestamp = Timestamp::from_millis(1_773_500_966_000);

fn verify(method: &str, path: &str, query: &str, headers: &HeaderMap, secret: &str) -> Option<Authenticated> {
    let text = format!("[default]\naws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {secret}\n");
    let file = File::parse(&text, "111122223333".parse().ok()?).ok()?;
    let keys = SigningKeys::default();
    let head = RequestHead { method, path, query, headers };
    authenticate(&head, &file, &Policy::new("us-east-1", NOW, &keys)).ok()
}

fn signer() -> Option<Signer> {
    Some(Signer {
        access_key_id: ACCESS_KEY.parse().ok()?,
        secret: SecretKey::parse(SECRET).ok()?,
        session_token: None,
        region: "us-east-1".to_owned(),
        service: "s3".to_owned(),
    })
}

/// Lines: method, path, query, then `name:value` each.
pub(crate) fn signature(data: &[u8]) {
    let mut lines = data.split(|byte| *byte == b'\n');
    let mut text = || std::str::from_utf8(lines.next().unwrap_or_default()).unwrap_or_default();
    let (method, path, query) = (text(), text(), text());
    let mut headers = HeaderMap::new();
    for line in lines.take(100) {
        let Some(at) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = (HeaderName::from_bytes(&line[..at]), HeaderValue::from_bytes(&line[at + 1..]));
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    let pairs = query_pairs(query);
    let decoded = decode_path(path);
    verify(method, path, query, &headers, SECRET);
    // Nobody can sign with a secret that appears nowhere.
    let forged = verify(method, path, query, &headers, "a-secret-that-no-input-was-signed-with");
    assert!(!matches!(forged, Some(Authenticated::Signed(_))), "a forged signature");

    // What our side signs verifies, whatever it is made of.
    let is_uri = path.starts_with('/') && format!("http://h{path}?{query}").parse::<Uri>().is_ok();
    let doubled = headers.keys().any(|name| headers.get_all(name).iter().nth(1).is_some());
    if pairs.is_err() || decoded.is_err() || !is_uri || doubled || query.contains("Signature") {
        return;
    }
    let foreign =
        ["X-Amz-", "AWSAccessKeyId", "#"].iter().any(|word| query.contains(word) || path.contains(word));
    if foreign || headers.contains_key("authorization") || headers.contains_key("x-amz-security-token") {
        return;
    }
    let Ok(method) = method.parse::<http::Method>() else { return };
    let Ok(request) = http::Request::builder().method(method).uri(format!("http://h{path}?{query}")).body(())
    else {
        return;
    };
    let mut parts = request.into_parts().0;
    parts.headers = headers;
    let Some(signer) = signer() else { return };
    if signer.sign(&mut parts, PayloadHash::Empty, NOW).is_err() {
        return;
    }
    let query = parts.uri.query().unwrap_or_default();
    let back = verify(parts.method.as_str(), parts.uri.path(), query, &parts.headers, SECRET);
    assert!(matches!(back, Some(Authenticated::Signed(_))), "what was signed does not verify: {parts:?}");
}

/// Byte 0: mode; bytes 1 and 2: declared length; byte 3: size of the pieces; the rest: the body.
pub(crate) fn chunked(data: &[u8]) {
    let Some((&[mode, high, low, piece], body)) = data.split_first_chunk::<4>() else { return };
    let length = u64::from(u16::from_be_bytes([high, low]));
    let (Some(whole), Some(split)) = (decoder(mode, length), decoder(mode, length)) else { return };
    let whole = decode(whole, body, usize::MAX);
    let split = decode(split, body, usize::from(piece).max(1));
    match (whole, split) {
        (Ok(one), Ok(two)) => {
            assert_eq!(one, two, "the same however it is split");
            assert_eq!(one.0.len() as u64, length, "as long as declared");
        }
        (Err(one), Err(two)) => assert_eq!(one.code(), two.code()),
        (one, two) => panic!("whole {one:?}, split {two:?}"),
    }
}

fn decoder(mode: u8, length: u64) -> Option<Decoder> {
    let trailer = mode & 2 != 0;
    let seed = if mode & 1 != 0 { Some(seed(trailer)?) } else { None };
    let declared = if trailer { vec![HeaderName::from_static("x-amz-checksum-crc32c")] } else { Vec::new() };
    Some(Decoder::new(seed, ByteCount::new(length), declared))
}

fn seed(trailer: bool) -> Option<ChunkSeed> {
    let mut parts = http::Request::put("http://h/b/k").body(()).ok()?.into_parts().0;
    signer()?.sign(&mut parts, PayloadHash::Streaming { trailer }, NOW).ok()
}

fn decode(mut decoder: Decoder, body: &[u8], piece: usize) -> Result<(Vec<u8>, HeaderMap), ChunkError> {
    let (mut rest, mut out, mut end) = (Bytes::copy_from_slice(body), Vec::new(), None);
    while !rest.is_empty() {
        let mut input = rest.split_to(piece.min(rest.len()));
        loop {
            match decoder.push(&mut input)? {
                Event::Data(bytes) => {
                    assert!(!bytes.is_empty(), "an empty piece of data");
                    out.extend_from_slice(&bytes);
                }
                Event::NeedMore => break,
                Event::End { trailers } => end = Some(trailers),
            }
        }
        assert!(input.is_empty(), "NeedMore with input left");
    }
    decoder.finish()?;
    Ok((out, end.unwrap_or_default()))
}

/// Byte 0: size of the pieces; the rest: a form with the boundary `xy`.
pub(crate) fn form(data: &[u8]) {
    let Some((&piece, body)) = data.split_first() else { return };
    let whole = read_form(body, body.len().max(1));
    let split = read_form(body, usize::from(piece).max(1));
    match (whole, split) {
        (Ok(one), Ok(two)) => assert_eq!(one, two, "the same however it is split"),
        (Err(one), Err(two)) => assert_eq!(one.code(), two.code()),
        (one, two) => panic!("whole {one:?}, split {two:?}"),
    }
}

type Form = (Vec<(String, String)>, Option<String>, Vec<u8>);

fn read_form(body: &[u8], piece: usize) -> Result<Form, FormError> {
    let mut decoder = form::Decoder::new("xy");
    let (mut fields, mut file, mut data) = (Vec::new(), None, Vec::new());
    for input in body.chunks(piece) {
        decoder.push(input);
        loop {
            match decoder.event()? {
                form::Event::NeedMore | form::Event::End => break,
                form::Event::Field { name, value } => fields.push((name, value)),
                form::Event::File(head) => assert!(file.replace(head.name).is_none(), "two files"),
                form::Event::Data(bytes) => {
                    assert!(!bytes.is_empty() && file.is_some(), "data without a file");
                    data.extend_from_slice(&bytes);
                }
            }
        }
    }
    decoder.finish()?;
    Ok((fields, file, data))
}

/// A policy's JSON.
pub(crate) fn policy(data: &[u8]) {
    let Ok(policy) = form::Policy::parse(&STANDARD.encode(data)) else { return };
    let mut fields = Fields::default();
    let unheard = "x-a-field-that-no-input-names-e7c1";
    if fields.add(unheard, "value".to_owned()).is_err() {
        return;
    }
    let named = std::str::from_utf8(data).is_ok_and(|text| text.to_ascii_lowercase().contains("e7c1"));
    assert!(named || policy.check("bucket", &fields, NOW).is_err(), "a field that no condition names passed");
}

/// Byte 0: `0` for an identity's policy, `1` for a resource's, `2` for a role's trust; the rest: its JSON.
pub(crate) fn document(data: &[u8]) {
    let Some((kind, text)) = data.split_first() else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    let form = match kind % 3 {
        0 => language::Form::Identity,
        1 => language::Form::Resource,
        _ => language::Form::Trust,
    };
    let read = |bytes_max| language::Policy::parse(text, form, bytes_max);
    let Ok(policy) = read(DOCUMENT_BYTES_MAX) else { return };
    assert!(read(text.len()).is_ok_and(|again| again == policy), "read as another one");
    assert!(read(text.len() - 1).is_err(), "longer than it may be");

    let Ok(account) = "111122223333".parse() else { return };
    let caller = Caller::User { account, arn: "arn:aws:iam::111122223333:user/a/alice" };
    let context = GivenContext::default()
        .with("aws:username", ["alice"])
        .with("aws:SourceIp", ["192.0.2.7"])
        .with("aws:CurrentTime", ["2026-03-14T15:09:26Z"])
        .with("s3:max-keys", ["7"])
        .with("aws:TagKeys", ["team", "cost"]);
    let deny_all = language::Policy::denying_all();
    for (action, resource) in [
        ("s3:GetObject", "arn:aws:s3:::bucket/home/alice/k"),
        ("iam:CreateUser", "arn:aws:iam::111122223333:user/a/bob"),
        ("sts:AssumeRole", "arn:aws:iam::111122223333:role/r"),
    ] {
        let asked = Asked { caller, action, resource, context: &context };
        let (own, beside, alone) = ([&policy], [&policy, &deny_all], [&deny_all]);
        let of =
            |identity, resource| Sources { identity, resource, owner: Some(account), ..Sources::default() };
        let sources = if form == language::Form::Identity { of(&own, None) } else { of(&[], Some(&policy)) };
        let verdict = language::evaluate(&asked, &sources);
        assert_eq!(verdict, language::evaluate(&asked, &sources), "another time another verdict");
        let denied =
            if form == language::Form::Identity { of(&beside, None) } else { of(&alone, Some(&policy)) };
        assert!(!language::evaluate(&asked, &denied).is_allowed(), "a Deny that does not deny");
    }
}
