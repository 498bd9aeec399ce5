//! Releases what ended uploads, dropped manifests and deleted copies held, and finishes ingests.

use super::{BATCH, REST, SWEEP, older, reported};
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
use engine::catalog::{Scan, Snapshot, Write};
use engine::id::PartitionId;
use engine::worker::{Progress, Worker};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// How long a completion can be repeated.
const COMPLETED_KEPT: Duration = Duration::from_hours(24);
/// Parts released in one commit: some 6,000 writes at the most, and a walk over the parts that went before for every 2,000.
const PARTS: usize = 2_000;
/// Manifest pages taken apart in one commit: 8 of 256 extents are some 4,000 writes.
const PAGES: usize = 8;

pub(super) struct Cleanup {
    store: Arc<ObjectStore>,
    /// At which boot time.
    swept: Option<Duration>,
    /// Partitions that failed since the queue was last empty: they hold up no others, and have their turn again after a rest.
    failed: BTreeSet<PartitionId>,
}

impl Cleanup {
    pub(super) fn new(store: Arc<ObjectStore>) -> Self {
        Self { store, swept: None, failed: BTreeSet::new() }
    }

    async fn run(&mut self) -> Result<Progress> {
        // Boot time: who sets the clock back puts nothing off.
        let now = self.store.clock.boottime();
        let swept = *self.swept.get_or_insert(now);
        if now.saturating_sub(swept) >= SWEEP {
            self.swept = Some(now);
            self.store.find_work().await?;
        }
        let next = self.store.dirty.lock().pop_first();
        let Some(partition) = next else {
            self.store.dirty.lock().append(&mut self.failed);
            return Ok(Progress::Idle { rest: REST });
        };
        match self.visit(partition).await {
            Ok(0) => Ok(Progress::More { done: 0 }),
            Ok(done) => {
                self.store.dirty.lock().insert(partition);
                Ok(Progress::More { done })
            }
            Err(error) => {
                self.failed.insert(partition);
                Err(error)
            }
        }
    }

    /// One batch of every queue of a partition; rows that it got rid of.
    async fn visit(&self, partition: PartitionId) -> Result<u64> {
        let done = self.uploads(partition).await? + self.manifests(partition).await?;
        let done = done + self.releases(partition).await? + self.completions(partition).await?;
        Ok(done + self.store.finish_ingests(partition).await?)
    }

    async fn snapshot(&self, partition: PartitionId) -> Result<Arc<dyn Snapshot>> {
        Ok(self.store.catalog.snapshot(partition).await?)
    }

    /// Commits a batch about some queue rows. Somebody was faster: they are looked at again.
    async fn commit(&self, proposal: Proposal) -> Result<u64> {
        let done = proposal.change.writes.len() as u64;
        Ok(if self.store.try_commit(proposal).await? { done } else { 1 })
    }

    async fn uploads(&self, partition: PartitionId) -> Result<u64> {
        let snapshot = self.snapshot(partition).await?;
        let page = snapshot.scan(Scan::prefix(tables::UPLOAD_GARBAGE, b"", BATCH)).await?;
        let (mut change, mut room) = (Change::default().freeing(), PARTS);
        for (raw_id, raw) in &page.rows {
            if room == 0 {
                break;
            }
            let upload = UploadId::from_bytes(tables::read_id(raw_id)?);
            let garbage = UploadGarbage::from_bytes(raw)?;
            let parts = snapshot.scan(Scan::prefix(tables::PARTS, upload.as_bytes(), room)).await?;
            room = room.saturating_sub(parts.rows.len());
            for (key, raw) in &parts.rows {
                change.writes.push(Write::Delete(tables::PARTS.key(key.clone())));
                if !garbage.used.contains(tables::read_part(key)?) {
                    let part = PartRow::from_bytes(raw)?;
                    let (released, _) = release_content(partition, part.extent.owner, &part.extent.content)?;
                    change.writes.extend(released);
                }
            }
            let row = tables::of_upload(tables::UPLOAD_GARBAGE, upload);
            if !parts.more {
                change = change.delete(row.clone());
            }
            change = change.unchanged(row);
        }
        if change.writes.is_empty() {
            return Ok(0);
        }
        self.commit(change.at(partition, &*snapshot)).await
    }

    async fn manifests(&self, partition: PartitionId) -> Result<u64> {
        let snapshot = self.snapshot(partition).await?;
        let page = snapshot.scan(Scan::prefix(tables::MANIFEST_GARBAGE, b"", BATCH)).await?;
        for (raw_id, raw) in &page.rows {
            let id = tables::read_id(raw_id)?;
            // Being written, or read: its turn comes with the next visit.
            if self.store.is_active(id) {
                continue;
            }
            let garbage = ManifestGarbage::from_bytes(raw)?;
            return self.manifest(partition, &*snapshot, ManifestId::from_bytes(id), garbage).await;
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

    async fn releases(&self, partition: PartitionId) -> Result<u64> {
        let snapshot = self.snapshot(partition).await?;
        let page = snapshot.scan(Scan::prefix(tables::RELEASES, b"", BATCH)).await?;
        let mut homes: BTreeMap<PartitionId, Vec<Write>> = BTreeMap::new();
        let mut rows = Vec::new();
        for (raw_owner, raw) in &page.rows {
            let owner = OwnerId::from_bytes(tables::read_id(raw_owner)?);
            let content = ForeignRow::from_bytes(raw)?.content;
            if let Some(home) = content.home() {
                homes.entry(home).or_default().extend(release_content(home, owner, &content)?.0);
            }
            rows.push(Write::Delete(tables::of_owner(tables::RELEASES, owner)));
        }
        if rows.is_empty() {
            return Ok(0);
        }
        for (home, writes) in homes {
            let there = self.snapshot(home).await?;
            self.store.commit(Change::writes(writes).freeing().dirty().at(home, &*there)).await?;
        }
        self.commit(Change::writes(rows).freeing().at(partition, &*snapshot)).await
    }

    async fn completions(&self, partition: PartitionId) -> Result<u64> {
        let snapshot = self.snapshot(partition).await?;
        let now = self.store.clock.now();
        let page = snapshot.scan(Scan::prefix(tables::COMPLETED, b"", BATCH)).await?;
        let expired = |raw: &Bytes| -> engine::Result<bool> {
            Ok(older(CompletedRow::from_bytes(raw)?.at, now, COMPLETED_KEPT))
        };
        let mut writes = Vec::new();
        for (key, raw) in &page.rows {
            if expired(raw)? {
                writes.push(Write::Delete(tables::COMPLETED.key(key.clone())));
            }
        }
        if writes.is_empty() {
            return Ok(0);
        }
        self.commit(Change::writes(writes).freeing().at(partition, &*snapshot)).await
    }
}

impl Worker for Cleanup {
    fn name(&self) -> &'static str {
        "upload-cleanup"
    }

    fn tick(&mut self) -> BoxFuture<'_, engine::Result<Progress>> {
        Box::pin(async { self.run().await.map_err(reported) })
    }
}
