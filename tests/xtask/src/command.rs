//! The command line of the tasks: a pure parse, and the help.

use crate::compile::Profile;
use crate::error::{Error, Result};

/// What can be asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// Print the help.
    Help,
    /// Build the binary.
    Build(Profile),
    /// From nothing to a running appliance with verified data in it.
    Demo,
    /// Run all tests, or the named stages.
    Test(Vec<String>),
    /// Run one area's full counts.
    Soak(String),
    /// Measure one area; further words go to its program.
    Bench(Vec<String>),
    /// Check what a reviewer would otherwise repeat.
    Tidy,
    /// Print exports for the use of plain cargo.
    Env,
}

/// The text of `--help`.
pub(crate) const HELP: &str = "\
cargo xtask: build, demonstrate and test firn

usage: cargo xtask TASK

tasks:
  demo              install what is missing, build, start the appliance on ./data, bring
                    thousands of real files in and out, verify every byte, show what it stores
                    once, refuses and holds, leave it running
  build [--dist]    build the release binary (target/release/firn); with --dist the one that is
                    shipped and measured, optimised across crates (target/dist/firn)
  test [STAGE...]   everything that CI runs, or only the named stages:
                    fmt tidy clippy deny docs unit build e2e crash demo
  soak AREA         the full counts of one area (without AREA: list the areas)
  bench AREA ...    measure an area (without AREA: list the areas); further words go to its
                    program, `bench s3 --help` names them
  tidy              style as a test: sizes, headers, layers, names, promises
  env               print exports so that plain cargo links the same RocksDB:
                    eval \"$(cargo xtask env)\"

environment:
  XDG_CACHE_HOME    where firn/ caches RocksDB, cargo-deny and the Python clients (~/.cache)
  ROCKSDB_LIB_DIR   a librocksdb.a of your own, used as it is
  FIRN_SEED         the seed of everything random in the tests (else derived from the commit)
  FIRN_ROUNDS       rounds of what is random (else CI's in test, the full count in soak;
                    `soak remote` has none)

Missing Debian packages are named and installed (by sudo unless root). A first build takes
about 12 minutes of two cores, 5 of them for RocksDB, once per machine.
";

/// Reads the arguments after the program's name.
pub(crate) fn parse(arguments: &[String]) -> Result<Task> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if let ["bench", rest @ ..] = words.as_slice()
        && rest.first() != Some(&"--help")
    {
        return Ok(Task::Bench(rest.iter().map(ToString::to_string).collect()));
    }
    if words.iter().any(|word| matches!(*word, "--help" | "-h")) {
        return Ok(Task::Help);
    }
    match words.as_slice() {
        [] | ["help"] => Ok(Task::Help),
        ["build"] => Ok(Task::Build(Profile::Release)),
        ["build", "--dist"] => Ok(Task::Build(Profile::Dist)),
        ["demo"] => Ok(Task::Demo),
        ["test", stages @ ..] => Ok(Task::Test(stages.iter().map(ToString::to_string).collect())),
        ["soak"] => Ok(Task::Soak(String::new())),
        ["soak", area] => Ok(Task::Soak((*area).to_owned())),
        ["tidy"] => Ok(Task::Tidy),
        ["env"] => Ok(Task::Env),
        [first, ..] => Err(Error::Usage(format!(
            "`{}` is not a task of this shape ({first}): see `cargo xtask --help`",
            words.join(" ")
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Task> {
        parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn every_task_is_read() {
        assert_eq!(parsed("").unwrap(), Task::Help);
        assert_eq!(parsed("test --help").unwrap(), Task::Help);
        assert_eq!(parsed("build").unwrap(), Task::Build(Profile::Release));
        assert_eq!(parsed("build --dist").unwrap(), Task::Build(Profile::Dist));
        assert_eq!(parsed("demo").unwrap(), Task::Demo);
        assert_eq!(parsed("test").unwrap(), Task::Test(vec![]));
        assert_eq!(parsed("test fmt unit").unwrap(), Task::Test(vec!["fmt".into(), "unit".into()]));
        assert_eq!(parsed("soak crash").unwrap(), Task::Soak("crash".into()));
        assert_eq!(parsed("bench s3 --help").unwrap(), Task::Bench(vec!["s3".into(), "--help".into()]));
        assert_eq!(parsed("bench --help").unwrap(), Task::Help);
        assert_eq!(parsed("tidy").unwrap(), Task::Tidy);
        assert_eq!(parsed("env").unwrap(), Task::Env);
    }

    #[test]
    fn what_is_no_task_is_refused_with_its_words() {
        for line in ["dmeo", "demo now", "soak a b"] {
            let text = parsed(line).unwrap_err().to_string();
            assert!(text.contains(line), "{text}");
        }
    }
}
