//! An upload in parts goes on after an interruption if this client began it, as the same upload; nobody else's does.

#![expect(clippy::unwrap_used, reason = "a test")]

use crate::moves::serve;
use crate::start;
use crate::support::{Appliance, Ran};
use client::{Client, Overrides, PutOptions, Settings, UploadEntry};
use engine::clock::SystemClock;
use engine::entropy::SystemEntropy;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const PART: usize = 8 << 20;

fn client(appliance: &Appliance) -> Client {
    let variable =
        |name: &str| appliance.vars.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
    let settings = Settings::resolve(&Overrides::default(), &variable).unwrap();
    Client::new(settings, Arc::new(SystemClock), Arc::new(SystemEntropy)).unwrap()
}

/// A way to the appliance on which the third part of an upload gets lost while it is broken, and on which parts may not be listed
/// while that is denied.
struct Way<'a> {
    appliance: &'a Appliance,
    url: String,
    broken: Arc<AtomicBool>,
    denied: Arc<AtomicBool>,
    state: PathBuf,
}

impl<'a> Way<'a> {
    fn to(appliance: &'a Appliance, root: &Path) -> Self {
        let known = |name: &str| appliance.vars.iter().find(|(known, _)| known == name).unwrap().1.clone();
        let upstream = known("AWS_ENDPOINT_URL").strip_prefix("http://").unwrap().to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let broken = Arc::new(AtomicBool::new(true));
        let denied = Arc::new(AtomicBool::new(false));
        let (is_broken, is_denied) = (Arc::clone(&broken), Arc::clone(&denied));
        serve(listener, move |head, body| {
            if is_denied.load(Ordering::SeqCst) && head.starts_with("GET ") && head.contains("uploadId=") {
                let said = "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>";
                let length = said.len();
                return format!(
                    "HTTP/1.1 403 Forbidden\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{said}"
                )
                .into_bytes();
            }
            if is_broken.load(Ordering::SeqCst) && head.contains("partNumber=3&") {
                return Vec::new();
            }
            let mut stream = TcpStream::connect(&upstream).unwrap();
            // Not signed, so it may be added.
            let last = head.replacen("\r\n", "\r\nconnection: close\r\n", 1);
            stream.write_all(&[last.as_bytes(), body].concat()).unwrap();
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).unwrap();
            answer
        });
        Self { appliance, url, broken, denied, state: root.join("state") }
    }

    /// A verb on this way, while it is broken or not.
    fn run(&self, broken: bool, args: &[&str]) -> Ran {
        self.broken.store(broken, Ordering::SeqCst);
        let mut command = self.appliance.command(args);
        command.args(["--endpoint", &self.url, "--jobs", "1"]).env("AWS_MAX_ATTEMPTS", "1");
        command.env("XDG_STATE_HOME", &self.state).output().unwrap().into()
    }

    /// Uploads that breaks off behind its second part.
    fn interrupted(&self, file: &Path, to: &str) {
        let ran = self.run(true, &["cp", file.to_str().unwrap(), to]);
        assert_eq!(ran.code, 1, "{ran:?}");
        assert!(ran.err.contains("the same command goes on, with the parts that are there"), "{ran:?}");
    }

    fn resumed(&self, args: &[&str]) -> u64 {
        let ran = self.run(false, &[args, &["--json"]].concat());
        assert_eq!(ran.code, 0, "{ran:?}");
        ran.json()["parts_resumed"].as_u64().unwrap()
    }

    fn notes(&self) -> Vec<PathBuf> {
        fs::read_dir(self.state.join("firn/uploads")).unwrap().map(|entry| entry.unwrap().path()).collect()
    }
}

fn bytes() -> Vec<u8> {
    (0..u32::try_from(3 * PART).unwrap()).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect()
}

async fn open(client: &Client) -> Vec<UploadEntry> {
    client.uploads_after("own", "", None).await.unwrap().0
}

#[tokio::test]
async fn an_upload_that_somebody_else_began_is_left_alone() {
    let (root, appliance) = start();
    appliance.ok(&["mb", "s3://own"]);
    let file = root.path().join("k");
    fs::write(&file, bytes()).unwrap();
    let client = client(&appliance);
    let theirs = PutOptions {
        content_type: Some("text/html".to_owned()),
        storage_class: Some("ONEZONE_IA".to_owned()),
        metadata: [("by".to_owned(), "mallory".to_owned())].into(),
        ..PutOptions::default()
    };
    let upload = client.create_upload("own", "k", &theirs).await.unwrap();
    client.upload_part(&upload, 1, bytes()[..PART].to_vec().into()).await.unwrap();
    for verb in ["cp", "sync", "mv"] {
        let from = if verb == "sync" { root.path().join("tree") } else { file.clone() };
        let to = if verb == "sync" { "s3://own" } else { "s3://own/k" };
        if verb == "sync" {
            fs::create_dir(&from).unwrap();
            fs::copy(&file, from.join("k")).unwrap();
            appliance.ok(&["rm", "s3://own/k"]);
        }
        let mut command = appliance.command(&[verb, from.to_str().unwrap(), to, "--json"]);
        let ran: Ran = command.env("XDG_STATE_HOME", root.path().join("state")).output().unwrap().into();
        assert_eq!(ran.code, 0, "{ran:?}");
        assert_eq!((&ran.json()["uploaded"], &ran.json()["parts_resumed"]), (&1.into(), &0.into()), "{verb}");
        let stat = appliance.ok(&["stat", "s3://own/k", "--json"]).json();
        assert_eq!(stat["storage_class"], "STANDARD", "{verb}: {stat}");
        assert_ne!(stat["content_type"], "text/html", "{verb}");
        assert!(!stat.to_string().contains("mallory"), "{verb}: {stat}");
    }
    let left = open(&client).await;
    assert_eq!(
        left.iter().map(|left| &left.upload_id).collect::<Vec<_>>(),
        [&upload.upload_id],
        "theirs is theirs"
    );
    assert!(!file.exists(), "moved");
    assert!(appliance.command(&["cat", "s3://own/k"]).output().unwrap().stdout == bytes());
}

#[tokio::test]
async fn an_interrupted_upload_goes_on_as_it_was_begun_and_with_the_parts_that_are_its_own() {
    let (root, appliance) = start();
    appliance.ok(&["mb", "s3://own"]);
    let file = root.path().join("k");
    fs::write(&file, bytes()).unwrap();
    let (way, client) = (Way::to(&appliance, root.path()), client(&appliance));
    way.interrupted(&file, "s3://own/k");
    let notes = way.notes();
    assert_eq!(notes.len(), 1);
    assert_eq!(fs::metadata(&notes[0]).unwrap().permissions().mode() & 0o777, 0o600);
    let first = open(&client).await;
    // Somebody puts other bytes in the place of its second part.
    let upload = client::OpenUpload {
        bucket: "own".to_owned(),
        key: "k".to_owned(),
        upload_id: first[0].upload_id.clone(),
        with_crc64: true,
    };
    let mut changed = bytes()[PART..2 * PART].to_vec();
    changed[PART / 2] ^= 1;
    client.upload_part(&upload, 2, changed.into()).await.unwrap();
    let file = file.to_str().unwrap();
    assert_eq!(way.resumed(&["cp", file, "s3://own/k"]), 1);
    assert!(appliance.command(&["cat", "s3://own/k"]).output().unwrap().stdout == bytes());
    assert!(way.notes().is_empty() && open(&client).await.is_empty());
    // Undisturbed, all that was sent is there; and a note of what is open no more is none.
    way.interrupted(Path::new(file), "s3://own/k");
    assert_eq!(way.resumed(&["cp", file, "s3://own/k"]), 2);
    way.interrupted(Path::new(file), "s3://own/k");
    appliance.ok(&["rm", "--uploads", "s3://own"]);
    assert_eq!(way.resumed(&["cp", file, "s3://own/k"]), 0);
    assert!(way.notes().is_empty());
}

#[tokio::test]
async fn an_upload_with_another_class_or_of_another_file_begins_anew() {
    let (root, appliance) = start();
    appliance.ok(&["mb", "s3://own"]);
    let path = root.path().join("k");
    fs::write(&path, bytes()).unwrap();
    let way = Way::to(&appliance, root.path());
    let file = path.to_str().unwrap();
    way.interrupted(&path, "s3://own/k");
    assert_eq!(way.resumed(&["cp", file, "s3://own/k", "--storage-class", "STANDARD_IA"]), 0);
    assert_eq!(appliance.ok(&["stat", "s3://own/k", "--json"]).json()["storage_class"], "STANDARD_IA");
    assert_eq!(way.resumed(&["cp", file, "s3://own/other"]), 0, "another key");
    let changed = fs::File::options().write(true).open(&path).unwrap();
    let before = changed.metadata().unwrap().modified().unwrap();
    changed.set_modified(before + std::time::Duration::from_secs(1)).unwrap();
    assert_eq!(way.resumed(&["cp", file, "s3://own/k"]), 0, "written since");
    changed.set_modified(before).unwrap();
    assert_eq!(way.resumed(&["cp", file, "s3://own/k"]), 2, "what was begun first is still there");
    assert!(way.notes().is_empty());
}

#[tokio::test]
async fn who_may_not_list_parts_begins_anew_and_leaves_none_behind() {
    let (root, appliance) = start();
    appliance.ok(&["mb", "s3://own"]);
    let file = root.path().join("k");
    fs::write(&file, bytes()).unwrap();
    let (way, client) = (Way::to(&appliance, root.path()), client(&appliance));
    way.interrupted(&file, "s3://own/k");
    let first = open(&client).await;
    way.denied.store(true, Ordering::SeqCst);
    // Broken off once more, it is noted once more.
    let again = way.run(true, &["cp", file.to_str().unwrap(), "s3://own/k"]);
    assert!(again.code == 1 && again.err.contains("s3://own/k begins anew"), "{again:?}");
    let second = open(&client).await;
    assert_eq!((first.len(), second.len(), way.notes().len()), (1, 1, 1));
    assert_ne!(first[0].upload_id, second[0].upload_id);
    assert_eq!(way.resumed(&["cp", file.to_str().unwrap(), "s3://own/k"]), 0);
    assert!(appliance.command(&["cat", "s3://own/k"]).output().unwrap().stdout == bytes());
    assert!(way.notes().is_empty() && open(&client).await.is_empty());
}

#[test]
fn where_nothing_can_be_noted_an_upload_is_whole_all_the_same_and_that_is_said_once() {
    let (root, appliance) = start();
    appliance.ok(&["mb", "s3://own"]);
    let tree = root.path().join("tree");
    fs::create_dir(&tree).unwrap();
    for name in ["a", "b"] {
        fs::write(tree.join(name), bytes()).unwrap();
    }
    fs::write(root.path().join("file"), "x").unwrap();
    let tree = tree.to_str().unwrap();
    for (state, why) in [(None, "neither XDG_STATE_HOME nor HOME"), (Some("file"), "file/firn/uploads")] {
        let mut command = appliance.command(&["cp", "-r", tree, "s3://own"]);
        command.envs(state.map(|name| ("XDG_STATE_HOME", root.path().join(name))));
        let ran: Ran = command.output().unwrap().into();
        assert!(ran.code == 0 && ran.out.starts_with("2 uploaded"), "{ran:?}");
        assert_eq!(ran.err.matches("uploads can't be noted").count(), 1, "{ran:?}");
        assert!(ran.err.contains(why), "{ran:?}");
    }
}
