//! The firn binary: configuration, wiring, command line.
//!
//! ```text
//!   argv ─► cli (clap) ─► verbs ─► client ─► any S3 endpoint, or an appliance's admin door
//!                 └─ server ─► appliance (engine + security + objectstore) ─► web
//!   verbs ─► report ─► people or JSON on stdout; narration and progress on stderr; an exit code (exit)
//! ```
//!
//! It decides no storage semantics: every verb but `server` is a client like any other.

mod appliance;
mod backup;
mod cli;
mod config;
mod directory;
mod doors;
mod exit;
mod hint;
mod layout;
mod memory;
mod remote;
mod report;
mod scope;
mod session;
mod settle;
mod text;
mod tls;
mod trail;
mod transfer;
mod verbs;

use clap::Parser;
use exit::Exit;
use report::{ErrorReport, Output};
use session::{Session, Used};
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// How long the end waits for what is to be taken away.
const SETTLE_WITHIN: Duration = Duration::from_secs(5);

/// Memory goes back to the system when 64 connections become none.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = match cli::Cli::try_parse() {
        Ok(cli) => cli,
        Err(refused) if refused.use_stderr() && std::env::args_os().any(|arg| arg == "--json") => {
            ErrorReport::of_usage(&refused).print(true);
            return Exit::Usage.into();
        }
        Err(refused) => refused.exit(),
    };
    let output = Output { json: cli.global.json, quiet: cli.global.quiet };
    let used = Arc::default();
    let exit = match run(cli, output, &used) {
        Ok(exit) => exit,
        Err(error) if is_broken_pipe(&error) => Exit::Ok,
        Err(error) => {
            ErrorReport::of(&error, used.get()).print(output.json);
            exit::of(&error)
        }
    };
    exit.into()
}

fn run(cli: cli::Cli, output: Output, used: &Arc<OnceLock<Used>>) -> anyhow::Result<Exit> {
    if matches!(cli.verb, cli::Verb::Server(_)) {
        memory::keep_for_a_while();
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let verb = match cli.verb {
        cli::Verb::Server(args) => return runtime.block_on(appliance::serve(&args, output.quiet)),
        cli::Verb::Client(verb) => verb,
    };
    let goes_on = verb.goes_on();
    let (pending, settled) = settle::pair();
    let session = Session::new(cli.connection, output, Arc::clone(used), pending);
    let exit = runtime.block_on(async {
        let ended = tokio::select! {
            // First, so that no verb has begun before a signal is waited for.
            biased;
            () = interrupted() => None,
            exit = verbs::run(&session, verb) => Some(exit),
        };
        // All that the verb had under way is being dropped: what is half done goes before we do.
        let clock = Arc::clone(&session.clock);
        drop(session);
        tokio::select! {
            () = settled.wait() => {}
            () = clock.sleep(SETTLE_WITHIN) => {}
        }
        ended.unwrap_or_else(|| {
            output.note(&format!("firn: interrupted{goes_on}"));
            Ok(Exit::Interrupted)
        })
    });
    // What still runs on the blocking pool (a read of a slow disk) must not hold the end up.
    runtime.shutdown_background();
    exit
}

/// Ctrl-C, or SIGTERM. SIGHUP is left as it came, so that nohup works.
async fn interrupted() {
    let signals = [SignalKind::interrupt(), SignalKind::terminate()];
    let caught = signals.map(|kind| {
        Box::pin(async move {
            match signal(kind) {
                Ok(mut signals) => drop(signals.recv().await),
                // Without a handler the signal ends the process by itself.
                Err(_) => std::future::pending().await,
            }
        })
    });
    futures_util::future::select_all(caught).await;
}

/// Whoever read our output has enough: that is no failure.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe)
            || cause
                .downcast_ref::<serde_json::Error>()
                .is_some_and(|e| e.io_error_kind() == Some(std::io::ErrorKind::BrokenPipe))
    })
}
