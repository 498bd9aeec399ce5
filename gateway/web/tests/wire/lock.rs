//! Object lock on the wire: configurations, retentions and holds in documents and headers, and what they refuse.

#![expect(clippy::unwrap_used, reason = "a test's world fails loudly")]

use crate::world::{Answer, Client, World, call, content_md5};

const LOCKED: (&str, &str) = ("x-amz-bucket-object-lock-enabled", "true");
const BYPASS: (&str, &str) = ("x-amz-bypass-governance-retention", "true");
/// The world's clock begins in 2023.
const UNTIL: &str = "2030-01-01T00:00:00.000Z";
const MODE: &str = "x-amz-object-lock-mode";
const DATE: &str = "x-amz-object-lock-retain-until-date";
const HOLD: &str = "x-amz-object-lock-legal-hold";

async fn send(world: &World, client: &mut Client, method: &str, path: &str) -> Answer {
    call(world, client, (method, path), &[], b"").await
}

async fn put(
    world: &World,
    client: &mut Client,
    path: &str,
    document: &str,
    more: &[(&str, &str)],
) -> Answer {
    let md5 = content_md5(document.as_bytes());
    let headers = [more, &[("content-md5", &md5)]].concat();
    call(world, client, ("PUT", path), &headers, document.as_bytes()).await
}

async fn with_locked_bucket() -> (World, Client) {
    let world = World::new().await;
    let mut client = world.connect().await;
    assert_eq!(call(&world, &mut client, ("PUT", "/bucket"), &[LOCKED], b"").await.status, 200);
    (world, client)
}

fn version(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.header("x-amz-version-id").unwrap().to_owned()
}

fn retention(mode: &str, until: &str) -> String {
    format!("<Retention><Mode>{mode}</Mode><RetainUntilDate>{until}</RetainUntilDate></Retention>")
}

fn default(period: &str) -> String {
    format!(
        "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention><Mode>GOVERNANCE\
         </Mode>{period}</DefaultRetention></Rule></ObjectLockConfiguration>"
    )
}

#[tokio::test]
async fn a_bucket_is_created_with_object_lock_or_gets_it_where_versions_are() {
    let (world, mut client) = with_locked_bucket().await;
    let versioning = send(&world, &mut client, "GET", "/bucket?versioning=").await;
    assert!(versioning.text().contains("<Status>Enabled</Status>"));
    let bare = send(&world, &mut client, "GET", "/bucket?object-lock=").await;
    assert!(bare.text().contains("<ObjectLockEnabled>Enabled</ObjectLockEnabled>"), "{}", bare.text());
    assert!(!bare.text().contains("<Rule>"));
    // The owner's repeated creation is a success, but object lock is never pretended.
    send(&world, &mut client, "PUT", "/plain").await;
    assert_eq!(send(&world, &mut client, "PUT", "/plain").await.status, 200);
    let again = call(&world, &mut client, ("PUT", "/plain"), &[LOCKED], b"").await;
    assert_eq!(again.code(), "BucketAlreadyOwnedByYou");
    let missing = send(&world, &mut client, "GET", "/plain?object-lock=").await;
    assert_eq!((missing.status, missing.code()), (404, "ObjectLockConfigurationNotFoundError"));
    let days = default("<Days>3</Days>");
    let refused = put(&world, &mut client, "/plain?object-lock=", &days, &[]).await;
    assert_eq!((refused.status, refused.code()), (409, "InvalidBucketState"));
    let versions =
        |status| format!("<VersioningConfiguration><Status>{status}</Status></VersioningConfiguration>");
    put(&world, &mut client, "/plain?versioning=", &versions("Enabled"), &[]).await;
    assert_eq!(put(&world, &mut client, "/plain?object-lock=", &days, &[]).await.status, 200);
    let shown = send(&world, &mut client, "GET", "/plain?object-lock=").await;
    assert!(shown.text().contains("<Mode>GOVERNANCE</Mode><Days>3</Days>"), "{}", shown.text());
    let suspended = put(&world, &mut client, "/plain?versioning=", &versions("Suspended"), &[]).await;
    assert_eq!((suspended.status, suspended.code()), (409, "InvalidBucketState"));
    for (document, code) in [
        (default("<Days>0</Days>"), "InvalidRetentionPeriod"),
        (default("<Years>101</Years>"), "InvalidRetentionPeriod"),
        (default("<Days>1</Days><Years>1</Years>"), "MalformedXML"),
        (days.replace("Enabled", "Disabled"), "MalformedXML"),
    ] {
        assert_eq!(put(&world, &mut client, "/plain?object-lock=", &document, &[]).await.code(), code);
    }
    let bare = call(&world, &mut client, ("PUT", "/plain?object-lock="), &[], days.as_bytes()).await;
    assert_eq!(bare.code(), "InvalidRequest", "without a digest");
}

#[tokio::test]
async fn a_lock_is_set_shown_and_kept_to_by_every_delete() {
    let (world, mut client) = with_locked_bucket().await;
    let md5 = content_md5(b"hello");
    let headers = [(MODE, "GOVERNANCE"), (DATE, UNTIL), (HOLD, "ON"), ("content-md5", &*md5)];
    let locked = version(&call(&world, &mut client, ("PUT", "/bucket/key"), &headers, b"hello").await);
    for method in ["GET", "HEAD"] {
        let read = send(&world, &mut client, method, "/bucket/key").await;
        let shown = [MODE, DATE, HOLD].map(|name| read.header(name));
        assert_eq!(shown, [Some("GOVERNANCE"), Some(UNTIL), Some("ON")], "{method}");
    }
    let path = format!("/bucket/key?versionId={locked}");
    let refused = call(&world, &mut client, ("DELETE", &path), &[BYPASS], b"").await;
    assert_eq!((refused.status, refused.code()), (403, "AccessDenied"));
    assert!(refused.text().contains("object protected by object lock"), "{}", refused.text());
    let off = "<LegalHold><Status>OFF</Status></LegalHold>";
    assert_eq!(put(&world, &mut client, "/bucket/key?legal-hold=", off, &[]).await.status, 200);
    let shown = send(&world, &mut client, "GET", "/bucket/key?legal-hold=").await;
    assert!(shown.text().contains("<Status>OFF</Status>"));
    // One of many is refused by itself.
    let many = format!(
        "<Delete><Object><Key>key</Key><VersionId>{locked}</VersionId></Object><Object><Key>other</Key></Object></Delete>"
    );
    let md5 = content_md5(many.as_bytes());
    let deleted =
        call(&world, &mut client, ("POST", "/bucket?delete="), &[("content-md5", &md5)], many.as_bytes())
            .await;
    assert_eq!(deleted.status, 200);
    assert!(deleted.text().contains("<Error><Key>key</Key>") && deleted.text().contains("AccessDenied"));
    assert!(deleted.text().contains("<Deleted><Key>other</Key>"), "{}", deleted.text());
    let hidden = send(&world, &mut client, "DELETE", "/bucket/key").await;
    assert_eq!((hidden.status, hidden.header("x-amz-delete-marker")), (204, Some("true")));
    let silent = [("x-amz-bypass-governance-retention", "false")];
    assert_eq!(call(&world, &mut client, ("DELETE", &path), &silent, b"").await.status, 403);
    assert_eq!(call(&world, &mut client, ("DELETE", &path), &[BYPASS], b"").await.status, 204);
}

#[tokio::test]
async fn a_retention_changes_by_its_rules() {
    let (world, mut client) = with_locked_bucket().await;
    version(&call(&world, &mut client, ("PUT", "/bucket/key"), &[], b"hello").await);
    let path = "/bucket/key?retention=";
    for of in [path, "/bucket/key?legal-hold="] {
        let none = send(&world, &mut client, "GET", of).await;
        assert_eq!((none.status, none.code()), (404, "NoSuchObjectLockConfiguration"));
    }
    for (document, more, code) in [
        (retention("GOVERNANCE", UNTIL), &[][..], ""),
        (retention("GOVERNANCE", "2029-01-01T00:00:00Z"), &[], "AccessDenied"),
        ("<Retention/>".to_owned(), &[], "AccessDenied"),
        (retention("COMPLIANCE", UNTIL), &[], "AccessDenied"),
        (retention("GOVERNANCE", "2029-01-01T00:00:00Z"), &[BYPASS], ""),
        (retention("COMPLIANCE", "2029-01-01T00:00:00Z"), &[BYPASS], ""),
        (retention("COMPLIANCE", "2028-01-01T00:00:00Z"), &[BYPASS], "AccessDenied"),
        ("<Retention/>".to_owned(), &[BYPASS], "AccessDenied"),
        (retention("GOVERNANCE", UNTIL), &[BYPASS], "AccessDenied"),
        (retention("COMPLIANCE", "2020-01-01T00:00:00Z"), &[], "InvalidArgument"),
        (retention("compliance", UNTIL), &[], "MalformedXML"),
        (retention("COMPLIANCE", "2031-01-01T00:00:00.1234Z"), &[], ""),
    ] {
        let outcome = put(&world, &mut client, path, &document, more).await;
        assert_eq!(outcome.code(), code, "{document} {more:?}");
    }
    let shown = send(&world, &mut client, "GET", path).await;
    let expected = "<Mode>COMPLIANCE</Mode><RetainUntilDate>2031-01-01T00:00:00.124Z</RetainUntilDate>";
    assert!(shown.text().contains(expected), "{}", shown.text());
}

#[tokio::test]
async fn headers_of_locks_are_whole_proven_and_for_locked_buckets_only() {
    let (world, mut client) = with_locked_bucket().await;
    send(&world, &mut client, "PUT", "/plain").await;
    let md5 = content_md5(b"hello");
    let md5 = ("content-md5", &*md5);
    let past = (DATE, "2020-01-01T00:00:00Z");
    for (path, headers, code) in [
        ("/plain/key", &[(MODE, "GOVERNANCE"), (DATE, UNTIL), md5][..], "InvalidRequest"),
        ("/plain/key", &[(HOLD, "OFF"), md5], "InvalidRequest"),
        ("/bucket/key", &[(MODE, "GOVERNANCE"), md5], "InvalidArgument"),
        ("/bucket/key", &[(DATE, UNTIL), md5], "InvalidArgument"),
        ("/bucket/key", &[(MODE, "GOVERNANCE"), past, md5], "InvalidArgument"),
        ("/bucket/key", &[(HOLD, "on"), md5], "InvalidArgument"),
        ("/bucket/key", &[(MODE, "GOVERNANCE"), (DATE, UNTIL)], "InvalidRequest"),
        ("/bucket/key", &[(HOLD, "ON")], "InvalidRequest"),
    ] {
        let refused = call(&world, &mut client, ("PUT", path), headers, b"hello").await;
        assert_eq!(refused.code(), code, "{path} {headers:?}");
    }
    assert_eq!(send(&world, &mut client, "GET", "/bucket/key").await.code(), "NoSuchKey");
    put(&world, &mut client, "/bucket?object-lock=", &default("<Days>1</Days>"), &[]).await;
    let unproven = call(&world, &mut client, ("PUT", "/bucket/key"), &[], b"hello").await;
    assert_eq!(unproven.code(), "InvalidRequest");
    // Nothing comes behind a plain body, whatever is announced.
    let announced = [("x-amz-trailer", "x-amz-checksum-crc32")];
    for sdk in [&[][..], &[("x-amz-sdk-checksum-algorithm", "CRC32")]] {
        let headers = [&announced[..], sdk].concat();
        let unproven = call(&world, &mut client, ("PUT", "/bucket/key"), &headers, b"hello").await;
        assert_eq!((unproven.status, unproven.code()), (400, "InvalidRequest"), "{}", unproven.text());
    }
    assert_eq!(send(&world, &mut client, "GET", "/bucket/key").await.code(), "NoSuchKey");
    let summed = [("x-amz-checksum-crc32", "NhCmhg==")];
    let locked = version(&call(&world, &mut client, ("PUT", "/bucket/key"), &summed, b"hello").await);
    let path = format!("/bucket/key?versionId={locked}");
    assert_eq!(send(&world, &mut client, "DELETE", &path).await.code(), "AccessDenied");
    // What an SDK moves into a URL is no less said.
    let moved = format!(
        "/bucket/moved?x-amz-object-lock-legal-hold=ON&x-amz-tagging=a%3D1&{MODE}=COMPLIANCE&{DATE}={}",
        UNTIL.replace(':', "%3A")
    );
    version(&call(&world, &mut client, ("PUT", &moved), &[md5], b"hello").await);
    let shown = send(&world, &mut client, "HEAD", "/bucket/moved").await;
    assert_eq!((shown.header(MODE), shown.header(HOLD)), (Some("COMPLIANCE"), Some("ON")));
    assert_eq!(shown.header("x-amz-tagging-count"), Some("1"));
    // A copy brings no lock along, and gets one where it goes.
    let source = ("x-amz-copy-source", "/bucket/key");
    call(&world, &mut client, ("PUT", "/plain/copy"), &[source], b"").await;
    assert_eq!(send(&world, &mut client, "HEAD", "/plain/copy").await.header(MODE), None);
    let held = [source, (HOLD, "ON")];
    assert_eq!(call(&world, &mut client, ("PUT", "/bucket/copy"), &held, b"").await.status, 200);
    let copy = send(&world, &mut client, "HEAD", "/bucket/copy").await;
    assert_eq!((copy.header(MODE), copy.header(HOLD)), (Some("GOVERNANCE"), Some("ON")));
}

#[tokio::test]
async fn an_upload_carries_its_lock_to_its_completion() {
    let (world, mut client) = with_locked_bucket().await;
    let headers = [(MODE, "COMPLIANCE"), (DATE, UNTIL)];
    let begun = call(&world, &mut client, ("POST", "/bucket/key?uploads="), &headers, b"").await;
    let upload = begun.text().split("UploadId>").nth(1).unwrap().trim_end_matches("</").to_owned();
    let path = format!("/bucket/key?partNumber=1&uploadId={upload}");
    assert_eq!(call(&world, &mut client, ("PUT", &path), &[], b"part").await.code(), "InvalidRequest");
    let md5 = content_md5(b"part");
    let part = call(&world, &mut client, ("PUT", &path), &[("content-md5", &md5)], b"part").await;
    let etag = part.header("etag").unwrap();
    let document = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part></CompleteMultipartUpload>"
    );
    let path = format!("/bucket/key?uploadId={upload}");
    let locked = version(&call(&world, &mut client, ("POST", &path), &[], document.as_bytes()).await);
    let path = format!("/bucket/key?versionId={locked}");
    assert_eq!(call(&world, &mut client, ("DELETE", &path), &[BYPASS], b"").await.code(), "AccessDenied");
}
