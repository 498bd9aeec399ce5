//! A file that goes in parts becomes an object only of the bytes that it has, and only if the endpoint made it of them.

#![expect(clippy::unwrap_used, reason = "a test")]

use crate::support::{Ran, firn};
use client::{md5_etag, multipart_etag};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

const PART: usize = 5 << 20;

/// Takes an upload in parts, and says of its object that it has this ETag. Every time that a part came `came` is called. What
/// was asked for is noted.
struct Endpoint {
    whole: String,
    came: Box<dyn Fn() + Send + Sync>,
    asked: Mutex<Vec<String>>,
}

impl Endpoint {
    fn start(whole: &str, came: impl Fn() + Send + Sync + 'static) -> (Arc<Self>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Mutex::default();
        let endpoint = Arc::new(Self { whole: whole.to_owned(), came: Box::new(came), asked });
        let serving = Arc::clone(&endpoint);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let serving = Arc::clone(&serving);
                std::thread::spawn(move || serving.serve(&stream.unwrap()));
            }
        });
        (endpoint, url)
    }

    fn serve(&self, stream: &TcpStream) {
        let mut reader = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).unwrap() > 0 {}
        let lower = head.to_ascii_lowercase();
        let length = lower.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap_or("0");
        let mut body = vec![0; length.parse().unwrap()];
        reader.read_exact(&mut body).unwrap();
        let line = head.lines().next().unwrap_or_default().to_owned();
        let (status, etag, document) = self.answer(&line, &body);
        self.asked.lock().unwrap().push(lower);
        let length = document.len();
        let answer = format!(
            "HTTP/1.1 {status}\r\nconnection: close\r\nx-amz-request-id: R\r\netag: \"{etag}\"\r\ncontent-length: {length}\r\n\r\n{document}"
        );
        // A verb that has seen enough closes early.
        let _closed = reader.get_mut().write_all(answer.as_bytes());
    }

    fn answer(&self, line: &str, body: &[u8]) -> (&str, String, String) {
        let none = String::new;
        match line.split(' ').next().unwrap_or_default() {
            "PUT" => {
                (self.came)();
                ("200 OK", md5_etag(body), none())
            }
            "POST" if line.contains("uploadId=") => {
                let whole = &self.whole;
                let result = format!(
                    "<CompleteMultipartUploadResult><ETag>&quot;{whole}&quot;</ETag></CompleteMultipartUploadResult>"
                );
                ("200 OK", none(), result)
            }
            "POST" => {
                let result =
                    "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>";
                ("200 OK", none(), result.to_owned())
            }
            "GET" if line.contains("uploads") => {
                ("200 OK", none(), "<ListMultipartUploadsResult></ListMultipartUploadsResult>".to_owned())
            }
            "DELETE" => ("204 No Content", none(), none()),
            _ => ("404 Not Found", none(), none()),
        }
    }

    /// The heads of the requests to make the object.
    fn completions(&self) -> Vec<String> {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|head| head.starts_with("post") && head.contains("uploadid=")).cloned().collect()
    }
}

/// Three parts, and the ETag of what they make.
fn file(root: &Path) -> (PathBuf, String) {
    let bytes: Vec<u8> = (0..2 * PART + 7).map(|at| u8::try_from(at % 251).unwrap()).collect();
    let path = root.join("file");
    fs::write(&path, &bytes).unwrap();
    let parts: Vec<String> = bytes.chunks(PART).map(md5_etag).collect();
    (path, multipart_etag(parts.iter().map(String::as_str)).unwrap())
}

fn upload(path: &Path, url: &str, more: &[&str]) -> Ran {
    let path = path.to_str().unwrap();
    let args = ["cp", path, "s3://b/k", "--part-size", "5MiB", "--no-sign-request", "--endpoint", url];
    firn().args(args).args(more).env("AWS_MAX_ATTEMPTS", "1").output().unwrap().into()
}

#[test]
fn an_object_that_the_endpoint_made_of_other_parts_is_an_error() {
    let root = tempfile::tempdir().unwrap();
    let (path, etag) = file(root.path());
    let other = format!("{}-3", "0".repeat(32));
    for (whole, code) in [(&etag, 0), (&other, 7)] {
        let (endpoint, url) = Endpoint::start(whole, || {});
        let ran = upload(&path, &url, &[]);
        assert_eq!(ran.code, code, "{ran:?}");
        assert_eq!(endpoint.completions().len(), 1);
        assert!(code == 0 || ran.err.contains(&etag), "{ran:?}");
    }
}

#[test]
fn a_file_that_changes_under_its_upload_becomes_no_object() {
    let root = tempfile::tempdir().unwrap();
    let (path, etag) = file(root.path());
    let changing = path.clone();
    let (endpoint, url) = Endpoint::start(&etag, move || {
        let mut file = fs::File::options().append(true).open(&changing).unwrap();
        file.write_all(b"more").unwrap();
    });
    let ran = upload(&path, &url, &[]);
    assert!(ran.code == 8 && ran.err.contains("it changed meanwhile"), "{ran:?}");
    assert!(ran.err.contains("its parts are removed again"), "they can go on to nothing: {ran:?}");
    assert!(endpoint.completions().is_empty());
}

#[test]
fn an_object_in_parts_replaces_nothing_where_nothing_is_to_be_replaced() {
    let root = tempfile::tempdir().unwrap();
    let (path, etag) = file(root.path());
    for (more, condition) in [(&["--no-clobber"][..], true), (&[], false)] {
        let (endpoint, url) = Endpoint::start(&etag, || {});
        assert_eq!(upload(&path, &url, more).code, 0);
        let completions = endpoint.completions();
        assert_eq!(completions[0].contains("\r\nif-none-match: *\r\n"), condition, "{completions:?}");
    }
}
