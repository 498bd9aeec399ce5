//! The catalog's copy in a zone (`copies.catalog`): where it may lie, whether a start may go on, and what is told of it.
//!
//! ```text
//!   before pools are taken over ─► refuse: what data directory and zones say of each other (engine::catalog::copy)
//!   while it runs ───────────────► worker `catalog-copy` asks `choose` where the copy is to be
//! ```
//!
//! # Invariants
//! - What is refused for what directory and zones say has changed nothing, neither in the data directory nor in a zone or a pool.
//! - A copy lies in one zone, in `catalog/` of its first directory; never in one below the data directory, with which it would be lost.
//! - It stays where it is as long as that zone is in use. A zone that drains, or is not to have it, loses it and what it knew.

use super::shares::Shares;
use crate::config::{Config, ZoneConfig};
use crate::directory::{ZONE_MARKS, lies_in, zones_on_one_disk};
use crate::exit::{Exit, Failure};
use crate::layout::CATALOG;
use crate::report::finding::Finding;
use crate::report::status::{CatalogCopy, OnOff};
use crate::report::time::json_time;
use crate::text::quote_sh;
use engine::blob::{BlobStore, ZoneUsage};
use engine::catalog::RocksCatalog;
use engine::catalog::copy::{self, CopyOptions, CopyState, CopyStatus, CopyWorker, Disk, Place, Wanted};
use engine::small_files::SmallFiles;
use engine::worker::Worker;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// The directory in a zone's first one.
pub(crate) const IN_ZONE: &str = "catalog";
/// What no zone is called.
const HOME: &str = "DIR";
/// What `doctor` calls it.
const CHECK: &str = "catalog-copy";

/// What is wanted of the copy, and where it may be.
#[derive(Clone, Debug, Default)]
pub(super) struct Copying {
    /// `copies.catalog`.
    pub(super) wanted: bool,
    /// The zones that may have it, those on another disk than the data directory's in front.
    places: Vec<Place>,
    /// Zones on the data directory's disk.
    beside_home: Vec<String>,
}

impl Copying {
    /// As configured, of the appliance in `dir`.
    pub(super) fn of(dir: &Path, config: &Config) -> Self {
        let apart = config.zones.iter().filter_map(|zone| Some((zone, first_of(zone)?)));
        let apart: Vec<(&ZoneConfig, &Path)> = apart.filter(|(_, place)| !lies_in(place, dir)).collect();
        let beside_home: Vec<String> = apart
            .iter()
            .filter(|(zone, place)| {
                let pair = [(HOME, [dir]), (zone.name.as_str(), [there(place)])];
                !zones_on_one_disk(pair.iter().map(|(name, place)| (*name, &place[..]))).is_empty()
            })
            .map(|(zone, _)| zone.name.clone())
            .collect();
        let place = |(zone, place): &(&ZoneConfig, &Path)| Place::new(zone.name.clone(), place.join(IN_ZONE));
        let mut places: Vec<Place> = apart.iter().map(place).collect();
        places.sort_by_key(|place| beside_home.contains(&place.zone));
        Self { wanted: config.copies.catalog, places, beside_home }
    }

    /// The same once the zones' directories were taken, with the disks that they lie on: what lies in their place is not them.
    pub(super) fn on_disks_of(mut self, zones: &[(ZoneConfig, Option<String>)]) -> Self {
        for place in &mut self.places {
            let Some(first) = place.dir.parent() else { continue };
            let is_there = |(zone, _): &(ZoneConfig, _)| {
                zone.name == place.zone && zone.directories.iter().any(|directory| directory == first)
            };
            place.disk = if zones.iter().any(is_there) { Disk::of(first, &ZONE_MARKS) } else { Disk::Away };
        }
        self
    }

    /// What the catalog is opened with. The zones are asked whether or not a copy is wanted: there may be one.
    pub(super) fn options(&self, accept_loss: bool) -> CopyOptions {
        let disks = self.places.iter().map(|place| Shares::of_disk(&place.dir).reserve.get());
        let keep_free = disks.max().unwrap_or_default();
        CopyOptions { places: self.places.clone(), accept_loss, keep_free, ..CopyOptions::default() }
    }

    /// The worker, where there is a zone that it might have to do with.
    pub(super) fn worker(
        &self,
        catalog: &Arc<RocksCatalog>,
        blobs: &Arc<BlobStore>,
        files: &Arc<SmallFiles>,
    ) -> Option<Box<dyn Worker>> {
        if self.places.is_empty() {
            return None;
        }
        let (this, blobs, told) = (self.clone(), blobs.clone(), catalog.clone());
        let wanted: Wanted = Arc::new(move |had: Option<&str>| {
            this.choose(&as_found(blobs.zones(), &told.copy_status()), had).cloned()
        });
        Some(Box::new(CopyWorker::new(catalog.clone(), files.clone(), wanted)))
    }

    /// Where the copy is to be, now that the zones are as they are; `had` has it.
    fn choose(&self, zones: &[ZoneUsage], had: Option<&str>) -> Option<&Place> {
        if !self.wanted {
            return None;
        }
        let find = |place: &Place| zones.iter().find(|zone| zone.name == place.zone);
        let in_use = |place: &&Place| {
            find(place).is_some_and(|zone| zone.state == "in use" && zone.why_away.is_none())
        };
        let is_well = |place: &&Place| {
            // Room that can't be told is that of a disk which does not answer.
            find(place).is_some_and(|zone| !zone.failing && !zone.full && zone.disk_available.get() > 0)
        };
        let mut fit = self.places.iter().filter(in_use);
        let stays = fit.clone().find(|place| had == Some(place.zone.as_str()));
        stays.or_else(|| fit.clone().find(is_well)).or_else(|| fit.next())
    }

    /// Why a zone may not be drained: it has the copy, and there is no other place for it.
    pub(super) fn refuse_drain(
        &self,
        zone: &str,
        zones: &[ZoneUsage],
        status: &CopyStatus,
    ) -> Result<(), String> {
        if !self.wanted || status.zone.as_deref() != Some(zone) {
            return Ok(());
        }
        let others: Vec<ZoneUsage> = zones.iter().filter(|other| other.name != zone).cloned().collect();
        match self.choose(&as_found(others, status), None) {
            Some(_) => Ok(()),
            None => Err(format!(
                "drain zone {zone}: it has the copy of the catalog, and no other zone in use may have it; add a zone, or set \
                 copies.catalog = false, and restart first"
            )),
        }
    }

    /// For `status`.
    pub(super) fn status(&self, status: &CopyStatus) -> OnOff<CatalogCopy> {
        let state = match status.state {
            CopyState::Single | CopyState::Alone => "alone",
            CopyState::Joining => "joining",
            CopyState::Both => "both",
            CopyState::ReadOnly => "read_only",
        };
        if !self.wanted && status.state != CopyState::Both && status.leaving.is_none() {
            return OnOff::off(
                "set copies.catalog = true in a --config file that names a [[zone]] on another disk, then restart",
            );
        }
        OnOff::On(CatalogCopy {
            on: Some(self.wanted),
            state: Some(state.to_owned()),
            zone: status.zone.clone(),
            since: json_time(status.since),
            reason: status.reason.clone(),
            epoch: Some(status.epoch),
            base_version: status.base_version,
            parted: Some(u64::from(status.parted)),
            leaving: status.leaving.clone(),
        })
    }

    /// For the banner: nothing where it is not wanted.
    pub(super) fn banner(&self, zones: &[ZoneUsage], status: &CopyStatus) -> Option<String> {
        if !self.wanted {
            return None;
        }
        Some(match (status.state, &status.zone, self.choose(zones, None)) {
            (CopyState::Both, Some(zone), _) => format!("catalog and keys lie in zone {zone}, too"),
            (_, _, Some(place)) => {
                format!(
                    "a copy of catalog and keys is being made in zone {}: firn doctor tells when",
                    place.zone
                )
            }
            (_, _, None) => "no zone can have it: firn doctor says why".to_owned(),
        })
    }

    /// For `doctor`.
    pub(super) fn findings(&self, zones: &[ZoneUsage], status: &CopyStatus, dir: &str) -> Vec<Finding> {
        let mut findings = Vec::new();
        if let Some(zone) = &status.leaving {
            let text = format!(
                "zone {zone} is to have no copy of the catalog any more, and still holds what it had, keys included"
            );
            let fix = if status.absent.contains(zone) {
                "mount its disk: what it had is removed then; leave it configured until this line is gone"
            } else {
                "leave it configured until this line is gone"
            };
            findings.push(Finding::note(CHECK, text, fix));
        }
        if !self.wanted {
            return findings;
        }
        let since = json_time(status.since).map_or_else(String::new, |since| format!(" since {since}"));
        match (status.state, &status.zone) {
            (CopyState::Both, Some(zone)) => {
                let text = format!("catalog and keys lie in the data directory and in zone {zone}{since}");
                findings.push(Finding::fine(CHECK, text));
                if self.beside_home.contains(zone) {
                    let text = format!(
                        "zone {zone} lies on the disk of {dir}: losing it loses the catalog and its copy"
                    );
                    let fix = "add a zone on a disk of its own (firn zone add), then drain this one";
                    findings.push(Finding::fault(CHECK, text, fix));
                }
            }
            (CopyState::Joining, Some(zone)) => {
                let text = format!(
                    "a copy of the catalog is being made in zone {zone}; until then it lies in {dir} alone"
                );
                findings.push(Finding::note(CHECK, text, "wait for it; a large catalog takes its time"));
            }
            _ if self.choose(zones, None).is_none() => {
                let text = format!(
                    "the catalog lies in {dir} alone{since}: there is no zone in use that could have a copy"
                );
                let fix = "bring a zone's disk back, or add a zone on another disk than the data directory's (firn zone add)";
                findings.push(Finding::fault(CHECK, text, fix));
            }
            _ => {
                let why = status.reason.as_ref().map_or_else(String::new, |why| format!(" ({why})"));
                let text = format!("the catalog lies in {dir} alone{since}{why}");
                let fix = "look at the log and the kernel's log (dmesg) for the zone's disk; a copy is made anew by itself, after a rest";
                findings.push(Finding::fault(CHECK, text, fix));
            }
        }
        findings
    }
}

/// The zones as pools know them, without those whose disk the copy's worker found gone: what is open on a disk that was taken away goes on.
pub(super) fn as_found(mut zones: Vec<ZoneUsage>, status: &CopyStatus) -> Vec<ZoneUsage> {
    for zone in &mut zones {
        if zone.why_away.is_none() && status.absent.contains(&zone.name) {
            let place = zone.directories.first().map_or_else(String::new, Clone::clone);
            zone.why_away = Some(format!("the disk that {place} was on when firn started is not there"));
        }
    }
    zones
}

/// Rows that are not as they were written.
pub(super) fn rot(rot: Option<String>, status: &CopyStatus, dir: &str) -> Option<Finding> {
    let from = match &status.zone {
        Some(zone) if status.state == CopyState::Both => {
            format!(
                "from zone {zone} (firn recover NEW --from-zone DIRECTORY), or from the backup (firn recover NEW --from TARGET)"
            )
        }
        _ => "from the backup (firn recover NEW --from TARGET)".to_owned(),
    };
    let fix = format!(
        "look at the kernel's log (dmesg) for the disk of {dir}; stop the server and make the data directory anew on a sound disk, {from}"
    );
    Some(Finding::fault(
        "catalog",
        format!("rows of the catalog are not as they were written: {}", rot?),
        fix,
    ))
}

/// A place, or where it is to be made.
fn there(place: &Path) -> &Path {
    place.ancestors().find(|above| above.exists()).unwrap_or(place)
}

fn first_of(zone: &ZoneConfig) -> Option<&Path> {
    zone.directories.first().map(std::path::PathBuf::as_path)
}

/// Refuses a data directory that may not be the newest that there is. Asks the zones, whose disks may not answer: blocks. Changes nothing.
pub(super) fn refuse(dir: &Path, config: &Config, options: &CopyOptions) -> anyhow::Result<()> {
    let (catalog, shown) = (dir.join(CATALOG), dir.display());
    let again = format!("firn server {} --accept-loss", quote_sh(&shown.to_string()));
    if let Some(zone) = copy::shared_with(&catalog)?
        && !config.zones.iter().any(|known| known.name == zone)
        && !options.accept_loss
    {
        let text = format!(
            "start {shown}: zone {zone} has the copy of its catalog, and the configuration has no such zone"
        );
        let hint = format!(
            "put its [[zone]] back. To take it away, let the copy leave it first: firn zone drain {zone}, or copies.catalog = false, and \
             wait until firn doctor says no more of it. Where its disk is lost for good, once: {again}"
        );
        return Err(Failure::new(Exit::Conflict, text).hint(hint).into());
    }
    match copy::would_be_read_only(&catalog, options) {
        Ok(None) => Ok(()),
        Ok(Some(why)) => Err(read_only(dir, &why).into()),
        Err(error @ engine::Error::Forked { .. }) => {
            let text = format!("start {shown}: {error}");
            let hint = "nothing was changed; this directory is not the newest: start the one that went on with the zone, or make it \
                        anew: firn recover DIR --from-zone DIRECTORY";
            Err(Failure::new(Exit::Conflict, text).hint(hint).into())
        }
        Err(error) => Err(anyhow::Error::from(error).context("ask the zones for the copy of the catalog")),
    }
}

/// The refusal of a start that nobody asked to give anything up.
pub(super) fn read_only(dir: &Path, why: &str) -> Failure {
    let shown = dir.display();
    let hint = format!(
        "bring the zone's disk back and start again: then nothing is lost. Where it is lost for good, start once with: firn server {} \
         --accept-loss",
        quote_sh(&shown.to_string())
    );
    Failure::new(Exit::Conflict, format!("start {shown}: {why}")).hint(hint)
}

/// Registers its metrics.
pub(super) fn register(registry: &mut Registry, catalog: &Arc<RocksCatalog>, copying: &Copying) {
    registry.register_collector(Box::new(CopyMetrics(Arc::clone(catalog), copying.wanted)));
}

struct CopyMetrics(Arc<RocksCatalog>, bool);

impl fmt::Debug for CopyMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CopyMetrics")
    }
}

impl Collector for CopyMetrics {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        encode(&self.0.copy_status(), self.1, encoder)
    }
}

fn encode(status: &CopyStatus, wanted: bool, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
    let since = status.since.map_or(0, |since| since.as_millis().div_euclid(1_000));
    let gauges = [
        ("firn_catalog_places_wanted", "Places that the catalog is to lie in", 1 + i64::from(wanted)),
        (
            "firn_catalog_places",
            "Places that the catalog lies in, each with all that was answered",
            1 + i64::from(status.state == CopyState::Both),
        ),
        (
            "firn_catalog_places_since_seconds",
            "When it came to be in so many places, in seconds since the epoch; at the earliest the start",
            since,
        ),
    ];
    for (name, help, number) in gauges {
        ConstGauge::new(number).encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)?;
    }
    if let Some(zone) = status.zone.as_deref().filter(|_| status.state == CopyState::Both) {
        let help = "The zone that has the catalog's copy: 1";
        let mut family = encoder.encode_descriptor("firn_catalog_copy", help, None, MetricType::Gauge)?;
        ConstGauge::new(1_i64).encode(family.encode_family(&[("zone", zone)])?)?;
    }
    let help = "How often the catalog was parted from its copy since the start";
    let parted = encoder.encode_descriptor("firn_catalog_parted", help, None, MetricType::Counter)?;
    ConstCounter::new(u64::from(status.parted)).encode(parted)
}

#[cfg(test)]
#[path = "catalog_copy_tests.rs"]
mod tests;
