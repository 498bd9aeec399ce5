//! Server access logs: what a request is in the log of its bucket, and what can be set.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail loudly")]

use crate::secured;
use crate::world::{ACCOUNT, Client, OTHER_ACCOUNT, Who, World, ask, call, content_md5};
use objectstore::ObjectOwnership;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use web::Limits;

fn enabled(inner: &str) -> String {
    format!("<BucketLoggingStatus><LoggingEnabled>{inner}</LoggingEnabled></BucketLoggingStatus>")
}

const INTO: &str = "<TargetBucket>target</TargetBucket><TargetPrefix>logs/</TargetPrefix>";

/// Whom a target with an access list has to let in.
const DELIVERABLE: [(&str, &str); 1] = [("x-amz-acl", "log-delivery-write")];

/// A bucket whose requests are logged into another one.
async fn log<S: AsyncRead + AsyncWrite + Unpin>(world: &World, client: &mut Client<S>) {
    log_into(world, client, &[]).await;
}

/// The same, whose target is made like this.
async fn log_into<S: AsyncRead + AsyncWrite + Unpin>(
    world: &World,
    client: &mut Client<S>,
    target: &[(&str, &str)],
) {
    let set = enabled(INTO);
    for (path, more, body) in
        [("/bucket", &[][..], ""), ("/target", target, ""), ("/bucket?logging", &[], &set)]
    {
        let answer = call(world, client, ("PUT", path), more, body.as_bytes()).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
}

/// The fields of a line, taken apart as the user guide's expression does.
fn fields(line: &str) -> Vec<String> {
    let (mut fields, mut rest) = (Vec::new(), line);
    while !rest.is_empty() {
        let end = match rest.as_bytes()[0] {
            b'"' => rest[1..].find('"').unwrap() + 2,
            b'[' => rest.find(']').unwrap() + 1,
            _ => rest.find(' ').unwrap_or(rest.len()),
        };
        fields.push(rest[..end].to_owned());
        rest = rest[end..].strip_prefix(' ').unwrap_or(&rest[end..]);
    }
    assert_eq!(fields.len(), 27, "{line}");
    fields
}

/// All records of the target, in the order in which they were kept; what was delivered is taken away.
async fn records<S: AsyncRead + AsyncWrite + Unpin>(
    world: &World,
    client: &mut Client<S>,
) -> Vec<Vec<String>> {
    world.store.drain_logs(Duration::from_secs(10)).await;
    let listed = call(world, client, ("GET", "/target?prefix=logs/"), &[], b"").await;
    let mut found = Vec::new();
    for key in listed.text().split("<Key>").skip(1).map(|rest| rest.split_once('<').unwrap().0) {
        let path = format!("/target/{key}");
        let object = call(world, client, ("GET", &path), &[], b"").await;
        assert_eq!(object.header("content-type"), Some("text/plain"));
        found.extend(object.text().lines().map(fields));
        call(world, client, ("DELETE", &path), &[], b"").await;
    }
    found
}

/// Operation, key, status, error code, bytes sent and object size.
fn brief(record: &[String]) -> [&str; 6] {
    [6, 7, 9, 10, 11, 12].map(|at| record[at].as_str())
}

#[tokio::test]
async fn requests_to_objects_are_records_of_s3s_form() {
    let world = World::new().await;
    let mut client = world.connect().await;
    log(&world, &mut client).await;
    let hostile = [("referer", "http://r.test/\"a b\" 200 -"), ("user-agent", "x \"\\ y")];
    call(&world, &mut client, ("PUT", "/bucket/a%20b%22"), &hostile, b"hello").await;
    let ranged = [("range", "bytes=1-2")];
    call(&world, &mut client, ("GET", "/bucket/a%20b%22?x-who=me"), &ranged, b"").await;
    call(&world, &mut client, ("HEAD", "/bucket/a%20b%22"), &[], b"").await;
    call(&world, &mut client, ("GET", "/bucket/absent"), &[], b"").await;
    ask(&world, &mut client, Who::Nobody, ("GET", "/bucket/a%20b%22"), (&[], b"")).await;
    ask(&world, &mut client, Who::Other, ("PUT", "/bucket/k"), (&[], b"x")).await;
    call(&world, &mut client, ("GET", "/bucket?list-type=2&max-keys=0"), &[], b"").await;
    call(&world, &mut client, ("DELETE", "/bucket/a%20b%22"), &[], b"").await;
    // The target is not logged, nor is what is about no bucket.
    call(&world, &mut client, ("PUT", "/target/k"), &[], b"x").await;
    call(&world, &mut client, ("GET", "/"), &[], b"").await;
    let records = records(&world, &mut client).await;
    let shown: Vec<_> = records.iter().map(|record| brief(record)).collect();
    let key = "a%20b%22";
    assert_eq!(
        shown[..4],
        [
            ["REST.PUT.OBJECT", key, "200", "-", "-", "5"],
            ["REST.GET.OBJECT", key, "206", "-", "2", "5"],
            ["REST.HEAD.OBJECT", key, "200", "-", "-", "5"],
            ["REST.GET.OBJECT", "absent", "404", "NoSuchKey", shown[3][4], "-"],
        ]
    );
    assert_eq!(shown[4][..4], ["REST.GET.OBJECT", key, "403", "AccessDenied"]);
    assert_eq!(shown[5][..4], ["REST.PUT.OBJECT", "k", "403", "AccessDenied"]);
    assert_eq!(shown[6][..4], ["REST.GET.BUCKET", "-", "200", "-"]);
    assert_eq!(shown[7], ["REST.DELETE.OBJECT", key, "204", "-", "-", "-"]);
    assert_eq!(shown.len(), 8, "{shown:?}");
    let owner = ACCOUNT.parse::<security::AccountId>().unwrap().canonical_user_id();
    let other = OTHER_ACCOUNT.parse::<security::AccountId>().unwrap().canonical_user_id();
    for (record, requester) in
        records.iter().zip([&owner, &owner, &owner, &owner, "-", &other, &owner, &owner])
    {
        assert_eq!(
            (&*record[0], &*record[1], &*record[3], &*record[4]),
            (&*owner, "bucket", "127.0.0.1", requester)
        );
        assert!(record[2].starts_with("[14/Nov/2023:22:13:2") && record[5].len() == 16, "{record:?}");
        assert!(record[13].parse::<u64>().unwrap() >= record[14].parse::<u64>().unwrap());
        let (signature, place) = if requester == "-" { ("-", "-") } else { ("SigV4", "AuthHeader") };
        assert_eq!((&*record[19], &*record[20], &*record[21]), (signature, "-", place));
        assert_eq!(record[22], world.http.to_string());
        assert_eq!(record[23..], ["-", "-", "-", "-"], "no TLS, access point, list or region");
    }
    assert_eq!(records[0][15], "\"http://r.test/%22a b%22 200 -\"");
    assert_eq!(records[0][16], "\"x %22\\ y\"");
    assert_eq!(records[1][8], "\"GET /bucket/a%20b%22?x-who=me HTTP/1.1\"");
    assert_eq!((&*records[1][15], &*records[1][16]), ("\"-\"", "\"-\""));
}

#[tokio::test]
async fn each_key_of_a_batch_each_side_of_a_copy_and_every_version_has_its_record() {
    let world = World::new().await;
    let mut client = world.connect().await;
    log(&world, &mut client).await;
    call(&world, &mut client, ("PUT", "/plain"), &[], b"").await;
    let versions = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
    call(&world, &mut client, ("PUT", "/bucket?versioning"), &[], versions.as_bytes()).await;
    let made = call(&world, &mut client, ("PUT", "/bucket/a"), &[], b"hello").await;
    let version = made.header("x-amz-version-id").unwrap().to_owned();
    let source = format!("/bucket/a?versionId={version}");
    let copies = [("x-amz-copy-source", &*source)];
    assert_eq!(call(&world, &mut client, ("PUT", "/plain/b"), &copies, b"").await.status, 200);
    assert_eq!(
        call(&world, &mut client, ("PUT", "/bucket/c"), &[("x-amz-copy-source", "plain/b")], b"")
            .await
            .status,
        200
    );
    let document = format!(
        "<Delete><Object><Key>a</Key><VersionId>{version}</VersionId></Object><Object><Key>c</Key></Object>\
         <Object><Key>d</Key><VersionId>nonsense</VersionId></Object></Delete>"
    );
    let md5 = content_md5(document.as_bytes());
    let proven = [("content-md5", &*md5)];
    call(&world, &mut client, ("POST", "/bucket?delete"), &proven, document.as_bytes()).await;
    let records = records(&world, &mut client).await;
    let shown: Vec<_> = records.iter().map(|record| brief(record)).collect();
    assert_eq!(shown[0][..4], ["REST.PUT.VERSIONING", "-", "200", "-"]);
    assert_eq!(shown[1], ["REST.PUT.OBJECT", "a", "200", "-", "-", "5"]);
    // The other bucket is not logged, and is what the third is copied from.
    assert_eq!(shown[2], ["REST.COPY.OBJECT_GET", "a", "200", "-", "-", "5"]);
    assert_eq!(shown[3], ["REST.COPY.OBJECT", "c", "200", "-", shown[3][4], "5"]);
    assert_eq!(shown[4], ["REST.POST.MULTI_OBJECT_DELETE", "-", "200", "-", shown[4][4], "-"]);
    assert_eq!(
        shown[5..],
        [
            ["BATCH.DELETE.OBJECT", "a", "204", "-", "-", "-"],
            ["BATCH.DELETE.OBJECT", "c", "204", "-", "-", "-"],
            ["BATCH.DELETE.OBJECT", "d", "404", "NoSuchVersion", "-", "-"],
        ]
    );
    assert_eq!((&records[1][17], &records[2][17], &records[5][17]), (&version, &version, &version));
    assert!(records[6][17].len() > 8, "the marker that it made: {:?}", records[6]);
    for record in &records[5..] {
        assert_eq!((&*record[5], &*record[8], &*record[15]), (&*records[4][5], "-", "-"), "{record:?}");
    }
}

#[tokio::test]
async fn presigned_links_forms_visitors_and_preflights_are_recorded() {
    let world = World::owned_by(ObjectOwnership::ObjectWriter).await;
    let mut client = world.connect().await;
    log_into(&world, &mut client, &DELIVERABLE).await;
    let site =
        "<WebsiteConfiguration><IndexDocument><Suffix>i.html</Suffix></IndexDocument></WebsiteConfiguration>";
    call(&world, &mut client, ("PUT", "/bucket?website"), &[], site.as_bytes()).await;
    let open = [("x-amz-acl", "public-read")];
    call(&world, &mut client, ("PUT", "/bucket/i.html"), &open, b"<p>").await;
    let visit = "GET / HTTP/1.1\r\nhost: bucket.s3-website.localhost\r\n\r\n";
    client.send_text(visit).await;
    assert_eq!(client.answer().await.unwrap().status, 200);
    let unsigned = ask(&world, &mut client, Who::Nobody, ("GET", "/bucket/i.html"), (&[], b"")).await;
    assert_eq!(unsigned.status, 200);
    let link =
        "/bucket/i.html?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=0123&X-Amz-Security-Token=secret";
    client.send_text(&format!("GET {link} HTTP/1.1\r\nhost: {{host}}\r\n\r\n")).await;
    assert!(client.answer().await.unwrap().status >= 400);
    client
        .send_text("OPTIONS /bucket/i.html HTTP/1.1\r\nhost: {host}\r\norigin: http://o.test\r\naccess-control-request-method: GET\r\n\r\n")
        .await;
    assert_eq!(client.answer().await.unwrap().status, 403);
    let form = "--f\r\nContent-Disposition: form-data; name=\"key\"\r\n\r\nup\r\n--f\r\nContent-Disposition: form-data; \
                name=\"file\"; filename=\"x\"\r\n\r\nhello\r\n--f--\r\n";
    let length = form.len();
    let head = "POST /bucket HTTP/1.1\r\nhost: {host}\r\ncontent-type: multipart/form-data; boundary=f\r\n";
    client.send_text(&format!("{head}content-length: {length}\r\n\r\n{form}")).await;
    assert_eq!(client.answer().await.unwrap().status, 403);
    let records = records(&world, &mut client).await;
    let shown: Vec<_> = records.iter().map(|record| brief(record)).collect();
    assert_eq!(shown[0][..4], ["REST.PUT.WEBSITE", "-", "200", "-"]);
    assert_eq!(shown[1], ["REST.PUT.OBJECT", "i.html", "200", "-", "-", "3"]);
    assert_eq!(shown[2], ["WEBSITE.GET.OBJECT", "-", "200", "-", "3", "3"]);
    assert_eq!(shown[3], ["REST.GET.OBJECT", "i.html", "200", "-", "3", "3"]);
    assert_eq!(shown[4][..2], ["REST.GET.OBJECT", "i.html"]);
    assert_eq!(shown[5][..4], ["REST.OPTIONS.PREFLIGHT", "i.html", "403", "AccessForbidden"]);
    assert_eq!(shown[6][..4], ["REST.POST.BUCKET", "up", "403", "AccessDenied"]);
    assert_eq!(shown.len(), 7);
    // Only a list lets nobody in; the owner needs none.
    let lists: Vec<_> = records.iter().map(|record| record[25].as_str()).collect();
    assert_eq!(lists, ["-", "-", "Yes", "Yes", "-", "-", "-"]);
    assert_eq!((&*records[4][19], &*records[4][21]), ("SigV4", "QueryString"));
    let logged = "\"GET /bucket/i.html?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=REDACTED&X-Amz-Security-Token=REDACTED \
                HTTP/1.1\"";
    assert_eq!(records[4][8], logged);
}

#[tokio::test]
async fn a_record_says_what_tls_was_agreed_on() {
    let world = World::secured(Limits::default()).await;
    let mut client = secured::client(&world, &["http/1.1"]).await;
    log(&world, &mut client).await;
    call(&world, &mut client, ("HEAD", "/bucket"), &[], b"").await;
    let records = records(&world, &mut client).await;
    assert_eq!(brief(&records[0])[..3], ["REST.HEAD.BUCKET", "-", "200"]);
    assert_eq!(records[0][23], "TLSv1.3");
    assert!(records[0][20].starts_with("TLS_"), "{:?}", records[0]);
}

#[tokio::test]
async fn logging_is_kept_shown_and_refused_as_s3_does() {
    let world = World::owned_by(ObjectOwnership::ObjectWriter).await;
    let mut client = world.connect().await;
    for path in ["/bucket", "/target"] {
        call(&world, &mut client, ("PUT", path), &[], b"").await;
    }
    // As S3 has it: where lists count, the group that delivers logs needs both of its grants.
    let into = enabled(INTO);
    for (acl, status) in [("private", 400), ("public-read-write", 400), ("log-delivery-write", 200)] {
        let answer = call(&world, &mut client, ("PUT", "/target?acl"), &[("x-amz-acl", acl)], b"").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let set = call(&world, &mut client, ("PUT", "/bucket?logging"), &[], into.as_bytes()).await;
        assert_eq!(set.status, status, "{acl}: {}", set.text());
        assert!(status == 200 || set.code() == "InvalidTargetBucketForLogging", "{}", set.text());
    }
    ask(&world, &mut client, Who::Other, ("PUT", "/others"), (&[], b"")).await;
    let format = |inner: &str| {
        format!(
            "<TargetBucket>target</TargetBucket><TargetObjectKeyFormat>{inner}</TargetObjectKeyFormat><TargetPrefix/>"
        )
    };
    let date = |date: &str| {
        format(&format!(
            "<PartitionedPrefix><PartitionDateSource>{date}</PartitionDateSource></PartitionedPrefix>"
        ))
    };
    let grant = |permission: &str| {
        format!(
            "<TargetBucket>target</TargetBucket><TargetGrants><Grant><Grantee \
             xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"Group\">\
             <URI>http://acs.amazonaws.com/groups/global/AllUsers</URI></Grantee><Permission>{permission}</Permission>\
             </Grant></TargetGrants><TargetPrefix>p</TargetPrefix>"
        )
    };
    for inner in [
        INTO.to_owned(),
        format("<SimplePrefix/>"),
        date("EventTime"),
        date("DeliveryTime"),
        grant("READ"),
        grant("FULL_CONTROL"),
    ] {
        let set =
            call(&world, &mut client, ("PUT", "/bucket?logging"), &[], enabled(&inner).as_bytes()).await;
        assert_eq!(set.status, 200, "{}", set.text());
        let shown = call(&world, &mut client, ("GET", "/bucket?logging"), &[], b"").await;
        assert!(
            shown.text().contains(&format!("<LoggingEnabled>{inner}</LoggingEnabled>")),
            "{}",
            shown.text()
        );
    }
    let with = |target: &str| format!("<TargetBucket>{target}</TargetBucket><TargetPrefix/>");
    for (inner, code) in [
        (with("absent"), "InvalidTargetBucketForLogging"),
        (with("others"), "InvalidTargetBucketForLogging"),
        (with("No"), "InvalidTargetBucketForLogging"),
        ("<TargetPrefix/>".to_owned(), "MalformedXML"),
        ("<TargetBucket>target</TargetBucket>".to_owned(), "MalformedXML"),
        (format(""), "MalformedXML"),
        (format("<SimplePrefix/><PartitionedPrefix/>"), "MalformedXML"),
        (date("Yesterday"), "MalformedXML"),
        (grant("READ_ACP"), "MalformedXML"),
        (
            format!("<TargetBucket>target</TargetBucket><TargetPrefix>{}</TargetPrefix>", "p".repeat(801)),
            "InvalidArgument",
        ),
    ] {
        let set =
            call(&world, &mut client, ("PUT", "/bucket?logging"), &[], enabled(&inner).as_bytes()).await;
        assert_eq!((set.status, set.code()), (400, code), "{inner}: {}", set.text());
    }
    for who in [Who::Other, Who::Nobody] {
        for method in ["GET", "PUT"] {
            let answer = ask(&world, &mut client, who, (method, "/bucket?logging"), (&[], b"")).await;
            assert_eq!((answer.status, answer.code()), (403, "AccessDenied"), "{method} of {who:?}");
        }
    }
    let off = call(&world, &mut client, ("PUT", "/bucket?logging"), &[], b"<BucketLoggingStatus/>").await;
    assert_eq!(off.status, 200);
    let shown = call(&world, &mut client, ("GET", "/bucket?logging"), &[], b"").await;
    assert!(!shown.text().contains("LoggingEnabled"), "{}", shown.text());
}
