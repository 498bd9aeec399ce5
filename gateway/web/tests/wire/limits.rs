//! Every limit of a request, at it and one beyond it, with S3's code and status, and the limit in the document.

use crate::world::{Answer, World, call};
use web::Limits;

fn says(answer: &Answer, element: &str, value: &str) -> bool {
    answer.text().contains(&format!("<{element}>{value}</{element}>"))
}

#[tokio::test]
async fn bodies_are_bounded_before_a_byte_of_them_is_read() {
    const MAX: u64 = 5 << 30;
    let world = World::new().await;
    let mut client = world.with_bucket().await;
    let begun = call(&world, &mut client, ("POST", "/bucket/k?uploads="), &[], b"").await;
    let id = begun.text().split("<UploadId>").nth(1).unwrap().split('<').next().unwrap().to_owned();
    let part = format!("/bucket/k?partNumber=1&uploadId={id}");
    let beyond = (MAX + 1).to_string();
    for path in ["/bucket/k", part.as_str()] {
        let mut client = world.connect().await;
        let lengths = [("content-length", beyond.as_str()), ("expect", "100-continue")];
        let refused = call(&world, &mut client, ("PUT", path), &lengths, b"").await;
        assert_eq!((refused.status, refused.code()), (400, "EntityTooLarge"), "{path}");
        assert!(says(&refused, "MaxSizeAllowed", &MAX.to_string()), "{}", refused.text());
        assert!(says(&refused, "ProposedSize", &beyond), "{}", refused.text());
        assert!(client.closed().await, "no 100, and no second answer");
    }
    let mut client = world.connect().await;
    let allowed = [("content-length", "5368709120"), ("expect", "100-continue")];
    assert_eq!(call(&world, &mut client, ("PUT", "/bucket/k"), &allowed, b"").await.status, 100);
    let mut client = world.connect().await;
    let unsaid = call(&world, &mut client, ("PUT", "/bucket/k"), &[], b"").await;
    assert_eq!((unsaid.status, unsaid.code()), (411, "MissingContentLength"));
}

#[tokio::test]
async fn documents_are_bounded_in_bytes_and_in_entries() {
    let limits = Limits::default();
    let world = World::with(limits.clone()).await;
    let mut client = world.connect().await;
    call(&world, &mut client, ("PUT", "/bucket"), &[], b"").await;
    let max = usize::try_from(limits.xml_body_max.get()).unwrap();
    let document = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
    let mut padded = document.to_owned();
    padded.push_str(&" ".repeat(max - document.len()));
    let whole = call(&world, &mut client, ("PUT", "/bucket?versioning="), &[], padded.as_bytes()).await;
    assert_eq!(whole.status, 200, "{}", whole.text());
    padded.push(' ');
    let beyond = call(&world, &mut client, ("PUT", "/bucket?versioning="), &[], padded.as_bytes()).await;
    assert_eq!((beyond.status, beyond.code()), (400, "MaxMessageLengthExceeded"));
    assert!(says(&beyond, "MaxMessageLengthBytes", &max.to_string()), "{}", beyond.text());
    // Where the length is not said, the same, once it is seen.
    let mut client = world.connect().await;
    client.send(&world.signed("PUT", "/bucket?versioning=", &[("transfer-encoding", "chunked")], b"")).await;
    let chunk = [format!("{:x}\r\n", padded.len()).as_bytes(), padded.as_bytes(), b"\r\n0\r\n\r\n"].concat();
    client.send(&chunk).await;
    assert_eq!(client.answer().await.unwrap().code(), "MaxMessageLengthExceeded");

    let mut client = world.connect().await;
    let objects =
        |count: usize| format!("<Delete>{}</Delete>", "<Object><Key>k</Key></Object>".repeat(count));
    for (count, status, code) in [(0, 400, "MalformedXML"), (1000, 200, ""), (1001, 400, "MalformedXML")] {
        let document = objects(count);
        let digest = md5(&document);
        let headers = [("content-md5", digest.as_str())];
        let answer =
            call(&world, &mut client, ("POST", "/bucket?delete="), &headers, document.as_bytes()).await;
        assert_eq!((answer.status, answer.code()), (status, code), "{count}");
    }
    let begun = call(&world, &mut client, ("POST", "/bucket/k?uploads="), &[], b"").await;
    let id = begun.text().split("<UploadId>").nth(1).unwrap().split('<').next().unwrap().to_owned();
    let path = format!("/bucket/k?uploadId={id}");
    // Nothing, no part, and one part too many are no completion.
    let part = "<Part><PartNumber>1</PartNumber><ETag>d41d8cd98f00b204e9800998ecf8427e</ETag></Part>";
    let complete =
        |parts: usize| format!("<CompleteMultipartUpload>{}</CompleteMultipartUpload>", part.repeat(parts));
    for document in [String::new(), complete(0), complete(10_001)] {
        let refused = call(&world, &mut client, ("POST", &path), &[], document.as_bytes()).await;
        assert_eq!((refused.status, refused.code()), (400, "MalformedXML"), "{}", document.len());
    }
    let missing = call(&world, &mut client, ("POST", &path), &[], complete(1).as_bytes()).await;
    assert_eq!((missing.status, missing.code()), (400, "InvalidPart"));
}

fn md5(document: &str) -> String {
    use objectstore::{ChecksumAlgorithm, ChecksumValue};
    ChecksumValue::compute(ChecksumAlgorithm::Md5, document.as_bytes()).to_string()
}

#[tokio::test]
async fn names_and_metadata_are_bounded() {
    let world = World::new().await;
    let mut client = world.with_bucket().await;
    // In bytes of UTF-8, as they are stored.
    for (key, status, code) in [
        ("k".repeat(1024), 200, ""),
        ("k".repeat(1025), 400, "KeyTooLongError"),
        ("%C3%A9".repeat(512), 200, ""),
        (format!("{}k", "%C3%A9".repeat(512)), 400, "KeyTooLongError"),
    ] {
        let put = call(&world, &mut client, ("PUT", &format!("/bucket/{key}")), &[], b"x").await;
        assert_eq!((put.status, put.code()), (status, code), "{}", key.len());
        let get = call(&world, &mut client, ("GET", &format!("/bucket/{key}")), &[], b"").await;
        assert_eq!((get.status, get.status == 200 || get.code() == code), (status, true), "{}", key.len());
        if status == 400 {
            assert!(says(&put, "Size", "1025") && says(&put, "MaxSizeAllowed", "1024"), "{}", put.text());
        }
    }
    let long = "k".repeat(1025);
    let source = format!("bucket/{long}");
    let copies = [("x-amz-copy-source", source.as_str())];
    let made = call(&world, &mut client, ("PUT", "/bucket/copy"), &copies, b"").await;
    assert_eq!((made.status, made.code()), (400, "KeyTooLongError"));
    let document = format!("<Delete><Object><Key>{long}</Key></Object></Delete>");
    let digest = md5(&document);
    let headers = [("content-md5", digest.as_str())];
    let deleted = call(&world, &mut client, ("POST", "/bucket?delete="), &headers, document.as_bytes()).await;
    assert_eq!((deleted.status, deleted.code()), (200, "KeyTooLongError"), "of this one object");
    for name in ["ab", &"b".repeat(64), "Bucket", "buck_et", "1.2.3.4"] {
        let refused = call(&world, &mut client, ("PUT", &format!("/{name}")), &[], b"").await;
        assert_eq!((refused.status, refused.code()), (400, "InvalidBucketName"), "{name}");
    }
    // Names without their prefix, and values: 2 KiB together.
    for (size, status, code) in [(2048 - 4, 200, ""), (2048 - 3, 400, "MetadataTooLarge")] {
        let value = "v".repeat(size);
        let headers = [("x-amz-meta-name", value.as_str())];
        let put = call(&world, &mut client, ("PUT", "/bucket/m"), &headers, b"x").await;
        assert_eq!((put.status, put.code()), (status, code), "{size}");
        let begun = call(&world, &mut client, ("POST", "/bucket/m?uploads="), &headers, b"").await;
        assert_eq!((begun.status, begun.code()), (status, code), "{size}");
        let copies =
            [("x-amz-copy-source", "/bucket/m"), ("x-amz-metadata-directive", "REPLACE"), headers[0]];
        let made = call(&world, &mut client, ("PUT", "/bucket/n"), &copies, b"").await;
        assert_eq!((made.status, made.code()), (status, code), "{size}");
        if status == 400 {
            assert!(says(&put, "Size", "2049") && says(&put, "MaxSizeAllowed", "2048"), "{}", put.text());
        }
    }
}

#[tokio::test]
async fn a_request_line_and_its_headers_are_bounded_and_both_are_said() {
    let world = World::new().await;
    let long = |bytes: usize| "q".repeat(bytes);
    for (path, status, code) in [
        (format!("/bucket?prefix={}", long((16 << 10) - 15)), 404, "NoSuchBucket"),
        (format!("/bucket?prefix={}", long((16 << 10) - 14)), 414, "RequestURITooLong"),
        (format!("/bucket/{}", long(40 << 10)), 414, "RequestURITooLong"),
        (format!("/bucket/{}", long(70 << 10)), 400, "RequestHeaderSectionTooLarge"),
    ] {
        let mut client = world.connect().await;
        let head = String::from_utf8(world.signed("GET", "/bucket?prefix=", &[], b"")).unwrap();
        let signed = if path.len() <= 16 << 10 {
            world.signed("GET", &path, &[], b"")
        } else {
            head.replace("/bucket?prefix=", &path).into_bytes()
        };
        client.send(&signed).await;
        let answer = client.answer().await.unwrap();
        assert_eq!((answer.status, answer.code()), (status, code), "{}", path.len());
    }
}
