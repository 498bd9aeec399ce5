//! The real binary, server and verbs, as a newcomer and a script use them.

#![expect(clippy::unwrap_used, reason = "a test")]

#[path = "verbs/at_once.rs"]
mod at_once;
#[path = "verbs/audit.rs"]
mod audit;
#[path = "verbs/careful.rs"]
mod careful;
#[path = "verbs/cost.rs"]
mod cost;
#[path = "verbs/environment.rs"]
mod environment;
#[path = "verbs/extract.rs"]
mod extract;
#[path = "verbs/identity.rs"]
mod identity;
#[path = "verbs/interrupted.rs"]
mod interrupted;
#[path = "verbs/kms.rs"]
mod kms;
#[path = "verbs/mistakes.rs"]
mod mistakes;
#[path = "verbs/moves.rs"]
mod moves;
#[path = "verbs/names.rs"]
mod names;
#[path = "verbs/outage.rs"]
mod outage;
#[path = "verbs/own_uploads.rs"]
mod own_uploads;
#[path = "verbs/parts.rs"]
mod parts;
#[path = "verbs/pieces.rs"]
mod pieces;
#[path = "support/port.rs"]
mod port;
#[path = "verbs/portal.rs"]
mod portal;
#[path = "verbs/restore.rs"]
mod restore;
mod support;
#[path = "verbs/trees.rs"]
mod trees;
#[path = "verbs/vault.rs"]
mod vault;
#[path = "verbs/versions.rs"]
mod versions;

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use support::{Appliance, firn, run};

fn start() -> (tempfile::TempDir, Appliance) {
    let root = tempfile::tempdir().unwrap();
    let appliance = Appliance::start(&root.path().join("data"), &[]);
    (root, appliance)
}

#[test]
fn a_file_goes_in_and_comes_back_and_every_verb_answers() {
    let (root, appliance) = start();
    let file = root.path().join("hello.txt");
    fs::write(&file, "hello").unwrap();
    let file = file.to_str().unwrap();
    appliance.ok(&["mb", "s3://first", "--versioning"]);
    assert_eq!(appliance.ok(&["cp", file, "s3://first/", "--json"]).json()["uploaded"], 1);
    assert_eq!(appliance.ok(&["cat", "s3://first/hello.txt"]).out, "hello");
    assert_eq!(appliance.ok(&["cat", "s3://first/hello.txt", "--range", "1-2"]).out, "el");
    let whole = appliance.ok(&["cat", "s3://first/hello.txt"]).out;
    let from_the_end = appliance.ok(&["cat", "s3://first/hello.txt", "--range", "-3"]).out;
    assert!(from_the_end.len() == 3 && whole.ends_with(&from_the_end), "{from_the_end:?} of {whole:?}");
    assert!(appliance.ok(&["ls"]).out.contains("first"));
    assert_eq!(appliance.ok(&["ls", "s3://first", "--json"]).json()["key"], "hello.txt");
    let stat = appliance.ok(&["stat", "s3://first/hello.txt", "--json"]).json();
    assert_eq!((&stat["size"], &stat["content_type"]), (&5.into(), &"text/plain".into()));
    assert_eq!(appliance.ok(&["stat", "s3://first", "--json"]).json()["versioning"], "enabled");
    assert_eq!(appliance.ok(&["du", "s3://first", "--json"]).json()["bytes"], 5);
    let place = appliance.ok(&["where", "s3://first/hello.txt", "--json"]).json();
    assert_eq!((&place["storage_class"], &place["copies"]), (&"STANDARD".into(), &1.into()));
    assert!(place["why"].as_str().unwrap().contains("STANDARD"));
    let places = &place["places"];
    assert!(places[0]["zone"].is_null() && places[0]["segment"].is_null(), "it is beside its row: {place}");
    let status = appliance.ok(&["status", "--json"]).json();
    assert_eq!((&status["ready"], &status["doors"]["s3"]["on"]), (&true.into(), &true.into()));
    appliance.ok(&["top", "--once"]);
    assert_eq!(appliance.ok(&["doctor", "--json"]).json()["healthy"], true);
    let link = appliance.ok(&["share", "s3://first/hello.txt", "--json"]).json();
    assert!(link["url"].as_str().unwrap().contains("X-Amz-Signature="));
    appliance.ok(&["cp", "s3://first/hello.txt", "s3://first/copy.txt"]);
    appliance.ok(&["mv", "s3://first/copy.txt", "s3://first/moved.txt"]);
    assert_eq!(appliance.run(&["stat", "s3://first/copy.txt"]).code, 4);
    appliance.ok(&["rm", "s3://first/hello.txt"]);
    let versions = appliance.ok(&["ls", "s3://first/hello.txt", "--versions", "--json"]).out;
    assert_eq!(versions.lines().count(), 2, "{versions}");
    appliance.ok(&["rb", "s3://first", "--force", "--dry-run"]);
    appliance.ok(&["stat", "s3://first/moved.txt"]);
    appliance.ok(&["rb", "s3://first", "--force"]);
    assert_eq!(appliance.run(&["stat", "s3://first"]).code, 4);
    assert_eq!(appliance.terminate(), 0);
}

#[test]
fn exit_codes_are_those_documented() {
    let (root, appliance) = start();
    appliance.ok(&["mb", "s3://codes"]);
    assert_eq!(appliance.run(&["cat", "s3://codes/none"]).code, 4);
    assert_eq!(appliance.run(&["ls", "s3://missing"]).code, 4);
    assert_eq!(appliance.run(&["cp", "/nonexistent", "s3://codes/"]).code, 4);
    assert_eq!(appliance.run(&["cp", "a", "b"]).code, 2);
    assert_eq!(appliance.run(&["frobnicate"]).code, 2);
    assert_eq!(appliance.run(&["cat", "s3://codes/k", "--endpoint", "nonsense"]).code, 2);
    let denied = appliance.command(&["ls"]).env("AWS_SECRET_ACCESS_KEY", "wrong-secret-0123456789").output();
    assert_eq!(denied.unwrap().status.code(), Some(5));
    let file = root.path().join("f");
    fs::write(&file, "x").unwrap();
    let file = file.to_str().unwrap();
    appliance.ok(&["cp", file, "s3://codes/f", "--no-clobber"]);
    assert_eq!(appliance.run(&["cp", file, "s3://codes/f", "--no-clobber"]).code, 8);
    assert_eq!(appliance.run(&["rb", "s3://codes"]).code, 8, "a bucket that is not empty");
    let gone = appliance
        .command(&["ls", "--json"])
        .env("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
        .env("AWS_MAX_ATTEMPTS", "1")
        .output()
        .unwrap();
    assert_eq!(gone.status.code(), Some(1));
    let error: serde_json::Value = serde_json::from_slice(&gone.stderr).unwrap();
    assert_eq!(error["exit"], 1);
    assert!(error["hint"].as_str().unwrap().contains("firn server"));
}

#[test]
fn sync_transfers_what_differs_and_only_that() {
    let (root, appliance) = start();
    let (src, dst) = (root.path().join("src"), root.path().join("dst"));
    fs::create_dir_all(src.join("deep/er")).unwrap();
    for n in 0..40 {
        fs::write(src.join(format!("deep/er/{n}.txt")), format!("file {n}")).unwrap();
    }
    let large: Vec<u8> =
        (0..20_000_000_u32).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    fs::write(src.join("large.bin"), &large).unwrap();
    let (src_text, dst_text) = (src.to_str().unwrap(), dst.to_str().unwrap());
    appliance.ok(&["mb", "s3://tree"]);
    let first = appliance.ok(&["sync", src_text, "s3://tree/t", "--json"]).json();
    assert_eq!((&first["uploaded"], &first["failed_count"]), (&41.into(), &0.into()));
    let again = appliance.ok(&["sync", src_text, "s3://tree/t", "--json"]).json();
    assert_eq!((&again["uploaded"], &again["skipped"]), (&0.into(), &41.into()));
    let contents = appliance.ok(&["sync", src_text, "s3://tree/t", "--json", "--checksum"]).json();
    assert_eq!((&contents["uploaded"], &contents["skipped"]), (&0.into(), &41.into()));
    let down = appliance.ok(&["sync", "s3://tree/t", dst_text, "--json"]).json();
    assert_eq!((&down["downloaded"], &down["unverified"]), (&41.into(), &0.into()));
    assert_eq!(fs::read(dst.join("large.bin")).unwrap(), large);
    assert_eq!(fs::read_to_string(dst.join("deep/er/7.txt")).unwrap(), "file 7");
    let again = appliance.ok(&["sync", "s3://tree/t", dst_text, "--json"]).json();
    assert_eq!((&again["downloaded"], &again["skipped"]), (&0.into(), &41.into()));
    // What came has its object's time, so that nothing of it goes back.
    let back = appliance.ok(&["sync", dst_text, "s3://tree/t", "--json"]).json();
    assert_eq!((&back["uploaded"], &back["skipped"]), (&0.into(), &41.into()));
    fs::remove_file(src.join("deep/er/7.txt")).unwrap();
    let dry = appliance.ok(&["sync", src_text, "s3://tree/t", "--delete", "--dry-run", "--json"]).json();
    assert_eq!((&dry["removed"], &dry["dry_run"]), (&1.into(), &true.into()));
    assert_eq!(dry["would_remove"], serde_json::json!(["s3://tree/t/deep/er/7.txt"]));
    appliance.ok(&["stat", "s3://tree/t/deep/er/7.txt"]);
    let real = appliance.ok(&["sync", src_text, "s3://tree/t", "--delete", "--json"]).json();
    assert_eq!(real["removed"], 1);
    assert_eq!(appliance.run(&["stat", "s3://tree/t/deep/er/7.txt"]).code, 4);
}

#[test]
fn hostile_and_clashing_keys_fail_alone_and_the_rest_comes() {
    let (root, appliance) = start();
    let file = root.path().join("f");
    fs::write(&file, "x").unwrap();
    let file = file.to_str().unwrap();
    appliance.ok(&["mb", "s3://keys"]);
    for key in ["../escape", "fine", "a", "a/b", "x//y", "dir/"] {
        appliance.ok(&["cp", "-", &format!("s3://keys/{key}")]);
    }
    appliance.ok(&["cp", file, "s3://keys/fine"]);
    let dst = root.path().join("dst");
    let ran = appliance.run(&["cp", "-r", "s3://keys", dst.to_str().unwrap(), "--json"]);
    assert_eq!(ran.code, 3, "{ran:?}");
    let report = ran.json();
    assert_eq!((&report["downloaded"], &report["failed_count"]), (&2.into(), &3.into()), "{report}");
    assert_eq!(fs::read_to_string(dst.join("fine")).unwrap(), "x");
    assert!(!root.path().join("escape").exists());
    let left = fs::read_dir(&dst)
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with(".firn-partial"));
    assert_eq!(left.count(), 0, "temporary files are removed");
}

#[test]
fn streams_go_both_ways() {
    let (_root, appliance) = start();
    appliance.ok(&["mb", "s3://pipe"]);
    let body: Vec<u8> = (0..12_000_000_u32).map(|n| (n >> 3).to_le_bytes()[0]).collect();
    let mut child = appliance
        .command(&["cp", "-", "s3://pipe/s"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&body).unwrap();
    assert!(child.wait().unwrap().success());
    let back = appliance.command(&["cp", "s3://pipe/s", "-"]).output().unwrap();
    assert!(back.status.success());
    assert!(back.stdout == body, "{} bytes came back", back.stdout.len());
}

#[test]
fn sigkill_loses_nothing_acknowledged_and_the_directory_opens_again() {
    let (root, appliance) = start();
    appliance.ok(&["mb", "s3://kept"]);
    let file = root.path().join("f");
    let body = "what was acknowledged\n".repeat(15_000);
    fs::write(&file, &body).unwrap();
    appliance.ok(&["cp", file.to_str().unwrap(), "s3://kept/f"]);
    let dir = appliance.dir().to_owned();
    appliance.kill();
    let again = Appliance::start(&dir, &[]);
    assert!(again.ok(&["cat", "s3://kept/f"]).out == body, "it came back changed");
}

#[test]
fn a_directory_in_use_or_newer_is_refused() {
    let (_root, appliance) = start();
    let dir = appliance.dir().to_str().unwrap().to_owned();
    let second = run(&["server", &dir, "--http", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    assert_eq!(second.code, 8);
    assert!(second.err.contains("another firn (process "), "{second:?}");
    let path = appliance.dir().join("firn.json");
    assert_eq!(appliance.terminate(), 0);
    let newer = fs::read_to_string(&path).unwrap().replace("\"version\":1", "\"version\":2");
    fs::write(&path, newer).unwrap();
    let refused = run(&["server", &dir, "--http", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    assert_eq!(refused.code, 2);
    assert!(refused.err.contains("run a newer firn"), "{refused:?}");
}

#[test]
fn secrets_stay_out_of_logs_and_private() {
    let (_root, appliance) = start();
    let dir = appliance.dir().to_owned();
    for (name, mode) in [("", 0o700), ("credentials", 0o600), ("admin-token", 0o600), ("master.key", 0o600)] {
        let found = fs::metadata(dir.join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!(found, mode, "{name}");
    }
    let credentials = fs::read_to_string(dir.join("credentials")).unwrap();
    let secret = credentials.lines().find_map(|line| line.strip_prefix("aws_secret_access_key = ")).unwrap();
    let token = fs::read_to_string(dir.join("admin-token")).unwrap();
    appliance.ok(&["mb", "s3://quiet"]);
    assert_eq!(appliance.terminate(), 0);
    let log = fs::read_to_string(dir.with_extension("log")).unwrap();
    assert!(log.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()), "{log}");
    assert!(!log.contains(secret) && !log.contains(token.trim()));
}

/// Logs for people are no terminal yet: they go to files and journals too.
#[test]
fn a_log_for_people_that_is_no_terminal_has_no_secret() {
    let root = tempfile::tempdir().unwrap();
    let config = root.path().join("firn.toml");
    fs::write(&config, "[log]\nformat = \"people\"\n").unwrap();
    let dir = root.path().join("data");
    let appliance = Appliance::start(&dir, &["--config", config.to_str().unwrap()]);
    let credentials = fs::read_to_string(dir.join("credentials")).unwrap();
    let secret = credentials.lines().find_map(|line| line.strip_prefix("aws_secret_access_key = ")).unwrap();
    assert_eq!(appliance.terminate(), 0);
    let log = fs::read_to_string(dir.with_extension("log")).unwrap();
    let free =
        log.lines().find_map(|line| line.trim().strip_prefix("free space ")).expect("it is for people");
    assert!(free.starts_with(|first: char| first.is_ascii_digit()), "{free}");
    assert!(!log.contains(secret) && !log.contains("AGE-SECRET-KEY"), "a secret in a log");
    assert!(!dir.join("recovery.pub").exists());
}

#[test]
fn doctor_works_when_the_server_is_down() {
    let (_root, appliance) = start();
    let dir = appliance.dir().to_owned();
    assert_eq!(appliance.terminate(), 0);
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(dir.join("credentials"), fs::Permissions::from_mode(0o644)).unwrap();
    let ran = run(&["doctor", dir.to_str().unwrap(), "--json"]);
    assert_eq!(ran.code, 1);
    let faults: Vec<_> = ran.json()["findings"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|finding| finding["ok"] == false)
        .map(|finding| {
            (finding["check"].as_str().unwrap().to_owned(), finding["fix"].as_str().unwrap().to_owned())
        })
        .collect();
    assert_eq!(faults.len(), 3, "{faults:?}");
    assert!(faults[0].0 == "directory" && faults[0].1.starts_with("chmod 700"));
    assert!(faults[1].0 == "credentials" && faults[1].1.starts_with("chmod 600"));
    assert!(faults[2].0 == "server" && faults[2].1.starts_with("firn server"));
}

#[test]
fn plain_http_beyond_loopback_and_absent_doors_are_refused() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("data");
    let dir = dir.to_str().unwrap();
    for (args, said) in [
        (["--http", "0.0.0.0:0"], "--insecure-http"),
        (["--nbd", "127.0.0.1:0"], "this door is not in this version\n  leave --nbd out"),
        (["--iscsi", "127.0.0.1:0"], "this door is not in this version\n  leave --iscsi out"),
        (["--debug-day", "1ms"], "--debug-day"),
    ] {
        let ran = run(&[&["server", dir, "--admin", "127.0.0.1:0"], &args[..]].concat());
        assert!(ran.code == 2 && ran.err.contains(said), "{args:?}: {ran:?}");
    }
    let rehearsal = Appliance::start(&root.path().join("rehearsal"), &["--debug-day", "10s"]);
    assert_eq!(rehearsal.ok(&["status", "--json"]).json()["debug_day_ms"], 10_000);
}

#[test]
fn verbs_without_a_server_print_what_they_should() {
    assert!(run(&["version"]).out.starts_with("firn "));
    assert!(run(&["completions", "bash"]).out.contains("_firn"));
    assert!(run(&["man", "cp"]).out.contains("firn-cp"));
    assert!(run(&["--help"]).out.contains("Exit codes:"));
    assert_eq!(run(&["man", "nothing"]).code, 2);
    let none = firn().args(["env", "/proc"]).output().unwrap();
    assert_eq!(none.status.code(), Some(4));
}

#[test]
fn ctrl_c_ends_with_130_and_leaves_no_object() {
    let (_root, appliance) = start();
    appliance.ok(&["mb", "s3://cut"]);
    let mut child = appliance
        .command(&["cp", "-", "s3://cut/s"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // More than a pipe holds: when it is written, the verb has been reading for a while, its handler in place.
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&vec![1; 1 << 20]).unwrap();
    let pid = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let ended = child.wait_with_output().unwrap();
    drop(stdin);
    assert_eq!(ended.status.code(), Some(130), "{ended:?}");
    assert!(String::from_utf8(ended.stderr).unwrap().contains("interrupted"));
    assert_eq!(appliance.run(&["stat", "s3://cut/s"]).code, 4);
}
