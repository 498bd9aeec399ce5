//! Archives that come in parts, in any order.
//!
//! The archive's id is drawn when the upload begins, and its parts are pieces of that archive from the start: completing it is one small
//! commit, whatever the number of parts. Until then nothing refers to them but the upload, and when it is aborted they are garbage.
//!
//! # Invariants
//! - A part comes only while its upload is there: its commit proves that.
//! - A completion proves that no part came since it added them up.

use super::change::{Attempt, Change};
use super::deposit::{Intake, arrives, owner, piece_writes};
use super::rows::{ArchiveRow, Garbage, PieceRow, UploadRow};
use super::secrets::Spot;
use super::{Error, Expected, Result, Uploaded, Vault, VaultName, Vaults, tables};
use crate::inventory::Description;
use crate::pack::ArchiveId;
use crate::tree_hash::{ByteRange, PartSize, Parts, TreeHash};
use bytes::Bytes;
use engine::blob::release;
use engine::catalog::record::Record;
use engine::catalog::{Key, Snapshot};
use engine::clock::Timestamp;
use engine::memory::MemoryHold;
use security::AccountId;
use std::sync::Arc;

/// Parts that a completion reads: one more than there may be.
const PARTS_READ: usize = 10_001;
/// Most uploads under way in a vault.
const UPLOADS_MAX: usize = 10_000;

/// An upload under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadInfo {
    /// Its id: that of the archive to be.
    pub upload: ArchiveId,
    /// As it was described.
    pub description: Description,
    /// What its parts have.
    pub part_size: PartSize,
    /// When it was begun.
    pub created: Timestamp,
}

/// Some uploads of a vault.
#[derive(Clone, Debug, Default)]
pub struct UploadPage {
    /// By their ids.
    pub uploads: Vec<UploadInfo>,
    /// The first one behind them.
    pub next: Option<ArchiveId>,
}

/// A part that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartInfo {
    /// Its bytes.
    pub range: ByteRange,
    /// Over them.
    pub tree_hash: TreeHash,
}

/// Some parts of an upload.
#[derive(Clone, Debug)]
pub struct PartPage {
    /// Which upload.
    pub upload: UploadInfo,
    /// In the order of their bytes.
    pub parts: Vec<PartInfo>,
    /// Where the first one behind them begins.
    pub next: Option<u64>,
}

/// A part on its way in.
pub struct Part {
    vaults: Arc<Vaults>,
    vault: Arc<Vault>,
    upload: ArchiveId,
    range: ByteRange,
    intake: Intake,
}

impl std::fmt::Debug for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "part {} of {:?}", self.range, self.upload)
    }
}

fn upload_key(upload: ArchiveId) -> Key {
    tables::of_archive(tables::UPLOADS, upload)
}

fn no_upload(upload: ArchiveId) -> Error {
    Error::NotFound { what: "upload", id: upload.to_string() }
}

async fn find(snapshot: &dyn Snapshot, upload: ArchiveId) -> Result<UploadRow> {
    let raw = snapshot.get(upload_key(upload)).await?.ok_or_else(|| no_upload(upload))?;
    Ok(UploadRow::from_bytes(&raw)?)
}

fn info(upload: ArchiveId, row: UploadRow) -> UploadInfo {
    UploadInfo { upload, description: row.description, part_size: row.part_size, created: row.created }
}

impl Part {
    /// The same, whose bytes in memory keep `held`.
    #[must_use]
    pub fn charged_to(self, held: MemoryHold) -> Self {
        Self { intake: self.intake.charged_to(held), ..self }
    }

    /// Takes bytes.
    pub async fn write(&mut self, bytes: Bytes) -> Result<()> {
        self.intake.write(bytes).await
    }

    /// Ends it. A part that is there already is replaced.
    pub async fn finish(self, expected: &Expected) -> Result<TreeHash> {
        let Self { vaults, vault, upload, range, intake } = self;
        let taken = intake.finish(expected).await?;
        if taken.length != range.byte_count() {
            return Err(Error::Invalid(format!(
                "take the part: it has {} bytes, its range {range} says {}",
                taken.length,
                range.byte_count()
            )));
        }
        let at = Spot { of: *upload.as_bytes(), offset: range.first() };
        let writes = piece_writes(&vault, tables::PIECES, at, &taken)?;
        let key = tables::at_offset(tables::PIECES, &at.of, at.offset);
        vaults
            .transact(|| async {
                let snapshot = vaults.at(vault.home).await?;
                find(&*snapshot, upload).await?;
                let mut change = Change::default()
                    .unchanged(upload_key(upload))
                    .unchanged(key.clone())
                    .add(tables::of_archive(tables::PART_EPOCH, upload), 1);
                if let Some(old) = snapshot.get(key.clone()).await? {
                    let old = PieceRow::from_bytes(&old)?;
                    change = change.writes(release(old.blob, &owner(tables::PIECES, at)?));
                }
                Ok(Attempt::Commit(
                    change.writes(writes.iter().cloned()).at(vault.home, &*snapshot),
                    taken.tree_hash,
                ))
            })
            .await
    }
}

impl Vaults {
    /// Begins an upload in parts.
    pub async fn begin_upload(
        &self,
        account: AccountId,
        name: &VaultName,
        description: Description,
        part_size: PartSize,
    ) -> Result<ArchiveId> {
        let vault = self.vault(account, name)?;
        let upload = ArchiveId::random(&*self.entropy);
        let row = UploadRow { part_size, created: self.clock.now(), description };
        self.transact(|| async {
            let snapshot = self.at(vault.home).await?;
            if snapshot.get(tables::only(tables::CONFIG)).await?.is_none() {
                return Err(self.gone(&vault));
            }
            let there = self.page(&*snapshot, tables::UPLOADS, (b"", None), UPLOADS_MAX).await?;
            if there.rows.len() >= UPLOADS_MAX {
                return Err(Error::TooMany { what: "uploads of the vault", limit: UPLOADS_MAX as u64 });
            }
            let change = Change::default()
                .unchanged(tables::only(tables::CONFIG))
                .absent(upload_key(upload))
                .put(upload_key(upload), row.to_bytes())
                .add(tables::only(tables::EPOCH), 1);
            Ok(Attempt::Commit(change.at(vault.home, &*snapshot), upload))
        })
        .await
    }

    /// Begins a part.
    pub async fn part(
        self: &Arc<Self>,
        account: AccountId,
        name: &VaultName,
        upload: ArchiveId,
        range: ByteRange,
    ) -> Result<Part> {
        let vault = self.vault(account, name)?;
        let snapshot = self.at(vault.home).await?;
        find(&*snapshot, upload).await?.part_size.check(range)?;
        let length = range.byte_count();
        let intake = Intake::new(self, &vault, Some(length), length);
        Ok(Part { vaults: Arc::clone(self), vault, upload, range, intake })
    }

    /// Makes an archive of the parts.
    pub async fn complete_upload(
        &self,
        account: AccountId,
        name: &VaultName,
        upload: ArchiveId,
        (length, tree_hash): (u64, TreeHash),
    ) -> Result<Uploaded> {
        let vault = self.vault(account, name)?;
        let uploaded = self
            .transact(|| async {
                let snapshot = self.at(vault.home).await?;
                let Some(raw) = snapshot.get(upload_key(upload)).await? else {
                    // Said again, as after an answer that was lost.
                    let there = snapshot.get(tables::of_archive(tables::ARCHIVES, upload)).await?;
                    let there = there.map(|raw| ArchiveRow::from_bytes(&raw)).transpose()?;
                    let same = there.filter(|row| (row.length, row.tree_hash) == (length, tree_hash));
                    let same = same.ok_or_else(|| no_upload(upload))?;
                    return Ok(Attempt::Answer(Uploaded {
                        archive: upload,
                        tree_hash: same.tree_hash,
                        length,
                    }));
                };
                let row = UploadRow::from_bytes(&raw)?;
                let mut parts = Parts::new(row.part_size);
                for part in self.parts_of(&*snapshot, upload, 0, PARTS_READ).await?.0 {
                    parts.push(part.range, part.tree_hash)?;
                }
                let found = parts.finish(length)?;
                if found != tree_hash {
                    let (wanted, found) = (tree_hash.to_string(), found.to_string());
                    return Err(Error::Mismatch { what: "the tree hash", wanted, found });
                }
                let archive = ArchiveRow {
                    length,
                    tree_hash,
                    created: self.clock.now(),
                    aged_from: self.compliance.now(),
                    description: row.description,
                };
                let epoch = tables::of_archive(tables::PART_EPOCH, upload);
                let change = arrives(upload, &archive)
                    .unchanged(upload_key(upload))
                    .unchanged(epoch.clone())
                    .delete(upload_key(upload))
                    .delete(epoch);
                Ok(Attempt::Commit(
                    change.at(vault.home, &*snapshot),
                    Uploaded { archive: upload, tree_hash, length },
                ))
            })
            .await?;
        self.bells.packer.notify_one();
        Ok(uploaded)
    }

    /// Gives an upload up.
    pub async fn abort_upload(&self, account: AccountId, name: &VaultName, upload: ArchiveId) -> Result<()> {
        let vault = self.vault(account, name)?;
        self.transact(|| async {
            let snapshot = self.at(vault.home).await?;
            find(&*snapshot, upload).await?;
            let change = Change::default()
                .unchanged(upload_key(upload))
                .delete(upload_key(upload))
                .delete(tables::of_archive(tables::PART_EPOCH, upload))
                .put(tables::of_archive(tables::GARBAGE, upload), Garbage::All.to_bytes())
                .freeing()
                .dirty(vault.home);
            Ok(Attempt::Commit(change.at(vault.home, &*snapshot), ()))
        })
        .await
    }

    /// Uploads under way, from `from` on.
    pub async fn uploads(
        &self,
        account: AccountId,
        name: &VaultName,
        from: Option<ArchiveId>,
        limit: usize,
    ) -> Result<UploadPage> {
        let vault = self.vault(account, name)?;
        let snapshot = self.at(vault.home).await?;
        let start = from.as_ref().map(|from| &from.as_bytes()[..]);
        let rows = self.page(&*snapshot, tables::UPLOADS, (b"", start), limit.saturating_add(1)).await?.rows;
        let mut page = UploadPage::default();
        for (key, raw) in &rows {
            let id = ArchiveId::from_bytes(tables::read_id(key)?);
            if page.uploads.len() == limit {
                page.next = Some(id);
            } else {
                page.uploads.push(info(id, UploadRow::from_bytes(raw)?));
            }
        }
        Ok(page)
    }

    /// Parts of an upload, from the one on that begins at `from`.
    pub async fn parts(
        &self,
        account: AccountId,
        name: &VaultName,
        upload: ArchiveId,
        (from, limit): (u64, usize),
    ) -> Result<PartPage> {
        let vault = self.vault(account, name)?;
        let snapshot = self.at(vault.home).await?;
        let row = find(&*snapshot, upload).await?;
        let (parts, next) = self.parts_of(&*snapshot, upload, from, limit).await?;
        Ok(PartPage { upload: info(upload, row), parts, next })
    }

    async fn parts_of(
        &self,
        snapshot: &dyn Snapshot,
        upload: ArchiveId,
        from: u64,
        limit: usize,
    ) -> Result<(Vec<PartInfo>, Option<u64>)> {
        let start = tables::at_offset(tables::PIECES, upload.as_bytes(), from).bytes;
        let prefix = (&upload.as_bytes()[..], Some(&start[..]));
        let rows = self.page(snapshot, tables::PIECES, prefix, limit.saturating_add(1)).await?.rows;
        let (mut parts, mut next) = (Vec::new(), None);
        for (key, raw) in &rows {
            let (_, first) = tables::read_offset(key)?;
            if parts.len() == limit {
                next = Some(first);
                break;
            }
            let row = PieceRow::from_bytes(raw)?;
            let range = ByteRange::new(first, first.saturating_add(row.length).saturating_sub(1))?;
            parts.push(PartInfo { range, tree_hash: row.tree_hash });
        }
        Ok((parts, next))
    }
}
