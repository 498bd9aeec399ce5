//! A server that is gone ends a transfer as a whole, soon, with a count and the next step.

#![expect(clippy::unwrap_used, reason = "a test")]

use crate::port::Port;
use crate::start;
use crate::support::{Appliance, Ran, firn};
use engine::clock::{Clock, SystemClock};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const FILES: usize = 3400;

fn tree(root: &Path) -> String {
    let tree = root.join("tree");
    fs::create_dir(&tree).unwrap();
    for n in 0..FILES {
        fs::write(tree.join(format!("{n:04}")), "x").unwrap();
    }
    tree.to_str().unwrap().to_owned()
}

/// Takes so many uploads, and is gone then. Nobody else comes to its port while that lives.
fn endpoint_that_takes(uploads: usize) -> (Port, String) {
    let port = Port::take();
    let listener = TcpListener::bind(port.address).unwrap();
    let url = format!("http://{}", port.address);
    std::thread::spawn(move || {
        let taken = Arc::new(AtomicUsize::new(0));
        for stream in listener.incoming() {
            if taken.load(Ordering::SeqCst) >= uploads {
                return;
            }
            let taken = Arc::clone(&taken);
            std::thread::spawn(move || while take_one(stream.as_ref().unwrap(), &taken, uploads) {});
        }
    });
    (port, url)
}

/// One request of a connection; false when it is over.
fn take_one(stream: &TcpStream, taken: &AtomicUsize, uploads: usize) -> bool {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).unwrap_or(0) == 0 {
            return false;
        }
    }
    let length = head.to_ascii_lowercase();
    let length = length.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap_or("0");
    let mut body = vec![0; length.parse().unwrap()];
    let answered = reader.read_exact(&mut body).is_ok()
        && taken.fetch_add(1, Ordering::SeqCst) < uploads
        && reader
            .get_mut()
            .write_all(b"HTTP/1.1 200 OK\r\nx-amz-request-id: R\r\netag: \"e\"\r\ncontent-length: 0\r\n\r\n")
            .is_ok();
    if !answered {
        // Whoever waits on another connection is cut off as well.
        let _gone = stream.shutdown(std::net::Shutdown::Both);
    }
    answered
}

#[test]
fn a_server_that_dies_in_a_transfer_ends_it_with_a_count_and_the_next_step() {
    let root = tempfile::tempdir().unwrap();
    let tree = tree(root.path());
    for json in [false, true] {
        let (_port, endpoint) = endpoint_that_takes(50);
        let begun = SystemClock.boottime();
        let mut command = firn();
        command.args(["cp", "-r", &tree, "s3://b/t", "--no-sign-request", "--endpoint", &endpoint]);
        let ran: Ran = command.args(json.then_some("--json")).output().unwrap().into();
        // At most 13 s of waiting for the endpoint, by the client's bounds.
        let took = SystemClock.boottime().saturating_sub(begun);
        assert!(took.as_secs() < 60, "{took:?}");
        assert_eq!(ran.code, 3, "{ran:?}");
        if json {
            let report = ran.json();
            assert_eq!((&report["uploaded"], &report["failed_count"]), (&50.into(), &0.into()));
            assert_eq!(
                (&report["stopped"]["left"], &report["stopped"]["more"]),
                (&3350.into(), &false.into())
            );
            let error: serde_json::Value = serde_json::from_str(&ran.err).unwrap();
            assert_eq!(error["exit"], 3);
            assert!(error["hint"].as_str().unwrap().contains("firn sync SOURCE TARGET"), "{error}");
            assert!(error["endpoint"].as_str().unwrap().contains(&endpoint), "{error}");
        } else {
            assert!(ran.out.lines().count() + ran.err.lines().count() < 10, "{ran:?}");
            assert!(ran.err.contains("50 done, 3350 left, and the endpoint is gone"), "{ran:?}");
            assert!(ran.err.contains(&endpoint) && ran.err.contains("when it is back:"), "{ran:?}");
        }
    }
}

#[test]
fn where_nothing_was_done_it_ends_with_1() {
    let root = tempfile::tempdir().unwrap();
    let tree = tree(root.path());
    let (_port, endpoint) = endpoint_that_takes(0);
    for verb in [&["cp", "-r"][..], &["sync"]] {
        let mut command = firn();
        command.args(verb).args([&tree, "s3://b/t", "--no-sign-request", "--endpoint", &endpoint]);
        let ran: Ran = command.env("AWS_MAX_ATTEMPTS", "2").output().unwrap().into();
        assert_eq!(ran.code, 1, "{ran:?}");
        assert!(ran.err.contains(&endpoint) && ran.err.contains("is a server listening at"), "{ran:?}");
        // What there is to do is known from the directory; of a sync not, for its target can't be listed.
        assert_eq!(ran.err.contains("failed to begin: 0 done, 3400 left"), verb == ["cp", "-r"], "{ran:?}");
        assert!(ran.out.lines().count() + ran.err.lines().count() < 10, "{ran:?}");
    }
}

#[test]
fn after_a_crash_of_the_server_the_same_sync_does_the_rest() {
    let (root, appliance) = start();
    let tree = tree(root.path());
    appliance.ok(&["mb", "s3://tree"]);
    let sync = ["sync", &tree, "s3://tree/t", "--json", "--jobs", "2"];
    let child = appliance
        .command(&sync)
        .env("AWS_MAX_ATTEMPTS", "2")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    while appliance.run(&["ls", "s3://tree/t/"]).code != 0 {}
    let dir = appliance.dir().to_owned();
    appliance.kill();
    let ran: Ran = child.wait_with_output().unwrap().into();
    assert_eq!(ran.code, 3, "{ran:?}");
    let first = ran.json();
    assert!(first["stopped"]["left"].as_u64().unwrap() > 0, "{first}");
    let error: serde_json::Value = serde_json::from_str(&ran.err).unwrap();
    assert!(error["hint"].as_str().unwrap().contains("run the same command again"), "{error}");
    let appliance = Appliance::start(&dir, &[]);
    let second = appliance.ok(&sync).json();
    let count =
        |report: &serde_json::Value, name: &str| usize::try_from(report[name].as_u64().unwrap()).unwrap();
    assert!(count(&first, "uploaded") > 0, "{first}");
    assert!(count(&second, "skipped") >= count(&first, "uploaded"), "{first} {second}");
    assert_eq!(count(&second, "uploaded") + count(&second, "skipped"), FILES);
}
