//! Making a catalog for a new data directory out of a zone's copy.
//!
//! ```text
//!   claim ─► membership ─► its copy's newest base, copied ─► the log behind it ─► NAME.restoring ─► opened with its keys ─► renamed: NAME
//! ```
//!
//! The zone is only read, and by one process at a time. The catalog does not take commits until the loss of what only the lost
//! directory may know is accepted: see `judge`. A crash leaves a `NAME.restoring`, which the next try removes.

use super::hand::Hand;
use super::keeper::{Reached, claim, reached};
use super::membership::Membership;
use super::place::{self, CopyDir};
use crate::catalog::{Options, RocksCatalog, Version};
use crate::file::sync_dir;
use crate::small_files::Opens;
use crate::{Error, Result};
use std::path::{Path, PathBuf};

/// What came back.
#[derive(Clone, PartialEq, Eq)]
pub struct Restored {
    /// The zone, by the name that the copy has.
    pub zone: String,
    /// The membership's epoch that the zone knows.
    pub epoch: u64,
    /// The base's version.
    pub base_version: Version,
    /// The newest commit.
    pub version: Version,
    /// The small files of the lost data directory, by their names there. Keys are among them.
    pub attached: Vec<(String, Vec<u8>)>,
}

impl Restored {
    /// Puts the small files into a data directory, for its owner alone, the one called `marker` last: what makes a directory an
    /// appliance.
    pub fn attach(&self, root: &Path, marker: &str) -> Result<()> {
        let (last, others): (Vec<_>, _) = self.attached.iter().partition(|(name, _)| name == marker);
        if last.is_empty() {
            return Err(Error::NotFound { what: "small file of the zone's copy", id: marker.to_owned() });
        }
        others
            .into_iter()
            .chain(last)
            .try_for_each(|(name, bytes)| place::put_private(&root.join(name), bytes))
    }
}

impl std::fmt::Debug for Restored {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { zone, epoch, version, .. } = self;
        write!(f, "the catalog of zone {zone} at epoch {epoch}, version {version}")
    }
}

/// Makes a catalog at `dir`, where there must be none, out of the copy in `place`, and answers the small files called `attached` that
/// lie there. Nothing is made of a copy that can't be opened with them. Blocks.
pub fn restore(
    place: &Path,
    dir: &Path,
    (attached, opens): (&[String], Option<&Opens>),
    mut options: Options,
) -> Result<Restored> {
    if dir.exists() {
        return Err(Error::Invalid(format!(
            "make a catalog in {}: something is there already",
            dir.display()
        )));
    }
    let absent = || Error::NotFound { what: "copy of the catalog in", id: place.display().to_string() };
    if !place.is_dir() {
        return Err(absent());
    }
    let mut hand = Hand::default();
    claim(place, &mut hand)?;
    let membership = Membership::read(place)?.ok_or_else(absent)?;
    let copy = CopyDir::of(place, &membership);
    let attached = copy.attachments(attached)?;
    let Reached { base, files, file_bytes, version } = reached(&copy)?;
    let (_, base_dir) = copy.newest_base()?;

    let partial = partial_name(dir);
    place::remove_tree(&partial)?;
    place::copy_tree(&base_dir, &partial, &mut |from, to, _| place::copy_file(from, to))?;
    let log = partial.join("log");
    place::private_dir(&log)?;
    for file in &files {
        if let Some(name) = file.path.file_name() {
            place::copy_file(&file.path, &log.join(name))?;
        }
    }
    membership.lone(version, &*options.entropy).write(&partial)?;
    options.log_file_bytes = file_bytes.unwrap_or(options.log_file_bytes);
    options.copy.places.clear();
    options.copy.accept_loss = false;
    let opened = RocksCatalog::open(&partial, options)?;
    let found = opened.synced();
    if let Some(Err(error)) = opens.map(|opens| opens(&opened, &attached)) {
        opened.close();
        drop(opened);
        place::remove_tree(&partial)?;
        return Err(error);
    }
    let became = opened.become_a_checkpoint();
    drop(opened);
    became?;
    if found != version {
        let detail = format!("it reads as version {found} and as {version}");
        return Err(Error::Corrupt { what: format!("copy of the catalog {}", place.display()), detail });
    }
    std::fs::rename(&partial, dir).map_err(|error| Error::io("rename", &partial, error))?;
    if let Some(above) = dir.parent() {
        sync_dir(above)?;
    }
    Ok(Restored { zone: membership.zone, epoch: membership.epoch, base_version: base, version, attached })
}

fn partial_name(dir: &Path) -> PathBuf {
    let mut name = dir.as_os_str().to_owned();
    name.push(".restoring");
    PathBuf::from(name)
}
