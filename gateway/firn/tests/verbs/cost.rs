//! What is stored and what rules do has its price, at the prices of the configuration.

#![expect(clippy::unwrap_used, reason = "a test")]

use crate::support::{Appliance, run};
use serde_json::Value;
use std::fs;
use std::path::Path;

fn put(appliance: &Appliance, root: &Path, at: &str, (size, class): (usize, &str)) {
    let file = root.join("body");
    fs::write(&file, vec![7; size]).unwrap();
    appliance.ok(&["cp", file.to_str().unwrap(), &format!("s3://{at}"), "--storage-class", class]);
}

fn rows(document: &Value) -> Vec<(String, String, u64, u64, String)> {
    let text = |row: &Value, name: &str| row[name].as_str().unwrap().to_owned();
    let row = |row: &Value| {
        let count = row["count"].as_u64().unwrap();
        (
            text(row, "of"),
            text(row, "class"),
            count,
            row["billed_bytes"].as_u64().unwrap(),
            text(row, "monthly"),
        )
    };
    document["rows"].as_array().unwrap().iter().map(row).collect()
}

#[test]
fn what_is_stored_and_what_rules_do_has_its_price() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    let config = root.join("firn.toml");
    // So high that a few bytes cost something: 1,024 for a GB-month of STANDARD.
    let text = "[price]\ncurrency = \"EUR\"\n[class.STANDARD.price]\ngb-month = 1024\n[class.GLACIER.price]\ngb-month = \"64\"\n\
                transitions = 2.5\noverhead = \"0\"\noverhead-standard = \"0\"\n[class.STANDARD_IA.price]\ngb-month = 512.0\n";
    fs::write(&config, text).unwrap();
    let config = config.to_str().unwrap();
    let checked = run(&["config", "check", config, "--json"]).json();
    assert_eq!(checked["own_prices"], serde_json::json!(["STANDARD", "STANDARD_IA", "GLACIER"]));
    let appliance = Appliance::start(&root.join("data"), &["--config", config]);
    let empty = appliance.ok(&["cost"]).out;
    assert_eq!(empty, "0 buckets: EUR 0.00 a month; as STANDARD 0.00: 0.00 saved\n");
    appliance.ok(&["mb", "s3://models", "--versioning"]);
    appliance.ok(&["mb", "s3://other"]);
    for class in ["STANDARD", "GLACIER", "STANDARD"] {
        put(&appliance, root, "models/a/k", (256 << 10, class));
    }
    put(&appliance, root, "models/a/small", (1_000, "STANDARD_IA"));
    put(&appliance, root, "models/ab", (256 << 10, "STANDARD"));
    put(&appliance, root, "other/k", (1 << 20, "STANDARD"));
    appliance.ok(&["rm", "s3://models/ab"]);

    let below = appliance.ok(&["cost", "s3://models/a/", "--json"]).json();
    let row = |of: &str, class: &str, billed, monthly: &str| {
        (of.to_owned(), class.to_owned(), 1, billed, monthly.to_owned())
    };
    // 256 KiB are 1/4096 of a GB; what is small in STANDARD_IA is billed as 128 KiB.
    let expected = [
        row("current", "STANDARD", 256 << 10, "0.25"),
        row("current", "STANDARD_IA", 128 << 10, "0.0625"),
        row("noncurrent", "GLACIER", 256 << 10, "0.015625"),
        row("noncurrent", "STANDARD", 256 << 10, "0.25"),
    ];
    assert_eq!(rows(&below), expected);
    assert_eq!((&below["monthly"], &below["currency"]), (&"0.578125".into(), &"EUR".into()));
    // 3 × 0.25, and 1,000 bytes of STANDARD.
    assert_eq!(below["monthly_in_standard"], "0.750953674");
    let whole = appliance.ok(&["cost", "s3://models", "--json"]).json();
    assert_eq!((&whole["delete_markers"], &whole["monthly"]), (&1.into(), &"0.828125".into()));
    let all = appliance.ok(&["cost", "--json"]).json();
    assert_eq!(
        (&all["monthly"], &all["buckets"], &all["bucket"]),
        (&"1.828125".into(), &2.into(), &Value::Null)
    );
    let people = appliance.ok(&["cost"]).out;
    assert!(people.contains("EUR/month") && people.contains("2 buckets: EUR 1.83 a month"), "{people}");
    let place = appliance.ok(&["where", "s3://other/k", "--json"]).json();
    assert_eq!(
        (&place["price"]["monthly"], &place["price"]["gb_month"]),
        (&"1.00".into(), &"1024.00".into())
    );
    let missed = appliance.run(&["cost", "s3://nobuckt"]);
    assert!(missed.code == 4 && missed.err.contains("firn ls"), "{missed:?}");

    rules_have_their_price(&appliance, root);
}

fn rules_have_their_price(appliance: &Appliance, root: &Path) {
    // What a rule does with the one large object: 2.50 / 1000 once, and 1 - 1/16 of it less each month.
    let rules = root.join("rules");
    let rule = r#"{"Rules":[{"ID":"old","Status":"Enabled","Filter":{"Prefix":""},"Transitions":[{"Days":1,"StorageClass":"GLACIER"}]}]}"#;
    fs::write(&rules, rule).unwrap();
    appliance.ok(&["lifecycle", "set", "s3://other", rules.to_str().unwrap()]);
    let preview = ["lifecycle", "preview", "s3://other", "--as-of", "2099-12-31"];
    let document = appliance.ok(&[&preview[..], &["--json"]].concat()).json();
    let row = &document["rows"][0];
    let said = [
        "class",
        "transition_requests",
        "early_deletion",
        "monthly_before",
        "monthly_after",
        "monthly_saving",
    ]
    .map(|name| row[name].as_str().unwrap());
    assert_eq!(said, ["GLACIER", "0.0025", "0.00", "1.00", "0.0625", "0.9375"]);
    assert_eq!((&document["monthly_saving"], &document["currency"]), (&"0.9375".into(), &"EUR".into()));
    let people = appliance.ok(&preview).out;
    assert!(
        people.contains(
            "EUR 0.0025 once (transition requests 0.0025, early deletion 0.00); then 0.9375 a month less"
        ),
        "{people}"
    );
    let explained = appliance.ok(&["lifecycle", "explain", "s3://other/k", "--json"]).json();
    assert_eq!(explained["versions"][0]["cost"]["monthly_saving"], "0.9375");
    let people = appliance.ok(&["lifecycle", "explain", "s3://other/k"]).out;
    assert!(
        people.contains("EUR 0.0025 once, 0.00 for early deletion; a month 1.00 before, 0.0625 after"),
        "{people}"
    );
}

#[test]
fn a_price_that_makes_no_sense_is_refused_with_its_line() {
    let root = tempfile::tempdir().unwrap();
    let config = root.path().join("firn.toml");
    for (line, text, says) in [
        (2, "[class.STANDARD.price]\ngb-month = -1\n", "-1: it is not from 0 to 10000"),
        (3, "# prices\n[class.GLACIER.price]\ngb-month = \"cheap\"\n", "cheap: it is not from 0 to 10000"),
        (1, "[class.COLD.price]\n", "unknown field `COLD`"),
    ] {
        fs::write(&config, text).unwrap();
        let refused = run(&["config", "check", config.to_str().unwrap()]);
        assert_eq!(refused.code, 2, "{text}: {refused:?}");
        let said = refused.err.contains(&format!("line {line}: ")) && refused.err.contains(says);
        assert!(said, "{text}: {refused:?}");
    }
}
