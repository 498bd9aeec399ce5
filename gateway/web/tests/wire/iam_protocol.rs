//! The query protocol on the wire: who is let in, and what a hand-written client is told.

#![expect(clippy::unwrap_used, reason = "a test's world fails loudly")]

use crate::iam_world::{Key, Post, element, form, iam, presigned, signed};
use crate::world::{ACCESS_KEY, ACCOUNT, Answer, Client, World};
use security::sign::PayloadHash;

const IDENTITY: &str = "Action=GetCallerIdentity&Version=2011-06-15";
const STS: Post<'static> = Post {
    service: "sts",
    region: "us-east-1",
    method: "POST",
    path: "/",
    content_type: "application/x-www-form-urlencoded; charset=utf-8",
    header: None,
    payload: None,
};

async fn sent(client: &mut Client, bytes: &[u8]) -> Answer {
    client.send(bytes).await;
    client.answer().await.unwrap()
}

async fn post(world: &World, post: Post<'_>, body: &str) -> Answer {
    let mut client = world.connect().await;
    sent(&mut client, &signed(world, &Key::root(), post, body.as_bytes())).await
}

#[tokio::test]
async fn one_connection_speaks_s3_iam_and_sts_by_their_scopes() {
    let world = World::new().await;
    let mut client = world.with_bucket().await;
    let answer = sent(&mut client, &signed(&world, &Key::root(), STS, IDENTITY.as_bytes())).await;
    let id = answer.header("x-amzn-requestid").unwrap().to_owned();
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("text/xml")));
    assert_eq!(
        answer.text(),
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult>\
             <Arn>arn:aws:iam::{ACCOUNT}:root</Arn><UserId>{ACCOUNT}</UserId><Account>{ACCOUNT}</Account>\
             </GetCallerIdentityResult><ResponseMetadata><RequestId>{id}</RequestId></ResponseMetadata>\
             </GetCallerIdentityResponse>"
        )
    );
    assert_eq!(id.len(), 36);
    let users = iam(&world, &mut client, &Key::root(), "ListUsers", &[]).await;
    assert!(
        users
            .text()
            .contains("<ListUsersResult><Users></Users><IsTruncated>false</IsTruncated></ListUsersResult>")
    );
    client.send(&world.signed("GET", "/bucket", &[], b"")).await;
    assert_eq!(client.answer().await.unwrap().status, 200);
}

#[tokio::test]
async fn a_url_asks_as_a_form_does() {
    let world = World::new().await;
    let mut client = world.connect().await;
    let url = presigned(&world, &Key::root(), "sts", IDENTITY);
    let get = |url: &str| format!("GET {url} HTTP/1.1\r\nhost: {{host}}\r\n\r\n");
    client.send_text(&get(&url)).await;
    let answer = client.answer().await.unwrap();
    assert_eq!(element(answer.text(), "Account"), Some(ACCOUNT), "{}", answer.text());
    let code = async |client: &mut Client, url: &str| {
        client.send_text(&get(url)).await;
        client.answer().await.unwrap().code().to_owned()
    };
    assert_eq!(
        code(&mut client, &url.replace("GetCallerIdentity", "GetSessionToken")).await,
        "SignatureDoesNotMatch"
    );
    assert_eq!(code(&mut client, &format!("{url}&DurationSeconds=900")).await, "SignatureDoesNotMatch");
    // A URL for S3 is none for STS: its scope is another.
    let of_s3 = presigned(&world, &Key::root(), "s3", IDENTITY);
    client.send_text(&get(&of_s3)).await;
    assert!(client.answer().await.unwrap().text().contains("<ListAllMyBucketsResult"));
    let mut body = format!("GET {url} HTTP/1.1\r\nhost: {{host}}\r\ncontent-length: 3\r\n\r\n");
    body.push_str("a=b");
    client.send_text(&body).await;
    assert_eq!(client.answer().await.unwrap().code(), "InvalidQueryParameter");
}

#[tokio::test]
async fn what_is_not_signed_for_the_service_or_not_as_it_came_is_refused() {
    let world = World::new().await;
    let mut client = world.connect().await;
    let unsigned = format!(
        "POST / HTTP/1.1\r\nhost: {{host}}\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{IDENTITY}",
        IDENTITY.len()
    );
    client.send_text(&unsigned).await;
    let answer = client.answer().await.unwrap();
    assert_eq!((answer.status, answer.code()), (403, "MissingAuthenticationToken"));
    assert_eq!(element(answer.text(), "Type"), Some("Sender"));
    for (action, status, code) in [
        ("AssumeRoleWithWebIdentity", 400, "ValidationError"),
        ("AssumeRoleWithSAML", 501, "NotImplemented"),
        ("AssumeRole", 403, "MissingAuthenticationToken"),
        ("Nothing", 400, "InvalidAction"),
    ] {
        client
            .send_text(&unsigned.replace("GetCallerIdentity", action).replace(
                &format!("content-length: {}", IDENTITY.len()),
                &format!("content-length: {}", IDENTITY.len() - "GetCallerIdentity".len() + action.len()),
            ))
            .await;
        let answer = client.answer().await.unwrap();
        assert_eq!((answer.status, answer.code()), (status, code));
    }

    // The body is part of what is signed, whatever the head says of it.
    let mut changed = signed(&world, &Key::root(), STS, IDENTITY.as_bytes());
    let at = changed.len() - IDENTITY.len();
    changed[at..].copy_from_slice(IDENTITY.replace("GetCallerIdentity", "GetCallerIdentitY").as_bytes());
    let answer = sent(&mut client, &changed).await;
    assert_eq!((answer.status, answer.code()), (403, "SignatureDoesNotMatch"));
    for payload in
        [PayloadHash::Unsigned, PayloadHash::StreamingUnsignedTrailer, PayloadHash::Sha256([0; 32])]
    {
        let answer = post(&world, Post { payload: Some(payload), ..STS }, IDENTITY).await;
        assert_eq!((answer.status, answer.code()), (403, "SignatureDoesNotMatch"), "{payload:?}");
    }

    // Another service's scope reaches that service alone, and a region is the appliance's, or where AWS has what is in none.
    let list = "Action=ListUsers&Version=2010-05-08";
    assert_eq!(post(&world, STS, list).await.code(), "InvalidAction");
    assert_eq!(post(&world, Post { service: "s3", ..STS }, list).await.code(), "NotImplemented");
    assert_eq!(
        post(&world, Post { service: "ec2", ..STS }, list).await.code(),
        "AuthorizationHeaderMalformed"
    );
    assert_eq!(
        post(&world, Post { region: "eu-central-1", ..STS }, IDENTITY).await.code(),
        "IncompleteSignature"
    );
    let s3 = signed(&world, &Key::root(), Post { method: "GET", path: "/bucket", ..Post::default() }, b"");
    let answer = sent(&mut client, &s3).await;
    assert_eq!((answer.status, answer.code()), (405, "MethodNotAllowed"));

    let nobody = Key { id: "AKIAIOSFODNN7NOBODYX".to_owned(), ..Key::root() };
    let answer = sent(&mut client, &signed(&world, &nobody, STS, IDENTITY.as_bytes())).await;
    assert_eq!((answer.status, answer.code()), (403, "InvalidClientTokenId"));
    let wrong = Key { secret: "0123456789".to_owned(), ..Key::root() };
    let answer = sent(&mut client, &signed(&world, &wrong, STS, IDENTITY.as_bytes())).await;
    assert_eq!((answer.status, answer.code()), (403, "SignatureDoesNotMatch"));
    let token = Key { token: Some("firn1.AAAA".to_owned()), ..Key::root() };
    let answer = sent(&mut client, &signed(&world, &token, STS, IDENTITY.as_bytes())).await;
    assert_eq!((answer.status, answer.code()), (403, "InvalidClientTokenId"));
    let late = signed(&world, &Key::root(), STS, IDENTITY.as_bytes());
    world.clock.advance(std::time::Duration::from_mins(16));
    let mut client = world.connect().await;
    assert_eq!(sent(&mut client, &late).await.code(), "SignatureDoesNotMatch");
}

#[tokio::test]
async fn the_body_of_nobody_is_not_asked_for() {
    let world = World::new().await;
    let expecting = |key: &Key| {
        let bytes = signed(&world, key, STS, IDENTITY.as_bytes());
        let head = String::from_utf8(bytes[..bytes.len() - IDENTITY.len()].to_vec()).unwrap();
        head.replace("\r\n\r\n", "\r\nexpect: 100-continue\r\n\r\n")
    };
    let mut client = world.connect().await;
    client.send(expecting(&Key { id: "AKIAIOSFODNN7NOBODYX".to_owned(), ..Key::root() }).as_bytes()).await;
    let answer = client.answer().await.unwrap();
    assert_eq!((answer.status, answer.header("connection")), (403, Some("close")));
    // Of whom the key is known it is.
    let mut client = world.connect().await;
    client.send(expecting(&Key::root()).as_bytes()).await;
    assert_eq!(client.answer().await.unwrap().status, 100);
    client.send(IDENTITY.as_bytes()).await;
    assert_eq!(client.answer().await.unwrap().status, 200);
}

#[tokio::test]
async fn requests_are_of_the_protocols_form_and_of_bounded_size() {
    let world = World::new().await;
    for (content_type, status) in [
        ("application/x-www-form-urlencoded", 200),
        ("application/x-www-form-urlencoded; charset=UTF-8", 200),
        ("APPLICATION/X-WWW-FORM-URLENCODED;charset=\"utf-8\"", 200),
        ("application/x-www-form-urlencoded; charset=utf-16", 415),
        ("application/json", 415),
        ("multipart/form-data; boundary=x", 415),
        ("text/xml", 415),
        ("", 415),
    ] {
        let answer = post(&world, Post { content_type, ..STS }, IDENTITY).await;
        assert_eq!(answer.status, status, "{content_type}: {}", answer.text());
    }
    for (post_as, body, status, code) in [
        (STS, "", 400, "MissingAction"),
        (STS, "Action=&Version=2011-06-15", 400, "MissingAction"),
        (STS, "Action=GetCallerIdentity", 400, "InvalidAction"),
        (STS, "Action=GetCallerIdentity&Version=2010-05-08", 400, "InvalidAction"),
        (STS, "Action=getcalleridentity&Version=2011-06-15", 400, "InvalidAction"),
        (STS, "Action=GetCallerIdentity&Version=2011-06-15&Version=2011-06-15", 404, "MalformedQueryString"),
        (STS, "Action=GetCallerIdentity&Version=2011-06-15&x=%ff", 404, "MalformedQueryString"),
        (STS, "Action=GetCallerIdentity&Version=2011-06-15&More=1", 400, "InvalidQueryParameter"),
        (STS, "Action=AssumeRoleWithSAML&Version=2011-06-15", 501, "NotImplemented"),
        (STS, "Action=AssumeRole%00%1b&Version=2011-06-15", 400, "InvalidAction"),
        (Post { path: "/?Action=GetSessionToken", ..STS }, IDENTITY, 400, "InvalidQueryParameter"),
        (Post { path: "//", ..STS }, IDENTITY, 405, "MethodNotAllowed"),
        (Post { method: "PUT", ..STS }, IDENTITY, 405, "MethodNotAllowed"),
        (Post { method: "DELETE", ..STS }, IDENTITY, 405, "MethodNotAllowed"),
    ] {
        let answer = post(&world, post_as, body).await;
        assert_eq!((answer.status, answer.code()), (status, code), "{post_as:?} {body}");
        assert!(!answer.text().contains("&#x"), "what no parser takes: {}", answer.text());
    }
    let many: Vec<String> = (1..=3_000).map(|at| format!("Tags.member.{at}.Key=k")).collect();
    assert_eq!(
        post(&world, STS, &format!("{IDENTITY}&{}", many.join("&"))).await.code(),
        "MalformedQueryString"
    );
    let long = format!("{IDENTITY}&Padding={}", "x".repeat(1 << 20));
    let mut client = world.connect().await;
    client.send(&signed(&world, &Key::root(), STS, long.as_bytes())[..2_000]).await;
    let answer = client.answer().await.unwrap();
    assert_eq!((answer.status, answer.header("connection")), (413, Some("close")), "before it came");
}

#[tokio::test]
async fn what_is_answered_is_counted_and_logged_by_its_operation_and_never_with_its_parameters() {
    let world = World::new().await;
    let mut client = world.connect().await;
    iam(&world, &mut client, &Key::root(), "CreateUser", &[("UserName", "alice")]).await;
    let mut admin = world.connect_admin().await;
    admin.send_text("GET /metrics HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer the-token\r\n\r\n").await;
    let metrics = admin.answer().await.unwrap();
    let line = r#"firn_api_requests_total{service="iam",operation="CreateUser",status="2xx"} 1"#;
    assert!(metrics.text().contains(line), "{}", metrics.text());
    assert!(!metrics.text().contains("alice") && !metrics.text().contains(ACCESS_KEY));
}

#[tokio::test]
async fn pages_go_on_where_the_last_one_ended_by_sealed_markers() {
    let world = World::new().await;
    let (mut client, root) = (world.connect().await, Key::root());
    for name in ["anna", "Bert", "carl", "dora", "emil"] {
        iam(&world, &mut client, &root, "CreateUser", &[("UserName", name)]).await;
    }
    let (mut seen, mut marker) = (Vec::new(), None::<String>);
    loop {
        let mut parameters = vec![("MaxItems", "2")];
        parameters.extend(marker.as_deref().map(|marker| ("Marker", marker)));
        let page = iam(&world, &mut client, &root, "ListUsers", &parameters).await;
        let names =
            page.text().split("<UserName>").skip(1).map(|rest| rest.split('<').next().unwrap().to_owned());
        seen.extend(names);
        marker = element(page.text(), "Marker").map(str::to_owned);
        assert_eq!(
            element(page.text(), "IsTruncated"),
            Some(if marker.is_some() { "true" } else { "false" })
        );
        let Some(marker) = &marker else { break };
        assert!(!marker.to_lowercase().contains("bert") && marker.len() <= 320);
        // It is good for this listing alone.
        let body = form(&[("Action", "ListGroups"), ("Version", "2010-05-08"), ("Marker", marker)]);
        assert_eq!(post(&world, Post::default(), &body).await.code(), "InvalidInput");
    }
    assert_eq!(seen, ["anna", "Bert", "carl", "dora", "emil"]);
    let body = form(&[("Action", "ListUsers"), ("Version", "2010-05-08"), ("Marker", "bert")]);
    assert_eq!(post(&world, Post::default(), &body).await.code(), "InvalidInput");
}
