//! Which failures are lines of the log: the same of each service.

#![expect(clippy::unwrap_used, reason = "a test's world fails loudly")]

use crate::glacier_walk::Scene;
use crate::iam_world::{Key, Post, ask, signed};
use crate::lines::Lines;
use crate::world::{Answer, call};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// One write of each service.
async fn writes(scene: &mut Scene) -> [Answer; 4] {
    let (world, root) = (&scene.world, Key::root());
    let s3 = call(world, &mut scene.client, ("PUT", "/bucket"), &[], b"").await;
    let form = [("UserName", "alice")];
    let of_iam = ask(world, &mut scene.client, &root, ("iam", "CreateUser"), &form).await;
    let header = Some(("x-amz-target", "TrentService.CreateKey"));
    let content_type = "application/x-amz-json-1.1";
    let post = Post { service: "kms", content_type, header, ..Post::default() };
    scene.client.send(&signed(world, &root, post, b"{}")).await;
    let kms = scene.client.answer().await.unwrap();
    let glacier = scene.send(&root, "PUT", "/-/vaults/w", b"").await;
    [s3, of_iam, kms, glacier]
}

#[tokio::test]
async fn that_there_is_no_room_is_logged_once_a_minute_whichever_service_meets_it() {
    let mut scene = Scene::new().await;
    let (lines, _guard) = Lines::watch();
    scene.world.gate.full.store(true, Ordering::SeqCst);
    for minute in 1..=2 {
        for _ in 0..2 {
            for answer in writes(&mut scene).await {
                assert!(answer.status >= 500, "{} {}", answer.head, answer.text());
                assert!(!answer.text().contains("/secret/place"), "{}", answer.text());
            }
        }
        let logged = lines.with(&["level=ERROR", "failed to answer a request", "/secret/place"]);
        assert_eq!(logged.len(), minute, "{logged:?}");
        scene.world.clock.advance(Duration::from_mins(1));
        // The old connection was idle for too long.
        scene.client = scene.world.connect().await;
    }
    // That records of these calls are lost is said once, until one is kept again.
    assert_eq!(lines.with(&["level=ERROR", "failed to write audit records"]).len(), 1);
    assert_eq!(lines.with(&["level=ERROR"]).len(), 3, "{:?}", lines.with(&["level=ERROR"]));
    scene.world.gate.full.store(false, Ordering::SeqCst);
    assert!(writes(&mut scene).await.iter().all(|answer| answer.status < 300));
}
