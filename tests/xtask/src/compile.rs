//! Cargo's children: each with the prebuilt RocksDB in its environment.

use crate::error::{Error, Result};
use crate::rocksdb::{self, Library};
use crate::say::{self, Stopwatch};
use crate::workspace::{self, Workspace};
use crate::{packages, process};
use std::path::{Path, PathBuf};
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
            Self::Release => "8 minutes",
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

/// The binary that is soaked or measured: the one that `FIRN_BIN` names, else one that is built here.
pub(crate) fn subject(workspace: &Workspace, library: &Library, profile: Profile) -> Result<PathBuf> {
    match std::env::var_os("FIRN_BIN") {
        None => {
            firn(workspace, library, profile)?;
            Ok(workspace.firn(profile))
        }
        Some(path) => named(Path::new(&path)),
    }
}

fn named(path: &Path) -> Result<PathBuf> {
    let path = std::path::absolute(path).map_err(|source| Error::at("resolve", path, source))?;
    if !path.is_file() {
        return Err(Error::Usage(format!("FIRN_BIN={} is no file; without it one is built", path.display())));
    }
    say::line(format!("FIRN_BIN={}: nothing of it is built", path.display()));
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::named;
    use std::path::Path;

    #[test]
    fn a_binary_that_is_named_has_to_be_there() {
        let own = std::env::current_exe().unwrap();
        assert_eq!(named(&own).unwrap(), own);
        let error = named(Path::new("/nowhere/firn")).unwrap_err().to_string();
        assert!(error.contains("FIRN_BIN=/nowhere/firn"), "{error}");
    }
}
