//! Completions and copies that take long.

#![expect(clippy::unwrap_used, reason = "a test's world fails loudly")]

use crate::while_time_passes;
use crate::world::{Client, World, call};
use engine::clock::Clock as _;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};

/// A part that waits for its completion: the request's path and document.
pub(crate) async fn one_part<S: AsyncRead + AsyncWrite + Unpin>(
    world: &World,
    client: &mut Client<S>,
) -> (String, String) {
    one_part_of(world, client, &[]).await
}

/// The same, of an upload that has such headers.
pub(crate) async fn one_part_of<S: AsyncRead + AsyncWrite + Unpin>(
    world: &World,
    client: &mut Client<S>,
    headers: &[(&str, &str)],
) -> (String, String) {
    let begun = call(world, client, ("POST", "/bucket/k?uploads="), headers, b"").await;
    let id = begun.text().split("<UploadId>").nth(1).unwrap().split('<').next().unwrap().to_owned();
    let path = format!("/bucket/k?partNumber=1&uploadId={id}");
    let etag =
        call(world, client, ("PUT", &path), headers, b"hello").await.header("etag").unwrap().to_owned();
    let document = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part></CompleteMultipartUpload>"
    );
    (format!("/bucket/k?uploadId={id}"), document)
}

/// Sends a request that finds the catalog shut, hears white space, opens the catalog and reads the rest.
async fn heard_late(
    world: &World,
    client: &mut Client,
    request: (&str, &str),
    headers: &[(&str, &str)],
    body: &[u8],
) -> String {
    world.gate.set_open(false);
    let earliest = world.clock.boottime() + Duration::from_secs(5);
    client.send(&world.signed(request.0, request.1, headers, body)).await;
    let answer = while_time_passes(world, client.head()).await.unwrap();
    assert_eq!((answer.status, answer.header("transfer-encoding")), (200, Some("chunked")), "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/xml"));
    assert!(world.clock.boottime() >= earliest, "only what takes long is answered so");
    let mut heard = while_time_passes(world, client.chunk()).await;
    assert_eq!(heard, b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    for _ in 0..3 {
        let space = while_time_passes(world, client.chunk()).await;
        assert_eq!(space, b" ");
        heard.extend(space);
    }
    world.gate.set_open(true);
    loop {
        let chunk = client.chunk().await;
        if chunk.is_empty() {
            return String::from_utf8(heard).unwrap();
        }
        heard.extend(chunk);
    }
}

#[tokio::test]
async fn a_long_completion_is_heard_of_until_it_is_done() {
    let world = World::new().await;
    let mut client = world.with_bucket().await;
    let (path, document) = one_part(&world, &mut client).await;
    let heard = heard_late(&world, &mut client, ("POST", &path), &[], document.as_bytes()).await;
    let root = heard.split_once("?>\n").unwrap().1.trim_start();
    assert!(root.starts_with("<CompleteMultipartUploadResult xmlns="), "{heard}");
    assert!(root.contains("<Key>k</Key>") && !root.contains("<?xml"), "{heard}");
    // The connection goes on, and a quick repetition has a status of its own.
    let again = call(&world, &mut client, ("POST", &path), &[], document.as_bytes()).await;
    assert_eq!(again.status, 200);
    assert_eq!(call(&world, &mut client, ("GET", "/bucket/k"), &[], b"").await.body, b"hello");
    let wrong = document.replace("<PartNumber>1<", "<PartNumber>2<");
    let refused = call(&world, &mut client, ("POST", &path), &[], wrong.as_bytes()).await;
    assert_eq!((refused.status, refused.code()), (404, "NoSuchUpload"));
}

#[tokio::test]
async fn a_long_completion_or_copy_that_fails_says_so_in_its_200() {
    let world = World::new().await;
    let mut client = world.with_bucket().await;
    let (path, document) = one_part(&world, &mut client).await;
    let wrong = document.replace("<PartNumber>1<", "<PartNumber>2<");
    let heard = heard_late(&world, &mut client, ("POST", &path), &[], wrong.as_bytes()).await;
    assert!(heard.contains("<Error><Code>InvalidPart</Code>"), "{heard}");
    assert!(heard.contains("<RequestId>") && heard.contains("<PartNumber>2</PartNumber>"), "{heard}");
    let copies = [("x-amz-copy-source", "bucket/none")];
    let heard = heard_late(&world, &mut client, ("PUT", "/bucket/copy"), &copies, b"").await;
    assert!(heard.contains("<Error><Code>NoSuchKey</Code>"), "{heard}");
    // The upload is as it was.
    assert_eq!(call(&world, &mut client, ("POST", &path), &[], document.as_bytes()).await.status, 200);
    let copies = [("x-amz-copy-source", "bucket/k")];
    let heard = heard_late(&world, &mut client, ("PUT", "/bucket/copy"), &copies, b"").await;
    assert!(heard.contains("<CopyObjectResult xmlns="), "{heard}");
}
