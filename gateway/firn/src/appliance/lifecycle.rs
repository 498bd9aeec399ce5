//! Lifecycle rules at the admin door: what they would do, why, and that it be done now.

use super::cost::shown;
use super::status::admin_error;
use crate::report::finding::Finding;
use crate::report::status::{DamagedRules, Lifecycles};
use crate::report::time::json_time;
use engine::clock::Timestamp;
use objectstore::price::Prices;
use objectstore::{
    BucketName, Error, LifecycleDamage, LifecycleHold, LifecyclePlace, LifecycleVerdict, ObjectKey,
    ObjectStore, PreviewAfter, StorageClass, VersionExplained,
};
use serde::Deserialize;
use serde_json::{Value, json};
use web::AdminError;

/// Steps that one call of `run` takes at the most.
const STEPS: usize = 20;

/// Buckets that get a line of their own.
const LINES_MAX: usize = 20;

/// Those whose rules can't be read; nothing where all can.
pub(super) fn status(damaged: &[LifecycleDamage]) -> Option<Lifecycles> {
    let shown = |damage: &LifecycleDamage| DamagedRules {
        bucket: Some(damage.bucket.as_str().to_owned()),
        since: json_time(Some(damage.since)),
        error: Some(damage.error.clone()),
    };
    let lines: Vec<_> = damaged.iter().take(LINES_MAX).map(shown).collect();
    let damaged_buckets = Some(damaged.len() as u64);
    (!damaged.is_empty()).then_some(Lifecycles { damaged_buckets, damaged: Some(lines) })
}

/// A fault for each.
pub(super) fn findings(damaged: &[LifecycleDamage]) -> Vec<Finding> {
    let fault = |LifecycleDamage { bucket, error, .. }: &LifecycleDamage| {
        let text = format!("the lifecycle rules of {bucket} act on nothing: {error}");
        let fix = format!(
            "set them again (firn lifecycle set s3://{bucket} FILE), or remove them (firn lifecycle rm s3://{bucket})"
        );
        Finding::fault("lifecycle", text, fix)
    };
    damaged.iter().take(LINES_MAX).map(fault).collect()
}

/// What `POST /v1/lifecycle` takes.
#[derive(Debug, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum LifecycleRequest {
    Preview {
        bucket: String,
        /// Milliseconds since the epoch.
        until_ms: i64,
        /// Where a preview that goes on began.
        from_ms: Option<i64>,
        /// A document of S3's, instead of the rules that are set.
        rules: Option<String>,
        after: Option<String>,
    },
    Explain {
        bucket: String,
        key: String,
    },
    Run {
        bucket: String,
    },
}

fn parse(bucket: &str) -> Result<BucketName, AdminError> {
    BucketName::parse(bucket).map_err(|error| AdminError::Invalid(error.to_string()))
}

fn failed(error: Error) -> AdminError {
    match error {
        Error::NoSuchConfiguration => {
            AdminError::NotFound("find lifecycle rules: the bucket has none".to_owned())
        }
        other => admin_error(other),
    }
}

/// `{"action": "preview" | "explain" | "run", "bucket": NAME, …}`.
pub(super) async fn answer(
    (store, prices): (&ObjectStore, &Prices),
    now: Timestamp,
    request: LifecycleRequest,
) -> Result<Value, AdminError> {
    match request {
        LifecycleRequest::Preview { bucket, until_ms, from_ms, rules, after } => {
            let rules = rules.map(|rules| web::read_lifecycle(rules.as_bytes()));
            let rules = rules.transpose().map_err(AdminError::Invalid)?;
            let after = after.map(|after| PreviewAfter::parse(&after)).transpose().map_err(failed)?;
            let from = from_ms.map_or(now, Timestamp::from_millis);
            let span = (from, Timestamp::from_millis(until_ms));
            let bucket = parse(&bucket)?;
            let page = store
                .preview_lifecycle(&bucket, (rules.as_ref(), prices), span, after.as_ref())
                .await
                .map_err(failed)?;
            let state = store.lifecycle_state(&bucket).await.map_err(failed)?;
            let rows: Vec<Value> = page
                .rows
                .iter()
                .map(|row| {
                    json!({
                        "at": json_time(Some(row.at)),
                        "rule": row.rule,
                        "action": row.act.name(),
                        "class": row.act.class().map(StorageClass::as_str),
                        "count": row.count,
                        "bytes": row.bytes,
                        "freed_bytes": row.freed_bytes,
                        // Exact: whoever adds pages up rounds at the end.
                        "transition_requests": row.cost.transition_requests.exact(),
                        "early_deletion": row.cost.early_deletion.exact(),
                        "monthly_before": row.cost.monthly_before.exact(),
                        "monthly_after": row.cost.monthly_after.exact(),
                    })
                })
                .collect();
            Ok(json!({
                "from_ms": from.as_millis(),
                "currency": prices.currency,
                "rows": rows,
                "seen": page.seen,
                "left_out": page.left_out,
                "damaged": page.damaged,
                "after": page.next.map(|next| next.to_text()),
                "walking_since": json_time(state.walking_since),
            }))
        }
        LifecycleRequest::Explain { bucket, key } => {
            let key = ObjectKey::parse(&key).map_err(failed)?;
            let explained = store.explain_lifecycle(&parse(&bucket)?, &key, prices).await.map_err(failed)?;
            Ok(json!({
                "bucket": bucket,
                "key": key.as_str(),
                "versions": explained.versions.iter().map(|one| version(one, prices)).collect::<Vec<_>>(),
                "more": explained.more,
                "walking_since": json_time(explained.walking_since),
            }))
        }
        LifecycleRequest::Run { bucket } => {
            let bucket = parse(&bucket)?;
            let (mut done, mut more) = store.run_lifecycle(&bucket).await.map_err(failed)?;
            for _ in 1..STEPS {
                if !more {
                    break;
                }
                let step = store.run_lifecycle(&bucket).await.map_err(failed)?;
                (done, more) = (done.and(step.0), step.1);
            }
            let state = store.lifecycle_state(&bucket).await.map_err(failed)?;
            Ok(json!({
                "bucket": bucket.as_str(),
                "done": done,
                "more": more,
                "walked": state.walked,
                "walking_since": json_time(state.walking_since),
            }))
        }
    }
}

fn version(explained: &VersionExplained, prices: &Prices) -> Value {
    let (place, since) = match explained.place {
        LifecyclePlace::Current => ("current", None),
        LifecyclePlace::Noncurrent(since) => ("noncurrent", Some(since)),
        LifecyclePlace::Upload => ("upload", None),
    };
    let (hold, until) = match explained.hold {
        LifecycleHold::None => (false, None),
        LifecycleHold::Until(until) => (false, Some(until)),
        LifecycleHold::Hold => (true, None),
    };
    let first = explained.first.and_then(|first| explained.rules.get(first));
    json!({
        "version_id": Some(&explained.version).filter(|version| !version.is_empty()),
        "place": place,
        "noncurrent_since": json_time(since),
        "delete_marker": explained.marker,
        "modified": json_time(Some(explained.modified)),
        "size_bytes": explained.size,
        "storage_class": explained.size.map(|_| explained.class.as_str()),
        "legal_hold": hold,
        "retain_until": json_time(until),
        "acts": first.map(verdict),
        "cost": explained.cost.as_ref().map(|cost| shown(cost, prices)),
        "rules": explained.rules.iter().map(verdict).collect::<Vec<_>>(),
    })
}

fn verdict(verdict: &LifecycleVerdict) -> Value {
    match &verdict.says {
        Ok((at, act)) => json!({
            "rule": verdict.rule,
            "at": json_time(Some(*at)),
            "action": act.name(),
            "class": act.class().map(StorageClass::as_str),
        }),
        Err(why) => json!({ "rule": verdict.rule, "why_not": why }),
    }
}

#[cfg(test)]
mod tests {
    use super::{findings, status};
    use engine::clock::Timestamp;
    use objectstore::{BucketName, LifecycleDamage};

    #[test]
    fn rules_that_can_not_be_read_are_faults() {
        assert!(status(&[]).is_none() && findings(&[]).is_empty());
        let damage = LifecycleDamage {
            bucket: BucketName::parse("src").unwrap(),
            since: Timestamp::from_millis(1_700_000_000_000),
            error: "read the lifecycle rules: they are cut short".to_owned(),
        };
        let found = findings(std::slice::from_ref(&damage));
        assert!(!found[0].ok && found[0].detail.contains("rules of src act on nothing: read the lifecycle"));
        assert!(found[0].fix.as_deref().unwrap().contains("firn lifecycle set s3://src FILE"));
        let shown = status(&vec![damage; 30]).unwrap();
        let lines = shown.damaged.unwrap();
        assert_eq!((shown.damaged_buckets, lines.len()), (Some(30), 20));
        assert_eq!(lines[0].bucket.as_deref(), Some("src"));
    }
}
