//! What a start, a look and an advice say is what is so.

use crate::support::{Appliance, Ran, firn, run};
use crate::port;
use std::fs;

#[test]
fn a_start_that_made_an_appliance_says_so_and_a_later_one_does_not() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("data");
    let log = |appliance: Appliance| {
        assert_eq!(appliance.terminate(), 0);
        fs::read_to_string(dir.with_extension("log")).unwrap()
    };
    let first = log(Appliance::start(&dir, &[]));
    let made = first.lines().find(|line| line.contains("made a new appliance")).unwrap_or_default();
    assert!(made.contains(dir.to_str().unwrap()) && made.contains("account"), "{first}");
    let second = log(Appliance::start(&dir, &[]));
    assert!(!second.contains("made a new appliance"), "{second}");
}

#[test]
fn a_pool_goes_where_its_disk_is_mounted_and_nowhere_else() {
    let root = tempfile::tempdir().unwrap();
    let (dir, config) = (root.path().join("data"), root.path().join("firn.toml"));
    let pool = root.path().join("unmounted/pool");
    fs::write(&config, format!("[pool]\ndirectory = {pool:?}\n")).unwrap();
    let (dir_text, config) = (dir.to_str().unwrap(), config.to_str().unwrap());
    let (http, admin) = (port::Port::take(), port::Port::take());
    let (http, admin) = (http.address.to_string(), admin.address.to_string());
    let start = ["server", dir_text, "--config", config, "--http", &http, "--admin", &admin];
    let refused = run(&start);
    assert!(refused.code == 4 && refused.err.contains("unmounted is no directory"), "{refused:?}");
    assert!(refused.err.contains("mount its disk"), "{refused:?}");
    assert!(!pool.exists() && !dir.exists(), "nothing is made");
    let checked = run(&["config", "check", config]);
    assert!(checked.code == 0 && checked.out.contains("not there"), "{checked:?}");
    fs::create_dir(root.path().join("unmounted")).unwrap();
    let appliance = Appliance::start(&dir, &["--config", config]);
    assert_eq!(appliance.terminate(), 0);
    fs::rename(root.path().join("unmounted"), root.path().join("gone")).unwrap();
    let refused = run(&start);
    assert!(refused.code == 4 && refused.err.contains("mount the pool's disk"), "{refused:?}");
    assert!(!pool.exists(), "it has one, and that is away");
    fs::create_dir_all(&pool).unwrap();
    let refused = run(&start);
    assert!(refused.code == 4 && refused.err.contains("mount the pool's disk"), "{refused:?}");
    assert_eq!(fs::read_dir(&pool).unwrap().count(), 0);
}

#[test]
fn config_check_shows_what_the_server_would_run_with_and_what_it_did_not_look_at() {
    let root = tempfile::tempdir().unwrap();
    let config = root.path().join("firn.toml");
    fs::write(&config, "[http]\nlisten = \"127.0.0.1:9100\"\n").unwrap();
    let check = |name: &str, value: &str| -> Ran {
        firn().args(["config", "check", config.to_str().unwrap()]).env(name, value).output().unwrap().into()
    };
    let plain = check("NOTHING", "");
    assert!(plain.code == 0 && plain.out.contains("127.0.0.1:9100"), "{plain:?}");
    assert!(plain.out.contains("not looked at: "), "{plain:?}");
    let http = check("FIRN_HTTP", "127.0.0.1:7777");
    assert!(http.code == 0 && http.out.contains("127.0.0.1:7777"), "{http:?}");
    assert!(http.out.contains("with FIRN_HTTP"), "{http:?}");
    let region = check("FIRN_REGION", "eu-here-1");
    assert!(region.code == 0 && region.out.contains("eu-here-1"), "{region:?}");
    let bogus = check("FIRN_HTTP", "bogus");
    assert!(bogus.code == 2 && bogus.err.contains("FIRN_HTTP"), "{bogus:?}");
}

#[test]
fn the_budget_of_bodies_is_in_the_status() {
    let root = tempfile::tempdir().unwrap();
    let config = root.path().join("firn.toml");
    fs::write(&config, "[http]\nbodies = \"128MiB\"\n").unwrap();
    let appliance = Appliance::start(&root.path().join("data"), &["--config", config.to_str().unwrap()]);
    let status = appliance.ok(&["status", "--json"]).json();
    let bodies = &status["bodies"];
    assert_eq!(bodies["max_bytes"], 128 << 20, "{bodies}");
    for name in ["held_bytes", "refused", "ended"] {
        assert_eq!(bodies[name], 0, "{name}: {bodies}");
    }
    let people = appliance.ok(&["status"]).out;
    assert!(people.contains("bodies") && people.contains("128.0 MiB"), "{people}");
    fs::write(&config, "[http]\nbodies = \"1MiB\"\n").unwrap();
    let small = run(&["config", "check", config.to_str().unwrap()]);
    assert!(small.code == 2 && !small.err.contains("..="), "{small:?}");
    fs::write(&config, "[http]\nbodies = \"900GiB\"\n").unwrap();
    let large = run(&["config", "check", config.to_str().unwrap()]);
    assert!(large.code == 0 && large.out.contains("more than this machine has"), "{large:?}");
}
