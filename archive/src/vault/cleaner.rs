//! Releases what was given up: bytes of deleted archives, of aborted uploads and of old outputs; packs that nothing refers to; what
//! deleted vaults leave behind.
//!
//! A queue row goes in the same commit as the last of its work. So a crash leaves work to be done again, never half of it. Vaults with work
//! are known in memory; opening, and every hour after that, marks all of them.
//!
//! A pack's file goes when the commit by which nothing refers to it any more is in the backup, as segments do: a recovered catalog finds
//! what it names.

use super::build::open_at;
use super::change::Change;
use super::deposit::owner;
use super::rows::{Garbage, PackRow, PackState, PieceRow, PlaceRow};
use super::secrets::Spot;
use super::{Error, Result, Vault, Vaults, media, tables};
use crate::pack::{KeyId, PackId, Place};
use crate::retrieval::JobId;
use engine::BoxFuture;
use engine::blob::release;
use engine::catalog::record::Record;
use engine::catalog::{Scan, Snapshot, Table};
use engine::id::PartitionId;
use engine::worker::{Progress, Stop, Tour, Visitor, Worker};
use std::collections::BTreeSet;
use std::ops::Bound;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

const REST: Duration = Duration::from_secs(5);
/// How often every vault is looked at.
const SWEEP: Duration = Duration::from_hours(1);
/// Rows of bytes that are released in one commit.
const BATCH: usize = 1_000;

/// Worker `vault-cleaner`; its unit is rows.
pub(super) struct Cleaner {
    work: Cleaning,
    tour: Tour<()>,
    /// When all vaults were last marked, by boot time: who sets the clock back puts nothing off.
    swept: Option<Duration>,
}

struct Cleaning {
    vaults: Arc<Vaults>,
}

impl Cleaner {
    pub(super) fn new(vaults: Arc<Vaults>) -> Self {
        Self { work: Cleaning { vaults }, tour: Tour::default(), swept: None }
    }

    async fn run(&mut self) -> engine::Result<Progress> {
        let vaults = &self.work.vaults;
        let now = vaults.clock.boottime();
        if now.saturating_sub(*self.swept.get_or_insert(now)) >= SWEEP {
            vaults.mark_all().await.map_err(Error::reported)?;
            self.swept = Some(now);
        }
        self.tour.tick(&mut self.work, REST).await
    }
}

impl Worker for Cleaner {
    fn name(&self) -> &'static str {
        "vault-cleaner"
    }

    fn bell(&self) -> Arc<Notify> {
        Arc::clone(&self.work.vaults.bells.cleaner)
    }

    fn trouble(&self) -> Option<String> {
        self.tour.trouble()
    }

    fn tick(&mut self) -> BoxFuture<'_, engine::Result<Progress>> {
        Box::pin(self.run())
    }
}

impl Visitor for Cleaning {
    type Cursor = ();

    fn next(&self, from: Bound<PartitionId>) -> Option<PartitionId> {
        self.vaults.dirty.lock().range((from, Bound::Unbounded)).next().copied()
    }

    async fn visit(&mut self, stop: &mut Stop<()>) -> engine::Result<()> {
        let home = stop.partition();
        self.vaults.dirty.lock().remove(&home);
        let outcome = match self.vaults.at_home(home) {
            Some(_) => self.vaults.clean(home, stop).await,
            None => self.vaults.clear(home).await,
        };
        match outcome {
            Ok(Left::Nothing) => Ok(()),
            Ok(Left::Later) => {
                self.vaults.dirty.lock().insert(home);
                Ok(())
            }
            Ok(Left::More(done)) => {
                self.vaults.dirty.lock().insert(home);
                stop.did(done);
                Ok(())
            }
            Err(error) => {
                self.vaults.dirty.lock().insert(home);
                Err(error.reported())
            }
        }
    }
}

/// What a visit leaves.
enum Left {
    Nothing,
    /// Something that must wait: for a medium, for the backup.
    Later,
    More(u64),
}

impl Vaults {
    /// One batch in a vault that is there.
    async fn clean(&self, home: PartitionId, stop: &mut Stop<()>) -> Result<Left> {
        let snapshot = self.at(home).await?;
        let page = self.page(&*snapshot, tables::GARBAGE, (b"", None), 64).await?;
        for (key, raw) in &page.rows {
            let one = async {
                let of = tables::read_id(key)?;
                self.release(home, of, Garbage::from_bytes(raw)?).await
            };
            match one.await {
                Ok(done) => return Ok(Left::More(done)),
                Err(error) => stop.set_aside(error.reported()),
            }
        }
        self.drop_packs(home).await
    }

    /// Releases some of what was an archive, an upload or an output.
    async fn release(&self, home: PartitionId, of: [u8; 16], garbage: Garbage) -> Result<u64> {
        let snapshot = self.at(home).await?;
        if garbage == Garbage::All {
            self.forget_ended(&*snapshot, JobId::from_bytes(of)).await?;
        }
        let queued = tables::GARBAGE.key(of.to_vec());
        let mut change = Change::default().unchanged(queued.clone()).freeing();
        let mut left = BATCH;
        for table in [tables::PIECES, tables::OUTPUTS] {
            let page = self.page(&*snapshot, table, (&of, None), left).await?;
            for (key, raw) in &page.rows {
                let (_, offset) = tables::read_offset(key)?;
                let piece = PieceRow::from_bytes(raw)?;
                if matches!(garbage, Garbage::Before(end) if offset.saturating_add(piece.length) > end) {
                    break;
                }
                left -= 1;
                let name = owner(table, Spot { of, offset })?;
                change = change.delete(table.key(key.clone())).writes(release(piece.blob, &name));
            }
        }
        if garbage == Garbage::All && left > 0 {
            let page = self.page(&*snapshot, tables::PLACES, (&of, None), left).await?;
            for (key, raw) in &page.rows {
                left -= 1;
                let place = PlaceRow::from_bytes(raw)?;
                let length = i64::try_from(place.length).unwrap_or(i64::MAX);
                change = change
                    .delete(tables::PLACES.key(key.clone()))
                    .add(tables::of_pack(tables::LIVE, place.pack), -length);
                if let Some(key) = place.own_key {
                    change = change.delete(tables::of_key(key));
                }
            }
        }
        if left > 0 {
            change = change.delete(queued);
        }
        let done = (BATCH - left) as u64 + 1;
        self.try_commit(home, &*snapshot, change).await?;
        Ok(done)
    }

    /// A job that its owner ended takes nobody's place any more.
    async fn forget_ended(&self, snapshot: &dyn Snapshot, job: JobId) -> Result<()> {
        let is_known = self.counter.lock().home_of(job).is_some();
        if is_known && snapshot.get(tables::of_job(tables::JOBS, job)).await?.is_none() {
            self.counter.lock().leave(job);
        }
        Ok(())
    }

    /// Packs that nothing refers to are doomed, and the files of those go that were doomed before.
    async fn drop_packs(&self, home: PartitionId) -> Result<Left> {
        let snapshot = self.at(home).await?;
        let mut start: Option<Vec<u8>> = None;
        let mut left = Left::Nothing;
        loop {
            let page = self.page(&*snapshot, tables::PACKS, (b"", start.as_deref()), 1_000).await?;
            for (key, raw) in &page.rows {
                let pack = PackId::from_bytes(tables::read_id(key)?);
                let row = PackRow::from_bytes(raw)?;
                match row.state {
                    PackState::Kept if self.is_unused(&*snapshot, pack).await? => {
                        self.doom(home, &*snapshot, pack, row).await?;
                        return Ok(Left::More(1));
                    }
                    // Those that are coming are the packer's.
                    PackState::Kept | PackState::Coming => {}
                    PackState::Doomed { version } => {
                        if self.may_go(row, version).await && self.remove_pack(home, pack, row).await? {
                            return Ok(Left::More(1));
                        }
                        left = Left::Later;
                    }
                }
            }
            let last = page.rows.last().map(|(key, _)| engine::catalog::key_after(key).to_vec());
            start = last.filter(|_| page.more);
            if start.is_none() {
                return Ok(left);
            }
        }
    }

    async fn is_unused(&self, snapshot: &dyn Snapshot, pack: PackId) -> Result<bool> {
        let live = snapshot.get(tables::of_pack(tables::LIVE, pack)).await?;
        Ok(tables::stands_at(live.as_ref())? == 0
            && is_empty(snapshot, tables::PACK_USES, pack.as_bytes()).await?)
    }

    async fn doom(
        &self,
        home: PartitionId,
        snapshot: &dyn Snapshot,
        pack: PackId,
        row: PackRow,
    ) -> Result<()> {
        let key = tables::of_pack(tables::PACKS, pack);
        // The next version: this commit's is no smaller.
        let state = PackState::Doomed { version: snapshot.read_version() + 1 };
        let change = Change::default()
            .unchanged(key.clone())
            .unchanged(tables::of_pack(tables::LIVE, pack))
            .put(key, PackRow { state, ..row }.to_bytes())
            .freeing();
        self.try_commit(home, snapshot, change).await.map(drop)
    }

    /// Whether a backup has the commit by which nothing refers to the pack, and its medium is here.
    async fn may_go(&self, row: PackRow, version: u64) -> bool {
        self.blobs.hold().is_none_or(|hold| version <= hold) && self.media.look(row.medium).await.is_ok()
    }

    /// First the subkeys that were its own, then its file, then its rows.
    async fn remove_pack(&self, home: PartitionId, pack: PackId, row: PackRow) -> Result<bool> {
        let Ok(path) = self.media.look(row.medium).await else { return Ok(false) };
        let path = media::file_of(&path, pack);
        if let Some(vault) = self.at_home(home)
            && !self.forget_shared(&vault, pack, path.clone()).await?
        {
            return Ok(true);
        }
        let removing = tokio::task::spawn_blocking(move || media::remove(&path));
        removing.await.map_err(|_ended| engine::Error::Closed)??;
        let snapshot = self.at(home).await?;
        let key = tables::of_pack(tables::PACKS, pack);
        let mut change = Change::default()
            .unchanged(key.clone())
            .delete(key)
            .delete(tables::of_pack(tables::LIVE, pack))
            .delete(tables::of_pack(tables::HELD, pack))
            .delete(tables::of_pack(tables::SCRUBBED, pack))
            .freeing();
        // What it referred to is used by it no more.
        let uses = self.page(&*snapshot, tables::PACK_USES, (b"", None), 5_000).await?;
        for (key, _) in uses.rows.iter().filter(|(key, _)| key.ends_with(pack.as_bytes())) {
            change = change.delete(tables::PACK_USES.key(key.clone()));
        }
        if self.try_commit(home, &*snapshot, change).await? {
            self.media.discount(row.medium, row.bytes);
            self.scrubs.lock().lost.remove(&pack);
        }
        Ok(true)
    }

    /// The subkeys that archives shared in a pack go with it. Those that archives have for themselves may be in another pack by now. `false`:
    /// somebody was faster.
    async fn forget_shared(&self, vault: &Arc<Vault>, pack: PackId, path: PathBuf) -> Result<bool> {
        let of = Arc::clone(vault);
        let opening = tokio::task::spawn_blocking(move || open_at(&path, pack, &of));
        let reader = match opening.await.map_err(|_ended| engine::Error::Closed)? {
            Ok(reader) => reader,
            // Its file went before a crash, or its index is lost.
            Err(error) => {
                tracing::debug!(%pack, %error, "a pack that is to go can't be read: its subkeys are left");
                return Ok(true);
            }
        };
        let index = reader.index();
        let shared = index
            .archives
            .iter()
            .filter(|entry| matches!(entry.place, Place::Grouped { .. } | Place::Chunked));
        let numbers = shared.map(|entry| entry.key).chain(index.register.as_ref().map(|(key, _)| *key));
        let shared: BTreeSet<KeyId> =
            numbers.filter_map(|number| index.keys.get(number as usize).copied()).collect();
        if shared.is_empty() {
            return Ok(true);
        }
        let snapshot = self.at(vault.home).await?;
        let change = Change::default().unchanged(tables::of_pack(tables::PACKS, pack)).freeing();
        let change = shared.into_iter().fold(change, |change, id| change.delete(tables::of_key(id)));
        self.try_commit(vault.home, &*snapshot, change).await
    }

    /// One batch of what a deleted vault left. Its fence stays for a last time, and goes with the row that asks for all this.
    async fn clear(&self, home: PartitionId) -> Result<Left> {
        let root = self.at(PartitionId::ROOT).await?;
        let queued = tables::of_partition(tables::DELETED, home);
        if root.get(queued.clone()).await?.is_none() {
            return Ok(Left::Nothing);
        }
        let snapshot = self.at(home).await?;
        for table in [tables::PIECES, tables::OUTPUTS] {
            let page = self.page(&*snapshot, table, (b"", None), BATCH).await?;
            if page.rows.is_empty() {
                continue;
            }
            let mut change = Change::default().freeing();
            for (key, raw) in &page.rows {
                let (of, offset) = tables::read_offset(key)?;
                let piece = PieceRow::from_bytes(raw)?;
                let name = owner(table, Spot { of, offset })?;
                change = change.delete(table.key(key.clone())).writes(release(piece.blob, &name));
            }
            self.try_commit(home, &*snapshot, change).await?;
            return Ok(Left::More(page.rows.len() as u64));
        }
        let packs = self.page(&*snapshot, tables::PACKS, (b"", None), BATCH).await?;
        for (key, raw) in &packs.rows {
            let pack = PackId::from_bytes(tables::read_id(key)?);
            let row = PackRow::from_bytes(raw)?;
            if let PackState::Doomed { version } = row.state {
                if self.may_go(row, version).await && self.remove_pack(home, pack, row).await? {
                    return Ok(Left::More(1));
                }
            } else {
                self.doom(home, &*snapshot, pack, row).await?;
                return Ok(Left::More(1));
            }
        }
        if !packs.rows.is_empty() {
            return Ok(Left::Later);
        }
        if !self.end_messages(home, &*snapshot).await? {
            return Ok(Left::Later);
        }
        for table in OF_A_VAULT {
            let scan = Scan { keys_only: true, ..Scan::prefix(table, b"", BATCH) };
            let page = snapshot.scan(scan).await?;
            if page.rows.is_empty() {
                continue;
            }
            let keys = page.rows.iter().map(|(key, _)| table.key(key.clone()));
            let change = keys.fold(Change::default().freeing(), Change::delete);
            self.try_commit(home, &*snapshot, change).await?;
            return Ok(Left::More(page.rows.len() as u64));
        }
        let change = Change::default().unchanged(queued.clone()).delete(queued).freeing();
        self.try_commit(PartitionId::ROOT, &*root, change).await?;
        Ok(Left::More(1))
    }
}

/// What is cleared last, the fence at the very end.
const OF_A_VAULT: [Table; 22] = [
    tables::SCRUBBED,
    tables::ARCHIVES,
    tables::PLACES,
    tables::SUBKEYS,
    tables::CHUNKS,
    tables::PACK_USES,
    tables::UPLOADS,
    tables::JOBS,
    tables::FACTS,
    tables::SETTINGS,
    tables::CREATED,
    tables::STAGED,
    tables::GARBAGE,
    tables::COUNT,
    tables::BYTES,
    tables::EPOCH,
    tables::PART_EPOCH,
    tables::LIVE,
    tables::HELD,
    tables::CONFIG,
    tables::SECRETS,
    tables::FENCE,
];

async fn is_empty(snapshot: &dyn Snapshot, table: Table, prefix: &[u8]) -> Result<bool> {
    let scan = Scan { keys_only: true, ..Scan::prefix(table, prefix, 1) };
    Ok(snapshot.scan(scan).await?.rows.is_empty())
}
