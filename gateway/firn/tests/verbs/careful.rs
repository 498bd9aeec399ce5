//! What destroys takes no more than it was told to, and a trial run takes nothing.

#![expect(clippy::unwrap_used, reason = "a test")]

use crate::start;
use crate::support::Appliance;
use std::fs;
use std::io::Read;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::time::UNIX_EPOCH;

fn put(appliance: &Appliance, root: &Path, keys: &[&str]) {
    let file = root.join("body");
    fs::write(&file, "x").unwrap();
    for key in keys {
        appliance.ok(&["cp", file.to_str().unwrap(), &format!("s3://care/{key}")]);
    }
}

/// Lines of a list with versions: one for each version and marker.
fn versions(appliance: &Appliance, prefix: &str) -> usize {
    let ran = appliance.run(&["ls", "-r", "--versions", "--json", &format!("s3://care/{prefix}")]);
    ran.out.lines().count()
}

#[test]
fn rm_removes_what_it_names_and_nothing_beside_it() {
    let (root, appliance) = start();
    appliance.ok(&["mb", "s3://care", "--versioning"]);
    put(&appliance, root.path(), &["a", "a", "a/below", "ab", "ab"]);
    assert_eq!(appliance.run(&["rm", "s3://care/missing"]).code, 4, "mistyped");
    for trial in [
        ["rm", "s3://care/a", "--dry-run"].as_slice(),
        &["rm", "-r", "s3://care/a", "--dry-run"],
        &["rm", "--versions", "s3://care/a", "--dry-run"],
    ] {
        appliance.ok(trial);
    }
    assert_eq!(versions(&appliance, ""), 5, "tried, not done");
    // A key's versions are not those of keys that begin like it.
    let removed = appliance.ok(&["rm", "--versions", "s3://care/a", "--json"]).json();
    assert_eq!((&removed["removed"], versions(&appliance, "")), (&2.into(), 3));
    appliance.ok(&["stat", "s3://care/ab"]);
    appliance.ok(&["stat", "s3://care/a/below"]);
    // A marker has no bytes, and is no object.
    appliance.ok(&["rm", "s3://care/ab"]);
    let used = appliance.ok(&["du", "--versions", "s3://care", "--json"]).json();
    assert_eq!((&used["objects"], &used["bytes"]), (&3.into(), &3.into()));
}

#[test]
fn mv_takes_its_source_away_only_when_all_of_it_has_arrived() {
    let (root, appliance) = start();
    appliance.ok(&["mb", "s3://care"]);
    let (tree, broken) = (root.path().join("tree"), root.path().join("broken"));
    for place in [&tree, &broken] {
        fs::create_dir_all(place.join("deep/empty")).unwrap();
        fs::write(place.join("deep/file"), "x").unwrap();
    }
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    appliance.ok(&["mv", "-r", &text(&tree), "s3://care/tree", "--dry-run"]);
    assert!(tree.join("deep/file").exists() && tree.join("deep/empty").exists());
    appliance.ok(&["mv", "-r", &text(&tree), "s3://care/tree"]);
    assert!(!tree.exists(), "its directories, too");
    appliance.ok(&["stat", "s3://care/tree/deep/file"]);
    std::os::unix::fs::symlink("missing", broken.join("dangling")).unwrap();
    assert_eq!(appliance.run(&["mv", "-r", &text(&broken), "s3://care/broken"]).code, 3);
    assert!(broken.join("deep/empty").exists(), "not all of it could be read");
}

#[test]
fn what_can_not_be_meant_is_refused_before_anything_is_done() {
    let (root, appliance) = start();
    appliance.ok(&["mb", "s3://care"]);
    put(&appliance, root.path(), &["a/k", "other"]);
    let tree = root.path().join("tree");
    fs::create_dir(&tree).unwrap();
    fs::write(tree.join("kept"), "x").unwrap();
    let tree = tree.to_str().unwrap();
    let other = appliance.ok(&["stat", "s3://care/other", "--json"]).json();
    fs::write(root.path().join("body"), "another").unwrap();
    appliance.ok(&["cp", root.path().join("body").to_str().unwrap(), "s3://care/a/k"]);
    let cases: [(i32, &[&str]); 12] = [
        (2, &["cp", "s3://care/a/k", tree, "--no-clobber"]),
        (2, &["cp", "-r", tree, "s3://care/t", "--no-clobber"]),
        (8, &["cp", &format!("{tree}/kept"), "s3://care/other", "--no-clobber"]),
        (8, &["cp", "s3://care/a/k", "s3://care/other", "--no-clobber"]),
        (4, &["rm", "s3://care/a/k", "--version-id", "mistyped"]),
        (4, &["rm", "s3://care/a/k", "--version-id", "mistyped", "--dry-run"]),
        (2, &["sync", "s3://care/a", "s3://care/a/b"]),
        (2, &["cp", "s3://care/a/k", "s3://care/a/k"]),
        (2, &["cp", tree, "s3://care/t", "--part-size", "4MiB"]),
        (2, &["cp", "-r", tree, "s3://care/t", "--part-size", "6GiB"]),
        (4, &["sync", "s3://care/mistyped", tree, "--delete"]),
        (2, &["mv", "-", "s3://care/stream"]),
    ];
    for (code, args) in cases {
        let ran = appliance.run(args);
        assert_eq!(ran.code, code, "{args:?}: {ran:?}");
    }
    assert!(Path::new(tree).join("kept").exists());
    assert_eq!(
        appliance.ok(&["ls", "-r", "s3://care", "--json"]).out.lines().count(),
        2,
        "a/k and other alone"
    );
    let stat = |key: &str| appliance.ok(&["stat", &format!("s3://care/{key}"), "--json"]).json();
    assert_eq!(stat("other")["etag"], other["etag"], "not overwritten");
    appliance.ok(&["cp", "s3://care/a/k", "s3://care/new", "--no-clobber"]);
    assert_eq!(stat("new")["etag"], stat("a/k")["etag"]);
}

#[test]
fn what_links_lead_to_is_copied_and_never_taken_away() {
    let (root, appliance) = start();
    appliance.ok(&["mb", "s3://care"]);
    let (tree, elsewhere) = (root.path().join("tree"), root.path().join("elsewhere"));
    for place in [&tree, &elsewhere] {
        fs::create_dir(place).unwrap();
    }
    fs::write(elsewhere.join("kept"), "x").unwrap();
    fs::write(tree.join("d.txt"), "beside the link").unwrap();
    std::os::unix::fs::symlink(&elsewhere, tree.join("d")).unwrap();
    let text = tree.to_str().unwrap();
    let sync = |from: &str, to: &str| appliance.ok(&["sync", from, to, "--delete", "--json"]).json();
    assert_eq!(sync(text, "s3://care/t")["uploaded"], 2);
    let again = sync(text, "s3://care/t");
    assert_eq!((&again["uploaded"], &again["removed"], &again["skipped"]), (&0.into(), &0.into(), &2.into()));
    // Down again, where the bucket lacks both: what lies in the tree goes.
    put(&appliance, root.path(), &["u/only"]);
    assert_eq!(sync("s3://care/u", text)["removed"], 1);
    assert!(!tree.join("d.txt").exists() && elsewhere.join("kept").exists());
    appliance.ok(&["mv", "-r", text, "s3://care/moved"]);
    appliance.ok(&["stat", "s3://care/moved/d/kept"]);
    assert!(!tree.join("only").exists() && elsewhere.join("kept").exists());
}

#[test]
fn a_download_replaces_no_fifo_and_no_link() {
    let (root, appliance) = start();
    appliance.ok(&["mb", "s3://care"]);
    put(&appliance, root.path(), &["t/fifo"]);
    let at = |name: &str| root.path().join(name);
    fs::create_dir(at("tree")).unwrap();
    let (fifo, link) = (at("tree/fifo"), at("link"));
    rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
    // Open on both sides, so that nobody waits for the other.
    let mut reader = fs::OpenOptions::new().read(true).write(true).open(&fifo).unwrap();
    appliance.ok(&["cp", "s3://care/t/fifo", fifo.to_str().unwrap()]);
    let is_fifo = || fs::symlink_metadata(&fifo).unwrap().file_type().is_fifo();
    assert!(is_fifo());
    let mut got = [0; 1];
    reader.read_exact(&mut got).unwrap();
    assert_eq!(&got, b"x");
    // Among many it is refused.
    assert_eq!(appliance.run(&["sync", "s3://care/t", at("tree").to_str().unwrap()]).code, 8);
    assert!(is_fifo());
    fs::write(at("there"), "old").unwrap();
    std::os::unix::fs::symlink("there", &link).unwrap();
    appliance.ok(&["cp", "s3://care/t/fifo", link.to_str().unwrap()]);
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(fs::read_to_string(at("there")).unwrap(), "x");
    fs::remove_file(at("there")).unwrap();
    assert_eq!(appliance.run(&["cp", "s3://care/t/fifo", link.to_str().unwrap()]).code, 8);
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
}

#[test]
fn an_empty_source_empties_no_target_unless_that_is_said() {
    let (root, appliance) = start();
    appliance.ok(&["mb", "s3://care"]);
    appliance.ok(&["mb", "s3://empty"]);
    put(&appliance, root.path(), &["t/a", "t/b", "t/sub/c"]);
    let (unmounted, full) = (root.path().join("unmounted"), root.path().join("full"));
    fs::create_dir(&unmounted).unwrap();
    fs::create_dir(unmounted.join("lost+found")).unwrap();
    fs::create_dir(&full).unwrap();
    fs::write(full.join("kept"), "x").unwrap();
    let (unmounted, full) = (unmounted.to_str().unwrap(), full.to_str().unwrap());
    for args in [
        &["sync", unmounted, "s3://care/t", "--delete"][..],
        &["sync", unmounted, "s3://care/t", "--delete", "--dry-run"],
        &["sync", unmounted, "s3://care", "--delete"],
        &["sync", "s3://empty", full, "--delete"],
        &["sync", "s3://empty", "s3://care", "--delete"],
        &["sync", "s3://care/t", full, "--delete", "--exclude", "*"],
    ] {
        // What is excluded is left alone, and so nothing would be removed.
        if args.contains(&"--exclude") {
            appliance.ok(args);
            continue;
        }
        let ran = appliance.run(args);
        assert_eq!(ran.code, 4, "{args:?}: {ran:?}");
        assert!(
            ran.err.contains("--allow-empty") && ran.err.contains("nothing was done"),
            "{args:?}: {ran:?}"
        );
    }
    assert_eq!(appliance.run(&["sync", "/nonexistent", "s3://care/t", "--delete", "--allow-empty"]).code, 4);
    assert_eq!(appliance.run(&["sync", unmounted, "s3://care/t", "--allow-empty"]).code, 2, "with --delete");
    assert_eq!(appliance.ok(&["ls", "-r", "s3://care", "--json"]).out.lines().count(), 3);
    assert!(Path::new(full).join("kept").exists());
    // Without --delete, and where there is nothing to lose, an empty source is no mistake.
    appliance.ok(&["sync", unmounted, "s3://care/t"]);
    appliance.ok(&["sync", unmounted, "s3://care/new", "--delete"]);
    let gone =
        appliance.ok(&["sync", unmounted, "s3://care/t", "--delete", "--allow-empty", "--json"]).json();
    assert_eq!(gone["removed"], 3);
    appliance.ok(&["sync", "s3://empty", full, "--delete", "--allow-empty"]);
    assert!(!Path::new(full).join("kept").exists());
}

#[test]
fn a_trial_of_a_stream_or_of_contents_that_differ_writes_nothing() {
    let (root, appliance) = start();
    appliance.ok(&["mb", "s3://care"]);
    let tree = root.path().join("tree");
    fs::create_dir(&tree).unwrap();
    fs::write(tree.join("k"), "old").unwrap();
    let text = tree.to_str().unwrap();
    appliance.ok(&["sync", text, "s3://care/t"]);
    appliance.ok(&["cp", "-", "s3://care/stream", "--dry-run"]);
    assert_eq!(appliance.run(&["stat", "s3://care/stream"]).code, 4);
    fs::write(tree.join("k"), "new").unwrap();
    let trial = appliance.ok(&["sync", text, "s3://care/t", "--checksum", "--dry-run", "--json"]).json();
    assert_eq!(trial["uploaded"], 1);
    assert_eq!(appliance.ok(&["cat", "s3://care/t/k"]).out, "old");
    appliance.ok(&["sync", text, "s3://care/t", "--checksum"]);
    assert_eq!(appliance.ok(&["cat", "s3://care/t/k"]).out, "new");
    // What is excluded is left alone on the other side, too.
    fs::remove_file(tree.join("k")).unwrap();
    appliance.ok(&["sync", text, "s3://care/t", "--delete", "--exclude", "k"]);
    appliance.ok(&["stat", "s3://care/t/k"]);
}

#[test]
fn a_download_has_the_time_of_its_object() {
    let (root, appliance) = start();
    appliance.ok(&["mb", "s3://care"]);
    put(&appliance, root.path(), &["k"]);
    let said = appliance.ok(&["stat", "s3://care/k", "--json"]).json();
    let said: jiff::Timestamp = said["last_modified"].as_str().unwrap().parse().unwrap();
    let to = root.path().join("down");
    appliance.ok(&["cp", "s3://care/k", to.to_str().unwrap()]);
    let modified = fs::metadata(to).unwrap().modified().unwrap().duration_since(UNIX_EPOCH).unwrap();
    assert_eq!(i64::try_from(modified.as_secs()).unwrap(), said.as_second());
}

#[test]
fn a_recovery_key_is_made_for_an_appliance_alone() {
    let root = tempfile::tempdir().unwrap();
    let ran = crate::support::run(&["backup", "key", root.path().to_str().unwrap()]);
    assert_eq!(ran.code, 4, "{ran:?}");
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0, "nothing is made");
}

#[test]
fn a_server_that_ended_leaves_no_address() {
    let (_root, appliance) = start();
    let run = appliance.dir().join("run");
    assert!(run.join("http.addr").exists() && run.join("admin.addr").exists());
    assert_eq!(appliance.terminate(), 0);
    assert_eq!(fs::read_dir(run).unwrap().count(), 0);
}
