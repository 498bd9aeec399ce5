//! Requests that botocore signed (`tests/golden/botocore.json`): 120 by its header signer and 60 by its query signer over
//! paths, queries and headers that are hard to canonicalise, and 8 that a whole S3 client sent, all at one time.

use crate::request::{ACCESS_KEY, NOW, REGION, Request, SECRET, signer, time, verify};
use bytes::Bytes;
use http::HeaderMap;
use security::chunked::{Decoder, Event};
use security::sign::PayloadHash;
use security::sigv4::{Authenticated, Payload, Via};

/// Each with its name and body.
pub(crate) fn requests() -> Vec<(String, Request, Option<String>)> {
    let golden: serde_json::Value = serde_json::from_str(include_str!("../golden/botocore.json")).unwrap();
    assert_eq!(golden["access_key"], ACCESS_KEY);
    assert_eq!(golden["secret_key"], SECRET);
    assert_eq!((golden["region"].as_str(), golden["now"].as_str()), (Some(REGION), Some(NOW)));
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let read = |one: &serde_json::Value| {
        let headers = one["headers"].as_array().unwrap().iter();
        let request = Request {
            method: text(&one["method"]),
            path: text(&one["path"]),
            query: text(&one["query"]),
            headers: headers.map(|pair| (text(&pair[0]), text(&pair[1]).into_bytes())).collect(),
        };
        (text(&one["name"]), request, one["body"].as_str().map(str::to_owned))
    };
    golden["requests"].as_array().unwrap().iter().map(read).collect()
}

#[test]
fn every_request_that_botocore_signed_verifies() {
    let requests = requests();
    assert!(requests.len() > 150);
    for (name, request, body) in requests {
        let verified =
            verify(&request).unwrap_or_else(|error| panic!("{name}: {error} {:?}", error.fields()));
        let Authenticated::Signed(signed) = verified else { panic!("{name}: anonymous") };
        let presigned = request.query.contains("X-Amz-Signature");
        assert_eq!(signed.via, if presigned { Via::Query } else { Via::Header }, "{name}");
        let body = body.unwrap_or_default().into_bytes();
        match signed.payload {
            Payload::Sha256(hash) => {
                let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &body);
                assert_eq!(digest.as_ref(), hash, "{name}");
            }
            Payload::StreamingUnsignedTrailer => {
                let headers = request.header_map().unwrap();
                let length = decode(&signed.payload, &headers, body);
                assert_eq!(headers["x-amz-decoded-content-length"], length.to_string(), "{name}");
            }
            Payload::Unsigned => assert!(presigned, "{name}"),
            Payload::Streaming(_) => panic!("{name}: botocore signs no chunks"),
        }
    }
}

/// Length of the decoded body; there must be a checksum behind it.
fn decode(payload: &Payload, headers: &HeaderMap, body: Vec<u8>) -> usize {
    let mut decoder = Decoder::for_request(payload, headers).unwrap().unwrap();
    let (mut input, mut length) = (Bytes::from(body), 0);
    loop {
        match decoder.push(&mut input).unwrap() {
            Event::Data(data) => length += data.len(),
            Event::NeedMore => panic!("ended early"),
            Event::End { trailers } => {
                assert_eq!(trailers.len(), 1);
                assert!(trailers.keys().all(|name| name.as_str().starts_with("x-amz-checksum-")));
                break;
            }
        }
    }
    assert!(input.is_empty());
    decoder.finish().unwrap();
    length
}

#[test]
fn our_signer_makes_the_same_signatures_as_botocore() {
    let mut compared = 0;
    for (name, request, _) in requests() {
        let Some(authorization) = request.header("authorization") else { continue };
        if !name.starts_with("header") {
            continue;
        }
        let uri = format!("http://127.0.0.1:9000{}?{}", request.path, request.query);
        let mut builder = http::Request::builder().method(request.method.as_str());
        builder = builder.uri(uri.trim_end_matches('?'));
        for (name, value) in &request.headers {
            if !["authorization", "x-amz-date", "x-amz-content-sha256", "content-length"]
                .contains(&name.as_str())
            {
                builder = builder.header(name, value.as_slice());
            }
        }
        let mut parts = builder.body(()).unwrap().into_parts().0;
        let mut hash = [0; 32];
        hex::decode_to_slice(request.header("x-amz-content-sha256").unwrap(), &mut hash).unwrap();
        signer().sign(&mut parts, PayloadHash::Sha256(hash), time(NOW)).unwrap();
        let ours = parts.headers["authorization"].to_str().unwrap();
        let list =
            |text: &str| text.split("SignedHeaders=").nth(1).unwrap().split(',').next().unwrap().to_owned();
        if list(ours) == list(&authorization) {
            assert_eq!(ours, authorization, "{name}");
            compared += 1;
        }
    }
    assert!(compared > 80, "only {compared} were comparable");
}
