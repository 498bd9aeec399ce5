//! A server whose standard error is a pipe that nobody reads: it serves on, and says later what it could not say.

#![expect(clippy::unwrap_used, reason = "a test")]

use crate::support::Appliance;
use std::fs;
use std::io::{BufRead, BufReader, PipeReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

/// Longer than any answer takes, and much shorter than for ever.
const PATIENCE: Duration = Duration::from_mins(1);
/// Each request's access line holds its path. Pipe, writer and queue hold 2.1 MiB of them together.
const PATH_BYTES: usize = 8_000;
const REQUESTS: u32 = 400;

fn start(root: &Path) -> (Appliance, PipeReader) {
    let (reader, writer) = std::io::pipe().unwrap();
    (Appliance::start_logging_to(Stdio::from(writer), &root.join("data"), &[]), reader)
}

fn connect(appliance: &Appliance, door: &str) -> BufReader<TcpStream> {
    let address = fs::read_to_string(appliance.dir().join("run").join(door)).unwrap();
    let stream = TcpStream::connect(address.trim()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    BufReader::new(stream)
}

/// One request and its whole answer: status and body.
fn ask(door: &mut BufReader<TcpStream>, path: &str, headers: &str) -> (u16, String) {
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n");
    door.get_mut().write_all(request.as_bytes()).unwrap();
    let (mut status, mut length) = (0, 0);
    loop {
        let mut line = String::new();
        door.read_line(&mut line).unwrap();
        if let Some(rest) = line.strip_prefix("HTTP/1.1 ") {
            status = rest[..3].parse().unwrap();
        } else if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length: ") {
            length = value.trim().parse().unwrap();
        } else if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    door.read_exact(&mut body).unwrap();
    (status, String::from_utf8(body).unwrap())
}

/// More requests than the pipe, the writer and its queue have room for the lines of.
fn flood(appliance: &Appliance) {
    let mut door = connect(appliance, "http.addr");
    let path = format!("/bucket/{}", "k".repeat(PATH_BYTES));
    for _ in 0..REQUESTS {
        assert_eq!(ask(&mut door, &path, "").0, 404);
    }
}

fn lost(appliance: &Appliance) -> u64 {
    let token = fs::read_to_string(appliance.dir().join("admin-token")).unwrap();
    let header = format!("authorization: Bearer {}\r\n", token.trim());
    let (status, metrics) = ask(&mut connect(appliance, "admin.addr"), "/metrics", &header);
    assert_eq!(status, 200);
    let line = metrics.lines().find_map(|line| line.strip_prefix("firn_log_lines_lost_total "));
    line.unwrap().parse().unwrap()
}

#[test]
fn a_pipe_that_nobody_reads_stops_neither_requests_nor_the_end() {
    let root = tempfile::tempdir().unwrap();
    let (appliance, _unread) = start(root.path());
    flood(&appliance);
    assert!(lost(&appliance) > 0);
    appliance.ok(&["mb", "s3://bucket"]);
    assert_eq!(appliance.terminate(), 0);
}

#[test]
fn a_late_reader_is_told_how_many_lines_are_missing() {
    let root = tempfile::tempdir().unwrap();
    let (appliance, mut pipe) = start(root.path());
    flood(&appliance);
    let lost = lost(&appliance);
    let reader = std::thread::spawn(move || {
        let mut log = String::new();
        pipe.read_to_string(&mut log).map(|_| log)
    });
    assert_eq!(appliance.terminate(), 0);
    let log = reader.join().unwrap().unwrap();
    let lines: Vec<serde_json::Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told = lines.iter().position(|line| line["target"] == "firn::log").unwrap();
    assert_eq!(lines[told]["lost"], lost, "{}", lines[told]);
    let requests = |lines: &[serde_json::Value]| {
        u64::try_from(lines.iter().filter(|line| line["message"] == "request").count()).unwrap()
    };
    assert_eq!(requests(&lines) + lost, u64::from(REQUESTS), "every line is there or counted");
    assert_eq!(requests(&lines[told..]), 0, "the gap is told of where it is");
    assert_eq!(lines.last().unwrap()["message"], "stopped");
}
