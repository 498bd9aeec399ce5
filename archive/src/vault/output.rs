//! What was retrieved, until it expires: blobs in the vault's partition.

use super::change::{Attempt, Change};
use super::deposit::{Taken, owner, piece_writes};
use super::rows::PieceRow;
use super::secrets::Spot;
use super::{Error, Output, Result, Vault, Vaults, tables};
use crate::retrieval::JobId;
use crate::tree_hash::{TreeHash, TreeHasher};
use bytes::Bytes;
use engine::blob::release;
use engine::catalog::Scan;
use engine::catalog::record::Record;
use engine::unit::ByteCount;
use futures_util::{StreamExt, stream};
use std::ops::Range;
use std::sync::Arc;

/// Rows that are dropped in one commit.
const BATCH: usize = 1_000;

impl Vaults {
    /// Keeps bytes of a job's output, from `offset` on: all that come, durably. How many they were.
    pub(super) async fn keep_output(
        &self,
        vault: &Vault,
        job: JobId,
        offset: u64,
        mut bytes: Output,
    ) -> Result<u64> {
        let mut writer = self.blobs.writer(vault.home, None);
        let mut tree = TreeHasher::new();
        while let Some(next) = bytes.next().await {
            let next = next?;
            tree.update(&next);
            writer.push(next).await?;
        }
        let length = writer.length().get();
        if length == 0 {
            return Ok(0);
        }
        let taken = Taken { blob: writer.seal().await?, tree_hash: tree.finish(), length };
        self.commit_output(vault, job, offset, &taken).await?;
        Ok(length)
    }

    async fn commit_output(&self, vault: &Vault, job: JobId, offset: u64, taken: &Taken) -> Result<()> {
        let at = Spot { of: *job.as_bytes(), offset };
        let key = tables::at_offset(tables::OUTPUTS, &at.of, offset);
        let writes = piece_writes(vault, tables::OUTPUTS, at, taken)?;
        self.transact(|| async {
            let snapshot = self.at(vault.home).await?;
            if snapshot.get(tables::of_job(tables::JOBS, job)).await?.is_none() {
                return Err(no_job(job));
            }
            let mut change =
                Change::default().unchanged(tables::of_job(tables::JOBS, job)).unchanged(key.clone());
            if let Some(old) = snapshot.get(key.clone()).await? {
                let old = PieceRow::from_bytes(&old)?;
                change = change.writes(release(old.blob, &owner(tables::OUTPUTS, at)?));
            }
            Ok(Attempt::Commit(change.writes(writes.iter().cloned()).at(vault.home, &*snapshot), ()))
        })
        .await
    }

    /// The first piece of an output from `offset` on.
    pub(super) async fn output_from(
        &self,
        vault: &Vault,
        job: JobId,
        offset: u64,
    ) -> Result<Option<(u64, PieceRow)>> {
        let snapshot = self.at(vault.home).await?;
        let start = tables::at_offset(tables::OUTPUTS, job.as_bytes(), offset).bytes;
        let scan = Scan { start, ..Scan::prefix(tables::OUTPUTS, job.as_bytes(), 1) };
        let Some((key, raw)) = snapshot.scan(scan).await?.rows.into_iter().next() else { return Ok(None) };
        Ok(Some((tables::read_offset(&key)?.1, PieceRow::from_bytes(&raw)?)))
    }

    /// A range of an output. Its pieces lie one behind the other.
    pub(super) fn read_output(self: &Arc<Self>, vault: &Arc<Vault>, job: JobId, range: Range<u64>) -> Output {
        struct Walk {
            vaults: Arc<Vaults>,
            vault: Arc<Vault>,
            /// Where the next piece begins.
            next: u64,
            reading: Option<Output>,
        }
        impl Walk {
            async fn step(mut self, job: JobId, range: Range<u64>) -> Result<Option<(Bytes, Self)>> {
                loop {
                    if let Some(reading) = &mut self.reading {
                        match reading.next().await {
                            Some(item) => return Ok(Some((item?, self))),
                            None => self.reading = None,
                        }
                    }
                    if self.next >= range.end {
                        return Ok(None);
                    }
                    let found = self.vaults.output_from(&self.vault, job, self.next).await?;
                    let (offset, row) =
                        found.filter(|(offset, _)| *offset == self.next).ok_or_else(|| no_job(job))?;
                    self.next = offset.saturating_add(row.length.max(1));
                    let from = range.start.max(offset) - offset;
                    let to = range.end.min(self.next) - offset;
                    if from < to {
                        let at = (tables::OUTPUTS, *job.as_bytes(), offset);
                        self.reading = Some(self.vaults.read_piece(&self.vault, at, &row, from..to)?);
                    }
                }
            }
        }
        let walk = Walk { vaults: Arc::clone(self), vault: Arc::clone(vault), next: 0, reading: None };
        let step = move |walk: Walk| {
            let range = range.clone();
            async move { walk.step(job, range).await }
        };
        stream::try_unfold(walk, step).boxed()
    }

    /// The tree hash over all of an output.
    pub(super) async fn hash_output(
        self: &Arc<Self>,
        vault: &Arc<Vault>,
        job: JobId,
        length: u64,
    ) -> Result<TreeHash> {
        let mut tree = TreeHasher::new();
        let mut bytes = self.read_output(vault, job, 0..length);
        while let Some(next) = bytes.next().await {
            tree.update(&next?);
        }
        Ok(tree.finish())
    }

    /// Drops what was kept of a job that begins again.
    pub(super) async fn drop_output(&self, vault: &Vault, job: JobId) -> Result<()> {
        loop {
            let snapshot = self.at(vault.home).await?;
            let page = self.page(&*snapshot, tables::OUTPUTS, (job.as_bytes(), None), BATCH).await?;
            if page.rows.is_empty() {
                return Ok(());
            }
            let mut change = Change::default().freeing();
            for (key, raw) in &page.rows {
                let (of, offset) = tables::read_offset(key)?;
                let name = owner(tables::OUTPUTS, Spot { of, offset })?;
                let blob = PieceRow::from_bytes(raw)?.blob;
                change = change.delete(tables::OUTPUTS.key(key.clone())).writes(release(blob, &name));
            }
            self.try_commit(vault.home, &*snapshot, change).await?;
        }
    }

    /// A writer for what is made and not read: an inventory.
    pub(super) fn output_writer(&self, vault: &Vault) -> engine::blob::BlobWriter {
        self.blobs.writer(vault.home, Some(ByteCount::kib(64)))
    }

    /// Keeps what such a writer has.
    pub(super) async fn keep_written(
        &self,
        vault: &Vault,
        job: JobId,
        writer: engine::blob::BlobWriter,
        tree_hash: TreeHash,
    ) -> Result<u64> {
        let length = writer.length().get();
        let taken = Taken { blob: writer.seal().await?, tree_hash, length };
        self.commit_output(vault, job, 0, &taken).await?;
        Ok(length)
    }
}

pub(super) fn no_job(job: JobId) -> Error {
    Error::NotFound { what: "job", id: job.to_string() }
}
