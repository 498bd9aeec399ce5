//! An archive on its way in, and its end.
//!
//! ```text
//!   write ─┬─► tree hash, SHA-256
//!          └─► blob
//!   finish ─► as announced? ─► bytes durable ─► one commit: archive, its order, its piece, to be packed
//! ```
//! A crash, or dropping it, leaves garbage that the blob store's collector owns.

use super::change::{Attempt, Change};
use super::rows::{ArchiveRow, Garbage, PieceRow};
use super::secrets::Spot;
use super::{Error, Result, Vault, VaultName, Vaults, settings, tables};
use crate::inventory::Description;
use crate::pack::ArchiveId;
use crate::tree_hash::{TreeHash, TreeHasher};
use aws_lc_rs::digest::{Context, SHA256};
use bytes::Bytes;
use engine::blob::{BlobWriter, Copies, Owner, SealedBlob};
use engine::catalog::record::Record;
use engine::catalog::{Table, Write};
use engine::memory::MemoryHold;
use engine::unit::ByteCount;
use security::AccountId;
use std::sync::Arc;

/// Bytes of an upload, and of a part, at the most: 4 GiB.
pub const ARCHIVE_BYTES_MAX: u64 = 4 << 30;

/// What was said of the bytes beforehand.
#[derive(Clone, Debug, Default)]
pub struct Expected {
    /// `x-amz-sha256-tree-hash`
    pub tree_hash: Option<TreeHash>,
    /// `x-amz-content-sha256`
    pub sha256: Option<[u8; 32]>,
}

/// An archive that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uploaded {
    /// Its id.
    pub archive: ArchiveId,
    /// Over all of it.
    pub tree_hash: TreeHash,
    /// Its length.
    pub length: u64,
}

/// Bytes on their way into a blob, with their hashes.
pub(super) struct Intake {
    writer: BlobWriter,
    tree: TreeHasher,
    sha256: Context,
    length: u64,
    limit: u64,
}

/// Bytes that are durable and are what was announced.
pub(super) struct Taken {
    pub(super) blob: SealedBlob,
    pub(super) tree_hash: TreeHash,
    pub(super) length: u64,
}

impl Intake {
    pub(super) fn new(vaults: &Vaults, vault: &Vault, expected: Option<u64>, limit: u64) -> Self {
        let writer = vaults.blobs.writer(vault.home, expected.map(ByteCount::new));
        Self { writer, tree: TreeHasher::new(), sha256: Context::new(&SHA256), length: 0, limit }
    }

    pub(super) fn charged_to(self, held: MemoryHold) -> Self {
        Self { writer: self.writer.charged_to(held), ..self }
    }

    pub(super) async fn write(&mut self, bytes: Bytes) -> Result<()> {
        self.length += bytes.len() as u64;
        if self.length > self.limit {
            return Err(Error::Invalid(format!(
                "take the bytes: there are more than {}; larger archives come in parts",
                self.limit
            )));
        }
        self.tree.update(&bytes);
        self.sha256.update(&bytes);
        Ok(self.writer.push(bytes).await?)
    }

    pub(super) async fn finish(self, expected: &Expected) -> Result<Taken> {
        if self.length == 0 {
            return Err(Error::Invalid(
                "take the bytes: there are none; an archive has 1 byte or more".into(),
            ));
        }
        let tree_hash = self.tree.finish();
        let differs = |what, wanted: String, found: String| Err(Error::Mismatch { what, wanted, found });
        if let Some(wanted) = expected.tree_hash
            && wanted != tree_hash
        {
            return differs("the tree hash", wanted.to_string(), tree_hash.to_string());
        }
        let sha256 = self.sha256.finish();
        if let Some(wanted) = expected.sha256
            && wanted != sha256.as_ref()
        {
            return differs("the SHA-256", hex::encode(wanted), hex::encode(sha256.as_ref()));
        }
        Ok(Taken { blob: self.writer.seal().await?, tree_hash, length: self.length })
    }
}

/// Who refers to a blob: bytes of an archive, or of a job's output.
pub(super) fn owner(table: Table, at: Spot) -> engine::Result<Owner> {
    let mut name = vec![table.tag];
    name.extend_from_slice(&at.of);
    name.extend_from_slice(&at.offset.to_be_bytes());
    Owner::new(name)
}

/// The rows that put taken bytes at their place.
pub(super) fn piece_writes(vault: &Vault, table: Table, at: Spot, taken: &Taken) -> Result<Vec<Write>> {
    let blob = &taken.blob;
    let row = PieceRow {
        blob: blob.id,
        length: taken.length,
        tree_hash: taken.tree_hash,
        sealed: vault.secrets.seal_blob(table.tag, at, blob.id, &blob.key),
    };
    let mut writes = blob.writes(&owner(table, at)?);
    writes.push(Write::Put(tables::at_offset(table, &at.of, at.offset), row.to_bytes()));
    Ok(writes)
}

/// An upload of a whole archive.
pub struct Upload {
    vaults: Arc<Vaults>,
    vault: Arc<Vault>,
    description: Description,
    intake: Intake,
}

impl std::fmt::Debug for Upload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "upload to vault {}, {} bytes so far", self.vault.name, self.intake.length)
    }
}

impl Upload {
    /// The same, whose bytes in memory keep `held`.
    #[must_use]
    pub fn charged_to(self, held: MemoryHold) -> Self {
        Self { intake: self.intake.charged_to(held), ..self }
    }

    /// Takes bytes. After an error it is good for nothing.
    pub async fn write(&mut self, bytes: Bytes) -> Result<()> {
        self.intake.write(bytes).await
    }

    /// Ends it. The archive is there, durably, when this returns.
    pub async fn finish(self, expected: &Expected) -> Result<Uploaded> {
        let Self { vaults, vault, description, intake } = self;
        let taken = intake.finish(expected).await?;
        let row = ArchiveRow {
            length: taken.length,
            tree_hash: taken.tree_hash,
            created: vaults.clock.now(),
            aged_from: vaults.compliance.now(),
            description,
        };
        // A random one: nobody should tell from it when others came.
        let archive = ArchiveId::random(&*vaults.entropy);
        let at = Spot { of: *archive.as_bytes(), offset: 0 };
        let pieces = piece_writes(&vault, tables::PIECES, at, &taken)?;
        vaults
            .transact(|| async {
                let snapshot = vaults.at(vault.home).await?;
                if snapshot.get(tables::only(tables::CONFIG)).await?.is_none() {
                    return Err(vaults.gone(&vault));
                }
                let change = arrives(archive, &row)
                    .absent(tables::of_archive(tables::ARCHIVES, archive))
                    .writes(pieces.iter().cloned());
                Ok(Attempt::Commit(change.at(vault.home, &*snapshot), ()))
            })
            .await?;
        vaults.bells.packer.notify_one();
        Ok(Uploaded { archive, tree_hash: row.tree_hash, length: row.length })
    }
}

/// The rows by which an archive is there, but for its bytes.
pub(super) fn arrives(archive: ArchiveId, row: &ArchiveRow) -> Change {
    let length = i64::try_from(row.length).unwrap_or(i64::MAX);
    Change::default()
        .unchanged(tables::only(tables::CONFIG))
        .put(tables::of_archive(tables::ARCHIVES, archive), row.to_bytes())
        .put(tables::by_time(tables::CREATED, row.created, archive), tables::PRESENT)
        .put(tables::by_time(tables::STAGED, row.created, archive), 0_u64.to_le_bytes().to_vec())
        .add(tables::only(tables::COUNT), 1)
        .add(tables::only(tables::BYTES), length)
        .add(tables::only(tables::EPOCH), 1)
}

impl Vaults {
    /// Most bytes that an upload of so many, or of an unknown length, holds in memory.
    pub fn upload_memory(&self, most: Option<u64>) -> ByteCount {
        self.blobs.writer_memory(most.map(ByteCount::new), true, Copies::Configured)
    }

    /// Begins an upload. `length`: where it is known.
    pub fn upload(
        self: &Arc<Self>,
        account: AccountId,
        name: &VaultName,
        description: Description,
        length: Option<u64>,
    ) -> Result<Upload> {
        let vault = self.vault(account, name)?;
        let intake = Intake::new(self, &vault, length, ARCHIVE_BYTES_MAX);
        Ok(Upload { vaults: Arc::clone(self), vault, description, intake })
    }

    /// Whether an archive could be deleted now; the error says what keeps it. One that is not there can't: `false`.
    pub async fn may_delete(&self, account: AccountId, name: &VaultName, archive: ArchiveId) -> Result<bool> {
        let vault = self.vault(account, name)?;
        let snapshot = self.at(vault.home).await?;
        let raw = snapshot.get(tables::of_archive(tables::ARCHIVES, archive)).await?;
        let Some(raw) = raw else { return Ok(false) };
        self.check_guard(&*snapshot, ArchiveRow::from_bytes(&raw)?.aged_from).await?;
        Ok(true)
    }

    /// Deletes an archive. One that is not there is deleted already: `false`.
    pub async fn delete_archive(
        &self,
        account: AccountId,
        name: &VaultName,
        archive: ArchiveId,
    ) -> Result<bool> {
        let vault = self.vault(account, name)?;
        self.transact(|| async {
            let snapshot = self.at(vault.home).await?;
            let key = tables::of_archive(tables::ARCHIVES, archive);
            let Some(raw) = snapshot.get(key.clone()).await? else { return Ok(Attempt::Answer(false)) };
            let row = ArchiveRow::from_bytes(&raw)?;
            self.check_guard(&*snapshot, row.aged_from).await?;
            let length = i64::try_from(row.length).unwrap_or(i64::MAX);
            let change = Change::default()
                .unchanged(key.clone())
                .unchanged(settings::key(settings::Kind::Guard))
                .delete(key)
                .delete(tables::by_time(tables::CREATED, row.created, archive))
                .delete(tables::by_time(tables::STAGED, row.created, archive))
                .put(tables::of_archive(tables::GARBAGE, archive), Garbage::All.to_bytes())
                .add(tables::only(tables::COUNT), -1)
                .add(tables::only(tables::BYTES), -length)
                .freeing()
                .dirty(vault.home);
            Ok(Attempt::Commit(change.at(vault.home, &*snapshot), true))
        })
        .await
    }
}
