//! The drill with zones: one is added, each is lost in turn, replaced and drained, under the real binary.

#![expect(clippy::unwrap_used, reason = "a test")]

mod support;

use std::fmt::Write;
use std::fs;
use std::path::PathBuf;
use support::{Appliance, Ran, run};

struct Disks {
    root: tempfile::TempDir,
}

/// Inline, one record, several records.
const LENGTHS: [usize; 3] = [100, 20_000, 6 << 20];

fn body(number: usize) -> Vec<u8> {
    (0..LENGTHS[number % 3]).map(|at| u8::try_from((at * 31 + number * 7) % 251).unwrap()).collect()
}

impl Disks {
    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// Writes the configuration: these zones, each in the directory of its name.
    fn configure(&self, zones: &[&str]) {
        self.configure_with(zones, "");
    }

    fn configure_with(&self, zones: &[&str], more: &str) {
        let mut config = more.to_owned();
        for zone in zones {
            write!(config, "[[zone]]\nname = \"{zone}\"\ndirectory = {:?}\n", self.text(zone)).unwrap();
        }
        fs::write(self.path("firn.toml"), config).unwrap();
    }

    fn start(&self) -> Appliance {
        Appliance::start(&self.path("system"), &["--config", &self.text("firn.toml")])
    }

    fn put(&self, appliance: &Appliance, number: usize) {
        let ran = self.try_put(appliance, number);
        assert_eq!(ran.code, 0, "object {number}: {ran:?}");
    }

    fn try_put(&self, appliance: &Appliance, number: usize) -> Ran {
        let file = self.path("body");
        fs::write(&file, body(number)).unwrap();
        once(appliance, &["cp", file.to_str().unwrap(), &format!("s3://drill/{number}")])
    }

    /// Unmounts the disk of a zone, or mounts it again.
    fn mount(&self, zone: &str, mounted: bool) {
        let (place, elsewhere) = (self.path(zone), self.path(&format!("unmounted {zone}")));
        let (from, to) = if mounted { (elsewhere, place) } else { (place, elsewhere) };
        fs::rename(from, to).unwrap();
    }

    fn check(&self, appliance: &Appliance, numbers: std::ops::Range<usize>) {
        for number in numbers {
            let file = self.path("got");
            appliance.ok(&["cp", &format!("s3://drill/{number}"), file.to_str().unwrap()]);
            assert!(fs::read(&file).unwrap() == body(number), "object {number}");
        }
    }

    fn add(&self, zone: &str) -> Ran {
        let (system, place, config) = (self.text("system"), self.text(zone), self.text("firn.toml"));
        run(&["zone", "add", zone, &system, "--directory", &place, "--config", &config, "--json"])
    }

    fn replace(&self, zone: &str) -> Ran {
        run(&["zone", "replace", zone, &self.text("system"), "--config", &self.text("firn.toml"), "--json"])
    }
}

/// A verb that does not try again.
fn once(appliance: &Appliance, args: &[&str]) -> Ran {
    appliance.command(args).env("AWS_MAX_ATTEMPTS", "1").output().unwrap().into()
}

/// Waits until the status is as it should be. Each look is a process: it paces itself.
fn wait_until(appliance: &Appliance, so: impl Fn(&serde_json::Value) -> bool) {
    for _ in 0..2_000 {
        if so(&appliance.ok(&["status", "--json"]).json()) {
            return;
        }
    }
    panic!("it never came: {:?}", appliance.ok(&["status"]));
}

/// Repair is not under way, and nothing is at risk.
fn rests(status: &serde_json::Value) -> bool {
    let repair = &status["repair"];
    let number = |name: &str| repair[name].as_u64().unwrap();
    repair["walking"] == false && number("short_blobs") + number("lost_blobs") + number("queued_blobs") == 0
}

/// The same, in a process that had something to do.
fn repaired(status: &serde_json::Value) -> bool {
    status["repair"]["mended_blobs"].as_u64().unwrap() > 0 && rests(status)
}

fn zone<'a>(status: &'a serde_json::Value, name: &str) -> &'a serde_json::Value {
    status["zones"].as_array().unwrap().iter().find(|zone| zone["name"] == name).unwrap()
}

/// The zones of an object, and how many of its copies are whole.
fn zones_of(appliance: &Appliance, number: usize) -> (Vec<String>, u64) {
    let whereabouts = appliance.ok(&["where", &format!("s3://drill/{number}"), "--json"]).json();
    let places = whereabouts["places"].as_array().unwrap();
    let mut zones: Vec<String> = places.iter().map(|p| p["zone"].as_str().unwrap().to_owned()).collect();
    zones.sort();
    zones.dedup();
    (zones, whereabouts["copies_whole"].as_u64().unwrap())
}

/// Loses a zone of two, replaces its disk, and sees that what was lost is repaired and never called damage.
fn is_lost_and_replaced(disks: &Disks, lost: &str) {
    fs::remove_dir_all(disks.path(lost)).unwrap();
    let appliance = disks.start();
    disks.check(&appliance, 0..9);
    assert!(appliance.dir().join("zones.json").exists());
    assert_eq!(zones_of(&appliance, 2).1, 1);
    let doctor = appliance.run(&["doctor"]);
    let said = format!("zone {lost}: {} has lost its mark", disks.text(lost));
    assert!(doctor.code == 1 && doctor.out.contains(&said), "{doctor:?}");
    assert!(!disks.path(lost).exists(), "nothing is made in its place");
    let log = fs::read_to_string(disks.path("system.log")).unwrap();
    assert!(log.contains("has lost its mark") && log.contains("firn zone replace"), "{log}");
    let status = appliance.ok(&["status", "--json"]).json();
    assert_eq!(status["not_ready_because"][0]["reason"], "too_few_zones", "{status}");
    let refused = disks.try_put(&appliance, 1);
    assert!(refused.code != 0 && refused.err.contains("ServiceUnavailable"), "{refused:?}");
    disks.put(&appliance, 0);
    let running = disks.replace(lost);
    assert!(running.code != 0 && running.err.contains("another firn"), "{running:?}");
    assert_eq!(appliance.terminate(), 0);

    let unmounted = disks.replace(lost);
    assert!(unmounted.code == 4 && unmounted.err.contains("mount its disk"), "{unmounted:?}");
    fs::create_dir(disks.path(lost)).unwrap();
    let replaced = disks.replace(lost);
    assert_eq!(replaced.json()["directories"][0], disks.text(lost), "{replaced:?}");
    let appliance = disks.start();
    // What is missing is known to be: repair in progress, and no damage in doctor or log, now or afterwards.
    let early = appliance.run(&["doctor"]).out;
    assert!(!early.contains("damage"), "{early}");
    wait_until(&appliance, |status| repaired(status) && zone(status, lost)["refilling"] == false);
    let doctor = appliance.run(&["doctor"]).out;
    assert!(!doctor.contains("damage") && !doctor.contains("has a new disk"), "{doctor}");
    let log = fs::read_to_string(disks.path("system.log")).unwrap();
    for wanted in ["a zone has a new disk", "has its copies back"] {
        assert!(log.contains(wanted), "{wanted} is not in the log: {log}");
    }
    for unwanted in ["a segment that rows name is missing", "scrub found damage", "\"ERROR\""] {
        let lines: Vec<&str> = log.lines().filter(|line| line.contains(unwanted)).collect();
        assert!(lines.is_empty(), "{unwanted}: {lines:?}");
    }
    disks.check(&appliance, 0..9);
    assert_eq!(zones_of(&appliance, 2).1, 2);
    appliance.kill();
}

#[test]
fn a_zone_is_added_each_is_lost_replaced_and_drained_and_every_object_stays() {
    let disks = Disks { root: tempfile::tempdir().unwrap() };
    disks.configure(&["a"]);
    let appliance = disks.start();
    appliance.ok(&["mb", "s3://drill"]);
    for number in 0..6 {
        disks.put(&appliance, number);
    }
    assert_eq!(zones_of(&appliance, 1), (vec!["a".to_owned()], 1));
    let missing = disks.add("b");
    assert!(missing.code == 4 && missing.err.contains("is no directory"), "{missing:?}");
    fs::create_dir(disks.path("b")).unwrap();
    let added = disks.add("b").json();
    assert_eq!((&added["copies"], &added["on_one_disk_with"][0]), (&2.into(), &"a".into()), "{added}");
    let written = fs::read(disks.path("firn.toml")).unwrap();
    assert_eq!(disks.add("b").json(), added, "once is enough");
    assert_eq!(fs::read(disks.path("firn.toml")).unwrap(), written);
    appliance.kill();

    let appliance = disks.start();
    wait_until(&appliance, repaired);
    for number in 6..9 {
        disks.put(&appliance, number);
    }
    for number in [1, 2, 4, 5, 7, 8] {
        assert_eq!(zones_of(&appliance, number), (vec!["a".to_owned(), "b".to_owned()], 2));
    }
    appliance.kill();

    for lost in ["a", "b"] {
        is_lost_and_replaced(&disks, lost);
    }

    disks.configure(&["a", "b", "c"]);
    let appliance = disks.start();
    let answer = appliance.ok(&["zone", "drain", "a", "--json"]).json();
    assert_eq!(answer["zone"]["state"], "draining");
    appliance.kill();
    let appliance = disks.start();
    let status = appliance.ok(&["status", "--json"]).json();
    assert_eq!(zone(&status, "a")["state"], "draining", "it goes on after a crash");
    assert!(zone(&status, "a")["disks"][0]["free_bytes"].as_u64().unwrap() > 0, "{status}");
    wait_until(&appliance, |status| zone(status, "a")["live"] == 0 && rests(status));
    let doctor = appliance.run(&["doctor"]).out;
    assert!(doctor.contains("zone a is drained") && doctor.contains("lie on one disk"), "{doctor}");
    let listed = appliance.ok(&["zone", "ls"]).out;
    assert!(listed.starts_with("3 zones, 2 copies of each body kept\n  a          draining"), "{listed}");
    let unknown = appliance.run(&["zone", "drain", "nope"]);
    assert!(unknown.code == 4 && unknown.err.contains("find zone nope"), "{unknown:?}");
    assert!(unknown.err.contains("firn zone ls") && !unknown.err.contains("s3://"), "{unknown:?}");
    let refused = appliance.run(&["zone", "drain", "b"]);
    assert!(refused.code != 0 && refused.err.contains("2 copies are kept"), "{refused:?}");
    assert_eq!(appliance.terminate(), 0);
    fs::remove_dir_all(disks.path("a")).unwrap();
    disks.configure(&["b", "c"]);
    let appliance = disks.start();
    disks.check(&appliance, 0..9);
    disks.put(&appliance, 10);
    assert_eq!(zones_of(&appliance, 10), (vec!["b".to_owned(), "c".to_owned()], 2));
    let status = appliance.ok(&["status", "--json"]).json();
    assert_eq!(status["zones"].as_array().unwrap().len(), 2, "nobody misses it: {status}");
}

#[test]
fn two_zones_that_part_and_come_back_in_the_wrong_order_lose_nothing() {
    let disks = Disks { root: tempfile::tempdir().unwrap() };
    disks.configure_with(&["a", "b"], "[copies]\nshort = \"accept\"\n");
    let appliance = disks.start();
    appliance.ok(&["mb", "s3://drill"]);
    disks.put(&appliance, 1);
    appliance.kill();

    disks.mount("b", false);
    let appliance = disks.start();
    for number in [2, 4] {
        disks.put(&appliance, number);
    }
    assert_eq!(zones_of(&appliance, 4), (vec!["a".to_owned()], 1), "it is accepted at risk");
    appliance.kill();

    disks.mount("a", false);
    disks.mount("b", true);
    let appliance = disks.start();
    disks.check(&appliance, 1..2);
    for number in [2, 4] {
        let got = disks.path("got");
        let ran = once(&appliance, &["cp", &format!("s3://drill/{number}"), got.to_str().unwrap()]);
        assert!(ran.code != 0, "what only the other zone has is not there, and not made up: {ran:?}");
    }
    for number in [5, 7] {
        disks.put(&appliance, number);
    }
    let doctor = appliance.run(&["doctor"]);
    assert!(doctor.code == 1 && doctor.out.contains("zone a: "), "{doctor:?}");
    assert_eq!(appliance.terminate(), 0);

    disks.mount("b", false);
    let ran = run(&["server", &disks.text("system"), "--config", &disks.text("firn.toml")]);
    assert!(
        ran.code != 0 && ran.err.contains("use zone a, b: its disks are not there; mount them"),
        "{ran:?}"
    );

    disks.mount("a", true);
    disks.mount("b", true);
    let appliance = disks.start();
    wait_until(&appliance, repaired);
    for number in [1, 2, 4, 5, 7] {
        disks.check(&appliance, number..number + 1);
        assert_eq!(zones_of(&appliance, number), (vec!["a".to_owned(), "b".to_owned()], 2));
    }
}

#[test]
fn a_zone_is_added_beside_the_pool_of_a_configuration_that_names_none() {
    use std::os::unix::fs::PermissionsExt;
    let disks = Disks { root: tempfile::tempdir().unwrap() };
    let config = disks.path("firn.toml");
    let before = format!("# kept\n[pool]\ndirectory = {:?}\n", disks.text("pool"));
    fs::write(&config, &before).unwrap();
    fs::set_permissions(&config, fs::Permissions::from_mode(0o640)).unwrap();
    let appliance = disks.start();
    appliance.ok(&["mb", "s3://drill"]);
    for number in 0..3 {
        disks.put(&appliance, number);
    }
    fs::create_dir(disks.path("b")).unwrap();
    let (system, place) = (disks.text("system"), disks.text("b"));
    let config_text = disks.text("firn.toml");
    let line = |place: &str, name: &str, more: &[&str]| {
        let words = ["zone", "add", name, &system, "--directory", place, "--config", &config_text];
        run(&[&words[..], more].concat())
    };
    let refused = line(&disks.text("pool"), "b", &[]);
    assert!(refused.code == 2 && refused.err.contains("are not apart"), "{refused:?}");
    let kept = disks.path("b").join("a file of somebody's");
    fs::write(&kept, "kept").unwrap();
    let refused = line(&place, "b", &[]);
    assert!(refused.code == 8 && refused.err.contains("is not empty"), "{refused:?}");
    fs::remove_file(kept).unwrap();
    let planned = line(&place, "b", &["--dry-run"]);
    assert!(planned.code == 0 && planned.out.contains("would be in"), "{planned:?}");
    assert_eq!(fs::read_to_string(&config).unwrap(), before, "a plan changes nothing");
    let added = line(&place, "b", &[]);
    assert!(added.code == 0 && added.out.contains("2 copies in 2 zones"), "{added:?}");
    assert!(added.out.contains("lie on one disk") && added.out.contains("restart"), "{added:?}");
    assert!(fs::read_to_string(&config).unwrap().starts_with(&before));
    assert_eq!(fs::metadata(&config).unwrap().permissions().mode() & 0o777, 0o640);
    appliance.kill();
    let appliance = disks.start();
    wait_until(&appliance, repaired);
    for number in [1, 2] {
        assert_eq!(zones_of(&appliance, number), (vec!["b".to_owned(), "local".to_owned()], 2));
    }
    disks.check(&appliance, 0..3);

    // A disk that goes while the server runs: nobody is told to replace the other one.
    disks.mount("b", false);
    let doctor = appliance.run(&["doctor"]);
    assert!(doctor.code == 1 && doctor.out.contains(&place), "{doctor:?}");
    assert!(!doctor.out.contains(&format!("for the disk of {}", disks.text("pool"))), "{doctor:?}");
}

#[test]
fn onezone_ia_lies_in_one_zone_and_its_copy_in_standard_in_two() {
    let disks = Disks { root: tempfile::tempdir().unwrap() };
    disks.configure(&["a", "b"]);
    let appliance = disks.start();
    appliance.ok(&["mb", "s3://drill"]);
    let file = disks.path("body");
    // One part, and the several of a multipart upload.
    for (number, length) in [(0, 300_000), (1, 20 << 20)] {
        fs::write(&file, vec![7; length]).unwrap();
        let (from, to) = (format!("s3://drill/{number}"), format!("s3://drill/{}", number + 10));
        appliance.ok(&["cp", "--storage-class", "ONEZONE_IA", file.to_str().unwrap(), &from]);
        let places = appliance.ok(&["where", &from, "--json"]).json();
        assert_eq!(places["copies"], 1, "{places}");
        appliance.ok(&["cp", &from, &to, "--storage-class", "STANDARD"]);
        assert_eq!(zones_of(&appliance, number + 10), (vec!["a".to_owned(), "b".to_owned()], 2));
    }
}

#[test]
fn a_zone_path_of_another_appliance_or_zone_is_refused_at_the_start() {
    let disks = Disks { root: tempfile::tempdir().unwrap() };
    disks.configure(&["a", "b"]);
    disks.start().kill();
    let config = format!(
        "[[zone]]\nname = \"a\"\ndirectory = {:?}\n[[zone]]\nname = \"c\"\ndirectory = {:?}\n",
        disks.text("a"),
        disks.text("b")
    );
    fs::write(disks.path("firn.toml"), config).unwrap();
    let ran = run(&["server", &disks.text("system"), "--config", &disks.text("firn.toml")]);
    assert!(ran.code != 0 && ran.err.contains("it is zone b"), "{ran:?}");
    let config = format!(
        "[[zone]]\nname = \"a\"\ndirectory = {:?}\n[[zone]]\nname = \"b\"\ndirectory = {:?}\n",
        disks.text("x"),
        disks.text("b")
    );
    fs::write(disks.path("firn.toml"), config).unwrap();
    let ran = run(&["server", &disks.text("other"), "--config", &disks.text("firn.toml")]);
    assert!(ran.code != 0 && ran.err.contains("it belongs to the appliance of account"), "{ran:?}");
}
