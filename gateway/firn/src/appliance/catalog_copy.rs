//! The catalog's copy in a zone: which zone that is, what a start knows of it, and what is said about it.

use super::home::Home;
use super::open::Appliance;
use crate::config::{Config, ZoneConfig};
use crate::directory::{zone_is_marked, zones_on_one_disk};
use crate::layout::{ATTACHED, CATALOG};
use crate::report::finding::Finding;
use crate::text::quote_sh;
use engine::backup::Recovered;
use engine::blob::BlobStore;
use engine::catalog::RocksCatalog;
use engine::catalog::copy::{CopyOptions, CopyStatus, CopyWorker, Place, Wanted, would_be_read_only};
use engine::worker::Worker;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn copies(config: &Config) -> usize {
    config.copies.of_catalog(config.zones.len())
}

fn place(zone: &ZoneConfig) -> Option<Place> {
    Some(Place { zone: zone.name.clone(), dir: zone.directories.first()?.join(CATALOG) })
}

/// What a start knows of copies: every zone may have one, whether or not it is to.
pub(super) fn options(home: &Home, config: &Config) -> anyhow::Result<CopyOptions> {
    Ok(CopyOptions {
        places: config.zones.iter().filter_map(place).collect(),
        accept_loss: config.copies.accept_loss,
        supersedes: Recovered::read(&home.dir)?.is_some(),
        ..CopyOptions::default()
    })
}

/// Why this start serves reads alone, said in the log too.
pub(super) fn why_read_only(catalog: &Path, options: &CopyOptions) -> engine::Result<Option<String>> {
    let why = would_be_read_only(catalog, options)?;
    if let Some(why) = &why {
        tracing::error!("reads alone are served: {why}");
    }
    Ok(why)
}

/// The worker that makes and keeps the copy; none where there is nothing to copy to, and never was.
pub(super) fn worker(
    catalog: &Arc<RocksCatalog>,
    blobs: &Arc<BlobStore>,
    (dir, config): (&Path, &Config),
) -> Option<Box<dyn Worker>> {
    if copies(config) < 2 && catalog.copy_status().state == "single" {
        return None;
    }
    let attached = ATTACHED.map(str::to_owned).to_vec();
    let wanted = wanted(blobs, (dir, config));
    Some(Box::new(CopyWorker::new(catalog.clone(), dir.to_owned(), attached, wanted)))
}

fn wanted(blobs: &Arc<BlobStore>, (dir, config): (&Path, &Config)) -> Wanted {
    let (blobs, copies) = (blobs.clone(), copies(config));
    let apart = apart_from(dir, &config.zones);
    let zones = config.zones.clone();
    Arc::new(move |had| {
        let states: Vec<(String, &'static str)> = blobs
            .zones()
            .into_iter()
            .filter(|zone| zone.directories.first().is_some_and(|dir| zone_is_marked(Path::new(dir))))
            .map(|zone| (zone.name, zone.state))
            .collect();
        choose(&zones, &apart, &states, (copies, had)).and_then(place)
    })
}

/// Which zones lie on another disk than the data directory.
fn apart_from(dir: &Path, zones: &[ZoneConfig]) -> Vec<bool> {
    let home = [dir.to_path_buf()];
    let shares = |zone: &ZoneConfig| {
        let pair: [(&str, &[PathBuf]); 2] = [("", &home), ("zone", &zone.directories)];
        !zones_on_one_disk(pair.into_iter()).is_empty()
    };
    zones.iter().map(|zone| !shares(zone)).collect()
}

/// The zone that has the copy, unless it drains or has left; else one in use, on another disk than the data directory if there
/// is one, and not the one that was there first if none is.
fn choose<'a>(
    zones: &'a [ZoneConfig],
    apart: &[bool],
    states: &[(String, &'static str)],
    (copies, had): (usize, Option<&str>),
) -> Option<&'a ZoneConfig> {
    if copies < 2 {
        return None;
    }
    let state =
        |zone: &ZoneConfig| states.iter().find(|(name, _)| *name == zone.name).map(|(_, state)| *state);
    let keeps = |zone: &&ZoneConfig| Some(zone.name.as_str()) == had && state(zone) != Some("draining");
    if let Some(zone) = zones.iter().find(keeps) {
        return Some(zone);
    }
    let usable = || zones.iter().enumerate().filter(|(_, zone)| state(zone) == Some("in use"));
    let elsewhere = usable().find(|(n, _)| apart.get(*n) == Some(&true));
    elsewhere.or_else(|| usable().find(|(n, _)| *n > 0)).map(|(_, zone)| zone)
}

impl Appliance {
    /// How the catalog's copies stand, for `status`.
    pub(super) fn catalog_copy(&self) -> Value {
        let mut copy = json!(self.catalog.copy_status());
        copy["wanted"] = self.catalog_copies.into();
        copy
    }

    /// The zone that has a copy.
    pub(super) fn catalog_zone(&self) -> Option<String> {
        let status = self.catalog.copy_status();
        status.zone.filter(|_| status.state == "both")
    }

    /// Where the catalog lies, as an end of a sentence.
    pub(super) fn catalog_lies(&self) -> String {
        lies(&self.catalog.copy_status())
    }

    pub(super) fn catalog_copy_finding(&self) -> Option<Finding> {
        let dir = quote_sh(&self.home.dir.display().to_string());
        judge(&self.catalog.copy_status(), self.catalog_copies, &dir)
    }
}

fn lies(status: &CopyStatus) -> String {
    match &status.zone {
        Some(zone) if status.state == "both" => {
            format!("the catalog lies in the data directory and in zone {zone}")
        }
        _ => "the catalog lies in the data directory alone".to_owned(),
    }
}

/// What is to be said of the copies; nothing where all is as it is to be, and where the appliance's readiness says it.
fn judge(status: &CopyStatus, wanted: usize, dir: &str) -> Option<Finding> {
    if wanted < 2 || matches!(status.state, "both" | "read_only") {
        return None;
    }
    if status.state == "joining" {
        let zone = status.zone.as_deref().unwrap_or("-");
        let text = format!("the catalog gets its copy in zone {zone}");
        return Some(Finding::note("catalog", text, format!("wait for it: firn zone ls {dir}")));
    }
    let why = status.reason.as_ref().map_or_else(String::new, |why| format!(": {why}"));
    let text = format!("the catalog lies in the data directory alone{why}; its loss is the backup's to mend");
    let fix = "bring a zone back, replace it or add one; the copy is made by itself (worker catalog-copy)";
    Some(Finding::fault("catalog", text, fix))
}

#[cfg(test)]
mod tests {
    use super::{choose, judge, lies};
    use crate::config::ZoneConfig;
    use engine::catalog::copy::CopyStatus;

    #[test]
    fn the_zone_that_has_the_copy_keeps_it_and_another_disk_goes_before_the_data_directorys() {
        let zones = ["a", "b", "c"].map(|name| ZoneConfig {
            name: name.to_owned(),
            directories: vec![format!("/mnt/{name}").into()],
        });
        let states = |draining: &str, away: &str| {
            ["a", "b", "c"].map(|name| {
                let state = match name {
                    _ if name == draining => "draining",
                    _ if name == away => "away",
                    _ => "in use",
                };
                (name.to_owned(), state)
            })
        };
        let one_disk = [false, false, false];
        for (apart, draining, away, had, chosen) in [
            (one_disk, "", "", None, Some("b")),
            (one_disk, "", "b", None, Some("c")),
            (one_disk, "b", "c", None, None),
            ([true, false, true], "", "", None, Some("a")),
            ([false, false, true], "", "", None, Some("c")),
            ([false, false, true], "", "", Some("b"), Some("b")),
            ([false, false, true], "", "b", Some("b"), Some("b")),
            ([false, true, true], "b", "", Some("b"), Some("c")),
            (one_disk, "", "", Some("gone"), Some("b")),
        ] {
            let found = choose(&zones, &apart, &states(draining, away), (2, had));
            assert_eq!(found.map(|zone| zone.name.as_str()), chosen, "{apart:?} {draining} {away} {had:?}");
        }
        assert_eq!(choose(&zones, &one_disk, &states("", ""), (1, Some("b"))), None);
    }

    #[test]
    fn a_catalog_with_fewer_places_than_wanted_is_said_with_what_mends_it() {
        let status =
            |state| CopyStatus { state, epoch: 3, zone: Some("b".to_owned()), ..CopyStatus::default() };
        assert!(judge(&status("both"), 2, "d").is_none() && judge(&status("alone"), 1, "d").is_none());
        assert_eq!(lies(&status("both")), "the catalog lies in the data directory and in zone b");
        assert_eq!(lies(&status("joining")), "the catalog lies in the data directory alone");
        let joining = judge(&status("joining"), 2, "d").unwrap();
        assert!(joining.ok && joining.fix.unwrap().contains("firn zone ls d"));
        for (state, reason, says) in [
            ("single", None, "the catalog lies in the data directory alone; its loss"),
            ("alone", Some("sync /mnt/b: no"), "alone: sync /mnt/b: no; its loss"),
        ] {
            let reason = reason.map(str::to_owned);
            let finding = judge(&CopyStatus { reason, ..status(state) }, 2, "d").unwrap();
            assert!(!finding.ok && finding.detail.contains(says), "{finding:?}");
        }
    }
}
