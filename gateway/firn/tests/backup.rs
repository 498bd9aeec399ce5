//! The drill: the system disk and its key file are lost under load, and come back from the backup and the pool.

#![expect(clippy::unwrap_used, reason = "a test")]

mod support;

use engine::clock::{Clock as _, SystemClock};
use security::credentials::SecretKey;
use security::sign::{PayloadHash, Signer};
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use support::{Appliance, run};

/// A system disk, a pool disk and a backup target.
struct Disks {
    root: tempfile::TempDir,
}

impl Disks {
    fn new(target: &str, more: &str) -> Self {
        let root = tempfile::tempdir().unwrap();
        let pool = root.path().join("pool").display().to_string();
        let config =
            format!("[pool]\ndirectory = {pool:?}\n[backup]\ntarget = {target:?}\nevery = \"24h\"\n{more}");
        fs::write(root.path().join("firn.toml"), config).unwrap();
        Self { root }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// A first start without a terminal makes no recovery key; the second has the one that was asked for.
    fn start_with_key(&self) -> Appliance {
        let config = self.path("firn.toml");
        let args = ["--config", config.to_str().unwrap(), "--no-secret"];
        let first = Appliance::start(&self.path("system"), &args);
        assert_eq!(first.ok(&["status", "--json"]).json()["backup"]["on"], false);
        assert_eq!(first.terminate(), 0);
        let key = run(&["backup", "key", self.path("system").to_str().unwrap(), "--json"]).json();
        fs::write(self.path("key"), key["recovery_key"].as_str().unwrap()).unwrap();
        self.start("system")
    }

    fn start(&self, dir: &str) -> Appliance {
        let config = self.path("firn.toml");
        Appliance::start(&self.path(dir), &["--config", config.to_str().unwrap()])
    }

    fn recover(&self, from: &str, more: &[&str]) -> support::Ran {
        let (dir, key) = (self.path("system"), self.path("key"));
        let mut args =
            vec!["recover", dir.to_str().unwrap(), "--from", from, "--key", key.to_str().unwrap(), "--json"];
        args.extend(more);
        run(&args)
    }
}

/// Waits until everything acknowledged so far has been shipped. Each look is a process: it paces itself.
fn shipped(appliance: &Appliance) {
    for _ in 0..2_000 {
        let backup = &appliance.ok(&["status", "--json"]).json()["backup"];
        if backup["base_version"].is_u64() && backup["lag_commits"] == 0 {
            return;
        }
    }
    panic!("the backup never caught up: {:?}", appliance.ok(&["status"]));
}

fn body(number: usize) -> Vec<u8> {
    // Inline, one record, several records.
    let length = [100, 20_000, 6 << 20][number % 3];
    (0..length).map(|at| u8::try_from((at * 31 + number * 7) % 251).unwrap()).collect()
}

fn put(appliance: &Appliance, scratch: &Path, number: usize) -> bool {
    let file = scratch.join(format!("body-{number}"));
    fs::write(&file, body(number)).unwrap();
    let target = format!("s3://drill/{number}");
    appliance.command(&["cp", file.to_str().unwrap(), &target]).output().unwrap().status.success()
}

/// The secret half of the recovery key stands in no file of these places.
fn assert_never_stored(key: &Path, places: &[&Path]) {
    let secret = fs::read_to_string(key).unwrap();
    assert!(secret.starts_with("AGE-SECRET-KEY-1"));
    let look = |places: &[&Path]| {
        let mut grep = std::process::Command::new("grep");
        grep.args(["-rlF", "-e", secret.trim()]).args(places).output().unwrap()
    };
    assert_eq!(look(&[key]).status.code(), Some(0), "it is found where it is");
    let there: Vec<&Path> = places.iter().copied().filter(|place| place.exists()).collect();
    let found = look(&there);
    assert_eq!(found.status.code(), Some(1), "{found:?}");
}

fn drill(disks: &Disks, target: &str, more: &[&str]) {
    let appliance = disks.start_with_key();
    appliance.ok(&["mb", "s3://drill"]);
    for number in 0..9 {
        assert!(put(&appliance, disks.root.path(), number));
    }
    shipped(&appliance);
    let account = appliance.ok(&["status", "--json"]).json()["account_id"].clone();
    // What clients and programs hold of them goes on to work.
    let keys = || {
        ["credentials", "admin-token", "recovery.pub"].map(|name| {
            let path = disks.path("system").join(name);
            (fs::read(&path).unwrap(), fs::metadata(&path).unwrap().permissions().mode() & 0o777)
        })
    };
    let keys_before = keys();

    // Under load: somebody writes on while the disk goes.
    let stop = AtomicBool::new(false);
    let written = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut number = 9;
            while !stop.load(Ordering::Relaxed) && put(&appliance, disks.root.path(), number) {
                number += 1;
            }
            number
        });
        shipped(&appliance);
        let pid = fs::read_to_string(disks.path("system/lock")).unwrap();
        let killed = std::process::Command::new("kill").args(["-KILL", pid.trim()]).status().unwrap();
        assert!(killed.success());
        stop.store(true, Ordering::Relaxed);
        writer.join().unwrap()
    });
    drop(appliance);
    assert_never_stored(&disks.path("key"), &[&disks.path("system"), Path::new(target)]);
    fs::remove_dir_all(disks.path("system")).unwrap();

    let recovered = disks.recover(target, more);
    assert_eq!(recovered.code, 0, "{recovered:?}");
    let found = fs::metadata(disks.path("system")).unwrap().permissions();
    assert_eq!(found.mode() & 0o777, 0o700, "keys lie in it");
    assert!(keys() == keys_before, "the same keys, and nobody else's to read");
    assert_eq!(disks.recover(target, more).code, 8, "an appliance is there now");
    let appliance = disks.start("system");
    assert_eq!(appliance.ok(&["status", "--json"]).json()["account_id"], account);
    for number in 0..=written {
        let got = appliance.command(&["cat", &format!("s3://drill/{number}")]).output().unwrap();
        if got.status.success() {
            assert!(got.stdout == body(number), "object {number} came back changed");
        } else {
            assert!(number >= 9, "object {number} had been shipped");
            assert_eq!(got.status.code(), Some(4), "lost is not found, nothing else: {got:?}");
        }
    }
    assert!(put(&appliance, disks.root.path(), 10_000), "the recovered appliance takes writes");
    shipped(&appliance);
    appliance.kill();
}

#[test]
fn a_system_disk_lost_under_load_comes_back_from_a_directory() {
    let elsewhere = tempfile::tempdir().unwrap();
    let target = elsewhere.path().join("backup");
    let target = target.to_str().unwrap();
    drill(&Disks::new(target, ""), target, &[]);
}

/// What was acknowledged while the target took nothing is not there afterwards, and the recovery says from where on.
#[test]
fn a_recovery_says_behind_which_version_all_is_lost() {
    let elsewhere = tempfile::tempdir().unwrap();
    let (target, away) = (elsewhere.path().join("backup"), elsewhere.path().join("away"));
    let named = target.to_str().unwrap();
    let disks = Disks::new(named, "");
    let appliance = disks.start_with_key();
    appliance.ok(&["mb", "s3://drill"]);
    for number in 0..3 {
        assert!(put(&appliance, disks.root.path(), number));
    }
    shipped(&appliance);
    fs::rename(&target, &away).unwrap();
    fs::write(&target, "in the way").unwrap();
    for number in 3..6 {
        assert!(put(&appliance, disks.root.path(), number), "the target's trouble is none of the clients'");
    }
    let backup = appliance.ok(&["status", "--json"]).json()["backup"].clone();
    assert!(backup["lag_commits"].as_u64().unwrap() >= 3, "{backup}");
    let version = backup["shipped_version"].as_u64().unwrap();
    appliance.kill();
    fs::remove_file(&target).unwrap();
    fs::rename(&away, &target).unwrap();
    fs::remove_dir_all(disks.path("system")).unwrap();

    let recovered = disks.recover(named, &[]);
    assert_eq!((recovered.code, recovered.json()["version"].as_u64()), (0, Some(version)), "{recovered:?}");
    let [beside, key] = ["beside", "key"].map(|name| disks.path(name));
    let told = run(&["recover", beside.to_str().unwrap(), "--from", named, "--key", key.to_str().unwrap()]);
    let lost = format!("  lost      every change after version {version}: what was not shipped yet\n");
    assert!(told.code == 0 && told.out.contains(&lost), "{told:?}");
    let appliance = disks.start("system");
    for number in 0..6 {
        let got = appliance.command(&["cat", &format!("s3://drill/{number}")]).output().unwrap();
        assert_eq!(got.status.code(), Some(if number < 3 { 0 } else { 4 }), "object {number}");
    }
    assert_eq!(appliance.terminate(), 0);
}

#[test]
fn a_system_disk_lost_under_load_comes_back_from_another_firn() {
    let elsewhere = tempfile::tempdir().unwrap();
    let other = Appliance::start(&elsewhere.path().join("other"), &[]);
    other.ok(&["mb", "s3://backups"]);
    let endpoint = fs::read_to_string(other.dir().join("run/http.addr")).unwrap();
    let endpoint = format!("http://{}", endpoint.trim());
    let credentials = other.dir().join("credentials");
    let more = format!("endpoint = {endpoint:?}\ncredentials-file = {:?}\n", credentials.to_str().unwrap());
    let disks = Disks::new("s3://backups/drill", &more);
    let flags = ["--endpoint", &endpoint, "--credentials-file", credentials.to_str().unwrap()];
    drill(&disks, "s3://backups/drill", &flags);
}

#[test]
fn a_target_inside_the_data_directory_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let (dir, config) = (root.path().join("data"), root.path().join("firn.toml"));
    let first = Appliance::start(&dir, &[]);
    assert_eq!(first.terminate(), 0);
    assert_eq!(run(&["backup", "key", dir.to_str().unwrap()]).code, 0);
    fs::write(&config, format!("[backup]\ntarget = {:?}\n", dir.join("backup/copy"))).unwrap();
    let (dir, config) = (dir.to_str().unwrap(), config.to_str().unwrap());
    let refused =
        run(&["server", dir, "--config", config, "--http", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(refused.err.contains("would be lost with it"), "{refused:?}");
}

#[test]
fn a_new_appliance_leaves_the_pool_of_a_lost_one_alone() {
    let elsewhere = tempfile::tempdir().unwrap();
    let target = elsewhere.path().join("backup");
    let target = target.to_str().unwrap();
    let disks = Disks::new(target, "");
    let appliance = disks.start_with_key();
    appliance.ok(&["mb", "s3://drill"]);
    assert!(put(&appliance, disks.root.path(), 1));
    shipped(&appliance);
    appliance.kill();
    fs::remove_dir_all(disks.path("system")).unwrap();
    let (dir, config) = (disks.path("system"), disks.path("firn.toml"));
    let (dir, config) = (dir.to_str().unwrap(), config.to_str().unwrap());
    let refused =
        run(&["server", dir, "--config", config, "--http", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    assert_eq!(refused.code, 8, "{refused:?}");
    assert!(refused.err.contains("firn recover"), "{refused:?}");
    let recovered = disks.recover(target, &[]);
    assert_eq!(recovered.code, 0, "{recovered:?}");
    let noted = fs::read(disks.path("system").join("recovered.json")).unwrap();
    let noted: serde_json::Value = serde_json::from_slice(&noted).unwrap();
    let version = noted["version"].as_u64().unwrap();
    assert!(version >= noted["base_version"].as_u64().unwrap(), "{noted}");
    assert_eq!(recovered.json()["version"], version);
    let got = disks.start("system").command(&["cat", "s3://drill/1"]).output().unwrap();
    assert!(got.status.success() && got.stdout == body(1), "its bodies are as they were");
}

/// Makes a bucket with object lock, which no verb does.
fn make_lockable(appliance: &Appliance, bucket: &str) {
    let var = |name: &str| appliance.vars.iter().find(|(var, _)| var == name).unwrap().1.clone();
    let host = var("AWS_ENDPOINT_URL").trim_start_matches("http://").to_owned();
    let signer = Signer {
        access_key_id: var("AWS_ACCESS_KEY_ID").parse().unwrap(),
        secret: SecretKey::parse(&var("AWS_SECRET_ACCESS_KEY")).unwrap(),
        session_token: None,
        region: "us-east-1".to_owned(),
        service: "s3".to_owned(),
    };
    let request = http::Request::builder().method("PUT").uri(format!("/{bucket}")).header("host", &host);
    let request = request.header("x-amz-bucket-object-lock-enabled", "true").header("connection", "close");
    let (mut head, ()) = request.body(()).unwrap().into_parts();
    signer.sign(&mut head, PayloadHash::Unsigned, SystemClock.now()).unwrap();
    let mut stream = TcpStream::connect(&host).unwrap();
    write!(stream, "PUT /{bucket} HTTP/1.1\r\n").unwrap();
    for (name, value) in &head.headers {
        write!(stream, "{name}: {}\r\n", value.to_str().unwrap()).unwrap();
    }
    stream.write_all(b"\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[test]
fn a_start_after_a_recovery_holds_what_is_under_object_lock_and_does_so_once() {
    let root = tempfile::tempdir().unwrap();
    let target = root.path().join("backup").display().to_string();
    let disks = Disks::new(&target, "");
    let appliance = disks.start_with_key();
    make_lockable(&appliance, "drill");
    assert!(put(&appliance, root.path(), 1));
    shipped(&appliance);
    appliance.kill();
    fs::remove_dir_all(disks.path("system")).unwrap();
    assert_eq!(disks.recover(&target, &[]).code, 0);
    let appliance = disks.start("system");
    let held = || appliance.ok(&["lock", "ls", "--json"]).json()["buckets"].clone();
    assert_eq!(held(), serde_json::json!([{ "bucket": "drill", "versions": 1, "more": false }]));
    let refused = appliance.run(&["rm", "--versions", "s3://drill/1"]);
    assert!(refused.code != 0 && refused.out.contains("AccessDenied"), "{refused:?}");
    let done = appliance.ok(&["lock", "release", "s3://drill", "--yes"]).out;
    assert_eq!(done, "s3://drill: 1 version released\n");
    assert_eq!(appliance.terminate(), 0);
    let appliance = disks.start("system");
    assert!(appliance.ok(&["lock", "ls"]).out.contains("nothing is held"), "it was dealt with");
    appliance.ok(&["rm", "--versions", "s3://drill/1"]);
}

#[test]
fn a_former_recovery_key_brings_back_what_it_opens_and_says_that_the_newer_one_opens_more() {
    let root = tempfile::tempdir().unwrap();
    let target = root.path().join("backup").display().to_string();
    let disks = Disks::new(&target, "");
    let appliance = disks.start_with_key();
    appliance.ok(&["mb", "s3://drill"]);
    assert!(put(&appliance, root.path(), 1));
    shipped(&appliance);
    assert_eq!(appliance.terminate(), 0);
    fs::rename(disks.path("key"), disks.path("former")).unwrap();
    let key = run(&["backup", "key", disks.path("system").to_str().unwrap(), "--json"]).json();
    fs::write(disks.path("key"), key["recovery_key"].as_str().unwrap()).unwrap();
    let appliance = disks.start("system");
    assert!(put(&appliance, root.path(), 2));
    shipped(&appliance);
    appliance.kill();

    let (system, former) = (disks.path("system"), disks.path("former"));
    let recover = |more: &[&str]| {
        fs::remove_dir_all(&system).unwrap();
        let args =
            ["recover", system.to_str().unwrap(), "--from", &target, "--key", former.to_str().unwrap()];
        run(&[&args[..], more].concat())
    };
    let told = recover(&["--json"]);
    assert_eq!(told.code, 3, "{told:?}");
    let (version, lost) = (told.json()["version"].as_u64().unwrap(), told.json()["other_key"].clone());
    assert!(lost[0] == version + 1 && lost[1].as_u64() > Some(version), "{told:?}");
    let told = recover(&[]);
    let next = format!("with the newer one, remove {} and recover again", system.display());
    assert!(
        told.code == 3 && told.out.contains("another recovery key") && told.out.contains(&next),
        "{told:?}"
    );
    assert!(told.out.contains("do not start it: recover again with the newer key"), "{told:?}");
    assert!(told.out.contains("may be gone"), "{told:?}");
    let config = disks.path("firn.toml");
    let (dir, config) = (system.to_str().unwrap(), config.to_str().unwrap());
    let refused =
        run(&["server", dir, "--config", config, "--http", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    assert_eq!(refused.code, 8, "{refused:?}");
    assert!(refused.err.contains("sealed to another recovery key"), "{refused:?}");
    assert!(refused.err.contains("--accept-loss"), "{refused:?}");
    // Each start begins a life of its own there.
    let (backup, aside) = (Path::new(&target), root.path().join("aside"));
    let copied = std::process::Command::new("cp").arg("-r").args([backup, &aside]).status().unwrap();
    assert!(copied.success());
    let both = recover(&["--key", disks.path("key").to_str().unwrap(), "--json"]);
    assert_eq!(both.code, 0, "{both:?}");
    fs::remove_dir_all(&system).unwrap();
    assert_eq!(disks.recover(&target, &[]).code, 0);
    let appliance = disks.start("system");
    for number in [1, 2] {
        appliance.ok(&["stat", &format!("s3://drill/{number}")]);
    }
    shipped(&appliance);
    appliance.kill();
    // Of the life that began with the recovery the former key opens nothing.
    let none = recover(&[]);
    assert!(none.code == 2 && none.err.contains("sealed to another recovery key"), "{none:?}");
    assert!(none.err.contains("newest recovery key of that life, which began 2"), "{none:?}");
    assert!(!system.exists(), "nothing is left behind");
    let wrong = disks.recover(root.path().to_str().unwrap(), &[]);
    assert!(wrong.code == 4 && wrong.err.contains("--from is what backup.target names"), "{wrong:?}");
    fs::create_dir(&system).unwrap();
    // Whoever gives the rest up says so once.
    fs::remove_dir_all(backup).unwrap();
    fs::rename(&aside, backup).unwrap();
    assert_eq!(recover(&["--json"]).code, 3);
    assert_eq!(Appliance::start(&system, &["--config", config, "--accept-loss"]).terminate(), 0);
    fs::create_dir(system.join("recovering")).unwrap();
    let appliance = disks.start("system");
    appliance.ok(&["stat", "s3://drill/1"]);
    assert!(!system.join("recovering").exists(), "it would let a recovery write over the catalog");
    // Its marker gone, it is one still, for as long as it runs.
    fs::rename(system.join("firn.json"), disks.path("marker")).unwrap();
    fs::create_dir(system.join("recovering")).unwrap();
    let refused = disks.recover(&target, &[]);
    assert!(refused.code != 0 && refused.err.contains("process"), "{refused:?}");
    assert!(system.join("catalog").exists());
}

#[test]
fn a_damaged_newest_base_is_passed_over_when_the_older_one_is_asked_for() {
    let root = tempfile::tempdir().unwrap();
    let target = root.path().join("backup").display().to_string();
    let disks = Disks::new(&target, "");
    let appliance = disks.start_with_key();
    appliance.ok(&["mb", "s3://drill"]);
    assert!(put(&appliance, root.path(), 1));
    shipped(&appliance);
    appliance.ok(&["backup", "now"]);
    assert!(put(&appliance, root.path(), 2));
    shipped(&appliance);
    appliance.kill();
    fs::remove_dir_all(disks.path("system")).unwrap();
    let lives = fs::read_dir(root.path().join("backup/lives")).unwrap();
    let life = lives.map(|life| life.unwrap().path()).max().unwrap();
    let mut bases: Vec<_> =
        fs::read_dir(life.join("base")).unwrap().map(|base| base.unwrap().path()).collect();
    bases.sort();
    let newest = bases.pop().unwrap();
    let older =
        bases.pop().unwrap().file_stem().unwrap().to_str().unwrap().trim_start_matches('0').to_owned();
    fs::write(newest, b"damaged").unwrap();
    let refused = disks.recover(&target, &[]);
    assert!(refused.code != 0 && refused.err.contains(&format!("--base {older} takes")), "{refused:?}");
    let unknown = disks.recover(&target, &["--base", "999999"]);
    assert!(unknown.code == 2 && unknown.err.contains(&older), "{unknown:?}");
    let recovered = disks.recover(&target, &["--base", &older]);
    assert_eq!((recovered.code, recovered.json()["base_version"].to_string()), (0, older), "{recovered:?}");
    let appliance = disks.start("system");
    for number in [1, 2] {
        appliance.ok(&["stat", &format!("s3://drill/{number}")]);
    }
    appliance.kill();
}

#[test]
fn locks_held_since_a_recovery_are_listed_and_released_once_said_twice() {
    let root = tempfile::tempdir().unwrap();
    let target = root.path().join("backup").display().to_string();
    let disks = Disks::new(&target, "");
    let appliance = disks.start_with_key();
    let none = appliance.ok(&["lock", "ls"]).out;
    assert!(none.contains("nothing is held"), "{none}");
    appliance.ok(&["mb", "s3://plain"]);
    shipped(&appliance);
    appliance.kill();
    fs::remove_dir_all(disks.path("system")).unwrap();
    assert_eq!(disks.recover(&target, &[]).code, 0);
    let appliance = disks.start("system");
    assert!(appliance.ok(&["lock", "ls"]).out.contains("nothing is held"), "no bucket has object lock");
    let planned = appliance.run(&["lock", "release", "s3://plain"]);
    assert!(planned.code == 2 && planned.out.contains("nothing changed"), "{planned:?}");
    let done = appliance.ok(&["lock", "release", "s3://plain", "--yes"]).out;
    assert_eq!(done, "s3://plain: 0 versions released\n");
    let absent = appliance.run(&["lock", "release", "s3://absent", "--yes"]);
    assert!(absent.code == 4 && absent.err.contains("firn lock ls"), "{absent:?}");
}
