//! AWS's own published chunked upload, whole and split anywhere.

use super::{ChunkError, Decoder, Event};
use crate::sigv4::Authenticated;
use crate::sigv4::tests::{check, headers};
use bytes::Bytes;
use http::HeaderMap;

const CHUNKS: [(usize, &str); 3] = [
    (65_536, "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648"),
    (1024, "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497"),
    (0, "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"),
];

fn published_body() -> Bytes {
    let mut body = Vec::new();
    for (size, signature) in CHUNKS {
        body.extend_from_slice(format!("{size:x};chunk-signature={signature}\r\n").as_bytes());
        body.extend(std::iter::repeat_n(b'a', size));
        body.extend_from_slice(b"\r\n");
    }
    body.into()
}

fn published_decoder() -> Decoder {
    let head = headers(&[
        ("host", "s3.amazonaws.com"),
        ("x-amz-date", "20130524T000000Z"),
        ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
        (
            "authorization",
            "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,SignedHeaders=\
             content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;\
             x-amz-storage-class,Signature=4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
        ),
        ("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"),
        ("content-encoding", "aws-chunked"),
        ("x-amz-decoded-content-length", "66560"),
        ("content-length", "66824"),
    ]);
    let verified = check("PUT", "/examplebucket/chunkObject.txt", "", &head, "20130524T000000Z").unwrap();
    let Authenticated::Signed(signed) = verified else { panic!("anonymous") };
    Decoder::for_request(&signed.payload, &head).unwrap().unwrap()
}

/// Pushes pieces of at most `piece` bytes; the data and the trailers that came out.
fn decode(
    mut decoder: Decoder,
    body: &Bytes,
    mut piece: impl FnMut() -> usize,
) -> Result<(Vec<u8>, HeaderMap), ChunkError> {
    let (mut rest, mut data, mut end) = (body.clone(), Vec::new(), None);
    while !rest.is_empty() {
        let mut input = rest.split_to(piece().clamp(1, rest.len()));
        loop {
            match decoder.push(&mut input)? {
                Event::Data(bytes) => data.extend_from_slice(&bytes),
                Event::NeedMore => break,
                Event::End { trailers } => end = Some(trailers),
            }
        }
        assert!(input.is_empty(), "NeedMore left input behind");
    }
    decoder.finish()?;
    Ok((data, end.expect("an end that finish() agreed to")))
}

#[test]
fn aws_published_example_decodes_however_it_is_split() {
    let body = published_body();
    for piece in [1, 2, 3, 85, 86, 87, 1000, 65_536, usize::MAX] {
        let (data, trailers) = decode(published_decoder(), &body, || piece).unwrap();
        assert_eq!(data, vec![b'a'; 66_560]);
        assert!(trailers.is_empty());
    }
}
