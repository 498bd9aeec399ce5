//! cargo xtask: build, demo, test, soak, bench, tidy, env.
//!
//! ```text
//!   command   the command line, parsed purely
//!   packages · rocksdb · python · tools     what a build or a test needs, made once and cached (cache)
//!   compile   cargo's children, linked with the cached RocksDB
//!   demo      the newcomer's first run
//!   stages    what CI runs: fmt, tidy, clippy, deny, docs, unit, build, e2e, crash, and the demo
//!   soak      the full counts of what is random, and remote pools on stores of others (stores)
//!   bench     the measurements, beside other servers (peers) where asked
//!   tidy      style as a test
//! ```
//!
//! It depends on nothing of ours and on little of others, so that it compiles in seconds on a machine that has only Rust.

mod bench;
mod cache;
mod command;
mod compile;
mod demo;
mod error;
mod packages;
mod peers;
mod process;
mod python;
mod rocksdb;
mod say;
mod soak;
mod stages;
mod stores;
mod tidy;
mod tools;
mod totals;
mod workspace;

use command::Task;
use error::{Error, Result};
use std::process::ExitCode;
use workspace::Workspace;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match command::parse(&arguments).and_then(run) {
        Ok(code) => code,
        Err(error) => {
            say::line(format!("xtask: {error}"));
            ExitCode::from(if matches!(error, Error::Usage(_)) { 2 } else { 1 })
        }
    }
}

fn run(task: Task) -> Result<ExitCode> {
    let workspace = Workspace::find()?;
    match task {
        Task::Help => say::result(command::HELP),
        Task::Build(profile) => compile::firn(&workspace, &compile::prepare(&workspace)?, profile)?,
        Task::Env => {
            for (name, value) in compile::prepare(&workspace)?.environment() {
                let quoted = value.to_string_lossy().replace('\'', "'\\''");
                say::result(&format!("export {name}='{quoted}'\n"));
            }
        }
        Task::Demo => demo::run(&workspace)?,
        Task::Test(stages) => {
            return Ok(ExitCode::from(status(stages::run(&workspace, &stages)?)));
        }
        Task::Soak(area) => soak::run(&workspace, &area)?,
        Task::Bench(words) => bench::run(&workspace, &words)?,
        Task::Tidy => tidy::run(&workspace)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// What the process ends with.
const fn status(passed: bool) -> u8 {
    if passed { 0 } else { 1 }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_run_in_which_something_failed_ends_with_1() {
        assert_eq!((super::status(true), super::status(false)), (0, 1));
    }
}
