//! What is moved or copied in more than one request is one object or file from the first to the last of them.

#![expect(clippy::unwrap_used, reason = "a test")]

use crate::start;
use crate::support::{Appliance, Ran, firn};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

/// The head of a request, and its body.
pub(crate) fn request(reader: &mut impl BufRead) -> (String, Vec<u8>) {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).unwrap() > 0 {}
    let lower = head.to_ascii_lowercase();
    let length = lower.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap_or("0");
    let mut body = vec![0; length.parse().unwrap()];
    reader.read_exact(&mut body).unwrap();
    (head, body)
}

pub(crate) fn serve(listener: TcpListener, answer: impl Fn(&str, &[u8]) -> Vec<u8> + Send + Sync + 'static) {
    let answer = Arc::new(answer);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, answer) = (stream.unwrap(), Arc::clone(&answer));
            std::thread::spawn(move || {
                let mut reader = BufReader::new(stream);
                let (head, body) = request(&mut reader);
                // A verb that has seen enough closes early.
                let _closed = reader.get_mut().write_all(&answer(&head, &body));
            });
        }
    });
}

/// A verb whose requests to the appliance go on once `before` has seen their heads.
fn run_between(appliance: &Appliance, args: &[&str], before: impl Fn(&str) + Send + Sync + 'static) -> Ran {
    let known = |name: &str| appliance.vars.iter().find(|(known, _)| known == name).unwrap().1.clone();
    let upstream = known("AWS_ENDPOINT_URL").strip_prefix("http://").unwrap().to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    serve(listener, move |head, body| {
        before(head);
        let mut stream = TcpStream::connect(&upstream).unwrap();
        // Not signed, so it may be added.
        let last = head.replacen("\r\n", "\r\nconnection: close\r\n", 1);
        stream.write_all(&[last.as_bytes(), body].concat()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        answer
    });
    appliance.command(args).args(["--endpoint", &url]).env("AWS_MAX_ATTEMPTS", "1").output().unwrap().into()
}

/// Uploads this text, whoever else is at it.
fn putter(appliance: &Appliance, root: &Path, to: &str) -> impl Fn(&str) + Send + Sync + 'static {
    let (vars, file, to) = (appliance.vars.clone(), root.join("putter"), to.to_owned());
    move |text| {
        fs::write(&file, text).unwrap();
        let ran: Ran =
            firn().args(["cp", file.to_str().unwrap(), &to]).envs(vars.clone()).output().unwrap().into();
        assert_eq!(ran.code, 0, "{ran:?}");
    }
}

#[test]
fn an_object_that_is_written_anew_while_it_is_moved_stays() {
    let (root, appliance) = start();
    appliance.ok(&["mb", "s3://moves"]);
    let down = root.path().join("down");
    for (target, name) in [("s3://moves/to", "to"), (down.to_str().unwrap(), "down")] {
        let put = putter(&appliance, root.path(), "s3://moves/from");
        put("first");
        let moved = run_between(&appliance, &["mv", "s3://moves/from", target], move |head| {
            if head.starts_with("DELETE ") {
                put("second");
            }
        });
        assert!(moved.code == 8 && moved.err.contains("it changed while it was moved"), "{name}: {moved:?}");
        assert_eq!(appliance.ok(&["cat", "s3://moves/from"]).out, "second", "{name}");
    }
    assert_eq!(appliance.ok(&["cat", "s3://moves/to"]).out, "first");
    assert_eq!(fs::read_to_string(down).unwrap(), "first");
    appliance.ok(&["mv", "s3://moves/from", "s3://moves/to"]);
    assert_eq!(appliance.ok(&["cat", "s3://moves/to"]).out, "second", "undisturbed it goes");
    assert_eq!(appliance.run(&["stat", "s3://moves/from"]).code, 4);
}

#[test]
fn a_sync_removes_nothing_that_was_written_since_it_looked() {
    let (root, appliance) = start();
    appliance.ok(&["mb", "s3://moves"]);
    appliance.ok(&["mb", "s3://other"]);
    let local = root.path().join("local");
    fs::create_dir(&local).unwrap();
    fs::write(local.join("zz"), "z").unwrap();
    for key in ["gone", "kept"] {
        putter(&appliance, root.path(), &format!("s3://moves/{key}"))("first");
    }
    let put = putter(&appliance, root.path(), "s3://moves/kept");
    let here = local.to_str().unwrap();
    let up = ["sync", "--delete", here, "s3://moves", "--jobs", "1"];
    let ran = run_between(&appliance, &up, move |head| {
        if head.starts_with("PUT ") {
            put("second");
        }
    });
    assert!(ran.code == 3 && ran.out.contains("it was written since it was looked at"), "{ran:?}");
    assert_eq!(appliance.ok(&["cat", "s3://moves/kept"]).out, "second");
    assert_eq!(appliance.run(&["stat", "s3://moves/gone"]).code, 4);
    // And where files go.
    appliance.ok(&["mv", "s3://moves/zz", "s3://other/zz"]);
    fs::remove_file(local.join("zz")).unwrap();
    for name in ["gone", "kept"] {
        fs::write(local.join(name), "first").unwrap();
    }
    let changing = local.join("kept");
    let ran =
        run_between(&appliance, &["sync", "--delete", "s3://other", here, "--jobs", "1"], move |head| {
            if head.starts_with("GET /other/zz") {
                fs::write(&changing, "second, and longer").unwrap();
            }
        });
    assert!(ran.code == 3 && ran.out.contains("it was written since it was looked at"), "{ran:?}");
    assert_eq!(fs::read_to_string(local.join("kept")).unwrap(), "second, and longer");
    assert!(!local.join("gone").exists() && local.join("zz").exists());
}

#[test]
fn a_sync_removes_nothing_that_is_written_between_its_look_and_its_removal() {
    let (root, appliance) = start();
    appliance.ok(&["mb", "s3://moves"]);
    let local = root.path().join("local");
    fs::create_dir(&local).unwrap();
    let here = local.to_str().unwrap();
    let put = putter(&appliance, root.path(), "s3://moves/kept");
    put("first");
    let sync = ["sync", "--delete", "--allow-empty", here, "s3://moves"];
    let ran = run_between(&appliance, &sync, move |head| {
        if head.starts_with("DELETE ") {
            put("second");
        }
    });
    assert!(ran.code == 8 && ran.out.contains("it was written since it was looked at"), "{ran:?}");
    assert_eq!(appliance.ok(&["cat", "s3://moves/kept"]).out, "second");
    appliance.ok(&sync);
    assert_eq!(appliance.run(&["stat", "s3://moves/kept"]).code, 4, "undisturbed it goes");
}

#[test]
fn an_object_that_is_written_anew_before_it_is_copied_is_not_moved() {
    let (root, appliance) = start();
    appliance.ok(&["mb", "s3://moves"]);
    let put = putter(&appliance, root.path(), "s3://moves/from");
    put("first");
    let moved = run_between(&appliance, &["mv", "s3://moves/from", "s3://moves/to"], move |head| {
        if head.starts_with("PUT ") {
            put("second");
        }
    });
    assert!(moved.code == 8 && moved.err.contains("it was written anew meanwhile"), "{moved:?}");
    assert_eq!(appliance.ok(&["cat", "s3://moves/from"]).out, "second");
    assert_eq!(appliance.run(&["stat", "s3://moves/to"]).code, 4);
}

#[test]
fn a_file_that_changes_while_it_is_moved_stays() {
    let (root, appliance) = start();
    appliance.ok(&["mb", "s3://moves"]);
    let file = root.path().join("file");
    fs::write(&file, "first").unwrap();
    let changing = file.clone();
    let moved = run_between(&appliance, &["mv", file.to_str().unwrap(), "s3://moves/k"], move |head| {
        if head.starts_with("PUT ") {
            fs::write(&changing, "second, and longer").unwrap();
        }
    });
    assert!(moved.code == 8 && moved.err.contains("it changed while it was moved"), "{moved:?}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "second, and longer");
    assert_eq!(appliance.ok(&["cat", "s3://moves/k"]).out, "first");
    appliance.ok(&["mv", file.to_str().unwrap(), "s3://moves/k"]);
    assert!(!file.exists(), "undisturbed it goes");
}

/// An endpoint with an object of 6 GiB that can only be copied in parts. What it is asked for is noted; the part of this number finds another
/// object there.
fn endpoint_with_a_large_object(other_at: Option<u32>, asked: Arc<Mutex<Vec<String>>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let changed = Mutex::new(false);
    serve(listener, move |head, _| {
        let line = head.lines().next().unwrap_or_default().to_owned();
        let mut changed = changed.lock().unwrap();
        asked.lock().unwrap().push(head.to_ascii_lowercase());
        let answer = |status: &str, more: &str, body: &str| {
            let length = body.len();
            format!("HTTP/1.1 {status}\r\nconnection: close\r\n{more}content-length: {length}\r\n\r\n{body}")
                .into_bytes()
        };
        if line.starts_with("HEAD ") {
            let copied = line.contains("/to ");
            let (size, etag) = (
                6_u64 << 30,
                if copied {
                    "whole-6"
                } else if *changed {
                    "two"
                } else {
                    "one"
                },
            );
            let about = format!(
                "x-amz-request-id: R\r\netag: \"{etag}\"\r\ncache-control: no-store\r\nexpires: Thu, 01 Jan 2032 00:00:00 GMT\r\n\
                 x-amz-meta-from: here\r\nx-amz-tagging-count: 1\r\ncontent-type: text/css\r\n"
            );
            return format!("HTTP/1.1 200 OK\r\nconnection: close\r\n{about}content-length: {size}\r\n\r\n")
                .into_bytes();
        }
        if line.starts_with("GET ") && line.contains("tagging") {
            return answer(
                "200 OK",
                "",
                "<Tagging><TagSet><Tag><Key>a b</Key><Value>&amp;</Value></Tag></TagSet></Tagging>",
            );
        }
        if line.starts_with("POST ") && line.contains("uploads") {
            return answer(
                "200 OK",
                "",
                "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>",
            );
        }
        if line.starts_with("POST ") {
            return answer(
                "200 OK",
                "",
                "<CompleteMultipartUploadResult><ETag>\"whole-6\"</ETag></CompleteMultipartUploadResult>",
            );
        }
        if line.starts_with("PUT ") {
            *changed |= other_at.is_some_and(|part| line.contains(&format!("partNumber={part}&")));
            return if *changed {
                answer("412 Precondition Failed", "", "<Error><Code>PreconditionFailed</Code></Error>")
            } else {
                answer("200 OK", "", "<CopyPartResult><ETag>\"part\"</ETag></CopyPartResult>")
            };
        }
        answer("204 No Content", "", "")
    });
    url
}

#[test]
fn a_large_copy_is_of_one_object_and_brings_all_that_stands_beside_its_bytes() {
    for other_at in [None, Some(3)] {
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let url = endpoint_with_a_large_object(other_at, Arc::clone(&asked));
        let args = ["mv", "s3://moves/from", "s3://moves/to", "--no-sign-request", "--endpoint", &url];
        let ran: Ran = firn().args(args).env("AWS_MAX_ATTEMPTS", "1").output().unwrap().into();
        let asked = asked.lock().unwrap();
        let parts: Vec<_> = asked.iter().filter(|head| head.starts_with("put ")).collect();
        assert!(
            parts.iter().all(|head| head.contains("\r\nx-amz-copy-source-if-match: \"one\"\r\n")),
            "{parts:?}"
        );
        let begun = asked.iter().find(|head| head.starts_with("post ") && head.contains("uploads")).unwrap();
        for kept in [
            "content-type: text/css",
            "cache-control: no-store",
            "expires: thu, 01 jan 2032 00:00:00 gmt",
            "x-amz-meta-from: here",
            "x-amz-tagging: a%20b=%26",
        ] {
            assert!(begun.contains(&format!("\r\n{kept}\r\n")), "{kept}: {begun}");
        }
        let completed = asked.iter().any(|head| head.starts_with("post ") && head.contains("uploadid="));
        let deleted: Vec<_> = asked.iter().filter(|head| head.starts_with("delete ")).collect();
        assert_eq!(deleted.len(), 1, "{deleted:?}");
        if other_at.is_none() {
            assert!(ran.code == 0 && completed && parts.len() == 6, "{ran:?}");
            assert!(deleted[0].contains("\r\nif-match: \"one\"\r\n"), "{deleted:?}");
        } else {
            assert!(ran.code == 8 && !completed, "{ran:?}");
            assert!(ran.err.contains("it was written anew meanwhile"), "{ran:?}");
            assert!(deleted[0].contains("uploadid=u"), "what was begun goes: {deleted:?}");
        }
    }
}
