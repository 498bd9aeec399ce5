//! What a name takes in: the key and what lies below it, never what only begins like it.

#![expect(clippy::unwrap_used, reason = "a test")]

use crate::start;
use crate::support::Appliance;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// `d` and what begins like it, some of it sorted before `d/`.
const KEYS: [&str; 7] = ["d", "d-x/k", "d.x", "d/d1/k", "d/k", "d0", "d0/k"];

fn with_keys() -> (tempfile::TempDir, Appliance) {
    let (root, appliance) = start();
    for bucket in ["s3://names", "s3://other"] {
        appliance.ok(&["mb", bucket]);
    }
    put_keys(&appliance, root.path());
    (root, appliance)
}

fn put_keys(appliance: &Appliance, root: &Path) {
    let file = root.join("body");
    fs::write(&file, "x").unwrap();
    for key in KEYS {
        appliance.ok(&["cp", file.to_str().unwrap(), &format!("s3://names/{key}")]);
    }
}

/// The keys that a list has.
fn keys(appliance: &Appliance, args: &[&str]) -> Vec<String> {
    let ran = appliance.ok(&[&["ls", "--json"], args].concat());
    let lines = ran.out.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    lines.map(|line| line.get("key").unwrap_or(&line["prefix"]).as_str().unwrap().to_owned()).collect()
}

/// The files below a directory.
fn files(dir: &Path) -> BTreeSet<String> {
    let walk = walkdir::WalkDir::new(dir).into_iter().map(Result::unwrap);
    walk.filter(|entry| entry.file_type().is_file())
        .map(|entry| entry.path().strip_prefix(dir).unwrap().to_str().unwrap().to_owned())
        .collect()
}

#[test]
fn ls_and_du_take_in_a_key_and_what_lies_below_it() {
    let (_root, appliance) = with_keys();
    assert_eq!(keys(&appliance, &["-r", "s3://names/d"]), ["d", "d/d1/k", "d/k"]);
    assert_eq!(keys(&appliance, &["s3://names/d"]), ["d", "d/d1/", "d/k"]);
    assert_eq!(keys(&appliance, &["-r", "s3://names/d/"]), ["d/d1/k", "d/k"]);
    assert_eq!(keys(&appliance, &["-r", "--versions", "s3://names/d"]), ["d", "d/d1/k", "d/k"]);
    assert_eq!(keys(&appliance, &["-r", "--prefix", "s3://names/d"]), KEYS);
    assert_eq!(keys(&appliance, &["-r", "s3://names"]), KEYS);
    for (args, objects) in [
        (&["s3://names/d"][..], 3),
        (&["s3://names/d/"], 2),
        (&["--versions", "s3://names/d"], 3),
        (&["--prefix", "s3://names/d"], 7),
        (&["s3://names"], 7),
    ] {
        let used = appliance.ok(&[&["du", "--json"], args].concat()).json();
        assert_eq!(used["objects"], objects, "{args:?}");
    }
}

#[test]
fn rm_takes_a_directory_and_not_its_neighbours() {
    let (root, appliance) = with_keys();
    let neighbours = ["d-x/k", "d.x", "d0", "d0/k"];
    assert_eq!(appliance.ok(&["rm", "-r", "s3://names/d/", "--json"]).json()["removed"], 2);
    put_keys(&appliance, root.path());
    assert_eq!(appliance.ok(&["rm", "-r", "s3://names/d", "--json"]).json()["removed"], 3);
    assert_eq!(keys(&appliance, &["-r", "s3://names"]), neighbours);
    put_keys(&appliance, root.path());
    assert_eq!(appliance.ok(&["rm", "-r", "--versions", "s3://names/d", "--json"]).json()["removed"], 3);
    assert_eq!(keys(&appliance, &["-r", "s3://names"]), neighbours);
    assert_eq!(appliance.run(&["rm", "--prefix", "s3://names/d"]).code, 2, "with -r alone");
    assert_eq!(appliance.ok(&["rm", "-r", "--prefix", "s3://names/d0", "--json"]).json()["removed"], 2);
    assert_eq!(keys(&appliance, &["-r", "s3://names"]), ["d-x/k", "d.x"]);
}

#[test]
fn cp_mv_and_sync_take_a_directory_and_not_its_neighbours() {
    let (root, appliance) = with_keys();
    let down = root.path().join("down");
    let text = down.to_str().unwrap();
    let below = ["d1/k", "k"].map(str::to_owned);
    let with_its_own: BTreeSet<_> = below.iter().cloned().chain(["d".to_owned()]).collect();
    // A tree has no place for the key itself.
    appliance.ok(&["sync", "s3://names/d", text]);
    assert_eq!(files(&down), below.iter().cloned().collect());
    appliance.ok(&["cp", "-r", "s3://names/d", text]);
    assert_eq!(files(&down), with_its_own);
    fs::remove_dir_all(&down).unwrap();
    appliance.ok(&["cp", "-r", "s3://names/d/", text]);
    assert_eq!(files(&down), below.iter().cloned().collect());
    appliance.ok(&["cp", "-r", "s3://names/d", "s3://other/copy"]);
    assert_eq!(keys(&appliance, &["-r", "s3://other"]), ["copy/d", "copy/d1/k", "copy/k"]);
    // One key alone, as cp(1) does with a file.
    appliance.ok(&["cp", "-r", "s3://names/d.x", "s3://other/one"]);
    assert_eq!(keys(&appliance, &["-r", "s3://other/one"]), ["one/d.x"]);
    appliance.ok(&["mv", "-r", "s3://names/d", "s3://other/moved"]);
    assert_eq!(keys(&appliance, &["-r", "s3://other/moved"]), ["moved/d", "moved/d1/k", "moved/k"]);
    assert_eq!(keys(&appliance, &["-r", "s3://names"]), ["d-x/k", "d.x", "d0", "d0/k"]);
    // Neither --delete goes beside the directory.
    fs::remove_file(down.join("k")).unwrap();
    appliance.ok(&["sync", text, "s3://names/d0", "--delete"]);
    assert_eq!(keys(&appliance, &["-r", "s3://names"]), ["d-x/k", "d.x", "d0", "d0/d1/k"]);
}

#[test]
fn two_keys_that_want_one_name_are_not_both_written() {
    let (root, appliance) = with_keys();
    let file = root.path().join("body");
    appliance.ok(&["cp", file.to_str().unwrap(), "s3://names/d/d"]);
    let ran = appliance.run(&["cp", "-r", "s3://names/d", "s3://other/clash", "--json"]);
    assert_eq!((ran.code, &ran.json()["failed_count"]), (3, &1.into()), "{ran:?}");
    assert_eq!(ran.json()["failed"][0]["exit"], 8);
}

#[test]
fn a_mistyped_name_is_not_found_and_nothing_is_done() {
    let (root, appliance) = with_keys();
    let down = root.path().join("down");
    let text = down.to_str().unwrap();
    for args in [
        &["cp", "-r", "s3://names/e", text][..],
        &["cp", "-r", "s3://names/e", "s3://other/e"],
        &["mv", "-r", "s3://names/e/", text],
        &["sync", "s3://names/e", text],
        &["sync", "s3://names/d0x", "s3://other/e", "--dry-run"],
        &["rm", "-r", "s3://names/e"],
        &["rm", "-r", "s3://names/e", "--dry-run"],
        &["rm", "-r", "--versions", "s3://names/e/"],
        &["ls", "s3://names/e"],
        &["du", "s3://names/e"],
    ] {
        let ran = appliance.run(args);
        assert_eq!(ran.code, 4, "{args:?}: {ran:?}");
        assert!(ran.out.is_empty() && ran.err.contains("firn ls -r s3://names"), "{args:?}: {ran:?}");
    }
    assert!(!down.exists(), "not even the directory");
    let beside = appliance.run(&["rm", "-r", "s3://names/d-"]);
    assert!(beside.code == 4 && beside.err.contains("--prefix"), "{beside:?}");
    // An empty bucket, and an empty directory, are what they are.
    for args in [
        &["sync", "s3://other", text][..],
        &["cp", "-r", "s3://other", text],
        &["rm", "-r", "s3://other"],
        &["ls", "s3://other"],
        &["du", "s3://other"],
    ] {
        appliance.ok(args);
    }
    assert_eq!(appliance.run(&["sync", "s3://missing", text]).code, 4);
}
