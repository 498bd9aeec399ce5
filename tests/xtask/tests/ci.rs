//! `.ci/run`, with tests that are a line of shell: what it ends with, and what it makes of what they leave behind.

#![expect(clippy::unwrap_used, reason = "a step that fails fails the test")]

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A directory of its own, a link to it that is the run's TMPDIR, and a `cargo` in it.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        std::fs::create_dir(place.path("real")).unwrap();
        std::os::unix::fs::symlink(place.path("real"), place.path("link")).unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Runs it over tests that do this: its last line, its code, and what it said.
    fn run(&self, tests: &str) -> (String, Option<i32>, String) {
        let cargo = self.path("cargo");
        std::fs::write(&cargo, format!("#!/bin/bash\n{tests}\n")).unwrap();
        std::fs::set_permissions(&cargo, std::fs::Permissions::from_mode(0o700)).unwrap();
        let path = format!("{}:{}", self.0.path().display(), std::env::var("PATH").unwrap());
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.ci/run");
        let mut command = Command::new(script);
        command.env("PATH", path).env("CI_LOOKS", "1").env("LC_ALL", "C");
        command.env("TMPDIR", self.path("link")).env("PLACE", self.0.path());
        let output = command.output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let last = text.lines().last().unwrap_or_default().to_owned();
        (last, output.status.code(), String::from_utf8(output.stderr).unwrap())
    }

    /// What lies where the tests' files were.
    fn left(&self) -> Vec<PathBuf> {
        std::fs::read_dir(self.path("real")).unwrap().map(|entry| entry.unwrap().path()).collect()
    }
}

const PASSED: &str = "echo '7 passed, 0 failed'";

#[test]
fn the_last_line_is_the_count_and_the_code_is_that_of_the_tests() {
    for (tests, last, code) in [
        (PASSED, "7 passed, 0 failed", 0),
        ("echo '6 passed, 1 failed'; exit 1", "6 passed, 1 failed", 1),
        ("exit 2", "0 passed, 1 failed", 2),
    ] {
        let place = Place::new();
        assert_eq!(place.run(tests), (last.to_owned(), Some(code), String::new()), "{tests}");
        assert_eq!(place.left(), Vec::<PathBuf>::new(), "{tests}");
    }
}

#[test]
fn what_the_tests_leave_running_is_a_failure_and_ended() {
    // Its own outputs are closed, or the run would be waited for as long as it. Each notes its number where it lasts.
    for (leaves, shown) in [
        ("sleep 1000 >/dev/null 2>&1 & echo $! >$PLACE/id", "sleep"),
        // In a session, and so a group, of its own.
        (
            "setsid bash -c 'echo $$ >$PLACE/id; exec sleep 1000 >/dev/null 2>&1 </dev/null'& wait_for $PLACE/id",
            "sleep",
        ),
        // A name in two lines, the first of which ends as the line of a zombie does.
        (
            "cp /bin/sleep $PLACE/$'a) Z\\nb'; $PLACE/$'a) Z\\nb' 1000 >/dev/null 2>&1 & echo $! >$PLACE/id",
            "a) Z?b",
        ),
    ] {
        let wait_for = "wait_for() { for ((i = 0; i < 100000; i++)); do [ -s $1 ] && break; done; }";
        let place = Place::new();
        let (last, code, said) = place.run(&format!("{wait_for}; {leaves}; {PASSED}"));
        let id = std::fs::read_to_string(place.path("id")).unwrap();
        let id = id.trim();
        assert_eq!((last.as_str(), code), ("7 passed, 1 failed", Some(1)), "{leaves}: {said}");
        assert!(said.contains("left behind") && said.contains(&format!("{id} ({shown})")), "{said}");
        // Ended, and at most waited for by whoever has its orphans.
        let stat = Path::new("/proc").join(id).join("stat");
        let is_gone = || std::fs::read_to_string(&stat).map_or(true, |stat| stat.contains(") Z "));
        let gone = (0..1_000_000).any(|_| {
            std::thread::yield_now();
            is_gone()
        });
        assert!(gone, "{id} goes on");
    }
}

#[test]
fn what_a_failed_run_left_in_files_is_kept_and_named_and_that_of_one_that_passed_is_not() {
    let place = Place::new();
    let (last, code, said) =
        place.run(&format!("echo log >$TMPDIR/log; mkdir $TMPDIR/empty; {PASSED}; exit 1"));
    assert_eq!((last.as_str(), code), ("7 passed, 0 failed", Some(1)));
    let [kept] = &place.left()[..] else { panic!("{said}") };
    let kept = kept.canonicalize().unwrap();
    assert!(said.contains(&format!("is kept: {}", kept.display())), "{said}");
    assert!(kept.join("log").is_file() && !kept.join("empty").exists());

    let place = Place::new();
    let tests = format!(
        "echo log >$TMPDIR/log; echo log >$FIRN_MEMORY/log; echo $FIRN_MEMORY >$PLACE/memory; {PASSED}"
    );
    assert_eq!(place.run(&tests), ("7 passed, 0 failed".to_owned(), Some(0), String::new()));
    assert!(place.left().is_empty());
    let memory = std::fs::read_to_string(place.path("memory")).unwrap();
    assert!(!Path::new(memory.trim()).exists(), "{memory}");
}

#[test]
fn what_the_tests_leave_mounted_is_a_failure_wherever_they_may_mount() {
    for at in ["TMPDIR", "FIRN_MEMORY"] {
        let place = Place::new();
        let mount = format!(
            "echo $FIRN_MEMORY >$PLACE/memory; mkdir ${at}/m; echo ${at}/m >$PLACE/at; mount -t tmpfs none ${at}/m || echo no >$PLACE/no"
        );
        let (last, code, said) = place.run(&format!("({mount}) 2>/dev/null; {PASSED}"));
        if place.path("no").exists() {
            let _unwritable =
                writeln!(std::io::stdout(), "SKIPPED what is left mounted: mounting a tmpfs needs root");
            return;
        }
        let mounted = std::fs::read_to_string(place.path("at")).unwrap();
        let mounted = Path::new(mounted.trim()).canonicalize().unwrap();
        let unmounted = Command::new("umount").arg(&mounted).status().unwrap();
        assert_eq!((last.as_str(), code), ("7 passed, 1 failed", Some(1)), "{said}");
        assert!(said.contains(&mounted.display().to_string()), "{said}");
        assert!(unmounted.success());
        // Nothing is removed while something is mounted.
        let memory = std::fs::read_to_string(place.path("memory")).unwrap();
        std::fs::remove_dir_all(memory.trim()).unwrap();
    }
}
