//! The bytes of an extent, wherever they lie.
//!
//! ```text
//!   extent ─► BODY row │ blob reader │ manifest ─► its pages ─► each extent in its turn
//! ```
//!
//! # Limits
//! One page of a manifest (256 extents) a level in memory; manifests refer to manifests at most
//! [`MANIFEST_DEPTH_MAX`] deep.

use crate::envelope::Keys;
use crate::pages::Pages;
use crate::read::Found;
use crate::record::{Content, Extent};
use crate::store::Active;
use crate::{BodyStream, Error, ObjectStore, Result, tables};
use bytes::Bytes;
use engine::catalog::Snapshot;
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
    /// The bytes of an extent of a version that was found. What lies in a row is read at the version at which it was found,
    /// where nothing can have replaced it; of what lies elsewhere only the first bytes tell.
    pub(crate) async fn found_body(self: &Arc<Self>, found: &Found, extent: Extent) -> Result<BodyStream> {
        if found.cold.is_some_and(|cold| cold.archive.is_some()) {
            return self.restored_body(found, extent).await;
        }
        match (extent.content, &found.keys) {
            (Content::Inline { .. }, Some(keys)) => {
                let bytes = inline_body(&*found.view.snapshot, &extent, &keys.data).await?;
                Ok(stream::iter([Ok(bytes)]).boxed())
            }
            _ => self.body(found.view.bucket.partition, extent, found.keys.clone()).await,
        }
    }

    /// The bytes of an extent whose owner lives in `partition`.
    pub(crate) async fn body(
        self: &Arc<Self>,
        partition: PartitionId,
        extent: Extent,
        keys: Option<Keys>,
    ) -> Result<BodyStream> {
        let Some(keys) = keys else {
            return match extent.content {
                Content::Empty if extent.length == 0 => Ok(stream::empty().boxed()),
                _ => Err(corrupt("object row", "a body without a data key")),
            };
        };
        match extent.content {
            Content::Empty => Ok(stream::empty().boxed()),
            Content::Manifest { manifest, .. } => {
                let walk = Walk {
                    _active: self.activate(*manifest.as_bytes()),
                    store: Arc::clone(self),
                    todo: vec![(partition, extent, keys, 0)],
                    reading: None,
                };
                Ok(stream::try_unfold(walk, Walk::next).boxed())
            }
            // One blob or one row needs no machinery around it.
            Content::Blob { .. } | Content::Inline { .. } => leaf(self, partition, extent, &keys.data).await,
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

/// Reads extents one after the other; manifests open into theirs, a page at a time.
struct Walk {
    store: Arc<ObjectStore>,
    /// The next one last: partition of its owner, extent, keys, depth.
    todo: Vec<(PartitionId, Extent, Keys, usize)>,
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
            let Some((partition, extent, keys, depth)) = self.todo.pop() else { return Ok(None) };
            if extent.length == 0 {
                continue;
            }
            match extent.content {
                Content::Manifest { home, .. } => self.open(home, extent, keys, depth).await?,
                // Not a manifest: this does not come back here.
                _ => self.reading = Some(leaf(&self.store, partition, extent, &keys.data).await?),
            }
        }
    }

    /// Puts the extents of the page that holds the extent's first byte on the list, and the rest of it behind them.
    async fn open(&mut self, home: PartitionId, extent: Extent, keys: Keys, depth: usize) -> Result<()> {
        if depth >= usize::from(MANIFEST_DEPTH_MAX) {
            return Err(corrupt("manifest", "manifests too deep"));
        }
        let (page, _) = Pages::from_first_byte(&self.store, &extent, Some(&keys)).await?;
        let (start, end) = (page.end(), extent.offset + extent.length);
        let pieces = page.pieces(&extent);
        if pieces.is_empty() {
            return Err(corrupt("manifest", "a page without the bytes that it begins"));
        }
        if start < end {
            let rest = Extent { offset: start, length: end - start, ..extent };
            self.todo.push((home, rest, keys, depth));
        }
        let pieces = pieces.into_iter().map(|(_, piece, key)| (home, piece, key.into(), depth + 1));
        self.todo.extend(pieces.rev());
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
