//! What the headers of a request say, and what is refused.

use super::{
    Digests, class_of_entry, copy_source_range, delete_conditions, digits, metadata, range, read_conditions,
    storage_class, text, write_conditions,
};
use engine::unit::ByteCount;
use http::HeaderMap;
use objectstore::{ChecksumAlgorithm, ETag, RangeSpec};

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(*name, value.parse().unwrap());
    }
    headers
}

#[test]
fn ranges_of_one_piece_are_read_and_others_are_none() {
    let read = |value| range(&headers(&[("range", value)]));
    assert_eq!(read("bytes=0-0"), Some(RangeSpec::From { first: 0, last: Some(0) }));
    assert_eq!(read("bytes=5-"), Some(RangeSpec::From { first: 5, last: None }));
    assert_eq!(read("BYTES = -7"), Some(RangeSpec::Suffix(7)));
    let beyond = "bytes=0-99999999999999999999";
    assert_eq!(read(beyond), Some(RangeSpec::From { first: 0, last: Some(u64::MAX) }));
    for bad in ["bytes=", "bytes=-", "bytes=2-1", "bytes=0-1,3-4", "items=0-1", "bytes=a-b", "bytes=+1-2"] {
        assert_eq!(read(bad), None, "{bad}");
    }
    let copy = |value| copy_source_range(&headers(&[("x-amz-copy-source-range", value)]));
    assert!(copy("bytes=0-4").unwrap().is_some());
    for bad in ["0-4", "bytes=0-", "bytes=-4", "bytes=4-0", "bytes=0-1,2-3"] {
        assert_eq!(copy(bad).unwrap_err().code(), "InvalidArgument", "{bad}");
    }
}

#[test]
fn metadata_keeps_what_is_the_objects_and_drops_what_is_the_transfers() {
    let read = metadata(&headers(&[
        ("content-encoding", "aws-chunked,gzip"),
        ("content-type", "text/plain"),
        ("x-amz-meta-colour", " blue "),
        ("x-amz-meta-", "nameless"),
    ]))
    .unwrap();
    assert_eq!(read.system.content_encoding.as_deref(), Some("gzip"));
    assert_eq!(read.user.get("colour").map(String::as_str), Some("blue"));
    assert_eq!(read.user.len(), 1);
    let alone = metadata(&headers(&[("content-encoding", "aws-chunked")])).unwrap();
    assert_eq!(alone.system.content_encoding, None);
    for (sent, stored) in
        [("deflate, gzip", "deflate, gzip"), ("br,gzip", "br,gzip"), ("br,AWS-Chunked,gzip", "br, gzip")]
    {
        let read = metadata(&headers(&[("content-encoding", sent)])).unwrap();
        assert_eq!(read.system.content_encoding.as_deref(), Some(stored));
    }
}

#[test]
fn checksums_stand_once_and_agree_with_their_names() {
    let crc = ("x-amz-checksum-crc32", "AAAAAA==");
    let read = Digests::of(&headers(&[crc, ("x-amz-sdk-checksum-algorithm", "CRC32")])).unwrap();
    assert_eq!(read.algorithm, Some(ChecksumAlgorithm::Crc32));
    assert!(read.checksum.is_some() && read.prove());
    let trailer = Digests::of(&headers(&[("x-amz-trailer", "x-amz-checksum-sha256")])).unwrap();
    assert_eq!((trailer.algorithm, trailer.checksum), (Some(ChecksumAlgorithm::Sha256), None));
    let behind = headers(&[crc]);
    assert!(trailer.prove() && !Digests::default().prove());
    assert_eq!(
        Digests::default().expect(&behind).unwrap().checksum,
        read.checksum,
        "as it comes behind the body"
    );
    assert_eq!(read.expect(&HeaderMap::new()).unwrap().checksum, read.checksum, "as it stands in the header");
    assert_eq!(trailer.expect(&HeaderMap::new()).unwrap_err().code(), "InvalidRequest", "it never came");
    assert!(Digests::default().expect(&HeaderMap::new()).unwrap().checksum.is_none(), "none was announced");
    for bad in [
        &[crc, ("x-amz-checksum-sha1", "2jmj7l5rSw0yVb/vlWAYkK/YBwk=")][..],
        &[crc, ("x-amz-sdk-checksum-algorithm", "SHA1")],
        &[crc, ("x-amz-trailer", "x-amz-checksum-crc32c")],
        &[("x-amz-sdk-checksum-algorithm", "CRC32")],
        &[("x-amz-sdk-checksum-algorithm", "CRC31")],
    ] {
        assert_eq!(Digests::of(&headers(bad)).unwrap_err().code(), "InvalidRequest", "{bad:?}");
    }
    let unreadable = Digests::of(&headers(&[("x-amz-checksum-crc32", "AAAA")])).unwrap_err();
    assert_eq!(unreadable.code(), "BadDigest", "no body has it");
}

#[test]
fn what_is_not_understood_is_refused() {
    assert_eq!(Digests::of(&headers(&[("content-md5", "x")])).unwrap_err().code(), "InvalidDigest");
    let class = |name| storage_class(&headers(&[("x-amz-storage-class", name)]));
    assert!(class("STANDARD_IA").unwrap().is_some());
    assert_eq!(class("FROZEN").unwrap_err().code(), "InvalidStorageClass");
    assert!(class("GLACIER").unwrap().unwrap().is_archived());
    let of_entry = class_of_entry(&headers(&[("x-amz-storage-class", "GLACIER")]));
    assert_eq!(of_entry.unwrap_err().code(), "NotImplemented");
    let conditions = |pairs| write_conditions(&headers(pairs)).map_err(|error| error.code());
    assert!(conditions(&[("if-none-match", "*")]).unwrap().if_none_match.is_some());
    assert_eq!(conditions(&[("if-none-match", "*"), ("if-match", "*")]), Err("NotImplemented"));
    let delete = |name, value| delete_conditions(&headers(&[(name, value)])).map_err(|error| error.code());
    assert_eq!(delete("x-amz-if-match-size", "7").unwrap().if_size.map(ByteCount::get), Some(7));
    for bad in ["", "+7", "x", "99999999999999999999"] {
        assert_eq!(delete("x-amz-if-match-size", bad), Err("InvalidArgument"), "{bad}");
    }
    assert_eq!(delete("x-amz-if-match-last-modified-time", "yesterday"), Err("InvalidArgument"));
    assert_eq!(delete("if-none-match", "*"), Err("NotImplemented"));
}

#[test]
fn a_header_that_stands_twice_is_a_list_or_is_refused() {
    let twice = |name, one, two| headers(&[(name, one), (name, two)]);
    for name in ["content-md5", "content-type", "x-amz-copy-source", "if-modified-since", "expires"] {
        assert_eq!(text(&twice(name, "a", "b"), name).unwrap_err().code(), "InvalidArgument", "{name}");
    }
    let stored = metadata(&twice("cache-control", "no-cache", "private")).unwrap();
    assert_eq!(stored.system.cache_control.as_deref(), Some("no-cache, private"));
    assert_eq!(range(&twice("range", "bytes=0-0", "bytes=1-1")), None);
    // The second line guards as the first does.
    let (one, two) = (ETag::of_body([1; 16]), ETag::of_body([2; 16]));
    let tags = [format!("\"{one}\""), format!("W/\"{two}\"")];
    let known = write_conditions(&twice("if-none-match", &tags[0], &tags[1])).unwrap().if_none_match.unwrap();
    assert!(known.matches(&one) && known.matches(&two));
    let wanted = read_conditions(&twice("if-match", &tags[0], &tags[1])).unwrap().if_match.unwrap();
    assert!(wanted.matches(&one) && !wanted.matches(&two), "a weak tag is not the same bytes");
}

#[test]
fn numbers_are_digits() {
    assert_eq!(digits::<u32>("0017"), Some(17));
    for bad in ["", "+5", "-5", " 5", "5 ", "0x5", "5.0", "\u{665}", "4294967296"] {
        assert_eq!(digits::<u32>(bad), None, "{bad}");
    }
}
