//! A download that is interrupted leaves nothing; of one that was killed the next run takes the rest away.

#![expect(clippy::unwrap_used, reason = "a test")]

use crate::support::firn;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

/// Has one object of so many bytes, and sends half of it. Says when a GET has come.
fn endpoint_that_stalls(size: usize) -> (String, Receiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (came, seen) = channel();
    std::thread::spawn(move || {
        let mut stalled = Vec::new();
        for stream in listener.incoming() {
            let mut reader = BufReader::new(stream.unwrap());
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).unwrap() > 0 {}
            let about = "x-amz-request-id: R\r\netag: \"one\"\r\nx-amz-checksum-crc64nvme: AAAAAAAAAAA=\r\n";
            if head.starts_with("HEAD") {
                let answer =
                    format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {size}\r\n{about}\r\n");
                reader.get_mut().write_all(answer.as_bytes()).unwrap();
                continue;
            }
            let range = head.lines().find_map(|line| line.strip_prefix("range: bytes="));
            let (status, length) = match range.and_then(|range| range.split_once('-')) {
                None => (format!("200 OK\r\ncontent-length: {size}"), size),
                Some((first, last)) => {
                    let length = last.parse::<usize>().unwrap() + 1 - first.parse::<usize>().unwrap();
                    let range =
                        format!("content-length: {length}\r\ncontent-range: bytes {first}-{last}/{size}");
                    (format!("206 Partial Content\r\n{range}"), length)
                }
            };
            reader.get_mut().write_all(format!("HTTP/1.1 {status}\r\n{about}\r\n").as_bytes()).unwrap();
            // As much as fits into the socket; the rest never comes.
            reader.get_mut().write_all(&vec![0; length.min(100_000) / 2]).unwrap();
            stalled.push(reader);
            came.send(()).unwrap();
        }
    });
    (format!("http://{address}"), seen)
}

fn download(endpoint: &str, to: &Path) -> Child {
    let mut command = firn();
    command.args(["cp", "s3://down/k", to.to_str().unwrap(), "--no-sign-request", "--endpoint", endpoint]);
    command.stderr(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()
}

fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name());
    entries.map(|name| name.to_string_lossy().into_owned()).collect()
}

#[test]
fn ctrl_c_and_sigterm_in_a_download_leave_nothing_behind() {
    // In one piece, and in ranges.
    for size in [1 << 20, 80 << 20] {
        for name in ["-INT", "-TERM"] {
            let root = tempfile::tempdir().unwrap();
            let (endpoint, came) = endpoint_that_stalls(size);
            let child = download(&endpoint, &root.path().join("k"));
            came.recv().unwrap();
            let partial = names(root.path());
            assert!(partial.len() == 1 && partial[0].starts_with(".firn-partial-"), "{partial:?}");
            signal(&child, name);
            let ended = child.wait_with_output().unwrap();
            assert_eq!(ended.status.code(), Some(130), "{name}: {ended:?}");
            assert!(String::from_utf8(ended.stderr).unwrap().contains("interrupted"));
            assert_eq!(names(root.path()), Vec::<String>::new(), "{name} {size}");
        }
    }
}

#[test]
fn what_a_killed_download_left_goes_with_the_next_one_to_its_target() {
    let (root, appliance) = crate::start();
    let (file, to) = (root.path().join("file"), root.path().join("to"));
    fs::write(&file, "whole").unwrap();
    fs::create_dir(&to).unwrap();
    appliance.ok(&["mb", "s3://down"]);
    appliance.ok(&["cp", file.to_str().unwrap(), "s3://down/k"]);
    let left_by_a_kill = || {
        let (endpoint, came) = endpoint_that_stalls(1 << 20);
        let mut child = download(&endpoint, &to.join("k"));
        came.recv().unwrap();
        // While it is under way nobody else may take it away.
        let second = appliance.run(&["cp", "s3://down/k", to.to_str().unwrap()]);
        assert!(second.code == 8 && second.err.contains("under way"), "{second:?}");
        signal(&child, "-KILL");
        child.wait().unwrap();
        assert_eq!(names(&to).iter().filter(|name| name.starts_with(".firn-partial-")).count(), 1);
    };
    left_by_a_kill();
    appliance.ok(&["cp", "s3://down/k", to.to_str().unwrap()]);
    assert_eq!(names(&to), ["k"]);
    assert_eq!(fs::read_to_string(to.join("k")).unwrap(), "whole");
    // A sync sweeps its target, whatever is downloaded.
    left_by_a_kill();
    appliance.ok(&["sync", "s3://down", to.to_str().unwrap(), "--dry-run"]);
    assert_eq!(names(&to).len(), 2, "a trial run removes nothing");
    let swept = appliance.ok(&["sync", "s3://down", to.to_str().unwrap(), "--size-only", "--json"]).json();
    assert_eq!((&swept["skipped"], names(&to)), (&1.into(), vec!["k".to_owned()]));
}
