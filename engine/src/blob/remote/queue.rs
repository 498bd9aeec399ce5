//! Which blobs have to be uploaded, and how they come to be queued.

use super::RemotePool;
use super::rows::UploadRow;
use crate::blob::BlobStore;
use crate::blob::row::{self, BlobRow};
use crate::catalog::record::Record;
use crate::catalog::{Check, Commit, Write};
use crate::id::{BlobId, PartitionId};
use crate::{Error, Result};
use std::sync::Arc;

impl BlobStore {
    /// Damage can be put right: there is more than one place for a copy.
    pub(in crate::blob) fn can_mend(&self) -> bool {
        self.zones.are_several() || self.remote.is_some()
    }

    /// The pool that a row's remote copy lies in, if it is configured.
    pub(in crate::blob) fn remote_of(&self, row: &BlobRow) -> Option<&Arc<RemotePool>> {
        let zone = row.remote.as_ref()?.zone;
        self.remote.as_ref().filter(|pool| pool.zone == zone)
    }

    /// It lies in a remote pool, and local copies are not wanted beside it.
    pub(in crate::blob) fn is_kept_remotely(&self, row: &BlobRow) -> bool {
        self.remote_of(row).is_some_and(|pool| !pool.keeps_local)
    }

    /// What is to be written so that a new blob comes to be uploaded.
    pub(in crate::blob) fn queue_upload(&self, blob: BlobId, row: &BlobRow) -> Option<Write> {
        let pool = self.remote.as_ref().filter(|_| row.records() > 0)?;
        let queued = UploadRow { queued: pool.clock.now(), bytes: stored_len(row), again: false };
        Some(Write::Put(row::upload_key(blob), queued.to_bytes()))
    }

    /// The uploader has to look at a blob whose row is so: it is not there, or local copies are still beside it.
    pub(in crate::blob) fn wants_upload(&self, row: &BlobRow) -> bool {
        let Some(pool) = self.remote.as_ref().filter(|_| row.records() > 0) else { return false };
        match self.remote_of(row) {
            None => !row.copies.is_empty(),
            Some(_) => !pool.keeps_local && !row.copies.is_empty(),
        }
    }

    /// Queues a blob that was there before the pool was, or before it was to be the only place, unless it is queued.
    pub(in crate::blob) async fn queue_late_upload(
        &self,
        home: PartitionId,
        blob: BlobId,
        row: &BlobRow,
        read_version: u64,
    ) -> Result<()> {
        let Some(write) = self.queue_upload(blob, row) else { return Ok(()) };
        let _home = self.hold_home(home).await?;
        let mut version = read_version;
        loop {
            let (checks, writes) = (vec![Check::Absent(row::upload_key(blob))], vec![write.clone()]);
            let commit = Commit { checks, writes, ..Commit::new(home, version).from_reserve() };
            match self.catalog.commit(commit).await {
                // It is queued already.
                Ok(_) | Err(Error::Conflict { .. }) => return Ok(()),
                Err(Error::TooOld { .. }) => version = self.catalog.snapshot(home).await?.read_version(),
                Err(error) => return Err(error),
            }
        }
    }

    /// The object of a blob is damaged: another one is to take its place, where a local copy is left to make it from.
    pub(in crate::blob) async fn upload_again(
        &self,
        home: PartitionId,
        blob: BlobId,
        row: &BlobRow,
    ) -> Result<()> {
        let Some(pool) = self.remote_of(row).filter(|_| !row.copies.is_empty()) else { return Ok(()) };
        let queued = UploadRow { queued: pool.clock.now(), bytes: stored_len(row), again: true };
        self.commit_one(home, Write::Put(row::upload_key(blob), queued.to_bytes())).await?;
        pool.uploader.notify_one();
        Ok(())
    }

    /// Leaves the remote store alone from now on: uploads that are under way end where they are, to be begun again.
    pub fn stop_remote(&self) {
        if let Some(pool) = &self.remote {
            pool.stopping.send_replace(true);
        }
    }
}

/// Bytes of a blob's object.
pub(super) fn stored_len(row: &BlobRow) -> u64 {
    (0..row.records()).map(|index| row.record_stored_len(index)).sum()
}
