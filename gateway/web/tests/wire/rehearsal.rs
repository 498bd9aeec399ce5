//! A rehearsal says so, whatever is asked.

#![expect(clippy::unwrap_used, reason = "a test's world fails loudly")]

use crate::iam_world::{Key, Post, form, signed};
use crate::world::{Answer, Client, World, call};
use std::time::Duration;

async fn sends(world: &World, client: &mut Client, post: Post<'_>, body: &str) -> Answer {
    client.send(&signed(world, &Key::root(), post, body.as_bytes())).await;
    client.answer().await.unwrap()
}

/// Answers of all services, good ones and refusals.
async fn answers(world: &World) -> Vec<(&'static str, u16, Answer)> {
    let making = tempfile::tempdir().unwrap();
    world.open_vaults(making.path()).await;
    let mut client = world.connect().await;
    let mut all = Vec::new();
    all.push(("S3", 200, call(world, &mut client, ("GET", "/"), &[], b"").await));
    all.push(("S3 refuses", 404, call(world, &mut client, ("GET", "/bucket/k"), &[], b"").await));
    let listed = form(&[("Action", "ListUsers"), ("Version", "2010-05-08")]);
    all.push(("IAM", 200, sends(world, &mut client, Post::default(), &listed).await));
    let who = form(&[("Action", "GetCallerIdentity"), ("Version", "2011-06-15")]);
    let sts = Post { service: "sts", ..Post::default() };
    all.push(("STS", 200, sends(world, &mut client, sts, &who).await));
    let kms = Post { service: "kms", content_type: "application/x-amz-json-1.1", ..Post::default() };
    let list = Post { header: Some(("x-amz-target", "TrentService.ListKeys")), ..kms };
    all.push(("KMS", 200, sends(world, &mut client, list, "{}").await));
    all.push(("KMS refuses", 400, sends(world, &mut client, kms, "{}").await));
    let glacier =
        Post { service: "glacier", method: "GET", path: "/-/vaults", content_type: "", ..Post::default() };
    all.push(("Glacier", 200, sends(world, &mut client, glacier, "").await));
    let none = Post { path: "/-/vaults/none", ..glacier };
    all.push(("Glacier refuses", 404, sends(world, &mut client, none, "").await));
    client.send(b"nonsense\r\n\r\n").await;
    all.push(("no request", 400, client.answer().await.unwrap()));
    all
}

#[tokio::test]
async fn a_rehearsal_says_so_in_each_answer_of_each_service() {
    let (real, rehearsal) = (World::new().await, World::rehearsing(Duration::from_millis(100)).await);
    for (world, said) in [(&real, None), (&rehearsal, Some("100ms"))] {
        for (what, status, answer) in answers(world).await {
            assert_eq!(answer.status, status, "{what}: {}", answer.text());
            assert_eq!(answer.header("x-firn-debug-day"), said, "{what}");
        }
    }
}
