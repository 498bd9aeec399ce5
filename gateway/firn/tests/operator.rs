//! What an operator asks of an appliance: is it well, what is wrong, what mends it.

#![expect(clippy::unwrap_used, reason = "a test")]

mod support;

use serde_json::Value;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use support::{Appliance, run};

/// The findings about one thing.
fn findings(dir: &str, check: &str) -> Vec<Value> {
    let all = run(&["doctor", dir, "--json"]).json()["findings"].as_array().unwrap().clone();
    all.into_iter().filter(|finding| finding["check"] == check).collect()
}

/// A directory on another disk than `here`, if there is one.
fn another_disk(here: &Path) -> Option<tempfile::TempDir> {
    let there = tempfile::tempdir_in("/dev/shm").ok()?;
    let device = |path: &Path| fs::metadata(path).unwrap().dev();
    (device(there.path()) != device(here)).then_some(there)
}

#[test]
fn doctor_has_a_line_for_each_disk_and_for_the_backup() {
    let root = tempfile::tempdir().unwrap();
    let elsewhere = another_disk(root.path());
    let (data, target) = (root.path().join("data"), root.path().join("backup"));
    let pool = elsewhere.as_ref().map_or(root.path(), tempfile::TempDir::path).join("pool");
    let config = root.path().join("firn.toml");
    fs::write(&config, format!("[pool]\ndirectory = {pool:?}\n[engine]\nsegment = \"16MiB\"\n")).unwrap();
    let config = config.to_str().unwrap();
    let dir = data.to_str().unwrap();

    let plain = Appliance::start(&data, &["--config", config]);
    assert_eq!(plain.dir(), data);
    let none = findings(dir, "backup");
    assert!(none.len() == 1 && none[0]["ok"] == true, "{none:?}");
    assert!(none[0]["detail"].as_str().unwrap().contains("none configured"), "{none:?}");
    assert!(none[0]["fix"].as_str().unwrap().contains("backup.target"), "{none:?}");
    assert_eq!(findings(dir, "space").len(), 1, "once");
    assert_eq!(findings(dir, "pool-space").len(), usize::from(elsewhere.is_some()));
    let disks = plain.ok(&["status", "--json"]).json();
    assert_eq!(disks["disk"]["directory"], dir);
    if elsewhere.is_some() {
        assert_eq!(disks["pool_disk"]["directory"], pool.to_str().unwrap());
        assert!(disks["pool_disk"]["free_bytes"].as_u64().unwrap() > 0);
    }
    assert_eq!(plain.terminate(), 0);
    assert_eq!(findings(dir, "space").len(), 1, "the server is down: we look ourselves");

    let more = format!("[backup]\ntarget = {target:?}\n");
    fs::write(config, fs::read_to_string(config).unwrap() + &more).unwrap();
    let keyless = Appliance::start(&data, &["--config", config]);
    let keyless_findings = findings(dir, "backup");
    assert_eq!(keyless_findings[0]["ok"], false, "{keyless_findings:?}");
    assert!(keyless_findings[0]["fix"].as_str().unwrap().starts_with("firn backup key "));
    assert_eq!(keyless.terminate(), 0);

    assert_eq!(run(&["backup", "key", dir]).code, 0);
    let appliance = Appliance::start(&data, &["--config", config]);
    appliance.ok(&["backup", "now", dir]);
    let good = findings(dir, "backup");
    assert!(good.iter().all(|finding| finding["ok"] == true), "{good:?}");
    assert!(good[0]["detail"].as_str().unwrap().contains("last base "), "{good:?}");
    assert!(
        good.iter().any(|finding| finding["detail"].as_str().unwrap().contains("the disk that it protects")),
        "{good:?}"
    );
    fs::rename(&target, root.path().join("away")).unwrap();
    fs::write(&target, "no directory").unwrap();
    assert_eq!(appliance.run(&["backup", "now", dir]).code, 1);
    let gone = findings(dir, "backup");
    assert_eq!(gone[0]["ok"], false, "{gone:?}");
    assert!(gone[0]["fix"].as_str().unwrap().contains("bring directory"), "{gone:?}");
    assert_eq!(appliance.run(&["doctor", dir]).code, 1);
    appliance.kill();
}

#[test]
fn a_pool_of_another_appliance_is_refused_with_the_next_step() {
    let root = tempfile::tempdir().unwrap();
    let (one, two) = (root.path().join("one"), root.path().join("two"));
    assert_eq!(Appliance::start(&one, &[]).terminate(), 0);
    assert_eq!(Appliance::start(&two, &[]).terminate(), 0);
    let config = root.path().join("firn.toml");
    fs::write(&config, format!("[pool]\ndirectory = {:?}\n", one.join("pools/local"))).unwrap();
    let before = fs::read(one.join("pools/local/owner.json")).unwrap();
    let (dir, config) = (two.to_str().unwrap(), config.to_str().unwrap());
    let refused =
        run(&["server", dir, "--config", config, "--http", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    assert_eq!(refused.code, 8, "{refused:?}");
    assert!(refused.err.contains("it belongs to the appliance of account"), "{refused:?}");
    assert!(refused.err.contains("pool.directory"), "{refused:?}");
    assert_eq!(fs::read(one.join("pools/local/owner.json")).unwrap(), before, "left alone");
    assert_eq!(Appliance::start(&one, &[]).terminate(), 0);
}
