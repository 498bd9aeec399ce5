//! Every line of the table: who may open a pool, and what the others are told.

use super::{IN_DIR, IN_POOL, Owner, claim, refuse_pool_of_another};
use crate::directory::world::{Outcome, World, refused, said};
use crate::exit::{self, Exit};
use crate::layout;
use engine::clock::Timestamp;
use engine::entropy::SeededEntropy;
use std::fs;
use std::path::Path;

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

/// Two appliances, and a pool for either of them.
fn world() -> World {
    let world = World::new();
    fs::create_dir(world.path("pool")).unwrap();
    world
}

fn check(world: &World, dir: &str) -> Outcome<()> {
    said(refuse_pool_of_another(&world.path(dir), &world.path("pool")))
}

/// What a start does.
fn start(world: &World, dir: &str) -> Outcome<()> {
    check(world, dir)?;
    drop(claim(&world.path(dir), &world.path("pool"), &world.marker(dir), &world.entropy).unwrap());
    Ok(())
}

fn mark(world: &World) -> Vec<u8> {
    fs::read(world.path("pool").join(IN_POOL)).unwrap()
}

#[test]
fn a_pool_from_before_marks_is_adopted_on_the_first_open() {
    let world = world();
    fs::write(world.path("pool").join("00.seg"), "bodies").unwrap();
    start(&world, "one").unwrap();
    assert_eq!(mark(&world), fs::read(world.path("one").join(IN_DIR)).unwrap());
    let before = mark(&world);
    start(&world, "one").unwrap();
    assert_eq!(mark(&world), before, "written once");
}

#[test]
fn the_pool_of_another_appliance_is_refused_empty_or_not() {
    let world = world();
    start(&world, "one").unwrap();
    refused(check(&world, "two"), Exit::Conflict, "account 111111111111", "pool.directory");
    refused(check(&world, "new"), Exit::Conflict, "the bodies of another", "firn recover");
    fs::remove_file(world.path("pool").join(IN_POOL)).unwrap();
    fs::write(world.path("pool").join("00.seg"), "bodies").unwrap();
    refused(check(&world, "new"), Exit::Conflict, "the bodies of another", "firn recover");
}

#[test]
fn an_appliance_that_was_never_opened_takes_no_pool_with_bodies() {
    let world = world();
    fs::write(world.path("pool").join("00.seg"), "bodies").unwrap();
    // Its first start was cut short behind the marker: there is no catalog that could know the bodies.
    fs::remove_dir(world.path("one").join(layout::CATALOG)).unwrap();
    refused(check(&world, "one"), Exit::Conflict, "the bodies of another", "firn recover");
    fs::remove_file(world.path("pool").join("00.seg")).unwrap();
    start(&world, "one").unwrap();
}

#[test]
fn another_appliance_of_one_account_is_another() {
    let world = world();
    start(&world, "one").unwrap();
    world.make_at("later", "111111111111", 6);
    refused(check(&world, "later"), Exit::Conflict, "account 111111111111", "pool.directory");
}

#[test]
fn a_recovered_directory_takes_nothing_from_one_that_runs() {
    let world = world();
    check(&world, "one").unwrap();
    let runs = claim(&world.path("one"), &world.path("pool"), &world.marker("one"), &world.entropy).unwrap();
    let before = mark(&world);
    world.make("recovered", "111111111111");
    check(&world, "recovered").unwrap();
    let take =
        || claim(&world.path("recovered"), &world.path("pool"), &world.marker("recovered"), &world.entropy);
    let refused = take().unwrap_err();
    assert!(format!("{refused:#}").contains("another firn"), "{refused:#}");
    assert_eq!(mark(&world), before);
    drop(runs);
    drop(take().unwrap());
    assert_ne!(mark(&world), before);
}

#[test]
fn a_copied_directory_does_not_run_beside_the_original() {
    let world = world();
    start(&world, "one").unwrap();
    world.make("copy", "111111111111");
    fs::copy(world.path("one").join(IN_DIR), world.path("copy").join(IN_DIR)).unwrap();
    let marker = world.marker("one");
    let take = |dir| claim(&world.path(dir), &world.path("pool"), &marker, &world.entropy);
    let held = take("one").unwrap();
    check(&world, "copy").unwrap();
    take("copy").unwrap_err();
    drop(held);
    take("copy").unwrap();
}

#[test]
fn a_recovered_directory_takes_the_pool_over_and_the_old_one_is_refused_from_then_on() {
    let world = world();
    start(&world, "one").unwrap();
    let before = mark(&world);
    world.make("recovered", "111111111111");
    start(&world, "recovered").unwrap();
    assert_ne!(mark(&world), before);
    refused(check(&world, "one"), Exit::Conflict, "took it over", "recovered last");
    start(&world, "recovered").unwrap();
}

#[test]
fn a_start_that_was_cut_short_between_the_two_files_is_ended_by_the_next() {
    let world = world();
    start(&world, "one").unwrap();
    fs::remove_file(world.path("one").join(IN_DIR)).unwrap();
    start(&world, "one").unwrap();
    assert_eq!(mark(&world), fs::read(world.path("one").join(IN_DIR)).unwrap());
}

#[test]
fn a_claim_that_a_power_cut_ends_is_finished_by_the_next() {
    let marker = world().marker("one");
    let entropy = SeededEntropy::new(8);
    powercut::at_every_step(
        "a_claim_that_a_power_cut_ends_is_finished_by_the_next",
        |dir| {
            fs::create_dir_all(dir.join("one/catalog")).unwrap();
            fs::write(dir.join("one").join(layout::MARKER), marker.encode()).unwrap();
        },
        |dir| drop(claim(&dir.join("one"), &dir.join("pool"), &marker, &entropy)),
        |dir, cut| {
            let (one, pool) = (dir.join("one"), dir.join("pool"));
            let before = fs::read(one.join(IN_DIR)).ok();
            assert!(before.is_some() || !cut.ended, "{cut}");
            refuse_pool_of_another(&one, &pool).unwrap_or_else(|error| panic!("{cut}: {error:#}"));
            drop(claim(&one, &pool, &marker, &entropy).unwrap());
            let after = fs::read(one.join(IN_DIR)).unwrap();
            assert_eq!(fs::read(pool.join(IN_POOL)).unwrap(), after, "{cut}");
            assert!(before.is_none_or(|before| before == after), "{cut}: taken once");
        },
    );
}

#[test]
fn a_fifo_in_the_place_of_a_mark_is_refused_and_never_waited_for() {
    for mark in [format!("pool/{IN_POOL}"), format!("one/{IN_DIR}")] {
        let world = world();
        start(&world, "one").unwrap();
        world.fifo(&mark);
        let refused = refuse_pool_of_another(&world.path("one"), &world.path("pool")).unwrap_err();
        let text = format!("{refused:#}");
        assert!(text.contains(&mark) && text.contains("no regular file"), "{text}");
    }
}

#[test]
fn a_pool_whose_disk_is_not_mounted_is_missed() {
    let world = world();
    start(&world, "one").unwrap();
    fs::remove_file(world.path("pool").join(IN_POOL)).unwrap();
    refused(check(&world, "one"), Exit::NotFound, "it has no owner.json", "mount the pool's disk");
}

#[test]
fn a_pool_in_use_names_its_holder() {
    let world = world();
    let marker = world.marker("one");
    let take = || claim(&world.path("one"), &world.path("pool"), &marker, &world.entropy);
    let held = take().unwrap();
    let error = take().unwrap_err();
    assert_eq!(exit::of(&error), Exit::Conflict, "as for a data directory in use");
    assert!(format!("{error:#}").contains("using it"), "{error:#}");
    drop(held);
    drop(take().unwrap());
}
