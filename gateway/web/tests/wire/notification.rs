//! Notification configurations as S3 keeps, shows and refuses them, and what a request says of itself in its event.

use crate::world::{ACCOUNT, Client, Who, World, ask, call, content_md5};

fn topic(arn: &str, inner: &str) -> String {
    format!("<TopicConfiguration><Topic>{arn}</Topic>{inner}</TopicConfiguration>")
}

fn arn(name: &str) -> String {
    format!("arn:aws:sns:us-east-1:{ACCOUNT}:{name}")
}

const CREATED: &str = "<Event>s3:ObjectCreated:*</Event>";

async fn set(
    world: &World,
    client: &mut Client,
    inner: &str,
    headers: &[(&str, &str)],
) -> (u16, String, String) {
    let document = format!("<NotificationConfiguration>{inner}</NotificationConfiguration>");
    let path = ("PUT", "/bucket?notification");
    let answer = call(world, client, path, headers, document.as_bytes()).await;
    (answer.status, answer.code().to_owned(), answer.text().to_owned())
}

#[tokio::test]
async fn a_notification_configuration_is_kept_shown_and_removed() {
    let world = World::new().await;
    let mut client = world.with_bucket().await;
    let filter = "<Filter><S3Key><FilterRule><Name>suffix</Name><Value>.j&amp;g</Value></FilterRule>\
                  <FilterRule><Name>prefix</Name><Value>in/</Value></FilterRule></S3Key></Filter>";
    let named =
        topic(&arn("told"), &format!("<Id>one</Id>{CREATED}<Event>s3:LifecycleTransition</Event>{filter}"));
    let unnamed = topic(&arn("told"), "<Event>s3:ObjectRemoved:*</Event>");
    let (status, _, text) = set(&world, &mut client, &format!("{named}{unnamed}"), &[]).await;
    assert_eq!(status, 200, "{text}");
    let shown = call(&world, &mut client, ("GET", "/bucket?notification"), &[], b"").await;
    let first = format!(
        "<TopicConfiguration><Id>one</Id><Topic>{}</Topic><Event>s3:ObjectCreated:*</Event>\
         <Event>s3:LifecycleTransition</Event><Filter><S3Key><FilterRule><Name>Prefix</Name><Value>in/</Value></FilterRule>\
         <FilterRule><Name>Suffix</Name><Value>.j&amp;g</Value></FilterRule></S3Key></Filter></TopicConfiguration>",
        arn("told")
    );
    assert!(shown.text().contains(&first), "{}", shown.text());
    let id = shown.text().rsplit_once("<Id>").unwrap().1.split_once('<').unwrap().0.to_owned();
    assert_eq!(id.len(), 32, "one without an id is given one: {id}");
    // One test event for each topic, and what it says.
    let told = world.events().await;
    assert_eq!(told.len(), 1);
    assert_eq!((&told[0]["Event"], &told[0]["Bucket"]), (&"s3:TestEvent".into(), &"bucket".into()));
    for _ in 0..2 {
        assert_eq!(set(&world, &mut client, "", &[]).await.0, 200);
        let empty = call(&world, &mut client, ("GET", "/bucket?notification"), &[], b"").await;
        assert!(empty.status == 200 && !empty.text().contains("TopicConfiguration"), "{}", empty.text());
    }
    assert!(world.events().await.is_empty());
}

#[tokio::test]
async fn destinations_that_cannot_be_told_and_ambiguous_rules_are_refused_as_s3_refuses_them() {
    let world = World::new().await;
    let mut client = world.with_bucket().await;
    let unable = "Unable to validate the following destination configurations";
    let queue = format!(
        "<QueueConfiguration><Queue>arn:aws:sqs:us-east-1:{ACCOUNT}:told</Queue>{CREATED}</QueueConfiguration>"
    );
    let function = format!(
        "<CloudFunctionConfiguration><CloudFunction>arn:aws:lambda:us-east-1:{ACCOUNT}:function:f</CloudFunction>{CREATED}\
         </CloudFunctionConfiguration>"
    );
    let twice = topic(&arn("told"), &format!("<Id>a</Id>{CREATED}"))
        + &topic(&arn("told"), &format!("<Id>b</Id>{CREATED}"));
    let skip = [("x-amz-skip-destination-validation", "true")];
    for (document, says) in [
        (queue.clone(), unable),
        (function, unable),
        ("<EventBridgeConfiguration/>".to_owned(), unable),
        (topic(&arn("nobody"), CREATED), "The destination topic does not exist"),
        (topic("arn:aws:sns:eu-west-1:111122223333:told", CREATED), unable),
        (topic("arn:aws:sns:us-east-1:444455556666:told", CREATED), unable),
        (topic(&arn("told").replace(":sns:", ":sqs:"), CREATED), unable),
        (topic(&arn("told.fifo"), CREATED), unable),
        (topic("told", CREATED), "The ARN is not well formed"),
        (topic(&arn("told"), "<Event>s3:Everything</Event>"), "The event is not supported for notifications"),
        (twice, "Configurations overlap."),
    ] {
        let (status, code, text) = set(&world, &mut client, &document, &[]).await;
        assert_eq!((status, code.as_str()), (400, "InvalidArgument"), "{document}: {text}");
        assert!(text.contains(says), "{document}: {text}");
    }
    let (status, code, _) = set(&world, &mut client, &topic(&arn("told"), ""), &[]).await;
    assert_eq!((status, code.as_str()), (400, "MalformedXML"));
    // Without validation nothing is tested; a destination that nobody is named for is refused still.
    for document in [queue, topic(&arn("nobody"), CREATED)] {
        let (status, code, text) = set(&world, &mut client, &document, &skip).await;
        assert_eq!((status, code.as_str()), (400, "InvalidArgument"), "{document}: {text}");
    }
    assert_eq!(set(&world, &mut client, &topic(&arn("told"), CREATED), &skip).await.0, 200);
    assert!(world.events().await.is_empty(), "nothing is tested where nothing is validated");
    let odd = [("x-amz-skip-destination-validation", "maybe")];
    assert_eq!(set(&world, &mut client, &topic(&arn("told"), CREATED), &odd).await.1, "InvalidArgument");
    for who in [Who::Other, Who::Nobody] {
        for method in ["GET", "PUT"] {
            let answer = ask(&world, &mut client, who, (method, "/bucket?notification"), (&[], b"")).await;
            assert_eq!((answer.status, answer.code()), (403, "AccessDenied"), "{method} of {who:?}");
        }
    }
}

#[tokio::test]
async fn an_event_names_the_request_that_it_comes_from() {
    let world = World::new().await;
    let mut client = world.with_bucket().await;
    let all =
        "<Event>s3:ObjectCreated:*</Event><Event>s3:ObjectRemoved:*</Event><Event>s3:ObjectTagging:*</Event>";
    assert_eq!(set(&world, &mut client, &topic(&arn("told"), all), &[]).await.0, 200);
    world.events().await;
    let tags = b"<Tagging><TagSet/></Tagging>";
    let delete = b"<Delete><Object><Key>copy</Key></Object></Delete>";
    let (tags_md5, delete_md5) = (content_md5(tags), content_md5(delete));
    let (proven_tags, proven_delete) =
        ([("content-md5", tags_md5.as_str())], [("content-md5", delete_md5.as_str())]);
    let copies = [("x-amz-copy-source", "/bucket/key")];
    let mut ids = Vec::new();
    for (method, path, headers, body) in [
        ("PUT", "/bucket/key", &[][..], &b"x"[..]),
        ("PUT", "/bucket/copy", &copies, b""),
        ("PUT", "/bucket/key?tagging", &proven_tags, tags),
        ("DELETE", "/bucket/key?tagging", &[], b""),
        ("POST", "/bucket?delete", &proven_delete, delete),
        ("DELETE", "/bucket/key", &[], b""),
    ] {
        let answer = call(&world, &mut client, (method, path), headers, body).await;
        assert!(answer.status < 300, "{method} {path}: {}", answer.text());
        let header = |name| answer.header(name).unwrap().to_owned();
        ids.push((header("x-amz-request-id"), header("x-amz-id-2")));
    }
    let events = world.events().await;
    let mut found: Vec<_> = events
        .iter()
        .map(|event| {
            let record = &event["Records"][0];
            assert_eq!(record["requestParameters"]["sourceIPAddress"], "127.0.0.1");
            assert_eq!(record["userIdentity"]["principalId"], format!("AWS:{ACCOUNT}"));
            let answered = &record["responseElements"];
            let text = |name: &str| answered[name].as_str().unwrap().to_owned();
            let id = (text("x-amz-request-id"), text("x-amz-id-2"));
            let at = ids.iter().position(|known| *known == id).expect("the id of a request");
            (at, record["eventName"].as_str().unwrap().to_owned())
        })
        .collect();
    found.sort();
    let names: Vec<_> = found.iter().map(|(_, name)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "ObjectCreated:Put",
            "ObjectCreated:Copy",
            "ObjectTagging:Put",
            "ObjectTagging:Delete",
            "ObjectRemoved:Delete",
            "ObjectRemoved:Delete",
        ]
    );
}
