//! Reads everything back and judges it.

use crate::calls::{Caller, Outcome, element, elements, request, with_query};
use crate::model::Seen;
use crate::worker::{PLAIN, Upload, VERSIONED, Worker};
use anyhow::{Context, Result, bail, ensure};
use std::collections::{BTreeMap, BTreeSet};

/// More pages than this are a listing that does not end.
const PAGES_MAX: usize = 1000;

/// Verifies all that one worker knows: every key and version bit-exact, nothing else under its prefix, the lists agree.
pub(crate) async fn worker(worker: &mut Worker, caller: &mut Caller) -> Result<()> {
    bucket(worker, caller).await?;
    end_uploads(worker, caller).await?;
    plain(worker, caller).await.context("in the bucket without versioning")?;
    versioned(worker, caller).await.context("in the bucket with versioning")?;
    for name in [PLAIN, VERSIONED] {
        let listed = list(caller, name, &worker.prefix()).await?;
        let expected = worker.listing(name);
        ensure!(listed == expected, "a list of {name} shows {listed:?}, but {expected:?} is there");
    }
    Ok(())
}

/// Whether the short-lived bucket exists is one of what is possible.
async fn bucket(worker: &mut Worker, caller: &mut Caller) -> Result<()> {
    let name = worker.fleeting_bucket();
    let exists = match caller.call(&request("HEAD", &name, ""), &[]).await {
        Outcome::Done(_) => true,
        Outcome::Refused(answer) if answer.status == 404 => false,
        outcome => bail!("HEAD of bucket {name}: {outcome:?}"),
    };
    ensure!(
        worker.fleeting.contains(&exists),
        "bucket {name} exists: {exists}; allowed: {:?}",
        worker.fleeting
    );
    worker.fleeting = vec![exists];
    Ok(())
}

/// Every upload whose beginning was acknowledged is there; then all are aborted, also those of unknown outcome.
async fn end_uploads(worker: &mut Worker, caller: &mut Caller) -> Result<()> {
    for name in [PLAIN, VERSIONED] {
        let query = [("uploads", ""), ("prefix", &worker.prefix())];
        let text = caller.must(&with_query("GET", name, "", &query), &[]).await?.text();
        ensure!(element(&text, "IsTruncated").as_deref() != Some("true"), "more than 1,000 uploads are open");
        let uploads = elements(&text, "Upload");
        let mut ids = BTreeSet::new();
        for upload in &uploads {
            let id = element(upload, "UploadId").context("an upload without an id")?;
            let key = element(upload, "Key").context("an upload without a key")?;
            caller.must(&with_query("DELETE", name, &key, &[("uploadId", &id)]), &[]).await?;
            ids.insert(id);
        }
        for Upload { bucket, key, id } in &worker.uploads {
            // A completion of unknown outcome may have ended it; its key then shows the new version.
            let may_be_complete =
                worker.keys.get(&(*bucket, key.clone())).is_some_and(|state| state.certain().is_none());
            ensure!(
                *bucket != name || ids.contains(id) || may_be_complete,
                "the upload {id} of {name}/{key} is gone"
            );
        }
    }
    worker.uploads.clear();
    Ok(())
}

async fn plain(worker: &mut Worker, caller: &mut Caller) -> Result<()> {
    for ((name, key), state) in &mut worker.keys {
        if *name != PLAIN {
            continue;
        }
        let seen = match caller.call(&request("GET", name, key), &[]).await {
            Outcome::Done(answer) => {
                let etag = answer.header("etag").unwrap_or_default().to_owned();
                vec![Seen { id: "null".to_owned(), bytes: Some(answer.body), etag }]
            }
            Outcome::Refused(answer) if answer.status == 404 => Vec::new(),
            outcome => bail!("GET {name}/{key}: {outcome:?}"),
        };
        state.observe(&seen).map_err(anyhow::Error::msg).with_context(|| format!("{name}/{key}"))?;
    }
    Ok(())
}

async fn versioned(worker: &mut Worker, caller: &mut Caller) -> Result<()> {
    let mut seen: BTreeMap<String, Vec<Seen>> = BTreeMap::new();
    for entry in list_versions(caller, VERSIONED, &worker.prefix()).await? {
        let bytes = if entry.is_marker {
            None
        } else {
            let get = with_query("GET", VERSIONED, &entry.key, &[("versionId", &entry.id)]);
            let answer = caller.must(&get, &[]).await?;
            ensure!(answer.header("etag") == Some(entry.etag.as_str()), "a list shows another etag");
            Some(answer.body)
        };
        // Newest first in the list, oldest first in a history.
        let versions = seen.entry(entry.key).or_default();
        versions.insert(0, Seen { id: entry.id, bytes, etag: entry.etag });
    }
    for ((name, key), state) in &mut worker.keys {
        if *name != VERSIONED {
            continue;
        }
        let versions = seen.remove(key).unwrap_or_default();
        state.observe(&versions).map_err(anyhow::Error::msg).with_context(|| format!("{name}/{key}"))?;
        let current = state.current().and_then(|version| version.body.clone());
        match (current, caller.call(&request("GET", name, key), &[]).await) {
            (Some(body), Outcome::Done(answer)) if answer.body == body.bytes() => {}
            (None, Outcome::Refused(answer)) if answer.status == 404 => {}
            (current, outcome) => bail!("GET {name}/{key}: {outcome:?}, but {current:?} is the newest"),
        }
    }
    ensure!(seen.is_empty(), "versions of keys that nobody wrote: {:?}", seen.keys());
    Ok(())
}

/// A line of `ListObjectVersions`.
struct VersionEntry {
    key: String,
    id: String,
    etag: String,
    is_marker: bool,
}

async fn list_versions(caller: &mut Caller, bucket: &str, prefix: &str) -> Result<Vec<VersionEntry>> {
    let mut all = Vec::new();
    let (mut key_marker, mut version_marker) = (String::new(), String::new());
    for _ in 0..PAGES_MAX {
        let mut query = vec![("versions", ""), ("prefix", prefix)];
        if !key_marker.is_empty() {
            query.extend([
                ("key-marker", key_marker.as_str()),
                ("version-id-marker", version_marker.as_str()),
            ]);
        }
        let text = caller.must(&with_query("GET", bucket, "", &query), &[]).await?.text();
        // Versions and markers alternate in one order, so both are cut out where they stand.
        let text = text
            .replace("<DeleteMarker>", "<Version><Marker>1</Marker>")
            .replace("</DeleteMarker>", "</Version>");
        for version in elements(&text, "Version") {
            all.push(VersionEntry {
                key: element(&version, "Key").context("a version without a key")?,
                id: element(&version, "VersionId").context("a version without an id")?,
                etag: element(&version, "ETag").unwrap_or_default(),
                is_marker: element(&version, "Marker").is_some(),
            });
        }
        if element(&text, "IsTruncated").as_deref() != Some("true") {
            return Ok(all);
        }
        key_marker = element(&text, "NextKeyMarker").context("a truncated list without a marker")?;
        version_marker =
            element(&text, "NextVersionIdMarker").context("a truncated list without a marker")?;
    }
    bail!("a list of versions does not end")
}

/// The keys of a bucket below a prefix, with their sizes, through all pages of a small size.
async fn list(caller: &mut Caller, bucket: &str, prefix: &str) -> Result<Vec<(String, usize)>> {
    let mut all = Vec::new();
    let mut token = String::new();
    for _ in 0..PAGES_MAX {
        let mut query = vec![("list-type", "2"), ("prefix", prefix), ("max-keys", "5")];
        if !token.is_empty() {
            query.push(("continuation-token", &token));
        }
        let text = caller.must(&with_query("GET", bucket, "", &query), &[]).await?.text();
        all.extend(keys_and_sizes(&text));
        match element(&text, "NextContinuationToken") {
            Some(next) => token = next,
            None => return Ok(all),
        }
    }
    bail!("a list does not end")
}

/// The entries of a `ListObjectsV2` page.
pub(crate) fn keys_and_sizes(xml: &str) -> Vec<(String, usize)> {
    let entries = elements(xml, "Contents");
    let parse = |entry: &String| {
        let size = element(entry, "Size")?.parse().ok()?;
        Some((element(entry, "Key")?, size))
    };
    entries.iter().filter_map(parse).collect()
}
