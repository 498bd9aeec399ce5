//! Finishes creations and deletions of buckets, and clears the partitions of deleted ones. A name or partition that is damaged
//! holds up no other: it is put aside, told once, and tried again after a rest.

use super::{BATCH, REST, is_empty, read_partition, reported};
use crate::change::Change;
use crate::cold::of_vault;
use crate::record::UploadGarbage;
use crate::{BucketName, ObjectStore, Result, tables};
use bytes::Bytes;
use engine::BoxFuture;
use engine::blob::has_blobs;
use engine::catalog::record::Record;
use engine::catalog::{Scan, Table, Write};
use engine::id::PartitionId;
use engine::outbox::Outbox;
use engine::worker::{Progress, Stop, Tour, Visitor, Worker};
use std::ops::Bound;
use std::sync::Arc;

/// Rows of the index of lifecycle rules that go at once: there may be very many.
const LOOKS: usize = 2_000;
/// Counters of a bucket, which go last.
const COUNTERS: [Table; 5] =
    [tables::EPOCH, tables::VERSION_COUNT, tables::BYTE_COUNT, tables::DEDUP_WRITTEN, tables::DEDUP_STORED];

/// Goes through both queues in rounds, a page in a tick; a round that did something is followed by another at once.
pub(super) struct Finisher {
    work: Unfinished,
    tour: Tour<(Queue, Bytes)>,
}

/// Two queues of the root partition, the one place of its tour.
struct Unfinished {
    store: Arc<ObjectStore>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Queue {
    #[default]
    Names,
    Leftovers,
}

impl Finisher {
    pub(super) fn new(store: Arc<ObjectStore>) -> Self {
        Self { work: Unfinished { store }, tour: Tour::default() }
    }

    async fn run(&mut self) -> engine::Result<Progress> {
        self.tour.tick(&mut self.work, REST).await
    }
}

impl Visitor for Unfinished {
    type Cursor = (Queue, Bytes);

    fn next(&self, from: Bound<PartitionId>) -> Option<PartitionId> {
        (from != Bound::Excluded(PartitionId::ROOT)).then_some(PartitionId::ROOT)
    }

    /// A page of a queue. What waits for something else is passed by, and holds up no other.
    async fn visit(&mut self, stop: &mut Stop<(Queue, Bytes)>) -> engine::Result<()> {
        let (queue, start) = stop.cursor();
        let table = if queue == Queue::Names { tables::BUCKET_INTENTS } else { tables::DELETED };
        let scan = Scan { start, keys_only: true, ..Scan::prefix(table, b"", BATCH) };
        let page = self.store.catalog.snapshot(stop.partition()).await?.scan(scan.clone()).await?;
        match (scan.behind(&page), queue) {
            (Some(behind), _) => stop.go_on_at((queue, behind.start)),
            (None, Queue::Names) => stop.go_on_at((Queue::Leftovers, Bytes::new())),
            (None, Queue::Leftovers) => {}
        }
        for (raw, _) in page.rows {
            let outcome = match queue {
                Queue::Names => self.name(&raw).await,
                Queue::Leftovers => self.leftover(&raw).await,
            };
            match outcome {
                Ok(rows) => stop.did(rows),
                Err(error) => stop.set_aside(reported(error)),
            }
        }
        Ok(())
    }
}

impl Unfinished {
    async fn name(&self, raw: &Bytes) -> Result<u64> {
        let name = BucketName::parse(&tables::text(raw.to_vec())?)?;
        Ok(u64::from(self.store.finish_bucket(&name).await?))
    }

    async fn leftover(&self, raw: &[u8]) -> Result<u64> {
        self.clear(read_partition(raw)?).await
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
        let looks = Scan { keys_only: true, ..Scan::prefix(tables::DUE, b"", LOOKS) };
        for (raw, _) in snapshot.scan(looks).await?.rows {
            writes.push(Write::Delete(tables::DUE.key(raw)));
        }
        for table in [tables::COLD, tables::DEPOSITS, tables::RESTORE_JOBS] {
            let hints = Scan { keys_only: true, ..Scan::prefix(table, b"", LOOKS) };
            writes.extend(
                snapshot.scan(hints).await?.rows.into_iter().map(|(raw, _)| Write::Delete(table.key(raw))),
            );
        }
        let done = writes.len() as u64;
        if done > 0 {
            let change = Change::writes(writes).freeing().dirty();
            self.store.commit(change.at(partition, &*snapshot)).await?;
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
        let is_left = match &self.store.vaults {
            Some(vaults) => !vaults.abandon(partition).await.map_err(of_vault)?,
            // Whoever configures vaults again clears it.
            None => archive::vault::is_kept_in(&*snapshot).await?,
        };
        if is_left {
            return Ok(0);
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
        self.store.commit(Change::writes(writes).freeing().at(partition, &*snapshot)).await?;
        let root = self.store.catalog.snapshot(PartitionId::ROOT).await?;
        let change = Change::default().delete(tables::partition(tables::DELETED, partition)).freeing();
        self.store.commit(change.at(PartitionId::ROOT, &*root)).await?;
        Ok(1)
    }
}

impl Worker for Finisher {
    fn name(&self) -> &'static str {
        "bucket-finisher"
    }

    fn trouble(&self) -> Option<String> {
        self.tour.trouble()
    }

    fn tick(&mut self) -> BoxFuture<'_, engine::Result<Progress>> {
        Box::pin(self.run())
    }
}

#[cfg(test)]
mod tests {
    use super::Finisher;
    use crate::change::Change;
    use crate::world::{World, bucket};
    use crate::{Versioning, tables};
    use engine::catalog::{Catalog, Write};
    use engine::id::PartitionId;
    use engine::worker::{Progress, Worker};
    use std::sync::Arc;

    async fn commit(world: &World, partition: PartitionId, writes: Vec<Write>) {
        let snapshot = world.catalog.snapshot(partition).await.unwrap();
        world.store.commit(Change::writes(writes).at(partition, &*snapshot)).await.unwrap();
    }

    /// Ticks until it rests; how many errors it told.
    async fn run(finisher: &mut Finisher) -> usize {
        let mut told = 0;
        for _ in 0..1_000 {
            match finisher.tick().await {
                Ok(Progress::More { .. }) => {}
                Ok(Progress::Idle { .. }) => return told,
                Err(_) => told += 1,
            }
        }
        panic!("it comes to no rest: {told} errors");
    }

    #[tokio::test]
    async fn what_is_damaged_of_one_bucket_keeps_no_other_from_being_finished() {
        let world = World::new(310).await;
        let mut partitions = Vec::new();
        for name in ["one", "two", "three"] {
            let name = world.create(name, Versioning::Off).await;
            world.begin(&name, "k").await;
            partitions.push(world.partition(&name).await);
            world.store.delete_bucket(&name).await.unwrap();
        }
        // The first in the order of the queues, each of more than a page.
        partitions.sort();
        commit(&world, partitions[0], vec![Write::Put(tables::UPLOADS.key(vec![0xFF]), "x".into())]).await;
        let damaged: Vec<Write> = (0..300_u16)
            .map(|n| Write::Put(tables::BUCKET_INTENTS.key(format!("!{n:03}").into_bytes()), "x".into()))
            .collect();
        commit(&world, PartitionId::ROOT, damaged).await;
        let begun = tables::bucket(tables::BUCKET_INTENTS, &bucket("begun"));
        commit(&world, PartitionId::ROOT, vec![Write::Put(begun, "x".into())]).await;
        world.store.find_work().await.unwrap();
        let mut finisher = Finisher::new(Arc::clone(&world.store));
        // It is told once, and again after a rest.
        for _ in 0..2 {
            assert_eq!(run(&mut finisher).await, 1);
        }
        assert_eq!(world.rows(PartitionId::ROOT, tables::BUCKET_INTENTS).await, 300, "one was finished");
        for (n, partition) in partitions.iter().enumerate() {
            let uploads = world.rows(*partition, tables::UPLOADS).await;
            assert_eq!(uploads, if n == 0 { 2 } else { 0 }, "partition {n}");
        }
        // Those that are cleared go as ever once the other workers have done their part.
        for worker in world.store.workers().iter_mut().filter(|worker| worker.name() == "upload-cleanup") {
            while let Ok(Progress::More { .. }) = worker.tick().await {}
        }
        run(&mut finisher).await;
        assert_eq!(world.rows(PartitionId::ROOT, tables::DELETED).await, 1);
        // Mended, the last one goes, too.
        commit(&world, partitions[0], vec![Write::Delete(tables::UPLOADS.key(vec![0xFF]))]).await;
        run(&mut finisher).await;
        assert_eq!(world.rows(partitions[0], tables::UPLOADS).await, 0);
    }
}
