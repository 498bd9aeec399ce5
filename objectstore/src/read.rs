//! GET and HEAD: find the version, decide the conditions, then stream its bytes.
//!
//! ```text
//!   view: CONFIG, CURRENT (or VERSIONS) ─► open the seal ─► extent ─► body
//!   body: BODY row │ blob reader │ manifest pages, each extent in its turn
//! ```
//!
//! # Limits
//! One page of a manifest (256 extents) a level in memory; manifests refer to manifests at most
//! [`MANIFEST_DEPTH_MAX`] deep.

use crate::record::{Content, Extent, ManifestEntry, ManifestPage, ObjectRow};
use crate::stack::read_null;
use crate::store::{ATTEMPTS_MAX, Active, View, contended};
use crate::{
    BodyStream, BucketName, ChecksumValue, Error, ErrorKind, GetOutcome, GetRequest, IfRange, ObjectInfo,
    ObjectKey, ObjectStore, PartNumber, Range, RangeSpec, Result, VersionSelector, tables,
};
use bytes::Bytes;
use engine::catalog::record::Record;
use engine::catalog::{Scan, Snapshot, key_after};
use engine::codec::{DataKey, inline};
use engine::id::PartitionId;
use engine::unit::ByteCount;
use futures_util::{StreamExt, stream};
use std::sync::Arc;

/// How deep manifests may refer to manifests; a copy that would go deeper rewrites bytes instead.
pub(crate) const MANIFEST_DEPTH_MAX: u8 = 8;

/// What of a body was asked for.
#[derive(Clone, Copy, Debug, Default)]
struct Selected {
    /// `None` for all of it.
    range: Option<Range>,
    /// The checksum of the one part that it is.
    part_checksum: Option<ChecksumValue>,
}

/// A version, found and authenticated.
pub(crate) struct Found {
    pub(crate) view: View,
    pub(crate) data_key: Option<DataKey>,
    pub(crate) info: ObjectInfo,
    pub(crate) extent: Extent,
}

fn corrupt(what: &str, detail: &str) -> Error {
    Error::Engine(engine::Error::Corrupt { what: what.into(), detail: detail.into() })
}

impl ObjectStore {
    /// Reads an object. Its first bytes are read before it answers, so that an object which is replaced meanwhile is found
    /// again and not reported as damaged.
    pub async fn get(self: &Arc<Self>, request: GetRequest) -> Result<GetOutcome> {
        for _ in 0..ATTEMPTS_MAX {
            let found = self.find(&request.bucket, &request.key, request.version).await?;
            match self.get_found(&request, &found).await {
                Err(error) if self.replaced(&request, &found, &error).await? => {}
                outcome => return outcome,
            }
        }
        Err(contended())
    }

    /// As [`get`](Self::get), without the body.
    pub async fn head(&self, request: GetRequest) -> Result<GetOutcome> {
        for _ in 0..ATTEMPTS_MAX {
            let found = self.find(&request.bucket, &request.key, request.version).await?;
            match self.select(&request, &found).await {
                Err(error) if self.replaced(&request, &found, &error).await? => {}
                Err(error) => return Err(error),
                Ok(Selected { range, part_checksum }) => {
                    let length = ByteCount::new(span(range, found.extent.length).1);
                    let body = stream::empty().boxed();
                    return Ok(GetOutcome { info: found.info, range, part_checksum, length, body });
                }
            }
        }
        Err(contended())
    }

    /// Whether an error came from bytes that went because another version took their place.
    async fn replaced(&self, request: &GetRequest, found: &Found, error: &Error) -> Result<bool> {
        if error.kind() != ErrorKind::Corrupt {
            return Ok(false);
        }
        self.is_replaced(&request.bucket, &request.key, request.version, found).await
    }

    /// Whether something else stands where `found` was found.
    pub(crate) async fn is_replaced(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        version: VersionSelector,
        found: &Found,
    ) -> Result<bool> {
        Ok(self.find(bucket, key, version).await?.extent.owner != found.extent.owner)
    }

    async fn get_found(self: &Arc<Self>, request: &GetRequest, found: &Found) -> Result<GetOutcome> {
        let Selected { range, part_checksum } = self.select(request, found).await?;
        let (first, length) = span(range, found.extent.length);
        let mut body = stream::empty().boxed();
        if length > 0 {
            let part = Extent { offset: found.extent.offset + first, length, ..found.extent };
            let mut rest = self.found_body(found, part).await?;
            if let Content::Inline { .. } = part.content {
                body = rest;
            } else {
                let first = rest.next().await.transpose()?;
                body = stream::iter(first.map(Ok)).chain(rest).boxed();
            }
        }
        let length = ByteCount::new(length);
        Ok(GetOutcome { info: found.info.clone(), range, part_checksum, length, body })
    }

    async fn select(&self, request: &GetRequest, found: &Found) -> Result<Selected> {
        request.conditions.check(found.info.etag, found.info.modified, found.info.version)?;
        let same = |known: &IfRange| known.holds(&found.info.etag, found.info.modified);
        let range = request.range.filter(|_| request.if_range.as_ref().is_none_or(same));
        match (range, request.part) {
            (Some(_), Some(_)) => Err(Error::InvalidRequest { detail: "a range and a part number at once" }),
            (Some(spec), None) => {
                let range = Some(resolve(spec, found.extent.length)?);
                Ok(Selected { range, part_checksum: None })
            }
            (None, Some(part)) => self.select_part(found, part).await,
            (None, None) => Ok(Selected::default()),
        }
    }

    /// Finds a version and authenticates its row.
    pub(crate) async fn find(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        version: VersionSelector,
    ) -> Result<Found> {
        let (view, row) = self.find_row(bucket, key, version).await?;
        let aad = row.additional_data(view.bucket.partition, key);
        let data_key = self.keys.unseal(&row.sealed, &aad)?;
        let Some(stored) = &row.stored else {
            return Err(match version {
                VersionSelector::Latest => Error::NoSuchKey { marker: Some(row.name()) },
                _ => Error::IsDeleteMarker { version: row.name(), modified: row.modified },
            });
        };
        let extent = stored.extent;
        let info = row.info(view.config.versioning)?.ok_or_else(|| corrupt("object row", "no body"))?;
        Ok(Found { view, data_key, info, extent })
    }

    async fn find_row(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        version: VersionSelector,
    ) -> Result<(View, ObjectRow)> {
        match version {
            VersionSelector::Latest => {
                let view = self.view(bucket, vec![tables::current(key)]).await?;
                match &view.rows[0] {
                    Some(raw) => {
                        let row = ObjectRow::from_bytes(raw)?;
                        Ok((view, row))
                    }
                    None => match top_marker(&view, key).await? {
                        Some(marker) => Ok((view, marker)),
                        None => Err(Error::NoSuchKey { marker: None }),
                    },
                }
            }
            VersionSelector::Id(id) => {
                let view = self.view(bucket, vec![tables::version(key, id)]).await?;
                let raw = view.rows[0].as_ref().ok_or(Error::NoSuchVersion)?;
                let row = ObjectRow::from_bytes(raw)?;
                // The null version is called `null`, whatever its place is.
                if row.null { Err(Error::NoSuchVersion) } else { Ok((view, row)) }
            }
            VersionSelector::Null => {
                let view = self.view(bucket, vec![tables::current(key), tables::null(key)]).await?;
                let row = null_row(&view, key).await?.ok_or(Error::NoSuchVersion)?;
                Ok((view, row))
            }
        }
    }

    /// The bytes of a part of a multipart object, and their checksum. An object that was sent in one piece is its own part 1.
    async fn select_part(&self, found: &Found, part: PartNumber) -> Result<Selected> {
        let none = Error::NoSuchPart { part, parts: found.info.parts.max(1) };
        let whole = found.extent.length;
        if found.info.parts == 0 {
            let range = match (part.get(), whole) {
                (1, 0) => None,
                (1, _) => Some(Range { first: 0, last: whole - 1 }),
                _ => return Err(none),
            };
            return Ok(Selected { range, part_checksum: found.info.checksum.map(|checksum| checksum.value) });
        }
        let mut pages = Self::pages(&found.extent, found.data_key.as_ref())?;
        while let Some((mut start, page)) = pages.next(self).await? {
            for (entry, _) in page {
                if entry.number == part.get() {
                    let last = (start + entry.extent.length).saturating_sub(1);
                    let range = (entry.extent.length > 0).then_some(Range { first: start, last });
                    return Ok(Selected { range, part_checksum: entry.checksum });
                }
                start += entry.extent.length;
            }
        }
        Err(none)
    }

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
        // One blob or one row needs no machinery around it.
        match (extent.content, &key) {
            (Content::Blob { home, blob }, Some(key)) => {
                let range = extent.offset..extent.offset + extent.length;
                Ok(self.blobs.read(home, blob, key, range).map(|item| item.map_err(Error::from)).boxed())
            }
            (Content::Inline { .. }, Some(key)) => {
                let snapshot = self.catalog.snapshot(partition).await?;
                let bytes = inline_body(&*snapshot, &extent, key).await?;
                Ok(stream::iter([Ok(bytes)]).boxed())
            }
            (Content::Manifest { manifest, .. }, Some(_)) => {
                let walk = Walk {
                    _active: self.activate(*manifest.as_bytes()),
                    store: Arc::clone(self),
                    todo: key.map(|key| (partition, extent, key, 0)).into_iter().collect(),
                    reading: None,
                };
                Ok(stream::try_unfold(walk, Walk::next).boxed())
            }
            (Content::Empty, _) => Ok(stream::empty().boxed()),
            (_, None) => Err(corrupt("object row", "a body without a data key")),
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

/// The newest version of a key that has no current object: a delete marker, if anything.
async fn top_marker(view: &View, key: &ObjectKey) -> Result<Option<ObjectRow>> {
    if view.config.versioning == crate::Versioning::Off {
        return Ok(None);
    }
    let page = view.snapshot.scan(Scan::prefix(tables::VERSIONS, &tables::versions_of(key), 1)).await?;
    Ok(page.rows.first().map(|(_, raw)| ObjectRow::from_bytes(raw)).transpose()?)
}

/// The null version, from a view of `CURRENT` and `NULLS`.
pub(crate) async fn null_row(view: &View, key: &ObjectKey) -> Result<Option<ObjectRow>> {
    if let Some(raw) = &view.rows[0] {
        let row = ObjectRow::from_bytes(raw)?;
        if row.null {
            return Ok(Some(row));
        }
    }
    let Some(raw) = &view.rows[1] else { return Ok(None) };
    let row = view.snapshot.get(tables::version(key, read_null(raw)?)).await?;
    Ok(row.map(|raw| ObjectRow::from_bytes(&raw)).transpose()?)
}

fn span(range: Option<Range>, whole: u64) -> (u64, u64) {
    range.map_or((0, whole), |range| (range.first, range.last - range.first + 1))
}

/// What a range means for an object of `size` bytes.
pub(crate) fn resolve(spec: RangeSpec, size: u64) -> Result<Range> {
    let unsatisfiable = Error::InvalidRange { size: ByteCount::new(size) };
    match spec {
        RangeSpec::From { first, last } => {
            let last = last.unwrap_or(u64::MAX).min(size.saturating_sub(1));
            if first >= size || last < first {
                return Err(unsatisfiable);
            }
            Ok(Range { first, last })
        }
        RangeSpec::Suffix(0) => Err(unsatisfiable),
        RangeSpec::Suffix(_) if size == 0 => Err(unsatisfiable),
        RangeSpec::Suffix(n) => Ok(Range { first: size.saturating_sub(n), last: size - 1 }),
    }
}

/// The pages of one manifest, in order.
pub(crate) struct Pages {
    home: PartitionId,
    manifest: crate::id::ManifestId,
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
        manifest: crate::id::ManifestId,
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
