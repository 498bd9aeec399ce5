//! The Python environment of the real clients: one virtual environment in the user's cache per pinned list.

use crate::error::Result;
use crate::workspace::{Workspace, read, write};
use crate::{cache, process, say};
use std::path::{Path, PathBuf};
use std::process::Command;

const FROZEN: &str = "installed.txt";

/// Returns the `bin` directory of a virtual environment that holds tests/e2e/requirements.txt.
pub(crate) fn ensure(workspace: &Workspace) -> Result<PathBuf> {
    let list = workspace.root.join("tests/e2e/requirements.txt");
    let version = process::capture(Command::new("python3").arg("--version"))?;
    let recipe = format!("{version}{}", read(&list)?);
    let kind = workspace.cache.join("python");
    let checked = [FROZEN, "bin/python3", "bin/aws", "bin/pytest", "bin/s5cmd"];
    let home = cache::entry(&kind, &recipe, &checked, |home| install(home, &list))?;
    Ok(home.join("bin"))
}

fn install(home: &Path, list: &Path) -> Result<()> {
    say::line(format!("installing the Python clients into {}: about half a minute", home.display()));
    process::run(Command::new("python3").args(["-m", "venv"]).arg(home))?;
    let pip = home.join("bin/pip");
    process::run(Command::new(&pip).args(["install", "--quiet", "--requirement"]).arg(list))?;
    write(&home.join(FROZEN), &process::capture(Command::new(&pip).arg("freeze"))?)
}
