//! Users at the S3 door beyond the first question: bucket policies that name them, key by key, what a write asks again, and how they are
//! told of.

#![expect(clippy::unwrap_used, reason = "a test's world fails loudly")]

use crate::iam_world::{Key, Post, give, iam, presigned_s3, says, signed, user};
use crate::world::{ACCOUNT, Answer, Client, World, call, content_md5};
use security::sign::PayloadHash;

/// A request to S3.
fn of_s3() -> Post<'static> {
    Post { service: "s3", content_type: "", ..Post::default() }
}

async fn s3(
    world: &World,
    client: &mut Client,
    key: &Key,
    (method, path): (&str, &str),
    body: &[u8],
) -> Answer {
    let post = Post { method, path, ..of_s3() };
    client.send(&signed(world, key, post, body)).await;
    client.answer().await.unwrap()
}

fn policy_of(arn: &str) -> String {
    format!(
        r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Principal":{{"AWS":"{arn}"}},"Action":"s3:GetObject",
        "Resource":"arn:aws:s3:::bucket/*"}}}}"#
    )
}

#[tokio::test]
async fn a_buckets_policy_names_users_and_means_who_had_the_name() {
    let world = World::new().await;
    let mut client = world.with_bucket().await;
    call(&world, &mut client, ("PUT", "/bucket/a"), &[], b"x").await;
    let alice = user(&world, &mut client, "alice").await;
    let text = policy_of(&format!("arn:aws:iam::{ACCOUNT}:user/alice"));
    let set = call(&world, &mut client, ("PUT", "/bucket?policy"), &[], text.as_bytes()).await;
    assert_eq!(set.status, 204, "{}", set.text());
    assert_eq!(
        s3(&world, &mut client, &alice, ("GET", "/bucket/a"), b"").await.status,
        200,
        "she needs no other"
    );
    assert_eq!(s3(&world, &mut client, &alice, ("DELETE", "/bucket/a"), b"").await.status, 403);
    let root = Key::root();
    iam(&world, &mut client, &root, "UpdateUser", &[("UserName", "alice"), ("NewUserName", "alicia")]).await;
    let namesake = user(&world, &mut client, "alice").await;
    assert_eq!(s3(&world, &mut client, &alice, ("GET", "/bucket/a"), b"").await.status, 200);
    assert_eq!(s3(&world, &mut client, &namesake, ("GET", "/bucket/a"), b"").await.status, 403);
    let shown = call(&world, &mut client, ("GET", "/bucket?policy"), &[], b"").await;
    assert_eq!(shown.text(), text.replace("user/alice", "user/alicia"));
    let named = [("UserName", "alicia"), ("AccessKeyId", alice.id.as_str())];
    iam(&world, &mut client, &root, "DeleteAccessKey", &named).await;
    iam(&world, &mut client, &root, "DeleteUser", &named[..1]).await;
    let shown = call(&world, &mut client, ("GET", "/bucket?policy"), &[], b"").await.text().to_owned();
    assert!(shown.contains("\"AIDA") && !shown.contains("user/"), "{shown}");
    // Who is gone, or never was, can't be named.
    for arn in [format!("arn:aws:iam::{ACCOUNT}:user/alicia"), format!("arn:aws:iam::{ACCOUNT}:role/none")] {
        let set = call(&world, &mut client, ("PUT", "/bucket?policy"), &[], policy_of(&arn).as_bytes()).await;
        assert_eq!((set.status, set.code()), (400, "MalformedPolicy"), "{arn}");
    }
}

#[tokio::test]
async fn buckets_and_keys_are_asked_about_one_by_one() {
    let world = World::new().await;
    let mut client = world.with_bucket().await;
    for path in ["/bucket/own/a", "/bucket/other/b"] {
        call(&world, &mut client, ("PUT", path), &[], b"x").await;
    }
    let alice = user(&world, &mut client, "alice").await;
    let statement = r#"{"Effect":"Allow","Action":["s3:*"],"Resource":["arn:aws:s3:::mine","arn:aws:s3:::mine/*",
        "arn:aws:s3:::bucket/own/*"]},{"Effect":"Allow","Action":"s3:ListBucket","Resource":"arn:aws:s3:::bucket",
        "Condition":{"StringLike":{"s3:prefix":"own/*"}}}"#;
    give(&world, &mut client, "alice", statement).await;
    let mut status =
        async |method, path, body: &[u8]| s3(&world, &mut client, &alice, (method, path), body).await.status;
    assert_eq!([status("PUT", "/mine", b"").await, status("PUT", "/yours", b"").await], [200, 403]);
    assert_eq!(status("GET", "/", b"").await, 403);
    let lists =
        [status("GET", "/bucket?prefix=own/", b"").await, status("GET", "/bucket?prefix=o", b"").await];
    assert_eq!(lists, [200, 403]);
    let body = "<Delete><Object><Key>own/a</Key></Object><Object><Key>other/b</Key></Object></Delete>";
    let md5 = content_md5(body.as_bytes());
    let post = Post { method: "POST", path: "/bucket?delete", ..of_s3() };
    let mut bytes = signed(&world, &alice, post, body.as_bytes());
    let at = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    bytes.splice(at..at, format!("\r\ncontent-md5: {md5}").into_bytes());
    client.send(&bytes).await;
    let deleted = client.answer().await.unwrap();
    assert_eq!(deleted.status, 200, "{}", deleted.text());
    assert!(deleted.text().contains("<Deleted><Key>own/a</Key>"), "{}", deleted.text());
    assert!(
        deleted.text().contains("<Error><Key>other/b</Key><Code>AccessDenied</Code>"),
        "{}",
        deleted.text()
    );
}

#[tokio::test]
async fn a_body_that_comes_after_the_right_to_send_it_went_is_not_stored() {
    let world = World::new().await;
    let mut client = world.with_bucket().await;
    let mut other = world.connect().await;
    let alice = user(&world, &mut client, "alice").await;
    for (revoked, status) in [(false, 200), (true, 403)] {
        give(&world, &mut client, "alice", &says("Allow", "\"s3:PutObject\"")).await;
        let payload = Some(PayloadHash::Unsigned);
        let body = vec![7; 100_000];
        let bytes =
            signed(&world, &alice, Post { method: "PUT", path: "/bucket/late", payload, ..of_s3() }, &body);
        let (head, body) = bytes.split_at(bytes.len() - body.len());
        client.send(&[&head[..head.len() - 2], b"expect: 100-continue\r\n\r\n"].concat()).await;
        assert_eq!(client.head().await.unwrap().status, 100, "it is let in");
        if revoked {
            give(&world, &mut other, "alice", &says("Allow", "\"s3:GetObject\"")).await;
        }
        client.send(body).await;
        assert_eq!(client.answer().await.unwrap().status, status);
        client = world.connect().await;
    }
    assert_eq!(call(&world, &mut client, ("GET", "/bucket/late"), &[], b"").await.body.len(), 100_000);
}

#[tokio::test]
async fn events_name_the_user() {
    let world = World::new().await;
    let mut client = world.with_bucket().await;
    let rule = format!(
        "<NotificationConfiguration><TopicConfiguration><Topic>arn:aws:sns:us-east-1:{ACCOUNT}:told</Topic>\
         <Event>s3:ObjectCreated:*</Event></TopicConfiguration></NotificationConfiguration>"
    );
    assert_eq!(
        call(&world, &mut client, ("PUT", "/bucket?notification"), &[], rule.as_bytes()).await.status,
        200
    );
    world.events().await;
    let alice = user(&world, &mut client, "alice").await;
    give(&world, &mut client, "alice", &says("Allow", "\"s3:*\"")).await;
    assert_eq!(s3(&world, &mut client, &alice, ("PUT", "/bucket/k"), b"x").await.status, 200);
    let told = world.events().await;
    let principal = told[0]["Records"][0]["userIdentity"]["principalId"].as_str().unwrap().to_owned();
    assert!(principal.starts_with("AWS:AIDA"), "{principal}");
    // A URL that a user signed is good for what the user may.
    let url = presigned_s3(&world, &alice, "/bucket/k");
    client.send(format!("GET {url} HTTP/1.1\r\nhost: {}\r\n\r\n", world.http).as_bytes()).await;
    assert_eq!(client.answer().await.unwrap().body, b"x");
}
