//! Opening and making an appliance's directory.

use super::{Home, Wish};
use crate::exit::{self, Exit};
use engine::clock::{ManualClock, Timestamp};
use engine::entropy::{Entropy, SeededEntropy};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

fn open(dir: &Path, wish: &Wish) -> anyhow::Result<Home> {
    let entropy: Arc<dyn Entropy> = Arc::new(SeededEntropy::new(1));
    let clock = ManualClock::new(Timestamp::from_millis(1_769_860_800_000));
    Home::open(dir, wish, &clock, &entropy)
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn the_first_start_makes_everything_private_and_the_second_keeps_it() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("deep/data");
    let first = open(&dir, &Wish::default()).unwrap();
    assert!(first.key_is_new);
    assert_eq!(mode(&dir), 0o700);
    for name in ["firn.json", "credentials", "admin-token", "master.key", "lock"] {
        assert_eq!(mode(&dir.join(name)), 0o600, "{name}");
    }
    let (marker, token) = (first.marker.clone(), first.admin_token.clone());
    let key = first.credentials.profile("default").unwrap().access_key_id.clone();
    drop(first);
    let second = open(&dir, &Wish::default()).unwrap();
    assert!(!second.key_is_new);
    assert_eq!((second.marker, second.admin_token), (marker, token));
    assert_eq!(second.credentials.profile("default").unwrap().access_key_id, key);
}

#[test]
fn a_directory_in_use_names_its_process() {
    let dir = tempfile::tempdir().unwrap();
    let _first = open(dir.path(), &Wish::default()).unwrap();
    let error = open(dir.path(), &Wish::default()).unwrap_err();
    assert!(format!("{error:#}").contains(&format!("process {}", std::process::id())), "{error:#}");
}

#[test]
fn a_crash_during_the_first_start_is_finished_by_the_next() {
    for survives in ["", "firn.json", "firn.json master.key", "firn.json master.key credentials"] {
        let dir = tempfile::tempdir().unwrap();
        drop(open(dir.path(), &Wish::default()).unwrap());
        for name in ["firn.json", "master.key", "credentials", "admin-token"] {
            if !survives.contains(name) {
                fs::remove_file(dir.path().join(name)).unwrap();
            }
        }
        fs::write(dir.path().join("admin-token.new"), "half").unwrap();
        open(dir.path(), &Wish::default()).unwrap();
    }
}

#[test]
fn a_foreign_directory_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("thesis.tex"), "").unwrap();
    let error = open(dir.path(), &Wish::default()).unwrap_err();
    assert_eq!(exit::of(&error), Exit::Usage);
    assert!(!dir.path().join("firn.json").exists());
}

#[test]
fn a_master_key_is_never_made_where_there_is_data() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path(), &Wish::default()).unwrap());
    fs::create_dir(dir.path().join("catalog")).unwrap();
    fs::remove_file(dir.path().join("master.key")).unwrap();
    let error = open(dir.path(), &Wish::default()).unwrap_err();
    assert!(format!("{error:#}").contains("can't be read"), "{error:#}");
    assert!(!dir.path().join("master.key").exists());
}

#[test]
fn region_and_length_of_day_are_fixed_at_creation() {
    let dir = tempfile::tempdir().unwrap();
    let ten = Wish {
        region: Some("eu-west-1".to_owned()),
        debug_day: Some(Duration::from_secs(10)),
        shows_secrets: false,
    };
    drop(open(dir.path(), &ten).unwrap());
    drop(open(dir.path(), &ten).unwrap());
    let kept = open(dir.path(), &Wish::default()).unwrap();
    assert_eq!(kept.marker.debug_day, ten.debug_day, "the mode stays on without the flag");
    drop(kept);
    let other_day = Wish { debug_day: Some(Duration::from_secs(11)), ..Wish::default() };
    let other_region = Wish { region: Some("us-east-1".to_owned()), ..Wish::default() };
    for wish in [other_day, other_region] {
        assert_eq!(exit::of(&open(dir.path(), &wish).unwrap_err()), Exit::Usage);
    }
    let plain = tempfile::tempdir().unwrap();
    drop(open(plain.path(), &Wish::default()).unwrap());
    assert_eq!(exit::of(&open(plain.path(), &ten).unwrap_err()), Exit::Usage);
    let too_long = Wish { debug_day: Some(Duration::from_hours(25)), ..Wish::default() };
    open(&plain.path().join("new"), &too_long).unwrap_err();
}

#[test]
fn loose_secrets_are_refused() {
    for name in ["admin-token", "credentials", "master.key"] {
        let dir = tempfile::tempdir().unwrap();
        drop(open(dir.path(), &Wish::default()).unwrap());
        fs::set_permissions(dir.path().join(name), fs::Permissions::from_mode(0o644)).unwrap();
        open(dir.path(), &Wish::default()).unwrap_err();
    }
}
