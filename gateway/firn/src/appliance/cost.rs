//! What is stored and what that costs, at the admin door: a page of one bucket a call.

use super::status::admin_error;
use objectstore::price::{DeedCost, Prices};
use objectstore::{BucketName, CostAfter, ListBuckets, ObjectStore};
use serde::Deserialize;
use serde_json::{Value, json};
use web::AdminError;

/// Names of buckets in one answer.
const BUCKETS: usize = 1_000;

/// What `POST /v1/cost` takes.
#[derive(Debug, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum CostRequest {
    /// Which buckets there are.
    Buckets { after: Option<String> },
    /// What is in one.
    Count {
        bucket: String,
        #[serde(default)]
        prefix: String,
        after: Option<String>,
    },
}

fn parse(bucket: &str) -> Result<BucketName, AdminError> {
    BucketName::parse(bucket).map_err(|error| AdminError::Invalid(error.to_string()))
}

/// `{"action": "buckets" | "count", …}`. Amounts are exact here: whoever adds pages up rounds at the end.
pub(super) async fn answer(
    store: &ObjectStore,
    prices: &Prices,
    request: CostRequest,
) -> Result<Value, AdminError> {
    match request {
        CostRequest::Buckets { after } => {
            let after = after.as_deref().map(parse).transpose()?;
            let wish = ListBuckets { after, max: BUCKETS, ..ListBuckets::default() };
            let page = store.list_buckets(wish).await.map_err(admin_error)?;
            let names: Vec<_> = page.buckets.iter().map(|bucket| bucket.name.as_str()).collect();
            Ok(
                json!({ "buckets": names, "after": page.next.as_ref().map(BucketName::as_str), "currency": prices.currency }),
            )
        }
        CostRequest::Count { bucket, prefix, after } => {
            let after = after.map(|after| CostAfter::parse(&after)).transpose().map_err(admin_error)?;
            let page = store.cost(&parse(&bucket)?, &prefix, prices, after.as_ref()).await;
            let page = page.map_err(admin_error)?;
            let rows: Vec<Value> = page
                .rows
                .iter()
                .map(|row| {
                    json!({
                        "of": row.of.name(),
                        "class": row.class.as_str(),
                        "count": row.count,
                        "bytes": row.bytes,
                        "billed_bytes": row.billed_bytes,
                        "monthly": row.monthly.exact(),
                        "monthly_in_standard": row.monthly_in_standard.exact(),
                    })
                })
                .collect();
            Ok(json!({
                "currency": prices.currency,
                "rows": rows,
                "seen": page.seen,
                "markers": page.markers,
                "damaged": page.damaged,
                "after": page.next.map(|next| next.to_text()),
            }))
        }
    }
}

/// What a deed costs, as people and scripts read it.
pub(super) fn shown(cost: &DeedCost, prices: &Prices) -> Value {
    json!({
        "currency": prices.currency,
        "transition_requests": cost.transition_requests,
        "early_deletion": cost.early_deletion,
        "monthly_before": cost.monthly_before,
        "monthly_after": cost.monthly_after,
        "monthly_saving": cost.monthly_saving(),
    })
}
