//! How many requests a transfer has under way at once.

#![expect(clippy::unwrap_used, reason = "a test")]

use crate::support::{Ran, firn};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// For a client that never has as many.
const PATIENCE: Duration = Duration::from_secs(20);

/// Uploads under way, and the most that were.
#[derive(Default)]
struct Seen {
    now: usize,
    most: usize,
    given_up: bool,
}

type Shared = Arc<(Mutex<Seen>, Condvar)>;

/// One request of a connection, which is an upload that waits until `wanted` were there at once; false when it is over.
fn take_one(stream: &TcpStream, (seen, changed): &(Mutex<Seen>, Condvar), wanted: usize) -> bool {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).unwrap_or(0) == 0 {
            return false;
        }
    }
    let lower = head.to_ascii_lowercase();
    let length = lower.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap_or("0");
    let mut body = vec![0; length.parse().unwrap()];
    reader.read_exact(&mut body).unwrap();
    if head.starts_with("PUT ") {
        let mut known = seen.lock().unwrap();
        known.now += 1;
        known.most = known.most.max(known.now);
        changed.notify_all();
        let waits = |known: &mut Seen| known.most < wanted && !known.given_up;
        let (mut known, ended) = changed.wait_timeout_while(known, PATIENCE, waits).unwrap();
        known.given_up |= ended.timed_out();
        known.now -= 1;
    }
    reader
        .get_mut()
        .write_all(b"HTTP/1.1 200 OK\r\nx-amz-request-id: R\r\netag: \"e\"\r\ncontent-length: 0\r\n\r\n")
        .is_ok()
}

fn endpoint(shared: &Shared, wanted: usize) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (url, shared) = (format!("http://{}", listener.local_addr().unwrap()), Arc::clone(shared));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, shared) = (stream.unwrap(), Arc::clone(&shared));
            std::thread::spawn(move || while take_one(&stream, &shared, wanted) {});
        }
    });
    url
}

#[test]
fn as_many_requests_are_under_way_as_jobs_were_asked_for_and_no_more() {
    let root = tempfile::tempdir().unwrap();
    let tree = root.path().join("tree");
    fs::create_dir(&tree).unwrap();
    for n in 0..60 {
        fs::write(tree.join(n.to_string()), "x").unwrap();
    }
    for jobs in [1, 4] {
        let shared = Shared::default();
        let url = endpoint(&shared, jobs);
        let mut command = firn();
        command.args(["cp", "-r", tree.to_str().unwrap(), "s3://b/t", "--no-sign-request", "--json"]);
        let ran: Ran =
            command.args(["--endpoint", &url, "--jobs", &jobs.to_string()]).output().unwrap().into();
        assert_eq!((ran.code, &ran.json()["uploaded"]), (0, &60.into()), "{ran:?}");
        assert_eq!(shared.0.lock().unwrap().most, jobs);
    }
}
