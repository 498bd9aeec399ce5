//! The files of appliances by what they are, device and inode: a hard link to one is it by another name, and says nothing of it.
//!
//! A file does not say where its other names are. So they are looked for where an appliance is likely to be: at the places that are
//! named, beside a tree, and beside the directories that it lies in. What lies on another device can have no name there.
//!
//! Limits: three directories up, a thousand entries of each, a hundred thousand files of an appliance.

use super::{appliance_of, is_home, of_appliance};
use std::collections::HashSet;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use walkdir::WalkDir;

/// Directories above a tree whose entries are looked at.
const UP: usize = 3;
const ENTRIES_MAX: usize = 1_000;
const FILES_MAX: usize = 100_000;

/// Of appliances that were found.
#[derive(Debug, Default)]
pub(crate) struct OwnFiles(HashSet<(u64, u64)>);

impl OwnFiles {
    /// Those of the appliances at these places, and of those around a place.
    pub(crate) fn of(place: &Path, named: impl Iterator<Item = PathBuf>) -> Self {
        let mut homes: HashSet<PathBuf> = named.filter_map(|dir| appliance_of(&dir)).collect();
        if let Ok(place) = std::fs::canonicalize(place) {
            homes.extend(
                place.ancestors().take(UP + 1).filter(|dir| dir.parent().is_some()).flat_map(homes_in),
            );
        }
        let mut files = HashSet::new();
        for home in homes {
            let entries =
                WalkDir::new(home).into_iter().flatten().filter(|entry| entry.file_type().is_file());
            let found = entries.filter_map(|entry| entry.metadata().ok()).take(FILES_MAX);
            files.extend(found.map(|metadata| (metadata.dev(), metadata.ino())));
        }
        Self(files)
    }

    /// What a file is, if it is one of them.
    pub(crate) fn what(&self, file: &Metadata) -> Option<&'static str> {
        self.0
            .contains(&(file.dev(), file.ino()))
            .then_some("it is an appliance's own by another name: a hard link")
    }
}

fn homes_in(dir: &Path) -> Vec<PathBuf> {
    let (Ok(entries), Ok(about)) = (std::fs::read_dir(dir), dir.metadata()) else { return Vec::new() };
    let entries = entries.take(ENTRIES_MAX).flatten().filter(|entry| {
        entry.metadata().is_ok_and(|found| found.is_dir() && found.dev() == about.dev())
            && (is_home(&entry.path()) || of_appliance(&entry.path()).is_some())
    });
    entries.map(|entry| entry.path()).collect()
}
