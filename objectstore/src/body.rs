//! The bytes of an extent, wherever they lie.
//!
//! ```text
//!   extent ─► BODY row │ blob reader │ manifest ─► its pages ─► each extent in its turn
//! ```
//!
//! # Limits
//! One page of a manifest (256 extents) a level in memory; manifests refer to manifests at most
//! [`MANIFEST_DEPTH_MAX`] deep.

use crate::id::ManifestId;
use crate::read::Found;
use crate::record::{Content, Extent, ManifestEntry, ManifestPage};
use crate::store::Active;
use crate::{BodyStream, Error, ObjectStore, Result, tables};
use bytes::Bytes;
use engine::catalog::record::Record;
use engine::catalog::{Scan, Snapshot, key_after};
use engine::codec::{DataKey, inline};
use engine::id::PartitionId;
use futures_util::{StreamExt, stream};
use std::sync::Arc;

/// How deep manifests may refer to manifests; a copy that would go deeper rewrites bytes instead.
pub(crate) const MANIFEST_DEPTH_MAX: u8 = 8;

pub(crate) fn corrupt(what: &str, detail: &str) -> Error {
    Error::Engine(engine::Error::Corrupt { what: what.into(), detail: detail.into() })
}

impl ObjectStore {
    /// Walks the pages of the manifest that an extent names.
    pub(crate) fn pages(extent: &Extent, key: Option<&DataKey>) -> Result<Pages> {
        match (extent.content, key) {
            (Content::Manifest { home, manifest, .. }, Some(key)) => {
                Ok(Pages { home, manifest, key: key.clone(), next: Some(0) })
            }
            _ => Err(corrupt("object row", "parts without a manifest")),
        }
    }

    /// The bytes of an extent of a version that was found. What lies in a row is read at the version at which it was found,
    /// where nothing can have replaced it; of what lies elsewhere only the first bytes tell.
    pub(crate) async fn found_body(self: &Arc<Self>, found: &Found, extent: Extent) -> Result<BodyStream> {
        match (extent.content, &found.data_key) {
            (Content::Inline { .. }, Some(key)) => {
                let bytes = inline_body(&*found.view.snapshot, &extent, key).await?;
                Ok(stream::iter([Ok(bytes)]).boxed())
            }
            _ => self.body(found.view.bucket.partition, extent, found.data_key.clone()).await,
        }
    }

    /// The bytes of an extent whose owner lives in `partition`.
    pub(crate) async fn body(
        self: &Arc<Self>,
        partition: PartitionId,
        extent: Extent,
        key: Option<DataKey>,
    ) -> Result<BodyStream> {
        let Some(key) = key else {
            return match extent.content {
                Content::Empty => Ok(stream::empty().boxed()),
                _ => Err(corrupt("object row", "a body without a data key")),
            };
        };
        match extent.content {
            Content::Empty => Ok(stream::empty().boxed()),
            Content::Manifest { manifest, .. } => {
                let walk = Walk {
                    _active: self.activate(*manifest.as_bytes()),
                    store: Arc::clone(self),
                    todo: vec![(partition, extent, key, 0)],
                    reading: None,
                };
                Ok(stream::try_unfold(walk, Walk::next).boxed())
            }
            // One blob or one row needs no machinery around it.
            Content::Blob { .. } | Content::Inline { .. } => leaf(self, partition, extent, &key).await,
        }
    }
}

/// A body that lives in a row, as a snapshot of its owner's partition has it.
async fn inline_body(snapshot: &dyn Snapshot, extent: &Extent, key: &DataKey) -> Result<Bytes> {
    let Content::Inline { blob } = extent.content else {
        return Err(corrupt("object row", "not an inline body"));
    };
    let row = snapshot.get(tables::of_owner(tables::BODY, extent.owner)).await?;
    let sealed = row.ok_or_else(|| corrupt("inline body", "its row is gone"))?;
    let plain = inline::open(blob, key, sealed)?;
    let range = usize::try_from(extent.offset).ok().zip(usize::try_from(extent.length).ok());
    range
        .and_then(|(offset, length)| Some(offset..offset.checked_add(length)?))
        .filter(|range| range.end <= plain.len())
        .map(|range| plain.slice(range))
        .ok_or_else(|| corrupt("inline body", "shorter than its row says"))
}

/// The pages of one manifest, in order.
pub(crate) struct Pages {
    home: PartitionId,
    manifest: ManifestId,
    key: DataKey,
    next: Option<u64>,
}

impl Pages {
    /// The next page and the offset of its first byte.
    pub(crate) async fn next(
        &mut self,
        store: &ObjectStore,
    ) -> Result<Option<(u64, Vec<(ManifestEntry, DataKey)>)>> {
        let Some(start) = self.next else { return Ok(None) };
        let snapshot = store.catalog.snapshot(self.home).await?;
        let Some(raw) = snapshot.get(tables::manifest_page(self.manifest, start)).await? else {
            return Ok(None);
        };
        let page = ManifestPage::from_bytes(&raw)?.open(&self.key, self.manifest, start)?;
        let length: u64 = page.iter().map(|(entry, _)| entry.extent.length).sum();
        // A page of nothing but empty parts would begin where the next one does; only the last part may be empty.
        self.next = (length > 0).then_some(start + length);
        Ok(Some((start, page)))
    }

    /// The page that holds a byte.
    pub(crate) async fn at(
        &self,
        snapshot: &dyn Snapshot,
        offset: u64,
    ) -> Result<(u64, Vec<(ManifestEntry, DataKey)>)> {
        let first = tables::manifest_page(self.manifest, 0).bytes;
        let end = key_after(&tables::manifest_page(self.manifest, offset).bytes);
        let scan = Scan { start: first, end, reverse: true, ..Scan::prefix(tables::MANIFESTS, b"", 1) };
        let page = snapshot.scan(scan).await?;
        let (raw_key, raw) = page.rows.first().ok_or_else(|| corrupt("manifest", "no page for an offset"))?;
        let start = raw_key.get(16..24).and_then(|raw| raw.try_into().ok()).map(u64::from_be_bytes);
        let start = start.ok_or_else(|| corrupt("manifest", "a page without an offset"))?;
        Ok((start, ManifestPage::from_bytes(raw)?.open(&self.key, self.manifest, start)?))
    }
}

/// Reads extents one after the other; manifests open into theirs, a page at a time.
struct Walk {
    store: Arc<ObjectStore>,
    /// The next one last: partition of its owner, extent, key, depth.
    todo: Vec<(PartitionId, Extent, DataKey, usize)>,
    reading: Option<BodyStream>,
    /// Keeps the manifest's pages and extents from the cleaner while they are read.
    _active: Active,
}

impl Walk {
    async fn next(mut self) -> Result<Option<(Bytes, Self)>> {
        loop {
            if let Some(reading) = &mut self.reading {
                match reading.next().await {
                    Some(Ok(bytes)) => return Ok(Some((bytes, self))),
                    Some(Err(error)) => return Err(error),
                    None => self.reading = None,
                }
            }
            let Some((partition, extent, key, depth)) = self.todo.pop() else { return Ok(None) };
            if extent.length == 0 {
                continue;
            }
            match extent.content {
                Content::Manifest { home, manifest, .. } => {
                    self.open(home, manifest, extent, key, depth).await?;
                }
                // Not a manifest: this does not come back here.
                _ => self.reading = Some(leaf(&self.store, partition, extent, &key).await?),
            }
        }
    }

    /// Puts the extents of the page that holds the extent's first byte on the list, and the rest of it behind them.
    async fn open(
        &mut self,
        home: PartitionId,
        manifest: ManifestId,
        extent: Extent,
        key: DataKey,
        depth: usize,
    ) -> Result<()> {
        if depth >= usize::from(MANIFEST_DEPTH_MAX) {
            return Err(corrupt("manifest", "manifests too deep"));
        }
        let snapshot = self.store.catalog.snapshot(home).await?;
        let pages = Pages { home, manifest, key: key.clone(), next: None };
        let (mut start, page) = pages.at(&*snapshot, extent.offset).await?;
        let end = extent.offset + extent.length;
        let mut pieces = Vec::new();
        for (entry, entry_key) in page {
            let stop = start + entry.extent.length;
            let (from, to) = (start.max(extent.offset), stop.min(end));
            if from < to {
                let offset = entry.extent.offset + (from - start);
                let piece = Extent { offset, length: to - from, ..entry.extent };
                pieces.push((home, piece, entry_key, depth + 1));
            }
            start = stop;
        }
        if pieces.is_empty() {
            return Err(corrupt("manifest", "a page without the bytes that it begins"));
        }
        if start < end {
            let rest = Extent { offset: start, length: end - start, ..extent };
            self.todo.push((home, rest, key, depth));
        }
        self.todo.extend(pieces.into_iter().rev());
        Ok(())
    }
}

async fn leaf(
    store: &Arc<ObjectStore>,
    partition: PartitionId,
    extent: Extent,
    key: &DataKey,
) -> Result<BodyStream> {
    match extent.content {
        Content::Blob { home, blob } => {
            let range = extent.offset..extent.offset + extent.length;
            Ok(store.blobs.read(home, blob, key, range).map(|item| item.map_err(Error::from)).boxed())
        }
        Content::Inline { .. } => {
            let snapshot = store.catalog.snapshot(partition).await?;
            let bytes = inline_body(&*snapshot, &extent, key).await?;
            Ok(stream::iter([Ok(bytes)]).boxed())
        }
        Content::Empty | Content::Manifest { .. } => Err(corrupt("manifest", "an extent without bytes")),
    }
}
