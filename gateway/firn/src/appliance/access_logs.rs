//! What `status`, `doctor` and `/metrics` say of server access logs; nothing where no bucket is logged.

use crate::report::finding::Finding;
use crate::report::status::{AccessLogs, FailingLog};
use crate::report::time::json_time;
use crate::text::{counted, show_duration};
use engine::clock::Timestamp;
use objectstore::{LogFailure, LogStatus, ObjectStore};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Logs that get a line of their own; the rest are counted.
const LINES_MAX: usize = 20;

/// How many are logged, what waits, and what can't be written.
pub(super) fn status(logs: &LogStatus) -> Option<AccessLogs> {
    if !is_used(logs) {
        return None;
    }
    let failing: Vec<_> = logs.failing.iter().take(LINES_MAX).map(failure).collect();
    Some(AccessLogs {
        buckets: Some(logs.sources),
        waiting: Some(logs.waiting),
        waiting_bytes: Some(logs.waiting_bytes),
        delivered: Some(logs.delivered),
        objects: Some(logs.objects),
        dropped: Some(logs.dropped),
        failing_buckets: Some(logs.failing.len() as u64),
        failing: Some(failing),
    })
}

/// Something is logged, or was since the start.
fn is_used(logs: &LogStatus) -> bool {
    logs.sources > 0 || logs.delivered > 0 || logs.dropped > 0
}

fn failure(failure: &LogFailure) -> FailingLog {
    FailingLog {
        bucket: Some(failure.bucket.as_str().to_owned()),
        target: Some(failure.target.as_str().to_owned()),
        since: json_time(Some(failure.since)),
        error: Some(failure.error.clone()),
    }
}

/// A fault where records were lost or a log can't be written, each with what mends it.
pub(super) fn findings(logs: &LogStatus, now: Timestamp) -> Vec<Finding> {
    if !is_used(logs) {
        return Vec::new();
    }
    let mut findings: Vec<_> = logs
        .failing
        .iter()
        .take(LINES_MAX)
        .map(|failure| {
            let (bucket, target) = (&failure.bucket, &failure.target);
            let lasts = show_duration(Duration::from_secs(now.since(failure.since).as_secs()));
            let text = format!("the log of {bucket} is not written into {target}; for {lasts} it fails to {}", failure.error);
            let fix = format!(
                "make room in {target}, make it again, or have {bucket} logged elsewhere (aws s3api put-bucket-logging)"
            );
            Finding::fault("access-logs", text, fix)
        })
        .collect();
    if logs.dropped > 0 {
        let text = format!(
            "{} lost since the start",
            counted(logs.dropped, "record of access logs was", "records of access logs were")
        );
        let fix = "a target that takes nothing loses what is above 4 MiB a bucket, 16 MiB in all; the log (firn server's) says which it was";
        findings.push(Finding::fault("access-logs", text, fix));
    }
    if findings.is_empty() {
        let text = format!(
            "{} logged, {} written since the start, {} wait",
            counted(logs.sources, "bucket is", "buckets are"),
            counted(logs.delivered, "record", "records"),
            logs.waiting
        );
        findings.push(Finding::fine("access-logs", text));
    }
    findings
}

/// Registers their metrics.
pub(super) fn register(registry: &mut Registry, store: &Arc<ObjectStore>) {
    registry.register_collector(Box::new(LogMetrics(Arc::clone(store))));
}

struct LogMetrics(Arc<ObjectStore>);

impl fmt::Debug for LogMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LogMetrics")
    }
}

impl Collector for LogMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let logs = self.0.log_status();
        let gauges = [
            ("firn_access_logs_waiting", "Records of server access logs that wait", logs.waiting),
            (
                "firn_access_logs_failing",
                "Server access logs that can't be written",
                logs.failing.len() as u64,
            ),
        ];
        for (name, help, number) in gauges {
            let gauge = ConstGauge::new(i64::try_from(number).unwrap_or(i64::MAX));
            gauge.encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)?;
        }
        let counters = [
            ("firn_access_logs_delivered", "Records of server access logs written", logs.delivered),
            ("firn_access_logs_dropped", "Records of server access logs lost", logs.dropped),
        ];
        for (name, help, number) in counters {
            ConstCounter::new(number).encode(encoder.encode_descriptor(
                name,
                help,
                None,
                MetricType::Counter,
            )?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{findings, status};
    use engine::clock::Timestamp;
    use objectstore::{BucketName, LogFailure, LogStatus};
    use serde_json::json;
    use std::time::Duration;

    #[test]
    fn logs_are_judged_by_what_was_lost_and_what_can_not_be_written() {
        let since = Timestamp::from_millis(1_700_000_000_000);
        let now = since.plus(Duration::from_mins(2));
        assert!(findings(&LogStatus::default(), now).is_empty() && status(&LogStatus::default()).is_none());
        let fine = LogStatus { sources: 1, waiting: 3, delivered: 7, objects: 2, ..LogStatus::default() };
        let failing = LogFailure {
            bucket: BucketName::parse("src").unwrap(),
            target: BucketName::parse("logs").unwrap(),
            since,
            error: "find the bucket: there is none of this name".to_owned(),
        };
        for (logs, ok, says) in [
            (fine.clone(), true, "1 bucket is logged, 7 records written since the start, 3 wait"),
            (
                LogStatus { failing: vec![failing.clone()], ..fine.clone() },
                false,
                "the log of src is not written into logs; for 2m it fails to find the bucket",
            ),
            (
                LogStatus { dropped: 1, ..fine.clone() },
                false,
                "1 record of access logs was lost since the start",
            ),
        ] {
            let found = findings(&logs, now);
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(found[0].ok == ok && found[0].detail.contains(says), "{found:?}");
            assert!(ok || found[0].fix.is_some());
        }
        let shown = json!(status(&LogStatus { dropped: 4, failing: vec![failing], ..fine }));
        assert_eq!((&shown["dropped"], &shown["failing"][0]["target"]), (&4.into(), &"logs".into()));
    }
}
