//! Quotas at the admin door: set, taken away and shown; what `doctor` says of them, and their metrics.

use super::status::admin_error;
use crate::report::finding::Finding;
use crate::report::status::{Asked, Quota, Quotas, UnreadQuotas};
use crate::text::quote_sh;
use engine::unit::ByteCount;
use objectstore::{
    BucketName, KnownQuotas, ObjectStore, QuotaCounts, QuotaInfo, QuotaLevel, QuotaLimits, QuotaUnit,
};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use serde::Deserialize;
use serde_json::{Value, json};
use std::fmt;
use std::sync::Arc;
use web::AdminError;

/// Quotas that get a line of their own in a status or a diagnosis; the rest are counted.
const LINES_MAX: usize = 20;

/// What `POST /v1/quota` takes.
#[derive(Debug, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum QuotaRequest {
    Set {
        bucket: String,
        #[serde(default)]
        prefix: String,
        bytes: Option<u64>,
        objects: Option<u64>,
        warn_percent: Option<u8>,
    },
    Remove {
        bucket: String,
        #[serde(default)]
        prefix: String,
    },
}

fn parse(bucket: &str) -> Result<BucketName, AdminError> {
    BucketName::parse(bucket).map_err(|error| AdminError::Invalid(error.to_string()))
}

const fn word(level: QuotaLevel) -> &'static str {
    match level {
        QuotaLevel::Counting => "counting",
        QuotaLevel::Fine => "fine",
        QuotaLevel::Near => "near",
        QuotaLevel::Full => "full",
    }
}

fn facts(quota: &QuotaInfo) -> Quota {
    Quota {
        bucket: Some(quota.bucket.as_str().to_owned()),
        prefix: Some(quota.prefix.clone()),
        state: Some(word(quota.level()).to_owned()),
        percent: quota.percent(),
        warn_percent: Some(quota.limits.warn_percent.into()),
        limit_bytes: quota.limits.bytes,
        used_bytes: quota.usage.map(|usage| usage.bytes),
        limit_objects: quota.limits.objects,
        used_objects: quota.usage.map(|usage| usage.versions),
    }
}

/// Buckets whose quotas can't be read, and why.
fn unread_facts(unread: &[(BucketName, objectstore::Error)]) -> Vec<UnreadQuotas> {
    let facts = |(bucket, error): &(BucketName, objectstore::Error)| UnreadQuotas {
        bucket: Some(bucket.as_str().to_owned()),
        error: Some(error.to_string()),
    };
    unread.iter().map(facts).collect()
}

/// Quotas as they are now, of one bucket or of all.
pub(super) async fn list(store: &ObjectStore, bucket: Option<&str>) -> Result<Value, AdminError> {
    let KnownQuotas { quotas, unread } = match bucket {
        Some(bucket) => {
            let quotas = store.bucket_quotas(&parse(bucket)?).await.map_err(admin_error)?;
            KnownQuotas { quotas, unread: Vec::new() }
        }
        None => store.all_quotas().await.map_err(admin_error)?,
    };
    Ok(json!({ "quotas": quotas.iter().map(facts).collect::<Vec<_>>(), "unread": unread_facts(&unread) }))
}

/// `{"action": "set" | "remove", "bucket": NAME, "prefix": PREFIX, …}`.
pub(super) async fn change(store: &ObjectStore, request: QuotaRequest) -> Result<Value, AdminError> {
    match request {
        QuotaRequest::Set { bucket, prefix, bytes, objects, warn_percent } => {
            let limits = QuotaLimits {
                bytes: bytes.map(ByteCount::new),
                objects,
                warn_percent: warn_percent.unwrap_or(QuotaLimits::WARN_PERCENT),
            };
            let set = store.set_quota(&parse(&bucket)?, &prefix, limits).await.map_err(admin_error)?;
            Ok(json!(facts(&set)))
        }
        QuotaRequest::Remove { bucket, prefix } => {
            store.remove_quota(&parse(&bucket)?, &prefix).await.map_err(admin_error)?;
            Ok(json!({ "removed": { "bucket": bucket, "prefix": prefix } }))
        }
    }
}

/// How many there are, and those that are not fine, the fullest first. What can't be read is said there, and hides nothing else.
pub(super) async fn status(store: &ObjectStore) -> Option<Asked<Quotas>> {
    summary(store.known_quotas().await)
}

fn summary(known: objectstore::Result<KnownQuotas>) -> Option<Asked<Quotas>> {
    let KnownQuotas { mut quotas, mut unread } = match known {
        Ok(known) => known,
        Err(error) => return Some(Asked::Failed { error: error.to_string() }),
    };
    if quotas.is_empty() && unread.is_empty() {
        return None;
    }
    let set = Some(quotas.len() as u64);
    quotas.retain(|quota| quota.level() != QuotaLevel::Fine);
    quotas.sort_by_key(|quota| std::cmp::Reverse(quota.percent()));
    let not_fine = Some(quotas.len() as u64);
    quotas.truncate(LINES_MAX);
    let worst = Some(quotas.iter().map(facts).collect());
    let unread_buckets = Some(unread.len() as u64);
    unread.truncate(LINES_MAX);
    let unread = Some(unread_facts(&unread));
    Some(Asked::Known(Quotas { set, not_fine, worst, unread_buckets, unread }))
}

/// What `doctor` says: a fault where writes are refused, a note where they soon will be.
pub(super) async fn findings(store: &ObjectStore) -> Vec<Finding> {
    diagnose(store.known_quotas().await)
}

fn diagnose(known: objectstore::Result<KnownQuotas>) -> Vec<Finding> {
    let fix = "firn quota ls, in a minute; if it lasts, read the server's log, and recover from the backup what is damaged";
    let KnownQuotas { mut quotas, unread } = match known {
        Ok(known) => known,
        Err(error) => return vec![Finding::fault("quotas", format!("read quotas: {error}"), fix)],
    };
    let mut findings: Vec<_> = unread
        .iter()
        .take(LINES_MAX)
        .map(|(bucket, error)| {
            let uri = quote_sh(&format!("s3://{bucket}"));
            Finding::fault("quota", format!("read the quotas of {uri}: {error}"), fix)
        })
        .collect();
    if unread.len() > LINES_MAX {
        let text = format!("the quotas of {} more buckets can't be read", unread.len() - LINES_MAX);
        findings.push(Finding::fault("quotas", text, fix));
    }
    let set = quotas.len();
    quotas.retain(|quota| quota.level() != QuotaLevel::Fine);
    if quotas.is_empty() {
        let fine = (set > 0).then(|| Finding::fine("quotas", format!("{set} set, none nearly full")));
        findings.extend(fine);
        return findings;
    }
    quotas.sort_by_key(|quota| std::cmp::Reverse(quota.percent()));
    let more = quotas.len().saturating_sub(LINES_MAX);
    findings.extend(quotas.iter().take(LINES_MAX).map(finding));
    if more > 0 {
        let text = format!("{more} more are nearly full or full");
        findings.push(Finding::note("quotas", text, "firn quota ls lists them all"));
    }
    findings
}

fn finding(quota: &QuotaInfo) -> Finding {
    let uri = quote_sh(&format!("s3://{}/{}", quota.bucket, quota.prefix));
    let percent = quota.percent().unwrap_or_default();
    let fix = || {
        let mut words = vec![format!("delete versions there, or raise it: firn quota set {uri}")];
        for (flag, unit) in [("--bytes", QuotaUnit::Bytes), ("--objects", QuotaUnit::Objects)] {
            let used = quota.usage.map_or(0, |usage| match unit {
                QuotaUnit::Bytes => usage.bytes.get(),
                QuotaUnit::Objects => usage.versions,
            });
            // Half as much again as is there, or as is allowed: whichever is more.
            let raised = quota.limits.of(unit).map(|limit| limit.max(used));
            let raised = raised.map(|least| least.saturating_add((least / 2).max(1)));
            words.extend(raised.map(|limit| format!("{flag} {limit}")));
        }
        let warn = quota.limits.warn_percent;
        words.extend((warn != QuotaLimits::WARN_PERCENT).then(|| format!("--warn {warn}")));
        words.join(" ")
    };
    match quota.level() {
        QuotaLevel::Counting => Finding::note(
            "quota",
            format!("{uri} is being counted, and not enforced yet"),
            "wait: the worker quotas counts what was there before",
        ),
        QuotaLevel::Fine => Finding::fine("quota", format!("{uri} is {percent} % full")),
        QuotaLevel::Near => Finding::note("quota", format!("{uri} is {percent} % full"), fix()),
        QuotaLevel::Full => Finding::fault(
            "quota",
            format!("{uri} is full ({percent} %): writes that add to it are refused"),
            fix(),
        ),
    }
}

/// The metrics of quotas, read when they are asked for.
struct Gauges<F>(F);

impl<F> fmt::Debug for Gauges<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("quota gauges")
    }
}

/// Registers them.
pub(super) fn register(registry: &mut Registry, store: &Arc<ObjectStore>) {
    let store = Arc::clone(store);
    registry.register_collector(Box::new(Gauges(move || store.quota_counts())));
}

impl<F: Fn() -> QuotaCounts + Send + Sync + 'static> Collector for Gauges<F> {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let QuotaCounts { set, counting, near, full } = (self.0)();
        for (name, help, value) in [
            ("firn_quotas_set", "Quotas of buckets and prefixes", set),
            ("firn_quotas_counting", "Quotas that are being counted, and not enforced yet", counting),
            ("firn_quotas_near", "Quotas from where they warn on, the full ones included", near),
            ("firn_quotas_full", "Quotas at their limit", full),
        ] {
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Gauges, diagnose, finding, summary};
    use engine::unit::ByteCount;
    use objectstore::{BucketName, BucketUsage, Error, KnownQuotas, QuotaCounts, QuotaInfo, QuotaLimits};
    use prometheus_client::registry::Registry;
    use serde_json::json;

    fn quota(used: Option<u64>) -> QuotaInfo {
        QuotaInfo {
            bucket: BucketName::parse("bkt").unwrap(),
            prefix: "a b/".to_owned(),
            limits: QuotaLimits { bytes: Some(ByteCount::new(1000)), objects: None, warn_percent: 80 },
            usage: used.map(|bytes| BucketUsage { bytes: ByteCount::new(bytes), versions: 1 }),
        }
    }

    #[test]
    fn a_full_quota_is_a_fault_and_a_nearly_full_one_a_note() {
        for (used, ok, says, fix) in [
            (Some(799), true, "'s3://bkt/a b/' is 79 % full", None),
            (Some(800), true, "is 80 % full", Some("firn quota set 's3://bkt/a b/' --bytes 1500")),
            (Some(1000), false, "is full (100 %): writes that add to it are refused", Some("--bytes 1500")),
            (None, true, "is being counted", Some("wait")),
        ] {
            let found = finding(&quota(used));
            assert!(found.ok == ok && found.detail.contains(says), "{found:?}");
            let named = |line: &str| fix.is_some_and(|fix| line.contains(fix));
            assert!(found.fix.as_deref().map_or(fix.is_none(), named), "{found:?}");
        }
        let limits = QuotaLimits { bytes: None, objects: Some(1), warn_percent: 50 };
        let found = finding(&QuotaInfo { limits, ..quota(Some(1)) });
        assert!(found.fix.is_some_and(|fix| fix.ends_with(" --objects 2 --warn 50")));
    }

    #[test]
    fn a_limit_that_is_named_fits_what_is_there() {
        let mut quota = quota(Some(10));
        (quota.limits.bytes, quota.limits.objects) = (None, Some(1));
        quota.usage = Some(BucketUsage { bytes: ByteCount::new(10), versions: 3 });
        let fix = finding(&quota).fix.unwrap();
        assert!(fix.contains("--objects 4") && !fix.contains("--bytes"), "{fix}");
    }

    #[test]
    fn quotas_that_can_not_be_read_are_said_and_hide_no_other_ones() {
        let lost = || Error::Engine(engine::Error::Closed);
        let some = || KnownQuotas {
            quotas: vec![quota(Some(1000))],
            unread: vec![(BucketName::parse("lost").unwrap(), lost())],
        };
        let status = json!(summary(Ok(some())));
        assert_eq!((&status["set"], &status["not_fine"]), (&1.into(), &1.into()));
        assert_eq!((&status["unread_buckets"], &status["unread"][0]["bucket"]), (&1.into(), &"lost".into()));
        assert_eq!(status["unread"][0]["error"], lost().to_string());
        let only = json!(summary(Ok(KnownQuotas { quotas: Vec::new(), ..some() })));
        assert_eq!((&only["set"], &only["unread_buckets"]), (&0.into(), &1.into()));
        assert_eq!(json!(summary(Err(lost())))["error"], lost().to_string());
        assert!(summary(Ok(KnownQuotas::default())).is_none());
        let said =
            |known| diagnose(known).into_iter().map(|found| (found.ok, found.detail)).collect::<Vec<_>>();
        let found = said(Ok(some()));
        assert!(found.len() == 2 && !found[0].0 && found[0].1.contains("s3://lost: "), "{found:?}");
        assert!(found[1].1.contains("is full"), "{found:?}");
        let found = said(Err(lost()));
        assert!(found.len() == 1 && !found[0].0 && found[0].1.starts_with("read quotas: "), "{found:?}");
        assert!(said(Ok(KnownQuotas::default())).is_empty());
    }

    #[test]
    fn metrics_say_how_many_are_near_and_full() {
        let mut registry = Registry::default();
        let counts = QuotaCounts { set: 4, counting: 1, near: 2, full: 1 };
        registry.register_collector(Box::new(Gauges(move || counts)));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in
            ["firn_quotas_set 4", "firn_quotas_counting 1", "firn_quotas_near 2", "firn_quotas_full 1"]
        {
            assert!(text.lines().any(|found| found == line), "{line}: {text}");
        }
    }
}
