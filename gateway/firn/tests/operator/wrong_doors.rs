//! Whoever asks the wrong door, or asks it wrongly, is told which one it was and what to do.

#![expect(clippy::unwrap_used, reason = "a test")]

use crate::port::Port;
use crate::support::{Appliance, Ran, firn, run};
use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

fn door(appliance: &Appliance, name: &str) -> String {
    let address = fs::read_to_string(appliance.dir().join(format!("run/{name}.addr"))).unwrap();
    address.trim().to_owned()
}

/// It failed, said where it had asked, and each of these.
fn says(ran: &Ran, code: i32, url: &str, texts: &[&str]) {
    assert_eq!(ran.code, code, "{ran:?}");
    for text in texts.iter().chain([&url]) {
        assert!(ran.err.contains(text), "{text:?}: {ran:?}");
    }
}

#[test]
fn a_dead_admin_door_a_lost_token_and_a_wrong_one_have_their_next_step() {
    let root = tempfile::tempdir().unwrap();
    let appliance = Appliance::start(&root.path().join("data"), &[]);
    let dir = appliance.dir().to_owned();
    let text = dir.to_str().unwrap();
    let admin = format!("http://{}", door(&appliance, "admin"));
    let token = fs::read_to_string(dir.join("admin-token")).unwrap();

    fs::write(dir.join("admin-token"), "0".repeat(64)).unwrap();
    let wrong = run(&["status", text]);
    says(&wrong, 5, &admin, &["a bearer token is required", "restart the appliance"]);
    fs::remove_file(dir.join("admin-token")).unwrap();
    let lost = run(&["status", text]);
    says(&lost, 4, "admin-token", &["restart the appliance: a start makes one"]);
    let without = firn().arg("status").env("FIRN_ADMIN_URL", &admin).output().unwrap().into();
    says(&without, 2, &admin, &["FIRN_ADMIN_TOKEN_FILE"]);
    fs::write(dir.join("admin-token"), token).unwrap();

    // Killed, it leaves the addresses of its doors behind.
    appliance.kill();
    for verb in [&["status"][..], &["top", "--once"], &["where", "s3://b/k"]] {
        let dead = run(&[verb, &[text]].concat());
        says(&dead, 1, &admin, &["is the appliance running", "firn server DIR"]);
        assert!(!dead.err.contains("--endpoint"), "{dead:?}");
    }
}

#[test]
fn a_fifo_in_the_place_of_what_a_server_leaves_is_told_and_never_waited_for() {
    let root = tempfile::tempdir().unwrap();
    let appliance = Appliance::start(&root.path().join("data"), &[]);
    for file in ["admin-token", "run/doors.json"] {
        let path = appliance.dir().join(file);
        fs::remove_file(&path).unwrap();
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        let ran = run(&["status", appliance.dir().to_str().unwrap()]);
        assert!(ran.code == 1 && ran.err.contains(file) && ran.err.contains("no regular file"), "{ran:?}");
    }
}

#[test]
fn an_admin_token_may_come_through_a_pipe() {
    let root = tempfile::tempdir().unwrap();
    let appliance = Appliance::start(&root.path().join("data"), &[]);
    let token = fs::read_to_string(appliance.dir().join("admin-token")).unwrap();
    let asked = |given: &str| -> Ran {
        let mut status = firn();
        status.arg("status").env("FIRN_ADMIN_URL", format!("http://{}", door(&appliance, "admin")));
        status.env("FIRN_ADMIN_TOKEN_FILE", "/dev/stdin").stdin(Stdio::piped());
        let mut asked = status.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // The end of what is too long is not read.
        let _cut_off = asked.stdin.take().unwrap().write_all(given.as_bytes());
        asked.wait_with_output().unwrap().into()
    };
    assert_eq!(asked(&token).code, 0);
    let long = asked(&"a".repeat(1 << 20));
    assert!(long.code == 1 && long.err.contains("too long for an admin token"), "{long:?}");
}

#[test]
fn each_door_asked_for_the_others_work_says_that_it_is_the_wrong_one() {
    let root = tempfile::tempdir().unwrap();
    let appliance = Appliance::start(&root.path().join("data"), &[]);
    let s3 = format!("http://{}", door(&appliance, "http"));
    let admin = format!("http://{}", door(&appliance, "admin"));
    let file = root.path().join("file");
    fs::write(&file, "x").unwrap();
    let file = file.to_str().unwrap();
    for args in [&["ls"][..], &["ls", "s3://b"], &["stat", "s3://b/k"], &["cp", file, "s3://b/k"]] {
        let ran = appliance.run(&[args, &["--endpoint", &admin]].concat());
        says(&ran, 2, &admin, &["a bearer token", "the S3 and the admin door"]);
    }
    let mut status = firn();
    status.arg("status").env("FIRN_ADMIN_URL", &s3);
    status.env("FIRN_ADMIN_TOKEN_FILE", appliance.dir().join("admin-token"));
    says(&status.output().unwrap().into(), 2, &s3, &["answers in XML", "the S3 and the admin door"]);
}

#[test]
fn http_to_a_door_of_tls_and_tls_to_one_of_http_are_told_apart() {
    let root = tempfile::tempdir().unwrap();
    let plain = Appliance::start(&root.path().join("plain"), &[]);
    let secure = Appliance::start(&root.path().join("secure"), &["--tls"]);
    let file = root.path().join("file");
    fs::write(&file, "x").unwrap();
    let file = file.to_str().unwrap();
    for args in [&["ls"][..], &["cp", file, "s3://b/k"], &["stat", "s3://b/k"]] {
        let address = door(&secure, "http");
        let ran = secure.run(&[args, &["--endpoint", &format!("http://{address}")]].concat());
        says(&ran, 2, &format!("http://{address}"), &["BadRequest", "https://"]);
        let address = door(&plain, "http");
        let ran = plain.run(&[args, &["--endpoint", &format!("https://{address}")]].concat());
        says(&ran, 1, &format!("https://{address}"), &[&format!("name it http://{address}")]);
    }
}

#[test]
fn a_copy_that_fails_says_where_it_asked_and_what_helps() {
    let root = tempfile::tempdir().unwrap();
    let appliance = Appliance::start(&root.path().join("data"), &[]);
    let file = root.path().join("file");
    fs::write(&file, "x").unwrap();
    let file = file.to_str().unwrap();
    let nobody = Port::take();
    let gone = format!("http://{}", nobody.address);
    let s3 = format!("http://{}", door(&appliance, "http"));
    let failed = appliance.run(&["cp", file, "s3://b/k", "--endpoint", &gone]);
    says(&failed, 1, &gone, &["failed to upload ", "is a server listening at", "endpoint: "]);
    let failed = appliance.run(&["cp", file, "s3://missing/k"]);
    says(&failed, 4, &s3, &["failed to upload ", "NoSuchBucket", "firn mb", "endpoint: "]);
    let failed = appliance.run(&["cp", file, "s3://missing/k", "--json"]);
    let error: serde_json::Value = serde_json::from_str(&failed.err).unwrap();
    assert!(error["endpoint"].as_str().unwrap().contains(&s3), "{failed:?}");
    assert!(failed.code == 4 && error["hint"].as_str().unwrap().contains("firn mb"), "{failed:?}");
    // Of many, too.
    let tree = root.path().join("tree");
    fs::create_dir(&tree).unwrap();
    for name in ["a", "b"] {
        fs::write(tree.join(name), "x").unwrap();
    }
    let failed = appliance.run(&["cp", "-r", tree.to_str().unwrap(), "s3://missing/t"]);
    assert!(failed.code == 4 && failed.err.contains(&s3) && failed.err.contains("firn mb"), "{failed:?}");
}
