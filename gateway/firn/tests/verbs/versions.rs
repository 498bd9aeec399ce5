//! Old versions come back, by the commands that firn itself names.

#![expect(clippy::unwrap_used, reason = "a test")]

use crate::start;
use crate::support::{Appliance, Ran};
use std::fs;

/// Runs the command that a hint names last.
fn follow(appliance: &Appliance, told: &Ran) -> Ran {
    let line = told.err.lines().find_map(|line| line.split_once("brings it back: firn ")).unwrap();
    appliance.ok(&line.1.split(' ').collect::<Vec<_>>())
}

/// The delete marker that hides `k`.
fn marker_of(appliance: &Appliance) -> String {
    let listed = appliance.ok(&["ls", "--versions", "s3://kept/k", "--json"]).out;
    let latest: serde_json::Value = serde_json::from_str(listed.lines().next().unwrap()).unwrap();
    latest["version_id"].as_str().unwrap().to_owned()
}

#[test]
fn what_was_deleted_or_overwritten_comes_back() {
    let (root, appliance) = start();
    appliance.ok(&["mb", "s3://kept", "--versioning"]);
    let file = root.path().join("k");
    for body in ["first", "second"] {
        fs::write(&file, body).unwrap();
        appliance.ok(&["cp", file.to_str().unwrap(), "s3://kept/k"]);
    }
    // Deleted: each verb that misses it names the command.
    let removed = appliance.ok(&["rm", "s3://kept/k"]);
    for args in [
        &["stat", "s3://kept/k"][..],
        &["cat", "s3://kept/k"],
        &["cp", "s3://kept/k", "/nonexistent/k"],
        &["rm", "s3://kept/k"],
    ] {
        let missed = appliance.run(args);
        assert_eq!(missed.code, 4, "{args:?}: {missed:?}");
        assert!(missed.err.contains("it was deleted; what brings it back: firn rm"), "{args:?}: {missed:?}");
        assert!(missed.err.contains("endpoint: http://"), "{args:?}: {missed:?}");
    }
    // A trial looks the marker up, and takes nothing.
    let command = removed.err.lines().find_map(|line| line.split_once("brings it back: firn ")).unwrap().1;
    appliance.ok(&[&command.split(' ').collect::<Vec<_>>()[..], &["--dry-run"]].concat());
    assert_eq!(appliance.run(&["stat", "s3://kept/k"]).code, 4);
    let back = follow(&appliance, &removed);
    assert!(back.err.contains("its delete marker is gone: the key is back"), "{back:?}");
    assert_eq!(appliance.ok(&["cat", "s3://kept/k"]).out, "second");
    appliance.ok(&["rm", "s3://kept/k"]);
    appliance.ok(&["rm", "s3://kept/k", "--version-id", &marker_of(&appliance)]);
    let typo = appliance.run(&["rm", "s3://kept/k", "--version-id", "mistyped"]);
    assert!(typo.code == 4 && typo.err.contains("firn ls --versions s3://kept/k"), "{typo:?}");
    let prefix = appliance.ok(&["rm", "-r", "--prefix", "s3://kept/k"]);
    assert!(prefix.err.contains("firn rm -r --versions --prefix s3://kept/k"), "{prefix:?}");
    let missed = appliance.run(&["stat", "s3://kept/k"]);
    follow(&appliance, &missed);
    assert_eq!(appliance.ok(&["cat", "s3://kept/k"]).out, "second");
    // Overwritten: the old version is copied onto its own key.
    let listed = appliance.ok(&["ls", "--versions", "s3://kept/k"]);
    assert!(listed.err.contains("firn cp --version-id ID"), "{listed:?}");
    let listed = appliance.ok(&["ls", "--versions", "s3://kept/k", "--json"]).out;
    let first: serde_json::Value = serde_json::from_str(listed.lines().last().unwrap()).unwrap();
    let first = first["version_id"].as_str().unwrap();
    let down = root.path().join("down");
    appliance.ok(&["cp", "--version-id", first, "s3://kept/k", down.to_str().unwrap()]);
    assert_eq!(fs::read_to_string(&down).unwrap(), "first");
    assert_eq!(appliance.ok(&["cp", "--version-id", first, "s3://kept/k", "-"]).out, "first");
    appliance.ok(&["cp", "--version-id", first, "s3://kept/k", "s3://kept/k"]);
    assert_eq!(appliance.ok(&["cat", "s3://kept/k"]).out, "first");
    assert_eq!(appliance.ok(&["ls", "--versions", "s3://kept/k", "--json"]).out.lines().count(), 3);
    // What can't be meant.
    for args in [
        &["cp", "--version-id", first, file.to_str().unwrap(), "s3://kept/k"][..],
        &["cp", "-r", "--version-id", first, "s3://kept/k", "s3://kept/t"],
    ] {
        assert_eq!(appliance.run(args).code, 2, "{args:?}");
    }
    assert_eq!(appliance.run(&["cp", "--version-id", "nonsense", "s3://kept/k", "-"]).code, 2);
    // In bulk: what there is to do is told, and `ls` shows the markers to take away.
    let bulk = appliance.ok(&["rm", "-r", "s3://kept"]);
    assert!(bulk.err.contains("firn ls -r --versions s3://kept"), "{bulk:?}");
    let listed = appliance.ok(&["ls", "-r", "--versions", "s3://kept"]);
    assert!(listed.err.contains("firn rm --version-id ID"), "{listed:?}");
    appliance.ok(&["mb", "s3://plain"]);
    appliance.ok(&["cp", file.to_str().unwrap(), "s3://plain/k"]);
    assert!(!appliance.ok(&["rm", "-r", "s3://plain"]).err.contains("versions"));
}
