//! How much of each pack nobody wants any more, and which ones are worth writing anew.
//!
//! ```text
//!   pack's row ─► HELD, LIVE ─► dead = held − live ─► more than a quarter? ─► its medium here, written to again, no trouble ─► due
//! ```
//! Both counters change in the commits by which archives come, move and go, so that they are right behind any crash. A pack that was kept before
//! `HELD` was counted is measured once by its index: what its living parts take of its frames.
//!
//! # Limits
//! [`DUE_MAX`] packs are told at once, the deadest; [`MEASURED_MAX`] are measured a look.

use super::build::{self, Rows};
use super::change::Change;
use super::rows::{ConfigRow, PackRow, PackState, PlaceRow};
use super::{Result, Vault, VaultName, Vaults, media, tables};
use crate::pack::{PackId, Place};
use crate::retrieval::MediumId;
use engine::catalog::Snapshot;
use engine::catalog::record::Record;
use security::AccountId;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

/// Packs that are due, and told at once.
const DUE_MAX: usize = 1_000;
/// Packs that are measured by their index in one look.
const MEASURED_MAX: usize = 64;
/// Rows of packs that are read together.
const PAGE: usize = 1_000;

/// A pack of which much is dead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackWaste {
    /// Which one.
    pub pack: PackId,
    /// What stands on its medium.
    pub medium: String,
    /// Bytes of its file.
    pub bytes: u64,
    /// Bytes of the archives that came to it.
    pub held: u64,
    /// Those of archives that are there, and lie in it.
    pub live: u64,
    /// Why it is not written anew now.
    pub kept_back: Option<String>,
}

impl PackWaste {
    /// Bytes that nobody wants any more.
    pub const fn dead(&self) -> u64 {
        self.held.saturating_sub(self.live)
    }

    /// Ten-thousandths of it that are dead.
    const fn share(&self) -> u128 {
        let held = if self.held == 0 { 1 } else { self.held };
        self.dead() as u128 * 10_000 / held as u128
    }
}

/// What is dead in a vault's packs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Waste {
    /// Packs that count.
    pub packs: u64,
    /// Bytes of their files.
    pub bytes: u64,
    /// Bytes of the archives that came to them.
    pub held: u64,
    /// Those of archives that are there.
    pub live: u64,
    /// Packs of which it is not known, for their media are away or can't be read: in none of the other numbers but the first two.
    pub unmeasured: u64,
    /// Packs of which more is dead than may be, the deadest first, a thousand at the most.
    pub due: Vec<PackWaste>,
    /// How many these are.
    pub due_packs: u64,
    /// The vault keeps once what is alike: what is dead is told, and stays.
    pub deduplicates: bool,
}

impl Waste {
    /// Bytes that nobody wants any more.
    pub const fn dead(&self) -> u64 {
        self.held.saturating_sub(self.live)
    }

    fn add(&mut self, pack: PackWaste, above: u8) {
        self.held = self.held.saturating_add(pack.held);
        self.live = self.live.saturating_add(pack.live);
        // Of one in which nothing lives, the file goes as it is.
        if pack.live == 0 || u128::from(pack.dead()) * 100 <= u128::from(pack.held) * u128::from(above) {
            return;
        }
        self.due_packs += 1;
        let place = self.due.partition_point(|other| other.share() >= pack.share());
        if place < DUE_MAX {
            self.due.insert(place, pack);
            self.due.truncate(DUE_MAX);
        }
    }
}

impl Vaults {
    /// What is dead in a vault's packs, and which of them are to be written anew.
    pub async fn waste(self: &Arc<Self>, account: AccountId, name: &VaultName) -> Result<Waste> {
        let vault = self.vault(account, name)?;
        self.waste_of(&vault).await
    }

    pub(super) async fn waste_of(self: &Arc<Self>, vault: &Arc<Vault>) -> Result<Waste> {
        let snapshot = self.at(vault.home).await?;
        let config = snapshot.get(tables::only(tables::CONFIG)).await?;
        let deduplicates =
            config.is_some_and(|raw| ConfigRow::from_bytes(&raw).is_ok_and(|row| row.deduplicates));
        let mut waste = Waste { deduplicates, ..Waste::default() };
        let (mut here, mut measured) = (BTreeMap::new(), 0);
        let mut start: Option<Vec<u8>> = None;
        loop {
            let page = self.page(&*snapshot, tables::PACKS, (b"", start.as_deref()), PAGE).await?;
            let counters = |table: engine::catalog::Table| {
                snapshot.multi_get(page.rows.iter().map(|(key, _)| table.key(key.clone())).collect())
            };
            let (held, live) = (counters(tables::HELD).await?, counters(tables::LIVE).await?);
            for (((key, raw), held), live) in page.rows.iter().zip(held).zip(live) {
                let pack = PackId::from_bytes(tables::read_id(key)?);
                // What can't be read was told by the start.
                let Ok(row) = PackRow::from_bytes(raw) else { continue };
                if row.state != PackState::Kept {
                    continue;
                }
                waste.packs += 1;
                waste.bytes = waste.bytes.saturating_add(row.bytes);
                let live = tables::stands_at(live.as_ref())?;
                let held = match held {
                    Some(raw) => Some(tables::stands_at(Some(&raw))?),
                    None if deduplicates || live == 0 || measured == MEASURED_MAX => None,
                    None => {
                        measured += 1;
                        self.measure(vault, (pack, row), live).await?
                    }
                };
                let Some(held) = held else {
                    waste.unmeasured += u64::from(live > 0);
                    continue;
                };
                let kept_back = self.kept_back((pack, row), deduplicates, &mut here).await;
                let medium = self.media.label_of(row.medium).unwrap_or_default();
                let found = PackWaste { pack, medium, bytes: row.bytes, held, live, kept_back };
                waste.add(found, self.packing.compact_above);
            }
            start = page.rows.last().map(|(key, _)| engine::catalog::key_after(key).to_vec());
            start = start.filter(|_| page.more);
            if start.is_none() {
                return Ok(waste);
            }
        }
    }

    /// Why a pack is not written anew now, if it is not.
    async fn kept_back(
        &self,
        (pack, row): (PackId, PackRow),
        deduplicates: bool,
        here: &mut BTreeMap<MediumId, Option<String>>,
    ) -> Option<String> {
        if deduplicates {
            return Some(
                "its vault keeps once what is alike: other packs may refer to its chunks".to_owned(),
            );
        }
        if self.media.is_write_once(row.medium) {
            return Some("its medium is written once".to_owned());
        }
        let now = self.clock.boottime();
        let stuck =
            self.stuck.lock().get(&pack).filter(|(until, _)| now < *until).map(|(_, why)| why.clone());
        if stuck.is_some() {
            return stuck;
        }
        if let Some(away) = here.get(&row.medium) {
            return away.clone();
        }
        let away = self.media.look(row.medium).await.err().map(|error| error.to_string());
        here.insert(row.medium, away.clone());
        away
    }

    /// Of a pack that was kept before this was counted: bytes of the archives that came to it, by what its frames take. `None` where its index
    /// can't be read now.
    async fn measure(
        self: &Arc<Self>,
        vault: &Arc<Vault>,
        (pack, row): (PackId, PackRow),
        live: u64,
    ) -> Result<Option<u64>> {
        let (rows, of) = (Rows::of(self, vault), Arc::clone(vault));
        let opening = tokio::task::spawn_blocking(move || {
            let path = media::file_of(&rows.vaults.media.look_now(row.medium)?, pack);
            build::open_at(&path, pack, &of)
        });
        let Ok(reader) = opening.await.map_err(|_ended| engine::Error::Closed)? else { return Ok(None) };
        let (snapshot, index) = (self.at(vault.home).await?, reader.index());
        let living = self.living(&*snapshot, (pack, index)).await?;
        let mut frames = HashSet::new();
        for place in living.iter().map(|(number, _)| index.archives[*number].place) {
            match place {
                Place::Own { first, count } | Place::Outside { first, count } => {
                    frames.extend(first..first.saturating_add(count));
                }
                Place::Grouped { frame } => {
                    frames.insert(frame);
                }
                Place::Chunked => return Ok(None),
            }
        }
        let stored =
            |frame: &u32| index.frames.get(*frame as usize).map_or(0, |frame| u64::from(frame.stored));
        let wanted = frames.iter().map(stored).sum::<u64>().max(1);
        let all = index.frames.iter().map(|frame| u64::from(frame.stored)).sum::<u64>();
        let held = u128::from(live) * u128::from(all) / u128::from(wanted);
        let held = u64::try_from(held).unwrap_or(u64::MAX).max(live);
        let key = tables::of_pack(tables::HELD, pack);
        let change = Change::default()
            .absent(key.clone())
            .unchanged(tables::of_pack(tables::PACKS, pack))
            .add(key, i64::try_from(held).unwrap_or(i64::MAX))
            .freeing();
        if let Err(error) = self.try_commit(vault.home, &*snapshot, change).await {
            tracing::debug!(%pack, %error, "what came to a pack is measured again");
        }
        Ok(Some(held))
    }

    /// Which parts of a pack, by their numbers in its index, are where their archives' bytes lie.
    pub(super) async fn living(
        &self,
        snapshot: &dyn Snapshot,
        (pack, index): (PackId, &crate::pack::Index),
    ) -> Result<Vec<(usize, PlaceRow)>> {
        let key = |entry: &crate::pack::Entry| {
            tables::at_offset(tables::PLACES, entry.archive.as_bytes(), entry.offset())
        };
        let places = snapshot.multi_get(index.archives.iter().map(key).collect()).await?;
        let mut living = Vec::new();
        for (number, raw) in places.into_iter().enumerate() {
            let place = raw.map(|raw| PlaceRow::from_bytes(&raw)).transpose()?;
            living.extend(place.filter(|place| place.pack == pack).map(|place| (number, place)));
        }
        Ok(living)
    }
}
