//! One report on its way: a page of rows at each step.

use super::report::{self, DataFile, MANIFEST, MANIFEST_CHECKSUM};
use super::run::{Run, Wrote};
use crate::record::ObjectRow;
use crate::setting::{Inventory, InventoryVersions, ObjectLock};
use crate::{BucketName, Error, Expect, ListWish, ObjectStore, Result, SettingKind, Upload, tables};
use bytes::Bytes;
use engine::catalog::record::Record;
use engine::catalog::{Scan, key_after, prefix_end};
use flate2::Compression;
use flate2::write::GzEncoder;
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
    /// The bucket that it goes to, and no other one of this name.
    destination: BucketName,
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
    pub(super) fn new(
        bucket: BucketName,
        (set, destination): (Inventory, BucketName),
        run: Run,
        file_bytes: u64,
    ) -> Self {
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
        Self { bucket, set, destination, run, file_bytes, next, seen: None, open: None, files: Vec::new() }
    }

    /// Which report it is.
    pub(crate) fn name(&self) -> (BucketName, String) {
        (self.bucket.unbound(), self.set.id.clone())
    }

    /// A page of rows, or, behind the last one, the manifest. After an error, or when it is gone, it is of no more use, and what it
    /// wrote is removed.
    pub(crate) async fn step(&mut self, store: &Arc<ObjectStore>) -> Result<Step> {
        let outcome = match self.advance(store).await {
            Err(Error::NoSuchConfiguration) => Ok(Step::Gone),
            outcome => outcome,
        };
        if matches!(outcome, Ok(Step::Gone) | Err(_)) {
            self.abandon(store).await;
        }
        outcome
    }

    /// Ends the file under way, so that it holds nothing but its place while others have their turn.
    pub(crate) async fn pause(&mut self, store: &Arc<ObjectStore>) -> Result<()> {
        let Some(open) = self.open.take() else { return Ok(()) };
        let outcome = self.close(open).await;
        if outcome.is_err() {
            self.abandon(store).await;
        }
        outcome
    }

    /// Removes what it wrote, or the first of it: the rest goes before the next attempt.
    async fn abandon(&mut self, store: &Arc<ObjectStore>) {
        self.open = None;
        if let Err(error) = store.settle_run(&self.bucket, &self.set.id, &self.run).await {
            let (bucket, id) = self.name();
            tracing::warn!(%bucket, id, %error, "failed to remove what an inventory report left: it is tried again before the next one");
        }
    }

    async fn advance(&mut self, store: &Arc<ObjectStore>) -> Result<Step> {
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
        let mut lines = String::with_capacity(page.rows.len() * 128);
        for (raw_key, raw) in &page.rows {
            let mut row = ObjectRow::from_bytes(raw)?;
            if lock.as_ref().is_some_and(|lock| lock.leaves_unknown(&row)) {
                row.subresources.legal_hold = Some(true);
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
            let number = self.wrote()?.files;
            self.record(store, |wrote| wrote.files += 1).await?;
            let key = report::data_key(&self.wrote()?.stem, &self.run.id, number);
            let upload = store.begin_own(&self.destination, &key, "application/gzip").await?;
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
        let manifest = report::manifest(&self.bucket, &self.set, self.run.started, &self.files);
        let md5 = report::md5(manifest.as_bytes());
        self.record(store, |wrote| wrote.manifest = Some(md5)).await?;
        let checksum = report::checksum(&md5);
        for (name, content_type, body) in
            [(MANIFEST, "application/json", manifest), (MANIFEST_CHECKSUM, "text/plain", checksum)]
        {
            let key = report::manifest_key(&self.wrote()?.stem, self.run.started, name);
            let to = &self.destination;
            store.write_own(to, (&key, content_type), ListWish::Default, body.into()).await?;
        }
        let done = Run { done: true, wrote: None, ..self.run.clone() };
        self.change(store, done).await
    }

    /// What it wrote so far.
    fn wrote(&self) -> Result<&Wrote> {
        self.run.wrote.as_ref().ok_or(Error::NoSuchConfiguration)
    }

    /// Records what it is about to write.
    async fn record(&mut self, store: &ObjectStore, change: impl FnOnce(&mut Wrote)) -> Result<()> {
        let mut next = self.run.clone();
        if let Some(wrote) = &mut next.wrote {
            change(wrote);
        }
        self.change(store, next).await
    }

    async fn change(&mut self, store: &ObjectStore, next: Run) -> Result<()> {
        store.change_run(&self.bucket, &self.set.id, (&self.run, Some(&next))).await?;
        self.run = next;
        Ok(())
    }
}

/// Compressing into memory fails for no reason of the outside's.
#[expect(clippy::needless_pass_by_value, reason = "it is given to map_err")]
fn into_memory(error: std::io::Error) -> Error {
    Error::Engine(engine::Error::Invalid(format!("compress a report: {error}")))
}
