//! Whether a zone's disk is where it was when the zone was opened: what is left of a mount point without it is a directory, too, on the disk of the data
//! directory as a rule.

use super::Place;
use crate::{Error, Result};
use rustix::fs::{Mode, OFlags};
use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// What tells a zone's disk from a mount point without it, and from another disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Disk {
    /// Nothing: whatever is there is it.
    #[default]
    Unknown,
    /// It was not there.
    Away,
    /// The device that the zone's directory was on, and the file in it that says whose it is.
    Marked {
        /// Its number.
        device: u64,
        /// The file's name.
        mark: String,
        /// What it holds.
        bytes: Vec<u8>,
    },
}

impl Disk {
    /// That of the directory of a zone that was just opened; one of these files marks it.
    pub fn of(zone: &Path, marks: &[&str]) -> Self {
        let found = marks.iter().find_map(|mark| {
            let bytes = crate::file::read_regular(&zone.join(mark)).ok()?;
            let device = std::fs::metadata(zone).ok()?.dev();
            Some(Self::Marked { device, mark: (*mark).to_owned(), bytes })
        });
        found.unwrap_or(Self::Away)
    }

    /// Whether an open directory is on it.
    fn has(&self, zone: &File, at: &Path) -> Result<bool> {
        let (device, mark, bytes) = match self {
            Self::Unknown => return Ok(true),
            Self::Away => return Ok(false),
            Self::Marked { device, mark, bytes } => (device, mark, bytes),
        };
        let failed = |error| Error::io("look at", at.join(mark), error);
        if zone.metadata().map_err(failed)?.dev() != *device {
            return Ok(false);
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match rustix::fs::openat(zone, mark.as_str(), flags, Mode::empty())
            .map_err(std::io::Error::from)
        {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            opened => File::from(opened.map_err(failed)?),
        };
        let mut found = Vec::new();
        file.take(bytes.len() as u64 + 1).read_to_end(&mut found).map_err(failed)?;
        Ok(found == *bytes)
    }
}

impl Place {
    /// In this directory of a zone, wherever that is.
    pub const fn new(zone: String, dir: PathBuf) -> Self {
        Self { zone, dir, disk: Disk::Unknown }
    }

    /// The zone's directory, open. Refused unless it is the one that the zone was opened on: an empty mount point is a zone that is away.
    fn open(&self) -> Result<File> {
        let away = || Error::ZoneAway { zone: self.zone.clone() };
        let zone = self.dir.parent().ok_or_else(away)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let open = match rustix::fs::open(zone, flags, Mode::empty()).map_err(std::io::Error::from) {
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                return Err(away());
            }
            opened => File::from(opened.map_err(|error| Error::io("open", zone, error))?),
        };
        if self.disk.has(&open, zone)? { Ok(open) } else { Err(away()) }
    }

    /// Refused unless the zone's disk is there.
    pub(super) fn check(&self) -> Result<()> {
        self.open().map(drop)
    }

    /// Makes the place's own directory on the zone's disk, and none above it.
    pub(super) fn make(&self) -> Result<()> {
        let zone = self.open()?;
        let Some(name) = self.dir.file_name() else { return Ok(()) };
        match rustix::fs::mkdirat(&zone, Path::new(name), Mode::RWXU).map_err(std::io::Error::from) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                Err(Error::io("create", &self.dir, error))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Disk, Place};
    use crate::Error;

    #[test]
    fn a_mount_point_another_disk_and_another_mark_are_not_the_zones_disk() {
        let dir = tempfile::tempdir().unwrap();
        let zone = dir.path().join("zone");
        std::fs::create_dir(&zone).unwrap();
        assert_eq!(Disk::of(&zone, &["owner.json", "zone.json"]), Disk::Away, "it has no mark");
        std::fs::write(zone.join("zone.json"), "b").unwrap();
        let disk = Disk::of(&zone, &["owner.json", "zone.json"]);
        let place =
            |disk: &Disk| Place { disk: disk.clone(), ..Place::new("b".to_owned(), zone.join("catalog")) };
        place(&disk).check().unwrap();
        let Disk::Marked { device, mark, bytes } = disk.clone() else { panic!("{disk:?}") };
        let elsewhere = Disk::Marked { device: device + 1, mark, bytes };
        for other in [Disk::Away, elsewhere] {
            assert!(matches!(place(&other).make(), Err(Error::ZoneAway { .. })), "{other:?}");
        }
        for changed in ["bc", "a"] {
            std::fs::write(zone.join("zone.json"), changed).unwrap();
            assert!(matches!(place(&disk).make(), Err(Error::ZoneAway { .. })), "{changed}");
        }
        std::fs::remove_file(zone.join("zone.json")).unwrap();
        assert!(matches!(place(&disk).make(), Err(Error::ZoneAway { .. })));
        assert!(!zone.join("catalog").exists());
        std::fs::write(zone.join("zone.json"), "b").unwrap();
        place(&disk).make().unwrap();
        place(&disk).make().unwrap();
        assert!(zone.join("catalog").is_dir());
    }
}
