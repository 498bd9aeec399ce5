//! Vaults from the command line: put, inventoried, retrieved, held, locked, scrubbed, emptied.

#![expect(clippy::unwrap_used, reason = "a test")]

use crate::support::{Appliance, Ran};
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

const CONFIG: &str = "[vault]\nenabled = true\npack = \"2MiB\"\npack-after = \"0s\"\n";

fn start(root: &Path) -> Appliance {
    let config = root.join("firn.toml");
    fs::write(&config, CONFIG).unwrap();
    Appliance::start(&root.join("data"), &["--config", config.to_str().unwrap()])
}

/// Bytes that nothing compresses.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 88_172_645_463_325_252_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    std::iter::repeat_with(&mut next).take(length).collect()
}

fn packs(appliance: &Appliance) -> Vec<PathBuf> {
    let entries = fs::read_dir(appliance.dir().join("vault")).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut packs: Vec<PathBuf> =
        paths.filter(|path| path.extension().is_some_and(|ext| ext == "pack")).collect();
    packs.sort();
    packs
}

fn flip(path: &Path, places: impl Iterator<Item = u64>) {
    let file = fs::File::options().read(true).write(true).open(path).unwrap();
    for at in places {
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ 1], at).unwrap();
    }
}

fn put(appliance: &Appliance, file: &Path) -> String {
    let put = appliance.ok(&["vault", "put", "models", file.to_str().unwrap(), "--json"]).json();
    put["archive_id"].as_str().unwrap().to_owned()
}

#[test]
fn files_go_into_a_vault_and_come_back_and_what_keeps_them_is_told() {
    let root = tempfile::tempdir().unwrap();
    let appliance = start(root.path());
    appliance.ok(&["vault", "create", "models"]);
    appliance.ok(&["vault", "create", "models"]);
    let (small, large) = (root.path().join("small model.bin"), root.path().join("large.bin"));
    fs::write(&small, noise(100_000)).unwrap();
    // In two parts.
    let bytes = noise((17 << 20) + 5);
    fs::write(&large, &bytes).unwrap();
    let (first, second) = (put(&appliance, &small), put(&appliance, &large));
    let listed = appliance.ok(&["vault", "ls", "--json"]).json();
    assert_eq!((&listed[0]["vault_name"], &listed[0]["number_of_archives"]), (&"models".into(), &2.into()));
    let inventory = appliance.ok(&["vault", "inventory", "models", "--json"]).json();
    let described: Vec<_> =
        inventory.as_array().unwrap().iter().map(|row| row["archive_description"].clone()).collect();
    assert_eq!(described, ["small model.bin", "large.bin"]);
    // Asked for, and read by the same command.
    let back = root.path().join("back.bin");
    let get = ["vault", "get", "models", &second, back.to_str().unwrap(), "--tier", "expedited"];
    let asked = appliance.ok(&[&get[..], &["--no-wait", "--json"]].concat()).json();
    assert!(asked["is_there"] == false && !back.exists(), "{asked}");
    let got = appliance.ok(&[&get[..], &["--json"]].concat()).json();
    assert_eq!((&got["job_id"], &got["is_there"]), (&asked["job_id"], &true.into()), "{got}");
    assert!(fs::read(&back).unwrap() == bytes);
    let jobs = appliance.ok(&["vault", "jobs", "models", "--json"]).json();
    let retrievals = jobs.as_array().unwrap().iter().filter(|job| job["archive_id"] == second.as_str());
    assert_eq!(retrievals.count(), 1, "{jobs}");

    // A hold keeps all of them, a least age what is young, and both are told.
    let admin = ["--dir", appliance.dir().to_str().unwrap()];
    let hold = |args: &[&str]| appliance.ok(&[&["vault", "hold"], args, &admin].concat());
    hold(&["set", "models", "CASE-7"]);
    let kept = appliance.run(&["vault", "delete", "models", &first]);
    assert!(kept.code == 3 && kept.out.contains("CASE-7"), "{kept:?}");
    let kept = appliance.run(&["vault", "delete", "models", "--all", "--json"]);
    let told = kept.json();
    assert!(kept.code == 3 && told["failed_count"] == 2 && told["given_up"] == true, "{told}");
    // A look without a change says the same.
    let would = |args: &[&str]| {
        let ran = appliance.run(&[&["vault", "delete", "models", "--dry-run", "--json"], args].concat());
        let told = ran.json();
        (ran.code, told["deleted"].as_u64().unwrap(), told["failed_count"].as_u64().unwrap())
    };
    assert_eq!(would(&["--all"]), (3, 0, 2), "held");
    hold(&["release", "models", "CASE-7"]);
    assert_eq!(would(&["--all"]), (0, 2, 0));
    hold(&["age", "models", "30"]);
    let kept = appliance.run(&["vault", "delete", "models", &first]);
    assert!(kept.code == 3 && kept.out.contains("30"), "{kept:?}");
    assert!(kept.out.contains(" UTC on") && !kept.out.contains("1970"), "{kept:?}");
    assert_eq!(would(&["--all"]), (3, 0, 2), "too young");
    assert_eq!(would(&[&first]), (3, 0, 1), "too young");
    assert!(hold(&["ls", "models"]).out.contains("archives are kept 30 days"));
    hold(&["age", "models", "0"]);

    // A lock is begun, shown and given up; a completed one denies.
    let policy = root.path().join("lock.json");
    let arn = listed[0]["arn"].as_str().unwrap();
    let text = format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Sid":"s","Effect":"Deny","Principal":"*","Action":"glacier:DeleteArchive","Resource":"{arn}","Condition":{{"NumericLessThan":{{"glacier:ArchiveAgeInDays":"365"}}}}}}]}}"#
    );
    fs::write(&policy, text).unwrap();
    let lock = |args: &[&str]| appliance.ok(&[&["vault", "lock"], args].concat());
    let begun = lock(&["begin", "models", policy.to_str().unwrap(), "--json"]).json();
    assert!(begun["lock_id"].is_string(), "{begun}");
    assert!(lock(&["show", "models"]).out.contains("DeleteArchive"));
    let kept = appliance.run(&["vault", "delete", "models", "--all"]);
    assert!(kept.code == 3, "the lock is on: {kept:?}");
    assert_eq!(would(&["--all"]), (3, 0, 2), "the lock is on");
    lock(&["abort", "models"]);

    // Not empty, emptied, gone.
    let would = |args: &[&str]| appliance.run(&[&["vault", "delete", "models", "--dry-run"], args].concat());
    let told = would(&["--all", "--json"]).json();
    assert_eq!((&told["deleted"], &told["dry_run"]), (&2.into(), &true.into()), "{told}");
    let told = would(&[&first, "none", "--json"]);
    assert_eq!((told.code, &told.json()["deleted"], &told.json()["failed_count"]), (3, &1.into(), &1.into()));
    let refused = would(&[]);
    assert!(refused.code == 8 && refused.err.contains("firn vault delete models --all"), "{refused:?}");
    let refused = appliance.run(&["vault", "delete", "models"]);
    assert!(refused.code == 8 && refused.err.contains("firn vault delete models --all"), "{refused:?}");
    let emptied = appliance.ok(&["vault", "delete", "models", "--all", "--json"]).json();
    assert_eq!((&emptied["deleted"], &emptied["failed_count"]), (&2.into(), &0.into()));
    assert!(appliance.ok(&["vault", "inventory", "models"]).out.contains("no archives"));
    appliance.ok(&["vault", "delete", "models"]);
    assert!(appliance.ok(&["vault", "ls"]).out.contains("no vaults"));
}

#[test]
fn a_scrub_finds_damage_mends_it_and_names_what_is_lost_for_scripts() {
    let root = tempfile::tempdir().unwrap();
    let appliance = start(root.path());
    appliance.ok(&["vault", "create", "models"]);
    let file = root.path().join("m.bin");
    fs::write(&file, noise(1_500_000)).unwrap();
    let archive = put(&appliance, &file);
    let admin = ["--dir", appliance.dir().to_str().unwrap(), "--json"];
    let scrub =
        |more: &[&str]| -> Ran { appliance.run(&[&["vault", "scrub", "models"], &admin[..], more].concat()) };
    let counts = |ran: &Ran| {
        let told = ran.json();
        ["packs", "whole", "mended", "damaged", "lost"].map(|name| told[name].as_u64().unwrap())
    };
    // Packed behind the answer.
    let whole = (0..5_000).map(|_| scrub(&["--dry-run"])).find(|ran| counts(ran)[0] == 1);
    let whole = whole.expect("it is never packed");
    assert_eq!((whole.code, counts(&whole)), (0, [1, 1, 0, 0, 0]), "{whole:?}");
    let pack = packs(&appliance).remove(0);
    let before = fs::read(&pack).unwrap();
    flip(&pack, (0..20).map(|n| 200_000 + n * 50_000));
    let dry = scrub(&["--dry-run"]);
    assert_eq!((dry.code, counts(&dry)), (3, [1, 0, 0, 1, 0]), "{dry:?}");
    let mended = scrub(&[]);
    assert_eq!((mended.code, counts(&mended)), (0, [1, 0, 1, 0, 0]), "{mended:?}");
    assert!(fs::read(&pack).unwrap() == before);
    flip(&pack, (0..250).map(|n| 100_000 + n * 5_000));
    let lost = scrub(&[]);
    assert_eq!((lost.code, counts(&lost)), (7, [1, 0, 0, 0, 1]), "{lost:?}");
    assert_eq!(lost.json()["found"][0]["lost_archives"][0], archive.as_str());
    let status = appliance.run(&["vault", "status", "--dir", appliance.dir().to_str().unwrap()]);
    assert!(
        status.code == 7 && status.out.contains("1 vault") && status.out.contains("has lost bytes"),
        "{status:?}"
    );
    let media = appliance.ok(&["vault", "media", "--dir", appliance.dir().to_str().unwrap()]);
    assert!(media.out.starts_with("vault "), "{media:?}");
}

#[test]
fn a_compaction_gives_the_room_of_deleted_archives_back_and_says_what_it_did() {
    let root = tempfile::tempdir().unwrap();
    let appliance = start(root.path());
    appliance.ok(&["vault", "create", "models"]);
    let dir = appliance.dir().to_str().unwrap().to_owned();
    let admin = ["--dir", dir.as_str(), "--json"];
    let vault = |args: &[&str]| appliance.ok(&[&["vault"], args, &admin[..]].concat()).json();
    // In one pack, or in several, as the packer came by.
    let mut archives = Vec::new();
    for (name, size) in [("a", 300_000), ("b", 700_000), ("c", 400_000)] {
        let file = root.path().join(name);
        fs::write(&file, noise(size)).unwrap();
        archives.push((put(&appliance, &file), noise(size)));
    }
    let packed = |held: u64| {
        (0..5_000).map(|_| vault(&["status", "models"])).find(|told| told["vault"]["held_bytes"] == held)
    };
    let told = packed(1_400_000).expect("they are never packed");
    assert_eq!((&told["vault"]["dead_bytes"], &told["vault"]["due_packs"]), (&0.into(), &0.into()), "{told}");
    appliance.ok(&["vault", "delete", "models", &archives[1].0]);
    let dead = |told: &serde_json::Value| told["vault"]["live_bytes"] == 700_000;
    let told = (0..5_000).map(|_| vault(&["status", "models"])).find(dead).expect("it is never released");
    let due = told["vault"]["due_packs"].as_u64().unwrap();
    let before: u64 =
        packs(&appliance).iter().filter_map(|pack| fs::metadata(pack).ok()).map(|pack| pack.len()).sum();
    let dry = vault(&["compact", "models", "--dry-run"]);
    assert_eq!((&dry["packs"]["due_packs"], &dry["moved"]), (&due.into(), &0.into()), "{dry}");
    let moved = vault(&["compact", "models"]);
    assert_eq!((moved["new_packs"] == 1, &moved["packs"]["due_packs"]), (due > 0, &0.into()), "{moved}");
    assert_eq!(moved["from"].as_array().unwrap().len() as u64, due, "{moved}");
    // The old one goes behind the answer.
    let size = || {
        packs(&appliance)
            .iter()
            .filter_map(|pack| fs::metadata(pack).ok())
            .map(|pack| pack.len())
            .sum::<u64>()
    };
    let shrunk = |told: &serde_json::Value| told["vault"]["held_bytes"] == 700_000;
    let told =
        (0..5_000).map(|_| vault(&["status", "models"])).find(shrunk).expect("the old pack never goes");
    assert!(told["vault"]["dead_bytes"] == 0 && (0..5_000).any(|_| size() <= before), "{told}");
    for (archive, bytes) in [&archives[0], &archives[2]] {
        let back = root.path().join("back.bin");
        appliance.ok(&["vault", "get", "models", archive, back.to_str().unwrap(), "--tier", "expedited"]);
        assert!(fs::read(&back).unwrap() == *bytes);
        fs::remove_file(&back).unwrap();
    }
    let people = appliance.ok(&["vault", "status", "models", "--dir", &dir]);
    assert!(people.out.contains("vault models: ") && people.out.contains("0 to be compacted"), "{people:?}");
}

#[test]
fn mistakes_about_vaults_name_the_next_step() {
    let root = tempfile::tempdir().unwrap();
    let appliance = start(root.path());
    let dir = appliance.dir().to_str().unwrap().to_owned();
    let missed = appliance.run(&["vault", "inventory", "nope"]);
    assert!(missed.code == 4 && missed.err.contains("firn vault ls"), "{missed:?}");
    for verb in ["scrub", "compact", "status"] {
        let missed = appliance.run(&["vault", verb, "nope", "--dir", &dir]);
        assert!(missed.code == 4 && missed.err.contains("firn vault ls"), "{missed:?}");
    }
    let refused = appliance.run(&["vault", "create", "s3://b"]);
    assert!(refused.code == 2 && refused.err.contains("without s3://"), "{refused:?}");
    appliance.ok(&["vault", "create", "v"]);
    // The path is signed as the door reads it.
    let missed = appliance.run(&["vault", "delete", "v", "a b%/ü"]);
    assert!(missed.code == 3 && !missed.out.contains("Signature"), "{missed:?}");
    let missed = appliance.run(&["vault", "get", "v", &"0".repeat(32), "/nonexistent/file"]);
    assert!(missed.code == 4 && missed.err.contains("firn vault inventory"), "{missed:?}");
    let missed = appliance.run(&["vault", "hold", "release", "v", "CASE-1", "--dir", &dir]);
    assert!(missed.code == 4 && missed.err.contains("CASE-1"), "{missed:?}");
    let empty = root.path().join("empty");
    fs::write(&empty, "").unwrap();
    let refused = appliance.run(&["vault", "put", "v", empty.to_str().unwrap()]);
    assert!(refused.code == 2 && refused.err.contains("0 bytes"), "{refused:?}");
    drop(appliance);
    // Without vaults there is neither door.
    let plain = Appliance::start(&root.path().join("plain"), &[]);
    let refused = plain.run(&["vault", "ls"]);
    assert!(refused.code != 0 && refused.err.contains("vault.enabled"), "{refused:?}");
    let refused = plain.run(&["vault", "status", "--dir", plain.dir().to_str().unwrap()]);
    assert!(refused.code == 8 && refused.err.contains("vault.enabled"), "{refused:?}");
}
