//! `ListObjectVersions`.

use super::{Next, Order, RollUp, bound, bound_end, common_prefix};
use crate::lookup::null_row;
use crate::record::ObjectRow;
use crate::store::View;
use crate::{
    Error, ObjectKey, ObjectStore, PAGE_MAX, Result, VersionEntry, VersionName, VersionPage, VersionsRequest,
    tables,
};
use bytes::Bytes;
use engine::catalog::key::KeyWriter;
use engine::catalog::record::Record;
use engine::catalog::{Scan, key_after, prefix_end};

impl ObjectStore {
    /// A page of versions and delete markers, by key, newest first.
    pub async fn list_versions(&self, request: VersionsRequest) -> Result<VersionPage> {
        if request.version_marker.is_some() && request.key_marker.as_deref().is_none_or(str::is_empty) {
            return Err(Error::InvalidArgument {
                name: "version-id-marker",
                detail: "a version-id marker cannot be specified without a key marker",
            });
        }
        let view = self.view(&request.bucket).await?;
        let rules = self.rules(&view).await?;
        let max = request.max_keys.min(PAGE_MAX);
        let mut page = VersionPage::default();
        if max == 0 {
            return Ok(page);
        }
        let start = start(&view, &request).await?.max(bound(request.prefix.as_bytes()));
        // The key whose newest version has been seen, on this page or before it.
        let mut seen = seen_before(&view, &request, &start).await?;
        let range = (start, bound_end(&request.prefix));
        let folds = (request.prefix.as_str(), request.delimiter.as_str());
        let mut rows = RollUp::new(&*view.snapshot, &ORDER, range, folds, max);
        loop {
            let (key, row) = match rows.next().await? {
                Next::End => return Ok(page),
                Next::Full => {
                    mark(&mut page);
                    return Ok(page);
                }
                Next::Prefix(rolled) => {
                    page.common_prefixes.push(rolled);
                    continue;
                }
                Next::Row(key, _, row) => (key, ObjectRow::from_bytes(&row)?),
            };
            let latest = seen.as_deref() != Some(key.as_str());
            let object_key = ObjectKey::parse(&key)?;
            let owner = rules.other_owner(row.subresources.owner);
            page.entries.push(VersionEntry {
                version: row.name(),
                latest,
                modified: row.modified,
                object: row
                    .stored
                    .as_ref()
                    .map(|stored| stored.entry(object_key.clone(), row.modified, owner)),
                key: object_key,
            });
            seen = Some(key);
        }
    }
}

const ORDER: Order = Order {
    table: tables::VERSIONS,
    object_key: |row_key| tables::read_version(row_key).map(|(key, _)| key),
    behind: bound_end,
};

/// Names the last thing on a full page.
fn mark(page: &mut VersionPage) {
    let entry = page.entries.last();
    let rolled = page.common_prefixes.last();
    match (entry, rolled) {
        (Some(entry), rolled) if rolled.is_none_or(|rolled| rolled.as_str() < entry.key.as_str()) => {
            page.next_key = Some(entry.key.as_str().to_owned());
            page.next_version = Some(entry.version);
        }
        (_, rolled) => page.next_key = rolled.cloned(),
    }
}

async fn start(view: &View, request: &VersionsRequest) -> Result<Bytes> {
    let Some(marker) = request.key_marker.as_deref().filter(|marker| !marker.is_empty()) else {
        return Ok(Bytes::new());
    };
    if common_prefix(&request.prefix, &request.delimiter, marker) == Some(marker) {
        return Ok(bound_end(marker));
    }
    let after_key = KeyWriter::new().bytes(marker.as_bytes()).finish();
    let Ok(key) = ObjectKey::parse(marker) else { return Ok(prefix_end(&after_key)) };
    match request.version_marker {
        None => Ok(prefix_end(&after_key)),
        Some(VersionName::Id(id)) => Ok(key_after(&tables::version(&key, id).bytes)),
        Some(VersionName::Null) => {
            let current = view.snapshot.get(tables::current(&key)).await?;
            let pointer = view.snapshot.get(tables::null(&key)).await?;
            match null_row(view, &key, (current.as_deref(), pointer.as_deref())).await? {
                Some(row) => Ok(key_after(&tables::version(&key, row.version).bytes)),
                // Deleted since, and nothing says where it lay: the key's versions once more, rather than leave out those below it.
                None => Ok(after_key),
            }
        }
    }
}

/// The marker's key, when rows of it lie before the start: what follows is not its newest version.
async fn seen_before(view: &View, request: &VersionsRequest, start: &Bytes) -> Result<Option<String>> {
    let Some(marker) = request.key_marker.as_deref().filter(|marker| !marker.is_empty()) else {
        return Ok(None);
    };
    let mut scan = Scan::prefix(tables::VERSIONS, &KeyWriter::new().bytes(marker.as_bytes()).finish(), 1);
    if *start <= scan.start {
        return Ok(None);
    }
    scan.end = scan.end.min(start.clone());
    scan.keys_only = true;
    let found = !view.snapshot.scan(scan).await?.rows.is_empty();
    Ok(found.then(|| marker.to_owned()))
}
