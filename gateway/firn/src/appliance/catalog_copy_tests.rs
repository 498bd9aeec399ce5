//! Where the copy goes, who may start, and what is said of it.

use super::{Copying, encode, refuse};
use crate::config::{self, Config, Overrides};
use crate::exit::Failure;
use engine::blob::ZoneUsage;
use engine::catalog::copy::{CopyOptions, CopyState, CopyStatus, CopyWorker, Place, Wanted};
use engine::catalog::{Options, RocksCatalog};
use engine::clock::{ManualClock, Timestamp};
use engine::entropy::SeededEntropy;
use engine::small_files::SmallFiles;
use engine::unit::ByteCount;
use engine::worker::Worker as _;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::registry::Registry;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

fn zone(name: &str) -> ZoneUsage {
    ZoneUsage {
        name: name.to_owned(),
        state: "in use",
        why_away: None,
        refilling: false,
        directories: vec![format!("/mnt/{name}")],
        live: ByteCount::ZERO,
        segment_bytes: ByteCount::ZERO,
        disk_available: ByteCount::gib(1),
        full: false,
        failing: false,
    }
}

fn copying(zones: &[&str]) -> Copying {
    let place = |zone: &&str| Place::new((*zone).to_owned(), format!("/mnt/{zone}/catalog").into());
    Copying { wanted: true, places: zones.iter().map(place).collect(), beside_home: Vec::new() }
}

fn both(zone: &str) -> CopyStatus {
    let since = Some(Timestamp::from_millis(1_769_860_800_000));
    CopyStatus {
        state: CopyState::Both,
        zone: Some(zone.to_owned()),
        since,
        epoch: 2,
        ..CopyStatus::default()
    }
}

#[test]
fn the_copy_stays_where_it_is_and_leaves_a_zone_that_is_not_in_use() {
    let copying = copying(&["b", "c"]);
    let chosen = |zones: &[ZoneUsage], had| copying.choose(zones, had).map(|place| place.zone.as_str());
    let all = [zone("a"), zone("b"), zone("c")];
    assert_eq!(
        (chosen(&all, None), chosen(&all, Some("c")), chosen(&all, Some("a"))),
        (Some("b"), Some("c"), Some("b"))
    );
    for state in ["draining", "away", "removed"] {
        let lacking = [zone("a"), zone("b"), ZoneUsage { state, ..zone("c") }];
        assert_eq!(chosen(&lacking, Some("c")), Some("b"), "{state}");
    }
    // One in trouble keeps it, and gets none.
    let failing = [ZoneUsage { failing: true, ..zone("b") }, zone("c")];
    assert_eq!((chosen(&failing, Some("b")), chosen(&failing, None)), (Some("b"), Some("c")));
    let gone = [ZoneUsage { disk_available: ByteCount::ZERO, ..zone("b") }, zone("c")];
    assert_eq!(chosen(&gone, None), Some("c"));
    assert_eq!(chosen(&[zone("a")], None), None, "nowhere else");
    let off = Copying { wanted: false, ..copying.clone() };
    assert_eq!(off.choose(&all, Some("b")), None);
}

#[test]
fn a_zone_with_the_copy_is_drained_only_where_another_can_have_it() {
    let (two, one) = (copying(&["b", "c"]), copying(&["b"]));
    let zones = [zone("a"), zone("b"), zone("c")];
    assert_eq!(two.refuse_drain("b", &zones, &both("b")), Ok(()));
    let why = one.refuse_drain("b", &zones, &both("b")).unwrap_err();
    assert!(
        why.contains("it has the copy of the catalog") && why.contains("copies.catalog = false"),
        "{why}"
    );
    let draining = [zone("a"), zone("b"), ZoneUsage { state: "draining", ..zone("c") }];
    two.refuse_drain("b", &draining, &both("b")).unwrap_err();
    // Without the copy it is as any other.
    assert_eq!(one.refuse_drain("a", &zones, &both("b")), Ok(()));
    assert_eq!(Copying { wanted: false, ..one }.refuse_drain("b", &zones, &both("b")), Ok(()));
}

#[test]
fn the_zone_that_has_it_is_said_and_so_is_what_is_alone() {
    let copying = copying(&["b"]);
    let zones = [zone("a"), zone("b")];
    let said = |status: &CopyStatus, zones: &[ZoneUsage]| {
        let mut findings = copying.findings(zones, status, "d");
        assert_eq!(findings.len(), 1, "{findings:?}");
        findings.remove(0)
    };
    let fine = said(&both("b"), &zones);
    assert!(fine.ok && fine.detail.contains("in zone b since 2026-01-31T12:00:00.000Z"), "{fine:?}");
    let parted =
        CopyStatus { state: CopyState::Alone, reason: Some("EIO".to_owned()), zone: None, ..both("b") };
    let alone = said(&parted, &zones);
    assert!(
        !alone.ok && alone.detail.contains("in d alone since 2026") && alone.detail.contains("EIO"),
        "{alone:?}"
    );
    let nowhere = said(&parted, &zones[..1]);
    assert!(!nowhere.ok && nowhere.detail.contains("no zone in use"), "{nowhere:?}");
    let joining = said(&CopyStatus { state: CopyState::Joining, ..both("b") }, &zones);
    assert!(joining.ok && joining.fix.is_some(), "{joining:?}");
    let beside = Copying { beside_home: vec!["b".to_owned()], ..copying.clone() };
    let findings = beside.findings(&zones, &both("b"), "d");
    assert!(
        findings.iter().any(|finding| !finding.ok && finding.detail.contains("on the disk of d")),
        "{findings:?}"
    );
    let off = Copying { wanted: false, ..copying.clone() };
    assert!(off.findings(&zones, &CopyStatus::default(), "d").is_empty());
    let leaving = CopyStatus { leaving: Some("b".to_owned()), ..parted.clone() };
    assert!(off.findings(&zones, &leaving, "d")[0].detail.contains("still holds"), "until it is cleared");
    assert_eq!(off.banner(&zones, &CopyStatus::default()), None);
    assert_eq!(copying.banner(&zones, &both("b")).as_deref(), Some("catalog and keys lie in zone b, too"));
    assert!(copying.banner(&zones, &parted).is_some_and(|line| line.contains("is being made in zone b")));
}

#[derive(Debug)]
struct Of(CopyStatus);

impl Collector for Of {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        encode(&self.0, true, encoder)
    }
}

#[test]
fn the_places_of_the_catalog_are_figures() {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Of(CopyStatus { parted: 3, ..both("b") })));
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    for line in [
        "firn_catalog_places_wanted 2",
        "firn_catalog_places 2",
        "firn_catalog_copy{zone=\"b\"} 1",
        "firn_catalog_places_since_seconds 1769860800",
        "firn_catalog_parted_total 3",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}: {text}");
    }
}

fn configured(zones: &[(&str, &Path)]) -> Config {
    let mut text = "[copies]\ncatalog = true\n".to_owned();
    for (name, place) in zones {
        writeln!(text, "[[zone]]\nname = {name:?}\ndirectory = {:?}", place.display().to_string()).unwrap();
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    config::load(Some(file.path()), &Overrides::default()).unwrap()
}

#[test]
fn a_zone_in_the_data_directory_never_has_the_copy() {
    let root = tempfile::tempdir().unwrap();
    let (home, other) = (root.path().join("home"), root.path().join("b"));
    std::fs::create_dir(&home).unwrap();
    let config = configured(&[("a", &home.join("pools/local")), ("b", &other)]);
    let copying = Copying::of(&home, &config);
    assert_eq!(copying.places, [Place::new("b".to_owned(), other.join("catalog"))]);
    assert_eq!(copying.beside_home, ["b"], "it is on the same disk here");
}

/// Makes a catalog in a data directory, and its copy in zone b.
async fn share(home: &Path, b: &Path) {
    let place = Place::new("b".to_owned(), b.join("catalog"));
    let clock = Arc::new(ManualClock::new(Timestamp::from_millis(0)));
    let mut options = Options::new(clock, Arc::new(SeededEntropy::new(1)), Arc::default());
    (options.log_file_bytes, options.reserve_bytes) = (5 << 20, 0);
    options.copy = CopyOptions { places: vec![place.clone()], keep_free: 0, ..CopyOptions::default() };
    let catalog = RocksCatalog::open(home.join("catalog"), options).unwrap();
    let wanted: Wanted = Arc::new(move |_: Option<&str>| Some(place.clone()));
    CopyWorker::new(Arc::clone(&catalog), Arc::new(SmallFiles::new(home.to_owned(), Vec::new())), wanted)
        .tick()
        .await
        .unwrap();
    assert_eq!(catalog.copy_status().state, CopyState::Both);
    catalog.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_whose_zone_left_the_configuration_is_not_started() {
    let root = tempfile::tempdir().unwrap();
    let (home, a, b) = (root.path().join("home"), root.path().join("a"), root.path().join("b"));
    for dir in [&home, &a, &b] {
        std::fs::create_dir_all(dir).unwrap();
    }
    // Whoever never had a copy is asked nothing.
    let config = configured(&[("a", &a)]);
    let options = |config: &Config, accept| Copying::of(&home, config).options(accept);
    refuse(&home, &config, &options(&config, false)).unwrap();
    share(&home, &b).await;
    let failure = refuse(&home, &config, &options(&config, false)).unwrap_err();
    let failure = failure.downcast_ref::<Failure>().unwrap();
    assert!(
        failure.text.contains("zone b has the copy") && failure.text.contains("no such zone"),
        "{failure}"
    );
    assert!(failure.hint.as_ref().is_some_and(|hint| hint.contains("firn zone drain b")), "{failure}");
    refuse(&home, &config, &options(&config, true)).unwrap();
    let config = configured(&[("a", &a), ("b", &b)]);
    refuse(&home, &config, &options(&config, false)).unwrap();
    std::fs::rename(&b, root.path().join("away")).unwrap();
    let failure = refuse(&home, &config, &options(&config, false)).unwrap_err();
    let failure = failure.downcast_ref::<Failure>().unwrap();
    assert!(failure.text.contains("is not there, or is older"), "{failure}");
    assert!(failure.hint.as_ref().is_some_and(|hint| hint.contains("--accept-loss")), "{failure}");
    refuse(&home, &config, &options(&config, true)).unwrap();
}
