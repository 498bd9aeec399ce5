//! Data directories with markers, and disks, for the tests of whose a directory is.

use super::marker::Marker;
use crate::exit::{self, Exit};
use crate::layout;
use engine::clock::Timestamp;
use engine::entropy::SeededEntropy;
use std::fs;
use std::path::PathBuf;

/// An outcome with the exit code, text and hint of its error.
pub(super) type Outcome<T> = Result<T, (Exit, String)>;

/// Two appliances, `one` and `two`, of accounts 111111111111 and 222222222222.
pub(super) struct World {
    root: tempfile::TempDir,
    pub(super) entropy: SeededEntropy,
}

impl World {
    pub(super) fn new() -> Self {
        let world = Self { root: tempfile::tempdir().unwrap(), entropy: SeededEntropy::new(7) };
        world.make("one", "111111111111");
        world.make("two", "222222222222");
        world
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// A FIFO in the place of what is there.
    pub(super) fn fifo(&self, name: &str) {
        fs::remove_file(self.path(name)).unwrap();
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mkfifoat(rustix::fs::CWD, self.path(name), mode).unwrap();
    }

    pub(super) fn marker(&self, name: &str) -> Marker {
        super::read_marker(&self.path(name)).unwrap()
    }

    pub(super) fn make(&self, name: &str, account: &str) {
        self.make_at(name, account, 5);
    }

    pub(super) fn make_at(&self, name: &str, account: &str, created_ms: i64) {
        let marker = Marker {
            created: Timestamp::from_millis(created_ms),
            region: "us-east-1".to_owned(),
            account: account.parse().unwrap(),
            debug_day: None,
        };
        fs::create_dir_all(self.path(name).join("catalog")).unwrap();
        fs::write(self.path(name).join(layout::MARKER), marker.encode()).unwrap();
    }
}

/// What a refusal says, its next step included.
pub(super) fn said<T>(outcome: anyhow::Result<T>) -> Outcome<T> {
    outcome.map_err(|error| (exit::of(&error), format!("{error:#}; {}", exit::hint(&error).unwrap())))
}

#[track_caller]
pub(super) fn refused(outcome: Outcome<()>, exit: Exit, says: &str, next: &str) {
    let (code, text) = outcome.unwrap_err();
    assert!(code == exit && text.contains(says) && text.contains(next), "{code:?} {text}");
}
