//! No space leaks: once the collector has been everywhere, the bytes that the server counts as live are those of the
//! records that some version of the model lies in, each counted once however many copies share it.
//!
//! The records come from `/v1/where`, version by version; the count from `/v1/status`, local pools and the remote one together. Bodies
//! that lie inline with their rows are not records and not counted. Where there is a remote pool, the comparison waits until nothing is
//! to be uploaded or deleted there: what moves is counted here and there at different moments.

use crate::worker::Worker;
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;
use wire::Appliance;

/// How long the collector may take: its rest, and the grace that it gives commits still under way.
const PATIENCE: Duration = Duration::from_mins(2);
/// Between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// Waits for the uploader, the collector and the remover, then compares; the objects of the remote pool that versions lie in.
pub(crate) async fn check(appliance: &Appliance, workers: &[Worker]) -> Result<Vec<String>> {
    let deadline = wire::elapsed() + PATIENCE;
    let mut ticks = tokio::time::interval(LOOK_AGAIN);
    loop {
        ticks.tick().await;
        let is_late = wire::elapsed() >= deadline;
        let status = ask(appliance, "/v1/status").await?;
        if !is_quiet(&status["remote"]) {
            ensure!(!is_late, "the remote pool has work left after {PATIENCE:?}: {}", status["remote"]);
            continue;
        }
        // Asked for anew each time: the compactor may move a record between two versions that share it, which then counts twice.
        let records = all_records(appliance, workers).await?;
        let (live, expected) = (live_bytes(&status)?, records.values().sum::<u64>());
        if live == expected {
            let objects = records.keys().map(|(name, _)| name).filter(|name| name.starts_with("blobs/"));
            let mut objects: Vec<String> = objects.cloned().collect();
            objects.dedup();
            return Ok(objects);
        }
        ensure!(
            !is_late,
            "{live} bytes are live after {PATIENCE:?}, but versions lie in {expected} bytes of records"
        );
    }
}

/// Nothing waits to be uploaded or deleted; there may be no remote pool.
fn is_quiet(remote: &Value) -> bool {
    remote.is_null() || (remote["waiting_blobs"] == 0 && remote["doomed_objects"] == 0)
}

/// The records that the versions of the model lie in.
async fn all_records(appliance: &Appliance, workers: &[Worker]) -> Result<BTreeMap<(String, u64), u64>> {
    let mut records: BTreeMap<(String, u64), u64> = BTreeMap::new();
    for worker in workers {
        for ((bucket, key), state) in &worker.keys {
            let history = state.certain().context("space is checked after a verification only")?;
            for version in history.iter().filter(|version| version.body.is_some()) {
                let id = version.id.as_deref().filter(|id| *id != "null");
                let id = id.map(|id| format!("&version={}", wire::encode(id))).unwrap_or_default();
                let path = format!("/v1/where?bucket={bucket}&key={}{id}", wire::encode(key));
                for place in places(&ask(appliance, &path).await?).context(path)? {
                    let known = records.insert(place.0.clone(), place.1);
                    ensure!(
                        known.is_none_or(|bytes| bytes == place.1),
                        "two sizes of the record at {:?}",
                        place.0
                    );
                }
            }
        }
    }
    Ok(records)
}

/// Segment and offset of each record, with its size.
fn places(answer: &Value) -> Result<Vec<((String, u64), u64)>> {
    let mut found = Vec::new();
    for place in answer["places"].as_array().context("no places")? {
        if place["pool"] == "catalog" {
            continue;
        }
        let segment = place["segment"].as_str().context("a place without a segment")?;
        let number = |name: &str| place[name].as_u64().with_context(|| format!("a place without {name}"));
        found.push(((segment.to_owned(), number("offset")?), number("stored_bytes")?));
    }
    Ok(found)
}

/// The bytes that the server counts as live in its pools.
fn live_bytes(status: &Value) -> Result<u64> {
    let local = status["pool"]["live"].as_u64();
    let local = local.with_context(|| format!("the status does not say pool.live: {status}"))?;
    match &status["remote"] {
        Value::Null => Ok(local),
        remote => {
            let far = remote["live"].as_u64();
            Ok(local + far.with_context(|| format!("the status does not say remote.live: {remote}"))?)
        }
    }
}

async fn ask(appliance: &Appliance, path: &str) -> Result<Value> {
    let (code, text) = appliance.admin("GET", path, "").await?;
    if code != 200 {
        bail!("GET {path}: {code} {text}");
    }
    serde_json::from_str(&text).with_context(|| format!("GET {path}: {text}"))
}

#[cfg(test)]
mod tests {
    use super::{is_quiet, live_bytes, places};

    #[test]
    fn counts_local_and_remote_bytes_once_nothing_moves() {
        let status = |remote| serde_json::json!({ "pool": { "live": 5 }, "remote": remote });
        assert_eq!(live_bytes(&status(serde_json::Value::Null)).unwrap(), 5);
        assert_eq!(live_bytes(&status(serde_json::json!({ "live": 7 }))).unwrap(), 12);
        live_bytes(&status(serde_json::json!({ "error": "none" }))).unwrap_err();
        assert!(is_quiet(&serde_json::Value::Null));
        for (waiting, doomed, quiet) in [(0, 0, true), (1, 0, false), (0, 1, false)] {
            let remote = serde_json::json!({ "waiting_blobs": waiting, "doomed_objects": doomed });
            assert_eq!(is_quiet(&remote), quiet);
        }
    }

    #[test]
    fn counts_records_and_no_inline_bodies() {
        let answer = serde_json::json!({ "places": [
            { "pool": "catalog", "segment": "", "offset": 0, "stored_bytes": 17 },
            { "pool": "local", "segment": "ab", "offset": 4096, "stored_bytes": 5000 },
        ]});
        assert_eq!(places(&answer).unwrap(), [(("ab".to_owned(), 4096), 5000)]);
        places(&serde_json::json!({ "places": [{ "pool": "local" }] })).unwrap_err();
        places(&serde_json::json!({})).unwrap_err();
    }
}
