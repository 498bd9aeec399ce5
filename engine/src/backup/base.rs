//! Writing a base: checkpoint, upload what the target lacks, then the manifest.
//!
//! ```text
//!   checkpoint (hard links) ─► hash each file ─► remove what no base names ─► seal + put those the target lacks ─► manifest ─► prune
//! ```
//!
//! A crash at any point leaves a checkpoint directory and staging files, which the next run removes, and at the target
//! files without a manifest, which the next run removes before it puts its own (else a target that is full would stay so), but for
//! those that it needs itself. A base exists from the moment its manifest does.

use super::manifest::{Attachment, FileEntry, Life, Manifest, Name};
use super::{Backup, staging};
use crate::blocking::blocking;
use crate::catalog::Version;
use crate::small_files::SmallFiles;
use crate::{Error, Result, file};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bases kept at the target: the newest, and the one before it in case the newest turns out damaged.
const BASES_KEPT: usize = 2;

/// What this directory knows of the bases it wrote, so that prune can tell which files they need without being able to open
/// their manifests.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Index {
    bases: Vec<IndexedBase>,
}

#[derive(Debug, Serialize, Deserialize)]
struct IndexedBase {
    version: Version,
    /// Names at the target.
    files: BTreeSet<String>,
}

impl Index {
    fn load(path: &Path) -> Result<Self> {
        match fs::read(path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| Error::Corrupt {
                what: path.display().to_string(),
                detail: error.to_string(),
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(Error::io("read", path, error)),
        }
    }

    /// Takes those off that have no manifest at the target: they were cut off, or are gone.
    fn retain_complete(&mut self, there: &BTreeSet<Version>) {
        self.bases.retain(|base| there.contains(&base.version));
    }

    fn knows(&self, version: Version) -> bool {
        self.bases.iter().any(|base| base.version == version)
    }

    /// A base of a version that has one already takes its place, and keeps its files until the two are pruned: until the
    /// new manifest is there the old one needs them.
    fn add(&mut self, version: Version, files: BTreeSet<String>) {
        match self.bases.iter_mut().find(|base| base.version == version) {
            Some(base) => base.files.extend(files),
            None => self.bases.push(IndexedBase { version, files }),
        }
    }

    fn store(&self, path: &Path) -> Result<()> {
        let bytes = serde_json::to_vec(self).map_err(|error| Error::Invalid(error.to_string()))?;
        file::replace(path, &bytes)
    }
}

impl Backup {
    /// Writes one complete base and answers its version. Beside traffic; only one runs at a time. A failure is shown by
    /// [`status`](Self::status), whoever asked for the base.
    pub async fn write_base(&self) -> Result<Version> {
        self.write_base_unseen().await.inspect_err(|error| self.progress.failed(error))
    }

    async fn write_base_unseen(&self) -> Result<Version> {
        let _one_at_a_time = self.base_running.lock().await;
        let life = self.life().await?;
        // One key for the whole of a base: one that changes meanwhile asks for the next. Taken before the checkpoint, so that no
        // commit behind a base is sealed to a former key.
        let recipient = self.recipient.load_full();
        let (catalog, path) = (Arc::clone(&self.catalog), self.dir.join("checkpoint"));
        let (checkpoint, version, entries) = blocking(move || {
            let checkpoint = staging::Directory::fresh(path)?;
            let version = catalog.checkpoint(checkpoint.path())?;
            let entries = listing(checkpoint.path())?;
            Ok((checkpoint, version, entries))
        })
        .await?;
        let (mut files, mut sources) = (Vec::new(), BTreeMap::new());
        for path in entries {
            let entry = entry(checkpoint.path(), &path).await?;
            sources.insert(life.file_name(&recipient, &entry.blake3), path);
            files.push(entry);
        }
        let names: BTreeSet<String> = sources.keys().cloned().collect();
        let known: BTreeSet<String> = self.target.list(&life.file_prefix()).await?.into_iter().collect();
        let there = self.bases_there(life).await?;
        if let Err(error) = self.remove_leavings(life, &known, &there, &names).await {
            tracing::warn!(%error, place = %self.target.describe(), "can't remove what a base that failed left; the next one will");
        }
        for (name, path) in sources.into_iter().filter(|(name, _)| !known.contains(name)) {
            let open = move || fs::File::open(&path).map_err(|error| Error::io("open", &path, error));
            self.put_sealed(&name, Arc::clone(&recipient), open).await?;
        }
        let small = Arc::clone(&self.files);
        let attachments = blocking(move || attachments(&small)).await?;
        let manifest = Manifest::new(version, self.clock.now(), files, attachments);
        // The index first: a base that prune does not know of could lose its files.
        let path = self.index_path();
        let index = blocking(move || {
            let mut index = Index::load(&path)?;
            index.retain_complete(&there);
            index.add(version, names);
            index.store(&path)?;
            Ok(index)
        })
        .await?;
        let plain = io::Cursor::new(manifest.encode()?);
        self.put_sealed(&life.base_name(version), Arc::clone(&recipient), || Ok(plain)).await?;
        tracing::info!(version, files = manifest.files.len(), place = %self.target.describe(), "backup base complete");
        self.progress.based(version, (self.clock.now(), self.clock.boottime()));
        if !Arc::ptr_eq(&recipient, &self.recipient.load_full()) {
            self.progress.base_wanted();
        }
        self.prune(life, index, version).await?;
        blocking(move || {
            drop(checkpoint);
            Ok(version)
        })
        .await
    }

    fn index_path(&self) -> PathBuf {
        self.dir.join("bases.json")
    }

    /// Versions of this life's bases at the target.
    async fn bases_there(&self, life: &Life) -> Result<BTreeSet<Version>> {
        let names = self.target.list(&life.base_prefix()).await?;
        let version = |name: &String| match Name::parse(name) {
            Some(Name::Base(_, version)) => Some(version),
            _ => None,
        };
        Ok(names.iter().filter_map(version).collect())
    }

    /// Before a base: removes the files (of those `known` to be there) that neither it nor a base that is there names, and what
    /// was put in part.
    async fn remove_leavings(
        &self,
        life: &Life,
        known: &BTreeSet<String>,
        there: &BTreeSet<Version>,
        wanted: &BTreeSet<String>,
    ) -> Result<()> {
        self.target.tidy(&life.file_prefix()).await?;
        let path = self.index_path();
        let mut index = blocking(move || Index::load(&path)).await?;
        index.retain_complete(there);
        self.remove_files(known, &index, there, wanted).await
    }

    /// Removes files that neither `wanted` nor a base names. Only the index says what a base names: as long as the target has one
    /// that it does not know, all files stay.
    async fn remove_files(
        &self,
        known: &BTreeSet<String>,
        index: &Index,
        there: &BTreeSet<Version>,
        wanted: &BTreeSet<String>,
    ) -> Result<()> {
        if there.iter().any(|version| !index.knows(*version)) {
            return Ok(());
        }
        let needed: BTreeSet<&String> =
            index.bases.iter().flat_map(|base| &base.files).chain(wanted).collect();
        for name in known.iter().filter(|name| !needed.contains(name)) {
            self.target.delete(name).await?;
        }
        Ok(())
    }

    /// Removes bases beyond those kept, log chunks that no kept base needs, and files that no base names. Only what this
    /// life wrote: earlier lives are left to their owner. `newest` is the version of the base that was just completed.
    async fn prune(&self, life: &Life, mut index: Index, newest: Version) -> Result<()> {
        let mut there = self.bases_there(life).await?;
        there.insert(newest);
        index.retain_complete(&there);
        let surplus = index.bases.len().saturating_sub(BASES_KEPT);
        index.bases.drain(..surplus);
        // One that the index does not know goes when two are there that it does.
        if let [first, ..] = &index.bases[..]
            && index.bases.len() == BASES_KEPT
        {
            let kept = there.split_off(&first.version);
            for version in std::mem::replace(&mut there, kept) {
                self.target.delete(&life.base_name(version)).await?;
            }
        }
        let Some(oldest) = there.first() else { return Ok(()) };
        for name in self.target.list(&life.log_prefix()).await? {
            if let Some(Name::Log(_, chunk)) = Name::parse(&name)
                && chunk.last <= *oldest
            {
                self.target.delete(&name).await?;
            }
        }
        let known = self.target.list(&life.file_prefix()).await?.into_iter().collect();
        self.remove_files(&known, &index, &there, &BTreeSet::new()).await?;
        let path = self.index_path();
        blocking(move || index.store(&path)).await
    }
}

/// The mode of a small file that can't be looked at.
const PRIVATE: u32 = 0o600;

/// The small files of a data directory that go into a base; one that is not there is left out. No base is made where one of them can't be vouched for: it
/// would take the place of one that has it.
fn attachments(files: &SmallFiles) -> Result<Vec<Attachment>> {
    use std::os::unix::fs::PermissionsExt;
    let mut attachments = Vec::new();
    for name in files.names() {
        let Some(bytes) = files.read(name)? else { continue };
        let mode = fs::metadata(files.root().join(name))
            .map_or(PRIVATE, |metadata| metadata.permissions().mode() & 0o777);
        attachments.push(Attachment { name: name.clone(), mode, hex: bytes.to_vec() });
    }
    Ok(attachments)
}

/// What a manifest says of the file at `path` of the checkpoint at `root`.
async fn entry(root: &Path, path: &Path) -> Result<FileEntry> {
    let name = path
        .strip_prefix(root)
        .ok()
        .and_then(Path::to_str)
        .ok_or_else(|| Error::Invalid(format!("back up {}: not a plain name", path.display())))?;
    let from = path.to_owned();
    let (blake3, bytes) = blocking(move || hash_file(&from)).await?;
    Ok(FileEntry { name: name.to_owned(), blake3, bytes })
}

/// All files below `dir`, sorted.
fn listing(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).map_err(|error| Error::io("list", &dir, error))? {
            let path = entry.map_err(|error| Error::io("list", &dir, error))?.path();
            if path.is_dir() { dirs.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    Ok(files)
}

fn hash_file(path: &Path) -> Result<(String, u64)> {
    let mut file = fs::File::open(path).map_err(|error| Error::io("open", path, error))?;
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer).map_err(|error| Error::io("read", path, error))? {
            0 => return Ok((hasher.finalize().to_hex().to_string(), hasher.count())),
            n => hasher.update(&buffer[..n]),
        };
    }
}
