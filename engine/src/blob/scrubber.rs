//! Reads every record that a row names and compares its checksum, without any key.
//!
//! At most [`BYTES_PER_PAUSE`] a second, so a terabyte takes about 18 hours. The cursor is a row of the root partition,
//! written before each pause: a crash repeats what was read since the last one. What does not match, or can't be read, is logged
//! and counted, and holds up nothing behind it; where the blob has another copy the repairer puts it right, elsewhere it is
//! left.

use super::copies::Fate;
use super::row::{BLOBS, BlobCopy, BlobRow, SCRUB_CURSOR, blob_key};
use super::{BlobStore, fixed};
use crate::catalog::{Commit, Durability, Scan, Write, key_after};
use crate::id::{BlobId, PartitionId};
use crate::pool::Zone;
use crate::worker::{Leg, Progress, Stop, Tour, Visitor, Worker};
use crate::{BoxFuture, Error, ErrorKind, Result};
use bytes::Bytes;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Budget between two pauses; one blob may exceed it.
const BYTES_PER_PAUSE: u64 = 16 << 20;
/// Rows of a page.
const ROWS_PER_PAGE: usize = 64;
/// The pause.
const PACE: Duration = Duration::from_secs(1);
/// Pause between rounds.
const REST: Duration = Duration::from_hours(24);
const CURSOR_VERSION: u8 = 1;

/// Worker `scrubber`; its unit is bytes read.
pub struct Scrubber {
    work: Scrub,
    /// Loaded at the first tick.
    tour: Option<Tour<Bytes>>,
}

/// What it does in a partition; a tour's cursor is a key of its blob rows.
struct Scrub {
    store: Arc<BlobStore>,
    /// The last blob that was read.
    last: Option<(PartitionId, BlobId)>,
    /// Bytes read since the last pause.
    read: u64,
    /// What could not be looked at a moment ago, and is tried a second time before it is passed by.
    again: Option<(PartitionId, BlobId)>,
}

impl Scrubber {
    /// A scrubber of this store.
    pub fn new(store: Arc<BlobStore>) -> Self {
        Self { work: Scrub { store, last: None, read: 0, again: None }, tour: None }
    }

    async fn step(&mut self) -> Result<Progress> {
        let tour = match &mut self.tour {
            Some(tour) => tour,
            none => none.insert(self.work.load().await?),
        };
        match tour.go(&mut self.work).await? {
            Leg::On { done } if self.work.read < BYTES_PER_PAUSE => return Ok(Progress::More { done }),
            Leg::On { .. } => {
                self.work.save().await?;
                self.work.read = 0;
                return Ok(Progress::Idle { rest: PACE });
            }
            Leg::Over { .. } => {}
        }
        // What could not be read when they were walked may be mended, or may have been a cable.
        self.work.store.try_left_alone_again();
        (self.work.last, self.work.read) = (None, 0);
        self.work.save().await?;
        Ok(tour.rest(REST))
    }
}

impl Visitor for Scrub {
    type Cursor = Bytes;

    fn next(&self, from: Bound<PartitionId>) -> Option<PartitionId> {
        self.store.next_home(from)
    }

    /// Some blobs, until there is reason for a pause.
    async fn visit(&mut self, stop: &mut Stop<Bytes>) -> Result<()> {
        let home = stop.partition();
        let snapshot = self.store.catalog.snapshot(home).await?;
        let page = Scan { start: stop.cursor(), ..Scan::prefix(BLOBS, &[], ROWS_PER_PAGE) };
        for (key, value) in snapshot.scan(page).await?.rows {
            let blob = match fixed(&key, "blob row") {
                Ok(id) => BlobId::from_bytes(id),
                Err(error) => {
                    stop.go_on_at(key_after(&key));
                    stop.set_aside(error);
                    continue;
                }
            };
            // One at which something panics is passed by.
            let is_second = self.again.replace((home, blob)) == Some((home, blob));
            stop.go_on_at(key_after(&key));
            let looked = self.look_at(home, blob, &value).await;
            if let Err(error) = looked.as_ref()
                && error.kind() == ErrorKind::Unavailable
                && !is_second
            {
                // A round takes days: what found no way to the catalog or to the queue is looked at once more in this one.
                stop.go_on_at(key);
                return looked.map(drop);
            }
            self.again = None;
            let bytes = looked?;
            stop.did(bytes);
            self.read += bytes;
            self.last = Some((home, blob));
            if self.read >= BYTES_PER_PAUSE {
                break;
            }
        }
        Ok(())
    }
}

impl Scrub {
    /// Looks at one blob as its row, read before, has it; the bytes that were asked for. What is not as it should be is damage
    /// if the row is still so: one that was changed meanwhile names other places, and a blob that was collected may have none.
    async fn look_at(&self, home: PartitionId, blob: BlobId, value: &[u8]) -> Result<u64> {
        let mut bytes = 0;
        let row = match BlobRow::decode(blob, value) {
            Ok(row) => row,
            Err(error) if error.kind() == ErrorKind::Corrupt => {
                tracing::error!(%home, %error, "scrub found a broken row");
                self.store.damage.row_broken(home, blob);
                return Ok(0);
            }
            Err(error) => return Err(error),
        };
        self.store.damage.row_sound(home, blob);
        let checked = self.check(home, blob, &row, &mut bytes).await?;
        let Some(error) = checked else {
            // With several copies the repairer says it: a zone that is away was not read.
            if !self.store.zones.are_several() {
                self.store.damage.forget(home, blob);
            }
            return Ok(bytes);
        };
        let now = self.store.catalog.snapshot(home).await?.get(blob_key(blob)).await?;
        if now.as_deref() != Some(value) {
            return Ok(bytes);
        }
        tracing::error!(%error, "scrub found damage");
        self.store.damage.found(home, blob);
        if self.store.can_mend() {
            self.store.queue_damaged(home, &[blob]).await?;
        }
        Ok(bytes)
    }

    /// Reads every copy, but for those in zones that are away and what is to be copied to a new disk. What is wrong with the first
    /// copy that is not sound; `asked` grows by the bytes asked for, those that could not be read included.
    async fn check(
        &self,
        home: PartitionId,
        blob: BlobId,
        row: &BlobRow,
        asked: &mut u64,
    ) -> Result<Option<Error>> {
        let (mut damage, mut read) = (None, 0);
        for copy in row.copies.iter().filter(|copy| self.can_read(copy)) {
            for place in copy.places.iter().copied() {
                let is_there = self.store.zones.holder(place.segment).is_some();
                if !is_there && self.store.zones.is_refilling(copy.zone) {
                    continue;
                }
                *asked += place.stored_len();
                match self.store.look(blob, copy.zone, place).await? {
                    Fate::Sound(_) => read += place.stored_len(),
                    Fate::Damaged(error) | Fate::Unreadable(error) => damage = damage.or(Some(error)),
                    // It went while it was looked at: a store that is opened again says so.
                    Fate::Away(error) => tracing::debug!(%blob, %error, "scrub leaves a copy for later"),
                }
            }
        }
        let far = self.check_remote(home, blob, row).await?;
        *asked += far;
        self.store.scrubbed_bytes.fetch_add(read + far, Ordering::Relaxed);
        Ok(damage)
    }

    /// Reads the remote copy, where that is asked for. A damaged one is uploaded again from the local copies, if there are any;
    /// a store that does not answer is looked at in the next round.
    async fn check_remote(&self, home: PartitionId, blob: BlobId, row: &BlobRow) -> Result<u64> {
        if self.store.remote_of(row).is_none_or(|pool| !pool.scrubbed) {
            return Ok(0);
        }
        let mut bytes = 0;
        for index in 0..row.records() {
            match self.store.look_far((home, blob), row, index).await? {
                Fate::Sound((_, record)) => bytes += record.len() as u64,
                Fate::Damaged(error) => {
                    if self.store.catalog.snapshot(home).await?.get(blob_key(blob)).await?
                        != Some(row.encode().into())
                    {
                        return Ok(bytes);
                    }
                    tracing::error!(%error, "scrub found damage");
                    self.store.damage.found_far();
                    self.store.upload_again(home, blob, row).await?;
                    return Ok(bytes);
                }
                Fate::Unreadable(error) | Fate::Away(error) => {
                    tracing::debug!(%blob, %error, "scrub leaves a remote copy for later");
                    return Ok(bytes);
                }
            }
        }
        Ok(bytes)
    }

    /// Its zone is there; or nobody knows the zone, and then its segments are asked for.
    fn can_read(&self, copy: &BlobCopy) -> bool {
        self.store.zones.get(copy.zone).is_none_or(Zone::is_there)
    }

    /// The round that an earlier process was in.
    async fn load(&self) -> Result<Tour<Bytes>> {
        let value =
            self.store.catalog.snapshot(PartitionId::ROOT).await?.get(SCRUB_CURSOR.key(Bytes::new())).await?;
        match value.as_deref().and_then(<[u8]>::split_first) {
            // An unknown cursor only means to begin again.
            Some((&CURSOR_VERSION, rest)) if rest.len() == PartitionId::LEN + BlobId::LEN => {
                let (home, blob) = rest.split_at(PartitionId::LEN);
                Ok(Tour::resume(PartitionId::from_bytes(fixed(home, "scrub cursor")?), key_after(blob)))
            }
            _ => Ok(Tour::default()),
        }
    }

    async fn save(&self) -> Result<()> {
        let key = SCRUB_CURSOR.key(Bytes::new());
        let write = match self.last {
            Some((home, blob)) => {
                let mut value = vec![CURSOR_VERSION];
                value.extend_from_slice(home.as_bytes());
                value.extend_from_slice(blob.as_bytes());
                Write::Put(key, value.into())
            }
            None => Write::Delete(key),
        };
        let read_version = self.store.catalog.snapshot(PartitionId::ROOT).await?.read_version();
        let commit = Commit {
            writes: vec![write],
            durability: Durability::Relaxed,
            ..Commit::new(PartitionId::ROOT, read_version)
        };
        self.store.catalog.commit(commit).await?;
        Ok(())
    }
}

impl Worker for Scrubber {
    fn name(&self) -> &'static str {
        "scrubber"
    }

    fn trouble(&self) -> Option<String> {
        self.tour.as_ref().and_then(Tour::trouble)
    }

    fn tick(&mut self) -> BoxFuture<'_, Result<Progress>> {
        Box::pin(self.step())
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{HOME, World};
    use super::{BlobRow, Scrubber, blob_key};

    #[tokio::test]
    async fn a_blob_that_is_collected_while_it_is_scrubbed_is_no_damage() {
        let world = World::new(71).await;
        let (blob, _) = world.put(&world.bytes(100_000), "owner").await.unwrap();
        let row = world.catalog.snapshot(HOME).await.unwrap().get(blob_key(blob)).await.unwrap().unwrap();
        world.drop_reference(blob, "owner").await;
        // Fills segments, so that the blob's own is closed, and then recycled with all that was in it.
        for _ in 0..30 {
            let (dropped, _) = world.put(&world.bytes(100_000), "dropped").await.unwrap();
            world.drop_reference(dropped, "dropped").await;
        }
        world.settle().await;
        let scrubber = Scrubber::new(world.store.clone());
        let decoded = BlobRow::decode(blob, &row).unwrap();
        let found = scrubber.work.check(HOME, blob, &decoded, &mut 0).await.unwrap();
        assert!(found.is_some(), "its segment is gone");
        scrubber.work.look_at(HOME, blob, &row).await.unwrap();
        assert_eq!(world.store.usage().damaged_records, 0);
    }
}
