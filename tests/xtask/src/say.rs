//! What the tasks tell the person who runs them: results on standard output, narration and progress on standard error.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a task's output is for its caller's terminal"
)]

use std::io::Write;
use std::time::Duration;

/// A heading, set apart from what the commands below it print.
pub(crate) fn heading(text: &str) {
    eprintln!("\n== {text}");
}

/// One line of narration.
pub(crate) fn line(text: impl AsRef<str>) {
    eprintln!("{}", text.as_ref());
}

/// A result, on standard output.
pub(crate) fn result(text: &str) {
    print!("{text}");
    flush();
}

fn flush() {
    // Nobody is left to tell when standard output is gone.
    drop(std::io::stdout().flush());
}

/// A duration as a person says it: `8.2 s`, `3 min 05 s`.
pub(crate) fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    if seconds < 60 {
        return format!("{:.1} s", time.as_secs_f64());
    }
    format!("{} min {:02} s", seconds / 60, seconds % 60)
}

/// A number of bytes as a person says it: `31.0 MB`.
pub(crate) fn bytes(count: u64) -> String {
    let mut scaled = count;
    let mut below = 0;
    let mut unit = "B";
    for next in ["kB", "MB", "GB", "TB"] {
        if scaled < 1000 {
            break;
        }
        below = scaled % 1000 / 100;
        scaled /= 1000;
        unit = next;
    }
    if unit == "B" { format!("{scaled} B") } else { format!("{scaled}.{below} {unit}") }
}

/// Bytes in a time, as a rate.
pub(crate) fn rate(count: u64, time: Duration) -> String {
    let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1);
    format!("{}/s", bytes(count.saturating_mul(1000) / millis))
}

/// Wall-clock time since it was started; the only clock the tasks have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopwatch(std::time::Instant);

impl Stopwatch {
    /// Starts counting.
    #[expect(clippy::disallowed_methods, reason = "durations are printed, nothing is decided by them")]
    pub(crate) fn start() -> Self {
        Self(std::time::Instant::now())
    }

    /// The time since the start.
    pub(crate) fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_well() {
        assert_eq!(duration(Duration::from_millis(8_240)), "8.2 s");
        assert_eq!(duration(Duration::from_secs(185)), "3 min 05 s");
    }

    #[test]
    fn bytes_read_well() {
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(31_030_824), "31.0 MB");
        assert_eq!(rate(10_000_000, Duration::from_secs(2)), "5.0 MB/s");
    }
}
