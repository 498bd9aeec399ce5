//! Opening and making an appliance's directory.

use super::{Home, Wish};
use crate::exit::{self, Exit};
use crate::layout;
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
    assert_eq!((mode(&dir), mode(&dir.join("run"))), (0o700, 0o700));
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
fn what_is_no_regular_file_is_refused_and_never_waited_for() {
    for name in ["firn.json", "master.key", "credentials", "admin-token", "lock"] {
        let dir = tempfile::tempdir().unwrap();
        drop(open(dir.path(), &Wish::default()).unwrap());
        fs::remove_file(dir.path().join(name)).unwrap();
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mkfifoat(rustix::fs::CWD, dir.path().join(name), mode).unwrap();
        let refused = format!("{:#}", open(dir.path(), &Wish::default()).unwrap_err());
        assert!(refused.contains(name) && refused.contains("no regular file"), "{refused}");
    }
}

#[test]
fn credentials_without_a_profile_are_refused_with_a_way_out() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path(), &Wish::default()).unwrap());
    let path = dir.path().join("credentials");
    fs::write(&path, "# nobody\n").unwrap();
    let refused = open(dir.path(), &Wish::default()).unwrap_err();
    assert_eq!(exit::of(&refused), Exit::Usage, "{refused:#}");
    assert!(exit::hint(&refused).unwrap().contains("rm "), "{refused:#}");
    fs::remove_file(&path).unwrap();
    assert!(open(dir.path(), &Wish::default()).unwrap().key_is_new);
}

/// The keys that a start was told of.
fn told(home: &Home) -> (String, String, String) {
    let key = home.credentials.profile("default").unwrap().credential.secret.expose().to_owned();
    (home.marker.account.to_string(), key, home.admin_token.clone())
}

#[test]
fn each_appliance_draws_keys_of_its_own() {
    let clock = ManualClock::new(Timestamp::from_millis(1_769_860_800_000));
    let [one, other] = [1, 2].map(|seed| {
        let dir = tempfile::tempdir().unwrap();
        let entropy: Arc<dyn Entropy> = Arc::new(SeededEntropy::new(seed));
        told(&Home::open(dir.path(), &Wish::default(), &clock, &entropy).unwrap())
    });
    assert!(one.0 != other.0 && one.1 != other.1 && one.2 != other.2, "{one:?} {other:?}");
    assert!(one.2.len() == 64 && one.2.bytes().all(|digit| digit.is_ascii_hexdigit()), "256 bits: {}", one.2);
}

#[test]
fn a_first_start_that_a_power_cut_ends_is_finished_by_the_next() {
    let first = std::cell::RefCell::new(None);
    powercut::at_every_step(
        "a_first_start_that_a_power_cut_ends_is_finished_by_the_next",
        |_| {},
        |dir| *first.borrow_mut() = open(&dir.join("data"), &Wish::default()).ok().map(|home| told(&home)),
        |dir, cut| {
            // Other randomness: what is found was not made again.
            let entropy: Arc<dyn Entropy> = Arc::new(SeededEntropy::new(2));
            let clock = ManualClock::new(Timestamp::from_millis(1_769_860_900_000));
            let again = Home::open(&dir.join("data"), &Wish::default(), &clock, &entropy);
            let again = again.unwrap_or_else(|error| panic!("{cut}: {error:#}"));
            if let Some(first) = first.borrow().as_ref() {
                assert_eq!(&told(&again), first, "{cut}: what was shown is kept");
            }
        },
    );
}

#[test]
fn a_foreign_directory_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("thesis.tex"), "").unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let error = open(dir.path(), &Wish::default()).unwrap_err();
    assert_eq!(exit::of(&error), Exit::Usage);
    let names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!((names, mode(dir.path())), (vec!["thesis.tex".into()], 0o755), "as it was");
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
        accept_loss: false,
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
fn a_directory_that_was_made_for_it_is_closed_to_others_and_one_in_use_is_not_changed() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("made-before");
    fs::create_dir(&dir).unwrap();
    let open_to_others = || fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
    open_to_others();
    drop(open(&dir, &Wish::default()).unwrap());
    assert_eq!(mode(&dir), 0o700);
    open_to_others();
    drop(open(&dir, &Wish::default()).unwrap());
    assert_eq!(mode(&dir), 0o755, "its owner did that: it is reported, not undone");
    // One that is not there yet, below a directory that is.
    let beside = root.path().join("beside");
    drop(open(&beside, &Wish::default()).unwrap());
    assert_eq!(mode(&beside), 0o700);
}

#[test]
fn a_recovery_key_is_made_once_and_only_where_somebody_sees_it() {
    let seen = Wish { shows_secrets: true, ..Wish::default() };
    let dir = tempfile::tempdir().unwrap();
    let recipient = dir.path().join(layout::RECIPIENT);
    assert!(open(dir.path(), &Wish::default()).unwrap().new_recovery_key.is_none());
    assert!(!recipient.exists(), "nobody could have read it");
    assert!(open(dir.path(), &seen).unwrap().new_recovery_key.is_none(), "only at the first start");
    // The credentials are new, and backups are sealed to a key already: that one stays.
    fs::write(&recipient, "as it was").unwrap();
    fs::remove_file(dir.path().join("credentials")).unwrap();
    let again = open(dir.path(), &seen).unwrap();
    assert!(again.key_is_new && again.new_recovery_key.is_none());
    assert_eq!(fs::read_to_string(&recipient).unwrap(), "as it was");
    let dir = tempfile::tempdir().unwrap();
    let first = open(dir.path(), &seen).unwrap();
    let key = first.new_recovery_key.unwrap();
    let kept = fs::read_to_string(dir.path().join(layout::RECIPIENT)).unwrap();
    assert_eq!(kept.trim(), key.recipient().to_string());
}

#[test]
fn a_token_that_is_soon_guessed_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path(), &Wish::default()).unwrap());
    fs::write(dir.path().join("admin-token"), "x".repeat(31)).unwrap();
    let error = open(dir.path(), &Wish::default()).unwrap_err();
    assert_eq!(exit::of(&error), Exit::Usage);
    fs::write(dir.path().join("admin-token"), "x".repeat(32)).unwrap();
    open(dir.path(), &Wish::default()).unwrap();
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
