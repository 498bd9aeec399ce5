//! Lifecycle configurations as S3 keeps, shows and refuses them, and the headers that tell of rules. What rules do:
//! `objectstore::tests::lifecycle`.

use crate::world::{Client, OTHER_ACCOUNT, Who, World, ask, call, content_md5};
use engine::clock::Clock as _;
use objectstore::BucketName;
use std::time::Duration;

fn document(rules: &str) -> String {
    format!("<LifecycleConfiguration>{rules}</LifecycleConfiguration>")
}

async fn put(world: &World, client: &mut Client, document: &str) -> (u16, String, String) {
    let md5 = content_md5(document.as_bytes());
    let headers = [("content-md5", md5.as_str())];
    let answer = call(world, client, ("PUT", "/bucket?lifecycle"), &headers, document.as_bytes()).await;
    let code = if answer.status >= 400 { answer.code().to_owned() } else { String::new() };
    (answer.status, code, answer.text().to_owned())
}

const RULES: &str = "<Rule><ID>old logs</ID><Filter><And><Prefix>logs/</Prefix><Tag><Key>a</Key><Value>b</Value></Tag></And></Filter>\
    <Status>Enabled</Status><Expiration><Days>3</Days></Expiration></Rule><Rule><ID>rest</ID><Prefix/><Status>Enabled</Status>\
    <AbortIncompleteMultipartUpload><DaysAfterInitiation>2</DaysAfterInitiation></AbortIncompleteMultipartUpload></Rule>";

#[tokio::test]
async fn rules_that_are_damaged_are_said_to_be_and_stop_no_write() {
    let world = World::new().await;
    let mut client = world.with_bucket().await;
    let name = BucketName::parse("bucket").unwrap();
    for set_again in [true, false] {
        assert_eq!(put(&world, &mut client, &document(RULES)).await.0, 200);
        objectstore::testing::damage_lifecycle(&world.store, &name).await;
        let shown = call(&world, &mut client, ("GET", "/bucket?lifecycle"), &[], b"").await;
        assert_eq!((shown.status, shown.code()), (500, "InternalError"));
        assert!(
            shown.text().contains("damaged, and act on nothing until they are set again"),
            "{}",
            shown.text()
        );
        let written = call(&world, &mut client, ("PUT", "/bucket/logs/k"), &[], b"x").await;
        assert!(written.status == 200 && written.header("x-amz-expiration").is_none());
        let read = call(&world, &mut client, ("GET", "/bucket/logs/k"), &[], b"").await;
        assert_eq!((read.status, read.text()), (200, "x"));
        let (method, body) = if set_again { ("PUT", document(RULES)) } else { ("DELETE", String::new()) };
        let md5 = content_md5(body.as_bytes());
        let headers = [("content-md5", md5.as_str())];
        let mended =
            call(&world, &mut client, (method, "/bucket?lifecycle"), &headers, body.as_bytes()).await;
        assert!(matches!(mended.status, 200 | 204), "{}", mended.text());
        let shown = call(&world, &mut client, ("GET", "/bucket?lifecycle"), &[], b"").await;
        assert_eq!(shown.status, if set_again { 200 } else { 404 });
    }
}

#[tokio::test]
async fn lifecycle_rules_are_kept_shown_and_removed() {
    let world = World::new().await;
    let mut client = world.with_bucket().await;
    let absent = call(&world, &mut client, ("GET", "/bucket?lifecycle"), &[], b"").await;
    assert_eq!((absent.status, absent.code()), (404, "NoSuchLifecycleConfiguration"));
    let unproven =
        call(&world, &mut client, ("PUT", "/bucket?lifecycle"), &[], document(RULES).as_bytes()).await;
    assert_eq!(
        (unproven.status, unproven.code()),
        (400, "InvalidRequest"),
        "a digest is asked for, as by S3"
    );
    assert_eq!(put(&world, &mut client, &document(RULES)).await.0, 200);
    let shown = call(&world, &mut client, ("GET", "/bucket?lifecycle"), &[], b"").await;
    assert!(shown.text().contains(RULES), "{}", shown.text());
    let minimum = "x-amz-transition-default-minimum-object-size";
    assert_eq!(shown.header(minimum), Some("all_storage_classes_128K"));
    let transition = "<Rule><ID>t</ID><Filter/><Status>Enabled</Status><Transition><Days>1</Days><StorageClass>GLACIER\
        </StorageClass></Transition></Rule>";
    let (status, code, text) =
        put(&world, &mut client, &document(&transition.replace("GLACIER", "STANDARD"))).await;
    assert_eq!((status, code.as_str()), (400, "MalformedXML"), "{text}");
    let shown = call(&world, &mut client, ("GET", "/bucket?lifecycle"), &[], b"").await;
    assert!(shown.text().contains(RULES), "what is refused changes nothing");
    assert_eq!(put(&world, &mut client, &document(transition)).await.0, 200);
    let shown = call(&world, &mut client, ("GET", "/bucket?lifecycle"), &[], b"").await;
    assert!(shown.text().contains(transition), "{}", shown.text());
    let (status, code, _) = put(&world, &mut client, &document("")).await;
    assert_eq!((status, code.as_str()), (400, "MalformedXML"));
    for _ in 0..2 {
        let gone = call(&world, &mut client, ("DELETE", "/bucket?lifecycle"), &[], b"").await;
        assert_eq!(gone.status, 204);
    }
    let absent = call(&world, &mut client, ("GET", "/bucket?lifecycle"), &[], b"").await;
    assert_eq!((absent.status, absent.code()), (404, "NoSuchLifecycleConfiguration"));
}

#[tokio::test]
async fn answers_tell_when_a_rule_acts_and_then_it_does() {
    let world = World::new().await;
    let mut client = world.with_bucket().await;
    assert_eq!(put(&world, &mut client, &document(RULES)).await.0, 200);
    let tagged = [("x-amz-tagging", "a=b")];
    // 2023-11-14T22:13:20Z and three days, and then the next midnight.
    let expected = Some("expiry-date=\"Sat, 18 Nov 2023 00:00:00 GMT\", rule-id=\"old%20logs\"");
    let answer = call(&world, &mut client, ("PUT", "/bucket/logs/a"), &tagged, b"x").await;
    assert_eq!((answer.status, answer.header("x-amz-expiration")), (200, expected));
    for method in ["GET", "HEAD"] {
        let answer = call(&world, &mut client, (method, "/bucket/logs/a"), &[], b"").await;
        assert_eq!(answer.header("x-amz-expiration"), expected, "{method}");
    }
    let copy = [("x-amz-copy-source", "/bucket/logs/a")];
    let answer = call(&world, &mut client, ("PUT", "/bucket/logs/b"), &copy, b"").await;
    assert_eq!(answer.header("x-amz-expiration"), expected, "its tags are copied");
    let other = call(&world, &mut client, ("PUT", "/bucket/logs/c"), &[], b"x").await;
    assert_eq!(other.header("x-amz-expiration"), None);
    // Uploads.
    let begun = call(&world, &mut client, ("POST", "/bucket/logs/up?uploads"), &tagged, b"").await;
    let abort = Some("Fri, 17 Nov 2023 00:00:00 GMT");
    assert_eq!(
        (begun.header("x-amz-abort-date"), begun.header("x-amz-abort-rule-id")),
        (abort, Some("rest"))
    );
    let text = begun.text();
    let upload = text.split_once("<UploadId>").unwrap().1.split_once('<').unwrap().0.to_owned();
    let path = format!("/bucket/logs/up?partNumber=1&uploadId={upload}");
    let etag = call(&world, &mut client, ("PUT", &path), &[], b"x").await.header("etag").unwrap().to_owned();
    let path = format!("/bucket/logs/up?uploadId={upload}");
    let parts = call(&world, &mut client, ("GET", &path), &[], b"").await;
    assert_eq!(parts.header("x-amz-abort-date"), abort);
    let complete = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part></CompleteMultipartUpload>"
    );
    let done = call(&world, &mut client, ("POST", &path), &[], complete.as_bytes()).await;
    assert_eq!((done.status, done.header("x-amz-expiration")), (200, expected));
    let left = call(&world, &mut client, ("POST", "/bucket/left?uploads"), &[], b"").await;
    assert_eq!(left.status, 200);
    // And then it happens.
    world.clock.advance(Duration::from_hours(24) * 4);
    let bucket = BucketName::parse("bucket").unwrap();
    let mut all = objectstore::LifecycleRun::default();
    loop {
        let (done, more) = world.store.run_lifecycle(&bucket).await.unwrap();
        all = all.and(done);
        if !more {
            break;
        }
    }
    assert_eq!((all.expired, all.uploads), (3, 1), "{:?}", world.clock.now());
    // The connection was idle for four days.
    let mut client = world.connect().await;
    let list = call(&world, &mut client, ("GET", "/bucket"), &[], b"").await;
    assert!(list.text().contains("<Key>logs/c</Key>") && !list.text().contains("logs/a"), "{}", list.text());
    let uploads = call(&world, &mut client, ("GET", "/bucket?uploads"), &[], b"").await;
    assert!(!uploads.text().contains("<Upload>"), "{}", uploads.text());
}

#[tokio::test]
async fn what_a_rule_does_is_told_where_it_is_wanted() {
    let world = World::new().await;
    let mut client = world.with_bucket().await;
    let wants = format!(
        "<NotificationConfiguration><TopicConfiguration><Id>one</Id><Topic>{}</Topic><Event>s3:LifecycleExpiration:*</Event>\
         </TopicConfiguration></NotificationConfiguration>",
        world.store.topic_arn(&"told".parse().unwrap())
    );
    let set = call(&world, &mut client, ("PUT", "/bucket?notification"), &[], wants.as_bytes()).await;
    assert_eq!(set.status, 200, "{}", set.text());
    let rule = "<Rule><ID>a</ID><Filter/><Status>Enabled</Status><Expiration><Days>1</Days></Expiration>\
        <NoncurrentVersionExpiration><NoncurrentDays>1</NoncurrentDays></NoncurrentVersionExpiration></Rule>";
    assert_eq!(put(&world, &mut client, &document(rule)).await.0, 200);
    let versions = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
    assert_eq!(call(&world, &mut client, ("PUT", "/bucket?versioning"), &[], versions).await.status, 200);
    call(&world, &mut client, ("PUT", "/bucket/k"), &[], b"x").await;
    world.events().await;
    let bucket = BucketName::parse("bucket").unwrap();
    let mut told = Vec::new();
    for _ in 0..6 {
        world.clock.advance(Duration::from_hours(24));
        while world.store.run_lifecycle(&bucket).await.unwrap().1 {}
        told.extend(world.events().await);
    }
    let names: Vec<_> = told.iter().map(|event| event["Records"][0]["eventName"].as_str().unwrap()).collect();
    let (marker, gone) = ("LifecycleExpiration:DeleteMarkerCreated", "LifecycleExpiration:Delete");
    assert_eq!(names, [marker, gone, gone], "hidden, removed, and its marker");
    assert_eq!(told[0]["Records"][0]["userIdentity"]["principalId"], "s3.amazonaws.com");
}

#[tokio::test]
async fn a_policy_gives_others_the_rules_of_a_bucket_to_read_or_to_set() {
    let world = World::new().await;
    let mut client = world.with_bucket().await;
    let rules = document(RULES);
    let md5 = content_md5(rules.as_bytes());
    let headers = [("content-md5", md5.as_str())];
    let mut other = world.connect().await;
    let asks =
        [("GET", "s3:GetLifecycleConfiguration"), ("PUT", "s3:PutLifecycleConfiguration"), ("DELETE", "")];
    for (method, action) in asks {
        let denied =
            ask(&world, &mut other, Who::Other, (method, "/bucket?lifecycle"), (&headers, rules.as_bytes()))
                .await;
        assert_eq!(denied.status, 403, "{method}");
        if action.is_empty() {
            continue;
        }
        let policy = format!(
            r#"{{"Statement":{{"Effect":"Allow","Principal":{{"AWS":"{OTHER_ACCOUNT}"}},"Action":"{action}","Resource":"arn:aws:s3:::bucket"}}}}"#
        );
        assert_eq!(
            call(&world, &mut client, ("PUT", "/bucket?policy"), &[], policy.as_bytes()).await.status,
            204
        );
        let allowed =
            ask(&world, &mut other, Who::Other, (method, "/bucket?lifecycle"), (&headers, rules.as_bytes()))
                .await;
        assert_ne!(allowed.status, 403, "{method}: {}", allowed.text());
        assert_eq!(call(&world, &mut client, ("DELETE", "/bucket?policy"), &[], b"").await.status, 204);
    }
}
