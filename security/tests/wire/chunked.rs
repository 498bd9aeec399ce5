//! aws-chunked bodies: split anywhere, broken anywhere.

use crate::request::{Dice, NOW, rounds, seed, signer, time};
use bytes::Bytes;
use engine::unit::ByteCount;
use http::{HeaderMap, HeaderName};
use security::chunked::{ChunkError, Decoder, Encoder, Event};
use security::sign::PayloadHash;
use security::sigv4::ChunkSeed;

const CHECKSUM: (&str, &str) = ("x-amz-checksum-crc32c", "sOO8/Q==");

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Signed,
    SignedTrailer,
    UnsignedTrailer,
}

const MODES: [Mode; 3] = [Mode::Signed, Mode::SignedTrailer, Mode::UnsignedTrailer];

fn chunk_seed(mode: Mode) -> Option<ChunkSeed> {
    if mode == Mode::UnsignedTrailer {
        return None;
    }
    let mut parts = http::Request::put("http://h/b/k").body(()).unwrap().into_parts().0;
    let payload = PayloadHash::Streaming { trailer: mode == Mode::SignedTrailer };
    Some(signer().sign(&mut parts, payload, time(NOW)).unwrap())
}

fn declared(mode: Mode) -> Vec<HeaderName> {
    if mode == Mode::Signed { Vec::new() } else { vec![CHECKSUM.0.parse().unwrap()] }
}

fn decoder(mode: Mode, length: usize) -> Decoder {
    Decoder::new(chunk_seed(mode), ByteCount::new(length as u64), declared(mode))
}

fn encode(mode: Mode, data: &[u8], chunk: usize) -> Vec<u8> {
    let mut encoder = chunk_seed(mode).map_or_else(Encoder::unsigned, Encoder::signed);
    let trailers: &[(&str, &str)] = if mode == Mode::Signed { &[] } else { &[CHECKSUM] };
    let lengths: Vec<_> = trailers.iter().map(|(name, value)| (name.len(), value.len())).collect();
    let length = encoder.encoded_length(data.len() as u64, chunk as u64, &lengths);
    let mut out = Vec::new();
    for piece in data.chunks(chunk) {
        out.extend_from_slice(&encoder.head(piece));
        out.extend_from_slice(piece);
        out.extend_from_slice(Encoder::AFTER_DATA);
    }
    out.extend_from_slice(&encoder.finish(trailers));
    assert_eq!(out.len() as u64, length, "the announced length is the real one");
    out
}

/// All data and the trailers, or why not. `piece` says how much is pushed at a time.
fn decode(
    mut decoder: Decoder,
    body: &[u8],
    mut piece: impl FnMut() -> usize,
) -> Result<(Vec<u8>, HeaderMap), ChunkError> {
    let mut rest = Bytes::copy_from_slice(body);
    let (mut data, mut end) = (Vec::new(), None);
    while !rest.is_empty() {
        let mut input = rest.split_to(piece().clamp(1, rest.len()));
        loop {
            match decoder.push(&mut input)? {
                Event::Data(bytes) => data.extend_from_slice(&bytes),
                Event::NeedMore => break,
                Event::End { trailers } => end = Some(trailers),
            }
        }
        assert!(input.is_empty(), "input was left behind");
    }
    decoder.finish()?;
    Ok((data, end.expect("finish() agreed to an end")))
}

fn sample(length: usize, dice: &mut Dice) -> Vec<u8> {
    (0..length).map(|_| dice.byte()).collect()
}

#[test]
fn bodies_decode_however_they_are_split() {
    let mut dice = Dice::new(seed());
    for _ in 0..rounds(300) {
        let mode = MODES[dice.below(3)];
        let length = dice.below(40_000);
        let data = sample(length, &mut dice);
        let chunk = 8192 + dice.below(20_000);
        let body = encode(mode, &data, chunk);
        let most = 1 + dice.below(5000);
        let (decoded, trailers) = decode(decoder(mode, length), &body, || 1 + dice.below(most)).unwrap();
        assert!(decoded == data, "{mode:?}, {length} bytes in chunks of {chunk}");
        assert_eq!(trailers.len(), declared(mode).len());
        assert!(trailers.iter().all(|(name, value)| (name.as_str(), value.to_str().unwrap()) == CHECKSUM));
    }
}

#[test]
fn a_signed_body_with_one_byte_changed_is_refused() {
    let mut dice = Dice::new(seed());
    for mode in [Mode::Signed, Mode::SignedTrailer] {
        let data = sample(20_000, &mut dice);
        let body = encode(mode, &data, 9000);
        for _ in 0..rounds(3000) {
            let mut bad = body.clone();
            let at = dice.below(bad.len());
            let before = bad[at];
            bad[at] = dice.byte();
            match decode(decoder(mode, data.len()), &bad, || 4096) {
                // The case of a size or of a trailer's name means nothing; all else is refused.
                Ok((decoded, _)) => {
                    assert!(
                        decoded == data && bad[at].eq_ignore_ascii_case(&before),
                        "byte {at} of {mode:?}"
                    );
                }
                Err(error) => assert!(error.status().is_client_error()),
            }
        }
    }
}

#[test]
fn a_truncated_body_never_ends_well() {
    for mode in MODES {
        let body = encode(mode, &[7; 10_000], 8192);
        for cut in (0..200).chain(body.len() - 250..body.len()) {
            let error = decode(decoder(mode, 10_000), &body[..cut], || 777).unwrap_err();
            assert_eq!(error, ChunkError::Incomplete, "{mode:?} cut at {cut}");
            assert_eq!(error.code(), "IncompleteBody");
        }
        let mut longer = body;
        longer.push(b'x');
        assert!(matches!(decode(decoder(mode, 10_000), &longer, || 777), Err(ChunkError::Malformed(_))));
    }
}

#[test]
fn the_declared_length_is_enforced_both_ways() {
    for mode in MODES {
        let body = encode(mode, &[7; 10_000], 10_000);
        for length in [0, 1, 9999, 10_001, usize::MAX] {
            let outcome = decode(decoder(mode, length), &body, || 777);
            assert_eq!(outcome.unwrap_err(), ChunkError::Incomplete, "{mode:?} {length}");
        }
    }
    // More than declared is refused by the header, before any of the data comes out.
    let mut input = Bytes::from_static(b"ffffffffffffffff\r\nxxxx");
    assert_eq!(decoder(Mode::UnsignedTrailer, 4).push(&mut input).unwrap_err(), ChunkError::Incomplete);
}

#[test]
fn only_the_last_chunk_may_be_short() {
    for mode in MODES {
        let body = encode(mode, &[7; 8191 * 2], 8191);
        let error = decode(decoder(mode, 8191 * 2), &body, || 777).unwrap_err();
        assert_eq!((error, error.code()), (ChunkError::ShortChunk, "InvalidChunkSizeError"));
        let body = encode(mode, &[7; 8192 * 2], 8192);
        decode(decoder(mode, 8192 * 2), &body, || 777).unwrap();
    }
}

#[test]
fn broken_framing_is_refused_with_the_right_code() {
    let long = "1".repeat(2000);
    let long_trailer = format!("0\r\n{}:{}\r\n\r\n", CHECKSUM.0, "x".repeat(20_000));
    for (body, code) in [
        ("\r\n", "InvalidRequest"),
        ("x\r\n", "InvalidRequest"),
        ("-1\r\n", "InvalidRequest"),
        ("0x5\r\nhello\r\n", "InvalidRequest"),
        ("5 \r\nhello\r\n", "InvalidRequest"),
        ("5\nhello\n", "InvalidRequest"),
        ("00000000000000005\r\nhello\r\n", "InvalidRequest"),
        ("5;ext=1\r\nhello\r\n", "InvalidRequest"),
        ("5\r\nhelloo\r\n", "InvalidRequest"),
        ("5\r\nhelloXX0\r\n", "InvalidRequest"),
        (&long, "InvalidRequest"),
        ("5\r\nhello\r\n0\r\n\r\n", "MalformedTrailerError"),
        ("5\r\nhello\r\n0\r\nno colon\r\n\r\n", "MalformedTrailerError"),
        ("5\r\nhello\r\n0\r\nx-amz-checksum-sha1:x\r\n\r\n", "MalformedTrailerError"),
        ("5\r\nhello\r\n0\r\nx-amz-acl:public-read\r\n\r\n", "MalformedTrailerError"),
        (
            "5\r\nhello\r\n0\r\nx-amz-checksum-crc32c:x\r\nx-amz-checksum-crc32c:x\r\n\r\n",
            "MalformedTrailerError",
        ),
        // Beside the declared one, too.
        ("5\r\nhello\r\n0\r\nx-amz-checksum-crc32c:x\r\nx-amz-acl:private\r\n\r\n", "MalformedTrailerError"),
        ("5\r\nhello\r\n0\r\nx-amz-checksum-crc32c:x\n\n", "MalformedTrailerError"),
        ("5\r\nhello\r\n0\r\nx-amz-checksum-crc32c:x\n\r\n", "IncompleteBody"),
        ("5\r\nhello\r\n0\r\nx amz:x\r\n\r\n", "MalformedTrailerError"),
    ] {
        for piece in [1, 7, 100_000] {
            let outcome = decode(decoder(Mode::UnsignedTrailer, 5), body.as_bytes(), || piece);
            assert_eq!(outcome.unwrap_err().code(), code, "{body:?} by {piece}");
        }
    }
    let outcome = decode(decoder(Mode::UnsignedTrailer, 0), long_trailer.as_bytes(), || 100);
    assert_eq!(outcome.unwrap_err().code(), "MalformedTrailerError");
}

#[test]
fn a_signed_body_needs_every_signature() {
    let body = encode(Mode::Signed, b"hello", 9000);
    let text = String::from_utf8(body).unwrap();
    let stripped = text.replace(";chunk-signature=", ";chunk-signaturx=");
    let outcome = decode(decoder(Mode::Signed, 5), stripped.as_bytes(), || 50);
    assert!(matches!(outcome, Err(ChunkError::Malformed(_))));
    let other = decode(decoder(Mode::SignedTrailer, 5), text.as_bytes(), || 50);
    assert_eq!(other.unwrap_err(), ChunkError::Signature, "the seed is another one");

    let body = String::from_utf8(encode(Mode::SignedTrailer, b"hello", 9000)).unwrap();
    let (before, _) = body.split_once("x-amz-trailer-signature").unwrap();
    let unsigned = format!("{before}\r\n");
    assert!(matches!(
        decode(decoder(Mode::SignedTrailer, 5), unsigned.as_bytes(), || 50),
        Err(ChunkError::Trailer(_))
    ));
    let late = body.replace("\r\n\r\n", "\r\nx-amz-checksum-crc32c:y\r\n\r\n");
    assert!(matches!(
        decode(decoder(Mode::SignedTrailer, 5), late.as_bytes(), || 50),
        Err(ChunkError::Trailer(_))
    ));
}

#[test]
fn trailers_that_end_as_in_the_aws_documentation_are_taken() {
    for mode in [Mode::SignedTrailer, Mode::UnsignedTrailer] {
        let body = String::from_utf8(encode(mode, b"hello", 9000)).unwrap();
        // `name:value LF CR LF`, then the signature's line or the empty one.
        let documented = body.replace("sOO8/Q==\r\n", "sOO8/Q==\n\r\n");
        assert_ne!(documented, body);
        for piece in [1, 2, 1000] {
            let (data, trailers) = decode(decoder(mode, 5), documented.as_bytes(), || piece).unwrap();
            assert_eq!(data, b"hello");
            assert_eq!(trailers[CHECKSUM.0], CHECKSUM.1);
        }
    }
}

#[test]
fn an_error_stays_an_error() {
    let mut decoder = decoder(Mode::UnsignedTrailer, 5);
    let mut input = Bytes::from_static(b"zz\r\n");
    let first = decoder.push(&mut input).unwrap_err();
    let mut good = Bytes::from_static(b"5\r\nhello\r\n");
    assert_eq!(decoder.push(&mut good).unwrap_err(), first);
    assert_eq!(decoder.finish().unwrap_err(), first);
}

#[test]
fn what_declares_a_chunked_body_is_checked() {
    let headers = |pairs: &[(&str, &str)]| {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
        }
        map
    };
    let length = ("x-amz-decoded-content-length", "5");
    let payload = security::sigv4::Payload::StreamingUnsignedTrailer;
    for (pairs, code) in [
        (vec![], Some("MissingContentLength")),
        (vec![("x-amz-decoded-content-length", "-5")], Some("MissingContentLength")),
        (vec![("x-amz-decoded-content-length", "+5")], Some("MissingContentLength")),
        (vec![("x-amz-decoded-content-length", "99999999999999999999")], Some("MissingContentLength")),
        (vec![length], None),
        (vec![length, ("x-amz-trailer", "x-amz-checksum-crc32c")], None),
        (vec![length, ("x-amz-trailer", "x-amz-checksum-crc32c, x-amz-checksum-sha256")], None),
        (vec![length, ("x-amz-trailer", "x-amz-acl")], Some("InvalidRequest")),
        (
            vec![length, ("x-amz-trailer", "x-amz-checksum-crc32c,x-amz-checksum-crc32c")],
            Some("InvalidRequest"),
        ),
        (vec![length, ("x-amz-trailer", "not a name")], Some("InvalidRequest")),
    ] {
        let outcome = Decoder::for_request(&payload, &headers(&pairs));
        assert_eq!(outcome.err().map(ChunkError::code), code, "{pairs:?}");
    }
    let plain = security::sigv4::Payload::Unsigned;
    assert!(Decoder::for_request(&plain, &headers(&[])).unwrap().is_none());
}

#[test]
fn a_large_chunk_streams_through_without_being_kept() {
    let (chunk, piece) = (16 << 20, 64 << 10);
    let data = vec![9; chunk];
    let body = Bytes::from(encode(Mode::Signed, &data, chunk));
    let mut decoder = decoder(Mode::Signed, chunk);
    let (mut rest, mut total) = (body.clone(), 0);
    while !rest.is_empty() {
        let mut input = rest.split_to(piece.min(rest.len()));
        while let Event::Data(data) = decoder.push(&mut input).unwrap() {
            assert!(data.len() <= piece);
            // A part of the input, not a copy.
            assert!(body.as_ptr_range().contains(&data.as_ptr()));
            total += data.len();
        }
    }
    decoder.finish().unwrap();
    assert_eq!(total, chunk);
}

#[test]
fn a_trailer_is_signed_once() {
    let whole = encode(Mode::SignedTrailer, b"hello", 5);
    let text = String::from_utf8(whole).unwrap();
    decode(decoder(Mode::SignedTrailer, 5), text.as_bytes(), || 9).unwrap();
    let name = "x-amz-trailer-signature:";
    // The right signature is the last one.
    let twice = text.replace(name, &format!("{name}{}\r\n{name}", "0".repeat(64)));
    let outcome = decode(decoder(Mode::SignedTrailer, 5), twice.as_bytes(), || 9);
    assert_eq!(outcome.unwrap_err().code(), "MalformedTrailerError");
}

#[test]
fn the_number_of_declared_trailers_is_bounded() {
    let payload = security::sigv4::Payload::StreamingUnsignedTrailer;
    for (count, fits) in [(16, true), (17, false)] {
        let names: Vec<_> = (0..count).map(|n| format!("x-amz-checksum-{n}")).collect();
        let mut headers = HeaderMap::new();
        headers.insert("x-amz-decoded-content-length", "5".parse().unwrap());
        headers.insert("x-amz-trailer", names.join(",").parse().unwrap());
        assert_eq!(Decoder::for_request(&payload, &headers).is_ok(), fits, "{count}");
    }
}
