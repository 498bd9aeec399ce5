//! An appliance on a disk of 300 MiB: most of it is for objects, and what deletes give back is there at once. One whose catalog
//! has a disk of its own: when others fill it, deletes go on from what was kept back.

#![expect(clippy::unwrap_used, reason = "a test")]

use crate::support::{Appliance, Ran, run};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

const DISK: u64 = 300 << 20;
const PIECE: u64 = 4 << 20;

/// Unmounted when dropped.
struct Disk(PathBuf);

impl Disk {
    /// None where mounting is not allowed, which is said past the captured output.
    fn mount(at: &Path, bytes: u64) -> Option<Self> {
        fs::create_dir(at).unwrap();
        let size = format!("size={bytes}");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(at).status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(Self(at.to_owned()));
        }
        let _unwritable = writeln!(std::io::stdout(), "SKIPPED a small disk: mounting a tmpfs needs root");
        None
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _left_behind = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn status(appliance: &Appliance) -> serde_json::Value {
    appliance.ok(&["status", "--json"]).json()
}

#[test]
fn a_small_disk_is_for_objects_and_ready_again_as_soon_as_they_are_deleted() {
    let root = tempfile::tempdir().unwrap();
    let Some(disk) = Disk::mount(&root.path().join("disk"), DISK) else { return };
    let appliance = Appliance::start(&disk.0.join("data"), &[]);
    appliance.ok(&["mb", "s3://small"]);
    let free = status(&appliance)["disk"]["free_bytes"].as_u64().unwrap();
    assert!(free > DISK * 3 / 4, "{free} of {DISK} are left for objects");
    // Bodies leave a 32nd of it free, and as much is held in a file.
    let reserve = disk.0.join("data/pools/local/reserve");
    while fs::metadata(&reserve).map_or(0, |file| file.len()) != DISK / 32 {
        let waited = status(&appliance)["uptime_s"].as_u64().unwrap();
        assert!(waited <= 60, "no reserve after {waited} s");
    }
    let file = root.path().join("piece");
    fs::write(&file, vec![7; usize::try_from(PIECE).unwrap()]).unwrap();
    let put = |key: u64| -> Ran {
        let args = ["cp", file.to_str().unwrap(), &format!("s3://small/{key}")];
        appliance.command(&args).env("AWS_MAX_ATTEMPTS", "1").output().unwrap().into()
    };
    let stored = (0..DISK / PIECE).find(|key| put(*key).code != 0).unwrap();
    assert!(stored * PIECE > DISK * 6 / 10, "{stored} pieces of 4 MiB");
    // Compaction may find some more: somebody else takes it.
    let filler = disk.0.join("filler");
    loop {
        fill(&filler, 6 << 20);
        let now = status(&appliance);
        let reasons = now["not_ready_because"].as_array().unwrap();
        let doctor = appliance.run(&["doctor", appliance.dir().to_str().unwrap()]);
        let shown = appliance.ok(&["status"]).out;
        if reasons.iter().any(|obstacle| obstacle["reason"] == "pool_full")
            && doctor.out.contains("new objects are refused")
            && !doctor.out.contains("reads and writes")
            && shown.contains("NOT READY")
            && shown.contains("little room")
        {
            break;
        }
        assert!(now["uptime_s"].as_u64().unwrap() < 120, "full and not told: {now} {doctor:?} {shown}");
    }
    // What compaction still finds meanwhile, somebody else takes too: the disk is as full before each of them.
    let (mut refused, mut taken) = (0_u32, 0_usize);
    while refused < 3 {
        fill(&filler, 6 << 20);
        let answer = put(1000);
        if answer.code == 0 {
            taken += 1;
            assert!(taken < 20, "always room for one more");
        } else {
            assert!(answer.err.contains("StorageFull"), "{answer:?}");
            refused += 1;
        }
    }
    let log = fs::read_to_string(disk.0.join("data.log")).unwrap();
    let told = log.matches("failed to answer a request").count();
    // The first refusal was before the disk was filled up.
    assert!((1..=1 + taken).contains(&told), "told {told} times, once each time it became full: {log}");
    fs::remove_file(&filler).unwrap();
    appliance.ok(&["cat", "s3://small/0"]);
    appliance.ok(&["rm", "-r", "s3://small/"]);
    let deleted = status(&appliance)["uptime_s"].as_u64().unwrap();
    // Each look is two processes: it paces itself, and on a busy machine a few of them take longer than that.
    for look in 0_u32.. {
        let (taken, now) = (put(0), status(&appliance));
        if taken.code == 0 && now["ready"] == true {
            break;
        }
        let waited = now["uptime_s"].as_u64().unwrap() - deleted;
        assert!(waited <= 3 || look < 10, "not ready {waited} s after the deletes: {taken:?} {now}");
    }
}

#[test]
fn a_disk_that_is_too_small_is_said_at_the_start_and_by_doctor() {
    let root = tempfile::tempdir().unwrap();
    let Some(disk) = Disk::mount(&root.path().join("disk"), 200 << 20) else { return };
    let dir = disk.0.join("data");
    let log = fs::File::create(root.path().join("log")).unwrap();
    let appliance = Appliance::start_logging_to(log.into(), &dir, &[]);
    let log = fs::read_to_string(root.path().join("log")).unwrap();
    assert!(log.contains("has 200.0 MiB") && log.contains("give it 256.0 MiB or more"), "{log}");
    let doctor = appliance.ok(&["doctor", dir.to_str().unwrap()]).out;
    assert!(doctor.contains("200.0 MiB is small"), "{doctor}");
}

#[test]
fn a_file_system_that_is_read_only_is_called_so_once_with_a_next_step() {
    let root = tempfile::tempdir().unwrap();
    let Some(disk) = Disk::mount(&root.path().join("disk"), 256 << 20) else { return };
    let dir = disk.0.join("data");
    assert_eq!(Appliance::start(&dir, &[]).terminate(), 0);
    let remounted = Command::new("mount").args(["-o", "remount,ro"]).arg(&disk.0).status().unwrap();
    assert!(remounted.success());
    let place = dir.to_str().unwrap();
    let doctor = run(&["doctor", place]);
    assert!(doctor.code == 1 && doctor.out.contains("is read-only: no server can start there"), "{doctor:?}");
    assert!(!doctor.out.contains("fix: firn server"), "it can't work: {doctor:?}");
    let start = run(&["server", place, "--http", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    assert!(start.code != 0 && start.err.contains("mount that file system writable"), "{start:?}");
    let said = start.err.lines().find(|line| line.starts_with("firn: failed to")).unwrap();
    assert_eq!(said.matches("Read-only file system").count(), 1, "{said}");
}

/// Writes to `filler` until no more than so many bytes are free on its disk.
fn fill(filler: &Path, left: u64) {
    let mut file = fs::File::options().create(true).append(true).open(filler).unwrap();
    let stat = rustix::fs::statvfs(filler).unwrap();
    let free = stat.f_bavail * stat.f_frsize;
    let more = usize::try_from(free.saturating_sub(left)).unwrap();
    file.write_all(&vec![0; more]).unwrap();
}

/// Waits until these are the reasons why not everything is served; the disk is looked at four times a second.
fn await_reasons(appliance: &Appliance, wanted: &[&str]) {
    let mut begun = None;
    // Each look is a process: it paces itself.
    loop {
        let status = status(appliance);
        let reasons = status["not_ready_because"].as_array().unwrap();
        assert_eq!(status["ready"], reasons.is_empty(), "{status}");
        if reasons.iter().map(|obstacle| obstacle["reason"].as_str().unwrap()).eq(wanted.iter().copied()) {
            return;
        }
        let now = status["uptime_s"].as_u64().unwrap();
        let elapsed = now - *begun.get_or_insert(now);
        assert!(elapsed <= 60, "not {wanted:?} after {elapsed} s: {status}");
    }
}

#[test]
fn a_catalog_whose_disk_others_fill_refuses_writes_says_so_and_takes_deletes_from_its_reserve() {
    const MARGIN: u64 = 8 << 20;
    let root = tempfile::tempdir().unwrap();
    let Some(disk) = Disk::mount(&root.path().join("disk"), 256 << 20) else { return };
    // Bodies have another disk, with room: what follows is the catalog's alone.
    let config = root.path().join("firn.toml");
    fs::write(&config, format!("[pool]\ndirectory = {:?}\n", root.path().join("pool"))).unwrap();
    let dir = disk.0.join("data");
    let appliance = Appliance::start(&dir, &["--config", config.to_str().unwrap()]);
    let file = root.path().join("piece");
    fs::write(&file, vec![7; 1 << 20]).unwrap();
    let cp = |key: &str| -> Ran {
        let args = ["cp", file.to_str().unwrap(), &format!("s3://small/{key}")];
        appliance.command(&args).env("AWS_MAX_ATTEMPTS", "1").output().unwrap().into()
    };
    appliance.ok(&["mb", "s3://small"]);
    for key in ["a", "b", "c"] {
        assert_eq!(cp(key).code, 0);
    }
    await_reasons(&appliance, &[]);
    let reserve = dir.join("catalog/reserve");
    assert_eq!(fs::metadata(&reserve).unwrap().len(), MARGIN, "a 32nd of the disk is kept back");

    let filler = disk.0.join("filler");
    fill(&filler, MARGIN / 2);
    await_reasons(&appliance, &["catalog_full"]);
    assert!(!reserve.exists(), "it is given up for deletes");
    // What it gave up is not others' either: that goes to deletes alone once it is taken, too.
    fill(&filler, MARGIN / 2);
    await_reasons(&appliance, &["catalog_full"]);
    let refused = cp("d");
    assert!(refused.code == 1 && refused.err.contains("StorageFull"), "{refused:?}");
    let doctor = appliance.run(&["doctor", dir.to_str().unwrap()]);
    assert!(doctor.code == 1 && doctor.out.contains("nearly full"), "{doctor:?}");
    appliance.ok(&["rm", "s3://small/a"]);
    appliance.ok(&["rm", "s3://small/b"]);
    assert_eq!(appliance.ok(&["cat", "s3://small/c"]).out.len(), 1 << 20, "reads go on");
    assert_eq!(appliance.run(&["cat", "s3://small/a"]).code, 4);

    fs::remove_file(&filler).unwrap();
    await_reasons(&appliance, &[]);
    assert_eq!(cp("d").code, 0);
    assert_eq!(fs::metadata(&reserve).unwrap().len(), MARGIN, "and it is kept back anew");
}
