//! Puts archives into packs, and packs on media.
//!
//! ```text
//!   enough waits, or long enough ─► a medium with room ─► pack made ─► row: coming ─► carried ─► read back
//!     ─► one commit: the pack is kept, its archives have places, subkeys have rows, pieces go
//! ```
//! # What a crash leaves
//! - Before the row: a file in the directory where packs are made, which goes at the next start.
//! - Before the last commit: a row that says that the pack is coming. At the next start its file goes, then the row; its archives are
//!   pieces as before, and are packed again.
//! - An archive that was deleted meanwhile gets no place; its subkey gets no row, so nobody reads what is in the pack of it.

use super::build::{self, Built, Feed, Keys, Part, Rows};
use super::change::{Attempt, Change};
use super::deposit::owner;
use super::media::Chosen;
use super::rows::{ArchiveRow, ChunkRow, ConfigRow, Garbage, PackRow, PackState, PieceRow, PlaceRow};
use super::secrets::Spot;
use super::{Error, Result, Vault, Vaults, media, tables};
use crate::pack::{ArchiveId, Head, PackId};
use engine::BoxFuture;
use engine::blob::release;
use engine::catalog::Snapshot;
use engine::catalog::record::Record;
use engine::id::PartitionId;
use engine::worker::{Progress, Stop, Tour, Visitor, Worker};
use futures_util::StreamExt;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::sync::mpsc::{self, Sender};

const REST: Duration = Duration::from_secs(5);
/// Archives of one pack, and so rows of its commit.
pub(super) const ARCHIVES_MAX: usize = 1_000;
/// Pieces that go in one commit; what is left over is the cleaner's.
const PIECES_MAX: usize = 500;
/// Rows of chunks in one commit.
const CHUNKS_A_COMMIT: usize = 2_000;
/// Pieces of bytes that wait for the pack's thread.
const AHEAD: usize = 16;

/// Worker `vault-packer`; its unit is archives.
pub(super) struct Packer {
    work: Packing,
    tour: Tour<()>,
}

struct Packing {
    vaults: Arc<Vaults>,
}

/// An archive that waits.
struct Waiting {
    archive: ArchiveId,
    row: ArchiveRow,
    /// How much of it is in packs.
    packed: u64,
}

/// What came of a pack that was brought to its medium.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Delivered {
    /// It counts, and so many parts of archives found a place in it.
    Kept(u64),
    /// Nothing in it is wanted any more: it was given up.
    Unwanted,
    /// The vault is gone.
    Gone,
}

impl Packer {
    pub(super) fn new(vaults: Arc<Vaults>) -> Self {
        Self { work: Packing { vaults }, tour: Tour::default() }
    }
}

impl Worker for Packer {
    fn name(&self) -> &'static str {
        "vault-packer"
    }

    fn bell(&self) -> Arc<Notify> {
        Arc::clone(&self.work.vaults.bells.packer)
    }

    fn trouble(&self) -> Option<String> {
        self.tour.trouble()
    }

    fn tick(&mut self) -> BoxFuture<'_, engine::Result<Progress>> {
        Box::pin(self.tour.tick(&mut self.work, REST))
    }
}

impl Visitor for Packing {
    type Cursor = ();

    fn next(&self, from: Bound<PartitionId>) -> Option<PartitionId> {
        self.vaults.known.read().homes.range((from, Bound::Unbounded)).next().map(|(home, _)| *home)
    }

    async fn visit(&mut self, stop: &mut Stop<()>) -> engine::Result<()> {
        let home = stop.partition();
        let Some(vault) = self.vaults.at_home(home) else { return Ok(()) };
        let is_unsound = self.vaults.unsound.lock().contains(&home);
        if is_unsound {
            return Ok(());
        }
        match Box::pin(self.vaults.pack_some(&vault, stop)).await {
            Ok(0) => Ok(()),
            Ok(done) => {
                stop.did(done);
                stop.go_on_at(());
                Ok(())
            }
            Err(error) => Err(error.reported()),
        }
    }
}

impl Vaults {
    /// Has what waits packed now, however little it is.
    pub fn pack_now(&self, now: bool) {
        self.hurry.store(now, Ordering::Relaxed);
        self.bells.packer.notify_one();
    }

    /// Makes a pack of what waits in a vault, if that is enough or has waited long enough. How many archives found a place.
    async fn pack_some(self: &Arc<Self>, vault: &Arc<Vault>, stop: &mut Stop<()>) -> Result<u64> {
        let snapshot = self.at(vault.home).await?;
        let Some(config) = snapshot.get(tables::only(tables::CONFIG)).await? else { return Ok(0) };
        let config = ConfigRow::from_bytes(&config)?;
        let (waiting, is_more) = self.waiting(&*snapshot, stop).await?;
        let Some(oldest) = waiting.iter().map(|waiting| waiting.row.created).min() else { return Ok(0) };
        let bytes: u64 = waiting.iter().map(|waiting| waiting.row.length - waiting.packed).sum();
        let super::Packing { capacity, patience, .. } = self.packing;
        let is_due = self.clock.now() >= oldest.plus(patience) || self.hurry.load(Ordering::Relaxed);
        if !is_due && !is_more && bytes < capacity {
            return Ok(0);
        }
        // With index, parity, head and foot.
        let room = bytes.min(capacity) / 8 * 9 + (4 << 20);
        let chosen = self.media.choose(room).await?;
        let keys = Arc::new(Keys::of(Rows::of(self, vault)));
        let (feed, incoming) = mpsc::channel(AHEAD);
        let making = Arc::clone(&keys);
        let building =
            tokio::task::spawn_blocking(move || build::build(&making, config.deduplicates, incoming));
        self.feed(vault, waiting, &feed, stop).await;
        drop(feed);
        let built = building.await.map_err(|_ended| engine::Error::Closed)??;
        let Some(built) = built else { return Ok(0) };
        let built = Arc::new(built);
        let delivered =
            self.deliver(vault, (&keys, &built, &chosen), |row| self.keep(vault, &keys, &built, row)).await?;
        match delivered {
            Delivered::Kept(done) => {
                if config.deduplicates {
                    self.note_chunks(vault, &built).await?;
                }
                Ok(done)
            }
            Delivered::Unwanted => Ok(1),
            Delivered::Gone => Ok(0),
        }
    }

    /// Brings a sealed pack to its medium, reads it back there, and has it kept by the commit that `keep` makes, or gives it up.
    pub(super) async fn deliver<F, Kept>(
        self: &Arc<Self>,
        vault: &Arc<Vault>,
        (keys, built, chosen): (&Arc<Keys>, &Arc<Built>, &Chosen),
        keep: F,
    ) -> Result<Delivered>
    where
        F: FnOnce(PackRow) -> Kept + Send,
        Kept: Future<Output = Result<Option<u64>>> + Send,
    {
        let row = PackRow {
            medium: chosen.id,
            position: chosen.position,
            bytes: built.bytes,
            sealed: built.index.sealed_at,
            state: PackState::Coming,
        };
        match self.announce(vault, built.pack, row).await {
            Ok(true) => {}
            unannounced => {
                engine::file::remove(&built.path)?;
                return unannounced.map(|_| Delivered::Gone);
            }
        }
        self.media.count(row.medium, row.position, row.bytes);
        let path = media::file_of(&chosen.path, built.pack);
        let outcome = self.bring(keys, built, &path).await;
        let kept = match outcome {
            Ok(()) => keep(row).await,
            Err(error) => Err(error),
        };
        match kept {
            Ok(Some(done)) => Ok(Delivered::Kept(done)),
            Ok(None) => {
                self.take_back(vault, built.pack, row, &path).await?;
                Ok(Delivered::Unwanted)
            }
            // Whether that commit passed, the next start finds out; the file stays till then.
            Err(error @ Error::Engine(engine::Error::Unknown { .. } | engine::Error::Closed)) => Err(error),
            Err(error) => {
                if let Err(second) = self.take_back(vault, built.pack, row, &path).await {
                    tracing::warn!(pack = %built.pack, error = %second, "a pack that is not wanted stays until the next start");
                }
                Err(error)
            }
        }
    }

    /// What waits to be packed, oldest first, and whether there is more.
    async fn waiting(&self, snapshot: &dyn Snapshot, stop: &mut Stop<()>) -> Result<(Vec<Waiting>, bool)> {
        let page = self.page(snapshot, tables::STAGED, (b"", None), ARCHIVES_MAX).await?;
        let mut keys = Vec::new();
        for (key, value) in &page.rows {
            let (_, archive) = tables::read_time(key)?;
            let packed = value.as_ref().try_into().map_or(0, u64::from_le_bytes);
            keys.push((archive, packed));
        }
        let rows = keys.iter().map(|(archive, _)| tables::of_archive(tables::ARCHIVES, *archive)).collect();
        let rows = snapshot.multi_get(rows).await?;
        let mut waiting = Vec::new();
        for ((archive, packed), raw) in keys.into_iter().zip(rows) {
            match raw.map(|raw| ArchiveRow::from_bytes(&raw)).transpose() {
                Ok(Some(row)) if packed < row.length => waiting.push(Waiting { archive, row, packed }),
                // What is whole has no such row, nor what is gone.
                Ok(_) => {}
                Err(error) => stop.set_aside(error),
            }
        }
        Ok((waiting, page.more))
    }

    /// Hands archives to the pack until it is full or there are no more.
    async fn feed(&self, vault: &Vault, waiting: Vec<Waiting>, feed: &Sender<Feed>, stop: &mut Stop<()>) {
        for Waiting { archive, row, packed } in waiting {
            let head = Head {
                archive,
                created: row.created,
                description: row.description.as_str().as_bytes().to_vec(),
                note: Vec::new(),
                offset: packed,
                outside: false,
                lead: 0,
            };
            if feed.send(Feed::Begin(head, row.tree_hash)).await.is_err() {
                return;
            }
            let end = match self.feed_one(vault, (archive, packed, row.length), feed).await {
                Ok(true) => Feed::End,
                Ok(false) => return,
                Err(error) => {
                    stop.set_aside(error.reported());
                    Feed::Abandon
                }
            };
            if feed.send(end).await.is_err() {
                return;
            }
        }
        // Where nobody listens any more, the pack is full.
        let _ = feed.send(Feed::Finish).await;
    }

    /// The bytes of one archive from `from` on. `false`: the pack is full.
    async fn feed_one(
        &self,
        vault: &Vault,
        (archive, from, length): (ArchiveId, u64, u64),
        feed: &Sender<Feed>,
    ) -> Result<bool> {
        let mut at = from;
        while at < length {
            let mut bytes = self.piece_at(vault, archive, at).await?;
            while let Some(next) = bytes.next().await {
                let next = next?;
                at += next.len() as u64;
                if feed.send(Feed::Bytes(next)).await.is_err() {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// The row by which a pack is expected on its medium. `false`: the vault is gone.
    async fn announce(&self, vault: &Vault, pack: PackId, row: PackRow) -> Result<bool> {
        self.transact(|| async {
            let snapshot = self.at(vault.home).await?;
            if snapshot.get(tables::only(tables::CONFIG)).await?.is_none() {
                return Ok(Attempt::Answer(false));
            }
            let key = tables::of_pack(tables::PACKS, pack);
            let change = Change::default()
                .unchanged(tables::only(tables::CONFIG))
                .absent(key.clone())
                .put(key, row.to_bytes())
                .freeing();
            Ok(Attempt::Commit(change.at(vault.home, &*snapshot), true))
        })
        .await
    }

    /// Carries a pack to its medium and reads it back there.
    async fn bring(&self, keys: &Arc<Keys>, built: &Arc<Built>, path: &Path) -> Result<()> {
        let (keys, built, path) = (Arc::clone(keys), Arc::clone(built), path.to_owned());
        let task = tokio::task::spawn_blocking(move || {
            media::carry(&built.path, &path)?;
            build::read_back(&keys, &built, &path)
        });
        task.await.map_err(|_ended| engine::Error::Closed)?
    }

    /// The commit by which a pack counts. How many archives found a place in it; `None`: none of them is there any more.
    async fn keep(&self, vault: &Vault, keys: &Keys, built: &Built, row: PackRow) -> Result<Option<u64>> {
        self.transact(|| async {
            let snapshot = self.at(vault.home).await?;
            let of = |part: &Part| tables::of_archive(tables::ARCHIVES, part.archive);
            let staged =
                |part: &Part, row: &ArchiveRow| tables::by_time(tables::STAGED, row.created, part.archive);
            let alive = self.still_waiting(&*snapshot, built).await?;
            if alive.is_empty() {
                return Ok(Attempt::Answer(None));
            }
            let key = tables::of_pack(tables::PACKS, built.pack);
            let kept = PackRow { state: PackState::Kept, ..row };
            let mut change = Change::default().unchanged(key.clone()).put(key, kept.to_bytes()).freeing();
            let mut own = HashMap::new();
            let mut room = PIECES_MAX;
            for (part, archive) in &alive {
                let own_key = built.own_key(part);
                own.extend(own_key.map(|key| (key, part.archive)));
                change = change.unchanged(of(part)).unchanged(staged(part, archive)).writes(place_writes(
                    built.pack,
                    part,
                    own_key,
                    archive.created,
                ));
                change = self.drop_pieces(&*snapshot, part, &mut room, change).await?;
            }
            let dead: HashSet<_> = built
                .parts
                .iter()
                .filter_map(|part| built.own_key(part))
                .filter(|key| !own.contains_key(key))
                .collect();
            let live = alive.iter().map(|(part, _)| part.to - part.from).sum::<u64>();
            let live = i64::try_from(live).unwrap_or(i64::MAX);
            change = change
                .add(tables::of_pack(tables::LIVE, built.pack), live)
                .add(tables::of_pack(tables::HELD, built.pack), built.held());
            let fresh = keys.fresh.lock().clone();
            for id in built.index.keys.iter().filter(|id| !dead.contains(id)) {
                if let Some(subkey) = fresh.get(id) {
                    change = change.put(tables::of_key(*id), vault.secrets.seal_subkey(*id, subkey));
                }
            }
            for other in built.index.packs.iter().collect::<BTreeSet<_>>() {
                let there = snapshot.get(tables::of_pack(tables::PACKS, *other)).await?;
                let there = there.map(|raw| PackRow::from_bytes(&raw)).transpose()?;
                let Some(there) = there.filter(|there| there.state == PackState::Kept) else {
                    // What it refers to is about to go: another pack, without that.
                    return Ok(Attempt::Answer(None));
                };
                // Written as it is, so that whoever is about to doom it has to look again.
                change = change
                    .unchanged(tables::of_pack(tables::PACKS, *other))
                    .put(tables::of_pack(tables::PACKS, *other), there.to_bytes())
                    .put(tables::pack_use(*other, built.pack), tables::PRESENT);
            }
            let placed = alive.len() as u64;
            Ok(Attempt::Commit(change.dirty(vault.home).at(vault.home, &*snapshot), Some(placed)))
        })
        .await
    }

    /// Of the parts of a pack, those whose archives are there, and wait from where the part begins: what another pack has meanwhile is not
    /// to be placed a second time, for its pieces are gone.
    async fn still_waiting(&self, snapshot: &dyn Snapshot, built: &Built) -> Result<Vec<(Part, ArchiveRow)>> {
        let of = |part: &Part| tables::of_archive(tables::ARCHIVES, part.archive);
        let rows = snapshot.multi_get(built.parts.iter().map(of).collect()).await?;
        let mut there = Vec::new();
        for (part, raw) in built.parts.iter().zip(rows) {
            if let Some(raw) = raw {
                there.push((*part, ArchiveRow::from_bytes(&raw)?));
            }
        }
        let key =
            |(part, row): &(Part, ArchiveRow)| tables::by_time(tables::STAGED, row.created, part.archive);
        let staged = snapshot.multi_get(there.iter().map(key).collect()).await?;
        let waits = |part: &Part, raw: Option<bytes::Bytes>| {
            raw.is_some_and(|raw| raw.as_ref().try_into().map_or(0, u64::from_le_bytes) == part.from)
        };
        let both = there.into_iter().zip(staged);
        Ok(both.filter_map(|(one, raw)| waits(&one.0, raw).then_some(one)).collect())
    }

    /// Releases the pieces that end where the part does, or before; what there is no room for is the cleaner's.
    async fn drop_pieces(
        &self,
        snapshot: &dyn Snapshot,
        part: &Part,
        room: &mut usize,
        mut change: Change,
    ) -> Result<Change> {
        let prefix = part.archive.as_bytes();
        let page = self.page(snapshot, tables::PIECES, (prefix, None), *room + 1).await?;
        for (key, raw) in &page.rows {
            let (_, offset) = tables::read_offset(key)?;
            let piece = PieceRow::from_bytes(raw)?;
            if offset.saturating_add(piece.length) > part.to {
                break;
            }
            if *room == 0 {
                let key = tables::of_archive(tables::GARBAGE, part.archive);
                return Ok(change.put(key, Garbage::Before(part.to).to_bytes()));
            }
            *room -= 1;
            let at = Spot { of: *prefix, offset };
            let key = tables::PIECES.key(key.clone());
            change = change.delete(key).writes(release(piece.blob, &owner(tables::PIECES, at)?));
        }
        Ok(change)
    }

    /// Where new chunks lie. What a crash leaves out is met again, and kept once more.
    async fn note_chunks(&self, vault: &Vault, built: &Built) -> Result<()> {
        for chunks in built.chunks.chunks(CHUNKS_A_COMMIT) {
            let snapshot = self.at(vault.home).await?;
            let mut change = Change::default().unchanged(tables::of_pack(tables::PACKS, built.pack));
            for chunk in chunks {
                let row =
                    ChunkRow { pack: built.pack, frame: chunk.frame, at: chunk.at, length: chunk.length };
                change = change.put(tables::CHUNKS.key(chunk.id.as_bytes().to_vec()), row.to_bytes());
            }
            self.try_commit(vault.home, &*snapshot, change).await?;
        }
        Ok(())
    }

    /// Gives up a pack that nothing refers to: first its file, then its row.
    async fn take_back(&self, vault: &Vault, pack: PackId, row: PackRow, path: &Path) -> Result<()> {
        let key = tables::of_pack(tables::PACKS, pack);
        let there = self.at(vault.home).await?.get(key.clone()).await?;
        let state = there.map(|raw| PackRow::from_bytes(&raw)).transpose()?.map(|row| row.state);
        if state.is_some_and(|state| state != PackState::Coming) {
            return Ok(());
        }
        let file = path.to_owned();
        let removing = tokio::task::spawn_blocking(move || media::remove(&file));
        removing.await.map_err(|_ended| engine::Error::Closed)??;
        self.transact(|| async {
            let snapshot = self.at(vault.home).await?;
            let Some(raw) = snapshot.get(key.clone()).await? else { return Ok(Attempt::Answer(())) };
            if PackRow::from_bytes(&raw)?.state == PackState::Kept {
                return Ok(Attempt::Answer(()));
            }
            let change = Change::default().unchanged(key.clone()).delete(key.clone()).freeing();
            Ok(Attempt::Commit(change.at(vault.home, &*snapshot), ()))
        })
        .await?;
        self.media.discount(row.medium, row.bytes);
        Ok(())
    }

    /// Makes the directories where packs are made, and empties them: nothing in it was ever referred to.
    pub(super) fn clear_making(&self) -> Result<()> {
        let failed = |error| engine::Error::io("make ready", &self.making, error);
        for directory in [self.making.clone(), super::rewrite::making(&self.making)] {
            std::fs::create_dir_all(&directory).map_err(failed)?;
            for entry in std::fs::read_dir(&directory).map_err(failed)? {
                let path = entry.map_err(failed)?.path();
                let name =
                    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
                if name.contains(&format!(".{}", crate::pack::EXTENSION)) {
                    engine::file::remove(&path)?;
                }
            }
        }
        Ok(())
    }

    /// After a start: which packs there are, and those go that were coming.
    pub(super) async fn resume_packs(&self) -> Result<()> {
        let homes: Vec<Arc<Vault>> = self.known.read().homes.values().cloned().collect();
        for vault in homes {
            self.dirty.lock().insert(vault.home);
            self.resume_packs_of(&vault).await?;
        }
        Ok(())
    }

    /// The same of one vault. What can't be read of it keeps nobody from anything, but that nothing more comes to such a vault's packs.
    pub(super) async fn resume_packs_of(&self, vault: &Vault) -> Result<()> {
        let snapshot = self.at(vault.home).await?;
        let mut start: Option<Vec<u8>> = None;
        loop {
            let page = self.page(&*snapshot, tables::PACKS, (b"", start.as_deref()), 1_000).await?;
            for (key, raw) in &page.rows {
                let found = tables::read_id(key)
                    .and_then(|id| Ok((PackId::from_bytes(id), PackRow::from_bytes(raw)?)));
                let (pack, row) = match found {
                    Ok(found) => found,
                    Err(error) => {
                        tracing::error!(vault = vault.name.as_str(), home = %vault.home, %error, "a pack's row can't be read: the vault packs nothing more");
                        self.unsound.lock().insert(vault.home);
                        continue;
                    }
                };
                self.media.count(row.medium, row.position, row.bytes);
                if row.state == PackState::Coming {
                    self.forget_coming(vault, pack, row).await?;
                }
            }
            let last = page.rows.last().map(|(key, _)| engine::catalog::key_after(key).to_vec());
            start = last.filter(|_| page.more);
            if start.is_none() {
                return Ok(());
            }
        }
    }

    async fn forget_coming(&self, vault: &Vault, pack: PackId, row: PackRow) -> Result<()> {
        match self.media.look(row.medium).await {
            Ok(path) => match self.take_back(vault, pack, row, &media::file_of(&path, pack)).await {
                // A medium that can't be written to keeps nobody from starting.
                Err(error @ Error::Engine(engine::Error::Io { .. })) => {
                    tracing::warn!(%pack, %error, "a pack that a crash left stays until the next start");
                    Ok(())
                }
                outcome => outcome,
            },
            Err(error) => {
                tracing::warn!(%pack, %error, "a pack that a crash left stays until its medium is here");
                Ok(())
            }
        }
    }
}

/// The rows by which a part is found in its pack.
fn place_writes(
    pack: PackId,
    part: &Part,
    own_key: Option<crate::pack::KeyId>,
    created: engine::clock::Timestamp,
) -> Vec<engine::catalog::Write> {
    use engine::catalog::Write;
    let place = PlaceRow { pack, length: part.to - part.from, own_key };
    let key = tables::at_offset(tables::PLACES, part.archive.as_bytes(), part.from);
    let staged = tables::by_time(tables::STAGED, created, part.archive);
    let staged = if part.last {
        Write::Delete(staged)
    } else {
        Write::Put(staged, part.to.to_le_bytes().to_vec().into())
    };
    vec![Write::Put(key, place.to_bytes()), staged]
}
