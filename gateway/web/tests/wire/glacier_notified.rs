//! Who is told of retrievals by Glacier's notifications.

use crate::glacier_walk::Scene;
use crate::iam_world::Key;
use crate::world::ACCOUNT;
use serde_json::{Value, json};

const SET: &str = "/-/vaults/v/notification-configuration";

#[tokio::test]
async fn a_topic_is_told_of_a_job_in_the_words_that_describe_it_and_no_unknown_one_is_taken() {
    let mut scene = Scene::new().await;
    let root = Key::root();
    let archive = scene.archive(b"what is told of").await;
    let topic = format!("arn:aws:sns:us-east-1:{ACCOUNT}:told");
    let wish = |topic: &str| json!({"SNSTopic": topic, "Events": ["ArchiveRetrievalCompleted"]}).to_string();
    let nobody = topic.replace("told", "nobody");
    let job = |topic: &str| {
        json!({"Type": "archive-retrieval", "ArchiveId": archive, "SNSTopic": topic}).to_string()
    };
    for (method, path, body) in [("PUT", SET, wish(&nobody)), ("POST", "/-/vaults/v/jobs", job(&nobody))] {
        let refused = scene.send(&root, method, path, body.as_bytes()).await;
        assert_eq!(refused.status, 400, "{}", refused.text());
        assert!(refused.text().contains("InvalidParameterValueException"), "{}", refused.text());
    }
    assert_eq!(scene.send(&root, "GET", SET, b"").await.status, 404);
    let set = scene.send(&root, "PUT", SET, wish(&topic).as_bytes()).await;
    assert_eq!(set.status, 204, "{}", set.text());
    let asked = scene.send(&root, "POST", "/-/vaults/v/jobs", job("").as_bytes()).await;
    let path = format!("/-/vaults/v/jobs/{}", asked.header("x-amz-job-id").unwrap());
    assert!(scene.world.events().await.is_empty(), "it is under way");
    // No drive is needed for what is not packed yet.
    scene.settle().await;
    let shown = scene.send(&root, "GET", &path, b"").await;
    let shown: Value = serde_json::from_slice(&shown.body).unwrap();
    assert_eq!(shown["StatusCode"], "Succeeded");
    assert_eq!(scene.world.events().await, [shown]);
}
