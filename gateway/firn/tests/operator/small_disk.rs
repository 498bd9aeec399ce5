//! An appliance on a disk of 300 MiB: most of it is for objects, and what deletes give back is there at once.

#![expect(clippy::unwrap_used, reason = "a test")]

use crate::support::{Appliance, Ran};
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
    let file = root.path().join("piece");
    fs::write(&file, vec![7; usize::try_from(PIECE).unwrap()]).unwrap();
    let put = |key: u64| -> Ran {
        let args = ["cp", file.to_str().unwrap(), &format!("s3://small/{key}")];
        appliance.command(&args).env("AWS_MAX_ATTEMPTS", "1").output().unwrap().into()
    };
    let stored = (0..DISK / PIECE).find(|key| put(*key).code != 0).unwrap();
    assert!(stored * PIECE > DISK * 6 / 10, "{stored} pieces of 4 MiB");
    appliance.ok(&["cat", "s3://small/0"]);
    appliance.ok(&["rm", "-r", "s3://small/"]);
    let deleted = status(&appliance)["uptime_s"].as_u64().unwrap();
    // Each look is a process: it paces itself.
    loop {
        let (taken, now) = (put(0), status(&appliance));
        if taken.code == 0 && now["ready"] == true {
            break;
        }
        let waited = now["uptime_s"].as_u64().unwrap() - deleted;
        assert!(waited <= 3, "not ready {waited} s after the deletes: {taken:?} {now}");
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
