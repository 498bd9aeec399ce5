//! How many tests passed, failed and were skipped, read from what the test runners print.

use crate::error::Result;

/// The sums over all stages.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    /// Tests, and stages that are one check, that passed.
    pub(crate) passed: u64,
    /// Those that failed.
    pub(crate) failed: u64,
    /// What could not run here, and why.
    pub(crate) skipped: Vec<String>,
    /// What each test that failed said, as its runner shows it: the beginning.
    pub(crate) failures: Vec<String>,
    /// The failure whose output is being read.
    told: Option<String>,
}

/// Failures that are shown again at the end, and characters of each.
const FAILURES_MAX: usize = 40;
const FAILURE_CHARS: usize = 2_000;

impl Totals {
    /// Counts a stage that is one check.
    pub(crate) fn check(&mut self, result: Result<()>) -> Result<()> {
        match &result {
            Ok(()) => self.passed += 1,
            Err(_) => self.failed += 1,
        }
        result
    }

    /// Reads one line of cargo test's output. A test that cannot run here says so on standard output, past the capture.
    pub(crate) fn cargo_line(&mut self, line: &str) {
        if let Some((_, reason)) = line.split_once("SKIPPED ") {
            self.skipped.push(format!("unit: {reason}"));
        }
        if let Some((name, rest)) =
            line.strip_prefix("test ").and_then(|test| test.split_once(" ... ignored"))
        {
            self.skipped.push(format!("unit: {name} is ignored{rest}"));
        }
        self.cargo_failure(line);
        let Some(result) = line.strip_prefix("test result: ") else { return };
        self.passed += count_before(result, "passed");
        self.failed += count_before(result, "failed");
    }

    /// What a test said stands under its name, and ends with its backtrace, the next one's name or the list of names.
    fn cargo_failure(&mut self, line: &str) {
        let name = line.strip_prefix("---- ").and_then(|rest| rest.strip_suffix(" stdout ----"));
        let over = line == "failures:" || line == "stack backtrace:" || line.starts_with("note: run with ");
        if name.is_some() || over {
            let said = self.told.take();
            self.failed_with(said);
            self.told = name.map(|name| format!("unit: {name}"));
        } else if let Some(told) = self.told.as_mut().filter(|_| !line.is_empty()) {
            told.push_str("\n  ");
            told.push_str(line);
        }
    }

    fn failed_with(&mut self, said: Option<String>) {
        let Some(mut said) = said.filter(|_| self.failures.len() < FAILURES_MAX) else { return };
        if let Some((end, _)) = said.char_indices().nth(FAILURE_CHARS) {
            said.truncate(end);
            said.push_str(" […]");
        }
        self.failures.push(said);
    }

    /// Reads one line of pytest's output.
    pub(crate) fn pytest_line(&mut self, line: &str) {
        if let Some(what) = line.strip_prefix("FAILED ").or_else(|| line.strip_prefix("ERROR ")) {
            self.failed_with(Some(format!("e2e: {what}")));
        }
        if let Some(reason) = line.strip_prefix("SKIPPED ") {
            self.skipped.push(format!("e2e: {reason}"));
        }
        if let Some(reason) = line.strip_prefix("XFAIL ") {
            self.skipped.push(format!("e2e, a known fault: {reason}"));
        }
        // Framed by `=`, or bare when pytest is quiet.
        let summary = line.trim_matches('=').trim();
        let counts = summary.starts_with(|first: char| first.is_ascii_digit());
        if counts && summary.contains(" in ") {
            self.passed += count_before(summary, "passed");
            self.failed += count_before(summary, "failed");
            self.failed += count_before(summary, "error").max(count_before(summary, "errors"));
        }
    }
}

/// The number in front of a word.
fn count_before(text: &str, word: &str) -> u64 {
    let words: Vec<&str> = text.split([' ', ';', ',', '.']).filter(|part| !part.is_empty()).collect();
    let pair = words.windows(2).find(|pair| pair[1] == word);
    pair.and_then(|pair| pair[0].parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    #[test]
    fn cargos_results_are_summed() {
        let mut totals = Totals::default();
        totals.cargo_line("test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 3 filtered out");
        totals.cargo_line("test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured");
        totals.cargo_line("running 3 tests");
        assert_eq!((totals.passed, totals.failed), (15, 2));
        assert_eq!(totals.skipped, Vec::<String>::new());
        totals.cargo_line("test a::really_full_disk ... ignored, wants FIRN_SMALL_DISK");
        totals.cargo_line("test x ... SKIPPED a_mounted_disk: mounting needs root");
        let listed = [
            "unit: a::really_full_disk is ignored, wants FIRN_SMALL_DISK",
            "unit: a_mounted_disk: mounting needs root",
        ];
        assert_eq!(totals.skipped, listed);
    }

    #[test]
    fn what_a_failed_test_said_is_kept_in_short() {
        let mut totals = Totals::default();
        let long = "x".repeat(3_000);
        let output = [
            "test a::one ... FAILED",
            "failures:",
            "",
            "---- a::one stdout ----",
            "thread 'a::one' panicked at a.rs:1:2:",
            "the disk: full",
            "stack backtrace:",
            "   0: rust_begin_unwind",
            "---- a::two stdout ----",
            &long,
            "note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace",
            "failures:",
            "    a::one",
            "test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out",
        ];
        for line in output {
            totals.cargo_line(line);
        }
        totals.pytest_line("FAILED test_copy.py::test_copy - AssertionError: 404");
        assert_eq!(totals.failures.len(), 3);
        assert_eq!(
            totals.failures[0],
            "unit: a::one\n  thread 'a::one' panicked at a.rs:1:2:\n  the disk: full"
        );
        assert!(totals.failures[1].starts_with("unit: a::two\n  xxx"), "{:?}", totals.failures[1]);
        assert!(totals.failures[1].ends_with("xxx […]") && totals.failures[1].len() < 2_100);
        assert_eq!(totals.failures[2], "e2e: test_copy.py::test_copy - AssertionError: 404");
        assert_eq!((totals.passed, totals.failed), (1, 2));
    }

    #[test]
    fn pytests_summary_is_read_with_its_errors_and_skips() {
        let mut totals = Totals::default();
        totals.pytest_line("SKIPPED [1] test_clients.py:12: rclone is not here");
        totals.pytest_line("===== 2 failed, 40 passed, 1 skipped, 1 error in 61.20s (0:01:01) =====");
        totals.pytest_line("== short test summary info ==");
        assert_eq!((totals.passed, totals.failed, totals.skipped.len()), (40, 3, 1));
        totals.pytest_line("XFAIL test_clients.py::test_sync - open: it stalls");
        totals.pytest_line("144 passed, 1 xfailed in 38.74s");
        assert_eq!((totals.passed, totals.failed, totals.skipped.len()), (184, 3, 2));
    }

    #[test]
    fn a_check_counts_once() {
        let mut totals = Totals::default();
        assert!(totals.check(Ok(())).is_ok());
        assert!(totals.check(Err(Error::failed("no"))).is_err());
        assert_eq!((totals.passed, totals.failed), (1, 1));
    }
}
