//! `.ci/run`, with tests that are a line of shell: what it ends with, and what it makes of what they leave behind.

#![expect(clippy::unwrap_used, reason = "a step that fails fails the test")]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

/// Runs it over tests that do this: its last line, its code, and what it said.
fn run(tests: &str) -> (String, Option<i32>, String) {
    let dir = tempfile::tempdir().unwrap();
    let cargo = dir.path().join("cargo");
    std::fs::write(&cargo, format!("#!/bin/bash\n{tests}\n")).unwrap();
    std::fs::set_permissions(&cargo, std::fs::Permissions::from_mode(0o700)).unwrap();
    let path = format!("{}:{}", dir.path().display(), std::env::var("PATH").unwrap());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.ci/run");
    let mut command = Command::new(script);
    command.env("PATH", path).env("CI_LOOKS", "1").env("LC_ALL", "C").env("TMPDIR", dir.path());
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let last = text.lines().last().unwrap_or_default().to_owned();
    (last, output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn the_last_line_is_the_count_and_the_code_is_that_of_the_tests() {
    for (tests, last, code) in [
        ("echo '7 passed, 0 failed'", "7 passed, 0 failed", 0),
        ("echo '6 passed, 1 failed'; exit 1", "6 passed, 1 failed", 1),
        ("exit 2", "0 passed, 1 failed", 2),
    ] {
        assert_eq!(run(tests), (last.to_owned(), Some(code), String::new()), "{tests}");
    }
}

#[test]
fn what_the_tests_leave_running_is_a_failure_and_ended() {
    let kept = tempfile::NamedTempFile::new().unwrap();
    // Its own outputs are closed, or the run would be waited for as long as it.
    let leaves = "sleep 1000 >/dev/null 2>&1 & echo $! >";
    let (last, code, said) = run(&format!("{leaves}{}; echo '7 passed, 0 failed'", kept.path().display()));
    assert_eq!((last.as_str(), code), ("7 passed, 1 failed", Some(1)));
    let id = std::fs::read_to_string(kept.path()).unwrap();
    assert!(said.contains("left behind") && said.contains(&format!("{} (sleep)", id.trim())), "{said}");
    let stat = Path::new("/proc").join(id.trim()).join("stat");
    // Ended, and at most waited for by whoever has its orphans.
    let is_gone = || std::fs::read_to_string(&stat).map_or(true, |stat| stat.contains(") Z "));
    while !is_gone() {
        std::thread::yield_now();
    }
}
