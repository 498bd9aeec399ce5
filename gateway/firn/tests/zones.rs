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
        let mut config = String::new();
        for zone in zones {
            write!(config, "[[zone]]\nname = \"{zone}\"\ndirectory = {:?}\n", self.text(zone)).unwrap();
        }
        fs::write(self.path("firn.toml"), config).unwrap();
    }

    fn start(&self) -> Appliance {
        Appliance::start(&self.path("system"), &["--config", &self.text("firn.toml")])
    }

    fn put(&self, appliance: &Appliance, number: usize) {
        let file = self.path("body");
        fs::write(&file, body(number)).unwrap();
        appliance.ok(&["cp", file.to_str().unwrap(), &format!("s3://drill/{number}")]);
    }

    fn check(&self, appliance: &Appliance, numbers: std::ops::Range<usize>) {
        for number in numbers {
            let file = self.path("got");
            appliance.ok(&["cp", &format!("s3://drill/{number}"), file.to_str().unwrap()]);
            assert!(fs::read(&file).unwrap() == body(number), "object {number}");
        }
    }

    fn replace(&self, zone: &str) -> Ran {
        run(&["zone", "replace", &self.text("system"), zone, "--config", &self.text("firn.toml"), "--json"])
    }
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

/// Repair has nothing left to do, in a process that had something to do.
fn repaired(status: &serde_json::Value) -> bool {
    let repair = &status["repair"];
    let number = |name: &str| repair[name].as_u64().unwrap();
    number("mended_blobs") > 0
        && repair["walking"] == false
        && number("short_blobs") + number("lost_blobs") + number("queued_blobs") == 0
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
    appliance.kill();

    disks.configure(&["a", "b"]);
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
        fs::remove_dir_all(disks.path(lost)).unwrap();
        let appliance = disks.start();
        disks.check(&appliance, 0..9);
        assert!(appliance.dir().join("zones.json").exists());
        assert_eq!(zones_of(&appliance, 2).1, 1);
        let doctor = appliance.run(&["doctor"]);
        let said = format!("zone {lost}: {} has lost its mark", disks.text(lost));
        assert!(doctor.code == 1 && doctor.out.contains(&said), "{doctor:?}");
        assert!(!disks.path(lost).exists(), "nothing is made in its place");
        let running = disks.replace(lost);
        assert!(running.code != 0 && running.err.contains("another firn"), "{running:?}");
        assert_eq!(appliance.terminate(), 0);

        let replaced = disks.replace(lost);
        assert_eq!(replaced.json()["directories"][0], disks.text(lost), "{replaced:?}");
        let appliance = disks.start();
        wait_until(&appliance, repaired);
        disks.check(&appliance, 0..9);
        assert_eq!(zones_of(&appliance, 2).1, 2);
        appliance.kill();
    }

    disks.configure(&["a", "b", "c"]);
    let appliance = disks.start();
    let answer = appliance.ok(&["zone", "drain", "a", "--json"]).json();
    assert_eq!(answer["zone"]["state"], "draining");
    wait_until(&appliance, |status| status["zones"][0]["live"] == 0 && repaired(status));
    let refused = appliance.run(&["zone", "drain", "b"]);
    assert!(refused.code != 0 && refused.err.contains("2 copies are kept"), "{refused:?}");
    assert_eq!(appliance.terminate(), 0);
    fs::remove_dir_all(disks.path("a")).unwrap();
    disks.configure(&["b", "c"]);
    let appliance = disks.start();
    disks.check(&appliance, 0..9);
    disks.put(&appliance, 10);
    assert_eq!(zones_of(&appliance, 10), (vec!["b".to_owned(), "c".to_owned()], 2));
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
