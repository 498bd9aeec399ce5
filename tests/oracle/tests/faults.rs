//! The real binary on a disk that is full, damaged, taken or from the future. Skipped, loudly, while there is no binary
//! (`FIRN_BIN`, or a release build).

#![expect(clippy::unwrap_used, reason = "a step that fails fails the test")]

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use wire::{Answer, Appliance, Launch, Request, Sink};

const PATIENCE: Duration = Duration::from_mins(1);

/// A data directory below a scratch directory.
struct World {
    scratch: tempfile::TempDir,
    launch: Launch,
}

impl World {
    fn new() -> Option<Self> {
        let scratch = tempfile::tempdir().unwrap();
        match Launch::new(None, scratch.path()) {
            Ok(launch) => Some(Self { scratch, launch }),
            Err(missing) => {
                let _unwritable =
                    writeln!(std::io::stdout(), "SKIPPED a fault of the disk: cannot {missing}");
                None
            }
        }
    }

    async fn start(&self) -> Appliance {
        self.launch.start().await.unwrap()
    }

    /// A started appliance with a bucket.
    async fn with_bucket(&self) -> Appliance {
        let appliance = self.start().await;
        assert_eq!(call(&appliance, "PUT", "/bucket", &[]).await.status, 200);
        appliance
    }

    /// Files below the data directory with this extension, by name.
    fn files(&self, below: &str, extension: &str) -> Vec<PathBuf> {
        let mut found = self.all_files(below);
        found.retain(|path| path.extension().is_some_and(|found| found == extension));
        found
    }

    /// Files below the data directory, by name.
    fn all_files(&self, below: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut waiting = vec![self.launch.dir.join(below)];
        while let Some(dir) = waiting.pop() {
            for entry in fs::read_dir(dir).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    waiting.push(path);
                } else {
                    found.push(path);
                }
            }
        }
        found.sort();
        found
    }

    /// Every file of the data directory but the lock, which says who holds it: its length and when it was written.
    fn tree(&self) -> Vec<(PathBuf, u64, std::time::SystemTime)> {
        let kept = self.all_files("").into_iter().filter(|path| !path.ends_with("lock"));
        let stat = |path: PathBuf| {
            let found = fs::metadata(&path).unwrap();
            (path, found.len(), found.modified().unwrap())
        };
        kept.map(stat).collect()
    }
}

async fn call(appliance: &Appliance, method: &'static str, path: &str, body: &[u8]) -> Answer {
    try_call(appliance, method, path, body).await.unwrap()
}

/// An error is a connection that broke: the server refused to finish an answer.
async fn try_call(
    appliance: &Appliance,
    method: &'static str,
    path: &str,
    body: &[u8],
) -> std::io::Result<Answer> {
    let request = Request { method, path: path.to_owned(), ..Request::default() };
    let head = appliance.head(&request, body);
    let mut connection = appliance.connect().await?;
    connection.exchange(&head, body, Sink::Keep).await
}

/// Asks the admin door, as a load balancer does.
async fn probe(appliance: &Appliance, path: &str) -> Answer {
    let mut connection = wire::Connection::open(appliance.admin).await.unwrap();
    let head = format!("GET {path} HTTP/1.1\r\nhost: {}\r\n\r\n", appliance.admin);
    connection.exchange(head.as_bytes(), &[], Sink::Keep).await.unwrap()
}

/// Bytes that differ from one another and from place to place.
fn body(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    powercut::Seeded::new(seed).fill(&mut bytes);
    bytes
}

/// Where a marker of the stored bytes lies in a file is unknown, so every stretch of it is damaged.
fn flip_all_along(path: &Path) {
    let file = File::options().read(true).write(true).open(path).unwrap();
    let length = file.metadata().unwrap().len();
    for offset in (8192..length).step_by(4096) {
        let mut byte = [0];
        file.read_exact_at(&mut byte, offset).unwrap();
        file.write_all_at(&[byte[0] ^ 0x10], offset).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_byte_in_a_segment_is_never_served() {
    let Some(world) = World::new() else { return };
    let appliance = world.with_bucket().await;
    let large = body(1, 3 << 20);
    assert_eq!(call(&appliance, "PUT", "/bucket/large", &large).await.status, 200);
    assert_eq!(call(&appliance, "PUT", "/bucket/small", b"inline").await.status, 200);
    assert_eq!(call(&appliance, "GET", "/bucket/large", &[]).await.body, large);
    appliance.kill().await.unwrap();
    for segment in world.files("pools", "seg") {
        flip_all_along(&segment);
    }
    let appliance = world.start().await;
    // Refused at once, or broken off before a wrong byte: what did come is a prefix of what was stored.
    match try_call(&appliance, "GET", "/bucket/large", &[]).await {
        Ok(answer) => assert!(answer.status >= 500, "{} with {} bytes", answer.status, answer.body.len()),
        Err(broken_off) => assert!(broken_off.kind() != std::io::ErrorKind::TimedOut),
    }
    assert_eq!(call(&appliance, "GET", "/bucket/small", &[]).await.body, b"inline", "the rest is served");
    assert_eq!(call(&appliance, "PUT", "/bucket/new", &large).await.status, 200, "and written");
    assert_eq!(call(&appliance, "GET", "/bucket/new", &[]).await.body, large);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_byte_in_a_table_of_the_catalog_is_never_believed() {
    let Some(world) = World::new() else { return };
    let appliance = world.with_bucket().await;
    let stored = |n: u64| body(n, 900);
    for n in 0..200 {
        assert_eq!(call(&appliance, "PUT", &format!("/bucket/{n}"), &stored(n)).await.status, 200);
    }
    // An orderly stop writes the rows to tables.
    assert!(appliance.terminate(PATIENCE).await.unwrap().success());
    let tables = world.files("catalog", "sst");
    assert!(!tables.is_empty(), "there is no table to damage");
    for table in &tables {
        let file = File::options().read(true).write(true).open(table).unwrap();
        let middle = file.metadata().unwrap().len() / 2;
        let mut byte = [0];
        file.read_exact_at(&mut byte, middle).unwrap();
        file.write_all_at(&[byte[0] ^ 1], middle).unwrap();
    }
    // It may refuse to start; if it starts, no answer is wrong.
    let Ok(appliance) = world.launch.start().await else {
        let log = world.launch.log_tail();
        assert!(log.to_lowercase().contains("corrupt"), "{log}");
        return;
    };
    let mut refused = 0;
    for n in 0..200 {
        match try_call(&appliance, "GET", &format!("/bucket/{n}"), &[]).await {
            Ok(answer) if answer.status == 200 => assert_eq!(answer.body, stored(n), "key {n}"),
            Ok(answer) => {
                assert!(answer.status >= 500, "key {n}: {} {}", answer.status, answer.text());
                refused += 1;
            }
            Err(_) => refused += 1,
        }
    }
    assert!(refused > 0, "the damage was not met: {} tables", tables.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_truncated_last_segment_loses_what_it_held_and_nothing_else() {
    let Some(world) = World::new() else { return };
    let appliance = world.with_bucket().await;
    let large = body(2, 200_000);
    assert_eq!(call(&appliance, "PUT", "/bucket/cut", &large).await.status, 200);
    assert_eq!(call(&appliance, "PUT", "/bucket/inline", b"inline").await.status, 200);
    appliance.kill().await.unwrap();
    for segment in world.files("pools", "seg") {
        File::options().write(true).open(segment).unwrap().set_len(5000).unwrap();
    }
    let appliance = world.start().await;
    match try_call(&appliance, "GET", "/bucket/cut", &[]).await {
        Ok(answer) => assert!(answer.status >= 500, "{}", answer.status),
        Err(broken_off) => assert!(broken_off.kind() != std::io::ErrorKind::TimedOut),
    }
    assert_eq!(call(&appliance, "GET", "/bucket/inline", &[]).await.body, b"inline");
    assert_eq!(call(&appliance, "PUT", "/bucket/cut", &large).await.status, 200, "it can be written again");
    assert_eq!(call(&appliance, "GET", "/bucket/cut", &[]).await.body, large);
    appliance.kill().await.unwrap();
    let appliance = world.start().await;
    assert_eq!(call(&appliance, "GET", "/bucket/cut", &[]).await.body, large);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_in_use_is_refused_with_its_holder() {
    let Some(world) = World::new() else { return };
    let appliance = world.with_bucket().await;
    let second = Launch { log: world.scratch.path().join("second.log"), ..world.launch.clone() };
    let (status, log) = second.start_refused().await.unwrap();
    assert!(!status.success());
    let pid = appliance.pid().unwrap().to_string();
    assert!(log.contains("using it") && log.contains(&pid), "{log}");
    assert_eq!(call(&appliance, "HEAD", "/bucket", &[]).await.status, 200, "the first one serves on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_directory_is_refused_and_left_alone() {
    let Some(world) = World::new() else { return };
    world.with_bucket().await.kill().await.unwrap();
    let marker = world.launch.dir.join("firn.json");
    let text = fs::read_to_string(&marker).unwrap();
    let mut newer: serde_json::Value = serde_json::from_str(&text).unwrap();
    newer["version"] = (newer["version"].as_u64().unwrap() + 1).into();
    fs::write(&marker, newer.to_string()).unwrap();
    let before = world.tree();
    let (status, log) = world.launch.start_refused().await.unwrap();
    assert!(!status.success());
    assert!(log.contains("newer"), "{log}");
    assert_eq!(world.tree(), before, "no file was made, removed or written to");
    fs::write(&marker, text).unwrap();
    let appliance = world.start().await;
    assert_eq!(call(&appliance, "HEAD", "/bucket", &[]).await.status, 200);
}

/// A disk of its own, so that it can be full; unmounted when dropped. None where mounting is not allowed.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: &Path, size: &str) -> Option<Self> {
        fs::create_dir_all(at).unwrap();
        let mount = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(at)
            .status();
        if mount.is_ok_and(|status| status.success()) {
            return Some(Self(at.to_owned()));
        }
        let _unwritable = writeln!(
            std::io::stdout(),
            "SKIPPED a fault of the disk: cannot mount a small disk (needs root)"
        );
        None
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a failed test may leave the server's last files open for a moment.
        let _left_behind = std::process::Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Room for the reserves and a few segments of the least size, and no more.
const SMALL_DISK: &str = "700m";

/// Puts the piece until it is refused: the paths that were taken, and the refusal.
async fn fill(appliance: &Appliance, piece: &[u8]) -> (Vec<String>, Answer) {
    let mut stored = Vec::new();
    loop {
        let path = format!("/bucket/{}", stored.len());
        let answer = call(appliance, "PUT", &path, piece).await;
        if answer.status != 200 {
            return (stored, answer);
        }
        stored.push(path);
        assert!(stored.len() < 200, "a disk of {SMALL_DISK} took {} pieces of 8 MiB", stored.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_writes_reads_on_deletes_and_recovers() {
    let Some(mut world) = World::new() else { return };
    let Some(_disk) = SmallDisk::mount(&world.scratch.path().join("disk"), SMALL_DISK) else { return };
    world.launch.dir = world.scratch.path().join("disk/data");
    let config = world.scratch.path().join("firn.toml");
    fs::write(&config, "[engine]\nsegment = \"32MiB\"\n").unwrap();
    world.launch.args = vec!["--config".to_owned(), config.display().to_string()];
    let appliance = world.with_bucket().await;
    let piece = body(3, 8 << 20);
    let (stored, refusal) = fill(&appliance, &piece).await;
    assert!(!stored.is_empty(), "the first write was refused: {} {}", refusal.status, refusal.text());
    assert!(matches!(refusal.status, 503 | 507), "{} {}", refusal.status, refusal.text());
    assert_eq!(call(&appliance, "GET", &stored[0], &[]).await.body, piece, "reads go on");
    let ready = probe(&appliance, "/readyz").await;
    assert_eq!(ready.status, 503, "a balancer sends writes elsewhere: {}", ready.text());
    assert!(ready.text().contains("\"reasons\":[\"pool_full\"]"), "{}", ready.text());
    assert_eq!(probe(&appliance, "/readyz/reads").await.status, 200, "and reads here");
    for path in &stored[1..] {
        assert_eq!(call(&appliance, "DELETE", path, &[]).await.status, 204, "deletes go on");
    }
    // Space returns when the collector, the compactor and the recycler have been there.
    let deleted = wire::elapsed();
    let deadline = deleted + PATIENCE;
    let mut ticks = tokio::time::interval(Duration::from_millis(500));
    loop {
        ticks.tick().await;
        let answer = call(&appliance, "PUT", "/bucket/again", &piece).await;
        if answer.status == 200 {
            break;
        }
        assert!(wire::elapsed() < deadline, "writes do not recover: {} {}", answer.status, answer.text());
    }
    let after = wire::elapsed().saturating_sub(deleted);
    let _unwritable = writeln!(std::io::stderr(), "writes came back after {after:?}");
    assert_eq!(probe(&appliance, "/readyz").await.status, 200, "and it says so");
    assert_eq!(call(&appliance, "GET", "/bucket/again", &[]).await.body, piece);
    assert_eq!(call(&appliance, "GET", &stored[0], &[]).await.body, piece);
    assert!(appliance.terminate(PATIENCE).await.unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_an_outage_of_the_remote_pool_fills_takes_writes_again_when_the_store_is_back() {
    let Some(mut world) = World::new() else { return };
    let Some(_disk) = SmallDisk::mount(&world.scratch.path().join("disk"), SMALL_DISK) else { return };
    let there = world.scratch.path().join("far");
    fs::create_dir(&there).unwrap();
    let mut far = Launch::new(None, &there).unwrap();
    let store = far.start().await.unwrap();
    far.http = store.http.to_string();
    assert_eq!(call(&store, "PUT", "/pool", &[]).await.status, 200);
    world.launch.dir = world.scratch.path().join("disk/data");
    let config = world.scratch.path().join("firn.toml");
    let credentials = far.dir.join("credentials").display().to_string();
    let text = format!(
        "[engine]\nsegment = \"32MiB\"\n[[zone]]\nname = \"far\"\nkind = \"s3\"\nendpoint = \"http://{}\"\nbucket = \"pool\"\n\
         credentials-file = {credentials:?}\ncache = \"0\"\n",
        far.http
    );
    fs::write(&config, text).unwrap();
    world.launch.args = vec!["--config".to_owned(), config.display().to_string()];
    let appliance = world.with_bucket().await;
    store.kill().await.unwrap();
    let piece = body(4, 8 << 20);
    let (stored, refusal) = fill(&appliance, &piece).await;
    assert!(
        refusal.status == 507 && refusal.text().contains("<Code>StorageFull</Code>"),
        "{}",
        refusal.text()
    );
    assert_eq!(call(&appliance, "GET", &stored[0], &[]).await.body, piece, "reads go on");
    let store = far.start().await.unwrap();
    let deadline = wire::elapsed() + PATIENCE * 2;
    let mut ticks = tokio::time::interval(Duration::from_millis(500));
    loop {
        ticks.tick().await;
        let answer = call(&appliance, "PUT", "/bucket/again", &piece).await;
        if answer.status == 200 {
            break;
        }
        assert!(wire::elapsed() < deadline, "writes do not recover: {} {}", answer.status, answer.text());
    }
    for path in stored.iter().map(String::as_str).chain(["/bucket/again"]) {
        assert_eq!(call(&appliance, "GET", path, &[]).await.body, piece, "{path}");
    }
    assert!(appliance.terminate(PATIENCE).await.unwrap().success());
    store.kill().await.unwrap();
}
