//! What `status`, `doctor` and `/metrics` say of the audit trail: its trails, what was lost of it, and which of them can't write their files.

use crate::report::finding::Finding;
use crate::report::status::{self, Asked, Trail};
use crate::report::time::json_time;
use crate::text::counted;
use engine::unit::ByteCount;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use security::audit::{Audit, Health, Overview};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Trails, and histories, that get a line of their own.
const LINES_MAX: usize = 20;
/// No call waits for its record for so long while all is well.
const STALLED: Duration = Duration::from_secs(10);

/// The trails of all accounts, and what was lost since the start; nothing where there is nothing of either.
pub(super) async fn status(audit: &Audit) -> Option<Asked<status::Audit>> {
    let lost = audit.health().lost;
    match audit.overview(LINES_MAX).await {
        Ok((trails, _)) if trails.is_empty() && lost == 0 => None,
        Ok((trails, count)) => Some(Asked::Known(status::Audit {
            lost: Some(lost),
            trail_count: Some(count as u64),
            trails: Some(trails.into_iter().map(shown).collect()),
        })),
        Err(error) => Some(Asked::Failed { error: error.to_string() }),
    }
}

fn shown(trail: Overview) -> Trail {
    Trail {
        arn: Some(trail.arn),
        bucket: Some(trail.bucket),
        logging: Some(trail.is_logging),
        validates: Some(trail.validates),
        delivered: json_time(trail.delivered),
        digested: json_time(trail.digested),
        waiting: Some(ByteCount::new(trail.waiting_bytes)),
        error: trail.error,
    }
}

/// A fault for what was lost and for each trail that fails, each with what mends it; nothing where all is well.
pub(super) fn findings(health: &Health) -> Vec<Finding> {
    let mut findings = Vec::new();
    if health.lost > 0 {
        let text = format!(
            "{} lost since the start, {} of which no record says so yet",
            counted(health.lost, "record of the audit trail was", "records of the audit trail were"),
            health.untold
        );
        let fix = "the log (firn server's) says what could not be written; events called AuditEventsLost say how many, since when and why: \
                   firn audit search --event-name AuditEventsLost";
        findings.push(Finding::fault("audit", text, fix));
    }
    if health.oldest >= STALLED {
        let text = format!("a call has waited for its record for {} s", health.oldest.as_secs());
        let fix =
            "nothing is written: the log (firn server's) says why; a disk that does not answer, most times";
        findings.push(Finding::fault("audit", text, fix));
    }
    if let Some(first) = health.damaged.first() {
        let count = health.damaged.len() as u64;
        let text = format!(
            "{} not be read since the start, as {first}",
            counted(count, "row of the audit trail could", "rows of the audit trail could")
        );
        let fix = "nothing waits for it: events called AuditRecordDamaged stand in the place of records; look at the disk, and restore a backup \
                   (firn recover) if other rows can't be read either";
        findings.push(Finding::fault("audit", text, fix));
    }
    findings.extend(health.cuts.iter().take(LINES_MAX).map(|cut| {
        let text = format!(
            "the history of {} of account {} has room for no more: {} before 90 days were over, and it is whole from {} on",
            cut.part,
            cut.account,
            counted(cut.count, "record went", "records went"),
            security::AmzDate::from_timestamp(cut.whole_since).extended()
        );
        let fix = "look at who fills it (aws cloudtrail lookup-events); a trail (aws cloudtrail create-trail) keeps all in a bucket";
        Finding::note("audit", text, fix)
    }));
    findings.extend(health.failing.iter().take(LINES_MAX).map(|trail| {
        let (arn, bucket) = (&trail.arn, &trail.bucket);
        if bucket.is_empty() {
            let fix = format!("aws cloudtrail delete-trail --name {arn}, and make it again");
            return Finding::fault("audit", format!("{arn}: {}", trail.error), fix);
        }
        let text = format!("{arn} does not write into {bucket}: {}", trail.error);
        let fix = format!(
            "make {bucket} again or room in it, let cloudtrail.amazonaws.com write there by its policy, or give the trail another \
             (aws cloudtrail update-trail); what waits, up to 256 MiB, is tried again by itself"
        );
        Finding::fault("audit", text, fix)
    }));
    findings
}

/// Registers its metrics.
pub(super) fn register(registry: &mut Registry, audit: &Arc<Audit>) {
    registry.register_collector(Box::new(AuditMetrics(Arc::clone(audit))));
}

struct AuditMetrics(Arc<Audit>);

impl fmt::Debug for AuditMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuditMetrics")
    }
}

impl Collector for AuditMetrics {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        encode(&self.0.health(), encoder)
    }
}

fn encode(health: &Health, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
    let gauges = [
        ("firn_audit_waiting", "Calls and data events whose records wait for their commit", health.waiting),
        (
            "firn_audit_trails_failing",
            "Trails whose last file could not be written",
            health.failing.len() as u64,
        ),
        (
            "firn_audit_histories_cut",
            "Parts of event histories that lost records before 90 days were over",
            health.cuts.len() as u64,
        ),
        (
            "firn_audit_rows_damaged",
            "Rows of the audit trail that could not be read since the start",
            health.damaged.len() as u64,
        ),
        (
            "firn_audit_oldest_seconds",
            "How long the oldest call waits for its record",
            health.oldest.as_secs(),
        ),
    ];
    for (name, help, number) in gauges {
        let gauge = ConstGauge::new(i64::try_from(number).unwrap_or(i64::MAX));
        gauge.encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)?;
    }
    let help = "Records of the audit trail that were lost, one for each account that should have had it";
    let lost = encoder.encode_descriptor("firn_audit_lost", help, None, MetricType::Counter)?;
    ConstCounter::new(health.lost).encode(lost)
}

#[cfg(test)]
mod tests {
    use super::{encode, findings};
    use engine::clock::Timestamp;
    use prometheus_client::collector::Collector;
    use prometheus_client::encoding::DescriptorEncoder;
    use prometheus_client::registry::Registry;
    use security::audit::{CutHistory, FailingTrail, Health};
    use std::time::Duration;

    #[derive(Debug)]
    struct Of(Health);

    impl Collector for Of {
        fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
            encode(&self.0, encoder)
        }
    }

    #[test]
    fn what_was_lost_of_the_audit_trail_and_trails_that_fail_are_faults_and_figures() {
        assert!(findings(&Health { waiting: 3, ..Health::default() }).is_empty());
        let failing = FailingTrail {
            arn: "arn:aws:cloudtrail:us-east-1:000000000001:trail/all".to_owned(),
            bucket: "logs".to_owned(),
            error: "NoSuchBucket".to_owned(),
        };
        let unreadable = FailingTrail { bucket: String::new(), ..failing.clone() };
        let cut = CutHistory {
            account: "000000000001".parse().unwrap(),
            part: "denials",
            whole_since: Timestamp::from_millis(1_700_000_000_000),
            count: 1,
        };
        let health = Health {
            lost: 2,
            untold: 1,
            waiting: 3,
            oldest: Duration::from_secs(12),
            failing: vec![failing, unreadable],
            cuts: vec![cut],
            damaged: vec!["record 00".to_owned(), "trail 01".to_owned()],
        };
        let mut found = findings(&health);
        assert_eq!(found.len(), 6, "{found:?}");
        let cut = found.remove(3);
        assert!(
            cut.ok
                && cut
                    .detail
                    .contains("1 record went before 90 days were over, and it is whole from 2023-11-14T"),
            "{cut:?}"
        );
        for (finding, says) in found.iter().zip([
            "2 records of the audit trail were lost since the start, 1 of which no record says so yet",
            "waited for its record for 12 s",
            "2 rows of the audit trail could not be read since the start, as record 00",
            "trail/all does not write into logs: NoSuchBucket",
            "trail/all: NoSuchBucket",
        ]) {
            assert!(!finding.ok && finding.fix.is_some() && finding.detail.contains(says), "{finding:?}");
        }
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Of(health)));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            "firn_audit_lost_total 2",
            "firn_audit_waiting 3",
            "firn_audit_trails_failing 2",
            "firn_audit_histories_cut 1",
            "firn_audit_rows_damaged 2",
            "firn_audit_oldest_seconds 12",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}: {text}");
        }
    }
}
