//! What a start, a look and an advice say is what is so.

use crate::support::{Appliance, Ran, firn, run};
use crate::{findings, port};
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

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
    let said = checked.out.lines().next().unwrap_or_default();
    assert!(checked.code == 4 && said.contains("not all that it names is there"), "{checked:?}");
    assert!(checked.out.contains(&format!("not there: {}", pool.display())), "{checked:?}");
    fs::create_dir(root.path().join("unmounted")).unwrap();
    let checked = run(&["config", "check", config]);
    assert!(checked.code == 0 && checked.out.contains("is fine"), "the start makes it: {checked:?}");
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
    let unknown = check("FIRN_HTP", "127.0.0.1:7777");
    assert!(unknown.out.contains("not known, and passed over: FIRN_HTP\n"), "{unknown:?}");
    let bogus = check("FIRN_HTTP", "bogus");
    assert!(bogus.code == 2 && bogus.err.contains("FIRN_HTTP"), "{bogus:?}");
}

#[test]
fn config_check_tells_people_and_scripts_what_the_file_says() {
    let root = tempfile::tempdir().unwrap();
    let config = root.path().join("firn.toml");
    let text = "new-bucket-ownership = \"object-writer\"\n[http]\nwebsite-domains = [\"web.test\"]\n\
        legacy-form-signatures = true\n[events]\nwaiting = 2000\n[access-logs]\nevery = \"7s\"\n[log]\nformat = \"json\"\n\
        [vault]\nenabled = true\n[[medium]]\nname = \"shelf-07\"\nkind = \"shelf\"\npath = \"/media/shelf-07\"\n";
    fs::write(&config, text).unwrap();
    let config = config.to_str().unwrap();
    let people = run(&["config", "check", config]);
    for said in [
        "object-writer",
        "web.test",
        "legacy forms  taken",
        "at most 2000",
        "every 7s",
        "format json",
        "shelf-07: shelf at /media/shelf-07",
    ] {
        assert!(people.out.contains(said), "{said}: {people:?}");
    }
    let json = run(&["config", "check", config, "--json"]).json();
    assert_eq!(json["new_bucket_ownership"], "object-writer");
    assert_eq!(json["website_domains"], serde_json::json!(["web.test"]));
    assert_eq!(json["legacy_form_signatures"], true);
    assert_eq!((&json["events_waiting_max"], &json["access_logs_every_ms"]), (&2000.into(), &7000.into()));
    assert_eq!(json["log_format"], "json");
    assert_eq!(json["vault"]["media"][0]["name"], "shelf-07");
}

#[test]
fn what_is_said_to_start_it_again_names_the_configuration_of_its_last_start() {
    let root = tempfile::tempdir().unwrap();
    let (dir, config) = (root.path().join("data"), root.path().join("my firn.toml"));
    fs::write(&config, format!("[pool]\ndirectory = {:?}\n", root.path().join("pool"))).unwrap();
    let (dir_text, config) = (dir.to_str().unwrap(), config.to_str().unwrap());
    Appliance::start(&dir, &["--config", config]).kill();
    let line = format!("firn server {dir_text} --config '{config}'");
    let says = |verb: &str| {
        let ran = run(&[verb, dir_text]);
        assert!(format!("{}{}", ran.out, ran.err).contains(&line), "{verb}: {ran:?}");
    };
    says("doctor");
    says("env");
    // One that ended in order has no doors that could be asked.
    assert_eq!(Appliance::start(&dir, &["--config", config]).terminate(), 0);
    says("status");
    // Of the last start: one without says nothing of it.
    let plain = root.path().join("plain");
    let empty = root.path().join("empty.toml");
    fs::write(&empty, "").unwrap();
    Appliance::start(&plain, &["--config", empty.to_str().unwrap()]).kill();
    Appliance::start(&plain, &[]).kill();
    let ran = run(&["env", plain.to_str().unwrap()]);
    assert!(ran.err.contains("start it: firn server") && !ran.err.contains("--config"), "{ran:?}");
}

#[test]
fn doctor_finds_what_keeps_a_start_from_it() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("data");
    Appliance::start(&dir, &[]).kill();
    fs::write(dir.join("admin-token"), "").unwrap();
    let found = findings(dir.to_str().unwrap(), "admin-token");
    assert!(found.len() == 1 && found[0]["ok"] == false, "{found:?}");
    assert!(found[0]["fix"].as_str().unwrap().contains("rm "), "{found:?}");
    let start = ["server", dir.to_str().unwrap(), "--http", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
    let refused = run(&start);
    let detail = found[0]["detail"].as_str().unwrap();
    assert!(refused.code == 2 && refused.err.contains(detail), "{detail}: {refused:?}");
    fs::remove_file(dir.join("admin-token")).unwrap();
    let elsewhere = firn().args(start).env("FIRN_REGION", "eu-west-1").output().unwrap();
    let elsewhere: Ran = elsewhere.into();
    assert!(elsewhere.code == 2 && elsewhere.err.contains("it was made in us-east-1"), "{elsewhere:?}");
    assert!(elsewhere.err.contains("leave the region out"), "{elsewhere:?}");
}

/// A GET of a URL, as it is answered.
fn get(url: &str, headers: &str) -> String {
    let (host, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut connection = TcpStream::connect(host).unwrap();
    write!(connection, "GET /{path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n{headers}\r\n").unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_rehearsal_says_so_at_both_doors_and_its_signatures_last_as_long_as_real_ones() {
    let root = tempfile::tempdir().unwrap();
    let asked = |appliance: &Appliance| {
        let token = fs::read_to_string(appliance.dir().join("admin-token")).unwrap();
        let bearer = format!("authorization: Bearer {}\r\n", token.trim());
        let door = |name: &str| appliance.vars.iter().find(|(known, _)| known == name).unwrap().1.clone();
        let s3 = get(&format!("{}/", door("AWS_ENDPOINT_URL")), "");
        (s3.to_lowercase(), get(&format!("{}/metrics", door("FIRN_ADMIN_URL")), &bearer))
    };
    let real = Appliance::start(&root.path().join("real"), &[]);
    let (s3, metrics) = asked(&real);
    assert!(!s3.contains("x-firn-debug-day") && !metrics.contains("firn_debug_day"), "{s3}");

    // Scaled by such a day, a link for an hour would live for 4 ms, and clocks might differ by 1 ms.
    let rehearsal = Appliance::start(&root.path().join("rehearsal"), &["--debug-day", "100ms"]);
    let (s3, metrics) = asked(&rehearsal);
    assert!(s3.contains("\r\nx-firn-debug-day: 100ms\r\n"), "{s3}");
    assert!(metrics.contains("firn_debug_day_seconds 0.1\n"), "{metrics}");
    rehearsal.ok(&["mb", "s3://bucket"]);
    let file = root.path().join("file");
    fs::write(&file, "rehearsed").unwrap();
    rehearsal.ok(&["cp", file.to_str().unwrap(), "s3://bucket/k"]);
    let link = rehearsal.ok(&["share", "s3://bucket/k", "--expires", "1h", "--json"]).json();
    let url = link["url"].as_str().unwrap().to_owned();
    assert!(url.contains("X-Amz-Expires=3600"), "{link}");
    for _ in 0..2 {
        let answer = get(&url, "");
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("rehearsed"), "{answer}");
        rehearsal.ok(&["ls", "s3://bucket"]);
    }
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
    let short = appliance.run(&["restore", "s3://b/k"]);
    assert!(short.code == 2 && short.err.contains("3 to 63"), "{short:?}");
    let short = appliance.run(&["where", "s3://b/k"]);
    assert!(
        short.code == 2 && short.err.contains("beginning and ending with a letter or digit"),
        "{short:?}"
    );
    let version = appliance.run(&["where", "s3://words/k", "--version-id", "zz"]);
    assert!(version.err.contains("firn ls --versions"), "{version:?}");
    let elsewhere = appliance.run(&["ls", "--region", "eu-there-1"]);
    assert!(elsewhere.err.contains("--region us-east-1"), "{elsewhere:?}");
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
