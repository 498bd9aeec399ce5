//! The full counts of what is random, area by area; CI runs the same with small ones.
//!
//! A failure prints the seed and the round, which run again by `FIRN_SEED=… FIRN_ROUNDS=… cargo xtask soak AREA`.
//! What passed ends with a line for docs/benchmarks.md. `FIRN_BIN` names another binary than the release build. CI's stage `crash` runs the areas of the oracle by the same rounds.

use crate::compile::Profile;
use crate::error::{Error, Result};
use crate::rocksdb::Library;
use crate::say::{self, Stopwatch};
use crate::workspace::Workspace;
use crate::{compile, process, stages, stores};
use std::process::Command;

/// One area.
pub(crate) struct Area {
    /// What it is called.
    pub(crate) name: &'static str,
    /// What it proves.
    promise: &'static str,
    /// Rounds in CI.
    pub(crate) rounds_in_ci: u64,
    /// Rounds of the soak.
    rounds: u64,
    /// What a soak that passed has found.
    found: &'static str,
    how: How,
}

#[derive(Clone, Copy)]
enum How {
    /// A subcommand of the oracle, against the release binary; `true` when it takes a seed.
    Oracle(bool),
    /// The tests of this package whose names contain the text.
    Tests(&'static str, &'static str),
    /// Those that are ignored for the time that they take.
    Ignored(&'static str, &'static str),
    /// The oracle's drill of a remote pool, on each store of others.
    Stores,
}

/// Layouts of a store.
const LAYOUTS: u64 = 5;
/// Rounds of one store, each of which reads back all that it holds.
const STORE_ROUNDS_MAX: u64 = 25;

/// How the oracle is compiled: it hashes as many bytes as the server that it judges.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Oracle {
    /// At once: for few rounds.
    Dev,
    /// Takes minutes, and half the time of a round: for many.
    Release,
}

/// All areas; those of the oracle are CI's stage `crash`. Of the others the stage `unit` runs the tests with small counts, `packs` with small packs; no stage
/// runs `remote`.
pub(crate) const AREAS: [Area; 8] = [
    Area {
        name: "crash",
        promise: "nothing acknowledged is lost by kill -9, nothing torn, no space leaked, in one pool, in two zones and in a remote pool",
        rounds_in_ci: 20,
        rounds: 1000,
        found: "nothing lost, torn or leaked",
        how: How::Oracle(true),
    },
    Area {
        name: "powercut",
        promise: "nor by a power cut under all of that, the store of the remote pool included",
        rounds_in_ci: 15,
        rounds: 1000,
        found: "nothing lost, torn or leaked",
        how: How::Oracle(true),
    },
    Area {
        name: "conditional",
        promise: "exactly one of 64 conditional writers wins, for PUT and CompleteMultipartUpload",
        rounds_in_ci: 50,
        rounds: 10_000,
        found: "exactly one winner of 64 in each, for PUT and completion",
        how: How::Oracle(false),
    },
    Area {
        name: "remote",
        promise: "a remote pool on MinIO and on Ceph: uploads, reads, deletes, an outage, what has to be refused",
        rounds_in_ci: 0,
        rounds: 1,
        found: "nothing lost, nor taken where it has to be refused",
        how: How::Stores,
    },
    Area {
        name: "catalog",
        promise: "the catalog equals its model under random commits, crashes and reopening",
        rounds_in_ci: 0,
        rounds: 1000,
        found: "nothing lost, equal to its model",
        how: How::Tests("engine", "catalog"),
    },
    Area {
        name: "objects",
        promise: "the object store equals its oracle under random and dropped operations, and races have one winner",
        rounds_in_ci: 0,
        rounds: 1000,
        found: "nothing lost, equal to its oracle",
        how: How::Tests("objectstore", "tests::"),
    },
    Area {
        name: "packs",
        promise: "packs of 256 MiB stand 1,000 flips a GiB or a hole of 8 MiB: every archive is whole, every byte mended",
        rounds_in_ci: 0,
        rounds: 500,
        found: "every archive whole, every byte mended",
        how: How::Ignored("archive", "packs_of_full_size"),
    },
    Area {
        name: "retrievals",
        promise: "random events over media, drives and jobs leave no job behind, no drive taken, no deadline forgotten",
        rounds_in_ci: 0,
        rounds: 10_000,
        found: "no job left behind, no drive left taken",
        how: How::Tests("sim", "whatever_happens"),
    },
];

/// Runs one area in full; lists them when none is named.
pub(crate) fn run(workspace: &Workspace, name: &str) -> Result<()> {
    if name.is_empty() {
        for area in &AREAS {
            say::result(&format!("{:12} {:>12}: {}\n", area.name, area.amount(area.rounds), area.promise));
        }
        return Ok(());
    }
    let area = AREAS
        .iter()
        .find(|area| area.name == name)
        .ok_or_else(|| Error::Usage(format!("`{name}` is not an area: `cargo xtask soak` lists them")))?;
    let rounds = area.rounds_asked(area.rounds)?;
    let library = compile::prepare(workspace)?;
    let firn = compile::subject(workspace, &library, Profile::Release)?;
    let seed = stages::seed(workspace)?;
    say::heading(&format!("{name}: {}, FIRN_SEED={seed}", area.amount(rounds)));
    let watch = Stopwatch::start();
    let command = || {
        let mut command = area.command(workspace, &library, rounds, &seed, Oracle::Release);
        command.env("FIRN_BIN", &firn);
        command
    };
    match area.how {
        How::Stores => stores::run(workspace, command)?,
        How::Oracle(_) | How::Tests(..) | How::Ignored(..) => process::run(&mut command())?,
    }
    let time = say::duration(watch.elapsed());
    say::result(&format!("{name}: {} passed in {time}\n", area.amount(rounds)));
    say::result(&area.row(rounds, &seed, &subject(workspace)?, &time));
    Ok(())
}

/// What was soaked: the commit, with whatever else the tree has; of a binary from elsewhere its name.
fn subject(workspace: &Workspace) -> Result<String> {
    let git = |words: &[&str]| process::capture(Command::new("git").current_dir(&workspace.root).args(words));
    let commit = git(&["rev-parse", "--short=7", "HEAD"])?;
    let changed = !git(&["status", "--porcelain", "--untracked-files=no"])?.trim().is_empty();
    let binary = std::env::var("FIRN_BIN").ok();
    Ok(subject_of(commit.trim(), changed, binary.as_deref()))
}

fn subject_of(commit: &str, changed: bool, binary: Option<&str>) -> String {
    let changed = if changed { " with changes" } else { "" };
    let binary = binary.map(|binary| format!(", of the binary {binary}")).unwrap_or_default();
    format!("commit {commit}{changed}{binary}")
}

impl Area {
    /// The rounds that `FIRN_ROUNDS` asks for, else `otherwise`.
    pub(crate) fn rounds_asked(&self, otherwise: u64) -> Result<u64> {
        match std::env::var("FIRN_ROUNDS") {
            Err(std::env::VarError::NotPresent) => Ok(otherwise),
            asked => self.rounds_of(&asked.unwrap_or_default()),
        }
    }

    fn rounds_of(&self, asked: &str) -> Result<u64> {
        let usage = |text: String| Err(Error::Usage(format!("FIRN_ROUNDS={asked} {text}")));
        match (self.how, asked.parse()) {
            (How::Stores, _) => {
                usage(format!("is nothing that `{}` has: it is one drill at each store; unset it", self.name))
            }
            (_, Ok(rounds @ 1..)) => Ok(rounds),
            _ => usage("is no number from 1 on".into()),
        }
    }

    /// How much it does, for people.
    fn amount(&self, rounds: u64) -> String {
        match (self.how, rounds) {
            (How::Stores, _) => "one drill".into(),
            (_, 1) => "1 round".into(),
            _ => format!("{rounds} rounds"),
        }
    }

    /// A row of docs/benchmarks.md's table of soaks.
    fn row(&self, rounds: u64, seed: &str, subject: &str, time: &str) -> String {
        let seed = match self.how {
            How::Oracle(false) | How::Stores => String::new(),
            How::Oracle(true) | How::Tests(..) | How::Ignored(..) => format!(", seed {seed}"),
        };
        let (name, amount, found) = (self.name, self.amount(rounds), self.found);
        format!("| `cargo xtask soak {name}`, {subject}{seed} | {amount} in {time} | {found} |\n")
    }

    /// Whether CI runs it as a check of its own.
    pub(crate) const fn is_own_check(&self) -> bool {
        matches!(self.how, How::Oracle(_))
    }

    /// Stores of all layouts in turn, where the area knows any: one pool, two zones, a remote pool, both, the catalog in a zone.
    fn layouts(&self, rounds: u64) -> Vec<String> {
        if !matches!(self.how, How::Oracle(true)) {
            return Vec::new();
        }
        let store_rounds = rounds.div_ceil(LAYOUTS).clamp(1, STORE_ROUNDS_MAX).to_string();
        ["--layout", "mixed", "--store-rounds", &store_rounds].map(str::to_owned).to_vec()
    }

    /// The command that runs it.
    pub(crate) fn command(
        &self,
        workspace: &Workspace,
        library: &Library,
        rounds: u64,
        seed: &str,
        oracle: Oracle,
    ) -> Command {
        let count = rounds;
        let rounds = rounds.to_string();
        let mut cargo = compile::cargo(workspace, library);
        cargo.env("FIRN_BIN", workspace.firn(Profile::Release));
        match self.how {
            How::Oracle(seeded) => {
                cargo.args(["run", "--locked", "--quiet", "--package", "oracle"]);
                if oracle == Oracle::Release {
                    cargo.arg("--release");
                }
                cargo.args(["--", self.name]);
                cargo.args(["--rounds", &rounds]);
                cargo.args(self.layouts(count));
                if seeded {
                    cargo.args(["--seed", seed]);
                }
            }
            How::Stores => {
                cargo.args(["run", "--locked", "--quiet", "--release", "--package", "oracle", "--", "store"]);
            }
            How::Tests(package, filter) => {
                cargo.env("FIRN_ROUNDS", rounds).env("FIRN_SEED", seed);
                cargo.args(["test", "--locked", "--release", "--package", package, filter]);
            }
            How::Ignored(package, filter) => {
                cargo.env("FIRN_ROUNDS", rounds).env("FIRN_SEED", seed);
                cargo.args([
                    "test",
                    "--locked",
                    "--release",
                    "--package",
                    package,
                    filter,
                    "--",
                    "--ignored",
                ]);
            }
        }
        cargo
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_crashes_and_few_power_cuts_have_every_layout() {
        for name in ["crash", "powercut"] {
            let area = AREAS.iter().find(|area| area.name == name).unwrap();
            assert_eq!(area.layouts(20), ["--layout", "mixed", "--store-rounds", "4"]);
            assert_eq!(area.layouts(1000)[3], "25");
        }
        assert!(AREAS[2].layouts(20).is_empty());
    }

    #[test]
    fn rounds_are_those_asked_for_and_refused_where_there_are_none() {
        let find = |name: &str| AREAS.iter().find(|area| area.name == name).unwrap();
        assert_eq!(find("crash").rounds_of("7").unwrap(), 7);
        for wrong in ["0", "", "many", "-1"] {
            let text = find("crash").rounds_of(wrong).unwrap_err().to_string();
            assert!(text.contains(&format!("FIRN_ROUNDS={wrong} is no number from 1 on")), "{text}");
        }
        let text = find("remote").rounds_of("7").unwrap_err().to_string();
        assert!(text.contains("`remote`"), "{text}");
        assert_eq!(
            (find("remote").amount(1), find("crash").amount(20)),
            ("one drill".into(), "20 rounds".into())
        );
    }

    #[test]
    fn what_passed_is_a_row_of_the_table_of_soaks() {
        let row = |name: &str, rounds| {
            AREAS.iter().find(|area| area.name == name).unwrap().row(rounds, "7", "commit abc", "2 h 1 min")
        };
        assert_eq!(
            row("crash", 1000),
            "| `cargo xtask soak crash`, commit abc, seed 7 | 1000 rounds in 2 h 1 min | nothing lost, torn or leaked |\n"
        );
        assert!(!row("conditional", 1).contains("seed") && row("remote", 1).contains("| one drill in "));
        assert_eq!(subject_of("abc", false, None), "commit abc");
        assert_eq!(subject_of("abc", true, Some("/b")), "commit abc with changes, of the binary /b");
    }

    #[test]
    fn the_soak_is_never_smaller_than_ci() {
        for area in &AREAS {
            assert!(area.rounds > area.rounds_in_ci, "{}", area.name);
            assert_eq!(area.is_own_check(), area.rounds_in_ci > 0, "{}", area.name);
        }
    }
}
