//! What is asked for, by how many connections, for how long; and what came of it.

use crate::histogram::Histogram;
use crate::process;
use anyhow::{Result, ensure};
use serde::Serialize;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use wire::{Connection, Sink};

/// A prepared request: bytes that are sent as they are.
#[derive(Clone, Debug)]
pub(crate) struct Shot {
    pub(crate) head: Vec<u8>,
    pub(crate) body: Arc<Vec<u8>>,
}

/// A workload against one server.
#[derive(Clone, Debug)]
pub(crate) struct Workload {
    pub(crate) name: String,
    pub(crate) address: SocketAddr,
    pub(crate) pid: u32,
    pub(crate) connections: usize,
    /// Sent in turn; each connection begins at its own place.
    pub(crate) shots: Arc<Vec<Shot>>,
    /// Ends after this time or this many requests, whichever comes first.
    pub(crate) duration: Duration,
    pub(crate) requests_max: u64,
}

/// The figures of one workload.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Figures {
    pub(crate) workload: String,
    pub(crate) connections: usize,
    pub(crate) requests: u64,
    pub(crate) failed: u64,
    pub(crate) seconds: f64,
    pub(crate) requests_per_second: f64,
    pub(crate) mb_per_second: f64,
    pub(crate) p50_us: u64,
    pub(crate) p99_us: u64,
    pub(crate) server_cpu_us_per_request: f64,
    /// What one core of the server would do if it were all the server had to itself.
    pub(crate) requests_per_server_core_second: f64,
    pub(crate) rss_mib: f64,
    pub(crate) rss_peak_mib: f64,
}

/// What one connection did.
#[derive(Default)]
struct Tally {
    latencies: Histogram,
    failed: u64,
    bytes: u64,
}

impl Workload {
    /// Runs it.
    pub(crate) async fn run(&self) -> Result<Figures> {
        ensure!(!self.shots.is_empty(), "nothing to send for {}", self.name);
        let mut connections = Vec::new();
        for _ in 0..self.connections {
            connections.push(Connection::open(self.address).await?);
        }
        let cpu_before = process::cpu_time(self.pid)?;
        let begun = wire::elapsed();
        let until = begun + self.duration;
        let mut running = JoinSet::new();
        let share = self.requests_max.div_ceil(self.connections as u64);
        for (number, connection) in connections.into_iter().enumerate() {
            let first = number * self.shots.len() / self.connections;
            running.spawn(shoot(connection, Arc::clone(&self.shots), first, until, share));
        }
        let mut all = Tally::default();
        while let Some(ended) = running.join_next().await {
            let tally = ended??;
            all.latencies.merge(&tally.latencies);
            all.failed += tally.failed;
            all.bytes += tally.bytes;
        }
        let seconds = wire::elapsed().saturating_sub(begun).as_secs_f64();
        let cpu = process::cpu_time(self.pid)?.saturating_sub(cpu_before);
        self.figures(&all, seconds, cpu)
    }

    fn figures(&self, all: &Tally, seconds: f64, cpu: Duration) -> Result<Figures> {
        let requests = all.latencies.total();
        let count = f64::from(u32::try_from(requests)?).max(1.0);
        let (now, peak) = process::resident_kib(self.pid)?;
        let mib = |kib: u64| -> Result<f64> { Ok(f64::from(u32::try_from(kib)?) / 1024.0) };
        let cpu_us = cpu.as_secs_f64() * 1e6 / count;
        let bytes = Duration::from_micros(all.bytes).as_secs_f64();
        Ok(Figures {
            workload: self.name.clone(),
            connections: self.connections,
            requests,
            failed: all.failed,
            seconds,
            requests_per_second: count / seconds,
            // Bytes held as microseconds are megabytes as seconds: 10^6 either way, and no cast loses any.
            mb_per_second: bytes / seconds,
            p50_us: all.latencies.quantile_us(500),
            p99_us: all.latencies.quantile_us(990),
            server_cpu_us_per_request: cpu_us,
            requests_per_server_core_second: 1e6 / cpu_us.max(0.001),
            rss_mib: mib(now)?,
            rss_peak_mib: mib(peak)?,
        })
    }
}

async fn shoot(
    mut connection: Connection,
    shots: Arc<Vec<Shot>>,
    first: usize,
    until: Duration,
    requests_max: u64,
) -> Result<Tally> {
    let mut tally = Tally::default();
    let mut before = wire::elapsed();
    let turns = shots.iter().cycle().skip(first);
    for (shot, _) in turns.zip(0..requests_max) {
        if before >= until {
            break;
        }
        let answer = connection.exchange(&shot.head, &shot.body, Sink::Count).await?;
        let now = wire::elapsed();
        tally.latencies.record(now.saturating_sub(before));
        tally.failed += u64::from(!(200..300).contains(&answer.status));
        tally.bytes += answer.length + shot.body.len() as u64;
        before = now;
    }
    Ok(tally)
}
