//! Media: directories that packs lie in, each known by a mark.
//!
//! ```text
//!   a pack is to come ─► mark: generation + 1 (durable) ─► row: the same ─► the pack's row ─► its file
//! ```
//! The mark is the file `firn-medium` (docs/formats/vault.md). What is at a medium's path counts as that medium only with its mark and a
//! generation that is not behind the row's: an empty mount point, another disk and a copy from before are told apart, and nothing is read
//! from or written to any of them. A mark that is ahead is what a crash leaves, or a recovered catalog, which knows less than the medium.
//!
//! # Limits
//! 256 media. Packs of a medium lie in one directory.

use super::rows::MediumRow;
use super::{Result, Vaults, tables};
use crate::pack::{EXTENSION, PackId};
use crate::retrieval::{Costs, Label, Medium, MediumId, MediumKind, StationId};
use engine::catalog::record::Record;
use engine::catalog::{Catalog, Check, Commit, Layout, Write};
use engine::entropy::Entropy;
use engine::id::{PartitionId, random_bytes};
use engine::unit::ByteCount;
use engine::{Error, file};
use parking_lot::Mutex;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The mark's name.
const MARK: &str = "firn-medium";
const MAGIC: &[u8; 8] = b"FIRNMEDM";
const VERSION: u32 = 1;
const MARK_LEN: usize = 40;
const MEDIA_MAX: usize = 256;

/// A medium, as it is configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediumOptions {
    /// What stands on it.
    pub label: Label,
    /// What it is: a disk, one that is spun down, one on a shelf.
    pub kind: MediumKind,
    /// Its directory.
    pub path: PathBuf,
    /// How much it may hold; as much as its file system does, where nothing is said.
    pub capacity: Option<ByteCount>,
    /// What lies there stays: packs are not compacted. They are mended all the same, for that writes what was there.
    pub write_once: bool,
}

/// How a medium is.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct MediumStatus {
    /// What stands on it.
    pub label: String,
    /// Bytes of packs that are to be there.
    pub bytes: u64,
    /// Why it can't be used now.
    pub away: Option<String>,
}

#[derive(Clone)]
struct Known {
    options: MediumOptions,
    row: MediumRow,
    /// It has no row yet, and gets none before there is a vault.
    new: bool,
    /// Bytes of packs.
    used: u64,
    /// The next pack's position.
    next: u64,
    /// Whether it was here when the plan was told last.
    here: bool,
    /// Held by who writes its mark.
    marking: Arc<Mutex<()>>,
}

/// All media.
pub(super) struct Media {
    catalog: Arc<dyn Catalog>,
    /// Never held while a file system is asked: one that hangs would hold up whoever counts.
    all: Arc<Mutex<Vec<Known>>>,
}

/// A medium that takes a pack.
#[derive(Clone, Debug)]
pub(super) struct Chosen {
    pub(super) id: MediumId,
    pub(super) position: u64,
    pub(super) path: PathBuf,
}

impl Media {
    /// With these media. Nothing is written yet.
    pub(super) async fn open(
        catalog: Arc<dyn Catalog>,
        entropy: Arc<dyn Entropy>,
        options: Vec<MediumOptions>,
    ) -> Result<Self> {
        if options.len() > MEDIA_MAX {
            return Err(super::Error::TooMany { what: "media", limit: MEDIA_MAX as u64 });
        }
        let mut all: Vec<Known> = Vec::new();
        for options in options {
            if all.iter().any(|known| known.options.label == options.label) {
                return Err(super::Error::Invalid(format!("there are two media {}", options.label)));
            }
            let row = load(&*catalog, options.label.as_str()).await?;
            let new = row.is_none();
            let drawn = || MediumRow { id: MediumId::from_bytes(random_bytes(&*entropy)), generation: 0 };
            let row = row.unwrap_or_else(drawn);
            let mut known =
                Known { options, row, new, used: 0, next: 0, here: false, marking: Arc::default() };
            known.here = match known.look() {
                Ok(()) => true,
                Err(error) => {
                    tracing::warn!(medium = known.options.label.as_str(), %error, "a medium is not here");
                    false
                }
            };
            all.push(known);
        }
        Ok(Self { catalog, all: Arc::new(Mutex::new(all)) })
    }

    /// New media get their rows, before there is a vault. Marks follow when they are looked at.
    pub(super) async fn register(&self) -> engine::Result<()> {
        loop {
            let new = self
                .all
                .lock()
                .iter()
                .find(|known| known.new)
                .map(|known| (known.options.label.clone(), known.row));
            let Some((label, row)) = new else { return Ok(()) };
            let root = self.catalog.snapshot(PartitionId::ROOT).await?;
            let key = tables::of_medium(label.as_str());
            let commit = Commit {
                checks: vec![Check::Absent(key.clone())],
                writes: vec![Write::Put(key, row.to_bytes())],
                layout: Layout::VAULTS,
                ..Commit::new(PartitionId::ROOT, root.read_version())
            };
            self.catalog.commit(commit).await?;
            for known in self.all.lock().iter_mut().filter(|known| known.row.id == row.id) {
                known.new = false;
            }
        }
    }

    /// A pack lies there, or is to.
    pub(super) fn count(&self, medium: MediumId, position: u64, bytes: u64) {
        if let Some(known) = self.all.lock().iter_mut().find(|known| known.row.id == medium) {
            known.used += bytes;
            known.next = known.next.max(position + 1);
        }
    }

    /// A pack is gone.
    pub(super) fn discount(&self, medium: MediumId, bytes: u64) {
        if let Some(known) = self.all.lock().iter_mut().find(|known| known.row.id == medium) {
            known.used = known.used.saturating_sub(bytes);
        }
    }

    /// For the plan: each in a station of its own, but those that are spun down and those on a shelf, which have one each.
    pub(super) fn planned(&self) -> Vec<(StationId, Medium)> {
        let mut planned = Vec::new();
        for (number, known) in (2_u16..).zip(self.all.lock().iter()) {
            let station = StationId(match known.options.kind {
                MediumKind::SpunDown => 0,
                MediumKind::Shelf => 1,
                MediumKind::Disk | MediumKind::Remote | MediumKind::Tape => number,
            });
            let medium = Medium {
                id: known.row.id,
                label: known.options.label.clone(),
                kind: known.options.kind,
                station,
                capacity: ByteCount::new(1 << 62),
                costs: Costs::usual(known.options.kind),
                here: known.here,
            };
            planned.push((station, medium));
        }
        planned
    }

    /// Where a medium is, or why it is not here. Blocks, for as long as its file system does.
    pub(super) fn look_now(&self, medium: MediumId) -> engine::Result<PathBuf> {
        look(&self.all, medium)
    }

    /// The same, in a thread of its own.
    pub(super) async fn look(&self, medium: MediumId) -> engine::Result<PathBuf> {
        let all = Arc::clone(&self.all);
        let looking = tokio::task::spawn_blocking(move || look(&all, medium));
        looking.await.map_err(|_ended| Error::Closed)?
    }

    /// Whether a medium came or left since the plan was told last. For the plan alone: who else looks takes no news from it.
    pub(super) async fn news(&self, medium: MediumId) -> Option<bool> {
        let here = self.look(medium).await.is_ok();
        let mut all = self.all.lock();
        let known = all.iter_mut().find(|known| known.row.id == medium)?;
        (std::mem::replace(&mut known.here, here) != here).then_some(here)
    }

    /// Which ones there are.
    pub(super) fn ids(&self) -> Vec<MediumId> {
        self.all.lock().iter().map(|known| known.row.id).collect()
    }

    /// What stands on one, if it is configured.
    pub(super) fn label_of(&self, medium: MediumId) -> Option<String> {
        let all = self.all.lock();
        all.iter().find(|known| known.row.id == medium).map(|known| known.options.label.to_string())
    }

    /// Whether packs that lie there are never compacted.
    pub(super) fn is_write_once(&self, medium: MediumId) -> bool {
        let all = self.all.lock();
        all.iter().any(|known| known.row.id == medium && known.options.write_once)
    }

    /// How all of them are.
    pub(super) fn status(&self) -> Vec<MediumStatus> {
        let status = |known: &mut Known| {
            let away = known.look().err().map(|error| error.to_string());
            MediumStatus { label: known.options.label.to_string(), bytes: known.used, away }
        };
        let mut all = self.all.lock().clone();
        all.iter_mut().map(status).collect()
    }

    /// Where a pack of so many bytes goes: the first medium that is here and has room. It has its generation when this returns.
    pub(super) async fn choose(&self, bytes: u64) -> engine::Result<Chosen> {
        let all = self.all.lock().clone();
        let choosing = tokio::task::spawn_blocking(move || choose_of(all, bytes));
        let (label, path, row) = choosing.await.map_err(|_ended| Error::Closed)??;
        let position = {
            let mut all = self.all.lock();
            let known = all.iter_mut().find(|known| known.row.id == row.id);
            let known = known.ok_or_else(|| Error::NotFound { what: "medium", id: row.id.to_string() })?;
            known.row.generation = known.row.generation.max(row.generation);
            known.next += 1;
            known.next - 1
        };
        let chosen = Chosen { id: row.id, position, path };
        let root = self.catalog.snapshot(PartitionId::ROOT).await?;
        let commit = Commit {
            writes: vec![Write::Put(tables::of_medium(label.as_str()), row.to_bytes())],
            ..Commit::new(PartitionId::ROOT, root.read_version())
        };
        self.catalog.commit(commit).await?;
        Ok(chosen)
    }
}

fn look(all: &Mutex<Vec<Known>>, medium: MediumId) -> engine::Result<PathBuf> {
    let known = all.lock().iter().find(|known| known.row.id == medium).cloned();
    let known = known.ok_or_else(|| Error::NotFound { what: "medium", id: medium.to_string() })?;
    known.look()?;
    Ok(known.options.path)
}

/// The first of them that is here and has room, marked for one pack more. Blocks.
fn choose_of(all: Vec<Known>, bytes: u64) -> engine::Result<(Label, PathBuf, MediumRow)> {
    let mut why = None;
    for known in all {
        match known.room(bytes) {
            Ok(()) => {
                let marked = MediumRow { generation: known.row.generation + 1, ..known.row };
                {
                    let _marking = known.marking.lock();
                    write_mark(&known.options.path, marked)?;
                }
                return Ok((known.options.label, known.options.path, marked));
            }
            Err(error) => why = why.or(Some(error)),
        }
    }
    let none = || Error::Invalid("put a pack on a medium: there is none; configure one".to_owned());
    Err(why.unwrap_or_else(none))
}

impl Known {
    fn refused(&self, why: &str) -> Error {
        let (label, path) = (&self.options.label, self.options.path.display());
        Error::Invalid(format!("use medium {label} at {path}: {why}"))
    }

    /// Whether what is at its path is it. A new one gets its mark.
    fn look(&self) -> engine::Result<()> {
        let path = &self.options.path;
        if !path.is_dir() {
            return Err(self.refused("it is not here; bring it, and mount it there"));
        }
        match read_mark(path) {
            Ok(mark) if mark.id != self.row.id => {
                Err(self.refused("it is another medium; bring the one with this label"))
            }
            Ok(mark) if mark.generation < self.row.generation => {
                Err(self.refused("it is a copy from before; bring the one that was written to since"))
            }
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.new => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.row.generation == 0 => {
                let _marking = self.marking.lock();
                // Whoever chose it meanwhile has marked it, with a generation of its own.
                match read_mark(path) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => write_mark(path, self.row),
                    Err(error) => Err(Error::io("read", path.join(MARK), error)),
                    Ok(mark) if mark.id == self.row.id => Ok(()),
                    Ok(_) => Err(self.refused("it is another medium; bring the one with this label")),
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(self.refused("it has no mark, so it is not the medium; mount it there"))
            }
            Err(error) => Err(Error::io("read", path.join(MARK), error)),
        }
    }

    fn room(&self, bytes: u64) -> engine::Result<()> {
        self.look()?;
        let left = self.options.capacity.map_or(u64::MAX, |all| all.get().saturating_sub(self.used));
        let stat = rustix::fs::statvfs(&self.options.path)
            .map_err(|error| Error::io("look at", &self.options.path, error.into()))?;
        let left = left.min(stat.f_bavail.saturating_mul(stat.f_frsize));
        if left >= bytes {
            return Ok(());
        }
        let place = format!("medium {} ({})", self.options.label, self.options.path.display());
        Err(Error::Full { place, wanted: bytes })
    }
}

/// A medium's row.
async fn load(catalog: &dyn Catalog, name: &str) -> engine::Result<Option<MediumRow>> {
    let root = catalog.snapshot(PartitionId::ROOT).await?;
    root.get(tables::of_medium(name)).await?.map(|raw| MediumRow::from_bytes(&raw)).transpose()
}

fn encode_mark(row: MediumRow) -> [u8; MARK_LEN] {
    let mut out = [0; MARK_LEN];
    out[..8].copy_from_slice(MAGIC);
    out[8..12].copy_from_slice(&VERSION.to_le_bytes());
    out[12..28].copy_from_slice(row.id.as_bytes());
    out[28..36].copy_from_slice(&row.generation.to_le_bytes());
    let sum = crc_fast::crc32_iscsi(&out[..36]);
    out[36..].copy_from_slice(&sum.to_le_bytes());
    out
}

fn decode_mark(raw: &[u8]) -> io::Result<MediumRow> {
    let bad = |detail: &str| {
        io::Error::new(io::ErrorKind::InvalidData, format!("it is no mark of a medium: {detail}"))
    };
    let raw: &[u8; MARK_LEN] = raw.try_into().map_err(|_| bad("another length"))?;
    if &raw[..8] != MAGIC {
        return Err(bad("another beginning"));
    }
    let number = |at: usize| u32::from_le_bytes([raw[at], raw[at + 1], raw[at + 2], raw[at + 3]]);
    if number(8) != VERSION {
        return Err(bad(&format!("version {}, this firn reads {VERSION}; run a newer firn", number(8))));
    }
    if number(36) != crc_fast::crc32_iscsi(&raw[..36]) {
        return Err(bad("its checksum does not match"));
    }
    let (mut id, mut generation) = ([0; 16], [0; 8]);
    id.copy_from_slice(&raw[12..28]);
    generation.copy_from_slice(&raw[28..36]);
    Ok(MediumRow { id: MediumId::from_bytes(id), generation: u64::from_le_bytes(generation) })
}

fn read_mark(path: &Path) -> io::Result<MediumRow> {
    decode_mark(&file::read_regular(&path.join(MARK))?)
}

fn write_mark(path: &Path, row: MediumRow) -> engine::Result<()> {
    file::replace(&path.join(MARK), &encode_mark(row))
}

/// Where a pack's file is on its medium.
pub(super) fn file_of(path: &Path, pack: PackId) -> PathBuf {
    path.join(format!("{pack}.{EXTENSION}"))
}

/// What a pack is called there until all of it is there.
fn partial_of(path: &Path) -> PathBuf {
    let mut partial = path.as_os_str().to_owned();
    partial.push(file::PARTIAL);
    partial.into()
}

/// Removes what there is of a pack from its medium: all of it, or what a copy left that came to nothing. Blocks.
pub(super) fn remove(path: &Path) -> engine::Result<()> {
    file::remove(&partial_of(path))?;
    file::remove(path)
}

/// Puts a sealed pack's file on its medium; whole and durable there when this returns. Blocks.
pub(super) fn carry(from: &Path, to: &Path) -> engine::Result<()> {
    let directory = to.parent().unwrap_or(Path::new("."));
    match fs::rename(from, to) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
            let partial = partial_of(to);
            let failed = |error| Error::io("write", &partial, error);
            fs::copy(from, &partial).map_err(failed)?;
            fs::File::open(&partial).and_then(|file| file.sync_all()).map_err(failed)?;
            fs::rename(&partial, to).map_err(|error| Error::io("rename", &partial, error))?;
            file::sync_dir(directory)?;
            file::remove(from)?;
        }
        Err(error) => return Err(Error::io("rename", from, error)),
    }
    file::sync_dir(directory)?;
    // What is read back comes from the medium, not from memory.
    if let Ok(file) = fs::File::open(to) {
        let _ = rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed);
    }
    Ok(())
}

impl Vaults {
    /// How the media are.
    pub fn media(&self) -> Vec<MediumStatus> {
        self.media.status()
    }
}

#[cfg(test)]
mod tests {
    use super::{decode_mark, encode_mark, remove};
    use crate::retrieval::MediumId;
    use crate::vault::rows::MediumRow;

    #[test]
    fn golden_mark() {
        let row = MediumRow { id: MediumId::from_bytes(*b"0123456789abcdef"), generation: 0x0102 };
        let mark = encode_mark(row);
        assert_eq!(
            hex::encode(mark),
            "4649524e4d45444d0100000030313233343536373839616263646566020100000000000099f94a9c"
        );
        assert_eq!(decode_mark(&mark).unwrap(), row);
        for at in 0..mark.len() {
            let mut bad = mark;
            bad[at] ^= 1;
            decode_mark(&bad).unwrap_err();
            decode_mark(&mark[..at]).unwrap_err();
        }
    }

    #[test]
    fn what_is_removed_of_a_pack_is_half_a_copy_of_it_too() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("one.pack");
        for name in ["one.pack", "one.pack.new", "two.pack.new"] {
            std::fs::write(dir.path().join(name), "bytes").unwrap();
        }
        remove(&path).unwrap();
        let left: Vec<_> =
            std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["two.pack.new"]);
    }
}
