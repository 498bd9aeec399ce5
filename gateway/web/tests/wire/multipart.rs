//! Multipart uploads on the wire: parts sent again, and completions that name other parts than those that are there.

#![expect(clippy::unwrap_used, reason = "a test's world fails loudly")]

use crate::world::{Answer, Client, World, call};
use std::fmt::Write as _;

async fn begin(world: &World, client: &mut Client, headers: &[(&str, &str)]) -> String {
    call(world, client, ("PUT", "/bucket"), &[], b"").await;
    let begun = call(world, client, ("POST", "/bucket/k?uploads="), headers, b"").await;
    begun.text().split("<UploadId>").nth(1).unwrap().split('<').next().unwrap().to_owned()
}

/// Completes with parts given as number, tag and further elements.
async fn complete(world: &World, client: &mut Client, id: &str, parts: &[(u16, &str, &str)]) -> Answer {
    let mut document = "<CompleteMultipartUpload>".to_owned();
    for (number, etag, more) in parts {
        write!(document, "<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag>{more}</Part>").unwrap();
    }
    document.push_str("</CompleteMultipartUpload>");
    let path = format!("/bucket/k?uploadId={id}");
    call(world, client, ("POST", &path), &[], document.as_bytes()).await
}

/// Sends of one part overlap: whichever ends last is the part.
#[tokio::test]
async fn of_a_part_sent_twice_the_one_that_finishes_last_counts() {
    let world = World::new().await;
    let mut client = world.connect().await;
    let id = begin(&world, &mut client, &[]).await;
    let path = format!("/bucket/k?partNumber=1&uploadId={id}");
    let mut slow = world.connect().await;
    let first = world.signed("PUT", &path, &[("expect", "100-continue")], b"AAAAAAAA");
    let (head, body) = first.split_at(first.len() - 8);
    slow.send(head).await;
    assert_eq!(slow.answer().await.unwrap().status, 100, "begun before the other one");
    slow.send(&body[..4]).await;
    let second = call(&world, &mut client, ("PUT", &path), &[], b"BBBBBBBB").await;
    let second = second.header("etag").unwrap().to_owned();
    slow.send(&body[4..]).await;
    let first = slow.answer().await.unwrap().header("etag").unwrap().to_owned();
    let replaced = complete(&world, &mut client, &id, &[(1, &second, "")]).await;
    assert_eq!((replaced.status, replaced.code()), (400, "InvalidPart"));
    // A number stands once in a completion, whatever was sent how often.
    let doubled = complete(&world, &mut client, &id, &[(1, &second, ""), (1, &first, "")]).await;
    assert_eq!((doubled.status, doubled.code()), (400, "InvalidPartOrder"));
    assert_eq!(complete(&world, &mut client, &id, &[(1, &first, "")]).await.status, 200);
    assert_eq!(call(&world, &mut client, ("GET", "/bucket/k"), &[], b"").await.body, b"AAAAAAAA");
}

#[tokio::test]
async fn a_completion_names_its_parts_by_their_checksums_too() {
    // CRC-32 and SHA-1 of "a", CRC-32 of "b".
    const SUM: &str = "<ChecksumCRC32>6Le+Qw==</ChecksumCRC32>";
    const OTHER: &str = "<ChecksumCRC32>cb7v+Q==</ChecksumCRC32>";
    const SHA1: &str = "<ChecksumSHA1>hvfkN/qlp/zhXR3cuerq6jd2Z7g=</ChecksumSHA1>";
    let world = World::new().await;
    let mut client = world.connect().await;
    let id = begin(&world, &mut client, &[("x-amz-checksum-algorithm", "CRC32")]).await;
    let path = format!("/bucket/k?partNumber=1&uploadId={id}");
    let sums = [("x-amz-checksum-crc32", "6Le+Qw==")];
    let etag = call(&world, &mut client, ("PUT", &path), &sums, b"a").await;
    let etag = etag.header("etag").unwrap().to_owned();
    for (more, status, code) in [
        (OTHER, 400, "InvalidPart"),
        (SHA1, 400, "InvalidPart"),
        ("<ChecksumCRC32>x</ChecksumCRC32>", 400, "InvalidRequest"),
        ("<ChecksumCRC99>x</ChecksumCRC99>", 400, "MalformedXML"),
        (&SUM.repeat(2), 400, "MalformedXML"),
        (SUM, 200, ""),
    ] {
        let answer = complete(&world, &mut client, &id, &[(1, &etag, more)]).await;
        assert_eq!((answer.status, answer.code()), (status, code), "{more}");
    }
    assert_eq!(call(&world, &mut client, ("GET", "/bucket/k"), &[], b"").await.body, b"a");
}
