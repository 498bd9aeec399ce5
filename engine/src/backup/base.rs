//! Writing a base: checkpoint, upload what the target lacks, then the manifest.
//!
//! ```text
//!   checkpoint (hard links) ─► hash each file ─► seal + put those the target lacks ─► manifest ─► prune
//! ```
//!
//! A crash at any point leaves a checkpoint directory and staging files, which the next run removes, and at the target
//! files without a manifest, which the next prune removes. A base exists from the moment its manifest does.

use super::manifest::{Attachment, FileEntry, Life, Manifest, Name};
use super::{Backup, staging};
use crate::blocking::blocking;
use crate::catalog::Version;
use crate::{Error, Result, file};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
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
        let known: BTreeSet<String> = self.target.list(&life.file_prefix()).await?.into_iter().collect();
        let (mut files, mut names) = (Vec::new(), BTreeSet::new());
        for path in entries {
            let entry = entry(checkpoint.path(), &path).await?;
            let name = life.file_name(&recipient, &entry.blake3);
            if !known.contains(&name) && !names.contains(&name) {
                let open = move || fs::File::open(&path).map_err(|error| Error::io("open", &path, error));
                self.put_sealed(&name, Arc::clone(&recipient), open).await?;
            }
            names.insert(name);
            files.push(entry);
        }
        let (root, attached) = (self.root.clone(), self.attached.clone());
        let attachments = blocking(move || attachments(&root, &attached)).await?;
        let manifest = Manifest::new(version, self.clock.now(), files, attachments);
        // The index first: a base that prune does not know of could lose its files.
        let path = self.index_path();
        let index = blocking(move || {
            let mut index = Index::load(&path)?;
            index.add(version, names);
            index.store(&path)?;
            Ok(index)
        })
        .await?;
        let plain = io::Cursor::new(manifest.encode()?);
        self.put_sealed(&life.base_name(version), Arc::clone(&recipient), || Ok(plain)).await?;
        tracing::info!(version, files = manifest.files.len(), target = %self.target.describe(), "backup base complete");
        self.progress.based(version, self.clock.now());
        if !Arc::ptr_eq(&recipient, &self.recipient.load_full()) {
            self.progress.base_wanted();
        }
        self.prune(life, index).await?;
        blocking(move || {
            drop(checkpoint);
            Ok(version)
        })
        .await
    }

    fn index_path(&self) -> PathBuf {
        self.dir.join("bases.json")
    }

    /// Removes bases beyond those kept, log chunks that no kept base needs, and files that no base names. Only what this
    /// life wrote: earlier lives are left to their owner.
    async fn prune(&self, life: &Life, mut index: Index) -> Result<()> {
        let surplus = index.bases.len().saturating_sub(BASES_KEPT);
        let gone: Vec<IndexedBase> = index.bases.drain(..surplus).collect();
        let Some(oldest) = index.bases.first().map(|base| base.version) else { return Ok(()) };
        for base in &gone {
            self.target.delete(&life.base_name(base.version)).await?;
        }
        for name in self.target.list(&life.log_prefix()).await? {
            if let Some(Name::Log(_, chunk)) = Name::parse(&name)
                && chunk.last <= oldest
            {
                self.target.delete(&name).await?;
            }
        }
        let kept: BTreeSet<&String> = index.bases.iter().flat_map(|base| &base.files).collect();
        let dropped: BTreeSet<&String> = gone.iter().flat_map(|base| &base.files).collect();
        for name in dropped.difference(&kept) {
            self.target.delete(name).await?;
        }
        let path = self.index_path();
        blocking(move || index.store(&path)).await
    }
}

/// The small files of the data directory `root` that go into a base; one that is not there is left out.
fn attachments(root: &Path, names: &[String]) -> Result<Vec<Attachment>> {
    use std::os::unix::fs::PermissionsExt;
    let mut attachments = Vec::new();
    for name in names {
        let path = root.join(name);
        match fs::read(&path) {
            Ok(hex) => {
                let meta = fs::metadata(&path).map_err(|error| Error::io("stat", &path, error))?;
                attachments.push(Attachment {
                    name: name.clone(),
                    mode: meta.permissions().mode() & 0o777,
                    hex,
                });
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(Error::io("read", path, error)),
        }
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
