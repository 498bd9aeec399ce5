//! Finishes creations and deletions of buckets, and clears the partitions of deleted ones. A name or partition that is damaged
//! holds up no other: it is put aside, told once, and tried again after a rest.

use super::{BATCH, REST, is_empty, read_partition, reported};
use crate::change::Change;
use crate::record::UploadGarbage;
use crate::{BucketName, ObjectStore, Result, tables};
use bytes::Bytes;
use engine::BoxFuture;
use engine::blob::has_blobs;
use engine::catalog::record::Record;
use engine::catalog::{Scan, Table, Write};
use engine::id::PartitionId;
use engine::outbox::Outbox;
use engine::worker::{Progress, Worker};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Rows of the index of lifecycle rules that go at once: there may be very many.
const LOOKS: usize = 2_000;
/// Counters of a bucket, which go last.
const COUNTERS: [Table; 5] =
    [tables::EPOCH, tables::VERSION_COUNT, tables::BYTE_COUNT, tables::DEDUP_WRITTEN, tables::DEDUP_STORED];

/// Goes through both queues in rounds, a page of each in a tick; a round that did something is followed by another at once.
pub(super) struct Finisher {
    store: Arc<ObjectStore>,
    /// Where the round goes on: what waits for something else is passed by, and holds up no other.
    names: Place,
    leftovers: Place,
    /// Names and partitions that failed since the last rest: they hold up no other, and have their turn again after one.
    failed: BTreeSet<(Queue, Bytes)>,
    /// Why the first of them did. It is told once, at the end of the rounds.
    why: Option<engine::Error>,
    /// It was told: what comes next is a rest.
    told: bool,
    /// The round has got rid of something.
    did: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Queue {
    Names,
    Leftovers,
}

/// Where a round is in a queue.
#[derive(Clone, Debug)]
enum Place {
    At(Scan),
    Ended,
}

impl Queue {
    fn begin(self) -> Place {
        let table = if self == Self::Names { tables::BUCKET_INTENTS } else { tables::DELETED };
        Place::At(Scan { keys_only: true, ..Scan::prefix(table, b"", BATCH) })
    }
}

impl Finisher {
    pub(super) fn new(store: Arc<ObjectStore>) -> Self {
        let (names, leftovers) = (Queue::Names.begin(), Queue::Leftovers.begin());
        Self { store, names, leftovers, failed: BTreeSet::new(), why: None, told: false, did: false }
    }

    async fn run(&mut self) -> Result<Progress> {
        if std::mem::take(&mut self.told) {
            return Ok(Progress::Idle { rest: REST });
        }
        let done = self.page(Queue::Names).await? + self.page(Queue::Leftovers).await?;
        self.did |= done > 0;
        if let (Place::Ended, Place::Ended) = (&self.names, &self.leftovers) {
            (self.names, self.leftovers) = (Queue::Names.begin(), Queue::Leftovers.begin());
            if !std::mem::take(&mut self.did) {
                self.failed.clear();
                self.told = self.why.is_some();
                return self.why.take().map_or(Ok(Progress::Idle { rest: REST }), |why| Err(why.into()));
            }
        }
        Ok(Progress::More { done })
    }

    /// The next page of a queue; rows that it got rid of.
    async fn page(&mut self, queue: Queue) -> Result<u64> {
        let place = if queue == Queue::Names { &mut self.names } else { &mut self.leftovers };
        let Place::At(scan) = place.clone() else { return Ok(0) };
        let page = self.store.catalog.snapshot(PartitionId::ROOT).await?.scan(scan.clone()).await?;
        *place = scan.behind(&page).map_or(Place::Ended, Place::At);
        let mut done = 0;
        for (raw, _) in page.rows {
            if self.failed.contains(&(queue, raw.clone())) {
                continue;
            }
            let outcome = match queue {
                Queue::Names => self.name(&raw).await,
                Queue::Leftovers => self.leftover(&raw).await,
            };
            match outcome {
                Ok(rows) => done += rows,
                Err(error) => self.put_aside(queue, raw, reported(error)),
            }
        }
        Ok(done)
    }

    /// Only the first error is reported; the others are said here.
    fn put_aside(&mut self, queue: Queue, raw: Bytes, error: engine::Error) {
        if self.why.is_some() {
            tracing::error!(%error, ?queue, "a bucket can't be finished now");
        } else {
            self.why = Some(error);
        }
        self.failed.insert((queue, raw));
    }

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

    fn tick(&mut self) -> BoxFuture<'_, engine::Result<Progress>> {
        Box::pin(async { self.run().await.map_err(reported) })
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
