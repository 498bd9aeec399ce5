//! The drill with the catalog's copy in a zone: the data directory is lost under load, the zone is, and both come back in the wrong order.

#![expect(clippy::unwrap_used, reason = "a test")]

mod support;

use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use support::{Appliance, Ran, run};

/// A system disk and those of zones.
struct Disks {
    root: tempfile::TempDir,
}

const COPIES: &str = "[copies]\ncatalog = true\n";
/// What a refused start ends with.
const CONFLICT: i32 = 8;

/// Inline, one record, several records.
fn body(number: usize) -> Vec<u8> {
    let length = [100, 20_000, 6 << 20][number % 3];
    (0..length).map(|at| u8::try_from((at * 31 + number * 7) % 251).unwrap()).collect()
}

impl Disks {
    fn new(copies: &str, zones: &[&str]) -> Self {
        let disks = Self { root: tempfile::tempdir().unwrap() };
        disks.configure(copies, zones);
        disks
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// Writes the configuration: these zones, each in the directory of its name.
    fn configure(&self, copies: &str, zones: &[&str]) {
        let mut config = copies.to_owned();
        for zone in zones {
            let name = zone.rsplit('/').next().unwrap();
            write!(config, "[[zone]]\nname = \"{name}\"\ndirectory = {:?}\n", self.text(zone)).unwrap();
        }
        fs::write(self.path("firn.toml"), config).unwrap();
    }

    fn start(&self, more: &[&str]) -> Appliance {
        let config = self.text("firn.toml");
        Appliance::start(&self.path("system"), &[&["--config", &config], more].concat())
    }

    /// A start that ends by itself.
    fn refused(&self, more: &[&str]) -> Ran {
        let (system, config) = (self.text("system"), self.text("firn.toml"));
        let doors = ["--http", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
        let ran = run(&[&["server", &system, "--config", &config], &doors[..], more].concat());
        assert_ne!(ran.code, 0, "{ran:?}");
        ran
    }

    fn recover(&self, zone: &str) -> Ran {
        run(&["recover", &self.text("system"), "--from-zone", &self.text(zone), "--json"])
    }

    fn put(&self, appliance: &Appliance, number: usize) -> bool {
        let file = self.path(&format!("body-{number}"));
        fs::write(&file, body(number)).unwrap();
        let mut put = appliance.command(&["cp", file.to_str().unwrap(), &format!("s3://drill/{number}")]);
        let done = put.env("AWS_MAX_ATTEMPTS", "1").output().unwrap().status.success();
        fs::remove_file(file).unwrap();
        done
    }

    fn must_put(&self, appliance: &Appliance, numbers: &[usize]) {
        for number in numbers {
            assert!(self.put(appliance, *number), "object {number}");
        }
    }

    fn mv(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).unwrap();
    }

    /// The files that say whose zones and pools are.
    fn marks(&self, zones: &[&str]) -> Vec<Option<Vec<u8>>> {
        let names =
            zones.iter().flat_map(|zone| ["owner.json", "zone.json"].map(|mark| format!("{zone}/{mark}")));
        names.map(|name| fs::read(self.path(&name)).ok()).collect()
    }

    /// What a zone has of the catalog.
    fn kept_in(&self, zone: &str) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.path(zone).join("catalog")) else { return Vec::new() };
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn check(appliance: &Appliance, numbers: impl IntoIterator<Item = usize>) {
    for number in numbers {
        let got = appliance.command(&["cat", &format!("s3://drill/{number}")]).output().unwrap();
        assert!(got.status.success() && got.stdout == body(number), "object {number}: {:?}", got.stderr);
    }
}

fn copy_of(appliance: &Appliance) -> Value {
    appliance.ok(&["status", "--json"]).json()["catalog_copy"].clone()
}

/// Waits until the status says so. Each look is a process: it paces itself.
fn wait_until(appliance: &Appliance, so: impl Fn(&Value) -> bool) -> Value {
    for _ in 0..2_000 {
        let copy = copy_of(appliance);
        if so(&copy) {
            return copy;
        }
    }
    panic!("it never came: {:?}", appliance.ok(&["status"]));
}

fn in_zone(zone: &str) -> impl Fn(&Value) -> bool {
    move |copy| copy["state"] == "both" && copy["zone"] == zone && copy["leaving"].is_null()
}

fn end(dir: &Path) {
    let pid = fs::read_to_string(dir.join("lock")).unwrap();
    let killed = std::process::Command::new("kill").args(["-KILL", pid.trim()]).status().unwrap();
    assert!(killed.success());
}

/// Writes with several hands until so many are acknowledged, kills the server under them, and says which are.
fn load(disks: &Disks, appliance: &Appliance, from: usize, acknowledged: usize) -> (BTreeSet<usize>, usize) {
    let (next, done) = (AtomicUsize::new(from), Mutex::new(BTreeSet::new()));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::SeqCst);
                    if !disks.put(appliance, number) {
                        return;
                    }
                    let mut done = done.lock().unwrap();
                    done.insert(number);
                    if done.len() == acknowledged {
                        end(appliance.dir());
                    }
                }
            });
        }
    });
    (done.into_inner().unwrap(), next.into_inner())
}

#[test]
fn a_data_directory_lost_under_load_comes_back_from_a_zone_with_all_that_was_acknowledged() {
    let disks = Disks::new(COPIES, &["a", "b"]);
    let appliance = disks.start(&[]);
    appliance.ok(&["mb", "s3://drill"]);
    disks.must_put(&appliance, &[0, 1, 2]);
    let copy = wait_until(&appliance, in_zone("a"));
    assert!(copy["on"] == true && copy["since"].is_string() && copy["parted"] == 0, "{copy}");
    let doctor = appliance.run(&["doctor"]).out;
    assert!(doctor.contains("catalog and keys lie in the data directory and in zone a"), "{doctor}");
    let place = appliance.ok(&["where", "s3://drill/0", "--json"]).json();
    assert!(place["why"].as_str().unwrap().contains("in the data directory and in zone a"), "{place}");
    let account = appliance.ok(&["status", "--json"]).json()["account_id"].clone();
    let keys = || {
        ["credentials", "admin-token", "master.key"]
            .map(|name| fs::read(disks.path("system").join(name)).unwrap())
    };
    let keys_before = keys();
    let (acknowledged, tried) = load(&disks, &appliance, 3, 24);
    drop(appliance);
    assert!(acknowledged.len() >= 24, "{acknowledged:?}");
    fs::remove_dir_all(disks.path("system")).unwrap();

    // Nobody takes the bodies for free room meanwhile.
    let marks = disks.marks(&["a", "b"]);
    let anew = disks.refused(&[]);
    assert!(anew.err.contains("--from-zone"), "{anew:?}");
    assert!(!disks.path("system").exists(), "{anew:?}");
    let wrong = disks.recover("b");
    assert!(wrong.code == 4 && wrong.err.contains("first directory of a [[zone]]"), "{wrong:?}");
    assert!(!disks.path("system").exists(), "nothing is left of it");

    let recovered = disks.recover("a");
    assert_eq!(recovered.code, 0, "{recovered:?}");
    let said = recovered.json();
    assert!(said["zone"] == "a" && said["loss_to_accept"] == true, "{said}");
    assert_eq!(fs::metadata(disks.path("system")).unwrap().permissions().mode() & 0o777, 0o700);
    assert!(keys() == keys_before, "the same keys");
    assert_eq!(disks.recover("a").code, 8, "an appliance is there now");
    let unasked = disks.refused(&[]);
    assert!(unasked.code == CONFLICT && unasked.err.contains("--accept-loss"), "{unasked:?}");
    assert_eq!(disks.marks(&["a", "b"]), marks, "what is refused has taken nothing over");

    let appliance = disks.start(&["--accept-loss"]);
    assert_eq!(appliance.ok(&["status", "--json"]).json()["account_id"], account);
    check(&appliance, (0..3).chain(acknowledged.iter().copied()));
    for number in (3..tried).filter(|number| !acknowledged.contains(number)) {
        let got = appliance.command(&["cat", &format!("s3://drill/{number}")]).output().unwrap();
        assert!(!got.status.success() || got.stdout == body(number), "object {number} came back changed");
    }
    wait_until(&appliance, in_zone("a"));
    disks.must_put(&appliance, &[10_000, 10_001]);
    appliance.kill();
    // Once is enough.
    let appliance = disks.start(&[]);
    check(&appliance, [10_000, 10_001]);
    wait_until(&appliance, in_zone("a"));
    assert_eq!(appliance.terminate(), 0);
}

#[test]
fn a_zone_is_lost_the_appliance_goes_on_and_the_replaced_one_gets_a_copy_that_brings_all_back() {
    // The first zone lies in the data directory, as where one was added: it is lost with it.
    let disks = Disks::new(COPIES, &["system/pools/local", "b"]);
    fs::create_dir(disks.path("b")).unwrap();
    let appliance = disks.start(&[]);
    appliance.ok(&["mb", "s3://drill"]);
    disks.must_put(&appliance, &[0, 1, 2]);
    wait_until(&appliance, in_zone("b"));
    // At once, as a disk goes: the server makes files there.
    disks.mv("b", "lost b");
    let alone = wait_until(&appliance, |copy| copy["state"] == "alone");
    assert!(alone["reason"].as_str().unwrap().contains("no longer in"), "{alone}");
    let doctor = appliance.run(&["doctor"]);
    assert!(doctor.code == 1 && doctor.out.contains("alone since"), "{doctor:?}");
    assert!(appliance.ok(&["status"]).out.contains("the catalog has no copy in a zone"));
    disks.must_put(&appliance, &[3, 6, 9]);
    appliance.kill();

    // It recorded that it goes on alone: nobody is asked.
    let appliance = disks.start(&[]);
    check(&appliance, [0, 1, 2, 3, 6, 9]);
    disks.must_put(&appliance, &[12]);
    assert_eq!(appliance.terminate(), 0);
    fs::create_dir(disks.path("b")).unwrap();
    let replaced =
        run(&["zone", "replace", "b", &disks.text("system"), "--config", &disks.text("firn.toml"), "--json"]);
    assert_eq!(replaced.json()["had_the_catalog"], false, "{replaced:?}");
    let appliance = disks.start(&[]);
    wait_until(&appliance, in_zone("b"));
    for _ in 0..2_000 {
        let status = appliance.ok(&["status", "--json"]).json();
        let repair = &status["repair"];
        if repair["walking"] == false
            && repair["short_blobs"] == 0
            && repair["mended_blobs"].as_u64() > Some(0)
        {
            break;
        }
    }
    let (acknowledged, _) = load(&disks, &appliance, 20, 12);
    drop(appliance);
    fs::remove_dir_all(disks.path("system")).unwrap();
    let recovered = disks.recover("b");
    assert_eq!(recovered.code, 0, "{recovered:?}");
    let appliance = disks.start(&["--accept-loss"]);
    check(&appliance, [0, 1, 2, 3, 6, 9, 12].into_iter().chain(acknowledged));
    appliance.kill();
}

#[test]
fn two_that_part_and_come_back_in_the_wrong_order_are_refused() {
    let disks = Disks::new(COPIES, &["a", "b"]);
    let appliance = disks.start(&[]);
    appliance.ok(&["mb", "s3://drill"]);
    disks.must_put(&appliance, &[0]);
    wait_until(&appliance, in_zone("a"));
    appliance.kill();

    // A lone one of two that shared every commit: nobody knows what the other one did.
    disks.mv("a", "a is away");
    let marks = disks.marks(&["b"]);
    let lone = disks.refused(&[]);
    assert!(lone.code == CONFLICT && lone.err.contains("is not there, or is older"), "{lone:?}");
    assert!(lone.err.contains("bring the zone's disk back"), "{lone:?}");
    assert_eq!(disks.marks(&["b"]), marks);
    disks.mv("a is away", "a");
    let appliance = disks.start(&[]);
    wait_until(&appliance, in_zone("a"));
    appliance.kill();

    // It is accepted: the directory goes on alone, and then the zone comes back without it.
    disks.mv("a", "a is away");
    let appliance = disks.start(&["--accept-loss"]);
    disks.must_put(&appliance, &[3]);
    wait_until(&appliance, in_zone("b"));
    appliance.kill();
    disks.mv("a is away", "a");
    disks.mv("system", "the first");
    // What lies there is somebody's, unless a recovery that was cut off says that it was its own.
    fs::create_dir_all(disks.path("system/catalog/rows")).unwrap();
    let over = disks.recover("a");
    assert!(over.code == 8 && over.err.contains("a catalog whose firn.json is gone"), "{over:?}");
    assert!(disks.path("system/catalog/rows").exists());
    fs::write(disks.path("system/recovering"), "").unwrap();
    let recovered = disks.recover("a");
    assert_eq!(recovered.code, 0, "{recovered:?}");
    assert!(!disks.path("system/recovering").exists());
    let marks = disks.marks(&["a", "b"]);
    assert_eq!(disks.refused(&[]).code, CONFLICT);
    assert_eq!(disks.marks(&["a", "b"]), marks);

    // The first is back: nothing was taken from it, and what was made of the zone is the one that is refused.
    disks.mv("system", "the made");
    disks.mv("the first", "system");
    let appliance = disks.start(&[]);
    check(&appliance, [0, 3]);
    wait_until(&appliance, in_zone("b"));
    appliance.kill();
    disks.mv("system", "the first");
    disks.mv("the made", "system");
    for more in [&[][..], &["--accept-loss"]] {
        let forked = disks.refused(more);
        assert!(
            forked.code == CONFLICT && forked.err.contains("knows more than this directory"),
            "{forked:?}"
        );
    }
    disks.mv("system", "the made");
    disks.mv("the first", "system");
    let appliance = disks.start(&[]);
    check(&appliance, [0, 3]);
    assert_eq!(appliance.terminate(), 0);
}

#[test]
fn a_zone_goes_only_once_the_copy_has_left_it() {
    let counts = |more: &str| format!("[copies]\ncount = 1\n{more}");
    let disks = Disks::new(&counts("catalog = true\n"), &["a", "b"]);
    let appliance = disks.start(&[]);
    appliance.ok(&["mb", "s3://drill"]);
    disks.must_put(&appliance, &[0, 3]);
    wait_until(&appliance, in_zone("a"));
    appliance.ok(&["zone", "drain", "a"]);
    wait_until(&appliance, in_zone("b"));
    assert_eq!(disks.kept_in("a"), ["lock"], "keys lay there");
    let doctor = appliance.run(&["doctor"]).out;
    assert!(doctor.contains("zone a is drained"), "{doctor}");
    let refused = appliance.run(&["zone", "drain", "b"]);
    assert!(refused.code == CONFLICT && refused.err.contains("has the copy of the catalog"), "{refused:?}");
    appliance.ok(&["zone", "use", "a"]);
    assert_eq!(appliance.terminate(), 0);

    disks.configure(&counts("catalog = true\n"), &["a"]);
    let refused = disks.refused(&[]);
    assert!(
        refused.code == CONFLICT && refused.err.contains("the configuration has no such zone"),
        "{refused:?}"
    );
    disks.configure(&counts("catalog = false\n"), &["a", "b"]);
    let appliance = disks.start(&[]);
    wait_until(&appliance, |copy| copy["on"] == false && copy["how"].is_string());
    assert_eq!(disks.kept_in("b"), ["lock"]);
    assert_eq!(appliance.terminate(), 0);
    disks.configure(&counts(""), &["a"]);
    let appliance = disks.start(&[]);
    check(&appliance, [0, 3]);
    appliance.kill();
}

#[test]
fn without_the_setting_no_zone_and_no_file_knows_of_a_copy() {
    let disks = Disks::new("", &["a", "b"]);
    let appliance = disks.start(&[]);
    appliance.ok(&["mb", "s3://drill"]);
    disks.must_put(&appliance, &[0]);
    let copy = copy_of(&appliance);
    assert!(copy["on"] == false && copy["how"].as_str().unwrap().contains("copies.catalog = true"), "{copy}");
    assert_eq!(appliance.terminate(), 0);
    assert!(!disks.path("a/catalog").exists() && !disks.path("b/catalog").exists());
    assert!(!disks.path("system/catalog/membership").exists());
    // Nor does the marker of the catalog say more than that of one without zones.
    let layout = fs::read(disks.path("system/catalog/format")).unwrap()[8];
    assert!(layout < 10, "{layout}: docs/formats/catalog.md");
}

/// The file of the copy in a zone's directory.
fn attached_in(disks: &Disks, zone: &str, name: &str) -> PathBuf {
    let copies = fs::read_dir(disks.path(zone).join("catalog")).unwrap();
    let copy = copies.map(|entry| entry.unwrap().path().join("attached")).find(|attached| attached.is_dir());
    copy.unwrap().join(name)
}

#[test]
fn a_master_key_that_rots_stays_good_in_the_zone_and_a_recovery_opens_it_before_it_says_so() {
    let disks = Disks::new(COPIES, &["a", "b"]);
    let appliance = disks.start(&[]);
    appliance.ok(&["mb", "s3://drill"]);
    disks.must_put(&appliance, &[0, 3]);
    wait_until(&appliance, in_zone("a"));
    let (here, there) = (disks.path("system/master.key"), attached_in(&disks, "a", "master.key"));
    let good = fs::read(&here).unwrap();
    let mut rotten = good.clone();
    rotten[20] ^= 1;
    fs::write(&here, &rotten).unwrap();
    // The next look at the small files has passed once this one is there, too.
    appliance.ok(&["backup", "key", &disks.text("system")]);
    while !attached_in(&disks, "a", "recovery.pub").exists() {
        copy_of(&appliance);
    }
    assert!(fs::read(&there).unwrap() == good, "the zone's is the good one");
    let doctor = appliance.run(&["doctor"]);
    assert!(doctor.code == 1 && doctor.out.contains("small-files"), "{doctor:?}");
    assert!(doctor.out.contains("checksum does not match"), "{doctor:?}");
    appliance.kill();

    fs::remove_dir_all(disks.path("system")).unwrap();
    fs::write(&there, &rotten).unwrap();
    let refused = disks.recover("a");
    assert!(refused.code == 7 && refused.err.contains("master.key"), "{refused:?}");
    assert!(!disks.path("system").exists(), "nothing is left of it");
    // A key of another appliance reads right, and opens nothing.
    let other = Disks::new("", &["a"]);
    other.start(&[]).kill();
    fs::copy(other.path("system/master.key"), &there).unwrap();
    let refused = disks.recover("a");
    assert!(refused.code == 7 && refused.err.contains("does not open the key table"), "{refused:?}");
    fs::write(&there, &good).unwrap();
    let recovered = disks.recover("a");
    assert_eq!(recovered.code, 0, "{recovered:?}");
    let appliance = disks.start(&["--accept-loss"]);
    check(&appliance, [0, 3]);
    appliance.kill();
}

#[test]
fn an_empty_mount_point_gets_no_copy_and_a_drained_zone_has_no_key_when_its_disk_comes_back() {
    let disks = Disks::new("[copies]\ncount = 1\ncatalog = true\n", &["a", "b"]);
    let appliance = disks.start(&[]);
    appliance.ok(&["mb", "s3://drill"]);
    disks.must_put(&appliance, &[0]);
    wait_until(&appliance, in_zone("a"));
    let key = attached_in(&disks, "a", "master.key");
    disks.mv("a", "disk of a");
    fs::create_dir(disks.path("a")).unwrap();
    wait_until(&appliance, |copy| copy["state"] == "both" && copy["zone"] == "b");
    disks.must_put(&appliance, &[3]);
    assert!(!disks.path("a/catalog").exists(), "on the disk of whatever the mount point is");
    appliance.ok(&["zone", "drain", "a"]);
    let doctor = appliance.run(&["doctor"]);
    assert!(doctor.code == 1 && !doctor.out.contains("is drained"), "{doctor:?}");
    assert!(doctor.out.contains("was on when firn started is not there"), "{doctor:?}");
    disks.mv("a", "mount point of a");
    disks.mv("disk of a", "a");
    while disks.kept_in("a") != ["lock"] {
        copy_of(&appliance);
    }
    assert!(!key.exists());
    assert_eq!(appliance.terminate(), 0);
    let appliance = disks.start(&[]);
    wait_until(&appliance, in_zone("b"));
    check(&appliance, [0, 3]);
    appliance.kill();
}
