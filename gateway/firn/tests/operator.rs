//! What an operator asks of an appliance: is it well, what is wrong, what mends it.

#![expect(clippy::unwrap_used, reason = "a test")]

#[path = "operator/first_words.rs"]
mod first_words;
#[path = "operator/lost_catalog.rs"]
mod lost_catalog;
#[path = "support/port.rs"]
mod port;
#[path = "operator/process.rs"]
mod process;
#[path = "operator/small_disk.rs"]
mod small_disk;
mod support;
#[path = "operator/unread.rs"]
mod unread;
#[path = "operator/wrong_doors.rs"]
mod wrong_doors;

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use support::{Appliance, Ran, firn, run};

/// The findings about one thing.
fn findings(dir: &str, check: &str) -> Vec<Value> {
    let all = run(&["doctor", dir, "--json"]).json()["findings"].as_array().unwrap().clone();
    all.into_iter().filter(|finding| finding["check"] == check).collect()
}

/// A directory on another disk than `here`, if there is one.
fn another_disk(here: &Path) -> Option<tempfile::TempDir> {
    let memory = std::env::var_os("FIRN_MEMORY").unwrap_or_else(|| "/dev/shm".into());
    let Ok(there) = tempfile::tempdir_in(&memory) else {
        let memory = memory.display();
        let _unwritable =
            writeln!(std::io::stdout(), "SKIPPED a disk of the pool's own: {memory} takes no directory");
        return None;
    };
    let device = |path: &Path| fs::metadata(path).unwrap().dev();
    let differs = device(there.path()) != device(here);
    if !differs {
        let _unwritable = writeln!(
            std::io::stdout(),
            "SKIPPED a disk of the pool's own: FIRN_MEMORY, or /dev/shm, lies on the same"
        );
    }
    differs.then_some(there)
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
    let how = keyless.ok(&["status", "--json"]).json()["backup"]["how"].as_str().unwrap().to_owned();
    assert!(how.starts_with("make a recovery key"), "{how}");
    let now = keyless.run(&["backup", "now", dir]);
    assert!(now.code == 8 && now.err.contains(&how), "{now:?}");
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
    let log = fs::read_to_string(data.with_extension("log")).unwrap();
    let line = log.lines().find(|line| line.contains("backup base complete")).expect("it is logged");
    assert!(line.matches("\"target\":").count() == 1 && line.contains("\"place\":\"directory "), "{line}");
}

#[test]
fn what_the_configuration_says_and_what_the_architecture_names_is_what_runs() {
    let root = tempfile::tempdir().unwrap();
    let (data, config) = (root.path().join("data"), root.path().join("firn.toml"));
    let text = "[http]\nbase-domains = [\"s3.example\"]\nconnections = 1\n[engine]\nsegment = \"16MiB\"\n";
    fs::write(&config, text).unwrap();
    let appliance = Appliance::start(&data, &["--config", config.to_str().unwrap()]);
    let file = root.path().join("file");
    fs::write(&file, vec![1; 100_000]).unwrap();
    appliance.ok(&["mb", "s3://configured"]);
    appliance.ok(&["cp", file.to_str().unwrap(), "s3://configured/k"]);
    let segments: Vec<u64> = fs::read_dir(data.join("pools/local"))
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().extension().is_some_and(|extension| extension == "seg"))
        .map(|entry| entry.metadata().unwrap().len())
        .collect();
    assert!(!segments.is_empty() && segments.iter().all(|size| *size == 16 << 20), "{segments:?}");

    let top = appliance.ok(&["top", "--once", "--json"]).json();
    let mut workers: Vec<&str> =
        top["workers"].as_array().unwrap().iter().map(|worker| worker["name"].as_str().unwrap()).collect();
    workers.sort_unstable();
    for name in [
        "bucket-finisher",
        "collector",
        "compactor",
        "compliance-clock",
        "copy-intents",
        "quotas",
        "recycler",
        "scrubber",
        "upload-cleanup",
        "zeroer",
    ] {
        assert!(workers.contains(&name), "{name}: {workers:?}");
    }

    let address = fs::read_to_string(data.join("run/http.addr")).unwrap().trim().to_owned();
    let ask = |host: &str| {
        let mut door = TcpStream::connect(&address).unwrap();
        door.set_read_timeout(Some(std::time::Duration::from_mins(1))).unwrap();
        door.write_all(format!("GET / HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n").as_bytes())
            .unwrap();
        let mut answer = String::new();
        door.read_to_string(&mut answer).unwrap();
        answer
    };
    assert!(ask("configured.s3.example").contains("<Resource>/configured"), "the bucket is in the host");
    assert!(ask("configured.elsewhere").contains("<Resource>/</Resource>"));
    // The only connection is taken: the next one is not answered while it lives.
    let mut first = TcpStream::connect(&address).unwrap();
    first.write_all(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n").unwrap();
    assert_eq!(first.read(&mut [0; 64]).unwrap(), 64);
    let mut second = TcpStream::connect(&address).unwrap();
    second.set_read_timeout(Some(std::time::Duration::from_millis(200))).unwrap();
    second.write_all(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n").unwrap();
    assert!(second.read(&mut [0; 64]).is_err(), "one connection at a time");
    drop(first);
    second.set_read_timeout(Some(std::time::Duration::from_mins(1))).unwrap();
    assert!(second.read(&mut [0; 64]).unwrap() > 0);
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

/// An endpoint that answers everything with the same.
fn endpoint_that_answers(answer: String) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = Vec::new();
            while !request.windows(4).any(|window| window == b"\r\n\r\n") {
                let mut piece = [0; 4096];
                let got = stream.read(&mut piece).unwrap();
                request.extend_from_slice(&piece[..got]);
            }
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    format!("http://{address}")
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n{headers}\r\n{body}")
}

#[test]
fn each_exit_code_of_the_table_is_seen() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/cli.md")).unwrap();
    let table = page.split("## Exit codes").nth(1).unwrap().split("\n## ").next().unwrap();
    let mut wanted: Vec<i32> =
        table.lines().filter_map(|line| line.strip_prefix("| ")?.split(' ').next()?.parse().ok()).collect();
    let root = tempfile::tempdir().unwrap();
    let appliance = Appliance::start(&root.path().join("data"), &[]);
    appliance.ok(&["mb", "s3://codes"]);
    let tree = root.path().join("tree");
    fs::create_dir(&tree).unwrap();
    fs::write(tree.join("good"), "x").unwrap();
    std::os::unix::fs::symlink("/nonexistent/file", tree.join("dangling")).unwrap();
    let (tree, good) = (tree.to_str().unwrap(), tree.join("good"));
    let good = good.to_str().unwrap();
    let archived = "<Error><Code>InvalidObjectState</Code><Message>archived</Message></Error>";
    let archived = endpoint_that_answers(answer("403 Forbidden", "", archived));
    let flipped = answer(
        "200 OK",
        "x-amz-request-id: R\r\nx-amz-checksum-crc64nvme: AAAAAAAAAAA=\r\netag: \"a\"\r\n",
        "wrong",
    );
    let flipped = endpoint_that_answers(flipped);
    let cases: [(i32, &[&str]); 9] = [
        (0, &["ls"]),
        (1, &["ls", "--endpoint", "http://127.0.0.1:1"]),
        (2, &["cp", "a", "b"]),
        (3, &["cp", "-r", tree, "s3://codes/tree"]),
        (4, &["cat", "s3://codes/none"]),
        (5, &["ls", "--no-sign-request"]),
        (6, &["cat", "s3://codes/old", "--endpoint", &archived]),
        (7, &["cp", "s3://codes/bad", &format!("{good}.copy"), "--endpoint", &flipped]),
        (8, &["rb", "s3://codes"]),
    ];
    for (code, args) in cases {
        let ran: Ran = appliance.command(args).env("AWS_MAX_ATTEMPTS", "1").output().unwrap().into();
        assert_eq!(ran.code, code, "{args:?}: {ran:?}");
        wanted.retain(|wanted| *wanted != code);
    }
    assert!(!Path::new(&format!("{good}.copy")).exists(), "what fails its checksum is not there");
    // Proven by `ctrl_c_ends_with_130_and_leaves_no_object`.
    assert_eq!(wanted, [130], "every code of the page is tried");
}

#[test]
fn what_failed_before_a_list_broke_off_is_told_too() {
    let page = "<ListBucketResult><Name>b</Name><IsTruncated>true</IsTruncated>\
                <NextContinuationToken>t</NextContinuationToken>\
                <Contents><Key>../x</Key><Size>1</Size><ETag>&quot;e&quot;</ETag></Contents></ListBucketResult>";
    // The second page is the first again, which ends the list.
    let endpoint = endpoint_that_answers(answer("200 OK", "", page));
    let root = tempfile::tempdir().unwrap();
    let to = root.path().join("to");
    let ran = run(&["cp", "-r", "s3://b", to.to_str().unwrap(), "--endpoint", &endpoint]);
    assert_eq!(ran.code, 3, "{ran:?}");
    assert!(ran.out.contains("failed: ../x: ") && ran.out.contains("failed: the list: "), "{ran:?}");
}

/// The verbs below a command, as its help lists them.
fn verbs(above: &[String]) -> Vec<Vec<String>> {
    let help = firn().args(above).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let Some(list) = help.split("Commands:\n").nth(1) else { return vec![above.to_vec()] };
    let names =
        list.lines().take_while(|line| line.starts_with("  ")).filter(|line| !line.starts_with("   "));
    names
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .flat_map(|name| verbs(&[above, &[name.to_owned()]].concat()))
        .collect()
}

/// A directory and a configuration of three zones.
fn with_zones(root: &Path, name: &str) -> (String, String) {
    let (dir, config) = (root.join(name), root.join(name).with_extension("toml"));
    let places =
        [("a", dir.join("pools/local")), ("b", dir.with_extension("b")), ("c", dir.with_extension("c"))];
    let zones = places
        .map(|(name, place)| format!("[[zone]]\nname = \"{name}\"\ndirectory = \"{}\"\n", place.display()));
    fs::write(&config, zones.concat()).unwrap();
    // Disks that are mounted, `d` one that is not configured yet.
    for disk in ["b", "c", "d"] {
        fs::create_dir(dir.with_extension(disk)).unwrap();
    }
    (dir.to_str().unwrap().to_owned(), config.to_str().unwrap().to_owned())
}

/// Lines about buckets and objects, in the order in which they find what they need.
fn of_objects(root: &Path) -> Vec<String> {
    let (file, tree, rules) = (root.join("file"), root.join("tree"), root.join("rules"));
    fs::write(&file, "hello").unwrap();
    fs::create_dir(&tree).unwrap();
    fs::write(tree.join("leaf"), "leaf").unwrap();
    let rule =
        r#"{"Rules":[{"ID":"old","Status":"Enabled","Filter":{"Prefix":""},"Expiration":{"Days":30}}]}"#;
    fs::write(&rules, rule).unwrap();
    let [file, tree, rules] = [file, tree, rules].map(|path| path.to_str().unwrap().to_owned());
    vec![
        "mb s3://listed".to_owned(),
        format!("cp {file} s3://listed/k"),
        format!("sync {tree} s3://listed/tree"),
        "mv s3://listed/k s3://listed/moved".to_owned(),
        "ls s3://listed".to_owned(),
        "du s3://listed".to_owned(),
        "stat s3://listed/moved".to_owned(),
        "share s3://listed/moved".to_owned(),
        "where s3://listed/moved".to_owned(),
        "cost s3://listed".to_owned(),
        "restore -r s3://listed".to_owned(),
        "env".to_owned(),
        "status".to_owned(),
        "doctor".to_owned(),
        "top --once".to_owned(),
        "lock ls".to_owned(),
        "lock release s3://listed --yes".to_owned(),
        "quota set s3://listed --bytes 1GiB".to_owned(),
        "quota ls".to_owned(),
        "quota rm s3://listed".to_owned(),
        "dedup on s3://listed".to_owned(),
        "dedup ls".to_owned(),
        "dedup off s3://listed".to_owned(),
        format!("lifecycle set s3://listed {rules}"),
        "lifecycle show s3://listed".to_owned(),
        "lifecycle preview s3://listed --as-of 2099-12-31".to_owned(),
        "lifecycle explain s3://listed/moved".to_owned(),
        "lifecycle run s3://listed".to_owned(),
        "lifecycle rm s3://listed".to_owned(),
        "rm s3://listed/moved".to_owned(),
        "undelete -r s3://listed".to_owned(),
        "rb s3://listed --force".to_owned(),
    ]
}

/// Lines of what stands behind IAM, in the order in which they find what they need.
fn of_identities(appliance: &Appliance, root: &Path) -> Vec<String> {
    let policy = root.join("policy");
    fs::write(
        &policy,
        r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:Get*","Resource":"*"}}"#,
    )
    .unwrap();
    appliance.ok(&["user", "create", "keyed"]);
    let access_key = appliance.ok(&["key", "create", "--user", "keyed", "--json"]).json();
    let access_key = access_key["access_key_id"].as_str().unwrap();
    let policy = policy.to_str().unwrap();
    vec![
        "user create ann".to_owned(),
        "user ls".to_owned(),
        "group create team".to_owned(),
        "group ls".to_owned(),
        "group add team ann".to_owned(),
        "group members team".to_owned(),
        "group remove team ann".to_owned(),
        "group rm team".to_owned(),
        format!("policy create reads {policy}"),
        "policy ls".to_owned(),
        "policy show reads".to_owned(),
        "policy attach reads --user ann".to_owned(),
        "policy detach reads --user ann".to_owned(),
        "policy rm reads".to_owned(),
        "role create job --trust *".to_owned(),
        "role ls".to_owned(),
        "role rm job".to_owned(),
        "key create --user ann".to_owned(),
        "key ls --user ann".to_owned(),
        format!("key disable {access_key} --user keyed"),
        format!("key enable {access_key} --user keyed"),
        format!("key rm {access_key} --user keyed"),
        "user rm ann -r".to_owned(),
        "user password keyed --password-stdin".to_owned(),
        "login keyed --password-stdin".to_owned(),
    ]
}

/// Lines about managed keys and the audit trail, in the order in which they find what they need.
fn of_keys(appliance: &Appliance, root: &Path) -> Vec<String> {
    let made = |line: &[&str]| appliance.ok(&[line, &["--json"]].concat()).json();
    let text = |document: &Value, name: &str| document[name].as_str().unwrap().to_owned();
    let key = text(&made(&["kms", "create"]), "key_id");
    let user = text(&made(&["user", "create", "granted"]), "arn");
    let grant = ["kms", "grant", "create", &key, "--grantee", &user, "--operation", "Decrypt"];
    let grant = text(&made(&grant), "grant_id");
    let policy = root.join("key-policy");
    fs::write(&policy, appliance.ok(&["kms", "policy", "show", &key]).out).unwrap();
    vec![
        "kms create".to_owned(),
        "kms ls".to_owned(),
        format!("kms describe {key}"),
        format!("kms alias create alias/walked {key}"),
        format!("kms alias update alias/walked {key}"),
        "kms alias rm alias/walked".to_owned(),
        format!("kms policy show {key}"),
        format!("kms policy set {key} {}", policy.display()),
        format!("kms grant create {key} --grantee {user} --operation Encrypt"),
        format!("kms grant ls {key}"),
        format!("kms grant revoke {key} {grant}"),
        format!("kms rotate {key}"),
        format!("kms disable {key}"),
        format!("kms enable {key}"),
        format!("kms schedule-deletion {key}"),
        format!("kms cancel-deletion {key}"),
        "audit search".to_owned(),
        "audit tail".to_owned(),
    ]
}

/// Lines about vaults, in the order in which they find what they need.
fn of_vaults(appliance: &Appliance, root: &Path) -> Vec<String> {
    let file = root.join("file");
    let policy = root.join("vault-lock");
    for vault in ["kept", "locked"] {
        appliance.ok(&["vault", "create", vault]);
    }
    let put = appliance.ok(&["vault", "put", "kept", file.to_str().unwrap(), "--json"]).json();
    let archive = put["archive_id"].as_str().unwrap();
    let write = |vault: &Value| {
        let arn = vault["arn"].as_str().unwrap();
        let text = format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Sid":"s","Effect":"Deny","Principal":"*","Action":"glacier:DeleteArchive","Resource":"{arn}","Condition":{{"NumericLessThan":{{"glacier:ArchiveAgeInDays":"365"}}}}}}]}}"#
        );
        fs::write(&policy, text).unwrap();
    };
    let (vaults, policy) = (appliance.ok(&["vault", "ls", "--json"]).json(), policy.to_str().unwrap());
    write(&vaults[1]);
    let begun = appliance.ok(&["vault", "lock", "begin", "locked", policy, "--json"]).json();
    write(&vaults[0]);
    vec![
        "vault create kept".to_owned(),
        format!("vault put kept {}", file.display()),
        "vault ls".to_owned(),
        "vault inventory kept".to_owned(),
        format!("vault get kept {archive} {}", root.join("got").display()),
        "vault jobs kept".to_owned(),
        format!("vault lock begin kept {policy}"),
        "vault lock show kept".to_owned(),
        "vault lock abort kept".to_owned(),
        format!("vault lock complete locked {}", begun["lock_id"].as_str().unwrap()),
        "vault hold set kept CASE-1".to_owned(),
        "vault hold release kept CASE-1".to_owned(),
        "vault hold age kept 0".to_owned(),
        "vault hold ls kept".to_owned(),
        "vault scrub kept".to_owned(),
        "vault compact kept".to_owned(),
        "vault media".to_owned(),
        "vault status".to_owned(),
        "vault delete kept --all".to_owned(),
    ]
}

#[test]
fn every_verb_prints_json_and_what_destroys_can_be_tried_without_doing_it() {
    let root = tempfile::tempdir().unwrap();
    let (data, target) = (root.path().join("data"), root.path().join("backup"));
    let config = root.path().join("firn.toml");
    fs::write(&config, format!("[backup]\ntarget = {target:?}\n[vault]\nenabled = true\n")).unwrap();
    let config = config.to_str().unwrap();
    assert_eq!(Appliance::start(&data, &[]).terminate(), 0);
    let key = run(&["backup", "key", data.to_str().unwrap(), "--json"]);
    let key = key.json()["recovery_key"].as_str().unwrap().to_owned();
    let key_file = root.path().join("key");
    fs::write(&key_file, key).unwrap();
    let appliance = Appliance::start(&data, &["--config", config]);
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let again = text(&root.path().join("again"));
    let (key_file, from) = (text(&key_file), text(&target));
    let rules = text(&root.path().join("rules"));
    let rule =
        r#"{"Rules":[{"ID":"old","Status":"Enabled","Filter":{"Prefix":""},"Expiration":{"Days":30}}]}"#;
    fs::write(&rules, rule).unwrap();
    // One with zones that runs, one that does not.
    let (zoned, zoned_config) = with_zones(root.path(), "zoned");
    let _zoned = Appliance::start(Path::new(&zoned), &["--config", &zoned_config]);
    let (idle, idle_config) = with_zones(root.path(), "idle");
    assert_eq!(Appliance::start(Path::new(&idle), &[]).terminate(), 0);
    // In the order in which they find what they need.
    let of_objects = of_objects(root.path());
    let of_others = [of_identities, of_keys, of_vaults].map(|lines| lines(&appliance, root.path()));
    let lines = [
        "backup now".to_owned(),
        format!("zone add d {idle} --directory {idle}.d --config {idle_config} --dry-run"),
        format!("zone ls {zoned}"),
        format!("zone drain c {zoned}"),
        format!("zone use c {zoned}"),
        format!("zone replace b {idle} --config {idle_config}"),
        format!("recover {again} --from {from} --key {key_file}"),
        // What is shipped from here on is for another key.
        "backup key".to_owned(),
        format!("config check {config}"),
    ];
    let of_itself = ["version", "completions bash", "man"].map(str::to_owned);
    let password = root.path().join("password");
    fs::write(&password, "Correct-horse-1\n").unwrap();
    let all: BTreeSet<Vec<String>> = verbs(&[]).into_iter().collect();
    let lines: BTreeMap<Vec<String>, (usize, Vec<String>)> = of_objects
        .iter()
        .chain(&lines)
        .chain(of_others.iter().flatten())
        .chain(&of_itself)
        .enumerate()
        .map(|(n, line)| {
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            let verb = (1..=words.len()).map(|n| words[..n].to_vec()).find(|verb| all.contains(verb));
            (verb.unwrap_or_else(|| panic!("{line} is none")), (n, words))
        })
        .collect();
    // One serves, another's result is the object itself, and digests are there an hour after their trail.
    let without = ["server", "cat", "audit verify", "audit keys"];
    let without = without.map(|verb| verb.split(' ').map(str::to_owned).collect());
    let known: BTreeSet<Vec<String>> = lines.keys().cloned().chain(without).collect();
    assert_eq!(all, known, "a verb is new: say how it prints JSON");
    for (_, words) in lines.values().collect::<BTreeSet<_>>() {
        let stdin = fs::File::open(&password).unwrap();
        let ran = appliance.command(&[]).args(words).arg("--json").stdin(stdin).output().unwrap();
        let ran = Ran::from(ran);
        prints_json(words, &ran);
    }
    let of_buckets = ["rb", "rm", "undelete", "mv", "sync", "cp"];
    let others = ["user rm", "group rm", "role rm", "policy rm", "key rm", "vault delete"];
    for verb in of_buckets.into_iter().chain(others) {
        let help = run(&verb.split(' ').chain(["--help"]).collect::<Vec<_>>()).out;
        assert!(help.contains("--dry-run"), "{verb} destroys or overwrites");
    }
}

#[test]
fn a_verb_that_is_none_is_refused_in_json_too() {
    let refused = run(&["frobnicate", "--json"]);
    let error: Value = serde_json::from_str(&refused.err).unwrap();
    assert_eq!((refused.code, &error["exit"]), (2, &2.into()), "{refused:?}");
}

/// A line that succeeded, with a document on each line that it printed.
fn prints_json(words: &[String], ran: &Ran) {
    assert_eq!(ran.code, 0, "{words:?}: {ran:?}");
    assert!(!ran.out.is_empty(), "{words:?} prints nothing");
    for line in ran.out.lines() {
        let document: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{words:?}: {e}: {line}"));
        snake_case(&document);
    }
}

/// Names that programs look up; below `variables` and workers' own they are data.
fn snake_case(document: &Value) {
    for (name, value) in document.as_object().into_iter().flatten() {
        let snake =
            name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
        assert!(snake, "{name}");
        if !["variables", "metadata", "by_storage_class", "document", "record", "policy"]
            .contains(&name.as_str())
        {
            snake_case(value);
        }
    }
}

#[test]
fn what_an_operator_mistypes_is_answered_with_the_next_step() {
    let root = tempfile::tempdir().unwrap();
    let appliance = Appliance::start(&root.path().join("data"), &[]);
    assert_eq!(appliance.ok(&["mb", "s3://twice", "--json"]).json()["created"], true);
    let twice = appliance.ok(&["mb", "s3://twice"]);
    assert!(twice.out.contains("was there already, and is yours"), "{twice:?}");
    assert_eq!(appliance.ok(&["mb", "s3://twice", "--json"]).json()["created"], false);
    let file = root.path().join("file");
    fs::write(&file, "hello").unwrap();
    let file = file.to_str().unwrap();
    appliance.ok(&["cp", file, "s3://twice/k"]);
    let full = appliance.run(&["rb", "s3://twice", "--dry-run"]);
    assert!(full.code == 8 && full.err.contains("firn rb --force s3://twice"), "{full:?}");
    let wish = appliance.ok(&["mv", file, "s3://twice/moved", "--dry-run"]);
    assert!(wish.out.contains("nothing changed: 1 to move"), "{wish:?}");

    let missing = appliance.run(&["cat", "s3://twice/none"]);
    let url = fs::read_to_string(appliance.dir().join("run/http.addr")).unwrap();
    let said = format!("endpoint: http://{} (AWS_ENDPOINT_URL)", url.trim());
    assert!(missing.err.contains(&said), "{missing:?}");
    let env = appliance.ok(&["env"]).out;
    assert!(env.contains(&format!("export S3_ENDPOINT_URL=http://{}", url.trim())), "s5cmd's: {env}");
    assert!(env.contains("# aws-cli before 2.13") && env.contains("--endpoint-url"), "{env}");
    let nowhere = firn().args(["ls"]).env("AWS_MAX_ATTEMPTS", "1").env("AWS_REGION", "nowhere-1").output();
    let nowhere: Ran = nowhere.unwrap().into();
    assert!(nowhere.err.contains("no endpoint is named, so this goes to AWS"), "{nowhere:?}");
    assert!(nowhere.err.contains("firn env DIR"), "{nowhere:?}");

    let server = |args: &[&str]| run(&[&["server"], args].concat());
    let taken = url.trim();
    let fresh = root.path().join("fresh");
    let fresh = fresh.to_str().unwrap();
    for (args, code, says) in [
        (vec![file, "--http", "127.0.0.1:0", "--admin", "127.0.0.1:0"], 2, "it is no directory"),
        (vec![fresh, "--http", taken, "--admin", "127.0.0.1:0"], 1, "another process has that port"),
        (vec![fresh, "--http", "127.0.0.1"], 2, "like 127.0.0.1:9000"),
        (vec![fresh, "--insecure-http", "--http", "203.0.113.7:1", "--admin", "127.0.0.1:0"], 2, "ip addr"),
        (vec![fresh, "--http", "127.0.0.1:1025", "--admin", "127.0.0.1:1025"], 2, "that is one address"),
        (vec![fresh, "--config", "/nonexistent.toml"], 2, "/nonexistent.toml"),
    ] {
        let refused = server(&args);
        assert!(refused.code == code && refused.err.contains(says), "{args:?}: {refused:?}");
        assert!(!Path::new(fresh).exists(), "no appliance is made, no key shown: {args:?}");
    }
    let admin = fs::read_to_string(appliance.dir().join("run/admin.addr")).unwrap();
    let refused = server(&[fresh, "--http", "127.0.0.1:0", "--admin", admin.trim()]);
    assert!(refused.code == 1 && !Path::new(fresh).exists(), "{refused:?}");
    let config = root.path().join("firn.toml");
    fs::write(&config, "[engine]\ncache = \"128MiB\"\nsegment = \"32MiB\"\n[backup]\ntarget = \"/b\"\n")
        .unwrap();
    let config = config.to_str().unwrap();
    let shown = run(&["config", "check", config]).out;
    for line in ["drain         30s", "cache         128.0 MiB", "segment       32.0 MiB", "a base every 1d"]
    {
        assert!(shown.contains(line), "{line}: {shown}");
    }
    let exact = run(&["config", "check", config, "--json"]).json();
    assert_eq!((&exact["cache_bytes"], &exact["drain_ms"]), (&134_217_728.into(), &30_000.into()));
}
