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
}

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
        let Some(result) = line.strip_prefix("test result: ") else { return };
        self.passed += count_before(result, "passed");
        self.failed += count_before(result, "failed");
    }

    /// Reads one line of pytest's output.
    pub(crate) fn pytest_line(&mut self, line: &str) {
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
