//! Managed keys, as people make them and put them away.

use crate::identity::run_as;
use crate::start;
use serde_json::json;
use std::fs;

#[test]
fn a_key_is_made_named_rotated_put_away_and_kept_by_verbs_alone() {
    let (_root, appliance) = start();
    let made = appliance
        .ok(&["kms", "create", "--description", "of photos", "--alias", "alias/photos", "--json"])
        .json();
    let id = made["key_id"].as_str().unwrap();
    assert!(
        made["arn"].as_str().unwrap().ends_with(&format!(":key/{id}")) && made["alias"] == "alias/photos"
    );
    let described = appliance.ok(&["kms", "describe", "alias/photos", "--json"]).json();
    assert_eq!((&described["key_id"], &described["state"]), (&json!(id), &json!("Enabled")));
    assert_eq!(
        (&described["description"], &described["aliases"]),
        (&json!("of photos"), &json!(["alias/photos"]))
    );
    let listed = appliance.ok(&["kms", "ls"]).out;
    let words: Vec<&str> = listed.split_whitespace().collect();
    assert_eq!(words, [id, "Enabled", "SYMMETRIC_DEFAULT", "alias/photos"], "{listed}");

    let state = |wanted: &str| {
        assert_eq!(appliance.ok(&["kms", "describe", id, "--json"]).json()["state"], wanted);
    };
    assert_eq!(appliance.ok(&["kms", "disable", "alias/photos"]).out, format!("disabled the key {id}\n"));
    state("Disabled");
    let refused = appliance.run(&["kms", "rotate", id]);
    assert!(refused.code != 0 && refused.err.contains("firn kms enable"), "{refused:?}");
    assert_eq!(appliance.ok(&["kms", "enable", id, "--json"]).json(), json!({ "key_id": id }));
    state("Enabled");
    appliance.ok(&["kms", "rotate", "alias/photos"]);
    let every = appliance.ok(&["kms", "rotate", id, "--every", "365"]).out;
    assert_eq!(every, format!("the key {id} rotates every 365 days\n"));
    appliance.ok(&["kms", "rotate", id, "--never"]);
    assert_eq!(appliance.run(&["kms", "rotate", id, "--every", "1"]).code, 2);
    let scheduled = appliance.ok(&["kms", "schedule-deletion", id, "--days", "7"]).out;
    assert!(scheduled.contains(&format!("firn kms cancel-deletion {id}")), "{scheduled}");
    state("PendingDeletion");
    let described = appliance.ok(&["kms", "describe", id]).out;
    assert!(described.contains("deleted at") && described.contains("alias/photos"), "{described}");
    appliance.ok(&["kms", "cancel-deletion", id]);
    state("Disabled");
    appliance.ok(&["kms", "enable", id]);

    let second = appliance.ok(&["kms", "create", "--spec", "HMAC_256", "--usage", "GENERATE_VERIFY_MAC"]).out;
    assert!(second.contains("next: firn kms alias create alias/NAME"), "{second}");
    let second = second.split_whitespace().nth(3).unwrap();
    appliance.ok(&["kms", "alias", "update", "alias/photos", id]);
    appliance.ok(&["kms", "alias", "create", "alias/macs", second]);
    let taken = appliance.run(&["kms", "alias", "create", "alias/macs", id]);
    assert!(taken.code == 8 && taken.err.contains("firn kms alias update"), "{taken:?}");
    appliance.ok(&["kms", "alias", "rm", "alias/macs"]);
    let gone = appliance.run(&["kms", "describe", "alias/macs"]);
    assert!(gone.code == 4 && gone.err.contains("firn kms ls"), "{gone:?}");
    assert_eq!(gone.err.matches("DescribeKey").count(), 1, "{gone:?}");
}

#[test]
fn an_alias_that_can_not_be_makes_no_key() {
    let (_root, appliance) = start();
    let create = |alias: &str| appliance.run(&["kms", "create", "--alias", alias]);
    for (alias, next) in
        [("photos", "alias/photos"), ("alias/", "alias/NAME"), ("alias/aws/s3", "alias/NAME")]
    {
        let refused = create(alias);
        assert!(refused.code == 2 && refused.err.contains(next), "{alias}: {refused:?}");
    }
    let refused = appliance.run(&["kms", "alias", "create", "photos", "KEY"]);
    assert!(refused.code == 2 && refused.err.contains("alias/photos"), "{refused:?}");
    assert_eq!(appliance.ok(&["kms", "ls"]).out, "no keys\n");
    assert_eq!(create("alias/photos").code, 0);
    let taken = create("alias/photos");
    assert!(taken.code == 8 && taken.err.contains("firn kms alias update alias/photos"), "{taken:?}");
    assert_eq!(appliance.ok(&["kms", "ls"]).out.lines().count(), 1);
}

#[test]
fn a_keys_policy_and_grants_are_looked_after_by_verbs_alone() {
    let (root, appliance) = start();
    let made = appliance.ok(&["kms", "create", "--alias", "alias/photos", "--json"]).json();
    let id = made["key_id"].as_str().unwrap();
    let shown = appliance.ok(&["kms", "policy", "show", "alias/photos", "--json"]).json();
    assert!(shown["document"]["Statement"].is_array(), "{shown}");
    let file = root.path().join("policy.json");
    fs::write(&file, appliance.ok(&["kms", "policy", "show", id]).out).unwrap();
    let file = file.to_str().unwrap();
    appliance.ok(&["kms", "policy", "set", "alias/photos", file]);
    fs::write(file, "{").unwrap();
    let refused = appliance.run(&["kms", "policy", "set", id, file]);
    assert!(refused.code == 2 && refused.err.contains("MalformedPolicyDocumentException"), "{refused:?}");

    let ann = appliance.ok(&["user", "create", "ann", "--json"]).json();
    let key = appliance.ok(&["key", "create", "--user", "ann", "--json"]).json();
    let arn = ann["arn"].as_str().unwrap();
    let denied = run_as(&appliance, &key, &["kms", "describe", id]);
    assert!(denied.code == 5 && denied.err.contains("kms:DescribeKey"), "{denied:?}");
    let grant = [
        "kms",
        "grant",
        "create",
        id,
        "--grantee",
        arn,
        "--operation",
        "DescribeKey",
        "--operation",
        "Decrypt",
        "--json",
    ];
    let grant = appliance.ok(&grant).json();
    assert_eq!(run_as(&appliance, &key, &["kms", "describe", id]).code, 0);
    let grants = appliance.ok(&["kms", "grant", "ls", "alias/photos", "--json"]).json();
    assert_eq!((&grants[0]["grantee"], &grants[0]["grant_id"]), (&json!(arn), &grant["grant_id"]));
    appliance.ok(&["kms", "grant", "revoke", id, grant["grant_id"].as_str().unwrap()]);
    assert_eq!(run_as(&appliance, &key, &["kms", "describe", id]).code, 5);
    assert_eq!(appliance.ok(&["kms", "grant", "ls", id]).out, "no grants\n");
    assert_eq!(run_as(&appliance, &key, &["kms", "ls"]).code, 5);
}
