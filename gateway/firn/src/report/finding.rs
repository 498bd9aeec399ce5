//! A finding of `doctor`: one thing that was looked at, and what mends it. The server and the verb both make them.

use crate::text::quote_sh;
use engine::unit::ByteCount;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Below this much free space new data may soon be refused; on disks below 10 GiB a tenth of them.
const LOW_SPACE: ByteCount = ByteCount::gib(1);

/// A smaller disk is taken by log files and reserves for a good part.
pub(crate) const LEAST_DISK: ByteCount = ByteCount::mib(256);

/// One thing looked at.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Finding {
    /// What was looked at.
    pub(crate) check: String,
    /// Whether it is as it should be.
    pub(crate) ok: bool,
    /// What was seen.
    pub(crate) detail: String,
    /// A line that mends it, or betters what is no fault.
    pub(crate) fix: Option<String>,
}

impl Finding {
    pub(crate) fn fine(check: &str, detail: impl Into<String>) -> Self {
        Self { check: check.to_owned(), ok: true, detail: detail.into(), fix: None }
    }

    /// No fault, and yet worth doing something about.
    pub(crate) fn note(check: &str, detail: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { check: check.to_owned(), ok: true, detail: detail.into(), fix: Some(fix.into()) }
    }

    pub(crate) fn fault(check: &str, detail: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { check: check.to_owned(), ok: false, detail: detail.into(), fix: Some(fix.into()) }
    }
}

/// How much room is left where a directory lies.
pub(crate) fn space(check: &str, dir: &Path) -> Finding {
    let shown = dir.display();
    match rustix::fs::statvfs(dir) {
        Err(error) => Finding::fault(
            check,
            format!("look at {shown}: {error}"),
            format!("ls -ld {}", quote_sh(&shown.to_string())),
        ),
        Ok(stat) => {
            let free = ByteCount::new(stat.f_bavail.saturating_mul(stat.f_frsize));
            let total = ByteCount::new(stat.f_blocks.saturating_mul(stat.f_frsize));
            judge_space(check, dir, free, total)
        }
    }
}

/// Whether new data may soon be refused.
pub(crate) fn is_low(free: ByteCount, total: ByteCount) -> bool {
    free.get() < LOW_SPACE.get().min(total.get() / 10)
}

fn judge_space(check: &str, dir: &Path, free: ByteCount, total: ByteCount) -> Finding {
    let shown = dir.display();
    let text = format!("{free} free of {total} where {shown} lies");
    if is_low(free, total) {
        return Finding::fault(check, text, "delete objects (firn rm), or give the file system more room");
    }
    if total < LEAST_DISK {
        let text = format!("{total} is small: log files and reserves take much of the disk of {shown}");
        return Finding::note(check, text, format!("give the file system {LEAST_DISK} or more"));
    }
    Finding::fine(check, text)
}

#[cfg(test)]
mod tests {
    use super::{LEAST_DISK, judge_space};
    use engine::unit::ByteCount;
    use std::path::Path;

    #[test]
    fn space_is_judged_by_what_is_left_of_the_disk_and_by_its_size() {
        let judge = |free, total| judge_space("space", Path::new("/d"), free, total);
        let (mib, gib) = (ByteCount::mib, ByteCount::gib);
        for (free, total, ok, says) in [
            (gib(2), gib(79), true, "2.0 GiB free of 79.0 GiB"),
            (mib(900), gib(79), false, "free of 79.0 GiB"),
            (mib(200), mib(300), true, "200.0 MiB free"),
            (mib(29), mib(300), false, "29.0 MiB free"),
            (mib(90), mib(100), true, "100.0 MiB is small"),
            (mib(200), LEAST_DISK, true, "200.0 MiB free"),
        ] {
            let finding = judge(free, total);
            assert!(finding.ok == ok && finding.detail.contains(says), "{finding:?}");
        }
    }
}
