//! `ListParts` and `ListMultipartUploads`.

use crate::list::{Next, Order, RollUp, bound, bound_end, common_prefix};
use crate::record::{PartRow, UploadRow};
use crate::{
    ObjectKey, ObjectStore, PAGE_MAX, PartEntry, PartNumber, PartPage, PartsRequest, Result, UploadEntry,
    UploadPage, UploadsRequest, tables,
};
use bytes::Bytes;
use engine::catalog::key::KeyWriter;
use engine::catalog::record::Record;
use engine::catalog::{Scan, key_after, prefix_end};
use engine::unit::ByteCount;

impl ObjectStore {
    /// A page of an upload's parts.
    pub async fn list_parts(&self, request: PartsRequest) -> Result<PartPage> {
        let (view, upload) = self.upload_view(&request.bucket, &request.key, request.upload).await?;
        let max = request.max_parts.min(PAGE_MAX);
        let rules = self.rules(&view).await?;
        let expires = self.upload_expiry(&view, &request.key, upload.initiated).await?;
        let by = self.upload_by(&view, (&request.key, request.upload), &upload)?;
        let mut page = PartPage {
            upload: upload.info(request.upload, expires, by),
            class: upload.class,
            owner: rules.other_owner(upload.subresources.owner),
            initiator: upload.initiator,
            parts: Vec::new(),
            next: None,
        };
        if max == 0 {
            return Ok(page);
        }
        let mut scan = Scan::prefix(tables::PARTS, request.upload.as_bytes(), max + 1);
        scan.start = tables::part(request.upload, request.after.saturating_add(1)).bytes;
        let mut next = Some(scan);
        while let Some(scan) = next {
            let rows = view.snapshot.scan(scan.clone()).await?;
            for (key, raw) in &rows.rows {
                if page.parts.len() == max {
                    page.next = page.parts.last().map(|last| last.number);
                    return Ok(page);
                }
                let number = PartNumber::new(tables::read_part(key)?.into())?;
                let row = PartRow::from_bytes(raw)?;
                page.parts.push(PartEntry {
                    number,
                    size: ByteCount::new(row.extent.length),
                    etag: row.etag(),
                    modified: row.modified,
                    checksum: row.checksum,
                });
            }
            next = scan.behind(&rows);
        }
        Ok(page)
    }

    /// A page of a bucket's uploads, by key, then by the time they were begun.
    pub async fn list_uploads(&self, request: UploadsRequest) -> Result<UploadPage> {
        let view = self.view(&request.bucket).await?;
        let rules = self.rules(&view).await?;
        let max = request.max_uploads.min(PAGE_MAX);
        let mut page = UploadPage::default();
        if max == 0 {
            return Ok(page);
        }
        let range = (start(&request).max(bound(request.prefix.as_bytes())), bound_end(&request.prefix));
        let folds = (request.prefix.as_str(), request.delimiter.as_str());
        let mut rows = RollUp::new(&*view.snapshot, &ORDER, range, folds, max);
        let mut last = None;
        loop {
            let (key, row_key, row) = match rows.next().await? {
                Next::End => return Ok(page),
                Next::Full => {
                    (page.next_key, page.next_upload) = last.unwrap_or_default();
                    return Ok(page);
                }
                Next::Prefix(rolled) => {
                    page.common_prefixes.push(rolled.clone());
                    last = Some((Some(rolled), None));
                    continue;
                }
                Next::Row(key, row_key, row) => (key, row_key, UploadRow::from_bytes(&row)?),
            };
            let (_, upload) = tables::read_upload(&row_key)?;
            page.uploads.push(UploadEntry {
                key: ObjectKey::parse(&key)?,
                upload,
                initiated: row.initiated,
                class: row.class,
                owner: rules.other_owner(row.subresources.owner),
                initiator: row.initiator,
                checksum: row.named.then_some((row.checksum, row.checksum_type)),
            });
            last = Some((Some(key), Some(upload)));
        }
    }
}

const ORDER: Order = Order {
    table: tables::UPLOADS,
    object_key: |row_key| tables::read_upload(row_key).map(|(key, _)| key),
    behind: bound_end,
};

fn start(request: &UploadsRequest) -> Bytes {
    let Some(marker) = request.key_marker.as_deref().filter(|marker| !marker.is_empty()) else {
        return Bytes::new();
    };
    if common_prefix(&request.prefix, &request.delimiter, marker) == Some(marker) {
        return bound_end(marker);
    }
    let of_key = KeyWriter::new().bytes(marker.as_bytes());
    match request.upload_marker {
        Some(upload) => key_after(&of_key.fixed(upload.as_bytes()).finish()),
        None => prefix_end(&of_key.finish()),
    }
}
