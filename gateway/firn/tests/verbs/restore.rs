//! `firn restore -r`: one job of firn's, and one request an object of any other endpoint.

#![expect(clippy::unwrap_used, reason = "a test")]

use crate::identity::run_as;
use crate::moves::serve;
use crate::start;
use crate::support::{Appliance, firn};
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

fn archive(appliance: &Appliance, root: &Path, objects: &[(&str, &str)]) {
    let file = root.join("body");
    fs::write(&file, vec![7_u8; 50_000]).unwrap();
    for (key, class) in objects {
        let to = format!("s3://cold/{key}");
        appliance.ok(&["cp", file.to_str().unwrap(), &to, "--storage-class", class]);
    }
}

fn numbers(job: &Value, names: &[&str]) -> Vec<u64> {
    names.iter().map(|name| job[name].as_u64().unwrap_or_else(|| panic!("{name}: {job}"))).collect()
}

const OBJECTS: [(&str, &str); 6] = [
    ("d/a", "GLACIER"),
    ("d/b", "GLACIER"),
    ("d/deep", "DEEP_ARCHIVE"),
    ("d/plain", "STANDARD"),
    ("d", "GLACIER"),
    ("d3", "GLACIER"),
];

#[test]
fn a_directory_is_estimated_restored_by_one_job_listed_and_shown() {
    let (root, appliance) = start();
    appliance.ok(&["mb", "s3://cold"]);
    archive(&appliance, root.path(), &OBJECTS);
    let told = appliance.ok(&["restore", "-r", "s3://cold/d", "--estimate", "--json"]).json();
    assert_eq!(numbers(&told["classes"]["GLACIER"], &["ask", "ask_bytes", "vault"]), [2, 100_000, 0]);
    assert_eq!((&told["classes"]["DEEP_ARCHIVE"]["ask"], &told["not_archived"]), (&json!(1), &json!(1)));
    assert_eq!((&told["eta_ms"], &told["prefix"], &told["cost"]), (&json!(0), &json!("d/"), &Value::Null));
    let told = appliance.ok(&["restore", "-r", "s3://cold/d", "--estimate"]).out;
    assert!(
        told.contains("3 objects of s3://cold/d/ would be asked for") && told.contains("at once"),
        "{told}"
    );
    assert!(appliance.ok(&["restore", "--jobs", "s3://cold"]).out.contains("no restore jobs"));
    assert_eq!(appliance.run(&["cat", "s3://cold/d/a"]).code, 6);

    let args = ["restore", "-r", "s3://cold/d", "--tier", "expedited", "--days", "2", "--wait", "--json"];
    let job = appliance.ok(&args).json();
    let names = ["seen", "asked", "not_archived", "slower", "ready", "pending", "failed_count", "lost"];
    assert_eq!(numbers(&job, &names), [4, 3, 1, 1, 3, 0, 0, 0], "{job}");
    assert_eq!(
        (&job["state"], &job["waited"], &job["tier"]),
        (&json!("ended"), &json!(true), &json!("expedited"))
    );
    for key in ["d/a", "d/b", "d/deep"] {
        appliance.ok(&["cat", &format!("s3://cold/{key}")]);
    }
    // The object that is called like the directory is the command's own request.
    until(|| appliance.run(&["cat", "s3://cold/d"]).code == 0);
    assert_eq!(appliance.run(&["cat", "s3://cold/d3"]).code, 6, "it only begins like it");

    let name = job["job"].as_str().unwrap();
    let shown = appliance.ok(&["restore", "--status", name, "--json"]).json();
    assert_eq!((&shown["ready"], &shown["job"]), (&json!(3), &json!(name)));
    let listed = appliance.ok(&["restore", "--jobs", "s3://cold/d"]).out;
    assert!(listed.contains(name) && listed.contains("done") && listed.contains("3/3"), "{listed}");
    let again = appliance.ok(&["restore", "-r", "s3://cold/d", "--wait", "--json"]).json();
    assert_eq!(numbers(&again, &["asked", "there"]), [0, 3], "{again}");
    let cancelled = appliance.ok(&["restore", "--cancel", name, "--json"]).json();
    assert_eq!(cancelled["cancelled"], json!(false), "it had ended");

    let missing = appliance.run(&["restore", "-r", "s3://cold/typo"]);
    assert!(missing.code == 4 && missing.err.contains("find s3://cold/typo"), "{missing:?}");
    let unknown = appliance.run(&["restore", "--status", "cold/00000000000000000000000000000000"]);
    assert!(unknown.code == 4 && unknown.err.contains("firn restore --jobs s3://cold"), "{unknown:?}");
    for bad in
        [&["restore"][..], &["restore", "--status", "nothing"], &["restore", "s3://cold/d", "--estimate"]]
    {
        assert_eq!(appliance.run(bad).code, 2, "{bad:?}");
    }
}

#[test]
fn a_job_survives_a_kill_and_what_a_policy_denies_is_not_restored() {
    let (root, appliance) = start();
    appliance.ok(&["mb", "s3://cold"]);
    archive(&appliance, root.path(), &OBJECTS[..3]);
    // A user who may all but one.
    appliance.ok(&["user", "create", "ann"]);
    let document = root.path().join("policy.json");
    let text = r#"{"Version":"2012-10-17","Statement":[
        {"Effect":"Allow","Action":["s3:List*","s3:RestoreObject","s3:GetObject"],"Resource":"*"},
        {"Effect":"Deny","Action":"s3:RestoreObject","Resource":"arn:aws:s3:::cold/d/b"}]}"#;
    fs::write(&document, text).unwrap();
    appliance.ok(&["policy", "create", "restores", document.to_str().unwrap()]);
    appliance.ok(&["policy", "attach", "restores", "--user", "ann"]);
    let key = appliance.ok(&["key", "create", "--user", "ann", "--json"]).json();
    let begun = run_as(&appliance, &key, &["restore", "-r", "s3://cold/d/", "--json"]);
    assert_eq!(begun.code, 0, "{begun:?}");
    let name = begun.json()["job"].as_str().unwrap().to_owned();
    assert!(begun.json()["by"].as_str().unwrap().ends_with(":user/ann"));
    let dir = appliance.dir().to_owned();
    appliance.kill();
    let appliance = Appliance::start(&dir, &[]);
    let ended = run_as(&appliance, &key, &["restore", "--status", &name, "--wait", "--json"]);
    assert_eq!(ended.code, 3, "partly: {ended:?}");
    let job = ended.json();
    assert_eq!(numbers(&job, &["asked", "ready", "failed_count"]), [2, 2, 1], "{job}");
    assert_eq!(job["failed"][0]["key"], json!("d/b"));
    assert_eq!(appliance.run(&["cat", "s3://cold/d/b"]).code, 6);
    appliance.ok(&["cat", "s3://cold/d/a"]);
    // Whoever may not restore all that begins so is asked for one by one, and told so.
    let narrow = r#"{"Version":"2012-10-17","Statement":[
        {"Effect":"Allow","Action":"s3:List*","Resource":"*"},
        {"Effect":"Allow","Action":"s3:RestoreObject","Resource":"arn:aws:s3:::cold/d/a"}]}"#;
    fs::write(&document, narrow).unwrap();
    appliance.ok(&["user", "create", "bob"]);
    appliance.ok(&["policy", "create", "narrow", document.to_str().unwrap()]);
    appliance.ok(&["policy", "attach", "narrow", "--user", "bob"]);
    let key = appliance.ok(&["key", "create", "--user", "bob", "--json"]).json();
    let ran = run_as(&appliance, &key, &["restore", "-r", "s3://cold/d/"]);
    assert!(ran.code == 3 && ran.err.contains("asking for one object after the other"), "{ran:?}");
    assert!(ran.out.contains("1 there already") && ran.out.contains("2 failed"), "{ran:?}");
    let denied = run_as(&appliance, &key, &["restore", "--cancel", &name]);
    assert_eq!(denied.code, 5, "{denied:?}");
    let estimated = run_as(&appliance, &key, &["restore", "-r", "s3://cold", "--estimate", "--json"]);
    assert_eq!(estimated.json()["classes"]["GLACIER"]["there"], json!(1), "who may list may count");
}

#[test]
fn an_interrupted_wait_leaves_the_job_and_says_how_to_come_back() {
    let root = tempfile::tempdir().unwrap();
    let (medium, config) = (root.path().join("medium"), root.path().join("firn.toml"));
    fs::create_dir(&medium).unwrap();
    let path = medium.to_str().unwrap();
    let text = format!(
        "[vault]\nenabled = true\npack-after = \"0s\"\n[[medium]]\nname = \"shelf\"\npath = \"{path}\"\n"
    );
    fs::write(&config, text).unwrap();
    let appliance = Appliance::start(&root.path().join("data"), &["--config", config.to_str().unwrap()]);
    appliance.ok(&["mb", "s3://cold"]);
    archive(&appliance, root.path(), &[("d/a", "GLACIER"), ("d/b", "GLACIER")]);
    let estimate = || appliance.ok(&["restore", "-r", "s3://cold/d/", "--estimate", "--json"]).json();
    until(|| estimate()["media"]["shelf"]["objects"] == json!(2));
    let told = estimate();
    assert_eq!((&told["eta_ms"], &told["media"]["shelf"]["away"]), (&json!(18_000_000), &Value::Null));
    let away = root.path().join("away");
    fs::rename(&medium, &away).unwrap();
    until(|| estimate()["media"]["shelf"]["away"].is_string());
    let mut waits = appliance
        .command(&["restore", "-r", "s3://cold/d/", "--wait"])
        .stderr(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(waits.stderr.take().unwrap()).lines();
    let first = lines.next().unwrap().unwrap();
    let name = first.split_whitespace().nth(2).unwrap().to_owned();
    assert!(
        first.contains(&format!("firn restore --status {name}")) && first.contains("--cancel"),
        "{first}"
    );
    assert!(lines.next().unwrap().unwrap().contains("of"), "it says how far it is");
    assert!(Command::new("kill").args(["-INT", &waits.id().to_string()]).status().unwrap().success());
    let rest: Vec<String> = lines.map(Result::unwrap).collect();
    assert_eq!(waits.wait().unwrap().code(), Some(130), "{rest:?}");
    assert!(rest.last().unwrap().contains("a job goes on by itself: firn restore --jobs"), "{rest:?}");
    until(|| appliance.ok(&["restore", "--status", &name, "--json"]).json()["pending"] == json!(2));
    fs::rename(&away, &medium).unwrap();
    let job = appliance.ok(&["restore", "--status", &name, "--wait", "--json"]).json();
    assert_eq!(numbers(&job, &["asked", "ready", "lost"]), [2, 2, 0], "{job}");
    appliance.ok(&["cat", "s3://cold/d/a"]);
}

fn until(mut is_so: impl FnMut() -> bool) {
    // Each look is a process of its own: that is pause enough.
    for _ in 0..5_000 {
        if is_so() {
            return;
        }
    }
    panic!("it never comes to that");
}

#[test]
fn another_endpoint_is_asked_for_one_object_after_the_other() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let noted = Arc::clone(&asked);
    serve(listener, move |head, _body| {
        let line = head.lines().next().unwrap_or_default().to_owned();
        noted.lock().unwrap().push(line.clone());
        let entry = |key: &str, class: &str| {
            format!(
                "<Contents><Key>{key}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>\"a\"</ETag>\
                 <Size>5</Size><StorageClass>{class}</StorageClass></Contents>"
            )
        };
        let (status, body) = if line.starts_with("GET ") {
            let entries = [entry("d/a", "GLACIER"), entry("d/b", "STANDARD")].concat();
            let list =
                format!("<ListBucketResult><IsTruncated>false</IsTruncated>{entries}</ListBucketResult>");
            ("200 OK", list)
        } else if line.contains("/d/a?restore") {
            ("202 Accepted", String::new())
        } else {
            let code = "<Error><Code>PreconditionFailed</Code><Message>no form</Message></Error>";
            ("412 Precondition Failed", code.to_owned())
        };
        let length = body.len();
        format!("HTTP/1.1 {status}\r\nconnection: close\r\nx-amz-request-id: R\r\ncontent-length: {length}\r\n\r\n{body}")
            .into_bytes()
    });
    let run = |args: &[&str]| {
        let mut command = firn();
        command.args(args).args(["--endpoint", &url]).env("AWS_MAX_ATTEMPTS", "1");
        command.env("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE");
        command.env("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
        crate::support::Ran::from(command.output().unwrap())
    };
    let ran = run(&["restore", "-r", "s3://theirs/d/"]);
    assert!(
        ran.code == 0 && ran.out.contains("asked for 1 object") && ran.out.contains("1 not archived"),
        "{ran:?}"
    );
    assert!(ran.err.contains("takes no job for this (PreconditionFailed)"), "{ran:?}");
    assert!(asked.lock().unwrap().iter().any(|line| line.starts_with("POST /theirs/d/a?restore")));
    let estimate = run(&["restore", "-r", "s3://theirs/d/", "--estimate"]);
    assert!(estimate.code == 2 && estimate.err.contains("--dry-run"), "{estimate:?}");
}
