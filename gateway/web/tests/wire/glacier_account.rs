//! Data retrieval policies and provisioned capacity as Glacier answers them, with each error that it declares.

#![expect(clippy::unwrap_used, reason = "a test's world fails loudly")]

use crate::glacier_walk::Scene;
use crate::iam_world::Key;
use crate::world::Answer;
use archive::retrieval::MediumKind;
use serde_json::{Value, json};

const POLICY: &str = "/-/policies/data-retrieval";
const CAPACITY: &str = "/-/provisioned-capacity";

fn shown(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{}", answer.text());
    serde_json::from_slice(&answer.body).unwrap()
}

fn refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!(answer.status, status, "{}", answer.text());
    assert_eq!(serde_json::from_slice::<Value>(&answer.body).unwrap()["code"], code);
}

#[tokio::test]
async fn a_data_retrieval_policy_is_set_shown_enforced_and_refused_as_glacier_does() {
    let mut scene = Scene::new().await;
    let root = Key::root();
    let rule = |strategy: &str, bytes: Option<u64>| json!({"Policy": {"Rules": [{"Strategy": strategy, "BytesPerHour": bytes}]}});
    assert_eq!(shown(&scene.send(&root, "GET", POLICY, b"").await), rule("None", None));
    let policies = [rule("FreeTier", None), rule("None", None), rule("BytesPerHour", Some(4_000))];
    for policy in policies {
        let set = scene.send(&root, "PUT", POLICY, policy.to_string().as_bytes()).await;
        assert_eq!((set.status, set.text().is_empty()), (204, true));
        assert_eq!(shown(&scene.send(&root, "GET", POLICY, b"").await), policy);
    }
    let (invalid, missing) = ("InvalidParameterValueException", "MissingParameterValueException");
    for (document, code) in [
        ("", invalid),
        ("{}", missing),
        (r#"{"Policy":{}}"#, missing),
        (r#"{"Policy":{"Rules":[]}}"#, invalid),
        (r#"{"Policy":{"Rules":[{"Strategy":"None"},{"Strategy":"None"}]}}"#, invalid),
        (r#"{"Policy":{"Rules":[{"BytesPerHour":1}]}}"#, missing),
        (r#"{"Policy":{"Rules":[{"Strategy":"Free"}]}}"#, invalid),
        (r#"{"Policy":{"Rules":[{"Strategy":"BytesPerHour"}]}}"#, invalid),
        (r#"{"Policy":{"Rules":[{"Strategy":"BytesPerHour","BytesPerHour":0}]}}"#, invalid),
        (r#"{"Policy":{"Rules":[{"Strategy":"BytesPerHour","BytesPerHour":1.5}]}}"#, invalid),
        (r#"{"Policy":{"Rules":[{"Strategy":"FreeTier","BytesPerHour":1}]}}"#, invalid),
    ] {
        refused(&scene.send(&root, "PUT", POLICY, document.as_bytes()).await, 400, code);
    }
    let kept = shown(&scene.send(&root, "GET", POLICY, b"").await);
    assert_eq!(kept, rule("BytesPerHour", Some(4_000)), "what was refused changed nothing");
    let archive = scene.archive(&[7; 3_000]).await;
    let job =
        |tier: &str| json!({"Type": "archive-retrieval", "ArchiveId": archive, "Tier": tier}).to_string();
    let (standard, bulk) = (job("Standard"), job("Bulk"));
    let asked = scene.send(&root, "POST", "/-/vaults/v/jobs", standard.as_bytes()).await;
    assert_eq!(asked.status, 202, "{}", asked.text());
    let denied = scene.send(&root, "POST", "/-/vaults/v/jobs", standard.as_bytes()).await;
    refused(&denied, 400, "PolicyEnforcedException");
    let asked = scene.send(&root, "POST", "/-/vaults/v/jobs", bulk.as_bytes()).await;
    assert_eq!(asked.status, 202, "{}", asked.text());
}

#[tokio::test]
async fn capacity_is_purchased_listed_and_limited_as_glacier_does() {
    let mut scene = Scene::on(Some(MediumKind::Disk)).await;
    let root = Key::root();
    let none = shown(&scene.send(&root, "GET", CAPACITY, b"").await);
    assert_eq!(none, json!({"ProvisionedCapacityList": []}));
    let mut ids = Vec::new();
    for _ in 0..2 {
        let bought = scene.send(&root, "POST", CAPACITY, b"").await;
        assert_eq!((bought.status, bought.text().is_empty()), (201, true));
        ids.push(bought.header("x-amz-capacity-id").unwrap().to_owned());
    }
    refused(&scene.send(&root, "POST", CAPACITY, b"").await, 400, "LimitExceededException");
    let listed = shown(&scene.send(&root, "GET", CAPACITY, b"").await);
    let units = listed["ProvisionedCapacityList"].as_array().unwrap();
    let mut listed: Vec<&str> = units.iter().map(|unit| unit["CapacityId"].as_str().unwrap()).collect();
    listed.sort_unstable();
    ids.sort_unstable();
    assert_eq!(listed, ids);
    for unit in units {
        let date = |name: &str| unit[name].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
        let days = (date("ExpirationDate") - date("StartDate")).total(jiff::Unit::Hour).unwrap() / 24.0;
        assert!([28.0, 29.0, 30.0, 31.0].contains(&days), "{days}");
    }
}

#[tokio::test]
async fn where_no_drive_is_nothing_is_sold_and_nothing_expedited_begins() {
    let mut scene = Scene::new().await;
    let root = Key::root();
    refused(&scene.send(&root, "POST", CAPACITY, b"").await, 400, "LimitExceededException");
    let archive = scene.archive(b"wanted soon").await;
    let body = json!({"Type": "archive-retrieval", "ArchiveId": archive, "Tier": "Expedited"}).to_string();
    let asked = scene.send(&root, "POST", "/-/vaults/v/jobs", body.as_bytes()).await;
    refused(&asked, 503, "InsufficientCapacityException");
}
