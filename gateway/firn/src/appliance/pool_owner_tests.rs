//! Every line of the table: who may open a pool, and what the others are told.

use super::{IN_DIR, IN_POOL, Owner, claim, refuse_pool_of_another};
use crate::appliance::marker::Marker;
use crate::exit::{self, Exit};
use crate::layout;
use engine::clock::Timestamp;
use engine::entropy::SeededEntropy;
use std::fs;
use std::path::{Path, PathBuf};

const GOLDEN: &str = "{\"format\":\"firn pool\",\"version\":1,\"account_id\":\"123456789012\",\"created_ms\":1769860800000,\
    \"incarnation\":\"000102030405060708090a0b0c0d0e0f\",\"crc32c\":\"cf437ca1\"}\n";

fn owner() -> Owner {
    Owner {
        account: "123456789012".parse().unwrap(),
        created: Timestamp::from_millis(1_769_860_800_000),
        incarnation: 0x0001_0203_0405_0607_0809_0a0b_0c0d_0e0f,
    }
}

#[test]
fn golden_bytes_encode_and_decode() {
    assert_eq!(owner().encode(), GOLDEN);
    assert_eq!(Owner::decode(GOLDEN.as_bytes(), Path::new("o")).unwrap(), owner());
}

#[test]
fn every_flipped_byte_and_every_cut_is_refused_and_a_newer_version_says_so() {
    for at in 0..GOLDEN.len() {
        for bit in [0x01, 0x20, 0x80] {
            let mut bytes = GOLDEN.as_bytes().to_vec();
            bytes[at] ^= bit;
            Owner::decode(&bytes, Path::new("o")).unwrap_err();
        }
        Owner::decode(&GOLDEN.as_bytes()[..at], Path::new("o")).unwrap_err();
    }
    let newer = GOLDEN.replace("\"version\":1", "\"version\":2");
    let error = Owner::decode(newer.as_bytes(), Path::new("o")).unwrap_err();
    assert!(error.text.contains("version 2, this firn reads up to 1"), "{error}");
}

/// Two appliances and a pool, as directories with markers.
struct World {
    root: tempfile::TempDir,
    entropy: SeededEntropy,
}

impl World {
    fn new() -> Self {
        let world = Self { root: tempfile::tempdir().unwrap(), entropy: SeededEntropy::new(7) };
        world.make("one", "111111111111");
        world.make("two", "222222222222");
        fs::create_dir(world.path("pool")).unwrap();
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn make(&self, name: &str, account: &str) {
        self.make_at(name, account, 5);
    }

    fn make_at(&self, name: &str, account: &str, created_ms: i64) {
        let marker = Marker {
            created: Timestamp::from_millis(created_ms),
            region: "us-east-1".to_owned(),
            account: account.parse().unwrap(),
            debug_day: None,
        };
        fs::create_dir_all(self.path(name).join("catalog")).unwrap();
        fs::write(self.path(name).join(layout::MARKER), marker.encode()).unwrap();
    }

    fn check(&self, dir: &str) -> Result<(), (Exit, String)> {
        refuse_pool_of_another(&self.path(dir), &self.path("pool"))
            .map_err(|error| (exit::of(&error), format!("{error:#}; {}", exit::hint(&error).unwrap())))
    }

    fn start(&self, dir: &str) -> Result<(), (Exit, String)> {
        self.check(dir)?;
        let marker = crate::appliance::read_marker(&self.path(dir)).unwrap();
        drop(claim(&self.path(dir), &self.path("pool"), &marker, &self.entropy).unwrap());
        Ok(())
    }

    fn mark(&self) -> Vec<u8> {
        fs::read(self.path("pool").join(IN_POOL)).unwrap()
    }
}

#[track_caller]
fn refused(outcome: Result<(), (Exit, String)>, exit: Exit, says: &str, next: &str) {
    let (code, text) = outcome.unwrap_err();
    assert!(code == exit && text.contains(says) && text.contains(next), "{code:?} {text}");
}

#[test]
fn a_pool_from_before_marks_is_adopted_on_the_first_open() {
    let world = World::new();
    fs::write(world.path("pool").join("00.seg"), "bodies").unwrap();
    world.start("one").unwrap();
    assert_eq!(world.mark(), fs::read(world.path("one").join(IN_DIR)).unwrap());
    let mark = world.mark();
    world.start("one").unwrap();
    assert_eq!(world.mark(), mark, "written once");
}

#[test]
fn the_pool_of_another_appliance_is_refused_empty_or_not() {
    let world = World::new();
    world.start("one").unwrap();
    refused(world.check("two"), Exit::Conflict, "account 111111111111", "pool.directory");
    refused(world.check("new"), Exit::Conflict, "the bodies of another", "firn recover");
    fs::remove_file(world.path("pool").join(IN_POOL)).unwrap();
    fs::write(world.path("pool").join("00.seg"), "bodies").unwrap();
    refused(world.check("new"), Exit::Conflict, "the bodies of another", "firn recover");
}

#[test]
fn another_appliance_of_one_account_is_another() {
    let world = World::new();
    world.start("one").unwrap();
    world.make_at("later", "111111111111", 6);
    refused(world.check("later"), Exit::Conflict, "account 111111111111", "pool.directory");
}

#[test]
fn a_copied_directory_does_not_run_beside_the_original() {
    let world = World::new();
    world.start("one").unwrap();
    world.make("copy", "111111111111");
    fs::copy(world.path("one").join(IN_DIR), world.path("copy").join(IN_DIR)).unwrap();
    let marker = crate::appliance::read_marker(&world.path("one")).unwrap();
    let take = |dir| claim(&world.path(dir), &world.path("pool"), &marker, &world.entropy);
    let held = take("one").unwrap();
    world.check("copy").unwrap();
    take("copy").unwrap_err();
    drop(held);
    take("copy").unwrap();
}

#[test]
fn a_recovered_directory_takes_the_pool_over_and_the_old_one_is_refused_from_then_on() {
    let world = World::new();
    world.start("one").unwrap();
    let before = world.mark();
    world.make("recovered", "111111111111");
    world.start("recovered").unwrap();
    assert_ne!(world.mark(), before);
    refused(world.check("one"), Exit::Conflict, "took it over", "recovered last");
    world.start("recovered").unwrap();
}

#[test]
fn a_start_that_was_cut_short_between_the_two_files_is_ended_by_the_next() {
    let world = World::new();
    world.start("one").unwrap();
    fs::remove_file(world.path("one").join(IN_DIR)).unwrap();
    world.start("one").unwrap();
    assert_eq!(world.mark(), fs::read(world.path("one").join(IN_DIR)).unwrap());
}

#[test]
fn a_pool_whose_disk_is_not_mounted_is_missed() {
    let world = World::new();
    world.start("one").unwrap();
    fs::remove_file(world.path("pool").join(IN_POOL)).unwrap();
    refused(world.check("one"), Exit::NotFound, "it has no owner.json", "mount the pool's disk");
}

#[test]
fn a_pool_in_use_names_its_holder() {
    let world = World::new();
    let marker = crate::appliance::read_marker(&world.path("one")).unwrap();
    let take = || claim(&world.path("one"), &world.path("pool"), &marker, &world.entropy);
    let held = take().unwrap();
    let error = take().unwrap_err();
    assert_eq!(exit::of(&error), Exit::Error, "as for a data directory in use");
    assert!(format!("{error:#}").contains("using it"), "{error:#}");
    drop(held);
    drop(take().unwrap());
}
