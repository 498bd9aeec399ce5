//! The figures as a table for people and as JSON for what compares runs.

use crate::workload::Figures;
use serde::Serialize;
use std::fmt::Write as _;

/// Above the lines that [`line()`] makes.
pub(crate) const HEADINGS: &str = "workload               conns  requests failed     req/s      MB/s   p50 µs   p99 µs  CPU µs/req  req/s·core  RSS MiB (peak)";

/// One workload's figures in a line.
pub(crate) fn line(f: &Figures) -> String {
    format!(
        "{:<22} {:>5} {:>9} {:>6} {:>9.0} {:>9.1} {:>8} {:>8} {:>11.1} {:>11.0} {:>8.1} ({:.1})",
        f.workload,
        f.connections,
        f.requests,
        f.failed,
        f.requests_per_second,
        f.mb_per_second,
        f.p50_us,
        f.p99_us,
        f.server_cpu_us_per_request,
        f.requests_per_server_core_second,
        f.rss_mib,
        f.rss_peak_mib,
    )
}

/// A workload's rate beside its baseline's, per second of server CPU.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Ratio {
    pub(crate) workload: String,
    pub(crate) baseline: String,
    /// Requests per server core-second, of the baseline's.
    pub(crate) of_baseline_per_core: f64,
    /// Requests per second, of the baseline's.
    pub(crate) of_baseline: f64,
}

/// Everything that one run measured.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Report {
    /// Resident memory of the server after start, before any request.
    pub(crate) idle_rss_mib: f64,
    pub(crate) figures: Vec<Figures>,
    pub(crate) ratios: Vec<Ratio>,
}

impl Report {
    /// Sets each workload beside the baseline that does the same without an appliance.
    pub(crate) fn compare(&mut self, pairs: &[(&str, &str)]) {
        let find = |name: &str| self.figures.iter().find(|figures| figures.workload == name);
        let ratios = pairs.iter().filter_map(|(workload, baseline)| {
            let (mine, theirs) = (find(workload)?, find(baseline)?);
            Some(Ratio {
                workload: (*workload).to_owned(),
                baseline: (*baseline).to_owned(),
                of_baseline_per_core: mine.requests_per_server_core_second
                    / theirs.requests_per_server_core_second,
                of_baseline: mine.requests_per_second / theirs.requests_per_second,
            })
        });
        self.ratios = ratios.collect();
    }

    /// For people.
    pub(crate) fn table(&self) -> String {
        let mut text = format!("{HEADINGS}\n");
        for figures in &self.figures {
            // Writing to a String can't fail.
            let _infallible = writeln!(text, "{}", line(figures));
        }
        for ratio in &self.ratios {
            let _infallible = writeln!(
                text,
                "{} is {:.0} % of {} per server core, {:.0} % in requests per second",
                ratio.workload,
                ratio.of_baseline_per_core * 100.0,
                ratio.baseline,
                ratio.of_baseline * 100.0,
            );
        }
        let _infallible = writeln!(text, "idle: {:.1} MiB resident", self.idle_rss_mib);
        text
    }
}
