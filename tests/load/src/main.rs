//! A light load generator for the S3 door, and a bare hyper server to compare with in the same run.
//!
//! ```text
//!   load run ──► firn server (spawned, fresh directory) ◄── connections with requests signed beforehand
//!           └──► load baseline (spawned)                ◄── the same generator
//!   /proc/PID: CPU time and memory of either ──► table and JSON
//! ```
//!
//! With `--peer` the run is a comparison: firn, the peers and bare hyper, side by side (compare). However a run ends, by a
//! signal too, all that it started ends with it.
//!
//! Requests are signed before the clock starts, connections are kept, and every run ends by time and by count. Loopback
//! only. On a machine whose cores the generator shares with the server, read the server's CPU per request first.

mod baseline;
mod compare;
mod growth;
mod histogram;
mod peer;
mod process;
mod report;
mod s3;
mod target;
mod workload;

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand};
use report::Report;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command as Process};
use tokio::signal::unix::{SignalKind, signal};
use workload::{Shot, Workload};

/// Load on the S3 door, beside a bare hyper server.
#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measure.
    Run(RunArguments),
    /// Measure what a request costs as a bucket and an object grow.
    Growth(GrowthArguments),
    /// Serve what is compared with; prints its address. `run` starts one by itself.
    Baseline {
        /// Where its file of 128 MiB goes.
        #[arg(long)]
        scratch: PathBuf,
    },
}

/// What `run` takes.
#[derive(Clone, clap::Args)]
struct RunArguments {
    /// The firn binary; release build of this workspace when not given.
    #[arg(long, env = "FIRN_BIN")]
    binary: Option<PathBuf>,
    /// Measure an appliance's baseline alone.
    #[arg(long)]
    baseline_only: bool,
    /// Which workloads, in this order.
    #[arg(long, value_delimiter = ',', default_values_t = s3::ALL.map(str::to_owned))]
    workloads: Vec<String>,
    /// Connections for small requests; large ones take an eighth.
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Seconds per workload.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Requests per workload, at most.
    #[arg(long, default_value_t = 1_000_000)]
    requests_max: u64,
    /// A server to compare with and its binary: minio=PATH, versitygw=PATH or garage=PATH; may be repeated.
    #[arg(long = "peer", value_name = "NAME=PATH")]
    peers: Vec<peer::Peer>,
    /// A server that can't be compared with, and why: stands among the figures; may be repeated.
    #[arg(long, value_name = "NAME: WHY")]
    without: Vec<String>,
    /// How often a comparison measures everything.
    #[arg(long, default_value_t = 1)]
    rounds: usize,
    /// Write the figures here, too.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Where data goes; a temporary directory below it is made and removed.
    #[arg(long)]
    scratch: Option<PathBuf>,
    /// A further argument for `firn server`; may be repeated.
    #[arg(long = "server-arg", allow_hyphen_values = true)]
    server_args: Vec<String>,
}

/// What `growth` takes.
#[derive(clap::Args)]
struct GrowthArguments {
    /// The firn binary; release build of this workspace when not given.
    #[arg(long, env = "FIRN_BIN")]
    binary: Option<PathBuf>,
    /// Keys of the bucket at each step; 0 for none.
    #[arg(long, value_delimiter = ',', default_value = "10000,100000,1000000")]
    keys: Vec<u64>,
    /// Parts of the object at each step; 0 for none.
    #[arg(long, value_delimiter = ',', default_value = "10,100,1000,10000")]
    parts: Vec<u64>,
    /// Keys of a bucket with versions, nine of ten of which are deleted before they are listed; 0 for none.
    #[arg(long, default_value_t = 500_000)]
    markers: u64,
    /// Write the figures here, too.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Where data goes; a temporary directory below it is made and removed.
    #[arg(long)]
    scratch: Option<PathBuf>,
}

/// Each workload with the baseline that moves the same bytes.
const PAIRS: [(&str, &str); 5] = [
    ("get4k", "hyper-get4k"),
    ("head", "hyper-get4k"),
    ("put4k", "hyper-put4k"),
    ("get16m", "hyper-gcm16m"),
    ("put16m", "hyper-put16m"),
];

#[tokio::main]
async fn main() -> Result<()> {
    match Arguments::parse().command {
        Command::Baseline { scratch } => baseline::serve(&scratch).await,
        Command::Run(arguments) => run(arguments).await,
        Command::Growth(arguments) => grow(arguments).await,
    }
}

async fn grow(arguments: GrowthArguments) -> Result<()> {
    let mut report = Report::default();
    let scratch = scratch(arguments.scratch.as_ref())?;
    growth::run(&arguments, scratch.path(), &mut report).await.context("measure the growth")?;
    print(&report.table(), &serde_json::to_vec_pretty(&report)?, arguments.json.as_ref())
}

fn scratch(parent: Option<&PathBuf>) -> Result<tempfile::TempDir> {
    let parent = parent.cloned().unwrap_or_else(std::env::temp_dir);
    Ok(tempfile::Builder::new().prefix("firn-load-").tempdir_in(parent)?)
}

fn print(table: &str, json: &[u8], path: Option<&PathBuf>) -> Result<()> {
    write!(std::io::stdout(), "{table}")?;
    if let Some(path) = path {
        std::fs::write(path, json).context("write the figures")?;
    }
    Ok(())
}

/// Measures until done or told to stop; either way what was started ends with the values that hold it.
async fn run(arguments: RunArguments) -> Result<()> {
    let mut terminated = signal(SignalKind::terminate())?;
    tokio::select! {
        ended = measure(&arguments) => ended,
        _ = tokio::signal::ctrl_c() => bail!("stopped by the keyboard; nothing was measured to its end"),
        _ = terminated.recv() => bail!("stopped by SIGTERM; nothing was measured to its end"),
    }
}

async fn measure(arguments: &RunArguments) -> Result<()> {
    let scratch = scratch(arguments.scratch.as_ref())?;
    let (table, json) = if arguments.peers.is_empty() {
        let mut report = Report::default();
        run_baseline(arguments, scratch.path(), &mut report).await.context("measure the baseline")?;
        if !arguments.baseline_only {
            s3::run(arguments, scratch.path(), &mut report).await.context("measure the appliance")?;
        }
        report.compare(&PAIRS);
        (report.table(), serde_json::to_vec_pretty(&report)?)
    } else {
        let comparison = compare::run(arguments, scratch.path()).await?;
        (comparison.table(), serde_json::to_vec_pretty(&comparison)?)
    };
    print(&table, &json, arguments.json.as_ref())
}

/// Starts a baseline server and measures what the chosen workloads are compared with.
async fn run_baseline(arguments: &RunArguments, scratch: &Path, report: &mut Report) -> Result<()> {
    let (mut child, address) = start_baseline(scratch).await?;
    let pid = child.id().context("the baseline server ended")?;
    let large = arguments.connections.div_ceil(8);
    let plain = |method: &str, path: String, body: &Arc<Vec<u8>>| Shot {
        head: format!(
            "{method} {path} HTTP/1.1\r\nhost: {address}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes(),
        body: Arc::clone(body),
    };
    let empty = Arc::new(Vec::new());
    let objects = |kind: &str| -> Vec<Shot> {
        (0..baseline::OBJECTS).map(|n| plain("GET", format!("/{kind}/{n}"), &empty)).collect()
    };
    let put = |length: usize| vec![plain("PUT", "/discard".to_owned(), &Arc::new(vec![1; length]))];
    let small = arguments.connections;
    let plans: [(&str, &str, usize, Vec<Shot>); 5] = [
        ("get4k", "hyper-get4k", small, vec![plain("GET", "/memory".to_owned(), &empty)]),
        ("put4k", "hyper-put4k", small, put(4096)),
        ("get16m", "hyper-pread16m", large, objects("pread")),
        ("get16m", "hyper-gcm16m", large, objects("gcm")),
        ("put16m", "hyper-put16m", large, put(16 << 20)),
    ];
    for (wanted_for, name, connections, shots) in plans {
        if arguments.workloads.iter().any(|workload| workload == wanted_for) {
            let workload = arguments.workload(name, address, pid, connections, shots);
            report.figures.push(workload.run().await.with_context(|| name.to_owned())?);
        }
    }
    child.kill().await?;
    Ok(())
}

async fn start_baseline(scratch: &Path) -> Result<(Child, SocketAddr)> {
    let mut child = Process::new(std::env::current_exe()?)
        .args(["baseline", "--scratch"])
        .arg(scratch)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("start the baseline server")?;
    let stdout = child.stdout.take().context("the baseline server has no output")?;
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line).await?;
    let address = line.trim().parse().with_context(|| format!("the baseline server said {line:?}"))?;
    Ok((child, address))
}

impl RunArguments {
    fn workload(
        &self,
        name: &str,
        address: SocketAddr,
        pid: u32,
        connections: usize,
        shots: Vec<Shot>,
    ) -> Workload {
        Workload {
            name: name.to_owned(),
            address,
            pid,
            connections,
            shots: Arc::new(shots),
            duration: Duration::from_secs(self.seconds),
            requests_max: self.requests_max,
        }
    }
}
