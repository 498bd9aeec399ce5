//! Completion: check the parts, write the manifest, publish in one commit of bounded size.

use super::drop_upload;
use crate::access::Asks;
use crate::change::Change;
use crate::checksum::of_parts;
use crate::envelope::{Material, of_completion};
use crate::event::{EventType, Occasion};
use crate::id::ManifestId;
use crate::publish::{Draft, Expected};
use crate::record::{
    CompletedRow, Content, ENTRIES_PER_PAGE, Extent, ManifestEntry, ManifestGarbage, ManifestPage, PartRow,
    Stored, UploadGarbage, UploadRow, UsedParts,
};
use crate::store::{Bucket, View};
use crate::transact::Attempt;
use crate::{
    ChecksumType, CompleteRequest, CompletedPart, ETag, Error, ObjectChecksum, ObjectKey, ObjectStore,
    PartNumber, Result, Subresources, UploadId, Uploaded, VersionName, tables,
};
use aws_lc_rs::digest::{Context, SHA256};
use engine::catalog::record::Record;
use engine::catalog::{Key, Scan, Snapshot, Write};
use engine::codec::DataKey;
use engine::unit::ByteCount;
use md5::{Digest as _, Md5};
use std::collections::BTreeMap;

/// Every part but the last has at least this much.
pub const PART_BYTES_MIN: ByteCount = ByteCount::mib(5);
/// Pages written by one commit ahead of the last one: 32 of at most 64 KiB are within 4 MiB.
const PAGES_PER_COMMIT: usize = 32;

/// An upload's parts as they were at one version.
struct Parts {
    rows: BTreeMap<u16, PartRow>,
    /// The rows that must not have changed when the completion commits.
    expect: Vec<(Key, Expected)>,
}

/// What a completion will publish.
struct Plan {
    stored: Stored,
    subresources: Subresources,
    manifest: ManifestId,
    material: Material,
    /// Start offset and page.
    pages: Vec<(u64, ManifestPage)>,
    completed: CompletedRow,
    garbage: UploadGarbage,
}

impl ObjectStore {
    /// Completes an upload. A repeated completion with the same parts answers the same for a day.
    pub async fn complete_upload(&self, request: CompleteRequest) -> Result<Uploaded> {
        check_order(&request.parts)?;
        self.transact(|| async {
            let (view, row) = match self.upload_view(&request.bucket, &request.key, request.upload).await {
                Err(Error::NoSuchUpload) => {
                    return self.answer_again(&request).await.map(Attempt::Answer);
                }
                other => other?,
            };
            let parts = self.parts_at(&view, &request.key, request.upload).await?;
            let plan = self.plan(&request, &view, &row, &parts).await?;
            let _active = self.activate(*plan.manifest.as_bytes());
            let published = self.publish_plan(view.bucket, &request, plan, parts.expect).await?;
            Ok(published.map_or(Attempt::Again, Attempt::Answer))
        })
        .await
    }

    async fn answer_again(&self, request: &CompleteRequest) -> Result<Uploaded> {
        let row = tables::of_upload(tables::COMPLETED, request.upload);
        let (_, [row]) = self.view_with(&request.bucket, [row]).await?;
        let row = CompletedRow::from_bytes(&row.ok_or(Error::NoSuchUpload)?)?;
        if row.key != request.key.as_str() || row.parts != fingerprint(&request.parts) {
            return Err(Error::NoSuchUpload);
        }
        Ok(Uploaded {
            etag: row.etag,
            checksum: row.checksum,
            version: row.version,
            size: ByteCount::new(row.size),
            encrypted_by: row.encrypted_by,
            expires: None,
        })
    }

    async fn parts_at(&self, view: &View, key: &ObjectKey, upload: UploadId) -> Result<Parts> {
        let epoch = tables::of_upload(tables::PART_EPOCH, upload);
        let seen = view.snapshot.get(epoch.clone()).await?;
        let rows = all_parts(&*view.snapshot, upload).await?;
        let expect = vec![(tables::upload(key, upload), Expected::Present), (epoch, Expected::Is(seen))];
        Ok(Parts { rows, expect })
    }

    /// Others run between two pages: the seals of 10,000 parts take their time.
    async fn plan(
        &self,
        request: &CompleteRequest,
        view: &View,
        upload: &UploadRow,
        parts: &Parts,
    ) -> Result<Plan> {
        let at = (&request.key, request.upload);
        let wrapped = self.wrapped_secret(view, at, upload)?;
        let is_managed = upload.envelope.is_managed();
        if request.customer_key.is_some() || is_managed {
            // A customer's key is not needed, and compared where it comes. Who may not use the managed one completes nothing, as with S3.
            let asks = request.asks.as_ref().map(|asks| &asks.writes);
            self.opened_secret(view, at, upload, (request.customer_key.as_ref(), asks)).await?;
        }
        check_composite(&request.parts, upload)?;
        let chosen = choose(&request.parts, &parts.rows, wrapped.is_some())?;
        let size: u64 = chosen.iter().map(|(_, row)| row.extent.length).sum();
        if request.size.is_some_and(|said| said.get() != size) {
            return Err(Error::InvalidRequest { detail: "the object's size is not the one that was sent" });
        }
        let etag = etag(&chosen);
        let checksum = checksum(request, upload, &chosen)?;
        let manifest = ManifestId::random(&*self.entropy);
        let manifest_key = DataKey::random(&*self.entropy);
        let mut entries = Vec::with_capacity(chosen.len());
        let mut garbage = UploadGarbage { used: UsedParts::default() };
        let mut depth = 0;
        for (index, (number, row)) in chosen.iter().enumerate() {
            if index > 0 && index % ENTRIES_PER_PAGE == 0 {
                tokio::task::yield_now().await;
            }
            let aad = row.additional_data(view.bucket.partition, request.upload, *number);
            // A part without bytes has no key of its own; its place in the page holds a random one.
            let key = self.keys.unseal(&row.sealed, &aad)?;
            let key = key.unwrap_or_else(|| DataKey::random(&*self.entropy));
            depth = depth.max(row.extent.content.depth());
            garbage.used.insert(*number);
            let entry = ManifestEntry { number: *number, checksum: row.checksum, extent: row.extent };
            entries.push((entry, key));
        }
        let pages = pages(manifest, &manifest_key, &entries)?;
        let content = Content::Manifest { home: view.bucket.partition, manifest, depth: depth + 1 };
        let extent = Extent { owner: self.owner(), content, offset: 0, length: size };
        let count = u32::try_from(chosen.len()).unwrap_or(u32::MAX);
        let (envelope, material) = of_completion(manifest_key, wrapped.as_ref());
        let stored = Stored::new(extent, etag, upload.class, checksum, count)
            .with_metadata(upload.metadata.clone())
            .enclosed(envelope);
        let completed = CompletedRow {
            at: self.clock.now(),
            key: request.key.as_str().to_owned(),
            parts: fingerprint(&request.parts),
            etag,
            checksum,
            version: None,
            size,
            encrypted_by: self.upload_by(view, at, upload)?,
        };
        let subresources = upload.subresources.clone();
        Ok(Plan { stored, subresources, manifest, material, pages, completed, garbage })
    }

    /// `None`: the upload or one of its parts changed meanwhile.
    async fn publish_plan(
        &self,
        bucket: Bucket,
        request: &CompleteRequest,
        plan: Plan,
        mut expect: Vec<(Key, Expected)>,
    ) -> Result<Option<Uploaded>> {
        let mut writes =
            drop_upload(tables::upload(&request.key, request.upload), request.upload, &plan.garbage);
        let draft_row = tables::of_manifest(tables::MANIFEST_GARBAGE, plan.manifest);
        let page_writes = plan
            .pages
            .iter()
            .map(|(start, page)| Write::Put(tables::manifest_page(plan.manifest, *start), page.to_bytes()));
        if plan.pages.len() > 1 {
            self.write_pages(bucket, draft_row.clone(), page_writes.collect()).await?;
            expect.push((draft_row.clone(), Expected::Present));
            // Who cleans it away begins with the first page, and may not have come to the end.
            expect.push((tables::manifest_page(plan.manifest, 0), Expected::Present));
            writes.push(Write::Delete(draft_row));
        } else {
            writes.extend(page_writes);
        }
        let owner = plan.stored.extent.owner;
        writes.push(Write::Put(tables::manifest_ref(plan.manifest, owner), tables::PRESENT));
        let completed = plan.completed.clone();
        let completed_key = tables::of_upload(tables::COMPLETED, request.upload);
        let named = move |version: Option<VersionName>| {
            let row = CompletedRow { version, ..completed.clone() };
            vec![Write::Put(completed_key.clone(), row.to_bytes())]
        };
        let stored = plan.stored.clone();
        let material = Some(&plan.material);
        let mut draft = Draft::object(bucket, &request.key, stored, material, &request.conditions);
        draft.subresources = plan.subresources.clone();
        draft.expect = expect;
        draft.writes = writes;
        draft.dirty = true;
        draft.writes_named = Some(&named);
        let (what, origin) = (EventType::COMPLETE, &request.origin);
        draft.tells = Some(Occasion { what, bucket: &request.bucket, origin });
        draft.asks = request.asks.as_ref().map(|asks| Asks::new(&request.bucket, asks));
        let Some(published) = self.publish(&draft).await? else { return Ok(None) };
        let CompletedRow { etag, checksum, size, encrypted_by, .. } = plan.completed;
        let (size, expires) = (ByteCount::new(size), published.expires);
        Ok(Some(Uploaded { etag, checksum, version: published.shown, size, encrypted_by, expires }))
    }

    /// Writes the pages of a manifest that nobody refers to yet, and first the row by which the cleaner finds them.
    pub(crate) async fn write_pages(&self, bucket: Bucket, draft_row: Key, pages: Vec<Write>) -> Result<()> {
        self.mark_dirty(bucket.partition);
        for batch in pages.chunks(PAGES_PER_COMMIT) {
            self.transact(|| async {
                let (view, []) = self.view_at(bucket, []).await?.ok_or(Error::NoSuchBucket)?;
                let change = Change::new(Vec::new(), batch.to_vec()).guarded();
                let change = change.put(draft_row.clone(), ManifestGarbage::Draft.to_bytes());
                Ok(Attempt::Commit(change.of(&view), ()))
            })
            .await?;
        }
        Ok(())
    }
}

fn check_order(parts: &[CompletedPart]) -> Result<()> {
    if parts.is_empty() || parts.len() > usize::from(PartNumber::MAX) {
        return Err(Error::InvalidRequest { detail: "a completion names between 1 and 10000 parts" });
    }
    if parts.is_sorted_by(|a, b| a.number < b.number) { Ok(()) } else { Err(Error::InvalidPartOrder) }
}

/// Where a client asked for a composite checksum, S3 wants each part named with its own, and the parts numbered 1, 2, 3 and so
/// on: a reader can then recompute the object's checksum from its parts.
fn check_composite(named: &[CompletedPart], upload: &UploadRow) -> Result<()> {
    if !upload.named || upload.checksum_type != ChecksumType::Composite {
        return Ok(());
    }
    if let Some(bare) = named.iter().find(|part| part.checksum.is_none()) {
        return Err(Error::PartWithoutChecksum { algorithm: upload.checksum, part: bare.number });
    }
    let consecutive = (1..).zip(named).all(|(number, part)| part.number.get() == number);
    if consecutive { Ok(()) } else { Err(Error::InvalidPartOrder) }
}

/// The rows of the parts named; all there, as named, and large enough. Checksums of closed ones are not kept, so there is nothing to
/// compare; their random tags name one sent part each.
fn choose<'a>(
    named: &[CompletedPart],
    rows: &'a BTreeMap<u16, PartRow>,
    closed: bool,
) -> Result<Vec<(u16, &'a PartRow)>> {
    let mut chosen = Vec::with_capacity(named.len());
    for part in named {
        let wrong = Error::InvalidPart { part: part.number };
        let Some(row) = rows.get(&part.number.get()) else { return Err(wrong) };
        let other_sum = !closed && part.checksum.is_some_and(|sum| Some(sum) != row.checksum);
        if row.etag() != part.etag || other_sum {
            return Err(wrong);
        }
        chosen.push((part.number.get(), row));
    }
    let all_but_last = named.iter().zip(&chosen).take(named.len().saturating_sub(1));
    for (part, (_, row)) in all_but_last {
        let size = ByteCount::new(row.extent.length);
        if size < PART_BYTES_MIN {
            return Err(Error::EntityTooSmall { part: part.number, size, etag: part.etag });
        }
    }
    Ok(chosen)
}

fn etag(chosen: &[(u16, &PartRow)]) -> ETag {
    let mut md5 = Md5::new();
    for (_, row) in chosen {
        md5.update(row.md5);
    }
    ETag::of_parts(md5.finalize().into(), u16::try_from(chosen.len()).unwrap_or(u16::MAX))
}

/// The object's checksum, and whether it is what the client says.
fn checksum(
    request: &CompleteRequest,
    upload: &UploadRow,
    chosen: &[(u16, &PartRow)],
) -> Result<Option<ObjectChecksum>> {
    if request.checksum_type.is_some_and(|kind| kind != upload.checksum_type) {
        return Err(Error::InvalidRequest {
            detail: "the checksum type is not the one that the upload was begun with",
        });
    }
    if upload.secret.is_some() {
        return match request.checksum {
            None => Ok(None),
            Some(_) => Err(Error::InvalidRequest {
                detail: "The checksum of an object that is encrypted with a customer's or a managed key can't be compared when its upload \
                         completes. Complete it without one; send one with each part.",
            }),
        };
    }
    let sums = chosen.iter().map(|(_, row)| (row.checksum, row.extent.length));
    let checksum = of_parts(upload.checksum, upload.checksum_type, sums);
    let Some(said) = request.checksum else { return Ok(checksum) };
    let algorithm = said.algorithm();
    let same = checksum.is_some_and(|sum| {
        sum.value == said && request.checksum_parts.is_none_or(|parts| parts == sum.parts)
    });
    if same { Ok(checksum) } else { Err(Error::ChecksumMismatch { algorithm }) }
}

fn pages(
    manifest: ManifestId,
    key: &DataKey,
    entries: &[(ManifestEntry, DataKey)],
) -> Result<Vec<(u64, ManifestPage)>> {
    let mut pages = Vec::new();
    let mut start = 0;
    for chunk in entries.chunks(ENTRIES_PER_PAGE) {
        let length: u64 = chunk.iter().map(|(entry, _)| entry.extent.length).sum();
        pages.push((start, ManifestPage::seal(key, manifest, start, chunk.to_vec())?));
        start += length;
    }
    Ok(pages)
}

/// Writes of a manifest's pages.
pub(crate) fn page_writes(
    manifest: ManifestId,
    key: &DataKey,
    entries: &[(ManifestEntry, DataKey)],
) -> Result<Vec<Write>> {
    let pages = pages(manifest, key, entries)?.into_iter();
    Ok(pages
        .map(|(start, page)| Write::Put(tables::manifest_page(manifest, start), page.to_bytes()))
        .collect())
}

/// All parts of an upload.
async fn all_parts(snapshot: &dyn Snapshot, upload: UploadId) -> Result<BTreeMap<u16, PartRow>> {
    let mut next = Some(Scan::prefix(tables::PARTS, upload.as_bytes(), 1_000));
    let mut parts = BTreeMap::new();
    while let Some(scan) = next {
        let page = snapshot.scan(scan.clone()).await?;
        for (key, raw) in &page.rows {
            parts.insert(tables::read_part(key)?, PartRow::from_bytes(raw)?);
        }
        next = scan.behind(&page);
    }
    Ok(parts)
}

/// By what a repeated completion is known to name the same parts.
fn fingerprint(parts: &[CompletedPart]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(&part.number.get().to_le_bytes());
        context.update(part.etag.md5());
        context.update(&part.etag.parts().to_le_bytes());
    }
    let mut out = [0; 32];
    out.copy_from_slice(context.finish().as_ref());
    out
}
