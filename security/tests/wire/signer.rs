//! What our signer signs, our verifier takes.

use crate::request::{NOW, Request, signer, time, verify, verify_at};
use http::HeaderMap;
use proptest::prelude::{Just, Strategy, any, prop_assert, prop_oneof, proptest};
use security::sign::{PayloadHash, Signer};
use security::sigv4::{Authenticated, Payload, query_pairs};
use std::time::Duration;

/// A request as a client makes it.
fn build(method: &str, uri: &str, headers: &[(&str, &str)]) -> http::request::Parts {
    let mut builder = http::Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(()).unwrap().into_parts().0
}

/// As a server sees it.
fn received(parts: &http::request::Parts) -> Request {
    Request {
        method: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers: parts.headers.iter().map(|(n, v)| (n.to_string(), v.as_bytes().to_vec())).collect(),
    }
}

#[test]
fn every_kind_of_payload_is_declared_and_verified() {
    for (payload, check) in [
        (PayloadHash::Unsigned, (|p| matches!(p, Payload::Unsigned)) as fn(&Payload) -> bool),
        (PayloadHash::Empty, |p| matches!(p, Payload::Sha256(_))),
        (PayloadHash::Sha256([7; 32]), |p| matches!(p, Payload::Sha256(hash) if *hash == [7; 32])),
        (
            PayloadHash::Streaming { trailer: false },
            |p| matches!(p, Payload::Streaming(seed) if !seed.trailer),
        ),
        (PayloadHash::Streaming { trailer: true }, |p| matches!(p, Payload::Streaming(seed) if seed.trailer)),
        (PayloadHash::StreamingUnsignedTrailer, |p| matches!(p, Payload::StreamingUnsignedTrailer)),
    ] {
        let mut parts = build("PUT", "http://127.0.0.1:9000/b/k?x-id=PutObject", &[("content-length", "5")]);
        signer().sign(&mut parts, payload, time(NOW)).unwrap();
        let Authenticated::Signed(signed) = verify(&received(&parts)).unwrap() else { panic!("anonymous") };
        assert!(check(&signed.payload), "{payload:?}");
        assert!(!signed.signed_headers.iter().any(|name| name == "content-length"));
    }
}

#[test]
fn a_header_that_is_a_list_may_come_in_lines_and_is_signed_as_one() {
    for name in ["x-amz-object-attributes", "x-amz-optional-object-attributes"] {
        let lines = [(name, "ETag"), (name, "Checksum")];
        let mut parts = build("GET", "http://127.0.0.1:9000/b/k?attributes=", &lines);
        signer().sign(&mut parts, PayloadHash::Empty, time(NOW)).unwrap();
        let request = received(&parts);
        verify(&request).unwrap();
        let with = |lines: &[&str]| {
            let mut other = request.clone();
            other.remove(name);
            other.headers.extend(lines.iter().map(|line| (name.to_owned(), line.as_bytes().to_vec())));
            verify(&other).map(drop).map_err(|error| error.code())
        };
        with(&["ETag,Checksum"]).unwrap();
        for changed in
            [&["Checksum", "ETag"][..], &["ETag"], &["ETag", "Checksum", "ObjectSize"], &["ETag", ""]]
        {
            assert_eq!(with(changed), Err("SignatureDoesNotMatch"), "{changed:?}");
        }
    }
    // Of any other it is not known which line is meant.
    let mut parts =
        build("PUT", "http://127.0.0.1:9000/b/k", &[("x-amz-acl", "private"), ("x-amz-acl", "private")]);
    signer().sign(&mut parts, PayloadHash::Empty, time(NOW)).unwrap();
    assert_eq!(verify(&received(&parts)).unwrap_err().code(), "InvalidRequest");
}

#[test]
fn presigned_urls_verify_until_they_expire() {
    let mut headers = HeaderMap::new();
    headers.insert("x-amz-meta-must", "come".parse().unwrap());
    let uri = "http://127.0.0.1:9000/b/a%20k?versionId=null".parse().unwrap();
    let url = signer().presign("GET", &uri, &headers, Duration::from_mins(5), time(NOW)).unwrap();
    let mut request =
        received(&build("GET", &url, &[("host", "127.0.0.1:9000"), ("x-amz-meta-must", "come")]));
    verify(&request).unwrap();
    verify_at(&request, "20260314T151426Z").unwrap();
    assert_eq!(verify_at(&request, "20260314T151427Z").unwrap_err().message(), "Request has expired");
    request.remove("x-amz-meta-must");
    assert_eq!(verify(&request).unwrap_err().code(), "SignatureDoesNotMatch");
    let week = Duration::from_hours(7 * 24);
    for (expires, code) in
        [(week, None), (week + Duration::from_secs(1), Some("AuthorizationQueryParametersError"))]
    {
        let url = signer().presign("GET", &uri, &HeaderMap::new(), expires, time(NOW)).unwrap();
        let request = received(&build("GET", &url, &[("host", "127.0.0.1:9000")]));
        assert_eq!(verify(&request).err().map(|error| error.code()), code);
    }
}

#[test]
fn a_signer_refuses_what_can_not_be_signed() {
    let mut relative = build("GET", "/b/k", &[]);
    signer().sign(&mut relative, PayloadHash::Empty, time(NOW)).unwrap_err();
    let broken = Signer { session_token: Some("line\nbreak".to_owned()), ..signer() };
    let mut parts = build("GET", "http://h/", &[]);
    broken.sign(&mut parts, PayloadHash::Empty, time(NOW)).unwrap_err();
}

fn wire_char() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-zA-Z0-9._~!$'()*,;:@-]",
        1 => any::<u8>().prop_map(|byte| format!("%{byte:02x}")),
        1 => any::<u8>().prop_map(|byte| format!("%{byte:02X}")),
        1 => Just("/".to_owned()),
        1 => Just("+".to_owned()),
    ]
}

proptest! {
    #[test]
    fn any_path_query_and_header_round_trips(
        path in proptest::collection::vec(wire_char(), 0..20),
        query in proptest::collection::vec((proptest::collection::vec(wire_char(), 1..5), proptest::collection::vec(wire_char(), 0..5)), 0..5),
        value in "[ -~]{0,30}",
    ) {
        let pairs: Vec<String> = query.iter().map(|(n, v)| format!("{}={}", n.concat(), v.concat())).collect();
        let uri = format!("http://h:1/{}?{}", path.concat(), pairs.join("&"));
        let mut parts = build("GET", &uri, &[("x-amz-meta-v", &value)]);
        signer().sign(&mut parts, PayloadHash::Empty, time(NOW)).unwrap();
        let request = received(&parts);
        prop_assert!(matches!(verify(&request), Ok(Authenticated::Signed(_))));
        // Whatever the query decodes to, decoding never panics.
        let _either = query_pairs(&request.query);
    }
}
