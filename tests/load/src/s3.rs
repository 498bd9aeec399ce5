//! The workloads against the appliance.

use crate::report::Report;
use crate::workload::Shot;
use crate::{RunArguments, process};
use anyhow::{Context, Result, bail, ensure};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use wire::{Appliance, Connection, Launch, Request, Sink};

/// All workloads, in the order in which each finds what it reads.
pub(crate) const ALL: [&str; 7] = ["put4k", "get4k", "head", "list", "mixed", "put16m", "get16m"];

const BUCKET: &str = "load";
/// Small objects that are read.
const SMALL: usize = 2000;
/// Large objects that are read.
const LARGE: usize = 8;
const SMALL_BYTES: usize = 4096;
const LARGE_BYTES: usize = 16 << 20;
/// Keys that are written, before they are written over.
const PUTS: usize = 40_000;

/// Starts an appliance in a fresh directory and measures the chosen workloads.
pub(crate) async fn run(arguments: &RunArguments, scratch: &Path, report: &mut Report) -> Result<()> {
    let binary = match &arguments.binary {
        Some(binary) => binary.clone(),
        None => Launch::binary_from_environment()?,
    };
    let launch = Launch {
        binary,
        dir: scratch.join("data"),
        log: scratch.join("server.log"),
        args: arguments.server_args.clone(),
        patience: Duration::from_mins(1),
    };
    let appliance = launch.start().await?;
    let pid = appliance.pid().context("the server ended")?;
    report.idle_rss_mib = f64::from(u32::try_from(process::resident_kib(pid)?.0)?) / 1024.0;
    let maker = Maker { appliance: &appliance };
    let mut setup = appliance.connect().await?;
    maker.must(&mut setup, "PUT", "", &[], b"").await?;
    let (reads_small, reads_large) = (["get4k", "head", "list", "mixed"], ["get16m"]);
    let wants = |names: &[&str]| arguments.workloads.iter().any(|name| names.contains(&name.as_str()));
    for n in 0..if wants(&reads_small) { SMALL } else { 0 } {
        maker.must(&mut setup, "PUT", &small_key(n), &[], &vec![3; SMALL_BYTES]).await?;
    }
    for n in 0..if wants(&reads_large) { LARGE } else { 0 } {
        maker.must(&mut setup, "PUT", &large_key(n), &[], &vec![4; LARGE_BYTES]).await?;
    }
    for name in &arguments.workloads {
        let shots = maker.shots(name)?;
        let connections =
            if name.ends_with("16m") { arguments.connections.div_ceil(8) } else { arguments.connections };
        let workload = arguments.workload(name, appliance.http, pid, connections, shots);
        let figures = workload.run().await.with_context(|| format!("{name}\n{}", launch.log_tail()))?;
        ensure!(figures.failed == 0, "{name}: {} of {} requests failed", figures.failed, figures.requests);
        report.figures.push(figures);
    }
    appliance.terminate(Duration::from_mins(1)).await?;
    Ok(())
}

fn small_key(n: usize) -> String {
    format!("small/{n:06}")
}

fn large_key(n: usize) -> String {
    format!("large/{n:06}")
}

/// Makes signed requests.
struct Maker<'a> {
    appliance: &'a Appliance,
}

impl Maker<'_> {
    fn request(method: &'static str, key: &str, query: &[(&'static str, &str)]) -> Request {
        let path = if key.is_empty() { format!("/{BUCKET}") } else { format!("/{BUCKET}/{key}") };
        let query = query.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        Request { method, path, query, headers: Vec::new() }
    }

    async fn must(
        &self,
        connection: &mut Connection,
        method: &'static str,
        key: &str,
        query: &[(&'static str, &str)],
        body: &[u8],
    ) -> Result<()> {
        let head = self.appliance.head(&Self::request(method, key, query), body);
        let answer = connection.exchange(&head, body, Sink::Keep).await?;
        ensure!(answer.status == 200, "{method} {key}: {} {}", answer.status, answer.text());
        Ok(())
    }

    fn shot(&self, request: &Request, body: &Arc<Vec<u8>>, hash: &str) -> Shot {
        let host = self.appliance.http.to_string();
        let signing = &self.appliance.signing;
        let head = signing.head(&host, request, body.len(), hash, wire::unix_seconds());
        Shot { head, body: Arc::clone(body) }
    }

    /// The requests of a workload, signed.
    fn shots(&self, workload: &str) -> Result<Vec<Shot>> {
        let empty = Arc::new(Vec::new());
        let nothing = wire::sha256_hex(b"");
        let read = |method, key: &str, query: &[(&'static str, &str)]| {
            self.shot(&Self::request(method, key, query), &empty, &nothing)
        };
        let list =
            |max: &str| read("GET", "", &[("list-type", "2"), ("max-keys", max), ("prefix", "small/")]);
        let writes = |kind: &str, count: usize, length: usize| -> Vec<Shot> {
            let body = Arc::new(vec![6; length]);
            let hash = wire::sha256_hex(&body);
            let put = |n| self.shot(&Self::request("PUT", &format!("{kind}/{n:06}"), &[]), &body, &hash);
            (0..count).map(put).collect()
        };
        Ok(match workload {
            "put4k" => writes("put4k", PUTS, SMALL_BYTES),
            "put16m" => writes("put16m", 4 * LARGE, LARGE_BYTES),
            "get4k" => (0..SMALL).map(|n| read("GET", &small_key(n), &[])).collect(),
            "head" => (0..SMALL).map(|n| read("HEAD", &small_key(n), &[])).collect(),
            "get16m" => (0..LARGE).map(|n| read("GET", &large_key(n), &[])).collect(),
            "list" => vec![list("1000")],
            "mixed" => {
                let puts = writes("mixed", SMALL, SMALL_BYTES);
                let mix = puts.into_iter().enumerate().flat_map(|(n, put)| {
                    let mut shots: Vec<Shot> =
                        (0..6).map(|m| read("GET", &small_key((n * 7 + m * 311) % SMALL), &[])).collect();
                    shots.extend([put, read("HEAD", &small_key(n), &[])]);
                    if n % 4 == 0 {
                        shots.push(list("100"));
                    }
                    shots
                });
                mix.collect()
            }
            other => bail!("no workload is called {other}; there are {}", ALL.join(", ")),
        })
    }
}
