//! Making a data directory out of a zone's copy of the catalog.
//!
//! ```text
//!   membership ─► its epoch's newest base, copied ─► the log behind it, applied ─► small files, the marker last
//! ```
//!
//! The zone is only read. The directory is no appliance until the marker is there, so a crash leaves something that this can
//! be started over on. It does not take commits until the loss of what only the lost directory may know is accepted: see
//! [`super::judge`].

use super::keeper::{Reached, reached};
use super::membership::{Members, Membership};
use super::place::{self, Epoch};
use crate::backup::Recovered;
use crate::catalog::{Options, RocksCatalog, Version};
use crate::clock::Timestamp;
use crate::{Error, Result};
use std::path::Path;
use std::time::UNIX_EPOCH;

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// The zone, by the name that the copy has.
    pub zone: String,
    /// The membership's epoch that the zone knows.
    pub epoch: u64,
    /// The base's version.
    pub base_version: Version,
    /// The newest commit.
    pub version: Version,
}

/// Makes a data directory at `root`, which must not hold an appliance, out of the copy in `place`. `marker` is the small file
/// that makes a directory an appliance; `attached` names all of them. Blocks.
pub fn restore(
    place: &Path,
    root: &Path,
    (marker, attached): (&str, &[String]),
    mut options: Options,
) -> Result<Restored> {
    if root.join(marker).exists() {
        let text = format!("recover into {}: an appliance is there already", root.display());
        return Err(Error::Invalid(text));
    }
    let absent = || Error::NotFound { what: "copy of the catalog in", id: place.display().to_string() };
    let membership =
        Membership::read(place)?.filter(|found| found.members == Members::Both).ok_or_else(absent)?;
    let epoch = Epoch::of(place, &membership);
    let small = epoch.attachments(attached)?;
    if !small.iter().any(|(name, _)| name == marker) {
        return Err(absent());
    }
    let Reached { base, files, file_bytes, version } = reached(&epoch)?;
    let (_, base_dir) = epoch.newest_base()?;
    place::private_dir(root)?;
    let catalog = root.join("catalog");
    place::remove_tree(&catalog)?;
    place::copy_tree(&base_dir, &catalog, &mut |from, to, _| place::copy_file(from, to))?;
    let log = catalog.join("log");
    place::private_dir(&log)?;
    for file in &files {
        if let Some(name) = file.path.file_name() {
            place::copy_file(&file.path, &log.join(name))?;
        }
    }
    let lone = membership.lone(version, &*options.entropy);
    lone.write(&catalog)?;
    options.log_file_bytes = file_bytes.unwrap_or(options.log_file_bytes);
    let at_ms = options.clock.now();
    let opened = RocksCatalog::open(&catalog, options)?;
    let found = opened.synced();
    let became = opened.become_a_checkpoint();
    drop(opened);
    became?;
    if found != version {
        let detail = format!("it reads as version {found} and as {version}");
        return Err(Error::Corrupt { what: format!("copy of the catalog {}", place.display()), detail });
    }
    let made = place::made_at(&base_dir).and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    let taken = made.and_then(|at| i64::try_from(at.as_millis()).ok()).map_or(at_ms, Timestamp::from_millis);
    let recovered =
        Recovered { at_ms, base_version: base, base_taken_at_ms: taken, version, chunks_beyond_gap: 0 };
    recovered.write(root)?;
    let (last, others): (Vec<_>, Vec<_>) = small.into_iter().partition(|(name, _)| name == marker);
    for (name, bytes) in others.into_iter().chain(last) {
        place::put_private(&root.join(name), &bytes)?;
    }
    Ok(Restored { zone: membership.zone, epoch: membership.epoch, base_version: base, version })
}
