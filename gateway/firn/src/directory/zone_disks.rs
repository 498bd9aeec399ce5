//! Which zones share a disk: losing it loses all their copies at once.
//!
//! Two directories of one file system share a disk, and so do two partitions of one that the kernel knows (sysfs). What lies below
//! a RAID, a volume manager or a remote file system is not looked into.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Pairs of zones of which a directory lies on one disk, in the order of the zones.
pub(crate) fn shared<'a, P: AsRef<Path> + 'a>(
    zones: impl Iterator<Item = (&'a str, &'a [P])>,
) -> Vec<(String, String)> {
    let disks_of = |places: &[P]| places.iter().filter_map(|place| disk_of(place.as_ref())).collect();
    let zones: Vec<(&str, Vec<PathBuf>)> = zones.map(|(name, places)| (name, disks_of(places))).collect();
    let mut pairs = Vec::new();
    for (n, (second, disks)) in zones.iter().enumerate() {
        for (first, others) in &zones[..n] {
            if disks.iter().any(|disk| others.contains(disk)) {
                pairs.push(((*first).to_owned(), (*second).to_owned()));
            }
        }
    }
    pairs
}

/// A name of the disk that a directory lies on; none for one that can't be asked.
fn disk_of(place: &Path) -> Option<PathBuf> {
    let device = std::fs::metadata(place).ok()?.dev();
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let known = std::fs::canonicalize(format!("/sys/dev/block/{major}:{minor}"));
    let disk = known.unwrap_or_else(|_| PathBuf::from(format!("device {major}:{minor}")));
    let is_partition = disk.join("partition").exists();
    Some(disk.parent().filter(|_| is_partition).map(Path::to_path_buf).unwrap_or(disk))
}

#[cfg(test)]
mod tests {
    use super::{disk_of, shared};
    use std::path::{Path, PathBuf};

    #[test]
    fn two_zones_on_one_disk_are_found() {
        let here = tempfile::tempdir().unwrap();
        let (a, b) = ([here.path().join("a")], [here.path().join("gone"), here.path().join("b")]);
        for place in [&a[0], &b[1]] {
            std::fs::create_dir(place).unwrap();
        }
        let c = [PathBuf::from("/proc")];
        let zones = [("a", &a[..]), ("b", &b[..]), ("c", &c[..])];
        assert_eq!(shared(zones.into_iter()), [("a".to_owned(), "b".to_owned())]);
        assert_eq!(disk_of(Path::new("/nonexistent")), None);
        assert_ne!(disk_of(here.path()), disk_of(Path::new("/proc")));
    }
}
