//! Releases what ended uploads, dropped manifests and deleted copies held, and finishes ingests.

use super::{BATCH, Buckets, Place, Places, REST, SWEEP, count, older, reported};
use crate::change::{Change, Proposal};
use crate::dedup::release_holds;
use crate::id::{ManifestId, OwnerId};
use crate::record::{
    CompletedRow, ForeignRow, ManifestEntry, ManifestGarbage, ManifestPage, PartRow, UploadGarbage,
};
use crate::stack::release_content;
use crate::{ObjectStore, Result, UploadId, tables};
use bytes::Bytes;
use engine::BoxFuture;
use engine::catalog::record::Record;
use engine::catalog::{Key, Scan, Snapshot, Write};
use engine::id::PartitionId;
use engine::worker::{Progress, Stop, Tour, Visitor, Worker};
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

/// How long a completion can be repeated.
const COMPLETED_KEPT: Duration = Duration::from_hours(24);
/// Parts released in one commit: some 6,000 writes at the most, and a walk over the parts that went before for every 2,000.
const PARTS: usize = 2_000;
/// Manifest pages taken apart in one commit: 8 of 256 extents are some 4,000 writes.
const PAGES: usize = 8;
/// Uploads, manifests, releases, completions, ingests.
const QUEUES: usize = 5;

pub(super) struct Cleanup {
    work: Dirty,
    tour: Tour<Places<QUEUES>>,
    /// When all partitions were last marked, by boot time.
    swept: Option<Duration>,
    /// Where that goes on, while it is under way.
    sweep: Option<Buckets>,
}

/// Partitions that may have work, each in its turn.
struct Dirty {
    store: Arc<ObjectStore>,
}

impl Cleanup {
    pub(super) fn new(store: Arc<ObjectStore>) -> Self {
        Self { work: Dirty { store }, tour: Tour::default(), swept: None, sweep: None }
    }

    async fn run(&mut self) -> Result<Progress> {
        // Boot time: who sets the clock back puts nothing off.
        let now = self.work.store.clock.boottime();
        let swept = *self.swept.get_or_insert(now);
        if now.saturating_sub(swept) >= SWEEP {
            (self.swept, self.sweep) = (Some(now), Some(Buckets::default()));
        }
        if let Some(at) = self.sweep.clone() {
            // A page that can't be read is tried again.
            self.sweep = self.work.mark(at).await?;
            return Ok(Progress::More { done: 0 });
        }
        Ok(self.tour.tick(&mut self.work, REST).await?)
    }
}

impl Visitor for Dirty {
    type Cursor = Places<QUEUES>;

    fn next(&self, from: Bound<PartitionId>) -> Option<PartitionId> {
        self.store.dirty.lock().range((from, Bound::Unbounded)).next().copied()
    }

    /// One batch of every queue; what fails of one holds up none of the others.
    async fn visit(&mut self, stop: &mut Stop<Places<QUEUES>>) -> engine::Result<()> {
        let partition = stop.partition();
        self.store.dirty.lock().remove(&partition);
        let mut places = stop.cursor();
        let [uploads, manifests, releases, completions, ingests] = &mut places.queues;
        let outcomes = [
            self.uploads(stop, uploads).await,
            self.manifests(stop, manifests).await,
            self.releases(stop, releases).await,
            self.completions(stop, completions).await,
            self.ingests(stop, ingests).await,
        ];
        let is_left = count(outcomes, stop);
        if places.leave(is_left, stop) {
            self.store.dirty.lock().insert(partition);
        }
        Ok(())
    }
}

impl Dirty {
    /// Marks a page of all partitions, as when somebody's mark was lost; where the others are.
    async fn mark(&self, at: Buckets) -> Result<Option<Buckets>> {
        let (page, behind) = self.store.partitions_page(at).await?;
        for row in page {
            match row {
                Ok((partition, _)) => self.store.mark_dirty(partition),
                Err(error) => tracing::error!(%error, "a bucket is not looked at"),
            }
        }
        Ok(behind)
    }

    async fn snapshot(&self, partition: PartitionId) -> Result<Arc<dyn Snapshot>> {
        Ok(self.store.catalog.snapshot(partition).await?)
    }

    /// Commits a batch about some queue rows. Somebody was faster: they are looked at again.
    async fn commit(&self, proposal: Proposal) -> Result<u64> {
        let done = proposal.change.writes.len() as u64;
        Ok(if self.store.try_commit(proposal).await? { done } else { 1 })
    }

    async fn uploads(&self, stop: &mut Stop<Places<QUEUES>>, at: &mut Place) -> Result<u64> {
        let partition = stop.partition();
        let snapshot = self.snapshot(partition).await?;
        let (page, behind) = at.page(&*snapshot, tables::UPLOAD_GARBAGE).await?;
        let (mut change, mut room) = (Change::default().freeing(), PARTS);
        for row in &page.rows {
            if room == 0 {
                break;
            }
            match Ended::read(&*snapshot, partition, row, room).await {
                Ok(ended) => {
                    room = room.saturating_sub(ended.parts);
                    change = change.unchanged(ended.row);
                    change.writes.extend(ended.writes);
                }
                Err(error) => stop.set_aside(reported(error)),
            }
        }
        if change.writes.is_empty() {
            *at = behind;
            return Ok(0);
        }
        self.commit(change.at(partition, &*snapshot)).await
    }

    async fn manifests(&self, stop: &mut Stop<Places<QUEUES>>, at: &mut Place) -> Result<u64> {
        let partition = stop.partition();
        let snapshot = self.snapshot(partition).await?;
        let (page, behind) = at.page(&*snapshot, tables::MANIFEST_GARBAGE).await?;
        for (raw_id, raw) in &page.rows {
            let one = async {
                let id = tables::read_id(raw_id)?;
                // Being written, or read: its turn comes with the next visit.
                if self.store.is_active(id) {
                    return Ok(0);
                }
                let garbage = ManifestGarbage::from_bytes(raw)?;
                self.manifest(partition, &*snapshot, ManifestId::from_bytes(id), garbage).await
            };
            match one.await {
                Ok(0) => {}
                Ok(done) => return Ok(done),
                Err(error) => stop.set_aside(reported(error)),
            }
        }
        *at = behind;
        Ok(0)
    }

    async fn manifest(
        &self,
        partition: PartitionId,
        snapshot: &dyn Snapshot,
        manifest: ManifestId,
        garbage: ManifestGarbage,
    ) -> Result<u64> {
        let row = tables::of_manifest(tables::MANIFEST_GARBAGE, manifest);
        let mut change = Change::default().unchanged(row.clone()).freeing();
        let refs = Scan { keys_only: true, ..Scan::prefix(tables::MANIFEST_REFS, manifest.as_bytes(), 1) };
        if !snapshot.scan(refs).await?.rows.is_empty() {
            return self.commit(change.delete(row).at(partition, snapshot)).await;
        }
        let pages = snapshot.scan(Scan::prefix(tables::MANIFESTS, manifest.as_bytes(), PAGES)).await?;
        let mut deduplicated = 0_u64;
        for (key, raw) in &pages.rows {
            change.writes.push(Write::Delete(tables::MANIFESTS.key(key.clone())));
            if garbage == ManifestGarbage::Draft {
                continue;
            }
            for ManifestEntry { number, extent, .. } in ManifestPage::from_bytes(raw)?.entries {
                // Entries without a number are a deduplicated body's: what they refer to is held by the manifest as a whole.
                if number == 0 {
                    deduplicated += extent.length;
                } else {
                    change.writes.extend(release_content(partition, extent.owner, &extent.content)?.0);
                }
            }
        }
        let mut more = pages.more;
        if !more {
            let (held, more_held) = release_holds(snapshot, manifest, BATCH).await?;
            change.writes.extend(held);
            more = more_held;
        }
        if deduplicated > 0 {
            let gone = i64::try_from(deduplicated).unwrap_or(i64::MAX);
            change.writes.push(Write::Add(tables::only(tables::DEDUP_WRITTEN), -gone));
        }
        // Written even when it stays: a completion that still counts on its draft must notice.
        let change = if more { change.put(row, garbage.to_bytes()) } else { change.delete(row) };
        self.commit(change.at(partition, snapshot)).await
    }

    async fn releases(&self, stop: &mut Stop<Places<QUEUES>>, at: &mut Place) -> Result<u64> {
        let partition = stop.partition();
        let snapshot = self.snapshot(partition).await?;
        let (page, behind) = at.page(&*snapshot, tables::RELEASES).await?;
        let mut homes: BTreeMap<PartitionId, Vec<Write>> = BTreeMap::new();
        let mut rows = Vec::new();
        for (raw_owner, raw) in &page.rows {
            match released(raw_owner, raw) {
                Ok((owner, home, writes)) => {
                    if let Some(home) = home {
                        homes.entry(home).or_default().extend(writes);
                    }
                    rows.push((home, Write::Delete(tables::of_owner(tables::RELEASES, owner))));
                }
                Err(error) => stop.set_aside(reported(error)),
            }
        }
        for (home, writes) in homes {
            let released = async {
                let there = self.snapshot(home).await?;
                self.store.commit(Change::writes(writes).freeing().dirty().at(home, &*there)).await
            };
            // Its rows stay; those behind it are not kept waiting.
            if let Err(error) = released.await {
                stop.set_aside(reported(error));
                rows.retain(|(of, _)| *of != Some(home));
            }
        }
        if rows.is_empty() {
            *at = behind;
            return Ok(0);
        }
        let rows: Vec<Write> = rows.into_iter().map(|(_, row)| row).collect();
        self.commit(Change::writes(rows).freeing().at(partition, &*snapshot)).await
    }

    /// What nobody carries on of an ingest.
    async fn ingests(&self, stop: &mut Stop<Places<QUEUES>>, at: &mut Place) -> Result<u64> {
        if at.is_over() {
            return Ok(0);
        }
        let done =
            self.store.finish_ingests(stop.partition(), |error| stop.set_aside(reported(error))).await?;
        if done == 0 {
            *at = Place::Over;
        }
        Ok(done)
    }

    async fn completions(&self, stop: &mut Stop<Places<QUEUES>>, at: &mut Place) -> Result<u64> {
        let partition = stop.partition();
        let snapshot = self.snapshot(partition).await?;
        let now = self.store.clock.now();
        let (page, behind) = at.page(&*snapshot, tables::COMPLETED).await?;
        let (mut writes, mut waits) = (Vec::new(), false);
        for (key, raw) in &page.rows {
            match CompletedRow::from_bytes(raw) {
                Ok(row) if older(row.at, now, COMPLETED_KEPT) => {
                    writes.push(Write::Delete(tables::COMPLETED.key(key.clone())));
                }
                Ok(_) => waits = true,
                Err(error) => stop.set_aside(error),
            }
        }
        if writes.is_empty() {
            // They are named as they were begun: behind one that is kept hardly any is to go.
            *at = if waits { Place::Over } else { behind };
            return Ok(0);
        }
        self.commit(Change::writes(writes).freeing().at(partition, &*snapshot)).await
    }
}

/// What is released with the next parts of an ended upload.
struct Ended {
    row: Key,
    parts: usize,
    writes: Vec<Write>,
}

impl Ended {
    async fn read(
        snapshot: &dyn Snapshot,
        partition: PartitionId,
        (raw_id, raw): &(Bytes, Bytes),
        room: usize,
    ) -> Result<Self> {
        let upload = UploadId::from_bytes(tables::read_id(raw_id)?);
        let garbage = UploadGarbage::from_bytes(raw)?;
        let parts = snapshot.scan(Scan::prefix(tables::PARTS, upload.as_bytes(), room)).await?;
        let mut writes = Vec::new();
        for (key, raw) in &parts.rows {
            writes.push(Write::Delete(tables::PARTS.key(key.clone())));
            if !garbage.used.contains(tables::read_part(key)?) {
                let part = PartRow::from_bytes(raw)?;
                writes.extend(release_content(partition, part.extent.owner, &part.extent.content)?.0);
            }
        }
        let row = tables::of_upload(tables::UPLOAD_GARBAGE, upload);
        if !parts.more {
            writes.push(Write::Delete(row.clone()));
        }
        Ok(Self { row, parts: parts.rows.len(), writes })
    }
}

/// Whose a row of releases is, and what it asks for in another partition.
fn released(raw_owner: &[u8], raw: &[u8]) -> Result<(OwnerId, Option<PartitionId>, Vec<Write>)> {
    let owner = OwnerId::from_bytes(tables::read_id(raw_owner)?);
    let content = ForeignRow::from_bytes(raw)?.content;
    let Some(home) = content.home() else { return Ok((owner, None, Vec::new())) };
    Ok((owner, Some(home), release_content(home, owner, &content)?.0))
}

impl Worker for Cleanup {
    fn name(&self) -> &'static str {
        "upload-cleanup"
    }

    fn trouble(&self) -> Option<String> {
        self.tour.trouble()
    }

    fn tick(&mut self) -> BoxFuture<'_, engine::Result<Progress>> {
        Box::pin(async { self.run().await.map_err(reported) })
    }
}

#[cfg(test)]
mod tests {
    use super::{COMPLETED_KEPT, Cleanup};
    use crate::change::Change;
    use crate::record::{Content, ForeignRow, ManifestGarbage};
    use crate::world::{World, bytes, copy_request, key};
    use crate::{Versioning, tables};
    use engine::BoxFuture;
    use engine::catalog::record::Record;
    use engine::catalog::{Catalog, Commit, Limits, MemoryCatalog, Snapshot, Version, Write};
    use engine::id::PartitionId;
    use engine::worker::{Progress, Worker};
    use std::sync::Arc;

    /// Rows that can't be read, of a queue.
    const DAMAGED: u16 = 512;

    /// Ticks until it rests; how many errors it told.
    async fn run(cleanup: &mut Cleanup) -> usize {
        let mut told = 0;
        for _ in 0..1_000 {
            match cleanup.tick().await {
                Ok(Progress::More { .. }) => {}
                Ok(Progress::Idle { .. }) => return told,
                Err(_) => told += 1,
            }
        }
        panic!("it comes to no rest: {told} errors");
    }

    #[tokio::test]
    async fn what_is_damaged_in_a_queue_keeps_nothing_behind_it_nor_in_the_other_queues() {
        let world = World::new(311).await;
        let name = world.create("bucket", Versioning::Off).await;
        let partition = world.partition(&name).await;
        let queues = [tables::UPLOAD_GARBAGE, tables::MANIFEST_GARBAGE, tables::RELEASES, tables::COMPLETED];
        // More than a page of it at the head of each.
        let mut writes = Vec::new();
        for queue in queues {
            for n in 0..DAMAGED {
                let id = [&[0; 14][..], &n.to_be_bytes()].concat();
                writes.push(Write::Put(queue.key(id), "x".into()));
            }
        }
        // Behind it something to do.
        let (last, empty) = (vec![0xFF; 16], ForeignRow { content: Content::Empty });
        writes
            .push(Write::Put(tables::MANIFEST_GARBAGE.key(last.clone()), ManifestGarbage::Draft.to_bytes()));
        writes.push(Write::Put(tables::RELEASES.key(last), empty.to_bytes()));
        let snapshot = world.catalog.snapshot(partition).await.unwrap();
        world.store.commit(Change::writes(writes).at(partition, &*snapshot)).await.unwrap();
        for n in 0..3 {
            let upload = world.begin(&name, "k").await;
            let part = world.part(&name, "k", upload, 1, bytes(n, 50_000)).await.unwrap();
            if n == 0 {
                world.complete(&name, "k", upload, vec![part]).await.unwrap();
            } else {
                world.store.abort_upload(&name, &key("k"), upload).await.unwrap();
            }
        }
        world.delete(&name, "k").await;
        world.clock.advance(COMPLETED_KEPT);
        world.store.find_work().await.unwrap();
        let mut cleanup = Cleanup::new(Arc::clone(&world.store));
        // It is told once, and again after a rest.
        for _ in 0..2 {
            assert_eq!(run(&mut cleanup).await, 1);
        }
        assert_eq!(world.references(partition).await, 0);
        for queue in queues {
            assert_eq!(world.rows(partition, queue).await, usize::from(DAMAGED), "what is damaged stays");
        }
        // So it is where the last that is looked at is sound, and has to wait.
        let upload = world.begin(&name, "k").await;
        let part = world.part(&name, "k", upload, 1, "body").await.unwrap();
        world.complete(&name, "k", upload, vec![part]).await.unwrap();
        for _ in 0..2 {
            assert_eq!(run(&mut cleanup).await, 1);
        }
        assert_eq!(world.rows(partition, tables::COMPLETED).await, usize::from(DAMAGED) + 1);
    }

    /// Refuses every commit to a partition.
    struct Refusing {
        rows: Arc<MemoryCatalog>,
        refused: PartitionId,
    }

    impl Catalog for Refusing {
        fn limits(&self) -> Limits {
            self.rows.limits()
        }

        fn snapshot(&self, partition: PartitionId) -> BoxFuture<'_, engine::Result<Arc<dyn Snapshot>>> {
            self.rows.snapshot(partition)
        }

        fn commit(&self, commit: Commit) -> BoxFuture<'_, engine::Result<Version>> {
            if commit.partition == self.refused {
                let refusal = Err(engine::Error::Invalid("not now".to_owned()));
                return Box::pin(std::future::ready(refusal));
            }
            self.rows.commit(commit)
        }
    }

    #[tokio::test]
    async fn references_that_can_not_be_dropped_now_wait_and_keep_none_of_other_partitions() {
        let world = World::new(313).await;
        let name = world.create("copies", Versioning::Off).await;
        let mut homes = Vec::new();
        for home in ["one", "two"] {
            let from = world.create(home, Versioning::Off).await;
            world.put(&from, "k", bytes(1, 50_000)).await;
            world.store.copy(copy_request((&from, "k"), (&name, home))).await.unwrap();
            world.delete(&from, "k").await;
            world.delete(&name, home).await;
            homes.push(world.partition(&from).await);
        }
        let partition = world.partition(&name).await;
        assert_eq!(world.rows(partition, tables::RELEASES).await, 2);
        let references = async || (world.references(homes[0]).await, world.references(homes[1]).await);
        assert_eq!(references().await, (1, 1), "the copies'");
        let refusing = Refusing { rows: world.catalog.clone(), refused: homes[0] };
        let beside = world.beside(Arc::new(refusing)).await;
        assert_eq!(run(&mut Cleanup::new(Arc::clone(&beside.store))).await, 1);
        assert_eq!((references().await, world.rows(partition, tables::RELEASES).await), ((1, 0), 1));
        world.store.find_work().await.unwrap();
        assert_eq!(run(&mut Cleanup::new(Arc::clone(&world.store))).await, 0);
        assert_eq!((references().await, world.rows(partition, tables::RELEASES).await), ((0, 0), 0));
    }
}
