//! What of the machine's memory bodies may hold where the configuration does not say it: a quarter, within bounds.

use engine::unit::ByteCount;
use std::path::Path;

/// The default is no less than this, however small the machine, ...
const LEAST: ByteCount = ByteCount::mib(256);
/// ... and no more than this.
const MOST: ByteCount = ByteCount::gib(2);
/// The part of the memory that it is.
const PART: u64 = 4;

/// The default for this machine, or for the control group that the process is in.
pub(crate) fn of_bodies() -> ByteCount {
    part(of_machine())
}

/// The memory of this machine, or of the control group that the process is in, if that is less.
pub(crate) fn of_machine() -> Option<ByteCount> {
    let read = |path: &Path| std::fs::read_to_string(path).ok();
    let group = read(Path::new("/proc/self/cgroup")).and_then(|text| group_of(&text).map(str::to_owned));
    let limit = group.and_then(|group| {
        read(&Path::new("/sys/fs/cgroup").join(group.trim_start_matches('/')).join("memory.max"))
    });
    // In a container its own group is the root.
    let limit = limit.or_else(|| read(Path::new("/sys/fs/cgroup/memory.max")));
    let total = read(Path::new("/proc/meminfo")).as_deref().and_then(total);
    smaller(total, limit.as_deref().and_then(bytes))
}

fn smaller(total: Option<ByteCount>, limit: Option<ByteCount>) -> Option<ByteCount> {
    [total, limit].into_iter().flatten().min()
}

/// A quarter; the least where it is not known.
fn part(all: Option<ByteCount>) -> ByteCount {
    ByteCount::new(all.unwrap_or(ByteCount::ZERO).get() / PART).clamp(LEAST, MOST)
}

/// `MemTotal` of /proc/meminfo.
fn total(meminfo: &str) -> Option<ByteCount> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    Some(ByteCount::kib(line.trim().strip_suffix("kB")?.trim().parse().ok()?))
}

/// The process's group of the unified hierarchy, in /proc/self/cgroup.
fn group_of(cgroup: &str) -> Option<&str> {
    cgroup.lines().find_map(|line| line.strip_prefix("0::"))
}

/// `memory.max`: bytes, or `max`.
fn bytes(limit: &str) -> Option<ByteCount> {
    limit.trim().parse().ok().map(ByteCount::new)
}

#[cfg(test)]
mod tests {
    use super::{LEAST, MOST, bytes, group_of, part, smaller, total};
    use engine::unit::ByteCount;

    #[test]
    fn bodies_have_a_quarter_of_the_memory_within_bounds() {
        let gib = |n| Some(ByteCount::gib(n));
        let of = |total, limit| part(smaller(total, limit));
        assert_eq!(of(gib(4), None), ByteCount::gib(1));
        assert_eq!(of(gib(64), gib(2)), ByteCount::mib(512), "what its group may use");
        assert_eq!(of(gib(1), gib(2)), LEAST);
        assert_eq!(of(gib(64), None), MOST);
        assert_eq!(of(None, None), LEAST);
    }

    #[test]
    fn the_kernels_words_are_read() {
        assert_eq!(total("MemTotal:       8000000 kB\nMemFree: 5 kB\n"), Some(ByteCount::kib(8_000_000)));
        assert_eq!(total("MemFree: 5 kB\n"), None);
        assert_eq!(
            group_of("12:cpu:/x\n0::/system.slice/firn.service\n"),
            Some("/system.slice/firn.service")
        );
        assert_eq!((bytes("1048576\n"), bytes("max\n")), (Some(ByteCount::mib(1)), None));
    }
}
