//! The drill with a remote pool: a second firn is the store, goes away, comes back, is damaged, and is somebody else's.

#![expect(clippy::unwrap_used, reason = "a test")]

#[path = "support/port.rs"]
mod port;
mod support;

use port::Port;
use std::fmt::Write;
use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use support::{Appliance, Ran, firn, run};

/// Inline, one record, several records, several parts.
const LENGTHS: [usize; 4] = [100, 20_000, 6 << 20, 18 << 20];

struct Drill {
    root: tempfile::TempDir,
    /// Where the store is, each time that it comes back.
    place: Port,
}

fn body(number: usize) -> Vec<u8> {
    (0..LENGTHS[number % 4]).map(|at| u8::try_from((at * 31 + number * 7) % 251).unwrap()).collect()
}

impl Drill {
    fn new() -> Self {
        Self { root: tempfile::tempdir().unwrap(), place: Port::take() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// The store, with its bucket. It comes back where it was.
    fn store(&self) -> Appliance {
        let is_new = !self.path("store").exists();
        let log = fs::File::create(self.path("store.log")).unwrap();
        let doors = ["--http", &self.place.address.to_string(), "--admin", "127.0.0.1:0"];
        let store = Appliance::start_as_configured(log.into(), &self.path("store"), &doors);
        if is_new {
            store.ok(&["mb", "s3://pool"]);
        }
        store
    }

    /// Writes the configuration of the appliance in front of it.
    fn configure(&self, more: &str) {
        let mut config = String::new();
        let (endpoint, credentials) =
            (format!("http://{}", self.place.address), self.text("store/credentials"));
        writeln!(
            config,
            "[[zone]]\nname = \"cloud\"\nkind = \"s3\"\nbucket = \"pool\"\nprefix = \"firn/one\""
        )
        .unwrap();
        writeln!(config, "endpoint = {endpoint:?}\ncache = \"32MiB\"").unwrap();
        if !more.contains("credentials-file") {
            writeln!(config, "credentials-file = {credentials:?}").unwrap();
        }
        writeln!(config, "{more}").unwrap();
        fs::write(self.path("firn.toml"), config).unwrap();
    }

    fn start(&self, dir: &str) -> Appliance {
        Appliance::start(&self.path(dir), &["--config", &self.text("firn.toml")])
    }

    /// A start that is refused.
    fn refused(&self, dir: &str) -> Ran {
        let doors = ["--http", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--config", &self.text("firn.toml")];
        let dir = self.text(dir);
        let ran: Ran =
            firn().args(["server", &dir]).args(doors).stdin(Stdio::null()).output().unwrap().into();
        assert_ne!(ran.code, 0, "{ran:?}");
        ran
    }

    fn put(&self, appliance: &Appliance, number: usize) {
        let file = self.path("body");
        fs::write(&file, body(number)).unwrap();
        // In one request, so that it is one blob.
        let to = format!("s3://drill/{number}");
        appliance.ok(&["cp", "--part-size", "32MiB", file.to_str().unwrap(), &to]);
    }

    fn get(&self, appliance: &Appliance, number: usize) -> Result<Vec<u8>, Ran> {
        let file = self.path("got");
        let _old = fs::remove_file(&file);
        let args = ["cp", &format!("s3://drill/{number}"), file.to_str().unwrap()];
        let ran: Ran = appliance.command(&args).env("AWS_MAX_ATTEMPTS", "1").output().unwrap().into();
        if ran.code == 0 { Ok(fs::read(&file).unwrap()) } else { Err(ran) }
    }

    fn check(&self, appliance: &Appliance, numbers: std::ops::Range<usize>) {
        for number in numbers {
            assert!(self.get(appliance, number).unwrap() == body(number), "object {number}");
        }
    }
}

/// Waits until the status is as it should be. Each look is a process: it paces itself. After an outage the uploader may rest for
/// a minute.
fn wait_until(appliance: &Appliance, so: impl Fn(&serde_json::Value) -> bool) {
    for _ in 0..20_000 {
        if so(&appliance.ok(&["status", "--json"]).json()["remote"]) {
            return;
        }
    }
    panic!("it never came: {:?}", appliance.ok(&["status"]));
}

fn is_empty(remote: &serde_json::Value) -> bool {
    remote["waiting_blobs"] == 0
}

fn names(store: &Appliance, prefix: &str) -> Vec<String> {
    let listed = store.ok(&["ls", "-r", "--json", &format!("s3://pool/{prefix}")]);
    let keys = listed.out.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    keys.map(|line| line["key"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn bodies_live_in_another_firn_through_its_outages_and_kills_and_go_when_they_are_deleted() {
    let drill = Drill::new();
    let store = drill.store();
    drill.configure("");
    let appliance = drill.start("system");
    appliance.ok(&["mb", "s3://drill"]);
    for number in 0..4 {
        drill.put(&appliance, number);
    }
    wait_until(&appliance, |remote| is_empty(remote) && remote["uploaded_blobs"] == 3);
    assert_eq!(names(&store, "firn/one/blobs/").len(), 3);
    drill.check(&appliance, 0..4);
    let place = appliance.ok(&["where", "s3://drill/2", "--json"]).json();
    assert_eq!(
        (&place["places"][0]["pool"], &place["places"][0]["zone"]),
        (&"s3".into(), &"cloud".into()),
        "{place}"
    );
    assert!(place["places"][0]["segment"].as_str().unwrap().starts_with("blobs/"));
    let drain = appliance.run(&["zone", "drain", "cloud"]);
    assert!(drain.code != 0 && drain.err.contains("keep-local = true"), "{drain:?}");
    // The store dies: what is written stays local, a restart is no trouble, and what it lacks is told.
    store.kill();
    for number in 4..8 {
        drill.put(&appliance, number);
    }
    wait_until(&appliance, |remote| !remote["trouble"].is_null() && remote["waiting_blobs"] == 3);
    appliance.kill();
    let appliance = drill.start("system");
    drill.check(&appliance, 4..8);
    let away = drill.get(&appliance, 2).unwrap_err();
    assert!(away.code == 1 && away.err.contains("ServiceUnavailable"), "it lies there alone: {away:?}");
    wait_until(&appliance, |remote| !remote["trouble"].is_null());
    let status = appliance.ok(&["status", "--json"]).json();
    assert!(
        status["remote"]["trouble"]["since"].is_string() && status["remote"]["waiting_since"].is_string()
    );
    let doctor = appliance.run(&["doctor", appliance.dir().to_str().unwrap(), "--json"]);
    assert!(doctor.code != 0 && doctor.out.contains("zone cloud has been in trouble"), "{doctor:?}");
    // It comes back.
    let store = drill.store();
    wait_until(&appliance, |remote| is_empty(remote) && remote["trouble"].is_null());
    drill.check(&appliance, 0..8);
    assert_eq!(names(&store, "firn/one/blobs/").len(), 6);
    for number in 0..7 {
        appliance.ok(&["rm", &format!("s3://drill/{number}")]);
    }
    wait_until(&appliance, |remote| remote["deleted_objects"] == 5);
    assert_eq!(names(&store, "firn/one/blobs/").len(), 1);
    drill.check(&appliance, 7..8);
    assert_eq!(appliance.terminate(), 0);
}

#[test]
fn a_store_that_is_not_what_it_should_be_is_refused_at_the_start_with_the_next_step() {
    let drill = Drill::new();
    let store = drill.store();
    drill.configure("");
    drill.start("system").kill();
    // Another appliance, and another directory of the same zone's name.
    let other = drill.refused("other");
    assert!(other.err.contains("belongs to the appliance of account"), "{other:?}");
    // Wrong credentials.
    let wrong = drill.path("wrong");
    fs::write(&wrong, "[default]\naws_access_key_id = AKIAWRONGWRONGWRONG1\naws_secret_access_key = c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0\n").unwrap();
    drill.configure(&format!("credentials-file = {:?}", wrong.to_str().unwrap()));
    for dir in ["system", "fresh"] {
        let ran = drill.refused(dir);
        assert!(ran.err.contains("InvalidAccessKeyId") && ran.err.contains("credentials"), "{ran:?}");
    }
    // A bucket that is not there, and a prefix that holds objects of others.
    let rewrite = |from: &str, to: &str| {
        drill.configure("");
        let text = fs::read_to_string(drill.path("firn.toml")).unwrap();
        fs::write(drill.path("firn.toml"), text.replace(from, to)).unwrap();
    };
    rewrite("bucket = \"pool\"", "bucket = \"absent\"");
    assert!(drill.refused("system").err.contains("NoSuchBucket"), "{:?}", drill.refused("system"));
    fs::write(drill.path("note"), "mine").unwrap();
    store.ok(&["cp", &drill.text("note"), "s3://pool/others/note.txt"]);
    rewrite("firn/one", "others");
    let moved = drill.refused("system");
    assert!(moved.err.contains("has no mark"), "{moved:?}");
    let foreign = drill.refused("fresh");
    assert!(foreign.err.contains("holds objects of others (note.txt)"), "{foreign:?}");
    // One that never answered is refused; one that was taken is waited for.
    store.kill();
    drill.configure("");
    let silent = drill.refused("fresh");
    assert!(silent.err.contains("has to answer when it is taken"), "{silent:?}");
    drill.start("system").kill();
}

#[test]
fn a_damaged_object_is_never_served_and_is_made_good_from_local_copies_where_there_are_any() {
    let drill = Drill::new();
    let store = drill.store();
    drill.configure("");
    let appliance = drill.start("system");
    appliance.ok(&["mb", "s3://drill"]);
    drill.put(&appliance, 2);
    wait_until(&appliance, |remote| is_empty(remote) && remote["uploaded_blobs"] == 1);
    let name = names(&store, "firn/one/blobs/").pop().unwrap();
    let (far, file) = (format!("s3://pool/{name}"), drill.path("object"));
    store.ok(&["cp", &far, file.to_str().unwrap()]);
    let sound = fs::read(&file).unwrap();
    for damage in [&sound[..sound.len() / 2], &[&sound[..4_000_000], b"xxxx", &sound[4_000_004..]].concat()] {
        fs::write(&file, damage).unwrap();
        store.ok(&["cp", file.to_str().unwrap(), &far]);
        let ran = drill.get(&appliance, 2).unwrap_err();
        assert_ne!(ran.code, 0, "{ran:?}");
        let log = fs::read_to_string(drill.path("system.log")).unwrap();
        assert!(log.contains(&name[name.len() - 16..]), "the log names it: {log}");
    }
    fs::write(&file, &sound).unwrap();
    store.ok(&["cp", file.to_str().unwrap(), &far]);
    drill.check(&appliance, 2..3);
    assert_eq!(appliance.terminate(), 0);
    // With local copies beside it, and told to look.
    drill.configure("keep-local = true\nscrub = true");
    let appliance = drill.start("system");
    let whole = |number: usize| {
        let place = appliance.ok(&["where", &format!("s3://drill/{number}"), "--json"]).json();
        (place["copies"].as_u64().unwrap(), place["copies_whole"].as_u64().unwrap())
    };
    wait_until(&appliance, |_| whole(2) == (2, 2));
    store.kill();
    drill.check(&appliance, 2..3);
}

#[test]
fn a_recovered_appliance_finds_its_bodies_and_the_lost_one_is_kept_away() {
    let drill = Drill::new();
    let store = drill.store();
    let backup = format!("[backup]\ntarget = {:?}\nevery = \"24h\"", drill.text("backup"));
    drill.configure(&backup);
    let first = drill.start("system");
    assert_eq!(first.terminate(), 0);
    let key = run(&["backup", "key", &drill.text("system"), "--json"]).json();
    fs::write(drill.path("key"), key["recovery_key"].as_str().unwrap()).unwrap();
    let appliance = drill.start("system");
    appliance.ok(&["mb", "s3://drill"]);
    for number in 0..3 {
        drill.put(&appliance, number);
    }
    wait_until(&appliance, |remote| is_empty(remote) && remote["uploaded_blobs"] == 2);
    for _ in 0..2_000 {
        let backup = &appliance.ok(&["status", "--json"]).json()["backup"];
        if backup["base_version"].is_u64() && backup["lag_commits"] == 0 {
            break;
        }
    }
    appliance.kill();
    // Everything of the machine is lost, its pool included; a copy of it turns up later.
    fs::rename(drill.path("system"), drill.path("lost")).unwrap();
    let recovered = run(&[
        "recover",
        &drill.text("system"),
        "--from",
        &drill.text("backup"),
        "--key",
        &drill.text("key"),
        "--json",
    ]);
    assert_eq!(recovered.code, 0, "{recovered:?}");
    let appliance = drill.start("system");
    drill.check(&appliance, 0..3);
    drill.put(&appliance, 3);
    wait_until(&appliance, |remote| is_empty(remote) && remote["uploaded_blobs"] == 1);
    assert_eq!(names(&store, "firn/one/blobs/").len(), 3);
    let lost = drill.refused("lost");
    assert!(lost.err.contains("was taken over by another directory"), "{lost:?}");
    drill.check(&appliance, 0..4);
}
