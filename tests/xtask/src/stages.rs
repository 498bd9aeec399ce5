//! What CI runs, stage by stage, each with its time; a failed stage does not keep the later ones from running.
//!
//! ```text
//!   fmt → tidy → clippy → deny → docs → unit → build → e2e → crash → demo     (cheap and telling ones first)
//! ```
//!
//! A stage that cannot run here because of something outside the repository (no network for the advisories, say) is
//! counted as skipped, loudly, with the reason. The last line is `N passed, N failed`.

use crate::compile::Profile;
use crate::error::{Error, Result};
use crate::rocksdb::Library;
use crate::say::{self, Stopwatch};
use crate::soak::{AREAS, Oracle};
use crate::totals::Totals;
use crate::workspace::Workspace;
use crate::{compile, demo, packages, process, python, tidy, tools};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

struct Context<'a> {
    workspace: &'a Workspace,
    library: Library,
    seed: String,
}

type Stage = fn(&Context<'_>, &mut Totals) -> Result<()>;

const STAGES: [(&str, Stage); 10] = [
    ("fmt", fmt),
    ("tidy", |context, totals| totals.check(tidy::run(context.workspace))),
    ("clippy", clippy),
    ("deny", deny),
    ("docs", docs),
    ("unit", unit),
    ("build", |context, totals| {
        totals.check(compile::firn(context.workspace, &context.library, Profile::Release))
    }),
    ("e2e", e2e),
    ("crash", crash),
    ("demo", |context, totals| totals.check(demo::check(context.workspace))),
];

/// Runs all stages, or those named; returns whether nothing failed.
pub(crate) fn run(workspace: &Workspace, named: &[String]) -> Result<bool> {
    if let Some(unknown) = named.iter().find(|name| STAGES.iter().all(|(known, _)| known != name)) {
        return Err(Error::Usage(format!("`{unknown}` is not a stage: see `cargo xtask --help`")));
    }
    let whole = Stopwatch::start();
    packages::ensure(&packages::for_tests())?;
    let context = Context { workspace, library: compile::prepare(workspace)?, seed: seed(workspace)? };
    say::line(format!("prepared after {}; FIRN_SEED={}", say::duration(whole.elapsed()), context.seed));
    let mut totals = Totals::default();
    let asked =
        STAGES.iter().filter(|(name, _)| named.is_empty() || named.iter().any(|wanted| wanted == name));
    let stages = asked.map(|(name, stage)| (*name, |totals: &mut Totals| stage(&context, totals)));
    let walked = walk(stages, &mut totals);
    say::heading("stages");
    for line in told(&walked, &totals) {
        say::line(line);
    }
    say::line(format!("all of it took {}; FIRN_SEED={}", say::duration(whole.elapsed()), context.seed));
    say::result(&format!("{} passed, {} failed\n", totals.passed, totals.failed));
    Ok(totals.failed == 0)
}

/// A stage that ran.
#[derive(Debug)]
struct Walked {
    name: &'static str,
    time: Duration,
    passed: bool,
}

/// Runs stages, each whatever became of those before it.
fn walk<S>(stages: impl IntoIterator<Item = (&'static str, S)>, totals: &mut Totals) -> Vec<Walked>
where
    S: FnOnce(&mut Totals) -> Result<()>,
{
    let run = |(name, stage): (_, S)| {
        say::heading(name);
        let (watch, failed_before) = (Stopwatch::start(), totals.failed);
        if let Err(error) = stage(totals) {
            say::line(format!("{error}"));
            // A stage that counted no failure of its own still failed.
            totals.failed = totals.failed.max(failed_before + 1);
        }
        Walked { name, time: watch.elapsed(), passed: totals.failed == failed_before }
    };
    stages.into_iter().map(run).collect()
}

/// What stands before the totals: each stage with its time, what could not run, and once more what failed, for it was said long before.
fn told(walked: &[Walked], totals: &Totals) -> Vec<String> {
    let stage = |Walked { name, time, passed }: &Walked| {
        let verdict = if *passed { "passed" } else { "FAILED" };
        format!("{name:8} {verdict} {:>14}", say::duration(*time))
    };
    let skipped = totals.skipped.iter().map(|reason| format!("SKIPPED {reason}"));
    let failures = totals.failures.iter().map(|said| format!("FAILED {said}"));
    walked.iter().map(stage).chain(skipped).chain(failures).collect()
}

/// The seed of everything random: the caller's, or one that each commit has for its own.
pub(crate) fn seed(workspace: &Workspace) -> Result<String> {
    if let Ok(seed) = std::env::var("FIRN_SEED") {
        return Ok(seed);
    }
    let mut head = Command::new("git");
    head.current_dir(&workspace.root).args(["rev-parse", "HEAD"]);
    seed_of(process::capture(&mut head)?.trim())
}

fn seed_of(commit: &str) -> Result<String> {
    let digits = commit.get(..15).unwrap_or(commit);
    let number = u64::from_str_radix(digits, 16)
        .map_err(|error| Error::failed(format!("`{commit}` is not a commit: {error}")))?;
    Ok(number.to_string())
}

impl Context<'_> {
    fn cargo(&self) -> Command {
        let mut command = compile::cargo(self.workspace, &self.library);
        command.env("FIRN_SEED", &self.seed);
        command
    }
}

fn fmt(context: &Context<'_>, totals: &mut Totals) -> Result<()> {
    totals.check(process::run(context.cargo().args(["fmt", "--all", "--check"])))
}

fn clippy(context: &Context<'_>, totals: &mut Totals) -> Result<()> {
    let mut clippy = context.cargo();
    clippy.args(["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"]);
    totals.check(process::run(&mut clippy))
}

fn deny(context: &Context<'_>, totals: &mut Totals) -> Result<()> {
    let deny = tools::deny(context.workspace)?;
    let run = |what: &[&str]| {
        let mut command = Command::new(&deny);
        command.current_dir(&context.workspace.root).args(["--locked", "check", "--hide-inclusion-graph"]);
        process::output(command.args(what))
    };
    let offline = run(&["bans", "licenses", "sources"])?;
    say::line(String::from_utf8_lossy(&offline.stderr).trim());
    let judged = if offline.status.success() { Ok(()) } else { Err(Error::failed("cargo-deny refuses")) };
    totals.check(judged)?;
    let advisories = run(&["advisories"])?;
    let said = String::from_utf8_lossy(&advisories.stderr);
    say::line(said.trim());
    if !advisories.status.success() && said.contains("failed to fetch advisory database") {
        totals.skipped.push("deny: the advisory database cannot be fetched from here".into());
        return Ok(());
    }
    totals.check(if advisories.status.success() { Ok(()) } else { Err(Error::failed("an advisory applies")) })
}

fn docs(context: &Context<'_>, totals: &mut Totals) -> Result<()> {
    let mut docs = context.cargo();
    docs.args(["doc", "--workspace", "--no-deps", "--locked"]);
    totals.check(process::run(docs.env("RUSTDOCFLAGS", "-D warnings")))
}

fn unit(context: &Context<'_>, totals: &mut Totals) -> Result<()> {
    let mut tests = context.cargo();
    // The oracle's drive the release binary: the stage crash.
    tests.args(["test", "--workspace", "--exclude", "oracle", "--locked", "--no-fail-fast"]);
    process::run_watched(&mut tests, |line| totals.cargo_line(line))
}

/// The binary that the stage `build` makes.
fn built(workspace: &Workspace) -> Result<PathBuf> {
    let firn = workspace.firn(Profile::Release);
    if firn.is_file() {
        Ok(firn)
    } else {
        Err(Error::failed(format!("{} is not there: run the build stage first", firn.display())))
    }
}

fn e2e(context: &Context<'_>, totals: &mut Totals) -> Result<()> {
    let firn = built(context.workspace)?;
    let clients = python::ensure(context.workspace)?;
    let further = python::ensure_further(context.workspace)?;
    let mut tests = Command::new(clients.join("pytest"));
    tests.current_dir(context.workspace.root.join("tests/e2e"));
    tests.args(["-p", "no:cacheprovider", "--durations=10", "-ra"]);
    tests.env("FIRN_FURTHER_CLIENTS", further);
    tests.env("FIRN_BIN", firn).env("FIRN_SEED", &context.seed).env("PYTHONDONTWRITEBYTECODE", "1");
    process::run_watched(&mut tests, |line| totals.pytest_line(line))
}

/// Faults of the disk below the release binary, then CI's share of the soaks that drive it.
fn crash(context: &Context<'_>, totals: &mut Totals) -> Result<()> {
    let firn = built(context.workspace)?;
    let mut faults = compile::cargo(context.workspace, &context.library);
    faults.env("FIRN_BIN", firn);
    faults.args(["test", "--locked", "--no-fail-fast", "--package", "oracle"]);
    say::line("faults: a full, a damaged, a taken and a newer data directory");
    let mut first = process::run_watched(&mut faults, |line| totals.cargo_line(line));
    for area in AREAS.iter().filter(|area| area.is_own_check()) {
        if area.name == "powercut" && !Path::new("/dev/fuse").exists() {
            totals.skipped.push("crash: there is no /dev/fuse, so no power cuts".into());
            continue;
        }
        let rounds = area.rounds_asked(area.rounds_in_ci)?;
        say::line(format!("{}: {rounds} rounds", area.name));
        let (workspace, library) = (context.workspace, &context.library);
        let mut command = area.command(workspace, library, rounds, &context.seed, Oracle::Dev);
        first = first.and(totals.check(process::run(&mut command)));
    }
    first
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_that_wants_the_binary_names_the_one_that_builds_it() {
        let top = tempfile::tempdir().unwrap();
        let place = |name: &str| top.path().join(name);
        let workspace = Workspace { root: place("root"), target: place("target"), cache: place("cache") };
        let text = built(&workspace).unwrap_err().to_string();
        assert!(text.contains("run the build stage first"), "{text}");
        let firn = workspace.firn(Profile::Release);
        std::fs::create_dir_all(firn.parent().unwrap()).unwrap();
        std::fs::write(&firn, "").unwrap();
        assert_eq!(built(&workspace).unwrap(), firn);
    }

    #[test]
    fn a_stage_that_fails_neither_ends_the_run_nor_passes() {
        type Made = fn(&mut Totals) -> Result<()>;
        let stages: [(&'static str, Made); 4] = [
            ("counted", |totals| totals.check(Err(Error::failed("a check")))),
            ("not", |_| Err(Error::failed("before it counted"))),
            ("tests", |totals| {
                totals.cargo_line(
                    "test result: FAILED. 7 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out",
                );
                Err(Error::failed("cargo test"))
            }),
            ("last", |totals| {
                totals.skipped.push("last: something".to_owned());
                totals.failures.push("unit: a test".to_owned());
                totals.check(Ok(()))
            }),
        ];
        let mut totals = Totals::default();
        let walked = walk(stages, &mut totals);
        let passed: Vec<_> = walked.iter().map(|stage| (stage.name, stage.passed)).collect();
        assert_eq!(passed, [("counted", false), ("not", false), ("tests", false), ("last", true)]);
        assert_eq!((totals.passed, totals.failed), (8, 4));
        let lines = told(&walked, &totals);
        for (line, (name, says)) in lines.iter().zip(passed) {
            assert!(
                line.starts_with(name) && line.contains(if says { "passed" } else { "FAILED" }),
                "{line}"
            );
            assert!(line.ends_with('s'), "its time: {line}");
        }
        assert_eq!(lines[4..], ["SKIPPED last: something", "FAILED unit: a test"]);
    }

    #[test]
    fn each_commit_has_a_seed_of_its_own() {
        assert_eq!(seed_of("000000000000010fffff").unwrap(), "16");
        assert_ne!(seed_of("c0304071a2b3c4d5e6f7").unwrap(), seed_of("539e4c71a2b3c4d5e6f7").unwrap());
        assert!(seed_of("no commit").is_err());
    }
}
