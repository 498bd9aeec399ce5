//! What `doctor` says of zones: which are in trouble, what is at risk, how far repair is.

use super::catalog_copy::as_found;
use super::open::Appliance;
use crate::directory::zones_on_one_disk;
use crate::report::finding::Finding;
use crate::text::{counted, quote_sh, show_duration};
use engine::blob::{Repair, ZoneUsage};
use std::time::Duration;

impl Appliance {
    /// In an appliance of one zone, nothing but what there is to say of the catalog's copy.
    pub(super) fn zone_findings(&self) -> Vec<Finding> {
        let dir = quote_sh(&self.home.dir.display().to_string());
        let copy = self.catalog.copy_status();
        let zones = as_found(self.blobs.zones(), &copy);
        let of_copy = self.copying.findings(&zones, &copy, &dir);
        if zones.len() < 2 {
            return of_copy;
        }
        // One that was not looked at yet may hold what it had when it went.
        let holders =
            [copy.zone, copy.leaving].into_iter().flatten().chain(copy.uncleared).collect::<Vec<_>>();
        let mut findings = judge(&zones, (&self.blobs.repair(), holders.as_slice()), &dir);
        if findings.is_empty() {
            findings.push(all_is_well(
                &zones,
                self.blobs.copies(),
                (self.backup.is_some(), self.copying.wanted),
            ));
        }
        findings.extend(of_copy);
        let places = zones.iter().map(|zone| (zone.name.as_str(), zone.directories.as_slice()));
        findings.extend(zones_on_one_disk(places).iter().map(on_one_disk));
        findings
    }
}

/// Two zones that are lost together.
fn on_one_disk((a, b): &(String, String)) -> Finding {
    let text = format!("zones {a} and {b} lie on one disk: losing it loses both their copies");
    Finding::fault("zone", text, format!("move {b} to a disk of its own: add a zone there, then drain {b}"))
}

/// What is to be said of one zone.
fn judge_zone(zone: &ZoneUsage, (repair, holders): (&Repair, &[String]), dir: &str) -> Option<Finding> {
    let name = &zone.name;
    if zone.state == "removed" {
        let text = format!("zone {name} is not configured any more, and rows name bodies in it");
        let fix = "put its [[zone]] back and restart; drain a zone before it leaves the configuration";
        // Until the walk is through, they may all have other copies.
        return Some(if repair.walking {
            Finding::note("zone", text, format!("wait for repair: firn status {dir}"))
        } else {
            Finding::fault("zone", text, fix)
        });
    }
    if let Some(why) = &zone.why_away {
        let fix = format!(
            "mount its disk and restart; or give it an empty one: firn zone replace {name} {dir} --config FILE"
        );
        return Some(Finding::fault("zone", format!("zone {name}: {why}"), fix));
    }
    if zone.failing {
        let fix = format!("look at the kernel's log (dmesg) for the disk of {}", zone.directories.join(", "));
        return Some(Finding::fault("zone", format!("zone {name}: its last write or sync failed"), fix));
    }
    if zone.full {
        let fix = "give its file system room, or delete objects (firn rm)";
        return Some(Finding::fault("zone", format!("zone {name} is full"), fix));
    }
    if zone.refilling {
        let mended = counted(repair.mended_blobs, "body is", "bodies are");
        let text = format!(
            "zone {name} has a new disk: repair copies to it what it held; {mended} done since the start"
        );
        return Some(Finding::note("zone", text, format!("wait for it: firn zone ls {dir} tells how far")));
    }
    if zone.state != "draining" {
        return None;
    }
    if holders.contains(name) {
        let text = format!("zone {name} drains: the catalog's copy has not left it yet");
        return Some(Finding::note("zone", text, format!("wait for it: firn doctor {dir}")));
    }
    Some(if zone.live.get() == 0 {
        let fix = "take it out of the configuration and restart";
        Finding::note("zone", format!("zone {name} is drained: nothing lies in it"), fix)
    } else {
        let text = format!("zone {name} drains: {} still lie in it", zone.live);
        Finding::note(
            "zone",
            text,
            format!("firn zone ls {dir} tells how far; firn zone use {name} {dir} stops it"),
        )
    })
}

fn judge(zones: &[ZoneUsage], (repair, holders): (&Repair, &[String]), dir: &str) -> Vec<Finding> {
    let of_zones = zones.iter().filter_map(|zone| judge_zone(zone, (repair, holders), dir));
    let mut findings: Vec<Finding> = of_zones.collect();
    if repair.lost_blobs > 0 {
        let text = format!(
            "{} ({}) can't be read in any zone",
            counted(repair.lost_blobs, "body", "bodies"),
            repair.lost
        );
        let fix = "bring the zone back that holds them; the log has their ids";
        findings.push(Finding::fault("repair", text, fix));
    }
    let at_risk = repair.short_blobs.max(repair.queued_blobs);
    if at_risk > 0 {
        let bodies = counted(at_risk, "body lacks copies or is", "bodies lack copies or are");
        let text = format!("at risk: {bodies} damaged ({})", repair.short);
        let fix = "bring a zone back, replace it or add one; repair goes on by itself";
        findings.push(Finding::fault("repair", text, fix));
    }
    if repair.walking {
        let left = repair.eta_s.map_or_else(String::new, |seconds| {
            format!(", about {} left", show_duration(Duration::from_secs(seconds)))
        });
        let text = format!("repair is at {} of {}{left}", repair.done, repair.total);
        findings.push(Finding::note("repair", text, format!("firn status {dir}")));
    }
    findings
}

fn all_is_well(zones: &[ZoneUsage], copies: usize, (has_backup, has_copy): (bool, bool)) -> Finding {
    let bodies = format!("{copies} copies of bodies in {} zones", zones.len());
    if has_copy {
        // What there is to say of that is a line of its own.
        return Finding::fine("zone", bodies);
    }
    if has_backup {
        return Finding::fine("zone", format!("{bodies}; the catalog has its backup"));
    }
    let text = format!("{bodies}; the catalog lies in the data directory alone");
    Finding::note(
        "zone",
        text,
        "keep a backup of the catalog (backup.target), or a copy in a zone (copies.catalog = true)",
    )
}

#[cfg(test)]
mod tests {
    use super::{all_is_well, judge, on_one_disk};
    use engine::blob::{Repair, ZoneUsage};
    use engine::unit::ByteCount;

    const NONE: &[String] = &[];

    fn zone(name: &str) -> ZoneUsage {
        ZoneUsage {
            name: name.to_owned(),
            state: "in use",
            why_away: None,
            refilling: false,
            directories: vec![format!("/mnt/{name}")],
            live: ByteCount::mib(1),
            segment_bytes: ByteCount::mib(16),
            disk_available: ByteCount::gib(1),
            full: false,
            failing: false,
        }
    }

    #[test]
    fn a_backup_is_asked_for_where_none_runs() {
        let zones = [zone("a"), zone("b")];
        assert!(judge(&zones, (&Repair::default(), NONE), "d").is_empty());
        let none = all_is_well(&zones, 2, (false, false));
        assert!(none.ok && none.detail.starts_with("2 copies of bodies in 2 zones"), "{none:?}");
        assert!(none.fix.is_some_and(|fix| fix.contains("backup.target")));
        for has in [(true, false), (false, true)] {
            let runs = all_is_well(&zones, 2, has);
            assert!(runs.ok && runs.fix.is_none(), "{runs:?}");
        }
    }

    #[test]
    fn a_zone_that_drains_is_not_drained_before_the_catalogs_copy_has_left_it() {
        let drained = ZoneUsage { state: "draining", live: ByteCount::ZERO, ..zone("b") };
        let holders = ["b".to_owned()];
        let findings = judge(&[zone("a"), drained], (&Repair::default(), &holders[..]), "d");
        assert!(
            findings.iter().any(|finding| finding.detail.contains("has not left it yet")),
            "{findings:?}"
        );
        assert!(!findings.iter().any(|finding| finding.detail.contains("is drained")), "{findings:?}");
    }

    #[test]
    fn each_trouble_of_a_zone_is_said_with_what_mends_it() {
        let away = ZoneUsage {
            state: "away",
            why_away: Some("/mnt/b has lost its mark".to_owned()),
            directories: Vec::new(),
            ..zone("b")
        };
        let removed = ZoneUsage { state: "removed", ..away.clone() };
        let drains = ZoneUsage { state: "draining", ..zone("b") };
        let drained = ZoneUsage { live: ByteCount::ZERO, ..drains.clone() };
        let (short, lost) = (
            Repair { short_blobs: 3, short: ByteCount::mib(2), ..Repair::default() },
            Repair { lost_blobs: 1, ..Repair::default() },
        );
        let walking = Repair { walking: true, eta_s: Some(90), mended_blobs: 7, ..Repair::default() };
        let refilling = ZoneUsage { refilling: true, ..zone("b") };
        for (second, repair, ok, says, fix) in [
            (away.clone(), short, false, "/mnt/b has lost its mark", "firn zone replace b d --config FILE"),
            (away, Repair::default(), false, "/mnt/b has lost its mark", "mount its disk"),
            (removed.clone(), walking, true, "not configured any more", "wait for repair"),
            (removed, lost, false, "not configured any more", "put its [[zone]] back"),
            (drains, walking, true, "zone b drains: 1.0 MiB still lie in it", "firn zone use b d"),
            (ZoneUsage { failing: true, ..zone("b") }, Repair::default(), false, "sync failed", "/mnt/b"),
            (ZoneUsage { full: true, ..zone("b") }, Repair::default(), false, "is full", "room"),
            (drained, Repair::default(), true, "is drained", "out of the configuration"),
            (zone("b"), short, false, "at risk: 3 bodies lack copies", "repair goes on by itself"),
            (refilling.clone(), walking, true, "zone b has a new disk", "firn zone ls d"),
            (refilling.clone(), walking, true, "7 bodies are done", "firn zone ls d"),
            (ZoneUsage { full: true, ..refilling }, walking, false, "is full", "room"),
            (zone("b"), lost, false, "1 body (0 B) can't be read", "bring the zone back"),
            (zone("b"), walking, true, "about 90s left", "firn status d"),
        ] {
            let findings = judge(&[zone("a"), second], (&repair, NONE), "d");
            let found = findings.iter().find(|finding| finding.detail.contains(says));
            let found = found.unwrap_or_else(|| panic!("{says}: {findings:?}"));
            assert!(found.ok == ok && found.fix.as_ref().is_some_and(|line| line.contains(fix)), "{found:?}");
        }
        let shared = on_one_disk(&("a".to_owned(), "b".to_owned()));
        assert!(!shared.ok && shared.detail.contains("zones a and b lie on one disk"), "{shared:?}");
    }
}
