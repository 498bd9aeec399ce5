//! Cargo's children: each with the prebuilt RocksDB in its environment.

use crate::error::Result;
use crate::rocksdb::{self, Library};
use crate::say::{self, Stopwatch};
use crate::workspace::{self, Workspace};
use crate::{packages, process};
use std::process::Command;

/// What is needed in order to compile anything of ours: packages first, then RocksDB.
pub(crate) fn prepare(workspace: &Workspace) -> Result<Library> {
    packages::ensure(&packages::for_build())?;
    rocksdb::ensure(workspace)
}

/// A cargo command in the repository that links the prebuilt RocksDB.
pub(crate) fn cargo(workspace: &Workspace, library: &Library) -> Command {
    let mut command = Command::new(workspace::cargo());
    command.current_dir(&workspace.root).envs(library.environment());
    command
}

/// How a binary is optimised (Cargo.toml's profiles).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Profile {
    /// What the tests and the demo run.
    Release,
    /// What is shipped and measured: optimised across crates, too.
    Dist,
}

impl Profile {
    /// Cargo's name of it, and the directory's below `target`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Dist => "dist",
        }
    }

    fn first_build(self) -> &'static str {
        match self {
            Self::Release => "7 minutes",
            Self::Dist => "10 minutes",
        }
    }
}

/// Builds firn.
pub(crate) fn firn(workspace: &Workspace, library: &Library, profile: Profile) -> Result<()> {
    let watch = Stopwatch::start();
    let firn = workspace.firn(profile);
    let name = profile.name();
    if !firn.is_file() {
        let time = profile.first_build();
        say::line(format!("building the {name} binary: the first time takes about {time} of two cores"));
    }
    process::run(cargo(workspace, library).args([
        "build",
        "--locked",
        "--profile",
        name,
        "--package",
        "firn",
    ]))?;
    let size = std::fs::metadata(&firn).map_or(0, |meta| meta.len());
    say::line(format!("{} ({}) after {}", firn.display(), say::bytes(size), say::duration(watch.elapsed())));
    Ok(())
}
