//! What answers 200 in S3's place (a portal, a proxy, an endpoint that does not tell the truth) is believed in nothing, and least of all
//! where something is removed because of it.

#![expect(clippy::unwrap_used, reason = "a test")]

use crate::moves::serve;
use crate::support::{Ran, firn};
use client::{Crc64, md5_etag, multipart_etag};
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

const HTML: &str = "<html><body>Sign in</body></html>";

/// An answer, with S3's id of the request where it is about an object.
fn answer(status: &str, headers: &str, body: &str) -> Vec<u8> {
    let id = if headers.contains("etag: ") { "x-amz-request-id: R\r\n" } else { "" };
    bare(status, &format!("{id}{headers}"), body)
}

fn bare(status: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}")
        .into_bytes()
}

fn page() -> Vec<u8> {
    answer("200 OK", "content-type: text/html\r\n", HTML)
}

/// A list of keys with five bytes each, "hello".
fn list(keys: &[&str], next: Option<&str>) -> Vec<u8> {
    let entry = |key: &&str| {
        let etag = md5_etag(b"hello");
        format!(
            "<Contents><Key>{key}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>\"{etag}\"</ETag>\
             <Size>5</Size></Contents>"
        )
    };
    let more = next.map(|token| format!("<NextContinuationToken>{token}</NextContinuationToken>"));
    let body = format!(
        "<ListBucketResult><IsTruncated>{}</IsTruncated>{}{}</ListBucketResult>",
        next.is_some(),
        keys.iter().map(entry).collect::<String>(),
        more.unwrap_or_default()
    );
    answer("200 OK", "", &body)
}

/// An endpoint that answers like this; what it was asked for, as first lines.
struct Endpoint {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Endpoint {
    fn that(answers: impl Fn(&str, &str, &[u8]) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let noted = Arc::clone(&asked);
        serve(listener, move |head, body| {
            let line = head.lines().next().unwrap_or_default();
            noted.lock().unwrap().push(line.to_owned());
            let (method, rest) = line.split_once(' ').unwrap_or_default();
            let mut answer = answers(method, rest.trim_end_matches(" HTTP/1.1"), body);
            if method == "HEAD" {
                let end = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
                answer.truncate(end + 4);
            }
            answer
        });
        Self { url, asked }
    }

    fn run(&self, args: &[&str]) -> Ran {
        self.run_with(args, &[])
    }

    fn run_with(&self, args: &[&str], vars: &[(&str, &str)]) -> Ran {
        self.command(args).envs(vars.iter().copied()).output().unwrap().into()
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = firn();
        command.args(args).args(["--endpoint", &self.url]).env("AWS_MAX_ATTEMPTS", "1");
        command.env("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE");
        command.env("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
        command
    }

    /// Whether it was asked to remove anything.
    fn removes(&self) -> bool {
        self.asked.lock().unwrap().iter().any(|line| line.starts_with("DELETE ") || line.contains("?delete"))
    }
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_sync_removes_nothing_where_a_later_page_is_no_list() {
    let root = tempfile::tempdir().unwrap();
    let names_there = ["a", "a1", "b1", "b2"];
    for name in names_there {
        fs::write(root.path().join(name), "hello").unwrap();
    }
    let endpoint = Endpoint::that(|method, path, _| match method {
        "GET" if path.contains("continuation-token") => page(),
        "GET" if path.starts_with("/src") => list(&["a", "b"], Some("T")),
        "GET" => list(&["a", "a1", "b1", "b2"], None),
        "PUT" => answer(
            "200 OK",
            "",
            &format!("<CopyObjectResult><ETag>\"{}\"</ETag></CopyObjectResult>", md5_etag(b"hello")),
        ),
        _ => answer("204 No Content", "", ""),
    });
    let local = root.path().to_str().unwrap();
    for target in [local, "s3://tgt"] {
        let ran = endpoint.run(&["sync", "--delete", "s3://src", target, "--exclude", "b", "--size-only"]);
        assert_ne!(ran.code, 0, "{ran:?}");
        assert!(format!("{}{}", ran.out, ran.err).contains("a proxy or a portal?"), "{ran:?}");
    }
    // And the other way round: what the target has is not known to its end.
    let ran = endpoint.run(&["sync", "--delete", local, "s3://src", "--size-only"]);
    assert_ne!(ran.code, 0, "{ran:?}");
    assert_eq!(names(root.path()), names_there);
    assert!(!endpoint.removes(), "{:?}", endpoint.asked.lock().unwrap());
}

const RULES: &str =
    r#"{"Rules":[{"ID":"a","Status":"Enabled","Filter":{"Prefix":""},"Expiration":{"Days":1}}]}"#;
/// Those that speak Glacier.
const OF_VAULTS: [&str; 13] = [
    "vault create v",
    "vault ls",
    "vault put v FILE",
    "vault get v a TO",
    "vault inventory v",
    "vault jobs v",
    "vault delete v",
    "vault delete v a",
    "vault delete v --all",
    "vault lock show v",
    "vault lock begin v FILE",
    "vault lock complete v l",
    "vault lock abort v",
];

#[test]
fn a_portal_is_no_endpoint_to_any_verb() {
    let root = tempfile::tempdir().unwrap();
    let to = root.path().join("x");
    let file = root.path().join("rules.json");
    fs::write(&file, RULES).unwrap();
    let (to, file) = (to.to_str().unwrap(), file.to_str().unwrap());
    let verbs = [
        &["ls"][..],
        &["ls", "s3://bkt"],
        &["ls", "--versions", "s3://bkt"],
        &["ls", "--uploads", "s3://bkt"],
        &["du", "s3://bkt"],
        &["stat", "s3://bkt"],
        &["stat", "s3://bkt/k"],
        &["cat", "s3://bkt/k"],
        &["cp", "s3://bkt/k", to],
        &["cp", file, "s3://bkt/k"],
        &["mv", file, "s3://bkt/k"],
        &["mv", "s3://bkt/k", "s3://bkt/l"],
        &["sync", "s3://bkt", root.path().to_str().unwrap()],
        &["sync", root.path().to_str().unwrap(), "s3://bkt"],
        &["undelete", "-r", "s3://bkt"],
        &["rm", "s3://bkt/k"],
        &["rm", "-r", "s3://bkt/p/"],
        &["rm", "--uploads", "s3://bkt/p/"],
        &["mb", "s3://newb"],
        &["rb", "s3://newb"],
        &["lifecycle", "show", "s3://bkt"],
        &["lifecycle", "set", "s3://bkt", file],
        &["lifecycle", "rm", "s3://bkt"],
        &["user", "ls"],
        &["user", "create", "bob"],
        &["user", "rm", "bob"],
        &["key", "ls"],
        &["key", "create", "--user", "bob"],
        &["key", "disable", "AKIAIOSFODNN7EXAMPLE", "--user", "bob"],
        &["key", "rm", "AKIAIOSFODNN7EXAMPLE", "--user", "bob"],
        &["group", "ls"],
        &["group", "add", "g", "bob"],
        &["role", "ls"],
        &["policy", "ls"],
        &["policy", "attach", "arn:aws:iam::123456789012:policy/p", "--user", "bob"],
        &["audit", "search"],
        &["audit", "tail"],
        &["audit", "keys"],
        &["audit", "verify", "--trail", "all"],
        &["audit", "verify", "s3://bkt"],
        &["kms", "ls"],
        &["kms", "create"],
        &["kms", "enable", "k"],
        &["kms", "rotate", "k"],
        &["kms", "policy", "show", "k"],
        &["kms", "grant", "revoke", "k", "g"],
    ];
    let place = |word| {
        if word == "FILE" {
            file
        } else if word == "TO" {
            to
        } else {
            word
        }
    };
    let of_vaults = OF_VAULTS.map(|line| line.split(' ').map(place).collect::<Vec<_>>());
    // A page as it is made on the spot; one that lies there as a file; what a framework answers to anything.
    let of_file = "content-type: text/html\r\netag: \"65a1b2c3-21\"\r\nlast-modified: Thu, 01 Jan 2026 00:00:00 GMT\r\n";
    let weak = "etag: W/\"0-2jmj7l5rSw0yVb/vlWAYkK/YBwk\"\r\nx-amz-cf-id: c\r\n";
    for (headers, body) in [("content-type: text/html\r\n", HTML), (of_file, HTML), (of_file, ""), (weak, "")]
    {
        let endpoint = Endpoint::that(move |_, _, _| bare("200 OK", headers, body));
        for args in verbs.into_iter().chain(of_vaults.iter().map(Vec::as_slice)) {
            fs::write(to, "ours").unwrap();
            let ran = endpoint.run(args);
            assert_ne!(ran.code, 0, "{args:?}: {ran:?}");
            assert!(format!("{}{}", ran.out, ran.err).contains("a proxy or a portal?"), "{args:?}: {ran:?}");
            assert_eq!(fs::read_to_string(to).unwrap(), "ours", "{args:?}");
        }
        assert!(fs::exists(file).unwrap());
    }
}

#[test]
fn a_removal_believes_no_key_outside_of_what_was_named_and_no_page_for_its_answer() {
    let endpoint = Endpoint::that(|method, path, _| match method {
        "GET" if path.contains("list-type") => list(&["p/k", "p/l", "q/kept"], None),
        _ => page(),
    });
    for verb in [&["rm", "-r"][..], &["cp", "-r"], &["du"]] {
        let mut args = [verb, &["s3://bkt/p/"]].concat();
        let root = tempfile::tempdir().unwrap();
        if verb[0] == "cp" {
            args.push(root.path().to_str().unwrap());
        }
        let ran = endpoint.run(&args);
        assert_eq!(ran.code, 7, "{ran:?}");
        assert!(ran.err.contains("q/kept"), "{ran:?}");
    }
    assert!(!endpoint.removes());
    let endpoint = Endpoint::that(|method, path, _| match method {
        "GET" if path.contains("list-type") => list(&["p/k"], None),
        _ => page(),
    });
    let ran = endpoint.run(&["rm", "-r", "s3://bkt/p/"]);
    assert!(ran.code == 2 && !ran.out.contains("removed"), "{ran:?}");
}

#[test]
fn a_file_stays_whose_upload_is_not_known_to_be_one() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("a.txt");
    let crc = |text: &[u8]| Crc64::of(text).to_header();
    let (md5, other) = (md5_etag(b"data"), "0".repeat(32));
    let kms = "x-amz-server-side-encryption: aws:kms\r\n";
    // The headers and body that a PUT is answered with, those of a HEAD behind it, and how it ends.
    for (put, body, head, code) in [
        (format!("etag: \"{other}\"\r\n"), "", format!("etag: \"{other}\"\r\n"), 7),
        (format!("etag: \"{md5}\"\r\nx-amz-checksum-crc64nvme: {}\r\n", crc(b"atad")), "", String::new(), 7),
        (format!("etag: \"{md5}\"\r\n"), "<Error><Code>AccessDenied</Code></Error>", String::new(), 2),
        (format!("etag: \"{other}\"\r\n{kms}"), "", format!("etag: \"{other}\"\r\n{kms}"), 7),
        (
            format!("etag: \"{other}\"\r\n{kms}"),
            "",
            format!("etag: \"{other}\"\r\n{kms}x-amz-checksum-crc64nvme: {}\r\n", crc(b"data")),
            0,
        ),
        (format!("etag: \"{md5}\"\r\n"), "", String::new(), 0),
    ] {
        fs::write(&file, "data").unwrap();
        let (shown, body) = (put.clone(), body.to_owned());
        let endpoint = Endpoint::that(move |method, _, _| match method {
            "PUT" => answer("200 OK", &put, &body),
            "HEAD" => answer("200 OK", &head, "data"),
            _ => page(),
        });
        let ran = endpoint.run(&["mv", file.to_str().unwrap(), "s3://bkt/a"]);
        assert_eq!((ran.code, file.exists()), (code, code != 0), "{shown}: {ran:?}");
    }
}

#[test]
fn etags_that_are_no_md5s_are_no_errors_and_are_counted() {
    let root = tempfile::tempdir().unwrap();
    let (file, to) = (root.path().join("a.txt"), root.path().join("b.txt"));
    fs::write(&file, "hello").unwrap();
    let (file, to) = (file.to_str().unwrap(), to.to_str().unwrap());
    let other = format!("etag: \"{}\"\r\n", "0".repeat(32));
    let crc = format!("x-amz-checksum-crc64nvme: {}\r\n", Crc64::of(b"hello").to_header());
    // With its own ETags and a checksum, without one, and, of what it did not put there itself, without an ETag.
    for (put, get, unverified) in [
        (format!("{other}{crc}"), format!("{other}{crc}"), 0),
        (other.clone(), other.clone(), 1),
        (other, String::new(), 1),
    ] {
        let shown = get.clone();
        let id = "x-amz-request-id: R\r\n";
        let endpoint = Endpoint::that(move |method, _, _| match method {
            "PUT" => bare("200 OK", &format!("{id}{put}"), ""),
            _ => bare("200 OK", &format!("{id}{get}"), "hello"),
        });
        // Of a stream, and to a device, as of files.
        for (from, to) in
            [(file, "s3://bkt/a"), ("-", "s3://bkt/a"), ("s3://bkt/a", to), ("s3://bkt/a", "/dev/null")]
        {
            let args = ["cp", from, to, "--json"];
            let ran: Ran =
                endpoint.command(&args).stdin(fs::File::open(file).unwrap()).output().unwrap().into();
            assert_eq!(ran.code, 0, "{args:?} {shown}: {ran:?}");
            assert_eq!(ran.json()["unverified"], unverified, "{args:?} {shown}: {ran:?}");
        }
    }
}

#[test]
fn an_upload_that_was_begun_is_given_up_for_lost_only_where_it_is_gone() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("a.bin");
    fs::write(&file, vec![7; 11 << 20]).unwrap();
    let (file, state) = (file.to_str().unwrap(), root.path().to_str().unwrap());
    let said = Arc::new(Mutex::new(("503 Slow Down", "SlowDown")));
    let answers = Arc::clone(&said);
    let endpoint = Endpoint::that(move |method, _, _| match method {
        "POST" => {
            let begun =
                "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>";
            answer("200 OK", "", begun)
        }
        // Every part breaks off, and the look at what is there is answered like this.
        "GET" => {
            let (status, code) = *answers.lock().unwrap();
            answer(status, "", &format!("<Error><Code>{code}</Code><Message>m</Message></Error>"))
        }
        _ => answer("503 Slow Down", "", "<Error><Code>SlowDown</Code><Message>m</Message></Error>"),
    });
    let begun = || endpoint.asked.lock().unwrap().iter().filter(|line| line.starts_with("POST ")).count();
    let args = ["cp", file, "s3://bkt/a", "--part-size", "5MiB"];
    let run = || endpoint.run_with(&args, &[("XDG_STATE_HOME", state)]);
    assert!(run().code != 0 && begun() == 1);
    for (answer, begins) in [
        (("503 Slow Down", "SlowDown"), 1),
        (("403 Forbidden", "SignatureDoesNotMatch"), 1),
        // Nobody here will ever see its parts.
        (("403 Forbidden", "AccessDenied"), 2),
        (("501 Not Implemented", "NotImplemented"), 3),
        (("404 Not Found", "NoSuchUpload"), 4),
    ] {
        *said.lock().unwrap() = answer;
        let ran = run();
        assert!(ran.code != 0 && begun() == begins, "{answer:?}: {ran:?}");
    }
}

#[test]
fn an_object_stays_whose_download_is_not_known_to_be_one() {
    let md5 = md5_etag(b"hello");
    let of_parts = |parts: &[&[u8]]| {
        let parts: Vec<_> = parts.iter().map(|part| md5_etag(part)).collect();
        multipart_etag(parts.iter().map(String::as_str)).unwrap()
    };
    let (in_parts, other) = (of_parts(&[b"hello"]), format!("{}-2", "a".repeat(32)));
    for (headers, code) in [
        (format!("etag: \"{other}\"\r\nx-amz-checksum-crc32: AAAAAA==\r\n"), 7),
        (format!("etag: \"{other}\"\r\nx-amz-checksum-sha256: {}=\r\n", "A".repeat(43)), 7),
        (format!("etag: \"{other}\"\r\n"), 7),
        (format!("etag: \"{other}\"\r\nx-amz-checksum-crc32: NhCmhg==\r\n"), 0),
        (format!("etag: \"{in_parts}\"\r\n"), 0),
        (format!("etag: \"{md5}\"\r\n"), 0),
    ] {
        let root = tempfile::tempdir().unwrap();
        let (to, shown) = (root.path().join("o"), headers.clone());
        let endpoint = Endpoint::that(move |method, _, _| match method {
            "GET" | "HEAD" => answer("200 OK", &headers, "hello"),
            _ => answer("204 No Content", "", ""),
        });
        let ran = endpoint.run(&["mv", "s3://bkt/k", to.to_str().unwrap()]);
        assert_eq!((ran.code, endpoint.removes()), (code, code == 0), "{shown}: {ran:?}");
    }
}

#[test]
fn an_object_stays_whose_copy_is_another() {
    let (md5, other) = (md5_etag(b"hello"), "0".repeat(32));
    let parts = format!("{other}-2");
    let sum = |text: &str| format!("x-amz-checksum-crc32: {text}\r\n");
    // The ETag and the headers of the source, and those of the copy; what `mv` and `cp` end with.
    for (source, copy, mv, cp) in [
        // Not every ETag of that form is an MD5, and nothing is removed by such a one.
        ((&md5, String::new()), (&other, String::new()), 7, 0),
        ((&md5, String::new()), (&md5, String::new()), 0, 0),
        ((&parts, sum("NhCmhg==")), (&md5, sum("AAAAAA==")), 7, 0),
        ((&parts, sum("NhCmhg==")), (&md5, sum("NhCmhg==")), 0, 0),
        // Nothing contradicts it, and the sizes are the same.
        ((&parts, String::new()), (&md5, String::new()), 0, 0),
    ] {
        for (verb, code) in [("mv", mv), ("cp", cp)] {
            let head = |(etag, more): &(&String, String)| format!("etag: \"{etag}\"\r\n{more}");
            let (from, to, etag) = (head(&source), head(&copy), copy.0.clone());
            let endpoint = Endpoint::that(move |method, path, _| match method {
                "PUT" => {
                    let result = format!("<CopyObjectResult><ETag>\"{etag}\"</ETag></CopyObjectResult>");
                    answer("200 OK", "", &result)
                }
                "HEAD" if path.starts_with("/to") => answer("200 OK", &to, "hello"),
                "HEAD" => answer("200 OK", &from, "hello"),
                _ => answer("204 No Content", "", ""),
            });
            let ran = endpoint.run(&[verb, "s3://from/k", "s3://to/k", "--json"]);
            if verb == "cp" {
                let differs = u64::from(*source.0 == md5 && *copy.0 == other);
                assert_eq!(ran.json()["unverified"], differs, "{source:?} {copy:?}: {ran:?}");
            }
            let removed = verb == "mv" && code == 0;
            assert_eq!(
                (ran.code, endpoint.removes()),
                (code, removed),
                "{verb} {source:?} {copy:?}: {ran:?}"
            );
        }
    }
}
