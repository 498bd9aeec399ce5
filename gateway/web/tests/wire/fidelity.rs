//! Details of S3's answers that clients look at: conditions of deletes, parts and their checksums, overrides, metadata beyond ASCII.

use crate::world::{World, call, content_md5};

#[tokio::test]
async fn a_delete_is_refused_where_its_conditions_do_not_hold() {
    const SIZE: &str = "x-amz-if-match-size";
    const TIME: &str = "x-amz-if-match-last-modified-time";
    let world = World::new().await;
    let mut client = world.with_bucket().await;
    let missing = call(&world, &mut client, ("DELETE", "/bucket/k"), &[("if-match", "*")], b"").await;
    assert_eq!((missing.status, missing.code()), (404, "NoSuchKey"));
    let unneeded = call(&world, &mut client, ("DELETE", "/bucket/k"), &[(SIZE, "9")], b"").await;
    assert_eq!(unneeded.status, 204);
    call(&world, &mut client, ("PUT", "/bucket/k"), &[], b"hello").await;
    let head = call(&world, &mut client, ("HEAD", "/bucket/k"), &[], b"").await;
    let modified = head.header("last-modified").unwrap().to_owned();
    for headers in [
        [("if-match", "nonsense"), (SIZE, "5")],
        [("if-match", "*"), (SIZE, "4")],
        [(TIME, "Thu, 01 Jan 2015 00:00:00 GMT"), (SIZE, "5")],
    ] {
        let refused = call(&world, &mut client, ("DELETE", "/bucket/k"), &headers, b"").await;
        assert_eq!((refused.status, refused.code()), (412, "PreconditionFailed"), "{headers:?}");
    }
    let unread = call(&world, &mut client, ("DELETE", "/bucket/k"), &[(TIME, "soon")], b"").await;
    assert_eq!((unread.status, unread.code()), (400, "InvalidArgument"));
    let all = [("if-match", "*"), (SIZE, "5"), (TIME, modified.as_str())];
    assert_eq!(call(&world, &mut client, ("DELETE", "/bucket/k"), &all, b"").await.status, 204);
    assert_eq!(call(&world, &mut client, ("HEAD", "/bucket/k"), &[], b"").await.status, 404);
}

#[tokio::test]
async fn a_part_is_answered_with_its_own_checksum() {
    const MODE: (&str, &str) = ("x-amz-checksum-mode", "ENABLED");
    const CRC: &str = "x-amz-checksum-crc32";
    let world = World::new().await;
    let mut client = world.with_bucket().await;
    let asked = [("x-amz-checksum-algorithm", "CRC32"), ("x-amz-checksum-type", "COMPOSITE")];
    let begun = call(&world, &mut client, ("POST", "/bucket/k?uploads="), &asked, b"").await;
    let id = begun.text().split("<UploadId>").nth(1).unwrap().split('<').next().unwrap().to_owned();
    let mut parts = String::new();
    // CRC-32 of "a" and of "b".
    for (number, body, sum) in [(1, b"a", "6Le+Qw=="), (2, b"b", "cb7v+Q==")] {
        let path = format!("/bucket/k?partNumber={number}&uploadId={id}");
        if number == 1 {
            // Only a last part may be this small, so the object has one part.
            let put = call(&world, &mut client, ("PUT", &path), &[(CRC, sum)], body).await;
            let etag = put.header("etag").unwrap().trim_matches('"').to_owned();
            parts = format!(
                "<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag><ChecksumCRC32>{sum}</ChecksumCRC32></Part>"
            );
        } else {
            let refused = call(&world, &mut client, ("PUT", &path), &[(CRC, "6Le+Qw==")], body).await;
            assert_eq!((refused.status, refused.code()), (400, "BadDigest"));
        }
    }
    let document = format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>");
    let path = format!("/bucket/k?uploadId={id}");
    let done = call(&world, &mut client, ("POST", &path), &[], document.as_bytes()).await;
    assert_eq!(done.status, 200, "{done:?}");
    for method in ["GET", "HEAD"] {
        let part = call(&world, &mut client, (method, "/bucket/k?partNumber=1"), &[MODE], b"").await;
        assert_eq!((part.status, part.header(CRC)), (206, Some("6Le+Qw==")));
        assert_eq!(part.header("x-amz-checksum-type"), Some("COMPOSITE"));
        let whole = call(&world, &mut client, (method, "/bucket/k"), &[MODE], b"").await;
        assert!(whole.header(CRC).is_some_and(|sum| sum.ends_with("-1")), "{whole:?}");
        let range = call(&world, &mut client, (method, "/bucket/k"), &[MODE, ("range", "bytes=0-0")], b"");
        assert_eq!(range.await.header(CRC), None);
        let unasked = call(&world, &mut client, (method, "/bucket/k?partNumber=1"), &[], b"").await;
        assert_eq!(unasked.header(CRC), None);
        let beyond = call(&world, &mut client, (method, "/bucket/k?partNumber=2"), &[], b"").await;
        assert_eq!(beyond.status, 400);
        if method == "GET" {
            assert_eq!(beyond.code(), "InvalidPart");
            assert!(beyond.text().contains("<ActualPartCount>1</ActualPartCount>"), "{}", beyond.text());
        }
    }
}

#[tokio::test]
async fn what_is_not_there_says_whether_a_delete_marker_hides_it() {
    const MARKER: &str = "x-amz-delete-marker";
    let world = World::new().await;
    let mut client = world.with_bucket().await;
    for method in ["GET", "HEAD"] {
        let never = call(&world, &mut client, (method, "/bucket/k"), &[], b"").await;
        assert_eq!((never.status, never.header(MARKER)), (404, Some("false")));
    }
    let enabled = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
    call(&world, &mut client, ("PUT", "/bucket?versioning="), &[], enabled).await;
    call(&world, &mut client, ("PUT", "/bucket/k"), &[], b"x").await;
    call(&world, &mut client, ("DELETE", "/bucket/k"), &[], b"").await;
    for method in ["GET", "HEAD"] {
        let hidden = call(&world, &mut client, (method, "/bucket/k"), &[], b"").await;
        assert_eq!((hidden.status, hidden.header(MARKER)), (404, Some("true")));
    }
}

#[tokio::test]
async fn metadata_beyond_ascii_is_answered_as_an_encoded_word() {
    const NAME: &str = "x-amz-meta-city";
    let world = World::new().await;
    let mut client = world.with_bucket().await;
    call(&world, &mut client, ("PUT", "/bucket/k"), &[(NAME, "=?utf-8?q?Z=C3=BCrich_=28ZH=29?=")], b"x")
        .await;
    let head = call(&world, &mut client, ("HEAD", "/bucket/k"), &[], b"").await;
    let answered = head.header(NAME).unwrap().to_owned();
    assert_eq!(answered, "=?UTF-8?B?WsO8cmljaCAoWkgp?=");
    // What was answered, sent again, means the same.
    call(&world, &mut client, ("PUT", "/bucket/l"), &[(NAME, &answered)], b"x").await;
    let again = call(&world, &mut client, ("HEAD", "/bucket/l"), &[], b"").await;
    assert_eq!(again.header(NAME), Some(answered.as_str()));
    // A word cannot smuggle a header.
    call(&world, &mut client, ("PUT", "/bucket/m"), &[(NAME, "=?UTF-8?Q?a=0D=0Aevil:_1?=")], b"x").await;
    let smuggled = call(&world, &mut client, ("HEAD", "/bucket/m"), &[], b"").await;
    assert_eq!(smuggled.header("evil"), None);
    assert_eq!(smuggled.header(NAME), Some("=?UTF-8?B?YQ0KZXZpbDogMQ==?="));
}

#[tokio::test]
async fn a_write_while_versioning_is_suspended_names_no_version_and_a_read_names_null() {
    const VERSION: &str = "x-amz-version-id";
    let world = World::new().await;
    let mut client = world.with_bucket().await;
    let mut named = Vec::new();
    for status in ["Enabled", "Suspended"] {
        let document =
            format!("<VersioningConfiguration><Status>{status}</Status></VersioningConfiguration>");
        call(&world, &mut client, ("PUT", "/bucket?versioning="), &[], document.as_bytes()).await;
        let source = [("x-amz-copy-source", "bucket/k")];
        for (path, headers, body) in [("/bucket/k", &[][..], &b"x"[..]), ("/bucket/copy", &source, b"")] {
            let made = call(&world, &mut client, ("PUT", path), headers, body).await;
            assert_eq!(made.status, 200, "{made:?}");
            named.push(made.header(VERSION).map(str::to_owned));
        }
    }
    assert!(named[0].is_some() && named[1].is_some(), "{named:?}");
    assert_eq!(named[2..], [None, None]);
    for method in ["GET", "HEAD"] {
        let read = call(&world, &mut client, (method, "/bucket/k"), &[], b"").await;
        assert_eq!(read.header(VERSION), Some("null"));
    }
}

#[tokio::test]
async fn numbers_in_a_request_have_no_sign_and_no_spaces() {
    let world = World::new().await;
    let mut client = world.with_bucket().await;
    let begun = call(&world, &mut client, ("POST", "/bucket/k?uploads="), &[], b"").await;
    let id = begun.text().split("<UploadId>").nth(1).unwrap().split('<').next().unwrap().to_owned();
    for bad in ["%2B5", "-5", "%205", "5%20", "5.0", "five", "", "2147483648"] {
        for query in [
            format!("/bucket?max-keys={bad}"),
            format!("/bucket?list-type=2&max-keys={bad}"),
            format!("/bucket?max-keys={bad}&versions="),
            format!("/bucket?max-uploads={bad}&uploads="),
            format!("/bucket/k?max-parts={bad}&uploadId={id}"),
            format!("/bucket/k?partNumber={bad}"),
        ] {
            let refused = call(&world, &mut client, ("GET", &query), &[], b"").await;
            assert_eq!((refused.status, refused.code()), (400, "InvalidArgument"), "{query}");
        }
    }
    for (good, shown) in [("0", "0"), ("007", "7"), ("1001", "1000"), ("2147483647", "1000")] {
        let query = format!("/bucket?max-keys={good}");
        let listed = call(&world, &mut client, ("GET", &query), &[], b"").await;
        assert_eq!(listed.status, 200, "{query}");
        assert!(listed.text().contains(&format!("<MaxKeys>{shown}</MaxKeys>")), "{}", listed.text());
    }
}

/// aws-cli 2 says with each copy that annotations stay behind; there are none, and whoever asks for them is told.
#[tokio::test]
async fn a_copy_may_say_what_becomes_of_annotations() {
    let world = World::new().await;
    let mut client = world.with_bucket().await;
    call(&world, &mut client, ("PUT", "/bucket/source"), &[], b"x").await;
    for (directive, code) in [("EXCLUDE", ""), ("COPY", ""), ("MERGE", "InvalidArgument")] {
        let headers =
            [("x-amz-copy-source", "/bucket/source"), ("x-amz-object-annotation-directive", directive)];
        let copied = call(&world, &mut client, ("PUT", "/bucket/copy"), &headers, b"").await;
        let found = if copied.status == 200 { "" } else { copied.code() };
        assert_eq!(found, code, "{directive}");
    }
}

#[tokio::test]
async fn attributes_may_be_asked_for_in_lines_of_their_own() {
    const NAME: &str = "x-amz-object-attributes";
    let world = World::new().await;
    let mut client = world.with_bucket().await;
    call(&world, &mut client, ("PUT", "/bucket/k"), &[], b"hello").await;
    for lines in [&[(NAME, "ETag"), (NAME, "ObjectSize")][..], &[(NAME, "ETag, ObjectSize")]] {
        let answer = call(&world, &mut client, ("GET", "/bucket/k?attributes="), lines, b"").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(
            answer.text().contains("<ObjectSize>5<") && answer.text().contains("<ETag>"),
            "{}",
            answer.text()
        );
        assert!(!answer.text().contains("<StorageClass>"), "{}", answer.text());
    }
    let lines = [(NAME, "ETag"), (NAME, "Size")];
    let refused = call(&world, &mut client, ("GET", "/bucket/k?attributes="), &lines, b"").await;
    assert_eq!((refused.status, refused.code()), (400, "InvalidArgument"));
}

#[tokio::test]
async fn whoever_may_not_look_into_a_bucket_is_told_its_region() {
    let world = World::new().await;
    let mut client = world.with_bucket().await;
    let region = Some("us-east-1");
    for (bucket, status) in [("bucket", 200), ("missing", 404)] {
        let answer = call(&world, &mut client, ("HEAD", &format!("/{bucket}")), &[], b"").await;
        assert_eq!((answer.status, answer.header("x-amz-bucket-region")), (status, region), "{bucket}");
    }
    let mut nobody = world.connect().await;
    nobody.send_text("HEAD /bucket HTTP/1.1\r\nhost: h\r\n\r\n").await;
    let answer = nobody.answer_to_head().await.unwrap();
    assert_eq!((answer.status, answer.header("x-amz-bucket-region")), (403, region));
    // It is HeadBucket's alone to tell.
    nobody.send_text("GET /bucket?list-type=2 HTTP/1.1\r\nhost: h\r\n\r\n").await;
    let answer = nobody.answer().await.unwrap();
    assert_eq!((answer.status, answer.header("x-amz-bucket-region")), (403, None));
}

#[tokio::test]
async fn the_parts_of_an_object_are_told_in_pages_and_a_completion_again_tells_the_same() {
    const NAME: &str = "x-amz-object-attributes";
    let world = World::new().await;
    let mut client = world.with_bucket().await;
    let enabled = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
    call(&world, &mut client, ("PUT", "/bucket?versioning="), &[], enabled).await;
    let asked = [("x-amz-checksum-algorithm", "CRC32"), ("x-amz-checksum-type", "COMPOSITE")];
    let begun = call(&world, &mut client, ("POST", "/bucket/k?uploads="), &asked, b"").await;
    let id = begun.text().split("<UploadId>").nth(1).unwrap().split('<').next().unwrap().to_owned();
    let (large, mut parts) = (vec![7; 5 << 20], Vec::new());
    for (number, body) in [(1, &large[..]), (2, &large), (3, b"x")] {
        let path = format!("/bucket/k?partNumber={number}&uploadId={id}");
        let put = call(&world, &mut client, ("PUT", &path), &[], body).await;
        let (etag, sum) = (put.header("etag").unwrap(), put.header("x-amz-checksum-crc32").unwrap());
        parts.push(format!(
            "<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag><ChecksumCRC32>{sum}</ChecksumCRC32></Part>"
        ));
    }
    let document = format!("<CompleteMultipartUpload>{}</CompleteMultipartUpload>", parts.concat());
    let path = format!("/bucket/k?uploadId={id}");
    let done = call(&world, &mut client, ("POST", &path), &[], document.as_bytes()).await;
    let again = call(&world, &mut client, ("POST", &path), &[], document.as_bytes()).await;
    assert_eq!(done.status, 200, "{}", done.text());
    assert_eq!(done.text(), again.text());
    assert!(done.header("x-amz-version-id").is_some());
    assert_eq!(done.header("x-amz-version-id"), again.header("x-amz-version-id"));
    for (marker, next, more, parts) in [("0", "2", "true", 2), ("2", "3", "false", 1)] {
        let headers = [(NAME, "ObjectParts"), ("x-amz-max-parts", "2"), ("x-amz-part-number-marker", marker)];
        let answer = call(&world, &mut client, ("GET", "/bucket/k?attributes="), &headers, b"").await;
        let says = format!(
            "<PartsCount>3</PartsCount><PartNumberMarker>{marker}</PartNumberMarker>\
             <NextPartNumberMarker>{next}</NextPartNumberMarker><MaxParts>2</MaxParts><IsTruncated>{more}</IsTruncated>"
        );
        assert!(answer.text().contains(&says), "{}", answer.text());
        assert_eq!(answer.text().matches("<ChecksumCRC32>").count(), parts, "{}", answer.text());
    }
}

#[tokio::test]
async fn every_override_replaces_its_header_and_no_other() {
    let world = World::new().await;
    let mut client = world.with_bucket().await;
    call(&world, &mut client, ("PUT", "/bucket/k"), &[], b"x").await;
    let headers = [
        "cache-control",
        "content-disposition",
        "content-encoding",
        "content-language",
        "content-type",
        "expires",
    ];
    for method in ["GET", "HEAD"] {
        for name in headers {
            let path = format!("/bucket/k?response-{name}=other");
            let answer = call(&world, &mut client, (method, &path), &[], b"").await;
            for header in headers {
                assert_eq!(
                    answer.header(header) == Some("other"),
                    header == name,
                    "{method} {name} {header}"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_quiet_delete_says_errors_alone() {
    let world = World::new().await;
    let mut client = world.with_bucket().await;
    let long = "k".repeat(1025);
    let document = format!(
        "<Delete><Quiet>true</Quiet><Object><Key>a</Key></Object><Object><Key>{long}</Key></Object></Delete>"
    );
    let digest = content_md5(document.as_bytes());
    let headers = [("content-md5", digest.as_str())];
    let answer = call(&world, &mut client, ("POST", "/bucket?delete="), &headers, document.as_bytes()).await;
    assert!(
        !answer.text().contains("<Deleted>") && answer.text().matches("<Error>").count() == 1,
        "{}",
        answer.text()
    );
}

#[tokio::test]
async fn a_range_of_a_part_is_refused() {
    let world = World::new().await;
    let mut client = world.with_bucket().await;
    call(&world, &mut client, ("PUT", "/bucket/k"), &[], b"hello").await;
    for method in ["GET", "HEAD"] {
        let range = [("range", "bytes=0-1")];
        let both = call(&world, &mut client, (method, "/bucket/k?partNumber=1"), &range, b"").await;
        assert_eq!(both.status, 400, "{method}");
        let message = "Cannot specify both Range header and partNumber query parameter";
        assert!(
            method == "HEAD" || both.code() == "InvalidRequest" && both.text().contains(message),
            "{both:?}"
        );
    }
}
