//! Deduplication at the admin door: switched on and off by bucket, and what it saves.

use super::status::admin_error;
use objectstore::{BucketName, DedupInfo, ObjectStore};
use serde::Deserialize;
use serde_json::{Value, json};
use web::AdminError;

/// What `POST /v1/dedup` takes.
#[derive(Debug, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum DedupRequest {
    /// All buckets on which it was ever switched on, or one that is named.
    List {
        bucket: Option<String>,
    },
    On {
        bucket: String,
    },
    Off {
        bucket: String,
    },
}

fn parse(bucket: &str) -> Result<BucketName, AdminError> {
    BucketName::parse(bucket).map_err(|error| AdminError::Invalid(error.to_string()))
}

fn facts(info: &DedupInfo) -> Value {
    json!({
        "bucket": info.bucket.as_str(),
        "on": info.on,
        "written_bytes": info.written,
        "stored_bytes": info.stored,
        "saved_bytes": info.saved(),
    })
}

/// Does it, and answers what it is from there on.
pub(super) async fn answer(store: &ObjectStore, request: DedupRequest) -> Result<Value, AdminError> {
    let found = match request {
        DedupRequest::List { bucket: None } => store.all_deduplication().await,
        DedupRequest::List { bucket: Some(bucket) } => {
            store.deduplication(&parse(&bucket)?).await.map(|info| info.into_iter().collect())
        }
        DedupRequest::On { bucket } => {
            store.set_deduplication(&parse(&bucket)?, true).await.map(|info| vec![info])
        }
        DedupRequest::Off { bucket } => {
            store.set_deduplication(&parse(&bucket)?, false).await.map(|info| vec![info])
        }
    };
    let found = found.map_err(admin_error)?;
    Ok(json!({ "buckets": found.iter().map(facts).collect::<Vec<_>>() }))
}
