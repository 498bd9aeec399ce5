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

/// The line of the last of so many answers, once it is written: the end of a connection may be seen before that.
async fn line_of(lines: &Lines, words: &[&str], answers: usize) -> String {
    for _ in 0..100_000 {
        let mut found = lines.with(words);
        if found.len() >= answers {
            assert_eq!(found.len(), answers, "{found:?}");
            return found.remove(answers - 1);
        }
        tokio::task::yield_now().await;
    }
    panic!("there is no line {answers} of {words:?}");
}

#[tokio::test]
async fn an_output_is_logged_and_counted_with_the_bytes_that_went_out_and_so_is_one_that_breaks() {
    let mut scene = Scene::new().await;
    let bytes = noise(8 << 20);
    let archive = scene.archive(&bytes).await;
    let path = retrieved(&mut scene, &archive).await;
    let (lines, _guard) = Lines::watch();
    let counted = ["operation=\"GetJobOutput\"", "bytes_sent="];
    let sent = metric(&scene.world, "firn_http_sent_bytes_total").await;
    let whole = scene.send(&Key::root(), "GET", &path, b"").await;
    assert!(whole.status == 200 && whole.body == bytes);
    let line = line_of(&lines, &counted, 1).await;
    assert_eq!(number(&line, "bytes_sent"), bytes.len() as u64);
    assert!(metric(&scene.world, "firn_http_sent_bytes_total").await >= sent + bytes.len() as u64);

    // What fails at the first read is an answer of its own.
    scene.world.foundation.faults.arm(Point::SegmentRead, Fault::Io, 0, u64::MAX);
    let refused = scene.send(&Key::root(), "GET", &path, b"").await;
    assert!(
        refused.status >= 500 && refused.header("x-amz-sha256-tree-hash").is_none(),
        "{}",
        refused.text()
    );
    assert!(refused.text().contains("\"code\":"), "{}", refused.text());
    let line = line_of(&lines, &counted, 2).await;
    assert_eq!(
        (number(&line, "status"), number(&line, "bytes_sent")),
        (refused.status.into(), refused.body.len() as u64)
    );
    assert!(lines.with(&["level=ERROR", "failed to send the rest"]).is_empty());

    // What fails behind a head cuts the connection. How many reads one piece takes is the reader's affair.
    let cut = async {
        for reads in 1..64 {
            scene.world.foundation.faults.arm(Point::SegmentRead, Fault::Io, reads, u64::MAX);
            scene.client = scene.world.connect().await;
            let post =
                Post { service: "glacier", method: "GET", path: &path, content_type: "", ..Post::default() };
            scene.client.send(&signed(&scene.world, &Key::root(), post, b"")).await;
            let answers = 2 + usize::try_from(reads).unwrap();
            // The failure may be there before the head has left.
            let Some(head) = scene.client.head().await else { return (Vec::new(), answers) };
            if head.status == 200 {
                assert_eq!(head.header("content-length"), Some(bytes.len().to_string().as_str()));
                return (scene.client.rest().await, answers);
            }
            assert!(head.status >= 500, "{}", head.head);
            line_of(&lines, &counted, answers).await;
        }
        panic!("nothing failed behind a head");
    };
    let (came, answers) = cut.await;
    let line = line_of(&lines, &counted, answers).await;
    let sent = number(&line, "bytes_sent");
    assert!(came.len() as u64 <= sent && sent > 0 && sent < bytes.len() as u64, "{} {line}", came.len());
    let failed = lines.with(&["level=ERROR", "failed to send the rest", "GetJobOutput"]);
    assert_eq!(failed.len(), 1, "{failed:?}");
}
