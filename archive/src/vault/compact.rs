//! Packs of which much is dead are written anew: what lives in them moves, and they go.
//!
//! ```text
//!   the deadest packs ─► parts of theirs that live ─► a medium with room ─► pack made ─► row: coming ─► carried ─► read back
//!     ─► one commit: the pack is kept, each part that is where it was has its place there ─► what nothing refers to any more is the cleaner's
//! ```
//! # Invariants
//! - An archive is what it was: its row is not written, so age, holds and locks stand. What moves is where its bytes are found.
//! - The commit proves of each part that its archive is there and that its place is the one that was read; what was deleted meanwhile does not
//!   move, nor what shares a frame with such a part, so that nobody has the key of that frame.
//! - The old pack's file goes when the backup has that commit, as that of any pack. Who reads there then goes on at the new place.
//!
//! # What a crash leaves
//! Before the commit a pack that is coming, whose file and row go at the next start; behind it an old pack that nothing refers to.
//!
//! # Limits
//! One new pack a step, of 1,000 parts and [`SOURCES_MAX`] packs at the most; one step at a time. Media that are away or written once are passed by.
//! Packs of vaults that deduplicate are told, and stay.

use super::build::{Built, Keys, Part, Rows};
use super::change::{Attempt, Change};
use super::fetch::mend;
use super::packer::{ARCHIVES_MAX, Delivered};
use super::rewrite::{Moving, Rewritten, Source, rewrite};
use super::rows::{ArchiveRow, PackRow, PackState, PlaceRow};
use super::waste::PackWaste;
use super::{Result, Vault, VaultName, Vaults, tables};
use crate::pack::{ArchiveId, Index, KeyId, PackId, Place};
use engine::ErrorKind;
use engine::catalog::Snapshot;
use engine::catalog::record::Record;
use security::AccountId;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

/// Packs that one new pack is made of.
const SOURCES_MAX: usize = 64;
/// How often a pack is made again without a part that can't be moved.
const TRIES_MAX: usize = 16;
/// How long a pack is passed by of which something can't be moved.
const PASSED_BY: Duration = Duration::from_hours(24);
/// Packs that are passed by, and remembered.
const STUCK_MAX: usize = 10_000;

/// What a step of a compaction came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compacted {
    /// Archives, and parts of them, that moved.
    pub parts: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The packs that they lay in.
    pub from: BTreeSet<PackId>,
    /// The one that they lie in now; `None`: nothing moved, and nothing would by another step.
    pub to: Option<PackId>,
    /// Packs of which something could not be moved, and why: they are passed by for a day.
    pub left: Vec<(PackId, String)>,
}

/// Where a part of a new pack was.
type Was = HashMap<(ArchiveId, u64), PlaceRow>;

impl Vaults {
    /// Moves what lives in packs of which much is dead into one new pack.
    pub async fn compact(self: &Arc<Self>, account: AccountId, name: &VaultName) -> Result<Compacted> {
        let (vaults, vault) = (Arc::clone(self), self.vault(account, name)?);
        // Whoever asked may go: what is under way in threads is seen to its end all the same, before another one begins.
        let task = tokio::spawn(async move { vaults.compact_some(&vault).await });
        task.await.map_err(|_ended| engine::Error::Closed)?
    }

    pub(super) async fn compact_some(self: &Arc<Self>, vault: &Arc<Vault>) -> Result<Compacted> {
        let _alone = self.compacting.lock().await;
        let mut step = Compacted::default();
        if self.unsound.lock().contains(&vault.home) {
            return Ok(step);
        }
        let waste = self.waste_of(vault).await?;
        let due = waste.due.into_iter().filter(|pack| pack.kept_back.is_none()).collect::<Vec<_>>();
        let outcome = self.compact_these(vault, due, &mut step).await;
        self.pass_by(&step.left);
        {
            let mut totals = self.compactions.lock();
            totals.parts += step.parts;
            totals.bytes = totals.bytes.saturating_add(step.bytes);
            totals.packs += u64::from(step.to.is_some());
        }
        outcome.map(|()| step)
    }

    async fn compact_these(
        self: &Arc<Self>,
        vault: &Arc<Vault>,
        due: Vec<PackWaste>,
        step: &mut Compacted,
    ) -> Result<()> {
        let (sources, mut moving) = self.gather(vault, due, step).await?;
        let sources: Arc<[Source]> = sources.into();
        let mut mended = HashSet::new();
        for _ in 0..TRIES_MAX {
            let Some(largest) = moving.iter().map(Moving::room).max() else { return Ok(()) };
            let capacity = self.packing.capacity.max(largest).min(crate::pack::CAPACITY_MAX);
            let bytes: u64 = moving.iter().map(|part| part.stored).sum();
            // With index, parity, head and foot.
            let chosen = self.media.choose(bytes.min(capacity) / 8 * 9 + (4 << 20)).await?;
            let keys = Arc::new(Keys::of(Rows::of(self, vault)));
            let making = (Arc::clone(&keys), Arc::clone(&sources), moving.clone());
            let rewriting = tokio::task::spawn_blocking(move || {
                let (keys, sources, moving) = making;
                rewrite(&keys, capacity, (&sources, &moving))
            });
            let built = match rewriting.await.map_err(|_ended| engine::Error::Closed)?? {
                Rewritten::Built(built) => Arc::new(*built),
                Rewritten::Unfit(number) => {
                    let part = moving.remove(number);
                    // Alone it had all the room there is.
                    if number == 0 {
                        let why = format!("a part of archive {} does not fit into a pack", part.archive);
                        step.left.push((sources[part.source].pack, why));
                    }
                    continue;
                }
                Rewritten::Unreadable(number, error) => {
                    let pack = sources[moving[number].source].pack;
                    let is_damaged = error.kind() == ErrorKind::Corrupt && mended.insert(pack);
                    if !is_damaged || !self.mend_source(vault, pack).await? {
                        let part = moving.remove(number);
                        step.left.extend(self.unreadable(vault, (pack, part.archive), &error).await?);
                    }
                    continue;
                }
            };
            let was: Was = moving.iter().map(|part| ((part.archive, part.from), part.place)).collect();
            let swap = |row| self.swap(vault, &keys, (&built, row), &was);
            if let Delivered::Kept(parts) = self.deliver(vault, (&keys, &built, &chosen), swap).await? {
                let moved = self.moved(vault, &built).await?;
                step.parts = parts;
                step.bytes = moved;
                step.from = built
                    .parts
                    .iter()
                    .filter_map(|part| was.get(&(part.archive, part.from)))
                    .map(|place| place.pack)
                    .collect();
                step.to = Some(built.pack);
            }
            return Ok(());
        }
        if let Some(part) = moving.first() {
            step.left.push((sources[part.source].pack, "too many parts of it can't be moved".to_owned()));
        }
        Ok(())
    }

    /// Mends a pack where it lies, by its own parity. `false`: that does not make it whole.
    async fn mend_source(self: &Arc<Self>, vault: &Arc<Vault>, pack: PackId) -> Result<bool> {
        let rows = Rows::of(self, vault);
        let mending = tokio::task::spawn_blocking(move || mend(&rows, pack));
        Ok(mending.await.map_err(|_ended| engine::Error::Closed)?.is_ok())
    }

    /// What is told of a part that can't be read: nothing, where its archive was deleted meanwhile.
    async fn unreadable(
        &self,
        vault: &Vault,
        (pack, archive): (PackId, ArchiveId),
        error: &engine::Error,
    ) -> Result<Option<(PackId, String)>> {
        let key = tables::of_archive(tables::ARCHIVES, archive);
        if self.at(vault.home).await?.get(key).await?.is_none() {
            return Ok(None);
        }
        tracing::warn!(%pack, %archive, %error, "a part of an archive can't be moved to another pack");
        Ok(Some((pack, format!("a part of archive {archive} can't be read: {error}"))))
    }

    /// Bytes that live in a pack that was just kept.
    async fn moved(&self, vault: &Vault, built: &Built) -> Result<u64> {
        let live = self.at(vault.home).await?.get(tables::of_pack(tables::LIVE, built.pack)).await?;
        Ok(tables::stands_at(live.as_ref())?)
    }

    /// Opens the deadest packs, and looks for what lives in them, until that fills a pack.
    async fn gather(
        self: &Arc<Self>,
        vault: &Arc<Vault>,
        due: Vec<PackWaste>,
        step: &mut Compacted,
    ) -> Result<(Vec<Source>, Vec<Moving>)> {
        let (mut sources, mut moving) = (Vec::<Source>::new(), Vec::<Moving>::new());
        let mut stored = 0;
        for PackWaste { pack, .. } in due {
            if sources.len() == SOURCES_MAX || moving.len() >= ARCHIVES_MAX || stored >= self.packing.capacity
            {
                break;
            }
            let source = match self.open_source(vault, pack).await? {
                Ok(source) => source,
                Err(why) => {
                    step.left.push((pack, why));
                    continue;
                }
            };
            let snapshot = self.at(vault.home).await?;
            let index = source.reader.index();
            let living = self.living(&*snapshot, (pack, index)).await?;
            let of = |number: usize| tables::of_archive(tables::ARCHIVES, index.archives[number].archive);
            let rows = snapshot.multi_get(living.iter().map(|(number, _)| of(*number)).collect()).await?;
            for ((number, place), raw) in living.into_iter().zip(rows) {
                // Of one that is deleted, the cleaner takes the place away.
                let Some(raw) = raw else { continue };
                let entry = &index.archives[number];
                let Some(bytes) = stored_of(index, &entry.place, place.length) else {
                    step.left.push((
                        pack,
                        format!("a part of archive {} has no frames of its own", entry.archive),
                    ));
                    continue;
                };
                if moving.len() == ARCHIVES_MAX {
                    break;
                }
                stored += bytes;
                moving.push(Moving {
                    source: sources.len(),
                    entry: number,
                    archive: entry.archive,
                    from: entry.offset(),
                    place,
                    row: ArchiveRow::from_bytes(&raw)?,
                    stored: bytes,
                });
            }
            sources.push(source);
        }
        Ok((sources, moving))
    }

    /// Opens a pack that is to be written anew; why not, if it can't be read.
    async fn open_source(
        self: &Arc<Self>,
        vault: &Arc<Vault>,
        pack: PackId,
    ) -> Result<std::result::Result<Source, String>> {
        let rows = Rows::of(self, vault);
        let opening = tokio::task::spawn_blocking(move || {
            let open = || {
                let (_, reader) = rows.open(pack)?;
                Ok(Source { pack, reader })
            };
            match open() {
                Err(engine::Error::Corrupt { .. }) => mend(&rows, pack).and_then(|()| open()),
                outcome => outcome,
            }
        });
        let opened = opening.await.map_err(|_ended| engine::Error::Closed)?;
        Ok(opened.map_err(|error| format!("it can't be opened: {error}")))
    }

    /// The commit by which a new pack counts, and parts lie there. How many; `None`: none of them is where it was.
    async fn swap(
        &self,
        vault: &Vault,
        keys: &Keys,
        (built, row): (&Built, PackRow),
        was: &Was,
    ) -> Result<Option<u64>> {
        self.transact(|| async {
            let snapshot = self.at(vault.home).await?;
            let staying = self.staying(&*snapshot, built, was).await?;
            if staying.is_empty() {
                return Ok(Attempt::Answer(None));
            }
            let key = tables::of_pack(tables::PACKS, built.pack);
            let kept = PackRow { state: PackState::Kept, ..row };
            let mut change = Change::default().unchanged(key.clone()).put(key, kept.to_bytes()).freeing();
            let (mut wanted, mut live) = (HashSet::<KeyId>::new(), BTreeMap::<PackId, u64>::new());
            for (part, old) in &staying {
                wanted.extend(built.key(part).map(|(key, _)| key));
                *live.entry(old.pack).or_default() += old.length;
                let place = tables::at_offset(tables::PLACES, part.archive.as_bytes(), part.from);
                change = change
                    .unchanged(tables::of_archive(tables::ARCHIVES, part.archive))
                    .unchanged(place.clone())
                    .put(place, PlaceRow { pack: built.pack, ..*old }.to_bytes());
            }
            for (pack, bytes) in &live {
                change = change.add(tables::of_pack(tables::LIVE, *pack), -counted(*bytes));
            }
            change = change
                .add(tables::of_pack(tables::LIVE, built.pack), counted(live.values().sum()))
                .add(tables::of_pack(tables::HELD, built.pack), built.held());
            let fresh = keys.fresh.lock().clone();
            for id in built.index.keys.iter().filter(|id| wanted.contains(id)) {
                if let Some(subkey) = fresh.get(id) {
                    change = change.put(tables::of_key(*id), vault.secrets.seal_subkey(*id, subkey));
                }
            }
            let moved = staying.len() as u64;
            Ok(Attempt::Commit(change.dirty(vault.home).at(vault.home, &*snapshot), Some(moved)))
        })
        .await
    }

    /// Of the parts of a new pack those whose archives are there and whose places are what they were, with these; but none that shares its key
    /// with one that is not: whoever has that key reads both.
    async fn staying(
        &self,
        snapshot: &dyn Snapshot,
        built: &Built,
        was: &Was,
    ) -> Result<Vec<(Part, PlaceRow)>> {
        let archive = |part: &Part| tables::of_archive(tables::ARCHIVES, part.archive);
        let place = |part: &Part| tables::at_offset(tables::PLACES, part.archive.as_bytes(), part.from);
        let archives = snapshot.multi_get(built.parts.iter().map(archive).collect()).await?;
        let places = snapshot.multi_get(built.parts.iter().map(place).collect()).await?;
        let (mut staying, mut erased) = (Vec::new(), HashSet::<KeyId>::new());
        for ((part, there), found) in built.parts.iter().zip(archives).zip(places) {
            let found = found.map(|raw| PlaceRow::from_bytes(&raw)).transpose()?;
            match (there, found, was.get(&(part.archive, part.from))) {
                (Some(_), Some(found), Some(old)) if found == *old => staying.push((*part, found)),
                _ => erased.extend(built.key(part).map(|(key, _)| key)),
            }
        }
        staying.retain(|(part, _)| built.key(part).is_some_and(|(key, _)| !erased.contains(&key)));
        Ok(staying)
    }

    /// Packs of which something can't be moved are left alone for a while.
    fn pass_by(&self, left: &[(PackId, String)]) {
        let now = self.clock.boottime();
        let mut stuck = self.stuck.lock();
        stuck.retain(|_, (until, _)| now < *until);
        for (pack, why) in left {
            if stuck.len() < STUCK_MAX || stuck.contains_key(pack) {
                stuck.insert(*pack, (now + PASSED_BY, why.clone()));
            }
        }
    }
}

fn counted(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// Bytes of data that a part takes; `None` of what is not moved: chunks, that others may refer to, and ciphertext from outside, which no vault has yet.
fn stored_of(index: &Index, place: &Place, length: u64) -> Option<u64> {
    match place {
        Place::Own { first, count } => {
            let frames = *first as usize..first.saturating_add(*count) as usize;
            let frames = index.frames.get(frames)?;
            Some(frames.iter().map(|frame| u64::from(frame.stored)).sum())
        }
        // At the most.
        Place::Grouped { .. } => Some(length + 32),
        Place::Chunked | Place::Outside { .. } => None,
    }
}
