//! Listings on the wire: names that need encoding, in every place where a listing says a name.

#![expect(clippy::unwrap_used, reason = "a test's world fails loudly")]

use crate::world::{Answer, Client, World, call};
use std::fmt::Write as _;

/// In order of their bytes.
const KEYS: [&str; 12] =
    ["\u{1}", "\r\n", " leading", "..", "a b", "a%2Fb", "a&<>\"'", "a+b", "a//b", "a/b", "~!*()", "é/日本"];

fn encode(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        write!(out, "%{byte:02X}").unwrap();
        out
    })
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let escaped = (first == b'%').then(|| std::str::from_utf8(&tail[..2]).unwrap());
        bytes.push(escaped.map_or(first, |digits| u8::from_str_radix(digits, 16).unwrap()));
        rest = &tail[if escaped.is_some() { 2 } else { 0 }..];
    }
    String::from_utf8(bytes).unwrap()
}

/// The text of each element of this name.
fn all(answer: &Answer, element: &str) -> Vec<String> {
    let (start, end) = (format!("<{element}>"), format!("</{element}>"));
    let parts = answer.text().split(&start).skip(1);
    parts.map(|part| part.split_once(&end).unwrap().0.to_owned()).collect()
}

async fn filled(world: &World, client: &mut Client) {
    call(world, client, ("PUT", "/bucket"), &[], b"").await;
    for key in KEYS {
        let path = format!("/bucket/{}", encode(key));
        assert_eq!(call(world, client, ("PUT", &path), &[], b"x").await.status, 200, "{key:?}");
        assert_eq!(call(world, client, ("POST", &format!("{path}?uploads=")), &[], b"").await.status, 200);
    }
}

#[tokio::test]
async fn every_key_survives_every_listing_under_encoding_type_url() {
    let world = World::new().await;
    let mut client = world.connect().await;
    filled(&world, &mut client).await;
    for query in ["", "&list-type=2", "&versions=", "&uploads="] {
        let path = format!("/bucket?encoding-type=url{query}");
        let listed = call(&world, &mut client, ("GET", &path), &[], b"").await;
        assert_eq!(listed.status, 200, "{query}");
        let encoded = all(&listed, "Key");
        let clean = |key: &String| key.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.~*/%".contains(&b));
        assert!(encoded.iter().all(clean), "{encoded:?}");
        assert_eq!(encoded.iter().map(|key| decode(key)).collect::<Vec<_>>(), KEYS, "{query}");
        assert!(listed.text().contains("<EncodingType>url</EncodingType>"));
        let refused = call(&world, &mut client, ("GET", &path.replace("=url", "=URL")), &[], b"").await;
        assert_eq!((refused.status, refused.code()), (400, "InvalidArgument"), "{query}");
    }
    let plain = call(&world, &mut client, ("GET", "/bucket?encoding-type="), &[], b"").await;
    assert!(
        !plain.text().contains("EncodingType") && plain.text().contains("<Key>a&amp;&lt;&gt;&quot;'</Key>")
    );
    assert!(plain.text().contains("<Key>&#xd;\n</Key>") && plain.text().contains("<Key>é/日本</Key>"));
}

#[tokio::test]
async fn pages_go_on_where_they_ended_whatever_the_names() {
    let world = World::new().await;
    let mut client = world.connect().await;
    filled(&world, &mut client).await;
    for (query, max, marks) in [
        ("", "max-keys", &[("marker", "NextMarker")][..]),
        ("&list-type=2", "max-keys", &[("continuation-token", "NextContinuationToken")]),
        (
            "&versions=",
            "max-keys",
            &[("key-marker", "NextKeyMarker"), ("version-id-marker", "NextVersionIdMarker")],
        ),
        (
            "&uploads=",
            "max-uploads",
            &[("key-marker", "NextKeyMarker"), ("upload-id-marker", "NextUploadIdMarker")],
        ),
    ] {
        for delimiter in ["", "%2F"] {
            let mut seen = Vec::new();
            let mut after = String::new();
            loop {
                let path = format!("/bucket?encoding-type=url&{max}=1&delimiter={delimiter}{query}{after}");
                let page = call(&world, &mut client, ("GET", &path), &[], b"").await;
                assert_eq!(page.status, 200, "{path}: {}", page.text());
                let keys = all(&page, "Key");
                let prefixes = page.text().split("<CommonPrefixes>").skip(1);
                let prefixes =
                    prefixes.map(|rest| rest.split("</Prefix>").next().unwrap().replace("<Prefix>", ""));
                seen.extend(keys.iter().cloned().chain(prefixes).map(|name| decode(&name)));
                if all(&page, "IsTruncated") != ["true"] {
                    break;
                }
                after.clear();
                for (parameter, element) in marks {
                    // ListObjects names its next marker with a delimiter only; else it is the last key.
                    let next = all(&page, element)
                        .pop()
                        .or_else(|| keys.last().cloned().filter(|_| *parameter == "marker"));
                    // Tokens and ids are not encoded; after a common prefix there is no id.
                    let Some(next) = next else { continue };
                    let named = element.contains("Key") || *parameter == "marker";
                    let next = if named { decode(&next) } else { next };
                    write!(after, "&{parameter}={}", encode(&next)).unwrap();
                }
                assert!(!after.is_empty() && seen.len() <= KEYS.len(), "{path}: {seen:?}");
            }
            let mut expected: Vec<String> = KEYS.iter().map(|key| (*key).to_owned()).collect();
            if !delimiter.is_empty() {
                expected = KEYS
                    .iter()
                    .map(|key| {
                        key.split_once('/').map_or((*key).to_owned(), |(start, _)| format!("{start}/"))
                    })
                    .collect();
                expected.dedup();
            }
            assert_eq!(seen, expected, "{query} {delimiter}");
        }
    }
}

#[tokio::test]
async fn entries_say_their_checksum_and_owner_and_optional_attributes_are_those_of_s3() {
    let world = World::new().await;
    let mut client = world.with_bucket().await;
    let versioning = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
    assert_eq!(call(&world, &mut client, ("PUT", "/bucket?versioning"), &[], versioning).await.status, 200);
    let sha256 = [("x-amz-checksum-sha256", "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=")];
    for (path, headers) in [("/bucket/named", &sha256[..]), ("/bucket/unnamed", &[]), ("/bucket/gone", &[])] {
        let put = call(&world, &mut client, ("PUT", path), headers, b"abc").await;
        assert_eq!(put.status, 200, "{}", put.text());
    }
    assert_eq!(call(&world, &mut client, ("DELETE", "/bucket/gone"), &[], b"").await.status, 204);
    for (query, entry, owners) in [
        ("", "Contents", 2),
        ("?list-type=2", "Contents", 0),
        ("?list-type=2&fetch-owner=true", "Contents", 2),
        ("?list-type=2&fetch-owner=false", "Contents", 0),
        ("?versions", "Version", 4),
    ] {
        for (names, status) in [
            (None, 200),
            (Some("RestoreStatus"), 200),
            (Some("RestoreStatus, RestoreStatus"), 200),
            (Some(""), 200),
            (Some("restorestatus"), 400),
            (Some("RestoreStatus,Tags"), 400),
        ] {
            let headers: Vec<_> =
                names.map(|names| ("x-amz-optional-object-attributes", names)).into_iter().collect();
            let listed = call(&world, &mut client, ("GET", &format!("/bucket{query}")), &headers, b"").await;
            assert_eq!(listed.status, status, "{query} {names:?}: {}", listed.text());
            if status != 200 {
                assert_eq!(listed.code(), "InvalidArgument", "{query} {names:?}");
                assert!(listed.text().contains("<ArgumentName>x-amz-optional-object-attributes<"));
                continue;
            }
            let entries = all(&listed, entry);
            let named = entries.iter().find(|entry| entry.contains("<Key>named<")).unwrap();
            assert!(
                named.contains("<ChecksumAlgorithm>SHA256</ChecksumAlgorithm><ChecksumType>FULL_OBJECT<"),
                "{named}"
            );
            let unnamed = entries.iter().find(|entry| entry.contains("<Key>unnamed<")).unwrap();
            assert!(
                unnamed
                    .contains("<ChecksumAlgorithm>CRC64NVME</ChecksumAlgorithm><ChecksumType>FULL_OBJECT<")
            );
            assert!(
                entries
                    .iter()
                    .all(|entry| entry.contains("<StorageClass>STANDARD<") && entry.contains("<ETag>"))
            );
            assert_eq!(all(&listed, "Owner").len(), owners, "{query}");
            // Nothing was restored: S3 leaves the element out.
            assert!(!listed.text().contains("RestoreStatus"));
        }
    }
}
