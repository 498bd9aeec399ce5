//! `ListParts` and `ListMultipartUploads`.

use crate::list::{Scanner, bound, bound_end, common_prefix};
use crate::record::{PartRow, UploadRow};
use crate::{
    ObjectKey, ObjectStore, PAGE_MAX, PartEntry, PartNumber, PartPage, PartsRequest, Result, UploadEntry,
    UploadPage, UploadsRequest, tables,
};
use bytes::Bytes;
use engine::catalog::record::Record;
use engine::catalog::table::KeyWriter;
use engine::catalog::{Scan, key_after, prefix_end};
use engine::unit::ByteCount;

impl ObjectStore {
    /// A page of an upload's parts.
    pub async fn list_parts(&self, request: PartsRequest) -> Result<PartPage> {
        let (view, upload) = self.upload_view(&request.bucket, &request.key, request.upload).await?;
        let max = request.max_parts.min(PAGE_MAX);
        let mut page = PartPage {
            upload: upload.info(request.upload),
            class: upload.class,
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
        let view = self.view(&request.bucket, Vec::new()).await?;
        let max = request.max_uploads.min(PAGE_MAX);
        let mut page = UploadPage::default();
        if max == 0 {
            return Ok(page);
        }
        let prefix = request.prefix.as_bytes();
        let range = (start(&request).max(bound(prefix)), bound_end(prefix));
        let mut scanner = Scanner::new(&*view.snapshot, tables::UPLOADS, range, max + 1);
        let mut last = None;
        while let Some((raw_key, raw)) = scanner.next().await? {
            let (key, upload) = tables::read_upload(&raw_key)?;
            if page.uploads.len() + page.common_prefixes.len() == max {
                (page.next_key, page.next_upload) = last.unwrap_or_default();
                return Ok(page);
            }
            if let Some(rolled) = common_prefix(&request.prefix, &request.delimiter, &key) {
                scanner.seek(bound_end(rolled.as_bytes()));
                page.common_prefixes.push(rolled.to_owned());
                last = Some((Some(rolled.to_owned()), None));
                continue;
            }
            let row = UploadRow::from_bytes(&raw)?;
            page.uploads.push(UploadEntry {
                key: ObjectKey::parse(&key)?,
                upload,
                initiated: row.initiated,
                class: row.class,
                checksum: row.named.then_some((row.checksum, row.checksum_type)),
            });
            last = Some((Some(key), Some(upload)));
        }
        Ok(page)
    }
}

fn start(request: &UploadsRequest) -> Bytes {
    let Some(marker) = request.key_marker.as_deref().filter(|marker| !marker.is_empty()) else {
        return Bytes::new();
    };
    if common_prefix(&request.prefix, &request.delimiter, marker) == Some(marker) {
        return bound_end(marker.as_bytes());
    }
    let of_key = KeyWriter::new().bytes(marker.as_bytes());
    match request.upload_marker {
        Some(upload) => key_after(&of_key.fixed(upload.as_bytes()).finish()),
        None => prefix_end(&of_key.finish()),
    }
}
