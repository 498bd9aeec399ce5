//! Cargo's own tools that the tests need, installed once into the user's cache.

use crate::error::{Error, Result};
use crate::workspace::{self, Workspace};
use crate::{cache, process, say};
use std::path::PathBuf;
use std::process::Command;

/// The pinned version of cargo-deny.
const DENY: &str = "0.20.2";

/// Returns the path of cargo-deny.
pub(crate) fn deny(workspace: &Workspace) -> Result<PathBuf> {
    let rustc = process::capture(Command::new("rustc").arg("--version"))?;
    let recipe = format!("cargo-deny {DENY}\n{rustc}");
    let kind = workspace.cache.join("tools");
    let home = cache::entry(&kind, &recipe, &["bin/cargo-deny"], |home| {
        say::line("installing cargo-deny into the cache, once: about 4 minutes");
        let target = home.join("target");
        let mut install = Command::new(workspace::cargo());
        // Its own release profile takes twice as long and it runs for a second.
        install.args(["install", "--locked", "--quiet", "--debug", "--version", DENY]);
        install.arg("--root").arg(home).arg("--target-dir").arg(&target).arg("cargo-deny");
        // Outside the repository, so that its flags and lock file do not apply.
        process::run(install.current_dir(home))?;
        std::fs::remove_dir_all(&target).map_err(|source| Error::at("remove", &target, source))
    })?;
    Ok(home.join("bin/cargo-deny"))
}
