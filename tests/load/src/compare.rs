//! firn beside its peers and bare hyper: all of them up at once, each workload in turn on each server, round after round.
//!
//! ```text
//!   round 1   put4k: firn, minio, …, hyper   get4k: firn, minio, …   …
//!   round 2   the same again                                          ─► per server the median, per peer the ratio's median
//! ```
//!
//! A ratio is taken within a round, where the machine was about the same for both, and the median of the rounds is shown. Before
//! each measurement the disk is told to write what others left dirty.

use crate::peer;
use crate::report::{self, Report};
use crate::target::Target;
use crate::workload::Figures;
use crate::{RunArguments, process, s3};
use anyhow::{Context, Result};
use serde::Serialize;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;
use wire::Appliance;

/// Our own name among the servers.
const FIRN: &str = "firn";
/// The name of what does nothing but HTTP.
const HYPER: &str = "hyper";

/// One server's figures of one workload: the medians of all rounds.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    server: String,
    #[serde(flatten)]
    figures: Figures,
}

/// The middle, the least and the most of the rounds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Spread {
    median: f64,
    least: f64,
    most: f64,
}

/// firn by a peer.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Against {
    workload: String,
    peer: String,
    requests_per_second: Spread,
    server_cpu_per_request: Spread,
    p50: Spread,
    p99: Spread,
}

/// All that one run compared.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Comparison {
    rounds: usize,
    seconds: u64,
    /// The machine's load averages (1, 5, 15 minutes) before and after, as the kernel prints them.
    load_before: String,
    load_after: String,
    /// What a reader has to know of a server, and which one is missing and why.
    notes: Vec<String>,
    /// Resident memory of each server before any request, in MiB.
    idle_rss_mib: Vec<(String, f64)>,
    rows: Vec<Row>,
    ratios: Vec<Against>,
}

/// What was measured: the workload, the server, one set of figures a round.
struct Measured {
    workload: String,
    server: String,
    rounds: Vec<Figures>,
}

/// All servers that are up; they end with this.
struct Servers {
    appliance: Appliance,
    peers: Vec<peer::Running>,
    targets: Vec<(String, Target)>,
}

/// Starts everything, measures, ends everything.
pub(crate) async fn run(arguments: &RunArguments, scratch: &Path) -> Result<Comparison> {
    let mut comparison = Comparison {
        rounds: arguments.rounds.max(1),
        seconds: arguments.seconds,
        load_before: load_average()?,
        ..Comparison::default()
    };
    let notes = arguments.peers.iter().map(|peer| format!("{}: {}", peer.kind.name(), peer.kind.note()));
    comparison.notes =
        notes.chain(arguments.without.iter().map(|text| format!("left out: {text}"))).collect();
    let servers = start(arguments, scratch).await?;
    for (name, target) in &servers.targets {
        let idle = process::resident_kib(target.pid)?.0;
        comparison.idle_rss_mib.push((name.clone(), f64::from(u32::try_from(idle)?) / 1024.0));
        s3::fill(target, &arguments.workloads).await.with_context(|| format!("fill {name}"))?;
    }
    let mut measured: Vec<Measured> = Vec::new();
    for _ in 0..comparison.rounds {
        round(arguments, scratch, &servers.targets, &mut measured).await?;
    }
    comparison.load_after = load_average()?;
    comparison.ratios = ratios(&measured);
    comparison.rows = measured.iter().filter_map(Measured::row).collect();
    drop(servers.peers);
    servers.appliance.terminate(Duration::from_mins(1)).await?;
    Ok(comparison)
}

async fn start(arguments: &RunArguments, scratch: &Path) -> Result<Servers> {
    let (appliance, _) = s3::start(arguments, scratch).await?;
    let mut targets = vec![(FIRN.to_owned(), Target::of(&appliance).context("firn ended")?)];
    let mut peers = Vec::new();
    for peer in &arguments.peers {
        let running = peer.start(scratch).await.with_context(|| format!("start {}", peer.kind.name()))?;
        targets.push((peer.kind.name().to_owned(), running.target.clone()));
        peers.push(running);
    }
    Ok(Servers { appliance, peers, targets })
}

/// Each workload on each server, and what bare hyper does for it.
async fn round(
    arguments: &RunArguments,
    scratch: &Path,
    targets: &[(String, Target)],
    measured: &mut Vec<Measured>,
) -> Result<()> {
    let mut note = |workload: &str, server: &str, figures: Figures| {
        let at = measured.iter().position(|m| m.workload == workload && m.server == server);
        let at = at.unwrap_or_else(|| {
            let (workload, server) = (workload.to_owned(), server.to_owned());
            measured.push(Measured { workload, server, rounds: Vec::new() });
            measured.len() - 1
        });
        measured[at].rounds.push(figures);
    };
    for name in &arguments.workloads {
        for (server, target) in targets {
            let shots = s3::shots(target, name)?;
            let connections = s3::connections(name, arguments.connections);
            let workload = arguments.workload(name, target.address, target.pid, connections, shots);
            rustix::fs::sync();
            note(name, server, workload.run().await.with_context(|| format!("{name} on {server}"))?);
        }
        let mut bare = Report::default();
        let alone = RunArguments { workloads: vec![name.clone()], ..arguments.clone() };
        crate::run_baseline(&alone, scratch, &mut bare).await.context("measure bare hyper")?;
        // The last one of a workload is the one that decrypts.
        if let Some(figures) = bare.figures.pop() {
            note(name, HYPER, Figures { workload: name.clone(), ..figures });
        }
    }
    Ok(())
}

impl Measured {
    fn row(&self) -> Option<Row> {
        let middle = |of: fn(&Figures) -> f64| Some(Spread::of(self.rounds.iter().map(of))?.median);
        let whole = |of: fn(&Figures) -> u64| median_of_whole(self.rounds.iter().map(of));
        let last = self.rounds.last()?;
        let figures = Figures {
            workload: self.workload.clone(),
            connections: last.connections,
            requests: self.rounds.iter().map(|f| f.requests).sum(),
            failed: self.rounds.iter().map(|f| f.failed).sum(),
            seconds: self.rounds.iter().map(|f| f.seconds).sum(),
            requests_per_second: middle(|f| f.requests_per_second)?,
            mb_per_second: middle(|f| f.mb_per_second)?,
            p50_us: whole(|f| f.p50_us)?,
            p99_us: whole(|f| f.p99_us)?,
            server_cpu_us_per_request: middle(|f| f.server_cpu_us_per_request)?,
            requests_per_server_core_second: middle(|f| f.requests_per_server_core_second)?,
            rss_mib: last.rss_mib,
            rss_peak_mib: last.rss_peak_mib,
        };
        Some(Row { server: self.server.clone(), figures })
    }
}

/// firn's figures by each other server's, workload by workload.
fn ratios(measured: &[Measured]) -> Vec<Against> {
    let mut all = Vec::new();
    for peer in measured.iter().filter(|m| m.server != FIRN) {
        let ours = measured.iter().find(|m| m.server == FIRN && m.workload == peer.workload);
        let Some(ours) = ours else { continue };
        let spread = |of: fn(&Figures) -> f64| {
            let pairs = ours.rounds.iter().zip(&peer.rounds);
            Spread::of(pairs.map(|(mine, theirs)| of(mine) / of(theirs)).filter(|ratio| ratio.is_finite()))
        };
        let found = (
            spread(|f| f.requests_per_second),
            spread(|f| f.server_cpu_us_per_request),
            spread(|f| Duration::from_micros(f.p50_us).as_secs_f64()),
            spread(|f| Duration::from_micros(f.p99_us).as_secs_f64()),
        );
        let (Some(requests_per_second), Some(server_cpu_per_request), Some(p50), Some(p99)) = found else {
            continue;
        };
        all.push(Against {
            workload: peer.workload.clone(),
            peer: peer.server.clone(),
            requests_per_second,
            server_cpu_per_request,
            p50,
            p99,
        });
    }
    all
}

impl Spread {
    fn of(values: impl Iterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = values.collect();
        sorted.sort_unstable_by(f64::total_cmp);
        let (least, most) = (*sorted.first()?, *sorted.last()?);
        let (low, high) = (sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2]);
        Some(Self { median: f64::midpoint(low, high), least, most })
    }
}

fn median_of_whole(values: impl Iterator<Item = u64>) -> Option<u64> {
    let mut sorted: Vec<u64> = values.collect();
    sorted.sort_unstable();
    let high = *sorted.get(sorted.len() / 2)?;
    Some(u64::midpoint(sorted[(sorted.len() - 1) / 2], high))
}

fn load_average() -> Result<String> {
    let text = std::fs::read_to_string("/proc/loadavg").context("read the machine's load")?;
    Ok(text.split_whitespace().take(3).collect::<Vec<_>>().join(" "))
}

impl Comparison {
    /// For people.
    pub(crate) fn table(&self) -> String {
        let mut text = String::new();
        for note in &self.notes {
            // Writing to a String can't fail, here and below.
            let _infallible = writeln!(text, "{note}");
        }
        let _infallible = writeln!(
            text,
            "{} rounds of {} s each; load average {} before, {} after\n",
            self.rounds, self.seconds, self.load_before, self.load_after
        );
        let _infallible = writeln!(text, "{:<10} {}", "server", report::HEADINGS);
        for row in &self.rows {
            let _infallible = writeln!(text, "{:<10} {}", row.server, report::line(&row.figures));
        }
        let _infallible = writeln!(
            text,
            "\nfirn by           workload      req/s   CPU/req     p50     p99   (least to most)"
        );
        for r in &self.ratios {
            let one = |spread: &Spread| format!("{:.3}", spread.median);
            let _infallible = writeln!(
                text,
                "{:<17} {:<12} {:>7} {:>9} {:>7} {:>7}   req/s {:.3}–{:.3}, CPU {:.3}–{:.3}",
                r.peer,
                r.workload,
                one(&r.requests_per_second),
                one(&r.server_cpu_per_request),
                one(&r.p50),
                one(&r.p99),
                r.requests_per_second.least,
                r.requests_per_second.most,
                r.server_cpu_per_request.least,
                r.server_cpu_per_request.most,
            );
        }
        for (server, mib) in &self.idle_rss_mib {
            let _infallible = writeln!(text, "{server}: {mib:.1} MiB resident before the first request");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::{Comparison, Measured, Spread, median_of_whole, ratios};
    use crate::workload::Figures;

    fn figures(workload: &str, requests_per_second: f64, cpu: f64, p99_us: u64) -> Figures {
        Figures {
            workload: workload.to_owned(),
            connections: 64,
            requests: 100,
            failed: 0,
            seconds: 1.0,
            requests_per_second,
            mb_per_second: 1.0,
            p50_us: 10,
            p99_us,
            server_cpu_us_per_request: cpu,
            requests_per_server_core_second: 1e6 / cpu,
            rss_mib: 1.0,
            rss_peak_mib: 2.0,
        }
    }

    fn measured(workload: &str, server: &str, rounds: &[(f64, f64, u64)]) -> Measured {
        let rounds = rounds.iter().map(|(rate, cpu, p99)| figures(workload, *rate, *cpu, *p99)).collect();
        Measured { workload: workload.to_owned(), server: server.to_owned(), rounds }
    }

    #[test]
    fn medians_are_of_the_middle() {
        let of = |values: &[f64]| Spread::of(values.iter().copied());
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[3.0, 1.0, 2.0]), Some(Spread { median: 2.0, least: 1.0, most: 3.0 }));
        assert_eq!(of(&[4.0, 1.0, 3.0, 2.0]), Some(Spread { median: 2.5, least: 1.0, most: 4.0 }));
        assert_eq!(median_of_whole([7, 1, 4].into_iter()), Some(4));
        assert_eq!(median_of_whole([].into_iter()), None);
    }

    #[test]
    fn ratios_are_taken_within_a_round() {
        // The machine slowed down fourfold in the second round, for both.
        let all = [
            measured("get4k", "firn", &[(4000.0, 20.0, 100), (1000.0, 20.0, 400), (4000.0, 30.0, 100)]),
            measured("get4k", "minio", &[(1000.0, 200.0, 1000), (250.0, 200.0, 4000), (1000.0, 200.0, 1000)]),
            measured("head", "minio", &[(1.0, 1.0, 1)]),
        ];
        let found = ratios(&all);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].workload.as_str(), found[0].peer.as_str()), ("get4k", "minio"));
        assert_eq!(found[0].requests_per_second, Spread { median: 4.0, least: 4.0, most: 4.0 });
        assert_eq!(found[0].server_cpu_per_request, Spread { median: 0.1, least: 0.1, most: 0.15 });
        assert_eq!(found[0].p99, Spread { median: 0.1, least: 0.1, most: 0.1 });
    }

    #[test]
    fn both_forms_name_every_server_and_what_is_left_out() {
        let all = [
            measured("get4k", "firn", &[(4000.0, 20.0, 100)]),
            measured("get4k", "minio", &[(1000.0, 200.0, 1000)]),
        ];
        let comparison = Comparison {
            notes: vec!["left out: garage: no cargo".to_owned()],
            rows: all.iter().filter_map(Measured::row).collect(),
            ratios: ratios(&all),
            ..Comparison::default()
        };
        let table = comparison.table();
        assert!(
            table.contains("left out: garage") && table.contains("firn ") && table.contains("4.000"),
            "{table}"
        );
        let json = serde_json::to_value(&comparison).unwrap();
        assert_eq!(json["rows"][1]["server"], "minio");
        assert_eq!(json["rows"][1]["workload"], "get4k");
        assert_eq!(json["ratios"][0]["server_cpu_per_request"]["median"], 0.1);
    }
}
