//! One report on its way: a page of rows at each step.

use super::Run;
use super::report::{self, DataFile};
use crate::record::ObjectRow;
use crate::setting::{Inventory, InventoryVersions, ObjectLock};
use crate::{BucketName, Error, Expect, ListWish, ObjectStore, Result, SettingKind, Upload, tables};
use bytes::Bytes;
use engine::catalog::record::Record;
use engine::catalog::{Scan, key_after, prefix_end};
use flate2::Compression;
use flate2::write::GzEncoder;
use md5::{Digest as _, Md5};
use std::io::Write as _;
use std::sync::Arc;

/// Rows of one step.
const PAGE: usize = 1_000;
/// Compressed bytes that are handed on at once.
const PIECE: usize = 256 << 10;

/// What a step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// So many rows; there are more.
    More(u64),
    /// The report is there.
    Done,
    /// It is not wanted any more, or not like this.
    Gone,
}

/// A data file that is being written.
struct Open {
    key: String,
    upload: Upload,
    gzip: GzEncoder<Vec<u8>>,
    size: u64,
}

/// A report that is being made.
pub(crate) struct Job {
    bucket: BucketName,
    set: Inventory,
    run: Run,
    file_bytes: u64,
    next: Option<Scan>,
    /// The key of the last version that was seen.
    seen: Option<String>,
    open: Option<Open>,
    files: Vec<DataFile>,
}

impl Job {
    /// From its beginning. `file_bytes`: from where on a data file is full.
    fn new(bucket: BucketName, set: Inventory, run: Run, file_bytes: u64) -> Self {
        let prefix = set.prefix.clone().unwrap_or_default();
        let (table, start, end) = match set.versions {
            InventoryVersions::Current => {
                let prefix = Bytes::from(prefix.into_bytes());
                (tables::CURRENT, prefix.clone(), prefix_end(&prefix))
            }
            InventoryVersions::All => {
                (tables::VERSIONS, crate::list::bound(prefix.as_bytes()), crate::list::bound_end(&prefix))
            }
        };
        let next = Some(Scan { table, start, end, limit: PAGE, reverse: false, keys_only: false });
        Self { bucket, set, run, file_bytes, next, seen: None, open: None, files: Vec::new() }
    }

    /// Which report it is.
    pub(crate) fn name(&self) -> (BucketName, String) {
        (self.bucket.unbound(), self.set.id.clone())
    }

    /// A page of rows, or, behind the last one, the manifest. After an error it is of no more use.
    pub(crate) async fn step(&mut self, store: &Arc<ObjectStore>) -> Result<Step> {
        let row = tables::setting(SettingKind::Inventory, &self.set.id);
        let (view, [set]) = match store.view_with(&self.bucket, [row]).await {
            Err(Error::NoSuchBucket) => return Ok(Step::Gone),
            found => found?,
        };
        let set = set.map(|raw| Inventory::from_bytes(&raw)).transpose()?;
        if set.as_ref() != Some(&self.set) {
            return Ok(Step::Gone);
        }
        let Some(scan) = self.next.take() else {
            self.finish(store).await?;
            return Ok(Step::Done);
        };
        let page = view.snapshot.scan(scan.clone()).await?;
        let rules = store.rules(&view).await?;
        let lock = store.setting_at::<ObjectLock>(&view).await?;
        // What is not known is held; without object lock nothing is.
        let unknown_through = lock.map_or(0, |lock| lock.unknown_through);
        let mut lines = String::with_capacity(page.rows.len() * 128);
        for (raw_key, raw) in &page.rows {
            let mut row = ObjectRow::from_bytes(raw)?;
            if row.stored.is_some() && row.version.order <= unknown_through {
                row.subresources.legal_hold.get_or_insert(true);
            }
            let (key, latest) = match self.set.versions {
                InventoryVersions::Current => (tables::text(raw_key.to_vec())?, true),
                InventoryVersions::All => {
                    let (key, _) = tables::read_version(raw_key)?;
                    let latest = self.seen.as_deref() != Some(key.as_str());
                    (key, latest)
                }
            };
            report::line(&mut lines, &self.set, (&self.bucket, &key), (&row, latest), &rules);
            self.seen = Some(key);
        }
        let rows = page.rows.len() as u64;
        if let Some((last, _)) = page.rows.last().filter(|_| page.more) {
            self.next = Some(Scan { start: key_after(last), ..scan });
        }
        self.write(store, lines.as_bytes()).await?;
        Ok(Step::More(rows))
    }

    async fn write(&mut self, store: &Arc<ObjectStore>, lines: &[u8]) -> Result<()> {
        if lines.is_empty() {
            return Ok(());
        }
        let mut open = if let Some(open) = self.open.take() {
            open
        } else {
            let key = report::data_key(&self.bucket, &self.set, &self.run, self.files.len());
            let upload = store.begin_own(&self.set.destination, &key, "application/gzip").await?;
            Open { key, upload, gzip: GzEncoder::new(Vec::new(), Compression::default()), size: 0 }
        };
        open.gzip.write_all(lines).map_err(into_memory)?;
        if open.gzip.get_ref().len() >= PIECE {
            let piece = std::mem::take(open.gzip.get_mut());
            open.size += piece.len() as u64;
            open.upload.write(piece.into()).await?;
        }
        if open.size + open.gzip.get_ref().len() as u64 >= self.file_bytes {
            self.close(open).await
        } else {
            self.open = Some(open);
            Ok(())
        }
    }

    /// The file is whole.
    async fn close(&mut self, open: Open) -> Result<()> {
        let Open { key, mut upload, gzip, mut size } = open;
        let rest = gzip.finish().map_err(into_memory)?;
        size += rest.len() as u64;
        upload.write(rest.into()).await?;
        let uploaded = upload.finish(Expect::default()).await?;
        self.files.push(DataFile { key, size, md5: uploaded.etag.to_string() });
        Ok(())
    }

    async fn finish(&mut self, store: &Arc<ObjectStore>) -> Result<()> {
        if let Some(open) = self.open.take() {
            self.close(open).await?;
        }
        let manifest = report::manifest(&self.bucket, &self.set, &self.run, &self.files);
        let md5 = Md5::digest(manifest.as_bytes());
        let checksum = md5.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
        for (name, content_type, body) in
            [("manifest.json", "application/json", manifest), ("manifest.checksum", "text/plain", checksum)]
        {
            let key = report::manifest_key(&self.bucket, &self.set, &self.run, name);
            let to = &self.set.destination;
            store.write_own(to, (&key, content_type), ListWish::Default, body.into()).await?;
        }
        store.end_run(&self.bucket, &self.set.id, self.run).await
    }
}

/// Compressing into memory fails for no reason of the outside's.
#[expect(clippy::needless_pass_by_value, reason = "it is given to map_err")]
fn into_memory(error: std::io::Error) -> Error {
    Error::Engine(engine::Error::Invalid(format!("compress a report: {error}")))
}

impl ObjectStore {
    /// Begins a report. `None`: it is not wanted (any more).
    pub(crate) async fn begin_inventory(
        &self,
        name: &BucketName,
        id: &str,
        file_bytes: u64,
    ) -> Result<Option<Job>> {
        let found = match self.begin_run(name, id).await {
            Err(Error::NoSuchBucket) => return Ok(None),
            found => found?,
        };
        let Some((set, run)) = found else { return Ok(None) };
        let view = self.view(name).await?;
        // Another account may have the destination's name by now.
        let destination = self.view(&set.destination).await?;
        if destination.bucket.account != view.bucket.account {
            return Err(Error::AccessDenied);
        }
        Ok(Some(Job::new(name.bound_to(view.bucket), set, run, file_bytes)))
    }
}
