//! Events of the real binary, to a receiver that lives in this process.
//!
//! Nothing here sleeps: the receiver waits for requests, and a test for what it has seen.

#![expect(clippy::unwrap_used, reason = "a test")]

mod support;

use engine::clock::{Clock as _, SystemClock};
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;
use support::{Appliance, run};

/// A request that the receiver has read, and the connection on which it can be answered.
struct Posted {
    id: String,
    body: Value,
    stream: TcpStream,
}

impl Posted {
    fn answer(mut self, status: u16) {
        // Whoever sent it may have been killed meanwhile.
        let _gone = write!(self.stream, "HTTP/1.1 {status} So\r\ncontent-length: 0\r\n\r\n");
    }

    fn name_and_key(&self) -> (String, String) {
        let record = &self.body["Records"][0];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        (text(&record["eventName"]), text(&record["s3"]["object"]["key"]))
    }
}

/// Reads requests of every connection, one thread each, and hands them over.
fn receive(listener: TcpListener) -> Receiver<Posted> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, sender) = (stream.unwrap(), sender.clone());
            std::thread::spawn(move || read(&stream, &sender));
        }
    });
    receiver
}

fn read(stream: &TcpStream, sender: &Sender<Posted>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    loop {
        let (mut length, mut id) = (0, String::new());
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            match line.trim().split_once(": ") {
                Some(("content-length", value)) => length = value.parse().unwrap(),
                Some(("webhook-id", value)) => value.clone_into(&mut id),
                None if line.trim().is_empty() => break,
                _ => {}
            }
        }
        let mut body = vec![0; length];
        if reader.read_exact(&mut body).is_err() {
            return;
        }
        let posted =
            Posted { id, body: serde_json::from_slice(&body).unwrap(), stream: stream.try_clone().unwrap() };
        // The test is over.
        if sender.send(posted).is_err() {
            return;
        }
    }
}

fn next(posts: &Receiver<Posted>) -> Posted {
    posts.recv_timeout(Duration::from_mins(1)).expect("an event within a minute")
}

fn configuration(root: &Path, url: &str, more: &str) -> String {
    let file = root.join("firn.toml");
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    fs::write(&file, format!("[[topic]]\nname = \"told\"\nurl = \"{url}\"\nsecret = \"{secret}\"\n{more}\n"))
        .unwrap();
    file.to_str().unwrap().to_owned()
}

/// Sets a bucket's notification configuration by a signed request, as any SDK would.
fn set(appliance: &Appliance, bucket: &str) {
    let status = appliance.ok(&["status", "--json"]).json();
    let arn = status["events"]["topics"][0]["arn"].as_str().unwrap().to_owned();
    let document = format!(
        "<NotificationConfiguration><TopicConfiguration><Topic>{arn}</Topic><Event>s3:ObjectCreated:*</Event>\
         <Event>s3:ObjectRemoved:*</Event></TopicConfiguration></NotificationConfiguration>"
    );
    let url = appliance.vars.iter().find(|(name, _)| name == "AWS_ENDPOINT_URL").unwrap().1.clone();
    let value = |name: &str| appliance.vars.iter().find(|(known, _)| known == name).unwrap().1.clone();
    let host = url.strip_prefix("http://").unwrap().to_owned();
    let request = http::Request::builder().method("PUT").uri(format!("/{bucket}?notification"));
    let (mut head, ()) = request.header("host", &host).body(()).unwrap().into_parts();
    let signer = security::sign::Signer {
        access_key_id: value("AWS_ACCESS_KEY_ID").parse().unwrap(),
        secret: security::credentials::SecretKey::parse(&value("AWS_SECRET_ACCESS_KEY")).unwrap(),
        session_token: None,
        region: "us-east-1".to_owned(),
        service: "s3".to_owned(),
    };
    let now = SystemClock.now();
    signer.sign(&mut head, security::sign::PayloadHash::Unsigned, now).unwrap();
    let mut stream = TcpStream::connect(&host).unwrap();
    write!(
        stream,
        "PUT /{bucket}?notification HTTP/1.1\r\nconnection: close\r\ncontent-length: {}\r\n",
        document.len()
    )
    .unwrap();
    for (name, value) in &head.headers {
        write!(stream, "{name}: {}\r\n", value.to_str().unwrap()).unwrap();
    }
    write!(stream, "\r\n{document}").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[test]
fn a_crash_between_commit_and_delivery_loses_no_event_and_invents_none() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("data");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let posts = receive(listener);
    let file = configuration(root.path(), &url, "allow-private = true");
    let appliance = Appliance::start(&dir, &["--config", &file]);
    let note = root.path().join("note");
    fs::write(&note, "x").unwrap();
    let note = note.to_str().unwrap();
    appliance.ok(&["mb", "s3://bkt"]);
    appliance.ok(&["cp", note, "s3://bkt/before"]);
    set(&appliance, "bkt");
    let test = next(&posts);
    assert_eq!(test.body["Event"], "s3:TestEvent");
    test.answer(200);
    for key in ["a", "b", "c"] {
        appliance.ok(&["cp", note, &format!("s3://bkt/{key}")]);
    }
    appliance.ok(&["rm", "s3://bkt/a"]);
    // The receiver has one event and says nothing of it: nobody knows whether it arrived.
    let unanswered = next(&posts);
    let unknown = (unanswered.id.clone(), unanswered.name_and_key());
    appliance.kill();
    let appliance = Appliance::start(&dir, &["--config", &file]);
    let mut got = Vec::new();
    while got.iter().map(|(_, what)| what).collect::<std::collections::BTreeSet<_>>().len() < 4 {
        let post = next(&posts);
        got.push((post.id.clone(), post.name_and_key()));
        post.answer(204);
    }
    assert!(got.contains(&unknown), "{unknown:?} is delivered again, under its id: {got:?}");
    let what: std::collections::BTreeSet<_> = got.iter().map(|(_, what)| what.clone()).collect();
    let expected = [
        ("ObjectCreated:Put", "a"),
        ("ObjectCreated:Put", "b"),
        ("ObjectCreated:Put", "c"),
        ("ObjectRemoved:Delete", "a"),
    ];
    assert_eq!(what, expected.map(|(name, key)| (name.to_owned(), key.to_owned())).into());
    let created = got.iter().rposition(|(_, (name, key))| name == "ObjectCreated:Put" && key == "a");
    let removed = got.iter().position(|(_, (name, _))| name == "ObjectRemoved:Delete");
    assert!(created < removed, "{got:?}");
    assert_eq!(appliance.terminate(), 0);
}

#[test]
fn an_outage_is_waited_for_and_said() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("data");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/in?token=hidden", listener.local_addr().unwrap());
    let posts = receive(listener);
    let file = configuration(root.path(), &url, "allow-private = true");
    let checked = run(&["config", "check", &file]);
    assert!(
        checked.code == 0 && checked.out.contains("topic         told to http://127.0.0.1"),
        "{checked:?}"
    );
    let appliance = Appliance::start(&dir, &["--config", &file]);
    let note = root.path().join("note");
    fs::write(&note, "x").unwrap();
    appliance.ok(&["mb", "s3://bkt"]);
    set(&appliance, "bkt");
    next(&posts).answer(200);
    appliance.ok(&["cp", note.to_str().unwrap(), "s3://bkt/k"]);
    let first = next(&posts);
    let id = first.id.clone();
    first.answer(503);
    // It comes again by itself.
    let second = next(&posts);
    assert_eq!(second.id, id);
    let status = appliance.ok(&["status", "--json"]).json();
    let topic = &status["events"]["topics"][0];
    assert_eq!((&topic["topic"], &topic["waiting"]), (&"told".into(), &1.into()), "{topic}");
    assert!(topic["last_error"].as_str().unwrap().contains("it answered 503"), "{topic}");
    assert!(topic["failing_since"].is_string() && !topic.to_string().contains("hidden"), "{topic}");
    let doctor = appliance.ok(&["doctor", appliance.dir().to_str().unwrap()]);
    assert!(doctor.out.contains("1 events of topic told wait"), "{doctor:?}");
    second.answer(200);
    // It is taken out before the next one of its key is sent.
    appliance.ok(&["rm", "s3://bkt/k"]);
    let last = next(&posts);
    assert_eq!(last.name_and_key(), ("ObjectRemoved:Delete".to_owned(), "k".to_owned()));
    last.answer(200);
    // A server that ends with a delivery under way does not wait for it.
    appliance.ok(&["cp", note.to_str().unwrap(), "s3://bkt/k"]);
    let _never_answered = next(&posts);
    assert_eq!(appliance.terminate(), 0);
}

#[test]
fn a_private_receiver_is_refused_at_the_start_and_behind_a_name() {
    let root = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let file = configuration(root.path(), &format!("http://127.0.0.1:{port}/"), "");
    let refused = run(&["config", "check", &file]);
    assert!(refused.code == 2 && refused.err.contains("allow-private = true"), "{refused:?}");
    let file = configuration(root.path(), &format!("http://localhost:{port}/"), "");
    let dir = root.path().join("data");
    let appliance = Appliance::start(&dir, &["--config", &file]);
    appliance.ok(&["mb", "s3://bkt"]);
    // The test event meets the refusal.
    set(&appliance, "bkt");
    let waits = |appliance: &Appliance| {
        let topic = appliance.ok(&["status", "--json"]).json()["events"]["topics"][0].clone();
        (topic["waiting"] == 1 && topic["last_error"].is_string()).then(|| topic["last_error"].to_string())
    };
    let error = (0..1_000).find_map(|_| waits(&appliance)).expect("a refusal");
    assert!(error.contains("allow-private = true"), "{error}");
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err(), "somebody connected");
}
