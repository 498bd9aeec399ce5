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

/// Builds the release binary.
pub(crate) fn release(workspace: &Workspace, library: &Library) -> Result<()> {
    let watch = Stopwatch::start();
    if !workspace.firn().is_file() {
        say::line("building the release binary: the first time takes about 9 minutes of two cores");
    }
    process::run(cargo(workspace, library).args(["build", "--locked", "--release", "--package", "firn"]))?;
    let firn = workspace.firn();
    let size = std::fs::metadata(&firn).map_or(0, |meta| meta.len());
    say::line(format!("{} ({}) after {}", firn.display(), say::bytes(size), say::duration(watch.elapsed())));
    Ok(())
}
