//! Every line of the table: which directories a start takes, misses or refuses.

use super::{IN_ZONE, Taken, ZoneOwner, claim, refuse, replace};
use crate::config::ZoneConfig;
use crate::directory::pool_owner;
use crate::directory::world::{Outcome, World, refused, said};
use crate::exit::{self, Exit};
use crate::layout;
use engine::clock::Timestamp;
use std::fs;
use std::path::Path;

const GOLDEN: &str = "{\"format\":\"firn zone\",\"version\":1,\"account_id\":\"123456789012\",\"created_ms\":1769860800000,\
    \"incarnation\":\"000102030405060708090a0b0c0d0e0f\",\"zone\":\"shelf-2\",\"crc32c\":\"CRC\"}\n";
const GOLDEN_TAKEN: &str = "{\"format\":\"firn zones\",\"version\":1,\
    \"taken\":[[\"a\",\"/mnt/a\",\"00000000000000000000000000000001\"],\
    [\"b\",\"/mnt/\\\"b\\\"\",\"000102030405060708090a0b0c0d0e0f\"]],\"crc32c\":\"CRC\"}\n";

/// With the checksum that the bytes before it have.
fn golden(text: &str) -> String {
    let (body, _) = text.split_once(",\"crc32c\"").unwrap();
    text.replace("CRC", &format!("{:08x}", crc_fast::crc32_iscsi(body.as_bytes())))
}

#[test]
fn golden_bytes_encode_and_decode_and_every_flipped_byte_is_refused() {
    let owner = ZoneOwner {
        account: "123456789012".parse().unwrap(),
        created: Timestamp::from_millis(1_769_860_800_000),
        incarnation: 0x0001_0203_0405_0607_0809_0a0b_0c0d_0e0f,
        zone: "shelf-2".to_owned(),
    };
    let bytes = golden(GOLDEN);
    assert_eq!(owner.encode(), bytes);
    assert_eq!(ZoneOwner::decode(bytes.as_bytes(), Path::new("z")).unwrap(), owner);
    let entry = |zone: &str, place: &str, incarnation| ((zone.to_owned(), place.to_owned()), incarnation);
    let taken = Taken([entry("b", "/mnt/\"b\"", owner.incarnation), entry("a", "/mnt/a", 1)].into());
    let list = golden(GOLDEN_TAKEN);
    assert_eq!(taken.encode(), list);
    assert_eq!(Taken::decode(list.as_bytes(), Path::new("z")).unwrap(), taken);
    for at in 0..bytes.len() {
        let mut bad = bytes.clone().into_bytes();
        bad[at] ^= 1;
        ZoneOwner::decode(&bad, Path::new("z")).unwrap_err();
    }
    for at in 0..list.len() {
        let mut bad = list.clone().into_bytes();
        bad[at] ^= 1;
        Taken::decode(&bad, Path::new("z")).unwrap_err();
    }
    for newer in
        [bytes.replace("\"version\":1", "\"version\":2"), list.replace("\"version\":1", "\"version\":2")]
    {
        let error = ZoneOwner::decode(newer.as_bytes(), Path::new("z")).err();
        let error = error
            .filter(|e| e.text.contains("version 2"))
            .or_else(|| Taken::decode(newer.as_bytes(), Path::new("z")).err());
        assert!(error.unwrap().text.contains("version 2, this firn reads up to 1"));
    }
}

/// Zones from pairs of a name and a directory.
fn zones(world: &World, zones: &[(&str, &str)]) -> Vec<ZoneConfig> {
    let zone = |(name, place): &(&str, &str)| ZoneConfig {
        name: (*name).to_owned(),
        directories: vec![world.path(place)],
    };
    zones.iter().map(zone).collect()
}

fn check(world: &World, dir: &str, named: &[(&str, &str)]) -> Outcome<()> {
    said(refuse(&world.path(dir), &zones(world, named)))
}

/// What a start does; which zones are away.
fn start(world: &World, dir: &str, named: &[(&str, &str)]) -> Outcome<Vec<String>> {
    check(world, dir, named)?;
    let (marker, dir, zones) = (world.marker(dir), world.path(dir), zones(world, named));
    let first = &zones[0].directories[0];
    if !pool_owner::is_missed(&dir, first).unwrap() {
        drop(pool_owner::claim(&dir, first, &marker, &world.entropy).unwrap());
    }
    let found = claim(&dir, &zones, &marker).unwrap();
    for (zone, away) in &found.zones {
        assert_eq!(zone.directories.is_empty(), away.is_some(), "what is away is not opened");
    }
    Ok(found.zones.into_iter().filter(|(_, away)| away.is_some()).map(|(zone, _)| zone.name).collect())
}

const BOTH: &[(&str, &str)] = &[("a", "pool a"), ("b", "pool b")];

#[track_caller]
fn conflicts(outcome: Outcome<()>, says: &str) {
    refused(outcome, Exit::Conflict, says, "");
}

#[test]
fn new_directories_are_taken_once_and_opened_again() {
    let world = World::new();
    assert!(start(&world, "one", BOTH).unwrap().is_empty());
    let marks = || {
        (
            fs::read(world.path("pool b").join(IN_ZONE)).unwrap(),
            fs::read(world.path("one").join(layout::ZONES)).unwrap(),
        )
    };
    let before = marks();
    assert!(start(&world, "one", BOTH).unwrap().is_empty());
    assert_eq!(marks(), before, "written once");
    assert!(!world.path("pool a").join(IN_ZONE).exists(), "the first one is marked as a pool always was");
}

#[test]
fn a_fifo_in_the_place_of_a_mark_is_refused_and_never_waited_for() {
    for mark in [format!("pool b/{IN_ZONE}"), format!("one/{}", layout::ZONES)] {
        let world = World::new();
        start(&world, "one", BOTH).unwrap();
        world.fifo(&mark);
        let text = format!("{:#}", refuse(&world.path("one"), &zones(&world, BOTH)).unwrap_err());
        assert!(text.contains(&mark) && text.contains("no regular file"), "{text}");
    }
}

#[test]
fn a_zone_that_is_another_zones_or_another_appliances_is_refused() {
    let world = World::new();
    let three = [("a", "pool a"), ("b", "pool b"), ("c", "pool c")];
    start(&world, "one", &three).unwrap();
    conflicts(check(&world, "one", &[("a", "pool a"), ("b", "pool c"), ("c", "pool b")]), "it is zone c");
    conflicts(check(&world, "one", &[("a", "pool a"), ("b", "pool b"), ("d", "pool c")]), "it is zone c");
    start(&world, "two", &[("a", "other a")]).unwrap();
    conflicts(check(&world, "two", &[("a", "other a"), ("b", "pool b")]), "account 111111111111");
    conflicts(check(&world, "two", &[("a", "other a"), ("b", "pool a")]), "the bodies of another pool");
    conflicts(check(&world, "one", &[("a", "pool a"), ("b", "other a")]), "the bodies of another pool");
    std::os::unix::fs::symlink(world.path("pool b"), world.path("link")).unwrap();
    conflicts(check(&world, "one", &[("a", "pool a"), ("b", "pool b"), ("c", "link")]), "of zone b");
    let loose = world.path("loose");
    fs::create_dir(&loose).unwrap();
    fs::write(loose.join("00.seg"), "bodies").unwrap();
    conflicts(check(&world, "one", &[("a", "pool a"), ("e", "loose")]), "the bodies of another pool");
}

#[test]
fn a_zone_in_the_data_directory_itself_or_in_its_catalog_is_refused() {
    let world = World::new();
    let link = |to: &str, name: &str| std::os::unix::fs::symlink(world.path(to), world.path(name)).unwrap();
    link("one", "link");
    link("one/catalog", "link to the catalog");
    for place in ["one", "link", "two/../one"] {
        for zones in [vec![("a", place)], vec![("a", "pool a"), ("b", place)]] {
            conflicts(
                check(&world, "one", &zones),
                "it is the data directory itself; give the zone a directory",
            );
        }
    }
    fs::create_dir(world.path("one/catalog/rows")).unwrap();
    for place in ["one/catalog", "one/catalog/rows", "one/catalog/not/there", "link to the catalog/rows"] {
        let zones = [("a", "pool a"), ("b", place)];
        conflicts(check(&world, "one", &zones), "it lies in the data directory's catalog");
    }
    // A first start, of a directory that is not there yet.
    conflicts(check(&world, "three", &[("a", "three")]), "it is the data directory itself");
    conflicts(check(&world, "three", &[("a", "three/catalog/x")]), "the data directory's catalog");
    assert!(start(&world, "one", &[("a", "one/pools/local"), ("b", "beside")]).unwrap().is_empty());
}

#[test]
fn the_first_zone_is_the_pool_that_was_there() {
    let world = World::new();
    start(&world, "one", &[("a", "pool a")]).unwrap();
    let (code, text) = check(&world, "one", &[("x", "pool x"), ("a", "pool a")]).unwrap_err();
    assert!(code == Exit::NotFound && text.contains("it has no owner.json"), "{text}");
    start(&world, "one", BOTH).unwrap();
    conflicts(check(&world, "one", &[("b", "pool b"), ("a", "pool a")]), "that was there first in front");
}

#[test]
fn a_zone_whose_disk_is_not_mounted_is_away_and_nothing_is_made_in_its_place() {
    for (gone, place, mark) in [("a", "pool a", pool_owner::IN_POOL), ("b", "pool b", IN_ZONE)] {
        let world = World::new();
        start(&world, "one", BOTH).unwrap();
        fs::rename(world.path(place), world.path("unmounted")).unwrap();
        fs::create_dir(world.path(place)).unwrap();
        assert_eq!(start(&world, "one", BOTH).unwrap(), [gone]);
        assert_eq!(fs::read_dir(world.path(place)).unwrap().count(), 0);
        fs::remove_dir(world.path(place)).unwrap();
        assert_eq!(start(&world, "one", BOTH).unwrap(), [gone]);
        fs::rename(world.path("unmounted"), world.path(place)).unwrap();
        assert!(world.path(place).join(mark).exists());
        assert!(start(&world, "one", BOTH).unwrap().is_empty());
    }
}

#[test]
fn a_zone_is_replaced_by_an_empty_directory_alone() {
    for (n, (name, place)) in BOTH.iter().enumerate() {
        let world = World::new();
        let both = zones(&world, BOTH);
        start(&world, "one", BOTH).unwrap();
        assert!(replace(&world.path("one"), &both, name).unwrap().is_empty(), "nothing is lacking");
        fs::remove_dir_all(world.path(place)).unwrap();
        let error = replace(&world.path("one"), &both, name).unwrap_err();
        assert_eq!(exit::of(&error), Exit::NotFound, "its disk is not mounted: {error:#}");
        assert!(!world.path(place).exists());
        fs::create_dir(world.path(place)).unwrap();
        fs::write(world.path(place).join("00.seg"), "bodies").unwrap();
        let error = replace(&world.path("one"), &both, name).unwrap_err();
        assert!(format!("{error:#}").contains("holds bodies and no mark"));
        fs::remove_file(world.path(place).join("00.seg")).unwrap();
        assert_eq!(replace(&world.path("one"), &both, name).unwrap(), both[n].directories);
        assert!(world.path(place).join("replaced").exists(), "the engine is told what is missing there");
        assert!(start(&world, "one", BOTH).unwrap().is_empty());
        let error = replace(&world.path("one"), &both, "z").unwrap_err();
        assert_eq!(exit::of(&error), Exit::NotFound);
    }
}

#[test]
fn a_recovered_directory_takes_the_zones_over_and_the_old_one_is_refused() {
    let world = World::new();
    start(&world, "one", BOTH).unwrap();
    world.make("recovered", "111111111111");
    assert!(start(&world, "recovered", BOTH).unwrap().is_empty());
    let (_, text) = check(&world, "one", BOTH).unwrap_err();
    assert!(text.contains("took it over"), "{text}");
    assert!(start(&world, "recovered", BOTH).unwrap().is_empty());
}

#[test]
fn a_recovery_knows_which_zones_there_were() {
    let world = World::new();
    start(&world, "one", BOTH).unwrap();
    // It comes with the backup.
    assert!(layout::ATTACHED.contains(&layout::ZONES));
    world.make("recovered", "111111111111");
    fs::copy(world.path("one").join(layout::ZONES), world.path("recovered").join(layout::ZONES)).unwrap();
    fs::rename(world.path("pool b"), world.path("unmounted")).unwrap();
    fs::create_dir(world.path("pool b")).unwrap();
    assert_eq!(start(&world, "recovered", BOTH).unwrap(), ["b"]);
    assert_eq!(fs::read_dir(world.path("pool b")).unwrap().count(), 0, "nothing is made in its place");
    fs::remove_dir(world.path("pool b")).unwrap();
    fs::rename(world.path("unmounted"), world.path("pool b")).unwrap();
    assert!(start(&world, "recovered", BOTH).unwrap().is_empty(), "it is as the lost directory left it");
    let (_, text) = check(&world, "one", BOTH).unwrap_err();
    assert!(text.contains("took it over"), "{text}");
    // Somebody else has had it since.
    world.make("another", "111111111111");
    assert!(start(&world, "another", BOTH).unwrap().is_empty());
    let own = world.path("recovered").join("pool.json");
    fs::copy(own, world.path("pool a").join(pool_owner::IN_POOL)).unwrap();
    conflicts(check(&world, "recovered", BOTH), "zone b: another directory of this appliance took it over");
}

#[test]
fn a_start_that_was_cut_short_between_the_two_files_is_ended_by_the_next() {
    let world = World::new();
    start(&world, "one", BOTH).unwrap();
    fs::remove_file(world.path("one").join(layout::ZONES)).unwrap();
    assert!(start(&world, "one", BOTH).unwrap().is_empty());
    fs::remove_file(world.path("pool b").join(IN_ZONE)).unwrap();
    assert_eq!(start(&world, "one", BOTH).unwrap(), ["b"]);
}
