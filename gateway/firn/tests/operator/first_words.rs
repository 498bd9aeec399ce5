//! What a start, a look and an advice say is what is so.

use crate::support::{Appliance, Ran, firn, run};
use crate::{findings, port};
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
fn env_of_a_server_that_was_killed_fails() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("data");
    Appliance::start(&dir, &[]).kill();
    let env = run(&["env", dir.to_str().unwrap()]);
    assert!(env.code == 4 && env.out.lines().last().is_some_and(|last| last.starts_with("false")), "{env:?}");
    assert!(env.err.contains("start it: firn server"), "{env:?}");
}

#[test]
fn doctor_does_not_start_what_a_former_key_brought_back() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("data");
    Appliance::start(&dir, &[]).kill();
    let recovered = r#"{"at_ms":1,"base_version":1,"base_taken_at_ms":1,"version":7,"chunks_beyond_gap":0,"other_key":[8,9],"newer_base":9}"#;
    fs::write(dir.join("recovered.json"), recovered).unwrap();
    let dir = dir.to_str().unwrap();
    let doctor = run(&["doctor", dir]);
    assert!(doctor.out.contains("versions 8 to 9 are sealed to another recovery key"), "{doctor:?}");
    assert!(!doctor.out.contains("fix: firn server"), "{doctor:?}");
    let found = findings(dir, "recovered");
    assert!(found.len() == 1 && found[0]["ok"] == false, "{found:?}");
}

#[test]
fn a_wrong_name_is_not_taken_for_a_matter_of_tls() {
    let root = tempfile::tempdir().unwrap();
    let appliance = Appliance::start(&root.path().join("data"), &[]);
    appliance.ok(&["mb", "s3://words"]);
    let file = root.path().join("f");
    fs::write(&file, "x").unwrap();
    appliance.ok(&["cp", file.to_str().unwrap(), "s3://words/k"]);
    let quota = appliance.run(&["quota", "set", "s3://q", "--bytes", "1MiB"]);
    assert!(quota.code == 2 && !quota.err.contains("TLS"), "{quota:?}");
    let version = appliance.run(&["stat", "s3://words/k", "--version-id", "123"]);
    assert!(!version.err.contains("TLS"), "{version:?}");
    assert!(version.err.contains("firn ls --versions s3://words/k"), "{version:?}");
    let missing = appliance.run(&["where", "s3://words/nope"]);
    assert!(missing.code == 4 && missing.err.contains("firn ls s3://words/"), "{missing:?}");
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

#[test]
fn what_can_not_be_written_to_stdout_says_that() {
    let root = tempfile::tempdir().unwrap();
    let appliance = Appliance::start(&root.path().join("data"), &[]);
    appliance.ok(&["mb", "s3://words"]);
    let file = root.path().join("f");
    fs::write(&file, "x").unwrap();
    appliance.ok(&["cp", file.to_str().unwrap(), "s3://words/k"]);
    for args in [&["cat", "s3://words/k"][..], &["ls"]] {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let ran: Ran = appliance.command(args).stdout(full).output().unwrap().into();
        assert!(ran.code == 1 && ran.err.contains("failed to write to stdout: No space left"), "{ran:?}");
    }
}

#[test]
fn a_pool_that_is_moved_to_another_disk_is_found_where_the_configuration_names_it() {
    let root = tempfile::tempdir().unwrap();
    let (dir, config, disk) =
        (root.path().join("data"), root.path().join("firn.toml"), root.path().join("disk"));
    fs::write(&config, format!("[backup]\ntarget = {:?}\n", root.path().join("backup"))).unwrap();
    let config_text = config.to_str().unwrap();
    let dir_text = dir.to_str().unwrap();
    assert_eq!(Appliance::start(&dir, &[]).terminate(), 0);
    assert_eq!(run(&["backup", "key", dir_text]).code, 0);
    let appliance = Appliance::start(&dir, &["--config", config_text]);
    appliance.ok(&["mb", "s3://moved"]);
    let file = root.path().join("f");
    fs::write(&file, "bytes ".repeat(100_000)).unwrap();
    appliance.ok(&["cp", file.to_str().unwrap(), "s3://moved/k"]);
    let advice = findings(dir_text, "backup").iter().map(ToString::to_string).collect::<String>();
    assert!(advice.contains("move the pool as it is to another disk"), "{advice}");
    assert_eq!(appliance.terminate(), 0);
    fs::create_dir(&disk).unwrap();
    let pool = disk.join("pool");
    fs::rename(dir.join("pools/local"), &pool).unwrap();
    let named = format!("{}[pool]\ndirectory = {pool:?}\n", fs::read_to_string(&config).unwrap());
    fs::write(&config, named).unwrap();
    let appliance = Appliance::start(&dir, &["--config", config_text]);
    assert_eq!(appliance.ok(&["cat", "s3://moved/k"]).out, "bytes ".repeat(100_000));
    assert!(appliance.ok(&["where", "s3://moved/k"]).out.contains("segment"));
}
