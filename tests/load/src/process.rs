//! What a server process costs: its CPU time and memory, from /proc.

use anyhow::{Context, Result};
use std::fs;
use std::time::Duration;

/// The CPU time of a process so far, user and system.
pub(crate) fn cpu_time(pid: u32) -> Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).context("read the server's CPU time")?;
    // The command's name stands in parentheses and may hold anything; the numbers follow the last one.
    let fields: Vec<&str> =
        stat.rsplit_once(')').context("parse /proc/PID/stat")?.1.split_whitespace().collect();
    let field =
        |index: usize| -> Result<u64> { Ok(fields.get(index).context("parse /proc/PID/stat")?.parse()?) };
    let ticks = field(11)? + field(12)?;
    let per_second = rustix::param::clock_ticks_per_second();
    Ok(Duration::from_nanos(ticks * 1_000_000_000 / per_second))
}

/// Resident memory now and at its highest, in KiB.
pub(crate) fn resident_kib(pid: u32) -> Result<(u64, u64)> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).context("read the server's memory")?;
    let field = |name: &str| -> Result<u64> {
        let line =
            status.lines().find_map(|line| line.strip_prefix(name)).context("parse /proc/PID/status")?;
        Ok(line.trim().trim_end_matches("kB").trim().parse()?)
    };
    Ok((field("VmRSS:")?, field("VmHWM:")?))
}

#[cfg(test)]
mod tests {
    use super::{cpu_time, resident_kib};

    #[test]
    fn reads_its_own_process() {
        let pid = std::process::id();
        cpu_time(pid).unwrap();
        let (now, highest) = resident_kib(pid).unwrap();
        assert!(now > 100 && highest >= now);
    }
}
