//! Kills the real binary, or cuts its power, under random S3 operations, and knows what must be there afterwards.
//!
//! ```text
//!   worker (random operations) ──► calls (S3 over wire) ──► firn server        killed −9 (crash), or
//!      └► model: per key, the histories that the answers allow                 cut off its disk (powercut), then killed
//!   verify: reads everything back ──► model: one of those, or a violation
//!   space: what the server calls live is what the model holds
//!   stores: a remote pool on somebody else's store, through an outage
//!   layout: one pool, two zones, or a remote pool whose store is a second firn, killed or cut as well; or the catalog in a zone, too
//! ```
//!
//! A soak goes through one store after the other (`--store-rounds`), because each round reads back all that its store holds.
//!
//! `oracle crash`, `oracle powercut` and `oracle conditional` exit with 0 when no promise was broken and 1 with the seed
//! and round when one was. The seed decides operations, kills and cuts; thread timing it does not.

mod calls;
mod conditional;
mod layout;
mod model;
mod rounds;
mod space;
mod stores;
mod verify;
mod worker;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use layout::Layout;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;
use wire::Launch;

/// Crash tests of the real binary against an oracle.
#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    /// The firn binary; release build of this workspace when not given.
    #[arg(long, env = "FIRN_BIN", global = true)]
    binary: Option<PathBuf>,
    /// A further argument for `firn server`; may be repeated.
    #[arg(long = "server-arg", global = true, allow_hyphen_values = true)]
    server_args: Vec<String>,
    /// Keep the scratch directory, also when all went well.
    #[arg(long, global = true)]
    keep: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Kill −9 at random points, reopen, verify.
    Crash(SoakArguments),
    /// Cut the power under the data directory at random points, remount, verify. Needs /dev/fuse.
    Powercut(SoakArguments),
    /// Race for one key: exactly one winner for PUT and `CompleteMultipartUpload`.
    Conditional {
        /// Rounds for each of the two.
        #[arg(long, default_value_t = 100)]
        rounds: u64,
        /// Writers in each round.
        #[arg(long, default_value_t = 64)]
        writers: usize,
    },
    /// Drill a remote pool on a store that runs already: `cargo xtask soak remote` starts some.
    Store(stores::Store),
}

#[derive(clap::Args)]
struct SoakArguments {
    /// Crashes.
    #[arg(long, default_value_t = 25)]
    rounds: u64,
    /// Where every choice comes from: the first store's seed, the next store's is one more.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Crashes that one store lives through before the next begins: everything is read back after each.
    #[arg(long, default_value_t = 25, value_parser = clap::value_parser!(u64).range(1..))]
    store_rounds: u64,
    /// Concurrent clients.
    #[arg(long, default_value_t = 6)]
    workers: u64,
    /// Look for leaked space after this many rounds, and after the last.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
    space_every: u64,
    /// How long a server may take to start or to answer before that is a violation of its own, in seconds.
    #[arg(long, default_value_t = 60)]
    patience_s: u64,
    /// What each store lies on.
    #[arg(long, value_enum, default_value = "one")]
    layout: Layout,
}

fn main() -> std::process::ExitCode {
    let arguments = Arguments::parse();
    let outcome = tokio::runtime::Runtime::new()
        .context("start a runtime")
        .and_then(|runtime| runtime.block_on(run(arguments)));
    match outcome {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("FAILED: {error:#}"));
            std::process::ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<()> {
    let binary = match arguments.binary {
        Some(binary) => binary,
        None => Launch::binary_from_environment()?,
    };
    let mut scratch =
        tempfile::Builder::new().prefix("firn-oracle-").tempdir_in(scratch_parent(&arguments.command))?;
    // Kept by default: what failed is the evidence. Removed below when all went well.
    scratch.disable_cleanup(true);
    let begun = wire::elapsed();
    let ground = Ground {
        binary: binary.clone(),
        server_args: arguments.server_args.clone(),
        scratch: scratch.path().to_owned(),
        keep: arguments.keep,
    };
    match arguments.command {
        Command::Crash(ref asked) => soak(asked, &ground, false).await?,
        Command::Powercut(ref asked) => soak(asked, &ground, true).await?,
        Command::Store(ref store) => stores::run(store.clone(), binary.clone(), scratch.path()).await?,
        Command::Conditional { rounds, writers } => {
            let args = arguments.server_args.clone();
            let launch = Launch { args, ..Launch::new(Some(binary.clone()), scratch.path())? };
            let appliance = launch.start().await?;
            let races =
                conditional::run(&appliance, rounds, writers).await.with_context(|| launch.log_tail())?;
            appliance.terminate(Duration::from_mins(1)).await?;
            say(&format!("exactly one winner of {writers} writers in every round: {races:?}"));
        }
    }
    say(&format!("done in {:.1} s", wire::elapsed().saturating_sub(begun).as_secs_f64()));
    scratch.disable_cleanup(arguments.keep);
    Ok(())
}

/// What all stores of a soak stand on.
struct Ground {
    binary: PathBuf,
    server_args: Vec<String>,
    scratch: PathBuf,
    keep: bool,
}

/// Soaks one store after the other, each in a directory of its own, which goes when the store is done.
async fn soak(asked: &SoakArguments, ground: &Ground, power_cuts: bool) -> Result<()> {
    say(&format!("seed {}, {} rounds, scratch {}", asked.seed, asked.rounds, ground.scratch.display()));
    let mut total = rounds::Report::default();
    for store in 0..asked.rounds.div_ceil(asked.store_rounds) {
        let scratch = ground.scratch.join(format!("store-{store}"));
        let plan = rounds::Plan {
            binary: ground.binary.clone(),
            server_args: ground.server_args.clone(),
            scratch: scratch.clone(),
            seed: asked.seed.wrapping_add(store),
            rounds: asked.store_rounds.min(asked.rounds - total.rounds),
            workers: asked.workers,
            power_cuts,
            layout: asked.layout.of_store(store),
            space_every: asked.space_every,
            patience: Duration::from_secs(asked.patience_s),
        };
        total += rounds::Soak::new(plan)?.run().await?;
        if !ground.keep {
            std::fs::remove_dir_all(&scratch).with_context(|| format!("remove {}", scratch.display()))?;
        }
        say(&format!("{} of {} rounds", total.rounds, asked.rounds));
    }
    say(&format!("nothing lost, torn or leaked: {total:?}"));
    Ok(())
}

/// Power cuts work over memory, so that a round costs no disk; the rest on the temporary directory.
fn scratch_parent(command: &Command) -> PathBuf {
    match command {
        Command::Powercut(_) => powercut::memory(),
        _ => std::env::temp_dir(),
    }
}

/// Results go to stdout; a closed stdout is no reason to stop.
fn say(line: &str) {
    let _closed = writeln!(std::io::stdout(), "{line}");
}
