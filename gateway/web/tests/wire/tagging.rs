//! Tags on the wire: of buckets and objects, with uploads and copies, counted on reads.

#![expect(clippy::unwrap_used, reason = "a test's world fails loudly")]

use crate::world::{Answer, Client, World, call, content_md5};

const TWO: &str = "<Tagging><TagSet><Tag><Key>b</Key><Value>2</Value></Tag><Tag><Key>a</Key><Value/></Tag></TagSet>\
                   </Tagging>";

/// The tags of an answer, as `key=value` in their order.
fn tags(answer: &Answer) -> Vec<String> {
    let between = |text: &str, name: &str| {
        let start = format!("<{name}>");
        text.split_once(&start).map_or(String::new(), |(_, rest)| rest.split('<').next().unwrap().to_owned())
    };
    let pairs = answer.text().split("<Tag>").skip(1);
    pairs.map(|tag| format!("{}={}", between(tag, "Key"), between(tag, "Value"))).collect()
}

async fn get(world: &World, client: &mut Client, path: &str) -> Answer {
    call(world, client, ("GET", path), &[], b"").await
}

async fn put(world: &World, client: &mut Client, path: &str, document: &str) -> Answer {
    let md5 = content_md5(document.as_bytes());
    call(world, client, ("PUT", path), &[("content-md5", &md5)], document.as_bytes()).await
}

#[tokio::test]
async fn tags_of_a_bucket_are_there_until_they_are_removed() {
    let world = World::new().await;
    let mut client = world.connect().await;
    assert_eq!(put(&world, &mut client, "/bucket?tagging=", TWO).await.code(), "NoSuchBucket");
    call(&world, &mut client, ("PUT", "/bucket"), &[], b"").await;
    assert_eq!(get(&world, &mut client, "/bucket?tagging=").await.code(), "NoSuchTagSet");
    assert_eq!(put(&world, &mut client, "/bucket?tagging=", TWO).await.status, 204);
    assert_eq!(tags(&get(&world, &mut client, "/bucket?tagging=").await), ["a=", "b=2"]);
    // A document without a digest may have been cut short: it changes nothing.
    let bare = call(&world, &mut client, ("PUT", "/bucket?tagging="), &[], TWO.as_bytes()).await;
    assert_eq!(bare.code(), "InvalidRequest");
    for (document, code) in [
        ("<Tagging/>".to_owned(), "MalformedXML"),
        (TWO.replace("<Key>b", "<Key>a"), "InvalidTag"),
        (TWO.replace("<Key>b", "<Key>aws:b"), "InvalidTag"),
        (TWO.replace("<Key>b", &format!("<Key>{}", "b".repeat(129))), "InvalidTag"),
        (String::new(), "MissingRequestBodyError"),
    ] {
        assert_eq!(put(&world, &mut client, "/bucket?tagging=", &document).await.code(), code, "{document}");
    }
    assert_eq!(tags(&get(&world, &mut client, "/bucket?tagging=").await), ["a=", "b=2"]);
    let removed = call(&world, &mut client, ("DELETE", "/bucket?tagging="), &[], b"").await;
    assert_eq!(removed.status, 204);
    assert_eq!(get(&world, &mut client, "/bucket?tagging=").await.code(), "NoSuchTagSet");
    put(&world, &mut client, "/bucket?tagging=", TWO).await;
    put(&world, &mut client, "/bucket?tagging=", "<Tagging><TagSet/></Tagging>").await;
    assert_eq!(get(&world, &mut client, "/bucket?tagging=").await.code(), "NoSuchTagSet");
}

#[tokio::test]
async fn tags_of_an_object_are_its_versions_own_and_counted() {
    let world = World::new().await;
    let mut client = world.with_bucket().await;
    assert_eq!(put(&world, &mut client, "/bucket/key?tagging=", TWO).await.code(), "NoSuchKey");
    let enabled = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
    put(&world, &mut client, "/bucket?versioning=", enabled).await;
    let first = call(&world, &mut client, ("PUT", "/bucket/key"), &[], b"one").await;
    let first = first.header("x-amz-version-id").unwrap().to_owned();
    call(&world, &mut client, ("PUT", "/bucket/key"), &[("x-amz-tagging", "x=%20&y")], b"two").await;
    let of_first = format!("/bucket/key?tagging=&versionId={first}");
    let set = put(&world, &mut client, &of_first, TWO).await;
    assert_eq!((set.status, set.header("x-amz-version-id")), (200, Some(&*first)));
    assert_eq!(tags(&get(&world, &mut client, &of_first).await), ["a=", "b=2"]);
    assert_eq!(tags(&get(&world, &mut client, "/bucket/key?tagging=").await), ["x= ", "y="]);
    for method in ["GET", "HEAD"] {
        let read = call(&world, &mut client, (method, "/bucket/key"), &[], b"").await;
        assert_eq!(read.header("x-amz-tagging-count"), Some("2"), "{method}");
    }
    let removed = call(&world, &mut client, ("DELETE", "/bucket/key?tagging="), &[], b"").await;
    assert_eq!((removed.status, removed.header("x-amz-version-id").is_some()), (204, true));
    let read = call(&world, &mut client, ("HEAD", "/bucket/key"), &[], b"").await;
    assert_eq!(read.header("x-amz-tagging-count"), None);
    assert!(tags(&get(&world, &mut client, "/bucket/key?tagging=").await).is_empty());
    assert_eq!(tags(&get(&world, &mut client, &of_first).await), ["a=", "b=2"], "another version's");
    let twice =
        call(&world, &mut client, ("PUT", "/bucket/key"), &[("x-amz-tagging", "a=1&a=2")], b"3").await;
    assert_eq!(twice.code(), "InvalidArgument");
    let marker = call(&world, &mut client, ("DELETE", "/bucket/key"), &[], b"").await;
    let marker = marker.header("x-amz-version-id").unwrap().to_owned();
    assert_eq!(get(&world, &mut client, "/bucket/key?tagging=").await.code(), "NoSuchKey");
    let of_marker = format!("/bucket/key?tagging=&versionId={marker}");
    assert_eq!(put(&world, &mut client, &of_marker, TWO).await.code(), "MethodNotAllowed");
}

#[tokio::test]
async fn tags_come_along_with_a_copy_or_are_replaced_and_with_an_upload() {
    let world = World::new().await;
    let mut client = world.with_bucket().await;
    call(&world, &mut client, ("PUT", "/bucket/source"), &[("x-amz-tagging", "s=1")], b"x").await;
    for (headers, expected) in [
        (&[][..], &["s=1"][..]),
        (&[("x-amz-tagging-directive", "COPY"), ("x-amz-tagging", "t=2")], &["s=1"]),
        (&[("x-amz-tagging-directive", "REPLACE"), ("x-amz-tagging", "t=2")], &["t=2"]),
        (&[("x-amz-tagging-directive", "REPLACE")], &[]),
    ] {
        let headers = [headers, &[("x-amz-copy-source", "/bucket/source")]].concat();
        let copied = call(&world, &mut client, ("PUT", "/bucket/copy"), &headers, b"").await;
        assert_eq!(copied.status, 200, "{headers:?}");
        let found = tags(&get(&world, &mut client, "/bucket/copy?tagging=").await);
        assert_eq!(found, expected, "{headers:?}");
    }
    let unknown = [("x-amz-tagging-directive", "MERGE"), ("x-amz-copy-source", "/bucket/source")];
    let refused = call(&world, &mut client, ("PUT", "/bucket/copy"), &unknown, b"").await;
    assert_eq!(refused.code(), "InvalidArgument");
    let begun =
        call(&world, &mut client, ("POST", "/bucket/parts?uploads="), &[("x-amz-tagging", "u=3")], b"").await;
    let upload = begun.text().split("UploadId>").nth(1).unwrap().trim_end_matches("</").to_owned();
    let part = format!("/bucket/parts?partNumber=1&uploadId={upload}");
    let etag =
        call(&world, &mut client, ("PUT", &part), &[], b"part").await.header("etag").unwrap().to_owned();
    let document = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part></CompleteMultipartUpload>"
    );
    let complete = format!("/bucket/parts?uploadId={upload}");
    assert_eq!(call(&world, &mut client, ("POST", &complete), &[], document.as_bytes()).await.status, 200);
    assert_eq!(tags(&get(&world, &mut client, "/bucket/parts?tagging=").await), ["u=3"]);
}
