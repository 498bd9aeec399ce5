//! Finishes creations and deletions of buckets, and clears the partitions of deleted ones.

use super::{BATCH, REST, is_empty, read_partition, reported};
use crate::record::UploadGarbage;
use crate::{BucketName, ObjectStore, Result, tables};
use engine::BoxFuture;
use engine::blob::has_blobs;
use engine::catalog::record::Record;
use engine::catalog::{Commit, Scan, Table, Write};
use engine::id::PartitionId;
use engine::outbox::Outbox;
use engine::worker::{Progress, Worker};
use std::sync::Arc;

/// Counters of a bucket, which go last.
const COUNTERS: [Table; 5] =
    [tables::EPOCH, tables::VERSION_COUNT, tables::BYTE_COUNT, tables::DEDUP_WRITTEN, tables::DEDUP_STORED];

pub(super) struct Finisher {
    store: Arc<ObjectStore>,
    /// Which deleted partitions are looked at next: those that still wait for something are passed by, and hold up no other.
    leftovers: Option<Scan>,
}

impl Finisher {
    pub(super) fn new(store: Arc<ObjectStore>) -> Self {
        Self { store, leftovers: None }
    }

    async fn run(&mut self) -> Result<Progress> {
        let done = self.names().await? + self.leftovers().await?;
        let more = done > 0 || self.leftovers.is_some();
        Ok(if more { Progress::More { done } } else { Progress::Idle { rest: REST } })
    }

    async fn names(&self) -> Result<u64> {
        let root = self.store.catalog.snapshot(PartitionId::ROOT).await?;
        let page = root.scan(Scan::prefix(tables::BUCKET_INTENTS, b"", BATCH)).await?;
        let mut done = 0;
        for (raw, _) in &page.rows {
            let name = BucketName::parse(&tables::text(raw.to_vec())?)?;
            done += u64::from(self.store.finish_bucket(&name).await?);
        }
        Ok(done)
    }

    async fn leftovers(&mut self) -> Result<u64> {
        let root = self.store.catalog.snapshot(PartitionId::ROOT).await?;
        let scan = self.leftovers.take().unwrap_or_else(|| Scan::prefix(tables::DELETED, b"", BATCH));
        let page = root.scan(scan.clone()).await?;
        self.leftovers = scan.behind(&page);
        let mut done = 0;
        for (raw, _) in &page.rows {
            done += self.clear(read_partition(raw)?).await?;
        }
        Ok(done)
    }

    /// One batch of what a deleted bucket left; rows that it got rid of.
    async fn clear(&self, partition: PartitionId) -> Result<u64> {
        let snapshot = self.store.catalog.snapshot(partition).await?;
        let mut writes = Vec::new();
        let uploads = Scan { keys_only: true, ..Scan::prefix(tables::UPLOADS, b"", BATCH) };
        for (raw, _) in snapshot.scan(uploads).await?.rows {
            let (_, upload) = tables::read_upload(&raw)?;
            writes.push(Write::Delete(tables::UPLOADS.key(raw)));
            writes.push(Write::Delete(tables::of_upload(tables::PART_EPOCH, upload)));
            let garbage = tables::of_upload(tables::UPLOAD_GARBAGE, upload);
            writes.push(Write::Put(garbage, UploadGarbage::default().to_bytes()));
        }
        let completed = Scan { keys_only: true, ..Scan::prefix(tables::COMPLETED, b"", BATCH) };
        for (raw, _) in snapshot.scan(completed).await?.rows {
            writes.push(Write::Delete(tables::COMPLETED.key(raw)));
        }
        let done = writes.len() as u64;
        if done > 0 {
            let commit = Commit { writes, ..Commit::new(partition, snapshot.read_version()).from_reserve() };
            self.store.commit(commit, Vec::new()).await?;
            self.store.mark_dirty(partition);
            return Ok(done);
        }
        // What others still refer to keeps the partition; so do the queues that the other workers empty.
        for table in [
            tables::PARTS,
            tables::UPLOAD_GARBAGE,
            tables::MANIFESTS,
            tables::MANIFEST_REFS,
            tables::MANIFEST_GARBAGE,
            tables::HOLDS,
            tables::RELEASES,
            tables::FOREIGN,
            tables::INTENTS,
            tables::FENCES,
            tables::INGESTS,
            tables::STAGED,
        ] {
            if !is_empty(&*snapshot, table).await? {
                return Ok(0);
            }
        }
        if has_blobs(&*snapshot).await? || Outbox::holds(&*snapshot).await? {
            return Ok(0);
        }
        let mut writes = COUNTERS.map(|table| Write::Delete(tables::only(table))).to_vec();
        let quotas = Scan { keys_only: true, ..Scan::prefix(tables::QUOTA_COUNT, b"", 1_000) };
        for (raw, _) in snapshot.scan(quotas).await?.rows {
            writes.push(Write::Delete(tables::QUOTA_COUNT.key(raw)));
        }
        writes.extend(self.store.outbox.forget(&*snapshot, partition).await?);
        let commit = Commit { writes, ..Commit::new(partition, snapshot.read_version()).from_reserve() };
        self.store.commit(commit, Vec::new()).await?;
        let root = self.store.catalog.snapshot(PartitionId::ROOT).await?.read_version();
        let writes = vec![Write::Delete(tables::partition(tables::DELETED, partition))];
        let commit = Commit { writes, ..Commit::new(PartitionId::ROOT, root).from_reserve() };
        self.store.commit(commit, Vec::new()).await?;
        Ok(1)
    }
}

impl Worker for Finisher {
    fn name(&self) -> &'static str {
        "bucket-finisher"
    }

    fn tick(&mut self) -> BoxFuture<'_, engine::Result<Progress>> {
        Box::pin(async { self.run().await.map_err(reported) })
    }
}
