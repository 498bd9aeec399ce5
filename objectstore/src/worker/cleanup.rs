//! Releases what ended uploads, dropped manifests and deleted copies held, and finishes ingests.

use super::{BATCH, Buckets, REST, SWEEP, count, older, reported};
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

pub(super) struct Cleanup {
    work: Dirty,
    tour: Tour<()>,
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
    type Cursor = ();

    fn next(&self, from: Bound<PartitionId>) -> Option<PartitionId> {
        self.store.dirty.lock().range((from, Bound::Unbounded)).next().copied()
    }

    /// One batch of every queue; what fails of one holds up none of the others.
    async fn visit(&mut self, stop: &mut Stop<()>) -> engine::Result<()> {
        let partition = stop.partition();
        self.store.dirty.lock().remove(&partition);
        let outcomes = [
            self.uploads(stop).await,
            self.manifests(stop).await,
            self.releases(stop).await,
            self.completions(stop).await,
            self.ingests(stop).await,
        ];
        if count(outcomes, stop) {
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

    async fn uploads(&self, stop: &mut Stop<()>) -> Result<u64> {
        let partition = stop.partition();
        let snapshot = self.snapshot(partition).await?;
        let page = snapshot.scan(Scan::prefix(tables::UPLOAD_GARBAGE, b"", BATCH)).await?;
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
            return Ok(0);
        }
        self.commit(change.at(partition, &*snapshot)).await
    }

    async fn manifests(&self, stop: &mut Stop<()>) -> Result<u64> {
        let partition = stop.partition();
        let snapshot = self.snapshot(partition).await?;
        let page = snapshot.scan(Scan::prefix(tables::MANIFEST_GARBAGE, b"", BATCH)).await?;
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

    async fn releases(&self, stop: &mut Stop<()>) -> Result<u64> {
        let partition = stop.partition();
        let snapshot = self.snapshot(partition).await?;
        let page = snapshot.scan(Scan::prefix(tables::RELEASES, b"", BATCH)).await?;
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
            return Ok(0);
        }
        let rows: Vec<Write> = rows.into_iter().map(|(_, row)| row).collect();
        self.commit(Change::writes(rows).freeing().at(partition, &*snapshot)).await
    }

    /// What nobody carries on of an ingest.
    async fn ingests(&self, stop: &mut Stop<()>) -> Result<u64> {
        self.store.finish_ingests(stop.partition(), |error| stop.set_aside(reported(error))).await
    }

    async fn completions(&self, stop: &mut Stop<()>) -> Result<u64> {
        let partition = stop.partition();
        let snapshot = self.snapshot(partition).await?;
        let now = self.store.clock.now();
        let page = snapshot.scan(Scan::prefix(tables::COMPLETED, b"", BATCH)).await?;
        let mut writes = Vec::new();
        for (key, raw) in &page.rows {
            match CompletedRow::from_bytes(raw) {
                Ok(row) if older(row.at, now, COMPLETED_KEPT) => {
                    writes.push(Write::Delete(tables::COMPLETED.key(key.clone())));
                }
                Ok(_) => {}
                Err(error) => stop.set_aside(error),
            }
        }
        if writes.is_empty() {
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
    use super::Cleanup;
    use crate::change::Change;
    use crate::world::{World, bytes, key};
    use crate::{Versioning, tables};
    use engine::catalog::{Catalog, Write};
    use engine::worker::{Progress, Worker};
    use std::sync::Arc;

    #[tokio::test]
    async fn what_is_damaged_in_a_queue_keeps_nothing_behind_it_nor_in_the_other_queues() {
        let world = World::new(311).await;
        let name = world.create("bucket", Versioning::Off).await;
        let partition = world.partition(&name).await;
        let queues = [tables::UPLOAD_GARBAGE, tables::MANIFEST_GARBAGE, tables::RELEASES, tables::COMPLETED];
        let damage = queues.map(|table| Write::Put(table.key(vec![0; 16]), "x".into())).to_vec();
        let snapshot = world.catalog.snapshot(partition).await.unwrap();
        world.store.commit(Change::writes(damage).at(partition, &*snapshot)).await.unwrap();
        for n in 0..3 {
            let upload = world.begin(&name, "k").await;
            world.part(&name, "k", upload, 1, bytes(n, 50_000)).await.unwrap();
            world.store.abort_upload(&name, &key("k"), upload).await.unwrap();
        }
        world.store.find_work().await.unwrap();
        let mut cleanup = Cleanup::new(Arc::clone(&world.store));
        // It is told once, and again after a rest.
        for _ in 0..2 {
            let mut told = 0;
            loop {
                match cleanup.tick().await {
                    Ok(Progress::More { .. }) => {}
                    Ok(Progress::Idle { .. }) => break,
                    Err(_) => told += 1,
                }
                assert!(told < 2, "it comes to no rest");
            }
            assert_eq!(told, 1);
        }
        assert_eq!(world.references(partition).await, 0);
        for queue in queues {
            assert_eq!(world.rows(partition, queue).await, 1, "what is damaged stays");
        }
    }
}
