//! `[vault]` and `[[medium]]`: whether there are vaults, and where their packs lie.

use super::raw;
use crate::exit::Failure;
use crate::text::{parse_duration, parse_size};
use archive::retrieval::{FREE_PER_DAY, MediumKind};
use archive::vault::{MediumOptions, Packing};
use engine::unit::ByteCount;
use std::path::PathBuf;
use std::time::Duration;

/// Most media of an appliance.
const MEDIA_MAX: usize = 256;
/// The smallest pack.
const PACK_MIN: ByteCount = ByteCount::mib(2);

/// The least that is moved to new packs in a day: four packs.
const COMPACT_A_DAY_MIN: ByteCount = ByteCount::gib(1);

/// Vaults, where the Glacier door is open.
#[derive(Clone, Debug)]
pub(crate) struct VaultConfig {
    pub(crate) packing: Packing,
    /// What the data retrieval policy `FreeTier` lets an account retrieve in a day.
    pub(crate) free_per_day: ByteCount,
    /// None: `DIR/vault` is the only one.
    pub(crate) media: Vec<MediumOptions>,
}

type Bad<'a> = &'a dyn Fn(&str, String) -> Failure;

pub(super) fn vaults(
    raw: &raw::Vault,
    media: Vec<raw::Medium>,
    bad: Bad<'_>,
) -> Result<Option<VaultConfig>, Failure> {
    if !raw.enabled {
        let orphan = [
            ("medium", !media.is_empty()),
            ("vault.pack", raw.pack.is_some()),
            ("vault.pack-after", raw.pack_after.is_some()),
            ("vault.free-per-day", raw.free_per_day.is_some()),
            ("vault.compact-above", raw.compact_above.is_some()),
            ("vault.compact-a-day", raw.compact_a_day.is_some()),
        ];
        return match orphan.into_iter().find(|(_, there)| *there) {
            Some((key, _)) => Err(bad(key, "there is no vault.enabled = true".to_owned())),
            None => Ok(None),
        };
    }
    let mut packing = Packing::default();
    if let Some(text) = &raw.pack {
        let bytes = parse_size(text).map_err(|why| bad("vault.pack", why))?;
        if !(PACK_MIN.get()..=packing.capacity).contains(&bytes) {
            return Err(bad("vault.pack", format!("{text} is not from 2MiB to 256MiB")));
        }
        packing.capacity = bytes;
    }
    if let Some(text) = &raw.pack_after {
        packing.patience = parse_duration(text).map_err(|why| bad("vault.pack-after", why))?;
        if packing.patience > Duration::from_hours(7 * 24) {
            return Err(bad("vault.pack-after", format!("{text} is not in 0s..=7d")));
        }
    }
    let mut free_per_day = FREE_PER_DAY;
    if let Some(text) = &raw.free_per_day {
        free_per_day = ByteCount::new(parse_size(text).map_err(|why| bad("vault.free-per-day", why))?);
    }
    if let Some(above) = raw.compact_above {
        if !(1..=100).contains(&above) {
            return Err(bad("vault.compact-above", format!("{above} is not in 1..=100 per cent")));
        }
        packing.compact_above = above;
    }
    if let Some(text) = &raw.compact_a_day {
        packing.compact_a_day = parse_size(text).map_err(|why| bad("vault.compact-a-day", why))?;
        if packing.compact_a_day < COMPACT_A_DAY_MIN.get() {
            return Err(bad("vault.compact-a-day", format!("{text} is less than 1GiB")));
        }
    }
    if media.len() > MEDIA_MAX {
        return Err(bad("medium", format!("{} are not in 0..={MEDIA_MAX}", media.len())));
    }
    let mut all: Vec<MediumOptions> = Vec::new();
    for raw in media {
        let medium = medium(raw, bad)?;
        if all.iter().any(|other| other.label == medium.label || other.path == medium.path) {
            return Err(bad("medium", format!("{} or its path stands twice", medium.label)));
        }
        all.push(medium);
    }
    Ok(Some(VaultConfig { packing, free_per_day, media: all }))
}

fn medium(raw: raw::Medium, bad: Bad<'_>) -> Result<MediumOptions, Failure> {
    let label = raw.name.parse().map_err(|error| bad("medium.name", format!("{error}")))?;
    let kind = match raw.kind.as_deref() {
        None | Some("disk") => MediumKind::Disk,
        Some("spun-down") => MediumKind::SpunDown,
        Some("shelf") => MediumKind::Shelf,
        Some(other) => {
            let allowed = "\"disk\", \"spun-down\", \"shelf\"";
            return Err(bad("medium.kind", format!("{other:?} is none of {allowed}")));
        }
    };
    let path: PathBuf = raw.path;
    if !path.is_absolute() {
        return Err(bad("medium.path", format!("{} is not an absolute path", path.display())));
    }
    let capacity = raw.capacity.map(|text| parse_size(&text).map_err(|why| bad("medium.capacity", why)));
    let capacity = capacity.transpose()?.map(ByteCount::new);
    Ok(MediumOptions { label, kind, path, capacity, write_once: raw.write_once })
}
