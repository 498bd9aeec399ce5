//! The drill with the catalog in two places: the data directory's disk is lost under load and comes back from a zone, and two
//! directories that parted are told apart, under the real binary.

#![expect(clippy::unwrap_used, reason = "a test")]

mod support;

use serde_json::Value;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
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
    /// Zones a and b, each in the directory of its name, and more lines of configuration.
    fn new(more: &str) -> Self {
        let disks = Self { root: tempfile::tempdir().unwrap() };
        let zone = |name: &str| format!("[[zone]]\nname = \"{name}\"\ndirectory = {:?}\n", disks.text(name));
        fs::write(disks.path("firn.toml"), [more.to_owned(), zone("a"), zone("b")].concat()).unwrap();
        disks
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    fn mv(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).unwrap();
    }

    fn start(&self, more: &[&str]) -> Appliance {
        Appliance::start(&self.path("system"), &[&["--config", &self.text("firn.toml")], more].concat())
    }

    /// A start that does not come to open doors.
    fn refused(&self, more: &[&str]) -> Ran {
        let (system, config) = (self.text("system"), self.text("firn.toml"));
        let doors = ["--http", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
        run(&[&["server", &system, "--config", &config], &doors[..], more].concat())
    }

    fn recover(&self) -> Ran {
        run(&["recover", &self.text("system"), "--from-zone", &self.text("b"), "--json"])
    }

    fn put(&self, appliance: &Appliance, number: usize) -> bool {
        let file = self.path(&format!("body-{number}"));
        fs::write(&file, body(number)).unwrap();
        let (file, target) = (file.to_str().unwrap(), format!("s3://drill/{number}"));
        let mut command = appliance.command(&["cp", file, &target]);
        command.env("AWS_MAX_ATTEMPTS", "1").output().unwrap().status.success()
    }
}

fn has(appliance: &Appliance, number: usize) -> bool {
    let got = appliance.command(&["cat", &format!("s3://drill/{number}")]).output().unwrap();
    if got.status.success() {
        assert!(got.stdout == body(number), "object {number} came back changed");
    } else {
        assert_eq!(got.status.code(), Some(4), "object {number}: {got:?}");
    }
    got.status.success()
}

fn status(appliance: &Appliance) -> Value {
    appliance.ok(&["status", "--json"]).json()
}

fn copy(appliance: &Appliance) -> Value {
    status(appliance)["catalog"]["copy"].clone()
}

/// Waits until the catalog's copies stand so. Each look is a process: it paces itself.
fn wait_until(appliance: &Appliance, state: &str) -> Value {
    for _ in 0..2_000 {
        let copy = copy(appliance);
        if copy["state"] == state {
            return copy;
        }
    }
    panic!("it never came: {}", copy(appliance));
}

/// What a writer writes as its nth: two small ones, that lie in the catalog alone, for a larger one.
fn written(writer: usize, n: usize) -> usize {
    999 * (writer + 1) + [0, 3, 1][n % 3] + 6 * (n / 3)
}

/// Ends a server at once, as the loss of its machine would.
fn kill(appliance: &Appliance) {
    let pid = fs::read_to_string(appliance.dir().join("lock")).unwrap();
    assert!(Command::new("kill").args(["-KILL", pid.trim()]).status().unwrap().success());
}

/// Has two writers go on until nobody answers any more, and kills the server among that: what was acknowledged.
fn lose_under_load(disks: &Disks, appliance: Appliance) -> Vec<usize> {
    // What was answered is counted before the next one begins.
    let (answered, stop) = ([AtomicUsize::new(0), AtomicUsize::new(0)], AtomicBool::new(false));
    std::thread::scope(|scope| {
        for (writer, answered) in answered.iter().enumerate() {
            let (appliance, stop) = (&appliance, &stop);
            scope.spawn(move || {
                for number in (0..).map(|n| written(writer, n)) {
                    if stop.load(Ordering::Relaxed) || !disks.put(appliance, number) {
                        break;
                    }
                    answered.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        // Both are at work, each look at the status takes as long as some writes.
        while answered.iter().any(|answered| answered.load(Ordering::SeqCst) < 6) {
            assert_eq!(copy(&appliance)["state"], "both");
        }
        kill(&appliance);
        stop.store(true, Ordering::Relaxed);
    });
    drop(appliance);
    (0..6)
        .chain(answered.iter().enumerate().flat_map(|(writer, answered)| {
            let count = answered.load(Ordering::SeqCst);
            (0..count).map(move |n| written(writer, n))
        }))
        .collect()
}

#[test]
fn a_data_directory_lost_under_load_comes_back_from_a_zone_with_every_acknowledged_write() {
    let disks = Disks::new("");
    let appliance = disks.start(&[]);
    appliance.ok(&["mb", "s3://drill"]);
    assert!(disks.put(&appliance, 0));
    wait_until(&appliance, "both");
    for number in 1..6 {
        assert!(disks.put(&appliance, number));
    }
    appliance.ok(&["quota", "set", "s3://drill", "--objects", "1000"]);
    let whereabouts = appliance.ok(&["where", "s3://drill/3", "--json"]).json();
    assert_eq!((&whereabouts["copies"], &whereabouts["copies_whole"]), (&2.into(), &2.into()));
    assert_eq!(whereabouts["places"][1]["zone"], "b", "{whereabouts}");
    let listed = appliance.ok(&["zone", "ls"]).out;
    assert!(listed.contains("catalog    in the data directory and in zone b, epoch 2"), "{listed}");
    let account = status(&appliance)["account_id"].clone();
    let keys = || {
        ["credentials", "admin-token", "master.key"]
            .map(|name| fs::read(disks.path("system").join(name)).unwrap())
    };
    let keys_before = keys();

    let acknowledged = lose_under_load(&disks, appliance);
    disks.mv("system", "lost");

    let refused = disks.refused(&[]);
    assert!(refused.code == 8 && refused.err.contains("firn recover"), "{refused:?}");
    let recovered = disks.recover();
    assert_eq!(recovered.code, 0, "{recovered:?}");
    assert_eq!((&recovered.json()["zone"], &recovered.json()["epoch"]), (&"b".into(), &2.into()));
    assert_eq!(disks.recover().code, 2, "an appliance is there now");
    assert!(keys() == keys_before, "the same keys");

    // It is not known whether the lost one went on alone: reads go on, nothing is taken over.
    let marks =
        || [fs::read(disks.path("a/owner.json")).unwrap(), fs::read(disks.path("b/zone.json")).unwrap()];
    let before = marks();
    let appliance = disks.start(&[]);
    for &number in &acknowledged {
        assert!(has(&appliance, number), "object {number} was acknowledged");
    }
    assert!(!disks.put(&appliance, 10_000));
    let doctor = appliance.run(&["doctor"]);
    assert!(doctor.code == 1 && doctor.out.contains("--accept-loss"), "{doctor:?}");
    assert_eq!(copy(&appliance)["state"], "read_only");
    assert_eq!(appliance.terminate(), 0);
    assert!(marks() == before, "nothing is taken over by who may not write");

    let appliance = disks.start(&["--accept-loss"]);
    assert_eq!(status(&appliance)["account_id"], account);
    let epoch = wait_until(&appliance, "both")["epoch"].as_u64().unwrap();
    assert_eq!(epoch, 4);
    for &number in &acknowledged {
        assert!(has(&appliance, number), "object {number} was acknowledged");
    }
    assert!(appliance.ok(&["quota", "ls"]).out.contains("s3://drill"));
    assert!(disks.put(&appliance, 10_000));
    appliance.kill();
    // Once is enough; and the lost directory, should it turn up, is refused.
    let appliance = disks.start(&[]);
    assert!(has(&appliance, 10_000));
    appliance.kill();
    disks.mv("system", "recovered");
    disks.mv("lost", "system");
    for more in [&[][..], &["--accept-loss"]] {
        let refused = disks.refused(more);
        assert!(refused.code == 8 && refused.err.contains("took it over"), "{refused:?}");
    }
}

#[test]
fn a_zone_that_goes_away_is_recorded_and_its_old_copy_is_never_taken_for_the_newest() {
    let disks = Disks::new("[copies]\nshort = \"accept\"\n");
    let appliance = disks.start(&[]);
    appliance.ok(&["mb", "s3://drill"]);
    wait_until(&appliance, "both");
    assert!(disks.put(&appliance, 0));
    disks.mv("b", "unmounted");
    let alone = wait_until(&appliance, "alone");
    assert!(alone["reason"].as_str().unwrap().contains("no longer in"), "{alone}");
    let doctor = appliance.run(&["doctor"]);
    assert!(
        doctor.code == 1 && doctor.out.contains("the catalog lies in the data directory alone"),
        "{doctor:?}"
    );
    assert!(!disks.path("b").exists(), "nothing is made in its place");
    assert!(disks.put(&appliance, 3));
    appliance.kill();
    // It goes on unasked, for it said so before.
    let appliance = disks.start(&[]);
    assert!(disks.put(&appliance, 6) && has(&appliance, 3));
    appliance.kill();

    disks.mv("system", "elsewhere");
    disks.mv("unmounted", "b");
    assert_eq!(disks.recover().code, 0);
    let appliance = disks.start(&[]);
    let copy = copy(&appliance);
    assert!(copy["reason"].as_str().unwrap().contains("zone b (epoch 2)"), "{copy}");
    assert!(has(&appliance, 0) && !has(&appliance, 3));
    assert_eq!(appliance.run(&["mb", "s3://more"]).code, 1);
    assert_eq!(appliance.terminate(), 0);
    // The one that went on comes back after all: nothing was taken from it.
    disks.mv("system", "made from b");
    disks.mv("elsewhere", "system");
    let appliance = disks.start(&[]);
    wait_until(&appliance, "both");
    for number in [0, 3, 6] {
        assert!(has(&appliance, number));
    }
    appliance.kill();
    disks.mv("system", "elsewhere");
    disks.mv("made from b", "system");
    let refused = disks.refused(&["--accept-loss"]);
    assert!(refused.code == 8 && refused.err.contains("knows more than this directory"), "{refused:?}");
}

#[test]
fn a_catalog_that_is_to_have_one_place_has_one() {
    let disks = Disks::new("");
    let appliance = disks.start(&[]);
    wait_until(&appliance, "both");
    appliance.kill();
    let text = fs::read_to_string(disks.path("firn.toml")).unwrap();
    fs::write(disks.path("firn.toml"), format!("[catalog]\ncopies = 1\n{text}")).unwrap();
    let appliance = disks.start(&[]);
    wait_until(&appliance, "alone");
    let doctor = appliance.run(&["doctor"]).out;
    assert!(!doctor.contains("backup's to mend"), "it is as it is to be: {doctor}");
    // The worker takes it away. Each look is a process: it paces itself.
    let there = || disks.path("b/catalog").exists();
    for _ in (0..2_000).take_while(|_| there()) {
        assert_eq!(copy(&appliance)["state"], "alone");
    }
    assert!(!there(), "keys lay there");
    appliance.kill();
}
