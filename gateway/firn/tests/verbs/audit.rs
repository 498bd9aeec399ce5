//! The audit trail, as people read it.

use crate::identity::run_as;
use crate::start;
use serde_json::Value;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

fn events(found: &Value) -> Vec<(&str, &str)> {
    fn text(value: &Value) -> &str {
        value.as_str().unwrap_or_default()
    }
    let events = found["events"].as_array().unwrap();
    events.iter().map(|event| (text(&event["event_name"]), text(&event["error_code"]))).collect()
}

#[test]
fn calls_are_searched_by_who_what_and_when() {
    let (_root, appliance) = start();
    appliance.ok(&["mb", "s3://photos"]);
    appliance.ok(&["user", "create", "ann"]);
    let key = appliance.ok(&["key", "create", "--user", "ann", "--json"]).json();
    let id = key["access_key_id"].as_str().unwrap();
    assert_eq!(run_as(&appliance, &key, &["ls"]).code, 5);
    let search = |args: &[&str]| appliance.ok(&[&["audit", "search"], args].concat());
    let found = |args: &[&str]| search(&[args, &["--json"]].concat()).json();

    let of_ann = found(&["--user", "ann"]);
    assert_eq!(events(&of_ann), [("ListBuckets", "AccessDenied")]);
    assert_eq!(of_ann["more"], false);
    let event = &of_ann["events"][0];
    assert_eq!((&event["user"], &event["access_key_id"]), (&"ann".into(), &id.into()));
    assert_eq!(event["source_ip_address"], "127.0.0.1");
    assert_eq!(event["record"]["eventVersion"], "1.11");
    assert_eq!(events(&found(&["--access-key", id])), [("ListBuckets", "AccessDenied")]);
    assert_eq!(events(&found(&["--event-name", "CreateUser"])), [("CreateUser", "")]);
    assert_eq!(
        events(&found(&["--resource", "photos", "--event-name", "CreateBucket"])),
        [("CreateBucket", "")]
    );
    // The history looks for one thing; all that is asked for holds.
    assert!(events(&found(&["--user", "ann", "--event-name", "CreateBucket"])).is_empty());
    let all = found(&["--since", "1h"]);
    assert!(events(&all).len() >= 4, "{all}");
    assert!(events(&found(&["--until", "2020-01-01"])).is_empty());
    assert!(events(&found(&["--since", "1h", "--until", "30m"])).is_empty());
    let few = search(&["--limit", "1"]);
    assert!(few.err.contains("--limit takes more than 1") && few.out.lines().count() == 1, "{few:?}");
    assert_eq!(found(&["--limit", "1"])["more"], true);
    let line = search(&["--user", "ann"]).out;
    let words: Vec<&str> = line.split_whitespace().skip(2).collect();
    assert_eq!(words, ["ann", "s3", "ListBuckets", "AccessDenied", "127.0.0.1"], "{line}");
    assert_eq!(search(&["--user", "nobody"]).out, "no events\n");

    let denied = run_as(&appliance, &key, &["audit", "search"]);
    assert!(denied.code == 5 && denied.err.contains("firn policy attach"), "{denied:?}");
    assert!(denied.err.contains("cloudtrail:LookupEvents"), "{denied:?}");
    assert_eq!(appliance.run(&["audit", "search", "--since", "yesterday"]).code, 2);
    let tail = appliance.ok(&["audit", "tail", "-n", "2"]).out;
    assert_eq!(tail.lines().count(), 2, "{tail}");
    let last = tail.lines().last().unwrap();
    assert!(last.contains("LookupEvents") && last.contains("AccessDenied"), "the newest stands last: {tail}");
}

#[test]
fn a_tail_that_follows_leaves_none_out_and_tells_none_twice_until_ctrl_c() {
    let (_root, appliance) = start();
    appliance.ok(&["user", "create", "before"]);
    let mut child = appliance
        .command(&["audit", "tail", "--follow", "-n", "1", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || serde_json::from_str::<Value>(&lines.next().unwrap().unwrap()).unwrap();
    let first = next();
    assert_eq!(
        (&first["event_name"], &first["record"]["requestParameters"]["userName"]),
        (&"CreateUser".into(), &"before".into())
    );
    // More than a page has.
    let names: Vec<String> = (0..60).map(|number| format!("u{number}")).collect();
    for name in &names[..50] {
        appliance.ok(&["user", "create", name]);
    }
    let mut told = Vec::new();
    for name in &names[50..] {
        appliance.ok(&["user", "create", name]);
        let event = next();
        told.push(event["record"]["requestParameters"]["userName"].as_str().unwrap().to_owned());
    }
    while told.len() < names.len() {
        told.push(next()["record"]["requestParameters"]["userName"].as_str().unwrap().to_owned());
    }
    assert_eq!(told, names, "each once, in order, and none of its own looks");
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(lines.next().is_none());
}

#[test]
fn what_can_not_be_verified_ends_as_documented() {
    let (root, appliance) = start();
    let says = |args: &[&str], code, said: &str| {
        let ran = appliance.run(args);
        assert!(ran.code == code && ran.err.contains(said), "{args:?}: {ran:?}");
    };
    says(&["audit", "verify"], 2, "--trail NAME");
    says(&["audit", "verify", "--trail", "none-such"], 4, "aws cloudtrail list-trails");
    says(&["audit", "verify", "s3://none"], 4, "--enable-log-file-validation");
    says(&["audit", "keys"], 4, "--enable-log-file-validation");
    let pem = root.path().join("keys.pem");
    fs::write(&pem, "none").unwrap();
    let (pem, place) = (pem.to_str().unwrap(), root.path().to_str().unwrap());
    says(&["audit", "verify", place, "--public-keys", pem], 2, "firn audit keys");
    fs::write(pem, "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n").unwrap();
    says(&["audit", "verify", place, "--public-keys", pem], 4, "there is none");
    says(&["audit", "verify", "s3://none", "--public-keys", pem], 4, "NoSuchBucket");
    says(&["audit", "verify", "/nonexistent", "--public-keys", pem], 4, "");
    says(&["audit", "verify", "-", "--public-keys", pem], 2, "stdin");
}
