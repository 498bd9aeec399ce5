//! Objects that come in pieces: pieces of another object never become a part of this one.

#![expect(clippy::unwrap_used, reason = "a test")]

use crate::support::firn;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

/// An endpoint with one object of 64 MiB of zeros under a checksum that is none of theirs. What it was asked for is noted.
fn endpoint_with_wrong_bytes(asked: Arc<Mutex<Vec<String>>>) -> String {
    const SIZE: usize = 64 << 20;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let answer = move |head: &str| -> Vec<u8> {
        let about = "x-amz-request-id: R\r\netag: \"one\"\r\nconnection: close\r\nx-amz-checksum-crc64nvme: AAAAAAAAAAA=\r\n\
                     x-amz-checksum-type: FULL_OBJECT\r\n";
        let range = head.lines().find_map(|line| line.strip_prefix("range: bytes="));
        let Some((first, last)) = range.and_then(|range| range.split_once('-')) else {
            return format!("HTTP/1.1 200 OK\r\ncontent-length: {SIZE}\r\n{about}\r\n").into_bytes();
        };
        let length = last.parse::<usize>().unwrap() + 1 - first.parse::<usize>().unwrap();
        let head = format!(
            "HTTP/1.1 206 Partial Content\r\ncontent-length: {length}\r\n\
             content-range: bytes {first}-{last}/{SIZE}\r\nx-amz-request-id: R\r\netag: \"one\"\r\nconnection: close\r\n\r\n"
        );
        [head.as_bytes(), &vec![0; length]].concat()
    };
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, asked) = (stream.unwrap(), Arc::clone(&asked));
            std::thread::spawn(move || {
                let mut reader = BufReader::new(stream);
                let mut head = String::new();
                while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).unwrap() > 0 {}
                let head = head.to_ascii_lowercase();
                asked.lock().unwrap().push(head.clone());
                // A verb that has seen enough closes early.
                let _closed = reader.get_mut().write_all(&answer(&head));
            });
        }
    });
    format!("http://{address}")
}

#[test]
fn ranges_are_of_one_version_and_their_sum_is_verified() {
    let root = tempfile::tempdir().unwrap();
    let asked = Arc::default();
    let endpoint = endpoint_with_wrong_bytes(Arc::clone(&asked));
    let to = root.path().join("down");
    let ran = firn()
        .args(["cp", "s3://bucket/k", to.to_str().unwrap(), "--endpoint", &endpoint, "--no-sign-request"])
        .env("AWS_MAX_ATTEMPTS", "1")
        .output()
        .unwrap();
    assert_eq!(ran.status.code(), Some(7), "{ran:?}");
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0, "neither the file nor a part of it");
    let asked = asked.lock().unwrap();
    let ranges: Vec<_> = asked.iter().filter(|head| head.contains("\r\nrange: ")).collect();
    assert_eq!(ranges.len(), 4, "{asked:?}");
    assert!(ranges.iter().all(|head| head.contains("\r\nif-match: \"one\"\r\n")), "{ranges:?}");
}
