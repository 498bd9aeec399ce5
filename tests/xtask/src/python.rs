//! The environments of the real clients: virtual environments in the user's cache, one per pinned list.
//!
//! ```text
//!   tests/e2e/requirements.txt   the tests' own, and the clients that the demo needs: half a minute
//!   tests/e2e/further/           heavier clients, whose pins would fight those: minutes, so for the tests alone
//! ```

use crate::error::Result;
use crate::workspace::{Workspace, make_directory, read, write};
use crate::{cache, process, say};
use std::path::{Path, PathBuf};
use std::process::Command;

const FROZEN: &str = "installed.txt";

/// Returns the `bin` directory of a virtual environment that holds tests/e2e/requirements.txt.
pub(crate) fn ensure(workspace: &Workspace) -> Result<PathBuf> {
    let list = workspace.root.join("tests/e2e/requirements.txt");
    let recipe = format!("{}{}", version()?, read(&list)?);
    let kind = workspace.cache.join("python");
    let checked = [FROZEN, "bin/python3", "bin/aws", "bin/pytest", "bin/s5cmd"];
    let home = cache::entry(&kind, &recipe, &checked, |home| {
        say::line(format!("installing the Python clients into {}: about half a minute", home.display()));
        install(home, &list, &[])
    })?;
    Ok(home.join("bin"))
}

/// Returns the virtual environment that holds tests/e2e/further, with node's packages in `js` and aws-cli 2 as `bin/aws`.
pub(crate) fn ensure_further(workspace: &Workspace) -> Result<PathBuf> {
    let lists = workspace.root.join("tests/e2e/further");
    let (list, unpack) = (lists.join("requirements.txt"), lists.join("unpack_aws_cli.py"));
    let locked = ["package.json", "package-lock.json"];
    let mut recipe = format!("{}{}{}", version()?, read(&list)?, read(&unpack)?);
    for name in locked {
        recipe.push_str(&read(&lists.join(name))?);
    }
    let checked =
        [FROZEN, "bin/python3", "bin/dvc", "bin/node", "bin/aws", "js/node_modules/.package-lock.json"];
    cache::entry(&workspace.cache.join("further"), &recipe, &checked, |home| {
        say::line(format!("installing the further clients into {}: about 3 minutes", home.display()));
        install(home, &list, &["--no-deps"])?;
        process::run(Command::new(home.join("bin/python3")).arg(&unpack).arg(home))?;
        let js = home.join("js");
        make_directory(&js)?;
        for name in locked {
            write(&js.join(name), &read(&lists.join(name))?)?;
        }
        let mut npm = Command::new(home.join("bin/npm"));
        npm.current_dir(&js).args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]);
        process::run(&mut npm)
    })
}

fn version() -> Result<String> {
    process::capture(Command::new("python3").arg("--version"))
}

fn install(home: &Path, list: &Path, options: &[&str]) -> Result<()> {
    process::run(Command::new("python3").args(["-m", "venv"]).arg(home))?;
    let pip = home.join("bin/pip");
    process::run(
        Command::new(&pip).args(["install", "--quiet"]).args(options).arg("--requirement").arg(list),
    )?;
    write(&home.join(FROZEN), &process::capture(Command::new(&pip).arg("freeze"))?)
}
