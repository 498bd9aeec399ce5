//! What rows say: docs/formats/vault.md has the fields. The tests hold golden bytes of each.

use crate::inventory::Description;
use crate::pack::{ArchiveId, KeyId, PackId, VaultId};
use crate::retrieval::MediumId;
use crate::tree_hash::{PartSize, TreeHash};
use engine::Result;
use engine::catalog::record::{Record, RecordReader, RecordWriter};
use engine::clock::Timestamp;
use engine::id::{BlobId, PartitionId};

/// The form of a key that is sealed by the vault.
pub(super) const SEALED_VERSION: u8 = 1;

fn time(fields: &mut RecordReader<'_>) -> Result<Timestamp> {
    fields.i64().map(Timestamp::from_millis)
}

fn description(fields: &mut RecordReader<'_>) -> Result<Description> {
    let text = fields.text()?;
    Description::new(text).map_err(|error| fields.corrupt(error.to_string()))
}

fn flag(fields: &mut RecordReader<'_>) -> Result<bool> {
    match fields.u8()? {
        found @ (0 | 1) => Ok(found == 1),
        other => Err(fields.corrupt(format!("flag {other}"))),
    }
}

/// How far a vault's name is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Creating,
    Active,
    Deleting,
}

/// What a name stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct VaultRow {
    pub(super) partition: PartitionId,
    pub(super) vault: VaultId,
    pub(super) state: State,
    pub(super) created: Timestamp,
}

impl Record for VaultRow {
    const NAME: &'static str = "vault row";
    const VERSION: u8 = 1;

    fn encode(&self, out: &mut RecordWriter) {
        let state = match self.state {
            State::Creating => 1,
            State::Active => 2,
            State::Deleting => 3,
        };
        out.fixed(self.partition.as_bytes()).fixed(self.vault.as_bytes());
        out.u8(state).i64(self.created.as_millis());
    }

    fn decode(_version: u8, fields: &mut RecordReader<'_>) -> Result<Self> {
        Ok(Self {
            partition: PartitionId::from_bytes(fields.fixed()?),
            vault: VaultId::from_bytes(fields.fixed()?),
            state: match fields.u8()? {
                1 => State::Creating,
                2 => State::Active,
                3 => State::Deleting,
                other => return Err(fields.corrupt(format!("state {other}"))),
            },
            created: time(fields)?,
        })
    }
}

/// What a vault is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ConfigRow {
    pub(super) vault: VaultId,
    pub(super) deduplicates: bool,
    pub(super) keeps_timetable: bool,
}

impl Record for ConfigRow {
    const NAME: &'static str = "configuration of a vault";
    const VERSION: u8 = 1;

    fn encode(&self, out: &mut RecordWriter) {
        out.fixed(self.vault.as_bytes()).u8(self.deduplicates.into()).u8(self.keeps_timetable.into());
    }

    fn decode(_version: u8, fields: &mut RecordReader<'_>) -> Result<Self> {
        Ok(Self {
            vault: VaultId::from_bytes(fields.fixed()?),
            deduplicates: flag(fields)?,
            keeps_timetable: flag(fields)?,
        })
    }
}

/// A medium that was seen once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MediumRow {
    pub(super) id: MediumId,
    /// Grows with each pack that is put there.
    pub(super) generation: u64,
}

impl Record for MediumRow {
    const NAME: &'static str = "medium row";
    const VERSION: u8 = 1;

    fn encode(&self, out: &mut RecordWriter) {
        out.fixed(self.id.as_bytes()).u64(self.generation);
    }

    fn decode(_version: u8, fields: &mut RecordReader<'_>) -> Result<Self> {
        Ok(Self { id: MediumId::from_bytes(fields.fixed()?), generation: fields.u64()? })
    }
}

/// An archive. Where its bytes are, `PIECES` and `PLACES` say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ArchiveRow {
    pub(super) length: u64,
    pub(super) tree_hash: TreeHash,
    /// By the clock on the wall: what is shown.
    pub(super) created: Timestamp,
    /// By the compliance clock: what its age is counted from.
    pub(super) aged_from: Timestamp,
    pub(super) description: Description,
}

impl Record for ArchiveRow {
    const NAME: &'static str = "archive row";
    const VERSION: u8 = 1;

    fn encode(&self, out: &mut RecordWriter) {
        out.u64(self.length).fixed(self.tree_hash.as_bytes());
        out.i64(self.created.as_millis()).i64(self.aged_from.as_millis()).text(self.description.as_str());
    }

    fn decode(_version: u8, fields: &mut RecordReader<'_>) -> Result<Self> {
        Ok(Self {
            length: fields.u64()?,
            tree_hash: TreeHash::from_bytes(fields.fixed()?),
            created: time(fields)?,
            aged_from: time(fields)?,
            description: description(fields)?,
        })
    }
}

/// Bytes of an archive, or of a job's output, in a blob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PieceRow {
    pub(super) blob: BlobId,
    pub(super) length: u64,
    /// Over its bytes: a part's, by which the upload is completed.
    pub(super) tree_hash: TreeHash,
    /// The blob's key, sealed for this place.
    pub(super) sealed: Vec<u8>,
}

impl Record for PieceRow {
    const NAME: &'static str = "piece of an archive";
    const VERSION: u8 = 1;

    fn encode(&self, out: &mut RecordWriter) {
        out.fixed(self.blob.as_bytes()).u64(self.length).fixed(self.tree_hash.as_bytes());
        out.bytes(&self.sealed);
    }

    fn decode(_version: u8, fields: &mut RecordReader<'_>) -> Result<Self> {
        Ok(Self {
            blob: BlobId::from_bytes(fields.fixed()?),
            length: fields.u64()?,
            tree_hash: TreeHash::from_bytes(fields.fixed()?),
            sealed: fields.bytes()?.to_vec(),
        })
    }
}

/// Bytes of an archive in a pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PlaceRow {
    pub(super) pack: PackId,
    pub(super) length: u64,
    /// The subkey that is this part's alone, and goes with it.
    pub(super) own_key: Option<KeyId>,
}

impl Record for PlaceRow {
    const NAME: &'static str = "place of an archive";
    const VERSION: u8 = 1;

    fn encode(&self, out: &mut RecordWriter) {
        out.fixed(self.pack.as_bytes()).u64(self.length).u8(self.own_key.is_some().into());
        if let Some(key) = self.own_key {
            out.fixed(key.as_bytes());
        }
    }

    fn decode(_version: u8, fields: &mut RecordReader<'_>) -> Result<Self> {
        Ok(Self {
            pack: PackId::from_bytes(fields.fixed()?),
            length: fields.u64()?,
            own_key: if flag(fields)? { Some(KeyId::from_bytes(fields.fixed()?)) } else { None },
        })
    }
}

/// How far a pack is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PackState {
    /// It is on its way to its medium: nothing refers to it yet.
    Coming,
    /// It was read back there.
    Kept,
    /// Nothing refers to it any more, and its file is to go.
    Doomed {
        /// Since this commit of the catalog at the latest.
        version: u64,
    },
}

/// A pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PackRow {
    pub(super) medium: MediumId,
    /// Its place in the order in which packs came to the medium.
    pub(super) position: u64,
    /// Bytes of its file.
    pub(super) bytes: u64,
    pub(super) sealed: Timestamp,
    pub(super) state: PackState,
}

impl Record for PackRow {
    const NAME: &'static str = "pack row";
    const VERSION: u8 = 1;

    fn encode(&self, out: &mut RecordWriter) {
        out.fixed(self.medium.as_bytes()).u64(self.position).u64(self.bytes).i64(self.sealed.as_millis());
        match self.state {
            PackState::Coming => out.u8(1),
            PackState::Kept => out.u8(2),
            PackState::Doomed { version } => out.u8(3).u64(version),
        };
    }

    fn decode(_version: u8, fields: &mut RecordReader<'_>) -> Result<Self> {
        Ok(Self {
            medium: MediumId::from_bytes(fields.fixed()?),
            position: fields.u64()?,
            bytes: fields.u64()?,
            sealed: time(fields)?,
            state: match fields.u8()? {
                1 => PackState::Coming,
                2 => PackState::Kept,
                3 => PackState::Doomed { version: fields.u64()? },
                other => return Err(fields.corrupt(format!("state {other}"))),
            },
        })
    }
}

/// Where a chunk lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ChunkRow {
    pub(super) pack: PackId,
    pub(super) frame: u32,
    pub(super) at: u32,
    pub(super) length: u32,
}

impl Record for ChunkRow {
    const NAME: &'static str = "chunk row of a vault";
    const VERSION: u8 = 1;

    fn encode(&self, out: &mut RecordWriter) {
        out.fixed(self.pack.as_bytes()).u32(self.frame).u32(self.at).u32(self.length);
    }

    fn decode(_version: u8, fields: &mut RecordReader<'_>) -> Result<Self> {
        Ok(Self {
            pack: PackId::from_bytes(fields.fixed()?),
            frame: fields.u32()?,
            at: fields.u32()?,
            length: fields.u32()?,
        })
    }
}

/// An upload under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct UploadRow {
    pub(super) part_size: PartSize,
    pub(super) created: Timestamp,
    pub(super) description: Description,
}

impl Record for UploadRow {
    const NAME: &'static str = "upload of an archive";
    const VERSION: u8 = 1;

    fn encode(&self, out: &mut RecordWriter) {
        out.u64(self.part_size.bytes()).i64(self.created.as_millis()).text(self.description.as_str());
    }

    fn decode(_version: u8, fields: &mut RecordReader<'_>) -> Result<Self> {
        let part_size = PartSize::new(fields.u64()?).map_err(|error| fields.corrupt(error.to_string()))?;
        Ok(Self { part_size, created: time(fields)?, description: description(fields)? })
    }
}

/// What is to be released of what was an archive, an upload, or a job's output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Garbage {
    /// All of it.
    All,
    /// Pieces that end here or before: they have places.
    Before(u64),
}

impl Record for Garbage {
    const NAME: &'static str = "garbage of a vault";
    const VERSION: u8 = 1;

    fn encode(&self, out: &mut RecordWriter) {
        match self {
            Self::All => out.u8(0),
            Self::Before(offset) => out.u8(1).u64(*offset),
        };
    }

    fn decode(_version: u8, fields: &mut RecordReader<'_>) -> Result<Self> {
        match fields.u8()? {
            0 => Ok(Self::All),
            1 => Ok(Self::Before(fields.u64()?)),
            other => Err(fields.corrupt(format!("kind {other}"))),
        }
    }
}

/// What a job is about, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FactsRow {
    /// Of an archive's job: its archive, whose length and tree hash.
    pub(super) archive: Option<(ArchiveId, u64, TreeHash)>,
    /// When it came to its end.
    pub(super) ended: Option<Timestamp>,
    /// Bytes of its output.
    pub(super) output: u64,
    /// The tree hash of the output, where that is a node of the archive's tree.
    pub(super) tree_hash: Option<TreeHash>,
    /// Where an inventory that was limited goes on.
    pub(super) marker: String,
}

impl Record for FactsRow {
    const NAME: &'static str = "facts of a job";
    const VERSION: u8 = 1;

    fn encode(&self, out: &mut RecordWriter) {
        out.u8(self.archive.is_some().into());
        if let Some((archive, length, tree_hash)) = &self.archive {
            out.fixed(archive.as_bytes()).u64(*length).fixed(tree_hash.as_bytes());
        }
        out.u8(self.ended.is_some().into());
        if let Some(ended) = self.ended {
            out.i64(ended.as_millis());
        }
        out.u64(self.output).u8(self.tree_hash.is_some().into());
        if let Some(tree_hash) = self.tree_hash {
            out.fixed(tree_hash.as_bytes());
        }
        out.text(&self.marker);
    }

    fn decode(_version: u8, fields: &mut RecordReader<'_>) -> Result<Self> {
        let archive = if flag(fields)? {
            let archive = ArchiveId::from_bytes(fields.fixed()?);
            Some((archive, fields.u64()?, TreeHash::from_bytes(fields.fixed()?)))
        } else {
            None
        };
        let ended = if flag(fields)? { Some(time(fields)?) } else { None };
        let output = fields.u64()?;
        let tree_hash = if flag(fields)? { Some(TreeHash::from_bytes(fields.fixed()?)) } else { None };
        Ok(Self { archive, ended, output, tree_hash, marker: fields.text()?.to_owned() })
    }
}
