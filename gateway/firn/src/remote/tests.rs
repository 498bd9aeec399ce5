//! A store over HTTP that a test can have answer as it likes: what is believed of it, and who holds the place.

use super::bucket::Bucket;
use super::claim::{Claim, Claimed};
use crate::backup::Access;
use crate::config::RemoteConfig;
use crate::directory::Marker;
use bytes::Bytes;
use client::{Credentials, Endpoint, Settings};
use engine::Error;
use engine::clock::{Clock, ManualClock, SystemClock, Timestamp};
use engine::entropy::{Entropy, SeededEntropy};
use engine::remote::{Remote, Schedule};
use engine::unit::ByteCount;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const TOKEN: &str = "fwogzxivyxdzetokenofasession/+==";

struct Asked {
    method: String,
    /// Path and query.
    target: String,
    /// The head, lower-case.
    head: String,
    body: Vec<u8>,
}

/// The whole answer to a request, where a test wants another one than S3's; empty: none ever.
type Rule = Box<dyn Fn(&Asked) -> Option<String> + Send>;

#[derive(Default)]
struct State {
    objects: BTreeMap<String, Vec<u8>>,
    asked: Vec<String>,
    rule: Option<Rule>,
}

/// A store of one bucket.
struct Fake {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n{headers}\r\n{body}", body.len())
}

fn refusal(status: &str, code: &str) -> String {
    answer(status, "", &format!("<Error><Code>{code}</Code><Message>because</Message></Error>"))
}

fn object(status: &str, headers: &str, body: &str) -> String {
    let always = "etag: \"e\"\r\nlast-modified: Mon, 12 Oct 2009 17:50:00 GMT\r\n";
    answer(status, &format!("{always}{headers}"), body)
}

fn list(names: &[&str], more: &str) -> String {
    list_sized(names.iter().map(|name| (*name, 1)), more)
}

fn list_sized<'a>(names: impl Iterator<Item = (&'a str, usize)>, more: &str) -> String {
    let entry = |(name, size): (&str, usize)| {
        format!(
            "<Contents><Key>{name}</Key><LastModified>2009-10-12T17:50:30.000Z</LastModified><ETag>e</ETag><Size>{size}</Size></Contents>"
        )
    };
    let entries: String = names.map(entry).collect();
    answer("200 OK", "", &format!("<ListBucketResult>{more}{entries}</ListBucketResult>"))
}

impl State {
    fn answer(&mut self, asked: &Asked) -> String {
        self.asked.push(format!("{} {}", asked.method, asked.target));
        if let Some(answer) = self.rule.as_ref().and_then(|rule| rule(asked)) {
            return answer;
        }
        let (path, query) = asked.target.split_once('?').unwrap_or((&asked.target, ""));
        let key = path.trim_start_matches("/bucket").trim_start_matches('/').to_owned();
        let found = self.objects.get(&key);
        match (asked.method.as_str(), found) {
            ("GET", _) if query.contains("list-type=2") => {
                let prefix =
                    query.split('&').find_map(|pair| pair.strip_prefix("prefix=")).unwrap_or_default();
                let prefix = prefix.replace("%2F", "/");
                let found = self.objects.iter().filter(|(name, _)| name.starts_with(&prefix));
                list_sized(found.map(|(name, body)| (name.as_str(), body.len())), "")
            }
            ("PUT", Some(_)) if asked.head.contains("if-none-match: *") => {
                refusal("412 Precondition Failed", "PreconditionFailed")
            }
            ("PUT", _) => {
                self.objects.insert(key, asked.body.clone());
                object("200 OK", "", "")
            }
            ("DELETE", _) => {
                self.objects.remove(&key);
                answer("204 No Content", "", "")
            }
            ("GET", Some(body)) => {
                let range = asked.head.split("range: bytes=").nth(1).and_then(|rest| rest.lines().next());
                let (from, to) = range.and_then(|range| range.split_once('-')).unwrap();
                let (from, to): (usize, usize) = (from.parse().unwrap(), to.trim().parse().unwrap());
                let to = (to + 1).min(body.len());
                let text = String::from_utf8(body[from..to].to_vec()).unwrap();
                let range = format!("content-range: bytes {from}-{}/{}\r\n", to - 1, body.len());
                object("206 Partial Content", &range, &text)
            }
            _ => refusal("404 Not Found", "NoSuchKey"),
        }
    }
}

impl Fake {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        Self { address, state }
    }

    fn rule(&self, rule: impl Fn(&Asked) -> Option<String> + Send + 'static) {
        self.state.lock().rule = Some(Box::new(rule));
    }

    fn obey(&self) {
        self.state.lock().rule = None;
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().asked)
    }

    fn bucket(&self, clock: Arc<dyn Clock>) -> Bucket {
        let credentials = Credentials {
            access_key_id: "AKIAIOSFODNN7EXAMPLE".to_owned(),
            secret_access_key: SECRET.to_owned(),
            session_token: Some(TOKEN.to_owned()),
        };
        let endpoint = Endpoint::parse(&format!("http://{}", self.address)).unwrap();
        let settings = Settings::new(endpoint, "us-east-1", Some(credentials));
        Bucket::new(&settings, &self.config(Path::new("/nonexistent")), clock).unwrap()
    }

    fn config(&self, credentials: &Path) -> RemoteConfig {
        RemoteConfig {
            name: "cloud".to_owned(),
            bucket: "bucket".to_owned(),
            prefix: "firn".to_owned(),
            access: Access {
                endpoint: Some(format!("http://{}", self.address)),
                profile: None,
                ca_bundle: None,
                credentials_file: Some(credentials.to_owned()),
                region: None,
            },
            keeps_local: false,
            scrubbed: false,
            cache: ByteCount::ZERO,
            cache_dir: None,
            schedule: Schedule::default(),
        }
    }
}

/// Answers one request after the other.
async fn serve(mut stream: TcpStream, state: Arc<Mutex<State>>) {
    let mut bytes = Vec::new();
    loop {
        let end = loop {
            if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            match stream.read_buf(&mut bytes).await {
                Ok(read) if read > 0 => {}
                _ => return,
            }
        };
        let text = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let head = text.to_ascii_lowercase();
        let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
        let length: usize = length.map_or(0, |length| length.trim().parse().unwrap());
        while bytes.len() < end + length {
            if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                return;
            }
        }
        let mut line = text.lines().next().unwrap_or_default().split(' ');
        let (method, target) = (line.next().unwrap_or_default(), line.next().unwrap_or_default());
        let asked = Asked {
            method: method.to_owned(),
            target: target.to_owned(),
            head,
            body: bytes[end..end + length].to_vec(),
        };
        bytes.drain(..end + length);
        let answer = state.lock().answer(&asked);
        if answer.is_empty() {
            return std::future::pending().await;
        }
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// The system's, where those who wait for up to ten seconds have waited at once.
#[derive(Debug)]
struct Hurried;

impl Clock for Hurried {
    fn now(&self) -> Timestamp {
        SystemClock.now()
    }

    fn boottime(&self) -> Duration {
        SystemClock.boottime()
    }

    fn sleep(&self, duration: Duration) -> engine::BoxFuture<'_, ()> {
        if duration <= Duration::from_secs(10) {
            // Everybody else who can go on does so first.
            return Box::pin(async {
                for _ in 0..10_000 {
                    tokio::task::yield_now().await;
                }
            });
        }
        Box::pin(std::future::pending())
    }
}

fn marker() -> Marker {
    Marker {
        created: Timestamp::from_millis(5),
        region: "us-east-1".to_owned(),
        account: "123456789012".parse().unwrap(),
        debug_day: None,
    }
}

fn entropy() -> Arc<dyn Entropy> {
    Arc::new(SeededEntropy::new(1))
}

#[tokio::test]
async fn a_store_that_answers_something_else_or_leads_elsewhere_is_an_error() {
    let (store, elsewhere) = (Fake::new().await, Fake::new().await);
    let bucket = store.bucket(Arc::new(SystemClock));
    bucket.put("name", vec![Bytes::from_static(b"0123456789")]).await.unwrap();
    assert_eq!(*bucket.get("name", 2..5).await.unwrap(), *b"234");
    let there = format!("location: http://{}/bucket/firn/name\r\n", elsewhere.address);
    for answer in [
        answer("307 Temporary Redirect", &there, ""),
        answer("301 Moved Permanently", "", ""),
        object("200 OK", "", "0123456789"),
        object("206 Partial Content", "content-range: bytes 3-5/10\r\n", "345"),
        object("206 Partial Content", "", "234"),
        answer("200 OK", "", "<html>sign in</html>"),
        refusal("403 Forbidden", "AccessDenied"),
    ] {
        let said = answer.clone();
        store.rule(move |_| Some(said.clone()));
        let error = bucket.get("name", 2..5).await.unwrap_err();
        assert!(matches!(error, Error::Remote { .. }), "{answer}: {error}");
        let error = bucket.list("", "", 10).await.map(drop);
        assert!(!answer.contains("30") || error.is_err(), "{answer}");
    }
    assert!(elsewhere.asked().is_empty(), "no request, and no credentials, go where a store leads");
}

#[tokio::test]
async fn what_a_store_says_is_told_in_one_line_of_bounded_length_without_our_secret() {
    let store = Fake::new().await;
    let bucket = store.bucket(Arc::new(SystemClock));
    let evil = format!("line one\nlevel=error forged=\u{1b}[31mline {}", "x".repeat(200_000));
    store.rule(move |_| Some(answer("403 Forbidden", "", &evil)));
    let error = bucket.put("name", vec![Bytes::from_static(b"x")]).await.unwrap_err().to_string();
    assert!(error.contains("line one") && error.chars().count() < 1200, "{error}");
    assert!(!error.chars().any(char::is_control) && !error.contains(SECRET), "{error}");
    // As S3 answers a wrong signature: with all that was signed. The end of what is shown cuts no token in two.
    for before in [0, 600, 700, 780, 800, 820] {
        store.rule(move |asked| {
            let (said, head) = ("x".repeat(before), asked.head.clone());
            Some(answer("403 Forbidden", "", &format!("<Error><Code>{said}</Code>{SECRET} {head}</Error>")))
        });
        let error = bucket.put("name", vec![Bytes::from_static(b"x")]).await.unwrap_err().to_string();
        assert!(before > 0 || error.contains("x-amz-security-token"), "{error}");
        assert!(!error.contains(&SECRET[..10]) && !error.contains(&TOKEN[..10]), "{error}");
    }
}

#[tokio::test]
async fn without_its_bucket_no_object_is_missing() {
    let store = Fake::new().await;
    let bucket = store.bucket(Arc::new(SystemClock));
    assert!(matches!(bucket.get("name", 0..1).await.unwrap_err(), Error::NotFound { .. }));
    store.rule(|_| Some(refusal("404 Not Found", "NoSuchUpload")));
    bucket.abort("name", "upload").await.unwrap();
    store.rule(|_| Some(refusal("404 Not Found", "NoSuchBucket")));
    for error in [
        bucket.get("name", 0..1).await.map(drop).unwrap_err(),
        bucket.list("", "", 10).await.map(drop).unwrap_err(),
        bucket.put("name", Vec::new()).await.unwrap_err(),
        bucket.delete("name").await.unwrap_err(),
        bucket.abort("name", "upload").await.unwrap_err(),
    ] {
        assert!(
            matches!(error, Error::Remote { .. }) && error.to_string().contains("NoSuchBucket"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_list_goes_on_over_short_and_empty_pages_and_is_given_up_when_it_does_not_end() {
    let store = Fake::new().await;
    let bucket = store.bucket(Arc::new(SystemClock));
    store.rule(|asked| {
        let more = |token: &str| format!("<NextContinuationToken>{token}</NextContinuationToken>");
        let at = asked.target.split('&').find_map(|pair| pair.split("continuation-token=").nth(1));
        Some(match at {
            None => list(&["firn/a"], &more("1")),
            Some("1") => list(&["firn/"], &more("2")),
            Some("2") => list(&["firn/b", "firn/c"], &more("3")),
            Some("3") => list(&["firn/d"], ""),
            Some(_) => list(&[], &more("x")),
        })
    });
    let names = async |limit| {
        let listed = bucket.list("", "", limit).await.unwrap();
        listed.into_iter().map(|object| object.name).collect::<Vec<_>>()
    };
    assert_eq!(names(10).await, ["a", "b", "c", "d"]);
    assert_eq!(names(2).await, ["a", "b"]);
    store.rule(|_| Some(list(&[], "<NextContinuationToken>x</NextContinuationToken>")));
    let error = bucket.list("", "", 10).await.unwrap_err().to_string();
    assert!(error.contains("does not end"), "{error}");
}

#[tokio::test]
async fn who_lost_the_place_writes_lists_and_deletes_nothing_there_any_more() {
    let (store, dir) = (Fake::new().await, tempfile::tempdir().unwrap());
    let clock = Arc::new(ManualClock::new(Timestamp::from_millis(0)));
    let claim = Claim::new(dir.path(), &marker(), "cloud", "there", entropy()).unwrap();
    let place = Claimed::new(store.bucket(clock.clone()), claim, clock.clone());
    place.put("blobs/1", vec![Bytes::from_static(b"x")]).await.unwrap();
    store.asked();
    for n in 4..9 {
        place.put(&format!("blobs/{n}"), vec![Bytes::from_static(b"x")]).await.unwrap();
    }
    let mark = store.state.lock().objects["firn/owner.json"].clone();
    assert!(store.asked().iter().all(|asked| !asked.contains("owner.json")), "once a minute is enough");
    // A recovered directory has taken it over.
    let taken = dir.path().join("recovered");
    std::fs::create_dir(&taken).unwrap();
    let other = Marker { created: Timestamp::from_millis(6), ..marker() };
    let other = crate::directory::RemoteMark::of(&taken, &other, "cloud").unwrap().bytes();
    store.state.lock().objects.insert("firn/owner.json".to_owned(), other.to_vec());
    clock.advance(Duration::from_mins(1));
    store.asked();
    let refused = async |says: &str| {
        for outcome in [
            place.put("blobs/2", Vec::new()).await,
            place.delete("blobs/1").await,
            place.abort("blobs/1", "upload").await,
            place.begin("blobs/3").await.map(drop),
            place.list("", "", 10).await.map(drop),
        ] {
            let error = outcome.unwrap_err();
            assert!(matches!(error, Error::Invalid(_)) && error.to_string().contains(says), "{error}");
        }
        assert!(store.asked().iter().all(|asked| asked.starts_with("GET /bucket/firn/owner.json")));
    };
    refused("belongs to the appliance").await;
    store.state.lock().objects.remove("firn/owner.json");
    refused("has lost its mark").await;
    assert_eq!(*place.get("blobs/1", 0..1).await.unwrap(), *b"x", "reads are verified anyhow");
    store.state.lock().objects.insert("firn/owner.json".to_owned(), mark);
    place.delete("blobs/1").await.unwrap();
}

#[tokio::test]
async fn a_store_that_is_out_of_order_for_writes_is_waited_for_by_who_took_it_and_one_that_refuses_is_not() {
    let (store, dir) = (Fake::new().await, tempfile::tempdir().unwrap());
    let credentials = dir.path().join("credentials");
    let keys =
        format!("[default]\naws_access_key_id = AKIAIOSFODNN7EXAMPLE\naws_secret_access_key = {SECRET}\n");
    std::fs::write(&credentials, keys).unwrap();
    let config = store.config(&credentials);
    let parts: (Arc<dyn Clock>, Arc<dyn Entropy>) = (Arc::new(Hurried), entropy());
    let open = async |name: &str| {
        let home = dir.path().join(name);
        std::fs::create_dir_all(&home).unwrap();
        super::open(&home, &marker(), &config, (&parts.0, &parts.1)).await.map(drop)
    };
    open("taken").await.unwrap();
    let only = |method: &'static str, status: &'static str, code: &'static str| {
        move |asked: &Asked| (asked.method == method).then(|| refusal(status, code))
    };
    store.rule(only("PUT", "503 Slow Down", "SlowDown"));
    open("taken").await.unwrap();
    store.rule(only("PUT", "403 Forbidden", "AccessDenied"));
    let error = open("taken").await.unwrap_err().to_string();
    assert!(error.contains("AccessDenied"), "{error}");
    store.rule(only("DELETE", "403 Forbidden", "AccessDenied"));
    let error = open("taken").await.unwrap_err().to_string();
    assert!(error.contains("AccessDenied"), "{error}");
    // One that hangs is waited for a few seconds, wherever it does.
    for method in ["GET", "DELETE"] {
        store.rule(move |asked| (asked.method == method).then(String::new));
        open("taken").await.unwrap();
    }
    // A bucket that lost the mark, and a store that was never taken.
    store.obey();
    store.state.lock().objects.clear();
    let error = open("taken").await.unwrap_err().to_string();
    assert!(error.contains("has no mark"), "{error}");
    store.rule(only("PUT", "503 Slow Down", "SlowDown"));
    open("fresh").await.unwrap_err();
    store.obey();
    open("fresh").await.unwrap();
}
