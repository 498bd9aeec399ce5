//! Who holds a lock file: the process that `/proc/locks` names for it.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The process id, or "unknown" where the system does not tell.
pub(super) fn holder(file: &Path) -> String {
    let found = std::fs::metadata(file).ok().and_then(|metadata| {
        let (device, inode) = (metadata.dev(), metadata.ino());
        let id = format!("{:02x}:{:02x}:{inode}", rustix::fs::major(device), rustix::fs::minor(device));
        find(&std::fs::read_to_string("/proc/locks").ok()?, &id)
    });
    found.unwrap_or_else(|| "unknown".into())
}

/// `locks` has lines like `1: POSIX  ADVISORY  WRITE 1234 08:01:5678 0 EOF`; with `->` after the number one only waits.
/// Holders outside our view of the system's processes have the id 0 or -1.
fn find(locks: &str, id: &str) -> Option<String> {
    locks.lines().find_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        let kind = words.next()?;
        let pid: u32 = words.nth(2)?.parse().ok()?;
        (kind != "->" && pid > 0 && words.next()? == id).then(|| pid.to_string())
    })
}

#[cfg(test)]
mod tests {
    use super::find;

    #[test]
    fn the_holder_is_found_and_neither_waiters_nor_other_files() {
        let locks = "1: POSIX  ADVISORY  WRITE 77 08:01:99 0 EOF\n\
            2: POSIX  ADVISORY  WRITE 1234 08:01:5678 0 EOF\n\
            2: -> POSIX  ADVISORY  WRITE 5 08:01:4321 0 EOF\n\
            3: FLOCK  ADVISORY  WRITE 0 08:01:11 0 EOF\n\
            4: FLOCK  ADVISORY  WRITE -1 08:01:12 0 EOF\n";
        assert_eq!(find(locks, "08:01:5678").unwrap(), "1234");
        for absent in ["08:02:5678", "08:01:4321", "08:01:11", "08:01:12"] {
            assert_eq!(find(locks, absent), None, "{absent}");
        }
    }
}
