//! Outputs of retrievals on their way to the client: what the log and the metrics say of them.

#![expect(clippy::unwrap_used, reason = "a test's world fails loudly")]

use crate::budget::metric;
use crate::glacier_walk::Scene;
use crate::iam_world::{Key, Post, signed};
use crate::lines::{Lines, number};
use engine::fault::{Fault, Point};
use std::time::Duration;

/// Bytes that nothing compresses.
fn noise(length: usize) -> Vec<u8> {
    use engine::entropy::{Entropy, SeededEntropy};
    let mut bytes = vec![0; length];
    SeededEntropy::new(5).fill(&mut bytes);
    bytes
}

/// The path of the output of a retrieval that is done.
async fn retrieved(scene: &mut Scene, archive: &str) -> String {
    let root = Key::root();
    let body = format!(r#"{{"Type":"archive-retrieval","ArchiveId":"{archive}"}}"#);
    let asked = scene.send(&root, "POST", "/-/vaults/v/jobs", body.as_bytes()).await;
    assert_eq!(asked.status, 202, "{}", asked.text());
    let job = format!("/-/vaults/v/jobs/{}", asked.header("x-amz-job-id").unwrap());
    for _ in 0..20 {
        scene.settle().await;
        let shown = scene.send(&root, "GET", &job, b"").await;
        let document: serde_json::Value = serde_json::from_slice(&shown.body).unwrap();
        let done = document["StatusCode"] == "Succeeded";
        assert_eq!((&document["Completed"], document["CompletionDate"].is_string()), (&done.into(), done));
        if done {
            return format!("{job}/output");
        }
        scene.world.clock.advance(Duration::from_mins(20));
    }
    panic!("the job does not end");
}

#[tokio::test]
async fn an_output_is_logged_and_counted_with_the_bytes_that_went_out_and_so_is_one_that_breaks() {
    let mut scene = Scene::new().await;
    let bytes = noise(4 << 20);
    let archive = scene.archive(&bytes).await;
    let path = retrieved(&mut scene, &archive).await;
    let (lines, _guard) = Lines::watch();
    let counted = ["operation=\"GetJobOutput\"", "bytes_sent="];
    let sent = metric(&scene.world, "firn_http_sent_bytes_total").await;
    let whole = scene.send(&Key::root(), "GET", &path, b"").await;
    assert!(whole.status == 200 && whole.body == bytes);
    let line = lines.with(&counted);
    assert_eq!(line.len(), 1, "{line:?}");
    assert_eq!(number(&line[0], "bytes_sent"), bytes.len() as u64);
    assert!(metric(&scene.world, "firn_http_sent_bytes_total").await >= sent + bytes.len() as u64);

    // What can be read is more than any buffer takes: its head is out by then.
    scene.world.foundation.faults.arm(Point::SegmentRead, Fault::Io, 1, u64::MAX);
    let post = Post { service: "glacier", method: "GET", path: &path, content_type: "", ..Post::default() };
    let request = signed(&scene.world, &Key::root(), post, b"");
    scene.client.send(&request).await;
    let head = scene.client.head().await.unwrap();
    assert_eq!((head.status, head.header("content-length")), (200, Some("4194304")));
    let came = scene.client.rest().await;
    let line = lines.with(&counted).remove(1);
    let sent = number(&line, "bytes_sent");
    assert!(came.len() as u64 <= sent && sent < bytes.len() as u64, "{} {line}", came.len());
    let failed = lines.with(&["level=ERROR", "failed to send the rest", "GetJobOutput"]);
    assert_eq!(failed.len(), 1, "{failed:?}");
}
