//! Every byte of a vault's packs is read and compared with its checksums, and what their parity restores is mended where it lies.
//!
//! ```text
//!   pack's row ─► its medium ─► read, keyless ─┬─ whole
//!                                              └─ damaged ─► are the hashes those that were sealed? ─► plan ─► written, or only told
//! ```
//! # Invariants
//! - No subkey is needed: archives whose keys are erased, or are a customer's, are looked after like the others.
//! - What is not what the vault sealed is never written to: somebody else made other hashes.
//!
//! # What a crash leaves
//! A pack that is mended in part: each cell that was written is as it was, the others are found the next time.
//!
//! # Limits
//! One pack a call, 256 MiB and its parity.

use super::build::{self, Keys, Rows};
use super::fetch::is_ours;
use super::rows::{PackRow, PackState};
use super::{Result, Vault, VaultName, Vaults, media, tables};
use crate::pack::{ArchiveId, PackId, plan, scrub};
use crate::source::ReadAt;
use engine::Error;
use engine::catalog::record::Record;
use security::AccountId;
use std::fs::{File, OpenOptions};
use std::sync::Arc;

/// Archives that are named where a pack has lost bytes.
const LOST_NAMED_MAX: usize = 1_000;
/// Rows of packs that are read together.
const PAGE: usize = 256;

/// How a pack is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PackHealth {
    /// Every byte is what it was.
    Whole,
    /// It is, now that what was damaged is written anew.
    Mended,
    /// Something is damaged that its parity restores, and was left as it is.
    Damaged,
    /// Something is damaged beyond that, or its file is not there.
    Lost,
    /// Its medium is not here.
    Away,
}

impl PackHealth {
    /// For scripts.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Mended => "mended",
            Self::Damaged => "damaged",
            Self::Lost => "lost",
            Self::Away => "away",
        }
    }
}

/// What was found of a pack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackScrub {
    /// Which one.
    pub pack: PackId,
    /// What stands on its medium.
    pub medium: String,
    /// Bytes that were read.
    pub bytes: u64,
    /// How it is.
    pub health: PackHealth,
    /// Cells of 4 KiB that were damaged.
    pub damaged_cells: usize,
    /// Those that nothing within the pack restores.
    pub lost_cells: usize,
    /// Archives that have lost bytes, a thousand at the most.
    pub lost_archives: Vec<ArchiveId>,
    /// Why it is not whole, where cells don't say it.
    pub detail: String,
}

/// A step of going through a vault's packs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScrubStep {
    /// What was found of one; `None`: there is none any more.
    pub found: Option<PackScrub>,
    /// Where the next step begins; `None` behind the last one.
    pub next: Option<PackId>,
}

/// Packs of a vault.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PackTotals {
    /// How many.
    pub packs: u64,
    /// With index and parity.
    pub bytes: u64,
}

impl Vaults {
    /// How many packs a vault has, and how large they are.
    pub async fn pack_totals(&self, account: AccountId, name: &VaultName) -> Result<PackTotals> {
        let vault = self.vault(account, name)?;
        let snapshot = self.at(vault.home).await?;
        let (mut totals, mut start) = (PackTotals::default(), None::<Vec<u8>>);
        loop {
            let page = self.page(&*snapshot, tables::PACKS, (b"", start.as_deref()), PAGE).await?;
            for (_, raw) in &page.rows {
                // One that can't be read is told by its scrub.
                let bytes = PackRow::from_bytes(raw).map_or(0, |row| row.bytes);
                totals = PackTotals { packs: totals.packs + 1, bytes: totals.bytes + bytes };
            }
            start = page.rows.last().map(|(key, _)| engine::catalog::key_after(key).to_vec());
            start = start.filter(|_| page.more);
            if start.is_none() {
                return Ok(totals);
            }
        }
    }

    /// Looks at one pack of a vault, the first from `from` on, and mends it if it is to.
    pub async fn scrub(
        self: &Arc<Self>,
        account: AccountId,
        name: &VaultName,
        (from, repairs): (Option<PackId>, bool),
    ) -> Result<ScrubStep> {
        let vault = self.vault(account, name)?;
        self.scrub_from(&vault, (from, repairs)).await
    }

    async fn scrub_from(
        self: &Arc<Self>,
        vault: &Arc<Vault>,
        (from, repairs): (Option<PackId>, bool),
    ) -> Result<ScrubStep> {
        let snapshot = self.at(vault.home).await?;
        let mut start = from.map(|pack| tables::of_pack(tables::PACKS, pack).bytes.to_vec());
        loop {
            let page = self.page(&*snapshot, tables::PACKS, (b"", start.as_deref()), PAGE).await?;
            let mut rows = page.rows.iter();
            while let Some((key, raw)) = rows.next() {
                let pack = PackId::from_bytes(tables::read_id(key)?);
                let Some(found) = self.scrub_row(vault, (pack, raw), repairs).await? else { continue };
                let next = match rows.next() {
                    Some((key, _)) => Some(PackId::from_bytes(tables::read_id(key)?)),
                    None if page.more => {
                        let behind = engine::catalog::key_after(key).to_vec();
                        let more = self.page(&*snapshot, tables::PACKS, (b"", Some(&behind)), 1).await?;
                        let id = more.rows.first().map(|(key, _)| tables::read_id(key)).transpose()?;
                        id.map(PackId::from_bytes)
                    }
                    None => None,
                };
                return Ok(ScrubStep { found: Some(found), next });
            }
            start = page.rows.last().map(|(key, _)| engine::catalog::key_after(key).to_vec());
            start = start.filter(|_| page.more);
            if start.is_none() {
                return Ok(ScrubStep::default());
            }
        }
    }

    /// `None`: it is none to look at, or went meanwhile.
    pub(super) async fn scrub_row(
        self: &Arc<Self>,
        vault: &Arc<Vault>,
        (pack, raw): (PackId, &[u8]),
        repairs: bool,
    ) -> Result<Option<PackScrub>> {
        let none = |health, detail: String| PackScrub {
            pack,
            medium: String::new(),
            bytes: 0,
            health,
            damaged_cells: 0,
            lost_cells: 0,
            lost_archives: Vec::new(),
            detail,
        };
        let row = match PackRow::from_bytes(raw) {
            Ok(row) if row.state != PackState::Kept => return Ok(None),
            Ok(row) => row,
            Err(error) => return Ok(Some(none(PackHealth::Lost, error.to_string()))),
        };
        let rows = Rows::of(self, vault);
        let looking = tokio::task::spawn_blocking(move || look_over(&rows, (pack, row), repairs));
        let outcome = looking.await.map_err(|_ended| Error::Closed)?;
        let found = match outcome {
            Ok(found) => found,
            // Given up meanwhile.
            Err(_) if !self.is_kept(vault, pack).await? => return Ok(None),
            Err(error) => {
                let is_here = self.media.look(row.medium).await.is_ok();
                let health = match &error {
                    _ if !is_here => PackHealth::Away,
                    Error::Io { .. } | Error::Corrupt { .. } | Error::NotFound { .. } => PackHealth::Lost,
                    _ => return Err(error.into()),
                };
                none(health, error.to_string())
            }
        };
        self.note_scrub(vault, pack, (found.health, found.bytes)).await?;
        Ok(Some(PackScrub { medium: self.media.label_of(row.medium).unwrap_or_default(), ..found }))
    }

    async fn is_kept(&self, vault: &Vault, pack: PackId) -> Result<bool> {
        let row = self.at(vault.home).await?.get(tables::of_pack(tables::PACKS, pack)).await?;
        Ok(row.is_some_and(|raw| PackRow::from_bytes(&raw).is_ok_and(|row| row.state == PackState::Kept)))
    }
}

/// Looks at a pack where it lies, and repairs it by its own parity if it is to. Blocks.
pub(super) fn look_over(
    rows: &Rows,
    (pack, row): (PackId, PackRow),
    repairs: bool,
) -> engine::Result<PackScrub> {
    let path = media::file_of(&rows.vaults.media.look_now(row.medium)?, pack);
    let file = File::open(&path).map_err(|error| Error::io("open", &path, error))?;
    let found = scrub(&file as &dyn ReadAt, Some(pack))?;
    let (head, foot) = found.head_and_foot();
    let damaged = [&found.data, &found.parity, &found.slack].map(Vec::len).iter().sum::<usize>();
    let mut told = PackScrub {
        pack,
        medium: String::new(),
        bytes: found.bytes,
        health: PackHealth::Whole,
        damaged_cells: damaged + head.len() + foot.len(),
        lost_cells: 0,
        lost_archives: Vec::new(),
        detail: String::new(),
    };
    if found.is_whole() {
        return Ok(told);
    }
    if !is_ours(rows, &path, pack, &found) {
        told.health = PackHealth::Lost;
        told.detail.push_str("its hashes are not those that were sealed");
        return Ok(told);
    }
    let mending = plan(&file, &found)?;
    told.lost_cells = mending.lost().len();
    told.health = if mending.makes_whole() { PackHealth::Damaged } else { PackHealth::Lost };
    if !mending.makes_whole() {
        told.detail = format!("{} cells of it are lost", mending.lost().len());
        let reader = build::open_at(&path, pack, &rows.vault)?;
        told.lost_archives = mending.lost_archives(&reader, &Keys::of(rows.clone()))?;
        told.lost_archives.truncate(LOST_NAMED_MAX);
    }
    if !repairs {
        return Ok(told);
    }
    tracing::warn!(%pack, restored = mending.restored(), lost = mending.lost().len(), "a damaged pack is mended");
    let opened = OpenOptions::new().read(true).write(true).open(&path);
    let mut target = opened.map_err(|error| Error::io("open", &path, error))?;
    let unwritten = mending.apply(&mut target)?;
    if !unwritten.is_empty() {
        told.health = PackHealth::Lost;
        told.detail = format!("{} cells of it can't be written: its medium fails", unwritten.len());
    } else if told.health == PackHealth::Damaged {
        told.health = PackHealth::Mended;
    }
    Ok(told)
}
